"""Gather and scatter along one axis by an integer array; every form of advanced indexing is made of these.

Indices are normalised to 0 <= i < n before they get here.
"""

import numpy

from nbgrad.kernels.selection import where
from nbgrad.primitive import full, structural


@structural("gather", reference=lambda x, i, axis: numpy.take(x, i, axis=axis))
def take(x, i, *, axis):
    """Slices of x along `axis` at the indices i."""
    return (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]), x.dtype


@take.vjp
def take_vjp(g, x1, x2, axis):
    return scatter_add(zeros_like(x1), x2, g, axis=axis), None


def zeros_like(x):
    """Structural zeros in the shape and dtype of x."""
    return full(x.shape, 0, x.dtype)


def _at(out, i, v, axis, combine):
    lead = out.ndim - (out.ndim - axis - 1) - 1
    moved = numpy.moveaxis(out, axis, 0)
    inner = numpy.moveaxis(v, tuple(range(lead, lead + i.ndim)), tuple(range(i.ndim)))
    if combine is None:
        moved[i] = inner
    else:
        combine.at(moved, i, inner)
    return out


@structural("scatter", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, numpy.add))
def scatter_add(x, i, v, *, axis):
    """x with v added at the indices i along `axis`; repeated indices add up, in order."""
    return x.shape, x.dtype


@scatter_add.vjp
def scatter_add_vjp(g, x2, axis):
    return g, None, take(g, x2, axis=axis)


@structural("scatter", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, None))
def put(x, i, v, *, axis):
    """x with v written at the indices i along `axis`; of repeated indices the last one wins."""
    return x.shape, x.dtype


@put.vjp
def put_vjp(g, x2, x3, axis):
    from nbgrad import graph

    # Only the last writer of an element receives its cotangent.
    count = numpy.arange(max(int(numpy.prod(x2.shape)), 1))[: int(numpy.prod(x2.shape))].reshape(x2.shape)
    array = graph.Array
    ids = array(graph.table(count))
    slots = array(graph.table(numpy.full(g.shape[axis], -1)))
    winner = take(put(slots, x2, ids, axis=0), x2, axis=0) == ids
    winner = winner.reshape(x2.shape + (1,) * (len(g.shape) - axis - 1))
    return put(g, x2, zeros_like(x3), axis=axis), None, where(winner, take(g, x2, axis=axis), 0.0)
