"""Placeholder."""

import math

import numpy

from nbgrad.primitive import elementwise


@elementwise(numpy.exp)
def exp(x):
    """."""
    return math.exp(x)


@exp.vjp
def exp_vjp(g, y):
    return g * y


@elementwise(numpy.expm1)
def expm1(x):
    """."""
    return math.expm1(x)


@expm1.vjp
def expm1_vjp(g, y):
    return g * (y + 1.0)


@elementwise(numpy.log)
def log(x):
    """."""
    return math.log(x)


@log.vjp
def log_vjp(g, x):
    return g / x


@elementwise(numpy.log1p)
def log1p(x):
    """."""
    return math.log1p(x)


@log1p.vjp
def log1p_vjp(g, x):
    return g / (1.0 + x)


@elementwise(lambda x: 1 / (1 + numpy.exp(-x)))
def logistic(x):
    """."""
    return 1.0 / (1.0 + math.exp(-x))


@logistic.vjp
def logistic_vjp(g, y):
    return g * y * (1.0 - y)


@elementwise(lambda x: numpy.logaddexp(x, 0))
def softplus(x):
    """."""
    return math.log(1.0 + math.exp(x))


@softplus.vjp
def softplus_vjp(g, x):
    return g * logistic(x)


@elementwise(numpy.power, domain="number")
def power(x1, x2):
    """."""
    return math.pow(x1, x2)


@power.vjp
def power_vjp(g, y, x1, x2):
    from nbgrad.kernels.selection import where
    return g * where(x2 == 0.0, 0.0, x2 * power(x1, x2 - 1.0)), g * where(x1 > 0.0, log(where(x1 > 0.0, x1, 1.0)), 0.0) * y
