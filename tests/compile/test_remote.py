"""Modules are compiled by another process, and by this one whenever that process cannot be had."""

import os
import signal
import sys

import pytest

import nbgrad as ng
from nbgrad.compile import loader, machine, remote

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LLVM runs in this process elsewhere")


def module(k, lines=1):
    body = "".join(f"  %x{i + 1} = {('add', 'xor')[i % 2]} i64 %x{i}, {k + 77 * i}\n" for i in range(lines))
    return f"define i64 @number_{k}(i64 %x0) {{\n{body}  ret i64 %x{lines}\n}}\n"


@pytest.fixture(autouse=True)
def fresh(settings):
    """Each test starts its own process, or none."""
    remote.stop()
    settings.compiler = "process"
    yield
    remote.stop()


def is_object(code):
    return code[:4] == b"\x7fELF" if loader.APPLIES else bool(code)


def submitted(k, **facts):
    return remote.submit(module(k, **facts), machine.DRIVERS)


def test_the_process_is_used_and_answers_in_any_order():
    jobs = [submitted(k) for k in range(5)]
    assert all(job._server is remote._server is not None for job in jobs)
    codes = [job.result() for job in reversed(jobs)]
    assert all(map(is_object, codes))
    assert len(set(codes)) == len(codes)


def test_more_answers_than_a_pipe_holds_wait_until_they_are_read():
    jobs = [remote.submit(module(k, lines=3000), machine.DRIVERS) for k in range(12)]
    assert sum(len(job.result()) for job in reversed(jobs)) > 1 << 16


def test_what_llvm_says_of_a_bad_module_is_raised():
    job, good = remote.submit("define i64 @broken( {", machine.DRIVERS), submitted(3)
    with pytest.raises(RuntimeError, match="expected type"):
        job.result()
    assert is_object(good.result())


def test_a_process_that_dies_loses_nothing():
    submitted(0).result()
    os.kill(remote._server._pid, signal.SIGSTOP)
    jobs = [submitted(k) for k in range(1, 4)]
    os.kill(remote._server._pid, signal.SIGKILL)
    assert all(is_object(job.result()) for job in jobs)
    assert remote._server is None
    assert is_object(submitted(5).result())  # by a new one
    assert remote._server is not None


def test_a_process_that_has_ended_is_replaced():
    submitted(0).result()
    first = remote._server._pid
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert is_object(submitted(1).result())


def test_without_a_process_this_one_compiles(settings, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    job = submitted(1)
    assert is_object(job.result())
    assert job._server is None
    assert ng.config.compiler == "thread"


def test_a_thread_on_request(settings):
    settings.compiler = "thread"
    assert is_object(submitted(1).result())
    assert remote._server is None


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_compiles_for_itself():
    os_job = submitted(1)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if is_object(os_job.result()) and is_object(submitted(2).result()) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_object(os_job.result())


def test_the_process_ends_with_its_input():
    submitted(1).result()
    pid = remote._server._pid
    remote.stop()
    for _ in range(1000):
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:  # stop() has seen it end
            return
        signal.sigtimedwait([], 0.01)
    raise AssertionError("it is still there")
