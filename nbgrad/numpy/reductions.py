"""Reductions over axes, and cumulative operations.

`axis` is None (all axes), an integer or a tuple; `keepdims` keeps the reduced axes with extent 1.
"""

import builtins
import functools

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import casting, comparison, complex, cumulative, exponential, roots, selection
from nbgrad.kernels import reduction as kernels
from nbgrad.numpy._arguments import as_array, as_dtype, as_indices, cast, leaf
from nbgrad.numpy._out import delivered
from nbgrad.numpy.manipulation import broadcast_to, concatenate, part, ravel, reshape, transpose


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
_NONE = numpy._NoValue  # None means something as initial=


def _mask(call, x, where):
    """The mask `where` as an Array of booleans that broadcasts to `x`."""
    mask = as_indices(where, call, "where")
    if mask.dtype != dtypes.BOOL:
        raise DtypeError(f"{call}: where must be a mask of booleans; {describe(mask, 'where')}")
    if shapes.broadcast([mask.shape, x.shape]) != x.shape:
        raise ShapeError(
            f"{call}: where has shape {mask.shape}, which does not broadcast to that of the array\n"
            f"    {describe(x, 'a')}\n    {describe(mask, 'where')}"
        )
    return mask


def _only(call, x, where, value):
    """`x` with `value` where the mask does not hold."""
    return x if where is True or where is _NONE else selection.where(_mask(call, x, where), x, value)


def _initial(initial, call, dtype):
    return cast(as_array(initial, call, "initial"), dtype)


def sum(a, axis=None, dtype=None, out=None, keepdims=False, initial=_NONE, where=True):
    """Sum over axes; booleans and integers add up in 64 bits.

    Parameters
    ----------
    a : array_like
    axis : None, int or tuple of int
    dtype : dtype, optional
        What the elements are cast to before they are added.
    out : Array or ndarray, optional
        Where the result goes, cast to its dtype: an Array is bound to it, an ndarray gets its values.
    keepdims : bool
        Keep the axes that are summed over, with extent 1.
    initial : number, optional
        What the sum begins with.
    where : array_like of bool, optional
        Which elements count.

    Raises
    ------
    ShapeError, DtypeError

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.sum(np.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Array([4., 6.], shape=(2,), dtype=float64, device=cpu)
    """
    x = _only("sum", _wide(as_array(a, "sum", "a"), dtype, "sum"), where, False)
    y = _reduce(kernels.sum, "sum", x, axis, keepdims)
    if initial is not _NONE:
        y = _initial(initial, "sum", y.dtype) + y
    return y if out is None else delivered("sum", y, out)


def prod(a, axis=None, dtype=None, out=None, keepdims=False, initial=_NONE, where=True):
    """Product over axes; its gradient needs no division, so zeros in `a` do no harm."""
    x = _only("prod", _wide(as_array(a, "prod", "a"), dtype, "prod"), where, True)
    y = _reduce(kernels.prod, "prod", x, axis, keepdims)
    if initial is not _NONE:
        y = _initial(initial, "prod", y.dtype) * y
    return y if out is None else delivered("prod", y, out)


def max(a, axis=None, out=None, keepdims=False, initial=_NONE, where=True):
    """Largest element over axes; nan if there is one.  Equal elements share the gradient equally.

    With a mask `where`, or of no elements, `initial` is needed: the result is at least that.
    """
    return _extremum(kernels.max, selection.maximum, "max", a, axis, out, keepdims, initial, where)


def min(a, axis=None, out=None, keepdims=False, initial=_NONE, where=True):
    """Smallest element over axes; nan if there is one.  Equal elements share the gradient equally.

    With a mask `where`, or of no elements, `initial` is needed: the result is at most that.
    """
    return _extremum(kernels.min, selection.minimum, "min", a, axis, out, keepdims, initial, where)


def _extremum(primitive, binary, call, x, axis, out, keepdims, initial, where):
    x = as_array(x, call, "a")
    axes = shapes.axes(call, axis, x.ndim)
    if initial is _NONE or initial is None:
        if where is not True and where is not _NONE:
            raise ValueError(f"{call}: has no identity, so to use a where mask one has to specify 'initial'")
        _not_empty(call, x, axes)
        y = _reduce(primitive, call, x, axis, keepdims)
    else:
        first = _initial(initial, call, x.dtype)
        x = _only(call, x, where, first)
        if 0 in (x.shape[a] for a in axes):
            y = broadcast_to(first, shapes.kept(x.shape, axes) if keepdims else shapes.without(x.shape, axes))
        else:
            y = binary(first, _reduce(primitive, call, x, axis, keepdims))
    return y if out is None else delivered(call, y, out)


def _not_empty(call, x, axes):
    if builtins.any(x.shape[a] == 0 for a in axes) and 0 not in shapes.without(x.shape, axes):
        raise ShapeError(f"{call}: there is no {call} of no elements; {describe(x, 'a')}")


def amax(a, axis=None, out=None, keepdims=False, initial=_NONE, where=True):
    """Same as `max`."""
    return max(a, axis, out, keepdims, initial, where)


def amin(a, axis=None, out=None, keepdims=False, initial=_NONE, where=True):
    """Same as `min`."""
    return min(a, axis, out, keepdims, initial, where)


def ptp(a, axis=None, out=None, keepdims=False):
    """Largest minus smallest element over axes."""
    return delivered("ptp", max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims), out)


def any(a, axis=None, out=None, keepdims=False, *, where=True):
    """Whether any element over axes is true."""
    x = _only("any", cast(as_array(a, "any", "a"), dtypes.BOOL), where, False)
    return delivered("any", _reduce(kernels.any, "any", x, axis, keepdims), out)


def all(a, axis=None, out=None, keepdims=False, *, where=True):
    """Whether all elements over axes are true."""
    x = _only("all", cast(as_array(a, "all", "a"), dtypes.BOOL), where, True)
    return delivered("all", _reduce(kernels.all, "all", x, axis, keepdims), out)


def count_nonzero(a, axis=None, *, keepdims=False):
    """Number of elements over axes that are not zero."""
    return sum(cast(as_array(a, "count_nonzero", "a"), dtypes.BOOL), axis, keepdims=keepdims)


def _floating(x, dtype, call):
    """`x` in the floating dtype that means are computed in."""
    dtype = as_dtype(dtype, call)
    if dtype is None:
        return x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)
    if not dtypes.is_inexact(dtype):
        raise DtypeError(f"{call}: dtype must be a float, not {dtype}; cast the result instead")
    return cast(x, dtype)


def _count(x, axis, call, where=True):
    """How many elements over axes: a number, or with a mask an Array with the axes kept."""
    if where is True or where is _NONE:
        return shapes.size(x.shape[a] for a in shapes.axes(call, axis, x.ndim))
    return sum(broadcast_to(_mask(call, x, where), x.shape), axis, keepdims=True)


def _in_float32(function):
    """Sums of float16 overflow long before what is made of them: here it is computed in float32 throughout."""

    @functools.wraps(function)
    def call(x, *args, **kwargs):
        if getattr(x, "dtype", None) != dtypes.FLOAT16:
            return function(x, *args, **kwargs)
        y = function(cast(as_array(x, function.__name__), dtypes.FLOAT32), *args, **kwargs)
        return y if y.dtype != dtypes.FLOAT32 else cast(y, dtypes.FLOAT16)

    return call


def _narrow(y, x, dtype):
    """What was computed in float32 because `x` is float16, in float16 unless another dtype was asked for."""
    half = dtype is None and x.dtype == dtypes.FLOAT16
    return cast(y, dtypes.FLOAT16) if half and y.dtype == dtypes.FLOAT32 else y


def _working(x, dtype, call):
    """`x` in what means and variances are computed in; float16 in float32, as in NumPy."""
    half = dtype is None and x.dtype == dtypes.FLOAT16
    return _floating(x, dtypes.FLOAT32 if half else dtype, call)


def mean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=True):
    """Arithmetic mean over axes; nan of no elements."""
    a = as_array(a, "mean", "a")
    y = _narrow(_mean(_working(a, dtype, "mean"), axis, keepdims, where, "mean"), a, dtype)
    return y if out is None else delivered("mean", y, out)


def _mean(x, axis, keepdims, where, call):
    count = _count(x, axis, call, where)
    if not isinstance(count, Array):
        return sum(x, axis, keepdims=keepdims) / float(count)
    y = sum(x, axis, keepdims=True, where=where) / cast(count, dtypes.real_of(x.dtype))
    return y if keepdims else reshape(y, shapes.without(x.shape, shapes.axes(call, axis, x.ndim)))


def average(a, axis=None, weights=None, returned=False, *, keepdims=False):
    """Mean over axes, weighted if `weights` are given: of the shape of `a`, or of that of `axis`.

    With `returned`, a pair of that and the sum of the weights.  Weights that sum up to zero give nan or infinities.
    """
    x = as_array(a, "average", "a")
    if weights is None:
        y = mean(x, axis, keepdims=keepdims)
        total = leaf(numpy.array(float(_count(x, axis, "average"))))
    else:
        w = _weights(x, axis, as_array(weights, "average", "weights"))
        total = sum(w, axis, keepdims=keepdims)
        y = sum(x * w, axis, keepdims=keepdims) / total
    return (y, broadcast_to(cast(total, y.dtype), y.shape)) if returned else y


def _weights(x, axis, w):
    """Weights in the shape of `x`."""
    if w.shape == x.shape:
        return w
    order = () if axis is None else tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    order = tuple(shapes.axis("average", i, x.ndim) for i in order)
    if not order or w.shape != tuple(x.shape[i] for i in order):
        raise ShapeError(f"average: weights of shape {w.shape} do not fit x of shape {x.shape} along axis {axis}")
    w = transpose(w, sorted(range(len(order)), key=order.__getitem__))
    return broadcast_to(reshape(w, tuple(n if i in order else 1 for i, n in enumerate(x.shape))), x.shape)


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=_NONE, correction=_NONE):
    """Variance over axes, the sum of squares divided by the number of elements less `ddof`.

    Parameters
    ----------
    a : array_like
    axis : None, int or tuple of int
    dtype : dtype, optional
    out : Array or ndarray, optional
        Where the result goes.
    ddof, correction : number
        Two names for what is taken from the number of elements: 0 for a population, 1 for a sample.
    keepdims : bool
    where : array_like of bool, optional
        Which elements count.
    mean : array_like, optional
        The mean over the same axes with `keepdims`, if it is known.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> float(np.var([1.0, 2.0, 3.0], ddof=1))
    1.0
    """
    return delivered("var", _variance("var", a, axis, dtype, ddof, keepdims, where, mean, correction), out)


def _variance(call, a, axis, dtype, ddof, keepdims, where, mean, correction):
    if correction is not _NONE and correction is not None:
        if ddof:
            raise ArgumentError(f"{call}: give ddof or correction, not both; they are names for the same number")
        ddof = correction
    a = as_array(a, call, "a")
    x = _working(a, dtype, call)
    center = _mean(x, axis, True, where, call) if mean is _NONE else as_array(mean, call, "mean")
    deviation = x - center
    size = roots.square(deviation) if deviation.dtype.kind != "c" else _squared_size(deviation)
    count = _count(x, axis, call, where)
    if not isinstance(count, Array):
        return _narrow(sum(size, axis, keepdims=keepdims) / float(builtins.max(count - ddof, 0)), a, dtype)
    degrees = selection.maximum(cast(count, size.dtype) - ddof, 0.0)
    y = sum(size, axis, keepdims=True, where=where) / degrees
    return _narrow(y if keepdims else reshape(y, shapes.without(x.shape, shapes.axes(call, axis, x.ndim))), a, dtype)


def _squared_size(x):
    a, b = complex.real(x), complex.imag(x)
    return a * a + b * b


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=_NONE, correction=_NONE):
    """Standard deviation over axes: the root of `var`.  Its derivative is infinite where it is zero."""
    return delivered("std", roots.sqrt(_variance("std", a, axis, dtype, ddof, keepdims, where, mean, correction)), out)


def argmax(a, axis=None, out=None, *, keepdims=False):
    """Index of the first largest element (of the first nan, if there is one)."""
    return _arg(kernels.argmax, "argmax", a, axis, out, keepdims)


def argmin(a, axis=None, out=None, *, keepdims=False):
    """Index of the first smallest element (of the first nan, if there is one)."""
    return _arg(kernels.argmin, "argmin", a, axis, out, keepdims)


def _arg(primitive, call, x, axis, out, keepdims):
    x = as_array(x, call, "a")
    flat = axis is None
    source = ravel(x) if flat or x.ndim == 0 else x
    axis = shapes.axis(call, 0 if flat else axis, source.ndim)
    _not_empty(call, source, (axis,))
    y = primitive(source, axis=axis)
    if keepdims:
        y = reshape(y, (1,) * x.ndim if flat else shapes.kept(x.shape, (axis,)))
    return delivered(call, y, out)


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


def cumsum(a, axis=None, dtype=None, out=None):
    """Sums of the elements up to and with each; of the flattened array when `axis` is None."""
    return _cumulative(cumulative.cumsum, "cumsum", a, axis, dtype, out)


def cumprod(a, axis=None, dtype=None, out=None):
    """Products of the elements up to and with each; of the flattened array when `axis` is None."""
    return _cumulative(cumulative.cumprod, "cumprod", a, axis, dtype, out)


def _cumulative(primitive, call, x, axis, dtype, out):
    x = _wide(as_array(x, call, "a"), dtype, call)
    if axis is None or x.ndim == 0:
        shapes.axes(call, axis, 1)
        x, axis = ravel(x), 0
    return delivered(call, primitive(x, axis=shapes.axis(call, axis, x.ndim)), out)


def cumulative_sum(x, *, axis=None, dtype=None, out=None, include_initial=False):
    """`cumsum` as the Array API names it; `include_initial` puts a 0 in front."""
    return _with_initial(cumsum, 0, "cumulative_sum", x, axis, dtype, out, include_initial)


def cumulative_prod(x, *, axis=None, dtype=None, out=None, include_initial=False):
    """`cumprod` as the Array API names it; `include_initial` puts a 1 in front."""
    return _with_initial(cumprod, 1, "cumulative_prod", x, axis, dtype, out, include_initial)


def _with_initial(function, initial, call, x, axis, dtype, out, include_initial):
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
    return delivered(call, y, out)


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
