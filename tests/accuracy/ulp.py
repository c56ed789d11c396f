"""Sampling, exact values and errors in units in the last place."""

import functools

import mpmath
import numpy

import nbgrad as ng
from nbgrad.primitive import primitives

#: What every function of one argument is asked, besides its samples.
SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 10.0, 100.0, 1e-20, -1e-20, numpy.inf, -numpy.inf, numpy.nan,
    numpy.pi / 2, -numpy.pi, 1e15, 6381956970095103.0 * 2.0**797, 1e300, -1e300, 5e-324, -5e-324,
    2.2250738585072014e-308, 1e-310, 1.7976931348623157e308, 1e38, 1e-45, 1e-40, 88.7, -103.9, 709.782712893384,
    -745.1, -708.4, 1024.0, -1074.0,
)  # fmt: skip


@functools.cache
def compiled(name, dtype):
    """The primitive as users run it: a compiled program of NumPy arrays."""
    primitive = primitives()[name]
    program = ng.jit(lambda *arrays: primitive(*arrays))

    def call(*arrays):
        assert all(a.dtype == dtype for a in arrays)
        return numpy.asarray(program(*map(ng.asarray, arrays)))

    return call


def sample(row, dtype, count, seed=0):
    """Arrays of arguments: half uniform in the intervals, half log-uniform in the magnitudes; and special values."""
    rng = numpy.random.default_rng(seed)
    info = numpy.finfo(dtype)
    half = max(count // 2, 1)
    columns = []
    for (low, high), (least, most) in zip(row.intervals, row.magnitudes, strict=True):
        least, most = max(abs(least), float(info.smallest_subnormal)), min(most, float(info.max))
        spread = numpy.exp2(rng.uniform(numpy.log2(least), numpy.log2(most), half))
        signs = rng.choice([-1.0, 1.0], half) if row.signed else 1.0
        columns.append([rng.uniform(low, high, count - half), numpy.minimum(spread, most) * signs])
    if row.coupled is not None:
        columns = [list(row.coupled(*(numpy.concatenate(c) for c in columns), float(numpy.log(info.max))))]
        columns = [[c] for c in columns[0]]
    if len(columns) == 1:
        columns[0].append(numpy.array(SPECIAL))
    with numpy.errstate(all="ignore"):
        arrays = [numpy.concatenate(c).astype(dtype) for c in columns]
    keep = row.inside(*arrays) if row.inside is not None else numpy.ones(arrays[0].size, bool)
    return [a[keep] for a in arrays]


def exact(row, dtype, arrays):
    """The true values as an unevaluated sum of two float64.

    For float32, NumPy's or SciPy's float64 is exact enough; for float64 mpmath says.
    """
    if dtype == "float32" and row.wide:
        with numpy.errstate(all="ignore"):
            high = numpy.asarray(primitives()[row.name].reference(*(a.astype("float64") for a in arrays)))
        return high, numpy.zeros_like(high)
    high, low = numpy.empty(arrays[0].size), numpy.zeros(arrays[0].size)
    for i, values in enumerate(zip(*(a.tolist() for a in arrays), strict=True)):
        high[i], low[i] = _one(row.oracle, values)
    return high, low


def _one(oracle, values):
    largest = max((abs(v) for v in values if numpy.isfinite(v)), default=0.0)
    # an angle loses as many bits as its exponent has
    bits = 130 + (max(0, int(numpy.log2(largest))) if largest > 0 and oracle in PERIODIC else 0)
    with mpmath.workprec(bits):
        if any(v != v for v in values):
            return numpy.nan, 0.0
        try:
            value = oracle(*(mpmath.mpf(v) for v in values))
        except (ValueError, ZeroDivisionError):
            return numpy.nan, 0.0
        if isinstance(value, mpmath.mpc) or mpmath.isnan(value):
            return numpy.nan, 0.0
        high = float(value)
        return high, float(value - high) if numpy.isfinite(high) else 0.0


PERIODIC = (mpmath.sin, mpmath.cos, mpmath.tan)


def errors(got, high, low, dtype, floor=0.0):
    """|got - (high + low)| in ulps of the true value in `dtype`, or of `floor` if that is larger."""
    with numpy.errstate(all="ignore"):
        wanted = high.astype(dtype)
        spacing = numpy.spacing(numpy.maximum(numpy.abs(wanted), numpy.asarray(floor, dtype))).astype("float64")
        error = numpy.abs((got.astype("float64") - high) - low) / spacing
        same = ((got == wanted) & ~numpy.isfinite(wanted)) | (numpy.isnan(got) & numpy.isnan(wanted))
        # a true value within half an ulp beyond the largest float may round either way
        largest = float(numpy.finfo(dtype).max)
        edge = numpy.isfinite(high) & (numpy.abs(high) >= largest) & (numpy.abs(got) >= largest)
        error = numpy.where(same | edge, 0.0, error)
        return numpy.where(numpy.isnan(error), numpy.inf, error)
