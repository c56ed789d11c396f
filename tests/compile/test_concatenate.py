"""Concatenation along the first axis: parts are made where they will be, and parts of one array are not copied."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np


def compiled(f, *args):
    """(values of the compiled program, names of its launches), values checked against NumPy's."""
    run = ng.jit(lambda *a: f(np, *a))
    found, expected = run(*args), f(numpy, *args)
    for a, b in zip(found if isinstance(found, tuple) else (found,), _tuple(expected), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    return run.lower(*args).launches


def _tuple(x):
    return x if isinstance(x, tuple) else (x,)


@pytest.fixture
def xw(settings, rng):
    settings.jit = 2
    return rng.normal(size=(9, 7)), rng.normal(size=(7, 7))


def test_parts_are_made_in_place(xw):
    names = compiled(lambda xp, x, w: xp.concatenate([x @ w, xp.sin(x), (x + 1) @ w]), *xw)
    assert "concatenate" not in names


def test_parts_of_parts(xw):
    def f(xp, x, w):
        inner = xp.concatenate([x @ w, w @ w])
        return xp.concatenate([w @ w @ w, inner, xp.exp(-inner)])

    assert "concatenate" not in compiled(f, *xw)


def test_what_is_not_made_here_is_copied(xw):
    names = compiled(lambda xp, x, w: xp.concatenate([x, x @ w, xp.ones((2, 7)), w.T, xp.flip(x @ w, 0)]), *xw)
    assert "concatenate" in names


def test_a_part_that_others_read_and_repeat(xw):
    def f(xp, x, w):
        y = xp.tanh(x @ w)
        z = xp.concatenate([y, y, x @ w])
        return z * 2, y, xp.concatenate([y, z]), xp.sum(y * y), xp.concatenate([xp.sum(y, axis=0), y[1]])

    compiled(f, *xw)


def test_a_part_that_is_changed_afterwards(xw):
    """The memory of the whole is not that of the part, even where the part is all of it."""

    def f(xp, x, w):
        y = x @ w
        z = xp.concatenate([y, x[:0]])
        y[2:4] = 5.0
        return z, y, z + y

    compiled(f, *xw)


def test_one_row_before_the_axis(xw):
    names = compiled(lambda xp, x, w: xp.concatenate([(x @ w)[None], (w @ w)[None]], axis=1), *xw)
    assert "concatenate" not in names


def test_slices_of_one_array_that_follow_each_other_are_a_slice(xw):
    assert compiled(lambda xp, x, w: xp.concatenate([x[:3], x[3:5], x[5:]]) @ w, *xw) == ["matmul"]
    assert compiled(lambda xp, x, w: xp.concatenate([x[k].reshape(1, 7) for k in range(2, 8)]) @ w, *xw) == ["matmul"]
    assert compiled(lambda xp, x, w: xp.concatenate([x[k] for k in range(1, 4)]) * 2, *xw) == ["multiply"]
    for order in ([3, 2], [2, 4], [2, 2]):
        compiled(lambda xp, x, w, order=order: xp.concatenate([x[k : k + 1] for k in order]) @ w, *xw)
    compiled(lambda xp, x, w: xp.concatenate([x[:3, 1:], x[3:, 1:]]), *xw)
    compiled(lambda xp, x, w: xp.concatenate([x[:3], w[3:]]), *xw)
    compiled(lambda xp, x, w: xp.concatenate([x[::2], x[1::2]]), *xw)
