"""From a kernel's text to a Numba function for one dtype.

A literal in Numba is strong (``0.5 * x`` on float32 is float64), on Arrays it is weak.  Here, and only
here, the two readings are made to agree: every numeric literal and every module-level number that a text
reads is given the dtype of the kernel's inputs before Numba sees it.
"""

import ast
import types as python_types

import numpy

from nbgrad import counterparts
from nbgrad.compile import texts
from nbgrad.errors import KernelError
from nbgrad.primitive import Primitive

_compiled = {}


def specialise(function, dtype):
    """A lazily typed Numba dispatcher for `function` with its numbers typed as `dtype`."""
    dtype = numpy.dtype(dtype)
    key = function, dtype
    if key not in _compiled:
        import numba

        typed = typed_function(function, dtype)
        _compiled[key] = numba.njit(
            error_model="numpy", fastmath={"contract"}, no_cpython_wrapper=True, forceinline=True
        )(typed)
    return _compiled[key]


def typed_function(function, dtype):
    """`function` again, as plain Python, with typed numbers and with callees already specialised."""
    dtype = numpy.dtype(dtype)
    try:
        definition, first_line = texts.parsed(function)
    except OSError as error:
        raise KernelError(
            f"kernel {function.__name__}: its source text is not available ({error}); define it in a file or a "
            "notebook cell"
        ) from None
    definition.decorator_list = []
    names = {n.id for n in ast.walk(definition) if isinstance(n, ast.Name)}
    parameters = {a.arg for a in definition.args.args}
    namespace = {"__name__": function.__module__, "__builtins__": __builtins__}
    known = texts.outside(function)
    for name in names - parameters:
        if name in known:
            namespace[name] = _typed_value(known[name], dtype)
    _Literals(dtype, namespace).visit(definition)
    tree = ast.fix_missing_locations(ast.Module([definition], []))
    ast.increment_lineno(tree, first_line - 1)
    exec(compile(tree, function.__code__.co_filename, "exec"), namespace)
    return namespace[definition.name]


def _typed_value(value, dtype):
    if isinstance(value, Primitive):
        return specialise(value.text(dtype), dtype)
    if hasattr(value, "emission"):
        return value.compiled()
    primitive = counterparts.of(value) if dtype.kind == "f" else None
    if primitive is not None:
        return specialise(primitive.text(dtype), dtype)
    text = counterparts.text_of(value)
    if text is not None and (text.__module__ or "").split(".")[0] not in ("numpy", "numba"):
        return specialise(text, dtype)
    if isinstance(value, tuple):
        return tuple(_typed_value(v, dtype) for v in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _typed_number(value, dtype)
    return value


def _typed_number(value, dtype):
    if dtype.kind == "f":
        return dtype.type(value)
    if dtype.kind in "iu" and isinstance(value, int):
        return dtype.type(value)
    return value


class _Literals(ast.NodeTransformer):
    """Replaces each numeric literal by the name of a typed constant."""

    def __init__(self, dtype, namespace):
        self.dtype, self.namespace = dtype, namespace

    def visit_Constant(self, node):
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return node
        typed = _typed_number(value, self.dtype)
        if typed is value:
            return node
        name = f"_literal_{len(self.namespace)}"
        self.namespace[name] = typed
        return ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)

    def visit_Attribute(self, node):
        module = self.namespace.get(getattr(node.value, "id", None))
        known = isinstance(module, python_types.ModuleType) and hasattr(module, node.attr)
        if not known or counterparts.library(self.namespace["__name__"]):
            return self.generic_visit(node)
        value = getattr(module, node.attr)
        typed = _typed_value(value, self.dtype)
        if typed is value:
            return node
        name = f"_{node.value.id}_{node.attr}"
        self.namespace[name] = typed
        return ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)

    def visit_Subscript(self, node):  # an index stays an int
        node.value = self.visit(node.value)
        return node
