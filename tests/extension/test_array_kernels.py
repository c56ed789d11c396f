"""array_kernel: Numba functions that write into arrays, natively, with their VJPs."""

import subprocess
import sys
import textwrap

import numba
import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.compile.lower import Lowering
from nbgrad.compile.simplify import simplify
from nbgrad.errors import ArgumentError, KernelError, MissingRuleError, OptionError
from nbgrad.testing import check_grads


@ng.array_kernel(lambda x, w: (x.shape, x.dtype))
def smooth(x, w, out, *, scale=1.0):
    n, m = x.shape[0], w.shape[0]
    for i in range(n):
        total = 0.0
        for j in range(m):
            if 0 <= i + j - m // 2 < n:
                total += x[i + j - m // 2] * w[j]
        out[i] = scale * total


@smooth.vjp_kernel
def smooth_vjp(g, x, w, g_x, g_w, *, scale):
    n, m = x.shape[0], w.shape[0]
    g_x[:] = 0.0
    g_w[:] = 0.0
    for i in range(n):
        for j in range(m):
            if 0 <= i + j - m // 2 < n:
                g_x[i + j - m // 2] += scale * g[i] * w[j]
                g_w[j] += scale * g[i] * x[i + j - m // 2]


@smooth_vjp.vjp
def smooth_vjp_vjp(g1, g2, xs, scale):
    """smooth is bilinear."""
    g, x, w = xs
    by_w = smooth_vjp(g, g1, w, scale=scale)[1]
    by_x = smooth_vjp(g, x, g2, scale=scale)[0]
    return smooth(g1, w, scale=scale) + smooth(x, g2, scale=scale), by_x, by_w


W = numpy.array([0.3, 1.0, 0.5])


def smoothed(x):
    return numpy.convolve(x, W[::-1], "same")


@pytest.mark.parametrize("jit", [0, 2])
def test_values_and_derivatives(settings, rng, jit):
    settings.jit = jit
    x = rng.normal(size=9)
    numpy.testing.assert_allclose(smooth(x, W, scale=2.0), 2 * smoothed(x), rtol=1e-14)
    check_grads(lambda x, w: smooth(x, w, scale=2.0), (x, W))
    rows = ng.vmap(lambda x: smooth(x, W))(numpy.stack([x, 2 * x]))
    numpy.testing.assert_allclose(rows, [smoothed(x), 2 * smoothed(x)], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex128", "int64"])
def test_dtypes(settings, rng, dtype):
    """float16 is computed in float32; complex numbers are left to Python."""
    settings.jit = 2
    x = (4 * rng.normal(size=9)).astype(dtype)
    w = numpy.array([1, 2, 1]).astype(dtype)
    made = smooth(x, w)
    assert made.dtype == dtype
    rtol = {"float16": 4e-3, "float32": 1e-5}.get(dtype, 1e-14)
    numpy.testing.assert_allclose(made, numpy.convolve(x, w, "same"), rtol=rtol, atol=rtol)


def test_launches_between_fused_ones(rng):
    f = lambda x: np.sum(smooth(np.sin(x), W) ** 2)  # noqa: E731
    lowered = ng.jit(ng.value_and_grad(f)).lower(ng.asarray(rng.normal(size=9)))
    assert lowered.launches == ["sin", "smooth", "square_multiply_sum", "smooth_vjp", "cos_multiply"]
    assert "NumPy" not in str(ng.debug.explain(f, rng.normal(size=9)))


def test_a_new_size_compiles_nothing(settings, rng):
    settings.jit = 2
    numpy.asarray(smooth(rng.normal(size=9), W))
    before = ng.stats()["kernels_compiled"]
    x = rng.normal(size=50)
    numpy.testing.assert_allclose(smooth(x, W, scale=0.5), 0.5 * smoothed(x), rtol=1e-14)
    assert ng.stats()["kernels_compiled"] == before


def test_inside_of_loops(settings, rng):
    x = rng.normal(size=9)
    loop = lambda x: ng.scan(lambda s, _: (smooth(s, W), None), x, length=3)[0]  # noqa: E731
    unbounded = lambda x: ng.while_loop(lambda s: np.sum(s) < 40.0, lambda s: smooth(s, W), x)  # noqa: E731
    expected = smoothed(smoothed(smoothed(x)))
    for jit in (0, 2):
        settings.jit = jit
        numpy.testing.assert_allclose(loop(x), expected, rtol=1e-13)
        check_grads(loop, (x,), order=1)
        check_grads(unbounded, (abs(x),), order=1, modes=("rev",))
    assert ng.jit(loop).lower(ng.asarray(x)).launches == ["state", "loop"]


@ng.array_kernel(lambda x: [(x.shape, x.dtype), (x.shape[:1], "int64")], split="rows")
def doubled_and_counted(x, out, out_count, start, stop):
    for i in range(start, stop):
        out_count[i] = 0
        for j in range(x.shape[1]):
            out[i, j] = 2 * x[i, j]
            out_count[i] += x[i, j] > 0


@doubled_and_counted.vjp_kernel(split=lambda g1: g1.shape[0])
def doubled_vjp(g1, g_x, start, stop):
    """The shape of g_x is that of an input that the kernel does not read."""
    for i in range(start, stop):
        for j in range(g1.shape[1]):
            g_x[i, j] = 2 * g1[i, j]


@pytest.mark.parametrize("jit", [0, 2])
def test_several_results(settings, rng, jit):
    settings.jit = jit
    x = rng.normal(size=(5, 3))
    double, count = doubled_and_counted(x)
    numpy.testing.assert_array_equal(double, 2 * x)
    numpy.testing.assert_array_equal(count, (x > 0).sum(1))
    numpy.testing.assert_array_equal(doubled_and_counted(x)[1], (x > 0).sum(1))  # and the other one not read
    check_grads(lambda x: doubled_and_counted(x)[0], (x,), order=1, modes=("rev",))
    assert [a.shape for a in ng.vmap(doubled_and_counted)(numpy.stack([x, x]))] == [(2, 5, 3), (2, 5)]


def test_threads_share_a_kernel_that_is_split(settings, rng):
    settings.jit = 2
    x = rng.normal(size=(2000, 100))
    found = []
    for settings.threads in (1, 4):
        found.append(doubled_and_counted(x))
    for double, count in found:
        numpy.testing.assert_array_equal(double, 2 * x)
        numpy.testing.assert_array_equal(count, (x > 0).sum(1))
    assert found[0][0].shape == (2000, 100)
    assert doubled_and_counted(numpy.zeros((0, 3)))[0].shape == (0, 3)


def every_pair(x, out, start, stop):
    for i in range(start, stop):
        out[i] = 0.0
        for j in range(x.size):
            out[i] += abs(x[i] - x[j])


def test_the_cost_decides_how_much_is_done_at_once(rng):
    x, grains = rng.normal(size=1000), []
    for cost in (1, 1000):
        kernel = ng.array_kernel(lambda x: (x.shape, x.dtype), split="rows", cost=cost)(every_pair)
        y = kernel(x)
        numpy.testing.assert_allclose(y, abs(x[:, None] - x).sum(1), rtol=1e-12)
        leaf = ng.asarray(x)
        (launch,) = Lowering(*simplify([leaf._node], [kernel(leaf)._node])).launches
        grains.append(launch.grain)
    assert grains[0] >= 1000 > 20 > grains[1]
    with pytest.raises(OptionError, match="array_kernel: cost is 0, expected an integer of at least 1"):
        ng.array_kernel(same, cost=0)(good)


@numba.njit
def inner(a, b):
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@ng.array_kernel(lambda x: (x.shape[:1], x.dtype))
@numba.njit
def norms(x, out):
    for i in range(x.shape[0]):
        out[i] = numpy.sqrt(inner(x[i], x[i]))


@norms.vjp
def norms_vjp(g, x, y):
    return (g / y)[:, None] * x


def test_a_rule_on_arrays_and_functions_of_numba(settings, rng):
    x = rng.normal(size=(3, 4))
    for settings.jit in (0, 2):
        numpy.testing.assert_allclose(norms(x), numpy.linalg.norm(x, axis=1), rtol=1e-14)
        check_grads(norms, (x,))


@norms.batched
def norms_batched(size, mapped, x):
    return np.sqrt(np.sum(x * x, axis=-1))


def test_a_rule_for_stacked_operands(rng):
    x = rng.normal(size=(2, 3, 4))
    numpy.testing.assert_allclose(ng.vmap(norms)(x), numpy.linalg.norm(x, axis=-1), rtol=1e-14)
    assert ng.jit(ng.vmap(norms)).lower(ng.asarray(x)).launches == ["multiply_sum_sqrt"]


# ---------------------------------------------------------------- errors


def same(x):
    return x.shape, x.dtype


@ng.array_kernel(same)
def allocates(x, out):
    squares = numpy.zeros(x.size)
    for i in range(x.size):
        squares[i] = x[i] * x[i]
    out[:] = numpy.sqrt(squares)


def test_memory_of_its_own(settings):
    settings.jit = 2
    assert allocates(numpy.array([1.0, -2.0])).tolist() == [1.0, 2.0]


def test_memory_of_its_own_from_the_cache(tmp_path):
    """A process that finds the kernel there has to know the functions that it calls."""
    script, said = tmp_path / "script.py", []
    script.write_text(
        textwrap.dedent("""
        import sys
        import numpy
        import nbgrad as ng
        ng.config.jit = 2
        @ng.array_kernel(lambda x: (x.shape, x.dtype))
        def extension_reversed(x, out):
            out[:] = (x + numpy.zeros(x.size))[::-1]
        print(extension_reversed(numpy.array([1.0, 2.0])).tolist(), ng.stats()["kernels_compiled"] > 0)
    """)
    )
    for _ in range(2):
        said.append(subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout)
    assert said == ["[2.0, 1.0] True\n", "[2.0, 1.0] False\n"]


@ng.array_kernel(same)
def writes_an_input(x, out):
    x[0] = 1.0
    out[:] = 1.0


@ng.array_kernel(same)
def raises(x, out):
    if x[0] > 0.0:
        raise ValueError("positive")
    out[:] = 1.0


def test_what_is_not_compiled(settings):
    settings.jit = 2
    with pytest.raises(KernelError, match="the kernel of writes_an_input could not be compiled"):
        ng.jit(writes_an_input)(numpy.ones(2))


def test_exceptions_in_native_code(settings):
    settings.jit = 2
    for _ in range(2):
        with pytest.raises(KernelError, match=r"raises: the kernel raised an exception.*ng.config.jit = 0"):
            ng.jit(raises)(numpy.ones(2))
        assert ng.jit(raises)(-numpy.ones(2)).tolist() == [1.0, 1.0]
    settings.jit = 0
    with pytest.raises(ValueError, match="positive") as caught:
        raises(numpy.ones(2)).numpy()
    assert "in raises, called at" in caught.value.__notes__[0]


def test_no_rule():
    with pytest.raises(MissingRuleError, match=r"grad of raises: no VJP for it.*@raises.vjp or @raises.vjp_kernel"):
        ng.grad(raises)(numpy.ones(2))


@ng.array_kernel(lambda x, w: (x.shape, x.dtype))
def weighted(x, w, out):
    for i in range(x.size):
        out[i] = x[i] * w[i]


@weighted.vjp_kernel
def weighted_vjp(g, w, g_x):
    for i in range(g.size):
        g_x[i] = g[i] * w[i]


def test_a_cotangent_that_the_kernel_does_not_write():
    assert ng.grad(weighted)(numpy.ones(2), numpy.array([2.0, 3.0])).tolist() == [2.0, 3.0]
    with pytest.raises(MissingRuleError, match=r"grad of weighted: its VJP kernel writes no g_w; add it"):
        ng.grad(weighted, 1)(numpy.ones(2), numpy.ones(2))
    with pytest.raises(ArgumentError, match=r"weighted_vjp: it reads g, w and writes g_x.*call it through a gradient"):
        weighted_vjp(numpy.ones(2), numpy.ones(2))


def no_result(x):
    pass


def one_bound(x, out, start):
    pass


def late_input(x, out, w):
    pass


def with_default(x, out, w=1.0):
    pass


def called_y(y, out):
    pass


def good(x, out):
    pass


@pytest.mark.parametrize(("kernel", "options", "text"), [
    (no_result, {}, r"no_result\(x\) has no result"),
    (one_bound, {}, "one of start and stop alone"),
    (late_input, {}, "has w behind out; the order is inputs, results"),
    (with_default, {}, "has the parameter w=1.0, expected inputs, results, and behind a"),
    (called_y, {}, "an input called g, y or xs.*another name"),
    (good, {"split": "rows"}, "has no parameters start and stop, and split is 'rows'"),
    (3, {}, "the kernel is int 3, expected a function"),
])  # fmt: skip
def test_kernels_of_other_forms(kernel, options, text):
    with pytest.raises(ArgumentError, match=f"array_kernel: .*{text}"):
        ng.array_kernel(same, **options)(kernel)


def test_declarations_that_make_no_sense():
    with pytest.raises(ArgumentError, match="array_kernel: shape_rule is int 3, expected a function of the inputs"):
        ng.array_kernel(3)
    with pytest.raises(OptionError, match="array_kernel: split is 'columns', expected 'rows' or a function"):
        ng.array_kernel(same, split="columns")
    with pytest.raises(ArgumentError, match=r"smooth.vjp: the rule reads 'z'; expected g, y .*, x, w, scale"):
        smooth.vjp(lambda g, z: g)
    with pytest.raises(
        ArgumentError, match=r"smooth.vjp_kernel: g_z is the cotangent of no input; the inputs are x, w"
    ):

        @smooth.vjp_kernel
        def of_z(g, g_z):
            pass


@ng.array_kernel(lambda x, count: ((count,), x.dtype), split=lambda x, count: count)
def copies(x, out, start, stop, *, count, factor=1.0):
    for i in range(start, stop):
        out[i] = factor * x[()]


def test_rules_get_the_attributes_that_they_name(settings):
    for settings.jit in (0, 2):
        assert copies(2.0, count=3).tolist() == [2.0] * 3
        assert copies(2.0, count=2, factor=0.5).tolist() == [1.0] * 2
    with pytest.raises(ArgumentError, match=r"copies: the attribute count is missing; pass it by name, as count=1.0"):
        copies(2.0)


def test_a_name_of_another_primitive():
    with pytest.raises(
        ng.NbgradError, match=r"'tanh' is declared twice: in .*hyperbolic.py.* and .*test_array_kernels.py"
    ):
        ng.array_kernel(same, name="tanh")(good)
    with pytest.raises(ArgumentError, match="array_kernel: the name is 'a b', expected one that Python could have"):
        ng.array_kernel(same, name="a b")(good)


def test_calls_that_make_no_sense():
    x = numpy.ones(3)
    with pytest.raises(ArgumentError, match=r"smooth: takes 2 arrays \(x, w\), got 1"):
        smooth(x)
    with pytest.raises(OptionError, match=r"smooth: size=3 is no attribute of it; it has scale"):
        smooth(x, W, size=3)
    with pytest.raises(ArgumentError, match=r"smooth: the attribute scale is NumPy array.*, expected a number"):
        smooth(x, W, scale=x)
    bad = ng.array_kernel(lambda x: x.shape)(good)
    with pytest.raises(ArgumentError, match=r"good: the shape rule returned \(3,\), expected \(shape, dtype\)"):
        bad(x)
    several = ng.array_kernel(lambda x: [same(x), same(x)])(good)
    with pytest.raises(ArgumentError, match=r"good: the shape rule returned 2 results, and the kernel writes 1: out"):
        several(x)
