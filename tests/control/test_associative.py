"""associative_scan: against the operation one after another."""

import functools
import itertools

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

RNG = numpy.random.default_rng(0)


def one_by_one(fn, x):
    return list(itertools.accumulate(x, fn))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_products_of_matrices(count, reverse):
    """An operation that is not commutative: the order counts."""
    x = RNG.normal(size=(count, 2, 2))
    found = ng.associative_scan(lambda a, b: a @ b, x, reverse=reverse)
    order = x[::-1] if reverse else x
    expected = one_by_one(numpy.matmul, order)
    expected = expected[::-1] if reverse else expected
    assert found.shape == x.shape
    if count:
        numpy.testing.assert_allclose(found, numpy.stack(expected), rtol=1e-12)


@pytest.mark.parametrize("jit", [0, 2])
def test_gradients_of_a_recurrence(jit):
    ng.config.jit = jit
    a, b = RNG.uniform(0.2, 0.9, (11, 3)), RNG.normal(size=(11, 3))
    join = lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1])  # noqa: E731
    f = lambda a, b: np.sum(ng.associative_scan(join, (a, b))[1] ** 2)  # noqa: E731

    def by_scan(a, b):
        step = lambda x, ab: (lambda y: (y, y))(ab[0] * x + ab[1])  # noqa: E731
        return np.sum(ng.scan(step, numpy.zeros(3), (a, b))[1] ** 2)

    for x, y in zip(ng.grad(f, (0, 1))(a, b), ng.grad(by_scan, (0, 1))(a, b), strict=True):
        numpy.testing.assert_allclose(x, y, rtol=1e-11)


def test_other_axes_and_booleans():
    x = RNG.integers(0, 2, (3, 6)).astype(bool)
    found = ng.associative_scan(np.logical_or, x, axis=1)
    numpy.testing.assert_array_equal(found, numpy.logical_or.accumulate(x, axis=1))
    y = RNG.normal(size=(3, 6))
    numpy.testing.assert_allclose(ng.associative_scan(np.add, y, axis=-1), numpy.cumsum(y, 1), rtol=1e-13)
    total = functools.reduce(numpy.maximum, y)
    numpy.testing.assert_array_equal(ng.associative_scan(np.maximum, y).numpy()[-1], total)


def test_mistakes():
    with pytest.raises(errors.ArgumentError, match="associative_scan: fn must be callable, got int 3"):
        ng.associative_scan(3, numpy.ones(3))
    with pytest.raises(errors.ShapeError, match=r"need one length along axis 0\n    elems\[0\]: 3\n    elems\[1\]: 2"):
        ng.associative_scan(lambda a, b: a, (numpy.ones(3), numpy.ones(2)))
    with pytest.raises(errors.ShapeError, match="fn must return what is like its arguments"):
        ng.associative_scan(lambda a, b: np.sum(a), numpy.ones(4))
    with pytest.raises(errors.AxisError, match="associative_scan: elems: axis 1 is out of range"):
        ng.associative_scan(np.add, numpy.ones(4), axis=1)
