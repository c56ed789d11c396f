"""Compiled gradients where no Python is in between, and what it takes to make them."""

import numba
import numpy as np

import nbgrad as ng
import nbgrad.numpy as xp


def valley(x):
    """Rosenbrock's function."""
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def root(x, a):
    """A function of one number, with a parameter."""
    return xp.exp(a * x) - xp.sin(x) - 2.0


class Native:
    """Gradients in loops of Numba."""

    def setup(self):
        self.jitted = ng.jit(ng.value_and_grad(valley))
        gradient, slope = self.jitted.njit(np.ones(5)), ng.jit(ng.value_and_grad(root)).njit(0.5, 1.0)

        @numba.njit
        def newton(count):
            total = 0.0
            for i in range(count):
                x = 0.5
                for _ in range(10):
                    value, derivative = slope(x, 1.0 + 1e-6 * i)
                    x -= value / derivative
                total += x
            return total

        @numba.njit
        def repeated(x, count):
            for _ in range(count):
                value, _ = gradient(x)
            return value

        self.newton, self.repeated = newton, repeated
        self.short, self.long = np.random.default_rng(0).random(10), np.random.default_rng(0).random(1_000_000)
        newton(1)
        repeated(self.short, 1)

    def time_newton_with_100_000_gradients(self):
        """Ten steps for each of 10,000 equations."""
        self.newton(10_000)

    def time_1000_gradients_of_10_numbers(self):
        """Each with an array for the result."""
        self.repeated(self.short, 1000)

    def time_a_gradient_of_a_million_numbers(self):
        """The same program at another size."""
        self.repeated(self.long, 1)

    def time_njit(self):
        """To make the function: traced at several sizes, compiled kernels from the cache."""
        self.jitted.njit(np.ones(5))
