"""Users' kernels in programs that leave Python."""

import ctypes
import math

import numpy
import pytest
import scipy.special

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import KernelError


@ng.array_kernel(lambda x: (x.shape, x.dtype))
def mean_so_far_of_exported(x, out, *, keep=0.5):
    mean = x[0]
    for i in range(x.size):
        if x[i] > 1e6:
            raise ValueError("too large")
        mean = keep * mean + (1.0 - keep) * x[i]
        out[i] = mean


@mean_so_far_of_exported.vjp_kernel
def mean_so_far_of_exported_vjp(g, g_x, *, keep):
    total = 0.0
    for i in range(g.size - 1, -1, -1):
        total = keep * total + g[i]
        g_x[i] = (1.0 - keep) * total
    g_x[0] += keep * total


@ng.elementwise
def soft_step_of_exported(x):
    return x / (1.0 + math.exp(-x)) if x > -30.0 else 0.0


def loss(x):
    return np.sum(np.exp(mean_so_far_of_exported(soft_step_of_exported(x), keep=0.75)))


def expected(x):
    """The value by NumPy, and its derivative along ones by differences."""

    def value(x):
        mean = (x / (1 + numpy.exp(-x)))[0]
        total = 0.0
        for v in x / (1 + numpy.exp(-x)):
            mean = 0.75 * mean + 0.25 * v
            total += numpy.exp(mean)
        return total

    return value(x), (value(x + 1e-5) - value(x - 1e-5)) / 2e-5


X = numpy.linspace(-1.0, 2.0, 9)


def test_from_numba():
    made = ng.jit(ng.value_and_grad(loss)).njit(numpy.ones(4))
    value, grad = made(X)
    assert (value, numpy.sum(grad)) == (pytest.approx(expected(X)[0]), pytest.approx(expected(X)[1]))
    with pytest.raises(RuntimeError, match="a kernel of yours raised an exception"):
        made(numpy.full(3, 1e7))
    looped = ng.jit(lambda x: ng.fori_loop(0, 3, lambda _, y: mean_so_far_of_exported(y), x)).njit(numpy.ones(4))
    with pytest.raises(RuntimeError, match="a kernel of yours raised an exception"):
        looped(numpy.full(3, 1e7))
    assert looped(numpy.full(3, 2.0)).tolist() == [2.0, 2.0, 2.0]


def test_from_c(tmp_path):
    files = ng.jit(ng.value_and_grad(loss)).export(tmp_path / "loss.so", numpy.ones(4))
    call, value, grad = ctypes.CDLL(str(files.library)).loss, numpy.empty(()), numpy.empty(9)

    def run(x):
        return call(*(ctypes.c_void_p(a.ctypes.data) for a in (x, value, grad)), ctypes.c_int64(x.size), None)

    assert run(X) == 0
    assert (float(value), numpy.sum(grad)) == (pytest.approx(expected(X)[0]), pytest.approx(expected(X)[1]))
    assert run(numpy.full(3, 1e7)) == 3


def test_what_is_in_this_process_only_is_not_exported(tmp_path):
    struve = ng.adopt(scipy.special.struve)
    both = ng.jit(lambda x: np.sum(struve(1.0, x)))
    assert both.njit(numpy.ones(4))(X) == pytest.approx(numpy.sum(scipy.special.struve(1.0, X)))
    with pytest.raises(
        KernelError, match=r"the library would need nbgrad_c_.*, which are in this process only: functions"
    ):
        both.export(tmp_path / "f.so", numpy.ones(4))
    opaque = ng.opaque(lambda x: x**2, vjp=lambda g, y, x: 2 * g * x)
    with pytest.raises(KernelError, match="is a call of a library that nbgrad makes from Python"):
        ng.jit(opaque).njit(numpy.ones(4))
