"""switch: a primitive of one of several graphs, chosen by a number, with its rule."""

import dataclasses

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.control.body import Body, lifted, placeholder, reached
from nbgrad.primitive import structural


@dataclasses.dataclass(frozen=True)
class Choice(ruled.Rule):
    """What a choice does.

    The inputs are a number, below 0 the first and above all the last, and what all branches are given.

    Attributes
    ----------
    branches : tuple of Body
        All of the same inputs, with outputs of the same shapes and dtypes.
    """

    branches: tuple

    @property
    def count(self):
        """How many results there are."""
        return len(self.branches[0].outputs)

    def aval(self, index):
        """Shape and dtype of result number `index`."""
        n = self.branches[0].outputs[index]
        return n.shape, n.dtype

    def with_bodies(self, change):
        """The same between other branches."""
        return Choice(tuple([change(b) for b in self.branches]))

    def output(self, inputs, index):
        """The node of a result."""
        return graph.structural(switch, tuple(inputs), {"index": index, "rule": self})

    def chosen(self, number):
        """The branch for a number."""
        return self.branches[max(0, min(int(number), len(self.branches) - 1))]

    def by_steps(self, number, *values, wanted, patience=None):
        """The results in `wanted`, by NumPy."""
        made = self.chosen(number).interpreter().run(values, patience)
        return [made[i] for i in wanted]

    def place(self, number, done):
        """In words, where the rule is when it runs branch `number`."""
        return f"branch {number} of a choice between {len(self.branches)}"

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: a choice between the pullbacks of the branches."""
        number, *operands = inputs
        like = self.branches[0].inputs
        fresh = [placeholder("switch", n.shape, n.dtype, n) for n in like]
        given = {i: placeholder("switch", c.shape, c.dtype, c) for i, c in cotangents.items()}
        asked = [k for k, n in enumerate(operands) if n in needed]
        wanted, groups = [fresh[k] for k in asked], []
        for branch in self.branches:
            outputs = branch.applied(fresh)
            seeded = [i for i in given if dtypes.is_inexact(outputs[i].dtype)]
            found = backward.sweep([outputs[i] for i in seeded], [given[i] for i in seeded], wanted, stops=wanted)
            groups.append([backward.zeros(x) if c is None else c for c, x in zip(found, wanted, strict=True)])
        own, sources = [*fresh, *given.values()], [*operands, *cotangents.values()]
        made = [n for group in groups for n in group]
        used = reached(made, own)
        kept = [(n, s) for n, s in zip(own, sources, strict=True) if n in used]
        outer = lifted(made, own)
        inside = [*outer, *(n for n, _ in kept)]
        back = Choice(tuple([Body(inside, group) for group in groups]))
        inputs = [number, *outer, *(s for _, s in kept)]
        answers = {k: Array(back.output(inputs, i)) for i, k in enumerate(asked)}
        return (None, *(answers.get(k) for k in range(len(operands))))

    def stacked(self, mapped, size):
        """(the choice of all examples, its further inputs): of a number that all examples share."""
        from nbgrad.batching.rules import everywhere, of_graph

        like, many = self.branches[0].inputs, mapped[1:]
        single = [placeholder("vmap", n.shape, n.dtype, n) for n in like]
        wide = [placeholder("vmap", (size, *n.shape) if m else n.shape, n.dtype, n)
                for n, m in zip(like, many, strict=True)]  # fmt: skip
        inside = [s if m else w for s, w, m in zip(single, wide, many, strict=True)]
        groups = []
        for branch in self.branches:
            placeholders = [s for s, m in zip(single, many, strict=True) if m]
            operands = [w for w, m in zip(wide, many, strict=True) if m]
            outputs, found = of_graph(branch.applied(inside), placeholders, operands, size)
            groups.append([n if m else everywhere(n, size) for n, m in zip(outputs, found, strict=True)])
        outer = lifted([n for group in groups for n in group], wide)
        return Choice(tuple([Body([*outer, *wide], group) for group in groups])), outer


@structural("switch", reference=lambda *xs, index, rule: rule.by_steps(*xs, wanted=[index])[0])
def switch(*xs, index, rule):
    """A result of a choice: see `Choice`."""
    return rule.aval(index)


@switch.batched
def switch_batched(size, mapped, number, *xs, index, rule):
    if mapped[0]:
        return None  # each example takes its own branch
    made, outer = rule.stacked(mapped, size)
    return Array(made.output([number._node, *outer, *(x._node for x in xs)], index))
