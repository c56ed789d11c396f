"""Which operations share a launch: asserted by the names of the launches."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx

X, Y, V = numpy.ones((8, 64)), numpy.ones((8, 64)), numpy.ones(64)


def launches(fn, *args):
    return ng.jit(fn).lower(*args).launches


def test_an_elementwise_chain_is_one_launch():
    assert launches(lambda x: nx.exp(nx.abs(x) * 2 + 1), X) == ["absolute_multiply_add_exp"]


def test_map_and_reduce_is_one_launch():
    assert launches(lambda x: nx.sum(nx.exp(x) * x), X) == ["exp_multiply_sum"]


def test_two_outputs_share_a_launch_and_their_common_part():
    assert launches(lambda x: (nx.exp(x) * 2, nx.exp(x) + 1), X) == ["exp_multiply_add"]


def test_two_reductions_over_the_same_axes_share_a_launch():
    assert launches(lambda x: (nx.sum(x, axis=0), nx.max(x, axis=0)), X) == ["sum_max"]


def test_reductions_over_different_axes_do_not():
    assert launches(lambda x: (nx.sum(x, axis=0), nx.sum(x, axis=1)), X) == ["sum", "sum"]


def test_a_broadcast_row_is_computed_once():
    assert launches(lambda x, v: x * nx.exp(v), X, V) == ["exp", "multiply"]


def test_views_cost_no_launch():
    assert launches(lambda x: nx.transpose(x)[::-1, ::2] * 2, X) == ["multiply"]
    assert launches(lambda x: nx.sum(nx.reshape(x, (4, 128)) + 1.0, axis=1), X) == ["add_sum"]


def test_softmax_reads_each_reduction_once():
    names = launches(nx.softmax, X)
    assert len(names) <= 4
    assert sum("max" in n for n in names) == 1
    assert sum("sum" in n for n in names) == 1


def test_a_fused_gradient_is_one_launch():
    def loss(x, y):
        return nx.sum(nx.tanh(x * y))

    names = launches(ng.grad(loss, (0, 1)), X, Y)
    assert len(names) == 1
    assert "tanh" in names[0]


def test_a_dense_layer_is_two_products_and_their_nests():
    def loss(w, b, x):
        return nx.mean(nx.tanh(x @ w + b) ** 2)

    names = launches(ng.grad(loss, (0, 1)), numpy.ones((64, 32)), numpy.ones(32), X)
    assert names.count("matmul") == 2
    assert len(names) <= 5


def test_what_no_output_needs_is_left_out():
    def wasteful(x):
        nx.exp(x)
        return x + 1.0

    assert launches(wasteful, X) == ["add"]


def test_equal_subexpressions_are_computed_once():
    assert launches(lambda x: nx.exp(x) * nx.exp(x), X) == ["exp_multiply"]


def test_outputs_that_are_inputs_or_repeated_are_copied():
    x, same, again = ng.jit(lambda x: (x, x, x * 1.0))(X)
    for a in (x, same, again):
        numpy.testing.assert_array_equal(numpy.asarray(a), X)
    assert not numpy.shares_memory(numpy.asarray(x), numpy.asarray(same))
    assert not numpy.shares_memory(numpy.asarray(x), X)


def test_repeated_structure_compiles_once():
    def chain(x):
        for _ in range(500):
            x = nx.abs(x) * 1.5 - x
        return x

    before = ng.stats()["kernels_compiled"] + ng.stats()["kernels_loaded"]
    names = launches(chain, X)
    made = ng.stats()["kernels_compiled"] + ng.stats()["kernels_loaded"] - before
    assert len(names) > 20
    assert made <= 4


def test_a_wide_chain_is_not_cut_in_the_middle():
    def mixed(*xs):
        for _ in range(30):
            xs = [abs(a) - 0.5 * b for a, b in zip(xs, (*xs[1:], xs[0]), strict=True)]
        return xs

    xs = numpy.random.default_rng(0).normal(size=(6, 100))
    assert len(launches(mixed, *xs)) == 1
    for found, known in zip(ng.jit(mixed)(*xs), mixed(*xs), strict=True):
        numpy.testing.assert_array_equal(found, known)


def test_a_sum_beside_a_scatter_stores_nothing_for_every_element():
    source, target = numpy.random.default_rng(0).integers(0, 9, (2, 40))

    def loss(h, w):
        for _ in range(2):
            h = nx.tanh(nx.segment_sum(h[source] * w[:, None], target, 9))
        return nx.sum(h * h)

    rng = numpy.random.default_rng(1)
    h, dh, w, dw = *rng.normal(size=(2, 9, 8)), *rng.normal(size=(2, 40))
    product = ng.jit(lambda *z: ng.hvp(loss, z[:2], z[2:]))
    assert not {"sum", "sum_add"} & set(product.lower(h, w, dh, dw).launches)
    slope = ng.grad(loss, (0, 1))
    ahead, behind = slope(h + 1e-5 * dh, w + 1e-5 * dw), slope(h - 1e-5 * dh, w - 1e-5 * dw)
    for found, a, b in zip(product(h, w, dh, dw), ahead, behind, strict=True):
        numpy.testing.assert_allclose(found, (a - b) / 2e-5, rtol=1e-6, atol=1e-7)


def test_an_unrolled_recurrence_compiles_once():
    def unrolled(w, h, steps):
        for _ in range(steps):
            h = nx.tanh(h @ w + 0.5)
        return nx.sum(h)

    w, h = numpy.eye(8), numpy.ones((3, 8))
    step = ng.jit(ng.grad(unrolled, (0, 1)), static_argnums=2)
    step(w, h, 6)
    before = ng.stats()["kernels_compiled"]
    step(w, h, 60)
    assert ng.stats()["kernels_compiled"] - before <= 3  # a sum of many cotangents has its own kernel


def test_many_outputs_of_one_nest():
    """More outputs than a kernel has alias scopes."""

    def many(x):
        return tuple(x * float(k) + 1.0 for k in range(40))

    for k, y in enumerate(ng.jit(many)(X)):
        numpy.testing.assert_array_equal(numpy.asarray(y), X * k + 1)


def test_a_name_with_many_parts_is_shortened():
    def long(x):
        for _ in range(10):
            x = nx.abs(x) + 1.0
        return x

    (name,) = launches(long, X)
    assert "_12_more_" in name


def test_source_can_be_read():
    source = ng.jit(lambda x: nx.exp(x) * 2).lower(X).source
    assert source.startswith("# exp_multiply\ndef kernel(args, start, stop):")
    compile(source, "emitted", "exec")


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_the_gradient_of_a_reduction_reads_its_cotangent_broadcast(axes):
    names = launches(ng.grad(lambda x: nx.sum(nx.sum(x, axis=axes) ** 2)), X)
    # the last one writes the output; what belongs to rows runs row by row
    assert names == (["sum_multiply"] if axes == (1,) else ["sum", "multiply", "identity"])


def test_what_is_fused_rounds_each_operation(rng):
    """A product and a sum are not contracted: results do not depend on what shares a nest, and are NumPy's."""
    a, b, c = rng.random((3, 1000))
    found, partial = ng.jit(lambda a, b, c: (a * b + c, a * b))(a, b, c)
    numpy.testing.assert_array_equal(found, a * b + c)
    numpy.testing.assert_array_equal(ng.jit(lambda a, b, c: a * b - c * c)(a, b, c), a * b - c * c)
    numpy.testing.assert_array_equal(partial, a * b)
