"""Roots, and the small powers that are cheaper than `power`."""

import numpy

from nbgrad.kernels._intrinsics import (
    by_precision,
    exact_multiply,
    exact_subtract,
    exponent_of,
    fma,
    magnitude,
    mantissa_of,
    power_of_two,
    round_even,
    select,
    smallest_normal,
    square_root,
    with_sign,
)
from nbgrad.kernels.selection import where
from nbgrad.primitive import elementwise

INFINITY = float("inf")


@elementwise(numpy.sqrt, cost=6)
def sqrt(x):
    """Square root, correctly rounded."""
    return square_root(x)


@sqrt.vjp
def sqrt_vjp(g, y):
    return g * 0.5 / y


def _rsqrt_reference(x):
    return 1 / numpy.sqrt(x)


@elementwise(_rsqrt_reference, cost=10)
def rsqrt(x):
    """1 / sqrt(x).  2 ULP."""
    return 1.0 / square_root(x)


@rsqrt.vjp
def rsqrt_vjp(g, x, y):
    return g * -0.5 * y / x


@elementwise(numpy.cbrt, cost=20)
def cbrt(x):
    """Cube root.  1 ULP.

    A cubic through the mantissa, two Halley steps, and a Newton step whose residual is exact.
    """
    size = magnitude(x)
    subnormal = size < smallest_normal(x)
    lifted = select(subnormal, size * 18014398509481984.0, size)
    e = exponent_of(lifted)
    third = round_even(e * 0.3333333333333333)
    m = mantissa_of(lifted) * power_of_two(e - 3.0 * third)
    y = 0.5 + m * (0.5774 + m * (-0.1 + m * 0.0084))
    cube = y * y * y
    y = y * ((cube + 2.0 * m) / (2.0 * cube + m))
    cube = y * y * y
    y = y * ((cube + 2.0 * m) / (2.0 * cube + m))
    square = exact_multiply(y, y)
    square_low = fma(y, y, -square)
    residual = fma(-square, y, m) - square_low * y
    y = y + residual / (3.0 * square)
    y = y * power_of_two(third - select(subnormal, 18.0, 0.0))
    return with_sign(select((size > 0.0) & (size < INFINITY), y, size), x)


@cbrt.vjp
def cbrt_vjp(g, y):
    return g / (3.0 * y * y)


@elementwise(numpy.hypot, cost=16)
def hypot(x1, x2):
    """sqrt(x1**2 + x2**2) without overflow or underflow.  1 ULP."""
    a, b = magnitude(x1), magnitude(x2)
    larger, smaller = select(a > b, a, b), select(a > b, b, a)
    up, down = power_of_two(by_precision(600.0, 80.0)), power_of_two(by_precision(-600.0, -80.0))
    scale = select(larger > power_of_two(by_precision(500.0, 60.0)), down, 1.0)
    scale = select(larger < power_of_two(by_precision(-450.0, -40.0)), up, scale)
    p, q = larger * scale, smaller * scale
    square, other = exact_multiply(p, p), exact_multiply(q, q)
    total = square + other
    low = exact_subtract(other, exact_subtract(total, square)) + (fma(p, p, -square) + fma(q, q, -other))
    root = square_root(total)
    rest = fma(-root, root, total) + low
    y = (root + rest / select(root == 0.0, 1.0, 2.0 * root)) / scale
    y = select((a != a) | (b != b), a + b, select(smaller == 0.0, larger, y))
    return select((a == INFINITY) | (b == INFINITY), INFINITY, y)


@hypot.vjp
def hypot_vjp(g, x1, x2, y):
    at_zero = y == 0.0
    radius = where(at_zero, 1.0, y)  # 0 at the origin, the middle of the subdifferential
    return g * (x1 / radius), g * (x2 / radius)


@elementwise(numpy.reciprocal, domain="number", cost=4)
def reciprocal(x):
    """1 / x; of integers rounded towards 0."""
    return 1.0 / x


def reciprocal_of_integers(x):
    """1 at 1, -1 at -1, else 0."""
    return select(x == 1, x, select(x * x == 1, x, x * 0))


for _width in (8, 16, 32, 64):
    reciprocal.variants[f"int{_width}"] = reciprocal.variants[f"uint{_width}"] = reciprocal_of_integers


@reciprocal.vjp
def reciprocal_vjp(g, y):
    return -g * (y * y)


@elementwise(numpy.square, domain="number", expression="{0} * {0}")
def square(x):
    """x * x."""
    return x * x


@square.vjp
def square_vjp(g, x):
    return 2.0 * g * x
