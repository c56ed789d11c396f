"""Reductions over axes, and cumulative operations.

`axis` is None (all axes), an integer or a tuple; `keepdims` keeps the reduced axes with extent 1.
"""

import builtins
import functools

import numpy

from nbgrad import dtypes, shapes
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import casting, comparison, complex, cumulative, exponential, roots, selection
from nbgrad.kernels import reduction as kernels
from nbgrad.numpy._arguments import as_array, as_dtype, cast, leaf
from nbgrad.numpy.manipulation import broadcast_to, concatenate, part, ravel, reshape


def _reduce(primitive, call, x, axis, keepdims):
    rank = len(x._node.shape)
    y = primitive(x, axes=_ALL[rank] if axis is None and rank < len(_ALL) else shapes.axes(call, axis, rank))
    return reshape(y, shapes.kept(x.shape, shapes.axes(call, axis, rank))) if keepdims else y


def _wide(x, dtype, call):
    """`x` in the dtype that NumPy accumulates in: small integers and booleans in 64 bits."""
    if dtype is None and x._node.dtype.kind in "fc":
        return x
    dtype = as_dtype(dtype, call)
    if dtype is None:
        dtype = {"b": dtypes.INT64, "i": dtypes.INT64, "u": _UINT64}.get(x.dtype.kind, x.dtype)
    return cast(x, dtype)


_ALL = tuple(tuple(range(n)) for n in range(8))
_UINT64 = dtypes.as_dtype("uint64")


def sum(x, axis=None, dtype=None, *, keepdims=False):
    """Sum over axes; booleans and integers add up in 64 bits.

    Parameters
    ----------
    x : array_like
    axis : None, int or tuple of int
    dtype : dtype, optional
        What the elements are cast to before they are added.
    keepdims : bool

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.sum(np.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Array([4., 6.], shape=(2,), dtype=float64, device=cpu)
    """
    return _reduce(kernels.sum, "sum", _wide(as_array(x, "sum"), dtype, "sum"), axis, keepdims)


def prod(x, axis=None, dtype=None, *, keepdims=False):
    """Product over axes; its gradient needs no division, so zeros in `x` do no harm."""
    return _reduce(kernels.prod, "prod", _wide(as_array(x, "prod"), dtype, "prod"), axis, keepdims)


def max(x, axis=None, *, keepdims=False):
    """Largest element over axes; nan if there is one.  Equal elements share the gradient equally."""
    return _extremum(kernels.max, "max", x, axis, keepdims)


def min(x, axis=None, *, keepdims=False):
    """Smallest element over axes; nan if there is one.  Equal elements share the gradient equally."""
    return _extremum(kernels.min, "min", x, axis, keepdims)


def _extremum(primitive, call, x, axis, keepdims):
    x = as_array(x, call)
    _not_empty(call, x, shapes.axes(call, axis, x.ndim))
    return _reduce(primitive, call, x, axis, keepdims)


def _not_empty(call, x, axes):
    if builtins.any(x.shape[a] == 0 for a in axes) and 0 not in shapes.without(x.shape, axes):
        raise ShapeError(f"{call}: there is no {call} of no elements; {describe(x, 'x')}")


def amax(x, axis=None, *, keepdims=False):
    """Same as `max`."""
    return max(x, axis, keepdims=keepdims)


def amin(x, axis=None, *, keepdims=False):
    """Same as `min`."""
    return min(x, axis, keepdims=keepdims)


def ptp(x, axis=None, *, keepdims=False):
    """Largest minus smallest element over axes."""
    return max(x, axis, keepdims=keepdims) - min(x, axis, keepdims=keepdims)


def any(x, axis=None, *, keepdims=False):
    """Whether any element over axes is true."""
    return _reduce(kernels.any, "any", cast(as_array(x, "any"), dtypes.BOOL), axis, keepdims)


def all(x, axis=None, *, keepdims=False):
    """Whether all elements over axes are true."""
    return _reduce(kernels.all, "all", cast(as_array(x, "all"), dtypes.BOOL), axis, keepdims)


def count_nonzero(x, axis=None, *, keepdims=False):
    """Number of elements over axes that are not zero."""
    return sum(cast(as_array(x, "count_nonzero"), dtypes.BOOL), axis, keepdims=keepdims)


def _floating(x, dtype, call):
    """`x` in the floating dtype that means are computed in."""
    dtype = as_dtype(dtype, call)
    if dtype is None:
        return x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)
    if not dtypes.is_inexact(dtype):
        raise DtypeError(f"{call}: dtype must be a float, not {dtype}; cast the result instead")
    return cast(x, dtype)


def _count(x, axis, call):
    return shapes.size(x.shape[a] for a in shapes.axes(call, axis, x.ndim))


def _in_float32(function):
    """Sums of float16 overflow long before what is made of them: here it is computed in float32 throughout."""

    @functools.wraps(function)
    def call(x, *args, **kwargs):
        if getattr(x, "dtype", None) != dtypes.FLOAT16:
            return function(x, *args, **kwargs)
        y = function(cast(as_array(x, function.__name__), dtypes.FLOAT32), *args, **kwargs)
        return y if y.dtype != dtypes.FLOAT32 or kwargs.get("dtype") else cast(y, dtypes.FLOAT16)

    return call


@_in_float32
def mean(x, axis=None, dtype=None, *, keepdims=False):
    """Arithmetic mean over axes; nan of no elements."""
    x = _floating(as_array(x, "mean"), dtype, "mean")
    count = _count(x, axis, "mean")
    return sum(x, axis, keepdims=keepdims) / float(count)


def average(x, axis=None, weights=None, *, keepdims=False):
    """Mean over axes, weighted if `weights` (of the shape of `x`, or 1-d along `axis`) are given."""
    if weights is None:
        return mean(x, axis, keepdims=keepdims)
    x, w = as_array(x, "average"), as_array(weights, "average", "weights")
    if w.shape != x.shape:
        if not isinstance(axis, int) or w.shape != (x.shape[axis],):
            raise ShapeError(f"average: weights of shape {w.shape} do not fit x of shape {x.shape} along axis {axis}")
        at = shapes.axis("average", axis, x.ndim)
        w = broadcast_to(reshape(w, tuple(n if i == at else 1 for i, n in enumerate(x.shape))), x.shape)
    return sum(x * w, axis, keepdims=keepdims) / sum(w, axis, keepdims=keepdims)


@_in_float32
def var(x, axis=None, dtype=None, *, ddof=0, correction=None, keepdims=False):
    """Variance over axes, the sum of squares divided by the number of elements less `ddof`.

    Parameters
    ----------
    x : array_like
    axis : None, int or tuple of int
    dtype : dtype, optional
    ddof, correction : number
        Two names for what is taken from the number of elements: 0 for a population, 1 for a sample.
    keepdims : bool

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> float(np.var([1.0, 2.0, 3.0], ddof=1))
    1.0
    """
    if correction is not None:
        if ddof:
            raise ArgumentError("var: give ddof or correction, not both; they are names for the same number")
        ddof = correction
    x = _floating(as_array(x, "var"), dtype, "var")
    degrees = builtins.max(_count(x, axis, "var") - ddof, 0)
    deviation = x - mean(x, axis, keepdims=True)
    size = roots.square(deviation) if deviation.dtype.kind != "c" else _squared_size(deviation)
    return sum(size, axis, keepdims=keepdims) / float(degrees)


def _squared_size(x):
    a, b = complex.real(x), complex.imag(x)
    return a * a + b * b


def std(x, axis=None, dtype=None, *, ddof=0, correction=None, keepdims=False):
    """Standard deviation over axes: the root of `var`.  Its derivative is infinite where it is zero."""
    return roots.sqrt(var(x, axis, dtype, ddof=ddof, correction=correction, keepdims=keepdims))


def argmax(x, axis=None, *, keepdims=False):
    """Index of the first largest element (of the first nan, if there is one)."""
    return _arg(kernels.argmax, "argmax", x, axis, keepdims)


def argmin(x, axis=None, *, keepdims=False):
    """Index of the first smallest element (of the first nan, if there is one)."""
    return _arg(kernels.argmin, "argmin", x, axis, keepdims)


def _arg(primitive, call, x, axis, keepdims):
    x = as_array(x, call)
    flat = axis is None
    source = ravel(x) if flat else x
    axis = shapes.axis(call, 0 if flat else axis, source.ndim)
    _not_empty(call, source, (axis,))
    y = primitive(source, axis=axis)
    if keepdims:
        return reshape(y, (1,) * x.ndim if flat else shapes.kept(x.shape, (axis,)))
    return y


def _peak(x, axis, call):
    """Largest element over axes as a finite constant that exponents can be shifted by."""
    if 0 in x.shape:
        return 0.0
    peak = casting.stop_gradient(_reduce(kernels.max, call, x, axis, True))
    return selection.where(comparison.isfinite(peak), peak, 0.0)


@_in_float32
def logsumexp(x, axis=None, *, keepdims=False):
    """Logarithm of the sum of exponentials, without overflow; -inf of no elements."""
    x = _floating(as_array(x, "logsumexp"), None, "logsumexp")
    peak = _peak(x, axis, "logsumexp")
    y = exponential.log(sum(exponential.exp(x - peak), axis, keepdims=True)) + peak
    return y if keepdims else reshape(y, shapes.without(x.shape, shapes.axes("logsumexp", axis, x.ndim)))


@_in_float32
def softmax(x, axis=-1):
    """Exponentials divided by their sum over axes."""
    x = _floating(as_array(x, "softmax"), None, "softmax")
    e = exponential.exp(x - _peak(x, axis, "softmax"))
    return e / sum(e, axis, keepdims=True)


@_in_float32
def log_softmax(x, axis=-1):
    """Logarithm of `softmax`, accurate where that underflows."""
    x = _floating(as_array(x, "log_softmax"), None, "log_softmax")
    shifted = x - _peak(x, axis, "log_softmax")
    return shifted - exponential.log(sum(exponential.exp(shifted), axis, keepdims=True))


def cumsum(x, axis=None, dtype=None):
    """Sums of the elements up to and with each; of the flattened array when `axis` is None."""
    return _cumulative(cumulative.cumsum, "cumsum", x, axis, dtype)


def cumprod(x, axis=None, dtype=None):
    """Products of the elements up to and with each; of the flattened array when `axis` is None."""
    return _cumulative(cumulative.cumprod, "cumprod", x, axis, dtype)


def _cumulative(primitive, call, x, axis, dtype):
    x = _wide(as_array(x, call), dtype, call)
    if axis is None or x.ndim == 0:
        shapes.axes(call, axis, 1)
        x, axis = ravel(x), 0
    return primitive(x, axis=shapes.axis(call, axis, x.ndim))


def cumulative_sum(x, *, axis=None, dtype=None, include_initial=False):
    """`cumsum` as the Array API names it; `include_initial` puts a 0 in front."""
    return _with_initial(cumsum, 0, "cumulative_sum", x, axis, dtype, include_initial)


def cumulative_prod(x, *, axis=None, dtype=None, include_initial=False):
    """`cumprod` as the Array API names it; `include_initial` puts a 1 in front."""
    return _with_initial(cumprod, 1, "cumulative_prod", x, axis, dtype, include_initial)


def _with_initial(function, initial, call, x, axis, dtype, include_initial):
    x = as_array(x, call)
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"{call}: axis is needed for an array of {x.ndim} dimensions")
        axis = 0
    axis = shapes.axis(call, axis, x.ndim)
    y = function(x, axis, dtype)
    if include_initial:
        head = tuple(1 if i == axis else n for i, n in enumerate(y.shape))
        y = concatenate([broadcast_to(cast(leaf(numpy.asarray(initial)), y.dtype), head), y], axis)
    return y


def trapezoid(y, x=None, dx=1.0, axis=-1):
    """Integral of samples `y` at the points `x` (or `dx` apart) by the trapezoidal rule."""
    y = as_array(y, "trapezoid", "y")
    axis = shapes.axis("trapezoid", axis, y.ndim)
    n = y.shape[axis]
    if x is not None:
        x = as_array(x, "trapezoid")
        if x.ndim == 1:
            x = reshape(x, tuple(x.shape[0] if i == axis else 1 for i in range(y.ndim)))
        at = x.ndim - y.ndim + axis
        dx = part(x, at, 1, x.shape[at]) - part(x, at, 0, x.shape[at] - 1)
    return sum(dx * (part(y, axis, 1, n) + part(y, axis, 0, n - 1)) / 2.0, axis)
