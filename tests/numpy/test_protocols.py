"""NumPy's own functions called on Arrays."""

import doctest
import importlib

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
    (lambda: numpy.nanstd(x()), r"numpy.nanstd: not supported .*ng\.numpy\.std"),
    (lambda: numpy.frexp(x()), r"numpy.frexp: not supported"),
    (lambda: numpy.add(A, x(), out=A.copy()), r"numpy.add: out= is not supported .* write `a = a \+ x`"),
    (lambda: numpy.sum(x(), out=A), r"numpy.sum: out= is not supported"),
    (lambda: numpy.add(x(), 1, where=A > 0), r"where= is not supported on Arrays; use ng\.numpy\.where"),
    (lambda: numpy.sum(x(), where=A > 0), r"where= is not supported"),
    (lambda: numpy.add.at(x(), [0], 1.0), r"numpy.add.at: .*add_at"),
    (lambda: numpy.add.reduceat(x(), [0]), r"numpy.add.reduceat: .*segment_sum"),
    (lambda: numpy.hypot.reduce(x()), r"numpy.hypot.reduce: not supported"),
    (lambda: numpy.sum(x(), initial=3.0), r"numpy.sum: on Arrays this is ng.numpy.sum, where .*'initial'"),
)


@pytest.mark.parametrize("index", range(len(UNSUPPORTED)))
def test_unsupported(index):
    call, text = UNSUPPORTED[index]
    with pytest.raises(TypeError, match=text):
        call()


def test_in_place_on_a_numpy_array():
    a = A.copy()
    with pytest.raises(TypeError, match="in-place operator"):
        a += x()


def test_tables_name_functions_that_exist():
    for name in protocols.UFUNCS:
        assert hasattr(np, name), name
        assert not hasattr(numpy, name) or isinstance(getattr(numpy, name), numpy.ufunc), name
    for name in protocols.FUNCTIONS:
        assert hasattr(np, name), name


def test_every_public_function_is_documented():
    for name in np.__all__:
        if callable(getattr(np, name)):
            assert getattr(np, name).__doc__, name


MODULES = ("creation", "elementwise", "indexing", "manipulation", "products", "protocols", "reductions")


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
    with pytest.raises(errors.ArgumentError, match="where got an unexpected keyword argument 'casting'"):
        numpy.concatenate([x(), x()], casting="no")
