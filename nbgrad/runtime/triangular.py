"""Triangular factors of matrices: the factorisation, its pullback, and the solution of equations.

Blocks of matrices go to BLAS and LAPACK in place, without the copies of `numpy.linalg`.
"""

import ctypes
import functools

import numpy

from nbgrad.runtime import blas

_ROW_MAJOR, _LEFT, _PLAIN, _TRANSPOSED, _LOWER, _UPPER, _NON_UNIT = 101, 141, 111, 112, 122, 121, 131

#: Rows of a block of the pullback, about: the products of blocks are to be large, what is done within blocks small.
BLOCK = 96

#: The letters of BLAS for dtypes, and the number 1 of the complex ones.
_LETTERS = {"d": "d", "f": "s", "D": "z", "F": "c"}
_ONE = {char: numpy.ones(1, char) for char in "FD"}


def solve_triangular(a, b, lower, transposed):
    """y with a y = b or a^T y = b for stacks of triangular matrices; the other triangle is not read."""
    lead = a.shape[:-2] if a.shape[:-2] == b.shape[:-2] else numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = numpy.empty((*lead, *b.shape[-2:]), b.dtype)
    y[...] = b
    n, k = y.shape[-2:]
    solvers = _solvers(y.dtype.char)
    if solvers is None:
        t = numpy.tril(a) if lower else numpy.triu(a)
        return numpy.linalg.solve(numpy.swapaxes(t, -1, -2) if transposed else t, y)
    trsm, trsv, one = solvers
    a = numpy.ascontiguousarray(a, y.dtype)
    triangle, form = _LOWER if lower else _UPPER, _TRANSPOSED if transposed else _PLAIN
    for index in numpy.ndindex(*lead) if n and k else ():
        at = index[len(lead) - (a.ndim - 2) :]
        at = tuple(0 if m == 1 else i for i, m in zip(at, a.shape[:-2], strict=True))
        matrix, target = a[at].ctypes.data, y[index].ctypes.data
        if k == 1:
            trsv(_ROW_MAJOR, triangle, form, _NON_UNIT, n, matrix, n, target, 1)
        else:
            trsm(_ROW_MAJOR, _LEFT, triangle, form, _NON_UNIT, n, k, one, matrix, n, target, k)
    return y


def cholesky(a):
    """Lower triangular factors of stacks of Hermitian matrices, whose lower triangles are read.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where a matrix is not positive definite.
    """
    factorise = _factorisation(a.dtype.char)
    if factorise is None:
        return numpy.linalg.cholesky(a)
    y = numpy.tril(a)
    n, info = ctypes.c_int64(y.shape[-1]), ctypes.c_int64(0)
    size = ctypes.byref(n)
    for index in numpy.ndindex(*y.shape[:-2]) if y.shape[-1] else ():
        # rows here are columns to Fortran: what is its upper triangle is our lower one
        factorise(b"U", size, y[index].ctypes.data, size, ctypes.byref(info), 1)
        if info.value:
            raise numpy.linalg.LinAlgError("Matrix is not positive definite")
    return y


def cholesky_pullback(y, g):
    """Cotangents of Hermitian matrices from those of their Cholesky factors; lower triangles are read.

    Level-3 algorithm of Murray 2016, Differentiation of the Cholesky decomposition, section 4.3: blocks of
    columns from the last to the first, most of the work in products of matrices.
    """
    x = numpy.tril(g)
    for index in numpy.ndindex(*x.shape[:-2]) if x.shape[-1] else ():
        _pull_back_blocks(y[index], x[index])
    return (x + adjoint(x)) * x.dtype.type(0.5)


def adjoint(x):
    """The conjugate transpose, of real matrices without a copy."""
    x = numpy.swapaxes(x, -1, -2)
    return x.conj() if x.dtype.kind == "c" else x


def _pull_back_blocks(factor, cotangent):
    """The lower triangle of a cotangent replaced by that of the factorised matrix, in place."""
    n = len(factor)
    rows = -(-n // max(round(n / BLOCK), 1))
    for k in range(n, 0, -rows):
        j = max(k - rows, 0)
        done, block, below = slice(0, j), slice(j, k), slice(k, n)
        diagonal = numpy.tril(factor[block, block])
        if k < n:
            solved = adjoint(_solve_adjoint(diagonal, adjoint(cotangent[below, block])))
            cotangent[below, block] = solved
            cotangent[below, done] -= solved @ factor[block, done]
            cotangent[block, block] -= numpy.tril(adjoint(solved) @ factor[below, block])
            cotangent[block, done] -= adjoint(solved) @ factor[below, done]
        both = _pull_back_whole(diagonal, cotangent[block, block])
        if j:
            cotangent[block, done] -= both @ factor[block, done]
        both = numpy.tril(both)
        both[numpy.diag_indices(k - j)] *= 0.5
        cotangent[block, block] = both


def _pull_back_whole(factor, cotangent):
    """X + X^H for X = L^-H P L^-1, P the lower triangle of L^H times the cotangent with its diagonal halved."""
    p = numpy.tril(adjoint(factor) @ cotangent)
    p[numpy.diag_indices(len(p))] *= 0.5
    left = _solve_adjoint(factor, p)
    both = _solve_adjoint(factor, adjoint(left))
    return both + adjoint(both)


def _solve_adjoint(factor, b):
    """y with L^H y = b."""
    if b.dtype.kind != "c":
        return solve_triangular(factor, b, True, True)
    return solve_triangular(factor.conj(), b, True, True)


@functools.cache
def _solvers(char):
    """The BLAS functions that solve triangular equations of a dtype, and their factor 1; None without them."""
    letter = _LETTERS.get(char)
    found = [blas.address(letter + name) for name in ("trsm", "trsv")] if letter else []
    if not found or None in found:
        return None
    flag, whole, one = ctypes.c_int, ctypes.c_int64, 1.0
    number = {"d": ctypes.c_double, "f": ctypes.c_float}.get(char, ctypes.c_void_p)
    if number is ctypes.c_void_p:  # complex numbers are passed by address
        one = _ONE[char].ctypes.data
    matrix = ctypes.c_void_p, whole
    return (
        ctypes.CFUNCTYPE(None, *(flag,) * 5, whole, whole, number, *matrix, *matrix)(found[0]),
        ctypes.CFUNCTYPE(None, *(flag,) * 4, whole, *matrix, *matrix)(found[1]),
        one,
    )


@functools.cache
def _factorisation(char):
    """LAPACK's Cholesky factorisation of a dtype, or None where there is none."""
    letter = _LETTERS.get(char)
    found = blas.lapack_address(letter + "potrf") if letter else None
    if found is None:
        return None
    pointer = ctypes.c_void_p
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p, *(pointer,) * 4, ctypes.c_size_t)(found)
