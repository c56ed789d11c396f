"""Sparse Jacobians and Hessians: against matrices written down by hand and dense transforms, and what is refused."""

import subprocess
import sys

import numpy
import pytest
from scipy import sparse

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.sparse import pattern as patterns
from nbgrad.sparse import plan as plans


@pytest.fixture
def interpreted(settings):
    """Every sweep is one run of the interpreter, and is counted."""
    settings.jit = 0


def runs(function, *args):
    before = ng.stats()["interpreted"]
    result = function(*args)
    return result, ng.stats()["interpreted"] - before


def assert_equal(found, expected, **tolerance):
    """As sparse matrices, whatever is stored."""
    assert isinstance(found, sparse.csr_array)
    assert found.shape == expected.shape
    difference = abs(found - expected).tocsr()
    scale = abs(expected).max() if expected.nnz else 1.0
    assert difference.nnz == 0 or difference.data.max() <= tolerance.get("rtol", 1e-13) * scale


# ---------------------------------------------------------------- matrices that are known

LARGE = 100_000


def test_a_tridiagonal_jacobian_takes_three_sweeps(interpreted, rng):
    """u'' + sin(u) with zeros around, in 10^5 points."""
    u = rng.normal(size=LARGE)

    def residual(u):
        v = np.pad(u, 1)
        return v[2:] - 2.0 * u + v[:-2] + np.sin(u)

    jacobian = ng.sparse_jacobian(residual)
    jacobian(u)
    found, count = runs(jacobian, u)
    assert count == jacobian.sweeps(u) == 3
    expected = sparse.diags_array([numpy.ones(LARGE - 1), numpy.cos(u) - 2.0, numpy.ones(LARGE - 1)],
                                  offsets=[-1, 0, 1])  # fmt: skip
    assert_equal(found, expected.tocsr())


@pytest.mark.parametrize("colouring", ["rows", "columns"])
def test_a_pentadiagonal_jacobian_takes_five_sweeps(interpreted, rng, colouring):
    x = rng.normal(size=LARGE)
    jacobian = ng.sparse_jacobian(lambda x: x[:-4] * x[4:] + x[1:-3] ** 2 + x[2:-2] - 3.0 * x[3:-1], 0, None, colouring)
    found, count = runs(jacobian, x)
    assert count == 5
    n = LARGE - 4
    bands = [x[4:], 2.0 * x[1:-3], numpy.ones(n), numpy.full(n, -3.0), x[:-4]]
    row = numpy.arange(n)
    expected = sum(sparse.coo_array((band, (row, row + k)), shape=(n, LARGE)).tocsr() for k, band in enumerate(bands))
    assert_equal(found, expected)


def test_the_hessian_of_rosenbrocks_chain(interpreted, rng):
    n = 10_000
    x = rng.normal(size=n)
    hessian = ng.sparse_hessian(lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))
    hessian(x)
    found, count = runs(hessian, x)
    assert count == hessian.sweeps(x) <= 3
    diagonal = numpy.zeros(n)
    diagonal[:-1] = 1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0
    diagonal[1:] += 200.0
    expected = sparse.diags_array([-400.0 * x[:-1], diagonal, -400.0 * x[:-1]], offsets=[-1, 0, 1])
    assert_equal(found, expected.tocsr())


def test_the_hessian_of_an_energy_on_a_grid(interpreted, rng):
    """The integral of |grad u|^2 / 2 + exp(u): the Laplacian, and exp(u) on the diagonal."""
    n = 60
    u = rng.normal(size=(n, n))

    def energy(u):
        v = np.pad(u, 1)
        return 0.5 * (np.sum((v[1:] - v[:-1]) ** 2) + np.sum((v[:, 1:] - v[:, :-1]) ** 2)) + np.sum(np.exp(u))

    hessian = ng.sparse_hessian(energy)
    found, count = runs(hessian, u)
    assert count <= 6
    second = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    eye = sparse.eye_array(n)
    expected = sparse.kron(second, eye) + sparse.kron(eye, second) + sparse.diags_array(numpy.exp(u).ravel())
    assert_equal(found, sparse.csr_array(expected))


def test_rows_are_pulled_where_they_are_fewer(interpreted):
    """A dense row makes columns expensive, a dense column rows."""
    x = numpy.linspace(0.1, 1.0, 40)
    wide = ng.sparse_jacobian(lambda x: np.concatenate([np.sum(x**2)[None], x * x]))
    found, count = runs(wide, x)
    assert count == 2
    numpy.testing.assert_allclose(found.toarray(), numpy.vstack([2 * x, numpy.diag(2 * x)]))
    tall = ng.sparse_jacobian(lambda x: x * x[0])
    found, count = runs(tall, x)
    assert count == 2
    expected = numpy.diag(numpy.full(40, x[0]))
    expected[:, 0] += x
    numpy.testing.assert_allclose(found.toarray(), expected)


# ---------------------------------------------------------------- forms of arguments and results


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_stay(dtype):
    x = numpy.linspace(0.5, 2.0, 6).astype(dtype)
    found = ng.sparse_jacobian(lambda x: x[1:] * x[:-1])(x)
    assert found.dtype == dtype
    assert ng.sparse_hessian(lambda x: np.sum(x**3))(x).dtype == dtype
    numpy.testing.assert_allclose(found.toarray(), ng.jacfwd(lambda x: x[1:] * x[:-1])(ng.asarray(x)), rtol=1e-6)


def test_arrays_of_any_shape_count_in_c_order(rng):
    x = rng.normal(size=(3, 2))

    def fn(x):
        return (x * x[:, ::-1]).T

    dense = numpy.asarray(ng.jacfwd(fn)(ng.asarray(x))).reshape(6, 6)
    numpy.testing.assert_allclose(ng.sparse_jacobian(fn)(x).toarray(), dense)
    assert ng.sparse_jacobian(lambda x: np.sum(x**2))(x).shape == (1, 6)
    assert ng.sparse_jacobian(lambda s: s * numpy.ones(3))(numpy.float64(2.0)).shape == (3, 1)


def test_several_positions(rng):
    """A matrix for each position; all share the sweeps."""
    x, y, a = rng.normal(size=4), rng.normal(size=3), rng.normal(size=3)

    def fn(x, a, y):
        return a * x[1:] * y + x[:-1] ** 2

    jacobian = ng.sparse_jacobian(fn, (2, 0))
    found = jacobian(x, a, y)
    dense = ng.jacfwd(fn, (2, 0))(*map(ng.asarray, (x, a, y)))
    for s, d in zip(found, dense, strict=True):
        assert isinstance(s, sparse.csr_array)
        numpy.testing.assert_allclose(s.toarray(), d)
    assert [p.shape for p in jacobian.pattern(x, a, y)] == [(3, 3), (3, 4)]
    hessian = ng.sparse_hessian(lambda x, y: np.sum(x[1:] * y**2) + np.sum(x**3), (0, 1))
    blocks = hessian(x, y)
    dense = ng.jacfwd(ng.grad(hessian.__wrapped__, (0, 1)), (0, 1))(ng.asarray(x), ng.asarray(y))
    for i in range(2):
        for j in range(2):
            numpy.testing.assert_allclose(blocks[i][j].toarray(), dense[i][j], atol=1e-14)


def test_a_result_is_the_callers(rng):
    """Changing one matrix changes no later one."""
    jacobian = ng.sparse_jacobian(lambda x: x[1:] * x[:-1])
    x = rng.normal(size=5)
    first = jacobian(x)
    expected = first.toarray()
    first.data[:], first.indices[:] = 7.0, 0
    jacobian.pattern(x).indices[:] = 0
    numpy.testing.assert_array_equal(jacobian(x).toarray(), expected)


def test_what_a_function_closes_over_is_read_anew(rng):
    x, factor = rng.normal(size=4), [1.0]
    jacobian = ng.sparse_jacobian(lambda x: x * factor[0])
    jacobian(x)
    factor[0] = ng.asarray(3.0)
    assert jacobian(x).diagonal().tolist() == [3.0] * 4


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_tiers_agree(settings, mode):
    settings.jit = mode
    x = numpy.linspace(-1.0, 1.0, 30)
    for _ in range(3):
        found = ng.sparse_jacobian(lambda x: np.sin(x[1:]) * x[:-1])(x)
    expected = numpy.zeros((29, 30))
    row = numpy.arange(29)
    expected[row, row], expected[row, row + 1] = numpy.sin(x[1:]), numpy.cos(x[1:]) * x[:-1]
    numpy.testing.assert_allclose(found.toarray(), expected, rtol=1e-14, atol=1e-15)


# ---------------------------------------------------------------- what is found once


def test_another_point_costs_no_search(monkeypatch):
    """Also by another function with the same graph; other shapes are searched anew."""
    searched = []
    monkeypatch.setattr(patterns, "found", lambda *a, found=patterns.found: searched.append(1) or found(*a))
    monkeypatch.setattr(plans, "_fewest", lambda *a, found=plans._fewest: searched.append(2) or found(*a))
    make = lambda: ng.sparse_jacobian(lambda x: np.arctan(x[1:]) * x[:-1] ** 4)  # noqa: E731
    jacobian = make()
    jacobian(numpy.ones(9))
    assert searched == [1, 2]
    assert jacobian(numpy.arange(9.0)).shape == (8, 9)
    make()(numpy.ones(9))
    assert searched == [1, 2]
    jacobian(numpy.ones(10))
    assert searched == [1, 2, 1, 2]


def test_new_points_compile_nothing(settings):
    """Seeds are arguments of one program, however many colours there are."""
    settings.jit = 2
    jacobian = ng.sparse_jacobian(lambda x: sum(np.cos(x[k : k - 9 or None]) for k in range(10)))
    x = numpy.linspace(0.0, 1.0, 50)
    jacobian(x)
    before = ng.stats()
    assert jacobian.sweeps(x) == 10
    jacobian(x + 1.0)
    after = ng.stats()
    assert after["kernels_compiled"] == before["kernels_compiled"]
    assert after["programs"] == before["programs"]


# ---------------------------------------------------------------- given patterns


def test_a_given_pattern_is_used(interpreted, monkeypatch):
    monkeypatch.setattr(patterns, "found", None)
    x = numpy.arange(1.0, 6.0)
    band = sparse.diags_array([1.0, 1.0], offsets=[0, 1], shape=(4, 5))
    for given in (band, band.toarray(), band.toarray().astype(bool)):
        jacobian = ng.sparse_jacobian(lambda x: x[1:] * x[:-1], pattern=given, verify=True)
        numpy.testing.assert_array_equal(jacobian(x).toarray(), ng.jacfwd(lambda x: x[1:] * x[:-1])(ng.asarray(x)))
    dense = numpy.array([[0.0, 2.0], [2.0, 0.0]])
    hessian = ng.sparse_hessian(lambda x: 2.0 * x[0] * x[1], pattern=dense, verify=True)
    numpy.testing.assert_array_equal(hessian(numpy.array([1.0, 5.0])).toarray(), dense)


def test_patterns_of_several_positions(interpreted):
    x, y = numpy.arange(1.0, 4.0), numpy.arange(2.0, 5.0)
    eye = numpy.eye(3)
    jacobian = ng.sparse_jacobian(lambda x, y: x * y, (0, 1), pattern=(eye, eye), verify=True)
    assert [m.diagonal().tolist() for m in jacobian(x, y)] == [y.tolist(), x.tolist()]
    hessian = ng.sparse_hessian(lambda x, y: np.sum(x * y), (0, 1), ((0 * eye, eye), (eye, 0 * eye)), verify=True)
    assert hessian(x, y)[0][1].diagonal().tolist() == [1.0] * 3


def test_verify_finds_missing_entries():
    x = numpy.arange(1.0, 6.0)
    wrong = ng.sparse_jacobian(lambda x: x * np.roll(x, 1), pattern=numpy.eye(5), verify=True)
    with pytest.raises(ng.GradientError, match=r"sparse_jacobian: the pattern lacks entries: in 5 of 5 rows .* row 0"):
        wrong(x)
    wrong = ng.sparse_hessian(lambda x: np.sum(x * np.roll(x, 1)), pattern=numpy.eye(5), verify=True)
    with pytest.raises(ng.GradientError, match=r"sparse_hessian: the pattern lacks entries.*; correct the pattern"):
        wrong(x)
    for right in (ng.sparse_jacobian(lambda x: x * np.roll(x, 1), verify=True), ng.sparse_hessian(np.sum, verify=True)):
        right(x.astype("float32"))
        right(x)


# ---------------------------------------------------------------- what is refused


X = numpy.arange(1.0, 4.0)
REFUSED = [
    (lambda: ng.sparse_jacobian(3), ng.ArgumentError, r"sparse_jacobian: fn must be callable, got int 3"),
    (lambda: ng.sparse_jacobian(np.sin, None), ng.GradientError, r"sparse_jacobian: grad_position is None; say which"),
    (lambda: ng.sparse_jacobian(np.sin, colouring="row"), ng.OptionError,
     r"colouring is 'row', expected 'auto', 'columns' or 'rows'; leave it out"),
    (lambda: ng.sparse_jacobian(np.sin, verify=1), ng.ArgumentError, r"sparse_jacobian: verify must be True or False"),
    (lambda: ng.sparse_jacobian(np.sin, 1)(X), ng.GradientError, r"sparse_jacobian: grad_position 1 is out of range"),
    (lambda: ng.sparse_jacobian(np.sin)(X + 1j), ng.DtypeError,
     r"sparse_jacobian: argument 0 is complex, .* take \.real and \.imag apart"),
    (lambda: ng.sparse_jacobian(lambda x: x + 1j)(X), ng.DtypeError, r"sparse_jacobian: the output is complex"),
    (lambda: ng.sparse_jacobian(np.sin)(X.astype("float16")), ng.DtypeError,
     r"argument 0 has dtype float16, .* hold float32 or float64; cast it with \.astype\('float32'\)"),
    (lambda: ng.sparse_jacobian(lambda x: x > 0)(X), ng.DtypeError, r"the output has dtype bool and no derivative"),
    (lambda: ng.sparse_jacobian(lambda x: (x, x))(X), ng.ArgumentError,
     r"sparse_jacobian: fn must return one Array, got tuple .*; concatenate what it returns"),
    (lambda: ng.sparse_jacobian(lambda x: x["a"])({"a": X}), ng.ArgumentError,
     r"sparse_jacobian: argument 0 must be one array, got dict .*; pass its parts as arguments of their own"),
    (lambda: ng.jit(ng.sparse_jacobian(np.sin))(X), ng.GradientError,
     r"sparse_jacobian: called inside jit or another transform, .* use jacfwd or jacrev there"),
    (lambda: ng.grad(lambda x: np.sum(x) + ng.sparse_hessian(np.sum)(x).nnz)(X), ng.GradientError,
     r"sparse_hessian: called inside jit or another transform"),
    (lambda: ng.sparse_hessian(np.sin)(X), ng.ShapeError,
     r"sparse_hessian: fn must return one number, got an array of shape \(3,\); sum it, or use sparse_jacobian"),
    (lambda: ng.sparse_hessian(lambda x: 1.0)(X), ng.ArgumentError,
     r"sparse_hessian: fn must return one Array with one number, got float 1\.0"),
    (lambda: ng.sparse_hessian(lambda x: np.sum(x * 1j))(X), ng.DtypeError, r"sparse_hessian: the result is complex"),
    (lambda: ng.sparse_jacobian(np.sin, pattern=numpy.eye(4))(X), ng.ShapeError,
     r"sparse_jacobian: pattern has shape \(4, 4\), expected \(3, 3\): a row for each element of the output"),
    (lambda: ng.sparse_jacobian(np.multiply, (0, 1), (numpy.eye(3), numpy.ones((3, 2))))(X, X), ng.ShapeError,
     r"sparse_jacobian: pattern\[1\] has shape \(3, 2\), expected \(3, 3\)"),
    (lambda: ng.sparse_hessian(np.sum, pattern=numpy.tri(3))(X), ng.ShapeError,
     r"sparse_hessian: pattern is not symmetric, .*: pattern \+ pattern\.T"),
    (lambda: ng.sparse_jacobian(np.sin, pattern="dense"), ng.ArgumentError,
     r"sparse_jacobian: pattern must be a matrix of truth or of numbers, got .*; give a SciPy sparse array"),
    (lambda: ng.sparse_jacobian(np.multiply, (0, 1), numpy.eye(3)), ng.ArgumentError,
     r"sparse_jacobian: pattern is NumPy array .*, expected a tuple of 2 matrices, one for each position"),
    (lambda: ng.sparse_hessian(np.sum, (0,), (numpy.eye(3),)), ng.ArgumentError,
     r"sparse_hessian: pattern\[0\] is NumPy array .*, expected a tuple of 1 matrices"),
    (lambda: ng.sparse_hessian(np.sum, (0,), numpy.eye(3)), ng.ArgumentError,
     r"sparse_hessian: pattern is NumPy array .*, expected a tuple of 1 rows of 1 matrices"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text[:40] for _, _, text in REFUSED])
def test_errors_say_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_making_the_transforms_imports_no_scipy():
    code = "import sys, nbgrad as ng; ng.sparse_jacobian(lambda x: x); print({'scipy', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"
