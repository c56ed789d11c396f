"""Convolution and pooling of any number of spatial axes, as in neural networks.  NumPy has none of these.

Arrays are ``(batch, *spatial, channels)``.  Windows are strided slices; a convolution puts them side by side and is one
matrix product, a maximum or a mean is taken over them one by one.
"""

import itertools

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import linalg
from nbgrad.kernels import shape as views
from nbgrad.numpy._arguments import as_array, as_integer, cast, promoted
from nbgrad.numpy.manipulation import concatenate, flip, moveaxis, reshape, sliced
from nbgrad.numpy.reductions import max as largest_of


def conv(x, w, strides=1, padding="valid", dilation=1, groups=1):
    """Convolution over any number of spatial axes, as in neural networks (the filter is not flipped).

    Parameters
    ----------
    x : array_like
        ``(batch, *spatial, channels)``.
    w : array_like
        Filters, ``(*window, channels in / groups, channels out)``.
    strides : int or tuple of int
        Steps between windows.
    padding : {"valid", "same"}, int, or one int or (before, after) for each spatial axis
        Zeros around `x`; ``"same"`` gives ceil(extent / stride) windows, the odd zero at the end.
    dilation : int or tuple of int
        Steps between the elements of a window.
    groups : int
        The channels of `x` and of the result are divided into as many groups, which do not mix.

    Returns
    -------
    Array
        ``(batch, *spatial out, channels out)``, with
        floor((extent + padding - dilation * (window - 1) - 1) / stride) + 1 elements along a spatial axis.

    Raises
    ------
    ShapeError
        When channels or dimensions do not fit, or a window is larger than the padded array.
    ArgumentError
        For strides, dilations or groups that are not positive integers, or an unknown padding.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.conv(np.ones((1, 6, 2)), np.ones((3, 2, 4)), strides=2, padding="same").shape
    (1, 3, 4)
    """
    x, w, rank = _operands("conv", x, w)
    strides, dilation = _several("conv", "strides", strides, rank), _several("conv", "dilation", dilation, rank)
    groups = _positive("conv", "groups", groups)
    c, out = w.shape[-2:]
    if x.shape[-1] != c * groups or out % groups:
        raise ShapeError(
            f"conv(x, w): x has {x.shape[-1]} channels and w takes {c} in each of {groups} groups and makes {out}; w "
            "must be (*window, channels of x / groups, a multiple of groups)\n"
            f"    {describe(x, 'x')}\n    {describe(w, 'w')}"
        )
    return _convolved("conv", x, w, strides, padding, dilation, groups)


def conv2d(x, w, stride=1, padding="VALID"):
    """Convolution of images, as in neural networks (the filter is not flipped).

    This is `conv` of two axes, with the names of paddings that TensorFlow has.

    Parameters
    ----------
    x : array_like
        Images, (batch, height, width, channels).
    w : array_like
        Filters, (height, width, channels in, channels out).
    stride : int or (int, int)
    padding : {"VALID", "SAME"} or ((top, bottom), (left, right))
        Zeros around the images; ``"SAME"`` gives ceil(extent / stride) positions.

    Returns
    -------
    Array
        (batch, height out, width out, channels out).

    Raises
    ------
    ShapeError
        When channels differ, or a filter is larger than the padded image.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.conv2d(np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 2))).shape
    (1, 3, 3, 2)
    """
    x, w = promoted(as_array(x, "conv2d", "x"), as_array(w, "conv2d", "w"))
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ShapeError(
            "conv2d(x, w): expected x of (batch, height, width, channels) and w of (height, width, channels in, "
            f"channels out), got {x.shape} and {w.shape}\n    {describe(x, 'x')}\n    {describe(w, 'w')}"
        )
    strides = tuple(stride) if isinstance(stride, (tuple, list)) else (stride, stride)
    if len(strides) != 2 or any(as_integer(s, "conv2d", "stride") < 1 for s in strides):
        raise ArgumentError(f"conv2d: stride must be a positive integer or two of them, not {stride!r}")
    if padding not in ("VALID", "SAME") and (isinstance(padding, str) or len(padding) != 2):
        raise ArgumentError(
            f"conv2d: padding must be 'VALID', 'SAME' or ((top, bottom), (left, right)), not {padding!r}"
        )
    return _convolved("conv2d", x, w, strides, padding, (1, 1), 1)


def conv_transpose(x, w, strides=1, padding="valid", dilation=1, groups=1):
    """The transpose of `conv`: what its gradient by `x` does, as a layer that makes arrays larger.

    Parameters
    ----------
    x : array_like
        ``(batch, *spatial, channels)``.
    w : array_like
        Filters of the convolution that this is the transpose of, ``(*window, channels out / groups, channels in)``.
    strides, dilation, groups
        Of that convolution.
    padding : {"valid", "same"}, int, or one int or (before, after) for each spatial axis
        Of that convolution: what is cut off of the result.  ``"same"`` gives extent * stride elements.

    Returns
    -------
    Array
        ``(batch, *spatial out, channels out)``, with (extent - 1) * stride + dilation * (window - 1) + 1 - padding
        elements along a spatial axis.

    Raises
    ------
    ShapeError, ArgumentError
        As for `conv`.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.conv_transpose(np.ones((1, 3, 4)), np.ones((3, 2, 4)), strides=2).shape
    (1, 7, 2)
    """
    x, w, rank = _operands("conv_transpose", x, w)
    strides = _several("conv_transpose", "strides", strides, rank)
    dilation = _several("conv_transpose", "dilation", dilation, rank)
    groups = _positive("conv_transpose", "groups", groups)
    spatial, window, (out, c) = x.shape[1:-1], w.shape[:-2], w.shape[-2:]
    if x.shape[-1] != c or c % groups or 0 in spatial:
        raise ShapeError(
            f"conv_transpose(x, w): x has {x.shape[-1]} channels and w takes {c} in {groups} groups; w must "
            f"be (*window, channels out / groups, channels of x), no spatial axis empty\n"
            f"    {describe(x, 'x')}\n    {describe(w, 'w')}"
        )
    reach = tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))
    whole = [(n - 1) * s + r for n, s, r in zip(spatial, strides, reach, strict=True)]
    same = isinstance(padding, str) and padding.lower() == "same"
    ends = [n * s if same else w for n, s, w in zip(spatial, strides, whole, strict=True)]
    margins = _margins("conv_transpose", padding, ends, window, strides, dilation)
    if not same:
        ends = [max(n - sum(m), 0) for n, m in zip(ends, margins, strict=True)]
    # A convolution with stride 1 of x with zeros between its elements, by the filter turned round.
    shape = (x.shape[0], *[n + r - 1 for n, r in zip(whole, reach, strict=True)], c)
    spec = ((0, 1, x.shape[0]), *[(r - 1, s, n) for r, s, n in zip(reach, strides, spatial, strict=True)], (0, 1, c))
    spread = views.embed(x, shape=shape, spec=spec)
    grouped = reshape(flip(w, tuple(range(rank))), (*window, out, groups, c // groups))
    filters = reshape(moveaxis(grouped, (-1, -2), (rank, rank + 1)), (*window, c // groups, groups * out))
    y = conv(spread, filters, 1, "valid", dilation, groups)
    for axis, (end, (before, _)) in enumerate(zip(ends, margins, strict=True), 1):
        kept = max(min(y.shape[axis] - before, end), 0)
        y = sliced(y, {axis: (before if kept else 0, 1, kept)})
        if kept < end:
            shape = (*y.shape[:axis], end, *y.shape[axis + 1 :])
            y = views.embed(y, shape=shape, spec=shapes.part(y.shape, axis, (0, 1, kept)))
    return y


def max_pool(x, window, strides=None, padding="valid", dilation=1):
    """The largest element of each window; equal ones share the gradient equally.

    Parameters
    ----------
    x : array_like
        ``(batch, *spatial, channels)``, real.
    window : int or tuple of int
        Extents along the spatial axes.
    strides : int or tuple of int, optional
        Steps between windows; those of the window unless given.
    padding, dilation
        As for `conv`; what is padded is smaller than any element.

    Returns
    -------
    Array
        ``(batch, *spatial out, channels)``.

    Raises
    ------
    ShapeError, ArgumentError
        As for `conv`.
    DtypeError
        For complex numbers, which have no order.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.max_pool(np.reshape(np.arange(6.0), (1, 6, 1)), 2)[0, :, 0]
    Array([1., 3., 5.], shape=(3,), dtype=float64, device=cpu)
    """
    x = as_array(x, "max_pool")
    if x.dtype.kind == "c":
        raise DtypeError(f"max_pool: complex numbers have no order; pool abs(x)\n    {describe(x, 'x')}")
    lowest = {"f": -numpy.inf, "b": False}.get(x.dtype.kind)
    if lowest is None:
        lowest = int(numpy.iinfo(x.dtype).min)
    parts, *_ = _pooled("max_pool", x, window, strides, padding, dilation, lowest)
    return parts[0] if len(parts) == 1 else largest_of(_stacked(parts), axis=-1)


def avg_pool(x, window, strides=None, padding="valid", dilation=1, count_include_pad=True):
    """The mean of each window.

    Parameters
    ----------
    x : array_like
        ``(batch, *spatial, channels)``.
    window, strides, padding, dilation
        As for `max_pool`.
    count_include_pad : bool
        Whether what is padded, zeros, counts as elements.

    Returns
    -------
    Array
        ``(batch, *spatial out, channels)``, of a floating-point dtype.

    Raises
    ------
    ShapeError, ArgumentError
        As for `conv`.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.avg_pool(np.reshape(np.arange(6.0), (1, 6, 1)), 2)[0, :, 0]
    Array([0.5, 2.5, 4.5], shape=(3,), dtype=float64, device=cpu)
    """
    x = as_array(x, "avg_pool")
    x = x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)
    half, x = x.dtype == dtypes.FLOAT16, cast(x, dtypes.FLOAT32) if x.dtype == dtypes.FLOAT16 else x
    parts, counted = _pooled("avg_pool", x, window, strides, padding, dilation, 0)
    total = parts[0]
    for p in parts[1:]:
        total = total + p
    if count_include_pad:
        y = total / float(len(parts))
    else:
        y = total / counted().astype(total.dtype if total.dtype.kind == "f" else dtypes.FLOAT64)
    return cast(y, dtypes.FLOAT16) if half else y


# ---------------------------------------------------------------- windows


def _convolved(call, x, w, strides, padding, dilation, groups):
    """The convolution of operands that fit: windows side by side, multiplied with the filters."""
    spatial, window, (c, out) = x.shape[1:-1], w.shape[:-2], w.shape[-2:]
    x = _padded(x, _margins(call, padding, spatial, window, strides, dilation), 0)
    counts = _counts(call, x.shape[1:-1], window, strides, dilation)
    k, positions = shapes.size(window), x.shape[0] * shapes.size(counts)
    parts = _windows(x, window, strides, dilation, counts)
    if not parts:
        return Array(graph.constant(0, x.dtype, (x.shape[0], *counts, out)))
    if groups == 1:
        columns = concatenate(parts, axis=-1)
        y = linalg.matmul(reshape(columns, (positions, k * c)), reshape(w, (k * c, out)))
        return reshape(y, (x.shape[0], *counts, out))
    columns = concatenate([reshape(p, (positions, groups, c)) for p in parts], axis=-1)
    filters = moveaxis(reshape(w, (k * c, groups, out // groups)), 1, 0)
    y = linalg.matmul(moveaxis(columns, 1, 0), filters)  # (groups, positions, channels out of a group)
    return reshape(moveaxis(y, 0, 1), (x.shape[0], *counts, out))


def _operands(call, x, w):
    """Arrays of one dtype that have the same number of dimensions, at least 3; the number of spatial axes."""
    x, w = promoted(as_array(x, call, "x"), as_array(w, call, "w"))
    if x.ndim != w.ndim or x.ndim < 3:
        raise ShapeError(
            f"{call}(x, w): expected x of (batch, *spatial, channels) and w of (*window, channels, channels), with at "
            f"least one spatial axis, got {x.shape} and {w.shape}\n    {describe(x, 'x')}\n    {describe(w, 'w')}"
        )
    return x, w, x.ndim - 2


def _pooled(call, x, window, strides, padding, dilation, value):
    """The windows of `x` as slices, and a function that counts the elements of `x` in each."""
    if x.ndim < 3:
        raise ShapeError(f"{call}: expected x of (batch, *spatial, channels)\n    {describe(x, 'x')}")
    rank = x.ndim - 2
    window = _several(call, "window", window, rank)
    strides = window if strides is None else _several(call, "strides", strides, rank)
    dilation = _several(call, "dilation", dilation, rank)
    spatial = x.shape[1:-1]
    margins = _margins(call, padding, spatial, window, strides, dilation)
    padded = _padded(x, margins, value)
    counts = _counts(call, padded.shape[1:-1], window, strides, dilation)

    def counted():
        total = numpy.ones(counts)
        for axis, (n, (before, _), k, s, d) in enumerate(zip(spatial, margins, window, strides, dilation, strict=True)):
            at = numpy.arange(counts[axis])[:, None] * s + numpy.arange(k) * d - before
            inside = ((at >= 0) & (at < n)).sum(1)
            total = total * inside.reshape([-1 if i == axis else 1 for i in range(rank)])
        return Array(graph.table(total[..., None]))

    return _windows(padded, window, strides, dilation, counts), counted


def _stacked(parts):
    """Slices side by side along a new last axis."""
    return concatenate([reshape(p, (*p.shape, 1)) for p in parts], axis=-1)


def _windows(x, window, strides, dilation, counts):
    """For each place in a window the elements of `x` that are there, a slice."""
    places = itertools.product(*map(range, window))
    triples = [[*zip(map(int.__mul__, place, dilation), strides, counts, strict=True)] for place in places]
    return [sliced(x, dict(enumerate(t, 1))) for t in triples]


def _padded(x, margins, value):
    """`x` with a margin of `value` along the spatial axes."""
    if not any(map(any, margins)):
        return x
    margins = ((0, 0), *margins, (0, 0))
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, margins, strict=True))
    spec = tuple((before, 1, n) for n, (before, _) in zip(x.shape, margins, strict=True))
    if value == 0 and x.dtype.kind != "b":
        return views.embed(x, shape=shape, spec=spec)
    return views.set_slice(Array(graph.constant(value, x.dtype, shape)), x, spec=spec)


def _counts(call, extents, window, strides, dilation):
    """How many windows there are along each spatial axis."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True))
    if any(r > n for r, n in zip(reach, extents, strict=True)):
        raise ShapeError(
            f"{call}: windows that reach over {reach} elements do not fit in the (padded) spatial extents "
            f"{tuple(extents)}; pad more, or take smaller windows"
        )
    return tuple((n - r) // s + 1 for n, r, s in zip(extents, reach, strides, strict=True))


def _margins(call, padding, extents, window, strides, dilation):
    """(before, after) for each spatial axis."""
    rank = len(window)
    known = padding.lower() if isinstance(padding, str) else None
    if known == "valid":
        return ((0, 0),) * rank
    if known == "same":
        found = []
        for n, k, s, d in zip(extents, window, strides, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            found.append((total // 2, total - total // 2))
        return tuple(found)
    try:
        pairs = [padding] * rank if not isinstance(padding, (tuple, list)) else padding
        pairs = [tuple(p) if isinstance(p, (tuple, list)) else (p, p) for p in pairs]
        found = tuple((as_integer(a, call, "padding"), as_integer(b, call, "padding")) for a, b in pairs)
        if len(found) != rank or any(a < 0 or b < 0 for a, b in found):
            raise ValueError
    except (ArgumentError, ValueError):
        raise ArgumentError(
            f"{call}: padding must be 'valid', 'same', an integer, or an integer or (before, after) for each of {rank} "
            f"spatial axes, none negative, not {padding!r}"
        ) from None
    return found


def _several(call, name, value, rank):
    """A positive integer for each spatial axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise ArgumentError(f"{call}: {name} must be one integer or one for each of {rank} spatial axes, not {value!r}")
    return tuple(_positive(call, name, v) for v in values)


def _positive(call, name, value):
    number = as_integer(value, call, name)
    if number < 1:
        raise ArgumentError(f"{call}: {name} must be positive, not {value!r}")
    return number
