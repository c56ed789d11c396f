"""The interpreter: a graph run node by node, with results that are nobody else's memory."""

import time

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.compile.program import Program


@pytest.fixture(autouse=True)
def interpret(settings):
    """Tier 0 for every test here."""
    settings.jit = 0


def program(fn, *arrays):
    """A Program of a function, and the ndarrays to run it with."""
    xs = [ng.asarray(a) for a in arrays]
    ys = fn(*xs)
    return Program([x._node for x in xs], [y._node for y in (ys if isinstance(ys, tuple) else (ys,))])


X = numpy.arange(6.0).reshape(2, 3)


def test_a_jitted_function_that_was_compiled_is_interpreted_too(settings):
    f, x = ng.jit(lambda x: x * x), ng.asarray([3.0])
    settings.jit = 1
    f(x), f(x)
    settings.jit = 0
    before = ng.stats()
    assert f(x).tolist() == [9.0]
    after = ng.stats()
    assert (after["interpreted"], after["launches"]) == (before["interpreted"] + 1, before["launches"])


def test_values():
    (y,) = program(lambda x: nx.exp(x) * 2, X).run([X])
    numpy.testing.assert_array_equal(y, numpy.exp(X) * 2)


def test_it_runs_again_with_other_values():
    p = program(lambda x: x * x, X)
    for k in range(3):
        numpy.testing.assert_array_equal(p.run([X + k])[0], (X + k) ** 2)


def test_results_are_contiguous_and_of_their_own_memory():
    results = program(lambda x: (nx.transpose(x), x, x, nx.broadcast_to(x[0], (4, 3)), x[:, 1], nx.ones((2,))), X).run(
        [X]
    )
    for k, r in enumerate(results):
        assert r.flags.c_contiguous
        assert r.flags.writeable
        assert not numpy.shares_memory(r, X)
        for other in results[:k]:
            assert not numpy.shares_memory(r, other)


def test_results_keep_their_shape_at_rank_zero():
    x = numpy.array(3.0)
    y, z = program(lambda x: (x * 2, nx.sum(x)), x).run([x])
    assert y.shape == z.shape == ()


def test_it_is_silent_about_nan_and_overflow():
    x = numpy.array([-1.0, 0.0, 1e308])
    (y,) = program(lambda x: nx.log(x) + 1 / x + x * 1e10, x).run([x])
    assert not numpy.isfinite(y).all()


def test_it_compiles_nothing():
    before = ng.stats()
    numpy.asarray(nx.exp(ng.asarray(X)) * 0.123)
    after = ng.stats()
    assert after["kernels_compiled"] == before["kernels_compiled"]
    assert after["launches"] == before["launches"]
    assert after["interpreted"] == before["interpreted"] + 1


def test_values_that_are_not_needed_any_more_are_dropped():
    """The peak is two arrays, not two hundred."""
    import tracemalloc

    x = numpy.ones(100_000)

    def chain(x):
        for _ in range(200):
            x = nx.abs(x) + 1.0
        return x

    p = program(chain, x)
    tracemalloc.start()
    p.run([x])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * x.nbytes


def test_a_structure_that_proves_worth_it_is_compiled(settings, monkeypatch):
    from nbgrad.compile import program as programs

    settings.jit = 1
    monkeypatch.setattr(programs, "PATIENCE", 0.0)
    monkeypatch.setattr(programs, "PATIENCE_OF_NODE", 0.0)
    p = program(lambda x: nx.abs(x) * 2.0, X)
    launched = ng.stats()["launches"]
    for _ in range(10_000):  # interpreted until the kernels are there
        numpy.testing.assert_array_equal(p.run([X])[0], X * 2)
        if ng.stats()["launches"] > launched:
            return
        time.sleep(0.001)
    raise AssertionError("still interpreted")


@pytest.mark.parametrize("compiler", ["process", "thread"])
def test_nobody_waits_for_the_compiler(settings, monkeypatch, compiler):
    from nbgrad.compile import native, remote
    from nbgrad.compile import program as programs

    settings.jit, settings.compiler, settings.cache_dir = 1, compiler, ""
    monkeypatch.setattr(programs, "PATIENCE", 0.0)
    monkeypatch.setattr(programs, "PATIENCE_OF_NODE", 0.0)
    monkeypatch.setattr(native, "_kernels", {})
    monkeypatch.setattr(remote.Module, "done", lambda module: False)
    p = program(lambda x: nx.abs(x) * 2.5, X)
    launched = ng.stats()["launches"]
    for _ in range(3):
        numpy.testing.assert_array_equal(p.run([X])[0], X * 2.5)
    assert ng.stats()["launches"] == launched
