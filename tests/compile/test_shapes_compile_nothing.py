"""A new size, and a new number, compile nothing."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx

SIZES = (2, 3, 7, 255, 256, 257, 1000, 16384, 16385, 65537, 1_000_000)


@pytest.fixture(autouse=True, scope="module")
def threads():
    """The texts that drive kernels, on one thread and on several, are compiled once in a process."""
    fn = ng.jit(lambda x: nx.sin(x) - x)
    fn(numpy.ones(4))
    fn(numpy.ones(1_000_000))


def kernels():
    """How many kernels were made so far, compiled or loaded."""
    counted = ng.stats()
    return counted["kernels_compiled"] + counted["kernels_loaded"]


def assert_nothing_compiled(fn, arguments, oracle):
    """Run `fn` on the first arguments, then on the others: the same kernels serve them all."""
    fn, before = ng.jit(fn), None
    for given in arguments:
        found = fn(*given)
        if before is None:
            before = kernels()
        for f, e in zip(found if isinstance(found, tuple) else (found,), oracle(*given), strict=True):
            numpy.testing.assert_allclose(numpy.asarray(f), e, rtol=1e-10, atol=1e-9)
    assert kernels() == before


def vectors(rng, sizes=SIZES):
    return [(rng.random(n),) for n in sizes]


def test_elementwise(rng):
    assert_nothing_compiled(lambda x: nx.exp(x) * x, vectors(rng), lambda x: (numpy.exp(x) * x,))


def test_broadcasting(rng):
    shapes = [(3, 4), (30, 40), (2, 1000), (1000, 2), (300, 1000)]
    arguments = [(rng.random(s), rng.random(s[1]), rng.random((s[0], 1))) for s in shapes]
    assert_nothing_compiled(lambda x, r, c: x * r + c, arguments, lambda x, r, c: (x * r + c,))


@pytest.mark.parametrize("name", ["sum", "max", "min", "prod"])
def test_reduction_of_everything(name, rng):
    def of(numpy_, x):
        return getattr(numpy_, name)(x if name != "prod" else 1 + 1e-6 * x)

    assert_nothing_compiled(lambda x: of(nx, x), vectors(rng), lambda x: (of(numpy, x),))


@pytest.mark.parametrize("width", [9, 40])
def test_sums_by_id_of_what_is_taken(width, rng):
    def oracle(x, source, target):
        out = numpy.zeros((11, width))
        numpy.add.at(out, target, x[source] * 2)
        return (out,)

    arguments = [
        (rng.random((n, width)), rng.integers(0, n, count), rng.integers(0, 11, count))
        for n, count in ((5, 7), (30, 900), (200, 20000))
    ]
    assert_nothing_compiled(lambda x, i, j: nx.segment_sum(x[i] * 2, j, 11), arguments, oracle)


@pytest.mark.parametrize("axis", [0, 1])
def test_reduction_over_an_axis(axis, rng):
    shapes = [(3, 4), (2, 5), (5, 2), (40, 30), (2, 100_000), (100_000, 5), (700, 500), (3, 2000), (2000, 6)]
    arguments = [(rng.random(s),) for s in shapes]
    assert_nothing_compiled(
        lambda x: (nx.sum(x, axis=axis), nx.max(x * 2, axis=axis)),
        arguments,
        lambda x: (x.sum(axis), (x * 2).max(axis)),
    )


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_a_small_last_axis_is_structure(columns, rng):
    """Unrolled, so each of these extents has kernels of its own, for any number of rows."""
    arguments = [(rng.random((n, columns)),) for n in (64, 65, 1000, 100_000)]
    assert_nothing_compiled(lambda x: nx.sum(x * x, axis=1), arguments, lambda x: ((x * x).sum(1),))


def test_matmul(rng):
    shapes = [(3, 4, 5), (2, 7, 3), (64, 32, 16), (100, 200, 50)]
    arguments = [(rng.random((m, k)), rng.random((k, n))) for m, k, n in shapes]
    assert_nothing_compiled(lambda a, b: a @ b, arguments, lambda a, b: (a @ b,))


def test_slices(rng):
    arguments = [(rng.random(s),) for s in [(6, 5), (9, 4), (100, 30), (1000, 200)]]
    assert_nothing_compiled(
        lambda x: x[1:-1] * 2 + x[:-2] - x[2:], arguments, lambda x: (x[1:-1] * 2 + x[:-2] - x[2:],)
    )


def test_gathers_and_assignments(rng):
    def change(x, i):
        y = x[i] * 2
        x[1:-1] += 1.0
        return y, x

    def expected(x, i):
        changed = x.copy()
        changed[1:-1] += 1
        return x[i] * 2, changed

    arguments = [
        (rng.random((n, m)), rng.integers(0, n, k)) for n, m, k in [(5, 3, 4), (7, 2, 3), (50, 20, 30), (999, 50, 70)]
    ]
    assert_nothing_compiled(change, arguments, expected)


def test_the_gradient_of_a_network(rng):
    def loss(w1, b1, w2, x, y):
        return nx.mean((nx.tanh(x @ w1 + b1) @ w2 - y) ** 2)

    def oracle(w1, b1, w2, x, y):
        h = numpy.tanh(x @ w1 + b1)
        g = 2 * (h @ w2 - y) / y.size
        back = (g @ w2.T) * (1 - h * h)
        return x.T @ back, back.sum(0), h.T @ g

    def arguments(batch, d, h, o):
        shapes = ((d, h), (h,), (h, o), (batch, d), (batch, o))
        return tuple(rng.standard_normal(s) * 0.3 for s in shapes)

    sizes = [(8, 5, 6, 3), (16, 5, 6, 3), (33, 7, 9, 2), (500, 20, 64, 10), (5000, 20, 64, 10)]
    assert_nothing_compiled(ng.grad(loss, (0, 1, 2)), [arguments(*s) for s in sizes], oracle)


def test_new_numbers(rng):
    """Numbers of user code are words of the table, under jit and without."""
    x, before = rng.random(5000), None
    for k in range(5):
        number = 0.37 + k
        found = ng.jit(lambda x, number=number: nx.exp(x * number) + number)(x)
        numpy.testing.assert_allclose(numpy.asarray(found), numpy.exp(x * number) + number)
        before = kernels() if before is None else before
    assert kernels() == before


def test_new_numbers_without_jit(rng, settings):
    settings.jit = 2
    x, before, programs = ng.asarray(rng.random(5000)), None, None
    for k in range(5):
        numpy.asarray(nx.exp(x * (0.37 + k)) + (k + 2.5))
        if before is None:
            before, programs = kernels(), ng.stats()["programs"]
    assert (kernels(), ng.stats()["programs"]) == (before, programs)


def test_new_numbers_as_arguments(rng):
    scale, before = ng.jit(lambda x, s: x * s), None
    for s in (0.5, 2.5, 3.75):
        numpy.testing.assert_array_equal(numpy.asarray(scale(X, s)), X * s)
        before = ng.stats()["programs"] if before is None else before
    assert ng.stats()["programs"] == before


X = numpy.arange(10.0)


@pytest.mark.parametrize(
    "fn", [lambda x: nx.exp(x) * x, nx.sum, lambda x: nx.cumsum(x * 2)], ids=["map", "sum", "cumsum"]
)
def test_one_element_and_none(fn):
    """Sizes 0 and 1 may take other paths; their values are right."""
    for n in (0, 1):
        x = numpy.full(n, 1.5)
        ng.config.jit = 2
        compiled = numpy.asarray(ng.jit(fn)(x))
        ng.config.jit = 0
        interpreted = numpy.asarray(ng.jit(fn)(x))
        numpy.testing.assert_allclose(compiled, interpreted, rtol=1e-14)
