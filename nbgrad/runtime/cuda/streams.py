"""Streams: queues of a device.  What is in one is done in order, what is in two of them at any time."""

import contextlib
import threading
import weakref

from nbgrad.errors import ArgumentError, describe
from nbgrad.runtime.cuda.driver import LEGACY


class Stream:
    """A queue of work on a CUDA device.

    Parameters
    ----------
    device : str
        ``"cuda"`` or ``"cuda:<n>"``.
    external : int or object with ``__cuda_stream__``, optional
        A stream of another library, which has to keep it.

    Examples
    --------
    ``with nbgrad.cuda.stream(nbgrad.cuda.Stream()): ...``
    """

    __slots__ = ("__weakref__", "_device", "_owner", "handle")

    def __init__(self, device="cuda", external=None):
        from nbgrad.runtime.cuda.device import named

        self._device, self._owner = named("Stream", device), external
        if external is not None:
            self.handle = handle_of("Stream", external)
        else:
            driver = self._device.driver
            self.handle = driver.stream()
            weakref.finalize(self, driver.forget_stream, self.handle).atexit = False
        self._device.streams[self.handle] = self

    @property
    def device(self):
        """The name of the device."""
        return str(self._device)

    def synchronize(self):
        """Wait until all that is in the stream is done."""
        self._device.driver.synchronize(self.handle)

    def __cuda_stream__(self):
        return 0, self.handle

    def __repr__(self):
        return f"Stream({self.device!r}, handle={self.handle})"


def handle_of(call, stream):
    """The handle of a stream of any library: an integer, or what ``__cuda_stream__`` says."""
    if isinstance(stream, int) and not isinstance(stream, bool):
        if stream < 1:
            raise ArgumentError(
                f"{call}: {stream} is no stream; 1 is the legacy default stream, 2 that of a thread, others are handles"
            )
        return stream
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is None:
        raise ArgumentError(
            f"{call}: expected a stream (an integer, or an object with __cuda_stream__), got {describe(stream)}"
        )
    return int((protocol() if callable(protocol) else protocol)[1]) or LEGACY


def known(device, handle):
    """The Stream of a device with a handle: the same one as long as anybody holds it."""
    found = device.streams.get(handle)
    if found is None:
        found = device.streams[handle] = Stream(device, external=handle)
    return found


class _Current(threading.local):
    """The streams of each thread: device -> those that were entered, the last one counts."""

    def __init__(self):
        self.entered = {}


_current = _Current()


def current(device):
    """The Stream that work of this thread goes to."""
    entered = _current.entered.get(device)
    return entered[-1] if entered else device.default


@contextlib.contextmanager
def entered(stream):
    """With `stream` as the current one of this thread, on its device."""
    if not isinstance(stream, Stream):
        raise ArgumentError(
            f"stream: expected a nbgrad.cuda.Stream, got {describe(stream)}; make one of another library's with "
            "nbgrad.cuda.Stream(external=s)"
        )
    stack = _current.entered.setdefault(stream._device, [])
    stack.append(stream)
    try:
        yield stream
    finally:
        stack.pop()
        if not stack:
            del _current.entered[stream._device]
