"""Gradients behind the signatures of C that SciPy and ctypes call."""

import ctypes

import numpy
import pytest
import scipy.integrate
import scipy.ndimage
from exported import rosenbrock

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, ShapeError

slope = ng.jit(ng.grad(lambda x: np.sin(x) ** 2))
scaled = ng.jit(ng.grad(lambda x, a: np.sin(a * x) ** 2))
weighted = ng.jit(lambda v, w: np.sum(v * w))
IMAGE = numpy.random.default_rng(0).random((20, 30))
FILTER = "int (double *, npy_intp, double *, void *)"


@pytest.mark.parametrize(
    "signature", ["double (double)", "double(double x, void *user_data)", "double (int, double *)"]
)
def test_quad(signature):
    f = slope.cfunc(1.0, signature=signature).low_level_callable()
    assert scipy.integrate.quad(f, 0.0, 1.0)[0] == pytest.approx(numpy.sin(1.0) ** 2, abs=1e-14)


def test_arguments_of_quad_go_to_numbers_one_after_another():
    f = scaled.cfunc(1.0, 1.0, signature="double (int, double *)").low_level_callable()
    assert scipy.integrate.quad(f, 0.0, 1.0, args=(2.0,))[0] == pytest.approx(numpy.sin(2.0) ** 2, abs=1e-14)
    with pytest.warns(scipy.integrate.IntegrationWarning):  # a number too many
        assert numpy.isnan(scipy.integrate.quad(f, 0.0, 1.0, args=(2.0, 3.0))[0])
    callback = scaled.cfunc(1.0, 1.0, signature="double (double, void *)")
    assert callback.user_data == [("a", numpy.float64, ())]
    f = callback.low_level_callable(3.0)
    assert scipy.integrate.quad(f, 0.0, 1.0)[0] == pytest.approx(numpy.sin(3.0) ** 2, abs=1e-14)


def test_generic_filter_at_other_sizes_and_with_data():
    squares = ng.jit(lambda v: np.sum(v**2)).cfunc(numpy.ones(9), signature=FILTER)
    for size in (3, 5):
        found = scipy.ndimage.generic_filter(IMAGE, squares.low_level_callable(), size=size)
        expected = scipy.ndimage.generic_filter(IMAGE, lambda v: numpy.sum(v**2), size=size)
        numpy.testing.assert_allclose(found, expected, rtol=1e-13)
    weights = numpy.random.default_rng(1).random(9)
    both = weighted.cfunc(weights, weights, signature=FILTER)
    found = scipy.ndimage.generic_filter(IMAGE, both.low_level_callable(weights), size=3)
    numpy.testing.assert_allclose(found, scipy.ndimage.generic_filter(IMAGE, lambda v: v @ weights, size=3), rtol=1e-13)
    with pytest.raises(RuntimeError):  # 25 values, where the weights are 9
        scipy.ndimage.generic_filter(IMAGE, both.low_level_callable(weights), size=5)


def test_generic_filter1d_and_geometric_transform():
    ends = ng.jit(lambda v: np.cumsum(v)[:-2]).cfunc(
        numpy.ones(7), signature="int (double *, intptr_t, double *, intptr_t, void *)"
    )
    found = scipy.ndimage.generic_filter1d(IMAGE, ends.low_level_callable(), 3)

    def by_numpy(line, out):
        out[...] = numpy.cumsum(line)[:-2]

    numpy.testing.assert_allclose(found, scipy.ndimage.generic_filter1d(IMAGE, by_numpy, 3), rtol=1e-13)
    moved = ng.jit(lambda o: np.stack([0.8 * o[0] + 1.0, 1.1 * o[1]])).cfunc(
        numpy.ones(2, "int64"), signature="int (npy_intp *, double *, int, int, void *)"
    )
    numpy.testing.assert_allclose(
        scipy.ndimage.geometric_transform(IMAGE, moved.low_level_callable()),
        scipy.ndimage.geometric_transform(IMAGE, lambda o: (0.8 * o[0] + 1.0, 1.1 * o[1])),
        rtol=1e-13,
    )


def test_the_own_signature_by_ctypes():
    callback = ng.jit(ng.value_and_grad(rosenbrock)).cfunc(numpy.ones(5))
    assert callback.signature == "int32_t (double *x, double *out0, double *out1, int64_t n, void *workspace)"
    x, value, grad = numpy.array([0.5, 2.0, 1.0]), numpy.empty(()), numpy.empty(3)
    assert callback.ctypes(x.ctypes.data, value.ctypes.data, grad.ctypes.data, 3, None) == 0
    assert callback.address == ctypes.cast(callback.ctypes, ctypes.c_void_p).value
    first = -400 * 0.5 * (2.0 - 0.25) - 2 * 0.5
    assert (float(value), grad[0]) == (pytest.approx(rosenbrock(x)), pytest.approx(first))
    assert callback.ctypes(x.ctypes.data, value.ctypes.data, grad.ctypes.data, 0, None) == 1  # a size too small


def test_float_and_void():
    f = ng.jit(lambda x: x * 2).cfunc(numpy.float32(1), signature="float (float)")
    assert f.ctypes(1.5) == 3.0
    g = ng.jit(lambda x: x * 2).cfunc(numpy.ones(3), signature="void (const double *, int64_t, double *, int64_t)")
    x, y = numpy.arange(4.0), numpy.empty(4)
    pointer = ctypes.POINTER(ctypes.c_double)
    assert g.ctypes(x.ctypes.data_as(pointer), 4, y.ctypes.data_as(pointer), 4) is None
    numpy.testing.assert_array_equal(y, 2 * x)


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        (3, "cfunc: signature is 3, expected the declaration of a C function such as 'double"),
        ("double", "signature is 'double', expected the declaration"),
        ("double (char *)", r"in which 'char \*' is not understood; expected parameters such as double, float"),
        ("double (float)", r"'double \(float\)' hands float to x, which is float64; the function takes \(x: float64\)"),
        ("double (double, double)", "has a place more than the function has arguments: double"),
        ("int (double)", "has 0 pointers, too few for 1 results"),
        ("double (void *)", None),
        ("double ()", r"has no place for x, and no void \* to read it from; the function takes \(x: float64\)"),
    ],
)
def test_signatures_that_do_not_fit(signature, text):
    if text is None:
        assert slope.cfunc(1.0, signature=signature).user_data == [("x", numpy.float64, ())]
        return
    with pytest.raises(ArgumentError, match=text):
        slope.cfunc(1.0, signature=signature)


def test_other_errors():
    with pytest.raises(ArgumentError, match="returns one number, and the function has 2 results"):
        ng.jit(ng.value_and_grad(np.sin)).cfunc(1.0, signature="double (double)")
    callback = weighted.cfunc(numpy.ones(9), numpy.ones(9), signature=FILTER)
    with pytest.raises(ArgumentError, match="got 0 arguments, expected those that the signature has no place for: w"):
        callback.low_level_callable()
    with pytest.raises(ShapeError, match=r"w has shape \(4,\), expected \(9,\), as in the example"):
        callback.low_level_callable(numpy.ones(4))
