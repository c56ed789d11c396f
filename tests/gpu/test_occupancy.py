"""Occupancy: what NVIDIA's calculator says."""

import dataclasses

import pytest

from nbgrad.runtime.cuda import occupancy

#: (threads of a block, registers of a thread, bytes of static shared memory of a block)
KERNELS = (
    (32, 16, 0), (64, 32, 0), (128, 40, 0), (256, 32, 0), (256, 37, 4096), (256, 64, 17000), (256, 128, 49152),
    (512, 33, 0), (512, 65, 1000), (1024, 32, 0), (1024, 64, 0), (1024, 65, 0), (96, 255, 0), (128, 32, 9000),
    (192, 20, 3000), (1024, 40, 0),
)  # fmt: skip
#: Resident blocks by cudaOccMaxActiveBlocksPerMultiprocessor of CUDA 13.5, shared memory preferred to cache.
CALCULATED = {
    (7, 5): (16, 16, 8, 4, 4, 3, 1, 2, 1, 1, 1, 0, 2, 7, 5, 1),
    (8, 0): (32, 32, 12, 8, 6, 4, 2, 3, 1, 2, 1, 0, 2, 16, 10, 1),
    (8, 6): (16, 16, 12, 6, 6, 4, 2, 3, 1, 1, 1, 0, 2, 10, 8, 1),
    (8, 9): (24, 24, 12, 6, 6, 4, 2, 3, 1, 1, 1, 0, 2, 10, 8, 1),
    (9, 0): (32, 32, 12, 8, 6, 4, 2, 3, 1, 2, 1, 0, 2, 16, 10, 1),
    (10, 0): (32, 32, 12, 8, 6, 4, 2, 3, 1, 2, 1, 0, 2, 16, 10, 1),
    (12, 0): (24, 24, 12, 6, 6, 4, 2, 3, 1, 1, 1, 0, 2, 10, 8, 1),
}


@pytest.mark.parametrize("capability", CALCULATED)
def test_resident_blocks(capability):
    found = [occupancy.resident(occupancy.limits(capability), *kernel) for kernel in KERNELS]
    assert tuple(found) == CALCULATED[capability]


def test_a_block_that_is_too_large_is_not_resident():
    assert occupancy.resident(occupancy.limits((9, 0)), 1056, 16) == 0


def test_a_capability_between_two_has_the_limits_of_the_older():
    assert occupancy.limits((8, 7)) == occupancy.limits((8, 6))
    assert occupancy.limits((12, 1)) == occupancy.limits((12, 0))
    assert occupancy.limits((7, 0)) == occupancy.limits((7, 5))


def test_the_block_that_fills_a_multiprocessor_is_chosen():
    """On 7.5 blocks of 64 threads are too many to fill it; with many registers 1024 threads do not fit at all."""
    turing, hopper = occupancy.limits((7, 5)), occupancy.limits((9, 0))
    assert occupancy.best_block(turing, 32) == occupancy.best_block(hopper, 32) == 256
    assert occupancy.best_block(hopper, 72) * occupancy.resident(hopper, occupancy.best_block(hopper, 72), 72) == 896
    assert occupancy.best_block(hopper, 32, most=96) == 64


def test_grids():
    card = dataclasses.replace(occupancy.limits((8, 0)), multiprocessors=100)
    assert occupancy.shape(card, 10, 128, None, 32) == (1, 128)
    assert occupancy.shape(card, 1000, 128, None, 32) == (8, 128)
    assert occupancy.shape(card, 1000, 128, 1, 32) == (1000, 128)
    assert occupancy.shape(card, 10**9, 256, None, 32) == (8 * 100 * occupancy.WAVES, 256)
    assert occupancy.shape(card, 10**9, None, None, 32) == (8 * 100 * occupancy.WAVES, 256)


def test_little_work_is_spread():
    card = dataclasses.replace(occupancy.limits((8, 0)), multiprocessors=100)
    assert occupancy.shape(card, 6400, None, None, 32) == (100, 64)
    assert occupancy.shape(card, 3, None, None, 32) == (1, 64)
