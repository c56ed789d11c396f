"""A lowered graph on a device: tables in its memory, launches in a stream."""

import statistics
import threading
import time
import warnings

import numpy

from nbgrad.compile.simplify import simplify
from nbgrad.config import config
from nbgrad.errors import HostFallbackWarning, KernelError
from nbgrad.runtime.compiled import bits
from nbgrad.runtime.cuda import occupancy
from nbgrad.runtime.cuda.streams import current
from nbgrad.statistics import COUNTERS, LAUNCHES

#: Streams for which a program keeps a table.
MOST_TABLES = 16
#: Primitives of which it was said that they are done on the host.
_warned = set()


class DeviceProgram:
    """A graph that can be run again and again on a device, with other values in its inputs.

    Parameters
    ----------
    inputs, outputs : lists of Node
    device : nbgrad.runtime.cuda.device.Device
    """

    __slots__ = ("_compiled", "_device", "_graph", "_lock")

    def __init__(self, inputs, outputs, device):
        self._graph, self._device, self._compiled = simplify(inputs, outputs), device, None
        self._lock = threading.Lock()
        COUNTERS["programs"] += 1

    def run(self, values):
        """Output `DeviceArray`s for the values of the inputs; nothing is waited for."""
        return self.compiled().run(values)

    def compiled(self):
        """The launches, lowered now if need be."""
        if self._compiled is None:
            with self._lock:
                if self._compiled is None:
                    from nbgrad.compile.cuda.lower import CudaLowering

                    self._compiled = OnDevice(self._device, CudaLowering(*self._graph))
        return self._compiled


class _Table:
    """The words of all launches as one stream sees them: on the host as they were sent last, and on the device."""

    __slots__ = ("block", "words")

    def __init__(self, words, block):
        self.words, self.block = words, block


class OnDevice:
    """Launches on a device, with their tables.

    Kernels read extents, strides, numbers and addresses from words in the memory of the device.  These are sent there
    once for each stream, and later those that changed.

    Parameters
    ----------
    device : nbgrad.runtime.cuda.device.Device
    lowering : nbgrad.compile.cuda.lower.CudaLowering
    """

    def __init__(self, device, lowering):
        self.device = device
        self.inputs, self.outputs, captured, self.launches, self._arena_bytes = lowering._result()
        self._captured = [device.upload(numpy.ascontiguousarray(v).reshape(v.shape)) if isinstance(v, numpy.ndarray)
                          else v.on(device) for v in captured]  # fmt: skip
        self._lock, self._tables = threading.Lock(), {}
        self._use_libraries()
        self._build()

    def _use_libraries(self):
        """Launches that NVIDIA's libraries are to do, if they are installed and wanted."""
        if config.cuda_libraries is not False and any(launch.library for launch in self.launches):
            from nbgrad.runtime.cuda.library_launches import planned

            self.launches, self._arena_bytes = planned(self.launches, self._arena_bytes, self.device)

    def _build(self):
        """Words, where addresses go in them, and what is launched."""
        words, spots, which, offsets = [], [], [], []
        counters, self._read, self._steps = {}, set(), []
        counted = len(self.inputs) + len(self.outputs)
        first = {"input": 0, "output": len(self.inputs), "captured": counted}
        arena = counted + len(self._captured)
        for launch in self.launches:
            if launch.code is None:
                for view in launch.operands:
                    if not isinstance(view, numpy.ndarray) and view.origin.kind == "input":
                        self._read.add(view.origin.index)
                self._steps.append((launch, None, 0, 0, 0))
                continue
            start = len(words)
            words += [bits(*v) if isinstance(v, tuple) else v for v in launch.words.values]
            for index, view, _ in launch.words.addresses:
                buffer, offset = view.origin, view.offset * view.origin.dtype.itemsize
                spots.append(start + index)
                if buffer.kind == "arena":
                    which.append(arena)
                    offset += buffer.offset
                elif buffer.kind == "counter":
                    which.append(arena + 1)
                    offset = 8 * counters.setdefault(id(buffer), len(counters))
                else:
                    which.append(first[buffer.kind] + buffer.index)
                    if buffer.kind == "input":
                        self._read.add(buffer.index)
                offsets.append(offset)
            function = self.device.function(launch.code)
            grid, block = occupancy.shape(
                self.device.driver.limits, launch.total, launch.block, launch.per_block, function.registers,
                function.shared, function.threads,
            )  # fmt: skip
            if launch.dimensions:
                _fits(launch, function)
            grid, block = launch.dimensions or (launch.blocks or grid, block)
            self._steps.append((launch, function, grid, block, start))
        self._words = numpy.array(words, numpy.int64)
        self._spots, self._which = numpy.array(spots, numpy.int64), numpy.array(which, numpy.int64)
        self._offsets, self._counters = numpy.array(offsets, numpy.int64), len(counters)
        self._constant = [v.address for v in self._captured]

    @property
    def on_host(self):
        """Names of the launches that are done on the host."""
        return [launch.name for launch in self.launches if launch.host]

    def run(self, values, stream=None):
        """Output `DeviceArray`s for the values of the inputs, as the stream will make them."""
        stream = stream or current(self.device)
        self._warn()
        with self.device.driver.active():
            values = self.placed(values, stream)
            outs = [self.device.empty(shape, dtype, stream) for dtype, shape in self.outputs]
            arena = self.arena(stream)
            with self._lock:
                table = self.table(values, outs, arena, stream, self._tables)
                self.enqueue(table, values, outs, arena, stream)
        return outs

    def profile(self, values, repeat):
        """For each launch its name and its median seconds from the call until the device is done with it, in order."""
        stream, runs = current(self.device), []
        for _ in range(repeat):
            runs.append([])
            with self.device.driver.active():
                placed = self.placed(values, stream)
                outs = [self.device.empty(shape, dtype, stream) for dtype, shape in self.outputs]
                arena = self.arena(stream)
                with self._lock:
                    table = self.table(placed, outs, arena, stream, self._tables)
                    self.enqueue(table, placed, outs, arena, stream, runs[-1])
        return [
            (launch.name, statistics.median(t))
            for launch, t in zip(self.launches, zip(*runs, strict=True), strict=True)
        ]

    # ------------------------------------------------------------ parts of a run

    def placed(self, values, stream):
        """The values on the device, ready for what comes next in the stream; None where no launch reads one."""
        found = []
        for k, value in enumerate(values):
            if k not in self._read:
                found.append(None)
                continue
            if isinstance(value, numpy.ndarray):
                dtype, shape = self.inputs[k]
                value = self.device.upload(numpy.array(value, dtype, order="C").reshape(shape), stream)
            else:
                value = value.on(self.device)
            value.ready_on(stream)
            found.append(value)
        for value in self._captured:
            value.ready_on(stream)
        return found

    def arena(self, stream):
        """A block for intermediate values, or None."""
        return self.device.pool.allocate(self._arena_bytes, stream) if self._arena_bytes else None

    def table(self, values, outs, arena, stream, tables):
        """The words of all launches with the addresses of these arrays, on the device from here on in the stream."""
        table, driver = tables.get(stream), self.device.driver
        fresh = table is None
        if fresh:
            count = len(self._words)
            block = self.device.pool.allocate(8 * max(count + self._counters, 1), stream)
            if len(tables) >= MOST_TABLES:
                del tables[next(iter(tables))]
            table = tables[stream] = _Table(numpy.zeros(count + self._counters, numpy.int64), block)
            table.words[:count] = self._words
        words = table.words.copy()
        bases = [0 if v is None else v.address for v in (*values, *outs)]
        bases += [*self._constant, arena.address if arena else 0, table.block.address + 8 * len(self._words)]
        words[self._spots] = numpy.array(bases, numpy.int64)[self._which] + self._offsets
        changed = numpy.flatnonzero(words != table.words)
        low, high = (0, len(words)) if fresh else (changed[0], changed[-1] + 1) if len(changed) else (0, 0)
        if high > low:
            driver.copy_in(table.block.address + 8 * int(low), words[low:high], stream.handle)
            table.words = words
        return table

    def enqueue(self, table, values, outs, arena, stream, times=None):
        """Put all launches into the stream."""
        driver, count = self.device.driver, 0
        for launch, function, grid, block, start in self._steps:
            begin = time.perf_counter()
            if launch.host:
                self._on_host(launch, values, outs, arena, stream)
            elif function is None:
                launch.call(lambda view: self._first(view, values, outs, arena), stream.handle)
            else:
                driver.launch(function, grid, block, stream.handle, table.block.address + 8 * start, 0, launch.total)
            count += 1
            if times is not None:
                driver.synchronize(stream.handle)
                times.append(time.perf_counter() - begin)
        LAUNCHES[0] += count

    # ------------------------------------------------------------ on the host

    def _warn(self):
        for name in self.on_host:
            if name not in _warned:
                _warned.add(name)
                warnings.warn(
                    f"{name}: has no CUDA kernel for these shapes and dtypes; whenever it is computed, its operands "
                    "are copied to the host and its result back. This is said once",
                    HostFallbackWarning,
                    stacklevel=2,
                )

    def _on_host(self, launch, values, outs, arena, stream):
        """Copy the operands over, call the NumPy reference, copy the result back."""
        reference, attrs = launch.host
        *views, out = launch.operands
        operands = [v if isinstance(v, numpy.ndarray) else self._fetched(v, values, outs, arena, stream) for v in views]
        with numpy.errstate(all="ignore"):
            made = reference(*operands, **attrs)
        result = numpy.empty(out.shape, out.origin.dtype)
        result[...] = made
        if result.nbytes:
            at = self._address(out, values, outs, arena) + out.offset * result.itemsize
            self.device.driver.copy_in(at, result, stream.handle)

    def _fetched(self, view, values, outs, arena, stream):
        """The elements of a view, on the host."""
        dtype = view.origin.dtype
        if 0 in view.shape:
            return numpy.empty(view.shape, dtype)
        steps = [s * (n - 1) for n, s in zip(view.shape, view.strides, strict=True)]
        low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)
        span = numpy.empty(high - low + 1, dtype)
        at = self._address(view, values, outs, arena) + (view.offset + low) * dtype.itemsize
        self.device.driver.copy_out(span, at, stream.handle)
        return numpy.ndarray(view.shape, dtype, span, -low * dtype.itemsize, [s * dtype.itemsize for s in view.strides])

    def _first(self, view, values, outs, arena):
        """Where the first element of a view is."""
        return self._address(view, values, outs, arena) + view.offset * view.origin.dtype.itemsize

    def _address(self, view, values, outs, arena):
        """Where the buffer of a view begins."""
        buffer = view.origin
        if buffer.kind == "arena":
            return arena.address + buffer.offset
        return {"input": values, "output": outs, "captured": self._captured}[buffer.kind][buffer.index].address


def _fits(launch, function):
    """Say so where a kernel of a user's needs more registers than its blocks leave to a thread."""
    if launch.block > function.threads:
        raise KernelError(
            f"{launch.name}.cuda_kernel: layout asks for {launch.block} threads a block, expected at most "
            f"{function.threads}, since a thread of the compiled kernel has {function.registers} registers; return a "
            "smaller block"
        )
