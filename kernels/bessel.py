"""Bessel functions: the modified ones of orders 0 and 1 compiled, the others as SciPy computes them.

Derivatives by x are differences and sums of neighbouring orders (DLMF 10.6.1, 10.29.1); by the order none is known.
"""

from nbgrad.kernels._bessel import I0_FAR, I0_FAR_32, I0_NEAR, I0_NEAR_32, I1_FAR, I1_FAR_32, I1_NEAR, I1_NEAR_32
from nbgrad.kernels._called import Called, from_scipy
from nbgrad.kernels._intrinsics import by_precision, magnitude, polynomial, select, square_root, with_sign
from nbgrad.kernels.arithmetic import sign
from nbgrad.kernels.exponential import exp, limited
from nbgrad.primitive import elementwise

INFINITY = float("inf")

jv, yv, iv, ive, kv, kve = (
    Called(name, orders=(0,), letters=("v",), doc=doc)
    for name, doc in (
        ("jv", "Bessel function of the first kind, of order x1."),
        ("yv", "Bessel function of the second kind."),
        ("iv", "Modified Bessel function of the first kind."),
        ("ive", "iv(x1, x2) exp(-|x2|)."),
        ("kv", "Modified Bessel function of the second kind."),
        ("kve", "kv(x1, x2) exp(x2)."),
    )
)
j0, j1, y0, y1, k0, k1, k0e, k1e = (
    Called(name, doc=doc)
    for name, doc in (
        ("j0", "jv of order 0."), ("j1", "jv of order 1."), ("y0", "yv of order 0."), ("y1", "yv of order 1."),
        ("k0", "kv of order 0."), ("k1", "kv of order 1."), ("k0e", "kve of order 0."), ("k1e", "kve of order 1."),
    )
)  # fmt: skip


@jv.vjp
def jv_vjp(g, x1, x2):
    return g, g * (0.5 * (jv(x1 - 1, x2) - jv(x1 + 1, x2)))


@yv.vjp
def yv_vjp(g, x1, x2):
    return g, g * (0.5 * (yv(x1 - 1, x2) - yv(x1 + 1, x2)))


@iv.vjp
def iv_vjp(g, x1, x2):
    return g, g * (0.5 * (iv(x1 - 1, x2) + iv(x1 + 1, x2)))


@ive.vjp
def ive_vjp(g, x1, x2, y):
    return g, g * (0.5 * (ive(x1 - 1, x2) + ive(x1 + 1, x2)) - sign(x2) * y)


@kv.vjp
def kv_vjp(g, x1, x2):
    return g, g * (-0.5 * (kv(x1 - 1, x2) + kv(x1 + 1, x2)))


@kve.vjp
def kve_vjp(g, x1, x2, y):
    return g, g * (y - 0.5 * (kve(x1 - 1, x2) + kve(x1 + 1, x2)))


@j0.vjp
def j0_vjp(g, x):
    return -g * j1(x)


@j1.vjp
def j1_vjp(g, x):
    return g * (0.5 * (j0(x) - jv(2, x)))


@y0.vjp
def y0_vjp(g, x):
    return -g * y1(x)


@y1.vjp
def y1_vjp(g, x):
    return g * (0.5 * (y0(x) - yv(2, x)))


@k0.vjp
def k0_vjp(g, x):
    return -g * k1(x)


@k1.vjp
def k1_vjp(g, x):
    return g * (-0.5 * (k0(x) + kv(2, x)))


@k0e.vjp
def k0e_vjp(g, x, y):
    return g * (y - k1e(x))


@k1e.vjp
def k1e_vjp(g, x, y):
    return g * (y - 0.5 * (k0e(x) + kve(2, x)))


def near_and_far(x):
    """(x / 2)**2 where x <= 8, and 16 / x - 1 where it is larger."""
    low, high = limited(x, 0.0, 8.0), limited(x, 8.0, INFINITY)
    return 0.25 * low * low, 16.0 / high - 1.0


@elementwise(from_scipy("i0e"), cost=90)
def i0e(x):
    """exp(-|x|) times the modified Bessel function of order 0.  4 ULP."""
    size = magnitude(x)
    near, far = near_and_far(size)
    series = polynomial(near, by_precision(I0_NEAR, I0_NEAR_32)) * exp(-limited(size, 0.0, 8.0))
    value = select(size <= 8.0, series, polynomial(far, by_precision(I0_FAR, I0_FAR_32)) / square_root(size))
    return select(x != x, x, value)


@i0e.vjp
def i0e_vjp(g, x, y):
    return g * (i1e(x) - sign(x) * y)


@elementwise(from_scipy("i1e"), cost=90)
def i1e(x):
    """exp(-|x|) times the modified Bessel function of order 1.  6 ULP."""
    size = magnitude(x)
    near, far = near_and_far(size)
    series = 0.5 * size * polynomial(near, by_precision(I1_NEAR, I1_NEAR_32)) * exp(-limited(size, 0.0, 8.0))
    value = select(size <= 8.0, series, polynomial(far, by_precision(I1_FAR, I1_FAR_32)) / square_root(size))
    return select(x != x, x, with_sign(value, x))


@i1e.vjp
def i1e_vjp(g, x, y):
    return g * (0.5 * (i0e(x) + ive(2, x)) - sign(x) * y)


def unscaled(size, near, far):
    """The function without its exponential, which is taken in two halves so that only the result overflows."""
    half = exp(0.5 * limited(size, 8.0, 1500.0))
    return select(size <= 8.0, near, far / square_root(size) * half * half)


@elementwise(from_scipy("i0"), cost=100)
def i0(x):
    """The modified Bessel function of order 0.  6 ULP."""
    size = magnitude(x)
    near, far = near_and_far(size)
    near, far = polynomial(near, by_precision(I0_NEAR, I0_NEAR_32)), polynomial(far, by_precision(I0_FAR, I0_FAR_32))
    return select(x != x, x, select(size == INFINITY, INFINITY, unscaled(size, near, far)))


@i0.vjp
def i0_vjp(g, x):
    return g * i1(x)


@elementwise(from_scipy("i1"), cost=100)
def i1(x):
    """The modified Bessel function of order 1.  6 ULP."""
    size = magnitude(x)
    near, far = near_and_far(size)
    near, far = polynomial(near, by_precision(I1_NEAR, I1_NEAR_32)), polynomial(far, by_precision(I1_FAR, I1_FAR_32))
    value = select(size == INFINITY, INFINITY, unscaled(size, 0.5 * size * near, far))
    return select(x != x, x, with_sign(value, x))


@i1.vjp
def i1_vjp(g, x):
    return g * (0.5 * (i0(x) + iv(2, x)))
