"""Incomplete gamma and beta functions, their inverses, and Student's distribution function.

Values are SciPy's.  Derivatives by the parameters have no closed form: `_quadrature` integrates them, to a relative
error of 1e-9 (absolute where higher derivatives change sign).
"""

from nbgrad.kernels._called import Called
from nbgrad.kernels._quadrature import betainc_derivative, gammainc_derivative
from nbgrad.kernels.arithmetic import sign
from nbgrad.kernels.exponential import exp, log, log1p
from nbgrad.kernels.gamma import betaln
from nbgrad.kernels.selection import where
from nbgrad.kernels.special import digamma, lgamma

LOG_PI = 1.1447298858494002


def power_log(x, p):
    """p log(x), 0 where both are 0."""
    return p * log(where((p == 0.0) & (x == 0.0), 1.0, x))


def power_log1p(x, p):
    """p log(1 + x), 0 for p = 0 and x = -1."""
    return p * log1p(where((p == 0.0) & (x == -1.0), 0.0, x))


def gamma_density(a, x):
    """The derivative of P(a, x) by x."""
    return exp(power_log(x, a - 1.0) - x - lgamma(a))


def beta_density(a, b, x):
    """The derivative of I_x(a, b) by x."""
    return exp(power_log(x, a - 1.0) + power_log1p(-x, b - 1.0) - betaln(a, b))


gammainc = Called("gammainc", doc="The regularised lower incomplete gamma function P(x1, x2).")
gammaincc = Called("gammaincc", doc="1 - P(x1, x2), accurate where that is small.")
gammainc_by_a = Called(
    "gammainc_by_a", gammainc_derivative, doc="A derivative of P(x1, x2) by x1, of the order given.  1e-9 relative."
)
gammaincinv = Called("gammaincinv", doc="x with P(x1, x) = x2.")
gammainccinv = Called("gammainccinv", doc="x with P(x1, x) = 1 - x2.")
betainc = Called("betainc", doc="The regularised incomplete beta function I_x3(x1, x2).")
betaincc = Called("betaincc", doc="1 - I_x3(x1, x2), accurate where that is small.")
betainc_by_ab = Called(
    "betainc_by_ab", betainc_derivative, doc="A derivative of I_x3(x1, x2) by x1 and x2, of the orders given.  1e-9."
)
betaincinv = Called("betaincinv", doc="x with I_x(x1, x2) = x3.")
stdtr = Called("stdtr", doc="Student's distribution function with x1 degrees of freedom at x2.")
stdtrit = Called("stdtrit", doc="Its inverse: t with stdtr(x1, t) = x2.")


@gammainc.vjp
def gammainc_vjp(g, x1, x2):
    return g * gammainc_by_a(x1, x2, order=1), g * gamma_density(x1, x2)


@gammaincc.vjp
def gammaincc_vjp(g, x1, x2):
    return -g * gammainc_by_a(x1, x2, order=1), -g * gamma_density(x1, x2)


@gammainc_by_a.vjp
def gammainc_by_a_vjp(g, x1, x2, order):
    return g * gammainc_by_a(x1, x2, order=order + 1), g * density_by_a(x1, x2, order)


def density_by_a(a, x, order):
    """A derivative of the density by a; those of its logarithm are log(x) - digamma(a), and so on."""
    from nbgrad.kernels._quadrature import bell

    logs = log(x)
    return gamma_density(a, x) * bell(lambda k: logs - digamma(a) if k == 1 else -polygamma(k - 1, a), (order,))


def polygamma(n, x):
    """Derivatives of digamma."""
    from nbgrad.kernels.zeta import polygamma

    return polygamma(n, x)


@gammaincinv.vjp
def gammaincinv_vjp(g, y, x1):
    share = g / gamma_density(x1, y)
    return -share * gammainc_by_a(x1, y, order=1), share


@gammainccinv.vjp
def gammainccinv_vjp(g, y, x1):
    share = g / gamma_density(x1, y)
    return -share * gammainc_by_a(x1, y, order=1), -share


@betainc.vjp
def betainc_vjp(g, x1, x2, x3):
    by = [g * betainc_by_ab(x1, x2, x3, order=order) for order in ((1, 0), (0, 1))]
    return *by, g * beta_density(x1, x2, x3)


@betaincc.vjp
def betaincc_vjp(g, x1, x2, x3):
    return tuple(-c for c in betainc_vjp(g, x1, x2, x3))


@betainc_by_ab.vjp
def betainc_by_ab_vjp(g, x1, x2, x3, order):
    from nbgrad.kernels._quadrature import bell

    m, n = order
    both = x1 + x2

    def cumulant(i, j):
        k = i + j - 1
        shared = polygamma(k, both)
        if i and j:
            return shared
        if k:
            return shared - polygamma(k, x1 if i else x2)
        return shared - polygamma(0, x1) + log(x3) if i else shared - polygamma(0, x2) + log1p(-x3)

    return (
        g * betainc_by_ab(x1, x2, x3, order=(m + 1, n)),
        g * betainc_by_ab(x1, x2, x3, order=(m, n + 1)),
        g * (beta_density(x1, x2, x3) * bell(cumulant, order)),
    )


@betaincinv.vjp
def betaincinv_vjp(g, y, x1, x2):
    share = g / beta_density(x1, x2, y)
    by = [-share * betainc_by_ab(x1, x2, y, order=order) for order in ((1, 0), (0, 1))]
    return *by, share


def log_student_density(df, t):
    """Logarithm of Student's density."""
    return -(df + 1.0) * 0.5 * log1p(t * t / df) - 0.5 * log(df) - betaln(0.5 * df, 0.5)


def student_by_df(df, t):
    """The derivative of `stdtr` by its degrees of freedom, through I_x(df / 2, 1 / 2) with x = df / (df + t**2)."""
    square = t * t
    x = df / (df + square)
    by_a = 0.5 * betainc_by_ab(0.5 * df, 0.5, x, order=(1, 0))
    # the density of I times dx / d(df), with what both have of t put together
    by_x = sign(t) * t * exp(log_student_density(df, t)) / df
    return -0.5 * sign(t) * (by_a + by_x)


@stdtr.vjp
def stdtr_vjp(g, x1, x2):
    return g * student_by_df(x1, x2), g * exp(log_student_density(x1, x2))


@stdtrit.vjp
def stdtrit_vjp(g, y, x1):
    share = g / exp(log_student_density(x1, y))
    return -share * student_by_df(x1, y), share
