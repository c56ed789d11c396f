"""How fast a GPU is with it: parts of the bandwidth, and a few gradients beside other libraries."""

import time

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

pytestmark = pytest.mark.performance

ROWS, COLUMNS = 1 << 15, 1 << 11
#: Program, how often each of its elements must be read or written, and the part of the bandwidth of a copy that it
#: should have at least.
BOUNDS = {
    "elementwise": (lambda x: x * 2 + 1, 2, 0.8),
    "sums of rows": (lambda x: np.sum(x, axis=1), 1, 0.7),
    "sums of columns": (lambda x: np.sum(x, axis=0), 1, 0.6),
    "sum": (np.sum, 1, 0.7),
    "softmax": (lambda x: np.softmax(x, axis=1), 2, 0.5),
    "gradient of softmax": (ng.grad(lambda x: np.sum(np.softmax(x, axis=1) ** 2)), 2, 0.3),
}


def seconds(call, repeat=20):
    """Of one call, when many follow each other."""
    call()
    ng.cuda.synchronize()
    best = numpy.inf
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(repeat):
            call()
        ng.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / repeat)
    return best


def replayed(fn, *arguments):
    """A function as one call of a recorded graph: what Python costs is not what is measured."""
    graph = ng.jit(fn).lower(*arguments).graph()
    return lambda: graph.launch(*arguments)


@pytest.fixture(scope="module")
def x():
    return ng.asarray(numpy.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype("float32"), device="cuda:0")


@pytest.fixture(scope="module")
def bandwidth(x):
    """Bytes a second, read and written, of a copy on the device."""
    from nbgrad.runtime.cuda import device
    from nbgrad.runtime.cuda.streams import current

    there = device.get("bandwidth", 0)
    source, target = x._node.value, there.empty(x.shape, x.dtype)
    stream = current(there).handle
    copy = lambda: there.driver.copy(target.address, source.address, x.nbytes, stream)  # noqa: E731
    return 2 * x.nbytes / seconds(copy)


@pytest.mark.parametrize("name", BOUNDS)
def test_part_of_the_bandwidth(name, x, bandwidth):
    fn, times, least = BOUNDS[name]
    found = times * x.nbytes / seconds(replayed(fn, x)) / bandwidth
    print(f"\n{name}: {found:.2f} of {bandwidth / 1e9:.0f} GB/s")
    assert found >= least


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(dtype):
    """Flop/s of the generated kernel, beside a library if there is one."""
    n = 2048
    a = ng.asarray(numpy.random.default_rng(0).normal(size=(n, n)).astype(dtype), device="cuda:0")
    ng.config.cuda_libraries = False
    own = 2 * n**3 / seconds(replayed(np.matmul, a, a), 5)
    print(f"\nproducts in {dtype}: {own / 1e12:.2f} Tflop/s")
    try:
        import torch
    except ImportError:
        pytest.skip("PyTorch is not installed: nothing to compare with")
    theirs = torch.from_dlpack(a)
    torch.backends.cuda.matmul.allow_tf32 = False
    both = 2 * n**3 / seconds(lambda: torch.matmul(theirs, theirs), 5)
    print(f"    cuBLAS: {both / 1e12:.2f} Tflop/s")


def softmax_loss(xp, x):
    e = xp.exp(x - xp.amax(x, 1)[:, None])
    return ((e / e.sum(1)[:, None]) ** 2).sum()


def test_beside_other_libraries(x):
    """The gradient of a softmax: what each library takes, and that all say the same."""
    ours = replayed(ng.grad(lambda x: softmax_loss(_Ours, x)), x)
    expected, times = numpy.asarray(ours()), {"nbgrad": seconds(ours)}
    try:
        import torch

        there = torch.from_dlpack(x).clone().requires_grad_()

        def by_torch():
            there.grad = None
            softmax_loss(_Torch, there).backward()
            return there.grad

        numpy.testing.assert_allclose(by_torch().cpu().numpy(), expected, atol=1e-6)
        times["torch"] = seconds(by_torch)
    except ImportError:
        pass
    try:
        import jax

        if jax.default_backend() == "gpu":
            there = jax.numpy.asarray(numpy.asarray(x))
            by_jax = jax.jit(jax.grad(lambda x: softmax_loss(jax.numpy, x)))
            numpy.testing.assert_allclose(numpy.asarray(by_jax(there)), expected, atol=1e-6)
            times["jax"] = seconds(lambda: by_jax(there).block_until_ready())
    except ImportError:
        pass
    for name, t in times.items():
        print(f"\n{name}: {t * 1e6:.0f} us", end="")
    if len(times) == 1:
        pytest.skip("neither PyTorch nor JAX with a GPU is installed: nothing to compare with")


class _Ours:
    exp, amax = staticmethod(np.exp), staticmethod(lambda x, axis: np.max(x, axis=axis))


class _Torch:
    @staticmethod
    def exp(x):
        return x.exp()

    @staticmethod
    def amax(x, axis):
        return x.amax(axis)
