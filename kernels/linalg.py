"""Matrix products, and equations of matrices.

The rules of the factorisation and of the solutions are those of Giles 2008, Collected matrix derivative results
for forward and reverse mode algorithmic differentiation, and Murray 2016, Differentiation of the Cholesky
decomposition.
"""

import numpy

from nbgrad import graph
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


def square(call, x):
    """The extent of square matrices in the last two axes, or ShapeError."""
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{call}: expected square matrices in the last two axes\n    {describe(x, 'a')}")
    return x.shape[-1]


def _equation(call, x1, x2):
    """Shape and dtype of the solutions of x1 y = x2, both at least 2-d."""
    from nbgrad import shapes

    n, lead = square(call, x1), shapes.broadcast([x1.shape[:-2], x2.shape[:-2]])
    if lead is None or x2.shape[-2] != n:
        raise ShapeError(
            f"{call}(a, b): a has {n} rows, b of shape {x2.shape} does not fit\n"
            f"    {describe(x1, 'a')}\n    {describe(x2, 'b')}"
        )
    return (*lead, n, x2.shape[-1]), x2.dtype


def _solve_triangular(x1, x2, lower, transposed):
    from nbgrad.runtime import blas

    return blas.solve_triangular(x1, x2, lower, transposed)


@structural("array", reference=numpy.linalg.cholesky)
def cholesky(x):
    """The lower triangular L with L L^T = x; only the lower triangle of x is read."""
    square("cholesky", x)
    return x.shape, x.dtype


@cholesky.vjp
def cholesky_vjp(g, y):
    n = y.shape[-1]
    halved = numpy.tri(n, dtype=y.dtype) - numpy.eye(n, dtype=y.dtype) / 2
    p = matmul(swap_last(y), g) * graph.Array(graph.leaf(halved))
    left = solve_triangular(y, p, lower=True, transposed=True)
    both = swap_last(solve_triangular(y, swap_last(left), lower=True, transposed=True))
    return (both + swap_last(both)) * 0.5


@structural("array", reference=numpy.linalg.solve)
def solve(x1, x2):
    """y with x1 y = x2, by LU factorisation with partial pivoting."""
    return _equation("solve", x1, x2)


@solve.vjp
def solve_vjp(g, x1, x2, y):
    back = solve(swap_last(x1), g)
    return sum_to(-matmul(back, swap_last(y)), x1.shape), sum_to(back, x2.shape)


@structural("array", reference=_solve_triangular)
def solve_triangular(x1, x2, *, lower, transposed):
    """y with x1 y = x2, or x1^T y = x2, where only the lower or the upper triangle of x1 is read."""
    return _equation("solve_triangular", x1, x2)


@solve_triangular.vjp
def solve_triangular_vjp(g, x1, x2, y, lower, transposed):
    back = solve_triangular(x1, g, lower=lower, transposed=not transposed)
    outer = -(matmul(y, swap_last(back)) if transposed else matmul(back, swap_last(y)))
    n = x1.shape[-1]
    inside = numpy.tri(n, dtype=bool) if lower else numpy.tri(n, k=-1, dtype=bool) == 0
    mask = graph.Array(graph.leaf(inside))
    from nbgrad.kernels.selection import where

    return sum_to(where(mask, outer, 0.0), x1.shape), sum_to(back, x2.shape)
