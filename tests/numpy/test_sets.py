"""Arrays as sets, against NumPy."""

import itertools

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

I, J = numpy.array([[3, 1, 3], [2, 1, 5]]), numpy.array([5, 3, 9, 3])
F = numpy.array([2.5, numpy.nan, -1.0, 2.5, numpy.nan])
C = normal(5)
D = C[[4, 1, 0]]
ROWS = (
    ("unique_all", (I,), {}),
    ("unique_counts", (F,), {}),
    ("unique_inverse", (I,), {}),
    ("unique_values", (J,), {}),
    ("isin", (I, J), {}),
    ("isin", (I, J), {"invert": True, "assume_unique": True, "kind": "sort"}),
    ("isin", (3.0, J), {}),
    ("isin", (I, numpy.zeros(0)), {}),
    ("union1d", (I, J), {}),
    ("union1d", (C, D), {}),
    ("intersect1d", (I, J), {}),
    ("intersect1d", (I, J), {"return_indices": True}),
    ("intersect1d", (C, D), {"assume_unique": True}),
    ("setdiff1d", (I, J), {}),
    ("setdiff1d", (C, D), {"assume_unique": True}),
    ("setdiff1d", (J, I[0]), {}),
    ("setxor1d", (I, J), {}),
    ("setxor1d", (C, D), {"assume_unique": True}),
    ("setxor1d", (J, J), {}),
)


@pytest.mark.parametrize(("name", "args", "kwargs"), ROWS)
def test_value(name, args, kwargs):
    check_values(name, args, kwargs)


@pytest.mark.parametrize("flags", itertools.product((False, True), repeat=3))
def test_unique(flags):
    for x, axis in ((I, None), (I, 0), (I, 1), (F, None), (J[:0], None), (numpy.array([[1, 1], [1, 1], [0, 2]]), -1)):
        check_values("unique", (x, *flags), {"axis": axis})
    check_values("unique", (F, *flags), {"equal_nan": False})


def test_results_have_names():
    found = np.unique_all(J)
    same(found.counts, numpy.unique_all(J).counts)
    assert found._fields == numpy.unique_all(J)._fields


def test_gradient():
    check_row_gradient("unique", (C,), {})
    check_row_gradient("unique", (numpy.stack([C, D[[0, 1, 2, 0, 1]]]),), {"axis": 1})
    check_row_gradient("setdiff1d", (C, D), {})
    check_row_gradient("setxor1d", (C, normal(3)), {}, (0, 1))
    check_row_gradient("union1d", (C, normal(3)), {}, (0, 1))
    check_gradient(lambda x: np.unique(np.concatenate([x, x]))[0] * x, numpy.array(1.5))
    g = ng.grad(lambda x: np.unique(x).sum())(numpy.array([2.0, 2.0, 1.0])).numpy()
    numpy.testing.assert_array_equal(g, [1.0, 0.0, 1.0])  # of equal elements the first


def test_under_jit():
    same(ng.jit(np.isin)(I, J), numpy.isin(I, J))
    with pytest.raises(errors.TracedValueError, match="unique: the shape of the result depends on the values of x"):
        ng.jit(np.unique)(I)
