"""Matrix products."""

import numpy

from nbgrad.errors import ShapeError, describe
from nbgrad.kernels.shape import sum_to, transpose
from nbgrad.primitive import structural


@structural("array", reference=numpy.matmul)
def matmul(x1, x2):
    """Product over the last axis of x1 and the last but one of x2, both at least 2-d; leading axes broadcast."""
    from nbgrad import shapes

    lead = shapes.broadcast([x1.shape[:-2], x2.shape[:-2]])
    if lead is None or x1.shape[-1] != x2.shape[-2]:
        raise ShapeError(
            f"matmul(x1, x2): shapes {x1.shape} and {x2.shape} do not multiply; "
            f"the last axis of x1 is {x1.shape[-1]}, the last but one of x2 is {x2.shape[-2]}\n"
            f"    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}"
        )
    return (*lead, x1.shape[-2], x2.shape[-1]), x1.dtype


def swap_last(x):
    """The last two axes swapped."""
    n = len(x.shape)
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


@matmul.vjp
def matmul_vjp(g, x1, x2):
    return sum_to(matmul(g, swap_last(x2)), x1.shape), sum_to(matmul(swap_last(x1), g), x2.shape)
