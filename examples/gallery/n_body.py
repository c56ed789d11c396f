"""
Orbits by gradients through a simulation
========================================

A probe is to fly from the orbit of one planet to another planet, between a sun and both of them.  All bodies attract
each other; the simulation is a leapfrog scheme in one `scan`.  The velocity at the start is what is looked for: the
gradient of the distance from the target at the end passes back through all steps.
"""

import matplotlib.pyplot as plt
import numpy

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.scipy import optimize

MASSES = numpy.array([1.0, 1e-4, 3e-4, 1e-12])  # sun, inner planet, outer planet, probe
DURATION, STEPS = 4.4, 900
DT = DURATION / STEPS


def circular(radius, angle):
    """Position and velocity on a circle around the sun."""
    direction = numpy.array([numpy.cos(angle), numpy.sin(angle)])
    return radius * direction, numpy.array([-direction[1], direction[0]]) / numpy.sqrt(radius)


inner, outer = circular(1.0, -0.5), circular(1.5, 1.0)
probe = circular(1.0, 0.0)
positions = numpy.stack([numpy.zeros(2), inner[0], outer[0], probe[0]])
velocities = numpy.stack([numpy.zeros(2), inner[1], outer[1], probe[1]])

# %%
# The law of gravity, softened a little, and the leapfrog scheme.


def acceleration(q):
    apart = q[None, :, :] - q[:, None, :]
    cubed = (np.sum(apart**2, axis=-1) + 1e-6) ** 1.5
    return np.sum(MASSES[None, :, None] * apart / cubed[:, :, None], axis=1)


def fly(boost):
    """All positions, (steps, bodies, 2), when the probe starts with an additional velocity."""

    def step(state, _):
        q, v = state
        v = v + 0.5 * DT * acceleration(q)
        q = q + DT * v
        return (q, v + 0.5 * DT * acceleration(q)), q

    start = velocities + np.stack([np.zeros(2), np.zeros(2), np.zeros(2), boost])
    return ng.scan(step, (ng.asarray(positions), start), length=STEPS)[1]


def miss(boost):
    """Half the squared distance of probe and outer planet at the end, and a little for fuel."""
    end = fly(boost)[-1]
    return 0.5 * np.sum((end[3] - end[2]) ** 2) + 1e-5 * np.sum(boost**2)


# %%
# A few dozen simulations are enough for SciPy's BFGS; each of them comes with its exact gradient.

path, losses = [numpy.zeros(2)], [float(miss(ng.asarray(numpy.zeros(2))))]


def remember(boost):
    path.append(numpy.asarray(boost))
    losses.append(float(miss(ng.asarray(boost))))


found = optimize.minimize(miss, numpy.zeros(2), method="BFGS", callback=remember)
boost = numpy.asarray(found.x)
end = fly(ng.asarray(boost)).numpy()[-1]
apart = numpy.linalg.norm(end[3] - end[2])
print(f"{found.nit} steps, {found.nfev} simulations; boost {boost.round(4)}, distance at the end {apart:.5f}")
assert apart < 0.02

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), width_ratios=(1.25, 1), layout="constrained")
colours = ("#e0a100", "#1f77b4", "#c0392b")
last = fly(ng.asarray(boost)).numpy()
for k, (name, colour) in enumerate(zip(("sun", "inner planet", "outer planet"), colours, strict=True)):
    left.plot(*last[:, k].T, color=colour, linewidth=1)
    left.plot(*last[-1, k], "o", color=colour, markersize=10 if k == 0 else 7, label=name)
for k, b in enumerate(path[:-1]):
    label = None if k else "probe, while searching"
    left.plot(*fly(ng.asarray(b)).numpy()[:, 3].T, color="#999999", linewidth=0.7, label=label)
left.plot(*last[:, 3].T, color="#111111", linewidth=1.6, label="probe, found")
left.plot(*positions[3], "s", color="#111111", markersize=5)
left.set_aspect("equal")
left.set(title="Orbits", xlabel="x", ylabel="y", xlim=(-2.1, 2.1), ylim=(-1.4, 2.2))
left.legend(fontsize=8, frameon=False, loc="upper center", ncols=2)
right.semilogy(losses, "o-", color="#d1781b")
right.set(title="Loss", xlabel="step of BFGS", ylabel="half the squared distance, and fuel")
plt.show()
