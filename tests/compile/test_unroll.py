"""Small last axes are taken apart: the same results, without arrays that only a small axis asked for."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

TIERS = pytest.mark.parametrize("tier", [0, 2])


def run(tier, fn, *args):
    ng.config.jit = tier
    found = ng.jit(fn)(*args)
    return [numpy.asarray(f) for f in (found if isinstance(found, tuple) else (found,))]


def distances(x, y):
    d = x[:, None, :] - y[None, :, :]
    return np.sum(d * d, axis=2)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@TIERS
def test_reduction_of_a_broadcast(settings, tier, n, rng):
    x, y = rng.normal(size=(80, n)), rng.normal(size=(90, n))
    expected = ((x[:, None] - y[None]) ** 2).sum(2)
    numpy.testing.assert_allclose(run(tier, distances, x, y)[0], expected, rtol=1e-13)


def test_one_launch(settings):
    settings.jit = 2
    x = ng.ones((100, 3))
    assert len(ng.jit(distances).lower(x, x).launches) == 1


@TIERS
def test_everything_that_is_unrolled(settings, tier, rng):
    """All reductions, views, parts, assembly, broadcasting along the axis and results of the full shape."""

    def fn(x, s):
        r = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
        u = x / r
        a, b, c = u[:, 0], u[:, 1], u[:, 2]
        v = np.stack([b * s - c, c * s - a, a * s - b], axis=-1)
        w = np.concatenate([v[:, 1:], v[:, :1]], axis=1) + u[:, ::-1]
        p = np.swapaxes(np.reshape(w, (10, 10, 3)), 0, 1) * np.max(w) + np.prod(v, axis=1).reshape(10, 10)[..., None]
        return p, np.sum(p, axis=(0, 2)), np.min(u, axis=1), np.max(p, axis=-1), np.mean(w, axis=0), w.astype("float32")

    x, s = rng.normal(size=(100, 3)), rng.normal(size=100)
    plain = run(0, fn, x, s)
    for found, expected in zip(run(tier, fn, x, s), plain, strict=True):
        assert found.dtype == expected.dtype
        numpy.testing.assert_allclose(found, expected, rtol=1e-6 if found.dtype == "float32" else 1e-12)
    gradient = ng.grad(lambda x, s: sum(np.sum(y * y) for y in fn(x, s)), (0, 1))
    for found, expected in zip(run(2, gradient, x, s), run(0, gradient, x, s), strict=True):
        numpy.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@TIERS
def test_infinities_and_nans_are_where_they_were(settings, tier):
    x = numpy.zeros((100, 3))
    x[3, 1], x[5, 2], x[7, 0], x[7, 1] = numpy.inf, numpy.nan, numpy.inf, -numpy.inf
    found = run(tier, lambda x: (np.sum(x + 0, axis=1), np.max(x + 0, axis=1), np.prod(x + 1, axis=1)), x)
    with numpy.errstate(invalid="ignore"):
        expected = x.sum(1), x.max(1), (x + 1).prod(1)
    for f, e in zip(found, expected, strict=True):
        numpy.testing.assert_array_equal(f, e)
