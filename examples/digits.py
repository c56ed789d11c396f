"""Fit a small neural network to handwritten digits.

    python examples/digits.py [--epochs N] [--out FILE]

The data are the 1797 images of 8 by 8 pixels that come with scikit-learn.  A fifth of them is held out; the
exit status is 1 if fewer than 96 % of those are read correctly.  The gradient that trains the network is
compared with one written by hand in NumPy, in value and in time, and a picture of the result is saved.
"""

import argparse
import itertools
import statistics
import sys
import time

import numpy
from sklearn.datasets import load_digits

import nbgrad as ng
import nbgrad.numpy as np

LAYERS = (64, 96, 48, 10)
BATCH = 64
ENOUGH = 0.96

# ---------------------------------------------------------------- data


def digits(seed=0, held_out=0.2):
    """(images, one-hot labels) to train with and (images, labels) held out; pixels are in [0, 1]."""
    data = load_digits()
    order = numpy.random.default_rng(seed).permutation(len(data.target))
    images, labels = data.data[order] / 16.0, data.target[order]
    cut = round(held_out * len(labels))
    return (images[cut:], numpy.eye(10)[labels[cut:]]), (images[:cut], labels[:cut])


def batches(images, targets, rng):
    """Minibatches of equal size in a new random order."""
    order = rng.permutation(len(images))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        yield images[chosen], targets[chosen]


# ---------------------------------------------------------------- the network


def initial(rng):
    """Weights by He's rule and zero biases: one dict a layer."""
    return [
        {"w": ng.asarray(rng.normal(0, numpy.sqrt(2 / n), (n, m))), "b": ng.asarray(numpy.zeros(m))}
        for n, m in itertools.pairwise(LAYERS)
    ]


def scores(parameters, x):
    """Unnormalised log-probabilities of the ten digits."""
    *hidden, last = parameters
    for layer in hidden:
        x = np.maximum(x @ layer["w"] + layer["b"], 0.0)
    return x @ last["w"] + last["b"]


def loss(parameters, x, targets):
    """Mean cross-entropy."""
    s = scores(parameters, x)
    return np.mean(np.logsumexp(s, axis=1) - np.sum(s * targets, axis=1))


loss_and_gradient = ng.jit(ng.value_and_grad(loss))
classify = ng.jit(lambda parameters, x: np.argmax(scores(parameters, x), axis=1))


@ng.jit
def step(state, x, targets, rate):
    """One step of Adam: the new state, and the loss before it.  The rate is already corrected for the start at 0."""
    value, gradient = ng.value_and_grad(loss)(state["parameters"], x, targets)
    new = {"parameters": [], "mean": [], "square": []}
    for p, g, m, v in zip(state["parameters"], gradient, state["mean"], state["square"], strict=True):
        m = {k: 0.9 * m[k] + 0.1 * g[k] for k in p}
        v = {k: 0.999 * v[k] + 0.001 * g[k] * g[k] for k in p}
        new["parameters"].append({k: p[k] - rate * m[k] / (np.sqrt(v[k]) + 1e-8) for k in p})
        new["mean"].append(m)
        new["square"].append(v)
    return new, value


def fit(train, test, epochs, report):
    """(parameters, loss of every step, held-out accuracy of every epoch)."""
    rng = numpy.random.default_rng(1)
    parameters = initial(rng)
    zeros = [{k: ng.asarray(numpy.zeros(p.shape)) for k, p in layer.items()} for layer in parameters]
    state = {"parameters": parameters, "mean": zeros, "square": zeros}
    losses, accuracies = [], []
    for epoch in range(epochs):
        rate = 0.5 * 3e-3 * (1.0 + numpy.cos(numpy.pi * epoch / epochs))
        for x, targets in batches(*train, rng):
            t = len(losses) + 1
            corrected = rate * numpy.sqrt(1.0 - 0.999**t) / (1.0 - 0.9**t)
            state, value = step(state, x, targets, corrected)
            losses.append(float(value))
        accuracies.append(accuracy(state["parameters"], *test))
        report(epoch + 1, losses[-1], accuracies[-1])
    return state["parameters"], losses, accuracies


def accuracy(parameters, images, labels):
    """Share of the images that are read correctly."""
    return float(numpy.mean(classify(parameters, images).numpy() == labels))


# ---------------------------------------------------------------- the same gradient by hand


def gradient_by_hand(parameters, x, targets):
    """Loss and gradient of the network in plain NumPy, as one would write it without autodiff."""
    inputs = []
    for k, layer in enumerate(parameters):
        inputs.append(x)
        x = x @ layer["w"] + layer["b"]
        if k < len(parameters) - 1:
            x = numpy.maximum(x, 0.0)
    top = x.max(axis=1, keepdims=True)
    e = numpy.exp(x - top)
    total = e.sum(axis=1, keepdims=True)
    value = numpy.mean(numpy.log(total[:, 0]) + top[:, 0] - (x * targets).sum(axis=1))
    back = (e / total - targets) / len(x)
    gradient = []
    for k in reversed(range(len(parameters))):
        gradient.append({"w": inputs[k].T @ back, "b": back.sum(axis=0)})
        if k:
            back = (back @ parameters[k]["w"].T) * (inputs[k] > 0.0)
    return value, gradient[::-1]


def compare(parameters, x, targets, calls=400):
    """(largest difference, seconds of ours, seconds by hand): one batch, median of many calls, taken in turns."""
    plain = [{k: p.numpy() for k, p in layer.items()} for layer in parameters]
    ours, by_hand = loss_and_gradient(parameters, x, targets), gradient_by_hand(plain, x, targets)
    difference = abs(float(ours[0]) - by_hand[0])
    for a, b in zip(ours[1], by_hand[1], strict=True):
        difference = max(difference, *(numpy.abs(a[k].numpy() - b[k]).max() for k in b))
    seconds = [], []
    for _ in range(calls):
        for times, run, p in ((seconds[0], loss_and_gradient, parameters), (seconds[1], gradient_by_hand, plain)):
            start = time.perf_counter()
            run(p, x, targets)
            times.append(time.perf_counter() - start)
    return difference, statistics.median(seconds[0]), statistics.median(seconds[1])


# ---------------------------------------------------------------- telling the user


class Progress:
    """A progress bar, or a line now and then where the output is not a terminal."""

    def __init__(self, epochs):
        self.epochs, self.bar = epochs, None
        if sys.stdout.isatty():
            try:
                from rich import progress
            except ImportError:
                return
            self.bar = progress.Progress(
                progress.TextColumn("training"), progress.BarColumn(), progress.TextColumn("{task.description}"),
                progress.TimeElapsedColumn(),
            )  # fmt: skip
            self.task = self.bar.add_task("", total=epochs)

    def __enter__(self):
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_):
        if self.bar:
            self.bar.stop()

    def __call__(self, epoch, value, share):
        text = f"loss {value:.4f}, held-out accuracy {share:.3f}"
        if self.bar:
            self.bar.update(self.task, advance=1, description=text)
        elif epoch == 1 or epoch == self.epochs or epoch % 5 == 0:
            print(f"epoch {epoch:3d}: {text}", flush=True)


INK, SECOND, WRONG, FAINT = "#1f3a5f", "#d1781b", "#c0392b", "#d8d8d8"


def draw(path, losses, accuracies, images, labels, predicted):
    """The picture: how training went, and digits with what was read, wrong ones first."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888"}
    )
    figure = plt.figure(figsize=(12, 6), dpi=130, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(0.9, 1.1), wspace=0.03)
    upper, lower = left.subplots(2, 1, sharex=True)
    per_epoch = len(losses) / len(accuracies)
    at = (numpy.arange(len(losses)) + 1) / per_epoch
    width = max(1, round(per_epoch))
    smooth = numpy.convolve(losses, numpy.ones(width) / width, mode="valid")
    upper.semilogy(at, losses, color=INK, alpha=0.25, linewidth=0.8, label="each batch")
    upper.semilogy(at[width - 1 :], smooth, color=INK, linewidth=1.8, label="mean over an epoch")
    upper.set_ylabel("cross-entropy")
    upper.set_title("Training loss", loc="left", fontweight="bold")
    upper.legend(frameon=False)
    epochs = numpy.arange(len(accuracies)) + 1
    share = 100 * numpy.array(accuracies)
    lower.axhline(100 * ENOUGH, color="#888888", linewidth=0.9, linestyle=(0, (4, 3)))
    lower.annotate(f"required: {100 * ENOUGH:.0f} %", (1, 100 * ENOUGH), (0, -4), xycoords=("axes fraction", "data"),
                   textcoords="offset points", ha="right", va="top", color="#666666", fontsize=9)  # fmt: skip
    lower.plot(epochs, share, color=SECOND, linewidth=1.8, marker="o", markersize=3)
    lower.set_title(f"Held-out accuracy: {share[-1]:.1f} % at the end", loc="left", fontweight="bold")
    lower.set_ylabel("read correctly (%)")
    lower.set_xlabel("epoch")
    lower.set_ylim(min(94.0, share[min(2, len(share) - 1) :].min() - 1.0), 100.4)
    for axes in (upper, lower):
        axes.grid(color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)

    order = numpy.argsort(predicted == labels, kind="stable")[:48]
    wrong = int(numpy.sum(predicted != labels))
    for k, axes in enumerate(right.subplots(6, 8).flat):
        axes.set_axis_off()
        if k >= len(order):
            continue
        i = order[k]
        axes.imshow(images[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        bad = predicted[i] != labels[i]
        text = f"{predicted[i]}, not {labels[i]}" if bad else f"{predicted[i]}"
        axes.set_title(text, fontsize=9.5, pad=3, color=WRONG if bad else INK, fontweight="bold" if bad else "normal")
        if bad:
            axes.add_patch(plt.Rectangle((-0.5, -0.5), 8, 8, fill=False, edgecolor=WRONG, linewidth=2.2, clip_on=False))
    right.suptitle(f"Held-out digits and what was read: {wrong} of {len(labels)} wrong", fontsize=12, fontweight="bold")
    figure.savefig(path, bbox_inches="tight", pad_inches=0.2)
    plt.close(figure)


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fit a small neural network to handwritten digits.")
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training images (default: 40)")
    parser.add_argument("--out", default="digits.png", help="file of the picture (default: digits.png)")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error("--epochs must be at least 1")

    train, test = digits()
    print(f"{len(train[0])} images to train with, {len(test[0])} held out; layers {' - '.join(map(str, LAYERS))}")
    start = time.perf_counter()
    with Progress(arguments.epochs) as report:
        parameters, losses, accuracies = fit(train, test, arguments.epochs, report)
    print(f"{len(losses)} steps in {time.perf_counter() - start:.1f} s, compiling included")

    x, targets = train[0][:BATCH], train[1][:BATCH]
    difference, ours, by_hand = compare(initial(numpy.random.default_rng(2)), x, targets)
    print(f"one gradient of a batch of {BATCH}: {1e6 * ours:.0f} us; written by hand in NumPy: {1e6 * by_hand:.0f} us")
    print(f"largest difference between the two: {difference:.1e}")
    if not difference < 1e-8:
        print("the two gradients disagree", file=sys.stderr)
        return 1

    predicted = classify(parameters, test[0]).numpy()
    draw(arguments.out, losses, accuracies, *test, predicted)
    print(f"held-out accuracy {accuracies[-1]:.4f}; picture in {arguments.out}")
    if accuracies[-1] < ENOUGH:
        print(f"held-out accuracy is below {ENOUGH}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
