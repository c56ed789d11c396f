"""Writes docs/functions.md, what each public function has: python docs/scripts/function_table.py

Each function is called once on small arrays; what it is made of, and so where it runs and whether a gradient flows, is
read off the graph and the registry.
"""

import importlib
import inspect
import pathlib
import warnings

import coverage_table
import numpy

import nbgrad as ng
from nbgrad import graph
from nbgrad.array import Array
from nbgrad.autodiff import backward
from nbgrad.errors import MissingRuleError

PAGE = pathlib.Path(__file__).parents[1] / "functions.md"
MODULES = ("numpy", "numpy.linalg", "numpy.fft", "scipy.special", "scipy.linalg", "scipy.signal", "scipy.ndimage",
           "scipy.integrate", "scipy.optimize")  # fmt: skip
HEAD = """# Functions: what each one has

Made by `python docs/scripts/function_table.py`, which calls each function and looks at the graph; a test compares.
*Gradient* is *yes* where one flows to the arguments, *zero* where it is zero everywhere, and *none* for results that
carry none (integers, booleans, tests). *Fused* functions become part of loops with their neighbours; others have launches
of their own, or are computed by NumPy, SciPy or LAPACK between launches; the table names what is. On CUDA, *host* names
what is computed there, after a warning. [Coverage](coverage.md) has the same of each primitive.
"""
#: Arguments to try, in this order, for functions without `CALLS`; V is a vector, M a positive definite matrix.
V, M = numpy.array([0.3, 0.6, 0.2, 0.7, 0.4]), numpy.diag([3.0, 2.0, 4.0]) + 0.3
TRIES = ((V,), (M,), (V, V + 0.1), (M, M), (M, V[:3]), (V, 2), (V, (1, 5)), ([V, V],), ([M, M],), (M, 0, 1),
         (V, [1, 2]), (V, V, V), (3,), ((2, 3),), ((2, 3), 1.0), (0.0, 1.0), ("ij,jk->ik", M, M), (V > 0.3, V, V), (0.3, 0.4, V),
         (2, V), (V, 1.5), (1.5, 2.5, V), (M, (2, 2), 1), (lambda t: t * t, V), (lambda x: (x * x).sum(), V))  # fmt: skip


def arrays(x):
    if isinstance(x, numpy.ndarray):
        return ng.asarray(x)
    return [arrays(v) for v in x] if isinstance(x, list) and x and isinstance(x[0], numpy.ndarray) else x


def called(function):
    """(inputs, outputs) as Nodes of a call that works; None where none of the arguments do."""
    for arguments in TRIES:
        given = [arrays(a) for a in arguments]
        inputs = [x._node for a in given for x in (a if isinstance(a, list) else [a]) if isinstance(x, Array)]
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                made = function(*given)
            except Exception:
                continue
        made = made if isinstance(made, (tuple, list)) else [made]
        outputs = [y._node for y in made if isinstance(y, Array)]
        if outputs:
            return inputs, outputs
    return None


def facts(function):
    """(gradient, CPU, CUDA) of a function; None where it was not called."""
    found = called(function)
    if found is None:
        return None
    inputs, outputs = found
    used = {n.primitive for n in graph.topological(outputs) if n.primitive is not None and n.inputs}
    inexact = [y for y in outputs if y.dtype.kind in "fc"]
    flows = [_flows(inexact, x) for x in inputs if inexact and x.dtype.kind in "fc"]
    missing = ", but not by each argument" if any(flows) and "missing" in flows else ""
    gradient = f"yes{missing}" if True in flows else "zero" if inexact and used else "none"
    return gradient, _where(used, coverage_table.on_cpu, "NumPy"), _where(used, coverage_table.on_cuda, "host")


def _flows(outputs, x):
    """Whether a gradient gets to an input; "missing" where no rule for that is there."""
    try:
        return backward.sweep(outputs, list(map(backward.ones, outputs)), [x])[0] is not None
    except MissingRuleError:
        return "missing"


def _where(used, on, outside):
    """Where the primitives of a function run, in words."""
    fused = {p for p in used if p.kind in coverage_table.FUSED and p.kind != "update"}
    away = sorted(p.name for p in used if on(p) in ("by NumPy", "host"))
    own = sorted(p.name for p in used - fused if p.name not in away)
    parts = (["fused"] if fused and not own and not away else []) + [f"launch: {', '.join(own)}"] * bool(own)
    return "; ".join([*parts, *([f"{outside}: {', '.join(away)}"] if away else [])]) or "a value"


def public(module):
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    for name in sorted(set(names)):
        function = getattr(module, name)
        if inspect.isfunction(function) and function.__module__.startswith("nbgrad"):
            yield name, function


def page():
    """The text of the page."""
    parts = [HEAD]
    for name in MODULES:
        module = importlib.import_module(f"nbgrad.{name}")
        parts.append(f"\n## `nbgrad.{name}`\n\n| function | gradient | CPU | CUDA |\n|---|---|---|---|\n")
        for function_name, function in public(module):
            found = facts(function)
            if found:
                parts.append(f"| {function_name} | {' | '.join(found)} |\n")
            else:
                parts.append(f"| {function_name} | see its docstring | | |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
