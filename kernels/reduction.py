"""Reductions over axes.  The result lacks the reduced axes; `keepdims` is a reshape on top."""

import numpy

from nbgrad import shapes
from nbgrad.dtypes import BOOL, INT64
from nbgrad.errors import ShapeError
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.casting import astype
from nbgrad.kernels.cumulative import cumprod, flip, lanes, shift
from nbgrad.kernels.shape import broadcast_to, reshape, transpose
from nbgrad.primitive import structural


def _reduced(x, axes):
    return () if len(axes) == len(x.shape) else shapes.without(x.shape, axes)


def _spread(g, x, axes):
    """g, which lacks the reduced axes, in the shape of x."""
    return broadcast_to(reshape(g, shape=shapes.kept(x.shape, axes)), shape=x.shape)


@structural("reduction", reference=lambda x, axes: numpy.sum(x, axis=axes, dtype=x.dtype), batch="axes")
def sum(x, *, axes):
    """Sum, blocked so that its error is that of pairwise summation."""
    return _reduced(x, axes), x.dtype


@sum.vjp
def sum_vjp(g, x, axes):
    return _spread(g, x, axes)


@structural("reduction", reference=lambda x, axes: numpy.prod(x, axis=axes, dtype=x.dtype), batch="axes")
def prod(x, *, axes):
    """Product."""
    return _reduced(x, axes), x.dtype


@prod.vjp
def prod_vjp(g, x, axes):
    # The product of all others, without a division, so that zeros in x do no harm.
    others = tuple(i for i in range(len(x.shape)) if i not in axes)
    order = others + axes
    moved = transpose(x, axes=order)
    flat = reshape(moved, shape=(*(x.shape[i] for i in others), shapes.size(x.shape[i] for i in axes)))
    last = len(others)
    left, right = exclusive_cumprod(flat), flip(exclusive_cumprod(flip(flat, last)), last)
    rest = reshape(left * right, shape=moved.shape)
    return _spread(g, x, axes) * transpose(rest, axes=shapes.inverse(order))


def exclusive_cumprod(x):
    """Products of the elements before each along the last axis; 1 for the first."""
    return shift(cumprod(x, axis=len(x.shape) - 1), len(x.shape) - 1, 1.0)


def _some(call, x, axes):
    """Say so where nothing is there to choose from."""
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(
            f"{call}: there is no element along axis {axes if len(axes) != 1 else axes[0]} of an array of shape "
            f"{x.shape} to choose; give initial=, or leave empty arrays out"
        )


@structural("reduction", reference=lambda x, axes: numpy.max(x, axis=axes), batch="axes")
def max(x, *, axes):
    """Largest element; nan if there is one."""
    _some("max", x, axes)
    return _reduced(x, axes), x.dtype


@structural("reduction", reference=lambda x, axes: numpy.min(x, axis=axes), batch="axes")
def min(x, *, axes):
    """Smallest element; nan if there is one."""
    _some("min", x, axes)
    return _reduced(x, axes), x.dtype


@max.vjp
@min.vjp
def extremum_vjp(g, y, x, axes):
    ties = astype(x == _spread(y, x, axes), dtype=g.dtype)
    return _spread(g / sum(ties, axes=axes), x, axes) * ties


@structural("reduction", reference=lambda x, axes: numpy.any(x, axis=axes), differentiable=False, batch="axes")
def any(x, *, axes):
    """Whether any element is true."""
    return _reduced(x, axes), BOOL


@structural("reduction", reference=lambda x, axes: numpy.all(x, axis=axes), differentiable=False, batch="axes")
def all(x, *, axes):
    """Whether all elements are true."""
    return _reduced(x, axes), BOOL


@structural("array", reference=lambda x, axis: numpy.argmax(x, axis=axis), differentiable=False, batch="axis")
def argmax(x, *, axis):
    """Index of the first largest element (of the first nan, if there is one)."""
    _some("argmax", x, (axis,))
    return _reduced(x, (axis,)), INT64


@argmax.array_kernel(lanes)
def argmax_kernel(x, out, n, inner, start, stop):
    for lane in range(start, stop):
        base = lane // inner * n * inner + lane % inner
        best, found = get(x, base), 0
        for t in range(1, n):
            value = get(x, base + t * inner)
            if best == best and ((value > best) or value != value):
                best, found = value, t
        put_at(out, lane, found)


@structural("array", reference=lambda x, axis: numpy.argmin(x, axis=axis), differentiable=False, batch="axis")
def argmin(x, *, axis):
    """Index of the first smallest element (of the first nan, if there is one)."""
    _some("argmin", x, (axis,))
    return _reduced(x, (axis,)), INT64


@argmin.array_kernel(lanes)
def argmin_kernel(x, out, n, inner, start, stop):
    for lane in range(start, stop):
        base = lane // inner * n * inner + lane % inner
        best, found = get(x, base), 0
        for t in range(1, n):
            value = get(x, base + t * inner)
            if best == best and ((value < best) or value != value):
                best, found = value, t
        put_at(out, lane, found)
