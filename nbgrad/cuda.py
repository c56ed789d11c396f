"""CUDA devices: what there is, streams, memory, graphs.

Arrays are put on a device with ``nbgrad.asarray(x, device="cuda")`` or ``x.to("cuda:1")``; what is computed from them
is computed there, and asked for without waiting.  Reading a value (`print`, `float`, `numpy.asarray`) waits for it.
"""

from nbgrad.runtime.cuda import device as _device
from nbgrad.runtime.cuda import streams as _streams
from nbgrad.runtime.cuda.graph import Graph
from nbgrad.runtime.cuda.pool import MemoryInfo
from nbgrad.runtime.cuda.streams import Stream

__all__ = [
    "Graph", "MemoryInfo", "Stream", "current_stream", "device_count", "free_cached", "is_available", "memory_info",
    "stream", "synchronize", "why_not_available",
]  # fmt: skip


def is_available():
    """Whether there is a CUDA device to compute on.

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.cuda.is_available() == (ng.cuda.device_count() > 0)
    True
    """
    return device_count() > 0


def why_not_available():
    """What is missing, with what to do, as a text; None if nothing is."""
    return _device.why_not()


def device_count():
    """How many CUDA devices there are; 0 where something is missing."""
    return _device.count()


def stream(stream):
    """A context manager: what this thread asks of the device of `stream` meanwhile is put into it."""
    return _streams.entered(stream)


def current_stream(device="cuda"):
    """The `Stream` that this thread's work on a device goes to: the legacy default stream unless one was entered."""
    return _streams.current(_device.named("current_stream", device))


def synchronize(device=None):
    """Wait until all that was put into any stream of a device is done; without one, of all that are in use."""
    for each in [_device.named("synchronize", device)] if device is not None else _device.present():
        each.driver.synchronize()


def memory_info(device="cuda"):
    """`MemoryInfo` of a device: bytes that are used, cached, allowed, free, and there at all."""
    return _device.named("memory_info", device).pool.info()


def free_cached(device=None):
    """Give memory that is kept for later arrays back to the driver; without a device, on all that are in use."""
    for each in [_device.named("free_cached", device)] if device is not None else _device.present():
        each.pool.clear()
