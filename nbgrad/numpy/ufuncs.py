"""The methods of NumPy's ufuncs on Arrays: calls with keywords, reduce, accumulate, reduceat, outer and at.

NumPy has checked by then that the ufunc takes as many arguments as the method needs.  `function` is always our function
under the name of `ufunc`.
"""

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array, _value
from nbgrad.errors import ArgumentError, describe
from nbgrad.kernels import indexing as kernels
from nbgrad.numpy import reductions, segments
from nbgrad.numpy._arguments import as_array, as_dtype, as_indices, cast, leaf
from nbgrad.numpy._out import check_cast, check_plain, delivered
from nbgrad.numpy.elementwise import where as select
from nbgrad.numpy.indexing import add_at, concrete
from nbgrad.numpy.manipulation import broadcast_to, concatenate, moveaxis, ravel, reshape

#: What `reduce` and `accumulate` are here.
REDUCE = {"add": reductions.sum, "multiply": reductions.prod, "maximum": reductions.max, "minimum": reductions.min,
          "logical_and": reductions.all, "logical_or": reductions.any}  # fmt: skip
ACCUMULATE = {"add": reductions.cumsum, "multiply": reductions.cumprod}
#: f(f(a, b), c) == f(a, f(b, c)) and f(a, b) == f(b, a): the order of a reduction is free.
ASSOCIATIVE = frozenset((
    "add", "multiply", "maximum", "minimum", "fmax", "fmin", "logaddexp", "logaddexp2", "hypot", "logical_and",
    "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm",
))  # fmt: skip
_MISSING = numpy._NoValue


def call(ufunc, function, *inputs, out=None, where=True, dtype=None, casting="same_kind", signature=None, sig=None,
         order="K", subok=True, **more):  # fmt: skip
    """``ufunc(*inputs, ...)``.

    Where the mask `where` does not hold the result is what `out` held, or 0 without `out`, where NumPy leaves it
    undefined; nothing is computed there, so that no gradient comes from there either.
    """
    name = f"numpy.{ufunc.__name__}"
    outs = out if isinstance(out, tuple) else (out,) * ufunc.nout
    signature = sig if signature is None else signature
    kinds = None
    if dtype is not None or signature is not None or casting != "same_kind":
        inputs, kinds = _loop(ufunc, inputs, dtype, casting, signature)
    if where is not True:
        where = cast(as_array(where, name, "where"), dtypes.BOOL)
        inputs = [_guarded(x, where) for x in inputs]
    results = function(*inputs, **more)
    results = list(results) if isinstance(results, tuple) else [results]
    for i, target in enumerate(outs):
        y = results[i]
        if kinds is not None:
            y = cast(y, as_dtype(kinds[ufunc.nin + i], name))
        if where is not True:
            y = _kept(name, y, where, target, casting)
        results[i] = delivered(name, y, target, casting, stretch=True)
    return results[0] if len(results) == 1 else tuple(results)


def _guarded(x, where):
    """`x` with ones where nothing is computed: what would come from there is no part of any gradient."""
    if not isinstance(x, Array):
        x = x if type(x) in dtypes.WEAK else as_array(x, "where=")
    return select(where, x, Array(graph.scalar(1, x.dtype))) if isinstance(x, Array) else x


def _kept(name, y, where, target, casting):
    if target is None:
        return select(where, y, Array(graph.scalar(0, y.dtype)))
    check_cast(name, y.dtype, target.dtype, casting)
    return select(where, cast(y, target.dtype), as_array(target, name, "out"))


def _loop(ufunc, inputs, dtype, casting, signature):
    """The inputs in the dtypes that NumPy computes in, and all of these."""
    inputs = [x if type(x) in dtypes.WEAK else as_array(x, f"numpy.{ufunc.__name__}") for x in inputs]
    kinds = [_kind(x) for x in inputs]
    signature = _signature(ufunc, (dtype,) if dtype is not None or signature is None else signature)
    found = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout), signature=signature, casting=casting)
    return [cast(as_array(x, ufunc.__name__), as_dtype(d, ufunc.__name__))
            for x, d in zip(inputs, found, strict=False)], found  # fmt: skip


def _signature(ufunc, signature):
    if isinstance(signature, str):
        signature = tuple(signature.replace("->", ""))
    if len(signature) == 1:
        signature = (None,) * ufunc.nin + tuple(signature) * ufunc.nout
    return tuple(None if s is None else numpy.dtype(s) for s in signature)


def _kind(x):
    """What decides about promotion: the dtype, or the type of a Python number."""
    return (type(x) if type(x) is not bool else dtypes.BOOL) if type(x) in dtypes.WEAK else x.dtype


def outer(ufunc, function, x1, x2, **kwargs):
    """``ufunc(x1_i, x2_j)`` for all pairs of elements."""
    x1, x2 = as_array(x1, f"numpy.{ufunc.__name__}.outer", "x1"), as_array(x2, f"numpy.{ufunc.__name__}.outer", "x2")
    return call(ufunc, function, reshape(x1, x1.shape + (1,) * x2.ndim), x2, **kwargs)


# ---------------------------------------------------------------- reductions


def reduce(ufunc, function, array, axis=0, dtype=None, out=None, keepdims=False, initial=_MISSING, where=True):
    """``ufunc`` put between the elements along axes."""
    name = f"numpy.{ufunc.__name__}.reduce"
    x = as_array(array, name)
    if x.ndim == 0 and axis in (0, -1):
        axis = ()
    known = REDUCE.get(ufunc.__name__)
    if known is None:
        return delivered(name, _folded(ufunc, function, x, axis, dtype, keepdims, initial, where), out)
    keywords = {"keepdims": keepdims, "where": where, "out": out}
    if ufunc.__name__ in ("add", "multiply"):
        keywords["dtype"] = dtype
    elif dtype is not None:
        x = cast(x, as_dtype(dtype, name))
    if known in (reductions.any, reductions.all):
        if initial is not _MISSING:
            keywords["out"] = None
            return delivered(name, function(initial, known(x, axis, **keywords)), out)
    elif initial is not _MISSING:
        keywords["initial"] = initial
    return known(x, axis, **keywords)


def _folded(ufunc, function, x, axis, dtype, keepdims, initial, where):
    name, associative = f"numpy.{ufunc.__name__}.reduce", ufunc.__name__ in ASSOCIATIVE
    axes = shapes.axes(name, axis, x.ndim)
    if len(axes) > 1 and not associative:
        raise ValueError(
            f"{name}: reduction operation {ufunc.__name__!r} is not reorderable, so at most one axis may be specified; "
            f"got axis {axes}"
        )
    x = _loop_of_reduction(ufunc, x, dtype)
    start = ufunc.identity if initial is _MISSING or initial is None else initial
    if where is not True and (start is None or not associative):
        raise ValueError(
            f"{name}: reduction operation {ufunc.__name__!r} does not have an identity that could stand where the mask "
            "does not hold; give initial=, or take the elements first, as x[mask]"
        )
    if where is not True:
        x = select(cast(as_array(where, name, "where"), dtypes.BOOL), x, _scalar(start, x.dtype))
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    rows = reshape(x.transpose((*axes, *rest)), (shapes.size(x.shape[a] for a in axes), *(x.shape[a] for a in rest)))
    n = rows.shape[0]
    if n == 0:
        if start is None:
            raise ValueError(f"{name}: zero-size array to reduction operation {ufunc.__name__} which has no identity")
        y = broadcast_to(_scalar(start, x.dtype), rows.shape[1:])
    else:
        if initial is not _MISSING and initial is not None:
            head = broadcast_to(_scalar(initial, rows.dtype), (1, *rows.shape[1:]))
            rows, n = concatenate([head, rows]), n + 1
        y = segments.reduced(function, rows, numpy.array([n]), associative)[0]
    return reshape(y, shapes.kept(x.shape, axes)) if keepdims else y


def _scalar(value, dtype):
    return cast(as_array(value, "initial"), dtype)


def _loop_of_reduction(ufunc, x, dtype):
    """`x` in the dtype that NumPy reduces in."""
    name = ufunc.__name__
    if name in ("add", "multiply") and dtype is None:
        return reductions._wide(x, None, name)
    signature = (None, None, None if dtype is None else numpy.dtype(dtype))
    found = ufunc.resolve_dtypes((None, x.dtype, None), signature=signature, reduction=True)
    return cast(x, as_dtype(found[-1], name))


def accumulate(ufunc, function, array, axis=0, dtype=None, out=None):
    """The results of `reduce` after every element along an axis."""
    name = f"numpy.{ufunc.__name__}.accumulate"
    x = as_array(array, name)
    axis = shapes.axis(name, axis, x.ndim)
    known = ACCUMULATE.get(ufunc.__name__)
    if known is not None:
        return delivered(name, known(x, axis, dtype), out)
    rows = moveaxis(_loop_of_reduction(ufunc, x, dtype), axis, 0)
    y = segments.accumulated(function, rows, ufunc.__name__ in ASSOCIATIVE)
    return delivered(name, moveaxis(y, 0, axis), out)


def reduceat(ufunc, function, array, indices, axis=0, dtype=None, out=None):
    """`reduce` from each index to the next one, or the element alone where that is not behind it."""
    name = f"numpy.{ufunc.__name__}.reduceat"
    x = as_array(array, name)
    axis = shapes.axis(name, axis, x.ndim)
    n, starts = x.shape[axis], _positions(indices, name)
    if starts.ndim != 1:
        raise ArgumentError(f"{name}: indices must have 1 dimension, got shape {starts.shape}")
    if starts.size and not 0 <= starts.min() <= starts.max() < n:
        bad = starts[(starts < 0) | (starts >= n)][0]
        raise IndexError(f"{name}: index {bad} out-of-bounds [0, {n})")
    ends = numpy.append(starts[1:], n)[: len(starts)]
    lengths = numpy.maximum(ends - starts, 1)
    at = numpy.repeat(starts - (numpy.cumsum(lengths) - lengths), lengths) + numpy.arange(lengths.sum())
    rows = kernels.take(moveaxis(_loop_of_reduction(ufunc, x, dtype), axis, 0), leaf(at), axis=0)
    if ufunc is numpy.add:
        zeros = Array(graph.constant(0, rows.dtype, (len(starts), *rows.shape[1:])))
        y = kernels.scatter_add(zeros, leaf(numpy.repeat(numpy.arange(len(starts)), lengths)), rows, axis=0)
    else:
        y = segments.reduced(function, rows, lengths, ufunc.__name__ in ASSOCIATIVE)
    return delivered(name, moveaxis(y, 0, axis), out)


def _positions(indices, name):
    indices = as_indices(indices, name, "indices")
    if indices.dtype.kind not in "iu" and indices.size:
        raise IndexError(f"{name}: indices must be integers; {describe(indices, 'indices')}")
    return concrete(indices, name, "indices").astype(numpy.int64)


# ---------------------------------------------------------------- at


def at(ufunc, function, target, index, *operand):
    """``target[index] = ufunc(target[index], operand)`` with repeated elements done as often; `target` is rebound.

    Additions and subtractions are one scatter, and the index may be traced.  Others need its values: operands for one
    element are joined first where the order is free, else taken one after another.
    """
    name = f"numpy.{ufunc.__name__}.at"
    if not isinstance(target, Array):
        check_plain(name, *operand, *_arrays_in(index))
        ufunc.at(target, *[_plain(i) for i in (index, *operand)])
        return
    operand = [as_array(v, name, "v") for v in operand]
    found = ufunc.resolve_dtypes((target.dtype, *(v.dtype for v in operand), target.dtype), casting="same_kind")
    if ufunc in (numpy.add, numpy.subtract):
        v = cast(operand[0], target.dtype)
        target._rebind(add_at(target, index, -v if ufunc is numpy.subtract else v))
        return
    where = numpy.arange(target.size).reshape(target.shape)[_plain(index, name)]
    flat = ravel(target)
    places, order, counts = _grouped(where.ravel())
    if not len(places):
        return
    if operand:
        v = ravel(broadcast_to(cast(operand[0], as_dtype(found[1], name)), where.shape))
        old = cast(kernels.take(flat, leaf(places), axis=0), v.dtype)
        lengths = counts + 1
        source = len(places) + order
        source = numpy.insert(source, numpy.cumsum(counts) - counts, numpy.arange(len(places)))
        rows = kernels.take(concatenate([old, v]), leaf(source), axis=0)
        made = segments.reduced(function, rows, lengths, ufunc.__name__ in ASSOCIATIVE)
        flat = kernels.put(flat, leaf(places), cast(made, target.dtype), axis=0)
    else:
        for step in range(counts.max()):
            again = leaf(places[counts > step])
            made = function(kernels.take(flat, again, axis=0))
            flat = kernels.put(flat, again, cast(made, target.dtype), axis=0)
    target._rebind(reshape(flat, target.shape))


def _grouped(flat):
    """(the different indices, the order that brings equal ones together, how many there are of each)."""
    places, counts = numpy.unique(flat, return_counts=True)
    return places, numpy.argsort(flat, kind="stable"), counts


def _arrays_in(index):
    return index if isinstance(index, tuple) else (index,)


def _plain(index, name=None):
    """An index, or an operand, with ndarrays in place of Arrays."""
    if isinstance(index, tuple):
        return tuple(_plain(i, name) for i in index)
    if isinstance(index, Array):
        return concrete(index, name, "the index") if name else _value(index)
    return index
