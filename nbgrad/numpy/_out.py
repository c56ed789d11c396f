"""Results that go where the caller says: `out=`, and functions that change their first argument."""

import numpy

from nbgrad.array import Array, _value, is_abstract
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.numpy._arguments import cast
from nbgrad.numpy.manipulation import broadcast_to


def delivered(call, result, out, casting="same_kind", stretch=False):
    """`result` in `out`, which is returned; `result` itself where `out` is None.

    An Array is bound to the result, as by ``out[...] = result``; an ndarray gets the values, unless that would lose a
    gradient or they are not known.  `stretch` allows an `out` that the result broadcasts to.
    """
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if out is None:
        return result
    if not isinstance(out, (Array, numpy.ndarray)):
        raise ArgumentError(f"{call}: out must be an Array or a NumPy array, not {describe(out)}")
    assign(call, out, fitted(call, result, out, casting, stretch))
    return out


def fitted(call, result, out, casting="same_kind", stretch=False):
    """`result` in the dtype and shape of `out`, where NumPy would write it there."""
    check_cast(call, result.dtype, out.dtype, casting)
    if result.shape != out.shape and not (stretch and _broadcasts(result.shape, out.shape)):
        raise ShapeError(
            f"{call}: the result has shape {result.shape}, which does not fit the array of shape {out.shape} that it "
            "goes to"
        )
    return broadcast_to(cast(result, out.dtype), out.shape)


def assign(call, target, result):
    """Bind the Array `target` to `result`, of its shape and dtype; write the values into an ndarray."""
    if isinstance(target, Array):
        target._rebind(result)
        return
    check_plain(call, result)
    target[...] = _value(result)


def check_plain(call, *arrays):
    """An error unless the Arrays among `arrays` have values that a NumPy array can hold without losing a gradient."""
    for x in arrays:
        if isinstance(x, Array) and (x._node.history or is_abstract(x._node)):
            raise ArgumentError(
                f"{call}: out= cannot be a NumPy array while the result is traced or differentiated, whose values are "
                "computed later and which would lose its gradient; use the result. An in-place operator on a NumPy "
                "array, as in `a += x`, means out= too: write `a = a + x`, or begin with `a = ng.asarray(a)`.\n"
                f"    {describe(x, 'x')}"
            )


def check_cast(call, source, target, casting):
    """DtypeError where NumPy's rule `casting` forbids the cast of a result."""
    if not numpy.can_cast(source, target, casting):
        raise DtypeError(
            f"{call}: cannot cast from {source} to {target} with casting rule {casting!r}; "
            f"cast the result with .astype({str(target)!r}), or write to an array of {source}"
        )


def _broadcasts(shape, target):
    try:
        return numpy.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
