"""Placeholder."""

import math

import numpy

from nbgrad.primitive import elementwise
from nbgrad.kernels.exponential import exp


@elementwise(lambda x: __import__('scipy.special').special.erf(x))
def erf(x):
    """."""
    return math.erf(x)


@erf.vjp
def erf_vjp(g, x):
    return g * 1.1283791670955126 * exp(-x * x)
