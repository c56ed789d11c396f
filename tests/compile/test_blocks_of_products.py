"""Matrix products as they are shared out: in blocks, in batches, in parts of long sums, without BLAS."""

import numpy
import pytest

import nbgrad as ng

SHAPES = [
    (3, 4, 5), (128, 40, 3), (130, 7, 257), (20, 30, 300), (600, 9, 129),
    (50, 10_000, 32), (3, 2048, 5), (7, 2051, 127), (64, 4099, 1), (1, 5000, 9), (9, 1, 7), (1, 30, 1), (400, 1, 300),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_product_of_views(settings, rng, shape, dtype):
    m, k, n = shape
    settings.jit = 2
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    exact = a.astype("float64") @ b.astype("float64")
    found = []
    for threads in (1, 2):
        settings.threads = threads
        found.append([
            numpy.asarray(ng.jit(f)(x, y)) for x, y, f in (
                (a, b, lambda a, b: a @ b),
                (a.T.copy(), b, lambda a, b: a.T @ b),
                (a, b.T.copy(), lambda a, b: a @ b.T),
                (a.T.copy(), b.T.copy(), lambda a, b: (b @ a).T),
            )
        ])  # fmt: skip
    for one, two in zip(*found, strict=True):
        numpy.testing.assert_array_equal(one, two)
        tolerance = 1e-11 if dtype == "float64" else 2e-3
        numpy.testing.assert_allclose(one, exact, rtol=tolerance, atol=tolerance * k**0.5)


@pytest.mark.parametrize("lead", [(2,), (40,), (3, 5), (2, 1, 3)])
def test_batches(settings, rng, lead):
    settings.jit, settings.threads = 2, 2
    for m, k, n in ((4, 5, 6), (150, 20, 40), (30, 2100, 8)):
        a, b = rng.normal(size=(*lead, m, k)), rng.normal(size=(*lead, k, n))
        for y in (b, b[..., :1, :, :]) if len(lead) > 1 else (b,):
            found = ng.jit(lambda a, b: a @ b)(a, y)
            numpy.testing.assert_allclose(found, a @ y, rtol=1e-10, atol=1e-10)


def test_a_product_with_a_vector_fuses(settings, rng):
    settings.jit = 2
    low = ng.jit(lambda a, v: ng.numpy.tanh(a) @ v).lower(rng.normal(size=(100, 20)), rng.normal(size=20))
    assert low.launches == ["tanh_multiply_sum"]


def test_blas_has_its_threads_back(settings, rng):
    from nbgrad.runtime import blas

    get, _ = blas._thread_functions()
    if get is None:
        pytest.skip("this NumPy brings no OpenBLAS")
    before = get()
    settings.jit, settings.threads = 2, 2
    a = rng.normal(size=(300, 300))
    ng.jit(lambda a: a @ a)(a)
    assert get() == before
    with blas.one_thread, blas.one_thread:
        assert get() == 1
    assert get() == before
