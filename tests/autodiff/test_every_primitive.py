"""Every transform on every primitive that has a derivative: each against a composition of others."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from tests.batching.test_rules import cases
from tests.primitives.table import ROWS

DIFFERENTIABLE = [row for row in ROWS if row.gradient is not None]


def settings(row):
    """(function, points, directions) of the floating-point arguments, for the first cases of a row."""
    for k, (examples, attrs) in enumerate(cases(row)):
        if k == 2:
            return
        arguments = examples[0]
        floats = [i for i, a in enumerate(arguments) if a.dtype.kind == "f" and a.size]
        if not floats:
            continue

        def function(*xs, arguments=arguments, floats=floats, attrs=attrs):
            whole = [ng.asarray(a) for a in arguments]
            for i, x in zip(floats, xs, strict=True):
                whole[i] = x
            return row.primitive(*whole, **attrs)

        points = tuple(arguments[i] for i in floats)
        rng = numpy.random.default_rng(k)
        yield function, points, tuple(rng.normal(size=p.shape) for p in points), rng


def inner(a, b):
    return float(sum(numpy.sum(numpy.asarray(x) * numpy.asarray(y)) for x, y in zip(a, b, strict=True)))


def close(a, b, scale=1.0, rtol=1e-9):
    a, b = numpy.asarray(a), numpy.asarray(b)
    assert a.shape == b.shape
    size = max(scale, numpy.abs(b[numpy.isfinite(b)]).max(initial=0))
    numpy.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * size)


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.name)
def test_transforms_agree(row):
    ng.config.jit = 0
    for f, points, directions, rng in settings(row):
        value, tangent = ng.jvp(f, points, directions)
        seed = rng.normal(size=value.shape).astype(value.dtype)
        if value.dtype != "float64":
            continue  # a cast, of which other tests look at the rounding
        pulled = ng.vjp(f, *points)[1](seed)
        # the pushforward is the adjoint of the pullback
        left, right = inner([tangent], [seed]), inner(directions, pulled)
        assert left == pytest.approx(right, rel=1e-9, abs=1e-9), row.name
        close(ng.linearize(f, *points)[1](*directions), tangent)
        for mode in ("forward", "reverse"):
            blocks = ng.jacobian(f, tuple(range(len(points))), mode=mode)(*points)
            blocks = blocks if isinstance(blocks, tuple) else (blocks,)
            along = [numpy.tensordot(b.numpy(), d, d.ndim) for b, d in zip(blocks, directions, strict=True)]
            close(sum(along), tangent)
        many = ng.vmap(lambda *vs, f=f, points=points: ng.jvp(f, points, vs)[1])(
            *(numpy.stack([d, -d]) for d in directions)
        )
        close(many.numpy()[0], tangent)
        close(many.numpy()[1], -tangent.numpy())
        again = ng.grad(lambda *xs, f=f, seed=seed: np.sum(ng.checkpoint(f)(*xs) * seed), tuple(range(len(points))))(
            *points
        )
        for a, b in zip(again if isinstance(again, tuple) else (again,), pulled, strict=True):
            numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("row", [row for row in DIFFERENTIABLE if row.orders > 1], ids=lambda row: row.name)
def test_products_with_the_hessian(row):
    """Forward over reverse, against reverse over reverse; and mapped over directions."""
    ng.config.jit = 0
    for f, points, directions, rng in settings(row):
        seed = rng.normal(size=f(*map(ng.asarray, points)).shape)
        number = lambda *xs, f=f, seed=seed: np.sum(f(*xs) * seed) + 0.1 * np.sum(f(*xs) ** 2)  # noqa: E731
        positions = tuple(range(len(points)))

        def slope(*xs, number=number, positions=positions, directions=directions):
            found = ng.grad(number, positions)(*xs)
            found = found if isinstance(found, tuple) else (found,)
            return sum(np.sum(g * d) for g, d in zip(found, directions, strict=True))

        expected = ng.grad(slope, positions)(*points)
        found = ng.hvp(number, points, directions)
        mapped = ng.vmap(lambda *vs, number=number, points=points: ng.hvp(number, points, vs))(
            *(d[None] for d in directions)
        )
        for a, b, c in zip(found, expected if isinstance(expected, tuple) else (expected,), mapped, strict=True):
            close(a, b, 1.0, 1e-8)
            close(c.numpy()[0], b, 1.0, 1e-8)
