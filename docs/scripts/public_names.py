"""The directive of the reference: `public-names:: nbgrad.numpy` has an entry for each name in `__all__`.

What a docstring says comes from autodoc.  Objects that are neither functions nor classes of nbgrad (constants,
distributions, primitives, NumPy's dtypes) have none that autodoc would take, so they are described here.
"""

import importlib
import inspect

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from nbgrad.primitive import Primitive

logger = logging.getLogger(__name__)

#: Modules whose `__all__` is public, and the page of each.
NAMESPACES = {
    "nbgrad": "nbgrad",
    "nbgrad.numpy": "numpy",
    "nbgrad.numpy.linalg": "linalg",
    "nbgrad.numpy.fft": "fft",
    "nbgrad.scipy.special": "special",
    "nbgrad.scipy.stats": "stats",
    "nbgrad.scipy.optimize": "optimize",
    "nbgrad.scipy.linalg": "scipy_linalg",
    "nbgrad.scipy.signal": "signal",
    "nbgrad.scipy.ndimage": "ndimage",
    "nbgrad.scipy.integrate": "integrate",
    "nbgrad.debug": "debug",
    "nbgrad.testing": "testing",
    "nbgrad.cuda": "cuda",
    "nbgrad.mpi": "mpi",
    "nbgrad.parallel": "parallel",
    "nbgrad.benchmark": "benchmark",
}


def entry(namespace, name):
    """reStructuredText of one public name."""
    full = f"{namespace}.{name}"
    value = getattr(importlib.import_module(namespace), name)
    ours = (getattr(value, "__module__", None) or "").startswith("nbgrad")
    if inspect.isclass(value):
        if ours:
            inside = ["   :show-inheritance:"] if issubclass(value, Exception) else ["   :members:"]
            return [f".. autoclass:: {full}", *inside, ""]
        return data(full, f"NumPy's ``{value.__module__}.{value.__qualname__}``.")
    if inspect.isroutine(value) and not ours:
        return data(full, f"NumPy's ``numpy.{value.__name__}``.")
    if isinstance(value, Primitive):
        return [f".. py:function:: {full}(x)", "", f"   {inspect.getdoc(value.kernel)}", ""]
    if inspect.isroutine(value):
        return [f".. autofunction:: {full}", ""]
    if inspect.ismodule(value):
        return data(full, f"The namespace :doc:`{full} <{NAMESPACES[full]}>`.")
    if value is None or isinstance(value, (int, float)):
        return data(full, f"The constant {value!r}.")
    if not (type(value).__module__ or "").startswith("nbgrad"):
        return data(full, f"NumPy's ``numpy.{name}``.")
    text = inspect.cleandoc(value.__doc__ or "")
    methods = [n for n in dir(value) if not n.startswith("_") and inspect.ismethod(getattr(value, n))]
    if {"logpdf", "logpmf"} & set(methods):
        text += "\n\nMethods: " + ", ".join(f"``{n}``" for n in methods) + "."
    return data(full, text)


def data(full, text):
    return [f".. py:data:: {full}", "", *(f"   {line}" for line in text.splitlines()), ""]


class PublicNames(SphinxDirective):
    """Entries of all public names of a namespace, in the order of the alphabet."""

    required_arguments = 1

    def run(self):
        namespace = self.arguments[0]
        module = importlib.import_module(namespace)
        lines = []
        for name in sorted(module.__all__, key=str.lower):
            lines += entry(namespace, name)
        inside = nodes.container()
        self.state.nested_parse(StringList(lines, source=f"public-names {namespace}"), 0, inside)
        return inside.children


def nothing_is_missing(app, env):
    """A warning, which CI makes an error, for each public name without an entry."""
    entries = {name for name, *_ in env.domains["py"].get_objects()}
    for namespace in NAMESPACES:
        for name in importlib.import_module(namespace).__all__:
            if f"{namespace}.{name}" not in entries:
                logger.warning("%s.%s has no entry in the reference", namespace, name)


def setup(app):
    app.add_directive("public-names", PublicNames)
    app.connect("env-check-consistency", nothing_is_missing)
    return {"parallel_read_safe": True}
