"""The CUDA devices of this process: a driver, a pool and streams each, made when one is first asked for."""

import threading
import weakref

from nbgrad import devices, shapes
from nbgrad.errors import DeviceError
from nbgrad.runtime.cuda import driver as drivers
from nbgrad.runtime.cuda.array import DeviceArray
from nbgrad.runtime.cuda.pool import Pool
from nbgrad.runtime.cuda.streams import Stream, current

#: How a driver is made, how many there are, what is missing, and whose an address is; a device that pretends puts its
#: own here.
open_driver, count_drivers, why_not, ordinal_of = drivers.CudaDriver, drivers.count, drivers.missing, drivers.ordinal_of

_devices, _lock = {}, threading.RLock()


class Device:
    """One CUDA device.

    Attributes
    ----------
    driver : nbgrad.runtime.cuda.driver.Driver
    pool : Pool
    default : Stream
        CUDA's legacy default stream, which other libraries use unless told otherwise.
    streams : mapping
        Handle -> Stream, of those that are in use.
    """

    __slots__ = ("__weakref__", "_functions", "default", "driver", "pool", "streams")

    def __init__(self, driver, size_class=None):
        self.driver, self.pool = driver, Pool(driver, size_class)
        self.streams, self._functions = weakref.WeakValueDictionary(), {}
        self.default = self.streams[drivers.LEGACY] = Stream(self, external=drivers.LEGACY)

    @property
    def ordinal(self):
        """Its number among the devices of the process."""
        return self.driver.ordinal

    def __str__(self):
        return f"cuda:{self.driver.ordinal}"

    def __repr__(self):
        return f"<Device {self}: {self.driver.name}>"

    def empty(self, shape, dtype, stream=None):
        """A `DeviceArray` of these extents with any value."""
        stream = stream or current(self)
        nbytes = shapes.size(shape) * dtype.itemsize
        block = self.pool.allocate(nbytes, stream) if nbytes else None
        return DeviceArray(self, block.address if block else 0, tuple(shape), dtype, block, stream)

    def upload(self, value, stream=None):
        """A `DeviceArray` with the value of a C-contiguous ndarray."""
        made = self.empty(value.shape, value.dtype, stream)
        if made.nbytes:
            self.driver.copy_in(made.address, value, made.stream.handle)
        return made

    def zeros(self, shape, dtype):
        """A `DeviceArray` of zeros."""
        made = self.empty(shape, dtype)
        if made.nbytes:
            self.driver.fill(made.address, 0, made.nbytes, made.stream.handle)
        return made

    def function(self, code):
        """A kernel, loaded once."""
        found = self._functions.get(code.text)
        if found is None:
            with _lock:
                found = self._functions.get(code.text)
                if found is None:
                    found = self._functions[code.text] = self.driver.function(code)
        return found


def get(call, ordinal):
    """The Device of a number.

    Raises
    ------
    DeviceError
        If there is none, with what is missing.
    """
    found = _devices.get(ordinal)
    if found is not None:
        return found
    with _lock:
        if ordinal not in _devices:
            why = why_not()
            if why is not None:
                raise DeviceError(f"{call}: device 'cuda:{ordinal}' is not to be had: {why}")
            there = count_drivers()
            if ordinal >= there:
                last = "'cuda:0'" if there == 1 else f"'cuda:0' to 'cuda:{there - 1}'"
                raise DeviceError(f"{call}: device 'cuda:{ordinal}' does not exist here, expected {last}")
            install(Device(open_driver(ordinal)))
        return _devices[ordinal]


def install(device):
    """Make a Device one of those of the process."""
    _devices[device.ordinal] = device
    devices.used = True


def withdraw(device):
    """Take it away again."""
    _devices.pop(device.ordinal, None)


def named(call, device):
    """The Device that a name says or an object is; DeviceError for the host."""
    if isinstance(device, Device):
        return device
    found = devices.find(call, "cuda" if device is None else device)
    if found is None:
        raise DeviceError(f"{call}: device {device!r} is not a CUDA device, expected 'cuda' or 'cuda:<number>'")
    return found


def where(address):
    """The number of the device that memory is on."""
    return ordinal_of(address)


def count():
    """How many CUDA devices there are."""
    return count_drivers()


def present():
    """The devices that were used so far."""
    return list(_devices.values())
