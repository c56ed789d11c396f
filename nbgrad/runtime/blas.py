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
    lead = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = numpy.array(numpy.broadcast_to(b, (*lead, *b.shape[-2:])), order="C")
    n, k = y.shape[-2:]
    name = {"float64": "dtrsm", "float32": "strsm"}.get(str(y.dtype))
    found = address(name) if name else None
    if found is None:
        t = numpy.tril(a) if lower else numpy.triu(a)
        return numpy.linalg.solve(numpy.swapaxes(t, -1, -2) if transposed else t, y)
    number = ctypes.c_double if name == "dtrsm" else ctypes.c_float
    whole, flag = ctypes.c_int64, ctypes.c_int
    trsm = ctypes.CFUNCTYPE(None, *(flag,) * 5, whole, whole, number, ctypes.c_void_p, whole, ctypes.c_void_p, whole)(
        found
    )
    a = numpy.ascontiguousarray(a, y.dtype)
    if n and k:
        for index in numpy.ndindex(*lead):
            at = index[len(lead) - (a.ndim - 2) :]
            at = tuple(0 if m == 1 else i for i, m in zip(at, a.shape[:-2], strict=True))
            trsm(_ROW_MAJOR, _LEFT, _LOWER if lower else _UPPER, _TRANSPOSED if transposed else _PLAIN, _NON_UNIT,
                 n, k, 1.0, a[at].ctypes.data, n, y[index].ctypes.data, k)  # fmt: skip
    return y


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
