"""scipy.ndimage on Arrays: filters, and interpolation of order 0 and 1."""

import itertools

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels.indexing import take as gathered
from nbgrad.numpy._arguments import as_array, as_dtype, as_integer, cast, leaf, promoted
from nbgrad.numpy.convolution import conv
from nbgrad.numpy.elementwise import clip, exp, floor, minimum, sign, trunc, where
from nbgrad.numpy.indexing import concrete
from nbgrad.numpy.manipulation import flip, pad, ravel, reshape
from nbgrad.numpy.reductions import sum as total

__all__ = [
    "convolve", "convolve1d", "correlate", "correlate1d", "gaussian_filter", "gaussian_filter1d", "map_coordinates",
    "shift", "uniform_filter", "uniform_filter1d", "zoom",
]  # fmt: skip

#: What is beyond the edges: modes of filters under NumPy's names.
MODES = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "constant": "constant", "grid-constant": "constant",
    "nearest": "edge", "mirror": "reflect", "wrap": "wrap", "grid-wrap": "wrap",
}  # fmt: skip


def correlate(input, weights, output=None, mode="reflect", cval=0.0, origin=0):
    """Correlation of an array with weights, in the shape of the array.

    Parameters
    ----------
    input, weights : array_like
        With as many dimensions.
    output : dtype, optional
        That of the result; of `input` unless given.  Integers are truncated.
    mode : {"reflect", "constant", "nearest", "mirror", "wrap"}
        What is beyond the edges; one, or one for each axis.
    cval : float
        What is there for "constant".
    origin : int or sequence of int
        How far the weights are moved off their centre.

    Returns
    -------
    Array

    Raises
    ------
    ShapeError, ArgumentError
        When the numbers of dimensions differ; for an unknown mode, or an origin outside of the weights.

    Examples
    --------
    >>> from nbgrad.scipy import ndimage
    >>> ndimage.correlate([1.0, 2.0, 4.0], [1.0, 0.0, -1.0])
    Array([-1., -3., -2.], shape=(3,), dtype=float64, device=cpu)
    """
    return _correlated("correlate", input, weights, output, mode, cval, origin)


def convolve(input, weights, output=None, mode="reflect", cval=0.0, origin=0):
    """Convolution of an array with weights; parameters are those of `correlate`."""
    return _convolved("convolve", input, as_array(weights, "convolve", "weights"), output, mode, cval, origin)


def correlate1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Correlation along one axis; parameters are those of `correlate`."""
    input, weights, origin = _along("correlate1d", input, weights, axis, origin)
    return _correlated("correlate1d", input, weights, output, mode, cval, origin)


def convolve1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Convolution along one axis; parameters are those of `correlate`."""
    input, weights, origin = _along("convolve1d", input, weights, axis, origin)
    return _convolved("convolve1d", input, weights, output, mode, cval, origin)


def _along(call, input, weights, axis, origin):
    """The weights with as many axes as the input, and the origin along one."""
    x, w = as_array(input, call, "input"), as_array(weights, call, "weights")
    if w.ndim != 1:
        raise ShapeError(f"{call}: weights must have 1 dimension; {describe(w, 'weights')}")
    axis = shapes.axis(call, axis, x.ndim)
    shape = tuple(w.size if a == axis else 1 for a in range(x.ndim))
    return x, reshape(w, shape), tuple(origin if a == axis else 0 for a in range(x.ndim))


def _convolved(call, input, weights, output, mode, cval, origin):
    origins = _each(call, "origin", origin, weights.ndim)
    # The mirror image of a window of even extent has its centre one element further on.
    turned = tuple(-o - (1 - n % 2) for o, n in zip(origins, weights.shape, strict=True))
    return _correlated(call, input, flip(weights), output, mode, cval, turned)


def _correlated(call, input, weights, output, mode, cval, origin):
    given, weights = as_array(input, call, "input"), as_array(weights, call, "weights")
    if given.ndim != weights.ndim:
        raise ShapeError(
            f"{call}: input and weights must have as many dimensions\n"
            f"    {describe(given, 'input')}\n    {describe(weights, 'weights')}"
        )
    if not weights.size:
        raise ShapeError(f"{call}: weights must not be empty; {describe(weights, 'weights')}")
    x, w = promoted(_inexact(given), _inexact(weights))
    kind = as_dtype(output, call) or (x.dtype if x.dtype.kind == "c" else given.dtype)
    if not x.ndim or not x.size:
        return cast(x * w if not x.ndim else x, kind)
    origins, modes = _each(call, "origin", origin, x.ndim), _modes(call, mode, x.ndim)
    for axis, (n, o, kind_of) in enumerate(zip(w.shape, origins, modes, strict=True)):
        before = n // 2 + o
        if not 0 <= before < n:
            raise ArgumentError(f"{call}: origin {o} is outside of the {n} weights along axis {axis}")
        widths = [(before, n - 1 - before) if a == axis else (0, 0) for a in range(x.ndim)]
        x = pad(x, widths, kind_of, cval) if kind_of == "constant" else pad(x, widths, kind_of)
    y = conv(reshape(x, (1, *x.shape, 1)), reshape(w, (*w.shape, 1, 1)))
    return cast(reshape(y, y.shape[1:-1]), kind)


def _inexact(x):
    return x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)


def _each(call, name, value, rank):
    """An integer for each axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise ArgumentError(f"{call}: {name} must be one integer or {rank} of them, not {value!r}")
    return tuple(as_integer(v, call, name) for v in values)


def _modes(call, mode, rank, known=MODES):
    modes = list(mode) if isinstance(mode, (tuple, list)) else [mode] * rank
    if len(modes) != rank or any(m not in known for m in modes):
        raise ArgumentError(f"{call}: mode must be one of {tuple(known)}, or one of them for each axis, not {mode!r}")
    return [known[m] for m in modes]


def uniform_filter1d(input, size, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Means of `size` neighbours along one axis; parameters are those of `correlate`."""
    x, size = as_array(input, "uniform_filter1d", "input"), as_integer(size, "uniform_filter1d", "size")
    if size < 1:
        raise ArgumentError(f"uniform_filter1d: size must be positive, not {size}")
    kind = as_dtype(output, "uniform_filter1d") or x.dtype
    inexact = _inexact(x)
    ones = leaf(numpy.ones(size, inexact.dtype))
    return cast(correlate1d(inexact, ones, axis, None, mode, cval, origin) / float(size), kind)


def uniform_filter(input, size=3, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Means of `size` neighbours along each axis (or of `axes`), one axis after the other.

    Examples
    --------
    >>> from nbgrad.scipy import ndimage
    >>> ndimage.uniform_filter([0.0, 3.0, 6.0], 3)
    Array([1., 3., 5.], shape=(3,), dtype=float64, device=cpu)
    """
    x = as_array(input, "uniform_filter", "input")
    axes = shapes.axes("uniform_filter", axes, x.ndim)
    sizes, origins = (
        _each("uniform_filter", "size", size, len(axes)),
        _each("uniform_filter", "origin", origin, len(axes)),
    )
    modes = list(mode) if isinstance(mode, (tuple, list)) else [mode] * len(axes)
    x = cast(x, as_dtype(output, "uniform_filter") or x.dtype)
    for axis, n, o, m in zip(axes, sizes, origins, modes, strict=True):
        if n > 1:
            x = uniform_filter1d(x, n, axis, None, m, cval, o)
    return x


def gaussian_filter1d(
    input, sigma, axis=-1, order=0, output=None, mode="reflect", cval=0.0, truncate=4.0, *, radius=None
):  # fmt: skip
    """Correlation with a Gaussian, or a derivative of it, along one axis; parameters are those of `gaussian_filter`."""
    call = "gaussian_filter1d"
    order = as_integer(order, call, "order")
    if order < 0:
        raise ArgumentError(f"{call}: order must not be negative, got {order}")
    if radius is None:
        width = float(concrete(sigma, call, "sigma") if isinstance(sigma, Array) else sigma)
        radius = int(truncate * width + 0.5)
    radius = as_integer(radius, call, "radius")
    if radius < 0:
        raise ArgumentError(f"{call}: radius must not be negative, got {radius}")
    weights = _gaussian(as_array(sigma, call, "sigma"), order, radius)
    x = as_array(input, call, "input")
    if x.dtype.kind in "fc":
        weights = cast(weights, x.real.dtype)
    return correlate1d(x, flip(weights), axis, output, mode, cval, 0)


def _gaussian(sigma, order, radius):
    """A Gaussian that sums to 1, at the integers, times the polynomial that its derivative is a multiple by."""
    sigma = _inexact(sigma)
    t = leaf(numpy.arange(-radius, radius + 1.0))
    bell = exp(-0.5 / (sigma * sigma) * t * t)
    bell = bell / total(bell)
    if order == 0:
        return bell
    # (q exp(p))' = (q' + q p') exp(p), with p' = -t / sigma^2.
    q, zero = [1.0], sigma * 0.0
    for _ in range(order):
        slope = [(i + 1) * c for i, c in enumerate(q[1:])] + [zero, zero]
        steep = [zero] + [c * (-1.0 / (sigma * sigma)) for c in q]
        q = [a + b for a, b in zip(slope, steep, strict=False)]
    value = q[0] + zero
    for i, c in enumerate(q[1:], 1):
        value = value + c * t**i
    return value * bell


def gaussian_filter(
    input, sigma, order=0, output=None, mode="reflect", cval=0.0, truncate=4.0, *, radius=None, axes=None
):  # fmt: skip
    """Correlation with a Gaussian along each axis (or of `axes`).

    Parameters
    ----------
    input : array_like
    sigma : float, or sequence of float
        Standard deviation; differentiable if it is an Array.
    order : int or sequence of int
        Which derivative of the Gaussian.
    output, mode, cval
        As for `correlate`.
    truncate : float
        How many standard deviations the weights reach.
    radius : int or sequence of int, optional
        How far they reach, instead of that.

    Raises
    ------
    TracedValueError
        Under jit when the radius depends on the value of a traced `sigma`; give `radius`.

    Examples
    --------
    >>> from nbgrad.scipy import ndimage
    >>> ndimage.gaussian_filter([0.0, 0.0, 1.0, 0.0, 0.0], 0.5).round(3)
    Array([0.   , 0.106, 0.787, 0.106, 0.   ], shape=(5,), dtype=float64, device=cpu)
    """
    x = as_array(input, "gaussian_filter", "input")
    axes = shapes.axes("gaussian_filter", axes, x.ndim)
    x = cast(x, as_dtype(output, "gaussian_filter") or x.dtype)
    several = [list(v) if isinstance(v, (tuple, list)) else [v] * len(axes) for v in (sigma, order, mode, radius)]
    if any(len(v) != len(axes) for v in several):
        raise ArgumentError(
            f"gaussian_filter: sigma, order, mode and radius must be one, or one for each of {len(axes)} axes"
        )
    for axis, s, o, m, r in zip(axes, *several, strict=True):
        if isinstance(s, Array) or s > 1e-15:
            x = gaussian_filter1d(x, s, axis, o, None, m, cval, truncate, radius=r)
    return x


# ---------------------------------------------------------------- interpolation

_INTERPOLATION = {m: m for m in MODES}


def map_coordinates(input, coordinates, output=None, order=3, mode="constant", cval=0.0, prefilter=True):
    """Values of an array between its elements, by the nearest element or linear interpolation.

    Parameters
    ----------
    input : array_like
    coordinates : array_like
        One row for each axis of `input`; the result has the shape of a row.
    output : dtype, optional
        That of the result; of `input` unless given.  Integers are rounded.
    order : {0, 1}
        SciPy's default, 3, and other splines are not here: it must be given.
    mode : str
        What is beyond the edges: "constant", "grid-constant", "nearest", "reflect" ("grid-mirror"), "mirror", "wrap" or
        "grid-wrap".
    cval : float
    prefilter : bool
        Taken for SciPy's sake; it concerns splines only.

    Returns
    -------
    Array

    Raises
    ------
    ArgumentError, ShapeError

    Notes
    -----
    Differentiable by `input` and, for order 1, by `coordinates`: at an element the slope is that towards the next one.
    For order 0 the derivative by the coordinates is zero.

    Examples
    --------
    >>> from nbgrad.scipy import ndimage
    >>> ndimage.map_coordinates([1.0, 2.0, 4.0], [[0.5, 1.25]], order=1)
    Array([1.5, 2.5], shape=(2,), dtype=float64, device=cpu)
    """
    call = "map_coordinates"
    given, at = as_array(input, call, "input"), _inexact(as_array(coordinates, call, "coordinates"))
    if at.ndim < 1 or at.shape[0] != given.ndim or not given.ndim:
        raise ShapeError(
            f"{call}: coordinates must have one row for each axis of input\n"
            f"    {describe(given, 'input')}\n    {describe(at, 'coordinates')}"
        )
    return _interpolated(call, given, [at[i] for i in range(given.ndim)], output, order, mode, cval)


def _interpolated(call, given, rows, output, order, mode, cval):
    if order not in (0, 1):
        raise ArgumentError(f"{call}: order must be 0 or 1, not {order!r}; splines of higher order are not here")
    (mode,) = _modes(call, mode, 1, _INTERPOLATION)
    x = _inexact(given)
    flat, strides = ravel(x), shapes.contiguous_strides(x.shape)
    corners, inside = [], None
    for c, n, stride in zip(rows, x.shape, strides, strict=True):
        if not n:
            raise ShapeError(f"{call}: input has no elements; {describe(given, 'input')}")
        if mode == "wrap":  # SciPy's period of "wrap" is one less than the extent
            period = float(max(n - 1, 1))
            below, above = c + period * (floor(-c / period) + 1.0), c - period * floor(c / period)
            c = where(c < 0.0, below, where(c > period, above, c)) if n > 1 else c * 0.0
        if mode == "nearest":
            c = clip(c, 0.0, float(n - 1))
        if mode == "constant":
            within = (c >= 0.0) & (c <= float(n - 1))
            inside = within if inside is None else inside & within
        low = floor(c) if order else floor(c + 0.5)
        share = c - low
        choices = ((low, 1.0 - share), (low + 1.0, share)) if order else ((low, None),)
        corners.append([(*_index(i, n, mode), stride, w) for i, w in choices])
    y = 0.0
    for corner in itertools.product(*corners):
        place, weight, known = 0, None, None
        for i, valid, stride, w in corner:
            place = place + i * stride
            weight = w if weight is None else weight * w
            if valid is not None:
                known = valid if known is None else known & valid
        value = gathered(flat, place, axis=0)
        if known is not None:
            value = where(known, value, cval)
        y = y + (value if weight is None else value * cast(weight, value.real.dtype))
    if inside is not None:
        y = where(inside, y, cval)
    kind = as_dtype(output, call) or given.dtype
    if kind.kind in "iu" and y.dtype.kind == "f":
        y = trunc(y + 0.5 * sign(y))
    return cast(y, kind)


def _index(place, n, mode):
    """(index of the element that stands at a whole coordinate, where there is one: None for everywhere)."""
    i = cast(place, dtypes.INT64)
    if mode in ("reflect", "grid-mirror"):
        i = i % (2 * n)
        return minimum(i, 2 * n - 1 - i), None
    if mode == "mirror":
        period = max(2 * (n - 1), 1)
        i = i % period
        return minimum(i, period - i) if n > 1 else i * 0, None
    if mode == "grid-wrap":
        return i % n, None
    valid = (i >= 0) & (i < n) if mode == "grid-constant" else None
    return clip(i, 0, n - 1), valid


def shift(input, shift, output=None, order=3, mode="constant", cval=0.0, prefilter=True):
    """An array moved along its axes by any distance: `map_coordinates` of where its elements came from.

    Parameters are those of `map_coordinates`; `shift` is one number or one for each axis, and differentiable.
    """
    x = as_array(input, "shift", "input")
    move = _inexact(as_array(shift, "shift", "shift"))
    if move.shape not in ((), (x.ndim,)):
        raise ShapeError(f"shift: shift must be one number or {x.ndim} of them; {describe(move, 'shift')}")
    moves = [move if not move.ndim else move[i] for i in range(x.ndim)]
    grid = numpy.indices(x.shape).astype(move.dtype)
    return _interpolated("shift", x, [leaf(g) - m for g, m in zip(grid, moves, strict=True)], output, order, mode, cval)


def zoom(input, zoom, output=None, order=3, mode="constant", cval=0.0, prefilter=True):
    """An array with more or fewer elements along its axes, the first and the last in place.

    Parameters are those of `map_coordinates`; `zoom` is one factor or one for each axis.
    """
    x = as_array(input, "zoom", "input")
    factors = numpy.broadcast_to(numpy.asarray(zoom, float), (x.ndim,))
    new = [round(n * f) for n, f in zip(x.shape, factors, strict=True)]
    lines = [numpy.minimum(numpy.arange(m) * ((n - 1) / (m - 1) if m > 1 else 1.0), n - 1.0) for n, m in
             zip(x.shape, new, strict=True)]  # fmt: skip
    rows = [leaf(numpy.ascontiguousarray(g)) for g in numpy.meshgrid(*lines, indexing="ij")]
    return _interpolated("zoom", x, rows, output, order, mode, cval)
