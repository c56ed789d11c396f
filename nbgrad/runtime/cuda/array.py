"""DeviceArray: the value of a node on a CUDA device."""

import numpy

from nbgrad import shapes


class DeviceArray:
    """Contiguous memory of a device, whose value is there when its stream has come so far.

    Attributes
    ----------
    device : nbgrad.runtime.cuda.device.Device
    address : int
    shape : tuple of int
    dtype : numpy.dtype
    owner : object
        Keeps the memory: a `Block` of the pool, or what another library handed over.
    stream : Stream
        In which it is made.
    """

    __slots__ = ("__weakref__", "address", "device", "dtype", "owner", "shape", "stream")
    __array_priority__ = 1000

    def __init__(self, device, address, shape, dtype, owner, stream):
        self.device, self.address, self.shape, self.dtype = device, address, shape, dtype
        self.owner, self.stream = owner, stream

    @property
    def size(self):
        """Number of elements."""
        return shapes.size(self.shape)

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    def ready_on(self, stream):
        """Let what comes next in `stream` wait for the value, and keep the memory until that is done."""
        if stream is not self.stream:
            driver = self.device.driver
            driver.wait(stream.handle, driver.record(self.stream.handle))
            used_on = getattr(self.owner, "used_on", None)
            if used_on is not None:
                used_on(stream)

    def host(self):
        """The value as a new ndarray; waits for it."""
        value = numpy.empty(self.shape, self.dtype)
        if value.nbytes:
            self.device.driver.copy_out(value, self.address, self.stream.handle)
        return value

    def copy(self):
        """The same in memory of its own."""
        from nbgrad.runtime.cuda.streams import current

        stream = current(self.device)
        made = self.device.empty(self.shape, self.dtype, stream)
        if made.nbytes:
            self.ready_on(stream)
            self.device.driver.copy(made.address, self.address, made.nbytes, stream.handle)
        return made

    def synchronize(self):
        """Wait until the value is there."""
        self.device.driver.synchronize(self.stream.handle)

    def on(self, device):
        """The value on another device (None: the host, as an ndarray), by way of the host."""
        if device is self.device:
            return self
        value = self.host()
        return value if device is None else device.upload(value)

    def __repr__(self):
        return f"<DeviceArray {self.dtype}[{', '.join(map(str, self.shape))}] on {self.device}>"
