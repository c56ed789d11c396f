"""Texts of many forms, compiled, interpreted and differentiated twice: oracles are Python itself and differences."""

import math

import numba
import numpy
import pytest

import nbgrad as ng
from nbgrad.testing import check_grads

POINTS = numpy.array([-2.3, -0.7, 0.4, 1.6, 3.1])
TABLE = (0.5, -1.25, 2.0)


def helper(a, b):
    if a > b:
        return a * a - b
    return b * math.sin(a)


@numba.njit
def compiled_helper(a):
    return a * abs(a) if a < 1.0 else 2.0 * a - 1.0


def early_returns(x, y):
    if x < -1.0:
        return x * y
    if x < 1.0:
        return y - x * x
    return math.atan(x) * y


def nested(x, y):
    if x > 0.0:
        if y > 1.0:
            z = x * y
        elif y > -1.0:
            z = x - y * y
        else:
            z = math.exp(0.1 * x) * y
    else:
        z = x * x * y
    return z * z


def joined(x, y):
    near = -1.0 < x < 2.0 and not y > 2.5
    far = x > 3.0 or y < -2.0
    return x * y if near else (y * y if far else x**3)


def loops(x, y):
    total, factor = 0.0, 1.0
    for k in range(1, 5):
        factor *= x / k
        total += factor if k % 2 == 0 else -factor * y
    return total


def loop_over_branches(x, y):
    for _ in range(3):
        if x > y:
            x = 0.5 * (x + y)
        else:
            x, y = y, x + 0.1 * y * x
    return x * y


def helpers(x, y):
    return helper(x, y) + compiled_helper(y) * helper(y, 0.3)


def extremes(x, y):
    return max(min(x, 1.0), y, -0.5) * abs(y - 0.1) + min(x * y, x + y)


def tables(x, y):
    total = 0.0
    for k in range(3):
        total = total * x + TABLE[k] if k > 0 else TABLE[0] * y
    return total


def powers(x, y):
    return abs(x) ** 1.5 + x**4 + 2.0**y + x**-2 + numpy.hypot(x, y)


def nested_functions(x, y):
    return numpy.where(x > y, numpy.sin(x) * y, numpy.cos(y)) + numpy.maximum(x, 0.2 * y)


def counted(x, y):
    n = 3
    while n > 0:
        x = math.sin(x) * y + n
        n -= 1
    return x


def flags(x, y):
    sign = 1.0 if x > 0.0 else -1.0
    big = abs(y) > 1.0
    return sign * (x * x + (y if big else y * y))


def constant_in_a_branch(x, y):
    return 1.0 if x > 0.0 else x * y


def integers_first(x, y):
    for k in range(2):
        if x < k:
            return k
    z = k
    if y > 0.0:
        z = x * y
    return z * x


def truths_first(x, y):
    if x < 0.0:
        return y > 0.0
    return x * y


TEXTS = [
    integers_first, truths_first,
    early_returns, nested, joined, loops, loop_over_branches, helpers, extremes, tables, powers, nested_functions,
    counted, flags, constant_in_a_branch,
]  # fmt: skip
PRIMITIVES = {text.__name__: ng.elementwise(name=f"text_{text.__name__}")(text) for text in TEXTS}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("jit", [0, 2])
def test_values(settings, text, jit):
    settings.jit = jit
    x, y = (a.ravel() for a in numpy.meshgrid(POINTS, POINTS + 0.05))
    expected = [text(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    numpy.testing.assert_allclose(PRIMITIVES[text.__name__](x, y), expected, rtol=1e-13)
    single = PRIMITIVES[text.__name__](x.astype("float32"), y.astype("float32"))
    assert single.dtype == "float32"
    numpy.testing.assert_allclose(single, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("text", TEXTS)
def test_derivatives(text):
    x, y = (a.ravel() for a in numpy.meshgrid(POINTS, POINTS + 0.05))
    check_grads(PRIMITIVES[text.__name__], (x, y), rtol=1e-6)
