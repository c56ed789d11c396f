"""Elementwise functions against NumPy and SciPy; gradients against central differences."""

import numpy
import pytest
import scipy.special
from checking import check_gradient, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

#: name, oracle, interval to sample, whether it has a gradient
UNARY = (
    ("absolute", numpy.absolute, (-3, 3), True),
    ("abs", numpy.abs, (-3, 3), True),
    ("arccos", numpy.arccos, (-0.9, 0.9), True),
    ("acos", numpy.arccos, (-0.9, 0.9), True),
    ("arccosh", numpy.arccosh, (1.1, 5), True),
    ("acosh", numpy.arccosh, (1.1, 5), True),
    ("arcsin", numpy.arcsin, (-0.9, 0.9), True),
    ("asin", numpy.arcsin, (-0.9, 0.9), True),
    ("arcsinh", numpy.arcsinh, (-3, 3), True),
    ("asinh", numpy.arcsinh, (-3, 3), True),
    ("arctan", numpy.arctan, (-3, 3), True),
    ("atan", numpy.arctan, (-3, 3), True),
    ("arctanh", numpy.arctanh, (-0.9, 0.9), True),
    ("atanh", numpy.arctanh, (-0.9, 0.9), True),
    ("around", numpy.around, (-3, 3), False),
    ("cbrt", numpy.cbrt, (0.2, 3), True),
    ("ceil", numpy.ceil, (-3, 3), False),
    ("conj", numpy.conj, (-3, 3), True),
    ("conjugate", numpy.conj, (-3, 3), True),
    ("cos", numpy.cos, (-3, 3), True),
    ("cosh", numpy.cosh, (-3, 3), True),
    ("deg2rad", numpy.deg2rad, (-300, 300), True),
    ("degrees", numpy.degrees, (-3, 3), True),
    ("digamma", scipy.special.digamma, (0.3, 5), True),
    ("erf", scipy.special.erf, (-2, 2), True),
    ("erfc", scipy.special.erfc, (-2, 2), True),
    ("exp", numpy.exp, (-3, 3), True),
    ("exp2", numpy.exp2, (-3, 3), True),
    ("expit", scipy.special.expit, (-3, 3), True),
    ("expm1", numpy.expm1, (-3, 3), True),
    ("fabs", numpy.fabs, (-3, 3), True),
    ("fix", numpy.fix, (-3, 3), False),
    ("floor", numpy.floor, (-3, 3), False),
    ("gammaln", scipy.special.gammaln, (0.3, 5), True),
    ("gelu", lambda x: x * scipy.special.ndtr(x), (-3, 3), True),
    ("imag", numpy.imag, (-3, 3), False),
    ("lgamma", scipy.special.gammaln, (0.3, 5), True),
    ("log", numpy.log, (0.2, 3), True),
    ("log10", numpy.log10, (0.2, 3), True),
    ("log1p", numpy.log1p, (-0.8, 3), True),
    ("log2", numpy.log2, (0.2, 3), True),
    ("log_sigmoid", scipy.special.log_expit, (-3, 3), True),
    ("logistic", scipy.special.expit, (-3, 3), True),
    ("logit", scipy.special.logit, (0.1, 0.9), True),
    ("nan_to_num", numpy.nan_to_num, (-3, 3), True),
    ("negative", numpy.negative, (-3, 3), True),
    ("positive", numpy.positive, (-3, 3), True),
    ("rad2deg", numpy.rad2deg, (-3, 3), True),
    ("radians", numpy.radians, (-300, 300), True),
    ("real", numpy.real, (-3, 3), True),
    ("reciprocal", numpy.reciprocal, (0.3, 3), True),
    ("relu", lambda x: numpy.maximum(x, 0), (-3, 3), True),
    ("rint", numpy.rint, (-3, 3), False),
    ("round", numpy.round, (-3, 3), False),
    ("rsqrt", lambda x: 1 / numpy.sqrt(x), (0.3, 3), True),
    ("sigmoid", scipy.special.expit, (-3, 3), True),
    ("sign", numpy.sign, (-3, 3), False),
    ("silu", lambda x: x * scipy.special.expit(x), (-3, 3), True),
    ("sin", numpy.sin, (-3, 3), True),
    ("sinc", numpy.sinc, (-3, 3), True),
    ("sinh", numpy.sinh, (-3, 3), True),
    ("softplus", lambda x: numpy.logaddexp(x, 0), (-3, 3), True),
    ("sqrt", numpy.sqrt, (0.2, 3), True),
    ("square", numpy.square, (-3, 3), True),
    ("stop_gradient", lambda x: x, (-3, 3), "cut"),
    ("tan", numpy.tan, (-1, 1), True),
    ("tanh", numpy.tanh, (-3, 3), True),
    ("trigamma", lambda x: scipy.special.polygamma(1, x).astype(x.dtype), (0.3, 5), True),
    ("trunc", numpy.trunc, (-3, 3), False),
)
#: name, oracle, intervals, whether it has a gradient
BINARY = (
    ("add", numpy.add, (-3, 3), (-3, 3), True),
    ("arctan2", numpy.arctan2, (-3, 3), (0.4, 3), True),
    ("atan2", numpy.arctan2, (-3, 3), (-3, -0.4), True),
    ("copysign", numpy.copysign, (-3, 3), (-3, 3), True),
    ("divide", numpy.divide, (-3, 3), (0.5, 3), True),
    ("float_power", numpy.float_power, (0.3, 3), (-2, 2), True),
    ("floor_divide", numpy.floor_divide, (-3, 3), (0.5, 3), False),
    ("fmax", numpy.fmax, (-3, 3), (-3, 3), True),
    ("fmin", numpy.fmin, (-3, 3), (-3, 3), True),
    ("fmod", numpy.fmod, (-3, 3), (0.5, 1), True),
    ("heaviside", numpy.heaviside, (-3, 3), (0, 1), True),
    ("hypot", numpy.hypot, (-3, 3), (0.4, 3), True),
    ("logaddexp", numpy.logaddexp, (-3, 3), (-3, 3), True),
    ("logaddexp2", numpy.logaddexp2, (-3, 3), (-3, 3), True),
    ("maximum", numpy.maximum, (-3, 3), (-3, 3), True),
    ("minimum", numpy.minimum, (-3, 3), (-3, 3), True),
    ("mod", numpy.mod, (-3, 3), (0.5, 1), True),
    ("multiply", numpy.multiply, (-3, 3), (-3, 3), True),
    ("pow", numpy.power, (0.3, 3), (-2, 2), True),
    ("power", numpy.power, (0.3, 3), (-2, 2), True),
    ("remainder", numpy.remainder, (-3, 3), (-1, -0.5), True),
    ("subtract", numpy.subtract, (-3, 3), (-3, 3), True),
    ("true_divide", numpy.true_divide, (-3, 3), (0.5, 3), True),
)
COMPARISONS = (
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
    "logical_xor",
)  # fmt: skip
TESTS = ["isnan", "isinf", "isfinite", "signbit", "logical_not", "isposinf", "isneginf"]
BITS = (
    "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "bitwise_left_shift",
    "bitwise_right_shift",
)  # fmt: skip

#: accuracy of the float32 forms of these is that of the oracle, which is no better
LOOSE = {"digamma": 1e-5, "trigamma": 1e-5, "lgamma": 1e-5, "gammaln": 1e-5, "logit": 1e-5, "sinc": 1e-5, "tan": 1e-5}


def samples(interval, *shape, seed=0):
    low, high = interval
    return numpy.random.default_rng((seed, *shape)).uniform(low, high, shape)


@pytest.mark.parametrize("row", UNARY, ids=lambda row: row[0])
def test_unary_value(row):
    name, oracle, interval, _ = row
    function = getattr(np, name)
    for shape in ((), (5,), (2, 3), (0,), (2, 0)):
        x = samples(interval, *shape)
        same(function(x), oracle(x), 1e-12)
        single = x.astype("float32")
        same(function(ng.asarray(single)), numpy.asarray(oracle(single), "float32"), LOOSE.get(name, 4e-6))


@pytest.mark.parametrize("row", [row for row in UNARY if row[3] != "cut"], ids=lambda row: row[0])
def test_unary_gradient(row):
    name, _, interval, differentiable = row
    check_gradient(getattr(np, name), samples(interval, 4, seed=1), second=differentiable)


def test_stop_gradient():
    check_gradient(lambda x: np.stop_gradient(x) * 0 + x, [1.0, 2.0])


INTEGER = (
    "absolute", "negative", "positive", "square", "sign", "floor", "ceil", "trunc", "rint", "round", "exp", "sqrt",
    "isnan", "isfinite", "real", "relu",
)  # fmt: skip


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("dtype", ["int64", "int32"])
def test_integers(name, dtype):
    x = numpy.array([0, 1, 4, 9], dtype)
    oracle = (lambda x: numpy.maximum(x, 0)) if name == "relu" else getattr(numpy, name)
    same(getattr(np, name)(x), oracle(x))


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row[0])
def test_binary_value(row):
    name, oracle, first, second, _ = row
    function = getattr(np, name)
    for a, b in (((3,), (3,)), ((2, 1), (3,)), ((), (2, 2)), ((0, 3), (3,))):
        x1, x2 = samples(first, *a), samples(second, *b, seed=1)
        same(function(x1, ng.asarray(x2)), oracle(x1, x2), 1e-12)
        if name != "float_power":
            x1, x2 = x1.astype("float32"), x2.astype("float32")
            same(function(ng.asarray(x1), x2), oracle(x1, x2), 2e-5)


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row[0])
def test_binary_gradient(row):
    name, _, first, second, differentiable = row
    x1, x2 = samples(first, 2, 3, seed=2), samples(second, 3, seed=3)
    if name == "copysign":
        check_gradient(lambda a: np.copysign(a, x2), x1)
    else:
        check_gradient(getattr(np, name), x1, x2, second=differentiable)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison(name):
    x1, x2 = numpy.array([0, 1, 2, 2]), numpy.array([1.0, 1.0, 0.0, 2.0])
    same(getattr(np, name)(x1, ng.asarray(x2)), getattr(numpy, name)(x1, x2))


@pytest.mark.parametrize("name", TESTS)
def test_float_classes(name):
    x = numpy.array([0.0, -0.0, numpy.nan, numpy.inf, -numpy.inf, 1.5])
    same(getattr(np, name)(x), getattr(numpy, name)(x))


@pytest.mark.parametrize("name", BITS)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32"])
def test_bits(name, dtype):
    x1, x2 = numpy.array([5, 12, 255 if dtype == "uint8" else -7], dtype), numpy.array([1, 3, 2], dtype)
    same(getattr(np, name)(x1, x2), getattr(numpy, name)(x1, x2))


@pytest.mark.parametrize("name", ["invert", "bitwise_not", "bitwise_invert"])
def test_invert(name):
    same(getattr(np, name)(numpy.array([5, -3])), numpy.array([-6, 2]))
    same(getattr(np, name)(numpy.array([True, False])), numpy.array([False, True]))


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint8"])
def test_integer_division_as_numpy(dtype):
    x1, x2 = numpy.array([7, 100, 5, 0], dtype), numpy.array([2, 7, 0, 0], dtype)
    with numpy.errstate(all="ignore"):
        same(np.floor_divide(x1, x2), numpy.floor_divide(x1, x2))
        same(np.remainder(x1, x2), numpy.remainder(x1, x2))
    same(np.divmod(x1[:2], x2[:2]), numpy.divmod(x1[:2], x2[:2]))


def test_remainder_by_zero():
    with numpy.errstate(all="ignore"):
        same(np.remainder([1.0, -1.0, 0.0], 0.0), numpy.remainder([1.0, -1.0, 0.0], 0.0))
        same(np.floor_divide([1.0, -1.0, 0.0], 0.0), numpy.floor_divide([1.0, -1.0, 0.0], 0.0))


ROUNDS = ((2.567, 1), (-0.125, 2), (1234.5, -2), (1250, -2), (17, 1), (0.5, 0), (1.5, 0))


@pytest.mark.parametrize(("x", "decimals"), ROUNDS)
def test_round_decimals(x, decimals):
    same(np.round(x, decimals), numpy.round(numpy.asarray(x), decimals))


LIMITS = ((None, None), (-1, None), (None, 1.0), (-1, 1), (1, -1), ([-1.0, 0.0, 1.0], 2.0))


@pytest.mark.parametrize(("lo", "hi"), LIMITS)
def test_clip(lo, hi):
    x = numpy.array([[-2.0, 0.3, 2.5], [numpy.nan, 0.0, -0.5]])
    expected = x if lo is None and hi is None else numpy.clip(x, lo, hi)
    same(np.clip(x, lo, hi), expected)
    same(ng.asarray(x).clip(lo, hi), expected)
    check_gradient(lambda x: np.clip(x, lo, hi), numpy.array([-2.0, 0.3, 2.5]))


def test_clip_gradient_reaches_all_three():
    x = numpy.array([-2.0, 0.3, 2.5, 0.1])
    check_gradient(np.clip, x, -1.1, 1.2)
    check_gradient(np.clip, x, [0.0, 1.0, 2.0, 3.0], [1.0, 0.0, -1.0, 2.0])  # bounds that cross


def test_clip_bounds_are_inside():
    check = gradient_of(lambda x: np.clip(x, 0.0, 1.0), [0.0, 1.0])
    numpy.testing.assert_array_equal(check, [1.0, 1.0])
    numpy.testing.assert_array_equal(gradient_of(lambda x: np.clip(x, 0.0), [0.0, -1.0]), [1.0, 0.0])


def gradient_of(function, x):
    from checking import gradient

    x = numpy.asarray(x, float)
    return gradient(function, [x], [numpy.ones(function(ng.asarray(x)).shape)])[0]


POINTS = (
    ("absolute", 0.0, 0.0),
    ("relu", 0.0, 0.0),
    ("sinc", 0.0, 0.0),
    ("sign", 0.0, 0.0),
)


@pytest.mark.parametrize(("name", "x", "expected"), POINTS)
def test_gradient_at_a_point_where_there_is_none(name, x, expected):
    assert gradient_of(getattr(np, name), [x]) == expected


def test_every_derivative_of_sinc_at_0():
    """(-1)^(n/2) pi^n / (n + 1), from its power series."""
    function = np.sinc
    for order in range(1, 5):
        function = ng.grad(function)
        exact = 0.0 if order % 2 else (-1) ** (order // 2) * numpy.pi**order / (order + 1)
        assert float(function(ng.asarray(0.0))) == pytest.approx(exact, rel=1e-15)


def test_gradient_at_ties_is_shared():
    numpy.testing.assert_array_equal(gradient_of(lambda x: np.maximum(x, 1.0), [1.0]), [0.5])
    numpy.testing.assert_array_equal(gradient_of(np.max, [1.0, 3.0, 3.0]), [0.0, 0.5, 0.5])


def test_where():
    mask, x = numpy.array([[True], [False]]), numpy.arange(3.0)
    same(np.where(mask, x, 7), numpy.where(mask, x, 7))
    same(np.where([1, 0, 2], x, -x), numpy.where([1, 0, 2], x, -x))
    same(np.where(True, 1, 2.5), numpy.where(True, 1, 2.5))
    same(np.where(x > 0), numpy.where(x > 0))
    check_gradient(lambda a, b: np.where(mask, a, b), x, 4.0)
    with pytest.raises(errors.ArgumentError, match="both x1 and x2"):
        np.where(mask, x)


def test_power_of_numbers():
    x = numpy.array([0.5, 2.0])
    for n in (0, 1, 2, 3, 7, -1, -2, 0.5, 2.5):
        same(np.power(x, n), numpy.power(x, n))
        same(ng.asarray(x) ** n, x**n)
        check_gradient(lambda x, n=n: x**n, x)
    same(np.power(2, numpy.array([1, 2])), numpy.power(2, numpy.array([1, 2])))
    with pytest.raises(errors.ArgumentError, match="negative integer power"):
        np.power(ng.asarray([1, 2]), -1)


def test_closeness():
    x, y = [1.0, numpy.nan, numpy.inf, 1.0, -numpy.inf], [1.0 + 1e-9, numpy.nan, numpy.inf, 2.0, numpy.inf]
    for equal_nan in (False, True):
        same(np.isclose(x, y, equal_nan=equal_nan), numpy.isclose(x, y, equal_nan=equal_nan))
        same(np.allclose(x[:3], y[:3], equal_nan=equal_nan), numpy.allclose(x[:3], y[:3], equal_nan=equal_nan))
        same(np.array_equal(x, x, equal_nan), numpy.array_equal(x, x, equal_nan))
    assert not np.array_equal([1, 2], [1, 2, 3])


def test_nan_to_num():
    x = numpy.array([numpy.nan, numpy.inf, -numpy.inf, 2.0])
    same(np.nan_to_num(x), numpy.nan_to_num(x))
    same(np.nan_to_num(x, 1.0, 2.0, 3.0), numpy.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0))


def test_python_scalars_are_weak():
    x = ng.asarray(numpy.ones(2, "float32"))
    for y in (x + 1, 2.5 * x, np.maximum(x, 0.0), np.where(x > 0, x, 0.0), np.clip(x, 0, 2.0), np.sinc(x), x**2.5):
        assert y.dtype == "float32"


def test_logaddexp_of_equal_numbers_has_its_curvature():
    """Only equal infinities are set apart: elsewhere the second derivative at a tie is 1/4."""
    second = ng.grad(lambda x: np.sum(ng.grad(lambda x: np.sum(np.logaddexp(x, 0.7)))(x)))
    assert float(second(ng.asarray(0.7))) == pytest.approx(0.25)
    assert float(ng.grad(lambda x: np.logaddexp(x, numpy.inf))(ng.asarray(numpy.inf))) == 0.5


def test_errors_name_call_and_cause():
    with pytest.raises(errors.ShapeError, match=r"add\(x1, x2\): shapes \(2, 3\) and \(2,\) do not broadcast"):
        np.add(numpy.ones((2, 3)), numpy.ones(2))
    with pytest.raises(errors.DtypeError, match="expected integers"):
        np.bitwise_and(1.5, 2)
    with pytest.raises(errors.ArgumentError, match=r"not an array|must be an array"):
        np.sin("text")
    with pytest.raises(errors.DtypeError, match="not supported"):
        np.sin(numpy.ones(2, "longdouble"))
    with pytest.raises(errors.DtypeError, match=r"floor_divide: got complex128, expected real numbers; take x\.real"):
        np.floor_divide(numpy.ones(2, complex), 2)
