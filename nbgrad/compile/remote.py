"""Remote: modules compiled by a process of their own, `nbgrad.compile.server`.

LLVM takes 90 MB, more than most programs that need it, and keeps the interpreter from nothing only as long as it is
in its own code.  In a process of its own it is loaded while this one traces and plans, works on all cores, and is
gone soon after the last kernel.  Where that process cannot be had, or dies, modules are compiled here.
"""

import contextlib
import functools
import os
import sys
import threading

from nbgrad.compile import background
from nbgrad.config import config

_lock = threading.RLock()
_server = None


class Module:
    """A module that is being compiled: ``result()`` is its object code."""

    __slots__ = ("_code", "_error", "_here", "_level", "_server", "_text")

    def __init__(self, text, level):
        self._text, self._level = text, level
        self._server = self._here = self._code = self._error = None

    def done(self):
        """Whether `result` is there without waiting."""
        with _lock:
            while self._code is None and self._error is None and self._here is None:
                if self._server is not _server or self._server is None:
                    self.compile_here()
                elif not self._server.answers():
                    return False
                elif not self._server.receive():
                    self.compile_here()
        return self._here is None or self._here.done()

    def result(self):
        """The bytes of the object file; waits for them."""
        while self._code is None and self._error is None and self._here is None:
            with _lock:
                server = self._server
                if server is None or server is not _server or not server.receive():
                    self.compile_here()
        if self._here is not None:
            return self._here.result()
        if self._error is not None:
            raise RuntimeError(self._error)
        return self._code

    def compile_here(self):
        """Have it compiled by this process."""
        from nbgrad.compile import machine

        if self._here is None:
            self._here = background.submit(functools.partial(machine.object_code, self._text, self._level))


class _Server:
    """The other process, and what it was asked for and has not answered."""

    def __init__(self):
        import llvmlite

        script = os.path.join(os.path.dirname(__file__), "server.py")
        packages = os.path.dirname(os.path.dirname(os.path.abspath(llvmlite.__file__)))
        given, self._out = os.pipe()
        self._in, taken = os.pipe()
        try:
            self._pid = os.posix_spawn(
                sys.executable, [sys.executable, "-I", "-S", script, packages], os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, taken, 1),
                              (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)],
            )  # fmt: skip
        except BaseException:
            os.close(self._out)
            os.close(self._in)
            raise
        finally:
            os.close(given)
            os.close(taken)
        self._received, self._asked, self._count = b"", {}, 0

    def ask(self, module):
        """Send a module; False if nobody takes it."""
        self._count += 1
        body = module._text.encode()
        request = memoryview(b"%d %d %d\n" % (self._count, module._level, len(body)) + body)
        self._asked[str(self._count).encode()] = module
        try:
            while request:
                request = request[os.write(self._out, request) :]
        except OSError:
            return False
        module._server = self
        return True

    def answers(self):
        """Whether there is an answer to read."""
        import select

        return bool(self._received) or bool(select.select([self._in], [], [], 0)[0])

    def receive(self):
        """Read an answer; False if there will be none."""
        try:
            number, verdict, length = self._line().split()
            body, module = self._bytes(int(length)), self._asked.pop(number)
        except (OSError, EOFError, ValueError, KeyError):
            stop()
            return False
        if verdict == b"ok":
            module._code = body
        else:
            module._error = body.decode()
        return True

    def _line(self):
        while b"\n" not in self._received:
            self._more()
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _bytes(self, count):
        while len(self._received) < count:
            self._more()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _more(self):
        part = os.read(self._in, 1 << 20)
        if not part:
            raise EOFError
        self._received += part

    def close(self, ours=True):
        """Let the process end; its unanswered modules are for this one."""
        os.close(self._out)
        os.close(self._in)
        if ours:
            with contextlib.suppress(OSError):  # somebody else may have waited for it
                os.waitpid(self._pid, os.WNOHANG)


def prepare():
    """Start the process if it is to be used: it loads LLVM while this one traces and plans."""
    global _server
    if _server is None and _applies():
        with _lock:
            if _server is None:
                try:
                    _server = _Server()
                except (OSError, ImportError):
                    config.compiler = "thread"


def submit(text, level):
    """A `Module` for LLVM IR."""
    module = Module(text, level)
    with _lock:
        prepare()
        if _server is not None and not _server.ask(module):
            stop()
            prepare()
            if _server is not None and not _server.ask(module):
                stop()
                config.compiler = "thread"
        if module._server is None:
            module.compile_here()
    return module


def stop():
    """Let the process end; a new one is started when there is something to compile."""
    global _server
    with _lock:
        if _server is not None:
            server, _server = _server, None
            server.close()


def _applies():
    return (
        config.compiler == "process"
        and sys.platform.startswith("linux")
        and os.path.basename(sys.executable or "").startswith("python")
    )


def _after_fork():
    global _lock, _server
    _lock = threading.RLock()
    if _server is not None:  # it answers to the parent
        server, _server = _server, None
        server.close(ours=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
