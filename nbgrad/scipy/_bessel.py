"""Bessel functions on Arrays.  They have derivatives by x of any order; one by the order raises MissingRuleError."""

from nbgrad.kernels import bessel
from nbgrad.numpy._arguments import as_integer


def i0(x):
    """The modified Bessel function of the first kind of order 0.  6 ULP."""
    return bessel.i0(x)


def i0e(x):
    """``exp(-|x|) i0(x)``.  4 ULP."""
    return bessel.i0e(x)


def i1(x):
    """The modified Bessel function of order 1.  6 ULP."""
    return bessel.i1(x)


def i1e(x):
    """``exp(-|x|) i1(x)``.  6 ULP."""
    return bessel.i1e(x)


def j0(x):
    """Bessel function of the first kind of order 0."""
    return bessel.j0(x)


def j1(x):
    """Bessel function of the first kind of order 1."""
    return bessel.j1(x)


def y0(x):
    """Bessel function of the second kind of order 0."""
    return bessel.y0(x)


def y1(x):
    """Bessel function of the second kind of order 1."""
    return bessel.y1(x)


def k0(x):
    """Modified Bessel function of the second kind of order 0."""
    return bessel.k0(x)


def k1(x):
    """Modified Bessel function of the second kind of order 1."""
    return bessel.k1(x)


def k0e(x):
    """exp(x) k0(x)."""
    return bessel.k0e(x)


def k1e(x):
    """exp(x) k1(x)."""
    return bessel.k1e(x)


def jv(v, x):
    """Bessel function of the first kind of real order `v`."""
    return bessel.jv(v, x)


def yv(v, x):
    """Bessel function of the second kind of real order `v`."""
    return bessel.yv(v, x)


def iv(v, x):
    """Modified Bessel function of the first kind of real order `v`."""
    return bessel.iv(v, x)


def ive(v, x):
    """``exp(-|x|) iv(v, x)``."""
    return bessel.ive(v, x)


def kv(v, x):
    """Modified Bessel function of the second kind of real order `v`."""
    return bessel.kv(v, x)


def kve(v, x):
    """exp(x) kv(v, x)."""
    return bessel.kve(v, x)


def jn(n, x):
    """Same as `jv`."""
    return jv(n, x)


def yn(n, x):
    """`yv` of integer order `n`."""
    return bessel.yv(as_integer(n, "yn", "n"), x)


def kn(n, x):
    """`kv` of integer order `n`."""
    return bessel.kv(as_integer(n, "kn", "n"), x)
