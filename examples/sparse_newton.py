"""Newton's method for a nonlinear partial differential equation, with sparse Jacobians from nbgrad.

    python examples/sparse_newton.py [--points N] [--out FILE]

Bratu's problem in the unit square: the Laplacian of u plus lambda exp(u) is 0, and u is 0 on the boundary.  It has two
solutions for each lambda up to about 6.808, and none beyond.  Both are found: the lower one from u = 0, the upper one
by going along the branch, where the mean of u is given and lambda is unknown.  Differences of the residual check the
Jacobian.  The exit status is 1 if Newton's method does not converge, or if the branch does not turn where it should.
"""

import argparse
import sys
import time

import numpy
import scipy.sparse.linalg

import nbgrad as ng
import nbgrad.numpy as np

FOLD = 6.808124  # where the two solutions in the square meet, as lambda grows


def residual(u, strength):
    """The equations in the inner points of a grid, times the square of its spacing."""
    h = 1.0 / (u.shape[0] + 1)
    v = np.pad(u, 1)
    return v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2] - 4.0 * u + h * h * strength * np.exp(u)


def newton(evaluate, z, say=None, steps=12):
    """(solution, steps) for ``evaluate(z) -> (residual, sparse Jacobian)``; None if it takes too many."""
    for step in range(steps):
        f, jacobian = evaluate(z)
        norm = abs(f).max()
        if say:
            print(f"{say}, step {step}: residual {norm:.1e}")
        if norm < 1e-12:
            return z, step
        z = z - scipy.sparse.linalg.spsolve(jacobian.tocsc(), f)
    return None


class Bratu:
    """The discrete equations with n x n unknowns."""

    def __init__(self, n):
        self.n, self.by_u, self.by_both = n, ng.sparse_jacobian(residual), ng.sparse_jacobian(residual, (0, 1))

    def residual(self, u, strength):
        """As a vector."""
        return residual(ng.asarray(self.grid(u)), strength).numpy().ravel()

    def grid(self, u):
        """A vector as a function on the grid."""
        return u.reshape(self.n, self.n)

    def at_strength(self, strength):
        """Equations for u."""
        return lambda u: (self.residual(u, strength), self.by_u(self.grid(u), strength))

    def at_size(self, size):
        """Equations for u and lambda: one more says that the mean of u is `size`."""
        mean = scipy.sparse.csr_array(numpy.full((1, self.n**2), self.n**-2.0))

        def evaluate(z):
            u, strength = self.grid(z[:-1]), z[-1]
            f = numpy.append(self.residual(u, strength), u.mean() - size)
            by_u, by_strength = self.by_both(u, numpy.float64(strength))
            return f, scipy.sparse.block_array([[by_u, by_strength], [mean, None]])

        return evaluate


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
    branch.legend(frameon=False, loc="center left")
    figure.savefig(path)
    plt.close(figure)


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Newton's method for a partial differential equation.")
    parser.add_argument("--points", type=int, default=63, help="inner points of the grid along each axis")
    parser.add_argument("--out", default="sparse_newton.png", help="file of the picture")
    arguments = parser.parse_args()
    n, strength = arguments.points, 6.0
    bratu, start = Bratu(n), time.perf_counter()
    found = newton(bratu.at_strength(strength), numpy.zeros(n * n), f"lower branch, lambda {strength:g}")
    if found is None:
        print("Newton's method did not converge on the lower branch", file=sys.stderr)
        return 1
    lower, steps = found
    matrix = bratu.by_u(bratu.grid(lower), strength)
    print(
        f"{steps} steps for {n * n} unknowns in {time.perf_counter() - start:.2f} s; each Jacobian has {matrix.nnz} "
        f"entries and takes {bratu.by_u.sweeps(bratu.grid(lower), strength)} sweeps"
    )
    direction = numpy.random.default_rng(0).normal(size=n * n)
    ahead, behind = (bratu.residual(lower + s * 1e-5 * direction, strength) for s in (1, -1))
    error = abs(matrix @ direction - (ahead - behind) / 2e-5).max()
    print(f"largest difference from differences of the residual {error:.1e}")

    branch, total = [numpy.zeros(n * n + 1)], 0
    for size in numpy.linspace(0.05, 1.75, 35):
        guess = 2.0 * branch[-1] - branch[-2] if len(branch) > 1 else numpy.append(lower, strength)
        found = newton(bratu.at_size(size), guess)
        if found is None:
            print(f"Newton's method did not converge at a mean of {size:.2f}", file=sys.stderr)
            return 1
        branch.append(found[0])
        total += found[1]
    sizes, strengths = numpy.array([(z[:-1].mean(), z[-1]) for z in branch]).T
    print(f"{len(branch) - 1} solutions along the branch in {total} steps")
    behind_fold = [z for z in branch[int(strengths.argmax()) :] if z[-1] < strength]
    found = newton(bratu.at_strength(strength), behind_fold[0][:-1], f"upper branch, lambda {strength:g}")
    if found is None or abs(found[0] - lower).max() < 1.0:
        print("the upper branch was not found", file=sys.stderr)
        return 1
    solutions = {f"{name} solution, lambda = {strength:g}": bratu.grid(u)
                 for name, u in (("lower", lower), ("upper", found[0]))}  # fmt: skip
    draw(arguments.out, solutions, sizes, strengths)
    print(f"picture in {arguments.out}")
    print(f"largest lambda met {strengths.max():.4f}; there are solutions up to {FOLD:.4f}")
    return 0 if abs(strengths.max() - FOLD) < 0.03 and error < 1e-8 else 1


if __name__ == "__main__":
    sys.exit(main())
