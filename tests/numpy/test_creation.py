"""Making Arrays, against NumPy."""

import numpy
import pytest
from checking import check_gradient, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

ROWS = (
    ("arange", (5,), {}),
    ("arange", (2, 8, 3), {}),
    ("arange", (0.0, 1.0, 0.25), {}),
    ("arange", (5, 0, -2), {}),
    ("arange", (3,), {"dtype": "float32"}),
    ("array", ([[1, 2], [3, 4]],), {}),
    ("array", ([1, 2],), {"dtype": "float32", "ndmin": 3}),
    ("asarray", (2.5,), {}),
    ("asarray", ([True, False],), {}),
    ("ascontiguousarray", (numpy.ones((2, 3)).T,), {}),
    ("eye", (3,), {}),
    ("eye", (2, 4, 1), {"dtype": "int64"}),
    ("full", ((2, 2), 7), {}),
    ("full", ((2, 3), [1.0, 2.0, 3.0]), {"dtype": "float32"}),
    ("full", (3, True), {}),
    ("full_like", (numpy.ones((2, 2), "float32"), 3), {}),
    ("identity", (3,), {"dtype": "float32"}),
    ("linspace", (0, 1, 5), {}),
    ("linspace", (0.0, 1.0, 5), {"endpoint": False}),
    ("linspace", (2, 3, 1), {}),
    ("linspace", (2, 3, 0), {}),
    ("linspace", (2, 3), {"dtype": "float32"}),
    ("logspace", (0, 2, 3), {}),
    ("ones", (3,), {}),
    ("ones", ((2, 0),), {"dtype": "int8"}),
    ("ones_like", (numpy.ones((2, 2), "int32"),), {}),
    ("tri", (3, 4, 1), {}),
    ("zeros", ((2, 3),), {}),
    ("zeros", ((),), {"dtype": "bool"}),
    ("zeros_like", (numpy.ones((2, 2)),), {"dtype": "float32"}),
)


@pytest.mark.parametrize(("name", "args", "kwargs"), ROWS)
def test_value(name, args, kwargs):
    same(getattr(np, name)(*args, **kwargs), getattr(numpy, name)(*args, **kwargs))


def test_empty_is_zeros():
    same(np.empty((2, 2)), numpy.zeros((2, 2)))
    same(np.empty_like(numpy.ones(2, "float32")), numpy.zeros(2, "float32"))


def test_linspace_gradient():
    check_gradient(lambda a, b: np.linspace(a, b, 4), 0.5, 2.0)
    check_gradient(lambda a, b: np.linspace(a, b, 4, endpoint=False), [0.5, 1.0], 2.0)
    values, step = np.linspace(ng.asarray(0.0), 1.0, 5, retstep=True)
    same(values, numpy.linspace(0, 1, 5))
    assert float(step) == 0.25


def test_full_gradient():
    check_gradient(lambda x: np.full((3, 2), x), [1.0, 2.0])


def test_lists_of_arrays_are_stacked():
    check_gradient(lambda x, y: np.array([[x[0], 2 * y], [y * y, 1.0]]), [1.0, 2.0], 3.0)
    check_gradient(lambda x, y: np.sin([x, y]), 1.0, 3.0)
    same(np.asarray([ng.asarray(1.0), 2], dtype="float32"), numpy.asarray([1.0, 2.0], "float32"))


def test_dlpack():
    same(np.from_dlpack(numpy.arange(3.0)), numpy.arange(3.0))
    same(numpy.from_dlpack(ng.asarray([1.0, 2.0])) * ng.asarray(1.0), numpy.array([1.0, 2.0]))


def test_values_are_private():
    source = numpy.zeros(2)
    x = np.asarray(source)
    source[0] = 5
    same(x, numpy.zeros(2))
    y = np.copy(x)
    y[0] = 1.0
    same(x, numpy.zeros(2))


def test_errors():
    with pytest.raises(errors.DtypeError, match="zeros: dtype datetime64 is not supported"):
        np.zeros(3, "datetime64")
    with pytest.raises(errors.ArgumentError, match="negative extent"):
        np.ones((2, -1))
    with pytest.raises(errors.ArgumentError, match="shape must be an integer or a tuple"):
        np.ones(2.5)
    with pytest.raises(errors.DeviceError, match="zeros: device 'gpu' is not one"):
        np.zeros(3, device="gpu")
