"""Unroll: arrays with a small last axis become one array for each of its places.

before: ``d`` of shape (n, n, 3); ``r = sum(d * d, axis=2)``
after:  ``d0``, ``d1``, ``d2`` of shape (n, n); ``r = d0 * d0 + d1 * d1 + d2 * d2``

A loop over three elements is no loop: what it costs to enter is more than what it does, and nothing of it
vectorises.  Unrolled, such a sum is elementwise, and fuses with what is before and behind it.  Connected
arrays of this kind are unrolled together, and only where something collapses the axis, stretches it or
takes it apart; elementwise work on whole arrays is better off as it was.
"""

from nbgrad import graph, shapes
from nbgrad.compile.simplify import made

#: Largest extent that is unrolled.
SMALL = 4
#: Elements before the last axis from which it pays.
LEAST = 64

#: Elementwise primitives that do between two places what a reduction does along the axis.
_JOIN = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}


def unroll(outputs, order):
    """`outputs` in a graph that computes the same; they depend on the nodes in `order`."""
    regions = _regions(order)
    if not regions:
        return outputs
    work = _Unrolling(regions)
    for node in order:
        work.visit(node)
    return [work.whole(n) for n in outputs]


def _regions(order):
    """The nodes to unroll."""
    leader, collapsing = {}, set()

    def find(n):
        while leader[n] is not n:
            leader[n] = leader[leader[n]]
            n = leader[n]
        return n

    marks = []
    for node in order:
        if _unrollable(node):
            leader[node] = node
            for x in node.inputs:
                if x in leader:
                    leader[find(x)] = node
            if _stretches(node):
                marks.append(node)
        elif node.primitive is not None and node.primitive.name in _JOIN:
            (x,) = node.inputs
            if x in leader and len(x.shape) - 1 in dict(node.attrs)["axes"]:
                marks.append(x)
    collapsing = {find(n) for n in marks}
    return {n for n in leader if find(n) in collapsing}


def _unrollable(node):
    """Whether the places of a node along its last axis can be computed one by one."""
    shape, primitive = node.shape, node.primitive
    if (
        primitive is None
        or primitive.kind == "constant"
        or len(shape) < 2
        or not 1 <= shape[-1] <= SMALL
        or shapes.size(shape[:-1]) < LEAST
    ):
        return False
    name, last = primitive.name, len(shape) - 1
    if primitive.kind in ("elementwise", "cast") or name == "broadcast_to":
        return True
    attrs = dict(node.attrs)
    if primitive.kind == "reduction":
        return name in _JOIN and len(node.inputs[0].shape) - 1 not in attrs["axes"]
    if name == "reshape":
        below = node.inputs[0].shape
        return shape[-1] == 1 or bool(below and below[-1] == shape[-1])
    if name == "transpose":
        return attrs["axes"][-1] == last
    if name == "slice_":
        return node.inputs[0].shape[-1] <= SMALL
    if name == "concatenate":
        return attrs["axis"] == last
    if name == "embed":
        return _whole_but_last(attrs["spec"], shape)
    if name == "add_slices":
        return all(_whole_but_last(spec, shape) for spec in attrs["specs"])
    return False


def _whole_but_last(spec, shape):
    return all(triple == (0, 1, n) for triple, n in zip(spec[:-1], shape[:-1], strict=True))


def _stretches(node):
    """Whether the last axis comes from nothing here, or is taken apart or put together."""
    name, n = node.primitive.name, node.shape[-1]
    if name in ("concatenate", "embed"):
        return True
    if name == "slice_":
        return node.inputs[0].shape[-1] != n
    if n == 1 or not (name == "broadcast_to" or node.primitive.kind == "elementwise"):
        return False
    return any(
        x.primitive is not None and not graph.is_constant(x) and len(x.shape) > 1 and x.shape[-1] == 1
        for x in node.inputs
    )  # fmt: skip


class _Unrolling:
    def __init__(self, regions):
        self.regions, self.table, self.wholes, self.places = regions, {}, {}, {}

    def make(self, name, inputs, attrs, shape, dtype):
        """A node, or an equal or simpler one."""
        from nbgrad.primitive import _registry

        primitive = _registry[name] if isinstance(name, str) else name
        return made(primitive, tuple(inputs), attrs, shape, dtype, self.table)

    def visit(self, node):
        """Rebuild a node whose inputs are rebuilt."""
        if node in self.regions:
            self.places[node] = getattr(self, "_" + node.primitive.name, self._elementwise)(node, dict(node.attrs))
        elif node.primitive is None:
            self.wholes[node] = node
        elif node.primitive.name in _JOIN and node.inputs[0] in self.regions:
            self.wholes[node] = self._collapsed(node)
        else:
            self.wholes[node] = self.make(
                node.primitive, [self.whole(x) for x in node.inputs], node.attrs, node.shape, node.dtype
            )

    def whole(self, node):
        """The node with all its places in one array."""
        found = self.wholes.get(node)
        if found is None:
            columns = [self._reshaped(p, (*p.shape, 1)) for p in self.places[node]]
            attrs = (("axis", len(node.shape) - 1),)
            found = (
                columns[0] if len(columns) == 1 else self.make("concatenate", columns, attrs, node.shape, node.dtype)
            )
            self.wholes[node] = found
        return found

    def parts(self, node):
        """The places of any node along its last axis."""
        found = self.places.get(node)
        if found is None:
            whole, shape = self.whole(node), node.shape[:-1]
            if node.shape[-1] == 1:
                found = [self._reshaped(whole, shape)]
            else:
                found = [
                    self._reshaped(self._sliced(whole, shapes.part(node.shape, len(shape), (k, 1, 1))), shape)
                    for k in range(node.shape[-1])
                ]
            self.places[node] = found
        return found

    def _reshaped(self, x, shape):
        return self.make("reshape", [x], (("shape", shape),), shape, x.dtype)

    def _sliced(self, x, spec):
        return self.make("slice_", [x], (("spec", spec),), tuple(c for _, _, c in spec), x.dtype)

    def _aligned(self, x, n):
        """n operands that stand for an operand `x` of elementwise work on arrays with a last extent n."""
        if not x.shape:
            return [self.whole(x)] * n
        parts = self.parts(x)
        return parts if len(parts) == n else parts * n

    # ------------------------------------------------------------ by primitive: the places of a node

    def _elementwise(self, node, attrs):
        if node.primitive.kind == "reduction":
            return [
                self.make(node.primitive, [p], node.attrs, node.shape[:-1], node.dtype)
                for p in self.parts(node.inputs[0])
            ]
        n = node.shape[-1]
        operands = [self._aligned(x, n) for x in node.inputs]
        return [
            self.make(node.primitive, [o[k] for o in operands], node.attrs, node.shape[:-1], node.dtype)
            for k in range(n)
        ]

    def _broadcast_to(self, node, attrs):
        shape = node.shape[:-1]
        return [
            self.make("broadcast_to", [p], (("shape", shape),), shape, node.dtype)
            for p in self._aligned(node.inputs[0], node.shape[-1])
        ]

    def _reshape(self, node, attrs):
        (x,), shape = node.inputs, node.shape[:-1]
        if x.shape and x.shape[-1] == node.shape[-1] and len(x.shape) > 1:
            return [self._reshaped(p, shape) for p in self.parts(x)]
        return [self._reshaped(self.whole(x), shape)]

    def _transpose(self, node, attrs):
        axes = attrs["axes"][:-1]
        return [
            self.make("transpose", [p], (("axes", axes),), node.shape[:-1], node.dtype)
            for p in self.parts(node.inputs[0])
        ]

    def _slice_(self, node, attrs):
        *rest, (start, step, count) = attrs["spec"]
        parts = self.parts(node.inputs[0])
        return [self._sliced(parts[start + step * k], tuple(rest)) for k in range(count)]

    def _concatenate(self, node, attrs):
        return [p for x in node.inputs for p in self.parts(x)]

    def _embed(self, node, attrs):
        start, step, count = attrs["spec"][-1]
        zero = graph.constant(0, node.dtype, node.shape[:-1])
        places = [zero] * node.shape[-1]
        for k, part in zip(range(count), self.parts(node.inputs[0]), strict=True):
            places[start + step * k] = part
        return places

    def _add_slices(self, node, attrs):
        base, *added = node.inputs
        terms = [[p] for p in self.parts(base)]
        for x, spec in zip(added, attrs["specs"], strict=True):
            start, step, count = spec[-1]
            for k, part in zip(range(count), self.parts(x), strict=True):
                terms[start + step * k].append(part)
        zero = lambda p: graph.is_constant(p, 0)  # noqa: E731
        kept = [[p for p in t if not zero(p)] or t[:1] for t in terms]
        shape = node.shape[:-1]
        return [
            t[0] if len(t) == 1 else self.make("add" if len(t) == 2 else "add_n", t, (), shape, node.dtype)
            for t in kept
        ]

    def _collapsed(self, node):
        """A reduction over the last axis: joined places, then the other axes."""
        (x,) = node.inputs
        axes = dict(node.attrs)["axes"]
        parts, last = self.parts(x), len(x.shape) - 1
        if last not in axes:
            return self.make(node.primitive, [self.whole(x)], node.attrs, node.shape, node.dtype)
        name, total = _JOIN[node.primitive.name], parts[0]
        if name == "add" and len(parts) > 2:
            total = self.make("add_n", parts, (), total.shape, node.dtype)
        else:
            for part in parts[1:]:
                total = self.make(name, [total, part], (), total.shape, node.dtype)
        rest = tuple(a for a in axes if a != last)
        return self.make(node.primitive, [total], (("axes", rest),), node.shape, node.dtype)
