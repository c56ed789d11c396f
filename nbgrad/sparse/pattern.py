"""The pattern of a Jacobian: which inputs each element of the outputs may depend on, found on the graph.

A rule for each kind of primitive says how rows of dependence move from operands to a result.  What moves elements is
asked itself: its NumPy reference is called on the numbers of the elements.  A rule may name too many entries, never too
few; what has no rule of its own depends on all of its operands.
"""

import hashlib

import numpy

from nbgrad import devices, dtypes, graph, shapes
from nbgrad.errors import GradientError, describe
from nbgrad.runtime.evaluate import peek
from nbgrad.sparse import dependence
from nbgrad.sparse.dependence import numbers, reduced, rows, spread, union, window

#: Primitives of kind "array" that work element by element, apart from those that `nbgrad.kernels._called` made.
_EACH = {"fixed", "ldexp", "nextafter"}
#: Those along the last axis.
_LAST = {"rfft", "irfft"}
#: Words of batching, which say that matrices in the last two axes are what a primitive works on.
_MATRICES = ("leading", "broadcast")


def found(call, outputs, wrappers, since):
    """The boolean CSR array of outputs one after another, by wrappers one after another.

    Parameters
    ----------
    call : str
        What errors are about.
    outputs, wrappers : lists of Node
    since : int
        Nodes made before this serial do not depend on the wrappers.
    """
    sizes = [shapes.size(w.shape) for w in wrappers]
    width, start, patterns = sum(sizes), 0, {}
    for w, size in zip(wrappers, sizes, strict=True):
        patterns[w] = dependence.itself(size, start, width)
        start += size
    order, touched = _order(outputs, wrappers, since)
    left = dict.fromkeys(order, 0)
    for node in order:
        for x in node.inputs:
            left[x] = left.get(x, 0) + 1
    for y in outputs:
        left[y] = left.get(y, 0) + 1
    for node in order:
        own = [patterns.get(x) for x in node.inputs]
        if _passes(node) and any(p is not None for p in own):
            try:
                made = _of(node, own, touched)
            except dependence.TooDense:
                raise GradientError(
                    f"{call}: an array on the way depends on so many inputs that the derivative counts as dense "
                    f"(more than {dependence.MOST:.0e} entries); use jacfwd, jacrev or products with vectors, or give "
                    f"the pattern with pattern=\n    {describe(node, node.primitive.name)}"
                ) from None
            if made is not None and made.nnz:
                patterns[node] = made
        for x in node.inputs:
            left[x] -= 1
            if not left[x]:
                patterns.pop(x, None)
    parts = [patterns.get(y) for y in outputs]
    parts = [dependence.nothing(shapes.size(y.shape), width) if p is None else p
             for p, y in zip(parts, outputs, strict=True)]  # fmt: skip
    if len(parts) == 1:
        return parts[0]
    from scipy import sparse

    return sparse.csr_array(sparse.vstack(parts, format="csr"))


def key(outputs, wrappers, since):
    """What the pattern depends on: the structure of the graph, and the values that known indices are made from."""
    structure, _ = graph.signature([*wrappers, *outputs], since)
    order, touched = _order(outputs, wrappers, since)
    known = dict.fromkeys(at for at in map(_index, order) if at is not None and at not in touched)
    digests, of_leaves = [], {}
    for at in known:
        for leaf in graph.signature([at])[1]:
            if leaf not in of_leaves:
                value = numpy.ascontiguousarray(devices.on_host(leaf.value))
                of_leaves[leaf] = hashlib.blake2b(value.tobytes(), digest_size=16).digest()
            digests.append(of_leaves[leaf])
    return structure, tuple(digests)


def _order(outputs, wrappers, since):
    """(nodes behind the wrappers, inputs before users; those that depend on a wrapper)."""
    touched = set(wrappers)
    order = []
    for node in graph.topological(outputs, stop=lambda n: n in touched or n.serial < since):
        if node not in touched and node.serial >= since and any(x in touched for x in node.inputs):
            touched.add(node)
            order.append(node)
    return order, touched


def _passes(node):
    """Whether derivatives pass a node."""
    return dtypes.is_inexact(node.dtype) and node.primitive.differentiable


def _index(node):
    """The indices that a node gathers or scatters by."""
    return node.inputs[1] if node.primitive.kind in ("gather", "scatter") else None


# ---------------------------------------------------------------- rules


def _of(node, own, touched):
    """The matrix of a node, from those of its inputs (None where an input depends on nothing)."""
    primitive, name = node.primitive, node.primitive.name
    if primitive.kind in ("elementwise", "cast") or name in _EACH or primitive in _called():
        return _elementwise(node, own)
    if primitive.kind == "reduction":
        return reduced(own[0], node.inputs[0].shape, dict(node.attrs)["axes"])
    if name == "reshape":
        return own[0]
    if primitive.kind in ("gather", "scatter"):
        i = _index(node)
        at = None if i in touched else peek(i)
        if name == "take":
            return _taken(node, own) if at is None else _moved(node, own, at)
        if name == "put" and at is not None:
            return _moved(node, own, at)
        if name in ("put", "scatter_add"):
            return union([own[0], None if own[2] is None else _scattered(node, own[2], at)])
    if primitive.kind in ("view", "update"):
        return _added(node, own) if name == "add_slices" else _moved(node, own)
    rule = _RULES.get(name)
    if rule is not None:
        return rule(node, own)
    if name in _LAST:
        return _lanes(node, own, (len(node.shape) - 1,))
    if primitive.batching == "axis":
        return _lanes(node, own, (dict(node.attrs)["axis"],))
    if primitive.batching == "axes":
        return _lanes(node, own, dict(node.attrs)["axes"])
    if primitive.batching in _MATRICES and primitive.kind == "array":
        return _matrices(node, own)
    return _everything(node, own)


def _called():
    from nbgrad.kernels._called import PRIMITIVES

    return PRIMITIVES


def _elementwise(node, own):
    if node.primitive.name == "multiply" and any(_is_zero(x) for x in node.inputs):
        return None
    return union(None if p is None else spread(p, x.shape, node.shape) for p, x in zip(own, node.inputs, strict=True))


def _is_zero(node):
    """Whether a node is a structural zero, possibly in another shape."""
    while node.primitive is not None and node.primitive.kind in ("view", "cast"):
        (node,) = node.inputs
    return graph.is_constant(node, 0)


def _moved(node, own, index=None):
    """What takes elements of its operands to other places: the reference says from where."""
    start, given, stack = 1, [], []
    for k, (x, p) in enumerate(zip(node.inputs, own, strict=True)):
        if index is not None and k == 1:
            given.append(index)
        elif p is None:
            given.append(numpy.zeros(x.shape, numpy.int64))
        else:
            given.append(numbers(x.shape) + start)
            start += p.shape[0]
            stack.append(p)
    places = node.primitive.reference(*given, **dict(node.attrs)) - 1
    if len(stack) == 1:
        return rows(stack[0], places)
    from scipy import sparse

    return rows(sparse.vstack(stack, format="csr"), places)


def _added(node, own):
    """Parts that are added to what is there."""
    from nbgrad.kernels.shape import as_index

    parts = [own[0]]
    for p, x, spec in zip(own[1:], node.inputs[1:], dict(node.attrs)["specs"], strict=True):
        if p is not None:
            places = numpy.full(node.shape, -1)
            places[as_index(spec)] = numbers(x.shape)
            parts.append(rows(p, places))
    return union(parts)


def _taken(node, own):
    """By indices that nobody knows: each element is any along the axis."""
    x, i = node.inputs
    axis = dict(node.attrs)["axis"]
    any_of = reduced(own[0], x.shape, (axis,))
    places = numbers((*x.shape[:axis], *(1,) * len(i.shape), *x.shape[axis + 1 :]))
    return rows(any_of, numpy.broadcast_to(places, node.shape))


def _scattered(node, p, index):
    """What is written at indices, which may be unknown: then each element goes to all places along the axis."""
    _, i, v = node.inputs
    axis = dict(node.attrs)["axis"]
    if index is not None:
        return dependence.gathered(p, numpy.take(numbers(node.shape), index, axis=axis), shapes.size(node.shape))
    any_of = reduced(p, v.shape, tuple(range(axis, axis + len(i.shape))))
    places = numbers((*node.shape[:axis], 1, *node.shape[axis + 1 :]))
    return rows(any_of, numpy.broadcast_to(places, node.shape))


def _running(node, own):
    """What is carried along an axis: all elements up to and with each."""
    axis = dict(node.attrs)["axis"]
    return window(union(own), node.shape, axis, node.shape[axis])


def _autoregression(node, own):
    coefficients, x = own
    everywhere = None if coefficients is None else _all_of(coefficients, node.inputs[0].shape, node.shape)
    axis = dict(node.attrs)["axis"]
    return union([everywhere, None if x is None else window(x, node.shape, axis, node.shape[axis])])


def _matmul(node, own):
    parts = []
    for p, x, axis in zip(own, node.inputs, (-1, -2), strict=True):
        if p is not None:
            axis += len(x.shape)
            parts.append(spread(reduced(p, x.shape, (axis,)), shapes.kept(x.shape, (axis,)), node.shape))
    return union(parts)


def _convolve(node, own):
    """Each element is of as many neighbours as the other operand is long."""
    parts = []
    for p, x, other in zip(own, node.inputs, reversed(node.inputs), strict=True):
        if p is not None:
            places = numpy.full(node.shape, -1)
            places[: x.shape[0]] = numbers(x.shape)
            parts.append(window(rows(p, places), node.shape, 0, other.shape[0]))
    return union(parts)


def _lanes(node, own, axes):
    """What mixes whole lanes along some axes, and nothing else."""
    parts = []
    for p, x in zip(own, node.inputs, strict=True):
        if p is not None:
            kept = shapes.kept(x.shape, axes)
            if len(kept) != len(node.shape) or shapes.broadcast([kept, node.shape]) != node.shape:
                return _everything(node, own)
            parts.append(spread(reduced(p, x.shape, axes), kept, node.shape))
    return union(parts)


def _matrices(node, own):
    """What mixes whole matrices in the last two axes; axes before these are a stack of them."""
    leads = [x.shape[:-2] for x in node.inputs]
    lead = shapes.broadcast(leads)
    if lead is None or node.shape[: len(lead)] != lead:
        return _everything(node, own)
    parts = []
    for p, x, stack in zip(own, node.inputs, leads, strict=True):
        if p is not None:
            each = reduced(p, x.shape, tuple(range(len(stack), len(x.shape))))
            places = numpy.broadcast_to(numbers(stack), lead)
            places = places.reshape(lead + (1,) * (len(node.shape) - len(lead)))
            parts.append(rows(each, numpy.broadcast_to(places, node.shape)))
    return union(parts)


def _all_of(p, shape, wide):
    """Every element of an array of shape `wide` depends on all of one of `shape`."""
    return rows(reduced(p, shape, tuple(range(len(shape)))), numpy.zeros(wide, numpy.int64))


def _everything(node, own):
    """Nothing is known of a primitive: all depends on all."""
    return union(None if p is None else _all_of(p, x.shape, node.shape) for p, x in zip(own, node.inputs, strict=True))


_RULES = {
    "cumsum": _running,
    "cumprod": _running,
    "recurrence": _running,
    "autoregression": _autoregression,
    "matmul": _matmul,
    "convolve": _convolve,
}
