"""The suite for machines with a GPU, on a device that pretends: a part of it, so that it does not rot."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PART = (
    "float32 and (test_elementwise and exp or divide or scatter or matmul or cholesky or softmax and programs) "
    "or float32 and used_where_it_is or memory or limit or bits or exist"
)


def run(*options, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", TESTS / "cuda_hardware", *options], cwd=TESTS.parent,
        env={**environment, **variables}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_it_runs_on_a_device_that_pretends():
    pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")
    done = run("-k", PART, NBGRAD_PRETEND_DEVICE="1")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 20, done.stdout
    assert "CUDA: a device that pretends" in done.stdout
    assert re.search(r"on a device that pretends, compute capability 8.0, 0.2 of 0.2 GiB free", done.stdout)
    assert re.search(r"CUDA: nvvm \d+\.\d+, nvjitlink \d+\.\d+, numba-cuda \d", done.stdout)


def test_without_a_device_it_says_what_is_missing():
    import nbgrad as ng

    if ng.cuda.is_available():
        pytest.skip("there is a device")
    done = run("-k", "limit or float32 and divide", NBGRAD_PRETEND_DEVICE="0")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"SKIPPED .*no CUDA device: .*(missing|no GPU)", done.stdout), done.stdout


def test_time_is_measured_by_calls_that_exist(monkeypatch):
    """Of events: NVIDIA's bindings take the arguments, and find no driver; 10 ms for 20 calls are 0.5 ms for one."""
    cu = pytest.importorskip("cuda.bindings.driver", reason="NVIDIA's bindings are not installed")
    with contextlib.suppress(RuntimeError):
        cu.cuInit(0)
        pytest.skip("This machine has NVIDIA's driver, which would take the calls in earnest.")
    monkeypatch.syspath_prepend(TESTS / "cuda_hardware")
    import hardware_timing

    answers, log = {"cuEventCreate": (cu.CUevent(18),), "cuEventElapsedTime": (10.0,)}, []

    class Bindings:
        def __getattr__(self, name):
            found = getattr(cu, name)
            if not name.startswith("cu"):
                return found

            def call(*arguments):
                with pytest.raises(RuntimeError, match="NVIDIA driver library"):
                    found(*arguments)
                log.append(name)
                return cu.CUresult.CUDA_SUCCESS, *answers.get(name, ())

            return call

    class Driver:
        cu, active, synchronize = Bindings(), staticmethod(contextlib.nullcontext), staticmethod(lambda stream: None)

    calls = []
    found = hardware_timing.seconds(lambda: calls.append(1), 1, repeat=20, rounds=2, driver=Driver)
    assert found == pytest.approx(0.5e-3)
    assert len(calls) == 1 + 2 * 20
    round_ = ["cuEventRecord", "cuEventRecord", "cuEventSynchronize", "cuEventElapsedTime"]
    assert log == ["cuEventCreate"] * 2 + round_ * 2 + ["cuEventDestroy"] * 2
