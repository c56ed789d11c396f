"""Gather and scatter along one axis by an integer array; every form of advanced indexing is made of these.

Indices are normalised to 0 <= i < n before they get here.
"""

import numpy

from nbgrad import graph
from nbgrad.kernels.selection import where
from nbgrad.kernels.shape import each_its_own, reshape, transpose
from nbgrad.primitive import full, structural


@structural("gather", reference=lambda x, i, axis: numpy.take(x, i, axis=axis))
def take(x, i, *, axis):
    """Slices of x along `axis` at the indices i."""
    return (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]), x.dtype


@take.batched
def take_batched(size, mapped, x, i, axis):
    if not mapped[1]:
        return take(x, i, axis=axis + 1)
    if not mapped[0]:
        rank = len(i.shape)
        y = take(x, i, axis=axis)  # the examples are behind the axes before `axis`
        return transpose(y, axes=(axis, *range(axis), *range(axis + 1, axis + rank), *range(axis + rank, len(y.shape))))
    rank = len(i.shape) - 1
    y = take(_one_axis(x, axis), _of_all(i, x.shape[axis + 1]), axis=0)
    lead = tuple(range(1 + rank, 1 + rank + axis))
    return transpose(y, axes=(0, *lead, *range(1, 1 + rank), *range(1 + rank + axis, len(y.shape))))


def _one_axis(x, axis):
    """The examples and the axis that is indexed, as one first axis."""
    rank = len(x.shape)
    moved = transpose(x, axes=(0, axis + 1, *range(1, axis + 1), *range(axis + 2, rank)))
    return reshape(moved, shape=(moved.shape[0] * moved.shape[1], *moved.shape[2:]))


def _of_all(i, n):
    """Indices along that axis, of indices below n for each example."""
    first = numpy.arange(i.shape[0], dtype=i.dtype).reshape(-1, *(1,) * (len(i.shape) - 1)) * n
    return i + graph.Array(graph.table(first))


def _scattered_batched(primitive):
    def rule(size, mapped, x, i, v, axis):
        if not mapped[1]:
            x, v = each_its_own(size, (mapped[0], mapped[2]), (x, v))
            return primitive(x, i, v, axis=axis + 1)
        x, i, v = each_its_own(size, mapped, (x, i, v))
        rank, n = len(i.shape) - 1, x.shape[axis + 1]
        ahead = tuple(range(1 + axis, 1 + axis + rank))
        v = transpose(v, axes=(0, *ahead, *range(1, 1 + axis), *range(1 + axis + rank, len(v.shape))))
        y = primitive(_one_axis(x, axis), _of_all(i, n), v, axis=0)
        y = reshape(y, shape=(size, n, *y.shape[1:]))
        return transpose(y, axes=(0, *range(2, 2 + axis), 1, *range(2 + axis, len(y.shape))))

    return rule


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


scatter_add.batched(_scattered_batched(scatter_add))


@scatter_add.vjp
def scatter_add_vjp(g, x2, axis):
    return g, None, take(g, x2, axis=axis)


@structural("scatter", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, None))
def put(x, i, v, *, axis):
    """x with v written at the indices i along `axis`; of repeated indices the last one wins."""
    return x.shape, x.dtype


put.batched(_scattered_batched(put))


@put.vjp
def put_vjp(g, x2, x3, axis):
    # Only the last writer of an element receives its cotangent.
    count = numpy.arange(max(int(numpy.prod(x2.shape)), 1))[: int(numpy.prod(x2.shape))].reshape(x2.shape)
    array = graph.Array
    ids = array(graph.table(count))
    slots = array(graph.table(numpy.full(g.shape[axis], -1)))
    winner = take(put(slots, x2, ids, axis=0), x2, axis=0) == ids
    winner = winner.reshape(x2.shape + (1,) * (len(g.shape) - axis - 1))
    return put(g, x2, zeros_like(x3), axis=axis), None, where(winner, take(g, x2, axis=axis), 0.0)
