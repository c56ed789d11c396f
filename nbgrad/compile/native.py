"""From emitted source to the address of machine code: in memory, from the disk cache, or compiled now.

`translate` turns source into LLVM IR in milliseconds; a text outside the part of Python that it knows goes
to Numba.  Either way the result is an object file that llvmlite alone can link.
"""

import functools
import hashlib
import os
import threading
import types as python_types

import numpy

from nbgrad import counterparts
from nbgrad.compile import cache, remote, texts
from nbgrad.errors import KernelError
from nbgrad.primitive import Primitive
from nbgrad.statistics import COUNTERS

_kernels = {}
_lock = threading.RLock()


class Code:
    """Machine code that is there, or on its way."""

    __slots__ = ("_address", "_job", "_key")

    def __init__(self, key, compilation):
        """From the disk, or else by ``compilation(symbol)``: a `remote.Module`, or object code."""
        self._key, self._address, self._job = key, None, None
        code = cache.read(key)
        if code is not None:
            try:
                self._address = _linked(code, symbol_of(key))
                COUNTERS["kernels_loaded"] += 1
                return
            except (RuntimeError, LookupError):
                pass  # an entry that does not link is rebuilt
        COUNTERS["kernels_compiled"] += 1
        remote.prepare()
        made = compilation(symbol_of(key))
        if isinstance(made, bytes):
            self._link(made)
        else:
            self._job = made

    def ready(self):
        """Whether `address` is there without waiting."""
        job = self._job
        return job is None or job.done()

    @property
    def address(self):
        """Where the function is; waits for the compiler."""
        job = self._job
        if job is not None:
            code = job.result()
            with _lock:
                if self._address is None:
                    self._link(code)
        return self._address

    def _link(self, code):
        cache.write(self._key, code)
        self._address, self._job = _linked(code, symbol_of(self._key)), None


def _linked(code, symbol):
    """Address of `symbol` in object code."""
    from nbgrad.compile import loader

    try:
        return loader.load(code, symbol)
    except loader.Unsupported:
        from nbgrad.compile.machine import linked

        if b"NRT_" in code or b"numba_" in code:  # LLVM ends the process where a function is missing
            from nbgrad.compile import by_numba

            by_numba.provide()
        return linked(code, symbol, loader.PROVIDED)


def symbol_of(key):
    """The name of a function in its object file."""
    return f"nbgrad_{key[:32]}"


def kernel(source, names):
    """`Code` of the C function ``void(int64* args, int64 start, int64 stop)`` that `source` defines.

    Parameters
    ----------
    source : str
        Defines one function, called ``kernel``.
    names : dict
        What the source calls besides words: name -> (primitive, dtype name).
    """
    key = source, tuple(sorted(((n, p.text(d), d) for n, (p, d) in names.items()), key=lambda t: t[0]))
    found = _kernels.get(key)
    if found is None:
        with _lock:
            found = _kernels.get(key)
            if found is None:
                found = _kernels[key] = _made(source, names)
    return found


def _made(source, names):
    functions = {n: (p.text(d), d) for n, (p, d) in names.items()}
    digest = hashlib.sha256(f"{foundation()}{source}".encode())
    for name, (text, dtype) in sorted(functions.items()):
        digest.update(f"{name}:{dtype}:{fingerprint(text)}".encode())

    def compilation(symbol):
        from nbgrad.compile import machine, translate

        try:
            return remote.submit(_titled(translate.kernel(source, functions, symbol), _title(source)), machine.KERNELS)
        except translate.Unsupported as reason:
            return compiled_by_numba(source, functions, symbol, names, reason)

    return Code(digest.hexdigest(), compilation)


def _title(source):
    """What an emitted source says that it computes: its docstring."""
    found = source.split('"""')[1] if '"""' in source else "kernel"
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in found)


def _titled(module, title):
    """The text of a module whose object file bears a title, for whoever looks into the cache."""
    return f'source_filename = "{title}"\n{module}'


def compiled_by_numba(source, functions, symbol, names, reason):
    from nbgrad.compile import by_numba

    try:
        return by_numba.kernel(source, functions, symbol)
    except Exception as error:
        listed = ", ".join(sorted({p.name for p, _ in names.values()}))
        raise KernelError(
            f"the kernel of {listed} could not be compiled: it is outside of what is translated directly ({reason}), "
            f"and Numba says: {error}\nThe emitted source:\n{source}"
        ) from error


def function(text, count):
    """`Code` of a Python function of `count` 64-bit integers that returns one, as a C function."""
    key = hashlib.sha256(f"{foundation()}{count}{fingerprint(text)}".encode()).hexdigest()

    def compilation(symbol):
        from nbgrad.compile import machine, translate

        return remote.submit(_titled(translate.function(text, count, symbol), text.__name__), machine.DRIVERS)

    with _lock:
        if key not in _kernels:
            _kernels[key] = Code(key, compilation)
        return _kernels[key]


@functools.cache
def foundation():
    """What every kernel depends on: versions, CPU, the compiler itself, and what all kernel texts are built from.

    Fingerprints follow functions; tables and classes behind intrinsics are read here as whole files.
    """
    from nbgrad.kernels import _intrinsics

    files = [os.path.join(os.path.dirname(__file__), n) for n in sorted(os.listdir(os.path.dirname(__file__)))]
    kernels = os.path.dirname(_intrinsics.__file__)
    files += [os.path.join(kernels, n) for n in sorted(os.listdir(kernels)) if n.startswith("_")]
    parts = [cache.environment()]
    for path in files:
        if path.endswith(".py"):
            with open(path, "rb") as file:
                parts.append(hashlib.sha256(file.read()).hexdigest())
    return "\n".join(parts)


_fingerprints = {}


def fingerprint(function):
    """A digest of a kernel text and of everything of ours that it calls."""
    found = _fingerprints.get(function)
    if found is None:
        digest, seen, pending = hashlib.sha256(), set(), [function]
        while pending:
            f = pending.pop()
            if f in seen:
                continue
            seen.add(f)
            names = _digest_code(digest, f.__code__)
            known = texts.outside(f)
            for name in sorted(names):
                for value in _meanings(known.get(name), names):
                    pending += _digest_value(digest, name, value)
        found = _fingerprints[function] = digest.hexdigest()
    return found


#: Packages whose versions are part of every digest.
_VERSIONED = ("numba", "numpy")


def _meanings(value, names):
    """What a name stands for in a text; of a module what the text may take from it."""
    if not isinstance(value, python_types.ModuleType):
        return [value]
    if value.__name__.split(".")[0] in _VERSIONED:
        return []
    return [v for v in map(vars(value).get, sorted(names)) if v is not None]


def _digest_value(digest, name, value):
    """Digest what a text reads from outside; returns the functions that it calls."""
    if isinstance(value, Primitive):
        return [t for t in (value.kernel, *value.variants.values()) if t]
    text = counterparts.text_of(value)
    if text is not None:
        return [] if (text.__module__ or "").split(".")[0] in _VERSIONED else [text]
    if hasattr(value, "emission"):
        return [value.build]
    if isinstance(value, numpy.ndarray):  # Numba compiles it in
        digest.update(f"{name}={value.dtype}{value.shape}".encode() + value.tobytes())
    elif isinstance(value, (int, float, complex, tuple, str, bytes, numpy.generic)):
        digest.update(f"{name}={value!r}".encode())
    elif callable(value) and (primitive := counterparts.of(value)) is not None:
        return _digest_value(digest, name, primitive)
    return []


def _digest_code(digest, code):
    names = {*code.co_names, *code.co_freevars}
    digest.update(code.co_code)
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            names |= _digest_code(digest, constant)
        else:
            digest.update(repr(constant).encode())
    digest.update(repr((code.co_names, code.co_varnames)).encode())
    return names
