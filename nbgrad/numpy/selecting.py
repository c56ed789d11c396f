"""Choosing among arrays and among the elements of one."""

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import indexing as kernels
from nbgrad.kernels import selection
from nbgrad.numpy._arguments import as_array, as_indices, cast, leaf, promoted
from nbgrad.numpy.indexing import concrete, in_range, take, take_along_axis
from nbgrad.numpy.manipulation import broadcast_arrays, broadcast_to, concatenate, ravel, reshape, stack

__all__ = [
    "argwhere", "choose", "compress", "delete", "extract", "insert", "piecewise", "select",
    "trim_zeros",
]  # fmt: skip


def select(condlist, choicelist, default=0):
    """From the first of the choices whose condition holds, element by element.

    Parameters
    ----------
    condlist : sequence of array_like of bool
    choicelist : sequence of array_like
        As many as conditions; all of them broadcast together.
    default : array_like
        What stands where no condition holds.

    Raises
    ------
    ArgumentError
        When there are not as many choices as conditions, or none.
    DtypeError
        When a condition is not boolean.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> x = np.arange(5)
    >>> np.select([x < 2, x > 3], [-x, x * x], 10)
    Array([ 0, -1, 10, 10, 16], shape=(5,), dtype=int64, device=cpu)
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentError(
            f"select: got {len(condlist)} conditions and {len(choicelist)} choices; give one choice for each condition"
        )
    conditions = [_condition(c, f"condlist[{i}]") for i, c in enumerate(condlist)]
    choices = [x if type(x) in dtypes.WEAK else as_array(x, "select", "choicelist") for x in (*choicelist, default)]
    dtype = dtypes.promote([dtypes.WEAK.get(type(x)) or x.dtype for x in choices])
    *choices, y = (Array(graph.scalar(x, dtype)) if type(x) in dtypes.WEAK else cast(x, dtype) for x in choices)
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        y = selection.where(condition, choice, y)
    return y


def _condition(c, name):
    c = as_array(c, "select", name)
    if c.dtype != dtypes.BOOL:
        raise DtypeError(f"select: {name} must be boolean, not {c.dtype}; compare, as in x != 0")
    return c


def choose(x, choices, mode="raise"):
    """From the choice whose number stands in `x`, element by element.

    Parameters
    ----------
    x : array_like of int
    choices : sequence of array_like
        They broadcast with `x`.
    mode : {"raise", "clip", "wrap"}
        What a number out of range means.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.choose([0, 1, 1], [[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    Array([ 1., 20., 30.], shape=(3,), dtype=float64, device=cpu)
    """
    x = as_indices(x, "choose", "x")
    if x.dtype.kind not in "iub":
        raise DtypeError(f"choose: x must hold integers; {describe(x, 'x')}")
    choices = promoted(*(as_array(c, "choose", f"choices[{i}]") for i, c in enumerate(choices)))
    if not choices:
        raise ArgumentError("choose: needs at least one choice")
    at, *choices = broadcast_arrays(cast(x, dtypes.INT64), *choices)
    at = within("choose", at, len(choices), mode)
    return reshape(take_along_axis(stack(choices), reshape(at, (1, *at.shape)), 0), at.shape)


def within(call, at, n, mode):
    """Indices as 0 <= i < n by one of NumPy's modes."""
    if mode == "raise":
        at = in_range(call, at, n, 0)
        return at if isinstance(at, Array) else leaf(at)
    if mode == "clip":
        return selection.clip(at, 0, n - 1)
    if mode == "wrap":
        return at % n
    raise ArgumentError(f"{call}: mode must be 'raise', 'clip' or 'wrap', not {mode!r}")


def piecewise(x, condlist, funclist, *args, **kw):
    """Functions of `x`, each where its condition holds; 0 where none does.

    Parameters
    ----------
    x : array_like
    condlist : sequence of array_like of bool
        Where several hold, the last one counts.
    funclist : sequence of callable or scalar
        One for each condition, and optionally one for where none holds.
    *args, **kw
        Passed on to the functions.

    Returns
    -------
    Array
        With the dtype of `x`, as in NumPy.

    Notes
    -----
    NumPy calls a function on the elements that it is for.  Here it gets an array of the shape of `x` in which the
    others are replaced by one of those, so it should work element by element; no nan gets out of elements that it is
    not for.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> x = np.linspace(-2.0, 2.0, 5)
    >>> np.piecewise(x, [x < 0, x > 0], [lambda x: -x, np.sqrt])
    Array([2.        , 1.        , 0.        , 1.        , 1.41421356], shape=(5,), dtype=float64, device=cpu)
    """
    x = as_array(x, "piecewise")
    if (
        numpy.isscalar(condlist)
        or (isinstance(condlist, (Array, numpy.ndarray)) and condlist.ndim == 0)
        or (not isinstance(condlist[0], (list, numpy.ndarray, Array)) and x.ndim)
    ):
        condlist = [condlist]
    conditions = [cast(as_array(c, "piecewise", "condlist"), dtypes.BOOL) for c in condlist]
    if len(funclist) == len(conditions) + 1:
        some = conditions[0]
        for c in conditions[1:]:
            some = some | c
        conditions.append(~some)
    if len(funclist) != len(conditions):
        raise ArgumentError(
            f"piecewise: {len(funclist)} functions for {len(conditions)} conditions; give one for each, and optionally "
            "one more"
        )
    y = Array(graph.constant(0, x.dtype, x.shape))
    for condition, function in zip(conditions, funclist, strict=True):
        value = function
        if callable(function):
            value = function(_there(x, condition), *args, **kw)
        y = selection.where(condition, cast(as_array(value, "piecewise", "funclist"), x.dtype), y)
    return y


def _there(x, condition):
    """`x` with an element where the condition holds in place of all where it does not."""
    from nbgrad.kernels.casting import stop_gradient
    from nbgrad.numpy.reductions import argmax

    if x.size == 0:
        return x
    flat = ravel(broadcast_to(condition, x.shape))
    return selection.where(condition, x, stop_gradient(kernels.take(ravel(x), argmax(flat), axis=0)))


def _true_places(call, condition, name="condition"):
    """The flat places where a condition holds; its value is computed now."""
    condition = as_array(condition, call, name)
    return numpy.flatnonzero(concrete(condition, call, name))


def compress(condition, x, axis=None):
    """The slices of `x` along an axis (None: the elements) where a 1-d condition holds.

    The value of `condition` is computed now; it may be shorter than the axis.
    """
    x, condition = as_array(x, "compress"), as_array(condition, "compress", "condition")
    if condition.ndim != 1:
        raise ShapeError(f"compress: condition must have 1 dimension\n    {describe(condition, 'condition')}")
    return take(x, leaf(_true_places("compress", condition)), axis)


def extract(condition, x):
    """The elements of `x` where a condition of the same shape holds, in one dimension.

    The value of `condition` is computed now.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> x = np.asarray([3.0, -1.0, 2.0])
    >>> np.extract(x > 0, x)
    Array([3., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    return take(ravel(x), leaf(_true_places("extract", condition)))


def argwhere(x):
    """The indices of the elements that are not zero, one row for each.  Computes the value of `x` now."""
    return leaf(numpy.argwhere(concrete(as_array(x, "argwhere"), "argwhere", "x")))


def _index(obj, call):
    """What `delete` and `insert` are told, with the values of Arrays."""
    return concrete(obj, call, "obj") if isinstance(obj, Array) else obj


def delete(x, obj, axis=None):
    """`x` without the slices `obj` along an axis (None: the elements of the flattened array).

    Parameters
    ----------
    x : array_like
    obj : int, slice, or array of int or bool
    axis : int, optional

    Raises
    ------
    IndexError
        When an index is out of range.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.delete([1.0, 2.0, 3.0], 1)
    Array([1., 3.], shape=(2,), dtype=float64, device=cpu)
    """
    x = as_array(x, "delete")
    if axis is None:
        x, axis = ravel(x), 0
    axis = shapes.axis("delete", axis, x.ndim)
    kept = numpy.delete(numpy.arange(x.shape[axis]), _index(obj, "delete"))
    return kernels.take(x, leaf(kept), axis=axis)


def insert(x, obj, values, axis=None):
    """`x` with `values` before the slices `obj` along an axis (None: in the flattened array).

    Parameters
    ----------
    x : array_like
    obj : int, slice, or array of int or bool
        Indices into `x`.
    values : array_like
        Cast to the dtype of `x`; they broadcast as in NumPy.
    axis : int, optional

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.insert([1.0, 2.0], 1, 9.0)
    Array([1., 9., 2.], shape=(3,), dtype=float64, device=cpu)
    """
    x = as_array(x, "insert")
    values = cast(as_array(values, "insert", "values"), x.dtype)
    if axis is None:
        x, axis = ravel(x), 0
    axis = shapes.axis("insert", axis, x.ndim)
    # NumPy moves the places, the elements follow.
    places = numpy.arange(x.size).reshape(x.shape)
    new = x.size + numpy.arange(values.size).reshape(values.shape)
    places = numpy.insert(places, _index(obj, "insert"), new, axis)
    return kernels.take(concatenate([ravel(x), ravel(values)]), leaf(places), axis=0)


def trim_zeros(x, trim="fb", axis=None):
    """`x` without the zeros at the front ("f") and the back ("b") of axes.  Computes its value now."""
    x = as_array(x, "trim_zeros")
    where = trim.lower()
    if where not in ("fb", "bf", "f", "b"):
        raise ArgumentError(f"trim_zeros: trim must be 'f', 'b' or 'fb', not {trim!r}")
    axes = shapes.axes("trim_zeros", axis, x.ndim)
    found = numpy.argwhere(concrete(x, "trim_zeros", "x"))
    index = [slice(None)] * x.ndim
    for a in axes:
        first, last = (int(found[:, a].min()), int(found[:, a].max()) + 1) if len(found) else (0, 0)
        index[a] = slice(first if "f" in where or not len(found) else None, last if "b" in where or not len(found)
                         else None)  # fmt: skip
    return x[tuple(index)]


# ---------------------------------------------------------------- new values for some elements


def cycled(values, n):
    """A 1-d Array of n elements: those of `values` over and over."""
    values = ravel(values)
    if n == values.size:
        return values
    if values.size == 1:
        return broadcast_to(values, (n,))
    return kernels.take(values, leaf(numpy.arange(n) % max(values.size, 1)), axis=0)
