"""Checks of arguments that `grad`, `gradients` and the forward transforms share."""

import numpy

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.graph import state
from nbgrad.runtime.evaluate import realize


def flag(call, name, value):
    """A bool, or ArgumentError."""
    if isinstance(value, (bool, numpy.bool_)):
        return bool(value)
    raise ArgumentError(f"{call}: {name} must be True or False, got {describe(value)}")


def ready(nodes):
    """Values for seeds and tangents, where results are computed at once."""
    if not state.tracked:
        realize(nodes)


def seed(call, argument, value, y, of):
    """The node of a seed, whose shape and dtype must be those of its y; numbers and lists take the dtype of y."""
    if isinstance(value, Array):
        node = value._node
    elif isinstance(value, (numpy.ndarray, numpy.generic)):
        node = graph.leaf(graph.array_value(value, call, argument))
    else:
        array = graph.array_value(value, call, argument)
        if array.dtype.kind == "b" and dtypes.is_inexact(y.dtype):
            raise DtypeError(f"{call}: {argument} is boolean, its y has dtype {y.dtype}\n    {describe(y, of)}")
        node = graph.leaf(array.astype(y.dtype))
    if node.shape != y.shape:
        raise ShapeError(
            f"{call}: {argument} has shape {node.shape}, its y has shape {y.shape}; they must be equal (nothing is "
            f"broadcast here)\n    {describe(node, argument)}\n    {describe(y, of)}"
        )
    if node.dtype != y.dtype:
        raise DtypeError(
            f"{call}: {argument} has dtype {node.dtype}, its y has dtype {y.dtype}; cast it with "
            f".astype({str(y.dtype)!r})\n    {describe(node, argument)}\n    {describe(y, of)}"
        )
    return node
