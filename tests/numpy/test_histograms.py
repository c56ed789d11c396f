"""Histograms and counts, against NumPy."""

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

X, W = normal(60), abs(normal(60, seed=1))
EDGES = numpy.array([-1.5, -0.5, 0.25, 0.5, 2.0])
COUNTS = numpy.array([0, 3, 1, 3, 7])
POINTS = normal(50, 2)
ROWS = (
    ("histogram", (X,), {}, ()),
    ("histogram", (X, 4), {"range": (-1, 1)}, ()),
    ("histogram", (X, EDGES), {}, ()),
    ("histogram", (X.reshape(6, 10), EDGES), {"density": True}, ()),
    ("histogram", (X, 7), {"density": True}, (0,)),
    ("histogram", (X, EDGES, None, None, W), {}, (4,)),
    ("histogram", (X, EDGES, None, True, W), {}, (1, 4)),
    ("histogram", (X, 5, None, None, (W > 1).astype(int)), {}, ()),
    ("histogram", (X, "auto"), {}, ()),
    ("histogram", (X, "fd"), {}, ()),
    ("histogram", (COUNTS, 4), {}, ()),
    ("histogram", (numpy.full(3, 2.5), 4), {}, ()),
    ("histogram", (numpy.zeros(0), 4), {}, ()),
    ("histogram", (numpy.linspace(0, 1, 11), 10), {}, ()),
    ("histogram", (X.astype("float32"), 4), {}, ()),
    ("histogram_bin_edges", (X, 6), {}, (0,)),
    ("histogram_bin_edges", (X, "sturges"), {}, ()),
    ("histogram_bin_edges", (X, EDGES), {}, ()),
    ("histogram_bin_edges", (X, 3), {"range": (2, 2)}, ()),
    ("histogram2d", (X, X[::-1].copy()), {}, ()),
    ("histogram2d", (X, X[::-1].copy(), [3, EDGES]), {}, ()),
    ("histogram2d", (X, X[::-1].copy(), EDGES), {"density": True}, ()),
    ("histogram2d", (X, X[::-1].copy(), 3, [[-1, 1], [-2, 2]], None, W), {}, (5,)),
    ("histogramdd", (POINTS, 3), {}, ()),
    ("histogramdd", (POINTS, (3, EDGES)), {"density": True}, ()),
    ("histogramdd", (normal(40, 3), (2, 3, 4)), {"weights": W[:40]}, ()),
    ("bincount", (COUNTS,), {}, ()),
    ("bincount", (COUNTS, numpy.arange(5.0)), {}, (1,)),
    ("bincount", (COUNTS, None, 12), {}, ()),
    ("bincount", (COUNTS[:0],), {}, ()),
    ("bincount", (COUNTS.astype("uint8"), numpy.arange(5)), {}, ()),
    ("digitize", (X, EDGES), {}, ()),
    ("digitize", (EDGES, EDGES), {"right": True}, ()),
    ("digitize", (EDGES, EDGES[::-1].copy()), {}, ()),
    ("digitize", (EDGES, EDGES[::-1].copy(), True), {}, ()),
    ("digitize", (numpy.float64(0.3), EDGES), {}, ()),
    ("digitize", (COUNTS, [1, 3]), {}, ()),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    check_values(name, args, kwargs, 1e-6 if args[0].dtype == "float32" else 1e-13)
    if by:
        check_row_gradient(name, args, kwargs, by, tolerance=1e-6)


def test_under_jit():
    same(ng.jit(lambda x: np.histogram(x, 5, (-1, 1))[0])(X), numpy.histogram(X, 5, (-1, 1))[0])
    same(ng.jit(lambda x: np.histogram(x, 5)[0])(X), numpy.histogram(X, 5)[0])
    for edges in (EDGES, EDGES[::-1].copy()):
        same(ng.jit(np.digitize)(X, edges), numpy.digitize(X, edges))
    check_gradient(lambda w: np.histogram(X, 5, weights=w)[0], W)


MESSAGES = (
    (lambda: np.bincount([0.5]), errors.ArgumentError, r"bincount: x must hold integers"),
    (lambda: np.bincount([-1]), errors.ArgumentError, r"bincount: x must not be negative, holds -1"),
    (lambda: np.bincount([[1]]), errors.ShapeError, r"bincount: x must have 1 dimension"),
    (lambda: np.bincount([1], [1.0, 2.0]), errors.ShapeError, r"bincount: there must be a weight for each element"),
    (lambda: np.bincount([1], minlength=-1), errors.ArgumentError, r"bincount: minlength must not be negative"),
    (
        lambda: ng.jit(np.bincount)(COUNTS),
        errors.TracedValueError,
        r"bincount: .* depends on the values of x",
    ),
    (lambda: np.digitize(X, [0, 2, 1]), errors.ArgumentError, r"digitize: bins must rise or fall throughout"),
    (lambda: np.digitize(X, POINTS), errors.ShapeError, r"digitize: bins must have 1 dimension"),
    (lambda: np.histogram(X, 0), errors.ArgumentError, r"histogram: the number of bins must be positive, got 0"),
    (lambda: np.histogram(X, [1, 0]), errors.ArgumentError, r"histogram: the edges in bins must rise"),
    (lambda: np.histogram(X, POINTS), errors.ShapeError, r"histogram: bins must have 1 dimension"),
    (lambda: np.histogram(X, 3, (1, 0)), errors.ArgumentError, r"histogram: range must be \(low, high\), got \(1, 0\)"),
    (lambda: np.histogram(X, 3, (0, numpy.inf)), errors.ArgumentError, r"is not finite"),
    (lambda: np.histogram([numpy.inf], 3), errors.ArgumentError, r"x is not finite everywhere; give range"),
    (lambda: np.histogram(X, "fd", weights=W), errors.ArgumentError, r"rules for the number of bins.*no weights"),
    (lambda: np.histogram(X, weights=W[:3]), errors.ShapeError, r"there must be a weight for each element"),
    (lambda: np.histogramdd(POINTS, (3,)), errors.ArgumentError, r"histogramdd: 1 bins for 2 dimensions"),
    (lambda: np.histogramdd(POINTS, 3, [(0, 1)]), errors.ArgumentError, r"histogramdd: 1 ranges for 2 dimensions"),
    (lambda: np.histogramdd(POINTS, weights=[1.0]), errors.ShapeError, r"there must be a weight for each of 50 points"),
    (lambda: np.histogram2d(X, X[:3]), errors.ShapeError, r"histogram2d: x and y must be 1-d and as long"),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
