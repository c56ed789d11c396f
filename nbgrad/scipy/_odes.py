"""Ordinary differential equations by explicit Runge-Kutta methods, and their discrete adjoints."""

import numpy

from nbgrad import graph, trees
from nbgrad.array import Array, _value, is_abstract
from nbgrad.compile.jit import jit
from nbgrad.errors import ArgumentError, DtypeError, NbgradError, ShapeError, TracedValueError, describe
from nbgrad.kernels.shape import reshape
from nbgrad.numpy._arguments import as_array, as_integer, leaf
from nbgrad.numpy.manipulation import stack
from nbgrad.scipy._loop import FLOAT64, Closed, Loop, Packed, cut, joined, known, on_values, run_loop

#: Stages: where they are in a step, how each is made of those before, what the step is made of, its error.
RK4 = ((0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), None)
#: Dormand and Prince 1980, table 2, RK5(4)7M; the error is the difference of the two orders.
DOPRI5 = (
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
)


def odeint(f, y0, t, *args, method="dopri5", rtol=1.4e-8, atol=1.4e-8, substeps=1, max_steps=10_000):
    """Solution of ``y' = f(y, t, *args)`` at given times; differentiable by y0, t and args.

    Parameters
    ----------
    f : callable
        ``f(y, t, *args)``, of Arrays, returns the derivative in the form of `y`.
    y0 : array_like, or nest of array_like
        The solution at ``t[0]``.
    t : array_like of 1 dimension
        Times, increasing or decreasing.
    *args
        Nests of floats and arrays, which are differentiated by, and of other things.
    method : {"dopri5", "rk4"}
        Dormand and Prince's method of order 5, whose steps are chosen for the tolerances and end at every time; or the
        classical method of order 4 with `substeps` equal steps between times.
    rtol, atol : float
        What the error of a step of "dopri5" may be: ``atol + rtol * abs(y)``, in the mean square.
    substeps : int
        Of "rk4".
    max_steps : int
        How many steps "dopri5" may try.

    Returns
    -------
    Array, or nest of Array
        float64, with an axis of times in front.

    Raises
    ------
    TracedValueError
        "dopri5" under jit: its steps depend on values.  "rk4" has no such limit.
    GradientError
        When `f` uses an Array that is differentiated otherwise than by `args`.
    NbgradError
        When `max_steps` are not enough, or a step becomes too small.
    ShapeError, DtypeError, ArgumentError
        When `f` returns another form than `y`, or complex numbers; when `t` is not one-dimensional and monotonic.

    Notes
    -----
    The gradient is the discrete adjoint: that of the steps that were taken, to rounding; their sizes, as fractions of
    the time between outputs, are constants.  A step and the pull-back through it are compiled once, and steps are
    a loop in Python.

    Examples
    --------
    >>> import nbgrad as ng
    >>> from nbgrad.scipy import integrate
    >>> def decayed(k):
    ...     return integrate.odeint(lambda y, t, k: -k * y, ng.asarray(1.0), [0.0, 1.0], k)[-1]
    >>> value, slope = ng.value_and_grad(decayed)(ng.asarray(2.0))
    >>> round(float(value), 6), round(float(slope), 6)
    (0.135335, -0.135335)
    """
    call = "odeint"
    if not callable(f):
        raise ArgumentError(f"{call}: f must be callable, not {describe(f)}")
    if method not in ("dopri5", "rk4"):
        raise ArgumentError(f"{call}: method must be 'dopri5' or 'rk4', not {method!r}")
    y0 = numpy.asarray(y0, float) if isinstance(y0, (int, float)) or _of_numbers(y0) else y0
    start, packed = Packed(call, y0, integers=True), Packed(call, args)
    if any(at is None for _, at, _ in start.slots):
        raise ArgumentError(f"{call}: y0 must be an array or a nest of arrays, not {describe(y0)}")
    times = as_array(t, call, "t")
    if times.ndim != 1 or not times.size or times.dtype.kind not in "fiu":
        raise ShapeError(f"{call}: t must be a vector of one or more real numbers; {describe(times, 't')}")
    given, times = times, Array(graph.cast(times._node, FLOAT64))
    n, p = start.vector.size, packed.vector.size

    def slope(y, s, w):
        dy = f(start.unpacked(y), s, *packed.unpacked(w))
        return _slope(call, f, dy, start)

    closed = Closed(call, lambda y, s, w: [slope(y, s, w)], (n,), (), (p,))
    if method == "rk4":
        tableau, substeps = RK4, as_integer(substeps, call, "substeps")
        if substeps < 1:
            raise ArgumentError(f"{call}: substeps must be positive, not {substeps}")
        intervals = [[i / substeps for i in range(substeps + 1)]] * (times.size - 1)
    else:
        tableau = DOPRI5
        trial = known((call, "trial", closed.key), lambda: jit(_trial(closed), as_numpy=True))
        intervals = _chosen(trial, start, given, packed, rtol, atol, max_steps)

    def step(y, x, w):
        return y + x[1] * _increment(closed, tableau, y, x[0], x[1], w)[0], cut(y, 0, 0)

    count = sum(len(i) - 1 for i in intervals)
    if count:
        at = numpy.repeat(numpy.arange(times.size - 1), [len(i) - 1 for i in intervals])
        first = leaf(numpy.concatenate([i[:-1] for i in intervals]))
        share = leaf(numpy.concatenate([numpy.diff(i) for i in intervals]))
        gaps = times[at + 1] - times[at]
        rows = stack([times[at] + first * gaps, share * gaps], 1)
    else:
        rows = leaf(numpy.zeros((0, 2)))
    loop = known((call, method, closed.key), lambda: Loop(step, n, 2, p, 0))
    found = run_loop(start.vector, rows, packed.vector, loop=loop)
    ends = numpy.concatenate([[0], numpy.cumsum([len(i) - 1 for i in intervals])]).astype(int)
    states = reshape(found, shape=(count + 1, n))[ends]
    parts = [
        reshape(cut(states, at, at + int(numpy.prod(shape))), shape=(times.size, *shape))
        for _, at, shape in start.slots
    ]
    return trees.unflatten(start.structure, parts)


def _of_numbers(y0):
    """Whether y0 is a list of numbers, which means an array."""
    return isinstance(y0, (list, tuple)) and all(isinstance(v, (int, float)) or _of_numbers(v) for v in y0)


def _slope(call, f, dy, start):
    """What f returned, as a vector."""
    leaves, structure = trees.flatten(dy)
    arrays = [as_array(v, call, "f(y, t)") for v in leaves]
    shapes = [shape for _, _, shape in start.slots]
    if structure != start.structure or [a.shape for a in arrays] != shapes:
        name = getattr(f, "__name__", type(f).__name__)
        raise ShapeError(
            f"{call}: f must return the derivative in the form of y0, shapes {shapes}; {name} returned "
            f"{[a.shape for a in arrays]}"
        )
    for a in arrays:
        if a.dtype.kind not in "fiu":
            raise DtypeError(f"{call}: f must return real numbers\n    {describe(a, 'f(y, t)')}")
    return joined([reshape(Array(graph.cast(a._node, FLOAT64)), shape=(a.size,)) for a in arrays])


def _increment(slope, tableau, y, t, h, w, error=False):
    """(mean slope over a step, its error if asked for)."""
    places, weights, final, wrong = tableau
    ks = []
    for i in range(len(places) if error else len(final)):
        inner = y if not i else y + h * _mixed(weights[i], ks)
        ks.append(slope(inner, t + places[i] * h, w)[0])
    return _mixed(final, ks), _mixed(wrong, ks) if error else None


def _mixed(weights, ks):
    mixed = None
    for weight, k in zip(weights, ks, strict=False):
        if weight:
            mixed = weight * k if mixed is None else mixed + weight * k
    return mixed


def _trial(slope):
    """A step of "dopri5" and its error, of (start, size)."""

    def trial(y, x, w):
        mean, wrong = _increment(slope, DOPRI5, y, x[0], x[1], w, error=True)
        return y + x[1] * mean, x[1] * wrong

    return trial


def _chosen(trial, start, times, packed, rtol, atol, max_steps):
    """For each time between outputs the ends of its steps, from 0 to 1; chosen with values."""
    for x, name in [*((x, "y0") for x in start.arrays), (times, "t"), *((x, "args") for x in packed.arrays)]:
        if is_abstract(x._node):
            raise TracedValueError(
                f"odeint: the steps of method 'dopri5' depend on the values of {name}, which has none while jit "
                "traces; call odeint outside of jit, or give method='rk4' with enough substeps\n"
                f"    {describe(x, name)}"
            )
    y, t, w = start.value(), _value(times).astype(numpy.float64), packed.value()
    gaps = numpy.diff(t)
    if not ((gaps >= 0).all() or (gaps <= 0).all()):
        raise ArgumentError("odeint: t must not change its direction; sort the times")

    intervals, size, tried = [], None, 0
    with on_values(), numpy.errstate(all="ignore"):  # what is not finite makes a step smaller
        for begin, gap in zip(t, gaps, strict=False):
            ends, done = [0.0], 0.0
            while gap and done < 1.0:
                share = 1.0 - done if size is None else min(size / abs(gap), 1.0 - done)
                share = 1.0 - done if done + share > 1.0 - 1e-12 else share
                tried += 1
                if tried > max_steps or (size is not None and size <= 1e-14 * max(abs(begin), abs(gap))):
                    raise NbgradError(
                        f"odeint: no solution after {tried - 1} steps, at t = {begin + done * gap}, with steps of "
                        f"{share * gap}; raise max_steps or the tolerances, or look whether f is stiff or not finite"
                    )
                new, wrong = trial(y, numpy.array([begin + done * gap, share * gap]), w)
                scale = atol + rtol * numpy.maximum(abs(y), abs(new))
                norm = numpy.sqrt(numpy.mean((wrong / scale) ** 2)) if y.size else 0.0
                if not numpy.isfinite(norm):
                    size = abs(share * gap) / 5
                    continue
                factor = min(max(0.9 * norm**-0.2, 0.2), 10.0) if norm else 10.0
                proposed = abs(share * gap) * factor
                # A step that an output cut short says nothing against the size it was to have.
                size = max(size or 0.0, proposed) if norm <= 1.0 and factor > 1.0 else proposed
                if norm <= 1.0:
                    done = 1.0 if share == 1.0 - done else done + share
                    ends.append(done)
                    y = new
            intervals.append(ends if len(ends) > 1 else [0.0, 1.0])
    return intervals
