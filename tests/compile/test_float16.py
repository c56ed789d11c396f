"""float16 as a form of memory: loads, stores, casts and constants of compiled programs."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

TIERS = pytest.mark.parametrize("tier", [0, 2])
#: Every float16 but the nans, and what lies between neighbours.
ALL = numpy.arange(1 << 16, dtype="uint16").view("float16")
FINITE = numpy.sort(ALL[numpy.isfinite(ALL)].astype("float64"))
BETWEEN = numpy.concatenate([FINITE, (FINITE[1:] + FINITE[:-1]) / 2])


def run(tier, fn, *args):
    ng.config.jit = tier
    return numpy.asarray(ng.jit(fn)(*args))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_casts_round_once(settings, dtype):
    near = [BETWEEN, numpy.nextafter(BETWEEN, numpy.inf), numpy.nextafter(BETWEEN, -numpy.inf)]
    with numpy.errstate(over="ignore"):
        x = numpy.concatenate([*near, [numpy.inf, -numpy.inf, -0.0, 65519.999, 65520.0, 1e300, 1e-300]]).astype(dtype)
        expected = x.astype("float16")
    found = run(2, lambda x: x.astype("float16"), x)
    numpy.testing.assert_array_equal(found.view("uint16"), expected.view("uint16"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_value_survives(settings, dtype):
    found = run(2, lambda x: x.astype(dtype), ALL)
    numpy.testing.assert_array_equal(found, ALL.astype(dtype))
    numpy.testing.assert_array_equal(run(2, lambda x: x.astype(dtype).astype("float16"), ALL), ALL)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint16", "uint64"])
def test_casts_of_integers(settings, dtype):
    x = numpy.arange(100).astype(dtype) * numpy.array(3).astype(dtype)
    numpy.testing.assert_array_equal(run(2, lambda x: x.astype("float16"), x), x.astype("float16"))
    y = x.astype("float16")
    numpy.testing.assert_array_equal(run(2, lambda y: y.astype(dtype), y), y.astype(dtype))


@TIERS
def test_intermediate_values_are_rounded(settings, tier):
    x = numpy.array([60000.0, 1.0], "float16")
    numpy.testing.assert_array_equal(run(tier, lambda x: (x + x) - x, x), [numpy.inf, 1.0])


@TIERS
def test_means_do_not_overflow(settings, tier):
    x = numpy.full(4000, 100.0, "float16")
    for fn in (np.mean, np.logsumexp, lambda x: np.sum(np.softmax(x)), np.var):
        found = run(tier, fn, x)
        assert found.dtype == "float16"
        assert numpy.isfinite(found)
    assert run(tier, np.mean, x) == 100
    assert run(tier, lambda x: np.mean(x, dtype="float64"), x).dtype == "float64"


@TIERS
def test_structure(settings, tier):
    x = numpy.arange(12.0, dtype="float16").reshape(3, 4)

    def fn(x):
        y = np.concatenate([x.T, np.ones((4, 1), "float16")], axis=1)
        y[1:3] = x[0, 0] - 2
        return np.cumsum(y @ y.T, axis=0)[:, ::-1]

    y = numpy.concatenate([x.T, numpy.ones((4, 1), "float16")], axis=1)
    y[1:3] = x[0, 0] - 2
    found = run(tier, fn, x)
    assert found.dtype == "float16"
    numpy.testing.assert_array_equal(found, numpy.cumsum(y @ y.T, axis=0)[:, ::-1])


def test_numba_compiles_around_float16(settings, monkeypatch):
    from nbgrad.compile import native, translate

    def refuse(*_):
        raise translate.Unsupported("for this test")

    monkeypatch.setattr(translate, "kernel", refuse)
    monkeypatch.setattr(native, "_kernels", {})
    monkeypatch.setattr(native.cache, "read", lambda key: None)
    x = numpy.linspace(-2, 2, 100).astype("float16")
    numpy.testing.assert_array_equal(run(2, lambda x: x * x + 1.5, x), x * x + numpy.float16(1.5))
    whole = numpy.arange(100)
    numpy.testing.assert_array_equal(run(2, lambda x: x.astype("float16") * 0.5, whole), whole.astype("float16") / 2)


def test_eager_gradient():
    x = ng.asarray(numpy.array([0.5, 2.0], "float16"))
    g = ng.grad(lambda x: np.sum(x**3))(x)
    assert g.dtype == numpy.float16
    numpy.testing.assert_array_equal(g.numpy(), [0.75, 12.0])
