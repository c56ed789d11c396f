"""Values, dtypes and shapes of every primitive, interpreted and compiled."""

import functools

import mpmath
import numba
import numpy
import pytest

import nbgrad as ng
from nbgrad.compile.specialise import specialise
from nbgrad.primitive import primitives

from .table import BY_NAME, ELEMENTWISE, ROWS, STRUCTURAL

TIERS = (0, 2)


def each(rows, *dtypes):
    """The rows, times the dtypes that they take."""
    if not dtypes:
        return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)
    pairs = [pytest.param(row, d, id=f"{row.name}-{d}") for row in rows for d in row.dtypes if d in dtypes]
    return pytest.mark.parametrize(("row", "dtype"), pairs)


def run(tier, fn, *arguments):
    """NumPy results of a function of arrays in one tier."""
    ng.config.jit = tier
    result = ng.jit(fn)(*arguments)
    return tuple(map(numpy.asarray, result)) if isinstance(result, tuple) else numpy.asarray(result)


def exact(row, arguments):
    """What the oracle says, as an object array of Python or mpmath numbers."""
    kinds = [a.dtype.kind for a in arguments]
    number = mpmath.mpf if "f" in kinds else lambda v: v
    out = numpy.empty(arguments[0].shape, object)
    for index in numpy.ndindex(*out.shape):
        values = [a[index].item() for a in arguments]
        out[index] = row.oracle(*[number(v) if k == "f" else v for v, k in zip(values, kinds, strict=True)])
    return out


def result_dtype(row, dtype):
    """What the declaration promises for inputs of a dtype."""
    primitive = row.primitive
    if primitive.result not in ("same", "real"):
        return numpy.dtype(primitive.result)
    return (
        numpy.dtype("float64") if primitive.domain == "float" and numpy.dtype(dtype).kind != "f" else numpy.dtype(dtype)
    )


def wrapped(values, dtype):
    """Python integers as a fixed-width dtype holds them."""
    bits = numpy.dtype(dtype).itemsize * 8
    return numpy.array([int(v) % 2**bits for v in values.ravel()], f"uint{bits}").astype(dtype).reshape(values.shape)


def assert_near(found, expected, ulp, what=""):
    """Within `ulp` units of the last place of exact numbers."""
    assert found.shape == expected.shape, what
    spacing = numpy.finfo(found.dtype)
    for index in numpy.ndindex(*found.shape):
        e = mpmath.mpf(expected[index])
        if abs(e) > spacing.max * (1 + spacing.eps / 4):  # half a unit beyond the largest
            assert found[index] == numpy.sign(e) * numpy.inf, f"{what} at {index}: {found[index]!r}"
            continue
        unit = mpmath.mpf(float(numpy.spacing(numpy.abs(found.dtype.type(float(e))))))
        unit = max(unit, mpmath.mpf(float(spacing.smallest_subnormal)))
        error = abs(mpmath.mpf(float(found[index])) - e) / unit
        assert error <= ulp + 1e-9, (
            f"{what} at {index}: {float(error):.3g} ULP, {found[index]!r} for {mpmath.nstr(e, 20)}"
        )


def reference_ulp(row, dtype):
    """NumPy's and SciPy's own functions are allowed more than ours."""
    return max(row.ulp, 8) if row.primitive.domain == "float" else row.ulp


# ---------------------------------------------------------------- the table


#: Those that take or return complex numbers only, which `test_complex.py`, test_fft and test_linalg_gradients have.
OF_COMPLEX = {"real", "imag", "conjugate", "from_parts", "on_pairs", "fft", "rfft", "irfft", "eig", "eigvals",
              "polynomial_roots"}  # fmt: skip
#: Those that are declared where they are used, which tests/scipy has.
OF_SCIPY = {"quantile_of_integers", "vonmises_quantile"}


def test_every_primitive_has_a_row():
    ng.full((1,), 1.0)  # `constant` is declared when the first one is made
    made_in = lambda p: {getattr(f, "__module__", None) or "" for f in (p.kernel, p.infer, p.rule)}  # noqa: E731
    own = {n for n, p in primitives().items() if any(m.startswith("nbgrad.kernels") for m in made_in(p))}
    assert len(own) > 100  # other tests declare primitives of their own
    assert set(BY_NAME) == own - {"constant"} - OF_COMPLEX - OF_SCIPY


def test_no_primitive_has_two_rows():
    assert len(BY_NAME) == len(ROWS)


@each(ROWS)
def test_a_deviation_has_a_reason(row):
    assert (row.ulp <= 2 and row.rtol == 1e-11) or row.reason


# ---------------------------------------------------------------- values


@functools.cache
def sampled(row, dtype):
    arguments = row.sample(dtype, (24,))
    return arguments, exact(row, arguments)


@each(ELEMENTWISE, "float64", "float32")
@pytest.mark.parametrize("tier", TIERS)
def test_value(row, dtype, tier):
    arguments, expected = sampled(row, dtype)
    found = run(tier, row.primitive, *arguments)
    assert found.dtype == result_dtype(row, dtype)
    if found.dtype.kind == "b":
        numpy.testing.assert_array_equal(found, expected.astype(bool))
        return
    assert_near(found, expected, row.ulp if tier else reference_ulp(row, dtype), row.name)


IN_FLOAT16 = [row for row in ELEMENTWISE if "float32" in row.dtypes]


@each(IN_FLOAT16)
@pytest.mark.parametrize("tier", TIERS)
def test_value_of_float16(row, tier):
    """One rounding: computed in float32, to which half a unit of float16 is 4096 units."""
    arguments = [a.astype("float16") if a.dtype.kind == "f" else a for a in row.sample("float64", (24,))]
    expected = exact(row, arguments)
    found = run(tier, row.primitive, *arguments)
    assert found.dtype == result_dtype(row, "float16")
    if found.dtype.kind == "b":
        numpy.testing.assert_array_equal(found, expected.astype(bool))
        return
    assert_near(found, expected, 0.5 + (row.ulp if tier else reference_ulp(row, "float16")) / 4096, row.name)


@each([row for row in IN_FLOAT16 if row.gradient == "check"])
def test_gradient_of_float16_is_float16(row):
    arguments = [a.astype("float16") if a.dtype.kind == "f" else a for a in row.sample("float64", (5,))]
    positions = tuple(k for k, a in enumerate(arguments) if a.dtype.kind == "f")
    found = run(2, ng.grad(lambda *xs: ng.numpy.sum(row.primitive(*xs)), positions), *arguments)
    wide = run(2, ng.grad(lambda *xs: ng.numpy.sum(row.primitive(*xs)), positions),
               *[a.astype("float32") if a.dtype.kind == "f" else a for a in arguments])  # fmt: skip
    for half, single in zip(found, wide, strict=True):
        assert half.dtype == "float16"
        with numpy.errstate(over="ignore"):
            numpy.testing.assert_allclose(half, single.astype("float16"), rtol=1e-2, atol=1e-2)


@each(ELEMENTWISE, "int64", "int32", "int8", "uint8", "uint64", "bool")
@pytest.mark.parametrize("tier", [0, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_value_of_integers(row, dtype, tier):
    arguments, expected = sampled(row, dtype)
    found = run(tier, row.primitive, *arguments)
    assert found.dtype == result_dtype(row, dtype)
    kind = found.dtype.kind
    numpy.testing.assert_array_equal(found, expected.astype(bool) if kind == "b" else wrapped(expected, found.dtype))


def test_value_of_integers_compiled_together(settings):
    """All integer primitives of a dtype in one program: few kernels, every expression."""
    for dtype in ("int64", "int8", "uint8", "bool"):
        rows = [row for row in ELEMENTWISE if dtype in row.dtypes]
        given = [sampled(row, dtype) for row in rows]
        flat = [a for arguments, _ in given for a in arguments]

        def every(*xs, rows=rows):
            xs = iter(xs)
            return tuple(row.primitive(*[next(xs) for _ in range(row.arity)]) for row in rows)

        for row, found, (_, expected) in zip(rows, run(2, every, *flat), given, strict=True):
            kind = found.dtype.kind
            message = f"{row.name} of {dtype}"
            numpy.testing.assert_array_equal(
                found, expected.astype(bool) if kind == "b" else wrapped(expected, found.dtype), message
            )


STRUCTURAL_KINDS = ("float64", "float32", "int64", "int32", "int8", "uint8", "uint64", "bool")


def structural_pairs(*dtypes):
    return [pytest.param(row, d, id=f"{row.name}-{d}") for row in STRUCTURAL for d in row.dtypes if d in dtypes]


def check_structural(row, dtype, tier):
    cases = [(case, row.arguments(case, dtype)) for case in row.cases]
    flat = [a for _, arguments in cases for a in arguments]

    def every(*xs):
        xs = iter(xs)
        return tuple(row.primitive(*[next(xs) for _ in arguments], **case.attrs) for case, arguments in cases)

    for (case, arguments), found in zip(cases, run(tier, every, *flat), strict=True):
        expected = numpy.asarray(row.oracle(*arguments, **case.attrs))
        what = f"{row.name} {case.shapes} {case.attrs} {dtype}"
        assert found.shape == expected.shape, what
        node = row.primitive(*arguments, **case.attrs)
        assert (found.shape, found.dtype) == (node.shape, node.dtype), what
        if found.dtype.kind == "f" and numpy.dtype(dtype).kind == "f":
            scale = max(numpy.abs(numpy.asarray(expected, float)).max(initial=0), 1e-30)
            error = numpy.abs(found.astype(float) - numpy.asarray(expected, float)).max(initial=0) / scale
            allowed = row.ulp * max(numpy.finfo(found.dtype).eps, numpy.finfo(dtype).eps)
            assert error <= allowed, f"{what}: relative error {error:.2e}"
        else:
            numpy.testing.assert_array_equal(found, expected.astype(found.dtype), what)


@pytest.mark.parametrize(("row", "dtype"), structural_pairs(*STRUCTURAL_KINDS))
def test_value_of_arrays(row, dtype):
    check_structural(row, dtype, 0)


@pytest.mark.parametrize(("row", "dtype"), structural_pairs("float64"))
def test_value_of_arrays_compiled(row, dtype):
    check_structural(row, dtype, 2)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("row", "dtype"), structural_pairs(*STRUCTURAL_KINDS))
def test_value_of_arrays_compiled_for_every_dtype(row, dtype):
    check_structural(row, dtype, 2)


# ---------------------------------------------------------------- dtypes and shapes


@each(ELEMENTWISE)
def test_dtype_of_integers_and_numbers(row):
    """Python numbers are weak; integers become float64 where the domain is the floats."""
    primitive = row.primitive
    if "float32" not in row.dtypes:
        return
    x = row.sample("float32", (3,))
    strong = 1 if row.name == "where" else 0
    weak = [a if k == strong else a[0].item() for k, a in enumerate(x)]
    assert primitive(*weak).dtype == result_dtype(row, "float32")
    if row.name == "where":
        return
    whole = [numpy.ones(3, "int32") for _ in range(row.arity)]
    assert primitive(*whole).dtype == result_dtype(row, "int32")


@each([row for row in ELEMENTWISE if row.arity > 1])
@pytest.mark.parametrize("tier", [0, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_broadcasting(row, tier):
    check_broadcasting(row, tier)


@pytest.mark.parametrize("name", ["subtract", "where", "hypot"])
def test_broadcasting_compiled(name):
    check_broadcasting(BY_NAME[name], 2)


def check_broadcasting(row, tier):
    dtype = row.dtypes[0]
    shapes = ((3, 1), (1, 4), (2, 1, 1))[: row.arity]
    arguments = [row.sample(dtype, shape)[k] for k, shape in enumerate(shapes)]
    found = run(tier, row.primitive, *arguments)
    assert found.shape == numpy.broadcast_shapes(*shapes)
    numpy.testing.assert_array_equal(
        found, run(tier, row.primitive, *[a.copy() for a in numpy.broadcast_arrays(*arguments)])
    )


@each(ROWS)
@pytest.mark.parametrize("tier", [0, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_zero_size(row, tier):
    dtype = row.dtypes[0]
    if row.elementwise:
        found = run(tier, row.primitive, *row.sample(dtype, (0, 3)))
        assert (found.shape, found.dtype) == ((0, 3), result_dtype(row, dtype))
        return
    for case in row.empty:
        arguments = row.arguments(case, dtype)
        found = run(tier, lambda *xs, attrs=case.attrs: row.primitive(*xs, **attrs), *arguments)
        expected = numpy.asarray(row.primitive.reference(*arguments, **case.attrs))
        assert found.shape == expected.shape
        numpy.testing.assert_array_equal(found, expected)


def test_zero_size_compiled():
    for name in ("exp", "sum", "matmul", "cumsum", "take", "concatenate", "slice_"):
        check_zero_size(BY_NAME[name])


def check_zero_size(row):
    cases = [row.sample("float64", (0, 3))] if row.elementwise else [row.arguments(c) for c in row.empty]
    attributes = [{}] if row.elementwise else [c.attrs for c in row.empty]
    for arguments, attrs in zip(cases, attributes, strict=True):
        found = run(2, lambda *xs, attrs=attrs: row.primitive(*xs, **attrs), *arguments)
        numpy.testing.assert_array_equal(found, numpy.asarray(row.primitive.reference(*arguments, **attrs)))


@each([row for row in ELEMENTWISE if "float32" in row.dtypes and row.primitive.result in ("same", "real")])
def test_float32_stays_float32(row):
    dispatcher = specialise(row.primitive.text("float32"), "float32")
    kinds = [
        numba.types.boolean if c == "bool" else numba.types.float32 for c in row.primitive.casts or (None,) * row.arity
    ]
    dispatcher.compile(tuple(kinds))
    assert {s.return_type for s in dispatcher.nopython_signatures if s.args == tuple(kinds)} == {numba.types.float32}
    assert row.primitive(*row.sample("float32", (2,))).dtype == numpy.float32


@each(ROWS)
def test_inputs_are_left_alone(row):
    dtype = row.dtypes[0]
    case = None if row.elementwise else row.cases[0]
    arguments = row.sample(dtype, (5,)) if case is None else row.arguments(case, dtype)
    before = [a.copy() for a in arguments]
    for a in arguments:
        a.flags.writeable = False
    run(0, lambda *xs: row.primitive(*xs, **(case.attrs if case else {})), *arguments)
    for a, b in zip(arguments, before, strict=True):
        numpy.testing.assert_array_equal(a, b)
