"""Gradients of linear algebra, first and second, of real and complex matrices, against differences."""

import numpy
import pytest
from directional import check, normal

import nbgrad.numpy as np
from nbgrad.kernels.linalg import adjoint

KINDS = pytest.mark.parametrize("dtype", ["float64", "complex128"])
N = (4, 4)
CUBE = 3 * numpy.eye(4).reshape(2, 2, 4)
W = normal(4, 4, seed=3, dtype="complex128")


def hermitian(a):
    """Matrices of which only one triangle is read get all of their elements into it."""
    return (a + adjoint(a)) * 0.5


def definite(a):
    return a @ adjoint(a) + np.eye(a.shape[-1])


def spanned(u):
    """The projection on the space of columns: phases and bases drop out."""
    return u @ adjoint(u)


def turned(v):
    """Products that no phase of a column changes."""
    return v[..., :, None, :] * np.conj(v)[..., None, :, :]


def of_eigh(a, uplo="L"):
    w, v = np.linalg.eigh(hermitian(a), uplo)
    return w, turned(v)


def of_svd(a, full=False, hermitian_=False):
    a = hermitian(a) if hermitian_ else a
    u, s, vh = np.linalg.svd(a, full, hermitian=hermitian_)
    k = s.shape[-1]
    both = u[..., :, None, :k] * np.swapaxes(vh[..., :k, :], -1, -2)[..., None, :, :]
    rest = [spanned(u[..., :, k:]), spanned(adjoint(vh[..., k:, :]))] if full else []
    return [s, both, *[r for r in rest if r.size]]


def of_qr(a, mode="reduced"):
    q, r = np.linalg.qr(a, mode)
    k = min(a.shape[-2:])
    return (q, r) if mode == "reduced" else (q[..., :k], r[..., :k, :], spanned(q[..., k:]))


#: function of one matrix -> the shapes to try it with
FACTORISATIONS = {
    "cholesky": (lambda a: np.linalg.cholesky(definite(a)), [N, (2, 3, 3), (1, 1)]),
    "cholesky, upper": (lambda a: np.linalg.cholesky(definite(a), upper=True), [N]),
    "eigh": (of_eigh, [N, (2, 3, 3), (1, 1)]),
    "eigh, upper": (lambda a: of_eigh(a, "U"), [N]),
    "eigvalsh": (lambda a: np.linalg.eigvalsh(hermitian(a)), [N, (2, 3, 3)]),
    "eig": (np.linalg.eig, [N, (2, 3, 3)]),
    "eigvals": (np.linalg.eigvals, [N]),
    "svd": (of_svd, [N, (4, 2), (2, 4), (2, 3, 2), (1, 1)]),
    "svd, full": (lambda a: of_svd(a, True), [(4, 2), (2, 4), (3, 3)]),
    "svd, hermitian": (lambda a: of_svd(a, False, True), [(3, 3)]),
    "svdvals": (np.linalg.svdvals, [(3, 4), (2, 3, 2)]),
    "svdvals, hermitian": (lambda a: np.linalg.svd(hermitian(a), compute_uv=False, hermitian=True), [(3, 3)]),
    "qr": (of_qr, [N, (4, 2), (2, 4), (2, 3, 2), (2, 2, 3)]),
    "qr, complete": (lambda a: of_qr(a, "complete"), [(4, 2)]),
    "qr, r": (lambda a: np.linalg.qr(a, "r"), [(4, 2)]),
    "inv": (np.linalg.inv, [N]),
    "pinv": (np.linalg.pinv, [(4, 2), (2, 4), (2, 3, 2)]),
    "pinv, hermitian": (lambda a: np.linalg.pinv(hermitian(a), hermitian=True), [(3, 3)]),
    "det": (np.linalg.det, [N, (2, 2, 2), (1, 1)]),
    "slogdet": (np.linalg.slogdet, [N, (2, 2, 2)]),
    "tensorinv": (lambda a: np.linalg.tensorinv(np.reshape(a, (2, 2, 4))), [N]),
    "matrix_power": (lambda a: (np.linalg.matrix_power(a, 3), np.linalg.matrix_power(a, -2)), [(3, 3)]),
    "trace": (lambda a: (np.linalg.trace(a), np.linalg.diagonal(a, offset=1)), [(2, 3, 3)]),
}
PAIRS = {
    "solve": (np.linalg.solve, [(N, (4, 2)), (N, (4,)), ((2, 1, 3, 3), (2, 3, 1))]),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[:2], [((5, 3), (5, 2)), ((5, 3), (5,))]),
    "lstsq, wide": (lambda a, b: np.linalg.lstsq(a, b)[0], [((2, 4), (2, 3))]),
    "tensorsolve": (
        lambda a, b: np.linalg.tensorsolve(a + CUBE, b),
        [((2, 2, 4), (2, 2))],
    ),
    "multi_dot": (lambda a, b: np.linalg.multi_dot([a, b, W[:, :3], b[:3]]), [((4,), (4, 4))]),
    "cross": (np.linalg.cross, [((2, 3), (2, 3))]),
    "vecdot": (np.linalg.vecdot, [((2, 3), (2, 3))]),
    "outer": (np.linalg.outer, [((3,), (2,))]),
    "vdot": (np.vdot, [((3, 2), (2, 3))]),
    "triangular": (lambda a, b: np.linalg.solve(np.linalg.cholesky(definite(a)), b), [((3, 3), (3, 2))]),
}
CASES = [(name, (shape,)) for name, (_, shapes) in FACTORISATIONS.items() for shape in shapes]
CASES += [(name, shapes) for name, (_, every) in PAIRS.items() for shapes in every]


#: What is compiled too, which takes a while each; complex numbers among them.
COMPILED = {
    ("cholesky", (N,), "float64"), ("cholesky", (N,), "complex128"), ("eigh", (N,), "complex128"),
    ("eigvals", (N,), "float64"), ("svd", ((4, 2),), "float64"), ("qr", ((4, 2),), "float64"),
    ("slogdet", (N,), "complex128"), ("solve", (N, (4, 2)), "complex128"),
    ("triangular", ((3, 3), (3, 2)), "complex128"),
}  # fmt: skip


@KINDS
@pytest.mark.parametrize(("name", "shapes"), CASES, ids=str)
def test_against_differences(name, shapes, dtype):
    f = (FACTORISATIONS | PAIRS)[name][0]
    tiers = (0, 2) if (name, shapes, dtype) in COMPILED else (0,)
    check(f, *[normal(*shape, seed=11 + k, dtype=dtype) for k, shape in enumerate(shapes)], tiers=tiers)


def test_what_is_compiled_is_among_the_cases():
    assert {(name, shapes) for name, shapes, _ in COMPILED} <= set(CASES)
