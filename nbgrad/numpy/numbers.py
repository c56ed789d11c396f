"""Integers and the parts of floating-point numbers: divisors, bits, mantissas, neighbours."""

import numpy

from nbgrad import dtypes
from nbgrad.errors import DtypeError, describe
from nbgrad.kernels import arithmetic, comparison, floats, integers, rounding, selection
from nbgrad.numpy._arguments import as_array, cast
from nbgrad.numpy.elementwise import fmod

__all__ = ["bitwise_count", "frexp", "gcd", "lcm", "ldexp", "modf", "nextafter", "spacing"]


def _operands(call, x1, x2, kinds):
    """Two Arrays of their common dtype, where Python's numbers are weak; an error unless it is of these kinds."""
    given = (x1, "x1"), (x2, "x2")
    arrays = [as_array(x, call, name) for x, name in given]
    weak = [dtypes.WEAK.get(type(x)) for x, _ in given]
    dtype = dtypes.promote([w or a.dtype for w, a in zip(weak, arrays, strict=True)])
    if kinds == "f" and dtype.kind in "iub":
        dtype = dtypes.FLOAT64
    if dtype.kind not in kinds:
        what = "integers" if "i" in kinds else "real numbers"
        raise DtypeError(f"{call}: got {dtype}, expected {what}; {describe(arrays[0], 'x1')}")
    return [cast(a, dtype) for a in arrays]


def gcd(x1, x2):
    """Greatest common divisor of integers."""
    return integers.gcd(*_operands("gcd", x1, x2, "iu"))


def lcm(x1, x2):
    """Least common multiple of integers."""
    return integers.lcm(*_operands("lcm", x1, x2, "iu"))


def bitwise_count(x):
    """How many bits of the magnitude of integers are set, as uint8."""
    x = as_array(x, "bitwise_count")
    if x.dtype.kind not in "iu":
        raise DtypeError(f"bitwise_count: x must hold integers; {describe(x, 'x')}")
    return integers.bitwise_count(x)


def _floats(call, x):
    x = as_array(x, call)
    if x.dtype.kind == "c":
        raise DtypeError(f"{call}: x must hold real numbers; {describe(x, 'x')}")
    return x if x.dtype.kind == "f" else cast(x, dtypes.FLOAT64)


def frexp(x):
    """(mantissa, exponent): ``x = mantissa * 2**exponent`` with ``0.5 <= |mantissa| < 1``, exponents as int32.

    The derivative of the mantissa is ``2**-exponent``.
    """
    x = _floats("frexp", x)
    e = floats.binary_exponent(x)
    odd = (x == 0) | ~comparison.isfinite(x)  # themselves
    return selection.where(odd, x, floats.ldexp(selection.where(odd, 1.0, x), selection.where(odd, 0, -e))), e


def ldexp(x1, x2):
    """x1 * 2**x2, of integers x2."""
    x1, x2 = _floats("ldexp", x1), as_array(x2, "ldexp", "x2")
    if x2.dtype.kind not in "iub" or x2.dtype == numpy.dtype("uint64"):
        raise DtypeError(f"ldexp: x2 must hold signed integers; {describe(x2, 'x2')}")
    return floats.ldexp(x1, cast(x2, dtypes.INT64))


def modf(x):
    """(fractional part, integral part), both with the sign of x; the derivative of the first is 1."""
    x = _floats("modf", x)
    endless = comparison.isinf(x)
    rest = fmod(selection.where(endless, 1.0, x), 1.0)
    rest = selection.where(x == 0, x, rest)  # with its sign
    return selection.where(endless, arithmetic.copysign(0.0 * rest, x), rest), rounding.trunc(x)


def nextafter(x1, x2):
    """The next floating-point number after x1 towards x2; its derivative by x1 is 1."""
    x1, x2 = _operands("nextafter", x1, x2, "f")
    return floats.nextafter(x1, x2, dtype=x1.dtype)


def spacing(x):
    """The distance to the nearest other floating-point number."""
    x = _floats("spacing", x)
    return floats.spacing(x, dtype=x.dtype)
