"""The gamma function and the logarithm of the beta function; their derivatives are polygamma functions."""

from nbgrad.kernels._called import from_scipy
from nbgrad.kernels._intrinsics import by_precision, polynomial, round_down, round_even, select
from nbgrad.kernels._polynomials import LGAMMA, LGAMMA_32, STIRLING, STIRLING_32
from nbgrad.kernels.exponential import exp, limited, log, log1p, power_of_magnitude
from nbgrad.kernels.special import digamma, lgamma, lowered_to_two, sin_pi_reduced
from nbgrad.primitive import elementwise

INFINITY, NAN, PI = float("inf"), float("nan"), 3.141592653589793
ROOT_TWO_PI = 2.5066282746310002
HALF_LOG_TWO_PI = 0.9189385332046727


def stirling_rest(a):
    """log(gamma(a)) less Stirling's formula, for a >= 8."""
    inverse = 1.0 / a
    return inverse * polynomial(inverse * inverse, by_precision(STIRLING, STIRLING_32))


@elementwise(from_scipy("gamma"), cost=120)
def gamma(x):
    """The gamma function.  10 ULP.

    Integers up to 8 are exact.  gamma(2 + d) = exp(d P(d)) for |d| <= 1/2, reached by the recurrence; Stirling's
    formula from 8 on; below -1/2 by reflection.
    """
    reflected = x < -0.5
    a = select(reflected, -x, x)
    y, product = lowered_to_two(a)
    tiny, left, large = a < 0.5, a < 1.5, a >= 8.0
    d = select(tiny, a, select(left, a - 1.0, y - 2.0))
    d = limited(d, -0.5, 0.5)
    smooth = exp(d * polynomial(d, by_precision(LGAMMA, LGAMMA_32)))
    near = select(left, smooth / select(tiny, a * (1.0 + a), a), smooth * product)

    high = limited(a, 8.0, by_precision(180.0, 40.0))
    half = power_of_magnitude(high, 0.5 * high - 0.25)
    far = half * (exp(-high) * (ROOT_TWO_PI * exp(stirling_rest(high)))) * half
    value = select(large, far, near)
    whole = round_even(a)
    sine = sin_pi_reduced(a - whole)
    sine = select(whole - 2.0 * round_down(0.5 * whole) == 1.0, -sine, sine)
    mirrored = select(whole == a, NAN, -PI / (a * sine * value))
    return select(x != x, x, select(reflected, mirrored, value))


@gamma.vjp
def gamma_vjp(g, x, y):
    return g * (y * digamma(x))


def rest_of_larger(a, b):
    """log(gamma(b) / gamma(a + b)) for b >= 8 (Didonato & Morris 1992, Algorithm 708, ALGDIV)."""
    return stirling_rest(b) - stirling_rest(a + b) - (a + b - 0.5) * log1p(a / b) - a * (log(b) - 1.0)


@elementwise(from_scipy("betaln"), cost=500)
def betaln(x1, x2):
    """Logarithm of |B(x1, x2)|.  24 ULP of 1, or of the result where that is larger, for positive arguments."""
    a, b = select(x1 < x2, x1, x2), select(x1 < x2, x2, x1)
    safe_a, safe_b = select(a >= 8.0, a, 8.0), select(b >= 8.0, b, 8.0)
    ratio = safe_a / safe_b
    both = stirling_rest(safe_a) + stirling_rest(safe_b) - stirling_rest(safe_a + safe_b)
    both = both + (HALF_LOG_TWO_PI - 0.5 * log(safe_b))
    both = both + (safe_a - 0.5) * log(ratio / (1.0 + ratio)) - safe_b * log1p(ratio)
    small = select(a > 0.0, a, 1.0)
    one = lgamma(a) + rest_of_larger(small, safe_b)
    none = lgamma(a) + (lgamma(b) - lgamma(a + b))
    value = select(a >= 8.0, both, select((b >= 8.0) & (a > 0.0), one, none))
    value = select((b == INFINITY) & (a > 0.0), -INFINITY, value)
    return select((x1 != x1) | (x2 != x2), NAN, select(a == 0.0, INFINITY, value))


@betaln.vjp
def betaln_vjp(g, x1, x2):
    both = digamma(x1 + x2)
    return g * (digamma(x1) - both), g * (digamma(x2) - both)
