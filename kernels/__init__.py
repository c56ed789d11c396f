"""Forward and VJP kernels: the mathematics that nbgrad runs.  Reading this file is reading the catalogue."""

from nbgrad.kernels import (
    arithmetic,
    casting,
    comparison,
    complex,
    cumulative,
    exponential,
    filtering,
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
