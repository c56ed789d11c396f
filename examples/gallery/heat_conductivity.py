"""
Conductivity from temperatures
==============================

A rod is heated at its left end.  Thermometers along it record for a while, and the conductivity of the rod, which
varies along it, is found from what they say: the gradient of the misfit passes through all steps of an explicit scheme,
which are one `scan`.
"""

import matplotlib.pyplot as plt
import numpy

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.scipy import optimize

POINTS, STEPS = 60, 1500
DX = 1.0 / (POINTS - 1)
DT = 0.2 * DX**2
SENSORS = numpy.arange(4, POINTS - 1, 6)
NOISE = 0.005

x = numpy.linspace(0.0, 1.0, POINTS)
between = 0.5 * (x[1:] + x[:-1])  # conductivity lies between the points
truth = 1.0 + 0.8 * numpy.exp(-(((between - 0.35) / 0.1) ** 2)) - 0.55 * numpy.exp(-(((between - 0.7) / 0.08) ** 2))

# %%
# The rod: heat flows from point to point by the difference of temperatures; the left end is held at 1, the right at 0.


def simulate(conductivity):
    """Temperatures of the sensors at every step."""

    def step(u, _):
        flow = conductivity * (u[1:] - u[:-1]) / DX
        inner = u[1:-1] + DT * (flow[1:] - flow[:-1]) / DX
        return np.concatenate([u[:1], inner, u[-1:]]), u[SENSORS]

    start = np.concatenate([np.ones(1), np.zeros(POINTS - 1)])
    return ng.scan(step, start, length=STEPS)[1]


random = numpy.random.default_rng(0)
clean = simulate(ng.asarray(truth)).numpy()
measured = clean + NOISE * random.standard_normal(clean.shape)

# %%
# Unknown is the logarithm of the conductivity, and what is rough costs a little.


def loss(logarithm):
    misfit = np.sum((simulate(np.exp(logarithm)) - measured) ** 2) / (2 * NOISE**2)
    return misfit + 5.0 * np.sum((logarithm[1:] - logarithm[:-1]) ** 2) / DX


found = optimize.minimize(loss, numpy.zeros(POINTS - 1), method="L-BFGS-B", options={"maxiter": 150})
recovered = numpy.exp(numpy.asarray(found.x))
error = numpy.sqrt(numpy.mean((recovered - truth) ** 2))
print(f"{found.nit} steps, {found.nfev} gradients, mean error of the conductivity {error:.3f}")
assert error < 0.1

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
times = DT * numpy.arange(STEPS)
colours = plt.colormaps["viridis"](numpy.linspace(0.05, 0.9, SENSORS.size))
fitted = simulate(ng.asarray(recovered)).numpy()
for k, colour in enumerate(colours):
    left.plot(times[::15], measured[::15, k], ".", color=colour, markersize=3)
    left.plot(times, fitted[:, k], color=colour, linewidth=1, label=f"x = {x[SENSORS[k]]:.2f}")
left.set(xlabel="time", ylabel="temperature", title="Measured (dots) and fitted (lines)", ylim=(-0.03, 1.2))
left.legend(fontsize=7, frameon=False, ncols=4, loc="upper center")
right.plot(between, truth, "--", color="#444444", label="truth")
right.plot(between, recovered, color="#d1781b", label="recovered")
right.plot(x[SENSORS], numpy.full(SENSORS.size, 0.3), "^", color="#1f77b4", label="thermometers")
right.set(xlabel="x", ylabel="conductivity", title="Conductivity", ylim=(0.2, 2.1))
right.legend(frameon=False)
plt.show()
