"""Nested arguments and results of every transform, and the paths that errors name."""

import collections
import dataclasses

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors, trees


@dataclasses.dataclass
class Layer:
    weight: object
    bias: object
    name: str = dataclasses.field(default="", metadata={"static": True})


Pair = collections.namedtuple("Pair", "left right")


def parameters():
    rng = numpy.random.default_rng(0)
    return {
        "layers": [Layer(rng.random((2, 3)), rng.random(3), "first"), Layer(rng.random((3, 1)), rng.random(1))],
        "scale": Pair(1.5, (numpy.array([0.5]), None)),
    }


X = numpy.random.default_rng(1).random((4, 2))


def model(p, x):
    for layer in p["layers"]:
        x = np.tanh(x @ layer.weight + layer.bias)
    return np.sum(x * p["scale"].left + p["scale"].right[0])


def by_hand():
    """The same gradients by leaves, each an argument of its own."""
    leaves, structure = trees.flatten(parameters())
    arrays = [ng.asarray(leaf) for leaf in leaves]
    found = ng.grad(lambda *xs: model(trees.unflatten(structure, xs), X), tuple(range(len(leaves))))(*arrays)
    return structure, found


def equal(found, expected):
    leaves, structure = trees.flatten(found)
    assert structure == expected[0]
    for a, b in zip(leaves, expected[1], strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-13)


def test_flatten_keeps_everything():
    nest = parameters()
    leaves, structure = trees.flatten(nest)
    assert len(leaves) == 6
    back = trees.unflatten(structure, leaves)
    assert back["layers"][0].name == "first"
    assert back["scale"].right[1] is None
    assert type(back["scale"]) is Pair
    assert list(trees.flatten_with_paths(nest, "p")[0]) == [
        "p['layers'][0].weight", "p['layers'][0].bias", "p['layers'][1].weight", "p['layers'][1].bias",
        "p['scale'].left", "p['scale'].right[0]",
    ]  # fmt: skip


def test_a_dataclass_is_made_by_the_names_of_its_fields():
    @dataclasses.dataclass
    class Mixed:
        p: str = dataclasses.field(metadata={"static": True})
        s: object = dataclasses.field(kw_only=True)
        kind: object
        total: object = dataclasses.field(init=False, default=7.0)

    leaves, structure = trees.flatten(Mixed("text", 2.0, s=1.0))
    assert leaves == [1.0, 2.0] or leaves == [2.0, 1.0]
    assert trees.unflatten(structure, leaves) == Mixed("text", 2.0, s=1.0)
    assert trees.flatten(Mixed("other", 2.0, s=1.0))[1] != structure


def test_gradients_are_nests_like_the_argument():
    equal(ng.grad(model)(parameters(), X), by_hand())
    equal(ng.value_and_grad(model)(parameters(), X)[1], by_hand())
    equal(ng.jit(ng.grad(model))(parameters(), X), by_hand())
    equal(ng.jacrev(model)(parameters(), X), by_hand())
    _, pull_back = ng.vjp(lambda p: model(p, X), parameters())
    equal(pull_back(ng.asarray(1.0))[0], by_hand())


def test_a_dataclass_by_itself():
    layer = parameters()["layers"][0]
    found = ng.grad(lambda a: np.sum(a.weight**2) + np.sum(a.bias))(layer)
    assert type(found) is Layer
    assert found.name == "first"
    numpy.testing.assert_allclose(found.weight, 2 * layer.weight)


def test_tangents_are_nests_like_the_argument():
    p = parameters()
    leaves = trees.flatten(p)[0]
    _, tangent = ng.jvp(lambda p: model(p, X), p, p)
    expected = sum(float(numpy.sum(numpy.asarray(g) * a)) for g, a in zip(by_hand()[1], leaves, strict=True))
    assert float(tangent) == pytest.approx(expected, rel=1e-12)


def test_results_and_their_seeds():
    def f(x):
        return Layer(x * 2, [x**2, {"c": x[0]}], "out")

    x = numpy.array([1.0, 2.0])
    value, pull_back = ng.vjp(f, x)
    assert value.name == "out"
    numpy.testing.assert_allclose(pull_back(Layer(numpy.ones(2), [numpy.ones(2), {"c": 5.0}]))[0], [9, 6])
    numpy.testing.assert_allclose(
        ng.grad(f, sens_param=True)(x, Layer(numpy.ones(2), [numpy.ones(2), {"c": 5.0}])), [9, 6]
    )
    assert ng.jit(f)(x).name == "out"


def test_weights_may_be_a_nest():
    w = {"a": ng.Parameter([1.0, 2.0], name="a"), "b": [ng.Parameter(3.0, name="b")]}
    found = ng.grad(lambda x: np.sum(x * w["a"]) * w["b"][0], None, w)(numpy.ones(2))
    numpy.testing.assert_allclose(found["a"], [3, 3])
    assert float(found["b"][0]) == 3
    by_x, found = ng.grad(lambda x: np.sum(x * w["a"]) * w["b"][0], 0, w, return_ids=True)(numpy.ones(2))
    assert found["b"][0][0] == "b"
    assert float(ng.get_grad((by_x, found), w["b"][0])) == 3


def mistake(value):
    p = parameters()
    p["layers"][1].bias = value
    return p


MISTAKES = {
    "jit": (lambda: ng.jit(model)(mistake("text"), X), errors.ArgumentError,
            r"jit of model: argument 0\['layers'\]\[1\].bias must be an array or a number, not str"),
    "integers": (lambda: ng.grad(model)(mistake(numpy.ones(1, int)), X),
                 errors.DtypeError, r"grad: argument 0\['layers'\]\[1\].bias has dtype int64"),
    "no array": (lambda: ng.grad(model)(mistake(3), X),
                 errors.ArgumentError, r"grad: argument 0\['layers'\]\[1\].bias is differentiated, so it must be"),
    "weights": (lambda: ng.grad(model, None, {"w": [2.0]}), errors.ArgumentError,
                r"grad: weights\['w'\]\[0\] must be a Parameter, got float"),
    "tangents": (lambda: ng.jvp(lambda p: p["a"], {"a": X}, {"b": X}), errors.GradientError,
                 r"jvp: v\[0\] must be a nest like inputs\[0\]"),
    "shape of a tangent": (lambda: ng.jvp(lambda p: p["a"], {"a": X}, {"a": X[0]}), errors.ShapeError,
                           r"jvp: v\[0\]\['a'\] has shape \(2,\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_errors_name_the_path(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
