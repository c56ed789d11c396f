"""scipy.ndimage as SciPy has it, and gradients against differences."""

import numpy
import pytest
import scipy.ndimage
from checking import check_gradient, normal, same

import nbgrad as ng
from nbgrad import errors
from nbgrad.scipy import ndimage

MODES = ("reflect", "constant", "nearest", "mirror", "wrap")
EVERY = (*MODES, "grid-mirror", "grid-constant", "grid-wrap")

FILTERS = (
    ("correlate", (7,), (3,), {}),
    ("correlate", (7,), (4,), {"origin": -1}),
    ("correlate", (4,), (9,), {}),
    ("correlate", (5, 6), (3, 2), {"origin": (1, -1)}),
    ("correlate", (3, 4, 2), (2, 3, 1), {}),
    ("convolve", (7,), (3,), {"origin": 1}),
    ("convolve", (7,), (4,), {"origin": -1}),
    ("convolve", (5, 6), (3, 2), {}),
    ("correlate1d", (5, 6), (3,), {"axis": 0}),
    ("correlate1d", (5, 6), (4,), {"origin": 1}),
    ("convolve1d", (5, 6), (4,), {"axis": 0, "origin": 1}),
)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "a", "b", "how"), FILTERS)
def test_filters(settings, name, a, b, how, mode, jit):
    settings.jit = jit
    x, w = normal(*a), normal(*b, seed=1)
    ours, theirs = (getattr(m, name)(x, w, mode=mode, cval=0.7, **how) for m in (ndimage, scipy.ndimage))
    same(ours, theirs, 1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "a", "b", "how"), FILTERS)
def test_gradients_of_filters(name, a, b, how, mode):
    f = getattr(ndimage, name)
    check_gradient(lambda x, w: f(x, w, mode=mode, cval=0.7, **how), normal(*a), normal(*b, seed=1))


SMOOTHED = (
    ("uniform_filter", {"size": 3}),
    ("uniform_filter", {"size": (2, 4), "origin": (0, -1)}),
    ("uniform_filter", {"size": 4, "axes": 1}),
    ("uniform_filter", {"size": (3, 2), "mode": ("wrap", "nearest")}),
    ("uniform_filter1d", {"size": 3, "axis": 0}),
    ("gaussian_filter", {"sigma": 1.3}),
    ("gaussian_filter", {"sigma": (0.5, 0.0), "mode": ("mirror", "reflect")}),
    ("gaussian_filter", {"sigma": 0.8, "order": 1, "truncate": 3.0}),
    ("gaussian_filter", {"sigma": 1.1, "order": (0, 2)}),
    ("gaussian_filter", {"sigma": 1.0, "order": 3, "radius": 4}),
    ("gaussian_filter", {"sigma": 0.9, "axes": 0}),
    ("gaussian_filter1d", {"sigma": 1.2, "order": 1, "axis": 0}),
)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("name", "how"), SMOOTHED)
def test_smoothing(settings, name, how, jit):
    settings.jit = jit
    x = normal(6, 7)
    same(getattr(ndimage, name)(x, **how), getattr(scipy.ndimage, name)(x, **how), 1e-12)
    if jit == 0:
        check_gradient(lambda x: getattr(ndimage, name)(x, **how), x)


def test_gradient_by_the_width_of_a_gaussian():
    x = normal(9)
    for order in (0, 1, 2):
        check_gradient(lambda x, s, n=order: ndimage.gaussian_filter(x, s, n, radius=5), x, 1.3)
        check_gradient(lambda s, n=order: ndimage.gaussian_filter(x, s, n), 1.3)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int16", "uint8", "complex128"])
def test_dtypes_of_filters(dtype):
    x = normal(6, 5) * 20
    x = x + 1j if dtype == "complex128" else numpy.abs(x)
    x, w = x.astype(dtype), numpy.float64([0.25, 0.5, 0.25])
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    same(ndimage.correlate1d(x, w), scipy.ndimage.correlate1d(x, w), tolerance)
    same(ndimage.uniform_filter(x, 3), scipy.ndimage.uniform_filter(x, 3), tolerance)
    same(ndimage.gaussian_filter(x, 1.0), scipy.ndimage.gaussian_filter(x, 1.0), tolerance)
    if dtype == "int64":
        same(ndimage.correlate1d(x, w, output="float32"), scipy.ndimage.correlate1d(x, w, output="float32"), 1e-5)
        same(ndimage.uniform_filter(x, 3, "float64"), scipy.ndimage.uniform_filter(x, 3, numpy.float64), 1e-12)


@pytest.mark.parametrize("mode", EVERY)
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("jit", [0, 2])
def test_map_coordinates(settings, order, mode, jit):
    settings.jit = jit
    x, rng = normal(4, 5), numpy.random.default_rng(3)
    at = rng.uniform(-7, 11, (2, 60))
    whole = rng.integers(-6, 9, (2, 30)).astype(float)
    for where in (at, whole, at.reshape(2, 6, 10)):
        ours, theirs = (m.map_coordinates(x, where, order=order, mode=mode, cval=0.3) for m in (ndimage, scipy.ndimage))
        same(ours, theirs, 1e-12)
    one = numpy.array([3.0])
    same(ndimage.map_coordinates(one, at[:1], order=order, mode="nearest"), numpy.full(60, 3.0))


@pytest.mark.parametrize("mode", EVERY)
def test_gradients_of_map_coordinates(mode):
    at = numpy.random.default_rng(3).uniform(-5, 9, (2, 25))
    at += 0.05 * ((at * 2) % 1 < 0.1)  # away from the elements, where slopes jump
    x = normal(4, 5)
    check_gradient(lambda x, at: ndimage.map_coordinates(x, at, order=1, mode=mode, cval=0.3), x, at)
    check_gradient(lambda x: ndimage.map_coordinates(x, at, order=0, mode=mode), x)
    slope = ng.grad(lambda at: ndimage.map_coordinates(x, at, order=0, mode=mode).sum())(ng.asarray(at))
    same(slope, numpy.zeros_like(at))


def test_integers_are_rounded():
    x = (normal(9) * 30).astype(int)
    at = numpy.linspace(0, 8, 40)[None]
    same(ndimage.map_coordinates(x, at, order=1), scipy.ndimage.map_coordinates(x, at, order=1))
    same(ndimage.map_coordinates(x, at, "float64", 1), scipy.ndimage.map_coordinates(x, at, "float64", 1), 1e-12)


@pytest.mark.parametrize("mode", EVERY)
@pytest.mark.parametrize("order", [0, 1])
def test_shift_and_zoom(order, mode):
    x = normal(5, 4)
    for move in (1.3, (-0.6, 2.0)):
        ours, theirs = (m.shift(x, move, order=order, mode=mode, cval=0.2) for m in (ndimage, scipy.ndimage))
        same(ours, theirs, 1e-12)
    if order:
        check_gradient(lambda x, d: ndimage.shift(x, d, order=1, mode=mode), x, [-0.6, 1.3])
    for factor in (2, (0.5, 1.7)):
        ours, theirs = (m.zoom(x, factor, order=order, mode=mode) for m in (ndimage, scipy.ndimage))
        same(ours, theirs, 1e-12)
        check_gradient(lambda x, f=factor: ndimage.zoom(x, f, order=order, mode=mode), x)


def test_views_and_no_elements():
    x, w = normal(8, 6), normal(3, 2)
    same(ndimage.correlate(ng.asarray(x)[::2].T, w), scipy.ndimage.correlate(x[::2].T, w), 1e-12)
    same(ndimage.correlate(numpy.zeros((0, 3)), w), numpy.zeros((0, 3)))


A = numpy.ones(4)
MESSAGES = (
    (lambda: ndimage.correlate(A, A[None]), errors.ShapeError, r"correlate: input and weights must have as many dim"),
    (lambda: ndimage.correlate(A, A, mode="around"), errors.ArgumentError, r"mode must be one of .*'around'"),
    (lambda: ndimage.correlate(A, A, origin=3), errors.ArgumentError, r"origin 3 is outside of the 4 weights"),
    (lambda: ndimage.correlate(A, A, origin=(0, 0)), errors.ArgumentError, r"origin must be one integer or 1 of them"),
    (lambda: ndimage.correlate(A, []), errors.ShapeError, r"correlate: weights must not be empty"),
    (lambda: ndimage.correlate1d(A, A[None]), errors.ShapeError, r"correlate1d: weights must have 1 dimension"),
    (lambda: ndimage.uniform_filter1d(A, 0), errors.ArgumentError, r"uniform_filter1d: size must be positive, not 0"),
    (lambda: ndimage.gaussian_filter(A, (1.0, 2.0)), errors.ArgumentError, r"one, or one for each of 1 axes"),
    (lambda: ndimage.gaussian_filter1d(A, 1.0, order=-1), errors.ArgumentError, r"order must not be negative, got -1"),
    (lambda: ndimage.gaussian_filter1d(A, 1.0, radius=-1), errors.ArgumentError, r"radius must not be neg"),
    (lambda: ng.jit(lambda s: ndimage.gaussian_filter(A, s))(A[0]), errors.TracedValueError, r"the values of sigma"),
    (lambda: ndimage.map_coordinates(A, [A]), errors.ArgumentError, r"order must be 0 or 1, not 3; splines"),
    (lambda: ndimage.map_coordinates(A, A, order=1), errors.ShapeError, r"coordinates must have one row for each axis"),
    (lambda: ndimage.map_coordinates([], [A], order=1), errors.ShapeError, r"map_coordinates: input has no elements"),
    (lambda: ndimage.map_coordinates(A, [A], order=1, mode="x"), errors.ArgumentError, r"mode must be one of"),
    (lambda: ndimage.shift(A, [1.0, 2.0], order=1), errors.ShapeError, r"shift must be one number or 1 of them"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
