"""Indexed: elements at the places that indices say, read or written by the nest that uses or makes them.

before: ``t = take(x, i); v = t * w; y = scatter_add(0, j, v)``
after:  one nest that for each e and k adds ``x[i[e], k] * w[e]`` to ``y[j[e], k]``

Along the axes of the indices the operand stays where it is, and each access moves it by an index instead; along
all others it is a view like any other.
"""

from nbgrad import graph
from nbgrad.compile.storage import View


def is_gather(node):
    """Whether a node takes slices at indices."""
    return node.primitive is not None and node.primitive.kind == "gather"


def is_scatter(node):
    """Whether a node writes slices at indices, or adds them there."""
    return node.primitive is not None and node.primitive.kind == "scatter"


class Indices:
    """Where an operand is moved to: by index times `step`, for indices less than `extent`.

    `view` is that of the indices, stretched over the domain, or a constant node.
    """

    __slots__ = ("extent", "step", "view")

    def __init__(self, view, step, extent):
        self.view, self.step, self.extent = view, step, extent

    def key(self):
        """Equal for the same places."""
        view = self.view.attrs if graph.is_constant(self.view) else self.view.key()
        return view, self.step, self.extent


def indexed(view, at, axis, shape):
    """(the view of what is read or written, `Indices` into its `axis`), both stretched over a domain."""
    count = len(shape) - len(view.shape) + 1  # axes of the indices
    strides = (*view.strides[:axis], *(0,) * count, *view.strides[axis + 1 :])
    if graph.is_constant(at.origin):
        where = at.origin
    else:
        behind = len(view.shape) - axis - 1
        where = View(at.origin, at.offset, shape, (*(0,) * axis, *at.strides, *(0,) * behind))
    return View(view.origin, view.offset, shape, strides), Indices(where, view.strides[axis], view.shape[axis])
