"""Arithmetic: the four operations, remainders, sign and absolute value."""

import numpy

from nbgrad.kernels._intrinsics import c_floor_divide, c_remainder, magnitude, with_sign
from nbgrad.primitive import elementwise


@elementwise(numpy.add, domain="any", expression="{0} + {1}")
def add(x1, x2):
    """Sum; logical or for booleans."""
    return x1 + x2


@add.vjp
def add_vjp(g):
    return g, g


@elementwise(numpy.subtract, domain="number", expression="{0} - {1}")
def subtract(x1, x2):
    """Difference."""
    return x1 - x2


@subtract.vjp
def subtract_vjp(g):
    return g, -g


@elementwise(numpy.multiply, domain="any", expression="{0} * {1}")
def multiply(x1, x2):
    """Product; logical and for booleans."""
    return x1 * x2


@multiply.vjp
def multiply_vjp(g, x1, x2):
    return g * x2, g * x1


@elementwise(numpy.divide, domain="float", expression="{0} / {1}", cost=4)
def divide(x1, x2):
    """Quotient; integers give float64."""
    return x1 / x2


@divide.vjp
def divide_vjp(g, x1, x2):
    share = g / x2
    return share, -share * (x1 / x2)


@elementwise(numpy.negative, domain="number", expression="-{0}")
def negative(x):
    """Minus x."""
    return -x


@negative.vjp
def negative_vjp(g):
    return -g


@elementwise(numpy.positive, domain="number", expression="{0}")
def positive(x):
    """Plus x: a new Array with the same value."""
    return x


@positive.vjp
def positive_vjp(g):
    return g


@elementwise(numpy.abs, domain="number", result="real", name="absolute")
def absolute(x):
    """Absolute value."""
    return magnitude(x)


@absolute.vjp
def absolute_vjp(g, x):
    return g * sign(x)  # 0 at 0, the middle of the subdifferential


@elementwise(numpy.sign, domain="number")
def sign(x):
    """-1, 0 or 1; nan stays nan."""
    return 1 if x > 0 else (-1 if x < 0 else x)


@sign.vjp
def sign_vjp(g):
    return g * 0.0


@elementwise(numpy.floor_divide, domain="number", cost=6)
def floor_divide(x1, x2):
    """Floor of the quotient; 0 for an integer division by zero, as NumPy."""
    return c_floor_divide(x1, x2)


@floor_divide.vjp
def floor_divide_vjp(g):
    return None, None  # piecewise constant


@elementwise(numpy.remainder, domain="number", cost=6)
def remainder(x1, x2):
    """x1 - floor(x1 / x2) * x2, with the sign of x2."""
    return c_remainder(x1, x2)


@remainder.vjp
def remainder_vjp(g, x1, x2):
    return g, -g * floor_divide(x1, x2)


@elementwise(numpy.copysign, domain="float")
def copysign(x1, x2):
    """|x1| with the sign of x2."""
    return with_sign(x1, x2)


@copysign.vjp
def copysign_vjp(g, x1, x2):
    return g * (sign(x1) * copysign(1.0, x2)), None
