"""Programs that run row by row: one launch, scratch memory for few rows, the same results."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np


def softmax(x, w):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return np.sum(e / np.sum(e, axis=-1, keepdims=True) * w)


def both(settings, fn, *args, precise=True):
    """Results interpreted and compiled, with one thread and with two."""
    found = []
    for tier, threads in ((0, 1), (2, 1), (2, 2)):
        settings.jit, settings.threads = tier, threads
        y = ng.jit(fn)(*args)
        found.append([numpy.asarray(v) for v in (y if isinstance(y, tuple) else (y,))])
    for one, two in zip(found[1], found[2], strict=True):
        numpy.testing.assert_array_equal(one, two)
    for a, b in zip(found[0], found[1], strict=True):
        assert a.dtype == b.dtype
        close = 1e-10 if precise else 1e-5
        numpy.testing.assert_allclose(b, a, rtol=close, atol=close * 1e-1)
    return found[1]


@pytest.mark.parametrize(
    "shape", [(1, 5), (5, 1), (3, 4), (300, 7), (7, 300), (40, 2, 129), (2, 3, 4, 1000), (200, 513)]
)
def test_softmax_and_its_gradient(settings, rng, shape):
    x, w = rng.normal(size=shape), rng.normal(size=shape)
    both(settings, ng.value_and_grad(softmax, (0, 1)), x, w)


def test_softmax_is_one_launch_with_scratch_memory(settings, rng):
    settings.jit = 2
    x = rng.normal(size=(40_000, 100))
    low = ng.jit(lambda x: np.softmax(x, axis=-1)).lower(x)
    assert len(low.launches) == 1
    assert low._compiled._arena_bytes < x.nbytes / 4


def test_rows_over_several_axes_and_views(settings, rng):
    def fn(x, v):
        m = np.mean(x, axis=(2, 3), keepdims=True)
        s = np.sqrt(np.mean((x - m) ** 2, axis=(2, 3)))
        y = (x - m) / s[:, :, None, None] * v
        return y, np.sum(y * y, axis=(2, 3)), np.sum(y), s[::2]

    x, v = rng.normal(size=(6, 5, 7, 9)), rng.normal(size=9)
    both(settings, fn, x, v)
    both(settings, ng.grad(lambda x, v: sum(np.sum(np.sin(y)) for y in fn(x, v)), (0, 1)), x, v)


def test_what_is_not_of_the_row_waits(settings, rng):
    """Row results that are read shifted, transposed or in another order need all rows first."""

    def fn(x):
        s = np.sum(x, axis=1)
        e = x - s[:, None]
        return (
            x * np.roll(s, 1)[:, None],
            x * s[None, :],
            np.sum(e * e.T, axis=1),
            np.max(e[::-1], axis=1) + s,
            np.sum(e[1:], axis=1),
            np.cumsum(s),
        )

    both(settings, fn, rng.normal(size=(50, 50)))


def test_a_pass_over_the_rows_gathers_their_sums(settings, rng):
    """Sums over rows beside sums of rows, and sums of one number a row: all in one pass."""

    def fn(x, w, y):
        z = x @ w
        return np.mean(np.log1p(np.exp(-y * z))) + 0.5 * np.sum(w * w)

    x, w, y = rng.normal(size=(5000, 30)), rng.normal(size=30), rng.choice([-1.0, 1.0], 5000)
    names = ng.jit(ng.value_and_grad(fn, 1)).lower(x, w, y).launches
    assert sum("log1p" in name for name in names) <= 2  # the pass, and the join of its parts
    for n, d in ((5000, 30), (1, 30), (37, 200), (30_000, 2), (3, 1000)):
        x, w, y = rng.normal(size=(n, d)), rng.normal(size=d), rng.choice([-1.0, 1.0], n)
        both(settings, ng.grad(fn, (0, 1)), x, w, y)
        both(settings, fn, x, w, y)
    both(settings, lambda x: (np.max(x - np.sum(x, axis=1, keepdims=True), axis=0), np.prod(np.sum(x, axis=1))),
         rng.uniform(0.2, 0.21, (300, 5)))  # fmt: skip


def test_units_without_a_cycle(settings, rng):
    """Rows of two kinds that need each other's results in turn."""

    def fn(x, y):
        for _ in range(3):
            a = np.sum(x, axis=1, keepdims=True)
            y = y / (1 + np.abs(np.sum(y * a.T[:, :30], axis=1, keepdims=True)))
            x = x / (1 + np.abs(a + np.sum(y, axis=1, keepdims=True)[:40]))
        return x, y

    both(settings, fn, rng.normal(size=(40, 20)), rng.normal(size=(60, 30)))


def test_other_dtypes(settings, rng):
    def fn(x, k):
        m = np.max(k, axis=1, keepdims=True)
        p = np.mean(x, axis=1, keepdims=True)
        return k - m, np.sum(k == m, axis=1), (x - p).astype("float64"), np.any(x > p, axis=1), np.argmax(k - m, axis=1)

    both(
        settings,
        fn,
        rng.normal(size=(30, 40)).astype("float32"),
        rng.integers(-9, 9, (30, 40)).astype("int8"),
        precise=False,
    )
    both(settings, lambda h: np.softmax(h), rng.normal(size=(30, 40)).astype("float16"), precise=False)
