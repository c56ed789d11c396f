"""Elementwise kernels of users: what their texts may hold, fusion, and derivatives by their text."""

import math
import subprocess
import sys
import textwrap
from math import sqrt

import numpy
import pytest
import scipy.special

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, KernelError, MissingRuleError
from nbgrad.testing import check_grads

X = numpy.array([-1.5, 0.2, 0.7, 3.0])
LIMIT = 0.3


@ng.elementwise
def branching(x, w):
    """Every kind of branch."""
    if x > 1.0:
        return w * math.exp(-x)
    total = 0.0
    for k in range(3):
        total = total + x**k / (k + 1)
    return total if 0.0 < x < 0.5 else sqrt(abs(x)) * w * max(x, LIMIT)


def branching_in_numpy(x, w):
    middle = 1 + x / 2 + x**2 / 3
    rest = numpy.sqrt(abs(x)) * w * numpy.maximum(x, LIMIT)
    return numpy.where(x > 1, w * numpy.exp(-x), numpy.where((x > 0) & (x < 0.5), middle, rest))


@pytest.mark.parametrize("jit", [0, 2])
def test_a_text_with_branches(settings, jit):
    settings.jit = jit
    w = numpy.array([[2.0], [1.5]])
    numpy.testing.assert_allclose(branching(X, w), branching_in_numpy(X, w), rtol=1e-14)
    check_grads(branching, (X, w), order=3)
    check_grads(ng.vmap(branching, (0, None)), (X, numpy.float64(1.3)))


def test_values_and_gradients_fuse_with_their_neighbours():
    f = lambda x: np.sum(branching(np.sin(x), 2.0) * 3)  # noqa: E731
    assert ng.jit(f).lower(ng.asarray(X)).launches == ["sin_branching_multiply_sum"]
    assert len(ng.jit(ng.grad(f)).lower(ng.asarray(X)).launches) == 1


@ng.elementwise
def guarded_root(x):
    return math.sqrt(x) if x > 0.0 else 0.0


def test_a_path_that_is_not_taken_has_no_part_in_the_derivative():
    """Masking cotangents would give 0 * inf at 0, in the first derivative and in the second."""
    x = numpy.array([0.0, -1.0, 4.0])
    first = ng.grad(guarded_root)
    assert first(x).tolist() == [0.0, 0.0, 0.25]
    assert ng.grad(first)(x).tolist() == [0.0, 0.0, -1 / 32]


def test_sparse_derivatives_of_a_text_that_branches(rng):
    """A rule that makes rules: the pattern is that of the values."""
    x = rng.normal(size=6)
    f = lambda x: branching(x[1:], 2.0) * x[:-1]  # noqa: E731
    found = ng.sparse_jacobian(f)(x)
    assert found.nnz <= 10
    numpy.testing.assert_allclose(found.toarray(), ng.jacobian(f)(x))
    total = lambda x: np.sum(f(x))  # noqa: E731
    numpy.testing.assert_allclose(ng.sparse_hessian(total)(x).toarray(), ng.hessian(total)(x), atol=1e-12)


def times(factor):
    @ng.elementwise(name=f"extension_times_{factor}")
    def scaled(x):
        return factor * x

    return scaled


def test_what_a_closure_holds_is_part_of_the_kernel(settings):
    settings.jit = 2
    assert [times(k)(X[:2]).tolist() for k in (2, 3)] == [(k * X[:2]).tolist() for k in (2, 3)]


def test_what_a_closure_holds_is_part_of_the_cache(tmp_path):
    """In two processes the same name and text, and another number."""
    text = """
    import nbgrad as ng
    def make(factor):
        @ng.elementwise
        def scaled(x):
            return factor * x
        return scaled
    ng.config.jit = 2
    print(float(make({})(1.0)))
    """
    script, said = tmp_path / "script.py", []
    for factor in (2.0, 3.0):
        script.write_text(textwrap.dedent(text).format(factor))
        said.append(subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout)
    assert said == ["2.0\n", "3.0\n"]


FUNCTIONS = {
    "acos": (math.acos, numpy.arccos), "asinh": (math.asinh, numpy.arcsinh), "atan": (math.atan, numpy.arctan),
    "cbrt": (math.cbrt, numpy.cbrt), "erf": (math.erf, scipy.special.erf), "exp2": (math.exp2, numpy.exp2),
    "expm1": (numpy.expm1, numpy.expm1), "gamma": (math.gamma, scipy.special.gamma), "log1p": (math.log1p, numpy.log1p),
    "lgamma": (math.lgamma, scipy.special.gammaln), "tanh": (numpy.tanh, numpy.tanh),
}  # fmt: skip


def calling(name, function):
    @ng.elementwise(name=f"extension_{name}")
    def calls(x):
        return 2.0 * function(x) + math.pi

    return calls


CALLS = {name: calling(name, function) for name, (function, _) in FUNCTIONS.items()}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("jit", [0, 2])
def test_functions_of_math_and_numpy(settings, jit, name):
    settings.jit = jit
    x = numpy.array([0.2, 0.7])
    expected = 2 * FUNCTIONS[name][1](x) + numpy.pi
    numpy.testing.assert_allclose(CALLS[name](x), expected, rtol=1e-14)
    assert CALLS[name](x.astype("float32")).dtype == "float32"
    check_grads(CALLS[name], (x,))


@ng.elementwise
def inverse(x):
    return math.log(x) + 1.0 / x


@pytest.mark.parametrize("jit", [0, 2])
def test_poles_are_numpy_s_and_no_exceptions(settings, jit):
    settings.jit = jit
    with numpy.errstate(all="ignore"):
        numpy.testing.assert_array_equal(inverse([0.0, -1.0]), [numpy.nan, numpy.nan])
    assert inverse(numpy.array([2.0], "float32")).dtype == "float32"


@ng.elementwise
def counted_halvings(x):
    count = 0.0
    while x > 1.0:
        x = 0.5 * x
        count = count + 1.0
    return count + x


def test_a_loop_that_values_end_has_no_derivative():
    assert counted_halvings(numpy.array([3.0, 9.0])).tolist() == [2.75, 4.5625]
    with pytest.raises(MissingRuleError, match=r"grad of counted_halvings.*too many paths.*\n.*counted_halvings.vjp"):
        ng.grad(counted_halvings)(numpy.array([3.0]))


@ng.elementwise
def through_float(x):
    return x * math.exp(float(x))


def test_a_value_that_is_read_is_no_constant():
    """Were it one, half of the derivative would be missing."""
    with pytest.raises(
        MissingRuleError, match=r"grad of through_float.*cannot be traced(.|\n)*without int\(\) and float"
    ):
        ng.grad(through_float)(numpy.array(0.5))


@ng.elementwise
def stretched(length, stiffness):
    return 0.5 * stiffness * length * length


@stretched.vjp
def stretched_vjp(g, length, stiffness):
    return g * stiffness * length, g * 0.5 * length * length


def test_rules_read_inputs_by_the_names_in_the_kernel():
    check_grads(stretched, (X, numpy.float64(3.0)))


def test_names_with_two_meanings():
    @ng.elementwise(name="extension_two_meanings")
    def kernel(y):
        return y * y

    with pytest.raises(
        ArgumentError, match=r"vjp: the rule reads 'y', which is the name of an input and also of the out"
    ):
        kernel.vjp(lambda g, y: 2.0 * g * y)


def test_a_kernel_that_is_no_function():
    with pytest.raises(ArgumentError, match=r"elementwise: the kernel is .*ufunc.*above a def, or call ng.adopt"):
        ng.elementwise(lambda x: x)(numpy.sin)


def test_what_numba_cannot_compile_either(settings):
    settings.jit = 2
    with pytest.raises(KernelError, match="extension_of_strings"):
        ng.jit(times_of_strings)(X)


@ng.elementwise(lambda x: x, name="extension_of_strings")
def times_of_strings(x):
    return {"x": x}["x"]


def test_a_declaration_that_is_run_again(tmp_path):
    """As a cell of a notebook is, also while a graph holds the former one."""
    cell = """
    @ng.elementwise
    def scaled(x):
        return {} * x
    kept.append(scaled(x))
    """
    first = "import nbgrad as ng\nng.config.jit = 2\nx, kept = ng.asarray([1.0, 2.0]), []\n"
    script = tmp_path / "script.py"
    cells = [textwrap.dedent(cell).format(factor) for factor in (2.0, 30.0)]
    script.write_text("".join([first, *cells, "print((kept[0] + kept[1]).tolist())"]))
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert said == "[32.0, 64.0]\n"


def test_many_elements_are_not_called_one_by_one(settings):
    """In the interpreter they would take seconds."""
    settings.jit = 1
    before = ng.stats()["interpreted"]
    numpy.testing.assert_allclose(branching(numpy.full(1_000_000, 2.0), 1.0)[0], math.exp(-2.0), rtol=1e-15)
    assert ng.stats()["interpreted"] <= before + 1
