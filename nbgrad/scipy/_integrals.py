"""Integrals of elementary functions, hypergeometric functions and orthogonal polynomials on Arrays."""

from nbgrad import dtypes
from nbgrad.errors import ArgumentError
from nbgrad.kernels import integrals
from nbgrad.numpy._arguments import as_array, as_integer, cast


def exp1(x):
    """The integral of exp(-t) / t from x to infinity, for x > 0."""
    return integrals.exp1(x)


def expi(x):
    """The principal value of the integral of exp(t) / t from -infinity to x."""
    return integrals.expi(x)


def expn(n, x):
    """The integral of exp(-x t) / t**n from 1 to infinity, for integers `n`; no derivative by `n`."""
    return integrals.expn(n, x)


def sici(x):
    """(Si, Ci): the sine and cosine integrals."""
    return integrals.sine_integral(x), integrals.cosine_integral(x)


def spherical_jn(n, z):
    """The spherical Bessel function of the first kind of order `n`, integers; no derivative by `n`."""
    return integrals.spherical_jn(n, z)


def spence(z):
    """The integral of log(t) / (1 - t) from 1 to z, for z >= 0."""
    return integrals.spence(z)


def lambertw(z, k=0):
    """The real w with w exp(w) = z: w >= -1 for k = 0, w <= -1 for k = -1; nan where there is none.

    Unlike SciPy's, the result is real.

    Raises
    ------
    ArgumentError
        If `k` is neither 0 nor -1.
    """
    branch = {0: integrals.lambert_upper, -1: integrals.lambert_lower}.get(as_integer(k, "lambertw", "k"))
    if branch is None:
        raise ArgumentError(f"lambertw: k is {k}, expected 0 or -1: the other branches are complex")
    return branch(z)


def hyp1f1(a, b, x):
    """Kummer's confluent hypergeometric function; no derivative by `a` and `b`.  As accurate as SciPy's."""
    return integrals.hyp1f1(a, b, x)


def hyp2f1(a, b, c, z):
    """Gauss's hypergeometric function of real z; no derivative by `a`, `b` and `c`.  As accurate as SciPy's."""
    return integrals.hyp2f1(a, b, c, z)


def _by_recurrence(call, n, x, first, step):
    """A polynomial of degree n from those of degrees 0 and 1: step(k, x, p, before) is the one of degree k + 1."""
    n = as_integer(n, call, "n")
    if n < 0:
        raise ArgumentError(f"{call}: n is {n}, expected a degree of at least 0")
    x = as_array(x, call)
    x = x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)
    before, p = x * 0.0 + 1.0, first(x)
    for k in range(1, n):
        before, p = p, step(k, x, p, before)
    return p if n else before


def eval_legendre(n, x):
    """The Legendre polynomial of degree `n`, an int (DLMF 18.9.1)."""
    return _by_recurrence("eval_legendre", n, x, lambda x: x,
                          lambda k, x, p, before: ((2 * k + 1) * x * p - k * before) / (k + 1))  # fmt: skip


def eval_chebyt(n, x):
    """The Chebyshev polynomial of the first kind of degree `n`, an int."""
    return _by_recurrence("eval_chebyt", n, x, lambda x: x, lambda k, x, p, before: 2.0 * x * p - before)


def eval_hermite(n, x):
    """The physicists' Hermite polynomial of degree `n`, an int."""
    return _by_recurrence("eval_hermite", n, x, lambda x: 2.0 * x,
                          lambda k, x, p, before: 2.0 * x * p - 2 * k * before)  # fmt: skip
