"""Fit a small convolutional network to handwritten digits.

    python examples/small_convnet.py [--epochs N] [--out FILE]

The data are the 1797 images of 8 by 8 pixels that come with scikit-learn; a fifth of them is held out, and the exit
status is 1 if fewer than 96 % of those are read correctly.  The picture shows how training went, what the first
filters look like, and what they make of a digit.
"""

import argparse
import sys
import time

import numpy
from sklearn.datasets import load_digits

import nbgrad as ng
import nbgrad.numpy as np

BATCH, RATE, MOMENTUM = 64, 0.08, 0.9
ENOUGH = 0.96


def digits(seed=0, held_out=0.2):
    """(images, labels) to train with and held out; images are (n, 8, 8, 1) with pixels in [0, 1]."""
    data = load_digits()
    order = numpy.random.default_rng(seed).permutation(len(data.target))
    images, labels = data.images[order, ..., None] / 16.0, data.target[order]
    cut = round(held_out * len(labels))
    return (images[cut:], labels[cut:]), (images[:cut], labels[:cut])


def initial(rng):
    """Two convolutions and a linear layer, with weights by He's rule."""

    def weights(*shape):
        return ng.asarray(rng.normal(0, numpy.sqrt(2 / numpy.prod(shape[:-1])), shape))

    return {
        "first": weights(3, 3, 1, 8),
        "second": weights(3, 3, 8, 16),
        "last": weights(2 * 2 * 16, 10),
        "biases": [ng.asarray(numpy.zeros(n)) for n in (8, 16, 10)],
    }


def scores(p, x):
    """Unnormalised log-probabilities of the ten digits: (n, 8, 8, 1) to (n, 10)."""
    x = np.max_pool(np.relu(np.conv(x, p["first"], padding="same") + p["biases"][0]), 2)
    x = np.max_pool(np.relu(np.conv(x, p["second"], padding="same") + p["biases"][1]), 2)
    return np.reshape(x, (x.shape[0], -1)) @ p["last"] + p["biases"][2]


def loss(p, x, targets):
    """Mean cross-entropy; targets are one-hot."""
    return -np.mean(np.sum(targets * np.log_softmax(scores(p, x)), axis=1))


def moved(tree, other, rule):
    """Two nests of the same form joined leaf by leaf."""
    if isinstance(tree, dict):
        return {k: moved(tree[k], other[k], rule) for k in tree}
    if isinstance(tree, list):
        return [moved(a, b, rule) for a, b in zip(tree, other, strict=True)]
    return rule(tree, other)


@ng.jit
def step(p, velocity, x, targets, rate):
    """One step of gradient descent with momentum: new parameters and velocities, and the loss before."""
    value, gradient = ng.value_and_grad(loss)(p, x, targets)
    velocity = moved(velocity, gradient, lambda v, g: MOMENTUM * v - rate * g)
    return moved(p, velocity, lambda a, v: a + v), velocity, value


classify = ng.jit(lambda p, x: np.argmax(scores(p, x), axis=1))
first_layer = ng.jit(lambda p, x: np.relu(np.conv(x, p["first"], padding="same") + p["biases"][0]))


def fit(train, test, epochs):
    """(parameters, loss of every step, held-out accuracy of every epoch)."""
    rng, (images, labels) = numpy.random.default_rng(1), train
    p, targets = initial(rng), numpy.eye(10)[labels]
    velocity = moved(p, p, lambda a, _: ng.asarray(numpy.zeros(a.shape)))
    losses, accuracies = [], []
    for epoch in range(epochs):
        rate = 0.5 * RATE * (1.0 + numpy.cos(numpy.pi * epoch / epochs))
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            p, velocity, value = step(p, velocity, images[chosen], targets[chosen], rate)
            losses.append(float(value))
        accuracies.append(float(numpy.mean(classify(p, test[0]).numpy() == test[1])))
        print(f"epoch {epoch + 1:2d}: loss {losses[-1]:.4f}, held-out accuracy {accuracies[-1]:.3f}", flush=True)
    return p, losses, accuracies


def draw(path, p, losses, accuracies, image):
    """The picture: loss and accuracy; filters of the first layer above what they make of a digit."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(12, 4.6), dpi=130, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(0.8, 1.2))
    upper, lower = left.subplots(2, 1)
    upper.semilogy(losses, color="#1f3a5f", linewidth=0.8)
    upper.set(title="Training loss", xlabel="step", ylabel="cross-entropy")
    lower.plot(
        numpy.arange(len(accuracies)) + 1, 100 * numpy.array(accuracies), color="#d1781b", marker="o", markersize=3
    )
    lower.axhline(100 * ENOUGH, color="#888888", linewidth=0.9, linestyle="--")
    lower.set(title=f"Held-out accuracy: {100 * accuracies[-1]:.1f} %", xlabel="epoch", ylabel="read correctly (%)")
    axes = right.subplots(2, 9)
    filters, made = p["first"].numpy(), first_layer(p, image[None]).numpy()[0]
    limit = numpy.abs(filters).max()
    axes[1, 0].imshow(image[..., 0], cmap="gray_r")
    for k in range(8):
        axes[0, k + 1].imshow(filters[:, :, 0, k], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[1, k + 1].imshow(made[..., k], cmap="viridis", vmin=0, vmax=made.max())
    for axis in axes.flat:
        axis.set_axis_off()
    right.suptitle("Filters of the first layer, and what they make of a digit")
    figure.savefig(path)
    plt.close(figure)


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fit a small convolutional network to handwritten digits.")
    parser.add_argument("--epochs", type=int, default=8, help="passes over the training images (default: 8)")
    parser.add_argument("--out", default="small_convnet.png", help="file of the picture")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error("--epochs must be at least 1")
    train, test = digits()
    start = time.perf_counter()
    p, losses, accuracies = fit(train, test, arguments.epochs)
    print(f"{len(losses)} steps in {time.perf_counter() - start:.1f} s, compiling included")
    draw(arguments.out, p, losses, accuracies, test[0][0])
    print(f"held-out accuracy {accuracies[-1]:.4f}; picture in {arguments.out}")
    if accuracies[-1] < ENOUGH:
        print(f"held-out accuracy is below {ENOUGH}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
