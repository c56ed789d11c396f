"""Shapes of Arrays: reshaping, joining, splitting, padding, diagonals.

Views and their adjoints only: every function here is made of reshape, transpose, slice, broadcast,
embed and concatenate, so gradients move data and compute nothing.
"""

import itertools

import numpy

from nbgrad import shapes
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import casting, selection
from nbgrad.kernels import shape as views
from nbgrad.numpy._arguments import as_array, as_arrays, as_dtype, as_integer, as_shape, cast, leaf


def astype(x, dtype, copy=True, *, device=None):
    """`x` in another dtype; from float to integer truncates, and no gradient passes."""
    x = as_array(x, "astype")
    dtype = as_dtype(dtype, "astype")
    return x if x.dtype == dtype and not copy else casting.astype(x, dtype=dtype)


def reshape(x, shape, *more, order="C", copy=None):
    """The same elements under another shape; one extent may be -1.

    Parameters
    ----------
    x : array_like
    shape : int or tuple of int
        Also as separate arguments: ``reshape(x, 2, 3)``.
    order : {"C", "F"}

    Raises
    ------
    ShapeError
        When the number of elements differs.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.reshape(np.arange(6), (2, -1)).shape
    (2, 3)
    """
    x = as_array(x, "reshape")
    try:
        wanted = shapes.as_shape("reshape", (shape, *more) if more else shape)
    except TypeError:
        raise ArgumentError(f"reshape: shape must be an integer or a tuple of integers, not {shape!r}") from None
    new = shapes.reshape("reshape", x.shape, wanted)
    if _fortran(order, "reshape"):
        return transpose(reshape(transpose(x), new[::-1]))
    return x.copy() if new == x.shape else views.reshape(x, shape=new)


def _fortran(order, call):
    if order not in ("C", "F", "A", "K"):
        raise ArgumentError(f"{call}: order must be 'C' or 'F', not {order!r}")
    return order == "F"


def ravel(x, order="C"):
    """A 1-d Array with all elements."""
    return reshape(x, (-1,) if as_array(x, "ravel").size else (0,), order=order)


def transpose(x, axes=None, *more):
    """Axes reversed, or in the order given: ``transpose(x, (1, 0, 2))`` or ``transpose(x, 1, 0, 2)``."""
    x = as_array(x, "transpose")
    if more:
        axes = (axes, *more)
    if axes is None:
        axes = range(x.ndim)[::-1]
    elif not isinstance(axes, (tuple, list)):
        axes = (axes,)
    order = tuple(shapes.axis("transpose", a, x.ndim) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(
            f"transpose: axes {tuple(axes)} are not a permutation of the {x.ndim} axes of x; {describe(x, 'x')}"
        )
    return x.copy() if order == tuple(range(x.ndim)) else views.transpose(x, axes=order)


def permute_dims(x, axes=None):
    """Axes in the order given."""
    return transpose(x, axes)


def matrix_transpose(x):
    """The last two axes swapped."""
    x = as_array(x, "matrix_transpose")
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: x needs at least 2 dimensions; {describe(x, 'x')}")
    return swapaxes(x, -1, -2)


def swapaxes(x, axis1, axis2):
    """Two axes swapped."""
    x = as_array(x, "swapaxes")
    a, b = shapes.axis("swapaxes", axis1, x.ndim), shapes.axis("swapaxes", axis2, x.ndim)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return transpose(x, tuple(order))


def moveaxis(x, source, destination):
    """Axes `source` moved to the places `destination`; the others keep their order."""
    x = as_array(x, "moveaxis")
    source = [shapes.axis("moveaxis", a, x.ndim) for a in _several(source)]
    destination = [shapes.axis("moveaxis", a, x.ndim) for a in _several(destination)]
    if len(source) != len(destination) or len(set(source)) != len(source) or len(set(destination)) != len(source):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} must name as many different axes")
    order = [a for a in range(x.ndim) if a not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return transpose(x, tuple(order))


def rollaxis(x, axis, start=0):
    """Axis moved back until it lies before `start`."""
    x = as_array(x, "rollaxis")
    axis, start = shapes.axis("rollaxis", axis, x.ndim), start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


def _several(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def expand_dims(x, axis):
    """New axes of extent 1 at the places `axis` of the result."""
    x = as_array(x, "expand_dims")
    wanted = _several(axis)
    new = set(shapes.axes("expand_dims", wanted, x.ndim + len(wanted)))
    rest = iter(x.shape)
    return reshape(x, tuple(1 if i in new else next(rest) for i in range(x.ndim + len(wanted))))


def squeeze(x, axis=None):
    """Axes of extent 1 removed: all of them, or those named."""
    x = as_array(x, "squeeze")
    if axis is None:
        return reshape(x, tuple(n for n in x.shape if n != 1))
    removed = shapes.axes("squeeze", axis, x.ndim)
    for a in removed:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} has extent {x.shape[a]}, only extent 1 can go; {describe(x, 'x')}")
    return reshape(x, shapes.without(x.shape, removed))


def broadcast_to(x, shape):
    """`x` repeated along new axes and along axes of extent 1."""
    x, shape = as_array(x, "broadcast_to"), as_shape(shape, "broadcast_to")
    return x.copy() if x.shape == shape else views.broadcast_to(x, shape=shape)


def broadcast_shapes(*args):
    """The shape that shapes broadcast to."""
    found = shapes.broadcast([as_shape(s, "broadcast_shapes") for s in args]) if args else ()
    if found is None:
        raise ShapeError(f"broadcast_shapes: {' and '.join(map(str, args))} do not broadcast")
    return found


def broadcast_arrays(*args):
    """Arrays in the shape they broadcast to."""
    arrays = [as_array(x, "broadcast_arrays", f"args[{i}]") for i, x in enumerate(args)]
    shape = shapes.broadcast([x.shape for x in arrays]) if arrays else ()
    if shape is None:
        raise ShapeError(f"broadcast_arrays: shapes {' and '.join(str(x.shape) for x in arrays)} do not broadcast")
    return tuple(broadcast_to(x, shape) for x in arrays)


def part(x, axis, start, stop, step=1):
    """x[start:stop:step] along one axis; start and count in range."""
    return sliced(x, {axis: (start, step, len(range(start, stop, step)))})


def sliced(x, triples):
    """A slice by a dict from axis to (start, step, count); other axes whole."""
    spec = tuple(triples.get(i, (0, 1, n)) for i, n in enumerate(x.shape))
    return x.copy() if all(t == (0, 1, n) for t, n in zip(spec, x.shape, strict=True)) else views.slice_(x, spec=spec)


def flip(x, axis=None):
    """Axes reversed in direction: all, or those named."""
    x = as_array(x, "flip")
    return sliced(x, {a: (x.shape[a] - 1, -1, x.shape[a]) for a in shapes.axes("flip", axis, x.ndim) if x.shape[a] > 1})


def fliplr(x):
    """Axis 1 reversed."""
    return flip(x, 1)


def flipud(x):
    """Axis 0 reversed."""
    return flip(x, 0)


def rot90(x, k=1, axes=(0, 1)):
    """Turned by k quarter turns from the first of `axes` towards the second."""
    x, k = as_array(x, "rot90"), k % 4
    if k == 0:
        return x.copy()
    if k == 2:
        return flip(x, axes)
    return swapaxes(flip(x, axes[1]), *axes) if k == 1 else flip(swapaxes(x, *axes), axes[1])


def roll(x, shift, axis=None):
    """Elements moved along axes; what leaves at one end comes in at the other."""
    x = as_array(x, "roll")
    if axis is None:
        return reshape(roll(ravel(x), _total(shift), 0), x.shape)
    moves, along = _several(shift), _several(axis)
    if len(moves) == 1:
        moves = moves * len(along)
    elif len(along) == 1:
        along = along * len(moves)
    if len(moves) != len(along):
        raise ArgumentError(f"roll: {len(moves)} shifts for {len(along)} axes")
    for move, a in zip(moves, along, strict=True):
        a = shapes.axis("roll", a, x.ndim)
        n = x.shape[a]
        k = as_integer(move, "roll", "shift") % n if n else 0
        if k:
            x = views.concatenate(part(x, a, n - k, n), part(x, a, 0, n - k), axis=a)
    return x.copy()


def _total(shift):
    """The total of one shift or several."""
    return sum(as_integer(s, "roll", "shift") for s in _several(shift))


def concatenate(arrays, axis=0, dtype=None):
    """Arrays one after another along an existing axis; with ``axis=None`` they are flattened first.

    Raises
    ------
    ShapeError
        When they differ in another axis.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.concatenate([np.ones(2), np.zeros(1)])
    Array([1., 1., 0.], shape=(3,), dtype=float64, device=cpu)
    """
    return _join("concatenate", as_arrays(arrays, "concatenate"), axis, dtype)


def concat(arrays, axis=0):
    """Same as `concatenate`."""
    return concatenate(arrays, axis)


def _join(call, arrays, axis, dtype=None):
    if not arrays:
        raise ArgumentError(f"{call}: needs at least one array")
    if dtype is not None:
        arrays = [cast(x, as_dtype(dtype, call)) for x in arrays]
    if axis is None:
        arrays, axis = [ravel(x) for x in arrays], 0
    first = arrays[0]
    if first.ndim == 0:
        raise ShapeError(f"{call}: 0-d arrays cannot be concatenated; use stack")
    axis = shapes.axis(call, axis, first.ndim)
    for i, x in enumerate(arrays):
        if x.ndim != first.ndim or shapes.without(x.shape, (axis,)) != shapes.without(first.shape, (axis,)):
            raise ShapeError(
                f"{call}: arrays[0] has shape {first.shape} and arrays[{i}] has shape {x.shape}; "
                f"all axes but axis {axis} must agree\n"
                f"    {describe(first, 'arrays[0]')}\n    {describe(x, f'arrays[{i}]')}"
            )
    return first.copy() if len(arrays) == 1 else views.concatenate(*arrays, axis=axis)


def stack(arrays, axis=0, dtype=None):
    """Arrays of one shape joined along a new axis."""
    arrays = as_arrays(arrays, "stack")
    if not arrays:
        raise ArgumentError("stack: needs at least one array")
    for i, x in enumerate(arrays):
        if x.shape != arrays[0].shape:
            raise ShapeError(f"stack: arrays[0] has shape {arrays[0].shape} and arrays[{i}] has shape {x.shape}")
    axis = shapes.axis("stack", axis, arrays[0].ndim + 1)
    return _join("stack", [expand_dims(x, axis) for x in arrays], axis, dtype)


def unstack(x, axis=0):
    """The slices of `x` along an axis, as a tuple."""
    x = as_array(x, "unstack")
    axis = shapes.axis("unstack", axis, x.ndim)
    return tuple(squeeze(part(x, axis, i, i + 1), axis) for i in range(x.shape[axis]))


def vstack(arrays, dtype=None):
    """Arrays stacked in rows."""
    return _join("vstack", [atleast_2d(x) for x in as_arrays(arrays, "vstack")], 0, dtype)


def hstack(arrays, dtype=None):
    """Arrays joined along axis 1, 1-d arrays along axis 0."""
    arrays = [atleast_1d(x) for x in as_arrays(arrays, "hstack")]
    return _join("hstack", arrays, 0 if arrays and arrays[0].ndim == 1 else 1, dtype)


def dstack(arrays):
    """Arrays joined along axis 2."""
    return _join("dstack", [atleast_3d(x) for x in as_arrays(arrays, "dstack")], 2)


def column_stack(arrays):
    """1-d arrays as the columns of a matrix."""
    columns = [reshape(x, (-1, 1)) if x.ndim < 2 else x for x in as_arrays(arrays, "column_stack")]
    return _join("column_stack", columns, 1)


def append(x, values, axis=None):
    """`values` after `x`."""
    return concatenate([x, values], axis)


def atleast_1d(*arrays):
    """Arrays with at least one axis."""
    return _at_least(arrays, "atleast_1d", lambda x: reshape(x, (1,)) if x.ndim == 0 else x)


def atleast_2d(*arrays):
    """Arrays with at least two axes; new ones come first."""
    return _at_least(arrays, "atleast_2d", lambda x: reshape(x, (1,) * (2 - x.ndim) + x.shape) if x.ndim < 2 else x)


def atleast_3d(*arrays):
    """Arrays with at least three axes."""

    def widen(x):
        shape = {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}.get(x.ndim, x.shape)
        return reshape(x, shape)

    return _at_least(arrays, "atleast_3d", widen)


def _at_least(arrays, call, widen):
    widened = tuple(widen(as_array(x, call)) for x in arrays)
    return widened[0] if len(widened) == 1 else widened


def split(x, indices_or_sections, axis=0):
    """Parts of `x` along an axis: equal ones by their number, or cut at the given places."""
    x = as_array(x, "split")
    axis = shapes.axis("split", axis, x.ndim)
    if not isinstance(indices_or_sections, (tuple, list, numpy.ndarray)):
        sections = as_integer(indices_or_sections, "split", "indices_or_sections")
        if sections <= 0 or x.shape[axis] % sections:
            raise ShapeError(
                f"split: axis {axis} of extent {x.shape[axis]} does not divide into {sections} equal parts; "
                "use array_split for unequal ones"
            )
    return array_split(x, indices_or_sections, axis)


def array_split(x, indices_or_sections, axis=0):
    """Parts of `x` along an axis; the first ones are longer when the number does not divide it."""
    x = as_array(x, "array_split")
    axis = shapes.axis("array_split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, (tuple, list, numpy.ndarray)):
        bounds = [0, *(slice(None, int(i)).indices(n)[1] for i in indices_or_sections), n]
    else:
        sections = as_integer(indices_or_sections, "array_split", "indices_or_sections")
        if sections <= 0:
            raise ArgumentError(f"array_split: the number of parts must be positive, not {sections}")
        size, longer = divmod(n, sections)
        bounds = [i * size + min(i, longer) for i in range(sections + 1)]
    return [part(x, axis, a, max(a, b)) for a, b in itertools.pairwise(bounds)]


def hsplit(x, indices_or_sections):
    """Parts along axis 1 (axis 0 of a 1-d array)."""
    x = as_array(x, "hsplit")
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


def vsplit(x, indices_or_sections):
    """Parts along axis 0, of 2 dimensions or more."""
    x = as_array(x, "vsplit")
    if x.ndim < 2:
        raise ShapeError(f"vsplit: x needs at least 2 dimensions; {describe(x, 'x')}; use split(x, n, axis=0)")
    return split(x, indices_or_sections, 0)


#: Modes of `pad` that copy elements; NumPy says which.
COPYING_MODES = ("edge", "reflect", "symmetric", "wrap")


def pad(x, pad_width, mode="constant", constant_values=0):
    """`x` with a margin on every side.

    Parameters
    ----------
    x : array_like
    pad_width : int, (before, after), or one (before, after) per axis
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
    constant_values : scalar
        What a constant margin holds.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.pad(np.asarray([1.0, 2.0]), (1, 2))
    Array([0., 1., 2., 0., 0.], shape=(5,), dtype=float64, device=cpu)
    """
    x = as_array(x, "pad")
    try:
        widths = numpy.broadcast_to(numpy.asarray(pad_width), (x.ndim, 2)).tolist()
    except ValueError:
        raise ShapeError(f"pad: pad_width {pad_width!r} does not fit an array of {x.ndim} dimensions") from None
    if any(type(w) is not int for pair in widths for w in pair):
        raise ArgumentError(f"pad: pad_width must hold integers, not {pad_width!r}")
    if any(w < 0 for pair in widths for w in pair):
        raise ArgumentError(f"pad: pad_width must not be negative, got {pad_width!r}")
    if mode == "constant":
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
        if shape == x.shape:
            return x.copy()
        spec = tuple((before, 1, n) for n, (before, _) in zip(x.shape, widths, strict=True))
        if type(constant_values) in (int, float, bool) and constant_values == 0:
            return views.embed(x, shape=shape, spec=spec)
        margin = cast(as_array(constant_values, "pad", "constant_values"), x.dtype)
        if margin.ndim:
            raise ArgumentError("pad: constant_values must be one number; pad axis by axis for several")
        return views.set_slice(broadcast_to(margin, shape), x, spec=spec)
    if mode not in COPYING_MODES:
        raise ArgumentError(f"pad: mode must be one of {('constant', *COPYING_MODES)}, not {mode!r}")
    from nbgrad.kernels.indexing import take

    for axis, (before, after) in enumerate(widths):
        if before or after:
            sources = numpy.pad(numpy.arange(x.shape[axis]), (before, after), mode=mode)
            x = take(x, leaf(sources), axis=axis)
    return x.copy()


def tile(x, reps):
    """`x` repeated as a whole along each axis."""
    x = as_array(x, "tile")
    counts = [as_integer(r, "tile", "reps") for r in _several(reps)]
    rank = max(len(counts), x.ndim)
    counts = [1] * (rank - len(counts)) + counts
    shape = (1,) * (rank - x.ndim) + x.shape
    x = reshape(x, tuple(m for n in shape for m in (1, n)))
    x = broadcast_to(x, tuple(m for n, r in zip(shape, counts, strict=True) for m in (r, n)))
    return reshape(x, tuple(n * r for n, r in zip(shape, counts, strict=True)))


def repeat(x, repeats, axis=None):
    """Each element repeated, as often as `repeats` says (a number, or one per element)."""
    x = as_array(x, "repeat")
    if axis is None:
        x, axis = ravel(x), 0
    axis = shapes.axis("repeat", axis, x.ndim)
    n = x.shape[axis]
    counts = numpy.asarray(repeats)
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ArgumentError(f"repeat: repeats must be non-negative integers, not {repeats!r}")
    if counts.size == 1:
        r = int(counts.reshape(()))
        wide = broadcast_to(expand_dims(x, axis + 1), (*x.shape[: axis + 1], r, *x.shape[axis + 1 :]))
        return reshape(wide, (*x.shape[:axis], n * r, *x.shape[axis + 1 :]))
    if counts.shape != (n,):
        raise ShapeError(f"repeat: {counts.size} repeats for axis {axis} of extent {n}")
    from nbgrad.kernels.indexing import take

    return take(x, leaf(numpy.repeat(numpy.arange(n), counts)), axis=axis)


def diagonal(x, offset=0, axis1=0, axis2=1):
    """The diagonal of the planes of two axes, as the last axis; a strided slice, so nothing is gathered."""
    x = as_array(x, "diagonal")
    if x.ndim < 2:
        raise ShapeError(f"diagonal: x needs at least 2 dimensions; {describe(x, 'x')}")
    if shapes.axis("diagonal", axis1, x.ndim) == shapes.axis("diagonal", axis2, x.ndim):
        raise ShapeError("diagonal: axis1 and axis2 are the same axis")
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    start, count = _diagonal(rows, columns, offset)
    flat = reshape(x, (*x.shape[:-2], rows * columns))
    return sliced(flat, {flat.ndim - 1: (start, columns + 1 if count > 1 else 1, count)})


def _diagonal(rows, columns, offset):
    """First flat position and length of a diagonal."""
    if offset >= 0:
        count = max(min(rows, columns - offset), 0)
        return (offset if count else 0), count
    count = max(min(rows + offset, columns), 0)
    return (-offset * columns if count else 0), count


def diag(x, k=0):
    """The k-th diagonal of a matrix, or the matrix with a vector as its k-th diagonal."""
    x = as_array(x, "diag")
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag: x must have 1 or 2 dimensions; {describe(x, 'x')}")
    n = x.shape[0] + abs(k)
    start, count = _diagonal(n, n, k)
    flat = views.embed(x, shape=(n * n,), spec=((start, n + 1 if count > 1 else 1, count),))
    return reshape(flat, (n, n))


def diagflat(x, k=0):
    """The matrix with all elements of `x` as its k-th diagonal."""
    return diag(ravel(x), k)


def trace(x, offset=0, axis1=0, axis2=1, dtype=None):
    """Sum of the diagonal."""
    from nbgrad.numpy.reductions import sum

    return sum(diagonal(x, offset, axis1, axis2), -1, dtype)


def tril(x, k=0):
    """`x` with zeros above the k-th diagonal."""
    x = _matrix(x, "tril")
    return selection.where(leaf(numpy.tri(*x.shape[-2:], k, dtype=bool)), x, False)


def triu(x, k=0):
    """`x` with zeros below the k-th diagonal."""
    x = _matrix(x, "triu")
    return selection.where(leaf(numpy.tri(*x.shape[-2:], k - 1, dtype=bool)), False, x)


def _matrix(x, call):
    """`x` for a function of matrices; a vector stands for equal rows, as in NumPy."""
    x = as_array(x, call)
    if x.ndim == 0:
        raise ShapeError(f"{call}: x needs at least 1 dimension; {describe(x, 'x')}")
    return x if x.ndim > 1 else broadcast_to(x, (x.shape[0], x.shape[0]))


def meshgrid(*xs, indexing="xy", sparse=False, copy=True):
    """Coordinate arrays of the grid that 1-d arrays span."""
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing must be 'xy' or 'ij', not {indexing!r}")
    arrays = [as_array(x, "meshgrid", f"xs[{i}]") for i, x in enumerate(xs)]
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    shape = [1] * len(arrays)
    for x, place in zip(arrays, places, strict=True):
        shape[place] = x.size
    out = []
    for x, place in zip(arrays, places, strict=True):
        line = reshape(x, tuple(x.size if i == place else 1 for i in range(len(arrays))))
        out.append(line if sparse else broadcast_to(line, tuple(shape)))
    return tuple(out)


def diff(x, n=1, axis=-1, prepend=None, append=None):
    """Differences of neighbours along an axis, n times.

    `prepend` and `append` are put before and behind `x` along the axis first; a number is one slice of it.
    """
    x, n = as_array(x, "diff"), as_integer(n, "diff", "n")
    axis = shapes.axis("diff", axis, x.ndim)
    if n < 0:
        raise ArgumentError(f"diff: n must not be negative, got {n}")
    if n and (prepend is not None or append is not None):
        x = concatenate([_beside(x, prepend, axis, "prepend"), x, _beside(x, append, axis, "append")], axis)
    for _ in range(n):
        m = x.shape[axis]
        later, earlier = part(x, axis, min(1, m), m), part(x, axis, 0, max(m - 1, 0))
        x = later != earlier if x.dtype.kind == "b" else later - earlier
    return x


def _beside(x, other, axis, name):
    """What is put beside `x` along an axis: a number becomes one slice of it."""
    empty = (*x.shape[:axis], 0, *x.shape[axis + 1 :])
    if other is None:
        return broadcast_to(as_array(0, "diff").astype(x.dtype), empty)
    other = as_array(other, "diff", name)
    return other if other.ndim else broadcast_to(other, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))


def shape(x):
    """The shape of `x`."""
    return as_array(x, "shape").shape


def ndim(x):
    """The number of dimensions of `x`."""
    return as_array(x, "ndim").ndim


def size(x, axis=None):
    """The number of elements of `x`, or its extent along an axis."""
    x = as_array(x, "size")
    return x.size if axis is None else x.shape[shapes.axis("size", axis, x.ndim)]
