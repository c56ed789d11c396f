"""Small products that become parts of a larger one, and axes too short to be innermost."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np


def convolution(x, w, b, n):
    out = b
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            out = out + x[:, i : i + n, j : j + n, :] @ w[i, j]
    return np.sum(np.tanh(out) ** 2)


def by_loops(x, w, b, n):
    out = numpy.zeros((x.shape[0], n, n, w.shape[-1])) + b
    for i, j in numpy.ndindex(n, n):
        out[:, i, j] += numpy.einsum("bijc,ijcd->bd", x[:, i : i + w.shape[0], j : j + w.shape[1]], w)
    return numpy.sum(numpy.tanh(out) ** 2)


@pytest.mark.parametrize(("channels", "filters"), [(1, 6), (3, 5), (6, 16)])
def test_a_convolution_by_taps(settings, rng, channels, filters):
    settings.jit = 2
    n, size = 6, 3
    x = rng.normal(size=(4, n + size - 1, n + size - 1, channels))
    w, b = rng.normal(size=(size, size, channels, filters)) / 5, rng.normal(size=filters)
    f = ng.jit(ng.value_and_grad(lambda *a: convolution(*a, n), grad_position=(0, 1, 2)))
    value, found = f(x, w, b)
    numpy.testing.assert_allclose(value, by_loops(x, w, b, n), rtol=1e-12)
    for k, argument in enumerate((x, w, b)):
        for _ in range(6):
            at = tuple(rng.integers(argument.shape))
            moved = [[a.copy() for a in (x, w, b)] for _ in range(2)]
            moved[0][k][at] += 1e-6
            moved[1][k][at] -= 1e-6
            slope = (by_loops(*moved[0], n) - by_loops(*moved[1], n)) / 2e-6
            numpy.testing.assert_allclose(found[k][at], slope, rtol=1e-6, atol=1e-6)
    if channels > 1:
        names = f.lower(x, w, b).launches
        assert names.count("matmul") == 2 + size * size  # forward, by the weights, and one for each tap by x
        assert names.count("concatenate") <= size + size * size  # taps of one row of the window are one part


def test_members_that_depend_on_each_other_stay_apart(settings, rng):
    """Each weight is made with the product before: nothing may be joined, and nothing be lost."""
    settings.jit = 2
    x, w = rng.normal(size=(70, 5)), rng.normal(size=(5, 5)) / 5

    def f(xp, x, w):
        total, scale = 0.0, 1.0
        for _ in range(6):
            y = x @ (w * scale)
            total = total + y
            scale = 1.0 / (1.0 + xp.sum(y * y))
        return xp.sum(xp.sin(total))

    value, found = ng.jit(ng.value_and_grad(lambda w: f(np, x, w)))(w)
    numpy.testing.assert_allclose(value, f(numpy, x, w), rtol=1e-12)
    for at in ((0, 0), (3, 2), (4, 4)):
        d = numpy.zeros_like(w)
        d[at] = 1e-6
        slope = (f(numpy, x, w + d) - f(numpy, x, w - d)) / 2e-6
        numpy.testing.assert_allclose(found[at], slope, rtol=1e-6, atol=1e-6)


def test_a_product_that_others_read_stays(settings, rng):
    settings.jit = 2
    xs = [rng.normal(size=(80, 4)) for _ in range(5)]
    ws = [rng.normal(size=(4, 7)) for _ in range(5)]

    def f(*a):
        products = [x @ w for x, w in zip(a[:5], a[5:], strict=True)]
        return sum(products), products[2], products[4] * 2

    found, third, fifth = ng.jit(f)(*xs, *ws)
    products = [x @ w for x, w in zip(xs, ws, strict=True)]
    numpy.testing.assert_allclose(found, sum(products), rtol=1e-12, atol=1e-12)
    numpy.testing.assert_allclose(third, products[2], rtol=1e-13)
    numpy.testing.assert_allclose(fifth, products[4] * 2, rtol=1e-13)


def test_parts_side_by_side_are_one_part(settings, rng):
    settings.jit = 2
    x = rng.normal(size=(7, 40))
    widths = (3, 1, 5, 2, 4, 1, 6, 3, 2, 8, 1)
    starts = numpy.cumsum((0, *widths))

    def f(xp, x):
        parts = [x[:, a : a + n] for a, n in zip(starts[:-1], widths, strict=True)]
        return xp.concatenate([*parts, x[:, 5:9], x[:, 2:5], x[:, 5:7]], axis=1)

    jitted = ng.jit(lambda x: f(np, x))
    numpy.testing.assert_array_equal(jitted(x), f(numpy, x))
    assert jitted.lower(x).launches == ["concatenate"]


@pytest.mark.parametrize("shape", [(3, 200, 3), (50, 17, 5), (4, 30, 7), (2, 5000, 3)])
def test_short_axes(settings, rng, shape):
    """Elementwise work and sums over all but a short last axis, whichever axis goes inside."""
    settings.jit = 2
    a, b = rng.normal(size=(*shape[:2], 1)), rng.normal(size=shape[-1])
    c = rng.normal(size=shape)

    def f(xp, a, b, c):
        t = xp.sin(a) * b + xp.cos(a) * b * b - (a - b) * (a + b) * b / (3 + b * b) + a * a * a / (2 + a * a)
        y = xp.exp(t - a * a * b * b) / (1 + a * a) + c
        return y, [xp.sum(y * a**k, axis=(0, 1)) for k in range(9)]

    found, sums = ng.jit(lambda *x: f(np, *x))(a, b, c)
    expected, expected_sums = f(numpy, a, b, c)
    numpy.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    for s, e in zip(sums, expected_sums, strict=True):
        numpy.testing.assert_allclose(s, e, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("steps", [3, 20, 70])
def test_a_recurrent_network(settings, rng, steps):
    """Products of the steps that do not wait for each other are one product, and so is the gradient of a weight."""
    settings.jit = 2
    n, batch = 6, 5
    wx, wh, b = rng.normal(size=(3, n)), rng.normal(size=(n, n)) / 3, rng.normal(size=n)
    x, h0 = rng.normal(size=(steps, batch, 3)), rng.normal(size=(batch, n))

    def f(wx, wh, b, x):
        h = h0
        for t in range(steps):
            h = np.tanh(x[t] @ wx + h @ wh + b)
        return np.sum(h * h)

    run = ng.jit(ng.grad(f, grad_position=(0, 1, 2)))
    found = run(wx, wh, b, x)
    hs = [h0]
    for t in range(steps):
        hs.append(numpy.tanh(x[t] @ wx + hs[-1] @ wh + b))
    g, expected = 2 * hs[-1], [numpy.zeros_like(w) for w in (wx, wh, b)]
    for t in reversed(range(steps)):
        g = g * (1 - hs[t + 1] ** 2)
        expected[0] += x[t].T @ g
        expected[1] += hs[t].T @ g
        expected[2] += g.sum(0)
        g = g @ wh.T
    for a, e in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12)
    names = run.lower(wx, wh, b, x).launches
    if steps >= 20:
        groups = -(-steps // 64)  # the input's product, two a step but one, two for each group of steps
        assert names.count("matmul") == 1 + (2 * steps - 1) + 2 * groups
        assert names.count("concatenate") == 1  # the state before the first step is not made here
