"""Kernel density estimate: a bandwidth for each axis by leave-one-out likelihood.

Source: Silverman 1986, Density estimation for statistics and data analysis, section 3.4.4.
"""

import numpy as np

RNG = np.random.default_rng(4)
POINTS = np.concatenate([RNG.normal([0, 0], [0.3, 1.0], (60, 2)), RNG.normal([2, 1], [0.3, 1.5], (60, 2))])
START = np.log(np.array([1.0, 1.0]))


def loss(log_bandwidth):
    bandwidth = np.exp(log_bandwidth)
    scaled = POINTS / bandwidth
    apart = np.sum((scaled[:, None, :] - scaled[None, :, :]) ** 2, axis=-1)
    weights = np.exp(-0.5 * apart)
    np.fill_diagonal(weights, 0.0)
    density = weights.sum(axis=1) / (len(POINTS) - 1) / (2.0 * np.pi * np.prod(bandwidth))
    return -np.mean(np.log(density + 1e-300))


if __name__ == "__main__":
    from _fit import fit

    print("bandwidths:", np.exp(fit(loss, START)).round(3))
