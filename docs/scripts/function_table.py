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
from nbgrad.numpy.left_out import LEFT_OUT

PAGE = pathlib.Path(__file__).parents[1] / "functions.md"
MODULES = (
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "scipy.special",
    "scipy.linalg",
    "scipy.signal",
    "scipy.ndimage",
    "scipy.integrate",
)
HEAD = """# Functions: what each one has

Made by `python docs/scripts/function_table.py`, which calls each function and looks at the graph; a test compares.
*Gradient* is *yes* where one flows to the arguments, *zero* where it is zero everywhere, and *none* for results that
carry none (integers, booleans, tests). *Fused* functions become part of loops with their neighbours; others have
launches of their own, or are computed by NumPy, SciPy or LAPACK between launches; the table names what is. On CUDA,
*host* names what is computed there, after a warning. [Coverage](coverage.md) has the same of each primitive.
"""
#: Arguments to try, in this order, for functions without `CALLS`; V is a vector, M a positive definite matrix.
V, M = numpy.array([0.3, 0.6, 0.2, 0.7, 0.4]), numpy.diag([3.0, 2.0, 4.0]) + 0.3
TRIES = (
    (V,),
    (M,),
    (V, V + 0.1),
    (M, M),
    (M, V[:3]),
    (V, 2),
    (V, (1, 5)),
    ([V, V],),
    ([M, M],),
    (M, 0, 1),
    (V, [1, 2]),
    (V, V, V),
    (3,),
    ((2, 3),),
    ((2, 3), 1.0),
    (0.0, 1.0),
    ("ij,jk->ik", M, M),
    (V > 0.3, V, V),
    (0.3, 0.4, V),
    (2, V),
    (V, 1.5),
    (1.5, 2.5, V),
    (M, (2, 2), 1),
    (lambda t: t * t, V),
    (lambda x: (x * x).sum(), V),
)

MORE = """
## Elsewhere

`nbgrad.scipy.optimize` hands SciPy's solvers compiled gradients, Jacobians and products with Hessians; nothing flows
through a solver. The distributions of `nbgrad.scipy.stats` are made of the functions above, with gradients in the
argument and in every parameter.

## What NumPy has and `nbgrad.numpy` has not

Asking for one of these is an `AttributeError` that says the same, and for any other name one that says what is nearest.

| name | why, and what instead |
|---|---|
"""
WHOLE, IMAGES, FILTERS = numpy.array([1, 2, 3]), numpy.ones((1, 5, 5, 2)), numpy.ones((3, 3, 2, 3))
#: Arguments for those that take nothing of the kind.
CALLS = {
    **dict.fromkeys(
        (
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
            "bitwise_left_shift",
            "bitwise_right_shift",
            "left_shift",
            "right_shift",
            "gcd",
            "lcm",
        ),
        (WHOLE, WHOLE),
    ),
    "conv": (IMAGES, FILTERS),
    "conv2d": (IMAGES, FILTERS),
    "conv_transpose": (IMAGES, FILTERS.swapaxes(2, 3)),
    "get_window": ("hann", 5),
    "tensorinv": (numpy.eye(4).reshape(2, 2, 2, 2),),
    "max_pool": (IMAGES, 2),
    "avg_pool": (IMAGES, 2),
    "segment_sum": (V, numpy.array([0, 0, 1, 1, 1]), 2),
    "apply_along_axis": (lambda x: x.sum(), 0, M),
    "apply_over_axes": (lambda x, axis: x.sum(axis, keepdims=True), M, [0]),
    "dsplit": (numpy.ones((1, 2, 2)), 2),
    "vsplit": (M, 3),
    "fromfunction": (lambda i: i * 1.0, (3,)),
    "kaiser": (5, 2.0),
    "polyfit": (V, V * V, 1),
    "ravel_multi_index": ((WHOLE, WHOLE), (4, 4)),
    "unravel_index": (WHOLE, (2, 3)),
    "unpackbits": (numpy.array([3], "uint8"),),
    "mask_indices": (3, numpy.triu),
    "frombuffer": (b"12345678",),
    "fromstring": ("1 2",),
    "matrix_power": (M, 2),
    "hyp2f1": (0.5, 1.5, 2.0, V),
    "cho_solve": ((M, True), V[:3]),
    "solve_sylvester": (M, M, M),
    "map_coordinates": (M, numpy.ones((2, 4))),
    "shift": (M, 0.5),
    "zoom": (M, 2.0),
    "fixed_quad": (lambda x: x * x, 0.0, V[0:1].sum()),
    "quad": (lambda x: x * x, 0.0, 0.5),
    "odeint": (lambda y, t: -y, V, numpy.array([0.0, 0.1])),
}
WORDS = {"map_coordinates": {"order": 1}, "shift": {"order": 1}, "zoom": {"order": 1}, "fromstring": {"sep": " "}}
#: Functions that write into the first of these.
WRITES = {
    "put": (V, [0], V[:1]),
    "place": (V, V > 0.3, V[:1]),
    "putmask": (V, V > 0.3, V[:1]),
    "copyto": (V, V + 1),
    "fill_diagonal": (M, V[0:1]),
    "put_along_axis": (M, numpy.zeros((1, 3), int), M[:1], 0),
}


def arrays(x):
    if isinstance(x, numpy.ndarray):
        return ng.asarray(x)
    return [arrays(v) for v in x] if isinstance(x, list) and x and isinstance(x[0], numpy.ndarray) else x


def called(name, function):
    """(inputs, outputs) as Nodes of a call that works; None where none of the arguments do."""
    worked, writes = None, WRITES.get(name)
    for arguments in [writes] if writes else [CALLS[name]] if name in CALLS else TRIES:
        given = [arrays(a) for a in arguments]
        inputs = [x._node for a in given for x in (a if isinstance(a, list) else [a]) if isinstance(x, Array)]
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                made = function(*given, **WORDS.get(name, {}))
            except Exception:
                continue
        made = given[0] if writes else made
        made = made if isinstance(made, (tuple, list)) else [made]
        outputs = [y._node for y in made if isinstance(y, Array)]
        if outputs:
            return inputs, outputs
        worked = [], []
    return worked


def facts(name, function):
    """(gradient, CPU, CUDA) of a function; None where it was not called."""
    found = called(name, function)
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
            found = facts(function_name, function)
            if found:
                parts.append(f"| {function_name} | {' | '.join(found)} |\n")
            else:
                raise SystemExit(f"{name}.{function_name}: no arguments are known to try it on; add some to CALLS")
    parts.append(MORE)
    parts += [f"| {name} | {reason} |\n" for name, reason in sorted(LEFT_OUT.items())]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
