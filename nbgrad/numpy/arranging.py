"""Arrays put together from blocks, filled up, packed; functions applied along axes."""

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.numpy._arguments import as_array, as_dtype, as_integer, as_shape, cast, leaf
from nbgrad.numpy.creation import array, asarray
from nbgrad.numpy.manipulation import (
    concatenate,
    expand_dims,
    moveaxis,
    pad,
    part,
    ravel,
    reshape,
    split,
    stack,
    vstack,
)  # fmt: skip
from nbgrad.numpy.reductions import sum
from nbgrad.numpy.selecting import cycled

__all__ = [
    "apply_along_axis", "apply_over_axes", "asanyarray", "asarray_chkfinite", "asfortranarray", "block", "dsplit",
    "frombuffer", "fromiter", "fromstring", "packbits", "require", "resize", "row_stack", "unpackbits",
]  # fmt: skip


def block(arrays):
    """An array of nested lists of blocks: the innermost are joined along the last axis, those around along the next.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.block([[np.ones((1, 2)), 5.0], [np.zeros((1, 3))]])
    Array([[1., 1., 5.],
           [0., 0., 0.]], shape=(2, 3), dtype=float64, device=cpu)
    """
    depth = _depth(arrays, "arrays")
    rank = max(depth, _largest_rank(arrays))
    return _joined(arrays, 0, depth, rank)


def _depth(arrays, name):
    """How deep lists are nested; ArgumentError unless it is so everywhere."""
    if isinstance(arrays, tuple):
        raise ArgumentError(f"block: {name} is a tuple; only lists nest, wrap other sequences with asarray")
    if not isinstance(arrays, list):
        return 0
    if not arrays:
        raise ArgumentError(f"block: {name} is an empty list")
    depths = [_depth(a, f"{name}[{i}]") for i, a in enumerate(arrays)]
    if len(set(depths)) > 1:
        raise ArgumentError(f"block: the elements of {name} are nested to different depths {depths}")
    return depths[0] + 1


def _largest_rank(arrays):
    return max(map(_largest_rank, arrays)) if isinstance(arrays, list) else as_array(arrays, "block").ndim


def _joined(arrays, level, depth, rank):
    if level == depth:
        x = as_array(arrays, "block")
        return reshape(x, (1,) * (rank - x.ndim) + x.shape)
    return concatenate([_joined(a, level + 1, depth, rank) for a in arrays], rank - depth + level)


def dsplit(x, indices_or_sections):
    """Parts along axis 2."""
    x = as_array(x, "dsplit")
    if x.ndim < 3:
        raise ShapeError(f"dsplit: x needs at least 3 dimensions; {describe(x, 'x')}")
    return split(x, indices_or_sections, 2)


def row_stack(tup, *, dtype=None, casting="same_kind"):
    """Same as `vstack`."""
    return vstack(tup, dtype)


def resize(x, new_shape):
    """The elements of `x` in another shape: cut off, or repeated from the first on."""
    x, shape = as_array(x, "resize"), as_shape(new_shape, "resize")
    n = shapes.size(shape)
    if n and not x.size:
        return reshape(leaf(numpy.zeros(n, x.dtype)), shape)
    flat = ravel(x)
    return reshape(part(flat, 0, 0, n) if n <= x.size else cycled(flat, n), shape)


def asanyarray(x, dtype=None, order=None, *, device=None, copy=None):
    """Same as `asarray`."""
    return asarray(x, dtype, device=device, copy=copy)


def asfortranarray(x, dtype=None):
    """Same as `ascontiguousarray`: what order an Array has in memory cannot be seen."""
    return array(x, dtype, copy=None, ndmin=1)


def asarray_chkfinite(x, dtype=None, order=None):
    """`asarray`, and an error where the array holds nan or infinities, for which its value is computed now."""
    from nbgrad.numpy.indexing import concrete

    x = asarray(x, dtype)
    if dtypes.is_inexact(x.dtype) and not numpy.isfinite(concrete(x, "asarray_chkfinite", "x")).all():
        raise ShapeError(f"asarray_chkfinite: x must not hold nan or infinities; {describe(x, 'x')}")
    return x


def require(x, dtype=None, requirements=None):
    """`asarray`: every Array is what can be required of one, in C order, aligned and its own.

    Raises
    ------
    ArgumentError
        When Fortran order is required.
    """
    wanted = [requirements] if isinstance(requirements, str) else list(requirements or ())
    for name in wanted:
        if name.upper() in ("F", "FORTRAN", "F_CONTIGUOUS"):
            raise ArgumentError("require: Arrays are in C order; use numpy.asfortranarray(x.numpy())")
    return asarray(x, dtype)


def frombuffer(buffer, dtype=float, count=-1, offset=0):
    """A copy of the numbers in a buffer: `numpy.frombuffer`."""
    return leaf(numpy.frombuffer(buffer, as_dtype(dtype, "frombuffer"), count, offset).copy())


def fromiter(iter, dtype, count=-1):
    """A 1-d Array of the numbers that an iterator gives: `numpy.fromiter`."""
    return leaf(numpy.fromiter(iter, as_dtype(dtype, "fromiter"), count))


def fromstring(string, dtype=float, count=-1, *, sep):
    """A 1-d Array of the numbers in a text, with `sep` between them: `numpy.fromstring`."""
    return leaf(numpy.fromstring(string, as_dtype(dtype, "fromstring"), count, sep=sep))


# ---------------------------------------------------------------- bits


def packbits(x, axis=None, bitorder="big"):
    """Each eight elements along an axis (None: of the flattened array) as the bits of a uint8; zeros at the end."""
    x = as_array(x, "packbits")
    if x.dtype.kind not in "iub":
        raise DtypeError(f"packbits: x must hold integers or booleans; {describe(x, 'x')}")
    if axis is None:
        x, axis = ravel(x), 0
    axis, x = shapes.axis("packbits", axis, x.ndim), cast(x, dtypes.BOOL)
    n = x.shape[axis]
    x = moveaxis(cast(x, numpy.dtype("uint8")), axis, -1)
    x = pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -n % 8)])
    bits = reshape(x, (*x.shape[:-1], x.shape[-1] // 8, 8)) * leaf(_weights(bitorder, "packbits"))
    return moveaxis(cast(sum(bits, -1), numpy.dtype("uint8")), -1, axis)


def _weights(bitorder, call):
    if bitorder not in ("big", "little"):
        raise ArgumentError(f"{call}: bitorder must be 'big' or 'little', not {bitorder!r}")
    values = (1 << numpy.arange(8)).astype("uint8")
    return values[::-1].copy() if bitorder == "big" else values


def unpackbits(x, axis=None, count=None, bitorder="big"):
    """The bits of uint8 elements along an axis (None: of the flattened array), as uint8.

    `count` is how many are wanted; zeros fill up, and negative numbers are cut off at the end.
    """
    x = as_array(x, "unpackbits")
    if x.dtype != numpy.dtype("uint8"):
        raise DtypeError(f"unpackbits: x must hold uint8; {describe(x, 'x')}")
    if axis is None:
        x, axis = ravel(x), 0
    axis = shapes.axis("unpackbits", axis, x.ndim)
    x = expand_dims(moveaxis(x, axis, -1), -1)
    bits = cast((x & leaf(_weights(bitorder, "unpackbits"))) != 0, numpy.dtype("uint8"))
    bits = reshape(bits, (*bits.shape[:-2], bits.shape[-2] * 8))
    n = bits.shape[-1]
    if count is not None:
        count = as_integer(count, "unpackbits", "count")
        if count < -n:
            raise ArgumentError(f"unpackbits: count {count} is less than -{n}")
        wanted = count if count >= 0 else n + count
        bits = part(bits, bits.ndim - 1, 0, min(n, wanted))
        bits = pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, max(0, wanted - n))])
    return moveaxis(bits, -1, axis)


# ---------------------------------------------------------------- functions along axes


def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    """What a function of 1-d arrays returns for each of those along an axis, in place of that axis.

    Parameters
    ----------
    func1d : callable
        ``func1d(row, *args, **kwargs)`` returns an array, always of one shape.
    axis : int
    arr : array_like
    *args, **kwargs
        Passed on.

    Raises
    ------
    ShapeError
        When there are no rows.

    Notes
    -----
    The function is called for each row, which makes a graph of as many parts: one that works along an axis of a whole
    array, or `nbgrad.vmap`, is faster.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.apply_along_axis(lambda row: row[-1] - row[0], 1, [[1.0, 5.0], [2.0, 4.0]])
    Array([4., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    x = as_array(arr, "apply_along_axis", "arr")
    axis = shapes.axis("apply_along_axis", axis, x.ndim)
    others = shapes.without(x.shape, (axis,))
    count = shapes.size(others)
    if not count:
        raise ShapeError(f"apply_along_axis: there is no row to apply the function to; {describe(x, 'arr')}")
    rows = reshape(moveaxis(x, axis, -1), (count, x.shape[axis]))
    results = [asarray(func1d(rows[i], *args, **kwargs)) for i in range(count)]
    made = stack(results)
    made = reshape(made, others + made.shape[1:])
    new = tuple(range(len(others), made.ndim))
    return moveaxis(made, new, tuple(range(axis, axis + len(new))))


def apply_over_axes(func, x, axes):
    """``func(x, axis)`` for one axis after another; axes that it drops stay with extent 1."""
    x = as_array(x, "apply_over_axes")
    rank = x.ndim
    for axis in numpy.atleast_1d(axes.numpy() if isinstance(axes, Array) else axes).tolist():
        axis = shapes.axis("apply_over_axes", axis, rank)
        y = as_array(func(x, axis), "apply_over_axes")
        if y.ndim == x.ndim - 1:
            y = expand_dims(y, axis)
        if y.ndim != x.ndim:
            raise ShapeError(
                f"apply_over_axes: the function made an array of {y.ndim} dimensions of one of {x.ndim}; it must keep "
                "the axis or drop it"
            )
        x = y
    return x
