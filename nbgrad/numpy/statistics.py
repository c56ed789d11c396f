"""Order statistics and covariances.

Quantiles are elements of the sorted array, or between two of them: gradients go back to where those came from, and to
`q` where it is an Array.  The methods are those of Hyndman and Fan 1996, Sample quantiles in statistical packages.
"""

import numpy

from nbgrad import devices, dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import comparison, complex, roots, selection
from nbgrad.kernels import indexing as kernels
from nbgrad.numpy._arguments import as_array, as_dtype, cast, leaf
from nbgrad.numpy.indexing import argsort, sort, take_along_axis
from nbgrad.numpy.manipulation import (
    broadcast_to,
    concatenate,
    diagonal,
    expand_dims,
    moveaxis,
    part,
    ravel,
    reshape,
    transpose,
)  # fmt: skip
from nbgrad.numpy.products import matmul
from nbgrad.numpy.reductions import cumsum, sum

__all__ = ["corrcoef", "cov", "median", "percentile", "quantile"]


def lanes(call, x, axis):
    """(`x` with the named axes as one last axis, the axes)."""
    axes = shapes.axes(call, axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    count = shapes.size(x.shape[a] for a in axes)
    return reshape(transpose(x, kept + axes), (*(x.shape[a] for a in kept), count)), axes


def with_kept(y, x, axes, keepdims, leading=()):
    """A result without `axes`, with `leading` axes in front, under its final shape."""
    return reshape(y, (*leading, *shapes.kept(x.shape, axes))) if keepdims else y


def nan_if_any(ordered, y):
    """`y`, or the nan that stands last in sorted lanes."""
    if not dtypes.is_inexact(ordered.dtype) or not ordered.shape[-1]:
        return y
    last = reshape(part(ordered, ordered.ndim - 1, ordered.shape[-1] - 1, ordered.shape[-1]), ordered.shape[:-1])
    return selection.where(comparison.isnan(last), last, y)


def median(x, axis=None, *, overwrite_input=False, keepdims=False):
    """The middle of the sorted elements over axes, or the mean of the two in the middle; nan of no elements.

    `overwrite_input` changes nothing: the argument is left alone.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.median([[3.0, 1.0, 2.0], [4.0, 4.0, 8.0]], axis=1)
    Array([2., 4.], shape=(2,), dtype=float64, device=cpu)
    """
    x = as_array(x, "median")
    rows, axes = lanes("median", x, axis)
    rows = rows if dtypes.is_inexact(rows.dtype) else cast(rows, dtypes.FLOAT64)
    n = rows.shape[-1]
    if n == 0:
        y = broadcast_to(leaf(numpy.full((), numpy.nan, rows.dtype)), rows.shape[:-1])
    else:
        rows = sort(rows)
        low, high = (reshape(part(rows, rows.ndim - 1, i, i + 1), rows.shape[:-1]) for i in ((n - 1) // 2, n // 2))
        y = nan_if_any(rows, low if n % 2 else (low + high) / 2.0)
    return with_kept(y, x, axes, keepdims)


def quantile(x, q, axis=None, *, overwrite_input=False, method="linear", keepdims=False, weights=None):
    """The values below which the fractions `q` of the elements over axes lie.

    Parameters
    ----------
    x : array_like
        Real numbers.
    q : array_like
        0 <= q <= 1; gradients flow to it where the method is continuous.
    axis : None, int or tuple of int
    overwrite_input : bool
        Changes nothing: the argument is left alone.
    method : str
        As in `numpy.quantile`: ``"linear"``, ``"lower"``, ``"higher"``, ``"midpoint"``, ``"nearest"``,
        ``"inverted_cdf"``, ``"averaged_inverted_cdf"``, ``"closest_observation"``, ``"interpolated_inverted_cdf"``,
        ``"hazen"``, ``"weibull"``, ``"median_unbiased"`` or ``"normal_unbiased"``.
    keepdims : bool
    weights : array_like, optional
        Of the shape of `x`, or 1-d along `axis`; for ``"inverted_cdf"`` only.

    Returns
    -------
    Array
        The axes of `q`, then those of `x` that are left; nan where an element is nan.

    Raises
    ------
    DtypeError
        Of complex numbers.
    ArgumentError
        When `q` is out of range, or the method is unknown or takes no weights.
    ShapeError
        When there are no elements, or `weights` do not fit.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.quantile([1.0, 2.0, 3.0, 4.0], [0.25, 0.5])
    Array([1.75, 2.5 ], shape=(2,), dtype=float64, device=cpu)
    """
    return _of_fractions("quantile", x, q, axis, method, keepdims, weights)


def percentile(x, q, axis=None, *, overwrite_input=False, method="linear", keepdims=False, weights=None):
    """`quantile` with `q` in percent."""
    return _of_fractions("percentile", x, q, axis, method, keepdims, weights)


def _of_fractions(call, x, q, axis, method, keepdims, weights):
    x = as_array(x, call)
    q, weak = fractions(call, x, q, method)
    rows, axes = lanes(call, x, axis)
    if rows.shape[-1] == 0:
        raise ShapeError(f"{call}: there is no {call} of no elements; {describe(x, 'x')}")
    if weights is None:
        ordered = sort(rows)
        y = nan_if_any(expand_dims(ordered, 0), at_fractions(ordered, ordered.shape[-1], q, method, weak))
    else:
        if method != "inverted_cdf":
            raise ArgumentError(f"{call}: method {method!r} takes no weights; only 'inverted_cdf' does")
        order = argsort(rows)
        ordered = take_along_axis(rows, order)
        w = take_along_axis(lanes(call, _weights(call, x, weights, axis), axis)[0], order)
        y = nan_if_any(expand_dims(ordered, 0), _weighted(ordered, w, q))
    y = reshape(y, (*q.shape, *y.shape[1:]))
    return with_kept(y, x, axes, keepdims, q.shape)


#: Where method "x" puts the fraction q of n sorted elements, as a number of an element, and where it rounds.
METHODS = {
    "inverted_cdf": lambda n, q: _up_unless_whole(n * q - 1),
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "closest_observation": lambda n, q: _to_even(n * q - 1 - 0.5),
    "interpolated_inverted_cdf": lambda n, q: _between(n, q, 0, 1),
    "hazen": lambda n, q: _between(n, q, 0.5, 0.5),
    "weibull": lambda n, q: _between(n, q, 0, 0),
    "linear": lambda n, q: (n - 1) * q,
    "median_unbiased": lambda n, q: _between(n, q, 1 / 3, 1 / 3),
    "normal_unbiased": lambda n, q: _between(n, q, 3 / 8, 3 / 8),
    "lower": lambda n, q: numpy.floor((n - 1) * q).astype(dtypes.INT64),
    "higher": lambda n, q: numpy.ceil((n - 1) * q).astype(dtypes.INT64),
    "midpoint": lambda n, q: 0.5 * (numpy.floor((n - 1) * q) + numpy.ceil((n - 1) * q)),
    "nearest": lambda n, q: numpy.around((n - 1) * q).astype(dtypes.INT64),
}
#: Methods that return elements where they find whole places: NumPy does not interpolate then.
ELEMENTS = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest", "linear")


def _between(n, q, alpha, beta):
    return n * q + (alpha + q * (1 - alpha - beta)) - 1


def _up_unless_whole(place):
    low = numpy.floor(place)
    return _floored(numpy.where(place == low, low, low + 1))


def _to_even(place):
    """The nearest; of two as near the even one, counted from 1."""
    low = numpy.floor(place)
    return _floored(numpy.where((place == low) & (low % 2 == 1), low, low + 1))


def _floored(place):
    return numpy.maximum(place.astype(dtypes.INT64), 0)


def fractions(call, x, q, method):
    """(`q` checked, as fractions, an ndarray or an Array; whether it is one of Python's numbers)."""
    if x.dtype.kind == "c":
        raise DtypeError(f"{call}: x must hold real numbers; {describe(x, 'x')}")
    if method not in METHODS:
        raise ArgumentError(f"{call}: method must be one of {', '.join(METHODS)}, not {method!r}")
    weak = type(q) in (int, float)
    if not isinstance(q, Array):
        q = as_array(q, call, "q") if isinstance(q, (list, tuple)) and _holds_arrays(q) else numpy.asarray(q)
    if call.endswith("percentile"):
        q = q / 100
    q = q if isinstance(q, Array) else numpy.asarray(q)
    known = known_value(q)
    if q.ndim > 2:
        raise ShapeError(f"{call}: q must have at most 2 dimensions; {describe(q, 'q')}")
    if known is not None and not ((known >= 0) & (known <= 1)).all():
        top = "100" if call.endswith("percentile") else "1"
        raise ArgumentError(f"{call}: q must be in the range [0, {top}]")
    return q, weak


def known_value(x):
    """The ndarray that an argument is, or that a pending Array need not be computed for; otherwise None."""
    return x if isinstance(x, numpy.ndarray) else devices.on_host(x._node.value) if x._node.value is not None else None


def _holds_arrays(values):
    return any(isinstance(v, Array) or (isinstance(v, (list, tuple)) and _holds_arrays(v)) for v in values)


def at_fractions(ordered, n, q, method, weak):
    """Quantiles of lanes of which the first n elements are sorted, fractions first: a number n, or one for each lane.

    Where n is an Array, its last axis has extent 1 and the lanes' axes are its other ones.
    """
    place = METHODS[method](n, q.reshape((-1,)))
    place = place if isinstance(place, Array) else numpy.asarray(place)
    whole = place.dtype.kind in "iu" and method in ELEMENTS
    if not whole and place.dtype.kind in "iu":
        place = place.astype(dtypes.FLOAT64)
    low = place if whole else numpy.floor(place)
    last, first = n - 1, (place < 0)
    above = place >= last
    if place.dtype.kind == "f":
        above = above | numpy.isnan(place)
    low_at = _bounded(low, above, first, last)
    at_low = _picked(ordered, low_at)
    if whole:
        return moveaxis(at_low, -1, 0)
    at_high = _picked(ordered, _bounded(low + 1, above, first, last))
    t = place - numpy.where(first, 0, numpy.where(above, -1, low))  # NumPy's: it does not matter beyond the ends
    if method == "averaged_inverted_cdf":
        t = numpy.where(place - low == 0, 0.5, 1.0)
    elif method == "midpoint":
        t = numpy.where(place % 1 == 0, 0.0, 0.5)
    if not isinstance(t, Array):
        t = float(t[0]) if weak and t.ndim == 1 else leaf(t.astype(place.dtype))
    elif weak:
        t = cast(t, dtypes.promote([ordered.dtype, "weak float"]))
    else:
        t = cast(t, place.dtype)
    apart = at_high - at_low
    if not dtypes.is_inexact(apart.dtype):
        apart = cast(apart, dtypes.promote([apart.dtype, t.dtype])) if isinstance(t, Array) else apart * 1.0
    near_low, near_high = at_low + apart * t, at_high - apart * (1 - t)
    y = selection.where(t >= 0.5, near_high, near_low) if isinstance(t, Array) else near_high if t >= 0.5 else near_low
    return moveaxis(y, -1, 0)


def _bounded(place, above, below, last):
    return numpy.where(below, 0, numpy.where(above, last, place)).astype(dtypes.INT64)


def _picked(ordered, at):
    """Elements of lanes at indices: the same ones for all, or others for each."""
    if at.ndim == 1:
        return kernels.take(ordered, at if isinstance(at, Array) else leaf(at), axis=ordered.ndim - 1)
    n = ordered.shape[-1]
    starts = numpy.arange(0, ordered.size, n).reshape((*ordered.shape[:-1], 1))
    return kernels.take(ravel(ordered), selection.maximum(at, 0) + leaf(starts), axis=0)


def any_known(x, wrong):
    """Whether a condition holds anywhere, as far as values are known."""
    known = known_value(x)
    return known is not None and bool(wrong(known).any())


def _weights(call, x, weights, axis):
    w = as_array(weights, call, "weights")
    if any_known(w, lambda v: v < 0):
        raise ArgumentError(f"{call}: weights must not be negative")
    return fitted_weights(call, x, w, axis)


def fitted_weights(call, x, w, axis):
    """Weights in the shape of `x`."""
    if w.shape == x.shape:
        return w
    axes = () if axis is None else tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(shapes.axis(call, a, x.ndim) for a in axes)
    if w.shape != tuple(x.shape[a] for a in axes) or not axes:
        raise ShapeError(
            f"{call}: weights of shape {w.shape} do not fit x of shape {x.shape} along axis {axis}\n"
            f"    {describe(x, 'x')}\n    {describe(w, 'weights')}"
        )
    order = sorted(range(len(axes)), key=axes.__getitem__)
    w = transpose(w, tuple(order))
    return broadcast_to(reshape(w, tuple(n if i in axes else 1 for i, n in enumerate(x.shape))), x.shape)


def _weighted(ordered, w, q):
    """The first elements where the sum of weights so far reaches the fractions of the whole."""
    total = cumsum(cast(w, dtypes.FLOAT64), -1)
    share = total / part(total, total.ndim - 1, total.shape[-1] - 1, total.shape[-1])
    flat = as_array(q.reshape((-1,)), "quantile", "q")
    if flat.dtype.kind == "f":
        share = cast(share, flat.dtype)
    share = selection.where(share == 0, -1.0, share)  # what weighs nothing is no quantile, also of 0
    reached = expand_dims(share, -1) < flat
    at = selection.minimum(sum(reached, -2), ordered.shape[-1] - 1)
    return moveaxis(_picked(ordered, at), -1, 0)


def cov(x, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """Covariance matrix of variables that are the rows of `x` (and of `y`).

    Parameters
    ----------
    x, y : array_like
        With 1 or 2 dimensions.
    rowvar : bool
        False: the variables are the columns.
    bias : bool
        Divide by the number of observations, not by one less.
    ddof : int, optional
        What is taken from the number of observations, whatever `bias` says.
    fweights : array_like of int, optional
        How often each observation counts.
    aweights : array_like, optional
        Weights of the observations.
    dtype : dtype, optional

    Raises
    ------
    ShapeError
        When there are more than 2 dimensions, or weights do not fit.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.cov([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    Array([[ 1., -1.],
           [-1.,  1.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    if ddof is not None and ddof != int(ddof):
        raise ArgumentError(f"cov: ddof must be an integer, not {ddof!r}")
    m = _variables("cov", x, rowvar, "x")
    other = None if y is None else _variables("cov", y, rowvar, "y")
    found = as_dtype(dtype, "cov") or numpy.result_type(
        m.dtype, *(() if other is None else (other.dtype,)), dtypes.FLOAT64
    )
    m = cast(m, found)
    if other is not None:
        m = concatenate([m, cast(other, found)], 0)
    if m.shape[0] == 0:
        return leaf(numpy.zeros((0, 0), found))
    ddof = (0 if bias else 1) if ddof is None else ddof
    f, a = _counts(m, fweights), _importances(m, aweights)
    w = f if a is None else a if f is None else f * a
    n = m.shape[1]
    if w is None:
        mean, factor = sum(m, 1, keepdims=True) / float(n), float(n - ddof)
        factor = max(factor, 0.0)
    else:
        total = sum(w)
        mean = sum(m * w, 1, keepdims=True) / total
        factor = total - ddof * (sum(w * a) / total if a is not None else 1)
        factor = selection.maximum(cast(factor, dtypes.FLOAT64), 0.0)
    m = m - mean
    c = matmul(m, complex.conjugate(transpose(m if w is None else m * w))) / factor
    return reshape(c, tuple(k for k in c.shape if k != 1))


def _variables(call, x, rowvar, name):
    x = as_array(x, call, name)
    if x.ndim > 2:
        raise ShapeError(f"{call}: {name} must have at most 2 dimensions\n    {describe(x, name)}")
    if x.ndim < 2:
        return reshape(x, (1, x.size))
    return x if rowvar else transpose(x)


def _observed(m, w, name):
    w = as_array(w, "cov", name)
    if w.shape != m.shape[1:]:
        raise ShapeError(
            f"cov: {name} must have one weight for each of the {m.shape[1]} observations\n    {describe(w, name)}"
        )
    if any_known(w, lambda v: v < 0):
        raise ArgumentError(f"cov: {name} must not be negative")
    return w


def _counts(m, w):
    if w is None:
        return None
    w = _observed(m, w, "fweights")
    if w.dtype.kind not in "iu" and any_known(w, lambda v: v != numpy.around(v)):
        raise ArgumentError("cov: fweights must be integers; use aweights")
    return cast(w, dtypes.FLOAT64)


def _importances(m, w):
    return None if w is None else cast(_observed(m, w, "aweights"), dtypes.FLOAT64)


def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    """Correlation coefficients of variables that are the rows of `x` (and of `y`): `cov` divided by deviations."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviations = roots.sqrt(complex.real(diagonal(c)))
    c = c / expand_dims(deviations, 1) / deviations
    if c.dtype.kind != "c":
        return selection.clip(c, -1.0, 1.0)
    return complex.from_parts(*(selection.clip(p, -1.0, 1.0) for p in (complex.real(c), complex.imag(c))))
