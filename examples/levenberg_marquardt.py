"""A solver as a loop of the program: least squares by Levenberg and Marquardt's method, on `while_loop`.

    python examples/levenberg_marquardt.py [--out FILE]

The solver is three functions: the state to begin with, a step, and when to stop.  As the loop is an operation of the
graph, the solver compiles with the model, fits many data sets at once under `vmap`, and has derivatives: through its
steps, or, by `implicit_root`, of its solution alone.  They say how much each measurement moves the fitted parameters.
The data are Misra1a of the Statistical Reference Datasets of NIST, with certified results; SciPy fits them as well.
The exit status is 1 if one of the answers is not that of NIST, or SciPy, or of the other derivatives.
"""

import argparse
import sys
import typing

import numpy
import scipy.optimize

import nbgrad as ng
import nbgrad.numpy as np

PRESSURE = numpy.array(
    [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0]
)
VOLUME = numpy.array([10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78])
CERTIFIED = numpy.array([2.3894212918e02, 5.5015643181e-04])
STARTS = numpy.array([500.0, 1e-4]), numpy.array([250.0, 5e-4])


class State(typing.NamedTuple):
    """What goes from step to step: a point, its sum of squares, the damping, how steep it was, how many steps."""

    point: ng.Array
    cost: ng.Array
    damping: ng.Array
    slope: ng.Array
    steps: ng.Array


class LevenbergMarquardt:
    """The method for a function that returns residuals."""

    def __init__(self, residuals, tolerance=1e-8, most=100):
        self.residuals, self.tolerance, self.most = residuals, tolerance, most

    def begin(self, point):
        """The first state."""
        cost = np.sum(self.residuals(point) ** 2)
        return State(point, cost, np.asarray(1e-2), np.asarray(np.inf), np.asarray(0))

    def step(self, state):
        """Solve the damped equations; go there if that is better, and else damp more."""
        r, jacobian = self.residuals(state.point), ng.jacobian(self.residuals)(state.point)
        gradient, normal = jacobian.T @ r, jacobian.T @ jacobian
        scale = np.diag(normal)
        there = state.point - np.linalg.solve(normal + state.damping * np.diag(scale), gradient)
        cost = np.sum(self.residuals(there) ** 2)
        better = cost < state.cost
        slope = np.max(np.abs(gradient) / np.sqrt(scale * state.cost))  # cosines: of no unit
        choose = lambda new, old: np.where(better, new, old)  # noqa: E731
        damping = state.damping * choose(0.2, 4.0)
        return State(choose(there, state.point), choose(cost, state.cost), damping, slope, state.steps + 1)

    def goes_on(self, state):
        """Whether there is to be another step."""
        return (state.slope > self.tolerance) & (state.steps < self.most)

    def solve(self, point):
        """The last state."""
        return ng.while_loop(self.goes_on, self.step, self.begin(point))


def residuals(p, volume):
    """The model of the data: a volume that is adsorbed, up to a limit, as the pressure grows."""
    return p[0] * (1.0 - np.exp(-p[1] * PRESSURE)) - volume


def fit(volume, start):
    """The last state of a fit; its derivatives go back through all steps."""
    return LevenbergMarquardt(lambda p: residuals(p, volume)).solve(start)


def fitted(volume, start):
    """The same point; its derivatives are those of the equation that it solves, whatever steps led there."""

    def gradient(p, volume):
        return ng.grad(lambda p: np.sum(residuals(p, volume) ** 2))(p)

    return ng.implicit_root(gradient, lambda _, p: fit(volume, p).point)(start, volume)


def by_scipy(volume, start=STARTS[1]):
    """(parameters, their standard deviations), with differences for derivatives."""
    curve = lambda x, a, b: a * (1.0 - numpy.exp(-b * x))  # noqa: E731
    exact = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    found, covariance = scipy.optimize.curve_fit(curve, PRESSURE, volume, start, **exact)
    return found, numpy.sqrt(numpy.diag(covariance))


def draw(path, point, influence, clouds):
    """The picture: data and curve, what each measurement does to the parameters, and fits to data with noise."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), dpi=130, layout="constrained")
    x = numpy.linspace(0.0, 800.0, 200)
    left.plot(x, point[0] * (1.0 - numpy.exp(-point[1] * x)), color="#1f3a5f")
    left.plot(PRESSURE, VOLUME, "o", color="#d1781b", markersize=4)
    left.set(xlabel="pressure", ylabel="volume", title="Data and fit")
    for k, (name, colour) in enumerate((("limit", "#1f3a5f"), ("rate", "#d1781b"))):
        middle.plot(PRESSURE, influence[k] / point[k], "o-", color=colour, markersize=4, label=name)
    middle.axhline(0, color="#888888", linewidth=0.8)
    middle.set(xlabel="pressure of the measurement", title="Relative change of a parameter\nfor each unit of volume")
    middle.legend(frameon=False)
    right.plot(*clouds.T, ".", color="#999999", markersize=2)
    right.plot(*point, "o", color="#d1781b", markersize=5)
    right.set(xlabel="limit", ylabel="rate", title=f"{len(clouds)} fits to data with noise, in one call")
    figure.savefig(path)
    plt.close(figure)


def main():
    """Run the example; returns the exit status."""
    parser = argparse.ArgumentParser(description="Least squares by a solver that is a loop of the program.")
    parser.add_argument("--out", default="levenberg_marquardt.png", help="file of the picture")
    arguments = parser.parse_args()
    failed, solve = [], ng.jit(fit)

    def check(what, difference, most):
        print(f"{what}: {difference:.1e}")
        if not difference < most:
            failed.append(what)

    for start in STARTS:
        found = solve(VOLUME, start)
        print(f"from {start}: {found.point} after {found.steps} steps, sum of squares {found.cost:.10f}")
        check("relative difference from the certified values", abs(found.point.numpy() / CERTIFIED - 1.0).max(), 1e-8)
    point, size = found.point.numpy(), PRESSURE.size
    reference, deviations = by_scipy(VOLUME)
    check("relative difference from SciPy", abs(point / reference - 1.0).max(), 1e-6)

    influence = ng.jit(ng.jacrev(fitted))(VOLUME, STARTS[1]).numpy()
    through = ng.jit(ng.jacrev(lambda v, start: fit(v, start).point))(VOLUME, STARTS[1]).numpy()
    moved = [by_scipy(VOLUME + 0.01 * e)[0] - by_scipy(VOLUME - 0.01 * e)[0] for e in numpy.eye(size)]
    scale = abs(influence).max(1, keepdims=True)
    check("derivatives of the solution, and through the steps", (abs(through - influence) / scale).max(), 1e-6)
    check(
        "derivatives, and differences of SciPy's fits",
        (abs(numpy.array(moved).T / 0.02 - influence) / scale).max(),
        1e-3,
    )

    noise = numpy.sqrt(float(found.cost) / (size - 2))
    print(f"standard deviations {noise * numpy.sqrt((influence**2).sum(1))}, SciPy {deviations}")
    check("relative difference of them", abs(noise * numpy.sqrt((influence**2).sum(1)) / deviations - 1.0).max(), 0.01)
    noisy = VOLUME + noise * numpy.random.default_rng(0).normal(size=(1000, size))
    clouds = ng.jit(ng.vmap(lambda v: fit(v, point).point))(noisy).numpy()
    check("the same from fits to data with noise", abs(clouds.std(0) / deviations - 1.0).max(), 0.1)
    draw(arguments.out, point, influence, clouds)
    print(f"picture in {arguments.out}")
    for what in failed:
        print(f"too large: {what}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
