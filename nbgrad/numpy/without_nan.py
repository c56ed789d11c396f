"""Reductions that leave out nan.  No gradient goes to what is left out."""

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import _value, is_abstract
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import comparison, roots, selection
from nbgrad.numpy import reductions
from nbgrad.numpy._arguments import as_array, as_dtype, cast
from nbgrad.numpy.indexing import sort
from nbgrad.numpy.manipulation import broadcast_to, expand_dims, reshape
from nbgrad.numpy.statistics import _of_fractions, at_fractions, fractions, lanes, with_kept

__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile",
    "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
]  # fmt: skip


def _left_out(x, where=True):
    """Which elements are left out: a boolean Array, or None when none can be."""
    missing = comparison.isnan(x) if dtypes.is_inexact(x.dtype) else None
    if where is not True:
        there = broadcast_to(cast(as_array(where, "nan functions", "where"), dtypes.BOOL), x.shape)
        missing = ~there if missing is None else missing | ~there
    return missing


def _instead(x, missing, value):
    return x if missing is None else selection.where(missing, value, x)


def nansum(x, axis=None, dtype=None, *, keepdims=False, initial=0, where=True):
    """Sum over axes, nan as 0.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> float(np.nansum([1.0, np.nan, 2.0]))
    3.0
    """
    x = as_array(x, "nansum")
    y = reductions.sum(_instead(x, _left_out(x, where), 0), axis, dtype, keepdims=keepdims)
    return y if type(initial) is int and initial == 0 else y + initial


def nanprod(x, axis=None, dtype=None, *, keepdims=False, initial=1, where=True):
    """Product over axes, nan as 1."""
    x = as_array(x, "nanprod")
    y = reductions.prod(_instead(x, _left_out(x, where), 1), axis, dtype, keepdims=keepdims)
    return y if type(initial) is int and initial == 1 else y * initial


def nanmax(x, axis=None, *, keepdims=False, initial=None, where=True):
    """Largest element over axes that is not nan; nan where all are."""
    return _extremum("nanmax", x, axis, keepdims, initial, where)


def nanmin(x, axis=None, *, keepdims=False, initial=None, where=True):
    """Smallest element over axes that is not nan; nan where all are."""
    return _extremum("nanmin", x, axis, keepdims, initial, where)


def _extremum(call, x, axis, keepdims, initial, where):
    x = as_array(x, call)
    if where is not True and initial is None:
        raise ArgumentError(f"{call}: where= needs initial=, the result where no element takes part")
    largest = call == "nanmax"
    missing = _left_out(x, where)
    reduce, choose = (reductions.max, selection.maximum) if largest else (reductions.min, selection.minimum)
    y = reduce(_instead(x, missing, _worst(x.dtype, largest)), axis, keepdims=keepdims)
    if missing is not None and initial is None:
        y = selection.where(reductions.all(missing, axis, keepdims=keepdims), numpy.nan, y)
    return y if initial is None else choose(y, initial)


def _worst(dtype, largest):
    """What loses against everything."""
    if dtypes.is_inexact(dtype):
        return -numpy.inf if largest else numpy.inf
    if dtype.kind == "b":
        return not largest
    limits = numpy.iinfo(dtype)
    return limits.min if largest else limits.max


def nanargmax(x, axis=None, *, keepdims=False):
    """Index of the first largest element that is not nan.

    Raises
    ------
    ArgumentError
        When all elements are nan.  While jit traces they are not known, and the index is 0 then.
    """
    return _arg("nanargmax", x, axis, keepdims)


def nanargmin(x, axis=None, *, keepdims=False):
    """Index of the first smallest element that is not nan; errors as of `nanargmax`."""
    return _arg("nanargmin", x, axis, keepdims)


def _arg(call, x, axis, keepdims):
    x = as_array(x, call)
    missing = _left_out(x)
    if missing is not None and x.size and not is_abstract(x._node) and _value(reductions.all(missing, axis)).any():
        raise ShapeError(f"{call}: all elements of a slice are nan; {describe(x, 'x')}")
    largest = call == "nanargmax"
    reduce = reductions.argmax if largest else reductions.argmin
    return reduce(_instead(x, missing, _worst(x.dtype, largest)), axis, keepdims=keepdims)


def nancumsum(x, axis=None, dtype=None):
    """Sums of the elements up to and with each, nan as 0."""
    x = as_array(x, "nancumsum")
    return reductions.cumsum(_instead(x, _left_out(x), 0), axis, dtype)


def nancumprod(x, axis=None, dtype=None):
    """Products of the elements up to and with each, nan as 1."""
    x = as_array(x, "nancumprod")
    return reductions.cumprod(_instead(x, _left_out(x), 1), axis, dtype)


def _counted(x, missing, axis):
    """How many elements take part, with the axes kept: a float, or an Array of floats."""
    if missing is None:
        return float(shapes.size(x.shape[a] for a in shapes.axes("nanmean", axis, x.ndim)))
    real = dtypes.real_of(x.dtype)
    return cast(reductions.sum(~missing, axis, keepdims=True), real)


def _floats(x, dtype, call):
    x, dtype = as_array(x, call), as_dtype(dtype, call)
    return cast(x, dtype or (x.dtype if dtypes.is_inexact(x.dtype) else dtypes.FLOAT64))


def _without_axes(y, x, axis, keepdims, call):
    return y if keepdims else reshape(y, shapes.without(x.shape, shapes.axes(call, axis, x.ndim)))


@reductions._in_float32
def nanmean(x, axis=None, dtype=None, *, keepdims=False, where=True):
    """Arithmetic mean over axes of what is not nan; nan where nothing is left."""
    x = _floats(x, dtype, "nanmean")
    missing = _left_out(x, where)
    y = reductions.sum(_instead(x, missing, 0), axis, keepdims=True) / _counted(x, missing, axis)
    return _without_axes(y, x, axis, keepdims, "nanmean")


@reductions._in_float32
def nanvar(x, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """Variance over axes of what is not nan: arguments as of `var`.

    `mean` is what the deviations are taken from, with the axes kept, if it is known.  The result is nan where `ddof`
    elements or fewer are left.
    """
    if correction is not None:
        if ddof:
            raise ArgumentError("nanvar: give ddof or correction, not both; they are names for the same number")
        ddof = correction
    x = _floats(x, dtype, "nanvar")
    missing = _left_out(x, where)
    count = _counted(x, missing, axis)
    if mean is None:
        mean = reductions.sum(_instead(x, missing, 0), axis, keepdims=True) / count
    deviation = _instead(x - as_array(mean, "nanvar", "mean"), missing, 0)
    size = reductions._squared_size(deviation) if deviation.dtype.kind == "c" else roots.square(deviation)
    degrees = count - ddof
    if missing is None:
        degrees = degrees if degrees > 0 else numpy.nan
    else:
        degrees = selection.where(degrees > 0, degrees, numpy.nan)
    return _without_axes(reductions.sum(size, axis, keepdims=True) / degrees, x, axis, keepdims, "nanvar")


def nanstd(x, axis=None, dtype=None, *, ddof=0, keepdims=False, where=True, mean=None, correction=None):
    """Standard deviation over axes of what is not nan: the root of `nanvar`."""
    return roots.sqrt(
        nanvar(x, axis, dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean, correction=correction)
    )


def nanmedian(x, axis=None, *, overwrite_input=False, keepdims=False):
    """The middle of the sorted elements over axes that are not nan, or the mean of the two in the middle."""
    x = _floats(x, None, "nanmedian")
    if not x.size:
        return nanmean(x, axis, keepdims=keepdims)
    low, high = (_quantile("nanquantile", x, 0.5, axis, side, keepdims, None) for side in ("lower", "higher"))
    return (low + high) / 2.0  # interpolation would take infinities from each other


def nanquantile(x, q, axis=None, *, overwrite_input=False, method="linear", keepdims=False, weights=None):
    """`quantile` of what is not nan; nan where all are."""
    return _quantile("nanquantile", x, q, axis, method, keepdims, weights)


def nanpercentile(x, q, axis=None, *, overwrite_input=False, method="linear", keepdims=False, weights=None):
    """`percentile` of what is not nan; nan where all are."""
    return _quantile("nanpercentile", x, q, axis, method, keepdims, weights)


def _quantile(call, x, q, axis, method, keepdims, weights):
    x = as_array(x, call)
    missing = _left_out(x)
    if missing is None:
        return _of_fractions(call, x, q, axis, method, keepdims, weights)
    if weights is not None:  # nan, which sorts last, weighs nothing
        return _weightless(call, x, q, axis, method, keepdims, weights, missing)
    q, weak = fractions(call, x, q, method)
    rows, axes = lanes(call, x, axis)
    if not rows.shape[-1]:
        raise ShapeError(f"{call}: there is no {call} of no elements; {describe(x, 'x')}")
    ordered = sort(rows)
    present = reductions.sum(~comparison.isnan(ordered), -1, keepdims=True)
    q_rows = q.reshape((-1,))
    n = present if q.dtype.kind in "iu" else cast(present, q.dtype if q.dtype.kind == "f" else dtypes.FLOAT64)
    y = at_fractions(ordered, n, q_rows, method, weak)
    none = reshape(present, present.shape[:-1]) == 0
    y = selection.where(expand_dims(none, 0), numpy.nan, y)
    y = reshape(y, (*q.shape, *y.shape[1:]))
    return with_kept(y, x, axes, keepdims, q.shape)


def _weightless(call, x, q, axis, method, keepdims, weights, missing):
    from nbgrad.numpy.statistics import fitted_weights

    w = fitted_weights(call, x, as_array(weights, call, "weights"), axis)
    w = selection.where(missing, 0, w)
    y = _of_fractions(call, selection.where(missing, numpy.inf, x), q, axis, method, keepdims, w)
    none = reductions.all(missing, axis, keepdims=keepdims)
    return selection.where(none, numpy.nan, y)
