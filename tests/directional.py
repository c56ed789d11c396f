"""Gradients against central differences along random directions, of real and complex matrices, on both tiers."""

import numpy

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.config import config


def normal(*shape, seed=0, dtype="float64"):
    """Reproducible normal numbers, complex ones for complex dtypes."""
    rng = numpy.random.default_rng((seed, *shape))
    x = rng.normal(size=shape)
    if numpy.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def inner(a, b):
    """The real inner product of arrays."""
    return float(numpy.sum((numpy.conj(a) * b).real))


def weighted(y, rng):
    """A real number that depends on every element of one or several results, and not linearly."""
    total = 0.0
    for part in y if isinstance(y, (tuple, list)) else [y]:
        w = rng.normal(size=part.shape) + (1j * rng.normal(size=part.shape) if part.dtype.kind == "c" else 0)
        total = total + np.sum(np.real(part * w)) + 0.1 * np.sum(np.real(part * np.conj(part)))
    return total


def difference(function, values, directions, step):
    """The derivative of a number along directions."""

    def at(h):
        return float(function(*[ng.asarray(v + h * d) for v, d in zip(values, directions, strict=True)]))

    return (at(step) - at(-step)) / (2 * step)


def check(f, *values, order=2, step=1e-5, rtol=1e-6, tiers=(0, 2)):
    """Assert that gradients of `f`, and theirs, agree with differences; results may be several Arrays."""

    def gradients(function, xs):
        found = ng.grad(function, tuple(range(len(xs))))(*xs)
        return found if isinstance(found, tuple) else (found,)

    def loss(*xs):
        return weighted(f(*xs), numpy.random.default_rng(8))

    rng = numpy.random.default_rng(7)
    shaped = lambda: [normal(*v.shape, seed=int(rng.integers(1000)), dtype=v.dtype) for v in values]  # noqa: E731
    along, second = shaped(), shaped()

    def slope(*xs):
        grads = gradients(loss, xs)
        return sum(np.sum(np.real(np.conj(g) * v)) for g, v in zip(grads, along, strict=True))

    config.jit = 0
    expected = [difference(loss, values, along, step), difference(slope, values, second, step) if order > 1 else 0.0]
    for config.jit in tiers:
        first = gradients(loss, values)
        for g, v in zip(first, values, strict=True):
            assert (g.shape, g.dtype) == (v.shape, v.dtype)
        found = sum(inner(numpy.asarray(g), v) for g, v in zip(first, along, strict=True))
        numpy.testing.assert_allclose(found, expected[0], rtol=rtol, atol=rtol)
        if order > 1:
            grads = gradients(slope, values)
            found = sum(inner(numpy.asarray(g), v) for g, v in zip(grads, second, strict=True))
            numpy.testing.assert_allclose(found, expected[1], rtol=20 * rtol, atol=20 * rtol)
