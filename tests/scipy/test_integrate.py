"""Integrals against SciPy and closed forms, gradients against differences and closed forms."""

import numpy
import pytest
import scipy.integrate
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.scipy import integrate

# ---------------------------------------------------------------- samples

PLACES = numpy.array([0.0, 0.4, 1.1, 1.3, 2.0, 2.7, 3.5])


@pytest.mark.parametrize(("n", "jit"), [*((n, 0) for n in range(1, 8)), (5, 2), (6, 2)])
@pytest.mark.parametrize("how", [{}, {"dx": 0.5}, {"x": True}, {"axis": 0}])
def test_samples(settings, n, how, jit):
    settings.jit = jit
    axis = how.get("axis", -1)
    y = normal(*((n, 3) if axis == 0 else (3, n)))
    if "x" in how:
        how = {"x": PLACES[:n]}
    for name in ("trapezoid", "simpson", "cumulative_trapezoid"):
        ours, theirs = (getattr(m, name)(y, **how) for m in (integrate, scipy.integrate))
        same(ours, theirs, 1e-12)
        if jit == 0 and n in (1, 2, 5, 6):
            check_gradient(lambda y, name=name: getattr(integrate, name)(y, **how), y)
    same(integrate.cumulative_trapezoid(y, **how, initial=0), scipy.integrate.cumulative_trapezoid(y, **how, initial=0))


@pytest.mark.parametrize("name", ["trapezoid", "simpson", "cumulative_trapezoid"])
def test_gradient_by_the_places_of_samples(name):
    for n in (2, 5, 6):
        check_gradient(lambda y, x: getattr(integrate, name)(y, x), normal(2, n), PLACES[:n])
        check_gradient(lambda y, x: getattr(integrate, name)(y, x, axis=0), normal(n, 2), normal(n, 2).cumsum(0) + 9)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_fixed_quad(n):
    def theirs(a, b, k):
        return scipy.integrate.fixed_quad(lambda x: numpy.exp(-k * x), a, b, n=n)[0]

    def ours(a, b, k):
        return integrate.fixed_quad(lambda x, k: np.exp(-k * x), a, b, (k,), n)[0]

    same(ours(0.1, 1.7, 2.0), theirs(0.1, 1.7, 2.0), 1e-14)
    check_gradient(ours, 0.1, 1.7, 2.0)


# ---------------------------------------------------------------- functions

INTEGRALS = (
    (lambda x, k: np.exp(-k * x), lambda x, k: numpy.exp(-k * x), 0.2, 1.5, 1.3),
    (lambda x, k: np.cos(k[0] * x) * k[1], lambda x, k: numpy.cos(k[0] * x) * k[1], -1.0, 2.0, [0.7, 1.1]),
    (lambda x, k: k * x**2, lambda x, k: k * x**2, 2.0, -1.0, 0.5),
    (lambda x, k: x / (k + x * x), lambda x, k: x / (k + x * x), 0.0, 3.0, 1.5),
)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("ours", "theirs", "a", "b", "k"), INTEGRALS)
def test_quad(settings, ours, theirs, a, b, k, jit):
    settings.jit = jit
    k = numpy.asarray(k)
    value, error = integrate.quad(ours, a, b, (k,))
    expected = scipy.integrate.quad(theirs, a, b, (k,))
    same(value, expected[0], 1e-13)
    assert 0 <= float(error) < 1e-8

    def loss(a, b, k):
        return integrate.quad(ours, a, b, (k,), epsabs=1e-13, epsrel=1e-13)[0]

    check_gradient(loss, a, b, k, second=jit == 0)


def test_quad_to_infinity():
    """The integral of exp(-k x^2) is sqrt(pi / k)."""
    loss = lambda k: integrate.quad(lambda x, k: np.exp(-k * x * x), -numpy.inf, numpy.inf, (k,))[0]  # noqa: E731
    k = ng.asarray(0.8)
    assert abs(float(loss(k)) - numpy.sqrt(numpy.pi / 0.8)) < 1e-8
    assert abs(float(ng.grad(loss)(k)) + 0.5 * numpy.sqrt(numpy.pi) * 0.8**-1.5) < 1e-8
    assert abs(float(ng.grad(ng.grad(loss))(k)) - 0.75 * numpy.sqrt(numpy.pi) * 0.8**-2.5) < 1e-7
    upper = ng.grad(lambda b: integrate.quad(lambda x: np.exp(-x), 0.0, b)[0])
    assert float(upper(ng.asarray(numpy.inf))) == 0.0
    assert abs(float(upper(ng.asarray(2.0))) - numpy.exp(-2.0)) < 1e-12


def test_quad_inside_of_jit_and_of_nests():
    def loss(p):
        func = lambda x, q, n: q["a"] * x**n + (q["b"] * x).sum()  # noqa: E731
        return integrate.quad(func, 0.0, p["end"], (p, 2))[0]

    p = {"a": ng.asarray(3.0), "b": ng.asarray([1.0, 2.0]), "end": ng.asarray(2.0)}
    for function in (ng.value_and_grad(loss), ng.jit(ng.value_and_grad(loss))):
        value, slopes = function(p)
        assert abs(float(value) - (8 + 6)) < 1e-10
        numpy.testing.assert_allclose(slopes["a"].numpy(), 8 / 3, rtol=1e-10)
        numpy.testing.assert_allclose(slopes["b"].numpy(), [2, 2], rtol=1e-10)
        numpy.testing.assert_allclose(slopes["end"].numpy(), 12 + 6, rtol=1e-10)


@pytest.mark.parametrize("jit", [0, 2])
def test_an_integral_of_integrals(settings, jit):
    """Of x y^2 k over the triangle below the diagonal: k / 15."""
    settings.jit = jit

    def inner(x, k):
        return integrate.quad(lambda y, x, k: k * x * y * y, 0.0, x, (x, k))[0]

    def loss(k):
        return integrate.quad(inner, 0.0, 1.0, (k,))[0]

    value, slope = ng.value_and_grad(loss)(ng.asarray(3.0))
    assert abs(float(value) - 0.2) < 1e-10
    assert abs(float(slope) - 1 / 15) < 1e-10


def test_quad_with_points_and_small_gradients():
    """Tolerances are those of the integral, however small what is done with it."""
    step = lambda x, k: np.where(x > 0.3, np.exp(k * x), 0.0)  # noqa: E731
    loss = lambda k: 1e-12 * integrate.quad(step, 0.0, 1.0, (k,), points=[0.3])[0]  # noqa: E731
    expected = scipy.integrate.quad(lambda x: x * numpy.exp(0.5 * x), 0.3, 1.0)[0]
    numpy.testing.assert_allclose(float(ng.grad(loss)(ng.asarray(0.5))), 1e-12 * expected, rtol=1e-9)


# ---------------------------------------------------------------- differential equations


def turning(y, t, w):
    """A harmonic oscillator."""
    return np.stack([y[1], -w * w * y[0]])


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("method", "how", "within"), [("dopri5", {}, 1e-6), ("rk4", {"substeps": 40}, 1e-6)])
@pytest.mark.parametrize("t", [[0.0, 0.5, 2.0, 3.0], [1.0, 0.2, -1.0], [0.0, 0.0, 1.0], [2.0]])
def test_odeint_against_the_closed_form(settings, t, method, how, within, jit):
    settings.jit = jit
    t = numpy.array(t)
    y = integrate.odeint(turning, [1.0, 0.5], t, 1.4, method=method, **how)
    d = 1.4 * (t - t[0])
    expected = numpy.stack([numpy.cos(d) + 0.5 / 1.4 * numpy.sin(d), -1.4 * numpy.sin(d) + 0.5 * numpy.cos(d)], 1)
    assert y.shape == (t.size, 2)
    assert y.dtype == "float64"
    numpy.testing.assert_allclose(y.numpy(), expected, atol=within)


def test_rk4_is_the_method_of_runge_and_kutta():
    f = lambda y, t: t * numpy.sin(y)  # noqa: E731
    t, y, h = numpy.linspace(0, 1, 4), [numpy.array([1.0, 2.0])], 1 / 6
    for start in t[:-1]:
        u = y[-1]
        for s in (start, start + h):
            k1 = f(u, s)
            k2 = f(u + h / 2 * k1, s + h / 2)
            k3 = f(u + h / 2 * k2, s + h / 2)
            k4 = f(u + h * k3, s + h)
            u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        y.append(u)
    ours = integrate.odeint(lambda y, t: t * np.sin(y), y[0], t, method="rk4", substeps=2)
    numpy.testing.assert_allclose(ours.numpy(), numpy.stack(y), rtol=1e-14)


def test_dopri5_is_as_accurate_as_it_is_asked_to_be():
    f = lambda t, y: [y[1], 3 * (1 - y[0] ** 2) * y[1] - y[0]]  # noqa: E731
    t = numpy.linspace(0, 8, 9)
    exact = scipy.integrate.solve_ivp(f, (0, 8), [2.0, 0.0], "DOP853", t, rtol=1e-13, atol=1e-13).y.T
    wrong = []
    for tolerance in (1e-4, 1e-7, 1e-10):
        y = integrate.odeint(lambda y, t: np.stack(f(t, y)), [2.0, 0.0], t, rtol=tolerance, atol=tolerance)
        wrong.append(abs(y.numpy() - exact).max())
        assert wrong[-1] < 1000 * tolerance
    assert wrong[2] < wrong[1] / 50 < wrong[0] / 2500


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
@pytest.mark.parametrize("jit", [0, 2])
def test_gradients_of_odeint(settings, method, jit):
    """By the start, the times and the arguments, first and second order: differences of the solution."""
    settings.jit = jit
    how = {"rtol": 1e-12, "atol": 1e-12} if method == "dopri5" else {"substeps": 6}

    def solve(y0, t, k, m):
        return integrate.odeint(lambda y, t, k, m: np.tanh(m @ y) * k + 0.1 * t, y0, t, k, m, method=method, **how)

    values = [normal(2), numpy.array([0.0, 0.4, 1.0]), normal(2, seed=1), normal(2, 2, seed=2)]
    weights = normal(3, 2, seed=3)
    loss = lambda v: (solve(*v) * weights).sum()  # noqa: E731
    arrays, step = [ng.asarray(v) for v in values], 1e-5
    found = ng.grad(loss)(arrays)
    directions = [normal(*v.shape, seed=7) for v in values]
    for k, v in enumerate(values):
        a, b = (float(loss([*values[:k], v + s * step * directions[k], *values[k + 1 :]])) for s in (1, -1))
        assert abs((found[k].numpy() * directions[k]).sum() - (a - b) / (2 * step)) < 1e-7
    if jit == 2:
        return
    second = ng.grad(lambda v: sum((g * d).sum() for g, d in zip(ng.grad(loss)(v), directions, strict=True)))(arrays)
    moved = [[v + s * step * d for v, d in zip(values, directions, strict=True)] for s in (1, -1)]
    up, down = ([g.numpy() for g in ng.grad(loss)([ng.asarray(v) for v in m])] for m in moved)
    for g, a, b in zip(second, up, down, strict=True):
        numpy.testing.assert_allclose(g.numpy(), (a - b) / (2 * step), atol=1e-6)


def test_odeint_of_nests():
    def f(y, t, p, name):
        assert name == "label"
        return {"x": y["v"], "v": -p["k"][0] * y["x"] - p["k"][1] * y["v"]}

    y0 = {"x": numpy.ones((2, 1)), "v": ng.asarray(numpy.zeros((2, 1)))}
    found = integrate.odeint(f, y0, [0.0, 1.0, 2.0], {"k": [ng.asarray(4.0), 0.0]}, "label")
    assert found["x"].shape == found["v"].shape == (3, 2, 1)
    numpy.testing.assert_allclose(found["x"].numpy()[:, 0, 0], numpy.cos([0, 2, 4]), atol=1e-6)

    def loss(p):
        return integrate.odeint(f, y0, [0.0, 1.0], p, "label")["x"][-1].sum()

    slopes = ng.grad(loss)({"k": [ng.asarray(4.0), ng.asarray(0.0)]})
    assert abs(float(slopes["k"][0]) - 2 * -numpy.sin(2.0) / 4) < 1e-6  # d cos(sqrt(k)) / dk


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_gradients_of_the_graph(method):
    """`nbgrad.gradients` of y' = -k y^2 from 1: y(1) = 1 / (1 + k), and of k x^2 over [0, 2] by `quad`."""
    k = ng.asarray(0.5)
    y = integrate.odeint(lambda y, t, k: -k * y * y, ng.asarray([1.0]), [0, 1], k, method=method, substeps=50)[-1]
    slope = ng.gradients(y, k)[0]
    curve = ng.gradients(slope, k)[0]
    assert abs(float(slope) + 1.5**-2) < 1e-6
    assert abs(float(curve) - 2 * 1.5**-3) < 1e-6
    z = integrate.quad(lambda x, k: k * k * x * x, 0.0, 2.0, (k,))[0]
    slope = ng.gradients(z, k)[0]
    curve = ng.gradients(slope, k)[0]
    assert abs(float(slope) - 8 / 3) < 1e-10
    assert abs(float(curve) - 16 / 3) < 1e-10


def test_rk4_inside_of_jit():
    loss = lambda k, y: integrate.odeint(lambda y, t, k: -k * y, y, [0.0, 1.0], k, method="rk4", substeps=20)[-1].sum()  # noqa: E731
    k, y = ng.asarray(1.5), ng.asarray([1.0, 2.0])
    value, slopes = ng.jit(ng.value_and_grad(loss, (0, 1)))(k, y)
    numpy.testing.assert_allclose(float(value), 3 * numpy.exp(-1.5), rtol=1e-6)
    numpy.testing.assert_allclose(float(slopes[0]), -3 * numpy.exp(-1.5), rtol=1e-5)
    numpy.testing.assert_allclose(slopes[1].numpy(), numpy.exp(-1.5), rtol=1e-6)


def test_a_solution_is_compiled_once():
    """Equal functions share what was compiled, also when they are made anew; the numbers that they use count."""
    from nbgrad.scipy import _loop

    def decayed(rate):
        return float(integrate.odeint(lambda y, t: -rate * y, [1.0], [0.0, 1.0], method="rk4", substeps=9)[1, 0])

    first, size = decayed(numpy.array([1.0])), len(_loop._known)
    assert decayed(numpy.array([1.0])) == first
    assert len(_loop._known) == size
    assert abs(decayed(numpy.array([2.0])) - numpy.exp(-2.0)) < 1e-4
    assert len(_loop._known) == size + 1


W, Y = ng.Parameter([1.0], name="w"), numpy.ones(1)
MESSAGES = (
    (lambda: integrate.quad(lambda x: W.sum() * x, 0.0, 1.0), errors.GradientError,
     r"quad: the function uses an Array from outside that is differentiated.*hand it over by args"),
    (lambda: ng.grad(lambda k: integrate.quad(lambda x: k * x, 0.0, 1.0)[0])(ng.asarray(1.0)), errors.GradientError,
     r"quad: the function uses an Array from outside"),
    (lambda: ng.jit(lambda k: integrate.odeint(lambda y, t: -k * y, Y, [0.0, 1.0], method="rk4"))(Y),
     errors.GradientError, r"odeint: the function uses an Array from outside"),
    (lambda: integrate.quad(lambda x: x * numpy.ones(2), 0.0, 1.0), errors.ShapeError, r"func must return one number"),
    (lambda: integrate.quad(lambda x: x * 1j, 0.0, 1.0), errors.DtypeError, r"quad: func must return a real number"),
    (lambda: integrate.quad(None, 0.0, 1.0), errors.ArgumentError, r"quad: func must be callable"),
    (lambda: integrate.quad(lambda x: x, 0.0, numpy.ones(2)), errors.ArgumentError, r"quad: b must be one real number"),
    (lambda: integrate.quad(lambda x, z: x, 0.0, 1.0, (1j,)), errors.DtypeError, r"complex numbers have no place"),
    (lambda: integrate.quad(lambda x: x, 0.0, 1.0, full_output=1), errors.ArgumentError, r"full_output is not here"),
    (lambda: integrate.fixed_quad(lambda x: x, 0.0, 1.0, n=0), errors.ArgumentError, r"n must be positive, not 0"),
    (lambda: integrate.simpson(numpy.zeros(0)), errors.ShapeError, r"simpson: at least one sample is needed"),
    (lambda: integrate.simpson([1.0, 2.0], [1.0]), errors.ShapeError, r"simpson: x must have the shape of y, or one"),
    (lambda: integrate.cumulative_trapezoid([1.0], initial=2), errors.ArgumentError, r"must be None or 0, not 2"),
    (lambda: integrate.odeint(None, Y, [0.0]), errors.ArgumentError, r"odeint: f must be callable"),
    (lambda: integrate.odeint(lambda y, t: y, Y, [0.0], method="euler"), errors.ArgumentError, r"'dopri5' or 'rk4'"),
    (lambda: integrate.odeint(lambda y, t: y, "no", [0.0]), errors.ArgumentError, r"y0 must be an array or a nest"),
    (lambda: integrate.odeint(lambda y, t: y, Y, 1.0), errors.ShapeError, r"t must be a vector of one or more real"),
    (lambda: integrate.odeint(lambda y, t: y, Y, [0.0, 1.0, 0.5]), errors.ArgumentError, r"change its direction"),
    (lambda: integrate.odeint(lambda y, t: y.sum(), Y, [0.0, 1.0]), errors.ShapeError, r"in the form of y0.*returned"),
    (lambda: integrate.odeint(lambda y, t: y * 1j, Y, [0.0, 1.0]), errors.DtypeError, r"f must return real numbers"),
    (lambda: integrate.odeint(lambda y, t: y, Y, [0.0, 1.0], method="rk4", substeps=0), errors.ArgumentError,
     r"substeps must be positive, not 0"),
    (lambda: integrate.odeint(lambda y, t: y * y, Y, [0.0, 2.0]), errors.NbgradError, r"no solution after \d+ steps"),
    (lambda: integrate.odeint(lambda y, t: y, Y, [0.0, 9.0], max_steps=3), errors.NbgradError, r"no solution after 3"),
    (lambda: ng.jit(lambda y: integrate.odeint(lambda y, t: y, y, [0.0, 1.0]))(Y), errors.TracedValueError,
     r"odeint: the steps of method 'dopri5' depend on the values of y0.*give method='rk4'"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
