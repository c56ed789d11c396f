"""Effects: operations that are done once each, in the order in which the program asks for them.

What a process sends to another is an effect: whether its result is read here or not, and whatever else the graph is
simplified to, it has to be done, and where several processes wait for each other, in the same order by all of them.

A primitive of the kind ``effect`` is applied with `applied`.  Its node has one input more than the primitive has
operands: a token, which says that the effect before it is done.  So no two of them are equal, none can be done before
its turn, and an order of execution is an order of effects.  `graph.state.effect` is the token of the last one; whoever
compiles a graph makes it an output.  Outside of transforms and traces an effect is done at once.
"""

import contextlib

import numpy

from nbgrad import graph
from nbgrad.errors import ArgumentError
from nbgrad.graph import state
from nbgrad.primitive import structural


def effect(reference, *, stacked=lambda done, x: done(x)):
    """Declare an effect by its shape/dtype rule: ``infer(x, **attrs) -> (shape, dtype)``, of one operand.

    `stacked` says what it is of operands along a new first axis, for `vmap`: ``stacked(done, x)``, where `done` has the
    effect on an Array.
    """

    def declare(infer):
        name = infer.__name__.rstrip("_")
        declared = structural("effect", name=name, reference=lambda x, *before, **attrs: reference(x, **attrs))(
            lambda x, *before, **attrs: infer(x, **attrs)
        )
        declared.doc = infer.__doc__

        @declared.batched
        def batched(size, mapped, x, *before, **attrs):
            from nbgrad.batching.rules import everywhere

            def done(x):
                return graph.Array(graph.structural(declared, (x._node, *(b._node for b in before)), attrs))

            return stacked(done, x) if mapped[0] else graph.Array(everywhere(done(x)._node, size))

        return declared

    return declare


@structural("array", reference=lambda y: numpy.array(True), differentiable=False, batch="leading")
def happened(y):
    """A token: that an effect, whose result is y, is done."""
    return (), numpy.dtype(bool)


def applied(primitive, x, **attrs):
    """An effect on an Array: done now, or in a transform or trace when its turn comes."""
    pending = bool(state.tracked or state.static)
    node = _after(primitive, graph.node_of(x, primitive.name), tuple(attrs.items()), state.effect if pending else None)
    if pending:
        state.effect = graph.structural(happened, (node,), {})
    else:
        from nbgrad.runtime.evaluate import realize

        realize([node])
    return graph.Array(node)


def again(node, x):
    """The effect of a node on another operand, after all that have been asked for so far."""
    new = _after(node.primitive, x, node.attrs, state.effect)
    state.effect = graph.structural(happened, (new,), {})
    return new


def _after(primitive, x, attrs, before):
    return graph.structural(primitive, (x,) if before is None else (x, before), dict(attrs))


@contextlib.contextmanager
def apart(token=None):
    """What is asked for inside comes after `token`, and nothing outside comes after it: a graph of its own."""
    outside, state.effect = state.effect, token
    try:
        yield
    finally:
        state.effect = outside


def pending():
    """The token of the last effect that has been asked for and not done, in a list of nodes; empty if there is none."""
    return [] if state.effect is None else [state.effect]


@contextlib.contextmanager
def outermost():
    """A call that returns pending Arrays: outside of transforms, what it has asked for is done when it ends.

    Gives a list, of which the nodes of the results are put in.
    """
    results = []
    if state.tracked or state.static:
        yield results
        return
    with apart():
        yield results
        if state.effect is not None:
            from nbgrad.runtime.evaluate import realize

            realize([*results, state.effect])


@contextlib.contextmanager
def refused():
    """ArgumentError if a function that is traced inside has effects: how often it will run is not known here."""
    with apart():
        yield
        if state.effect is not None:
            raise ArgumentError(
                f"{state.effect.inputs[0].primitive.name}: it was called in a function that scan, fori_loop, "
                "while_loop, cond or switch runs; whether and how often these run it may differ between processes, "
                "which would wait for each other forever. Call it outside of that function, or write the loop in Python"
            )
