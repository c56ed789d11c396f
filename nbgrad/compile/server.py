"""Server: a process that compiles modules for another one, which need not load LLVM then.

Run as a script, with the folder of llvmlite's package as its argument, by `nbgrad.compile.remote`.  A request on
standard input is a line ``number level length`` and then LLVM IR of that many bytes; the answer on standard output
is a line ``number ok length`` (or ``error``) and then object code (or what went wrong).  It ends with its input, or
when nothing was asked of it for a while.
"""

import importlib.util
import os
import queue
import select
import signal
import sys
import threading

#: Seconds without a request after which the process ends.
IDLE = 15.0
#: Threads that compile, at most.
MOST_THREADS = 4


def _machine():
    """`nbgrad.compile.machine`, read alone: its package would import NumPy and more."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "machine.py")
    spec = importlib.util.spec_from_file_location("machine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compile(machine, requests, answers):
    while True:
        number, level, text = requests.get()
        try:
            verdict, body = b"ok", machine.object_code(text.decode(), int(level))
        except Exception as error:
            verdict, body = b"error", f"{type(error).__name__}: {error}".encode()
        answers.put(b"%s %s %d\n%s" % (number, verdict, len(body), body))
        requests.task_done()


def _send(out, answers):
    """On a thread of its own: the other side reads when it needs something, and may plan for long before that."""
    while True:
        out.write(answers.get())
        out.flush()
        answers.task_done()


def main():
    """Serve until there is nothing more to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the process that is served
    sys.path.insert(0, sys.argv[1])
    requests, answers = queue.Queue(), queue.Queue()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    machine = _machine()
    machine.target_machine()  # LLVM is loaded once, before there are threads
    threading.Thread(target=_send, args=(out, answers), daemon=True).start()
    for _ in range(max(1, min(MOST_THREADS, len(os.sched_getaffinity(0))))):
        threading.Thread(target=_compile, args=(machine, requests, answers), daemon=True).start()
    source = os.fdopen(0, "rb", buffering=0)
    received = b""

    def more():
        nonlocal received
        part = source.read(1 << 20)
        received += part
        return bool(part)

    while True:
        while b"\n" not in received:
            if not select.select([source], [], [], IDLE)[0]:
                if requests.unfinished_tasks or answers.unfinished_tasks:
                    continue
                return
            if not more():
                return
        head, _, received = received.partition(b"\n")
        number, level, length = head.split()
        while len(received) < int(length):
            if not more():
                return
        text, received = received[: int(length)], received[int(length) :]
        requests.put((number, level, text))


if __name__ == "__main__":
    main()
