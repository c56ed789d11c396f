"""Arrays of other libraries on a GPU, in and out without a copy; and of stand-ins, wherever the suite runs."""

import gc
import os
import weakref

import numpy
import pytest
from hardware_peers import why_not

import nbgrad as ng
import nbgrad.numpy as np

PRETENDS = os.environ.get("NBGRAD_PRETEND_DEVICE") == "1"
DTYPES = "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"
A = numpy.arange(1.0, 7.0).reshape(2, 3)


def needs(name):
    if PRETENDS:
        pytest.skip("other libraries do not know a device that pretends")
    why = why_not(name)
    if why is not None:
        pytest.skip(why)


def address(x):
    """Where the elements of an array are."""
    return x.__cuda_array_interface__["data"][0]


def near(found, expected):
    numpy.testing.assert_allclose(found, expected, rtol=1e-6)


# ---------------------------------------------------------------- stand-ins


class Interface:
    """An array with the CUDA array interface only, made in a stream."""

    def __init__(self, a, stream, **change):
        with ng.cuda.stream(stream):
            self.x = ng.asarray(a, device="cuda:0")
        self.change = change

    @property
    def __cuda_array_interface__(self):
        return self.x.__cuda_array_interface__ | self.change


class Dealer:
    """An array with DLPack only, made in a stream."""

    def __init__(self, a, stream):
        with ng.cuda.stream(stream):
            self.x = ng.asarray(a, device="cuda:0")

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()

    def __dlpack__(self, **keywords):
        return self.x.__dlpack__(**keywords)


@pytest.mark.parametrize("make", [Interface, Dealer])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_is_used_where_it_is(make, dtype):
    """Its stream is waited for, and it is kept as long as it is used."""
    a = A.astype(dtype)
    theirs = make(a, ng.cuda.Stream())
    x = ng.asarray(theirs)
    assert (x.device, x.dtype, x.shape) == ("cuda:0", a.dtype, a.shape)
    assert address(x) == address(theirs.x)
    numpy.testing.assert_array_equal(np.where(x > 1, x, x), a)
    gone = weakref.ref(theirs.x.realize()._node.value)
    del theirs
    gc.collect()
    numpy.testing.assert_array_equal(x, a)
    assert gone() is not None
    del x
    gc.collect()
    assert gone() is None


def test_views_are_copied_element_by_element():
    """Transposed, and of every second column."""
    there = Interface(A, ng.cuda.current_stream())
    for part in (A.T, A[:, ::2]):
        x = ng.asarray(Interface(A, ng.cuda.current_stream(), shape=part.shape, strides=part.strides))
        numpy.testing.assert_array_equal(x, part)
    assert address(ng.asarray(there)) == address(there.x)


# ---------------------------------------------------------------- CuPy


@pytest.mark.parametrize("dtype", DTYPES)
def test_cupy(dtype):
    needs("cupy")
    import cupy

    theirs = cupy.asarray(A.astype(dtype))
    ours = ng.asarray(theirs)
    assert (ours.device, ours.dtype, address(ours)) == ("cuda:0", dtype, theirs.data.ptr)
    y = np.where(ours > 1, ours, ours).realize()
    for back in (cupy.asarray(y), cupy.from_dlpack(y)):
        assert (back.dtype, back.data.ptr) == (dtype, address(y))
        numpy.testing.assert_array_equal(cupy.asnumpy(back), A.astype(dtype))


def test_views_of_cupy():
    needs("cupy")
    import cupy

    theirs = cupy.asarray(A)
    for part in (theirs.T, theirs[:, ::2], theirs[::-1]):
        numpy.testing.assert_array_equal(ng.asarray(part), cupy.asnumpy(part))


def test_streams_of_cupy():
    """What is made in its stream is waited for, and nbgrad works in its streams."""
    needs("cupy")
    import cupy

    with cupy.cuda.Stream(non_blocking=True) as stream:
        theirs = cupy.zeros(1 << 22)
        for _ in range(50):
            theirs += 1
        near(np.sum(ng.asarray(theirs)), 50.0 * (1 << 22))
        with ng.cuda.stream(ng.cuda.Stream(external=stream.ptr)):
            y = (ng.asarray(theirs) * 2).realize()
        assert float(cupy.sum(cupy.asarray(y))) == 100.0 * (1 << 22)


# ---------------------------------------------------------------- PyTorch


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch(dtype):
    needs("torch")
    import torch

    theirs = torch.tensor(A.astype(dtype), device="cuda")
    for ours in (ng.asarray(theirs), np.from_dlpack(theirs)):
        assert (ours.device, ours.dtype, address(ours)) == ("cuda:0", dtype, theirs.data_ptr())
    y = np.where(ours > 1, ours, ours).realize()
    back = torch.from_dlpack(y)
    assert back.data_ptr() == address(y)
    numpy.testing.assert_array_equal(back.cpu().numpy(), A.astype(dtype))
    numpy.testing.assert_array_equal(torch.as_tensor(y, device="cuda").cpu().numpy(), A.astype(dtype))


def test_streams_of_torch():
    needs("torch")
    import torch

    with torch.cuda.stream(torch.cuda.Stream()):
        theirs = torch.zeros(1 << 22, device="cuda", dtype=torch.float64)
        for _ in range(50):
            theirs += 1
        near(np.sum(np.from_dlpack(theirs)), 50.0 * (1 << 22))
        with ng.cuda.stream(ng.cuda.Stream(external=torch.cuda.current_stream().cuda_stream)):
            y = (np.from_dlpack(theirs) * 2).realize()
        assert float(torch.from_dlpack(y).sum()) == 100.0 * (1 << 22)


# ---------------------------------------------------------------- JAX and Numba


@pytest.mark.parametrize(
    "dtype", [d for d in DTYPES if d not in ("float64", "int64")]
)  # narrowed unless told otherwise
def test_jax(dtype):
    needs("jax")
    import jax

    theirs = jax.numpy.asarray(A.astype(dtype))
    ours = np.from_dlpack(theirs)
    assert (ours.device, ours.dtype, address(ours)) == ("cuda:0", dtype, theirs.unsafe_buffer_pointer())
    y = np.where(ours > 1, ours, ours).realize()
    back = jax.dlpack.from_dlpack(y)
    assert back.unsafe_buffer_pointer() == address(y)
    numpy.testing.assert_array_equal(numpy.asarray(back), A.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_numba(dtype):
    if PRETENDS:
        pytest.skip("Numba does not know a device that pretends")
    from numba import cuda

    theirs = cuda.to_device(A.astype(dtype))
    ours = ng.asarray(theirs)
    assert (ours.device, ours.dtype, address(ours)) == ("cuda:0", dtype, theirs.device_ctypes_pointer.value)
    y = np.where(ours > 1, ours, ours).realize()
    back = cuda.as_cuda_array(y)
    assert back.device_ctypes_pointer.value == address(y)
    numpy.testing.assert_array_equal(back.copy_to_host(), A.astype(dtype))
