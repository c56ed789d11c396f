"""Every function that has a gradient: first and second order by each argument against differences, real and complex."""

import warnings

import functions
import numpy
import pytest
from functions import FORMS
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.array import Array

STEP = 1e-6
#: Functions whose results are no numbers that anything flows to.
CUT = {"astype", "zeros", "ones", "full", "arange", "linspace", "logspace", "eye", "identity", "tri", "zeros_like",
       "ones_like", "full_like", "shape", "ndim", "size", "broadcast_shapes", "searchsorted", "argsort", "nonzero",
       "flatnonzero"}  # fmt: skip
HURRY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def arrays_in(arguments):
    """Places of arrays that can have gradients, also in lists."""
    for i, a in enumerate(arguments):
        if isinstance(a, numpy.ndarray) and a.dtype.kind in "fc":
            yield (i,)
        elif isinstance(a, list):
            yield from ((i, *rest) for rest in arrays_in(a))


def replaced(arguments, places, values):
    """The arguments with others at some places."""
    made = [list(a) if isinstance(a, list) else a for a in arguments]
    for place, value in zip(places, values, strict=True):
        inner = made
        for i in place[:-1]:
            inner = inner[i]
        inner[place[-1]] = value
    return made


def at(arguments, place):
    for i in place:
        arguments = arguments[i]
    return arguments


def direction(rng, x):
    d = rng.normal(size=x.shape)
    return d + 1j * rng.normal(size=x.shape) if x.dtype.kind == "c" else d


def check(name, arguments, keywords):
    places, rng = list(arrays_in(arguments)), numpy.random.default_rng(0)
    function = getattr(np, name)

    def loss(*xs):
        made = function(*replaced(arguments, places, xs), **keywords)
        total = 0.0
        for k, y in enumerate(made if isinstance(made, (tuple, list)) else [made]):
            if isinstance(y, Array) and y.dtype.kind in "fc":
                weights = numpy.random.default_rng(k).uniform(0.5, 1.5, y.shape)
                total = total + np.sum(np.real(y * (weights - 0.3j * (y.dtype.kind == "c"))))
        return total

    values = [numpy.array(at(arguments, p)) for p in places]
    if not isinstance(loss(*map(ng.asarray, values)), Array):
        return
    for k, x in enumerate(values):
        d, e = direction(rng, x), direction(rng, x)

        def along(y, k=k):
            return loss(*values[:k], y, *values[k + 1 :])

        def slope(y, along=along, d=d):
            return np.sum(np.real(np.conj(ng.grad(along)(y)) * d))

        g = ng.grad(along)(ng.asarray(x))
        assert (g.shape, g.dtype) == (x.shape, x.dtype)
        value = float(along(ng.asarray(x)))
        if not numpy.isfinite(value):
            continue  # means of nothing, and what lies outside of a domain
        if name in ("std", "nanstd") and not numpy.all(function(*arguments, **keywords).numpy()):
            continue  # the root of 0
        for f, v in ((along, d), (slope, e)):
            found = float(numpy.sum(numpy.real(numpy.conj(ng.grad(f)(ng.asarray(x)).numpy()) * v)))
            ahead, back = (float(f(ng.asarray(x + s * v))) for s in (STEP, -STEP))
            size = max(abs(ahead), abs(found), 1)
            assert abs(found - (ahead - back) / (2 * STEP)) <= 2e-5 * size, (name, k, f.__name__, found, arguments)


def run(name, data, dtype):
    functions.smooth[:] = [dtype]
    try:
        arguments, keywords = data.draw(st.composite(lambda draw: FORMS[name](draw))(), label="arguments")
    finally:
        functions.smooth.clear()
    with numpy.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            getattr(numpy, name)(*arguments, **keywords)
        except (TypeError, ValueError, IndexError):
            return  # what NumPy refuses has no gradient
        check(name, arguments, keywords)


CASES = [
    pytest.param(name, dtype, id=f"{name}-{dtype}")
    for name in sorted(set(FORMS) - CUT)
    for dtype in ("float64", "complex128")
]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_gradient(name, dtype):
    @seed(2)
    @examples(max_examples=5, **HURRY)
    @given(st.data())
    def some(data):
        run(name, data, dtype)

    some()


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_gradient_in_many_cases(name, dtype):
    @examples(max_examples=60, **HURRY)
    @given(st.data())
    def many(data):
        run(name, data, dtype)

    many()
