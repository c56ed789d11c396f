"""Gather: elements of an array at the places that indices say, read where they are used.

before: ``t = take(x, i); y = t * w``    after: one nest that loads ``x[i[e], k]`` and multiplies

Along the axes of the indices the operand stays where it is, and a load moves it by an index instead; along all
others it is a view like any other.
"""

from nbgrad import graph
from nbgrad.compile.storage import View


def is_gather(node):
    """Whether a node takes slices at indices."""
    return node.primitive is not None and node.primitive.kind == "gather"


class Indices:
    """Where a gathering operand is moved to: by index times `step`, for indices less than `extent`.

    `view` is that of the indices, stretched over the domain, or a constant node.
    """

    __slots__ = ("extent", "step", "view")

    def __init__(self, view, step, extent):
        self.view, self.step, self.extent = view, step, extent

    def key(self):
        """Equal for the same places."""
        view = self.view.attrs if graph.is_constant(self.view) else self.view.key()
        return view, self.step, self.extent


def gathered(node, sources):
    """(view of what is gathered, `Indices`), both of the node's shape."""
    (x, i), axis = node.inputs, dict(node.attrs)["axis"]
    below, at = sources[x], sources[i]
    within, behind = len(i.shape), len(x.shape) - axis - 1
    strides = (*below.strides[:axis], *(0,) * within, *below.strides[axis + 1 :])
    view = View(below.origin, below.offset, node.shape, strides)
    if graph.is_constant(at.origin):
        where = at.origin
    else:
        where = View(at.origin, at.offset, node.shape, (*(0,) * axis, *at.strides, *(0,) * behind))
    return view, Indices(where, below.strides[axis], x.shape[axis])
