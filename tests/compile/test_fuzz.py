"""Random graphs: the plain meaning, the interpreter and the compiled program agree."""

import numpy
import pytest
from graphs import Recipe, evaluate

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad import graph
from nbgrad.compile.jit import jit

SEEDS = range(25)
MANY = range(1000, 1600)


def close(found, expected, what, single):
    """Equal dtype and shape; exact but for floats, whose error is held against the largest element."""
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    assert found.dtype == expected.dtype, what
    assert found.shape == expected.shape, what
    if found.dtype.kind != "f":
        numpy.testing.assert_array_equal(found, expected, err_msg=what)
        return
    finite = expected[numpy.isfinite(expected)]
    scale = numpy.abs(finite).max() if finite.size else 1.0
    precision = 2e-4 if single else 1e-10
    numpy.testing.assert_allclose(found, expected, rtol=precision, atol=precision * max(scale, 1e-3), err_msg=what)


def has_float32(nodes):
    """Whether any value on the way is rounded to float32."""
    return any(n.dtype == numpy.float32 for n in graph.topological(nodes))


def agree(function, arguments, what):
    """Hold the interpreter and the compiled program against the plain meaning of the traced graph."""
    results = function(*[ng.asarray(a) for a in arguments])
    nodes = [r._node for r in results]
    expected, single = evaluate(nodes), has_float32(nodes)
    for tier in (0, 2):
        ng.config.jit = tier
        copies = [a.copy() for a in arguments]
        found = jit(function)(*copies)
        for k, (f, e) in enumerate(zip(found, expected, strict=True)):
            close(f, e, f"{what}, output {k}, config.jit = {tier}", single)
        for copy, a in zip(copies, arguments, strict=True):
            numpy.testing.assert_array_equal(copy, a, err_msg="an input was changed")


def forward(seed, **options):
    recipe = Recipe(seed, **options)
    with numpy.errstate(all="ignore"):
        agree(recipe, recipe.inputs(), f"seed {seed}")


def gradient(seed):
    recipe = Recipe(seed, steps=12)
    arguments = recipe.inputs()
    floats = tuple(k for k, a in enumerate(arguments) if a.dtype.kind == "f")

    def total(*xs):
        return sum(nx.sum(y * 0.1) for y in recipe(*xs) if y.dtype.kind == "f")

    if not any(y.dtype.kind == "f" for y in recipe(*[ng.asarray(a) for a in arguments])):
        return

    def gradients(*xs):
        found = ng.grad(total, floats)(*xs)
        return found if isinstance(found, tuple) else (found,)

    graph.state.tracked += 1  # gradients as graphs, so that their plain meaning can be evaluated
    try:
        nodes = [e._node for e in gradients(*[ng.asarray(a) for a in arguments])]
    finally:
        graph.state.tracked -= 1
    expected, single = evaluate(nodes), has_float32(nodes)
    for tier in (0, 2):
        ng.config.jit = tier
        found = jit(gradients)(*arguments)
        for k, (f, e) in enumerate(zip(found, expected, strict=True)):
            close(f, e, f"seed {seed}, gradient {k}, config.jit = {tier}", single)


@pytest.mark.parametrize("seed", SEEDS)
def test_tiers_agree(seed):
    forward(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_tiers_agree_on_gradients(seed):
    gradient(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", MANY)
def test_tiers_agree_on_many(seed):
    forward(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", MANY)
def test_tiers_agree_on_many_gradients(seed):
    gradient(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(2000, 2200))
def test_tiers_agree_on_large_arrays(seed):
    """Sizes at which launches are split and shared among threads."""
    forward(seed, steps=10, extents=(1, 2, 30, 130, 300, 1025))
