"""NumPy's protocols: what ``numpy.sin(x)`` and ``numpy.concatenate([x, y])`` mean for Arrays.

A name listed here is the name of both the NumPy function and ours.
"""

import difflib
import functools
import inspect

import numpy

from nbgrad.errors import ArgumentError

UFUNCS = (
    "absolute", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "bitwise_and",
    "bitwise_or", "bitwise_xor", "cbrt", "ceil", "conjugate", "copysign", "cos", "cosh", "deg2rad", "degrees",
    "divide", "divmod", "equal", "exp", "exp2", "expm1", "fabs", "float_power", "floor", "floor_divide", "fmax",
    "fmin", "fmod", "greater", "greater_equal", "heaviside", "hypot", "invert", "isfinite", "isinf", "isnan",
    "left_shift", "less", "less_equal", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and",
    "logical_not", "logical_or", "logical_xor", "matmul", "maximum", "minimum", "multiply", "negative", "not_equal",
    "positive", "power", "rad2deg", "radians", "reciprocal", "remainder", "right_shift", "rint", "sign", "signbit",
    "sin", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "trunc", "vecdot",
)  # fmt: skip

FUNCTIONS = (
    "all", "allclose", "amax", "amin", "any", "append", "argmax", "argmin", "argsort", "around", "array_equal",
    "array_split", "astype", "atleast_1d", "atleast_2d", "atleast_3d", "average", "broadcast_arrays",
    "broadcast_to", "clip", "column_stack", "concatenate", "copy", "count_nonzero", "cross", "cumprod", "cumsum",
    "cumulative_prod", "cumulative_sum", "diag", "diagflat", "diagonal", "diff", "dot", "dstack",
    "einsum", "empty_like", "expand_dims", "fix", "flatnonzero", "flip", "fliplr", "flipud", "full_like", "hsplit",
    "hstack", "imag", "inner", "isclose", "isneginf", "isposinf", "kron", "linspace", "logspace",
    "matrix_transpose", "max", "mean", "meshgrid", "min", "moveaxis", "nan_to_num", "ndim", "nonzero", "ones_like",
    "outer", "pad", "permute_dims", "prod", "ptp", "put_along_axis", "ravel", "real", "repeat", "reshape", "roll",
    "rollaxis", "rot90", "round", "searchsorted", "shape", "sinc", "size", "sort", "split", "squeeze", "stack",
    "std", "sum", "swapaxes", "take", "take_along_axis", "tensordot", "tile", "trace", "transpose", "trapezoid",
    "tril", "triu", "unstack", "var", "vdot", "vsplit", "vstack", "where", "zeros_like",
)  # fmt: skip

#: Modules of NumPy whose functions are reached in the same way: by the public names of ours.
SUBMODULES = ("linalg", "fft")

#: What `ufunc.reduce` and `ufunc.accumulate` are here.
REDUCE = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
}  # fmt: skip
ACCUMULATE = {"add": "cumsum", "multiply": "cumprod"}


def array_ufunc(ufunc, method, inputs, kwargs):
    """The result of a NumPy ufunc (or its reduce, accumulate, outer) on Arrays."""
    if not kwargs and method == "__call__":
        function = _calls().get(ufunc)
        if function is not None:  # the fast path
            return function(*inputs)
    import nbgrad.numpy

    name, kwargs = ufunc.__name__, dict(kwargs)
    _refuse(f"numpy.{name}", kwargs)
    if _ufuncs().get(name) is not ufunc:
        raise _unsupported(f"numpy.{name}", name, _ufuncs())
    function = getattr(nbgrad.numpy, name)
    for word in ("casting", "order", "subok", "signature"):
        kwargs.pop(word, None)
    dtype = kwargs.pop("dtype", None)
    if method == "__call__":
        if dtype is not None:
            inputs = [nbgrad.numpy.asarray(x, dtype) for x in inputs]
        return function(*inputs, **kwargs)
    if method == "reduce" and name in REDUCE:
        if dtype is not None and name in ("add", "multiply"):
            kwargs["dtype"] = dtype
        if kwargs.pop("initial", None) is not None:
            raise TypeError(f"numpy.{name}.reduce: initial= is not supported on Arrays; combine it with the result")
        x, *rest = inputs
        axis = kwargs.pop("axis", rest[0] if rest else 0)
        return getattr(nbgrad.numpy, REDUCE[name])(x, axis, **kwargs)
    if method == "accumulate" and name in ACCUMULATE:
        x, *rest = inputs
        return getattr(nbgrad.numpy, ACCUMULATE[name])(x, kwargs.get("axis", rest[0] if rest else 0), dtype)
    if method == "outer" and len(inputs) == 2:
        a, b = (nbgrad.numpy.asarray(x) for x in inputs)
        return function(nbgrad.numpy.reshape(a, a.shape + (1,) * b.ndim), b)
    advice = {
        "at": "x = ng.numpy.add_at(x, index, v), or x[index] = v, change a copy",
        "reduceat": "ng.numpy.segment_sum(data, ids, n) sums segments",
    }.get(method, "write it with the functions of ng.numpy")
    raise TypeError(f"numpy.{name}.{method}: not supported on Arrays; {advice}")


def array_function(func, args, kwargs):
    """The result of a NumPy function on Arrays."""

    name, kwargs = func.__name__, dict(kwargs)
    path = f"{getattr(func, '__module__', None) or 'numpy'}.{name}"
    target = _functions().get(func)
    if target is None:
        raise _unsupported(path, name, {f.__name__: f for f in _functions()})
    _refuse(path, kwargs)
    if not args and kwargs:  # the first argument by NumPy's name for it
        first = next(iter(inspect.signature(func).parameters))
        if first in kwargs:
            args = (kwargs.pop(first),)
    try:
        inspect.signature(target).bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentError(f"{path}: on Arrays this is ng.numpy.{target.__name__}, where {error}") from None
    return target(*args, **kwargs)


def _refuse(call, kwargs):
    """Errors for the keywords that have no meaning for lazy values; their defaults are dropped."""
    out = kwargs.pop("out", None)
    if out is not None and any(o is not None for o in (out if isinstance(out, tuple) else (out,))):
        raise TypeError(
            f"{call}: out= is not supported on Arrays, whose values are computed later; use the result. "
            "An in-place operator on a NumPy array, as in `a += x`, means out= too: write `a = a + x`"
        )
    where = kwargs.pop("where", True)
    if where is not True and where is not numpy._NoValue:
        raise TypeError(f"{call}: where= is not supported on Arrays; use ng.numpy.where(condition, result, other)")
    for word in [w for w, value in kwargs.items() if value is numpy._NoValue]:
        del kwargs[word]


def _unsupported(path, name, known):
    import nbgrad.numpy

    close = [n for n in difflib.get_close_matches(name, [*known, *nbgrad.numpy.__all__], 3, 0.6) if n != name]
    listed = ", ".join("ng.numpy." + n for n in dict.fromkeys(close))
    nearest = f"nearest are {listed}" if close else "write it with functions of ng.numpy"
    return TypeError(
        f"{path}: not supported on Arrays, so that it has no gradient; {nearest}. "
        f"Where no gradient is needed, give it a NumPy array: {path}(x.numpy())"
    )


@functools.cache
def _ufuncs():
    return {getattr(numpy, name).__name__: getattr(numpy, name) for name in UFUNCS if hasattr(numpy, name)}


@functools.cache
def _calls():
    """Our function under each NumPy ufunc."""
    import nbgrad.numpy

    return {ufunc: getattr(nbgrad.numpy, name) for name, ufunc in _ufuncs().items() if hasattr(nbgrad.numpy, name)}


@functools.cache
def _functions():
    """Our function under each NumPy function."""
    import nbgrad.numpy

    table = {}
    for name in FUNCTIONS:
        if hasattr(numpy, name) and hasattr(nbgrad.numpy, name):
            table[getattr(numpy, name)] = getattr(nbgrad.numpy, name)
    for module in SUBMODULES:
        theirs, ours = getattr(numpy, module), getattr(nbgrad.numpy, module)
        table.update({getattr(theirs, name): getattr(ours, name) for name in ours.__all__ if hasattr(theirs, name)})
    return table
