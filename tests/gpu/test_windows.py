"""Convolutions, pooling, filters and interpolation on CUDA, their kernels executed on the CPU."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.scipy import ndimage, signal

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")

from test_workloads import both

from nbgrad.testing import cuda

EPS = {"float64": 1e-11, "float32": 1e-3}


def network(x, w, v):
    x = np.max_pool(np.relu(np.conv(x, w, padding="same")), 2)
    return np.sum(np.avg_pool(np.conv(x, v, 2, 1, 1, 2), 2, 1) ** 2)


PROGRAMS = {
    "network": (network, ((2, 8, 6, 3), (3, 3, 3, 4), (3, 2, 2, 6))),
    "conv_transpose": (lambda x, w: np.sum(np.conv_transpose(x, w, 2, 1, 2, 2) ** 2), ((2, 7, 4), (3, 3, 4))),
    "convolve2d": (lambda x, w: np.sum(signal.convolve2d(x, w, "same", "symm") ** 2), ((9, 8), (3, 4))),
    "lfilter": (lambda b, a, x: np.sum(signal.lfilter(b, 0.3 * a + [1, 0, 0], x) ** 2), ((4,), (3,), (6, 30))),
    "gaussian": (lambda x: np.sum(ndimage.gaussian_filter(x, 1.3) ** 2), ((9, 12),)),
    "coordinates": (
        lambda x, at: np.sum(ndimage.map_coordinates(x, 3 * at, order=1, mode="reflect") ** 2), ((5, 6), (2, 40)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_gradient_is_that_of_the_cpu(name, dtype):
    """And no launch is done on the host."""
    fn, shapes = PROGRAMS[name]
    rng = numpy.random.default_rng(5)
    arguments = tuple(rng.normal(size=s).astype(dtype) for s in shapes)
    low, cpu, leaves = both(ng.value_and_grad(fn, tuple(range(len(shapes)))), arguments)
    assert not [launch.name for launch in low.launches if launch.host]
    leaves = [numpy.ascontiguousarray(a) for a in leaves]
    expected = cpu.compiled().run(leaves)
    for ours, theirs in zip(cuda.run(low, leaves), expected, strict=True):
        numpy.testing.assert_allclose(ours, theirs, rtol=EPS[dtype], atol=EPS[dtype] * numpy.abs(theirs).max())
