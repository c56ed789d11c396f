"""Methods, attributes and in-place operators of Array against those of ndarray."""

import operator
import pickle

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors, methods

X = numpy.random.default_rng(1).normal(size=(3, 4))
DTYPES = ("float64", "float32", "int64", "int8", "uint16", "bool", "complex128", "complex64")
TOLERANCE = {"float32": 1e-6, "complex64": 1e-6}


def same(ours, theirs):
    """Assert that an Array has NumPy's dtype, shape and values."""
    theirs = numpy.asarray(theirs)
    assert isinstance(ours, ng.Array)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    rtol = TOLERANCE.get(str(theirs.dtype), 1e-12)
    numpy.testing.assert_allclose(ours.numpy(), theirs, rtol=rtol, atol=rtol)


#: Calls of methods that give one array.
CALLS = (
    lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.sum(1, None, None, True), lambda x: x.sum(axis=-1, initial=2.0),
    lambda x: x.sum(axis=0, dtype="float32", keepdims=True), lambda x: x.prod(1), lambda x: x.max(0),
    lambda x: x.max(axis=1, initial=0.5, where=numpy.array([True, False, True, True])), lambda x: x.min(),
    lambda x: x.mean(0), lambda x: x.mean(1, dtype="float32"), lambda x: x.std(0, None, None, 1),
    lambda x: x.var(axis=1, ddof=1, keepdims=True), lambda x: x.any(0), lambda x: x.all(axis=1, keepdims=True),
    lambda x: x.argmax(), lambda x: x.argmin(1), lambda x: x.argmax(axis=0, keepdims=True), lambda x: x.cumsum(),
    lambda x: x.cumsum(1), lambda x: x.cumprod(axis=0), lambda x: x.round(1), lambda x: x.round(decimals=2),
    lambda x: x.clip(-0.5, 0.5), lambda x: x.clip(min=0), lambda x: x.clip(max=0.1), lambda x: x.take([1, 0], 1),
    lambda x: x.take([9, -9], mode="wrap"), lambda x: x.repeat(2), lambda x: x.repeat([1, 0, 2], axis=0),
    lambda x: x.reshape(4, 3), lambda x: x.reshape((2, -1)), lambda x: x.reshape((4, 3), order="F"),
    lambda x: x.transpose(), lambda x: x.transpose(1, 0), lambda x: x.transpose((1, 0)), lambda x: x.T, lambda x: x.mT,
    lambda x: x.swapaxes(0, 1), lambda x: x.ravel(), lambda x: x.ravel("F"), lambda x: x.flatten(),
    lambda x: x.flatten(order="F"), lambda x: x[:1].squeeze(), lambda x: x[:1].squeeze(axis=0), lambda x: x.diagonal(1),
    lambda x: x.trace(), lambda x: x.trace(1), lambda x: x.dot(x.T), lambda x: x.argsort(), lambda x: x.argsort(0),
    lambda x: x.argsort(axis=0, kind="stable"), lambda x: x.nonzero()[0], lambda x: x.astype("float32"),
    lambda x: x.astype("int64", casting="unsafe", copy=False), lambda x: x.copy(), lambda x: x.copy(order="C"),
    lambda x: x.conj(), lambda x: x.conjugate(), lambda x: x.real,
    lambda x: abs(x[0]).cumsum().searchsorted(x[1], "right"),
    lambda x: abs(x[0]).cumsum()[::-1].searchsorted(x[1], sorter=[3, 2, 1, 0]),
    lambda x: x.flat[3], lambda x: x.flat[[1, 2]],
    lambda x: x.flat[2:5], lambda x: x.flat.copy(),
)  # fmt: skip


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("index", range(len(CALLS)))
def test_method(index, jit, monkeypatch):
    monkeypatch.setattr(ng.config, "jit", jit)
    for x in (X, X.T.copy().T, X[:, ::-1]):
        same(CALLS[index](ng.asarray(x)), CALLS[index](x))


def test_out_of_methods():
    for call in (
        lambda x, out: x.sum(0, out=out), lambda x, out: x.mean(0, None, out), lambda x, out: x.max(0, out),
        lambda x, out: x.take([0, 1, 2, 3], 1, out), lambda x, out: x[0].round(1, out),
        lambda x, out: x[0].clip(0, 1, out),
    ):  # fmt: skip
        shape = (3, 4) if call.__code__.co_names[0] == "take" else (4,)
        expected, out = numpy.zeros(shape), ng.asarray(numpy.zeros(shape))
        call(X, expected)
        call(ng.asarray(X), out)
        same(out, expected)


def test_attributes():
    x = ng.asarray(X)
    for name in ("shape", "ndim", "size", "itemsize", "nbytes", "dtype"):
        assert getattr(x, name) == getattr(X, name)
    assert x.tobytes() == X.tobytes()
    assert x.tobytes("F") == X.tobytes("F")
    assert x.item(5) == X.item(5)
    assert x.item(1, 2) == x.item((1, 2)) == X.item(1, 2)
    assert ng.asarray([2.5]).item() == 2.5
    assert [float(v) for v in x.flat] == list(X.flat)
    assert len(x.flat) == 12
    numpy.testing.assert_array_equal(numpy.asarray(x.flat), X.ravel())
    assert x.flat.base is x
    assert complex(ng.asarray(1 + 2j)) == 1 + 2j
    same(pickle.loads(pickle.dumps(x)), X)


def changed(action, x):
    """What an array is after an action on it in place, which returns nothing."""
    assert action(x) is None
    return x


def set_attribute(name, value):
    """An action that assigns to an attribute."""
    return lambda x: setattr(x, name, value)


#: Actions in place on an array of shape (3, 4).
ACTIONS = (
    lambda x: x.sort(), lambda x: x.sort(0), lambda x: x.sort(axis=0, kind="stable"), lambda x: x.fill(2.5),
    lambda x: x.put([0, 5, -1], [1.0, 2.0]), lambda x: x.put([40, -40], 7, "wrap"),
    lambda x: x.put([40, -40], [7, 8], mode="clip"), lambda x: x.put([1, 1], [3.0, 4.0]), lambda x: x.put([], []),
    lambda x: x.resize((2, 3), refcheck=False), lambda x: x.resize(5, 3, refcheck=False),
    lambda x: x.resize(4, refcheck=False), set_attribute("real", 3.0),
    set_attribute("real", numpy.arange(4.0)), set_attribute("flat", [1.0, 2.0, 3.0]), set_attribute("flat", 0.5),
    lambda x: x.flat.__setitem__(3, 9.0), lambda x: x.flat.__setitem__(slice(2, 5), [1.0, 2.0, 3.0]),
    lambda x: numpy.copyto(x, [1.0, 2.0, 3.0, 4.0]), lambda x: numpy.copyto(x, 5, where=[True, False, False, True]),
    lambda x: numpy.place(x, X > 0, [1.0, 2.0]), lambda x: numpy.putmask(x, X > 0, [1.0, 2.0]),
    lambda x: numpy.put_along_axis(x, numpy.array([[0], [1], [2]]), 9.0, axis=1),
    lambda x: numpy.put(x, [[0, 1], [2, 3]], [5.0]), lambda x: numpy.place(x, X > 9, []),
)  # fmt: skip


@pytest.mark.parametrize("index", range(len(ACTIONS)))
def test_in_place(index):
    x = ng.asarray(X)
    other = x.copy()
    same(changed(ACTIONS[index], x), changed(ACTIONS[index], X.copy()))
    same(other, X)


@pytest.mark.parametrize("name", ["copyto", "put", "place", "putmask"])
def test_assignment_functions_on_both_kinds_of_arrays(name):
    arguments = {
        "copyto": (X * 2,), "put": ([1, 3], [8.0, 9.0]), "place": (X > 0, [1.0, 2.0]), "putmask": (X > 0, X * 3),
    }[name]  # fmt: skip
    expected, array, plain = X.copy(), ng.asarray(X), X.copy()
    getattr(numpy, name)(expected, *arguments)
    getattr(np, name)(array, *arguments)
    getattr(np, name)(plain, *map(ng.asarray, arguments))
    same(array, expected)
    numpy.testing.assert_array_equal(plain, expected)


@pytest.mark.parametrize("name", ["copyto", "put", "place", "putmask", "put_along_axis", "fill", "flat", "sort"])
def test_gradient_of_what_is_done_in_place(name):
    mask = X > 0

    def run(xp, x, v):
        y = x * 1
        if name == "copyto":
            numpy.copyto(y, v[:4], where=mask)
        elif name == "put":
            numpy.put(y, [0, 7, 0, 3, 7], v)
        elif name in ("place", "putmask"):
            getattr(numpy, name)(y, mask, v)
        elif name == "put_along_axis":
            numpy.put_along_axis(y, numpy.array([[0, 1], [2, 2], [3, 1]]), v[:2], 1)
        elif name == "fill":
            factor = y * 1
            factor.fill(3.0)
            y *= factor
            y[0] += v[:4]
        elif name == "flat":
            y.flat[2:7] = v
        else:
            y.sort(axis=0)
        return (y**3).sum()

    v = numpy.arange(1.0, 6.0)
    dx, dv = ng.grad(lambda x, v: run(np, x, v), (0, 1))(X, v)
    for at, values, found in ((0, X, dx.numpy()), (1, v, dv.numpy())):
        expected = numpy.zeros_like(values)
        for i in numpy.ndindex(values.shape):
            ends = []
            for h in (1e-5, -1e-5):
                moved = [X.copy(), v.copy()]
                moved[at][i] += h
                ends.append(run(numpy, *moved))
            expected[i] = (ends[0] - ends[1]) / 2e-5
        numpy.testing.assert_allclose(found, expected, atol=1e-6)


def test_parts_of_complex_numbers():
    z = X[:2] + 1j * X[1:]
    for name in ("real", "imag"):
        for value in (2.0, X[0], numpy.float32(1.5)):
            expected, ours = z.copy(), ng.asarray(z)
            setattr(expected, name, value)
            setattr(ours, name, value)
            same(ours, expected)
    with pytest.raises(TypeError, match="imag: the array is real and has no imaginary part to set"):
        ng.asarray(X).imag = 1.0


OPERATORS = (
    "iadd",
    "isub",
    "imul",
    "itruediv",
    "ifloordiv",
    "imod",
    "ipow",
    "iand",
    "ior",
    "ixor",
    "ilshift",
    "irshift",
)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_place_operators(name, dtype):
    """Value, dtype and errors of ``a op= b`` are NumPy's, for arrays and numbers of every kind."""
    apply = getattr(operator, name)
    values = numpy.array([[3, 1, 2], [5, 4, 7]])
    for other in (*(numpy.array([1, 2, 1]).astype(d) for d in DTYPES), 2, 1.5, 2j, True):
        expected, ours = values.astype(dtype), ng.asarray(values.astype(dtype))
        if dtype == "bool" and numpy.result_type(other).kind == "b" and name not in ("iand", "ior", "ixor"):
            continue  # booleans are no numbers here
        alias = ours
        try:
            with numpy.errstate(all="ignore"):
                expected = apply(expected, other)
        except TypeError:
            with pytest.raises((TypeError, ValueError)):
                apply(ours, other if not isinstance(other, numpy.ndarray) else ng.asarray(other))
            continue
        ours = apply(ours, other if not isinstance(other, numpy.ndarray) else ng.asarray(other))
        assert ours is alias
        same(ours, expected)


def test_in_place_matmul():
    a, b = X[:, :3].copy(), X[:, 1:].copy()
    ours = ng.asarray(a)
    ours @= ng.asarray(b)
    a @= b
    same(ours, a)


def test_in_place_messages():
    x = ng.asarray([1, 2, 3])
    with pytest.raises(errors.DtypeError, match=r"a \+= b: cannot cast from float64 to int64 with casting rule"):
        x += 1.5
    with pytest.raises(errors.ShapeError, match=r"a \*= b: the result has shape \(2, 3\), which does not fit the"):
        x *= numpy.ones((2, 3), int)
    with pytest.raises(errors.DtypeError, match=r"a /= b: cannot cast from float64 to int64"):
        x /= 2
    same(x, numpy.array([1, 2, 3]))


def test_in_place_operators_leave_parameters_alone():
    w = ng.Parameter([1.0, 2.0])
    y = w
    y += 1.0
    assert y is not w
    same(y, numpy.array([2.0, 3.0]))
    same(w.copy(), numpy.array([1.0, 2.0]))
    numpy.add(w, 1.0, out=w)
    same(w.copy(), numpy.array([2.0, 3.0]))


def test_gradient_through_in_place_operators():
    def run(a, b):
        c = a * 1
        c += b
        c *= c
        c[0] -= b[1]
        c **= 2
        c /= b
        return c.sum()

    a, b = numpy.array([1.0, 2.0]), numpy.array([0.5, 3.0])
    found = ng.grad(run, (0, 1))(a, b)
    for k in range(2):
        for i in range(2):
            ends = []
            for h in (1e-6, -1e-6):
                moved = [a.copy(), b.copy()]
                moved[k][i] += h
                ends.append(run(*moved))
            assert float(found[k][i]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("name", methods.LEFT_OUT)
def test_left_out(name):
    x = ng.asarray(X)
    assert not hasattr(x, name)
    with pytest.raises(AttributeError, match=f"an Array has no {name}: "):
        getattr(x, name)


def test_every_attribute_of_ndarray_is_there_or_explained():
    x = ng.asarray(X)
    missing = {
        n for n in dir(numpy.ndarray) if not n.startswith("_") and n not in methods.LEFT_OUT and not hasattr(x, n)
    }
    assert not missing
    with pytest.raises(AttributeError, match="'Array' object has no attribute 'strange'"):
        x.strange  # noqa: B018


MESSAGES = (
    (lambda x: x.astype("int64", casting="safe"), TypeError, r"astype: cannot cast from float64 to int64 .* 'safe'"),
    (lambda x: np.put(x, [99], 1.0), IndexError, "put: index 99 is out of range for axis 0 of extent 12"),
    (lambda x: np.put(x, [0], 1.0, "around"), TypeError, "put: mode must be 'raise', 'clip' or 'wrap', not 'around'"),
    (lambda x: np.put(3.0, [0], 1.0), TypeError, "put: a must be an Array or a NumPy array to write to, not float 3.0"),
    (
        lambda x: np.place(x, [True], [1.0]),
        ValueError,
        "place: mask has 1 elements, the array 12; they must be as",
    ),
    (lambda x: np.place(x, X > -9, []), ValueError, "place: cannot insert from an empty array"),
    (lambda x: np.putmask(x, X > 0, 1j), TypeError, "putmask: cannot write complex128 into an array of float64"),
    (lambda x: np.copyto(x, [1j] * 4), TypeError, "copyto: cannot cast from complex128 to float64 with casting rule"),
    (lambda x: np.copyto(x, [1.0, 2.0]), ValueError, r"copyto: src of shape \(2,\) does not broadcast to dst of shape"),
    (lambda x: setattr(x, "flat", []), ValueError, "flat: cannot fill an array from no elements"),
)


@pytest.mark.parametrize("index", range(len(MESSAGES)))
def test_message(index):
    call, kind, text = MESSAGES[index]
    with pytest.raises(kind, match=text):
        call(ng.asarray(X))


def test_place_under_a_trace():
    def run(x):
        np.place(x, x > 0, [1.0])
        return x

    with pytest.raises(errors.TracedValueError, match=r"place: .* depends on the values of mask"):
        ng.jit(run)(X)

    def masked(x):
        y = x * 1
        np.putmask(y, x > 0, [1.0, 2.0])
        return y

    expected = X.copy()
    numpy.putmask(expected, X > 0, [1.0, 2.0])
    same(ng.jit(masked)(X), expected)
