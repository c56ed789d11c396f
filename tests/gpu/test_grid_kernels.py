"""Elementwise kernels for CUDA: compiled by NVIDIA's compiler, and their IR executed on the CPU."""

import numpy
import pytest
from primitives.table import ELEMENTWISE, STRUCTURAL
from primitives.test_values import assert_near, each, exact

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import graph
from nbgrad.errors import KernelError
from nbgrad.testing import cuda
from nbgrad.testing.cuda import lowered

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")

#: Errors allowed where NVIDIA's library computes what the CPU does in float64.
LIBDEVICE = {("tan", "float32"): 4}
COPIES = {
    "reshape", "transpose", "broadcast_to", "slice_", "take", "concatenate", "embed", "set_slice", "add_slices",
}  # fmt: skip


@each(ELEMENTWISE, "float64", "float32", "int64", "int32", "int8", "uint8", "bool")
def test_values(row, dtype):
    """The same text, executed as NVVM IR, is as near to the exact values as the CPU's kernels must be."""
    arguments = row.sample(dtype, (24,))
    low = lowered(row.primitive, *arguments)
    (found,) = cuda.run(low, arguments)
    ng.config.jit = 2
    expected = numpy.asarray(ng.jit(row.primitive)(*arguments))
    assert found.dtype == expected.dtype
    if found.dtype.kind == "f" and numpy.dtype(dtype).kind == "f":
        assert_near(found, exact(row, arguments), LIBDEVICE.get((row.name, dtype), row.ulp), row.name)
    else:
        numpy.testing.assert_array_equal(found, expected)


@each([r for r in STRUCTURAL if r.name in COPIES], "float64", "float32", "int32", "bool")
def test_copies(row, dtype):
    """Views, gathers and arrays put together of parts: the oracle's elements, all of them in place."""
    for case in row.cases:
        arguments = row.arguments(case, dtype)
        (found,) = cuda.run(lowered(lambda *a, c=case: row.primitive(*a, **c.attrs), *arguments), arguments)
        expected = numpy.asarray(row.oracle(*arguments, **case.attrs))
        assert found.shape == expected.shape
        numpy.testing.assert_allclose(found, expected, rtol=1e-6 if found.dtype == "float32" else 1e-14)


@each(ELEMENTWISE, "float64", "float32")
def test_special_values(row, dtype):
    """Infinities, zeros of both signs and nan give what the CPU's kernels give."""
    special = numpy.array([0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, 1.0, -1.0, 2.5], dtype)
    arguments = [numpy.roll(numpy.repeat(special, 8) if k else numpy.tile(special, 8), k) for k in range(row.arity)]
    if row.name == "where":
        arguments[0] = arguments[0] > 0
    (found,) = cuda.run(lowered(row.primitive, *arguments), arguments)
    ng.config.jit = 2
    with numpy.errstate(all="ignore"):
        expected = numpy.asarray(ng.jit(row.primitive)(*arguments))
    numpy.testing.assert_array_equal(numpy.isnan(found), numpy.isnan(expected))
    finite = numpy.isfinite(expected)
    numpy.testing.assert_array_equal(found[~finite], expected[~finite])
    numpy.testing.assert_allclose(found[finite], expected[finite], rtol=4 * numpy.finfo(dtype).eps)
    numpy.testing.assert_array_equal(numpy.signbit(found[found == 0]), numpy.signbit(expected[found == 0]))


@pytest.mark.parametrize(("grid", "block"), [(1, 1), (2, 7), (5, 64)])
def test_any_grid_computes_the_whole(rng, grid, block):
    """Transposed, stretched, reversed and gathered operands, more outputs than one, and the gradient with them."""
    x, b, i = rng.normal(size=(6, 9)), rng.normal(size=9), rng.integers(0, 6, 5)

    def f(xp, x, b, i):
        y = xp.tanh(x[:, ::-1] * b)
        return y, xp.exp(x.T)[:, None] * 2, x[i] + b, 1 - y * y

    low = lowered(lambda *a: f(np, *a), x, b, i)
    expected = f(numpy, x, b, i)
    for found, e in zip(cuda.run(low, (x, b, i), grid, block), expected, strict=True):
        numpy.testing.assert_allclose(found, e, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_gradient_of_option_prices(rng, dtype):
    """One kernel, with what five gradients share; as near to the CPU's as rounding allows."""
    spot, strike, t, rate, vol = (
        rng.uniform(a, b, (7, 9)).astype(dtype) for a, b in ((60, 140), (60, 140), (0.1, 2), (0, 0.1), (0.1, 0.5))
    )

    def prices(spot, strike, t, rate, vol):
        cdf = lambda x: 0.5 * np.erfc(-x * 0.7071067811865476)  # noqa: E731
        sd = vol * np.sqrt(t)
        d = (np.log(spot / strike) + (rate + 0.5 * vol * vol) * t) / sd
        return np.sum(spot * cdf(d) - strike * np.exp(-rate * t) * cdf(d - sd))

    arguments = spot, strike, t, rate, vol
    gradient = ng.grad(prices, grad_position=(0, 1, 2, 3, 4))
    graph.state.tracked += 1
    try:
        low = lowered(gradient, *arguments)
    finally:
        graph.state.tracked -= 1
    ng.config.jit = 2
    eps = numpy.finfo(dtype).eps
    for found, expected in zip(cuda.run(low, arguments), ng.jit(gradient)(*arguments), strict=True):
        numpy.testing.assert_allclose(found, expected, rtol=64 * eps, atol=1e3 * eps)
    assert len(low.launches) <= len(ng.jit(gradient).lower(*arguments).launches)


def test_what_has_no_kernel_is_computed_on_the_host(rng):
    """A matrix too large for one block: the launch says so, and the others are kernels."""
    x = rng.normal(size=(520, 520))
    x = x @ x.T / 520 + numpy.eye(520)
    low = lowered(lambda x: np.linalg.cholesky(x * 2), x)
    assert [(launch.name, launch.host is not None) for launch in low.launches] == [
        ("multiply", False), ("cholesky", True),
    ]  # fmt: skip
    (found,) = cuda.run(low, [x])
    numpy.testing.assert_allclose(found, numpy.linalg.cholesky(x * 2), rtol=1e-12, atol=1e-12)


def test_a_kernel_that_writes_beside_its_array_is_caught(rng):
    """One element too many: planted, and found by the guards."""
    x = rng.normal(size=10)
    low = lowered(lambda x: x * 2, x)
    low.launches[0].total += 1
    with pytest.raises(KernelError, match="multiply: memory behind an array of 10 elements was written"):
        cuda.run(low, (x,))


def test_what_the_compiler_does_not_take_is_an_error_with_its_words():
    low = lowered(lambda x: x * 2, numpy.ones(3))
    code = low.launches[0].code
    code.text = code.text.replace("ret void", "ret nothing")
    with pytest.raises(KernelError, match=r"NVVM does not compile this kernel for compute_80.*\n.*expected"):
        code.ptx("compute_80")
