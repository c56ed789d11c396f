"""The parts of floating-point numbers, and their neighbours.  All of them are called by NumPy between launches."""

import numpy

from nbgrad import shapes
from nbgrad.errors import ShapeError, describe
from nbgrad.primitive import structural


def broadcast(call, x1, x2):
    """The shape that two operands broadcast to, or ShapeError."""
    shape = shapes.broadcast([x1.shape, x2.shape])
    if shape is None:
        raise ShapeError(
            f"{call}(x1, x2): shapes {x1.shape} and {x2.shape} do not broadcast\n"
            f"    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}"
        )
    return shape


@structural("array", reference=numpy.ldexp, batch="broadcast")
def ldexp(x1, x2):
    """x1 * 2**x2 for integers x2, without overflow on the way."""
    return broadcast("ldexp", x1, x2), x1.dtype


@ldexp.vjp
def ldexp_vjp(g, x2):
    return ldexp(g, x2), None


@structural("array", reference=lambda x: numpy.frexp(x)[1], differentiable=False, batch="leading")
def binary_exponent(x):
    """The integer e with |x| = m 2**e, 0.5 <= m < 1."""
    return x.shape, numpy.dtype("int32")


def _within(function):
    """A function of numbers of a dtype: float16 arrives as float32 in compiled programs."""
    return lambda *xs, dtype: function(*(x.astype(dtype) for x in xs)).astype(xs[0].dtype)


@structural("array", reference=_within(numpy.nextafter), batch="broadcast")
def nextafter(x1, x2, *, dtype):
    """The next number after x1 towards x2 that `dtype` has."""
    return broadcast("nextafter", x1, x2), x1.dtype


@nextafter.vjp
def nextafter_vjp(g):
    return g, None  # the distance to the neighbour is constant almost everywhere


@structural("array", reference=_within(numpy.spacing), differentiable=False, batch="leading")
def spacing(x, *, dtype):
    """The distance to the nearest other number that `dtype` has: piecewise constant."""
    return x.shape, x.dtype
