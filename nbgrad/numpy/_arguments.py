"""What users pass, as Arrays, dtypes and axes."""

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError
from nbgrad.kernels import exponential


def as_array(x, call, name="x"):
    """`x` as an Array; array-likes become leaves."""
    return x if isinstance(x, Array) else Array(graph.node_of(x, call, name))


def as_indices(x, call, name):
    """The same for indices and masks: array-likes go to whatever device they are needed on."""
    if isinstance(x, Array):
        return x
    node = graph.node_of(x, call, name)
    if node.primitive is None and node.shape:
        node.note(table=True)
    return Array(node)


def as_arrays(xs, call, name="arrays"):
    """A sequence of array-likes as a list of Arrays of one dtype; an Array is a sequence of its rows."""
    if isinstance(xs, (str, dict, set)) or not hasattr(xs, "__iter__"):
        raise ArgumentError(f"{call}: {name} must be a sequence of arrays, not {type(xs).__name__}")
    return promoted(*(as_array(x, call, f"{name}[{i}]") for i, x in enumerate(xs)))


def cast(x, dtype):
    """An Array in another dtype; the same one if it has it."""
    return x if x.dtype == dtype else Array(graph.cast(x._node, dtype))


def promoted(*arrays):
    """Arrays cast to their common dtype."""
    if not arrays:
        return []
    dtype = dtypes.promote([x.dtype for x in arrays])
    return [cast(x, dtype) for x in arrays]


def together(call, *xs, floating=False):
    """Operands as Arrays of their common dtype (with `floating`, of that of functions of it); numbers are weak."""
    kinds = [dtypes.WEAK.get(type(x)) for x in xs]
    arrays = [as_array(x, call, f"x{i + 1}") for i, x in enumerate(xs)]
    given = tuple(x.dtype if k is None else k for x, k in zip(arrays, kinds, strict=True))
    dtype = dtypes.promote(given)
    if floating:
        dtype = dtypes.resolve(exponential.logaddexp, given)[0]
    return [cast(x, dtype) for x in arrays]


def as_dtype(dtype, call):
    """A supported dtype; None stays None."""
    return None if dtype is None else dtypes.as_dtype(dtype, call)


def as_integer(value, call, name):
    """A Python int; ArgumentError for anything that is not one."""
    import operator

    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentError(f"{call}: {name} must be an integer, not {value!r}") from None


def as_shape(value, call):
    """A shape without negative extents."""
    try:
        shape = shapes.as_shape(call, value.tolist() if isinstance(value, (numpy.ndarray, Array)) else value)
    except TypeError:
        raise ArgumentError(f"{call}: shape must be an integer or a tuple of integers, not {value!r}") from None
    if any(n < 0 for n in shape):
        raise ArgumentError(f"{call}: shape {shape} has a negative extent")
    return shape


def leaf(value):
    """An Array for helper data that nobody will change, which goes to whatever device it is needed on."""
    return Array(graph.table(value))
