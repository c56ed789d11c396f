"""Special functions on Arrays, by SciPy's names.

Error, normal, gamma and beta functions and the modified Bessel functions of orders 0 and 1 are compiled and fuse with
their neighbours; the others are computed by SciPy between launches, and have derivatives of any order all the same.
Arguments are real, and broadcast.
"""

import math

import numpy

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.errors import ArgumentError
from nbgrad.kernels import exponential, incomplete, integrals, normal, roots, selection, special
from nbgrad.kernels import gamma as gammas
from nbgrad.kernels import zeta as zetas
from nbgrad.numpy import elementwise as names
from nbgrad.numpy import reductions
from nbgrad.numpy._arguments import as_array, as_integer, cast, promoted
from nbgrad.numpy.creation import ones_like
from nbgrad.numpy.elementwise import erf, erfc, expit, logit, sinc
from nbgrad.scipy._bessel import (
    i0,
    i0e,
    i1,
    i1e,
    iv,
    ive,
    j0,
    j1,
    jn,
    jv,
    k0,
    k0e,
    k1,
    k1e,
    kn,
    kv,
    kve,
    y0,
    y1,
    yn,
    yv,
)  # fmt: skip
from nbgrad.scipy._integrals import (
    eval_chebyt,
    eval_hermite,
    eval_legendre,
    exp1,
    expi,
    expn,
    hyp1f1,
    hyp2f1,
    lambertw,
    sici,
    spence,
    spherical_jn,
)  # fmt: skip

__all__ = [
    "beta", "betainc", "betaincc", "betaincinv", "betaln", "binom", "boxcox", "boxcox1p", "comb", "dawsn",
    "digamma", "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "eval_chebyt", "eval_hermite", "eval_legendre",
    "exp1", "expi", "expit", "expn", "exprel", "factorial", "fresnel", "gamma", "gammainc", "gammaincc",
    "gammainccinv", "gammaincinv", "gammaln", "gammasgn", "hyp1f1", "hyp2f1", "i0", "i0e", "i1", "i1e",
    "inv_boxcox", "inv_boxcox1p", "iv", "ive", "j0", "j1", "jn", "jv", "k0", "k0e", "k1", "k1e", "kl_div", "kn",
    "kv", "kve", "lambertw", "log_expit", "log_ndtr", "log_softmax", "loggamma", "logit", "logsumexp",
    "multigammaln", "ndtr", "ndtri", "poch", "polygamma", "psi", "rel_entr", "rgamma", "sici", "sinc", "softmax",
    "spence", "spherical_jn", "stdtr", "stdtrit", "xlog1py", "xlogy", "y0", "y1", "yn", "yv", "zeta",
]  # fmt: skip

where = selection.where


def _floating(call, **given):
    """Arguments as Arrays of one floating dtype; numbers stay weak where an array is among them."""
    arrays = [as_array(x, call, n) for n, x in given.items() if type(x) not in dtypes.WEAK]
    dtype = dtypes.promote([x.dtype for x in arrays] + [dtypes.WEAK[type(x)] for x in given.values()
                                                        if type(x) in dtypes.WEAK])  # fmt: skip
    dtype = dtype if dtypes.is_inexact(dtype) else dtypes.FLOAT64
    made = [Array(graph.scalar(x, dtype)) if type(x) in dtypes.WEAK else cast(as_array(x, call, n), dtype)
            for n, x in given.items()]  # fmt: skip
    return made if len(made) > 1 else made[0]


# ---------------------------------------------------------------- gamma functions


def gamma(x):
    """The gamma function; nan at the negative integers.  10 ULP."""
    return gammas.gamma(x)


def rgamma(x):
    """1 / gamma(x), 0 at the poles, where it has derivatives too."""
    x = _floating("rgamma", x=x)
    left, large = x < 0.5, x > 150.0
    # of the smaller half by reflection, which knows no poles; gamma itself overflows before 1 / gamma underflows
    low = where(left, x, 0.25)
    whole = names.rint(low)
    odd = whole - 2.0 * names.floor(0.5 * whole)
    sine = names.sin(math.pi * (low - whole)) * (1.0 - 2.0 * odd)
    mirrored = where((low < -150.0) & (low == whole), 0.0, gammas.gamma(1.0 - low) * (sine / math.pi))
    small = exponential.exp(-special.lgamma(where(large, x, 150.0)))
    return where(left, mirrored, where(large, small, 1.0 / gammas.gamma(where(left | large, 1.0, x))))


def gammaln(x):
    """Logarithm of the absolute value of the gamma function.

    Examples
    --------
    >>> import nbgrad.scipy.special as special
    >>> special.gammaln([1.0, 10.0])
    Array([ 0.        , 12.80182748], shape=(2,), dtype=float64, device=cpu)
    """
    return special.lgamma(x)


def loggamma(x):
    """Logarithm of the gamma function of real x; nan below 0, where it is complex."""
    x = _floating("loggamma", x=x)
    return where(x < 0, math.nan, special.lgamma(where(x < 0, 1.0, x)))


def gammasgn(x):
    """Sign of the gamma function: 1 or -1, nan at the negative integers."""
    x = _floating("gammasgn", x=x)
    below = names.floor(x)
    even = names.floor(below / 2) * 2 == below
    one = ones_like(x)
    sign = where((x > 0) | even, one, -one)
    return where(
        names.isnan(x), x, where((x < 0) & (below == x), math.nan, where(x == 0, names.copysign(one, x), sign))
    )


def digamma(x):
    """Derivative of `gammaln`."""
    return special.digamma(x)


def psi(x):
    """Same as `digamma`."""
    return digamma(x)


def polygamma(n, x):
    """The derivative of order `n` of `digamma`; `n` is an integer.

    Raises
    ------
    ArgumentError
        If `n` is not an integer, or negative.
    """
    n = as_integer(n, "polygamma", "n")
    if n < 0:
        raise ArgumentError(f"polygamma: n is {n}, expected an order of at least 0")
    return zetas.polygamma(n, _floating("polygamma", x=x))


def multigammaln(a, d):
    """Logarithm of the multivariate gamma function of dimension `d`, an int, for a > (d - 1) / 2."""
    d = as_integer(d, "multigammaln", "d")
    a = _floating("multigammaln", a=a)
    return sum((special.lgamma(a - 0.5 * j) for j in range(1, d)), special.lgamma(a)) + (
        d * (d - 1) / 4 * math.log(math.pi)
    )


def poch(z, m):
    """Pochhammer's symbol gamma(z + m) / gamma(z)."""
    return integrals.poch(z, m)


def factorial(n):
    """gamma(n + 1), 0 for negative n."""
    n = _floating("factorial", n=n)
    return where(n < 0, 0.0, gammas.gamma(where(n < 0, 0.0, n) + 1.0))


def binom(n, k):
    """The binomial coefficient of real numbers; nan for the derivative where it vanishes."""
    return integrals.binom(n, k)


def comb(N, k, *, exact=False, repetition=False):
    """The number of ways to take k of N things, 0 where there is none; `repetition` takes things again."""
    if exact:
        raise ArgumentError("comb: exact=True needs Python's integers; take math.comb, or leave exact out")
    N, k = _floating("comb", N=N, k=k)
    if repetition:
        return where((k == 0) & (N >= 0), 1.0, integrals.binom(N + k - 1.0, k))
    none = (k > N) | (N < 0) | (k < 0)
    return where(none, 0.0, integrals.binom(where(none, 1.0, N), where(none, 0.0, k)))


def zeta(x, q=None):
    """Hurwitz's zeta function, the sum of (q + k)**-x over k = 0, 1, ...; Riemann's without `q`.

    Derivatives by x are those of Euler and Maclaurin's formula, to a relative error of 1e-12.
    """
    if q is not None:
        return zetas.hurwitz_zeta(x, q)
    x = _floating("zeta", x=x)
    left = x < -1
    # DLMF 25.4.1, from where the other formula loses digits
    s = where(left, x, -2.0)
    mirrored = exponential.exp(s * math.log(2 * math.pi)) * (1 / math.pi) * gammas.gamma(1.0 - s)
    mirrored = mirrored * names.sin(s * (math.pi / 2)) * zetas.riemann_zeta(1.0 - s)
    return where(left, mirrored, zetas.riemann_zeta(where(left, 2.0, x)))


# ---------------------------------------------------------------- beta functions and incomplete ones


def betaln(a, b):
    """Logarithm of the absolute value of the beta function."""
    return gammas.betaln(a, b)


def beta(a, b):
    """The beta function gamma(a) gamma(b) / gamma(a + b); its relative error is that of the logarithm, absolute."""
    a, b = _floating("beta", a=a, b=b)
    return gammasgn(a) * gammasgn(b) * gammasgn(a + b) * exponential.exp(gammas.betaln(a, b))


def gammainc(a, x):
    """The regularised lower incomplete gamma function P(a, x).

    The derivative by `a` is an integral, taken by quadrature to a relative error of 1e-9.

    Parameters
    ----------
    a, x : array_like
        Not negative; they broadcast.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.scipy.special as special
    >>> ng.grad(special.gammainc, (0, 1))(ng.asarray(2.0), ng.asarray(1.5))
    (Array(-0.31348864, shape=(), dtype=float64, device=cpu), Array(0.33469524, shape=(), dtype=float64, device=cpu))
    """
    return incomplete.gammainc(a, x)


def gammaincc(a, x):
    """1 - gammainc(a, x), accurate where that is small."""
    return incomplete.gammaincc(a, x)


def gammaincinv(a, y):
    """x with gammainc(a, x) = y."""
    return incomplete.gammaincinv(a, y)


def gammainccinv(a, y):
    """x with gammaincc(a, x) = y."""
    return incomplete.gammainccinv(a, y)


def betainc(a, b, x):
    """The regularised incomplete beta function; its derivatives by `a` and `b` are taken by quadrature, to 1e-9."""
    return incomplete.betainc(a, b, x)


def betaincc(a, b, x):
    """1 - betainc(a, b, x), accurate where that is small."""
    return incomplete.betaincc(a, b, x)


def betaincinv(a, b, y):
    """x with betainc(a, b, x) = y."""
    return incomplete.betaincinv(a, b, y)


def stdtr(df, t):
    """Student's distribution function with `df` degrees of freedom."""
    return incomplete.stdtr(df, t)


def stdtrit(df, p):
    """t with stdtr(df, t) = p."""
    return incomplete.stdtrit(df, p)


# ---------------------------------------------------------------- error functions, the normal distribution


def erfcx(x):
    """exp(x**2) erfc(x).  8 ULP."""
    return normal.erfcx(x)


def erfinv(y):
    """Inverse of `erf`.  6 ULP."""
    return normal.erfinv(y)


def erfcinv(y):
    """Inverse of `erfc`.  6 ULP."""
    return normal.erfcinv(y)


def ndtr(x):
    """The normal distribution function.  8 ULP, also in the lower tail."""
    return normal.ndtr(x)


def log_ndtr(x):
    """Logarithm of `ndtr`.  8 ULP."""
    return normal.log_ndtr(x)


def ndtri(y):
    """Inverse of `ndtr`.  6 ULP."""
    return normal.ndtri(y)


def dawsn(x):
    """Dawson's integral exp(-x**2) times the integral of exp(t**2) from 0 to x."""
    return integrals.dawsn(x)


def fresnel(x):
    """(S, C): the integrals of sin(pi t**2 / 2) and of cos(pi t**2 / 2) from 0 to x."""
    return integrals.fresnel_sine(x), integrals.fresnel_cosine(x)


# ---------------------------------------------------------------- logarithms and information


def log_expit(x):
    """Logarithm of `expit`."""
    return names.log_sigmoid(x)


def xlogy(x, y):
    """x log(y), 0 where x is 0 and y is not nan; there the derivative by x is log(y) for y > 0, else 0."""
    x, y = _floating("xlogy", x=x, y=y)
    apart = (x == 0) & ~((y > 0) & (y < math.inf)) & ~names.isnan(y)
    return x * exponential.log(where(apart, 1.0, y))


def xlog1py(x, y):
    """x log(1 + y), 0 where x is 0 and y is not nan."""
    x, y = _floating("xlog1py", x=x, y=y)
    apart = (x == 0) & ~((y > -1) & (y < math.inf)) & ~names.isnan(y)
    return x * exponential.log1p(where(apart, 0.0, y))


def entr(x):
    """-x log(x), 0 at 0, -inf below."""
    x = _floating("entr", x=x)
    zero, outside = x == 0, x < 0
    inner = where(zero | outside, 1.0, x)
    # the root has the same derivatives at 0, inf and -inf
    value = where(zero, roots.sqrt(where(zero, x, 1.0)), -inner * exponential.log(inner))
    return where(outside, -math.inf, value)


def rel_entr(x, y):
    """x log(x / y) where both are positive, 0 where x is 0 and y is not negative, otherwise inf."""
    x, y = _floating("rel_entr", x=x, y=y)
    both, none = (x > 0) & (y > 0), (x == 0) & (y >= 0)
    value = where(both, x, 1.0) * exponential.log(where(both, x, 1.0) / where(both, y, 1.0))
    nan = names.isnan(x) | names.isnan(y)
    return where(nan, math.nan, where(both | none, where(both, value, 0.0), math.inf))


def kl_div(x, y):
    """x log(x / y) - x + y, with the same cases as `rel_entr`."""
    x, y = _floating("kl_div", x=x, y=y)
    outside = ~((x >= 0) & (y >= 0))
    return rel_entr(x, y) + where(outside, 0.0, y - x)


def exprel(x):
    """(exp(x) - 1) / x, 1 at 0."""
    return integrals.exprel(x)


def boxcox(x, lmbda):
    """(x**lmbda - 1) / lmbda, log(x) for lmbda = 0."""
    x, lmbda = _floating("boxcox", x=x, lmbda=lmbda)
    log = exponential.log(x)
    return log * integrals.exprel(lmbda * log)


def boxcox1p(x, lmbda):
    """boxcox(1 + x, lmbda), accurate near 0."""
    x, lmbda = _floating("boxcox1p", x=x, lmbda=lmbda)
    log = exponential.log1p(x)
    return log * integrals.exprel(lmbda * log)


def inv_boxcox(y, lmbda):
    """x with boxcox(x, lmbda) = y."""
    y, lmbda = _floating("inv_boxcox", y=y, lmbda=lmbda)
    return exponential.exp(y * integrals.log_quotient(lmbda * y))


def inv_boxcox1p(y, lmbda):
    """x with boxcox1p(x, lmbda) = y."""
    y, lmbda = _floating("inv_boxcox1p", y=y, lmbda=lmbda)
    return exponential.expm1(y * integrals.log_quotient(lmbda * y))


def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):
    """Logarithm of the sum of exponentials, each times an element of `b`, without overflow.

    Parameters
    ----------
    a : array_like
    axis : int or tuple of int, optional
        All axes unless given.
    b : array_like, optional
        Factors that broadcast to `a`; they may be negative or 0.
    keepdims, return_sign : bool, optional
        With `return_sign` the logarithm is that of the absolute value, and its sign comes second; without it the
        logarithm of a negative sum is nan.
    """
    if b is None and not return_sign:
        return reductions.logsumexp(a, axis, keepdims=keepdims)
    a, b = _floating("logsumexp", a=a, b=1.0 if b is None else b)
    a, b = promoted(a, b)
    shown = where(b == 0, -math.inf, a)
    peak = reductions._peak(shown, axis, "logsumexp")
    # what has the factor 0 may be larger than the peak, and is needed for derivatives by factors
    apart = where(b == 0, names.minimum(a - peak, math.log(numpy.finfo(a.dtype).max)), a - peak)
    total = reductions.sum(b * exponential.exp(apart), axis, keepdims=True)
    sign = names.sign(total)
    log = exponential.log(names.absolute(total) if return_sign else total) + peak
    if not keepdims:
        log, sign = (_squeezed(v, a, axis) for v in (log, sign))
    return (log, sign) if return_sign else log


def _squeezed(x, a, axis):
    """`x` without the axes of `a` that were summed."""
    from nbgrad import shapes
    from nbgrad.numpy.manipulation import reshape

    whole = graph.broadcast_shape((a.shape, x.shape))
    return reshape(x, shapes.without(whole, shapes.axes("logsumexp", axis, len(whole))))


def softmax(x, axis=None):
    """Exponentials divided by their sum over axes, all of them unless given."""
    return reductions.softmax(x, axis)


def log_softmax(x, axis=None):
    """Logarithm of `softmax`, accurate where that underflows."""
    return reductions.log_softmax(x, axis)
