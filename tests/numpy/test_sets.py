"""Arrays as sets, against NumPy."""

import itertools

import numpy
import pytest
from checking import normal
from rows import check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

K, J = numpy.array([[3, 1, 3], [2, 1, 5]]), numpy.array([5, 3, 9, 3])
F = numpy.array([2.5, numpy.nan, -1.0, 2.5, numpy.nan])
C = normal(5)
D = C[[4, 1, 0]]
ROWS = (
    ("unique_all", (K,), {}),
    ("unique_counts", (F,), {}),
    ("unique_inverse", (K,), {}),
    ("isin", (K, J), {}),
    ("isin", (K, J), {"invert": True, "assume_unique": True, "kind": "sort"}),
    ("isin", (3.0, J), {}),
    ("isin", (F, F), {}),
    ("isin", (C[:4] > 0, [True]), {}),
    ("isin", (C + 1j, C[1:3] + 1j), {}),
    ("isin", (K, numpy.zeros(0)), {}),
    ("union1d", (K, J), {}),
    ("union1d", (C, D), {}),
    ("intersect1d", (K, J), {}),
    ("intersect1d", (K, J), {"return_indices": True}),
    ("intersect1d", (C, D), {"assume_unique": True}),
    ("setdiff1d", (K, J), {}),
    ("setdiff1d", (C, D), {"assume_unique": True}),
    ("setdiff1d", (J, K[0]), {}),
    ("setxor1d", (K, J), {}),
    ("setxor1d", (C, D), {"assume_unique": True}),
    ("setxor1d", (J, J), {}),
)


@pytest.mark.parametrize(("name", "args", "kwargs"), ROWS)
def test_value(name, args, kwargs):
    check_values(name, args, kwargs)


@pytest.mark.parametrize("flags", list(itertools.product((False, True), repeat=3)))
def test_unique(flags):
    for x, axis in ((K, None), (K, 0), (K, 1), (F, None), (J[:0], None), (numpy.array([[1, 1], [1, 1], [0, 2]]), -1)):
        check_values("unique", (x, *flags), {"axis": axis})
    check_values("unique", (F, *flags), {"equal_nan": False})


def test_results_have_names():
    found = np.unique_all(J)
    same(found.counts, numpy.unique_all(J).counts)
    same(np.unique_values(J), numpy.sort(numpy.unique_values(J)))  # NumPy's are in any order
    assert found._fields == numpy.unique_all(J)._fields


def test_gradient():
    check_row_gradient("unique", (C,), {})
    check_row_gradient("unique", (numpy.stack([C, D[[0, 1, 2, 0, 1]]]),), {"axis": 1})
    check_row_gradient("setdiff1d", (C, D + 9), {})
    check_row_gradient("setxor1d", (C, normal(3)), {}, (0, 1))
    check_row_gradient("union1d", (C, normal(3)), {}, (0, 1))
    g = ng.grad(lambda x: (np.unique(np.concatenate([x, x])) ** 2).sum())(C).numpy()
    numpy.testing.assert_allclose(g, 2 * C)
    g = ng.grad(lambda x: np.unique(x).sum())(numpy.array([2.0, 2.0, 1.0])).numpy()
    numpy.testing.assert_array_equal(g, [1.0, 0.0, 1.0])  # of equal elements the first


def test_under_jit():
    same(ng.jit(np.isin)(K, J), numpy.isin(K, J))
    with pytest.raises(errors.TracedValueError, match="unique: the shape of the result depends on the values of x"):
        ng.jit(np.unique)(K)
