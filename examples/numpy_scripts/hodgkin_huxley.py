"""Hodgkin-Huxley neuron: conductances from a voltage trace.

Source: Hodgkin & Huxley 1952, A quantitative description of membrane current, in the modern sign of the voltage (mV,
ms, mS/cm2); gates by the exponential Euler rule.
"""

import numpy as np

STEP, STEPS = 0.05, 400
CURRENT = np.where((np.arange(STEPS) > 40) & (np.arange(STEPS) < 360), 10.0, 0.0)
TRUE = np.log([120.0, 36.0, 0.3])
START = np.log([100.0, 40.0, 0.4])


def rates(v):
    alpha_n = 0.01 * (v + 55.0) / (1.0 - np.exp(-(v + 55.0) / 10.0))
    beta_n = 0.125 * np.exp(-(v + 65.0) / 80.0)
    alpha_m = 0.1 * (v + 40.0) / (1.0 - np.exp(-(v + 40.0) / 10.0))
    beta_m = 4.0 * np.exp(-(v + 65.0) / 18.0)
    alpha_h = 0.07 * np.exp(-(v + 65.0) / 20.0)
    beta_h = 1.0 / (1.0 + np.exp(-(v + 35.0) / 10.0))
    return np.array([alpha_n, alpha_m, alpha_h]), np.array([beta_n, beta_m, beta_h])


def trace(log_conductances):
    sodium, potassium, leak = np.exp(log_conductances)
    v = -65.0
    opening, closing = rates(v)
    gates = opening / (opening + closing)
    seen = []
    for k in range(STEPS):
        opening, closing = rates(v)
        total = opening + closing
        gates = opening / total + (gates - opening / total) * np.exp(-STEP * total)
        n, m, h = gates
        flow = sodium * m**3 * h * (v - 50.0) + potassium * n**4 * (v + 77.0) + leak * (v + 54.387)
        v = v + STEP * (CURRENT[k] - flow)
        seen.append(v)
    return np.array(seen)


DATA = trace(TRUE)


def loss(log_conductances):
    return np.mean((trace(log_conductances) - DATA) ** 2) / 100.0


if __name__ == "__main__":
    from _fit import fit

    print("sodium, potassium, leak:", np.exp(fit(loss, START, 60)).round(2), "made with 120 36 0.3")
