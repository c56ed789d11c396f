"""Counting elements in bins.  Sums of weights have gradients by the weights, densities also by the edges."""

import numpy

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import indexing as kernels
from nbgrad.kernels import selection
from nbgrad.numpy._arguments import as_array, as_indices, as_integer, cast, leaf, promoted
from nbgrad.numpy.creation import linspace
from nbgrad.numpy.indexing import concrete, searchsorted
from nbgrad.numpy.manipulation import diff, flip, ravel, reshape, stack
from nbgrad.numpy.reductions import max as largest
from nbgrad.numpy.reductions import min as smallest
from nbgrad.numpy.reductions import sum
from nbgrad.numpy.statistics import any_known, known_value

__all__ = [
    "bincount", "digitize", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd",
]  # fmt: skip


def bincount(x, weights=None, minlength=0):
    """How often each integer from 0 on occurs in `x`, or the sums of the weights of those places.

    Parameters
    ----------
    x : array_like of int
        1-d, not negative; its largest element, which is computed now, decides the length.
    weights : array_like, optional
        Of the shape of `x`; the sums are float64, and gradients flow to the weights.
    minlength : int

    Raises
    ------
    TracedValueError
        While jit traces, if `x` depends on an argument; `segment_sum` takes the length.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.bincount([0, 2, 2], weights=[1.0, 2.0, 3.0])
    Array([1., 0., 5.], shape=(3,), dtype=float64, device=cpu)
    """
    x, minlength = as_indices(x, "bincount", "x"), as_integer(minlength, "bincount", "minlength")
    if x.ndim != 1:
        raise ShapeError(f"bincount: x must have 1 dimension\n    {describe(x, 'x')}")
    if x.size and x.dtype.kind not in "iub":
        raise ArgumentError(f"bincount: x must hold integers\n    {describe(x, 'x')}")
    if minlength < 0:
        raise ArgumentError(f"bincount: minlength must not be negative, got {minlength}")
    known = concrete(x, "bincount", "x")
    if known.size and known.min() < 0:
        raise ArgumentError(f"bincount: x must not be negative, holds {known.min()}")
    n = max(minlength, int(known.max()) + 1 if known.size else 0)
    if weights is None:
        return _sums(cast(x, dtypes.INT64), n, None, dtypes.INT64)
    weights = cast(as_array(weights, "bincount", "weights"), dtypes.FLOAT64)
    if weights.shape != x.shape:
        raise ShapeError(
            f"bincount: there must be a weight for each element\n    {describe(x, 'x')}\n"
            f"    {describe(weights, 'weights')}"
        )
    return _sums(cast(x, dtypes.INT64), n, weights, dtypes.FLOAT64)


def _sums(at, n, weights, dtype):
    """Sums of weights (None: ones) by indices that are in range."""
    start = Array(graph.constant(0, dtype, (n,)))
    weights = Array(graph.constant(1, dtype, at.shape)) if weights is None else cast(weights, dtype)
    return kernels.scatter_add(start, at, weights, axis=0) if at.size else start


def digitize(x, bins, right=False):
    """Between which of the edges `bins` each element lies: i with bins[i - 1] <= x < bins[i], also of falling edges.

    With `right` the upper edge belongs to the bin instead of the lower one.

    Raises
    ------
    ArgumentError
        When the edges neither rise nor fall.  Where they are not known yet, as while jit traces, the ends decide.
    """
    x, bins = as_array(x, "digitize"), as_array(bins, "digitize", "bins")
    side, n = ("left" if right else "right"), bins.size
    if bins.ndim != 1:
        raise ShapeError(f"digitize: bins must have 1 dimension\n    {describe(bins, 'bins')}")
    known = known_value(bins)
    if known is not None:
        steps = numpy.diff(known)
        if (steps < 0).any() and (steps > 0).any():
            raise ArgumentError("digitize: bins must rise or fall throughout")
        return n - searchsorted(flip(bins), x, side) if (steps < 0).any() else searchsorted(bins, x, side)
    return selection.where(bins[0] > bins[-1], n - searchsorted(flip(bins), x, side), searchsorted(bins, x, side))


def histogram_bin_edges(x, bins=10, range=None, weights=None):
    """The edges that `histogram` uses."""
    return _edges("histogram_bin_edges", ravel(as_array(x, "histogram_bin_edges")), bins, range, weights)


def _edges(call, x, bins, range, weights=None):
    """Edges as an Array; `bins` is their number less one, the name of a rule, or themselves."""
    if isinstance(bins, str):
        if weights is not None:
            raise ArgumentError(f"{call}: rules for the number of bins, as {bins!r}, take no weights")
        return leaf(numpy.histogram_bin_edges(concrete(x, call, "x"), bins, range))
    if not isinstance(bins, (Array, numpy.ndarray, list, tuple)):
        n = as_integer(bins, call, "bins")
        if n < 1:
            raise ArgumentError(f"{call}: the number of bins must be positive, got {n}")
        return _spaced(call, x, n, range)
    bins = as_array(bins, call, "bins")
    if bins.ndim == 0:
        return _edges(call, x, int(bins), range, weights)
    if bins.ndim != 1:
        raise ShapeError(f"{call}: bins must have 1 dimension\n    {describe(bins, 'bins')}")
    if any_known(bins, lambda v: numpy.diff(v) < 0):
        raise ArgumentError(f"{call}: the edges in bins must rise")
    return bins


def _spaced(call, x, n, range):
    dtype = dtypes.promote([x.dtype, "weak float"]) if dtypes.is_inexact(x.dtype) else dtypes.FLOAT64
    if range is not None:
        low, high = range
        if not isinstance(low, Array) and not isinstance(high, Array):
            low, high = float(low), float(high)
            if low > high:
                raise ArgumentError(f"{call}: range must be (low, high), got {range!r}")
            if not numpy.isfinite((low, high)).all():
                raise ArgumentError(f"{call}: range {range!r} is not finite")
            low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
            return cast(linspace(low, high, n + 1), dtype)
    elif x.size == 0:
        return cast(linspace(0.0, 1.0, n + 1), dtype)
    else:
        low, high = smallest(x), largest(x)
        if any_known(x, lambda v: ~numpy.isfinite(v)):
            raise ArgumentError(f"{call}: x is not finite everywhere; give range=(low, high)")
    low, high = (cast(as_array(v, call, "range"), dtype) for v in (low, high))
    wide = cast(selection.where(low == high, 0.5, 0.0), dtype)
    return linspace(low - wide, high + wide, n + 1)


def _places(x, edges):
    """(bins of elements, where there is one): the last bin has both its edges."""
    x, edges = promoted(x, edges)
    n = edges.shape[0] - 1
    at = searchsorted(edges, x, "right") - 1
    at = selection.where(x == edges[n], n - 1, at)
    inside = (at >= 0) & (at < n)
    return selection.where(inside, at, 0), inside


def _weighed(call, x, weights):
    """Weights of 1-d elements in one dimension, or None."""
    if weights is None:
        return None
    weights = as_array(weights, call, "weights")
    if weights.shape != x.shape:
        raise ShapeError(
            f"{call}: there must be a weight for each element\n    {describe(x, 'x')}\n"
            f"    {describe(weights, 'weights')}"
        )
    return ravel(weights)


def histogram(x, bins=10, range=None, density=None, weights=None):
    """How many elements are in each bin, and the edges of the bins.

    Parameters
    ----------
    x : array_like
    bins : int, str or array_like
        How many bins of equal width, the name of a rule as in `numpy.histogram_bin_edges`, or the edges.
    range : (low, high), optional
        The outer edges, if `bins` is a number; by default the smallest and the largest element.
    density : bool
        Divide by the widths and by the total.
    weights : array_like, optional
        Sums of these in place of numbers.

    Returns
    -------
    counts, edges : Array
        int64 counts, or the dtype of the weights; gradients flow to weights, and through densities to edges.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.histogram([1.0, 2.0, 2.5, 9.0], [0, 2, 3])[0]
    Array([1, 2], shape=(2,), dtype=int64, device=cpu)
    """
    x = as_array(x, "histogram")
    weights, x = _weighed("histogram", x, weights), ravel(x)
    x = cast(x, numpy.dtype("uint8")) if x.dtype.kind == "b" else x
    edges = _edges("histogram", x, bins, range, weights)
    n = edges.shape[0] - 1
    at, inside = _places(x, edges)
    dtype = dtypes.INT64 if weights is None else weights.dtype
    weights = cast(inside, dtype) if weights is None else selection.where(inside, weights, 0)
    counts = _sums(at, n, weights, dtype)
    if density:
        counts = counts / cast(diff(edges), dtypes.FLOAT64) / sum(counts)
    return counts, edges


def histogramdd(sample, bins=10, range=None, density=None, weights=None):
    """Histogram of points in several dimensions.

    Parameters
    ----------
    sample : array_like, or sequence of 1-d arrays
        Shape (points, dimensions), or the coordinates one by one.
    bins : int, or sequence with a number or edges for each dimension
    range : sequence of (low, high) or None, optional
    density : bool
        Divide by volumes and by the total.
    weights : array_like, optional
        One for each point.

    Returns
    -------
    counts : Array
        float64, an axis for each dimension.
    edges : tuple of Array
    """
    if not isinstance(sample, (Array, numpy.ndarray)):
        sample = stack([ravel(s) for s in sample], 1) if len(sample) else numpy.zeros((0, 0))
    sample = as_array(sample, "histogramdd", "sample")
    if sample.ndim == 1:
        sample = reshape(sample, (-1, 1))
    if sample.ndim != 2:
        raise ShapeError(f"histogramdd: sample must have 2 dimensions\n    {describe(sample, 'sample')}")
    count, d = sample.shape
    bins = list(bins) if isinstance(bins, (list, tuple, numpy.ndarray)) else [bins] * d
    if len(bins) != d:
        raise ArgumentError(f"histogramdd: {len(bins)} bins for {d} dimensions; give one for each")
    ranges = [None] * d if range is None else list(range)
    if len(ranges) != d:
        raise ArgumentError(f"histogramdd: {len(ranges)} ranges for {d} dimensions; give one for each")
    edges, at, inside = [], leaf(numpy.zeros(count, dtypes.INT64)), None
    for k in numpy.arange(d):
        x = sample[:, int(k)]
        edges.append(_edges("histogramdd", x, bins[k], ranges[k]))
        place, there = _places(x, edges[-1])
        at = at * (edges[-1].shape[0] - 1) + place
        inside = there if inside is None else inside & there
    shape = tuple(e.shape[0] - 1 for e in edges)
    if weights is not None:
        weights = as_array(weights, "histogramdd", "weights")
        if weights.shape != (count,):
            raise ShapeError(
                f"histogramdd: there must be a weight for each of {count} points\n    {describe(weights, 'weights')}"
            )
        weights = selection.where(inside, cast(weights, dtypes.FLOAT64), 0.0)
    else:
        weights = cast(inside, dtypes.FLOAT64)
    counts = reshape(_sums(at, int(numpy.prod(shape)), weights, dtypes.FLOAT64), shape)
    if density:
        total = sum(counts)
        for k, e in enumerate(edges):
            counts = counts / reshape(diff(e), tuple(-1 if i == k else 1 for i in numpy.arange(d)))
        counts = counts / total
    return counts, tuple(edges)


def histogram2d(x, y, bins=10, range=None, density=None, weights=None):
    """Histogram of points (x, y): counts, edges along x, edges along y.

    `bins` may be a number, edges, or a pair of these.
    """
    x, y = as_array(x, "histogram2d"), as_array(y, "histogram2d", "y")
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(
            f"histogram2d: x and y must be 1-d and as long\n    {describe(x, 'x')}\n    {describe(y, 'y')}"
        )
    if isinstance(bins, (list, tuple, numpy.ndarray, Array)) and len(bins) != 2:
        bins = [bins, bins] if len(bins) != 1 else [bins[0], bins[0]]
    counts, edges = histogramdd(stack(promoted(x, y), 1), bins, range, density, weights)
    return counts, *edges
