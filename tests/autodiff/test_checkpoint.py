"""checkpoint: the same values and derivatives to the last bit, and less memory."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

RNG = numpy.random.default_rng(0)
X, W = RNG.normal(size=(6, 4)), [RNG.normal(size=(4, 4)) for _ in range(6)]


def layers(x, *ws):
    for w in ws:
        x = np.tanh(x @ w) * 1.5
    return x


def net(wrap, size=3):
    def loss(x, ws):
        for i in range(0, len(ws), size):
            x = wrap(layers)(x, *ws[i : i + size])
        return np.sum(x**2)

    return loss


POLICIES = (None, ng.checkpoint_policies.products, ng.checkpoint_policies.everything)
TRANSFORMS = {
    "grad": lambda f: ng.grad(f, (0, 1))(X, W),
    "jit": lambda f: ng.jit(ng.value_and_grad(f, (0, 1)))(X, W),
    "jvp": lambda f: ng.jvp(lambda x: f(x, W), X, X),
    "second": lambda f: ng.grad(lambda x: np.sum(ng.grad(lambda x: f(x, W))(x) ** 2))(X),
    "jit of second": lambda f: ng.jit(ng.grad(lambda x: np.sum(ng.grad(lambda x: f(x, W))(x) ** 2)))(X),
    "vmap": lambda f: ng.vmap(ng.grad(lambda x, w: f(x, [w] * 4), (0, 1)), (0, None))(X[:, None], W[0]),
    "captured": lambda f: ng.grad(lambda w: f(X, [w] * 4))(W[0]),
}


def leaves(value):
    return [b for a in value for b in leaves(a)] if isinstance(value, (tuple, list)) else [value.numpy()]


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize("policy", POLICIES, ids=["none", "products", "everything"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_same_to_the_last_bit(name, policy, jit):
    ng.config.jit = jit
    wrap = lambda f: ng.checkpoint(f, policy=policy)  # noqa: E731
    found, expected = leaves(TRANSFORMS[name](net(wrap))), leaves(TRANSFORMS[name](net(lambda f: f)))
    for a, b in zip(found, expected, strict=True):
        if name in ("grad", "jit", "captured", "jvp"):
            numpy.testing.assert_array_equal(a, b)
        else:  # other derivatives are put together in another order
            numpy.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_arrays_that_are_closed_over_are_differentiated_by():
    def f(w, x):
        return np.sum(ng.checkpoint(lambda x: np.sin(x * w) * w)(x))

    plain = lambda w, x: np.sum(np.sin(x * w) * w)  # noqa: E731
    for a, b in zip(ng.grad(f, (0, 1))(X[0], X[1]), ng.grad(plain, (0, 1))(X[0], X[1]), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-14)
    p = ng.Parameter(X[0], name="p")
    g = ng.grad(lambda x: f(p, x), None, p)(X[1])
    numpy.testing.assert_allclose(g, ng.grad(plain)(X[0], X[1]), rtol=1e-14)


def test_what_is_no_array_is_handed_on():
    f = ng.checkpoint(lambda x, n, name=None: ({"y": x**n, "name": name}, 3))
    found, three = f(ng.asarray(X), 2, name="square")
    numpy.testing.assert_array_equal(found["y"], X**2)
    assert (found["name"], three) == ("square", 3)
    numpy.testing.assert_allclose(ng.grad(lambda x: np.sum(f(x, 2)[0]["y"]))(X), 2 * X)


def bytes_of(chain, x):
    """Bytes of what a gradient's program keeps between launches, by its own plan."""
    return ng.jit(ng.grad(chain)).lower(x)._compiled._arena_bytes


@pytest.mark.parametrize("count", [100, 400])
def test_memory_grows_with_the_root_of_the_number_of_layers(count):
    """n values without, n / k of them and k more with a checkpoint around each k."""
    size = round(count**0.5)
    x, w = RNG.normal(size=(32, 64)), RNG.normal(size=(64, 64)) / 8

    def chain(wrap):
        def loss(x):
            part = wrap(lambda x: layers(x, *[w] * size))
            for _ in range(count // size):
                x = part(x)
            return np.sum(x)

        return loss

    value = x.nbytes
    assert bytes_of(chain(lambda f: f), x) >= count * value
    assert bytes_of(chain(ng.checkpoint), x) <= (2 * size + 12) * value


def test_mistakes():
    with pytest.raises(errors.ArgumentError, match="checkpoint: fn must be callable, got int 3"):
        ng.checkpoint(3)
    with pytest.raises(errors.ArgumentError, match="checkpoint: policy must be callable, got str 'dots'"):
        ng.checkpoint(policy="dots")(layers)
