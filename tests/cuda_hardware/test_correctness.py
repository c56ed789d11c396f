"""What a GPU computes: every primitive, and gradients of programs, beside oracles and the kernels of the CPU."""

import importlib.util
import os
from pathlib import Path

import numpy
import pytest
from gpu.test_workloads import PROGRAMS, ULPS, measured
from primitives.table import ANY, ELEMENTWISE, ON_DEVICES
from primitives.test_values import assert_near, each, exact

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import trees

PRETENDS = os.environ.get("NBGRAD_PRETEND_DEVICE") == "1"
#: Errors allowed where NVIDIA's library computes what the CPU does in float64.
LIBDEVICE = {("tan", "float32"): 4}
#: Elements that are compared with the CPU's, besides those that are compared with the oracle: an odd number, and
#: enough for vectors and many blocks.
MANY = 103 if PRETENDS else 100_003


def on_gpu(fn, *arguments):
    """Results of a jitted function of arrays on the device, as ndarrays."""
    result = ng.jit(fn)(*(ng.asarray(a, device="cuda:0") for a in arguments))
    assert all(r.device == "cuda:0" for r in (result if isinstance(result, tuple) else (result,)))
    return tuple(map(numpy.asarray, result)) if isinstance(result, tuple) else numpy.asarray(result)


def on_cpu(fn, *arguments):
    """The same by the CPU's kernels."""
    ng.config.jit = 2
    with numpy.errstate(all="ignore"):
        return numpy.asarray(ng.jit(fn)(*arguments))


def assert_as_on_the_cpu(found, expected, ulp):
    """Within so many units in the last place of each other."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if found.dtype.kind == "f":
        eps = numpy.finfo(found.dtype).eps
        scale = float(numpy.abs(expected).max(initial=0))
        numpy.testing.assert_allclose(found, expected, rtol=ulp * eps, atol=eps * scale * ulp)
    else:
        numpy.testing.assert_array_equal(found, expected)


@each(ELEMENTWISE, *ANY)
def test_elementwise(row, dtype):
    """As near to the exact values as the row says; and many elements, as near to the CPU's as both may be."""
    floats = numpy.dtype(dtype).kind == "f"
    ulp = LIBDEVICE.get((row.name, dtype), row.ulp)
    arguments = row.sample(dtype, (24,))
    found = on_gpu(row.primitive, *arguments)
    assert_as_on_the_cpu(found, on_cpu(row.primitive, *arguments), ulp + row.ulp if floats else 4)
    if found.dtype.kind == "f" and floats:
        assert_near(found, exact(row, arguments), ulp, row.name)
    arguments = row.sample(dtype, (MANY,))
    found, expected = on_gpu(row.primitive, *arguments), on_cpu(row.primitive, *arguments)
    assert_as_on_the_cpu(found, expected, ulp + row.ulp if floats else 4)


@each(ELEMENTWISE)
def test_elementwise_of_nothing(row):
    arguments = row.sample(row.dtypes[0], (0, 3))
    assert_as_on_the_cpu(on_gpu(row.primitive, *arguments), on_cpu(row.primitive, *arguments), 0)


@each(ELEMENTWISE, "float64", "float32")
def test_special_values(row, dtype):
    """Infinities, zeros of both signs and nan give what the CPU's kernels give."""
    special = numpy.array([0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, 1.0, -1.0, 2.5], dtype)
    arguments = [numpy.roll(numpy.repeat(special, 8) if k else numpy.tile(special, 8), k) for k in range(row.arity)]
    if row.name == "where":
        arguments[0] = arguments[0] > 0
    found, expected = on_gpu(row.primitive, *arguments), on_cpu(row.primitive, *arguments)
    numpy.testing.assert_array_equal(numpy.isnan(found), numpy.isnan(expected))
    finite = numpy.isfinite(expected)
    numpy.testing.assert_array_equal(found[~finite], expected[~finite])
    numpy.testing.assert_allclose(found[finite], expected[finite], rtol=4 * numpy.finfo(dtype).eps)
    numpy.testing.assert_array_equal(numpy.signbit(found[found == 0]), numpy.signbit(expected[found == 0]))


@each(ON_DEVICES, *ANY)
def test_structural(row, dtype):
    """What the oracle and the CPU's kernels say, also of arrays of no elements."""
    for case in (*row.cases, *row.empty):
        arguments = row.arguments(case, dtype)
        fn = lambda *a, c=case: row.primitive(*a, **c.attrs)  # noqa: E731
        found = on_gpu(fn, *arguments)
        assert_as_on_the_cpu(found, on_cpu(fn, *arguments), 2 * max(row.ulp, 1))
        if not found.size:
            continue
        expected = numpy.asarray(row.oracle(*arguments, **case.attrs))
        assert found.shape == expected.shape
        if found.dtype.kind != "f":
            numpy.testing.assert_array_equal(found, expected)
            continue
        expected = expected.astype("longdouble")
        error = max(row.ulp, 1) * numpy.finfo(found.dtype).eps
        numpy.testing.assert_allclose(found, expected, rtol=error, atol=error * float(abs(expected).max()))


def cast(arguments, dtype):
    """(arrays of the leaves, structure), the floats in a dtype."""
    leaves, structure = trees.flatten(tuple(arguments))
    arrays = [numpy.asarray(a) for a in leaves]
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays], structure


def read(result):
    return [numpy.asarray(x) for x in trees.flatten(result)[0]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_programs(name, dtype):
    """Within ULPS of the largest element of the CPU's; the same bits in each run, in another stream and in a graph."""
    fn, wrt, make = PROGRAMS[name]
    rng = numpy.random.default_rng(5)
    arrays, structure = cast(make(lambda *shape: rng.normal(size=shape)), dtype)
    there = trees.unflatten(structure, [ng.asarray(a, device="cuda:0") for a in arrays])
    run = ng.jit(ng.value_and_grad(fn, wrt))
    ng.config.jit = 2
    expected, found = read(run(*trees.unflatten(structure, arrays))), read(run(*there))
    for f, e in zip(found, expected, strict=True):
        assert f.dtype == e.dtype == dtype
        scale = max(float(numpy.abs(e).max(initial=0)), 1e-30)
        numpy.testing.assert_allclose(f, e, rtol=0, atol=ULPS * numpy.finfo(dtype).eps * scale)
    with ng.cuda.stream(ng.cuda.Stream()):
        again = read(run(*there))
    replayed = read(run.lower(*there).graph().launch(*there))
    for other in (again, replayed):
        for f, o in zip(found, other, strict=True):
            numpy.testing.assert_array_equal(o, f)


def sizes(name, rng):
    """Arguments of a measured workload: as it is measured, or small where the device pretends."""
    normal = lambda *shape: rng.normal(size=shape)  # noqa: E731
    if not PRETENDS:
        return measured.CASES[name][2](rng)
    if name == "recurrent":
        return normal(2, 3), normal(3, 3), normal(100, 2, 2), numpy.zeros((2, 3))
    return PROGRAMS[name][2](normal)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", measured.CASES)
def test_gradients_as_large_as_they_are_measured(name, dtype):
    """In float64 near to the CPU's; in float32 not much farther from float64 than the CPU's are."""
    fn, wrt, _ = measured.CASES[name]
    arrays, structure = cast(sizes(name, numpy.random.default_rng(0)), dtype)
    run = ng.jit(ng.value_and_grad(fn, wrt))
    ng.config.jit = 2
    found = read(run(*trees.unflatten(structure, [ng.asarray(a, device="cuda:0") for a in arrays])))
    here = read(run(*trees.unflatten(structure, arrays)))
    wide = read(run(*trees.unflatten(structure, [a.astype("float64") if a.dtype.kind == "f" else a for a in arrays])))
    for f, e, w in zip(found, here, wide, strict=True):
        assert (f.dtype, f.shape) == (e.dtype, e.shape)
        scale = max(float(numpy.abs(w).max(initial=0)), 1e-30)
        theirs = float(numpy.abs(e - w).max(initial=0))
        numpy.testing.assert_allclose(f, w, rtol=0, atol=4 * theirs + 4 * ULPS * numpy.finfo(dtype).eps * scale)


_spec = importlib.util.spec_from_file_location(
    "hardware_layouts", Path(__file__).resolve().parents[1] / "gpu" / "test_block_kernels.py"
)
blocks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(blocks)


@pytest.mark.parametrize(("shape", "axes"), blocks.LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_reductions_of_all_layouts(rng, shape, axes, dtype):
    """Rows within a warp, of whole blocks, in parts, and columns."""
    x = rng.normal(size=shape).astype(dtype)
    f = lambda xp, x: (xp.sum(x, axis=axes), xp.max(x, axis=axes), xp.sum(x * x, axis=axes))  # noqa: E731
    wide = x.astype("longdouble")
    size = float(numpy.abs(wide).sum(axis=axes).max()), 0.0, float((wide * wide).sum(axis=axes).max())
    for found, expected, s in zip(on_gpu(lambda x: f(np, x), x), f(numpy, wide), size, strict=True):
        numpy.testing.assert_allclose(found, expected, rtol=0, atol=4 * numpy.finfo(dtype).eps * s)


@pytest.mark.parametrize(("a", "b"), blocks.PRODUCTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_products_of_all_shapes(rng, a, b, dtype):
    """Tiles that are not full, stacks, and sums in parts."""
    x, y = (rng.normal(size=a) * 3).astype(dtype), (rng.normal(size=b) * 3).astype(dtype)
    found = on_gpu(np.matmul, x, y)
    if dtype == "int32":
        numpy.testing.assert_array_equal(found, x @ y)
        return
    exact_ = x.astype("longdouble") @ y.astype("longdouble")
    size = float((abs(x).astype("longdouble") @ abs(y).astype("longdouble")).max())
    numpy.testing.assert_allclose(found, exact_, rtol=0, atol=4 * a[-1] ** 0.5 * numpy.finfo(dtype).eps * size)


@pytest.mark.parametrize("shape", [(37, 19), (700, 50), (5, 1300), (2000, 4), (1, 40), (3000, 2)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gradients_of_layer_normalisations(rng, shape, dtype):
    """Nests over the same rows, long and short; beside float64 on the CPU."""
    arguments = rng.normal(size=shape).astype(dtype), *rng.normal(size=(2, shape[1])).astype(dtype)

    def layer(x, w, b):
        m = np.mean(x, axis=1, keepdims=True)
        v = np.mean((x - m) ** 2, axis=1, keepdims=True)
        return np.sum(np.sin((x - m) / np.sqrt(v + 1e-3) * w + b))

    gradient = ng.grad(layer, (0, 1, 2))
    ng.config.jit = 2
    expected = read(ng.jit(gradient)(*(a.astype("float64") for a in arguments)))
    for found, e in zip(on_gpu(gradient, *arguments), expected, strict=True):
        scale = float(numpy.abs(e).max())
        numpy.testing.assert_allclose(found, e, rtol=0, atol=2000 * numpy.finfo(dtype).eps * scale)
