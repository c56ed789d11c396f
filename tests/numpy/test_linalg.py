"""Equations of matrices: values, gradients of compositions, and what the compiler knows of triangles."""

import itertools

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

TIERS = pytest.mark.parametrize("tier", [0, 2])


def definite(rng, n=5):
    a = rng.normal(size=(n, n))
    return a @ a.T / n + numpy.eye(n)


def evidence(a, y):
    """Negative log density of a Gaussian, as Gaussian processes need it."""
    L = np.linalg.cholesky(a)
    z = np.linalg.solve(L, y)
    return 0.5 * np.sum(z * z) + np.sum(np.log(np.diag(L)))


@TIERS
def test_gaussian_density(settings, tier, rng):
    settings.jit = tier
    a, y = definite(rng), rng.normal(size=5)
    value, (ga, gy) = ng.jit(ng.value_and_grad(evidence, (0, 1)))(a, y)
    inverse = numpy.linalg.inv(a)
    numpy.testing.assert_allclose(value, (y @ inverse @ y + numpy.linalg.slogdet(a)[1]) / 2, rtol=1e-12)
    numpy.testing.assert_allclose(gy, inverse @ y, rtol=1e-11)
    z = inverse @ y
    numpy.testing.assert_allclose(ga, (inverse - numpy.outer(z, z)) / 2, rtol=1e-10, atol=1e-12)


def test_second_order(rng):
    """The Hessian of log det(a a^T + 1) / 2 against differences of its gradient."""
    a = rng.normal(size=(3, 3))

    def f(a):
        return np.sum(np.log(np.diag(np.linalg.cholesky(a @ a.T + np.eye(3)))))

    exact = lambda a: numpy.linalg.solve(a @ a.T + numpy.eye(3), a)  # noqa: E731
    numpy.testing.assert_allclose(ng.grad(f)(a), exact(a), rtol=1e-11)
    v, h = rng.normal(size=(3, 3)), 1e-5
    found = ng.grad(lambda a: np.sum(ng.grad(f)(a) * v))(a)
    expected = (exact(a + h * v) - exact(a - h * v)) / (2 * h)  # the Hessian is symmetric
    numpy.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("n", [5, 200, 300])
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_pullback_of_a_factor_at_all_sizes(settings, rng, n, dtype):
    """Small matrices row by row, larger ones in blocks: against explicit inverses."""
    settings.jit = 2
    a, w = rng.normal(size=(2, n, n))
    if dtype == "complex128":
        a, w = a + 1j * rng.normal(size=(n, n)), w + 1j * rng.normal(size=(n, n))
    a, w = (a @ a.conj().T / n + numpy.eye(n)).astype(dtype), w.astype(dtype)
    value, found = ng.jit(ng.value_and_grad(lambda a: np.sum(np.real(np.conj(w) * np.linalg.cholesky(a)))))(a)
    factor = numpy.linalg.cholesky(a.astype("float64") if dtype == "float32" else a)
    p = numpy.tril(factor.conj().T @ numpy.tril(w)) * (1 - numpy.eye(n) / 2)
    inverse = numpy.linalg.inv(factor)
    x = inverse.conj().T @ p @ inverse
    rtol = 2e-3 if dtype == "float32" else 1e-9
    numpy.testing.assert_allclose(value, numpy.sum(w.conj() * factor).real, rtol=rtol)
    numpy.testing.assert_allclose(found, (x + x.conj().T) / 2, rtol=rtol, atol=rtol)
    assert numpy.asarray(found).dtype == dtype


def test_products_beside_a_large_factorisation(settings, rng):
    """They stay on the threads of the library, whole, and its number of threads is as before."""
    from nbgrad.runtime import blas

    settings.jit, settings.threads = 2, 2
    n = 300
    a = rng.normal(size=(n, n))
    get, _ = blas._thread_functions()
    before = get() if get else None

    @ng.jit
    def f(a):
        return np.linalg.cholesky(a @ a.T + n * np.eye(n)) @ a

    expected = numpy.linalg.cholesky(a @ a.T + n * numpy.eye(n)) @ a
    numpy.testing.assert_allclose(f(a), expected, rtol=1e-9, atol=1e-9)
    assert get is None or get() == before
    with pytest.raises(numpy.linalg.LinAlgError, match="not positive definite"):
        ng.jit(np.linalg.cholesky)(-numpy.eye(n))
    assert get is None or get() == before


def test_a_factor_is_known_to_be_triangular(settings, rng):
    settings.jit = 2
    names = ng.jit(ng.grad(evidence)).lower(definite(rng), rng.normal(size=5)).launches
    assert "solve_triangular" in names
    assert "solve" not in names


@pytest.mark.parametrize("shapes", [((4, 4), (4,)), ((4, 4), (4, 2)), ((3, 4, 4), (3, 4, 2)), ((3, 4, 4), (4, 2))])
def test_solve_as_numpy(rng, shapes):
    a, b = rng.normal(size=shapes[0]) + 5 * numpy.eye(4), rng.normal(size=shapes[1])
    numpy.testing.assert_allclose(np.linalg.solve(a, b), numpy.linalg.solve(a, b), rtol=1e-12)


def test_inverse_and_upper_factor(rng):
    a = definite(rng)
    numpy.testing.assert_allclose(np.linalg.inv(a), numpy.linalg.inv(a), rtol=1e-12)
    numpy.testing.assert_allclose(np.linalg.cholesky(a, upper=True), numpy.linalg.cholesky(a).T, rtol=1e-12)
    assert np.linalg.inv(a.astype("float32")).dtype == "float32"


def test_only_one_triangle_is_read(rng):
    from nbgrad.kernels.linalg import solve_triangular
    from nbgrad.runtime import triangular

    a, b = definite(rng), rng.normal(size=(5, 3))
    for lower, dtype, k in itertools.product((True, False), ("float64", "complex128", "complex64"), (1, 3)):
        hidden = (a * (1 + 1j) if dtype[0] == "c" else a).astype(dtype)
        t = numpy.tril(hidden) if lower else numpy.triu(hidden)
        hidden[numpy.triu_indices(5, 1) if lower else numpy.tril_indices(5, -1)] = numpy.nan
        for transposed in (True, False):
            right = b[:, :k].astype(dtype)
            expected = numpy.linalg.solve(t.T if transposed else t, right)
            found = solve_triangular(ng.asarray(hidden), ng.asarray(right), lower=lower, transposed=transposed)
            numpy.testing.assert_allclose(found, expected, rtol=1e-4 if dtype == "complex64" else 1e-11)
    assert triangular.solve_triangular(a, numpy.ones((5, 0)), True, False).shape == (5, 0)


def test_errors(rng):
    with pytest.raises(ng.ShapeError, match="cholesky: expected square matrices"):
        np.linalg.cholesky(numpy.ones((2, 3)))
    with pytest.raises(ng.ShapeError, match=r"solve\(a, b\): a has 3 rows, b of shape \(2, 1\)"):
        np.linalg.solve(numpy.eye(3), numpy.ones(2))
    with pytest.raises(numpy.linalg.LinAlgError, match="not positive definite"):
        np.linalg.cholesky(-numpy.eye(3)).realize()
