"""scipy.linalg on Arrays: values as SciPy's on both tiers, gradients against differences, errors."""

import numpy
import pytest
import scipy.linalg
from directional import check, normal

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import MatrixShapeError, OptionError, ShapeError
from nbgrad.kernels.linalg import adjoint
from nbgrad.scipy import linalg

DTYPES = ("float64", "complex128")
TIERS = (0, 2)


def definite(a):
    return a @ numpy.swapaxes(a, -1, -2).conj() + numpy.eye(a.shape[-1])


def forms(f, a, b):
    return [f.solve_triangular(a, b, trans=t, lower=low, unit_diagonal=unit)
            for t in (0, 1, "C") for low in (False, True) for unit in (False, True)]  # fmt: skip


#: function of SciPy or nbgrad and matrices -> shapes
CALLS = {
    "expm": (lambda f, a: f.expm(a), [((3, 3),), ((2, 2, 2),), ((0, 0),), ((1, 1),)]),
    "sqrtm": (lambda f, a: f.sqrtm(definite(a)), [((3, 3),), ((1, 1),)]),
    "solve_sylvester": (lambda f, a, b, q: f.solve_sylvester(a, b, q), [((3, 3), (2, 2), (3, 2))]),
    "solve_triangular": (forms, [((3, 3), (3, 2)), ((3, 3), (3,))]),
    "cholesky": (lambda f, a: [f.cholesky(definite(a)), f.cholesky(definite(a), lower=True)], [((3, 3),)]),
    "cho_solve": (lambda f, a, b: [f.cho_solve(f.cho_factor(definite(a), lower), b) for lower in (False, True)],
                  [((3, 3), (3, 2)), ((3, 3), (3,))]),
    "lu": (lambda f, a: [*f.lu(a), *f.lu(a, permute_l=True)],
           [((3, 3),), ((4, 2),), ((2, 4),), ((2, 3, 2),), ((0, 2),)]),
    "lu indices": (lambda f, a: f.lu(a, p_indices=True), [((4, 3),), ((2, 2, 4),)]),
    "block_diag": (lambda f, a, b, c: f.block_diag(a, b, c), [((2, 3), (2,), (1, 1)), ((2, 3), (0, 2), ())]),
    "toeplitz": (lambda f, a, b: [f.toeplitz(a), f.toeplitz(a, b)], [((3,), (4,)), ((1,), (2,))]),
}  # fmt: skip
CASES = [(name, shapes) for name, (_, every) in CALLS.items() for shapes in every]


def near(ours, theirs):
    b = numpy.asarray(theirs)
    assert (ours.shape, ours.dtype) == (b.shape, b.dtype)
    numpy.testing.assert_allclose(ours, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "shapes"), CASES, ids=str)
def test_as_scipy(name, shapes, dtype):
    values = [normal(*shape, seed=k, dtype=dtype) for k, shape in enumerate(shapes)]
    expected = CALLS[name][0](scipy.linalg, *values)
    for ng.config.jit in TIERS if dtype == "float64" and (name, shapes) in FIRST else (0,):
        found = CALLS[name][0](linalg, *values)
        if not isinstance(expected, (list, tuple)):
            near(found, expected)
            continue
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            near(a, b)


#: One shape of each.
FIRST = [(name, every[0]) for name, (_, every) in CALLS.items()]


def test_stacks():
    a, b = definite(normal(2, 3, 3)), normal(2, 3, 1)
    near(linalg.cho_solve(linalg.cho_factor(a), b), numpy.linalg.solve(a, b))
    near(linalg.solve_triangular(a, b), numpy.linalg.solve(numpy.triu(a), b))
    root = linalg.sqrtm(a)
    near(root @ root, a)
    c = normal(2, 3)
    near(linalg.toeplitz(c), numpy.array([scipy.linalg.toeplitz(row) for row in c]))


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithm_of_a_determinant(dtype, lower):
    a = definite(normal(2, 3, 3, dtype=dtype))
    near(linalg.cho_logdet(linalg.cho_factor(a, lower)), numpy.linalg.slogdet(a)[1])
    check(lambda x: linalg.cho_logdet(linalg.cho_factor(x @ adjoint(x) + np.eye(3), lower)), normal(3, 3, dtype=dtype),
          tiers=(0,))  # fmt: skip


def test_float32_and_integers():
    assert linalg.expm(numpy.eye(2, dtype="float32")).dtype == "float32"
    assert (
        linalg.lu(numpy.eye(2, dtype="complex64"))[0].dtype == scipy.linalg.lu(numpy.eye(2, dtype="complex64"))[0].dtype
    )
    near(linalg.expm([[0, 1], [0, 0]]), scipy.linalg.expm(numpy.array([[0, 1], [0, 0]])))
    near(linalg.toeplitz([1, 2, 3]), scipy.linalg.toeplitz([1, 2, 3]))
    assert linalg.block_diag().shape == scipy.linalg.block_diag().shape


# ---------------------------------------------------------------- gradients

GRADIENTS = {
    "expm": (linalg.expm, [((3, 3),), ((2, 2, 2),)]),
    "sqrtm": (lambda a: linalg.sqrtm(a @ adjoint(a) + np.eye(a.shape[-1])), [((3, 3),)]),
    "solve_sylvester": (linalg.solve_sylvester, [((3, 3), (2, 2), (3, 2))]),
    **{f"triangular {t} {low}": (lambda a, b, t=t, low=low: linalg.solve_triangular(a + 3 * np.eye(3), b, t, low),
                                 [((3, 3), (3, 2))]) for t in "NTC" for low in (False, True)},
    "unit triangle": (lambda a, b: linalg.solve_triangular(a, b, lower=True, unit_diagonal=True), [((3, 3), (3,))]),
    **{f"cho_solve {low}": (lambda a, b, low=low: linalg.cho_solve(
        linalg.cho_factor(a @ adjoint(a) + np.eye(3), low), b), [((3, 3), (3,))]) for low in (False, True)},
    "lu": (lambda a: linalg.lu(a)[1:], [((3, 3),), ((4, 2),), ((2, 4),), ((2, 3, 2),), ((1, 1),)]),
    "lu, permuted": (lambda a: linalg.lu(a, permute_l=True), [((3, 3),)]),
    "block_diag": (linalg.block_diag, [((2, 3), (2,))]),
    "toeplitz": (lambda a, b: [linalg.toeplitz(a), linalg.toeplitz(a, b)], [((3,), (4,))]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "shapes"), [(name, shapes) for name, (_, every) in GRADIENTS.items() for shapes in every], ids=str
)
def test_gradients(name, shapes, dtype):
    values = [normal(*shape, seed=11 + k, dtype=dtype) for k, shape in enumerate(shapes)]
    compiled = name in ("expm", "lu", "triangular C True") and shapes[0] == (3, 3)
    check(GRADIENTS[name][0], *values, tiers=TIERS if compiled else (0,))


@pytest.mark.parametrize("a", [numpy.zeros((2, 2)), 2 * numpy.eye(3), numpy.array([[1.0, 1.0], [0.0, 1.0]])])
def test_exponential_of_repeated_eigenvalues(a):
    """Also of a matrix that no eigenvectors span: against SciPy's Frechet derivative, and differences."""
    w = normal(*a.shape)
    g = ng.grad(lambda a: np.sum(w * linalg.expm(a)))(a)
    near(g, scipy.linalg.expm_frechet(a.T, w, compute_expm=False))
    check(linalg.expm, a, tiers=(0,))


def test_tangent_of_the_exponential():
    a, t = normal(3, 3, seed=1), normal(3, 3, seed=2)
    value, tangent = ng.jvp(linalg.expm, ng.asarray(a), ng.asarray(t))
    expected, frechet = scipy.linalg.expm_frechet(a, t)
    near(value, expected)
    near(tangent, frechet)


def test_a_permutation_has_no_gradient():
    assert ng.gradients(linalg.lu(x := ng.asarray(normal(3, 3)))[0] * 1.0, x) == [None]


ERRORS = {
    "square": (MatrixShapeError, lambda: linalg.expm(numpy.ones((2, 3))),
        "expm: expected square matrices in the last two"),
    "sylvester": (MatrixShapeError, lambda: linalg.solve_sylvester(numpy.eye(2), numpy.eye(3), numpy.ones((3, 2))),
                  r"a of 2 rows and b of 3 columns want q of shape \(2, 3\)"),
    "trans": (OptionError, lambda: linalg.solve_triangular(numpy.eye(2), numpy.ones(2), "H"),
        "trans must be 0, 1, 2, 'N'"),
    "columns": (ShapeError, lambda: linalg.solve_triangular(numpy.eye(2), 1.0),
        "solve_triangular: b must have at least"),
    "fit": (ShapeError, lambda: linalg.cho_solve((numpy.eye(2), True), numpy.ones(3)), "a has 2 rows, b of shape"),
    "block": (ShapeError, lambda: linalg.block_diag(numpy.ones((1, 1, 1))),
        r"arrs\[0\] has 3 dimensions, expected at most"),
    "toeplitz": (ShapeError, lambda: linalg.toeplitz(1.0), "toeplitz: c must have at least one dimension"),
    "no real root": (numpy.linalg.LinAlgError, lambda: linalg.sqrtm(-numpy.eye(2)).realize(),
        "sqrtm: a real matrix has no"),
    "not definite": (numpy.linalg.LinAlgError, lambda: linalg.cholesky(-numpy.eye(2)).realize(),
        "not positive definite"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    kind, call, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call()
