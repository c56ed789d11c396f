"""A device that pretends: a driver in the memory of the host, whose launches execute NVVM IR.

Streams put off what they are asked for until somebody waits for it, so whatever should have waited and did not sees
wrong data.  Memory has guards around it that launches must leave as they are, and once it is given back to the driver
nobody may write to it any more.  Kernels run as `nbgrad.testing.cuda` runs them; what that leaves out of a
GPU is left out here.
"""

import contextlib
import dataclasses
from collections import deque

import numpy

from nbgrad import devices
from nbgrad.compile import program
from nbgrad.errors import DeviceError, KernelError
from nbgrad.runtime.cuda import device as cuda
from nbgrad.runtime.cuda import libraries, occupancy
from nbgrad.runtime.cuda.driver import LEGACY, PER_THREAD, Function, Memory, OutOfMemory
from nbgrad.testing.cuda import _kernel

#: Bytes on each side of an allocation, and what they hold; what memory holds before it is written, and after.
GUARD, GUARDED, FRESH, FREED = 256, 0xA5, 0xFF, 0xDD
#: Addresses that GPUs hand out are multiples of this.
ALIGNMENT = 256


class _Event:
    """A place in a stream."""

    def __init__(self, stream):
        self.stream, self.done = stream, False


class PretendDriver:
    """A driver whose device is the host.

    Parameters
    ----------
    ordinal : int
    total : int
        Bytes of the device.
    capability : (int, int)
        Whose limits it has.
    delayed : bool
        Put work off until somebody waits for it, else do it at once.
    """

    def __init__(self, ordinal=0, total=1 << 28, capability=(8, 0), delayed=True):
        self.ordinal, self.name, self.capability = ordinal, "a device that pretends", capability
        self.limits = dataclasses.replace(occupancy.limits(capability), multiprocessors=4)
        self.delayed, self.log = delayed, []
        self._total, self._held, self._freed = total, {}, []
        self._streams = {LEGACY: deque(), PER_THREAD: deque()}
        self._next, self._recording = 16, {}

    def active(self):
        return contextlib.nullcontext()

    # ------------------------------------------------------------ memory

    def alloc(self, nbytes):
        if nbytes > self.memory()[0]:
            raise OutOfMemory(f"{nbytes} bytes")
        whole = numpy.full(nbytes + 2 * GUARD + ALIGNMENT, GUARDED, numpy.uint8)
        start = GUARD + -(whole.ctypes.data + GUARD) % ALIGNMENT
        whole[start : start + nbytes] = FRESH
        address = whole.ctypes.data + start
        self._held[address] = whole, start, nbytes
        self.log.append(("alloc", nbytes))
        return Memory(address, nbytes, whole)

    def free(self, memory):
        whole, start, nbytes = self._held.pop(memory.address)
        whole[start : start + nbytes] = FREED
        self._freed.append((whole, start, nbytes))  # kept, so that its address is not handed out again
        memory.owner = None
        self.log.append(("free", nbytes))

    def memory(self):
        return self._total - sum(n for _, _, n in self._held.values()), self._total

    def check(self, what):
        """
        Raises
        ------
        KernelError
            If a byte beside an allocation, or of one that was given back, was written.
        """
        for whole, start, nbytes in self._held.values():
            if (whole[:start] != GUARDED).any() or (whole[start + nbytes :] != GUARDED).any():
                raise KernelError(f"{what}: memory beside an allocation of {nbytes} bytes was written")
        for whole, start, nbytes in self._freed:
            if (whole[start : start + nbytes] != FREED).any():
                raise KernelError(f"{what}: memory was written that had been given back")

    def bytes_at(self, address, nbytes):
        """A view of memory of the device, all of it inside of one allocation."""
        for base, (whole, start, size) in self._held.items():
            if base <= address and address + nbytes <= base + size:
                at = start + address - base
                return whole[at : at + nbytes]
        raise DeviceError(f"{nbytes} bytes at {address:#x} are not inside of an allocation of the device")

    def copy_in(self, address, array, stream):
        given = array.reshape(-1).view(numpy.uint8).copy()
        self._put(stream, "copy in", lambda: self._assign(address, given), array.nbytes)

    def _assign(self, address, given):
        self.bytes_at(address, given.size)[:] = given

    def copy_out(self, array, address, stream):
        self.synchronize(stream)
        array.reshape(-1).view(numpy.uint8)[:] = self.bytes_at(address, array.nbytes)

    def copy(self, target, source, nbytes, stream):
        self._put(stream, "copy", lambda: self._assign(target, self.bytes_at(source, nbytes).copy()), nbytes)

    def fill(self, address, byte, nbytes, stream):
        self._put(stream, "fill", lambda: self.bytes_at(address, nbytes).fill(byte), nbytes)

    # ------------------------------------------------------------ streams

    def stream(self):
        self._next += 1
        self._streams[self._next] = deque()
        return self._next

    def forget_stream(self, stream):
        self.synchronize(stream)
        del self._streams[stream]

    def record(self, stream):
        event = _Event(stream)
        self._put(stream, "record", lambda: setattr(event, "done", True))
        return event

    def wait(self, stream, event):
        self._put(stream, "wait", lambda: self._until(event))

    def _until(self, event):
        queue = self._queue(event.stream)
        while not event.done:
            queue.popleft()()

    def synchronize(self, stream=None):
        for each in list(self._streams) if stream is None else [stream]:
            if each in self._recording:
                raise DeviceError("CUDA could not finish what was launched: the stream is being recorded")
            queue = self._queue(each)
            while queue:
                queue.popleft()()

    def pending(self, stream):
        """How many pieces of work a stream puts off."""
        return len(self._queue(stream))

    def _queue(self, stream):
        if stream not in self._streams:
            raise DeviceError(f"{stream} is no stream of the device")
        return self._streams[stream]

    def _put(self, stream, what, work, nbytes=0):
        queue = self._queue(stream)
        self.log.append((what, nbytes))
        if stream in self._recording:
            if what == "copy in":
                raise DeviceError("a graph cannot record a copy from memory of the host that may change")
            self._recording[stream].append(work)
            return
        queue.append(work)
        if not self.delayed:
            self.synchronize(stream)

    # ------------------------------------------------------------ kernels

    def function(self, code):
        return Function(_kernel(code.text, code.symbol))

    def launch(self, function, grid, block, stream, table, start, stop):
        def work():
            self.bytes_at(table, 8)  # the table is in memory of the device
            self.check("before a launch")
            function.handle.run(grid, block, _Table(table), start, stop)
            self.check("a launch")

        self._put(stream, "launch", work)

    # ------------------------------------------------------------ graphs

    def begin_capture(self, stream):
        if stream == LEGACY:
            raise DeviceError("CUDA could not begin a graph: the legacy stream cannot be recorded")
        self._recording[stream] = []

    def end_capture(self, stream):
        return self._recording.pop(stream)

    def replay(self, recorded, stream):
        def work():
            for each in recorded:
                each()

        self._put(stream, "replay", work)


class _Table:
    """A table at an address, as `nbgrad.testing.cuda.Kernel.run` takes one."""

    class _Address:
        def __init__(self, data):
            self.data = data

    def __init__(self, address):
        self.ctypes = self._Address(address)


def _no_libraries():
    raise ImportError("a device that pretends has none of NVIDIA's libraries")


@contextlib.contextmanager
def pretend_device(count=1, *, exact=True, **options):
    """With devices ``cuda:0`` up to ``cuda:<count - 1>`` that pretend; yields the first one's `PretendDriver`.

    Parameters
    ----------
    count : int
    exact : bool
        Blocks of the pool are as long as what is asked for, so that guards lie right behind it.
    **options
        Of `PretendDriver`.
    """
    before = {n: getattr(cuda, n) for n in ("open_driver", "count_drivers", "why_not", "ordinal_of", "_devices")}
    used, made, load = devices.used, [], libraries.load
    libraries.load = _no_libraries  # those that are installed are for GPUs
    cuda.why_not, cuda.count_drivers, cuda._devices = lambda: None, lambda: count, {}
    try:
        for k in range(count):
            made.append(cuda.Device(PretendDriver(k, **options), (lambda n: max(n, 8)) if exact else None))
            cuda.install(made[-1])

        def ordinal_of(address):
            for device in made:
                with contextlib.suppress(DeviceError):
                    device.driver.bytes_at(address, 1)
                    return device.ordinal
            return 0

        cuda.ordinal_of = ordinal_of
        yield made[0].driver
        for device in made:
            device.driver.synchronize()
            device.driver.check("at the end")
    finally:
        for name, value in before.items():
            setattr(cuda, name, value)
        devices.used, libraries.load = used, load
        for device in made:
            program.forget(device)
