"""scipy.signal as SciPy has it, and gradients against differences."""

import numpy
import pytest
import scipy.signal
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.scipy import signal

MODES = ("full", "same", "valid")
SHAPES = (
    ((7,), (3,)),
    ((7,), (4,)),
    ((3,), (7,)),
    ((4,), (7,)),
    ((1,), (1,)),
    ((5,), (5,)),
    ((5, 6), (2, 3)),
    ((2, 3), (5, 6)),
    ((4, 4), (3, 4)),
    ((4, 3, 3), (2, 1, 2)),
)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_convolutions(settings, a, b, mode, jit):
    settings.jit = jit
    x, y = normal(*a), normal(*b, seed=1)
    for name in ("convolve", "correlate", "fftconvolve"):
        same(getattr(signal, name)(x, y, mode), getattr(scipy.signal, name)(x, y, mode), 1e-12)
    if jit == 2:
        return
    for name in ("convolve", "correlate"):
        z, w = x + 1j * normal(*a, seed=2), y - 1j * normal(*b, seed=3)
        same(getattr(signal, name)(z, w, mode), getattr(scipy.signal, name)(z, w, mode, "direct"), 1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("a", "b"), SHAPES[:8])
def test_gradients_of_convolutions(a, b, mode):
    for name in ("convolve", "correlate"):
        check_gradient(lambda x, y, n=name: getattr(signal, n)(x, y, mode), normal(*a), normal(*b, seed=1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [((5, 6), (2, 6), 0), ((5, 6), (1, 3), [1]), ((2, 5, 4), (1, 3, 4), (-2, 2)), ((7,), (3,), None)],
)
def test_convolutions_by_fourier_transforms(a, b, axes, mode):
    x, y = normal(*a), normal(*b, seed=1)
    same(signal.fftconvolve(x, y, mode, axes), scipy.signal.fftconvolve(x, y, mode, axes), 1e-12)
    z = x * 1j + 1
    same(signal.fftconvolve(z, y, mode, axes), scipy.signal.fftconvolve(z, y, mode, axes), 1e-12)
    check_gradient(lambda x, y: signal.fftconvolve(x, y, mode, axes), x, y)
    check_gradient(lambda x, y: np.abs(signal.fftconvolve(x * 1j + 1, y, mode, axes)) ** 2, x, y)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(
    ("shape", "how"), [((7,), {}), ((8,), {}), ((3, 6), {"axis": 0}), ((5,), {"N": 8}), ((1,), {})]
)
def test_hilbert(settings, shape, how, jit):
    settings.jit = jit
    x = normal(*shape)
    same(signal.hilbert(x, **how), scipy.signal.hilbert(x, **how), 1e-13)
    assert signal.hilbert(x.astype("float32"), **how).dtype == "complex64"
    if jit == 0:
        check_gradient(lambda x: np.abs(signal.hilbert(x, **how) + 1.5) ** 2, x)
        check_gradient(lambda x: signal.hilbert(x, **how).imag, x)


def test_gradient_by_complex_numbers():
    def size(a, b, c, d):
        y = signal.correlate(a + 1j * b, c + 1j * d)
        return (y * y.conj()).real

    check_gradient(size, *(normal(n, seed=i) for i, n in enumerate((4, 4, 3, 3))))


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("a", "b"), [((4, 5), (3, 2)), ((5, 4), (2, 4)), ((3, 3), (3, 3)), ((2, 3), (4, 5))])
def test_convolutions_of_matrices(a, b, mode, boundary):
    x, y = normal(*a), normal(*b, seed=1)
    for name in ("convolve2d", "correlate2d"):
        for fill in (0, 1.5):
            ours, theirs = (getattr(m, name)(x, y, mode, boundary, fill) for m in (signal, scipy.signal))
            same(ours, theirs, 1e-12)
        check_gradient(lambda x, y, n=name: getattr(signal, n)(x, y, mode, boundary, 0.5), x, y)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "uint8"])
def test_dtypes(dtype):
    x, y = (numpy.abs(normal(6)) * 3).astype(dtype), (numpy.abs(normal(3, seed=1)) * 3).astype(dtype)
    same(signal.convolve(x, y), scipy.signal.convolve(x, y, method="direct"), 1e-5)
    same(signal.correlate(x, y, "same"), scipy.signal.correlate(x, y, "same", "direct"), 1e-5)
    assert signal.fftconvolve(x, y).dtype == scipy.signal.fftconvolve(x, y).dtype


def test_no_elements_no_dimensions_and_views():
    same(signal.fftconvolve(numpy.zeros(0), numpy.ones(3)), scipy.signal.fftconvolve(numpy.zeros(0), numpy.ones(3)))
    same(signal.convolve(2.0, 3.0), scipy.signal.convolve(2.0, 3.0))
    same(signal.correlate(2.0 + 1j, 3j), scipy.signal.correlate(2.0 + 1j, 3j))
    x, y = normal(8, 6), normal(3, 2)
    same(signal.convolve(ng.asarray(x)[::2].T, y.T[:, ::-1]), scipy.signal.convolve(x[::2].T, y.T[:, ::-1]), 1e-12)


FILTERS = (
    ([1.0, 0.5], [1.0]),
    ([1.0], [1.0, -0.9]),
    ([0.2, 0.3, 0.1], [2.0, -0.5, 0.3]),
    ([1.0, 0.4], [1.0, -0.2, 0.1, 0.05]),
    ([0.5], [2.0]),
    ([1.0, 0.1, 0.2, 0.3, 0.4], [1.0, 0.3]),
)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("shape", "axis"), [((9,), -1), ((3, 6), 1), ((5, 2), 0), ((2, 3, 2), 1), ((0, 4), 1)])
@pytest.mark.parametrize(("b", "a"), FILTERS)
def test_lfilter(settings, b, a, shape, axis, jit):
    settings.jit = jit
    x, order = normal(*shape), max(len(a), len(b)) - 1
    expected = scipy.signal.lfilter(b, a, x, axis) if x.size else x  # SciPy refuses some without elements
    same(signal.lfilter(b, a, x, axis), expected, 1e-12)
    z = normal(*(order if i == axis % len(shape) else n for i, n in enumerate(shape)), seed=1)
    if 0 not in shape:
        same(signal.lfilter(b, a, x, axis, z), scipy.signal.lfilter(b, a, x, axis, z), 1e-12)


@pytest.mark.parametrize(("b", "a"), FILTERS)
def test_gradients_of_lfilter(b, a):
    order = max(len(a), len(b)) - 1
    check_gradient(lambda b, a, x: signal.lfilter(b, a, x), b, a, normal(2, 5))
    if order:
        check_gradient(lambda b, a, x, z: signal.lfilter(b, a, x, 0, z), b, a, normal(3, 2), normal(order, 2))


def test_lfilter_of_other_dtypes():
    x, z = normal(6, dtype="float32"), normal(6) + 1j * normal(6, seed=1)
    b, a = numpy.float32([1, 0.5]), numpy.float32([1, -0.3])
    same(signal.lfilter(b, a, x), scipy.signal.lfilter(b, a, x), 1e-5)
    same(signal.lfilter([1, 2j], [1, 0.5j, 0.1], z), scipy.signal.lfilter([1, 2j], [1, 0.5j, 0.1], z), 1e-12)
    same(signal.lfilter([1, 2], [1, 1], [1, 2, 3]), scipy.signal.lfilter([1.0, 2.0], [1.0, 1.0], [1.0, 2.0, 3.0]))

    def size(x, y, c, d):
        f = signal.lfilter([1.0, 0.5j], ng.numpy.concatenate([ng.asarray([1.0]), c + 1j * d]), x + 1j * y)
        return (f * f.conj()).real

    check_gradient(size, normal(5), normal(5, seed=1), normal(2) / 3, normal(2, seed=1) / 3)


TRENDS = ({}, {"type": "constant"}, {"bp": 3}, {"bp": [2, 5]}, {"axis": 0}, {"axis": 0, "type": "constant"})


@pytest.mark.parametrize("how", TRENDS)
def test_detrend(how):
    x = normal(6, 8)
    same(signal.detrend(x, **how), scipy.signal.detrend(x, **how), 1e-12)
    check_gradient(lambda x: signal.detrend(x, **how), x)
    single = x.astype("float32")
    assert signal.detrend(single, **how).dtype == scipy.signal.detrend(single, **how).dtype
    numpy.testing.assert_allclose(signal.detrend(single, **how).numpy(), scipy.signal.detrend(x, **how), atol=2e-6)


@pytest.mark.parametrize("window", ["hann", ("kaiser", 4.0), "boxcar"])
def test_get_window(window):
    same(signal.get_window(window, 7), scipy.signal.get_window(window, 7))
    same(signal.get_window(window, 7, False), scipy.signal.get_window(window, 7, False))


A, M = numpy.ones(4), numpy.ones((3, 3))
MESSAGES = (
    (lambda: signal.convolve(A, M), errors.ShapeError, r"convolve: in1 and in2 must have as many dimensions"),
    (lambda: signal.convolve(A, A, "half"), errors.ArgumentError, r"'same' or 'valid', not 'half'"),
    (lambda: signal.convolve(A, A, "full", "slow"), errors.ArgumentError, r"convolve: method must be 'auto'"),
    (lambda: signal.correlate(A, A, "full", "slow"), errors.ArgumentError, r"correlate: method must be 'auto'"),
    (lambda: signal.convolve(numpy.ones((2, 4)), M, "valid"), errors.ShapeError, r"one array must be at least"),
    (lambda: signal.convolve2d(A, M), errors.ShapeError, r"convolve2d: in1 and in2 must have 2 dimensions"),
    (lambda: signal.correlate2d(M, M, "full", "x"), errors.ArgumentError, r"boundary must be 'fill', 'wrap' or 'symm'"),
    (lambda: signal.lfilter(M, A, A), errors.ShapeError, r"lfilter: b must be one-dimensional and not empty"),
    (lambda: signal.lfilter(A, [], A), errors.ShapeError, r"lfilter: a must be one-dimensional and not empty"),
    (lambda: signal.lfilter(A, A, 1.0), errors.ShapeError, r"lfilter: x needs at least 1 dimension"),
    (lambda: signal.lfilter(A, A, A, zi=[1.0, 2.0]), errors.ShapeError, r"zi must have shape \(3,\), or broad"),
    (lambda: signal.detrend(A, type="cubic"), errors.ArgumentError, r"'linear' or 'constant', not 'cubic'"),
    (lambda: signal.detrend(A, bp=9), errors.ArgumentError, r"detrend: bp must hold places from 0 to 4, not 9"),
    (lambda: signal.fftconvolve(M, M[:2], axes=1), errors.ShapeError, r"the axes that are not convolved do not broad"),
    (lambda: signal.hilbert(A * 1j), errors.DtypeError, r"hilbert: x must be real"),
    (lambda: signal.hilbert(A, 0), errors.ArgumentError, r"hilbert: N must be positive, not 0"),
    (lambda: signal.detrend(1.0), errors.ShapeError, r"detrend: data needs at least 1 dimension"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
