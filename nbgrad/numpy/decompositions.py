"""Factorisations of matrices under NumPy's names: QR, singular values, eigenvalues.

Factors are not unique, and a function of them has a gradient where it does not depend on the choice: on the sign (of
complex vectors the phase) of a vector, on the basis of the vectors of a repeated value, on the basis of what is
orthogonal to all vectors in full matrices.  The sweep does not notice a function that does depend on it.
"""

from typing import NamedTuple

from nbgrad.array import Array
from nbgrad.errors import OptionError
from nbgrad.kernels import factorisations as kernels
from nbgrad.kernels.linalg import adjoint
from nbgrad.numpy._arguments import as_array, cast
from nbgrad.numpy.elementwise import absolute, real, sign
from nbgrad.numpy.indexing import argsort, sort, take_along_axis
from nbgrad.numpy.manipulation import flip


class EigResult(NamedTuple):
    """What `eig` returns."""

    eigenvalues: Array
    eigenvectors: Array


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Array
    eigenvectors: Array


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: Array
    R: Array


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Array
    S: Array
    Vh: Array


def floating(x, call, name="a"):
    """An Array of the dtypes LAPACK knows; integers and booleans become float64."""
    from nbgrad.errors import DtypeError, describe

    x = as_array(x, call, name)
    if x.dtype == "float16":
        raise DtypeError(f"{call}: LAPACK has no float16; cast with .astype('float32') first\n    {describe(x, name)}")
    return x if x.dtype.kind in "fc" else cast(x, "float64")


def qr(a, mode="reduced"):
    """Q with orthonormal columns and R, upper triangular, with ``Q @ R == a``.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
    mode : {"reduced", "complete", "r"}
        Q of k = min(m, n) columns, Q of m columns, or R alone.  NumPy's ``"raw"`` is not supported.

    Returns
    -------
    QRResult
        Q of shape (..., m, k) and R of shape (..., k, n), with m in place of k where `mode` is ``"complete"``; or R.

    Raises
    ------
    MatrixShapeError
        When `a` has fewer than two dimensions.

    Notes
    -----
    The gradient (Walter & Lehmann 2018) needs the first k columns to be independent, and is infinite or nan otherwise.
    The columns that ``"complete"`` adds may enter a function only through the space that they span.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> q, r = np.linalg.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> np.allclose(q @ r, [[3.0, 1.0], [4.0, 2.0]])
    Array(True, shape=(), dtype=bool, device=cpu)
    """
    if mode not in ("reduced", "complete", "r"):
        raise OptionError(f"qr: mode must be 'reduced', 'complete' or 'r', not {mode!r}")
    a = floating(a, "qr")
    full = mode == "complete"
    y = kernels.qr(a, full=full)
    q, r = kernels.unpack(y, *kernels.qr_parts(*a.shape[-2:], full))
    return r if mode == "r" else QRResult(q, r)


def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    """Singular value decomposition ``a == (U * S) @ Vh``.

    Parameters
    ----------
    a : array_like of shape (..., m, n)
    full_matrices : bool
        Square U and Vh, else k = min(m, n) columns of U and rows of Vh.
    compute_uv : bool
        Otherwise only S is returned.
    hermitian : bool
        `a` is Hermitian, and its lower triangle is read.

    Returns
    -------
    SVDResult
        U of shape (..., m, m or k), S of shape (..., k) in descending order, Vh of shape (..., n or k, n).

    Raises
    ------
    MatrixShapeError
        When `a` has fewer than two dimensions, or is `hermitian` and not square.

    Notes
    -----
    The gradient is that of Seeger et al. 2017, and for complex numbers of Wan & Zhang 2019.  Functions of S alone have
    one everywhere (at repeated values that of one choice of vectors: right for functions that treat the values
    alike).  Functions of U and Vh have one that is infinite or nan where singular values that they depend on are equal
    up to rounding, or are 0 in a matrix that is not square.  Signs, or in complex numbers a phase that the columns of U
    and the rows of Vh share, are not to enter a function; nor is the basis of the columns that `full_matrices` adds.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.svd([[3.0, 0.0], [0.0, -4.0]]).S
    Array([4., 3.], shape=(2,), dtype=float64, device=cpu)
    """
    a = floating(a, "svd")
    if hermitian:
        return _svd_of_hermitian(a, compute_uv)
    if not compute_uv:
        return kernels.svdvals(a)
    y = kernels.svd(a, full=bool(full_matrices))
    u, s, vh = kernels.unpack(y, *kernels.svd_parts(*a.shape[-2:], full_matrices))
    return SVDResult(u, real(s), vh)


def _svd_of_hermitian(a, compute_uv):
    """Singular values are sizes of eigenvalues."""
    if not compute_uv:
        return flip(sort(absolute(eigvalsh(a))), -1)
    w, v = eigh(a)
    order = flip(argsort(absolute(w)), -1)
    w = take_along_axis(w, order, axis=-1)
    v = take_along_axis(v, order[..., None, :], axis=-1)
    signs = sign(w)
    return SVDResult(v, absolute(w), adjoint(v * signs[..., None, :]))


def svdvals(x, /):
    """Singular values in descending order; see `svd`."""
    return svd(x, compute_uv=False)


def _lower(call, uplo):
    if str(uplo).upper() not in ("L", "U"):
        raise OptionError(f"{call}: UPLO must be 'L' or 'U', not {uplo!r}")
    return str(uplo).upper() == "L"


def eigh(a, UPLO="L"):
    """Eigenvalues in ascending order and eigenvectors of Hermitian matrices: ``a @ V == V * w``.

    Parameters
    ----------
    a : array_like of shape (..., n, n)
        Symmetric, or of complex numbers Hermitian; one triangle is read.
    UPLO : {"L", "U"}
        Which triangle.

    Returns
    -------
    EighResult
        Eigenvalues of shape (..., n), real, and eigenvectors in the columns of an Array of shape (..., n, n).

    Raises
    ------
    MatrixShapeError
        When the matrices are not square.

    Notes
    -----
    The gradient (Giles 2008) is that of a Hermitian matrix, as for `cholesky`.  At repeated eigenvalues it is right for
    functions that do not depend on the vectors of these; for others it is infinite or nan, also where the function
    has a derivative, as ``(V * exp(w)) @ V.T`` has: use `nbgrad.scipy.linalg.expm`.  Equal are those that differ by
    n units in the last place of the largest.  Signs and phases of the vectors are not to enter a function.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.eigh([[2.0, 1.0], [1.0, 2.0]]).eigenvalues
    Array([1., 3.], shape=(2,), dtype=float64, device=cpu)
    """
    a = floating(a, "eigh")
    n = kernels.square("eigh", a)
    w, v = kernels.unpack(kernels.eigh(a, lower=_lower("eigh", UPLO)), (n,), (n, n))
    return EighResult(real(w), v)


def eigvalsh(a, UPLO="L"):
    """Eigenvalues of Hermitian matrices in ascending order; see `eigh`.

    The gradient is finite everywhere.  At repeated eigenvalues it is right for functions that treat them alike, as
    their sum.
    """
    return kernels.eigvalsh(floating(a, "eigvalsh"), lower=_lower("eigvalsh", UPLO))


def eig(a):
    """Eigenvalues and eigenvectors of square matrices: ``a @ V == V * w``.

    Parameters
    ----------
    a : array_like of shape (..., n, n)

    Returns
    -------
    EigResult
        Eigenvalues of shape (..., n) and eigenvectors in the columns of an Array of shape (..., n, n).  Both are
        complex always; NumPy's are real where all eigenvalues of a real matrix are, which is not known before the
        values are.

    Raises
    ------
    MatrixShapeError
        When the matrices are not square.

    Notes
    -----
    The gradient (Boeddeker et al. 2017) is that of vectors of length 1 whose largest element is real, as LAPACK makes
    them, so that any function of them has one.  It is infinite, nan or meaningless where eigenvalues are repeated,
    and needs as many independent vectors as there are values.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linalg.eig([[0.0, 1.0], [-1.0, 0.0]]).eigenvalues
    Array([0.+1.j, 0.-1.j], shape=(2,), dtype=complex128, device=cpu)
    """
    a = floating(a, "eig")
    n = kernels.square("eig", a)
    return EigResult(*kernels.unpack(kernels.eig(a), (n,), (n, n)))


def eigvals(a):
    """Eigenvalues of square matrices, complex numbers always; see `eig`."""
    return kernels.eigvals(floating(a, "eigvals"))
