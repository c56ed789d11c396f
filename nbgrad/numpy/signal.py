"""Sampled functions: convolution, interpolation, derivatives by differences, phases."""

import numpy

from nbgrad import dtypes, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import complex, filtering, selection
from nbgrad.kernels import indexing as kernels
from nbgrad.numpy._arguments import as_array, cast, promoted
from nbgrad.numpy.indexing import argsort, searchsorted
from nbgrad.numpy.manipulation import concatenate, diff, flip, part, ravel, reshape, sliced
from nbgrad.numpy.reductions import cumsum

__all__ = ["convolve", "correlate", "ediff1d", "gradient", "interp", "unwrap"]

MODES = ("full", "same", "valid")


def _sequences(call, x, v, mode):
    x, v = promoted(as_array(x, call), as_array(v, call, "v"))
    x, v = (reshape(s, (1,)) if s.ndim == 0 else s for s in (x, v))
    for s, name in ((x, "x"), (v, "v")):
        if s.ndim != 1:
            raise ShapeError(f"{call}: {name} must have 1 dimension\n    {describe(s, name)}")
        if not s.size:
            raise ShapeError(f"{call}: {name} must not be empty\n    {describe(s, name)}")
    if mode not in MODES:
        raise ArgumentError(f"{call}: mode must be 'full', 'same' or 'valid', not {mode!r}")
    return x, v


def _cut(y, short, long, mode, later):
    """The part of the whole convolution that a mode asks for; `later`: of two middles the later one."""
    if mode == "full":
        return y
    if mode == "valid":
        return sliced(y, {0: (short - 1, 1, long - short + 1)})
    start = short // 2 if later else short - 1 - short // 2
    return sliced(y, {0: (start, 1, long)})


def convolve(x, v, mode="full"):
    """Convolution of two sequences.

    Parameters
    ----------
    x, v : array_like
        1-d, not empty.
    mode : {"full", "same", "valid"}
        All places where they overlap; the middle part, as long as the longer one; where one lies within the other.

    Raises
    ------
    ShapeError, ArgumentError

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.convolve([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    Array([0. , 1. , 2.5, 4. , 1.5], shape=(5,), dtype=float64, device=cpu)
    """
    x, v = _sequences("convolve", x, v, mode)
    n, m = x.size, v.size
    return _cut(filtering.convolve(x, v), min(n, m), max(n, m), mode, False)


def correlate(x, v, mode="valid"):
    """Sums of x[n + k] conj(v[n]) over n, for the shifts k that `mode` asks for: see `convolve`."""
    x, v = _sequences("correlate", x, v, mode)
    v = flip(complex.conjugate(v) if v.dtype.kind == "c" else v)
    n, m = x.size, v.size
    return _cut(filtering.convolve(x, v), min(n, m), max(n, m), mode, n < m)


def interp(x, xp, fp, left=None, right=None, period=None):
    """Linear interpolation between the points (xp, fp), with gradients by x, xp and fp.

    Parameters
    ----------
    x : array_like
    xp : array_like
        1-d and rising, unless there is a period.
    fp : array_like
        Real or complex, as long as `xp`.
    left, right : number, optional
        The value before the first and behind the last point; by default that of `fp` there.
    period : number, optional
        Of the function; `left` and `right` are not used then.

    Returns
    -------
    Array
        float64 or complex128.  On a point the derivative is that of the interval behind it.

    Raises
    ------
    ShapeError, ArgumentError

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.interp([0.5, 2.5], [0.0, 1.0, 2.0], [0.0, 10.0, 30.0])
    Array([ 5., 30.], shape=(2,), dtype=float64, device=cpu)
    """
    x, xp, fp = (as_array(a, "interp", name) for a, name in ((x, "x"), (xp, "xp"), (fp, "fp")))
    if xp.ndim != 1 or fp.ndim != 1 or xp.size != fp.size or not xp.size:
        raise ShapeError(
            f"interp: xp and fp must be 1-d, as long and not empty\n    {describe(xp, 'xp')}\n    {describe(fp, 'fp')}"
        )
    for a, name in ((x, "x"), (xp, "xp")):
        if a.dtype.kind == "c":
            raise DtypeError(f"interp: {name} must hold real numbers; {describe(a, name)}")
    x, xp = cast(x, dtypes.FLOAT64), cast(xp, dtypes.FLOAT64)
    fp = cast(fp, dtypes.COMPLEX128 if fp.dtype.kind == "c" else dtypes.FLOAT64)
    if period is not None:
        x, xp, fp = _periodic(x, xp, fp, period)
        left = right = None
    n = xp.size
    first, last = fp[0], fp[n - 1]
    left, right = first if left is None else left, last if right is None else right
    if n == 1:
        y = first
    else:
        at = selection.clip(searchsorted(xp, x, "right") - 1, 0, n - 2)
        low, high = (kernels.take(xp, i, axis=0) for i in (at, at + 1))
        below, above = (kernels.take(fp, i, axis=0) for i in (at, at + 1))
        width = high - low
        y = (above - below) / selection.where(width == 0, 1.0, width) * (x - low) + below
    y = selection.where(x < xp[0], left, selection.where(x > xp[n - 1], right, y))
    return selection.where(x != x, x, y)


def _periodic(x, xp, fp, period):
    if not isinstance(period, Array) and period == 0:
        raise ArgumentError("interp: period must not be 0")
    period = abs(period)
    x, xp = x % period, xp % period
    order = argsort(xp)
    xp, fp = (kernels.take(a, order, axis=0) for a in (xp, fp))
    n = xp.size
    xp = concatenate([part(xp, 0, n - 1, n) - period, xp, part(xp, 0, 0, 1) + period])
    return x, xp, concatenate([part(fp, 0, n - 1, n), fp, part(fp, 0, 0, 1)])


def gradient(x, *varargs, axis=None, edge_order=1):
    """Derivatives along axes by differences, central ones inside, one-sided ones at the ends.

    Parameters
    ----------
    x : array_like
        Samples of a function.
    *varargs
        Nothing (distance 1), one distance, or one for each axis; a 1-d array has the coordinates along an axis.
    axis : None, int or tuple of int
    edge_order : {1, 2}
        Accuracy of the differences at the ends.

    Returns
    -------
    Array, or a tuple with one for each of several axes

    Raises
    ------
    ArgumentError, ShapeError

    Notes
    -----
    Coefficients for uneven distances are those of Fornberg 1988, Generation of finite difference formulas on
    arbitrarily spaced grids.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.gradient([1.0, 2.0, 4.0, 7.0])
    Array([1. , 1.5, 2.5, 3. ], shape=(4,), dtype=float64, device=cpu)
    """
    x = as_array(x, "gradient")
    axes = (
        tuple(range(x.ndim))
        if axis is None
        else tuple(shapes.axis("gradient", a, x.ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    )
    if len(set(axes)) != len(axes):
        raise ShapeError(f"gradient: axis {axis} names an axis twice")
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order must be 1 or 2, not {edge_order!r}")
    if not dtypes.is_inexact(x.dtype):
        x = cast(x, dtypes.FLOAT64)
    steps = _steps(x, varargs, axes)
    out = []
    for a, step in zip(axes, steps, strict=True):
        if x.shape[a] < edge_order + 1:
            raise ShapeError(
                f"gradient: axis {a} has extent {x.shape[a]}, at least {edge_order + 1} are needed; {describe(x, 'x')}"
            )
        out.append(_derivative(x, a, step, edge_order))
    return out[0] if len(out) == 1 else tuple(out)


def _steps(x, given, axes):
    """For each axis a distance, or a 1-d Array of the distances between neighbours."""
    if len(given) == 0:
        return [1.0] * len(axes)
    if len(given) == 1 and numpy.ndim(given[0]) == 0:
        return [_distance(given[0])] * len(axes)
    if len(given) != len(axes):
        raise ArgumentError(f"gradient: {len(given)} distances for {len(axes)} axes; give none, one or one for each")
    steps = []
    for h, a in zip(given, axes, strict=True):
        if numpy.ndim(h) == 0:
            steps.append(_distance(h))
            continue
        h = as_array(h, "gradient", "varargs")
        if h.shape != (x.shape[a],):
            raise ShapeError(
                f"gradient: coordinates of shape {h.shape} do not fit axis {a} of extent {x.shape[a]}\n"
                f"    {describe(x, 'x')}"
            )
        h = diff(h if dtypes.is_inexact(h.dtype) else cast(h, dtypes.FLOAT64))
        steps.append(h)
    return steps


def _distance(h):
    return as_array(h, "gradient", "varargs") if isinstance(h, Array) else h


def _derivative(x, axis, step, edge_order):
    n = x.shape[axis]

    def at(start, count):
        return sliced(x, {axis: (start, 1, count)})

    uneven = isinstance(step, Array) and step.ndim == 1
    if uneven:
        step = reshape(step, tuple(n - 1 if i == axis else 1 for i in range(x.ndim)))
        before, behind = (sliced(step, {axis: (i, 1, n - 2)}) for i in (0, 1))
        ends = [sliced(step, {axis: (i, 1, 1)}) for i in (0, min(1, n - 2), max(n - 3, 0), n - 2)]
        inner = (
            at(0, n - 2) * (-behind / (before * (before + behind)))
            + at(1, n - 2) * ((behind - before) / (before * behind))
            + at(2, n - 2) * (before / (behind * (before + behind)))
        )
    else:
        ends = [step] * 4
        inner = (at(2, n - 2) - at(0, n - 2)) / (2.0 * step) if n > 2 else at(0, 0)
    first, second, last_but_one, last = ends
    if edge_order == 1:
        head, tail = (at(1, 1) - at(0, 1)) / first, (at(n - 1, 1) - at(n - 2, 1)) / last
    else:
        head = _one_sided(at(0, 1), at(1, 1), at(2, 1), first, second)
        tail = -_one_sided(at(n - 1, 1), at(n - 2, 1), at(n - 3, 1), last, last_but_one)
    return cast(concatenate([head, inner, tail] if n > 2 else [head, tail], axis), x.dtype)


def _one_sided(a, b, c, near, far):
    """The derivative in the first of three points, by the parabola through them."""
    both = near + far
    return a * (-(near + both) / (near * both)) + b * (both / (near * far)) - c * (near / (far * both))


def unwrap(x, discont=None, axis=-1, *, period=2 * numpy.pi):
    """Phases without jumps: where neighbours differ by more than `discont`, multiples of the period are added.

    Parameters
    ----------
    x : array_like
    discont : number, optional
        At least half the period, which is the default.
    axis : int
    period : number

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.unwrap([0, 1, 2, -1, 0], period=4)
    Array([0, 1, 2, 3, 4], shape=(5,), dtype=int64, device=cpu)
    """
    x = as_array(x, "unwrap")
    axis, dd = shapes.axis("unwrap", axis, x.ndim), diff(x, axis=axis)
    discont = period / 2 if discont is None else discont
    # A strong period decides the dtype as in NumPy; a Python number does not
    kinds = [dd.dtype, dtypes.WEAK.get(type(period)) or numpy.result_type(period)]
    dtype = dtypes.promote(kinds)
    if dtypes.is_inexact(dtype):
        high, ambiguous = period / 2, True
    else:
        high, rest = divmod(period, 2)
        ambiguous = rest == 0
    low = -high
    wrapped = (dd - low) % period + low
    if ambiguous:
        wrapped = selection.where((wrapped == low) & (dd > 0), high, wrapped)
    correction = selection.where(abs(dd) < discont, 0, wrapped - dd)
    total = cumsum(correction, axis)
    n = x.shape[axis]
    if n == 0:
        return cast(x, dtype)
    head, rest = part(x, axis, 0, 1), part(x, axis, 1, n)
    return concatenate([cast(head, dtype), cast(rest + total, dtype)], axis)


def ediff1d(x, to_end=None, to_begin=None):
    """Differences of neighbours in the flattened array, with `to_begin` before and `to_end` behind them.

    Raises
    ------
    DtypeError
        When what is put beside them cannot be cast to the dtype of `x`.
    """
    x = ravel(as_array(x, "ediff1d"))
    parts = [diff(x)]
    for end, name in ((to_begin, "to_begin"), (to_end, "to_end")):
        if end is None:
            continue
        weak = type(end) in dtypes.WEAK
        end = ravel(as_array(end, "ediff1d", name))
        if not (weak or numpy.can_cast(end.dtype, x.dtype, "same_kind")):
            raise DtypeError(f"ediff1d: {name} of {end.dtype} does not fit x of {x.dtype}; cast one of them")
        parts.insert(0 if name == "to_begin" else len(parts), cast(end, x.dtype))
    return parts[0] if len(parts) == 1 else concatenate(parts)
