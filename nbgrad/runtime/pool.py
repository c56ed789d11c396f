"""Buffers for outputs and arenas, recycled: fresh pages cost more than the arithmetic that fills them."""

import threading
from sys import getrefcount

import numpy
from numpy import ndarray

#: Below this many bytes NumPy's own allocator is faster.
SMALLEST = 1 << 15
#: Idle bytes that the pool keeps at most.
LARGEST_IDLE = 1 << 30

_lock = threading.Lock()
_buckets = {}


class Bucket:
    """The blocks of one size.

    Memory comes back by itself: a block is free when nothing but its bucket refers to the array that owns it,
    which NumPy makes the base of every view.
    """

    __slots__ = ("blocks", "size")

    def __init__(self, size):
        self.size, self.blocks = size, []

    def empty(self, shape, dtype):
        """An uninitialised C-contiguous array whose memory nobody else uses, aligned to 64 bytes."""
        with _lock:
            for owner, whole in self.blocks:
                if getrefcount(owner) == _IDLE:
                    return ndarray(shape, dtype, whole)
            _trim(self.size)
            owner = numpy.empty(self.size + 64, numpy.uint8)
            whole = owner[-owner.ctypes.data % 64 :][: self.size]
            self.blocks.append((owner, whole))
            return ndarray(shape, dtype, whole)

    def idle(self):
        """Number of blocks that nobody uses."""
        return sum(getrefcount(owner) == _IDLE for owner, _ in self.blocks)

    def clear(self):
        """Give the idle ones back."""
        self.blocks[:] = [pair for pair in self.blocks if getrefcount(pair[0]) > _IDLE - 1]


#: References to the owner of an idle block, where it is a local variable: the pair, the view, the variable, the call.
_IDLE = 4


def bucket(nbytes):
    """The bucket that serves arrays of this many bytes; None where NumPy's own allocator does better."""
    if nbytes < SMALLEST:
        return None
    size = _size_class(nbytes)
    return _buckets.get(size) or _buckets.setdefault(size, Bucket(size))


def idle_bytes():
    """Bytes that the pool holds and nobody uses."""
    return sum(b.size * b.idle() for b in list(_buckets.values()))


def clear():
    """Give all idle memory back."""
    with _lock:
        for b in list(_buckets.values()):
            b.clear()


def _size_class(nbytes):
    """Sizes in steps of an eighth of a power of two, so that at most an eighth is wasted."""
    step = max(1 << max(nbytes.bit_length() - 4, 0), 4096)
    return -(-nbytes // step) * step


def _trim(coming):
    if idle_bytes() + coming > LARGEST_IDLE:
        for b in list(_buckets.values()):
            b.clear()
