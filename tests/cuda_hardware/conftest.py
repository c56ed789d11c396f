"""On a GPU: one command, `pytest tests/cuda_hardware`; see the README beside this file."""

import os
from pathlib import Path

import pytest

import nbgrad as ng

FOLDER = Path(__file__).parent
PRETENDS = os.environ.get("NBGRAD_PRETEND_DEVICE") == "1"
#: JAX would take most of the card when it starts, and leave too little for the others.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

_tables = pytest.StashKey()


def _device():
    """The first device, the driver that it needs, and the toolkit and packages that are used."""
    import importlib.metadata as packages

    from nbgrad.runtime.cuda import device, link

    driver = device.get("the CUDA suite", 0).driver
    free, total = driver.memory()
    capability = "{}.{}".format(*driver.capability)
    lines = [
        f"CUDA: nbgrad {ng.__version__} on {driver.name}, compute capability {capability}, "
        f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    ]
    toolkit = ["{} {}.{}".format(name, *link.library(name).version()[:2]) for name in ("nvvm", "nvjitlink")]
    cu = getattr(driver, "cu", None)  # a device that pretends has no driver of NVIDIA's
    if cu is not None:
        status, version = cu.cuDriverGetVersion()
        said = f"{version // 1000}.{version % 1000 // 10}" if int(status) == 0 else f"unknown ({status.name})"
        toolkit.insert(0, f"driver for CUDA {said}")
    known = {d.metadata["Name"].lower(): d.version for d in packages.distributions() if d.metadata["Name"]}
    names = "numba-cuda", "cuda-bindings", "nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12", "cupy-cuda12x", \
        "cupy-cuda13x", "cupy", "torch", "jax", "nvmath-python"  # fmt: skip
    return [*lines, f"CUDA: {', '.join([*toolkit, *(f'{n} {known[n]}' for n in names if n in known)])}"]


def pytest_report_header(config):
    """What a report on a failure needs."""
    if PRETENDS:
        from nbgrad.testing.device import pretend_device

        try:
            with pretend_device():
                said = _device()
        except ImportError as error:  # the modules say how they are skipped
            said = [f"CUDA: {error}"]
        return ["CUDA: a device that pretends; nothing here is run on a GPU", *said]
    why = ng.cuda.why_not_available()
    return _device() if why is None else f"CUDA: not available: {why}"


def pytest_collection_modifyitems(items):
    """Without a device nothing is run, with the reason; performance is that of a device only."""
    own = [item for item in items if FOLDER in item.path.parents]
    why = None if PRETENDS or not own else ng.cuda.why_not_available()
    for item in own:
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=f"no CUDA device: {why}"))
        elif PRETENDS and item.get_closest_marker("performance"):
            item.add_marker(pytest.mark.skip(reason="a device that pretends has no speed"))


@pytest.fixture(scope="module", autouse=True)
def _pretended():
    """Of each module, so that tests of other folders in the same process see none of it."""
    if not PRETENDS:
        yield
        return
    from nbgrad.testing.device import pretend_device

    with pretend_device():
        yield


@pytest.fixture(scope="session")
def peers():
    """Names of the other libraries that are installed and see the GPU."""
    from hardware_peers import why_not

    return {name for name in ("cupy", "torch", "jax") if why_not(name) is None}


@pytest.fixture
def table(request):
    """A function that puts a line into a table, which is printed at the end: ``table(title, text)``."""
    tables = request.config.stash.setdefault(_tables, {})
    return lambda title, text: tables.setdefault(title, []).append(text)


def pytest_terminal_summary(terminalreporter, config):
    """The tables of the performance tests, without -s."""
    for title, lines in config.stash.get(_tables, {}).items():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
