"""Functions of integers alone: none has a derivative.  All of them are called by NumPy between launches."""

import numpy

from nbgrad.kernels.floats import broadcast
from nbgrad.primitive import structural


@structural("array", reference=numpy.gcd, differentiable=False, batch="broadcast")
def gcd(x1, x2):
    """Greatest common divisor."""
    return broadcast("gcd", x1, x2), x1.dtype


@structural("array", reference=numpy.lcm, differentiable=False, batch="broadcast")
def lcm(x1, x2):
    """Least common multiple."""
    return broadcast("lcm", x1, x2), x1.dtype


@structural("array", reference=numpy.bitwise_count, differentiable=False, batch="leading")
def bitwise_count(x):
    """How many bits of |x| are set."""
    return x.shape, numpy.dtype("uint8")
