"""Comparisons for the tests of nbgrad.numpy: values with NumPy, gradients with central differences."""

import numpy

import nbgrad as ng
from nbgrad.array import Array
from nbgrad.autodiff.backward import sweep

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def several(result):
    """One result or several, as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same(ours, theirs, tolerance=None):
    """Assert that an Array (or several) has NumPy's shape, dtype and values."""
    ours, theirs = several(ours), several(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert isinstance(a, Array)
        b = numpy.asarray(b)
        value = a.numpy()
        assert a.shape == value.shape == b.shape
        assert a.dtype == value.dtype == b.dtype
        if numpy.array_equal(value, b, equal_nan=b.dtype.kind == "f"):
            continue
        rtol = tolerance or TOLERANCE.get(str(b.dtype), 0)
        numpy.testing.assert_allclose(value, b, rtol=rtol, atol=rtol)


def gradient(function, values, weights=None):
    """(outputs' shapes, gradients as ndarrays) of the sum of `weights` times the outputs."""
    arrays = [ng.asarray(v) for v in values]
    outputs = several(function(*arrays))
    return [g.numpy() for g in gradient_arrays(outputs, arrays, weights)]


def gradient_arrays(outputs, inputs, weights):
    """Gradients of the weighted sum of outputs, as Arrays; zeros where nothing connects."""
    seeds = [ng.asarray(w)._node for w in weights]
    found = sweep([y._node for y in outputs], seeds, [x._node for x in inputs])
    return [Array(g) if g is not None else ng.asarray(numpy.zeros(x.shape)) for g, x in zip(found, inputs, strict=True)]


def check_gradient(function, *values, step=1e-6, tolerance=2e-7, second=True):
    """Assert that the gradient, and that gradient's own, agree with central differences in float64."""
    values = [numpy.array(v, float) for v in values]
    random = numpy.random.default_rng(5)
    outputs = several(function(*[ng.asarray(v) for v in values]))
    weights = [random.normal(size=y.shape) for y in outputs]

    def loss(at):
        results = several(function(*[ng.asarray(v) for v in at]))
        return sum(float((r.numpy() * w).sum()) for r, w in zip(results, weights, strict=True))

    found = gradient(function, values, weights)
    for k, v in enumerate(values):
        assert found[k].shape == v.shape
        assert found[k].dtype == v.dtype
        directions = _directions(v, random)
        slopes = [
            (loss([*values[:k], v + step * d, *values[k + 1 :]]) - loss([*values[:k], v - step * d, *values[k + 1 :]]))
            / (2 * step)
            for d in directions
        ]
        products = [(found[k] * d).sum() for d in directions]
        scale = max(1.0, numpy.abs(slopes).max(initial=0))
        numpy.testing.assert_allclose(products, slopes, rtol=0, atol=tolerance * scale, err_msg=f"argument {k}")
    if second:
        _check_second(function, values, weights, random, step, tolerance)


def _directions(v, random):
    """Every axis of the space of a small array; some random directions of a large one."""
    if v.size <= 6:
        return [numpy.eye(v.size)[i].reshape(v.shape) for i in range(v.size)]
    return [random.normal(size=v.shape) for _ in range(4)]


def _check_second(function, values, weights, random, step, tolerance):
    """Differences of the gradient along a direction against the gradient of gradient times direction."""
    direction = [random.normal(size=v.shape) for v in values]
    arrays = [ng.asarray(v) for v in values]
    first = gradient_arrays(several(function(*arrays)), arrays, weights)
    found = [g.numpy() for g in gradient_arrays(first, arrays, direction)]
    up = gradient(function, [v + step * d for v, d in zip(values, direction, strict=True)], weights)
    down = gradient(function, [v - step * d for v, d in zip(values, direction, strict=True)], weights)
    for g, a, b in zip(found, up, down, strict=True):
        expected = (a - b) / (2 * step)
        scale = max(1.0, numpy.abs(expected).max(initial=0))
        numpy.testing.assert_allclose(g, expected, rtol=0, atol=5 * tolerance * scale, err_msg="second derivative")


def normal(*shape, seed=0, dtype="float64"):
    """Reproducible normal numbers."""
    return numpy.random.default_rng((seed, *shape)).normal(size=shape).astype(dtype)
