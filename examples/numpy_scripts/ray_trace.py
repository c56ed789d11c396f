"""Ray tracing: the curvatures of a lens that make the smallest spot in its focus.

Rays are refracted at spherical surfaces by Snell's law in vector form (Born & Wolf, Principles of optics, section 3.2).
Lengths are in millimetres.
"""

import numpy as np

GLASS, THICKNESS, FOCUS = 1.5168, 6.0, 100.0
HEIGHTS = np.linspace(-10.0, 10.0, 21)
#: Curvatures of the two surfaces, times 100.
START = np.array([1.0, -1.0])


def meet(position, direction, vertex, curvature):
    """Where rays meet a sphere through `vertex` on the axis, and its normal there."""
    z, y = position[0] - vertex, position[1]
    towards = direction[0] - curvature * (z * direction[0] + y * direction[1])
    beside = curvature * (z * z + y * y) - 2.0 * z
    length = beside / (towards + np.sqrt(towards**2 - curvature * beside))
    position = position + length * direction
    normal = np.stack([1.0 - curvature * (position[0] - vertex), -curvature * position[1]])
    return position, normal


def refract(direction, normal, ratio):
    cosine = np.sum(direction * normal, axis=0)
    bent = np.sqrt(1.0 - ratio**2 * (1.0 - cosine**2))
    return ratio * direction + (bent - ratio * cosine) * normal


def spots(curvatures):
    first, second = curvatures / 100.0
    position = np.stack([np.full_like(HEIGHTS, -20.0), HEIGHTS])
    direction = np.stack([np.ones_like(HEIGHTS), np.zeros_like(HEIGHTS)])
    position, normal = meet(position, direction, 0.0, first)
    direction = refract(direction, normal, 1.0 / GLASS)
    position, normal = meet(position, direction, THICKNESS, second)
    direction = refract(direction, normal, GLASS)
    along = (FOCUS - position[0]) / direction[0]
    return position[1] + along * direction[1]


def loss(curvatures):
    return np.sqrt(np.mean(spots(curvatures) ** 2))


if __name__ == "__main__":
    from _fit import fit

    found = fit(loss, START)
    print("radii in mm:", (100.0 / found).round(2), "largest distance from the axis:", abs(spots(found)).max().round(4))
