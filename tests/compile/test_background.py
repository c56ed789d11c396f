"""Compiling beside the caller."""

import gc
import os
import threading
import time

import numpy
import pytest

import nbgrad as ng
from nbgrad.compile import background


def test_results_and_errors_reach_whoever_asks():
    jobs = [background.submit(lambda k=k: 12 // k) for k in (3, 0, 4)]
    assert [jobs[0].result(), jobs[2].result()] == [4, 3]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            jobs[1].result()


def test_who_waits_helps():
    started, ready, names = threading.Event(), threading.Event(), []

    def slow():
        started.set()
        ready.wait(10)
        names.append(threading.current_thread().name)

    def quick():
        names.append(threading.current_thread().name)
        ready.set()

    first = background.submit(slow)  # keeps the thread until the other job is done
    assert started.wait(10)
    second = background.submit(quick)
    second.result()
    first.result()
    assert names == [threading.current_thread().name, "nbgrad-compiler"]


def test_the_thread_ends_with_the_queue():
    background.submit(int).result()
    deadline = time.monotonic() + 10
    while any(t.name == "nbgrad-compiler" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(t.name == "nbgrad-compiler" for t in threading.enumerate())
    assert background.submit(lambda: 1).result() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_does_what_was_under_way():
    started, go = threading.Event(), threading.Event()
    job = background.submit(lambda: started.set() or go.wait(10))
    assert started.wait(10)
    child = os.fork()
    if child == 0:
        go.set()
        os._exit(0 if job.result() and background.submit(lambda: 5).result() == 5 else 1)
    go.set()
    assert os.waitpid(child, 0)[1] == 0
    assert job.result()


def test_compilations_beside_each_other(settings, monkeypatch):
    """Many programs at a time, compiled by several threads, compute what NumPy computes."""
    from nbgrad.compile import native

    settings.jit = 2
    monkeypatch.setattr(native.cache, "read", lambda key: None)
    monkeypatch.setattr(native, "_kernels", {})
    x = numpy.linspace(0.1, 1.0, 50)
    wrong = []

    def work(seed):
        for k in range(4):
            a = 1.5 + seed + 7 * k
            f = ng.jit(ng.grad(lambda v, a=a, n=seed + k: ng.numpy.sum(v ** (n % 5 + 2) * ng.numpy.exp(-a * v))))
            n = (seed + k) % 5 + 2
            expected = (n * x ** (n - 1) - a * x**n) * numpy.exp(-a * x)
            if not numpy.allclose(f(x), expected, rtol=1e-10):
                wrong.append((seed, k))

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_trace_is_not_interrupted_by_collections(settings):
    """The garbage collector is off while a function is traced and compiled, and as before afterwards, errors or not."""
    settings.jit = 2
    seen = []

    def f(x):
        seen.append(gc.isenabled())
        if len(seen) == 2:
            raise ValueError("from the function")
        return x * 2

    assert ng.jit(f)(numpy.ones(3)).tolist() == [2, 2, 2]
    assert gc.isenabled()
    with pytest.raises(ValueError, match="from the function"):
        ng.jit(f)(numpy.ones(4))
    assert gc.isenabled()
    assert seen == [False, False]
