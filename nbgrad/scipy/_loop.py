"""Python loops over compiled steps, and calls of SciPy, as primitives: what they call is compiled, they are not.

Their functions are traced on inputs of their own, so everything that is differentiated has to come in as an argument.
"""

import contextlib

import numpy

from nbgrad import graph, shapes, trees
from nbgrad.array import Array, _value
from nbgrad.autodiff.forward import vjp
from nbgrad.compile.jit import jit
from nbgrad.errors import ArgumentError, DtypeError, GradientError, describe
from nbgrad.graph import Node, state
from nbgrad.kernels.cumulative import flip
from nbgrad.kernels.shape import concatenate, reshape, slice_
from nbgrad.primitive import full, structural

FLOAT64 = numpy.dtype("float64")


@contextlib.contextmanager
def on_values():
    """Inside, what is called runs on values: nothing of what is traced around it is its concern."""
    before = state.tracked, state.static, state.scope, state.device
    state.tracked, state.static, state.scope, state.device = 0, False, "", None
    try:
        yield
    finally:
        state.tracked, state.static, state.scope, state.device = before


@contextlib.contextmanager
def lazily():
    """Inside, transforms build graphs and compute nothing."""
    state.tracked += 1
    try:
        yield
    finally:
        state.tracked -= 1


class Packed:
    """Nested arguments as one vector of float64 and things that stay as they are.

    Floats and arrays of floats go into the vector, `Packed.vector`; with `integers`, those of integers do, too.
    """

    def __init__(self, call, tree, integers=False):
        leaves, self.structure = trees.flatten(tree)
        self.slots, self.arrays, parts, at = [], [], [], 0
        for leaf in leaves:
            number = isinstance(leaf, (Array, numpy.ndarray, numpy.generic, float, complex))
            if not number and not (integers and isinstance(leaf, (int, list, tuple))):
                self.slots.append((leaf, None, None))
                continue
            x = Array(graph.node_of(leaf, call, "an argument"))
            if x.dtype.kind == "c":
                raise DtypeError(
                    f"{call}: complex numbers have no place here; give real and imaginary parts\n    {describe(x)}"
                )
            if x.dtype.kind != "f" and not integers:
                self.slots.append((leaf, None, None))
                continue
            self.slots.append((None, at, x.shape))
            self.arrays.append(x)
            at += x.size
            parts.append(reshape(Array(graph.cast(x._node, FLOAT64)), shape=(x.size,)))
        self.vector = joined(parts)

    def value(self):
        """The vector as an ndarray; what is read are the arrays given, so that the graph of `vector` stays."""
        return numpy.concatenate([numpy.zeros(0), *(_value(x).ravel() for x in self.arrays)])

    def unpacked(self, vector):
        """The nest, with parts of an Array in the place of its numbers."""
        leaves = [
            leaf if at is None else reshape(cut(vector, at, at + shapes.size(shape)), shape=shape)
            for leaf, at, shape in self.slots
        ]
        return trees.unflatten(self.structure, leaves)


def joined(parts):
    """Vectors as one."""
    parts = [p for p in parts if p.size] or [full((0,), 0.0, FLOAT64)]
    return parts[0] if len(parts) == 1 else concatenate(*parts, axis=0)


def cut(x, start, stop):
    """x[..., start:stop]."""
    spec = shapes.part(x.shape, x.ndim - 1, (start, 1, stop - start))
    return slice_(x, spec=spec)


class Closed:
    """A function of vectors as the graph that it makes, which no longer depends on the function.

    Parameters
    ----------
    function : callable
        Takes Arrays of float64, returns a sequence of Arrays.
    *shapes : tuple of int
        Of its arguments.

    Attributes
    ----------
    key : tuple
        Functions with equal keys are equal, also in the numbers that they use.

    Raises
    ------
    GradientError
        When the function uses arrays from outside that are differentiated or traced.
    """

    def __init__(self, call, function, *shapes):
        start = next(graph.serials)
        self.heads = [Node(None, (), (), shape, FLOAT64, None, True) for shape in shapes]
        with lazily():
            self.outputs = [y._node for y in function(*map(Array, self.heads))]
        self.order = graph.topological(self.outputs, stop=lambda n: n.serial < start)
        for n in self.order:
            if n.serial < start and n.history:
                raise GradientError(
                    f"{call}: the function uses an Array from outside that is differentiated, traced, or a Parameter, "
                    f"and no gradient would reach it; hand it over by args, in floats\n    {describe(n, 'the Array')}"
                )
        self.order = [n for n in self.order if n.inputs and n.serial > start]
        key, leaves = graph.signature([*self.heads, *self.outputs])
        places = {n: i for i, n in enumerate(self.heads)}
        values = [places.get(n, n.value) for n in leaves]
        self.key = key, tuple(v.tobytes() if isinstance(v, numpy.ndarray) else v for v in values)

    def __call__(self, *arrays):
        fresh = {n: x._node for n, x in zip(self.heads, arrays, strict=True)}
        for n in self.order:
            inputs = tuple([fresh.get(i, i) for i in n.inputs])
            fresh[n] = graph.applied(n.primitive, inputs, n.attrs, n.shape, n.dtype)
        return tuple([Array(fresh.get(n, n)) for n in self.outputs])


_known, KEPT = {}, 256


def known(key, make):
    """What was made under an equal key, or what is made now: it has compiled functions."""
    found = _known.pop(key, None) or make()
    _known[key] = found  # the last one used comes last
    if len(_known) > KEPT:
        del _known[next(iter(_known))]
    return found


class Loop:
    """A loop c_{k+1}, a_k = step(c_k, x_k, w), which keeps every c and the sum of all a.

    Attributes
    ----------
    step : callable
        Of vectors of `n`, `m` and `p` numbers; returns vectors of `n` and `q`.
    """

    def __init__(self, step, n, m, p, q):
        self.step, self.n, self.m, self.p, self.q = step, n, m, p, q
        self.compiled = jit(step, as_numpy=True)
        self._adjoint = None

    def run(self, c, xs, w):
        """All c and then the sum of all a, as one vector."""
        c, xs, w = (numpy.ascontiguousarray(v) for v in (c, xs, w))
        kept, added = numpy.empty((len(xs) + 1, self.n)), numpy.zeros(self.q)
        kept[0] = c
        with on_values():
            for k in range(len(xs)):
                c, a = self.compiled(c, xs[k], w)
                kept[k + 1] = c
                added += a
        return numpy.concatenate([kept.ravel(), added])

    def adjoint(self):
        """The loop that carries cotangents back through this one."""
        if self._adjoint is None:
            n, m, p, q = self.n, self.m, self.p, self.q

            def back(c, x, w):
                later, earlier = cut(c, 0, n), cut(x, m, m + n)
                with lazily():
                    _, pull_back = vjp(self.step, earlier, cut(x, 0, m), cut(w, 0, p))
                    by_c, by_x, by_w = pull_back(later, cut(w, p, p + q))
                return joined([cut(x, m + n, m + 2 * n) + by_c, by_x]), by_w

            self._adjoint = Loop(back, n + m, m + 2 * n, p + q, p)
        return self._adjoint


@structural("array", reference=lambda c, xs, w, loop: loop.run(c, xs, w))
def run_loop(c, xs, w, *, loop):
    """Every state of a `Loop` and what it adds up."""
    return ((xs.shape[0] + 1) * loop.n + loop.q,), FLOAT64


@run_loop.vjp
def run_loop_vjp(g, y, xs, loop):
    _, x, w = xs
    n, m, count = loop.n, loop.m, x.shape[0]
    kept = (count + 1) * n
    states, by_states = (reshape(cut(v, 0, kept), shape=(count + 1, n)) for v in (y, g))
    before = slice(0, count)
    rows = concatenate(x, states[before], by_states[before], axis=1)
    start = joined([by_states[count], full((m,), 0.0, FLOAT64)])
    added = joined([w, cut(g, kept, kept + loop.q)])
    back = run_loop(start, flip(rows, 0), added, loop=loop.adjoint())
    kept = (count + 1) * (n + m)
    moved = reshape(cut(back, 0, kept), shape=(count + 1, n + m))
    by_x = flip(cut(moved[1:], n, n + m), 0)
    return cut(moved[count], 0, n), by_x, cut(back, kept, kept + loop.p)


class Integrand:
    """A function of a number and a vector that is integrated by the number.

    Attributes
    ----------
    fn : callable
        ``fn(x, w)``, a vector of `r` numbers; `w` has `p`.
    options : dict
        What SciPy is told.
    """

    def __init__(self, fn, r, p, options):
        self.fn, self.r, self.p, self.options = fn, r, p, options
        self.compiled = jit(fn, as_numpy=True)
        self._slopes = None

    def run(self, a, b, w):
        """The integrals and then an estimate of their error."""
        import scipy.integrate

        w, point = numpy.ascontiguousarray(w), numpy.zeros(())

        def at(x):
            point[...] = x
            return self.compiled(point, w)

        with on_values():
            if self.r == 1:
                value, error = scipy.integrate.quad(lambda x: at(x).item(), float(a), float(b), **self.options)[:2]
            elif self.r == 0:
                value, error = [], 0.0
            else:
                value, error = scipy.integrate.quad_vec(at, float(a), float(b), norm="max", **self.options)[:2]
        return numpy.append(value, error)

    def slopes(self):
        """The derivatives by the vector, as an integrand; of several numbers the sum by weights, which follow it."""
        if self._slopes is None:
            p, r = self.p, self.r

            def slopes(x, w):
                weights = full((1,), 1.0, FLOAT64) if r == 1 else cut(w, p, p + r)
                with lazily():
                    return vjp(lambda w: self.fn(x, w), cut(w, 0, p))[1](weights)[0]

            self._slopes = Integrand(slopes, p, p if r == 1 else p + r, self.options)
        return self._slopes


@structural("array", reference=lambda a, b, w, integrand: integrand.run(a, b, w))
def integral(a, b, w, *, integrand):
    """Integrals from a to b, and an estimate of their error."""
    return (integrand.r + 1,), FLOAT64


@integral.vjp
def integral_vjp(g, xs, integrand):
    from nbgrad.kernels.comparison import isfinite
    from nbgrad.kernels.selection import where

    a, b, w = xs
    g = cut(g, 0, integrand.r)  # the estimate of the error is no function to differentiate

    def at(limit):
        """Leibniz' rule; a limit at infinity does not move."""
        finite = isfinite(limit)
        return where(finite, (g * integrand.fn(where(finite, limit, 0.0), w)).sum(), 0.0)

    if integrand.r == 1:  # so that tolerances do not depend on g
        by_w = g * cut(integral(a, b, w, integrand=integrand.slopes()), 0, integrand.p)
    else:
        by_w = cut(integral(a, b, joined([w, g]), integrand=integrand.slopes()), 0, integrand.p)
    return -at(a), at(b), by_w


def as_number(call, x, name):
    """A 0-d Array of float64."""
    x = Array(graph.node_of(x, call, name))
    if x.shape or x.dtype.kind not in "fiu":
        raise ArgumentError(f"{call}: {name} must be one real number; {describe(x, name)}")
    return Array(graph.cast(x._node, FLOAT64))
