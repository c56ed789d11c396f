"""Kalman filter: how strongly an oscillator is damped, pushed and observed, from noisy positions.

The loss is minus the logarithm of the likelihood of the innovations (Harvey 1989, Forecasting, structural time series
models and the Kalman filter, section 3.4).
"""

import numpy as np

STEP = 0.1


def simulate(frequency=2.0, damping=0.3, push=0.5, noise=0.2, steps=150, seed=0):
    rng = np.random.default_rng(seed)
    state, seen = np.array([1.0, 0.0]), []
    for _ in range(steps):
        state = transition(frequency, damping) @ state + np.array([0.0, push * np.sqrt(STEP) * rng.normal()])
        seen.append(state[0] + noise * rng.normal())
    return np.array(seen)


def transition(frequency, damping):
    return np.array([[1.0, STEP], [-STEP * frequency**2, 1.0 - STEP * damping]])


DATA = simulate()
START = np.log([1.5, 0.5, 0.3, 0.4])


def loss(log_parameters):
    frequency, damping, push, noise = np.exp(log_parameters)
    forward = transition(frequency, damping)
    process = np.diag(np.array([1e-9, 0.0])) + np.outer([0.0, 1.0], [0.0, 1.0]) * push**2 * STEP
    observe = np.array([[1.0, 0.0]])
    mean, covariance = np.zeros(2), np.eye(2)
    total = 0.0
    for seen in DATA:
        mean = np.dot(forward, mean)
        covariance = forward @ covariance @ forward.T + process
        spread = (observe @ covariance @ observe.T + noise**2)[0, 0]
        innovation = seen - mean[0]
        gain = covariance[:, 0] / spread
        mean = mean + gain * innovation
        covariance = covariance - np.outer(gain, covariance[0])
        total = total + 0.5 * (np.log(2 * np.pi * spread) + innovation**2 / spread)
    return total


if __name__ == "__main__":
    from _fit import fit

    found = np.exp(fit(loss, START, 40))
    print("frequency, damping, push, noise:", found.round(3), "made with 2.0 0.3 0.5 0.2")
