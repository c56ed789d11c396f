"""Random graphs on CUDA, their kernels executed on the CPU: they have the plain meaning of the graph."""

import numpy
import pytest
from compile.graphs import Recipe, evaluate

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import graph
from nbgrad.testing import cuda

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")


def agree(function, arguments, what):
    """Hold the executed kernels against the plain meaning of the traced graph; floats against the largest element."""
    graph.state.tracked += 1
    try:
        results = function(*[ng.asarray(a) for a in arguments])
        low = cuda.lowered(function, *arguments)
    finally:
        graph.state.tracked -= 1
    nodes = [r._node for r in results]
    single = any(n.dtype.itemsize < 8 and n.dtype.kind == "f" for n in graph.topological(nodes))
    with numpy.errstate(all="ignore"):
        expected = evaluate(nodes)
        found = cuda.run(low, arguments, grid=3, block=32)
    for k, (f, e) in enumerate(zip(found, map(numpy.asarray, expected), strict=True)):
        assert (f.dtype, f.shape) == (e.dtype, e.shape), what
        if e.dtype.kind != "f":
            numpy.testing.assert_array_equal(f, e, err_msg=f"{what}, output {k}")
            continue
        scale = max(numpy.abs(e[numpy.isfinite(e)]).max(initial=0), 1e-3)
        precision = 2e-4 if single else 1e-10
        numpy.testing.assert_allclose(f, e, rtol=precision, atol=precision * scale, err_msg=f"{what}, output {k}")


def check(seed, **options):
    recipe = Recipe(seed, **options)
    arguments = recipe.inputs()
    agree(recipe, arguments, f"seed {seed}")
    floats = tuple(k for k, a in enumerate(arguments) if a.dtype.kind == "f")
    if not floats or not any(y.dtype.kind == "f" for y in recipe(*[ng.asarray(a) for a in arguments])):
        return
    total = lambda *xs: sum(np.sum(y * 0.1) for y in recipe(*xs) if y.dtype.kind == "f")  # noqa: E731

    def gradients(*xs):
        found = ng.grad(total, floats)(*xs)
        return found if isinstance(found, tuple) else (found,)

    agree(gradients, arguments, f"the gradient of seed {seed}")


@pytest.mark.parametrize("seed", range(12))
def test_kernels_have_the_meaning_of_the_graph(seed):
    check(seed, steps=12)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_kernels_of_many(seed):
    check(seed, steps=12)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(2000, 2040))
def test_kernels_of_large_arrays(seed):
    check(seed, steps=8, extents=(1, 2, 30, 130, 300, 1025))
