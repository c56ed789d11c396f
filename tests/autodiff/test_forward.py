"""jvp, vjp and Jacobians."""

import numpy as np
import pytest

import nbgrad as ng
from nbgrad.kernels.exponential import exp
from nbgrad.kernels.trigonometric import sin


@pytest.fixture
def x():
    return ng.asarray([1.0, 2.0])


@pytest.fixture
def y():
    return ng.asarray([3.0, 4.0])


def value(tree):
    if isinstance(tree, ng.Array):
        return tree.numpy().tolist()
    if isinstance(tree, (tuple, list)):
        return type(tree)(value(t) for t in tree)
    return tree


def test_jvp_of_several_inputs_and_outputs(x, y):
    u, v = ng.asarray([1.0, 10.0]), ng.asarray([1.0, 1.0])
    found = ng.jvp(lambda x, y: (x * y, x + y, x > y), (x, y), (u, v))
    assert value(found) == (([3.0, 8.0], [4.0, 6.0], [False, False]), ([4.0, 42.0], [2.0, 11.0], [False, False]))


def test_jvp_is_the_same_for_another_tangent_of_known_structure(x):
    for scale in (1.0, 3.0):
        assert value(ng.jvp(lambda x: x * x, x, ng.asarray([1.0, 1.0]) * scale)[1]) == [2.0 * scale, 4.0 * scale]


def test_jvp_does_not_depend_on_unconnected_inputs(x, y):
    assert value(ng.jvp(lambda x, y: x * x, (x, y), (x, y))[1]) == [2.0, 8.0]
    assert value(ng.jvp(lambda x: y, x, x)[1]) == [0.0, 0.0]


def test_jvp_arguments(x, y):
    with pytest.raises(ValueError, match="1 tangents for 2 inputs"):
        ng.jvp(lambda x, y: x, (x, y), x)
    with pytest.raises(ValueError, match=r"v\[0\] has shape \(1,\)"):
        ng.jvp(lambda x: x, x, ng.asarray([1.0]))
    with pytest.raises(TypeError, match="float32"):
        ng.jvp(lambda x: x, x, ng.asarray([1.0, 1.0], dtype="float32"))


def test_jvp_inside_grad(x, y):
    assert value(ng.grad(lambda x: ng.jvp(lambda t: t * t * t, x, y)[1])(x)) == [18.0, 48.0]


def test_vjp_pulls_back_any_number_of_times_in_any_order(x, y):
    value_f, pull_f = ng.vjp(lambda x: x * x, x)
    value_g, pull_g = ng.vjp(lambda x: x * x * x, x)
    assert value((value_f, value_g)) == ([1.0, 4.0], [1.0, 8.0])
    assert value(pull_f(y)) == ([6.0, 16.0],)
    assert value(pull_g(y)) == ([9.0, 48.0],)
    assert value(pull_f(x)) == ([2.0, 8.0],)


def test_vjp_with_weights_and_aux(x, y):
    w = ng.Parameter([2.0, 3.0])
    out, pull, aux = ng.vjp(lambda x: (x * w, "label"), x, weights=[w], has_aux=True)
    assert value((out, aux)) == ([2.0, 6.0], "label")
    assert value(pull(y)) == (([6.0, 12.0],), ([3.0, 8.0],))


def test_vjp_of_weights_only():
    w = ng.Parameter([2.0, 3.0])
    _, pull = ng.vjp(lambda: w * w, weights=w)
    assert value(pull(ng.asarray([1.0, 1.0]))) == ((), [4.0, 6.0])


def test_vjp_arguments(x):
    _, pull = ng.vjp(lambda x: (x, x), x)
    with pytest.raises(ValueError, match="takes 2 seeds, one for each output, got 1"):
        pull(x)
    with pytest.raises(ValueError, match="no inputs"):
        ng.vjp(lambda: x)


def test_vjp_made_inside_a_transform(x, y):
    def f(x):
        _, pull = ng.vjp(lambda t: t * t * x, x)
        return pull(y)[0]

    assert value(ng.grad(f)(x)) == [12.0, 32.0]  # pull gives 2 x x y, x being the closure and the input


@pytest.mark.parametrize("jacobian", [ng.jacrev, ng.jacfwd])
def test_jacobians(jacobian, x, y):
    m = ng.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    def f(m, x):
        return (m * x).sum(axis=1)

    by_m, by_x = jacobian(f, (0, 1))(m, x)
    assert by_m.shape == (3, 3, 2)
    np.testing.assert_allclose(by_x, m)
    np.testing.assert_allclose(by_m, np.eye(3)[:, :, None] * x.numpy())


@pytest.mark.parametrize("jacobian", [ng.jacrev, ng.jacfwd])
def test_jacobians_of_several_outputs_with_aux(jacobian, x, y):
    (first, second), aux = jacobian(lambda x: ((sin(x), x.sum()), y), has_aux=True)(x)
    np.testing.assert_allclose(first, np.diag(np.cos([1.0, 2.0])), rtol=1e-14)
    assert value(second) == [1.0, 1.0]
    assert value(aux) == [3.0, 4.0]


def test_hessians(x):
    def f(x):
        return (exp(x) * x[0]).sum()

    expected = ng.jacrev(ng.grad(f))(x).numpy()
    e = np.exp([1.0, 2.0])
    np.testing.assert_allclose(expected, [[2 * e[0] + e[0], e[1]], [e[1], e[1]]], rtol=1e-14)
    for outer in (ng.jacrev, ng.jacfwd):
        for inner in (ng.jacrev, ng.jacfwd):
            np.testing.assert_allclose(outer(inner(f))(x), expected, rtol=1e-14)


def test_jacobian_of_integers(x):
    with pytest.raises(TypeError, match="output 0 has dtype bool"):
        ng.jacrev(lambda x: x > 0)(x)


def test_empty(x):
    assert ng.jacrev(lambda x: x[:0])(x).shape == (0, 2)
    assert ng.jacfwd(lambda x: x)(x[:0]).shape == (0, 0)
