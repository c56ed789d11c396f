"""How many blocks of a kernel a multiprocessor holds at once, and the launch shape that follows.

Source of the limits: the CUDA programming guide, technical specifications by compute capability; of the rules: NVIDIA's
occupancy calculator (``cuda_occupancy.h`` of the toolkit).
"""

from dataclasses import dataclass

WARP = 32
#: Registers are given to warps in steps of so many; a multiprocessor has four parts with registers of their own.
REGISTER_STEP, PARTS = 256, 4
#: Blocks that are tried, the preferred one first.
BLOCKS = (256, 128, 512, 64, 1024)
#: Grids have at most this many times the blocks that are resident: enough to even out blocks that take longer.
WAVES = 4


@dataclass(frozen=True)
class Limits:
    """What one multiprocessor has, and how many of them there are.

    Attributes
    ----------
    threads, blocks : int
        Resident at once.
    shared : int
        Bytes of memory that blocks share.
    reserved : int
        Bytes of it that each block loses to the system.
    registers : int
    shared_step : int
        Bytes in whose multiples a block gets shared memory.
    block_threads : int
        Of one block at most.
    multiprocessors : int
    """

    threads: int
    blocks: int
    shared: int
    reserved: int = 1024
    registers: int = 65536
    shared_step: int = 128
    block_threads: int = 1024
    multiprocessors: int = 1


_LIMITS = {
    (7, 5): Limits(1024, 16, 64 << 10, 0, shared_step=256),
    (8, 0): Limits(2048, 32, 164 << 10),
    (8, 6): Limits(1536, 16, 100 << 10),
    (8, 9): Limits(1536, 24, 100 << 10),
    (9, 0): Limits(2048, 32, 228 << 10),
    (10, 0): Limits(2048, 32, 228 << 10),
    (12, 0): Limits(1536, 24, 100 << 10),
}


def limits(capability):
    """The `Limits` of a compute capability, those of the next older one where it is not listed."""
    known = [c for c in _LIMITS if c <= capability]
    return _LIMITS[max(known) if known else min(_LIMITS)]


def resident(limits, threads, registers, shared=0):
    """Blocks of so many threads that one multiprocessor holds at once; 0 where not even one fits.

    Parameters
    ----------
    limits : Limits
    threads : int
        Of a block.
    registers : int
        Of a thread.
    shared : int
        Bytes of shared memory of a block.
    """
    if threads > limits.block_threads:
        return 0
    warps = -(-threads // WARP)
    found = [limits.blocks, limits.threads // (warps * WARP)]
    if registers:
        of_warp = -(-registers * WARP // REGISTER_STEP) * REGISTER_STEP
        if of_warp * -(-warps // PARTS) * PARTS > limits.registers:
            return 0
        found.append(limits.registers // PARTS // of_warp * PARTS // warps)
    of_block = -(-(shared + limits.reserved) // limits.shared_step) * limits.shared_step
    if of_block:
        found.append(limits.shared // of_block)
    return min(found)


def best_block(limits, registers, shared=0, most=1024):
    """Threads of a block with which most threads are resident, for a kernel that takes any number."""
    tried = [b for b in BLOCKS if b <= most] or [most]
    return max(tried, key=lambda b: b * resident(limits, b, registers, shared))


def shape(limits, total, block, per_block, registers, shared=0, most=1024):
    """(blocks, threads of a block) of a launch over `total` units.

    Parameters
    ----------
    limits : Limits
    total : int
    block : int or None
        Threads of a block; None: those with which most threads are resident, fewer where there is little to do.
    per_block : int or None
        Units that a block takes at once; None: as many as it has threads.
    registers, shared, most : int
        Of a thread, of a block, and threads that the kernel allows.
    """
    if block is None:
        block = best_block(limits, registers, shared, most)
        while block > 64 and total <= block // 2 * limits.multiprocessors:
            block //= 2  # little to do: rather on all multiprocessors than in large blocks
    at_once = max(1, resident(limits, block, registers, shared)) * limits.multiprocessors
    return max(1, min(-(-total // (per_block or block)), at_once * WAVES)), block
