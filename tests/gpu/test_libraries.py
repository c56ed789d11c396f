"""Launches that cuBLAS and cuSOLVER do: the arguments of the calls, carried out in memory of the host.

The libraries themselves need a GPU and are not run here.  `nbgrad.testing.libraries` reads the arguments as their
manuals say; nvmath-python's bindings, where they are installed, convert them and then find no driver.
"""

import builtins
import itertools

import numpy
import pytest

import nbgrad as ng
import nbgrad.kernels.cuda as texts
import nbgrad.numpy as np
from nbgrad.config import Config
from nbgrad.kernels.linalg import solve_triangular
from nbgrad.runtime.cuda import libraries, library_launches
from nbgrad.runtime.cuda import program as runtime
from nbgrad.testing.device import pretend_device
from nbgrad.testing.libraries import pretend_libraries

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's device library is not installed: pip install nbgrad[cuda13]")


@pytest.fixture
def driver():
    with pretend_device() as driver:
        yield driver


@pytest.fixture
def made(driver, monkeypatch, settings):
    """The pretended libraries, which have every matrix that has more than three rows."""
    monkeypatch.setattr(texts, "LARGEST", 3)
    settings.cuda_libraries = True
    with pretend_libraries(driver) as found:
        yield found


INSTALLED = libraries.load


def there(x):
    return ng.asarray(x, device="cuda:0")


def near(found, expected, factor=64):
    expected = numpy.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    eps = factor * numpy.finfo(found.dtype).eps
    numpy.testing.assert_allclose(found, expected, rtol=eps, atol=eps)


def seen(x, view):
    """(an array for the device, a function that gives `x` as a view of it)."""
    if view == "as it is":
        return x, lambda y: y
    if view == "transposed in memory":
        return x.swapaxes(-1, -2).copy(), lambda y: np.swapaxes(y, -1, -2)
    if view == "wider rows":
        return numpy.concatenate([x + 9, x, x - 9], -1), lambda y: y[..., x.shape[-1] : 2 * x.shape[-1]]
    if view == "wider columns":
        wide = numpy.concatenate([x + 9, x, x - 9], -2).swapaxes(-1, -2).copy()
        return wide, lambda y: np.swapaxes(y, -1, -2)[..., x.shape[-2] : 2 * x.shape[-2], :]
    if view == "every other column":
        return numpy.repeat(x, 2, -1), lambda y: y[..., ::2]
    assert view == "backwards"
    return x[..., ::-1, :].copy(), lambda y: y[..., ::-1, :]


EXPRESSIBLE = ["as it is", "transposed in memory", "wider rows", "wider columns"]
OTHERS = ["every other column", "backwards"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("left", "right"), list(itertools.product(EXPRESSIBLE, EXPRESSIBLE)))
def test_products_of_views(made, rng, left, right, dtype):
    """Each way to lie in memory beside each other one; shapes with rows and columns of one among them."""
    for m, k, n in ((5, 7, 4), (1, 6, 3), (6, 1, 3), (4, 5, 1), (1, 1, 1), (3, 3, 3)):
        for lead in ((), (2,)):
            a, b = (rng.normal(size=(*lead, *shape)).astype(dtype) for shape in ((m, k), (k, n)))
            (x, f), (y, g) = seen(a, left), seen(b, right)
            near(ng.jit(lambda x, y: f(x) @ g(y))(there(x), there(y)), a @ b)  # noqa: B023
    assert set(made[0].log) == {f"{'d' if dtype == 'float64' else 's'}gemm_strided_batched"}
    assert len(made[0].log) == 6  # the others are multiplied and added up without a product


@pytest.mark.parametrize("view", OTHERS)
def test_products_that_blas_does_not_have(made, rng, view):
    """Are done by the kernel."""
    a, b = rng.normal(size=(5, 7)), rng.normal(size=(7, 4))
    x, f = seen(a, view)
    near(ng.jit(lambda x, y: f(x) @ y)(there(x), there(b)), a @ b)
    assert not made[0].log


@pytest.mark.parametrize(
    ("left", "right", "calls"),
    [((3,), (), 1), ((), (3,), 1), ((2, 3), (2, 3), 1), ((2, 3), (3,), 2), ((5, 2), (2,), 2), ((2, 1), (3,), 2),
     ((2, 1, 3), (2, 4, 1), None), ((70, 65), (65,), None)],
)  # fmt: skip
def test_stacks(made, rng, left, right, calls):
    """One call for all matrices, or one for each step along the shorter of two axes; no more than 64."""
    a, b = rng.normal(size=(*left, 2, 3)), rng.normal(size=(*right, 3, 4))
    near(ng.jit(np.matmul)(there(a), there(b)), a @ b)
    if calls is not None:
        assert len(made[0].log) == calls


def test_products_of_other_dtypes_and_of_nothing(made, rng):
    a = rng.integers(0, 9, (4, 5))
    numpy.testing.assert_array_equal(ng.jit(np.matmul)(there(a), there(a.T.copy())), a @ a.T)
    near(ng.jit(np.matmul)(there(numpy.ones((3, 0))), there(numpy.ones((0, 4)))), numpy.zeros((3, 4)))
    assert not made[0].log


def triangle(rng, lead, n, lower):
    """Well-conditioned, with nonsense in the triangle that is not to be read."""
    a = rng.normal(size=(*lead, n, n)) / n
    a[..., range(n), range(n)] += 2
    whole = numpy.tril(a) if lower else numpy.triu(a)
    return a * 1e3 * (whole == 0) + whole, whole


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("view", EXPRESSIBLE + OTHERS)
@pytest.mark.parametrize(("lower", "transposed"), list(itertools.product([True, False], [True, False])))
def test_triangular_equations(made, rng, view, lower, transposed, dtype):
    for lead, (n, columns) in itertools.product([(), (3,)], [(5, 3), (4, 2), (6, 8)]):
        (a, whole), b = triangle(rng, lead, n, lower), rng.normal(size=(*lead, n, columns))
        (x, f), (y, g) = seen(a.astype(dtype), view), seen(b.astype(dtype), view)
        solved = ng.jit(lambda x, y: solve_triangular(f(x), g(y), lower=lower, transposed=transposed))(  # noqa: B023
            there(x), there(y)
        )
        near(solved, numpy.linalg.solve(whole.swapaxes(-1, -2) if transposed else whole, b).astype(dtype))
    assert made[0].log == [f"{'d' if dtype == 'float64' else 's'}trsm"] * 12


def test_triangular_equations_of_one_column(made, rng):
    """Those that are too large for a thread of their own."""
    (a, whole), b = triangle(rng, (), 257, True), rng.normal(size=(257, 1))
    solved = ng.jit(lambda x, y: solve_triangular(x, y, lower=True, transposed=False))(there(a), there(b))
    near(solved, numpy.linalg.solve(whole, b))
    assert made[0].log == ["dtrsm"]


def test_triangular_equations_of_stacks_that_broadcast(made, rng):
    for left, right in (((), (3,)), ((3,), ()), ((2, 1), (3,)), ((3,), (2, 1))):
        (a, whole), b = triangle(rng, left, 5, True), rng.normal(size=(*right, 5, 2))
        solved = ng.jit(lambda x, y: solve_triangular(x, y, lower=True, transposed=False))(there(a), there(b))
        near(solved, numpy.linalg.solve(whole, b))
    assert set(made[0].log) == {"dtrsm"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("view", EXPRESSIBLE + OTHERS)
def test_cholesky(made, rng, view, dtype):
    for lead, n in itertools.product([(), (3,), (2, 2)], [4, 7]):
        a = rng.normal(size=(*lead, n, n))
        a = a @ a.swapaxes(-1, -2) + n * numpy.eye(n)
        x, f = seen((a + numpy.triu(numpy.full((n, n), 9.0), 1)).astype(dtype), view)  # only one triangle is read
        found = ng.jit(lambda x: np.linalg.cholesky(f(x)))(there(x))  # noqa: B023
        near(found, numpy.linalg.cholesky(a).astype(dtype))
    assert len(made[1].log) == 2 * (1 + 1 + 1 + 3 + 1 + 4)


def test_cholesky_of_what_has_no_factor(made, rng):
    """Is nan, that of the others of the stack is not."""
    a = numpy.stack([numpy.eye(5), -numpy.eye(5), numpy.eye(5) * 4])
    found = numpy.asarray(ng.jit(np.linalg.cholesky)(there(a)))
    near(found[0], numpy.eye(5))
    near(found[2], numpy.eye(5) * 2)
    lower = numpy.tril(numpy.ones((5, 5), bool))
    assert numpy.isnan(found[1][lower]).all()
    assert (found[1][~lower] == 0).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("view", EXPRESSIBLE + OTHERS)
def test_equations(made, rng, view, dtype):
    for lead, (n, columns) in itertools.product([(), (3,)], [(5, 3), (4, 1), (6, 8)]):
        a, b = rng.normal(size=(*lead, n, n)) / n, rng.normal(size=(*lead, n, columns))
        a[..., range(n), (numpy.arange(n) + 1) % n] += 2  # rows have to be swapped
        (x, f), (y, g) = seen(a.astype(dtype), view), seen(b.astype(dtype), view)
        found = ng.jit(lambda x, y: np.linalg.solve(f(x), g(y)))(there(x), there(y))  # noqa: B023
        near(found, numpy.linalg.solve(a, b).astype(dtype), 256)
    assert {name[1:] for name in made[1].log} == {"getrf_buffer_size", "getrf", "getrs"}


def test_equations_of_stacks_that_broadcast(made, rng):
    for left, right in (((), (3,)), ((3,), (1,)), ((2, 1), (3,)), ((3,), (2, 1))):
        a, b = rng.normal(size=(*left, 5, 5)) + 4 * numpy.eye(5), rng.normal(size=(*right, 5, 2))
        near(ng.jit(np.linalg.solve)(there(a), there(b)), numpy.linalg.solve(a, b))


def test_equations_without_a_solution(made):
    """Are nan, those of the others of the stack are not."""
    a = numpy.stack([numpy.eye(5), numpy.ones((5, 5)), numpy.eye(5) * 2])
    found = numpy.asarray(ng.jit(np.linalg.solve)(there(a), there(numpy.ones((3, 5, 2)))))
    assert numpy.isnan(found[1]).all()
    near(found[[0, 2]], numpy.stack([numpy.ones((5, 2)), numpy.full((5, 2), 0.5)]))


def gaussian(xp, a, b):
    """A function of several of them, with what is fused in between."""
    factor = xp.linalg.cholesky(a @ xp.swapaxes(a, -1, -2) + b @ xp.swapaxes(b, -1, -2) + 1.0)
    return xp.sum(xp.linalg.solve(xp.tanh(factor) + factor, b) ** 2) + xp.sum(xp.log(factor[0, 0]))


def test_a_program_of_several(made, rng, driver):
    """In any stream, twice, and nothing is waited for."""
    a, b = rng.normal(size=(6, 6)), rng.normal(size=(6, 2))
    f, expected = ng.jit(lambda a, b: gaussian(np, a, b)), None
    compiled = f.lower(there(a), there(b))
    assert [n for n in compiled.launches if n in ("matmul", "cholesky", "solve")] == [
        "matmul",
        "matmul",
        "cholesky",
        "solve",
    ]
    expected = gaussian(np, ng.asarray(a), ng.asarray(b))
    x, y = there(a), there(b)
    numpy.testing.assert_allclose(f(x, y), expected, rtol=1e-12)
    with ng.cuda.stream(ng.cuda.Stream()) as stream:
        found = f(x, y)
        assert driver.pending(stream.handle if stream is not None else 17) > 0
        numpy.testing.assert_allclose(found, expected, rtol=1e-12)
    numpy.testing.assert_allclose(f(y @ y.T + x, y), f(ng.asarray(b @ b.T + a), ng.asarray(b)), rtol=1e-12)


def test_gradients(made, rng):
    a, b = rng.normal(size=(6, 6)) + 6 * numpy.eye(6), rng.normal(size=(6, 2))
    loss = lambda a, b: np.sum(np.linalg.solve(a, b) ** 2)  # noqa: E731
    expected = ng.grad(loss, (0, 1))(ng.asarray(a), ng.asarray(b))
    for found, e in zip(ng.jit(ng.grad(loss, (0, 1)))(there(a), there(b)), expected, strict=True):
        numpy.testing.assert_allclose(found, e, rtol=1e-11, atol=1e-13)


def test_a_cuda_graph(made, rng):
    """Records the calls, with memory of its own; one that would go to the host without them."""
    a, b = rng.normal(size=(6, 6)) + 6 * numpy.eye(6), rng.normal(size=(6, 2))
    graph = ng.jit(np.linalg.solve).lower(there(a), there(b)).graph()
    near(graph.launch(), numpy.linalg.solve(a, b))
    near(graph.launch(there(a * 2), there(b)), numpy.linalg.solve(a * 2, b))


def test_launches_of_a_profile(made, rng):
    """One time for each."""
    a = there(rng.normal(size=(6, 6)) + 6 * numpy.eye(6))
    compiled = ng.jit(lambda a: np.linalg.solve(a, a) @ a).lower(a)
    assert compiled.launches == ["copy", "copy", "solve", "copy", "matmul"]


# ---------------------------------------------------------------- whether they are used


@pytest.fixture
def unwarned(monkeypatch):
    monkeypatch.setattr(runtime, "_warned", set())


@pytest.mark.parametrize("setting", ["auto", False])
def test_without_them(driver, settings, monkeypatch, rng, setting, unwarned):
    """The kernel does products, and the host what is too large for one."""
    monkeypatch.setattr(texts, "LARGEST", 3)

    def load():
        assert setting == "auto"
        raise ImportError("No module named 'nvmath'")

    monkeypatch.setattr(libraries, "load", load)
    settings.cuda_libraries = setting
    a = rng.normal(size=(5, 5)) + 5 * numpy.eye(5)
    near(ng.jit(lambda a: a @ a)(there(a)), a @ a)
    with pytest.warns(ng.HostFallbackWarning, match="^solve: has no CUDA kernel"):
        near(ng.jit(np.linalg.solve)(there(a), there(a)), numpy.eye(5))


def test_where_they_do_not_start(driver, settings, monkeypatch, rng):
    """As on a machine with the bindings and without the libraries."""

    class Broken:
        @staticmethod
        def create():
            raise RuntimeError("libcublas.so.13: cannot open shared object file")

    monkeypatch.setattr(libraries, "load", lambda: (Broken, Broken))
    a = rng.normal(size=(5, 5))
    settings.cuda_libraries = "auto"
    near(ng.jit(lambda a: a @ a)(there(a)), a @ a)
    settings.cuda_libraries = True
    with pytest.raises(ng.DeviceError, match=r"cannot be used on cuda:0: DeviceError: .*could not start \(create\)"):
        ng.jit(lambda a: a @ a + 1)(there(a))


def test_demanded_and_not_installed(driver, settings, monkeypatch):
    imported = builtins.__import__

    def without(name, *rest):
        if name.startswith("nvmath"):
            raise ModuleNotFoundError("No module named 'nvmath'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(libraries, "load", INSTALLED)
    settings.cuda_libraries = True
    with pytest.raises(
        ng.DeviceError,
        match=r"^config.cuda_libraries \(NBGRAD_CUDA_LIBRARIES\) is True, but cuBLAS and cuSOLVER cannot be used on "
        r"cuda:0: ModuleNotFoundError: No module named 'nvmath'. Install them: pip install nbgrad\[cuda-libs\]; or "
        "set it to 'auto'",
    ):
        ng.jit(lambda a: a @ a)(there(numpy.ones((4, 4))))


def test_the_setting(settings):
    for text, value in (("", "auto"), ("auto", "auto"), ("0", False), ("1", True)):
        assert Config({"NBGRAD_CUDA_LIBRARIES": text}).cuda_libraries == value
    for wrong in ("yes", 2, None):
        with pytest.raises(
            ng.ArgumentError,
            match=rf"^config.cuda_libraries \(NBGRAD_CUDA_LIBRARIES\): got {wrong!r}, expected 'auto', True or False",
        ):
            settings.cuda_libraries = wrong
    with pytest.raises(ng.ArgumentError, match="got 'maybe'"):
        Config({"NBGRAD_CUDA_LIBRARIES": "maybe"})


def test_a_call_that_fails(made, monkeypatch, rng):
    def dgemm_strided_batched(*arguments):
        raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED (13)")

    made[0].dgemm_strided_batched = dgemm_strided_batched
    with pytest.raises(
        ng.DeviceError,
        match=r"^NVIDIA's libraries could not multiply matrices \(dgemm_strided_batched\): CUBLAS_STATUS_EXECUTION",
    ):
        ng.jit(lambda a: a @ a)(there(rng.normal(size=(5, 5))))


# ---------------------------------------------------------------- NVIDIA's bindings


class Asked:
    """A module of the bindings: its calls convert their arguments, find no driver, and get an answer put in place."""

    def __init__(self, module):
        self._module, self.log = module, []

    def __getattr__(self, name):
        found = getattr(self._module, name)

        def call(*arguments):
            with pytest.raises(RuntimeError, match="CUDA driver is not found"):
                found(*arguments)
            self.log.append(name)
            return 7 if name == "create" else 64 if name.endswith("size") else None

        call.__name__ = name
        return call


def bindings():
    cublas = pytest.importorskip("nvmath.bindings.cublas", reason="nvmath-python: pip install nbgrad[cuda-libs]")
    cusolver = pytest.importorskip("nvmath.bindings.cusolverDn")
    try:
        cublas.create()
    except RuntimeError as error:
        if "CUDA driver is not found" in str(error):
            return cublas, cusolver
    pytest.skip("This machine has NVIDIA's driver, which would take the calls in earnest.")


def test_the_bindings_take_every_call():
    """Addresses, strides and sizes as large as they come."""
    asked = [Asked(module) for module in bindings()]
    found = libraries.Libraries(type("Driver", (), {"capability": (9, 0)}), *asked)
    high, wide = (1 << 47) + 256, (1 << 31) - 1
    with found.on(1 << 46, high):
        for letter in "sd":
            found.gemm(letter, (0, 1), (wide, 3, 4), (high, wide, 1 << 40), (high, 5, 0), (high, wide, 1 << 33), wide)
            found.trsm(letter, 1, 1, 5, wide, high, wide, high, 5)
            assert found.potrf_size(letter, 600) == found.getrf_size(letter, 600) == 64
            found.potrf(letter, 600, high, high, 64, high)
            found.getrf(letter, 600, high, high, high, high)
            found.getrs(letter, 600, wide, high, high, high, high)
    assert asked[0].log == ["create", "set_pointer_mode", "set_stream", "set_workspace", "sgemm_strided_batched",
                            "strsm", "dgemm_strided_batched", "dtrsm"]  # fmt: skip
    assert asked[1].log[:2] == ["create", "set_stream"]
    assert len(asked[1].log) == 2 + 2 * 5


def test_constants_are_those_of_the_bindings():
    cublas, _ = bindings()
    assert (cublas.Operation.N, cublas.Operation.T) == (libraries.PLAIN, libraries.TRANSPOSED)
    assert (cublas.FillMode.LOWER, cublas.FillMode.UPPER) == (libraries.LOWER, libraries.UPPER)
    assert cublas.SideMode.RIGHT == libraries.RIGHT
    assert cublas.DiagType.NON_UNIT == libraries.NON_UNIT
    assert cublas.PointerMode.HOST == libraries.ON_HOST


def test_they_are_integers_of_32_bits():
    with pytest.raises(OverflowError):
        bindings()[0].dtrsm(1, 0, 0, 0, 0, library_launches.LIMIT, 1, 0, 0, 1, 0, 1)
