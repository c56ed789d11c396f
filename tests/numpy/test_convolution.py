"""Convolution and pooling against their definitions, written as loops over positions."""

import itertools

import numpy
import pytest
from checking import check_gradient, normal, same

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors


def pairs(padding, spatial, window, strides, dilation):
    """(before, after) zeros for each spatial axis."""
    if padding == "valid":
        return [(0, 0)] * len(spatial)
    if padding == "same":
        totals = []
        for n, k, s, d in zip(spatial, window, strides, dilation, strict=True):
            last = (int(numpy.ceil(n / s)) - 1) * s + d * (k - 1)  # the last element that the last window reads
            totals.append(max(last + 1 - n, 0))
        return [(t // 2, t - t // 2) for t in totals]
    several = padding if isinstance(padding, (tuple, list)) else [padding] * len(spatial)
    return [p if isinstance(p, tuple) else (p, p) for p in several]


def tuples(rank, *values):
    return [v if isinstance(v, tuple) else (v,) * rank for v in values]


def windows(x, window, strides, margins, dilation, value=0.0):
    """(position, window of x) for every position along the spatial axes, and how many there are along each."""
    x = numpy.pad(x, ((0, 0), *margins, (0, 0)), constant_values=value)
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    counts = [len(range(0, n - r + 1, s)) for n, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]

    def all_of_them():
        for position in numpy.ndindex(*counts):
            cut = [slice(p * s, p * s + r, d) for p, s, r, d in zip(position, strides, reach, dilation, strict=True)]
            yield position, x[(slice(None), *cut)]

    return counts, all_of_them()


def convolved(x, w, strides=1, padding="valid", dilation=1, groups=1):
    window, rank = w.shape[:-2], x.ndim - 2
    strides, dilation = tuples(rank, strides, dilation)
    margins = pairs(padding, x.shape[1:-1], window, strides, dilation)
    counts, found = windows(x, window, strides, margins, dilation)
    out = numpy.zeros((x.shape[0], *counts, w.shape[-1]), numpy.result_type(x, w))
    c, o = x.shape[-1] // groups, w.shape[-1] // groups
    for position, part in found:
        for b, k in itertools.product(range(x.shape[0]), range(w.shape[-1])):
            g = k // o
            out[(b, *position, k)] = (part[b][..., g * c : (g + 1) * c] * w[..., k]).sum()
    return out


def transposed(x, w, strides=1, padding="valid", dilation=1, groups=1):
    """Each element of x puts a copy of the filter down, times itself; what is padded is cut off."""
    window, rank = w.shape[:-2], x.ndim - 2
    strides, dilation = tuples(rank, strides, dilation)
    spatial = x.shape[1:-1]
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    ends = [(n - 1) * s + r for n, s, r in zip(spatial, strides, reach, strict=True)]
    if padding == "same":
        wanted = [n * s for n, s in zip(spatial, strides, strict=True)]
    margins = pairs(padding, wanted if padding == "same" else spatial, window, strides, dilation)
    out = numpy.zeros((x.shape[0], *[e + 50 for e in ends], w.shape[-2] * groups))
    c, o = x.shape[-1] // groups, w.shape[-2]
    for position in numpy.ndindex(*spatial):
        cut = [slice(p * s, p * s + r, d) for p, s, r, d in zip(position, strides, reach, dilation, strict=True)]
        for b, k in itertools.product(range(x.shape[0]), range(x.shape[-1])):
            g = k // c
            out[(b, *cut, slice(g * o, (g + 1) * o))] += x[(b, *position, k)] * w[..., k]
    if padding != "same":
        wanted = [e - sum(m) for e, m in zip(ends, margins, strict=True)]
    cut = [slice(before, before + n) for (before, _), n in zip(margins, wanted, strict=True)]
    return out[(slice(None), *cut)]


ROWS = (
    ((2, 7, 3), (3, 3, 4), {}),
    ((1, 7, 2), (3, 2, 2), {"strides": 2, "padding": "same"}),
    ((1, 7, 1), (2, 1, 2), {"strides": 3, "padding": 2, "dilation": 2}),
    ((2, 5, 6, 2), (3, 2, 2, 3), {"padding": "same"}),
    ((1, 5, 6, 2), (3, 3, 2, 3), {"strides": (2, 1), "padding": ((0, 1), (2, 0)), "dilation": (1, 2)}),
    ((1, 4, 5, 1), (1, 1, 1, 2), {"strides": (1, 2)}),
    ((1, 5, 5, 2), (2, 2, 2, 1), {"padding": (1, 0)}),
    ((1, 3, 4, 3, 1), (2, 2, 2, 1, 2), {"padding": "same", "strides": (1, 2, 1)}),
    ((2, 6, 4), (3, 2, 6), {"groups": 2}),
    ((1, 4, 4, 6), (2, 2, 1, 6), {"groups": 6, "padding": "same"}),
    ((1, 5, 4, 4), (3, 3, 2, 2), {"groups": 2, "strides": 2, "padding": 1, "dilation": 1}),
)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("a", "b", "how"), ROWS)
def test_conv(settings, a, b, how, jit):
    settings.jit = jit
    x, w = normal(*a), normal(*b, seed=1)
    same(np.conv(x, w, **how), convolved(x, w, **how), 1e-12)


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("a", "b", "how"), ROWS)
def test_conv_transpose(settings, a, b, how, jit):
    """The filters are those of a convolution whose result has the shape of x."""
    settings.jit = jit
    x, w = normal(*a[:-1], b[-1]), normal(*b, seed=1)
    same(np.conv_transpose(x, w, **how), transposed(x, w, **how), 1e-12)


@pytest.mark.parametrize(("a", "b", "how"), ROWS)
def test_gradients(a, b, how):
    check_gradient(lambda x, w: np.conv(x, w, **how), normal(1, *a[1:]), normal(*b, seed=1))
    check_gradient(lambda x, w: np.conv_transpose(x, w, **how), normal(1, *a[1:-1], b[-1]), normal(*b, seed=1))


@pytest.mark.parametrize(("a", "b", "how"), ROWS)
def test_conv_transpose_is_the_transpose(a, b, how):
    """<conv(x), y> = <x, conv_transpose(y)>."""
    y, w = normal(*a[:-1], b[-1], seed=2), normal(*b, seed=1)
    back = np.conv_transpose(y, w, **how).numpy()
    x = normal(*back.shape)
    assert abs((convolved(x, w, **how) * y).sum() - (x * back).sum()) < 1e-9


POOLS = (
    ((2, 6, 3), 2, {}),
    ((1, 7, 2), 3, {"strides": 1}),
    ((1, 7, 2), 3, {"strides": 2, "padding": "same"}),
    ((1, 6, 5, 2), (2, 3), {"padding": ((1, 0), (1, 1))}),
    ((1, 6, 6, 1), 2, {"strides": (1, 2), "dilation": (2, 1)}),
    ((1, 4, 5, 3, 1), (2, 2, 1), {"padding": (1, 1, 0)}),
    ((1, 4, 2), 1, {}),
)


def pooled(reduce, x, window, strides=None, padding="valid", dilation=1, value=0.0):
    rank = x.ndim - 2
    window, strides, dilation = tuples(rank, window, window if strides is None else strides, dilation)
    margins = pairs(padding, x.shape[1:-1], window, strides, dilation)
    counts, found = windows(x, window, strides, margins, dilation, value)
    out = numpy.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)
    for position, part in found:
        out[(slice(None), *position)] = reduce(part, axis=tuple(range(1, rank + 1)))
    return out


@pytest.mark.parametrize("jit", [0, 2])
@pytest.mark.parametrize(("shape", "window", "how"), POOLS)
def test_pooling(settings, shape, window, how, jit):
    settings.jit = jit
    x = normal(*shape)
    same(np.max_pool(x, window, **how), pooled(numpy.max, x, window, **how, value=-numpy.inf))
    same(np.avg_pool(x, window, **how), pooled(numpy.mean, x, window, **how), 1e-12)
    without = pooled(numpy.nanmean, x, window, **how, value=numpy.nan)
    same(np.avg_pool(x, window, **how, count_include_pad=False), without, 1e-12)


@pytest.mark.parametrize(("shape", "window", "how"), POOLS)
def test_gradients_of_pooling(shape, window, how):
    x = normal(*shape)
    check_gradient(lambda x: np.max_pool(x, window, **how), x)
    check_gradient(lambda x: np.avg_pool(x, window, **how), x)
    check_gradient(lambda x: np.avg_pool(x, window, **how, count_include_pad=False), x)


def test_equal_elements_share_the_gradient_of_max_pool():
    x = ng.asarray([[[1.0], [3.0], [3.0], [2.0], [2.0], [2.0]]])
    found = ng.grad(lambda x: np.max_pool(x, 3).sum())(x)
    same(found, numpy.array([[[0], [0.5], [0.5], [1 / 3], [1 / 3], [1 / 3]]]))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int8", "uint8", "bool"])
def test_dtypes(dtype):
    x = (numpy.abs(normal(1, 6, 2)) * 3).astype(dtype)
    same(np.max_pool(x, 2), pooled(numpy.max, x, 2))
    same(np.max_pool(x, 3, padding="same"), pooled(numpy.max, x, 3, padding="same"))  # x >= 0
    expected = x.astype("float64") if x.dtype.kind != "f" else x
    same(np.avg_pool(x, 2), pooled(numpy.mean, expected, 2), 1e-3 if dtype == "float16" else 1e-6)
    if dtype in ("float32", "int64"):
        w = (normal(3, 2, 2, seed=1) * 3).astype(dtype)
        same(np.conv(x, w), convolved(x, w), 1e-5)


def test_complex_numbers():
    x, w = normal(1, 5, 2) + 1j * normal(1, 5, 2, seed=3), normal(2, 2, 3) - 1j * normal(2, 2, 3, seed=4)
    same(np.conv(x, w), convolved(x, w), 1e-12)
    same(np.avg_pool(x, 2), pooled(numpy.mean, x, 2), 1e-12)
    parts = lambda a, b, c, d: np.abs(np.conv(a + 1j * b, c + 1j * d)) ** 2  # noqa: E731
    check_gradient(parts, x.real, x.imag, w.real, w.imag)


def test_views_and_empty_batches():
    x, w = normal(5, 6, 2).transpose(2, 1, 0), normal(2, 5, 3)
    same(np.conv(ng.asarray(normal(5, 6, 2)).transpose(2, 1, 0), w), convolved(x, w), 1e-12)
    same(np.conv(x[:, ::-2], w), convolved(x[:, ::-2], w), 1e-12)
    assert np.conv(numpy.zeros((0, 6, 5)), w).shape == (0, 5, 3)
    assert np.conv_transpose(numpy.zeros((0, 6, 3)), w).shape == (0, 7, 5)
    assert np.max_pool(numpy.zeros((0, 6, 5)), 2).shape == (0, 3, 5)
    assert ng.grad(lambda x: np.conv(x, w).sum())(ng.asarray(numpy.zeros((0, 6, 5)))).shape == (0, 6, 5)


def test_conv2d_is_conv_of_two_axes():
    x, w = normal(2, 5, 6, 3), normal(3, 2, 3, 4)
    same(np.conv2d(x, w, 2, "SAME"), convolved(x, w, 2, "same"), 1e-12)
    same(np.conv(x, w, 2, "SAME"), convolved(x, w, 2, "same"), 1e-12)


X, W = numpy.ones((1, 5, 2)), numpy.ones((3, 2, 4))
MESSAGES = (
    (lambda: np.conv(X[0], W), errors.ShapeError, r"conv\(x, w\): expected x of \(batch, \*spatial, channels\) and w"),
    (lambda: np.conv(X, W[:, :1]), errors.ShapeError, r"x has 2 channels and w takes 1 in each of 1 groups"),
    (lambda: np.conv(X, W, groups=3), errors.ShapeError, r"x has 2 channels and w takes 2 in each of 3 groups"),
    (lambda: np.conv(X[:, :2], W), errors.ShapeError,
     r"conv: windows that reach over \(3,\) elements do not fit in the \(padded\) spatial extents \(2,\)"),
    (lambda: np.conv(X, W, 0), errors.ArgumentError, r"conv: strides must be positive, not 0"),
    (lambda: np.conv(X, W, 1.5), errors.ArgumentError, r"conv: strides must be an integer, not 1.5"),
    (lambda: np.conv(X, W, (1, 1)), errors.ArgumentError, r"strides must be one integer or one for each of 1 spatial"),
    (lambda: np.conv(X, W, dilation=-1), errors.ArgumentError, r"conv: dilation must be positive, not -1"),
    (lambda: np.conv(X, W, padding="full"), errors.ArgumentError, r"padding must be 'valid', 'same', .*'full'"),
    (lambda: np.conv(X, W, padding=-1), errors.ArgumentError, r"none negative, not -1"),
    (lambda: np.conv(X, W, padding=((1, 2, 3),)), errors.ArgumentError, r"conv: padding must be"),
    (lambda: np.conv_transpose(X, W), errors.ShapeError, r"conv_transpose\(x, w\): x has 2 channels and w takes 4"),
    (lambda: np.max_pool(X[0], 2), errors.ShapeError, r"max_pool: expected x of \(batch, \*spatial, channels\)"),
    (lambda: np.max_pool(X * 1j, 2), errors.DtypeError, r"max_pool: complex numbers have no order; pool abs\(x\)"),
    (lambda: np.avg_pool(X, 9), errors.ShapeError, r"avg_pool: windows that reach over \(9,\) elements do not fit"),
    (lambda: np.avg_pool(X, 0), errors.ArgumentError, r"avg_pool: window must be positive, not 0"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), MESSAGES)
def test_error(call, error, text):
    with pytest.raises(error, match=text):
        call()
