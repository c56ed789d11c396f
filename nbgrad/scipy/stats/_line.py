"""Distributions on the whole line, and those made of the normal one."""

import math

import numpy

from nbgrad.kernels import bessel, exponential, incomplete, normal, reduction, trigonometric
from nbgrad.kernels._called import Called
from nbgrad.kernels.arithmetic import absolute
from nbgrad.kernels.casting import stop_gradient
from nbgrad.kernels.exponential import exp, expm1, log, log1p
from nbgrad.kernels.rounding import rint
from nbgrad.kernels.selection import maximum, where
from nbgrad.numpy import expand_dims
from nbgrad.numpy._arguments import leaf
from nbgrad.scipy.stats._distribution import Continuous

LOG_TWO_PI = math.log(2 * math.pi)


class Normal(Continuous):
    """The normal distribution."""

    def _logpdf(self, x):
        return -0.5 * (x * x) - 0.5 * LOG_TWO_PI

    def _cdf(self, x):
        return normal.ndtr(x)

    def _sf(self, x):
        return normal.ndtr(-x)

    def _logcdf(self, x):
        return normal.log_ndtr(x)

    def _logsf(self, x):
        return normal.log_ndtr(-x)

    def _ppf(self, q):
        return normal.ndtri(q)

    def _isf(self, q):
        return -normal.ndtri(q)


class Symmetric(Continuous):
    """A distribution that is symmetric about 0."""

    def _sf(self, x, *shapes):
        return self._cdf(-x, *shapes)

    def _logsf(self, x, *shapes):
        return self._logcdf(-x, *shapes)

    def _isf(self, q, *shapes):
        return -self._ppf(q, *shapes)


class Student(Symmetric):
    """Student's distribution with `df` degrees of freedom."""

    shapes = ("df",)

    def _valid(self, df):
        return df > 0

    def _logpdf(self, x, df):
        return incomplete.log_student_density(df, x)

    def _cdf(self, x, df):
        return incomplete.stdtr(df, x)

    def _ppf(self, q, df):
        return incomplete.stdtrit(df, q)


class Cauchy(Symmetric):
    """The Cauchy distribution."""

    def _logpdf(self, x):
        return -log1p(x * x) - math.log(math.pi)

    def _cdf(self, x):
        return trigonometric.arctan2(1.0, -x) / math.pi

    def _ppf(self, q):
        low = q < 0.25
        tail = -1.0 / trigonometric.tan(math.pi * where(low, q, 0.25))
        return where(low, tail, trigonometric.tan(math.pi * (where(low, 0.25, q) - 0.5)))


class Laplace(Symmetric):
    """The Laplace distribution."""

    def _logpdf(self, x):
        return -absolute(x) - math.log(2)

    def _cdf(self, x):
        right = x > 0  # no absolute value: there is a derivative at 0
        return where(right, 1.0 - 0.5 * exp(-where(right, x, 0.0)), 0.5 * exp(where(right, 0.0, x)))

    def _logcdf(self, x):
        return where(x > 0, log1p(-0.5 * exp(-absolute(x))), x - math.log(2))

    def _ppf(self, q):
        low = q < 0.5
        return where(low, log(2.0 * where(low, q, 0.25)), -log(2.0 * (1.0 - where(low, 0.75, q))))


class Logistic(Symmetric):
    """The logistic distribution."""

    def _logpdf(self, x):
        return x - 2.0 * exponential.softplus(x)

    def _cdf(self, x):
        return exponential.logistic(x)

    def _logcdf(self, x):
        return -exponential.softplus(-x)

    def _ppf(self, q):
        return log(q) - log1p(-q)


class Gumbel(Continuous):
    """The distribution of largest values."""

    def _logpdf(self, x):
        return -x - exp(-x)

    def _cdf(self, x):
        return exp(-exp(-x))

    def _logcdf(self, x):
        return -exp(-x)

    def _sf(self, x):
        return -expm1(-exp(-x))

    def _ppf(self, q):
        return -log(-log(q))

    def _isf(self, q):
        return -log(-log1p(-q))


class TruncatedNormal(Continuous):
    """The normal distribution between `a` and `b`."""

    shapes = ("a", "b")

    def _valid(self, a, b):
        return a < b

    def _support(self, a, b):
        return a, b

    def _inner(self, a, b):
        low, high = where(a > -math.inf, a, -1e9), where(b < math.inf, b, 1e9)
        return where(a > -math.inf, where(b < math.inf, 0.5 * (low + high), low + 1.0),
                     where(b < math.inf, high - 1.0, 0.0))  # fmt: skip

    def _logpdf(self, x, a, b):
        return -0.5 * (x * x) - 0.5 * LOG_TWO_PI - log_mass(a, b)

    def _logcdf(self, x, a, b):
        return log_mass(a, x) - log_mass(a, b)

    def _logsf(self, x, a, b):
        return log_mass(x, b) - log_mass(a, b)

    def _cdf(self, x, a, b):
        return exp(self._logcdf(x, a, b))

    def _sf(self, x, a, b):
        return exp(self._logsf(x, a, b))

    def _ppf(self, q, a, b):
        # in the tail that is smaller: of the upper one the mirror image
        flipped = a > 0
        low, share = where(flipped, -b, a), where(flipped, 1.0 - q, q)
        below = where(low > -math.inf, normal.ndtr(where(low > -math.inf, low, 0.0)), 0.0)
        x = normal.ndtri(below + share * exp(log_mass(a, b)))
        return where(flipped, -x, x)


def log_mass(a, b):
    """Logarithm of the normal probability between a and b, a < b."""
    flipped = a > 0
    low, high = where(flipped, -b, a), where(flipped, -a, b)  # low <= 0 unless both ends are
    open_low, central = low == -math.inf, high > 0
    left = normal.log_ndtr(where(open_low, 0.0, low))
    difference = where(open_low, 0.0, normal.ndtr(where(open_low, 0.0, low)))
    open_high = high == math.inf
    upper = where(open_high, 0.0, normal.ndtr(-where(open_high, 0.0, high)))
    both = log1p(-where(central, difference + upper, 0.5))
    right = normal.log_ndtr(where(central, -1.0, high))
    apart = where(open_low | central, -1.0, left - right)
    near = apart > -0.7  # Maechler 2012, Accurately computing log(1 - exp(-|a|))
    rest = where(near, log(-expm1(where(near, apart, -0.7))), log1p(-exp(where(near, -0.7, apart))))
    tail = right + where(open_low, 0.0, rest)
    return where(central, both, tail)


class VonMises(Continuous):
    """The von Mises distribution on the circle: densities have the period 2 pi, and probabilities go on counting."""

    shapes = ("kappa",)

    def _valid(self, kappa):
        return kappa >= 0

    def _logpdf(self, x, kappa):
        half = trigonometric.sin(0.5 * x)
        return -2.0 * kappa * half * half - LOG_TWO_PI - log(bessel.i0e(kappa))

    def _cdf(self, x, kappa):
        turns = rint(x / (2 * math.pi))
        return turns + 0.5 + circular_integral(x - turns * (2 * math.pi), kappa)

    def _ppf(self, q, kappa):
        return vonmises_quantile(q, kappa)


def circular_integral(angle, kappa, factor=None):
    """The von Mises density from 0 to the angle, times a function of sin(t / 2)**2.

    By Gauss and Legendre's formula of 64 points, up to where the density has vanished.
    """
    # exp(-2 kappa sin(t / 2)**2) is below 1e-18 from here on
    ratio = 4.6 / exponential.power(maximum(kappa, 21.2), 0.5)
    reach = stop_gradient(2.0 * trigonometric.arcsin(where(kappa <= 21.2, 1.0, ratio)))
    end = where(angle > reach, reach, where(angle < -reach, -reach, angle))
    node, weight = (leaf(v.astype(angle.dtype)) for v in numpy.polynomial.legendre.leggauss(64))
    half = trigonometric.sin(expand_dims(end, -1) * (0.25 * (node + 1.0)))
    square = half * half
    values = exp(expand_dims(kappa, -1) * (-2.0) * square) * weight
    values = values if factor is None else values * factor(square)
    part = reduction.sum(values, axes=(values.ndim - 1,)) * (0.5 * end)
    return part / (2 * math.pi * bessel.i0e(kappa))


def _vonmises_quantile(q, kappa):
    import scipy.stats

    return scipy.stats.vonmises.ppf(q, kappa)


vonmises_quantile = Called("vonmises_quantile", _vonmises_quantile, doc="The quantile of the von Mises distribution.")


@vonmises_quantile.vjp
def vonmises_quantile_vjp(g, y, x2):
    half = trigonometric.sin(0.5 * y)
    share = g * (2 * math.pi * bessel.i0e(x2) * exp(2.0 * x2 * half * half))  # over the density
    # the density's logarithm grows with kappa as cos(t) - I1 / I0
    mean = expand_dims(1.0 - bessel.i1e(x2) / bessel.i0e(x2), -1)
    return share, -share * circular_integral(y, x2, lambda square: mean - 2.0 * square)


norm = Normal("norm")
t = Student("t")
cauchy = Cauchy("cauchy")
laplace = Laplace("laplace")
logistic = Logistic("logistic")
gumbel_r = Gumbel("gumbel_r")
truncnorm = TruncatedNormal("truncnorm")
vonmises = VonMises("vonmises")
