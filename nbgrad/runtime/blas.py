"""Addresses of the BLAS and LAPACK functions of the OpenBLAS that NumPy brings along: one library, one thread pool."""

import ctypes
import functools
import glob
import os
import threading

import numpy


@functools.cache
def address(name):
    """Address of a CBLAS function with 64-bit integers (``dgemm``, ``sgemv``, ...), or None where there is none."""
    return _found(name, ("scipy_cblas_{}64_", "cblas_{}64_"))


@functools.cache
def lapack_address(name):
    """Address of a LAPACK function (Fortran's, with 64-bit integers: ``dpotrf``, ...), or None where there is none."""
    return _found(name, ("scipy_{}_64_", "{}_64_"))


def _found(name, patterns):
    library = _library()
    if library is None:
        return None
    for pattern in patterns:
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


def description():
    """What the library says that it is, and where it lies; None where there is none."""
    library = _library()
    if library is None:
        return None
    for pattern in ("scipy_openblas_get_config64_", "openblas_get_config64_", "openblas_get_config"):
        try:
            config = getattr(library, pattern)
        except AttributeError:
            continue
        config.restype = ctypes.c_char_p
        return f"{(config() or b'').decode()} in {library._name}"
    return library._name
