"""Gather and scatter along one axis by an integer array; every form of advanced indexing is made of these.

Indices are normalised to 0 <= i < n before they get here.
"""

import numpy

from nbgrad import shapes
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.selection import where
from nbgrad.primitive import full, structural


def rows_taken(node):
    """Extents (axis of x, indices, elements behind an index); rows of the result are done in parallel."""
    x, i = node.inputs[:2]
    axis = dict(node.attrs)["axis"]
    inner, count = shapes.size(x.shape[axis + 1 :]), shapes.size(i.shape)
    outer = shapes.size(x.shape[:axis])
    return (x.shape[axis], count, inner), outer * count, outer * count * inner


def slabs(node):
    """The same extents; what comes before the axis is done in parallel, so repeated indices stay in order."""
    extents, _, work = rows_taken(node)
    x = node.inputs[0]
    return extents, shapes.size(x.shape[: dict(node.attrs)["axis"]]), work + shapes.size(x.shape)


@structural("array", reference=lambda x, i, axis: numpy.take(x, i, axis=axis))
def take(x, i, *, axis):
    """Slices of x along `axis` at the indices i."""
    return (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]), x.dtype


@take.array_kernel(rows_taken)
def take_kernel(x, i, out, n, count, inner, start, stop):
    for row in range(start, stop):
        source = (row // count * n + min(max(get(i, row % count), 0), n - 1)) * inner
        for k in range(inner):
            put_at(out, row * inner + k, get(x, source + k))


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


@structural("array", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, numpy.add))
def scatter_add(x, i, v, *, axis):
    """x with v added at the indices i along `axis`; repeated indices add up, in order."""
    return x.shape, x.dtype


@scatter_add.array_kernel(slabs)
def scatter_add_kernel(x, i, v, out, n, count, inner, start, stop):
    for slab in range(start, stop):
        base = slab * n * inner
        for k in range(base, base + n * inner):
            put_at(out, k, get(x, k))
        for j in range(count):
            target, source = base + min(max(get(i, j), 0), n - 1) * inner, (slab * count + j) * inner
            for k in range(inner):
                put_at(out, target + k, get(out, target + k) + get(v, source + k))


@scatter_add.vjp
def scatter_add_vjp(g, x2, axis):
    return g, None, take(g, x2, axis=axis)


@structural("array", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, None))
def put(x, i, v, *, axis):
    """x with v written at the indices i along `axis`; of repeated indices the last one wins."""
    return x.shape, x.dtype


@put.array_kernel(slabs)
def put_kernel(x, i, v, out, n, count, inner, start, stop):
    for slab in range(start, stop):
        base = slab * n * inner
        for k in range(base, base + n * inner):
            put_at(out, k, get(x, k))
        for j in range(count):
            target, source = base + min(max(get(i, j), 0), n - 1) * inner, (slab * count + j) * inner
            for k in range(inner):
                put_at(out, target + k, get(v, source + k))


@put.vjp
def put_vjp(g, x2, x3, axis):
    from nbgrad import graph

    # Only the last writer of an element receives its cotangent.
    count = numpy.arange(max(int(numpy.prod(x2.shape)), 1))[: int(numpy.prod(x2.shape))].reshape(x2.shape)
    array = graph.Array
    ids = array(graph.leaf(count))
    slots = array(graph.leaf(numpy.full(g.shape[axis], -1)))
    winner = take(put(slots, x2, ids, axis=0), x2, axis=0) == ids
    winner = winner.reshape(x2.shape + (1,) * (len(g.shape) - axis - 1))
    return put(g, x2, zeros_like(x3), axis=axis), None, where(winner, take(g, x2, axis=axis), 0.0)
