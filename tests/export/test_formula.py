"""Numbers of programs as polynomials of sizes."""

import math

import pytest

from nbgrad.export.formula import Fitter
from nbgrad.export.sizes import _LARGE, _SMALL, _fitter


@pytest.mark.parametrize("regime", [_SMALL, _LARGE])
@pytest.mark.parametrize("count", range(1, 7))
def test_polynomials_are_found(count, regime):
    fitter, names = _fitter(count, regime), "nmklpq"[:count]
    assert fitter.whole([5] * len(fitter.points)).text(names) == "5"
    found = fitter.whole([(p[0] - 2) * (p[-1] + 3) for p in fitter.points])
    for point in ((3,) * count, tuple(range(10, 10 + count))):
        assert found.at(point) == (point[0] - 2) * (point[-1] + 3)
    half = fitter.whole([p[0] * (p[0] - 1) // 2 for p in fitter.points]) if count <= 4 else None
    assert half is None or (half.at((7,) * count), half.text(names)) == (21, "(n * n - n) / 2")


def test_numbers_that_are_no_polynomials_are_refused():
    fitter = _fitter(1, _SMALL)
    for made in (lambda n: n % 2, lambda n: n // 2, lambda n: math.isqrt(n), lambda n: max(n, 70), lambda n: 2**n):
        assert fitter.whole([made(n) for (n,) in fitter.points]) is None
    assert fitter.number([math.log(n) for (n,) in fitter.points], "float64") is None


@pytest.mark.parametrize(
    "made", [lambda n, m: 1 / (n * m), lambda n, m: n**0.5, lambda n, m: (n * m) ** -0.5, lambda n, m: 2.5 * n,
             lambda n, m: 0.5 / (n - 1), lambda n, m: float(n * m)]
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_means_and_norms_are_divided_by_is_found(made, dtype):
    fitter = _fitter(2, _SMALL)
    found = fitter.number([made(*p) for p in fitter.points], dtype)
    assert math.isclose(found.at((12, 31)), made(12, 31), rel_tol=1e-15)


def test_a_number_that_stays_the_same_is_left_as_it_is():
    assert math.isnan(Fitter([()]).number([math.nan], "float64"))
    assert _fitter(1, _SMALL).number([0.1] * 7, "float64") == 0.1
