"""Ising model in mean field: couplings and fields from magnetisations and correlations.

The magnetisations solve m = tanh(h + J m); the correlations follow by linear response (Kappen & Rodriguez 1998,
Efficient learning in Boltzmann machines using linear response theory).
"""

import numpy as np

SPINS = 5
PAIRS = np.triu_indices(SPINS, 1)
RNG = np.random.default_rng(6)
TRUE = np.concatenate([0.2 * RNG.normal(size=len(PAIRS[0])), 0.3 * RNG.normal(size=SPINS)])
START = np.zeros(TRUE.size)


def statistics(parameters):
    places = PAIRS[0] * SPINS + PAIRS[1]
    upper = parameters[: places.size] @ np.eye(SPINS * SPINS)[places]
    couplings = upper.reshape(SPINS, SPINS) + upper.reshape(SPINS, SPINS).T
    field = parameters[places.size :]
    m = np.zeros(SPINS)
    for _ in range(60):
        m = np.tanh(field + couplings @ m)
    inverse = np.diag(1.0 / (1.0 - m**2)) - couplings
    return m, np.linalg.inv(inverse)


MAGNETISATION, CORRELATION = statistics(TRUE)


def loss(parameters):
    m, c = statistics(parameters)
    return np.sum((m - MAGNETISATION) ** 2) + np.sum(np.triu(c - CORRELATION, 1) ** 2)


if __name__ == "__main__":
    from _fit import fit

    found = fit(loss, START, 500)
    print("largest error of a coupling or field:", np.abs(found - TRUE).max().round(5))
