"""Medians, quantiles and covariances, against NumPy."""

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_complex_gradient, check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.numpy.statistics import METHODS

A, B, C = normal(4, 5), normal(2, 3, 4), normal(7)
INTEGERS = numpy.array([[5, 1, 4, 1], [2, 2, 9, 0]])
HOLES = numpy.where(normal(4, 5, seed=3) > 1, numpy.nan, A)
Q = numpy.array([0.0, 0.21, 0.5, 0.93, 1.0])
W = numpy.array([1.0, 0.0, 2.5, 0.5, 1.0])
#: name, args, kwargs, positions of what is differentiated
ROWS = (
    ("median", (A,), {}, (0,)),
    ("median", (A, 0), {}, (0,)),
    ("median", (B, (0, 2)), {"keepdims": True}, (0,)),
    ("median", (C,), {"overwrite_input": True}, (0,)),
    ("median", (INTEGERS, 1), {}, ()),
    ("median", (A.astype("float32"), 1), {}, ()),
    ("median", (HOLES, 1), {}, ()),
    ("median", (numpy.float64(3.0),), {}, (0,)),
    ("quantile", (A, 0.3), {}, (0,)),
    ("quantile", (A, Q), {}, (0,)),
    ("quantile", (B, Q.reshape(1, 5), 1), {"keepdims": True}, (0,)),
    ("quantile", (B, 0.25, (0, -1)), {}, (0,)),
    ("quantile", (A.astype("float32"), 0.3, 0), {}, ()),
    ("quantile", (A.astype("float32"), Q, 0), {}, ()),
    ("quantile", (INTEGERS, 0.3, 1), {}, ()),
    ("quantile", (INTEGERS, 1, 1), {}, ()),
    *(("quantile", (INTEGERS, 1, 1), {"method": method}, ()) for method in METHODS),
    ("quantile", (INTEGERS.astype("int8"), numpy.array([0.3, 0.7], "float32"), 1), {}, ()),
    ("quantile", (HOLES, Q, 0), {}, ()),
    ("quantile", (A, Q, 1), {"weights": W, "method": "inverted_cdf"}, (0,)),
    ("quantile", (A, 0.4, 1), {"weights": abs(A), "method": "inverted_cdf", "keepdims": True}, ()),
    ("percentile", (A, 30, 0), {}, (0,)),
    ("percentile", (A, [10, 90.0]), {"method": "weibull"}, (0,)),
    ("cov", (A,), {}, (0,)),
    ("cov", (A, normal(3, 5)), {}, (0, 1)),
    ("cov", (A, normal(4, 3)), {"rowvar": False, "bias": True}, (0, 1)),
    ("cov", (C,), {}, (0,)),
    ("cov", (C, C[::-1].copy()), {"ddof": 0}, (0, 1)),
    ("cov", (A,), {"fweights": [1, 2, 0, 1, 3]}, (0,)),
    ("cov", (A,), {"aweights": W}, (0,)),
    ("cov", (A,), {"fweights": [1, 2, 0, 1, 3], "aweights": W, "ddof": 2}, (0,)),
    ("cov", (INTEGERS,), {}, ()),
    ("cov", (A.astype("float32"),), {"dtype": "float32"}, ()),
    ("cov", (A + 1j * A[::-1],), {}, ()),
    ("corrcoef", (A,), {}, (0,)),
    ("corrcoef", (A, normal(1, 5)), {}, (0, 1)),
    ("corrcoef", (A[:, :2],), {"rowvar": False}, (0,)),
    ("corrcoef", (A + 1j * A[::-1],), {}, ()),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    tolerance = 3e-6 if any(getattr(a, "dtype", None) == "float32" for a in args) else 1e-12
    check_values(name, args, kwargs, tolerance)
    if by:
        check_row_gradient(name, args, kwargs, by)


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_quantiles(method):
    for x, q, axis in ((A, Q, 0), (C, 0.37, None), (INTEGERS, Q, 1), (A.astype("float32"), 0.37, 1)):
        check_values("quantile", (x, q, axis), {"method": method}, 3e-7 if x.dtype == "float32" else 1e-13)
        check_values("nanquantile", (x, q, axis), {"method": method}, 3e-7 if x.dtype == "float32" else 1e-13)
    check_values("nanquantile", (HOLES, Q, 1), {"method": method}, 1e-13)
    check_row_gradient("quantile", (A, Q, 1), {"method": method})
    check_row_gradient("nanquantile", (A, Q, 1), {"method": method})


@pytest.mark.parametrize("method", ["linear", "hazen", "weibull", "median_unbiased", "interpolated_inverted_cdf"])
def test_quantiles_have_gradients_by_their_fractions(method):
    check_gradient(lambda q: np.quantile(A, q, axis=0, method=method), numpy.array([0.23, 0.41, 0.72]))
    check_gradient(lambda q: np.percentile(A, 100 * q, method=method), numpy.array(0.33))


def test_complex():
    z = A + 1j * A[::-1]
    check_values("median", (z, 0), {})
    check_complex_gradient(np.cov, z)
    check_complex_gradient(np.corrcoef, z)


def test_no_elements():
    with pytest.warns(RuntimeWarning):
        expected = numpy.median(numpy.zeros((0, 3)), 0)
    same(np.median(numpy.zeros((0, 3)), 0), expected)
    same(np.cov(numpy.zeros((0, 3))), numpy.zeros((0, 0)))


def test_under_jit():
    same(ng.jit(lambda x, q: np.quantile(x, q, axis=1))(A, Q), numpy.quantile(A, Q, axis=1))
    same(ng.jit(lambda x: np.median(x, axis=1))(A), numpy.median(A, axis=1))


MESSAGES = (
    (lambda: np.quantile(A, 1.2), errors.ArgumentError, r"quantile: q must be in the range \[0, 1\]"),
    (lambda: np.percentile(A, [5, 101]), errors.ArgumentError, r"percentile: q must be in the range \[0, 100\]"),
    (lambda: np.quantile(A, ng.asarray(-0.1)), errors.ArgumentError, r"quantile: q must be in the range"),
    (lambda: np.quantile(A, 0.5, method="cubic"), errors.ArgumentError, r"method must be one of .*hazen.*not 'cubic'"),
    (lambda: np.quantile(A, 0.5, weights=W), errors.ArgumentError, r"method 'linear' takes no weights"),
    (
        lambda: np.quantile(A, 0.5, 1, weights=-W, method="inverted_cdf"),
        errors.ArgumentError,
        r"weights must not be negative",
    ),
    (
        lambda: np.quantile(A, 0.5, 0, weights=W, method="inverted_cdf"),
        errors.ShapeError,
        r"weights of shape \(5,\) do not fit x of shape \(4, 5\) along axis 0",
    ),
    (lambda: np.quantile(1j * A, 0.5), errors.DtypeError, r"quantile: x must hold real numbers"),
    (lambda: np.quantile(A, numpy.ones((1, 1, 1))), errors.ShapeError, r"q must have at most 2 dimensions"),
    (lambda: np.quantile(A[:0], 0.5, 0), errors.ShapeError, r"there is no quantile of no elements"),
    (lambda: np.cov(B), errors.ShapeError, r"cov: x must have at most 2 dimensions"),
    (lambda: np.cov(A, ddof=0.5), errors.ArgumentError, r"cov: ddof must be an integer, not 0.5"),
    (lambda: np.cov(A, aweights=[1.0]), errors.ShapeError, r"aweights must have one weight for each of the 5 obs"),
    (lambda: np.cov(A, fweights=W), errors.ArgumentError, r"fweights must be integers; use aweights"),
    (lambda: np.cov(A, aweights=-W), errors.ArgumentError, r"aweights must not be negative"),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
