"""Body: what one step of a loop does, as a graph that reads nothing from outside."""

from nbgrad import graph
from nbgrad.autodiff import ruled


class Body:
    """A closed graph: outputs of inputs.  Bodies that do the same are equal.

    Parameters
    ----------
    inputs : list of Node
        Placeholders.
    outputs : list of Node
        Which depend on the placeholders and on constants, and on no other leaf.
    """

    __slots__ = ("_hash", "_interpreter", "_key", "inputs", "outputs")

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs, self._interpreter = list(inputs), list(outputs), None
        structure, leaves = graph.signature(outputs)
        places = {n: k for k, n in enumerate(inputs)}
        order = tuple(places[n] for n in leaves)
        self._key = structure, order, tuple((n.shape, n.dtype) for n in inputs)
        self._hash = hash(self._key)

    def __eq__(self, other):
        return self is other or (isinstance(other, Body) and self._hash == other._hash and self._key == other._key)

    def __hash__(self):
        return self._hash

    def applied(self, inputs):
        """The outputs of other nodes."""
        return ruled.copied(self.outputs, dict(zip(self.inputs, inputs, strict=True)))

    def interpreter(self):
        """The body as a list of NumPy calls."""
        if self._interpreter is None:
            from nbgrad.compile.simplify import simplify
            from nbgrad.runtime.interpreter import Interpreter

            self._interpreter = Interpreter(*simplify(self.inputs, self.outputs))
        return self._interpreter


def lifted(outputs, inputs, start=0):
    """What `outputs` depend on besides `inputs`: leaves, and nodes that are older than `start`, but no constants."""
    found, given = {}, set(inputs)

    def outside(n):
        return n in given or n.serial < start or n.primitive is None

    for node in graph.topological(outputs, stop=outside):
        if outside(node) and node not in given and not graph.is_constant(node):
            found[node] = None
    return list(found)


def reached(outputs, inputs):
    """Those of `inputs` that `outputs` depend on."""
    given = set(inputs)
    return given.intersection(graph.topological(outputs, stop=given.__contains__))
