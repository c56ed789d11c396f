"""Parts of numbers, bits, divisors, windows, and questions about arrays and dtypes, against NumPy."""

import types

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_row_gradient, check_values

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.numpy.left_out import LEFT_OUT

A = normal(3, 4)
SPECIAL = numpy.array([0.0, -0.0, 1.5, -2.75, 3.0, 1e300, 5e-324, numpy.inf, -numpy.inf, numpy.nan])
SINGLE = SPECIAL[[0, 1, 2, 3, 4, 7, 8, 9]].astype("float32")
N, M = numpy.array([[12, -18, 0], [7, 5, 30]]), numpy.array([8, 27, 0])
E = numpy.array([3, 0, -2, 5])
ROWS = (
    ("gcd", (N, M), {}, ()),
    ("gcd", (N.astype("int8"), 6), {}, ()),
    ("gcd", (N.astype("int32"), M.astype("uint8")), {}, ()),
    ("lcm", (N, M), {}, ()),
    ("bitwise_count", (N,), {}, ()),
    ("bitwise_count", (N.astype("int8"),), {}, ()),
    ("frexp", (SPECIAL,), {}, ()),
    ("frexp", (A,), {}, (0,)),
    ("frexp", (SINGLE,), {}, ()),
    ("frexp", (N,), {}, ()),
    ("ldexp", (A, E), {}, (0,)),
    ("ldexp", (A.astype("float32"), 2), {}, ()),
    ("ldexp", (SPECIAL, numpy.int8(-3)), {}, ()),
    ("modf", (SPECIAL,), {}, ()),
    ("modf", (A * 3,), {}, (0,)),
    ("modf", (A.astype("float32"),), {}, ()),
    ("modf", (N,), {}, ()),
    ("nextafter", (A, 0.0), {}, (0,)),
    ("nextafter", (A.astype("float32"), 7.0), {}, ()),
    ("nextafter", (SPECIAL, 1.0), {}, ()),
    ("spacing", (SPECIAL[:8],), {}, ()),
    ("spacing", (A.astype("float32"),), {}, ()),
    ("spacing", (A.astype("float16"),), {}, ()),
    ("nextafter", (A.astype("float16"), numpy.float16(9)), {}, ()),
    ("iscomplex", (A,), {}, ()),
    ("iscomplex", (numpy.array([1 + 1j, 2 + 0j]),), {}, ()),
    ("isreal", (numpy.array([1 + 1j, 2 + 0j]),), {}, ()),
    ("isreal", (A > 0,), {}, ()),
    ("iscomplexobj", (numpy.array([2 + 0j]),), {}, ()),
    ("isrealobj", (A,), {}, ()),
    ("isscalar", (3.0,), {}, ()),
    ("isscalar", (A,), {}, ()),
    ("isfortran", (A,), {}, ()),
    ("iterable", (3,), {}, ()),
    ("iterable", (A,), {}, ()),
    ("array_equiv", (A, A[:1]), {}, ()),
    ("array_equiv", (A[:1], numpy.stack([A[:1], A[:1]])), {}, ()),
    ("array_equiv", (A, A[:, :2]), {}, ()),
    ("real_if_close", (A + 1e-20j,), {}, ()),
    ("real_if_close", (A + 1e-3j,), {}, ()),
    ("real_if_close", (A + 1e-3j,), {"tol": 1e14}, ()),
    ("real_if_close", (A,), {}, ()),
    ("matvec", (A, E), {}, (0,)),
    ("matvec", (normal(2, 3, 4), normal(2, 4)), {}, (0, 1)),
    ("vecmat", (normal(3), A), {}, (0, 1)),
    ("vecmat", (A[:, :3] + 1j * A[:, 1:], normal(3, 3) + 0j), {}, ()),
    ("hanning", (7,), {}, ()),
    ("hamming", (7,), {}, ()),
    ("blackman", (1,), {}, ()),
    ("bartlett", (6,), {}, ()),
    ("hanning", (0,), {}, ()),
    ("kaiser", (6, 3.5), {}, ()),
    ("kaiser", (6, numpy.array(3.5)), {}, (1,)),
    ("kaiser", (1, numpy.array(3.5)), {}, ()),
    ("i0", (A,), {}, (0,)),
    ("i0", (numpy.array([0.0, -20.0, 300.0]),), {}, ()),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    check_values(name, args, kwargs, 2e-6 if getattr(args[0], "dtype", None) == "float32" else 1e-13)
    if by:
        check_row_gradient(name, args, kwargs, by)


def test_signs_of_zeros():
    for part, expected in zip(np.modf(SPECIAL), numpy.modf(SPECIAL), strict=True):
        numpy.testing.assert_array_equal(numpy.signbit(part.numpy()[1:9]), numpy.signbit(expected[1:9]))


def test_parts_have_gradients_where_they_are_whole():
    numpy.testing.assert_array_equal(ng.grad(lambda x: np.modf(x)[0].sum())(numpy.array([2.0, -3.0])).numpy(), [1, 1])
    check_gradient(lambda x: np.ldexp(*np.frexp(x)), A)


def test_dtypes():
    for a, b in (("int8", "uint8"), ("float32", "int64"), ("float64", "complex64"), ("bool", "bool")):
        assert np.promote_types(a, b) == numpy.promote_types(a, b)
    assert np.min_scalar_type(300) == numpy.min_scalar_type(300)
    assert np.min_scalar_type(ng.asarray(3)) == numpy.min_scalar_type(numpy.array(3))
    assert np.min_scalar_type(ng.asarray(A)) == numpy.float64
    assert np.common_type(ng.asarray(N), A.astype("float32")) == numpy.common_type(N, A.astype("float32"))
    assert np.issubdtype(np.float32, np.floating)
    assert np.typename("d") == numpy.typename("d")
    assert not np.isscalar(ng.asarray(3.0))


def test_einsum_path():
    arrays = normal(2, 3), normal(3, 4), normal(4, 2)
    ours = np.einsum_path("ij,jk,kl->il", *map(ng.asarray, arrays), optimize="optimal")
    assert ours == numpy.einsum_path("ij,jk,kl->il", *arrays, optimize="optimal")


MESSAGES = (
    (lambda: np.gcd(A, 2), errors.DtypeError, r"gcd: got float64, expected integers"),
    (lambda: np.bitwise_count(A), errors.DtypeError, r"bitwise_count: x must hold integers"),
    (lambda: np.frexp(A + 1j), errors.DtypeError, r"frexp: x must hold real numbers"),
    (lambda: np.ldexp(A, 0.5), errors.DtypeError, r"ldexp: x2 must hold signed integers"),
    (lambda: np.ldexp(A, E[:3]), errors.ShapeError, r"ldexp\(x1, x2\): shapes \(3, 4\) and \(3,\) do not broadcast"),
    (lambda: np.nextafter(1j, A), errors.DtypeError, r"nextafter: got complex128, expected real numbers"),
    (lambda: np.common_type(A > 0), errors.ArgumentError, r"common_type: booleans have none; cast them first"),
    (lambda: np.matvec(A, A[:, 0]), errors.ShapeError, r"matvec\(x1, x2\): .* expected \(..., m, n\) and \(..., n\)"),
    (lambda: np.vecmat(A, A), errors.ShapeError, r"vecmat\(x1, x2\): .* expected \(..., n\) and \(..., n, m\)"),
    (lambda: np.loadtxt, AttributeError, r"nbgrad.numpy has no loadtxt: files are NumPy's business"),
    (lambda: np.poly1d, AttributeError, r"has no poly1d: polynomials are arrays of coefficients; use polyval"),
    (lambda: np.medain, AttributeError, r"nbgrad.numpy has no medain; nearest are median"),
    (lambda: np.qqqq, AttributeError, r"nbgrad.numpy has no qqqq$"),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_every_name_of_numpy_is_here_or_said_to_be_left_out():
    names = [n for n in dir(numpy) if n[0].islower() and not isinstance(getattr(numpy, n), types.ModuleType)]
    assert [n for n in names if not hasattr(np, n) and n not in LEFT_OUT] == []
    assert [n for n in LEFT_OUT if hasattr(np, n)] == []


def test_all_names_are_there():
    assert len(set(np.__all__)) == len(np.__all__)
    namespace = {}
    exec("from nbgrad.numpy import *", namespace)
    public = {n for n, v in vars(np).items() if n[0] != "_" and not isinstance(v, types.ModuleType)}
    assert public - set(namespace) == set()


def test_constants_are_numpys():
    for name in ("e", "pi", "inf", "nan", "euler_gamma", "newaxis", "float32", "dtype", "integer", "half"):
        ours, theirs = getattr(np, name), getattr(numpy, name)
        assert ours is theirs or ours == theirs
