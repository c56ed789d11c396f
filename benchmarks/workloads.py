"""Gradients of whole programs, jitted: steady state, kernels and launches, and the most memory they take."""

import itertools

import numpy as np

import nbgrad as ng
import nbgrad.numpy as xp
from nbgrad.benchmark import Workload


def options(rng, n=200_000):
    u = lambda a, b: rng.uniform(a, b, n)  # noqa: E731
    return u(60, 140), u(60, 140), u(0.1, 2), u(0, 0.1), u(0.1, 0.5)


def black_scholes(spot, strike, t, rate, vol):
    """Prices of call options, summed."""
    cdf = lambda x: 0.5 * xp.erfc(-x * 0.7071067811865476)  # noqa: E731
    sd = vol * xp.sqrt(t)
    d = (xp.log(spot / strike) + (rate + 0.5 * vol * vol) * t) / sd
    return xp.sum(spot * cdf(d) - strike * xp.exp(-rate * t) * cdf(d - sd))


def softmax(x, w):
    """A stable softmax over rows, weighted and summed."""
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return xp.sum(e / xp.sum(e, axis=-1, keepdims=True) * w)


def logistic(w, x, y):
    """Loss of a logistic regression."""
    z = x @ w
    return xp.mean(xp.logaddexp(0.0, z) - y * z) + 0.01 * xp.sum(w * w)


def column_moments(x):
    """Skewness and kurtosis of columns."""
    c = x - xp.mean(x, axis=0)
    var = xp.mean(c * c, axis=0)
    return xp.sum((xp.mean(c**3, axis=0) / var**1.5) ** 2 + (xp.mean(c**4, axis=0) / var**2 - 3) ** 2)


def attraction(pos, mass):
    """Squared accelerations of particles that attract each other."""
    d = pos[None, :, :] - pos[:, None, :]
    r2 = xp.sum(d * d, axis=2) + 0.01
    acc = xp.sum(d * (mass / (r2 * xp.sqrt(r2)))[:, :, None], axis=1)
    return 0.5 * xp.sum(acc * acc)


def perceptron(params, x, y):
    """Cross-entropy of a small network."""
    for i, (w, b) in enumerate(params):
        x = x @ w + b
        x = xp.maximum(x, 0.0) if i < len(params) - 1 else x
    return -xp.mean(xp.sum(xp.log_softmax(x) * y, axis=1))


def heat(u, k, steps=20):
    """Explicit steps of the heat equation."""
    for _ in range(steps):
        lap = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4.0 * u[1:-1, 1:-1]
        u = u + xp.pad(k[1:-1, 1:-1] * lap, 1)
    return xp.sum(u * u)


def recurrent(wx, wh, x, h):
    """A recurrent network of a hundred steps, unrolled."""
    for t in range(100):
        h = xp.tanh(x[t] @ wx + h @ wh)
    return xp.mean(h * h)


def messages(h, w, source, target):
    """Two layers of weighted messages along the edges of a graph."""
    n = h.shape[0]
    for _ in range(2):
        h = xp.tanh(xp.segment_sum(h[source] * w[:, None], target, n))
    return xp.mean(h * h)


def graph(rng, nodes=2_000, edges=20_000, width=32):
    return rng.normal(size=(nodes, width)), rng.random(edges), *rng.integers(0, nodes, (2, edges))


def layers(rng, sizes=(784, 256, 128, 10)):
    return [(rng.normal(size=(i, o)) / i**0.5, np.zeros(o)) for i, o in itertools.pairwise(sizes)]


CASES = {
    "black_scholes": (black_scholes, (0, 1, 2, 3, 4), options),
    "softmax": (softmax, 0, lambda rng: tuple(rng.normal(size=(2, 8192, 128)))),
    "logistic": (logistic, 0, lambda rng: (rng.normal(size=50), rng.normal(size=(50_000, 50)), rng.random(50_000))),
    "column_moments": (column_moments, 0, lambda rng: (rng.gamma(3.0, size=(50_000, 32)),)),
    "attraction": (attraction, (0, 1), lambda rng: (rng.normal(size=(500, 3)), rng.random(500))),
    "perceptron": (perceptron, 0, lambda rng: (layers(rng), rng.random((128, 784)), np.eye(10)[np.arange(128) % 10])),
    "heat": (heat, (0, 1), lambda rng: (rng.random((256, 256)), 0.2 * rng.random((256, 256)))),
    "recurrent": (recurrent, (0, 1), lambda rng: (rng.normal(size=(8, 32)) * 0.3, rng.normal(size=(32, 32)) / 6,
                                                  rng.normal(size=(100, 16, 8)), np.zeros((16, 32)))),
    "messages": (messages, (0, 1), graph),
}  # fmt: skip


class Gradients(Workload):
    """One value and gradient."""

    params = (list(CASES),)
    param_names = ("workload",)
    series = ("steady", "kernels", "launches", "memory")

    def function(self, workload):
        ng.config.threads = 2
        fn, wrt, _ = CASES[workload]
        return ng.value_and_grad(fn, wrt)

    def arguments(self, workload):
        return CASES[workload][2](np.random.default_rng(0))
