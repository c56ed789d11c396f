"""
Hyperparameters of a Gaussian process
=====================================

A Gaussian process is fitted to noisy samples.  Its length scale, its amplitude and the level of the noise maximise the
marginal likelihood (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, eq. 2.30); the gradient
passes through a Cholesky factorisation.
"""

import matplotlib.pyplot as plt
import numpy

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.scipy import linalg, optimize

random = numpy.random.default_rng(4)
x = numpy.sort(random.uniform(0.0, 10.0, 45))
truth = lambda x: numpy.sin(1.3 * x) + 0.25 * x  # noqa: E731
y = truth(x) + 0.25 * random.standard_normal(x.size)

# %%
# The unknowns are logarithms, so that they stay positive.


def kernel(p, a, b):
    return np.exp(2 * p["amplitude"]) * np.exp(-0.5 * ((a[:, None] - b) / np.exp(p["length"])) ** 2)


def loss(p):
    """Negative logarithm of the marginal likelihood."""
    covariance = kernel(p, x, x) + np.exp(2 * p["noise"]) * np.eye(x.size)
    factor = linalg.cholesky(covariance, lower=True)
    white = linalg.solve_triangular(factor, y, lower=True)
    return 0.5 * np.sum(white**2) + np.sum(np.log(np.diagonal(factor))) + 0.5 * x.size * numpy.log(2 * numpy.pi)


start = {"amplitude": numpy.log(0.5), "length": numpy.log(0.15), "noise": numpy.log(0.8)}
found = optimize.minimize(loss, start, method="BFGS")
fitted = {name: float(value) for name, value in found.x.items()}
for name, value in fitted.items():
    print(f"{name:10s} {numpy.exp(value):.3f}")
assert abs(numpy.exp(fitted["noise"]) - 0.25) < 0.1

# %%
# The prediction before and after, with two standard deviations of the curve.


def predict(p, at):
    covariance = kernel(p, x, x) + np.exp(2 * p["noise"]) * np.eye(x.size)
    across = kernel(p, ng.asarray(at), x)
    mean = across @ np.linalg.solve(covariance, y)
    spread = np.exp(2 * p["amplitude"]) - np.sum(across * np.linalg.solve(covariance, across.T).T, axis=1)
    return mean.numpy(), numpy.sqrt(numpy.maximum(spread.numpy(), 0.0))


at = numpy.linspace(-0.5, 10.5, 300)
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for axis, p, title in zip(axes, (start, fitted), ("Before", "Largest marginal likelihood"), strict=True):
    mean, spread = predict(p, at)
    axis.fill_between(at, mean - 2 * spread, mean + 2 * spread, color="#1f77b4", alpha=0.2, linewidth=0)
    axis.plot(at, mean, color="#1f77b4", label="prediction")
    axis.plot(at, truth(at), "--", color="#444444", linewidth=1, label="truth")
    axis.plot(x, y, ".", color="#d1781b", label="samples")
    axis.set(title=f"{title}: {float(loss(p)):.1f}", xlabel="x")
axes[0].set_ylabel("y")
axes[0].legend(frameon=False)
plt.show()
