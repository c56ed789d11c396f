"""Arrays made of parts: rows filled number by number, and everything else."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np


@pytest.fixture(autouse=True)
def compiled(settings):
    settings.jit = 2


CASES = {
    "components": lambda xp, x: xp.stack([x[:, 0] * 2, x[:, 2] + 1, x[:, 1]], axis=-1),
    "columns of the same array": lambda xp, x: xp.concatenate([x[:, 1:3], x[:, :1]], axis=1),
    "one that is repeated": lambda xp, x: xp.stack([x[:, 0], xp.broadcast_to(x[0, 1], x.shape[:1])], axis=-1),
    "backwards": lambda xp, x: xp.stack([x[::-1, 0], x[:, 1]], axis=-1),
    "of matrices": lambda xp, x: xp.stack([x, x * x], axis=-1),
    "of transposed matrices": lambda xp, x: xp.stack([x.T, xp.exp(x).T, x.T], axis=-1),
    "along the first axis": lambda xp, x: xp.stack([x[:, 0], x[:, 1]], axis=0),
    "wide parts": lambda xp, x: xp.concatenate([x, x + 1], axis=1),
    "a single row": lambda xp, x: xp.stack([x[0, 0], x[0, 1], x[1, 0]], axis=-1),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "bool"])
def test_values(case, dtype, rng):
    for rows in (2, 37):
        x = (10 * rng.normal(size=(rows, 3))).astype(dtype)
        if dtype == "bool" and case in ("components", "of matrices", "of transposed matrices", "wide parts"):
            continue  # arithmetic of booleans is no matter of parts
        if dtype in ("int32", "float16") and "exp" in str(CASES[case].__code__.co_names):
            continue  # other roundings
        expected = CASES[case](numpy, x)
        found = numpy.asarray(ng.jit(lambda x: CASES[case](np, x))(x))
        assert found.dtype == expected.dtype
        numpy.testing.assert_allclose(found, expected, rtol=2e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_gradients_by_the_interpreter(case, rng, settings):
    x = rng.normal(size=(23, 3))
    f = ng.grad(lambda x: np.sum(np.sin(CASES[case](np, x))))
    compiled = numpy.asarray(ng.jit(f)(x))
    settings.jit = 0
    numpy.testing.assert_allclose(compiled, f(ng.asarray(x)), rtol=1e-12, atol=1e-15)


def test_components_go_into_a_row_together():
    source = ng.jit(lambda x: np.stack([x[:, 0] * 2, x[:, 1]], axis=-1)).lower(ng.ones((50, 2))).source
    assert "store(y, row * 2 + 1, load(x1, " in source


def test_more_rows_compile_nothing():
    f = ng.jit(lambda x: np.stack([x * 2, x + 1], axis=-1))
    f(numpy.ones(100))
    before = ng.stats()["kernels_compiled"]
    assert f(numpy.ones(1000)).shape == (1000, 2)
    assert ng.stats()["kernels_compiled"] == before
