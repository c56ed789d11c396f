"""Kernels of loops over small states: all steps in one text, which holds the state in registers."""

from nbgrad import graph
from nbgrad.compile.body import Body
from nbgrad.compile.scalars import Scalars, TooMuch
from nbgrad.compile.simplify import simplify
from nbgrad.compile.source import OUTPUT_SCOPES

#: Cost of a text from which it is a function of its own: one number at a time gains nothing from its being expanded.
APART_COST = 8


class Numbers:
    """A closed graph as numbers, and the lines that compute them.

    Parameters
    ----------
    body : nbgrad.control.body.Body

    Raises
    ------
    TooMuch
    """

    def __init__(self, body):
        inputs, captured, outputs = simplify(body.inputs, body.outputs)
        if captured:
            raise TooMuch
        scalars = self.scalars = Scalars(inputs, outputs)
        self.inputs, self.outputs = scalars.inputs, scalars.outputs
        self.order = graph.topological([n for part in self.outputs for n in part.reshape(-1)])
        self.needed = set(self.order)
        self.everything = [*self.order, *scalars.inside()]
        self.cost = len(self.everything)

    def constants(self, emitted, name):
        """Write the lines of the numbers that are known."""
        for node in self.everything:
            if graph.is_constant(node):
                name[node] = emitted._number(node)

    def load(self, w, pointer, letter, k, part, name, at=""):
        """Write the lines that load those numbers of an array that are needed."""
        for j, n in enumerate(part.reshape(-1)):
            if n in self.needed:
                name[n] = f"{letter}{k}_{j}"
                w.line(f"{name[n]} = load({pointer}, {at}{j})")

    def before(self, moving, name):
        """What can be computed before the loop: what no number that changes is in."""
        moving = {n for part in moving for n in part.reshape(-1)}
        for node in self.order:
            if any(x in moving for x in node.inputs):
                moving.add(node)
        return [n for n in self.order if n not in name and n not in moving and n.inputs]

    def compute(self, emitted, nodes, name):
        """Write a line for each of these numbers that has no name yet."""
        compute(emitted, nodes, self.scalars.choices, name)


def compute(emitted, nodes, choices, name):
    """Write lines that compute numbers; those of a choice all together."""
    for node in nodes:
        if node in name or not node.inputs:
            continue
        choice = choices.get(node)
        if choice is not None:
            _choose(emitted, choice, name)
            continue
        text = emitted._expression(node, [name[x] for x in node.inputs])
        name[node] = f"v{emitted.computed}"
        emitted.computed += 1
        emitted.writer.line(f"{name[node]} = {text}")


def _choose(emitted, choice, name):
    w, last = emitted.writer, len(choice.branches) - 1
    for n in choice.results:
        name[n] = f"b{emitted.computed}"
        emitted.computed += 1
    for k, branch in enumerate(choice.branches):
        if last:
            w.open("else:" if k == last else f"{'elif' if k else 'if'} {name[choice.number]} <= {k}:")
        inner = dict(name)
        for part, given in zip(branch.inputs, choice.operands, strict=True):
            inner.update({a: name[b] for a, b in zip(part.reshape(-1), given.reshape(-1), strict=True)})
        made = [n for part in branch.outputs for n in part.reshape(-1)]
        compute(emitted, graph.topological(made), branch.choices, inner)
        for n, x in zip(choice.results, made, strict=True):
            w.line(f"{name[n]} = {inner[x]}")
        if last:
            w.close()


def moved(w, changed):
    """Write the lines that put new numbers in the place of old ones: (old name, new name) of each that changes."""
    olds = {old for old, _ in changed}
    for j, (old, new) in enumerate(changed):  # what is overwritten and read is put aside
        if new in olds:
            w.line(f"m{j} = {new}")
            changed[j] = old, f"m{j}"
    for old, new in changed:
        w.line(f"{old} = {new}")


def changes(state, outputs, name):
    """The pairs for `moved` of a state and the next one."""
    return [
        (name[old], name[new])
        for part, made in zip(state, outputs, strict=False)
        for old, new in zip(part.reshape(-1), made.reshape(-1), strict=True)
        if old is not new
    ]


def emitter(w, words, names, numbers):
    """What writes expressions; costly texts are functions of their own."""
    made = Body(None, None, (), "", words, names, w)
    made.apart = frozenset(
        n for m in numbers for n in m.everything if n.primitive is not None and n.primitive.cost >= APART_COST
    )
    return made


def store(w, pointer, k, part, name, at=""):
    """Write the lines that store the numbers of an array."""
    for j, n in enumerate(part.reshape(-1)):
        w.line(f"store({pointer}, {at}{j}, {name[n]}, {min(k, OUTPUT_SCOPES - 1)})")


class LoopKernel(Numbers):
    """The source of a loop of a known number of steps.

    Parameters
    ----------
    rule : nbgrad.control.loop.Loop
    wanted : list of int
        Which results are stored, in the order of the outputs.
    """

    def __init__(self, rule, wanted):
        super().__init__(rule.body)
        self.rule, self.wanted = rule, wanted

    def write(self, w, words, names):
        """Write the lines behind the declaration of pointers ``x0, ..., out0, ...`` and of the length ``n0``."""
        rule = self.rule
        emitted, name = emitter(w, words, names, [self]), {}
        constants, state, slices = rule.parted(self.inputs)
        self.constants(emitted, name)
        for k, part in enumerate(constants):
            self.load(w, f"x{k}", "k", k, part, name)
        for k, part in enumerate(state):
            for j, n in enumerate(part.reshape(-1)):
                w.line(f"s{k}_{j} = load(x{rule.constants + k}, {j})")
                name[n] = f"s{k}_{j}"
        self.compute(emitted, self.before([*state, *slices], name), name)
        w.open("for t in range(0, n0):")
        w.line("u = n0 - 1 - t" if rule.reverse else "u = t")
        first = rule.constants + rule.states
        for k, part in enumerate(slices):
            self.load(w, f"x{first + k}", "a", k, part, name, f"u * {part.size} + ")
        for k, i in enumerate(self.wanted):
            if i >= rule.states + rule.results:
                part = state[i - rule.states - rule.results]
                store(w, f"out{k}", k, part, name, f"u * {part.size} + ")
        self.compute(emitted, self.order, name)
        for k, i in enumerate(self.wanted):
            if rule.states <= i < rule.states + rule.results:
                store(w, f"out{k}", k, self.outputs[i], name, f"u * {self.outputs[i].size} + ")
        moved(w, changes(state, self.outputs, name))
        w.close()
        for k, i in enumerate(self.wanted):
            if i < rule.states:
                store(w, f"out{k}", k, state[i], name)


class SweepKernel(Numbers):
    """The source of a sweep over steps whose number is known only when it runs.

    Its pointers are ``k0, ...`` to constants, ``r0, ...`` to what earlier sweeps kept, ``s0, ...`` to the state, which
    it leaves where it was, ``h0, ...`` to what is kept, ``at0`` to the step and the limit, and ``go0`` to the flag.

    Parameters
    ----------
    sweep : nbgrad.control.repeat.Sweep
    constants : int
    condition : Body or None
        Of a first sweep, which ends by it.
    kept : list of int
        Parts that are kept, states first.
    rows : dict
        By the name of a pointer to kept parts: (elements of a row, rows by which it is later than its step).
    """

    def __init__(self, sweep, constants, condition, kept, rows):
        super().__init__(sweep.body)
        self.sweep, self.count, self.kept, self.rows = sweep, constants, kept, rows
        self.condition = Numbers(condition) if condition is not None else None

    def pointers(self):
        """(name of the pointer, dtype) of each that the source declares."""
        at, first = self.count, self.count + len(self.sweep.reads)
        inputs = self.sweep.body.inputs
        named = [(f"k{i}", n) for i, n in enumerate(inputs[:at])]
        named += [(f"r{i}", n) for i, n in enumerate(inputs[at:first])]
        named += [(f"s{i}", n) for i, n in enumerate(inputs[first:])]
        named += [(f"h{p}", self.sweep.body.outputs[p]) for p in self.kept]
        return [*((name, str(n.dtype)) for name, n in named), ("at0", "int64"), ("go0", "bool")]

    def write(self, w, words, names):
        """Write the lines behind the declaration of the pointers."""
        numbers = [self] if self.condition is None else [self, self.condition]
        emitted, name, first = emitter(w, words, names, numbers), {}, self.count + len(self.sweep.reads)
        constants, read, state = self.inputs[: self.count], self.inputs[self.count : first], self.inputs[first:]
        for n in numbers:
            n.constants(emitted, name)
        for k, part in enumerate(constants):
            self.load(w, f"k{k}", "k", f"{k}_", part, name)
        for k, part in enumerate(state):
            for j, n in enumerate(part.reshape(-1)):
                name[n] = f"s{k}_{j}"
                w.line(f"{name[n]} = load(s{k}, {j})")
        self.compute(emitted, self.before([*state, *read], name), name)
        w.line("t, limit = load(at0, 0), load(at0, 1)")
        if self.condition is None:
            w.open("for u in range(0, limit):")
            w.line("t = limit - 1 - u" if self.sweep.back else "t = u")
        else:
            for k, part in enumerate(self.condition.inputs[: self.count]):
                self.condition.load(w, f"k{k}", "q", k, part, name)
            for part, own in zip(self.condition.inputs[self.count :], state, strict=True):
                name.update({a: name[b] for a, b in zip(part.reshape(-1), own.reshape(-1), strict=True)})
            known = self.condition.before(self.condition.inputs[self.count :], name)
            self.condition.compute(emitted, known, name)
            self._go(emitted, w, name)
            w.open("while go and t < limit:")
        for k, part in enumerate(read):
            self.load(w, f"r{k}", "a", k, part, name, self._row(f"r{k}"))
        self._keep(w, [p for p in self.kept if p < self.sweep.states], state, name)
        self.compute(emitted, self.order, name)
        self._keep(w, [p for p in self.kept if p >= self.sweep.states], self.outputs, name)
        moved(w, changes(state, self.outputs, name))
        if self.condition is not None:
            w.line("t += 1")
            self._go(emitted, w, name)
        w.close()
        for k, part in enumerate(state):
            store(w, f"s{k}", k, part, name)
        if self.condition is not None:
            w.line(f"store(at0, 0, t, {OUTPUT_SCOPES - 1})")
            w.line(f"store(go0, 0, go, {OUTPUT_SCOPES - 1})")

    def _go(self, emitted, w, name):
        own = dict(name)
        self.condition.compute(emitted, self.condition.order, own)
        w.line(f"go = {own[self.condition.outputs[0].reshape(-1)[0]]}")

    def _row(self, pointer):
        row, later = self.rows[pointer]
        return f"(t + 1) * {row} + " if later else f"t * {row} + "

    def _keep(self, w, kept, parts, name):
        for p in kept:
            store(w, f"h{p}", OUTPUT_SCOPES - 1, parts[p], name, self._row(f"h{p}"))
