"""Cumulative operations along an axis, all of them first-order linear recurrences."""

import numpy

from nbgrad import shapes
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.shape import concatenate, slice_
from nbgrad.primitive import full, structural


def lanes(node):
    """Along an axis: (extent of the axis, elements between its steps), one lane each for the rest."""
    shape, axis = node.inputs[0].shape, dict(node.attrs)["axis"]
    n, inner = shape[axis], shapes.size(shape[axis + 1 :])
    return (n, inner), shapes.size(shape[:axis]) * inner if n else 0, shapes.size(shape)


def flip(x, axis):
    """An axis reversed."""
    n = x.shape[axis]
    return slice_(x, spec=shapes.part(x.shape, axis, (n - 1 if n else 0, -1, n)))


def shift(x, axis, first):
    """x one step later along an axis, with `first` in front."""
    n = x.shape[axis]
    if n == 0:
        return x
    start = full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), first, x.dtype)
    return concatenate(start, slice_(x, spec=shapes.part(x.shape, axis, (0, 1, n - 1))), axis=axis)


def reversed_recurrence(x, g, axis):
    """s_k = g_k + x_{k+1} s_{k+1}, from the last element on: how cotangents run back through a recurrence."""
    later = shift(flip(x, axis), axis, 0.0)
    return flip(recurrence(later, flip(g, axis), axis=axis), axis)


@structural("array", reference=lambda x, axis: numpy.cumsum(x, axis=axis, dtype=x.dtype), batch="axis")
def cumsum(x, *, axis):
    """Sums of the elements up to and with each."""
    return x.shape, x.dtype


@cumsum.array_kernel(lanes)
def cumsum_kernel(x, out, n, inner, start, stop):
    for lane in range(start, stop):
        at = lane // inner * n * inner + lane % inner
        total = get(x, at)
        put_at(out, at, total)
        for _ in range(1, n):
            at += inner
            total = total + get(x, at)
            put_at(out, at, total)


@cumsum.vjp
def cumsum_vjp(g, axis):
    return flip(cumsum(flip(g, axis), axis=axis), axis)


@structural("array", reference=lambda x, axis: numpy.cumprod(x, axis=axis, dtype=x.dtype), batch="axis")
def cumprod(x, *, axis):
    """Products of the elements up to and with each."""
    return x.shape, x.dtype


@cumprod.array_kernel(lanes)
def cumprod_kernel(x, out, n, inner, start, stop):
    for lane in range(start, stop):
        at = lane // inner * n * inner + lane % inner
        total = get(x, at)
        put_at(out, at, total)
        for _ in range(1, n):
            at += inner
            total = total * get(x, at)
            put_at(out, at, total)


@cumprod.vjp
def cumprod_vjp(g, x, y, axis):
    # dL/dx_k = (product before k) * s_k with s_k = g_k + x_{k+1} s_{k+1}: no division, so zeros do no harm.
    return shift(y, axis, 1.0) * reversed_recurrence(x, g, axis)


def _recurrence(x1, x2, axis):
    a, b = numpy.moveaxis(x1, axis, 0), numpy.moveaxis(x2, axis, 0)
    out = numpy.empty_like(b)
    previous = 0
    for t in range(len(b)):
        previous = out[t] = a[t] * previous + b[t]
    return numpy.ascontiguousarray(numpy.moveaxis(out, 0, axis))


@structural("array", reference=_recurrence, batch="axis")
def recurrence(x1, x2, *, axis):
    """y_t = x1_t y_{t-1} + x2_t with y_{-1} = 0."""
    return x2.shape, x2.dtype


@recurrence.array_kernel(lanes)
def recurrence_kernel(a, b, out, n, inner, start, stop):
    for lane in range(start, stop):
        at = lane // inner * n * inner + lane % inner
        previous = get(b, at)
        put_at(out, at, previous)
        for _ in range(1, n):
            at += inner
            previous = get(a, at) * previous + get(b, at)
            put_at(out, at, previous)


@recurrence.vjp
def recurrence_vjp(g, y, x1, axis):
    c = reversed_recurrence(x1, g, axis)
    return c * shift(y, axis, 0.0), c
