"""CUDA's driver: the one module that imports NVIDIA's bindings and Numba's CUDA target.

`Driver` says what the rest asks of a device.  `CudaDriver` is a GPU; tests run on one that pretends
(`nbgrad.testing.device`).  Memory comes from Numba's memory manager, so a plug-in of CuPy or RMM that is set there
serves nbgrad as well, and the context is the primary one, which Numba, CuPy and PyTorch use.
"""

import contextlib
import ctypes
import dataclasses
import threading
from typing import Any, Protocol

from nbgrad.errors import DeviceError
from nbgrad.runtime.cuda import link, occupancy

#: Streams that exist without being made: that which all of a process share, and that of a thread.
LEGACY, PER_THREAD = 1, 2


class OutOfMemory(Exception):
    """The device has no block of this size left."""


@dataclasses.dataclass
class Memory:
    """Memory of a device: where it is, how much, and what keeps it."""

    address: int
    nbytes: int
    owner: Any


#: Blocks of a grid or threads of a block: in one line, or along three axes.
Extents = int | tuple[int, int, int]


@dataclasses.dataclass
class Function:
    """A kernel that is loaded.

    Attributes
    ----------
    handle : object
        What the driver launches.
    registers : int
        Of a thread.
    shared : int
        Bytes of shared memory of a block.
    threads : int
        Of a block at most.
    """

    handle: Any
    registers: int = 32
    shared: int = 0
    threads: int = 1024


class Driver(Protocol):
    """One device.  Streams are integers, as CUDA's handles; all calls but those that say so return at once."""

    ordinal: int
    name: str
    capability: tuple
    limits: occupancy.Limits

    def active(self) -> Any:
        """A context manager around several calls, which are cheaper inside."""

    def alloc(self, nbytes: int) -> Memory:
        """Memory; OutOfMemory if there is none."""

    def free(self, memory: Memory) -> None:
        """Give memory back."""

    def memory(self) -> tuple:
        """(free, total) bytes of the device."""

    def copy_in(self, address: int, array: Any, stream: int) -> None:
        """Copy a C-contiguous ndarray to the device; it may be changed again when this returns."""

    def copy_out(self, array: Any, address: int, stream: int) -> None:
        """Copy into a C-contiguous ndarray; waits until the bytes are there."""

    def copy(self, target: int, source: int, nbytes: int, stream: int) -> None:
        """Copy within the device."""

    def fill(self, address: int, byte: int, nbytes: int, stream: int) -> None:
        """Set bytes."""

    def stream(self) -> int:
        """A new stream."""

    def forget_stream(self, stream: int) -> None:
        """Destroy a stream that `stream` made."""

    def record(self, stream: int) -> Any:
        """An event behind all that is in a stream now."""

    def wait(self, stream: int, event: Any) -> None:
        """Let what comes next in a stream wait for an event."""

    def synchronize(self, stream: int | None = None) -> None:
        """Wait for a stream, or for all of the device."""

    def function(self, code: Any) -> Function:
        """A kernel, compiled and loaded."""

    def launch(self, function: Function, grid: Extents, block: Extents, stream: int, table: int, start: int,
               stop: int) -> None:  # fmt: skip
        """Launch ``symbol(int64* table, int64 start, int64 stop)``."""

    def begin_capture(self, stream: int) -> None:
        """Record what is put into a stream from here on instead of doing it."""

    def end_capture(self, stream: int) -> Any:
        """What was recorded, ready to be replayed."""

    def replay(self, recorded: Any, stream: int) -> None:
        """Do what was recorded."""


#: What to install, by what is missing.
_EXTRA = "install NVIDIA's packages for Python: pip install nbgrad[cuda13] (or nbgrad[cuda12] for an older driver)"


def missing():
    """What keeps this machine from using CUDA, with what to do; None if nothing does.

    Looks for Python packages first, then for libraries of the toolkit, then for NVIDIA's driver and a GPU.
    """
    try:
        from cuda.bindings import driver as bindings
    except ImportError as error:
        return f"the package cuda.bindings is missing ({error}); {_EXTRA}"
    try:
        from numba import cuda
    except Exception as error:  # numba-cuda without its libraries raises RuntimeErrors
        if isinstance(error, ImportError):
            return f"the package numba-cuda is missing ({error}); {_EXTRA}"
        return f"a library of the CUDA toolkit is missing ({_line(error)}); {_EXTRA}"
    if getattr(cuda, "implementation", None) != "NVIDIA":
        return f"the package numba-cuda is missing (Numba's own CUDA target is not enough); {_EXTRA}"
    for name in ("nvvm", "nvjitlink"):
        try:
            link.library(name)
        except Exception as error:
            return f"a library of the CUDA toolkit is missing ({name}: {_line(error)}); {_EXTRA}"
    try:
        (status,) = bindings.cuInit(0)
    except Exception as error:
        return (
            f"NVIDIA's driver is missing ({_line(error)}); install the driver of the GPU, which is not a Python package"
        )
    if status != bindings.CUresult.CUDA_SUCCESS:
        if status == bindings.CUresult.CUDA_ERROR_NO_DEVICE:
            return "NVIDIA's driver finds no GPU; look at nvidia-smi and CUDA_VISIBLE_DEVICES"
        return f"NVIDIA's driver does not start ({status.name}); look at nvidia-smi"
    return None


def _line(error):
    """The first words of an error that may be long."""
    text = " ".join(str(error).split())
    return text if len(text) < 160 else text[:157] + "..."


def count():
    """How many CUDA devices there are; 0 where `missing` says why."""
    if missing() is not None:
        return 0
    from cuda.bindings import driver as bindings

    return _checked("count devices", bindings.cuDeviceGetCount())


def ordinal_of(address):
    """The number of the device that memory is on."""
    if not address:
        return 0
    from cuda.bindings import driver as bindings

    attribute = bindings.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(_checked("find the device of an address", bindings.cuPointerGetAttribute(attribute, address)))


def _checked(doing, answer):
    """What a call of the bindings returned; DeviceError with the words of the driver if it failed."""
    from cuda.bindings import driver as bindings

    status, *values = answer
    if status != bindings.CUresult.CUDA_SUCCESS:
        _, said = bindings.cuGetErrorString(status)
        said = said.decode() if isinstance(said, bytes) else said
        raise DeviceError(f"CUDA could not {doing}: {status.name} ({said})")
    return values[0] if len(values) == 1 else tuple(values)


class _Event:
    """An event of CUDA, destroyed with its last reference."""

    __slots__ = ("driver", "handle")

    def __init__(self, driver, handle):
        self.driver, self.handle = driver, handle

    def __del__(self):
        with contextlib.suppress(Exception), self.driver.active():
            self.driver.cu.cuEventDestroy(self.handle)


class CudaDriver:
    """A GPU.

    Parameters
    ----------
    ordinal : int
    """

    def __init__(self, ordinal):
        from cuda.bindings import driver as cu
        from numba import cuda

        self.cu, self.ordinal = cu, ordinal
        with cuda.gpus[ordinal]:
            self._numba = cuda.current_context()
            self._context = _checked("find its context", cu.cuCtxGetCurrent())
        device = _checked("find a device", cu.cuDeviceGet(ordinal))
        said = _checked("read the name of a device", cu.cuDeviceGetName(128, device))
        self.name = said.split(b"\0", 1)[0].decode(errors="replace")
        attribute = lambda name: int(  # noqa: E731
            _checked("read an attribute", cu.cuDeviceGetAttribute(
                getattr(cu.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}"), device))
        )  # fmt: skip
        self.capability = attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")
        self.limits = dataclasses.replace(
            occupancy.limits(self.capability),
            threads=attribute("MAX_THREADS_PER_MULTIPROCESSOR"),
            blocks=attribute("MAX_BLOCKS_PER_MULTIPROCESSOR"),
            shared=attribute("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"),
            reserved=attribute("RESERVED_SHARED_MEMORY_PER_BLOCK"),
            registers=attribute("MAX_REGISTERS_PER_MULTIPROCESSOR"),
            block_threads=attribute("MAX_THREADS_PER_BLOCK"),
            multiprocessors=attribute("MULTIPROCESSOR_COUNT"),
        )
        self._depth = threading.local()
        self._modules = []

    @contextlib.contextmanager
    def active(self):
        """With the context of this device as the current one of the thread; it is put back."""
        depth = getattr(self._depth, "value", 0)
        if not depth:
            _checked("enter its context", self.cu.cuCtxPushCurrent(self._context))
        self._depth.value = depth + 1
        try:
            yield
        finally:
            self._depth.value = depth
            if not depth:
                self.cu.cuCtxPopCurrent()

    def _do(self, doing, function, *arguments):
        with self.active():
            return _checked(doing, function(*arguments))

    # ------------------------------------------------------------ memory

    def alloc(self, nbytes):
        with self.active():
            try:
                owner = self._numba.memalloc(nbytes)
            except MemoryError as error:  # of a plug-in
                raise OutOfMemory(str(error)) from None
            except Exception as error:
                if getattr(error, "code", None) == int(self.cu.CUresult.CUDA_ERROR_OUT_OF_MEMORY):
                    raise OutOfMemory(str(error)) from None
                raise DeviceError(f"CUDA could not allocate {nbytes} bytes on cuda:{self.ordinal}: {error}") from None
            return Memory(int(owner.device_ctypes_pointer.value), nbytes, owner)

    def free(self, memory):
        memory.owner = None
        with self.active():
            self._numba.deallocations.clear()  # Numba would keep some for later

    def memory(self):
        return self._do("ask for free memory", self.cu.cuMemGetInfo)

    def copy_in(self, address, array, stream):
        self._do("copy to the device", self.cu.cuMemcpyHtoDAsync, address, array.ctypes.data, array.nbytes, stream)

    def copy_out(self, array, address, stream):
        self._do("copy from the device", self.cu.cuMemcpyDtoHAsync, array.ctypes.data, address, array.nbytes, stream)
        self.synchronize(stream)

    def copy(self, target, source, nbytes, stream):
        self._do("copy within the device", self.cu.cuMemcpyDtoDAsync, target, source, nbytes, stream)

    def fill(self, address, byte, nbytes, stream):
        self._do("set memory", self.cu.cuMemsetD8Async, address, byte, nbytes, stream)

    # ------------------------------------------------------------ streams

    def stream(self):
        return int(self._do("make a stream", self.cu.cuStreamCreate, 0))

    def forget_stream(self, stream):
        with contextlib.suppress(DeviceError):  # at the end of the process the driver may be gone
            self._do("destroy a stream", self.cu.cuStreamDestroy, stream)

    def record(self, stream):
        flags = int(self.cu.CUevent_flags.CU_EVENT_DISABLE_TIMING)
        event = _Event(self, self._do("make an event", self.cu.cuEventCreate, flags))
        self._do("record an event", self.cu.cuEventRecord, event.handle, stream)
        return event

    def wait(self, stream, event):
        self._do("wait for an event", self.cu.cuStreamWaitEvent, stream, event.handle, 0)

    def synchronize(self, stream=None):
        if stream is None:
            self._do("finish what was launched", self.cu.cuCtxSynchronize)
        else:
            self._do("finish what was launched", self.cu.cuStreamSynchronize, stream)

    # ------------------------------------------------------------ kernels

    def function(self, code):
        image = link.machine_code(code, self.capability)
        module = self._do("load a kernel", self.cu.cuModuleLoadData, image)
        handle = self._do("find a kernel", self.cu.cuModuleGetFunction, module, code.symbol.encode())
        self._modules.append((module, image))
        fact = lambda name: int(  # noqa: E731
            self._do("look at a kernel", self.cu.cuFuncGetAttribute,
                     getattr(self.cu.CUfunction_attribute, f"CU_FUNC_ATTRIBUTE_{name}"), handle)
        )  # fmt: skip
        return Function(handle, fact("NUM_REGS"), fact("SHARED_SIZE_BYTES"), fact("MAX_THREADS_PER_BLOCK"))

    def launch(self, function, grid, block, stream, table, start, stop):
        arguments = (ctypes.c_int64 * 3)(table, start, stop)
        at = ctypes.addressof(arguments)
        pointers = (ctypes.c_void_p * 3)(at, at + 8, at + 16)
        grid, block = (n if isinstance(n, tuple) else (n, 1, 1) for n in (grid, block))
        self._do("launch a kernel", self.cu.cuLaunchKernel, function.handle, *grid, *block, 0, stream,
                 ctypes.addressof(pointers), 0)  # fmt: skip

    # ------------------------------------------------------------ graphs

    def begin_capture(self, stream):
        mode = self.cu.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._do("begin a graph", self.cu.cuStreamBeginCapture, stream, mode)

    def end_capture(self, stream):
        recorded = self._do("end a graph", self.cu.cuStreamEndCapture, stream)
        ready = self._do("prepare a graph", self.cu.cuGraphInstantiate, recorded, 0)
        self._do("drop the description of a graph", self.cu.cuGraphDestroy, recorded)
        return ready

    def replay(self, recorded, stream):
        self._do("launch a graph", self.cu.cuGraphLaunch, recorded, stream)
