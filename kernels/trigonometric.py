"""Placeholder."""

import math

import numpy

from nbgrad.primitive import elementwise


@elementwise(numpy.sin)
def sin(x):
    """."""
    return math.sin(x)


@sin.vjp
def sin_vjp(g, x):
    return g * cos(x)


@elementwise(numpy.cos)
def cos(x):
    """."""
    return math.cos(x)


@cos.vjp
def cos_vjp(g, x):
    return -g * sin(x)


@elementwise(numpy.tan)
def tan(x):
    """."""
    return math.tan(x)


@tan.vjp
def tan_vjp(g, y):
    return g * (1.0 + y * y)


@elementwise(numpy.arctan)
def arctan(x):
    """."""
    return math.atan(x)


@arctan.vjp
def arctan_vjp(g, x):
    return g / (1.0 + x * x)
