"""The reverse sweep: order, multiply by VJP rules, accumulate, undo broadcasting."""

from nbgrad import conversions, dtypes, graph, shapes
from nbgrad.config import config
from nbgrad.errors import MissingRuleError, describe
from nbgrad.primitive import Missing

#: How cotangents that meet in one node are summed.
ADD_N, TREE, ACCUMULATE = 0, 1, 2


def sweep(outputs, seeds, inputs, *, stops=(), aggregation=ADD_N, colocate=False, apart=False):
    """Cotangents of `inputs`, a list with None where nothing differentiable connects them to `outputs`.

    Parameters
    ----------
    outputs, seeds : lists of Node
        Seeds have the shape and dtype of their outputs.
    inputs : list of Node
    stops : collection of Node
        Constants for this sweep: nothing behind them is reached through them.
    aggregation : {ADD_N, TREE, ACCUMULATE}
    colocate : bool
        Put each gradient on the device of its forward node instead of leaving it unplaced.
    apart : bool
        In place of each cotangent of an input that is among `stops` return the list of those that it is the sum of.
    """
    wanted = set(inputs)
    order = _between(outputs, wanted, frozenset(stops))
    cotangents = {}
    for y, seed in zip(outputs, seeds, strict=True):
        if dtypes.is_inexact(y.dtype):
            cotangents.setdefault(y, []).append(seed)
    result, calls = {}, None
    previous_static, graph.state.static = graph.state.static, True
    previous_device = graph.state.device
    watch = None
    if graph.state.watched or config._check_values:
        from nbgrad.debug.origins import Watch

        watch = Watch()
    try:
        for node in reversed(order):
            if watch is not None:
                watch.at(node)
            parts = cotangents.pop(node, None)
            if parts is None:
                continue
            if apart and node in stops:
                result[node] = parts
                continue
            total = accumulate(parts, aggregation)
            if node in wanted:
                result[node] = total
            if node.primitive is None or node in stops:
                continue
            if colocate:
                graph.state.device = node.fact("device") or "cpu"
            if node.primitive.kind in graph.CALLS:
                if calls is None:
                    calls = graph.calls_in(order)
                pulled = _by_rule(node, total, calls[node], cotangents, wanted, result, order, aggregation)
                for x, parts in zip(node.inputs, pulled, strict=True):
                    if parts:
                        cotangents.setdefault(x, []).extend(parts)
                continue
            for x, cotangent in zip(node.inputs, pull(node, total, order), strict=True):
                if cotangent is not None and x in order:
                    cotangents.setdefault(x, []).append(cotangent)
    finally:
        graph.state.static = previous_static
        graph.state.device = previous_device
    if watch is not None:
        watch.note(result.values())
    return [result.get(x) for x in inputs]


def _by_rule(node, total, call, cotangents, wanted, result, order, aggregation):
    """Lists of cotangents of the inputs of several results of one call, all of whose users have been visited."""
    totals = {node: total}
    for other in call:
        parts = cotangents.pop(other, None)
        if parts is not None:
            totals[other] = accumulate(parts, aggregation)
            if other in wanted:
                result[other] = totals[other]
    return asked(node, {dict(n.attrs)["index"]: c for n, c in totals.items()}, order)


def asked(node, cotangents, needed):
    """What the rule of a node makes of cotangents of its results, by their indices: a list of nodes for each input."""
    with conversions.tracing():  # transforms that a rule calls build graphs, even in a sweep for results at once
        found = dict(node.attrs)["rule"].pull(cotangents, node.inputs, needed)
    lists = [c if isinstance(c, list) else [] if c is None else [c] for c in found]
    return [[_fit(c, x) for c in cs] if x in needed else [] for cs, x in zip(lists, node.inputs, strict=True)]


def _between(outputs, wanted, stops):
    """Nodes on differentiable paths from `wanted` to `outputs`, inputs before users, as an ordered dict."""
    reached = {}
    for node in graph.topological(outputs, stop=lambda n: not _differentiable(n)):
        connected = node in wanted and dtypes.is_inexact(node.dtype)
        if not connected and _differentiable(node) and node not in stops:
            connected = any(i in reached for i in node.inputs)
        if connected:
            reached[node] = None
    return reached


def _differentiable(node):
    return dtypes.is_inexact(node.dtype) and (node.primitive is None or node.primitive.differentiable)


def accumulate(parts, aggregation=ADD_N):
    """One cotangent from those that met in a node.

    ADD_N is one n-ary sum; TREE adds pairs of pairs; ACCUMULATE adds one after another into the first.
    """
    if len(parts) == 1:
        return parts[0]
    from nbgrad.kernels.arithmetic import add
    from nbgrad.kernels.shape import add_n

    parts = [graph.Array(p) for p in parts]
    if aggregation == ADD_N:
        return graph.elementwise(add if len(parts) == 2 else add_n, parts)._node
    if aggregation == TREE:
        while len(parts) > 1:
            parts = [add(*parts[i : i + 2]) if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
        return parts[0]._node
    total = parts[0]
    for p in parts[1:]:
        total = add(total, p)
    return total._node


def pull(node, cotangent, needed=None):
    """One cotangent (or None) for each input of `node`, in its input's shape and dtype."""
    primitive = node.primitive
    array = graph.Array
    if primitive.rule is None:
        if not primitive.differentiable:
            return (None,) * len(node.inputs)
        if primitive.kind == "elementwise" and primitive.kernel is not None:
            from nbgrad.autodiff.rules import traced

            return _fitted(traced(node, cotangent), node, needed)
        raise MissingRuleError(
            f"grad of {primitive.name}: no VJP for it. Declare one beside the kernel with @{primitive.name}.vjp, "
            f"or cut the path with ng.stop_gradient(x).\n    {describe(node, 'y')}"
        )
    rule, reads, residual = primitive.rule, primitive.reads, array
    if node.dtype.kind == "c" or any(x.dtype.kind == "c" for x in node.inputs):
        if primitive.complex_rule is None:
            residual = conjugated  # the adjoint of multiplying by f'(z) is to multiply by its conjugate
        else:
            rule, reads = primitive.complex_rule, primitive.complex_reads
    arguments = []
    attrs = dict(node.attrs) if node.attrs else {}
    for name in reads:
        if name == "g":
            arguments.append(array(cotangent))
        elif name == "y":
            arguments.append(residual(node if node.info is None else node.fact("kept") or node))
        elif name == "xs":
            arguments.append(tuple(residual(i) for i in node.inputs))
        else:
            place = primitive.place(name)
            arguments.append(attrs[name] if place is None else residual(node.inputs[place]))
    pulled = rule(*arguments)
    if not isinstance(pulled, tuple):
        pulled = (pulled,)
    if primitive.kind == "effect":
        pulled += (None,) * (len(node.inputs) - len(pulled))  # that another is done has no derivative
    if len(pulled) != len(node.inputs):
        raise MissingRuleError(
            f"grad of {primitive.name}: its VJP returned {len(pulled)} cotangents for {len(node.inputs)} "
            "inputs; return one each, None for none"
        )
    return _fitted(pulled, node, needed)


def conjugated(node):
    """The conjugate of a node; of a real one the node."""
    if node.dtype.kind != "c":
        return graph.Array(node)
    from nbgrad.kernels.complex import conjugate

    return conjugate(graph.Array(node))


def known(primitive, pulled, inputs, needed):
    """The cotangents that a rule returned; MissingRuleError if one is needed that is `Missing`."""
    made = []
    for c, x in zip(pulled, inputs, strict=True):
        if isinstance(c, Missing):
            if needed is None or x in needed:
                raise MissingRuleError(f"grad of {primitive.name}: {c.reason}\n    {describe(x, 'input')}")
            c = None
        made.append(c)
    return made


def _fitted(pulled, node, needed):
    pulled = known(node.primitive, pulled, node.inputs, needed)
    return [_fit(c, x) if c is not None and (needed is None or x in needed) else None
            for c, x in zip(pulled, node.inputs, strict=True)]  # fmt: skip


def _fit(cotangent, x):
    """The cotangent with broadcasting undone and in the dtype of `x`."""
    node = cotangent._node
    if node.shape != x.shape:
        from nbgrad.kernels.shape import broadcast_to, sum_to

        if shapes.broadcast([node.shape, x.shape]) == x.shape:  # a rule may return a scalar zero
            node = broadcast_to(cotangent, shape=x.shape)._node
        else:
            node = sum_to(cotangent, x.shape)._node
    return node if node.dtype == x.dtype else graph.cast(node, x.dtype)


def ones(node):
    """The implicit seed of an output."""
    return graph.constant(1, node.dtype, node.shape)


def zeros(node):
    """The cotangent of an input that nothing depends on."""
    return graph.constant(0, node.dtype, node.shape)
