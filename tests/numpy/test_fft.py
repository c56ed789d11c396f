"""numpy.fft on Arrays: values as NumPy's on both tiers, gradients against differences, arguments and errors."""

import numpy
import pytest
from directional import check, inner, normal

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, OptionError, ShapeError

TIERS = pytest.mark.parametrize("tier", [0, 2])
NORMS = (None, "backward", "ortho", "forward")
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
TWO = ("fft2", "ifft2", "rfft2", "irfft2")
ALL = ("fftn", "ifftn", "rfftn", "irfftn")
#: The transforms of real numbers.
REAL = ("rfft", "ihfft", "rfft2", "rfftn")
#: keywords and shapes
ONE_CALLS = (({}, (6,)), ({}, (7,)), ({"n": 4}, (6,)), ({"n": 9}, (6,)), ({"axis": 0}, (5, 2)),
             ({"n": 7, "axis": 1}, (2, 3, 2)), ({}, (2, 0, 4)), ({"n": 1}, (3,)))  # fmt: skip
TWO_CALLS = (({}, (3, 4)), ({"s": (2, 5)}, (3, 4)), ({"axes": (0, 2)}, (3, 2, 4)), ({"s": (-1, 3)}, (3, 4)))
ALL_CALLS = (({}, (3, 4)), ({"axes": (1,)}, (3, 4)), ({"s": (2, 5), "axes": (0, -1)}, (3, 2, 4)),
             ({"axes": (2, 0, 1)}, (2, 3, 4)))  # fmt: skip
CASES = [(name, kw, shape) for names, calls in ((ONE, ONE_CALLS), (TWO, TWO_CALLS), (ALL, ALL_CALLS))
         for name in names for kw, shape in calls]  # fmt: skip


def near(ours, theirs, ulp=16):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    size = numpy.abs(theirs).max(initial=1e-3)
    numpy.testing.assert_allclose(ours, theirs, rtol=0, atol=ulp * numpy.finfo(theirs.dtype).eps * size)


@pytest.mark.parametrize(("name", "kw", "shape"), CASES, ids=str)
def test_as_numpy(name, kw, shape):
    for ng.config.jit in (0, 2):
        tier = ng.config.jit
        for dtype in ("float64", "complex64") if tier == 0 and name not in REAL else ("float64",):
            x = normal(*shape, dtype=dtype)
            for norm in NORMS if tier == 0 else NORMS[2:3]:
                expected = getattr(numpy.fft, name)(x, **kw, norm=norm)
                near(getattr(np.fft, name)(ng.asarray(x), **kw, norm=norm), expected)
                near(getattr(numpy.fft, name)(ng.asarray(x), **kw, norm=norm), expected)


@pytest.mark.parametrize("name", [*ONE, *TWO, *ALL])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "bool", "complex64"])
def test_dtypes(name, dtype):
    x = (4 * normal(3, 4, dtype="float64")).astype(dtype)
    if name in REAL and dtype == "complex64":
        with pytest.raises(TypeError):
            getattr(numpy.fft, name)(x)
        with pytest.raises(ArgumentError, match=r"fft[2n]?: expected real numbers; use fft, or take a.real"):
            getattr(np.fft, name)(x)
        return
    expected = getattr(numpy.fft, name)(x)
    # NumPy rounds 1 / n to float16 where the result is real
    near(getattr(np.fft, name)(x), expected, 16 if dtype != "float16" or expected.dtype.kind == "c" else 8192)


def test_views():
    x = normal(6, 8)
    near(np.fft.fft(ng.asarray(x)[::2, ::-2].T, axis=0), numpy.fft.fft(x[::2, ::-2].T, axis=0))


GRADIENTS = [(name, kw, shape) for names, calls in ((ONE, ONE_CALLS[:6]), (TWO, TWO_CALLS), (ALL, ALL_CALLS[1:]))
             for name in names for kw, shape in calls]  # fmt: skip


@pytest.mark.parametrize(("name", "kw", "shape"), GRADIENTS, ids=str)
def test_gradients(name, kw, shape):
    """Of real and of complex arrays, with the norm that divides by the square root and those that do not."""
    kinds = ("float64",) if name in REAL else ("float64", "complex128")
    for dtype, norm in zip(kinds, ("forward", None), strict=False):
        check(lambda x, norm=norm: getattr(np.fft, name)(x, **kw, norm=norm), normal(*shape, dtype=dtype), tiers=(0,))


@pytest.mark.parametrize("name", ["fft", "rfft", "irfft", "hfft", "fftn", "rfftn", "irfftn"])
def test_gradients_compiled(name):
    x = normal(3, 4, dtype="float64" if name in REAL else "complex128")
    check(lambda x: getattr(np.fft, name)(np.sin(x), norm="ortho"), x, tiers=(2,))


@TIERS
@pytest.mark.parametrize("name", [*ONE, *TWO, *ALL])
def test_tangents_and_adjoints(name, tier):
    """A transform is linear: its tangent is the transform of the tangent, and <F x, y> = <x, F* y>."""
    ng.config.jit = tier
    dtype = "float64" if name in REAL else "complex128"
    function = getattr(np.fft, name)
    x, t = normal(3, 4, seed=1, dtype=dtype), normal(3, 4, seed=2, dtype=dtype)
    value, tangent = ng.jvp(function, ng.asarray(x), ng.asarray(t))
    near(tangent, getattr(numpy.fft, name)(t))
    y = normal(*value.shape, seed=3, dtype=value.dtype)
    _, back = ng.vjp(function, ng.asarray(x))
    (pulled,) = back(ng.asarray(y))
    numpy.testing.assert_allclose(inner(value.numpy(), y), inner(x, pulled.numpy()), rtol=1e-12)


def test_a_convolution():
    """By the theorem, as direct sums have it."""
    a, b = normal(5, seed=1), normal(3, seed=2)

    def convolved(a, b):
        return np.fft.irfft(np.fft.rfft(a, 7) * np.fft.rfft(b, 7), 7)

    near(convolved(a, b), numpy.convolve(a, b))
    check(convolved, a, b)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("d", [1.0, 0.25])
def test_frequencies(n, d):
    near(np.fft.fftfreq(n, d), numpy.fft.fftfreq(n, d), 1)
    near(np.fft.rfftfreq(n, d), numpy.fft.rfftfreq(n, d), 1)


def test_gradient_of_frequencies():
    check(lambda d: np.fft.fftfreq(4, d), numpy.array(0.5))


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1), (1,)])
@pytest.mark.parametrize("name", ["fftshift", "ifftshift"])
def test_shifts(name, axes):
    x = normal(3, 4)
    near(getattr(np.fft, name)(ng.asarray(x), axes), getattr(numpy.fft, name)(x, axes))
    check(lambda x: getattr(np.fft, name)(x, axes), x, tiers=(0,))


def test_every_function_of_numpy_is_there():
    assert set(numpy.fft.__all__) == set(np.fft.__all__)


ERRORS = {
    "norm": (OptionError, lambda m: m.fft(numpy.ones(3), norm="unit"), "fft: norm must be 'backward', 'ortho' or"),
    "points": (ShapeError, lambda m: m.irfft(numpy.ones(1)), "irfft: a transform of 0 points was asked for"),
    "no points": (ShapeError, lambda m: m.fft(numpy.ones(0)), "fft: a transform of 0 points was asked for"),
    "axis": (ShapeError, lambda m: m.ifft(numpy.ones(3), axis=1), "ifft: axis 1 is out of range"),
    "no axis": (ShapeError, lambda m: m.rfftn(numpy.array(1.0)), "rfftn: there is no axis to transform"),
    "as many": (ShapeError, lambda m: m.fft2(numpy.ones((3, 3)), s=(1,)), "fft2: s names 1 axes, axes 2"),
    "out": (ArgumentError, lambda m: m.fft(numpy.ones(3), out=numpy.ones(4, complex)), "fft: out= is not supported on"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    kind, call, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call(np.fft)
    with pytest.raises((ValueError, TypeError, IndexError)):  # NumPy refuses it as well
        call(numpy.fft)


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_points_without_axes(name):
    """NumPy takes the last axes, and warns that it will not."""
    x, found = numpy.arange(24.0).reshape(2, 3, 4), []
    for module in (np, numpy):
        with pytest.warns(DeprecationWarning, match="`?axes`?"):
            found.append(numpy.asarray(getattr(module.fft, name)(x, s=(2, 5))))
    numpy.testing.assert_allclose(*found, rtol=1e-12, atol=1e-12)


def test_frequencies_of_a_dtype():
    assert np.fft.fftfreq(5, dtype="float32").dtype == "float32"
    numpy.testing.assert_allclose(np.fft.rfftfreq(6, d=0.5, dtype="float32"), numpy.fft.rfftfreq(6, 0.5), rtol=1e-6)
