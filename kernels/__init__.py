"""Forward and VJP kernels: the mathematics that nbgrad runs.  Reading this file is reading the catalogue."""

import importlib

from nbgrad.kernels import (
    arithmetic,
    casting,
    comparison,
    complex,
    cumulative,
    exponential,
    hyperbolic,
    indexing,
    linalg,
    reduction,
    roots,
    rounding,
    selection,
    shape,
    sorting,
    special,
    trigonometric,
)

#: Families that come with the functions that need them: importing nbgrad is light.
FURTHER = (
    "bessel", "factorisations", "filtering", "floats", "fourier", "gamma", "incomplete", "integers", "integrals",
    "matrix_functions", "normal", "polynomials", "zeta",
)  # fmt: skip


def declare_all():
    """Declare the primitives of every family."""
    for family in FURTHER:
        importlib.import_module(f"nbgrad.kernels.{family}")
