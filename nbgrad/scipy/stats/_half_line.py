"""Distributions on the positive numbers or an interval."""

import math

from nbgrad.kernels import incomplete, normal
from nbgrad.kernels.exponential import exp, expm1, log, log1p
from nbgrad.kernels.gamma import betaln
from nbgrad.kernels.incomplete import power_log, power_log1p
from nbgrad.kernels.selection import where
from nbgrad.kernels.special import lgamma
from nbgrad.scipy.stats._distribution import Continuous

LOG_TWO_PI = math.log(2 * math.pi)


class Positive(Continuous):
    """A distribution on the positive numbers whose parameters are positive."""

    def _support(self, *shapes):
        return 0.0, math.inf

    def _inner(self, *shapes):
        return 1.0

    def _valid(self, *shapes):
        valid = True
        for s in shapes:
            valid = (s > 0) & valid
        return valid


class Exponential(Positive):
    """The exponential distribution."""

    def _logpdf(self, x):
        return -x

    def _cdf(self, x):
        return -expm1(-x)

    def _sf(self, x):
        return exp(-x)

    def _logsf(self, x):
        return -x

    def _ppf(self, q):
        return -log1p(-q)

    def _isf(self, q):
        return -log(q)


class Gamma(Positive):
    """The gamma distribution of shape `a`."""

    shapes = ("a",)

    def _logpdf(self, x, a):
        return power_log(x, a - 1.0) - x - lgamma(a)

    def _cdf(self, x, a):
        return incomplete.gammainc(a, x)

    def _sf(self, x, a):
        return incomplete.gammaincc(a, x)

    def _ppf(self, q, a):
        return incomplete.gammaincinv(a, q)

    def _isf(self, q, a):
        return incomplete.gammainccinv(a, q)


class ChiSquared(Positive):
    """The distribution of a sum of `df` squares of normal numbers."""

    shapes = ("df",)

    def _logpdf(self, x, df):
        return power_log(x, 0.5 * df - 1.0) - 0.5 * x - lgamma(0.5 * df) - (0.5 * math.log(2)) * df

    def _cdf(self, x, df):
        return incomplete.gammainc(0.5 * df, 0.5 * x)

    def _sf(self, x, df):
        return incomplete.gammaincc(0.5 * df, 0.5 * x)

    def _ppf(self, q, df):
        return 2.0 * incomplete.gammaincinv(0.5 * df, q)

    def _isf(self, q, df):
        return 2.0 * incomplete.gammainccinv(0.5 * df, q)


class InverseGamma(Positive):
    """The distribution of the reciprocal of a gamma variable."""

    shapes = ("a",)

    def _logpdf(self, x, a):
        at_end = x == 0.0
        x = where(at_end, 1.0, x)
        return where(at_end, -math.inf, -(a + 1.0) * log(x) - lgamma(a) - 1.0 / x)

    def _cdf(self, x, a):
        return incomplete.gammaincc(a, 1.0 / x)

    def _sf(self, x, a):
        return incomplete.gammainc(a, 1.0 / x)

    def _ppf(self, q, a):
        return 1.0 / incomplete.gammainccinv(a, q)

    def _isf(self, q, a):
        return 1.0 / incomplete.gammaincinv(a, q)


class LogNormal(Positive):
    """The distribution of exp(s z) for a normal z."""

    shapes = ("s",)

    def _logpdf(self, x, s):
        at_end = x == 0.0
        logs = log(where(at_end, 1.0, x))
        return where(at_end, -math.inf, -0.5 * (logs / s) * (logs / s) - log(s) - logs - 0.5 * LOG_TWO_PI)

    def _cdf(self, x, s):
        return normal.ndtr(log(x) / s)

    def _sf(self, x, s):
        return normal.ndtr(-log(x) / s)

    def _logcdf(self, x, s):
        return normal.log_ndtr(log(x) / s)

    def _logsf(self, x, s):
        return normal.log_ndtr(-log(x) / s)

    def _ppf(self, q, s):
        return exp(s * normal.ndtri(q))

    def _isf(self, q, s):
        return exp(-s * normal.ndtri(q))


class Weibull(Positive):
    """The Weibull distribution of smallest values, of shape `c`."""

    shapes = ("c",)

    def _logpdf(self, x, c):
        return log(c) + power_log(x, c - 1.0) - raised(x, c)

    def _cdf(self, x, c):
        return -expm1(-raised(x, c))

    def _sf(self, x, c):
        return exp(-raised(x, c))

    def _logsf(self, x, c):
        return -raised(x, c)

    def _ppf(self, q, c):
        return exp(log(-log1p(-q)) / c)

    def _isf(self, q, c):
        return exp(log(-log(q)) / c)


def raised(x, c):
    """x**c for x >= 0."""
    return exp(c * log(x))


class Pareto(Positive):
    """The Pareto distribution of exponent `b`, from 1 on."""

    shapes = ("b",)

    def _support(self, b):
        return 1.0, math.inf

    def _inner(self, b):
        return 2.0

    def _logpdf(self, x, b):
        return log(b) - (b + 1.0) * log(x)

    def _cdf(self, x, b):
        return -expm1(-b * log(x))

    def _sf(self, x, b):
        return exp(-b * log(x))

    def _logsf(self, x, b):
        return -b * log(x)

    def _ppf(self, q, b):
        return exp(-log1p(-q) / b)

    def _isf(self, q, b):
        return exp(-log(q) / b)


class Uniform(Positive):
    """The uniform distribution on [loc, loc + scale]."""

    def _support(self):
        return 0.0, 1.0

    def _inner(self):
        return 0.5

    def _logpdf(self, x):
        return 0.0 * x

    def _cdf(self, x):
        return x

    def _sf(self, x):
        return 1.0 - x

    def _ppf(self, q):
        return q


class Beta(Uniform):
    """The beta distribution of shapes `a` and `b`."""

    shapes = ("a", "b")

    def _support(self, a, b):
        return 0.0, 1.0

    def _inner(self, a, b):
        return 0.5

    def _logpdf(self, x, a, b):
        return power_log(x, a - 1.0) + power_log1p(-x, b - 1.0) - betaln(a, b)

    def _cdf(self, x, a, b):
        return incomplete.betainc(a, b, x)

    def _sf(self, x, a, b):
        return incomplete.betaincc(a, b, x)

    def _ppf(self, q, a, b):
        return incomplete.betaincinv(a, b, q)

    def _isf(self, q, a, b):
        return 1.0 - incomplete.betaincinv(b, a, q)


expon = Exponential("expon")
gamma = Gamma("gamma")
chi2 = ChiSquared("chi2")
invgamma = InverseGamma("invgamma")
lognorm = LogNormal("lognorm")
weibull_min = Weibull("weibull_min")
pareto = Pareto("pareto")
uniform = Uniform("uniform")
beta = Beta("beta")
