"""The suite for machines with a GPU, on a device that pretends: a part of it, so that it does not rot."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PART = "float32 and (exp or divide or scatter or matmul or cholesky or softmax or mixture) or memory or large"


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
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 15, done.stdout
    assert "CUDA: a device that pretends" in done.stdout


def test_without_a_device_it_says_what_is_missing():
    import nbgrad as ng

    if ng.cuda.is_available():
        pytest.skip("there is a device")
    done = run("-k", "large", NBGRAD_PRETEND_DEVICE="0")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"SKIPPED .*no CUDA device: .*(missing|no GPU)", done.stdout), done.stdout
