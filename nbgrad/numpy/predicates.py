"""Questions about arrays and dtypes."""

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array, _value
from nbgrad.errors import ArgumentError
from nbgrad.kernels import complex
from nbgrad.numpy._arguments import as_array
from nbgrad.numpy.reductions import all

__all__ = [
    "array_equiv", "common_type", "iscomplex", "iscomplexobj", "isfortran", "isreal", "isrealobj", "isscalar",
    "issubdtype", "iterable", "min_scalar_type", "mintypecode", "promote_types", "real_if_close", "typename",
]  # fmt: skip

issubdtype, mintypecode, typename = numpy.issubdtype, numpy.mintypecode, numpy.typename


def array_equiv(a1, a2):
    """Whether two arrays broadcast to one shape and are equal there, as a bool; computes it now."""
    a, b = as_array(a1, "array_equiv", "a1"), as_array(a2, "array_equiv", "a2")
    return shapes.broadcast([a.shape, b.shape]) is not None and bool(all(a == b))


def iscomplex(x):
    """Where the imaginary part is not 0."""
    x = as_array(x, "iscomplex")
    if x.dtype.kind == "c":
        return complex.imag(x) != 0
    return Array(graph.constant(False, dtypes.BOOL, x.shape))


def isreal(x):
    """Where the imaginary part is 0."""
    return ~iscomplex(x)


def iscomplexobj(x):
    """Whether the dtype is complex, whatever the values are."""
    return as_array(x, "iscomplexobj").dtype.kind == "c"


def isrealobj(x):
    """Whether the dtype is not complex."""
    return not iscomplexobj(x)


def isscalar(element):
    """Whether this is a number and no array, as in NumPy: no 0-d Array is."""
    return numpy.isscalar(element)


def isfortran(x):
    """Whether an array is in Fortran order only; no Array is."""
    return False if isinstance(x, Array) else numpy.isfortran(x)


def iterable(y):
    """Whether one can iterate over it."""
    try:
        iter(y)
    except TypeError:
        return False
    return True


def min_scalar_type(x):
    """The smallest dtype that holds this number; of an array with dimensions its dtype.  Computes the value now."""
    return numpy.min_scalar_type(_value(x) if isinstance(x, Array) else x)


def promote_types(type1, type2):
    """The smallest dtype that both can be cast to safely."""
    return dtypes.as_dtype(numpy.promote_types(type1, type2), "promote_types")


def common_type(*arrays):
    """The floating or complex scalar type that arrays have in common, as `numpy.float64`."""
    found = [as_array(a, "common_type", f"arrays[{i}]").dtype for i, a in enumerate(arrays)]
    if any(d.kind == "b" for d in found):
        raise ArgumentError("common_type: booleans have none; cast them first")
    return numpy.common_type(*(numpy.empty(0, d) for d in found))


def real_if_close(x, tol=100):
    """The real parts, if all imaginary ones are smaller than `tol` (above 1: times the rounding error of the dtype).

    Computes the value now; gradients flow on.
    """
    from nbgrad.numpy.indexing import concrete

    x = as_array(x, "real_if_close")
    if x.dtype.kind != "c":
        return x
    if tol > 1:
        tol = numpy.finfo(x.dtype).eps * tol
    return complex.real(x) if (abs(concrete(x, "real_if_close", "x").imag) < tol).all() else x
