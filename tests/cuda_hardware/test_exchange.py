"""Arrays of other libraries on a GPU, in and out without a copy."""

import os

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

pytestmark = pytest.mark.skipif(
    os.environ.get("NBGRAD_PRETEND_DEVICE") == "1", reason="other libraries do not know a device that pretends"
)


def address(x):
    """Where the elements of an array are."""
    return x.__cuda_array_interface__["data"][0]


def test_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    theirs = cupy.arange(6.0).reshape(2, 3)
    ours = ng.asarray(theirs)
    assert (ours.device, address(ours)) == ("cuda:0", theirs.data.ptr)
    back = cupy.asarray(np.exp(ours))
    numpy.testing.assert_allclose(cupy.asnumpy(back), numpy.exp(numpy.arange(6.0).reshape(2, 3)))
    y = (ours * 2).realize()
    assert cupy.from_dlpack(y).data.ptr == address(y)


def test_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.arange(6.0, device="cuda").reshape(2, 3)
    ours = np.from_dlpack(theirs)
    assert (ours.device, address(ours)) == ("cuda:0", theirs.data_ptr())
    y = np.exp(ours).realize()
    back = torch.from_dlpack(y)
    assert back.data_ptr() == address(y)
    numpy.testing.assert_allclose(back.cpu().numpy(), numpy.exp(numpy.arange(6.0).reshape(2, 3)), rtol=1e-6)


def test_jax():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    if jax.default_backend() != "gpu":
        pytest.skip("JAX has no GPU")
    theirs = jax.numpy.arange(6.0).reshape(2, 3)
    ours = np.from_dlpack(theirs)
    assert ours.device == "cuda:0"
    back = jax.dlpack.from_dlpack(np.exp(ours).realize())
    numpy.testing.assert_allclose(numpy.asarray(back), numpy.exp(numpy.arange(6.0).reshape(2, 3)), rtol=1e-6)


def test_numba():
    cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    theirs = cuda.to_device(numpy.arange(6.0))
    ours = ng.asarray(theirs)
    assert (ours.device, address(ours)) == ("cuda:0", theirs.device_ctypes_pointer.value)
    back = cuda.as_cuda_array((ours * 2).realize())
    numpy.testing.assert_array_equal(back.copy_to_host(), 2 * numpy.arange(6.0))
