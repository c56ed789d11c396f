"""Convolution, interpolation, differences and phases, against NumPy."""

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_complex_gradient, check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

A, B, C, D = normal(4, 5), normal(5, 4, 3), normal(7), normal(4)
XP = numpy.array([-1.0, -0.25, 0.5, 2.0])
AT = numpy.array([[-3.0, -1.0, -0.3], [0.6, 2.0, 5.0]])
INSIDE = numpy.array([-0.9, -0.3, 0.1, 1.7, 3.0, -2.0])
PHASES = numpy.array([0.0, 2.0, 4.5, -1.0, 0.5, 7.0, 6.0])
STEPS = numpy.array([0.0, 1.0, 3.0, 3.5])
MODES = ("full", "same", "valid")
ROWS = (
    ("interp", (AT, XP, D), {}, ()),
    ("interp", (INSIDE, XP, D), {}, (0, 1, 2)),
    ("interp", (INSIDE, XP, D), {"left": 7.0, "right": -7.0}, (0, 1, 2)),
    ("interp", (INSIDE, XP, D), {"period": 2.8}, (0, 1, 2)),
    ("interp", (INSIDE, XP[[2, 0, 3, 1]], D), {"period": 3.1}, (0, 2)),
    ("interp", (AT, XP, D + 2j * D), {}, ()),
    ("interp", (AT, XP[:1], D[:1]), {}, ()),
    ("interp", (1, [0, 2], [3, 4]), {}, ()),
    ("interp", (numpy.array([numpy.nan, 0.0]), XP, D), {}, ()),
    ("interp", (numpy.array([1.0, 0.5, 2.0]), [0.0, 1.0, 1.0, 2.0], D), {}, ()),
    ("interp", (AT.astype("float32"), XP, D), {}, ()),
    ("gradient", (C,), {}, (0,)),
    ("gradient", (C, 0.5), {"edge_order": 2}, (0,)),
    ("gradient", (D, STEPS), {}, (0, 1)),
    ("gradient", (D, STEPS), {"edge_order": 2}, (0, 1)),
    ("gradient", (A,), {}, (0,)),
    ("gradient", (A, 2.0, numpy.array([0.0, 1.0, 2.0, 4.0, 5.0])), {}, (0, 2)),
    ("gradient", (B, 0.5), {"axis": (0, -2), "edge_order": 2}, (0,)),
    ("gradient", (B, 0.5), {"axis": 1}, (0,)),
    ("gradient", (A[:2],), {"axis": 0}, (0,)),
    ("gradient", (numpy.arange(6) ** 2,), {}, ()),
    ("gradient", (A.astype("float32"),), {}, ()),
    ("gradient", (A.astype("float32"), 2.0, [0, 1, 2, 4, 5]), {"edge_order": 2}, ()),
    ("gradient", (C + 1j * C[::-1],), {}, ()),
    ("unwrap", (PHASES,), {}, (0,)),
    ("unwrap", (numpy.stack([PHASES, PHASES[::-1]]),), {"axis": 0}, (0,)),
    ("unwrap", (PHASES,), {"discont": 4.0}, (0,)),
    ("unwrap", (PHASES,), {"period": 3.3}, (0,)),
    ("unwrap", (numpy.array([0, 1, 2, -1, 0]),), {"period": 4}, ()),
    ("unwrap", (numpy.array([2, 1, 4, 6, 5]),), {"period": 5}, ()),
    ("unwrap", (numpy.array([0.0, 3.0, 1.0]),), {"period": 6}, ()),
    ("unwrap", (PHASES.astype("float32"),), {}, ()),
    ("unwrap", (PHASES[:1],), {}, (0,)),
    ("unwrap", (PHASES[:0],), {}, ()),
    ("ediff1d", (A,), {}, (0,)),
    ("ediff1d", (C, 9.0, [1.0, 2.0]), {}, (0,)),
    ("ediff1d", (C, D), {}, (0, 1)),
    ("ediff1d", (C[:1],), {}, (0,)),
    ("ediff1d", (numpy.arange(4), [7]), {"to_begin": -1}, ()),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    check_values(name, args, kwargs, 3e-6 if getattr(args[0], "dtype", None) == "float32" else 1e-13)
    if by:
        check_row_gradient(name, args, kwargs, by, tolerance=1e-6)


@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_convolutions(name):
    for mode in MODES:
        for n, m in ((7, 4), (4, 7), (6, 3), (3, 6), (4, 4), (5, 1), (1, 5), (5, 2), (2, 5)):
            check_values(name, (normal(n), normal(m)), {"mode": mode}, 1e-12)
        check_row_gradient(name, (C, D), {"mode": mode}, (0, 1))
        check_row_gradient(name, (D, C), {"mode": mode}, (0, 1))
        z, w = C + 1j * C[::-1], D - 2j * D[::-1]
        check_values(name, (z, w), {"mode": mode}, 1e-12)
        check_complex_gradient(lambda z, w, mode=mode: getattr(np, name)(z, w, mode), z, w)
        check_complex_gradient(lambda z, w, mode=mode: getattr(np, name)(z, w, mode), C, w)
    check_values(name, (numpy.arange(5), numpy.array([1, 2])), {})
    check_values(name, (C.astype("float32"), D.astype("float32")), {}, 3e-6)
    check_values(name, (C.astype("float32"), numpy.array([1, 2])), {})
    same(ng.jit(getattr(np, name))(C, D), getattr(numpy, name)(C, D), 1e-13)


def test_a_number_is_a_sequence():
    check_values("convolve", (2.0, D), {})


def test_complex():
    check_complex_gradient(lambda f: np.interp(INSIDE, XP, f), D + 2j * D[::-1])
    check_complex_gradient(np.gradient, C + 1j * C[::-1])


def test_interp_beyond_a_repeated_point():
    check_gradient(lambda x, f: np.interp(x, [0.0, 1.0, 1.0, 2.0], f), numpy.array([0.5, 1.2]), D)


def test_under_jit():
    same(ng.jit(np.interp)(AT, XP, D), numpy.interp(AT, XP, D), 1e-13)
    same(ng.jit(lambda f, x: np.gradient(f, x))(D, STEPS), numpy.gradient(D, STEPS), 1e-13)
    same(ng.jit(np.unwrap)(PHASES), numpy.unwrap(PHASES), 1e-13)


MESSAGES = (
    (lambda: np.convolve(C, []), errors.ShapeError, r"convolve: v must not be empty"),
    (lambda: np.convolve(A, C), errors.ShapeError, r"convolve: x must have 1 dimension"),
    (lambda: np.correlate(C, D, "no"), errors.ArgumentError, r"correlate: mode must be 'full', 'same' or 'valid'"),
    (lambda: np.interp(C, XP, C), errors.ShapeError, r"interp: xp and fp must be 1-d, as long and not empty"),
    (lambda: np.interp(1j, XP, D), errors.DtypeError, r"interp: x must hold real numbers"),
    (lambda: np.interp(C, XP, D, period=0), errors.ArgumentError, r"interp: period must not be 0"),
    (lambda: np.gradient(C, edge_order=3), errors.ArgumentError, r"gradient: edge_order must be 1 or 2, not 3"),
    (lambda: np.gradient(C[:1]), errors.ShapeError, r"gradient: axis 0 has extent 1, at least 2 are needed"),
    (lambda: np.gradient(A, 1.0, 2.0, 3.0), errors.ArgumentError, r"gradient: 3 distances for 2 axes"),
    (lambda: np.gradient(C, D), errors.ShapeError, r"coordinates of shape \(4,\) do not fit axis 0 of extent 7"),
    (lambda: np.gradient(A, axis=(0, 0)), errors.ShapeError, r"gradient: axis \(0, 0\) names an axis twice"),
    (
        lambda: np.ediff1d(numpy.arange(3), [0.5]),
        errors.DtypeError,
        r"ediff1d: to_end of float64 does not fit",
    ),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
