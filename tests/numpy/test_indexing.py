"""Getting and setting by every kind of index, and functions that gather, scatter and sort, against NumPy."""

import numpy
import pytest
from checking import check_gradient, gradient_arrays, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors, graph
from nbgrad.array import Array

s_ = numpy.s_
MASK = numpy.array([[True, False, True, False], [False, False, True, True], [True, True, False, False]])
ROW_MASK = numpy.array([True, False, True])
#: Indices of an array of shape (3, 4, 5)
BASIC = (
    s_[0], s_[-1], s_[1, 2], s_[1, 2, 3], s_[1, -1, -5], s_[:], s_[...], s_[()], s_[1:], s_[:-1], s_[::2], s_[::-1],
    s_[:, 1:3], s_[..., 0], s_[0, ..., 1], s_[0, 1, 2, ...], s_[:, :, ::-2], s_[2:0:-1], s_[5:1], s_[-100:100], s_[3:],
    s_[None], s_[:, None, 1:2], s_[..., None], s_[None, 0, None, ..., None, -2:], s_[::-1, ::-1, ::-1], s_[0:0, 1],
    s_[numpy.int64(2)], s_[numpy.uint8(1):, 2], s_[-1:-4:-1], s_[2::-2],
)  # fmt: skip
ADVANCED = (
    s_[[0, 2]], s_[[0, -1, 0]], s_[[[0, 1], [2, 0]]], s_[:, [1, 3]], s_[..., [0, 4, 4]], s_[[0, 1], [2, 3]],
    s_[[0, 1], [2, 3], [4, 0]], s_[[0, 1], :, [4, 0]], s_[:, [0, 1], [4, 0]], s_[0, [1, 2]], s_[0, :, [1, 2]],
    s_[[1, 2], 0], s_[[1, 2], :, 0], s_[:, 0, [1, 2]], s_[:, [1, 2], 0], s_[0, [1, 2], 3], s_[[0], None, [1]],
    s_[None, [0, 1]], s_[[0, 1], None], s_[[[0], [1]], [0, 1, 2]], s_[[0, 1], ..., [1, 2]], s_[1:, [0, 3], ::2],
    s_[::-1, [0, 3]], s_[[2, 0], 1:3, ::-1], s_[[0, 1], [0, 1], ...], s_[..., [0, 1], [0, 1]], s_[[]], s_[:, []],
    s_[[0, 1], 1:2, 0, None], s_[None, 0, [0, 1]], s_[None, :, 0, [0, 1]], s_[numpy.array(1)],
    s_[numpy.array(1), :, [0, 1]],
    s_[[0, 1], numpy.array(2)], s_[numpy.zeros((2, 0), int)], s_[0:0, [0, 1]], s_[[0, 1], [[1], [2]], ::2],
    s_[[0, 1], None, None, [0, 1]], s_[:, None, [0, 1], 0], s_[0, None, [0, 1]],
)  # fmt: skip
MASKED = (
    s_[MASK], s_[ROW_MASK], s_[ROW_MASK, 1], s_[:, [True, False, True, False]], s_[ROW_MASK, :, [0, 4]], s_[MASK, 0],
    s_[MASK, ::2], s_[1:3, [False, True, True, False], 0], s_[..., numpy.zeros(5, bool)], s_[True], s_[False],
    s_[None, MASK], s_[numpy.zeros((3, 4, 5), bool)], s_[numpy.array(True)], s_[True, [0, 1]], s_[[0, 1], True],
    s_[:, numpy.ones((4, 5), bool)], s_[0, True], s_[numpy.ones((3, 4, 5), bool)],
)  # fmt: skip
EVERY = BASIC + ADVANCED + MASKED
X = normal(3, 4, 5)


def put_along(x, *arguments):
    """A copy of x that was written to."""
    x = ng.asarray(x).copy()
    assert np.put_along_axis(x, *arguments) is None
    return x


@pytest.mark.parametrize("index", EVERY, ids=str)
def test_get(index):
    same(ng.asarray(X)[index], X[index])


@pytest.mark.parametrize("index", EVERY, ids=str)
def test_gradient_of_get(index):
    x = ng.asarray(X)
    y = x[index]
    weights = normal(*y.shape, seed=1)
    expected = numpy.zeros(X.shape)
    numpy.add.at(expected, index, weights)
    (found,) = gradient_arrays([y], [x], [weights])
    same(found, expected)


def unrepeated(index):
    """Whether an index names no element twice: what NumPy writes is defined then."""
    count = numpy.zeros(X.shape)
    numpy.add.at(count, index, 1)
    return count.max() <= 1


@pytest.mark.parametrize("index", EVERY, ids=str)
def test_set(index):
    shape = X[index].shape
    values = [7.5, normal(*shape, seed=2), normal(*shape[-1:], seed=3), normal(1, 1, *shape, seed=4)]
    if not unrepeated(index):
        values = values[:1]
    for v in values:
        x, expected = ng.asarray(X), X.copy()
        before = x.copy()
        try:
            expected[index] = v
        except (ValueError, TypeError):  # surplus axes of extent 1, which NumPy takes for some indices only
            expected[index] = v.reshape(shape)
        x[index] = v
        same(x, expected)
        same(before, X)


@pytest.mark.parametrize("index", [i for i in EVERY if unrepeated(i)], ids=str)
def test_gradient_of_set(index):
    x, v = ng.asarray(X), ng.asarray(normal(*X[index].shape, seed=2))
    y = x.copy()
    y[index] = v
    weights = normal(*X.shape, seed=5)
    kept = weights.copy()
    kept[index] = 0
    dx, dv = gradient_arrays([y], [x, v], [weights])
    same(dx, kept)
    same(dv, weights[index])


@pytest.mark.parametrize("index", [*ADVANCED[:8], *BASIC[:6], *MASKED[:4]], ids=str)
def test_in_place_operators(index):
    x, expected = ng.asarray(X), X.copy()
    x[index] += 1.5
    expected[index] += 1.5
    same(x, expected)
    x[index] *= x[index]
    expected[index] *= expected[index]
    same(x, expected)


def test_in_place_gradient():
    def step(x, v):
        y = np.zeros((4,)) + x
        y[1:-1] += v[:-1] * y[:-2]
        y[[0, 3]] *= y[[3, 0]]
        y[y > 100] = 0.0
        y[::-1][1:] = 3.0  # a temporary: values, not views
        return y

    check_gradient(step, normal(4), normal(3))


@pytest.mark.parametrize(
    "index", [s_[[0, 0, 2]], s_[1:], s_[[0, 0], 1], s_[:, [1, 1, 1]], s_[MASK], s_[[2, 2], ::-1, [1, 1]]], ids=str
)
def test_add_at(index):
    v = normal(*X[index].shape, seed=1)
    expected = X.copy()
    numpy.add.at(expected, index, v)
    same(np.add_at(X, index, v), expected)
    check_gradient(lambda v: np.add_at(X, index, v), v[..., :1], second=False)


def test_last_of_repeated_writes_wins():
    def write(x, v):
        y = x * 1
        y[[0, 2, 0]] = v
        return y

    same(write(ng.asarray([1.0, 2.0, 3.0]), ng.asarray([4.0, 5.0, 6.0])), numpy.array([6.0, 2.0, 5.0]))
    check_gradient(write, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    check_gradient(lambda x, v: put_along(x, [[0, 0], [1, 1]], v, 1), normal(2, 3), normal(2, 2))


def test_second_derivative_through_indices():
    check_gradient(lambda x: x[[0, 1, 1], 2] ** 3, normal(2, 3))
    check_gradient(lambda x: x[1:, ::-1] ** 3, normal(2, 3))


@pytest.mark.parametrize("dtype", ["int64", "int8", "float32", "bool", "uint16"])
def test_dtype(dtype):
    x = numpy.array([1, 0, 3, 4]).astype(dtype)
    same(ng.asarray(x)[[0, 2]], x[[0, 2]])
    y, expected = ng.asarray(x), x.copy()
    y[1:3] = 1
    expected[1:3] = 1
    y[[0]] = numpy.array([1.0])
    expected[[0]] = numpy.array([1.0])
    y[x > 2] = 0
    expected[x > 2] = 0
    same(y, expected)


def test_setting_casts_as_numpy():
    x, expected = ng.asarray([1, 2, 3]), numpy.array([1, 2, 3])
    x[0], expected[0] = 2.9, 2.9
    x[1:], expected[1:] = [7.7, -1.2], [7.7, -1.2]
    same(x, expected)


def test_arrays_as_indices():
    x, i = ng.asarray(X), ng.asarray([2, 0])
    same(x[i], X[[2, 0]])
    same(x[i - 1], X[[1, -1]])
    same(x[np.argmax(x[:, 0, 0])], X[X[:, 0, 0].argmax()])
    same(x[:, ng.asarray(1)], X[:, 1])
    same(x[x > 0], X[X > 0])
    same(x[int(i[0])], X[2])
    same(x[1 : i[0]], X[1:2])
    with pytest.raises(IndexError):
        x[i + 1]


def test_empty_axes():
    x = numpy.zeros((0, 3))
    for index in (s_[:], s_[..., 1], s_[[]], s_[:, [0, 1]], s_[x > 0], s_[::-1]):
        same(ng.asarray(x)[index], x[index])


def abstract(shape, dtype="float64"):
    """An array as jit sees it: no value."""
    return Array(graph.Node(None, (), (), shape, numpy.dtype(dtype)))


def evaluated(y, x, value):
    """`y` with `value` in place of the abstract array `x`."""
    from nbgrad.compile.program import Program

    return Array(graph.leaf(Program([x._node], [y._node]).run([value])[0]))


def test_under_a_trace():
    x, i = ng.asarray(X), abstract((2,), "int64")
    same(evaluated(x[i], i, numpy.array([2, -3])), X[[2, -3]])
    same(evaluated(x[:, i, 0], i, numpy.array([1, 0])), X[:, [1, 0], 0])
    z = abstract((3,))
    y = z.copy()
    y[z > 1] = 0.0
    same(evaluated(y, z, numpy.array([0.5, 2.0, 3.0])), numpy.array([0.5, 0.0, 0.0]))
    same(evaluated(np.sort(z), z, numpy.array([3.0, 2.0, 2.5])), numpy.array([2.0, 2.5, 3.0]))
    for call in (lambda: z[z > 1], lambda: np.nonzero(z), lambda: np.where(z)):
        with pytest.raises(errors.TracedValueError, match=r"ng\.where\(mask, x, 0\)"):
            call()


MESSAGES = (
    (s_[3], r"index 3 is out of range for axis 0 of extent 3"),
    (s_[0, -5], r"index -5 is out of range for axis 1 of extent 4"),
    (s_[[0, 7]], r"index 7 is out of range for axis 0 of extent 3"),
    (s_[:, [0, -9]], r"index -9 is out of range for axis 1 of extent 4"),
    (s_[0, 0, 0, 0], r"the array has 3 dimensions, the index names 4"),
    (s_[..., ...], r"only one ellipsis"),
    (s_[1.5], r"1.5 is not an index; use integers, slices"),
    (s_["a"], r"'a' is not an index"),
    (s_[[0.5, 1.0]], r"must hold integers or booleans; .*Cast with .astype\('int64'\)"),
    (s_[[True, False]], r"axis 0 of x has extent 3, axis 0 of the mask has 2"),
    (s_[[0, 1], [0, 1, 2]], r"shapes \(2,\), \(3,\), which do not broadcast"),
)


@pytest.mark.parametrize(("index", "text"), MESSAGES, ids=str)
def test_index_error(index, text):
    x = ng.asarray(X)
    with pytest.raises(IndexError, match=text):
        x[index]
    with pytest.raises(IndexError, match=text):
        x[index] = 0.0


def test_set_shape_error():
    x = ng.asarray(X)
    for index in (s_[0], s_[[0, 1]], s_[MASK]):
        with pytest.raises(errors.ShapeError, match=r"x\[index\] = v: v has shape \(3,\), which does not broadcast"):
            x[index] = numpy.ones(3)


# ---------------------------------------------------------------- functions


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_take(axis):
    for indices in ([0, 2, 0], 1, [[1, 0], [-1, 2]], []):
        i = numpy.array(indices, int)
        same(np.take(X, i, axis), numpy.take(X, i, axis))
        same(ng.asarray(X).take(i, axis), numpy.take(X, i, axis))
    for mode in ("clip", "wrap"):
        same(np.take(X, [7, -9, 1], axis, mode=mode), numpy.take(X, [7, -9, 1], axis, mode=mode))
    with pytest.raises(IndexError, match="take: index 99 is out of range"):
        np.take(X, [99], axis)
    with pytest.raises(IndexError, match="take: indices must be integers"):
        np.take(X, [0.5])
    check_gradient(lambda x: np.take(x, [0, 1, 0], axis), X[:, :2, :2], second=False)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("descending", [False, True])
def test_sort(axis, descending):
    x = numpy.round(X * 2)  # with ties
    order = numpy.argsort(-x if descending else x, axis=axis, kind="stable")
    same(np.argsort(x, axis, descending=descending), order)
    expected = numpy.sort(x, axis=axis)
    if descending:
        expected = numpy.flip(expected, -1 if axis is None else axis)
    same(np.sort(x, axis, descending=descending), expected)
    same(ng.asarray(x).argsort(axis), numpy.argsort(x, axis=axis, kind="stable"))
    check_gradient(lambda x: np.sort(x, axis, descending=descending), X[:, :2, :2], second=False)


def test_sort_nan_and_empty():
    x = numpy.array([numpy.nan, 2.0, -numpy.inf, 1.0])
    same(np.sort(x), numpy.sort(x))
    same(np.sort(numpy.zeros((0, 3)), 0), numpy.zeros((0, 3)))
    same(np.sort(numpy.array([3, 1, 2], "int8")), numpy.array([1, 2, 3], "int8"))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_along_axis(axis):
    order = numpy.argsort(X, axis)
    same(np.take_along_axis(X, order, axis), numpy.take_along_axis(X, order, axis))
    first = numpy.take(order, [0], axis)
    same(np.take_along_axis(X, first, axis), numpy.take_along_axis(X, first, axis))
    expected = X.copy()
    numpy.put_along_axis(expected, first, 9.0, axis)
    same(put_along(X, first, 9.0, axis), expected)
    check_gradient(lambda x: np.take_along_axis(x, first[:, :2, :2] % 2, axis), X[:, :2, :2], second=False)
    with pytest.raises(IndexError, match="do not fit x"):
        np.take_along_axis(X, [0, 1], axis)


def test_take_along_axis_broadcasts():
    i = numpy.array([[[0, 3]]])
    same(np.take_along_axis(X, i, 2), numpy.take_along_axis(X, i, 2))


def test_segment_sum():
    data, ids = normal(5, 2), numpy.array([0, 2, 0, 3, 2])
    expected = numpy.zeros((4, 2))
    numpy.add.at(expected, ids, data)
    same(np.segment_sum(data, ids, 4), expected)
    same(np.segment_sum([1, 2], [1, 1], 2), numpy.array([0, 3]))
    same(np.segment_sum(numpy.zeros((0, 2)), [], 3), numpy.zeros((3, 2)))
    check_gradient(lambda x: np.segment_sum(x, ids, 4) ** 2, data)
    with pytest.raises(errors.ShapeError, match="one id for each row"):
        np.segment_sum(data, [0, 1], 4)
    with pytest.raises(IndexError, match="segment_sum: index 3 is out of range for axis 0 of extent 3"):
        np.segment_sum(data, ids, 3)


def test_nonzero():
    x = numpy.array([[1, 0], [0, 2]])
    same(np.nonzero(x), numpy.nonzero(x))
    same(np.flatnonzero(x), numpy.flatnonzero(x))


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side):
    x, v = numpy.array([1.0, 2.0, 2.0, 5.0]), numpy.array([[0.0, 2.0], [3.0, 9.0]])
    same(np.searchsorted(x, v, side), numpy.searchsorted(x, v, side))
    same(np.searchsorted(x, 2.0, side), numpy.searchsorted(x, 2.0, side))
