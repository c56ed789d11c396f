"""
A curve fit with uncertainties
==============================

A decaying oscillation is fitted to noisy measurements with SciPy's Levenberg-Marquardt method, whose Jacobian is a
compiled program.  The covariance of the parameters is the inverse of the Hessian of the loss at the fit, and the band
of the curve follows from it and from the Jacobian of the model.
"""

import matplotlib.pyplot as plt
import numpy

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.scipy import optimize

NAMES = ("amplitude", "rate", "frequency", "phase", "offset")
TRUE = numpy.array([2.0, 0.35, 2.6, 0.4, 0.5])
NOISE = 0.2


def model(p, t):
    return p[0] * np.exp(-p[1] * t) * np.cos(p[2] * t + p[3]) + p[4]


random = numpy.random.default_rng(1)
t = numpy.linspace(0.0, 8.0, 60)
y = model(TRUE, t) + NOISE * random.standard_normal(t.size)

# %%
# The fit, from a guess that is far from it.


def residuals(p):
    return (model(p, t) - y) / NOISE


start = numpy.array([1.0, 0.1, 2.3, 0.0, 0.0])
found = optimize.least_squares(residuals, start, method="lm")

# %%
# Standard deviations by the whole Hessian of half the sum of squares, which has the curvature of the model in it, too.


def loss(p):
    return 0.5 * np.sum(residuals(p) ** 2)


p = numpy.asarray(found.x)
covariance = numpy.linalg.inv(ng.hessian(loss)(p).numpy())
deviation = numpy.sqrt(numpy.diag(covariance))
for name, value, spread, true in zip(NAMES, p, deviation, TRUE, strict=True):
    print(f"{name:10s} {value:7.3f} +- {spread:.3f}   (made with {true})")
assert numpy.all(numpy.abs(p - TRUE) < 4 * deviation)

# %%
# The band has two standard deviations of the curve; one row of the Jacobian of the model belongs to each time.

fine = numpy.linspace(0.0, 8.0, 400)
rows = ng.jacobian(lambda p: model(p, fine))(p).numpy()
spread = numpy.sqrt(numpy.einsum("ij,jk,ik->i", rows, covariance, rows))
curve = numpy.asarray(model(p, fine))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(1.7, 1), layout="constrained")
left.errorbar(t, y, NOISE, fmt=".", color="#777777", elinewidth=0.8, label="measured")
left.plot(fine, model(TRUE, fine), "--", color="#444444", linewidth=1, label="truth")
left.plot(fine, model(start, fine), ":", color="#2ca02c", label="start")
left.fill_between(fine, curve - 2 * spread, curve + 2 * spread, color="#d1781b", alpha=0.3, linewidth=0)
left.plot(fine, curve, color="#d1781b", label="fit")
left.set(xlabel="time", ylabel="displacement", title="Fit, with its band of two standard deviations")
left.legend(frameon=False, ncols=2)
correlation = covariance / numpy.outer(deviation, deviation)
image = right.imshow(correlation, cmap="RdBu_r", vmin=-1, vmax=1)
right.set_xticks(range(5), NAMES, rotation=40, ha="right")
right.set_yticks(range(5), NAMES)
right.set_title("Correlation of the parameters")
figure.colorbar(image, ax=right, shrink=0.8)
plt.show()
