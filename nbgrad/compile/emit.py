"""Emit: a nest as loops in Python source that can be compiled, and the table of words its kernel reads."""

from nbgrad.compile.body import Body
from nbgrad.compile.reductions import REDUCTIONS
from nbgrad.compile.source import Words, Writer
from nbgrad.shapes import size

#: Elements summed in any order before their sum is added with its rounding error kept.
BLOCK = 256
#: Elements of a row that are accumulated in memory before the next row is read.
COLUMN_BLOCK = 1024


class Loops(Body):
    """The loops of one nest for a CPU: elementwise, by rows, and by columns."""

    # ------------------------------------------------------------ elementwise nests

    def _map(self):
        """out[i] = f(x[i], ...): rows are split over threads, or the elements of a single row."""
        nest, w = self.nest, self.writer
        rank = len(nest.extents)
        place = self._all_pointers()
        if rank >= 2:
            w.open("for row in range(start, stop):")
            place = self._row(list(range(rank - 1)), "row", place)
            first, last = "0", self.extent[-1]
        else:
            first, last = "start", "stop"
        axis = rank - 1
        names = self._body(place, axis, "0")
        again = None if any(o.mode == "add" for o in nest.stores) else lambda: None
        self._inner(place, axis, first, last, names, lambda names: self._stores(place, axis, "i", names), again)
        self.rows = size(nest.extents[:-1]) if rank >= 2 else size(nest.extents)
        self.inner = nest.extents[-1] if rank >= 2 else 1

    def rows_of_block(self):
        """Rows `top` to `bottom` of a nest whose kept axes are those of the rows."""
        nest, w = self.nest, self.writer
        rank, level = len(nest.extents), w.level
        kept = [a for a in range(rank) if not nest.reduced[a]]
        inner = [a for a in range(rank) if nest.reduced[a]]
        gathered = list(self._gathered()) if self.gathers else []
        alone = gathered and not inner  # sums of one number a row, kept in registers
        for k, *_ in gathered if alone else ():
            w.line(f"part{self.prefix}{k} = first{self.prefix}{k}")
        w.open("for row in range(top, bottom):")
        if nest.results and not self.gathers:
            high = " * ".join(self.extent[a] for a in inner[:-1]) or (self.extent[-1] if inner else "1")
            self._row_of_results(kept, inner[:-1], bool(inner), "0", high, "row")
            w.close(w.level - level)
            return
        place = self._row(kept, "row", self._all_pointers()) if kept else self._all_pointers()
        if len(inner) > 1:
            w.open(f"for q in range({' * '.join(self.extent[a] for a in inner[:-1])}):")
            place = self._row(inner[:-1], "q", place)
        self.flat = not inner
        names = self._body(place, rank - 1, "0")

        def finish(names):
            for k, o, name, scope, step, join in gathered:
                value, _ = self._operand(o.node.inputs[0], names)
                if alone:
                    w.line(f"part{self.prefix}{k} = {self._typed(o, step.format(f'part{self.prefix}{k}', value))}")
                else:
                    at = self._index(name, rank - 1, "i")
                    joined = join.format(f"load_own({place[name]}, {at}, {scope})", value)
                    w.line(f"store({place[name]}, {at}, {self._typed(o, joined)}, {scope})")
            self._stores(place, rank - 1, "i", names)

        if inner:
            again = None if gathered else lambda: None
            self._inner(place, rank - 1, "0", self.extent[-1], names, finish, again)
        else:
            finish(names)
        w.close(w.level - level)
        for k, o, name, scope, _, join in gathered if alone else ():
            joined = join.format(f"load_own({name}, 0, {scope})", f"part{self.prefix}{k}")
            w.line(f"store({name}, 0, {self._typed(o, joined)}, {scope})")

    def _gathered(self):
        """Of each reduction over rows its number, operand, name and scope, and how it goes on and is joined."""
        for k, o in enumerate(self.nest.results):
            _, step, join = REDUCTIONS[o.node.primitive.name]
            yield k, o, f"r{self.prefix}{k}", self._scope(len(self.nest.stores) + k), step, join

    def start_gathering(self):
        """What reductions over the rows of a chunk start from; each chunk has a place of its own."""
        for k, o, name, scope, *_ in self._gathered():
            length = self.words.add(size(o.node.shape))
            self.writer.line(f"{name} = at({name}, chunk * word(args, {length}))")
            self.writer.open(f"for i in range(word(args, {length})):")
            self.writer.line(f"store({name}, i, first{self.prefix}{k}, {scope})")
            self.writer.close()

    # ------------------------------------------------------------ reductions

    def _split_header(self, rows, length):
        """What [start, stop) counts: 0 kept rows, 1 the reduced extent with partials, 2 rows to join them for."""
        w = self.writer
        self.split_words = {"mode": self.words.add(0), "grain": self.words.add(1), "chunks": self.words.add(1)}
        w.line(f"mode = word(args, {self.split_words['mode']})")
        w.line(f"grain = word(args, {self.split_words['grain']})")
        w.line(f"chunks = word(args, {self.split_words['chunks']})")
        w.line(f"rows = {rows}")
        w.open("if mode == 2:")
        w.open("for row in range(start, stop):")
        for k, o in enumerate(self.nest.results):
            join = REDUCTIONS[o.node.primitive.name][2]
            w.line(f"total{self.prefix}{k} = first{self.prefix}{k}")
            if self._compensated(o):
                w.line(f"lost{self.prefix}{k} = first{self.prefix}{k}")
            w.open("for c in range(chunks):")
            w.line(f"p{self.prefix}{k} = load(partial{self.prefix}{k}, c * rows + row)")
            self._join(k, o, join, f"p{self.prefix}{k}")
            w.close()
            w.line(f"store(r{self.prefix}{k}, row, {self._total(k, o)}, {self._scope(len(self.nest.stores) + k)})")
        w.close()
        w.line("return")
        w.close()
        w.line("first_row, last_row, low, high, slot = start, stop, 0, " + length + ", 0")
        w.open("if mode == 1:")
        w.line("first_row, last_row, low, high, slot = 0, rows, start, stop, start // grain * rows")
        w.close()

    def _compensated(self, operand):
        return operand.node.primitive.name == "sum" and operand.dtype.kind == "f"

    def _join(self, k, operand, join, value):
        """total = total (+) value; for float sums the rounding error is kept (Neumaier)."""
        w, p = self.writer, f"{self.prefix}{k}"
        if not self._compensated(operand):
            w.line(f"total{p} = {self._typed(operand, join.format(f'total{p}', value))}")
            return
        w.line(f"s{p} = total{p} + {value}")
        w.line(f"z{p} = s{p} - total{p}")
        w.line(f"lost{p} = lost{p} + ((total{p} - (s{p} - z{p})) + ({value} - z{p}))")
        w.line(f"total{p} = s{p}")

    def _total(self, k, operand):
        """The sum with its lost part, which is nan after an overflow and then must not count."""
        p = f"{self.prefix}{k}"
        return (
            f"(total{p} + lost{p} if lost{p} == lost{p} else total{p})" if self._compensated(operand) else f"total{p}"
        )

    def _typed(self, operand, text):
        return f"to_{operand.dtype}({text})" if operand.dtype.kind in "iu" else text

    def _rows(self):
        """Reduced axes innermost: each result is gathered in registers, in blocks."""
        nest, w = self.nest, self.writer
        rank = len(nest.extents)
        kept = [a for a in range(rank) if not nest.reduced[a]]
        reduced = [a for a in range(rank) if nest.reduced[a]]
        axis = rank - 1
        outer = reduced[:-1]
        split = " * ".join(self.extent[a] for a in outer) if outer else (self.extent[axis] if reduced else "1")
        self._split_header(" * ".join(self.extent[a] for a in kept) or "1", split)
        w.open("for row in range(first_row, last_row):")
        self._row_of_results(kept, outer, bool(reduced), "low", "high", "slot + row")
        self.rows = size(nest.extents[a] for a in kept)
        self.length = size(nest.extents[a] for a in outer) if outer else (nest.extents[axis] if reduced else 1)
        self.inner = size(nest.extents[a] for a in reduced)

    def _row_of_results(self, kept, outer, reduces, low, high, target):
        """One row: the part of it from `low` to `high`, joined in registers and stored at index `target`."""
        nest, w = self.nest, self.writer
        axis = len(nest.extents) - 1
        place = self._row(kept, "row", self._all_pointers()) if kept else self._all_pointers()
        for k, o in enumerate(nest.results):
            w.line(f"total{self.prefix}{k} = first{self.prefix}{k}")
            if self._compensated(o):
                w.line(f"lost{self.prefix}{k} = first{self.prefix}{k}")
        depth = 1
        joins = [REDUCTIONS[o.node.primitive.name][2] for o in nest.results]

        def start(value="first"):
            for k in range(len(nest.results)):
                w.line(f"part{self.prefix}{k} = {value}{self.prefix}{k}")

        if outer:
            start()
            w.line("held = 0")
            w.open(f"for q in range({low}, {high}):")
            place = self._row(outer, "q", place)
            w.line(f"from_, to_ = 0, {self.extent[axis]}")
            depth += 1
        else:
            w.line(f"from_, to_ = {low}, {high}")
        self.flat = not reduces  # nothing but extents of 1 is reduced: the row is the element
        names = self._body(place, axis, "0")
        w.open(f"for block in range(from_, to_, {BLOCK}):")
        w.line(f"end = min(block + {BLOCK}, to_)")
        if outer:  # short rows are one block together
            w.open(f"if held + end - block > {BLOCK}:")
            for k, o in enumerate(nest.results):
                self._join(k, o, joins[k], f"part{self.prefix}{k}")
            start()
            w.line("held = 0")
            w.close()
            w.line("held = held + end - block")
            for k in range(len(nest.results)):
                w.line(f"before{self.prefix}{k} = part{self.prefix}{k}")

        def finish(names):
            for k, o in enumerate(nest.results):
                value, _ = self._operand(o.node.inputs[0], names)
                step = REDUCTIONS[o.node.primitive.name][1].format(f"part{self.prefix}{k}", value)
                w.line(f"part{self.prefix}{k} = {self._typed(o, step)}")
            self._stores(place, axis, "i", names)

        self._inner(place, axis, "block", "end", names, finish, lambda: start("before" if outer else "first"))
        if outer:
            w.close(depth)
            depth = 0
        else:  # short rows are one block, which has lost nothing yet
            w.open("if block == from_:")
            for k in range(len(nest.results)):
                w.line(f"total{self.prefix}{k} = part{self.prefix}{k}")
            w.close()
            w.open("else:")
        for k, o in enumerate(nest.results):
            self._join(k, o, joins[k], f"part{self.prefix}{k}")
        if not outer:
            w.close(2)
        for k, o in enumerate(nest.results):
            w.line(f"store(r{self.prefix}{k}, {target}, {self._total(k, o)}, {self._scope(len(nest.stores) + k)})")

    def _columns(self):
        """The inner axis is kept: rows are accumulated into the result, a block of columns at a time."""
        nest, w = self.nest, self.writer
        rank = len(nest.extents)
        axis = rank - 1
        outer = [a for a in range(rank - 1) if not nest.reduced[a]]
        reduced = [a for a in range(rank) if nest.reduced[a]]
        n = self.extent[axis]
        w.line(f"blocks = ({n} + {COLUMN_BLOCK - 1}) // {COLUMN_BLOCK}")
        kept = " * ".join(self.extent[a] for a in outer)
        self._split_header(f"{kept} * {n}" if kept else n, " * ".join(self.extent[a] for a in reduced))
        w.line(f"last_row = last_row if mode == 0 else {kept + ' * ' if kept else ''}blocks")
        w.open("for tile in range(first_row, last_row):")
        w.line("row = tile // blocks")
        w.line(f"from_ = tile % blocks * {COLUMN_BLOCK}")
        w.line(f"to_ = min(from_ + {COLUMN_BLOCK}, {n})")
        place = self._row(outer, "row", self._all_pointers()) if outer else self._all_pointers()
        w.line(f"base = slot + row * {n}")
        for k in range(len(nest.results)):
            scope = self._scope(len(nest.stores) + k)
            w.open("for i in range(from_, to_):")
            w.line(f"store(r{self.prefix}{k}, base + i, first{self.prefix}{k}, {scope})")
            w.close()
        w.open("for q in range(low, high):")
        place = self._row(reduced, "q", place)
        names = self._body(place, axis, "0")

        def finish(names):
            for k, o in enumerate(nest.results):
                scope = self._scope(len(nest.stores) + k)
                value, _ = self._operand(o.node.inputs[0], names)
                own = f"load_own(r{self.prefix}{k}, base + i, {scope})"
                join = REDUCTIONS[o.node.primitive.name][2].format(own, value)
                w.line(f"store(r{self.prefix}{k}, base + i, {self._typed(o, join)}, {scope})")
            self._stores(place, axis, "i", names)

        self._inner(place, axis, "from_", "to_", names, finish)
        blocks = -(-nest.extents[axis] // COLUMN_BLOCK)
        self.rows = size(nest.extents[a] for a in outer) * blocks
        self.result_rows = size(nest.extents[a] for a in outer) * nest.extents[axis]
        self.length = size(nest.extents[a] for a in reduced)
        self.inner = self.length * min(nest.extents[axis], COLUMN_BLOCK)


class Kernel(Loops):
    """Emitted source of one nest, its names and its words.

    Attributes
    ----------
    source : str
    names : dict
        Name in the source -> (primitive, dtype name).
    words : Words
    rows, inner : int
        Parallel extent and elements per unit of it, for splitting into chunks.
    split_words : dict or None
        Indices of the words that say how a reduction is split; None for elementwise nests.
    """

    def __init__(self, nest, plan, domain, title):
        super().__init__(nest, plan, domain, "", Words(), {}, Writer())
        w = self.writer
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        self.declare()
        if nest.results:
            self._columns() if nest.columns else self._rows()
        else:
            self._map()
        self.source = w.text()
