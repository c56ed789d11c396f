"""Linear algebra under NumPy's names, with gradients."""

from nbgrad import dtypes
from nbgrad.errors import ShapeError, describe
from nbgrad.kernels import linalg as kernels
from nbgrad.numpy._arguments import as_array, cast, promoted
from nbgrad.numpy.creation import eye
from nbgrad.numpy.manipulation import reshape, swapaxes

__all__ = ["cholesky", "inv", "solve"]


def _floating(x, call, name="a"):
    x = as_array(x, call, name)
    return x if dtypes.is_inexact(x.dtype) else cast(x, "float64")


def cholesky(a, /, *, upper=False):
    """The triangular L with ``L @ L.T == a``.

    Parameters
    ----------
    a : array_like of shape (..., n, n)
        Symmetric and positive definite; only its lower triangle is read.
    upper : bool
        Return ``L.T``.

    Returns
    -------
    Array of shape (..., n, n)

    Raises
    ------
    ShapeError
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
    y = kernels.cholesky(_floating(a, "cholesky"))
    return swapaxes(y, -1, -2) if upper else y


def solve(a, b, /):
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
    a, b = promoted(_floating(a, "solve"), _floating(b, "solve", "b"))
    if b.ndim == 0:
        raise ShapeError(f"solve: b must have at least one dimension\n    {describe(b, 'b')}")
    if b.ndim == 1:
        y = kernels.solve(a, reshape(b, (*b.shape, 1)))
        return reshape(y, y.shape[:-1])
    return kernels.solve(a, b)


def inv(a, /):
    """The inverse of square matrices; solve equations with `solve`, which is more accurate.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], shape=(2, 2), dtype=float64, device=cpu)
    """
    a = _floating(a, "inv")
    return kernels.solve(a, eye(kernels.square("inv", a), dtype=a.dtype))
