"""Transforms in transforms, three deep, in every order; and variables that must not be taken for each other."""

import itertools

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

X = numpy.array([0.3, -1.2, 2.0])
#: sin(2x) and its derivatives.
EXACT = (numpy.sin(2 * X), 2 * numpy.cos(2 * X), -4 * numpy.sin(2 * X), -8 * numpy.cos(2 * X))


def ones(x):
    return np.ones_like(x)


def summed(jacobian, x, axis):
    return np.sum(jacobian.reshape(x.size, x.size), axis=axis).reshape(x.shape)


def ruled(f):
    """f with a rule that says what it would be without one."""
    made = ng.custom_jvp(f)
    made.defjvp(lambda p, t: ng.jvp(f, p, t))
    return made


#: How often each transform differentiates functions of numbers, element by element, and the transform.
TRANSFORMS = {
    "grad": (1, lambda f: ng.grad(lambda x: np.sum(f(x)))),
    "gradients": (1, lambda f: lambda x: ng.gradients(f(x), x)[0]),
    "jvp": (1, lambda f: lambda x: ng.jvp(f, x, ones(x))[1]),
    "vjp": (1, lambda f: lambda x: ng.vjp(f, x)[1](ones(x))[0]),
    "linearize": (1, lambda f: lambda x: ng.linearize(f, x)[1](ones(x))),
    "jacfwd": (1, lambda f: lambda x: summed(ng.jacfwd(f)(x), x, 1)),
    "jacrev": (1, lambda f: lambda x: summed(ng.jacrev(f)(x), x, 0)),
    "hvp": (2, lambda f: lambda x: ng.hvp(lambda x: np.sum(f(x)), x, ones(x))),
    "vmap": (0, lambda f: lambda x: ng.vmap(f)(x) if x.ndim else f(x)),
    "jit": (0, ng.jit),
    "checkpoint": (0, ng.checkpoint),
    "custom": (0, ruled),
    "scan": (0, lambda f: lambda x: ng.scan(lambda s, _: (f(s), None), x, length=1)[0]),
    "map by scan": (0, lambda f: lambda x: ng.scan(lambda s, v: (s, f(v)), 0.0, x)[1] if x.ndim else f(x)),
}


@pytest.mark.parametrize("outer", TRANSFORMS)
def test_three_deep(outer):
    ng.config.jit = 0
    for inner in itertools.product(TRANSFORMS, repeat=2):
        names = (outer, *inner)
        order = sum(TRANSFORMS[n][0] for n in names)
        if order > 3 or ("gradients" in names and "jit" in names):  # what jit returned has no history
            continue
        f = lambda x: np.sin(2.0 * x)  # noqa: E731
        for name in reversed(names):
            f = TRANSFORMS[name][1](f)
        x = ng.Parameter(X, name="x") if "gradients" in names else ng.asarray(X)  # of others that path is dropped
        found = f(x)
        numpy.testing.assert_allclose(found, EXACT[order], rtol=1e-12, atol=1e-12, err_msg=" of ".join(names))


@pytest.mark.parametrize("derivative", ["grad", "jvp", "vjp", "linearize", "jacfwd"])
def test_perturbations_are_not_confused(derivative):
    """d/dx x d/dy (x + y) is 1: the inner derivative is by its own variable (Siskind & Pearlmutter 2005)."""
    d = lambda f: TRANSFORMS[derivative][1](f)  # noqa: E731
    one = ng.asarray(1.0) if derivative != "jacfwd" else ng.asarray([1.0])
    for e in ("grad", "jvp", "vjp", "linearize"):
        inner = TRANSFORMS[e][1]
        assert float(d(lambda x, inner=inner: x * inner(lambda y, x=x: x + y)(one))(one).reshape(())) == 1.0
        nested = d(lambda x, inner=inner: inner(lambda y, x=x: x * y * inner(lambda z, y=y: y * z)(x))(x))(one)
        assert float(nested.reshape(())) == 4.0  # d/dx [d/dy (x y y)](y = x) = d/dx 2 x^2


def test_a_variable_that_a_mapped_or_looped_function_captures():
    x = ng.asarray([1.0, 2.0, 3.0])
    by_map = ng.grad(lambda a: np.sum(ng.vmap(lambda v: ng.grad(lambda b: a * b**2)(v) * a)(x)))
    numpy.testing.assert_allclose(by_map(ng.asarray(1.5)), 2 * 1.5 * 2 * 6)
    by_loop = ng.grad(lambda a: ng.scan(lambda s, v: (s + ng.grad(lambda b: a * b**2)(v) * a, None), 0.0, x)[0])
    numpy.testing.assert_allclose(by_loop(ng.asarray(1.5)), 2 * 1.5 * 2 * 6)
