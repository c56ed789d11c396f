"""Implicit differentiation: against explicit solutions, to the second order, in both modes, mapped and jitted."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

X0 = numpy.ones(2)
A = numpy.array([[3.0, 1.0], [0.5, 4.0]])
B = numpy.array([1.0, 2.0])


def newton(f, x):
    x = ng.asarray(x)
    for _ in range(30):
        step = np.linalg.solve(ng.jacobian(f)(x), f(x))
        x = x - step
        if float(np.max(np.abs(step))) < 1e-14:
            return x
    raise AssertionError("no root")


def equations(x, p):
    return p["a"] @ x + x**3 - p["b"]


root = ng.implicit_root(equations, newton)


def by_differences(f, x, step=1e-6):
    flat = x.reshape(-1)
    columns = [(f((flat + e).reshape(x.shape)) - f((flat - e).reshape(x.shape))) / (2 * step)
               for e in step * numpy.eye(flat.size)]  # fmt: skip
    return numpy.stack(columns, -1).reshape(*columns[0].shape, *x.shape)


def test_it_is_a_root():
    x = root(X0, {"a": A, "b": B}).numpy()
    numpy.testing.assert_allclose(A @ x + x**3, B, rtol=1e-13)


def test_gradients_and_jacobians():
    weights = numpy.array([1.0, -2.0])
    found = ng.grad(lambda p: np.sum(root(X0, p) * weights))({"a": A, "b": B})
    value = lambda a, b: float(weights @ root(X0, {"a": a, "b": b}).numpy())  # noqa: E731
    numpy.testing.assert_allclose(found["a"], by_differences(lambda a: numpy.array(value(a, B)), A), atol=1e-8)
    numpy.testing.assert_allclose(found["b"], by_differences(lambda b: numpy.array(value(A, b)), B), atol=1e-8)
    x = root(X0, {"a": A, "b": B}).numpy()
    exact = numpy.linalg.inv(A + numpy.diag(3 * x**2))
    for jacobian in (ng.jacrev, ng.jacfwd):
        numpy.testing.assert_allclose(jacobian(lambda b: root(X0, {"a": A, "b": b}))(B), exact, rtol=1e-10)
    assert not ng.grad(lambda x0: np.sum(root(x0, {"a": A, "b": B})))(X0).numpy().any()


def test_second_order():
    """x = sqrt(a): x'' = -1 / (4 a^1.5), x''' = 3 / (8 a^2.5)."""
    sqrt = ng.implicit_root(lambda x, a: x * x - a, newton_of_numbers)
    f = lambda a: sqrt(ng.asarray(1.0), a)  # noqa: E731
    a = ng.asarray(2.0)
    assert float(ng.grad(f)(a)) == pytest.approx(0.5 / 2**0.5, rel=1e-12)
    assert float(ng.grad(ng.grad(f))(a)) == pytest.approx(-0.25 / 2**1.5, rel=1e-12)
    assert float(ng.grad(ng.grad(ng.grad(f)))(a)) == pytest.approx(3 / 8 / 2**2.5, rel=1e-12)
    assert float(ng.hessian(f)(a)) == pytest.approx(-0.25 / 2**1.5, rel=1e-12)


def newton_of_numbers(f, x):
    for _ in range(8):
        x = x - f(x) / ng.grad(f)(x)
    return x


def test_jitted_and_mapped():
    """A solver that reads no values can be traced."""
    sqrt = ng.implicit_root(lambda x, a: x * x - a, newton_of_numbers)
    a = numpy.array([1.0, 2.0, 5.0])
    slopes = ng.vmap(ng.grad(lambda a: sqrt(ng.asarray(1.5), a)))
    numpy.testing.assert_allclose(slopes(a), 0.5 / a**0.5, rtol=1e-10)
    numpy.testing.assert_allclose(ng.jit(slopes)(a), 0.5 / a**0.5, rtol=1e-10)
    numpy.testing.assert_allclose(ng.grad(lambda a: np.sum(ng.vmap(lambda a: sqrt(ng.asarray(1.5), a))(a)))(a),
                                  0.5 / a**0.5, rtol=1e-10)  # fmt: skip


def test_fixed_points_and_a_solver_of_ones_own():
    def iterate(f, x):
        for _ in range(200):
            x = f(x)
        return x

    def richardson(product, b):
        """The Jacobian of f(x) - x is close to -1."""
        u = -b
        for _ in range(200):
            u = u + (product(u) - b)
        return u

    step = lambda x, a: {"u": 0.3 * np.cos(x["v"]) + a, "v": 0.2 * np.sin(x["u"]) * a}  # noqa: E731
    guess, a = {"u": numpy.zeros(2), "v": numpy.zeros(2)}, numpy.array([0.3, 0.8])
    for linear_solve in (None, richardson):
        f = ng.implicit_fixed_point(step, iterate, linear_solve)
        number = lambda a, f=f: np.sum(f(guess, a)["u"] ** 2 + f(guess, a)["v"])  # noqa: E731
        expected = by_differences(lambda a, number=number: number(ng.asarray(a)).numpy(), a)
        numpy.testing.assert_allclose(ng.grad(number)(a), expected, atol=1e-8)


def test_scipy_finds_the_root():
    import scipy.optimize

    def by_scipy(f, x0):
        return scipy.optimize.fsolve(lambda x: f(ng.asarray(x)).numpy(), x0, xtol=1e-14)

    found = ng.jacrev(lambda b: ng.implicit_root(equations, by_scipy)(X0, {"a": A, "b": b}))(B)
    numpy.testing.assert_allclose(found, ng.jacrev(lambda b: root(X0, {"a": A, "b": b}))(B), rtol=1e-9)


def test_mistakes():
    with pytest.raises(errors.ArgumentError, match="implicit_root: solve must be callable, got int 3"):
        ng.implicit_root(equations, 3)
    with pytest.raises(
        errors.ShapeError, match=r"fn must return what is like x, with shapes \[\(2,\)\], not \[\(1,\)\]"
    ):
        ng.implicit_root(lambda x, p: x[:1], lambda f, x: x)(X0, 1.0)
    with pytest.raises(errors.DtypeError, match="implicit_root: solve returned int64, expected floats"):
        ng.implicit_root(lambda x, p: x, lambda f, x: x)(numpy.arange(2), 1.0)
    w = ng.asarray([1.0, 1.0])
    with pytest.raises(errors.GradientError, match="closes over an array that is differentiated by"):
        ng.grad(lambda w: np.sum(ng.implicit_root(lambda x, a: x - w * a, lambda f, x: x)(X0, 1.0)))(w)
