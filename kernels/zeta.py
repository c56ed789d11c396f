"""Zeta functions and the polygamma functions that are made of them."""

import math

import numpy

from nbgrad.kernels._called import Called
from nbgrad.kernels.special import digamma, polygamma2, polygamma3, trigamma

#: Bernoulli numbers B(2), B(4), ...
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
TERMS = 16


def _times(a, b):
    """The product of two power series of one length."""
    return [sum(a[i] * b[k - i] for i in range(k + 1)) for k in range(len(a))]


def derivative_of_zeta(s, q, *, order):
    """The derivative of that order by s of the sum over k of (q + k)**-s, by Euler & Maclaurin's formula.

    Each term is a power series in a small change of s (DLMF 25.11.5).
    """
    s, q = numpy.broadcast_arrays(numpy.asarray(s, float), numpy.asarray(q, float))
    length = order + 1

    def power(base):
        return [base**-s * (-numpy.log(base)) ** k / math.factorial(k) for k in range(length)]

    total = sum(power(q + k)[order] for k in range(TERMS))
    w = q + TERMS
    tail = [w * (-1) ** k / (s - 1) ** (k + 1) for k in range(length)]
    tail[0] = tail[0] + 0.5
    rising = [s, *([numpy.ones_like(s)] * (order > 0)), *([numpy.zeros_like(s)] * (order - 1))]
    for j, b in enumerate(BERNOULLI, start=1):
        tail = [t + b / math.factorial(2 * j) * r * w ** (1 - 2 * j) for t, r in zip(tail, rising, strict=True)]
        for i in (2 * j - 1, 2 * j):
            rising = [(s + i) * r + (rising[k - 1] if k else 0.0) for k, r in enumerate(rising)]
    return (total + _times(power(w), tail)[order]) * math.factorial(order)


hurwitz_zeta = Called("hurwitz_zeta", "zeta", doc="The sum of (x2 + k)**-x1 over k = 0, 1, ...")
riemann_zeta = Called("riemann_zeta", "zeta", doc="The sum of k**-x over k = 1, 2, ..., continued.")
zeta_by_s = Called("zeta_by_s", derivative_of_zeta, doc="A derivative of hurwitz_zeta(x1, x2) by x1.  1e-12 relative.")


@hurwitz_zeta.vjp
def hurwitz_zeta_vjp(g, x1, x2):
    return g * zeta_by_s(x1, x2, order=1), -g * x1 * hurwitz_zeta(x1 + 1.0, x2)


@riemann_zeta.vjp
def riemann_zeta_vjp(g, x):
    return g * zeta_by_s(x, 1.0, order=1)


@zeta_by_s.vjp
def zeta_by_s_vjp(g, x1, x2, order):
    # by x2: minus the derivative by s of s zeta(s + 1, q)
    by_q = x1 * zeta_by_s(x1 + 1.0, x2, order=order) + order * (
        zeta_by_s(x1 + 1.0, x2, order=order - 1) if order > 1 else hurwitz_zeta(x1 + 1.0, x2)
    )
    return g * zeta_by_s(x1, x2, order=order + 1), -g * by_q


def polygamma(n, x):
    """The derivative of order n, an int, of digamma."""
    if n < 4:
        return (digamma, trigamma, polygamma2, polygamma3)[n](x)
    return hurwitz_zeta(float(n + 1), x) * float((-1) ** (n + 1) * math.factorial(n))


@polygamma3.vjp
def polygamma3_vjp(g, x):
    return g * polygamma(4, x)
