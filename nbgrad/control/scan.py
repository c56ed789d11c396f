"""scan and fori_loop: loops of a known number of steps."""

import operator

from nbgrad import graph, trees
from nbgrad.array import Array
from nbgrad.control.body import STEP, closed, leaves_of, nested, placeholder, same_avals, traced
from nbgrad.control.loop import Loop
from nbgrad.errors import ArgumentError, ShapeError, describe


def scan(f, init, xs=None, length=None, reverse=False):
    """A loop that hands a state on from step to step and stacks what each step returns.

    In NumPy it would be::

        ys = []
        for x in xs:
            init, y = f(init, x)
            ys.append(y)
        return init, numpy.stack(ys)

    `f` is run once, on Arrays without values; the loop is one operation of the graph, and so is its derivative, a loop
    the other way round.  Loops over small states are one compiled kernel each, which holds the state in registers.

    Parameters
    ----------
    f : callable
        ``f(state, x) -> (state, y)``; all of them Arrays or nests, the state of the same shapes and dtypes each time.
    init : array_like or nest
        The state before the first step.
    xs : array_like or nest, optional
        Each step gets one slice along the first axes; None where there is nothing to read.
    length : int, optional
        The number of steps, where `xs` does not say it.
    reverse : bool
        From the last slice to the first.

    Returns
    -------
    state, ys
        The state after the last step, and the results of the steps stacked along first axes.

    Raises
    ------
    ShapeError, DtypeError
        If the state changes its shape or dtype, or `xs` have different lengths.
    TracedValueError
        If `f` reads a value.

    Examples
    --------
    >>> import nbgrad as ng
    >>> total, sums = ng.scan(lambda s, x: (s + x, s + x), 0.0, ng.asarray([1.0, 2.0, 3.0]))
    >>> print(total, sums)
    6.0 [1. 3. 6.]
    """
    if not callable(f):
        raise ArgumentError(f"scan: f must be callable, got {describe(f)}")
    initial, paths, structure = leaves_of("scan", "init", init)
    slices, x_paths, x_structure = ([], [], None) if xs is None else leaves_of("scan", "xs", xs)
    count = _length(length, slices, x_paths)
    start = next(graph.serials)
    before = [placeholder("scan", n.shape, n.dtype, n) for n in initial]
    read = [placeholder("scan", n.shape[1:], n.dtype, n) for n in slices]
    made = traced(f, nested(structure, before), None if xs is None else nested(x_structure, read))
    if not isinstance(made, tuple) or len(made) != 2:
        raise ArgumentError(f"scan: f must return (state, y), got {describe(made)}")
    made, y = made
    after = same_avals("scan", made, structure, initial, paths, STEP, "they must be equal")
    results, y_structure = ([], None) if y is None else trees.flatten(y)
    outputs = [*after, *(graph.node_of(r, "scan", "a result of a step") for r in results)]
    constants, (body,) = closed([outputs], [*before, *read], start)
    loop = Loop(body, len(constants), len(initial), len(slices), count, bool(reverse))
    nodes = [Array(loop.output([*constants, *initial, *slices], i)) for i in range(len(outputs))]
    final = trees.unflatten(structure, nodes[: len(after)])
    return final, (None if y is None else trees.unflatten(y_structure, nodes[len(after) :]))


def fori_loop(lower, upper, body, init):
    """``for i in range(lower, upper): state = body(i, state)`` as one operation of the graph.

    Parameters
    ----------
    lower, upper : int
    body : callable
        ``body(i, state) -> state`` of an int64 Array and the state.
    init : array_like or nest
        The state before the first step.

    Returns
    -------
    state
        After the last step.

    Examples
    --------
    >>> import nbgrad as ng
    >>> print(ng.fori_loop(0, 5, lambda i, s: s + i, ng.asarray(0)))
    10
    """
    import numpy

    try:
        lower, upper = operator.index(lower), operator.index(upper)
    except TypeError:
        raise ArgumentError(
            f"fori_loop: lower and upper must be integers that are known, got {describe(lower)} and {describe(upper)}"
        ) from None
    return scan(lambda s, i: (body(i, s), None), init, numpy.arange(lower, max(upper, lower)))[0]


def _length(length, slices, paths):
    counts = {}
    for node, path in zip(slices, paths, strict=True):
        if not node.shape:
            raise ShapeError(f"scan: {path} has no axis to take slices along\n    {describe(node, path)}")
        counts[path] = node.shape[0]
    if length is not None:
        counts["length"] = operator.index(length)
    if not counts:
        raise ArgumentError("scan: there is nothing to count steps by; give xs or length")
    if len(set(counts.values())) > 1:
        listed = "".join(f"\n    {k}: {n}" for k, n in counts.items())
        raise ShapeError(f"scan: slices have different lengths{listed}")
    return next(iter(counts.values()))
