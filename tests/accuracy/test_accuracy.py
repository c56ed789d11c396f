"""Every transcendental primitive against exact values; `-m exhaustive` runs 1e5 points each."""

import itertools
import math

import numpy
import pytest

from .table import ROWS
from .ulp import compiled, errors, exact, sample

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def check(row, dtype, count):
    arrays = sample(row, dtype, count)
    got = compiled(row.name, dtype)(*arrays)
    assert got.dtype == dtype
    error = errors(got, *exact(row, dtype, arrays), dtype, row.floor)
    worst = int(numpy.argmax(error))
    limit = row.limit[dtype == "float32"] + 0.01  # a correctly rounded result may be measured as 0.5000001
    where = ", ".join(repr(float(a[worst])) for a in arrays)
    assert error[worst] <= limit, f"{row.name}({where}) = {got[worst]!r} is {error[worst]:.2f} ulp off"


@each_dtype
@each_row
def test_error_stays_within_the_limit(row, dtype):
    check(row, dtype, 400 if dtype == "float64" else 4000)


@pytest.mark.exhaustive
@each_dtype
@each_row
def test_error_stays_within_the_limit_everywhere(row, dtype):
    check(row, dtype, 100_000)


CORNERS = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 2.5, 1e30, -1e30, 2.0**24 + 2, math.inf, -math.inf, math.nan,
)  # fmt: skip


@each_dtype
@pytest.mark.parametrize("name", ["power", "arctan2", "hypot", "logaddexp"])
def test_corners_follow_c(name, dtype):
    x1, x2 = (numpy.array(c, dtype) for c in zip(*itertools.product(CORNERS, CORNERS), strict=True))
    got = compiled(name, dtype)(x1, x2)
    with numpy.errstate(all="ignore"):
        wanted = getattr(numpy, name)(x1, x2)
    numpy.testing.assert_allclose(got, wanted, rtol=4 * numpy.finfo(dtype).eps)
    numbers = ~numpy.isnan(wanted)
    numpy.testing.assert_array_equal(numpy.signbit(got)[numbers], numpy.signbit(wanted)[numbers])


ODD = ("expm1", "log1p", "sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "erf", "sqrt", "cbrt")


@each_dtype
@pytest.mark.parametrize("name", ODD)
def test_zero_keeps_its_sign(name, dtype):
    got = compiled(name, dtype)(numpy.array([0.0, -0.0], dtype))
    assert not got.any()
    assert numpy.signbit(got).tolist() == [False, True]


@pytest.mark.parametrize(("name", "base"), [("exp2", 2.0), ("log2", 2.0), ("log10", 10.0)])
def test_exact_cases_are_exact(name, base):
    k = numpy.arange(0.0, 22.0)
    if name == "exp2":
        numpy.testing.assert_array_equal(compiled(name, "float64")(k), base**k)
    else:
        numpy.testing.assert_array_equal(compiled(name, "float64")(base**k), k)


def test_integral_powers_are_exact():
    x, p = (c.ravel().astype(float) for c in numpy.meshgrid(numpy.arange(1, 20), numpy.arange(0, 11)))
    numpy.testing.assert_array_equal(compiled("power", "float64")(x, p), x**p)
