"""Mistakes that are planted in kernels, and how the simulator shows them."""

from simulated import lowered, run, simulator  # isort: skip  - or why all of this is skipped

import numpy
import pytest
from numba import cuda

import nbgrad.numpy as np
from nbgrad.errors import KernelError
from nbgrad.kernels import indexing, linalg


def changed(low, old, new, which=0):
    """The program with another text in its last kernel, in place of number `which` of those that are there."""
    launch = low.launches[-1]
    parts = launch.source.split(old)
    assert len(parts) > which + 1, launch.source
    launch.source = old.join(parts[: which + 1]) + new + old.join(parts[which + 1 :])
    launch.code = simulator.Code(launch.source, launch.code.names)
    return low


def test_an_index_behind_an_array_is_caught():
    """One element more than there are."""
    x = numpy.ones((3, 4))
    low = lowered(lambda x: x.T * 2, x)
    low.launches[0].total += 1
    with pytest.raises(IndexError, match="thread 4 of block 1: element 12 of an array of 12"):
        run(low, [x])


def test_a_negative_index_is_caught():
    x = numpy.ones((3, 4))
    low = changed(lowered(lambda x: x.T * 2, x), "load(x0_e, 0)", "load(x0_e, 0 - 1)")
    with pytest.raises(IndexError, match="thread 0 of block 0: element -1 of an array of 12"):
        run(low, [x])


def test_an_index_beyond_the_memory_of_a_block_is_caught(rng):
    x = rng.normal(size=(20, 3))
    low = changed(lowered(lambda x: np.sum(x, axis=0), x), "write(held0, lane()", "write(held0, lane() + 1")
    with pytest.raises(IndexError, match="thread 255 of block 0: element 256 of an array of 256"):
        run(low, [x])


def test_a_vector_that_is_not_aligned_is_caught():
    x = numpy.ones(16, "float32")
    low = changed(lowered(lambda x: x * 2, x), "v * 4, 4, 0)", "v * 4 + 1, 4, 0)")
    with pytest.raises(KernelError, match="a vector of 4 elements at element 1 is not aligned"):
        run(low, [x])


def test_a_float64_in_a_kernel_of_float32_is_caught():
    x = numpy.ones((3, 4), "float32")
    low = changed(lowered(lambda x: x.T * 2, x), "load(x0_e, 0)", "load(x0_e, 0) * 0.5")
    with pytest.raises(TypeError, match="a float64 is written to memory of float32"):
        run(low, [x])


def test_a_table_with_another_kind_of_word_is_caught():
    x = numpy.ones((3, 4))
    low = changed(lowered(lambda x: x.T * 2, x), "pointer_float64(args", "pointer_float32(args")
    with pytest.raises(TypeError, match=r"word \d of the table is no pointer to float32"):
        run(low, [x])


#: Programs, the shapes of their arguments, and barriers of the last kernel without which a thread reads too early.
BARRIERS = {
    "columns": (lambda x: np.sum(x, axis=0), ((300, 70),), (0, 1)),
    "rows": (lambda x: np.sum(x, axis=1), ((2, 2000),), (1,)),
    "products": (np.matmul, ((20, 33), (33, 20)), (0, 1)),
    "scatter": (lambda x: indexing.scatter_add(np.zeros(9), numpy.arange(300) % 9, x, axis=0), ((300,),), (0, 1)),
}


#: How often a kernel without a barrier is run: which thread comes first is for the operating system to say.
ATTEMPTS = 8


@pytest.mark.parametrize("name", BARRIERS)
def test_a_missing_barrier_is_caught(rng, name):
    """Some thread finds what nobody has written yet, or what another one has written since."""
    fn, shapes, needed = BARRIERS[name]
    arguments = [rng.normal(size=s) for s in shapes]
    (expected,) = run(lowered(fn, *arguments), arguments, grid=1)

    def wrong(low):
        try:
            (found,) = run(low, arguments, grid=1)
        except (IndexError, KernelError):
            return True
        return not numpy.allclose(found, expected)

    for which in needed:
        low = changed(lowered(fn, *arguments), "barrier()", "pass", which)
        assert any(wrong(low) for _ in range(ATTEMPTS)), f"without barrier {which}"


def test_a_barrier_that_some_threads_leave_out_is_caught(rng):
    x = rng.normal(size=(300, 3))
    low = changed(lowered(lambda x: np.sum(x, axis=0), x), "        barrier()", "        if lane() > 3: barrier()")
    with pytest.raises(KernelError, match="threads of a block do not meet"):
        run(low, [x])


def test_an_exchange_in_part_of_a_warp_is_caught(rng):
    x = rng.normal(size=(4, 5))
    low = lowered(lambda x: np.sum(x, axis=1), x)
    low.launches[0].block = 48
    with pytest.raises(KernelError, match="in a block of 48, which is no multiple of a warp"):
        run(low, [x])


def test_a_counter_that_is_not_a_zero_again_is_caught(rng):
    x = rng.normal(size=9000)
    low = changed(lowered(np.sum, x), "write(counter, 0, 0)", "write(counter, 0, 2)")
    with pytest.raises(KernelError, match="left a counter at 2, which must be 0 again"):
        run(low, [x])


def test_a_missing_factor_is_nan():
    """There is no way to stop from inside a kernel."""
    x = -numpy.eye(3)
    (found,) = run(lowered(linalg.cholesky, x), [x])
    assert numpy.isnan(found[0, 0])


def test_it_is_the_simulator_of_numba():
    """Threads, barriers and atomic additions are those that a function compiled by Numba would have."""
    out = numpy.zeros(1, "int64")

    @cuda.jit
    def count(out):
        cuda.atomic.add(out, 0, cuda.grid(1))

    count[3, 5](out)
    assert out[0] == sum(range(15))
    assert type(simulator._entry).__module__.endswith("simulator.kernel")
