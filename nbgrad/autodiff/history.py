"""History: what was dropped when a value was read, and what can be brought back."""

from nbgrad import dtypes, graph
from nbgrad.errors import HistoryError, describe

#: Transforms whose results are computed at once.
COMPUTED_AT_ONCE = ("grad", "value_and_grad", "jvp", "vjp", "jacobian")


def restore(outputs, stops=()):
    """Bring back the graph behind results of `grad` that were computed at once from Parameters."""
    stops = set(stops)
    waiting = True
    while waiting:
        waiting = [n for n in graph.topological(outputs, stop=lambda n: n in stops) if n.info and "deferred" in n.info]
        for node in waiting:
            expand, index = node.info.pop("deferred")
            from nbgrad.kernels.casting import identity

            node.inputs, node.primitive = (expand()[index],), identity


def check_history(call, outputs, sources, found, stops=()):
    """HistoryError if the path to a source may lead through a node whose inputs were dropped when it was read.

    A dropped node remembers the leaves it was made from, or, where they were many, the age of the oldest.
    """
    stops, lost = set(stops), []
    for node in graph.topological(outputs, stop=lambda n: n in stops or not _carries(n)):
        if node not in stops and node.primitive is None and node.info and "forgotten" in node.info and _carries(node):
            lost.append(node)
    if not lost:
        return
    for x, g in zip(sources, found, strict=True):
        if not dtypes.is_inexact(x.dtype):
            continue
        for node in lost:
            if node is not x and node.serial > x.serial and _may_depend(node, x):
                raise HistoryError(_explained(call, node, x, g is not None))


def _explained(call, node, x, partly):
    name, kept = node.fact("forgotten"), "; only what descends from a Parameter keeps its history"
    if name in COMPUTED_AT_ONCE:
        what, label = (
            f"an array between y and x is the result of {name}, which was computed at once",
            f"result of {name}",
        )
        cure = f"Use nbgrad.grad on a function that contains the inner {name}, or make x an nbgrad.Parameter"
    elif name == "jit":
        what = "an array between y and x is the result of a jitted function, which leaves no graph"
        label, kept = "result of jit", ""
        cure = f"Call {call} inside the jitted function, or differentiate without jit; stop_gradient makes it constant"
    else:
        what, label = (
            "the value of an array between y and x was read (printed, converted, realized) before",
            f"read ({name})",
        )
        cure = f"Make x an nbgrad.Parameter, call {call} before reading values, or use nbgrad.grad on a function"
    return (
        f"{call}: {what}, and {'a part of ' if partly else ''}the path to x was dropped with it{kept}.\n"
        f"    {describe(node, label)}\n    {describe(x, 'x')}\n{cure}."
    )


def _carries(node):
    """Whether a cotangent can pass a node, or could before its inputs were dropped."""
    if not dtypes.is_inexact(node.dtype):
        return False
    if node.primitive is not None:
        return node.primitive.differentiable
    name = node.fact("forgotten")
    if name is not None:
        from nbgrad.primitive import primitives

        primitive = primitives().get(name)
        return primitive is None or primitive.differentiable
    return True


def _may_depend(node, x):
    if any(p is x.fact("owner") for p in node.fact("owners") or ()):
        return True
    origins, oldest = node.fact("origins") or (None, 0)
    if origins is not None and x.primitive is None and x.fact("forgotten") is None:
        return x.serial in origins
    return oldest <= x.serial
