"""Pickles: what comes back does the same, in this process and in a new one."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

X = numpy.linspace(0.1, 1.0, 6).reshape(2, 3)


@ng.elementwise(lambda x: x + x)
def twice_pickled(x):
    return x + x


def loss(x):
    return np.sum(np.tanh(x) ** 2)


@ng.jit
def decorated(x):
    return loss(x) * 2


@ng.custom_vjp
def clipped(x):
    return x * 1.0


def forward(x):
    return clipped.fn(x), x


def backward(x, g):
    return (np.clip(g, -1.0, 1.0),)


clipped.defvjp(forward, backward)


def stepped(x):
    """A loop, a choice, and a loop that ends by a condition."""
    total, _ = ng.scan(lambda s, row: (s + np.sum(row * row), None), 0.0, x)
    total = ng.cond(total > 1.0, lambda t: t * t, lambda t: t, total)
    return ng.while_loop(lambda t: t < 10.0, lambda t: t * 2.0, total)


def with_nan(x):
    return np.where(x > 0.5, x * (1 + 2j), complex("nan+1j"))


def same(a, b):
    numpy.testing.assert_array_equal(numpy.asarray(a), numpy.asarray(b))


MADE = {
    "jit": ng.jit(loss),
    "jit of a gradient": ng.jit(ng.grad(loss)),
    "jit of a gradient of many": ng.jit(ng.vmap(ng.grad(loss, grad_position=(0,)))),
    "jit of a jitted function": ng.jit(ng.value_and_grad(decorated), as_numpy=True),
    "a decorated function": decorated,
    "custom_vjp": clipped,
    "a second derivative": ng.jit(ng.grad(ng.grad(loss))),
}


@pytest.mark.parametrize("again", [lambda f: pickle.loads(pickle.dumps(f)), copy.deepcopy, copy.copy,
                                   lambda f: cloudpickle.loads(cloudpickle.dumps(f))])  # fmt: skip
@pytest.mark.parametrize("name", MADE)
def test_functions(name, again):
    f = MADE[name]
    numpy.testing.assert_equal(_plain(again(f)(X)), _plain(f(X)))


def _plain(result):
    return [numpy.asarray(r) for r in result] if isinstance(result, tuple) else numpy.asarray(result)


def test_names_are_pickled_where_there_are_names():
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert pickle.loads(pickle.dumps(clipped)) is clipped


def test_cloudpickle_takes_closures():
    scale = ng.Parameter(3.0, name="scale")

    @ng.custom_vjp
    def cut(x):
        return x * 1.0

    cut.defvjp(lambda x: (cut.fn(x), None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    for f in (ng.jit(lambda x: loss(x * scale)), ng.grad(lambda x: np.sum(cut(x) * 5)), ng.vmap(lambda x: x * scale)):
        same(cloudpickle.loads(cloudpickle.dumps(f))(X), f(X))


def test_what_pickle_cannot_name_is_an_error_that_says_so():
    for made, call in ((ng.jit(lambda x: x), "jit"), (ng.custom_vjp(lambda x: x), "custom_vjp"),
                       (ng.jit(ng.grad(lambda x: x)), "jit")):  # fmt: skip
        with pytest.raises(pickle.PicklingError, match=rf"pickle of {call} of test_pickling\.test_what.*cloudpickle"):
            pickle.dumps(made)


def test_arrays_and_parameters():
    w = ng.Parameter(X, name="w", requires_grad=False)
    for again in (copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))):
        (other,) = again(ng.ParameterTuple([w]))
        assert (type(other), other.name, other.requires_grad, other.dtype) == (ng.Parameter, "w", False, w.dtype)
        other.assign(X + 1)
        same(w, X)
    pending = np.sin(ng.asarray(X))
    same(pickle.loads(pickle.dumps(pending)), numpy.sin(X))
    model = {"w": w, "again": w}
    copied = copy.deepcopy(model)
    assert copied["w"] is copied["again"] is not w


@pytest.mark.parametrize("fn", [loss, stepped, with_nan, ng.grad(stepped), np.linalg.inv], ids=lambda f: f.__name__)
def test_programs(fn):
    x = X[:, :2] + numpy.eye(2)
    lowered = ng.jit(fn).lower(x)
    data = pickle.dumps(lowered)
    compiled = ng.stats()["kernels_compiled"]
    again = pickle.loads(data)
    assert ng.stats()["kernels_compiled"] == compiled
    assert (again.launches, again.source) == (lowered.launches, lowered.source)
    results = again._trace.program.run([x])
    numpy.testing.assert_allclose(results[0], numpy.asarray(ng.jit(fn)(x)), rtol=1e-14)
    assert [name for name, _ in again.profile(1)] == lowered.launches


def test_deep_graphs():
    def chain(x):
        for _ in range(3000):
            x = np.sin(np.cumsum(x))
        return x

    program = pickle.loads(pickle.dumps(ng.jit(chain).lower(numpy.ones(1))._trace.program))
    same(program.run([numpy.ones(1)])[0], ng.jit(chain)(numpy.ones(1)))


def test_primitives_are_found_in_a_new_process():
    data = pickle.dumps([twice_pickled, ng.primitives()["tanh"], ng.jit(loss)])
    code = (
        "import pickle, sys, numpy; p, tanh, f = pickle.loads(sys.stdin.buffer.read()); import nbgrad; "
        "assert p is sys.modules['test_pickling'].twice_pickled; assert tanh is nbgrad.primitives()['tanh']; "
        "print(repr(float(f(numpy.ones(3)))))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, cwd=Path(__file__).parent)
    assert done.stdout.decode().strip() == repr(float(ng.jit(loss)(numpy.ones(3)))), done.stderr.decode()
    changed = pickle.dumps(twice_pickled).replace(b"twice_pickled", b"other_pickled")
    with pytest.raises(ng.NbgradError, match="'other_pickled' was pickled where module test_pickling declares it"):
        pickle.loads(changed)
