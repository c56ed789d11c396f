"""Inversion constrained by a partial differential equation: the conductivity along a rod, from temperatures over time.

The heat equation is stepped implicitly; every step solves a linear system, through which the gradient flows.
"""

import numpy as np

CELLS, STEPS, TIME_STEP = 20, 15, 0.002
X = (np.arange(CELLS) + 0.5) / CELLS
TRUE = np.log(1.0 + 0.8 * np.sin(2 * np.pi * X))
START = np.zeros(CELLS)


def temperatures(log_conductivity):
    conductivity = np.exp(log_conductivity)
    between = 2.0 * conductivity[1:] * conductivity[:-1] / (conductivity[1:] + conductivity[:-1])
    flow = between * CELLS**2 * TIME_STEP
    system = np.eye(CELLS)
    system = system + np.diag(np.append(flow, 0.0)) + np.diag(np.insert(flow, 0, 0.0))
    system = system - np.diag(flow, 1) - np.diag(flow, -1)
    u = np.exp(-60.0 * (X - 0.3) ** 2) + 0.5 * np.exp(-80.0 * (X - 0.8) ** 2)
    seen = []
    for _ in range(STEPS):
        u = np.linalg.solve(system, u)
        seen.append(u)
    return np.stack(seen)


DATA = temperatures(TRUE)


def loss(log_conductivity):
    misfit = np.sum((temperatures(log_conductivity) - DATA) ** 2)
    return 1e3 * misfit + 1e-4 * np.sum(np.diff(log_conductivity) ** 2)


if __name__ == "__main__":
    from _fit import fit

    found = fit(loss, START, 300)
    print("conductivity:", np.exp(found).round(2))
    print("made with:   ", np.exp(TRUE).round(2))
