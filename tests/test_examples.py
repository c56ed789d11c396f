"""The examples run as a user would run them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PNG = b"\x89PNG\r\n\x1a\n"


def run(name, *arguments, env=None):
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)


def finished(name, mode, *arguments):
    """What an example prints that has to end well."""
    done = run(name, *arguments, env={**os.environ, "NBGRAD_JIT": mode})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_picture(path):
    assert path.read_bytes().startswith(PNG)
    assert path.stat().st_size > 20_000


def needs(*modules):
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        pytest.skip(f"The example needs {' and '.join(missing)}, which the extra [examples] installs.")


@pytest.mark.parametrize("mode", ["0", "1"])
def test_digits(tmp_path, mode):
    """The main job, interpreted and compiled."""
    needs("sklearn", "matplotlib")
    picture = tmp_path / "digits.png"
    printed = finished("digits.py", mode, "--out", picture)
    assert "held-out accuracy 0.9" in printed
    assert "written by hand" in printed
    check_picture(picture)


def test_digits_fails_where_it_has_not_learned(tmp_path):
    """One epoch is not enough, and the exit status says so."""
    needs("sklearn", "matplotlib")
    done = run("digits.py", "--epochs", 1, "--out", tmp_path / "digits.png", env={**os.environ, "NBGRAD_JIT": "0"})
    assert done.returncode == 1
    assert "below 0.96" in done.stderr


@pytest.mark.parametrize("mode", ["0", "1"])
def test_small_convnet(tmp_path, mode):
    needs("sklearn", "matplotlib")
    picture = tmp_path / "convnet.png"
    printed = finished("small_convnet.py", mode, "--out", picture)
    assert "held-out accuracy 0.9" in printed
    check_picture(picture)


@pytest.mark.parametrize("mode", ["0", "1"])
def test_fit_by_scipy(tmp_path, mode):
    """The peaks that the data were made of are found, and the exit status says so."""
    needs("scipy", "matplotlib")
    picture = tmp_path / "fit.png"
    printed = finished("fit_by_scipy.py", mode, "--out", picture)
    assert "steps of trust-exact" in printed
    check_picture(picture)


@pytest.mark.parametrize("mode", ["0", "1"])
def test_sparse_newton(tmp_path, mode):
    """Both solutions, and the point where they meet, on a coarse grid."""
    needs("scipy", "matplotlib")
    picture = tmp_path / "newton.png"
    printed = finished("sparse_newton.py", mode, "--points", 31, "--out", picture)
    assert "takes 7 sweeps" in printed
    assert "upper branch, lambda 6, step 3" in printed
    check_picture(picture)


@pytest.mark.parametrize("mode", ["0", "1"])
def test_levenberg_marquardt(tmp_path, mode):
    """Certified results are found, and derivatives of the solution are those of its steps and of SciPy's fits."""
    needs("scipy", "matplotlib")
    picture = tmp_path / "fit.png"
    printed = finished("levenberg_marquardt.py", mode, "--out", picture)
    assert printed.count("sum of squares 0.1245513889") == 2  # certified: 1.2455138894E-01
    check_picture(picture)


@pytest.mark.parametrize("mode", ["0", "1"])
def test_adam(mode):
    """A network on a nest of weights separates what a linear model, fitted by others, does not."""
    needs("sklearn")
    printed = finished("adam.py", mode)
    assert "held-out accuracy 0.9" in printed


def test_adam_fails_where_it_has_not_learned():
    needs("sklearn")
    done = run("adam.py", "--steps", 5, env={**os.environ, "NBGRAD_JIT": "0"})
    assert done.returncode == 1
    assert "is not below that of the linear model" in done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in (EXAMPLES / "gallery").glob("*.py")))
def test_gallery(name):
    """Each script checks what it found by itself, and draws without a screen."""
    needs("scipy", "matplotlib")
    done = run(f"gallery/{name}", env={**os.environ, "MPLBACKEND": "Agg"})
    assert done.returncode == 0, done.stdout + done.stderr
