"""Arrays on a device that pretends: transfers, streams, and exchange with other libraries."""

import ctypes
import gc
import pickle
import types
import weakref

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.runtime.cuda import device as cuda
from nbgrad.runtime.cuda import dlpack
from nbgrad.runtime.cuda.driver import LEGACY, PER_THREAD
from nbgrad.testing.device import pretend_device

DTYPES = (
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
)
A = numpy.arange(6.0).reshape(2, 3)


@pytest.fixture
def driver():
    with pretend_device(2) as driver:
        yield driver


def value(x):
    return x.realize()._node.value


# ---------------------------------------------------------------- transfers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_there_and_back(driver, dtype, shape):
    a = (numpy.arange(numpy.prod(shape, dtype=int)).reshape(shape) % 2).astype(dtype)
    x = ng.asarray(a, device="cuda")
    assert (x.device, x.shape, x.dtype) == ("cuda:0", shape, dtype)
    for back in (numpy.asarray(x), x.numpy(), numpy.asarray(x.to("cpu"))):
        assert back.dtype == dtype
        numpy.testing.assert_array_equal(back, a)
    assert x.to("cpu").device == "cpu"


def test_nothing_is_copied_before_somebody_waits(driver):
    x = ng.asarray(A, device="cuda")
    assert driver.pending(LEGACY) == 1
    x.block_until_ready()
    assert driver.pending(LEGACY) == 0


def test_the_source_may_change_at_once(driver):
    a = A.copy()
    x = ng.asarray(a, device="cuda")
    a[...] = 0
    numpy.testing.assert_array_equal(x, A)


def test_the_name_of_a_device(driver):
    assert ng.asarray(A, device="cuda").device == "cuda:0"
    assert ng.asarray(A, device="cuda:1").device == "cuda:1"
    assert ng.asarray(A, device="cpu").device == ng.asarray(A).device == "cpu"


def test_to(driver):
    x = ng.asarray(A)
    y = x.to("cuda:0")
    assert x.to("cpu") is x
    assert y.to("cuda") is y
    assert ng.asarray(y) is y
    assert ng.asarray(y, device="cuda") is y
    z = y.to("cuda:1")
    assert (y.device, z.device) == ("cuda:0", "cuda:1")
    numpy.testing.assert_array_equal(z, A)
    assert ng.asarray(y, device="cpu").device == "cpu"


def test_reading_a_value(driver):
    x = ng.asarray([1.5, 2.0], device="cuda")
    assert repr(x) == "Array([1.5, 2. ], shape=(2,), dtype=float64, device=cuda:0)"
    assert str(x) == "[1.5 2. ]"
    assert x.tolist() == [1.5, 2.0]
    one = ng.asarray(2.5, device="cuda")
    assert (float(one), int(one), bool(one), one.item(), f"{one:.2f}") == (2.5, 2, True, 2.5, "2.50")
    assert numpy.asarray(x, dtype="float32").dtype == "float32"
    with pytest.raises(
        ValueError, match=r"numpy.asarray: float64\[2\].* is on cuda:0, not on the host; it takes a copy"
    ):
        numpy.asarray(x, copy=False)


@pytest.mark.parametrize("make", [
    lambda d: np.zeros((2, 3), device=d), lambda d: np.ones((2, 3), "float32", device=d),
    lambda d: np.empty((2,), device=d), lambda d: np.full((2, 3), 7, device=d), lambda d: np.arange(5, device=d),
    lambda d: np.linspace(0, 1, 5, device=d), lambda d: np.eye(3, device=d), lambda d: np.zeros_like(A, device=d),
    lambda d: np.ones_like(A, device=d), lambda d: np.full_like(A, 3, device=d), lambda d: np.array(A, device=d),
    lambda d: np.asarray([1, 2], device=d), lambda d: np.from_dlpack(A, device=d), lambda d: np.empty_like(A, device=d),
])  # fmt: skip
def test_every_creation_function_takes_a_device(driver, make):
    here, there = make("cpu"), make("cuda:1")
    assert (here.device, there.device) == ("cpu", "cuda:1")
    assert here.dtype == there.dtype
    numpy.testing.assert_array_equal(there, here)


def test_what_is_like_an_array_is_beside_it(driver):
    x = ng.asarray(A, device="cuda:1")
    for like in (np.zeros_like(x), np.ones_like(x), np.full_like(x, 2.0), np.empty_like(x)):
        assert like.device == "cuda:1"
    assert np.zeros_like(x, device="cpu").device == "cpu"


def test_the_device_of_a_pending_array_is_that_of_its_leaves(driver):
    x = ng.asarray(A, device="cuda:1")
    y = np.sin(x * 2 + ng.asarray(1.0))[0]
    assert y.device == "cuda:1"
    assert y._node.value is None
    assert np.zeros(3).device == (np.zeros(3) + 1).device == "cpu"


def test_pickles_come_back_on_the_device(driver):
    x = pickle.loads(pickle.dumps(ng.asarray(A, device="cuda:1")))
    assert x.device == "cuda:1"
    numpy.testing.assert_array_equal(x, A)
    w = pickle.loads(pickle.dumps(ng.Parameter(x, name="w", requires_grad=False)))
    assert (w.device, w.name, w.requires_grad, type(w)) == ("cuda:1", "w", False, ng.Parameter)


def test_a_parameter_lives_where_its_value_does(driver):
    w = ng.Parameter(A, name="w")
    moved = w.to("cuda:0")
    assert (type(moved), moved.name, moved.device, w.device) == (ng.Parameter, "w", "cuda:0", "cpu")
    assert moved.to("cuda") is moved
    moved.assign(A + 1)
    assert moved.device == "cpu"
    moved.assign(ng.asarray(A, device="cuda:1"))
    assert moved.device == "cuda:1"
    single = ng.Parameter(ng.asarray(A, device="cuda"), dtype="float32")
    assert (single.device, single.dtype) == ("cuda:0", numpy.float32)


# ---------------------------------------------------------------- streams


def test_the_current_stream(driver):
    default, s, t = ng.cuda.current_stream(), ng.cuda.Stream(), ng.cuda.Stream("cuda:1")
    assert (default.handle, default.device, s.device, t.device) == (LEGACY, "cuda:0", "cuda:0", "cuda:1")
    with ng.cuda.stream(s), ng.cuda.stream(t):
        assert ng.cuda.current_stream() is s
        assert ng.cuda.current_stream("cuda:1") is t
        with ng.cuda.stream(default):
            assert ng.cuda.current_stream() is default
        x = ng.asarray(A, device="cuda")
    assert ng.cuda.current_stream() is default
    assert value(x).stream is s
    assert driver.pending(s.handle) == 1
    s.synchronize()
    assert driver.pending(s.handle) == 0
    assert repr(s) == f"Stream('cuda:0', handle={s.handle})"


def test_streams_of_other_libraries(driver):
    theirs = ng.cuda.Stream()
    assert ng.cuda.Stream(external=theirs).handle == theirs.handle
    assert ng.cuda.Stream(external=PER_THREAD).handle == PER_THREAD
    null = types.SimpleNamespace(__cuda_stream__=lambda: (0, 0))
    assert ng.cuda.Stream(external=null).handle == LEGACY
    with pytest.raises(ng.ArgumentError, match="Stream: 0 is no stream; 1 is the legacy default stream"):
        ng.cuda.Stream(external=0)
    with pytest.raises(ng.ArgumentError, match=r"Stream: expected a stream .* got str 'main'"):
        ng.cuda.Stream(external="main")
    with (
        pytest.raises(ng.ArgumentError, match=r"stream: expected a nbgrad.cuda.Stream, got int 5.*external=s"),
        ng.cuda.stream(5),
    ):
        pass


def test_a_stream_is_destroyed_with_its_last_reference(driver):
    s = ng.cuda.Stream()
    handle = s.handle
    del s
    gc.collect()
    with pytest.raises(ng.DeviceError, match=f"{handle} is no stream of the device"):
        driver.pending(handle)


def test_a_value_made_on_one_stream_is_waited_for_on_another(driver):
    s = ng.cuda.Stream()
    with ng.cuda.stream(s):
        x = ng.asarray(A, device="cuda")
    y = x * 2 + 1
    numpy.testing.assert_array_equal(y, A * 2 + 1)


def test_without_waiting_the_pretending_device_shows_wrong_data(driver, monkeypatch):
    """The control of the test before: it can fail."""
    s = ng.cuda.Stream()
    with ng.cuda.stream(s):
        x = ng.asarray(A, device="cuda")
    monkeypatch.setattr(driver, "wait", lambda stream, event: None)
    assert not numpy.array_equal(numpy.asarray(x * 2 + 1), A * 2 + 1, equal_nan=True)


def test_synchronize(driver):
    s = ng.cuda.Stream()
    with ng.cuda.stream(s):
        x = ng.asarray(A, device="cuda")
    ng.cuda.synchronize()
    assert driver.pending(s.handle) == 0
    with ng.cuda.stream(s):
        y = x.to("cpu").to("cuda")
    ng.cuda.synchronize("cuda:0")
    assert driver.pending(value(y).stream.handle) == 0


# ---------------------------------------------------------------- the CUDA array interface


def test_arrays_of_the_host_have_no_cuda_array_interface(driver):
    assert not hasattr(ng.asarray(A), "__cuda_array_interface__")
    assert not hasattr(ng.asarray(A) + 1, "__cuda_array_interface__")
    assert hasattr(ng.asarray(A, device="cuda") + 1, "__cuda_array_interface__")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_interface_describes_the_memory(driver, dtype):
    x = ng.asarray(A.astype(dtype), device="cuda")
    found = x.__cuda_array_interface__
    assert found["version"] == 3
    assert found["shape"] == (2, 3)
    assert found["strides"] is None
    assert found["typestr"] == numpy.dtype(dtype).str
    assert found["stream"] == LEGACY
    ng.cuda.synchronize()
    there = driver.bytes_at(found["data"][0], A.size * numpy.dtype(dtype).itemsize)
    numpy.testing.assert_array_equal(there.view(dtype).reshape(2, 3), A.astype(dtype))
    s = ng.cuda.Stream()
    with ng.cuda.stream(s):
        assert ng.asarray(A, device="cuda").__cuda_array_interface__["stream"] == s.handle


class Theirs:
    """An array of another library, with the CUDA array interface, in memory of the device."""

    def __init__(self, driver, a, strides=None, stream=None, start=0, **more):
        self.memory = driver.alloc(a.nbytes)
        self.interface = {
            "shape": a.shape, "typestr": a.dtype.str, "version": 3, "strides": strides, "stream": stream,
            "data": (self.memory.address + start, False), **more,
        }  # fmt: skip
        driver.copy_in(self.memory.address, a, stream or LEGACY)
        if stream is None:
            driver.synchronize(LEGACY)

    @property
    def __cuda_array_interface__(self):
        return self.interface


def test_an_array_of_another_library_is_used_where_it_is(driver):
    theirs = Theirs(driver, A)
    x = ng.asarray(theirs)
    assert x.device == "cuda:0"
    assert value(x).address == theirs.memory.address
    numpy.testing.assert_array_equal(x, A)
    copied = ng.asarray(theirs, copy=True)
    assert value(copied).address != theirs.memory.address
    numpy.testing.assert_array_equal(copied, A)
    assert ng.asarray(theirs, dtype="float32").dtype == "float32"
    assert ng.asarray(theirs, device="cpu").device == "cpu"


def test_it_is_kept_as_long_as_it_is_used(driver):
    theirs = Theirs(driver, A)
    gone = weakref.ref(theirs)
    x = ng.asarray(theirs)
    del theirs
    gc.collect()
    assert gone() is not None
    numpy.testing.assert_array_equal(x, A)
    del x
    gc.collect()
    assert gone() is None


def test_its_stream_is_waited_for(driver):
    s = ng.cuda.Stream()
    x = ng.asarray(Theirs(driver, A, stream=s.handle))
    numpy.testing.assert_array_equal(x, A)


def test_when_it_is_let_go_its_stream_waits_for_what_reads_it(driver):
    """They may write into the memory again, in the order of their stream."""
    s = ng.cuda.Stream()
    theirs = Theirs(driver, A, stream=s.handle)
    address = theirs.memory.address
    x = ng.asarray(theirs)
    y = (x * 2).realize()
    del x
    gc.collect()
    driver.fill(address, 0, A.nbytes, s.handle)
    s.synchronize()
    numpy.testing.assert_array_equal(y, A * 2)


@pytest.mark.parametrize(("take", "start"), [
    (lambda a: a.T, 0), (lambda a: a[:, ::2], 0), (lambda a: a[::-1, ::-1], 5), (lambda a: a[1:, 1:], 4),
    (lambda a: numpy.broadcast_to(a[0], (4, 3)), 0),
])  # fmt: skip
def test_what_is_not_in_c_order_is_copied(driver, take, start):
    theirs, part = Theirs(driver, A), take(A)
    theirs.interface |= {
        "shape": part.shape, "strides": part.strides, "data": (theirs.memory.address + 8 * start, False),
    }  # fmt: skip
    x = ng.asarray(theirs)
    numpy.testing.assert_array_equal(x, part)
    assert value(x).owner is not theirs


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8"])
def test_what_begins_between_vectors_is_copied(driver, dtype):
    """Kernels move vectors of 16 bytes; a row of another library's array may begin anywhere."""
    a = numpy.arange(70).reshape(2, 35).astype(dtype)
    theirs = Theirs(driver, a)
    address = theirs.memory.address + a[0].nbytes
    assert address % 16
    theirs.interface |= {"shape": (35,), "data": (address, False)}
    x = ng.asarray(theirs)
    assert value(x).address % 16 == 0
    numpy.testing.assert_array_equal(x, a[1])
    numpy.testing.assert_array_equal(x + x, a[1] + a[1])


def test_operands_may_be_arrays_of_another_library(driver):
    x = ng.asarray(A, device="cuda")
    y = x * Theirs(driver, A)
    assert y.device == "cuda:0"
    numpy.testing.assert_array_equal(y, A * A)
    numpy.testing.assert_array_equal(ng.jit(lambda x: x + 1)(Theirs(driver, A)), A + 1)


def test_interfaces_that_are_not_taken(driver):
    def refuses(message, **change):
        theirs = Theirs(driver, A)
        theirs.interface |= change
        with pytest.raises(ng.NbgradError, match=message):
            ng.asarray(theirs)

    refuses("asarray: Theirs .* has a mask, which nbgrad does not know; fill it first", mask=object())
    refuses("asarray: strides .* are not multiples of its elements", strides=(24, 4))
    refuses("names stream 0, which is ambiguous; 1 is the legacy", stream=0)
    refuses("asarray: dtype datetime64 is not supported", typestr="<M8")
    refuses("'>f8' is not in the byte order of this machine", typestr=">f8")
    refuses("lacks shape, typestr or data", typestr=None, data=None)


# ---------------------------------------------------------------- DLPack


def parsed(capsule):
    """What a consumer sees, by a reader of its own: (name, flags, data, device, dtype, shape, strides)."""
    python, found = ctypes.pythonapi, {}
    python.PyCapsule_GetName.restype, python.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    name = python.PyCapsule_GetName(capsule)
    at = python.PyCapsule_GetPointer(ctypes.py_object(capsule), name)
    words = ctypes.string_at(at, 80)
    found["name"] = name.decode()
    if name == b"dltensor_versioned":
        found["version"] = tuple(numpy.frombuffer(words[:8], "u4"))
        found["flags"] = int(numpy.frombuffer(words[24:32], "u8")[0])
        words = words[32:]
    found["data"], found["device"] = (
        int(numpy.frombuffer(words[:8], "u8")[0]),
        tuple(numpy.frombuffer(words[8:16], "i4")),
    )
    rank = int(numpy.frombuffer(words[16:20], "i4")[0])
    found["dtype"] = words[20], words[21], int(numpy.frombuffer(words[22:24], "u2")[0])
    shape, strides, offset = (int(w) for w in numpy.frombuffer(words[24:48], "u8"))
    found["shape"] = tuple(numpy.frombuffer(ctypes.string_at(shape, 8 * rank), "i8"))
    found["strides"] = tuple(numpy.frombuffer(ctypes.string_at(strides, 8 * rank), "i8"))
    found["offset"] = offset
    return found


CODES = {"i": 0, "u": 1, "f": 2, "b": 6}


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_struct(driver, dtype):
    x = ng.asarray(A.astype(dtype), device="cuda:1")
    plain, versioned = parsed(x.__dlpack__()), parsed(x.__dlpack__(max_version=(1, 1)))
    assert (plain["name"], versioned["name"]) == ("dltensor", "dltensor_versioned")
    assert versioned["version"] == (1, 0)
    assert versioned["flags"] == 1  # read-only
    kind = numpy.dtype(dtype)
    for found in (plain, versioned):
        assert found["data"] == value(x).address
        assert found["device"] == x.__dlpack_device__() == (2, 1)
        assert found["dtype"] == (CODES[kind.kind], 8 * kind.itemsize, 1)
        assert (found["shape"], found["strides"], found["offset"]) == ((2, 3), (3, 1), 0)
    assert parsed(x.__dlpack__(max_version=(0, 8)))["name"] == "dltensor"


class Owner:
    pass


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("a", [A, A[0], A[:0], numpy.array(2.5), A.astype("bool"), A.astype("float16")])
def test_numpy_takes_the_capsule(a, versioned):
    """Under the device type of the CPU, which is what NumPy reads."""
    a = numpy.ascontiguousarray(a).reshape(a.shape)
    owner = Owner()
    gone = weakref.ref(owner)

    class Exporter:
        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
            return dlpack.capsule(a.ctypes.data, a.shape, a.dtype, owner_of.pop(), (1, 0), versioned, copied=True)

    owner_of = [owner]
    del owner
    taken = numpy.from_dlpack(Exporter())
    assert taken.dtype == a.dtype
    numpy.testing.assert_array_equal(taken, a)
    gc.collect()
    assert gone() is not None  # as long as NumPy has it
    del taken
    gc.collect()
    assert gone() is None


def test_a_capsule_that_nobody_takes_lets_go(driver):
    x = ng.asarray(A, device="cuda")
    gone = weakref.ref(value(x))
    capsules = [x.__dlpack__(), x.__dlpack__(max_version=(1, 0))]
    del x
    gc.collect()
    assert gone() is not None
    del capsules
    gc.collect()
    assert gone() is None


def test_the_consumers_stream_waits(driver):
    mine, theirs = ng.cuda.Stream(), ng.cuda.Stream()
    with ng.cuda.stream(mine):
        x = ng.asarray(A, device="cuda")
    address = parsed(x.__dlpack__(stream=theirs.handle))["data"]
    theirs.synchronize()
    numpy.testing.assert_array_equal(driver.bytes_at(address, A.nbytes).view("f8"), A.ravel())
    assert driver.pending(mine.handle) == 0
    with ng.cuda.stream(mine):
        x = ng.asarray(A, device="cuda")
    x.__dlpack__(stream=-1)
    theirs.synchronize()
    assert driver.pending(mine.handle) == 1
    x.__dlpack__()  # the legacy default stream
    driver.synchronize(LEGACY)
    assert driver.pending(mine.handle) == 0


def test_memory_is_not_reused_before_a_consumer_has_read_it(driver):
    """Its stream is known from the call; a copy that waits there is done first."""
    theirs = ng.cuda.Stream()
    x = ng.asarray(A, device="cuda")
    address = parsed(x.__dlpack__(stream=theirs.handle))["data"]
    target = driver.alloc(A.nbytes)
    driver.copy(target.address, address, A.nbytes, theirs.handle)
    del x
    gc.collect()
    y = ng.asarray(A * 0, device="cuda")
    assert value(y).address == address
    y.block_until_ready()
    theirs.synchronize()
    numpy.testing.assert_array_equal(driver.bytes_at(target.address, A.nbytes).view("f8"), A.ravel())


def test_copies_and_other_devices(driver):
    x = ng.asarray(A, device="cuda")
    copied = parsed(x.__dlpack__(copy=True, max_version=(1, 0)))
    assert copied["data"] != value(x).address
    assert copied["flags"] == 2  # a copy, and not read-only
    assert parsed(x.__dlpack__(dl_device=(2, 0)))["data"] == value(x).address
    host = parsed(x.__dlpack__(dl_device=(1, 0)))
    assert host["device"] == (1, 0)
    with pytest.raises(BufferError, match="the array is on cuda:0 and cannot be on the CPU without a copy"):
        x.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match=r"is on cuda:0, and dl_device \(2, 1\) is neither that nor the CPU"):
        x.__dlpack__(dl_device=(2, 1))
    for bad in (0, -2, True, "main"):
        with pytest.raises(BufferError, match=f"__dlpack__: stream {bad!r} is none; 1 is the legacy default stream"):
            x.__dlpack__(stream=bad)


def test_numpy_gets_the_host_copy_it_asks_for(driver):
    x = ng.asarray(A, device="cuda")
    numpy.testing.assert_array_equal(numpy.from_dlpack(x, device="cpu", copy=True), A)


def test_arrays_of_the_host_are_exported_as_before(driver):
    x = ng.asarray(A)
    assert x.__dlpack_device__() == (1, 0)
    numpy.testing.assert_array_equal(numpy.from_dlpack(x), A)


class Dealer:
    """An array of another library with DLPack only."""

    def __init__(self, x, old=False, kind=2):
        self.x, self.asked, self.old, self.kind = x, {}, old, kind

    def __dlpack_device__(self):
        return self.kind, self.x.__dlpack_device__()[1]

    def __dlpack__(self, **keywords):
        if self.old and set(keywords) - {"stream"}:
            raise TypeError("unexpected keyword")
        self.asked = keywords
        return self.x.__dlpack__(**keywords)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("make", [ng.asarray, np.from_dlpack])
def test_import(driver, old, make):
    x = ng.asarray(A, device="cuda:1")
    theirs = Dealer(x, old)
    y = make(theirs)
    assert theirs.asked["stream"] == LEGACY
    assert y.device == "cuda:1"
    assert value(y).address == value(x).address
    numpy.testing.assert_array_equal(y, A)
    gone = weakref.ref(value(x))
    del x, theirs
    gc.collect()
    numpy.testing.assert_array_equal(y, A)
    assert gone() is not None
    del y
    gc.collect()
    assert gone() is None


def test_import_into_a_stream(driver):
    """The producer is told which stream has to wait."""
    mine, ours = ng.cuda.Stream(), ng.cuda.Stream()
    with ng.cuda.stream(mine):
        theirs = Dealer(ng.asarray(A, device="cuda"))
    with ng.cuda.stream(ours):
        y = ng.asarray(theirs)
        assert theirs.asked["stream"] == ours.handle
        numpy.testing.assert_array_equal(y, A)


def test_a_capsule_is_taken_over_once(driver):
    capsule = ng.asarray(A, device="cuda").__dlpack__()
    kept = dlpack.Tensor(capsule)
    assert kept.shape == (2, 3)
    with pytest.raises(ValueError, match="is no DLPack capsule, or was taken over before"):
        dlpack.Tensor(capsule)
    again = type("Again", (), {"__dlpack__": lambda self, **k: capsule, "__dlpack_device__": lambda self: (2, 0)})()
    with pytest.raises(ng.ArgumentError, match=r"asarray: Again .* cannot be imported: .* taken over before"):
        ng.asarray(again)


def test_dlpack_of_the_host_is_copied_as_before(driver):
    class Host:
        __dlpack_device__ = A.__dlpack_device__
        __dlpack__ = A.__dlpack__

    x = np.from_dlpack(Host())
    assert x.device == "cpu"
    numpy.testing.assert_array_equal(x, A)


def test_the_device_of_an_address(driver):
    theirs = Theirs(cuda.get("a test", 1).driver, A)
    assert ng.asarray(theirs).device == "cuda:1"
