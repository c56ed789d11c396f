"""Gather and scatter along one axis by an integer array; every form of advanced indexing is made of these.

Indices are normalised to 0 <= i < n before they get here.
"""

import numpy

from nbgrad import shapes
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.selection import where
from nbgrad.primitive import full, structural


#: Elements side by side that one thread writes at least, and threads at most that share a slab.
WIDTH, SHARES = 16, 8


def slabs(node):
    """Extents (axis of x, indices, parts of what is behind an index, elements of a part).

    What comes before the axis, and the parts, are done in parallel: repeated indices stay in order.
    """
    x, i = node.inputs[:2]
    axis = dict(node.attrs)["axis"]
    outer, inner, count = shapes.size(x.shape[:axis]), shapes.size(x.shape[axis + 1 :]), shapes.size(i.shape)
    parts = next(n for n in range(min(max(inner // WIDTH, 1), SHARES), 0, -1) if inner % n == 0)
    return (x.shape[axis], count, parts, inner // parts), outer * parts, outer * count * inner + shapes.size(x.shape)


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


@structural("array", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, numpy.add))
def scatter_add(x, i, v, *, axis):
    """x with v added at the indices i along `axis`; repeated indices add up, in order."""
    return x.shape, x.dtype


@scatter_add.array_kernel(slabs)
def scatter_add_kernel(x, i, v, out, n, count, parts, width, start, stop):
    for unit in range(start, stop):
        slab, first, inner = unit // parts, unit % parts * width, parts * width
        base = slab * n * inner + first
        for row in range(n):
            for k in range(width):
                put_at(out, base + row * inner + k, get(x, base + row * inner + k))
        for j in range(count):
            target, source = base + min(max(get(i, j), 0), n - 1) * inner, (slab * count + j) * inner + first
            for k in range(width):
                put_at(out, target + k, get(out, target + k) + get(v, source + k))


@scatter_add.vjp
def scatter_add_vjp(g, x2, axis):
    return g, None, take(g, x2, axis=axis)


@structural("array", reference=lambda x, i, v, axis: _at(x.copy(), i, v, axis, None))
def put(x, i, v, *, axis):
    """x with v written at the indices i along `axis`; of repeated indices the last one wins."""
    return x.shape, x.dtype


@put.array_kernel(slabs)
def put_kernel(x, i, v, out, n, count, parts, width, start, stop):
    for unit in range(start, stop):
        slab, first, inner = unit // parts, unit % parts * width, parts * width
        base = slab * n * inner + first
        for row in range(n):
            for k in range(width):
                put_at(out, base + row * inner + k, get(x, base + row * inner + k))
        for j in range(count):
            target, source = base + min(max(get(i, j), 0), n - 1) * inner, (slab * count + j) * inner + first
            for k in range(width):
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
