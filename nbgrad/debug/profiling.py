"""profile: how long each launch takes, and how many bytes it moves."""

import dataclasses
import json
import os
import statistics
import time

from nbgrad.compile.jit import Lowered
from nbgrad.debug import tables
from nbgrad.debug.explanation import Reader
from nbgrad.debug.recording import Study
from nbgrad.errors import OptionError
from nbgrad.statistics import COUNTERS


@dataclasses.dataclass
class ProfileRow:
    """One launch: its number, name and kind, median seconds, their share of all launches, and what it moves.

    `bytes` are those of the elements that it reads and writes, each counted once; what is still in a cache from the
    launch before is faster than memory.  `lines` are the user's lines that it computes, `part` the pass.
    """

    index: int
    name: str
    kind: str
    part: str
    seconds: float
    share: float
    bytes: int
    lines: list

    @property
    def rate(self):
        """Gigabytes a second."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


class Profile:
    """What `profile` returns; printing it shows a table.

    Attributes
    ----------
    rows : list of ProfileRow
    seconds : float
        Median of a whole call of the compiled program: less than the sum of the launches, each of which is started on
        its own to be timed.
    phases : list of (str, float, float)
        What was done once before: name, start and duration in seconds.
    compiled, loaded : int
        Kernels that were compiled for it, and that were found in the disk cache.
    """

    def __init__(self, name, rows, seconds, phases, compiled, loaded):
        self.name, self.rows, self.seconds, self.phases = name, rows, seconds, phases
        self.compiled, self.loaded = compiled, loaded

    _HEAD = ("#", "launch", "kind", "pass", "median", "share", "bytes", "GB/s", "lines")

    def _cells(self):
        return [
            (r.index, tables.cut(r.name), r.kind, r.part, tables.seconds(r.seconds), f"{r.share:.1%}",
             tables.size(r.bytes), f"{r.rate:.3g}", tables.few(r.lines))
            for r in self.rows
        ]  # fmt: skip

    def _title(self):
        count = len(self.rows)
        once = ", ".join(f"{name} {tables.seconds(t)}" for name, _, t in self.phases)
        return (
            f"{self.name}: {tables.seconds(self.seconds)} a call, {count} launch{'es' if count != 1 else ''}\n"
            f"once: {once} ({self.compiled} kernels compiled, {self.loaded} loaded)"
        )

    def __str__(self):
        return f"{self._title()}\n\n{tables.text(self._HEAD, self._cells())}"

    __repr__ = __str__

    def _repr_html_(self):
        title = tables.html.escape(self._title()).replace("\n", "<br>")
        return f"<p>{title}</p>{tables.as_html(self._HEAD, self._cells())}"

    def trace(self, path):
        """Write the phases and one run of the launches as a file for Perfetto (ui.perfetto.dev) or chrome://tracing.

        Parameters
        ----------
        path : str or path-like
            Events in the Trace Event Format, as JSON: "X" events with times in microseconds.
        """
        process = os.getpid()
        events = [
            {"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": f"nbgrad: {self.name}"}},
            {"name": "thread_name", "ph": "M", "pid": process, "tid": 1, "args": {"name": "once"}},
            {
                "name": "thread_name",
                "ph": "M",
                "pid": process,
                "tid": 2,
                "args": {"name": "a run, medians of launches"},
            },
        ]

        def event(name, kind, thread, start, duration, **facts):
            events.append({
                "name": name, "cat": kind, "ph": "X", "pid": process, "tid": thread,
                "ts": start * 1e6, "dur": duration * 1e6, "args": facts,
            })  # fmt: skip

        origin = self.phases[0][1]
        for name, start, duration in self.phases:
            event(name, "once", 1, start - origin, duration)
        now = max(start + duration for _, start, duration in self.phases) - origin
        for r in self.rows:
            event(r.name, r.kind, 2, now, r.seconds, launch=r.index, part=r.part, bytes=r.bytes,
                  gigabytes_per_second=r.rate, share=r.share, lines=r.lines)  # fmt: skip
            now += r.seconds
        with open(path, "w") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ns"}, file)


def profile(fn, *args, repeat=20):
    """Time each launch of what `fn` is compiled to, at these arguments.

    Parameters
    ----------
    fn : callable
        A function of Arrays, also one that `jit`, `grad` or `value_and_grad` made.
    *args
        Arguments of `fn`.
    repeat : int
        Runs; times are their medians.

    Returns
    -------
    Profile
        With ``rows`` to look at and a table to print; ``trace(path)`` writes it for Perfetto.

    Raises
    ------
    DeviceError
        If an argument is on a CUDA device.
    OptionError
        If `repeat` is not a positive integer.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> found = ng.debug.profile(ng.grad(lambda x: np.sum(np.sin(x))), ng.asarray([1.0, 2.0]), repeat=3)
    >>> [(row.name, row.kind, row.bytes) for row in found.rows]
    [('cos', 'loop', 32)]
    """
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise OptionError(f"profile: repeat is {repeat!r}, expected an integer of at least 1")
    before = dict(COUNTERS)
    study = Study("profile", fn, args)
    explained = Reader(study).explanation()
    start = time.perf_counter()
    compiled = study.lowering.compiled()
    study.phases.append(("compile and load", start, time.perf_counter() - start))
    counts = [COUNTERS[k] - before[k] for k in ("kernels_compiled", "kernels_loaded")]
    timed = Lowered(compiled, study.values, study.trace).profile(repeat)
    whole = []
    values = compiled._fitted(study.values, ())
    for _ in range(repeat):
        start = time.perf_counter()
        compiled.run(values)
        whole.append(time.perf_counter() - start)
    total = sum(t for _, t in timed) or 1.0
    rows = [
        ProfileRow(r.index, r.name, r.kind, r.part, t, t / total, r.bytes_read + r.bytes_written, r.lines)
        for r, (_, t) in zip(explained.launches, timed, strict=True)
    ]
    return Profile(study.name, rows, statistics.median(whole), study.phases, *counts)
