"""Derivatives of roots and fixed points by the implicit function theorem, whatever found them.

Where f(x, a) = 0, dx = -(df/dx)^-1 (df/da) da; so a cotangent g of x is pulled back to that of a through one linear
equation, (df/dx)^T u = g, and one pullback of f (Griewank & Walther 2008, Evaluating derivatives, chapter 15).
"""

import dataclasses

import numpy

from nbgrad import graph, shapes, trees
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.graph import Node
from nbgrad.kernels.casting import identity, stop_gradient


def implicit_root(fn, solve, linear_solve=None):
    """A function that finds a root by any means, and has derivatives.

    Parameters
    ----------
    fn : callable
        ``fn(x, *args)``, of which x is the root: it returns what is to be zero, a nest like `x` of the same shapes.
    solve : callable
        ``solve(f, x0) -> x`` finds a root of ``f(x) = fn(x, *args)`` from a guess.  No derivative passes it: it may
        read values, loop until it is content, or call SciPy.
    linear_solve : callable, optional
        ``linear_solve(product, b) -> u`` solves ``product(u) = b``, where the product with the transposed Jacobian of
        `fn` is a function of one-dimensional Arrays.  Unless given, the Jacobian is made and factorised.

    Returns
    -------
    callable
        ``root(x0, *args) -> x``, differentiable by `args` to any order, in either mode; not by the guess.

    Raises
    ------
    ShapeError
        If `fn` does not return what is like `x`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> def newton(f, x):
    ...     while abs(float(f(x))) > 1e-12:
    ...         x = x - f(x) / ng.grad(f)(x)
    ...     return x
    >>> root = ng.implicit_root(lambda x, a: x * x - a, newton)
    >>> x0, a = ng.asarray(1.0), ng.asarray(4.0)
    >>> print(f"{float(root(x0, a)):.6f} {float(ng.grad(root, 1)(x0, a)):.6f}")
    2.000000 0.250000
    """
    return _Solved("implicit_root", fn, fn, solve, linear_solve)


def implicit_fixed_point(fn, solve, linear_solve=None):
    """A function that finds a fixed point by any means, and has derivatives.

    Parameters
    ----------
    fn : callable
        ``fn(x, *args)``, which returns x where x is the fixed point.
    solve : callable
        ``solve(f, x0) -> x`` finds a fixed point of ``f(x) = fn(x, *args)`` from a guess.  No derivative passes it.
    linear_solve : callable, optional
        As for `implicit_root`, of ``fn(x, *args) - x``.

    Returns
    -------
    callable
        ``fixed_point(x0, *args) -> x``, differentiable by `args`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> def iterate(f, x):
    ...     for _ in range(100):
    ...         x = f(x)
    ...     return x
    >>> kepler = ng.implicit_fixed_point(lambda e, m: m + 0.5 * np.sin(e), iterate)
    >>> m = ng.asarray(1.0)
    >>> e = kepler(m, m)
    >>> print(f"{float(e):.6f} {float(ng.grad(kepler, 1)(m, m)):.6f} {1 / (1 - 0.5 * float(np.cos(e))):.6f}")
    1.498701 1.037362 1.037362
    """
    return _Solved("implicit_fixed_point", fn, _Difference(fn), solve, linear_solve)


@dataclasses.dataclass(frozen=True)
class _Difference:
    """fn(x, ...) - x."""

    fn: object

    def __call__(self, x, *args):
        made = self.fn(x, *args)
        leaves, structure = trees.flatten(made)
        return trees.unflatten(structure, [a - b for a, b in zip(leaves, trees.flatten(x)[0], strict=True)])


class _Solved:
    """A solver with derivatives."""

    def __init__(self, call, fn, residual, solve, linear_solve):
        for name, value in (("fn", fn), ("solve", solve), ("linear_solve", linear_solve)):
            if not callable(value) and not (name == "linear_solve" and value is None):
                raise ArgumentError(f"{call}: {name} must be callable, got {describe(value)}")
        self.call, self.fn, self.residual, self.solve, self.linear_solve = call, fn, residual, solve, linear_solve
        self.__name__ = self.__qualname__ = f"{call}_of_{getattr(fn, '__name__', type(fn).__name__)}"

    def __call__(self, x0, *args):
        leaves, structure = trees.flatten(args)
        given = [graph.node_of(a, self.call, "an argument") for a in leaves]
        start = next(graph.serials)
        still = trees.unflatten(structure, [stop_gradient(Array(n)) for n in given]) if leaves else args
        x = self.solve(lambda x: self.fn(x, *still), x0)
        found, x_structure = trees.flatten(x)
        roots = [graph.node_of(v, self.call, "what solve returned") for v in found]
        for n in roots:
            if n.dtype.kind != "f":
                raise DtypeError(f"{self.call}: solve returned {n.dtype}, expected floats\n    {describe(n, 'x')}")
        args = trees.unflatten(structure, [Array(n) for n in given]) if leaves else args
        left = self._residual(trees.unflatten(x_structure, [Array(n) for n in roots]), args, roots)
        around = ruled.enclosed(left, [*given, *roots], start)
        rule = ByRoot(self, structure, x_structure, (len(roots), len(given)))
        made = ruled.results(rule, (*roots, *given, *around), len(roots))
        return trees.unflatten(x_structure, [Array(n) for n in made])

    def _residual(self, x, args, roots):
        """The nodes of the residual, which are like those of x."""
        left = [graph.node_of(v, self.call, "what fn returned") for v in trees.flatten(self.residual(x, *args))[0]]
        if [n.shape for n in left] != [n.shape for n in roots]:
            raise ShapeError(
                f"{self.call}: fn must return what is like x, with shapes {[n.shape for n in roots]}, not "
                f"{[n.shape for n in left]}"
            )
        return left


@dataclasses.dataclass(frozen=True)
class ByRoot(ruled.Rule):
    """Inputs are the parts of the root, the arguments, and what the function closes over."""

    solved: _Solved
    structure: object
    x_structure: object
    counts: tuple

    def pull(self, cotangents, inputs, needed):
        """See `Rule`."""
        from nbgrad.kernels.shape import concatenate, reshape

        n, m = self.counts
        ruled.refuse_enclosed(self.solved.call, inputs[n + m :], needed)
        fresh = lambda x: Node(identity, (x,), (), x.shape, x.dtype, None, True)  # noqa: E731
        xs = [fresh(x) for x in ruled.results(self, inputs, n)]  # of which derivatives are by this rule, again
        args = [fresh(x) for x in inputs[n : n + m]]
        wanted = [a for a, x in zip(args, inputs[n : n + m], strict=True) if x in needed]
        given = trees.unflatten(self.structure, [Array(a) for a in args]) if args else ()
        left = self.solved._residual(trees.unflatten(self.x_structure, [Array(x) for x in xs]), given, xs)

        def flat(nodes):
            parts = [reshape(Array(v), shape=(shapes.size(v.shape),)) for v in nodes]
            return parts[0] if len(parts) == 1 else concatenate(*parts, axis=0)

        residual = flat([graph.cast(v, xs[0].dtype) for v in left])
        seed = flat([graph.cast(cotangents.get(k) or backward.zeros(x), xs[0].dtype) for k, x in enumerate(xs)])
        if self.solved.linear_solve is None:
            u = _solved(residual._node, xs, seed, flat)
        else:
            u = self.solved.linear_solve(lambda v: flat(_pulled(residual._node, v._node, xs)), seed)
        by = dict(zip(wanted, backward.sweep([residual._node], [(-u)._node], wanted, stops=wanted), strict=True))
        found = [by.get(a) for a in args]
        return (*(None,) * n, *(None if c is None else Array(c) for c in found), *(None,) * (len(inputs) - n - m))

    def batched(self, inputs, mapped, size):
        """See `Rule`."""
        from nbgrad.autodiff.custom import stacked

        return stacked(self, inputs, mapped, size)


def _pulled(residual, seed, xs):
    found = backward.sweep([residual], [seed], xs, stops=xs)
    return [backward.zeros(x) if c is None else c for c, x in zip(found, xs, strict=True)]


def _solved(residual, xs, seed, flat):
    """u with the transposed Jacobian times u = seed: its rows are pulled back all at once."""
    from nbgrad.batching.rules import everywhere, of_graph
    from nbgrad.kernels.linalg import solve, swap_last
    from nbgrad.kernels.shape import reshape

    size = seed.shape[0]
    one = Node(None, (), (), (size,), seed.dtype, None, True)
    rows = graph.table(numpy.eye(size, dtype=seed.dtype))
    (nodes,), (many,) = of_graph([flat(_pulled(residual, one, xs))._node], [one], [rows], size)
    matrix = Array(nodes if many else everywhere(nodes, size))
    return reshape(solve(swap_last(matrix), reshape(seed, shape=(size, 1))), shape=(size,))
