"""
A lens by gradients through Snell's law
=======================================

Rays pass through the two surfaces of a lens.  Curvatures and aspheric terms are chosen so that parallel rays meet in
one spot.  Where a ray meets a surface is found by Newton's method, a few steps of which are differentiated as they are;
refraction is Snell's law in the form of vectors.
"""

import matplotlib.pyplot as plt
import numpy

import nbgrad.numpy as np
from nbgrad.scipy import optimize

INDEX, THICKNESS, FOCUS, APERTURE = 1.5, 1.2, 10.0, 2.0
heights = numpy.linspace(-APERTURE, APERTURE, 41)

# %%
# Behind its vertex a surface is ``z(y) = c y**2 / (1 + sqrt(1 - c**2 y**2)) + a y**4 + b y**6``.


def sag(surface, y):
    c, a, b = surface[0], surface[1] * 1e-2, surface[2] * 1e-3
    return c * y**2 / (1 + np.sqrt(1 - (c * y) ** 2)) + a * y**4 + b * y**6


def slope(surface, y):
    c, a, b = surface[0], surface[1] * 1e-2, surface[2] * 1e-3
    return c * y / np.sqrt(1 - (c * y) ** 2) + 4 * a * y**3 + 6 * b * y**5


def meet(surface, vertex, z, y, dz, dy):
    """Where rays from (z, y) along (dz, dy) meet a surface, by Newton's method."""
    length = (vertex - z) / dz
    for _ in range(6):
        at = y + length * dy
        gap = z + length * dz - vertex - sag(surface, at)
        length = length - gap / (dz - slope(surface, at) * dy)
    return z + length * dz, y + length * dy


def refract(surface, y, dz, dy, ratio):
    """Directions behind a surface; ratio is that of the indices, before to behind."""
    m = slope(surface, y)
    size = np.sqrt(1 + m**2)
    nz, ny = 1 / size, -m / size
    cosine = dz * nz + dy * ny
    bend = np.sqrt(1 - ratio**2 * (1 - cosine**2)) - ratio * cosine
    return ratio * dz + bend * nz, ratio * dy + bend * ny


def trace(lens):
    """Points of all rays: both surfaces, and the plane of the focus."""
    zero = numpy.zeros(heights.size)
    z0, y0 = meet(lens["front"], 0.0, -2.0 + zero, heights, 1.0 + zero, zero)
    dz, dy = refract(lens["front"], y0, 1.0 + zero, zero, 1 / INDEX)
    z1, y1 = meet(lens["back"], THICKNESS, z0, y0, dz, dy)
    dz, dy = refract(lens["back"], y1, dz, dy, INDEX)
    return z0, y0, z1, y1, y1 + (FOCUS - z1) / dz * dy


def spot(lens):
    """Mean square of the rays' distances from the axis, in the plane of the focus."""
    return np.mean(trace(lens)[-1] ** 2)


# %%
# First spheres alone, then all terms; least squares of the heights at which the rays arrive.

start = {"front": numpy.array([0.05, 0.0, 0.0]), "back": numpy.array([-0.05, 0.0, 0.0])}


def of_spheres(c):
    zero = np.zeros(2)
    return {"front": np.concatenate([c[:1], zero]), "back": np.concatenate([c[1:], zero])}


def of_aspheres(p):
    return {"front": p[:3], "back": p[3:]}


def designed(lens_of, guess):
    found = optimize.least_squares(lambda p: trace(lens_of(p))[-1], guess, method="trf")
    return {name: numpy.asarray(surface) for name, surface in lens_of(numpy.asarray(found.x)).items()}


spheres = designed(of_spheres, numpy.array([0.05, -0.05]))
aspheres = designed(of_aspheres, numpy.concatenate([spheres["front"], spheres["back"]]))
lenses = {"start": start, "spheres": spheres, "aspheres": aspheres}
for name, lens in lenses.items():
    print(f"{name:9s} spot {float(spot(lens)) ** 0.5:.2e}, curvatures {lens['front'][0]:.4f} {lens['back'][0]:.4f}")
assert float(spot(aspheres)) < 1e-3 * float(spot(spheres)) < 1e-3 * float(spot(start))

# %%

figure, axes = plt.subplots(3, 2, figsize=(9, 7.2), width_ratios=(1.8, 1), layout="constrained")
edge = numpy.linspace(-APERTURE * 1.08, APERTURE * 1.08, 200)
for (axis, beside), (name, lens) in zip(axes, lenses.items(), strict=True):
    z0, y0, z1, y1, end = (numpy.asarray(v) for v in trace(lens))
    front, back = numpy.asarray(sag(lens["front"], edge)), THICKNESS + numpy.asarray(sag(lens["back"], edge))
    axis.fill_betweenx(edge, front, back, color="#a9c9e8", linewidth=0)
    for k in range(0, heights.size, 4):
        axis.plot([-2, z0[k], z1[k], FOCUS], [heights[k], y0[k], y1[k], end[k]], color="#c0392b", linewidth=0.8)
    axis.axvline(FOCUS, color="#444444", linewidth=0.8)
    axis.set(title=f"{name}: spot {numpy.sqrt(numpy.mean(end**2)):.1e}", ylabel="y", xlim=(-2, FOCUS + 0.3))
    axis.set_aspect("equal")
    beside.plot(heights, end, color="#1f3a5f")
    beside.axhline(0, color="#999999", linewidth=0.7)
    beside.ticklabel_format(axis="y", scilimits=(-2, 2))
    beside.set_ylabel("y in the focal plane")
axes[-1, 0].set_xlabel("z")
axes[-1, 1].set_xlabel("height of the ray")
plt.show()
