"""Random index expressions against NumPy: what they select, what writing to them changes, and gradients."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy
from checking import gradient_arrays, same

import nbgrad as ng

SETTINGS = hypothesis.settings(max_examples=120, deadline=None, derandomize=True)


@st.composite
def indexed(draw):
    """(shape, index): an index that fits an array of the shape, of every form that NumPy has."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=0, max_size=4)))
    lead = tuple(draw(st.lists(st.integers(1, 3), min_size=0, max_size=2)))  # of the index arrays
    items, axis, dots = [], 0, False
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(["slice", "integer", "array", "mask", "new", "dots", "stop", "truth"]))
        if kind == "slice":
            bound = st.none() | st.integers(-n - 2, n + 2)
            items.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3, -1, -2]))))
        elif kind == "integer" and n:
            i = draw(st.integers(-n, n - 1))
            items.append(draw(st.sampled_from([i, numpy.int32(i), numpy.array(i)])))
        elif kind == "array" and n:
            kept = tuple(m if draw(st.booleans()) else 1 for m in lead[draw(st.integers(0, len(lead))) :])
            i = numpy.array(draw(st.lists(st.integers(-n, n - 1), min_size=math.prod(kept),
                                          max_size=math.prod(kept))), int).reshape(kept)  # fmt: skip
            items.append(draw(st.sampled_from([i, i.astype("int8"), i.tolist()])) if i.ndim else i)
        elif kind == "mask":
            rank = draw(st.integers(1, len(shape) - axis))
            count = math.prod(shape[axis : axis + rank])
            bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
            items.append(numpy.array(bits, bool).reshape(shape[axis : axis + rank]))
            axis += rank - 1
        elif kind == "new":
            items.append(None)
            continue
        elif kind == "truth":
            items.append(draw(st.booleans()))
            continue
        elif kind == "dots" and not dots:
            items.append(Ellipsis)
            dots = True
            axis += draw(st.integers(0, len(shape) - axis)) - 1
        elif kind == "stop":
            break
        else:
            continue
        axis += 1
    if len(items) == 1 and draw(st.booleans()):
        return shape, items[0]
    return shape, tuple(items)


def as_arrays(index):
    """The index with Arrays in place of NumPy's."""
    if isinstance(index, tuple):
        return tuple(map(as_arrays, index))
    return ng.asarray(index) if isinstance(index, numpy.ndarray) else index


def numbers(shape, seed=0):
    """Different numbers."""
    return numpy.asarray(numpy.random.default_rng(seed).permutation(math.prod(shape)).reshape(shape) + 1.0)


@SETTINGS
@hypothesis.given(indexed(), st.booleans())
def test_every_index(case, arrays):
    """x[index], x[index] = v, x[index] += v and the gradients of all of them."""
    shape, index = case
    value = numbers(shape)
    try:
        expected = value[index]
    except IndexError:  # index arrays that do not broadcast together
        try:
            ng.asarray(value)[index]
        except IndexError:
            return
        raise AssertionError(f"{index} of shape {shape} is an error in NumPy") from None
    ours = as_arrays(index) if arrays else index
    x = ng.asarray(value)
    y = x[ours]
    weights = numbers(y.shape, 1)
    scattered = numpy.zeros(shape)
    numpy.add.at(scattered, index, weights)
    (found,) = gradient_arrays([y], [x], [weights])  # before a value is read, which would forget the way to it
    same(found, scattered)
    same(y, expected)

    count = numpy.zeros(shape)
    numpy.add.at(count, index, 1)
    if count.size and count.max() > 1:
        return  # which of several values stays is not defined in NumPy
    v = numbers(expected.shape, 2)
    changed, z, w = value.copy(), x.copy(), ng.asarray(v)
    changed[index] = v
    z[ours] = w
    seed = numbers(shape, 3)
    kept = seed.copy()
    kept[index] = 0
    dx, dw = gradient_arrays([z], [x, w], [seed])
    same(dx, kept)
    same(dw, seed[index])
    same(z, changed)

    changed, z = value.copy(), x.copy()
    changed[index] += v
    z[ours] += w
    dx, dw = gradient_arrays([z], [x, w], [seed])
    same(dx, seed)
    same(dw, seed[index])
    same(z, changed)


@SETTINGS
@hypothesis.given(indexed(), st.sampled_from(["float64", "int16", "bool", "complex64"]), st.data())
def test_what_is_written_broadcasts_and_is_cast(case, dtype, data):
    """The right side of an assignment, of every shape that broadcasts and of every dtype that can be cast."""
    shape, index = case
    value = numbers(shape).astype(dtype)
    try:
        target = value[index].shape
    except IndexError:
        return
    part = tuple(n if data.draw(st.booleans()) else 1 for n in target)[data.draw(st.integers(0, len(target))) :]
    v = numpy.asarray(numbers(part, 4) * 0.75).astype(
        data.draw(st.sampled_from(["float64", "float32", "int64", "bool"]))
    )
    count = numpy.zeros(shape)
    numpy.add.at(count, index, 1)
    if v.size != 1 and count.size and count.max() > 1:
        return
    expected, x = value.copy(), ng.asarray(value)
    try:
        expected[index] = v
    except (ValueError, IndexError):  # a broadcast that NumPy does not do for an assignment by a mask
        expected[index] = numpy.broadcast_to(v, target)
    x[index] = v
    same(x, expected)
