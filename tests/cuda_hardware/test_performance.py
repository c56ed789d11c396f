"""How fast a GPU is with it: parts of the bandwidth, products, and gradients beside other libraries."""

import time

import hardware_programs
import numpy
import pytest
from hardware_timing import replayed, seconds

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.runtime.cuda import device

pytestmark = pytest.mark.performance

#: Of the array that is read, float32; larger than any cache.
ROWS, COLUMNS = 1 << 15, 1 << 11
#: Program, how often each element of the array must be read or written, and the part of the bandwidth of a copy that
#: it should reach at least.  These are goals: no GPU was asked for them.
BOUNDS = {
    "elementwise": (lambda x: x * 2 + 1, 2, 0.8),
    "sums of rows": (lambda x: np.sum(x, axis=1), 1, 0.7),
    "sums of columns": (lambda x: np.sum(x, axis=0), 1, 0.6),
    "sum": (np.sum, 1, 0.7),
    "softmax": (lambda x: np.softmax(x, axis=1), 2, 0.5),
    "gradient of softmax": (ng.grad(lambda x: np.sum(np.softmax(x, axis=1) ** 2)), 2, 0.3),
}
#: Rows and columns of square matrices.
SQUARE = 2048
#: Elements of the largest array of a gradient.
ELEMENTS = 1 << 22


def random(*shape):
    return numpy.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.fixture(scope="module")
def x():
    made = ng.asarray(random(ROWS, COLUMNS), device="cuda:0").block_until_ready()
    yield made
    del made
    ng.cuda.free_cached()


@pytest.fixture(scope="module")
def bandwidth(x):
    """Bytes a second, read and written, of a copy on the device."""
    there = device.get("bandwidth", 0)
    stream = ng.cuda.current_stream()
    source, target = x._node.value, there.empty(x.shape, x.dtype)
    copy = lambda: there.driver.copy(target.address, source.address, x.nbytes, stream.handle)  # noqa: E731
    return 2 * x.nbytes / seconds(copy, stream.handle)


@pytest.mark.parametrize("name", BOUNDS)
def test_part_of_the_bandwidth(name, x, bandwidth, table):
    fn, times, least = BOUNDS[name]
    graph = ng.jit(fn).lower(x).graph()
    found = times * x.nbytes / seconds(*replayed(graph)) / bandwidth
    table(
        "Part of the bandwidth of a copy", f"{name:24}{found:6.2f}   at least {least}   of {bandwidth / 1e9:.0f} GB/s"
    )
    assert found >= least


def of_nbgrad(a, libraries):
    """Seconds of nbgrad's product, or None where libraries cannot be used; the product is checked."""
    ng.config.cuda_libraries = libraries
    there = ng.asarray(a, device="cuda:0")
    try:
        graph = ng.jit(np.matmul).lower(there, there).graph()
    except ng.DeviceError:
        if libraries:
            return None
        raise
    numpy.testing.assert_allclose(numpy.asarray(graph.launch())[:8], a[:8] @ a, rtol=1e-3, atol=1e-2)
    return seconds(*replayed(graph), repeat=5)


def of_cupy(a):
    import cupy

    there, stream = cupy.asarray(a), cupy.cuda.get_current_stream()
    return seconds(lambda: cupy.matmul(there, there), stream.ptr or 1, repeat=5)


def of_torch(a):
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False  # as exact as the others
    there, stream = torch.tensor(a, device="cuda"), torch.cuda.current_stream()
    return seconds(lambda: torch.matmul(there, there), stream.cuda_stream or 1, repeat=5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products(dtype, table, peers):
    """The generated kernel beside cuBLAS, as nbgrad, CuPy and PyTorch call it."""
    a = random(SQUARE, SQUARE).astype(dtype)
    found = {"nbgrad, generated": of_nbgrad(a, False), "nbgrad, cuBLAS": of_nbgrad(a, True)}
    found |= {n: f(a) for n, f in (("cupy", of_cupy), ("torch", of_torch)) if n in peers}
    for name, t in found.items():
        if t is not None:
            table("Products of matrices", f"{dtype} {SQUARE}: {name:20}{2 * SQUARE**3 / t / 1e9:10.0f} Gflop/s")


def waited(call, wait, repeat=20):
    """Median seconds of a call until the device is done with it, as a user sees it."""
    call()
    wait()
    found = []
    for _ in range(repeat):
        begin = time.perf_counter()
        call()
        wait()
        found.append(time.perf_counter() - begin)
    return numpy.median(found)


def flat(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", hardware_programs.PROGRAMS)
def test_gradients_beside_other_libraries(name, dtype, table, peers):
    """What each takes until the result is there, and that all say the same."""
    arrays = hardware_programs.arguments(name, ELEMENTS, dtype)
    f, there = hardware_programs.of_nbgrad(name, arrays)
    graph = f.lower(*there).graph()
    expected = [numpy.asarray(g) for g in flat(f(*there))]
    times = {"nbgrad": waited(lambda: f(*there), ng.cuda.synchronize),
             "nbgrad, graph": waited(graph.launch, ng.cuda.synchronize)}  # fmt: skip

    def agrees(found):
        for g, e in zip(found, expected, strict=True):
            scale = float(numpy.abs(e).max())
            numpy.testing.assert_allclose(g, e, rtol=0, atol=1e3 * numpy.finfo(dtype).eps * scale)

    if "torch" in peers:
        import torch

        theirs, its = hardware_programs.of_torch(name, arrays)
        agrees([g.cpu().numpy() for g in theirs(*its)])
        times["torch, eager"] = waited(lambda: theirs(*its), torch.cuda.synchronize)
    if "jax" in peers:
        import jax

        doubled = getattr(jax, "enable_x64", None) or jax.experimental.enable_x64  # it moved
        with doubled(dtype == "float64"):
            compiled, its = hardware_programs.of_jax(name, arrays)
            agrees([numpy.asarray(g) for g in compiled(*its)])
            times["jax, jit"] = waited(lambda: jax.block_until_ready(compiled(*its)), lambda: None)
    if "cupy" in peers:
        import cupy

        written = hardware_programs.by_hand(cupy, name)
        if written is not None:
            its = [cupy.asarray(a) for a in arrays]
            agrees([cupy.asnumpy(g) for g in written(*its)])
            times["cupy, by hand"] = waited(lambda: written(*its), cupy.cuda.Device().synchronize)
    for library, t in times.items():
        table("Gradients, until the result is there", f"{name:14} {dtype} {library:16}{t * 1e6:10.0f} us")
