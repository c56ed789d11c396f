"""Reductions and cumulative operations against NumPy and SciPy."""

import warnings

import numpy
import pytest
import scipy.special
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

SHAPES = ((), (5,), (2, 3), (2, 3, 4))
EMPTY = ((0,), (0, 3), (2, 0))
REDUCTIONS = ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "ptp", "amax", "amin", "count_nonzero"]
WITHOUT_IDENTITY = ["max", "min", "ptp", "amax", "amin", "argmax", "argmin"]
GRADIENTS = ["sum", "prod", "max", "min", "mean", "var", "std", "ptp", "amax", "amin", "logsumexp"]
AXES = {0: [None, ()], 1: [None, 0, -1, (0,)], 2: [None, 0, 1, (0, 1), ()], 3: [None, 1, (0, 2), (-1, 0), -3]}


def numpy_twin(name):
    return {"logsumexp": scipy.special.logsumexp, "softmax": scipy.special.softmax}.get(name) or getattr(numpy, name)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "uint16", "bool"])
def test_value(name, dtype):
    if dtype == "bool" and name == "ptp":
        pytest.skip("NumPy has no ptp of booleans either")
    for shape in SHAPES:
        x = (normal(*shape) * 2).astype(dtype) if dtype != "bool" else normal(*shape) > 0
        for axis in AXES[len(shape)]:
            for keepdims in (False, True):
                expected = numpy_twin(name)(x, axis=axis, keepdims=keepdims)
                same(
                    getattr(np, name)(x, axis=axis, keepdims=keepdims), expected, 5e-6 if dtype == "float32" else 1e-12
                )


@pytest.mark.parametrize("name", REDUCTIONS)
def test_no_elements(name):
    for shape in EMPTY:
        x = numpy.zeros(shape)
        for axis in AXES[len(shape)]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    expected = numpy_twin(name)(x, axis=axis)
            except ValueError:
                with pytest.raises(ValueError, match="no elements"):
                    getattr(np, name)(x, axis=axis)
            else:
                same(getattr(np, name)(x, axis=axis), expected)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_arg(name, dtype):
    for shape in SHAPES:
        x = (normal(*shape) * 2).astype(dtype)
        for axis in (None, *range(-len(shape), len(shape))):
            for keepdims in (False, True):
                expected = getattr(numpy, name)(x, axis=axis, keepdims=keepdims)
                same(getattr(np, name)(x, axis=axis, keepdims=keepdims), expected)
    same(
        getattr(np, name)(numpy.array([1.0, numpy.nan, 3.0])), getattr(numpy, name)(numpy.array([1.0, numpy.nan, 3.0]))
    )
    with pytest.raises(ValueError, match="no elements"):
        getattr(np, name)(numpy.zeros((0, 3)), axis=0)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "cumsum", "cumprod"])
def test_dtype_argument(name):
    x = numpy.array([1, 2, 3], "int16")
    same(getattr(np, name)(x, dtype="float32"), getattr(numpy, name)(x, dtype="float32"), 1e-6)
    if name in ("sum", "prod", "cumsum", "cumprod"):
        same(getattr(np, name)(x, dtype="int32"), getattr(numpy, name)(x, dtype="int32"))


@pytest.mark.parametrize("ddof", [0, 1, 2, 5])
def test_degrees_of_freedom(ddof):
    x = normal(3, 4)
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        same(np.var(x, 1, ddof=ddof), numpy.var(x, 1, ddof=ddof))
        same(np.std(x, 1, correction=ddof), numpy.std(x, 1, ddof=ddof))
    with pytest.raises(errors.ArgumentError, match="ddof or correction"):
        np.var(x, ddof=1, correction=1)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name):
    function = getattr(np, name)
    for shape, axis in (((4,), None), ((2, 3), 0), ((2, 3), (0, 1)), ((2, 3, 2), 1), ((2, 3), -1)):
        check_gradient(lambda x, axis=axis: function(x, axis=axis, keepdims=True), normal(*shape, seed=3))
        check_gradient(lambda x, axis=axis: function(x, axis=axis), normal(*shape, seed=4))


@pytest.mark.parametrize("zeros", [1, 2])
def test_gradient_of_products_with_zeros(zeros):
    x = normal(2, 4)
    x[0, :zeros] = 0
    check_gradient(lambda x: np.prod(x, 1), x)
    check_gradient(lambda x: np.prod(x), x)
    check_gradient(lambda x: np.cumprod(x, 1), x)


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_cumulative(name):
    ours, theirs = getattr(np, name), getattr(numpy, name)
    for shape in (*SHAPES, *EMPTY):
        for axis in (None, *range(-len(shape), len(shape))):
            same(ours(normal(*shape), axis), theirs(normal(*shape), axis))
    same(ours(numpy.array([True, True])), theirs(numpy.array([True, True])))
    same(ours(numpy.array([1, 2], "uint8")), theirs(numpy.array([1, 2], "uint8")))
    check_gradient(lambda x: ours(x, 1), normal(2, 3, 2))
    check_gradient(ours, normal(2, 2))


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_cumulative_of_the_array_api(name):
    x = normal(2, 3)
    for initial in (False, True):
        expected = getattr(numpy, name)(x, axis=1, include_initial=initial)
        same(getattr(np, name)(x, axis=1, include_initial=initial), expected)
    with pytest.raises(errors.ArgumentError, match="axis is needed"):
        getattr(np, name)(x)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_logsumexp(axis):
    x = normal(3, 4) * 300
    same(np.logsumexp(x, axis), scipy.special.logsumexp(x, axis), 1e-12)
    same(np.logsumexp(x, axis, keepdims=True), scipy.special.logsumexp(x, axis, keepdims=True), 1e-12)


def test_logsumexp_at_infinities():
    x = numpy.array([[-numpy.inf, -numpy.inf], [numpy.inf, 1.0], [-numpy.inf, 2.0]])
    same(np.logsumexp(x, 1), scipy.special.logsumexp(x, 1))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name):
    ours, theirs = getattr(np, name), getattr(scipy.special, name)
    for axis in (0, -1, (0, 1)):
        same(ours(normal(3, 4) * 100, axis), theirs(normal(3, 4) * 100, axis), 1e-11)
        check_gradient(lambda x, axis=axis: ours(x, axis), normal(3, 2))
    assert ours(normal(3, dtype="float32")).dtype == "float32"
    same(ours(numpy.zeros((0, 2))), numpy.zeros((0, 2)))


def test_average():
    x, w = normal(3, 4), numpy.abs(normal(4))
    same(np.average(x, 1, w), numpy.average(x, 1, w))
    same(np.average(x, 0), numpy.average(x, 0))
    same(np.average(x, weights=x * x), numpy.average(x, weights=x * x))
    with pytest.raises(errors.ShapeError, match="do not fit"):
        np.average(x, 0, w)
    y, v = normal(2, 3, 4), numpy.abs(normal(4, 2))
    for arguments in (
        (y, (2, 0), v),
        (x, None, None),
        (x, 1, w),
        (x, 0, [1, 2, 3]),
        (numpy.arange(4), None, [1, 1, 2, 2]),
    ):
        for keepdims in (False, True):
            ours = np.average(*arguments, returned=True, keepdims=keepdims)
            same(ours, numpy.average(*arguments, returned=True, keepdims=keepdims), 1e-12)
    check_gradient(lambda y, v: np.average(y, (2, 0), v, True), y, v)


def test_trapezoid():
    x, y = numpy.sort(normal(5)), normal(3, 5)
    same(np.trapezoid(y, x), numpy.trapezoid(y, x))
    same(np.trapezoid(y.T, dx=0.5, axis=0), numpy.trapezoid(y.T, dx=0.5, axis=0))
    same(np.trapezoid(y.T, x, axis=0), numpy.trapezoid(y.T, x, axis=0))
    check_gradient(np.trapezoid, y, x)


MASKED = ("sum", "prod", "mean", "var", "std", "any", "all", "max", "min", "amax", "amin")
WITH_INITIAL = ("sum", "prod", "max", "min", "amax", "amin")
MASKS = (numpy.array([[True, False, True, True], [False, True, True, False], [True, True, False, False]]),
         numpy.array([[True], [False], [True]]), numpy.array([True, False, True, True]), numpy.True_)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "bool", "complex128", "complex64"])
@pytest.mark.parametrize("name", MASKED)
def test_where(name, dtype, monkeypatch):
    x = (normal(3, 4) * 2 + (1j * normal(3, 4, seed=2) if dtype[0] == "c" else 0)).astype(dtype)
    if dtype[0] == "c" and name in WITH_INITIAL[2:]:
        return  # no order
    more = {"initial": 0} if name in WITH_INITIAL[2:] else {}
    tolerance = {"float32": 5e-6, "complex64": 5e-6, "float16": 4e-3}.get(dtype, 1e-12)

    def compare(mask, axis, keepdims):
        keywords = {"axis": axis, "keepdims": keepdims, "where": mask, **more}
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = getattr(numpy, name)(x, **keywords)
        same(getattr(np, name)(x, **keywords), expected, tolerance)

    monkeypatch.setattr(ng.config, "jit", 0)
    for mask in MASKS:
        for axis in (None, 0, 1, (0, 1), ()):
            compare(mask, axis, False)
            compare(mask, axis, True)
    if dtype in ("float64", "complex64"):
        monkeypatch.setattr(ng.config, "jit", 2)
        compare(MASKS[0], 1, False)


@pytest.mark.parametrize("dtype", ["float64", "int16", "uint8", "bool"])
@pytest.mark.parametrize("name", WITH_INITIAL)
def test_initial(name, dtype):
    x = (numpy.abs(normal(3, 4)) * 3).astype(dtype)
    for initial in (0, 1, 2) if dtype != "bool" else (0, 1):
        for a in (x, x[:0]):
            for axis in (None, 0, 1):
                for keepdims in (False, True):
                    keywords = {"axis": axis, "keepdims": keepdims, "initial": initial}
                    same(getattr(np, name)(a, **keywords), getattr(numpy, name)(a, **keywords), 1e-12)


@pytest.mark.parametrize("name", MASKED)
def test_gradient_with_mask_and_initial(name):
    if name in ("any", "all"):
        return
    more = {"initial": 0.3} if name in WITH_INITIAL else {}
    for axis in (None, 1):
        check_gradient(lambda x, axis=axis: getattr(np, name)(x, axis=axis, where=MASKS[0], **more), normal(3, 4))


@pytest.mark.parametrize("name", [*REDUCTIONS[:10], "amax", "amin", "argmax", "argmin", "cumsum", "cumprod"])
def test_out(name):
    x = normal(3, 4)
    like = getattr(numpy, name)(x, axis=1)
    for make in (ng.asarray, numpy.copy):
        expected, out = numpy.zeros_like(like), make(numpy.zeros_like(like))
        getattr(numpy, name)(x, axis=1, out=expected)
        assert getattr(np, name)(x, axis=1, out=out) is out
        same(ng.asarray(out), expected, 1e-12)
        assert getattr(numpy, name)(ng.asarray(x), 1, out=out) is out
    with pytest.raises(
        errors.ShapeError, match=rf"{name.lstrip('a') if name in ('amax', 'amin') else name}: the result"
    ):
        getattr(np, name)(x, axis=1, out=ng.asarray(numpy.zeros((4,), like.dtype)))


def test_given_mean():
    x = normal(3, 4)
    for name in ("var", "std"):
        center = x.mean(1, keepdims=True)
        expected = getattr(numpy, name)(x, axis=1, mean=center)
        same(getattr(np, name)(x, axis=1, mean=center), expected)
        same(getattr(np, name)(x, 1, None, None, 1, True), getattr(numpy, name)(x, 1, None, None, 1, True))


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_complex(name, dtype):
    x = (normal(2, 3) + 1j * normal(2, 3, seed=1)).astype(dtype)
    for axis in (None, 0, 1):
        same(getattr(np, name)(x, axis), getattr(numpy, name)(x, axis), 1e-5 if dtype == "complex64" else 1e-12)

    def loss(a, b):
        y = getattr(np, name)(a + 1j * b, 1)
        return np.real(y * np.conj(y) * (1 + 2j)) if name not in ("var", "std") else y

    check_gradient(loss, normal(2, 3), normal(2, 3, seed=1))


MESSAGES = (
    (lambda x: np.max(x, where=x > 0), ValueError, "max: has no identity, so to use a where mask one has to specify"),
    (lambda x: np.sum(x, where=x), TypeError, "sum: where must be a mask of booleans; where: float64"),
    (lambda x: np.sum(x, where=np.ones(3, bool)), ValueError, r"sum: where has shape \(3,\), which does not broadcast"),
    (lambda x: np.mean(x, dtype=int), TypeError, "mean: dtype must be a float, not int64"),
    (lambda x: np.sum(x, out=[0.0]), TypeError, "sum: out must be an Array or a NumPy array, not list"),
    (
        lambda x: np.sum(x, out=numpy.zeros((), int)),
        TypeError,
        "sum: cannot cast from float64 to int64 with casting rule",
    ),
)


@pytest.mark.parametrize("index", range(len(MESSAGES)))
def test_messages(index):
    call, kind, text = MESSAGES[index]
    with pytest.raises(kind, match=text):
        call(ng.asarray(normal(3, 4)))


@pytest.mark.parametrize("name", ["sum", "mean", "max", "argmax", "cumsum", "softmax", "any"])
def test_axis_out_of_range(name):
    with pytest.raises(ValueError, match=f"{name}: axis 2 is out of range for an array of 2 dimensions"):
        getattr(np, name)(numpy.ones((2, 3)), 2)


def test_repeated_axis():
    with pytest.raises(errors.ShapeError, match="twice"):
        np.sum(numpy.ones((2, 3)), (0, -2))


def test_methods():
    x = ng.asarray(normal(2, 3))
    for name in (*REDUCTIONS, "argmax", "argmin", "cumsum", "cumprod"):
        if hasattr(x, name):
            same(getattr(x, name)(), getattr(numpy, name)(x.numpy()))
    same(x.sum(0, keepdims=True), x.numpy().sum(0, keepdims=True))


def test_gradient_of_float32_is_float32():
    from checking import gradient

    x = normal(2, 3, dtype="float32")
    for name in ["sum", "prod", "max", "mean", "var", "std", "logsumexp", "softmax", "cumsum", "cumprod"]:
        function = getattr(np, name)
        y = function(x)
        assert y.dtype == "float32"
        assert gradient(function, [x], [numpy.ones(y.shape, "float32")])[0].dtype == "float32"
