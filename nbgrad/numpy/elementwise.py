"""Elementwise functions: NumPy's names, and the Array API's, for the scalar kernels.

Operands broadcast and are promoted as in NumPy 2; functions of real numbers turn integers into float64.
"""

import math

import numpy

from nbgrad import dtypes, graph, operators
from nbgrad.array import Array
from nbgrad.errors import ArgumentError
from nbgrad.kernels import (
    arithmetic,
    casting,
    comparison,
    complex,
    exponential,
    hyperbolic,
    roots,
    rounding,
    selection,
    special,
    trigonometric,
)
from nbgrad.numpy._arguments import as_array, as_integer, cast, together

# ---------------------------------------------------------------- arithmetic


def add(x1, x2):
    """Sum."""
    return arithmetic.add(x1, x2)


def subtract(x1, x2):
    """Difference."""
    return arithmetic.subtract(x1, x2)


def multiply(x1, x2):
    """Product."""
    return arithmetic.multiply(x1, x2)


def divide(x1, x2):
    """Quotient; integers give float64."""
    return arithmetic.divide(x1, x2)


def true_divide(x1, x2):
    """Same as `divide`."""
    return divide(x1, x2)


def negative(x):
    """Minus x."""
    return arithmetic.negative(x)


def positive(x):
    """Plus x."""
    return arithmetic.positive(x)


def absolute(x):
    """Absolute value; its derivative at 0 is 0."""
    x = as_array(x, "absolute")
    return x.copy() if x.dtype == dtypes.BOOL else arithmetic.absolute(x)


def abs(x):
    """Same as `absolute`."""
    return absolute(x)


def fabs(x):
    """Absolute value as a float."""
    return arithmetic.absolute(_floating(x, "fabs"))


def sign(x):
    """-1, 0 or 1; nan stays nan."""
    return arithmetic.sign(x)


def floor_divide(x1, x2):
    """Floor of the quotient."""
    return arithmetic.floor_divide(x1, x2)


def remainder(x1, x2):
    """x1 - floor(x1 / x2) * x2, with the sign of x2."""
    return arithmetic.remainder(x1, x2)


def mod(x1, x2):
    """Same as `remainder`."""
    return remainder(x1, x2)


def fmod(x1, x2):
    """Remainder with the sign of x1, as in C."""
    x1, x2 = together("fmod", x1, x2)
    return selection.where(x1 < 0, -arithmetic.remainder(-x1, absolute(x2)), arithmetic.remainder(x1, absolute(x2)))


def divmod(x1, x2):
    """(floor_divide(x1, x2), remainder(x1, x2))."""
    return floor_divide(x1, x2), remainder(x1, x2)


def power(x1, x2):
    """x1 ** x2; small constant exponents become products and roots."""
    return operators.power(x1, x2)


def pow(x1, x2):
    """Same as `power`."""
    return power(x1, x2)


def float_power(x1, x2):
    """x1 ** x2 in float64 or complex128."""
    x1, x2 = together("float_power", x1, x2)
    wide = dtypes.COMPLEX128 if x1.dtype.kind == "c" else dtypes.FLOAT64
    return power(cast(x1, wide), cast(x2, wide))


def square(x):
    """x * x."""
    return roots.square(x)


def sqrt(x):
    """Square root."""
    return roots.sqrt(x)


def rsqrt(x):
    """1 / sqrt(x)."""
    return roots.rsqrt(x)


def cbrt(x):
    """Cube root."""
    return roots.cbrt(x)


def reciprocal(x):
    """1 / x; integers give float64 (NumPy's integer reciprocal is 0 nearly everywhere)."""
    return roots.reciprocal(x)


def hypot(x1, x2):
    """sqrt(x1**2 + x2**2) without overflow."""
    return roots.hypot(x1, x2)


def copysign(x1, x2):
    """``|x1|`` with the sign of x2."""
    return arithmetic.copysign(x1, x2)


def heaviside(x1, x2):
    """0 where x1 < 0, x2 where it is 0, 1 where it is above."""
    x1, x2 = together("heaviside", x1, x2, floating=True)
    step = cast(x1 > 0, x1.dtype)
    return selection.where(x1 == 0, x2, selection.where(comparison.isnan(x1), x1, step))


# ---------------------------------------------------------------- exponentials and logarithms


def exp(x):
    """e ** x."""
    return exponential.exp(x)


def exp2(x):
    """2 ** x."""
    return exponential.exp2(x)


def expm1(x):
    """exp(x) - 1, accurate near zero."""
    return exponential.expm1(x)


def log(x):
    """Natural logarithm."""
    return exponential.log(x)


def log2(x):
    """Logarithm to the base 2."""
    return exponential.log2(x)


def log10(x):
    """Logarithm to the base 10."""
    return exponential.log10(x)


def log1p(x):
    """log(1 + x), accurate near zero."""
    return exponential.log1p(x)


def logaddexp(x1, x2):
    """log(exp(x1) + exp(x2)), without overflow."""
    return exponential.logaddexp(x1, x2)


def logaddexp2(x1, x2):
    """log2(2**x1 + 2**x2), without overflow."""
    ln2 = float(numpy.log(2.0))
    x1, x2 = together("logaddexp2", x1, x2, floating=True)
    if x1.dtype == dtypes.FLOAT16:  # which loses more in each of these steps than NumPy does in all
        return cast(logaddexp2(cast(x1, dtypes.FLOAT32), cast(x2, dtypes.FLOAT32)), dtypes.FLOAT16)
    return exponential.logaddexp(x1 * ln2, x2 * ln2) / ln2


def softplus(x):
    """log(1 + exp(x)), without overflow."""
    return exponential.softplus(x)


def logistic(x):
    """1 / (1 + exp(-x))."""
    return exponential.logistic(x)


def sigmoid(x):
    """Same as `logistic`."""
    return logistic(x)


def expit(x):
    """Same as `logistic`."""
    return logistic(x)


def logit(x):
    """log(x / (1 - x)), the inverse of `logistic`."""
    x = _floating(x, "logit")
    return exponential.log(x) - exponential.log1p(-x)


def log_sigmoid(x):
    """Logarithm of `logistic`, accurate where that underflows."""
    return -exponential.softplus(-_floating(x, "log_sigmoid"))


# ---------------------------------------------------------------- trigonometric and hyperbolic


def sin(x):
    """Sine."""
    return trigonometric.sin(x)


def cos(x):
    """Cosine."""
    return trigonometric.cos(x)


def tan(x):
    """Tangent."""
    return trigonometric.tan(x)


def arcsin(x):
    """Inverse sine."""
    return trigonometric.arcsin(x)


def arccos(x):
    """Inverse cosine."""
    return trigonometric.arccos(x)


def arctan(x):
    """Inverse tangent."""
    return trigonometric.arctan(x)


def arctan2(x1, x2):
    """Angle of the point (x2, x1), between -pi and pi."""
    return trigonometric.arctan2(x1, x2)


def sinh(x):
    """Hyperbolic sine."""
    return hyperbolic.sinh(x)


def cosh(x):
    """Hyperbolic cosine."""
    return hyperbolic.cosh(x)


def tanh(x):
    """Hyperbolic tangent."""
    return hyperbolic.tanh(x)


def arcsinh(x):
    """Inverse hyperbolic sine."""
    return hyperbolic.arcsinh(x)


def arccosh(x):
    """Inverse hyperbolic cosine."""
    return hyperbolic.arccosh(x)


def arctanh(x):
    """Inverse hyperbolic tangent."""
    return hyperbolic.arctanh(x)


def asin(x):
    """Same as `arcsin`."""
    return arcsin(x)


def acos(x):
    """Same as `arccos`."""
    return arccos(x)


def atan(x):
    """Same as `arctan`."""
    return arctan(x)


def asinh(x):
    """Same as `arcsinh`."""
    return arcsinh(x)


def acosh(x):
    """Same as `arccosh`."""
    return arccosh(x)


def atanh(x):
    """Same as `arctanh`."""
    return arctanh(x)


def atan2(x1, x2):
    """Same as `arctan2`."""
    return arctan2(x1, x2)


def deg2rad(x):
    """Degrees as radians."""
    return arithmetic.multiply(_floating(x, "deg2rad"), numpy.pi / 180.0)


def radians(x):
    """Same as `deg2rad`."""
    return deg2rad(x)


def rad2deg(x):
    """Radians as degrees."""
    return arithmetic.multiply(_floating(x, "rad2deg"), 180.0 / numpy.pi)


def degrees(x):
    """Same as `rad2deg`."""
    return rad2deg(x)


def sinc(x):
    """sin(pi x) / (pi x), 1 at 0."""
    x = as_array(x, "sinc")
    x = x if dtypes.is_inexact(x.dtype) else cast(x, dtypes.FLOAT64)
    angle = x * numpy.pi
    near = absolute(angle) < 0.5
    # of the quotient not even the second derivative has a limit at 0 that is computed; of the power series all have
    square, series = selection.where(near, angle, 0.0) ** 2, 0.0
    for k in range(9, -1, -1):
        series = series * square + (-1) ** k / math.factorial(2 * k + 1)
    away = selection.where(near, 1.0, angle)
    return selection.where(near, series, trigonometric.sin(away) / away)


# ---------------------------------------------------------------- special functions


def erf(x):
    """Error function."""
    return special.erf(x)


def erfc(x):
    """1 - erf(x), accurate in the tail."""
    return special.erfc(x)


def lgamma(x):
    """Logarithm of the absolute value of the gamma function."""
    return special.lgamma(x)


def digamma(x):
    """Derivative of `lgamma`."""
    return special.digamma(x)


def trigamma(x):
    """Derivative of `digamma`."""
    return special.trigamma(x)


def gammaln(x):
    """Same as `lgamma`."""
    return lgamma(x)


# ---------------------------------------------------------------- rounding


def floor(x):
    """Largest integral value not above x."""
    x = as_array(x, "floor")
    return rounding.floor(x) if dtypes.is_inexact(x.dtype) else x.copy()


def ceil(x):
    """Smallest integral value not below x."""
    x = as_array(x, "ceil")
    return rounding.ceil(x) if dtypes.is_inexact(x.dtype) else x.copy()


def trunc(x):
    """x without its fraction."""
    x = as_array(x, "trunc")
    return rounding.trunc(x) if dtypes.is_inexact(x.dtype) else x.copy()


def fix(x):
    """Same as `trunc`."""
    return trunc(x)


def rint(x):
    """Nearest integral value, ties to even."""
    return rounding.rint(x)


def round(x, decimals=0):
    """Nearest value with so many decimals, ties to even; the derivative is zero."""
    x, decimals = as_array(x, "round"), as_integer(decimals, "round", "decimals")
    if not dtypes.is_inexact(x.dtype):
        if decimals >= 0:
            return x.copy()
        unit = 10**-decimals
        return cast(rounding.rint(x / unit) * unit, x.dtype)
    if decimals == 0:
        return rounding.rint(x)
    unit = 10.0 ** (decimals if decimals > 0 else -decimals)
    return rounding.rint(x * unit) / unit if decimals > 0 else rounding.rint(x / unit) * unit


def around(x, decimals=0):
    """Same as `round`."""
    return round(x, decimals)


# ---------------------------------------------------------------- comparison and logic


def equal(x1, x2):
    """x1 == x2."""
    return comparison.equal(x1, x2)


def not_equal(x1, x2):
    """x1 != x2."""
    return comparison.not_equal(x1, x2)


def less(x1, x2):
    """x1 < x2."""
    return comparison.less(x1, x2)


def less_equal(x1, x2):
    """x1 <= x2."""
    return comparison.less_equal(x1, x2)


def greater(x1, x2):
    """x1 > x2."""
    return comparison.greater(x1, x2)


def greater_equal(x1, x2):
    """x1 >= x2."""
    return comparison.greater_equal(x1, x2)


def logical_and(x1, x2):
    """Both true."""
    return comparison.logical_and(x1, x2)


def logical_or(x1, x2):
    """Either true."""
    return comparison.logical_or(x1, x2)


def logical_xor(x1, x2):
    """Exactly one true."""
    return comparison.logical_xor(x1, x2)


def logical_not(x):
    """Not x."""
    return comparison.logical_not(x)


def bitwise_and(x1, x2):
    """Bits set in both."""
    return comparison.bitwise_and(x1, x2)


def bitwise_or(x1, x2):
    """Bits set in either."""
    return comparison.bitwise_or(x1, x2)


def bitwise_xor(x1, x2):
    """Bits set in exactly one."""
    return comparison.bitwise_xor(x1, x2)


def left_shift(x1, x2):
    """x1 * 2**x2."""
    return comparison.left_shift(x1, x2)


def right_shift(x1, x2):
    """floor(x1 / 2**x2)."""
    return comparison.right_shift(x1, x2)


def invert(x):
    """Bits flipped; logical not for booleans."""
    return comparison.invert(x)


def bitwise_not(x):
    """Same as `invert`."""
    return invert(x)


def bitwise_invert(x):
    """Same as `invert`."""
    return invert(x)


def bitwise_left_shift(x1, x2):
    """Same as `left_shift`."""
    return left_shift(x1, x2)


def bitwise_right_shift(x1, x2):
    """Same as `right_shift`."""
    return right_shift(x1, x2)


def isnan(x):
    """True at nan."""
    return comparison.isnan(x)


def isinf(x):
    """True at plus and minus infinity."""
    return comparison.isinf(x)


def isfinite(x):
    """True at neither nan nor infinity."""
    return comparison.isfinite(x)


def signbit(x):
    """True where the sign bit is set, at -0.0 too."""
    return comparison.signbit(x)


def isposinf(x):
    """True at plus infinity."""
    return as_array(x, "isposinf") == numpy.inf


def isneginf(x):
    """True at minus infinity."""
    return as_array(x, "isneginf") == -numpy.inf


def isclose(x1, x2, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether ``|x1 - x2| <= atol + rtol * |x2|``, or both are the same infinity (or nan, with `equal_nan`)."""
    x1, x2 = _floating(x1, "isclose"), _floating(x2, "isclose")
    near = (absolute(x1 - x2) <= atol + rtol * absolute(x2)) & comparison.isfinite(x2)
    near = near | (x1 == x2)
    return near | (comparison.isnan(x1) & comparison.isnan(x2)) if equal_nan else near


def allclose(x1, x2, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether `isclose` holds everywhere."""
    from nbgrad.numpy.reductions import all

    return all(isclose(x1, x2, rtol, atol, equal_nan))


def array_equal(x1, x2, equal_nan=False):
    """Whether shapes and all elements agree."""
    from nbgrad.numpy.reductions import all

    x1, x2 = as_array(x1, "array_equal", "x1"), as_array(x2, "array_equal", "x2")
    if x1.shape != x2.shape:
        return as_array(False, "array_equal")
    same = x1 == x2
    return all(same | (comparison.isnan(x1) & comparison.isnan(x2)) if equal_nan else same)


# ---------------------------------------------------------------- selection


def where(condition, x1=None, x2=None):
    """x1 where `condition` holds, else x2; with the condition alone, the indices where it holds.

    Both branches are computed.  The gradient of the branch not taken is zero, but not nan times zero: give a
    function a safe argument there, ``where(x > 0, log(where(x > 0, x, 1)), 0)``.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.where(np.asarray([True, False]), 1.0, [2.0, 3.0])
    Array([1., 3.], shape=(2,), dtype=float64, device=cpu)
    """
    if x1 is None and x2 is None:
        from nbgrad.numpy.indexing import nonzero

        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ArgumentError("where: give both x1 and x2, or neither")
    return selection.where(condition, x1, x2)


def maximum(x1, x2):
    """The larger; nan if either is.  At a tie each side gets half of the gradient."""
    return selection.maximum(x1, x2)


def minimum(x1, x2):
    """The smaller; nan if either is.  At a tie each side gets half of the gradient."""
    return selection.minimum(x1, x2)


def fmax(x1, x2):
    """The larger; the other one where one is nan."""
    x1, x2 = together("fmax", x1, x2)
    return selection.where(comparison.isnan(x2), x1, selection.where(comparison.isnan(x1), x2, maximum(x1, x2)))


def fmin(x1, x2):
    """The smaller; the other one where one is nan."""
    x1, x2 = together("fmin", x1, x2)
    return selection.where(comparison.isnan(x2), x1, selection.where(comparison.isnan(x1), x2, minimum(x1, x2)))


def clip(x, min=None, max=None, *, a_min=None, a_max=None):
    """`x` limited to [min, max]; None is no limit.  The limits belong to the inside: there the gradient flows to x."""
    lo, hi = a_min if min is None else min, a_max if max is None else max
    if lo is not None and hi is not None:
        return selection.clip(x, lo, hi)
    x = as_array(x, "clip")
    if lo is not None:
        return selection.where(comparison.less(x, lo), lo, x)
    return selection.where(comparison.greater(x, hi), hi, x) if hi is not None else arithmetic.positive(x)


def relu(x):
    """x where it is positive, else 0; the derivative at 0 is 0."""
    x = as_array(x, "relu")
    return selection.where(x <= 0, 0, x)


def silu(x):
    """x * logistic(x)."""
    x = _floating(x, "silu")
    return x * exponential.logistic(x)


def gelu(x):
    """x times the normal distribution function of x."""
    x = _floating(x, "gelu")
    return 0.5 * x * (1.0 + special.erf(x / float(numpy.sqrt(2.0))))


def nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    """Numbers in place of nan and infinities: 0 and the largest finite ones unless given."""
    x = as_array(x, "nan_to_num")
    if x.dtype.kind == "c":
        return complex.from_parts(*(nan_to_num(part, nan, posinf, neginf) for part in (real(x), imag(x))))
    if x.dtype.kind != "f":
        return x.copy()
    largest = float(numpy.finfo(x.dtype).max)
    x = selection.where(comparison.isnan(x), nan, x)
    x = selection.where(x == numpy.inf, largest if posinf is None else posinf, x)
    return selection.where(x == -numpy.inf, -largest if neginf is None else neginf, x)


def real(x):
    """The real part; of real numbers they themselves."""
    x = as_array(x, "real")
    return complex.real(x) if x.dtype.kind == "c" else x.copy()


def imag(x):
    """The imaginary part; of real numbers zeros."""
    x = as_array(x, "imag")
    return complex.imag(x) if x.dtype.kind == "c" else Array(graph.constant(0, x.dtype, x.shape))


def conj(x):
    """The conjugate; of real numbers they themselves."""
    x = as_array(x, "conj")
    return complex.conjugate(x) if x.dtype.kind == "c" else x.copy()


def conjugate(x):
    """Same as `conj`."""
    return conj(x)


def angle(z, deg=False):
    """The angle of complex numbers in the plane, in radians (degrees with `deg`), within (-pi, pi]."""
    z = as_array(z, "angle")
    z = cast(z, dtypes.FLOAT64 if z.dtype.kind == "b" else dtypes.float_of(z.dtype))
    turn = trigonometric.arctan2(imag(z), real(z))
    return turn * (180.0 / numpy.pi) if deg else turn


def stop_gradient(x):
    """The same value; no gradient passes."""
    return casting.stop_gradient(x)


def _floating(x, call):
    x = as_array(x, call)
    return cast(x, dtypes.float_of(x.dtype))
