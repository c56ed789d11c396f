"""Indexing: every form NumPy has, reduced to slice, reshape, transpose, and take or put along one axis.

An index is parsed into a `_Plan` in two steps.  The basic step slices every axis (integers are slices of
one) and reshapes, which drops the integers' axes and adds new ones.  The advanced step brings the axes
that are indexed by arrays side by side, makes them one axis, and takes or puts along it.
"""

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array, _value, is_abstract
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, TracedValueError, describe
from nbgrad.kernels import indexing as kernels
from nbgrad.kernels import reduction, selection, sorting
from nbgrad.kernels import shape as views
from nbgrad.numpy._arguments import as_array, as_indices, as_integer, cast, leaf, promoted
from nbgrad.numpy._out import assign, delivered
from nbgrad.numpy.manipulation import broadcast_to, flip, ravel, reshape, transpose


def getitem(x, index):
    """x[index]."""
    node = x._node
    key = _key(index)
    found = None if key is None else _basic.get((node.shape, key))
    if found is None:
        plan = _Plan(node.shape, index)
        if plan.advanced:
            position, at = plan.flat_index()
            return kernels.take(plan.gathered(plan.basic(x)), at, axis=position)
        sliced = None if plan.whole else ((("spec", plan.spec),), plan.counts)
        reshaped = None if plan.middle == plan.counts else ((("shape", plan.middle),), plan.middle)
        found = sliced, reshaped
        if key is not None:
            if len(_basic) >= REMEMBERED:
                _basic.clear()
            _basic[node.shape, key] = found
    sliced, reshaped = found
    if sliced is not None:
        node = graph.applied(views.slice_, (node,), *sliced, node.dtype)
    if reshaped is not None:
        node = graph.applied(views.reshape, (node,), *reshaped, node.dtype)
    return Array(node)


#: Indices of integers and slices by shape and key -> the slice and the reshape that they mean; how many are kept.
_basic, REMEMBERED = {}, 4096
_PLAIN = frozenset((int, type(None), type(Ellipsis)))


def _key(index):
    """An index of integers, slices, None and ellipses as a key; None for any other."""
    kind = type(index)
    if kind is slice:
        start, stop, step = index.start, index.stop, index.step
        if type(start) in _PLAIN and type(stop) in _PLAIN and type(step) in _PLAIN:
            return slice, start, stop, step
        return None
    if kind is tuple:
        keys = []
        for item in index:
            key = item if type(item) in _PLAIN else _key(item) if type(item) is slice else slice
            if key is slice or (key is None and item is not None):
                return None
            keys.append(key)
        return tuple, *keys
    return (kind, index) if kind in _PLAIN else None


def setitem(x, index, value):
    """A new Array: x with x[index] = value done.

    What `value` holds is cast to the dtype of `x`, as in NumPy.
    """
    return _update("x[index] = v", x, index, value, "set")


def add_at(x, index, value):
    """`x` with `value` added to ``x[index]``; elements that are named twice are added to twice.

    Parameters
    ----------
    x : array_like
    index : anything that indexes an array
    value : array_like
        Broadcasts to the shape of ``x[index]``.

    Returns
    -------
    Array
        A new one; `x` is left alone.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.add_at(np.zeros(3), [0, 0, 2], 1.0)
    Array([2., 0., 1.], shape=(3,), dtype=float64, device=cpu)
    """
    return _update("add_at(x, index, v)", as_array(x, "add_at"), index, value, "add")


def _update(call, x, index, value, what):
    masked = _masked(x, index, value) if what == "set" else None
    if masked is not None:
        return masked
    plan = _Plan(x.shape, index)
    if isinstance(value, (int, float)):
        v = Array(graph.scalar(value, x.dtype))
    else:
        v = _cast(call, as_array(value, call, "v"), x)
    if not plan.advanced:
        v = reshape(_fitted(call, v, plan.middle, x), plan.counts)
        if what == "add":
            v = plan.sliced(x) + v
        return _written(x, v, plan)
    position, at = plan.flat_index()
    y = plan.gathered(plan.basic(x))
    shape = (*y.shape[:position], *at.shape, *y.shape[position + 1 :])
    write = kernels.put if what == "set" else kernels.scatter_add
    y = write(y, at, _fitted(call, v, shape, x), axis=position)
    y = transpose(reshape(y, tuple(plan.middle[a] for a in plan.order)), shapes.inverse(plan.order))
    return _written(x, reshape(y, plan.counts), plan)


def _cast(call, v, x):
    """`v` in the dtype of `x`; complex numbers do not go into real arrays, where the imaginary part would be lost."""
    if v.dtype.kind == "c" and x.dtype.kind not in "cb":
        raise DtypeError(
            f"{call}: cannot write {v.dtype} into an array of {x.dtype}; write v.real, or cast x with "
            f".astype('complex128') first\n    {describe(x, 'x')}\n    {describe(v, 'v')}"
        )
    return cast(v, x.dtype)


def _written(x, part, plan):
    return Array(part._node) if plan.whole else views.set_slice(x, part, spec=plan.spec)


def _fitted(call, v, shape, x):
    """`v` broadcast to the shape of what is written to; surplus leading axes of extent 1 go."""
    shown = v.shape
    while v.ndim > len(shape) and v.shape[0] == 1:
        v = reshape(v, v.shape[1:])
    if v.ndim > len(shape) or shapes.broadcast([v.shape, shape]) != shape:
        raise ShapeError(
            f"{call}: v has shape {shown}, which does not broadcast to the selected part of shape {shape}\n"
            f"    {describe(x, 'x')}\n    {describe(v, 'v')}"
        )
    return broadcast_to(v, shape)


def _masked(x, index, value):
    """x[mask] = v as a selection, when v broadcasts behind the mask: the mask's value is not needed."""
    mask = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if isinstance(mask, (list, tuple)) or getattr(mask, "dtype", None) != dtypes.BOOL or not mask.shape:
        return None
    mask = as_indices(mask, "x[mask] = v", "mask")
    v = value if isinstance(value, (int, float)) else as_array(value, "x[mask] = v", "v")
    rest = x.shape[mask.ndim :]
    if mask.shape != x.shape[: mask.ndim]:
        return None
    if isinstance(v, Array):
        if v.ndim > len(rest) or shapes.broadcast([v.shape, rest]) != rest:
            return None
        v = _cast("x[mask] = v", v, x)
    else:
        v = Array(graph.scalar(v, x.dtype))
    return selection.where(reshape(mask, mask.shape + (1,) * len(rest)), v, x)


class _Plan:
    """What an index means for an array of a shape.

    Attributes
    ----------
    spec : tuple of (start, step, count)
        The slice of every axis.
    counts, middle : tuple of int
        Shape after the slice, and after the reshape that drops and adds axes.
    advanced : list of (axis of middle, index)
        Each index is an int64 ndarray or Array, in range.
    order : tuple of int
        Axes of `middle` with the advanced ones side by side.
    """

    __slots__ = ("advanced", "counts", "middle", "order", "position", "shape", "spec", "whole")

    def __init__(self, shape, index):
        self.shape = shape
        items = [_item(i) for i in (index if isinstance(index, tuple) else (index,))]
        items = _filled(items, shape)
        spec, middle, self.advanced = [], [], []
        placed, first = [], 0  # where in the index arrays and integers stand; axes before the first of them
        for place, (kind, what) in enumerate(items):
            axis = len(spec)
            if kind in ("integer", "array", "truth") and not placed:
                first = len(middle)
            if kind == "new":
                middle.append(1)
                continue
            if kind == "ellipsis":
                middle.extend(shape[axis : axis + what])
                spec.extend((0, 1, n) for n in shape[axis : axis + what])
                continue
            if kind == "slice":
                spec.append(_triple(what, shape[axis]))
                middle.append(spec[-1][2])
                continue
            placed.append(place)
            if kind == "truth":  # x[True] is a new axis of extent 1, x[False] of extent 0
                self.advanced.append((len(middle), numpy.zeros(int(what), numpy.int64)))
                middle.append(1)
            elif kind == "integer":
                spec.append((_checked_integer(what, axis, shape[axis]), 1, 1))
            else:
                self.advanced.append((len(middle), in_range("x[index]", what, shape[axis], axis)))
                spec.append((0, 1, shape[axis]))
                middle.append(shape[axis])
        self.spec, self.middle = tuple(spec), tuple(middle)
        self.counts = tuple(count for _, _, count in spec)
        self.whole = all(t == (0, 1, n) for t, n in zip(spec, shape, strict=True))
        together = bool(placed) and placed[-1] - placed[0] + 1 == len(placed)
        self.position = first if together else 0
        indexed = [a for a, _ in self.advanced]
        rest = [a for a in range(len(middle)) if a not in indexed]
        self.order = (*rest[: self.position], *indexed, *rest[self.position :])

    def sliced(self, x):
        """The slice alone."""
        return x if self.whole else views.slice_(x, spec=self.spec)

    def basic(self, x):
        """The basic step."""
        return reshape(self.sliced(x), self.middle)

    def gathered(self, y):
        """`y` with the axes of the advanced indices as one axis, at `position`."""
        y = transpose(y, self.order)
        end = self.position + len(self.advanced)
        joined = shapes.size(y.shape[self.position : end])
        return reshape(y, (*y.shape[: self.position], joined, *y.shape[end:]))

    def flat_index(self):
        """(axis, int64 Array): the indices of all advanced axes as indices of the joined one."""
        indices = [index for _, index in self.advanced]
        shape = shapes.broadcast([i.shape for i in indices])
        if shape is None:
            listed = ", ".join(str(i.shape) for i in indices)
            raise IndexError(f"x[index]: the index arrays have shapes {listed}, which do not broadcast together")
        extents = [self.middle[a] for a, _ in self.advanced]
        flat = indices[0]
        for index, n in zip(indices[1:], extents[1:], strict=True):
            flat = flat * n + index
        return self.position, flat if isinstance(flat, Array) else leaf(numpy.ascontiguousarray(flat).reshape(shape))


def _item(item):
    """(kind, what) of one element of an index."""
    if item is None:
        return "new", None
    if item is Ellipsis:
        return "ellipsis", None
    if isinstance(item, slice):
        return "slice", item
    if isinstance(item, (bool, numpy.bool_)):
        return "truth", bool(item)
    if isinstance(item, (int, numpy.integer)):
        return "integer", int(item)
    if isinstance(item, (float, str, complex)):
        raise IndexError(
            f"x[index]: {item!r} is not an index; use integers, slices, None, ..., or integer and boolean arrays"
        )
    if not isinstance(item, (Array, numpy.ndarray)):
        if isinstance(item, (list, tuple)) and len(item) == 0:
            return "array", numpy.zeros(0, numpy.int64)
        item = as_indices(item, "x[index]", "index")
    if item.dtype.kind == "b":
        return ("truth", bool(item)) if item.ndim == 0 else ("mask", item)
    if item.dtype.kind not in "iu":
        raise IndexError(
            f"x[index]: arrays used as indices must hold integers or booleans; {describe(item, 'index')}. "
            "Cast with .astype('int64')"
        )
    return "array", item


def _filled(items, shape):
    """The items with masks as integer arrays and exactly one ellipsis with its number of axes, if there is need."""
    used = sum({"slice": 1, "integer": 1, "array": 1}.get(k, w.ndim if k == "mask" else 0) for k, w in items)
    if used > len(shape):
        raise IndexError(f"x[index]: the array has {len(shape)} dimensions, the index names {used}")
    dots = [i for i, (kind, _) in enumerate(items) if kind == "ellipsis"]
    if len(dots) > 1:
        raise IndexError("x[index]: an index can have only one ellipsis ('...')")
    out, axis = [], 0
    for kind, what in items if dots else [*items, ("ellipsis", None)]:
        if kind == "ellipsis":
            out.append((kind, len(shape) - used))
            axis += len(shape) - used
        elif kind == "mask":
            out.extend(("array", i) for i in _where_true(what, shape, axis))
            axis += what.ndim
        else:
            out.append((kind, what))
            axis += kind in ("slice", "integer", "array")
    return out


def _where_true(mask, shape, axis):
    for i, n in enumerate(mask.shape):
        if shape[axis + i] != n and 0 not in mask.shape:  # one without elements takes nothing
            raise IndexError(
                f"x[mask]: axis {axis + i} of x has extent {shape[axis + i]}, axis {i} of the mask has {n}; "
                f"{describe(mask, 'mask')}"
            )
    return numpy.nonzero(concrete(mask, "x[mask]", "mask") if isinstance(mask, Array) else mask)


def concrete(x, call, name):
    """The ndarray behind an Array whose value decides a shape; an error with the way out while jit traces."""
    if is_abstract(x._node):
        raise TracedValueError(
            f"{call}: the shape of the result depends on the values of {name}, which has none while jit traces.\n"
            f"    {describe(x, name)}\n"
            "Keep the shape: ng.where(mask, x, 0) in place of x[mask], x * mask in sums, or x[mask] = number."
        )
    return _value(x)


def _checked_integer(i, axis, n):
    if not -n <= i < n:
        raise IndexError(f"x[index]: index {i} is out of range for axis {axis} of extent {n}")
    return i + n if i < 0 else i


def _triple(s, n):
    start, stop, step = s.indices(n)
    count = len(range(start, stop, step))
    if count == 0:
        return 0, 1, 0
    return (start, 1, 1) if count == 1 else (start, step, count)


#: Primitives whose values are indices of the axis of that attribute, and primitives that only move values.
INDEX_MAKERS = (sorting.argsort, reduction.argmax, reduction.argmin)
MOVERS = (views.reshape, views.transpose, views.broadcast_to, views.slice_)


def in_range(call, index, n, axis):
    """Integer indices of an axis of extent n as 0 <= i < n: an int64 ndarray or Array.

    What has a value, or can be given one, is checked.  An input of a trace is not: in compiled code an index
    beyond the end means the last element, and one before the start the first.
    """
    if isinstance(index, Array):
        node = index._node
        if node.value is None:
            if _made_for(node, n):
                return cast(index, dtypes.INT64)
            if is_abstract(node):
                index = cast(index, dtypes.INT64)
                return selection.clip(selection.where(index < 0, index + n, index), 0, n - 1 if n else 0)
        given = _value(index)
    else:
        given = index
    value = _normal(call, given, n, axis)
    return cast(index, dtypes.INT64) if isinstance(index, Array) and value is given else value


def _made_for(node, n):
    """Whether a pending index is an argsort, argmax or argmin over at most n elements."""
    while node.primitive in MOVERS:
        node = node.inputs[0]
    if node.primitive in INDEX_MAKERS:
        return node.inputs[0].shape[dict(node.attrs)["axis"]] <= n
    return False


def _normal(call, value, n, axis):
    """An ndarray of indices made 0 <= i < n, itself if it is already; IndexError if it cannot be."""
    if value.size == 0:
        return value if value.dtype == dtypes.INT64 else value.astype(dtypes.INT64)
    low, high = int(value.min()), int(value.max())
    if low < -n or high >= n:
        bad = high if high >= n else low
        raise IndexError(f"{call}: index {bad} is out of range for axis {axis} of extent {n}")
    if value.dtype != dtypes.INT64:
        value = value.astype(dtypes.INT64)
    return numpy.where(value < 0, value + n, value) if low < 0 else value


def _index_array(x):
    return x if isinstance(x, Array) else leaf(x)


def _integers(indices, call, name="indices"):
    indices = as_indices(indices, call, name)
    if indices.dtype.kind not in "iu" and indices.size:
        raise IndexError(f"{call}: {name} must be integers; {describe(indices, name)}")
    return cast(indices, dtypes.INT64)


# ---------------------------------------------------------------- functions


def take(a, indices, axis=None, out=None, mode="raise"):
    """Elements (or slices along `axis`) at integer indices.

    Parameters
    ----------
    a : array_like
    indices : array_like of int
    axis : int, optional
        None takes from the flattened array.
    out : Array or ndarray, optional
        Where the result goes.
    mode : {"raise", "clip", "wrap"}
        What an index out of range means.

    Raises
    ------
    IndexError

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.take([10.0, 20.0, 30.0], [2, 0])
    Array([30., 10.], shape=(2,), dtype=float64, device=cpu)
    """
    x = as_array(a, "take", "a")
    if axis is None:
        x, axis = ravel(x), 0
    axis = shapes.axis("take", axis, x.ndim)
    at = wrapped("take", indices, x.shape[axis], mode, axis)
    return delivered("take", kernels.take(x, at, axis=axis), out)


def wrapped(call, indices, n, mode, axis=0):
    """Integer indices of an axis of extent n as an Array of 0 <= i < n; `mode` is that of `take`."""
    if mode not in ("raise", "clip", "wrap"):
        raise ArgumentError(f"{call}: mode must be 'raise', 'clip' or 'wrap', not {mode!r}")
    indices = _integers(indices, call)
    if mode == "raise" or n == 0:
        return _index_array(in_range(call, indices, n, axis))
    return selection.clip(indices, 0, n - 1) if mode == "clip" else indices % n


def take_along_axis(arr, indices, axis=-1):
    """Elements along an axis at indices that have a row for each row of `arr`, as `argsort` gives them."""
    x, indices, axis = _along("take_along_axis", arr, indices, axis)
    flat, at = _flattened(x, indices, axis)
    return kernels.take(flat, at, axis=0)


def put_along_axis(arr, indices, values, axis=-1):
    """Write `values` along an axis of the Array `arr`, at indices that have a row for each row of it; returns None."""
    x, indices, axis = _along("put_along_axis", arr, indices, axis)
    flat, at = _flattened(x, indices, axis)
    v = _fitted("put_along_axis", cast(as_array(values, "put_along_axis", "values"), x.dtype), at.shape, x)
    assign("put_along_axis", arr, reshape(kernels.put(flat, at, v, axis=0), arr.shape))


def _along(call, x, indices, axis):
    x, indices = as_array(x, call), _integers(indices, call)
    if axis is None:
        x, axis = ravel(x), 0
    axis = shapes.axis(call, axis, x.ndim)
    others = shapes.without(x.shape, (axis,))
    if indices.ndim != x.ndim or shapes.broadcast([shapes.without(indices.shape, (axis,)), others]) != others:
        raise IndexError(
            f"{call}: indices of shape {indices.shape} do not fit x of shape {x.shape}; "
            f"all axes but axis {axis} must agree"
        )
    return x, indices, axis


def _flattened(x, indices, axis):
    """x in one dimension, and the indices along `axis` as indices of that; the whole row grid stays small."""
    at = _index_array(in_range("take_along_axis", indices, x.shape[axis], axis))
    strides = shapes.contiguous_strides(x.shape)
    flat = at * strides[axis] if strides[axis] != 1 else at
    for a, n in enumerate(x.shape):
        if a != axis:
            steps = numpy.arange(n) * strides[a]
            flat = flat + leaf(steps.reshape(tuple(n if i == a else 1 for i in range(x.ndim))))
    return ravel(x), flat


def argsort(a, axis=-1, kind=None, order=None, *, stable=True, descending=False):
    """Indices that sort `a` along an axis (None: flattened), equal elements in their order, nan last.

    With `descending` nan comes first.  Every `kind` is stable; arrays have no fields that `order` could name.
    """
    x = _sortable("argsort", a, kind, order)
    if axis is None or x.ndim == 0:
        x, axis = ravel(x), -1
    axis = shapes.axis("argsort", axis, x.ndim)
    if not descending:
        return sorting.argsort(x, axis=axis)
    return (x.shape[axis] - 1) - flip(sorting.argsort(flip(x, axis), axis=axis), axis)


def sort(a, axis=-1, kind=None, order=None, *, stable=True, descending=False):
    """`a` sorted along an axis (None: flattened), nan last; gradients go back to where elements came from."""
    x = _sortable("sort", a, kind, order)
    if x.ndim == 0 and axis is not None:
        shapes.axis("sort", axis, 0)
    if axis is None:
        x, axis = ravel(x), -1
    axis = shapes.axis("sort", axis, x.ndim)
    at = sorting.argsort(x, axis=axis)
    y = kernels.take(*_flattened(x, at, axis), axis=0)
    return flip(y, axis) if descending else y


def _sortable(call, a, kind, order):
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ArgumentError(f"{call}: kind must be 'quicksort', 'mergesort', 'heapsort' or 'stable', not {kind!r}")
    if order is not None:
        raise ArgumentError(f"{call}: order names fields, and Arrays have none; got {order!r}")
    return as_array(a, call, "a")


def segment_sum(data, ids, n):
    """Sums of the rows of `data` that share an id.

    Parameters
    ----------
    data : array_like
    ids : array_like of int
        One for each row, 0 <= id < n.
    n : int
        How many sums.

    Returns
    -------
    Array
        Shape (n, ...); zeros where no row has the id.

    Raises
    ------
    ShapeError, IndexError

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.segment_sum([1.0, 2.0, 4.0], [0, 2, 0], 3)
    Array([5., 0., 2.], shape=(3,), dtype=float64, device=cpu)
    """
    data, ids = as_array(data, "segment_sum", "data"), _integers(ids, "segment_sum", "ids")
    n = as_integer(n, "segment_sum", "n")
    if ids.ndim != 1 or not data.shape or ids.shape[0] != data.shape[0]:
        raise ShapeError(
            f"segment_sum: ids must have one id for each row of data, got shapes {ids.shape} and {data.shape}\n"
            f"    {describe(data, 'data')}\n    {describe(ids, 'ids')}"
        )
    start = Array(graph.constant(0, data.dtype, (n, *data.shape[1:])))
    return kernels.scatter_add(start, _index_array(in_range("segment_sum", ids, n, 0)), data, axis=0)


def nonzero(a):
    """Indices of the elements that are not zero, one Array per axis.  Computes the value of `a` now."""
    x = as_array(a, "nonzero", "a")
    return tuple(leaf(i) for i in numpy.nonzero(concrete(x, "nonzero", "a")))


def flatnonzero(a):
    """Indices of the elements of the flattened array that are not zero.  Computes the value of `a` now."""
    return nonzero(ravel(a))[0]


def searchsorted(a, v, side="left", sorter=None):
    """Places in the sorted 1-d array `a` before which (``"right"``: behind equals of which) the values `v` belong.

    Parameters
    ----------
    a : array_like
        1-d and ascending, nan last; with `sorter`, that is so of ``a[sorter]``.
    v : array_like
    side : {"left", "right"}
    sorter : array_like of int, optional

    Returns
    -------
    Array
        int64 of the shape of `v`, each found by bisection.
    """
    x, values = as_array(a, "searchsorted", "a"), as_array(v, "searchsorted", "v")
    if x.ndim != 1:
        raise ShapeError(f"searchsorted: a must have 1 dimension; {describe(x, 'a')}")
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side must be 'left' or 'right', not {side!r}")
    if sorter is not None:
        x = take(x, sorter)
    return sorting.searchsorted(*promoted(x, values), side=side)
