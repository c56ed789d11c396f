"""Addresses of the CBLAS functions of the OpenBLAS that NumPy brings along: one library, one thread pool."""

import ctypes
import functools
import glob
import os
import threading

import numpy


@functools.cache
def address(name):
    """Address of a CBLAS function with 64-bit integers (``dgemm``, ``sgemv``, ...), or None where there is none."""
    library = _library()
    if library is None:
        return None
    for pattern in ("scipy_cblas_{}64_", "cblas_{}64_"):
        try:
            return ctypes.cast(getattr(library, pattern.format(name)), ctypes.c_void_p).value
        except AttributeError:
            continue
    return None


@functools.cache
def _library():
    base = os.path.dirname(numpy.__file__)
    for folder in (os.path.join(os.path.dirname(base), "numpy.libs"), os.path.join(base, ".dylibs")):
        for path in sorted(glob.glob(os.path.join(folder, "*openblas64*"))):
            try:
                return ctypes.CDLL(path)
            except OSError:
                continue
    return None


_ROW_MAJOR, _LEFT, _PLAIN, _TRANSPOSED, _LOWER, _UPPER, _NON_UNIT = 101, 141, 111, 112, 122, 121, 131


def solve_triangular(a, b, lower, transposed):
    """y with a y = b or a^T y = b for stacks of triangular matrices; the other triangle is not read."""
    lead = a.shape[:-2] if a.shape[:-2] == b.shape[:-2] else numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = numpy.empty((*lead, *b.shape[-2:]), b.dtype)
    y[...] = b
    n, k = y.shape[-2:]
    solvers = _triangular(y.dtype.char)
    if solvers is None:
        t = numpy.tril(a) if lower else numpy.triu(a)
        return numpy.linalg.solve(numpy.swapaxes(t, -1, -2) if transposed else t, y)
    trsm, trsv = solvers
    a = numpy.ascontiguousarray(a, y.dtype)
    triangle, form = _LOWER if lower else _UPPER, _TRANSPOSED if transposed else _PLAIN
    for index in numpy.ndindex(*lead) if n and k else ():
        at = index[len(lead) - (a.ndim - 2) :]
        at = tuple(0 if m == 1 else i for i, m in zip(at, a.shape[:-2], strict=True))
        matrix, target = a[at].ctypes.data, y[index].ctypes.data
        if k == 1:
            trsv(_ROW_MAJOR, triangle, form, _NON_UNIT, n, matrix, n, target, 1)
        else:
            trsm(_ROW_MAJOR, _LEFT, triangle, form, _NON_UNIT, n, k, 1.0, matrix, n, target, k)
    return y


@functools.cache
def _triangular(char):
    """The BLAS functions that solve triangular equations of a dtype, or None where there are none."""
    found = (
        [address(char_of + name) for name in ("trsm", "trsv")] if (char_of := {"d": "d", "f": "s"}.get(char)) else []
    )
    if not found or None in found:
        return None
    flag, whole, number = ctypes.c_int, ctypes.c_int64, ctypes.c_double if char == "d" else ctypes.c_float
    matrix = ctypes.c_void_p, whole
    return (
        ctypes.CFUNCTYPE(None, *(flag,) * 5, whole, whole, number, *matrix, *matrix)(found[0]),
        ctypes.CFUNCTYPE(None, *(flag,) * 4, whole, *matrix, *matrix)(found[1]),
    )


class _OneThread:
    """BLAS on the threads that call it, and no others: the launches of a program are what is shared out.

    Its own threads wait for work by spinning, on cores that the workers are to use.
    """

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, 0

    def __enter__(self):
        get, put = _thread_functions()
        if put is not None:
            with self._lock:
                if not self._inside:
                    self._before = get()
                    put(1)
                self._inside += 1

    def __exit__(self, *error):
        _, put = _thread_functions()
        if put is not None:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    put(self._before)


@functools.cache
def _thread_functions():
    library = _library()
    for pattern in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads"):
        try:
            return tuple(getattr(library, pattern.format(verb)) for verb in ("get", "set"))
        except AttributeError:
            continue
    return None, None


one_thread = _OneThread()
