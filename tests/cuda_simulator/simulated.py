"""What the tests of this folder share: `lowered` and `run` of the simulator, or the reason why they are skipped."""

import os

import numpy
import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1":
    pytest.skip(
        "Numba's CUDA simulator takes the place of its compiler, so it has a process of its own: "
        "NUMBA_ENABLE_CUDASIM=1 pytest tests/cuda_simulator",
        allow_module_level=True,
    )
pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install nbgrad[cuda13]")

import nbgrad as ng
from nbgrad import graph
from nbgrad.testing import simulator
from nbgrad.testing.simulator import lowered, run

__all__ = ["assert_as_exact", "lowered", "on_the_cpu", "run", "simulator", "traced"]


def traced(fn, *arguments):
    """A program as jit would trace it."""
    graph.state.tracked += 1
    try:
        return lowered(fn, *arguments)
    finally:
        graph.state.tracked -= 1


def on_the_cpu(fn, *arguments):
    """What the compiled kernels of the CPU give."""
    ng.config.jit = 2
    with numpy.errstate(all="ignore"):
        result = ng.jit(fn)(*arguments)
    return [numpy.asarray(y) for y in (result if isinstance(result, (tuple, list)) else [result])]


def assert_as_exact(found, expected, ulp, scale=None):
    """As near to expected values as a row of the table asks for."""
    expected = numpy.asarray(expected).astype(found.dtype if found.dtype.kind != "f" else "longdouble")
    assert found.shape == expected.shape
    if found.dtype.kind != "f":
        numpy.testing.assert_array_equal(found, expected)
        return
    eps = numpy.finfo(found.dtype).eps
    scale = max([abs(float(e)) for e in expected.ravel()], default=0.0) if scale is None else scale
    numpy.testing.assert_allclose(found, expected, rtol=max(ulp, 1) * eps, atol=max(ulp, 1) * eps * scale)
