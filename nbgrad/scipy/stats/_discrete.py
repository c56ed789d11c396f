"""Distributions on integers."""

import math

from nbgrad.kernels import incomplete
from nbgrad.kernels.exponential import expm1, log, log1p
from nbgrad.kernels.gamma import betaln
from nbgrad.kernels.rounding import floor
from nbgrad.kernels.selection import where
from nbgrad.kernels.special import lgamma
from nbgrad.scipy.stats._distribution import Discrete


def times_log(k, p):
    """k log(p), 0 for k = 0."""
    none = k == 0.0
    return k * log(where(none & ~(p > 0.0), 1.0, p))


def times_log1p(k, p):
    """k log(1 + p), 0 for k = 0."""
    none = k == 0.0
    return k * log1p(where(none & ~(p > -1.0), 0.0, p))


class Poisson(Discrete):
    """The Poisson distribution of mean `mu`."""

    shapes = ("mu",)

    def _valid(self, mu):
        return mu >= 0

    def _support(self, mu):
        return 0.0, math.inf

    def _logpmf(self, k, mu):
        return times_log(k, mu) - lgamma(k + 1.0) - mu

    def _cdf(self, k, mu):
        return incomplete.gammaincc(k + 1.0, mu)

    def _sf(self, k, mu):
        return incomplete.gammainc(k + 1.0, mu)


class Bernoulli(Discrete):
    """1 with probability `p`, else 0."""

    shapes = ("p",)

    def _valid(self, p):
        return (p >= 0) & (p <= 1)

    def _support(self, p):
        return 0.0, 1.0

    def _logpmf(self, k, p):
        return times_log(k, p) + times_log1p(1.0 - k, -p)

    def _cdf(self, k, p):
        return 1.0 - p

    def _sf(self, k, p):
        return p


class Binomial(Discrete):
    """The number of successes in `n` trials of probability `p`."""

    shapes = ("n", "p")

    def _valid(self, n, p):
        return (n >= 0) & (floor(n) == n) & (p >= 0) & (p <= 1)

    def _support(self, n, p):
        return 0.0, n

    def _logpmf(self, k, n, p):
        ways = -betaln(n - k + 1.0, k + 1.0) - log1p(n)
        return ways + times_log(k, p) + times_log1p(n - k, -p)

    def _cdf(self, k, n, p):
        return incomplete.betaincc(k + 1.0, n - k, p)

    def _sf(self, k, n, p):
        return incomplete.betainc(k + 1.0, n - k, p)


class NegativeBinomial(Discrete):
    """The number of failures before the `n`-th success."""

    shapes = ("n", "p")

    def _valid(self, n, p):
        return (n > 0) & (p > 0) & (p <= 1)

    def _support(self, n, p):
        return 0.0, math.inf

    def _logpmf(self, k, n, p):
        return -betaln(n, k + 1.0) - log(n + k) + n * log(p) + times_log1p(k, -p)

    def _cdf(self, k, n, p):
        return incomplete.betainc(n, k + 1.0, p)

    def _sf(self, k, n, p):
        return incomplete.betaincc(n, k + 1.0, p)


class Geometric(Discrete):
    """The number of trials up to and with the first success."""

    shapes = ("p",)

    def _valid(self, p):
        return (p > 0) & (p <= 1)

    def _support(self, p):
        return 1.0, math.inf

    def _inner(self, p):
        return 1.0

    def _logpmf(self, k, p):
        return times_log1p(k - 1.0, -p) + log(p)

    def _cdf(self, k, p):
        return -expm1(k * log1p(-p))

    def _logsf(self, k, p):
        return k * log1p(-p)

    def _sf(self, k, p):
        return expm1(k * log1p(-p)) + 1.0


poisson = Poisson("poisson")
bernoulli = Bernoulli("bernoulli")
binom = Binomial("binom")
nbinom = NegativeBinomial("nbinom")
geom = Geometric("geom")
