"""opaque: functions of Python as operations, with rules or differences."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, DtypeError, MissingRuleError, OptionError, ShapeError
from nbgrad.testing import check_grads

X = numpy.array([0.3, 1.2, -0.7])


def value(x):
    return numpy.sin(x) * x


def slope(x):
    return numpy.cos(x) * x + numpy.sin(x)


FUNCTIONS = {
    "vjp": ng.opaque(value, vjp=lambda g, y, x: g * slope(x)),
    "jvp": ng.opaque(value, jvp=lambda xs, tangents: slope(xs[0]) * tangents[0]),
    "differences": ng.opaque(value, fd=True),
    "vjp and differences": ng.opaque(value, vjp=lambda g, y, x: g * slope(x), fd=True),
}


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_way_to_differentiate(settings, jit, name):
    settings.jit = jit
    f, close = FUNCTIONS[name], {"rtol": 1e-8, "atol": 1e-8}
    numpy.testing.assert_array_equal(f(X), value(X))
    numpy.testing.assert_allclose(ng.grad(f)(X), slope(X), **close)
    numpy.testing.assert_allclose(ng.jvp(f, (X,), (X,))[1], slope(X) * X, **close)
    numpy.testing.assert_allclose(ng.vmap(f)(numpy.stack([X, 2 * X])), [value(X), value(2 * X)])
    chained = ng.jit(ng.grad(lambda x: np.sum(f(2 * x) ** 2)))
    numpy.testing.assert_allclose(chained(X), 4 * value(2 * X) * slope(2 * X), **close)
    check_grads(lambda x: ng.scan(lambda s, _: (f(s), None), x, length=3)[0], (X,), order=1, modes=("rev",), rtol=1e-6)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_order_needs_differences(name):
    second = ng.grad(ng.grad(FUNCTIONS[name]))
    if "differences" in name:
        numpy.testing.assert_allclose(second(X), 2 * numpy.cos(X) - X * numpy.sin(X), atol=1e-6)
    else:
        with pytest.raises(MissingRuleError, match=r"grad of value_vjp: second order: .*fd=True for differences"):
            second(X)


def test_derived_operations_are_made_once():
    """Else each second derivative would be a program of its own."""
    second = ng.grad(ng.grad(FUNCTIONS["differences"]))
    second(X)
    before = ng.stats()["programs"]
    second(X + 1)
    assert ng.stats()["programs"] == before


@ng.opaque(
    result=lambda x, k: [(x.shape, x.dtype), ((), x.dtype)],
    vjp=lambda g, y, x, k: (2 * g[0] + g[1] * k, numpy.sum(x) * g[1]),
)
def two_results(x, k):
    return 2 * x, numpy.sum(x) * k


def test_several_results():
    double, total = two_results(X, 3.0)
    numpy.testing.assert_array_equal(double, 2 * X)
    assert float(total) == numpy.sum(X) * 3
    check_grads(lambda x, k: list(two_results(x, k)), (X, 3.0), order=1)


def test_integers_and_examples_of_results():
    count = ng.opaque(lambda x: (x > 0).sum(), result=0)
    assert count(X).dtype == "int64"
    assert int(count(X)) == 2
    assert ng.opaque(lambda i: i / 2)(numpy.array([1, 2])).tolist() == [0.5, 1.0]


def test_float32_stays(settings):
    x = X.astype("float32")
    assert ng.grad(FUNCTIONS["differences"])(x).dtype == "float32"
    numpy.testing.assert_allclose(ng.grad(FUNCTIONS["differences"])(x), slope(X), rtol=2e-3)


# ---------------------------------------------------------------- errors


def fails(x):
    raise ZeroDivisionError("inside")


@pytest.mark.parametrize("jit", [0, 2])
def test_exceptions_reach_the_caller(settings, jit):
    settings.jit = jit
    with pytest.raises(ZeroDivisionError, match="inside") as caught:
        ng.jit(lambda x: ng.opaque(fails)(x) + 1)(X)
    (note,) = caught.value.__notes__
    assert note.startswith("in fails, called at ")
    assert "test_opaque.py" in note


def test_no_rule():
    with pytest.raises(
        MissingRuleError, match=r"grad of value: no VJP for it\. Give ng.opaque a vjp or a jvp for value, or"
    ):
        ng.grad(ng.opaque(value))(X)


def test_results_of_other_forms():
    with pytest.raises(
        ShapeError, match=r"value: the function returned shape \(3,\), expected \(\); say so with result="
    ):
        ng.opaque(value, result=0.0)(X).numpy()
    with pytest.raises(DtypeError, match="value: the function returned float64, expected int64"):
        ng.opaque(value, result=numpy.zeros(3, int))(X).numpy()
    with pytest.raises(ArgumentError, match="value: the function returned 1 results, expected 2"):
        ng.opaque(value, result=[X, X])(X)[0].numpy()
    with pytest.raises(ArgumentError, match="value: its vjp returned 2 cotangents for 1 inputs"):
        ng.grad(ng.opaque(value, vjp=lambda g, y, x: (g, g)))(X)
    with pytest.raises(ShapeError, match=r"opaque: inputs of shapes .* do not broadcast; say with result="):
        ng.opaque(numpy.outer)(X, X[:2])


def test_arguments_of_other_kinds():
    with pytest.raises(ArgumentError, match="opaque: fn is int 3, expected a function of NumPy arrays"):
        ng.opaque(3)
    with pytest.raises(ArgumentError, match="opaque: vjp is int 3"):
        ng.opaque(value, vjp=3)
    with pytest.raises(OptionError, match="opaque: fd is 'yes', expected True or False"):
        ng.opaque(value, fd="yes")


def test_complex_numbers():
    """Only a vjp knows of both directions."""
    z = numpy.array([1 + 2j, -0.5j])
    size = lambda z: (z * z.conj()).real  # noqa: E731
    f = ng.opaque(size, result=lambda z: (z.shape, "float64"), vjp=lambda g, y, z: 2 * g * z)
    numpy.testing.assert_allclose(ng.grad(f)(z), 2 * z)
    for other in (
        ng.opaque(size, result=f.rule_of_shapes, fd=True),
        ng.opaque(size, result=f.rule_of_shapes, jvp=size),
    ):
        with pytest.raises(MissingRuleError, match=r"of real numbers; give ng\.opaque a vjp"):
            ng.grad(other)(z)


def test_a_name_that_a_primitive_has():
    """Rewrites know primitives by their names."""
    f = ng.opaque(lambda x, k: x + k, name="multiply", fd=True)
    assert f.name == "multiply_2"
    assert ng.jit(lambda x: f(x, 1.0))(X).tolist() == (X + 1).tolist()
