"""Distributions of vectors."""

import math

from nbgrad.errors import ShapeError
from nbgrad.kernels import linalg as kernels
from nbgrad.kernels import reduction
from nbgrad.kernels.exponential import exp, log
from nbgrad.kernels.incomplete import power_log
from nbgrad.kernels.rounding import floor
from nbgrad.kernels.selection import where
from nbgrad.kernels.special import lgamma
from nbgrad.numpy import diagonal, expand_dims, linalg, moveaxis, swapaxes
from nbgrad.scipy.stats._discrete import times_log
from nbgrad.scipy.stats._distribution import floating, nan_unless


def _total(x, axis=-1):
    return reduction.sum(x, axes=(axis % x.ndim,))


class MultivariateNormal:
    """The normal distribution of vectors: ``logpdf(x, mean=0, cov=1)``, vectors on the last axis.

    The covariance is factorised by Cholesky; unlike SciPy's, it has to be positive definite.
    """

    def logpdf(self, x, mean=None, cov=1):
        """Logarithm of the density at vectors `x`; a number `cov` is a multiple of the identity."""
        call = "multivariate_normal.logpdf"
        x, mean, cov = floating(call, {"x": x, "mean": 0 if mean is None else mean, "cov": cov})
        n = mean.shape[-1] if mean.ndim else (cov.shape[-1] if cov.ndim else 1)
        if (n != 1 and n not in (x.shape or mean.shape)[-1:]) or (cov.ndim and cov.shape not in ((n,), (n, n))):
            raise ShapeError(
                f"{call}: x has shape {x.shape}, mean {mean.shape} and cov {cov.shape}; expected vectors of one "
                "length n on the last axis, and a cov of shape (n, n), (n,) or ()"
            )
        apart = x - mean
        if n == 1 and apart.ndim < 2:
            apart = expand_dims(apart, -1)
        if cov.ndim < 2:
            half, log_det = apart / cov**0.5, log(cov) * float(n) if not cov.ndim else _total(log(cov))
            return -0.5 * (_total(half * half) + log_det + n * math.log(2 * math.pi))
        factor = linalg.cholesky(cov)
        flat = apart.reshape((-1, n))
        half = kernels.solve_triangular(factor, swapaxes(flat, 0, 1), lower=True, transposed=False)
        square = _total(half * half, 0).reshape(apart.shape[:-1])
        log_det = 2.0 * _total(log(diagonal(factor)))
        return -0.5 * (square + log_det + n * math.log(2 * math.pi))

    def pdf(self, x, mean=None, cov=1):
        """The density."""
        return exp(self.logpdf(x, mean, cov))


class Dirichlet:
    """The Dirichlet distribution: ``logpdf(x, alpha)``, components of `x` on the first axis as in SciPy."""

    def logpdf(self, x, alpha):
        """Logarithm of the density; nan where `x` is not a point of the simplex or `alpha` is not positive.

        `x` may lack its last component, which is 1 less the sum of the others.
        """
        from nbgrad.numpy import concatenate

        x, alpha = floating("dirichlet.logpdf", {"x": x, "alpha": alpha})
        if alpha.ndim != 1 or not x.ndim or x.shape[0] not in (alpha.shape[0], alpha.shape[0] - 1):
            raise ShapeError(
                f"dirichlet.logpdf: x has shape {x.shape} and alpha {alpha.shape}; expected an alpha of shape (n,) and "
                "components of x on its first axis, n or n - 1 of them"
            )
        if x.shape[0] < alpha.shape[0]:
            x = concatenate([x, expand_dims(1.0 - _total(x, 0), 0)])
        x = moveaxis(x, 0, -1)
        off = _total(x) - 1.0
        tolerance = 1e-9 if x.dtype == "float64" else 1e-5
        wrong = (off > tolerance) | (off < -tolerance) | reduction.any((x < 0) | (alpha <= 0), axes=(x.ndim - 1,))
        value = lgamma(_total(alpha)) - _total(lgamma(alpha)) + _total(power_log(x, alpha - 1.0))
        return value + nan_unless(~wrong, x)

    def pdf(self, x, alpha):
        """The density."""
        return exp(self.logpdf(x, alpha))


class Multinomial:
    """The multinomial distribution: ``logpmf(x, n, p)``, vectors on the last axis."""

    def logpmf(self, x, n, p):
        """Logarithm of the probability; -inf where counts are no counts or do not sum to `n`, nan if `p` does not to 1.

        Derivatives by `p` are those of a function of all its elements, whatever they sum to.
        """
        x, n, p = floating("multinomial.logpmf", {"x": x, "n": n, "p": p})
        counts = (_total(x) == n) & reduction.all((x >= 0) & (floor(x) == x), axes=(x.ndim - 1,))
        safe = where(expand_dims(counts, -1), x, 0.0)
        value = lgamma(n + 1.0) + _total(times_log(safe, p) - lgamma(safe + 1.0))
        off = _total(p) - 1.0
        wrong = (off > 1e-6) | (off < -1e-6) | reduction.any((p < 0) | (p > 1), axes=(p.ndim - 1,))
        return where(counts, value, -math.inf) + nan_unless(~wrong, x)

    def pmf(self, x, n, p):
        """The probability."""
        return exp(self.logpmf(x, n, p))


multivariate_normal = MultivariateNormal()
dirichlet = Dirichlet()
multinomial = Multinomial()
