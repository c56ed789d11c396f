"""Kernels for CUDA whose threads work together, their IR executed on the CPU in several orders of the threads."""

import re

import numpy
import pytest
from primitives.table import ON_DEVICES, ON_THE_HOST
from primitives.test_values import each

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import graph
from nbgrad.compile.cuda.lower import Code
from nbgrad.errors import KernelError
from nbgrad.kernels import cumulative, indexing, linalg, reduction, sorting
from nbgrad.testing import cuda
from nbgrad.testing.cuda import lowered

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")

ORDERS = ("down", "up", "random")


def executed(low, arguments, **grid):
    """Results of a program, which must be the same bits in any order of blocks and threads, of grids of any size."""
    results = [
        cuda.run(low, arguments, order=numpy.random.default_rng(3) if order == "random" else order, **grid)
        for order in ORDERS
    ]
    results.append(cuda.run(low, arguments, grid=1))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            numpy.testing.assert_array_equal(a, b)
    return results[0]


def assert_as_exact(found, expected, ulp, scale=None):
    """Found values are as near to expected ones as a row of the table asks for."""
    expected = numpy.asarray(expected).astype(found.dtype if found.dtype.kind != "f" else "longdouble")
    assert found.shape == expected.shape
    if found.dtype.kind != "f":
        numpy.testing.assert_array_equal(found, expected)
        return
    eps = numpy.finfo(found.dtype).eps
    scale = max([abs(float(e)) for e in expected.ravel()], default=0.0) if scale is None else scale
    numpy.testing.assert_allclose(found, expected, rtol=max(ulp, 1) * eps, atol=max(ulp, 1) * eps * scale)


@each(ON_DEVICES, "float64", "float32", "int64", "int32", "int8", "uint8", "bool")
def test_values(row, dtype):
    """Every primitive of whole arrays gives what its oracle says, also of arrays of no elements."""
    for case in (*row.cases, *row.empty):
        arguments = row.arguments(case, dtype)
        low = lowered(lambda *a, c=case: row.primitive(*a, **c.attrs), *arguments)
        assert not any(launch.host for launch in low.launches), "computed on the host"
        (found,) = executed(low, arguments)
        assert found.dtype == row.primitive(*map(ng.asarray, arguments), **case.attrs).dtype
        if found.size:
            assert_as_exact(found, row.oracle(*arguments, **case.attrs), row.ulp)


@each(ON_THE_HOST, "float64")
def test_what_has_no_kernel_is_called_by_its_name(row, dtype):
    """Launches on the host say which primitive it is; the warning names it."""
    case = row.cases[0]
    arguments = row.arguments(case, dtype)
    low = lowered(lambda *a: row.primitive(*a, **case.attrs), *arguments)
    assert [launch.name for launch in low.launches if launch.host] == [row.name]


LAYOUTS = [
    ((7, 130), (1,)), ((7, 130), (0,)), ((300, 3), (0,)), ((3, 5000), (1,)), ((9000, 3), (0,)), ((2, 20000), (1,)),
    ((20000,), (0,)), ((5, 33, 6), (0, 2)), ((5, 33, 6), (1,)), ((4, 3, 2, 5), (1, 3)), ((600, 40), (1,)),
    ((1, 6000, 2), (1,)), ((513, 1), (1,)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axes"), LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_reductions_of_all_layouts(rng, shape, axes, dtype):
    """Rows within a warp, of whole blocks, in parts, and columns; results that share a nest, stored values too."""
    x = rng.normal(size=shape).astype(dtype)

    def f(xp, x):
        y = x * x
        return xp.sum(x, axis=axes), xp.max(x, axis=axes), xp.sum(y, axis=axes), y

    low = lowered(lambda x: f(np, x), x)
    exact = f(numpy, x.astype("longdouble"))
    size = float(numpy.abs(x).sum(axis=axes).max())
    for found, expected in zip(executed(low, [x]), exact, strict=True):
        assert found.dtype == dtype
        assert_as_exact(found, expected.astype("float64"), 8, size)
    assert len(low.launches) == 1 or shape[1] == 1


def test_sums_keep_what_rounding_would_lose():
    """One large number, and many that are each less than its last place."""
    x = numpy.full(1 << 15, 2.0**-30, "float32")
    x[0] = 1.0
    (found,) = executed(lowered(np.sum, x), [x])
    assert abs(float(found) - (1 + (len(x) - 1) * 2.0**-30)) <= 2.0**-23


@pytest.mark.parametrize("shape", [(37, 19), (700, 50), (5, 1300), (2000, 4), (1, 40), (3000, 2)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nests_over_the_same_rows(rng, shape, dtype):
    """Layer normalisation and its gradients by rows and by columns: one launch."""
    x, w, b = rng.normal(size=shape).astype(dtype), *rng.normal(size=(2, shape[1])).astype(dtype)

    def layer(x, w, b):
        m = np.mean(x, axis=1, keepdims=True)
        v = np.mean((x - m) ** 2, axis=1, keepdims=True)
        return np.sum(np.sin((x - m) / np.sqrt(v + 1e-3) * w + b))

    gradient = ng.grad(layer, grad_position=(0, 1, 2))
    low = traced(gradient, x, w, b)
    ng.config.jit = 2
    assert len(low.launches) <= len(ng.jit(gradient).lower(x, w, b).launches)
    expected = ng.jit(gradient)(*(a.astype("float64") for a in (x, w, b)))
    for found, e in zip(executed(low, (x, w, b)), expected, strict=True):
        assert_as_exact(found, e, 2000)


def traced(fn, *arguments):
    """A program as jit would trace it."""
    graph.state.tracked += 1
    try:
        return lowered(fn, *arguments)
    finally:
        graph.state.tracked -= 1


def test_repeated_indices_are_added_in_order(rng):
    """To the bit what the CPU adds up, one index after another."""
    i = rng.integers(0, 40, 2000)
    f = lambda b, i, v: indexing.scatter_add(b, i, np.exp(v), axis=0)  # noqa: E731
    for shape in ((), (5,), (3, 40)):
        arguments = rng.normal(size=(40, *shape)), i, rng.normal(size=(2000, *shape))
        (found,) = executed(lowered(f, *arguments), arguments)
        ng.config.jit = 2
        numpy.testing.assert_array_equal(found, numpy.asarray(ng.jit(f)(*arguments)))


def test_of_repeated_places_the_last_is_put(rng):
    base, i, v = rng.normal(size=40), rng.integers(0, 40, 2000), rng.normal(size=2000)
    expected = base.copy()
    for at, value in zip(i, v, strict=True):
        expected[at] = value
    (found,) = executed(lowered(lambda b, i, v: indexing.put(b, i, v, axis=0), base, i, v), (base, i, v))
    numpy.testing.assert_array_equal(found, expected)


PRODUCTS = [
    ((5, 7), (7, 3)), ((70, 40), (40, 90)), ((64, 64), (64, 64)), ((65, 17), (17, 33)), ((3, 50, 20), (20, 33)),
    ((2, 1, 5, 4), (3, 4, 6)), ((4, 3000), (3000, 5)), ((33, 17), (17, 2)), ((5, 900), (900, 2)),
    ((2, 3, 2, 4, 5), (5, 6)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), PRODUCTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_products(rng, a, b, dtype):
    """Tiles that are not full, stacks, sums in parts, and transposed operands, which nothing copies."""
    x = (rng.normal(size=a) * 3).astype(dtype)
    y = (rng.normal(size=b) * 3).astype(dtype)
    for fn, arguments in (
        (np.matmul, (x, y)),
        (lambda x, y: np.matmul(np.swapaxes(x, -1, -2), np.swapaxes(y, -1, -2)),
         (numpy.ascontiguousarray(x.swapaxes(-1, -2)), numpy.ascontiguousarray(y.swapaxes(-1, -2)))),
    ):  # fmt: skip
        low = lowered(fn, *arguments)
        assert [launch.name for launch in low.launches] == ["matmul"]
        (found,) = executed(low, arguments)
        exact = x @ y if dtype == "int32" else x.astype("longdouble") @ y.astype("longdouble")
        assert_as_exact(found, exact, 4 * a[-1])


def test_products_of_views(rng):
    """Slices, reversed and stretched axes are read where they are."""
    x, y = rng.normal(size=(9, 30)), rng.normal(size=(2, 12, 8))
    f = lambda xp, x, y: xp.matmul(x[::2, 29:5:-2], y[:, :, ::-1])  # noqa: E731
    (found,) = executed(lowered(lambda x, y: f(np, x, y), x, y), (x, y))
    numpy.testing.assert_allclose(found, f(numpy, x, y), rtol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 33, 70])
def test_equations_of_matrices(rng, n):
    """As near to NumPy's answers as the conditions of the matrices let them be."""
    a, b = rng.normal(size=(2, n, n)), rng.normal(size=(n, 3))
    positive = a @ a.swapaxes(1, 2) + n * numpy.eye(n)
    factor = numpy.linalg.cholesky(positive)
    (found,) = executed(lowered(linalg.cholesky, positive), [positive])
    numpy.testing.assert_allclose(found, factor, rtol=1e-12, atol=1e-13)
    (found,) = executed(lowered(linalg.solve, a, b), (a, b))
    numpy.testing.assert_allclose(a @ found, numpy.broadcast_to(b, (2, n, 3)), atol=1e-9)
    for lower in (True, False):
        for transposed in (True, False):
            matrix = factor if lower else factor.swapaxes(1, 2).copy()
            f = lambda a, b, lo=lower, t=transposed: linalg.solve_triangular(a, b, lower=lo, transposed=t)  # noqa: E731
            (found,) = executed(lowered(f, matrix, b), (matrix, b))
            left = matrix.swapaxes(1, 2) if transposed else matrix
            numpy.testing.assert_allclose(left @ found, numpy.broadcast_to(b, (2, n, 3)), atol=1e-12)


def test_pivots_are_looked_for():
    """Zeros on the diagonal, a nearly singular first column; a matrix without a factor gives nan."""
    a = numpy.array([[0.0, 2.0, 1.0], [1e-20, 1.0, 1.0], [3.0, 1.0, 0.0]])
    b = numpy.array([[3.0], [2.0], [4.0]])
    (found,) = executed(lowered(linalg.solve, a, b), (a, b))
    numpy.testing.assert_allclose(found, numpy.linalg.solve(a, b), rtol=1e-14)
    (found,) = cuda.run(lowered(linalg.cholesky, -numpy.eye(3)), [-numpy.eye(3)])
    assert numpy.isnan(found[0, 0])


@pytest.mark.parametrize(("shape", "axis"), [((700,), 0), ((5, 333), 1), ((5, 333, 2), 1), ((5000, 3), 1), ((255,), 0)])
def test_scans(rng, shape, axis):
    """One lane for a block, or for a thread where there are many."""
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    for fn, expected in (
        (cumulative.cumsum, numpy.cumsum(x, axis)), (cumulative.cumprod, numpy.cumprod(x, axis)),
        (reduction.argmax, numpy.argmax(x, axis)), (reduction.argmin, numpy.argmin(x, axis)),
        (sorting.argsort, numpy.argsort(x, axis, kind="stable")),
    ):  # fmt: skip
        (found,) = executed(lowered(lambda x, f=fn: f(x, axis=axis), x), [x])
        numpy.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    ng.config.jit = 0
    f = lambda x, y: cumulative.recurrence(x, y, axis=axis)  # noqa: E731
    (found,) = executed(lowered(f, x, y), (x, y))
    numpy.testing.assert_allclose(found, numpy.asarray(f(ng.asarray(x), ng.asarray(y))), rtol=1e-11, atol=1e-12)


def test_steps_that_do_not_overflow_one_by_one():
    """The product of the factors of a piece is inf; what it multiplies is 0 until the last step."""
    a, b = numpy.full(3000, 1e200), numpy.zeros(3000)
    b[-1] = 1.0
    (found,) = executed(lowered(lambda a, b: cumulative.recurrence(a, b, axis=0), a, b), (a, b))
    numpy.testing.assert_array_equal(found, b)


@pytest.mark.parametrize("fn", [reduction.argmax, reduction.argmin, sorting.argsort])
def test_nan_and_ties(fn):
    """The first nan is the extremum, of equals the first; nan is sorted to the end."""
    rows = [[1, 1, 1, 1], [3, 0, 3, 0], [2, numpy.nan, 1, numpy.nan], [numpy.nan] * 4, [-0.0, 0.0, -0.0, numpy.inf]]
    x = numpy.tile(numpy.array(rows), (1, 100))
    (found,) = executed(lowered(lambda x: fn(x, axis=1), x), [x])
    expected = {
        reduction.argmax: lambda: numpy.argmax(x, 1), reduction.argmin: lambda: numpy.argmin(x, 1),
        sorting.argsort: lambda: numpy.argsort(x, 1, kind="stable"),
    }[fn]()  # fmt: skip
    numpy.testing.assert_array_equal(found, expected)


def test_sums_of_more_arrays_than_names(rng):
    xs = list(rng.normal(size=(70, 9)))
    from nbgrad.kernels.shape import add_n

    (found,) = executed(lowered(lambda *xs: add_n(*xs), *xs), xs)
    numpy.testing.assert_allclose(found, sum(xs), rtol=1e-13, atol=1e-13)


def test_zeros_around_what_is_made_inside(rng):
    """A border is written by all threads, in the launch that makes what it surrounds."""
    u, k = rng.normal(size=(9, 8)), rng.normal(size=(9, 8))

    def step(u, k):
        inner = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        return np.sum((u + np.pad(k[1:-1, 1:-1] * inner, 1)) ** 2)

    gradient = ng.grad(step, grad_position=(0, 1))
    ng.config.jit = 2
    for found, expected in zip(executed(traced(gradient, u, k), (u, k)), ng.jit(gradient)(u, k), strict=True):
        numpy.testing.assert_allclose(found, numpy.asarray(expected), rtol=1e-13, atol=1e-13)


# ---------------------------------------------------------------- what the execution would find


def planted(low, old, new, count=1):
    """A program with another text in one of its kernels."""
    (launch,) = low.launches
    assert old in launch.source
    launch.source = launch.source.replace(old, new, count)
    launch.code = Code(launch.source, {})
    return low


#: Programs, the shapes of their arguments, and which barriers of their last kernel that has some something depends on.
BARRIERS = {
    "columns": (lambda x: np.sum(x, axis=0), ((300, 70),), {0, 1}),
    "rows": (lambda x: np.sum(x, axis=1), ((20, 2000),), {0, 1}),
    # the first barrier is for where a row is reduced twice in succession
    "nests of rows": (lambda x: np.max(x, axis=1, keepdims=True) - x, ((9, 300),), {1, 2}),
    "products": (np.matmul, ((70, 40), (40, 90)), {0, 1}),
    "scatter": (lambda x: indexing.scatter_add(np.zeros(9), numpy.arange(700) % 9, x, axis=0), ((700,),), {1}),
    "factors": (
        lambda x: linalg.cholesky(x @ x.T + 20 * np.eye(40)),
        ((40, 40),),
        {1, 2, 3, 4},
    ),  # and one between matrices
}


@pytest.mark.parametrize("name", BARRIERS)
def test_a_missing_barrier_is_caught(rng, name):
    """Without any one of these, a kernel gives wrong results in some order of its threads, or writes elsewhere."""
    fn, shapes, needed = BARRIERS[name]
    arguments = [rng.normal(size=s) for s in shapes]
    low = lowered(fn, *arguments)
    launch = next(launch for launch in low.launches[::-1] if "barrier()" in launch.source)
    (expected,) = cuda.run(low, arguments)
    text, code = launch.code.text, launch.code
    calls = [m.start() for m in re.finditer(r"call void @\"llvm.nvvm.barrier0\"\(\)", text)]
    caught = set()
    for n in needed:
        at = calls[n]
        launch.code = less = Code.__new__(Code)
        less.text, less.symbol = f"{text[:at]}{text[at:].replace('call', 'fence seq_cst ;', 1)}", code.symbol
        for order in ("down", "up", numpy.random.default_rng(0)):
            try:
                (found,) = cuda.run(low, arguments, grid=1, order=order)
                if not numpy.allclose(found, expected):
                    caught.add(n)
            except KernelError:
                caught.add(n)
    assert caught == needed


def test_a_barrier_that_some_threads_leave_out_is_caught(rng):
    x = rng.normal(size=(300, 3))
    low = planted(lowered(lambda x: np.sum(x, axis=0), x), "    barrier()", "    if lane() > 3:\n            barrier()")
    with pytest.raises(KernelError, match=r"threads of a block do not meet: of 256, \d+ at barrier \d+"):
        cuda.run(low, [x])


def test_a_write_outside_is_caught(rng):
    x = rng.normal(size=(7, 130))
    low = planted(lowered(lambda x: np.sum(x, axis=1), x), "at_ = row", "at_ = row + 1")
    with pytest.raises(KernelError, match="sum: memory behind an array of 7 elements was written"):
        cuda.run(low, [x])


def test_a_counter_that_is_left_behind_is_caught(rng):
    x = rng.normal(size=20000)
    low = planted(lowered(np.sum, x), "write(counter, 0, 0)", "write(counter, 0, 1)")
    with pytest.raises(KernelError, match="sum: left a counter at 1, which must be 0 again"):
        cuda.run(low, [x])


def test_blocks_are_of_whole_warps_and_no_larger_than_may_be(rng):
    x = rng.normal(size=(7, 130))
    low = lowered(lambda x: np.sum(x, axis=1), x)
    low.launches[0].block = 50
    with pytest.raises(KernelError, match="exchange values in a block of 50, which is no multiple of a warp of 32"):
        cuda.run(low, [x])
    low.launches[0].block = 1056
    with pytest.raises(KernelError, match="a block has 1 to 1024 threads, got 1056"):
        cuda.run(low, [x])
