"""Complex numbers: their parts, and what the primitives are of them.

Each text here takes and returns pairs (real part, imaginary part) of Arrays; a graph of complex numbers is compiled as
the graph of these.  Gradients have one convention: the cotangent of z = x + iy is dL/dx + i dL/dy of a real L.

Sources: for square roots, inverse functions and tanh Kahan 1987, Branch cuts for complex elementary functions, or much
ado about nothing's sign bit; for quotients Smith 1962, Algorithm 116.
"""

import numpy

from nbgrad.dtypes import real_of
from nbgrad.kernels import (
    arithmetic,
    casting,
    comparison,
    exponential,
    hyperbolic,
    indexing,
    reduction,
    roots,
    rounding,
    selection,
    shape,
    trigonometric,
)
from nbgrad.kernels.arithmetic import copysign
from nbgrad.kernels.exponential import exp, expm1, log, log1p
from nbgrad.kernels.hyperbolic import arcsinh, cosh, sinh
from nbgrad.kernels.roots import hypot, sqrt
from nbgrad.kernels.selection import maximum, minimum, where
from nbgrad.kernels.trigonometric import arctan2, cos, sin, tan
from nbgrad.primitive import elementwise, full, structural

LN2, LOG2E, LOG10E = 0.6931471805599453, 1.4426950408889634, 0.4342944819032518


# ---------------------------------------------------------------- parts


@elementwise(lambda x: x.real.copy(), domain="any", result="real", expression="{0}")
def real(x):
    """The real part."""
    return x


@real.complex_vjp
@real.vjp
def real_vjp(g):
    return g


@real.of_pairs
def real_of_pairs(x):
    return x[0]


@elementwise(lambda x: x.imag.copy(), domain="any", result="real")
def imag(x):
    """The imaginary part."""
    return x - x


@imag.complex_vjp
def imag_complex_vjp(g):
    return arithmetic.multiply(g, 1j)


@imag.vjp
def imag_vjp(g):
    return g * 0.0


@imag.of_pairs
def imag_of_pairs(x):
    return x[1]


@elementwise(numpy.conjugate, domain="any", expression="{0}")
def conjugate(x):
    """The conjugate."""
    return x


@conjugate.complex_vjp
def conjugate_complex_vjp(g):
    return conjugate(g)


@conjugate.vjp
def conjugate_vjp(g):
    return g


@conjugate.of_pairs
def conjugate_of_pairs(x):
    return x[0], -x[1]


def _from_parts(x1, x2):
    z = numpy.empty(numpy.broadcast_shapes(x1.shape, x2.shape), numpy.result_type(x1, numpy.complex64))
    z.real, z.imag = x1, x2
    return z


@elementwise(_from_parts, domain="float", result="complex")
def from_parts(x1, x2):
    """x1 + i x2, of real numbers."""
    return x1 + x2


@from_parts.complex_vjp
@from_parts.vjp
def from_parts_vjp(g):
    return real(g), imag(g)


@from_parts.of_pairs
def from_parts_of_pairs(x1, x2):
    return x1, x2


# ---------------------------------------------------------------- part by part


def _each_part(primitive):
    """Declare that a primitive does the same to both parts."""

    def text(*operands, **attrs):
        return tuple(primitive(*(x[part] if type(x) is tuple else x for x in operands), **attrs) for part in (0, 1))

    primitive.of_pairs(text)


for _primitive in (
    arithmetic.add, arithmetic.subtract, arithmetic.negative, arithmetic.positive, casting.identity,
    casting.stop_gradient, rounding.rint, selection.where, shape.reshape, shape.transpose, shape.broadcast_to,
    shape.slice_, shape.embed, shape.add_slices, shape.set_slice, shape.concatenate, shape.add_n, indexing.take,
    indexing.scatter_add, indexing.put, reduction.sum,
):  # fmt: skip
    _each_part(_primitive)


@casting.astype.of_pairs
def astype_of_pairs(x, *, dtype):
    if type(x) is not tuple:
        return casting.astype(x, dtype=real_of(dtype)), full(x.shape, 0, real_of(dtype))
    if dtype.kind == "b":
        return (x[0] != 0) | (x[1] != 0)
    if dtype.kind == "c":
        return tuple(casting.astype(part, dtype=real_of(dtype)) for part in x)
    return casting.astype(x[0], dtype=dtype)


# ---------------------------------------------------------------- arithmetic


@shape.barrier.of_pairs
def barrier_of_pairs(x, after):
    after = after[0] if type(after) is tuple else after
    return tuple(shape.barrier(part, after) for part in x) if type(x) is tuple else shape.barrier(x, after)


@arithmetic.multiply.of_pairs
def multiply_of_pairs(x1, x2):
    (a, b), (c, d) = x1, x2
    return a * c - b * d, a * d + b * c


@arithmetic.divide.of_pairs
def divide_of_pairs(x1, x2):
    (a, b), (c, d) = x1, x2
    wide = abs(c) >= abs(d)
    large, small = where(wide, c, d), where(wide, d, c)
    ratio = small / large
    scale = 1.0 / (large + small * ratio)
    zero = large == 0
    re = where(wide, a + b * ratio, a * ratio + b) * scale
    im = where(wide, b - a * ratio, b * ratio - a) * scale
    return where(zero, a / abs(c), re), where(zero, b / abs(c), im)


@roots.reciprocal.of_pairs
def reciprocal_of_pairs(x):
    return divide_of_pairs((1.0, 0.0), x)


@roots.square.of_pairs
def square_of_pairs(x):
    a, b = x
    return a * a - b * b, a * b + b * a


@arithmetic.absolute.of_pairs
def absolute_of_pairs(x):
    return hypot(*x)


@arithmetic.absolute.complex_vjp
def absolute_complex_vjp(g, x):
    return arithmetic.multiply(g, arithmetic.sign(x))  # 0 at 0


@arithmetic.sign.of_pairs
def sign_of_pairs(x):
    a, b = x
    size = hypot(a, b)
    zero = size == 0
    size = where(zero, 1.0, size)
    return a / size, b / size


@arithmetic.sign.complex_vjp
def sign_complex_vjp(g, x, y):
    """Of y = z / |z|: what is left of dz / |z| across the direction of z."""
    size = arithmetic.absolute(x)
    zero = size == 0
    along = real(arithmetic.multiply(conjugate(y), g))
    return where(zero, 0.0, arithmetic.divide(g - arithmetic.multiply(y, along), where(zero, 1.0, size)))


# ---------------------------------------------------------------- comparisons


@comparison.equal.of_pairs
def equal_of_pairs(x1, x2):
    return (x1[0] == x2[0]) & (x1[1] == x2[1])


@comparison.not_equal.of_pairs
def not_equal_of_pairs(x1, x2):
    return (x1[0] != x2[0]) | (x1[1] != x2[1])


@comparison.isnan.of_pairs
def isnan_of_pairs(x):
    return comparison.isnan(x[0]) | comparison.isnan(x[1])


@comparison.isinf.of_pairs
def isinf_of_pairs(x):
    return comparison.isinf(x[0]) | comparison.isinf(x[1])


@comparison.isfinite.of_pairs
def isfinite_of_pairs(x):
    return comparison.isfinite(x[0]) & comparison.isfinite(x[1])


for _primitive in (comparison.less, comparison.less_equal, comparison.greater, comparison.greater_equal,
                   selection.maximum, selection.minimum):  # fmt: skip
    _primitive.of_pairs(None)  # NumPy's order is by real parts, then imaginary ones

# ---------------------------------------------------------------- exponentials


def _turned(radius, turn):
    """radius * (cos, sin) of an angle, where an infinite radius does not spoil an angle of 0."""
    real_part = where(radius == 0, 0.0 * radius, radius * cos(turn))
    return real_part, where(turn == 0, turn, where(radius == 0, 0.0 * radius, radius * sin(turn)))


@exponential.exp.of_pairs
def exp_of_pairs(x):
    return _turned(exp(x[0]), x[1])


@exponential.exp2.of_pairs
def exp2_of_pairs(x):
    return exp_of_pairs((x[0] * LN2, x[1] * LN2))


@exponential.expm1.of_pairs
def expm1_of_pairs(x):
    a, b = x
    half = sin(b * 0.5)
    return expm1(a) * cos(b) - 2.0 * half * half + 0.0, where(b == 0, b, exp(a) * sin(b))


def _log_of_size(a, b):
    """log |a + ib|, accurate where it is near 0."""
    large, small = maximum(abs(a), abs(b)), minimum(abs(a), abs(b))
    near = (large > 0.5) & (large < 2.0) & (small < 2.0)
    inside = where(near, (large - 1.0) * (large + 1.0) + small * small, 0.0)
    return where(near, 0.5 * log1p(inside), log(hypot(a, b)))


@exponential.log.of_pairs
def log_of_pairs(x):
    return _log_of_size(*x), arctan2(x[1], x[0])


@exponential.log2.of_pairs
def log2_of_pairs(x):
    a, b = log_of_pairs(x)
    return a * LOG2E, b * LOG2E


@exponential.log10.of_pairs
def log10_of_pairs(x):
    a, b = log_of_pairs(x)
    return a * LOG10E, b * LOG10E


@exponential.log1p.of_pairs
def log1p_of_pairs(x):
    a, b = x
    near = (abs(a) < 0.5) & (abs(b) < 0.5)
    inside = where(near, a * (2.0 + a) + b * b, 0.0)
    return where(near, 0.5 * log1p(inside), _log_of_size(1.0 + a, b)), arctan2(b, 1.0 + a)


@exponential.power.of_pairs
def power_of_pairs(x1, x2):
    a, b = log_of_pairs(x1)
    c, d = x2
    re, im = exp_of_pairs((a * c - b * d, a * d + b * c))
    zero = (x1[0] == 0) & (x1[1] == 0)
    unit = (c == 0) & (d == 0)
    undefined = zero & ~unit & ~(c > 0)
    re = where(unit, 1.0, where(zero, where(undefined, numpy.nan, 0.0), re))
    return re, where(unit, 0.0, where(zero, where(undefined, numpy.nan, 0.0), im))


@exponential.power.complex_vjp
def power_complex_vjp(g, y, x1, x2):
    slope = where(x2 == 0, 0.0, x2 * exponential.power(x1, x2 - 1.0))
    zero = x1 == 0
    by_exponent = where(zero, 0.0, y * log(where(zero, 1.0, x1)))
    return g * conjugate(slope), g * conjugate(by_exponent)


@roots.sqrt.of_pairs
def sqrt_of_pairs(x):
    a, b = x
    t = sqrt(0.5 * abs(a) + 0.5 * hypot(a, b))
    other = where(t == 0, 0.0, 0.5 * abs(b) / where(t == 0, 1.0, t))
    endless = abs(b) == numpy.inf
    re = where(endless, abs(b), where(a >= 0, t, other))
    return re, copysign(where(endless, abs(b), where(a >= 0, other, t)), b)


# ---------------------------------------------------------------- circular and hyperbolic functions


def _scaled(hyperbolic_part, circular_part):
    """Their product, 0 where the circular part is: a hyperbolic function may be infinite there."""
    return where(circular_part == 0, circular_part, hyperbolic_part * circular_part)


@trigonometric.sin.of_pairs
def sin_of_pairs(x):
    a, b = x
    return _scaled(cosh(b), sin(a)), sinh(b) * cos(a)


@trigonometric.cos.of_pairs
def cos_of_pairs(x):
    a, b = x
    return cosh_of_pairs((-b, a))


@hyperbolic.sinh.of_pairs
def sinh_of_pairs(x):
    a, b = x
    return sinh(a) * cos(b), _scaled(cosh(a), sin(b))


@hyperbolic.cosh.of_pairs
def cosh_of_pairs(x):
    a, b = x
    return cosh(a) * cos(b), where(a == 0, a * sin(b), where(b == 0, b * copysign(1.0, a), sinh(a) * sin(b)))


@hyperbolic.tanh.of_pairs
def tanh_of_pairs(x):
    a, b = x
    large = abs(a) > 18.0
    inner = where(large, 1.0, a)
    t, s = tan(b), sinh(inner)
    beta, rho = 1.0 + t * t, sqrt(1.0 + s * s)
    below = 1.0 + beta * s * s
    re = where(large, copysign(1.0, a), beta * rho * s / below)
    return re, where(large, 4.0 * sin(b) * cos(b) * exp(-2.0 * abs(a)), t / below)


@trigonometric.tan.of_pairs
def tan_of_pairs(x):
    a, b = x
    re, im = tanh_of_pairs((-b, a))
    return im, -re


def _roots_beside_one(x):
    """sqrt(1 - x) and sqrt(1 + x)."""
    a, b = x
    return *sqrt_of_pairs((1.0 - a, -b)), *sqrt_of_pairs((1.0 + a, b))


@trigonometric.arcsin.of_pairs
def arcsin_of_pairs(x):
    p, q, r, s = _roots_beside_one(x)
    return arctan2(x[0], p * r - q * s), arcsinh(p * s - q * r)


@trigonometric.arccos.of_pairs
def arccos_of_pairs(x):
    p, q, r, s = _roots_beside_one(x)
    return 2.0 * arctan2(p, r), arcsinh(r * q - s * p)


@hyperbolic.arcsinh.of_pairs
def arcsinh_of_pairs(x):
    a, b = x
    re, im = arcsin_of_pairs((-b, a))
    return im, -re


@hyperbolic.arcsinh.complex_vjp
def arcsinh_complex_vjp(g, x):
    x = conjugate(x)
    return arithmetic.divide(g, sqrt(1.0 + x * x))


@hyperbolic.arccosh.of_pairs
def arccosh_of_pairs(x):
    a, b = x
    p, q = sqrt_of_pairs((a - 1.0, b))
    r, s = sqrt_of_pairs((a + 1.0, b))
    return arcsinh(p * r + q * s), 2.0 * arctan2(q, r)


@hyperbolic.arctanh.of_pairs
def arctanh_of_pairs(x):
    a, b = x
    size = hypot(a, b)
    away = size > 1.0e7  # there it is a quarter turn and 1 / z
    u, v = where(away, 0.0, abs(a)), where(away, 0.0, b)
    re = 0.25 * log1p(4.0 * u / ((1.0 - u) * (1.0 - u) + v * v))
    im = 0.5 * arctan2(2.0 * v, (1.0 - u) * (1.0 + u) - v * v)
    far = copysign(0.5 * numpy.pi, b) - b / size / size
    return copysign(where(away, abs(a) / size / size, re), a), where(away, far, im)


@trigonometric.arctan.of_pairs
def arctan_of_pairs(x):
    a, b = x
    re, im = arctanh_of_pairs((-b, a))
    return im, -re


# ---------------------------------------------------------------- what is left to NumPy


def _called(*operands, primitive, attrs, kinds, shape, dtype):
    values = [
        numpy.ascontiguousarray(x).view(kind)[..., 0] if kind is not None else x
        for x, kind in zip(operands, kinds, strict=True)
    ]
    y = numpy.asarray(primitive.reference(*values, **dict(attrs)))
    if dtype.kind != "c":
        return y
    y = numpy.ascontiguousarray(y, dtype).reshape(shape)
    return y[..., None].view(y.real.dtype)


@structural("array", reference=_called, differentiable=False)
def on_pairs(*xs, primitive, attrs, kinds, shape, dtype):
    """A primitive called by NumPy; complex numbers are pairs along a last axis."""
    return (shape, dtype) if dtype.kind != "c" else ((*shape, 2), real_of(dtype))
