"""Threads that help the caller with the launches of a Program.

A worker sleeps until a plan is worth sharing, then takes chunks of its launches beside the caller, in
native code with the GIL released.  Nobody waits for a worker to wake up: the chunks it is too late for
are done already.
"""

import os
import threading

from nbgrad.config import config
from nbgrad.runtime import driver

_workers = []
_lock = threading.Lock()


class _Worker(threading.Thread):
    def __init__(self):
        super().__init__(name="nbgrad-worker", daemon=True)
        self.awake = threading.Semaphore(0)
        self.plan = None

    def run(self):
        assist = driver.builtin(driver.assist)
        while True:
            self.awake.acquire()
            plan, self.plan = self.plan, None
            if plan is not None:
                assist(plan[0])


def call_helpers(address, owner):
    """Wake the workers for the plan at `address`; `owner` keeps its tables alive while they look at it."""
    wanted = config.threads - 1
    if len(_workers) < wanted:
        with _lock:
            while len(_workers) < wanted:
                worker = _Worker()
                worker.start()
                _workers.append(worker)
    for worker in _workers[:wanted]:
        worker.plan = address, owner
        worker.awake.release()


def _after_fork():
    _workers.clear()  # threads do not survive a fork


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
