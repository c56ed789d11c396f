"""The one table of accuracy: where each primitive is sampled, what says the truth, how far off it may be."""

from dataclasses import dataclass

import mpmath
import numpy

EVERYWHERE = (5e-324, 1.7976931348623157e308)


@dataclass(frozen=True)
class Row:
    """One primitive.

    `limit` is the largest error in ulps for float64 and float32; below `floor` it counts in ulps of `floor` (functions
    with zeros that are not floats).  `signed` says whether the log-uniform half of the sample has both signs,
    `wide` whether the float64 reference serves as the truth for float32, `inside` cuts the sample and `coupled`
    makes the arguments depend on each other.
    """

    name: str
    intervals: tuple
    oracle: object
    limit: tuple
    magnitudes: tuple = (EVERYWHERE,)
    signed: bool = True
    floor: float = 0.0
    wide: bool = True
    inside: object = None
    coupled: object = None


def _exp(x):
    return mpmath.exp(x) if abs(x) < 1e5 else (mpmath.inf if x > 0 else mpmath.mpf(0))


def _exp2(x):
    return mpmath.mpf(2) ** x if abs(x) < 1e5 else (mpmath.inf if x > 0 else mpmath.mpf(0))


def _expm1(x):
    return mpmath.expm1(x) if abs(x) < 1e5 else (mpmath.inf if x > 0 else mpmath.mpf(-1))


def _real(function):
    """mpmath's function where it is real."""

    def value(x):
        y = function(x)
        return mpmath.nan if isinstance(y, mpmath.mpc) and y.imag else mpmath.re(y)

    return value


def _log_in_base(base):
    def value(x):
        return mpmath.nan if x < 0 else (-mpmath.inf if x == 0 else mpmath.log(x) / mpmath.log(base))

    return value


def _log(x):
    return mpmath.nan if x < 0 else (-mpmath.inf if x == 0 else mpmath.log(x))


def _log1p(x):
    return mpmath.nan if x < -1 else (-mpmath.inf if x == -1 else mpmath.log1p(x))


def _logistic(x):
    if abs(x) > 1e5:
        return mpmath.mpf(1 if x > 0 else 0)
    return 1 / (1 + mpmath.exp(-x)) if x > 0 else mpmath.exp(x) / (1 + mpmath.exp(x))


def _softplus(x):
    return max(x, mpmath.mpf(0)) + mpmath.log1p(_exp(-abs(x)))


def _sinh(x):
    return mpmath.sinh(x) if abs(x) < 1e5 else x * mpmath.inf


def _cosh(x):
    return mpmath.cosh(x) if abs(x) < 1e5 else mpmath.inf


def _arctanh(x):
    return mpmath.nan if abs(x) > 1 else (x * mpmath.inf if abs(x) == 1 else mpmath.atanh(x))


def _cbrt(x):
    return mpmath.sign(x) * mpmath.cbrt(abs(x))


def _rsqrt(x):
    return mpmath.nan if x < 0 else (mpmath.inf if x == 0 else 1 / mpmath.sqrt(x))


def _erfc(x):
    return mpmath.erfc(x) if abs(x) < 50 else mpmath.mpf(0 if x > 0 else 2)


def _lgamma(x):
    return mpmath.inf if x == 0 or abs(x) == mpmath.inf else mpmath.re(mpmath.loggamma(x))


def _psi(order):
    def value(x):
        if x == mpmath.inf:
            return x if order == 0 else mpmath.mpf(0)
        if order and x > 1e7:
            first = mpmath.factorial(order - 1) / x**order + mpmath.factorial(order) / (2 * x ** (order + 1))
            return (-1) ** (order + 1) * (first + mpmath.factorial(order + 1) / (12 * x ** (order + 2)))
        return mpmath.psi(order, x)

    return value


def _no_pole(x):
    """Positive, or between the poles."""
    return (x > 0) | ((x > -1e4) & (x != numpy.floor(x)))


def _not_tiny(x):
    """Where SciPy's quantiles are finite, from which the oracle starts."""
    return (x == 0) | (numpy.abs(x) > 1e-300)


def _not_endless(x):
    """Where SciPy's functions, which may serve as the truth for float32, are not nan."""
    return numpy.abs(x) != numpy.inf


def _between_poles(x):
    """Where the gamma function is a normal number."""
    return ((x > 0) & (x >= 1e-38)) | ((x > -30) & (x != numpy.floor(x)) & (numpy.abs(x) > 1e-30))


def _positive(x):
    return (x > 0) | (x != x)


def _power(x1, x2):
    return mpmath.exp(x2 * mpmath.log(x1))


def _exponents(x1, x2, most):
    """Exponents scaled so that the powers fill the range of the floats."""
    x1 = numpy.abs(x1)
    with numpy.errstate(all="ignore"):
        reach = 1.04 * most / numpy.maximum(numpy.abs(numpy.log(x1)), 1e-12)
        return x1, x2 / numpy.maximum(numpy.abs(x2), 1.0) * reach


def _positive_finite(x1, x2):
    return (x1 > 0) & numpy.isfinite(x1) & numpy.isfinite(x2)


def _nonzero(x1, x2):
    return (x1 != 0) & (x2 != 0) & numpy.isfinite(x1) & numpy.isfinite(x2)


def _logaddexp(x1, x2):
    return max(x1, x2) + mpmath.log1p(mpmath.exp(-abs(x1 - x2)))


def _ndtr(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2 if abs(x) < 60 else mpmath.mpf(x > 0)


def _log_ndtr(x):
    if x < -1e6:
        return -x * x / 2 - mpmath.log(-x * mpmath.sqrt(2 * mpmath.pi)) - 1 / x**2
    return mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2) if x < 0 else mpmath.log1p(-_ndtr(-x))


def _erfcx(x):
    if x > 1e6:
        return 1 / (x * mpmath.sqrt(mpmath.pi)) * (1 - 1 / (2 * x * x))
    return mpmath.inf if x < -1e3 else mpmath.exp(x * x) * mpmath.erfc(x)


def _hazard(x):
    if x == mpmath.inf:
        return x
    return mpmath.sqrt(2 / mpmath.pi) / _erfcx(x / mpmath.sqrt(2)) if x > -1e3 else mpmath.mpf(0)


def _erfinv(x):
    if abs(x) >= 1:
        return x * mpmath.inf if abs(x) == 1 else mpmath.nan
    return mpmath.erfinv(x)


def _root(f, slope, start):
    """Newton's rule, from where float64 already is."""
    for _ in range(4):
        start -= f(start) / slope(start)
    return start


def _ndtri(p):
    import scipy.special

    if not 0 < p < 1:
        return {0: -mpmath.inf, 1: mpmath.inf}.get(float(p), mpmath.nan)
    density = lambda x: mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)  # noqa: E731
    return _root(lambda x: _ndtr(x) - p, density, mpmath.mpf(float(scipy.special.ndtri(float(p)))))


def _erfcinv(q):
    import scipy.special

    if not 0 < q < 2:
        return {0: mpmath.inf, 2: -mpmath.inf}.get(float(q), mpmath.nan)
    slope = lambda x: -2 * mpmath.exp(-x * x) / mpmath.sqrt(mpmath.pi)  # noqa: E731
    return _root(lambda x: mpmath.erfc(x) - q, slope, mpmath.mpf(float(scipy.special.erfcinv(float(q)))))


def _gamma(x):
    if x == mpmath.inf or x > 1e3:
        return mpmath.inf
    return mpmath.gamma(x) if x else x * 0 + mpmath.inf


def _bessel(order, scaled):
    """The modified Bessel function, beyond 1e4 by the first terms of its asymptotic series (DLMF 10.40.1)."""

    def value(x):
        size = abs(x)
        if size < 1e4:
            found = mpmath.besseli(order, size) * (mpmath.exp(-size) if scaled else 1)
        elif scaled:
            m = 4 * order * order
            terms = 1 - (m - 1) / (8 * size) + (m - 1) * (m - 9) / (128 * size**2)
            terms -= (m - 1) * (m - 9) * (m - 25) / (3072 * size**3)
            terms += (m - 1) * (m - 9) * (m - 25) * (m - 49) / (98304 * size**4)
            found = terms / mpmath.sqrt(2 * mpmath.pi * size)
        else:
            found = mpmath.inf
        return -found if order and x < 0 else found

    return value


def _exprel(x):
    if abs(x) > 1e4:
        return mpmath.inf if x > 0 else -1 / x
    return mpmath.expm1(x) / x if x else mpmath.mpf(1)


def _log_quotient(x):
    if x == mpmath.inf:
        return mpmath.mpf(0)
    return _log1p(x) / x if x else mpmath.mpf(1)


def _betaln(a, b):
    return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)


ROWS = (
    Row("exp", ((-750, 712),), _exp, (1, 1)),
    Row("exp2", ((-1080, 1026),), _exp2, (1.1, 1)),
    Row("expm1", ((-40, 50),), _expm1, (2, 2)),
    Row("log", ((0, 3),), _log, (1, 1)),
    Row("log2", ((0, 3),), _log_in_base(2), (1, 1)),
    Row("log10", ((0, 3),), _log_in_base(10), (1, 1)),
    Row("log1p", ((-1, 3),), _log1p, (2, 2)),
    Row("logistic", ((-750, 40),), _logistic, (1.5, 1.5)),
    Row("softplus", ((-750, 40),), _softplus, (2, 2)),
    Row("sin", ((-100, 100),), mpmath.sin, (1, 1)),
    Row("cos", ((-100, 100),), mpmath.cos, (1, 1)),
    Row("tan", ((-100, 100),), mpmath.tan, (1.5, 1)),
    Row("arcsin", ((-1, 1),), _real(mpmath.asin), (2, 2)),
    Row("arccos", ((-1, 1),), _real(mpmath.acos), (2, 2)),
    Row("arctan", ((-5, 5),), mpmath.atan, (2, 2)),
    Row("sinh", ((-5, 5),), _sinh, (2, 2)),
    Row("cosh", ((-5, 5),), _cosh, (2, 2)),
    Row("tanh", ((-5, 5),), mpmath.tanh, (1.5, 1.5)),
    Row("arcsinh", ((-5, 5),), mpmath.asinh, (2, 2)),
    Row("arccosh", ((1, 5),), _real(mpmath.acosh), (2, 2)),
    Row("arctanh", ((-1, 1),), _arctanh, (2, 2)),
    Row("erf", ((-6, 6),), mpmath.erf, (1.5, 1.5)),
    Row("erfc", ((-6, 28),), _erfc, (8, 8)),
    Row("lgamma", ((-20, 40),), _lgamma, (4, 4), signed=False, floor=1.0, inside=_no_pole),
    Row("digamma", ((-20, 40),), _psi(0), (8, 8), signed=False, floor=1.0, inside=_no_pole),
    Row("trigamma", ((-20, 40),), _psi(1), (8, 8), signed=False, inside=_no_pole),
    Row("polygamma2", ((0, 40),), _psi(2), (8, 8), signed=False, inside=_positive),
    Row("polygamma3", ((0, 40),), _psi(3), (8, 8), signed=False, inside=_positive),
    Row("gamma", ((-20, 40),), _gamma, (10, 10), ((1e-300, 170),), signed=False, inside=_between_poles),
    Row("betaln", ((0.1, 20), (0.1, 20)), _betaln, (24, 24), ((1e-3, 1e6), (1e-3, 1e6)), signed=False, floor=1.0),
    Row("erfcx", ((-5, 30),), _erfcx, (8, 8)),
    Row("ndtr", ((-38, 6),), _ndtr, (8, 8)),
    Row("log_ndtr", ((-40, 6),), _log_ndtr, (8, 8)),
    Row("normal_hazard", ((-5, 40),), _hazard, (8, 8)),
    Row("erfinv", ((-1, 1),), _erfinv, (6, 6)),
    Row("erfcinv", ((0, 1),), _erfcinv, (6, 6), ((1e-300, 1),), signed=False, floor=1.0, inside=_not_tiny),
    Row("ndtri", ((0, 1),), _ndtri, (6, 6), ((1e-300, 1),), signed=False, floor=1.0, inside=_not_tiny),
    Row("i0", ((-20, 20),), _bessel(0, False), (6, 6), inside=_not_endless),
    Row("i1", ((-20, 20),), _bessel(1, False), (6, 6), inside=_not_endless),
    Row("i0e", ((-20, 20),), _bessel(0, True), (4, 4)),
    Row("i1e", ((-20, 20),), _bessel(1, True), (6, 6)),
    Row("exprel", ((-40, 720),), _exprel, (3, 3)),
    Row("log_quotient", ((-1, 3),), _log_quotient, (3, 3), inside=lambda x: x < numpy.inf),
    Row("sqrt", ((0, 5),), _real(mpmath.sqrt), (0.5, 0.5)),
    Row("rsqrt", ((0, 5),), _rsqrt, (1.5, 1.5), inside=lambda x: x != 0),
    Row("cbrt", ((-5, 5),), _cbrt, (1, 1)),
    Row("power", ((0.5, 2), (-1, 1)), _power, (1, 1), (EVERYWHERE, (0.01, 1)), inside=_positive_finite,
        coupled=_exponents),
    Row("arctan2", ((-3, 3), (-3, 3)), mpmath.atan2, (2.5, 2.5), (EVERYWHERE, EVERYWHERE), inside=_nonzero),
    Row("hypot", ((-3, 3), (-3, 3)), mpmath.hypot, (1, 1), (EVERYWHERE, EVERYWHERE), inside=_nonzero),
    Row("logaddexp", ((-30, 30), (-30, 30)), _logaddexp, (4, 4), ((1e-3, 1e3), (1e-3, 1e3)), floor=1.0),
)  # fmt: skip
