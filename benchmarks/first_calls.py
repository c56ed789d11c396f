"""What the first call of a compiled function takes, before and after its kernels are in the cache."""

import numpy as np

import nbgrad as ng
import nbgrad.numpy as xp
from nbgrad.benchmark import Workload


def loss(w, x, y):
    """Mean squared error of two layers."""
    return xp.mean((xp.tanh(x @ w[0]) @ w[1] - y) ** 2)


class FirstGradient(Workload):
    """The gradient of a small network, in processes that have done nothing yet."""

    series = ("cold", "warm", "kernels", "another_shape", "launches")

    def function(self):
        return ng.value_and_grad(loss)

    def arguments(self, rows=100):
        rng = np.random.default_rng(0)
        w = [rng.normal(size=(8, 16)), rng.normal(size=16)]
        return w, rng.normal(size=(rows, 8)), rng.normal(size=rows)

    def other_arguments(self):
        return self.arguments(50)
