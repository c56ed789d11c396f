"""The memory of a device: recycled in the order of streams, within a limit, and never while anything uses it."""

import gc

import numpy
import pytest

import nbgrad as ng
from nbgrad.config import Config
from nbgrad.runtime.cuda import device as cuda
from nbgrad.runtime.cuda import pool
from nbgrad.testing.device import FREED, pretend_device

FLOAT = numpy.dtype("float64")


@pytest.fixture
def device():
    with pretend_device(exact=False):
        yield cuda.get("a test", 0)


def what(device, kind):
    return [n for name, n in device.driver.log if name == kind]


def test_a_block_comes_back_on_its_stream_at_once(device):
    a = device.empty((1000,), FLOAT)
    address = a.address
    del a
    b = device.empty((1000,), FLOAT)
    assert b.address == address
    assert what(device, "alloc") == [8192]
    assert what(device, "wait") == []


def test_live_arrays_do_not_share_memory(device):
    arrays = [device.empty((1000,), FLOAT) for _ in range(4)]
    assert len({a.address for a in arrays}) == 4


def test_sizes_of_one_class_share_blocks(device):
    a = device.empty((1000,), FLOAT)
    address = a.address
    del a
    assert device.empty((1020,), FLOAT).address == address
    assert device.empty((1025,), FLOAT).address != address


@pytest.mark.parametrize("nbytes", [1, 511, 512, 513, 8000, 100_000, 12_345_678, 1 << 30, (1 << 30) + 1])
def test_a_size_class_wastes_an_eighth_at_most(nbytes):
    size = pool._size_class(nbytes)
    assert size >= nbytes
    assert size % pool.SMALLEST == 0
    assert size - nbytes < max(nbytes / 8, pool.SMALLEST) + 1
    assert pool._size_class(size) == size


def test_an_array_without_elements_has_no_memory(device):
    assert device.empty((0, 3), FLOAT).address == 0
    assert device.pool.info().used == 0


def test_another_stream_gets_new_memory_while_there_is_any(device):
    a = device.empty((1000,), FLOAT)
    address = a.address
    del a
    b = device.empty((1000,), FLOAT, ng.cuda.Stream())
    assert b.address != address
    assert what(device, "wait") == []


def test_another_stream_waits_for_a_block_when_there_is_no_other(device):
    """The limit is reached: the block of the first stream goes to the second, behind an event."""
    ng.config.cuda_memory_limit = 8192
    a = device.empty((1000,), FLOAT)
    address = a.address
    device.driver.fill(address, 1, 8000, a.stream.handle)
    del a
    other = ng.cuda.Stream()
    b = device.empty((1000,), FLOAT, other)
    assert b.address == address
    assert len(what(device, "record")) == len(what(device, "wait")) == 1
    device.driver.fill(b.address, 2, 8000, other.handle)
    other.synchronize()
    device.driver.synchronize()
    assert (b.host().view("u1") == 2).all()  # had it not waited, the first stream would have written last


def test_memory_is_not_reused_before_another_stream_has_read_it(device):
    """Made on one stream, read on another, dropped: its next use on the first waits for the second."""
    a = device.upload(numpy.arange(1000.0))
    other = ng.cuda.Stream()
    target = device.empty((1000,), FLOAT, other)
    a.ready_on(other)
    device.driver.copy(target.address, a.address, 8000, other.handle)
    address = a.address
    del a
    b = device.upload(numpy.zeros(1000))
    assert b.address == address
    b.synchronize()  # runs the first stream, and nothing of the second but what it waits for
    numpy.testing.assert_array_equal(target.host(), numpy.arange(1000.0))


def test_the_limit_gives_cached_blocks_back_first(device):
    ng.config.cuda_memory_limit = 20_000
    a, b = device.empty((1000,), FLOAT), device.empty((1000,), FLOAT)
    del a, b
    assert device.pool.info()[:3] == (0, 16_384, 20_000)
    device.empty((2000,), FLOAT)
    assert what(device, "free") == [8192, 8192]
    device.driver.check("after it")


def test_only_as_much_as_needed_is_given_back(device):
    ng.config.cuda_memory_limit = 40_960
    arrays = [device.empty((1000,), FLOAT) for _ in range(4)]
    del arrays
    kept = device.empty((2000,), FLOAT)
    assert what(device, "free") == [8192]
    assert kept.nbytes == 16_000


def test_beyond_the_limit_is_an_error_with_figures(device):
    ng.config.cuda_memory_limit = 20_000
    kept = device.empty((1000,), FLOAT)
    with pytest.raises(ng.DeviceMemoryError) as caught:
        device.empty((2000,), FLOAT)
    assert isinstance(caught.value, (MemoryError, ng.DeviceError))
    for part in ("cuda:0 has no memory for an array of 15.6 KiB", "arrays hold 8.0 KiB of the 19.5 KiB",
                 "cuda_memory_limit = 20000", "of the 256.0 MiB of the card are free", "Drop arrays"):  # fmt: skip
        assert part in str(caught.value)
    assert kept.address


def test_an_exhausted_card_is_an_error_after_the_cache_was_given_back():
    with pretend_device(total=40_000, exact=False):
        ng.config.cuda_memory_limit = 1 << 40
        device = cuda.get("a test", 0)
        a = device.empty((1000,), FLOAT)
        del a
        b = device.empty((4000,), FLOAT)
        assert what(device, "free") == [8192]
        with pytest.raises(ng.DeviceMemoryError, match=r"7.1 KiB of the 39.1 KiB of the card are free"):
            device.empty((2000,), FLOAT)
        assert b.address


def test_a_fraction_of_the_card_is_the_limit_unless_told_otherwise(device):
    assert ng.cuda.memory_info().limit == int(0.8 * ng.cuda.memory_info().total)
    ng.config.cuda_memory_limit = 0.25
    assert ng.cuda.memory_info("cuda:0").limit == ng.cuda.memory_info().total // 4


def test_figures(device):
    a = ng.asarray(numpy.zeros(1000), device="cuda")
    assert ng.cuda.memory_info() == (8192, 0, int(0.8 * (1 << 28)), (1 << 28) - 8192, 1 << 28)
    del a
    assert ng.cuda.memory_info()[:2] == (0, 8192)
    ng.cuda.free_cached()
    assert ng.cuda.memory_info()[:2] == (0, 0)
    assert ng.cuda.memory_info().free == ng.cuda.memory_info().total


def test_memory_given_back_by_the_garbage_collector_inside_of_the_pool(device):
    """A cycle dies while the pool allocates: nothing waits for itself."""

    class Ring:
        pass

    for _ in range(20):
        ring = Ring()
        ring.me, ring.array = ring, device.empty((1000,), FLOAT)
        del ring
        collected = gc.collect()
    assert collected
    assert len(what(device, "alloc")) == 1


def test_what_is_freed_is_poisoned_and_watched(device):
    """The pretending device finds a write to memory that was given back."""
    a = device.empty((1000,), FLOAT)
    address = a.address
    del a
    device.pool.clear()
    whole, start, nbytes = device.driver._freed[-1]
    assert whole.ctypes.data + start == address
    assert (whole[start : start + nbytes] == FREED).all()
    whole[start] = 0
    with pytest.raises(ng.KernelError, match="memory was written that had been given back"):
        device.driver.check("a launch")
    whole[start] = FREED


def test_limits_that_are_none():
    for bad in (0, -1, 1.5, 0.0, "half", True, None):
        with pytest.raises(ng.ArgumentError, match=r"config.cuda_memory_limit \(NBGRAD_CUDA_MEMORY\): got"):
            ng.config.cuda_memory_limit = bad
    assert Config({"NBGRAD_CUDA_MEMORY": "0.5"}).cuda_memory_limit == 0.5
    assert Config({"NBGRAD_CUDA_MEMORY": "1000000"}).cuda_memory_limit == 1_000_000
    with pytest.raises(ng.ArgumentError, match=r"NBGRAD_CUDA_MEMORY='much': expected bytes, or a fraction such as 0.5"):
        Config({"NBGRAD_CUDA_MEMORY": "much"})
