"""What the special functions should compute: data for the rows of the table, and mpmath's functions as oracles."""

import mpmath
import scipy.special as sp

POLYNOMIALS = "long polynomials and their quotients"


def root(f, start):
    """A zero by the secant rule, from where float64 already is."""
    start = mpmath.mpf(float(start))
    return mpmath.findroot(f, (start, start * (1 + mpmath.mpf(10) ** -12)))


def near(function, *xs):
    """SciPy's value, from which `root` starts."""
    return function(*map(float, xs))


def lower_gamma(a, x):
    return mpmath.gammainc(a, 0, x, regularized=True)


def lower_beta(a, b, x):
    return mpmath.betainc(a, b, 0, x, regularized=True)


def student(df, t):
    """Student's distribution function, by the hypergeometric series."""
    scale = mpmath.gamma((df + 1) / 2) / (mpmath.sqrt(df * mpmath.pi) * mpmath.gamma(df / 2))
    return 0.5 + t * scale * mpmath.hyp2f1(0.5, (df + 1) / 2, 1.5, -t * t / df)


def scaled(function, sign):
    """A Bessel function of orders and arguments, times exp(sign x)."""
    return lambda n, x: function(n, x) * mpmath.exp(sign * x)


def spherical(n, x):
    return mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.besselj(n + mpmath.mpf(1) / 2, x)


def of_order(n, function):
    return lambda x: function(n, x)


#: Compiled ones: name, oracle, intervals, allowed ULP, points.
COMPILED = (
    ("gamma", mpmath.gamma, ((0.6, 12),), 10, {}),
    ("betaln", lambda a, b: mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b), ((2, 20),), 16, {}),
    ("erfcx", lambda x: mpmath.exp(x * x) * mpmath.erfc(x), ((-2, 6),), 8, {}),
    ("ndtr", mpmath.ncdf, ((-3, 3),), 8, {}),
    ("log_ndtr", lambda x: mpmath.log(mpmath.ncdf(x)), ((-6, 1),), 8, {}),
    ("normal_hazard", lambda x: mpmath.npdf(x) / mpmath.ncdf(-x), ((-2, 2),), 8, {}),
    ("ndtri", lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1), ((0.05, 0.45),), 8, {}),
    ("erfinv", mpmath.erfinv, ((-0.95, 0.95),), 8, {}),
    ("erfcinv", lambda q: mpmath.erfinv(1 - q), ((0.05, 0.9),), 8, {}),
    ("exprel", lambda x: mpmath.expm1(x) / x, ((-3, 3),), 3, {(0.0,): (0.5,)}),
    ("log_quotient", lambda x: mpmath.log1p(x) / x, ((-0.7, 3),), 3, {(0.0,): (-0.5,)}),
    ("i0", of_order(0, mpmath.besseli), ((0.2, 9.5),), 8, {(0.0,): (0.0,)}),
    ("i1", of_order(1, mpmath.besseli), ((0.2, 9.5),), 8, {(0.0,): (0.5,)}),
    ("i0e", of_order(0, scaled(mpmath.besseli, -1)), ((0.2, 9.5),), 8, {(0.0,): (0.0,)}),
    ("i1e", of_order(1, scaled(mpmath.besseli, -1)), ((0.2, 9.5),), 8, {(0.0,): (0.5,)}),
)

#: Those that SciPy computes: name, oracle, number of arguments, interval, how many of the first are integers,
#: attributes.
CALLED = (
    ("gammainc", lower_gamma, 2, (0.5, 4), 0, {}),
    ("gammaincc", lambda a, x: 1 - lower_gamma(a, x), 2, (0.5, 4), 0, {}),
    ("gammainc_by_a", lambda a, x: mpmath.diff(lambda a: lower_gamma(a, x), a), 2, (0.5, 4), 0, {"order": 1}),
    ("gammaincinv", lambda a, p: root(lambda x: lower_gamma(a, x) - p, near(sp.gammaincinv, a, p)), 2,
     (0.3, 0.9), 0, {}),
    ("gammainccinv", lambda a, p: root(lambda x: 1 - lower_gamma(a, x) - p, near(sp.gammainccinv, a, p)), 2,
     (0.3, 0.9), 0,
     {}),
    ("betainc", lower_beta, 3, (0.3, 0.9), 0, {}),
    ("betaincc", lambda a, b, x: 1 - lower_beta(a, b, x), 3, (0.3, 0.9), 0, {}),
    ("betainc_by_ab", lambda a, b, x: mpmath.diff(lambda b: lower_beta(a, b, x), b), 3, (0.3, 0.9), 0,
     {"order": (0, 1)}),
    ("betaincinv", lambda a, b, p: root(lambda x: lower_beta(a, b, x) - p, near(sp.betaincinv, a, b, p)), 3,
     (0.3, 0.9), 0,
     {}),
    ("stdtr", student, 2, (0.5, 4), 0, {}),
    ("stdtrit", lambda df, p: root(lambda t: student(df, t) - p, near(sp.stdtrit, df, p)), 2, (0.6, 0.9), 0, {}),
    ("hurwitz_zeta", mpmath.zeta, 2, (1.5, 4), 0, {}),
    ("zeta_by_s", lambda s, q: mpmath.diff(lambda s: mpmath.zeta(s, q), s), 2, (1.5, 4), 0, {"order": 1}),
    ("riemann_zeta", mpmath.zeta, 1, (1.5, 4), 0, {}),
    ("binom", mpmath.binomial, 2, (2, 2.9), 0, {}),
    ("poch", mpmath.rf, 2, (0.5, 4), 0, {}),
    ("j0", of_order(0, mpmath.besselj), 1, (0.5, 6), 0, {}),
    ("j1", of_order(1, mpmath.besselj), 1, (0.5, 6), 0, {}),
    ("y0", of_order(0, mpmath.bessely), 1, (0.5, 6), 0, {}),
    ("y1", of_order(1, mpmath.bessely), 1, (0.5, 6), 0, {}),
    ("k0", of_order(0, mpmath.besselk), 1, (0.5, 6), 0, {}),
    ("k1", of_order(1, mpmath.besselk), 1, (0.5, 6), 0, {}),
    ("k0e", of_order(0, scaled(mpmath.besselk, 1)), 1, (0.5, 6), 0, {}),
    ("k1e", of_order(1, scaled(mpmath.besselk, 1)), 1, (0.5, 6), 0, {}),
    ("jv", mpmath.besselj, 2, (0.5, 6), 1, {}),
    ("yv", mpmath.bessely, 2, (0.5, 6), 1, {}),
    ("iv", mpmath.besseli, 2, (0.5, 6), 1, {}),
    ("ive", scaled(mpmath.besseli, -1), 2, (0.5, 6), 1, {}),
    ("kv", mpmath.besselk, 2, (0.5, 6), 1, {}),
    ("kve", scaled(mpmath.besselk, 1), 2, (0.5, 6), 1, {}),
    ("spherical_jn", spherical, 2, (0.5, 6), 1, {}),
    ("expn", mpmath.expint, 2, (0.5, 4), 1, {}),
    ("exp1", mpmath.e1, 1, (0.5, 4), 0, {}),
    ("expi", mpmath.ei, 1, (0.5, 4), 0, {}),
    ("sine_integral", mpmath.si, 1, (-4, 4), 0, {}),
    ("cosine_integral", mpmath.ci, 1, (0.5, 4), 0, {}),
    ("fresnel_sine", mpmath.fresnels, 1, (-2, 2), 0, {}),
    ("fresnel_cosine", mpmath.fresnelc, 1, (-2, 2), 0, {}),
    ("dawsn", lambda x: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x), 1, (-3, 3), 0, {}),
    ("spence", lambda x: mpmath.polylog(2, 1 - x), 1, (0.2, 1.9), 0, {}),
    ("lambert_upper", mpmath.lambertw, 1, (-0.3, 4), 0, {}),
    ("lambert_lower", lambda x: mpmath.lambertw(x, -1), 1, (-0.33, -0.05), 0, {}),
    ("hyp1f1", mpmath.hyp1f1, 3, (-2, 2), 2, {}),
    ("hyp2f1", mpmath.hyp2f1, 4, (-0.7, 0.7), 3, {}),
)  # fmt: skip
