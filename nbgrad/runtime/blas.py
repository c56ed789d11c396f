"""Addresses of the CBLAS functions of the OpenBLAS that NumPy brings along: one library, one thread pool."""

import ctypes
import functools
import glob
import os

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
