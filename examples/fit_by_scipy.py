"""Fit models to data with SciPy's solvers and gradients from nbgrad.

    python examples/fit_by_scipy.py [--out FILE]

A sum of two peaks is fitted to noisy counts: by least squares with `curve_fit`, and by the likelihood of the counts
with `minimize`, whose unknowns are a dict.  SciPy alone, with differences instead of derivatives, fits the same model
for comparison.  The exit status is 1 if the fits do not find the peaks that the data were made of.
"""

import argparse
import sys

import numpy
import scipy.optimize

import nbgrad.numpy as np
from nbgrad.scipy import optimize

TRUE = {"heights": [60.0, 35.0], "centres": [2.8, 6.1], "widths": [0.6, 1.1], "level": 12.0}


def peaks(x, heights, centres, widths, level):
    """Gaussians on a level; x is a vector, and so are the others but the last."""
    z = (x[:, None] - centres) / widths
    return np.sum(heights * np.exp(-0.5 * z * z), axis=1) + level


def counts(seed=0):
    """(x, counts): Poisson numbers around the true curve."""
    x = numpy.linspace(0.0, 10.0, 240)
    z = (x[:, None] - numpy.array(TRUE["centres"])) / numpy.array(TRUE["widths"])
    curve = (numpy.array(TRUE["heights"]) * numpy.exp(-0.5 * z * z)).sum(1) + TRUE["level"]
    return x, numpy.random.default_rng(seed).poisson(curve).astype(float)


def by_likelihood(x, y):
    """Heights, widths and the level are exponentials of the unknowns, so that they stay positive."""

    def model(p):
        return peaks(x, np.exp(p["heights"]), p["centres"], np.exp(p["widths"]), np.exp(p["level"]))

    def loss(p):
        expected = model(p)
        return np.sum(expected - y * np.log(expected))

    start = {
        "heights": numpy.log([40.0, 40.0]), "centres": numpy.array([2.0, 7.0]), "widths": numpy.zeros(2),
        "level": numpy.log(5.0),
    }  # fmt: skip
    found = optimize.minimize(loss, start, method="trust-exact", options={"gtol": 1e-5})
    p = found.x
    made = {"heights": numpy.exp(p["heights"]), "centres": p["centres"], "widths": numpy.exp(p["widths"]),
            "level": float(numpy.exp(p["level"]))}  # fmt: skip
    return made, found


def by_least_squares(x, y):
    """(parameters, their standard deviations) from `curve_fit`; each parameter is an argument of its own."""

    def model(x, h1, h2, c1, c2, w1, w2, level):
        return peaks(x, np.stack([h1, h2]), np.stack([c1, c2]), np.stack([w1, w2]), level)

    start = [40.0, 40.0, 2.0, 7.0, 1.0, 1.0, 5.0]
    return optimize.curve_fit(model, x, y, start, sigma=numpy.sqrt(y + 1.0)), (model, start)


def draw(path, x, y, fits):
    """The picture: counts and fitted curves, and what the fits leave over."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(9, 6), dpi=130, sharex=True, height_ratios=(2.2, 1), layout="constrained"
    )
    upper.plot(x, y, ".", color="#999999", markersize=4, label="counts")
    for (name, curve), colour in zip(fits.items(), ("#1f3a5f", "#d1781b"), strict=True):
        upper.plot(x, curve, color=colour, linewidth=1.8, label=name)
        lower.plot(x, (y - curve) / numpy.sqrt(curve), ".", color=colour, markersize=3)
    lower.axhline(0, color="#888888", linewidth=0.8)
    lower.set(xlabel="x", ylabel="deviations")
    upper.set(ylabel="counts", title="Two peaks, fitted with SciPy and exact derivatives")
    upper.legend(frameon=False)
    figure.savefig(path)
    plt.close(figure)


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fit models to data with SciPy's solvers and gradients from nbgrad.")
    parser.add_argument("--out", default="fit_by_scipy.png", help="file of the picture")
    arguments = parser.parse_args()
    x, y = counts()
    likely, found = by_likelihood(x, y)
    print(f"likelihood: {found.nit} steps of trust-exact, {found.nfev} values, {found.nhev} Hessians")
    (popt, pcov), (model, start) = by_least_squares(x, y)
    print(
        "curve_fit:  "
        + ", ".join(f"{v:.3f} +- {s:.3f}" for v, s in zip(popt, numpy.sqrt(numpy.diag(pcov)), strict=True))
    )

    def residuals(p):
        z = (x[:, None] - p[2:4]) / p[4:6]
        return ((p[:2] * numpy.exp(-0.5 * z * z)).sum(1) + p[6] - y) / numpy.sqrt(y + 1.0)

    alone = scipy.optimize.least_squares(residuals, start, method="lm")
    print(f"SciPy alone differs by {numpy.abs(alone.x - popt).max():.1e}, after {alone.nfev} values")
    squares = model(x, *popt)
    curve = peaks(x, *(numpy.asarray(likely[k]) for k in ("heights", "centres", "widths")), likely["level"])
    draw(arguments.out, x, y, {"likelihood": curve.numpy(), "least squares": squares.numpy()})
    print(f"picture in {arguments.out}")
    true = numpy.concatenate([numpy.ravel(TRUE[k]) for k in TRUE])
    ours = numpy.concatenate([numpy.ravel(likely[k]) for k in TRUE])
    worst = max(numpy.abs(ours / true - 1.0).max(), numpy.abs(popt / true - 1.0).max())
    print(f"largest relative difference from the true parameters {worst:.3f}")
    if worst > 0.15 or numpy.abs(alone.x - popt).max() > 1e-3:
        print("the fits did not find the peaks", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
