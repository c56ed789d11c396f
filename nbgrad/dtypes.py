"""dtypes: promotion as NumPy 2 does it (Python scalars are weak), and the kinds that carry gradients."""

import numpy

from nbgrad.errors import DtypeError

BOOL = numpy.dtype("bool")
INT64 = numpy.dtype("int64")
UINT8 = numpy.dtype("uint8")
FLOAT16 = numpy.dtype("float16")
FLOAT32 = numpy.dtype("float32")
FLOAT64 = numpy.dtype("float64")
COMPLEX64 = numpy.dtype("complex64")
COMPLEX128 = numpy.dtype("complex128")

SUPPORTED = frozenset(
    numpy.dtype(n)
    for n in (
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    )
)

#: Stand-ins for Python scalars in promotion: they take the dtype of their partner if they can.
WEAK = {bool: "weak bool", int: "weak int", float: "weak float", complex: "weak complex"}
_WEAK_DTYPE = {"weak bool": BOOL, "weak int": INT64, "weak float": FLOAT64, "weak complex": COMPLEX128}
_WEAK_TYPE = {"weak bool": BOOL, "weak int": int, "weak float": float, "weak complex": complex}
_WEAK_EXAMPLE = {"weak bool": False, "weak int": 0, "weak float": 0.0, "weak complex": 0j}


def as_dtype(dtype, call="astype"):
    """A supported numpy.dtype from anything NumPy takes as one; DtypeError otherwise."""
    try:
        result = numpy.dtype(dtype)
    except TypeError:
        raise DtypeError(f"{call}: {dtype!r} is not a dtype") from None
    if result not in SUPPORTED:
        names = ", ".join(sorted(map(str, SUPPORTED)))
        raise DtypeError(f"{call}: dtype {result} is not supported; supported are {names}. Convert with .astype first")
    return result


def is_inexact(dtype):
    """True for the dtypes that carry gradients: floats and complex numbers."""
    return dtype.kind in "fc"


_REAL = {COMPLEX64: FLOAT32, COMPLEX128: FLOAT64}
_COMPLEX = {FLOAT32: COMPLEX64, FLOAT64: COMPLEX128, FLOAT16: COMPLEX64}


def real_of(dtype):
    """The dtype of the real part; of real numbers their own."""
    return _REAL.get(dtype, dtype)


def complex_of(dtype):
    """The complex dtype with parts of this one; of integers and booleans complex128."""
    return dtype if dtype.kind == "c" else _COMPLEX.get(dtype, COMPLEX128)


def float_of(dtype):
    """The floating dtype in which NumPy computes functions of real numbers: float16 of int8, float64 of int64."""
    return dtype if is_inexact(dtype) else {1: FLOAT16, 2: FLOAT32}.get(dtype.itemsize, FLOAT64)


def _asked(primitive, kinds, common):
    """The dtype in which NumPy's own loop computes, where the reference is a ufunc with such a loop; else `common`."""
    if not isinstance(primitive.reference, numpy.ufunc) or all(isinstance(k, str) for k in kinds):
        return common
    operands = [_WEAK_TYPE[k] if isinstance(k, str) else k for k in kinds]
    try:
        first, *others = primitive.reference.resolve_dtypes((*operands, None))[:-1]
    except TypeError:  # the caller says in our words what does not go
        return common
    return first if all(o == first for o in others) and first in SUPPORTED else common


def promote(kinds):
    """Common dtype of dtypes and weak stand-ins; None when there is only one dtype's worth of nothing."""
    strong = [k for k in kinds if not isinstance(k, str)]
    if not strong:
        return numpy.result_type(*(_WEAK_DTYPE[k] for k in kinds))
    return numpy.result_type(*strong, *(_WEAK_EXAMPLE[k] for k in kinds if isinstance(k, str)))


_resolved = {}
#: The dtype of a result, from that of the operands.
_RESULTS = {"same": lambda dtype: dtype, "real": real_of, "complex": complex_of}


def resolve(primitive, kinds):
    """(result dtype, dtype each input is cast to) for an elementwise primitive; cached by `kinds`."""
    key = primitive, kinds
    found = _resolved.get(key)
    if found is None:
        found = _resolved[key] = _resolve(primitive, kinds)
    return found


def result_of(word, common):
    """The dtype of the result of an elementwise primitive, as it declares it, for operands of one dtype."""
    made = _RESULTS.get(word)
    return numpy.dtype(word) if made is None else made(common)


def _resolve(primitive, kinds):
    casts = primitive.casts or (None,) * len(kinds)
    common = None
    free = [k for k, c in zip(kinds, casts, strict=False) if c is None]
    if free:
        common = promote(free)
        if common not in SUPPORTED:
            raise DtypeError(f"{primitive.name}: operands {', '.join(map(str, kinds))} have no common supported dtype")
        common = _asked(primitive, free, common)
        if primitive.domain == "float" and not is_inexact(common):
            common = float_of(common)
        if common.kind == "c" and not primitive.of_complex:
            raise DtypeError(f"{primitive.name}: got {common}, expected real numbers; take x.real, x.imag or abs(x)")
        if primitive.domain == "number" and common.kind == "b":
            raise DtypeError(
                f"{primitive.name}: booleans are not numbers here; use logical operations, or cast with "
                ".astype('int64')"
            )
        if primitive.domain == "integer" and is_inexact(common):
            raise DtypeError(
                f"{primitive.name}: got {common}, expected integers or booleans; cast with .astype('int64')"
            )
    result = result_of(primitive.result, common)
    return result, tuple(common if c is None else numpy.dtype(c) for c in casts)
