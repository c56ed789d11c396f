"""Emit: a nest as Python source that can be compiled, and the table of words its kernel reads.

The source depends on structure only: ranks, dtypes, which strides are 0 or 1, what is fused.  Extents,
strides, addresses and constants are words of the table, so a new size or a new number compiles nothing.
"""

from nbgrad import graph
from nbgrad.compile.border import zeros_around
from nbgrad.compile.indexed import is_gather
from nbgrad.compile.nest import load_key
from nbgrad.compile.source import APART, OUTPUT_SCOPES, Words, Writer, name_of, register
from nbgrad.shapes import size

#: Elements summed in any order before their sum is added with its rounding error kept.
BLOCK = 256
#: Cost of finding out the arguments of a primitive up to which a loop looks whether they are near.
NEAR_COST = 8
#: Terms of one expression.
LONGEST_SUM = 32
#: Elements of a row that are accumulated in memory before the next row is read.
COLUMN_BLOCK = 1024

#: How a reduction starts, goes on inside a block, and joins two results.
REDUCTIONS = {
    "sum": (0, "add_fast({0}, {1})", "{0} + {1}"),
    "prod": (1, "multiply_fast({0}, {1})", "{0} * {1}"),
    "max": ("lowest", "larger({0}, {1})", "larger({0}, {1})"),
    "min": ("highest", "smaller({0}, {1})", "smaller({0}, {1})"),
    "any": (False, "{0} | {1}", "{0} | {1}"),
    "all": (True, "{0} & {1}", "{0} & {1}"),
}


class Body:
    """The loops of one nest, written line by line.

    Attributes
    ----------
    prefix : str
        Of the names in the source, where several nests share a kernel.
    words, names, writer
        As of `Kernel`; shared where the kernel is.
    first_scope : int
        Alias scope of the first output.
    own : dict
        What was written earlier in the same kernel -> its alias scope.
    gathers : bool
        Whether the reductions are over the rows of a kernel that goes row by row.
    base : dict
        Pointer -> the name to use in its place.
    """

    def __init__(self, nest, plan, domain, prefix, words, names, writer):
        self.nest, self.plan, self.domain, self.prefix = nest, plan, domain, prefix
        self.words, self.names, self.writer = words, names, writer
        self.pointer, self.numbers, self.strides, self.computed = {}, {}, {}, 0
        self.first_scope, self.own, self.gathers, self.base = 0, {}, False, {}
        self.split_words, self.flat = None, False
        self.near = self.apart = frozenset()

    # ------------------------------------------------------------ declarations

    def declare(self):
        """Extents, pointers, strides and numbers, read from the table."""
        nest, w = self.nest, self.writer
        self.extent = [f"n{self.prefix}{a}" for a in range(len(nest.extents))]
        for a, n in enumerate(nest.extents):
            w.line(f"{self.extent[a]} = word(args, {self.words.add(n)})")
        for k, (key, o) in enumerate(nest.loads.items()):
            self.pointer[key] = f"x{self.prefix}{k}"
            w.line(f"x{self.prefix}{k} = pointer_{name_of(o.dtype)}(args, {self.words.address(o.view, 'load')})")
            self._declare_strides(f"x{self.prefix}{k}", o)
            self._declare_indices(f"x{self.prefix}{k}", o)
        for k, o in enumerate(nest.stores):
            w.line(f"y{self.prefix}{k} = pointer_{name_of(o.dtype)}(args, {self.words.address(o.view, 'store')})")
            self._declare_strides(f"y{self.prefix}{k}", o)
            self._declare_indices(f"y{self.prefix}{k}", o)
            if o.around is not None:
                zeros_around(w, self.words, f"y{self.prefix}{k}", o.around)
        for k, o in enumerate(nest.results):
            w.line(f"r{self.prefix}{k} = pointer_{name_of(o.dtype)}(args, {self.words.address(o.view, 'result')})")
            self._declare_strides(f"r{self.prefix}{k}", o)
            partial = self.words.address(o.view, "partial")
            w.line(f"partial{self.prefix}{k} = pointer_{name_of(o.dtype)}(args, {partial})")
            first = REDUCTIONS[o.node.primitive.name][0]
            index = self.words.add((_first(first, o.dtype), o.dtype))
            w.line(f"first{self.prefix}{k} = number_{name_of(o.dtype)}(args, {index})")
        for node in [*nest.values, *(r.node for r in nest.results)]:
            for x in () if is_gather(node) else node.inputs:
                origin = self.plan.sources[x].origin
                if graph.is_constant(origin):
                    self._number(origin)
        for o in nest.stores:
            if graph.is_constant(self.plan.sources[o.node].origin):
                self._number(self.plan.sources[o.node].origin)

    def _declare_strides(self, name, operand):
        """Outer axes take their stride from the table unless it is 0; the inner one also where it is 1."""
        last = len(operand.strides) - 1
        texts = []
        for a, s in enumerate(operand.strides):
            if s == 0 or (a == last and s == 1):
                texts.append(s)
            else:
                text = f"{name}_s{a}"
                self.writer.line(f"{text} = word(args, {self.words.add(s)})")
                texts.append(text)
        self.strides[name] = texts

    def _declare_indices(self, name, operand):
        if operand.indices is not None:
            self.writer.line(f"{name}_step = word(args, {self.words.add(operand.indices.step)})")
            self.writer.line(f"{name}_last = word(args, {self.words.add(operand.indices.extent - 1)})")
            if graph.is_constant(operand.indices.view):
                self._number(operand.indices.view)

    def _number(self, node):
        key = node.attrs, node.dtype
        if key not in self.numbers:
            name = f"c{self.prefix}{len(self.numbers)}"
            dtype = register(node.dtype)
            self.writer.line(f"{name} = number_{dtype}(args, {self.words.add((node.attrs[0], dtype))})")
            self.numbers[key] = name
        return self.numbers[key]

    # ------------------------------------------------------------ offsets

    def _row(self, axes, index, pointers):
        """Decode a linear index over `axes` and step the pointers to its place; returns the new names."""
        w = self.writer
        single = {}
        if len(axes) == 1:
            single[axes[0]] = index
        else:
            rest = index
            for a in reversed(axes[1:]):
                w.line(f"i{a} = {rest} % {self.extent[a]}")
                w.line(f"q{a} = {rest} // {self.extent[a]}")
                single[a], rest = f"i{a}", f"q{a}"
            single[axes[0]] = rest
        moved = {}
        for name, base in pointers.items():
            terms = [f"{single[a]} * {self.strides[name][a]}" for a in axes if self.strides[name][a] != 0]
            moved[name] = base
            if terms:
                moved[name] = f"{name}_{index}"
                w.line(f"{moved[name]} = at({base}, {' + '.join(terms)})")
        return moved

    def _index(self, name, axis, variable):
        if not self._varies(name, axis):
            return "0"
        s = self.strides[name][axis]
        return variable if s == 1 else f"{variable} * {s}"

    def _varies(self, name, axis):
        return not self.flat and bool(self.strides[name]) and self.strides[name][axis] != 0

    def _all_pointers(self):
        names = [*self.pointer.values(), *(f"y{self.prefix}{k}" for k in range(len(self.nest.stores)))]
        if self.gathers:
            names += [f"r{self.prefix}{k}" for k in range(len(self.nest.results))]
        return {n: self.base.get(n, n) for n in names}

    # ------------------------------------------------------------ bodies

    def _inner(self, place, axis, first, last, names, finish, start=None):
        """The innermost loop: its values, and what ``finish(names)`` makes of them.

        Primitives with a cheaper text for near arguments use that, and for these elements once more the other one if
        some argument was not near.  With `start`, which writes what comes before the loop, all of it can be done
        again; a loop that adds to memory cannot, and there a loop of its own looks at the arguments first, where
        they are cheap to know.
        """
        w, near = self.writer, self._near(names)

        def loop(look=()):
            w.open(f"for i in range({first}, {last}):")
            found = self._body(place, axis, "i", dict(names))
            self._look(look, found)
            finish(found)
            w.close()

        if start is None:
            near, before = self._cheap(near, names)
        else:
            start()
        if not near:
            loop()
            return
        bounds = {}
        for node in near:
            bounds.setdefault((node.primitive.near.bound, node.inputs[0].dtype), []).append(node)
        for k, (_, dtype) in enumerate(bounds):
            w.line(f"most{self.prefix}{k} = to_{dtype}(0)")
        all_near = " and ".join(f"most{self.prefix}{k} <= {bound!r}" for k, (bound, _) in enumerate(bounds))
        if start is None:
            w.open(f"for i in range({first}, {last}):")
            self._look(bounds.values(), self._body(place, axis, "i", dict(names), only=before))
            w.close()
            w.open(f"if {all_near}:")
        self.near = frozenset(near)
        loop(() if start is None else bounds.values())
        self.near, self.apart = frozenset(), frozenset(near)
        if start is None:
            w.close()
            w.open("else:")
        else:
            w.open(f"if not ({all_near}):")  # nor is nan
            start()
        loop()
        self.apart = frozenset()
        w.close()

    def _look(self, bounds, names):
        """The largest arguments so far, for each bound that they may have."""
        for k, nodes in enumerate(bounds):
            for x in dict.fromkeys(n.inputs[0] for n in nodes):
                most = f"most{self.prefix}{k}"
                self.writer.line(f"{most} = larger({most}, abs({self._operand(x, names)[0]}))")

    def _near(self, names):
        """Nodes of the loop that have a cheaper text for near arguments."""
        return [
            n for n in self.nest.values
            if n.primitive.near is not None and n not in names and name_of(n.dtype) in n.primitive.near.texts
        ]  # fmt: skip

    def _cheap(self, near, names):
        """Those whose arguments are cheap to know, and what has to be computed for that."""
        cheap, before, inside = [], {}, set(self.nest.values)
        for node in near:
            needed = graph.topological(node.inputs, stop=lambda n: n not in inside or n in names)
            needed = [n for n in needed if n in inside and n not in names]
            if sum(n.primitive.cost for n in needed) <= NEAR_COST:
                cheap.append(node)
                before.update(dict.fromkeys(needed))
        return cheap, set(before)

    def _body(self, place, axis, variable, hoisted=None, only=None):
        """Loads and values of one element; returns the name of each, and whether it varies along the inner axis.

        Called before the inner loop for what does not vary, and with that as `hoisted` inside it for the rest.
        With `only` it stops at these values.
        """
        nest, w = self.nest, self.writer
        names = {} if hoisted is None else hoisted
        before = hoisted is None
        for key, o in nest.loads.items():
            if o.indices is not None:
                continue
            pointer = self.pointer[key]
            varies = self._varies(pointer, axis)
            if varies != before:
                at = f"{place[pointer]}, {self._index(pointer, axis, variable)}"
                scope = self.own.get(o.view.origin)
                w.line(f"{pointer}_v = " + (f"load({at})" if scope is None else f"load_own({at}, {scope})"))
                names[key] = f"{pointer}_v", varies
        for node in nest.values:
            if is_gather(node):
                self._gather(node, place, axis, variable, names, before)
                continue
            inputs = [self._operand(x, names) for x in node.inputs]
            varies = any(v for _, v in inputs)
            if varies != before and node not in names and (only is None or node in only):
                name = f"{node.primitive.name}{self.prefix}_{self.computed}"
                self.computed += 1
                w.line(f"{name} = {self._expression(node, [t for t, _ in inputs])}")
                names[node] = name, varies
        for k, o in enumerate(nest.stores):
            if o.indices is not None:
                self._place(f"y{self.prefix}{k}", o.indices, place, names)
        return names

    def _place(self, pointer, indices, place, names):
        """(pointer, offset) of where an index leads: a row whose place is known before the loop, or any."""
        if graph.is_constant(indices.view):
            index, moves = self._number(indices.view), False
        else:
            index, moves = names.get((indices.view.key(), indices.view.origin.dtype), ("", True))
        near = f"min(max({index}, 0), {pointer}_last)"
        if moves:
            return place[pointer], f"{near} * {pointer}_step + "
        if (pointer, "row") not in names:
            self.writer.line(f"{pointer}_i = {near}")
            self.writer.line(f"{pointer}_at = at({place[pointer]}, {pointer}_i * {pointer}_step)")
            names[pointer, "row"] = f"{pointer}_at", False
        return f"{pointer}_at", ""

    def _gather(self, node, place, axis, variable, names, before):
        """The load of a gathered element."""
        key = self.nest.reads[node]
        pointer = self.pointer[key]
        base, near = self._place(pointer, self.nest.loads[key].indices, place, names)
        varies = bool(near) or self._varies(pointer, axis)
        if varies != before and node not in names:
            self.writer.line(f"{pointer}_v = load({base}, {near}{self._index(pointer, axis, variable)})")
            names[node] = f"{pointer}_v", varies

    def _operand(self, x, names):
        origin = self.plan.sources[x].origin
        if graph.is_constant(origin):
            return self._number(origin), False
        if x in names:
            return names[x]
        key = load_key(x, self.plan, self.domain)
        if key in names:
            return names[key]
        return "", True  # comes later, inside the loop

    def _expression(self, node, texts):
        primitive = node.primitive
        if primitive.name == "astype":
            source, target = node.inputs[0].dtype, node.dtype
            if target.kind == "b":
                return f"{texts[0]} != to_{register(source)}(0)" if source.kind != "b" else texts[0]
            if target == "float16" and source.kind != "f":
                return f"to_float16(to_float32({texts[0]}))"
            return f"to_{name_of(target)}({texts[0]})"
        if primitive.name == "add_n":
            plus = " | " if node.dtype.kind == "b" else " + "
            while len(texts) > LONGEST_SUM:  # parsers recurse
                name = f"sum{self.prefix}_{self.computed}"
                self.computed += 1
                self.writer.line(f"{name} = {plus.join(texts[:LONGEST_SUM])}")
                texts = [name, *texts[LONGEST_SUM:]]
            text = plus.join(texts)
        elif node.dtype.kind == "b" and primitive.result == "same":
            text = {"add": "{0} | {1}", "multiply": "{0} & {1}", "maximum": "{0} | {1}", "minimum": "{0} & {1}",
                    "invert": "not {0}"}.get(primitive.name, primitive.expression)  # fmt: skip
            text = text.format(*texts) if text else self._call(node, texts)
        elif primitive.expression:
            text = primitive.expression.format(*texts)
        else:
            text = self._call(node, texts)
        if node.dtype.kind in "iu" and primitive.name not in ("where", "identity", "stop_gradient", "positive"):
            text = f"to_{name_of(node.dtype)}({text})"  # Numba widens small integers
        return text

    def _call(self, node, texts):
        dtype = name_of(next((x.dtype for x in node.inputs if x.dtype.kind != "b"), node.dtype))
        primitive = node.primitive.near if node in self.near else node.primitive
        # a function of its own, which no loop over vectors can call: long texts that are hardly ever needed
        name = f"{primitive.name}{APART if node in self.apart else '_'}{dtype}"
        self.names[name] = primitive, dtype
        return f"{name}({', '.join(texts)})"

    def _stores(self, place, axis, variable, names):
        for k, o in enumerate(self.nest.stores):
            pointer = f"y{self.prefix}{k}"
            text, _ = self._operand(o.node, names)
            base, at = place[pointer], self._index(pointer, axis, variable)
            if o.indices is not None:
                base, far = self._place(pointer, o.indices, place, names)
                at = far + at
            if o.mode == "add":
                plus = "|" if o.dtype.kind == "b" else "+"
                text = f"load_own({base}, {at}, {self._scope(k)}) {plus} {text}"
            self.writer.line(f"store({base}, {at}, {text}, {self._scope(k)})")

    def _scope(self, k):
        return min(self.first_scope + k, OUTPUT_SCOPES - 1)

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

    def operands(self):
        """Names of the pointers with their operands."""
        prefix, nest = self.prefix, self.nest
        yield from ((self.pointer[key], o) for key, o in nest.loads.items())
        yield from ((f"y{prefix}{k}", o) for k, o in enumerate(nest.stores))
        yield from ((f"r{prefix}{k}", o) for k, o in enumerate(nest.results))

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


class Kernel(Body):
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


def _first(first, dtype):
    import numpy

    if first in ("lowest", "highest"):
        if dtype.kind == "b":
            return first == "highest"
        if dtype.kind == "f":
            return -numpy.inf if first == "lowest" else numpy.inf
        facts = numpy.iinfo(dtype)
        return facts.min if first == "lowest" else facts.max
    return first
