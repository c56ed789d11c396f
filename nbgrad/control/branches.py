"""cond and switch: one of several functions, chosen while a program runs."""

from nbgrad import dtypes, graph, trees
from nbgrad.control.body import closed, leaves_of, nested, placeholder, same_avals, traced
from nbgrad.control.choice import Choice
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe


def cond(pred, true_fun, false_fun, *operands):
    """``true_fun(*operands) if pred else false_fun(*operands)`` as one operation of the graph.

    Both functions are run once, on Arrays without values; only the chosen one's operations are carried out, and only
    its derivatives: what the other one would make of the operands, a nan say, has no effect.  Under `vmap`
    each example takes its own branch.

    Parameters
    ----------
    pred : bool or array_like
        A scalar.
    true_fun, false_fun : callable
        Take the operands; return Arrays or nests, of the same structure, shapes and dtypes.
    *operands : array_like or nest

    Returns
    -------
    Array or nest
        What the chosen function returns.

    Raises
    ------
    ArgumentError, ShapeError, DtypeError
        If the results of the functions differ in structure, shape or dtype, or `pred` is no scalar.
    TracedValueError
        If a function reads a value.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> root = lambda x: ng.cond(x > 0, np.sqrt, lambda x: x * 0, x)
    >>> [float(ng.grad(root)(ng.asarray(x))) for x in (4.0, 0.0)]
    [0.25, 0.0]
    """
    node = graph.node_of(pred, "cond", "pred")
    if node.dtype.kind not in "biu":
        raise DtypeError(f"cond: pred must be a bool or an integer, got {node.dtype}\n    {describe(node, 'pred')}")
    number = graph.cast(graph.cast(node, dtypes.BOOL), dtypes.INT64)
    functions = {"false_fun": false_fun, "true_fun": true_fun}
    return _chosen("cond", "pred", number, functions, operands)


def switch(index, branches, *operands):
    """``branches[index](*operands)`` as one operation of the graph.

    An index below 0 takes the first branch, and one past the end the last.  Otherwise as `cond`.

    Parameters
    ----------
    index : int or array_like
        A scalar integer.
    branches : sequence of callable
        Each takes the operands; they return Arrays or nests, of the same structure, shapes and dtypes.
    *operands : array_like or nest

    Returns
    -------
    Array or nest
        What the chosen function returns.

    Raises
    ------
    ArgumentError, ShapeError, DtypeError, TracedValueError
        As `cond`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> print(ng.switch(1, [np.sin, np.exp, np.negative], 0.0))
    1.0
    """
    node = graph.node_of(index, "switch", "index")
    if node.dtype.kind not in "iu":
        raise DtypeError(f"switch: index must be an integer, got {node.dtype}\n    {describe(node, 'index')}")
    branches = list(branches)
    if not branches:
        raise ArgumentError("switch: branches is empty; give at least one function")
    functions = {f"branches[{k}]": f for k, f in enumerate(branches)}
    return _chosen("switch", "index", graph.cast(node, dtypes.INT64), functions, operands)


def _chosen(call, name, number, functions, operands):
    if number.shape:
        raise ShapeError(
            f"{call}: {name} must be a scalar, got shape {number.shape}; for a choice by element use where, or vmap "
            f"{call} over the elements\n    {describe(number, name)}"
        )
    for what, f in functions.items():
        if not callable(f):
            raise ArgumentError(f"{call}: {what} must be callable, got {describe(f)}")
    nodes, _, structure = leaves_of(call, "operands", operands)
    start = next(graph.serials)
    own = [placeholder(call, n.shape, n.dtype, n) for n in nodes]
    groups, first = [], next(iter(functions))
    for what, f in functions.items():
        made = traced(f, *nested(structure, own))
        if not groups:
            found, paths, form = leaves_of(call, "result", made)
        else:
            names = f"what {first} returns", f"what {what} returns"
            found = same_avals(call, made, form, groups[0], paths, names, "branches must return alike")
        groups.append(found)
    constants, bodies = closed(groups, own, start)
    rule = Choice(tuple(bodies))
    made = [rule.output([number, *constants, *nodes], i) for i in range(rule.count)]
    return trees.unflatten(form, [graph.Array(n) for n in made])
