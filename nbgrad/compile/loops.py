"""Loops: a launch each, all steps of which run in one kernel that holds the state in registers."""

from nbgrad import graph
from nbgrad.compile.body import Body
from nbgrad.compile.scalars import Scalars, TooMuch
from nbgrad.compile.simplify import simplify
from nbgrad.compile.source import OUTPUT_SCOPES

#: Cost of a text from which it is a function of its own: one number at a time gains nothing from its being expanded.
APART_COST = 8


class LoopKernel:
    """The source of a loop: the numbers of its step, straight down, inside of one loop.

    Parameters
    ----------
    rule : nbgrad.control.loop.Loop
    wanted : list of int
        Which results are stored, in the order of the outputs.
    """

    def __init__(self, rule, wanted):
        inputs, captured, outputs = simplify(rule.body.inputs, rule.body.outputs)
        if captured:
            raise TooMuch
        self.rule, self.wanted = rule, wanted
        self._scalars = Scalars(inputs, outputs)
        self._order = graph.topological([n for part in self._scalars.outputs for n in part.reshape(-1)])
        self.cost = len(self._order)

    def write(self, w, words, names):
        """Write the lines behind the declaration of pointers ``x0, ..., out0, ...`` and of the length ``n0``."""
        rule, scalars = self.rule, self._scalars
        body = Body(None, None, (), "", words, names, w)
        body.apart = frozenset(n for n in self._order if n.primitive is not None and n.primitive.cost >= APART_COST)
        constants, state, slices = rule.parted(scalars.inputs)
        needed, name = set(self._order), {}
        for node in self._order:
            if graph.is_constant(node):
                name[node] = body._number(node)
        for k, part in enumerate(constants):
            self._load(w, f"x{k}", "k", k, part, name, needed, "")
        for k, part in enumerate(state):
            for j, n in enumerate(part.reshape(-1)):
                w.line(f"s{k}_{j} = load(x{rule.constants + k}, {j})")
                name[n] = f"s{k}_{j}"
        moving = {n for part in (*state, *slices) for n in part.reshape(-1)}
        for node in self._order:
            if any(x in moving for x in node.inputs):
                moving.add(node)
        before = [n for n in self._order if n not in name and n not in moving and n.inputs]
        self._compute(body, before, name)
        w.open("for t in range(0, n0):")
        w.line("u = n0 - 1 - t" if rule.reverse else "u = t")
        first = rule.constants + rule.states
        for k, part in enumerate(slices):
            self._load(w, f"x{first + k}", "a", k, part, name, needed, f"u * {part.size} + ")
        for k, i in enumerate(self.wanted):
            if i >= rule.states + rule.results:
                self._store(w, k, state[i - rule.states - rule.results], name, True)
        self._compute(body, [n for n in self._order if n not in name and n.inputs], name)
        for k, i in enumerate(self.wanted):
            if rule.states <= i < rule.states + rule.results:
                self._store(w, k, scalars.outputs[i], name, True)
        changed = [
            (name[old], name[new])
            for part, made in zip(state, scalars.outputs, strict=False)
            for old, new in zip(part.reshape(-1), made.reshape(-1), strict=True)
            if old is not new
        ]
        olds = {old for old, _ in changed}
        for j, (old, new) in enumerate(changed):  # what is overwritten and read is put aside
            if new in olds:
                w.line(f"m{j} = {new}")
                changed[j] = old, f"m{j}"
        for old, new in changed:
            w.line(f"{old} = {new}")
        w.close()
        for k, i in enumerate(self.wanted):
            if i < rule.states:
                self._store(w, k, state[i], name, False)

    @staticmethod
    def _load(w, pointer, letter, k, part, name, needed, at):
        for j, n in enumerate(part.reshape(-1)):
            if n in needed:
                name[n] = f"{letter}{k}_{j}"
                w.line(f"{name[n]} = load({pointer}, {at}{j})")

    @staticmethod
    def _store(w, k, part, name, stacked):
        at = f"u * {part.size} + " if stacked else ""
        for j, n in enumerate(part.reshape(-1)):
            w.line(f"store(out{k}, {at}{j}, {name[n]}, {min(k, OUTPUT_SCOPES - 1)})")

    @staticmethod
    def _compute(body, nodes, name):
        for node in nodes:
            text = body._expression(node, [name[x] for x in node.inputs])
            name[node] = f"v{body.computed}"
            body.computed += 1
            body.writer.line(f"{name[node]} = {text}")
