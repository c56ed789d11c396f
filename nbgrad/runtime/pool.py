"""Buffers for outputs and arenas, recycled: fresh pages cost more than the arithmetic that fills them."""

import sys
import threading

import numpy

#: Below this many bytes NumPy's own allocator is faster.
SMALLEST = 1 << 16
#: Idle bytes that the pool keeps at most.
LARGEST_IDLE = 1 << 30

_lock = threading.Lock()
_blocks = {}


def empty(shape, dtype, nbytes):
    """An uninitialised C-contiguous array whose memory nobody else uses.

    The memory comes back by itself: a block is free when nothing but the pool refers to it.
    """
    if nbytes < SMALLEST:
        return numpy.empty(shape, dtype)
    return numpy.ndarray(shape, dtype, block(nbytes))


def block(nbytes):
    """A byte array of at least `nbytes`, aligned to 64, that nobody refers to but the caller and the pool."""
    size = _size_class(nbytes)
    with _lock:
        # What counts references is the array that owns the memory: NumPy makes it the base of every view.
        owners = _blocks.setdefault(size, [])
        for owner in owners:
            if sys.getrefcount(owner) == 3:  # the list, the loop variable, the argument of getrefcount
                return _aligned(owner, size)
        _trim(size)
        owner = numpy.empty(size + 64, numpy.uint8)
        owners.append(owner)
        return _aligned(owner, size)


def _aligned(owner, size):
    return owner[-owner.ctypes.data % 64 :][:size]


def idle_bytes():
    """Bytes that the pool holds and nobody uses."""
    return sum(size for size, blocks in _blocks.items() for b in blocks if sys.getrefcount(b) == 3)


def clear():
    """Give all idle memory back."""
    with _lock:
        for blocks in _blocks.values():
            blocks[:] = [b for b in blocks if sys.getrefcount(b) > 3]


def _size_class(nbytes):
    """Sizes in steps of an eighth of a power of two, so that at most an eighth is wasted."""
    step = max(1 << max(nbytes.bit_length() - 4, 0), 4096)
    return -(-nbytes // step) * step


def _trim(coming):
    if idle_bytes() + coming > LARGEST_IDLE:
        for blocks in _blocks.values():
            blocks[:] = [b for b in blocks if sys.getrefcount(b) > 3]
