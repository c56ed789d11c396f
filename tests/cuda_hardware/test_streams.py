"""Streams, graphs and memory of a GPU: results are the same bits however they are asked for."""

import gc
import os

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

PRETENDS = os.environ.get("NBGRAD_PRETEND_DEVICE") == "1"
ROWS, TIMES = (300, 3) if PRETENDS else (300_000, 20)


def there(a):
    return ng.asarray(a, device="cuda:0")


def reduced(x, i):
    """Rows in parts, columns, long sums of products, scatters, softmax: what blocks finish first must not matter."""
    return np.sum(x), np.sum(x, axis=0), x.T @ x, np.segment_sum(x, i, 50), np.softmax(x, axis=1), np.cumsum(x, axis=0)


@pytest.fixture
def arguments(rng):
    return there(rng.normal(size=(ROWS, 33)).astype("float32")), there(rng.integers(0, 50, ROWS))


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_array_equal(numpy.asarray(a), b)


def test_the_same_bits_in_repeated_runs(arguments):
    f = ng.jit(reduced)
    first = [numpy.asarray(y) for y in f(*arguments)]
    for _ in range(TIMES):
        same(f(*arguments), first)


def test_the_same_bits_on_several_streams_at_once(arguments):
    f = ng.jit(reduced)
    first, results = [numpy.asarray(y) for y in f(*arguments)], []
    for stream in [ng.cuda.Stream() for _ in range(4)] * 2:
        with ng.cuda.stream(stream):
            results.append(f(*arguments))
    for found in results:
        same(found, first)


def test_the_same_bits_when_a_graph_is_replayed(arguments):
    f = ng.jit(reduced)
    first, graph = [numpy.asarray(y) for y in f(*arguments)], f.lower(*arguments).graph()
    for _ in range(TIMES):
        same(graph.launch(), first)
    x, i = arguments
    same(graph.launch(x * 2, i), [numpy.asarray(y) for y in f(x * 2, i)])
    same(graph.launch(*arguments, stream=ng.cuda.Stream()), first)


def test_what_is_made_in_one_stream_is_waited_for_in_another(rng):
    """Again and again, each time behind work that takes a while."""
    a = rng.normal(size=(100 if PRETENDS else 1 << 20,))
    streams, x = [ng.cuda.Stream() for _ in range(3)], there(a)
    for k in range(TIMES * 3):
        with ng.cuda.stream(streams[k % 3]):
            x = (x + 1).realize()
    numpy.testing.assert_allclose(x, a + TIMES * 3, rtol=1e-12, atol=1e-9)


def test_memory_is_used_again_and_not_too_early(rng):
    """Results are dropped while others wait to be computed from them."""
    a = rng.normal(size=ROWS)
    f, x, expected = ng.jit(lambda x: np.sin(x) + 1), there(a), a
    f(x).block_until_ready()
    before = ng.cuda.memory_info()
    for _ in range(50):
        x, expected = f(x), numpy.sin(expected) + 1
    after = ng.cuda.memory_info()
    numpy.testing.assert_allclose(x, expected, rtol=1e-11)
    assert after.used + after.cached <= before.used + before.cached + 4 * max(2 * a.nbytes, 1 << 12)


def test_memory_goes_back_to_the_driver(rng):
    gc.collect()
    ng.cuda.free_cached()
    before = ng.cuda.memory_info()
    x = there(rng.normal(size=ROWS))
    x.block_until_ready()
    assert ng.cuda.memory_info().used >= before.used + x.nbytes
    held = ng.cuda.memory_info().used - before.used
    del x
    gc.collect()
    assert ng.cuda.memory_info()[:2] == (before.used, before.cached + held)
    ng.cuda.free_cached()
    assert ng.cuda.memory_info()[:2] == (before.used, 0)


def test_the_limit_is_an_error_with_figures_after_which_all_goes_on(settings):
    gc.collect()
    ng.cuda.free_cached()
    settings.cuda_memory_limit = ng.cuda.memory_info().used + (1 << 20)
    with pytest.raises(
        ng.DeviceMemoryError, match=r"cuda:0 has no memory for an array of 32.0 MiB: arrays hold .*limit"
    ):
        there(numpy.zeros(1 << 22)).realize()
    assert float(np.sum(there(numpy.ones(9)))) == 9.0


def test_a_device_that_does_not_exist():
    with pytest.raises(ng.DeviceError, match=r"device 'cuda:99' does not exist here, expected 'cuda:0'"):
        ng.asarray([1.0], device="cuda:99")
