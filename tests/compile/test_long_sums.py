"""Sums of many arrays: one kernel for any number of them."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.statistics import stats


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int8", "bool"])
@pytest.mark.parametrize("shape", [(), (3, 5), (70, 80)])
def test_values(settings, rng, dtype, shape):
    from nbgrad.kernels.shape import add_n

    settings.jit = 2
    parts = [rng.integers(0, 3, shape).astype(dtype) for _ in range(90)]
    found = ng.jit(lambda *xs: add_n(*xs))(*parts)
    expected = parts[0] != parts[0]
    expected = expected.astype(dtype)
    for part in parts:
        expected = expected + part
    assert numpy.asarray(found).dtype == dtype
    numpy.testing.assert_array_equal(found, expected)


def test_operands_of_all_kinds(settings, rng):
    """Views that are not contiguous, repetitions and numbers among the operands."""
    settings.jit = 2
    x = rng.normal(size=(6, 6))

    def f(x):
        total = 0.0
        for k in range(80):
            total = total + np.sum(x.T[k % 6] * x[:, k % 5] * (k + 1)) + x[k % 6, 0]
        return total

    value, found = ng.jit(ng.value_and_grad(f))(x)
    plain = lambda x: sum(  # noqa: E731
        numpy.sum(x.T[k % 6] * x[:, k % 5] * (k + 1)) + x[k % 6, 0] for k in range(80)
    )
    numpy.testing.assert_allclose(value, plain(x), rtol=1e-12)
    h = 1e-6
    for i, j in ((0, 0), (2, 3), (5, 5)):
        d = numpy.zeros((6, 6))
        d[i, j] = h
        numpy.testing.assert_allclose(found[i, j], (plain(x + d) - plain(x - d)) / (2 * h), rtol=1e-6, atol=1e-6)


def test_a_longer_loop_compiles_nothing(settings, rng):
    settings.jit = 2
    w, x = rng.normal(size=(4, 4)) / 4, rng.normal(size=(4, 4))

    def loop(steps):
        def f(w, x):
            h = x
            for _ in range(steps):
                h = np.tanh(h @ w)
            return np.sum(h)

        return ng.jit(ng.grad(f))

    loop(70)(w, x)
    before = stats()["kernels_compiled"]
    found = loop(90)(w, x)
    assert stats()["kernels_compiled"] == before
    settings.jit = 0
    numpy.testing.assert_allclose(found, loop(90)(w, x), rtol=1e-12)
