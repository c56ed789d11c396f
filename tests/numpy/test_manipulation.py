"""Reshaping, joining, splitting, padding and diagonals, against NumPy."""

import numpy
import pytest
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

A, B, C = normal(2, 3), normal(2, 3, 4), normal(4)
#: name, args, kwargs: the first argument is differentiated
ROWS = (
    ("append", (A, [[1.0, 2.0, 3.0]], 0), {}),
    ("append", (A, [1.0]), {}),
    ("array_split", (C, 3), {}),
    ("array_split", (B, [1, 3], 2), {}),
    ("array_split", (C, [3, 1, 9, -1]), {}),
    ("array_split", (C, 6), {}),
    ("atleast_1d", (numpy.float64(2.0),), {}),
    ("atleast_2d", (C,), {}),
    ("atleast_3d", (C,), {}),
    ("atleast_3d", (A,), {}),
    ("broadcast_to", (C, (3, 4)), {}),
    ("broadcast_to", (A[:, :1], (5, 2, 3)), {}),
    ("diag", (C,), {}),
    ("diag", (C, 2), {}),
    ("diag", (C, -1), {}),
    ("diag", (A,), {}),
    ("diag", (A, 2), {}),
    ("diag", (A, -1), {}),
    ("diag", (A, 7), {}),
    ("diagflat", (A, 1), {}),
    ("diagonal", (B,), {}),
    ("diagonal", (B, 1, 2, 0), {}),
    ("diagonal", (B, -1, 1, 2), {}),
    ("diff", (A,), {}),
    ("diff", (C, 2), {}),
    ("diff", (A, 1, 0), {}),
    ("diff", (C[:1],), {}),
    ("expand_dims", (A, 1), {}),
    ("expand_dims", (A, (0, -1)), {}),
    ("flip", (B,), {}),
    ("flip", (B, 1), {}),
    ("flip", (B, (0, 2)), {}),
    ("fliplr", (A,), {}),
    ("flipud", (A,), {}),
    ("hsplit", (B, 3), {}),
    ("hsplit", (C, 2), {}),
    ("matrix_transpose", (B,), {}),
    ("moveaxis", (B, 0, -1), {}),
    ("moveaxis", (B, (0, 1), (2, 0)), {}),
    ("pad", (C, 2), {}),
    ("pad", (A, ((1, 0), (0, 2))), {}),
    ("pad", (A, 1), {"constant_values": 3.5}),
    ("pad", (A, (1, 2)), {"mode": "edge"}),
    ("pad", (A, (1, 2)), {"mode": "reflect"}),
    ("pad", (A, (1, 2)), {"mode": "symmetric"}),
    ("pad", (A, ((4, 1), (0, 2))), {"mode": "wrap"}),
    ("permute_dims", (B, (1, 2, 0)), {}),
    ("ravel", (B,), {}),
    ("ravel", (A,), {"order": "F"}),
    ("repeat", (A, 2), {}),
    ("repeat", (A, 2, 1), {}),
    ("repeat", (A, [2, 0, 1], 1), {}),
    ("repeat", (A, 0, 0), {}),
    ("reshape", (B, (4, 6)), {}),
    ("reshape", (B, (-1, 8)), {}),
    ("reshape", (B, -1), {}),
    ("reshape", (A, (3, 2)), {"order": "F"}),
    ("roll", (B, 2), {}),
    ("roll", (B, -1, 1), {}),
    ("roll", (B, (1, 2), (0, 2)), {}),
    ("roll", (B, 5, (0, 2)), {}),
    ("rollaxis", (B, 2), {}),
    ("rollaxis", (B, 0, 2), {}),
    ("rot90", (A,), {}),
    ("rot90", (A, 2), {}),
    ("rot90", (B, 3, (1, 2)), {}),
    ("rot90", (B, -4), {}),
    ("split", (B, 2, 2), {}),
    ("split", (B, [1], 1), {}),
    ("squeeze", (B[:1, :, :1],), {}),
    ("squeeze", (B[:1, :, :1], 0), {}),
    ("swapaxes", (B, 0, -1), {}),
    ("tile", (A, 2), {}),
    ("tile", (A, (2, 1, 3)), {}),
    ("tile", (B, (2, 2)), {}),
    ("tile", (A, (0, 1)), {}),
    ("trace", (A,), {}),
    ("trace", (B, 1, 1, 2), {}),
    ("transpose", (B,), {}),
    ("transpose", (B, (1, 0, 2)), {}),
    ("transpose", (B, (-1, 0, 1)), {}),
    ("tril", (B,), {}),
    ("tril", (A, -1), {}),
    ("tril", (C,), {}),
    ("triu", (B, 1), {}),
    ("triu", (A,), {}),
    ("unstack", (B,), {"axis": 1}),
    ("vsplit", (A, 2), {}),
)
#: name, list of arrays, kwargs
JOINS = (
    ("concatenate", [A, 2 * A], {}),
    ("concatenate", [A, A[:, :1], A], {"axis": 1}),
    ("concatenate", [A, C], {"axis": None}),
    ("concatenate", [A, A[:0]], {}),
    ("concat", [B, B], {"axis": -1}),
    ("stack", [A, 2 * A], {}),
    ("stack", [A, A], {"axis": -1}),
    ("vstack", [C, 2 * C], {}),
    ("vstack", [A, A], {}),
    ("hstack", [C, C], {}),
    ("hstack", [A, A], {}),
    ("dstack", [C, C], {}),
    ("dstack", [A, A], {}),
    ("column_stack", [C, 2 * C], {}),
    ("column_stack", [A, A[:, 0]], {}),
)


@pytest.mark.parametrize(("name", "args", "kwargs"), ROWS)
def test_value_and_gradient(name, args, kwargs):
    ours, theirs = getattr(np, name), getattr(numpy, name)
    same(ours(*args, **kwargs), theirs(*args, **kwargs))
    check_gradient(lambda x: ours(x, *args[1:], **kwargs), args[0], second=False)


@pytest.mark.parametrize(("name", "arrays", "kwargs"), JOINS)
def test_join(name, arrays, kwargs):
    ours, theirs = getattr(np, name), getattr(numpy, name)
    same(ours(arrays, **kwargs), theirs(arrays, **kwargs))
    check_gradient(lambda *xs: ours(xs, **kwargs), *arrays, second=False)


DTYPES = ["reshape", "transpose", "flip", "roll", "tile", "repeat", "pad", "tril", "diag"]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float32"])
def test_dtype_is_kept(name, dtype):
    x = (numpy.arange(6).reshape(2, 3) % 3).astype(dtype)
    args = {"reshape": ((3, 2),), "roll": (1,), "tile": (2,), "repeat": (2,), "pad": (1,)}.get(name, ())
    same(getattr(np, name)(x, *args), getattr(numpy, name)(x, *args))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_no_elements(shape):
    x = numpy.zeros(shape)
    for name, args in (
        ("transpose", ()), ("flip", ()), ("roll", (1,)), ("ravel", ()), ("tile", (2,)), ("repeat", (2,)), ("pad", (1,)),
        ("expand_dims", (0,)), ("reshape", ((0, 5),)), ("reshape", (shape,)), ("diff", ()),
    ):  # fmt: skip
        same(getattr(np, name)(x, *args), getattr(numpy, name)(x, *args))
    if len(shape) == 2:
        same(np.diagonal(x), numpy.diagonal(x))
        same(np.tril(x), numpy.tril(x))
        same(np.concatenate([x, x], 1), numpy.concatenate([x, x], 1))


def test_join_promotes():
    mixed = [numpy.ones(2, "float32"), numpy.arange(2), numpy.array([True, False])]
    same(np.concatenate(mixed), numpy.concatenate(mixed))
    same(np.concatenate([[1, 2], [3]], dtype="float32"), numpy.concatenate([[1, 2], [3]], dtype="float32"))
    same(np.stack(ng.asarray(A)), A)


def test_meshgrid():
    x, y, z = C[:3], A[0, :2], C[:1]
    for indexing in ("xy", "ij"):
        for sparse in (False, True):
            same(
                np.meshgrid(x, y, z, indexing=indexing, sparse=sparse),
                numpy.meshgrid(x, y, z, indexing=indexing, sparse=sparse),
            )
    same(np.meshgrid(x), numpy.meshgrid(x))
    check_gradient(np.meshgrid, x, y)


def test_broadcast():
    same(np.broadcast_arrays(A, C[:3], 2.0), numpy.broadcast_arrays(A, C[:3], 2.0))
    assert np.broadcast_shapes((2, 1), (3,)) == (2, 3)
    check_gradient(np.broadcast_arrays, A, C[:3])


def test_astype():
    x = numpy.array([-1.7, 0.0, 2.9])
    for dtype in ("int64", "float32", "bool", "int8"):
        same(np.astype(x, dtype), x.astype(dtype))
        same(ng.asarray(x).astype(dtype), x.astype(dtype))
    check_gradient(lambda x: x.astype("float32").astype("float64") * 0.0 + x, x)


def test_facts():
    assert np.shape(B) == (2, 3, 4)
    assert np.ndim(B) == 3
    assert np.size(B) == 24
    assert np.size(B, 1) == 3


def test_methods_take_separate_arguments():
    x = ng.asarray(B)
    same(x.reshape(6, 4), B.reshape(6, 4))
    same(x.reshape((6, -1)), B.reshape(6, 4))
    same(x.transpose(1, 0, 2), B.transpose(1, 0, 2))
    same(x.transpose((1, 0, 2)), B.transpose(1, 0, 2))
    same(x.T, B.T)
    same(x.mT, B.swapaxes(1, 2))
    same(x.flatten(), B.flatten())
    same(x.squeeze(), B)
    same(x.swapaxes(0, 1), B.swapaxes(0, 1))
    same(x.diagonal(), B.diagonal())


MESSAGES = (
    (lambda: np.reshape(A, (4, 2)), errors.ShapeError, r"reshape: \(2, 3\) has 6 elements and cannot become \(4, 2\)"),
    (
        lambda: np.transpose(A, (0, 0)),
        errors.ShapeError,
        r"transpose: axes \(0, 0\) are not a permutation of the 2 axes",
    ),
    (lambda: np.squeeze(A, 0), errors.ShapeError, r"squeeze: axis 0 has extent 2, only extent 1 can go"),
    (lambda: np.concatenate([]), errors.ArgumentError, r"concatenate: needs at least one array"),
    (
        lambda: np.concatenate([A, C]),
        errors.ShapeError,
        r"arrays\[0\] has shape \(2, 3\) and arrays\[1\] has shape \(4,\)",
    ),
    (lambda: np.concatenate([1.0, 2.0]), errors.ShapeError, r"0-d arrays cannot be concatenated; use stack"),
    (lambda: np.concatenate(3), errors.ArgumentError, r"concatenate: arrays must be a sequence"),
    (lambda: np.stack([A, C]), errors.ShapeError, r"stack: arrays\[0\] has shape"),
    (lambda: np.split(C, 3), errors.ShapeError, r"split: axis 0 of extent 4 does not divide into 3 equal parts"),
    (lambda: np.broadcast_to(A, (2, 2)), errors.ShapeError, r"broadcast_to: an array of shape \(2, 3\) cannot become"),
    (lambda: np.broadcast_arrays(A, C), errors.ShapeError, r"do not broadcast"),
    (lambda: np.pad(A, -1), errors.ArgumentError, r"pad: pad_width must not be negative"),
    (lambda: np.pad(A, 1, "linear"), errors.ArgumentError, r"pad: mode must be one of"),
    (lambda: np.pad(A, ((1, 1),) * 3), errors.ShapeError, r"does not fit an array of 2 dimensions"),
    (lambda: np.repeat(A, [1, 2], 1), errors.ShapeError, r"repeat: 2 repeats for axis 1 of extent 3"),
    (lambda: np.repeat(A, -1), errors.ArgumentError, r"repeat: repeats must be non-negative"),
    (lambda: np.diag(B), errors.ShapeError, r"diag: x must have 1 or 2 dimensions"),
    (lambda: np.diagonal(C), errors.ShapeError, r"diagonal: x needs at least 2 dimensions"),
    (lambda: np.meshgrid(C, indexing="no"), errors.ArgumentError, r"meshgrid: indexing must be 'xy' or 'ij'"),
    (lambda: np.moveaxis(A, 3, 0), errors.ShapeError, r"moveaxis: axis 3 is out of range"),
    (lambda: np.reshape(A, (2.5, 2)), errors.ArgumentError, r"reshape: shape must be an integer"),
    (lambda: np.astype(A, "datetime64"), errors.DtypeError, r"astype: dtype datetime64 is not supported"),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
