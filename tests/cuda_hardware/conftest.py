"""On a GPU: one command, `pytest tests/cuda_hardware`; see the README beside this file."""

import os
from pathlib import Path

import pytest

import nbgrad as ng

FOLDER = Path(__file__).parent
PRETENDS = os.environ.get("NBGRAD_PRETEND_DEVICE") == "1"


def pytest_report_header(config):
    """What a report on a failure needs."""
    if PRETENDS:
        return "CUDA: a device that pretends; nothing here is run on a GPU"
    why = ng.cuda.why_not_available()
    if why is not None:
        return f"CUDA: not available: {why}"
    import importlib.metadata as packages

    from nbgrad.runtime.cuda import device

    driver = device.get("the CUDA suite", 0).driver
    free, total = driver.memory()
    known = {d.metadata["Name"].lower(): d.version for d in packages.distributions() if d.metadata["Name"]}
    names = ("nbgrad", "numba-cuda", "cuda-bindings", "nvidia-nvvm", "cupy", "torch", "jax")
    versions = ", ".join(f"{n} {known[n]}" for n in names if n in known)
    return (
        f"CUDA: {driver.name}, compute capability {driver.limits.capability}, {free / 2**30:.1f} of "
        f"{total / 2**30:.1f} GiB free; {versions}"
    )


def pytest_collection_modifyitems(items):
    """Without a device nothing is run, with the reason; performance is that of a device only."""
    own = [item for item in items if FOLDER in item.path.parents]
    why = None if PRETENDS or not own else ng.cuda.why_not_available()
    for item in own:
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=f"no CUDA device: {why}"))
        elif PRETENDS and item.get_closest_marker("performance"):
            item.add_marker(pytest.mark.skip(reason="a device that pretends has no speed"))


@pytest.fixture(scope="session", autouse=True)
def _pretended():
    if not PRETENDS:
        yield
        return
    from nbgrad.testing.device import pretend_device

    with pretend_device():
        yield
