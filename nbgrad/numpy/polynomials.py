"""Polynomials as arrays of their coefficients, that of the highest power first.

Where the result is shorter when leading coefficients are 0, values are computed now; while jit traces they are not
known, and are taken not to be 0.
"""

import warnings
from typing import NamedTuple

import numpy

from nbgrad import dtypes
from nbgrad.array import Array, _value, is_abstract
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import complex, filtering, linalg, polynomials
from nbgrad.kernels import roots as powers
from nbgrad.numpy._arguments import as_array, as_integer, cast, leaf, promoted
from nbgrad.numpy.indexing import concrete
from nbgrad.numpy.manipulation import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    pad,
    part,
    ravel,
    reshape,
    trace,
    transpose,
)  # fmt: skip
from nbgrad.numpy.products import matmul, outer
from nbgrad.numpy.reductions import cumprod, sum

__all__ = [
    "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "polyval", "roots", "vander",
]  # fmt: skip


def _coefficients(call, x, name):
    x = as_array(x, call, name)
    x = reshape(x, (1,)) if x.ndim == 0 else x
    if x.ndim != 1:
        raise ShapeError(f"{call}: {name} must have 1 dimension\n    {describe(x, name)}")
    return x


def _trimmed(x):
    """Without leading zeros, but one coefficient, as far as they are known."""
    if not x.size:
        return leaf(numpy.zeros(1, x.dtype))
    if is_abstract(x._node):
        return x
    found = numpy.flatnonzero(_value(x))
    return part(x, 0, found[0] if found.size else x.size - 1, x.size)


def _aligned(call, x1, x2):
    a, b = promoted(_coefficients(call, x1, "x1"), _coefficients(call, x2, "x2"))
    n = max(a.size, b.size)
    return (pad(c, ((n - c.size, 0),)) for c in (a, b))


def polyadd(x1, x2):
    """Sum of two polynomials."""
    a, b = _aligned("polyadd", x1, x2)
    return a + b


def polysub(x1, x2):
    """Difference of two polynomials."""
    a, b = _aligned("polysub", x1, x2)
    return a - b


def polymul(x1, x2):
    """Product of two polynomials, without leading zeros.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.polymul([1, 2], [1, -2])
    Array([ 1,  0, -4], shape=(3,), dtype=int64, device=cpu)
    """
    a, b = promoted(*(_trimmed(_coefficients("polymul", x, n)) for x, n in ((x1, "x1"), (x2, "x2"))))
    return filtering.convolve(a, b)


def polydiv(u, v):
    """(quotient, remainder) of two polynomials; the remainder without leading zeros.

    Raises
    ------
    ArgumentError
        When the divisor is 0, or begins with 0.
    """
    u, v = promoted(_coefficients("polydiv", u, "u"), _coefficients("polydiv", v, "v"))
    if not dtypes.is_inexact(u.dtype):
        u, v = cast(u, dtypes.FLOAT64), cast(v, dtypes.FLOAT64)
    if not u.size or not v.size:
        raise ShapeError("polydiv: u and v must have coefficients")
    if not is_abstract(v._node) and _value(v)[0] == 0:
        raise ArgumentError("polydiv: the first coefficient of v is 0; leave out leading zeros")
    m, n = u.size, v.size
    rest, found = u, []
    for _ in range(m - n + 1):
        q = rest[0] / v[0]
        found.append(q)
        head = part(rest, 0, 1, n) - q * part(v, 0, 1, n)
        rest = concatenate([head, part(rest, 0, n, rest.size)])
    quotient = concatenate([reshape(q, (1,)) for q in found]) if found else leaf(numpy.zeros(1, u.dtype))
    if not rest.size:
        rest = leaf(numpy.zeros(1, u.dtype))
    elif not (is_abstract(u._node) or is_abstract(v._node)):
        kept = numpy.polydiv(_value(u), _value(v))[1].size
        rest = part(rest, 0, max(rest.size - kept, 0), rest.size)
    return quotient, rest


def polyval(p, x):
    """Value of the polynomial with coefficients `p` at the points `x`, by Horner's rule.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.polyval([3.0, 0.0, 1.0], 5.0)
    Array(76., shape=(), dtype=float64, device=cpu)
    """
    p, x = _coefficients("polyval", p, "p"), as_array(x, "polyval")
    dtype = dtypes.promote([p.dtype, x.dtype])
    if not p.size:
        return leaf(numpy.zeros(x.shape, x.dtype))
    y = broadcast_to(cast(p[0], dtype), x.shape)
    for k in range(1, p.size):
        y = y * x + p[k]
    return y


def polyder(x, m=1):
    """The m-th derivative of a polynomial."""
    x, m = _coefficients("polyder", x, "x"), as_integer(m, "polyder", "m")
    if m < 0:
        raise ArgumentError(f"polyder: m must not be negative, got {m}; polyint integrates")
    for _ in range(m):
        n = max(x.size - 1, 0)
        x = part(x, 0, 0, n) * leaf(numpy.arange(n, 0, -1))
    return x


def polyint(x, m=1, k=None):
    """The m-th integral of a polynomial, with the constants `k`, the first one first: one for all, or 0.

    Raises
    ------
    ArgumentError
        When there are not enough constants.
    """
    x, m = _coefficients("polyint", x, "x"), as_integer(m, "polyint", "m")
    if m < 0:
        raise ArgumentError(f"polyint: m must not be negative, got {m}; polyder differentiates")
    constants = leaf(numpy.zeros(m)) if k is None else ravel(as_array(k, "polyint", "k"))
    if constants.size == 1 and m > 1:
        constants = broadcast_to(constants, (m,))
    if constants.size < m:
        raise ArgumentError(f"polyint: {constants.size} constants for {m} integrals; give one, or one for each")
    for i in range(m):
        x = concatenate([x / leaf(numpy.arange(x.size, 0, -1)), reshape(constants[i], (1,))])
    return x


def poly(x):
    """Coefficients of the polynomial with these roots, or of the characteristic polynomial of a square matrix.

    Returns
    -------
    Array
        Real, if the roots are real or, as values show, in conjugate pairs.

    Notes
    -----
    That of a matrix is made by the algorithm of Faddeev and LeVerrier, which has a derivative also where eigenvalues
    are equal, but loses digits for large matrices.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.poly([1.0, 2.0])
    Array([ 1., -3.,  2.], shape=(3,), dtype=float64, device=cpu)
    """
    x = as_array(x, "poly")
    x = reshape(x, (1,)) if x.ndim == 0 else x
    if x.ndim > 2 or (x.ndim == 2 and x.shape[0] != x.shape[1]):
        raise ShapeError(f"poly: x must be 1-d or a square matrix\n    {describe(x, 'x')}")
    if not x.size:
        return leaf(numpy.ones(()))
    x = x if dtypes.is_inexact(x.dtype) and x.dtype != dtypes.FLOAT16 else cast(x, dtypes.FLOAT64)
    if x.ndim == 2:
        return _characteristic(x)
    y = leaf(numpy.ones(1, x.dtype))
    for k in range(x.size):
        y = pad(y, ((0, 1),)) - pad(y, ((1, 0),)) * x[k]
    if y.dtype.kind == "c" and not is_abstract(x._node):
        known = _value(x)
        if (numpy.sort(known) == numpy.sort(known.conj())).all():
            return complex.real(y)
    return y


def _characteristic(a):
    n = a.shape[0]
    coefficients, m = [leaf(numpy.ones(1, a.dtype))], leaf(numpy.eye(n, dtype=a.dtype))
    for k in range(1, n + 1):
        m = matmul(a, m)
        c = -trace(m) / float(k)
        coefficients.append(reshape(c, (1,)))
        m = m + c * leaf(numpy.eye(n, dtype=a.dtype))
    return concatenate(coefficients)


def roots(x):
    """Roots of a polynomial, as eigenvalues of its companion matrix; gradients exist where roots are different.

    Returns
    -------
    Array
        Complex, unless all roots are real: real then.

    Raises
    ------
    TracedValueError
        While jit traces: how many roots there are, and whether they are real, depends on values.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.roots([1.0, -3.0, 2.0])
    Array([2., 1.], shape=(2,), dtype=float64, device=cpu)
    """
    x = _coefficients("roots", x, "x")
    x = x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)
    found = numpy.flatnonzero(concrete(x, "roots", "x"))
    if not found.size:
        return leaf(numpy.zeros(0))
    x = part(x, 0, found[0], x.size)
    if x.size == 1:
        return leaf(numpy.zeros(0))
    y = polynomials.polynomial_roots(x, count=x.size - 1)
    return complex.real(y) if numpy.roots(_value(x)).dtype.kind == "f" else y


def vander(x, N=None, increasing=False):
    """Vandermonde matrix: the powers N - 1 to 0 (0 to N - 1 if `increasing`) of the elements, in rows.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.vander([1, 2, 3])
    Array([[1, 1, 1],
           [4, 2, 1],
           [9, 3, 1]], shape=(3, 3), dtype=int64, device=cpu)
    """
    x = as_array(x, "vander")
    if x.ndim != 1:
        raise ShapeError(f"vander: x must have 1 dimension\n    {describe(x, 'x')}")
    n = x.size if N is None else as_integer(N, "vander", "N")
    x = cast(x, numpy.promote_types(x.dtype, int))
    if n < 1:
        return leaf(numpy.zeros((x.size, 0), x.dtype))
    ones = leaf(numpy.ones((x.size, 1), x.dtype))
    y = ones if n == 1 else concatenate([ones, cumprod(broadcast_to(expand_dims(x, 1), (x.size, n - 1)), 1)], 1)
    return y if increasing else flip(y, 1)


class PolynomialFit(NamedTuple):
    """What `polyfit` returns with ``full=True``."""

    coefficients: Array
    residuals: Array
    rank: int
    singular_values: Array
    rcond: float


def polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """Polynomial of degree `deg` that fits the points (x, y) in the sense of least squares.

    Parameters
    ----------
    x : array_like
        1-d.
    y : array_like
        1-d, or one fit for each column.
    deg : int
    rcond : float, optional
        Singular values smaller than this times the largest one count as 0; the number of points times the rounding
        error by default.
    full : bool
        Also return residuals, rank, singular values and `rcond`.  Rank and singular values have no gradient.
    w : array_like, optional
        Weights of the residuals y - p(x), not of their squares.
    cov : bool or "unscaled"
        Also return the covariance matrix of the coefficients.

    Returns
    -------
    Array, or a tuple
        Gradients by x, y and w are right where the points determine the coefficients.

    Raises
    ------
    ShapeError, ArgumentError

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.round(np.polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1), 6)
    Array([2., 1.], shape=(2,), dtype=float64, device=cpu)
    """
    x, y, order = as_array(x, "polyfit"), as_array(y, "polyfit", "y"), as_integer(deg, "polyfit", "deg") + 1
    x, y = (a if dtypes.is_inexact(a.dtype) else cast(a, dtypes.FLOAT64) for a in (x, y))
    if order < 1:
        raise ArgumentError(f"polyfit: deg must not be negative, got {deg}")
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise ShapeError(
            "polyfit: x must be 1-d and not empty, y 1-d or 2-d with a row for each point\n"
            f"    {describe(x, 'x')}\n    {describe(y, 'y')}"
        )
    rcond = x.size * float(numpy.finfo(x.dtype).eps) if rcond is None else float(rcond)
    a, b = vander(x, order), y if y.ndim == 2 else expand_dims(y, 1)
    if w is not None:
        w = weights = as_array(w, "polyfit", "w")
        if w.shape != x.shape:
            raise ShapeError(f"polyfit: w must have one weight for each point\n    {describe(w, 'w')}")
        w = expand_dims(w if dtypes.is_inexact(w.dtype) else cast(w, dtypes.FLOAT64), 1)
        a, b = a * w, b * w
    scale = powers.sqrt(sum(complex.real(a * complex.conjugate(a)), 0))
    a, b = promoted(a / scale, b)
    c = polynomials.least_squares(a, b, rcond=rcond)
    rest = b - matmul(a, c)
    c = c / expand_dims(scale, 1)
    c = c if y.ndim == 2 else reshape(c, (order,))
    squares = sum(complex.real(rest * complex.conjugate(rest)), 0)
    if full:
        points = [concrete(v, "polyfit", n) for v, n in ((x, "x"), (y, "y"))]
        known = None if w is None else concrete(weights, "polyfit", "w")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numpy.exceptions.RankWarning)  # it is given with the coefficients
            _, _, rank, singular, _ = numpy.polyfit(*points, order - 1, rcond, True, known)
        none = rank < order or x.size <= order
        return PolynomialFit(
            c, leaf(numpy.zeros(0, squares.dtype)) if none else squares, int(rank), leaf(singular), rcond
        )
    if not cov:
        return c
    basis = linalg.solve(matmul(transpose(a), a), leaf(numpy.eye(order, dtype=a.dtype))) / outer(scale, scale)
    if isinstance(cov, str) and cov == "unscaled":
        factor = leaf(numpy.ones((), basis.dtype))
    else:
        if x.size <= order:
            raise ArgumentError("polyfit: more points than deg + 1 are needed to scale the covariance matrix")
        factor = squares / float(x.size - order)
        factor = factor if y.ndim == 2 else factor[0]
    return c, expand_dims(basis, -1) * factor if y.ndim == 2 else basis * factor
