"""Work beside the caller: LLVM leaves the interpreter alone, so that kernels compile while Python plans on.

Jobs wait in one queue.  A thread takes them from the front as long as there are any, and whoever needs a
result takes from it as well instead of waiting.
"""

import os
import threading
from collections import deque


class Job:
    """A call that somebody makes at some time: ``result()`` is what it returns or raises."""

    __slots__ = ("_call", "_done", "_error", "_value")

    def __init__(self, call):
        self._call, self._value, self._error, self._done = call, None, None, threading.Event()

    def done(self):
        """Whether `result` is there without waiting."""
        return self._done.is_set()

    def result(self):
        """What the call returned; jobs of the queue are done meanwhile."""
        while not self._done.is_set():
            if not _next():
                self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self):
        try:
            self._value = self._call()
        except Exception as error:
            self._error = error
        self._call = None
        self._done.set()


_queue: deque[Job] = deque()
_running: list[Job] = []
_lock = threading.Lock()
_thread = None


def submit(call):
    """A `Job` for a call."""
    global _thread
    job = Job(call)
    with _lock:
        _queue.append(job)
        if _thread is None:
            _thread = threading.Thread(target=_serve, name="nbgrad-compiler", daemon=True)
            _thread.start()
    return job


def _serve():
    global _thread
    while True:
        while _next():
            pass
        with _lock:
            if not _queue:
                _thread = None
                return


def _next():
    """Do the first job of the queue; False if there is none."""
    with _lock:
        if not _queue:
            return False
        job = _queue.popleft()
        _running.append(job)
    job._run()
    with _lock:
        _running.remove(job)
    return True


def _after_fork():
    global _lock, _thread
    _lock, _thread = threading.Lock(), None  # threads do not survive a fork, and what they were at is to be done anew
    for job in _running:
        if not job._done.is_set():
            _queue.appendleft(job)
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
