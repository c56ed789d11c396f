"""``numpy.array([x, y])`` of Arrays: functions of NumPy that no protocol reaches, while a function is traced.

NumPy asks nobody in `numpy.array` and its like; it takes values, and a gradient through them would be lost without a
word.  So while `grad`, `jit` and the other transforms call the user's function, these names of NumPy's module are other
functions, which make an Array where they are given Arrays, and are NumPy's own otherwise.
"""

import contextlib
import threading

import numpy

from nbgrad import graph

#: Functions that take array-likes, each with a counterpart of the same name in `nbgrad.numpy`.
NAMES = ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "asarray_chkfinite", "full")

_lock = threading.Lock()
_depth = 0


class _OfArrays:
    """A function of NumPy that knows Arrays.

    It is equal to NumPy's own, so that tables of functions find one where they have the other: Numba looks up what
    `numpy.array` is, and may do so in one thread while another one traces.
    """

    def __init__(self, own):
        self.__wrapped__, self.__name__, self.__doc__ = own, own.__name__, own.__doc__

    def __call__(self, *args, **kwargs):
        if graph.state.tracked and (any(map(_mentions, args)) or (kwargs and any(map(_mentions, kwargs.values())))):
            import nbgrad.numpy

            for word in ("order", "subok", "like"):  # Arrays are in C order, and of one class
                kwargs.pop(word, None)
            for word in ("object", "a"):  # NumPy's names for the first argument
                if word in kwargs:
                    args = (kwargs.pop(word), *args)
            return getattr(nbgrad.numpy, self.__name__)(*args, **kwargs)
        return self.__wrapped__(*args, **kwargs)

    def __eq__(self, other):
        return other is self or other is self.__wrapped__

    def __hash__(self):
        return hash(self.__wrapped__)


def _mentions(x):
    """Whether an argument is an Array, or nested sequences that hold one."""
    return isinstance(x, graph.Array) or (isinstance(x, (list, tuple)) and any(map(_mentions, x)))


_functions = {name: _OfArrays(getattr(numpy, name)) for name in NAMES}


@contextlib.contextmanager
def tracing():
    """While a function is traced: what it calls builds graphs, and NumPy's functions know Arrays."""
    graph.state.tracked += 1
    enter()
    try:
        yield
    finally:
        leave()
        graph.state.tracked -= 1


def enter():
    """A function is traced from now on."""
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            for name, function in _functions.items():
                setattr(numpy, name, function)


def leave():
    """It is traced no longer."""
    global _depth
    with _lock:
        _depth -= 1
        if not _depth:
            for name, function in _functions.items():
                setattr(numpy, name, function.__wrapped__)
