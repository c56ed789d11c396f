"""loop: a primitive whose steps are a graph, with its rule, and what it is of stacked operands.

A loop has constants, a state that each step hands on to the next, slices of which each step reads one, and results of
each step that are stacked.  Its nodes are one for each result, all with the same inputs: the final parts of the state,
the stacked results, and, where a backward pass reads them, the parts of the state before each step.
"""

import dataclasses

import numpy

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.control import outside
from nbgrad.control.body import Body, lifted, reached
from nbgrad.graph import Node
from nbgrad.primitive import structural


@dataclasses.dataclass(frozen=True)
class Loop(ruled.Rule):
    """What a loop does.

    Attributes
    ----------
    body : Body
        Of constants, state and slices; its outputs are the next state and the results of the step.
    constants, states, slices : int
        How many inputs of each kind there are.
    length : int
    reverse : bool
        From the last slice to the first.
    """

    body: Body
    constants: int
    states: int
    slices: int
    length: int
    reverse: bool
    _last: dict = dataclasses.field(default_factory=dict, init=False, compare=False, repr=False)

    def __reduce__(self):
        return Loop, tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.init)

    @property
    def results(self):
        """How many stacked results there are."""
        return len(self.body.outputs) - self.states

    @property
    def count(self):
        """How many results there are in all."""
        return 2 * self.states + self.results

    @property
    def small(self):
        """Whether it is a kernel that holds the state in registers."""
        return self.body.is_of_numbers(self)

    def aval(self, index):
        """Shape and dtype of result number `index`."""
        if index < self.states:
            n = self.body.outputs[index]
            return n.shape, n.dtype
        index -= self.states
        n = (self.body.outputs[self.states :] + self.body.inputs[self.constants : self.constants + self.states])[index]
        return (self.length, *n.shape), n.dtype

    def with_bodies(self, change):
        """The same of another body."""
        return dataclasses.replace(self, body=change(self.body))

    def output(self, inputs, index):
        """The node of a result."""
        return graph.structural(loop, tuple(inputs), {"index": index, "rule": self})

    def parted(self, inputs):
        """(constants, initial state, slices)."""
        inputs, first = list(inputs), self.constants + self.states
        return inputs[: self.constants], inputs[self.constants : first], inputs[first:]

    def by_steps(self, *values, wanted, patience=None):
        """The results in `wanted`, by NumPy."""
        constants, state, slices = self.parted(values)
        stacks = {i: numpy.empty(*self.aval(i)) for i in wanted if i >= self.states}
        interpreter, before = self.body.interpreter(), self.states + self.results
        for t in reversed(range(self.length)) if self.reverse else range(self.length):
            for i, stack in stacks.items():
                if i >= before:
                    stack[t] = state[i - before]
            if patience is not None:
                patience.spend(len(interpreter))
            made = interpreter.run([*constants, *state, *(x[t] for x in slices)], patience)
            state = made[: self.states]
            for i, stack in stacks.items():
                if i < before:
                    stack[t] = made[i]
        return [stacks[i] if i in stacks else numpy.array(state[i]) for i in wanted]

    def place(self, number, done):
        """In words, where the rule is when its body has been run `done[0]` times."""
        step = self.length - 1 - done[0] if self.reverse else done[0]
        return f"step {step} of a loop of {self.length} step{'s' if self.length != 1 else ''}"

    # ------------------------------------------------------------ derivatives

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: a loop the other way round, whose state is the cotangent of the state, and sums for constants."""
        constants, initial, slices = self.parted(inputs)
        states, results = self.states, self.results
        fresh = [_like(n) for n in self.body.inputs]
        own, before, read = self.parted(fresh)
        outputs = self.body.applied(fresh)
        carried = [k for k in range(states) if dtypes.is_inexact(initial[k].dtype)]
        summed = [k for k, n in enumerate(constants) if n in needed]
        given = []  # (placeholder, stack) of cotangents of which each step reads a slice
        seeds = {k: _like(before[k]) for k in carried}
        incoming, seeded = dict(seeds), [outputs[k] for k in carried]
        for k in range(results):
            if states + k in cotangents and dtypes.is_inexact(outputs[states + k].dtype):
                incoming[states + k] = _like(outputs[states + k])
                given.append((incoming[states + k], cotangents[states + k]))
                seeded.append(outputs[states + k])
        wanted = [before[k] for k in carried] + [own[k] for k in summed]
        wanted += [read[k] for k, n in enumerate(slices) if n in needed]
        found = backward.sweep(seeded, list(incoming.values()), wanted, stops=wanted)
        found = [backward.zeros(x) if c is None else c for c, x in zip(found, wanted, strict=True)]
        made = list(found)
        for i, k in enumerate(carried):
            further = cotangents.get(states + results + k)
            if further is not None:
                given.append((_like(before[k]), further))
                made[i] = backward.accumulate([made[i], given[-1][0]])
        stacks = {n: self.output(inputs, states + results + k) for k, n in enumerate(before)}
        stacks.update(zip(read, slices, strict=True))
        stacks.update(given)
        made = self._read_again(made, outputs, fresh, inputs, stacks)
        after, totals = {}, {}  # by the index in `made`: products of all steps, and placeholders of sums
        for i, k in enumerate(summed, len(carried)):
            after[i], terms = ([], [made[i]]) if self.small else outside.products(made[i])
            if terms:
                totals[i] = _like(own[k])
                made[i] = backward.accumulate([totals[i], *terms])
        kept = [*range(len(carried)), *totals, *range(len(carried) + len(summed), len(made))]
        factors = {n: outside.read(n, stacks) for found in after.values() for p in found for n in p.factors}
        computed = [n for n, stack in factors.items() if stack is None]
        made = [*(made[i] for i in kept), *computed]
        used = reached(made, [*own, *stacks])
        fixed = {n: s for n, s in zip(own, constants, strict=True) if n in used}
        moving = {n: s for n, s in stacks.items() if n in used}
        state = [*seeds.values(), *totals.values()]
        start = [cotangents.get(k) or backward.zeros(before[k]) for k in carried]
        start += [backward.zeros(t) for t in totals.values()]
        outer = lifted(made, [*fixed, *state, *moving])
        body = Body([*fixed, *outer, *state, *moving], made)
        back = Loop(body, len(fixed) + len(outer), len(state), len(moving), self.length, not self.reverse)
        operands = [*fixed.values(), *outer, *start, *moving.values()]
        pulled = {i: back.output(operands, k) for k, i in enumerate(kept)}
        factors.update({n: back.output(operands, k) for k, n in enumerate(computed, len(kept))})
        for i, found in after.items():
            parts = [pulled[i]] if i in pulled else []
            parts += [p.of_all([factors[n] for n in p.factors]) for p in found]
            pulled[i] = backward.accumulate(parts)
        answers = {n: Array(pulled[i]) for i, n in enumerate(wanted)}
        return tuple(answers.get(n) for n in fresh)

    def _read_again(self, made, outputs, fresh, inputs, stacks):
        """`made` with results of a step that are products of matrices read and not computed; adds to `stacks`."""
        if self.small:
            return made
        placeholders, (_, before, _) = {}, self.parted(fresh)
        read = reached(made, outside.multiplied(outputs, fresh))
        for k, n in enumerate(outputs):
            if n in read and n not in placeholders:
                stack = self.output(inputs, k)
                if k < self.states:
                    stack = outside.shifted(stacks[before[k]], stack, self.reverse)
                placeholders[n] = _like(n)
                stacks[placeholders[n]] = stack
        return ruled.copied(made, placeholders)

    # ------------------------------------------------------------ stacked operands

    def stacked(self, mapped, size):
        """(the loop of all examples, which parts of the state and results then have them)."""
        from nbgrad.batching.rules import everywhere, of_graph

        own, before, read = self.parted(mapped)
        before = list(before)
        while True:  # a part of the state has examples if it gets them in any step
            many = [*own, *before, *read]
            wide = [
                Node(None, (), (), (size, *n.shape) if m else n.shape, n.dtype, None, True)
                for n, m in zip(self.body.inputs, many, strict=True)
            ]
            single = [_like(n) for n in self.body.inputs]
            placeholders = [s for s, m in zip(single, many, strict=True) if m]
            operands = [w for w, m in zip(wide, many, strict=True) if m]
            inside = [s if m else w for s, w, m in zip(single, wide, many, strict=True)]
            outputs, found = of_graph(self.body.applied(inside), placeholders, operands, size)
            grown = [a or b for a, b in zip(before, found[: self.states], strict=True)]
            if grown == before:
                break
            before = grown
        outputs = [
            everywhere(n, size) if k < self.states and before[k] and not m else n
            for k, (n, m) in enumerate(zip(outputs, found, strict=True))
        ]
        outer = lifted(outputs, wide)
        body = Body([*outer, *wide], outputs)
        made = dataclasses.replace(self, body=body, constants=self.constants + len(outer))
        return made, outer, before, found[self.states :]


def _like(n):
    """A placeholder for a node."""
    return Node(None, (), (), n.shape, n.dtype, None, True)


@structural("loop", reference=lambda *xs, index, rule: rule.by_steps(*xs, wanted=[index])[0])
def loop(*xs, index, rule):
    """A result of a loop: see `Loop`."""
    return rule.aval(index)


@loop.batched
def loop_batched(size, mapped, *xs, index, rule):
    from nbgrad.batching.rules import everywhere

    if rule.small:
        return None  # each example in registers of its own
    made, inputs, many = _stacked(size, mapped, tuple(x._node for x in xs), rule)
    node = made.output(inputs, index)
    if not many[index]:
        return Array(everywhere(node, size))
    return Array(node if index < rule.states else _swapped(node))


def _stacked(size, mapped, nodes, rule):
    """(the loop of all examples, its inputs, which results have them), the same for all results of one call."""
    from nbgrad.batching.rules import everywhere

    key = size, mapped, nodes
    if key in rule._last:
        return rule._last[key]
    made, outer, states, results = rule.stacked(mapped, size)
    _, before, read = rule.parted(mapped)
    constants, initial, slices = rule.parted(nodes)
    initial = [everywhere(n, size) if s and not m else n for n, m, s in zip(initial, before, states, strict=True)]
    slices = [_swapped(n) if m else n for n, m in zip(slices, read, strict=True)]
    answer = made, (*outer, *constants, *initial, *slices), [*states, *results, *states]
    rule._last.clear()  # results of one call come one after another
    rule._last[key] = answer
    return answer


def _swapped(n):
    """The examples in front of the steps, or the steps in front of the examples."""
    from nbgrad.kernels.shape import transpose

    return graph.structural(transpose, (n,), {"axes": (1, 0, *range(2, len(n.shape)))})
