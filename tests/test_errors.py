"""Errors: each names the call, the argument, what came and what fits, the user's line, and what to do."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as nx
from nbgrad.config import Config
from nbgrad.errors import describe, site_text
from nbgrad.primitive import elementwise, structural

HERE = "test_errors.py:"


def text(kind, call, *arguments, **keywords):
    """The message of the error that a call raises."""
    with pytest.raises(kind) as caught:
        call(*arguments, **keywords)
    assert isinstance(caught.value, ng.NbgradError)
    return str(caught.value)


def holds(message, *parts):
    for part in parts:
        assert part in message, f"{part!r} is not in: {message}"


def abstract(fn, *arguments):
    """The message of the TracedValueError that tracing a function raises."""
    return text(ng.TracedValueError, ng.jit(fn), *arguments)


X, V = numpy.ones((3, 4)), numpy.ones(3)


# ---------------------------------------------------------------- shapes


def test_shapes_that_do_not_broadcast():
    x, v = ng.asarray(X), ng.asarray(V)
    message = text(ng.ShapeError, lambda: x + v)
    holds(message, "add(x1, x2): shapes (3, 4) and (3,) do not broadcast", "last axes are 4 and 3")
    holds(message, "x1: float64[3, 4]  made at " + HERE, "x2: float64[3]  made at " + HERE)
    holds(message, "x2[:, None]")


def test_the_hint_names_the_smaller_operand():
    holds(text(ng.ShapeError, lambda: ng.asarray(V) + ng.asarray(X)), "x1[:, None]")


def test_shapes_beyond_help_get_no_hint():
    message = text(ng.ShapeError, lambda: ng.asarray(X) + ng.asarray(numpy.ones(5)))
    assert "[:, None]" not in message


def test_matrices_that_do_not_multiply():
    message = text(ng.ShapeError, lambda: ng.asarray(X) @ ng.asarray(numpy.ones((3, 2))))
    holds(message, "matmul", "(3, 4)", "(3, 2)", HERE)


def test_reshape_to_another_number_of_elements():
    holds(text(ng.ShapeError, nx.reshape, ng.asarray(X), (5, 2)), "reshape", "(3, 4)", "12", "(5, 2)")


def test_axis_out_of_range():
    holds(text(ng.ShapeError, nx.sum, ng.asarray(X), axis=2), "sum: axis 2 is out of range", "2 dimensions")


def test_axis_named_twice():
    holds(text(ng.ShapeError, nx.sum, ng.asarray(X), axis=(0, 0)), "sum", "twice")


def test_axis_of_the_wrong_kind():
    holds(text(ng.ArgumentError, nx.sum, ng.asarray(X), axis="rows"), "axis must be an integer", "'rows'")


def test_seed_of_the_wrong_shape():
    x = ng.asarray(V)
    holds(text(ng.ShapeError, ng.gradients, x * x, x, grad_ys=ng.asarray(X)), "gradients", "(3, 4)", "(3,)")


def test_extremum_of_nothing():
    holds(text(ng.ShapeError, nx.max, ng.asarray(numpy.ones((0, 3)))), "max", "no elements")


def test_shape_errors_are_value_errors():
    assert issubclass(ng.ShapeError, ValueError)
    assert issubclass(ng.DtypeError, TypeError)
    assert issubclass(ng.GradientError, ValueError)
    assert issubclass(ng.DeviceError, ValueError)
    assert issubclass(ng.ArgumentError, TypeError)
    assert issubclass(ng.MissingRuleError, LookupError)
    assert issubclass(ng.TracedValueError, RuntimeError)
    assert issubclass(ng.KernelError, TypeError)


# ---------------------------------------------------------------- dtypes and devices


@pytest.mark.parametrize("dtype", ["float128", "datetime64[s]"])
def test_dtypes_that_are_not_supported(dtype):
    holds(
        text(ng.DtypeError, ng.asarray, numpy.ones(2, dtype)), "asarray", dtype, "supported are", "float64", ".astype"
    )


def test_what_is_not_a_dtype():
    holds(text(ng.DtypeError, ng.asarray, V, dtype="flota"), "asarray", "'flota'", "not a dtype")


def test_what_is_not_an_array():
    for bad in ("text", object(), [1.0, "a"], [[1.0], [1.0, 2.0]]):
        holds(text(ng.ArgumentError, ng.asarray, bad), "asarray", "'x'", type(bad).__name__)


def test_arithmetic_of_truth():
    holds(text(ng.DtypeError, lambda: -ng.asarray([True])), "negative", "booleans", ".astype('int64')")


def test_bits_of_floats():
    holds(text(ng.DtypeError, lambda: ng.asarray(V) & 1), "bitwise_and", "float64", "integers")


def test_a_number_that_does_not_fit():
    holds(text(ng.DtypeError, lambda: ng.asarray([1], dtype="int8") + 1000), "1000", "int8")


def test_devices_that_do_not_exist():
    for bad in ("gpu", "cuda:", "cuda:one", "cuda:-1", 0, b"cuda"):
        message = text(ng.DeviceError, ng.asarray, V, device=bad)
        holds(message, f"asarray: device {bad!r} is not one", "expected 'cpu', 'cuda' or 'cuda:<number>'")
    holds(text(ng.DeviceError, ng.asarray(V).to, "gpu"), "to: device 'gpu' is not one")


# ---------------------------------------------------------------- gradients


def test_gradient_by_integers():
    holds(text(ng.DtypeError, ng.grad(lambda x: x * 2), ng.asarray([1, 2])), "grad", "argument 0", "int64", "float")


def test_nothing_flows_to_integers():
    i = ng.asarray([1, 2])
    assert ng.gradients(i * 2.0, [i]) == [None]


def test_unconnected_xs_are_none_or_zeros_on_request():
    x, y = ng.asarray(V), ng.asarray(V)
    assert ng.gradients(y * y, [x]) == [None]
    (zeros,) = ng.gradients(y * y, [x], unconnected_gradients="zero")
    numpy.testing.assert_array_equal(numpy.asarray(zeros), numpy.zeros(3))


def test_unconnected_gradients_of_another_kind():
    x = ng.asarray(V)
    message = text(ng.NbgradError, ng.gradients, x * x, x, unconnected_gradients="maybe")
    holds(message, "unconnected_gradients", "'maybe'", "none", "zero")


def test_position_out_of_range():
    holds(text(ng.GradientError, ng.grad(lambda x: x, 1), V), "grad_position 1 is out of range", "1 argument")


def test_aux_without_a_tuple():
    holds(text(ng.GradientError, ng.grad(lambda x: x * x, has_aux=True), V), "has_aux", "tuple")


def test_a_function_that_returns_no_array():
    holds(text(ng.NbgradError, ng.grad(lambda x: None), V), "grad", "None")


def test_a_path_that_was_read():
    x = ng.asarray(V)
    y = x * 2
    numpy.asarray(y)
    message = text(ng.HistoryError, ng.gradients, y * y, x)
    holds(message, "gradients", "was read", HERE, "Parameter", "nbgrad.grad")


def test_a_primitive_without_a_rule():
    @structural("array", reference=lambda x: x[::-1].copy(), name="errors_reversed")
    def reverse(x):
        return x.shape, x.dtype

    try:
        message = text(ng.MissingRuleError, ng.grad(lambda x: nx.sum(reverse(x))), V)
        holds(message, "grad of errors_reversed", "no VJP", "@errors_reversed.vjp", "ng.stop_gradient", "float64[3]")
    finally:
        forget("errors_reversed")


def test_a_rule_that_returns_too_few_cotangents():
    @structural("array", reference=lambda x, y: x + y, name="errors_sum")
    def sum_of_two(x, y):
        return x.shape, x.dtype

    @sum_of_two.vjp
    def sum_vjp(g):
        return g

    try:
        holds(text(ng.MissingRuleError, ng.grad(sum_of_two), V, V), "errors_sum", "1 cotangents for 2 inputs")
    finally:
        forget("errors_sum")


def forget(name):
    """Take a primitive of a test out of the registry again."""
    from nbgrad import primitive

    primitive._registry.pop(name, None)


def test_a_primitive_declared_twice():
    @elementwise(numpy.add, name="errors_twice")
    def first(x1, x2):
        return x1 + x2

    try:
        with pytest.raises(ng.NbgradError) as caught:

            @elementwise(numpy.add, name="errors_twice")
            def second(x1, x2):
                return x1 + x2

        holds(str(caught.value), "'errors_twice' is declared twice", HERE, "another name")
        assert str(caught.value).count(HERE) == 2
    finally:
        forget("errors_twice")


def test_a_kernel_that_cannot_be_compiled(settings):
    @elementwise(numpy.positive, name="errors_dictionary")
    def dictionary(x):
        return {"x": x}

    settings.jit = 2
    try:
        message = text(ng.KernelError, ng.jit(lambda x: dictionary(x)), V)
        holds(message, "errors_dictionary", "def kernel(args, start, stop):")
        with pytest.raises(ng.KernelError) as caught:
            ng.jit(lambda x: dictionary(x))(V)
        assert caught.value.__cause__ is not None
    finally:
        forget("errors_dictionary")


def test_a_primitive_of_two_called_with_one():
    from nbgrad.kernels.arithmetic import add

    holds(text(ng.ArgumentError, add, V), "add", "takes 2 arguments, got 1")


# ---------------------------------------------------------------- reads of abstract values


def branching(x):
    return x if nx.sum(x) > 0 else -x


READS = {
    "if": branching,
    "float": lambda x: x * float(nx.sum(x)),
    "int": lambda x: x * int(nx.sum(x)),
    "__array__": lambda x: x * x.__array__(),
    "item": lambda x: x * nx.sum(x).item(),
    "tolist": lambda x: x.tolist(),
    "realize": lambda x: (x * 2).realize(),
    "numpy": lambda x: x.numpy(),
    "a mask": lambda x: x[x > 0],
}


@pytest.mark.parametrize("way", READS)
def test_reading_an_abstract_value(way):
    message = abstract(READS[way], V)
    holds(message, "jit", "ng.where", HERE)


def test_the_fix_for_an_abstract_value():
    message = abstract(branching, V)
    holds(message, "abstract array", "ng.where", "static_argnums", "float()")
    holds(message, "input: float64[3]")


def test_showing_an_abstract_array_is_no_error():
    shown = []

    def look(x):
        shown.append(repr(x * 2))
        return x

    ng.jit(look)(V)
    assert "traced" in shown[0]
    assert "shape=(3,)" in shown[0]


def test_assigning_a_parameter_inside_jit():
    w = ng.Parameter(V, name="w")

    def update(x):
        w.assign(w - x)
        return x

    holds(abstract(update, V), "Parameter.assign", "w", "outside")


def test_static_arguments_must_be_hashable():
    fn = ng.jit(lambda x, n: x, static_argnums=1)
    holds(text(ng.ArgumentError, fn, V, [1]), "static", "hashable", "[1]")


def test_jit_of_what_is_not_callable():
    holds(text(ng.ArgumentError, ng.jit, 3), "jit", "callable", "int 3")


# ---------------------------------------------------------------- settings


def test_settings_out_of_range(settings):
    for bad in (3, -1, "fast", None):
        with pytest.raises(ng.ArgumentError, match=r"config\.jit \(NBGRAD_JIT\).*expected 0, 1 or 2"):
            settings.jit = bad
    for bad in (0, -2, 1.5, "many"):
        with pytest.raises(ng.ArgumentError, match=r"config\.threads \(NBGRAD_THREADS\).*at least 1"):
            settings.threads = bad


def test_environment_variables_out_of_range():
    holds(text(ng.ArgumentError, Config, {"NBGRAD_JIT": "yes"}), "NBGRAD_JIT='yes'", "expected an integer")
    holds(
        text(ng.ArgumentError, Config, {"NBGRAD_MPI_TIMEOUT": "soon"}), "NBGRAD_MPI_TIMEOUT='soon'", "expected a number"
    )
    holds(text(ng.ArgumentError, Config, {"NBGRAD_JIT": "7"}), "NBGRAD_JIT", "7", "0, 1 or 2")
    holds(text(ng.ArgumentError, Config, {"NBGRAD_COMPILER": "cloud"}), "NBGRAD_COMPILER", "'cloud'", "'process'")
    holds(text(ng.ArgumentError, Config, {"NBGRAD_THREADS": "0"}), "NBGRAD_THREADS", "at least 1")


def test_environment_variables_are_read():
    config = Config({"NBGRAD_JIT": "0", "NBGRAD_THREADS": "3", "NBGRAD_CACHE_DIR": ""})
    assert (config.jit, config.threads, config.cache_dir) == (0, 3, "")


# ---------------------------------------------------------------- arrays


def test_the_truth_of_several_elements():
    with pytest.raises(ValueError, match=r"truth of an array with 3 elements is ambiguous.*\.any\(\) or \.all\(\)"):
        bool(ng.asarray(V))


def test_the_item_of_several_elements():
    holds(text(ng.ArgumentError, ng.asarray(V).item), "item", "3 elements", HERE)


def test_an_index_out_of_range():
    with pytest.raises(IndexError, match="index 3 is out of range for axis 0 of extent 3"):
        ng.asarray(V)[3]


def test_a_parameter_of_another_shape():
    w = ng.Parameter(V, name="bias")
    holds(text(ng.ShapeError, w.assign, X), "Parameter.assign", "bias", "(3,)", "(3, 4)")


def test_describe_names_the_line():
    x = ng.asarray(V)
    line = describe(x, "x")
    assert line.startswith("x: float64[3]  made at test_errors.py:")
    assert site_text(None) == ""
    assert describe("a" * 100, "y").endswith("...")


def test_array_constructor_points_to_asarray():
    with pytest.raises(ng.ArgumentError, match=r"Array: expected a node of a graph, got .*use nbgrad\.asarray"):
        ng.Array(numpy.ones(3))
