"""Functions of `math` and NumPy in texts of kernels, and what stands for them in each reading of a text.

One text is compiled, called on Arrays, and called on NumPy arrays.  `math.exp` is the primitive ``exp`` in the first
two and that primitive's reference in the third, so that all three agree where Python would raise an exception.
"""

import functools
import math
import types

import numpy

from nbgrad import primitive as primitives

#: Names of `math` that NumPy spells differently, and the names of their primitives.
_SPELT = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2",
    "atanh": "arctanh", "fabs": "absolute", "pow": "power",
}  # fmt: skip
#: Names that mean one thing in `math` and another one in NumPy.
_DIFFERENT = ("remainder",)


@functools.cache
def _table():
    """Functions and their primitives."""
    declared = primitives.primitives()
    found = {p.reference: p for p in declared.values() if p.kind == "elementwise" and _is_numpy(p.reference)}
    for p in declared.values():
        ufunc = getattr(numpy, p.name, None)
        if p.kind == "elementwise" and isinstance(ufunc, numpy.ufunc) and ufunc.nin == p.arity:
            found.setdefault(ufunc, p)
    for name, function in vars(math).items():
        primitive = declared.get(_SPELT.get(name, name))
        if name in _DIFFERENT or primitive is None:
            continue
        if callable(function) and primitive.kind == "elementwise":
            found[function] = primitive
    return {f: p for f, p in found.items() if p.kernel is not None and p.arity is not None}


def _is_numpy(function):
    return isinstance(function, numpy.ufunc) or getattr(numpy, getattr(function, "__name__", ""), None) is function


def of(function):
    """The primitive that stands for a function of `math` or NumPy in a text; None where there is none."""
    try:
        return _table().get(function)
    except TypeError:  # what cannot be hashed is no function
        return None


def library(module):
    """Whether `math` means the library of the target in texts of this module: in our own, which the primitives are."""
    return (module or "").startswith("nbgrad.kernels")


def text_of(function):
    """The Python function behind a function that Numba compiles, or behind a plain one; None for anything else."""
    function = getattr(function, "py_func", function)
    return function if isinstance(function, types.FunctionType) else None


def on_arrays(function):
    """A text to be called on Arrays."""
    return _Reading(_for_arrays).of(function)


def on_numpy(function):
    """A text to be called on NumPy arrays and numbers."""
    return _Reading(_for_numpy).of(function)


def _for_arrays(value):
    from nbgrad.kernels._intrinsics import select

    if value is select:
        return primitives._find("where")
    return of(value) if getattr(value, "__module__", None) == "math" else None  # NumPy's functions take Arrays


def _for_numpy(value):
    from nbgrad.kernels._intrinsics import select

    if value is select:
        return numpy.where
    value = of(value) or value
    return value.reference if isinstance(value, primitives.Primitive) else None


class _Reading:
    """Copies of functions that read other things behind the same names."""

    def __init__(self, change):
        self._change, self._made = change, {}

    def of(self, function):
        """The copy of a function; of those that it calls, copies, too."""
        made = self._made.get(function)
        if made is None:
            names = {}
            made = types.FunctionType(
                function.__code__, names, function.__name__, function.__defaults__,
                tuple(types.CellType(None) for _ in function.__closure__ or ()),
            )  # fmt: skip
            made.__kwdefaults__ = function.__kwdefaults__
            self._made[function] = made
            names.update(function.__globals__)
            for name in _names(function.__code__):
                if name in names:
                    names[name] = self.value(names[name])
            for cell, given in zip(made.__closure__ or (), function.__closure__ or (), strict=True):
                cell.cell_contents = self.value(given.cell_contents)
        return made

    def value(self, value):
        """What a name stands for in the copy."""
        if isinstance(value, types.ModuleType):
            return value if _is_ours(value.__name__) else _Module(value, self)
        changed = self._change(value)
        if changed is not None:
            return changed
        text = text_of(value)
        return value if text is None or _is_ours(text.__module__) else self.of(text)


def _is_ours(module):
    """Whether a module's functions take Arrays, or NumPy arrays, as they are."""
    return (module or "").split(".")[0] in ("nbgrad", "numpy") and not (module or "").startswith("nbgrad.kernels")


class _Module:
    """A module whose functions are read in another way."""

    def __init__(self, module, reading):
        self._module, self._reading = module, reading

    def __getattr__(self, name):
        return self._reading.value(getattr(self._module, name))


def _names(code):
    """The global names that a function reads, with those of functions inside of it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found
