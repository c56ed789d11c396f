"""The commands of ``python -m nbgrad``: what is installed and in use, and the disk cache of kernels."""

import argparse
import os
import sys
import time

#: Distributions whose versions matter.
_DISTRIBUTIONS = ("numpy", "numba", "llvmlite", "optree", "scipy", "numba-cuda", "nvmath-python")


def main(arguments=None):
    """Run a command; returns the exit code: 0, 1 where a function of the user's fails, 2 for what cannot be done."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command == "cache" and given.action is None:
        given.parser.error("say what to do with the cache: list, warm or clear")
    try:
        return given.run(given) or 0
    except _Refused as error:
        given.parser.error(str(error))


class _Refused(Exception):
    """A command that cannot be carried out, and what to do about it."""


def _parser():
    parser = argparse.ArgumentParser(prog="python -m nbgrad", description="What nbgrad is made of here, and its cache.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    info = commands.add_parser("info", help="versions, processor, cache, BLAS, CUDA and settings")
    info.set_defaults(run=_info, parser=info)
    cache = commands.add_parser("cache", help="list, warm or clear the disk cache of compiled kernels")
    cache.set_defaults(parser=cache)
    actions = cache.add_subparsers(dest="action", metavar="action")
    listing = actions.add_parser("list", help="kernels with size and age, the newest first")
    listing.set_defaults(run=_list, parser=listing)
    warm = actions.add_parser("warm", help="import a module and call a function of it, to have its kernels compiled")
    warm.add_argument("target", metavar="module:function", help="for example train:warm_up; called without arguments")
    warm.set_defaults(run=_warm, parser=warm)
    clear = actions.add_parser("clear", help="remove all kernels")
    clear.set_defaults(run=_clear, parser=clear)
    return parser


# ---------------------------------------------------------------- info


def _info(given):
    for name, value in facts():
        print(f"{name + ':':15}{value}")


def facts():
    """(name, text) of all that `info` shows."""
    import platform

    import nbgrad
    from nbgrad.config import config

    yield "nbgrad", f"{nbgrad.__version__} in {os.path.dirname(nbgrad.__file__)}"
    yield "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in _DISTRIBUTIONS:
        yield name, _version(name)
    yield "CPU", f"{_processor()}, {_cores()} cores for this process"
    yield "threads", str(config.threads)
    yield "cache", _cache()
    yield "BLAS", _blas()
    yield "CUDA", _cuda()
    names = [n for n in dir(type(config)) if isinstance(getattr(type(config), n), property)]
    yield "settings", ", ".join(f"{n}={getattr(config, n)!r}" for n in names)


def _version(name):
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor():
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cache():
    from nbgrad.compile import cache
    from nbgrad.config import config
    from nbgrad.debug.tables import size

    if not config.cache_dir:
        return "off (NBGRAD_CACHE_DIR is empty)"
    if not os.path.isdir(config.cache_dir):  # to look is not to make one
        return f"{config.cache_dir}, not there yet"
    if cache.folder() is None:
        return f"{config.cache_dir}, not used: it is not yours alone, or cannot be written"
    found = cache.entries()
    return f"{config.cache_dir}, {_kernels(len(found))}, {size(sum(e.bytes for e in found))}"


def _blas():
    from nbgrad.runtime import blas

    library = blas.description()
    return library or "NumPy's own, by its Python functions: no OpenBLAS with 64-bit integers beside NumPy"


def _cuda():
    from nbgrad import cuda

    why = cuda.why_not_available()
    if why is not None:
        return f"none: {why}"
    from nbgrad.runtime.cuda import device

    shown = [device.get("info", k) for k in range(cuda.device_count())]
    return ", ".join(f"{d} {d.driver.name}" for d in shown)


# ---------------------------------------------------------------- cache


def _kernels(count):
    return f"{count} kernel{'s' if count != 1 else ''}"


def _folder(make=False):
    """The cache folder, which is there and ours; `_Refused` otherwise."""
    from nbgrad.compile import cache
    from nbgrad.config import config

    if not config.cache_dir:
        raise _Refused("the disk cache is off: NBGRAD_CACHE_DIR is empty; unset it or name a folder")
    if not make and not os.path.isdir(config.cache_dir):
        raise _Refused(f"there is no cache folder {config.cache_dir} yet: nothing has been compiled")
    if cache.folder() is None:
        raise _Refused(
            f"the cache folder {config.cache_dir} is not used, since it is not yours alone or cannot be written; "
            "mend its permissions or name another one with NBGRAD_CACHE_DIR"
        )
    return config.cache_dir


def _list(given):
    from nbgrad.compile import cache
    from nbgrad.debug.tables import size, text

    where, now = _folder(), time.time()
    found = cache.entries()
    if found:
        rows = [(e.title or "?", size(e.bytes), _age(now - e.written), os.path.basename(e.path)[:12]) for e in found]
        print(text(("kernel", "size", "age", "key"), rows))
    print(f"{_kernels(len(found))}, {size(sum(e.bytes for e in found))} in {where}")


def _age(seconds):
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _warm(given):
    import importlib
    import traceback

    import nbgrad

    where = _folder(make=True)
    module, colon, name = given.target.partition(":")
    if not colon or not module or not name:
        raise _Refused(f"{given.target!r} is not of the form module:function, such as train:warm_up")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _Refused(f"cannot import {module}: {error}; run this in the folder that holds it") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise _Refused(f"module {module} has no {name}; its functions are {_functions(found)}")
        found = getattr(found, part)
    if not callable(found):
        raise _Refused(f"{given.target} is {type(found).__name__}, expected a function to call without arguments")
    before, nbgrad.config.jit = nbgrad.stats(), 2  # also what would be interpreted the first times
    try:
        found()
    except Exception:
        traceback.print_exc()
        print(f"python -m nbgrad cache warm: {given.target} raised the error above", file=sys.stderr)
        return 1
    after = nbgrad.stats()
    made, loaded = (after[k] - before[k] for k in ("kernels_compiled", "kernels_loaded"))
    print(f"{given.target}: {_kernels(made)} compiled, {loaded} found in {where}")
    return 0


def _functions(module):
    names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
    return ", ".join(sorted(names)) or "none"


def _clear(given):
    from nbgrad.compile import cache
    from nbgrad.debug.tables import size

    where = _folder()
    count, freed = cache.clear()
    print(f"removed {_kernels(count)}, {freed} bytes ({size(freed)}), from {where}")
