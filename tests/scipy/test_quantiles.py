"""Quantiles of integers and on the circle; distribution functions where densities have kinks."""

import numpy
import pytest
import scipy.stats

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.scipy import stats

LEVELS = numpy.array([-0.1, 0.0, 1e-6, 0.2, 0.5, 0.77, 0.999, 1.0, numpy.nan])
INTEGERS = {"poisson": (2.5,), "bernoulli": (0.3,), "binom": (7, 0.35), "nbinom": (2.6, 0.4), "geom": (0.3,)}


@pytest.mark.parametrize("tier", [0, 2])
@pytest.mark.parametrize("name", list(INTEGERS))
def test_quantiles_of_integers(name, tier):
    ng.config.jit = tier
    found = ng.jit(lambda q: getattr(stats, name).ppf(q, *INTEGERS[name], loc=3))(ng.asarray(LEVELS)).numpy()
    numpy.testing.assert_array_equal(found, getattr(scipy.stats, name).ppf(LEVELS, *INTEGERS[name], loc=3))


def test_quantiles_of_integers_are_steps():
    found = ng.grad(lambda q, mu, loc: stats.poisson.ppf(q, mu, loc=loc), (0, 1, 2))(*map(ng.asarray, (0.3, 2.0, 1.0)))
    assert [float(g.numpy()) for g in found] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("function", ["ppf", "isf"])
@pytest.mark.parametrize("kappa", [0.0, 0.7, 4.0, 300.0])
def test_quantiles_on_the_circle(function, kappa):
    q = numpy.array([0.01, 0.2, 0.5, 0.77, 0.99])
    expected = getattr(scipy.stats.vonmises, function)(q, kappa, 0.3, 2.0)
    found = getattr(stats.vonmises, function)(q, kappa, 0.3, 2.0)
    numpy.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-9)


def sixth_order(function, x, step):
    """A derivative by central differences of six points."""
    pairs = [function(x + m * step) - function(x - m * step) for m in (1, 2, 3)]
    return (45 * pairs[0] - 9 * pairs[1] + pairs[2]) / (60 * step)


@pytest.mark.parametrize("kappa", [0.7, 4.0, 30.0])
def test_derivatives_of_quantiles_on_the_circle(kappa):
    """Of the inverse of the distribution function; second ones are differences of these."""
    q = numpy.array([0.1, 0.45, 0.77])
    by = lambda q, k: ng.grad(lambda q, k: nx.sum(stats.vonmises.ppf(q, k)), (0, 1))(q, k)  # noqa: E731
    wide = numpy.full(3, kappa)
    by_q, by_kappa = (g.numpy() for g in by(ng.asarray(q), ng.asarray(wide)))
    x = scipy.stats.vonmises.ppf(q, kappa)
    density = scipy.stats.vonmises.pdf(x, kappa)
    slope = sixth_order(lambda k: scipy.stats.vonmises.cdf(x, k), kappa, 0.05 * kappa)
    numpy.testing.assert_allclose(by_q, 1 / density, rtol=1e-7)
    numpy.testing.assert_allclose(by_kappa, -slope / density, rtol=2e-4, atol=1e-8)
    found = ng.grad(lambda k: nx.sum(by(ng.asarray(q), k)[1]))(ng.asarray(wide)).numpy()
    expected = sixth_order(lambda k: by(ng.asarray(q), ng.asarray(wide + k))[1].numpy(), 0.0, 0.01 * kappa)
    numpy.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["laplace", "vonmises", "norm", "t", "cauchy", "logistic", "gumbel_r"])
@pytest.mark.parametrize("x", [0.0, 1e-9, -1e-9])
def test_slope_of_a_distribution_function_at_0_is_the_density(name, x):
    shapes = {"vonmises": (2.0,), "t": (3.0,)}.get(name, ())
    for function, sign in (("cdf", 1), ("sf", -1)):
        slope = ng.grad(lambda x, f=function: getattr(getattr(stats, name), f)(x, *shapes))(ng.asarray(x))
        expected = sign * getattr(scipy.stats, name).pdf(x, *shapes)
        numpy.testing.assert_allclose(slope.numpy(), expected, rtol=1e-7)


@pytest.mark.parametrize("name", ["norm", "gamma", "beta", "truncnorm", "vonmises"])
def test_float32_stays(name):
    shapes = {"norm": (), "gamma": (2.3,), "beta": (1.7, 0.6), "truncnorm": (-0.7, 2.5), "vonmises": (2.3,)}[name]
    x = numpy.float32([0.3, 0.5, 0.9])
    for function in ("pdf", "logpdf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf"):
        found = getattr(getattr(stats, name), function)(x, *shapes)
        expected = getattr(getattr(scipy.stats, name), function)(x.astype(float), *shapes)
        assert found.dtype == "float32"
        numpy.testing.assert_allclose(found.numpy(), expected, rtol=2e-5, atol=1e-6, err_msg=function)
