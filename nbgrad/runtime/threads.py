"""Threads that help the caller with the launches of a Program.

A worker sleeps in native code until a plan is put into the mailbox, then takes chunks of its launches beside
the caller.  Nobody waits for a worker to wake up: the chunks it is too late for are done already.
"""

import ctypes
import os
import threading

import numpy

from nbgrad.runtime import driver

_workers = []
_lock = threading.Lock()
#: The one mailbox of the process: two programs at a time would only take each other's cores.
MAILBOX = numpy.zeros(driver.MAILBOX_WORDS, numpy.int64)


def start(count):
    """See to it that there are so many workers."""
    if len(_workers) >= count:
        return
    with _lock:
        if not _workers:
            _empty_mailbox()
        serve = driver.builtin(driver.serve)
        while len(_workers) < count:
            worker = threading.Thread(target=serve, args=(MAILBOX.ctypes.data,), name="nbgrad-worker", daemon=True)
            worker.start()
            _workers.append(worker)


def _empty_mailbox():
    MAILBOX[:] = 0
    semaphore = getattr(ctypes.CDLL(None), "sem_init", None) if os.name == "posix" else None
    if semaphore is not None:
        semaphore(ctypes.c_void_p(MAILBOX.ctypes.data + 32), 0, 0)


def _after_fork():
    _workers.clear()  # threads do not survive a fork
    MAILBOX[:] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
