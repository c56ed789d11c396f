"""Placeholder."""

import math

import numpy

from nbgrad.primitive import elementwise


@elementwise(numpy.tanh)
def tanh(x):
    """."""
    return math.tanh(x)


@tanh.vjp
def tanh_vjp(g, y):
    return g * (1.0 - y * y)


@elementwise(numpy.sinh)
def sinh(x):
    """."""
    return math.sinh(x)


@sinh.vjp
def sinh_vjp(g, x):
    return g * cosh(x)


@elementwise(numpy.cosh)
def cosh(x):
    """."""
    return math.cosh(x)


@cosh.vjp
def cosh_vjp(g, x):
    return g * sinh(x)
