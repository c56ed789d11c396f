"""Reductions: the same bits with any number of threads, and errors no worse than NumPy's."""

import math

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx

SHAPES = ((300_000,), (700, 500), (3, 120_000), (120_000, 3), (60, 70, 80))


def bits(arrays):
    return [numpy.asarray(a).tobytes() for a in arrays]


def over_every_axis(x):
    """Every reduction over each axis and over all of them."""
    found = []
    for axis in (*range(x.ndim), None):
        found += [f(x, axis=axis) for f in (nx.sum, nx.max, nx.min)]
        found.append(nx.prod(1 + 1e-5 * x, axis=axis))
    return tuple(found)


def gradient(x, y):
    """A fused gradient with reductions on the way, and what comes before and after it."""
    return ng.grad(
        lambda x, y: nx.sum(nx.tanh(x * y) * nx.sum(x, axis=0)) + nx.sum(nx.softmax(x, axis=-1) * y), (0, 1)
    )(x, y)


def same_with_threads(fn, *arguments):
    fn, results = ng.jit(fn), []
    for threads in (1, 2, 3, 1):
        ng.config.threads = threads
        for _ in range(3):
            results.append(bits(fn(*arguments)))
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_threads_bitwise(shape, rng):
    same_with_threads(over_every_axis, rng.standard_normal(shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_bitwise_of_gradients(dtype, rng):
    same_with_threads(gradient, *rng.standard_normal((2, 600, 400)).astype(dtype))


def test_threads_bitwise_of_views(rng):
    def views(x):
        y = nx.transpose(x)[::-1, ::2]
        return nx.sum(y, axis=0), nx.sum(y, axis=1), nx.sum(y), nx.max(y, axis=0), nx.sum(nx.exp(y) * 0.5, axis=-1)

    same_with_threads(views, rng.standard_normal((900, 400)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [*SHAPES, (1_000_003,), (2, 2, 100_001), (1, 400_000), (400_000, 1), (17, 1, 20_011)], ids=str
)
def test_threads_bitwise_for_every_shape(shape, dtype, rng):
    same_with_threads(over_every_axis, rng.standard_normal(shape).astype(dtype))


DISTRIBUTIONS = {
    "uniform": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.standard_normal(n),
    "shifted": lambda rng, n: 1000 + rng.standard_normal(n),
    "heavy tails": lambda rng, n: rng.standard_cauchy(n),
    "descending": lambda rng, n: 1.0 / numpy.arange(1, n + 1),
    "random signs": lambda rng, n: rng.choice([-1, 1], n) * (1 + rng.random(n)),
}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("n", [1_000_000, 4097, 300])
def test_sum_error_no_worse_than_numpy(distribution, n, rng):
    total, ours, theirs, unit = ng.jit(nx.sum), 0.0, 0.0, 0.0
    for _ in range(5 if n > 100_000 else 50):  # root mean squares: a single sum may be right by luck
        x = DISTRIBUTIONS[distribution](rng, n).astype("float32")
        exact = math.fsum(x.tolist())
        ours += (float(numpy.asarray(total(x))) - exact) ** 2
        theirs += (float(numpy.sum(x)) - exact) ** 2
        unit += float(numpy.spacing(numpy.float32(abs(exact)))) ** 2
    assert math.sqrt(ours) <= math.sqrt(theirs) + math.sqrt(unit)


@pytest.mark.parametrize("axis", [0, 1])
def test_sum_error_over_an_axis_no_worse_than_numpy(axis, rng):
    x = (100 + rng.standard_normal((5000, 60) if axis == 0 else (60, 5000))).astype("float32")
    exact = x.astype("float64").sum(axis)
    ours = numpy.abs(numpy.asarray(ng.jit(lambda x: nx.sum(x, axis=axis))(x)) - exact).max()
    theirs = numpy.abs(numpy.sum(x, axis) - exact).max()
    assert ours <= theirs + numpy.spacing(numpy.float32(numpy.abs(exact).max()))


@pytest.mark.parametrize("tier", [0, 2])
def test_sum_of_infinities_and_nan(tier, settings):
    settings.jit = tier
    total = ng.jit(nx.sum)
    big = numpy.full(1000, 1e308)
    for x in (
        numpy.array([1.0, math.inf]),
        numpy.array([math.inf, -math.inf]),
        numpy.array([math.nan, 1.0]),
        big,
        -big,
    ):
        with numpy.errstate(all="ignore"):
            expected = numpy.sum(x)
        numpy.testing.assert_array_equal(numpy.asarray(total(x)), expected)


@pytest.mark.parametrize("tier", [0, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extrema_of_nan_are_nan(tier, dtype, settings):
    settings.jit = tier
    x = numpy.zeros((3, 600), dtype)
    x[1, 300] = math.nan
    for f in (nx.max, nx.min):
        for axis in (0, 1):
            found = numpy.asarray(ng.jit(lambda x, f=f, axis=axis: f(x, axis=axis))(x))
            numpy.testing.assert_array_equal(numpy.isnan(found), numpy.isnan(x).any(axis))
