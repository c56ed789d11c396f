"""vmap: axes, nests, other transforms inside and outside, and what it says of mistakes."""

import dataclasses

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors


@dataclasses.dataclass
class Layer:
    weight: object
    bias: object
    kind: str = dataclasses.field(default="dense", metadata={"static": True})


def same(found, expected, rtol=1e-13):
    assert found.shape == numpy.shape(expected)
    numpy.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


def test_axes_of_arguments_and_results(rng):
    x, w = rng.random((3, 5, 4)), rng.random((4, 6))
    expected = numpy.stack([numpy.tanh(x[:, k] @ w) for k in range(5)], axis=2)
    same(ng.vmap(lambda x, w: np.tanh(x @ w), (1, None), 2)(x, w), expected)
    same(ng.vmap(lambda x, w: np.tanh(x @ w), (-2, None), -1)(x, w), expected)
    same(ng.vmap(lambda x, w: np.tanh(x @ w), [1, None], 2)(x, w), expected)


def test_nests_and_parts_of_them(rng):
    layer, x = Layer(rng.random((2, 3)), rng.random(3)), {"x": [rng.random((7, 2)), rng.random(7)], "scale": 2.0}

    def f(layer, inputs):
        assert layer.kind == "dense"
        a, b = inputs["x"]
        return {"y": (a @ layer.weight + layer.bias) * inputs["scale"] * b, "b": (b, layer.bias)}

    found = ng.vmap(f, (None, {"x": 0, "scale": None}), {"y": 1, "b": (0, None)})(layer, x)
    same(found["y"], ((x["x"][0] @ layer.weight + layer.bias) * 2 * x["x"][1][:, None]).T)
    same(found["b"][0], x["x"][1])
    same(found["b"][1], layer.bias)


def test_keyword_arguments_have_their_examples_first(rng):
    x, y = rng.random((4, 3)), rng.random(4)
    same(ng.vmap(lambda x, *, y: x * y)(x, y=y), x * y[:, None])


def test_a_result_that_does_not_depend_on_the_example():
    same(ng.vmap(lambda x: np.asarray([1.0, 2.0]))(numpy.zeros(3)), [[1.0, 2.0]] * 3)
    same(ng.vmap(lambda x: (x, 1.0), out_axes=(0, None))(numpy.zeros(3))[1], 1.0)


def test_how_many_there_are_may_be_said():
    same(ng.vmap(lambda x: x * 2, in_axes=None, axis_size=3)(numpy.ones(2)), numpy.full((3, 2), 2.0))


@pytest.mark.parametrize("jit", [0, 2])
def test_inside_one_another(rng, jit):
    """The matrix of all pairs, and a gradient for each."""
    ng.config.jit = jit
    x, y = rng.random((3, 2)), rng.random((4, 2))

    def distance(a, b):
        return np.sqrt(np.sum((a - b) ** 2))

    pairs = ng.vmap(ng.vmap(distance, (None, 0)), (0, None))
    delta = x[:, None] - y[None]
    size = numpy.sqrt((delta**2).sum(-1))
    same(pairs(x, y), size)
    same(ng.vmap(ng.vmap(ng.grad(distance), (None, 0)), (0, None))(x, y), delta / size[..., None])
    same(ng.jit(pairs)(x, y), size)


def test_with_every_other_transform(rng):
    x = rng.random((4, 3))
    f = lambda v: np.sum(v**3) * v[0]  # noqa: E731
    hessians = ng.vmap(ng.jacfwd(ng.jacrev(f)))(x)
    expected = numpy.stack([ng.jacrev(ng.jacrev(f))(ng.asarray(v)).numpy() for v in x])
    same(hessians, expected, 1e-11)
    same(ng.vmap(lambda v: ng.jvp(f, v, v)[1])(x), [4 * numpy.sum(v**3) * v[0] for v in x], 1e-12)
    same(ng.vmap(lambda v: ng.vjp(f, v)[1](ng.asarray(2.0))[0])(x),
         [2 * (3 * v**2 * v[0] + numpy.sum(v**3) * numpy.eye(3)[0]) for v in x], 1e-12)  # fmt: skip
    same(ng.grad(lambda x: np.sum(ng.vmap(ng.grad(f))(x)))(x), expected.sum(2), 1e-11)
    y = ng.Parameter(x, name="y")
    (g,) = ng.gradients(ng.vmap(f)(y), y)
    same(g, [3 * v**2 * v[0] + numpy.sum(v**3) * numpy.eye(3)[0] for v in x], 1e-12)


def test_derivatives_of_variables_that_are_captured(rng):
    """The inner function's gradient is by its own variable, whatever is mapped around it."""
    x = rng.random(3)
    found = ng.vmap(lambda a: ng.grad(lambda b: a * b**2)(a))(x)
    same(found, 2 * x**2)
    same(ng.grad(lambda a: np.sum(ng.vmap(lambda b: a * b**2)(x)))(ng.asarray(1.5)), numpy.sum(x**2))


def test_assignment_and_conversion(rng):
    x = rng.random((4, 3))

    def f(v):
        y = v * 1.0
        y[1:] += v[:-1]
        return numpy.array([y[0], y[2], numpy.max(y)])

    expected = []
    for v in x:
        y = v.copy()
        y[1:] += v[:-1]
        expected.append([y[0], y[2], y.max()])
    same(ng.vmap(f)(x), expected)


def test_a_new_number_of_examples_compiles_nothing(rng):
    f = ng.jit(ng.vmap(ng.grad(lambda v: np.sum(np.tanh(v) ** 2))))
    f(rng.random((5, 3)))
    before = ng.stats()
    f(rng.random((50, 4)))
    after = ng.stats()
    assert after["kernels_compiled"] + after["kernels_loaded"] == before["kernels_compiled"] + before["kernels_loaded"]


X = numpy.ones((3, 2))
MISTAKES = {
    "function": (lambda: ng.vmap(3), errors.ArgumentError, "vmap: fn must be callable, got"),
    "axis": (lambda: ng.vmap(len, in_axes=1.5), errors.ArgumentError, "vmap: in_axes must be an int or None, got"),
    "axis in a nest": (lambda: ng.vmap(len, in_axes=({"a": "x"},)), errors.ArgumentError,
                       r"vmap: in_axes\[0\]\['a'\] must be an int or None, got"),
    "number of entries": (lambda: ng.vmap(lambda x: x, (0, 0))(X), errors.ArgumentError,
                          "vmap: in_axes has 2 entries for 1 positional arguments; give one for each"),
    "other nest": (lambda: ng.vmap(lambda x: x, ({"a": 0},))(X), errors.ArgumentError,
                   "vmap: in_axes .* does not fit the arguments"),
    "sizes": (lambda: ng.vmap(lambda x, y: x)(X, {"w": numpy.ones(2)}), errors.ShapeError,
              r"different numbers of examples\n    argument 0: 3\n    argument 1\['w'\]: 2"),
    "number": (lambda: ng.vmap(lambda x, y: x)(X, 2.0), errors.ShapeError,
               "vmap: argument 1 has no axis of examples, it is a single number; say in_axes=None"),
    "no such axis": (lambda: ng.vmap(lambda x: x, 2)(X), errors.AxisError, "vmap: argument 0: axis 2 is out of range"),
    "none mapped": (lambda: ng.vmap(lambda x: x, None)(X), errors.ArgumentError, "no argument has an axis of examples"),
    "out_axes": (lambda: ng.vmap(lambda x: x, out_axes=2)(X), errors.AxisError, "out_axes of result: axis 2 is out of"),
    "out_axes of none": (lambda: ng.vmap(lambda x: {"a": x}, out_axes=None)(X), errors.ArgumentError,
                         r"vmap: out_axes is None for result\['a'\], which depends on the example"),
    "value": (lambda: ng.vmap(lambda x: x if x.sum() > 0 else -x)(X), errors.TracedValueError,
              "asked for while vmap traces(.|\n)*outside the function that vmap is given(.|\n)*argument shared with"),
    "no array": (lambda: ng.vmap(lambda x: "text")(X), errors.ArgumentError, "vmap: a result of fn must be an a"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_it_says_of_mistakes(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
