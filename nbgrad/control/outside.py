"""Outside: what the backward pass of a loop over large states need not do in its steps."""

from nbgrad import graph, shapes
from nbgrad.array import Array


def multiplied(outputs, inputs):
    """Those of `outputs` for which a product of matrices has to be computed."""
    given = set(inputs)
    found = {}
    for n in graph.topological(outputs, stop=given.__contains__):
        within = n not in given and n.primitive is not None
        found[n] = within and (n.primitive.name == "matmul" or any(found[x] for x in n.inputs))
    return [n for n in outputs if found[n]]


def shifted(stack, last, reverse):
    """What the state is after each step, of what it is before each and after the last."""
    from nbgrad.numpy import concatenate

    if not stack.shape[0]:
        return stack
    stack, last = Array(stack), Array(last)[None]
    return concatenate([last, stack[:-1]] if reverse else [stack[1:], last])._node


def read(node, stacked):
    """The stack of a node that is a slice in another shape, by the stacks of slices; None of others."""
    within = node
    while within.primitive is not None and (within.primitive.name == "reshape" or _transposed_vector(within)):
        within = within.inputs[0]
    stack = stacked.get(within)
    return None if stack is None else Array(stack).reshape(stack.shape[0], *node.shape)._node


def _transposed_vector(node):
    """Whether a node has the elements of its input in their order, since it has one axis only that is not 1."""
    return node.primitive.name == "transpose" and sum(n != 1 for n in node.shape) <= 1


class Product:
    """A product of matrices that a step adds to a sum: factors that are smaller than what it makes.

    The sum over all steps of ``a @ b`` is one product, of the factors of all steps side by side, which is
    BLAS at its best; an outer product in each step would move the whole sum through memory each time.

    Parameters
    ----------
    node : Node
        A ``matmul`` node.
    transposed : bool
        Whether it is the transpose that is added.
    """

    def __init__(self, node, transposed):
        self.factors, self.transposed = node.inputs, transposed

    def of_all(self, stacks):
        """The sum over all steps, of the stacked factors."""
        a, b = map(Array, stacks)
        steps, m, k = a.shape
        made = a.transpose(1, 0, 2).reshape(m, steps * k) @ b.reshape(steps * k, b.shape[2])
        return (made.T if self.transposed else made)._node


def products(node):
    """(products that can be added up after the loop, nodes of the other terms) of a term of a sum."""
    if node.primitive is None:
        return [], [node]
    if node.primitive.name in ("add", "add_n") and all(x.shape == node.shape for x in node.inputs):
        parts = [products(x) for x in node.inputs]
        return [p for found, _ in parts for p in found], [n for _, rest in parts for n in rest]
    within, transposed = node, False
    while within.primitive is not None and within.primitive.name == "transpose" and len(within.shape) == 2:
        transposed ^= dict(within.attrs)["axes"] == (1, 0)
        within = within.inputs[0]
    if within.primitive is None or within.primitive.name != "matmul" or len(within.shape) != 2:
        return [], [node]
    sizes = [shapes.size(x.shape) for x in (*within.inputs, within)]
    if any(len(x.shape) != 2 for x in within.inputs) or sizes[0] + sizes[1] >= sizes[2]:
        return [], [node]
    return [Product(within, transposed)], []
