"""Making Arrays."""

import numpy

from nbgrad import array as _array
from nbgrad import devices, dtypes, graph
from nbgrad.array import Array, placed
from nbgrad.numpy._arguments import as_array, as_dtype, as_shape, cast

asarray = _array.asarray


def _leaf(value):
    return Array(graph.leaf(value))


def array(x, dtype=None, *, copy=True, ndmin=0, device=None):
    """A new Array with the value of `x`, which may hold Arrays (their gradients flow on)."""
    out = asarray(x, dtype, device=device, copy=copy)
    if out.ndim < ndmin:
        from nbgrad.numpy.manipulation import reshape

        out = reshape(out, (1,) * (ndmin - out.ndim) + out.shape)
    return out


def copy(x):
    """Another handle on the same value."""
    return Array(as_array(x, "copy")._node)


def ascontiguousarray(x, dtype=None):
    """Same as `asarray`, since Arrays are in C order, but of at least one dimension."""
    return array(x, dtype, copy=None, ndmin=1)


def from_dlpack(x, *, device=None, copy=None):
    """An Array with the data of a DLPack object: a copy from the CPU, the same memory on a CUDA device."""
    if not isinstance(x, Array):
        found = None if isinstance(x, numpy.ndarray) else devices.foreign(x)
        if found is None:
            x = _leaf(numpy.array(numpy.from_dlpack(x)))
        else:
            x = Array(graph.leaf(found.copy() if copy else found))
    return placed("from_dlpack", x, device)


def arange(start, stop=None, step=1, dtype=None, *, device=None):
    """Evenly spaced values in the half-open interval [start, stop)."""
    start, stop, step = (v.item() if isinstance(v, Array) else v for v in (start, stop, step))
    value = numpy.arange(start, stop, step) if stop is not None else numpy.arange(0, start, step)
    made = _leaf(value.astype(as_dtype(dtype, "arange") or dtypes.as_dtype(value.dtype, "arange"), copy=False))
    return placed("arange", made, device)


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, *, device=None):
    """`num` evenly spaced values from `start` to `stop`; gradients flow to start and stop.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.linspace(0, 1, 5)
    Array([0.  , 0.25, 0.5 , 0.75, 1.  ], shape=(5,), dtype=float64, device=cpu)
    """
    dtype = as_dtype(dtype, "linspace")
    parts = num - 1 if endpoint else num
    if not isinstance(start, Array) and not isinstance(stop, Array):
        value = numpy.linspace(start, stop, num, endpoint)
        out = _leaf(value.astype(dtype or dtypes.FLOAT64, copy=False))
        step = (numpy.subtract(stop, start) / parts) if parts > 0 else numpy.nan
    else:
        from nbgrad.numpy.manipulation import expand_dims

        start, stop = as_array(start, "linspace", "start"), as_array(stop, "linspace", "stop")
        step = (stop - start) / parts if parts > 0 else (stop - start) * numpy.nan
        fraction = numpy.arange(num) / max(parts, 1)
        t = Array(graph.table(fraction.reshape((num,) + (1,) * max(start.ndim, stop.ndim))))
        a, b = expand_dims(start, 0), expand_dims(stop, 0)
        t = cast(t, dtypes.promote([a.dtype, b.dtype, "weak float"]))
        out = a * (1.0 - t) + b * t
        out = cast(out, dtype) if dtype else out
    out = placed("linspace", out, device)
    return (out, step) if retstep else out


def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None):
    """`num` values evenly spaced on a logarithmic scale from base**start to base**stop."""
    from nbgrad.numpy.elementwise import power

    out = power(base, linspace(start, stop, num, endpoint))
    return out if dtype is None else cast(out, as_dtype(dtype, "logspace"))


def zeros(shape, dtype=None, *, device=None):
    """An Array of zeros, float64 unless `dtype` says otherwise."""
    return _constant("zeros", shape, 0, dtype, device)


def ones(shape, dtype=None, *, device=None):
    """An Array of ones, float64 unless `dtype` says otherwise."""
    return _constant("ones", shape, 1, dtype, device)


def empty(shape, dtype=None, *, device=None):
    """Same as `zeros`."""
    return _constant("empty", shape, 0, dtype, device)


def _constant(call, shape, value, dtype, device):
    made = Array(graph.constant(value, as_dtype(dtype, call) or dtypes.FLOAT64, as_shape(shape, call)))
    return placed(call, made, device)


def full(shape, fill_value, dtype=None, *, device=None):
    """An Array of `fill_value`, which may be an Array that broadcasts to `shape`."""
    from nbgrad.numpy.manipulation import broadcast_to

    value = as_array(fill_value, "full", "fill_value")
    dtype = as_dtype(dtype, "full")
    made = broadcast_to(value if dtype is None else cast(value, dtype), as_shape(shape, "full"))
    return placed("full", made, device)


def zeros_like(x, dtype=None, *, shape=None, device=None):
    """Zeros with the shape and dtype of `x`."""
    return _like("zeros_like", x, 0, dtype, shape, device)


def ones_like(x, dtype=None, *, shape=None, device=None):
    """Ones with the shape and dtype of `x`."""
    return _like("ones_like", x, 1, dtype, shape, device)


def empty_like(x, dtype=None, *, shape=None, device=None):
    """Same as `zeros_like`."""
    return _like("empty_like", x, 0, dtype, shape, device)


def full_like(x, fill_value, dtype=None, *, shape=None, device=None):
    """`fill_value` in the shape and dtype of `x`."""
    x = as_array(x, "full_like")
    device = x.device if device is None and devices.used else device
    return full(x.shape if shape is None else shape, fill_value, dtype or x.dtype, device=device)


def _like(call, x, value, dtype, shape, device):
    x = as_array(x, call)
    device = x.device if device is None and devices.used else device
    return _constant(call, x.shape if shape is None else shape, value, dtype or x.dtype, device)


def eye(n_rows, n_cols=None, k=0, dtype=None, *, device=None):
    """Ones on the k-th diagonal, zeros elsewhere."""
    return placed("eye", _leaf(numpy.eye(n_rows, n_cols, k, dtype=as_dtype(dtype, "eye") or dtypes.FLOAT64)), device)


def identity(n, dtype=None):
    """The n by n identity matrix."""
    return eye(n, dtype=dtype)


def tri(n, m=None, k=0, dtype=None):
    """Ones at and below the k-th diagonal, zeros above."""
    return _leaf(numpy.tri(n, m, k, dtype=as_dtype(dtype, "tri") or dtypes.FLOAT64))
