"""Scatter: a nest whose results are added to, or put into, an array at the places that indices say.

Indices may repeat, so each place belongs to one thread, which goes through all indices in order and leaves out
those of other threads' places: the sum is the same on any number of threads.  Dividing what is behind an index
instead would have threads write into the same cache lines.
"""

from nbgrad.compile.body import Body
from nbgrad.compile.indexed import WIDTH
from nbgrad.compile.source import Words, Writer
from nbgrad.config import config
from nbgrad.shapes import size

#: Threads at most that share a scatter, and elements from which they do.
SHARES, LEAST = 8, 1 << 15


class ScatterKernel(Body):
    """Emitted source of a nest with one indexed store; its attributes are those of `Kernel`.

    At `most` so many threads share it.
    """

    def __init__(self, nest, plan, domain, title, most=SHARES):
        super().__init__(nest, plan, domain, "", Words(), {}, Writer())
        w, rank = self.writer, len(nest.extents)
        (target,) = (o for o in nest.stores if o.indices is not None)
        along = [a for a in range(rank) if target.strides[a] == 0]  # the axes of the indices
        lead = list(range(along[0])) if along else []
        behind = rank - 1 if rank and rank - 1 not in along else None
        middle = [a for a in range(len(lead), rank) if a not in (behind, rank - 1)]
        name = f"y{nest.stores.index(target)}"
        divided = behind is not None and bool(along) and target.indices.load is not None
        slabs, parts = size(nest.extents[a] for a in lead), 1
        if divided and nest.extents[-1] >= WIDTH and size(nest.extents) >= LEAST and slabs < most:
            parts = min(config.threads, most)
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        self.declare()
        w.line(f"parts = word(args, {self.words.add(parts)})")
        w.open("for unit in range(start, stop):")
        w.line("slab, part = unit // parts, unit % parts")
        if divided:
            w.line(f"low = part * ({name}_last + 1) // parts")
            w.line(f"high = (part + 1) * ({name}_last + 1) // parts")
        place = self._all_pointers()
        place = self._row(lead, "slab", place) if lead else place
        if middle:
            w.open(f"for q in range({' * '.join(self.extent[a] for a in middle)}):")
            place = self._row(middle, "q", place)
        if divided:
            at = self.pointer[target.indices.load]
            w.line(f"{name}_i = min(max(load({place[at]}, 0), 0), {name}_last)")
            w.open(f"if low <= {name}_i and {name}_i < high:")
        names = self._body(place, rank - 1, "0")
        again = None if any(o.mode == "add" for o in nest.stores) else lambda: None
        last = self.extent[-1] if rank else "1"
        self._inner(place, rank - 1, "0", last, names, lambda names: self._stores(place, rank - 1, "i", names), again)
        self.rows = slabs * parts
        self.inner = size(nest.extents) // max(self.rows, 1)
        self.source = w.text()
