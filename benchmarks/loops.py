"""Loops that are one operation: value and gradient, jitted."""

import numba
import numpy as np

import nbgrad as ng
import nbgrad.numpy as xp

STEPS, H = 10_000, 1e-4
START, PARAMETERS = np.ones(4), np.array([10.0, 28.0, 8 / 3, 0.5])


def rates(y, p):
    """The Lorenz system, and a fourth quantity that follows its first."""
    a, b, c, d = y[0], y[1], y[2], y[3]
    return xp.stack([p[0] * (b - a), a * (p[1] - c) - b, a * b - p[2] * c, p[3] * (a - d)])


def trajectory(start, p):
    """Where the classical Runge-Kutta method ends, squared."""

    def step(y, _):
        k1 = rates(y, p)
        k2 = rates(y + H / 2 * k1, p)
        k3 = rates(y + H / 2 * k2, p)
        k4 = rates(y + H * k3, p)
        return y + H / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return xp.sum(ng.scan(step, start, length=STEPS)[0] ** 2)


@numba.njit(error_model="numpy", fastmath={"contract"})
def rates_by_hand(y, p):
    """`rates`, of tuples."""
    a, b, c, d = y
    return p[0] * (b - a), a * (p[1] - c) - b, a * b - p[2] * c, p[3] * (a - d)


@numba.njit(error_model="numpy", fastmath={"contract"})
def pulled_by_hand(y, p, g, t):
    """The pullback of `rates`: the cotangent of the state, and `t` with that of the parameters added."""
    a, b, c, d = y
    u, v, w, z = g
    return (
        (-p[0] * u + (p[1] - c) * v + b * w + p[3] * z, p[0] * u - v + a * w, -a * v - p[2] * w, -p[3] * z),
        (t[0] + u * (b - a), t[1] + v * a, t[2] - w * c, t[3] + z * (a - d)),
    )


@numba.njit(error_model="numpy", fastmath={"contract"})
def plus(x, s, y):
    """``x + s * y`` of tuples of four."""
    return x[0] + s * y[0], x[1] + s * y[1], x[2] + s * y[2], x[3] + s * y[3]


@numba.njit(error_model="numpy", fastmath={"contract"})
def by_hand(start, p):
    """Value and gradient of `trajectory`: a loop that keeps the states, and its adjoint."""
    states = np.empty((STEPS, 4))
    p = (p[0], p[1], p[2], p[3])
    y = (start[0], start[1], start[2], start[3])
    for n in range(STEPS):
        states[n, 0], states[n, 1], states[n, 2], states[n, 3] = y
        k1 = rates_by_hand(y, p)
        k2 = rates_by_hand(plus(y, H / 2, k1), p)
        k3 = rates_by_hand(plus(y, H / 2, k2), p)
        k4 = rates_by_hand(plus(y, H, k3), p)
        y = plus(plus(plus(plus(y, H / 6, k1), H / 3, k2), H / 3, k3), H / 6, k4)
    value = y[0] ** 2 + y[1] ** 2 + y[2] ** 2 + y[3] ** 2
    zero = (0.0, 0.0, 0.0, 0.0)
    g, t = plus(zero, 2.0, y), zero
    for n in range(STEPS - 1, -1, -1):
        y = (states[n, 0], states[n, 1], states[n, 2], states[n, 3])
        y2 = plus(y, H / 2, rates_by_hand(y, p))
        y3 = plus(y, H / 2, rates_by_hand(y2, p))
        y4 = plus(y, H, rates_by_hand(y3, p))
        g4, t = pulled_by_hand(y4, p, plus(zero, H / 6, g), t)
        g3, t = pulled_by_hand(y3, p, plus(plus(zero, H / 3, g), H, g4), t)
        g2, t = pulled_by_hand(y2, p, plus(plus(zero, H / 3, g), H / 2, g3), t)
        g1, t = pulled_by_hand(y, p, plus(plus(zero, H / 6, g), H / 2, g2), t)
        g = plus(plus(plus(plus(g, 1.0, g4), 1.0, g3), 1.0, g2), 1.0, g1)
    return value, np.array(g), np.array(t)


class SmallStates:
    """10,000 steps with four numbers from step to step."""

    def setup(self):
        self.gradient = ng.jit(ng.value_and_grad(trajectory, (0, 1)))
        value, found = self.gradient(START, PARAMETERS)
        for a, b in zip((value, *found), by_hand(START, PARAMETERS), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)

    def time_gradient(self):
        """One launch forwards, one backwards."""
        self.gradient(START, PARAMETERS)[0].realize()

    def time_gradient_by_hand(self):
        """The loop and its adjoint, written for Numba."""
        by_hand(START, PARAMETERS)


class LargeStates:
    """1,000 steps with a product of matrices in each."""

    params = ("vector", "matrix")
    param_names = ("state",)

    def setup(self, state):
        rng = np.random.default_rng(0)
        self.w = rng.normal(size=(100, 100)) / 12
        self.h = rng.normal(size=100 if state == "vector" else (100, 100))
        self.xs = rng.normal(size=(1000, 100))
        loss = lambda w, h, xs: xp.sum(ng.scan(lambda h, x: (xp.tanh(w @ h + x), None), h, xs)[0] ** 2)  # noqa: E731
        self.gradient = ng.jit(ng.value_and_grad(loss, (0, 1, 2)))
        self.gradient(self.w, self.h, self.xs)

    def time_gradient(self, state):
        """By matrix, initial state and inputs of the steps."""
        self.gradient(self.w, self.h, self.xs)[0].realize()


class UntilAConditionHolds:
    """Newton's method for a thousand square roots at once."""

    def setup(self):
        self.a = np.random.default_rng(0).uniform(1, 100, 1000)
        goes_on = lambda a: lambda x: xp.max(xp.abs(x * x - a)) > 1e-10  # noqa: E731
        loss = lambda a: xp.sum(ng.while_loop(goes_on(a), lambda x: (x + a / x) / 2, a))  # noqa: E731
        self.gradient = ng.jit(ng.value_and_grad(loss))
        np.testing.assert_allclose(self.gradient(self.a)[1], 0.5 / np.sqrt(self.a), rtol=1e-6)

    def time_gradient(self):
        """The loop, and back over its steps."""
        self.gradient(self.a)[0].realize()
