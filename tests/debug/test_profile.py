"""profile: times and bytes of launches, as a table and as a trace."""

import itertools
import json

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

X = numpy.linspace(0.1, 1.0, 300 * 400).reshape(300, 400)


def loss(x):
    return np.sum(np.tanh(x) / np.sum(np.cumsum(x, 1)))


@pytest.fixture(scope="module")
def found():
    return ng.debug.profile(ng.value_and_grad(loss), X, repeat=5)


def test_rows_are_the_launches(found):
    explained = ng.debug.explain(ng.value_and_grad(loss), X)
    assert [r.name for r in found.rows] == [r.name for r in explained.launches]
    assert [r.bytes for r in found.rows] == [r.bytes_read + r.bytes_written for r in explained.launches]
    assert [r.part for r in found.rows] == [r.part for r in explained.launches]


def test_times_shares_and_rates(found):
    assert all(r.seconds > 0 for r in found.rows)
    assert abs(sum(r.share for r in found.rows) - 1.0) < 1e-9
    for r in found.rows:
        assert r.rate == pytest.approx(r.bytes / r.seconds / 1e9)
    assert 0 < found.seconds < 1.0
    (cumsum,) = [r for r in found.rows if r.name == "cumsum" and r.part == "forward"]
    assert cumsum.bytes == 2 * X.nbytes
    assert cumsum.rate < 1000  # gigabytes a second: no memory is faster


def test_the_slow_launch_has_the_larger_share():
    def two(x):
        return np.sum(x), np.sum(np.cumsum(np.arctan(np.tanh(np.sin(x) + np.cos(x))), 1))

    def differs():
        by = {r.name: r.share for r in ng.debug.profile(two, X, repeat=9).rows}
        return by["sum"] < max(by.values())

    assert any(differs() for _ in range(5))  # a machine that is shared may stop in the middle of the short one


def test_the_table(found):
    lines = str(found).splitlines()
    assert lines[0].startswith("value_and_grad_of_loss: ")
    assert lines[0].endswith(f" a call, {len(found.rows)} launches")
    assert lines[1].startswith("once: trace and simplify ")
    assert lines[3].split() == ["#", "launch", "kind", "pass", "median", "share", "bytes", "GB/s", "lines"]
    assert len(lines) == 4 + len(found.rows)
    assert "test_profile.py:" in lines[4]
    assert found._repr_html_().count("<tr>") == 1 + len(found.rows)


def test_the_trace_is_in_the_trace_event_format(found, tmp_path):
    path = tmp_path / "trace.json"
    found.trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    timed = [e for e in events if e["ph"] == "X"]
    assert {e["ph"] for e in events} == {"M", "X"}
    assert [e["name"] for e in timed] == [
        "trace and simplify",
        "plan",
        "compile and load",
        *(r.name for r in found.rows),
    ]
    for e in timed:
        assert e["ts"] >= 0
        assert e["dur"] >= 0
        assert {"pid", "tid", "cat", "args"} <= set(e)
    launches = timed[3:]
    assert [e["dur"] for e in launches] == pytest.approx([r.seconds * 1e6 for r in found.rows])
    for before, after in itertools.pairwise(timed):
        assert after["ts"] >= before["ts"] + before["dur"] - 1e-3  # one after another
    assert launches[0]["args"]["bytes"] == found.rows[0].bytes


def test_kernels_are_counted_where_they_come_from(tmp_path):
    ng.config.cache_dir = str(tmp_path / "cache")
    first = ng.debug.profile(lambda x: np.arctan(x) * 0.125 + np.cosh(x) / 7.0, X, repeat=1)
    assert first.compiled >= 1
    assert f"({first.compiled} kernels compiled, {first.loaded} loaded)" in str(first)


def test_options_are_checked():
    with pytest.raises(ng.OptionError, match="profile: repeat is 0, expected an integer of at least 1"):
        ng.debug.profile(loss, X, repeat=0)
    with pytest.raises(ng.ArgumentError, match="profile: fn must be callable"):
        ng.debug.profile(None, X)


def test_a_launch_that_runs_others_is_one_row(tmp_path):
    def f(x):
        step = lambda c: np.tanh(np.matmul(c, c) * 0.5)  # noqa: E731
        return np.sum(ng.while_loop(lambda c: np.sum(c) > 1.0, step, x))

    found = ng.debug.profile(ng.value_and_grad(f), numpy.eye(80), repeat=3)
    slow = [r for r in found.rows if r.kind == "steps"]
    assert [r.part for r in slow] == ["forward", "backward"]
    assert sum(r.share for r in slow) > 0.5
    found.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [e["cat"] for e in events if e["ph"] == "X"].count("steps") == 2
