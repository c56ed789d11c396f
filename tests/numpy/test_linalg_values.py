"""numpy.linalg on Arrays: values, dtypes and shapes as NumPy's on both tiers; errors; repeated and vanishing values."""

import numpy
import pytest
from checking import several
from directional import check, normal

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, DtypeError, MatrixShapeError, OptionError, ShapeError
from nbgrad.kernels.linalg import adjoint
from nbgrad.scipy.linalg import expm

TIERS = pytest.mark.parametrize("tier", [0, 2])
DTYPES = ("float64", "float32", "complex128", "complex64")


def definite(a):
    return a @ numpy.swapaxes(a, -1, -2).conj() + numpy.eye(a.shape[-1], dtype=a.dtype)


#: function of NumPy or nbgrad and matrices -> shapes
CALLS = {
    "cholesky": (lambda f, a: f.cholesky(definite(a)), [(3, 3), (2, 3, 3), (0, 0)]),
    "cholesky upper": (lambda f, a: f.cholesky(definite(a) + numpy.tril(a), upper=True), [(3, 3)]),
    "solve": (lambda f, a, b: f.solve(a, b), [((3, 3), (3, 2)), ((3, 3), (3,)), ((2, 3, 3), (3, 1)), ((0, 0), (0,))]),
    "inv": (lambda f, a: f.inv(a), [(3, 3), (2, 2, 2), (0, 2, 2)]),
    "pinv": (lambda f, a: f.pinv(a), [(4, 2), (2, 2, 4), (0, 3), (2, 0, 3)]),
    "pinv cut": (lambda f, a: f.pinv(a, [0.5, 1e-3]), [(2, 3, 3)]),
    "pinv rtol": (lambda f, a: f.pinv(a, rtol=None), [(3, 2)]),
    "pinv hermitian": (lambda f, a: f.pinv(definite(a), hermitian=True), [(3, 3)]),
    "lstsq": (lambda f, a, b: f.lstsq(a, b), [((4, 2), (4, 3)), ((4, 2), (4,)), ((2, 4), (2, 1)), ((3, 2), (3, 0))]),
    "lstsq cut": (lambda f, a, b: [f.lstsq(a, b, rcond=0.9)[k] for k in (0, 2, 3)], [((4, 2), (4,))]),
    "lstsq uncut": (lambda f, a, b: f.lstsq(a, b, rcond=-1), [((4, 2), (4,))]),
    "lstsq of lower rank": (lambda f, a, b: f.lstsq(a * [[1], [0], [0]], b), [((3, 2), (3,))]),
    "det": (lambda f, a: f.det(a), [(3, 3), (2, 2, 2), (0, 0), (0, 2, 2)]),
    "slogdet": (lambda f, a: f.slogdet(a), [(3, 3), (2, 2, 2), (0, 0)]),
    "qr": (lambda f, a: f.qr(a), [(3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 2)]),
    "qr complete": (lambda f, a: f.qr(a, mode="complete"), [(4, 2), (2, 4)]),
    "qr r": (lambda f, a: f.qr(a, "r"), [(4, 2)]),
    "svd": (lambda f, a: f.svd(a), [(3, 3), (4, 2), (2, 2, 4), (0, 3)]),
    "svd reduced": (lambda f, a: f.svd(a, full_matrices=False), [(4, 2), (2, 4), (0, 3)]),
    "svd values": (lambda f, a: f.svd(a, compute_uv=False), [(4, 2), (0, 3)]),
    "svd hermitian": (lambda f, a: f.svd(definite(a) - 3 * numpy.eye(3, dtype=a.dtype), hermitian=True), [(3, 3)]),
    "svdvals": (lambda f, a: f.svdvals(a), [(2, 4, 2)]),
    "eigh": (lambda f, a: f.eigh(a), [(3, 3), (2, 2, 2), (0, 0)]),
    "eigh upper": (lambda f, a: f.eigh(a, UPLO="U"), [(3, 3)]),
    "eigvalsh": (lambda f, a: f.eigvalsh(a), [(3, 3), (2, 2, 2), (0, 0)]),
    "tensorinv": (lambda f, a: f.tensorinv(a, 1), [(4, 2, 2)]),
    "tensorsolve": (lambda f, a, b: f.tensorsolve(a, b, axes=(1,)), [((2, 4, 2), (2, 2))]),
    "matrix_power": (lambda f, a: f.matrix_power(a, 5), [(3, 3), (2, 2, 2)]),
    "matrix_power of 0": (lambda f, a: f.matrix_power(a, 0), [(3, 3), (2, 2, 2)]),
    "matrix_power below 0": (lambda f, a: f.matrix_power(a, -2), [(2, 2)]),
    "multi_dot of 2": (lambda f, a, b: f.multi_dot([a, b]), [((3, 2), (2,))]),
    "multi_dot": (lambda f, a, b: f.multi_dot([a, b, b.T, b, a.T[0]]), [((5, 3), (3, 5)), ((3,), (3, 1))][:1]),
    "multi_dot of vectors": (lambda f, a, b: f.multi_dot([a, b, a]), [((3,), (3, 3))]),
    "cross": (lambda f, a, b: f.cross(a, b, axis=0), [((3, 2), (3, 2))]),
    "vecdot": (lambda f, a, b: f.vecdot(a, b, axis=0), [((3, 2), (3, 2))]),
    "outer": (lambda f, a, b: f.outer(a, b), [((3,), (2,))]),
    "tensordot": (lambda f, a, b: f.tensordot(a, b, axes=1), [((3, 2), (2, 2))]),
    "matmul": (lambda f, a, b: f.matmul(a, b), [((3, 2), (2,))]),
    "diagonal": (lambda f, a: f.diagonal(a, offset=1), [(2, 3, 3)]),
    "trace": (lambda f, a: f.trace(a), [(2, 3, 3)]),
    "matrix_transpose": (lambda f, a: f.matrix_transpose(a), [(2, 3, 1)]),
    "matrix_rank": (lambda f, a: f.matrix_rank(a), [(4, 2), (2, 2, 3), (3,), (0, 2)]),
    "matrix_rank cut": (lambda f, a: f.matrix_rank(a, tol=[1.5, 0.1]), [(2, 2, 3)]),
    "matrix_rank rtol": (lambda f, a: f.matrix_rank(a, rtol=0.5), [(2, 2, 3)]),
    "cond": (lambda f, a: [f.cond(a, p) for p in (None, 2, -2, 1, -1, numpy.inf, -numpy.inf, "fro", "nuc")],
             [(3, 3), (2, 2, 2)]),
    "cond by sums": (lambda f, a: f.cond(a, 1), [(3, 3)]),
    "cond by values": (lambda f, a: f.cond(a), [(3, 3)]),
    "norm of powers": (lambda f, a: [f.norm(a, 3, axis=0), f.norm(a, 1), f.norm(a, 2)], [(2, 3)]),
    "norm": (lambda f, a: [f.norm(a), f.norm(a, keepdims=True)], [(3,), (2, 3), (2, 3, 2), (), (0,)]),
    "norm of vectors": (lambda f, a: [f.norm(a, p, axis=0, keepdims=k) for k in (False, True) for p in
                                      (None, 0, 1, 2, 3, 0.5, -1.5, numpy.inf, -numpy.inf)], [(3,), (2, 3)]),
    "norm of matrices": (lambda f, a: [f.norm(a, p, axis=axes, keepdims=axes[0] == 0) for axes in ((1, 2), (0, -1))
                                       for p in ("fro", "nuc", 1, -1, 2, -2, numpy.inf, -numpy.inf)], [(2, 3, 2)]),
    "vector_norm": (lambda f, a: [f.vector_norm(a, ord=3), f.vector_norm(a, axis=(0, 1), keepdims=True),
                                  f.vector_norm(a, axis=1, keepdims=True)], [(2, 3, 2)]),
    "matrix_norm": (lambda f, a: [f.matrix_norm(a), f.matrix_norm(a, ord="nuc", keepdims=True)], [(2, 3, 2)]),
}  # fmt: skip
CASES = [(name, shapes if isinstance((*shapes, 0)[0], tuple) else (shapes,))
         for name, (_, every) in CALLS.items() for shapes in every]  # fmt: skip


def near(ours, theirs, tolerance=None):
    """Shapes, dtypes and values of one result or several."""
    ours, theirs = several(ours), several(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        b = numpy.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        eps = numpy.finfo(b.dtype).eps if b.dtype.kind in "fc" else 0
        scale = numpy.abs(b[numpy.isfinite(b)]).max(initial=1) if b.size else 1
        numpy.testing.assert_allclose(a, b, rtol=2e4 * eps, atol=2e3 * eps * scale)


#: What is compiled: one shape of each, and of long lists of norms nothing, since each takes a while.
COMPILED = [case for k, case in enumerate(CASES) if case[0] not in ("cond", "norm of vectors", "norm of matrices")
            and case[0] not in [name for name, _ in CASES[:k]]]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shapes", "tier"), [*((*case, 0) for case in CASES), *((*case, 2) for case in COMPILED)], ids=str
)
def test_as_numpy(name, shapes, tier):
    ng.config.jit = tier
    function = CALLS[name][0]
    for dtype in DTYPES if tier == 0 else DTYPES[2:3]:
        values = [normal(*shape, seed=k, dtype=dtype) for k, shape in enumerate(shapes)]
        expected = function(numpy.linalg, *values)
        arrays = [ng.asarray(v) for v in values]
        found = (
            function(np.linalg, *values)
            if tier == 0 or "rank" in name
            else ng.jit(lambda *xs: function(np.linalg, *xs))(*values)
        )
        near(found, expected)
        if "definite" not in function.__code__.co_names:
            near(function(numpy.linalg, *arrays), expected)  # NumPy's own function on Arrays


@pytest.mark.parametrize("name", ["inv", "qr", "svdvals", "norm", "det", "eigvalsh"])
def test_integers_and_strides(name):
    whole = numpy.arange(9).reshape(3, 3) ** 2
    near(getattr(np.linalg, name)(whole), getattr(numpy.linalg, name)(whole))
    a = normal(6, 6)[::2, ::-2]
    near(getattr(np.linalg, name)(ng.asarray(normal(6, 6))[::2, ::-2]), getattr(numpy.linalg, name)(a))


@TIERS
@pytest.mark.parametrize("dtype", DTYPES)
def test_general_eigenvalues_are_complex(tier, dtype):
    """NumPy's are real where all eigenvalues are."""
    ng.config.jit = tier
    a = normal(2, 3, 3, dtype=dtype)
    for matrices in (a, definite(a)):
        w, v = numpy.linalg.eig(matrices)
        wide = numpy.result_type(w, numpy.complex64)
        near(np.linalg.eig(matrices), (w.astype(wide), v.astype(wide)))
        near(np.linalg.eigvals(matrices), numpy.linalg.eigvals(matrices).astype(wide))


def test_names_of_results():
    a = numpy.eye(2)
    assert np.linalg.eig(a)._fields == ("eigenvalues", "eigenvectors") == np.linalg.eigh(a)._fields
    assert np.linalg.svd(a)._fields == ("U", "S", "Vh")
    assert np.linalg.qr(a)._fields == ("Q", "R")
    assert np.linalg.slogdet(a)._fields == ("sign", "logabsdet")


def test_every_function_of_numpy_is_there():
    assert set(numpy.linalg.__all__) <= set(np.linalg.__all__)


# ---------------------------------------------------------------- gradients of norms, and at special points

NORMS = {
    **{f"vectors {p}": (lambda a, p=p: np.linalg.norm(a, p, axis=1)) for p in (None, 1, 2, 3, 0.5, numpy.inf, -1.5)},
    **{f"matrices {p}": (lambda a, p=p: np.linalg.norm(a, p)) for p in ("fro", "nuc", 1, -1, 2, -2, numpy.inf)},
    **{f"cond {p}": (lambda a, p=p: np.linalg.cond(a, p)) for p in (None, 1, -2, "fro")},
}


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", NORMS)
def test_gradients_of_norms(name, dtype):
    check(NORMS[name], normal(3, 3, seed=5, dtype=dtype), tiers=(0,))


@pytest.mark.parametrize("order", [None, 1, 3, "nuc", "fro"])
def test_gradient_of_a_norm_at_0(order):
    g = ng.grad(lambda x: np.linalg.norm(x, order))(numpy.zeros((2, 2) if isinstance(order, str) else 2))
    if order == "nuc":  # that of one choice of singular vectors
        numpy.testing.assert_allclose(g @ g.T, numpy.eye(2), atol=1e-15)
    else:
        numpy.testing.assert_array_equal(g, numpy.zeros_like(g))


def rotated(values, seed=1):
    q = numpy.linalg.qr(normal(len(values), len(values), seed=seed))[0]
    return (q * values) @ q.T


def test_repeated_eigenvalues():
    """Functions that treat equal eigenvalues alike have a gradient there; those of their vectors have none."""
    for a in (2 * numpy.eye(3), rotated([2.0, 2.0, 5.0])):
        for values in (np.linalg.eigvalsh, lambda a: np.linalg.eigh(a)[0]):
            numpy.testing.assert_allclose(ng.grad(lambda a, v=values: np.sum(v(a)))(a), numpy.eye(3), atol=1e-14)
            g = ng.grad(lambda a, v=values: np.sum(v(a) ** 3))(a)
            numpy.testing.assert_allclose(g, 3 * a @ a, atol=1e-12)
        c = normal(3, 3)
        g = ng.grad(lambda a, c=c: np.sum(c * np.linalg.eigh(a)[1]))(a)
        assert not numpy.isfinite(g).all()
        g = ng.grad(lambda a, c=c: np.sum(c * ((lambda w, v: (v * np.exp(w)) @ v.T)(*np.linalg.eigh(a)))))(a)
        assert not numpy.isfinite(g).all()  # it has a derivative, which the rule cannot find: loud, not wrong
        check(lambda a: expm(a), a, tiers=(0,))


def test_vectors_beside_repeated_eigenvalues():
    """Those of single eigenvalues have a gradient whatever the others are."""

    def largest(a):
        v = np.linalg.eigh((a + a.T) / 2)[1][:, -1:]
        return v @ v.T

    check(largest, rotated([2.0, 2.0, 5.0]), order=1)


def test_general_repeated_eigenvalues():
    a = 2 * numpy.eye(3)
    numpy.testing.assert_array_equal(ng.grad(lambda a: np.sum(np.real(np.linalg.eigvals(a))))(a), numpy.eye(3))
    w = normal(3, 3)
    g = ng.grad(lambda a: np.sum(w * np.real(np.linalg.eig(a).eigenvectors)))(a)
    assert not numpy.isfinite(g).any()


EMPTY = {
    **{name: getattr(np.linalg, name) for name in ("inv", "pinv", "det", "svdvals", "eigvalsh", "norm")},
    **{name: (lambda a, name=name: getattr(np.linalg, name)(a)[0]) for name in ("qr", "svd", "eigh")},
    "cholesky": np.linalg.cholesky,
    "slogdet": lambda a: np.linalg.slogdet(a)[1],
    "eig": lambda a: np.real(np.linalg.eig(a)[1]),
    "eigvals": lambda a: np.real(np.linalg.eigvals(a)),
    "expm": expm,
}


@TIERS
@pytest.mark.parametrize("name", EMPTY)
def test_gradients_of_nothing(name, tier):
    ng.config.jit = tier
    for shape in ((0, 0), (0, 2, 2)):
        assert ng.grad(lambda a: np.sum(EMPTY[name](a)))(numpy.zeros(shape)).shape == shape


def test_tangents_at_repeated_eigenvalues():
    a, t = 2 * numpy.eye(3), rotated([1.0, 2.0, 3.0])
    _, w = ng.jvp(lambda a: np.sum(np.linalg.eigh(a)[0]), ng.asarray(a), ng.asarray(t))
    numpy.testing.assert_allclose(w, numpy.trace(t), rtol=1e-14)
    _, v = ng.jvp(lambda a: np.linalg.eigh(a)[1], ng.asarray(a), ng.asarray(t))
    assert not numpy.isfinite(v.numpy()).all()


def test_repeated_and_vanishing_singular_values():
    c = normal(3, 3)
    for a in (numpy.eye(3), 2 * numpy.linalg.qr(normal(3, 3))[0]):
        s = numpy.linalg.svd(a, compute_uv=False)[0]
        for values in (np.linalg.svdvals, lambda a: np.linalg.svd(a)[1]):
            numpy.testing.assert_allclose(ng.grad(lambda a, v=values: np.sum(v(a)))(a), a / s, atol=1e-14)
        assert not numpy.isfinite(ng.grad(lambda a: np.sum(c * np.linalg.svd(a)[0]))(a)).all()
    low = normal(4, 1) @ normal(1, 2)
    g = ng.grad(lambda a: np.linalg.norm(a, 2))(low)
    numpy.testing.assert_allclose(g, low / numpy.linalg.norm(low), atol=1e-14)


def test_determinant_of_singular_matrices():
    """The gradient is the matrix of cofactors, which has an inverse of nothing in it."""
    for dtype in ("float64", "complex128"):
        a = normal(3, 3, dtype=dtype)
        a[2] = a[0] + a[1]
        check(np.linalg.det, a, order=1)
    numpy.testing.assert_array_equal(ng.grad(np.linalg.det)(numpy.zeros((3, 3))), numpy.zeros((3, 3)))


def test_condition_of_singular_matrices():
    a = numpy.array([[1.0, 2.0], [2.0, 4.0]])
    for p in (1, numpy.inf, "fro"):
        assert np.linalg.cond(a, p) == numpy.linalg.cond(a, p) == numpy.inf
    assert numpy.isnan(np.linalg.cond([[numpy.nan, 1], [1, 1]], 1))


def test_rank_of_least_squares_while_tracing():
    a, b = numpy.ones((3, 2)), numpy.arange(3.0)
    assert np.linalg.lstsq(a, b)[1].shape == (0,)
    assert ng.jit(np.linalg.lstsq)(a, b)[1].shape == (1,)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_least_squares_keep_where_they_came_from(k):
    """The rank is read inside, and what is differentiated afterwards is still connected."""
    a = numpy.sin(x := normal(4, 2))
    b, h = normal(4), normal(4, 2, seed=1)
    z = ng.asarray(x)
    y = np.linalg.lstsq(np.sin(z), b)[k]
    (g,) = ng.gradients(np.sum(y), z)
    at = lambda t: numpy.linalg.lstsq(a + t * numpy.cos(x) * h, b)[k].sum()  # noqa: E731
    numpy.testing.assert_allclose(numpy.sum(g.numpy() * h), (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-7)


@pytest.mark.parametrize("p", [1, 2, numpy.inf])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_norms_of_nothing_are_0(shape, p):
    y = np.linalg.norm(numpy.zeros((2, *shape), "float32"), p, axis=(1, 2))
    numpy.testing.assert_array_equal(y, numpy.zeros(2, "float32"), strict=True)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 3, -1, -2.5])
def test_norms_beside_elements_that_are_0(p):
    """Their gradient there is 0; elsewhere it is that without them, and 0 where they decide."""
    g = ng.grad(lambda x: np.linalg.norm(x, p))(numpy.array([3.0, 0.0, -4.0]))
    others = ng.grad(lambda x: np.linalg.norm(x, p))(numpy.array([3.0, -4.0])).numpy()
    numpy.testing.assert_allclose(g, [others[0], 0, others[1]] if p > 0 else [0, 0, 0], rtol=1e-15)


def test_hermitian_matrices_have_hermitian_gradients():
    a, w = definite(normal(3, 3, dtype="complex128")), normal(3, 3, dtype="complex128")
    g = ng.grad(lambda a: np.sum(np.real(w * np.linalg.cholesky(a))))(a)
    numpy.testing.assert_allclose(g, g.numpy().conj().T, atol=1e-15)
    assert np.linalg.cholesky(a).dtype == adjoint(ng.asarray(a)).dtype == "complex128"


# ---------------------------------------------------------------- errors

ERRORS = {
    "not square": (MatrixShapeError, lambda m: m.det(numpy.ones((2, 3))), "det: expected square matrices in the"),
    "no matrix": (MatrixShapeError, lambda m: m.svd(numpy.ones(3)), "svd: expected matrices in the last two axes"),
    "vectors": (MatrixShapeError, lambda m: m.matrix_norm(numpy.ones(3)), "matrix_norm: expected matrices in"),
    "lstsq": (MatrixShapeError, lambda m: m.lstsq(numpy.ones((3, 2)), numpy.ones(2)), r"lstsq\(a, b\): expected a"),
    "tensorinv": (MatrixShapeError, lambda m: m.tensorinv(numpy.ones((2, 3)), 1), "the first 1 axes have 2 elements"),
    "ind": (OptionError, lambda m: m.tensorinv(numpy.ones((2, 2)), 0), "tensorinv: ind must be positive, not 0"),
    "tensorsolve": (MatrixShapeError, lambda m: m.tensorsolve(numpy.ones((2, 3)), numpy.ones(2)), "no square map"),
    "multi_dot": (MatrixShapeError, lambda m: m.multi_dot([numpy.eye(2), numpy.ones(2), numpy.eye(2)]),
                  r"arrays\[1\] is no matrix"),
    "one factor": (OptionError, lambda m: m.multi_dot([numpy.eye(2)]), "expected at least two arrays, got 1"),
    "mode": (OptionError, lambda m: m.qr(numpy.eye(2), "q"),
        "qr: mode must be 'reduced', 'complete' or 'r', not 'q'"),
    "UPLO": (OptionError, lambda m: m.eigh(numpy.eye(2), "X"), "eigh: UPLO must be 'L' or 'U', not 'X'"),
    "norm of vectors": (OptionError, lambda m: m.norm(numpy.ones(2), "fro", axis=0),
        "ord='fro' is no norm of vectors"),
    "norm of matrices": (OptionError, lambda m: m.norm(numpy.eye(2), 3), "ord=3 is no norm of matrices; take 1"),
    "axes": (ShapeError, lambda m: m.norm(numpy.ones((2, 2, 2)), 2), "one or two different axes"),
    "one axis twice": (ShapeError, lambda m: m.norm(numpy.ones((2, 2)), axis=(0, 0)), "one or two different axes"),
    "tolerances": (OptionError, lambda m: m.matrix_rank(numpy.eye(2), 0.1, rtol=0.1), "both tol and rtol"),
    "cut-offs": (OptionError, lambda m: m.pinv(numpy.eye(2), 0.1, rtol=0.1), "both rcond and rtol were given"),
    "empty": (MatrixShapeError, lambda m: m.cond(numpy.ones((0, 0))), "cond: expected matrices that are not empty"),
    "outer": (ShapeError, lambda m: m.outer(numpy.eye(2), numpy.ones(2)), "outer: expected two vectors"),
    "cross": (ShapeError, lambda m: m.cross(numpy.ones(2), numpy.ones(2)), "cross: axis -1 must have extent 3"),
    "float16": (DtypeError, lambda m: m.inv(numpy.ones((2, 2), "float16")), "inv: LAPACK has no float16; cast"),
    "singular": (numpy.linalg.LinAlgError, lambda m: m.inv(numpy.ones((2, 2))), "Singular matrix"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    kind, call, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        several(call(np.linalg))[0].realize()
    with pytest.raises((ValueError, TypeError)):  # NumPy refuses it as well
        call(numpy.linalg)


def test_shape_errors_are_those_of_numpy():
    with pytest.raises(np.linalg.LinAlgError, match="eigvals: expected square matrices"):
        np.linalg.eigvals(numpy.ones((2, 3)))
    with pytest.raises(ArgumentError, match="multi_dot: out= is not supported"):
        np.linalg.multi_dot([numpy.eye(2)] * 2, out=numpy.eye(2))
