"""What the driver of a GPU asks of NVIDIA's bindings: calls that exist, with arguments that they take.

Each call goes to the real bindings, which convert the arguments and then find no library to hand them to; here an
answer of the kind that a GPU would give is put in its place.  What a GPU does with the calls is not tested anywhere.
"""

import contextlib
import ctypes

import numpy
import pytest

import nbgrad as ng
from nbgrad.runtime.cuda import driver as drivers
from nbgrad.runtime.cuda import link
from nbgrad.testing.cuda import lowered

cu = pytest.importorskip(
    "cuda.bindings.driver", reason="NVIDIA's bindings are not installed: pip install nbgrad[cuda13]"
)
cuda = pytest.importorskip("numba.cuda", reason="numba-cuda is not installed: pip install nbgrad[cuda13]")
with contextlib.suppress(RuntimeError):
    cu.cuInit(0)
    pytest.skip("This machine has NVIDIA's driver, which would take the calls in earnest.", allow_module_level=True)

ANSWERS = {
    "cuCtxGetCurrent": cu.CUcontext(5), "cuCtxPopCurrent": cu.CUcontext(5), "cuDeviceGet": cu.CUdevice(0),
    "cuDeviceGetName": b"NVIDIA Something\0\0\0", "cuMemGetInfo": (1000, 2000), "cuStreamCreate": cu.CUstream(17),
    "cuEventCreate": cu.CUevent(18), "cuModuleLoadData": cu.CUmodule(19), "cuModuleGetFunction": cu.CUfunction(20),
    "cuFuncGetAttribute": 32, "cuStreamEndCapture": cu.CUgraph(21), "cuGraphInstantiate": cu.CUgraphExec(22),
    "cuPointerGetAttribute": 1, "cuDeviceGetCount": 2, "cuGetErrorString": b"out of memory",
}  # fmt: skip


class Bindings:
    """The bindings, with answers in place of the library that is missing."""

    def __init__(self):
        self.log, self.fails = [], None

    def __getattr__(self, name):
        found = getattr(cu, name)
        if not name.startswith("cu"):
            return found

        def call(*arguments):
            with pytest.raises(RuntimeError, match="NVIDIA driver library"):
                found(*arguments)
            self.log.append(name)
            if name == self.fails:
                return (cu.CUresult.CUDA_ERROR_OUT_OF_MEMORY, *(None,) * (name in ANSWERS))
            answer = ANSWERS.get(name, ())
            if name == "cuDeviceGetAttribute":
                answer = {75: 8, 76: 6}.get(int(arguments[0]), 64)
            return (cu.CUresult.CUDA_SUCCESS, *(answer if isinstance(answer, tuple) else (answer,)))

        return call


class Context:
    """Numba's context, as far as it is used."""

    class deallocations:
        cleared = 0

        @classmethod
        def clear(cls):
            cls.cleared += 1

    def memalloc(self, nbytes):
        if nbytes > 1000:
            raise self.error
        owner = type("Owner", (), {})()
        owner.device_ctypes_pointer = ctypes.c_size_t(0x700000000000 + nbytes)
        return owner


@pytest.fixture
def bindings(monkeypatch):
    made, context = Bindings(), Context()
    import cuda.bindings as package

    monkeypatch.setattr(package, "driver", made)
    monkeypatch.setattr(cuda, "gpus", {0: contextlib.nullcontext(), 1: contextlib.nullcontext()})
    monkeypatch.setattr(cuda, "current_context", lambda: context)
    made.context = context
    return made


def test_a_device(bindings):
    driver = drivers.CudaDriver(1)
    assert (driver.ordinal, driver.name, driver.capability) == (1, "NVIDIA Something", (8, 6))
    assert driver.limits.shared_step == 128
    assert driver.limits.multiprocessors == driver.limits.blocks == 64
    assert drivers.count() == 2
    assert drivers.ordinal_of(0) == 0
    assert drivers.ordinal_of(0x700000000000) == 1


def test_every_call(bindings):
    driver = drivers.CudaDriver(0)
    a = numpy.arange(4.0)
    memory = driver.alloc(32)
    assert memory.address == 0x700000000020
    assert driver.memory() == (1000, 2000)
    stream = driver.stream()
    assert stream == 17
    for s in (stream, drivers.LEGACY, drivers.PER_THREAD):
        driver.copy_in(memory.address, a, s)
        driver.copy_out(a, memory.address, s)
        driver.copy(memory.address, memory.address + 8, 8, s)
        driver.fill(memory.address, 0, 32, s)
        driver.wait(stream, driver.record(s))
        driver.synchronize(s)
    driver.synchronize()
    driver.begin_capture(stream)
    driver.replay(driver.end_capture(stream), stream)
    driver.forget_stream(stream)
    driver.free(memory)
    assert memory.owner is None
    assert bindings.context.deallocations.cleared
    assert bindings.log.count("cuCtxPushCurrent") == bindings.log.count("cuCtxPopCurrent")
    before = len(bindings.log)
    with driver.active():
        driver.fill(memory.address, 0, 32, stream)
        driver.synchronize(stream)
    assert bindings.log[before:] == ["cuCtxPushCurrent", "cuMemsetD8Async", "cuStreamSynchronize", "cuCtxPopCurrent"]


def test_a_kernel(bindings, settings, tmp_path):
    """Compiled to the machine code of the device, which the disk keeps; arguments as the kernel takes them."""
    settings.cache_dir = tmp_path / "cache"
    driver = drivers.CudaDriver(0)
    code = lowered(lambda x: x * 2, numpy.ones(3)).launches[0].code
    function = driver.function(code)
    assert (function.registers, function.shared, function.threads) == (32, 32, 32)
    ((_, image),) = driver._modules
    assert image[:4] == b"\x7fELF"
    assert code.symbol.encode() in image
    before = ng.stats()["kernels_loaded"]
    assert link.machine_code(code, (8, 6)) == image
    assert ng.stats()["kernels_loaded"] == before + 1
    assert link.machine_code(code, (9, 0)) != image
    seen = []

    def launch(*arguments):
        pointers = ctypes.cast(arguments[9], ctypes.POINTER(ctypes.c_void_p))
        seen.append((arguments[1:8], [ctypes.c_int64.from_address(pointers[k]).value for k in range(3)], arguments[8]))
        return Bindings.__getattr__(bindings, "cuLaunchKernel")(*arguments)

    bindings.cuLaunchKernel = launch
    driver.launch(function, 7, 128, 17, 0x700000000000, 0, 1 << 40)
    driver.launch(function, (2, 3, 4), (8, 16, 1), 17, 0x700000000000, 0, 24)
    assert seen == [
        ((7, 1, 1, 128, 1, 1, 0), [0x700000000000, 0, 1 << 40], 17),
        ((2, 3, 4, 8, 16, 1, 0), [0x700000000000, 0, 24], 17),
    ]


def test_what_nvjitlink_does_not_take():
    with pytest.raises(ng.KernelError, match=r"nvJitLink does not take this kernel for sm_80: .*\n.*"):
        link.linked("no PTX", "sm_80")


def test_a_call_that_fails(bindings):
    driver = drivers.CudaDriver(0)
    bindings.fails = "cuMemcpyHtoDAsync"
    with pytest.raises(
        ng.DeviceError, match=r"^CUDA could not copy to the device: CUDA_ERROR_OUT_OF_MEMORY \(out of memory\)$"
    ):
        driver.copy_in(0x700000000000, numpy.ones(3), 1)


def test_memory_that_is_not_there(bindings):
    """Numba's error, a plug-in's, and others."""
    from numba.cuda.cudadrv.driver import CudaAPIError

    driver = drivers.CudaDriver(0)
    for error in (CudaAPIError(cu.CUresult.CUDA_ERROR_OUT_OF_MEMORY, "cuMemAlloc"), MemoryError("std::bad_alloc")):
        bindings.context.error = error
        with pytest.raises(drivers.OutOfMemory):
            driver.alloc(2000)
    bindings.context.error = CudaAPIError(cu.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, "earlier")
    with pytest.raises(ng.DeviceError, match=r"CUDA could not allocate 2000 bytes on cuda:0: .*earlier"):
        driver.alloc(2000)
