"""VJP rules of every primitive: against differences of the oracles, where there is no derivative, and in both tiers."""

import functools

import mpmath
import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx

from .table import ARRAY_POINTS, BY_NAME, ELEMENTWISE, ROWS, STRUCTURAL
from .test_values import each, run

CHECKED = tuple(row for row in ELEMENTWISE if row.gradient == "check")
STEP = mpmath.mpf(10) ** -15


def floating(arguments):
    """Positions of the arguments that have a derivative."""
    return tuple(k for k, a in enumerate(arguments) if a.dtype.kind == "f")


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def first_order(row, positions, attrs=None):
    """A function of the inputs and a weight: gradients of the weighted sum of the primitive's result."""

    def gradients(*xs_and_weight):
        *xs, weight = xs_and_weight
        return as_tuple(ng.grad(lambda *xs: nx.sum(row.primitive(*xs, **(attrs or {})) * weight), positions)(*xs))

    return gradients


def second_order(row, positions, attrs=None):
    """The same once more: gradients of a weighted sum of the first gradients."""
    first = first_order(row, positions, attrs)

    def gradients(*everything):
        *xs, weight, outer = everything
        return as_tuple(
            ng.grad(
                lambda *xs: sum(nx.sum(g * (k + 1.5) * outer[k]) for k, g in enumerate(first(*xs, weight))), positions
            )(*xs)
        )

    return gradients


def mp_partial(f, point, k):
    """Central difference by argument k, some 25 digits."""
    up, down = list(point), list(point)
    up[k], down[k] = point[k] + STEP, point[k] - STEP
    return (f(*up) - f(*down)) / (2 * STEP)


@functools.cache
def mp_derivatives(name, order):
    """For each sample point the derivatives by each floating argument (order 1), or the Hessian (order 2)."""
    row = BY_NAME[name]
    arguments = row.sample("float64", (24 if order == 1 else 6,))
    positions, found = floating(arguments), []
    for values in zip(*arguments, strict=True):
        point = [v if v.dtype.kind == "b" else mpmath.mpf(float(v)) for v in values]
        if order == 1:
            found.append([mp_partial(row.oracle, point, k) for k in positions])
        else:
            with mpmath.workdps(70):
                partials = [lambda *p, j=j: mp_partial(row.oracle, p, j) for j in positions]
                found.append([[mp_partial(partial, point, k) for partial in partials] for k in positions])
    return arguments, positions, numpy.array(found, object)


def assert_relative(found, expected, scale, rtol, what):
    for index in numpy.ndindex(*found.shape):
        error = abs(mpmath.mpf(float(found[index])) - expected[index])
        assert error <= rtol * max(abs(expected[index]), scale), (
            f"{what} at {index}: {found[index]!r} for {mpmath.nstr(expected[index], 17)}"
        )


@each(CHECKED)
def test_vjp_against_differences(row):
    arguments, positions, expected = mp_derivatives(row.name, 1)
    weight = numpy.linspace(0.5, 2, len(arguments[0]))
    found = run(0, first_order(row, positions), *arguments, weight)
    for j, g in enumerate(as_tuple(found)):
        assert_relative(g, expected[:, j] * weight, 1e-3, row.rtol, f"{row.name} by input {positions[j]}")


@each([row for row in CHECKED if row.orders > 1])
def test_vjp_of_vjp(row):
    arguments, positions, hessian = mp_derivatives(row.name, 2)
    count = len(arguments[0])
    weight, outer = (
        numpy.linspace(0.5, 2, count),
        numpy.linspace(-1, 1.5, count * len(positions)).reshape(len(positions), count),
    )
    found = run(0, second_order(row, positions), *arguments, weight, outer)
    for k, g in enumerate(as_tuple(found)):
        expected = sum(hessian[:, k, j] * weight * (j + 1.5) * outer[j] for j in range(len(positions)))
        scale = float(max(abs(h) for h in hessian.ravel())) * 1e-2 + 1e-3
        assert_relative(g, expected, scale, 100 * row.rtol, f"second order of {row.name} by input {positions[k]}")


@each([row for row in ROWS if row.elementwise and row.gradient == "zero"])
def test_vjp_is_zero(row):
    arguments = row.sample("float64", (9,))
    for g in as_tuple(run(0, first_order(row, floating(arguments)), *arguments, numpy.ones(9))):
        numpy.testing.assert_array_equal(g, numpy.zeros(9))


@each([row for row in ELEMENTWISE if row.gradient is None and "float64" in row.dtypes])
def test_no_cotangent_passes(row):
    if row.primitive.rule is None and row.primitive.differentiable:
        pytest.skip("the primitive has no rule, so a gradient through it raises")
    xs = [ng.asarray(a) for a in row.sample("float64", (4,))]
    y = row.primitive(*xs)
    assert ng.gradients(y * 1.0, xs) == [None] * len(xs)


POINTS = [pytest.param(row, point, id=f"{row.name}{point}") for row in ROWS for point in row.at]


@pytest.mark.parametrize(("row", "point"), POINTS)
def test_derivative_where_there_is_none(row, point):
    expected = row.at[point]
    arguments = [numpy.array([v]) for v in point]
    if expected is None:
        assert not numpy.isnan(run(0, row.primitive, *arguments)).any()
        return
    found = as_tuple(run(0, first_order(row, tuple(range(len(point)))), *arguments, numpy.ones(1)))
    for k, (g, e) in enumerate(zip(found, expected, strict=True)):
        if e is not None:
            assert g[0] == e, f"{row.name}{point} by input {k}: {g[0]!r}, recorded {e!r}"


@pytest.mark.parametrize(("name", "x", "attrs", "expected"), ARRAY_POINTS)
@pytest.mark.parametrize("tier", [0, 2])
def test_derivative_of_ties_and_zeros(name, x, attrs, expected, tier):
    row = BY_NAME[name]
    found = run(tier, lambda x: ng.grad(lambda x: nx.sum(row.primitive(x, **attrs)))(x), numpy.array(x))
    numpy.testing.assert_allclose(found, expected, rtol=1e-15)


# ---------------------------------------------------------------- whole arrays


def differences(f, arguments, positions, step=1e-5):
    """Central differences of a scalar function of arrays."""
    found = []
    for k in positions:
        g = numpy.empty_like(arguments[k])
        for index in numpy.ndindex(*g.shape):
            values = []
            for sign in (1, -1):
                moved = [a.copy() if i == k else a for i, a in enumerate(arguments)]
                moved[k][index] += sign * step
                values.append(f(*moved))
            g[index] = (values[0] - values[1]) / (2 * step)
        found.append(g)
    return found


ARRAY_CASES = [
    pytest.param(row, case, id=f"{row.name}-{n}")
    for row in STRUCTURAL
    if row.gradient == "check"
    for n, case in enumerate(row.cases)
    if not (row.name == "astype" and case.attrs["dtype"].kind != "f")
]


@pytest.mark.parametrize(("row", "case"), ARRAY_CASES)
def test_vjp_of_arrays_against_differences(row, case):
    arguments = row.arguments(case)
    positions = floating(arguments)
    y = numpy.asarray(row.oracle(*arguments, **case.attrs))
    weight = numpy.linspace(-1, 2, max(y.size, 1))[: y.size].reshape(y.shape)
    found = as_tuple(run(0, first_order(row, positions, case.attrs), *arguments, weight))

    def scalar(*xs):
        return float((numpy.asarray(row.oracle(*xs, **case.attrs), float) * weight).sum())

    tolerance = 2e-2 if case.attrs.get("dtype") == numpy.float32 else 1e-8
    for g, e in zip(found, differences(scalar, arguments, positions), strict=True):
        numpy.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance * max(1, numpy.abs(e).max(initial=0)))


@pytest.mark.parametrize(("row", "case"), ARRAY_CASES)
def test_vjp_of_vjp_of_arrays(row, case):
    if case.attrs.get("dtype") == numpy.float32:
        pytest.skip("differences of values rounded to float32 say nothing about a second derivative")
    if row.orders < 2:
        pytest.skip("its gradient is that of a symmetric argument; see test_linalg")
    arguments = row.arguments(case)
    positions = floating(arguments)
    y = numpy.asarray(row.oracle(*arguments, **case.attrs))
    weight = numpy.linspace(-1, 2, max(y.size, 1))[: y.size].reshape(y.shape)
    first = ng.jit(first_order(row, positions, case.attrs))
    ng.config.jit = 0
    rng = numpy.random.default_rng(5)
    outer = [rng.uniform(-1, 1, arguments[k].shape) for k in positions]

    def scalar(*xs):
        return sum(
            float((numpy.asarray(g) * o).sum()) for g, o in zip(as_tuple(first(*xs, weight)), outer, strict=True)
        )

    def traced(*everything):
        xs, weight, outer = everything[: len(arguments)], everything[len(arguments)], everything[len(arguments) + 1 :]
        inner = first_order(row, positions, case.attrs)
        return as_tuple(
            ng.grad(lambda *xs: sum(nx.sum(g * o) for g, o in zip(inner(*xs, weight), outer, strict=True)), positions)(
                *xs
            )
        )

    found = run(0, traced, *arguments, weight, *outer)
    for g, e in zip(as_tuple(found), differences(scalar, arguments, positions), strict=True):
        numpy.testing.assert_allclose(g, e, rtol=1e-6, atol=1e-6 * max(1, numpy.abs(e).max(initial=0)))


# ---------------------------------------------------------------- tiers


#: Units of the last place between the tiers: of values both functions' errors, of derivatives cancellation as well.
VALUE_ULP, DERIVATIVE_ULP = 8, 10_000


def everything_of(row, positions, dtype, count):
    """One program: value, gradients and second-order gradients of a row."""

    def together(*xs):
        *xs, weight, outer = xs
        made = [row.primitive(*xs)]
        if positions and row.primitive.rule is not None and row.primitive.differentiable:
            made += first_order(row, positions)(*xs, weight)
            if row.gradient == "check" and row.orders > 1:
                made += second_order(row, positions)(*xs, weight, outer)
        return tuple(made)

    arguments = row.sample(dtype, (count,))
    weight = numpy.linspace(0.5, 2, count).astype(dtype)
    outer = numpy.linspace(-1, 1.5, count * max(len(positions), 1)).reshape(-1, count).astype(dtype)
    return together, [*arguments, weight, outer]


FLOAT_ROWS = [row for row in ELEMENTWISE if "float64" in row.dtypes]


@each(FLOAT_ROWS)
def test_interpreter_agrees_with_compiled(row):
    check_tiers(row, "float64", 40)


def check_tiers(row, dtype, count):
    positions = floating(row.sample(dtype, (2,)))
    fn, arguments = everything_of(row, positions, dtype, count)
    interpreted, compiled = (as_tuple(run(tier, fn, *arguments)) for tier in (0, 2))
    for k, (a, b) in enumerate(zip(interpreted, compiled, strict=True)):
        assert a.dtype == b.dtype
        if a.dtype.kind != "f":
            numpy.testing.assert_array_equal(a, b)
            continue
        unit = numpy.spacing(numpy.maximum(numpy.abs(a), 1e-3 * numpy.abs(a).max() if k else 0).astype(a.dtype))
        error = numpy.max(numpy.abs(a - b) / unit)
        allowed = row.ulp + VALUE_ULP if k == 0 else DERIVATIVE_ULP
        assert error <= allowed, f"{row.name}, result {k}: {error:.1f} ULP between the tiers"


@pytest.mark.exhaustive
@each(FLOAT_ROWS)
@pytest.mark.parametrize("count", [1, 3, 1000, 20000])
def test_interpreter_agrees_with_compiled_in_float32(row, count):
    check_tiers(row, "float32", count)


@pytest.mark.parametrize(("row", "case"), [p for p in ARRAY_CASES if p.id.endswith("-1")])
def test_interpreter_agrees_with_compiled_on_arrays(row, case):
    check_array_tiers(row, case)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("row", "case"), ARRAY_CASES)
def test_interpreter_agrees_with_compiled_on_every_case(row, case):
    check_array_tiers(row, case)


def check_array_tiers(row, case):
    arguments = row.arguments(case)
    positions = floating(arguments)
    y = numpy.asarray(row.primitive.reference(*arguments, **case.attrs))
    weight = numpy.linspace(-1, 2, max(y.size, 1))[: y.size].reshape(y.shape)
    rng = numpy.random.default_rng(5)
    outer = [rng.uniform(-1, 1, arguments[k].shape) for k in positions]

    def together(*everything):
        xs, weight, outer = everything[: len(arguments)], everything[len(arguments)], everything[len(arguments) + 1 :]
        inner = first_order(row, positions, case.attrs)
        second = ng.grad(
            lambda *xs: sum(nx.sum(g * o) for g, o in zip(inner(*xs, weight), outer, strict=True)), positions
        )(*xs)
        return (row.primitive(*xs, **case.attrs), *inner(*xs, weight), *as_tuple(second))

    interpreted, compiled = (run(tier, together, *arguments, weight, *outer) for tier in (0, 2))
    for a, b in zip(interpreted, compiled, strict=True):
        single = case.attrs.get("dtype") == numpy.float32
        scale = numpy.abs(a).max(initial=0)
        numpy.testing.assert_allclose(b, a, rtol=1e-5 if single else 1e-12, atol=(1e-5 if single else 1e-12) * scale)
