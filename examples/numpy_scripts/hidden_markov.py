"""Hidden Markov model: transitions and emissions by the forward algorithm in logarithms.

Source: Rabiner 1989, A tutorial on hidden Markov models, equations 18 to 21.
"""

import numpy as np

TRANSITIONS = np.array([[0.9, 0.1], [0.2, 0.8]])
MEANS, SPREAD = np.array([-1.0, 1.5]), 0.7
START = np.array([0.5, -0.5, -0.5, 0.5, 0.2, 0.9, 0.0])


def simulate(steps=120, seed=2):
    rng = np.random.default_rng(seed)
    state, seen = 0, []
    for _ in range(steps):
        state = rng.choice(2, p=TRANSITIONS[state])
        seen.append(MEANS[state] + SPREAD * rng.normal())
    return np.array(seen)


DATA = simulate()


def logsumexp(x, axis):
    most = np.max(x, axis=axis, keepdims=True)
    return np.squeeze(most, axis=axis) + np.log(np.sum(np.exp(x - most), axis=axis))


def unpack(parameters):
    rows = parameters[:4].reshape(2, 2)
    return rows - logsumexp(rows, axis=1)[:, None], parameters[4:6], np.exp(parameters[6])


def loss(parameters):
    log_transition, means, spread = unpack(parameters)
    log_emission = -0.5 * ((DATA[:, None] - means) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
    alpha = np.log(np.full(2, 0.5)) + log_emission[0]
    for row in log_emission[1:]:
        alpha = logsumexp(alpha[:, None] + log_transition, axis=0) + row
    return -logsumexp(alpha, axis=0)


if __name__ == "__main__":
    from _fit import fit

    log_transition, means, spread = unpack(fit(loss, START))
    print("transitions", np.exp(log_transition).round(2).tolist(), "means", means.round(2), "spread", spread.round(2))
