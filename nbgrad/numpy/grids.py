"""Indices, grids and other arrays that depend on shapes alone; and sequences between two numbers."""

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import exponential
from nbgrad.numpy._arguments import as_array, as_dtype, as_indices, as_integer, as_shape, cast, leaf
from nbgrad.numpy.creation import arange, asarray, linspace
from nbgrad.numpy.indexing import concrete, nonzero
from nbgrad.numpy.manipulation import (
    broadcast_arrays,
    concatenate,
    moveaxis,
    part,
    reshape,
    transpose,
)  # fmt: skip
from nbgrad.numpy.selecting import within

__all__ = [
    "c_", "diag_indices", "diag_indices_from", "fromfunction", "geomspace", "index_exp", "indices", "ix_",
    "mask_indices", "mgrid", "ogrid", "r_", "ravel_multi_index", "s_", "tril_indices", "tril_indices_from",
    "triu_indices", "triu_indices_from", "unravel_index",
]  # fmt: skip

index_exp, s_ = numpy.index_exp, numpy.s_


def _leaves(arrays):
    return tuple(leaf(numpy.asarray(a, order="C")) for a in arrays)


def indices(dimensions, dtype=int, sparse=False):
    """The indices of every element of an array with this shape, stacked; a tuple that broadcasts if `sparse`."""
    shape, dtype = as_shape(dimensions, "indices"), as_dtype(dtype, "indices")
    made = numpy.indices(shape, dtype, sparse)
    return _leaves(made) if sparse else leaf(made)


def fromfunction(function, shape, *, dtype=float, like=None, **kwargs):
    """What a function returns for the indices of every element, as arrays; their dtype is `dtype`."""
    return function(*indices(shape, dtype), **kwargs)


def ix_(*args):
    """1-d sequences as indices of the mesh they span; of booleans the places that are true."""
    out = []
    for k, x in enumerate(args):
        x = as_indices(x, "ix_", f"args[{k}]")
        if x.ndim != 1:
            raise ShapeError(f"ix_: args[{k}] must have 1 dimension\n    {describe(x, f'args[{k}]')}")
        if x.size == 0:
            x = cast(x, dtypes.INT64)
        if x.dtype.kind == "b":
            (x,) = nonzero(x)
        out.append(reshape(x, (1,) * k + (x.size,) + (1,) * (len(args) - k - 1)))
    return tuple(out)


def diag_indices(n, ndim=2):
    """Indices of the main diagonal of an array with `ndim` axes of extent n."""
    return (leaf(numpy.arange(as_integer(n, "diag_indices", "n"))),) * ndim


def diag_indices_from(x):
    """`diag_indices` of an array with equal extents."""
    x = as_array(x, "diag_indices_from")
    if x.ndim < 2 or len(set(x.shape)) > 1:
        raise ShapeError(f"diag_indices_from: x must have 2 or more dimensions of equal extent\n    {describe(x, 'x')}")
    return diag_indices(x.shape[0], x.ndim)


def tril_indices(n, k=0, m=None):
    """Indices of what is on and below the k-th diagonal of an (n, m) matrix."""
    return _leaves(numpy.tril_indices(n, k, m))


def triu_indices(n, k=0, m=None):
    """Indices of what is on and above the k-th diagonal of an (n, m) matrix."""
    return _leaves(numpy.triu_indices(n, k, m))


def tril_indices_from(x, k=0):
    """`tril_indices` of a matrix."""
    return tril_indices(*_extents("tril_indices_from", x, k))


def triu_indices_from(x, k=0):
    """`triu_indices` of a matrix."""
    return triu_indices(*_extents("triu_indices_from", x, k))


def _extents(call, x, k):
    x = as_array(x, call)
    if x.ndim != 2:
        raise ShapeError(f"{call}: x must have 2 dimensions\n    {describe(x, 'x')}")
    return x.shape[0], k, x.shape[1]


def mask_indices(n, mask_func, k=0):
    """Indices where ``mask_func(ones((n, n)), k)``, as of `triu`, is not zero."""
    return nonzero(mask_func(leaf(numpy.ones((n, n), int)), k))


def unravel_index(indices, shape, order="C"):
    """Indices of a flattened array of this shape as a tuple of indices, one Array for each axis.

    Raises
    ------
    IndexError
        When one is out of range.
    """
    at, shape = as_indices(indices, "unravel_index", "indices"), as_shape(shape, "unravel_index")
    _check_integers("unravel_index", at, "indices")
    if not isinstance(indices, Array):
        return _leaves(numpy.unravel_index(numpy.asarray(indices), shape, order))
    at = within("unravel_index", cast(at, dtypes.INT64), shapes.size(shape), "raise")
    out, step = [], 1
    for n in shape[::-1] if order == "C" else shape:
        out.append(at // step % n)
        step *= n
    return tuple(out[::-1] if order == "C" else out)


def _check_integers(call, at, name):
    if at.dtype.kind not in "iu" and at.size:
        raise ArgumentError(f"{call}: {name} must be integers; {describe(at, name)}")


def ravel_multi_index(multi_index, dims, mode="raise", order="C"):
    """Indices, one array for each axis of a shape, as indices of the flattened array.

    `mode`, one of "raise", "clip" and "wrap", or one for each axis, says what an index out of range means; negative
    ones are.
    """
    shape = as_shape(dims, "ravel_multi_index")
    at = [as_indices(i, "ravel_multi_index", f"multi_index[{k}]") for k, i in enumerate(multi_index)]
    if len(at) != len(shape):
        raise ArgumentError(f"ravel_multi_index: {len(at)} arrays of indices for {len(shape)} axes; give one for each")
    modes = [mode] * len(shape) if isinstance(mode, str) else list(mode)
    for k, i in enumerate(at):
        _check_integers("ravel_multi_index", i, f"multi_index[{k}]")
    at = [cast(i, dtypes.INT64) for i in at]
    at = broadcast_arrays(*at) if at else at
    strides = shapes.contiguous_strides(shape if order == "C" else shape[::-1])
    strides = strides if order == "C" else strides[::-1]
    total = leaf(numpy.zeros((), dtypes.INT64))
    for k, (i, n, step) in enumerate(zip(at, shape, strides, strict=True)):
        if modes[k] == "raise":
            known = concrete(i, "ravel_multi_index", f"multi_index[{k}]")
            if ((known < 0) | (known >= n)).any():
                raise ArgumentError(f"ravel_multi_index: multi_index[{k}] is out of range for extent {n}")
        else:
            i = within("ravel_multi_index", i, n, modes[k])
        total = total + i * step
    return total


def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """`num` numbers from `start` to `stop`, each a constant multiple of the one before.

    Gradients flow to start and stop, which may be arrays; the new axis is `axis`.

    Raises
    ------
    ArgumentError
        When start or stop is 0.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.geomspace(1.0, 8.0, 4)
    Array([1., 2., 4., 8.], shape=(4,), dtype=float64, device=cpu)
    """
    num, dtype = as_integer(num, "geomspace", "num"), as_dtype(dtype, "geomspace")
    if not isinstance(start, Array) and not isinstance(stop, Array):
        if not numpy.all(start) or not numpy.all(stop):
            raise ArgumentError("geomspace: start and stop must not be 0")
        return leaf(numpy.asarray(numpy.geomspace(start, stop, num, endpoint, dtype, axis), order="C"))
    start, stop = (as_array(v, "geomspace", n) for v, n in ((start, "start"), (stop, "stop")))
    found = numpy.result_type(start.dtype, stop.dtype, dtypes.FLOAT64 if dtype is None else dtype)
    found = found if dtypes.is_inexact(found) else dtypes.FLOAT64
    start, stop = broadcast_arrays(cast(start, found), cast(stop, found))
    if found.kind == "c":
        ratio = exponential.log(stop / start)
    else:  # both have one sign
        ratio = exponential.log(abs(stop)) - exponential.log(abs(start))
    parts = max(num - 1 if endpoint else num, 1)
    t = leaf((numpy.arange(num) / parts).reshape((num,) + (1,) * start.ndim))
    y = start * exponential.exp(ratio * t)
    if endpoint and num > 1:  # exactly
        y = concatenate([part(y, 0, 0, num - 1), reshape(stop, (1, *stop.shape))])
    y = moveaxis(y, 0, axis)
    return y if dtype is None else cast(y, dtype)


# ---------------------------------------------------------------- by slices


class _Grid:
    """`mgrid` and `ogrid`: grids written as slices; a step ``5j`` means 5 numbers up to and with the end."""

    def __init__(self, own):
        self._own = own

    def __getitem__(self, key):
        made = self._own[key]
        return _leaves(made) if isinstance(made, tuple) else leaf(made)


mgrid, ogrid = _Grid(numpy.mgrid), _Grid(numpy.ogrid)


class _Joined:
    """`r_` and `c_`: what is listed, arrays, numbers and slices, joined along an axis."""

    def __init__(self, name, axis, rank, start):
        self._name, self._usual = name, (axis, rank, start)

    def __getitem__(self, key):
        items = list(key) if isinstance(key, tuple) else [key]
        axis, rank, start = self._usual
        if items and isinstance(items[0], str):
            axis, rank, start = self._directive(items.pop(0))
        parts = [self._item(i, rank, start) for i in items]
        if not parts:
            raise ArgumentError(f"{self._name}: lists nothing to join")
        weak = [k for p, k in parts if k is not None]
        strong = [p.dtype for p, k in parts if k is None]
        dtype = dtypes.promote([*strong, *weak])
        return concatenate([cast(p, dtype) for p, _ in parts], axis)

    def _directive(self, text):
        try:
            numbers = [int(n) for n in text.split(",")]
        except ValueError:
            raise ArgumentError(
                f"{self._name}: {text!r} is not a list of up to three integers; matrices ('r', 'c') are not supported"
            ) from None
        return (*numbers, *self._usual[len(numbers) :])[:3]

    def _item(self, item, rank, start):
        """(an array of at least `rank` dimensions, the kind of a Python number)."""
        if isinstance(item, slice):
            step = item.step
            low = 0 if item.start is None else item.start
            if isinstance(step, complex):
                made = linspace(low, item.stop, int(abs(step)))
            else:
                made = arange(low, item.stop, 1 if step is None else step)
        else:
            made = asarray(item)
        kind = dtypes.WEAK.get(type(item))
        old = made.ndim
        if old == 0:
            return reshape(made, (1,) * max(rank, 1)), kind
        if old < rank:
            made = reshape(made, (1,) * (rank - old) + made.shape)
            if start != -1:  # where the axes that were there begin
                first = start + rank - old + 1 if start < 0 else start
                order = list(range(rank - old))
                order[first:first] = range(rank - old, rank)
                made = transpose(made, tuple(order))
        return made, kind


r_, c_ = _Joined("r_", 0, 1, -1), _Joined("c_", -1, 2, 0)
