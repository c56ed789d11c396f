"""Derivatives of the incomplete gamma and beta functions by their parameters, in NumPy.

Both are distribution functions of an exponential family in s = log(t) or s = logit(t): with a density f,
the derivative of f by the parameters is f times a polynomial in s, the complete Bell polynomial of its centred
statistics and the derivatives of log f's normaliser.  The integral of that is taken by the tanh-sinh rule
(Takahasi & Mori 1974) from x into the tail that is closer; integrals over both tails are opposite numbers.
First derivatives do not change sign in their tail, so their relative error is small in either.
"""

import math

import numpy

#: Densities are cut off where they have fallen by exp(-CUT).
CUT = 48.0


def _nodes(step=1 / 20, reach=3.4):
    """Nodes in (0, 1), counted from the closer end, and weights of the tanh-sinh rule."""
    t = numpy.arange(-round(reach / step), round(reach / step) + 1) * step
    q = numpy.exp(-math.pi * numpy.sinh(numpy.abs(t)))
    distance = q / (1 + q)  # of the closer end
    weight = math.pi * numpy.cosh(t) * q / (1 + q) ** 2 * step
    return numpy.where(t < 0, distance, 1 - distance), weight


def in_blocks(function, *arrays, size=1024):
    """A function of one-dimensional arrays, a part of them at a time: it makes arrays of nodes times elements."""
    parts = [function(*(v[k : k + size] for v in arrays)) for k in range(0, arrays[0].size, size)]
    return numpy.concatenate(parts) if parts else arrays[0]


def bell(kappa, order):
    """The complete Bell polynomial with cumulants kappa(*index), for the multi-index `order`."""
    if not any(order):
        return 1.0
    first = next(k for k, n in enumerate(order) if n)
    less = tuple(n - (k == first) for k, n in enumerate(order))
    total = 0.0
    for index in numpy.ndindex(*(n + 1 for n in less)):
        ways = math.prod(math.comb(n, i) for n, i in zip(less, index, strict=True))
        grown = tuple(i + (k == first) for k, i in enumerate(index))
        rest = tuple(n - i for n, i in zip(less, index, strict=True))
        total = total + ways * kappa(*grown) * bell(kappa, rest)
    return total


def _newton(value, start):
    """The root of a convex increasing function, (value, slope) of u, by Newton's rule from above."""
    u = start
    for _ in range(12):
        excess, slope = value(u)
        u = u - excess / slope
    return u


def _stirling(a):
    """log(gamma(a)) less Stirling's formula, for a >= 20."""
    w = 1 / (a * a)
    return (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w / 1188)))) / a


def _gamma_density(a, x):
    """x**a exp(-x) / gamma(a), the density of log(t) at t = x."""
    import scipy.special as sp

    large = a >= 20
    safe = numpy.where(large, a, 20.0)
    mu = (x - safe) / safe
    log_ratio = numpy.where(mu < -0.5, numpy.log(x / safe), numpy.log1p(numpy.maximum(mu, -0.5)))
    far = numpy.exp(safe * (log_ratio - mu) - _stirling(safe)) * numpy.sqrt(safe / (2 * math.pi))
    small = numpy.where(large, 1.0, a)
    near = numpy.exp(small * numpy.log(x) - x - sp.gammaln(small))
    return numpy.where(large, far, near)


def gammainc_derivative(a, x, *, order):
    """The derivative of that order by a of the regularised lower incomplete gamma function P(a, x)."""

    a, x = numpy.broadcast_arrays(numpy.asarray(a, float), numpy.asarray(x, float))
    inside = (a > 0) & (x > 0) & numpy.isfinite(a) & numpy.isfinite(x)
    out = numpy.where((a > 0) & (x >= 0), 0.0, numpy.nan)
    with numpy.errstate(all="ignore"):
        out[inside] = in_blocks(lambda a, x: _gamma_integral(a, x, order), a[inside], x[inside])
    return out


def _gamma_integral(a, x, order):
    import scipy.special as sp

    psi = [sp.polygamma(k, a) for k in range(order)]
    log_x, top = numpy.log(x), numpy.maximum(x, a)
    lower = log_x < psi[0]  # where the first derivative of the density changes sign
    c = CUT / top
    down = _newton(lambda u: (a * u + x * numpy.expm1(-u) - CUT, a - x * numpy.exp(-u)), CUT / a + 12 / numpy.sqrt(a))
    up = _newton(
        lambda u: (top * numpy.expm1(u) - a * u - CUT, top * numpy.exp(u) - a),
        numpy.log1p(1.1 * c + numpy.sqrt(2.2 * c)),
    )
    reach = numpy.where(lower, -down, up + numpy.log(top) - log_x)
    node, weight = _nodes()
    u = node[:, None] * reach
    shape = bell(lambda k: log_x + u - psi[0] if k == 1 else -psi[k - 1], (order,))
    total = weight @ (numpy.exp(a * u - x * numpy.expm1(u)) * shape)
    return -total * _gamma_density(a, x) * reach


def _beta_density(a, b, x, y):
    """x**a y**b / B(a, b) with y = 1 - x, the density of logit(t) at t = x."""
    import scipy.special as sp

    large = (a >= 20) & (b >= 20)
    p, q = numpy.where(large, a, 20.0), numpy.where(large, b, 20.0)
    n = p + q
    exponent = -_stirling(p) - _stirling(q) + _stirling(n)
    for count, value in ((p, x), (q, y)):
        mu = (value * n - count) / count
        log_ratio = numpy.where(mu < -0.5, numpy.log(value * n / count), numpy.log1p(numpy.maximum(mu, -0.5)))
        exponent = exponent + count * (log_ratio - mu)
    far = numpy.exp(exponent) * numpy.sqrt(p * q / n / (2 * math.pi))
    p, q = numpy.where(large, 1.0, a), numpy.where(large, 1.0, b)
    logs = numpy.where(x < 0.5, numpy.log(x), numpy.log1p(-y)), numpy.where(y < 0.5, numpy.log(y), numpy.log1p(-x))
    near = numpy.exp(p * logs[0] + q * logs[1] - sp.betaln(p, q))
    return numpy.where(large, far, near)


def betainc_derivative(a, b, x, *, order):
    """The derivative of the orders (by a, by b) of the regularised incomplete beta function I_x(a, b)."""

    a, b, x = numpy.broadcast_arrays(*(numpy.asarray(v, float) for v in (a, b, x)))
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & numpy.isfinite(a) & numpy.isfinite(b)
    out = numpy.where((a > 0) & (b > 0) & (x >= 0) & (x <= 1), 0.0, numpy.nan)
    with numpy.errstate(all="ignore"):
        out[inside] = in_blocks(lambda a, b, x: _beta_integral(a, b, x, order), a[inside], b[inside], x[inside])
    return out


def _beta_integral(a, b, x, order):
    import scipy.special as sp

    both = sp.digamma(a + b)
    if order[1] == 0:
        upper = numpy.log(x) > sp.digamma(a) - both
    elif order[0] == 0:
        upper = numpy.log1p(-x) < sp.digamma(b) - both
    else:
        upper = x * (a + b) > a
    out = numpy.empty_like(x)
    out[upper] = -_beta_below(b[upper], a[upper], 1 - x[upper], x[upper], order[::-1])
    lower = ~upper
    out[lower] = _beta_below(a[lower], b[lower], x[lower], 1 - x[lower], order)
    return out


def _beta_below(a, b, x, y, order):
    """The integral from 0 to x, with y = 1 - x."""
    import scipy.special as sp

    n, orders = a + b, sum(order)
    psi = [[sp.polygamma(k, v) for k in range(orders)] for v in (a, b, n)]

    def kappa(i, j):
        if i and j:
            return psi[2][i + j - 1]
        k = i + j - 1
        own = psi[0] if i else psi[1]
        statistic = (log_t if i else log_rest) if k == 0 else 0.0
        return statistic - own[k] + psi[2][k]

    top = numpy.minimum(x, a / n)
    rest = numpy.where(x * n > a, b / n, y)
    down = _newton(
        lambda u: (a * u + n * numpy.log(rest + top * numpy.exp(-u)) - n * numpy.log(rest + top) - CUT,
                   a - n * top * numpy.exp(-u) / (rest + top * numpy.exp(-u))),
        (CUT - n * numpy.log(rest)) / a,
    )  # fmt: skip
    above = numpy.log(x / y)
    reach = down + above - numpy.log(top / rest)
    first = numpy.where((above > 0) & (above < reach), above, reach)  # the integrand bends at t = 1/2: there is an end
    log_x = numpy.where(x < 0.5, numpy.log(x), numpy.log1p(-y))
    log_y = numpy.where(y < 0.5, numpy.log(y), numpy.log1p(-x))
    node, weight = _nodes()
    total = 0.0
    for start, length in ((0.0, first), (first, reach - first)):
        u = -(start + node[:, None] * length)
        grown = numpy.where(x < 0.5, numpy.log1p(x * numpy.expm1(u)), numpy.log(y + x * numpy.exp(u)))
        log_t, log_rest = log_x + u - grown, log_y - grown
        total = total + length * (weight @ (numpy.exp(a * u - n * grown) * bell(kappa, order)))
    return total * _beta_density(a, b, x, y)
