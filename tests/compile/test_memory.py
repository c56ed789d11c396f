"""The memory plan: buffers that live at the same time never share bytes, and the arena stays small."""

import numpy
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.compile.memory import ALIGNMENT, plan_arena
from nbgrad.compile.storage import Buffer

LIVES = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 30), st.integers(0, 30)), max_size=40)


def buffer(size, first, last, kind="arena"):
    made = Buffer(kind, numpy.dtype("float64"), size)
    made.first, made.last = min(first, last), max(first, last)
    return made


@given(LIVES)
@examples(deadline=None, max_examples=200)
def test_live_buffers_never_overlap(lives):
    buffers = [buffer(*life) for life in lives]
    top = plan_arena(buffers)
    for k, a in enumerate(buffers):
        assert a.offset % ALIGNMENT == 0
        assert a.offset >= 0
        assert a.offset + a.nbytes <= top
        for b in buffers[:k]:
            together = a.first <= b.last and b.first <= a.last
            apart = a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset
            assert apart or not together or not (a.nbytes and b.nbytes)


@given(LIVES)
@examples(deadline=None, max_examples=50)
def test_the_arena_is_no_larger_than_all_buffers(lives):
    buffers = [buffer(*life) for life in lives]
    assert plan_arena(buffers) <= sum(-(-max(b.nbytes, 1) // ALIGNMENT) * ALIGNMENT for b in buffers)


def test_many_buffers_never_overlap_and_share():
    lives = [(3 + k % 4, k, k + 2 + k % 7) for k in range(3000)]
    buffers = [buffer(*life) for life in lives]
    top = plan_arena(buffers)
    assert top < 512 * 128
    for k, a in enumerate(buffers):
        for b in buffers[max(0, k - 10) : k]:
            if a.first <= b.last:
                assert a.offset + a.nbytes <= b.offset or b.offset + b.nbytes <= a.offset


def test_outputs_and_unused_buffers_take_no_place():
    unused = Buffer("arena", numpy.dtype("float64"), 100)
    assert plan_arena([buffer(100, 0, 3, "output"), buffer(100, 0, 3, "input"), unused]) == 0


def test_a_chain_alternates_between_two_places():
    buffers = [buffer(1000, k, k + 1) for k in range(100)]
    assert plan_arena(buffers) <= 2 * 8064


def arena_of(fn, *args):
    return ng.jit(fn).lower(*args)._compiled._arena_bytes


def test_a_long_program_reuses_its_arena():
    def deep(x, w, layers):
        for _ in range(layers):
            x = nx.tanh(x @ w)
        return nx.sum(x)

    x, w = numpy.ones((64, 64)), numpy.eye(64)
    few, many = (arena_of(lambda x, w, n=n: deep(x, w, n), x, w) for n in (4, 40))
    assert many == few
    assert many <= 3 * x.nbytes


def test_running_twice_gives_the_same(rng):
    x = rng.standard_normal((300, 300))
    fn = ng.jit(lambda x: nx.sum(nx.tanh(x @ x) @ nx.exp(-nx.abs(x)), axis=0))
    first = numpy.asarray(fn(x)).copy()
    for _ in range(5):
        numpy.testing.assert_array_equal(numpy.asarray(fn(x)), first)


def test_results_outlive_later_runs(rng):
    """Output memory is recycled only when nobody looks at it any more, not even through a view."""
    fn = ng.jit(lambda x: (x * 2.0, x @ x))
    arguments = [rng.standard_normal((200, 200)) for _ in range(6)]
    kept = [[numpy.asarray(r) for r in fn(a)] for a in arguments]
    parts = [numpy.asarray(fn(a)[0])[3:5] for a in arguments]
    for a, (double, square), part in zip(arguments, kept, parts, strict=True):
        numpy.testing.assert_array_equal(double, a * 2)
        numpy.testing.assert_allclose(square, a @ a, rtol=1e-9, atol=1e-9)
        numpy.testing.assert_array_equal(part, a[3:5] * 2)


def test_results_without_jit_outlive_later_runs(rng, settings):
    settings.jit = 2
    arguments = [rng.standard_normal(50_000) for _ in range(6)]
    kept = [ng.asarray(a) * 2.0 + 1.0 for a in arguments]
    values = [numpy.asarray(k) for k in kept]
    for a, v in zip(arguments, values, strict=True):
        numpy.testing.assert_array_equal(v, a * 2 + 1)
