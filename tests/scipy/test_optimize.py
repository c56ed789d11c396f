"""Solvers against SciPy's own answers with hand-written functions, and derivatives against differences."""

import subprocess
import sys

import numpy
import pytest
import scipy.optimize

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.scipy import optimize
from nbgrad.scipy._vectors import Scalar, Several, Vector

METHODS = (
    "Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "SLSQP", "trust-constr", "dogleg",
    "trust-ncg", "trust-exact", "trust-krylov", None,
)  # fmt: skip


def rosen(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def bowl(p):
    """Smallest, 3, at a = [1, 2], b = [[-1, 1]]."""
    return ((p["a"] - numpy.array([1.0, 2.0])) ** 2).sum() + ((p["b"][0] + numpy.array([1.0, -1.0])) ** 4).sum() + 3.0


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("method", METHODS)
def test_minimize_finds_what_scipy_finds(settings, method, jit):
    settings.jit = jit
    start = [0.8, 1.2] if method == "dogleg" else [-0.5, 0.7]
    options = {"maxfun" if method == "TNC" else "maxiter": 4000}
    derivatives = {}
    if method not in ("Nelder-Mead", "Powell", "COBYLA"):
        derivatives["jac"] = scipy.optimize.rosen_der
    if method in ("dogleg", "trust-exact", "trust-ncg", "trust-krylov", "Newton-CG", "trust-constr"):
        derivatives["hess"] = scipy.optimize.rosen_hess
    theirs = scipy.optimize.minimize(scipy.optimize.rosen, start, method=method, options=options, **derivatives)
    ours = optimize.minimize(rosen, start, method=method, options=options)
    assert ours.success == theirs.success
    assert isinstance(ours.x, numpy.ndarray)
    # The path of these two depends on the last bits of the values.
    numpy.testing.assert_allclose(ours.x, theirs.x, atol=0.1 if method in ("COBYLA", "TNC") else 1e-4)
    assert ours.nfev <= theirs.nfev + 10  # exact derivatives: no evaluations for differences


def test_derivatives_are_those_of_scipy():
    x, v = numpy.linspace(-1, 1, 7), numpy.cos(numpy.arange(7.0))
    objective = Scalar("minimize", rosen, Vector("minimize", "x0", x), ())
    value, gradient = objective.value_and_gradient(x)
    hessian = scipy.optimize.rosen_hess(x)
    numpy.testing.assert_allclose(value, scipy.optimize.rosen(x), rtol=1e-13)
    numpy.testing.assert_allclose(gradient, scipy.optimize.rosen_der(x), rtol=1e-12, atol=1e-12)
    numpy.testing.assert_allclose(objective.gradient(x), scipy.optimize.rosen_der(x), rtol=1e-12, atol=1e-12)
    numpy.testing.assert_allclose(objective.hessian_product(x, v), hessian @ v, rtol=1e-12, atol=1e-12)
    numpy.testing.assert_allclose(objective.hessian(x), hessian, rtol=1e-12, atol=1e-12)
    for a in (value, gradient, objective.hessian_product(x, v)):
        assert type(a) is numpy.ndarray
        assert a.dtype == "float64"
        assert a.flags.c_contiguous


NESTS = (
    ({"a": numpy.zeros(2), "b": [numpy.zeros((1, 2))]}, lambda p: bowl({"a": p["a"], "b": p["b"][0]})),
    ([numpy.zeros(2, "float32"), numpy.zeros((1, 2), int)], lambda p: bowl({"a": p[0], "b": p[1]})),
    (numpy.zeros((2, 2)), lambda p: bowl({"a": p[0], "b": p[1:]})),
    ([0.0, 0.0, 0.0, 0.0], lambda p: bowl({"a": p[:2], "b": p[None, 2:]})),
    ({"a": numpy.zeros(2), "s": 0.0, "t": 0}, lambda p: bowl({"a": p["a"], "b": np.stack([p["s"], p["t"]])[None]})),
)


@pytest.mark.parametrize("method", ["BFGS", "Newton-CG", "trust-exact", "Nelder-Mead"])
@pytest.mark.parametrize(("x0", "fun"), NESTS)
def test_unknowns_come_back_in_their_form(x0, fun, method):
    import optree

    found = optimize.minimize(fun, x0, method=method, options={"maxiter": 3000})
    leaves, structure = optree.tree_flatten(found.x)
    expected, given = (
        optree.tree_flatten(x0) if isinstance(x0, dict) or len(x0) == 2 else ([x0], optree.tree_structure(1))
    )
    if isinstance(x0, numpy.ndarray) or len(expected) == 1:
        leaves, structure = [found.x], given
    assert structure == given
    for leaf, start in zip(leaves, expected, strict=True):
        assert leaf.shape == numpy.shape(start)
        assert leaf.dtype == "float64"
    flat = numpy.concatenate([leaf.ravel() for leaf in leaves])
    numpy.testing.assert_allclose(flat, [1, 2, -1, 1], atol=0.05)
    assert abs(found.fun - 3.0) < 1e-5


def test_arguments_are_handed_on_as_they_are():
    def fun(x, power, table, centre):
        assert type(power) is int
        return table["weight"] * ((x - centre) ** power).sum()

    found = optimize.minimize(fun, numpy.zeros(2), args=(2, {"weight": 3.0}, ng.asarray([1.0, -1.0])))
    numpy.testing.assert_allclose(found.x, [1, -1], atol=1e-6)


def test_a_changed_argument_is_seen_by_the_next_call():
    centre = numpy.array([1.0, 2.0])

    def fun(x):
        return ((x - centre) ** 2).sum()

    optimize.minimize(fun, numpy.zeros(2))
    centre[:] = 5.0
    numpy.testing.assert_allclose(optimize.minimize(fun, numpy.zeros(2)).x, [5, 5], atol=1e-6)


def test_a_call_traces_once():
    calls = []

    def fun(x):
        calls.append(1)
        return rosen(x)

    found = optimize.minimize(fun, numpy.zeros(5), method="BFGS")
    assert found.nfev > 10
    assert len(calls) == 1


def test_bounds():
    box = scipy.optimize.Bounds({"a": [2.0, -9.0], "b": [-9.0]}, {"a": 9.0, "b": [0.5]})
    fun = lambda p: (p["a"] ** 2).sum() + ((p["b"] - 3.0) ** 2).sum()  # noqa: E731
    found = optimize.minimize(fun, {"a": numpy.ones(2), "b": numpy.zeros(1)}, bounds=box)
    numpy.testing.assert_allclose(found.x["a"], [2, 0], atol=1e-6)
    numpy.testing.assert_allclose(found.x["b"], [0.5], atol=1e-6)
    flat = optimize.minimize(lambda x: ((x - 3.0) ** 2).sum(), [0.0, 0.0], bounds=[(None, 1.0), (None, None)])
    numpy.testing.assert_allclose(flat.x, [1, 3], atol=1e-5)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr", "COBYLA", None])
@pytest.mark.parametrize("form", ["dict", "object", "linear"])
def test_constraints(method, form):
    """The point of the line x + y = 3 (above x y = 2) that is nearest to 0."""
    if form == "dict" and method == "trust-constr":
        pytest.skip("SciPy turns dicts into NonlinearConstraints for this method and warns about its own defaults.")
    seen = []

    def circle(x):
        seen.append(type(x))
        return x["u"] * x["v"] - 2.0

    if form == "dict":
        constraints = [{"type": "ineq", "fun": circle}, {"type": "ineq", "fun": lambda x: [x["u"] - 0.1, x["v"] - 0.1]}]
    elif form == "object":
        constraints = scipy.optimize.NonlinearConstraint(circle, 0.0, numpy.inf)
    else:
        constraints = scipy.optimize.LinearConstraint([[1.0, 1.0]], numpy.sqrt(8.0), numpy.inf)
    found = optimize.minimize(
        lambda x: x["u"] ** 2 + x["v"] ** 2, {"u": 2.0, "v": 1.7}, method=method, constraints=constraints
    )
    numpy.testing.assert_allclose([found.x["u"], found.x["v"]], numpy.sqrt(2.0), atol=2e-3)
    assert len(seen) <= 6  # traced for value, Jacobian and Hessian, not called for each step


def test_derivatives_given_are_used():
    used = []

    def jac(p, scale):
        used.append("jac")
        return {"a": 2 * scale * p["a"]}

    def hessp(p, d, scale):
        used.append("hessp")
        return {"a": 2 * scale * d["a"]}

    fun = lambda p, scale: scale * (p["a"] ** 2).sum()  # noqa: E731
    start = {"a": numpy.ones((2, 1))}
    found = optimize.minimize(fun, start, (3.0,), "Newton-CG", jac=jac, hessp=hessp)
    numpy.testing.assert_allclose(found.x["a"], 0, atol=1e-6)
    assert {"jac", "hessp"} == set(used)
    both = optimize.minimize(lambda p: (fun(p, 1.0), {"a": 2 * p["a"]}), start, jac=True)
    numpy.testing.assert_allclose(both.x["a"], 0, atol=1e-6)
    matrix = optimize.minimize(
        lambda x: (x**2).sum(), [1.0, 2.0], method="trust-exact", hess=lambda x: 2 * numpy.eye(2)
    )
    numpy.testing.assert_allclose(matrix.x, 0, atol=1e-6)


def test_callback_sees_unknowns_in_their_form():
    shapes, results = [], []

    def result(intermediate_result):
        results.append(intermediate_result.x["a"].shape)

    start, fun = {"a": numpy.ones((2, 1))}, lambda p: (p["a"] ** 4).sum()
    optimize.minimize(fun, start, callback=lambda x: shapes.append(x["a"].shape))
    optimize.minimize(fun, start, callback=result)
    assert set(shapes) == set(results) == {(2, 1)}


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
@pytest.mark.parametrize("count", [3, 40])
def test_least_squares(method, count):
    t = numpy.linspace(0, 2, count)
    data = 2.0 * numpy.exp(-1.5 * t) + 0.5
    found = optimize.least_squares(
        lambda p, t, offset=0.0: p["a"] * np.exp(-p["k"] * t) + p["c"] + offset - data,
        {"a": 1.0, "k": 1.0, "c": 0.0}, args=(t,), kwargs={"offset": 0.0}, method=method,
    )  # fmt: skip
    theirs = scipy.optimize.least_squares(
        lambda p: p[0] * numpy.exp(-p[2] * t) + p[1] - data, [1.0, 0.0, 1.0], method=method
    )
    numpy.testing.assert_allclose([found.x["a"], found.x["c"], found.x["k"]], theirs.x, rtol=1e-5)
    assert found.jac.shape == (count, 3)
    numpy.testing.assert_allclose(found.jac, theirs.jac, atol=1e-5)


def test_least_squares_in_a_box():
    found = optimize.least_squares(lambda x: x - 3.0, numpy.zeros((2, 2)), bounds=(-1.0, [[1.0, 5.0], [2.0, 9.0]]))
    numpy.testing.assert_allclose(found.x, [[1, 3], [2, 3]], atol=1e-4)


@pytest.mark.parametrize("shape", [(9, 4), (2, 4), (4, 4), ()])
def test_jacobians_are_those_of_differences(shape):
    rng = numpy.random.default_rng(1)
    m, x, step = rng.normal(size=(*shape, 4)), rng.normal(size=4), 1e-6
    function = Several("root", lambda x: (np.sin(ng.asarray(m) @ x), x.sum() ** 2), Vector("root", "x0", x))
    plain = lambda x: numpy.append(numpy.sin(m @ x), x.sum() ** 2)  # noqa: E731
    numpy.testing.assert_allclose(function.value(x), plain(x), rtol=1e-12)
    columns = [(plain(x + step * e) - plain(x - step * e)) / (2 * step) for e in numpy.eye(4)]
    numpy.testing.assert_allclose(function.jacobian(x), numpy.stack(columns, 1), atol=1e-8)
    v = rng.normal(size=plain(x).size)
    pulled = [
        (v @ (function.jacobian(x + step * e) - function.jacobian(x - step * e))) / (2 * step) for e in numpy.eye(4)
    ]
    numpy.testing.assert_allclose(function.hessian(x, v), pulled, atol=1e-7)


@pytest.mark.parametrize("method", ["hybr", "lm", "broyden1", "krylov"])
def test_root(method):
    def fun(x):
        return x["a"] + 0.3 * np.cos(x["b"]) - 1.0, x["b"] - 0.2 * np.sin(x["a"]) + 0.5

    found = optimize.root(fun, {"a": numpy.zeros(2), "b": numpy.zeros(2)}, method=method)
    assert found.success
    a, b = found.x["a"], found.x["b"]
    numpy.testing.assert_allclose(a + 0.3 * numpy.cos(b), 1, atol=1e-5)
    numpy.testing.assert_allclose(b - 0.2 * numpy.sin(a), -0.5, atol=1e-5)


SCALARS = (
    {"x0": 1.0},
    {"x0": 1.0, "method": "newton"},
    {"x0": 1.0, "method": "halley"},
    {"x0": 1.0, "x1": 2.0, "method": "secant"},
    {"bracket": (0.0, 3.0)},
    {"bracket": (0.0, 3.0), "method": "brentq"},
    {"x0": 1.0, "fprime": lambda x, c: 3 * x**2, "fprime2": lambda x, c: 6 * x},
)


@pytest.mark.parametrize("how", SCALARS)
@pytest.mark.parametrize("jit", [0, 2])
def test_root_scalar(settings, how, jit):
    settings.jit = jit
    found = optimize.root_scalar(lambda x, c: x**3 - c, (5.0,), **how)
    assert found.converged
    assert abs(found.root - 5 ** (1 / 3)) < 1e-9


@pytest.mark.parametrize("how", [{}, {"fprime2": True}, {"x1": 2.5}, {"fprime": lambda x, c: 2 * x}])
def test_newton(how):
    scalar = optimize.newton(lambda x, c: x * x - c, 1.5, args=(3.0,), **how)
    assert abs(scalar - numpy.sqrt(3)) < 1e-7
    if "x1" not in how:
        c = numpy.array([2.0, 3.0, 10.0])
        several = optimize.newton(lambda x, c: x * x - c, numpy.full(3, 2.0), args=(c,), **how)
        numpy.testing.assert_allclose(several, numpy.sqrt(c), rtol=1e-7)


CURVES = (
    {},
    {"p0": [1.0, 1.0, 0.0]},
    {"bounds": ([0, 0, -1], [9, 9, 1])},
    {"sigma": numpy.linspace(1, 2, 30), "absolute_sigma": True},
    {"method": "trf", "p0": [1.0, 1.0, 0.0]},
)


@pytest.mark.parametrize("how", CURVES)
@pytest.mark.parametrize("jit", [0, 2])
def test_curve_fit(settings, how, jit):
    settings.jit = jit
    t = numpy.linspace(0, 3, 30)
    y = 2.5 * numpy.exp(-1.3 * t) + 0.5 + 0.05 * numpy.sin(17 * t)
    popt, pcov = optimize.curve_fit(lambda t, a, k, c: a * np.exp(-k * t) + c, t, y, **how)
    theirs = scipy.optimize.curve_fit(lambda t, a, k, c: a * numpy.exp(-k * t) + c, t, y, **how)
    numpy.testing.assert_allclose(popt, theirs[0], rtol=1e-4)
    numpy.testing.assert_allclose(pcov, theirs[1], rtol=1e-3)


def test_curve_fit_of_two_variables_and_everything_it_returns():
    grid = numpy.stack(numpy.meshgrid(numpy.arange(4.0), numpy.arange(3.0))).reshape(2, -1)
    z = 2 * grid[0] - grid[1] ** 2
    fit = optimize.curve_fit(lambda xy, a, b: a * xy[0] + b * xy[1] ** 2, grid, z, full_output=True)
    numpy.testing.assert_allclose(fit[0], [2, -1], rtol=1e-9)
    assert fit[2]["njev"] >= 1  # SciPy called the Jacobian
    named = optimize.curve_fit(lambda d, a, b: a * d["x"] + b * d["y"] ** 2, {"x": grid[0], "y": grid[1]}, z)
    numpy.testing.assert_allclose(named[0], [2, -1], rtol=1e-9)


ONE = numpy.ones(2)
MESSAGES = (
    (lambda: optimize.minimize(lambda x: x * 2.0, ONE), errors.ShapeError,
     r"minimize: fun must return one number, and <lambda> returned shape \(2,\); reduce it, as with \.sum\(\)"),
    (lambda: optimize.minimize(lambda x: (x * 1j).sum(), ONE), errors.DtypeError,
     r"minimize: fun must return real floating-point numbers, and <lambda> returned complex ones; return abs"),
    (lambda: optimize.minimize(lambda x: (x > 0).sum(), ONE), errors.DtypeError,
     r"<lambda> returned int64 ones; return floats"),
    (lambda: optimize.minimize(lambda x: x.sum(), ONE * 1j), errors.DtypeError,
     r"minimize: x0 is complex, and SciPy's solvers need real unknowns"),
    (lambda: optimize.minimize(lambda x: x.sum(), []), errors.ShapeError, r"minimize: x0 has no elements"),
    (lambda: optimize.minimize(3, ONE), errors.ArgumentError, r"minimize: fun must be callable, not int 3"),
    (lambda: optimize.minimize(lambda x: "no", ONE), errors.ArgumentError, r"fun\(x\)"),
    (lambda: optimize.minimize(lambda x: float(x[0]), ONE), errors.TracedValueError, r"jit"),
    (lambda: optimize.minimize(lambda x: x.sum(), ONE, constraints={"type": "eq"}), errors.ArgumentError,
     r"a constraint needs a callable 'fun', got NoneType None"),
    (lambda: optimize.minimize(lambda p: p["a"], {"a": 1.0}, jac=lambda p: {"b": 1.0}), errors.ShapeError,
     r"minimize: jac\(x\) does not have the form of x0"),
    (lambda: optimize.least_squares(lambda x: (x > 0), ONE), errors.DtypeError, r"least_squares: fun must return real"),
    (lambda: optimize.root(lambda x: x, ONE, jac=True), errors.ArgumentError, r"root: jac=True is not needed"),
    (lambda: optimize.root_scalar(lambda x: x, x0=1.0, fprime=True), errors.ArgumentError,
     r"root_scalar: fprime=True is not needed"),
    (lambda: optimize.root_scalar(lambda x: x * ONE, x0=1.0), errors.ShapeError,
     r"root_scalar: f must return the shape of its argument, \(\), and it returned \(2,\)"),
    (lambda: optimize.newton(None, 1.0), errors.ArgumentError, r"newton: f must be callable"),
    (lambda: optimize.curve_fit(None, ONE, ONE), errors.ArgumentError, r"curve_fit: f must be callable"),
    (lambda: ng.grad(lambda p: optimize.minimize(lambda x: (x**2).sum() * p, ONE).x.sum())(ng.asarray(1.0)),
     errors.GradientError, r"minimize: called inside of grad, jit or another transform.*implicit function theorem"),
    (lambda: ng.jit(lambda x: optimize.root(lambda y: y, x).x)(ONE), errors.GradientError, r"root: called inside of"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_fit_of_a_differential_equation():
    """The rate of a decay from its solution, by products with the Hessian through `odeint`."""
    from nbgrad.scipy import integrate

    t = numpy.linspace(0.0, 2.0, 5)
    data = 3.0 * numpy.exp(-0.7 * t)

    def loss(p):
        y = integrate.odeint(lambda y, t, k: -k * y, p["start"], t, p["rate"], method="rk4", substeps=5)
        return ((y - data) ** 2).sum()

    found = optimize.minimize(loss, {"start": 1.0, "rate": 0.1}, method="trust-ncg")
    numpy.testing.assert_allclose([found.x["start"], found.x["rate"]], [3.0, 0.7], rtol=1e-5)


@pytest.mark.parametrize("module", ["optimize", "integrate", "signal", "ndimage"])
def test_import_is_light(module):
    """SciPy is imported when one of its functions is first needed."""
    heavy = {"scipy", "numba", "llvmlite", "optree"}
    code = f"import sys, nbgrad.scipy.{module}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == []


def test_submodules_are_imported_when_asked_for():
    import nbgrad.scipy

    assert nbgrad.scipy.optimize is optimize
    assert "optimize" in dir(nbgrad.scipy)
    with pytest.raises(AttributeError, match=r"module 'nbgrad.scipy' has no attribute 'optimise'; it has integrate"):
        nbgrad.scipy.optimise  # noqa: B018
