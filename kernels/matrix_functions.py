"""Functions of matrices: determinants, pseudo-inverses, LU, exponential, square root, and Sylvester's equation.

SciPy is imported when one of the last four is computed.  Sources: Golub & Pereyra 1973, The differentiation of
pseudo-inverses and nonlinear least squares problems; Giles 2008, Collected matrix derivative results; Najfeld & Havel
1995, Derivatives of the matrix exponential and their computation; Higham 2008, Functions of matrices.
"""

import numpy

from nbgrad import shapes
from nbgrad.dtypes import real_of
from nbgrad.errors import MatrixShapeError, describe
from nbgrad.kernels import reduction
from nbgrad.kernels.complex import conjugate, from_parts, imag, real
from nbgrad.kernels.factorisations import columns, hermitian, inverse, matrix, packed, rows, triangle, unpack
from nbgrad.kernels.linalg import adjoint, matmul, of_both, solve_triangular, square, swap_last
from nbgrad.kernels.shape import concatenate, each_its_own, reshape, slice_
from nbgrad.primitive import full, structural

# ---------------------------------------------------------------- determinants


@structural("array", reference=numpy.linalg.det, batch="leading")
def det(x):
    """Determinants."""
    square("det", x)
    return x.shape[:-2], x.dtype


@det.vjp
def det_vjp(g, x):
    return _number(g) * cofactor(x)


def _number(x):
    """Numbers as matrices of one element."""
    return reshape(x, shape=(*x.shape, 1, 1))


def _cofactor(x):
    u, s, vh = numpy.linalg.svd(x)
    n = s.shape[-1]
    others = numpy.where(numpy.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1).astype(s.dtype)
    sign = numpy.linalg.det(u) * numpy.linalg.det(vh)
    return (sign[..., None, None] * ((u * others[..., None, :]) @ vh).conj()).astype(x.dtype, copy=False)


@structural("array", reference=_cofactor, batch="leading")
def cofactor(x):
    """Cofactors, the gradient of the determinant: from singular values, so that the matrix may be singular."""
    square("cofactor", x)
    return x.shape, x.dtype


@cofactor.vjp
def cofactor_vjp(g, x):
    """Of det(X) X^-T, where X has an inverse."""
    n = swap_last(inverse(x))
    total = reduction.sum(g * n, axes=(len(n.shape) - 2, len(n.shape) - 1))
    return _number(det(x)) * (n * _number(total) - matmul(matmul(n, swap_last(g)), n))


def _slogdet(x):
    sign, size = numpy.linalg.slogdet(x)
    return numpy.stack([sign, size.astype(sign.dtype)], -1)


@structural("array", reference=_slogdet, batch="leading")
def slogdet(x):
    """The sign (of complex matrices the phase) of the determinant, and the logarithm of its size."""
    square("slogdet", x)
    return (*x.shape[:-2], 2), x.dtype


@slogdet.vjp
def slogdet_vjp(g, x):
    return _number(_column(g, 1)) * swap_last(inverse(x))


@slogdet.complex_vjp
def slogdet_complex_vjp(g, y, x):
    """Of d log|det| = Re tr(X^-1 dX), and of the phase, whose angle changes by the imaginary part."""
    turned = imag(_column(g, 0) * conjugate(_column(y, 0)))
    return _number(from_parts(real(_column(g, 1)), turned)) * adjoint(inverse(x))


def _column(x, k):
    column = slice_(x, spec=shapes.part(x.shape, len(x.shape) - 1, (k, 1, 1)))
    return reshape(column, shape=x.shape[:-1])


# ---------------------------------------------------------------- inverses


def _inverse_or_nan(x):
    y = numpy.empty_like(x)
    for index in numpy.ndindex(*x.shape[:-2]):
        try:
            y[index] = numpy.linalg.inv(x[index])
        except numpy.linalg.LinAlgError:
            y[index] = numpy.nan
    return y


@structural("array", reference=_inverse_or_nan, batch="leading")
def inverse_or_nan(x):
    """Inverses; nan in place of those of singular matrices."""
    square("inv", x)
    return x.shape, x.dtype


@inverse_or_nan.vjp
def inverse_or_nan_vjp(g, y):
    return -matmul(matmul(swap_last(y), g), swap_last(y))


@structural("array", reference=lambda x1, x2, hermitian: numpy.linalg.pinv(x1, x2, hermitian))
def pinv(x1, x2, *, hermitian):
    """Pseudo-inverses, where singular values up to x2 times the largest count as 0."""
    m, n = matrix("pinv", x1)
    return (*shapes.broadcast([x1.shape[:-2], x2.shape]), n, m), x1.dtype


@pinv.batched
def pinv_batched(size, mapped, x1, x2, hermitian):
    x1, x2 = each_its_own(size, mapped, (x1, x2))  # NumPy has no tolerances for several of one matrix
    lead = (size, *(1,) * (len(x1.shape) - 2 - len(x2.shape)), *x2.shape[1:])
    return pinv(x1, reshape(x2, shape=lead), hermitian=hermitian)


@of_both(pinv)
def pinv_vjp(g, y, x1, x2, hermitian):
    """Golub & Pereyra's formula (4.12), for matrices whose rank stays what it is."""
    up, back = adjoint(y), adjoint(g)
    first = -matmul(matmul(up, g), up)
    inner = back - matmul(matmul(x1, y), back)
    second = matmul(matmul(inner, y), up)
    inner = back - matmul(back, matmul(y, x1))
    third = matmul(matmul(up, y), inner)
    total = first + second + third
    return (_hermitian(total) if hermitian else total), None


_hermitian = hermitian  # an attribute has this name


def _lstsq(x1, x2, rcond):
    return numpy.linalg.lstsq(x1, x2, rcond)[0]


@structural("array", reference=_lstsq)
def lstsq(x1, x2, *, rcond):
    """The shortest y that makes |x1 y - x2| least."""
    return (x1.shape[-1], x2.shape[-1]), x1.dtype


@of_both(lstsq)
def lstsq_vjp(g, y, x1, x2, rcond):
    """The rule of the pseudo-inverse P for y = P x2, put together without its products of matrices."""
    p = pinv(x1, full((), rcond, real_of(x1.dtype)), hermitian=False)
    h = matmul(adjoint(p), g)
    rest = x2 - matmul(x1, y)
    first = matmul(rest, adjoint(matmul(p, h))) - matmul(h, adjoint(y))
    return first + matmul(matmul(adjoint(p), y), adjoint(g - matmul(adjoint(x1), h))), h


# ---------------------------------------------------------------- LU


def _lu(x):
    from scipy.linalg import lu as factorised

    p, low, up = factorised(x, p_indices=True)
    return packed((p.reshape(*x.shape[:-2], x.shape[-2]).astype(x.dtype), 1), (low, 2), (up, 2))


def lu_parts(m, n):
    """The shapes of the permutation (row i of the product of L and U is row p[i] of PLU's inverse), L and U."""
    k = min(m, n)
    return (m,), (m, k), (k, n)


@structural("array", reference=_lu, batch="leading")
def lu(x):
    """Row indices p, L with a unit diagonal and U, so that row i of x is row p[i] of L U."""
    parts = lu_parts(*matrix("lu", x))
    return (*x.shape[:-2], sum(map(shapes.size, parts))), x.dtype


@lu.vjp
def lu_vjp(g, y, x):
    """Giles' rule for the square part; what lies below and to the right of it solves triangular equations."""
    if 0 in x.shape:
        return full(x.shape, 0, x.dtype)
    m, n = x.shape[-2:]
    k = min(m, n)
    (p, low, up), (_, glow, gup) = unpack(y, *lu_parts(m, n)), unpack(g, *lu_parts(m, n))
    parts = {}
    l1, u1, gl1, gu1 = rows(low, 0, k), columns(up, 0, k), rows(glow, 0, k), columns(gup, 0, k)
    if m > k:
        parts["below"] = _times_inverse_transpose(rows(glow, k, m - k), u1)
        gu1 = gu1 - matmul(swap_last(rows(low, k, m - k)), parts["below"])
    if n > k:
        parts["right"] = _unit_solved(l1, columns(gup, k, n - k))
        gl1 = gl1 - matmul(parts["right"], swap_last(columns(up, k, n - k)))
    inner = triangle(matmul(swap_last(l1), gl1), True, -1) + triangle(matmul(gu1, swap_last(u1)), False)
    found = _times_inverse_transpose(_unit_solved(l1, inner), u1)
    if parts:
        side, axis = ("below", -2) if m > k else ("right", -1)
        found = concatenate(found, parts[side], axis=len(x.shape) + axis)
    return matmul(permutation(real(p), x.dtype), found)


def permutation(p, dtype):
    """The matrix with a 1 in row i and column p[i]."""
    from nbgrad import graph
    from nbgrad.kernels.casting import astype

    n = p.shape[-1]
    places = graph.Array(graph.table(numpy.arange(n, dtype=p.dtype)))
    return astype(reshape(p, shape=(*p.shape, 1)) == places, dtype=dtype)


def _unit_solved(low, b):
    return solve_triangular(low, b, lower=True, transposed=True)


def _times_inverse_transpose(b, up):
    return swap_last(solve_triangular(up, swap_last(b), lower=False, transposed=False))


# ---------------------------------------------------------------- exponential, square root, Sylvester's equation


def _by_scipy(name):
    def reference(*operands):
        import scipy.linalg

        return getattr(scipy.linalg, name)(*operands)

    return reference


@structural("array", reference=_by_scipy("expm"), batch="leading")
def expm(x):
    """Exponentials of square matrices."""
    square("expm", x)
    return x.shape, x.dtype


@expm.vjp
def expm_vjp(g, x):
    """The derivative at x^T in the direction g, a block of the exponential of [[x^T, g], [0, x^T]]."""
    n, axis = x.shape[-1], len(x.shape) - 1
    if 0 in x.shape:
        return g
    back = swap_last(x)
    upper = concatenate(back, g, axis=axis)
    lower = concatenate(full(x.shape, 0, x.dtype), back, axis=axis)
    return columns(rows(expm(concatenate(upper, lower, axis=axis - 1)), 0, n), n, n)


def _each(function, *operands):
    """A function of matrices for each matrix of stacks."""
    lead = numpy.broadcast_shapes(*(x.shape[:-2] for x in operands))
    operands = [numpy.broadcast_to(x, (*lead, *x.shape[-2:])) for x in operands]
    found = [function(*(x[index] for x in operands)) for index in numpy.ndindex(*lead)]
    return numpy.array(found).reshape(*lead, *found[0].shape) if found else None


def _sqrtm(x):
    import scipy.linalg

    if not x.size:
        return x
    y = _each(scipy.linalg.sqrtm, x)
    if y.dtype.kind == "c" and x.dtype.kind != "c":
        raise numpy.linalg.LinAlgError(
            "sqrtm: a real matrix has no real square root, it has negative eigenvalues; make it complex first, "
            "with a.astype('complex128')"
        )
    return y.astype(x.dtype, copy=False)


@structural("array", reference=_sqrtm, batch="leading")
def sqrtm(x):
    """Principal square roots of square matrices."""
    square("sqrtm", x)
    return x.shape, x.dtype


@sqrtm.vjp
def sqrtm_vjp(g, y):
    """dX = Y dY + dY Y is Sylvester's equation."""
    back = swap_last(y)
    return solve_sylvester(back, back, g)


def _solve_sylvester(x1, x2, x3):
    import scipy.linalg

    y = _each(scipy.linalg.solve_sylvester, x1, x2, x3) if x3.size else None
    shape = (*numpy.broadcast_shapes(*(x.shape[:-2] for x in (x1, x2, x3))), *x3.shape[-2:])
    return numpy.zeros(shape, x3.dtype) if y is None else y.astype(x3.dtype, copy=False)


@structural("array", reference=_solve_sylvester, batch="broadcast")
def solve_sylvester(x1, x2, x3):
    """y with x1 y + y x2 = x3."""
    m, n = square("solve_sylvester", x1), square("solve_sylvester", x2)
    lead = shapes.broadcast([x.shape[:-2] for x in (x1, x2, x3)])
    if lead is None or x3.shape[-2:] != (m, n):
        raise MatrixShapeError(
            f"solve_sylvester(a, b, q): a of {m} rows and b of {n} columns want q of shape {(m, n)}\n"
            f"    {describe(x1, 'a')}\n    {describe(x2, 'b')}\n    {describe(x3, 'q')}"
        )
    return (*lead, m, n), x3.dtype


@solve_sylvester.vjp
def solve_sylvester_vjp(g, x1, x2, y):
    back = solve_sylvester(swap_last(x1), swap_last(x2), g)
    return -matmul(back, swap_last(y)), -matmul(swap_last(y), back), back
