"""Cheaper texts for near arguments: tried by blocks, never trusted for far ones."""

import mpmath
import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

FAR = [2.0**20, 1e7, -1e15, 1e300, -numpy.inf, numpy.inf, numpy.nan]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function", ["sin", "cos"])
@pytest.mark.parametrize("place", [None, 0, 255, 256, 700, -1])
def test_one_far_argument_among_near_ones(settings, rng, dtype, function, place):
    settings.jit = 2
    x = rng.uniform(-100, 100, 1000).astype(dtype)
    for far in FAR if place is not None else (1.0,):
        with numpy.errstate(over="ignore"):
            x[place or 0] = far
        f = getattr(np, function)

        def fn(x, f=f):
            table = f(x.reshape(10, 100))
            return f(x), np.sum(f(x) ** 2), np.max(table, axis=1), np.sum(table, axis=0)

        flat, total, rows, columns = ng.jit(fn)(x)
        exact = numpy.array([float(getattr(mpmath, function)(mpmath.mpf(float(v)))) if numpy.isfinite(v) else numpy.nan
                             for v in x])  # fmt: skip
        tolerance = 3e-16 if dtype == "float64" else 2e-7
        numpy.testing.assert_allclose(flat, exact, rtol=tolerance)
        numpy.testing.assert_allclose(total, (exact**2).sum(), rtol=1e-5)
        numpy.testing.assert_allclose(rows, exact.reshape(10, 100).max(axis=1), rtol=1e-6)
        numpy.testing.assert_allclose(columns, exact.reshape(10, 100).sum(axis=0), rtol=1e-3, atol=1e-5)


def test_the_source_has_both(settings):
    settings.jit = 2
    source = ng.jit(lambda x: np.sin(2 * x) + np.cos(x)).lower(ng.ones(1000)).source
    for name in ("sin_near_float64", "cos_near_float64", "sin_float64(", "cos_float64("):
        assert name in source


def test_costly_arguments_are_not_computed_twice(settings):
    settings.jit = 2
    assert "near" not in ng.jit(lambda x: np.sin(np.exp(x))).lower(ng.ones(1000)).source


def test_accumulated_results_are_added_once(settings):
    settings.jit = 2

    def fn(x, u):
        y = u * 1.0
        y[1:-1] += np.sin(x)
        return y

    x, u = numpy.linspace(-5, 1e8, 500), numpy.ones(502)
    expected = u.copy()
    expected[1:-1] += numpy.sin(x)
    numpy.testing.assert_allclose(ng.jit(fn)(x, u), expected, rtol=1e-12, atol=1e-12)
