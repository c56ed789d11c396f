"""Rounding: piecewise constant, so the derivative is zero almost everywhere and no cotangent flows."""

import numpy

from nbgrad.kernels._intrinsics import round_down, round_even, round_to_zero, round_up
from nbgrad.primitive import elementwise


@elementwise(numpy.floor, domain="float")
def floor(x):
    """Largest integral value not above x."""
    return round_down(x)


@elementwise(numpy.ceil, domain="float")
def ceil(x):
    """Smallest integral value not below x."""
    return round_up(x)


@elementwise(numpy.trunc, domain="float")
def trunc(x):
    """x without its fraction."""
    return round_to_zero(x)


@elementwise(numpy.rint, domain="float")
def rint(x):
    """Nearest integral value, ties to even."""
    return round_even(x)


@floor.vjp
@ceil.vjp
@trunc.vjp
@rint.vjp
def rounding_vjp(g):
    return None
