"""Arrays as sets.

How many elements there are depends on values, so these compute their arguments now, all but `isin`.  What is returned
is taken from the arguments, and gradients go back there: of equal elements to the first.
"""

from typing import NamedTuple

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.kernels import indexing as kernels
from nbgrad.kernels import selection
from nbgrad.numpy._arguments import as_array, leaf, promoted
from nbgrad.numpy.indexing import concrete, searchsorted, sort
from nbgrad.numpy.manipulation import concatenate, ravel

__all__ = [
    "UniqueAllResult", "UniqueCountsResult", "UniqueInverseResult", "intersect1d", "isin", "setdiff1d", "setxor1d",
    "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values",
]  # fmt: skip


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Array
    counts: Array


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Array
    inverse_indices: Array


def unique(x, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True,
           sorted=True):  # fmt: skip
    """The different elements, sorted.

    Parameters
    ----------
    x : array_like
    return_index, return_inverse, return_counts : bool
        Also return where each occurs first, which of them each element of `x` is, and how often each occurs.
    axis : int, optional
        Compare the slices along an axis instead of the elements.
    equal_nan : bool
        Whether nan equals nan.
    sorted : bool
        They are sorted anyway.

    Returns
    -------
    Array, or a tuple of the Arrays that were asked for

    Raises
    ------
    TracedValueError
        While jit traces, if `x` depends on an argument.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.unique([3, 1, 3], return_counts=True)
    (Array([1, 3], shape=(2,), dtype=int64, device=cpu), Array([1, 2], shape=(2,), dtype=int64, device=cpu))
    """
    x = as_array(x, "unique")
    _, first, inverse, counts = numpy.unique(
        concrete(x, "unique", "x"), True, True, True, axis=axis, equal_nan=equal_nan
    )
    if axis is None:
        values = kernels.take(ravel(x), leaf(first), axis=0)
    else:
        values = kernels.take(x, leaf(first), axis=shapes.axis("unique", axis, x.ndim))
    asked = (return_index, first), (return_inverse, inverse), (return_counts, counts)
    more = [leaf(value) for wanted, value in asked if wanted]
    return (values, *more) if more else values


def unique_all(x):
    """The different elements, where each occurs first, which of them each element is, and how often each occurs.

    Here and in the functions of the Array API nan is not equal to nan.
    """
    return UniqueAllResult(*unique(x, True, True, True, equal_nan=False))


def unique_counts(x):
    """The different elements, and how often each occurs."""
    return UniqueCountsResult(*unique(x, return_counts=True, equal_nan=False))


def unique_inverse(x):
    """The different elements, and which of them each element of `x` is."""
    return UniqueInverseResult(*unique(x, return_inverse=True, equal_nan=False))


def unique_values(x):
    """The different elements."""
    return unique(x, equal_nan=False)


def isin(element, test_elements, assume_unique=False, invert=False, *, kind=None):
    """Whether each element is among `test_elements` (`invert`: is not).

    They are found by bisection in the sorted `test_elements`; `assume_unique` and `kind` change nothing.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.isin([1, 2, 3], [3, 1])
    Array([ True, False,  True], shape=(3,), dtype=bool, device=cpu)
    """
    x, table = promoted(as_array(element, "isin", "element"), as_array(test_elements, "isin", "test_elements"))
    if not table.size:
        found = Array(graph.constant(False, dtypes.BOOL, x.shape))
    else:
        table = sort(table, None)
        at = selection.minimum(searchsorted(table, x), table.size - 1)
        found = kernels.take(table, at, axis=0) == x
    return ~found if invert else found


def _two(call, ar1, ar2):
    """Two 1-d Arrays of one dtype, and their values."""
    a, b = promoted(ravel(as_array(ar1, call, "ar1")), ravel(as_array(ar2, call, "ar2")))
    return a, b, concrete(a, call, "ar1"), concrete(b, call, "ar2")


def _picked(a, places):
    return kernels.take(a, leaf(places), axis=0)


def union1d(ar1, ar2):
    """The different elements of both, sorted."""
    a, b, u, v = _two("union1d", ar1, ar2)
    return _picked(concatenate([a, b]), numpy.unique(numpy.concatenate([u, v]), return_index=True)[1])


def intersect1d(ar1, ar2, assume_unique=False, return_indices=False):
    """The different elements that are in both, sorted.

    With `return_indices` also where they occur first in each.  `assume_unique` says that no element occurs twice.
    """
    a, _, u, v = _two("intersect1d", ar1, ar2)
    _, first, second = numpy.intersect1d(u, v, assume_unique=assume_unique, return_indices=True)
    common = _picked(a, first)
    return (common, leaf(first), leaf(second)) if return_indices else common


def setdiff1d(ar1, ar2, assume_unique=False):
    """The different elements of the first that are not in the second, sorted.

    With `assume_unique` the elements of the first as they come.
    """
    _, _, u, v = _two("setdiff1d", ar1, ar2)
    a = ravel(as_array(ar1, "setdiff1d", "ar1"))  # in its own dtype
    if assume_unique:
        return _picked(a, numpy.flatnonzero(numpy.isin(u, v, assume_unique=True, invert=True)))
    _, first = numpy.unique(u, return_index=True)
    return _picked(a, first[numpy.isin(u[first], v, invert=True)])


def setxor1d(ar1, ar2, assume_unique=False):
    """The different elements that are in exactly one of the two, sorted."""
    a, b, u, v = _two("setxor1d", ar1, ar2)
    if assume_unique:
        first, second = numpy.arange(len(u)), numpy.arange(len(v))
    else:
        (_, first), (_, second) = (numpy.unique(w, return_index=True) for w in (u, v))
    places = numpy.concatenate([first, len(u) + second])
    values = numpy.concatenate([u, v])[places]
    order = numpy.argsort(values, kind="stable")
    values = values[order]
    differs = numpy.concatenate([[True], values[1:] != values[:-1], [True]])
    alone = differs[1:] & differs[:-1] if len(values) else numpy.zeros(0, dtypes.BOOL)
    return _picked(concatenate([a, b]), places[order][alone])
