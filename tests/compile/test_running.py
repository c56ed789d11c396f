"""Sums over the steps of a loop, added up as the terms are made."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np


@pytest.mark.parametrize("steps", [3, 9, 40])
@pytest.mark.parametrize("shape", [(3,), (80,), (9, 11)])
def test_what_every_step_uses(settings, rng, steps, shape):
    """h <- sin(c h + t): the cotangent of c is a sum over all steps, each of them elementwise."""
    settings.jit = 2
    h0, c = rng.normal(size=shape), rng.uniform(-1, 1, size=shape)

    def f(h, c):
        for t in range(steps):
            h = np.sin(c * h + t)
        return np.sum(h)

    run = ng.jit(ng.grad(f, grad_position=(0, 1)))
    by_h, by_c = run(h0, c)
    hs = [h0]
    for t in range(steps):
        hs.append(numpy.sin(c * hs[-1] + t))
    g, expected = numpy.ones(shape), numpy.zeros(shape)
    for t in reversed(range(steps)):
        g = g * numpy.cos(c * hs[t] + t)
        expected += g * hs[t]
        g = g * c
    numpy.testing.assert_allclose(by_h, g, rtol=1e-11, atol=1e-13)
    numpy.testing.assert_allclose(by_c, expected, rtol=1e-11, atol=1e-12)
    if steps == 40 and numpy.prod(shape) > 64:
        assert "add_n" not in run.lower(h0, c).launches


def test_terms_that_do_not_follow_each_other_stay_a_sum(settings, rng):
    settings.jit = 2
    xs = [rng.normal(size=(8, 10)) for _ in range(12)]
    found = ng.jit(lambda *xs: sum(np.sin(x) * k for k, x in enumerate(xs)))(*xs)
    expected = sum(numpy.sin(x) * k for k, x in enumerate(xs))
    numpy.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_a_partial_sum_that_is_a_result(settings, rng):
    """What others read of the terms, and of the sums of a few of them, is what they were."""
    settings.jit = 2
    x, c = rng.normal(size=(9, 11)), rng.normal(size=(9, 11))

    def f(xp, x, c):
        total, seen = 0.0, []
        for t in range(14):
            x = xp.cos(x * c + t)
            total = total + x
            if t in (4, 9):
                seen += [total, x]
        return total, *seen, total * c

    for a, b in zip(ng.jit(lambda x, c: f(np, x, c))(x, c), f(numpy, x, c), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
