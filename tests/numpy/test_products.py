"""Matrix and tensor products against NumPy, convolutions against their definition."""

import numpy
import pytest
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

MATMULS = (
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (2, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((2, 0), (0, 3)),
    ((0, 3), (3, 2)),
    ((0,), (0,)),
    ((0, 2, 3), (3, 2)),
)


@pytest.mark.parametrize(("a", "b"), MATMULS)
def test_matmul(a, b):
    x1, x2 = normal(*a), normal(*b, seed=1)
    same(np.matmul(x1, x2), numpy.matmul(x1, x2))
    same(ng.asarray(x1) @ x2, x1 @ x2)
    same(x1 @ ng.asarray(x2), x1 @ x2)
    check_gradient(np.matmul, x1, x2)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "uint32", "bool"])
def test_matmul_dtype(dtype):
    x1, x2 = (normal(2, 3) * 3).astype(dtype), (normal(3, 2, seed=1) * 3).astype(dtype)
    same(np.matmul(x1, x2), numpy.matmul(x1, x2))
    same(np.matmul(x1, x2.astype("float64")), numpy.matmul(x1, x2.astype("float64")), 1e-6)


@pytest.mark.parametrize(
    ("a", "b"),
    [((), ()), ((), (3,)), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((3,), (2, 3, 4)), ((5, 3), (2, 3, 4))],
)
def test_dot(a, b):
    x1, x2 = normal(*a), normal(*b, seed=1)
    same(np.dot(x1, x2), numpy.dot(x1, x2))
    same(ng.asarray(x1).dot(x2), numpy.dot(x1, x2))
    check_gradient(np.dot, x1, x2)


ROWS = (
    ("inner", (3,), (3,), {}),
    ("inner", (2, 3), (4, 3), {}),
    ("inner", (), (4, 3), {}),
    ("outer", (2,), (3,), {}),
    ("outer", (2, 2), (3, 1), {}),
    ("vdot", (2, 3), (2, 3), {}),
    ("vecdot", (2, 3), (3,), {}),
    ("vecdot", (2, 3), (2, 1), {"axis": 0}),
    ("kron", (2, 3), (3, 2), {}),
    ("kron", (3,), (2, 2), {}),
    ("cross", (3,), (3,), {}),
    ("cross", (4, 3), (3,), {}),
    ("cross", (3, 4), (3, 4), {"axis": 0}),
    ("tensordot", (2, 3, 4), (3, 4, 5), {}),
    ("tensordot", (2, 3), (3, 4), {"axes": 1}),
    ("tensordot", (2, 3), (4, 5), {"axes": 0}),
    ("tensordot", (2, 3, 4), (4, 3, 5), {"axes": ([1, 2], [1, 0])}),
    ("tensordot", (2, 3), (3, 4), {"axes": (-1, 0)}),
    ("tensordot", (2, 3), (2, 3), {"axes": ((0, 1), (0, 1))}),
    ("tensordot", (2, 0), (0, 3), {"axes": 1}),
)


@pytest.mark.parametrize(("name", "a", "b", "kwargs"), ROWS)
def test_product(name, a, b, kwargs):
    x1, x2 = normal(*a), normal(*b, seed=1)
    same(getattr(np, name)(x1, x2, **kwargs), getattr(numpy, name)(x1, x2, **kwargs))
    check_gradient(lambda u, v: getattr(np, name)(u, v, **kwargs), x1, x2)


def test_gradient_of_what_was_broadcast_to_nothing():
    check_gradient(np.outer, normal(0), normal(3))


EINSUMS = (
    ("i->", (3,)),
    ("ij->ji", (2, 3)),
    ("ij", (2, 3)),
    ("ji", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (2, 2, 3)),
    ("iii->", (2, 2, 2)),
    ("...ij->...ji", (2, 3, 4)),
    ("i...->...", (2, 3, 4)),
    ("...", (2, 3)),
    ("i,i", (3,), (3,)),
    ("i,j", (3,), (2,)),
    ("i,j->ji", (3,), (2,)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("ij,ji->", (2, 3), (3, 2)),
    ("ij,kj->ik", (2, 3), (4, 3)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 3)),
    ("bij,jk->bik", (2, 3, 4), (4, 3)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 3)),
    ("...j,jk->...k", (2, 3, 4), (4, 5)),
    ("i...,...", (2, 3), (3,)),
    ("ij,j", (2, 3), (3,)),
    ("ik,jk->ij", (2, 3), (4, 3)),
    ("ij,jj->i", (2, 3), (3, 3)),
    ("ij,ik->jk", (2, 1), (2, 3)),
    ("ij,ij->ij", (1, 3), (2, 3)),
    ("ij,ij->", (1, 3), (2, 3)),
    ("ab,cd->", (2, 3), (3, 2)),
    ("ab,cb->ac", (0, 3), (2, 3)),
    ("ab,cb->ac", (2, 0), (3, 0)),
    (" ij , jk -> ik ", (2, 3), (3, 4)),
    (",i->i", (), (3,)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 2), (2, 3), (3, 2)),
    ("i,ij,j", (2,), (2, 3), (3,)),
    ("ijk,li,mj,nk->lmn", (2, 3, 2), (3, 2), (2, 3), (2, 2)),
    ("...,...", (2, 3), (3,)),
)


@pytest.mark.parametrize("row", EINSUMS, ids=lambda row: row[0].replace(" ", "_"))
def test_einsum(row):
    spec, *shapes = row
    xs = [normal(*s, seed=i) for i, s in enumerate(shapes)]
    same(np.einsum(spec, *xs), numpy.einsum(spec, *xs), 1e-12)
    check_gradient(lambda *xs: np.einsum(spec, *xs), *xs)


def test_einsum_with_lists_of_labels():
    x1, x2 = normal(2, 3), normal(3, 4)
    same(np.einsum(x1, [0, 1], x2, [1, 2], [2, 0]), numpy.einsum(x1, [0, 1], x2, [1, 2], [2, 0]))
    same(np.einsum(x1, [0, 1], x2, [1, 2]), numpy.einsum(x1, [0, 1], x2, [1, 2]))
    same(np.einsum(x1, [Ellipsis, 0], [0, Ellipsis]), numpy.einsum(x1, [Ellipsis, 0], [0, Ellipsis]))


@pytest.mark.parametrize("dtype", ["float32", "int64", "int16"])
def test_einsum_dtype(dtype):
    x1, x2 = (normal(2, 3) * 4).astype(dtype), (normal(3, 4) * 4).astype(dtype)
    for spec in ("ij,jk->ik", "ij,jk->k"):
        same(np.einsum(spec, x1, x2), numpy.einsum(spec, x1, x2), 1e-5)


def convolved(x, w, stride, margins):
    """The sum that defines conv2d, position by position."""
    x = numpy.pad(x, ((0, 0), *margins, (0, 0)))
    (height, width), (down, right) = w.shape[:2], stride
    rows, columns = (x.shape[1] - height) // down + 1, (x.shape[2] - width) // right + 1
    out = numpy.zeros((x.shape[0], rows, columns, w.shape[3]))
    for b, i, j, o in numpy.ndindex(out.shape):
        window = x[b, i * down : i * down + height, j * right : j * right + width]
        out[b, i, j, o] = (window * w[..., o]).sum()
    return out


CONVOLUTIONS = (
    ((2, 5, 6, 3), (3, 2, 3, 4), 1, "VALID", ((0, 0), (0, 0))),
    ((1, 6, 5, 1), (2, 2, 1, 2), 2, "VALID", ((0, 0), (0, 0))),
    ((1, 5, 5, 2), (3, 3, 2, 1), 1, "SAME", ((1, 1), (1, 1))),
    ((1, 6, 5, 1), (3, 3, 1, 2), (2, 1), "SAME", ((0, 1), (1, 1))),
    ((1, 4, 4, 1), (2, 2, 1, 1), 1, "SAME", ((0, 1), (0, 1))),
    ((1, 4, 5, 1), (1, 1, 1, 2), (1, 2), "VALID", ((0, 0), (0, 0))),
    ((1, 3, 4, 1), (2, 3, 1, 1), 1, ((1, 0), (2, 1)), ((1, 0), (2, 1))),
)


@pytest.mark.parametrize(("a", "b", "stride", "padding", "margins"), CONVOLUTIONS)
def test_conv2d(a, b, stride, padding, margins):
    x, w = normal(*a), normal(*b, seed=1)
    strides = stride if isinstance(stride, tuple) else (stride, stride)
    same(np.conv2d(x, w, stride, padding), convolved(x, w, strides, margins), 1e-12)
    check_gradient(lambda x, w: np.conv2d(x, w, stride, padding), x[:, :4, :4], w[:, :, :, :1])


def test_conv2d_keeps_float32():
    x, w = normal(1, 4, 4, 1, dtype="float32"), normal(2, 2, 1, 1, dtype="float32")
    same(np.conv2d(x, w), convolved(x, w, (1, 1), ((0, 0), (0, 0))).astype("float32"), 1e-5)


A, B = numpy.ones((2, 3)), numpy.ones((2, 2))
MESSAGES = (
    (
        lambda: np.matmul(A, A),
        errors.ShapeError,
        r"matmul\(x1, x2\): shapes \(2, 3\) and \(2, 3\) do not multiply; .* is 3, .* is 2",
    ),
    (lambda: np.matmul(A, 2.0), errors.ShapeError, r"matmul\(x1, x2\): x2 has no dimensions; multiply scalars with \*"),
    (
        lambda: np.matmul(numpy.ones((2, 2, 3)), numpy.ones((3, 3, 2))),
        errors.ShapeError,
        r"do not multiply|do not broadcast",
    ),
    (
        lambda: np.tensordot(A, B, 1),
        errors.ShapeError,
        r"axes \(1,\) of x1 have extents \(3,\), axes \(0,\) of x2 have \(2,\)",
    ),
    (lambda: np.tensordot(A, B, 5), errors.ShapeError, r"tensordot: 5 axes of arrays"),
    (lambda: np.einsum("ij,jk", A), errors.ArgumentError, r"einsum\('ij,jk'\): 2 subscripts for 1 operands"),
    (lambda: np.einsum("ijk", A), errors.ShapeError, r"operand 0 has 2 dimensions, its subscripts 'ijk' name 3"),
    (lambda: np.einsum("ij,jk", A, B), errors.ShapeError, r"label 'j' has extents 3 and 2"),
    (lambda: np.einsum("ij->k", A), errors.ArgumentError, r"label 'k' is in no operand"),
    (lambda: np.einsum("ij->ii", A), errors.ArgumentError, r"label 'i' stands twice in the output"),
    (lambda: np.einsum("i1", A), errors.ArgumentError, r"more than letters and one ellipsis"),
    (lambda: np.einsum("ii", A), errors.ShapeError, r"label 'i' has extents 2 and 3"),
    (lambda: np.cross(A[0, :2], A[0, :2]), errors.ShapeError, r"cross: axis -1 must have extent 3"),
    (lambda: np.conv2d(A, A), errors.ShapeError, r"conv2d\(x, w\): expected x of \(batch, height, width, channels\)"),
    (lambda: np.conv2d(numpy.ones((1, 2, 2, 1)), numpy.ones((3, 3, 1, 1))), errors.ShapeError, r"do not fit"),
    (lambda: np.conv2d(numpy.ones((1, 2, 2, 1)), numpy.ones((1, 1, 1, 1)), 0), errors.ArgumentError, r"stride must be"),
    (
        lambda: np.conv2d(numpy.ones((1, 2, 2, 1)), numpy.ones((1, 1, 1, 1)), 1, "FULL"),
        errors.ArgumentError,
        r"padding must be",
    ),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
