"""nbgrad.scipy.special: values with SciPy, derivatives by parameters with mpmath, gradients with differences."""

import math
import subprocess
import sys

import mpmath
import numpy
import pytest
import scipy.special

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.array import Array
from nbgrad.autodiff.backward import sweep
from nbgrad.scipy import special

LINE = numpy.array([-7.3, -2.5, -1.0, -0.4, 0.0, 0.3, 1.0, 2.5, 7.0, 30.0])
HALF = numpy.array([0.3, 1.0, 2.5, 7.0, 12.5])
UNIT = numpy.array([0.01, 0.2, 0.5, 0.7, 0.99])
COLUMN = HALF[:, None]
SIGNS = numpy.array([1.0, -2.0, 0.0, 0.5, 3.0])

#: Function, positional arguments, keywords: all that is public, with values as SciPy has them.
CALLS = [
    *((name, (LINE,), {}) for name in (
        "gamma", "rgamma", "gammaln", "loggamma", "digamma", "psi", "factorial", "zeta", "erf", "erfc", "erfcx",
        "ndtr", "log_ndtr", "dawsn", "expit", "log_expit", "entr", "exprel", "i0", "i0e", "i1", "i1e", "j0", "j1",
        "expi", "fresnel", "sici")),
    ("gammasgn", (numpy.array([-3.5, -2.5, -0.5, 0.0, -0.0, 2.0]),), {}),
    *((name, (HALF,), {}) for name in ("y0", "y1", "k0", "k1", "k0e", "k1e", "exp1", "spence")),
    *((name, (UNIT,), {}) for name in ("erfinv", "erfcinv", "ndtri", "logit")),
    ("lambertw", (numpy.array([-0.3, 0.0, 1.0, 50.0]),), {}),
    ("lambertw", (numpy.array([-0.3, -0.01]), -1), {}),
    *((name, (LINE[:, None], LINE), {}) for name in ("xlogy", "xlog1py", "rel_entr", "kl_div")),
    *((name, (HALF, numpy.array([[0.0], [0.5], [-0.7]])), {}) for name in ("boxcox", "boxcox1p")),
    *((name, (UNIT, numpy.array([[0.0], [0.5], [-0.7]])), {}) for name in ("inv_boxcox", "inv_boxcox1p")),
    *((name, (COLUMN, HALF), {}) for name in (
        "beta", "betaln", "gammainc", "gammaincc", "binom", "comb", "poch", "zeta", "jv", "jn", "yv", "iv", "ive", "kv",
        "kve")),
    ("comb", (COLUMN, HALF), {"repetition": True}),
    ("zeta", (HALF[1:] + 0.5, 0.5), {}),
    *((name, (COLUMN, UNIT), {}) for name in ("gammaincinv", "gammainccinv", "stdtrit")),
    ("stdtr", (COLUMN, LINE), {}),
    *((name, (HALF[:, None, None], COLUMN, UNIT), {}) for name in ("betainc", "betaincc", "betaincinv")),
    *(("polygamma", (n, HALF), {}) for n in (0, 1, 2, 3, 6)),
    *((name, (n, HALF), {}) for name in ("yn", "kn", "expn", "spherical_jn") for n in (0, 3)),
    ("multigammaln", (HALF + 2, 3), {}),
    ("hyp1f1", (1.0, 2.5, LINE), {}),
    ("hyp2f1", (1.0, 2.0, 2.5, UNIT), {}),
    *((name, (n, UNIT), {}) for name in ("eval_legendre", "eval_chebyt", "eval_hermite") for n in (0, 1, 6)),
    ("logsumexp", (SIGNS,), {}),
    ("logsumexp", (LINE.reshape(2, 5),), {"axis": 1, "b": numpy.abs(SIGNS), "keepdims": True}),
    ("logsumexp", (UNIT,), {"b": SIGNS, "return_sign": True}),
    ("logsumexp", (UNIT,), {"b": -SIGNS}),
    ("softmax", (LINE.reshape(2, 5),), {}),
    ("softmax", (LINE.reshape(2, 5),), {"axis": 1}),
    ("log_softmax", (LINE.reshape(2, 5),), {"axis": 0}),
    ("sinc", (LINE,), {}),
]  # fmt: skip


def several(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize(("name", "arguments", "keywords"), CALLS, ids=[f"{c[0]}-{n}" for n, c in enumerate(CALLS)])
def test_values_are_those_of_scipy(name, arguments, keywords):
    with numpy.errstate(all="ignore"):
        theirs = getattr(numpy if name == "sinc" else scipy.special, name)(*arguments, **keywords)
    for found, expected in zip(several(getattr(special, name)(*arguments, **keywords)), several(theirs), strict=True):
        expected = numpy.real(expected)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        numpy.testing.assert_allclose(found.numpy(), expected, rtol=2e-12, atol=1e-14)


def test_every_public_function_is_compared():
    assert {name for name, _, _ in CALLS} == set(special.__all__)


def test_both_tiers_agree():
    """All functions of one float array in one program each."""
    names = sorted({name for name, arguments, _ in CALLS if len(arguments) == 1 and arguments[0] is HALF})
    names += ["gamma", "betaln", "ndtri", "i0e", "i1", "log_ndtr", "erfcx", "erfinv"]
    one = lambda x: tuple(getattr(special, n)(*[x / 14] * (2 if n == "betaln" else 1)) for n in names)  # noqa: E731
    x = ng.asarray(HALF)
    results = []
    for tier in (0, 2):
        ng.config.jit = tier
        results.append([y.numpy() for y in ng.jit(one)(x)])
    for name, a, b in zip(names, *results, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_narrow_dtypes_stay(dtype):
    x = numpy.array([0.25, 0.5], dtype)
    for y in (special.gammainc(x, 0.5), special.jv(1, x), special.betaln(x, 1), special.xlogy(x, 2),
              special.zeta(x + 2), special.hyp1f1(1.0, 2.0, x), special.logsumexp(x, b=x)):  # fmt: skip
        assert y.dtype == dtype
    expected = scipy.special.gammainc(x.astype(float), 0.5)
    numpy.testing.assert_allclose(special.gammainc(x, 0.5).numpy(), expected, rtol=2 * numpy.finfo(dtype).eps)


def test_shapes_and_strides():
    assert special.gammainc(numpy.zeros((0, 3)), 1.0).shape == (0, 3)
    assert special.jv(2, 1.5).shape == ()
    x = numpy.arange(1.0, 9.0)
    y = ng.asarray(x)[::3]
    numpy.testing.assert_array_equal(special.kv(1, y).numpy(), scipy.special.kv(1, x[::3]))
    assert special.gammainc(numpy.array([1, 2]), 2).dtype == "float64"
    with pytest.raises(ng.ShapeError, match=r"gammainc: shapes \(2,\) and \(3,\) do not broadcast"):
        special.gammainc(numpy.ones(2), numpy.ones(3))


def first_difference(f, x, order=1):
    """mpmath's derivative of a function, by differences with ninety digits."""
    with mpmath.workdps(90):
        return mpmath.diff(f, x, order, h=mpmath.mpf(10) ** -15)


@pytest.mark.parametrize("a", [1e-3, 0.4, 3.0, 30.0, 1000.0])
@pytest.mark.parametrize("ratio", [0.3, 0.95, 1.0, 1.2, 3.0])
def test_derivative_of_gammainc_by_a(a, ratio):
    """To 1e-9, in both tails; of the complement it is the opposite."""
    x = a * ratio
    expected = first_difference(lambda s: mpmath.gammainc(s, 0, mpmath.mpf(x), regularized=True), mpmath.mpf(a))
    found = ng.grad(special.gammainc)(ng.asarray(a), ng.asarray(x))
    opposite = ng.grad(special.gammaincc)(ng.asarray(a), ng.asarray(x))
    assert abs(found.numpy() - expected) <= 1e-9 * abs(expected) + 1e-300
    assert opposite.numpy() == -found.numpy()


@pytest.mark.parametrize("a", [1e-3, 0.5, 30.0])
@pytest.mark.parametrize("b", [1e-3, 3.0, 100.0])
@pytest.mark.parametrize("x", [1e-6, 0.01, 0.4, 0.9])
def test_derivatives_of_betainc_by_a_and_b(a, b, x):
    """To 1e-9, in both tails."""
    found = ng.grad(special.betainc, (0, 1))(*(ng.asarray(v) for v in (a, b, x)))
    a, b, x = (mpmath.mpf(v) for v in (a, b, x))
    beta = lambda a, b: mpmath.betainc(a, b, 0, x, regularized=True)  # noqa: E731
    expected = first_difference(lambda s: beta(s, b), a), first_difference(lambda s: beta(a, s), b)
    for g, e in zip(found, expected, strict=True):
        assert abs(g.numpy() - e) <= 1e-9 * abs(e) + mpmath.mpf(10) ** -70


@pytest.mark.parametrize(("function", "at", "order"), [
    (lambda a: special.gammainc(a, 2.0), 2.5, 2),
    (lambda a: special.gammainc(a, 2.0), 2.5, 3),
    (lambda s: special.zeta(s), 1.5, 2),
    (lambda s: special.zeta(s), -3.3, 1),
    (lambda s: special.zeta(s, 0.7), 3.5, 3),
    (lambda x: special.exprel(x), 1e-9, 2),
    (lambda power: special.boxcox(3.0, power), 0.0, 2),
    (lambda power: special.inv_boxcox(0.7, power), 0.0, 2),
])  # fmt: skip
def test_higher_derivatives(function, at, order):
    twins = {
        2.5: lambda a: mpmath.gammainc(a, 0, 2, regularized=True), 1.5: mpmath.zeta, -3.3: mpmath.zeta,
        3.5: lambda s: mpmath.zeta(s, mpmath.mpf(0.7)),
        1e-9: lambda x: mpmath.expm1(x) / x if x else mpmath.mpf(1),
    }  # fmt: skip
    twin = twins.get(at)
    if twin is None:  # at 0, by their Taylor series: log(3)**3 / 3, and of exp(y - l y**2 / 2 + l**2 y**3 / 3)
        y = mpmath.mpf(0.7)
        boxcox = function(ng.asarray(0.0)).numpy() == numpy.log(3.0)
        expected = mpmath.log(3) ** 3 / 3 if boxcox else mpmath.exp(y) * (y**4 / 4 + 2 * y**3 / 3)
    else:
        expected = first_difference(twin, mpmath.mpf(at), order)
    for _ in range(order):
        function = ng.grad(function)
    assert abs(function(ng.asarray(at)).numpy() - expected) <= 1e-10 * abs(expected)


GRADIENTS = [
    ("xlogy", [HALF, HALF + 1]), ("xlog1py", [HALF, HALF]), ("entr", [HALF]), ("rel_entr", [HALF, HALF + 1]),
    ("kl_div", [HALF, HALF + 1]), ("boxcox", [HALF, UNIT]), ("inv_boxcox", [UNIT, HALF]), ("rgamma", [HALF]),
    ("beta", [HALF, HALF + 1]), ("logsumexp", [SIGNS]), ("softmax", [SIGNS]), ("log_softmax", [SIGNS]),
    ("factorial", [HALF[:3]]), ("loggamma", [HALF]), ("comb", [HALF + 3, HALF]), ("log_expit", [SIGNS]),
    ("zeta", [HALF + 1.5, HALF]), ("stdtr", [HALF, SIGNS + 0.3]), ("betaincinv", [HALF[:3], HALF[:3], UNIT[1:4]]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values"), GRADIENTS, ids=lambda v: v if isinstance(v, str) else "")
def test_gradients_are_differences(name, values):
    """First order against differences of SciPy, second order against differences of the first."""
    function, theirs = getattr(special, name), getattr(scipy.special, name)
    random, step = numpy.random.default_rng(1), 1e-5
    weight, directions = random.normal(size=theirs(*values).shape), [random.normal(size=v.shape) for v in values]

    def first(*xs):
        (loss,) = [nx.sum(function(*xs) * weight)._node]
        return [Array(g) for g in sweep([loss], [ng.asarray(1.0)._node], [x._node for x in xs])]

    xs = [ng.asarray(v) for v in values]
    found = first(*xs)
    second = [Array(g) for g in sweep(
        [sum(nx.sum(g * d) for g, d in zip(found, directions, strict=True))._node], [ng.asarray(1.0)._node],
        [x._node for x in xs])]  # fmt: skip
    moved = [[v + s * step * d for v, d in zip(values, directions, strict=True)] for s in (1, -1)]
    up, down = (numpy.sum(theirs(*m) * weight) for m in moved)
    slope = sum(float((g.numpy() * d).sum()) for g, d in zip(found, directions, strict=True))
    numpy.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-6, atol=1e-7)
    ups, downs = (first(*map(ng.asarray, m)) for m in moved)
    for g, a, b in zip(second, ups, downs, strict=True):
        expected = (a.numpy() - b.numpy()) / (2 * step)
        numpy.testing.assert_allclose(g.numpy(), expected, rtol=1e-5, atol=1e-6 * max(1, abs(expected).max()))


def test_conventions_at_zero():
    zero = ng.asarray(0.0)
    assert ng.grad(special.xlogy, (0, 1))(zero, ng.asarray(2.0))[0].numpy() == math.log(2)
    assert [g.numpy() for g in ng.grad(special.xlogy, (0, 1))(zero, zero)] == [0, 0]
    assert ng.grad(special.i0e)(zero).numpy() == 0
    assert ng.grad(special.gammainc)(ng.asarray(2.0), zero).numpy() == 0
    assert numpy.isnan(special.xlogy(0.0, math.nan).numpy())


@pytest.mark.parametrize(("call", "name", "text"), [
    (lambda: ng.grad(special.jv)(ng.asarray(1.5), ng.asarray(2.0)), "MissingRuleError",
     r"grad of jv: no derivative by v is implemented.*ng\.stop_gradient\(v\)"),
    (lambda: ng.grad(special.hyp2f1, 1)(1.0, ng.asarray(1.5), 2.0, ng.asarray(0.2)), "MissingRuleError",
     r"grad of hyp2f1: no derivative by b"),
    (lambda: special.polygamma(-1, 2.0), "ArgumentError", "polygamma: n is -1, expected an order of at least 0"),
    (lambda: special.polygamma(1.5, 2.0), "ArgumentError", "polygamma: n must be an integer"),
    (lambda: special.lambertw(1.0, 2), "ArgumentError", "lambertw: k is 2, expected 0 or -1"),
    (lambda: special.eval_legendre(-2, 1.0), "ArgumentError", "eval_legendre: n is -2, expected a degree"),
    (lambda: special.comb(5, 2, exact=True), "ArgumentError", r"comb: exact=True .* take math\.comb"),
    (lambda: special.gammainc(1j, 2.0), "DtypeError", "gammainc: got complex128, expected real numbers"),
    (lambda: special.gamma(1j), "DtypeError", "gamma: got complex128, expected real numbers"),
])  # fmt: skip
def test_errors_say_what_was_wrong(call, name, text):
    with pytest.raises(getattr(ng.errors, name), match=text):
        call()


def test_by_an_order_that_is_cut_off():
    """The gradient by x flows where v is an array that needs none."""
    slope = ng.grad(lambda v, x: special.jv(ng.stop_gradient(v), x), 1)(ng.asarray(1.5), ng.asarray(2.0))
    numpy.testing.assert_allclose(slope.numpy(), scipy.special.jvp(1.5, 2.0), rtol=1e-13)
    slope = ng.grad(lambda x: special.jv(ng.asarray(1.5), x))(ng.asarray(2.0))
    numpy.testing.assert_allclose(slope.numpy(), scipy.special.jvp(1.5, 2.0), rtol=1e-13)


def test_submodules_are_imported_on_first_use():
    code = (
        "import sys, nbgrad.scipy; assert 'nbgrad.scipy.special' not in sys.modules; nbgrad.scipy.special.gamma; "
        "nbgrad.scipy.stats.norm; assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import nbgrad.scipy

    assert "special" in dir(nbgrad.scipy)
    with pytest.raises(AttributeError, match=r"'nbgrad\.scipy' has no attribute 'nothing'"):
        nbgrad.scipy.nothing  # noqa: B018
