"""Exponentials, logarithms, powers, and the smooth steps made of them.

Reduction and reconstruction follow Tang (ACM TOMS 15, 1989; 16, 1990) and Muller, Elementary Functions, with
selects where those branch, so that a loop over any of them is vector code.
"""

import numpy

from nbgrad.kernels._intrinsics import (
    Intrinsic,
    by_precision,
    computed_in_double,
    exact_add,
    exact_multiply,
    exact_subtract,
    exponent_of,
    fma,
    magnitude,
    mantissa_of,
    nearest_multiple,
    polynomial,
    power_of_two,
    round_even,
    select,
    smallest_normal,
    successor_times_power_of_two,
    times_power_of_two,
    with_sign,
)
from nbgrad.kernels._polynomials import (
    EXP,
    EXP2,
    EXP2_32,
    EXP_32,
    LN2,
    LN2_32,
    LN2_PAIR,
    LOG,
    LOG2_E,
    LOG2_E_32,
    LOG10_2,
    LOG10_2_32,
    LOG10_E,
    LOG10_E_32,
    LOG_32,
    LOG_TAIL,
    LOG_TAIL_32,
    TWO_THIRDS,
    TWO_THIRDS_32,
)
from nbgrad.kernels.selection import where
from nbgrad.primitive import elementwise

INFINITY = float("inf")
NAN = float("nan")
INVERSE_LN2 = LOG2_E[0]
LN_2 = LN2_PAIR[0]
LN_10 = 2.302585092994045684

# where exp leaves the floats, with room for the reduced argument
LOWEST, LOWEST_32 = -746.0, -104.0
HIGHEST, HIGHEST_32 = 710.0, 89.0

# below which log(1 + f) = f
TINY, TINY_32 = 2.0**-60, 2.0**-30


def limited(x, low, high):
    """x within [low, high]; nan stays."""
    above = select(x < low, low, x)
    return select(above > high, high, above)


def fast_two_sum(a, b):
    """a + b as a sum of its rounding and the error, for |a| >= |b| (Dekker 1971)."""
    total = exact_add(a, b)
    return total, exact_subtract(b, exact_subtract(total, a))


def two_sum(a, b):
    """a + b as a sum of its rounding and the error (Knuth)."""
    total = exact_add(a, b)
    b_part = exact_subtract(total, a)
    a_part = exact_subtract(total, b_part)
    return total, exact_add(exact_subtract(a, a_part), exact_subtract(b, b_part))


def two_product(a, b):
    """a * b as a sum of its rounding and the error."""
    product = exact_multiply(a, b)
    return product, fma(a, b, -product)


def reduced_by_ln2(x):
    """k, r with x = k log(2) + r and |r| <= log(2) / 2; the first product is exact (Cody & Waite)."""
    high, low = by_precision(LN2, LN2_32)
    k = nearest_multiple(x, INVERSE_LN2)
    return k, fma(-k, low, fma(-k, high, x))


def reduced_by_ln2_pair(x):
    """k, r, tail with x = k log(2) + r + tail."""
    high, low = by_precision(LN2, LN2_32)
    k = nearest_multiple(x, INVERSE_LN2)
    head = fma(-k, high, x)
    r = fma(-k, low, head)
    return k, r, fma(-k, low, exact_subtract(head, r))


def expm1_reduced(r, tail):
    """exp(r + tail) - 1 for a reduced argument."""
    return fma(r * r, polynomial(r, by_precision(EXP, EXP_32)), tail) + r


def expm1_near(r):
    """exp(r) - 1 for a reduced argument."""
    return fma(r * r, polynomial(r, by_precision(EXP, EXP_32)), r)


def exp_pair(x):
    """k, high, low with exp(x) = 2**k (high + low)."""
    k, r, tail = reduced_by_ln2_pair(x)
    high, low = fast_two_sum(1.0, expm1_reduced(r, tail))
    return k, high, low


def lifted(x):
    """x and 0, or for subnormal x: x * 2**54 and -54."""
    subnormal = x < smallest_normal(x)
    return select(subnormal, x * 18014398509481984.0, x), select(subnormal, -54.0, 0.0)


def log_at_ends(x, y):
    """The logarithm y of a positive finite x, or what belongs at 0, inf, nan and below 0."""
    inside = select(x < INFINITY, y, x)
    return select(x > 0.0, inside, select(x == 0.0, -INFINITY, NAN + x))


def log_tail(f):
    """hfsq, t with log(1 + f) = f - (hfsq - t), hfsq = f**2 / 2 and f in [sqrt(1/2) - 1, sqrt(2) - 1].

    With s = f / (2 + f): log(1 + f) = 2 s + s**3 P(s**2), rearranged so that f enters exactly (as in fdlibm).
    """
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    return half_square, s * fma(z, polynomial(z, by_precision(LOG, LOG_32)), half_square)


def log1p_tail(f):
    """The same for f of any size down to zero: the square of a tiny one would be subnormal, which is slow."""
    return log_tail(select(magnitude(f) < by_precision(TINY, TINY_32), 0.0, f))


def log_pair(x):
    """log(x) of positive finite x as a sum of two floats, relative error some 2**-65."""
    lifted_x, shift = lifted(x)
    k = exponent_of(lifted_x) + shift
    f = mantissa_of(lifted_x) - 1.0
    denominator, denominator_low = fast_two_sum(2.0, f)
    inverse = 1.0 / denominator
    s = f * inverse
    s_low = fma(-s, denominator_low, fma(-s, denominator, f)) * inverse
    z = exact_multiply(s, s)
    z_low = fma(2.0 * s, s_low, fma(s, s, -z))
    two_thirds, two_thirds_low = by_precision(TWO_THIRDS, TWO_THIRDS_32)
    p, p_low = fast_two_sum(two_thirds, fma(z, polynomial(z, by_precision(LOG_TAIL, LOG_TAIL_32)), two_thirds_low))
    zp = exact_multiply(z, p)
    zp_low = fma(z, p, -zp) + fma(z, p_low, z_low * p)
    u = exact_multiply(s, zp)
    u_low = fma(s, zp, -u) + fma(s, zp_low, s_low * zp)
    high, low = fast_two_sum(2.0 * s, u)
    low = low + fma(2.0, s_low, u_low)
    ln2, ln2_low = by_precision(LN2, LN2_32)
    total, error = two_sum(k * ln2, high)
    return fast_two_sum(total, error + fma(k, ln2_low, low))


@elementwise(numpy.exp, cost=12)
def exp(x):
    """e**x.  1 ULP."""
    k, r = reduced_by_ln2(limited(x, by_precision(LOWEST, LOWEST_32), by_precision(HIGHEST, HIGHEST_32)))
    return successor_times_power_of_two(expm1_near(r), k)


@exp.vjp
def exp_vjp(g, y):
    return g * y


@elementwise(numpy.exp2, cost=12)
def exp2(x):
    """2**x.  1.1 ULP; exact for integral x."""
    inside = limited(x, by_precision(-1080.0, -155.0), by_precision(1025.0, 129.0))
    k = round_even(inside)
    r = inside - k
    return times_power_of_two(fma(r, polynomial(r, by_precision(EXP2, EXP2_32)), 1.0), k)


@exp2.vjp
def exp2_vjp(g, y):
    return g * y * LN_2


def _expm1(x):
    y = numpy.expm1(x)
    if x.dtype.kind != "c":
        return y
    # NumPy's has nan in one part where the other is 0 or infinite, unlike C99, annex G
    flat, endless = x.imag == 0, numpy.isinf(x.real) & ~numpy.isfinite(x.imag)
    low = endless & (x.real < 0)
    real = numpy.where(endless, numpy.where(low, -1, numpy.inf), numpy.where(flat, numpy.expm1(x.real) + 0.0, y.real))
    imag = numpy.where(low, 0.0, numpy.where(endless, numpy.nan, numpy.where(flat, x.imag, y.imag)))
    z = numpy.empty(x.shape, x.dtype)
    z.real, z.imag = real, imag
    return z


@elementwise(_expm1, cost=14)
def expm1(x):
    """exp(x) - 1, accurate near zero.  2 ULP."""
    k, r = reduced_by_ln2(limited(x, -60.0, by_precision(HIGHEST, HIGHEST_32)))
    one = select(k < 60.0, power_of_two(-k), 0.0)
    shifted = expm1_near(r) + (1.0 - one)  # the bracket is exact where it matters
    return with_sign(times_power_of_two(shifted, k), x)


@expm1.vjp
def expm1_vjp(g, y):
    return g * (y + 1.0)


@elementwise(numpy.log, cost=14)
def log(x):
    """Natural logarithm.  1 ULP."""
    lifted_x, shift = lifted(x)
    k = exponent_of(lifted_x) + shift
    f = mantissa_of(lifted_x) - 1.0
    high, low = by_precision(LN2, LN2_32)
    half_square, t = log_tail(f)
    return log_at_ends(x, fma(k, high, f - (half_square - fma(k, low, t))))


@log.vjp
def log_vjp(g, x):
    return g / x


@elementwise(numpy.log2, cost=18)
def log2(x):
    """Logarithm to base 2.  1 ULP; exact at powers of two."""
    lifted_x, shift = lifted(x)
    k = exponent_of(lifted_x) + shift
    f = mantissa_of(lifted_x) - 1.0
    half_square, t = log_tail(f)
    high, low = fast_two_sum(f, -half_square)
    scale, scale_low = by_precision(LOG2_E, LOG2_E_32)
    p, p_low = two_product(high, scale)
    total, error = fast_two_sum(k, p)
    near = p + (p_low + fma(high, scale_low, (low + t) * scale))
    far = total + (error + (p_low + fma(high, scale_low, (low + t) * scale)))
    return log_at_ends(x, select(k == 0.0, near, far))


@log2.vjp
def log2_vjp(g, x):
    return g / (x * LN_2)


@elementwise(numpy.log10, cost=18)
def log10(x):
    """Logarithm to base 10.  1 ULP; exact at powers of ten."""
    lifted_x, shift = lifted(x)
    k = exponent_of(lifted_x) + shift
    f = mantissa_of(lifted_x) - 1.0
    half_square, t = log_tail(f)
    high, low = fast_two_sum(f, -half_square)
    scale, scale_low = by_precision(LOG10_E, LOG10_E_32)
    log10_2, log10_2_low = by_precision(LOG10_2, LOG10_2_32)
    p, p_low = two_product(high, scale)
    total, error = two_sum(k * log10_2, p)
    return log_at_ends(x, total + (error + (fma(k, log10_2_low, p_low) + fma(high, scale_low, (low + t) * scale))))


@log10.vjp
def log10_vjp(g, x):
    return g / (x * LN_10)


@elementwise(numpy.log1p, cost=20)
def log1p(x):
    """log(1 + x), accurate near zero.  2 ULP."""
    u, error = two_sum(1.0, x)
    k = exponent_of(u)
    # what rounding 1 + x lost goes back into the reduced argument; for k = 0 that makes f = x exactly
    f = (mantissa_of(u) - 1.0) + error * select(k < 60.0, power_of_two(-k), 0.0)
    high, low = by_precision(LN2, LN2_32)
    half_square, t = log1p_tail(f)
    y = fma(k, high, f - (half_square - fma(k, low, t)))
    return with_sign(log_at_ends(u, select(x < INFINITY, y, x)), x)


@log1p.vjp
def log1p_vjp(g, x):
    return g / (1.0 + x)


@elementwise(numpy.logaddexp, cost=34)
def logaddexp(x1, x2):
    """log(exp(x1) + exp(x2)) without overflow."""
    larger = select(x1 > x2, x1, x2)
    apart = select(x1 == x2, 0.0, magnitude(x1 - x2))  # equal infinities are 0 apart
    return larger + log1p(exp(-apart))


@logaddexp.vjp
def logaddexp_vjp(g, x1, x2):
    apart = where((x1 == x2) & (abs(x1) == INFINITY), 0.0, x1 - x2)  # equal infinities are 0 apart
    return g * logistic(apart), g * logistic(-apart)


def _softplus_reference(x):
    return numpy.maximum(x, 0) + numpy.log1p(numpy.exp(-numpy.abs(x)))


@elementwise(_softplus_reference, cost=34)
def softplus(x):
    """log(1 + exp(x)) without overflow.  2 ULP."""
    return select(x < 0.0, 0.0, x) + log1p(exp(-magnitude(x)))


@softplus.vjp
def softplus_vjp(g, x):
    return g * logistic(x)


def _logistic_reference(x):
    e = numpy.exp(-numpy.abs(x))
    return numpy.where(x < 0, e, numpy.ones_like(e)) / (1 + e)


@elementwise(_logistic_reference, cost=20)
def logistic(x):
    """1 / (1 + exp(-x)).  1 ULP, also where the result is subnormal."""
    k, high, low = exp_pair(limited(-magnitude(x), by_precision(LOWEST, LOWEST_32), 0.0))
    scale = power_of_two(select(k < -100.0, -100.0, k))
    denominator, lost = fast_two_sum(1.0, high * scale)
    lost = fma(low, scale, lost)
    inverse = 1.0 / denominator
    left = x < 0.0
    numerator = select(left, high, 1.0)
    q = numerator * inverse
    rest = fma(-q, denominator, numerator) + fma(-q, lost, select(left, low, 0.0))
    return times_power_of_two(fma(rest, inverse, q), select(left, k, 0.0))


@logistic.vjp
def logistic_vjp(g, y):
    return g * y * (1.0 - y)


def power_of_magnitude(x, p):
    """x**p for positive finite x: exp(p log(x)) with the logarithm and the product as pairs."""
    high, low = log_pair(x)
    bounded = limited(p, -36893488147419103232.0, 36893488147419103232.0)  # beyond 2**65 all but 1**p is 0 or inf
    product, error = two_product(bounded, high)
    error = fma(bounded, low, error)
    inside = limited(product, by_precision(LOWEST, LOWEST_32), by_precision(HIGHEST, HIGHEST_32))
    k, r, tail = reduced_by_ln2_pair(inside)
    r, tail = two_sum(r, tail + select(inside == product, error, 0.0))
    return successor_times_power_of_two(expm1_reduced(r, tail), k)


def with_power_cases(x1, x2, y):
    """C's pow around y = |x1|**x2 (C11, F.10.4.4)."""
    size = magnitude(x1)
    integral = round_even(x2) == x2
    half = x2 * 0.5
    odd = integral & (round_even(half) != half)
    at_end = (size == 0.0) | (size == INFINITY)
    y = select(at_end, select((size == 0.0) == (x2 < 0.0), INFINITY, 0.0), y)
    y = select((x1 < 0.0) & (size < INFINITY) & (x2 == x2), select(integral, y, NAN), y)
    y = select(odd, with_sign(y, x1), y)
    y = select((x1 == x1) & (x2 == x2), y, NAN)
    return select((x2 == 0.0) | (x1 == 1.0), 1.0, y)


@elementwise(numpy.power, domain="number", cost=60)
def power(x1, x2):
    """x1**x2 with the special cases of C's pow.  1 ULP."""
    return with_power_cases(x1, x2, power_of_magnitude(magnitude(x1), x2))


def power_by_log(x1, x2):
    """x1**x2 where the result is only wanted to half the bits."""
    bounded = limited(x2, -1e38, 1e38)
    return with_power_cases(x1, x2, exp(bounded * log(magnitude(x1))))


@Intrinsic
def power_in_double():
    """x1**x2 of float32, by float64."""
    return computed_in_double(power_by_log, 2)


@power.float32
def power_of_float32(x1, x2):
    return power_in_double(x1, x2)


@power.float32_on_cuda
def power_in_float32(x1, x2):
    return with_power_cases(x1, x2, power_of_magnitude(magnitude(x1), x2))


def power_of_integers(x1, x2):
    """x1**x2 by repeated squaring, modulo 2**width; 0 for a negative exponent."""
    y = x1 * 0 + 1
    base = x1
    n = x2
    while n > 0:
        if n & 1:
            y = y * base
        base = base * base
        n = n >> 1
    return y if x2 >= 0 else x1 * 0


for _width in (8, 16, 32, 64):
    power.variants[f"int{_width}"] = power.variants[f"uint{_width}"] = power_of_integers


@power.vjp
def power_vjp(g, y, x1, x2):
    slope = where(x2 == 0.0, 0.0, x2 * power(x1, x2 - 1.0))  # 0 at x2 = 0, at x1 = 0 too
    positive = x1 > 0.0
    return g * slope, g * where(positive, y * log(where(positive, x1, 1.0)), 0.0)
