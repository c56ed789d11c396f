"""Matrix products, and equations of matrices.

The rules of the factorisation and of the solutions are those of Giles 2008, Collected matrix derivative results
for forward and reverse mode algorithmic differentiation, and Murray 2016, Differentiation of the Cholesky
decomposition; for complex matrices transposes in them are conjugate ones where the function is not holomorphic
(Boeddeker et al. 2017, On the computation of complex-valued gradients with application to statistically optimum
beamforming).
"""

import numpy

from nbgrad import graph, shapes
from nbgrad.dtypes import real_of
from nbgrad.errors import MatrixShapeError, ShapeError, describe
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.shape import reshape, sum_to, transpose
from nbgrad.primitive import structural


@structural("array", reference=numpy.matmul)
def matmul(x1, x2):
    """Product over the last axis of x1 and the last but one of x2, both at least 2-d; leading axes broadcast."""
    lead = shapes.broadcast([x1.shape[:-2], x2.shape[:-2]])
    if lead is None or x1.shape[-1] != x2.shape[-2]:
        raise ShapeError(
            f"matmul(x1, x2): shapes {x1.shape} and {x2.shape} do not multiply; "
            f"the last axis of x1 is {x1.shape[-1]}, the last but one of x2 is {x2.shape[-2]}\n"
            f"    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}"
        )
    return (*lead, x1.shape[-2], x2.shape[-1]), x1.dtype


@matmul.batched
def matmul_batched(size, mapped, x1, x2):
    """One product of larger matrices where all examples share a matrix, else a stack of products, which broadcast."""
    if mapped == (True, False) and len(x2.shape) == 2:
        y = matmul(reshape(x1, shape=(shapes.size(x1.shape[:-1]), x1.shape[-1])), x2)
        return reshape(y, shape=(*x1.shape[:-1], x2.shape[-1]))
    if mapped == (False, True) and len(x1.shape) == 2 and len(x2.shape) == 3 and x2.shape[-1] == 1:
        y = matmul(reshape(x2, shape=x2.shape[:-1]), swap_last(x1))
        return reshape(y, shape=(*y.shape, 1))
    return "broadcast"


def swap_last(x):
    """The last two axes swapped."""
    n = len(x.shape)
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


def adjoint(x):
    """The conjugate transpose of matrices; of real ones the transpose."""
    x = swap_last(x)
    if x.dtype.kind != "c":
        return x
    from nbgrad.kernels.complex import conjugate

    return conjugate(x)


def of_both(primitive):
    """Declare one rule for real matrices and, as it conjugates itself, for complex ones."""

    def declare(rule):
        primitive.complex_vjp(rule)
        return primitive.vjp(rule)

    return declare


@matmul.vjp
def matmul_vjp(g, x1, x2):
    return sum_to(matmul(g, swap_last(x2)), x1.shape), sum_to(matmul(swap_last(x1), g), x2.shape)


def square(call, x):
    """The extent of square matrices in the last two axes, or MatrixShapeError."""
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise MatrixShapeError(f"{call}: expected square matrices in the last two axes\n    {describe(x, 'a')}")
    return x.shape[-1]


def _equation(call, x1, x2):
    """Shape and dtype of the solutions of x1 y = x2, both at least 2-d."""
    n, lead = square(call, x1), shapes.broadcast([x1.shape[:-2], x2.shape[:-2]])
    if lead is None or x2.shape[-2] != n:
        raise ShapeError(
            f"{call}(a, b): a has {n} rows, b of shape {x2.shape} does not fit\n"
            f"    {describe(x1, 'a')}\n    {describe(x2, 'b')}"
        )
    return (*lead, n, x2.shape[-1]), x2.dtype


def _by(name):
    """A function of `nbgrad.runtime.triangular`, which is imported when it is called."""

    def reference(*operands, **attrs):
        from nbgrad.runtime import triangular

        return getattr(triangular, name)(*operands, **attrs)

    return reference


@structural("array", reference=_by("cholesky"), batch="leading")
def cholesky(x):
    """The lower triangular L with L L^H = x; only the lower triangle of x is read."""
    square("cholesky", x)
    return x.shape, x.dtype


@of_both(cholesky)
def cholesky_vjp(g, y):
    return cholesky_pullback(y, g)


@structural("array", reference=_by("cholesky_pullback"), batch="leading")
def cholesky_pullback(x1, x2):
    """The cotangent of a matrix whose Cholesky factor is x1 with the cotangent x2; lower triangles are read."""
    return x1.shape, x1.dtype


def small(node):
    """Matrices that stay in the nearest caches: for each the extent; larger ones are for the library."""
    n = node.shape[-1]
    count = shapes.size(node.shape[:-2])
    return ((n,), count if n else 0, count * n**3) if n <= 256 else None


@cholesky_pullback.array_kernel(small)
def cholesky_pullback_kernel(factor, cotangent, out, n, start, stop):
    # row by row from the last one, the level-2 algorithm of Murray 2016, section 4.2
    for matrix in range(start, stop):
        first = matrix * n * n
        for at in range(first, first + n * n):
            put_at(out, at, get(cotangent, at))
        for row in range(n):
            j = first + (n - 1 - row) * n
            d = get(factor, j + n - 1 - row)
            own = get(out, j + n - 1 - row)
            for later in range(n - row, n):
                at = first + later * n + n - 1 - row
                t = get(out, at) / d
                put_at(out, at, t)
                own = own - t * get(factor, at)
            put_at(out, j + n - 1 - row, own / d)
            for k in range(n - 1 - row):
                put_at(out, j + k, get(out, j + k) - own / d * get(factor, j + k))
            for later in range(n - row, n):
                i = first + later * n
                t = get(out, i + n - 1 - row)
                for k in range(n - 1 - row):
                    put_at(out, i + k, get(out, i + k) - t * get(factor, j + k))
                for k in range(n - 1 - row):
                    put_at(out, j + k, get(out, j + k) - t * get(factor, i + k))
        for i in range(n):
            for k in range(i + 1):
                half = get(out, first + i * n + k) / 2
                put_at(out, first + i * n + k, half)
                put_at(out, first + k * n + i, half)


@of_both(cholesky_pullback)
def cholesky_pullback_vjp(g, x1, x2, y):
    """Of y = (X + X^H) / 2 with X = L^-H P L^-1, and P the lower triangle of L^H x2 with its diagonal halved."""
    n = x1.shape[-1]
    lower = numpy.tri(n, dtype=real_of(y.dtype))
    below, halved = (graph.Array(graph.table(m)) for m in (lower, lower - numpy.eye(n, dtype=lower.dtype) / 2))
    factor = x1 * below
    symmetric = (g + adjoint(g)) * 0.5
    half = solve_triangular(x1, symmetric, lower=True, transposed=False)
    inner = halved * solve_triangular(x1, adjoint(half), lower=True, transposed=False)
    outer = matmul(x2 * below, adjoint(inner)) - 2.0 * matmul(y, adjoint(half))
    return outer * below, matmul(factor, inner) * below


@structural("array", reference=numpy.linalg.solve, batch="broadcast")
def solve(x1, x2):
    """y with x1 y = x2, by LU factorisation with partial pivoting."""
    return _equation("solve", x1, x2)


@solve.vjp
def solve_vjp(g, x1, x2, y):
    back = solve(swap_last(x1), g)
    return sum_to(-matmul(back, swap_last(y)), x1.shape), sum_to(back, x2.shape)


@structural("array", reference=_by("solve_triangular"), batch="broadcast")
def solve_triangular(x1, x2, *, lower, transposed):
    """y with x1 y = x2, or x1^T y = x2, where only the lower or the upper triangle of x1 is read."""
    return _equation("solve_triangular", x1, x2)


def small_and_one(node):
    """One right-hand side for each small matrix: its extent, lower or upper, transposed or not."""
    a, b = node.inputs
    if a.shape[:-2] != b.shape[:-2] or b.shape[-1] != 1 or node.dtype.kind != "f":
        return None
    attrs, layout = dict(node.attrs), small(a)
    if layout is None:
        return None
    (n,), count, _ = layout
    return (n, int(attrs["lower"]), int(attrs["transposed"])), count, count * n * n


@solve_triangular.array_kernel(small_and_one)
def solve_triangular_kernel(a, b, out, n, lower, transposed, start, stop):
    for matrix in range(start, stop):
        first = matrix * n
        for i in range(n):
            put_at(out, first + i, get(b, first + i))
        for step in range(n):
            row = step if lower != transposed else n - 1 - step
            low, high = (0, row) if lower else (row + 1, n)
            at, own = (first + row) * n, get(out, first + row)
            if transposed:
                own = own / get(a, at + row)
                for j in range(low, high):
                    put_at(out, first + j, get(out, first + j) - own * get(a, at + j))
                put_at(out, first + row, own)
            else:
                for j in range(low, high):
                    own = own - get(a, at + j) * get(out, first + j)
                put_at(out, first + row, own / get(a, at + row))


@solve_triangular.vjp
def solve_triangular_vjp(g, x1, x2, y, lower, transposed):
    back = solve_triangular(x1, g, lower=lower, transposed=not transposed)
    outer = -(matmul(y, swap_last(back)) if transposed else matmul(back, swap_last(y)))
    n = x1.shape[-1]
    inside = numpy.tri(n, dtype=bool) if lower else numpy.tri(n, k=-1, dtype=bool) == 0
    mask = graph.Array(graph.table(inside))
    from nbgrad.kernels.selection import where

    return sum_to(where(mask, outer, 0.0), x1.shape), sum_to(back, x2.shape)
