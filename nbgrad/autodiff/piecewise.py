"""Piecewise: what a text computes that branches on values, as a choice between its paths for each element.

A derivative of a choice by masked cotangents multiplies 0 by the derivative of the path that is not taken, which may be
infinite.  So the rule here differentiates each path as if all elements took it, and chooses between the derivatives.
"""

import dataclasses

import numpy

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.control.body import Body, closed, lifted, placeholder, traced

#: Paths through a text, and truths that one of them may ask for.
MOST_PATHS, MOST_TESTS = 64, 256


class TooManyPaths(Exception):
    """A text branches in more ways than are told apart."""


@dataclasses.dataclass(frozen=True)
class Piecewise(ruled.Rule):
    """One of several graphs for each element.

    Attributes
    ----------
    tree : int or tuple
        The number of a path, or (the number of a test, the tree where it holds, the tree where it does not).
    tests : Body
        Truths of the operands.
    paths : tuple of Body
        Results of the operands.
    """

    of_value = True
    tree: object
    tests: Body
    paths: tuple

    @property
    def counts(self):
        """How many results there are, and operands."""
        return len(self.paths[0].outputs), len(self.tests.inputs)

    def results(self, operands):
        """The nodes of the results, whose derivatives are by this rule."""
        tests = self.tests.applied(operands)
        made = [path.applied(operands) for path in self.paths]
        values = [self._chosen(self.tree, tests, [path[k] for path in made]) for k in range(self.counts[0])]
        return ruled.results(self, (*values, *operands), len(values))

    def _chosen(self, tree, tests, values):
        from nbgrad.kernels.selection import where

        if not isinstance(tree, tuple):
            return values[tree]
        test, holds, fails = tree
        parts = [self._chosen(part, tests, values) for part in (holds, fails)]
        return where(Array(tests[test]), *map(Array, parts))._node

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: the pullback of each path, and the same choice between them."""
        count = self.counts[0]
        operands = inputs[count:]
        fresh = [placeholder("grad", n.shape, n.dtype, n) for n in operands]
        seeds = {k: placeholder("grad", c.shape, c.dtype, c) for k, c in cotangents.items()}
        wanted = [n for n, x in zip(fresh, operands, strict=True) if x in needed and dtypes.is_inexact(x.dtype)]
        own, groups = [*fresh, *seeds.values()], []
        for path in self.paths:
            outputs = path.applied(fresh)
            found = backward.sweep([outputs[k] for k in seeds], list(seeds.values()), wanted, stops=wanted)
            groups.append([backward.zeros(x) if c is None else c for c, x in zip(found, wanted, strict=True)])
        outer = lifted([n for group in groups for n in group], own)  # tables that rules read
        inside = [*outer, *own]
        back = Piecewise(self.tree, Body(inside, self.tests.applied(fresh)), tuple(Body(inside, g) for g in groups))
        made = dict(zip(wanted, back.results([*outer, *operands, *cotangents.values()]), strict=True))
        return (*(None,) * count, *(Array(made[n]) if n in made else None for n in fresh))

    def batched(self, inputs, mapped, size):
        """See `Rule`."""
        from nbgrad.autodiff.custom import stacked

        return stacked(self, inputs, mapped, size)


def followed(call, text, operands):
    """The result of a text of Arrays along all of its paths, as a node; None where it depends on no operand.

    Parameters
    ----------
    call : str
        What traces it, for errors.
    text : callable
    operands : list of Node
        All of one shape.

    Raises
    ------
    TooManyPaths
    """
    start = next(graph.serials)
    own = [placeholder(call, n.shape, n.dtype, n) for n in operands]
    tests, results = [], []

    def tree(decided):
        if len(results) == MOST_PATHS:
            raise TooManyPaths
        asked, found = _along(text, own, decided)
        results.append(found)
        made = len(results) - 1
        for k in reversed(range(len(decided), len(asked))):
            tests.append(asked[k])
            test = len(tests) - 1
            made = (test, made, tree([*decided, *(True,) * (k - len(decided)), False]))
        return made

    whole = tree([])
    if not any(isinstance(r, Array) for r in results):
        return None
    dtype = numpy.result_type(*(r.dtype for r in results if isinstance(r, Array)))
    nodes = [_filled(call, r, dtype, operands[0].shape) for r in results]
    constants, (choices, *paths) = closed([tests, *([n] for n in nodes)], own, start)
    rule = Piecewise(whole, choices, tuple(paths))
    if len(paths) == 1:
        return paths[0].applied([*constants, *operands])[0]
    return rule.results([*constants, *operands])[0]


def _along(text, own, decided):
    """(the truths that a text asks for, its result) when the first of them are decided, and the others hold."""
    asked = []

    def decide(node):
        if len(asked) == MOST_TESTS:
            raise TooManyPaths
        asked.append(node)
        return decided[len(asked) - 1] if len(asked) <= len(decided) else True

    before, graph.state.decide = graph.state.decide, decide
    try:
        return asked, traced(text, *map(Array, own))
    finally:
        graph.state.decide = before


def _filled(call, result, dtype, shape):
    """A result of a path as a node of the shape of all."""
    from nbgrad.kernels.shape import broadcast_to

    if not isinstance(result, Array):
        return graph.constant(result, dtype, shape)
    node = graph.cast(result._node, dtype)
    return node if node.shape == shape else broadcast_to(Array(node), shape=shape)._node
