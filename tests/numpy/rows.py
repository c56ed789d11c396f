"""Tables of calls of nbgrad.numpy, held against NumPy's function of the same name.

A row is ``(name, args, kwargs)``.  Values, dtypes and shapes are compared on both tiers, and with operands whose memory
is not contiguous; gradients by the floating arguments that `by` names with differences, also those of the gradient.
"""

import numpy
from checking import TOLERANCE, check_gradient, several

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.array import Array


def flat(result):
    """Nested results as a list."""
    return [r for part in result for r in flat(part)] if isinstance(result, (tuple, list)) else [result]


def same(ours, theirs, tolerance=None):
    """Assert that results agree in structure, shape, dtype and values, also complex ones."""
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        if not isinstance(a, Array):  # a number that both compute
            assert type(a) is type(b)
            assert a == b
            continue
        a, b = a.numpy(), numpy.asarray(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        rtol = tolerance or TOLERANCE.get(str(b.real.dtype), 0)
        if b.dtype.kind in "fc":
            scale = numpy.abs(b[numpy.isfinite(b)]).max(initial=0)
            numpy.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * min(scale, 1.0))
        else:
            numpy.testing.assert_array_equal(a, b)


def spread(x):
    """The same array in memory that is not contiguous."""
    if not isinstance(x, numpy.ndarray) or not x.ndim:
        return x
    wide = numpy.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def check_values(name, args, kwargs, tolerance=None):
    """Values of a row on both tiers."""
    with numpy.errstate(all="ignore"):
        expected = getattr(numpy, name)(*args, **kwargs)
    for jit in (0, 2):
        ng.config.jit = jit
        same(getattr(np, name)(*args, **kwargs), expected, tolerance)
    same(getattr(np, name)(*map(spread, args), **kwargs), expected, tolerance)
    arrays = [ng.asarray(a) if isinstance(a, numpy.ndarray) else a for a in args]
    function = getattr(numpy, name)
    asks = isinstance(function, numpy.ufunc) or hasattr(function, "_implementation")
    if asks and any(isinstance(a, Array) for a in arrays):  # NumPy's own function, by the protocol
        same(function(*arrays, **kwargs), expected, tolerance)


def check_row_gradient(name, args, kwargs, by=(0,), **options):
    """Derivatives of a row by the arguments at the positions `by`."""

    def function(*values):
        given = list(args)
        for k, v in zip(by, values, strict=True):
            given[k] = v
        result = flat(getattr(np, name)(*given, **kwargs))
        return [r for r in result if isinstance(r, Array) and r.dtype.kind == "f"]

    check_gradient(function, *(args[k] for k in by), **options)


def check_complex_gradient(function, *values, step=1e-6, tolerance=1e-6):
    """Gradients by complex arguments as differences along the real and the imaginary axis."""
    random = numpy.random.default_rng(8)
    values = [numpy.asarray(v) for v in values]
    weights = [random.normal(size=y.shape) + 1j * random.normal(size=y.shape) for y in several(function(*values))]

    def loss(*at):
        terms = [np.sum(np.real(y * w)) for y, w in zip(several(function(*at)), weights, strict=True)]
        return sum(terms[1:], terms[0])

    for k, v in enumerate(values):
        found = ng.grad(loss, k)(*map(ng.asarray, values))
        direction = random.normal(size=v.shape)
        for unit in (1, 1j) if v.dtype.kind == "c" else (1,):
            up, down = ([*values[:k], v + s * step * unit * direction, *values[k + 1 :]] for s in (1, -1))
            slope = (float(loss(*up)) - float(loss(*down))) / (2 * step)
            given = (found.numpy() * numpy.conj(unit) * direction).sum().real
            numpy.testing.assert_allclose(given, slope, atol=tolerance * max(1.0, abs(slope)), err_msg=f"argument {k}")
