"""Elements at the places that indices say, read and written by the nests that use and make them."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np


def compiled(f, *args, rtol=1e-12):
    """The compiled program; its values are checked against NumPy's."""
    run = ng.jit(lambda *a: f(np, *a))
    found, expected = run(*args), f(numpy, *args)
    for a, b in zip(*((x if isinstance(x, tuple) else (x,)) for x in (found, expected)), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    return run.lower(*args)


def summed(xp, data, ids, n):
    """Sums by id, for both."""
    if xp is np:
        return np.segment_sum(data, ids, n)
    out = numpy.zeros((n, *data.shape[1:]), data.dtype)
    numpy.add.at(out, ids, data)
    return out


@pytest.fixture
def compiling(settings):
    settings.jit = 2
    return settings


@pytest.mark.parametrize("width", [(), (1,), (7,), (5, 9)])
@pytest.mark.parametrize("ids", [(), (1,), (40,), (6, 5)])
def test_taking_is_part_of_what_uses_it(compiling, rng, ids, width):
    x, w, i = rng.normal(size=(9, *width)), rng.normal(size=ids), rng.integers(-9, 9, ids)

    def f(xp, x, w, i):
        t = xp.take(x, i, axis=0) if not ids else x[i]
        w = w.reshape(ids + (1,) * len(width))
        return xp.exp(t) * w, xp.sum(t * t * w, axis=-1) if t.ndim else t + 1

    names = compiled(f, x, w, i).launches
    assert "take" not in names


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_every_axis_and_strided_operands(compiling, rng, axis):
    x, i = rng.normal(size=(6, 7, 8)), rng.integers(0, 6, (3, 4))

    def f(xp, x, i):
        a = xp.take(xp.transpose(x, (2, 0, 1)), i, axis=axis) * 2
        b = xp.take(x[::-1, 1:, ::2], i.T % 4, axis=axis) + 1
        return a, b, xp.sum(a, axis=1), xp.max(b, axis=0)

    compiled(f, x, i)


def test_indices_that_are_computed_numbers_or_outputs(compiling, rng):
    x, i = rng.normal(size=(50, 3)), rng.integers(0, 50, 20)

    def f(xp, x, i):
        j = (i * 7 + 3) % 50
        return x[j] * 2, j, x[xp.zeros(4, dtype=int) + 2] + 1, x[i][j[:20] % 20] * 3

    compiled(f, x, i)


def test_what_is_taken_was_made_row_by_row_before(compiling, rng):
    """A launch that goes row by row cannot take rows that it has not made yet."""
    x, i = rng.normal(size=(40, 40)), rng.integers(0, 40, 40)

    def f(xp, x, i):
        y = xp.exp(x - xp.max(x, axis=1, keepdims=True))
        y = y / xp.sum(y, axis=1, keepdims=True)
        z = y[i] * y
        return z / xp.sum(z, axis=1, keepdims=True), xp.sum(z[i], axis=0)

    compiled(f, x, i)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int8"])
def test_sums_by_id(compiling, rng, dtype):
    data = rng.integers(-3, 4, (60, 5)).astype(dtype)
    ids = rng.integers(0, 7, 60)
    found = ng.jit(lambda d, i: np.segment_sum(d * 2, i, 9))(data, ids)
    assert numpy.asarray(found).dtype == dtype
    numpy.testing.assert_array_equal(found, summed(numpy, data * numpy.array(2, dtype), ids, 9))


@pytest.mark.parametrize("shape", [(20000,), (20000, 2), (3000, 16), (900, 6, 9)])
def test_a_graph_convolution(compiling, rng, shape):
    """Gather, weigh and scatter, and their gradients; each is large enough to be shared by threads."""
    n = 50
    edges, *width = shape
    h, w = rng.normal(size=(n, *width)), rng.random((edges, *(1 for _ in width)))
    source, target = rng.integers(0, n, (2, edges))

    def f(h, w):
        return np.sum(np.tanh(np.segment_sum(np.exp(h)[source] * w, target, n)))

    run = ng.jit(ng.value_and_grad(f, grad_position=(0, 1)))
    value, (by_h, by_w) = run(h, w)
    out = summed(numpy, numpy.exp(h)[source] * w, target, n)
    g = 1 - numpy.tanh(out) ** 2
    numpy.testing.assert_allclose(value, numpy.sum(numpy.tanh(out)), rtol=1e-11, atol=1e-11)
    numpy.testing.assert_allclose(by_h, summed(numpy, g[target] * w, source, n) * numpy.exp(h), rtol=1e-10, atol=1e-12)
    behind = tuple(range(1, len(shape)))
    expected = (g[target] * numpy.exp(h)[source]).sum(axis=behind, keepdims=True)
    numpy.testing.assert_allclose(by_w, expected, rtol=1e-10, atol=1e-12)
    compiling.threads = 1
    alone = ng.jit(ng.value_and_grad(f, grad_position=(0, 1)))(h, w)
    compiling.threads = 2
    for a, b in zip((value, by_h, by_w), (alone[0], *alone[1]), strict=True):
        numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_assignment_and_addition_at_indices_of_every_axis(compiling, rng, axis):
    x, i = rng.normal(size=(5, 6, 7)), rng.integers(0, 5, (4,))
    at = (slice(None),) * axis + (i,)
    v = rng.normal(size=x[at].shape)

    def f(xp, x, v):
        y = x * 1.5
        y[at] = v * 2
        z = x + 1
        if xp is numpy:
            numpy.add.at(z, at, v * 3)
        else:
            from nbgrad.graph import Array

            z = _added(z, i, v * 3, axis)
            assert isinstance(z, Array)
        return y, z

    compiled(f, x, v)


def _added(z, i, v, axis):
    from nbgrad.kernels.indexing import scatter_add

    return scatter_add(z, np.asarray(i), v, axis=axis)


def test_the_last_of_repeated_indices_wins(compiling, rng):
    x, v = rng.normal(size=(5, 12)), rng.normal(size=(4000, 12))
    i = rng.integers(0, 4, 4000)

    def f(xp, x, v):
        y, flags = x + 0.0, x[:, 0] > 10
        y[i] = xp.sin(v)
        flags[i] = v[:, 0] > 0
        return y, flags * 1

    compiled(f, x, v)


def test_what_is_added_is_read_from_where_it_is_added(compiling, rng):
    """The sum may not be made in the memory of what its terms are taken from."""
    x, i, j = rng.normal(size=(30, 9)), rng.integers(0, 30, 50), rng.integers(0, 30, 50)

    def f(xp, x):
        y = xp.sin(x)
        if xp is numpy:
            z = y.copy()
            numpy.add.at(z, i, y[j] * 2)
        else:
            z = _added(y, i, y[j] * 2, 0)
        return z * 1

    compiled(f, x)


def test_nothing_to_take_and_nothing_to_write(compiling, rng):
    x, none = rng.normal(size=(5, 3)), numpy.zeros(0, int)
    compiled(lambda xp, x: (x[none] * 2, summed(xp, x[none] + 1, none, 4)), x)


def test_a_number_is_written(compiling, rng):
    x, i = rng.normal(size=(6, 4)), rng.integers(0, 6, 3)

    def f(xp, x):
        y = x * 2
        y[i] = 7.0
        return y

    compiled(f, x)


def test_functions_with_a_cheaper_text_for_near_arguments(compiling, rng):
    """A loop that adds to memory must not do it twice where it starts again."""
    x, i = rng.normal(size=(40, 9)), rng.integers(0, 8, 40)
    x[3, 2] = 1e6
    compiled(lambda xp, x: summed(xp, xp.sin(x[i]) * 2, i, 8), x)
