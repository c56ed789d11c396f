"""scipy.signal on Arrays: convolution and correlation, linear filters, trends, windows."""

import itertools

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels import filtering
from nbgrad.kernels import shape as views
from nbgrad.numpy import fft
from nbgrad.numpy._arguments import as_array, as_integer, cast, leaf, promoted
from nbgrad.numpy.convolution import conv
from nbgrad.numpy.elementwise import conj
from nbgrad.numpy.manipulation import broadcast_to, concatenate, flip, moveaxis, pad, part, reshape, sliced
from nbgrad.numpy.products import matmul
from nbgrad.numpy.reductions import mean

__all__ = [
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "detrend",
    "fftconvolve",
    "get_window",
    "hilbert",
    "lfilter",
]


def convolve(in1, in2, mode="full", method="auto"):
    """Convolution of two arrays of any number of dimensions.

    Parameters
    ----------
    in1, in2 : array_like
        With as many dimensions.
    mode : {"full", "same", "valid"}
        All of the result, its centre in the shape of `in1`, or what no zeros beyond the ends have a part in.
    method : {"auto", "direct", "fft"}
        Taken for SciPy's sake: the sums are always taken directly, as a matrix product.

    Returns
    -------
    Array
        Of the common dtype.

    Raises
    ------
    ShapeError, ArgumentError
        When the numbers of dimensions differ, or for "valid" neither array contains the other; for an unknown mode.

    Examples
    --------
    >>> from nbgrad.scipy import signal
    >>> signal.convolve([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    Array([0. , 1. , 2.5, 4. , 1.5], shape=(5,), dtype=float64, device=cpu)
    """
    if method not in ("auto", "direct", "fft"):
        raise ArgumentError(f"convolve: method must be 'auto', 'direct' or 'fft', not {method!r}")
    return _convolved("convolve", in1, in2, mode)


def fftconvolve(in1, in2, mode="full", axes=None):
    """`convolve` by Fourier transforms: for long arrays, with rounding errors of the size of the largest elements.

    Parameters
    ----------
    in1, in2 : array_like
        With as many dimensions; integers become float64.
    mode : {"full", "same", "valid"}
    axes : int or sequence of int, optional
        Along which they are convolved, all unless given; others broadcast.

    Raises
    ------
    ShapeError, ArgumentError
        As for `convolve`.

    Examples
    --------
    >>> from nbgrad.scipy import signal
    >>> signal.fftconvolve([1.0, 2.0, 3.0], [0.0, 1.0, 0.5]).round(9)[1:]
    Array([1. , 2.5, 4. , 1.5], shape=(4,), dtype=float64, device=cpu)
    """
    call = "fftconvolve"
    in1, in2 = promoted(*(_inexact(as_array(x, call, n)) for x, n in ((in1, "in1"), (in2, "in2"))))
    _check_ranks(call, in1, in2)
    if not in1.ndim or not in1.size or not in2.size:
        return _convolved(call, in1, in2, mode)
    along = shapes.axes(call, axes, in1.ndim)
    rest = shapes.without(in1.shape, along), shapes.without(in2.shape, along)
    if shapes.broadcast(rest) is None:
        raise ShapeError(
            f"{call}: the axes that are not convolved do not broadcast\n"
            f"    {describe(in1, 'in1')}\n    {describe(in2, 'in2')}"
        )
    import scipy.fft

    extent = _extent(call, mode, [(in1.shape[a], in2.shape[a]) for a in along], in1, in2)
    sizes = [scipy.fft.next_fast_len(in1.shape[a] + in2.shape[a] - 1) for a in along]
    real = in1.dtype.kind == "f"
    forward, back = (fft.rfftn, fft.irfftn) if real else (fft.fftn, fft.ifftn)
    y = back(forward(in1, sizes, along) * forward(in2, sizes, along), sizes, along)
    return sliced(cast(y, in1.dtype), {a: (start, 1, count) for a, (start, count) in zip(along, extent, strict=True)})


def correlate(in1, in2, mode="full", method="auto"):
    """Correlation of two arrays of any number of dimensions: `convolve` with in2 reversed and conjugated.

    Examples
    --------
    >>> from nbgrad.scipy import signal
    >>> signal.correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5])
    Array([0.5, 2. , 3.5, 3. , 0. ], shape=(5,), dtype=float64, device=cpu)
    """
    if method not in ("auto", "direct", "fft"):
        raise ArgumentError(f"correlate: method must be 'auto', 'direct' or 'fft', not {method!r}")
    return _convolved("correlate", in1, _turned(as_array(in2, "correlate", "in2")), mode)


#: The boundaries of `convolve2d` under NumPy's names.
_BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric",
               "symmetric": "symmetric"}  # fmt: skip


def convolve2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    """Convolution of two matrices.

    Parameters
    ----------
    in1, in2 : array_like of 2 dimensions
    mode : {"full", "same", "valid"}
    boundary : {"fill", "wrap", "symm"}
        What `in1` is beyond its edges: `fillvalue`, periodic, or mirrored with the edge repeated.
    fillvalue : scalar

    Raises
    ------
    ShapeError, ArgumentError
        As for `convolve`; for an unknown boundary.
    """
    return _convolved2d("convolve2d", in1, as_array(in2, "convolve2d", "in2"), mode, boundary, fillvalue)


def correlate2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    """Correlation of two matrices; parameters are those of `convolve2d`."""
    in2 = as_array(in2, "correlate2d", "in2")
    in2 = _turned(in2) if in2.ndim == 2 else in2
    # The centre of a window of even extent is one element further on than in `correlate`, as in SciPy.
    return _convolved2d("correlate2d", in1, in2, mode, boundary, fillvalue, further=1)


def _convolved2d(call, in1, in2, mode, boundary, fillvalue, further=0):
    in1 = as_array(in1, call, "in1")
    if in1.ndim != 2 or in2.ndim != 2:
        raise ShapeError(
            f"{call}: in1 and in2 must have 2 dimensions\n    {describe(in1, 'in1')}\n    {describe(in2, 'in2')}"
        )
    if boundary not in _BOUNDARIES:
        raise ArgumentError(f"{call}: boundary must be 'fill', 'wrap' or 'symm', not {boundary!r}")
    if mode == "valid" or (_BOUNDARIES[boundary] == "constant" and type(fillvalue) is int and fillvalue == 0):
        return _convolved(call, in1, in2, mode, further)
    in1, in2 = promoted(in1, in2)
    start = _extent(call, mode, list(zip(in1.shape, in2.shape, strict=True)), in1, in2, further)
    widths = [(m - 1, m - 1) for m in in2.shape]
    kind = _BOUNDARIES[boundary]
    wide = pad(in1, widths, kind, fillvalue) if kind == "constant" else pad(in1, widths, kind)
    y = _convolved(call, wide, in2, "valid")
    return sliced(y, {a: (first, 1, count) for a, (first, count) in enumerate(start)})


def _turned(x):
    """All axes reversed, and conjugated."""
    x = flip(x) if x.ndim else x
    return conj(x) if x.dtype.kind == "c" else x


def _check_ranks(call, in1, in2):
    if in1.ndim != in2.ndim:
        raise ShapeError(
            f"{call}: in1 and in2 must have as many dimensions\n    {describe(in1, 'in1')}\n    {describe(in2, 'in2')}"
        )


def _extent(call, mode, pairs, in1, in2, further=0):
    """For each pair of extents where in the full convolution the result starts, and its extent."""
    if mode == "full":
        return [(0, n + m - 1) for n, m in pairs]
    if mode == "same":
        return [((m - 1 + further) // 2, n) for n, m in pairs]
    if mode != "valid":
        raise ArgumentError(f"{call}: mode must be 'full', 'same' or 'valid', not {mode!r}")
    if not (all(n >= m for n, m in pairs) or all(n <= m for n, m in pairs)):
        raise ShapeError(
            f"{call}: for mode 'valid' one array must be at least as large as the other along every axis\n"
            f"    {describe(in1, 'in1')}\n    {describe(in2, 'in2')}"
        )
    return [(min(n, m) - 1, max(n, m) - min(n, m) + 1) for n, m in pairs]


def _convolved(call, in1, in2, mode, further=0):
    in1, in2 = promoted(as_array(in1, call, "in1"), as_array(in2, call, "in2"))
    _check_ranks(call, in1, in2)
    if in1.ndim == 0:
        return in1 * in2
    if not in1.size or not in2.size:
        return Array(graph.constant(0, in1.dtype, (0,)))  # as SciPy has it
    extent = _extent(call, mode, list(zip(in1.shape, in2.shape, strict=True)), in1, in2, further)
    x, w = (in1, in2) if in1.size >= in2.size else (in2, in1)
    # Element t of the full result sums over x[t - k], k < the window: what is needed of x, and zeros around it.
    margins, cut = [], {}
    for axis, (n, k, (start, count)) in enumerate(zip(x.shape, w.shape, extent, strict=True)):
        first, last = start - (k - 1), start + count  # reads x[first:last]
        margins.append((max(-first, 0), max(last - n, 0)))
        cut[axis] = (max(first, 0), 1, min(last, n) - max(first, 0))
    y = conv(
        reshape(sliced(x, cut), (1, *[cut[a][2] for a in range(x.ndim)], 1)),
        reshape(flip(w), (*w.shape, 1, 1)),
        padding=tuple(margins),
    )
    return reshape(y, y.shape[1:-1])


def _inexact(x):
    return x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)


def lfilter(b, a, x, axis=-1, zi=None):
    """Filter along an axis: a[0] y_t = b[0] x_t + b[1] x_{t-1} + ... - a[1] y_{t-1} - a[2] y_{t-2} - ...

    Parameters
    ----------
    b, a : array_like of 1 dimension
        Coefficients of the numerator and of the denominator.
    x : array_like
    axis : int
    zi : array_like, optional
        State of the delays at the start (direct form II transposed): the shape of `x` with
        ``max(len(a), len(b)) - 1`` along `axis`, or what broadcasts to it.

    Returns
    -------
    y : Array of the shape of x
    zf : Array
        The state at the end; only if `zi` is given.

    Raises
    ------
    ShapeError
        When `b` or `a` are not one-dimensional, or `zi` has another shape.

    Notes
    -----
    Differentiable by `b`, `a`, `x` and `zi`.  The recursive part is one pass; its gradient is the same filter
    backwards.

    Examples
    --------
    >>> from nbgrad.scipy import signal
    >>> signal.lfilter([1.0], [1.0, -0.5], [1.0, 0.0, 0.0, 0.0])
    Array([1.   , 0.5  , 0.25 , 0.125], shape=(4,), dtype=float64, device=cpu)
    """
    b, a, x = as_array(b, "lfilter", "b"), as_array(a, "lfilter", "a"), as_array(x, "lfilter")
    given = [] if zi is None else [as_array(zi, "lfilter", "zi")]
    b, a, x, *given = (_inexact(v) for v in promoted(b, a, x, *given))
    for v, name in ((b, "b"), (a, "a")):
        if v.ndim != 1 or not v.size:
            raise ShapeError(f"lfilter: {name} must be one-dimensional and not empty; {describe(v, name)}")
    if x.ndim == 0:
        raise ShapeError(f"lfilter: x needs at least 1 dimension; {describe(x, 'x')}")
    axis = shapes.axis("lfilter", axis, x.ndim)
    order = max(a.size, b.size) - 1
    x = moveaxis(x, axis, -1)
    n, first = x.shape[-1], part(a, 0, 0, 1)
    b, tail = b / first, part(a, 0, 1, a.size) / first
    if zi is not None:
        wanted = (*x.shape[:-1], order)
        z = given[0]
        z = moveaxis(z, axis, -1) if z.ndim == x.ndim else z
        if z.ndim != x.ndim or shapes.broadcast([z.shape, wanted]) != wanted:
            expected = (*wanted[:axis], order, *wanted[axis:-1])
            raise ShapeError(f"lfilter: zi must have shape {expected}, or broadcast to it; {describe(given[0], 'zi')}")
        z = broadcast_to(z, wanted)
    u = _delayed(b, x, n)
    if zi is not None and order:
        u = u + _fitted(z, n)
    y = filtering.autoregression(tail, u, axis=u.ndim - 1) if tail.size else u
    if zi is None:
        return moveaxis(y, -1, axis)
    # What the outputs after the last would get from here: zeros follow.
    zf = part(_delayed(b, x, n + order), -1 + x.ndim, n, n + order)
    if tail.size and order:
        zeros = Array(graph.constant(0, tail.dtype, (1,)))
        zf = zf - part(_delayed(concatenate([zeros, tail]), y, n + order), x.ndim - 1, n, n + order)
    if n < order:
        zf = zf + _fitted(part(z, x.ndim - 1, n, order), order)
    return moveaxis(y, -1, axis), moveaxis(zf, -1, axis)


def _fitted(x, n):
    """The last axis cut, or filled with zeros, to an extent."""
    m = x.shape[-1]
    if m >= n:
        return part(x, x.ndim - 1, 0, n)
    return views.embed(x, shape=(*x.shape[:-1], n), spec=tuple((0, 1, k) for k in x.shape))


def _delayed(b, x, n):
    """Sums of b_j x_{t-j} along the last axis, for t < n; x is zero beyond its ends."""
    if not shapes.size(x.shape[:-1]) * n:
        return _fitted(x, n)
    lanes = reshape(_fitted(x, n), (shapes.size(x.shape[:-1]), n, 1))
    y = conv(lanes, reshape(flip(b), (b.size, 1, 1)), padding=((b.size - 1, 0),))
    return reshape(y, (*x.shape[:-1], n))


def hilbert(x, N=None, axis=-1):
    """The analytic signal: `x` and, as the imaginary part, its Hilbert transform.

    Parameters
    ----------
    x : array_like
        Real.
    N : int, optional
        How many elements are transformed along the axis; all unless given.
    axis : int

    Returns
    -------
    Array
        Complex.

    Raises
    ------
    DtypeError
        When `x` is complex.
    """
    x = _inexact(as_array(x, "hilbert"))
    if x.dtype.kind == "c":
        raise DtypeError(f"hilbert: x must be real\n    {describe(x, 'x')}")
    axis = shapes.axis("hilbert", axis, x.ndim)
    n = x.shape[axis] if N is None else as_integer(N, "hilbert", "N")
    if n < 1:
        raise ArgumentError(f"hilbert: N must be positive, not {n}")
    # Negative frequencies go, positive ones count twice; those that are their own opposites stay.
    share = numpy.zeros(n, x.dtype)
    share[: (n + 1) // 2] = 2.0
    share[0] = 1.0
    if n % 2 == 0:
        share[n // 2] = 1.0
    shape = tuple(n if a == axis else 1 for a in range(x.ndim))
    return fft.ifft(fft.fft(x, n, axis) * leaf(share.reshape(shape)), None, axis)


def detrend(data, axis=-1, type="linear", bp=0, overwrite_data=False):
    """`data` without the straight line, or the constant, that fits it best along an axis.

    Parameters
    ----------
    data : array_like
    axis : int
    type : {"linear", "constant"}
    bp : int or sequence of int
        Places along the axis where a new line begins.
    overwrite_data : bool
        Taken for SciPy's sake; `data` is left alone.

    Examples
    --------
    >>> from nbgrad.scipy import signal
    >>> signal.detrend([1.0, 2.0, 4.0], type="constant").round(3)
    Array([-1.333, -0.333,  1.667], shape=(3,), dtype=float64, device=cpu)
    """
    x = _inexact(as_array(data, "detrend", "data"))
    if x.ndim == 0:
        raise ShapeError(f"detrend: data needs at least 1 dimension; {describe(x, 'data')}")
    axis = shapes.axis("detrend", axis, x.ndim)
    if type in ("constant", "c"):
        return x - mean(x, axis, keepdims=True)
    if type not in ("linear", "l"):
        raise ArgumentError(f"detrend: type must be 'linear' or 'constant', not {type!r}")
    n = x.shape[axis]
    cuts = numpy.unique(numpy.concatenate([[0], numpy.atleast_1d(bp), [n]])).tolist()
    if any(c < 0 or c > n or c != int(c) for c in cuts):
        raise ArgumentError(f"detrend: bp must hold places from 0 to {n}, not {bp!r}")
    x, pieces = moveaxis(x, axis, -1), []
    for start, stop in itertools.pairwise(cuts):
        piece = part(x, x.ndim - 1, int(start), int(stop))
        count = int(stop - start)
        line = numpy.stack([numpy.ones(count), numpy.arange(1, count + 1) / count], 1)
        q = numpy.linalg.qr(line)[0] if count > 1 else numpy.ones((1, 1))
        q = leaf(q.astype(x.dtype))  # an orthonormal basis of the lines
        pieces.append(piece - matmul(matmul(piece, q), q.T))
    return moveaxis(concatenate(pieces, -1) if pieces else x, -1, axis)


def get_window(window, Nx, fftbins=True):
    """`scipy.signal.get_window` as an Array: a window is data."""
    import scipy.signal

    return leaf(scipy.signal.get_window(window, Nx, fftbins))
