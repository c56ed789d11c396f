"""draw: every operation once, in the box of its launch, in the colour of its pass."""

import itertools
import os
import re
import shutil
import xml.etree.ElementTree as xml

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.debug import drawing

graphviz = pytest.importorskip("graphviz", reason="The package graphviz is not installed.")
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="The program dot of Graphviz is not installed.")

A, B, S = numpy.ones((64, 32)), numpy.ones((32, 16)), numpy.eye(64)


def network(w, x):
    h = np.tanh(np.matmul(x, w))
    return np.sum(h * h) * 3.5


def softmax(x):
    e = np.exp(x - np.max(x, 1, keepdims=True))
    return np.sum(np.log(e / np.sum(e, 1, keepdims=True)))


def deep(x):
    for _ in range(8):
        x = np.tanh(np.matmul(x, B @ B.T) + np.mean(x, 0)) / np.sum(np.exp(x), 1, keepdims=True)
    return np.sum(x)


def steps(x, w):
    """A loop with a loop inside, of which all results are read."""
    inner = lambda c, t: (np.tanh(np.matmul(c, w)) * t, None)  # noqa: E731
    outer = lambda c, t: (ng.scan(inner, c, np.arange(3.0))[0] * t, np.sum(c))  # noqa: E731
    last, sums = ng.scan(outer, x, np.arange(4.0))
    return np.sum(last) + np.sum(sums)


DRAWN = {network: "network", ng.grad(softmax): "rows", ng.value_and_grad(deep): "deep",
         ng.value_and_grad(steps): "steps"}  # fmt: skip
ARGUMENTS = {"network": (B, A), "steps": (S, S)}


def nodes(dot):
    """id -> (label, fill colour) of what is drawn."""
    found = re.findall(r'^\s*(\w+) \[label="?([^\n]*?)"? color="[^"]*" fillcolor="([^"]*)"', dot, re.MULTILINE)
    return {name: (label, fill) for name, label, fill in found}


def arrows(dot):
    return re.findall(r"^\s*(\w+) -> (\w+)", dot, re.MULTILINE)


def colours(dot):
    """Fill colour -> the operations that have it."""
    found = {}
    for label, fill in nodes(dot).values():
        found.setdefault(fill, set()).add(re.split(r"\\n|\(", label)[0])
    return found


def test_operations_are_coloured_by_their_pass():
    found = colours(ng.debug.draw(ng.value_and_grad(network), B, A).dot)
    assert {"matmul", "tanh", "sum"} <= found[drawing._FORWARD[0]]
    assert {"matmul", "multiply", "subtract"} <= found[drawing._BACKWARD[0]]
    assert found[drawing._INPUT[0]] == {"argument 0", "argument 1"}
    assert found[drawing._RESULT[0]] == {"result 0", "result 1"}
    assert drawing._BACKWARD[0] not in colours(ng.debug.draw(network, B, A).dot)


@pytest.mark.parametrize("fn", [network, ng.jit(network), ng.grad(network)], ids=["plain", "jit", "grad"])
def test_there_is_a_box_for_each_launch_with_its_operations(fn):
    dot, explained = ng.debug.draw(fn, B, A).dot, ng.debug.explain(fn, B, A)
    boxes = re.findall(r"subgraph cluster_(\d+) \{(.*?)^\t\}", dot, re.MULTILINE | re.DOTALL)
    assert [int(k) for k, _ in boxes] == [r.index for r in explained.launches if r.kind != "join"]
    for k, inner in boxes:
        drawn = sorted(re.split(r"\\n|\(", label)[0] for label, _ in nodes(inner).values())
        assert drawn == sorted(explained.launches[int(k)].operations)
        assert f": {explained.launches[int(k)].kind}" in inner


def test_numbers_are_written_into_the_operations():
    labels = [label for label, _ in nodes(ng.debug.draw(network, B, A).dot).values()]
    assert any("3.5" in label and label.startswith("multiply(") for label in labels)


def test_lines_of_the_user_are_shown():
    first = network.__code__.co_firstlineno
    assert f"tanh\\nfloat64[64, 16]\\ntest_draw.py:{first + 1}" in ng.debug.draw(network, B, A).dot


def test_bold_arrows_go_through_memory():
    dot = ng.debug.draw(network, B, A).dot
    found = nodes(dot)
    by = {}
    for tail, head, style in re.findall(r"^\s*(\w+) -> (\w+)(.*)$", dot, re.MULTILINE):
        by[tuple(re.split(r"\\n|\(", found[end][0])[0] for end in (tail, head))] = "penwidth=2" in style
    assert by["argument 1", "matmul"]
    assert by["matmul", "tanh"]
    assert not by["tanh", "multiply"]
    assert not by["multiply", "sum"]


def test_what_is_computed_again_is_dashed_in_each_launch_that_does_so():
    dot = ng.debug.draw(lambda x: (x + 1.0) / np.sum(x + 1.0), A).dot
    again = [line for line in dot.splitlines() if "add(" in line]
    assert again
    assert any("dashed" in line for line in again)


@pytest.mark.parametrize("fn", DRAWN, ids=DRAWN.values())
def test_every_arrow_leads_from_and_to_something_drawn(fn):
    dot = ng.debug.draw(fn, *ARGUMENTS.get(DRAWN[fn], (A,))).dot
    assert arrows(dot)
    assert {end for arrow in arrows(dot) for end in arrow} == set(nodes(dot))


def test_launches_inside_of_a_launch_are_boxes_in_its_box():
    dot = ng.debug.draw(steps, S, S).dot
    row = next(r for r in ng.debug.explain(steps, S, S).launches if r.kind == "steps")
    drawn = {name: label for name, (label, _) in nodes(dot).items() if name.startswith("inside_")}
    expected = {f"inside_{r.index.replace('.', '_')}": r for launch in row.inside for r in launch.everything()}
    assert set(drawn) == set(expected)
    assert all(drawn[k].startswith(f"{r.name}\\n{r.kind}, ") for k, r in expected.items())
    deep = next(r for r in row.inside if r.kind == "steps").inside
    assert {r.when for r in deep} == {"each of 3 steps", "at the end"}
    deep = [r for r in deep if r.when != "at the end"]
    for tail, head in itertools.pairwise(f"inside_{r.index.replace('.', '_')}" for r in deep):
        assert (tail, head) in arrows(dot)
    box = dot[dot.index('label="each of 3 steps"') :].partition("}")[0]
    assert set(nodes(box)) == {f"inside_{r.index.replace('.', '_')}" for r in deep}
    assert re.search(r"loop.*\\nfloat64\[64, 64\], float64\[4\]", dot)  # one node for all results
    assert "dotted: launches that a launch runs" in dot
    assert "dotted" not in ng.debug.draw(network, B, A).dot


def test_where_only_launches_are_drawn_what_runs_inside_is_named(monkeypatch):
    monkeypatch.setattr(drawing, "MOST", 3)
    dot = ng.debug.draw(lambda x: ng.switch(0, [np.sin, lambda x: np.tanh(np.matmul(x, x))], x), S).dot
    assert "inside: sin, matmul, tanh" in dot


def test_of_large_programs_only_the_launches_are_drawn(monkeypatch):
    explained = ng.debug.explain(ng.value_and_grad(deep), A)
    assert sum(len(r.operations) for r in explained.launches) > drawing.MOST
    dot = ng.debug.draw(ng.value_and_grad(deep), A).dot
    assert "subgraph" not in dot
    assert len(re.findall(r"^\s*launch\d+ \[", dot, re.MULTILINE)) == len(explained.launches)
    shown = {fill for label, fill in nodes(dot).values()}
    assert {drawing._FORWARD[0], drawing._BACKWARD[0]} <= shown  # also where lowering made the operations anew


@needs_dot
@pytest.mark.parametrize("fn", DRAWN, ids=DRAWN.values())
def test_svg_has_all_that_is_drawn(fn):
    found = ng.debug.draw(fn, *ARGUMENTS.get(DRAWN[fn], (A,)))
    root = xml.fromstring(found.svg)
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert set(nodes(found.dot)) <= set(titles)
    assert sum("->" in t for t in titles) == len(arrows(found.dot))


@needs_dot
def test_graphs_on_which_the_ranking_of_old_fails():
    def between(x):
        for _ in range(4):
            x = np.tanh(np.matmul(x, B @ B.T) * 0.5 + np.mean(x * 2.0, 0)) / np.sum(np.exp(x), 1, keepdims=True)
        return np.sum(x)

    found = ng.debug.draw(ng.value_and_grad(between), A)
    assert "subgraph" in found.dot
    assert "<svg" in found.svg


@needs_dot
def test_files_are_written_by_their_suffix(tmp_path):
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".dot", b"digraph")):
        path = tmp_path / f"graph{suffix}"
        ng.debug.draw(network, B, A, path=path)
        assert path.read_bytes().startswith(start)
    assert list(ng.debug.draw(network, B, A)._repr_mimebundle_()) == ["image/svg+xml"]


def test_without_the_program_there_is_the_text_and_an_error_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = ng.debug.draw(network, B, A, path=tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text() == found.dot
    with pytest.raises(ng.MissingToolError, match=r"the program dot, which makes SVG, is not installed; install Graph"):
        ng.debug.draw(network, B, A, path=tmp_path / "graph.svg")
    assert not os.path.exists(tmp_path / "graph.svg")
    assert found._repr_mimebundle_() == {"text/plain": found.dot}


def test_without_the_package_an_error_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "graphviz", None)
    with pytest.raises(ng.MissingToolError, match=r"draw: the package graphviz is not installed; .*nbgrad\[draw\]"):
        ng.debug.draw(network, B, A)


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ng.OptionError, match=r"draw: path 'graph.bmp' ends with '.bmp', expected .svg, .png"):
        ng.debug.draw(network, B, A, path="graph.bmp")
    with pytest.raises(ng.OptionError, match="draw: path must be a file name, got int 3"):
        ng.debug.draw(network, B, A, path=3)
