"""python -m nbgrad: what it says, what it removes, and how it refuses."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.command_line import main
from nbgrad.compile import cache

WARM = """
import numpy
import nbgrad as ng
import nbgrad.numpy as np


def warm_up():
    ng.grad(lambda x: np.sum(np.tanh(x) * np.cumsum(x)))(numpy.ones(5))


def fails():
    raise ValueError("this one fails")


number = 3


class Model:
    @staticmethod
    def prepare():
        warm_up()
"""


@pytest.fixture
def folder(tmp_path, settings):
    settings.cache_dir = str(tmp_path / "kernels")
    return tmp_path / "kernels"


@pytest.fixture
def there(folder):
    """A cache folder that exists."""
    assert cache.folder() == str(folder)
    return folder


def refused(capsys, *arguments):
    """What a bad command says; its exit code is 2."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    return capsys.readouterr().err


def python(folder, *arguments, cwd):
    """A run in a process of its own."""
    env = {**os.environ, "NBGRAD_CACHE_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "nbgrad", *arguments], env=env, cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_info_has_versions_processor_cache_blas_cuda_and_settings(folder, capsys):
    assert main(["info"]) == 0
    shown = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert ng.__version__ in shown["nbgrad"]
    for name in ("numpy", "numba", "llvmlite", "optree", "scipy"):
        assert shown[name].strip() == importlib.metadata.version(name)
    assert "cores for this process" in shown["CPU"]
    assert shown["threads"].strip() == str(ng.config.threads)
    assert shown["cache"].strip() == f"{folder}, not there yet"
    assert "BLAS" in shown
    assert ng.cuda.is_available() or shown["CUDA"].strip() == f"none: {ng.cuda.why_not_available()}"
    for name in ("jit=", "threads=", "check_values=()", f"cache_dir={str(folder)!r}"):
        assert name in shown["settings"]
    assert not folder.exists()  # to look is not to make one


def test_info_counts_what_is_in_the_cache(there, capsys):
    cache.write("0" * 64, b"code")
    main(["info"])
    assert f"{there}, 1 kernel, 52 B" in capsys.readouterr().out


def test_info_says_that_the_cache_is_off(settings, capsys):
    settings.cache_dir = ""
    main(["info"])
    assert "off (NBGRAD_CACHE_DIR is empty)" in capsys.readouterr().out


def test_kernels_are_listed_by_name_with_size_and_age(there, capsys):
    ng.jit(lambda x: np.sinh(x) / 3.25 + np.arctan(x) * 0.71875).lower(np.ones(7))  # compiled here, whatever ran before
    [cache.write(f"{k:064x}", b"code") for k in range(2)]
    os.utime(there / f"{1:064x}.o", (0, 0))
    assert main(["cache", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["kernel", "size", "age", "key"]
    assert any(line.startswith("sinh_divide_arctan_multiply_add ") for line in lines)
    unknown = [line for line in lines if line.startswith("? ")]
    assert [line.split()[1:3] for line in unknown] == [["52", "B"]] * 2
    assert " d  " in lines[-2]  # the oldest is last
    found = cache.entries()
    assert lines[-1].startswith(f"{len(found)} kernels, ")
    assert lines[-1].endswith(f" in {there}")


def test_clear_removes_ours_and_nothing_else(there, capsys):
    for k in range(3):
        cache.write(f"{k:064x}", b"x" * 100)
    size = sum(p.stat().st_size for p in there.iterdir())
    (there / "notes.txt").write_text("mine")
    (there / ("f" * 64 + ".o")).write_bytes(b"not written by nbgrad")
    (there / "folder.o").mkdir()
    outside = there.parent / "outside.o"
    outside.write_bytes((there / ("0" * 64 + ".o")).read_bytes())
    (there / ("e" * 64 + ".o")).symlink_to(outside)
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith(f"removed 3 kernels, {size} bytes")
    assert {p.name for p in there.iterdir()} == {"notes.txt", "folder.o", "f" * 64 + ".o", "e" * 64 + ".o"}
    assert outside.exists()
    main(["cache", "clear"])
    assert capsys.readouterr().out.startswith("removed 0 kernels, 0 bytes")


def test_warm_compiles_once_and_says_how_many(tmp_path):
    (tmp_path / "train.py").write_text(WARM)
    folder = tmp_path / "kernels"
    first = python(folder, "cache", "warm", "train:warm_up", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    made = len(list(folder.glob("*.o")))
    assert made >= 3
    assert first.stdout == f"train:warm_up: {made} kernels compiled, 0 found in {folder}\n"
    again = python(folder, "cache", "warm", "train:Model.prepare", cwd=tmp_path)
    assert again.stdout == f"train:Model.prepare: 0 kernels compiled, {made} found in {folder}\n"
    listed = python(folder, "cache", "list", cwd=tmp_path).stdout
    assert "\ncumsum " in listed
    assert "\ndrive " in listed


def test_an_error_of_the_users_function_is_shown(tmp_path):
    (tmp_path / "train.py").write_text(WARM)
    done = python(tmp_path / "kernels", "cache", "warm", "train:fails", cwd=tmp_path)
    assert done.returncode == 1
    assert "ValueError: this one fails" in done.stderr
    assert "cache warm: train:fails raised the error above" in done.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("train", "'train' is not of the form module:function, such as train:warm_up"),
        (":warm_up", "is not of the form module:function"),
        ("no_such_module:f", "cannot import no_such_module: No module named 'no_such_module'; run this in the folder"),
        ("train_here:nothing", "module train_here has no nothing; its functions are Model, fails, warm_up"),
        ("train_here:number", "train_here:number is int, expected a function to call without arguments"),
    ],
)
def test_bad_targets(target, said, there, tmp_path, capsys, monkeypatch):
    (tmp_path / "train_here.py").write_text(WARM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert said in refused(capsys, "cache", "warm", target)
    sys.modules.pop("train_here", None)


def test_bad_commands(there, capsys):
    assert "the following arguments are required: command" in refused(capsys)
    assert "invalid choice: 'inform'" in refused(capsys, "inform")
    assert "say what to do with the cache: list, warm or clear" in refused(capsys, "cache")
    assert "invalid choice: 'drop'" in refused(capsys, "cache", "drop")
    assert "required: module:function" in refused(capsys, "cache", "warm")


def test_a_cache_that_is_off_or_missing_or_not_ours(folder, settings, capsys):
    assert f"there is no cache folder {folder} yet" in refused(capsys, "cache", "list")
    folder.mkdir(mode=0o700)
    folder.chmod(0o777)
    cache._folder = None  # asked for before
    assert "is not used, since it is not yours alone" in refused(capsys, "cache", "clear")
    settings.cache_dir = ""
    assert "the disk cache is off: NBGRAD_CACHE_DIR is empty" in refused(capsys, "cache", "warm", "train:warm_up")
