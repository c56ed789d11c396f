"""while_loop: against the same loop in Python, under every transform."""

import math

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.testing import check_grads

RNG = numpy.random.default_rng(2)
A, B = RNG.normal(size=(3, 3)) / 4 + numpy.eye(3), RNG.normal(size=3)
MANY = RNG.normal(size=(4, 3)) * [[0.1], [1], [2], [9]]


def goes_on(state):
    return np.sum(state["x"] ** 2) < 50


def step(a):
    return lambda state: {"x": a @ state["x"] + np.sin(state["x"]) / 5, "n": state["n"] + 1}


def repeated(a, b):
    made = ng.while_loop(goes_on, step(a), {"x": b, "n": 0})
    return np.sum(made["x"] ** 2 * numpy.arange(1.0, 4))


def plain(a, b):
    state, one = {"x": b, "n": 0}, step(a)
    while numpy.sum(numpy.asarray(state["x"]) ** 2) < 50:
        state = one(state)
    return np.sum(state["x"] ** 2 * numpy.arange(1.0, 4))


def steps_of(b):
    """How many steps there are, by NumPy."""
    n = 0
    while (b**2).sum() < 50:
        b, n = A @ b + numpy.sin(b) / 5, n + 1
    return n


def unrolled(a, b):
    """`plain` reads values, which no transform can trace: the same for as many steps as there are."""
    state, one = {"x": b, "n": 0}, step(a)
    for _ in range(steps_of(B)):
        state = one(state)
    return np.sum(state["x"] ** 2 * numpy.arange(1.0, 4))


TRANSFORMS = {
    "value": lambda f: f(ng.asarray(A), ng.asarray(B)),
    "grad": lambda f: ng.grad(f, (0, 1))(A, B),
    "jit": lambda f: ng.jit(ng.value_and_grad(f, (0, 1)))(A, B)[1],
    "one": lambda f: ng.grad(f, 1)(A, B),
    "jvp": lambda f: ng.jvp(f, (A, B), (A, B))[1],
    "hessian": lambda f: ng.hessian(lambda b: f(A, b))(B),
    "mixed": lambda f: ng.jacobian(lambda a: ng.grad(f, 1)(a, B))(A),
    "hvp": lambda f: ng.hvp(lambda a: f(a, B), A, A),
    "second": lambda f: ng.grad(lambda a: np.sum(ng.grad(f, 1)(a, B) ** 2))(A),
    "third": lambda f: ng.grad(lambda b: np.sum(ng.grad(lambda b: np.sum(ng.grad(f)(A, b) ** 2))(b) ** 2))(B),
    "checkpoint": lambda f: ng.grad(ng.checkpoint(f), (0, 1))(A, B),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name, way):
    found, expected = TRANSFORMS[name](repeated), TRANSFORMS[name](unrolled)
    if not isinstance(found, tuple):
        found, expected = (found,), (expected,)
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_each_example_takes_its_own_number_of_steps(way):
    assert len({steps_of(b) for b in MANY}) > 2
    values, by_b = ng.vmap(lambda b: repeated(A, b))(MANY), ng.vmap(ng.grad(repeated, 1), (None, 0))(A, MANY)
    by_a = ng.jit(ng.grad(lambda a: np.sum(ng.vmap(repeated, (None, 0))(a, MANY))))(A)
    total = 0.0
    for i, b in enumerate(MANY):
        numpy.testing.assert_allclose(values[i], plain(A, b), rtol=1e-11)
        expected = ng.grad(plain, (0, 1))(ng.asarray(A), ng.asarray(b))
        numpy.testing.assert_allclose(by_b[i], expected[1], rtol=1e-11)
        total = total + expected[0].numpy()
    numpy.testing.assert_allclose(by_a, total, rtol=1e-11)


def test_no_step(way):
    f = lambda b: np.sum(ng.while_loop(lambda s: np.sum(s) > 1e9, lambda s: s * 2, b) ** 2)  # noqa: E731
    numpy.testing.assert_array_equal(ng.grad(f)(B), 2 * B)
    numpy.testing.assert_array_equal(ng.hessian(f)(B), 2 * numpy.eye(3))


def test_many_steps_on_a_stack_that_grows(way):
    """The number of steps is a power of two, one more and one less: where memory grows."""
    for n in (63, 64, 65, 511, 513):
        f = lambda p, n=n: ng.while_loop(lambda s: s[1] < n, lambda s: (s[0] * p, s[1] + 1), (p, 0))[0]  # noqa: E731
        numpy.testing.assert_allclose(ng.grad(f)(ng.asarray(1.001)), (n + 1) * 1.001**n, rtol=1e-10)


def test_long_loops_are_compiled_at_once():
    ng.config.jit = 1
    f = lambda p: ng.while_loop(lambda s: s[1] < 300_000, lambda s: (np.cos(s[0] * p), s[1] + 1), (p, 0))  # noqa: E731
    before = ng.stats()["launches"]
    (x, n), slope = f(ng.asarray(0.9)), ng.grad(lambda p: f(p)[0])(ng.asarray(0.9))
    assert int(n) == 300_000
    numpy.testing.assert_allclose(np.cos(x * 0.9), x, rtol=1e-14)
    numpy.testing.assert_allclose(slope, -x * math.sin(0.9 * x) / (1 + 0.9 * math.sin(0.9 * x)), rtol=1e-10)
    assert ng.stats()["launches"] > before


def test_forward_mode_keeps_nothing():
    """What is pushed forwards takes its steps beside those of the loop: one sweep, which no other one reads."""
    lowered = ng.jit(lambda b: ng.jvp(lambda b: repeated(A, b), (b,), (b,))[1]).lower(B)
    loops = [launch for launch in lowered._compiled.launches if launch.name == "while"]
    assert loops
    assert all(launch.status is None for launch in loops)


def test_one_launch_each_way():
    lowered = ng.jit(ng.value_and_grad(repeated, (0, 1))).lower(A, B)
    assert lowered.launches.count("while") == 2
    assert all(launch.host is None for launch in lowered._compiled.launches)


def test_a_root_by_newton_against_differences(way):
    def root(a):
        newton = lambda x: (x + a / x) / 2  # noqa: E731
        return ng.while_loop(lambda x: np.max(np.abs(x * x - a)) > 1e-13, newton, a)

    a = numpy.array([4.0, 9.0, 2.0])
    numpy.testing.assert_allclose(root(ng.asarray(a)), numpy.sqrt(a), rtol=1e-12)
    numpy.testing.assert_allclose(np.diag(ng.jacobian(root)(a)), 0.5 / numpy.sqrt(a), rtol=1e-8)
    check_grads(lambda x: repeated(A, x), (B,), order=2)


def test_loops_in_loops_and_integers(way):
    """Collatz: steps to 1 for several numbers, and a sum that is differentiated."""

    def steps(n, p):
        down = lambda s: (ng.cond(s[0] % 2 == 0, lambda k: k // 2, lambda k: 3 * k + 1, s[0]), s[1] * p)  # noqa: E731
        return ng.while_loop(lambda s: s[0] != 1, down, (n, p))[1]

    def f(p):
        return np.sum(ng.scan(lambda s, n: (s, steps(n, p)), 0, numpy.array([1, 6, 7, 27]))[1])

    p, counts = 0.99, numpy.array([0, 8, 16, 111])
    numpy.testing.assert_allclose(f(ng.asarray(p)), (p ** (counts + 1)).sum(), rtol=1e-12)
    numpy.testing.assert_allclose(ng.grad(f)(ng.asarray(p)), ((counts + 1) * p**counts).sum(), rtol=1e-12)


def test_complex_state(way):
    z = numpy.array([0.3 + 0.4j, 0.1 - 0.2j])
    f = lambda z, n: np.sum(np.abs(z * (1.3 + 0.2j) ** n) ** 2)  # noqa: E731
    loop = lambda z: ng.while_loop(lambda s: np.sum(np.abs(s)) < 3, lambda s: s * (1.3 + 0.2j), z)  # noqa: E731
    g = lambda z: np.sum(np.abs(loop(z)) ** 2)  # noqa: E731
    n = next(k for k in range(99) if numpy.abs(z * (1.3 + 0.2j) ** k).sum() >= 3)
    numpy.testing.assert_allclose(ng.grad(g)(z), ng.grad(lambda z: f(z, n))(z), rtol=1e-11)


MISTAKES = {
    "callable": (lambda: ng.while_loop(True, lambda s: s, B), errors.ArgumentError,
                 "cond_fun must be callable, got bool"),
    "condition": (lambda: ng.while_loop(lambda s: s > 0, lambda s: s, B), errors.ArgumentError,
                  r"cond_fun must return a bool, a scalar, got bool of shape \(3,\)"),
    "number": (lambda: ng.while_loop(np.sum, lambda s: s, B), errors.ArgumentError, r"got float64 of shape \(\)"),
    "structure": (lambda: ng.while_loop(lambda s: True, lambda s: (s, s), B), errors.ArgumentError,
                  "while_loop: the state after a step must be a nest like the state"),
    "shape": (lambda: ng.while_loop(lambda s: True, lambda s: s[:2], B), errors.ShapeError,
              r"init has shape \(3,\) in the state and \(2,\) in the state after a step"),
    "value": (lambda: ng.while_loop(lambda s: bool(s[0] > 0), lambda s: s, B), errors.TracedValueError,
              "while while_loop traces"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_it_says_of_mistakes(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
