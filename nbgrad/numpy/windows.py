"""Windows for signals: functions of the number of points alone, but for `kaiser`, which has a gradient by its shape."""

import numpy

from nbgrad import dtypes
from nbgrad.array import Array
from nbgrad.numpy._arguments import as_array, as_integer, cast, leaf

__all__ = ["bartlett", "blackman", "hamming", "hanning", "i0", "kaiser"]


def _window(call, m):
    return leaf(getattr(numpy, call)(as_integer(m, call, "m")))


def bartlett(m):
    """Triangle over m points that is 0 at both ends."""
    return _window("bartlett", m)


def blackman(m):
    """Blackman's window of m points: two cosines."""
    return _window("blackman", m)


def hamming(m):
    """Hamming's window of m points: a raised cosine."""
    return _window("hamming", m)


def hanning(m):
    """Hann's window of m points: a cosine that is 0 at both ends."""
    return _window("hanning", m)


def kaiser(m, beta):
    """Kaiser's window of m points; gradients flow to its shape `beta`.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.kaiser(3, 0.0)
    Array([1., 1., 1.], shape=(3,), dtype=float64, device=cpu)
    """
    m = as_integer(m, "kaiser", "m")
    if not isinstance(beta, Array):
        return leaf(numpy.kaiser(m, beta))
    if m <= 1:
        return leaf(numpy.ones(max(m, 0)))
    half = (m - 1) / 2.0
    across = leaf(numpy.sqrt(1 - ((numpy.arange(m) - half) / half) ** 2.0))
    beta = cast(beta, dtypes.FLOAT64)
    return i0(beta * across) / i0(beta)


def i0(x):
    """The modified Bessel function of order 0."""
    from nbgrad.kernels import bessel

    return bessel.i0(as_array(x, "i0"))
