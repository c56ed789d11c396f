"""Compiled kernels in memory and on disk.

One file an entry: a header with the checksum, then object code.  The folder is private to the user; an
entry that is damaged, truncated or not ours is ignored and rebuilt, never executed.
"""

import dataclasses
import hashlib
import os
import re
import stat
import sys
import tempfile

from nbgrad.compile import cpu
from nbgrad.config import config

_MAGIC = b"nbgrad object 1\n"
_NAME = re.compile(r"[0-9a-f]{64}\.o")
_folder = None


def folder():
    """The cache folder, created 0700; None when caching is off or the folder cannot be trusted."""
    global _folder
    wanted = config.cache_dir
    if _folder is not None and _folder[0] == wanted:
        return _folder[1]
    _folder = wanted, _prepared(wanted) if wanted else None
    return _folder[1]


def _prepared(path):
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        facts = os.stat(path)
    except OSError:
        return None
    if hasattr(os, "getuid") and (facts.st_uid != os.getuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return None  # somebody else could plant code here
    return path


def read(key):
    """The object code stored under `key`, or None."""
    where = folder()
    if where is None:
        return None
    try:
        with open(os.path.join(where, key + ".o"), "rb") as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            data = file.read()
    except OSError:
        return None
    head = len(_MAGIC) + 32
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(data[head:] + key.encode()).digest() != data[len(_MAGIC) : head]:
        return None
    return data[head:]


def write(key, code):
    """Store object code under `key`: a unique temporary name, then an atomic rename; failure is no error."""
    where = folder()
    if where is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=where, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(code + key.encode()).digest() + code)
        os.replace(temporary, os.path.join(where, key + ".o"))
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)


@dataclasses.dataclass
class Entry:
    """A file of the cache: where it is, its bytes, the time it was written, and the title of its kernel or None."""

    path: str
    bytes: int
    written: float
    title: str | None


def entries():
    """The entries of the folder that are ours, the newest first."""
    where, found = folder(), []
    for name in os.listdir(where) if where is not None else ():
        path = os.path.join(where, name)
        if not _NAME.fullmatch(name) or not os.path.isfile(path) or os.path.islink(path):
            continue
        try:
            with open(path, "rb") as file:
                data, facts = file.read(), os.fstat(file.fileno())
        except OSError:
            continue
        if data[: len(_MAGIC)] == _MAGIC:
            from nbgrad.compile import loader

            found.append(Entry(path, len(data), facts.st_mtime, loader.title(data[len(_MAGIC) + 32 :])))
    return sorted(found, key=lambda e: (-e.written, e.path))


def clear():
    """Remove the entries, and nothing else that may be in the folder; returns (how many, their bytes)."""
    count = size = 0
    for entry in entries():
        try:
            os.unlink(entry.path)
        except OSError:
            continue
        count, size = count + 1, size + entry.bytes
    return count, size


def environment():
    """What compiled code depends on besides its source: versions, interpreter and CPU.

    Nothing here loads LLVM or the metadata of packages: to find a kernel on the disk takes neither.
    """
    import llvmlite

    return "\n".join((llvmlite.__version__, sys.version, sys.platform, *cpu.facts()))
