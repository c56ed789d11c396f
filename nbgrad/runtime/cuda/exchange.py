"""Arrays of other libraries on a device, and ours for them: the CUDA array interface and DLPack."""

import contextlib

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DeviceError, describe
from nbgrad.runtime.cuda import dlpack
from nbgrad.runtime.cuda.array import DeviceArray
from nbgrad.runtime.cuda.device import get, where
from nbgrad.runtime.cuda.driver import LEGACY, PER_THREAD
from nbgrad.runtime.cuda.streams import current, known

#: Kernels move vectors of so many bytes, from the beginning of a value on.
ALIGNMENT = 16

# ---------------------------------------------------------------- ours for others


def interface(value):
    """``__cuda_array_interface__``, version 3, of a `DeviceArray`.

    The memory belongs to an Array, which does not change: nobody should write to it.  It is not marked as read-only,
    since libraries that do not know this mark refuse it.
    """
    return {
        "shape": value.shape,
        "typestr": value.dtype.str,
        "data": (value.address, False),
        "strides": None,
        "version": 3,
        "stream": value.stream.handle,
    }


def exported(value, stream=None, max_version=None, dl_device=None, copy=None):
    """A DLPack capsule of a `DeviceArray`.

    Parameters
    ----------
    stream : int, optional
        In which the consumer will read: it waits for the value.  None is the legacy default stream, -1 waits for
        nothing.
    max_version : (int, int), optional
        Of DLPack; without it the capsule is of the form before version 1.
    dl_device : (int, int), optional
        Where the consumer wants it: here, or on the CPU.
    copy : bool, optional
        True makes a copy, False refuses to make one.

    Raises
    ------
    BufferError
        For a device that the value is not on, and copies that are refused.
    """
    device = value.device
    versioned = max_version is not None and tuple(max_version) >= dlpack.VERSION
    own = dlpack.CUDA, device.ordinal
    if dl_device is not None and tuple(dl_device) != own:
        if tuple(dl_device) != (dlpack.CPU, 0):
            raise BufferError(
                f"__dlpack__: the array is on {device}, and dl_device {tuple(dl_device)} is neither that nor the CPU; "
                "move it first with x.to(...)"
            )
        if copy is False:
            raise BufferError(f"__dlpack__: the array is on {device} and cannot be on the CPU without a copy")
        host = value.host()
        return dlpack.capsule(host.ctypes.data, host.shape, host.dtype, host, (dlpack.CPU, 0), versioned, copied=True)
    if copy:
        value = value.copy()
    if stream is None:
        stream = LEGACY
    elif stream != -1 and (isinstance(stream, bool) or not isinstance(stream, int) or stream < 1):
        raise BufferError(
            f"__dlpack__: stream {stream!r} is none; 1 is the legacy default stream, 2 that of a thread, others are "
            "handles, and -1 means that nothing is waited for"
        )
    if stream != -1:
        value.ready_on(known(device, stream))
    return dlpack.capsule(value.address, value.shape, value.dtype, value, own, versioned, copied=bool(copy))


# ---------------------------------------------------------------- others' for us


def imported(x):
    """A `DeviceArray` over the memory of another library's array, which is kept; None if it is not on a CUDA device.

    What comes next in the current stream waits for the stream in which the array is made.  Where its strides are not
    those of C order, or it does not begin on a multiple of 16 bytes, the elements are copied.
    """
    interface = getattr(x, "__cuda_array_interface__", None)
    if interface is not None:
        return _of_interface(x, interface)
    if not hasattr(x, "__dlpack_device__"):
        return None
    kind, ordinal = (int(k) for k in x.__dlpack_device__())
    if kind not in (dlpack.CUDA, dlpack.CUDA_MANAGED):
        return None
    device = get("asarray", ordinal)
    stream = current(device)
    try:
        capsule = x.__dlpack__(stream=stream.handle, max_version=dlpack.VERSION)
    except TypeError:  # from before DLPack 1
        capsule = x.__dlpack__(stream=stream.handle)
    try:
        tensor = dlpack.Tensor(capsule)
    except ValueError as error:
        raise ArgumentError(f"asarray: {describe(x)} cannot be imported: {error}") from None
    owner = _Borrowed(tensor, device, stream, LEGACY)
    return _placed(device, tensor.address, tensor.shape, tensor.strides, tensor.dtype, owner, stream)


class _Borrowed:
    """Memory of another library.  When it is let go, their stream waits for what reads it here."""

    __slots__ = ("_device", "_streams", "_theirs", "owner")

    def __init__(self, owner, device, stream, theirs):
        self.owner, self._device, self._theirs, self._streams = owner, device, theirs, {stream.handle: stream}

    def used_on(self, stream):
        self._streams[stream.handle] = stream

    def __del__(self):
        driver = self._device.driver
        with contextlib.suppress(DeviceError):  # at the end of the process the driver may be gone
            for handle in self._streams:
                if handle != self._theirs or handle == PER_THREAD:
                    driver.wait(self._theirs, driver.record(handle))


def _of_interface(x, interface):
    if interface.get("mask") is not None:
        raise ArgumentError(f"asarray: {describe(x)} has a mask, which nbgrad does not know; fill it first")
    try:
        dtype, shape = numpy.dtype(interface["typestr"]), tuple(interface["shape"])
        address = interface["data"][0]
    except (KeyError, TypeError, IndexError) as error:
        raise ArgumentError(
            f"asarray: the __cuda_array_interface__ of {describe(x)} lacks shape, typestr or data ({error!r})"
        ) from None
    strides = interface.get("strides")
    if strides is None:
        strides = shapes.contiguous_strides(shape)
    elif any(s % dtype.itemsize for s in strides):
        raise ArgumentError(f"asarray: strides {tuple(strides)} of {describe(x)} are not multiples of its elements")
    else:
        strides = tuple(s // dtype.itemsize for s in strides)
    device = get("asarray", where(address))
    stream, theirs = current(device), interface.get("stream")
    if theirs is not None:
        if theirs == 0:
            raise ArgumentError(
                f"asarray: the __cuda_array_interface__ of {describe(x)} names stream 0, which is ambiguous; 1 is the "
                "legacy default stream, 2 that of a thread"
            )
        if theirs != stream.handle or theirs == PER_THREAD:
            device.driver.wait(stream.handle, device.driver.record(theirs))
    return _placed(device, address, shape, strides, dtype, _Borrowed(x, device, stream, theirs or LEGACY), stream)


def _placed(device, address, shape, strides, dtype, owner, stream):
    if not dtype.isnative:
        raise ArgumentError(f"asarray: {dtype.str!r} is not in the byte order of this machine; convert it first")
    dtypes.as_dtype(dtype, "asarray")
    if 0 in shape:
        return DeviceArray(device, 0, shape, dtype, None, stream)
    contiguous = shapes.contiguous_strides(shape)
    if all(s == c or n == 1 for n, s, c in zip(shape, strides, contiguous, strict=True)):
        made = DeviceArray(device, address, shape, dtype, owner, stream)
        return made.copy() if address % ALIGNMENT else made
    steps = [s * (n - 1) for n, s in zip(shape, strides, strict=True)]
    low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)
    span = DeviceArray(device, address + low * dtype.itemsize, (high - low + 1,), dtype, owner, stream)
    return _gathered(span, shape, strides, -low)


def _gathered(span, shape, strides, start):
    """The elements of `span` that strides lead to, in C order: taken at indices that the device computes."""
    from nbgrad.kernels.indexing import take
    from nbgrad.runtime.evaluate import realize

    rank, at = len(shape), start
    for axis, (n, step) in enumerate(zip(shape, strides, strict=True)):
        along = (numpy.arange(n) * step).reshape(tuple(n if i == axis else 1 for i in range(rank)))
        at = Array(graph.table(along)) + at
    node = take(Array(graph.leaf(span)), at, axis=0)._node
    realize([node])
    return node.value
