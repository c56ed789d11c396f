"""adopt: what Numba, SciPy and C compilers have made."""

import ctypes
import ctypes.util
import math

import numba
import numpy
import pytest
import scipy.special

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, KernelError, MissingRuleError, ShapeError
from nbgrad.testing import check_grads
from nbgrad.testing.cuda import lowered

X = numpy.array([0.3, 1.2, 0.7])


@numba.vectorize
def dynamic(x, y):
    return x * y + math.sin(x) if x > 0.5 else y * y


@numba.vectorize(["float64(float64)"])
def static(x):
    return x * x * x


@numba.njit
def bell(x):
    return math.exp(-x * x)


@numba.cfunc("float64(float64)")
def squared(x):
    return x * x


ADOPTED = {f.__name__: ng.adopt(f) for f in (dynamic, static, bell, squared)}


@pytest.mark.parametrize("jit", [0, 2])
def test_scalar_functions_of_numba(settings, jit):
    settings.jit = jit
    numpy.testing.assert_allclose(ADOPTED["dynamic"](X, 2.0), dynamic(X, 2.0), rtol=1e-15)
    numpy.testing.assert_allclose(ADOPTED["static"](X), X**3, rtol=1e-15)
    numpy.testing.assert_allclose(ADOPTED["bell"](X), numpy.exp(-X * X), rtol=1e-15)
    numpy.testing.assert_allclose(ADOPTED["squared"](X), X * X, rtol=1e-15)
    check_grads(lambda x, y: ADOPTED["dynamic"](ADOPTED["bell"](x), y), (X, X))
    check_grads(lambda x: ADOPTED["squared"](ADOPTED["static"](x)), (X,))


def test_a_derivative_by_another_function():
    """As a tool makes it that differentiates functions of Numba."""

    @numba.njit
    def bell_slope(x):
        return -2.0 * x * math.exp(-x * x)

    slope = ng.adopt(bell_slope)
    check_grads(ng.adopt(bell, vjp=lambda g, x: g * slope(x)), (X,))


def product(x, y):
    return x * math.cos(y)


product.grad = lambda x, y: (math.cos(y), -x * math.sin(y))


def test_functions_that_bring_their_derivatives():
    f = ng.adopt(product)
    numpy.testing.assert_allclose(f(X, 2.0), X * numpy.cos(2.0), rtol=1e-15)
    check_grads(f, (X[:, None], X), order=1)


@numba.guvectorize(["void(float64[:], float64[:], float64[:], float64[:])"], "(n),()->(n),()")
def scaled(x, s, out, total):
    total[0] = 0.0
    for i in range(x.shape[0]):
        out[i] = x[i] * s[0]
        total[0] += out[i]


@numba.guvectorize("(n),()->()")
def dotted(x, s, out):
    out[0] = 0.0
    for i in range(x.shape[0]):
        out[0] += x[i] * s


def scaled_vjp(g1, g2, x1, x2):
    g = g1 + g2[:, None]
    return g * x2[:, None], np.sum(g * x1, axis=1)


@pytest.mark.parametrize("jit", [0, 2])
def test_generalised_ufuncs(settings, rng, jit):
    settings.jit = jit
    adopted = ng.adopt(scaled, vjp=scaled_vjp)
    x, s = rng.normal(size=(4, 1, 3)), rng.normal(size=2)
    for found, expected in zip(adopted(x, s), scaled(x, s), strict=True):
        assert found.shape == expected.shape
        numpy.testing.assert_allclose(found, expected, rtol=1e-14)
    check_grads(lambda x, s: list(adopted(x, s)), (x, s))
    numpy.testing.assert_allclose(ng.adopt(dotted)(x[:, 0], 2.0), 2 * x[:, 0].sum(-1), rtol=1e-13)
    numpy.testing.assert_allclose(ng.vmap(ng.adopt(dotted), (0, None))(x, 2.0), 2 * x.sum(-1), rtol=1e-13)
    assert adopted(numpy.arange(3), 2)[0].dtype == "float64"


SPECIAL = {
    "j0": 1,
    "erf": 1,
    "gammaln": 1,
    "expi": 1,
    "ellipk": 1,
    "wrightomega": 1,
    "xlogy": 2,
    "betainc": 3,
    "hyp2f1": 4,
}


@pytest.mark.parametrize("name", SPECIAL)
def test_functions_of_scipy(settings, name):
    settings.jit = 2
    ufunc = getattr(scipy.special, name)
    f = ng.adopt(ufunc)
    x = [numpy.array([0.3, 0.7])] * SPECIAL[name]
    numpy.testing.assert_array_equal(ng.jit(f)(*x), ufunc(*x))
    single = ng.jit(f)(*(v.astype("float32") for v in x))
    numpy.testing.assert_allclose(single, ufunc(*x), rtol=1e-6)
    assert single.dtype == "float32"


def test_a_function_of_c_is_called_inside_of_a_loop(settings):
    j0 = ng.adopt(scipy.special.j0)
    f = lambda x: np.sum(2 * j0(np.sin(x)))  # noqa: E731
    assert ng.jit(f).lower(ng.asarray(X)).launches == [f"sin_{j0.name}_multiply_sum"]
    settings.jit = 2
    numpy.testing.assert_allclose(ng.grad(f)(X), -2 * scipy.special.j1(numpy.sin(X)) * numpy.cos(X), rtol=1e-13)
    check_grads(j0, (X,), order=3)


def test_derivatives_that_are_not_known():
    jv = ng.adopt(scipy.special.jv)
    check_grads(lambda x: jv(1.5, x), (X,))
    with pytest.raises(MissingRuleError, match=r"no derivative by v is implemented"):
        ng.grad(jv)(numpy.array(1.5), X)
    with pytest.raises(
        MissingRuleError, match=r"grad of wrightomega\w*: no derivative of it is known; give ng.adopt a"
    ):
        ng.grad(ng.adopt(scipy.special.wrightomega))(X)


def cube_root():
    function = ctypes.CDLL(ctypes.util.find_library("m")).cbrt
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
    return function


@pytest.mark.parametrize("jit", [0, 2])
def test_functions_of_ctypes(settings, jit):
    settings.jit = jit
    f = ng.adopt(cube_root(), vjp=lambda g, y: g / (3.0 * y * y))
    numpy.testing.assert_allclose(f(X), numpy.cbrt(X), rtol=1e-15)
    check_grads(f, (X,))


def test_functions_of_c_of_one_name():
    """Each keeps its own."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    found = []
    for function in (library.sinh, library.cosh):
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
        found.append(ng.adopt(function, name="hyperbolic"))
    sinh, cosh = found
    numpy.testing.assert_allclose(ng.jit(lambda x: cosh(x) ** 2 - sinh(x))(X), numpy.cosh(X) ** 2 - numpy.sinh(X))


def test_a_function_of_c_on_cuda():
    f = ng.adopt(scipy.special.j0)
    with pytest.raises(KernelError, match="it calls a function of C, which exists on the host only"):
        lowered(f, X)


# ---------------------------------------------------------------- errors


def test_what_cannot_be_adopted():
    for obj in (numpy.frompyfunc(abs, 1, 1), scipy.special.sici, math.sin, 3):
        with pytest.raises(ArgumentError, match=r"adopt: got .*, expected a function under numba.vectorize.*ng.opaque"):
            ng.adopt(obj)
    with pytest.raises(ArgumentError, match="adopt: vjp is int 3, expected a function on Arrays"):
        ng.adopt(bell, vjp=3)
    function = cube_root()
    function.argtypes = [ctypes.c_int]
    with pytest.raises(ArgumentError, match=r"adopt: the ctypes function takes .*c_int.*set its argtypes and restype"):
        ng.adopt(function)


def test_operands_that_do_not_fit():
    f = ng.adopt(scaled)
    with pytest.raises(ArgumentError, match="scaled: takes 2 arrays, got 1"):
        f(X)
    with pytest.raises(ShapeError, match=r"scaled: x1 has 0 axes, expected at least 1: \(n\)"):
        f(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"scaled: leading axes \(2,\) and \(3,\) do not broadcast"):
        f(numpy.ones((2, 3)), numpy.ones(3))
    with pytest.raises(MissingRuleError, match=r"grad of scaled: no VJP for it\. Give ng.adopt a vjp for scaled"):
        ng.grad(lambda x: f(x, 2.0)[0])(X)


@numba.guvectorize("(n),(n)->(n)")
def added(x, y, out):
    for i in range(x.shape[0]):
        out[i] = x[i] + y[i]


def test_axes_of_one_name():
    with pytest.raises(ShapeError, match=r"added: axis n has extent 3, and 2 in x2 of shape \(2,\); operands with"):
        ng.adopt(added)(X, X[:2])
