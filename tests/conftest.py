"""What every test shares: a cache folder of its own for the session, and settings that are put back."""

import os
import shutil
import tempfile
import zlib

import pytest

_VARIABLE = "NBGRAD_CACHE_DIR"
_made = []


def pytest_configure(config):
    """Keep tests out of the user's cache; subprocesses and parallel workers inherit the folder."""
    if _VARIABLE not in os.environ:
        _made.append(tempfile.mkdtemp(prefix="nbgrad-tests-"))
        os.environ[_VARIABLE] = _made[-1]


def pytest_unconfigure(config):
    """Remove the folder, if it was made here."""
    while _made:
        os.environ.pop(_VARIABLE, None)
        shutil.rmtree(_made.pop(), ignore_errors=True)


@pytest.fixture(autouse=True)
def settings():
    """`nbgrad.config`, put back as it was after each test."""
    from nbgrad.config import config

    names = (
        "jit", "threads", "cache_dir", "compiler", "cuda_memory_limit", "cuda_libraries", "check_values", "mpi_check",
        "mpi_timeout",
    )  # fmt: skip
    before = [getattr(config, name) for name in names]
    yield config
    for name, value in zip(names, before, strict=True):
        setattr(config, name, value)


@pytest.fixture
def rng():
    """A seeded source of random numbers."""
    import numpy

    return numpy.random.default_rng(20240607)


#: Files whose many cases take minutes: a third of the cases, always the same ones, is run unless all are asked for.
SAMPLED = (
    "gpu/test_block_kernels.py", "gpu/test_grid_kernels.py", "gpu/test_machine_code.py",
    "cuda_simulator/test_simulated_primitives.py", "cuda_simulator/test_simulated_programs.py",
)  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what is left to exhaustive runs; by name, so that workers agree."""
    for item in items:
        if item.nodeid.split("[")[0].split("::")[0].endswith(SAMPLED) and getattr(item, "callspec", None) is not None:
            case = item.nodeid.rpartition("/")[2]
            if zlib.crc32(case.encode()) % 3:
                item.add_marker(pytest.mark.exhaustive)
