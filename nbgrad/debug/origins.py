"""Of which forward node a node of a backward pass is the derivative."""

import bisect

from nbgrad import graph


class Watch:
    """Notes in the nodes that one sweep makes, which forward node each belongs to.

    Nodes are numbered as they are made, so a node belongs to the last one that the sweep had come to by then.
    """

    __slots__ = ("_nodes", "_serials")

    def __init__(self):
        self._serials, self._nodes = [], []

    def at(self, node):
        """The sweep comes to `node`."""
        self._serials.append(next(graph.serials))
        self._nodes.append(node)

    def note(self, results):
        """The sweep is over: write down what `results` depend on."""
        if not self._serials:
            return
        start = self._serials[0]
        found = [n for r in results for n in (r if isinstance(r, list) else [r]) if n is not None]
        for node in graph.topological(found, stop=lambda n: n.serial < start):
            if node.serial > start and not (node.info and "derivative_of" in node.info):
                node.note(derivative_of=self._nodes[bisect.bisect(self._serials, node.serial) - 1])


def as_before(copy, node):
    """Note that a copy of a node, made on the way of a sweep, is no more of a derivative than the node is."""
    copy.note(derivative_of=node.fact("derivative_of"))


def called(node):
    """What the operation of a node is called in errors."""
    if node.primitive is None:
        return "an input"
    if node.primitive.name == "ruled":
        return getattr(dict(node.attrs)["rule"], "call", "a function with a rule of its own")
    return node.primitive.name


def forward_node(node):
    """(the node of the function that `node` is a derivative of, by how many backward passes); (node, 0) for its own."""
    passes, found = 0, node.fact("derivative_of")
    while found is not None:
        node, passes = found, passes + 1
        found = node.fact("derivative_of")
    return node, passes
