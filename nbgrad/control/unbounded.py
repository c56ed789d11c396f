"""while_loop: a loop that goes on for as long as a condition holds."""

from nbgrad import dtypes, graph
from nbgrad.control.body import STEP, closed, leaves_of, nested, placeholder, same_avals, traced
from nbgrad.control.repeat import Repeat, Sweep
from nbgrad.errors import ArgumentError, describe


def while_loop(cond_fun, body_fun, init):
    """A loop that hands a state on from step to step for as long as a condition holds.

    In NumPy it would be::

        while cond_fun(state):
            state = body_fun(state)
        return state

    Both functions are run once, on Arrays without values; the loop is one operation of the graph, and so is its
    derivative, which repeats the loop, keeps the states in memory that grows with the number of steps, and goes back
    over them.

    Parameters
    ----------
    cond_fun : callable
        Of the state; a bool.
    body_fun : callable
        Of the state; the next one, of the same shapes and dtypes.
    init : array_like or nest
        The state before the first step.

    Returns
    -------
    state
        The first one for which the condition does not hold.

    Raises
    ------
    ShapeError, DtypeError
        If the state changes its shape or dtype.
    ArgumentError
        If the condition is not a bool.
    TracedValueError
        If a function reads a value.
    MemoryError
        If there is no memory for the states of a backward pass.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> def root(a):
    ...     newton = lambda x: (x + a / x) / 2
    ...     return ng.while_loop(lambda x: np.abs(x * x - a) > 1e-12, newton, a)
    >>> value, slope = ng.value_and_grad(root)(ng.asarray(9.0))
    >>> print(round(float(value), 6), round(float(slope), 6))
    3.0 0.166667
    """
    for what, f in (("cond_fun", cond_fun), ("body_fun", body_fun)):
        if not callable(f):
            raise ArgumentError(f"while_loop: {what} must be callable, got {describe(f)}")
    initial, paths, structure = leaves_of("while_loop", "init", init)
    start = next(graph.serials)
    own = [placeholder("while_loop", n.shape, n.dtype, n) for n in initial]
    found = traced(cond_fun, nested(structure, own))
    test = graph.node_of(found, "while_loop", "what cond_fun returns")
    if test.shape or test.dtype != dtypes.BOOL:
        raise ArgumentError(
            f"while_loop: cond_fun must return a bool, a scalar, got {test.dtype} of shape {test.shape}\n"
            f"    {describe(test, 'condition')}"
        )
    made = traced(body_fun, nested(structure, own))
    after = same_avals("while_loop", made, structure, initial, paths, STEP, "they must be equal")
    constants, (condition, body) = closed([[test], after], own, start)
    rule = Repeat(condition, (Sweep(body, len(initial), (), False),), len(constants))
    inputs = [*constants, *initial]
    return nested(structure, [rule.output(inputs, i) for i in range(len(initial))])
