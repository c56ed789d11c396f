"""Reductions: how each starts, goes on, and joins two results."""

import numpy

#: What a reduction starts from, how it goes on inside a block, and how it joins two results.
REDUCTIONS = {
    "sum": (0, "add_fast({0}, {1})", "{0} + {1}"),
    "prod": (1, "multiply_fast({0}, {1})", "{0} * {1}"),
    "max": ("lowest", "larger({0}, {1})", "larger({0}, {1})"),
    "min": ("highest", "smaller({0}, {1})", "smaller({0}, {1})"),
    "any": (False, "{0} | {1}", "{0} | {1}"),
    "all": (True, "{0} & {1}", "{0} & {1}"),
}


def start_of(name, dtype):
    """The number that a reduction starts from."""
    first = REDUCTIONS[name][0]
    if first in ("lowest", "highest"):
        if dtype.kind == "b":
            return first == "highest"
        if dtype.kind == "f":
            return -numpy.inf if first == "lowest" else numpy.inf
        facts = numpy.iinfo(dtype)
        return facts.min if first == "lowest" else facts.max
    return first
