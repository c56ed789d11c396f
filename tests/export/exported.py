"""Functions of many kinds, for NumPy's arrays and nbgrad's, with examples and other sizes of their arguments."""

import numpy

import nbgrad as ng
import nbgrad.numpy as np


def rosenbrock(x):
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def mean_of_squares(x):
    return numpy.mean(numpy.tanh(x) ** 2)


def spread(x):
    return numpy.var(x, ddof=1) + numpy.std(x)


def log_sum_exp(x):
    top = numpy.max(x, axis=1, keepdims=True)
    return numpy.sum(numpy.log(numpy.sum(numpy.exp(x - top), axis=1)))


def network(w1, b1, w2, x):
    return numpy.sum(numpy.tanh(numpy.tanh(x @ w1 + b1) @ w2) ** 2)


def quadratic_form(a, x):
    return x @ (a.T @ (a @ x)) / x.shape[0] ** 0.5


def attraction(x):
    d = x[:, None] - x[None]
    return numpy.sum(1.0 / numpy.sqrt(0.1 + numpy.sum(d * d, axis=-1)))


def curvature(u):
    inside = 4 * u[1:-1, 1:-1] - u[2:, 1:-1] - u[:-2, 1:-1] - u[1:-1, 2:] - u[1:-1, :-2]
    return numpy.sum(inside * inside)


def running(x):
    return numpy.sum(numpy.cumsum(x) ** 2)


def taken(x, i):
    return numpy.sum(x[i] ** 2)


def columns(x):
    return numpy.sum(numpy.sum(x, axis=0) ** 3) + numpy.sum(numpy.max(x, axis=0))


def batches(a, b):
    return numpy.sum((a @ b) ** 2)


def cross(x, y):
    return numpy.sum(numpy.cross(x, y) ** 2)


def equations(a, b):
    return numpy.sum(numpy.linalg.solve(a, b) ** 2)


def likelihood(x, y):
    lower = numpy.linalg.cholesky(numpy.exp(-((x[:, None] - x) ** 2)) + 0.1 * numpy.eye(x.shape[0]))
    return numpy.sum(numpy.log(numpy.diagonal(lower))) + numpy.sum(numpy.linalg.solve(lower, y) ** 2)


def ordered(x):
    return numpy.sum(numpy.sort(x)[1:] * x[:-1])


#: (function, shapes of the example, shapes of other arguments)
TABLE = [
    (rosenbrock, [(5,)], [(2,), (300,)]),
    (mean_of_squares, [(5, 7)], [(1, 1), (30, 41)]),
    (spread, [(6,)], [(2,), (1000,)]),
    (log_sum_exp, [(5, 7)], [(3, 1), (20, 1001)]),
    (network, [(5, 7), (7,), (7, 2), (11, 5)], [(3, 4), (4,), (4, 1), (6, 3)]),
    (quadratic_form, [(5, 4), (4,)], [(50, 31), (31,)]),
    (attraction, [(9, 3)], [(40, 3)]),
    (curvature, [(8, 9)], [(30, 12)]),
    (running, [(5,)], [(100,)]),
    (columns, [(5, 7)], [(33, 2)]),
    (batches, [(2, 3, 4), (2, 4, 5)], [(3, 6, 2), (3, 2, 7)]),
    (cross, [(3,), (3,)], [(3,), (3,)]),
    (equations, [(4, 4), (4,)], [(9, 9), (9,)]),
    (likelihood, [(4,), (4,)], [(11,), (11,)]),
    (ordered, [(5,)], [(33,)]),
]


def recurrent(h, w, xs):
    """A loop whose state is in memory where it is large."""

    def step(h, x):
        return np.tanh(np.matmul(w, h) + x), np.sum(h)

    last, sums = ng.scan(step, h, xs)
    return np.sum(last) + np.sum(sums**2)


def recurrent_by_numpy(h, w, xs):
    total = 0.0
    for x in xs:
        total += numpy.sum(h) ** 2
        h = numpy.tanh(w @ h + x)
    return numpy.sum(h) + total


def until_large(x):
    return np.sum(ng.while_loop(lambda s: np.sum(s**2) < 1000.0, lambda s: 1.1 * s + 0.01 * np.sin(s), x))


def until_large_by_numpy(x):
    while numpy.sum(x**2) < 1000.0:
        x = 1.1 * x + 0.01 * numpy.sin(x)
    return numpy.sum(x)


def one_of_two(x):
    return ng.cond(np.sum(x) > 0, lambda x: np.sum(x**2), lambda x: np.sum(x**3), x)


def one_of_two_by_numpy(x):
    return numpy.sum(x**2) if numpy.sum(x) > 0 else numpy.sum(x**3)


LOOPS = [
    (recurrent, recurrent_by_numpy, [(3,), (3, 3), (7, 3)], [(20,), (20, 20), (4, 20)]),
    (until_large, until_large_by_numpy, [(5,)], [(40,)]),
    (one_of_two, one_of_two_by_numpy, [(5,)], [(70,)]),
]


def arguments(shapes, seed=0):
    rng = numpy.random.default_rng(seed)
    return [rng.normal(size=s) for s in shapes]


def slope(function, values, along, step=1e-5):
    """The derivative along directions, by central differences."""
    at = lambda h: float(function(*[v + h * d for v, d in zip(values, along, strict=True)]))  # noqa: E731
    return (at(step) - at(-step)) / (2 * step)
