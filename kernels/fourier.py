"""Discrete Fourier transforms by NumPy (pocketfft): of complex numbers along axes, of real ones along the last axis.

Each is linear, and its adjoint is a transform again: with the other sign, and with the scale of the same transform.
`norm` is the direction that divides by the number of points n, as in NumPy: "backward", "forward", or both by sqrt(n).
"""

import numpy

from nbgrad import graph
from nbgrad.dtypes import complex_of, real_of
from nbgrad.primitive import structural

#: The norm that gives the inverse transform the scale of the transform.
SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _fft(x, axes, inverse, norm):
    return (numpy.fft.ifftn if inverse else numpy.fft.fftn)(x, axes=axes, norm=norm)


@structural("array", reference=_fft, batch="axes")
def fft(x, *, axes, inverse, norm):
    """The transform of complex numbers along axes, or its inverse."""
    return x.shape, x.dtype


@fft.vjp
def fft_vjp(g, axes, inverse, norm):
    return fft(g, axes=axes, inverse=not inverse, norm=SWAPPED[norm])


@structural("array", reference=lambda x, norm: numpy.fft.rfft(x, norm=norm), batch="leading")
def rfft(x, *, norm):
    """The half of the transform of real numbers along the last axis that says all."""
    return (*x.shape[:-1], x.shape[-1] // 2 + 1), complex_of(x.dtype)


@rfft.vjp
def rfft_vjp(g, x, norm):
    n = x.shape[-1]
    return irfft(g * _weights(n, g.dtype, 0.5), n=n, norm=SWAPPED[norm])


@structural("array", reference=lambda x, n, norm: numpy.fft.irfft(x, n, norm=norm), batch="leading")
def irfft(x, *, n, norm):
    """n real numbers, along the last axis, whose half transform is x; what would make them complex is not read."""
    return (*x.shape[:-1], n), real_of(x.dtype)


@irfft.vjp
def irfft_vjp(g, x, n, norm):
    return rfft(g, norm=SWAPPED[norm]) * _weights(n, x.dtype, 2.0)


def _weights(n, dtype, twice):
    """1 for the numbers that occur once in the whole transform of n points, `twice` for those with a conjugate."""
    weights = numpy.full(n // 2 + 1, twice, real_of(dtype))
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return graph.Array(graph.table(weights))
