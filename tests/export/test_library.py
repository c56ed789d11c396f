"""Shared libraries for C: what they compute there, what they leave behind, and the files beside them."""

import ctypes
import json
import shutil
import subprocess
import threading

import numpy
import pytest
from exported import LOOPS, TABLE, arguments, recurrent, rosenbrock

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, KernelError, MissingToolError

gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
#: What valgrind knows; this machine may have more.
PLAIN = "x86-64-v3"

MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include "valley.h"

int main(int count, char **given)
{
    for (int k = 1; k < count; k++) {
        int64_t n = atoll(given[k]);
        double value, *x = malloc(n * sizeof *x), *grad = malloc(n * sizeof *grad);
        void *workspace = k % 2 ? NULL : malloc(valley_workspace(n));
        for (int64_t i = 0; i < n; i++)
            x[i] = 0.1 * (i % 7);
        if (valley(x, &value, grad, n, workspace))
            return 1;
        printf("%.17g %.17g %.17g\n", value, grad[0], grad[n - 1]);
        free(x), free(grad), free(workspace);
    }
    return valley(NULL, NULL, NULL, 0, NULL) == 1 ? 0 : 2;
}
"""


def valley(x):
    """Rosenbrock's function, and a term whose gradient needs memory in between."""
    return rosenbrock(x) + np.sum(np.cumsum(x) ** 2)


def expected(n):
    """Its value, and the first and last number of its gradient, written out."""
    x = 0.1 * (numpy.arange(n) % 7)
    sums = numpy.cumsum(x)
    value = rosenbrock(x) + numpy.sum(sums**2)
    first = -400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]) + 2 * numpy.sum(sums)
    last = 200 * (x[-1] - x[-2] ** 2) + 2 * sums[-1]
    return [value, first, last]


@gcc
def test_a_program_in_c_has_the_gradient_and_leaves_nothing_behind(tmp_path):
    files = ng.jit(ng.value_and_grad(valley)).export(tmp_path / "valley.so", numpy.ones(5), cpu=PLAIN)
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "main"
    built = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-g", tmp_path / "main.c", files.library, "-o", program]
    subprocess.run([*built, f"-Wl,-rpath,{tmp_path}"], check=True)
    sizes = [3, 5000, 7, 20000]
    valgrind = ["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=all", "--error-exitcode=9"]
    command = [*(valgrind if shutil.which("valgrind") else ()), program, *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = [[float(v) for v in line.split()] for line in done.stdout.splitlines()]
    numpy.testing.assert_allclose(found, [expected(n) for n in sizes], rtol=1e-12)


@gcc
@pytest.mark.parametrize("case", [*TABLE, *[(f, e, o) for f, _, e, o in LOOPS]], ids=lambda case: case[0].__name__)
def test_many_functions_in_a_library(case, tmp_path):
    function, example, _ = case
    both = ng.value_and_grad(function, tuple(range(len(example))) if len(example) > 1 else 0)
    files = ng.jit(both).export(tmp_path / "f", *arguments(example), fixed=True)
    values = arguments(example, 2)
    outs = [numpy.empty(()), *map(numpy.empty_like, values)]
    call = getattr(ctypes.CDLL(str(files.library)), files.name)
    assert call(*(ctypes.c_void_p(a.ctypes.data) for a in (*values, *outs)), None) == 0
    ng.config.jit = 0
    value, grads = both(*values)
    for a, b in zip(outs, [value, *(grads if len(example) > 1 else [grads])], strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@gcc
def test_threads_share_a_library(tmp_path):
    files = ng.jit(ng.value_and_grad(recurrent, (0, 1))).export(
        tmp_path / "rnn.so", *arguments([(3,), (3, 3), (7, 3)]), name="rnn_gradient"
    )
    call = ctypes.CDLL(str(files.library)).rnn_gradient
    sizes = json.loads(files.description.read_text())["sizes"]
    assert len(sizes) == 2

    def one(k, found):
        values = arguments([(8 + k,), (8 + k, 8 + k), (30, 8 + k)], k)
        outs = [numpy.empty(()), numpy.empty_like(values[0]), numpy.empty_like(values[1])]
        for _ in range(20):
            code = call(*(ctypes.c_void_p(a.ctypes.data) for a in (*values, *outs)), ctypes.c_int64(8 + k),
                        ctypes.c_int64(30), None)  # fmt: skip
        found[k] = code, outs

    together, alone = {}, {}
    threads = [threading.Thread(target=one, args=(k, together)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(6):
        one(k, alone)
        assert together[k][0] == alone[k][0] == 0
        for a, b in zip(together[k][1], alone[k][1], strict=True):
            numpy.testing.assert_array_equal(a, b)


@gcc
def test_the_header_and_the_description(tmp_path):
    def f(params, x):
        return {"loss": np.sum(params["w"] * x), "double": x * 2}

    files = ng.jit(f).export(tmp_path / "libmodel.so", {"w": numpy.ones((4, 3))}, numpy.ones(3, "float32"))
    assert files.name == "model"
    text = files.header.read_text()
    assert "int32_t model(const double *params_w, const float *x, double *out0, float *out1, int64_t n" in text
    assert "   params_w: double[n][m], an argument\n   x: float[m], an argument" in text
    assert "out1: float[m], result['double']" in text
    (tmp_path / "main.cpp").write_text('#include "libmodel.h"\n#include "libmodel.h"\n')
    subprocess.run(["gcc", "-x", "c++", "-Wall", "-Werror", "-fsyntax-only", tmp_path / "main.cpp"], check=True)
    found = json.loads(files.description.read_text())
    assert found["inputs"][0] == {
        "name": "params_w",
        "argument": "params['w']",
        "dtype": "float64",
        "shape": ["n", "m"],
    }
    assert found["outputs"][1] == {"name": "out1", "place": "result['double']", "dtype": "float32", "shape": ["m"]}
    assert (found["sizes"], found["fixed"]) == ([{"name": "n", "least": 1}, {"name": "m", "least": 1}], [])
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".nbgrad")]
    undefined = subprocess.run(["nm", "-D", "--undefined-only", files.library], capture_output=True, text=True).stdout
    assert not any(name in undefined for name in ("Py", "numba", "NRT"))


@gcc
def test_errors(tmp_path, monkeypatch):
    f = ng.jit(lambda x: np.sum(x))
    with pytest.raises(
        ArgumentError, match=r"export of .*path is '.*', and there is no folder '.*none'; make the folder"
    ):
        f.export(tmp_path / "none" / "f.so", numpy.ones(3))
    with pytest.raises(ArgumentError, match="name must be an identifier of C, got 'a-b'; use 'a_b'"):
        f.export(tmp_path / "f.so", numpy.ones(3), name="a-b")
    with pytest.raises(KernelError, match="LLVM knows no cpu 'abacus' here; give 'native', or a name such as"):
        f.export(tmp_path / "f.so", numpy.ones(3), cpu="abacus")
    monkeypatch.setenv("CC", "false")
    with pytest.raises(KernelError, match=r"false -shared .* failed"):
        f.export(tmp_path / "f.so", numpy.ones(3))
    monkeypatch.setenv("CC", "")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        MissingToolError, match="linked by a C compiler, and none of cc, gcc and clang was found; install"
    ):
        f.export(tmp_path / "f.so", numpy.ones(3))
    assert not list(tmp_path.iterdir())
