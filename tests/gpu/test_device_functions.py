"""Device functions: values on a CPU, kernels of Numba that call them, linked for GPUs, and errors."""

import builtins
import re
import types

import mpmath
import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import ArgumentError, DtypeError, KernelError, ShapeError
from nbgrad.primitive import Primitive

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")
pytest.importorskip("numba_cuda", reason="numba-cuda is not installed: pip install nbgrad[cuda13]")

from nbgrad.testing import cuda as testing
from nbgrad.testing.device_functions import OnCPU

ARCHITECTURES = ((7, 5), (8, 0), (9, 0), (12, 0))
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)|F2F.*F64|[FI]2[FI].*F64|MUFU.*64H")


def scalar(dtype, value=1.0):
    return numpy.dtype(dtype).type(value)


# ---------------------------------------------------------------- values

#: Functions with their mpmath twins, and where they are looked at.
FUNCTIONS = {
    "power": (lambda x, y: x**y * np.log(x), lambda x, y: x**y * mpmath.log(x), (0.5, 3.0), (0.5, 2.0)),
    "sine of a product": (lambda x, y: np.sin(x * y) + x, lambda x, y: mpmath.sin(x * y) + x, (0.3, 1.2), (0.2, 1.0)),
    "error function": (lambda x, y: np.erf(x) * np.exp(-y * y), lambda x, y: mpmath.erf(x) * mpmath.exp(-y * y),
                       (0.1, 1.5), (0.1, 1.5)),
    "softplus": (lambda x, y: np.softplus(x) * np.tanh(y), lambda x, y: mpmath.log1p(mpmath.exp(x)) * mpmath.tanh(y),
                 (0.2, 4.0), (0.2, 1.0)),
    "quotient": (lambda x, y: np.sqrt(x) / (1 + y**2), lambda x, y: mpmath.sqrt(x) / (1 + y * y), (0.5, 4.0), (0.5, 2)),
}  # fmt: skip


def points(rng, dtype, *ranges, count=40):
    return [rng.uniform(*r, count).astype(dtype) for r in ranges]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_mpmath(rng, name, orders, dtype):
    fn, exact, *ranges = FUNCTIONS[name]
    derivative = fn
    for argument, order in enumerate(orders):
        for _ in range(order):
            derivative = ng.grad(derivative, argument)
    function = ng.cuda.device_function(derivative, scalar(dtype), scalar(dtype))
    assert (function.parameters, function.results) == ((dtype, dtype), (dtype,))
    x, y = points(rng, dtype, *ranges)
    (found,) = OnCPU(function)(x, y)
    assert found.dtype == dtype
    with mpmath.workdps(40):
        places = [(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(x, y, strict=True)]
        at = lambda place: mpmath.diff(exact, place, orders) if any(orders) else exact(*place)  # noqa: E731
        wanted = numpy.array([float(at(place)) for place in places])
    # sums of terms that cancel have an error of the terms, which here are all of the order of 1
    tolerance = 60 * numpy.finfo(dtype).eps
    numpy.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_several_results_are_those_of_the_cpu(rng, name, dtype):
    fn, _, *ranges = FUNCTIONS[name]
    both = ng.value_and_grad(fn, (0, 1))
    x, y = points(rng, dtype, *ranges)
    function = ng.cuda.device_function(both, scalar(dtype), scalar(dtype))
    found = OnCPU(function)(x, y)
    wanted = numpy.asarray(fn(ng.asarray(x), ng.asarray(y))), *ng.grad(lambda x, y: np.sum(fn(x, y)), (0, 1))(x, y)
    assert len(found) == 3
    for a, b in zip(found, wanted, strict=True):
        tolerance = 30 * numpy.finfo(dtype).eps
        numpy.testing.assert_allclose(a, numpy.asarray(b), rtol=tolerance, atol=tolerance)


def test_integers_and_booleans():
    def fn(x, n, small, sign):
        return np.where(sign, x * n, x), n // 3, small + small, ~sign, x > 0

    given = scalar("float32"), 7, scalar("uint8"), True
    function = ng.cuda.device_function(fn, *given)
    x, n = numpy.array([1.5, -2.5, 3.0], "float32"), numpy.array([-7, 8, 1 << 40])
    small, sign = numpy.array([3, 200, 255], "uint8"), numpy.array([True, False, True])
    found = OnCPU(function)(x, n, small, sign)
    wanted = [numpy.asarray(a) for a in fn(*map(ng.asarray, (x, n, small, sign)))]
    assert function.results == tuple(str(a.dtype) for a in wanted)
    for a, b in zip(found, wanted, strict=True):
        numpy.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_keep_their_bits(dtype):
    """Constants become literals: infinities, nan, the sign of 0, and what no decimal fraction of few digits is."""
    numbers = [0.1, 1 / 3, -0.0, 1e-42, 3.4e38, numpy.inf, -numpy.inf, numpy.nan, 2.0**-30]
    numbers = [scalar(dtype, v) for v in numbers]
    found = OnCPU(ng.cuda.device_function(lambda x: tuple(np.where(x > 0, v, x) for v in numbers), scalar(dtype)))([1])
    for a, b in zip(found, numbers, strict=True):
        assert a.dtype == dtype
        numpy.testing.assert_array_equal(a, b)
        assert numpy.isnan(b) or numpy.signbit(a) == numpy.signbit(b)


def test_integers_at_the_ends_of_their_dtypes():
    for dtype in ("int8", "int32", "int64", "uint8", "uint32", "uint64"):
        low, high = numpy.iinfo(dtype).min, numpy.iinfo(dtype).max
        ends = scalar(dtype, low), scalar(dtype, high)
        found = OnCPU(ng.cuda.device_function(lambda x, ends=ends: (x + ends[0], x | ends[1]), scalar(dtype)))([0])
        assert [int(a[0]) for a in found] == [low, high]


def test_numbers_from_elsewhere_are_those_of_the_moment():
    p, captured = ng.Parameter(ng.asarray(2.0)), ng.asarray(numpy.array(0.25))
    function = ng.cuda.device_function(lambda x: x * p + captured, 1.0)
    p.assign(5.0)
    numpy.testing.assert_array_equal(OnCPU(function)([3.0])[0], [6.25])


def test_views_of_one_element_are_nothing():
    function = ng.cuda.device_function(lambda x: np.transpose(np.reshape(x, ())) * 2, 1.0)
    assert "reshape" not in function.source
    numpy.testing.assert_array_equal(OnCPU(function)([3.0])[0], [6.0])


def test_results_are_flat_and_an_argument_may_be_one():
    function = ng.cuda.device_function(lambda x, y: (x, (y, x), 4.0), 1.0, 2.0)
    assert (
        repr(function) == f"<DeviceFunction {function.symbol}: (float64, float64, float64, float64) (float64, float64)>"
    )
    assert [a[0] for a in OnCPU(function)([1.0], [2.0])] == [1.0, 2.0, 1.0, 4.0]


# ---------------------------------------------------------------- for NVIDIA's compiler and linker


def linked(kernel, signature, cc, lto, instructions=False):
    """What the linker and the assembler say of a kernel of Numba with all that it calls; nothing needs a driver."""
    from cuda.core import Linker, LinkerOptions, ObjectCode
    from numba import cuda

    output = "ltoir" if lto else "ptx"
    codes, _ = cuda.compile_all(kernel, signature, cc=cc, device=False, abi="numba", output=output)
    load = ObjectCode.from_ltoir if lto else ObjectCode.from_ptx
    objects = [load(c.data, name=c.name) if hasattr(c, "kind") else load(c if lto else c.encode()) for c in codes]
    assert len(objects) > 1, "the kernel has nothing to be linked with"
    options = LinkerOptions(arch=f"sm_{cc[0]}{cc[1]}", ptxas_options=["-v"], link_time_optimization=lto or None)
    linker = Linker(*objects, options=options)
    cubin = linker.link("cubin").code
    log = linker.get_info_log()
    log = log.decode() if isinstance(log, bytes) else log
    return cubin, log


def assert_no_spills(log):
    spilled = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    assert spilled
    assert set(spilled) == {("0", "0")}, log


def newton(value_and_slope):
    """A kernel that a user writes."""
    from numba import cuda

    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        if i < x.size:
            value, slope = value_and_slope(x[i], y[i])
            x[i] -= value / slope

    return kernel.py_func


def cube(x, y):
    return np.exp(x) * x**3 - y


@pytest.mark.parametrize("cc", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("lto", [True, False], ids=["lto", "ptx"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels_of_numba_are_linked_with_it(dtype, lto, cc):
    from numba import types

    function = ng.cuda.device_function(ng.value_and_grad(cube), scalar(dtype), scalar(dtype))
    array = getattr(types, dtype)[::1]
    cubin, log = linked(newton(function.declare(lto=lto)), (array, array), cc, lto)
    assert cubin[:4] == b"\x7fELF"
    assert_no_spills(log)
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", log)]
    assert len(registers) == 1
    assert registers[0] <= 64
    # with link-time optimisation nothing is left to call
    assert (f"properties for {function.symbol}" in log) == (not lto)
    assert (function.symbol.encode() in cubin) == (not lto)


@pytest.mark.parametrize("lto", [True, False], ids=["lto", "ptx"])
def test_several_functions_in_one_kernel(lto):
    """Also two that are the same, which are one for the linker."""
    from numba import cuda, types

    f = lambda x: np.tanh(x) * x  # noqa: E731
    first, again = (ng.cuda.device_function(ng.grad(f), 1.0).declare(lto=lto) for _ in range(2))
    second = ng.cuda.device_function(ng.grad(ng.grad(f)), 1.0, name="second").declare(lto=lto)
    assert first is again

    def kernel(x):
        i = cuda.grid(1)
        x[i] = first(x[i]) + again(x[i] * 2) / second(x[i])

    _, log = linked(kernel, (types.float64[::1],), (8, 0), lto)
    assert_no_spills(log)


@pytest.mark.parametrize("case", ["one", "alike", "mixed"])
def test_numba_calls_what_is_defined(case):
    """The prototype in the caller's PTX is that of the definition, for every kind of parameter and result."""
    from numba import cuda, types

    result = {
        "one": lambda x, d, n, m, b: b & (n > 3),
        "alike": lambda x, d, n, m, b: (x, x * 2),
        "mixed": lambda x, d, n, m, b: (b, d, m, x),
    }[case]
    given = scalar("float32"), 1.0, 3, scalar("int8"), True
    function = ng.cuda.device_function(result, *given)
    assert tuple(function.signature.args) == (types.float32, types.float64, types.int64, types.int8, types.boolean)
    declared = function.declare(lto=False)

    def single(x):
        x[0] = declared(types.float32(x[0]), x[0], 3, types.int8(3), True)

    def several(x):
        x[0] = declared(types.float32(x[0]), x[0], 3, types.int8(3), True)[1]

    caller, _ = cuda.compile_ptx(single if case == "one" else several, (types.float64[::1],), cc=(8, 0))
    caller = caller[caller.index(".extern .func") :]
    callee = function.ptx("compute_80")
    callee = callee[callee.index(".visible .func") :]

    def header(text):
        end = text.index(")", text.index(function.symbol + "_param"))
        return text[text.index(".func") : end].replace("(", " ( ").split()

    assert function.symbol + "_param_4" in header(callee)
    assert header(caller) == header(callee)


@pytest.mark.parametrize("cc", [(8, 0), (12, 0)], ids=str)
def test_float32_functions_have_no_float64(cc, tmp_path):
    """In what the linker makes of a kernel and the function; a function that computes in float64 is seen."""
    import subprocess

    from numba import types

    def doubles(fn):
        function = ng.cuda.device_function(ng.value_and_grad(fn), scalar("float32"), scalar("float32"))
        declared = function.declare()
        cubin, _ = linked(newton(declared), (types.float32[::1],) * 2, cc, True)
        path = tmp_path / "kernel.cubin"
        path.write_bytes(cubin)
        command = [testing._tool("nvdisasm"), "-c", str(path)]
        code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        names = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", code, flags=re.M)
        assert any(n.startswith("FFMA") for n in names)
        return [n for n in names if DOUBLE.match(n)]

    assert doubles(lambda x, y: cube(x, y) + np.log(y) * np.tanh(x) + 0.1 * np.sqrt(y)) == []
    assert doubles(lambda x, y: (cube(x, y).astype("float64") * 0.1).astype("float32")) != []


@pytest.mark.parametrize("architecture", ["compute_75", "compute_90", "compute_100", "compute_120"])
def test_ptx_has_one_function_and_no_kernel(architecture):
    function = ng.cuda.device_function(ng.grad(cube), 1.0, 2.0, name="slope")
    ptx = function.ptx(architecture)
    assert f".target sm_{architecture[8:]}" in ptx
    assert re.findall(r"\.visible \.func[^\n]* (\w+)\(", ptx) == ["slope"]
    assert ".entry" not in ptx
    assert len(function.ltoir(architecture)) > 100


# ---------------------------------------------------------------- errors

TABLE = numpy.array([1.0, 2.0])
SCALARS = r"give a Python number, a NumPy scalar or a 0-d array for each argument"
ERRORS = {
    "no function": (3, (1.0,), {}, ArgumentError, r"fn must be a function of scalars, got int 3"),
    "array": (abs, (numpy.ones(3),), {}, ShapeError,
              rf"example 1 must be a scalar, got NumPy array float64\[3\]; {SCALARS}"),
    "tuple": (abs, ((1.0, 2.0),), {}, ArgumentError, rf"example 1 is a tuple, expected a scalar; {SCALARS}"),
    "text": (abs, ("a",), {}, ArgumentError, rf"example 1 is no scalar, got str 'a'; {SCALARS}"),
    "complex": (abs, (1j,), {}, DtypeError, "example 1 is complex128, expected a real number; pass real and"),
    "float16": (abs, (numpy.float16(1),), {}, DtypeError, r"example 1 is float16, .*; take float32 and"),
    "float16 result": (lambda x: x.astype("float16"), (1.0,), {}, DtypeError, r"a result is float16, .*; take float32"),
    "name": (abs, (1.0,), {"name": "a b"}, ArgumentError, r"name must be a C identifier such as 'slope', got 'a b'"),
    "nothing": (lambda x: None, (1.0,), {}, ArgumentError, r"fn returned NoneType None, expected a scalar or a tuple"),
    "text returned": (lambda x: (x, "s"), (1.0,), {}, ArgumentError, r"fn returned tuple .*, expected a scalar or"),
    "array returned": (lambda x: np.stack([x, x]), (1.0,), {}, ShapeError,
                       r"fn returned an array of shape \(2,\), expected scalars, of shape \(\); return its"),
    "captured": (lambda x: np.sum(x * TABLE), (1.0,), {}, ShapeError,
                 r"fn uses an array of shape \(2,\) that is no argument of it, expected numbers, .*; pass"),
    "not elementwise": (lambda x: np.prod(np.stack([x, x])), (1.0,), {}, KernelError,
                        r"\w+ of shapes \S.* -> \(.*\) is not an elementwise operation on scalars; write fn with"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    fn, examples, named, kind, text = ERRORS[case]
    with pytest.raises(kind, match=rf"^cuda\.device_function: {text}"):
        ng.cuda.device_function(fn, *examples, **named)


def test_the_primitive_that_is_not_elementwise_is_named():
    with pytest.raises(
        KernelError, match=r"cumsum of shapes \(1,\) -> \(1,\) is not|reshape of shapes \(\) -> \(1,\) is"
    ):
        ng.cuda.device_function(lambda x: np.cumsum(x)[0], 1.0)


@pytest.mark.parametrize(
    "numba",
    [ImportError("no module"), RuntimeError("libcudart is missing"), types.SimpleNamespace(implementation="Built-in")],
)
def test_without_numba_cuda(monkeypatch, numba):
    """Without numba-cuda there is everything but the declaration."""
    original = builtins.__import__

    def importing(name, *arguments):
        if name == "numba" and len(arguments) > 2 and arguments[2] and "cuda" in arguments[2]:
            if isinstance(numba, Exception):
                raise numba
            return types.SimpleNamespace(cuda=numba)
        return original(name, *arguments)

    function = ng.cuda.device_function(ng.grad(cube), 1.0, 2.0, name="slope")
    monkeypatch.setattr(builtins, "__import__", importing)
    text = r"^cuda\.device_function: slope can be used by Numba only with numba-cuda.*; pip install nbgrad\[cuda13\]"
    for ask in (function.declare, lambda: function.signature):
        with pytest.raises(KernelError, match=text):
            ask()
    assert "slope" in function.ir


def test_a_name_is_for_one_function():
    """Linkers may take either of two functions of one name."""
    name = "nbgrad_test_a_name"
    ng.cuda.device_function(lambda x: x * 2, 1.0, name=name).declare(lto=False)
    ng.cuda.device_function(lambda x: x * 2, 1.0, name=name).declare(lto=False)
    other = ng.cuda.device_function(lambda x: x * 3, 1.0, name=name)
    with pytest.raises(ArgumentError, match=rf"name '{name}' was declared for another function before, expected a"):
        other.declare(lto=False)


def test_kernel_texts_that_are_not_translated(monkeypatch):
    """A text with a loop over something else than a range."""

    def text(x):
        total = x
        for each in (1, 2):
            total = total + each
        return total

    monkeypatch.setattr(Primitive, "text", lambda self, dtype, target="cpu": text)
    with pytest.raises(
        KernelError, match=r"the text of one of sin_float64 is outside of .*: a loop over something else"
    ):
        ng.cuda.device_function(lambda x: np.sin(x), 1.0)


@pytest.mark.parametrize("cc", ARCHITECTURES, ids=str)
def test_kernels_without_link_time_optimisation_call_what_has_it(cc):
    """LTO-IR is the default of functions, and kernels may be compiled with ``lto=False``."""
    from cuda.core import Linker, LinkerOptions, ObjectCode
    from numba import cuda, types

    function = ng.cuda.device_function(ng.value_and_grad(cube), 1.0, 2.0)
    caller, _ = cuda.compile_ptx(newton(function.declare()), (types.float64[::1],) * 2, cc=cc)
    objects = ObjectCode.from_ptx(caller.encode()), ObjectCode.from_ltoir(function.ltoir())
    options = LinkerOptions(arch=f"sm_{cc[0]}{cc[1]}", link_time_optimization=True)
    assert function.symbol.encode() in Linker(*objects, options=options).link("cubin").code


def test_a_wrong_architecture_is_refused():
    with pytest.raises(KernelError, match=r"NVVM does not compile this kernel for compute_13"):
        ng.cuda.device_function(cube, 1.0, 2.0).ptx("compute_13")
