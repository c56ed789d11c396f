"""The scripts of examples/numpy_scripts: plain NumPy, with gradients as differences of NumPy's own values have it."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import nbgrad as ng

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "numpy_scripts"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("[a-z]*.py"))


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"script_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_ten():
    assert len(SCRIPTS) == 10


@pytest.mark.parametrize("name", SCRIPTS)
def test_gradient_of_unedited_numpy(name):
    script = loaded(name)
    start = script.START + 0.01 * numpy.random.default_rng(0).normal(size=script.START.shape)
    assert isinstance(script.loss(start), float)
    slope = numpy.empty(start.shape)
    for i in numpy.ndindex(start.shape):
        step = numpy.zeros(start.shape)
        step[i] = 1e-6
        slope[i] = (script.loss(start + step) - script.loss(start - step)) / 2e-6
    value, found = ng.value_and_grad(script.loss)(start)
    assert float(value) == pytest.approx(script.loss(start), rel=1e-10)
    numpy.testing.assert_allclose(found, slope, rtol=2e-5, atol=2e-6 * abs(slope).max())
    numpy.testing.assert_allclose(ng.jit(ng.grad(script.loss))(start), found, rtol=1e-9, atol=1e-9 * abs(slope).max())


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_in_it_knows_of_gradients(name):
    """But for the last lines, which fit."""
    text = (FOLDER / f"{name}.py").read_text()
    assert "nbgrad" not in text
    assert re.findall(r"^ *(?:from|import) .*$", text, re.MULTILINE) == [
        "import numpy as np",
        "    from _fit import fit",
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs(name):
    done = subprocess.run([sys.executable, f"{name}.py"], cwd=FOLDER, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    before, after = map(float, re.search(r"loss (\S+) -> (\S+) in", done.stdout).groups())
    assert after < before
