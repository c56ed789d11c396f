"""custom_vjp and custom_jvp: the rule is used, at every order, in either mode, under every other transform."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

X, Y = numpy.array([0.3, 0.7]), numpy.array([2.0, 3.0])


def plain(x, y):
    return np.sin(x) * y, x


@ng.custom_vjp
def by_vjp(x, y):
    """A pair."""
    return plain(x, y)


by_vjp.defvjp(
    lambda x, y: (plain(x, y), (x, y)),
    lambda kept, g: (np.cos(kept[0]) * kept[1] * g[0] + g[1], np.sin(kept[0]) * g[0]),
)


@ng.custom_jvp
def by_jvp(x, y):
    return plain(x, y)


@by_jvp.defjvp
def rule(primals, tangents):
    (x, y), (s, t) = primals, tangents
    return by_jvp(x, y), (np.cos(x) * y * s + np.sin(x) * t, s)


def loss(f):
    def number(x, y):
        a, b = f(x, y)
        return np.sum(a**2 * b)

    return number


STACK = numpy.stack([X, Y / 4, X + Y])
TRANSFORMS = {
    "grad": lambda f: ng.grad(loss(f), (0, 1))(X, Y),
    "value": lambda f: ng.value_and_grad(loss(f))(X, Y),
    "jit": lambda f: ng.jit(ng.grad(loss(f), (0, 1)))(X, Y),
    "jvp": lambda f: ng.jvp(loss(f), (X, Y), (Y, X)),
    "vjp": lambda f: ng.vjp(f, X, Y)[1](Y, X),
    "hessian": lambda f: ng.jacfwd(ng.jacrev(loss(f)))(X, Y),
    "third": lambda f: ng.grad(lambda x: np.sum(ng.grad(lambda x: np.sum(ng.grad(loss(f))(x, Y) ** 2))(x)))(X),
    "vmap": lambda f: ng.vmap(ng.grad(loss(f), (0, 1)), (0, None))(STACK, Y),
    "vmap of vmap": lambda f: ng.vmap(ng.vmap(ng.grad(loss(f), (0, 1)), (None, 0)), (0, None))(STACK, STACK),
    "grad of vmap": lambda f: ng.grad(lambda x, y: np.sum(ng.vmap(loss(f), (0, None))(x, y)), (0, 1))(STACK, Y),
    "grad of vmap of grad": lambda f: ng.grad(lambda x: np.sum(ng.vmap(ng.grad(loss(f)), (0, None))(x, Y)))(STACK),
    "vmap of jvp": lambda f: ng.vmap(lambda x: ng.jvp(lambda x: loss(f)(x, Y), x, x))(STACK),
    "gradients": lambda f: (lambda x, y: ng.gradients(loss(f)(x, y), [x, y]))(ng.asarray(X), ng.asarray(Y)),
}


@pytest.mark.parametrize("f", [by_vjp, by_jvp], ids=["vjp", "jvp"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_under_every_transform(name, f):
    found, expected = TRANSFORMS[name](f), TRANSFORMS[name](plain)
    as_tuple = lambda v: v if isinstance(v, (tuple, list)) else (v,)  # noqa: E731
    for a, b in zip(as_tuple(found), as_tuple(expected), strict=True):
        assert a.shape == b.shape
        numpy.testing.assert_allclose(a, b, rtol=1e-11)


def test_it_is_the_rule_that_is_used():
    wrong = ng.custom_vjp(lambda x: x**2)
    wrong.defvjp(lambda x: (x**2, None), lambda _, g: (g * 10,))
    assert float(ng.grad(wrong)(ng.asarray(3.0))) == 10
    assert float(ng.jvp(wrong, ng.asarray(3.0), ng.asarray(2.0))[1]) == 20
    assert float(wrong(ng.asarray(3.0))) == 9
    wrong = ng.custom_jvp(lambda x: x**2)
    wrong.defjvp(lambda p, t: (p[0] ** 2, t[0] * 10))
    assert float(ng.grad(wrong)(ng.asarray(3.0))) == 10


def test_arguments_that_are_handed_on():
    """Functions and flags in any place; keyword arguments; nests; None for zero."""
    power = ng.custom_vjp(lambda n, p, flag=True: p["x"] ** n, nondiff_argnums=(0, 2))
    power.defvjp(
        lambda n, p, flag: (p["x"] ** n, [p["x"]]),
        lambda n, flag, kept, g: ({"x": g * n * kept[0] ** (n - 1), "unused": g * 0},),
    )
    found = ng.grad(lambda p: np.sum(power(3, p, flag=False)))({"x": X, "unused": Y})
    numpy.testing.assert_allclose(found["x"], 3 * X**2)
    assert not found["unused"].numpy().any()


def test_none_is_zero():
    f = ng.custom_vjp(lambda x, y: x * y)
    f.defvjp(lambda x, y: (x * y, y), lambda y, g: (g * y, None))
    gx, gy = ng.grad(lambda x, y: np.sum(f(x, y)), (0, 1))(X, Y)
    numpy.testing.assert_allclose(gx, Y)
    assert not gy.numpy().any()


def test_what_is_captured_is_a_constant_or_an_error():
    """A captured array is part of the value; a derivative by it would be lost, so it is refused."""

    def outer(w, x):
        f = ng.custom_vjp(lambda x: x * w)
        f.defvjp(lambda x: (x * w, None), lambda _, g: (g * w,))
        return np.sum(f(x))

    numpy.testing.assert_allclose(ng.grad(outer, 1)(Y, X), Y)
    numpy.testing.assert_allclose(ng.jit(ng.grad(outer, 1))(Y, X), Y)
    with pytest.raises(errors.GradientError, match="closes over an array that is differentiated by"):
        ng.grad(outer, 0)(Y, X)
    with pytest.raises(errors.GradientError, match="make the array an argument of the function"):
        ng.grad(outer, (0, 1))(Y, X)


def test_the_rule_is_asked_once_for_all_results():
    asked = []
    f = ng.custom_vjp(lambda x: (x, 2 * x, 3 * x))

    def bwd(kept, g):
        asked.append(len(g))
        return (g[0] + 2 * g[1] + 3 * g[2],)

    f.defvjp(lambda x: ((x, 2 * x, 3 * x), None), bwd)
    numpy.testing.assert_allclose(ng.jit(ng.grad(lambda x: np.sum(f(x)[0] * f(x)[2])))(X), 6 * X)
    assert asked == [3, 3]


def broken(fwd, bwd):
    f = ng.custom_vjp(lambda x: x)
    f.defvjp(fwd, bwd)
    return ng.grad(lambda x: np.sum(f(x)))(X)


def broken_jvp(rule):
    f = ng.custom_jvp(lambda x: x)
    f.defjvp(rule)
    return ng.grad(lambda x: np.sum(f(x)))(X)


MISTAKES = {
    "no function": (lambda: ng.custom_vjp(3), errors.ArgumentError, "custom_vjp: fn must be callable, got int 3"),
    "no rule": (lambda: ng.custom_vjp(plain)(X, Y), errors.MissingRuleError, r"with plain.defvjp\(fwd, bwd\)"),
    "no jvp rule": (lambda: ng.custom_jvp(plain)(X, Y), errors.MissingRuleError, r"with plain.defjvp\(rule\)"),
    "positions": (lambda: ng.custom_vjp(plain, (-1,)), errors.ArgumentError, "nondiff_argnums must be positions"),
    "fwd": (lambda: broken(lambda x: x, lambda _, g: (g,)), errors.ArgumentError,
            r"fwd must return \(value, residuals\), got"),
    "bwd": (lambda: broken(lambda x: (x, None), lambda _, g: g), errors.GradientError,
            "bwd must return a tuple of 1 cotangents, one for each differentiable argument"),
    "number": (lambda: broken(lambda x: (x, None), lambda _, g: (g, g)), errors.GradientError, "returned a tuple of 2"),
    "shape": (lambda: broken(lambda x: (x, None), lambda _, g: (g[:1],)), errors.ShapeError,
              r"the cotangent of argument 0 has shape \(1,\), the argument \(2,\)"),
    "dtype": (lambda: broken(lambda x: (x, None), lambda _, g: (g > 0,)), errors.DtypeError,
              "the cotangent of argument 0 has dtype bool, expected float64"),
    "nest": (lambda: broken(lambda x: (x, None), lambda _, g: ([g, g],)), errors.GradientError,
             "must be a nest like the argument, with 1 arrays; it has 2"),
    "tangent": (lambda: broken_jvp(lambda p, t: p[0]), errors.ArgumentError, r"rule must return \(value, tangent\)"),
    "shape of the tangent": (lambda: broken_jvp(lambda p, t: (p[0], t[0][:1])), errors.ShapeError,
                             "the tangent must have the shapes and dtypes of the value"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_it_says_of_mistakes(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()


def test_static_arguments_are_hashable():
    f = ng.custom_vjp(lambda x, n: x, (1,))
    f.defvjp(lambda x, n: (x, None), lambda n, kept, g: (g,))
    with pytest.raises(errors.ArgumentError, match="arguments named by nondiff_argnums must be hashable"):
        f(X, [1])
