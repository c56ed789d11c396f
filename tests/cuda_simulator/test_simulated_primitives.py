"""Every primitive as Numba's CUDA simulator computes it, beside its oracle and the kernels of the CPU."""

from simulated import assert_as_exact, lowered, on_the_cpu, run  # isort: skip  - or why all of this is skipped

import numpy
import pytest
from primitives.table import ANY, ELEMENTWISE, ON_DEVICES
from primitives.test_values import assert_near, each, exact


@each(ELEMENTWISE, *ANY)
def test_values(row, dtype):
    """Within the units of the last place that the table allows; whole numbers as on the CPU."""
    arguments = row.sample(dtype, (13,))
    (found,) = run(lowered(row.primitive, *arguments), arguments, grid=2, block=4)
    (expected,) = on_the_cpu(row.primitive, *arguments)
    assert found.dtype == expected.dtype
    if found.dtype.kind == "f" and numpy.dtype(dtype).kind == "f":
        assert_near(found, exact(row, arguments), row.ulp, row.name)
    else:
        numpy.testing.assert_array_equal(found, expected)


@each(ELEMENTWISE, "float64", "float32")
def test_special_values(row, dtype):
    """Infinities, zeros of both signs and nan give what the CPU's kernels give."""
    special = numpy.array([0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, 1.0, -1.0, 2.5], dtype)
    count = 1 if row.arity == 1 else 8
    arguments = [numpy.roll(numpy.repeat(special, count) if k else numpy.tile(special, count), k)
                 for k in range(row.arity)]  # fmt: skip
    if row.name == "where":
        arguments[0] = arguments[0] > 0
    (found,) = run(lowered(row.primitive, *arguments), arguments)
    (expected,) = on_the_cpu(row.primitive, *arguments)
    numpy.testing.assert_array_equal(numpy.isnan(found), numpy.isnan(expected))
    finite = numpy.isfinite(expected)
    numpy.testing.assert_array_equal(found[~finite], expected[~finite])
    numpy.testing.assert_allclose(found[finite], expected[finite], rtol=4 * numpy.finfo(dtype).eps)
    zero = found == 0
    numpy.testing.assert_array_equal(numpy.signbit(found[zero]), numpy.signbit(expected[zero]))


def assert_case(row, case, dtype, **grid):
    arguments = row.arguments(case, dtype)
    low = lowered(lambda *a: row.primitive(*a, **case.attrs), *arguments)
    assert not any(launch.host for launch in low.launches), "computed on the host"
    (found,) = run(low, arguments, **grid)
    (expected,) = on_the_cpu(lambda *a: row.primitive(*a, **case.attrs), *arguments)
    assert found.dtype == expected.dtype
    if found.size:
        assert_as_exact(found, row.oracle(*arguments, **case.attrs), row.ulp)


@each(ON_DEVICES, "float64", "float32")
@pytest.mark.usefixtures("small_blocks")
def test_cases(row, dtype):
    """Every case of the table, arrays of no elements as well, in blocks of two warps."""
    for case in (*row.cases, *row.empty):
        assert_case(row, case, dtype)


@each(ON_DEVICES, "int64", "int32", "uint8", "bool")
@pytest.mark.usefixtures("small_blocks")
def test_cases_of_whole_numbers(row, dtype):
    """Two of them: what threads do is the same as for floats."""
    for case in (*row.cases[:2], *row.empty[:1]):
        assert_case(row, case, dtype)


@each(ON_DEVICES, "float64", "float32")
def test_blocks_as_large_as_on_a_device(row, dtype):
    assert_case(row, row.cases[0], dtype, grid=1)


@each([row for row in ELEMENTWISE if "float32" in row.dtypes][::5])
def test_float16_is_a_form_of_memory(row):
    """Computed in float32, rounded once."""
    arguments = [a.astype("float16") if a.dtype.kind == "f" else a for a in row.sample("float64", (7,))]
    (found,) = run(lowered(row.primitive, *arguments), arguments)
    (expected,) = on_the_cpu(row.primitive, *arguments)
    assert found.dtype == expected.dtype
    numpy.testing.assert_allclose(found.astype("float64"), expected.astype("float64"), rtol=2.0**-10)
