"""The tests that need Numba's CUDA simulator have a process of their own: it is asked for before Numba is imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
#: Fewer than there are: a process that finds no tests, or skips them, has not succeeded.
AT_LEAST = 200


def test_kernels_in_the_simulator():
    pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install nbgrad[cuda13]")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}  # this may be a worker's
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", TESTS / "cuda_simulator"], cwd=TESTS.parent,
        env={**environment, "NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    shown = done.stdout[-8000:] + done.stderr[-2000:]
    assert done.returncode == 0, shown
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= AT_LEAST, shown
