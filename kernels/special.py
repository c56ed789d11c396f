"""Error functions, and the logarithm of the gamma function with its derivatives."""

import numpy

from nbgrad.kernels._intrinsics import (
    by_precision,
    fma,
    magnitude,
    polynomial,
    round_even,
    select,
    times_power_of_two,
    with_sign,
)
from nbgrad.kernels._polynomials import (
    ERF,
    ERF_32,
    ERFC,
    ERFC_32,
    HALF_LOG_TWO_PI,
    LGAMMA,
    LGAMMA_32,
    LOG_PI,
    LOG_PI_32,
    PI,
    PI_32,
    PSI0,
    PSI0_32,
    PSI1,
    PSI1_32,
    PSI2,
    PSI2_32,
    PSI3,
    PSI3_32,
    SINPI,
    SINPI_32,
    STIRLING,
    STIRLING_32,
)
from nbgrad.kernels.exponential import exp, exp_pair, log, log_pair, two_product, two_sum
from nbgrad.primitive import elementwise

INFINITY = float("inf")
NAN = float("nan")
TWO_OVER_ROOT_PI = 1.1283791670955126
PI_1 = PI[0]
STIRLING_CONSTANT = HALF_LOG_TWO_PI[0] - 0.5


def _from_scipy(name, *leading):
    """SciPy's function of that name, imported when first called."""

    def reference(x):
        import scipy.special

        return numpy.asarray(getattr(scipy.special, name)(*leading, x), dtype=numpy.result_type(x))

    reference.__name__ = name
    return reference


def erfc_of_magnitude(size):
    """erfc for x >= 0: exp(-x**2) times a function of (x - 4) / (x + 4) that a polynomial follows closely."""
    x = select(size > by_precision(28.0, 11.0), by_precision(28.0, 11.0), size)
    weight = 1.0 + 2.0 * x
    inverse = 1.0 / ((x + 4.0) * weight)
    t = (x - 4.0) * (weight * inverse)
    smooth = polynomial(t, by_precision(ERFC, ERFC_32)) * ((x + 4.0) * inverse)
    square, square_low = two_product(x, x)
    k, high, low = exp_pair(-square)
    return times_power_of_two(smooth * (high + fma(-square_low, high, low)), k)


@elementwise(_from_scipy("erf"), cost=60)
def erf(x):
    """Error function.  1 ULP."""
    size = magnitude(x)
    near = fma(x, polynomial(x * x, by_precision(ERF, ERF_32)), x)
    return select(size <= 1.0, near, with_sign(1.0 - erfc_of_magnitude(size), x))


@erf.vjp
def erf_vjp(g, x):
    return g * (TWO_OVER_ROOT_PI * exp(-(x * x)))


@elementwise(_from_scipy("erfc"), cost=60)
def erfc(x):
    """1 - erf(x), accurate where that is small.  8 ULP."""
    size = magnitude(x)
    tail = erfc_of_magnitude(size)
    near = 1.0 - fma(x, polynomial(x * x, by_precision(ERF, ERF_32)), x)
    return select(size <= 0.4, near, select(x < 0.0, 2.0 - tail, tail))


@erfc.vjp
def erfc_vjp(g, x):
    return g * (-TWO_OVER_ROOT_PI * exp(-(x * x)))


def sin_pi_reduced(r):
    """sin(pi r) for |r| <= 1/2."""
    pi, pi_low = by_precision(PI, PI_32)
    z = r * r
    return fma(r, pi, r * fma(z, polynomial(z, by_precision(SINPI, SINPI_32)), pi_low))


def factor(size, y, product, j):
    """One step down from `size` to [1.5, 2.5): the product of what is passed on the way."""
    inside = size - j >= 1.5
    return select(inside, size - j, y), select(inside, product * (size - j), product)


def lowered_to_two(a):
    """(y, product) with gamma(a) = product * gamma(y) for 3/2 <= a < 8, and y in [3/2, 5/2)."""
    y, product = factor(a, a, 1.0, 1.0)
    y, product = factor(a, y, product, 2.0)
    y, product = factor(a, y, product, 3.0)
    y, product = factor(a, y, product, 4.0)
    y, product = factor(a, y, product, 5.0)
    y, product = factor(a, y, product, 6.0)
    return y, product


@elementwise(_from_scipy("gammaln"), cost=120)
def lgamma(x):
    """log(|gamma(x)|).  4 ULP away from its zeros; relative accuracy at the zeros 1 and 2.

    lgamma(2 + d) = d P(d) for |d| <= 1/2, reached by the recurrence; Stirling's series from 8 on; below -1/2 by
    reflection.
    """
    reflected = x < -0.5
    a = select(reflected, -x, x)
    y, product = lowered_to_two(a)
    tiny, left, large = a < 0.5, a < 1.5, a >= 8.0
    below = select(tiny, magnitude(a) * (1.0 + a), a)
    high, low = log_pair(select(left, below, select(large, a, product)))
    high, low = select(left, -high, high), select(left, -low, low)
    d = select(tiny, a, select(left, a - 1.0, y - 2.0))
    centre, centre_low = two_product(d, polynomial(d, by_precision(LGAMMA, LGAMMA_32)))
    total, error = two_sum(high, centre)
    near = total + (error + (low + centre_low))

    u, u_low = two_sum(high, -1.0)
    b = a - 0.5
    p, p_low = two_product(b, u)
    inverse = 1.0 / a
    series = inverse * polynomial(inverse * inverse, by_precision(STIRLING, STIRLING_32))
    far = p + (fma(b, u_low + low, p_low) + (STIRLING_CONSTANT + series))
    far = select(p < INFINITY, far, p)

    value = select(large, far, near)
    angle = log(a * magnitude(sin_pi_reduced(a - round_even(a))))
    log_pi, log_pi_low = by_precision(LOG_PI, LOG_PI_32)
    part, part_low = two_sum(log_pi, -angle)
    mirrored, mirrored_low = two_sum(part, -value)
    mirrored = select(angle < -1e30, INFINITY, mirrored + (mirrored_low + part_low + log_pi_low))
    value = select(reflected, mirrored, value)
    return select(magnitude(x) < INFINITY, select(x == 0.0, INFINITY, value), magnitude(x))


@lgamma.vjp
def lgamma_vjp(g, x):
    return g * digamma(x)


def climbed(y, t, numerator, denominator):
    """One step up towards 8, with 1 / t added to numerator / denominator on the way."""
    below = y < 8.0
    return (
        select(below, y + 1.0, y),
        select(below, fma(numerator, t, denominator), numerator),
        select(below, denominator * t, denominator),
    )


def climbed_by_two(y, total):
    """Two steps up towards 8, with 1 / y + 1 / (y + 1) added to the total: one rounded quotient for two terms."""
    below = y < 8.0
    return select(below, y + 2.0, y), select(below, total + (2.0 * y + 1.0) / (y * (y + 1.0)), total)


def sum_of_inverses(x):
    """y, 1 / x and the sum of 1 / (x + j) over the steps j = 1, 2, ... from x to y >= 8."""
    first = select(x < 8.0, 1.0 / x, 0.0)
    y, total = climbed_by_two(select(x < 8.0, x + 1.0, x), 0.0)
    y, total = climbed_by_two(y, total)
    y, total = climbed_by_two(y, total)
    y, total = climbed_by_two(y, total)
    return y, first, total


def sum_of_inverse_squares(x):
    """The same of 1 / (x + j)**2."""
    first = select(x < 8.0, (1.0 / x) * (1.0 / x), 0.0)
    y, n, d = select(x < 8.0, x + 1.0, x), 0.0, 1.0
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    y, n, d = climbed(y, y * y, n, d)
    return y, first + n / d


def sum_of_inverse_cubes(x):
    """The same of 1 / (x + j)**3."""
    first = select(x < 8.0, (1.0 / x) * ((1.0 / x) * (1.0 / x)), 0.0)
    y, n, d = select(x < 8.0, x + 1.0, x), 0.0, 1.0
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    y, n, d = climbed(y, y * y * y, n, d)
    return y, first + n / d


def sum_of_inverse_fourths(x):
    """The same of 1 / (x + j)**4."""
    first = select(x < 8.0, ((1.0 / x) * (1.0 / x)) * ((1.0 / x) * (1.0 / x)), 0.0)
    y, n, d = select(x < 8.0, x + 1.0, x), 0.0, 1.0
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    y, n, d = climbed(y, (y * y) * (y * y), n, d)
    return y, first + n / d


def sin_cos_pi(a):
    """The sine and cosine of pi a up to one common sign, which even powers and quotients do not see."""
    r = a - round_even(a)
    return sin_pi_reduced(r), sin_pi_reduced(0.5 - magnitude(r))


@elementwise(_from_scipy("digamma"), cost=110)
def digamma(x):
    """Derivative of lgamma.  8 ULP away from its zeros; nan at the negative integers."""
    reflected = x < -0.5
    a = select(reflected, -x, x)
    y, first, rest = sum_of_inverses(a)
    inverse = 1.0 / y
    w = inverse * inverse
    series = fma(w, polynomial(w, by_precision(PSI0, PSI0_32)), -0.5 * inverse)
    part, part_low = two_sum(log(y), -rest)
    value, value_low = two_sum(part, -first)
    low = (value_low + part_low) + series
    s, c = sin_cos_pi(a)
    part, part_low = two_sum(value, PI_1 * (c / select(s == 0.0, NAN, s)))
    mirrored = part + (part_low + (low + 1.0 / a))
    value = select(first - first == 0.0, value + low, -first)
    return select(x == INFINITY, x, select(reflected, mirrored, value))


@digamma.vjp
def digamma_vjp(g, x):
    return g * trigamma(x)


@elementwise(_from_scipy("polygamma", 1), cost=110)
def trigamma(x):
    """Second derivative of lgamma.  8 ULP."""
    reflected = x < -0.5
    a = select(reflected, -x, x)
    y, total = sum_of_inverse_squares(a)
    inverse = 1.0 / y
    w = inverse * inverse
    value = total + (inverse + (0.5 * w + w * inverse * polynomial(w, by_precision(PSI1, PSI1_32))))
    s, _ = sin_cos_pi(a)
    q = PI_1 / s
    return select(reflected, q * q - (value - 1.0 / (a * a)), value)


@trigamma.vjp
def trigamma_vjp(g, x):
    return g * polygamma2(x)


@elementwise(_from_scipy("polygamma", 2), cost=110)
def polygamma2(x):
    """Third derivative of lgamma.  8 ULP away from its zeros; nan at the negative integers."""
    reflected = x < -0.5
    a = select(reflected, -x, x)
    y, total = sum_of_inverse_cubes(a)
    inverse = 1.0 / y
    w = inverse * inverse
    value = w * (w * polynomial(w, by_precision(PSI2, PSI2_32)) - (1.0 + inverse)) - 2.0 * total
    s, c = sin_cos_pi(a)
    q = PI_1 / select(s == 0.0, NAN, s)
    return select(reflected, value + 2.0 / (a * a * a) + 2.0 * q * q * q * c, value)


@polygamma2.vjp
def polygamma2_vjp(g, x):
    return g * polygamma3(x)


@elementwise(_from_scipy("polygamma", 3), cost=110)
def polygamma3(x):
    """Fourth derivative of lgamma.  8 ULP."""
    reflected = x < -0.5
    a = select(reflected, -x, x)
    y, total = sum_of_inverse_fourths(a)
    inverse = 1.0 / y
    w = inverse * inverse
    value = w * inverse * (2.0 + 3.0 * inverse + w * polynomial(w, by_precision(PSI3, PSI3_32))) + 6.0 * total
    s, c = sin_cos_pi(a)
    q = PI_1 / s
    square = a * a
    return select(reflected, 2.0 * (q * q) * (q * q) * (1.0 + 2.0 * c * c) - (value - 6.0 / (square * square)), value)
