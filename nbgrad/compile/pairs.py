"""Complex numbers as pairs of real ones: what is compiled knows no others.

before: ``y = exp(z)`` of complex numbers    after: ``re, im = exp(a) * cos(b), exp(a) * sin(b)`` of reals

A complex array of a shape is, in memory, one of reals with a last axis of 2.  So inputs are read where they are, the
parts being views of them, and results are put together from their parts.  What has no text on pairs is called by NumPy.
"""

import numpy

from nbgrad import graph
from nbgrad.compile.simplify import simplify
from nbgrad.dtypes import real_of
from nbgrad.graph import Node


def in_pairs(inputs, captured, outputs):
    """(inputs, captured, outputs) of a graph without complex numbers that computes the same.

    Parameters
    ----------
    inputs, captured, outputs : lists of Node
        As `nbgrad.compile.simplify.simplify` returns them.
    """
    order = graph.topological([*outputs, *inputs])
    if not any(n.dtype.kind == "c" for n in order):
        return inputs, captured, outputs
    state = graph.state
    before = state.static, state.sites, state.scope, state.device
    state.static, state.sites, state.scope, state.device = True, False, "", None
    try:
        return _rewritten(order, inputs, captured, outputs)
    finally:
        state.static, state.sites, state.scope, state.device = before


def _rewritten(order, inputs, captured, outputs):
    fresh = {}  # a node without complex numbers, or a pair of Arrays
    wholes = {}  # complex nodes as reals with a last axis of 2
    for node in order:
        if node.primitive is None:
            fresh[node] = _leaf(node, wholes)
        elif node.dtype.kind != "c" and all(type(fresh[x]) is Node for x in node.inputs):
            fresh[node] = graph.rebuilt(node, fresh)
        else:
            fresh[node] = _node(node, fresh, wholes)
    whole = lambda n: _whole(n, fresh, wholes)  # noqa: E731
    given, found = [whole(n) for n in inputs], [whole(n) for n in captured]
    new, _, results = simplify([*given, *found], [whole(n) for n in outputs])
    kept = new[len(given) :]
    for node, old in zip(kept, captured, strict=True):
        value = old.fact("value")
        if old.dtype.kind == "c":
            value = numpy.ascontiguousarray(value).reshape(old.shape)[..., None].view(real_of(old.dtype))
        node.note(value=value)
    return new[: len(given)], kept, results


def _leaf(node, wholes):
    if node.dtype.kind != "c":
        return node
    whole = Node(None, (), (), (*node.shape, 2), real_of(node.dtype))
    wholes[node] = whole
    return _parts(whole)


def _parts(whole):
    """The two views of an array of pairs."""
    from nbgrad.kernels.shape import reshape, slice_

    shape = whole.shape[:-1]
    around = tuple((0, 1, n) for n in shape)
    array = graph.Array(whole)
    return tuple(reshape(slice_(array, spec=(*around, (part, 1, 1))), shape=shape) for part in (0, 1))


def _whole(node, fresh, wholes):
    """A node as an array of reals, with a last axis for the parts of complex numbers."""
    made = fresh[node]
    if type(made) is Node:
        return made
    whole = wholes.get(node)
    if whole is None:
        from nbgrad.kernels.shape import concatenate, reshape

        columns = [reshape(part, shape=(*node.shape, 1)) for part in made]
        whole = wholes[node] = concatenate(*columns, axis=len(node.shape))._node
    return whole


def _node(node, fresh, wholes):
    """What a node is of pairs: a node of its own, or a pair."""
    if graph.is_constant(node):
        value = complex(node.attrs[0])
        part = real_of(node.dtype)
        return tuple(graph.Array(graph.constant(v, part, node.shape)) for v in (value.real, value.imag))
    primitive, attrs = node.primitive, dict(node.attrs)
    if primitive.pairs is not None:
        operands = [graph.Array(made) if type(made) is Node else made for made in (fresh[x] for x in node.inputs)]
        made = primitive.pairs(*operands, **attrs)
        if type(made) is not tuple:
            return _shaped(made, node)
        return tuple(graph.Array(_shaped(part, node)) for part in made)
    kinds = tuple(x.dtype if x.dtype.kind == "c" else None for x in node.inputs)
    if primitive.kind == "call":
        called, facts = primitive, {**attrs, "rule": attrs["rule"].of_pairs(kinds)}
    elif primitive.kind in graph.CALLS:
        called, facts = primitive, {**attrs, "rule": attrs["rule"].with_bodies(_of_pairs)}
    else:
        from nbgrad.kernels.complex import on_pairs

        facts = {"primitive": primitive, "attrs": node.attrs, "kinds": kinds, "shape": node.shape, "dtype": node.dtype}
        called = on_pairs
    made = graph.structural(called, tuple(_whole(x, fresh, wholes) for x in node.inputs), facts)
    if node.dtype.kind != "c":
        return made
    wholes[node] = made
    return _parts(made)


def _of_pairs(body):
    """The body of a loop or a branch on arrays of pairs."""
    inputs, _, outputs = in_pairs(*simplify(body.inputs, body.outputs))
    return type(body)(inputs, outputs)


def _shaped(part, node):
    """A result, which may be a number where operands are constants."""
    from nbgrad.kernels.shape import broadcast_to

    dtype = real_of(node.dtype)
    if not isinstance(part, graph.Array):
        return graph.constant(part, dtype, node.shape)
    part = graph.Array(graph.cast(part._node, dtype))
    return (part if part.shape == node.shape else broadcast_to(part, shape=node.shape))._node
