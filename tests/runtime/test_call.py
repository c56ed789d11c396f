"""Calls of small jitted functions that never enter Python."""

import gc
import sys
import weakref

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

X = numpy.array([1.0, 2.0, 3.0])


def called(fn, *args):
    """The results of the native call, after one that made it."""
    jitted = ng.jit(fn)
    jitted(*args)
    assert jitted._last.fast is not None
    return jitted._last.fast(*args)


@pytest.mark.parametrize(
    "nest",
    [
        lambda x: x * 2,
        lambda x: (x * 2,),
        lambda x: (x * 2, np.sum(x)),
        lambda x: [x * 2, (np.sum(x), x + 1)],
        lambda x: {"b": x * 2, "a": [np.sum(x), {}]},
        lambda x: ((), [], {}, x * 2),
        lambda x: (x * 2, "text", 3, None, x > 1),
        lambda x: (x, x, np.zeros((2, 0)), 3.5 + 0 * x[0]),
    ],
)
def test_results_are_nested_as_the_function_nested_them(nest):
    expected, found = nest(ng.asarray(X)), called(nest, X)

    def check(a, b):
        assert type(a) is type(b)
        if isinstance(a, (tuple, list)):
            assert len(a) == len(b)
            for p, q in zip(a, b, strict=True):
                check(p, q)
        elif isinstance(a, dict):
            assert list(a) == list(b)
            for k in a:
                check(a[k], b[k])
        elif isinstance(a, ng.Array):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            numpy.testing.assert_array_equal(a, b)
        else:
            assert a == b

    check(expected, found)


def test_results_are_arrays_like_any_other():
    x = ng.asarray(X)
    y = called(lambda x: x * 2, x)
    again = weakref.ref(y)
    assert again() is y
    assert not numpy.asarray(y).flags.writeable
    assert numpy.asarray(y).flags.owndata
    assert y._node.serial > x._node.serial
    assert (y._node.primitive, y._node.inputs, y._node.attrs, y._node.history) == (None, (), (), False)
    assert float(np.sum(ng.grad(lambda v: np.sum(v * v))(y))) == 24.0
    y[0] = 7.0
    numpy.testing.assert_array_equal(y, [7.0, 4.0, 6.0])


def test_what_does_not_fit_is_left_to_python():
    jitted = ng.jit(lambda x: x * 2)
    jitted(X)
    fast = jitted._last.fast
    for other in (X[:2], X.astype("float32"), X[::-1], [1.0, 2.0, 3.0], 1.0, None, ng.asarray(X) + 1):
        assert fast(other) is None
    assert fast() is None
    assert fast(X, X) is None
    assert jitted(ng.asarray(X) + 1).tolist() == [4.0, 6.0, 8.0]


def test_a_nest_of_arguments_needs_no_trace_of_the_same_shapes():
    double = ng.jit(lambda p: {k: v * (2 if k == "a" else 3) for k, v in p.items()})
    for names in ("ab", "ab", "bc", "ab", "ab"):
        found = double(dict(zip(names, (X, X + 1), strict=True)))
        for name, x in zip(names, (X, X + 1), strict=True):
            numpy.testing.assert_array_equal(found[name], x * (2 if name == "a" else 3))
    assert double._last.fast([X, X]) is None
    numpy.testing.assert_array_equal(double({"a": X[:2], "b": 1.5})["b"], 4.5)


def test_many_arguments_and_results_pass_through_one_call():
    params = {f"layer {i}": [numpy.full(2, i), numpy.full(2, -i)] for i in range(500)}
    norm = ng.jit(ng.grad(lambda p: sum(np.sum(w**3) for layer in p.values() for w in layer) / 3))
    params = {name: [w.astype(float) for w in layer] for name, layer in params.items()}
    norm(params)
    assert norm._last.fast is not None
    found = norm(params)
    assert list(found) == list(params)
    for name, layer in params.items():
        for g, w in zip(found[name], layer, strict=True):
            numpy.testing.assert_allclose(g, w * w, rtol=1e-15)


def test_keywords_are_not_taken_for_positions():
    fn = ng.jit(lambda x, y=0.0, z=0.0: x + 2 * y + 3 * z)
    numpy.testing.assert_array_equal(fn(X, z=X), 4 * X)
    numpy.testing.assert_array_equal(fn(X, X), 3 * X)


def test_parameters_are_read_anew():
    w = ng.Parameter(ng.asarray(2.0), name="w")
    jitted = ng.jit(lambda x: x * w)
    assert jitted(X).tolist() == [2.0, 4.0, 6.0]
    assert jitted._last.fast is not None
    w.assign(3.0)
    assert jitted(X).tolist() == [3.0, 6.0, 9.0]


def test_calls_leave_no_references_behind():
    text = "a constant of the results"
    jitted = ng.jit(lambda x: {"a": (x * 2, text), "b": [np.sum(x)]})
    x = ng.asarray(X)
    for _ in range(3):
        jitted(x)
    gc.collect()
    watched = [X.dtype, text, None, (), False, type(x), type(x._node), x._node.value, "a", "b"]
    before, objects = [sys.getrefcount(w) for w in watched], len(gc.get_objects())
    for _ in range(1000):
        assert jitted(x) is not None
    gc.collect()
    after = [sys.getrefcount(w) for w in watched]
    assert all(abs(a - b) < 50 for a, b in zip(before, after, strict=True)), (before, after)
    assert len(gc.get_objects()) - objects < 50  # what earlier tests left may go at any time


def test_a_collection_during_a_call_does_no_harm():
    thresholds = gc.get_threshold()
    jitted = ng.jit(lambda x: [(x * k, x + k) for k in range(8)])
    jitted(X)

    class Reentrant:
        def __init__(self):
            self.me = self

        def __del__(self):
            assert jitted(X)[3][0].tolist() == [3.0, 6.0, 9.0]

    gc.set_threshold(5, 1, 1)
    try:
        for _ in range(200):
            Reentrant()
            assert jitted(X)[7][1].tolist() == [8.0, 9.0, 10.0]
    finally:
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize("size", [3, 100_000])
def test_results_as_numpy_belong_to_the_caller(size, settings):
    fn = ng.jit(lambda x: {"y": x * 2, "s": [np.sum(x), "text"]}, as_numpy=True)
    x = numpy.ones(size)
    first, second = fn(x), fn(x)
    assert type(first["y"]) is type(first["s"][0]) is numpy.ndarray
    assert (first["s"][0].shape, first["s"][0].item(), first["s"][1]) == ((), size, "text")
    first["y"][:] = 7  # writable, and nobody else's
    assert (second["y"] == 2).all()
    assert (fn(x)["y"] == 2).all()
    assert (x == 1).all()
    settings.jit = 0
    assert type(fn(x)["y"]) is numpy.ndarray


def test_results_as_numpy_stay_arrays_inside_a_transform():
    fn = ng.jit(lambda x: np.sum(x * x), as_numpy=True)
    numpy.testing.assert_array_equal(ng.grad(fn)(ng.asarray(X)), 2 * X)
    assert isinstance(fn(X), numpy.ndarray)


def test_as_numpy_serves_an_optimiser():
    optimize = pytest.importorskip("scipy.optimize")

    def rosenbrock(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    found = optimize.minimize(ng.jit(ng.value_and_grad(rosenbrock), as_numpy=True), numpy.zeros(5), jac=True)
    numpy.testing.assert_allclose(found.x, 1, atol=1e-4)


def test_as_numpy_is_a_bool():
    with pytest.raises(ng.ArgumentError, match="jit: as_numpy must be True or False, got str 'yes'"):
        ng.jit(lambda x: x, as_numpy="yes")
