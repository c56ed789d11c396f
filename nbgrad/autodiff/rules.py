"""A VJP for an elementwise kernel that declares none: its own text, called on Arrays, is differentiated."""

from nbgrad import counterparts, graph
from nbgrad.autodiff import backward
from nbgrad.errors import MissingRuleError, describe
from nbgrad.graph import Node
from nbgrad.kernels.casting import identity


def traced(node, cotangent):
    """Cotangents of the inputs of `node`, by tracing the text of its kernel."""
    from nbgrad.autodiff.piecewise import TooManyPaths, followed
    from nbgrad.kernels.shape import broadcast_to

    primitive, array = node.primitive, graph.Array
    wide = [i if i.shape == node.shape else broadcast_to(array(i), shape=node.shape)._node for i in node.inputs]
    inputs = [Node(identity, (i,), (), i.shape, i.dtype, None, True) for i in wide]
    try:
        out = followed(f"grad of {primitive.name}", counterparts.on_arrays(primitive.kernel), inputs)
    except TooManyPaths:
        raise MissingRuleError(
            f"grad of {primitive.name}: it declares no VJP, and its text takes too many paths that depend on values, "
            f"as a loop does that ends by a condition.\nDeclare a VJP with @{primitive.name}.vjp, or write the kernel "
            f"with fewer branches, or the loop as ng.while_loop outside of it.\n    {describe(node, 'y')}"
        ) from None
    except Exception as error:
        raise MissingRuleError(
            f"grad of {primitive.name}: it declares no VJP, and its text cannot be traced: {error}\n"
            f"Declare one with @{primitive.name}.vjp, or write the kernel with operators, branches, and functions of "
            f"math, NumPy and nbgrad, without int() and float().\n    {describe(node, 'y')}"
        ) from error
    if out is None or out.dtype.kind != "f":
        return (None,) * len(inputs)
    seed = graph.cast(cotangent, out.dtype)
    found = backward.sweep([out], [seed], inputs, stops=inputs)
    return tuple(None if g is None else array(g) for g in found)
