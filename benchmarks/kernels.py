"""Elementwise kernels, reductions and products, compiled, against nothing but their own past."""

import math

import numpy as np

import nbgrad as ng
import nbgrad.numpy as xp

N = 100_000


class Elementwise:
    """One function of 100k elements, one thread."""

    params = (
        ["exp", "log", "tanh", "sin", "erf", "power", "add"],
        ["float64", "float32"],
    )
    param_names = ("function", "dtype")

    def setup(self, function, dtype):
        ng.config.threads = 1
        x = ng.asarray(np.random.default_rng(0).uniform(0.1, 3, N).astype(dtype))
        f = {"erf": lambda x: xp.erf(x), "power": lambda x: x**1.7, "add": lambda x: x + 1.5}.get(function)
        self.call, self.x = ng.jit(f or getattr(xp, function)), x
        self.call(x)

    def time_elementwise(self, function, dtype):
        """Seconds of a call."""
        self.call(self.x)


class Reductions:
    """Sums and softmax of a million elements, two threads."""

    params = (["sum_all", "sum_rows", "sum_columns", "max_rows", "softmax"],)
    param_names = ("reduction",)

    def setup(self, reduction):
        ng.config.threads = 2
        f = {
            "sum_all": xp.sum,
            "sum_rows": lambda x: xp.sum(x, axis=1),
            "sum_columns": lambda x: xp.sum(x, axis=0),
            "max_rows": lambda x: xp.max(x, axis=1),
            "softmax": xp.softmax,
        }[reduction]
        self.call, self.x = ng.jit(f), ng.asarray(np.random.default_rng(0).random((1000, 1000)))
        self.call(self.x)

    def time_reduction(self, reduction):
        """Seconds of a call."""
        self.call(self.x)


class Products:
    """Matrix products of several shapes."""

    params = ([(64, 64, 64), (768, 768, 768), (200_000, 50, 1), (50, 10_000, 32)],)
    param_names = ("m_k_n",)

    def setup(self, shape):
        ng.config.threads = 2
        m, k, n = shape
        rng = np.random.default_rng(0)
        self.a, self.b = ng.asarray(rng.random((m, k))), ng.asarray(rng.random((k, n)))
        self.call = ng.jit(lambda a, b: a @ b)
        self.call(self.a, self.b)

    def time_product(self, shape):
        """Seconds of a call."""
        self.call(self.a, self.b)


class OfUsers:
    """Kernels as users declare them: the gradient of a text with a branch, and a recurrence."""

    params = (["text", "array_kernel"],)
    param_names = ("kind",)

    def setup(self, kind):
        ng.config.threads = 1
        gradient = ng.grad(lambda x: xp.sum(soft_ramp(x)))
        self.call = ng.jit(gradient if kind == "text" else running_mean)
        self.x = ng.asarray(np.random.default_rng(0).normal(size=N))
        self.call(self.x)

    def time_kernel(self, kind):
        """Seconds of a call."""
        self.call(self.x)


@ng.elementwise
def soft_ramp(x):
    """x times a soft step."""
    return x / (1.0 + math.exp(-x)) if x > -30.0 else 0.0


@ng.array_kernel(lambda x: (x.shape, x.dtype))
def running_mean(x, out):
    """Each element is half of the one before, and half of the input."""
    mean = x[0]
    for i in range(x.size):
        mean = 0.5 * mean + 0.5 * x[i]
        out[i] = mean
