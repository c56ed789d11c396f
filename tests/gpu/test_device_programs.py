"""Programs on a device that pretends: what is computed there is what the CPU computes."""

import gc
import pickle
import warnings

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import devices
from nbgrad.compile import program as programs
from nbgrad.primitive import structural
from nbgrad.runtime.cuda import device as cuda
from nbgrad.runtime.cuda import program as runtime
from nbgrad.runtime.cuda.driver import LEGACY
from nbgrad.testing.device import pretend_device

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's device library is not installed: pip install nbgrad[cuda13]")


@pytest.fixture
def driver():
    with pretend_device(2) as driver:
        yield driver


@pytest.fixture
def a(rng):
    return rng.normal(size=(5, 7))


def there(x):
    return ng.asarray(x, device="cuda:0")


def near(found, expected):
    """Both on their devices, with values as near as rounding allows."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    eps = numpy.finfo(found.dtype).eps if found.dtype.kind == "f" else 0
    numpy.testing.assert_allclose(found, expected, rtol=16 * eps, atol=16 * eps)


FUNCTIONS = {
    "elementwise": lambda x: np.tanh(x) * np.exp(-x * x) + 1.5,
    "broadcast": lambda x: x * x[0] + x[:, :1],
    "views": lambda x: np.sin(x.T[::-1, 1:]).reshape(-1) * 2,
    "gather": lambda x: np.exp(x[numpy.array([3, 0, 3])]),
    "made beside it": lambda x: x * np.arange(7.0, device=x.device),
    "concatenate": lambda x: np.concatenate([x, x * 2, np.cos(x)], axis=1),
    "update": lambda x: np.concatenate([x[:1] * 0, x[1:]]),
    "where": lambda x: np.where(x > 0, x, np.log1p(np.abs(x))),
    "sum": lambda x: np.sum(x * x, axis=1),
    "mean": lambda x: x - np.mean(x, axis=0),
    "max": lambda x: np.max(x, axis=1) + np.min(x),
    "softmax": lambda x: np.exp(x - np.max(x, axis=1, keepdims=True)) / np.sum(np.exp(x), axis=1, keepdims=True),
    "matmul": lambda x: np.tanh(x @ x.T),
    "cumsum": lambda x: np.cumsum(x, axis=1) * x,
    "sort": lambda x: np.sort(x, axis=1),
    "scan": lambda x: ng.scan(lambda h, row: (np.tanh(h + row), h * row), x[0], x)[1],
    "cond": lambda x: ng.cond(np.sum(x[0]) > 0, np.sin, lambda x: x * x, x),
    "while_loop": lambda x: ng.while_loop(lambda y: np.max(np.abs(y)) > 0.25, lambda y: y * 0.5, x) * x,
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::nbgrad.HostFallbackWarning")
def test_values(driver, a, name, dtype):
    """Lazily, and under jit."""
    a, f = a.astype(dtype), FUNCTIONS[name]
    expected, x = f(ng.asarray(a)), there(a)
    found = f(x)
    assert found.device == "cuda:0"
    near(found, expected)
    jitted = ng.jit(f)(x)
    assert jitted.device == "cuda:0"
    near(jitted, expected)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::nbgrad.HostFallbackWarning")
def test_gradients(driver, a, name):
    """By each of the ways to one."""
    f = FUNCTIONS[name]

    def loss(x):
        y = f(x)
        return np.sum(y * y)

    expected, x = ng.grad(loss)(ng.asarray(a)), there(a)
    value, gradient = ng.value_and_grad(loss)(x)
    assert (value.device, gradient.device) == ("cuda:0", "cuda:0")
    numpy.testing.assert_allclose(numpy.asarray(value), loss(ng.asarray(a)), rtol=1e-12)
    for found in (gradient, ng.grad(loss)(x), ng.gradients(loss(x), x)[0], ng.jit(ng.grad(loss))(x)):
        assert found.device == "cuda:0"
        numpy.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_the_gradient_of_what_is_gathered(driver, a):
    """Its rows are added up where they were taken, those that were taken twice too."""
    f = FUNCTIONS["gather"]
    expected = ng.grad(f)(ng.asarray(a))
    for found in (ng.grad(f)(there(a)), ng.jit(ng.grad(f))(there(a))):
        assert found.device == "cuda:0"
        numpy.testing.assert_allclose(found, expected, rtol=1e-13)


def test_gradients_of_gradients_and_forward_mode(driver, a):
    f = lambda x: np.sum(np.sin(x) * x)  # noqa: E731
    g = lambda x: np.sum(ng.grad(f)(x) ** 2)  # noqa: E731
    x, h = there(a), ng.asarray(a)
    numpy.testing.assert_allclose(ng.grad(g)(x), ng.grad(g)(h), rtol=1e-12)
    (_, found), (_, expected) = (ng.jvp(np.tanh, v, v * 2) for v in (x, h))
    assert found.device == "cuda:0"
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)
    for jacobian in (ng.jacrev, ng.jacfwd):
        found = jacobian(lambda x: np.sin(x) * x)(x[0, :3])
        numpy.testing.assert_allclose(found, jacobian(lambda x: np.sin(x) * x)(h[0, :3]), rtol=1e-12, atol=1e-15)
        assert found.device == "cuda:0"


def test_tables_of_rules_go_where_they_are_needed(driver, rng):
    """Rules of factorisations and of scattered writes make tables on the host."""
    m = rng.normal(size=(4, 4))
    m = m @ m.T + 4 * numpy.eye(4)
    f = lambda m: np.sum(np.linalg.cholesky(m) * 2)  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ng.HostFallbackWarning)
        g = lambda m: np.sum(ng.grad(f)(m) ** 2)  # noqa: E731
        numpy.testing.assert_allclose(ng.grad(g)(there(m)), ng.grad(g)(ng.asarray(m)), rtol=1e-9)

        def put(x, v):
            x = x * 1.0
            x[numpy.array([1, 3, 1])] = v
            return np.sum(x * x)

        args = rng.normal(size=5), rng.normal(size=3)
        for k in (0, 1):
            found = ng.grad(put, k)(*map(there, args))
            numpy.testing.assert_allclose(found, ng.grad(put, k)(*map(ng.asarray, args)), rtol=1e-12)


def test_gradients_that_are_numbers_are_beside_their_x(driver, a):
    x, y = there(a), there(a)
    one, none = ng.gradients(x + 1.0, [x, y], unconnected_gradients="zero")
    assert (one.device, none.device) == ("cuda:0", "cuda:0")
    numpy.testing.assert_array_equal(one, numpy.ones_like(a))
    assert ng.grad(lambda x: x + 1.0)(x).device == "cuda:0"


def test_parameters(driver, a):
    """Training with weights on the device, in the same program from step to step."""

    def trained(to):
        w = ng.Parameter(ng.asarray(a[0], device=to), name="w")
        x = ng.asarray(a, device=to)
        step = ng.value_and_grad(lambda x: np.sum((x * w - 1.0) ** 2), None, w)
        for _ in range(3):
            _, g = step(x)
            w.assign(w - 0.05 * g)
        return w

    here, found = trained("cpu"), trained("cuda:0")
    assert found.device == "cuda:0"
    numpy.testing.assert_allclose(found, here, rtol=1e-12)


def test_jit_reads_parameters_anew_and_where_they_are(driver, a):
    w = ng.Parameter(a[0], name="w")
    f = ng.jit(lambda x: x * w + 1.0)
    near(f(ng.asarray(a)), ng.asarray(a * a[0] + 1))
    w.assign(there(a[1]))
    x = there(a)
    near(f(x), ng.asarray(a * a[1] + 1))
    w.assign(there(a[2]))
    near(f(x), ng.asarray(a * a[2] + 1))
    with pytest.raises(ng.DeviceError, match=r"multiply\(x1, x2\): the arrays are on different devices"):
        f(ng.asarray(a))
    w.assign(a[3])
    near(f(ng.asarray(a)), ng.asarray(a * a[3] + 1))


def test_jit_with_nests_numbers_and_results_for_others(driver, a):
    x = there(a)
    f = ng.jit(lambda p, k: {"y": p["x"] * k, "n": (p["x"] + 1, 3)})
    for k in (2.0, 3.0):
        found = f({"x": x}, k)
        assert found["y"].device == "cuda:0"
        numpy.testing.assert_allclose(found["y"], a * k)
        numpy.testing.assert_allclose(found["n"][0], a + 1)
        assert found["n"][1] == 3
    as_numpy = ng.jit(lambda x: x * 2, as_numpy=True)(x)
    assert type(as_numpy) is numpy.ndarray
    numpy.testing.assert_array_equal(as_numpy, a * 2)
    captured = ng.jit(lambda y: y * x)
    numpy.testing.assert_allclose(captured(there(a)), a * a)
    assert ng.jit(lambda x: np.zeros(3))(x).device == "cuda:0"
    assert ng.jit(lambda x: (x, x))(x)[1].device == "cuda:0"


def test_jit_compiles_for_each_device(driver, a):
    f = ng.jit(lambda x: x * 2 + 1)
    for device in ("cpu", "cuda:0", "cuda:1", "cpu", "cuda:0"):
        found = f(ng.asarray(a, device=device))
        assert found.device == device
        numpy.testing.assert_allclose(found, a * 2 + 1)
    assert len(f._traces) == 3


def test_programs_are_found_again_under_their_device(driver, a):
    f = lambda x: np.tanh(x) * 3.25  # noqa: E731
    assert f(there(a)).realize().device == "cuda:0"
    before = ng.stats()["programs"]
    assert f(there(a)).realize().device == "cuda:0"
    assert ng.stats()["programs"] == before
    f(ng.asarray(a)).realize()
    f(ng.asarray(a, device="cuda:1")).realize()
    assert ng.stats()["programs"] == before + 2


def test_pretended_devices_leave_nothing_behind(a):
    with pretend_device():
        (there(a) * 2.0).realize()
        assert any(getattr(k[0], "ordinal", None) is not None for k in programs._programs)
    assert not any(getattr(k[0], "ordinal", None) is not None for k in programs._programs)
    assert not devices.used


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "bool"])
def test_arrays_without_elements(driver, dtype):
    x = there(numpy.zeros((0, 3), dtype))
    near(np.where(x > 0, x, x), ng.asarray(numpy.zeros((0, 3), dtype)))


def test_tables_are_sent_once(driver, a):
    """The second run sends addresses only, the third of the same memory nothing."""
    f, x = ng.jit(lambda x: np.concatenate([x * 2, x + 1]) * x[0]), there(a)
    sent = lambda: sum(n for what, n in driver.log if what == "copy in")  # noqa: E731
    y = f(x)
    first = sent() - a.nbytes
    before = sent()
    z = f(there(a))
    assert sent() - before - a.nbytes < first
    del y
    gc.collect()
    before = sent()
    y = f(x)
    del y
    y = f(x)
    before = sent()
    del y
    y = f(x)
    assert sent() == before
    near(y, z)


# ---------------------------------------------------------------- arrays on different devices


def mixed(call):
    with pytest.raises(ng.DeviceError) as caught:
        call()
    return str(caught.value)


def test_an_operation_on_arrays_of_different_devices(driver, a):
    host, x = ng.asarray(a), there(a)
    message = mixed((host * x).realize)
    assert message.startswith("multiply(x1, x2): the arrays are on different devices.\n    x1: float64[5, 7]")
    assert "on cpu\n    x2: float64[5, 7]" in message
    assert "made at test_device_programs.py:" in message
    assert message.endswith("on cuda:0\nMove one of them: x1.to('cuda:0')")
    message = mixed((np.sin(x) + np.cos(host) * 2).realize)
    assert message.startswith("add(x1, x2)")
    assert message.endswith("Move one of them: x2.to('cuda:0')")
    assert "arrays are on different devices" in mixed(lambda: (x * a).realize())


def test_it_is_found_in_every_way_to_compute(driver, a):
    host, x = ng.asarray(a), there(a)
    f = lambda x, y: np.sum(np.sin(x) * y)  # noqa: E731
    for call in (
        lambda: ng.jit(f)(host, x), lambda: ng.grad(f)(host, x), lambda: ng.value_and_grad(f)(x, host),
        lambda: float(f(x, host)), lambda: ng.gradients(f(x, host), x)[0].realize(),
        lambda: ng.jit(ng.grad(f))(x, host),
        lambda: ng.jit(lambda x: f(x, host))(x), lambda: ng.vjp(f, x, host),
    ):  # fmt: skip
        message = mixed(call)
        assert message.startswith("multiply(x1, x2): the arrays are on different devices."), message
    message = mixed(lambda: f(ng.asarray(a, device="cuda:1"), x).realize())
    assert "on cuda:1" in message
    assert "on cuda:0" in message


def test_seeds_are_on_the_device_of_their_output(driver, a):
    x = there(a)
    assert "different devices" in mixed(lambda: ng.gradients(np.sin(x), x, grad_ys=ng.asarray(a))[0].realize())
    found = ng.gradients(np.sin(x), x, grad_ys=there(a))[0]
    numpy.testing.assert_allclose(found, numpy.cos(a) * a, rtol=1e-12)


def test_results_on_different_devices(driver, a):
    host, x = ng.asarray(a), there(a)
    f = lambda x, y: (np.sin(x), np.cos(y))  # noqa: E731
    for call in (lambda: ng.jit(f)(host, x), lambda: ng.grad(f)(host, x)):
        message = mixed(call)
        assert message.startswith("what is computed at once is computed on one device")
        assert "result 0: float64[5, 7]" in message
        assert "x.to('cuda:0')" in message
    near(np.sin(x), np.sin(host))  # lazily each is computed where it is


def test_pending_arrays_of_both_devices_are_read_together(driver, a):
    from nbgrad.runtime.evaluate import realize

    ys = [np.sin(ng.asarray(a)), np.sin(there(a)), np.sin(ng.asarray(a, device="cuda:1"))]
    realize([y._node for y in ys])
    assert [y.device for y in ys] == ["cpu", "cuda:0", "cuda:1"]
    for y in ys[1:]:
        near(y, ys[0])


def test_numbers_go_wherever_they_are_needed(driver, a):
    """Python's, those of the host, and those of a device."""
    x, h, two = there(a), ng.asarray(a), ng.asarray(2.0)
    there_two = two.to("cuda:0")
    for y in (x * 2.0, x * two, x * there_two, x * numpy.float64(2), 2 * x):
        assert y.device == "cuda:0"
        numpy.testing.assert_array_equal(y, a * 2)
    assert (h * there_two).device == "cpu"
    numpy.testing.assert_array_equal(h * there_two, a * 2)
    assert (two * there_two).device == "cuda:0"
    assert float(two * there_two) == 4.0
    other = ng.asarray(a, device="cuda:1") * there_two
    assert other.device == "cuda:1"
    numpy.testing.assert_array_equal(other, a * 2)
    numpy.testing.assert_array_equal(ng.jit(lambda x, k: x * k)(h, there_two), a * 2)
    numpy.testing.assert_array_equal(ng.jit(lambda x: x * there_two)(h), a * 2)
    assert ng.grad(lambda k: np.sum(h * k))(there_two).device == "cpu"


def test_indices_and_masks_of_the_host(driver, a):
    x = there(a)
    numpy.testing.assert_array_equal(x[[2, 0]], a[[2, 0]])
    numpy.testing.assert_array_equal(x[a > 0], a[a > 0])
    numpy.testing.assert_array_equal(x[x > 0], a[a > 0])
    numpy.testing.assert_array_equal(np.take(x, there(numpy.array([1, -1])), axis=1), a[:, [1, -1]])
    numpy.testing.assert_array_equal(np.tril(x), numpy.tril(a))
    numpy.testing.assert_array_equal(np.repeat(x, 2, axis=0), numpy.repeat(a, 2, axis=0))
    numpy.testing.assert_array_equal(np.roll(x, 2, axis=1), numpy.roll(a, 2, axis=1))


def test_no_gradient_flows_through_a_copy_to_another_device(driver, a):
    x, h = there(a), ng.asarray(a)
    with pytest.raises(
        ng.DeviceError, match="to: inside of a transform an array that is differentiated cannot move to 'cpu'"
    ):
        ng.grad(lambda x: np.sum(x.to("cpu")))(x)
    with pytest.raises(
        ng.TracedValueError, match="to: an array cannot move to 'cuda:0' while jit traces; move it before"
    ):
        ng.jit(lambda x: x.to("cuda:0"))(h)
    numpy.testing.assert_array_equal(ng.jit(lambda x: x.to("cuda:0") + 1)(x), a + 1)
    w = ng.Parameter(a, name="w")
    y = (w * 2).to("cuda:0") * 3
    with pytest.raises(ng.HistoryError):
        ng.gradients(y, w)


# ---------------------------------------------------------------- streams and graphs


def test_a_call_does_not_wait(driver, a):
    f, x = ng.jit(lambda x: np.exp(x) * 2), there(a)
    f(x).block_until_ready()
    y = f(x)
    assert driver.pending(LEGACY) > 0
    y.block_until_ready()
    assert driver.pending(LEGACY) == 0


def test_launch_on_a_stream(driver, a):
    s, x = ng.cuda.Stream(), there(a)
    lowered = ng.jit(lambda x: (np.exp(x) * 2, x.T + 1)).lower(x)
    y, z = lowered.launch(s)
    assert driver.pending(s.handle) > 0
    assert y._node.value.stream is s
    numpy.testing.assert_allclose(y, numpy.exp(a) * 2, rtol=1e-14)
    numpy.testing.assert_array_equal(z, a.T + 1)
    assert driver.pending(LEGACY) == 0  # x was waited for
    numpy.testing.assert_allclose(lowered.launch()[0], numpy.exp(a) * 2, rtol=1e-14)
    assert lowered.launches
    assert "def kernel" in lowered.source
    assert [name for name, t in lowered.profile(3) if t > 0] == lowered.launches


def test_one_program_on_two_streams_at_once(driver, a):
    """Each has tables of its own, and what it makes in its memory: the last to be asked is the first to run."""
    f = ng.jit(lambda x: np.concatenate([np.sin(x), x * x]) + x[0])
    s, t = ng.cuda.Stream(), ng.cuda.Stream()
    with ng.cuda.stream(s):
        y = f(there(a))
    with ng.cuda.stream(t):
        z = f(there(-a))
    expect = lambda x: numpy.concatenate([numpy.sin(x), x * x]) + x[0]  # noqa: E731
    numpy.testing.assert_allclose(z, expect(-a), rtol=1e-13, atol=1e-15)
    numpy.testing.assert_allclose(y, expect(a), rtol=1e-13, atol=1e-15)


def test_many_streams(driver, a):
    """A program keeps tables for some; others come and go."""
    f = ng.jit(lambda x: x * 2 + 1)
    x = there(a)
    for _ in range(2 * runtime.MOST_TABLES):
        with ng.cuda.stream(ng.cuda.Stream()):
            y = f(x)
        numpy.testing.assert_array_equal(y, a * 2 + 1)


def test_results_that_are_dropped_while_others_wait(driver, a):
    """Intermediate memory goes round and round in the order of the stream."""
    f, x = ng.jit(lambda x: np.sin(x) + 1), there(a)
    y, expected = x, a
    for _ in range(20):
        y, expected = f(y), numpy.sin(expected) + 1
    assert driver.pending(LEGACY) > 20
    numpy.testing.assert_allclose(y, expected, rtol=1e-12)
    assert ng.cuda.memory_info().used + ng.cuda.memory_info().cached < 20 * a.nbytes


def test_a_graph(driver, a):
    w = ng.Parameter(there(a[0]), name="w")
    f = ng.jit(lambda x, k: {"y": np.exp(x) * w + k})
    x = there(a)
    graph = f.lower(x, 2.0).graph()
    launches = sum(what == "launch" for what, _ in driver.log)
    first = graph.launch()["y"]
    assert sum(what == "launch" for what, _ in driver.log) == launches
    assert driver.log[-1][0] == "copy"
    second = graph.launch(there(a + 1), 3.0)["y"]
    w.assign(there(a[1]))
    third = graph.launch()["y"]
    fourth = graph.launch(a * 2, 1.0)["y"]
    numpy.testing.assert_allclose(first, numpy.exp(a) * a[0] + 2, rtol=1e-13)
    numpy.testing.assert_allclose(second, numpy.exp(a + 1) * a[0] + 3, rtol=1e-13)
    numpy.testing.assert_allclose(third, numpy.exp(a + 1) * a[1] + 3, rtol=1e-13)
    numpy.testing.assert_allclose(fourth, numpy.exp(a * 2) * a[1] + 1, rtol=1e-13)
    numpy.testing.assert_array_equal(x, a)  # the graph has memory of its own


def test_a_graph_on_streams(driver, a):
    """Its memory is one, so its launches follow each other on whatever streams."""
    graph = ng.jit(lambda x: np.exp(x) + x.T.T).lower(there(a)).graph()
    s, t = ng.cuda.Stream(), ng.cuda.Stream()
    y = graph.launch(there(a), stream=s)
    z = graph.launch(there(-a), stream=t)
    numpy.testing.assert_allclose(z, numpy.exp(-a) - a, rtol=1e-13)
    numpy.testing.assert_allclose(y, numpy.exp(a) + a, rtol=1e-13)
    x, before = there(a), y  # these stay, so that nothing but the memory of the graph leads to the stream
    y = graph.launch(x, stream=s)
    del graph
    gc.collect()
    held = ng.cuda.memory_info()
    ng.config.cuda_memory_limit = held.used + held.cached  # so that what comes next goes where the graph was
    blocks = len(cuda.get("a test", 0).pool._free[a.nbytes])
    assert blocks >= 2
    later = [there(numpy.full_like(a, 7.0)).block_until_ready() for _ in range(blocks)]
    numpy.testing.assert_allclose(y, numpy.exp(a) + a, rtol=1e-13)
    for each in later:
        numpy.testing.assert_array_equal(each, numpy.full_like(a, 7.0))
    assert before is not y


def test_arguments_that_a_graph_does_not_take(driver, a):
    graph = ng.jit(lambda x: x * 2).lower(there(a)).graph()
    with pytest.raises(ng.ArgumentError, match=r"Graph.launch: got 2 arrays, the graph takes 1"):
        graph.launch(there(a), there(a))
    with pytest.raises(
        ng.ArgumentError, match=r"argument 0 is float64\[7, 5\].*the graph was made for float64\[5, 7\]"
    ):
        graph.launch(there(a.T))
    with pytest.raises(ng.ArgumentError, match=r"argument 0 is float32\[5, 7\].*make another one with lower"):
        graph.launch(there(a.astype("float32")))


def test_programs_of_the_host_are_not_launched(driver, a):
    lowered = ng.jit(lambda x: x * 2).lower(ng.asarray(a))
    for call in ("launch", "graph"):
        message = mixed(getattr(lowered, call))
        assert message.startswith(f"lower(...).{call}: the program is for the host, not a CUDA device")
        assert "x.to('cuda')" in message


# ---------------------------------------------------------------- launches on the host


@structural("array", reference=lambda x, y: numpy.sort(x, axis=None).reshape(x.shape) * y)
def host_only(x, y):
    return x.shape, x.dtype


@pytest.fixture
def unwarned():
    runtime._warned.discard(host_only.name)
    yield
    runtime._warned.discard(host_only.name)


def test_what_has_no_kernel_is_done_on_the_host(driver, a, unwarned):
    f = ng.jit(lambda x: np.concatenate([host_only(x.T[::-1] * 2, np.ones((7, 5))) + 1, x.T]))
    expected = numpy.concatenate([numpy.sort((a.T[::-1] * 2).ravel()).reshape(7, 5) + 1, a.T])
    x = there(a)
    with pytest.warns(ng.HostFallbackWarning, match="^host_only: has no CUDA kernel for these shapes and dtypes"):
        y = f(x)
    numpy.testing.assert_array_equal(y, expected)
    numpy.testing.assert_array_equal(f(x), expected)  # said once: a warning would be an error here
    numpy.testing.assert_array_equal(host_only(x, x), numpy.sort(a, axis=None).reshape(a.shape) * a)
    with ng.cuda.stream(ng.cuda.Stream()):
        numpy.testing.assert_array_equal(f(x), expected)


def test_the_host_gets_the_elements_of_views(driver, a, unwarned):
    """Of an input, a captured array and an intermediate one: parts, backwards, stretched and transposed."""
    runtime._warned.add(host_only.name)
    x, kept = there(a), there(a * 3)

    def f(xp, x, kept):
        y = xp.exp(x) + kept
        return [(x[1:4, ::-1], y[2:]), (kept.T[2:], x.T[2:]), (y[::2, -3:], kept[1:4, 2:5]),
                (xp.broadcast_to(x[3], (5, 7)), y[::-1])]  # fmt: skip

    expected = [host_only.reference(u, v) for u, v in f(numpy, a, a * 3)]
    found = ng.jit(lambda x: [host_only(u, v) for u, v in f(np, x, kept)])(x)
    for y, e in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(y, e, rtol=1e-14)


def test_a_graph_cannot_go_to_the_host(driver, a, unwarned):
    runtime._warned.add(host_only.name)
    lowered = ng.jit(lambda x: host_only(x, x) + 1).lower(there(a))
    message = mixed(lowered.graph)
    assert message.startswith("lower(...).graph: host_only has no CUDA kernel and is done on the host")
    assert "use lower(...).launch" in message


# ---------------------------------------------------------------- the device that pretends


def test_a_kernel_that_writes_beside_its_array_is_caught(a):
    with pretend_device(2) as driver:
        lowered = ng.jit(lambda x: x * 2).lower(there(a[0]))
        step = lowered._compiled._steps[0]
        step[0].total += 1
        lowered.launch()
        with pytest.raises(ng.KernelError, match="a launch: memory beside an allocation of 56 bytes was written"):
            driver.synchronize()
        for whole, start, nbytes in driver._held.values():
            whole[start + nbytes :] = 0xA5


def test_undelayed_streams(a):
    with pretend_device(delayed=False) as driver:
        y = there(a) * 2
        numpy.testing.assert_array_equal(y, a * 2)
        assert driver.pending(LEGACY) == 0


def test_programs_of_devices_are_not_pickled(driver, a):
    lowered = ng.jit(np.sin).lower(there(a))
    with pytest.raises(pickle.PicklingError, match=r"pickle of lower\(...\): the program is for a CUDA device"):
        pickle.dumps(lowered)
