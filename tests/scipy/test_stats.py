"""Distributions against scipy.stats on grids with tails and points outside; gradients against differences of SciPy."""

import math

import numpy
import pytest
import scipy.stats

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.scipy import stats

#: Name -> (shape parameters, points of the standard form: outside, tails, middle).
LINE = [-40.0, -9.0, -1.7, -0.3, 0.4, 1.3, 8.0, 45.0]
HALF = [-2.0, -0.1, 0.02, 0.2, 0.9, 2.5, 11.0, 60.0]
UNIT = [-1.0, -0.1, 0.02, 0.2, 0.55, 0.9, 1.2, 7.0]
CONTINUOUS = {
    "norm": ((), LINE),
    "t": ((3.5,), LINE),
    "cauchy": ((), LINE),
    "laplace": ((), LINE),
    "logistic": ((), LINE),
    "gumbel_r": ((), [-3.0, *LINE[2:]]),
    "truncnorm": ((-0.7, 2.5), [-3.0, -0.75, -0.5, 0.2, 1.3, 2.4, 2.6, 5.0]),
    "vonmises": ((2.3,), [-3.0, -1.5, -0.2, 0.1, 1.0, 2.9]),
    "uniform": ((), UNIT),
    "beta": ((1.7, 0.6), UNIT),
    "expon": ((), HALF),
    "gamma": ((2.3,), HALF),
    "chi2": ((3.2,), HALF),
    "invgamma": ((2.2,), [-1.0, 0.02, 0.2, 0.9, 2.5, 11.0, 60.0]),
    "lognorm": ((0.8,), HALF),
    "weibull_min": ((1.6,), [*HALF[:-1], 20.0]),
    "pareto": ((2.4,), [-1.0, 0.5, 1.02, 1.5, 9.0, 1e4]),
}
DISCRETE = {
    "poisson": (2.5,),
    "bernoulli": (0.3,),
    "binom": (7, 0.35),
    "nbinom": (2.6, 0.4),
    "geom": (0.3,),
}
COUNTS = [-1.0, 0.0, 1.0, 1.5, 2.0, 5.0, 7.0, 8.0, 30.0]
LOC, SCALE = 0.3, 1.7


def functions(distribution):
    names = ["pdf", "logpdf"] if hasattr(distribution, "pdf") else ["pmf", "logpmf"]
    return [*names, "cdf", "sf", "logcdf", "logsf"]


CASES = [(name, f) for name in (*CONTINUOUS, *DISCRETE)
         for f in functions(getattr(stats, name)) if (name, f) != ("vonmises", "sf")]  # fmt: skip


def arguments(name):
    if name in DISCRETE:
        return numpy.array(COUNTS), DISCRETE[name]
    shapes, points = CONTINUOUS[name]
    return numpy.array(points) * SCALE + LOC, (*shapes, LOC, SCALE)


@pytest.mark.parametrize("tier", [0, 2])
@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_values_are_those_of_scipy(name, tier):
    ng.config.jit = tier
    x, parameters = arguments(name)
    if name in CONTINUOUS:
        x = numpy.append(x, [LOC + 1e-6 * SCALE, LOC + 1.001 * SCALE])  # at the ends of supports
    ours, theirs = getattr(stats, name), getattr(scipy.stats, name)
    names = functions(ours)
    found = ng.jit(lambda x: tuple(getattr(ours, f)(x, *parameters) for f in names))(ng.asarray(x))
    for f, value in zip(names, found, strict=True):
        with numpy.errstate(all="ignore"):
            expected = getattr(theirs, f)(x, *parameters)
        assert (value.shape, value.dtype) == (x.shape, "float64")
        # both integrate vonmises; logarithms of nearly 1 are 0 in SciPy
        absolute = 1e-14 if name == "vonmises" else 1e-17 if f.startswith("log") else 1e-300
        numpy.testing.assert_allclose(value.numpy(), expected, rtol=2e-12, atol=absolute, err_msg=f"{name}.{f}")


QUANTILES = [name for name in CONTINUOUS if name != "vonmises"]
LEVELS = numpy.array([-0.1, 0.0, 1e-9, 0.01, 0.3, 0.5, 0.8, 0.999, 1.0, 1.1])


@pytest.mark.parametrize("function", ["ppf", "isf"])
@pytest.mark.parametrize("name", QUANTILES)
def test_quantiles_are_those_of_scipy(name, function):
    _, parameters = arguments(name)
    found = getattr(getattr(stats, name), function)(LEVELS, *parameters)
    expected = getattr(getattr(scipy.stats, name), function)(LEVELS, *parameters)
    numpy.testing.assert_allclose(found.numpy(), expected, rtol=1e-9 if name in ("truncnorm", "beta") else 1e-11)


def slopes(function, values, step):
    """Central differences of the sum of a function of floats, of fourth order, by each argument."""
    for k, v in enumerate(values):
        h = step * max(abs(v), 0.1)
        at = [function(*values[:k], v + m * h, *values[k + 1 :]) for m in (-2, -1, 1, 2)]
        yield (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)


@pytest.mark.parametrize(("name", "function"), CASES, ids=lambda v: v)
def test_gradients_are_those_of_scipy(name, function):
    """By x and by every parameter, one point at a time; 0 outside of the support."""
    x, parameters = arguments(name)
    ours, theirs = getattr(getattr(stats, name), function), getattr(getattr(scipy.stats, name), function)
    fixed = (x, parameters[0]) if name == "binom" else (x,) if name in DISCRETE else ()  # whole numbers
    free = [x, *parameters][len(fixed) :]
    wide = [numpy.broadcast_to(numpy.asarray(v, float), x.shape).copy() for v in free]
    gradient = ng.grad(lambda *v: nx.sum(where_finite(ours(*fixed, *v))), tuple(range(len(free))))
    found = several(gradient(*map(ng.asarray, wide)))
    with numpy.errstate(all="ignore"):
        finite = numpy.isfinite(theirs(x, *parameters))
        for i in numpy.flatnonzero(finite):
            point = [numpy.asarray(v).flat[i] if numpy.ndim(v) else v for v in fixed]
            expected = slopes(lambda *v, point=point: theirs(*point, *v), [float(v[i]) for v in wide], 1e-3)
            for k, (g, e) in enumerate(zip(found, expected, strict=True)):
                near = max(abs(e), abs(float(theirs(x[i], *parameters))))
                error = abs(g.numpy()[i] - e)
                assert error <= 2e-5 * near + 1e-9, f"{name}.{function} at {x[i]} by {k}: {g.numpy()[i]}, {e}"
    for g in found:
        assert numpy.all(g.numpy()[~finite] == 0)


def several(found):
    return found if isinstance(found, tuple) else (found,)


def where_finite(y):
    return nx.where(nx.isfinite(y), y, 0.0)


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
@pytest.mark.parametrize("function", ["logdensity", "cdf"])
def test_second_derivatives_are_differences_of_first_ones(name, function):
    x, parameters = arguments(name)
    distribution = getattr(stats, name)
    if function == "logdensity":
        function = functions(distribution)[1]
    inside = [0.2, 0.5] if name in ("beta", "uniform") else [1.4, 2.2]
    x = numpy.array([1.0, 3.0] if name in DISCRETE else inside)
    if name == "bernoulli":
        x = numpy.array([0.0, 1.0]) if function == "logpmf" else numpy.array([0.0, 0.0])
    fixed = (x, parameters[0]) if name == "binom" else (x,) if name in DISCRETE else ()
    free = (
        [numpy.full(2, p) for p in ([x, *parameters][len(fixed) :])]
        if fixed
        else [x, *(numpy.full(2, p) for p in parameters)]
    )
    if not fixed:
        free[-2:] = [numpy.zeros(2), numpy.ones(2)]
        if name == "pareto":
            free[0] = x + 1.0
    positions = tuple(range(len(free)))
    random = numpy.random.default_rng(3)
    directions = [random.normal(size=2) for _ in free]

    def first(*v):
        return several(ng.grad(lambda *v: nx.sum(getattr(distribution, function)(*fixed, *v)), positions)(*v))

    weighted = lambda *v: sum(nx.sum(g * d) for g, d in zip(first(*v), directions, strict=True))  # noqa: E731
    found = several(ng.grad(weighted, positions)(*map(ng.asarray, free)))
    step = 1e-5
    up, down = ([ng.asarray(v + s * step * d) for v, d in zip(free, directions, strict=True)] for s in (1, -1))
    for g, a, b in zip(found, first(*up), first(*down), strict=True):
        expected = (a.numpy() - b.numpy()) / (2 * step)
        numpy.testing.assert_allclose(g.numpy(), expected, rtol=2e-6, atol=2e-7)


def test_outside_of_the_support_nothing_is_nan():
    x = ng.asarray([-1.0, math.inf, -math.inf, math.nan])
    value, gradient = ng.value_and_grad(lambda x, a: nx.sum(stats.gamma.pdf(x[:3], a)), (0, 1))(x, ng.asarray(2.0))
    assert value == 0
    assert [g.numpy().tolist() for g in gradient] == [[0.0] * 4, 0.0]
    assert numpy.isnan(stats.gamma.pdf(x, 2.0).numpy()).tolist() == [False, False, False, True]
    assert stats.gamma.logpdf(x, 2.0).numpy()[:3].tolist() == [-math.inf] * 3


def test_a_power_that_vanishes_still_has_a_derivative():
    """x**(a - 1) at a = 1 by a."""
    x, one = 0.3, ng.asarray(1.0)
    by_a = ng.grad(lambda a: stats.gamma.logpdf(x, a))(one).numpy()
    numpy.testing.assert_allclose(by_a, math.log(x) - scipy.special.digamma(1.0), rtol=1e-14)
    found = ng.grad(lambda a, b: stats.beta.logpdf(x, a, b), (0, 1))(one, one)
    numpy.testing.assert_allclose([g.numpy() for g in found], [math.log(x) + 1, math.log1p(-x) + 1], rtol=1e-14)


@pytest.mark.parametrize(("name", "parameters"), [
    ("norm", (0.0, -1.0)), ("gamma", (-2.0,)), ("beta", (1.0, 0.0)), ("poisson", (-1.0,)), ("binom", (2.5, 0.5)),
    ("truncnorm", (1.0, 0.0)),
])  # fmt: skip
def test_invalid_parameters_are_nan(name, parameters):
    distribution = getattr(stats, name)
    density = getattr(distribution, functions(distribution)[0])
    assert numpy.isnan(density(numpy.array([0.5, 1.0]), *parameters).numpy()).all()
    assert numpy.isnan(distribution.cdf(numpy.array([0.5, 1.0]), *parameters).numpy()).all()


@pytest.mark.parametrize("a", [-math.inf, -38.0, -1.0, 2.0, 30.0])
@pytest.mark.parametrize("b", [-37.0, 0.5, 31.0, math.inf])
def test_truncated_normal_in_the_tails(a, b):
    if a >= b:
        assert numpy.isnan(stats.truncnorm.logpdf(a, a, b).numpy())
        return
    x = numpy.linspace(max(a, -39.0), min(b, 40.0), 7)[1:-1]
    for f in ("logpdf", "cdf", "logcdf", "logsf"):
        expected = getattr(scipy.stats.truncnorm, f)(x, a, b)
        found = getattr(stats.truncnorm, f)(x, a, b).numpy()
        numpy.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=f)
    slopes = ng.grad(lambda x: nx.sum(stats.truncnorm.logcdf(x, a, b)))(ng.asarray(x)).numpy()
    numpy.testing.assert_allclose(
        slopes, numpy.exp(scipy.stats.truncnorm.logpdf(x, a, b) - scipy.stats.truncnorm.logcdf(x, a, b)), rtol=1e-7
    )


def test_names_and_defaults_of_parameters():
    x = numpy.array([0.5, 1.0])
    for ours, theirs in (
        (stats.gamma.pdf(x, a=2.0, scale=3.0), scipy.stats.gamma.pdf(x, a=2.0, scale=3.0)),
        (stats.norm.pdf(x, scale=2), scipy.stats.norm.pdf(x, scale=2)),
        (stats.binom.pmf(x + 0.5, 3, p=0.2, loc=1), scipy.stats.binom.pmf(x + 0.5, 3, p=0.2, loc=1)),
        (stats.vonmises.cdf(9.0, 1.5), scipy.stats.vonmises.cdf(9.0, 1.5)),
    ):
        numpy.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-13)
    narrow = stats.norm.logpdf(numpy.float32([1, 2]), 0.5, 2)
    assert narrow.dtype == "float32"
    assert stats.norm.pdf(1, 0, 1).dtype == "float64"
    assert stats.norm.pdf(numpy.zeros((0, 3))).shape == (0, 3)
    assert stats.gamma.cdf(x[:, None], numpy.array([1.0, 2.0, 3.0])).shape == (2, 3)
    numpy.testing.assert_array_equal(stats.norm.cdf(numpy.arange(8.0)[::2]), stats.norm.cdf(numpy.arange(0.0, 8, 2)))


@pytest.mark.parametrize(("call", "text"), [
    (lambda: stats.gamma.pdf(1.0), r"gamma\.pdf: got missing a, expected gamma\.pdf\(x, a, loc=0, scale=1\)"),
    (lambda: stats.norm.cdf(1.0, 0.0, 1.0, 2.0), r"norm\.cdf: got 3 .*expected norm\.cdf\(x, loc=0, scale=1\)"),
    (lambda: stats.poisson.pmf(1.0, lam=2.0), r"poisson\.pmf: got missing mu, expected poisson\.pmf\(k, mu, loc=0\)"),
])  # fmt: skip
def test_wrong_parameters_are_named(call, text):
    with pytest.raises(ng.ArgumentError, match=text):
        call()


COVARIANCE = numpy.array([[2.0, 0.3, -0.1], [0.3, 1.0, 0.2], [-0.1, 0.2, 0.7]])
POINT = numpy.array([0.2, 0.5, 0.3])


@pytest.mark.parametrize(("name", "arguments"), [
    ("multivariate_normal.logpdf", ([[0.1, 0.2, 0.5], [2.0, -1.0, 0.0]], [0.0, 1.0, 0.3], COVARIANCE)),
    ("multivariate_normal.pdf", ([0.1, 0.2, 0.5], [0.0, 1.0, 0.3], COVARIANCE)),
    ("multivariate_normal.logpdf", ([0.1, 0.2, 0.5], [0.0, 1.0, 0.3], [0.5, 1.0, 2.0])),
    ("multivariate_normal.logpdf", ([0.1, 0.2, 0.5], [0.0, 1.0, 0.3], 2.0)),
    ("multivariate_normal.logpdf", ([0.1, 0.2, 0.5], 0.0, 1.0)),
    ("dirichlet.logpdf", (POINT, [1.5, 0.7, 3.0])),
    ("dirichlet.pdf", (POINT[:2], [1.0, 0.7, 3.0])),
    ("multinomial.logpmf", ([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]], 4, POINT)),
    ("multinomial.pmf", ([1.0, 1.0, 3.0], 4, POINT)),
])  # fmt: skip
def test_distributions_of_vectors_are_those_of_scipy(name, arguments):
    distribution, function = name.split(".")
    found = getattr(getattr(stats, distribution), function)(*arguments)
    expected = getattr(getattr(scipy.stats, distribution), function)(*arguments)
    assert found.shape == numpy.shape(expected)
    numpy.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)


def test_gradients_of_distributions_of_vectors():
    x, mean = numpy.array([[0.1, 0.2, 0.5], [2.0, -1.0, 0.0]]), numpy.array([0.0, 1.0, 0.3])
    found = ng.grad(lambda x, m, c: nx.sum(stats.multivariate_normal.logpdf(x, m, c)), (0, 1, 2))(
        *map(ng.asarray, (x, mean, COVARIANCE))
    )
    inverse = numpy.linalg.inv(COVARIANCE)
    apart = (x - mean) @ inverse  # Petersen & Pedersen, The Matrix Cookbook, 8.1
    numpy.testing.assert_allclose(found[0].numpy(), -apart, rtol=1e-12)
    numpy.testing.assert_allclose(found[1].numpy(), apart.sum(0), rtol=1e-12)
    numpy.testing.assert_allclose(found[2].numpy(), (apart.T @ apart - 2 * inverse) / 2, rtol=1e-11)
    alpha = numpy.array([1.5, 0.7, 3.0])
    by_alpha = ng.grad(lambda a: stats.dirichlet.logpdf(POINT, a))(ng.asarray(alpha)).numpy()
    expected = numpy.log(POINT) + scipy.special.digamma(alpha.sum()) - scipy.special.digamma(alpha)
    numpy.testing.assert_allclose(by_alpha, expected, rtol=1e-12)
    by_p = ng.grad(lambda p: stats.multinomial.logpmf([1.0, 0.0, 3.0], 4, p))(ng.asarray(POINT)).numpy()
    numpy.testing.assert_allclose(by_p, numpy.array([1.0, 0.0, 3.0]) / POINT, rtol=1e-13)


def test_shapes_of_vectors_are_checked():
    with pytest.raises(ng.ShapeError, match=r"multivariate_normal\.logpdf: x has shape \(2,\), mean \(3,\)"):
        stats.multivariate_normal.logpdf([1.0, 2.0], [0.0, 0.0, 0.0], numpy.eye(2))
    with pytest.raises(ng.ShapeError, match=r"dirichlet\.logpdf: x has shape \(2,\) and alpha \(4,\)"):
        stats.dirichlet.logpdf([0.5, 0.5], numpy.ones(4))
