"""Scatter: a nest whose results are added to, or put into, an array at the places that indices say, on CUDA.

Each block has a range of places and goes through all indices, a tile at a time: its threads note, in order, which of
them lead into that range, and then add what belongs there, each thread in columns and places of its own.  So the terms
of a place are added in the order of the indices, without atomic operations, and the sum is that of the CPU.
"""

from nbgrad.compile.body import Body
from nbgrad.compile.cuda.border import zeros_around
from nbgrad.compile.source import Words, Writer
from nbgrad.shapes import size

#: Threads of a block, and blocks for which there are ranges of places.
BLOCK, ENOUGH = 256, 512


class ScatterKernel(Body):
    """Emitted source of a nest with one indexed store; its attributes are those of `ReduceKernel`."""

    block, per_block, blocks, parts = BLOCK, 1, None, 1

    def __init__(self, nest, plan, domain, title):
        super().__init__(nest, plan, domain, "", Words(), {}, Writer())
        w, rank = self.writer, len(nest.extents)
        (target,) = (o for o in nest.stores if o.indices is not None)
        along = [a for a in range(rank) if target.strides[a] == 0]  # the axes of the indices
        lead = list(range(along[0])) if along else []
        tail = [a for a in range(len(lead), rank) if a not in along]
        places = target.indices.extent
        slabs, wide = size(nest.extents[a] for a in lead), size(nest.extents[a] for a in tail)
        ranges = max(1, min(places, -(-ENOUGH // max(slabs, 1))))
        columns = min(1 << max(wide - 1, 0).bit_length(), BLOCK)
        name = f"y{nest.stores.index(target)}"
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        self.declare()
        w.line(f"ranges, columns = word(args, {self.words.add(ranges)}), word(args, {self.words.add(columns)})")
        w.line(f"count = {' * '.join(self.extent[a] for a in along) or '1'}")
        w.line(f"wide = {' * '.join(self.extent[a] for a in tail) or '1'}")
        w.line("column, group, groups = lane() % columns, lane() // columns, lanes() // columns")
        w.line(f"found, where, marked = shared_int64({BLOCK}, 0), shared_int64({BLOCK}, 1), shared_int64(32, 2)")
        w.open("for unit in range(start + block(), stop, blocks()):")
        w.line("slab, own = unit // ranges, unit % ranges")
        w.line(f"low = own * ({name}_last + 1) // ranges")
        w.line(f"high = (own + 1) * ({name}_last + 1) // ranges")
        slab = self._row(lead, "slab", self._all_pointers()) if lead else self._all_pointers()
        w.open("for tile in range(0, count, lanes()):")
        w.line("e = tile + lane()")
        w.line("mine = e < count")
        w.line("e = min(e, count - 1)")
        self.flat = True
        place = self._row(along, "e", slab) if along else slab
        index = target.indices
        number = self._number(index.number) if index.load is None else f"load({place[self.pointer[index.load]]}, 0)"
        w.line(f"to = min(max({number}, 0), {name}_last)")
        w.line("mine = mine and low <= to and to < high")
        w.line("votes = ballot(mine)")
        w.line("at_ = count_bits(votes & ((1 << lane() % 32) - 1))")
        w.open("if lane() % 32 == 0:")
        w.line("write(marked, lane() // 32, count_bits(votes))")
        w.close()
        w.line("barrier()")
        w.line("total = 0")
        w.open("for k in range(lanes() // 32):")
        w.line("at_ = at_ + (read(marked, k) if k < lane() // 32 else 0)")
        w.line("total = total + read(marked, k)")
        w.close()
        w.open("if mine:")
        w.line("write(found, at_, e)")
        w.line("write(where, at_, to)")
        w.close()
        w.line("barrier()")
        w.open("for k in range(total):")
        w.open("if read(where, k) % groups == group:")
        w.line("from_ = read(found, k)")
        place = self._row(along, "from_", slab) if along else slab
        w.open("for c in range(column, wide, columns):")
        place = self._row(tail, "c", place) if tail else place
        names = self._body(place, rank - 1, "0")
        self._stores(place, rank - 1, "0", names)
        self.rows = slabs * ranges
        self.inner = max(1, size(nest.extents) // max(self.rows, 1))
        self.source = w.text()

    def around(self, pointer, around):
        zeros_around(self.writer, self.words, pointer, around)
