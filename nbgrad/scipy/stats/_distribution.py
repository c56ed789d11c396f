"""What all distributions share: loc and scale, supports, invalid parameters, and what follows from what.

A distribution says what it is in its standard form.  Its functions are only called on points inside of the support:
others are replaced by one inside before and the value from outside afterwards, so that gradients there are 0, not nan.
"""

import math

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.errors import ArgumentError
from nbgrad.kernels import comparison, exponential, rounding
from nbgrad.kernels._called import Called
from nbgrad.kernels.selection import where
from nbgrad.numpy._arguments import as_array, cast


def floating(call, given):
    """Arguments, a dict, as Arrays of their common floating dtype; Python numbers are weak."""
    weak = {n: x for n, x in given.items() if type(x) in dtypes.WEAK}
    arrays = {n: as_array(x, call, n) for n, x in given.items() if n not in weak}
    dtype = dtypes.promote([x.dtype for x in arrays.values()] + [dtypes.WEAK[type(x)] for x in weak.values()])
    dtype = dtype if dtypes.is_inexact(dtype) else dtypes.FLOAT64
    return [Array(graph.scalar(x, dtype)) if n in weak else cast(arrays[n], dtype) for n, x in given.items()]


def log_of_smaller(p, rest):
    """log(p), by way of rest = 1 - p where that is smaller."""
    low = p < 0.5
    return where(low, exponential.log(where(low, p, 0.5)), exponential.log1p(-where(low, 0.0, rest)))


def nan_unless(valid, x):
    """0 where `valid` holds, else nan, in the dtype of x."""
    return where(valid, Array(graph.scalar(0.0, x.dtype)), math.nan)


class Distribution:
    """One family of distributions on the line.

    Attributes
    ----------
    shapes : tuple of str
        Names of the shape parameters, in SciPy's order; `loc` and `scale` come behind them.
    """

    shapes: tuple = ()
    tail: tuple = ()

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"<distribution {self.name}>"

    def _bound(self, function, first, x, args, named):
        """(call, the argument, shape parameters, loc, ...) as Arrays of one dtype."""
        call, names = f"{self.name}.{function}", (*self.shapes, *self.tail)
        given = dict(zip(names, args, strict=False))
        unknown = [n for n in named if n not in names or n in given]
        given.update(named)
        missing = [n for n in self.shapes if n not in given]
        if unknown or missing or len(args) > len(names):
            listed = ", ".join((first, *self.shapes, *(f"{n}={d}" for n, d in zip(self.tail, (0, 1), strict=False))))
            what = f"missing {', '.join(missing)}" if missing else f"{len(args)} parameters and {', '.join(unknown)}"
            raise ArgumentError(f"{call}: got {what}, expected {call}({listed})")
        given = {first: x} | {
            n: given.get(n, d) for n, d in zip(names, (None,) * len(self.shapes) + (0, 1), strict=False)
        }
        return floating(call, given)

    def _support(self, *shapes):
        """Smallest and largest point of the standard form."""
        return -math.inf, math.inf

    def _inner(self, *shapes):
        """A point inside of the support."""
        return 0.0

    def _valid(self, *shapes):
        """Where parameters are parameters; True without any."""
        return True

    def _logcdf(self, x, *shapes):
        return log_of_smaller(self._cdf(x, *shapes), self._sf(x, *shapes))

    def _logsf(self, x, *shapes):
        return log_of_smaller(self._sf(x, *shapes), self._cdf(x, *shapes))

    def _sf(self, x, *shapes):
        return 1.0 - self._cdf(x, *shapes)

    def _isf(self, q, *shapes):
        return self._ppf(1.0 - q, *shapes)


class Continuous(Distribution):
    """A distribution with a density: ``pdf(x, *shapes, loc=0, scale=1)`` and so on, as in scipy.stats."""

    tail = ("loc", "scale")

    def _standard(self, function, x, args, named):
        x, *shapes, loc, scale = self._bound(function, "x", x, args, named)
        valid = (scale > 0) & self._valid(*shapes)
        return (x - loc) / scale, shapes, scale, nan_unless(valid, x)

    def _density(self, function, x, args, named):
        z, shapes, scale, invalid = self._standard(function, x, args, named)
        low, high = self._support(*shapes)
        inside = (z >= low) & (z <= high) & comparison.isfinite(z)
        z, nan = where(inside, z, where(comparison.isnan(z), z, self._inner(*shapes))), comparison.isnan(z)
        return inside | nan, self._logpdf(z, *shapes) - exponential.log(scale), invalid

    def logpdf(self, x, *args, **named):
        """Logarithm of the density, -inf outside of the support."""
        inside, value, invalid = self._density("logpdf", x, args, named)
        return where(inside, value, -math.inf) + invalid

    def pdf(self, x, *args, **named):
        """The density, 0 outside of the support."""
        inside, value, invalid = self._density("pdf", x, args, named)
        return where(inside, exponential.exp(value), 0.0) + invalid

    def _probability(self, function, x, args, named, below, above):
        z, shapes, _, invalid = self._standard(function, x, args, named)
        low, high = self._support(*shapes)
        left, right = z <= low, z >= high
        z = where(left | right, self._inner(*shapes), z)
        value = getattr(self, f"_{function}")(z, *shapes)
        return where(left, below, where(right, above, value)) + invalid

    def cdf(self, x, *args, **named):
        """The probability of at most x."""
        return self._probability("cdf", x, args, named, 0.0, 1.0)

    def sf(self, x, *args, **named):
        """The probability of more than x, accurate where that is small."""
        return self._probability("sf", x, args, named, 1.0, 0.0)

    def logcdf(self, x, *args, **named):
        """Logarithm of `cdf`."""
        return self._probability("logcdf", x, args, named, -math.inf, 0.0)

    def logsf(self, x, *args, **named):
        """Logarithm of `sf`."""
        return self._probability("logsf", x, args, named, 0.0, -math.inf)

    def _quantile(self, function, first, q, args, named, ends):
        q, *shapes, loc, scale = self._bound(function, first, q, args, named)
        valid = (scale > 0) & self._valid(*shapes) & (q >= 0) & (q <= 1)
        inside = (q > 0) & (q < 1)
        value = getattr(self, f"_{function}")(where(inside, q, 0.5), *shapes)
        low, high = (self._support(*shapes)[k] for k in ends)
        value = where(inside | (q <= 0), where(inside, value, low), high)
        return value * scale + loc + nan_unless(valid, q)

    def ppf(self, q, *args, **named):
        """x with cdf(x) = q."""
        return self._quantile("ppf", "q", q, args, named, (0, 1))

    def isf(self, q, *args, **named):
        """x with sf(x) = q."""
        return self._quantile("isf", "q", q, args, named, (1, 0))


class Discrete(Distribution):
    """A distribution on integers: ``pmf(k, *shapes, loc=0)`` and so on, as in scipy.stats; no derivative by k."""

    tail = ("loc",)

    def _standard(self, function, k, args, named):
        k, *shapes, loc = self._bound(function, "k", k, args, named)
        return k - loc, shapes, nan_unless(self._valid(*shapes), k)

    def _mass(self, function, k, args, named):
        k, shapes, invalid = self._standard(function, k, args, named)
        whole, (low, high) = rounding.floor(k), self._support(*shapes)
        inside, nan = (k >= low) & (k <= high) & (whole == k) & comparison.isfinite(k), comparison.isnan(k)
        return inside, self._logpmf(where(inside, whole, self._inner(*shapes)), *shapes), invalid + where(nan, k, 0.0)

    def logpmf(self, k, *args, **named):
        """Logarithm of the probability of k, -inf outside of the support."""
        inside, value, invalid = self._mass("logpmf", k, args, named)
        return where(inside, value, -math.inf) + invalid

    def pmf(self, k, *args, **named):
        """The probability of k, 0 outside of the support."""
        inside, value, invalid = self._mass("pmf", k, args, named)
        return where(inside, exponential.exp(value), 0.0) + invalid

    def _probability(self, function, k, args, named, below, above):
        k, shapes, invalid = self._standard(function, k, args, named)
        low, high = self._support(*shapes)
        left, right, nan = k < low, k >= high, comparison.isnan(k)
        k = where(left | right | nan, self._inner(*shapes), rounding.floor(k))
        value = getattr(self, f"_{function}")(k, *shapes)
        return where(left, below, where(right, above, value)) + invalid + nan_unless(~nan, k)

    cdf, sf, logcdf, logsf = Continuous.cdf, Continuous.sf, Continuous.logcdf, Continuous.logsf

    def ppf(self, q, *args, **named):
        """The smallest k with cdf(k) >= q, by SciPy: a step, whose derivatives but that by loc are 0."""
        q, *shapes, loc = self._bound("ppf", "q", q, args, named)
        return quantile_of_integers(q, *shapes, name=self.name) + loc


def _quantile_of_integers(q, *shapes, name):
    import scipy.stats

    return getattr(scipy.stats, name).ppf(q, *shapes)


quantile_of_integers = Called("quantile_of_integers", _quantile_of_integers, doc="A quantile of one of scipy.stats.")
quantile_of_integers.vjp(lambda g, xs: tuple(0.0 * x for x in xs))
