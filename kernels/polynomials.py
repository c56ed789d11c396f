"""What functions of polynomials need of linear algebra: roots, and solutions in the sense of least squares."""

import warnings

import numpy

from nbgrad.dtypes import complex_of
from nbgrad.kernels.arithmetic import multiply
from nbgrad.kernels.casting import astype
from nbgrad.kernels.complex import conjugate
from nbgrad.kernels.linalg import matmul, solve, swap_last
from nbgrad.kernels.reduction import sum
from nbgrad.kernels.shape import concatenate, reshape
from nbgrad.primitive import full, structural


@structural("array", reference=lambda x, count: numpy.roots(x).astype(complex_of(x.dtype)))
def polynomial_roots(x, *, count):
    """The `count` roots of the polynomial with coefficients x, that of the highest power first."""
    return (count,), complex_of(x.dtype)


@polynomial_roots.vjp
def polynomial_roots_vjp(g, y, x):
    # p(r) = 0 stays so: dr = -r^k dc / p'(r) for the coefficient c of the k-th power
    n, column = x.shape[0], reshape(y, shape=(y.shape[0], 1))
    powers = [full(column.shape, 1, y.dtype)]
    for _ in range(1, n):
        powers.append(multiply(powers[-1], column))
    table = concatenate(*powers[::-1], axis=1) if n > 1 else powers[0]
    falling = [multiply(float(k), powers[k - 1]) for k in range(n - 1, 0, -1)]
    slopes = concatenate(*falling, full(column.shape, 0, y.dtype), axis=1) if falling else powers[0]
    slope = sum(multiply(slopes, astype(x, dtype=y.dtype)), axes=(1,))
    row = reshape(-g / slope, shape=(1, y.shape[0]))
    return reshape(matmul(row, table), shape=(n,))


def _least_squares(a, b, rcond):
    y, _, rank, _ = numpy.linalg.lstsq(a, b, rcond)
    if rank < a.shape[1]:
        warnings.warn(
            f"polyfit: only {rank} of {a.shape[1]} coefficients are determined by the data, and there is no "
            "derivative; lower the degree",
            numpy.exceptions.RankWarning,
            stacklevel=2,
        )
    return y


@structural("array", reference=_least_squares)
def least_squares(a, b, *, rcond):
    """The y of least norm that makes |a y - b| least, of a matrix a and columns b."""
    return (a.shape[1], b.shape[1]), b.dtype


@least_squares.complex_vjp
def least_squares_vjp(g, y, x1, x2):
    # Golub and Pereyra 1973, The differentiation of pseudo-inverses, at full rank
    adjoint = conjugate(swap_last(x1))
    u = solve(matmul(adjoint, x1), g)
    onto = matmul(x1, u)
    rest = x2 - matmul(x1, y)
    return matmul(rest, conjugate(swap_last(u))) - matmul(onto, conjugate(swap_last(y))), onto


least_squares.vjp(least_squares_vjp)
