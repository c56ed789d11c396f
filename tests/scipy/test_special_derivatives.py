"""Special functions: derivatives of both orders against differences, and all that needs care: edges, limits."""

import math

import mpmath
import numpy
import pytest
import scipy.special

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.scipy import special

INF, NAN = math.inf, math.nan
LINE = (-2.3, -0.7, 0.4, 1.9, 3.6)
HALF = (0.12, 0.6, 1.9, 3.6, 7.5)
UNIT = (0.04, 0.3, 0.55, 0.8, 0.97)
ABOVE_1 = (1.2, 1.7, 2.5, 4.0, 7.5)
OTHER = (0.7, 2.2, 0.3, 5.1, 1.4)

#: Name -> (arguments that come before the differentiable ones, points of those, points at edges).
FUNCTIONS = {
    "gamma": ((), [LINE], (0.0, -0.0, 1.0, 5.0, 171.0, 172.0, INF, NAN)),
    "gammaln": ((), [LINE], (0.0, -1.0, 1.0, 2.0, 1e300, INF, NAN)),
    "loggamma": ((), [HALF], (0.0, -0.5, 1.0, INF, NAN)),
    "rgamma": ((), [LINE], (0.0, -1.0, -7.0, 1.0, 160.0, INF, NAN)),
    "digamma": ((), [LINE], (1.0, -1.0, INF, NAN)),
    "psi": ((), [HALF], (1.0, -1.0)),
    "poch": ((), [HALF, OTHER], ()),
    "binom": ((), [ABOVE_1, (0.3, 0.7, 1.2, 2.9, 3.1)], ()),
    "beta": ((), [HALF, OTHER], ()),
    "betaln": ((), [HALF, OTHER], ()),
    "gammainc": ((), [HALF, OTHER], ()),
    "gammaincc": ((), [HALF, OTHER], ()),
    "gammaincinv": ((), [HALF[1:], UNIT[1:]], ()),
    "gammainccinv": ((), [HALF[1:], UNIT[:-1]], ()),
    "betainc": ((), [HALF, OTHER, UNIT], ()),
    "betaincc": ((), [HALF, OTHER, UNIT], ()),
    "betaincinv": ((), [HALF[1:], OTHER[1:], UNIT[1:]], ()),
    "stdtr": ((), [HALF, LINE], ()),
    "stdtrit": ((), [HALF[1:], UNIT[1:]], ()),
    "zeta": ((), [ABOVE_1, OTHER], ()),
    "erf": ((), [LINE], (0.0, INF, NAN)),
    "erfc": ((), [LINE], (0.0, 27.0, INF, NAN)),
    "erfcx": ((), [LINE], (0.0, -30.0, 50.0, 1e200, INF, NAN)),
    "erfinv": ((), [(-0.97, -0.3, 0.2, 0.9)], (0.0, 1.0, -1.0, 1.5, NAN)),
    "erfcinv": ((), [(0.03, 0.3, 1.4, 1.9)], (0.0, 2.0, 1.0, -0.5, NAN)),
    "ndtr": ((), [LINE], (0.0, -37.0, 40.0, INF, -INF, NAN)),
    "log_ndtr": ((), [(-9.0, *LINE)], (0.0, -1e10, 40.0, INF, -INF, NAN)),
    "ndtri": ((), [UNIT], (0.0, 0.5, 1.0, 1e-300, -0.1, NAN)),
    "dawsn": ((), [LINE], (0.0, 1e10, INF, NAN)),
    "expit": ((), [LINE], (0.0, -800.0, INF, -INF, NAN)),
    "logit": ((), [UNIT], (0.0, 1.0, 0.5, NAN)),
    "log_expit": ((), [LINE], (0.0, -800.0, INF, -INF, NAN)),
    "xlogy": ((), [LINE, HALF], ()),
    "xlog1py": ((), [LINE, HALF], ()),
    "entr": ((), [HALF], (0.0, -1.0, INF, NAN)),
    "rel_entr": ((), [HALF, OTHER], ()),
    "kl_div": ((), [HALF, OTHER], ()),
    "exprel": ((), [LINE], (0.0, 1e-20, -800.0, 800.0, INF, -INF, NAN)),
    "boxcox": ((), [HALF, LINE], ()),
    "boxcox1p": ((), [HALF, LINE], ()),
    "inv_boxcox": ((), [HALF, OTHER], ()),
    "inv_boxcox1p": ((), [HALF, OTHER], ()),
    "i0": ((), [LINE], (0.0, 8.0, -20.0, 700.0, 720.0, NAN)),
    "i1": ((), [LINE], (0.0, 8.0, -20.0, 700.0, 720.0, NAN)),
    "i0e": ((), [LINE], (0.0, 8.0, -20.0, 1e10, INF, NAN)),
    "i1e": ((), [LINE], (0.0, 8.0, -20.0, 1e10, INF, NAN)),
    "j0": ((), [LINE], (0.0, INF, NAN)),
    "j1": ((), [LINE], (0.0, INF, NAN)),
    "y0": ((), [HALF], (0.0, -1.0, INF, NAN)),
    "y1": ((), [HALF], (0.0, -1.0, INF, NAN)),
    "k0": ((), [HALF], (0.0, -1.0, 800.0, NAN)),
    "k1": ((), [HALF], (0.0, -1.0, 800.0, NAN)),
    "k0e": ((), [HALF], (0.0, -1.0, 800.0, NAN)),
    "k1e": ((), [HALF], (0.0, -1.0, 800.0, NAN)),
    "jn": ((3,), [LINE], (0.0, NAN)),
    "yn": ((2,), [HALF], (0.0, NAN)),
    "kn": ((2,), [HALF], (0.0, NAN)),
    "jv": ((1.5,), [HALF], (0.0, NAN)),
    "yv": ((0.5,), [HALF], (NAN,)),
    "iv": ((-0.5,), [HALF], (NAN,)),
    "ive": ((2.25,), [HALF], (0.0, 1e4, NAN)),
    "kv": ((2.25,), [HALF], (0.0, 1e4, NAN)),
    "kve": ((1,), [HALF], (0.0, 1e4, NAN)),
    "spherical_jn": ((2,), [LINE[2:]], (0.0, 20.0)),
    "exp1": ((), [HALF], (0.0, 800.0, INF, NAN)),
    "expi": ((), [LINE], (0.0, -800.0, INF, NAN)),
    "expn": ((2,), [HALF], (0.0, 800.0, NAN)),
    "spence": ((), [HALF], (0.0, 1.0, 2.0, -1.0, NAN)),
    "hyp1f1": ((0.5, 1.5), [LINE], (0.0,)),
    "hyp2f1": ((0.5, 1.0, 2.5), [(-2.0, -0.4, 0.3, 0.8)], (0.0,)),
    "eval_legendre": ((4,), [LINE], (0.0, 1.0, -1.0)),
    "eval_chebyt": ((5,), [LINE], (0.0, 1.0, -1.0)),
    "eval_hermite": ((3,), [LINE], (0.0,)),
    "factorial": ((), [HALF], (0.0, 5.0, -1.0)),
    "sinc": ((), [LINE], (0.0, 1.0)),
    "softmax": ((), [LINE], ()),
    "log_softmax": ((), [LINE], ()),
    "logsumexp": ((), [LINE], ()),
}  # fmt: skip
BY_NAME = {"sinc": numpy.sinc}  # where the name is not one of scipy.special
NAMES = list(FUNCTIONS)


def pair(name):
    """(ours, SciPy's), with the leading arguments put in."""
    leading = FUNCTIONS[name][0]
    ours, theirs = getattr(special, name), BY_NAME.get(name) or getattr(scipy.special, name)
    return (lambda *xs: ours(*leading, *xs)), (lambda *xs: theirs(*leading, *xs))


def points(name, dtype="float64"):
    return [numpy.array(p, dtype) for p in FUNCTIONS[name][1]]


def gradients(function, arguments):
    """Derivatives of the sum by every argument, as Arrays."""
    found = ng.grad(lambda *xs: nx.sum(function(*xs)), tuple(range(len(arguments))))(*map(ng.asarray, arguments))
    return found if isinstance(found, tuple) else (found,)


def close(found, expected, tolerance, what):
    assert found.shape == numpy.shape(expected), what
    assert found.dtype == numpy.asarray(expected).dtype, what
    numpy.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 1e-2, err_msg=what)


@pytest.mark.parametrize("tier", [0, 2])
@pytest.mark.parametrize("part", range(4))
def test_values_are_those_of_scipy(part, tier):
    """A quarter of the functions in one program."""
    ng.config.jit = tier
    names = NAMES[part::4]
    given = [points(name) for name in names]

    def every(*flat):
        flat = iter(flat)
        return tuple(pair(n)[0](*[next(flat) for _ in xs]) for n, xs in zip(names, given, strict=True))

    found = ng.jit(every)(*[ng.asarray(x) for xs in given for x in xs])
    for name, xs, value in zip(names, given, found, strict=True):
        close(value.numpy(), pair(name)[1](*xs), 1e-12, name)


@pytest.mark.parametrize("tier", [0, 2])
@pytest.mark.parametrize("part", range(4))
def test_edges_are_those_of_scipy(part, tier):
    """Poles, ends of the domain, overflow, inf and nan."""
    ng.config.jit = tier
    names = [n for n in NAMES if FUNCTIONS[n][2]][part::4]
    given = [numpy.array(FUNCTIONS[name][2]) for name in names]
    found = ng.jit(lambda *xs: tuple(pair(n)[0](x) for n, x in zip(names, xs, strict=True)))(*map(ng.asarray, given))
    for name, x, value in zip(names, given, found, strict=True):
        with numpy.errstate(all="ignore"):
            expected = pair(name)[1](x)
        numpy.testing.assert_allclose(value.numpy(), expected, rtol=1e-12, atol=1e-300, err_msg=name)


def differences(function, values, k, step=2e-3):
    """The derivative by argument k of a function of arrays, element by element: six points, sixth order."""
    h = step * numpy.maximum(numpy.abs(values[k]), 0.1) * (0.2 if values[k].max() <= 1 else 1.0)
    moved = lambda m: function(*values[:k], values[k] + m * h, *values[k + 1 :])  # noqa: E731
    pairs = [moved(m) - moved(-m) for m in (1, 2, 3)]
    return (45 * pairs[0] - 9 * pairs[1] + pairs[2]) / (60 * h)


ELEMENTWISE = [n for n in NAMES if n not in ("softmax", "log_softmax", "logsumexp")]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_are_differences_of_scipy(name):
    ours, theirs = pair(name)
    xs = points(name)
    for k, g in enumerate(gradients(ours, xs)):
        expected = differences(theirs, xs, k)
        numpy.testing.assert_allclose(g.numpy(), expected, rtol=3e-8, atol=3e-10, err_msg=f"by argument {k}")


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_second_derivatives_are_differences_of_first_ones(name):
    ours, _ = pair(name)
    xs = points(name)
    for j in range(len(xs)):
        by_j = lambda *xs, j=j: gradients(ours, xs)[j]  # noqa: E731
        for k, g in enumerate(gradients(by_j, xs)):
            expected = differences(lambda *xs, by_j=by_j: by_j(*xs).numpy(), xs, k)
            scale = numpy.abs(expected).max()
            numpy.testing.assert_allclose(g.numpy(), expected, rtol=1e-6, atol=1e-8 * scale, err_msg=f"by {j} and {k}")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_narrow_dtypes_stay(dtype):
    """Within a few units of the narrow dtype of what SciPy says in float64."""
    for name in ELEMENTWISE:
        ours, theirs = pair(name)
        xs = points(name, dtype)
        found = ours(*map(ng.asarray, xs)).numpy()
        assert found.dtype == dtype, name
        exact = numpy.asarray(theirs(*(x.astype("float64") for x in xs)))
        steps = 64 * numpy.finfo(dtype).eps
        numpy.testing.assert_allclose(found.astype("float64"), exact, rtol=steps, atol=steps / 8, err_msg=name)
        gradient = ng.grad(lambda *xs, ours=ours: nx.sum(ours(*xs)), 0)(*map(ng.asarray, xs))
        assert gradient.dtype == dtype, name


def test_shapes_broadcast_and_integers_become_float64():
    rows, columns = numpy.array([[0.5], [1.5]]), numpy.array([1, 2, 3])
    for name in ("gammainc", "betaln", "xlogy", "zeta", "jv", "boxcox"):
        first, second = (columns, rows + 1) if name in ("jv",) else (rows + 1, columns)
        found = getattr(special, name)(first, second)
        close(found.numpy(), getattr(scipy.special, name)(first, second), 1e-12, name)
    for name in ("gamma", "erfinv", "exp1", "k0", "entr"):
        found = getattr(special, name)(numpy.array([1, 1]))
        close(found.numpy(), getattr(scipy.special, name)(numpy.array([1, 1])), 1e-12, name)
    assert special.gammainc(numpy.float32([1.0, 2.0]), 0.5).dtype == "float32"  # a number is weak
    assert special.gammainc(0.5, 1.0).shape == ()
    assert special.gammainc(numpy.ones((0, 3)), 1.0).shape == (0, 3)
    strided = numpy.arange(1.0, 13.0).reshape(3, 4)[::2, ::-1]
    close(special.gammaincc(strided, strided.T[:2, :].T[:, :1]).numpy(),
          scipy.special.gammaincc(strided, strided[:, :1]), 1e-13, "strided")  # fmt: skip


# ---------------------------------------------------------------- with other signatures


@pytest.mark.parametrize("n", range(7))
def test_polygamma(n):
    x = numpy.array(HALF)
    close(special.polygamma(n, x).numpy(), scipy.special.polygamma(n, x), 2e-13, "polygamma")
    slopes = ng.grad(lambda x: nx.sum(special.polygamma(n, x)))(ng.asarray(x)).numpy()
    numpy.testing.assert_allclose(slopes, scipy.special.polygamma(n + 1, x), rtol=2e-13)


def test_pairs_of_integrals():
    x = numpy.array(HALF)
    for name in ("sici", "fresnel"):
        for ours, theirs in zip(getattr(special, name)(x), getattr(scipy.special, name)(x), strict=True):
            close(ours.numpy(), theirs, 1e-14, name)
    slopes = [ng.grad(lambda x, f=f, k=k: nx.sum(f(x)[k]))(ng.asarray(x)).numpy()
              for f in (special.sici, special.fresnel) for k in (0, 1)]  # fmt: skip
    angle = numpy.pi / 2 * x * x
    expected = [numpy.sin(x) / x, numpy.cos(x) / x, numpy.sin(angle), numpy.cos(angle)]  # DLMF 6.2.9, 6.2.13, 7.2.7
    numpy.testing.assert_allclose(slopes, expected, rtol=1e-12, atol=1e-13)


def test_derivatives_of_the_sine_integral_at_0():
    """The Taylor series x - x**3 / 18 + x**5 / 600."""
    f, found = (lambda x: special.sici(x)[0]), []
    for _ in range(5):
        f = ng.grad(f)
        found.append(float(f(ng.asarray(0.0)).numpy()))
    numpy.testing.assert_allclose(found, [1, 0, -1 / 3, 0, 1 / 5], atol=1e-15)


@pytest.mark.parametrize(("k", "x"), [(0, [-0.36, -0.1, 0.0, 1.0, 50.0]), (-1, [-0.36, -0.1, -1e-5])])
def test_lambertw(k, x):
    x = numpy.array(x)
    w = scipy.special.lambertw(x, k).real
    numpy.testing.assert_allclose(special.lambertw(x, k).numpy(), w, rtol=1e-14)
    slopes = ng.grad(lambda x: nx.sum(special.lambertw(x, k)))(ng.asarray(x)).numpy()
    numpy.testing.assert_allclose(slopes, 1 / (numpy.exp(w) * (1 + w)), rtol=1e-12)  # DLMF 4.13.5
    assert numpy.isnan(special.lambertw([-1.0, -0.5], k).numpy()).all()


def test_signs_of_the_gamma_function():
    x = numpy.array([-3.5, -2.5, -2.0, -0.5, -0.0, 0.0, 0.5, 7.0, NAN])
    numpy.testing.assert_array_equal(special.gammasgn(x).numpy(), scipy.special.gammasgn(x))
    x, y = numpy.array([-2.5, -0.5, 1.5]), numpy.array([0.7, 0.3, -0.6])
    numpy.testing.assert_allclose(special.beta(x, y).numpy(), scipy.special.beta(x, y), rtol=1e-13)


def test_multigammaln():
    for d in (1, 2, 5):
        a = numpy.array([2.3, 3.1, 9.0])
        expected = numpy.array([scipy.special.multigammaln(v, d) for v in a])
        close(special.multigammaln(a, d).numpy(), expected, 1e-13, "multigammaln")


def test_comb():
    n, k = numpy.array([5.0, 5.0, 3.0, 10.0, -1.0]), numpy.array([2.0, 0.0, 4.0, 10.0, 1.0])
    close(special.comb(n, k).numpy(), scipy.special.comb(n, k), 1e-13, "comb")
    expected = scipy.special.comb(n[:4], k[:4], repetition=True)
    close(special.comb(n[:4], k[:4], repetition=True).numpy(), expected, 1e-13, "comb")


def test_riemann_zeta():
    x = numpy.array([-7.5, -3.0, -1.5, -0.5, 0.0, 0.5, 2.0, 6.5, 60.0])
    close(special.zeta(x).numpy(), scipy.special.zeta(x), 1e-13, "zeta")
    slopes = ng.grad(lambda x: nx.sum(special.zeta(x)))(ng.asarray(x)).numpy()
    expected = [float(mpmath.diff(mpmath.zeta, mpmath.mpf(v))) for v in x]
    numpy.testing.assert_allclose(slopes, expected, rtol=1e-11, atol=1e-16)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp(axis, keepdims):
    random = numpy.random.default_rng(2)
    a, b = random.normal(size=(3, 4)) * 300, random.normal(size=(3, 4))
    b[0, 1] = 0.0
    given = {"axis": axis, "keepdims": keepdims}
    close(special.logsumexp(a, **given).numpy(), scipy.special.logsumexp(a, **given), 1e-13, "plain")
    close(special.logsumexp(a, b=abs(b), **given).numpy(), scipy.special.logsumexp(a, b=abs(b), **given), 1e-13, "b")
    found = special.logsumexp(a, b=b, return_sign=True, **given)
    for ours, theirs in zip(found, scipy.special.logsumexp(a, b=b, return_sign=True, **given), strict=True):
        close(ours.numpy(), theirs, 1e-12, "return_sign")


def test_derivatives_of_logsumexp_with_factors():
    a, b = numpy.array([0.3, -0.2, 1.1]), numpy.array([0.5, 0.0, -0.2])
    by_a, by_b = ng.grad(lambda a, b: special.logsumexp(a, b=b), (0, 1))(ng.asarray(a), ng.asarray(b))
    total = (b * numpy.exp(a)).sum()
    numpy.testing.assert_allclose(by_a.numpy(), b * numpy.exp(a) / total, rtol=1e-13)
    numpy.testing.assert_allclose(by_b.numpy(), numpy.exp(a) / total, rtol=1e-13)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_softmax(axis):
    a = numpy.random.default_rng(2).normal(size=(3, 4)) * 30
    close(special.softmax(a, axis).numpy(), scipy.special.softmax(a, axis), 1e-13, "softmax")
    close(special.log_softmax(a, axis).numpy(), scipy.special.log_softmax(a, axis), 1e-13, "log_softmax")


# ---------------------------------------------------------------- where derivatives need care

#: (name, arguments, derivatives by each): limits, from the series of each function.
LIMITS = [
    ("rgamma", (0.0,), (1.0,)),
    ("rgamma", (-1.0,), (-1.0,)),
    ("rgamma", (-3.0,), (-6.0,)),
    ("entr", (0.0,), (INF,)),
    ("exprel", (0.0,), (0.5,)),
    ("boxcox", (2.0, 0.0), (0.5, math.log(2) ** 2 / 2)),
    ("inv_boxcox", (1.0, 0.0), (math.e, -math.e / 2)),
    ("spence", (1.0,), (-1.0,)),
    ("i1", (0.0,), (0.5,)),
    ("j1", (0.0,), (0.5,)),
    ("i0e", (0.0,), (0.0,)),
    ("lambertw", (0.0,), (1.0,)),
    ("ndtri", (0.5,), (math.sqrt(2 * math.pi),)),
    ("log_ndtr", (-INF,), (INF,)),
    ("log_ndtr", (40.0,), (math.exp(-800) / math.sqrt(2 * math.pi),)),
    ("log_ndtr", (-1e5,), (1e5 + 1e-5,)),
    ("xlogy", (0.0, 2.0), (math.log(2), 0.0)),
    ("xlogy", (0.0, 0.0), (0.0, 0.0)),
    ("xlog1py", (0.0, -1.0), (0.0, 0.0)),
    ("rel_entr", (0.0, 2.0), (0.0, 0.0)),
    ("rel_entr", (-1.0, 2.0), (0.0, 0.0)),
    ("gammainc", (1.0, 0.0), (0.0, 1.0)),
    ("gammainc", (2.0, 0.0), (0.0, 0.0)),
    ("betainc", (1.0, 3.0, 0.0), (0.0, 0.0, 3.0)),
    ("betainc", (2.0, 1.0, 1.0), (0.0, 0.0, 2.0)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "expected"), LIMITS, ids=lambda v: str(v))
def test_derivatives_at_edges(name, arguments, expected):
    found = [g.numpy() for g in gradients(getattr(special, name), arguments)]
    numpy.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


#: Parameters and arguments of the incomplete functions, tails included.
INCOMPLETE = [
    (0.05, 1e-4),
    (0.5, 30.0),
    (3.0, 0.01),
    (3.0, 3.0),
    (3.0, 60.0),
    (80.0, 40.0),
    (80.0, 81.0),
    (80.0, 160.0),
]


@pytest.mark.parametrize(("a", "x"), INCOMPLETE)
def test_derivatives_of_the_incomplete_gamma_function(a, x):
    """Against mpmath's differences with 40 digits, of both tails: relative accuracy in each."""
    with mpmath.workdps(40):
        below = x < a
        exact = lambda s: mpmath.gammainc(s, 0, x) if below else -mpmath.gammainc(s, x)  # noqa: E731
        regular = lambda s: exact(s) / mpmath.gamma(s)  # noqa: E731
        first, second = (float(mpmath.diff(regular, mpmath.mpf(a), n)) for n in (1, 2))
    by_a = ng.grad(special.gammainc)
    numpy.testing.assert_allclose(by_a(ng.asarray(a), x).numpy(), first, rtol=1e-9)
    numpy.testing.assert_allclose(ng.grad(by_a)(ng.asarray(a), x).numpy(), second, rtol=1e-8, atol=abs(first) * 1e-9)
    numpy.testing.assert_allclose(ng.grad(special.gammaincc)(ng.asarray(a), x).numpy(), -first, rtol=1e-9)


@pytest.mark.parametrize(("a", "b", "x"), [
    (0.1, 0.1, 0.5), (2.0, 3.0, 0.4), (0.5, 0.5, 1e-6), (0.5, 0.5, 0.999), (30.0, 2.0, 0.7), (60.0, 70.0, 0.45),
    (60.0, 70.0, 0.6), (2.0, 60.0, 0.2),
])  # fmt: skip
def test_derivatives_of_the_incomplete_beta_function(a, b, x):
    with mpmath.workdps(40):
        low = x < a / (a + b)
        exact = lambda p, q: mpmath.betainc(p, q, 0, x) if low else -mpmath.betainc(p, q, x, 1)  # noqa: E731
        regular = lambda p, q: exact(p, q) / mpmath.beta(p, q)  # noqa: E731
        expected = [float(mpmath.diff(regular, (mpmath.mpf(a), mpmath.mpf(b)), n)) for n in ((1, 0), (0, 1))]
    found = ng.grad(special.betainc, (0, 1))(ng.asarray(a), ng.asarray(b), x)
    numpy.testing.assert_allclose([g.numpy() for g in found], expected, rtol=1e-9)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("name", ["jv", "yv", "iv", "ive", "kv", "kve"])
def test_no_derivative_by_the_order(name):
    text = rf"grad of {name}: no derivative by v is implemented; .* ng\.stop_gradient\(v\)"
    with pytest.raises(ng.MissingRuleError, match=text):
        ng.grad(getattr(special, name))(ng.asarray(1.5), ng.asarray(2.0))
    cut = ng.grad(lambda v, x: getattr(special, name)(ng.stop_gradient(v), x) * v)(ng.asarray(1.5), ng.asarray(2.0))
    numpy.testing.assert_allclose(cut.numpy(), getattr(scipy.special, name)(1.5, 2.0), rtol=1e-13)


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: special.jv(0, 1j), ng.DtypeError, r"jv: got complex128, expected real numbers; take x\.real"),
    (lambda: special.gammainc([1.0, 2.0], [1.0, 2.0, 3.0]), ng.ShapeError,
     r"gammainc: shapes \(2,\) and \(3,\) do not broadcast"),
    (lambda: special.lambertw(1.0, 2), ng.ArgumentError, r"lambertw: k is 2, expected 0 or -1"),
    (lambda: special.polygamma(-1, 1.0), ng.ArgumentError, r"polygamma: n is -1, expected an order of at least 0"),
    (lambda: special.polygamma(0.5, 1.0), ng.ArgumentError, r"polygamma: n must be an integer, not 0\.5"),
    (lambda: special.eval_legendre(-2, 1.0), ng.ArgumentError, r"eval_legendre: n is -2, expected a degree"),
])  # fmt: skip
def test_errors_say_what_was_expected(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_submodules_are_imported_when_asked_for():
    import nbgrad.scipy

    assert nbgrad.scipy.special is special
    assert {"linalg", "special", "stats", "signal", "ndimage", "optimize", "integrate"} <= set(dir(nbgrad.scipy))
    with pytest.raises(AttributeError, match=r"module 'nbgrad\.scipy' has no attribute 'cluster'; it has integrate, "):
        _ = nbgrad.scipy.cluster


@pytest.mark.parametrize("name", ["gammaln", "ndtri", "betainc", "jv", "xlogy", "i0e", "kl_div"])
def test_ufuncs_of_scipy_take_arrays(name):
    """In code that was written for SciPy."""
    leading = (2,) if name == "jv" else ()
    xs = points("j0" if name == "jv" else name)
    ufunc = getattr(scipy.special, name)
    found = gradients(lambda *xs: ufunc(*leading, *xs), xs)
    wanted = gradients(lambda *xs: getattr(special, name)(*leading, *xs), xs)
    for a, b in zip(found, wanted, strict=True):
        numpy.testing.assert_array_equal(a.numpy(), b.numpy())


def test_every_public_function_is_tested():
    others = {"fresnel", "sici", "lambertw", "polygamma", "gammasgn", "multigammaln", "comb"}
    assert set(special.__all__) == set(FUNCTIONS) | others
