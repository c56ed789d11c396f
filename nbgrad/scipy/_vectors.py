"""Unknowns of any form as one vector of float64, and functions of them as compiled functions of that vector.

SciPy's solvers know vectors only.  What they call runs many times on one shape, so it is traced once and handed
contiguous ndarrays.
"""

import numpy

from nbgrad import graph, trees
from nbgrad.array import Array, _value, is_abstract
from nbgrad.autodiff.forward import jvp, vjp
from nbgrad.autodiff.grad import grad, value_and_grad
from nbgrad.compile.jit import jit
from nbgrad.errors import ArgumentError, DtypeError, GradientError, ShapeError, describe
from nbgrad.kernels.shape import concatenate, reshape


def outside_of_transforms(call):
    """GradientError where a transform or a trace is under way: what a solver finds is not part of a graph."""
    if graph.state.tracked:
        raise GradientError(
            f"{call}: called inside of grad, jit or another transform; what it finds are plain NumPy values, through "
            "which no gradient flows. Call it outside; to differentiate a solution by parameters, apply the implicit "
            "function theorem to it"
        )


def real_value(x, call, name):
    """A float64 ndarray of `x`; DtypeError for complex numbers."""
    if isinstance(x, Array):
        if is_abstract(x._node):
            outside_of_transforms(call)
        x = _value(x)
    value = graph.array_value(x, call, name)
    if value.dtype.kind == "c":
        raise DtypeError(
            f"{call}: {name} is complex, and SciPy's solvers need real unknowns; give the real and imaginary parts, as "
            f"in {{'re': z.real, 'im': z.imag}}\n    {describe(x, name)}"
        )
    return value.astype(numpy.float64)


def _is_nest(x):
    """Whether `x` is a container of arrays, not just a list of numbers."""
    if isinstance(x, (list, tuple)):
        return any(getattr(v, "shape", ()) != () or _is_nest(v) for v in x)
    return isinstance(x, dict)


class Vector:
    """How an array, or a nest of arrays, is laid out in one vector.

    Attributes
    ----------
    initial : ndarray
        The nest given, as a vector.
    plain : bool
        It was a vector, and is handed on as it is.
    """

    def __init__(self, call, name, tree):
        self.call, self.name = call, name
        leaves, self.structure = trees.flatten(tree) if _is_nest(tree) else ([tree], None)
        values = [real_value(v, call, name) for v in leaves]
        if self.structure is None:
            values[0] = numpy.atleast_1d(values[0])  # as SciPy does
        self.shapes = [v.shape for v in values]
        self.ends = numpy.cumsum([v.size for v in values], dtype=int).tolist()
        self.initial = numpy.concatenate([v.ravel() for v in values]) if values else numpy.zeros(0)
        self.plain = self.structure is None and len(self.shapes[0]) == 1
        if not self.initial.size:
            raise ShapeError(
                f"{call}: {name} has no elements, so there is nothing to solve for; {describe(tree, name)}"
            )

    def unpacked(self, x):
        """A vector (Array or ndarray) in the form of the nest."""
        if self.plain:
            return x
        starts = [0, *self.ends[:-1]]
        parts = [x[a:b].reshape(s) for a, b, s in zip(starts, self.ends, self.shapes, strict=True)]
        return trees.unflatten(self.structure, parts)

    def packed(self, tree, what):
        """A nest of the same form as a vector of float64; scalars and smaller arrays broadcast."""
        nested = self.structure is not None and isinstance(tree, (dict, list, tuple))
        try:
            leaves = self.structure.flatten_up_to(tree) if nested else [tree] * len(self.shapes)
            values = [
                numpy.broadcast_to(real_value(v, self.call, what), s).ravel()
                for v, s in zip(leaves, self.shapes, strict=True)
            ]
        except ValueError:
            raise ShapeError(
                f"{self.call}: {what} does not have the form of {self.name}, whose arrays have shapes "
                f"{self.shapes}; {describe(tree, what)}"
            ) from None
        return numpy.concatenate(values)


class Scalar:
    """A real function of a vector, with its derivatives: ``fun(vector.unpacked(x), *args)``."""

    def __init__(self, call, fun, vector, args):
        if not callable(fun):
            raise ArgumentError(f"{call}: fun must be callable, not {describe(fun)}")
        self.call, self.fun, self.vector, self.args = call, fun, vector, args
        self.value = jit(self.traced, as_numpy=True)
        self.value_and_gradient = jit(value_and_grad(self.traced), as_numpy=True)
        self.gradient = jit(grad(self.traced), as_numpy=True)
        self.hessian_product = jit(self._hessian_product, as_numpy=True)

    def traced(self, x):
        """What the solver minimises, of an Array."""
        y = self.fun(self.vector.unpacked(x), *self.args)
        y = real_result(self.call, self.fun, y)
        if y.size != 1:
            raise ShapeError(
                f"{self.call}: fun must return one number, and {_name(self.fun)} returned shape {y.shape}; reduce it, "
                f"as with .sum()\n    {describe(y, 'fun(x)')}"
            )
        return reshape(y, shape=())

    def _hessian_product(self, x, v):
        return grad(lambda x: (grad(self.traced)(x) * v).sum())(x)

    def hessian(self, x):
        """The matrix of second derivatives, column by column."""
        return _columns(self.hessian_product, x, x.size, x.size)


class Several:
    """A vector-valued function of a vector, with its Jacobian."""

    def __init__(self, call, fun, vector, args=(), kwargs=None):
        if not callable(fun):
            raise ArgumentError(f"{call}: fun must be callable, not {describe(fun)}")
        self.call, self.fun, self.vector, self.args, self.kwargs = call, fun, vector, args, kwargs or {}
        self.value = jit(self.traced, as_numpy=True)
        self._pushed = jit(lambda x, v: jvp(self.traced, x, v)[1], as_numpy=True)
        self._pulled = jit(lambda x, g: vjp(self.traced, x)[1](g)[0], as_numpy=True)
        self.weighted = jit(self._weighted, as_numpy=True)

    def traced(self, x):
        """All that `fun` returns, in one dimension."""
        y = self.fun(self.vector.unpacked(x), *self.args, **self.kwargs)
        leaves = trees.flatten(y)[0] if _is_nest(y) else [y]
        parts = []
        for leaf in leaves:
            leaf = real_result(self.call, self.fun, leaf)
            parts.append(reshape(leaf, shape=(leaf.size,)))
        return parts[0] if len(parts) == 1 else concatenate(*parts, axis=0)

    def jacobian(self, x):
        """The matrix of first derivatives, by columns or rows, whichever are fewer."""
        m, n = self.value(x).size, x.size
        if m >= n:
            return _columns(self._pushed, x, n, m)
        return numpy.ascontiguousarray(_columns(self._pulled, x, m, n).T)

    def _weighted(self, x, v, u):
        return grad(lambda x: (grad(lambda x: (self.traced(x) * v).sum())(x) * u).sum())(x)

    def hessian(self, x, v):
        """The second derivatives of the sum of the outputs times `v`."""
        v = numpy.ascontiguousarray(v, numpy.float64)
        return _columns(lambda x, u: self.weighted(x, v, u), x, x.size, x.size)


def _columns(product, x, count, height):
    """The matrix that `product` multiplies vectors with."""
    x = numpy.ascontiguousarray(x, numpy.float64)
    matrix, unit = numpy.empty((height, count)), numpy.zeros(count)
    for i in range(count):
        unit[i] = 1.0
        matrix[:, i] = product(x, unit)
        unit[i] = 0.0
    return matrix


def real_result(call, fun, y):
    """What a function returned as an Array of float64."""
    y = y if isinstance(y, Array) else Array(graph.node_of(y, call, "fun(x)"))
    if y.dtype.kind != "f":
        kind = "complex" if y.dtype.kind == "c" else f"{y.dtype}"
        hint = "return abs(z) ** 2 or real and imaginary parts" if kind == "complex" else "return floats"
        raise DtypeError(
            f"{call}: fun must return real floating-point numbers, and {_name(fun)} returned {kind} ones; {hint}\n"
            f"    {describe(y, 'fun(x)')}"
        )
    return Array(graph.cast(y._node, numpy.dtype("float64")))


def _name(fun):
    return getattr(fun, "__name__", type(fun).__name__)
