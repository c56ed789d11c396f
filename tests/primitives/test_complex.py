"""Complex numbers: values as NumPy's on both tiers, and gradients as differences of the real and the imaginary part."""

import cmath
import operator

import mpmath
import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

UNARY = (
    "absolute", "negative", "exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "sqrt", "square", "reciprocal",
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sign",
    "conjugate", "real", "imag", "angle", "rint", "positive", "isnan", "isinf", "isfinite",
)  # fmt: skip
BINARY = ("add", "subtract", "multiply", "divide", "power", "equal", "not_equal", "less", "greater_equal", "maximum",
          "minimum")  # fmt: skip
#: On the axes, on both sides of the cuts, at branch points, near 1, tiny and huge.
SPECIAL = numpy.array([
    0, complex(0.0, -0.0), complex(-0.0, 0.0), 1, -1, 1j, -1j, 2, -2, 3j, -3j, 0.5, 1e-8j, 1e8, 1e-300j, -1e300,
    1 + 1e-9j, complex(-1, -0.0), complex(-2, 0.0), complex(-2, -0.0), complex(2, -0.0), complex(0, 2),
    complex(-0.0, 2),
    complex(-0.0, -2), 1e150 + 1e150j, complex("inf"), complex("-inf"), complex(0, numpy.inf), complex("nan"),
])  # fmt: skip
TIERS = pytest.mark.parametrize("jit", [0, 2])


def sample(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def near(found, expected, ulp=16):
    """Equal dtypes; the distance in the plane within so many units in the last place, special values where they are."""
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    assert found.dtype == expected.dtype
    if found.dtype.kind not in "fc":
        numpy.testing.assert_array_equal(found, expected)
        return
    eps = numpy.finfo(found.dtype).eps
    with numpy.errstate(all="ignore"):
        good = (found == expected) | (numpy.isnan(found) & numpy.isnan(expected))
        good |= numpy.abs(found - expected) <= ulp * eps * numpy.abs(expected)
    assert good.all(), (found[~good], expected[~good])


# ---------------------------------------------------------------- values


@TIERS
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_one(rng, name, dtype, jit):
    ng.config.jit = jit
    z = (2 * sample(rng, 5, 40)).astype(dtype)
    near(getattr(np, name)(z), getattr(numpy, name)(z), 64 if name.startswith("arc") else 16)


@TIERS
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("name", BINARY)
def test_a_function_of_two(rng, name, dtype, jit):
    ng.config.jit = jit
    z, w = (sample(rng, 4, 30).astype(dtype) for _ in range(2))
    w[0, :9] = z[0, :9]
    near(getattr(np, name)(z, w), getattr(numpy, name)(z, w), 64)
    near(getattr(np, name)(z, w[0].real), getattr(numpy, name)(z, w[0].real), 64)


@TIERS
@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("exp2", "positive")])
def test_special_values(name, jit):
    """As NumPy, or as the function is where NumPy has nan for a finite number times an infinite one."""
    ng.config.jit = jit
    finite = SPECIAL[numpy.isfinite(SPECIAL)]
    with numpy.errstate(all="ignore"):
        expected = getattr(numpy, name)(finite)
    found = getattr(np, name)(finite).numpy()
    if name == "log1p" and jit:  # NumPy rounds 1 + z first
        inside = finite.real > -1
        found, expected = found[inside], numpy.array([complex(mpmath.log1p(v)) for v in finite[inside]])
    with numpy.errstate(all="ignore"):
        ours = numpy.isnan(expected) & ~numpy.isnan(found)
    near(found[~ours], expected[~ours])
    assert numpy.isinf(found[ours]).all()


@pytest.mark.parametrize("name", ["sqrt", "log", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"])
def test_sides_of_a_cut(name):
    """A zero's sign says from which side a cut is approached, as in C99 (compared with Python's cmath)."""
    ng.config.jit = 2
    points = [complex(a, s) for a in (-3.0, -1.5, 1.5, 3.0) for s in (0.0, -0.0)]
    points += [complex(s, b) for b in (-3.0, -1.5, 1.5, 3.0) for s in (0.0, -0.0)]
    function = getattr(cmath, name.replace("arc", "a"))
    near(getattr(np, name)(numpy.array(points)), numpy.array([function(z) for z in points]))


def test_quotients_of_large_and_small_numbers():
    """Smith's algorithm neither overflows nor underflows between."""
    z = numpy.array([1e300 + 1e300j, 1e-300 + 1e-300j, 1e300j, 1 + 1j, 1 + 0j, 0j])
    w = numpy.array([1e300 - 1e299j, 1e-300 + 2e-300j, 1e-5 + 0j, 1e-308j, 0j, 0j])
    with numpy.errstate(all="ignore"):
        expected = numpy.divide(z, w)
    for ng.config.jit in (0, 2):
        found = np.divide(z, w).numpy()
        numpy.testing.assert_array_equal(numpy.isfinite(found), numpy.isfinite(expected))
        near(found[:4], expected[:4])


def test_small_integer_powers_are_products(rng):
    z = sample(rng, 20)
    for n in (1, 2, 3, 5, 8, -1):
        near(ng.asarray(z) ** n, z**n)
    near(ng.asarray(z) ** 0.5, z**0.5)
    numpy.testing.assert_array_equal(np.power(ng.asarray([0j, 0j]), numpy.array([2 + 0j, 0j])), [0, 1])


# ---------------------------------------------------------------- arrays


def changed(x):
    y = x * 1
    y[1:3] = x[:2] * 2j
    y[np.asarray([0, 4])] += x[2]
    return y


MATRIX = numpy.random.default_rng(5).normal(size=(5, 5)) + 1j * numpy.random.default_rng(6).normal(size=(5, 5))
ON_ARRAYS = {
    "matmul": (lambda m, x: m.matmul(x, MATRIX)),
    "matmul of real": (lambda m, x: m.matmul(m.real(x), MATRIX)),
    "solve": (lambda m, x: m.linalg.solve(MATRIX, x)),
    "cumsum": (lambda m, x: m.cumsum(x)),
    "cumprod": (lambda m, x: m.cumprod(x)),
    "prod": (lambda m, x: m.prod(x)),
    "mean": (lambda m, x: m.mean(x)),
    "taken": (lambda m, x: x[[0, 0, 1, 2, 4]]),
    "reversed": (lambda m, x: x[::-1]),
    "outer": (lambda m, x: m.outer(x, m.conj(x))),
    "where": (lambda m, x: m.where(m.abs(x) > 1, x, 2 * x)),
    "joined": (lambda m, x: m.concatenate([x, m.real(x), 1j * x])),
    "einsum": (lambda m, x: m.einsum("i,ij->j", x, MATRIX)),
    "transform": (lambda m, x: m.sum(m.exp(-2j * numpy.pi * m.outer(m.arange(5), m.arange(5)) / 5) * x, axis=1)),
    "casts": (lambda m, x: m.real(x) + m.astype(x, "complex64")),
}


@TIERS
@pytest.mark.parametrize("name", ON_ARRAYS)
def test_functions_of_arrays(rng, name, jit):
    ng.config.jit = jit
    z, f = sample(rng, 5), ON_ARRAYS[name]
    near(f(np, ng.asarray(z)), f(numpy, z), 64)


def test_numbers_and_dtypes():
    """Python's complex numbers are weak, as its others."""
    x = ng.asarray(numpy.ones(2, "float32"))
    assert (x * 2j).dtype == "complex64"
    assert (1j - ng.asarray([1, 2])).dtype == "complex128"
    assert np.asarray([1j, 2.0]).dtype == "complex128"
    assert np.asarray(numpy.ones(2, "complex64")).real.dtype == "float32"
    assert complex(ng.asarray(1 + 2j)) == 1 + 2j
    assert ng.asarray(1 + 2j).item() == 1 + 2j
    z = ng.asarray([1 + 2j])
    z[0] = 3
    assert z.tolist() == [3 + 0j]
    numpy.testing.assert_array_equal(z.conj(), [3 - 0j])


def test_one_launch_beside_the_joining():
    """Elementwise functions of complex numbers fuse as those of real ones, and a new size compiles nothing."""
    f = ng.jit(lambda z: np.exp(z) * z + np.conj(z))
    lowered = f.lower(ng.asarray(numpy.ones(4, complex)))
    assert len(lowered.launches) == 2
    f(ng.asarray(numpy.ones(4, complex)))
    before = ng.stats()["kernels_compiled"]
    f(ng.asarray(numpy.ones(9, complex)))
    assert ng.stats()["kernels_compiled"] == before


def test_what_only_numpy_can_do_is_called():
    """A primitive without a text on pairs is NumPy's, between launches."""
    z = numpy.random.default_rng(0).normal(size=(4, 4)) + 1j
    lowered = ng.jit(lambda z: np.linalg.solve(z, np.exp(z))).lower(ng.asarray(z))
    assert "solve" in lowered.launches


# ---------------------------------------------------------------- gradients


def uphill(loss, z, step=1e-6):
    """dL/dx + i dL/dy by central differences."""
    g = numpy.zeros(z.shape, complex)
    for i in numpy.ndindex(z.shape):
        for direction in (1, 1j):
            e = numpy.zeros(z.shape, complex)
            e[i] = direction * step
            g[i] += direction * (loss(z + e) - loss(z - e)) / (2 * step)
    return g


def check(rng, f, *arguments):
    """First and second order, by each argument, on both tiers."""
    for k, own in enumerate(arguments):

        def loss(x, k=k):
            y = f(*arguments[:k], x, *arguments[k + 1 :])
            return np.sum(np.real(y * (0.3 - 0.7j) + y * np.conj(y) * 0.1))

        v = sample(rng, *own.shape)

        def second(x, loss=loss, v=v):
            return np.sum(np.real(np.conj(ng.grad(loss)(x)) * v))

        for ng.config.jit in (0, 2):
            for function in (loss, second):
                found = ng.grad(function)(ng.asarray(own))
                assert found.dtype == own.dtype
                expected = uphill(lambda x, function=function: float(function(ng.asarray(x))), own)
                numpy.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", [n for n in UNARY if not n.startswith("is") and n != "rint"])
def test_gradient_of_one(rng, name):
    check(rng, getattr(np, name), sample(rng, 4))


@pytest.mark.parametrize("name", BINARY[:5])
def test_gradient_of_two(rng, name):
    check(rng, getattr(np, name), sample(rng, 4), sample(rng, 4))


@pytest.mark.parametrize("name", [n for n in ON_ARRAYS if n != "casts"])
def test_gradients_of_arrays(rng, name):
    check(rng, lambda x: ON_ARRAYS[name](np, x), sample(rng, 5))


def test_gradient_of_assignments(rng):
    check(rng, changed, sample(rng, 5))


def test_real_inputs_have_real_gradients(rng):
    w = sample(rng, 5)
    g = ng.grad(lambda x: np.sum(np.real(x * w)))(rng.normal(size=5))
    assert g.dtype == "float64"
    near(g, w.real)


def test_the_size_is_not_differentiable_at_0():
    numpy.testing.assert_array_equal(ng.grad(lambda z: np.sum(np.abs(z)))(numpy.array([0j, 3 + 4j])), [0, 0.6 + 0.8j])


def test_holomorphic(rng):
    """The complex derivative; a gradient of a real loss is its conjugate times the seed."""
    z = sample(rng, 4)
    near(ng.grad(lambda z: np.exp(z) * z, holomorphic=True)(z), numpy.exp(z) * (1 + z))
    value, slope = ng.value_and_grad(np.sin, holomorphic=True)(z)
    near(value, numpy.sin(z))
    near(slope, numpy.cos(z))
    near(ng.gradients(*(lambda x: (np.sin(x), x))(ng.asarray(z)))[0], numpy.conj(numpy.cos(z)))
    near(ng.grad(np.sin, sens_param=True)(z, numpy.full(4, 1j)), 1j * numpy.conj(numpy.cos(z)))
    for jacobian in (ng.jacrev, ng.jacfwd):
        near(jacobian(lambda z: np.cumsum(z * z), holomorphic=True)(z), numpy.tril(numpy.ones((4, 4))) * 2 * z)


def test_jacobians_of_one_graph_in_two_ways(rng):
    """A gradient of real numbers by complex ones and a complex derivative are different programs."""
    z = sample(rng, 3)
    near(ng.jacrev(lambda z: np.real(z * z) + 0j, holomorphic=True)(z), numpy.diag(2 * z))
    near(ng.jacrev(lambda z: np.real(z * z))(z), numpy.diag(2 * numpy.conj(z)))


def test_jacobians_of_which_one_side_is_real(rng):
    z = sample(rng, 3)
    near(ng.jacrev(np.abs)(z), numpy.diag(z / numpy.abs(z)))
    near(ng.jacfwd(lambda x: np.exp(1j * x))(z.real), numpy.diag(1j * numpy.exp(1j * z.real)))


def test_tangents(rng):
    z, v = sample(rng, 4), sample(rng, 4)
    near(ng.jvp(np.sin, ng.asarray(z), ng.asarray(v))[1], v * numpy.cos(z))
    near(ng.jvp(np.abs, ng.asarray(z), ng.asarray(v))[1], (numpy.conj(z) * v).real / numpy.abs(z))


MESSAGES = {
    "output": (lambda z: ng.grad(np.sin)(z), r"grad: output 0 is complex, so that it has no gradient of its own; "
               r"return a real number such as abs\(z\) \*\* 2 or z.real, give a seed with sens_param=True, or say hol"),
    "real output": (lambda z: ng.grad(np.abs, holomorphic=True)(z), "grad: with holomorphic=True every input and "
                    "output must be complex, and output 0 has dtype float64"),
    "real input": (lambda z: ng.value_and_grad(lambda x: x * 1j, holomorphic=True)(z.real), "value_and_grad: with "
                   "holomorphic=True every input and output must be complex, and input 0 has dtype float64"),
    "rows": (lambda z: ng.jacrev(np.sin)(z), "jacrev: output 0 is complex, so that a step in it has two directions; "
             r"take .real and .imag apart, or say holomorphic=True if the function is"),
    "columns": (lambda z: ng.jacfwd(np.abs)(z), "jacfwd: input 0 is complex, so that a step in it has two directions"),
    "order": (lambda z: np.floor(z), "floor: got complex128, expected real numbers; take x.real, x.imag or"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    call, message = MESSAGES[name]
    with pytest.raises(errors.DtypeError, match=message):
        call(numpy.ones(3, complex))


@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.truediv, operator.pow, operator.sub])
def test_arithmetic_in_either_order(rng, op):
    z = sample(rng, 3)
    near(op(2.5, ng.asarray(z)), op(2.5, z))
    near(op(z, ng.asarray(z)), op(z, z))
    near(op(ng.asarray(z), 1 - 2j), op(z, 1 - 2j))
