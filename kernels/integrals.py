"""Integrals of elementary functions, hypergeometric functions and the like, as SciPy computes them."""

import numpy

from nbgrad.kernels._called import Called
from nbgrad.kernels._intrinsics import by_precision, select
from nbgrad.kernels.exponential import exp, expm1, log1p
from nbgrad.kernels.selection import where
from nbgrad.kernels.special import digamma
from nbgrad.kernels.trigonometric import cos, sin
from nbgrad.primitive import elementwise

INFINITY = float("inf")
HALF_PI = 1.5707963267948966


def _item(name, k):
    """One of several results of a function of scipy.special."""

    def function(x):
        import scipy.special

        return getattr(scipy.special, name)(x)[k]

    return function


def _branch(k):
    """A real branch of Lambert's function, nan where it is complex."""

    def function(x):
        import scipy.special

        w = scipy.special.lambertw(x, k)
        return numpy.where(numpy.abs(w.imag) > 0, numpy.nan, w.real)

    return function


exp1 = Called("exp1", doc="The integral of exp(-t) / t from x to infinity, for x > 0.")
expi = Called("expi", doc="The principal value of the integral of exp(t) / t from -infinity to x.")
expn = Called("expn", orders=(0,), letters=("n",), doc="The integral of exp(-x2 t) / t**x1 from 1 to infinity.")
sine_integral = Called("sine_integral", _item("sici", 0), doc="The integral of sin(t) / t from 0 to x.")
cosine_integral = Called("cosine_integral", _item("sici", 1), doc="Minus the integral of cos(t) / t from x on.")
fresnel_sine = Called("fresnel_sine", _item("fresnel", 0), doc="The integral of sin(pi t**2 / 2) from 0 to x.")
fresnel_cosine = Called("fresnel_cosine", _item("fresnel", 1), doc="The integral of cos(pi t**2 / 2) from 0 to x.")
dawsn = Called("dawsn", doc="exp(-x**2) times the integral of exp(t**2) from 0 to x.")
spence = Called("spence", doc="The integral of log(t) / (1 - t) from 1 to x.")
lambert_upper = Called("lambert_upper", _branch(0), doc="The w >= -1 with w exp(w) = x.")
lambert_lower = Called("lambert_lower", _branch(-1), doc="The w <= -1 with w exp(w) = x.")
hyp1f1 = Called("hyp1f1", orders=(0, 1), letters=("a", "b"), doc="Kummer's confluent hypergeometric function.")
hyp2f1 = Called("hyp2f1", orders=(0, 1, 2), letters=("a", "b", "c"), doc="Gauss's hypergeometric function.")
spherical_jn = Called("spherical_jn", orders=(0,), letters=("n",), doc="Spherical Bessel function of order x1 >= 0.")
binom = Called("binom", doc="The binomial coefficient x1 over x2, of real numbers.")
poch = Called("poch", doc="gamma(x1 + x2) / gamma(x1).")


@exp1.vjp
def exp1_vjp(g, x):
    return -g * (exp(-x) / x)


@expi.vjp
def expi_vjp(g, x):
    return g * (exp(x) / x)


@expn.vjp
def expn_vjp(g, x1, x2):
    none = x1 == 0
    lower = where(none, 0, x1 - 1)
    return g, -g * where(none, exp(-x2) * (1.0 + 1.0 / x2) / x2, expn(lower, x2))


@sine_integral.vjp
def sine_integral_vjp(g, x):
    return g * spherical_jn(0, x)  # sin(x) / x, smooth at 0


@spherical_jn.vjp
def spherical_jn_vjp(g, x1, x2):
    lower = spherical_jn(where(x1 == 0, 0, x1 - 1), x2)  # times 0 for order 0; DLMF 10.51.2
    return g, g * ((x1 * lower - (x1 + 1) * spherical_jn(x1 + 1, x2)) / (2 * x1 + 1))


@cosine_integral.vjp
def cosine_integral_vjp(g, x):
    return g * (cos(x) / x)


@fresnel_sine.vjp
def fresnel_sine_vjp(g, x):
    return g * sin(HALF_PI * x * x)


@fresnel_cosine.vjp
def fresnel_cosine_vjp(g, x):
    return g * cos(HALF_PI * x * x)


@dawsn.vjp
def dawsn_vjp(g, x, y):
    return g * (1.0 - 2.0 * x * y)


@spence.vjp
def spence_vjp(g, x):
    return -g * log_quotient(x - 1.0)


@lambert_upper.vjp
def lambert_upper_vjp(g, y):
    return g * (exp(-y) / (1.0 + y))


@lambert_lower.vjp
def lambert_lower_vjp(g, y):
    return g * (exp(-y) / (1.0 + y))


@hyp1f1.vjp
def hyp1f1_vjp(g, x1, x2, x3):
    return g, g, g * (x1 / x2 * hyp1f1(x1 + 1, x2 + 1, x3))


@hyp2f1.vjp
def hyp2f1_vjp(g, xs):
    a, b, c, x = xs
    return g, g, g, g * (a * b / c * hyp2f1(a + 1, b + 1, c + 1, x))


@binom.vjp
def binom_vjp(g, x1, x2, y):
    rest = digamma(x1 - x2 + 1.0)
    return g * (y * (digamma(x1 + 1.0) - rest)), g * (y * (rest - digamma(x2 + 1.0)))


@poch.vjp
def poch_vjp(g, x1, x2, y):
    both = digamma(x1 + x2)
    return g * (y * (both - digamma(x1))), g * (y * both)


def _exprel(x):
    import scipy.special

    return numpy.asarray(scipy.special.exprel(x), numpy.result_type(x))


@elementwise(_exprel, cost=20)
def exprel(x):
    """(exp(x) - 1) / x, 1 at 0.  3 ULP."""
    half = exp(0.5 * x)  # where exp(x) overflows before the quotient
    value = select(x > by_precision(700.0, 80.0), half * (half / x), expm1(x) / x)
    return select(x == 0.0, 1.0, select(x == INFINITY, x, value))


@exprel.vjp
def exprel_vjp(g, x):
    return g * (0.5 * hyp1f1(2.0, 3.0, x))


def _log_quotient(x):
    return numpy.where(x == 0, numpy.ones_like(x), numpy.log1p(x) / numpy.where(x == 0, numpy.ones_like(x), x))


@elementwise(_log_quotient, cost=30)
def log_quotient(x):
    """log(1 + x) / x, 1 at 0.  3 ULP."""
    return select(x == 0.0, 1.0, log1p(x) / x)


@log_quotient.vjp
def log_quotient_vjp(g, x):
    return g * (-0.5 * hyp2f1(2.0, 2.0, 3.0, -x))
