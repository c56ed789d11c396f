"""Linear algebra under NumPy's names, with gradients: equations, inverses, determinants, products."""

from typing import NamedTuple

import numpy
from numpy.linalg import LinAlgError

from nbgrad import shapes
from nbgrad.array import Array, is_abstract
from nbgrad.errors import ArgumentError, MatrixShapeError, OptionError, ShapeError, describe
from nbgrad.kernels import linalg as kernels
from nbgrad.kernels import matrix_functions
from nbgrad.numpy import manipulation, products
from nbgrad.numpy._arguments import as_array, as_integer, cast, promoted
from nbgrad.numpy.creation import eye, zeros
from nbgrad.numpy.decompositions import (
    eig,
    eigh,
    eigvals,
    eigvalsh,
    floating,
    qr,
    svd,
    svdvals,
)
from nbgrad.numpy.elementwise import absolute, real, square
from nbgrad.numpy.manipulation import matrix_transpose, reshape, transpose
from nbgrad.numpy.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from nbgrad.numpy.products import dot, matmul, tensordot
from nbgrad.numpy.reductions import count_nonzero, sum
from nbgrad.runtime.evaluate import peek

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq",
    "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv",
    "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Array
    logabsdet: Array


def cholesky(a, /, *, upper=False):
    """The triangular L with ``L @ L.T == a``; of complex matrices ``L @ L.conj().T``.

    Parameters
    ----------
    a : array_like of shape (..., n, n)
        Symmetric, or of complex numbers Hermitian, and positive definite; only its lower triangle is read.
    upper : bool
        Read the upper triangle and return the upper triangular U with ``U.T @ U == a``.

    Returns
    -------
    Array of shape (..., n, n)

    Raises
    ------
    MatrixShapeError
        When the matrices are not square.
    numpy.linalg.LinAlgError
        When the value is computed and a matrix is not positive definite.

    Notes
    -----
    The gradient is that of a symmetric matrix: half of what belongs to a pair of elements goes to each
    (Murray 2016, Differentiation of the Cholesky decomposition).

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]])
    Array([[2., 0.],
           [1., 2.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    a = floating(a, "cholesky")
    kernels.square("cholesky", a)
    return kernels.adjoint(kernels.cholesky(kernels.adjoint(a))) if upper else kernels.cholesky(a)


def solve(a, b):
    """x with ``a @ x == b``.

    Parameters
    ----------
    a : array_like of shape (..., n, n)
    b : array_like of shape (n,) or (..., n, k)

    Returns
    -------
    Array of the shape of `b`, with leading axes broadcast

    Raises
    ------
    ShapeError
        When shapes do not fit.
    numpy.linalg.LinAlgError
        When the value is computed and a matrix is singular.

    Notes
    -----
    A matrix that comes from `cholesky` is known to be triangular and solved as such.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.solve([[2.0, 0.0], [1.0, 4.0]], [2.0, 9.0])
    Array([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    a, b = promoted(floating(a, "solve"), floating(b, "solve", "b"))
    if b.ndim == 0:
        raise ShapeError(f"solve: b must have at least one dimension\n    {describe(b, 'b')}")
    if b.ndim == 1:
        y = kernels.solve(a, reshape(b, (*b.shape, 1)))
        return reshape(y, y.shape[:-1])
    return kernels.solve(a, b)


def inv(a):
    """The inverse of square matrices; solve equations with `solve`, which is more accurate.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], shape=(2, 2), dtype=float64, device=cpu)
    """
    a = floating(a, "inv")
    return kernels.solve(a, eye(kernels.square("inv", a), dtype=a.dtype))


_NOT_GIVEN = object()


def pinv(a, rcond=None, hermitian=False, *, rtol=_NOT_GIVEN):
    """The Moore-Penrose pseudo-inverse.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
    rcond, rtol : array_like of float, optional
        Singular values of at most this times the largest count as 0: 1e-15, or with ``rtol=None`` max(m, n) times the
        machine's epsilon.
    hermitian : bool
        `a` is Hermitian, and its lower triangle is read.

    Returns
    -------
    Array of shape (..., n, m)

    Notes
    -----
    The gradient (Golub & Pereyra 1973) is that of matrices that keep their rank.
    """
    a = floating(a, "pinv")
    m, n = matrix_functions.matrix("pinv", a)
    if rcond is not None and rtol is not _NOT_GIVEN:
        raise OptionError("pinv: both rcond and rtol were given; give one")
    if rcond is None:
        rcond = 1e-15 if rtol is _NOT_GIVEN else rtol
        rcond = max(m, n) * float(numpy.finfo(a.dtype).eps) if rcond is None else rcond
    if 0 in (m, n):
        return zeros((*a.shape[:-2], n, m), a.dtype)
    return matrix_functions.pinv(a, as_array(rcond, "pinv", "rcond"), hermitian=bool(hermitian))


def lstsq(a, b, rcond=None):
    """The shortest x that makes ``norm(b - a @ x)`` least.

    Parameters
    ----------
    a : array_like of shape (m, n)
    b : array_like of shape (m,) or (m, k)
    rcond : float, optional
        Singular values of at most this times the largest count as 0; max(m, n) times the machine's epsilon.

    Returns
    -------
    x : Array of shape (n,) or (n, k)
    residuals : Array of shape (1,) or (k,)
        Squared norms of ``b - a @ x``; empty where m <= n or the rank is below n.  The rank is a value, which
        is computed at once for this; while `jit` traces it counts as n.
    rank : Array
        An integer.
    s : Array of shape (min(m, n),)
        Singular values of `a`.

    Raises
    ------
    MatrixShapeError
        When `a` is no matrix, or `b` has another number of rows.

    Notes
    -----
    The gradient is that of the pseudo-inverse.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.lstsq([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [1.0, 3.0, 5.0])[0].round(12)
    Array([2., 1.], shape=(2,), dtype=float64, device=cpu)
    """
    a, b = promoted(floating(a, "lstsq"), floating(b, "lstsq", "b"))
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise MatrixShapeError(
            "lstsq(a, b): expected a matrix a, and b with one or two dimensions and as many rows\n"
            f"    {describe(a, 'a')}\n    {describe(b, 'b')}"
        )
    m, n = a.shape
    if rcond is None or rcond < 0:  # LAPACK takes a negative one for the epsilon alone
        rcond = float(numpy.finfo(a.dtype).eps) * (max(m, n) if rcond is None else 1)
    right = reshape(b, (m, 1)) if b.ndim == 1 else b
    x = matrix_functions.lstsq(a, right, rcond=float(rcond))
    s = svdvals(a)
    rank = cast(count_nonzero(s > s[:1] * float(rcond)), "int32")
    whole = m > n and (is_abstract(rank._node) or peek(rank._node) == n)
    rest = right - matmul(a, x)
    residuals = sum(square(absolute(rest)), axis=0) if whole else zeros((0,), s.dtype)
    return (reshape(x, (n,)) if b.ndim == 1 else x), residuals, rank, s


def det(a):
    """Determinants of square matrices.

    The gradient is right where a determinant is 0; the second derivative needs an inverse.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.det([[1.0, 2.0], [3.0, 4.0]]).round(12)
    Array(-2., shape=(), dtype=float64, device=cpu)
    """
    return matrix_functions.det(floating(a, "det"))


def slogdet(a):
    """The sign of determinants, for complex matrices the phase, and the logarithm of their size.

    Parameters
    ----------
    a : array_like of shape (..., n, n)

    Returns
    -------
    SlogdetResult
        ``sign * exp(logabsdet)`` is the determinant.

    Raises
    ------
    MatrixShapeError
        When the matrices are not square.
    numpy.linalg.LinAlgError
        When a gradient is computed and a matrix is singular.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.slogdet([[2.0, 0.0], [0.0, -0.5]]).sign
    Array(-1., shape=(), dtype=float64, device=cpu)
    """
    y = matrix_functions.slogdet(floating(a, "slogdet"))
    return SlogdetResult(y[..., 0], real(y[..., 1]))


def tensorinv(a, ind=2):
    """The inverse of `a` as a map: tensors over its last axes to tensors over its first `ind` axes."""
    a = floating(a, "tensorinv")
    ind = as_integer(ind, "tensorinv", "ind")
    if ind <= 0:
        raise OptionError(f"tensorinv: ind must be positive, not {ind}")
    rows = shapes.size(a.shape[:ind])
    if rows != shapes.size(a.shape[ind:]):
        raise MatrixShapeError(
            f"tensorinv: the first {ind} axes have {rows} elements, the others {shapes.size(a.shape[ind:])}; these "
            f"must be equal\n    {describe(a, 'a')}"
        )
    return reshape(inv(reshape(a, (rows, rows))), a.shape[ind:] + a.shape[:ind])


def tensorsolve(a, b, axes=None):
    """x with ``tensordot(a, x, x.ndim) == b``; `axes` of `a` are moved to the end first."""
    a, b = promoted(floating(a, "tensorsolve"), floating(b, "tensorsolve", "b"))
    if axes is not None:
        own = [shapes.axis("tensorsolve", k, a.ndim) for k in axes]
        a = transpose(a, tuple(k for k in range(a.ndim) if k not in own) + tuple(own))
    shape = a.shape[b.ndim :]
    if shapes.size(shape) != b.size or a.size != b.size**2:
        raise MatrixShapeError(
            f"tensorsolve: a of shape {a.shape} is no square map to b of shape {b.shape}\n"
            f"    {describe(a, 'a')}\n    {describe(b, 'b')}"
        )
    return reshape(solve(reshape(a, (b.size, b.size)), reshape(b, (b.size,))), shape)


def matrix_power(a, n):
    """Integer powers of square matrices, negative ones of their inverses, by repeated squaring."""
    a = as_array(a, "matrix_power", "a")
    extent, n = kernels.square("matrix_power", a), as_integer(n, "matrix_power", "n")
    if n == 0:
        return manipulation.broadcast_to(eye(extent, dtype=a.dtype), a.shape)
    power, result, n = inv(a) if n < 0 else a, None, abs(n)
    while True:
        n, odd = divmod(n, 2)
        if odd:
            result = power if result is None else matmul(result, power)
        if not n:
            return result
        power = matmul(power, power)


def multi_dot(arrays, *, out=None):
    """Product of several matrices, multiplied in the order that takes the fewest operations.

    Parameters
    ----------
    arrays : sequence of array_like
        Matrices; the first and the last may be vectors.

    Raises
    ------
    OptionError
        When there are fewer than two.
    MatrixShapeError
        When one in between is no matrix.
    """
    if out is not None:
        raise ArgumentError("multi_dot: out= is not supported on Arrays; use the result")
    arrays = promoted(*(as_array(x, "multi_dot", f"arrays[{i}]") for i, x in enumerate(arrays)))
    if len(arrays) < 2:
        raise OptionError(f"multi_dot: expected at least two arrays, got {len(arrays)}")
    if len(arrays) == 2:
        return dot(*arrays)
    first, last = arrays[0], arrays[-1]
    arrays[0] = reshape(first, (1, first.size)) if first.ndim == 1 else first
    arrays[-1] = reshape(last, (last.size, 1)) if last.ndim == 1 else last
    for i, x in enumerate(arrays):
        if x.ndim != 2:
            raise MatrixShapeError(f"multi_dot: arrays[{i}] is no matrix\n    {describe(x, f'arrays[{i}]')}")
    y = _chain(arrays)
    return reshape(y, (y.shape[:1] if first.ndim > 1 else ()) + (y.shape[1:] if last.ndim > 1 else ()))


def _chain(arrays):
    """The product in the order of Cormen et al., Introduction to algorithms, section 15.2."""
    extents = [*(x.shape[0] for x in arrays), arrays[-1].shape[1]]
    count = len(arrays)
    best, splits = {(i, i): 0 for i in range(count)}, {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = {k: best[i, k] + best[k + 1, j] + extents[i] * extents[k + 1] * extents[j + 1] for k in range(i, j)}
            splits[i, j] = min(costs, key=costs.__getitem__)
            best[i, j] = costs[splits[i, j]]

    def product(i, j):
        return arrays[i] if i == j else matmul(product(i, splits[i, j]), product(splits[i, j] + 1, j))

    return product(0, count - 1)


def outer(x1, x2, /):
    """Products of every element of one vector with every element of another."""
    x1, x2 = as_array(x1, "outer", "x1"), as_array(x2, "outer", "x2")
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(f"outer: expected two vectors\n    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}")
    return products.outer(x1, x2)


def cross(x1, x2, /, *, axis=-1):
    """Cross products of vectors of 3 components."""
    x1, x2 = as_array(x1, "cross", "x1"), as_array(x2, "cross", "x2")
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ShapeError(f"cross: axis {axis} must have extent 3\n    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}")
    return products.cross(x1, x2, axis=axis)


def vecdot(x1, x2, /, *, axis=-1):
    """Sum of products along one axis, of complex numbers with the conjugates of `x1`."""
    return products.vecdot(x1, x2, axis=axis)


def diagonal(x, /, *, offset=0):
    """Diagonals of the matrices in the last two axes."""
    return manipulation.diagonal(x, offset, -2, -1)


def trace(x, /, *, offset=0, dtype=None):
    """Sums of the diagonals of the matrices in the last two axes."""
    return manipulation.trace(x, offset, -2, -1, dtype)
