"""Sorting along an axis.  Values are sorted by gathering along argsort, so one primitive suffices."""

import numpy

from nbgrad import shapes
from nbgrad.dtypes import INT64
from nbgrad.kernels._memory import get, put_at
from nbgrad.primitive import structural


@structural(
    "array", reference=lambda x, axis: numpy.argsort(x, axis=axis, kind="stable"), differentiable=False, batch="axis"
)
def argsort(x, *, axis):
    """Indices that sort x along an axis, stable, nan last."""
    return x.shape, INT64


@structural("array", reference=lambda x, v, side: numpy.searchsorted(x, v, side), differentiable=False)
def searchsorted(x1, x2, *, side):
    """Places in the ascending x1 before which, or behind equals of which, the elements of x2 belong."""
    return x2.shape, INT64


@searchsorted.batched
def searchsorted_batched(size, mapped, x1, x2, side):
    return None if mapped[0] else searchsorted(x1, x2, side=side)


def each_value(node):
    """The length of the table and whether places are behind equals; a unit for each value."""
    table, values = node.inputs
    if table.dtype.kind == "c":
        return None
    (n,), count = table.shape, shapes.size(values.shape)
    return (n, int(dict(node.attrs)["side"] == "right")), count, count * max(n.bit_length(), 1)


@searchsorted.array_kernel(each_value)
def searchsorted_kernel(x, values, out, n, right, start, stop):
    for i in range(start, stop):
        low, high = 0, n
        value = get(values, i)
        while low < high:
            middle = (low + high) // 2
            other = get(x, middle)
            # nan is behind everything
            before = (other < value) | ((value != value) & (other == other))
            behind = (value < other) | ((other != other) & (value == value))
            if right == 1:
                before = not behind
            if before:
                low = middle + 1
            else:
                high = middle
        put_at(out, i, low)
