"""Orders of elements: parts of a sort, several keys.  All of them sort fully, which is one of the orders allowed."""

import numpy

from nbgrad import dtypes, shapes
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import sorting
from nbgrad.numpy._arguments import as_array, as_integer, cast, leaf
from nbgrad.numpy.indexing import argsort, sort, take_along_axis
from nbgrad.numpy.manipulation import ravel

__all__ = ["argpartition", "lexsort", "partition", "sort_complex"]

_SMALL = frozenset(map(numpy.dtype, ("int8", "int16", "uint8", "uint16")))


def _check_places(call, x, kth, axis):
    x = as_array(x, call)
    if axis is None:
        x, axis = ravel(x), 0
    n = x.shape[shapes.axis(call, axis, x.ndim)]
    for k in numpy.atleast_1d(kth).tolist():
        if not -n <= as_integer(k, call, "kth") < n:
            raise ArgumentError(f"{call}: kth {k} is out of range for extent {n}")
    return x, axis


def partition(x, kth, axis=-1, kind="introselect", order=None):
    """`x` with the elements `kth` of the sorted array in their places, smaller ones before and larger ones behind."""
    x, axis = _check_places("partition", x, kth, axis)
    return sort(x, axis)


def argpartition(x, kth, axis=-1, kind="introselect", order=None):
    """Indices that partition `x`: see `partition`."""
    x, axis = _check_places("argpartition", x, kth, axis)
    return argsort(x, axis)


def lexsort(keys, axis=-1):
    """Indices that sort by several keys, by the last one first."""
    keys = [as_array(k, "lexsort", f"keys[{i}]") for i, k in enumerate(keys)]
    if not keys:
        raise ArgumentError("lexsort: needs at least one key")
    for i, k in enumerate(keys):
        if k.shape != keys[0].shape:
            raise ShapeError(
                f"lexsort: keys must have one shape\n    {describe(keys[0], 'keys[0]')}\n"
                f"    {describe(k, f'keys[{i}]')}"
            )
    if keys[0].ndim == 0:
        return leaf(numpy.zeros((), dtypes.INT64))
    axis = shapes.axis("lexsort", axis, keys[0].ndim)
    order = sorting.argsort(keys[0], axis=axis)
    for k in keys[1:]:
        order = take_along_axis(order, sorting.argsort(take_along_axis(k, order, axis), axis=axis), axis)
    return order


def sort_complex(x):
    """`x` sorted by real parts, then imaginary ones, as complex numbers."""
    x = as_array(x, "sort_complex")
    y = sort(x)
    if y.dtype.kind == "c":
        return y
    return cast(y, dtypes.COMPLEX64 if y.dtype in _SMALL else dtypes.COMPLEX128)
