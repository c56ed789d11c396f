"""scipy.integrate on Arrays: integrals of samples, of functions, and of differential equations."""

import numpy

from nbgrad import graph, shapes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.kernels.casting import stop_gradient
from nbgrad.numpy._arguments import as_array, as_integer, cast, leaf
from nbgrad.numpy.manipulation import concatenate, part, reshape
from nbgrad.numpy.reductions import cumsum, trapezoid
from nbgrad.numpy.reductions import sum as total
from nbgrad.scipy._loop import FLOAT64, Closed, Integrand, Packed, as_number, integral, known
from nbgrad.scipy._odes import odeint

__all__ = ["cumulative_trapezoid", "fixed_quad", "odeint", "quad", "simpson", "trapezoid"]


def quad(func, a, b, args=(), full_output=0, epsabs=1.49e-8, epsrel=1.49e-8, limit=50, points=None):
    """Integral of a function from a to b, by `scipy.integrate.quad`; differentiable by args and limits.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``, of a 0-d Array, returns one real number.
    a, b : float or Array
        Limits, also infinite.
    args : tuple, optional
        Nests of floats and arrays, which are differentiated by, and of other things.
    epsabs, epsrel, limit, points
        As in SciPy.

    Returns
    -------
    y : Array
        The integral, 0-d.
    abserr : Array
        An estimate of its error; no gradient passes.

    Raises
    ------
    GradientError
        When `func` uses an Array that is differentiated otherwise than by `args`.
    ShapeError, DtypeError
        When it returns several numbers, or none that are real.

    Notes
    -----
    The gradient is Leibniz' rule: values of `func` at the limits, and the integrals of its derivatives by `args`, which
    SciPy computes to the same tolerances (`quad_vec` where there are several).  An infinite limit has gradient zero.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> from nbgrad.scipy import integrate
    >>> def f(k):
    ...     return integrate.quad(lambda x, k: np.exp(-k * x), 0.0, np.inf, (k,))[0]
    >>> value, slope = ng.value_and_grad(f)(ng.asarray(2.0))
    >>> round(float(value), 6), round(float(slope), 6)
    (0.5, -0.25)
    """
    if not callable(func):
        raise ArgumentError(f"quad: func must be callable, not {describe(func)}")
    if full_output:
        raise ArgumentError("quad: full_output is not here; call scipy.integrate.quad for what it reports")
    packed = Packed("quad", args if isinstance(args, tuple) else (args,))

    def fn(x, w):
        y = func(x, *packed.unpacked(w))
        y = y if isinstance(y, Array) else Array(graph.node_of(y, "quad", "func(x)"))
        if y.size != 1:
            raise ShapeError(f"quad: func must return one number; {describe(y, 'func(x)')}")
        if y.dtype.kind not in "fiu":
            raise DtypeError(f"quad: func must return a real number; {describe(y, 'func(x)')}")
        return reshape(Array(graph.cast(y._node, FLOAT64)), (1,))

    size = packed.vector.size
    closed = Closed("quad", lambda x, w: [fn(x, w)], (), (size,))
    points = None if points is None else tuple(map(float, points))
    options = {"epsabs": epsabs, "epsrel": epsrel, "limit": limit, "points": points}
    options = {k: v for k, v in options.items() if v is not None}
    key = "quad", closed.key, tuple(options.items())
    integrand = known(key, lambda: Integrand(lambda x, w: closed(x, w)[0], 1, size, options))
    y = integral(as_number("quad", a, "a"), as_number("quad", b, "b"), packed.vector, integrand=integrand)
    return y[0], stop_gradient(y[1])


def fixed_quad(func, a, b, args=(), n=5):
    """Integral of a function from a to b by Gauss and Legendre's rule with n points.

    Parameters
    ----------
    func : callable
        ``func(x, *args)`` of a vector of points; the last axis of what it returns is that of the points.
    a, b : float or Array
    args : tuple, optional
    n : int

    Returns
    -------
    val : Array
    None
        As in SciPy.

    Examples
    --------
    >>> from nbgrad.scipy import integrate
    >>> round(float(integrate.fixed_quad(lambda x: x**4, 0.0, 1.0)[0]), 9)
    0.2
    """
    n = as_integer(n, "fixed_quad", "n")
    if n < 1:
        raise ArgumentError(f"fixed_quad: n must be positive, not {n}")
    a, b = as_number("fixed_quad", a, "a"), as_number("fixed_quad", b, "b")
    points, weights = numpy.polynomial.legendre.leggauss(n)
    x = (b - a) * leaf((points + 1.0) / 2.0) + a
    y = as_array(func(x, *args), "fixed_quad", "func(x)")
    return (b - a) / 2.0 * total(y * leaf(weights), -1), None


def _spacing(call, x, y, axis):
    """Differences of the places of samples along an axis, in as many dimensions as `y`."""
    x = as_array(x, call)
    if x.ndim == 1:
        x = reshape(x, tuple(x.shape[0] if i == axis else 1 for i in range(y.ndim)))
    if x.ndim != y.ndim or x.shape[axis] != y.shape[axis]:
        raise ShapeError(
            f"{call}: x must have the shape of y, or one dimension with as many elements as axis {axis} of y\n"
            f"    {describe(x, 'x')}\n    {describe(y, 'y')}"
        )
    n = x.shape[axis]
    return part(x, axis, 1, n) - part(x, axis, 0, n - 1)


def _samples(call, y, axis):
    y = as_array(y, call, "y")
    axis = shapes.axis(call, axis, y.ndim)
    if not y.shape[axis]:
        raise ShapeError(f"{call}: at least one sample is needed along axis {axis}; {describe(y, 'y')}")
    return (y if y.dtype.kind in "fc" else cast(y, FLOAT64)), axis


def cumulative_trapezoid(y, x=None, dx=1.0, axis=-1, initial=None):
    """Integrals of samples `y` up to each, by the trapezoidal rule.

    Parameters
    ----------
    y : array_like
    x : array_like, optional
        Where the samples are; `dx` apart unless given.
    dx : float
    axis : int
    initial : {None, 0}
        0 puts a zero in front, so that the result has the shape of `y`.

    Examples
    --------
    >>> from nbgrad.scipy import integrate
    >>> integrate.cumulative_trapezoid([1.0, 3.0, 5.0], initial=0)
    Array([0., 2., 6.], shape=(3,), dtype=float64, device=cpu)
    """
    y, axis = _samples("cumulative_trapezoid", y, axis)
    if initial is not None and (isinstance(initial, Array) or initial != 0):
        raise ArgumentError(f"cumulative_trapezoid: initial must be None or 0, not {initial!r}")
    n, step = y.shape[axis], dx if x is None else _spacing("cumulative_trapezoid", x, y, axis)
    found = cumsum(step * (part(y, axis, 1, n) + part(y, axis, 0, n - 1)) / 2.0, axis)
    if initial is None:
        return found
    zero = Array(graph.constant(0, found.dtype, tuple(1 if i == axis else m for i, m in enumerate(found.shape))))
    return concatenate([zero, found], axis)


def simpson(y, x=None, *, dx=1.0, axis=-1):
    """Integral of samples `y` by Simpson's rule.

    Parameters
    ----------
    y : array_like
    x : array_like, optional
        Where the samples are; `dx` apart unless given.
    dx : float
    axis : int

    Notes
    -----
    For an even number of samples the last interval is that of the parabola through the last three (Cartwright 2017), as
    in SciPy.

    Examples
    --------
    >>> from nbgrad.scipy import integrate
    >>> float(integrate.simpson([0.0, 1.0, 4.0, 9.0, 16.0]).round(9))
    21.333333333
    """
    y, axis = _samples("simpson", y, axis)
    n = y.shape[axis]
    steps = None if x is None else _spacing("simpson", x, y, axis)

    def at(values, i):
        return total(part(values, axis, i, i + 1), axis)

    if n == 1:
        return total(y, axis) * 0.0
    if n == 2:
        return (dx if steps is None else at(steps, 0)) * (at(y, 0) + at(y, 1)) / 2.0
    odd = n - 1 + n % 2
    y0, y1, y2 = (part(y, axis, i, odd - 2 + i, 2) for i in range(3))
    if steps is None:
        result = total(y0 + 4.0 * y1 + y2, axis) * (dx / 3.0)
    else:
        h0, h1 = (part(steps, axis, i, odd - 2 + i, 2) for i in range(2))
        both = h0 + h1
        result = total(both / 6.0 * (y0 * (2.0 - h1 / h0) + y1 * both * both / (h0 * h1) + y2 * (2.0 - h0 / h1)), axis)
    if n % 2:
        return result
    h0, h1 = (dx, dx) if steps is None else (at(steps, n - 3), at(steps, n - 2))
    last = (2.0 * h1**2 + 3.0 * h0 * h1) / (6.0 * (h0 + h1)) * at(y, n - 1)
    middle = (h1**2 + 3.0 * h0 * h1) / (6.0 * h0) * at(y, n - 2)
    return result + last + middle - h1**3 / (6.0 * h0 * (h0 + h1)) * at(y, n - 3)
