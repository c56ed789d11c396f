"""Independent component analysis by maximum likelihood: the matrix that takes mixed signals apart.

Source: Cardoso 1997, Infomax and maximum likelihood for blind source separation; the density of a source is 1 / cosh.
"""

import numpy as np

RNG = np.random.default_rng(3)
SOURCES = RNG.laplace(size=(3, 400))
MIXING = np.array([[1.0, 0.6, 0.3], [0.4, 1.0, -0.5], [-0.2, 0.3, 1.0]])
MIXED = MIXING @ SOURCES
START = np.eye(3)


def loss(unmixing):
    apart = np.matmul(unmixing, MIXED)
    size = np.abs(apart)
    log_cosh = size + np.log1p(np.exp(-2.0 * size)) - np.log(2.0)
    _, log_volume = np.linalg.slogdet(unmixing)
    return np.mean(np.sum(log_cosh, axis=0)) - log_volume


if __name__ == "__main__":
    from _fit import fit

    found = fit(lambda flat: loss(flat.reshape(3, 3)), START.ravel()).reshape(3, 3)
    product = found @ MIXING
    product = product / np.abs(product).max(axis=1, keepdims=True)
    print("unmixing times mixing, rows scaled:\n", product.round(2))
