"""Filters of sequences: convolution, and linear recurrences with constant coefficients."""

import numpy

from nbgrad import shapes
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.cumulative import flip
from nbgrad.kernels.reduction import sum
from nbgrad.kernels.shape import concatenate, reshape, slice_
from nbgrad.primitive import full, structural


@structural("array", reference=numpy.convolve)
def convolve(x1, x2):
    """Element k is the sum of x1[i] x2[k - i]; both are 1-d, and where they end there are zeros."""
    return (x1.shape[0] + x2.shape[0] - 1,), x1.dtype


@convolve.vjp
def convolve_vjp(g, x1, x2):
    return correlated(g, x2), correlated(g, x1)


def correlated(g, x):
    """The sums of g[i + k] x[i] over i, for all k where x lies within g."""
    n = x.shape[0]
    reverse = slice_(x, spec=((n - 1, -1, n),))
    return slice_(convolve(g, reverse), spec=((n - 1, 1, g.shape[0] - n + 1),))


def _autoregression(a, u, axis):
    u = numpy.moveaxis(u, axis, 0)
    out = numpy.empty_like(u)
    for t in range(len(u)):
        out[t] = u[t]
        for i in range(min(len(a), t)):
            out[t] -= a[i] * out[t - 1 - i]
    return numpy.ascontiguousarray(numpy.moveaxis(out, 0, axis))


@structural("array", reference=_autoregression)
def autoregression(x1, x2, *, axis):
    """y_t = x2_t - x1_0 y_{t-1} - x1_1 y_{t-2} - ..., with zeros before the first element."""
    return x2.shape, x2.dtype


def filter_lanes(node):
    """(coefficients, extent of the axis, elements between its steps), one lane each for the rest."""
    coefficients, x = node.inputs
    axis = dict(node.attrs)["axis"]
    n, inner = x.shape[axis], shapes.size(x.shape[axis + 1 :])
    lanes = shapes.size(x.shape[:axis]) * inner if n else 0
    return (coefficients.shape[0], n, inner), lanes, shapes.size(x.shape) * max(coefficients.shape[0], 1)


@autoregression.array_kernel(filter_lanes)
def autoregression_kernel(a, u, out, p, n, inner, start, stop):
    for lane in range(start, stop):
        at = lane // inner * n * inner + lane % inner
        for t in range(0, n):
            total = get(u, at)
            for i in range(0, p):
                if i < t:
                    total = total - get(a, i) * get(out, at - (i + 1) * inner)
            put_at(out, at, total)
            at += inner


@autoregression.batched
def autoregression_batched(size, mapped, x1, x2, axis):
    return None if mapped[0] else autoregression(x1, x2, axis=axis + 1)


@autoregression.vjp
def autoregression_vjp(g, y, x1, x2, axis):
    c = flip(autoregression(x1, flip(g, axis), axis=axis), axis)  # the same filter, backwards
    n, slopes = x2.shape[axis], []
    for i in range(1, x1.shape[0] + 1):
        if i >= n:
            slopes.append(full((1,), 0, g.dtype))
            continue
        later = slice_(c, spec=shapes.part(c.shape, axis, (i, 1, n - i)))
        earlier = slice_(y, spec=shapes.part(y.shape, axis, (0, 1, n - i)))
        slopes.append(reshape(-sum(later * earlier, axes=tuple(range(len(c.shape)))), shape=(1,)))
    return concatenate(*slopes, axis=0) if slopes else full((0,), 0, g.dtype), c
