"""Norms of vectors and matrices, and what singular values say of a matrix: its rank and its condition."""

import builtins

import numpy

from nbgrad import dtypes, shapes
from nbgrad.errors import MatrixShapeError, OptionError, ShapeError, describe
from nbgrad.kernels import matrix_functions, selection
from nbgrad.numpy._arguments import as_array, cast
from nbgrad.numpy.decompositions import floating, svd, svdvals
from nbgrad.numpy.elementwise import absolute, imag, isnan, power, real, sqrt, square, where
from nbgrad.numpy.manipulation import expand_dims, moveaxis, ravel, reshape
from nbgrad.numpy.reductions import any, count_nonzero, max, min, sum


def norm(x, ord=None, axis=None, keepdims=False):
    """Norm of vectors or matrices.

    Parameters
    ----------
    x : array_like
    ord : None, number, inf, -inf, or, for matrices, "fro" or "nuc"
        None is the square root of the sum of squared sizes.  Of vectors ``sum(abs(x)**ord)**(1/ord)``, largest and
        smallest size for inf and -inf, number of elements that are not 0 for 0.  Of matrices 1 and inf are the largest
        sums over columns and rows, 2 the largest singular value, "nuc" the sum of all; with the other sign the
        smallest.
    axis : int or pair of int, optional
        One for vectors, two for matrices.  Without it and `ord`, the norm of all elements.
    keepdims : bool

    Returns
    -------
    Array of real numbers

    Raises
    ------
    OptionError
        When there is no such norm.
    ShapeError
        When axes are out of range or the same, or there are more than two.

    Notes
    -----
    Gradients are 0 at elements that are 0, where the norm has none, and shared equally by elements of the same largest
    size.  Those of norms by singular values are one of the slopes there are where such values are 0 or equal.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.norm([3.0, 4.0])
    Array(5., shape=(), dtype=float64, device=cpu)
    """
    x = _inexact(x, "norm")
    if axis is None:
        axes = tuple(range(x.ndim))
        if ord is None or (ord == 2 and x.ndim == 1) or (ord in ("f", "fro") and x.ndim == 2):
            return _kept(_root_of_squares(ravel(x), (0,)), x.shape, axes, keepdims)
    else:
        axes = tuple(shapes.axis("norm", a, x.ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(axes) == 1:
        return _kept(_of_vectors(x, ord, axes), x.shape, axes, keepdims)
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ShapeError(
            f"norm: there are norms of vectors and of matrices, so axis must name one or two different axes, not "
            f"{axis if axis is not None else axes}\n    {describe(x, 'x')}"
        )
    return _kept(_of_matrices(x, ord, axes), x.shape, axes, keepdims)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """`norm` of vectors along one axis, several or all, as one vector each."""
    x = _inexact(x, "vector_norm")
    axes = shapes.axes("vector_norm", axis, x.ndim)
    flat = moveaxis(x, axes, tuple(range(len(axes))))
    flat = reshape(flat, (shapes.size(flat.shape[: len(axes)]), *flat.shape[len(axes) :]))
    return _kept(_of_vectors(flat, ord, (0,)), x.shape, axes, keepdims)


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """`norm` of the matrices in the last two axes."""
    x = _inexact(x, "matrix_norm")
    if x.ndim < 2:
        raise MatrixShapeError(f"matrix_norm: expected matrices in the last two axes\n    {describe(x, 'x')}")
    return norm(x, ord, (-2, -1), keepdims)


def _inexact(x, call):
    x = as_array(x, call)
    return x if dtypes.is_inexact(x.dtype) else cast(x, "float64")


def _kept(y, shape, axes, keepdims):
    return reshape(y, shapes.kept(shape, axes)) if keepdims else y


def _squares(x):
    return square(real(x)) + square(imag(x)) if x.dtype.kind == "c" else square(x)


def _root_of_squares(x, axes):
    total = sum(_squares(x), axis=axes)
    zero = total == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, total)))


def _of_vectors(x, ord, axes):
    if isinstance(ord, str):
        raise OptionError(f"norm: ord={ord!r} is no norm of vectors; take a number, inf or -inf")
    if ord is None or ord == 2:
        return _root_of_squares(x, axes)
    size = absolute(x)
    if ord == numpy.inf:
        return _largest(size, axes[0])
    if ord == -numpy.inf:
        return min(size, axis=axes)
    if ord == 0:
        return sum(cast(x != 0, size.dtype), axis=axes)
    if ord == 1:
        return sum(size, axis=axes)
    none = size == 0
    powers = where(none, 0.0 if ord > 0 else numpy.inf, power(where(none, 1.0, size), ord))
    total = sum(powers, axis=axes)
    zero = total == 0
    return where(zero, 0.0 if ord > 0 else numpy.inf, power(where(zero, 1.0, total), 1 / ord))


def _of_matrices(x, ord, axes):
    row, column = axes
    if ord in (None, "fro", "f"):
        return _root_of_squares(x, axes)
    if ord in (2, -2, "nuc"):
        s = svdvals(floating(moveaxis(x, axes, (-2, -1)), "norm", "x"))
        if ord == "nuc":
            return sum(s, axis=-1)
        return _largest(s, s.ndim - 1) if ord == 2 else min(s, axis=-1)
    if ord not in (1, -1, numpy.inf, -numpy.inf):
        raise OptionError(
            f"norm: ord={ord!r} is no norm of matrices; take 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc', or ravel the "
            "matrices for a norm of vectors"
        )
    added, other = (row, column) if ord in (1, -1) else (column, row)
    sums = sum(absolute(x), axis=added)
    other -= other > added
    return _largest(sums, other) if ord > 0 else min(sums, axis=other)


def _largest(sizes, axis):
    """The largest of sizes along an axis, 0 of none."""
    return max(sizes, axis=axis) if sizes.shape[axis] else sum(sizes, axis=axis)


def matrix_rank(A, tol=None, hermitian=False, *, rtol=None):
    """Number of singular values above a threshold, as an integer without a gradient.

    Parameters
    ----------
    A : array_like of shape (..., m, n)
        A vector has rank 1, or 0 if it is zero.
    tol, rtol : array_like, optional
        The threshold, or the threshold over the largest singular value: max(m, n) times the machine's epsilon.
    hermitian : bool
        `A` is Hermitian, and its lower triangle is read.
    """
    if tol is not None and rtol is not None:
        raise OptionError("matrix_rank: both tol and rtol were given; give one")
    A = as_array(A, "matrix_rank", "A")
    if A.ndim < 2:
        return cast(any(A != 0), "int64")
    s = svd(A, compute_uv=False, hermitian=hermitian)
    if not s.shape[-1]:
        return count_nonzero(s, axis=-1)
    if tol is None:
        if rtol is None:
            rtol = builtins.max(A.shape[-2:]) * numpy.finfo(s.dtype).eps
        else:
            rtol = expand_dims(as_array(rtol, "matrix_rank", "rtol"), -1)
        tol = max(s, axis=-1, keepdims=True) * rtol
    else:
        tol = expand_dims(as_array(tol, "matrix_rank", "tol"), -1)
    return count_nonzero(s > tol, axis=-1)


def cond(x, p=None):
    """Condition number ``norm(x, p) * norm(inv(x), p)`` of matrices; inf where there is no inverse.

    Parameters
    ----------
    x : array_like of shape (..., m, n)
        Square unless `p` is None, 2 or -2.
    p : None, 1, -1, 2, -2, inf, -inf, "fro" or "nuc"
        As in `norm`; None is 2, the quotient of the largest and the smallest singular value.

    Raises
    ------
    MatrixShapeError
        When there are no elements, or the matrices are not square.
    """
    x = floating(x, "cond", "x")
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise MatrixShapeError(f"cond: expected matrices that are not empty\n    {describe(x, 'x')}")
    if p is None or p in (2, -2):
        s = svdvals(x)
        r = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        r = norm(x, p, (-2, -1)) * norm(matrix_functions.inverse_or_nan(x), p, (-2, -1))
    return selection.where(isnan(r) & ~any(isnan(x), axis=(-2, -1)), numpy.inf, r)
