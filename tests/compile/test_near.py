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
    for name in ("sin_near_float64", "cos_near_float64", "sin_apart_float64(", "cos_apart_float64("):
        assert name in source


def test_costly_arguments_are_computed_again_only_where_one_is_far(settings):
    settings.jit = 2
    f = ng.jit(lambda x: np.sin(np.exp(x)))
    before, _, after = f.lower(ng.ones(1000)).source.partition("if not (most0 <=")
    assert before.count("exp_float64") == after.count("exp_float64") == 1
    x = numpy.linspace(-2, 20, 1000)
    numpy.testing.assert_allclose(f(x), numpy.sin(numpy.exp(x)), atol=1e-6)


@pytest.mark.parametrize("depth", [1, 5])
def test_sines_of_sines(settings, depth):
    settings.jit = 2

    def chain(xp, x):
        for _ in range(depth):
            x = xp.sin(x * 3.0)
        return x

    for last in (5.0, 1e9):
        x = numpy.linspace(0.0, last, 777)
        found = ng.jit(lambda x: (chain(np, x), np.sum(chain(np, x))))(x)
        numpy.testing.assert_allclose(found[0], chain(numpy, x), rtol=1e-9, atol=1e-12)
        numpy.testing.assert_allclose(found[1], chain(numpy, x).sum(), rtol=1e-9)


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


@pytest.mark.parametrize("shape", [(40, 3, 24), (9, 2, 700), (3, 5, 256)])
@pytest.mark.parametrize("far", [None, (0, 0, 0), (2, 1, 23), (-1, -1, -1)])
def test_sums_over_axes_that_are_apart(settings, rng, shape, far):
    """Rows that are short share a block; one that is computed again leaves the others of its block as they were."""
    settings.jit = 2
    x = rng.uniform(-100, 100, shape)
    if far is not None:
        x[far] = 1e7
    sums, largest = ng.jit(lambda x: (np.sum(np.sin(x), axis=(0, 2)), np.max(np.cos(x), axis=(0, 2))))(x)
    numpy.testing.assert_allclose(sums, numpy.sum(numpy.sin(x), axis=(0, 2)), rtol=1e-12, atol=1e-12)
    numpy.testing.assert_allclose(largest, numpy.max(numpy.cos(x), axis=(0, 2)), rtol=1e-14)
