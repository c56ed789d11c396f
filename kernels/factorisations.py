"""Factorisations of matrices by LAPACK: eigenvalues, singular values, QR, LU, and what is made of them.

A primitive has one output, so the factors lie side by side along the last axis and `unpack` takes them out as views.

Sources: Giles 2008, Collected matrix derivative results for forward and reverse mode algorithmic differentiation;
Seeger et al. 2017, Auto-differentiating linear algebra; Walter & Lehmann 2018, Algorithmic differentiation of linear
algebra functions with application in optimum experimental design (QR); Wan & Zhang 2019, Automatic differentiation for
complex valued SVD; Boeddeker et al. 2017, On the computation of complex-valued gradients (eigenvectors that are not
orthogonal); Golub & Pereyra 1973, The differentiation of pseudo-inverses and nonlinear least squares problems.
"""

import numpy

from nbgrad import graph, shapes
from nbgrad.dtypes import complex_of, real_of
from nbgrad.errors import MatrixShapeError, describe
from nbgrad.kernels import reduction
from nbgrad.kernels._intrinsics import select
from nbgrad.kernels.arithmetic import absolute
from nbgrad.kernels.complex import conjugate, from_parts, imag, multiply_of_pairs, real
from nbgrad.kernels.linalg import adjoint, matmul, of_both, solve, solve_triangular, square
from nbgrad.kernels.selection import where
from nbgrad.kernels.shape import concatenate, reshape, slice_
from nbgrad.primitive import elementwise, full, structural

# ---------------------------------------------------------------- parts


def packed(*parts):
    """Factors side by side: pairs of an array and the number of its last axes that belong to it."""
    flat = [x.reshape((*x.shape[: x.ndim - own], -1 if x.size else shapes.size(x.shape[x.ndim - own :])))
            for x, own in parts]  # fmt: skip
    return numpy.concatenate(flat, -1, dtype=numpy.result_type(*flat))


def unpack(y, *parts):
    """The factors of these shapes in an array that `packed` made."""
    lead, start, found = y.shape[:-1], 0, []
    for part in parts:
        count = shapes.size(part)
        x = slice_(y, spec=shapes.part((*lead, count), len(lead), (start, 1, count) if count else (0, 1, 0)))
        found.append(reshape(x, shape=(*lead, *part)))
        start += count
    return found


def pack(*parts):
    """The same of Arrays, the other way round: pairs of an Array and the number of its last axes that belong to it."""
    flat = [reshape(x, shape=(*x.shape[: len(x.shape) - n], shapes.size(x.shape[len(x.shape) - n :])))
            for x, n in parts]  # fmt: skip
    return concatenate(*flat, axis=len(flat[0].shape) - 1)


def matrix(call, x):
    """The extents of matrices in the last two axes, or MatrixShapeError."""
    if len(x.shape) < 2:
        raise MatrixShapeError(f"{call}: expected matrices in the last two axes\n    {describe(x, 'a')}")
    return x.shape[-2:]


def identity(n, dtype):
    """The unit matrix as helper data."""
    return graph.Array(graph.table(numpy.eye(n, dtype=dtype)))


def inverse(x):
    """Inverses, of matrices that have one."""
    return solve(x, identity(x.shape[-1], x.dtype))


def expanded(x):
    """Vectors as columns."""
    return reshape(x, shape=(*x.shape, 1))


def on_diagonal(x):
    """Vectors as the diagonals of matrices."""
    n = x.shape[-1]
    return where(graph.Array(graph.table(numpy.eye(n, dtype=bool))), expanded(x), 0.0)


def diagonal(x):
    """The diagonals of square matrices."""
    on = graph.Array(graph.table(numpy.eye(x.shape[-1], dtype=bool)))
    return reduction.sum(where(on, x, 0.0), axes=(len(x.shape) - 1,))


def triangle(x, lower, k=0):
    """One triangle, zeros elsewhere; `k` is the last diagonal of a lower one, the first of an upper one."""
    inside = numpy.tri(*x.shape[-2:], k, dtype=bool) if lower else ~numpy.tri(*x.shape[-2:], k - 1, dtype=bool)
    return where(graph.Array(graph.table(inside)), x, 0.0)


def hermitian(x):
    """The Hermitian part."""
    return (x + adjoint(x)) * 0.5


def rows(x, start, count):
    """Consecutive rows of matrices."""
    return slice_(x, spec=shapes.part(x.shape, len(x.shape) - 2, (start if count else 0, 1, count)))


def columns(x, start, count):
    """Consecutive columns of matrices."""
    return slice_(x, spec=shapes.part(x.shape, len(x.shape) - 1, (start if count else 0, 1, count)))


@elementwise(lambda x1, x2: numpy.where(x1 == 0, x1, x1 * x2), domain="float")
def zero_or_product(x1, x2):
    """x1 * x2, and 0 where x1 is, whatever x2 is: a part that nothing depends on says nothing at a pole of x2."""
    return select(x1 == 0.0, x1, x1 * x2)


@zero_or_product.vjp
def zero_or_product_vjp(g, x1, x2):
    return zero_or_product(g, x2), zero_or_product(x1, g)  # linear in g, as forward mode needs it


@zero_or_product.of_pairs
def zero_or_product_of_pairs(x1, x2):
    zero = (x1[0] == 0) & (x1[1] == 0)
    return tuple(where(zero, 0.0, part) for part in multiply_of_pairs(x1, x2))


def over_gaps(x, gaps, scale):
    """Matrices over the distances of eigenvalues, infinite where these cannot be told from 0.

    `scale` is the size of the eigenvalues, whose rounding errors are some units in its last place.  Elements that are 0
    stay 0: what does not depend on the vectors has a gradient there too.
    """
    n = gaps.shape[-1]
    noise = scale * (n * float(numpy.finfo(real_of(gaps.dtype)).eps))
    none = absolute(gaps) <= noise
    own = graph.Array(graph.table(numpy.eye(n, dtype=bool)))
    slopes = where(none, numpy.inf, 1.0 / where(none, 1.0, gaps))
    return zero_or_product(x, where(own, 0.0, slopes))


def over_values(x, values):
    """Matrices over numbers for each of their columns, with zeros that stay zeros."""
    zero = values == 0
    slopes = where(zero, numpy.inf, 1.0 / where(zero, 1.0, values))
    return zero_or_product(x, reshape(slopes, shape=(*values.shape[:-1], 1, values.shape[-1])))


def largest(x):
    """The largest size along the last axis, as a matrix of one element."""
    y = reduction.max(absolute(x), axes=(len(x.shape) - 1,))
    return reshape(y, shape=(*y.shape, 1, 1))


def differences(x):
    """x_j - x_i in row i and column j."""
    return reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1])) - expanded(x)


# ---------------------------------------------------------------- Hermitian eigenvalue problems


def _uplo(lower):
    return "L" if lower else "U"


def _eigh(x, lower):
    w, v = numpy.linalg.eigh(x, _uplo(lower))
    return packed((w, 1), (v, 2)).astype(x.dtype, copy=False)


@structural("array", reference=_eigh, batch="leading")
def eigh(x, *, lower):
    """Eigenvalues in ascending order, and eigenvectors, of Hermitian matrices of which one triangle is read."""
    n = square("eigh", x)
    return (*x.shape[:-2], n + n * n), x.dtype


@of_both(eigh)
def eigh_vjp(g, y, x):
    n = x.shape[-1]
    if 0 in x.shape:
        return full(x.shape, 0, x.dtype)
    w, v = unpack(y, (n,), (n, n))
    gw, gv = unpack(g, (n,), (n, n))
    w = real(w)
    inner = hermitian(over_gaps(matmul(adjoint(v), gv), differences(w), largest(w)))
    return matmul(matmul(v, inner + on_diagonal(real(gw))), adjoint(v))


@structural("array", reference=lambda x, lower: numpy.linalg.eigvalsh(x, _uplo(lower)), batch="leading")
def eigvalsh(x, *, lower):
    """Eigenvalues of Hermitian matrices in ascending order."""
    return (*x.shape[:-2], square("eigvalsh", x)), real_of(x.dtype)


@of_both(eigvalsh)
def eigvalsh_vjp(g, x, lower):
    n = x.shape[-1]
    _, v = unpack(eigh(x, lower=lower), (n,), (n, n))
    row = reshape(g, shape=(*g.shape[:-1], 1, n))
    return matmul(v * row, adjoint(v))


# ---------------------------------------------------------------- general eigenvalue problems


def _eig(x):
    w, v = numpy.linalg.eig(x)
    return packed((w, 1), (v, 2)).astype(complex_of(x.dtype), copy=False)


@structural("array", reference=_eig, batch="leading")
def eig(x):
    """Eigenvalues and eigenvectors of length 1 whose largest element is real; complex numbers always."""
    n = square("eig", x)
    return (*x.shape[:-2], n + n * n), complex_of(x.dtype)


@of_both(eig)
def eig_vjp(g, y, x):
    """Of dV = V (F * P) + V diag(c), P = V^-1 dA V, where c keeps the length and the phase that LAPACK chose."""
    n = x.shape[-1]
    if 0 in x.shape:
        return full(x.shape, 0, x.dtype)
    w, v = unpack(y, (n,), (n, n))
    gw, gv = unpack(g, (n,), (n, n))
    along = reshape(diagonal(matmul(adjoint(v), gv)), shape=(*w.shape[:-1], 1, n))
    # LAPACK makes the element with the largest size real, the first of several
    size = where(imag(v) == 0, absolute(real(v)), -1.0)
    first = reduction.argmax(size, axis=len(v.shape) - 2)
    first = reshape(first, shape=(*w.shape[:-1], 1, n))
    pivot = first == graph.Array(graph.table(numpy.arange(n).reshape(n, 1)))
    height = reduction.sum(where(pivot, real(v), 0.0), axes=(len(v.shape) - 2,))
    turn = imag(along) / reshape(height, shape=along.shape)
    gv = gv - v * real(along) - where(pivot, from_parts(0.0 * turn, turn), 0.0)
    gaps = conjugate(differences(w))
    inner = over_gaps(matmul(adjoint(v), gv), gaps, largest(w))
    return matmul(solve(adjoint(v), inner + on_diagonal(gw)), adjoint(v))


@structural(
    "array", reference=lambda x: numpy.linalg.eigvals(x).astype(complex_of(x.dtype), copy=False), batch="leading"
)
def eigvals(x):
    """Eigenvalues; complex numbers always."""
    return (*x.shape[:-2], square("eigvals", x)), complex_of(x.dtype)


@of_both(eigvals)
def eigvals_vjp(g, x):
    n = x.shape[-1]
    _, v = unpack(eig(x), (n,), (n, n))
    return matmul(solve(adjoint(v), on_diagonal(g)), adjoint(v))


# ---------------------------------------------------------------- singular values


def _svd(x, full):
    u, s, vh = numpy.linalg.svd(x, full_matrices=full)
    return packed((u, 2), (s, 1), (vh, 2)).astype(x.dtype, copy=False)


def svd_parts(m, n, full):
    """The shapes of U, S and V^H."""
    k = min(m, n)
    return (m, m if full else k), (k,), (n if full else k, n)


@structural("array", reference=_svd, batch="leading")
def svd(x, *, full):
    """U, the singular values in descending order, and V^H."""
    parts = svd_parts(*matrix("svd", x), full)
    return (*x.shape[:-2], sum(map(shapes.size, parts))), x.dtype


@of_both(svd)
def svd_vjp(g, y, x, full):
    if 0 in x.shape:
        return _zeros(x)
    m, n = x.shape[-2:]
    k = min(m, n)
    parts = svd_parts(m, n, full)
    (u, s, vh), (gu, gs, gvh) = unpack(y, *parts), unpack(g, *parts)
    s, v, gv = real(s), adjoint(vh), adjoint(gvh)
    u, gu = _first_columns(u, gu, k)
    v, gv = _first_columns(v, gv, k)
    ku, kv = matmul(adjoint(u), gu), matmul(adjoint(v), gv)
    # with X = KU - KU^H and Y = KV - KV^H: (X s_j + s_i Y) / (s_j^2 - s_i^2), in sums and differences
    near = over_gaps(ku + kv, differences(s), largest(s))
    far = zero_or_product(ku - kv, _over_sums(s))
    inner = hermitian(near) + (far - adjoint(far)) * 0.5 + on_diagonal(real(gs))
    if y.dtype.kind == "c":  # a common phase of two vectors is free, the difference of their phases is not
        turn = imag(diagonal(ku - kv)) * 0.5
        turn = over_values(reshape(turn, shape=(*s.shape[:-1], 1, k)), s)
        turn = reshape(turn, shape=s.shape)
        inner = inner + on_diagonal(from_parts(0.0 * turn, turn))
    result = matmul(matmul(u, inner), adjoint(v))
    if m > k:
        result = result + matmul(over_values(gu - matmul(u, ku), s), adjoint(v))
    if n > k:
        result = result + matmul(u, adjoint(over_values(gv - matmul(v, kv), s)))
    return result


def _zeros(x):
    return full(x.shape, 0, x.dtype)


def _first_columns(u, gu, k):
    """Columns that belong to singular values, with their cotangents; the others only span what is orthogonal."""
    rest = u.shape[-1] - k
    if not rest:
        return u, gu
    own, others, more = columns(u, 0, k), columns(u, k, rest), columns(gu, k, rest)
    return own, columns(gu, 0, k) - matmul(others, matmul(adjoint(more), own))


def _over_sums(s):
    """1 / (s_i + s_j), 0 on the diagonal."""
    total = reshape(s, shape=(*s.shape[:-1], 1, s.shape[-1])) + expanded(s)
    own = graph.Array(graph.table(numpy.eye(s.shape[-1], dtype=bool)))
    zero = total == 0
    return where(own, 0.0, where(zero, numpy.inf, 1.0 / where(zero, 1.0, total)))


@structural("array", reference=lambda x: numpy.linalg.svd(x, compute_uv=False), batch="leading")
def svdvals(x):
    """Singular values in descending order."""
    return (*x.shape[:-2], min(matrix("svdvals", x))), real_of(x.dtype)


@of_both(svdvals)
def svdvals_vjp(g, x):
    u, _, vh = unpack(svd(x, full=False), *svd_parts(*x.shape[-2:], False))
    return matmul(u * reshape(g, shape=(*g.shape[:-1], 1, g.shape[-1])), vh)


# ---------------------------------------------------------------- QR


def _qr(x, full):
    q, r = numpy.linalg.qr(x, "complete" if full else "reduced")
    return packed((q, 2), (r, 2))


def qr_parts(m, n, full):
    """The shapes of Q and R."""
    k = m if full else min(m, n)
    return (m, k), (k, n)


@structural("array", reference=_qr, batch="leading")
def qr(x, *, full):
    """Q with orthonormal columns and R, upper triangular with a real diagonal."""
    parts = qr_parts(*matrix("qr", x), full)
    return (*x.shape[:-2], sum(map(shapes.size, parts))), x.dtype


@of_both(qr)
def qr_vjp(g, y, x, full):
    if 0 in x.shape:
        return _zeros(x)
    m, n = x.shape[-2:]
    k = min(m, n)
    (q, r), (gq, gr) = (unpack(a, *qr_parts(m, n, full)) for a in (y, g))
    q, gq = _first_columns(q, gq, k)
    r, gr = rows(r, 0, k), rows(gr, 0, k)
    if n == k:
        return _pull_back_qr(q, r, gq, gr)
    # a wide matrix: the first columns are factorised, and R is Q^H times the others
    right = columns(gr, k, n - k)
    gq = gq + matmul(columns(x, k, n - k), adjoint(right))
    left = _pull_back_qr(q, columns(r, 0, k), gq, columns(gr, 0, k))
    return concatenate(left, matmul(q, right), axis=len(x.shape) - 1)


def _pull_back_qr(q, r, gq, gr):
    m = matmul(r, adjoint(gr)) - matmul(adjoint(gq), q)
    below = triangle(m, True, -1)
    both = below + adjoint(below) + on_diagonal(real(diagonal(m)))
    outer = gq + matmul(q, both)
    return adjoint(solve_triangular(r, adjoint(outer), lower=False, transposed=False))
