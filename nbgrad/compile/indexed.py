"""Indexed: elements at the places that indices say, read or written by the nest that uses or makes them.

before: ``t = take(x, i); v = t * w; y = scatter_add(0, j, v)``
after:  one nest that for each e and k adds ``x[i[e], k] * w[e]`` to ``y[j[e], k]``

Along the axes of the indices the operand stays where it is, and each access moves it by an index instead; along
all others it is a view like any other.
"""

from nbgrad import shapes
from nbgrad.compile.storage import View

#: Elements behind an index from which leaving it out is much less work than writing them.
WIDTH = 8


def is_gather(node):
    """Whether a node takes slices at indices."""
    return node.primitive is not None and node.primitive.kind == "gather"


def is_scatter(node):
    """Whether a node writes slices at indices, or adds them there."""
    return node.primitive is not None and node.primitive.kind == "scatter"


def scatters(group):
    """Whether the reduction of a group is a scatter: it is the only one then."""
    return any(map(is_scatter, group.reductions))


def divides(node):
    """Whether a scattering node can be done by several threads."""
    x, axis = node.inputs[0], dict(node.attrs)["axis"]
    return shapes.size(x.shape[:axis]) > 1 or shapes.size(x.shape[axis + 1 :]) >= WIDTH


class Indices:
    """Where an operand is moved to: by index times `step`, for indices less than `extent`.

    `load` is the key of the operand that reads the indices; where they are all the same `number`, it is None.
    """

    __slots__ = ("extent", "load", "number", "step")

    def __init__(self, load, number, step, extent):
        self.load, self.number, self.step, self.extent = load, number, step, extent

    def key(self):
        """Equal for the same places."""
        return self.number.attrs if self.load is None else self.load, self.step, self.extent


def along_indices(view, shape, axis, count):
    """A view of what is read or written, stretched over a domain: along the `count` axes of the indices it stays."""
    return View(view.origin, view.offset, shape, (*view.strides[:axis], *(0,) * count, *view.strides[axis + 1 :]))


def of_indices(at, shape, axis):
    """A view of indices, stretched over a domain: along the axes before and behind them it stays."""
    behind = len(shape) - axis - len(at.strides)
    return View(at.origin, at.offset, shape, (*(0,) * axis, *at.strides, *(0,) * behind))
