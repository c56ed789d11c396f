"""Running: a sum of what a program makes one after the other is added up as it is made.

before: ``g0, g1, ..., g99`` are kept, then ``add_n(g0, ..., g99)``
after:  ``s1 = g0 + g1``, ``s2 = s1 + g2``, ..., each where its term is made

The cotangent of what every step of a loop uses is such a sum.  Kept terms are memory for each step, that is
written, and read again when it has left the caches.
"""

from nbgrad import graph, shapes
from nbgrad.compile.fuse import is_elementwise
from nbgrad.graph import Node

#: Terms from which a sum is a running one, and elements of them from which it pays.
LEAST, ELEMENTS = 8, 64


def running_sums(outputs, order):
    """(`outputs` in a graph that computes the same, the partial sums); they depend on the nodes in `order`."""
    long = {n for n in order if n.primitive is not None and n.primitive.name == "add_n" and len(n.inputs) >= LEAST}
    long = {n for n in long if shapes.size(n.shape) >= ELEMENTS and all(map(is_elementwise, n.inputs))}
    depth, fresh, partial = {}, {}, set()
    if long:
        for node in order:
            depth[node] = 1 + max([depth[x] for x in node.inputs], default=0)
        long = {n for n in long if len({depth[x] for x in n.inputs}) == len(n.inputs)}
    if not long:
        return outputs, partial
    from nbgrad.kernels.arithmetic import add

    for node in order:
        if node in long:
            total, *terms = [fresh[x] for x in sorted(node.inputs, key=depth.__getitem__)]
            for term in terms:
                total = Node(add, (total, term), (), node.shape, node.dtype)
                partial.add(total)
            fresh[node] = total
        else:
            fresh[node] = graph.rebuilt(node, fresh)
    return [fresh[n] for n in outputs], partial
