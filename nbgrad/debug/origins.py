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
            if node.serial > start and node.fact("derivative_of") is None:
                node.note(derivative_of=self._nodes[bisect.bisect(self._serials, node.serial) - 1])


def forward_node(node):
    """(the node of the function that `node` is a derivative of, by how many backward passes); (node, 0) for its own."""
    passes, found = 0, node.fact("derivative_of")
    while found is not None:
        node, passes = found, passes + 1
        found = node.fact("derivative_of")
    return node, passes
