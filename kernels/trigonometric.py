"""Circular functions and their inverses.

Angles are reduced to [-pi/4, pi/4] with their quadrant: small ones by subtracting multiples of pi/2 given as a sum
of three floats (Cody & Waite), huge ones by multiplying with just the bits of 2/pi that matter (Payne & Hanek 1983).
"""

import math

import numpy

from nbgrad.kernels._intrinsics import (
    Intrinsic,
    by_precision,
    computed_in_double,
    exact_multiply,
    exact_subtract,
    fma,
    is_in_upper_half,
    is_odd,
    lowered_exponent,
    magnitude,
    polynomial,
    round_even,
    select,
    square_root,
    two_over_pi_high_32,
    two_over_pi_low_32,
    two_over_pi_part,
    with_sign,
)
from nbgrad.kernels._polynomials import (
    ASIN,
    ASIN_32,
    ATAN,
    ATAN_32,
    COS,
    COS_32,
    HALF_PI,
    HALF_PI_32,
    HALF_PI_REDUCTION,
    SIN,
    SIN_32,
)
from nbgrad.kernels.exponential import fast_two_sum, two_product, two_sum
from nbgrad.kernels.roots import hypot, sqrt
from nbgrad.primitive import elementwise

INFINITY = float("inf")
TWO_OVER_PI_NEAR = 0.6366197723675814
FAR = 1048576.0  # 2**20: from here on the table of 2/pi is used


def reduced_near(x):
    """k, r, tail with x = k pi/2 + r + tail, for |x| <= 2**25."""
    first, second, third = HALF_PI_REDUCTION
    k = round_even(x * TWO_OVER_PI_NEAR)
    head = fma(-k, first, x)  # exact
    r = fma(-k, second, head)
    r, tail = fast_two_sum(r, fma(-k, third, fma(-k, second, exact_subtract(head, r))))
    return k, r, tail


def modulo_4(x):
    return x - 4.0 * round_even(x * 0.25)


def reduced_far(x):
    """The same modulo 2 pi for |x| >= 2**20, in float64: relative error some 2**-60 for every float."""
    y = lowered_exponent(x)
    c2 = two_over_pi_part(x, 2.0)
    p0, e0 = two_product(y, two_over_pi_part(x, 0.0))
    p1, e1 = two_product(y, two_over_pi_part(x, 1.0))
    p2, e2 = two_product(y, c2)
    a, a_low = two_sum(modulo_4(p0), modulo_4(e0))
    b, b_low = two_sum(a, modulo_4(p1))
    k = round_even(b)
    f, f_low = two_sum(exact_subtract(b, k), e1)
    g, g_low = two_sum(f, p2)
    h, h_low = two_sum(g, a_low)
    i, i_low = two_sum(h, b_low)
    low = (f_low + g_low) + (h_low + i_low) + fma(y, two_over_pi_part(x, 3.0), e2)
    high, low = fast_two_sum(i, low)
    half_pi, half_pi_low = HALF_PI
    r = exact_multiply(high, half_pi)
    return k, r, fma(high, half_pi, -r) + fma(high, half_pi_low, low * half_pi)


def reduced(x):
    """k modulo 4, r, tail with x = k pi/2 + r + tail, for every float64; nan for what is not finite."""
    far = magnitude(x) > FAR
    k, r, tail = reduced_near(x)
    k_far, r_far, tail_far = reduced_far(x)
    return select(far, k_far, k), select(far, r_far, r), select(far, tail_far, tail) + (x - x)


def sin_reduced(r, tail):
    z = r * r
    return r + fma(z * r, polynomial(z, SIN), tail)


def cos_reduced(r, tail):
    high, low = cos_pair(r, tail)
    return high + low


def cos_pair(r, tail):
    z = r * r
    half = 0.5 * z
    high = 1.0 - half
    low = exact_subtract(exact_subtract(1.0, high), half)
    return high, low + fma(z * z, polynomial(z, COS), -r * tail)


def sin_and_quadrant(x, k, r, tail):
    y = select(is_odd(k), cos_reduced(r, tail), sin_reduced(r, tail))
    return select(x == 0.0, x, select(is_in_upper_half(k), -y, y))


def cos_and_quadrant(k, r, tail):
    y = select(is_odd(k), sin_reduced(r, tail), cos_reduced(r, tail))
    return select(is_in_upper_half(k + 1.0), -y, y)


def reduced_narrow(x):
    """k, r with x = k pi/2 + r modulo 2 pi, in float64 for an x that came from a float32."""
    y = lowered_exponent(x)
    p, e = two_product(y, two_over_pi_high_32(x))
    k = round_even(p)
    r = HALF_PI[0] * ((p - k) + fma(y, two_over_pi_low_32(x), e))
    return k, r + (x - x)


def sin_cos_narrow(r):
    z = r * r
    return fma(r * z, polynomial(z, SIN_32), r), fma(z * z, polynomial(z, COS_32), fma(-0.5, z, 1.0))


def sin_narrow(x):
    k, r = reduced_narrow(x)
    s, c = sin_cos_narrow(r)
    y = select(is_odd(k), c, s)
    return select(x == 0.0, x, select(is_in_upper_half(k), -y, y))


def cos_narrow(x):
    k, r = reduced_narrow(x)
    s, c = sin_cos_narrow(r)
    y = select(is_odd(k), s, c)
    return select(is_in_upper_half(k + 1.0), -y, y)


def tan_narrow(x):
    k, r = reduced_narrow(x)
    s, c = sin_cos_narrow(r)
    odd = is_odd(k)
    return select(x == 0.0, x, select(odd, -c, s) / select(odd, s, c))


def reduced_narrow_near(x):
    """The same for |x| <= 2**20."""
    half_pi, half_pi_low = HALF_PI
    k = round_even(x * TWO_OVER_PI_NEAR)
    return k, fma(-k, half_pi_low, fma(-k, half_pi, x))


def sin_narrow_near(x):
    k, r = reduced_narrow_near(x)
    s, c = sin_cos_narrow(r)
    y = select(is_odd(k), c, s)
    return select(x == 0.0, x, select(is_in_upper_half(k), -y, y))


def cos_narrow_near(x):
    k, r = reduced_narrow_near(x)
    s, c = sin_cos_narrow(r)
    y = select(is_odd(k), s, c)
    return select(is_in_upper_half(k + 1.0), -y, y)


def sin_near(x):
    k, r, tail = reduced_near(x)
    return sin_and_quadrant(x, k, r, tail)


def cos_near(x):
    k, r, tail = reduced_near(x)
    return cos_and_quadrant(k, r, tail)


@Intrinsic
def sin_near_in_double():
    """The sine of a float32 of at most 2**20, by float64."""
    return computed_in_double(sin_narrow_near, 1)


@Intrinsic
def cos_near_in_double():
    """The cosine of a float32 of at most 2**20, by float64."""
    return computed_in_double(cos_narrow_near, 1)


def sin_near_of_float32(x):
    return sin_near_in_double(x)


def cos_near_of_float32(x):
    return cos_near_in_double(x)


@elementwise(numpy.sin, cost=30)
def sin(x):
    """Sine.  1 ULP for every argument."""
    k, r, tail = reduced(x)
    return sin_and_quadrant(x, k, r, tail)


@Intrinsic
def sin_in_double():
    """The sine of a float32, by float64."""
    return computed_in_double(sin_narrow, 1)


@sin.float32
def sin_of_float32(x):
    return sin_in_double(x)


@sin.float32_on_cuda
def sin_by_libdevice(x):
    return math.sin(x)


sin.within(FAR, float64=sin_near, float32=sin_near_of_float32)


@sin.vjp
def sin_vjp(g, x):
    return g * cos(x)


@elementwise(numpy.cos, cost=30)
def cos(x):
    """Cosine.  1 ULP for every argument."""
    k, r, tail = reduced(x)
    return cos_and_quadrant(k, r, tail)


@Intrinsic
def cos_in_double():
    """The cosine of a float32, by float64."""
    return computed_in_double(cos_narrow, 1)


@cos.float32
def cos_of_float32(x):
    return cos_in_double(x)


@cos.float32_on_cuda
def cos_by_libdevice(x):
    return math.cos(x)


cos.within(FAR, float64=cos_near, float32=cos_near_of_float32)


@cos.vjp
def cos_vjp(g, x):
    return -g * sin(x)


@elementwise(numpy.tan, cost=36)
def tan(x):
    """Tangent.  1 ULP for every argument."""
    k, r, tail = reduced(x)
    z = r * r
    s, s_low = fast_two_sum(r, fma(z * r, polynomial(z, SIN), tail))
    c, c_low = cos_pair(r, tail)
    c, c_low = fast_two_sum(c, c_low)
    odd = is_odd(k)
    numerator, numerator_low = select(odd, -c, s), select(odd, -c_low, s_low)
    denominator, denominator_low = select(odd, s, c), select(odd, s_low, c_low)
    inverse = 1.0 / denominator
    q = numerator * inverse
    rest = fma(-q, denominator, numerator) + fma(-q, denominator_low, numerator_low)
    return select(x == 0.0, x, fma(rest, inverse, q))


@Intrinsic
def tan_in_double():
    """The tangent of a float32, by float64."""
    return computed_in_double(tan_narrow, 1)


@tan.float32
def tan_of_float32(x):
    return tan_in_double(x)


@tan.float32_on_cuda
def tan_by_libdevice(x):
    return math.sin(x) / math.cos(x)


@tan.vjp
def tan_vjp(g, y):
    return g * (1.0 + y * y)


def arcsin_parts(x):
    """Whether |x| > 1/2, t and asin(t) - t for t = |x|, or there t = sqrt((1 - |x|) / 2)."""
    size = magnitude(x)
    outer = size > 0.5
    halved = 0.5 * (1.0 - size)
    z = select(outer, halved, size * size)
    t = select(outer, square_root(halved), size)
    return outer, t, t * z * polynomial(z, by_precision(ASIN, ASIN_32))


@elementwise(numpy.arcsin, cost=24)
def arcsin(x):
    """Inverse sine.  2 ULP."""
    outer, t, rest = arcsin_parts(x)
    half_pi, half_pi_low = by_precision(HALF_PI, HALF_PI_32)
    return with_sign(select(outer, (half_pi - 2.0 * t) - (2.0 * rest - half_pi_low), t + rest), x)


@arcsin.vjp
def arcsin_vjp(g, x):
    return g / sqrt((1.0 - x) * (1.0 + x))


@elementwise(numpy.arccos, cost=24)
def arccos(x):
    """Inverse cosine.  2 ULP."""
    outer, t, rest = arcsin_parts(x)
    half_pi, half_pi_low = by_precision(HALF_PI, HALF_PI_32)
    inner = half_pi - (with_sign(t, x) + (with_sign(rest, x) - half_pi_low))
    near_one = 2.0 * (t + rest)
    near_minus_one = 2.0 * (half_pi - (t + (rest - half_pi_low)))
    return select(outer, select(x > 0.0, near_one, near_minus_one), inner)


@arccos.vjp
def arccos_vjp(g, x):
    return -g / sqrt((1.0 - x) * (1.0 + x))


def angle_of(a, b):
    """atan(a / b) for a, b >= 0, not both infinite: a / b is brought below tan(pi/8) by turning the angle."""
    half_pi, half_pi_low = by_precision(HALF_PI, HALF_PI_32)
    low, high = a <= 0.41421356237 * b, a > 2.41421356237 * b
    numerator = select(low, a, select(high, -b, a - b))
    denominator = select(low, b, select(high, a, a + b))
    turns = select(low, 0.0, select(high, 1.0, 0.5))
    t = numerator / select(denominator == 0.0, 1.0, denominator)
    z = t * t
    rest = fma(t * z, polynomial(z, by_precision(ATAN, ATAN_32)), turns * half_pi_low)
    return fma(turns, half_pi, t + rest)


@elementwise(numpy.arctan, cost=24)
def arctan(x):
    """Inverse tangent.  2 ULP."""
    return with_sign(angle_of(magnitude(x), 1.0), x)


@arctan.vjp
def arctan_vjp(g, x):
    return g / (1.0 + x * x)


@elementwise(numpy.arctan2, cost=34)
def arctan2(x1, x2):
    """The angle of the point (x2, x1), in (-pi, pi], with the special cases of C's atan2.  3 ULP."""
    half_pi, half_pi_low = by_precision(HALF_PI, HALF_PI_32)
    a, b = magnitude(x1), magnitude(x2)
    endless = (a == INFINITY) & (b == INFINITY)
    larger = select(a > b, a, b)
    scale = select(larger > 1e30, 1e-20, 1.0)  # a + b must not overflow
    a, b = select(endless, 1.0, a * scale), select(endless, 1.0, b * scale)
    angle = angle_of(a, b)
    turned = 2.0 * half_pi - (angle - 2.0 * half_pi_low)
    return with_sign(select(with_sign(1.0, x2) < 0.0, turned, angle), x1)


@arctan2.vjp
def arctan2_vjp(g, x1, x2):
    radius = hypot(x1, x2)  # its square may overflow where the derivative does not
    share = g / radius
    return share * (x2 / radius), -share * (x1 / radius)
