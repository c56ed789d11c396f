"""gradients: differentiate a graph that exists (graph in, graph out)."""

import re

import numpy

from nbgrad import devices, effects, graph
from nbgrad.array import Array, Parameter, placed
from nbgrad.autodiff import backward
from nbgrad.autodiff.arguments import flag, seed
from nbgrad.autodiff.history import check_history, restore
from nbgrad.errors import ArgumentError, GradientError, describe

_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_names_used = {}


class AggregationMethod:
    """How cotangents that meet in one array are summed; the values agree up to rounding.

    ========================= =====================================================================
    ADD_N, DEFAULT            one n-ary sum
    EXPERIMENTAL_TREE         pairs, then pairs of pairs: the error grows with the logarithm of n
    EXPERIMENTAL_ACCUMULATE_N one after another into a running sum: two buffers, however many terms
    ========================= =====================================================================

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.AggregationMethod.DEFAULT == ng.AggregationMethod.ADD_N
    True
    """

    ADD_N = DEFAULT = backward.ADD_N
    EXPERIMENTAL_TREE = backward.TREE
    EXPERIMENTAL_ACCUMULATE_N = backward.ACCUMULATE


class UnconnectedGradients:
    """What `gradients` returns for an x that no differentiable path connects to the ys.

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.UnconnectedGradients.NONE, ng.UnconnectedGradients.ZERO
    ('none', 'zero')
    """

    NONE = "none"
    ZERO = "zero"


def gradients(
    ys,
    xs,
    grad_ys=None,
    name="gradients",
    colocate_gradients_with_ops=False,
    gate_gradients=False,
    aggregation_method=None,
    stop_gradients=None,
    unconnected_gradients="none",
):
    """The derivatives of the sum of `ys` with respect to each of `xs`, as new lazy Arrays.

    Entry i is the sum, over all ys and all their elements, of seed * dy / dxs[i]: a total derivative, so an
    intermediate among the xs does not cut the path to what lies behind it.

    Parameters
    ----------
    ys : Array or sequence of Array
        What is differentiated; a y that is listed twice counts twice.  Integers and booleans add nothing.
    xs : Array or sequence of Array
        Any arrays of the graph: leaves, intermediates, or a y itself.
    grad_ys : array_like, sequence of (array_like or None), optional
        One seed for each y, of its shape and dtype; None means ones.  The result is differentiable with
        respect to the seeds.
    name : str or None
        Scope of the new arrays, shown by `Array.name`: ``gradients/...``, ``gradients_1/...`` for the next
        call, nested inside an enclosing call's scope.  None means ``"gradients"``, ``""`` adds no scope.
    colocate_gradients_with_ops : bool
        Put the gradient of each operation on the device of that operation; otherwise it is left unplaced.
    gate_gradients : bool
        Tie the returned gradients together: reading one computes all of them in one run.
    aggregation_method : {None, 0, 1, 2}
        A constant of `AggregationMethod`.
    stop_gradients : Array or sequence of Array, optional
        Constants for this call only: nothing behind them is reached through them.  They still receive
        their own gradient where they are listed in `xs`.
    unconnected_gradients : {"none", "zero"}
        What stands for an x that no differentiable path connects to the ys.

    Returns
    -------
    list of (Array or None)
        One entry for each x, with its shape and dtype.

    Raises
    ------
    ArgumentError, DtypeError
        Both TypeErrors: ys, xs or stop_gradients that are not Arrays; seeds of another dtype.
    GradientError, ShapeError
        Both ValueErrors: no ys, as many seeds as there are not ys, seeds of another shape, unknown options.
    HistoryError
        The path from y to x was dropped because a value on it was read before; Parameters keep theirs.

    Examples
    --------
    >>> import nbgrad as ng
    >>> x = ng.asarray([1.0, 2.0])
    >>> y = x * x * x
    >>> (g,) = ng.gradients(y, x)
    >>> g
    Array([ 3., 12.], shape=(2,), dtype=float64, device=cpu)
    >>> ng.gradients(x * 2, [x, y], unconnected_gradients="zero")[1]
    Array([0., 0.], shape=(2,), dtype=float64, device=cpu)
    """
    outputs, sources = _nodes("ys", ys), _nodes("xs", xs)
    if not outputs:
        raise GradientError("gradients: ys is empty, so there is nothing to differentiate")
    stops = _nodes("stop_gradients", stop_gradients) if stop_gradients is not None else []
    aggregation = _aggregation(aggregation_method)
    zero = _unconnected(unconnected_gradients)
    gate = flag("gradients", "gate_gradients", gate_gradients)
    colocate = flag("gradients", "colocate_gradients_with_ops", colocate_gradients_with_ops)
    scope = _scope(name)

    state = graph.state
    previous, state.scope = state.scope, scope
    try:
        start = next(graph.serials)
        seeds = _seeds(grad_ys, outputs)
        restore(outputs, stops)
        with effects.outermost() as made:
            found = backward.sweep(outputs, seeds, sources, stops=stops, aggregation=aggregation, colocate=colocate)
            made += [g for g in found if g is not None]
        _check_parameters(outputs, xs, sources, found)
        check_history("gradients", outputs, sources, found, stops)
        results = {}
        for x, g in zip(sources, found, strict=True):
            if g is None:
                results[x] = backward.zeros(x) if zero else None
            elif x not in results:
                results[x] = _own(g, start)
            if devices.used and results[x] is not None:
                results[x] = _beside(x, results[x])
            if results[x] is not None and state.scope and results[x].fact("scope") is None:
                results[x].note(scope=state.scope)
    finally:
        state.scope = previous
    if gate:
        together = [g for g in results.values() if g is not None]
        for g in together:
            g.note(gate=together)
    return [None if results[x] is None else Array(results[x]) for x in sources]


def _own(node, start):
    """`node` if this call made it; otherwise (a seed that came straight back) a new node of the same value."""
    if node.serial >= start:
        return node
    from nbgrad.kernels.casting import identity

    return graph.elementwise(identity, (Array(node),))._node


def _beside(x, node):
    """A gradient that is the same number whatever is computed, on the device of its x."""
    firm, _ = devices.places([node])[node]
    return node if firm else placed("gradients", Array(node), devices.name(x))._node


# ---------------------------------------------------------------- arguments


def _nodes(argument, value):
    """The nodes of an Array or a flat sequence of Arrays."""
    if isinstance(value, Array):
        return [value._node]
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(
            f"gradients: {argument} must be an Array or a list of Arrays, got {describe(value)}"
            + (
                f"; make it an Array with nbgrad.asarray before it is used{_LATER[argument]}"
                if _arraylike(value)
                else ""
            )
        )
    for i, v in enumerate(value):
        if not isinstance(v, Array):
            hint = ""
            if isinstance(v, (list, tuple)):
                hint = f"; {argument} is a flat list, so write the elements of {argument}[{i}] one by one"
            elif _arraylike(v):
                hint = f"; make it an Array with nbgrad.asarray before it is used{_LATER[argument]}"
            raise ArgumentError(f"gradients: {argument}[{i}] must be an Array, got {describe(v)}{hint}")
    return [v._node for v in value]


_LATER = {"ys": "", "xs": " to compute y", "stop_gradients": " to compute y"}


def _arraylike(value):
    return isinstance(value, (numpy.ndarray, numpy.generic, int, float))


def _aggregation(method):
    if method is None:
        return backward.ADD_N
    if isinstance(method, (int, numpy.integer)) and not isinstance(method, bool) and method in (0, 1, 2):
        return int(method)
    raise GradientError(
        f"gradients: aggregation_method is {method!r}, expected None or one of AggregationMethod.ADD_N (0), "
        "EXPERIMENTAL_TREE (1), EXPERIMENTAL_ACCUMULATE_N (2)"
    )


def _unconnected(value):
    if isinstance(value, str) and value in ("none", "zero"):
        return value == "zero"
    raise GradientError(f"gradients: unconnected_gradients is {value!r}, expected 'none' or 'zero' (in lower case)")


def _scope(name):
    """The scope of this call, unique among all so far."""
    if name is None:
        name = "gradients"
    if not isinstance(name, str):
        raise ArgumentError(f"gradients: name must be a string or None, got {describe(name)}")
    outer = graph.state.scope
    if not name:
        return outer
    if not _NAME.fullmatch(name):
        raise GradientError(
            f"gradients: name {name!r} is not a scope name; it starts with a letter, a digit or a dot and goes on "
            "with letters, digits and _ . / > -"
        )
    full = outer + name.rstrip("/")
    count = _names_used.get(full, 0)
    _names_used[full] = count + 1
    return f"{full}_{count}/" if count else f"{full}/"


def _seeds(grad_ys, outputs):
    if grad_ys is None:
        return [backward.ones(y) for y in outputs]
    if not isinstance(grad_ys, (list, tuple)):
        grad_ys = [grad_ys]
    if len(grad_ys) != len(outputs):
        raise GradientError(
            f"gradients: {len(grad_ys)} grad_ys for {len(outputs)} ys; give one for each y, None where ones are meant"
        )
    return [
        backward.ones(y) if g is None else seed("gradients", f"grad_ys[{i}]", g, y, f"ys[{i}]")
        for i, (g, y) in enumerate(zip(grad_ys, outputs, strict=True))
    ]


def _check_parameters(outputs, xs, sources, found):
    """A Parameter that was assigned after the ys were computed is another variable now: say so."""
    listed = [xs] if isinstance(xs, Array) else xs
    lost = {id(x): x for x, g in zip(listed, found, strict=True) if g is None and isinstance(x, Parameter)}
    if not lost:
        return
    from nbgrad.errors import HistoryError

    for node in graph.topological(outputs):
        owner = node.fact("owner")
        if owner is not None and id(owner) in lost and node is not owner._node:
            raise HistoryError(
                f"gradients: Parameter {owner.name} was assigned a new value after the ys were computed from the old "
                "one. Call gradients before assign, or compute the ys again"
            )
