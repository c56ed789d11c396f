"""Newton's method for a nonlinear partial differential equation, with sparse Jacobians from nbgrad.

    python examples/sparse_newton.py [--points N] [--out FILE]

Bratu's problem in the unit square: the Laplacian of u plus lambda exp(u) is 0, and u is 0 on the boundary.  It has two
solutions for each lambda up to about 6.808, and none beyond.  Both are found: on the lower branch from u = 0, on the upper
one by going along the branch, with the size of u given and lambda as another unknown, whose equations have a dense row
and a dense column.  Differences of the residual check the Jacobian.  The exit status is 1 if Newton's method does not
converge or the fold is not where it is known to be.
"""

import argparse
import sys
import time

import numpy
import scipy.sparse.linalg

import nbgrad as ng
import nbgrad.numpy as np

FOLD = 6.808124423  # of the square; Mohsen 2014, A simple solution of the Bratu problem


def residual(u, strength):
    """The equations in the inner points of a grid, times the square of its spacing."""
    h = 1.0 / (u.shape[0] + 1)
    v = np.pad(u, 1)
    return v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2] - 4.0 * u + h * h * strength * np.exp(u)


def bordered(z, n, size):
    """The same for unknowns (u, lambda), and the equation that the mean of u is `size`."""
    u = z[:-1].reshape((n, n))
    return np.concatenate([residual(u, z[-1]).reshape(-1), (np.mean(u) - size)[None]])


def newton(equations, jacobian, z, say=None, steps=20):
    """(solution, iterations): full steps until the residual is at rounding errors; None if it does not get there."""
    for step in range(steps):
        f = equations(z).numpy().ravel()
        norm = abs(f).max()
        if say:
            print(f"{say} {step}: residual {norm:.1e}")
        if norm < 1e-12:
            return z, step
        z = z - scipy.sparse.linalg.spsolve(jacobian(z).tocsc(), f).reshape(z.shape)
    return None


def draw(path, solutions, sizes, strengths):
    """The picture: both solutions at one lambda, and the branch."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), dpi=130, layout="constrained", width_ratios=(1, 1, 1.15))
    for ax, (title, u) in zip(axes, solutions.items(), strict=False):
        shown = ax.imshow(numpy.pad(u, 1), extent=(0, 1, 0, 1), origin="lower", cmap="viridis")
        ax.set(title=title, xlabel="x", ylabel="y")
        figure.colorbar(shown, ax=ax, shrink=0.8)
    branch = axes[-1]
    branch.plot(strengths, sizes, "o-", color="#1f3a5f", markersize=3)
    branch.axvline(FOLD, color="#d1781b", linewidth=1, label=f"fold of the equation, {FOLD:.3f}")
    branch.set(xlabel="lambda", ylabel="mean of u", title="Solutions of Bratu's problem")
    branch.legend(frameon=False, loc="lower left")
    figure.savefig(path)
    plt.close(figure)


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Newton's method for a partial differential equation.")
    parser.add_argument("--points", type=int, default=63, help="inner points of the grid along each axis")
    parser.add_argument("--out", default="sparse_newton.png", help="file of the picture")
    arguments = parser.parse_args()
    n, strength = arguments.points, 6.0

    jacobian = ng.sparse_jacobian(residual)
    start = time.perf_counter()
    found = newton(lambda u: residual(ng.asarray(u), strength), lambda u: jacobian(u, strength), numpy.zeros((n, n)),
                   f"lower branch, lambda {strength:g}, step")  # fmt: skip
    if found is None:
        print("Newton's method did not converge on the lower branch", file=sys.stderr)
        return 1
    lower, steps = found
    matrix = jacobian(lower, strength)
    print(f"{steps} steps for {n * n} unknowns in {time.perf_counter() - start:.2f} s; each Jacobian has {matrix.nnz} "
          f"entries and takes {jacobian.sweeps(lower, strength)} sweeps")  # fmt: skip
    direction = numpy.random.default_rng(0).normal(size=(n, n))
    ahead, behind = (residual(ng.asarray(lower + s * 1e-5 * direction), strength).numpy() for s in (1, -1))
    error = abs(matrix @ direction.ravel() - (ahead - behind).ravel() / 2e-5).max()
    print(f"largest difference from differences of the residual {error:.1e}")

    along = ng.sparse_jacobian(bordered)
    z, sizes, strengths, upper = numpy.append(lower.ravel(), strength), [], [], None
    total = 0
    for size in numpy.concatenate([numpy.linspace(0.05, 2.2, 30)]):
        equations = lambda z, size=size: bordered(ng.asarray(z), n, size)  # noqa: E731
        found = newton(equations, lambda z, size=size: along(z, n, size), z)
        if found is None:
            print(f"Newton's method did not converge at a mean of {size:.2f}", file=sys.stderr)
            return 1
        z, steps = found
        total += steps
        sizes.append(size)
        strengths.append(z[-1])
        if upper is None and len(sizes) > 1 and strengths[-2] > z[-1] and z[-1] <= strength:
            upper = z
    print(f"along the branch: {len(sizes)} solutions in {total} steps, {along.sweeps(z, n, 1.0)} sweeps for a Jacobian "
          "with a dense row and a dense column")  # fmt: skip
    found = newton(lambda u: residual(ng.asarray(u), strength), lambda u: jacobian(u, strength),
                   upper[:-1].reshape(n, n), f"upper branch, lambda {strength:g}, step")  # fmt: skip
    if found is None or abs(found[0] - lower).max() < 1.0:
        print("the upper branch was not found", file=sys.stderr)
        return 1
    titles = {f"lower branch, lambda = {strength:g}": lower, f"upper branch, lambda = {strength:g}": found[0]}
    draw(arguments.out, titles, sizes, strengths)
    print(f"picture in {arguments.out}")
    print(f"largest lambda met {max(strengths):.4f}; there are solutions up to {FOLD:.4f}")
    return 0 if abs(max(strengths) - FOLD) < 0.03 and error < 1e-8 else 1


if __name__ == "__main__":
    sys.exit(main())
