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
    "Graph", "MemoryInfo", "Stream", "current_stream", "device_count", "device_function", "free_cached", "is_available",
    "memory_info", "stream", "synchronize", "why_not_available",
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


def device_function(fn, *examples, name=None):
    """A function of scalars, or its gradient, for calls from CUDA kernels that you write with Numba.

    `fn` is called once, on scalars without a value; what it computes becomes a function with the C ABI.  No GPU and no
    driver are needed for that.  Numbers that `fn` takes from elsewhere are those of this moment.

    Parameters
    ----------
    fn : callable
        A function of scalars that returns a scalar or nested tuples of them, such as ``ng.grad(f)``; made of
        elementwise operations.
    *examples : scalars
        One for each argument: a Python number, a NumPy scalar or a 0-d array.  Only their dtypes matter.
    name : str, optional
        What the function is called by linkers; one that is made from its contents unless given.

    Returns
    -------
    DeviceFunction
        Its ``declare(architecture="compute_75", lto=True)`` is what kernels call: with several results it returns them
        as one flat tuple.  ``ptx(architecture)``, ``ltoir(architecture)``, ``ir``, ``symbol`` and ``signature`` are for
        other ways of linking it.

    Raises
    ------
    ArgumentError
        For what is not a function, examples that are no numbers, and results that are none; by ``declare`` for a name
        that another function was declared by.
    ShapeError
        For examples, results and arrays from elsewhere that are no scalars.
    DtypeError
        For float16.
    KernelError
        Where `fn` does something that is not elementwise; by ``declare`` and ``signature`` where numba-cuda is not
        installed, by ``declare``, ``ptx`` and ``ltoir`` where NVIDIA's compiler is not.

    Notes
    -----
    Functions were executed on a CPU, and kernels that call them compiled and linked for GPUs from sm_75 to sm_120; none
    was run on a GPU.  Functions of float32 compute in float32, but for sines, cosines and tangents of large arguments,
    which NVIDIA's libdevice reduces in float64.

    Examples
    --------
    Newton's method for a cube root, with a step for each thread; launching the kernel needs a GPU.

    >>> import nbgrad as ng
    >>> f = lambda x, y: x**3 - y
    >>> both = ng.cuda.device_function(ng.value_and_grad(f), 1.0, 2.0, name="cube")
    >>> both
    <DeviceFunction cube: (float64, float64) (float64, float64)>

    ::

        from numba import cuda

        value_and_slope = both.declare()

        @cuda.jit
        def newton(x, y):
            i = cuda.grid(1)
            if i < x.size:
                value, slope = value_and_slope(x[i], y[i])
                x[i] -= value / slope
    """
    from nbgrad.compile.cuda.device_function import made

    return made(fn, examples, name)
