"""The normal distribution function, its logarithm and inverses, and the scaled error function.

Inverses: Wichura 1988, Algorithm AS 241, rational functions of p - 1/2 and of sqrt(-log(p)).
"""

import numpy

from nbgrad.kernels._called import from_scipy
from nbgrad.kernels._intrinsics import (
    by_precision,
    fma,
    magnitude,
    polynomial,
    select,
    square_root,
    times_power_of_two,
    with_sign,
)
from nbgrad.kernels._polynomials import ERFC, ERFC_32
from nbgrad.kernels.exponential import LN_2, exp, exp_pair, limited, log, log1p, two_product
from nbgrad.kernels.special import TWO_OVER_ROOT_PI
from nbgrad.primitive import elementwise

INFINITY, NAN = float("inf"), float("nan")
ROOT_HALF = 0.7071067811865476
ROOT_TWO = 1.4142135623730951
HALF_ROOT_PI = 0.8862269254527580
LOG_ROOT_TWO_PI = 0.9189385332046727
ROOT_TWO_PI = 2.5066282746310002

CENTRE_ABOVE = (
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
CENTRE_BELOW = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
NEAR_ABOVE = (
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
NEAR_BELOW = (
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip
FAR_ABOVE = (
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
)  # fmt: skip
FAR_BELOW = (
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
)  # fmt: skip


def scaled_tail(x):
    """exp(x**2) erfc(x) for x >= 0, finite."""
    weight = 1.0 + 2.0 * x
    inverse = 1.0 / ((x + 4.0) * weight)
    t = (x - 4.0) * (weight * inverse)
    return polynomial(t, by_precision(ERFC, ERFC_32)) * ((x + 4.0) * inverse)


def exp_of_square(x):
    """exp(x**2), inf where that overflows."""
    square, low = two_product(limited(x, -30.0, 30.0), limited(x, -30.0, 30.0))
    k, high, tail = exp_pair(limited(square, 0.0, by_precision(710.0, 89.0)))
    return times_power_of_two(high + fma(low, high, tail), k)


@elementwise(from_scipy("erfcx"), cost=70)
def erfcx(x):
    """exp(x**2) erfc(x).  8 ULP."""
    size = magnitude(x)
    far = size > by_precision(1e15, 1e6)
    tail = select(far, 0.5641895835477563 / size, scaled_tail(select(far, 1.0, size)))
    return select(x < 0.0, 2.0 * exp_of_square(x) - tail, tail)


@erfcx.vjp
def erfcx_vjp(g, x, y):
    return g * (2.0 * x * y - TWO_OVER_ROOT_PI)


def normal_tail(size):
    """The normal distribution function at -size; the square is halved, not the argument rounded."""
    x = select(size > by_precision(39.0, 15.0), by_precision(39.0, 15.0), size)
    square, low = two_product(x, x)
    k, high, tail = exp_pair(-0.5 * square)
    return times_power_of_two(0.5 * scaled_tail(x * ROOT_HALF) * (high + fma(-0.5 * low, high, tail)), k)


@elementwise(from_scipy("ndtr"), cost=60)
def ndtr(x):
    """The normal distribution function.  8 ULP, also in the lower tail."""
    tail = normal_tail(magnitude(x))
    return select(x > 0.0, 1.0 - tail, tail)


@ndtr.vjp
def ndtr_vjp(g, x):
    return g * (exp(-0.5 * (x * x)) / ROOT_TWO_PI)


@elementwise(from_scipy("log_ndtr"), cost=90)
def log_ndtr(x):
    """Logarithm of the normal distribution function.  8 ULP."""
    size = magnitude(x)
    finite = select(size < by_precision(1e18, 1e7), size, 1.0)
    left = log(0.5 * scaled_tail(finite * ROOT_HALF)) - 0.5 * (finite * finite)
    left = select(size < by_precision(1e18, 1e7), left, (-0.5 * size) * size)
    right = log1p(-normal_tail(size))
    return select(x < -1.0, left, select(x < 0.0, log(normal_tail(size)), right))


@log_ndtr.vjp
def log_ndtr_vjp(g, x):
    return g * normal_hazard(-x)


def _hazard(x):
    import scipy.special as sp

    return numpy.asarray(TWO_OVER_ROOT_PI * ROOT_HALF / sp.erfcx(x * ROOT_HALF), x.dtype)


@elementwise(_hazard, cost=80)
def normal_hazard(x):
    """The normal density over the upper tail at x.  8 ULP."""
    size = limited(magnitude(x), 0.0, by_precision(39.0, 15.0))
    square, low = two_product(size, size)
    k, high, tail = exp_pair(-0.5 * square)
    left = times_power_of_two((high + fma(-0.5 * low, high, tail)) / (ROOT_TWO_PI * (1.0 - normal_tail(size))), k)
    right = 1.0 / (HALF_ROOT_PI * ROOT_TWO * erfcx(magnitude(x) * ROOT_HALF))
    return select(x < 0.0, left, select(x > by_precision(1e15, 1e7), x, right))  # x + 1 / x - ...


@normal_hazard.vjp
def normal_hazard_vjp(g, x, y):
    return g * (y * (y - x))


def quantile(q, information):
    """The normal quantile of q + 1/2, given -log(min(q + 1/2, 1/2 - q))."""
    square = 0.180625 - q * q
    centre = q * polynomial(square, CENTRE_ABOVE) / polynomial(square, CENTRE_BELOW)
    r = square_root(information)
    near, far = r - 1.6, r - 5.0
    tail = select(
        r <= 5.0,
        polynomial(near, NEAR_ABOVE) / polynomial(near, NEAR_BELOW),
        polynomial(far, FAR_ABOVE) / polynomial(far, FAR_BELOW),
    )
    tail = select(information == INFINITY, INFINITY, tail)
    return select(magnitude(q) <= 0.425, centre, with_sign(tail, q))


@elementwise(from_scipy("ndtri"), cost=110)
def ndtri(x):
    """Inverse of `ndtr`.  6 ULP away from its zero at 1/2; nan outside [0, 1]."""
    return quantile(x - 0.5, -log(select(x > 0.5, 1.0 - x, x)))


@ndtri.vjp
def ndtri_vjp(g, y):
    return g * (ROOT_TWO_PI * exp(0.5 * (y * y)))


@elementwise(from_scipy("erfinv"), cost=110)
def erfinv(x):
    """Inverse of `erf`.  6 ULP; nan outside [-1, 1]."""
    return ROOT_HALF * quantile(0.5 * x, LN_2 - log(1.0 - magnitude(x)))


@erfinv.vjp
def erfinv_vjp(g, y):
    return g * (HALF_ROOT_PI * exp(y * y))


@elementwise(from_scipy("erfcinv"), cost=110)
def erfcinv(x):
    """Inverse of `erfc`.  6 ULP away from its zero at 1; nan outside [0, 2]."""
    return ROOT_HALF * quantile(0.5 - 0.5 * x, LN_2 - log(select(x > 1.0, 2.0 - x, x)))


@erfcinv.vjp
def erfcinv_vjp(g, y):
    return g * (-HALF_ROOT_PI * exp(y * y))
