"""Complex numbers on CUDA: pairs of reals in the same kernels as everything else; their IR executed on the CPU."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import graph
from nbgrad.testing import cuda as testing
from nbgrad.testing.device import pretend_device

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")

PROGRAMS = {
    "exp": lambda z: np.exp(z) * z + np.conj(z),
    "quotient": lambda z: (1 + z) / (2j - z * z),
    "roots and logarithms": lambda z: np.sqrt(z) + np.log(z) - z**1.5,
    "circular": lambda z: np.sin(z) - np.arctan(z) + np.tanh(z),
    "size": lambda z: np.abs(z) ** 2 + np.angle(z),
    "sums": lambda z: np.sum(z * np.conj(z[::-1]), axis=0),
    "taken": lambda z: z[[1, 0, 1]] * 2j,
    "gradient": ng.grad(lambda z: np.sum(np.abs(np.exp(z) - 1j) ** 2)),
}


def sample(rng, dtype):
    return (rng.normal(size=(4, 7)) + 1j * rng.normal(size=(4, 7))).astype(dtype)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_the_cpu(rng, name, dtype):
    f, z = PROGRAMS[name], sample(rng, dtype)
    graph.state.tracked += 1
    try:
        low = testing.lowered(f, z)
    finally:
        graph.state.tracked -= 1
    assert not any(launch.host for launch in low.launches)
    ng.config.jit = 2
    expected = numpy.asarray(f(ng.asarray(z)))
    for order in ("up", "down"):
        (found,) = testing.run(low, [z], order=order)
        assert found.dtype == expected.dtype
        tolerance = 256 * numpy.finfo(dtype).eps
        numpy.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * numpy.abs(expected).max())


def test_on_a_device(rng):
    """Arrays on a device that pretends: numbers go there and back as they are; what only NumPy can do warns."""
    z = sample(rng, "complex128")
    with pretend_device():
        there = ng.asarray(z, device="cuda:0")
        assert there.device == "cuda:0"
        numpy.testing.assert_array_equal(there.to("cpu"), z)
        numpy.testing.assert_allclose((there * 2j).numpy(), z * 2j)
        numpy.testing.assert_allclose(ng.grad(lambda z: np.sum(np.abs(z)))(there).numpy(), z / numpy.abs(z))
        with pytest.warns(ng.HostFallbackWarning, match="prod: has no CUDA kernel"):
            numpy.testing.assert_allclose(np.prod(there, axis=0).numpy(), z.prod(0))
