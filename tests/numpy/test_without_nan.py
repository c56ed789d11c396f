"""Reductions that leave out nan, against NumPy."""

import warnings

import numpy
import pytest
from checking import normal
from rows import check_complex_gradient, check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

A = normal(4, 5)
H = numpy.where(normal(4, 5, seed=3) > 0.8, numpy.nan, A)
INTEGERS = numpy.array([[5, 1, 4, 1], [2, 2, 9, 0]])
ALL = numpy.array([[1.0, numpy.nan, 2.0], [numpy.nan] * 3])
MASK = A > -0.5
REDUCTIONS = ("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian")
ROWS = (
    ("nansum", (H, 0), {"dtype": "float32"}, ()),
    ("nansum", (H, 1), {"where": MASK, "initial": 2.5}, (0,)),
    ("nanprod", (H, 1), {"where": MASK, "initial": 2.5}, (0,)),
    ("nanmax", (H, 1), {"where": MASK, "initial": -9.0}, (0,)),
    ("nanmin", (H, 1), {"where": MASK, "initial": 9.0}, (0,)),
    ("nanmean", (H, 1), {"where": MASK}, (0,)),
    ("nanvar", (H, 1), {"where": MASK, "ddof": 1}, (0,)),
    ("nanvar", (H, 1), {"correction": 1}, (0,)),
    ("nanvar", (H, 1), {"mean": numpy.nanmean(H, 1, keepdims=True)}, (0,)),
    ("nanstd", (H, 0), {"ddof": 1, "keepdims": True}, (0,)),
    ("nanvar", (H, 1), {"ddof": 5}, ()),
    ("nancumsum", (H,), {}, (0,)),
    ("nancumsum", (H, 1), {}, (0,)),
    ("nancumprod", (H, 0), {}, (0,)),
    ("nancumprod", (INTEGERS, 0), {"dtype": "float64"}, ()),
    ("nanargmax", (H,), {}, ()),
    ("nanargmax", (H, 1), {"keepdims": True}, ()),
    ("nanargmin", (H, 0), {}, ()),
    ("nanargmin", (INTEGERS, 1), {}, ()),
    ("nanquantile", (H, [0.2, 0.7], 1), {"keepdims": True}, (0,)),
    ("nanquantile", (H, 0.3), {}, (0,)),
    ("nanquantile", (H, 0.3, 1), {"weights": abs(A), "method": "inverted_cdf"}, (0,)),
    ("nanpercentile", (H, [20, 70], 0), {}, (0,)),
    ("nanpercentile", (H.astype("float32"), 30, 0), {}, ()),
)  # fmt: skip


def quiet(call):
    """NumPy warns about slices without elements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return call()


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    for x in (H, INTEGERS, H.astype("float32"), A[0] > 0):
        if x.dtype == "bool" and name in ("nanmedian",):
            continue
        tolerance = 2e-6 if x.dtype == "float32" else 1e-13
        check_values(name, (x,), {}, tolerance)
        check_values(name, (x, 0), {"keepdims": True}, tolerance)
    check_values(name, (H, (0, 1)), {})
    check_row_gradient(name, (H, 1), {})
    check_row_gradient(name, (H,), {})
    expected = quiet(lambda: getattr(numpy, name)(ALL, 1))
    same(getattr(np, name)(ALL, 1), expected)


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    quiet(lambda: check_values(name, args, kwargs, 2e-6 if "32" in str((args[0].dtype, kwargs)) else 1e-13))
    if by:
        check_row_gradient(name, args, kwargs, by)


def test_quantiles_of_nothing():
    expected = quiet(lambda: numpy.nanquantile(ALL, [0.3, 0.5], 1))
    same(np.nanquantile(ALL, [0.3, 0.5], 1), expected)


@pytest.mark.parametrize(
    ("x", "axis"),
    [
        ([numpy.nan, 1.0, numpy.inf], None),
        ([[numpy.nan, -numpy.inf, 2.0], [numpy.inf, numpy.inf, numpy.nan]], 1),
        (numpy.zeros(0), None),
        (numpy.zeros((0, 3)), 0),
        (numpy.zeros((0, 3)), 1),
    ],
    ids=str,
)
def test_median_of_infinities_and_of_nothing(x, axis):
    expected = quiet(lambda: numpy.nanmedian(x, axis))
    for jit in (0, 2):
        ng.config.jit = jit
        same(np.nanmedian(x, axis), expected)


@pytest.mark.parametrize("method", ["midpoint", "averaged_inverted_cdf", "linear"])
def test_dtype_of_the_fractions(method):
    x, q = H.astype("float16"), numpy.array([0.3, 0.6], "float32")
    same(np.nanquantile(x, q, 1, method=method), quiet(lambda: numpy.nanquantile(x, q, 1, method=method)), 2e-6)


@pytest.mark.parametrize("name", ["nansum", "nanmean", "nanvar", "nancumsum", "nanprod"])
def test_complex(name):
    z = H + 1j * A[::-1]
    check_values(name, (z, 1), {}, 1e-13)
    check_complex_gradient(lambda z: getattr(np, name)(z, 1), z)


def test_no_gradient_goes_to_nan():
    for name in REDUCTIONS:
        g = ng.grad(lambda x, name=name: getattr(np, name)(x))(H).numpy()
        assert (g[numpy.isnan(H)] == 0).all()
        assert numpy.isfinite(g).all()


def test_under_jit():
    same(ng.jit(lambda x: np.nanmedian(x, 1))(H), numpy.nanmedian(H, 1))
    same(ng.jit(lambda x: np.nanargmax(x, 1))(H), numpy.nanargmax(H, 1))


MESSAGES = (
    (lambda: np.nanargmax(ALL, 1), errors.ShapeError, r"nanargmax: all elements of a slice are nan"),
    (lambda: np.nanvar(H, ddof=1, correction=1), errors.ArgumentError, r"nanvar: give ddof or correction, not both"),
    (lambda: np.nanmax(H, where=MASK), errors.ArgumentError, r"nanmax: where= needs initial="),
    (lambda: np.nanquantile(H, 2.0), errors.ArgumentError, r"nanquantile: q must be in the range \[0, 1\]"),
    (lambda: np.nanpercentile(H, 200), errors.ArgumentError, r"nanpercentile: q must be in the range \[0, 100\]"),
    (lambda: np.nanquantile(H[:, :0], 0.5, 1), errors.ShapeError, r"there is no nanquantile of no elements"),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
