"""Hyperbolic functions and their inverses."""

import numpy

from nbgrad.kernels._intrinsics import (
    by_precision,
    exact_subtract,
    exponent_of,
    fma,
    magnitude,
    mantissa_of,
    polynomial,
    power_of_two,
    select,
    square_root,
    times_power_of_two,
    with_sign,
)
from nbgrad.kernels._polynomials import LN2, LN2_32, SINH, SINH_32, TANH_ABOVE, TANH_ABOVE_32, TANH_BELOW, TANH_BELOW_32
from nbgrad.kernels.exponential import (
    HIGHEST,
    HIGHEST_32,
    exp_pair,
    expm1_near,
    fast_two_sum,
    limited,
    log1p_tail,
    reduced_by_ln2,
    two_sum,
)
from nbgrad.kernels.roots import hypot, sqrt
from nbgrad.primitive import elementwise

INFINITY = float("inf")


@elementwise(numpy.tanh, cost=20)
def tanh(x):
    """Hyperbolic tangent.  2 ULP.

    From 1 on 1 - 2 / (exp(2 |x|) + 1), which damps the errors of the quotient; below, |x| + z |x| P(z) / Q(z)
    with z = x**2.  Both share their division.
    """
    size = magnitude(x)
    near, z = size < 1.0, x * x
    k, r = reduced_by_ln2(select(size > 30.0, 60.0, 2.0 * size))
    e = (1.0 + expm1_near(r)) * power_of_two(k)
    above = z * size * polynomial(z, by_precision(TANH_ABOVE, TANH_ABOVE_32))
    below = polynomial(z, by_precision(TANH_BELOW, TANH_BELOW_32))
    y = select(near, size, 1.0) + select(near, above, -2.0) / select(near, below, e + 1.0)
    return with_sign(y, x)


@tanh.vjp
def tanh_vjp(g, y):
    return g * (1.0 - y * y)


@elementwise(numpy.sinh, cost=30)
def sinh(x):
    """Hyperbolic sine.  2 ULP."""
    size = magnitude(x)
    k, high, low = exp_pair(limited(size, 0.0, by_precision(HIGHEST + 2.0, HIGHEST_32 + 2.0)))
    # halved before scaling: sinh overflows later than exp
    down = select(k < 40.0, power_of_two(-2.0 * k), 0.0)
    inverse = down / high
    inverse_low = inverse * (fma(-high, inverse, down) / select(down == 0.0, 1.0, down) - low / high)
    total, error = fast_two_sum(high, -inverse)
    far = times_power_of_two(0.5 * (total + (error + (low - inverse_low))), k)
    z = size * size
    near = fma(z * size, polynomial(z, by_precision(SINH, SINH_32)), size)
    return with_sign(select(size < 1.0, near, far), x)


@sinh.vjp
def sinh_vjp(g, x):
    return g * cosh(x)


@elementwise(numpy.cosh, cost=24)
def cosh(x):
    """Hyperbolic cosine.  2 ULP."""
    size = magnitude(x)
    k, high, low = exp_pair(limited(size, 0.0, by_precision(HIGHEST + 2.0, HIGHEST_32 + 2.0)))
    inverse = select(k < 40.0, power_of_two(-2.0 * k), 0.0) / high
    total, error = fast_two_sum(high, inverse)
    return times_power_of_two(0.5 * (total + (error + low)), k)


@cosh.vjp
def cosh_vjp(g, x):
    return g * sinh(x)


def log_of_sum(a, a_low, shift):
    """log(a + a_low) + shift log(2) for 1 <= a < inf, |a_low| <= ulp(a); near a = 1 as accurate as log1p."""
    k = exponent_of(a)
    f = (mantissa_of(a) - 1.0) + a_low * select(k < 60.0, power_of_two(-k), 0.0)
    high, low = by_precision(LN2, LN2_32)
    half_square, t = log1p_tail(f)
    k = k + shift
    return fma(k, high, f - (half_square - fma(k, low, t)))


@elementwise(numpy.arcsinh, cost=34)
def arcsinh(x):
    """Inverse hyperbolic sine: log1p(x + x**2 / (1 + sqrt(1 + x**2))).  2 ULP."""
    size = magnitude(x)
    huge = size > by_precision(1e9, 1e5)
    a = select(huge, 1.0, size)
    square = a * a
    root = square_root(1.0 + square)
    excess = square / (1.0 + root)
    s, s_low = two_sum(a, excess)
    u, error = two_sum(1.0, s)
    y = log_of_sum(select(huge, size, u), select(huge, 0.0, error + s_low), select(huge, 1.0, 0.0))
    return with_sign(select(size < INFINITY, y, size), x)


@arcsinh.vjp
def arcsinh_vjp(g, x):
    return g / hypot(x, 1.0)


@elementwise(numpy.arccosh, cost=34)
def arccosh(x):
    """Inverse hyperbolic cosine: log1p(t + sqrt(2 t + t**2)), t = x - 1.  2 ULP."""
    huge = x > by_precision(1e9, 1e5)
    t = select(huge, 1.0, x - 1.0)
    s, s_low = two_sum(t, square_root(t * (2.0 + t)))
    u, error = two_sum(1.0, s)
    y = log_of_sum(select(huge, x, u), select(huge, 0.0, error + s_low), select(huge, 1.0, 0.0))
    return select(x < 1.0, (x - x) / (x - x), select(x < INFINITY, y, x))


@arccosh.vjp
def arccosh_vjp(g, x):
    return g / (sqrt(x - 1.0) * sqrt(x + 1.0))


@elementwise(numpy.arctanh, cost=34)
def arctanh(x):
    """Inverse hyperbolic tangent: log1p(2 x / (1 - x)) / 2.  2 ULP."""
    size = magnitude(x)
    gap = exact_subtract(1.0, size)
    gap_low = exact_subtract(exact_subtract(1.0, gap), size)
    inverse = 1.0 / gap
    double = 2.0 * size
    q = double * inverse
    q_low = (fma(-q, gap, double) - q * gap_low) * inverse
    u, error = two_sum(1.0, q)
    y = 0.5 * log_of_sum(u, error + q_low, 0.0)
    y = select(size == 1.0, INFINITY, select(size < 1.0, y, (size - size) / (size - size)))
    return with_sign(y, x)


@arctanh.vjp
def arctanh_vjp(g, x):
    return g / ((1.0 - x) * (1.0 + x))
