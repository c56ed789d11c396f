"""Shapes, axes and slices: pure functions of tuples."""

import math
import operator

from nbgrad.errors import ArgumentError, AxisError, ShapeError


def size(shape):
    """Number of elements."""
    return math.prod(shape)


def broadcast(shapes):
    """The shape that `shapes` broadcast to, or None when they do not."""
    rank = max(map(len, shapes))
    out = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for i, n in enumerate(shape):
            if n != 1:
                if out[offset + i] == 1:
                    out[offset + i] = n
                elif out[offset + i] != n:
                    return None
    return tuple(out)


def axis(call, value, rank):
    """A single axis as 0 <= axis < rank."""
    try:
        index = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{call}: axis must be an integer, not {value!r}") from None
    if not -rank <= index < rank:
        raise AxisError(f"{call}: axis {index} is out of range for an array of {rank} dimensions")
    return index % rank


def axes(call, value, rank):
    """None, an int or a sequence of ints as a sorted tuple of axes."""
    if value is None:
        return tuple(range(rank))
    if not isinstance(value, (tuple, list)):
        return (axis(call, value, rank),)
    found = tuple(sorted(axis(call, v, rank) for v in value))
    if len(set(found)) != len(found):
        raise ShapeError(f"{call}: axis {tuple(value)} names an axis twice")
    return found


def as_shape(call, value):
    """A shape from an int or a sequence of ints."""
    if isinstance(value, (tuple, list)):
        return tuple(operator.index(v) for v in value)
    return (operator.index(value),)


def reshape(call, old, new):
    """`new` with one -1 filled in so that it holds as many elements as `old`."""
    total = size(old)
    if new.count(-1) == 1:
        rest = size(n for n in new if n != -1)
        if rest and total % rest == 0:
            new = tuple(total // rest if n == -1 else n for n in new)
    if any(n < 0 for n in new) or size(new) != total:
        raise ShapeError(f"{call}: {old} has {total} elements and cannot become {new}")
    return new


def inverse(order):
    """The permutation that undoes `order`."""
    back = [0] * len(order)
    for i, a in enumerate(order):
        back[a] = i
    return tuple(back)


def part(shape, axis, triple):
    """The spec of a slice: one (start, step, count) along an axis, all of every other axis."""
    return tuple(triple if i == axis else (0, 1, n) for i, n in enumerate(shape))


def without(shape, removed):
    """`shape` without the axes in `removed`."""
    return tuple(n for i, n in enumerate(shape) if i not in removed)


def kept(shape, reduced):
    """`shape` with the axes in `reduced` set to 1."""
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


def contiguous_strides(shape):
    """C-order strides in elements."""
    strides, step = [0] * len(shape), 1
    for i in range(len(shape) - 1, -1, -1):
        strides[i] = step
        step *= shape[i]
    return tuple(strides)
