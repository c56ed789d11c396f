"""Functions that write into their first argument, as in NumPy: an Array is bound to the result, an ndarray written to.

They return None.  Differentiated values can only go into an Array.
"""

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import indexing as kernels
from nbgrad.kernels import selection
from nbgrad.numpy._arguments import as_array, as_indices, cast, leaf
from nbgrad.numpy._out import assign, check_cast
from nbgrad.numpy.indexing import concrete, wrapped
from nbgrad.numpy.manipulation import broadcast_to, ravel, reshape
from nbgrad.numpy.selecting import cycled


def copyto(dst, src, casting="same_kind", where=True):
    """Make the elements of `dst` those of `src`, which is broadcast; only those for which `where` holds.

    Parameters
    ----------
    dst : Array or ndarray
    src : array_like
    casting : str
        NumPy's rule for what casts are allowed.
    where : array_like of bool, optional

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> x = np.zeros(3)
    >>> np.copyto(x, [1.0, 2.0, 3.0], where=[True, False, True])
    >>> x
    Array([1., 0., 3.], shape=(3,), dtype=float64, device=cpu)
    """
    _check_target("copyto", dst, "dst")
    weak = type(src) in dtypes.WEAK
    source = as_array(src, "copyto", "src")
    check_cast("copyto", numpy.result_type(src, dst.dtype) if weak else source.dtype, dst.dtype, casting)
    made = _stretched("copyto", cast(source, dst.dtype), dst.shape, "src")
    if where is not True:
        mask = _stretched("copyto", _mask("copyto", where, "where"), dst.shape, "where")
        made = selection.where(mask, made, as_array(dst, "copyto"))
    assign("copyto", dst, made)


def put(a, ind, v, mode="raise"):
    """Write the values `v`, over and over, at the indices `ind` of the flattened array; of equal indices the last wins.

    Parameters
    ----------
    a : Array or ndarray
    ind : array_like of int
    v : array_like
    mode : {"raise", "wrap", "clip"}
        What an index out of range means.
    """
    _check_target("put", a, "a")
    x = as_array(a, "put", "a")
    ind = ravel(as_indices(ind, "put", "ind"))
    values = _cycled(ravel(_fitting("put", v, a)), ind.size)
    if values is not None:
        at = wrapped("put", ind, x.size, mode)
        assign("put", a, reshape(kernels.put(ravel(x), at, values, axis=0), a.shape))


def place(arr, mask, vals):
    """Write the first values of `vals`, over and over, where `mask` holds; reads the mask."""
    _check_target("place", arr, "arr")
    mask = _mask("place", mask, "mask", arr.size)
    at = numpy.flatnonzero(concrete(mask, "place", "mask"))
    values = ravel(_fitting("place", vals, arr))
    if len(at) and not values.size:
        raise ValueError("place: cannot insert from an empty array of values")
    values = _cycled(values, len(at))
    if values is not None:
        made = kernels.put(ravel(as_array(arr, "place")), leaf(at), values, axis=0)
        assign("place", arr, reshape(made, arr.shape))


def putmask(a, mask, values):
    """Where `mask` holds, write the element of `values`, over and over, that has the same place as that of `a`."""
    _check_target("putmask", a, "a")
    mask = _mask("putmask", mask, "mask", a.size)
    values = _cycled(ravel(_fitting("putmask", values, a)), a.size)
    if values is not None:
        made = selection.where(reshape(mask, a.shape), reshape(values, a.shape), as_array(a, "putmask"))
        assign("putmask", a, made)


def _check_target(call, target, name):
    if not isinstance(target, (Array, numpy.ndarray)):
        raise ArgumentError(f"{call}: {name} must be an Array or a NumPy array to write to, not {describe(target)}")


def _fitting(call, values, target):
    """Values in the dtype of what they are written to."""
    v = as_array(values, call, "values")
    if v.dtype.kind == "c" and target.dtype.kind != "c":
        raise DtypeError(
            f"{call}: cannot write {v.dtype} into an array of {target.dtype}; take the real part, or cast the array"
        )
    return cast(v, target.dtype)


def _cycled(values, n):
    """The first n of the values and of their repetitions; None where there is nothing to write."""
    return cycled(values, n) if values.size and n else None


def _mask(call, mask, name, size=None):
    mask = cast(as_indices(mask, call, name), dtypes.BOOL)
    if size is not None and mask.size != size:
        raise ShapeError(
            f"{call}: {name} has {mask.size} elements, the array {size}; they must be as many. {describe(mask, name)}"
        )
    return mask


def _stretched(call, x, shape, name):
    if shapes.broadcast([x.shape, shape]) != shape:
        raise ShapeError(f"{call}: {name} of shape {x.shape} does not broadcast to dst of shape {shape}")
    return broadcast_to(x, shape)


def fill_diagonal(a, val, wrap=False):
    """Write `val`, over and over, on the main diagonal; with `wrap` that of a tall matrix starts again.

    Parameters
    ----------
    a : Array or ndarray
        Of 2 dimensions, or of more with equal extents.
    val : array_like
    wrap : bool

    Raises
    ------
    ShapeError
        For other shapes.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> x = np.zeros((2, 2))
    >>> np.fill_diagonal(x, 3.0)
    >>> x
    Array([[3., 0.],
           [0., 3.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    _check_target("fill_diagonal", a, "a")
    if a.ndim < 2 or (a.ndim > 2 and len(set(a.shape)) > 1):
        raise ShapeError(
            f"fill_diagonal: a must be a matrix, or have equal extents in more dimensions\n    {describe(a, 'a')}"
        )
    step = sum(shapes.contiguous_strides(a.shape))
    end = a.size if wrap or a.ndim > 2 else min(a.size, a.shape[1] ** 2)
    at = numpy.arange(0, end, step)
    values = _cycled(ravel(_fitting("fill_diagonal", val, a)), len(at))
    if values is not None:
        made = kernels.put(ravel(as_array(a, "fill_diagonal")), leaf(at), values, axis=0)
        assign("fill_diagonal", a, reshape(made, a.shape))
