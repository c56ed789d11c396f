"""Adam in twenty lines, on a nest of weights: a small network that tells malignant tumours from benign ones.

    python examples/adam.py [--steps N]

`value_and_grad` returns gradients that are nests like the weights, so the optimiser is arithmetic on their leaves.  All
steps of the training are one `scan`: its state is the weights and their moments, its slices are the mini-batches, and
`jit` runs the whole of it in one call.  The data are those of scikit-learn (569 biopsies, 30 measurements of each), and
its logistic regression is what the network has to beat.  The exit status is 1 if the loss is not below that of the
linear model, or if too few of the held-out cases are told right.
"""

import argparse
import itertools
import sys
import time

import numpy
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import trees


def mapped(f, *nests):
    """A nest of what `f` makes of the leaves of nests."""
    leaves, structures = zip(*map(trees.flatten, nests), strict=True)
    return trees.unflatten(structures[0], [f(*parts) for parts in zip(*leaves, strict=True)])


class Adam:
    """Kingma and Ba's method: steps along means of gradients, over roots of means of their squares."""

    def __init__(self, rate=3e-3, decay=0.9, decay_squares=0.999, small=1e-8):
        self.rate, self.decay, self.decay_squares, self.small = rate, decay, decay_squares, small

    def begin(self, weights):
        """The state before the first step: both means, and the number of steps."""
        return mapped(np.zeros_like, weights), mapped(np.zeros_like, weights), np.asarray(0.0)

    def step(self, weights, state, gradient):
        """(weights, state) after a step."""
        mean, squares, t = state[0], state[1], state[2] + 1.0
        mean = mapped(lambda m, g: self.decay * m + (1.0 - self.decay) * g, mean, gradient)
        squares = mapped(lambda s, g: self.decay_squares * s + (1.0 - self.decay_squares) * g * g, squares, gradient)
        first, second = 1.0 - self.decay**t, 1.0 - self.decay_squares**t  # the means begin with zeros
        moved = lambda w, m, s: w - self.rate * (m / first) / (np.sqrt(s / second) + self.small)  # noqa: E731
        return mapped(moved, weights, mean, squares), (mean, squares, t)


def begin(sizes, random):
    """Weights of a network: a list of layers, each a dict."""
    return [{"matrix": random.normal(size=(m, n)) / numpy.sqrt(m), "offset": numpy.zeros(n)}
            for m, n in itertools.pairwise(sizes)]  # fmt: skip


def scores(weights, x):
    """Of each case, the logarithm of the odds."""
    *hidden, last = weights
    for layer in hidden:
        x = np.tanh(x @ layer["matrix"] + layer["offset"])
    return (x @ last["matrix"] + last["offset"])[:, 0]


def loss(weights, x, y):
    """Mean of the negative logarithms of the likelihood."""
    z = scores(weights, x)
    return np.mean(np.logaddexp(0.0, z) - y * z)


def train(weights, x, y, batches, method):
    """(weights, the loss of each batch before its step)."""

    def step(state, batch):
        weights, moments = state
        value, gradient = ng.value_and_grad(loss)(weights, x[batch], y[batch])
        return method.step(weights, moments, gradient), value

    (weights, _), losses = ng.scan(step, (weights, method.begin(weights)), batches)
    return weights, losses


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Adam on a nest of weights.")
    parser.add_argument("--steps", type=int, default=400, help="steps of Adam, each on 64 cases")
    arguments = parser.parse_args()
    random = numpy.random.default_rng(0)
    x, y = load_breast_cancer(return_X_y=True)
    order = random.permutation(len(x))
    kept, held = order[:400], order[400:]
    x = (x - x[kept].mean(0)) / x[kept].std(0)
    linear = LogisticRegression(max_iter=10_000).fit(x[kept], y[kept])
    limit = log_loss(y[kept], linear.predict_proba(x[kept]))

    weights = begin((x.shape[1], 16, 8, 1), random)
    batches = random.integers(0, len(kept), size=(arguments.steps, 64))
    run = ng.jit(lambda *args: train(*args, Adam()))
    known = x[kept], y[kept].astype(float)
    start = time.perf_counter()
    weights, losses = run(weights, *known, batches)
    losses = losses.numpy()
    print(f"{arguments.steps} steps, compilation included, in {time.perf_counter() - start:.2f} s")
    for k in range(0, arguments.steps, max(arguments.steps // 5, 1)):
        print(f"step {k}: loss of the batch {losses[k]:.4f}")
    reached = float(loss(weights, *known))
    right = float(numpy.mean((scores(weights, x[held]).numpy() > 0) == y[held]))
    print(f"loss {reached:.4f}, of the linear model {limit:.4f}")
    print(f"held-out accuracy {right:.3f}, of the linear model {linear.score(x[held], y[held]):.3f}")
    if reached >= limit:
        print(f"the loss {reached:.4f} is not below that of the linear model", file=sys.stderr)
        return 1
    if right < 0.94:
        print(f"held-out accuracy {right:.3f} is below 0.94", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
