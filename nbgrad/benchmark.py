"""Workload: a base class for benchmarks of airspeed velocity (asv) that measure a compiled function.

What a user of a compiled function waits for is several things that one number hides: compiling, loading, running.
A subclass says what the function and its arguments are, and asv finds a series for each of them.

Two of them need a process that has done nothing yet, with a cache folder of its own, and start it.  asv's `setup_cache`
is no place to do that once for all: asv tells caches apart by the line of the function, which all subclasses share.
"""

import abc
import functools
import hashlib
import importlib
import inspect
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nbgrad import trees
from nbgrad.array import Array
from nbgrad.compile.jit import Jitted, jit
from nbgrad.errors import ArgumentError, NbgradError, describe
from nbgrad.statistics import stats

__all__ = ["Workload"]

#: Processes whose median is taken.
PROCESSES = 3

_CHILD = "from nbgrad.benchmark import _in_a_new_process; _in_a_new_process()"

#: Whether this process was forked from one in which programs had been made.
_inherited = False


def _forked():
    global _inherited
    _inherited = bool(stats()["programs"])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Workload(abc.ABC):
    """A compiled function and its arguments, as benchmarks of asv.

    Attributes
    ----------
    params, param_names, timeout
        As for every benchmark of asv; the methods get the parameters.
    series : tuple of str
        Names of the series that are measured, all unless given:

        ============================ ============ ===========================================================
        name                         unit         what
        ============================ ============ ===========================================================
        ``"cold"``                   seconds      first call in a new process with an empty cache folder
        ``"warm"``                   seconds      first call in a new process, kernels in the cache folder
        ``"steady"``                 seconds      a call, compiled before
        ``"kernels"``                kernels      kernels that the function is compiled to
        ``"another_shape"``          kernels      kernels that a call with `other_arguments` adds: 0 is good
        ``"launches"``               launches     launches of a call
        ``"memory"``                 bytes        the most memory of a process that compiles and calls it
        ============================ ============ ===========================================================
    number, repeat, warmup_time
        Of ``"steady"``, as for every timing of asv.  `number` calls are timed one by one.

    Examples
    --------
    >>> import numpy, nbgrad as ng
    >>> from nbgrad.benchmark import Workload
    >>> class Squares(Workload):
    ...     params, param_names = ([10, 1000],), ("n",)
    ...     def function(self, n):
    ...         return ng.value_and_grad(lambda x: (x * x).sum())
    ...     def arguments(self, n):
    ...         return (numpy.ones(n),)
    ...     def other_arguments(self, n):
    ...         return (numpy.ones(n + 1),)
    >>> squares = Squares()
    >>> squares.setup(10)
    >>> squares.track_launches(10), squares.track_another_shape(10)
    (1, 0)
    """

    series = ("cold", "warm", "steady", "kernels", "another_shape", "launches", "memory")
    timeout = 300
    number, repeat, warmup_time = 1, (10, 300, 2.0), 0.1

    def __init_subclass__(cls):
        """Name the series after the class; leave out those that it does not ask for."""
        super().__init_subclass__()
        unknown = [s for s in cls.series if s not in _METHODS]
        if unknown or isinstance(cls.series, str):
            raise ArgumentError(
                f"{cls.__name__}: series is {cls.series!r}, expected a tuple of some of "
                f"{', '.join(map(repr, _METHODS))}"
            )
        cls.version = _version(cls)
        for name, (method, unit, title) in _METHODS.items():
            if name not in cls.series or (name == "another_shape" and cls.other_arguments is Workload.other_arguments):
                setattr(cls, method, None)  # asv looks for functions
            else:
                setattr(cls, method, _own(getattr(Workload, method), pretty_name=f"{cls.__name__}: {title}", unit=unit))

    @abc.abstractmethod
    def function(self, *params):
        """The function, which is compiled unless `jit` has made it."""

    @abc.abstractmethod
    def arguments(self, *params):
        """A tuple of its arguments."""

    def other_arguments(self, *params):
        """A tuple of arguments of other shapes; the series ``"another_shape"`` is there if a class defines it."""
        raise NotImplementedError

    # ------------------------------------------------------------ what asv calls

    def setup(self, *params):
        """Compile; asv calls it before each sample, and again it does nothing."""
        if getattr(self, "_params", None) == params:
            return
        if _inherited:
            raise ArgumentError(
                f"{type(self).__name__}: this process was forked from one that has compiled programs, whose threads "
                "and compiler it does not have; do not call compiled functions when a module is imported, or let asv "
                "start processes: --launch-method spawn"
            )
        self._call, self._arguments = self._made(params)
        self._wait = _waiting(self._call(*self._arguments))
        self._params = params

    def time_steady(self, *params):
        """Seconds of a call, compiled before."""
        self._run()

    def peakmem_memory(self, *params):
        """The most memory of the process, with what `setup` did."""
        self._run()

    def track_kernels(self, *params):
        """Different kernels among the launches."""
        launches = self._call.lower(*self._arguments)._compiled.launches
        return len({inner.source for launch in launches for inner in launch.everything() if inner.source})

    def track_another_shape(self, *params):
        """Kernels that are compiled or loaded for arguments of other shapes."""
        before = _kernels()
        self._call(*self.other_arguments(*params))
        return _kernels() - before

    def track_launches(self, *params):
        """Launches of a call."""
        before = stats()["launches"]
        self._run()
        return stats()["launches"] - before

    def track_cold(self, *params):
        """Seconds of the first call in a new process with an empty cache folder: tracing, compiling, running."""
        return statistics.median(self._first_call(params, 1)[0] for _ in range(PROCESSES))

    def track_warm(self, *params):
        """Seconds of the first call in a new process, when the cache folder has the kernels."""
        return statistics.median(self._first_call(params, 1 + PROCESSES)[1:])

    def _run(self):
        result = self._call(*self._arguments)
        if self._wait is not None:
            self._wait(result)

    # ------------------------------------------------------------ new processes

    def _made(self, params):
        function, arguments = self.function(*params), self.arguments(*params)
        if not isinstance(arguments, tuple):
            raise ArgumentError(
                f"{type(self).__name__}.arguments returned {describe(arguments)}, expected a tuple: write (x,) for one"
            )
        return function if isinstance(function, Jitted) else jit(function), arguments

    def _first_call(self, params, count):
        """Seconds of the first call in each of `count` processes, which share a new cache folder."""
        kind = type(self)
        top = Path(inspect.getfile(kind)).resolve().parents[kind.__module__.count(".")]
        if "<locals>" in kind.__qualname__:
            raise ArgumentError(
                f"{kind.__name__}: it is defined in a function, where a new process does not find it; define it at the "
                "top of a module"
            )
        asked = pickle.dumps((str(top), kind.__module__, kind.__qualname__, params))
        found = []
        with tempfile.TemporaryDirectory(prefix="nbgrad-benchmark-") as folder:
            environment = {**os.environ, "NBGRAD_CACHE_DIR": folder}
            for _ in range(count):
                done = subprocess.run([sys.executable, "-c", _CHILD], input=asked, capture_output=True, env=environment)
                if done.returncode:
                    said = done.stderr.decode(errors="replace")
                    raise NbgradError(
                        f"{kind.__name__}: the first call failed in a new process; make it work in this one\n{said}"
                    )
                found.append(json.loads(done.stdout.splitlines()[-1]))
        return found


#: For each series the method that asv calls, the unit, and what it is called in asv's pages.
_METHODS = {
    "cold": ("track_cold", "seconds", "first call, empty cache"),
    "warm": ("track_warm", "seconds", "first call, kernels in the cache"),
    "steady": ("time_steady", "seconds", "a call"),
    "kernels": ("track_kernels", "kernels", "kernels"),
    "another_shape": ("track_another_shape", "kernels", "kernels for another shape"),
    "launches": ("track_launches", "launches", "launches"),
    "memory": ("peakmem_memory", "bytes", "peak memory"),
}


def _in_a_new_process():
    top, module, name, params = pickle.load(sys.stdin.buffer)
    sys.path.insert(0, top)
    kind = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    call, arguments = kind()._made(params)
    start = time.perf_counter()
    result = call(*arguments)
    wait = _waiting(result)
    if wait is not None:
        wait(result)
    print(json.dumps(time.perf_counter() - start))


def _own(function, **facts):
    """A function like this one, with facts of its own for asv."""

    @functools.wraps(function)
    def measured(self, *params):
        return function(self, *params)

    vars(measured).update(facts)
    return measured


def _version(cls):
    """What asv tells results apart by: that the text of a class has changed, not that of this module."""
    try:
        text = inspect.getsource(cls)
    except (OSError, TypeError):
        text = cls.__qualname__
    return hashlib.sha256(text.encode()).hexdigest()


def _kernels():
    return stats()["kernels_compiled"] + stats()["kernels_loaded"]


def _waiting(result):
    """A function that waits for results on a device; None where results are there when a call returns."""
    if all(not isinstance(x, Array) or x.device == "cpu" for x in trees.flatten(result)[0]):
        return None

    def wait(result):
        for x in trees.flatten(result)[0]:
            if isinstance(x, Array):
                x.block_until_ready()

    return wait
