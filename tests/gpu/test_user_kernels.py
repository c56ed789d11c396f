"""Kernels of users on CUDA: elementwise texts, and kernels written for numba.cuda; their IR executed on the CPU."""

import ctypes
import hashlib
import math
import os
import re
import subprocess
import sys
from fractions import Fraction

import numpy
import pytest
from llvmlite import binding

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import graph
from nbgrad.compile.cuda import by_numba
from nbgrad.errors import ArgumentError, KernelError
from nbgrad.kernels._block import shared_int64
from nbgrad.kernels._memory import get, put_at
from nbgrad.primitive import elementwise, structural
from nbgrad.runtime.cuda import link
from nbgrad.runtime.cuda import program as runtime
from nbgrad.runtime.cuda.driver import Function
from nbgrad.testing import cuda as testing
from nbgrad.testing import instructions
from nbgrad.testing.cuda import lowered
from nbgrad.testing.device import pretend_device

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")
cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed: pip install nbgrad[cuda13]")

ARCHITECTURES = (75, 80, 90, 100, 120)
#: Instructions of float64: arithmetic, conversion, and the seeds of quotients and roots.
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)|F2F.*F64|[FI]2[FI].*F64|MUFU.*64H")
ORDERS = ("down", "up", "random")
ROW = 64


def traced(fn, *arguments):
    """A program as jit would trace it."""
    graph.state.tracked += 1
    try:
        return lowered(fn, *arguments)
    finally:
        graph.state.tracked -= 1


def executed(low, arguments):
    """Results of a program, which must be the same bits in any order of blocks and threads."""
    results = [
        testing.run(low, arguments, order=numpy.random.default_rng(3) if order == "random" else order)
        for order in ORDERS
    ]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            numpy.testing.assert_array_equal(a, b)
    return results[0]


def on_cpu(fn, *arguments):
    """What kernels of the CPU compute."""
    ng.config.jit = 2
    made = ng.jit(fn)(*arguments)
    return [numpy.asarray(x) for x in (made if isinstance(made, (tuple, list)) else [made])]


def near(found, expected):
    assert found.dtype == expected.dtype
    eps = numpy.finfo(expected.dtype).eps
    size = max(float(numpy.abs(expected).max()), 1.0)
    numpy.testing.assert_allclose(found, expected, rtol=32 * eps, atol=32 * eps * size)


def assembles(low, single=False):
    """Every kernel of a program compiles for all architectures, and spills nothing."""
    for launch in low.launches:
        for number in ARCHITECTURES:
            made = testing.assembled(launch.code.ptx(f"compute_{number}"), f"sm_{number}", number in (80, 120))
            assert (made["stack"], made["spill_stores"], made["spill_loads"]) == (0, 0, 0), (launch.name, number, made)
            if single:
                assert not [i for i in made["instructions"] if DOUBLE.match(i)], (launch.name, number)


# ---------------------------------------------------------------- rows, with shared memory


def rows(node):
    """For the CPU: the length of a row, how many there are, and elements."""
    count, n = node.shape
    return (n,), count, count * n


def row_blocks(node):
    """For CUDA: a block for each row."""
    return (node.shape[0], ROW) if node.shape[1] else None


@structural("array", reference=lambda y, g: y * (g - (y * g).sum(-1, keepdims=True)))
def user_softmax_pullback(y, g):
    """The cotangent of rows."""
    return y.shape, y.dtype


@user_softmax_pullback.array_kernel(rows)
def user_softmax_pullback_kernel(y, g, out, n, start, stop):
    for row in range(start, stop):
        total = get(y, row * n) * get(g, row * n)
        for j in range(1, n):
            total = total + get(y, row * n + j) * get(g, row * n + j)
        for j in range(n):
            put_at(out, row * n + j, get(y, row * n + j) * (get(g, row * n + j) - total))


@user_softmax_pullback.cuda_kernel(row_blocks)
def user_softmax_pullback_cuda(y, g, out):
    parts = cuda.shared.array(ROW, y.dtype)
    row, t = cuda.blockIdx.x, cuda.threadIdx.x
    own = y.dtype.type(0)
    for j in range(t, y.shape[1], ROW):
        own += y[row, j] * g[row, j]
    parts[t] = own
    cuda.syncthreads()
    half = ROW // 2
    while half > 0:
        if t < half:
            parts[t] += parts[t + half]
        cuda.syncthreads()
        half //= 2
    for j in range(t, y.shape[1], ROW):
        out[row, j] = y[row, j] * (g[row, j] - parts[0])


@structural("array", reference=lambda x: numpy.exp(x) / numpy.exp(x).sum(-1, keepdims=True))
def user_softmax(x):
    """Exponentials that add up to 1 in each row."""
    return x.shape, x.dtype


@user_softmax.array_kernel(rows)
def user_softmax_kernel(x, out, n, start, stop):
    for row in range(start, stop):
        most = get(x, row * n)
        for j in range(1, n):
            most = max(most, get(x, row * n + j))
        total = math.exp(get(x, row * n) - most)
        for j in range(1, n):
            total = total + math.exp(get(x, row * n + j) - most)
        for j in range(n):
            put_at(out, row * n + j, math.exp(get(x, row * n + j) - most) / total)


@user_softmax.cuda_kernel(row_blocks)
@cuda.jit
def user_softmax_cuda(x, out):
    largest, parts = cuda.shared.array(ROW, x.dtype), cuda.shared.array(ROW, x.dtype)
    row, t = cuda.blockIdx.x, cuda.threadIdx.x
    own = x[row, min(t, x.shape[1] - 1)]
    for j in range(t, x.shape[1], ROW):
        own = max(own, x[row, j])
    largest[t] = own
    cuda.syncthreads()
    half = ROW // 2
    while half > 0:
        if t < half:
            largest[t] = max(largest[t], largest[t + half])
        cuda.syncthreads()
        half //= 2
    total = x.dtype.type(0)
    for j in range(t, x.shape[1], ROW):
        total += math.exp(x[row, j] - largest[0])
    parts[t] = total
    cuda.syncthreads()
    half = ROW // 2
    while half > 0:
        if t < half:
            parts[t] += parts[t + half]
        cuda.syncthreads()
        half //= 2
    for j in range(t, x.shape[1], ROW):
        out[row, j] = math.exp(x[row, j] - largest[0]) / parts[0]


@user_softmax.vjp
def user_softmax_vjp(g, y):
    return user_softmax_pullback(y, g)


def loss(x):
    return np.sum(user_softmax(x * 2.0) ** 2)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(5, 7), (3, 64), (2, 200), (1, 1)])
def test_rows_and_their_gradient(rng, shape, dtype):
    """Value and gradient are the CPU's; both come from the kernels for Numba."""
    x = rng.normal(size=shape).astype(dtype)
    for fn in (lambda x: user_softmax(x), loss, ng.grad(loss)):
        low = traced(fn, x)
        assert not any(launch.host for launch in low.launches)
        assert any(launch.dimensions for launch in low.launches)
        for found, expected in zip(executed(low, [x]), on_cpu(fn, x), strict=True):
            near(found, expected)
    names = [launch.name for launch in low.launches if launch.dimensions]
    assert names == ["user_softmax", "user_softmax_pullback"]
    (value,) = testing.run(traced(lambda x: user_softmax(x), x), [x])
    near(value.sum(1), numpy.ones(shape[0], dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_on_a_device(rng, dtype):
    """The same through arrays on a device that pretends: eager, and under jit."""
    x = rng.normal(size=(6, 130)).astype(dtype)
    expected = on_cpu(ng.grad(loss), x)[0]
    with pretend_device():
        there = ng.asarray(x, device="cuda:0")
        for fn in (ng.grad(loss), ng.jit(ng.grad(loss))):
            found = fn(there)
            assert found.device == "cuda:0"
            near(numpy.asarray(found), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_assemble_for_every_architecture(dtype):
    x = numpy.ones((6, 130), dtype)
    assembles(traced(ng.grad(loss), x), dtype == "float32")


def test_a_missing_barrier_is_caught(rng):
    """Without any one of the barriers in the kernel, some order of the threads gives something else."""
    x, g = rng.normal(size=(2, 2, 200))
    low = lowered(lambda x, g: user_softmax_pullback(x, g), x, g)
    (launch,) = low.launches
    (expected,) = testing.run(low, [x, g])
    text, code = launch.code.text, launch.code
    calls = [m.start() for m in re.finditer(r'call void @"llvm.nvvm.barrier0"\(\)', text)]
    assert len(calls) == 2
    for at in calls:
        launch.code = by_numba.Code(f"{text[:at]}{text[at:].replace('call', 'fence seq_cst ;', 1)}", code.symbol)
        caught = False
        for order in ("down", "up", numpy.random.default_rng(0)):
            (found,) = testing.run(low, [x, g], order=order)
            caught |= not numpy.allclose(found, expected)
        assert caught, at


# ---------------------------------------------------------------- grids of two and three axes, attributes


def planes(node):
    """A thread for each element of a matrix."""
    return tuple(-(-n // 8) for n in node.shape[::-1]), (8, 8)


@structural("array", reference=lambda x, weight: weight * _five(x))
def user_laplace(x, *, weight):
    """Four neighbours less four times an element, outside of the matrix 0."""
    return x.shape, x.dtype


def _five(x):
    p = numpy.pad(x, 1)
    return p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * x


@user_laplace.cuda_kernel(planes)
def user_laplace_cuda(x, out, weight):
    j, i = cuda.grid(2)
    if i < x.shape[0] and j < x.shape[1]:
        total = -x.dtype.type(4) * x[i, j]
        if i > 0:
            total += x[i - 1, j]
        if i + 1 < x.shape[0]:
            total += x[i + 1, j]
        if j > 0:
            total += x[i, j - 1]
        if j + 1 < x.shape[1]:
            total += x[i, j + 1]
        out[i, j] = weight * total


@user_laplace.vjp
def user_laplace_vjp(g, weight):
    return user_laplace(g, weight=weight)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_grid_of_two_axes(rng, dtype):
    """More rows than columns and the reverse; an attribute has the precision of the arrays."""
    f = lambda x: np.sum(user_laplace(x, weight=0.1) ** 2)  # noqa: E731
    for shape in ((20, 5), (3, 30), (8, 8)):
        x = rng.normal(size=shape).astype(dtype)
        inner = (dtype == "float32" and numpy.float32(0.1)) or 0.1
        near(executed(lowered(lambda x: user_laplace(x, weight=0.1), x), [x])[0], inner * _five(x))
        low = traced(ng.grad(f), x)
        near(executed(low, [x])[0], (2 * inner * inner * _five(_five(x))).astype(dtype))
        with pretend_device():
            near(numpy.asarray(ng.grad(f)(ng.asarray(x, device="cuda:0"))), executed(low, [x])[0])
    assembles(low, dtype == "float32")


def test_views_are_copied_and_new_sizes_compile_nothing(rng):
    x = rng.normal(size=(9, 20))
    f = lambda x: user_laplace(x[:, ::2].T, weight=0.5)  # noqa: E731
    low = lowered(f, x)
    near(executed(low, [x])[0], 0.5 * _five(x[:, ::2].T))
    (code,) = {launch.code for launch in low.launches if launch.dimensions}
    other = lowered(lambda x: user_laplace(x, weight=0.125), rng.normal(size=(33, 2)))
    assert other.launches[-1].code is code
    assert "weight * total" in other.launches[-1].source


@structural("array", reference=None)
def user_places(x, *, many, bias, flag, name, scale):
    """Where each thread of a grid of three axes is."""
    return x.shape, numpy.dtype("int64")


@user_places.cuda_kernel(lambda node: ((2, 3, 2), (4, 2, 3)))
def user_places_cuda(x, out, many, bias, flag, scale):
    i, j, k = cuda.grid(3)
    n, m, _ = cuda.gridsize(3)
    if flag:
        out[(k * m + j) * n + i] = many * (i + 10 * j + 100 * k) + int(bias) + scale + cuda.blockDim.z + cuda.gridDim.y


def test_a_grid_of_three_axes_and_all_kinds_of_attributes():
    """Numbers are passed in order, in the dtypes that they have; what is no number is left out."""
    x = numpy.ones(288)
    attrs = {"many": 3, "bias": 2.5, "flag": True, "name": "no number", "scale": numpy.int8(-7)}
    low = lowered(lambda x: user_places(x, **attrs), x)
    assert low.launches[0].words.values[4:] == [(3, "int64"), (2.5, "float64"), (True, "bool"), (-7, "int8")]
    k, j, i = numpy.mgrid[:6, :6, :8]
    (found,) = executed(low, [x])
    numpy.testing.assert_array_equal(found, (3 * (i + 10 * j + 100 * k) + 2 - 7 + 3 + 3).ravel())
    with pretend_device() as driver:
        numpy.testing.assert_array_equal(user_places(ng.asarray(x, device="cuda:0"), **attrs), found)
        assert ("launch", 0) in driver.log


# ---------------------------------------------------------------- atomics, warps, other functions, no axes, booleans


@structural("array", reference=lambda i, w: numpy.bincount(i, w, 4))
def user_histogram(i, w):
    """Sums of weights in four bins."""
    return (4,), w.dtype


@user_histogram.cuda_kernel(lambda node: (3, 32), zeroed=True)
def user_histogram_cuda(i, w, out):
    for k in range(cuda.grid(1), i.size, cuda.gridsize(1)):
        cuda.atomic.add(out, i[k], w[k])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int32"])
def test_atomics_add_to_zeros(rng, dtype):
    i, w = rng.integers(0, 4, 300), rng.integers(0, 9, 300).astype(dtype)
    low = lowered(lambda i, w: user_histogram(i, w), i, w)
    (found,) = executed(low, [i, w])
    assert found.dtype == dtype
    numpy.testing.assert_array_equal(found, numpy.bincount(i, w, 4))
    assembles(low)


@structural("array", reference=None)
def user_extremes(x):
    """The least and the largest element, and how many blocks there were."""
    return (3,), x.dtype


@user_extremes.cuda_kernel(lambda node: (4, 32), zeroed=True)
def user_extremes_cuda(x, out):
    for k in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.min(out, 0, x[k])
        cuda.atomic.max(out, 1, x[k])
    if cuda.threadIdx.x == 0:
        cuda.atomic.add(out, 2, 1)


def test_atomics_of_extremes(rng):
    x = rng.normal(size=500)
    (found,) = executed(lowered(lambda x: user_extremes(x), x), [x])
    numpy.testing.assert_array_equal(found, [x.min(), x.max(), 4])


@structural("array", reference=None)
def user_warps(x):
    """What threads of a warp know of each other."""
    return (8, *x.shape), numpy.dtype("int64")


@user_warps.cuda_kernel(lambda node: (1, node.inputs[0].shape[0]))
def user_warps_cuda(x, out):
    t = cuda.grid(1)
    v = x[t]
    out[0, t] = cuda.shfl_down_sync(0xFFFFFFFF, v, 3)
    out[1, t] = cuda.shfl_up_sync(0xFFFFFFFF, v, 5)
    out[2, t] = cuda.shfl_xor_sync(0xFFFFFFFF, v, 9)
    out[3, t] = cuda.shfl_sync(0xFFFFFFFF, v, 7)
    cuda.syncwarp()
    out[4, t] = cuda.ballot_sync(0xFFFFFFFF, v > 50)
    out[5, t] = 10 * cuda.all_sync(0xFFFFFFFF, v > 40) + cuda.any_sync(0xFFFFFFFF, v == 70)
    out[6, t] = cuda.eq_sync(0xFFFFFFFF, v > 40)
    out[7, t] = cuda.laneid + 100 * cuda.warpsize


def test_threads_of_a_warp_exchange_values():
    """Shuffles of all kinds, also past the ends of a warp, where a thread keeps what it has; votes."""
    x = numpy.arange(96)
    (found,) = executed(lowered(lambda x: user_warps(x), x), [x])
    lane, first = x % 32, x // 32 * 32
    expected = [
        numpy.where(lane + 3 < 32, x + 3, x), numpy.where(lane >= 5, x - 5, x), first + (lane ^ 9), first + 7,
        (0b1111111111111 << 19) * (first == 32) + 0xFFFFFFFF * (first == 64), 10 * (first == 64) + (first == 64),
        first != 32, lane + 3200,
    ]  # fmt: skip
    found[4] &= 0xFFFFFFFF  # Numba gives it a sign
    numpy.testing.assert_array_equal(found, numpy.array(expected))


@cuda.jit(device=True)
def user_shift(x, y):
    return math.log1p(math.exp(x)) + y


@cuda.jit(device=True)
def user_shifted(x):
    return user_shift(x, 1) * math.tanh(x)


@structural("array", reference=lambda x, m: numpy.where(m, (numpy.log1p(numpy.exp(x)) + 1) * numpy.tanh(x), 0))
def user_calls(x, m):
    """A function of a function, where a mask says so."""
    return x.shape, x.dtype


@user_calls.cuda_kernel(lambda node: (2, 64))
def user_calls_cuda(x, m, out):
    inner = cuda.local.array(1, x.dtype)
    for k in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        inner[0] = user_shifted(x[k])
        out[k] = inner[0] if m[k] else x.dtype.type(0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels_that_call_other_functions(rng, dtype):
    """Several modules of IR in one program; booleans; NVIDIA's mathematics."""
    x, m = rng.normal(size=300).astype(dtype), rng.normal(size=300) > 0
    low = lowered(lambda x, m: user_calls(x, m), x, m)
    text = low.launches[0].code.text
    assert text.count("target triple") == 3
    assert "common global" not in text  # what Numba keeps for Python
    near(executed(low, [x, m])[0], user_calls.reference(x, m).astype(dtype))
    image = link.machine_code(low.launches[0].code, (9, 0))
    assert image[:4] == b"\x7fELF"
    assert low.launches[0].code.symbol.encode() in image
    assembles(low)


@structural("array", reference=None)
def user_scalar(x):
    """Half of a scalar, without axes."""
    return (), x.dtype


@user_scalar.cuda_kernel(lambda node: (1, 1))
def user_scalar_cuda(x, out):
    out[()] = x[()] / 2


def test_arrays_without_axes_and_without_elements():
    (found,) = executed(lowered(lambda x: user_scalar(x), numpy.float64(3)), [numpy.float64(3)])
    assert found.shape == ()
    assert found == 1.5
    empty = numpy.ones((0, 4))
    low = lowered(lambda x: user_laplace(x, weight=0.5), empty)
    assert low.launches == []
    assert executed(low, [empty])[0].shape == (0, 4)


MATHS = ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "asinh",
         "atanh", "erf", "erfc", "lgamma", "gamma", "sqrt", "log2", "log10", "exp2", "floor", "ceil")  # fmt: skip


@structural("array", reference=None)
def user_maths(x):
    """Functions of `math`, one in each row."""
    return (len(MATHS), *x.shape), x.dtype


_text = "\n        ".join(f"out[{k}, i] = math.{name}(x[i])" for k, name in enumerate(MATHS))
exec(f"def user_maths_cuda(x, out):\n    i = cuda.grid(1)\n    if i < x.size:\n        {_text}\n")
user_maths.cuda_kernel(lambda node: (2, 32))(user_maths_cuda)  # noqa: F821


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_functions_of_math(dtype):
    """NVIDIA's functions as their instructions make them: within a few units in the last place of Python's."""
    x = numpy.linspace(0.02, 0.98, 50).astype(dtype)
    (found,) = executed(lowered(lambda x: user_maths(x), x), [x])
    for row, name in zip(found, MATHS, strict=True):
        expected = numpy.array([getattr(math, name)(float(v)) for v in x])
        size = numpy.abs(expected) + (name == "lgamma")  # near its zeros NVIDIA's is as exact as near 1
        off = numpy.abs(row - expected) / (numpy.spacing(size.astype(dtype)) + 1e-300)
        assert off.max() <= 4, (name, off.max())


@pytest.mark.parametrize("rounding", ["rm", "rp", "rz"])
def test_directed_roundings_of_the_execution(rng, rounding):
    """Sums, products and both, beside those of exact fractions."""
    cases = [(name, n, "f") for name, n in (("add", 2), ("mul", 2), ("fma", 3))]
    cases += [("add", 2, "d")] if rounding == "rz" else []
    exact = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b, "fma": lambda a, b, c: a * b + c}
    for name, n, kind in cases:
        dtype, c, ty = {"f": ("float32", ctypes.c_float, "float"), "d": ("float64", ctypes.c_double, "double")}[kind]
        call = _executable(f"{name}.{rounding}.{kind}", ty, n, c)
        for values in (rng.normal(size=(200, n)) * 2.0 ** rng.integers(-40, 40, (200, n))).astype(dtype):
            found = numpy.dtype(dtype).type(call(*map(float, values)))
            true = exact[name](*(Fraction(float(v)) for v in values))
            below = rounding == "rm" or (rounding == "rz" and true > 0)
            beyond = numpy.nextafter(found, numpy.dtype(dtype).type("inf" if below else "-inf"))
            if below:
                assert Fraction(float(found)) <= true < Fraction(float(beyond)), (name, values)
            else:
                assert Fraction(float(beyond)) < true <= Fraction(float(found)), (name, values)


def _executable(name, ty, count, c):
    """An instruction as the execution defines it, as a function of numbers."""
    testing._initialise()
    listed = ", ".join(f"{ty} %a{k}" for k in range(count))
    text = (
        f"declare {ty} @llvm.nvvm.{name}({', '.join([ty] * count)})\ndefine {ty} @do({listed}) {{\n"
        f"  %r = call {ty} @llvm.nvvm.{name}({listed})\n  ret {ty} %r\n}}\n"
    )
    module = binding.parse_assembly(instructions.defined(text))
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    call = ctypes.CFUNCTYPE(c, *[c] * count)(engine.get_function_address("do"))
    call.engine = engine  # which is gone otherwise
    return call


# ---------------------------------------------------------------- elementwise texts


@elementwise(name="user_bend_slope")
def user_bend_slope(x):
    """The derivative of `user_bend`."""
    return 1 / ((1 + x * x) * math.sqrt(1 + x * x))


@elementwise(name="user_bend")
def user_bend(x):
    """x bent towards -1 and 1."""
    return x / math.sqrt(1 + x * x)


@user_bend.vjp
def user_bend_vjp(g, x):
    return g * user_bend_slope(x)


@user_bend_slope.vjp
def user_bend_slope_vjp(g, x):
    return g * (-3.0) * x * user_bend_slope(x) / (1.0 + x * x)


def bent(x):
    return np.exp(-x) * user_bend(2.0 * x) + 1.0


BENT = {
    "value": (bent, lambda x: numpy.exp(-x) * (2 * x) / numpy.sqrt(1 + 4 * x * x) + 1),
    "first": (
        ng.grad(lambda x: np.sum(bent(x))),
        lambda x: numpy.exp(-x) * (2 / (1 + 4 * x * x) ** 1.5 - 2 * x / (1 + 4 * x * x) ** 0.5),
    ),
    "second": (
        ng.grad(lambda x: np.sum(ng.grad(lambda x: np.sum(bent(x)))(x))),
        lambda x: numpy.exp(-x) * (
            2 * x / (1 + 4 * x * x) ** 0.5 - 4 / (1 + 4 * x * x) ** 1.5 - 24 * x / (1 + 4 * x * x) ** 2.5
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", BENT)
def test_an_elementwise_text_is_fused(rng, name, dtype):
    """One launch with the built-ins around it, derivatives too; as on the CPU, and without float64 in float32."""
    fn, exact = BENT[name]
    x = rng.normal(size=(7, 9)).astype(dtype)
    low = traced(fn, x)
    (launch,) = low.launches
    assert "user_bend" in launch.name
    assert "exp" in launch.name
    (found,) = executed(low, [x])
    near(found, on_cpu(fn, x)[0])
    near(found, exact(x.astype("float64")).astype(dtype))
    with pretend_device():
        near(numpy.asarray(ng.jit(fn)(ng.asarray(x, device="cuda:0"))), found)
    assembles(low, dtype == "float32")


# ---------------------------------------------------------------- what a kernel may not do, as it is said


def primitive(name, kernel, layout=lambda node: (1, 32), dtype=None, **options):
    """A primitive of one array with this kernel, declared now."""
    made = structural("array", reference=lambda x: x, name=name)(lambda x: (x.shape, numpy.dtype(dtype or x.dtype)))
    made.cuda_kernel(layout, **options)(kernel)
    return made


def copy_cuda(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = x[i]


LAYOUTS = {
    "user_bad_pair": (7, r"layout returned 7, expected \(grid, block\): integers, or tuples of up to three"),
    "user_bad_block": ((1, 2000), r"layout returned block 2000, expected an integer or a tuple of up to three, of at "
                       r"least 1 and at most 1024, 1024, 64; round up"),
    "user_bad_threads": ((1, (64, 32)), r"layout returned block \(64, 32\) of 2048 threads, expected at most 1024"),
    "user_bad_float": ((1.5, 32), r"layout returned grid 1.5, expected an integer"),
    "user_bad_axes": (((1, 1, 1, 1), 32), r"layout returned grid \(1, 1, 1, 1\), expected an integer or a tuple"),
    "user_bad_empty": ((0, 32), r"layout returned grid 0 for an output of shape \(5,\), expected at least one block"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_that_no_gpu_launches(name):
    said, message = LAYOUTS[name]
    f = primitive(name, copy_cuda, lambda node: said)
    with pytest.raises(KernelError, match=f"{name}.cuda_kernel: {message}"):
        lowered(lambda x: f(x), numpy.ones(5))


def writes_input(x, out):
    x[0] = 1


def knows_no_name(x, out):
    out[0] = no_such_function(x[0])  # noqa: F821


def of_no_fixed_size(x, out):
    cuda.shared.array(0, "float64")[0] = x[0]
    out[0] = cuda.shared.array(0, "float64")[0]


def with_the_whole_grid(x, out):
    cuda.cg.this_grid().sync()
    out[0] = x[0]


REFUSED = {
    "user_writes": (writes_input,
                    r"numba-cuda does not compile writes_input\(readonly array\(float64, 1d, C\), .*setitem"),
    "user_unknown": (knows_no_name, r"numba-cuda does not compile knows_no_name\(.*no_such_function"),
    "user_dynamic": (of_no_fixed_size, "of_no_fixed_size cannot be launched by nbgrad, since it has shared memory "
                     "whose size is no constant; use static shared memory"),
    "user_grid": (with_the_whole_grid, "cannot be launched by nbgrad, since .*it synchronises the whole grid"),
    "user_device": (cuda.jit(device=True)(copy_cuda), "copy_cuda has the options device of numba.cuda.jit, expected "
                    "none but fastmath; give the function"),
    "user_debug": (cuda.jit(debug=True, opt=False)(copy_cuda), "copy_cuda has the options debug of numba.cuda.jit"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_kernels_that_are_refused(name):
    kernel, message = REFUSED[name]
    f = primitive(name, kernel)
    with pytest.raises(KernelError, match=f"(?s){name}.cuda_kernel: .*{message}"):
        lowered(lambda x: f(x), numpy.ones(5))


def test_what_is_no_function_is_refused():
    f = primitive("user_no_function", copy_cuda)
    with pytest.raises(ArgumentError, match=r"user_no_function.cuda_kernel: layout is .*, expected a function of a"):
        f.cuda_kernel((1, 32))
    with pytest.raises(ArgumentError, match=r"user_no_function.cuda_kernel: the kernel is .*, expected a function;"):
        f.cuda_kernel(lambda node: (1, 32))(3)


def test_float16_arrives_as_float32():
    """It is a form of memory only, for these kernels too."""
    f = primitive("user_half", copy_cuda)
    x = numpy.linspace(0, 1, 5).astype("float16")
    low = lowered(lambda x: f(x), x)
    (launch,) = (launch for launch in low.launches if launch.dimensions)
    assert {str(view.origin.dtype) for _, view, _ in launch.words.addresses} == {"float32"}
    numpy.testing.assert_array_equal(executed(low, [x])[0], x)


def test_numba_cuda_that_is_missing(monkeypatch):
    import numba

    f = primitive("user_without", copy_cuda)
    monkeypatch.setattr(numba.cuda, "implementation", "Built-in")
    with pytest.raises(KernelError, match=r"user_without.cuda_kernel: the kernel needs numba-cuda, which is not ins"):
        lowered(lambda x: f(x), numpy.ones(5))
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.delattr(numba, "cuda")
    with pytest.raises(KernelError, match=r"user_without.cuda_kernel: the kernel needs numba-cuda: .*; pip install"):
        lowered(lambda x: f(x), numpy.ones(5))


def test_another_way_of_passing_arrays_is_refused(monkeypatch):
    f = primitive("user_other_abi", copy_cuda)
    fields = by_numba._fields
    monkeypatch.setattr(by_numba, "_fields", lambda *a: fields(*a)[1:])
    with pytest.raises(KernelError, match=r"user_other_abi.cuda_kernel: numba-cuda passes \(i8\*\*, i8\*.*, expected"):
        lowered(lambda x: f(x), numpy.ones(5))


def test_registers_that_a_large_block_does_not_have(monkeypatch):
    f = primitive("user_large", copy_cuda, lambda node: (1, (256, 2)))
    message = (
        "user_large.cuda_kernel: layout asks for 512 threads a block, expected at most 256, since a thread of the "
        "compiled kernel has 255 registers; return a smaller block"
    )
    with pretend_device() as driver:
        made = driver.function
        monkeypatch.setattr(driver, "function", lambda code: Function(made(code).handle, 255, 0, 256))
        x = ng.asarray(numpy.ones(5), device="cuda:0")
        with pytest.raises(KernelError, match=re.escape(message)):
            numpy.asarray(f(x))


def test_a_layout_of_none_is_for_the_host():
    f = primitive("user_hosted", copy_cuda, lambda node: None)
    (launch,) = lowered(lambda x: f(x), numpy.ones(5)).launches
    assert launch.host
    runtime._warned.discard("user_hosted")
    with pretend_device(), pytest.warns(ng.HostFallbackWarning, match="user_hosted: has no CUDA kernel"):
        numpy.testing.assert_array_equal(f(ng.asarray(numpy.ones(5), device="cuda:0")), numpy.ones(5))
    runtime._warned.discard("user_hosted")


def writes_behind(x, out):
    out[cuda.grid(1)] = x[0]


def some_at_a_barrier(x, out):
    if cuda.threadIdx.x > 3:
        cuda.syncthreads()
    out[0] = x[0]


def prints(x, out):
    print(x[0])


def counts(x, out):
    out[0] = cuda.syncthreads_count(x[0])


CAUGHT = {
    "user_behind": (writes_behind, "user_behind: memory behind an array of 5 elements was written"),
    "user_divergent": (some_at_a_barrier, r"threads of a block do not meet: of 32, 28 at barrier \d+"),
    "user_prints": (prints, "this kernel cannot run on a CPU: it calls vprintf"),
    "user_counts": (counts, "this kernel cannot run on a CPU: it calls llvm.nvvm.barrier.cta.red.popc"),
}


@pytest.mark.parametrize("name", CAUGHT)
def test_what_the_execution_catches(name):
    kernel, message = CAUGHT[name]
    x = numpy.ones(5, "int64" if kernel is counts else "float64")
    f = primitive(name, kernel)
    low = lowered(lambda x: f(x), x)
    with pytest.raises(KernelError, match=message):
        testing.run(low, [x])


def test_the_text_of_a_kernel_is_the_same_in_every_process():
    """Whatever was compiled before: the disk cache knows it again."""
    program = """
import hashlib, sys
sys.path[:0] = {path!r}
import test_user_kernels as t, numpy
x = numpy.ones(9)
if {other}:
    t.lowered(lambda x: t.primitive("another", t.copy_cuda)(x), x)
low = t.lowered(lambda x: t.user_calls(x, x > 0), x)
print(hashlib.sha256(low.launches[-1].code.text.encode()).hexdigest())
"""
    here = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
    found = {
        subprocess.run(
            [sys.executable, "-c", program.format(path=here, other=other)], check=True, capture_output=True, text=True
        ).stdout
        for other in (False, True)
    }
    x = numpy.ones(9)
    low = lowered(lambda x: user_calls(x, x > 0), x)
    assert found == {hashlib.sha256(low.launches[-1].code.text.encode()).hexdigest() + "\n"}


def test_texts_that_are_not_translated():
    """An array kernel that Numba would take on a CPU, and a block kernel: the error names primitive and reason."""
    f = structural("array", reference=lambda x: x, name="user_untranslated")(lambda x: (x.shape, x.dtype))

    @f.array_kernel(lambda node: ((), node.shape[0], node.shape[0]))
    def untranslated(x, out, start, stop):
        for i, j in zip(range(start, stop), range(start, stop)):  # noqa: B905
            put_at(out, i, get(x, j))

    message = r"the CUDA kernel of {}: a text is outside of what is translated for CUDA: .*; write it with assignments"
    with pytest.raises(KernelError, match=message.format("user_untranslated")):
        lowered(lambda x: f(x), numpy.ones(5000))

    h = structural("array", reference=lambda x: x, name="user_untranslated_too")(lambda x: (x.shape, x.dtype))

    @h.block_kernel(lambda node: ((), node.shape[0], 0))
    def untranslated_too(x, out, unit):
        with shared_int64(1, 0):
            put_at(out, unit, get(x, unit))

    with pytest.raises(KernelError, match=message.format("user_untranslated_too_block") + r".*cuda_kernel\(layout\)"):
        lowered(lambda x: h(x), numpy.ones(5))


# ---------------------------------------------------------------- texts that branch, and kernels with several results


@elementwise
def user_saturating(x, width):
    """Straight near 0, and bent where x is far from it."""
    if abs(x) < width:
        return x
    return math.copysign(1.0, x) * width * (1.0 + math.log(abs(x) / width))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_text_that_branches_is_fused_with_its_derivative(rng, dtype):
    """One launch each, executed as on the CPU, and without float64 in float32."""
    x = (3 * rng.normal(size=(7, 9))).astype(dtype)
    value = lambda x: np.exp(-user_saturating(2.0 * x, 1.5))  # noqa: E731
    first = ng.grad(lambda x: np.sum(value(x)))
    second = ng.grad(lambda x: np.sum(first(x)))
    for fn in (value, first, second):
        low = traced(fn, x)
        (launch,) = low.launches
        assert not launch.host
        near(executed(low, [x])[0], on_cpu(fn, x)[0])
        assembles(low, dtype == "float32")
    far = abs(2 * x) >= 1.5
    bent = numpy.sign(x) * 1.5 * (1 + numpy.log(numpy.where(far, abs(2 * x), 1.5) / 1.5))
    near(executed(traced(value, x), [x])[0], numpy.exp(-numpy.where(far, bent, 2 * x)).astype(dtype))


@elementwise
def user_wave(x):
    return math.sin(x) + 0.5 * math.tan(0.1 * x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_functions_that_are_others_on_cuda(rng, dtype):
    """float32 takes those of the device's library there, whose texts call `math` themselves."""
    x = rng.normal(size=20).astype(dtype)
    low = lowered(lambda x: user_wave(x), x)
    near(executed(low, [x])[0], (numpy.sin(x) + 0.5 * numpy.tan(0.1 * x)).astype(dtype))


@ng.array_kernel(lambda x: [(x.shape, x.dtype), (x.shape, "int64")], split=lambda x: x.size)
def user_split(x, out, out_whole, start, stop, *, factor=2.0):
    for i in range(start, stop):
        whole = math.floor(factor * x[i])
        out[i], out_whole[i] = factor * x[i] - whole, whole


@user_split.cuda_kernel(lambda node: (-(-node.shape[0] // 64), 64))
def user_split_on_cuda(x, out, out_whole, factor):
    i = cuda.grid(1)
    if i < x.size:
        whole = math.floor(factor * x[i])
        out[i] = factor * x[i] - whole
        out_whole[i] = whole


def test_a_kernel_of_arrays_with_two_results(rng):
    """Also where one of them is not read; without a kernel for CUDA it is a call on the host."""
    x = rng.normal(size=150)
    f = lambda x: list(user_split(np.sin(x), factor=4.0))  # noqa: E731
    low = traced(f, x)
    assert [launch.name for launch in low.launches] == ["sin", "user_split"]
    rest, whole = executed(low, [x])
    numpy.testing.assert_array_equal(whole, numpy.floor(4 * numpy.sin(x)))
    numpy.testing.assert_allclose(rest, 4 * numpy.sin(x) - whole, atol=1e-14)
    numpy.testing.assert_array_equal(executed(traced(lambda x: f(x)[1], x), [x])[0], whole)
    with pretend_device():
        numpy.testing.assert_array_equal(user_split(ng.asarray(x, device="cuda:0"))[1], numpy.floor(2 * x))
    assembles(low)
    assert all(launch.host for launch in lowered(lambda x: user_on_host(x), x).launches)


@ng.array_kernel(lambda x: (x.shape, x.dtype))
def user_on_host(x, out):
    out[:] = x


@ng.array_kernel(lambda x: (x.shape, x.dtype))
def user_copy(x, out):
    out[:] = x


@user_copy.cuda_kernel(lambda node: (1, 32))
def user_copy_wrong(x, out):
    for i in range(cuda.grid(1), x.size - 1, cuda.gridsize(1)):  # the last element is left out
        out[i] = x[i]


def test_check_kernel_executes_kernels_for_cuda(rng, capsys):
    x = rng.normal(size=50)
    found = {line.check: line for line in ng.testing.check_kernel(user_split, x).lines}
    assert found["cuda"].state == found["parts"].state == "ok"
    assert found["cuda"].details.startswith("executed without a GPU")
    with pytest.raises(ng.testing.KernelCheckError, match=r"cuda +failed +result 0 at \[49\]: .*\(CUDA\), .* \(CPU\)"):
        ng.testing.check_kernel(user_copy, x)
