"""
A C program with an exported gradient
=====================================

A model is written and tried in Python; where it is used there may be no Python, on a controller or inside of a
simulation in C. ``export`` writes the compiled gradient as a shared library with a header. Here a small C program finds
the shape of a hanging chain by gradient descent with momentum, for as many links as it is asked for: the library is
compiled once, and takes any number of them.
"""

# %%
# The model
# ---------
# Links of a chain are springs; gravity pulls at the joints between them. The first and the last joint are fixed.

import pathlib
import shutil
import subprocess
import sys
import tempfile

import matplotlib.pyplot as plt
import numpy

import nbgrad as ng
import nbgrad.numpy as np


def energy(x, y, stiffness):
    n = x.shape[0] - 1  # links of a chain whose length is 1 when nothing pulls
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    stretched = np.sqrt(dx * dx + dy * dy) - 1.0 / n
    return 0.5 * stiffness * n * np.sum(stretched**2) + np.sum(y[1:-1]) / n


if shutil.which("cc") is None:
    print("there is no C compiler here, which this example is about")
    sys.exit()

# %%
# The library
# -----------
# The example of the arguments has nine joints. All extents that are equal are one size, which stays open; nothing is
# compiled for another one.

folder = pathlib.Path(tempfile.mkdtemp())
gradient = ng.jit(ng.grad(energy, (0, 1)))
files = gradient.export(folder / "chain.so", numpy.linspace(0, 0.8, 9), numpy.zeros(9), 300.0)
print(files.header.read_text())

# %%
# A program in C
# --------------

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include "chain.h"

int main(int count, char **given)
{
    int64_t n = atoll(given[1]);
    double stiffness = 300.0, rate = 0.2 / (stiffness * n), keep = 1.0 - 0.3 / n;
    double *x = calloc(6 * n, sizeof *x), *y = x + n, *gx = y + n, *gy = gx + n, *vx = gy + n, *vy = vx + n;
    void *workspace = malloc(chain_workspace(n));

    for (int64_t i = 0; i < n; i++)
        x[i] = 0.8 * i / (n - 1);
    for (int step = 0; step < 3000 * n; step++) {
        if (chain(x, y, &stiffness, gx, gy, n, workspace))
            return 1;
        for (int64_t i = 1; i < n - 1; i++) {
            vx[i] = keep * vx[i] - rate * gx[i];
            vy[i] = keep * vy[i] - rate * gy[i];
            x[i] += vx[i];
            y[i] += vy[i];
        }
    }
    for (int64_t i = 0; i < n; i++)
        printf("%.15f %.15f\n", x[i], y[i]);
    free(workspace);
    free(x);
    return 0;
}
"""

(folder / "main.c").write_text(PROGRAM)
command = ["cc", "-O2", "main.c", "./chain.so", "-o", "main"]
subprocess.run(command, cwd=folder, check=True)
shapes = {}
for joints in (9, 17, 65):
    done = subprocess.run(["./main", str(joints)], cwd=folder, check=True, capture_output=True, text=True)
    shapes[joints] = numpy.array([line.split() for line in done.stdout.splitlines()], float)

# %%
# The gradient of what it found, by Python: at the joints that may move there is no force left.

for joints, xy in shapes.items():
    gx, gy = gradient(*map(ng.asarray, (*xy.T, 300.0)))
    print(f"{joints} joints: largest force {max(abs(gx[1:-1]).max(), abs(gy[1:-1]).max()):.1e}")

# %%

figure, axes = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for joints, xy in shapes.items():
    axes.plot(*xy.T, ".-", markersize=4, linewidth=1, label=f"{joints} joints")
axes.set(aspect="equal", xlabel="x", ylabel="y", title="found by a C program")
axes.legend()
plt.show()

# %%

shutil.rmtree(folder)
