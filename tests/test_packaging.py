"""What is installed is what is in the repository, and importing it is light."""

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OLDEST_SETUPTOOLS = 77  # the first that reads `license` as an SPDX expression
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "nbgrad", "kernels")


def listed():
    return set(PROJECT["tool"]["setuptools"]["packages"])


def on_disk():
    """Folders with an __init__.py, by the name they are imported under."""

    def found(folder):
        return {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / folder).rglob("__init__.py")}

    return found("nbgrad") | {"nbgrad." + name for name in found("kernels")}


def setuptools_version():
    if importlib.util.find_spec("setuptools") is None:
        return 0
    return int(importlib.metadata.version("setuptools").split(".")[0])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names of the files in a wheel built from a copy of the sources."""
    if setuptools_version() < OLDEST_SETUPTOOLS:
        pytest.skip(f"Building the wheel offline needs setuptools {OLDEST_SETUPTOOLS} or newer in this environment.")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", out, source], check=True, timeout=300)
    (path,) = out.glob("nbgrad-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_packages_listed_are_packages_on_disk():
    assert listed() == on_disk()


def test_packages_in_the_wheel_are_packages_on_disk(wheel):
    assert {n.removesuffix("/__init__.py").replace("/", ".") for n in wheel if n.endswith("/__init__.py")} == on_disk()


def test_every_module_is_in_the_wheel(wheel):
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "nbgrad").rglob("*.py")}
    modules |= {f"nbgrad/{p.relative_to(ROOT)}" for p in (ROOT / "kernels").rglob("*.py")}
    assert {n for n in wheel if n.endswith(".py")} == modules


def test_the_wheel_is_marked_as_typed_and_carries_the_licence(wheel):
    assert "nbgrad/py.typed" in wheel
    assert any(n.endswith("LICENSE") for n in wheel)


def test_version_matches():
    assert importlib.metadata.version("nbgrad") == PROJECT["project"]["version"]


def test_the_test_extra_covers_the_examples():
    assert "nbgrad[examples]" in PROJECT["project"]["optional-dependencies"]["test"]


HEAVY = ("numba", "llvmlite", "optree", "scipy")


@pytest.mark.parametrize("module", ["nbgrad", "nbgrad.numpy"])
def test_import_is_light(module):
    """Compilers and trees are imported when they are first needed."""
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == []


def test_import_makes_no_cache_folder(tmp_path):
    code = "import nbgrad, nbgrad.numpy"
    env = {"NBGRAD_CACHE_DIR": str(tmp_path / "cache"), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=120)
    assert not (tmp_path / "cache").exists()


def test_families_that_few_functions_need_come_with_them():
    """Importing nbgrad declares what everything is made of; whoever asks for all primitives gets all."""
    program = """
import sys, nbgrad
from nbgrad.kernels import FURTHER
from nbgrad.primitive import _find
loaded = [name for name in FURTHER if f"nbgrad.kernels.{name}" in sys.modules]
print(loaded, _find("svd").name, {"gamma", "svd", "fft"} <= set(nbgrad.primitives()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] svd True"
