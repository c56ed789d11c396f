"""Placeholder."""

import math

import numpy

from nbgrad.primitive import elementwise


@elementwise(numpy.sqrt)
def sqrt(x):
    """."""
    return math.sqrt(x)


@sqrt.vjp
def sqrt_vjp(g, y):
    return g * 0.5 / y


@elementwise(numpy.reciprocal)
def reciprocal(x):
    """."""
    return 1.0 / x


@reciprocal.vjp
def reciprocal_vjp(g, y):
    return -g * (y * y)


@elementwise(numpy.square, domain="number")
def square(x):
    """."""
    return x * x


@square.vjp
def square_vjp(g, x):
    return 2.0 * g * x


@elementwise(numpy.cbrt)
def cbrt(x):
    """."""
    return x


@cbrt.vjp
def cbrt_vjp(g, y):
    return g / (3.0 * y * y)
