"""The emitted source of a few programs, checked in: a refactor leaves these files alone, a change shows its effect.

Write them anew with ``NBGRAD_WRITE_GOLDEN=1 pytest tests/compile/test_emit_golden.py``.
"""

import os
from pathlib import Path

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx

FOLDER = Path(__file__).parent / "golden"
WRITE = os.environ.get("NBGRAD_WRITE_GOLDEN") == "1"


def ones(*shape, dtype="float64"):
    return numpy.ones(shape, dtype)


PROGRAMS = {
    "elementwise_chain": (lambda x, y: nx.exp(x * 2.0) + y, ones(6), ones(6)),
    "row_vector": (lambda x, v: x * v + 1.0, ones(4, 3), ones(3)),
    "strided_view": (lambda x: nx.transpose(x)[::-1] * x.T, ones(4, 3)),
    "sum_of_everything": (lambda x: nx.sum(x * x), ones(4, 3)),
    "sum_of_columns": (lambda x: nx.sum(x, axis=0), ones(4, 3, dtype="float32")),
    "max_of_rows": (lambda x: nx.max(nx.abs(x), axis=1), ones(4, 3)),
    "gradient_of_tanh": (ng.grad(lambda x: nx.sum(nx.tanh(x))), ones(6)),
    "integers_and_truth": (lambda i: nx.where(i > 2, i * 3, -i), ones(6, dtype="int32")),
    "slice_assignment": (lambda x: _assigned(x), ones(6)),
    "cumulative_sum": (lambda x: nx.cumsum(x, axis=0), ones(4, 3)),
}


def _assigned(x):
    x[1:-1] = 0.5
    return x


@pytest.mark.parametrize("name", PROGRAMS)
def test_emitted_source(name):
    fn, *arguments = PROGRAMS[name]
    source = ng.jit(fn).lower(*arguments).source.rstrip("\n") + "\n"
    path = FOLDER / f"{name}.py"
    if WRITE:
        path.write_text(source)
    assert path.exists(), f"{path.name} is missing; write it with NBGRAD_WRITE_GOLDEN=1"
    assert source == path.read_text()


def test_every_golden_file_has_its_program():
    assert {p.stem for p in FOLDER.glob("*.py")} == set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_source_does_not_depend_on_sizes(name):
    fn, *arguments = PROGRAMS[name]
    larger = [numpy.ones([5 * n for n in a.shape], a.dtype) for a in arguments]
    assert ng.jit(fn).lower(*arguments).source == ng.jit(fn).lower(*larger).source
