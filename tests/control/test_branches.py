"""cond and switch: against the branch that is taken, under every transform."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.testing import check_grads

RNG = numpy.random.default_rng(1)
W, X, MANY = RNG.normal(size=(3, 3)), RNG.normal(size=3), RNG.normal(size=(5, 3))
NUMBERS = numpy.array([2, 0, 1, 0, 7])
BRANCHES = [lambda w, x: {"a": np.sin(w @ x), "b": x}, lambda w, x: {"a": x * 2, "b": x * x},
            lambda w, x: {"a": np.exp(x), "b": np.cumsum(x)}]  # fmt: skip


def total(made):
    return np.sum(made["a"] ** 2) + np.sum(made["b"] * X)


def chosen(k, w, x):
    return total(ng.switch(k, [lambda x, f=f: f(w, x) for f in BRANCHES], x))  # w is closed over


def plain(k, w, x):
    return total(BRANCHES[min(max(k, 0), 2)](w, x))


TRANSFORMS = {
    "value": lambda f, k: f(k, ng.asarray(W), ng.asarray(X)),
    "grad": lambda f, k: ng.grad(f, (1, 2))(k, W, X),
    "jit": lambda f, k: ng.jit(ng.grad(lambda w, x: f(k, w, x), (0, 1)))(W, X),
    "jvp": lambda f, k: ng.jvp(lambda w, x: f(k, w, x), (W, X), (W, X))[1],
    "hessian": lambda f, k: ng.hessian(lambda x: f(k, W, x))(X),
    "mixed": lambda f, k: ng.jacobian(lambda w: ng.grad(f, 2)(k, w, X))(W),
    "third": lambda f, k: ng.grad(lambda x: np.sum(ng.hessian(lambda x: f(k, W, x))(x) ** 2))(X),
    "vmap": lambda f, k: ng.vmap(lambda x: f(k, W, x))(MANY),
    "vmap of grad": lambda f, k: ng.vmap(ng.grad(lambda w, x: f(k, w, x), (0, 1)), (None, 0))(W, MANY),
    "grad of vmap": lambda f, k: ng.grad(lambda w: np.sum(ng.vmap(lambda x: f(k, w, x))(MANY)))(W),
    "checkpoint": lambda f, k: ng.grad(ng.checkpoint(lambda w, x: f(k, w, x)), (0, 1))(W, X),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("number", [-4, 1, 2, 9])
def test_transforms(name, number, way):
    found, expected = TRANSFORMS[name](chosen, number), TRANSFORMS[name](plain, number)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_each_example_takes_its_own_branch(way):
    values = ng.vmap(chosen, (0, None, 0))(NUMBERS, W, MANY)
    by_w, by_x = ng.vmap(ng.grad(chosen, (1, 2)), (0, None, 0))(NUMBERS, W, MANY)
    by_jit = ng.jit(ng.grad(lambda w: np.sum(ng.vmap(chosen, (0, None, 0))(NUMBERS, w, MANY))))(W)
    for i, k in enumerate(NUMBERS.tolist()):
        numpy.testing.assert_allclose(values[i], plain(k, W, MANY[i]), rtol=1e-12)
        for found, expected in zip((by_w[i], by_x[i]), ng.grad(plain, (1, 2))(k, W, MANY[i]), strict=True):
            numpy.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    numpy.testing.assert_allclose(by_jit, np.sum(by_w, axis=0), rtol=1e-12)


def test_the_other_branch_has_no_say(way):
    """0 * nan is nan: with where instead of cond the derivative at 0 would be one."""
    root = lambda x: ng.cond(x > 0, np.sqrt, lambda x: x * 0, x)  # noqa: E731
    xs = numpy.array([4.0, 0.0, -1.0, 9.0])
    numpy.testing.assert_allclose(ng.vmap(ng.grad(root))(xs), [0.25, 0, 0, 1 / 6])
    assert [float(ng.grad(root)(ng.asarray(x))) for x in xs[1:3]] == [0, 0]


def test_second_derivatives_against_differences(way):
    check_grads(lambda x: ng.cond(np.sum(x) > -100, np.sin, np.cos, x), (X,), order=2)


def test_choices_in_loops_and_in_choices(way):
    def step(s, x):
        inner = lambda s: ng.switch(np.argmax(np.stack([s, x])), [np.sin, lambda s: s * x], s)  # noqa: E731
        return ng.cond(s > 1, lambda s: s * 0.3, inner, s) + x, s

    def by_hand(s, xs):
        seen = []
        for x in xs:
            seen.append(s)
            s = (s * 0.3 if s > 1 else np.sin(s) if s >= x else s * x) + x
        return s + np.sum(np.stack(seen) ** 2)

    def by_scan(s, xs):
        final, seen = ng.scan(step, s, xs)
        return final + np.sum(seen**2)

    start, xs = ng.asarray(0.4), ng.asarray(RNG.uniform(0, 1, 9))
    for a, b in zip(ng.grad(by_scan, (0, 1))(start, xs), ng.grad(by_hand, (0, 1))(start, xs), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-12)


def test_complex_operands(way):
    z = numpy.array([0.3 + 0.4j, 0.1 - 0.2j])
    f = lambda z: np.sum(np.abs(ng.cond(np.real(z[0]) > 0, lambda z: z * z * 1j, np.exp, z)) ** 2)  # noqa: E731
    numpy.testing.assert_allclose(ng.grad(f)(z), ng.grad(lambda z: np.sum(np.abs(z * z * 1j) ** 2))(z), rtol=1e-12)


def test_one_launch():
    f = ng.jit(lambda k, x: ng.switch(k, [np.sin, lambda x: x @ x * x, lambda x: x], x))
    lowered = f.lower(1, X)
    assert lowered.launches == ["switch"]
    assert lowered._compiled.launches[0].host is None


MISTAKES = {
    "shape": (lambda: ng.cond(X > 0, np.sin, np.cos, X), errors.ShapeError,
              r"cond: pred must be a scalar, got shape \(3,\); for a choice by element use where"),
    "dtype": (lambda: ng.cond(1.5, np.sin, np.cos, X), errors.DtypeError,
              "pred must be a bool or an integer, got float64"),
    "index": (lambda: ng.switch(True, [np.sin], X), errors.DtypeError, "switch: index must be an integer, got bool"),
    "none": (lambda: ng.switch(0, [], X), errors.ArgumentError, "branches is empty; give at least one function"),
    "callable": (lambda: ng.switch(0, [np.sin, 3], X), errors.ArgumentError,
                 r"branches\[1\] must be callable, got int 3"),
    "structure": (lambda: ng.cond(True, lambda x: (x, x), np.sin, X), errors.ArgumentError,
                  "what true_fun returns must be a nest like what false_fun returns"),
    "other shape": (lambda: ng.switch(0, [np.sin, np.sum], X), errors.ShapeError,
                    r"has shape \(3,\) in what branches\[0\] returns and \(\) in what branches\[1\] returns"),
    "other dtype": (lambda: ng.switch(0, [np.sin, lambda x: x > 0], X), errors.DtypeError,
                    "has dtype float64 in what .* branches must return alike; cast one of them"),
    "value": (lambda: ng.cond(True, lambda x: x if x[0] > 0 else -x, np.sin, X), errors.TracedValueError,
              "while cond traces"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_it_says_of_mistakes(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
