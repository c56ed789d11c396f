"""What a GPU computes: every primitive, gradients of programs, and the same bits each time."""

import numpy
import pytest
from gpu.test_workloads import PROGRAMS, ULPS
from primitives.table import ELEMENTWISE, STRUCTURAL
from primitives.test_values import assert_near, each, exact

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import trees

DTYPES = "float64", "float32", "int64", "int32", "int8", "uint8", "bool"
#: Errors allowed where NVIDIA's library computes what the CPU does in float64.
LIBDEVICE = {("tan", "float32"): 4}


def on_gpu(fn, *arguments):
    """Results of a jitted function of arrays on the device, as ndarrays."""
    result = ng.jit(fn)(*(ng.asarray(a, device="cuda:0") for a in arguments))
    assert all(r.device == "cuda:0" for r in (result if isinstance(result, tuple) else (result,)))
    return tuple(map(numpy.asarray, result)) if isinstance(result, tuple) else numpy.asarray(result)


@each(ELEMENTWISE, *DTYPES)
def test_elementwise(row, dtype):
    """As near to the exact values as the row says."""
    arguments = row.sample(dtype, (24,))
    found = on_gpu(row.primitive, *arguments)
    expected = numpy.asarray(ng.jit(row.primitive)(*arguments))
    assert found.dtype == expected.dtype
    if found.dtype.kind == "f" and numpy.dtype(dtype).kind == "f":
        assert_near(found, exact(row, arguments), LIBDEVICE.get((row.name, dtype), row.ulp), row.name)
    else:
        numpy.testing.assert_array_equal(found, expected)


@each(ELEMENTWISE, "float64", "float32")
def test_special_values(row, dtype):
    """Infinities, zeros of both signs and nan give what the CPU's kernels give."""
    special = numpy.array([0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, 1.0, -1.0, 2.5], dtype)
    arguments = [numpy.roll(numpy.repeat(special, 8) if k else numpy.tile(special, 8), k) for k in range(row.arity)]
    if row.name == "where":
        arguments[0] = arguments[0] > 0
    ng.config.jit = 2
    found = on_gpu(row.primitive, *arguments)
    with numpy.errstate(all="ignore"):
        expected = numpy.asarray(ng.jit(row.primitive)(*arguments))
    numpy.testing.assert_array_equal(numpy.isnan(found), numpy.isnan(expected))
    finite = numpy.isfinite(expected)
    numpy.testing.assert_array_equal(found[~finite], expected[~finite])
    numpy.testing.assert_allclose(found[finite], expected[finite], rtol=8 * numpy.finfo(dtype).eps)


@each(STRUCTURAL, *DTYPES)
def test_structural(row, dtype):
    """What the oracle says, also of arrays of no elements."""
    for case in (*row.cases, *row.empty):
        arguments = row.arguments(case, dtype)
        found = on_gpu(lambda *a, c=case: row.primitive(*a, **c.attrs), *arguments)
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


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_of_programs(name, dtype):
    """Within ULPS of the largest element of the CPU's; the same bits in each run, in another stream and in a graph."""
    fn, wrt, make = PROGRAMS[name]
    rng = numpy.random.default_rng(5)
    leaves, structure = trees.flatten(tuple(make(lambda *shape: rng.normal(size=shape))))
    arrays = [numpy.asarray(a) for a in leaves]
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    there = [ng.asarray(a, device="cuda:0") for a in arrays]
    run = ng.jit(ng.value_and_grad(fn, wrt))
    read = lambda result: [numpy.asarray(x) for x in trees.flatten(result)[0]]  # noqa: E731
    expected, found = read(run(*trees.unflatten(structure, arrays))), read(run(*trees.unflatten(structure, there)))
    for f, e in zip(found, expected, strict=True):
        assert f.dtype == e.dtype == dtype
        scale = max(float(numpy.abs(e).max(initial=0)), 1e-30)
        numpy.testing.assert_allclose(f, e, rtol=0, atol=ULPS * numpy.finfo(dtype).eps * scale)
    with ng.cuda.stream(ng.cuda.Stream()):
        again = read(run(*trees.unflatten(structure, there)))
    replayed = read(run.lower(*trees.unflatten(structure, there)).graph().launch(*trees.unflatten(structure, there)))
    for other in (again, replayed):
        for f, o in zip(found, other, strict=True):
            numpy.testing.assert_array_equal(o, f)


def test_large_sums_and_products_are_the_same_bits_each_time(rng):
    """Rows in parts, columns, long sums of products, scatters: what blocks finish first must not matter."""
    x, i = rng.normal(size=(3000, 70)).astype("float32"), rng.integers(0, 50, 3000)

    def f(x, i):
        return np.sum(x), np.sum(x, axis=0), x.T @ x, np.segment_sum(x, i, 50)

    first = on_gpu(f, x, i)
    for _ in range(2 if ng.cuda.memory_info().total < 2**30 else 20):
        for a, b in zip(first, on_gpu(f, x, i), strict=True):
            numpy.testing.assert_array_equal(a, b)


def test_memory_is_given_back_and_bounded(rng):
    """What is freed is used again, and beyond the limit is an error with figures, after which all goes on."""
    before = ng.cuda.memory_info()
    for _ in range(5):
        x = ng.asarray(rng.normal(size=1000), device="cuda:0")
        float(np.sum(x * x))
        del x
    ng.cuda.free_cached()
    assert ng.cuda.memory_info().used <= before.used + (1 << 21)
    ng.config.cuda_memory_limit = ng.cuda.memory_info().used + (1 << 20)
    with pytest.raises(ng.DeviceError):
        ng.asarray(numpy.zeros(1 << 22), device="cuda:0").realize()
    ng.config.cuda_memory_limit = 0.8
    assert float(np.sum(ng.asarray(numpy.ones(9), device="cuda:0"))) == 9.0
