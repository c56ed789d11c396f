"""Polynomials, against NumPy."""

import warnings

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_complex_gradient, check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

C, D, X = normal(4), normal(3), normal(6)
WHOLE = numpy.array([2, -1, 3])
REAL = numpy.poly([1.0, 2.5, -0.5, 4.0])
POINTS = numpy.linspace(-1, 1, 8)
VALUES = normal(8)
W = abs(normal(8, seed=2)) + 0.5
M = normal(3, 3)
ROWS = (
    ("polyadd", (C, D), {}, (0, 1)),
    ("polyadd", (D, C), {}, (0, 1)),
    ("polyadd", (WHOLE, 2), {}, ()),
    ("polysub", (C, D), {}, (0, 1)),
    ("polysub", (WHOLE, D), {}, (1,)),
    ("polymul", (C, D), {}, (0, 1)),
    ("polymul", (numpy.array([0.0, 0.0, 1.0, 2.0]), D), {}, ()),
    ("polymul", (WHOLE, WHOLE), {}, ()),
    ("polymul", (numpy.zeros(2), D), {}, ()),
    ("polydiv", (X, D), {}, (0, 1)),
    ("polydiv", (D, X), {}, (0,)),
    ("polydiv", (WHOLE, numpy.array([1, 1])), {}, ()),
    ("polydiv", (numpy.array([1.0, -3.0, 2.0]), numpy.array([1.0, -1.0])), {}, ()),
    ("polydiv", (X, D[:1]), {}, (0, 1)),
    ("polyval", (C, X), {}, (0, 1)),
    ("polyval", (C, X.reshape(2, 3)), {}, (0, 1)),
    ("polyval", (WHOLE, 3), {}, ()),
    ("polyval", (WHOLE, X), {}, (1,)),
    ("polyder", (C,), {}, (0,)),
    ("polyder", (X, 2), {}, (0,)),
    ("polyder", (C, 0), {}, (0,)),
    ("polyder", (C[:1],), {}, ()),
    ("polyint", (C,), {}, (0,)),
    ("polyint", (C, 2), {"k": [1.0, 2.0]}, (0,)),
    ("polyint", (C, 2, 3.0), {}, (0,)),
    ("polyint", (WHOLE,), {}, ()),
    ("poly", (C,), {}, (0,)),
    ("poly", (WHOLE,), {}, ()),
    ("poly", (WHOLE.astype("float16"),), {}, ()),
    ("poly", (M,), {}, (0,)),
    ("poly", (numpy.array([1 + 1j, 2.0, 1 - 1j]),), {}, ()),
    ("poly", (numpy.array([1 + 1j, 2.0]),), {}, ()),
    ("poly", (C[:0],), {}, ()),
    ("roots", (REAL,), {}, (0,)),
    ("roots", (numpy.concatenate([[0.0, 0.0], REAL, [0.0]]),), {}, ()),
    ("roots", (numpy.concatenate([REAL, [0.0]]),), {}, ()),
    ("roots", (numpy.array([1.0, 0.0, 1.0]),), {}, ()),
    ("roots", (numpy.array([1, -3, 2]),), {}, ()),
    ("roots", (numpy.zeros(3),), {}, ()),
    ("roots", (numpy.array([3.0]),), {}, ()),
    ("vander", (C,), {}, (0,)),
    ("vander", (C, 6), {"increasing": True}, (0,)),
    ("vander", (WHOLE, 2), {}, ()),
    ("vander", (C, 0), {}, ()),
    ("vander", (C, 1), {}, (0,)),
    ("vander", (C.astype("float32"), 3), {}, ()),
    ("polyfit", (POINTS, VALUES, 2), {}, (0, 1)),
    ("polyfit", (POINTS, numpy.stack([VALUES, VALUES**2], 1), 3), {}, (0, 1)),
    ("polyfit", (POINTS, VALUES, 1), {"w": W}, (0, 1)),
    ("polyfit", (POINTS, VALUES, 2), {"cov": True}, (0, 1)),
    ("polyfit", (POINTS, VALUES, 2), {"cov": "unscaled", "w": W}, (0, 1)),
    ("polyfit", (POINTS, numpy.stack([VALUES, VALUES**2], 1), 1), {"cov": True}, (1,)),
    ("polyfit", (numpy.arange(5), numpy.arange(5) ** 2, 2), {}, ()),
    ("polyfit", (POINTS, VALUES + 1j * VALUES[::-1], 2), {}, ()),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    check_values(name, args, kwargs, 3e-6 if getattr(args[0], "dtype", None) == "float32" else 1e-11)
    if by:
        check_row_gradient(name, args, kwargs, by, tolerance=2e-6)


def test_fit_has_a_gradient_by_its_weights():
    check_gradient(lambda w: np.polyfit(POINTS, VALUES, 2, w=w), W)


def test_all_of_a_fit():
    for kwargs in ({}, {"w": W}):
        ours, theirs = (f(POINTS, VALUES, 3, full=True, **kwargs) for f in (np.polyfit, numpy.polyfit))
        same([*ours[:2], ours[3]], [*theirs[:2], theirs[3]], 1e-11)
        assert (ours.rank, ours.rcond) == (theirs[2], theirs[4])
    check_gradient(lambda y: list(np.polyfit(POINTS, y, 3, full=True)[:2]), VALUES)


def test_a_fit_that_points_do_not_determine():
    x = numpy.array([1.0, 1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numpy.exceptions.RankWarning)
        expected = numpy.polyfit(x, x, 2)
        expected_rank = numpy.polyfit(x, x, 2, full=True)[2]
    with pytest.warns(numpy.exceptions.RankWarning, match="only 2 of 3 coefficients are determined"):
        found = np.polyfit(x, x, 2).numpy()
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.polyfit(x, x, 2, full=True).rank == expected_rank


def test_complex():
    z, w = C + 1j * C[::-1], D - 2j * D
    for name in ("polyadd", "polymul", "polyval"):
        check_values(name, (z, w), {}, 1e-12)
        check_complex_gradient(getattr(np, name), z, w)
    check_complex_gradient(np.poly, z)
    check_complex_gradient(np.roots, z, tolerance=1e-5)
    check_complex_gradient(np.roots, numpy.array([1.0, 0.5, 2.0, 1.0]))  # of real coefficients
    check_complex_gradient(lambda y: np.polyfit(POINTS, y, 2), VALUES + 1j * VALUES[::-1])


def test_under_jit():
    same(ng.jit(np.polymul)(C, D), numpy.polymul(C, D), 1e-13)
    same(ng.jit(np.polyfit, static_argnums=2)(POINTS, VALUES, 2), numpy.polyfit(POINTS, VALUES, 2), 1e-12)
    quotient, rest = ng.jit(np.polydiv)(X, D)
    same([quotient, rest], numpy.polydiv(X, D), 1e-12)


MESSAGES = (
    (lambda: np.polyadd(M, C), errors.ShapeError, r"polyadd: x1 must have 1 dimension"),
    (lambda: np.polydiv(C, [0.0, 1.0]), errors.ArgumentError, r"polydiv: the first coefficient of v is 0"),
    (lambda: np.polyder(C, -1), errors.ArgumentError, r"polyder: m must not be negative, got -1; polyint integrates"),
    (lambda: np.polyint(C, -1), errors.ArgumentError, r"polyint: m must not be negative, got -1; polyder"),
    (lambda: np.polyint(C, 3, [1.0, 2.0]), errors.ArgumentError, r"polyint: 2 constants for 3 integrals"),
    (lambda: np.poly(M[:2]), errors.ShapeError, r"poly: x must be 1-d or a square matrix"),
    (lambda: np.vander(M), errors.ShapeError, r"vander: x must have 1 dimension"),
    (lambda: ng.jit(np.roots)(C), errors.TracedValueError, r"roots: .* depends on the values of x"),
    (lambda: np.polyfit(POINTS, VALUES, -1), errors.ArgumentError, r"polyfit: deg must not be negative, got -1"),
    (lambda: np.polyfit(POINTS, C, 1), errors.ShapeError, r"polyfit: x must be 1-d and not empty, y 1-d or 2-d"),
    (lambda: np.polyfit(POINTS, VALUES, 1, w=C), errors.ShapeError, r"polyfit: w must have one weight for each point"),
    (lambda: np.polyfit(C, C, 3, cov=True), errors.ArgumentError, r"polyfit: more points than deg \+ 1 are needed"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
