"""Choosing among arrays and elements, and writing to some of them, against NumPy."""

import numpy
import pytest
from checking import check_gradient, normal
from rows import check_row_gradient, check_values, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

A, B, C = normal(3, 4), normal(2, 3, 4), normal(6)
Z = numpy.array([0.0, 0.0, 1.5, 0.0, -2.0, 0.0])
ROWS = (
    ("choose", (numpy.array([0, 1, 1, 0]), [A[0], A[1]]), {}, ()),
    ("choose", (numpy.array([[0], [2]]), [A[0], 1.0, A[2]]), {}, ()),
    ("choose", (numpy.array([5, -1, 1, 0]), [A[0], A[1]]), {"mode": "clip"}, ()),
    ("choose", (numpy.array([5, -1, 1, 0]), [A[0], A[1]]), {"mode": "wrap"}, ()),
    ("compress", ([True, False, True], A, 0), {}, (1,)),
    ("compress", ([True, False], A, 1), {}, (1,)),
    ("compress", ([0, 1, 1], A), {}, (1,)),
    ("extract", (A > 0, A), {}, (1,)),
    ("extract", (numpy.zeros((3, 4)), A), {}, ()),
    ("argwhere", (A > 0,), {}, ()),
    ("argwhere", (numpy.float64(3),), {}, ()),
    ("argwhere", (numpy.zeros((0, 2)),), {}, ()),
    ("delete", (A, 1), {}, (0,)),
    ("delete", (A, [0, -1], 1), {}, (0,)),
    ("delete", (A, slice(None, None, 2), 1), {}, (0,)),
    ("delete", (C, numpy.array([True, False, True, False, False, False])), {}, (0,)),
    ("delete", (A, [], 0), {}, (0,)),
    ("insert", (C, 2, 9.0), {}, (0,)),
    ("insert", (C, [1, 3], [8.0, 9.0]), {}, (0,)),
    ("insert", (A, 1, A[0, :3], 1), {}, (0,)),
    ("insert", (A, [0, 2], A[:2], 0), {}, (0, 2)),
    ("insert", (A, slice(0, 2), 7, 0), {}, (0,)),
    ("insert", (A, -1, 5.0), {}, (0,)),
    ("insert", (numpy.arange(3), 1, 2.7), {}, ()),
    ("trim_zeros", (Z,), {}, ()),
    ("trim_zeros", (Z, "f"), {}, ()),
    ("trim_zeros", (Z, "b"), {}, ()),
    ("trim_zeros", (numpy.outer(Z, Z),), {}, ()),
    ("trim_zeros", (numpy.zeros(3),), {}, ()),
)  # fmt: skip
#: What NumPy does in place: name, arguments behind the array.
WRITES = (
    ("put", (A, [0, 5, -1], [1.0, 2.0, 3.0])),
    ("put", (A, [0, 5, 7, 2], [1.0, 2.0])),
    ("put", (A, [0, 50], 4.0, "clip")),
    ("put", (A, [3, 15], 4.0, "wrap")),
    ("put", (numpy.arange(4), [1], 2.9)),
    ("place", (A, A > 0, [1.0, 2.0])),
    ("place", (A, A > 9, [1.0])),
    ("putmask", (A, A > 0, B[0])),
    ("putmask", (A, A > 0, [1.0, 2.0, 3.0])),
    ("fill_diagonal", (A, 2.0)),
    ("fill_diagonal", (A.T.copy(), [1.0, 2.0])),
    ("fill_diagonal", (numpy.zeros((7, 2)), 4.0)),
    ("fill_diagonal", (numpy.zeros((7, 2)), 4.0, True)),
    ("fill_diagonal", (normal(3, 3, 3), 4.0)),
    ("copyto", (A, A[0])),
    ("copyto", (A, 3)),
    ("copyto", (numpy.zeros(3, "float32"), numpy.arange(3.0))),
)  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs", "by"), ROWS)
def test_value_and_gradient(name, args, kwargs, by):
    check_values(name, args, kwargs)
    if by:
        check_row_gradient(name, args, kwargs, by)


def written(name, x, *args):
    """A copy of x that ours has written to."""
    x = ng.asarray(x).copy()
    assert getattr(np, name)(x, *args) is None
    return x


@pytest.mark.parametrize(("name", "args"), WRITES)
def test_writes(name, args):
    expected = args[0].copy()
    getattr(numpy, name)(expected, *args[1:])
    before = args[0].copy()
    for jit in (0, 2):
        ng.config.jit = jit
        same(written(name, *args), expected)
    numpy.testing.assert_array_equal(args[0], before)
    x = ng.asarray(args[0])
    other = x.copy()
    assert getattr(numpy, name)(x, *args[1:]) is None  # NumPy's function changes its argument
    same(x, expected)
    same(other, before)
    if args[0].dtype == float:
        check_gradient(lambda x: written(name, x, *args[1:]), args[0])


def test_writes_have_gradients_by_what_is_written():
    check_gradient(lambda v: written("put", A, [0, 5, 7], v), normal(3))
    check_gradient(lambda v: written("put", A, [0, 5, 0, 3], v), normal(4))
    check_gradient(lambda v: written("place", A, A > 0, v), normal(2))
    check_gradient(lambda v: written("putmask", A, A > 0, v), B[0])
    check_gradient(lambda v: written("fill_diagonal", A, v), normal(3))
    check_gradient(lambda v: written("copyto", A, v, "same_kind", A > 0), A[0])
    x = ng.asarray(A)
    numpy.copyto(x, A[::-1], where=A > 0)
    same(x, numpy.where(A > 0, A[::-1], A))


def test_trimmed_zeros_get_no_gradient():
    g = ng.grad(lambda x: (np.trim_zeros(x) * [2.0, 3.0, 4.0]).sum())(Z).numpy()
    numpy.testing.assert_array_equal(g, [0.0, 0.0, 2.0, 3.0, 4.0, 0.0])


def test_select():
    conditions = [A > 0.5, A < -0.5]
    for choices, default in (([A, 2 * A], 0), ([A, 3], -1.5), ([A.astype("float32"), 1], 2), ([1, 2], 3)):
        expected = numpy.select(conditions, choices, default)
        for jit in (0, 2):
            ng.config.jit = jit
            same(np.select(conditions, choices, default), expected)
    same(np.select([A[0] > 0], [A]), numpy.select([A[0] > 0], [A]))
    check_gradient(lambda a, b, c: np.select(conditions, [a * a, b], c), A, B[0], A[0])
    check_gradient(lambda a, b: np.choose([[0, 1, 0, 1]], [a, b * b]), A, A[0])


def test_piecewise():
    x = normal(9)
    functions = [lambda x: -x * x, numpy.sin, 0.25]
    for conditions in ([x < -0.4, x > 0.3], [x < 0], x < 0, [[*(x < 0)]]):
        n = 1 if len(conditions) != 2 else 2
        for given in (functions[:n], functions[: n + 1]):
            same(np.piecewise(x, conditions, given), numpy.piecewise(x, conditions, given))
    same(
        np.piecewise(x, [x > 0], [lambda x, a, b: a * x + b], 2.0, b=1.0),
        numpy.piecewise(x, [x > 0], [lambda x, a, b: a * x + b], 2.0, b=1.0),
    )
    same(np.piecewise(numpy.arange(4), [[0, 1, 1, 0]], [2.7]), numpy.piecewise(numpy.arange(4), [[0, 1, 1, 0]], [2.7]))
    same(np.piecewise(-3.0, [True, False], [abs, 1]), numpy.piecewise(-3.0, [True, False], [abs, 1]))
    check_gradient(lambda x: np.piecewise(x, [x < 0.1, x >= 0.1], [np.exp, lambda x: x**3]), x)
    g = ng.grad(lambda x: np.piecewise(x, [x > 0], [np.sqrt]).sum())(numpy.array([-1.0, 0.0, 4.0])).numpy()
    numpy.testing.assert_array_equal(g, [0.0, 0.0, 0.25])


def test_conditions_need_no_values():
    """Under jit, and where a gradient is asked for afterwards."""
    x = normal(9)
    functions = [lambda x: -x * x, np.sin, 0.25]
    expected = numpy.piecewise(x, [x < -0.4, x > 0.3], [lambda x: -x * x, numpy.sin, 0.25])
    same(ng.jit(lambda x: np.piecewise(x, [x < -0.4, x > 0.3], functions))(x), expected)
    same(ng.jit(lambda x: np.select([x < -0.4, x > 0.3], [x, -x]))(x), numpy.select([x < -0.4, x > 0.3], [x, -x]))
    given = ng.asarray(x)
    doubled = 2 * given
    y = np.piecewise(doubled, [doubled > 0], [np.square]).sum()
    numpy.testing.assert_allclose(ng.gradients(y, given)[0].numpy(), numpy.where(x > 0, 8 * x, 0))


MESSAGES = (
    (lambda: np.select([A > 0], []), errors.ArgumentError, r"select: got 1 conditions and 0 choices"),
    (lambda: np.select([], []), errors.ArgumentError, r"select: got 0 conditions"),
    (lambda: np.select([A], [A]), errors.DtypeError, r"select: condlist\[0\] must be boolean, not float64"),
    (lambda: np.choose([2], [A, A]), IndexError, r"choose: index 2 is out of range"),
    (lambda: np.choose([0.5], [A]), errors.DtypeError, r"choose: x must hold integers"),
    (lambda: np.choose([0], []), errors.ArgumentError, r"choose: needs at least one choice"),
    (lambda: np.choose([0], [A], mode="no"), errors.ArgumentError, r"choose: mode must be 'raise', 'clip' or 'wrap'"),
    (lambda: np.piecewise(C, [C > 0], [1, 2, 3]), errors.ArgumentError, r"piecewise: 3 functions for 1 conditions"),
    (lambda: np.compress([[True]], A), errors.ShapeError, r"compress: condition must have 1 dimension"),
    (lambda: np.trim_zeros(Z, "x"), errors.ArgumentError, r"trim_zeros: trim must be 'f', 'b' or 'fb', not 'x'"),
    (lambda: np.put(A.copy(), [12], 1.0), IndexError, r"put: index 12 is out of"),
    (lambda: np.put(A.copy(), [0.5], 1.0), IndexError, r"put: ind"),
    (
        lambda: np.place(A.copy(), [True], 1.0),
        errors.ShapeError,
        r"place: mask has 1 elements, the array 12; they must",
    ),
    (lambda: np.putmask(A.copy(), [True], 1.0), errors.ShapeError, r"putmask: mask has 1 elements, the array 12"),
    (
        lambda: np.fill_diagonal(C.copy(), 1.0),
        errors.ShapeError,
        r"fill_diagonal: a must be a matrix, or have equal ext",
    ),
    (
        lambda: np.fill_diagonal([[1.0]], 1.0),
        errors.ArgumentError,
        r"fill_diagonal: a must be an Array or a NumPy array to",
    ),
    (lambda: np.copyto(numpy.arange(3), 0.5), errors.DtypeError, r"copyto: cannot cast from float64 to int64"),
    (
        lambda: ng.jit(lambda x: np.extract(x > 0, x))(A),
        errors.TracedValueError,
        r"extract: the shape of the result depends on the values of condition",
    ),
)


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
