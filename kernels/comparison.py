"""Comparisons, logic, bits and tests of float classes: results that carry no gradient."""

import numpy

from nbgrad.kernels._intrinsics import c_left_shift, c_right_shift
from nbgrad.primitive import elementwise


def _compare(reference, symbol):
    def declare(kernel):
        return elementwise(reference, domain="any", result="bool", expression=f"{{0}} {symbol} {{1}}",
                           differentiable=False)(kernel)  # fmt: skip

    return declare


@_compare(numpy.equal, "==")
def equal(x1, x2):
    """x1 == x2."""
    return x1 == x2


@_compare(numpy.not_equal, "!=")
def not_equal(x1, x2):
    """x1 != x2."""
    return x1 != x2


@_compare(numpy.less, "<")
def less(x1, x2):
    """x1 < x2."""
    return x1 < x2


@_compare(numpy.less_equal, "<=")
def less_equal(x1, x2):
    """x1 <= x2."""
    return x1 <= x2


@_compare(numpy.greater, ">")
def greater(x1, x2):
    """x1 > x2."""
    return x1 > x2


@_compare(numpy.greater_equal, ">=")
def greater_equal(x1, x2):
    """x1 >= x2."""
    return x1 >= x2


@elementwise(numpy.logical_and, domain="any", casts=("bool", "bool"), result="bool", differentiable=False)
def logical_and(x1, x2):
    """Both true."""
    return x1 & x2


@elementwise(numpy.logical_or, domain="any", casts=("bool", "bool"), result="bool", differentiable=False)
def logical_or(x1, x2):
    """Either true."""
    return x1 | x2


@elementwise(numpy.logical_xor, domain="any", casts=("bool", "bool"), result="bool", differentiable=False)
def logical_xor(x1, x2):
    """Exactly one true."""
    return x1 ^ x2


@elementwise(numpy.logical_not, domain="any", casts=("bool",), result="bool", differentiable=False)
def logical_not(x):
    """Not x."""
    return not x


@elementwise(numpy.bitwise_and, domain="integer", expression="{0} & {1}", differentiable=False)
def bitwise_and(x1, x2):
    """Bits set in both."""
    return x1 & x2


@elementwise(numpy.bitwise_or, domain="integer", expression="{0} | {1}", differentiable=False)
def bitwise_or(x1, x2):
    """Bits set in either."""
    return x1 | x2


@elementwise(numpy.bitwise_xor, domain="integer", expression="{0} ^ {1}", differentiable=False)
def bitwise_xor(x1, x2):
    """Bits set in exactly one."""
    return x1 ^ x2


@elementwise(numpy.invert, domain="integer", differentiable=False)
def invert(x):
    """Bits flipped; logical not for booleans."""
    return ~x


@elementwise(numpy.left_shift, domain="integer", differentiable=False)
def left_shift(x1, x2):
    """x1 * 2**x2; 0 where x2 is at least the width, as NumPy."""
    return c_left_shift(x1, x2)


@elementwise(numpy.right_shift, domain="integer", differentiable=False)
def right_shift(x1, x2):
    """floor(x1 / 2**x2); the sign where x2 is at least the width, as NumPy."""
    return c_right_shift(x1, x2)


@elementwise(numpy.isnan, domain="float", result="bool", differentiable=False)
def isnan(x):
    """True at nan."""
    return x != x


@elementwise(numpy.isinf, domain="float", result="bool", differentiable=False)
def isinf(x):
    """True at plus and minus infinity."""
    return (x - x != x - x) & (x == x)


@elementwise(numpy.isfinite, domain="float", result="bool", differentiable=False)
def isfinite(x):
    """True at neither nan nor infinity."""
    return x - x == x - x


@elementwise(numpy.signbit, domain="float", result="bool", differentiable=False)
def signbit(x):
    """True where the sign bit is set, at -0.0 too."""
    return (x < 0) | ((x == 0) & (1 / x < 0))
