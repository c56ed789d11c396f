"""Each rewrite: what becomes of a graph, and that not one bit of its value changes."""

import numpy
import pytest
from graphs import evaluate

import nbgrad as ng
from nbgrad import graph
from nbgrad.compile.simplify import simplify
from nbgrad.kernels import reduction
from nbgrad.kernels.arithmetic import add, divide, multiply, negative, positive, subtract
from nbgrad.kernels.casting import astype, identity, stop_gradient
from nbgrad.kernels.exponential import exp
from nbgrad.kernels.indexing import take
from nbgrad.kernels.selection import where
from nbgrad.kernels.shape import add_n, broadcast_to, concatenate, embed, reshape, slice_, transpose

SPECIAL = numpy.array([[0.0, -0.0, 1.5], [numpy.inf, -numpy.inf, numpy.nan]])
FULL = ((0, 1, 2), (0, 1, 3))
FIRST = ((0, 1, 1), (0, 1, 3))


def number(value, shape=(), dtype="float64"):
    """A constant of the structure, as rules make them."""
    return ng.Array(graph.constant(value, dtype, shape))


def simplified(fn, *arrays):
    """(fresh inputs, fresh output) of a function of Arrays."""
    xs = [ng.asarray(a) for a in arrays]
    y = fn(*xs)
    inputs, captured, (output,) = simplify([x._node for x in xs], [y._node])
    for node in captured:
        node.value = node.fact("value")
    return inputs, output


def bits(array):
    """Bytes of an array with every nan alike."""
    array = numpy.array(array)
    if array.dtype.kind == "f":
        array[numpy.isnan(array)] = numpy.nan
    return array.dtype, array.shape, array.tobytes()


def nodes(output):
    """Names of the primitives that are left, without constants."""
    return [n.primitive.name for n in graph.topological([output]) if n.primitive and not graph.is_constant(n)]


TAKEN, ROWS = ng.asarray([1, 0, 1, 1]), ng.asarray([4, 0])

#: (what is written, function, primitives that are left)
REWRITES = (
    ("x * 1", lambda x: multiply(x, number(1.0)), []),
    ("1 * x", lambda x: multiply(number(1.0), x), []),
    ("x * ones", lambda x: multiply(x, number(1.0, (2, 3))), []),
    ("x * ones of a larger shape", lambda x: multiply(x, number(1.0, (4, 2, 3))), ["broadcast_to"]),
    ("x / 1", lambda x: divide(x, number(1.0)), []),
    ("1 / x stays", lambda x: divide(number(1.0), x), ["divide"]),
    ("x - 0", lambda x: subtract(x, number(0.0)), []),
    ("x - -0 stays", lambda x: subtract(x, number(-0.0)), ["subtract"]),
    ("x + 0 stays", lambda x: add(x, number(0.0)), ["add"]),
    ("x * 0 stays", lambda x: multiply(x, number(0.0)), ["multiply"]),
    ("x - x stays", lambda x: subtract(x, x), ["subtract"]),
    ("-(-x)", lambda x: negative(negative(x)), []),
    ("+x", positive, []),
    ("identity", identity, []),
    ("stop_gradient", stop_gradient, []),
    ("a cast to its own dtype", lambda x: astype(x, dtype=numpy.dtype("float64")), []),
    ("a cast there and back stays",
     lambda x: astype(astype(x, dtype=numpy.dtype("float32")), dtype=numpy.dtype("float64")),
     ["astype", "astype"]),
    ("reshape of reshape", lambda x: reshape(reshape(x, shape=(3, 2)), shape=(6,)), ["reshape"]),
    ("reshape there and back", lambda x: reshape(reshape(x, shape=(3, 2)), shape=(2, 3)), []),
    ("broadcast of broadcast",
     lambda x: broadcast_to(broadcast_to(x, shape=(1, 2, 3)), shape=(4, 2, 3)), ["broadcast_to"]),
    ("broadcast to its own shape", lambda x: broadcast_to(x, shape=(2, 3)), []),
    ("transpose of transpose", lambda x: transpose(transpose(x, axes=(1, 0)), axes=(1, 0)), []),
    ("a transposed outer product",
     lambda x: transpose(multiply(slice_(x, spec=((0, 1, 2), (0, 1, 1))), slice_(x, spec=((0, 1, 1), (0, 1, 3)))),
                         axes=(1, 0)),
     ["slice_", "slice_", "transpose", "transpose", "multiply"]),
    ("the identity permutation", lambda x: transpose(x, axes=(0, 1)), []),
    ("a slice of everything", lambda x: slice_(x, spec=FULL), []),
    ("a reversed slice stays", lambda x: slice_(x, spec=((1, -1, 2), (0, 1, 3))), ["slice_"]),
    ("a sum over no axes", lambda x: reduction.sum(x, axes=()), []),
    ("a sum over axes of extent 1 stays",
     lambda x: reduction.sum(reshape(x, shape=(2, 1, 3)), axes=(1,)), ["reshape", "sum"]),
    ("max over no axes", lambda x: reduction.max(x, axes=()), []),
    ("a sum of one", lambda x: add_n(x), []),
    ("a common subexpression", lambda x: add(exp(x), exp(x)), ["exp", "add"]),
    ("embedded cotangents",
     lambda x: add(exp(x), embed(slice_(exp(x), spec=FIRST), shape=(2, 3), spec=((1, 1, 1), (0, 1, 3)))),
     ["exp", "slice_", "add_slices"]),
    ("an embedding that fills the whole", lambda x: embed(x, shape=(2, 3), spec=FULL), []),
    ("an embedding in reverse stays", lambda x: embed(x, shape=(2, 3), spec=((1, -1, 2), (0, 1, 3))), ["embed"]),
    ("a slice of what is taken",
     lambda x: slice_(take(x, TAKEN, axis=0), spec=((2, -1, 3), (1, 1, 2))), ["slice_", "slice_", "take"]),
    ("a slice of what is taken along a later axis",
     lambda x: slice_(take(x, TAKEN, axis=1), spec=((1, 1, 1), (1, 2, 2))), ["slice_", "slice_", "take"]),
    ("a reshape of what is taken",
     lambda x: reshape(take(x, TAKEN, axis=0), shape=(4, 3, 1)), ["reshape", "take"]),
    ("a reshape across the indices stays", lambda x: reshape(take(x, TAKEN, axis=0), shape=(12,)), ["take", "reshape"]),
    ("taken of a constant", lambda x: add(x, take(number(2.0, (5, 3)), ROWS, axis=0)), ["add"]),
    ("parts of an array side by side",
     lambda x: concatenate(slice_(x, spec=((0, 1, 1), (0, 1, 3))), slice_(x, spec=((1, 1, 1), (0, 1, 3))), axis=0), []),
    ("parts of an array in another order stay",
     lambda x: concatenate(slice_(x, spec=((1, 1, 1), (0, 1, 3))), slice_(x, spec=((0, 1, 1), (0, 1, 3))), axis=0),
     ["slice_", "slice_", "concatenate"]),
    ("a concatenation of concatenations",
     lambda x: concatenate(x, concatenate(exp(x), x, axis=1), axis=1), ["exp", "concatenate"]),
    ("a concatenation of concatenations along another axis stays",
     lambda x: concatenate(concatenate(exp(x), x, axis=1), concatenate(x, x, axis=1), axis=0),
     ["exp", "concatenate", "concatenate", "concatenate"]),
    ("constants of constants", lambda x: add(x, exp(multiply(number(2.0), number(0.5)))), ["add"]),
    ("views of constants", lambda x: add(x, transpose(reshape(number(2.0, (6,)), shape=(3, 2)), axes=(1, 0))), ["add"]),
)  # fmt: skip


@pytest.mark.parametrize(("fn", "left"), [pytest.param(f, left, id=name) for name, f, left in REWRITES])
def test_a_rewrite_leaves(fn, left):
    _, output = simplified(fn, SPECIAL)
    assert nodes(output) == left


@pytest.mark.parametrize(
    "fn", [pytest.param(f, id=name) for name, f, _ in REWRITES if not name.startswith("a sum over no")]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rewrite_changes_no_bit(fn, dtype):
    x = SPECIAL.astype(dtype)
    given = ng.asarray(x)
    (expected,) = evaluate([fn(given)._node])
    inputs, output = simplified(fn, x)
    inputs[0].value = x
    (found,) = evaluate([output])
    assert bits(found) == bits(expected)


def test_zero_and_minus_zero_are_different_constants():
    for first, second in ((0.0, -0.0), (-0.0, 0.0)):
        x = ng.asarray([1.0, -1.0])
        a, b = divide(x, number(first)), divide(x, number(second))
        inputs, _, outputs = simplify([x._node], [a._node, b._node])
        inputs[0].value = numpy.array([1.0, -1.0])
        plus, minus = evaluate(outputs)
        numpy.testing.assert_array_equal(plus, -minus)


def test_programs_tell_zero_from_minus_zero():
    for value, sign in ((0.0, 1), (-0.0, -1), (0.0, 1)):
        found = numpy.asarray(divide(ng.asarray([2.0]), number(value)))
        assert found[0] == sign * numpy.inf


def test_constants_of_different_dtypes_stay_apart():
    x = ng.asarray([1.0])
    wide, narrow = number(1.0), number(1.0, (), "float32")
    y = add(add(x, wide), astype(add(narrow, narrow), dtype=numpy.dtype("float64")))
    inputs, _, (output,) = simplify([x._node], [y._node])
    inputs[0].value = numpy.array([1.0])
    assert evaluate([output])[0][0] == 4.0


def test_true_is_not_one():
    x = ng.asarray([True, False])
    y = where(x, number(True, (), "bool"), number(False, (), "bool"))
    inputs, _, (output,) = simplify([x._node], [y._node])
    inputs[0].value = numpy.array([True, False])
    numpy.testing.assert_array_equal(evaluate([output])[0], [True, False])


def test_nodes_that_no_output_needs_are_left_out():
    x = ng.asarray([1.0])
    exp(x)
    _, output = simplified(lambda x: add(x, x), numpy.ones(2))
    assert nodes(output) == ["add"]


def test_captured_arrays_keep_their_value():
    held = ng.asarray([3.0])
    x = ng.asarray([1.0])
    _, captured, _ = simplify([x._node], [add(x, held)._node])
    assert [c.fact("value")[0] for c in captured] == [3.0]


def test_an_input_that_is_also_an_output(settings):
    x = numpy.array([1.0, 2.0])
    for tier in (0, 2):
        settings.jit = tier
        same, double = ng.jit(lambda x: (positive(x), add(x, x)))(x)
        numpy.testing.assert_array_equal(numpy.asarray(same), x)
        numpy.testing.assert_array_equal(numpy.asarray(double), 2 * x)


@pytest.mark.parametrize(
    ("specs", "left"),
    [
        ((((0, 1, 2), (0, 1, 1)), ((0, 1, 2), (1, 1, 2))), ["concatenate"]),
        ((((0, 1, 2), (2, 1, 1)), ((0, 1, 2), (0, 1, 2))), ["concatenate"]),
        ((((0, 1, 2), (0, 1, 2)), ((0, 1, 2), (1, 1, 2))), ["embed", "add_slices"]),
        ((((0, 1, 2), (0, 1, 1)), ((0, 1, 2), (2, 1, 1))), ["embed", "add_slices"]),
        ((((0, 1, 1), (0, 1, 2)), ((1, 1, 1), (0, 1, 3))), ["embed", "add_slices"]),
        ((((0, 1, 2), (0, 2, 2)), ((0, 1, 2), (1, 1, 1))), ["embed", "add_slices"]),
    ],
)
def test_embedded_side_by_side_are_a_concatenation(specs, left):
    """If they fill the whole along one axis: a sum with zeros changes nothing but the sign of a zero."""
    parts = [numpy.random.default_rng(k).normal(size=[n for _, _, n in spec]) for k, spec in enumerate(specs)]
    xs = [ng.asarray(p) for p in parts]
    y = add(*(embed(x, shape=(2, 3), spec=spec) for x, spec in zip(xs, specs, strict=True)))
    inputs, _, (output,) = simplify([x._node for x in xs], [y._node])
    assert nodes(output) == left
    expected = numpy.zeros((2, 3))
    for part, spec in zip(parts, specs, strict=True):
        expected[tuple(slice(a, a + s * n, s) for a, s, n in spec)] += part
    for node, part in zip(inputs, parts, strict=True):
        node.value = part
    numpy.testing.assert_array_equal(evaluate([output])[0], expected)
