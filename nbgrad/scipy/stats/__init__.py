"""Distributions, by SciPy's names: densities, distribution functions and quantiles with gradients in everything.

>>> import nbgrad.scipy.stats as stats
>>> stats.norm.cdf([0.0, 1.96])
Array([0.5      , 0.9750021], shape=(2,), dtype=float64, device=cpu)

Derivatives outside of the support are 0.  Those of distribution functions by the parameters of gammas and betas come
from `nbgrad.scipy.special`.
"""

from nbgrad.scipy.stats._discrete import bernoulli, binom, geom, nbinom, poisson
from nbgrad.scipy.stats._half_line import beta, chi2, expon, gamma, invgamma, lognorm, pareto, uniform, weibull_min
from nbgrad.scipy.stats._line import cauchy, gumbel_r, laplace, logistic, norm, t, truncnorm, vonmises
from nbgrad.scipy.stats._several import dirichlet, multinomial, multivariate_normal

__all__ = [
    "bernoulli", "beta", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma", "geom", "gumbel_r", "invgamma",
    "laplace", "logistic", "lognorm", "multinomial", "multivariate_normal", "nbinom", "norm", "pareto", "poisson", "t",
    "truncnorm", "uniform", "vonmises", "weibull_min",
]  # fmt: skip
