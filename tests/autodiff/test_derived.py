"""linearize, jacobian, hessian, hvp: against each other, formulas and differences."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

RNG = numpy.random.default_rng(0)
A, X = RNG.normal(size=(5, 3)), RNG.normal(size=3)


def f(x):
    return np.tanh(ng.asarray(A) @ x)


def slope(x):
    return (1 - numpy.tanh(A @ x) ** 2)[:, None] * A


def test_linearize_runs_the_function_once():
    runs = []

    def counted(x, y):
        runs.append(1)
        return {"t": f(x) * y, "s": np.sum(x)}

    y = RNG.normal(size=5)
    value, push = ng.linearize(counted, X, y)
    numpy.testing.assert_allclose(value["t"], numpy.tanh(A @ X) * y)
    for seed in range(3):
        u, v = numpy.random.default_rng(seed).normal(size=3), numpy.random.default_rng(seed).normal(size=5)
        found = push(u, v)
        numpy.testing.assert_allclose(found["t"], slope(X) @ u * y + numpy.tanh(A @ X) * v, rtol=1e-12)
        numpy.testing.assert_allclose(found["s"], u.sum(), rtol=1e-12)
    assert len(runs) == 1
    value, push, aux = ng.linearize(lambda x: (f(x), x[0]), X, has_aux=True)
    assert float(aux) == X[0]
    numpy.testing.assert_allclose(push(X), slope(X) @ X, rtol=1e-12)
    jitted = ng.jit(lambda x, u: ng.linearize(f, x)[1](u))
    numpy.testing.assert_allclose(jitted(X, X), slope(X) @ X, rtol=1e-12)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("jit", [False, True])
def test_jacobian(mode, jit):
    wrap = ng.jit if jit else lambda f: f
    numpy.testing.assert_allclose(wrap(ng.jacobian(f, mode=mode))(X), slope(X), rtol=1e-12)
    nest = wrap(ng.jacobian(lambda p, x: {"y": f(x) * p["w"], "s": np.sum(x)}, (0, 1), mode=mode))({"w": A[:, 0]}, X)
    numpy.testing.assert_allclose(nest["y"][0]["w"], numpy.diag(numpy.tanh(A @ X)), rtol=1e-12)
    numpy.testing.assert_allclose(nest["y"][1], slope(X) * A[:, :1], rtol=1e-12)
    numpy.testing.assert_allclose(nest["s"][1], numpy.ones(3))
    assert not nest["s"][0]["w"].numpy().any()


def passes(f, x):
    """How many rows or columns a Jacobian takes: the extent of the seeds."""
    seen = []
    original = numpy.eye
    try:
        numpy.eye = lambda n, *a, **k: seen.append(n) or original(n, *a, **k)
        ng.jacobian(f)(x)
    finally:
        numpy.eye = original
    return seen


def test_which_are_fewer():
    assert passes(f, X) == [3]
    assert passes(lambda x: np.sum(x) * np.ones(2), X) == [2]
    assert passes(lambda x: x * 2, X) == [3]


def test_many_rows_go_through_in_parts():
    x = RNG.normal(size=600)
    found = ng.jacrev(lambda x: x**2 + np.sum(x))(x).numpy()
    numpy.testing.assert_allclose(found, numpy.diag(2 * x) + 1)
    assert ng.jacfwd(lambda x: x[:0] * 2)(x).shape == (0, 600)
    assert ng.jacrev(lambda x: x[:0] * 2)(x).shape == (0, 600)
    assert ng.jacfwd(lambda x: np.sum(x))(x[:0]).shape == (0,)


def energy(x, y):
    return np.sum(np.sin(x) * np.sum(y**2)) + np.prod(x)


def by_differences(g, x, step=1e-6):
    return numpy.stack([(g(x + e) - g(x - e)) / (2 * step) for e in step * numpy.eye(x.size)], axis=-1)


@pytest.mark.parametrize("jit", [False, True])
def test_hessian(jit):
    wrap = ng.jit if jit else lambda f: f
    y = RNG.normal(size=2)
    (xx, xy), (yx, yy) = wrap(ng.hessian(energy, (0, 1)))(X, y)
    gx, gy = (lambda a, b: ng.grad(energy, 0)(a, b).numpy()), (lambda a, b: ng.grad(energy, 1)(a, b).numpy())
    numpy.testing.assert_allclose(xx, by_differences(lambda x: gx(x, y), X), atol=1e-8)
    numpy.testing.assert_allclose(xy, by_differences(lambda y: gx(X, y), y), atol=1e-8)
    numpy.testing.assert_allclose(yx, xy.numpy().T, rtol=1e-12)
    numpy.testing.assert_allclose(yy, by_differences(lambda y: gy(X, y), y), atol=1e-8)
    nest = wrap(ng.hessian(lambda p: energy(p["x"], p["y"])))({"x": X, "y": y})
    numpy.testing.assert_allclose(nest["x"]["y"], xy, rtol=1e-12)
    found, aux = ng.hessian(lambda x: (energy(x, y), x[0]), has_aux=True)(X)
    numpy.testing.assert_allclose(found, xx, rtol=1e-12)
    assert float(aux) == X[0]


def test_products_with_the_hessian():
    y, v, w = RNG.normal(size=2), RNG.normal(size=3), RNG.normal(size=2)
    (xx, xy), (yx, yy) = (tuple(b.numpy() for b in row) for row in ng.hessian(energy, (0, 1))(X, y))
    px, py = ng.hvp(energy, (X, y), (v, w))
    numpy.testing.assert_allclose(px, xx @ v + xy @ w, rtol=1e-12)
    numpy.testing.assert_allclose(py, yx @ v + yy @ w, rtol=1e-12)
    numpy.testing.assert_allclose(ng.hvp(lambda x: energy(x, y), X, v), xx @ v, rtol=1e-12)
    (alone,) = ng.hvp(lambda x: energy(x, y), (X,), (v,))
    numpy.testing.assert_allclose(alone, xx @ v, rtol=1e-12)
    numpy.testing.assert_allclose(ng.jit(lambda x, v: ng.hvp(lambda x: energy(x, y), x, v))(X, v), xx @ v, rtol=1e-12)
    nest = ng.hvp(lambda p: energy(p["x"], p["y"]), {"x": X, "y": y}, {"x": v, "y": w})
    numpy.testing.assert_allclose(nest["y"], yx @ v + yy @ w, rtol=1e-12)
    many = ng.vmap(lambda v: ng.hvp(lambda x: energy(x, y), X, v))(numpy.eye(3))
    numpy.testing.assert_allclose(many, xx, rtol=1e-12)


def test_mistakes():
    with pytest.raises(
        errors.ArgumentError, match="jacobian: mode must be 'auto', 'forward' or 'reverse', got str 'b'"
    ):
        ng.jacobian(f, mode="b")
    with pytest.raises(errors.GradientError, match="the push-forward takes 1 tangents, one for each input, got 2"):
        ng.linearize(f, X)[1](X, X)
    with pytest.raises(errors.ShapeError, match=r"linearize: tangent\[0\] has shape \(2,\)"):
        ng.linearize(f, X)[1](X[:2])
