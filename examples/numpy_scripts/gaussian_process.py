"""Gaussian process regression: length scale, amplitude and noise by the marginal likelihood.

Source: Rasmussen & Williams 2006, Gaussian processes for machine learning, equation 5.8.
"""

import numpy as np

RNG = np.random.default_rng(1)
X = np.sort(RNG.uniform(-3, 3, 40))
Y = np.sin(2 * X) + 0.3 * X + 0.15 * RNG.normal(size=X.size)
START = np.log(np.array([1.0, 1.0, 0.5]))


def kernel(a, b, length, amplitude):
    apart = a[:, np.newaxis] - b[np.newaxis, :]
    return amplitude**2 * np.exp(-0.5 * (apart / length) ** 2)


def loss(log_parameters):
    length, amplitude, noise = np.exp(log_parameters)
    covariance = kernel(X, X, length, amplitude) + noise**2 * np.eye(X.size)
    factor = np.linalg.cholesky(covariance)
    half = np.linalg.solve(factor, Y)
    return 0.5 * np.sum(half**2) + np.sum(np.log(np.diagonal(factor))) + 0.5 * X.size * np.log(2 * np.pi)


def predict(log_parameters, at):
    length, amplitude, noise = np.exp(log_parameters)
    covariance = kernel(X, X, length, amplitude) + noise**2 * np.eye(X.size)
    return kernel(at, X, length, amplitude) @ np.linalg.solve(covariance, Y)


if __name__ == "__main__":
    from _fit import fit

    found = fit(loss, START)
    print("length, amplitude, noise:", np.exp(found).round(3))
    at = np.linspace(-2, 2, 5)
    print("prediction", predict(found, at).round(3), "truth", (np.sin(2 * at) + 0.3 * at).round(3))
