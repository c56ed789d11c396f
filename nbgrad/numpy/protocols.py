"""NumPy's protocols: what ``numpy.sin(x)`` and ``numpy.concatenate([x, y])`` mean for Arrays.

Nothing is listed here: a public name of ours that NumPy has as well means the same thing, whichever module it is in.
"""

import difflib
import importlib
import importlib.util
import inspect
import sys

import numpy

from nbgrad.array import Array
from nbgrad.errors import ArgumentError
from nbgrad.numpy import ufuncs
from nbgrad.numpy._out import delivered

#: Our modules, and those whose functions are found in them.
MODULES = (
    ("nbgrad.numpy", "numpy"),
    ("nbgrad.numpy.linalg", "numpy.linalg"),
    ("nbgrad.numpy.fft", "numpy.fft"),
    ("nbgrad.scipy.special", "scipy.special"),
)
METHODS = {"reduce": ufuncs.reduce, "accumulate": ufuncs.accumulate, "reduceat": ufuncs.reduceat,
           "outer": ufuncs.outer, "at": ufuncs.at}  # fmt: skip

#: Our function under each ufunc, and how to call ours under each other function of NumPy's; filled at the first use.
calls, functions = {}, {}
_seen = set()


def tables():
    """Fill the tables from the modules that are there by now; whether there was anything to add."""
    added = False
    for ours, theirs in MODULES:
        if ours in _seen or theirs not in sys.modules:
            continue
        _seen.add(ours)
        if not _exists(ours):
            continue
        added = True
        module, numpys, own = importlib.import_module(ours), sys.modules[theirs], set()
        for name in getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]:
            function, their = getattr(module, name, None), getattr(numpys, name, None)
            first = name == getattr(their, "__name__", None)  # its own name goes before other names for it
            if isinstance(their, numpy.ufunc):
                table, made = calls, function
            elif hasattr(their, "_implementation") and callable(function):  # it asks for __array_function__
                table, made = functions, _Call(their, function, f"{theirs}.{name}", f"{ours}.{name}")
            else:
                continue
            if their not in table or (first and their in own):  # SciPy has some of NumPy's too
                table[their] = made
                own.add(their)
    return added


def _exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def array_ufunc(ufunc, method, inputs, kwargs):
    """The result of a NumPy ufunc, or of one of its methods, on Arrays."""
    function = calls.get(ufunc)
    if function is None:
        function = calls.get(ufunc) if tables() else None
        if function is None:
            raise _unsupported(f"{_module_of(ufunc)}.{ufunc.__name__}", ufunc.__name__, calls)
    if method == "__call__":
        return ufuncs.call(ufunc, function, *inputs, **kwargs) if kwargs else function(*inputs)
    if "out" in kwargs and isinstance(kwargs["out"], tuple):
        kwargs["out"] = kwargs["out"][0] if method != "outer" else kwargs["out"]
    return METHODS[method](ufunc, function, *inputs, **kwargs)


def array_function(func, args, kwargs):
    """The result of a NumPy function on Arrays."""
    found = functions.get(func)
    if found is None:
        found = functions.get(func) if tables() else None
        if found is None:
            name = func.__name__
            raise _unsupported(f"{_module_of(func)}.{name}", name, functions)
    if not kwargs and len(args) <= found.plain:  # the fast path
        return found.target(*args)
    return found(args, kwargs)


def _module_of(func):
    return getattr(func, "__module__", None) or ("numpy" if hasattr(numpy, func.__name__) else "scipy.special")


#: Keywords that decide about memory or the way to a result, and which of their values change nothing here.
NEUTRAL = {
    "order": ("C", "K", "A", "F", None),
    "subok": (True, False),
    "casting": ("same_kind", "unsafe"),
    "like": (None,),
    "copy": (True, False, None),
    "kind": (None, "stable", "quicksort", "mergesort", "heapsort"),
    "stable": (True, False, None),
    "optimize": (True, False, "greedy", "optimal"),
    "device": (None, "cpu"),
    "sorter": (None,),
}


class _Call:
    """How NumPy's call of a function becomes a call of ours.

    Attributes
    ----------
    target : callable
    plain : int
        How many positional arguments mean the same on both sides.
    names : dict
        Our name for each parameter of NumPy's that we have.
    fitting : set
        Forms of calls (how many positional arguments, names of the others) that are known to bind.
    """

    def __init__(self, func, function, path, ours):
        self.path, self.ours = path, ours
        self.target = _of_dtypes(function) if function is func else function
        self.signature = inspect.signature(self.target)
        try:
            self.theirs, own = _parameters(func), _parameters(function)
        except (TypeError, ValueError):  # a function in C without a signature
            self.theirs, own = {}, _parameters(function)
        self.names, self.own, self.fitting = {}, own, set()
        by_position = [p.name for p in own.values() if p.kind in _POSITIONAL]
        self.plain, same = 0, True
        for i, (name, p) in enumerate(self.theirs.items()):
            if p.kind is p.VAR_POSITIONAL:
                self.plain = numpy.inf if same else self.plain
                break
            if p.kind is p.VAR_KEYWORD:
                continue
            mine = by_position[i] if i < len(by_position) else None
            if name in own:
                self.names[name] = name
            elif p.kind in _POSITIONAL and mine is not None and mine not in self.theirs:
                self.names[name] = mine
            same = same and p.kind in _POSITIONAL and self.names.get(name) == mine is not None
            self.plain += same
        if not self.theirs:
            self.plain = numpy.inf

    def __call__(self, args, kwargs):
        named, out = {}, None
        if len(args) > self.plain:
            args, kwargs = self._by_name(args, kwargs)
        for name, value in kwargs.items():
            if value is numpy._NoValue:
                continue
            mine = self.names.get(name, name if name in self.own or name not in self.theirs else None)
            if mine is not None:
                named[mine] = value
            elif name == "out":
                out = value
            elif not _neutral(name, value):
                raise ArgumentError(
                    f"{self.path}: on Arrays this is ng{self.ours[6:]}, where {name}={value!r} has no meaning; "
                    f"leave {name} out"
                )
        if not args and named:  # the first argument by its name
            first = next(iter(self.own))
            args = (named.pop(first),) if first in named else ()
        form = len(args), *named
        if form not in self.fitting:  # whether arguments bind depends on how many there are and how they are called
            try:
                self.signature.bind(*args, **named)
            except TypeError as error:
                raise ArgumentError(f"{self.path}: on Arrays this is ng{self.ours[6:]}, where {error}") from None
            self.fitting.add(form)
        return delivered(self.path, self.target(*args, **named), out)

    def _by_name(self, args, kwargs):
        """The positional arguments that are in another place in ours by their names."""
        names = [n for n, p in self.theirs.items() if p.kind in _POSITIONAL]
        if len(args) > len(names):
            raise ArgumentError(f"{self.path}: takes {len(names)} positional arguments, got {len(args)}")
        rest = dict(zip(names[self.plain : len(args)], args[self.plain :], strict=True))
        return args[: self.plain], {**rest, **kwargs}


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _parameters(function):
    return dict(inspect.signature(function).parameters)


def _neutral(name, value):
    return any(value is v or (isinstance(v, str) and value == v) for v in NEUTRAL.get(name, ()))


def _of_dtypes(function):
    """A function of dtypes that is NumPy's own, with the dtypes of Arrays in their place."""

    def call(*args, **kwargs):
        return function(*[a.dtype if isinstance(a, Array) else a for a in args], **kwargs)

    return call


WRITERS = frozenset({"save", "savetxt", "savez", "savez_compressed"})


def _unsupported(path, name, known):
    import nbgrad.numpy

    if name in WRITERS:  # names that look alike would mislead: nothing else writes a file
        return ArgumentError(f"{path}: got an Array, and files hold NumPy arrays; write {path}(file, x.numpy())")
    names = dict.fromkeys([*(f.__name__ for f in known), *nbgrad.numpy.__all__])
    close = [n for n in difflib.get_close_matches(name, names, 3, 0.6) if n != name]
    listed = ", ".join("ng.numpy." + n for n in dict.fromkeys(close))
    nearest = f"nearest are {listed}" if close else "write it with functions of ng.numpy"
    return ArgumentError(
        f"{path}: not supported on Arrays, so that it has no gradient; {nearest}. "
        f"Where no gradient is needed, give it a NumPy array: {path}(x.numpy())"
    )
