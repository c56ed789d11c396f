"""scipy.linalg on Arrays: exponential and square root of matrices, triangular equations, LU, special matrices.

Arguments are SciPy's.  `overwrite_a`, `overwrite_b` and `check_finite` are accepted and change nothing: Arrays are not
overwritten, and their values are not read before they are computed.  Leading axes are stacks, as in
nbgrad.numpy.linalg.
"""

import numpy

from nbgrad import shapes
from nbgrad.errors import OptionError, ShapeError, describe
from nbgrad.kernels import linalg as equations
from nbgrad.kernels import matrix_functions as kernels
from nbgrad.numpy import reductions
from nbgrad.numpy._arguments import as_array, as_arrays, cast, leaf, promoted
from nbgrad.numpy.creation import zeros
from nbgrad.numpy.decompositions import floating
from nbgrad.numpy.elementwise import conjugate, log, real, where
from nbgrad.numpy.indexing import take
from nbgrad.numpy.linalg import LinAlgError, det, diagonal, inv, norm, svdvals
from nbgrad.numpy.linalg import cholesky as _cholesky
from nbgrad.numpy.manipulation import concatenate, flip, pad, reshape
from nbgrad.numpy.products import matmul

__all__ = [
    "LinAlgError", "block_diag", "cho_factor", "cho_logdet", "cho_solve", "cholesky", "det", "expm", "inv", "lu",
    "norm", "solve_sylvester", "solve_triangular", "sqrtm", "svdvals", "toeplitz",
]  # fmt: skip


# ---------------------------------------------------------------- functions of matrices


def expm(A):
    """The exponential of square matrices.

    Parameters
    ----------
    A : array_like of shape (..., n, n)

    Returns
    -------
    Array of the same shape

    Raises
    ------
    MatrixShapeError
        When the matrices are not square.

    Notes
    -----
    Values are SciPy's (Al-Mohy & Higham 2009).  The gradient is exact for every matrix, with repeated eigenvalues too:
    the derivative is a block of the exponential of a matrix of twice the size (Najfeld & Havel 1995).

    Examples
    --------
    >>> from nbgrad.scipy.linalg import expm
    >>> expm([[0.0, 1.0], [0.0, 0.0]])
    Array([[1., 1.],
           [0., 1.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    return kernels.expm(floating(A, "expm", "A"))


def sqrtm(A):
    """The principal square root of square matrices: ``X @ X == A``.

    The root of a real Array is real.

    Raises
    ------
    MatrixShapeError
        When the matrices are not square.
    numpy.linalg.LinAlgError
        When the value is computed and a real matrix has no real root, where SciPy's is complex.

    Notes
    -----
    The gradient solves Sylvester's equation, and needs that no two eigenvalues of X add up to 0.
    """
    return kernels.sqrtm(floating(A, "sqrtm", "A"))


def solve_sylvester(a, b, q):
    """X with ``a @ X + X @ b == q`` (Bartels & Stewart 1972).

    Raises
    ------
    MatrixShapeError
        When `a` or `b` is not square, or `q` does not fit.
    """
    arrays = promoted(*(floating(x, "solve_sylvester", n) for x, n in zip((a, b, q), "abq", strict=True)))
    for x, name in zip(arrays, "abq", strict=True):
        kernels.matrix("solve_sylvester", x) if name == "q" else equations.square("solve_sylvester", x)
    return kernels.solve_sylvester(*arrays)


# ---------------------------------------------------------------- triangular equations


def _columns(call, b, solved):
    """A solution for columns, or for a vector as one column."""
    if b.ndim == 0:
        raise ShapeError(f"{call}: b must have at least one dimension\n    {describe(b, 'b')}")
    if b.ndim > 1:
        return solved(b)
    return reshape(solved(reshape(b, (*b.shape, 1))), b.shape)


def _solved(a, b, lower, conjugated=False, transposed=False):
    """One triangular equation; those of the conjugate transpose are the conjugates of those of the transpose."""
    if conjugated and a.dtype.kind == "c":
        return conjugate(equations.solve_triangular(a, conjugate(b), lower=lower, transposed=transposed))
    return equations.solve_triangular(a, b, lower=lower, transposed=transposed)


_FORMS = {0: 0, "N": 0, 1: 1, "T": 1, 2: 2, "C": 2}


def solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False, overwrite_b=False, check_finite=True):
    """x with ``a @ x == b``, where only one triangle of `a` is read.

    Parameters
    ----------
    a : array_like of shape (..., n, n)
    b : array_like of shape (n,) or (..., n, k)
    trans : {0, 1, 2, "N", "T", "C"}
        The equation is that of `a`, of its transpose, or of its conjugate transpose.
    lower : bool
        Which triangle of `a` (not of its transpose).
    unit_diagonal : bool
        The diagonal counts as 1 and is not read.

    Raises
    ------
    OptionError
        When `trans` is none of these.
    ShapeError
        When shapes do not fit.

    Notes
    -----
    Where SciPy raises for a zero on the diagonal the solution is infinite or nan.

    Examples
    --------
    >>> from nbgrad.scipy.linalg import solve_triangular
    >>> solve_triangular([[2.0, 0.0], [1.0, 4.0]], [2.0, 9.0], lower=True)
    Array([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    if trans not in _FORMS:
        raise OptionError(f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    form = _FORMS[trans]
    a, b = promoted(floating(a, "solve_triangular"), floating(b, "solve_triangular", "b"))
    n = equations.square("solve_triangular", a)
    if unit_diagonal:
        a = where(leaf(numpy.eye(n, dtype=bool)), 1.0, a)
    return _columns("solve_triangular", b, lambda b: _solved(a, b, bool(lower), form == 2, form > 0))


def cholesky(a, lower=False, overwrite_a=False, check_finite=True):
    """The triangular factor of Hermitian matrices: the upper U with ``U.conj().T @ U == a``, or the lower one."""
    return _cholesky(a, upper=not lower)


def cho_factor(a, lower=False, overwrite_a=False, check_finite=True):
    """(factor, lower) for `cho_solve`; the other triangle of the factor holds zeros."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower, b, overwrite_b=False, check_finite=True):
    """x with ``a @ x == b``, from what `cho_factor` made of `a`.

    Examples
    --------
    >>> from nbgrad.scipy.linalg import cho_factor, cho_solve
    >>> cho_solve(cho_factor([[4.0, 0.0], [0.0, 1.0]]), [8.0, 3.0])
    Array([2., 3.], shape=(2,), dtype=float64, device=cpu)
    """
    c, lower = c_and_lower
    c, b = promoted(floating(c, "cho_solve", "c"), floating(b, "cho_solve", "b"))
    lower = bool(lower)

    def solved(b):
        half = _solved(c, b, lower, not lower, not lower)
        return _solved(c, half, lower, lower, lower)

    return _columns("cho_solve", b, solved)


def cho_logdet(c_and_lower):
    """The logarithm of the determinant of `a`, from what `cho_factor` made of it; SciPy has no such function."""
    c, _ = c_and_lower
    return 2.0 * reductions.sum(log(real(diagonal(floating(c, "cho_logdet", "c")))), axis=-1)


# ---------------------------------------------------------------- LU


def lu(a, permute_l=False, overwrite_a=False, check_finite=True, p_indices=False):
    """LU factorisation with partial pivoting: ``a == P @ L @ U``.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
    permute_l : bool
        Return P @ L and U.
    p_indices : bool
        Return, in place of P, integers p with ``a == L[p] @ U``.

    Returns
    -------
    P : Array of shape (..., m, m), or (..., m)
        A permutation, without a gradient.
    L : Array of shape (..., m, k)
        Lower triangular (or trapezoidal) with a unit diagonal; k = min(m, n).
    U : Array of shape (..., k, n)
        Upper triangular.

    Raises
    ------
    MatrixShapeError
        When `a` has fewer than two dimensions.

    Notes
    -----
    The gradient of L and U (Giles 2008) is that for a permutation that stays as it is, and needs a leading k x k part
    of P.T @ a that is not singular.
    """
    a = floating(a, "lu")
    p, low, up = kernels.unpack(kernels.lu(a), *kernels.lu_parts(*kernels.matrix("lu", a)))
    p = real(p)
    if permute_l:
        return matmul(kernels.permutation(p, a.dtype), low), up
    return (cast(p, "int32") if p_indices else kernels.permutation(p, p.dtype)), low, up


# ---------------------------------------------------------------- special matrices


def block_diag(*arrs):
    """Matrices along the diagonal of one, zeros elsewhere; vectors count as rows.

    Examples
    --------
    >>> from nbgrad.scipy.linalg import block_diag
    >>> block_diag([1.0, 2.0], [[3.0], [4.0]]).tolist()
    [[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.0, 4.0]]
    """
    if not arrs:
        return zeros((1, 0))
    blocks = []
    for i, x in enumerate(as_arrays(arrs, "block_diag", "arrs")):
        if x.ndim > 2:
            raise ShapeError(
                f"block_diag: arrs[{i}] has {x.ndim} dimensions, expected at most 2\n    {describe(x, f'arrs[{i}]')}"
            )
        blocks.append(reshape(x, (1,) * (2 - x.ndim) + x.shape))
    width, start, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        rows.append(pad(x, ((0, 0), (start, width - start - x.shape[1]))))
        start += x.shape[1]
    return concatenate(rows)


def toeplitz(c, r=None):
    """The matrix with the first column `c`, the first row `r`, and equal elements along diagonals.

    `r` is the conjugate of `c` if it is not given; its first element is not read.  Both are vectors, or stacks of
    them along leading axes.
    """
    c = as_array(c, "toeplitz", "c")
    r = conjugate(c) if r is None else as_array(r, "toeplitz", "r")
    for x, name in ((c, "c"), (r, "r")):
        if x.ndim == 0:
            raise ShapeError(f"toeplitz: {name} must have at least one dimension\n    {describe(x, name)}")
    c, r = promoted(c, r)
    m, n = c.shape[-1], r.shape[-1]
    if not (m and n):
        return zeros((*shapes.broadcast([c.shape[:-1], r.shape[:-1]]), m, n), c.dtype)
    values = concatenate([flip(c, -1), r[..., 1:]], axis=-1)
    return take(values, numpy.arange(m)[::-1, None] + numpy.arange(n), axis=-1)
