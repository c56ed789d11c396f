"""The memory of a device, recycled in the order of streams.

Work on a device is done later than it is asked for.  A block that is given back is free for what follows on the same
stream at once, since that runs after all that used the block; on another stream after an event.  So memory that an
array leaves can be used again while kernels that read it still wait to run.
"""

import threading
from collections import deque
from typing import NamedTuple

from nbgrad.config import config
from nbgrad.errors import DeviceMemoryError
from nbgrad.runtime.cuda.driver import OutOfMemory

#: Blocks are multiples of so many bytes, and begin at multiples at least as large.
SMALLEST = 512


class MemoryInfo(NamedTuple):
    """Bytes of a device."""

    #: In arrays that are alive.
    used: int
    #: In blocks that wait to be used again.
    cached: int
    #: What both together may reach.
    limit: int
    #: Free on the card, whoever has the rest.
    free: int
    #: Of the whole card.
    total: int


class Block:
    """Memory of one array: given back to the pool with its last reference.

    Attributes
    ----------
    address, nbytes : int
    stream : nbgrad.runtime.cuda.streams.Stream
        In whose order it is used.
    """

    __slots__ = ("__weakref__", "_memory", "_others", "_pool", "address", "nbytes", "stream")

    def __init__(self, pool, memory, stream):
        self._pool, self._memory, self.stream = pool, memory, stream
        self.address, self.nbytes = memory.address, memory.nbytes
        self._others = {}

    def used_on(self, stream):
        """Note that another stream uses the memory: who gets it next waits for that as well."""
        if stream is not self.stream:
            self._others[stream.handle] = stream

    def __del__(self):
        # any thread, at any time, perhaps inside of the pool: so it is only laid down there
        self._pool.returned.append((self._memory, self.stream, tuple(self._others.values())))


class Pool:
    """Blocks of one device by size.

    Parameters
    ----------
    driver : nbgrad.runtime.cuda.driver.Driver
    size_class : callable
        Bytes asked for -> bytes of the block.
    """

    def __init__(self, driver, size_class=None):
        self._driver, self._size_class = driver, size_class or _size_class
        self._free, self._lock = {}, threading.Lock()
        self.used = self.cached = 0
        self.returned = deque()

    def allocate(self, nbytes, stream):
        """A Block of at least so many bytes, for use in the order of `stream`.

        Raises
        ------
        DeviceMemoryError
            If the limit or the card is exhausted, also after what is cached was given back.
        """
        size = self._size_class(nbytes)
        with self._lock:
            self._collect()
            blocks = self._free.get(size, ())
            found = next((b for b in reversed(blocks) if b[1] is stream), None)
            if found is None:
                memory = self._fresh(size, fail=not blocks)
                if memory is None:  # rather wait for another stream than fail
                    found = blocks[0] if blocks else None
                    if found is None:
                        raise self._exhausted(nbytes)
            if found is not None:
                blocks.remove(found)
                memory, other = found
                self.cached -= size
                if other is not stream:
                    self._driver.wait(stream.handle, self._driver.record(other.handle))
            self.used += size
        return Block(self, memory, stream)

    def _fresh(self, size, fail):
        """Memory from the driver; None where there is none, or not as long as blocks of this size wait."""
        limit = self._limit()
        if self.used + self.cached + size > limit:
            if not fail:
                return None
            self._trim(self.used + self.cached + size - limit)
            if self.used + self.cached + size > limit:
                return None
        try:
            return self._driver.alloc(size)
        except OutOfMemory:
            if not fail:
                return None
            self._trim(None)
            try:
                return self._driver.alloc(size)
            except OutOfMemory:
                return None

    def _trim(self, enough):
        """Give cached blocks back to the driver, the largest first: so many bytes, or all."""
        for size in sorted(self._free, reverse=True):
            blocks = self._free[size]
            while blocks and (enough is None or enough > 0):
                memory, stream = blocks.pop(0)
                self._driver.synchronize(stream.handle)  # it may still be read there
                self._driver.free(memory)
                self.cached -= size
                enough = None if enough is None else enough - size
            if not blocks:
                del self._free[size]

    def _collect(self):
        """Put what was given back where it is found again."""
        while self.returned:
            memory, stream, others = self.returned.popleft()
            for other in others:
                self._driver.wait(stream.handle, self._driver.record(other.handle))
            self._free.setdefault(memory.nbytes, []).append((memory, stream))
            self.used -= memory.nbytes
            self.cached += memory.nbytes

    def _limit(self):
        wanted = config.cuda_memory_limit
        return int(wanted * self._driver.memory()[1]) if isinstance(wanted, float) else wanted

    def info(self):
        """A `MemoryInfo`."""
        with self._lock:
            self._collect()
            return MemoryInfo(self.used, self.cached, self._limit(), *self._driver.memory())

    def clear(self):
        """Give all that is cached back to the driver; waits for what uses it."""
        with self._lock:
            self._collect()
            self._trim(None)

    def _exhausted(self, nbytes):
        free, total = self._driver.memory()
        return DeviceMemoryError(
            f"cuda:{self._driver.ordinal} has no memory for an array of {_shown(nbytes)}: arrays hold "
            f"{_shown(self.used)} of the {_shown(self._limit())} that nbgrad.config.cuda_memory_limit = "
            f"{config.cuda_memory_limit!r} allows, and {_shown(free)} of the {_shown(total)} of the card are free. "
            "Drop arrays that are not needed, or raise the limit"
        )


def _size_class(nbytes):
    """Sizes in steps of an eighth of a power of two, so that at most an eighth is wasted."""
    step = max(1 << max(nbytes.bit_length() - 4, 0), SMALLEST)
    return max(-(-nbytes // step) * step, SMALLEST)


def _shown(nbytes):
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes} {unit}" if unit == "bytes" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} GiB"
