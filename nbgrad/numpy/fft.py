"""Discrete Fourier transforms under NumPy's names, with gradients.

Values are NumPy's (pocketfft).  float32 gives complex64, as in NumPy 2.  A transform is linear, so its gradient is one
too, and so are all further derivatives.
"""

import warnings

import numpy

from nbgrad import dtypes, shapes
from nbgrad.errors import ArgumentError, OptionError, ShapeError, describe
from nbgrad.kernels import fourier as kernels
from nbgrad.numpy._arguments import as_array, as_integer, cast, leaf
from nbgrad.numpy.elementwise import conjugate
from nbgrad.numpy.manipulation import moveaxis, pad, part, roll

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


# ---------------------------------------------------------------- arguments


def _norm(call, norm):
    if norm is None:
        return "backward"
    if norm not in kernels.SWAPPED:
        raise OptionError(f"{call}: norm must be 'backward', 'ortho' or 'forward', not {norm!r}")
    return norm


def _no_out(call, out):
    if out is not None:
        raise ArgumentError(f"{call}: out= is not supported on Arrays, whose values are computed later; use the result")


def _points(call, n):
    n = as_integer(n, call, "n")
    if n < 1:
        raise ShapeError(f"{call}: a transform of {n} points was asked for; there must be at least 1")
    return n


def _fitted(x, n, axis):
    """The first n elements along an axis, or zeros behind those there are."""
    if x.shape[axis] > n:
        return part(x, axis, 0, n)
    if x.shape[axis] < n:
        return pad(x, [(0, n - x.shape[axis] if k == axis else 0) for k in range(x.ndim)])
    return x


def _several(call, x, s, axes, inverse_of_real=False):
    """(numbers of points, axes) of a transform along several axes."""
    if s is None:
        axes = range(x.ndim) if axes is None else axes
        axes = [shapes.axis(call, a, x.ndim) for a in axes]
        s = [x.shape[a] for a in axes]
        if inverse_of_real and axes:
            s[-1] = 2 * (s[-1] - 1)
    else:
        s = list(s)
        if axes is None:
            warnings.warn(
                f"{call}: s was given without axes, which NumPy is to refuse; write axes={(*range(-len(s), 0),)}",
                DeprecationWarning,
                stacklevel=4,
            )
            axes = range(-len(s), 0)
        axes = [shapes.axis(call, a, x.ndim) for a in axes]
        if len(s) != len(axes):
            raise ShapeError(f"{call}: s names {len(s)} axes, axes {len(axes)}; they must be as many")
        s = [x.shape[a] if n == -1 else n for n, a in zip(s, axes, strict=True)]
    if not axes and call.startswith(("rfft", "irfft")):
        raise ShapeError(f"{call}: there is no axis to transform\n    {describe(x, 'a')}")
    return [_points(call, n) for n in s], axes


def _complex(x):
    return cast(x, dtypes.complex_of(x.dtype))


# ---------------------------------------------------------------- along one axis


def _transform(call, a, n, axis, norm, out, inverse):
    _no_out(call, out)
    a = as_array(a, call, "a")
    axis = shapes.axis(call, axis, a.ndim)
    n = _points(call, a.shape[axis] if n is None else n)
    return kernels.fft(_fitted(_complex(a), n, axis), axes=(axis,), inverse=inverse, norm=_norm(call, norm))


def fft(a, n=None, axis=-1, norm=None, out=None):
    """The discrete Fourier transform ``y[k] = sum(a[j] * exp(-2j * pi * j * k / n))`` along an axis.

    Parameters
    ----------
    a : array_like
    n : int, optional
        Number of points: `a` is cut, or zeros are added behind it.
    axis : int
    norm : {"backward", "ortho", "forward"}, optional
        Which transform divides by n: the inverse one, both by sqrt(n), or this one.

    Returns
    -------
    Array
        Complex numbers with the precision of `a`.

    Raises
    ------
    OptionError
        When there is no such norm.
    ShapeError
        When the axis is out of range, or there are no points.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.fft.fft([1.0, 0.0, 0.0, 0.0])
    Array([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j], shape=(4,), dtype=complex128, device=cpu)
    """
    return _transform("fft", a, n, axis, norm, out, False)


def ifft(a, n=None, axis=-1, norm=None, out=None):
    """The inverse of `fft`, with the same arguments."""
    return _transform("ifft", a, n, axis, norm, out, True)


def rfft(a, n=None, axis=-1, norm=None, out=None):
    """The first n // 2 + 1 elements of `fft` of real numbers; the others are their conjugates.

    Raises
    ------
    ArgumentError
        When `a` is complex; see `fft` for others.
    """
    return _half("rfft", a, n, axis, _norm("rfft", norm), out)


def _half(call, a, n, axis, norm, out):
    _no_out(call, out)
    a = as_array(a, call, "a")
    if a.dtype.kind == "c":
        raise ArgumentError(f"{call}: expected real numbers; use fft, or take a.real\n    {describe(a, 'a')}")
    axis = shapes.axis(call, axis, a.ndim)
    n = _points(call, a.shape[axis] if n is None else n)
    a = cast(a, dtypes.real_of(dtypes.complex_of(a.dtype)))
    return moveaxis(kernels.rfft(moveaxis(_fitted(a, n, axis), axis, -1), norm=norm), -1, axis)


def irfft(a, n=None, axis=-1, norm=None, out=None):
    """The inverse of `rfft`: n real numbers, n = 2 * (m - 1) for m numbers if it is not given."""
    return _whole("irfft", a, n, axis, _norm("irfft", norm), out)


def _whole(call, a, n, axis, norm, out):
    _no_out(call, out)
    a = as_array(a, call, "a")
    axis = shapes.axis(call, axis, a.ndim)
    n = _points(call, 2 * (a.shape[axis] - 1) if n is None else n)
    half = moveaxis(_fitted(_complex(a), n // 2 + 1, axis), axis, -1)
    y = moveaxis(kernels.irfft(half, n=n, norm=norm), -1, axis)
    return cast(y, "float16") if a.dtype == "float16" else y


def hfft(a, n=None, axis=-1, norm=None, out=None):
    """`fft` of numbers whose second half is the conjugate of the first, `a`: n real numbers."""
    a = conjugate(as_array(a, "hfft", "a"))
    return _whole("hfft", a, n, axis, kernels.SWAPPED[_norm("hfft", norm)], out)


def ihfft(a, n=None, axis=-1, norm=None, out=None):
    """The inverse of `hfft`: the first half of `ifft` of real numbers."""
    return conjugate(_half("ihfft", a, n, axis, kernels.SWAPPED[_norm("ihfft", norm)], out))


# ---------------------------------------------------------------- along several axes


def _along(call, a, s, axes, norm, out, inverse):
    _no_out(call, out)
    a = as_array(a, call, "a")
    s, axes = _several(call, a, s, axes)
    x = _complex(a)
    for n, axis in zip(s, axes, strict=True):
        x = _fitted(x, n, axis)
    return kernels.fft(x, axes=tuple(axes), inverse=inverse, norm=_norm(call, norm)) if axes else a


def fftn(a, s=None, axes=None, norm=None, out=None):
    """`fft` along several axes, all of them by default; `s` has the number of points of each."""
    return _along("fftn", a, s, axes, norm, out, False)


def ifftn(a, s=None, axes=None, norm=None, out=None):
    """The inverse of `fftn`."""
    return _along("ifftn", a, s, axes, norm, out, True)


def fft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`fft` along two axes."""
    return _along("fft2", a, s, axes, norm, out, False)


def ifft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """The inverse of `fft2`."""
    return _along("ifft2", a, s, axes, norm, out, True)


def _half_along(call, a, s, axes, norm, out):
    a = as_array(a, call, "a")
    s, axes = _several(call, a, s, axes)
    y = _half(call, a, s[-1], axes[-1], _norm(call, norm), out)
    return _along(call, y, s[:-1], axes[:-1], norm, None, False) if axes[:-1] else y


def _whole_along(call, a, s, axes, norm, out):
    a = as_array(a, call, "a")
    s, axes = _several(call, a, s, axes, inverse_of_real=True)
    y = _along(call, a, s[:-1], axes[:-1], norm, None, True) if axes[:-1] else a
    return _whole(call, y, s[-1], axes[-1], _norm(call, norm), out)


def rfftn(a, s=None, axes=None, norm=None, out=None):
    """`rfft` along the last of several axes, then `fft` along the others."""
    return _half_along("rfftn", a, s, axes, norm, out)


def irfftn(a, s=None, axes=None, norm=None, out=None):
    """The inverse of `rfftn`."""
    return _whole_along("irfftn", a, s, axes, norm, out)


def rfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`rfft` along the last of two axes, then `fft` along the other."""
    return _half_along("rfft2", a, s, axes, norm, out)


def irfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """The inverse of `rfft2`."""
    return _whole_along("irfft2", a, s, axes, norm, out)


# ---------------------------------------------------------------- frequencies


def fftfreq(n, d=1.0, device=None, *, dtype=None):
    """Frequencies of the elements of `fft` of n points at a distance `d`."""
    n = as_integer(n, "fftfreq", "n")
    return _frequencies(numpy.fft.ifftshift(numpy.arange(-(n // 2), n - n // 2)), n, d, device, dtype)


def rfftfreq(n, d=1.0, device=None, *, dtype=None):
    """Frequencies of the elements of `rfft` of n points at a distance `d`."""
    n = as_integer(n, "rfftfreq", "n")
    return _frequencies(numpy.arange(n // 2 + 1), n, d, device, dtype)


def _frequencies(turns, n, d, device, dtype):
    from nbgrad.numpy.creation import asarray

    return asarray(leaf(turns.astype("float64")) * (1.0 / (n * d)), dtype, device=device)


def _shifted(call, x, axes, sign):
    x = as_array(x, call)
    axes = shapes.axes(call, axes, x.ndim)
    return roll(x, tuple(sign * (x.shape[a] // 2) for a in axes), axes)


def fftshift(x, axes=None):
    """Frequency 0 moved to the middle."""
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x, axes=None):
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", x, axes, -1)
