"""check_kernel: right kernels pass, and each kind of mistake is found by the check that looks for it."""

import math

import numpy
import pytest

import nbgrad as ng
from nbgrad.errors import ArgumentError
from nbgrad.testing import KernelCheckError, check_kernel

X = numpy.array([0.5, -1.5, 2.0, 0.7])


@ng.elementwise
def soft_ramp(x, k):
    return x / (1.0 + math.exp(-k * x)) if x > -1.0 else 0.1 * k * x


@ng.elementwise(lambda x: x**3, name="checked_cube")
def cube(x):
    return x * x * x


@cube.vjp
def cube_vjp(g, x):
    return 2.0 * g * x * x


@ng.elementwise(lambda x: x**2 + 1e-3, name="checked_square")
def square(x):
    return x * x


def like(x):
    return x.shape, x.dtype


@ng.array_kernel(like, split=lambda x: x.size)
def halved(x, out, start, stop):
    for i in range(start, stop):
        out[i] = 0.5 * x[i]


@halved.vjp_kernel(split=lambda g: g.size)
def halved_vjp(g, g_x, start, stop):
    for i in range(start, stop):
        g_x[i] = 0.5 * g[i]


@halved_vjp.vjp
def halved_vjp_vjp(g):
    return halved(g)


@ng.array_kernel(lambda x: ((1,), x.dtype), split=lambda x: x.size)
def racing(x, out, start, stop):
    for i in range(start, stop):
        out[0] = x[i]


@ng.array_kernel(like)
def racing_back(x, out):
    for i in range(x.size):
        out[i] = x[i]


@racing_back.vjp_kernel(split=lambda g: g.size)
def racing_back_vjp(g, g_x, start, stop):
    for _ in range(start, stop):
        g_x[:] = 1.0


@ng.array_kernel(lambda x: (x.shape, "float64"))
def always_double(x, out):
    for i in range(x.size):
        out[i] = x[i]


@ng.array_kernel(like)
def unfinished(x, out):
    for i in range(1, x.size):
        out[i] = x[i]


@ng.array_kernel(like)
def accumulating(x, out):
    for i in range(x.size):
        out[i] += x[i]


@ng.array_kernel(like)
def beyond(x, out):
    for i in range(x.size):
        out[i] = x[i + 1]


random = numpy.random.default_rng()


@ng.opaque(fd=True)
def noisy(x):
    return x + random.normal()


def states(report):
    return {line.check: line.state for line in report.lines}


def test_right_kernels_pass(capsys):
    report = check_kernel(soft_ramp, X, 1.3)
    assert not report.failed
    assert states(report)["second derivative"] == states(report)["broadcast"] == "ok"
    assert str(report) in capsys.readouterr().out
    report = check_kernel(halved, X, reference=lambda x: x / 2)
    done = states(report)
    assert {done[c] for c in ("reference", "parts", "memory", "threads", "strides", "forward mode")} == {"ok"}
    assert done["broadcast"] == "not run"


@pytest.mark.parametrize(("kernel", "check", "text"), [
    (cube, "first derivative", r"by argument 0, order 1: .* instead of .*\(differences\)"),
    (square, "values", r"result 0 at \[0\]: 0.25 \(compiled\), 0.251 \(interpreted\)"),
    (racing, "parts", r"begin at 0 and at 1 both write out\[0\]: a race between threads"),
    (racing_back, "parts", r"racing_back_vjp: the parts .* both write g_x\[0\]"),
    (always_double, "float32", r"inputs of float32 give float64, expected float32 \(keeps_dtype=False allows it\)"),
    (unfinished, "memory", r"unfinished: out\[0\] is not written"),
    (accumulating, "memory", r"result 0 differs: accumulating over zeros and over other bytes"),
    (noisy, "repeated runs", "result 0 differs: a later run and the first"),
    (beyond, "values", "IndexError: index 4 is out of bounds"),
])  # fmt: skip
def test_each_mistake_is_found(kernel, check, text):
    with pytest.raises(KernelCheckError, match=text) as caught:
        check_kernel(kernel, X)
    assert check in [line.check for line in caught.value.report.failed]


def test_a_kernel_that_raises_is_not_run_natively():
    with pytest.raises(KernelCheckError) as caught:
        check_kernel(beyond, X)
    assert {state for check, state in states(caught.value.report).items() if check != "values"} == {"not run"}


def test_a_reference_and_a_dtype_that_is_meant(capsys):
    assert not check_kernel(always_double, X, keeps_dtype=False).failed
    with pytest.raises(KernelCheckError, match=r"reference +failed +result 0 at \[0\]"):
        check_kernel(halved, X, reference=lambda x: x / 3)


def test_arguments():
    with pytest.raises(ArgumentError, match="check_kernel: got int 3, expected a primitive or a function of Arrays"):
        check_kernel(3, X)
    with pytest.raises(ArgumentError, match="check_kernel of soft_ramp: it needs inputs to look at"):
        check_kernel(soft_ramp)
