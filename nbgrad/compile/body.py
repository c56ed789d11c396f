"""Body: what is computed for each element of a nest, as lines of Python source.

The source depends on structure only: ranks, dtypes, which strides are 0 or 1, what is fused.  Extents,
strides, addresses and constants are words of the table, so a new size or a new number compiles nothing.
"""

from nbgrad import graph
from nbgrad.compile.border import zeros_around
from nbgrad.compile.indexed import is_gather
from nbgrad.compile.nest import load_key
from nbgrad.compile.reductions import start_of
from nbgrad.compile.source import APART, OUTPUT_SCOPES, name_of, register
from nbgrad.shapes import size

#: Cost of finding out the arguments of a primitive up to which a loop looks whether they are near.
NEAR_COST = 8
#: Terms of one expression.
LONGEST_SUM = 32


class Body:
    """Declarations and values of one nest, written line by line; its loops are for those who know the machine.

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

    @property
    def flops(self):
        """Operations of all elements, about."""
        each = sum(n.primitive.cost for n in (*self.nest.values, *(o.node for o in self.nest.results)))
        return each * size(self.nest.extents)

    def operands(self):
        """Names of the pointers with their operands."""
        prefix, nest = self.prefix, self.nest
        yield from ((self.pointer[key], o) for key, o in nest.loads.items())
        yield from ((f"y{prefix}{k}", o) for k, o in enumerate(nest.stores))
        yield from ((f"r{prefix}{k}", o) for k, o in enumerate(nest.results))

    # ------------------------------------------------------------ declarations

    def around(self, pointer, around):
        """Zeros around the places of an embedding to which `pointer` points."""
        zeros_around(self.writer, self.words, pointer, around)

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
                self.around(f"y{self.prefix}{k}", o.around)
        for k, o in enumerate(nest.results):
            w.line(f"r{self.prefix}{k} = pointer_{name_of(o.dtype)}(args, {self.words.address(o.view, 'result')})")
            self._declare_strides(f"r{self.prefix}{k}", o)
            partial = self.words.address(o.view, "partial")
            w.line(f"partial{self.prefix}{k} = pointer_{name_of(o.dtype)}(args, {partial})")
            index = self.words.add((start_of(o.node.primitive.name, o.dtype), o.dtype))
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
            if operand.indices.load is None:
                self._number(operand.indices.number)

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
        self._values(place, axis, variable, names, before, only)
        for k, o in enumerate(nest.stores):
            if o.indices is not None:
                self._place(f"y{self.prefix}{k}", o.indices, place, names)
        return names

    def _values(self, place, axis, variable, names, before, only=None):
        """Values of one element, of what is loaded and in `names`."""
        w = self.writer
        for node in self.nest.values:
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

    def _place(self, pointer, indices, place, names):
        """(pointer, offset) of where an index leads: a row whose place is known before the loop, or any."""
        if indices.load is None:
            index, moves = self._number(indices.number), False
        else:
            index, moves = names.get(indices.load, ("", True))
        near = f"min(max({index}, 0), {pointer}_last)"
        if moves:
            return place[pointer], f"{near} * {pointer}_step + "
        if (pointer, "row") not in names:
            self.writer.line(f"{pointer}_index = {near}")
            self.writer.line(f"{pointer}_at = at({place[pointer]}, {pointer}_index * {pointer}_step)")
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
