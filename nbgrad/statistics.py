"""Counters of what the engine did in this process."""

import numpy

COUNTERS = {
    "kernels_compiled": 0,  # kernels that Numba compiled
    "kernels_loaded": 0,  # kernels loaded from the disk cache
    "programs": 0,  # graphs lowered
    "launches": 0,  # launches by compiled Programs: here those that NumPy does
    "interpreted": 0,  # runs of a graph by the interpreter
}

#: Launches of kernels, counted by compiled code.
LAUNCHES = numpy.zeros(1, numpy.int64)


def stats():
    """What the engine did so far, as a dict of counts.

    Returns
    -------
    dict
        ``kernels_compiled``, ``kernels_loaded``, ``programs``, ``launches``, ``interpreted``.

    Examples
    --------
    >>> import nbgrad as ng
    >>> sorted(ng.stats())
    ['interpreted', 'kernels_compiled', 'kernels_loaded', 'launches', 'programs']
    """
    return {**COUNTERS, "launches": COUNTERS["launches"] + int(LAUNCHES[0])}
