"""Pad: what is embedded in zeros is made among them.

before: ``embed(g, at 1) - embed(g, at 0)``, two arrays written and added to    after: slices of one ``embed(g)``

The cotangent of a slice is the slice's cotangent among zeros.  Where that is not much more than the cotangent
itself, `fuse` gives the cotangent memory with room around it, so that nothing is copied, and further embeddings
of it are parts of the same memory.  Their sum is then elementwise, and fuses with what is before and behind it.
"""

from nbgrad import graph, shapes
from nbgrad.compile.fuse import MOST_OPERANDS, is_elementwise
from nbgrad.graph import Node

#: Elements from which it pays, and the most zeros for each element.
LEAST, MOST_ZEROS = 64, 1.0


def padded(outputs, order):
    """`outputs` in a graph that computes the same; they depend on the nodes in `order`."""
    rooms = _rooms(order, set(outputs))
    if not rooms:
        return outputs
    work = _Padding(rooms)
    for node in order:
        work.visit(node)
    return [work.fresh[n] for n in outputs]


def inside(order, outputs):
    """What is made among zeros -> its embedding, for nodes in topological order."""
    outputs = set(outputs)
    found = {}
    for node in order:
        if node not in outputs and node.primitive is not None and node.primitive.name == "embed":
            ((x, spec),) = _embedded(node)
            if _worth(x, outputs) and _near(x, spec, node.shape):
                found[x] = node
    return found


def _embedded(node):
    """Of an embedding or a sum of them the (part, spec) pairs."""
    if node.primitive is None:
        return ()
    if node.primitive.name == "embed":
        return ((node.inputs[0], dict(node.attrs)["spec"]),)
    if node.primitive.name == "add_slices" and len(node.inputs) <= MOST_OPERANDS:
        return tuple(zip(node.inputs[1:], dict(node.attrs)["specs"], strict=True))
    return ()


def _worth(x, outputs):
    return x.dtype.kind == "f" and is_elementwise(x) and x not in outputs and shapes.size(x.shape) >= LEAST


def _near(x, spec, shape):
    """Whether places lie one beside the other, with few zeros around."""
    adjacent = all(step == 1 or count <= 1 for _, step, count in spec)
    return adjacent and shapes.size(shape) <= (1 + MOST_ZEROS) * shapes.size(x.shape)


def _rooms(order, outputs):
    """What is embedded -> zeros (before, behind) it along each axis, enough for all its embeddings."""
    found = {}
    for node in order:
        for x, spec in _embedded(node):
            if _worth(x, outputs) and _near(x, spec, node.shape):
                around = [(start, n - start - count) for (start, _, count), n in zip(spec, node.shape, strict=True)]
                before = found.get(x, [(0, 0)] * len(x.shape))
                found[x] = [(max(a, c), max(b, d)) for (a, b), (c, d) in zip(before, around, strict=True)]

    def whole(x):
        return [before + n + behind for n, (before, behind) in zip(x.shape, found[x], strict=True)]

    most = 1 + MOST_ZEROS
    return {x: found[x] for x in found if shapes.size(whole(x)) <= most * shapes.size(x.shape)}


class _Padding:
    def __init__(self, rooms):
        self.rooms, self.fresh, self.wholes = rooms, {}, {}

    def visit(self, node):
        """Rebuild a node whose inputs are rebuilt."""
        parts = _embedded(node)
        if any(x in self.rooms and _near(x, spec, node.shape) for x, spec in parts):
            self.fresh[node] = self._sum(node, parts)
        else:
            self.fresh[node] = graph.rebuilt(node, self.fresh)

    def _sum(self, node, parts):
        from nbgrad.kernels.arithmetic import add
        from nbgrad.kernels.shape import add_n, add_slices

        here = [(x, spec) for x, spec in parts if x in self.rooms and _near(x, spec, node.shape)]
        terms = [self._part(x, spec, node.shape) for x, spec in here]
        if node.primitive.name == "embed":
            return terms[0]
        base = self.fresh[node.inputs[0]]
        if not graph.is_constant(base, 0):
            terms.insert(0, base)
        if len(terms) > 1:
            total = Node(add if len(terms) == 2 else add_n, tuple(terms), (), node.shape, node.dtype)
        else:
            total = terms[0]
        rest = [(x, spec) for x, spec in parts if (x, spec) not in here]
        if not rest:
            return total
        attrs = (("specs", tuple([spec for _, spec in rest])),)
        return Node(add_slices, (total, *(self.fresh[x] for x, _ in rest)), attrs, node.shape, node.dtype)

    def _part(self, x, spec, shape):
        """The slice of the embedded `x` that is its embedding in `shape`."""
        from nbgrad.kernels.shape import embed, slice_

        around = self.rooms[x]
        if not any(map(any, around)):
            return self.fresh[x]
        whole = self.wholes.get(x)
        if whole is None:
            full = tuple([a + n + b for n, (a, b) in zip(x.shape, around, strict=True)])
            middle = tuple([(a, 1, n) for n, (a, _) in zip(x.shape, around, strict=True)])
            whole = Node(embed, (self.fresh[x],), (("shape", full), ("spec", middle)), full, x.dtype)
            self.wholes[x] = whole
        if whole.shape == shape:
            return whole
        cut = tuple([(a - start, 1, n) for (a, _), (start, _, _), n in zip(around, spec, shape, strict=True)])
        return Node(slice_, (whole,), (("spec", cut),), shape, x.dtype)
