"""Whole gradient programs in Numba's CUDA simulator, beside the kernels of the CPU."""

from simulated import lowered, on_the_cpu, run, traced  # isort: skip  - or why all of this is skipped

import functools
import importlib.util
from pathlib import Path

import numpy
import optree
import pytest

import nbgrad as ng
import nbgrad.numpy as np


@functools.cache
def workloads():
    """The module of the benchmarks' programs."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "workloads.py"
    spec = importlib.util.spec_from_file_location("workloads", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_benchmarks(name, make, **options):
    """One of the benchmarks' programs, with few elements."""

    def made(rng):
        w = workloads()
        fn = getattr(w, name)
        return functools.partial(fn, **options) if options else fn, w.CASES[name][1], make(w, rng)

    return made


def program(*shapes, wrt=None):
    """A function of normally distributed arrays as one of these programs."""

    def declare(fn):
        def made(rng):
            arguments = tuple(rng.normal(size=s) for s in shapes)
            return fn, tuple(range(len(shapes))) if wrt is None else wrt, arguments

        made.__name__ = fn.__name__
        return made

    return declare


@program((3, 9), (9,), (9,))
def layer_norm(x, w, b):
    m = np.mean(x, axis=1, keepdims=True)
    v = np.mean((x - m) ** 2, axis=1, keepdims=True)
    return np.sum(np.sin((x - m) / np.sqrt(v + 1e-3) * w + b))


@program((6, 4), (4, 3))
def embedding(table, w):
    """Rows that are gathered more than once: their cotangents are scattered back."""
    rows = table[numpy.array([0, 5, 0, 2, 2, 2, 1])]
    return np.sum(np.tanh(rows @ w) ** 2)


@program((3, 6), (3, 6))
def cumulative(x, y):
    return np.sum(np.sin(np.cumsum(x, axis=1)) * np.cumprod(1 + 0.1 * y, axis=0))


@program((5, 5), (5, 2))
def gaussian_process(a, b):
    """Log-likelihood: a factor, its diagonal, and a triangular system."""
    kernel = a @ a.T + 5 * np.eye(5, dtype=a.dtype)
    factor = np.linalg.cholesky(kernel)
    return np.sum(np.log(np.diagonal(factor))) + np.sum(np.linalg.solve(kernel, b) * b)


@program((12, 8), (3, 3))
def convolution(image, kernel):
    """By slices, with a border of zeros and every second place of the result."""
    x, total = np.pad(image, 1), 0.0
    for i in range(3):
        for j in range(3):
            total = total + x[i : i + 12, j : j + 8] * kernel[i, j]
    return np.sum(np.maximum(total, 0.0)[::2, ::-2] ** 2)


@program((2, 4), (4, 4), (2, 5, 2))
def unrolled(wx, wh, x):
    h = np.zeros((5, 4), dtype=x.dtype)
    for t in range(2):
        h = np.tanh(x[t] @ wx + h @ wh)
    return np.mean(h * h)


@program((4, 6))
def extrema(x):
    """Cotangents go to where the largest and the smallest were, and through logarithms of sums."""
    y = np.where(x > 0, x, 0.1 * x)
    return np.sum(np.max(x, axis=0) * np.min(y, axis=0)) + np.sum(np.logaddexp(x[:, :3], y[:, 3:]))


@program((2, 3, 4), (2, 4, 3))
def attention(q, k):
    """Stacks of products, and a softmax of rows between them."""
    weights = np.exp(np.log_softmax(q @ k, axis=-1))
    return np.sum((weights @ q) ** 2)


@program((3, 4), (2, 4))
def joined(a, b):
    """Parts of arrays put side by side, and taken apart again."""
    whole = np.concatenate([a, b, a[::-1]], axis=0)
    return np.sum(np.exp(whole[1:7, 1:] * 0.3) * np.transpose(whole)[:3].T[:6])


PROGRAMS = {
    "black_scholes": of_benchmarks("black_scholes", lambda w, rng: w.options(rng, 7)),
    "softmax": of_benchmarks("softmax", lambda w, rng: tuple(rng.normal(size=(2, 5, 7)))),
    "logistic": of_benchmarks("logistic", lambda w, rng: (rng.normal(size=4), rng.normal(size=(9, 4)), rng.random(9))),
    "column_moments": of_benchmarks("column_moments", lambda w, rng: (rng.gamma(3.0, size=(12, 3)),)),
    "attraction": of_benchmarks("attraction", lambda w, rng: (rng.normal(size=(4, 3)), rng.random(4))),
    "perceptron": of_benchmarks("perceptron", lambda w, rng: (
        w.layers(rng, (6, 5, 3)), rng.random((4, 6)), numpy.eye(3)[[0, 2, 1, 0]])),
    "heat": of_benchmarks("heat", lambda w, rng: (rng.random((6, 7)), 0.2 * rng.random((6, 7))), steps=2),
    "messages": of_benchmarks("messages", lambda w, rng: w.graph(rng, 5, 9, 3)),
    **{p.__name__: p for p in (layer_norm, embedding, cumulative, gaussian_process, convolution, unrolled, extrema,
                               attention, joined)},
}  # fmt: skip
#: Of terms that cancel: how large they are next to the results.
CANCELLING = {"attraction": 1000}  # what a particle exerts upon itself


def flat(rng, made, dtype):
    """(value and gradients as a function of arrays, these arrays)."""
    fn, wrt, arguments = made(rng)
    leaves, tree = optree.tree_flatten(arguments)
    leaves = [a.astype(dtype) if a.dtype.kind == "f" else a for a in map(numpy.asarray, leaves)]

    def gradients(*leaves):
        return optree.tree_leaves(ng.value_and_grad(fn, wrt)(*optree.tree_unflatten(tree, leaves)))

    return gradients, leaves


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("small_blocks")
def test_gradients(rng, name, dtype):
    """A value and its gradients, in the precision of the arguments."""
    fn, arguments = flat(rng, PROGRAMS[name], dtype)
    low = traced(fn, *arguments)
    assert not any(launch.host for launch in low.launches), "computed on the host"
    eps = numpy.finfo(dtype).eps
    expectations = on_the_cpu(fn, *arguments)
    scale = max(numpy.abs(e).max() for e in expectations) * CANCELLING.get(name, 1)
    for found, expected in zip(run(low, arguments), expectations, strict=True):
        assert found.dtype == expected.dtype == dtype
        numpy.testing.assert_allclose(found, expected, rtol=500 * eps, atol=500 * eps * scale)


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "embedding"])
@pytest.mark.usefixtures("small_blocks")
def test_grids_of_all_sizes_give_the_same_bits(rng, name):
    fn, arguments = flat(rng, PROGRAMS[name], "float32")
    low = traced(fn, *arguments)
    for a, b in zip(run(low, arguments, 1, 1), run(low, arguments, 3, 7), strict=True):
        numpy.testing.assert_array_equal(a, b)


def test_sums_in_parts_are_joined_by_the_last_block(rng):
    """Long rows of blocks as large as on a device, which count those that are done."""
    x = rng.normal(size=9000)
    for grid in (1, 3):
        (found,) = run(lowered(np.sum, x), [x], grid)
        numpy.testing.assert_allclose(found, x.sum(), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_columns_of_blocks_as_large_as_on_a_device(rng, dtype):
    x = rng.normal(size=(40, 35)).astype(dtype)
    found = run(lowered(lambda x: (np.sum(x, axis=0), np.max(x, axis=0)), x), [x], grid=3)
    numpy.testing.assert_allclose(found[0], x.sum(0), rtol=1e-4 if dtype == "float32" else 1e-13, atol=1e-5)
    numpy.testing.assert_array_equal(found[1], x.max(0))


def test_products_of_more_tiles_than_one(rng):
    """Each thread computes four elements along each side; neither extent is a multiple of a tile."""
    a, b = rng.normal(size=(66, 19)), rng.normal(size=(19, 35))
    for grid in (1, 2):
        (found,) = run(lowered(np.matmul, a, b), (a, b), grid)
        numpy.testing.assert_allclose(found, a @ b, rtol=1e-12, atol=1e-13)


#: Functions of arrays of float32, int32, uint8, bool and float16.
MIXED = {
    "whole numbers and floats": lambda f, i, u, b, h: (f * i, f + u, i / 2, np.sqrt(np.abs(i)), 2**f),
    "whole numbers": lambda f, i, u, b, h: (i // 3, i % 3, i * i - u, -i, i << 2, ~u, u & 3, u - 200,
                                            np.maximum(u, 100)),
    "sums of small integers": lambda f, i, u, b, h: (np.sum(u, axis=0), np.sum(u * 3, axis=1), np.max(u),
                                                     np.mean(i, axis=1)),
    "booleans": lambda f, i, u, b, h: (np.sum(b, axis=0), np.any(b, axis=1), np.all(b), np.where(b, f, 0) * 2),
    "halves": lambda f, i, u, b, h: (np.sum(h, axis=1), np.max(h, axis=0), np.exp(h) * h + 1, np.tanh(h) * f),
    "casts": lambda f, i, u, b, h: ((f * 100).astype("int32") * 2, f.astype("bool"), (f > 0).astype("float32") * f,
                                    u.astype("uint64") // 5, f.astype("float16"), (f * 9 + 99).astype("uint8")),
    "constants": lambda f, i, u, b, h: (f**3, np.abs(f) ** -1.5, f % 2, 1 / f, f / 3 + 0.1, np.sign(f),
                                        np.clip(f, -1, 0.5)),
    "quotients of one": lambda f, i, u, b, h: np.reciprocal(1 + f * f) * f,
    "places": lambda f, i, u, b, h: (np.argmax(f, axis=1) * 2, f[np.abs(i[:, 0]) % 4], f[:, [0, 4, 0]] * 2),
    "products": lambda f, i, u, b, h: (i @ i.T, f @ f.T + 1, np.cumsum(i, axis=1)),
    "large angles": lambda f, i, u, b, h: (np.sin(f * 1e4), np.cos(f * 1e7), np.tan(f * 30), np.sin(f * 1e30)),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.usefixtures("small_blocks")
def test_dtypes(rng, name):
    """Arithmetic of several dtypes has those of the CPU's kernels, inside as well: float32 is never a float64."""
    arguments = [rng.normal(size=(4, 5)).astype("float32"), rng.integers(-5, 6, (4, 5)).astype("int32"),
                 rng.integers(0, 255, (4, 5)).astype("uint8"), rng.random((4, 5)) > 0.5,
                 rng.normal(size=(4, 5)).astype("float16")]  # fmt: skip
    for found, expected in zip(run(traced(MIXED[name], *arguments), arguments), on_the_cpu(MIXED[name], *arguments),
                               strict=True):  # fmt: skip
        assert found.dtype == expected.dtype
        close = 0 if found.dtype.kind != "f" else 16 * numpy.finfo(found.dtype).eps
        numpy.testing.assert_allclose(found.astype("float64"), expected.astype("float64"), rtol=close, atol=close)
