"""Gradients of whole programs on CUDA, their kernels executed on the CPU, beside the kernels of the CPU."""

import importlib.util
import itertools
from pathlib import Path

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import graph, trees
from nbgrad.compile.cuda.lower import CudaLowering
from nbgrad.compile.lower import Lowering
from nbgrad.compile.simplify import simplify
from nbgrad.testing import cuda

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")

_spec = importlib.util.spec_from_file_location(
    "cuda_workloads", Path(__file__).resolve().parents[2] / "benchmarks" / "workloads.py"
)
measured = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(measured)

#: Units in the last place of the largest element of a gradient by which the two may differ: sums are taken in another
#: order, and multiplications and additions are fused elsewhere.
ULPS = 256


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def weibull(p, logt, seen):
    k, scale = np.exp(p[0]), p[1]
    z = k * (logt - scale)
    return -np.sum(seen * (p[0] - logt + z) - np.exp(z))


def distances(a, b, c, d):
    h = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return np.sum(2 * np.arctan2(np.sqrt(h), np.sqrt(1 - h)))


def attention(q, k, v):
    weights = np.softmax(q @ np.swapaxes(k, -1, -2) / 4.0, axis=-1)
    return np.sum(np.tanh(weights @ v) ** 2)


def products(a, b, c, d):
    return np.sum(((a @ b) @ (c @ d)) ** 2)


def gaussian_process(p, x, y, eye):
    squares = np.sum((x[:, None] - x[None]) ** 2, axis=2)
    kernel = np.exp(p[0]) * np.exp(-squares * np.exp(p[1])) + np.exp(p[2]) * eye + 0.1 * eye
    factor = np.linalg.cholesky(kernel)
    z = np.linalg.solve(kernel, y[:, None])[:, 0]
    return 0.5 * np.sum(y * z) + np.sum(np.log(np.sum(factor * eye, axis=0)))


def mixture(alphas, means, scales, x):
    z = (x[:, None] - means[None]) * np.exp(scales)[None]
    each = alphas + np.sum(scales, axis=1) - 0.5 * np.sum(z * z, axis=2)
    return np.sum(np.logsumexp(each, axis=1)) - len(x) * np.logsumexp(alphas)


def diffusion(x, coefficient):
    lap = 4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]
    flux = lap[1:] - lap[:-1]
    limited = np.where(flux * (x[2:-1, 1:-1] - x[1:-2, 1:-1]) > 0, 0.0, flux)
    return np.sum((coefficient * (limited[1:] - limited[:-1])) ** 2)


def seidel(a, w):
    for _ in range(2):
        for i in range(1, a.shape[0] - 1):
            a[i, 1:-1] = (a[i - 1, 1:-1] + a[i + 1, 1:-1] + a[i, :-2] + a[i, 2:]) / 4.0
    return np.sum(a * w)


def convolution(x, w, b):
    rows, columns = x.shape[0] - 2, x.shape[1] - 2
    out = b
    for i, j in itertools.product(range(3), range(3)):
        out = out + w[i, j] * x[i : i + rows, j : j + columns]
    out = np.maximum(out, 0.0)
    return np.sum(np.max(out.reshape(rows // 2, 2, columns // 2, 2), axis=(1, 3)) ** 2)


def curvature(p, x, y, v):
    loss = lambda p: np.mean((np.tanh(x @ p) - y) ** 2)  # noqa: E731
    return np.sum(ng.grad(loss)(p) * v)


PROGRAMS = {
    "rosenbrock": (rosenbrock, 0, lambda n: (n(70),)),
    "weibull": (weibull, 0, lambda n: (n(2) * 0.3, n(500), (n(500) > 0) * 1.0)),
    "distances": (distances, (0, 1, 2, 3), lambda n: tuple(0.3 * n(4, 700))),
    "attention": (attention, (0, 1, 2), lambda n: (n(2, 3, 20, 16), n(2, 3, 20, 16), n(2, 3, 20, 16))),
    "products": (products, (0, 1, 2, 3), lambda n: (n(20, 30), n(30, 10), n(10, 40), n(40, 20))),
    "gaussian_process": (gaussian_process, 0, lambda n: (n(3) * 0.3, n(40, 3), n(40), numpy.eye(40))),
    "mixture": (mixture, (0, 1, 2), lambda n: (n(5), n(5, 3), 0.3 * n(5, 3), n(400, 3))),
    "diffusion": (diffusion, (0, 1), lambda n: (n(24, 20, 3), n(20, 18, 3))),
    "seidel": (seidel, (0, 1), lambda n: (n(8, 9), n(8, 9))),
    "convolution": (convolution, (0, 1, 2), lambda n: (n(22, 26), n(3, 3), n(1, 1))),
    "curvature": (curvature, 0, lambda n: (n(12), n(300, 12), n(300), n(12))),
    "black_scholes": (measured.black_scholes, (0, 1, 2, 3, 4), lambda n: (
        measured.options(numpy.random.default_rng(0), 90)
    )),
    "softmax": (measured.softmax, 0, lambda n: (n(300, 50), n(300, 50))),
    "logistic": (measured.logistic, 0, lambda n: (n(20), n(700, 20), (n(700) > 0) * 1.0)),
    "column_moments": (measured.column_moments, 0, lambda n: (numpy.abs(n(700, 12)) + 0.1,)),
    "attraction": (measured.attraction, (0, 1), lambda n: (n(40, 3), numpy.abs(n(40)))),
    "perceptron": (measured.perceptron, 0, lambda n: (
        [(n(i, o) / i**0.5, numpy.zeros(o)) for i, o in itertools.pairwise((30, 20, 10))], n(40, 30), numpy.eye(10)[:1],
    )),
    "heat": (lambda u, k: measured.heat(u, k, 6), (0, 1), lambda n: (n(20, 24), 0.1 * n(20, 24))),
    "messages": (measured.messages, (0, 1), lambda n: measured.graph(numpy.random.default_rng(0), 60, 500, 8)),
}  # fmt: skip


def both(fn, arguments):
    """(CUDA, CPU) lowerings of a function of nested arguments, traced as jit would, and the leaves."""
    leaves, structure = trees.flatten(arguments)
    inputs = [graph.Node(None, (), (), v.shape, v.dtype, None, True) for v in leaves]
    graph.state.tracked += 1
    try:
        result = fn(*trees.unflatten(structure, [ng.Array(n) for n in inputs]))
    finally:
        graph.state.tracked -= 1
    simplified = simplify(inputs, [x._node for x in trees.flatten(result)[0]])
    return CudaLowering(*simplified), Lowering(*simplified), leaves


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_gradient_is_that_of_the_cpu(name, dtype):
    """Within ULPS, in no more launches, and none of them on the host."""
    fn, wrt, make = PROGRAMS[name]
    rng = numpy.random.default_rng(5)
    cast = lambda a: a.astype(dtype) if a.dtype.kind == "f" else a  # noqa: E731
    leaves, structure = trees.flatten(tuple(make(lambda *shape: rng.normal(size=shape))))
    arguments = trees.unflatten(structure, [cast(numpy.asarray(a)) for a in leaves])
    low, cpu, leaves = both(ng.value_and_grad(fn, wrt), arguments)
    assert not [launch.name for launch in low.launches if launch.host]
    assert len(low.launches) <= len(cpu.launches)
    expected = cpu.compiled().run([numpy.ascontiguousarray(a) for a in leaves])
    for order in ("down", numpy.random.default_rng(1)):
        for found, e in zip(cuda.run(low, leaves, grid=4, block=64, order=order), expected, strict=True):
            assert found.dtype == e.dtype == dtype
            scale = max(float(numpy.abs(e).max(initial=0)), 1e-30)
            numpy.testing.assert_allclose(found, e, rtol=0, atol=ULPS * numpy.finfo(dtype).eps * scale)
