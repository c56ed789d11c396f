"""nans: the operation that makes a nan is named, with the line, the pass, the place and the operands."""

import os
import subprocess
import sys

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.config import Config, config


def line_of(fn, text):
    """``file.py:12`` of the line of a function that holds `text`."""
    import inspect

    lines, first = inspect.getsourcelines(fn)
    (at,) = [first + i for i, line in enumerate(lines) if text in line]
    return f"{os.path.basename(__file__)}:{at}"


def caught(fn, *args, **options):
    """The NonFiniteError of a call under `nans`."""

    def read():
        return numpy.asarray(fn(*args))  # lazy results are computed when they are read

    with ng.debug.nans(**options), pytest.raises(ng.NonFiniteError) as error:
        read()
    return error.value


def shifted(z):
    return np.log(z - 2.0)  # the planted one


def through_log(x):
    y = np.sin(x)
    return np.sum(shifted(y) * 2.0)


def at_zero(x):
    return np.sum(np.sqrt(x) * 0.0)


def masked(x):
    return np.sum(np.where(x > 0, np.sqrt(x), 0.0))


X = ng.asarray([4.0, 0.0, -1.0])

TRANSFORMS = {
    "plain": lambda f: f,
    "jit": ng.jit,
    "grad": ng.grad,
    "jit of grad": lambda f: ng.jit(ng.grad(f)),
    "grad of jit": lambda f: ng.grad(ng.jit(f)),
    "jit of value_and_grad": lambda f: ng.jit(ng.value_and_grad(f)),
    "jit in jit": lambda f: ng.jit(lambda x: ng.jit(f)(x) + 1.0),
    "jit of second grad": lambda f: ng.jit(ng.grad(lambda x: np.sum(ng.grad(f)(x)))),
    "jvp": lambda f: lambda x: ng.jvp(f, x, x * 0.0 + 1.0)[0],
    "vjp": lambda f: lambda x: ng.vjp(f, x)[1](ng.asarray(1.0))[0],
    "vmap": lambda f: lambda x: ng.vmap(f)(np.reshape(x, (1, 3))),
    "jit of vmap": lambda f: lambda x: ng.jit(ng.vmap(f))(np.reshape(x, (1, 3))),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=list(TRANSFORMS))
def test_a_planted_nan_is_found_with_line_operation_and_place(transform):
    error = caught(transform(through_log), X)
    text = str(error)
    assert (error.operation, error.backward_of, error.count) == ("log", None, 3)
    assert error.index in ((0,), (0, 0))  # the latter in a vmap
    assert error.where == line_of(shifted, "planted")
    assert text.startswith(f"log(x): makes a nan out of operands that hold none, in the forward pass at {error.where}.")
    assert "= nan, the first of 3 in 3 elements" in text
    assert f"= {numpy.sin(4.0) - 2.0}" in text
    assert "Keep the operands inside of the domain" in text


def test_a_function_that_was_compiled_before_is_looked_at_anew():
    f = ng.jit(ng.value_and_grad(through_log))
    before = f(X)
    assert caught(f, X).operation == "log"
    after = f(X)  # and afterwards the compiled program runs again
    assert numpy.isnan(float(before[0]))
    assert numpy.isnan(float(after[0]))
    assert numpy.array_equal(numpy.asarray(before[1]), numpy.asarray(after[1]))


@pytest.mark.parametrize("wrap", [lambda f: f, ng.jit], ids=["plain", "jit"])
@pytest.mark.parametrize(
    ("function", "line"), [(at_zero, "np.sqrt(x) * 0.0"), (masked, "np.where(x > 0")], ids=["times zero", "where"]
)
def test_a_nan_that_only_the_backward_pass_makes(wrap, function, line):
    x = ng.asarray([1.0, 0.0])
    assert numpy.isfinite(float(function(x)))
    error = caught(wrap(ng.grad(function)), x)
    assert (error.backward_of, error.index, error.count) == ("sqrt", (1,), 1)
    assert error.where == line_of(function, line)
    assert f"in the backward pass of sqrt at {error.where}" in str(error)
    assert "[1] = 0.0" in str(error)
    assert "a np.where behind it does not help" in str(error)


@pytest.mark.parametrize("wrap", [lambda f: f, ng.jit], ids=["plain", "jit"])
def test_the_backward_pass_is_known_through_vmap(wrap):
    error = caught(wrap(ng.vmap(ng.grad(at_zero))), ng.asarray([[1.0, 4.0], [1.0, 0.0]]))
    assert (error.backward_of, error.index) == ("sqrt", (1, 1))
    assert error.where == line_of(at_zero, "np.sqrt(x) * 0.0")


def scanned(x):
    def step(c, v):
        return c + np.log(v - 2.0), c * v  # in a loop

    return ng.scan(step, ng.asarray(0.0), x)[0]


@pytest.mark.parametrize("wrap", [lambda f: f, ng.jit, ng.grad], ids=["plain", "jit", "grad"])
def test_the_step_of_a_loop_is_named(wrap):
    error = caught(wrap(scanned), ng.asarray([3.0, 4.0, 1.0, 5.0]))
    assert (error.operation, error.index) == ("log", ())
    assert str(error).startswith("in step 2 of a loop of 4 steps, in the forward pass at test_nonfinite.py:")
    assert f"log(x): makes a nan out of operands that hold none, in the forward pass at {line_of(scanned, 'loop')}" in (
        str(error)
    )
    assert "x = -1.0" in str(error)


def steps_on(c, v):
    return c - np.sqrt(v - 1.0)


def stepped_back(x):
    return ng.scan(lambda c, v: (c * steps_on(c, v), None), ng.asarray(1.0), x, reverse=True)[0]


def chosen(p, x):
    return np.sum(ng.cond(p, lambda x: np.log(x - 3.0), lambda x: np.sqrt(x - 2.0) * 0.0, x))


def rooted(x):
    step = lambda s: (np.sqrt(s[0] - 1.0), s[1] + 1)  # noqa: E731
    return np.sum(ng.while_loop(lambda s: s[1] < 5, step, (x, 0))[0])


def lowered(x):
    step = lambda s: (s[0] - 1.0 + np.sqrt(s[0] - 2.0) * 0.0, s[1] + 1)  # noqa: E731
    return np.sum(ng.while_loop(lambda s: s[1] < 3, step, (x, 0))[0])


def compared(x):
    return ng.while_loop(lambda s: np.log(s - 1.0) > -1.0, lambda s: s - 1.5, x)


def branch_in_a_step(x):
    step = lambda c, v: (ng.cond(v > 1.0, np.log, lambda c: c - 1.0, c), None)  # noqa: E731
    return np.sum(ng.scan(step, x, np.arange(4.0))[0])


@pytest.mark.parametrize("wrap", [lambda f: f, ng.jit], ids=["plain", "jit"])
@pytest.mark.parametrize(("fn", "args", "place", "made"), [
    (ng.grad(stepped_back), ([3.0, 1.0, 2.0],), "step 1 of a loop of 3 steps", ("divide", "sqrt", ())),
    (lambda x: chosen(True, x), ([4.0, 2.0],), "branch 1 of a choice between 2", ("log", None, (1,))),
    (lambda x: chosen(False, x), ([4.0, 1.0],), "branch 0 of a choice between 2", ("sqrt", None, (1,))),
    (ng.grad(lambda x: chosen(False, x)), ([2.0, 4.0],), "branch 0 of a choice between 2", ("divide", "sqrt", (0,))),
    (rooted, ([10.0, 20.0],), "step 3 of a while_loop", ("sqrt", None, (0,))),  # 3, 1.41, 0.64
    (ng.grad(rooted), ([10.0, 20.0],), "step 3 of a while_loop", ("sqrt", None, (0,))),
    (ng.grad(lowered), ([9.0, 3.0],), "step 2 of a while_loop", ("sqrt", None, (1,))),
    (ng.grad(lowered), ([9.0, 4.0],), "step 2 of a while_loop of 3 steps", ("divide", "sqrt", (1,))),
])  # fmt: skip
def test_steps_and_branches_are_named_both_ways(fn, args, place, made, wrap):
    error = caught(wrap(fn), *map(ng.asarray, args))
    assert str(error).startswith(f"in {place}, in the ")
    assert (error.operation, error.backward_of, error.index) == made
    assert error.where.startswith("test_nonfinite.py:")


def test_what_reaches_no_result_is_found_in_steps_and_conditions():
    error = caught(ng.jit(compared), ng.asarray(3.0), masked=True)
    assert str(error).startswith("in the condition before step 2 of a while_loop, in the forward pass at ")
    assert (error.operation, error.where) == ("log", line_of(compared, "np.log"))
    with ng.debug.nans():
        assert compared(ng.asarray(3.0)) == 0.0  # the comparison with a nan does not hold


def test_a_branch_in_a_step_is_named_with_both():
    first, second, third, *_ = str(caught(branch_in_a_step, ng.asarray([3.0, 1.5]))).splitlines()
    assert first.startswith("in step 2 of a loop of 4 steps, ")
    assert second.startswith("in branch 1 of a choice between 2, ")
    assert third.startswith("log(x): makes a nan out of operands that hold none")


def test_branches_that_are_not_taken_are_not_looked_at():
    with ng.debug.nans():
        assert chosen(True, ng.asarray([4.0, 4.0])) == 0.0  # the root of 2.0 is not, either


def test_functions_with_rules_of_their_own_are_named():
    @ng.custom_vjp
    def halved(x):
        return x

    halved.defvjp(lambda x: (x, x), lambda kept, g: (g / (kept - kept),))
    error = caught(ng.jit(ng.grad(lambda x: np.sum(halved(x) * 0.0))), ng.asarray([1.0, 2.0]))
    assert (error.operation, error.backward_of) == ("divide", "custom_vjp of halved")


def test_what_a_checkpoint_computes_again_is_of_the_forward_pass():
    def flat(x):
        return np.sqrt(np.sin(x) * 0.0)

    inner = ng.checkpoint(flat)
    error = caught(ng.jit(ng.grad(lambda x: np.sum(inner(x)))), ng.asarray([1.0, 2.0]), infs=True)
    assert error.backward_of == "sqrt"
    assert error.where == line_of(flat, "return")


def test_the_advice_helps():
    def mended(x):
        return np.sum(np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0))

    with ng.debug.nans(infs=True, masked=True):
        found = ng.jit(ng.grad(mended))(ng.asarray([4.0, 0.0]))
    assert numpy.asarray(found).tolist() == [0.25, 0.0]


def test_second_derivatives_say_through_how_many_passes():
    error = caught(ng.jit(ng.grad(lambda x: np.sum(ng.grad(lambda v: np.sum(v**1.5))(x)))), ng.asarray([1.0, 0.0]),
                   infs=True)  # fmt: skip
    assert "in the backward pass of the backward pass of power" in str(error)
    assert error.index == (1,)


def test_infinities_only_where_they_are_asked_for():
    def f(x):
        return np.exp(x * 1000.0)

    with ng.debug.nans():
        assert numpy.isinf(numpy.asarray(ng.jit(f)(X))[0])
    error = caught(ng.jit(f), X, infs=True)
    assert str(error).startswith("exp(x): makes an inf out of finite operands")
    assert (error.operation, error.index, error.count) == ("exp", (0,), 1)
    assert "x[0] = 4000.0" in str(error)


@pytest.mark.parametrize("wrap", [lambda f: f, ng.jit], ids=["plain", "jit"])
def test_complex_numbers(wrap):
    error = caught(wrap(lambda z: np.log(z) * 0.0), ng.asarray([1.0 + 1.0j, 0.0]))
    assert (error.operation, error.index) == ("multiply", (1,))
    assert "(nan+nanj)" in str(error)
    assert "x1[1] = (-inf+0j)" in str(error)


def test_values_that_reach_no_result_are_let_be_unless_asked_for():
    with ng.debug.nans():
        assert float(ng.jit(masked)(X)) == 2.0
    error = caught(ng.jit(masked), X, masked=True)
    assert (error.operation, error.index) == ("sqrt", (2,))


def test_an_input_that_holds_a_nan_is_named():
    bad = ng.asarray([1.0, float("nan")])
    error = caught(ng.jit(lambda d: np.sum(d["w"])), {"w": bad})
    assert error.operation is None
    assert error.index == (1,)
    assert str(error).startswith("argument 0['w']: holds a nan before anything is computed, and it reaches a result.")
    assert "test_nonfinite.py:" in str(error)
    assert "argument 1" in str(caught(ng.jit(lambda x, y: x + y), X, numpy.full(3, numpy.nan)))


def test_a_parameter_and_a_captured_array_are_named_where_they_hold_a_nan():
    p = ng.Parameter([1.0, float("nan")], name="weights")
    assert str(caught(ng.jit(lambda: np.sum(p)))).startswith("Parameter weights: holds a nan")
    captured = ng.asarray([float("nan")])
    assert str(caught(ng.jit(lambda x: x + captured), ng.asarray([1.0]))).startswith("an input: holds a nan")
    assert str(caught(lambda x: x * float("nan"), X)).startswith("a number: holds a nan")


def test_missing_values_that_are_left_out_are_no_error():
    data = ng.asarray([1.0, float("nan"), 3.0])
    with ng.debug.nans(infs=True):
        assert float(ng.jit(np.nansum)(data)) == 4.0


def test_the_first_of_several_is_reported():
    def f(x):
        a = np.sqrt(x - 10.0)
        return np.sum(np.log(x - 10.0) + a)

    assert caught(ng.jit(f), X).operation == "sqrt"


def test_reductions_show_the_range_of_their_operands():
    error = caught(ng.jit(lambda x: np.prod(x)), ng.asarray([1e200, 1e200, 2.0]), infs=True)
    assert "x from 2.0 to 1e+200" in str(error)


def functions():
    def network(x):
        return np.sum(np.tanh(np.matmul(np.reshape(x, (3, 4)), np.reshape(x, (4, 3)))))

    return [
        network,
        lambda x: np.sum(np.cumsum(x)[::2] * np.sort(x)[1::2]),
        lambda x: np.max(np.concatenate([x, x * 2.0])) + np.mean(x),
        lambda x: np.sum(np.real(np.exp(x * 1j) * np.conj(x * (1 + 2j)))),
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("k", range(4))
def test_what_is_looked_at_has_the_values_that_it_has_otherwise(k, dtype, rng):
    f, x = ng.jit(ng.value_and_grad(functions()[k])), ng.asarray(rng.normal(size=12).astype(dtype))
    with ng.debug.nans(infs=True):
        looked_at = f(x)
    expected = f(x)
    tolerance = {"float64": 1e-12, "float32": 2e-5, "float16": 2e-2}[dtype]
    for a, b in zip(looked_at, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        numpy.testing.assert_allclose(numpy.asarray(a), numpy.asarray(b), rtol=tolerance, atol=tolerance)


def test_settings_are_put_back_after_an_error():
    caught(through_log, X)
    assert config.check_values == ()
    with ng.debug.nans():
        with ng.debug.nans(infs=True):
            assert config.check_values == ("nan", "inf")
        assert config.check_values == ("nan",)


def test_nothing_is_noted_while_it_is_off():
    x = ng.asarray([1.0, 2.0])
    y = np.log(x)
    (g,) = ng.gradients(y, x)
    assert g._node.fact("derivative_of") is None
    with ng.debug.nans():
        (g,) = ng.gradients(y, x)
    assert g._node.fact("derivative_of") is y._node


def test_the_setting_checks_its_words():
    assert Config({"NBGRAD_CHECK_VALUES": "inf, nan"}).check_values == ("nan", "inf")
    assert Config({}).check_values == ()
    with pytest.raises(ng.ArgumentError, match=r"config.check_values \(NBGRAD_CHECK_VALUES\): got 'nans', expected"):
        Config({"NBGRAD_CHECK_VALUES": "nans"})
    with pytest.raises(ng.ArgumentError, match="does not say what to look for; add 'nan' or 'inf'"):
        config.check_values = "masked"
    with pytest.raises(ng.ArgumentError, match="nans: infs must be True or False"), ng.debug.nans(infs=3):
        pass


def test_the_variable_serves_a_script_that_says_nothing_of_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import nbgrad as ng, nbgrad.numpy as np\n\nprint(ng.jit(np.log)(ng.asarray([-1.0])))\n")
    env = {**os.environ, "NBGRAD_CHECK_VALUES": "nan"}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "NonFiniteError: log(x): makes a nan out of operands that hold none" in done.stderr
    assert "script.py:3" in done.stderr


def test_the_error_is_a_floating_point_error():
    assert isinstance(caught(through_log, X), FloatingPointError)
