"""The driver: what it takes from a caller, what it refuses, and how it stands being called from several threads."""

import ctypes
import itertools
import multiprocessing
import os
import threading

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.compile.native import function
from nbgrad.runtime import driver
from nbgrad.runtime import threads as workers
from nbgrad.runtime.intrinsics import read, take_ticket


def double(x):
    return x * 2.0 + 1.0


@pytest.fixture
def fn():
    """A jitted function that has been called with float64[4, 3] before."""
    jitted = ng.jit(double)
    jitted(numpy.ones((4, 3)))
    return jitted


X = numpy.arange(12.0).reshape(4, 3)


class Labelled(numpy.ndarray):
    """A subclass with nothing of its own."""


def misaligned():
    raw = numpy.zeros(X.nbytes + 1, numpy.uint8)
    view = raw[1:].view(numpy.float64).reshape(X.shape)
    view[...] = X
    assert not view.flags.aligned
    return view


def read_only():
    x = X.copy()
    x.flags.writeable = False
    return x


INPUTS = {
    "contiguous": lambda: X.copy(),
    "Fortran order": lambda: numpy.asfortranarray(X),
    "strided": lambda: numpy.repeat(numpy.repeat(X, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda: X[::-1, ::-1][::-1, ::-1][:, ::-1][:, ::-1],
    "negative strides": lambda: numpy.ascontiguousarray(X[::-1])[::-1],
    "broadcast": lambda: numpy.broadcast_to(X, (1, 4, 3))[0],
    "read-only": read_only,
    "misaligned": misaligned,
    "subclass": lambda: X.copy().view(Labelled),
    "foreign byte order": lambda: X.astype(">f8"),
    "Array": lambda: ng.asarray(X),
    "lazy Array": lambda: ng.asarray(X) * 1.0 + 0.0,
    "nested list": lambda: ng.asarray(X.tolist()),
    "dtype object of its own": lambda: X.astype(numpy.dtype("f8", metadata={"unit": "m"})),
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("tier", [0, 1, 2])
def test_any_float64_matrix_is_taken(fn, kind, tier, settings):
    settings.jit = tier
    given = INPUTS[kind]()
    for _ in range(2):
        numpy.testing.assert_array_equal(numpy.asarray(fn(given)), X * 2 + 1)


@pytest.mark.parametrize(
    "other",
    [
        X.astype("float32"),
        X.astype("int64"),
        X[:2].copy(),
        X[0].copy(),
        X.reshape(3, 4),
        numpy.ones((0, 3)),
        numpy.array(3.0),
    ],
    ids=lambda a: f"{a.dtype}{list(a.shape)}",
)
def test_another_dtype_or_shape_is_traced_anew(fn, other):
    found = numpy.asarray(fn(other))
    expected = numpy.asarray(double(ng.asarray(other)))
    assert (found.dtype, found.shape) == (expected.dtype, other.shape)
    numpy.testing.assert_array_equal(found, expected)
    numpy.testing.assert_array_equal(numpy.asarray(fn(X)), X * 2 + 1)


def test_numbers_are_taken_and_other_objects_are_not(fn):
    assert float(fn(3.0)) == 7.0
    assert float(fn(3)) == 7.0
    for bad in ("text", object()):
        with pytest.raises(ng.ArgumentError, match="jit of double"):
            fn(bad)
    with pytest.raises(TypeError):
        fn()
    with pytest.raises(TypeError):
        fn(X, X)


def test_inputs_are_not_changed_and_outputs_are_fresh(fn):
    x = X.copy()
    first, second = fn(x), fn(x)
    numpy.testing.assert_array_equal(x, X)
    assert not numpy.shares_memory(numpy.asarray(first), numpy.asarray(second))


def test_one_array_for_several_arguments():
    product = ng.jit(lambda x, y: (x * y, x + y))
    for _ in range(2):
        p, s = product(X, X)
        numpy.testing.assert_array_equal(numpy.asarray(p), X * X)
        numpy.testing.assert_array_equal(numpy.asarray(s), X + X)


def test_changing_an_input_afterwards_does_not_change_the_result():
    x = X.copy()
    y = ng.jit(lambda x: (x, x[1:]))(x)
    x[:] = 0
    numpy.testing.assert_array_equal(numpy.asarray(y[0]), X)
    numpy.testing.assert_array_equal(numpy.asarray(y[1]), X[1:])


def test_parameters_are_read_at_every_call():
    w = ng.Parameter(numpy.ones(3), name="w")
    fn = ng.jit(lambda x: x * w)
    numpy.testing.assert_array_equal(numpy.asarray(fn(X)), X)
    w.assign(numpy.full(3, 5.0))
    numpy.testing.assert_array_equal(numpy.asarray(fn(X)), X * 5)


def test_static_arguments_choose_the_trace():
    fn = ng.jit(lambda x, n: x**n, static_argnums=1)
    for n in (2, 3, 2):
        numpy.testing.assert_allclose(numpy.asarray(fn(X, n)), X**n)


def test_nests_of_arguments_and_results():
    fn = ng.jit(lambda tree: {"sum": tree["a"] + tree["b"][0], "rest": [tree["b"][1], "label", None]})
    found = fn({"a": X, "b": (X, numpy.ones(2))})
    numpy.testing.assert_array_equal(numpy.asarray(found["sum"]), 2 * X)
    assert found["rest"][1:] == ["label", None]


def test_the_trace_runs_once():
    calls = []

    def counting(x):
        calls.append(x)
        return x + 1.0

    fn = ng.jit(counting)
    for _ in range(4):
        fn(X)
    assert len(calls) == 1


# ---------------------------------------------------------------- several threads


def hammer(fn, arguments, expected, rounds, workers=3):
    """Call a function from several Python threads at once; returns what went wrong."""
    wrong, ready = [], threading.Barrier(workers)

    def work():
        try:
            ready.wait()
            for _ in range(rounds):
                for a, e in zip(arguments, expected, strict=True):
                    found = numpy.asarray(fn(a))
                    if not numpy.array_equal(found, e):
                        wrong.append("another value")
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    return wrong


@pytest.mark.parametrize("n", [10, 5_000, 60_000, 300_000])
def test_one_function_from_several_threads(n, rng):
    """Below 4k elements the GIL is held, above it is not, and large ones are shared among workers."""

    def body(x):
        return nx.exp(nx.sin(x) * 0.5) + nx.sum(x)

    arguments = [rng.random(n) for _ in range(3)]
    fn = ng.jit(body)
    expected = [numpy.asarray(fn(a)) for a in arguments]
    assert hammer(fn, arguments, expected, 300 if n < 10_000 else 30) == []


@pytest.mark.parametrize("n", [5_000, 40_000])
def test_an_elementwise_function_from_several_threads(n, rng):
    """One launch without an arena: the shortest path through the driver."""
    arguments = [rng.random(n) for _ in range(3)]
    fn = ng.jit(lambda x: nx.exp(nx.sin(x) * 0.5))
    expected = [numpy.asarray(fn(a)) for a in arguments]
    assert hammer(fn, arguments, expected, 300) == []


def test_without_jit_from_several_threads(rng, settings):
    settings.jit = 2
    arguments = [rng.random(20_000) for _ in range(3)]

    def body(a):
        return nx.sum(nx.tanh(ng.asarray(a)) * 2.0)

    expected = [numpy.asarray(body(a)) for a in arguments]
    assert hammer(body, arguments, expected, 50) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_runs_programs(rng, settings):
    settings.threads = 2
    x = rng.random(400_000)
    fn = ng.jit(lambda x: nx.sum(nx.exp(x)))
    expected = float(fn(x))  # workers run now, and do not survive the fork
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=lambda: results.put(float(fn(x))))
    child.start()
    assert results.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0
    assert float(fn(x)) == expected


def test_the_driver_refuses_what_is_not_an_ndarray():
    jitted = ng.jit(double)
    jitted(X)
    compiled = jitted.lower(X)._compiled
    drive = driver.builtin(driver.drive)
    out = numpy.empty(X.shape)
    assert drive(compiled.address, X.copy(), out) is None
    for bad in (None, 1, "text", X.tolist(), X.astype("float32"), X[:2], X.T, X[0]):
        assert drive(compiled.address, bad, out) is False
    assert drive(compiled.address, X) is False
    assert drive(compiled.address) is False


def test_workers_go_on_taking_part_after_programs_without_them(settings):
    shared, alone = ng.jit(lambda x: nx.sum(nx.exp(x) * nx.tanh(x))), ng.jit(lambda x: x * 2.0)
    big, small = numpy.linspace(-1.0, 1.0, 1 << 17), numpy.ones(1 << 13)
    settings.threads = 2
    expected = float(shared(big))
    plan = shared._last.program._compiled._segments[0].plan
    assert plan[7] == plan[8] == 1
    for threads in (1, 2):
        settings.threads = threads
        alone(small)
        assert float(shared(big)) == expected
        assert workers.MAILBOX[0] == 0  # free for the next program


def test_what_comes_after_and_and_or_waits_for_its_turn():
    def both(a, b, c):
        if read(a) != 0 and take_ticket(b, 1) != 0 and take_ticket(c, 1) != 0:
            return 1
        return 0

    def either(a, b, c):
        if read(a) != 0 or take_ticket(b, 1) != 0 or take_ticket(c, 1) != 0:
            return 1
        return 0

    for text in (both, either):
        native = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 4)(function(text, 3).address)
        for values in itertools.product((0, 1), repeat=3):
            words = numpy.array(values, numpy.int64)
            a, b, c = (words.ctypes.data + 8 * k for k in range(3))
            x, y, z = map(bool, values)
            assert native(a, b, c) == ((x and y and z) if text is both else (x or y or z))
            second = x if text is both else not x
            third = second and (y if text is both else not y)
            assert list(words - values) == [0, int(second), int(third)]
