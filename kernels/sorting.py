"""Sorting along an axis.  Values are sorted by gathering along argsort, so one primitive suffices."""

import numpy

from nbgrad.dtypes import INT64
from nbgrad.primitive import structural


@structural("array", reference=lambda x, axis: numpy.argsort(x, axis=axis, kind="stable"), differentiable=False)
def argsort(x, *, axis):
    """Indices that sort x along an axis, stable, nan last."""
    return x.shape, INT64
