"""opaque: functions that Python calls on NumPy arrays, as operations of a graph, with rules or with differences."""

import functools

import numpy

from nbgrad import dtypes
from nbgrad.errors import ArgumentError, DtypeError, OptionError, ShapeError, describe
from nbgrad.extension.calls import Extension, Form, checked_forms, unused
from nbgrad.primitive import Missing
from nbgrad.shapes import broadcast

#: Central differences are most exact at a step of about the cube root of the precision (Nocedal and Wright 2006,
#: Numerical Optimization, section 8.1), taken relative to the size of what is moved.
ORDER = 1 / 3


def opaque(fn=None, *, result=None, vjp=None, jvp=None, fd=False, name=None):
    """Make a function of NumPy arrays an operation of the graph.

    Programs call it between their launches.  It may be anything that Python can call, but has to return the same for
    the same arguments: equal calls are made once.

    Parameters
    ----------
    fn : callable
        ``fn(*arrays)``: an ndarray or a number, or a tuple of them.  Left out, `opaque` is a decorator.
    result : callable, array_like, or list of array_like, optional
        What `fn` returns: a function of the inputs, each with shape and dtype, that returns (shape, dtype) or a list of
        these; or examples with the shape and dtype; by default what the inputs broadcast to, in their common dtype, of
        integers in float64.
    vjp : callable, optional
        ``vjp(g, y, *xs)``: of NumPy arrays, a tuple of cotangents of the inputs (None for zero); for one input it may
        be bare.  Of several results `g` and `y` are tuples.  The cotangent of z = x + iy is dL/dx + i dL/dy.
    jvp : callable, optional
        ``jvp(xs, tangents)``: of tuples of NumPy arrays, the tangent of the result, or a tuple of these.  Where there
        is no `vjp`, a gradient calls it once for each element of the inputs.
    fd : bool
        Take central differences where a rule is missing: two calls for each element of the inputs, and derivatives with
        half to two thirds of the digits.
    name : str, optional
        By default that of `fn`.

    Returns
    -------
    callable
        Of Arrays, NumPy arrays and numbers, returns an Array, or a tuple of Arrays.

    Raises
    ------
    ArgumentError, OptionError
        If an argument is of the wrong kind.
    ShapeError, DtypeError
        When it is called, and `fn` or a rule returns something else than was announced.
    MissingRuleError
        When a derivative is asked for, and there is neither a rule nor ``fd=True``.

    Notes
    -----
    What `fn` raises reaches the caller of the program, with a note that says where the operation was applied.

    Examples
    --------
    >>> import numpy
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> def table(x):
    ...     return numpy.interp(x, [0.0, 1.0, 2.0], [0.0, 1.0, 4.0])
    >>> lookup = ng.opaque(table, vjp=lambda g, y, x: g * numpy.where(x < 1.0, 1.0, 3.0))
    >>> x = ng.asarray([0.5, 1.5])
    >>> print(lookup(x), ng.grad(lambda x: np.sum(lookup(x) ** 2))(x))
    [0.5 2.5] [ 1. 15.]
    """
    if fn is None:
        return functools.partial(opaque, result=result, vjp=vjp, jvp=jvp, fd=fd, name=name)
    for what, value in (("fn", fn), ("vjp", vjp), ("jvp", jvp)):
        if not callable(value) and (what == "fn" or value is not None):
            raise ArgumentError(f"opaque: {what} is {describe(value)}, expected a function of NumPy arrays")
    if not isinstance(fd, bool):
        raise OptionError(f"opaque: fd is {fd!r}, expected True or False")
    made = Opaque(fn, _rule_of_shapes(result), name or getattr(fn, "__name__", type(fn).__name__), fd)
    if vjp is not None or jvp is not None:
        made.declare_vjp(Rules(made, vjp, jvp).pulled, ("gs", "ys", "xs"))
    return made


class Opaque(Extension):
    """A function of Python as a primitive; see `opaque`."""

    __slots__ = ("by_differences", "fn", "level", "made", "rule_of_shapes")
    holomorphic = False

    def __init__(self, fn, rule_of_shapes, name, by_differences, level=0):
        missing = f"Give ng.opaque a vjp or a jvp for {name}, or fd=True for differences"
        super().__init__(unused(name), (), {}, missing, getattr(fn, "__doc__", None))
        self.fn, self.rule_of_shapes, self.by_differences, self.level = fn, rule_of_shapes, by_differences, level
        self.made = {}
        if by_differences:
            self.declare_vjp(self.differences, ("gs", "xs"))

    def forms(self, inputs, attrs):
        """See `Extension`."""
        return checked_forms(self.name, self.rule_of_shapes(*inputs))

    def called(self, values, attrs):
        """See `Extension`."""
        forms = self.forms([Form(v.shape, v.dtype) for v in values], attrs)
        return checked(self.name, "the function", self.fn(*(v.copy() for v in values)), forms)

    def derived(self, what, fn, forms):
        """Another function of Python, that is a derivative of this one; one level less exact."""
        return Opaque(fn, lambda *xs: [(f.shape, f.dtype) for f in forms(xs)], f"{self.name}_{what}",
                      self.by_differences, self.level + 1)  # fmt: skip

    def differences(self, gs, xs):
        """Cotangents by central differences, and their own derivatives.

        They are linear in `gs`: there the derivative is one difference along a direction.
        """
        if any(v.dtype.kind == "c" for v in (*gs, *xs)):
            return tuple(Missing("differences are of real numbers; give ng.opaque a vjp") for _ in xs)
        count, floating = len(gs), _floating(xs)
        pull = self.once(("fd", count, *floating), lambda: self._by_differences(count, floating))
        return _placed(pull.applied([*gs, *xs]), floating, xs)

    def once(self, key, make):
        """What `make` returns, made once: programs are known by the primitives in them."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def _by_differences(self, count, floating):
        pull = self.derived(
            "vjp", lambda *v: self._pulled(v[:count], v[count:], floating), lambda f: [f[count + k] for k in floating]
        )
        push = self.derived(
            "jvp", lambda *v: self._pushed(v[: len(floating)], v[len(floating) :], floating),
            lambda f: self.forms(f[len(floating) :], {}),
        )  # fmt: skip
        second, third = pull.rule, push.rule
        pull.declare_vjp(lambda gs, xs: (*push.applied([*gs, *xs[count:]]), *second(gs, xs)[count:]), ("gs", "xs"))
        push.declare_vjp(
            lambda gs, xs: (
                *pull.applied([*gs, *xs[len(floating) :]]),
                *third(gs, xs)[len(floating) :],
            ),
            ("gs", "xs"),
        )
        return pull

    def _step(self, x, direction):
        """How far to go: relative to the numbers that are moved, so that the sum is exact to as many digits."""
        precision = float(numpy.finfo(x.dtype).eps) ** ((2 / 3) ** self.level)
        return precision**ORDER * max(1.0, float(numpy.abs(x).max(initial=0.0))) / max(direction, 1e-300)

    def _pulled(self, gs, xs, floating):
        found = []
        for k in floating:
            x, slopes = xs[k], numpy.zeros(xs[k].shape, xs[k].dtype)
            for at in numpy.ndindex(x.shape):
                step = self._step(x[at], 1.0)
                ends = []
                for sign in (1, -1):
                    moved = x.copy()
                    moved[at] += sign * step
                    ends.append((moved[at], self.called([*xs[:k], moved, *xs[k + 1 :]], {})))
                (up, above), (down, below) = ends
                change = sum(float(numpy.sum(g * _less(a, b))) for g, a, b in zip(gs, above, below, strict=True))
                slopes[at] = change / float(up - down)
            found.append(slopes)
        return tuple(found)

    def _pushed(self, tangents, xs, floating):
        largest = max((float(numpy.abs(t).max(initial=0.0)) for t in tangents), default=0.0)
        forms = self.forms([Form(x.shape, x.dtype) for x in xs], {})
        if largest == 0.0:
            return tuple(numpy.zeros(f.shape, f.dtype) for f in forms)
        step = min(self._step(xs[k], largest) for k in floating)
        ends = []
        for sign in (1, -1):
            moved = list(xs)
            for k, t in zip(floating, tangents, strict=True):
                moved[k] = xs[k] + numpy.asarray(sign * step * t, xs[k].dtype)
            ends.append(self.called(moved, {}))
        pairs = zip(*ends, forms, strict=True)
        return tuple(numpy.asarray(_less(a, b) / (2 * step), f.dtype) for a, b, f in pairs)


class Rules:
    """Derivatives of an opaque function by functions that its author wrote."""

    def __init__(self, of, vjp, jvp):
        self.of, self.vjp, self.jvp = of, vjp, jvp

    def pulled(self, gs, ys, xs):
        """Cotangents of the inputs, as a rule on Arrays."""
        if self.vjp is None and any(v.dtype.kind == "c" for v in (*gs, *xs)):
            return tuple(Missing("a gradient by jvp is of real numbers; give ng.opaque a vjp") for _ in xs)
        count, floating = len(gs), _floating(xs)
        pull = self.of.once(("rules", count, *floating), lambda: self._made(count, floating))
        return _placed(pull.applied([*gs, *(ys if self.vjp is not None else ()), *xs]), floating, xs)

    def _made(self, count, floating):
        of = self.of
        heads = 2 * count if self.vjp is not None else count  # a jvp reads no results
        fn = self._by_vjp if self.vjp is not None else self._by_basis
        pull = of.derived("vjp", lambda *v: fn(v[:count], v[count:heads], v[heads:], floating),
                          lambda f: [f[heads + k] for k in floating])  # fmt: skip
        push = of.derived(
            "jvp", lambda *v: self._pushed(v[: len(floating)], v[len(floating) :], floating),
            lambda f: of.forms(f[len(floating) :], {}),
        )  # fmt: skip
        second, third = pull.rule, push.rule

        def of_pull(gs, xs):
            own = xs[heads:]
            further = second(gs, xs)[heads:] if second else _missing(of, own)
            moved = push.applied([*gs, *own])
            if any(v.dtype.kind == "c" for v in (*gs, *xs)):
                moved = [Missing("forward mode of complex numbers has no rule here") for _ in moved]
            return (*moved, *(None,) * (heads - count), *further)

        def of_push(gs, xs):
            own = xs[len(floating) :]
            further = third(gs, xs)[len(floating) :] if third else _missing(of, own)
            return (*pull.applied([*gs, *(of.applied(own) if heads > count else ()), *own]), *further)

        pull.declare_vjp(of_pull, ("gs", "xs"))
        push.declare_vjp(of_push, ("gs", "xs"))
        return pull

    def _by_vjp(self, gs, ys, xs, floating):
        several = len(gs) > 1
        found = self.vjp(gs if several else gs[0], ys if several else ys[0], *xs)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(xs):
            raise ArgumentError(
                f"{self.of.name}: its vjp returned {len(found)} cotangents for {len(xs)} inputs; return one each as a "
                "tuple, None for zero"
            )
        forms = [Form(xs[k].shape, xs[k].dtype) for k in floating]
        made = tuple(numpy.zeros(f.shape, f.dtype) if found[k] is None else found[k]
                     for k, f in zip(floating, forms, strict=True))  # fmt: skip
        return tuple(checked(self.of.name, "the vjp", made, forms))

    def _by_basis(self, gs, ys, xs, floating):
        """A jvp along each element of the inputs."""
        found = []
        for k in floating:
            slopes = numpy.zeros(xs[k].shape, xs[k].dtype)
            for at in numpy.ndindex(slopes.shape):
                tangents = [numpy.zeros(xs[i].shape, xs[i].dtype) for i in floating]
                tangents[floating.index(k)][at] = 1
                moved = self._pushed(tangents, xs, floating)
                slopes[at] = sum(float(numpy.sum(g * t)) for g, t in zip(gs, moved, strict=True))
            found.append(slopes)
        return tuple(found)

    def _pushed(self, tangents, xs, floating):
        forms = self.of.forms([Form(x.shape, x.dtype) for x in xs], {})
        if self.jvp is not None:
            whole = [numpy.zeros(x.shape) for x in xs]
            for k, t in zip(floating, tangents, strict=True):
                whole[k] = t
            return tuple(checked(self.of.name, "the jvp", self.jvp(tuple(xs), tuple(whole)), forms))
        ys, made = self.of.called(xs, {}), [numpy.zeros(f.shape, f.dtype) for f in forms]
        for k, f in enumerate(forms):  # a vjp along each element of the results
            for at in numpy.ndindex(f.shape) if dtypes.is_inexact(f.dtype) else ():
                seeds = [numpy.zeros(o.shape, o.dtype) for o in forms]
                seeds[k][at] = 1
                pulled = self._by_vjp(tuple(seeds), tuple(ys), xs, floating)
                made[k][at] = sum(float(numpy.sum(c * t)) for c, t in zip(pulled, tangents, strict=True))
        return tuple(made)


def _missing(of, inputs):
    """In place of cotangents that are not known."""
    reason = (
        "its rules are functions of Python, whose derivatives are not known; give ng.opaque fd=True for differences"
    )
    return [Missing(f"second order: {reason}") for _ in inputs]


def _floating(xs):
    """Places of the inputs that have derivatives."""
    return [k for k, x in enumerate(xs) if dtypes.is_inexact(x.dtype)]


def _placed(found, floating, xs):
    """Cotangents at the places of the inputs that they are of."""
    made = dict(zip(floating, found, strict=True))
    return tuple(made.get(k) for k in range(len(xs)))


def _less(a, b):
    """A difference, also of truths."""
    return a.astype("float64") - b.astype("float64") if a.dtype.kind in "biu" else a - b


def _rule_of_shapes(result):
    """`result` of `opaque` as a function of the inputs."""
    if result is None:
        return _as_broadcast
    if callable(result):
        return result
    examples = result if isinstance(result, list) and not numpy.isscalar(result[0]) else [result]
    made = [(numpy.shape(e), e.dtype if hasattr(e, "dtype") else numpy.asarray(e).dtype) for e in examples]
    return lambda *xs: made


def _as_broadcast(*xs):
    shape = broadcast([x.shape for x in xs])
    if shape is None:
        listed = " and ".join(str(x.shape) for x in xs)
        raise ShapeError(f"opaque: inputs of shapes {listed} do not broadcast; say with result= what fn returns")
    return shape, dtypes.float_of(numpy.result_type(*(x.dtype for x in xs)))


def checked(call, what, found, forms):
    """A list of the ndarrays that a function returned.

    Raises
    ------
    ArgumentError, ShapeError, DtypeError
        If they are not like `forms`.
    """
    several = list(found) if isinstance(found, (tuple, list)) and (len(forms) > 1 or len(found) == 1) else [found]
    if len(several) != len(forms):
        raise ArgumentError(f"{call}: {what} returned {len(several)} results, expected {len(forms)}; see result=")
    made = []
    for value, form in zip(several, forms, strict=True):
        value = numpy.asarray(value)
        if value.shape != form.shape:
            raise ShapeError(f"{call}: {what} returned shape {value.shape}, expected {form.shape}; say so with result=")
        if not numpy.can_cast(value.dtype, form.dtype, "same_kind"):
            raise DtypeError(f"{call}: {what} returned {value.dtype}, expected {form.dtype}; say so with result=")
        made.append(value.astype(form.dtype, copy=False))
    return made
