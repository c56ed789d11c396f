"""Cotangents of slices, made among the zeros around them."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

AROUND = {
    "one axis": ((40, 5), [numpy.s_[1:], numpy.s_[:-1]]),
    "last axis": ((5, 40), [numpy.s_[:, 2:], numpy.s_[:, :-2], numpy.s_[:, 1:-1]]),
    "five points": ((14, 12), [numpy.s_[2:, 1:-1], numpy.s_[:-2, 1:-1], numpy.s_[1:-1, 2:], numpy.s_[1:-1, :-2]]),
    "three axes": ((8, 9, 7), [numpy.s_[1:, :, 1:], numpy.s_[:-1, :, :-1], numpy.s_[1:, :, :-1]]),
    "one element left": ((1, 70), [numpy.s_[:, 5:], numpy.s_[:, :-5]]),
    "most are zeros": ((40, 40), [numpy.s_[:9, :9], numpy.s_[-9:, -9:]]),
    "every second": ((6, 80), [numpy.s_[:, ::2], numpy.s_[:, 1::2]]),
    "backwards": ((6, 20), [numpy.s_[:, :0:-1], numpy.s_[:, -2::-1]]),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", AROUND)
def test_one_cotangent_in_many_places(settings, rng, case, dtype):
    """y = sum over k of w[k] x[place k]; the cotangent of each place is the same elementwise value."""
    settings.jit = 2
    shape, places = AROUND[case]
    x, weights = rng.normal(size=shape).astype(dtype), [1.5, -0.5, 2.0, -1.0][: len(places)]

    def f(x):
        return np.sum(np.sin(sum(w * x[at] for w, at in zip(weights, places, strict=True))))

    value, found = ng.jit(ng.value_and_grad(f))(x)
    y = sum(w * x[at] for w, at in zip(weights, places, strict=True))
    expected = numpy.zeros_like(x)
    for w, at in zip(weights, places, strict=True):
        expected[at] += w * numpy.cos(y)
    tolerance = 1e-13 if dtype == "float64" else 2e-5
    numpy.testing.assert_allclose(value, numpy.sum(numpy.sin(y)), rtol=tolerance, atol=100 * tolerance)
    numpy.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_a_stencil_is_not_copied(settings, rng):
    """What is sliced twice, forward and backward, is written once a time, whatever the places."""
    settings.jit = 2
    x = rng.normal(size=(20, 18))

    def f(x):
        y = 4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]
        return np.sum(np.tanh(y[1:] - y[:-1]))

    run = ng.jit(ng.grad(f))
    y = 4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]
    g, by_y, expected = 1 - numpy.tanh(y[1:] - y[:-1]) ** 2, numpy.zeros_like(y), numpy.zeros_like(x)
    by_y[1:] += g
    by_y[:-1] -= g
    expected[1:-1, 1:-1] += 4 * by_y
    for at in (numpy.s_[2:, 1:-1], numpy.s_[:-2, 1:-1], numpy.s_[1:-1, 2:], numpy.s_[1:-1, :-2]):
        expected[at] -= by_y
    numpy.testing.assert_allclose(run(x), expected, rtol=1e-12, atol=1e-13)
    names = run.lower(x).launches
    assert len(names) == 4, names
    assert not {"embed", "add_slices"} & set(names)


def test_a_cotangent_that_is_a_result_has_no_room_around_it(settings, rng):
    settings.jit = 2
    x, c = rng.normal(size=(40, 6)), rng.normal(size=(39, 6))
    f = lambda x, c: np.sum(c * np.sin(x[1:] - x[:-1]) * c)  # noqa: E731
    g = lambda x, c: ng.grad(f, grad_position=(0, 1))(x, c)  # noqa: E731
    by_x, by_c = ng.jit(g)(x, c)
    d, expected = c * c * numpy.cos(x[1:] - x[:-1]), numpy.zeros_like(x)
    expected[1:] += d
    expected[:-1] -= d
    numpy.testing.assert_allclose(by_x, expected, rtol=1e-13, atol=1e-14)
    numpy.testing.assert_allclose(by_c, 2 * c * numpy.sin(x[1:] - x[:-1]), rtol=1e-13, atol=1e-14)
    assert numpy.asarray(by_c).flags.c_contiguous
    assert numpy.asarray(by_c).shape == c.shape


def test_a_cotangent_that_fills_the_whole(settings, rng):
    """There is nothing around it."""
    from nbgrad.kernels.shape import add_slices

    settings.jit = 2
    x, y = rng.normal(size=(2, 9, 10))
    run = ng.jit(lambda x, y: add_slices(np.sin(x), np.cos(y), specs=(((0, 1, 9), (0, 1, 10)),)))
    numpy.testing.assert_allclose(run(x, y), numpy.sin(x) + numpy.cos(y), rtol=1e-15, atol=1e-15)
    assert run.lower(x, y).launches == ["sin_cos_add"]
