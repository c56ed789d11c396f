"""Indices and grids, orders, blocks and packed arrays, against NumPy."""

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_complex_gradient, check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

A, C = normal(3, 4), normal(6)
PLACES = numpy.array([[0, 3], [11, 7]])
ROWS = (
    ("indices", ((2, 3),), {}),
    ("indices", ((2, 3),), {"dtype": "int32", "sparse": True}),
    ("indices", ((),), {}),
    ("ix_", ([0, 2], [1, 3, 0]), {}),
    ("ix_", ([True, False, True], numpy.array([1])), {}),
    ("ix_", (numpy.zeros(0, int),), {}),
    ("diag_indices", (3,), {}),
    ("diag_indices", (2, 3), {}),
    ("diag_indices_from", (A[:, :3],), {}),
    ("tril_indices", (3,), {}),
    ("tril_indices", (3, 1, 4), {}),
    ("triu_indices", (4, -1, 3), {}),
    ("tril_indices_from", (A, -1), {}),
    ("triu_indices_from", (A,), {"k": 1}),
    ("unravel_index", (PLACES, (3, 4)), {}),
    ("unravel_index", (PLACES, (2, 3, 2)), {"order": "F"}),
    ("unravel_index", (5, (3, 4)), {}),
    ("ravel_multi_index", ((numpy.array([1, 2]), numpy.array([3, 0])), (3, 4)), {}),
    ("ravel_multi_index", (([1, 2], [3, 0]), (3, 4)), {"order": "F"}),
    ("ravel_multi_index", (([1, 9], [-1, 5]), (3, 4)), {"mode": ("clip", "wrap")}),
    ("ravel_multi_index", ((1, 2, 1), (3, 4, 2)), {}),
    ("geomspace", (1.0, 256.0, 9), {}),
    ("geomspace", (numpy.array([1.0, 2.0]), numpy.array([8.0, 3.0]), 4), {"axis": -1}),
    ("geomspace", (-1.0, -1000.0, 4), {"endpoint": False}),
    ("geomspace", (1, 1000, 4), {"dtype": int}),
    ("geomspace", (1j, 8j, 4), {}),
)


@pytest.mark.parametrize(("name", "args", "kwargs"), ROWS)
def test_value(name, args, kwargs):
    check_values(name, args, kwargs)


def test_geomspace_has_gradients():
    for kwargs in ({}, {"endpoint": False}, {"axis": -1}):
        check_row_gradient("geomspace", (abs(C[:2]) + 1, abs(C[2:4]) + 2, 4), kwargs, (0, 1))
    check_row_gradient("geomspace", (numpy.array(-1.0), numpy.array(-9.0), 3), {}, (0, 1))
    same(np.geomspace(ng.asarray(1.0), 8.0, 4), numpy.geomspace(1.0, 8.0, 4), 1e-15)
    check_complex_gradient(lambda a, b: np.geomspace(a, b, 4), numpy.array(1 + 1j), numpy.array(2 - 1j))


def test_indices_from_functions():
    def ten(i, j):
        return i * 10 + j

    same(np.fromfunction(ten, (3, 2), dtype=int), numpy.fromfunction(ten, (3, 2), dtype=int))
    same(np.fromfunction(ten, (3, 2)), numpy.fromfunction(ten, (3, 2)))
    same(np.mask_indices(3, np.triu, 1), numpy.mask_indices(3, numpy.triu, 1))
    at = ng.jit(lambda i: np.unravel_index(i, (3, 4)))(PLACES)
    same(at, numpy.unravel_index(PLACES, (3, 4)))
    same(ng.asarray(A)[np.ix_([0, 2], [1, 3])], A[numpy.ix_([0, 2], [1, 3])])


GRIDS = (
    numpy.s_[0:3], numpy.s_[0:1:5j], numpy.s_[0:3, 1:2:0.25], numpy.s_[-1:1:3j, 0:2], numpy.s_[:4:2],
)  # fmt: skip
JOINED = (
    numpy.s_[1:4], numpy.s_[1:4, 9.5, 0:1:3j], numpy.s_[C[:2], 0, 0, C[:1]], numpy.s_[1, 2, 3],
    ("0,2", C[:3], C[:3]), ("1", A, A), ("-1", A, A[:, :1]), ("0,2,0", C[:3], C[:2]), ("0,3,-1", A, A), ("0,3,1", C, C),
    numpy.s_[A.astype("float32")[0], 1.0], numpy.s_[numpy.array([True]), 2],
)  # fmt: skip


@pytest.mark.parametrize("key", GRIDS)
def test_grids(key):
    for name in ("mgrid", "ogrid"):
        same(getattr(np, name)[key], getattr(numpy, name)[key])


@pytest.mark.parametrize("key", JOINED)
def test_joined(key):
    same(np.r_[key], numpy.r_[key])


@pytest.mark.parametrize("key", [numpy.s_[C, C > 0], numpy.s_[A, A[:, 0]], numpy.s_[1:4], numpy.s_[0:3, A, 7:10], 3.0])
def test_columns(key):
    same(np.c_[key], numpy.c_[key])


def test_joined_has_gradients():
    check_gradient(lambda a, b: np.r_[a, 0.0, b * b], C, C[:2])
    check_gradient(lambda a, b: np.c_[a, b * b], C, A[0, 0] * C)


#: Orders, blocks and bits: name, arguments, keywords, positions of what is differentiated
OTHERS = (
    ("partition", (numpy.sort(C), 2), {}, (0,)),
    ("lexsort", ((C > 0, abs(C) < 0.5),), {}, ()),
    ("lexsort", (numpy.array([[1, 1, 0, 0], [1, 0, 1, 0], [2, 2, 2, 1]]),), {}, ()),
    ("lexsort", (numpy.array([numpy.nan, 1.0, numpy.inf]),), {}, ()),
    ("lexsort", ([A > 0, A > 0.5],), {"axis": 0}, ()),
    ("sort_complex", (C,), {}, ()),
    ("sort_complex", (C + 1j * C[::-1],), {}, ()),
    ("sort_complex", (numpy.array([3, 1], "int8"),), {}, ()),
    ("sort_complex", (C.astype("float32"),), {}, ()),
    ("block", ([[A, A[:, :1]], [A[:1], 2.0 * numpy.ones((1, 1))]],), {}, ()),
    ("block", ([C, 1.0, C],), {}, ()),
    ("block", (A,), {}, ()),
    ("block", ([[[A]], [[A]]],), {}, ()),
    ("dsplit", (normal(2, 3, 4), 2), {}, (0,)),
    ("dsplit", (normal(2, 3, 4), [1, 3]), {}, (0,)),
    ("row_stack", ([C, C],), {}, ()),
    ("resize", (A, (2, 3)), {}, (0,)),
    ("resize", (A, (5, 5)), {}, (0,)),
    ("resize", (C, 4), {}, (0,)),
    ("resize", (C[:0], (2, 2)), {}, ()),
    ("packbits", (numpy.arange(21) % 3 == 0,), {}, ()),
    ("packbits", (numpy.arange(20).reshape(2, 10) % 3,), {"axis": 1, "bitorder": "little"}, ()),
    ("packbits", (numpy.arange(20).reshape(10, 2) % 3 == 0,), {"axis": 0}, ()),
    ("unpackbits", (numpy.array([7, 128, 255], "uint8"),), {}, ()),
    ("unpackbits", (numpy.array([[7], [128]], "uint8"),), {"axis": 0, "count": -3, "bitorder": "little"}, ()),
    ("unpackbits", (numpy.array([7], "uint8"),), {"count": 11}, ()),
    ("apply_over_axes", (numpy.sum, normal(2, 3, 4), [0, 2]), {}, (1,)),
    ("apply_over_axes", (numpy.cumsum, A, 1), {}, (1,)),
    ("apply_along_axis", (lambda r: (r[1:] * r[0]).sum(), 0, A), {}, (2,)),
    ("apply_along_axis", (lambda r, k: numpy.outer(r, k * r), 1, normal(2, 3, 2), 2.0), {}, (2,)),
    ("apply_along_axis", (numpy.cumsum, -1, normal(2, 3, 2)), {}, (2,)),
    ("asfortranarray", (A,), {}, (0,)),
    ("asanyarray", (A,), {"dtype": "float32"}, ()),
    ("asarray_chkfinite", (A,), {}, (0,)),
    ("require", (A, "float32", ["C", "O"]), {}, ()),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:`row_stack` alias is deprecated")
@pytest.mark.parametrize(("name", "args", "kwargs", "by"), OTHERS)
def test_value_and_gradient(name, args, kwargs, by):
    check_values(name, args, kwargs)
    if by:
        check_row_gradient(name, args, kwargs, by)


def test_partitions():
    for x, kth, axis in ((C, 2, -1), (A, [0, 1], 0), (A, -1, None), (A, 3, 1)):
        found, at = np.partition(x, kth, axis).numpy(), np.argpartition(x, kth, axis).numpy()
        kth = numpy.atleast_1d(kth)
        whole, along = (x.ravel(), 0) if axis is None else (x, axis)
        ordered = numpy.sort(whole, along)
        numpy.testing.assert_array_equal(numpy.take(found, kth, along), numpy.take(ordered, kth, along))
        numpy.testing.assert_array_equal(numpy.take_along_axis(whole, at, along), found)


def test_blocks_have_gradients():
    check_gradient(lambda a, b: np.block([[a, b], [b.T * b.T, np.zeros((1, 2))]]), A, A[:, :1])


def test_from_buffers():
    same(np.frombuffer(A.tobytes(), "float64", 3, 8), numpy.frombuffer(A.tobytes(), "float64", 3, 8))
    same(np.fromiter(range(4), "float32"), numpy.fromiter(range(4), "float32"))
    same(np.fromstring("1, 2.5", sep=","), numpy.fromstring("1, 2.5", sep=","))


MESSAGES = (
    (lambda: np.ix_(A), errors.ShapeError, r"ix_: args\[0\] must have 1 dimension"),
    (lambda: np.diag_indices_from(A), errors.ShapeError, r"diag_indices_from: x must have 2 or more dimensions"),
    (lambda: np.tril_indices_from(C), errors.ShapeError, r"tril_indices_from: x must have 2 dimensions"),
    (lambda: np.unravel_index(ng.asarray([12]), (3, 4)), IndexError, r"unravel_index: index 12 is out of range"),
    (lambda: np.unravel_index([0.5], (3, 4)), errors.ArgumentError, r"unravel_index: indices must be integers"),
    (lambda: np.ravel_multi_index([[3], [0]], (3, 4)), errors.ArgumentError, r"multi_index\[0\] is out of range"),
    (lambda: np.ravel_multi_index([[3]], (3, 4)), errors.ArgumentError, r"1 arrays of indices for 2 axes"),
    (lambda: np.geomspace(0, 1), errors.ArgumentError, r"geomspace: start and stop must not be 0"),
    (lambda: np.r_["r", C], errors.ArgumentError, r"r_: 'r' is not a list of up to three integers"),
    (lambda: np.c_[()], errors.ArgumentError, r"c_: lists nothing to join"),
    (lambda: np.partition(C, 6), errors.ArgumentError, r"partition: kth 6 is out of range for extent 6"),
    (lambda: np.lexsort([]), errors.ArgumentError, r"lexsort: needs at least one key"),
    (lambda: np.lexsort([C, A]), errors.ShapeError, r"lexsort: keys must have one shape"),
    (lambda: np.block([[C], C]), errors.ArgumentError, r"block: .* nested to different depths \[1, 0\]"),
    (lambda: np.block([]), errors.ArgumentError, r"block: arrays is an empty list"),
    (lambda: np.block((C, C)), errors.ArgumentError, r"block: arrays is a tuple; only lists nest"),
    (lambda: np.dsplit(A, 2), errors.ShapeError, r"dsplit: x needs at least 3 dimensions"),
    (lambda: np.packbits(A), errors.DtypeError, r"packbits: x must hold integers or booleans"),
    (lambda: np.packbits([1], bitorder="no"), errors.ArgumentError, r"packbits: bitorder must be 'big' or 'little'"),
    (lambda: np.unpackbits([1]), errors.DtypeError, r"unpackbits: x must hold uint8"),
    (lambda: np.unpackbits(numpy.zeros(1, "uint8"), count=-9), errors.ArgumentError, r"unpackbits: count -9 is less"),
    (lambda: np.apply_along_axis(np.sum, 0, A[:, :0]), errors.ShapeError, r"apply_along_axis: there is no row"),
    (lambda: np.apply_over_axes(lambda x, a: x[0, 0], A, 0), errors.ShapeError, r"apply_over_axes: the function made"),
    (lambda: np.asarray_chkfinite([numpy.nan]), errors.ShapeError, r"asarray_chkfinite: x must not hold nan"),
    (lambda: np.require(A, None, "F"), errors.ArgumentError, r"require: Arrays are in C order; use numpy"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
