"""Reading a lazy value: find the Program of its pending graph, run it, and forget what need not be kept."""

import sys
from collections import Counter

from nbgrad import devices, graph
from nbgrad.compile import program as programs
from nbgrad.errors import TracedValueError, describe
from nbgrad.graph import origins


def realize(nodes):
    """Give every node in `nodes` its value."""
    pending = [n for n in _with_gates(nodes) if n.value is None]
    if not pending:
        return
    if devices.used:
        for part in devices.apart(pending):
            _compute(part)
    else:
        _compute(pending)


def _compute(pending):
    """Values of nodes that are on one device."""
    pending += _held(pending)
    key, leaves = graph.signature(pending)
    values = leaf_values(leaves, pending[0])
    device = devices.common(leaves, pending) if devices.used else None
    results = programs.find(key, lambda: (leaves, pending), device).run(values)
    made_from = None
    for node, value in zip(pending, results, strict=True):
        if made_from is None and not node.history:
            made_from = origins(leaves)
        settle(node, value, made_from)


def peek(node):
    """The value of a node on the host, computed without keeping it: nothing forgets where it came from."""
    value = node.value
    if value is None:
        key, leaves = graph.signature([node])
        values = leaf_values(leaves, node)
        device = devices.common(leaves, [node]) if devices.used else None
        (value,) = programs.find(key, lambda: (leaves, [node]), device).run(values)
    return devices.on_host(value)


def _held(wanted):
    """Unread values on the way to `wanted` that somebody holds an Array of.

    They are computed along, else each later read would start from the beginning again, and a value that a
    loop carries without reading it (a momentum) would drag all its steps behind it.  CPython counts the
    references to a node: those of its users here and of this function are known, one more is an Array.
    """
    nodes = graph.topological(wanted, stop=lambda n: n.value is not None)
    if len(nodes) < 3:
        return []
    users = Counter(i for n in nodes for i in n.inputs)
    done = set(wanted)
    return [
        n for n in nodes
        if n.value is None and n.inputs and n not in done and sys.getrefcount(n) > users[n] + _OWN_REFERENCES
    ]  # fmt: skip


#: References of `_held` to a node: the list, the loop variable, the counter's key, the argument of getrefcount.
_OWN_REFERENCES = 4


def settle(node, value, made_from=None):
    """Store a node's value; without history its inputs are dropped, so that loops do not grow memory.

    `made_from` is what `nbgrad.graph.origins` says of the leaves behind the node.
    """
    node.value = value
    if not node.history and node.primitive is not None:
        if node.inputs:
            node.note(forgotten=node.primitive.name, origins=made_from)
        node.primitive, node.inputs, node.attrs = None, (), ()


def leaf_values(leaves, wanted):
    """The ndarrays of leaves; an error for the inputs of a trace, which have none."""
    values = []
    for n in leaves:
        if n.value is None:
            transform = n.fact("transform")
            inside = "jitted function" if transform is None else f"function that {transform} is given"
            mark = "static with ng.jit(fn, static_argnums=...)" if transform is None else "shared with in_axes=None"
            raise TracedValueError(
                f"the value of an abstract array was asked for while {transform or 'jit'} traces: it depends on an "
                "input that has no value yet.\n"
                f"    {describe(wanted, 'array')}\n    {describe(n, 'input')}\n"
                "Use ng.where or ng.cond instead of `if` and ng.while_loop instead of `while`, keep float(), print() "
                f"and numpy calls outside the {inside}, index ng.asarray(x) and not a NumPy array x by it, "
                f"or mark the argument {mark}."
            )
        values.append(n.value)
    return values


def _with_gates(nodes):
    """The nodes, and with a gated gradient all gradients of its call."""
    found = dict.fromkeys(nodes)
    for node in nodes:
        for other in node.fact("gate") or ():
            found.setdefault(other)
    return found
