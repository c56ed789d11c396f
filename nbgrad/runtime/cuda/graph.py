"""A program as a CUDA graph: recorded once, and started as one piece of work."""

import numpy

from nbgrad import devices, trees
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DeviceError, describe
from nbgrad.runtime.cuda.streams import Stream, current


class Graph:
    """What `jitted.lower(*args).graph()` returns.

    A graph has memory of its own for what it reads and makes; each launch copies arguments that are new into it, and
    results out of it, so that no Array changes.

    Examples
    --------
    ``graph = ng.jit(f).lower(x).graph(); y = graph.launch(); z = graph.launch(x + 1)``
    """

    def __init__(self, compiled, values, trace):
        if compiled.on_host:
            raise DeviceError(
                f"lower(...).graph: {', '.join(compiled.on_host)} has no CUDA kernel and is done on the host, which a "
                "CUDA graph cannot do; use lower(...).launch, or leave it out of the function"
            )
        self._compiled, self._trace, self._device = compiled, trace, compiled.device
        self._count = len(values) - len(trace.owners)
        self._stream = self._last = Stream(self._device)
        stream, driver = self._stream, self._device.driver
        with driver.active():
            self._given = list(values)
            self._values = compiled.placed(values, stream)
            self._values = [self._own(v, stream) for v in self._values]
            self._outs = [self._device.empty(shape, dtype, stream) for dtype, shape in compiled.outputs]
            self._arena = compiled.arena(stream)
            table = compiled.table(self._values, self._outs, self._arena, stream, {})
            self._table = table
            driver.synchronize(stream.handle)
            driver.begin_capture(stream.handle)
            compiled.enqueue(table, self._values, self._outs, self._arena, stream)
            self._recorded = driver.end_capture(stream.handle)

    def _own(self, value, stream):
        if value is None:
            return None
        made = self._device.empty(value.shape, value.dtype, stream)
        if made.nbytes:
            self._device.driver.copy(made.address, value.address, made.nbytes, stream.handle)
        return made

    def launch(self, *args, stream=None):
        """Start the graph and return what the function would; nothing is waited for.

        Parameters
        ----------
        *args : array_like
            New arguments of the shapes, dtypes and structure of those of `lower`; without any those of the last launch.
        stream : nbgrad.cuda.Stream, optional
            The current one of the device unless given.
        """
        stream, driver = stream or current(self._device), self._device.driver
        values = [*(self._arguments(args) if args else self._given[: self._count]),
                  *(p._node.value for p in self._trace.owners)]  # fmt: skip
        with driver.active():
            if stream is not self._last:  # its memory is one: launches follow each other
                driver.wait(stream.handle, driver.record(self._last.handle))
            self._last = stream
            for block in (self._table.block, self._arena, *(v.owner for v in (*self._values, *self._outs) if v)):
                if block is not None:
                    block.used_on(stream)
            for k, value in enumerate(values):
                if value is not self._given[k] and self._values[k] is not None:
                    self._copy_in(self._values[k], value, stream)
            self._given = values
            driver.replay(self._recorded, stream.handle)
            outs = []
            for out in self._outs:
                made = self._device.empty(out.shape, out.dtype, stream)
                if made.nbytes:
                    driver.copy(made.address, out.address, made.nbytes, stream.handle)
                outs.append(made)
        return self._trace.results(outs)

    def _copy_in(self, own, value, stream):
        if not own.nbytes:
            return
        if isinstance(value, numpy.ndarray):
            self._device.driver.copy_in(own.address, numpy.ascontiguousarray(value, own.dtype), stream.handle)
        else:
            value = value.on(self._device)
            value.ready_on(stream)
            self._device.driver.copy(own.address, value.address, own.nbytes, stream.handle)

    def _arguments(self, args):
        leaves, _ = trees.flatten((args, {}))
        if len(leaves) != self._count:
            raise ArgumentError(f"Graph.launch: got {len(leaves)} arrays, the graph takes {self._count}")
        values = []
        for k, leaf in enumerate(leaves):
            dtype, shape = self._compiled.inputs[k]
            if isinstance(leaf, Array):
                value = leaf.realize()._node.value
            else:
                value = devices.foreign(leaf)
                value = numpy.asarray(leaf) if value is None else value
            weak = not isinstance(leaf, Array) and value.shape == ()
            if value.shape != shape or (value.dtype != dtype and not weak):
                raise ArgumentError(
                    f"Graph.launch: argument {k} is {describe(leaf)}, the graph was made for "
                    f"{dtype}[{', '.join(map(str, shape))}]; make another one with lower(...).graph()"
                )
            values.append(value)
        return values
