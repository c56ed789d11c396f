"""check_grads passes what is right and finds what is wrong: argument, order and mode."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.primitive import elementwise
from nbgrad.testing import GradientCheckError, check_grads


def numbers(*shape, dtype="float64", seed=3):
    rng = numpy.random.default_rng(seed)
    x = rng.uniform(0.5, 1.5, shape)
    return (x + 1j * rng.uniform(0.5, 1.5, shape) if numpy.dtype(dtype).kind == "c" else x).astype(dtype)


RIGHT = {
    "elementwise": (lambda x, y: np.sin(x) * np.exp(y) / (1.0 + x * x), (numbers(3), numbers(2, 3))),
    "matrices": (lambda a, b: np.tanh(np.matmul(a, b)), (numbers(3, 2), numbers(2, 4))),
    "solution": (lambda a, b: np.linalg.solve(a + 3.0 * numpy.eye(3), b), (numbers(3, 3), numbers(3))),
    "reductions": (lambda x: {"s": np.sum(x**3, 0), "p": np.prod(x), "l": np.max(x)}, (numbers(2, 3),)),
    "nests": (lambda p, n: [p["w"] * p["b"][0] * n], ({"w": numbers(3), "b": [numbers(1)]}, 2)),
    "numbers": (lambda x, k: x**k, (0.7, 3)),
    "pieces": (lambda x: np.concatenate([x[1:] * x[:-1], np.cumsum(x)]), (numbers(4),)),
    "jitted": (ng.jit(lambda x: np.log(x) * x), (numbers(3),)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass(name):
    fn, args = RIGHT[name]
    check_grads(fn, args, order=2)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "complex128", "complex64"])
def test_every_dtype_has_a_tolerance(dtype):
    check_grads(lambda x, y: np.sum(x * np.exp(x * y), 0), (numbers(3, dtype=dtype), numbers(3, dtype=dtype, seed=4)),
                order=1 if dtype == "float16" else 2)  # fmt: skip


COMPLEX = {
    "holomorphic": lambda z: np.exp(z) * z,
    "absolute value": lambda z: np.abs(z) ** 2,
    "conjugate": lambda z: np.conj(z) * z * z,
    "parts": lambda z: np.real(z) * np.imag(z) + np.angle(z),
    "of a real product": lambda z: np.real(np.log(z) * (2.0 - 1.0j)),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_derivatives_follow_the_convention(name):
    check_grads(COMPLEX[name], (numbers(3, dtype="complex128"),), order=2)


def test_third_derivatives():
    check_grads(lambda x: np.sin(x) * x, (numbers(2),), order=3)


def declared(name, kernel, rule):
    """A primitive with a rule; declared once for a test run."""
    found = ng.primitives().get(name)
    if found is None:
        kernel.__name__ = name
        found = elementwise(reference=kernel)(kernel)
        found.vjp(rule)
    return found


def times(x1, x2):
    return x1 * x2


def cubed(x):
    return x * x * x


def failure(*args, **options):
    with pytest.raises(GradientCheckError) as caught:
        check_grads(*args, **options)
    return caught.value


WRONG_SECOND = declared("times_wrong_by_x2", times, lambda g, x1, x2: (g * x2, g * x1 * 1.01))
WRONG_LATER = declared(
    "cubed_wrong_later", cubed, lambda g, x: g * 3.0 * ng.stop_gradient(x) * x
)  # the first derivative is right


@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_it_says_which_argument_and_mode(mode):
    error = failure(WRONG_SECOND, (numbers(3), numbers(3)), modes=(mode,))
    assert (error.argument, error.order, error.mode) == ("argument 1", 1, mode)
    assert abs(error.found / error.expected - 1.01) < 1e-5
    text = str(error)
    assert text.startswith("check_grads of times_wrong_by_x2: the derivative of order 1 by argument 1 is wrong in mode")
    assert f"found     {error.found}" in text
    assert f"expected  {error.expected}" in text
    assert "argument 1: float64[3]" in text
    assert "Look at the rule" in text


@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_it_says_which_order(mode):
    check_grads(WRONG_LATER, (numbers(3),), order=1)
    error = failure(WRONG_LATER, (numbers(3),), order=2, modes=mode)
    assert (error.order, error.mode) == (2, mode)
    assert f"in mode {mode} of {mode}" in str(error)
    assert abs(error.found / error.expected - 0.5) < 1e-5  # d(3 c x)/dx = 3 c, of 6 x


def test_leaves_of_nests_are_named():
    error = failure(lambda p: WRONG_SECOND(p["a"], p["b"][0]), ({"a": numbers(2), "b": [numbers(2)]},), order=1)
    assert error.argument == "argument 0['b'][0]"


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "complex64"])
def test_an_error_of_one_percent_is_found_in_every_dtype(dtype):
    def slightly_wrong(x):
        return 1.01 * np.sin(x) - 0.01 * ng.stop_gradient(np.sin(x))

    failure(slightly_wrong, (numbers(3, dtype=dtype),), order=1)


def test_a_conjugate_too_much_is_found():
    @ng.elementwise(lambda z: z * z, name="squared_not_conjugated", domain="any")
    def squared(z):
        return z * z

    squared.of_pairs(None)
    squared.vjp(lambda g, x: g * 2.0 * x)
    squared.complex_vjp(lambda g, x: g * 2.0 * x)  # it should read the conjugate of x
    error = failure(squared, (numbers(2, dtype="complex128"),), order=1, modes="rev")
    assert error.mode == "rev"


def test_a_kink_is_suspected():
    error = failure(lambda x: np.abs(x - 1e-4), (numpy.array([0.0]),), order=1)
    assert "there may be a kink or a pole nearby" in str(error)
    check_grads(lambda x: np.abs(x - 1e-4), (numpy.array([0.0]),), order=1, eps=1e-5)


def test_a_function_that_is_not_finite_is_an_error():
    error = failure(np.log, (numpy.array([1.0, 0.0]),), order=1)
    assert "not finite near its arguments" in str(error)


def test_tolerances_can_be_given():
    fn, args = WRONG_SECOND, (numbers(3), numbers(3))
    check_grads(fn, args, order=1, rtol=0.05)
    check_grads(fn, args, order=1, atol=0.5)
    failure(fn, args, order=1, rtol=1e-3)


def test_options_are_checked():
    x = numbers(2)
    with pytest.raises(ng.ArgumentError, match="fn must be callable, got NumPy array"):
        check_grads(x, (x,))
    with pytest.raises(ng.ArgumentError, match=r"args must be a tuple of arguments, got .*; write \(x,\) for one"):
        check_grads(np.sin, x)
    with pytest.raises(ng.OptionError, match="order is 0, expected an integer of at least 1"):
        check_grads(np.sin, (x,), order=0)
    with pytest.raises(ng.OptionError, match=r"modes is \('back',\), expected 'fwd', 'rev' or both"):
        check_grads(np.sin, (x,), modes="back")
    with pytest.raises(ng.OptionError, match="eps is -1, expected a positive number"):
        check_grads(np.sin, (x,), eps=-1)
    with pytest.raises(ng.ArgumentError, match="nothing to differentiate by"):
        check_grads(np.sin, (3,))
    with pytest.raises(ng.ArgumentError, match="fn returned no Array that could be differentiated but float"):
        check_grads(lambda v: 1.5, (x,))
