"""Benchmarks of asv: each series of a workload, and the project of the documentation as asv runs it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.benchmark import Workload

PAGE = (Path(__file__).resolve().parents[1] / "docs/benchmarking.md").read_text()


class Products(Workload):
    """Two launches: a product by BLAS, and what is made of it."""

    params, param_names = ([8, 9],), ("n",)

    def function(self, n):
        return lambda a: np.tanh(a @ a)

    def arguments(self, n):
        return (numpy.ones((n, n)),)

    def other_arguments(self, n):
        return (numpy.ones((n + 3, n + 3)),)


class Some(Workload):
    series = ("launches", "another_shape")

    def function(self):
        return ng.jit(lambda x: x + 1, as_numpy=True)

    def arguments(self):
        return (numpy.ones(3),)


class Broken(Workload):
    series = ("cold",)

    def function(self):
        raise ValueError("no function today")

    def arguments(self):
        return (1.0,)


def test_series():
    products = Products()
    products.setup(8)
    call = products._call
    products.setup(8)
    assert products._call is call, "it was compiled again"
    assert (products.track_launches(8), products.track_kernels(8), products.track_another_shape(8)) == (2, 2, 0)
    assert products.time_steady(8) is products.peakmem_memory(8) is None
    assert (Products.track_cold.unit, Products.track_kernels.unit) == ("seconds", "kernels")
    assert Products.track_cold.pretty_name == "Products: first call, empty cache"


def test_first_calls_are_those_of_new_processes(tmp_path, monkeypatch):
    """The folder that this process keeps its kernels in stays as it is, and a second one finds those of the first."""
    monkeypatch.setenv("NBGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("nbgrad.benchmark.PROCESSES", 1)
    products = Products()
    assert 0 < products.track_cold(8) < 60
    assert 0 < products.track_warm(8) < 60
    assert not list(tmp_path.iterdir())


def test_a_class_chooses():
    """asv looks for functions."""
    assert Some.time_steady is Some.track_another_shape is None
    some = Some()
    some.setup()
    assert some.track_launches() == 1


def test_versions_are_those_of_classes():
    assert len({Products.version, Some.version}) == 2


def test_errors(monkeypatch):
    with pytest.raises(ng.ArgumentError, match=r"Wrong: series is \('first',\), expected a tuple of some of 'cold'"):
        type("Wrong", (Workload,), {"series": ("first",)})

    class Bare(Some):
        def arguments(self):
            return numpy.ones(3)

    with pytest.raises(ng.ArgumentError, match=r"Bare.arguments returned NumPy array .*, expected a tuple"):
        Bare().setup()
    with pytest.raises(ng.ArgumentError, match="Bare: it is defined in a function, where a new process does not find"):
        Bare()._first_call((), 1)
    with pytest.raises(ng.NbgradError, match=r"(?s)Broken: the first call failed .*ValueError: no function today"):
        Broken().track_cold()
    monkeypatch.setattr("nbgrad.benchmark._inherited", True)
    with pytest.raises(ng.ArgumentError, match="Some: this process was forked from one that has compiled programs"):
        Some().setup()


def test_forks_know_whether_programs_were_made():
    code = (
        "import os, numpy, nbgrad as ng, nbgrad.benchmark as b\n"
        "def forked():\n"
        "    child = os.fork()\n"
        "    if not child: os._exit(int(b._inherited))\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "before = forked(); ng.config.jit = 0; (ng.asarray([1.0]) + 1).realize(); print(before, forked())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "0 1\n", done.stderr


@pytest.mark.skipif(importlib.util.find_spec("asv") is None, reason="asv is not installed: nbgrad[bench]")
def test_the_project_of_the_documentation(tmp_path):
    """Every series is a number, and a new shape adds no kernel."""
    (source,), (settings,) = (re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S) for kind in ("python", "json"))
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").touch()
    (tmp_path / "benchmarks/models.py").write_text(
        source.replace('([1000, 100_000], ["float64", "float32"])', '([1000], ["float64"])')
    )
    (tmp_path / "asv.conf.json").write_text(settings)
    environment = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONWARNINGS": ""}

    def run(*command):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("git", "init", "-q")
    run("git", "add", ".")
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    commit = run("git", "rev-parse", "HEAD").strip()
    asv = [sys.executable, "-m", "asv"]
    run(*asv, "machine", "--yes", "--machine", "here")
    run(*asv, "run", "--python=same", "--quick", "--set-commit-hash", commit)
    (saved,) = [p for p in (tmp_path / ".asv/results/here").glob("*.json") if p.name != "machine.json"]
    results = {name.rpartition(".")[2]: row[0] for name, row in json.loads(saved.read_text())["results"].items()}
    assert set(results) == {"track_cold", "track_warm", "time_steady", "track_kernels", "track_another_shape",
                            "track_launches", "peakmem_memory"}  # fmt: skip
    assert all(len(row) == 1 and min(row) >= 0 for row in results.values()), results
    assert results["track_another_shape"] == [0]
    assert min(results["track_kernels"]) > 0
    run(*asv, "publish")
    assert "Logistic: first call, empty cache" in (tmp_path / ".asv/html/index.json").read_text()
