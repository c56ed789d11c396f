"""A lowered graph, ready to run: tables for the driver, memory for its intermediate values."""

import contextlib
import statistics
import threading
import time

import numpy
from numpy import empty as _empty

from nbgrad import shapes
from nbgrad.config import config
from nbgrad.errors import KernelError
from nbgrad.runtime import blas, driver, pool, threads
from nbgrad.runtime.driver import PATCH_WORDS, PLAN_WORDS
from nbgrad.runtime.steps import SETTING_WORDS
from nbgrad.statistics import COUNTERS, LAUNCHES

#: Arenas up to this many bytes stay with their program; larger ones go back to the pool after a run.
OWN_ARENA = 1 << 16
#: Elements of work in a plan from which the GIL is released, in a launch from which it is shared out, and in the
#: launches that are shared out from which threads are woken.
LONG, SHARED, WORTH_WAKING = 1 << 12, 1 << 14, 3 << 13
#: Cost of a host call from which a library works on it with threads of its own.
LARGE = 1 << 24

_AS_IT_IS = contextlib.nullcontext()


class Compiled:
    """Launches with their tables.

    Parameters
    ----------
    inputs, outputs : lists of (dtype, shape)
    captured : list of ndarray
    launches : list of nbgrad.compile.launch.Launch
    arena : int
        Bytes of intermediate values.
    apart : bool
        Enter and leave native code for each launch, so that it can be timed.
    """

    def __init__(self, inputs, outputs, captured, launches, arena, apart=False):
        self.inputs, self.outputs, self.launches = inputs, outputs, launches
        self._captured = [numpy.ascontiguousarray(c).reshape(c.shape) for c in captured]
        self._arena_bytes = arena
        self.made = [(shape, dtype, pool.bucket(shapes.size(shape) * dtype.itemsize)) for dtype, shape in outputs]
        self._drive = driver.builtin(driver.drive)
        self._lock = threading.Lock()
        self._arena = None
        self._keep = []
        hosts = [launch.cost for launch in launches if launch.host]
        self._by_library = max(hosts, default=0) >= LARGE
        self._confined = bool(hosts) and not self._by_library
        self._segments = self._built(apart)
        own = 0 < arena <= OWN_ARENA
        if own:
            self._place_arena()
        self.address = self._segments[0].address
        self.threaded = any(s.shared for s in self._segments)
        self._alone = (
            len(self._segments) == 1
            and not self._segments[0].host
            and (own or not arena)
            and not self.threaded
            and not self._segments[0].blas
        )
        self.simple = self._alone and not self._statuses
        alone = not any(s.host for s in self._segments)
        for segment in self._segments:  # a library with threads of its own needs the cores in between
            segment.plan[12] = driver.SPINS if alone else 0
        if self.simple:  # nothing writes to results but this one run: Arrays can hand them out as they are
            self._segments[0].plan[10] = len(inputs)

    def run(self, values):
        """Output ndarrays, each memory of its own, for input ndarrays."""
        outs = [_empty(s, d) if bucket is None else bucket.empty(s, d) for s, d, bucket in self.made]
        if self._alone and self._drive(self.address, *values, *outs) is None:
            self._check_statuses()
            return outs
        with self._lock:
            self._place_arena()
            self._run_segments(values, outs)
            self._free_arena()
        return outs

    def give_away(self):
        """Results belong to the caller, who may write to them: no Array will hand them out."""
        self._segments[0].plan[10] = len(self.inputs) + len(self.outputs)

    def profile(self, values, repeat):
        """For each launch its name and its median seconds, in order."""
        apart = Compiled(self.inputs, self.outputs, self._captured, self.launches, self._arena_bytes, apart=True)
        values = apart._fitted(values, ())
        apart._place_arena()
        runs = []
        for _ in range(repeat):
            outs = [_empty(s, d) if bucket is None else bucket.empty(s, d) for s, d, bucket in self.made]
            runs.append([])
            apart._run_segments(values, outs, runs[-1])
        return [
            (launch.name, statistics.median(t))
            for launch, t in zip(self.launches, zip(*runs, strict=True), strict=True)
        ]

    # ------------------------------------------------------------ running

    def _run_segments(self, values, outs, times=None):
        with blas.one_thread if self._confined else _AS_IT_IS:
            self._run_each(values, outs, times)

    def _run_each(self, values, outs, times):
        arrays = (*values, *outs)
        for k, segment in enumerate(self._segments):
            start = time.perf_counter() if times is not None else 0
            if segment.address is not None:
                workers = config.threads - 1 if segment.shared else 0
                segment.plan[8] = workers
                if workers:
                    threads.start(workers)
                operands = arrays if k == 0 else ()
                with blas.one_thread if segment.blas and not self._confined else _AS_IT_IS:
                    status = self._drive(segment.address, *operands)
                    while status is True:  # another thread is in it, outside the lock
                        time.sleep(0)
                        status = self._drive(segment.address, *operands)
                self._check_statuses()
                if status is False:
                    arrays = self._fitted(values, outs)
                    self._run_segments(arrays[: len(values)], outs)
                    return
            if segment.host:
                COUNTERS["launches"] += 1
                segment.host(arrays)
            if times is not None:
                times.append(time.perf_counter() - start)

    def _check_statuses(self):
        """Raise the error for a launch that says in its status that it failed."""
        if not self._statuses or not any(self._words[at] for at in self._statuses):
            return
        failed = [launch for at, launch in self._statuses.items() if self._words[at]]
        self._words[list(self._statuses)] = 0
        if failed[0].parts:
            raise MemoryError(
                "while_loop: there is no memory for the states that the backward pass reads; take fewer steps, "
                "put ng.checkpoint around parts of a step, or differentiate forwards, with jvp"
            )
        raise KernelError(
            f"{failed[0].name}: the kernel raised an exception, which native code cannot hand on; set "
            "ng.config.jit = 0 to run it as Python and see which"
        )

    def _fitted(self, values, outs):
        """Inputs as contiguous arrays of the dtype and shape that the tables expect."""
        fitted = []
        for value, (dtype, shape) in zip(values, self.inputs, strict=True):
            if numpy.shape(value) != shape:
                raise ValueError(f"an input of shape {numpy.shape(value)} came where {shape} was traced")
            new = numpy.empty(shape, _own_dtype(dtype))  # the very dtype object: an equal one does not fit
            new[...] = value
            fitted.append(new)
        return (*fitted, *outs)

    def _place_arena(self):
        if not self._arena_bytes or self._arena is not None:
            return
        bucket = pool.bucket(self._arena_bytes)
        size = (self._arena_bytes,)
        self._arena = _empty(size, numpy.uint8) if bucket is None else bucket.empty(size, numpy.uint8)
        base = self._arena.ctypes.data
        if base != self._base:
            self._words[self._arena_words] = self._arena_offsets + base
            self._base = base
            self._host_views.clear()

    def _free_arena(self):
        if self._arena_bytes > OWN_ARENA:
            self._arena = None  # back to the pool

    # ------------------------------------------------------------ tables

    def _built(self, apart):
        """One segment for each run of native launches and the host call behind it."""
        words, spots, arena_words, arena_offsets = [], [], [], []
        patches = []
        starts = {}
        for launch in self.launches:
            if launch.host:
                continue
            for deep in launch.everything():
                starts[deep] = len(words)
                for v in deep.words.values:
                    words.append(bits(*v) if isinstance(v, tuple) else v)
                for index, view, _ in deep.words.addresses:
                    spots.append((starts[deep] + index, view))
        self._words = numpy.array(words or [0], numpy.int64)
        base = self._words.ctypes.data
        for index, view in spots:
            buffer, offset = view.origin, view.offset * view.origin.dtype.itemsize
            if buffer.kind == "arena":
                arena_words.append(index)
                arena_offsets.append(buffer.offset + offset)
            elif buffer.kind == "captured":
                self._words[index] = self._captured[buffer.index].ctypes.data + offset
            else:
                k = buffer.index + (len(self.inputs) if buffer.kind == "output" else 0)
                patches += [k, base + 8 * index, offset]
        self._statuses = {at + launch.status: launch for launch, at in starts.items() if launch.status is not None}
        for launch, at in starts.items():
            for part in launch.parts:
                self._words[at + part.slot] = self._part(part, base + 8 * at, base, starts)
        self._arena_words = numpy.array(arena_words, numpy.int64)
        self._arena_offsets = numpy.array(arena_offsets, numpy.int64)
        self._base, self._host_views = None, {}
        patches = self._kept(numpy.array(patches or [0], numpy.int64))
        arrays = []
        for dtype, shape in (*self.inputs, *self.outputs):
            extents = self._kept(numpy.array(shape or (0,), numpy.int64))
            arrays += [id(_own_dtype(dtype)), len(shape), extents.ctypes.data, 0]
        arrays = self._kept(numpy.array(arrays or [0], numpy.int64))
        segments, run = [], []
        for launch in self.launches:
            if apart and run:
                segments.append(self._segment(run, None, base, starts, arrays, patches, first=not segments))
                run = []
            if launch.host:
                segments.append(self._segment(run, launch, base, starts, arrays, patches, first=not segments))
                run = []
            else:
                run.append(launch)
        if run or not segments:
            segments.append(self._segment(run, None, base, starts, arrays, patches, first=not segments))
        return segments

    def _part(self, part, around, base, starts):
        """The address of the table of launches that run inside of one whose words are at `around`."""
        launches, once, each = [], [], []
        for launch in part.launches:
            launches += [launch.code.address, base + 8 * starts[launch], launch.total, launch.grain]
        for s in part.settings:
            word, cell, counter = base + 8 * (starts[s.launch] + s.word), around + 8 * s.cell, around + 8 * s.counter
            (each if s.stride else once).extend((word, cell, counter, s.offset, s.stride))
        tables = [self._kept(numpy.array(t or [0], numpy.int64)) for t in (launches, once, each)]
        counts = len(part.launches), len(once) // SETTING_WORDS, len(each) // SETTING_WORDS
        table = [n for count, t in zip(counts, tables, strict=True) for n in (count, t.ctypes.data)]
        return self._kept(numpy.array(table, numpy.int64)).ctypes.data

    def _segment(self, run, host, base, starts, arrays, patches, first):
        plan = self._kept(numpy.zeros(PLAN_WORDS, numpy.int64))
        table = []
        work, shared = 0, 0
        for launch in run:
            chunks = -(-launch.total // launch.grain)
            # the threads of a library stay awake on the cores a while: products that follow are for them too
            split = chunks > 1 and launch.cost >= SHARED and not (launch.blas and self._by_library)
            work, shared = work + launch.cost, shared + (launch.cost if split else 0)
            table += [
                launch.code.address,
                base + 8 * starts[launch],
                launch.total,
                launch.grain,
                0,
                0,
                chunks,
                int(split),
                0,
            ]
        table = self._kept(numpy.array(table or [0], numpy.int64))
        if first:
            count = len(self.inputs) + len(self.outputs)
            plan[1:3] = count, arrays.ctypes.data
            plan[10] = count
            plan[5:7] = len(patches) // PATCH_WORDS, patches.ctypes.data
        plan[3:5] = len(run), table.ctypes.data
        plan[7] = int(work >= LONG)
        plan[9], plan[11] = threads.MAILBOX.ctypes.data, LAUNCHES.ctypes.data
        confined = not self._by_library and sum(launch.cost for launch in run if launch.blas) >= SHARED
        return _Segment(plan, table, shared >= WORTH_WAKING, confined, self._host_call(host) if host else None)

    def _kept(self, array):
        self._keep.append(array)
        return array

    def _host_call(self, launch):
        reference, attrs = launch.host
        views, count = launch.operands, launch.results or 1

        def call(arrays):
            operands = [v if isinstance(v, numpy.ndarray) else self._array(v, arrays) for v in views]
            with numpy.errstate(all="ignore"):
                made = reference(*operands[:-count], **attrs)
            for out, value in zip(operands[-count:], made if launch.results else [made], strict=True):
                out[...] = value

        return call

    def _array(self, view, arrays):
        """The ndarray behind a view."""
        buffer = view.origin
        size = buffer.dtype.itemsize
        if buffer.kind == "arena":
            found = self._host_views.get(id(view))
            if found is None:
                found = self._host_views[id(view)] = _strided(
                    self._arena, buffer.offset + view.offset * size, view, size
                )
            return found
        if buffer.kind == "captured":
            source = self._captured[buffer.index]
        else:
            source = arrays[buffer.index + (len(self.inputs) if buffer.kind == "output" else 0)]
        return _strided(source, view.offset * size, view, size)


class _Segment:
    """A run of native launches and the host call behind it."""

    __slots__ = ("address", "blas", "host", "plan", "shared", "table")

    def __init__(self, plan, table, shared, blas, host):
        self.plan, self.table, self.shared, self.blas, self.host = plan, table, shared, blas, host
        self.address = plan.ctypes.data


def _strided(source, offset, view, size):
    if 0 in view.shape:
        return numpy.empty(view.shape, view.origin.dtype)
    flat = numpy.ndarray((source.nbytes,), numpy.uint8, source) if source.nbytes else source
    return numpy.ndarray(view.shape, view.origin.dtype, flat, offset, tuple(s * size for s in view.strides))


def _own_dtype(dtype):
    """The dtype object that arrays of this dtype share."""
    return numpy.empty(0, dtype).dtype


def bits(value, dtype):
    """A number as the low bytes of a word."""
    word = numpy.zeros(1, numpy.int64)
    word.view(dtype)[0] = value
    return int(word[0])
