"""The pool: memory is recycled, and never while anybody looks at it."""

import gc
import threading

import numpy
import pytest

import nbgrad as ng
from nbgrad.runtime import pool

FLOAT = numpy.dtype("float64")
N = 50_000


@pytest.fixture(autouse=True)
def clean():
    """No idle memory before and after."""
    pool.clear()
    yield
    pool.clear()


def made(n=N):
    return pool.bucket(8 * n).empty((n,), FLOAT)


def address(array):
    return array.__array_interface__["data"][0]


def test_two_live_arrays_do_not_share_memory():
    a, b = made(), made()
    assert not numpy.shares_memory(a, b)


def test_memory_comes_back():
    a = made()
    place = address(a)
    del a
    assert address(made()) == place


def test_a_view_keeps_memory():
    a = made()
    for view in (a[10:20], a.reshape(2, -1).T, numpy.asarray(a), memoryview(a), a[::2][::3]):
        kept = view
    del a, view
    b = made()
    assert not numpy.shares_memory(numpy.asarray(kept), b)


def test_memory_is_aligned():
    for n in (10_000, 12_345, 99_999):
        assert address(made(n)) % 64 == 0


def test_shape_and_dtype():
    a = pool.bucket(400_000).empty((100, 1000), numpy.dtype("float32"))
    assert (a.shape, a.dtype, a.flags.c_contiguous, a.flags.writeable) == ((100, 1000), numpy.float32, True, True)


def test_small_arrays_are_numpys():
    assert pool.bucket(24) is None
    x = numpy.ones(3)
    assert ng.jit(lambda x: x + 1)(x).numpy().base is None


def test_sizes_waste_at_most_an_eighth():
    for nbytes in (1 << 16, (1 << 16) + 1, 100_000, 1 << 20, 12_345_678):
        assert nbytes <= pool._size_class(nbytes) <= nbytes * 9 / 8 + 4096


def test_a_block_is_free_when_its_user_lets_go():
    block = pool.bucket(1 << 20).empty((1 << 20,), numpy.dtype("uint8"))
    assert pool.idle_bytes() == 0
    del block
    assert pool.idle_bytes() >= 1 << 20


def test_clear_gives_idle_memory_back_and_leaves_the_rest():
    kept, idle = made(), made()
    kept[:] = 7
    del idle
    pool.clear()
    assert pool.idle_bytes() == 0
    other = made()
    other[:] = 1
    assert (kept == 7).all()


def test_idle_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(pool, "LARGEST_IDLE", 1 << 22)
    for n in range(100_000, 1_000_000, 50_000):
        made(n)
    gc.collect()
    assert pool.idle_bytes() <= (1 << 22) + 8 * 1_100_000


def test_several_threads_get_memory_of_their_own():
    wrong = []

    def work(number):
        for _ in range(300):
            a = made()
            a[:100] = number
            a[-100:] = number
            b = made()
            b[:100] = -number
            if not ((a[:100] == number).all() and (a[-100:] == number).all()):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(k + 1,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_large_program_notices_other_arguments():
    fn = ng.jit(lambda x: (x - x.sum()) * 2)  # with an intermediate value and several launches
    for x in (numpy.ones(30_000), numpy.ones(30_000, "float32"), numpy.ones(40_000), numpy.ones((40_000, 1)), 3.0):
        for _ in range(3):
            y = fn(x)
            expected = (numpy.asarray(x) - numpy.sum(x)) * 2
            assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
            numpy.testing.assert_array_equal(y, expected)
