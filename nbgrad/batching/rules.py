"""What primitives are of operands that are stacked along a new first axis.

A primitive is declared with one of the words of `WORDS`, which serve whole families, or with a rule of its own
(`Primitive.batched`).  What declares neither is applied to one example after another.
"""

from nbgrad import effects, graph


def stacked(node, operands, mapped, size):
    """The node that does for `size` examples what `node` does for one.

    Parameters
    ----------
    node : Node
        An application to one example.
    operands : list of Node
        In place of its inputs.
    mapped : list of bool
        Which of them have all examples, along a new first axis; at least one.
    size : int
        How many there are.
    """
    primitive = node.primitive
    rule = primitive.batching or ("elementwise" if primitive.kind == "elementwise" else None)
    made = rule if rule is None or isinstance(rule, str) else rule(node, operands, mapped, size)
    if isinstance(made, str):
        made = WORDS[made](node, operands, mapped, size)
    return each(node, operands, mapped, size) if made is None else made


def applied(node, operands, **changed):
    """The primitive of a node on other operands, with some attributes changed."""
    return graph.structural(node.primitive, tuple(operands), {**dict(node.attrs), **changed})


def everywhere(x, size):
    """A node that all examples share, once for each of them."""
    return _shaped(x, (1, *x.shape), (size, *x.shape))


def _shaped(x, shape, wide=None):
    """A node reshaped, and then broadcast."""
    from nbgrad.kernels.shape import broadcast_to, reshape

    x = x if x.shape == shape else graph.structural(reshape, (x,), {"shape": shape})
    return x if wide in (None, shape) else graph.structural(broadcast_to, (x,), {"shape": wide})


def _aligned(operands, mapped, rank):
    """Operands that broadcast with each other again: the new axis in front of `rank` others."""
    return [
        _shaped(x, (x.shape[0], *(1,) * (rank + 1 - len(x.shape)), *x.shape[1:])) if many else x
        for x, many in zip(operands, mapped, strict=True)
    ]


def _all(operands, mapped, size):
    return [x if many else everywhere(x, size) for x, many in zip(operands, mapped, strict=True)]


# ---------------------------------------------------------------- families


def _elementwise(node, operands, mapped, size):
    shape = (size, *node.shape)
    if node.primitive.arity is None:  # it takes any number of arrays of one shape
        operands = _all(operands, mapped, size)
    else:
        operands = _aligned(operands, mapped, len(node.shape))
    return graph.applied(node.primitive, tuple(operands), node.attrs, shape, node.dtype)


def _broadcast(node, operands, mapped, size):
    return applied(node, _aligned(operands, mapped, len(node.shape)))


def _leading(node, operands, mapped, size):
    return applied(node, operands) if len(operands) == 1 else applied(node, _all(operands, mapped, size))


def _axis(node, operands, mapped, size):
    return applied(node, _all(operands, mapped, size), axis=dict(node.attrs)["axis"] + 1)


def _axes(node, operands, mapped, size):
    return applied(node, operands, axes=tuple(a + 1 for a in dict(node.attrs)["axes"]))


#: Words for `batch=` of a declaration, and what they say of a primitive.
WORDS = {
    "elementwise": _elementwise,  # operands broadcast
    "broadcast": _broadcast,  # operands broadcast, in all axes or, with matrices in the last two, in those before
    "leading": _leading,  # it treats leading axes as a stack, of the same shape for all operands
    "axis": _axis,  # it works along the attribute `axis`
    "axes": _axes,  # or along those in `axes`
}


# ---------------------------------------------------------------- without a rule


def each(node, operands, mapped, size):
    """A loop over the examples, each of which goes its own way: right for every primitive."""
    from nbgrad.control.body import Body, placeholder
    from nbgrad.control.loop import Loop

    one = [
        placeholder("vmap", x.shape[1:] if m else x.shape, x.dtype, x) for x, m in zip(operands, mapped, strict=True)
    ]
    attrs, at = dict(node.attrs), 0
    outputs = [applied(node, one)]
    if node.primitive.kind in graph.CALLS:  # its other results are made with this one
        at = attrs["index"]
        outputs = [attrs["rule"].output(one, i) for i in range(attrs["rule"].count)]
    order = sorted(range(len(one)), key=lambda k: mapped[k])
    many = sum(mapped)
    over = Loop(Body([one[k] for k in order], outputs), len(one) - many, 0, many, size, False)
    return over.output([operands[k] for k in order], at)


# ---------------------------------------------------------------- whole graphs


def of_graph(outputs, placeholders, operands, size):
    """(nodes, which of them are stacked): a graph of one example as one of many.

    Parameters
    ----------
    outputs : list of Node
        Of the function of one example.
    placeholders : list of Node
        What it was traced on, one for each of `operands`, which have all examples along a new first axis.
    """
    fresh = dict(zip(placeholders, operands, strict=True))
    if not placeholders:
        return list(outputs), [False] * len(outputs)
    start = placeholders[0].serial
    previous = graph.state.scope, graph.state.device, graph.state.sites
    graph.state.sites = False
    try:
        wanted = [*outputs, *effects.pending()]
        for node in graph.topological(wanted, stop=lambda n: n.serial < start or n in fresh):
            if node in fresh or node.serial < start or node.primitive is None or not node.inputs:
                continue
            mapped = [x in fresh for x in node.inputs]
            if not any(mapped):
                continue
            graph.state.scope, graph.state.device = node.fact("scope") or "", node.fact("device")
            made = stacked(node, [fresh.get(x, x) for x in node.inputs], mapped, size)
            made.site = node.site
            if node.info and "derivative_of" in node.info:
                made.note(derivative_of=node.info["derivative_of"])
            fresh[node] = made
        graph.state.effect = fresh.get(graph.state.effect, graph.state.effect)
    finally:
        graph.state.scope, graph.state.device, graph.state.sites = previous
    return [fresh.get(n, n) for n in outputs], [n in fresh for n in outputs]
