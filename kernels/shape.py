"""Shape: views (reshape, transpose, slice, broadcast) and their adjoints (embed, concatenate, assignment).

A slice is written as one ``(start, step, count)`` per axis with 0 <= start and a step that may be
negative: the form in which its adjoint is the same triple read the other way.
"""

import numpy

from nbgrad import shapes
from nbgrad.errors import ShapeError
from nbgrad.primitive import Primitive, full, structural


def as_index(spec):
    """The tuple of Python slices that a spec of triples stands for."""
    return tuple(_slice(*triple) for triple in spec)


def _slice(start, step, count):
    stop = start + step * count
    return slice(start, stop if stop >= 0 else None, step)


@structural("view", reference=lambda x, shape: x.reshape(shape))
def reshape(x, *, shape):
    """The same elements in C order under another shape."""
    return shape, x.dtype


@reshape.vjp
def reshape_vjp(g, x):
    return reshape(g, shape=x.shape)


@structural("view", reference=lambda x, axes: x.transpose(axes))
def transpose(x, *, axes):
    """Axis i of the result is axis axes[i] of x."""
    return tuple(x.shape[a] for a in axes), x.dtype


@reshape.batched
def reshape_batched(size, mapped, x, shape):
    return reshape(x, shape=(size, *shape))


@transpose.batched
def transpose_batched(size, mapped, x, axes):
    return transpose(x, axes=(0, *(a + 1 for a in axes)))


@transpose.vjp
def transpose_vjp(g, axes):
    return transpose(g, axes=shapes.inverse(axes))


@structural("view", reference=lambda x, shape: numpy.broadcast_to(x, shape))
def broadcast_to(x, *, shape):
    """x repeated along new axes and along axes of extent 1."""
    if shapes.broadcast([x.shape, shape]) != shape:
        raise ShapeError(f"broadcast_to: an array of shape {x.shape} cannot become {shape}")
    return shape, x.dtype


@broadcast_to.vjp
def broadcast_to_vjp(g, x):
    return sum_to(g, x.shape)


@structural("view", reference=lambda x, spec: x[as_index(spec)])
def slice_(x, *, spec):
    """Elements start, start + step, ... of every axis."""
    return tuple(count for _, _, count in spec), x.dtype


@broadcast_to.batched
def broadcast_to_batched(size, mapped, x, shape):
    return broadcast_to(
        reshape(x, shape=(size, *(1,) * (len(shape) + 1 - len(x.shape)), *x.shape[1:])), shape=(size, *shape)
    )


@slice_.batched
def slice_batched(size, mapped, x, spec):
    return slice_(x, spec=((0, 1, size), *spec))


@slice_.vjp
def slice_vjp(g, x, spec):
    return embed(g, shape=x.shape, spec=spec)


@structural("view", reference=lambda x, after: x)
def barrier(x, after):
    """x, which is read only when `after` has been computed, and what is made of it is not what was made of x before."""
    return x.shape, x.dtype


@barrier.batched
def barrier_batched(size, mapped, x, after):
    return barrier(x if mapped[0] else broadcast_to(x, shape=(size, *x.shape)), after)


@barrier.vjp
def barrier_vjp(g):
    return g, None


def _embed(x, shape, spec):
    out = numpy.zeros(shape, x.dtype)
    out[as_index(spec)] = x
    return out


@structural("update", reference=_embed)
def embed(x, *, shape, spec):
    """Zeros of `shape` with x in the elements that `spec` names: the adjoint of a slice."""
    return shape, x.dtype


@embed.batched
def embed_batched(size, mapped, x, shape, spec):
    return embed(x, shape=(size, *shape), spec=((0, 1, size), *spec))


@embed.vjp
def embed_vjp(g, spec):
    return slice_(g, spec=spec)


def _add_slices(x, *parts, specs):
    out = x.copy()
    for part, spec in zip(parts, specs, strict=True):
        out[as_index(spec)] += part
    return out


@structural("update", reference=_add_slices)
def add_slices(x, *parts, specs):
    """x with each part added to the elements that its spec names: a sum of embedded cotangents, made in place."""
    return x.shape, x.dtype


@add_slices.batched
def add_slices_batched(size, mapped, *xs, specs):
    return add_slices(*each_its_own(size, mapped, xs), specs=tuple(((0, 1, size), *spec) for spec in specs))


def each_its_own(size, mapped, xs):
    """Operands of which every example has its own: those that it shared with others are repeated."""
    return [x if m else broadcast_to(x, shape=(size, *x.shape)) for x, m in zip(xs, mapped, strict=True)]


@add_slices.vjp
def add_slices_vjp(g, specs):
    return (g, *(slice_(g, spec=spec) for spec in specs))


def _set_slice(x1, x2, spec):
    out = x1.copy()
    out[as_index(spec)] = x2
    return out


@structural("update", reference=_set_slice)
def set_slice(x1, x2, *, spec):
    """x1 with the elements that `spec` names replaced by x2."""
    return x1.shape, x1.dtype


@set_slice.batched
def set_slice_batched(size, mapped, *xs, spec):
    return set_slice(*each_its_own(size, mapped, xs), spec=((0, 1, size), *spec))


@set_slice.vjp
def set_slice_vjp(g, x2, spec):
    return set_slice(g, full(x2.shape, 0, g.dtype), spec=spec), slice_(g, spec=spec)


@structural("update", reference=lambda *xs, axis: numpy.concatenate(xs, axis), batch="axis")
def concatenate(*xs, axis):
    """Arrays one after another along an axis."""
    first = xs[0].shape
    return (*first[:axis], sum(x.shape[axis] for x in xs), *first[axis + 1 :]), xs[0].dtype


@concatenate.vjp
def concatenate_vjp(g, xs, axis):
    cotangents, start = [], 0
    for x in xs:
        cotangents.append(slice_(g, spec=shapes.part(x.shape, axis, (start, 1, x.shape[axis]))))
        start += x.shape[axis]
    return tuple(cotangents)


def _add_n(*xs):
    out = xs[0].copy()
    for x in xs[1:]:
        out += x
    return out


add_n = Primitive("add_n", "elementwise", reference=_add_n, domain="any", expression=" + ",
                  doc="Sum of any number of arrays of one shape, left to right.")  # fmt: skip


@add_n.vjp
def add_n_vjp(g, xs):
    return (g,) * len(xs)


def sum_to(g, shape):
    """g summed over the axes that broadcasting from `shape` added or stretched."""
    from nbgrad.kernels.reduction import sum

    if g.shape == shape:
        return g
    extra = len(g.shape) - len(shape)
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1)
    if axes:
        g = sum(g, axes=axes)
    return g if g.shape == shape else reshape(g, shape=shape)
