"""Convolution of sequences."""

import numpy

from nbgrad.kernels.shape import slice_
from nbgrad.primitive import structural


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
