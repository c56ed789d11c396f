"""NumPy's own functions called on Arrays."""

import doctest
import importlib
import inspect

import numpy
import pytest
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors
from nbgrad.numpy import protocols

A = normal(2, 3)


def x():
    return ng.asarray(A)


CALLS = (
    lambda f, a: f.sin(a),
    lambda f, a: f.add(a, 1),
    lambda f, a: f.add(1.5, a),
    lambda f, a: f.add(a, 1, dtype="float32").astype("float64"),
    lambda f, a: f.divmod(a, 0.7),
    lambda f, a: f.matmul(a, a.T),
    lambda f, a: f.sum(a),
    lambda f, a: f.sum(a, axis=1, keepdims=True),
    lambda f, a: f.mean(a, 0),
    lambda f, a: f.std(a, axis=1, ddof=1),
    lambda f, a: f.max(a, axis=0),
    lambda f, a: f.amin(a),
    lambda f, a: f.concatenate([a, a], axis=1),
    lambda f, a: f.stack((a, a)),
    lambda f, a: f.where(a > 0, a, 0),
    lambda f, a: f.reshape(a, (3, 2)),
    lambda f, a: f.transpose(a),
    lambda f, a: f.clip(a, -0.5, 0.5),
    lambda f, a: f.clip(a, None, 0.5),
    lambda f, a: f.dot(a, a.T),
    lambda f, a: f.einsum("ij,kj->ik", a, a),
    lambda f, a: f.tensordot(a, a, axes=2),
    lambda f, a: f.zeros_like(a),
    lambda f, a: f.pad(a, 1),
    lambda f, a: f.split(a, 3, axis=1),
    lambda f, a: f.argsort(a, axis=0),
    lambda f, a: f.sort(a),
    lambda f, a: f.cumsum(a, axis=1),
    lambda f, a: f.round(a, 1),
    lambda f, a: f.isclose(a, a),
    lambda f, a: f.add.reduce(a),
    lambda f, a: f.add.reduce(a, axis=None),
    lambda f, a: f.multiply.reduce(a, axis=1),
    lambda f, a: f.maximum.reduce(a, axis=1, keepdims=True),
    lambda f, a: f.logical_and.reduce(a > 0),
    lambda f, a: f.add.accumulate(a, axis=1),
    lambda f, a: f.multiply.accumulate(a),
    lambda f, a: f.subtract.outer(a[0], a[1]),
    lambda f, a: f.outer(a, a),
    lambda f, a: f.linspace(a[0], a[1], 3),
    lambda f, a: f.sum(a=a),
)


@pytest.mark.parametrize("index", range(len(CALLS)))
def test_numpy_function(index):
    same(CALLS[index](numpy, x()), CALLS[index](numpy, A))


def test_ndarray_on_the_left():
    same(A + x(), A + A)
    same(A @ x().T, A @ A.T)
    same(x() < A, A > A)
    same(numpy.float64(2.0) * x(), 2 * A)


def test_unedited_numpy_code_is_differentiable():
    def program(a, b):
        z = numpy.tanh(numpy.dot(a, b.T))
        z = numpy.concatenate([z, numpy.exp(-z)], axis=0)
        return numpy.sum(numpy.where(z > 0.5, z**2, numpy.log1p(numpy.abs(z)))) / numpy.size(z)

    check_gradient(program, normal(2, 3), normal(4, 3))


UNSUPPORTED = (
    (lambda: numpy.lib.scimath.sqrt(x()), r"sqrt: not supported on Arrays, so that it has no gradient"),
    (lambda: numpy.savetxt("f", x()), r"numpy.savetxt\(file, x.numpy\(\)\)"),
    (lambda: numpy.save("f", x()), r"numpy.save: got an Array, .* write numpy.save\(file, x.numpy\(\)\)"),
    (lambda: numpy.sum(x(), out=A), r"sum: the result has shape \(\), which does not fit the array of shape \(2, 3\)"),
    (lambda: numpy.add(x(), 1, out=ng.asarray([1])), r"numpy.add: cannot cast from float64 to int64 with casting rule"),
    (lambda: numpy.sort(x(), order="f"), r"sort: order names fields, and Arrays have none"),
)


@pytest.mark.parametrize("index", range(len(UNSUPPORTED)))
def test_unsupported(index):
    call, text = UNSUPPORTED[index]
    with pytest.raises((TypeError, ValueError), match=text):
        call()


# ---------------------------------------------------------------- ufuncs with keywords

B = normal(2, 3, seed=8)
MASK = numpy.array([[True, False, True], [False, True, True]])
INTEGERS = numpy.array([[1, 2, 3], [6, 5, 12]])
#: Calls of a ufunc, or of a method of it, on arrays of floats, integers and booleans.
UFUNC_CALLS = (
    lambda f, a, b, i, m: f.add(a, b, where=m, out=f.zeros_like(a)),
    lambda f, a, b, i, m: f.sqrt(a, where=a > 0, out=f.ones_like(a)),
    lambda f, a, b, i, m: f.divide(a, i - 1, where=i != 1, out=f.zeros_like(a)),
    lambda f, a, b, i, m: f.add(i, i, dtype="float32"),
    lambda f, a, b, i, m: f.multiply(i, 2, dtype=float),
    lambda f, a, b, i, m: f.less(a, b, dtype=bool),
    lambda f, a, b, i, m: f.add(a, b, dtype="float32", casting="same_kind"),
    lambda f, a, b, i, m: f.add(a, i, dtype="int64", casting="unsafe"),
    lambda f, a, b, i, m: f.add(i, i, signature="dd->d"),
    lambda f, a, b, i, m: f.exp(a, order="C", subok=False),
    lambda f, a, b, i, m: f.add(a[0], b[1], out=f.zeros_like(a)),
    lambda f, a, b, i, m: f.divmod(a, b, out=(f.zeros_like(a), f.zeros_like(b))),
    lambda f, a, b, i, m: f.add.reduce(a, axis=1, where=m),
    lambda f, a, b, i, m: f.add.reduce(a, initial=3.0),
    lambda f, a, b, i, m: f.add.reduce(a, (0, 1)),
    lambda f, a, b, i, m: f.add.reduce(i, dtype="float32"),
    lambda f, a, b, i, m: f.multiply.reduce(a, where=m, initial=2.0, keepdims=True),
    lambda f, a, b, i, m: f.maximum.reduce(a, axis=None, where=m, initial=-1.0),
    lambda f, a, b, i, m: f.minimum.reduce(a, out=f.zeros_like(a[0])),
    lambda f, a, b, i, m: f.logical_or.reduce(m, axis=1),
    lambda f, a, b, i, m: f.logical_and.reduce(m, axis=1, initial=False),
    lambda f, a, b, i, m: f.logical_xor.reduce(m, axis=None),
    lambda f, a, b, i, m: f.logical_xor.reduce(a, axis=0),
    lambda f, a, b, i, m: f.hypot.reduce(a, axis=(0, 1)),
    lambda f, a, b, i, m: f.hypot.reduce(a, axis=1, where=m),
    lambda f, a, b, i, m: f.logaddexp.reduce(a, axis=1, keepdims=True),
    lambda f, a, b, i, m: f.logaddexp2.reduce(a, axis=-1, initial=0.5),
    lambda f, a, b, i, m: f.fmax.reduce(f.where(m, a, f.nan), axis=1),
    lambda f, a, b, i, m: f.fmin.reduce(a, axis=1, where=m, initial=0.25),
    lambda f, a, b, i, m: f.bitwise_or.reduce(i, axis=1),
    lambda f, a, b, i, m: f.bitwise_and.reduce(i, axis=None),
    lambda f, a, b, i, m: f.bitwise_xor.reduce(i, axis=1, where=m),
    lambda f, a, b, i, m: f.subtract.reduce(a, axis=1),
    lambda f, a, b, i, m: f.subtract.reduce(a, axis=1, initial=1.0),
    lambda f, a, b, i, m: f.divide.reduce(i, axis=1),
    lambda f, a, b, i, m: f.power.reduce(f.abs(a), axis=0),
    # axis 0: along rows NumPy 2.4 gets arctan2 wrong on processors with AVX-512
    lambda f, a, b, i, m: f.arctan2.reduce(a, axis=0),
    lambda f, a, b, i, m: f.hypot.reduce(a[:, :0], axis=1),
    lambda f, a, b, i, m: f.add.reduce(a[0, 0]),
    lambda f, a, b, i, m: f.add.accumulate(i, dtype="float64"),
    lambda f, a, b, i, m: f.maximum.accumulate(a, axis=1),
    lambda f, a, b, i, m: f.minimum.accumulate(a.T),
    lambda f, a, b, i, m: f.logaddexp.accumulate(a.T),
    lambda f, a, b, i, m: f.subtract.accumulate(a, axis=1),
    lambda f, a, b, i, m: f.divide.accumulate(i, 1),
    lambda f, a, b, i, m: f.add.reduceat(a, [0, 2, 1], axis=1),
    lambda f, a, b, i, m: f.add.reduceat(i.astype("int8"), [0, 1]),
    lambda f, a, b, i, m: f.multiply.reduceat(a, [0, 2], 1),
    lambda f, a, b, i, m: f.maximum.reduceat(a.ravel(), [0, 4, 1, 5]),
    lambda f, a, b, i, m: f.subtract.reduceat(a.ravel(), [2, 0]),
    lambda f, a, b, i, m: f.add.reduceat(a, [1, 1, 0], axis=0, out=f.zeros((3, 3))),
    lambda f, a, b, i, m: f.multiply.outer(a[0], b),
    lambda f, a, b, i, m: f.add.outer(i[0], i[1], dtype="float32"),
    lambda f, a, b, i, m: f.arctan2.outer(a, 2.0),
    lambda f, a, b, i, m: f.matmul(a, b.T, out=f.zeros((2, 2))),
    lambda f, a, b, i, m: f.concatenate([a, b], out=f.zeros((4, 3))),
    lambda f, a, b, i, m: f.cumsum(a, out=f.zeros(6)),
    lambda f, a, b, i, m: f.clip(a, -0.5, 0.5, out=f.zeros((2, 3))),
    lambda f, a, b, i, m: f.take(a, [0, 1], 1, f.zeros((2, 2))),
    lambda f, a, b, i, m: f.zeros_like(a, float, "C", True, (4,)),
    lambda f, a, b, i, m: f.nan_to_num(f.where(m, a, f.nan), True, 5.0),
    lambda f, a, b, i, m: f.sum(a, 1, None, None, True),
    lambda f, a, b, i, m: f.real(f.multiply.reduce(a + 1j * b, axis=1)),
    lambda f, a, b, i, m: f.imag(f.multiply.reduceat(a + 1j * b, [0, 2], axis=1)),
    lambda f, a, b, i, m: f.imag(f.add(a + 1j * b, a, where=m, out=f.zeros_like(a + 1j * b))),
    lambda f, a, b, i, m: f.abs(f.subtract.outer(a + 1j * b, i[0])),
    lambda f, a, b, i, m: f.result_type(a, "float32").type(1) * a,
)


class OnArrays:
    """numpy, with arrays that are made for `out` made as Arrays."""

    def __getattr__(self, name):
        return getattr(numpy, name)

    @staticmethod
    def zeros(shape):
        return ng.asarray(numpy.zeros(shape))


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("index", range(len(UFUNC_CALLS)))
def test_ufunc(index, jit, monkeypatch):
    monkeypatch.setattr(ng.config, "jit", jit)
    arrays = [A, B, INTEGERS, MASK]
    with numpy.errstate(all="ignore"):
        expected = UFUNC_CALLS[index](numpy, *arrays)
    same(UFUNC_CALLS[index](OnArrays(), *map(ng.asarray, arrays)), expected)


@pytest.mark.parametrize("index", [i for i in range(len(UFUNC_CALLS)) if i not in (5, 6, 7, 13, 15)])
def test_gradient_of_ufunc(index):
    i = ng.asarray(INTEGERS)

    def call(a, b):
        y = UFUNC_CALLS[index](OnArrays(), a, b, i, MASK)
        y = y if isinstance(y, tuple) else (y,)
        return [z for z in y if z.dtype == "float64"] or [a.sum()]

    check_gradient(call, A, B)


def test_where_without_out_is_zero():
    a = ng.asarray(A)
    found = numpy.log(a, where=a > 0)
    same(found, numpy.log(A, where=A > 0, out=numpy.zeros_like(A)))


def test_where_hides_what_is_not_finite_from_the_gradient():
    def function(a, b):
        return numpy.sqrt(numpy.divide(a, b, where=b != 0, out=numpy.ones_like(a)), where=a > 0)

    found = [g.numpy() for g in ng.grad(function, (0, 1))(numpy.array([1.0, 0.0, -1.0]), numpy.array([4.0, 0.0, 0.0]))]
    numpy.testing.assert_allclose(found, [[0.25, 0, 0], [-1 / 16, 0, 0]])


INDICES = (
    [0, 0, 2, -1], numpy.array([[1, 1], [1, 0]]), slice(1, None), (slice(None, None, 2),),
    numpy.array([True, False, True, True]),
    ([0, 0, 0, 3],), [], 1, numpy.array([2, 2, 2, 2, 2]),
)  # fmt: skip
AT = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "fmax", "logaddexp", "hypot", "arctan2")


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("name", AT)
def test_at(name, jit, monkeypatch):
    monkeypatch.setattr(ng.config, "jit", jit)
    for index in INDICES:
        for value in (1.5, numpy.abs(normal(*normal(4)[index].shape, seed=3))):
            expected, x = numpy.abs(normal(4)), ng.asarray(numpy.abs(normal(4)))
            other = x.copy()
            getattr(numpy, name).at(expected, index, value)
            assert getattr(numpy, name).at(x, index, value) is None
            same(x, expected, 1e-13)
            same(other, numpy.abs(normal(4)))


@pytest.mark.parametrize("name", AT)
def test_gradient_of_at(name):
    def call(x, v):
        y = x * 1
        getattr(numpy, name).at(y, [2, 0, 2, 2], v)
        return y

    check_gradient(call, numpy.abs(normal(4)) + 0.5, numpy.abs(normal(4, seed=3)) + 0.5)


@pytest.mark.parametrize("name", ["negative", "square", "exp"])
def test_unary_at(name):
    expected, x = normal(2, 3), ng.asarray(normal(2, 3))
    index = ([0, 1, 0, 0], [0, 1, 0, 2])
    getattr(numpy, name).at(expected, index)
    getattr(numpy, name).at(x, index)
    same(x, expected)


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [("add", "int64", numpy.uint8(3)), ("subtract", "int64", numpy.uint8(3)), ("multiply", "int32", 3),
     ("bitwise_or", "uint8", numpy.uint8(5)), ("logical_xor", "bool", True), ("add", "float32", 0.5),
     ("subtract", "uint16", numpy.uint16(9)), ("multiply", "complex64", 1j)],
)  # fmt: skip
def test_at_dtypes(name, dtype, value):
    expected = numpy.array([0, 1, 2, 3]).astype(dtype)
    x = ng.asarray(expected)
    getattr(numpy, name).at(expected, [0, 2, 2], value)
    getattr(numpy, name).at(x, [0, 2, 2], value)
    same(x, expected)


def test_at_under_a_trace():
    def add(x, i):
        y = x * 1
        numpy.add.at(y, i, 2.0)
        return y

    i = numpy.array([0, 2, 2])
    expected = normal(3)
    numpy.add.at(expected, i, 2.0)
    same(ng.jit(add)(normal(3), i), expected)

    def multiply(x, i):
        numpy.multiply.at(x, i, 2.0)
        return x

    with pytest.raises(errors.TracedValueError, match=r"numpy.multiply.at: .* depends on the values of the index"):
        ng.jit(multiply)(normal(3), i)


AT_MESSAGES = (
    (lambda: numpy.add.at(ng.asarray([1, 2]), [0], 1.5), TypeError, "Cannot cast ufunc 'add' output from"),
    (lambda: numpy.add.at(x(), [7], 1.5), IndexError, "index 7 is out of range"),
    (lambda: numpy.multiply.at(x(), [7], 1.5), IndexError, "index 7 is out of bounds"),
    (lambda: numpy.add.reduceat(x(), [5]), IndexError, r"numpy.add.reduceat: index 5 out-of-bounds \[0, 2\)"),
    (lambda: numpy.subtract.reduce(x(), axis=(0, 1)), ValueError, "'subtract' is not reorderable"),
    (lambda: numpy.fmax.reduce(x(), where=MASK), ValueError, "does not have an identity"),
    (lambda: numpy.fmax.reduce(x()[:0]), ValueError, "zero-size array to reduction operation fmax which has no"),
    (lambda: numpy.maximum.reduce(x(), where=MASK), ValueError, "one has to specify 'initial'"),
    (lambda: numpy.less.reduce(x()), TypeError, "No loop matching"),
    (lambda: numpy.add(x(), 1j, dtype=float), TypeError, "Cannot cast ufunc 'add' input 1"),
    (lambda: numpy.add.reduceat(x(), [[0]]), TypeError, r"indices must have 1 dimension, got shape \(1, 1\)"),
    (lambda: numpy.add(A, x(), out=[1]), TypeError, r"numpy.add: out must be an Array or a NumPy array, not list"),
)


@pytest.mark.parametrize("index", range(len(AT_MESSAGES)))
def test_errors_of_methods(index):
    call, kind, text = AT_MESSAGES[index]
    with pytest.raises(kind, match=text):
        call()


# ---------------------------------------------------------------- out= and assignment to NumPy arrays


def test_out_is_rebound_and_returned():
    out = ng.asarray(numpy.zeros((2, 3), "float32"))
    alias, copy = out, out.copy()
    assert numpy.add(x(), 1, out=out) is out
    same(alias, (A + 1).astype("float32"))
    same(copy, numpy.zeros((2, 3), "float32"))


@pytest.mark.parametrize(
    "call",
    [lambda a, v: numpy.add(a, v, out=a), lambda a, v: a.__iadd__(v), lambda a, v: numpy.add.at(a, ..., v),
     lambda a, v: numpy.copyto(a, a + v), lambda a, v: numpy.sum(v[None] + a, axis=0, out=a)],
)  # fmt: skip
def test_values_go_into_numpy_arrays(call):
    a = B.copy()
    call(a, x())
    numpy.testing.assert_allclose(a, A + B, rtol=1e-15)

    def loss(v):
        call(B.copy(), v)
        return v.sum()

    with pytest.raises(errors.ArgumentError, match=r"out= cannot be a NumPy array .* write `a = a \+ x`"):
        ng.grad(loss)(A)


def store_all(a, v):
    a[...] = v


def store_one(a, v):
    a[0, 1] = v[0, 1]


def store_list(a, v):
    a[0] = [v[0, 0], 1.0, v[0, 1]]


@pytest.mark.parametrize("store", [store_all, store_one, store_list])
def test_storing_in_a_numpy_array(store):
    a, expected = B.copy(), B.copy()
    store(a, x())
    store(expected, A)
    numpy.testing.assert_array_equal(a, expected)

    def loss(v):
        a = numpy.zeros((2, 3))
        store(a, v)
        return (v * a).sum()

    with pytest.raises((TypeError, ValueError)) as caught:
        ng.grad(loss)(A)
    error = caught.value.__cause__ or caught.value  # NumPy puts an error of its own before that of float(x)
    assert isinstance(error, errors.ArgumentError)
    assert "whose gradient would be lost there; make a an Array first" in str(error)

    def read(v):
        b = numpy.zeros((2, 3))
        b[...] = v.numpy()  # a constant on purpose
        table = {}
        table["v"] = v
        return (table["v"] * b).sum()

    same(ng.grad(read)(A), A)


# ---------------------------------------------------------------- the tables


def test_all_names_that_numpy_has_are_reachable():
    protocols.tables()
    for name in np.__all__:
        theirs, ours = getattr(numpy, name, None), getattr(np, name)
        if isinstance(theirs, numpy.ufunc):
            assert name in (protocols.calls[theirs].__name__, theirs.__name__) or theirs in protocols.calls
        elif hasattr(theirs, "_implementation"):
            found = protocols.functions[theirs]
            assert found.path in (f"numpy.{name}", f"numpy.{theirs.__name__}")
            if name == theirs.__name__ and ours is not theirs:
                assert found.target is ours
    assert numpy.linalg.solve in protocols.functions


#: Parameters of NumPy's that ours lack, and why that is no loss.
LACKING = {
    "out": "numpy.f(x, out=y) is done for every function by the protocol",
    "order": "an Array has no memory layout",
    "subok": "there are no subclasses to keep",
    "like": "it asks for another library's arrays",
    "casting": "only the default has a meaning",
    "copy": "values are never shared",
    "kwargs": "they are named one by one",
}
#: Functions whose other parameters are not all there.
PARTIAL = {
    "array": {"object", "ndmax"},
    "concat": {"dtype"},
    "cross": {"axisa", "axisb", "axisc"},
    "einsum": {"optimize"},
    "linspace": {"axis"},
    "logspace": {"axis"},
}


def test_signatures_are_those_of_numpy():
    """Every parameter of NumPy's is a parameter of ours: of that name, or in that place."""
    checked = 0
    for name in np.__all__:
        theirs, ours = getattr(numpy, name, None), getattr(np, name)
        if theirs is None or ours is theirs or isinstance(ours, type) or not callable(ours):
            continue
        try:
            wanted = inspect.signature(theirs).parameters
        except (TypeError, ValueError):  # written in C; the values are tested
            continue
        if isinstance(theirs, numpy.ufunc):
            continue  # all of their keywords are the protocol's
        found = inspect.signature(ours).parameters
        places = list(found)
        for i, p in enumerate(wanted):
            in_place = i < len(places) and (places[i] == p or places[i] not in wanted)
            known = p in found or in_place or p in LACKING or p in PARTIAL.get(name, ())
            known = known or any(q.kind is q.VAR_POSITIONAL for q in found.values())
            assert known, f"{name}: NumPy has {p!r}, ours {places}"
        for p, parameter in wanted.items():
            if p in found and parameter.default is not parameter.empty and p not in ("dtype", "order", "subok"):
                ours_default = found[p].default
                same_default = ours_default == parameter.default or parameter.default is numpy._NoValue
                assert same_default or (name, p) in DEFAULTS, f"{name}: {p}={ours_default!r}, not {parameter.default!r}"
        checked += 1
    assert checked > 100
    for name, lacking in PARTIAL.items():  # what is there by now is not listed
        assert not lacking & set(inspect.signature(getattr(np, name)).parameters), name


#: Defaults that differ: ours says what NumPy's means.
DEFAULTS = {("argsort", "stable"), ("sort", "stable"), ("cross", "axis")}


def test_names_and_places_of_numpys_arguments():
    a = ng.asarray(A)
    same(numpy.moveaxis(a=a, source=0, destination=1), A.T)
    same(numpy.append(arr=a, values=a), numpy.append(A, A))
    same(numpy.broadcast_to(array=a, shape=(2, 2, 3)), numpy.broadcast_to(A, (2, 2, 3)))
    same(numpy.searchsorted(a=a[0, :1], v=a), numpy.searchsorted(A[0, :1], A))
    same(numpy.tile(A=a, reps=2), numpy.tile(A, 2))
    same(numpy.where(a > 0, a, 1), numpy.where(A > 0, A, 1))
    same(numpy.sort(a, 0, "stable"), numpy.sort(A, 0))
    same(numpy.outer(a=a, b=a), numpy.outer(A, A))


#: Functions that may return the very array they were given, as in NumPy.
SAME = {
    "asanyarray", "asarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "atleast_1d", "atleast_2d",
    "atleast_3d", "diff", "from_dlpack", "polyder", "polyint", "real_if_close", "require", "trim_zeros",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in np.__all__ if n not in SAME and inspect.isfunction(getattr(np, n))])
def test_results_are_other_handles(name):
    """What is done in place to a result leaves the argument alone, also where the result is the argument's value."""
    for dtype in ("float64", "int64", "bool", "complex128"):
        for shape in ((3,), (1, 3), ()):
            x = ng.asarray(numpy.ones(shape, dtype))
            for arguments in ((x,), (x, shape), (x, 0), ([x],)):
                try:
                    results = getattr(np, name)(*arguments)
                except Exception:  # not its arguments
                    continue
                results = results if isinstance(results, (tuple, list)) else [results]
                assert not any(y is x for y in results)


def test_every_public_function_is_documented():
    for name in np.__all__:
        if callable(getattr(np, name)):
            assert getattr(np, name).__doc__, name


MODULES = ("assignment", "creation", "elementwise", "indexing", "manipulation", "products", "protocols", "reductions")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"nbgrad.numpy.{name}"))
    assert found.failed == 0


def test_array_namespace():
    assert x().__array_namespace__() is np
    assert np.pi == numpy.pi
    assert np.newaxis is None
    assert np.float32 is numpy.float32


def test_wrong_keyword():
    with pytest.raises(errors.ArgumentError, match=r"numpy.concatenate: .*ng.numpy.concatenate, .*casting='no' has"):
        numpy.concatenate([x(), x()], casting="no")
    with pytest.raises(errors.ArgumentError, match=r"numpy.pad: .*got an unexpected keyword argument 'reflect_t"):
        numpy.pad(x(), 1, reflect_type="odd")
