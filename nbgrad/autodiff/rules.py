"""A VJP for an elementwise kernel that declares none: its own text, called on Arrays, is differentiated."""

from nbgrad import graph
from nbgrad.autodiff import backward
from nbgrad.errors import MissingRuleError, describe
from nbgrad.graph import Node
from nbgrad.kernels.casting import identity


def traced(node, cotangent):
    """Cotangents of the inputs of `node`, by tracing the text of its kernel."""
    primitive, array = node.primitive, graph.Array
    inputs = [Node(identity, (i,), (), i.shape, i.dtype, None, True) for i in node.inputs]
    try:
        out = primitive.kernel(*map(array, inputs))
    except Exception as error:
        raise MissingRuleError(
            f"grad of {primitive.name}: it declares no VJP, and its text cannot be traced: {error}\n"
            f"Declare one with @{primitive.name}.vjp, or write the kernel with operators, nbgrad's functions and "
            f"ng.where instead of `if`.\n    {describe(node, 'y')}"
        ) from error
    if not isinstance(out, array):
        return (None,) * len(inputs)
    seed = graph.cast(cotangent, out.dtype)
    found = backward.sweep([out._node], [seed], inputs, stops=inputs)
    return tuple(None if g is None else array(g) for g in found)
