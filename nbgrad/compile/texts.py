"""The texts of kernels: source of a Python function as a tree, and the names it reads from outside."""

import ast
import contextlib
import inspect
import textwrap
import weakref

_sources: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def remember(function):
    """Keep the source of a function, which may not be there later: that of a prompt goes with the line."""
    with contextlib.suppress(OSError):
        _sources[function] = inspect.getsourcelines(function)


def parsed(function):
    """(definition as a tree, number of its first line); OSError where the source is not available."""
    lines, first_line = _sources.get(function) or inspect.getsourcelines(function)
    return ast.parse(textwrap.dedent("".join(lines))).body[0], first_line


def outside(function):
    """What names in a function mean that it does not bind itself."""
    closure = inspect.getclosurevars(function).nonlocals if function.__closure__ else {}
    return {**function.__globals__, **closure}
