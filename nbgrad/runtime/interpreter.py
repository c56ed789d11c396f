"""Tier 0: a graph run node by node by the NumPy references."""

import numpy

from nbgrad import graph, shapes
from nbgrad.statistics import COUNTERS


class Impatient(Exception):
    """The steps of a loop, or the elements of an array, take so many calls that to compile them takes less time."""


class Patience:
    """How many calls of NumPy may still be made for steps of loops, and of texts for elements."""

    __slots__ = ("calls",)

    def __init__(self, calls):
        self.calls = calls

    def spend(self, calls):
        """Account for calls; raises `Impatient` if that was too much."""
        self.calls -= calls
        if self.calls < 0:
            raise Impatient


class Interpreter:
    """A simplified graph as a list of NumPy calls.

    Parameters
    ----------
    inputs, captured, outputs : lists of Node
        As `nbgrad.compile.simplify.simplify` returns them.
    """

    __slots__ = ("_first", "_once", "_outputs", "_steps", "_values")

    def __init__(self, inputs, captured, outputs):
        slot = {}
        for node in (*inputs, *captured):
            slot.setdefault(node, len(slot))
        self._values = [None] * len(inputs) + [node.fact("value") for node in captured]
        order = [n for n in graph.topological(outputs) if n not in slot]
        last_use = {}
        for node in order:
            for i in node.inputs:
                last_use[i] = node
        self._steps, loops, several = [], graph.calls_in(order), []
        self._once = any(n.primitive.kind == "effect" for n in order)  # it must not be left half done and begun again
        kept = set(outputs) | set(inputs) | set(captured)
        for node in order:
            slot[node] = len(slot)
            self._values.append(None)
            if graph.is_constant(node):
                value = numpy.broadcast_to(numpy.array(node.attrs[0], node.dtype), node.shape)
                self._values[slot[node]] = value
                continue
            dead = tuple(
                {slot[i] for i in node.inputs if last_use[i] is node and i not in kept and not graph.is_constant(i)}
            )
            call = loops.get(node)
            if call is None:
                reference, attrs, out = node.primitive.reference, dict(node.attrs), slot[node]
            elif node is call[0]:
                attrs = {"wanted": [dict(n.attrs)["index"] for n in call]}
                reference, out = dict(node.attrs)["rule"].by_steps, [None] * len(call)
                several.append((out, call))
            else:
                reference, attrs, out = None, {}, slot[node]
            # a text without a reference of its own may be called for one element after another
            calls = shapes.size(node.shape) if node.primitive.by_text else 0
            self._steps.append((reference, tuple(slot[i] for i in node.inputs), attrs, out, dead, calls))
        for out, call in several:
            out[:] = [slot[n] for n in call]
        self._first = len(inputs)
        self._outputs = [(slot[n], n.dtype) for n in outputs]

    def __len__(self):
        return len(self._steps)

    def run(self, values, patience=None):
        """Output ndarrays, each its own memory, for the values of the inputs.

        Raises
        ------
        Impatient
            If there are more steps of loops, or elements, than `patience` is for.
        """
        COUNTERS["interpreted"] += 1
        patience = None if self._once else patience
        slots = self._values.copy()
        slots[: self._first] = values
        with numpy.errstate(all="ignore"):
            for reference, inputs, attrs, out, dead, calls in self._steps:
                if calls and patience is not None:
                    patience.spend(calls)
                if type(out) is list:
                    made = reference(*[slots[i] for i in inputs], patience=patience, **attrs)
                    for i, value in zip(out, made, strict=True):
                        slots[i] = value
                elif reference is not None:
                    slots[out] = reference(*[slots[i] for i in inputs], **attrs)
                for i in dead:
                    slots[i] = None
        results, seen = [], set()
        for out, dtype in self._outputs:
            value = slots[out]
            result = numpy.ascontiguousarray(value, dtype)
            if result.ndim != numpy.ndim(value):
                result = result.reshape(numpy.shape(value))
            if (
                out < len(self._values) - len(self._steps)
                or out in seen
                or result.base is not None
                or id(result) in seen
            ):
                result = result.copy()
            seen |= {out, id(result)}
            results.append(result)
        return results
