"""Values whose derivatives are a rule of somebody's: `custom_vjp`, `custom_jvp`, `checkpoint`, `implicit`.

A node of the primitive ``ruled`` has the value of one of its inputs.  The backward sweep does not go on into that
input; it asks the rule for cotangents of all of them.  Several results of one call are nodes with the same inputs, and
the rule is asked once for all.  The compiler never sees the primitive: only its input is left.
"""

from nbgrad import graph
from nbgrad.config import config
from nbgrad.errors import GradientError, describe
from nbgrad.graph import Node
from nbgrad.primitive import structural


class Rule:
    """What is done in place of a backward pass.  Equal rules, of equal graphs, share compiled programs."""

    __slots__ = ()
    #: Whether its derivatives are those of the value itself, made in another way.
    of_value = False

    def pull(self, cotangents, inputs, needed):
        """One cotangent (Array, None, or a list of Arrays to be added up) for each input.

        Parameters
        ----------
        cotangents : dict
            By the index of an input, the cotangent (a Node) of the result that has its value.
        inputs : tuple of Node
        needed : collection of Node
            Those that lie on a path to something that is differentiated by.
        """
        raise NotImplementedError

    def batched(self, inputs, mapped, size):
        """(rule, inputs) of operands that are stacked along a new first axis where they are `mapped`.

        Inputs that are values of results come back stacked.
        """
        raise NotImplementedError


@structural("ruled", reference=lambda *xs, index, rule: xs[index])
def ruled(*xs, index, rule):
    """The value of x[index], with derivatives by a rule."""
    return xs[index].shape, xs[index].dtype


def results(rule, inputs, count):
    """The first `count` inputs, as nodes whose derivatives are by the rule."""
    inputs = tuple(inputs)
    history = any(n.history for n in inputs)
    site = graph.site()
    return [
        Node(ruled, inputs, (("index", k), ("rule", rule)), inputs[k].shape, inputs[k].dtype, None, history, site)
        for k in range(count)
    ]


@ruled.batched
def ruled_batched(size, mapped, *xs, index, rule):
    rule, nodes = rule.batched([x._node for x in xs], mapped, size)
    return graph.Array(graph.structural(ruled, tuple(nodes), {"index": index, "rule": rule}))


def enclosed(outputs, inputs, start):
    """Nodes that were made before `start` and that `outputs` depend on, other than by way of `inputs`.

    Only those with a history: of the others nobody can ask for derivatives.
    """
    found, given = {}, set(inputs)
    for node in graph.topological(outputs, stop=lambda n: n in given or n.serial < start):
        if node not in given and node.serial < start and node.history and node.dtype.kind in "fc":
            found[node] = None
    return list(found)


def refuse_enclosed(call, nodes, needed):
    """GradientError if what a function closes over is differentiated by: its rule knows nothing of it."""
    for node in nodes:
        if node in needed:
            raise GradientError(
                f"{call}: the function closes over an array that is differentiated by, and its rule says nothing of "
                f"that; make the array an argument of the function\n    {describe(node, 'array')}"
            )


def copied(outputs, replaced):
    """Nodes like `outputs` and what they depend on, with other nodes for the keys of `replaced`."""
    fresh = dict(replaced)
    for node in graph.topological(outputs, stop=fresh.__contains__):
        if node not in fresh:
            fresh[node] = node
            if any(fresh[x] is not x for x in node.inputs):
                if node.primitive.kind == "effect":
                    from nbgrad.effects import again

                    new = fresh[node] = again(node, fresh[node.inputs[0]])
                else:
                    new = fresh[node] = graph.rebuilt(node, fresh)
                new.history, new.site, new.info = node.history, node.site, node.info
                if graph.state.watched or config._check_values:
                    from nbgrad.debug.origins import as_before

                    as_before(new, node)
    return [fresh[n] for n in outputs]
