"""Forward and VJP kernels: the mathematics that nbgrad runs.  Reading this file is reading the catalogue."""

from nbgrad.kernels import (
    arithmetic,
    casting,
    comparison,
    complex,
    cumulative,
    exponential,
    factorisations,
    fourier,
    hyperbolic,
    indexing,
    linalg,
    matrix_functions,
    reduction,
    roots,
    rounding,
    selection,
    shape,
    sorting,
    special,
    trigonometric,
)
