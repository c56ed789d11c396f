"""numpy.array and its like, on Arrays while a function is traced, and NumPy's own otherwise."""

import subprocess
import sys
import threading

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import conversions

X = numpy.array([0.3, 0.7])
FUNCTIONS = {
    "array": (lambda x: numpy.array([x[0], x[1] * x[0], 2.0]), [[1, 0], [0.7, 0.3], [0, 0]]),
    "nested": (lambda x: numpy.array([[x[0], 1.0], (x[1], x[0])]).ravel(), [[1, 0], [0, 0], [0, 1], [1, 0]]),
    "rows": (lambda x: numpy.array([x, 2 * x]).T.ravel(), [[1, 0], [2, 0], [0, 1], [0, 2]]),
    "asarray": (lambda x: numpy.asarray(x) * 3, [[3, 0], [0, 3]]),
    "of a list": (lambda x: numpy.asarray([x[1], x[0]], dtype=float), [[0, 1], [1, 0]]),
    "keywords": (lambda x: numpy.array(object=[x[0]], ndmin=2, copy=True).ravel(), [[1, 0]]),
    "contiguous": (lambda x: numpy.ascontiguousarray(x[::-1]), [[0, 1], [1, 0]]),
    "full": (lambda x: numpy.full((2,), x[0]), [[1, 0], [1, 0]]),
    "full by keyword": (lambda x: numpy.full(2, fill_value=x[1]), [[0, 1], [0, 1]]),
    "float32": (lambda x: numpy.array([x[0]], numpy.float32), [[1, 0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("transform", [lambda f: f, ng.jit], ids=["eager", "jit"])
def test_gradients_flow_through(name, transform):
    function, slope = FUNCTIONS[name]
    weights = numpy.arange(1.0, 1 + len(slope))
    found = transform(ng.grad(lambda x: numpy.sum(function(x) * weights)))(X)
    numpy.testing.assert_allclose(found, weights @ numpy.array(slope), rtol=1e-6)


def test_values_are_numpy_s_own():
    for name in ("array", "asarray", "nested", "rows", "full"):
        function = FUNCTIONS[name][0]
        numpy.testing.assert_array_equal(ng.jit(function)(X), function(X))


def test_numpy_is_as_it_was_afterwards():
    """Also behind nested transforms and errors."""
    before = {name: getattr(numpy, name) for name in conversions.NAMES}
    inside = []

    def fails(x):
        inside.append(numpy.array is before["array"])
        ng.grad(lambda y: np.sum(y * y))(x)
        inside.append(numpy.array is before["array"])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        ng.grad(fails)(X)
    assert inside == [False, False]
    assert all(getattr(numpy, name) is own for name, own in before.items())


def test_ndarrays_stay_ndarrays_in_there():
    def function(x):
        a = numpy.array([1.0, 2.0], order="F", subok=True)
        assert type(a) is numpy.ndarray
        assert type(numpy.asarray(a)) is numpy.ndarray
        return numpy.sum(a * x)

    numpy.testing.assert_array_equal(ng.grad(function)(X), [1, 2])


def test_other_threads_see_numpy():
    """Arrays that another thread converts meanwhile become ndarrays there."""
    y, found = ng.asarray([1.0, 2.0]), []

    def function(x):
        thread = threading.Thread(target=lambda: found.append(type(numpy.asarray(y))))
        thread.start()
        thread.join()
        return numpy.sum(x)

    ng.grad(function)(X)
    assert found == [numpy.ndarray]


def test_numba_finds_them():
    """Compiling for the first time while a function is traced, and afterwards."""
    program = """
import numpy as np, nbgrad as ng
def f(x):
    import numba
    g = numba.njit(lambda n: np.array([1.0, 2.0])[n] + np.full(2, 3.0)[n] + np.asarray(np.ones(2))[n])
    return np.sum(x) * g(1)
print(float(ng.grad(f)(np.ones(2))[0]))
import numba
print(numba.njit(lambda n: np.array([1.0, 2.0])[n] + np.full(2, 3.0)[n] + np.asarray(np.ones(2))[n])(0))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["6.0", "5.0"]


#: What NumPy itself makes ndarrays of: lists of Arrays, which no protocol shows to us.
IMPLICIT = {
    "sum": lambda x: x[0] + numpy.sum([x[0], x[1]]),
    "exp": lambda x: numpy.exp([x[0], x[1]]).sum() * x[0],
    "dot": lambda x: x[0] * numpy.dot([x[0], x[1]], [1.0, 2.0]),
    "sum of an ndarray and a list": lambda x: x[0] + numpy.add(numpy.ones(2), [x[0], x[1]]).sum(),
}


@pytest.mark.parametrize("name", IMPLICIT)
def test_no_gradient_is_lost_silently(name):
    with pytest.raises(
        ng.ArgumentError, match=r"its gradient would be lost; .*: write numpy\.sum\(numpy\.array\(\[x, y"
    ):
        ng.grad(IMPLICIT[name])(X)


def test_values_can_be_taken_out_on_purpose():
    numpy.testing.assert_array_equal(ng.grad(lambda x: numpy.sum(x * numpy.sum([v.numpy() for v in x])))(X), [1, 1])
    numpy.testing.assert_array_equal(ng.grad(lambda x: numpy.sum(x[numpy.argsort(x)] * [1, 2]))(X), [1, 2])
