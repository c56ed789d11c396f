"""Time on a device, by CUDA events: what the host does meanwhile is not counted."""

import contextlib

from nbgrad.runtime.cuda import device


def _checked(answer):
    status, *values = answer
    if int(status):
        raise RuntimeError(f"a CUDA event: {status.name}")
    return values[0] if values else None


@contextlib.contextmanager
def _event(cu):
    # with time, which those of nbgrad's own leave out
    event = _checked(cu.cuEventCreate(int(cu.CUevent_flags.CU_EVENT_DEFAULT)))
    try:
        yield event
    finally:
        cu.cuEventDestroy(event)


def seconds(work, stream, repeat=20, rounds=5, driver=None):
    """The least mean time of a piece of work that is put into a stream again and again.

    Parameters
    ----------
    work : callable
        Puts the work into the stream, and waits for nothing.
    stream : int
        Handle of the stream.
    repeat, rounds : int
        How often in a row, and how many rows.
    driver : nbgrad.runtime.cuda.driver.CudaDriver, optional
        That of the first device unless given.
    """
    driver = driver or device.get("timing", 0).driver
    cu = driver.cu
    with driver.active(), _event(cu) as begin, _event(cu) as end:
        work()
        driver.synchronize(stream)
        found = []
        for _ in range(rounds):
            _checked(cu.cuEventRecord(begin, stream))
            for _ in range(repeat):
                work()
            _checked(cu.cuEventRecord(end, stream))
            _checked(cu.cuEventSynchronize(end))
            found.append(_checked(cu.cuEventElapsedTime(begin, end)) / 1e3 / repeat)
    return min(found)


def replayed(graph):
    """(work, stream) that does the kernels of an `nbgrad.cuda.Graph` only.

    `Graph.launch` also copies results out of the memory of the graph, which would be measured as well.
    """
    driver, stream = graph._device.driver, graph._stream.handle
    return lambda: driver.replay(graph._recorded, stream), stream
