"""Pharmacokinetics: absorption, elimination and volume from concentrations after three doses.

One compartment with first-order absorption (Gibaldi & Perrier 1982, Pharmacokinetics, chapter 1), solved by RK4; units
are mg, l and h.
"""

import numpy as np

DOSES = {0.0: 100.0, 8.0: 60.0, 16.0: 60.0}
TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 9.0, 12.0, 17.0, 20.0, 24.0])
STEP = 0.25
TRUE = np.log([1.2, 0.25, 20.0])
START = np.log([0.6, 0.1, 30.0])


def slope(amounts, absorption, elimination):
    gut, blood = amounts
    return np.array([-absorption * gut, absorption * gut - elimination * blood])


def concentrations(log_parameters):
    absorption, elimination, volume = np.exp(log_parameters)
    amounts, seen, at = np.array([0.0, 0.0]), [], []
    for k in range(int(24.0 / STEP) + 1):
        now = k * STEP
        amounts = amounts + np.array([DOSES.get(now, 0.0), 0.0])
        at.append(now)
        seen.append(amounts[1] / volume)
        k1 = slope(amounts, absorption, elimination)
        k2 = slope(amounts + 0.5 * STEP * k1, absorption, elimination)
        k3 = slope(amounts + 0.5 * STEP * k2, absorption, elimination)
        k4 = slope(amounts + STEP * k3, absorption, elimination)
        amounts = amounts + STEP / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return np.interp(TIMES, np.array(at), np.array(seen))


DATA = concentrations(TRUE) * np.exp(0.02 * np.random.default_rng(5).normal(size=TIMES.size))


def loss(log_parameters):
    return np.sum((np.log(concentrations(log_parameters)) - np.log(DATA)) ** 2)


if __name__ == "__main__":
    from _fit import fit

    print("absorption, elimination, volume:", np.exp(fit(loss, START)).round(3), "made with 1.2 0.25 20")
