"""Gradients that are called from Numba's functions."""

import inspect

import numba
import numpy
import pytest
from exported import LOOPS, TABLE, arguments, attraction, one_of_two, rosenbrock, slope, taken
from numba.core.errors import TypingError
from numba.core.runtime import _nrt_python, rtsys

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, KernelError
from nbgrad.export.program import NativeProgram


def check(compiled, by_numpy, values):
    """Value and gradients against NumPy's value and differences of it."""
    value, *grads = compiled(*values)
    grads = grads[0] if len(values) > 1 else grads
    assert value == pytest.approx(by_numpy(*values), rel=1e-10)
    along = arguments([v.shape for v in values], 5)
    found = sum(numpy.sum(g * d) for g, d in zip(grads, along, strict=True))
    assert found == pytest.approx(slope(by_numpy, values, along), rel=2e-6, abs=1e-6)
    for g, v in zip(grads, values, strict=True):
        assert (type(g), g.shape, g.dtype) == (numpy.ndarray, v.shape, v.dtype)


def compiled(function, shapes, **options):
    both = ng.value_and_grad(function, tuple(range(len(shapes))) if len(shapes) > 1 else 0)
    return ng.jit(both).njit(*arguments(shapes), **options)


@pytest.mark.parametrize(("function", "example", "other"), TABLE, ids=lambda x: getattr(x, "__name__", ""))
def test_gradients_at_other_sizes(function, example, other):
    made = compiled(function, example)
    other = [other] if len(example) > 1 else [[s] for s in (other if isinstance(other, list) else [other])]
    for shapes in (example, *other):
        check(made, function, arguments(shapes, 3))


@pytest.mark.parametrize(("function", "by_numpy", "example", "other"), LOOPS, ids=lambda x: getattr(x, "__name__", ""))
def test_loops_and_choices(function, by_numpy, example, other):
    made = compiled(function, example)
    for shapes in (example, other):
        check(made, by_numpy, arguments(shapes, 3))
    check(made, by_numpy, [-v for v in arguments(example, 4)])
    check(compiled(function, example, fixed=True), by_numpy, arguments(example, 3))


def test_a_loop_of_ones_own_calls_it_without_python():
    slope = ng.jit(ng.value_and_grad(lambda x, a: np.exp(a * x) - np.sin(x) - 2.0)).njit(0.5, 1.0)

    @numba.njit
    def root(x, a):
        for _ in range(30):
            value, slope_ = slope(x, a)
            x -= value / slope_
        return x

    x = root(0.5, 1.3)
    assert numpy.exp(1.3 * x) - numpy.sin(x) == pytest.approx(2.0, abs=1e-12)


def test_threads_call_it_at_one_time():
    made = compiled(rosenbrock, [(5,)])

    @numba.njit(parallel=True)
    def each(xs, values, grads):
        for i in numba.prange(xs.shape[0]):
            values[i], grads[i] = made(xs[i])

    xs = arguments([(200, 3000)])[0]  # more than what is kept on the stack
    values, grads = numpy.empty(200), numpy.empty((200, 3000))
    each(xs, values, grads)
    expected = [made(x) for x in xs]
    numpy.testing.assert_array_equal(values, [v for v, _ in expected])
    numpy.testing.assert_array_equal(grads, [g for _, g in expected])


@pytest.mark.parametrize("size", [5, 5000])
def test_nothing_is_allocated_but_results(size):
    returned, into = (compiled(lambda x: np.sum(np.exp(-(np.cumsum(x) ** 2))), [(5,)], into=i) for i in (False, True))

    @numba.njit
    def returning(x, times):
        total = 0.0
        for _ in range(times):
            value, grad = returned(x)
            total += value + grad[0]
        return total

    @numba.njit
    def writing(x, value, grad, times):
        for _ in range(times):
            into(x, value, grad)

    x, value, grad = arguments([(size,)])[0], numpy.empty(()), numpy.empty(size)
    returning(x, 1), writing(x, value, grad, 1)
    _nrt_python.memsys_enable_stats()
    counts = []
    for call in (returning, x), (writing, x, value, grad):
        for times in (100, 300):  # arrays of Python that are handed over count, too
            before = rtsys.get_allocation_stats().mi_alloc
            call[0](*call[1:], times)
            counts.append(rtsys.get_allocation_stats().mi_alloc - before)
    _nrt_python.memsys_disable_stats()
    assert (counts[1] - counts[0], counts[3] - counts[2]) == (200, 0)
    assert (float(value), grad.tolist()) == (returned(x)[0], returned(x)[1].tolist())


def test_nests_of_arguments_and_results():
    def f(params, x):
        return {"loss": np.sum(params["w"] * x) + params["b"], "all": [x * 2.0, (params["w"],)]}

    made = ng.jit(f).njit({"w": numpy.ones(4), "b": 2.0}, numpy.ones(4))
    assert list(inspect.signature(made.py_func).parameters) == ["params_b", "params_w", "x"]
    (double, (same,)), loss = [made(1.5, numpy.arange(3.0), numpy.ones(3))[k] for k in (1, 0)]
    numpy.testing.assert_array_equal(double, 2 * numpy.ones(3))
    numpy.testing.assert_array_equal(same, numpy.arange(3.0))
    assert loss == 4.5


def test_dtypes_and_layouts():
    x = numpy.arange(12, dtype="float32").reshape(3, 4)
    single = ng.jit(ng.value_and_grad(lambda x: np.mean(x**2))).njit(x)
    value, grad = single(numpy.asfortranarray(x))
    assert (grad.dtype, numpy.float32(value)) == (numpy.float32, numpy.mean(x**2))
    numpy.testing.assert_allclose(grad, x / 6, rtol=1e-6)
    gathered = ng.jit(ng.grad(taken)).njit(numpy.ones(4), numpy.array([1, 2, 1]))
    numpy.testing.assert_array_equal(gathered(numpy.arange(4.0), numpy.array([3, 3, 0, 1])), [0, 2, 0, 12])
    z = numpy.array([1 + 2j, 3.0, 0.5j])
    numpy.testing.assert_allclose(ng.jit(ng.grad(lambda z: np.sum(np.abs(z) ** 2))).njit(z)(z[:2]), 2 * z[:2])
    flags = ng.jit(lambda x: (x > 0.0, np.all(x > 0.0))).njit(numpy.ones(3))
    found, every = flags(numpy.array([1.0, -1.0]))
    assert (found.tolist(), found.dtype, every) == ([True, False], numpy.bool_, False)
    assert ng.jit(lambda x: x * 2).njit(3)(5) == 10


def test_arrays_of_the_function_itself():
    table, large = numpy.arange(3.0), numpy.arange(20000.0)
    made = ng.jit(lambda x: np.sum(x[:, None] * table) + np.sum(large) * x[0]).njit(numpy.ones(4))
    x = numpy.array([2.0, 1.0])
    assert made(x) == 9.0 + 2 * large.sum()


def test_sizes_that_stay_what_they_are():
    def f(x, w):
        return np.sum(np.cross(x, w[None]) ** 2)

    made = ng.jit(ng.grad(f)).njit(numpy.ones((5, 3)), numpy.ones(3))
    assert made.py_func.__doc__ == "(x: float64[n, 3], w: float64[3]) -> (float64[n, 3])"
    assert made(numpy.ones((9, 3)), numpy.arange(3.0)).shape == (9, 3)
    with pytest.raises(ValueError, match="axis 1 of x is not of extent 3"):
        made(numpy.ones((9, 4)), numpy.arange(3.0))
    points = ng.jit(attraction).njit(numpy.ones((5, 3)), fixed=(3,))
    assert points.py_func.__doc__ == "(x: float64[n, 3]) -> (float64)"
    assert points(arguments([(7, 3)])[0]) == pytest.approx(attraction(arguments([(7, 3)])[0]))
    with pytest.raises(ArgumentError, match="fixed has 4, which is no extent of the example; expected True, False, or"):
        ng.jit(attraction).njit(numpy.ones((5, 3)), fixed=(4,))
    made = ng.jit(rosenbrock).njit(numpy.ones(5), fixed=True)
    with pytest.raises(ValueError, match="axis 0 of x is not of extent 5"):
        made(numpy.ones(4))


@pytest.mark.parametrize("most", [20, 1000])
def test_a_function_that_chooses_by_the_size_is_not_open(most):
    def f(x):
        return np.sum(x) if x.shape[0] < most else np.sum(x**2)

    program = NativeProgram(ng.jit(f), (numpy.ones(5),), {}, "njit of f")
    assert "at another size: njit of f: output 0 of the compiled function differs" in program.plan.reasons[0]
    assert program.run([numpy.arange(5.0)], ())[1] == [10.0]


def test_arrays_that_the_function_makes_from_a_size():
    def f(x):
        n = x.shape[0]
        line, ramp = numpy.linspace(0.0, 2.0, n), numpy.arange(n, dtype="float32")
        grid = numpy.add.outer(numpy.arange(n), 3 * numpy.arange(n))
        return [
            line * x, ramp * x, grid * x, numpy.eye(n) * x, numpy.tri(n, k=-1) * x, np.where(numpy.tri(n) > 0, x, 2.0)
        ]  # fmt: skip

    made = ng.jit(f).njit(numpy.ones(5))
    x = arguments([(9,)])[0]
    for a, b in zip(made(x), f(x), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-14)
    drawn = ng.jit(lambda x: np.sum(numpy.random.default_rng(0).random(x.shape[0]) * x))
    program = NativeProgram(drawn, (numpy.ones(5),), {}, "njit")
    assert program.plan.reasons == {0: "the function makes an array from the size with NumPy; make it an argument"}


def test_an_example_that_only_shows_shapes():
    made = ng.jit(lambda a: np.sum(np.linalg.cholesky(a))).njit(numpy.zeros((3, 3)))
    a = numpy.array([[4.0, 2.0, 0.0], [2.0, 5.0, 1.0], [0.0, 1.0, 3.0]])
    assert made(a) == pytest.approx(numpy.sum(numpy.linalg.cholesky(a)))


def test_the_least_size():
    made = ng.jit(lambda x: np.sum(x[-4:])).njit(numpy.ones(8))
    assert made(numpy.arange(5.0)) == 10.0
    with pytest.raises(ValueError, match="lambda_: a size is too small; expected n >= 4"):
        made(numpy.arange(3.0))


def test_errors():
    made = compiled(lambda x, y: np.sum(x * y), [(5,), (5,)])
    with pytest.raises(ValueError, match="axis 0 of y is not as long as axis 0 of x"):
        made(numpy.ones(3), numpy.ones(4))
    with pytest.raises(
        TypingError, match=r"x is array\(float32, 1d, C\), expected float64, 1d; convert it with .astype"
    ):
        made(numpy.ones(3, "float32"), numpy.ones(3))
    into = compiled(rosenbrock, [(5,)], into=True)
    with pytest.raises(ValueError, match="axis 0 of out1 is not as long as the result"):
        into(numpy.ones(3), numpy.empty(()), numpy.empty(4))
    with pytest.raises(TypingError, match=r"out1 is array.*expected float64, 1d, C-contiguous and writable"):
        into(numpy.ones(3), numpy.empty(()), numpy.empty(6)[::2])
    with pytest.raises(
        KernelError, match=r"eigh is a call of a library that nbgrad makes from Python.*\n    at test_njit.py"
    ):
        ng.jit(lambda x: np.linalg.eigh(x)[0]).njit(numpy.eye(3))
    w = ng.Parameter(numpy.ones(3), name="w")
    with pytest.raises(ArgumentError, match=r"njit of .*reads the Parameter 'w', whose value may change.*argument"):
        ng.jit(lambda x: np.sum(x * w)).njit(numpy.ones(3))
    with pytest.raises(ArgumentError, match="returns 'text', which code of Numba cannot be handed; return arrays"):
        ng.jit(lambda x: (x, "text")).njit(1.0)
    with pytest.raises(ArgumentError, match="into must be True or False"):
        ng.jit(lambda x: x).njit(1.0, into=2)


def test_a_while_loop_without_memory_says_so():
    steps = ng.jit(ng.grad(one_of_two)).njit(numpy.ones(3))
    numpy.testing.assert_allclose(steps(numpy.array([1.0, -3.0])), [3.0, 27.0])


def test_static_arguments_and_keywords():
    made = ng.jit(lambda x, k, *, scale: scale * np.sum(x**k), static_argnums=1).njit(numpy.ones(3), 3, scale=2.0)
    assert made(numpy.array([1.0, 2.0]), 0.5) == 4.5
