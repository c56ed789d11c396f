"""Dependence through values whose derivatives are a rule of somebody's (see `nbgrad.autodiff.ruled`).

A pullback is linear, and its pattern is that of the Jacobian, transposed: it is found on the graph that the rule makes.
"""

import numpy

from nbgrad import graph
from nbgrad.autodiff import backward
from nbgrad.graph import Node
from nbgrad.kernels.casting import identity
from nbgrad.sparse.dependence import limited, union


def of_ruled(node, own, find):
    """The matrix of a node of the primitive ``ruled``, from those of its inputs.

    `find` is ``find(outputs, wrappers, since)``: the pattern of a graph.
    """
    attrs = dict(node.attrs)
    if attrs["rule"].of_value:
        return own[attrs["index"]]
    seed = Node(identity, (backward.zeros(node),), (), node.shape, node.dtype, None, True)
    needed = {x for x, p in zip(node.inputs, own, strict=True) if p is not None}
    parts = []
    for p, cotangents in zip(own, _pulled(node, attrs["index"], seed, needed), strict=True):
        for c in cotangents:
            transposed = find([c], [seed], seed.serial + 1)
            limited(int((numpy.diff(transposed.indptr).astype(numpy.int64) * numpy.diff(p.indptr)).sum()))
            parts.append((transposed.T.tocsr() @ p).tocsr())
    for part in parts:
        part.sum_duplicates()
    return union(parts)


def _pulled(node, index, seed, needed):
    """For each input the list of its cotangents, as graphs of the seed: as a sweep would ask for them."""
    state = graph.state
    previous = state.static, state.sites
    state.static, state.sites = True, False
    try:
        return backward.asked(node, {index: seed}, needed)
    finally:
        state.static, state.sites = previous
