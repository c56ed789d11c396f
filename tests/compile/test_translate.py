"""Texts translated directly to LLVM and the same texts compiled by Numba give the same results."""

import ctypes
import itertools
import linecache

import numpy as np
import pytest

import nbgrad as ng
from nbgrad.compile import machine, native, translate
from nbgrad.dtypes import SUPPORTED
from nbgrad.errors import KernelError
from nbgrad.primitive import primitives

by_numba = pytest.importorskip("nbgrad.compile.by_numba", reason="Numba is the other compiler of this comparison")

_count = itertools.count()
FLOATS = [0.0, -0.0, 0.3, -0.7, 1.0, -1.5, 2.0, 3.7, 25.25, -40.0, 1e-310, 1e300, np.inf, -np.inf, np.nan]
INTEGERS = [0, 1, 2, 3, 5, 7, 31, 100, 127]


def run(code, symbol, inputs, out):
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(native._linked(code, symbol))
    table = np.array([a.ctypes.data for a in (*inputs, out)], np.int64)
    call(table.ctypes.data, 0, out.size)
    return out


def loop(arity, dtypes, result):
    lines = ["def kernel(args, start, stop):"]
    lines += [f"    x{k} = pointer_{d}(args, {k})" for k, d in enumerate(dtypes)]
    lines += [f"    y = pointer_{result}(args, {arity})", "    for i in range(start, stop):"]
    lines += [f"        store(y, i, function({', '.join(f'load(x{k}, i)' for k in range(arity))}), 0)"]
    return "\n".join(lines) + "\n"


def samples(dtype, arity):
    pool = {"f": FLOATS, "b": [False, True]}.get(dtype.kind, INTEGERS + ([-1, -3, -128] if dtype.kind == "i" else []))
    with np.errstate(over="ignore"):
        pool = np.array(pool).astype(dtype)
    pairs = list(itertools.product(pool, repeat=min(arity, 2)))
    columns = [np.array([p[min(k, 1)] for p in pairs], dtype) for k in range(arity)]
    return columns


#: Compared by default; Numba takes its time, so the rest is compared in the exhaustive run.
QUICK = ("exp", "tanh", "power", "floor_divide", "remainder", "maximum", "lgamma", "left_shift")


def cases():
    for p in primitives().values():
        if p.kind != "elementwise" or p.kernel is None:
            continue
        if p.result not in ("same", "real") and np.dtype(p.result).kind == "c":
            continue  # kernels have complex numbers as pairs
        kinds = {"float": "f", "number": "fiu", "integer": "iub", "any": "fiub"}[p.domain]
        names = ("float64", "float32", "int64", "int8", "uint16", "bool")
        for name in names:
            if np.dtype(name).kind in kinds and not (
                name == "bool" and p.name in ("add", "multiply", "maximum", "minimum")
            ):
                if name == "bool" and "shift" in p.name:
                    continue
                quick = p.name in QUICK and name in ("float64", "int8")
                marks = () if quick else pytest.mark.exhaustive
                yield pytest.param(p, np.dtype(name), id=f"{p.name}-{name}", marks=marks)


@pytest.mark.parametrize(("primitive", "dtype"), list(cases()))
def test_translated_equals_numba(primitive, dtype):
    inputs = samples(dtype, primitive.arity)
    if primitive.casts:
        inputs = [x if c is None else x.astype(c) for x, c in zip(inputs, primitive.casts, strict=True)]
    result = dtype if primitive.result in ("same", "real") else np.dtype(primitive.result)
    source = loop(primitive.arity, [str(x.dtype) for x in inputs], result)
    functions = {"function": (primitive.text(dtype), str(dtype))}
    k = next(_count)
    outs = []
    for symbol, code in (
        (
            f"translated_{k}",
            machine.object_code(str(translate.kernel(source, functions, f"translated_{k}"))),
        ),
        (f"numba_{k}", by_numba.kernel(source, functions, f"numba_{k}")),
    ):
        outs.append(run(code, symbol, inputs, np.empty(inputs[0].size, result)))
    if result.kind == "f":
        np.testing.assert_array_max_ulp(*[np.nan_to_num(o, nan=1.25) for o in outs], maxulp=1)
        assert (np.isnan(outs[0]) == np.isnan(outs[1])).all()
    else:
        np.testing.assert_array_equal(*outs)


def test_every_supported_dtype_can_be_in_memory():
    from nbgrad.compile.words import POINTERS

    assert set(POINTERS) == {str(d) for d in SUPPORTED if d.kind != "c"}  # complex ones are pairs


def defined(source, name):
    """A function whose source can be found, as a user's in a file."""
    file = f"<kernel {next(_count)}>"
    linecache.cache[file] = len(source), None, source.splitlines(True), file
    namespace = {"ng": ng}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]


def test_text_outside_the_translated_part_goes_to_numba(monkeypatch):
    from nbgrad import primitive as module

    monkeypatch.setattr(module, "_registry", dict(module._registry))
    text = defined(
        "def digits_sum(x):\n    total = 0.0\n    for c in (1.0, 10.0, 100.0):\n        total += x // c % 10.0\n"
        "    return total\n",
        "digits_sum",
    )
    assert ng.elementwise(lambda x: x // 1 % 10 + x // 10 % 10 + x // 100 % 10)(text)(np.array([123.0])).tolist() == [
        6.0
    ]
    monkeypatch.setattr(ng.config, "_jit", 2)
    assert module._registry["digits_sum"](np.array([123.0, 999.0])).tolist() == [6.0, 27.0]


def test_kernel_that_nothing_can_compile_says_what_is_wrong(monkeypatch):
    from nbgrad import primitive as module

    monkeypatch.setattr(module, "_registry", dict(module._registry))
    text = defined("def hopeless(x):\n    return x.no_such_attribute\n", "hopeless")
    primitive = ng.elementwise(lambda x: x)(text)
    monkeypatch.setattr(ng.config, "_jit", 2)
    with pytest.raises(KernelError, match="the kernel of hopeless could not be compiled"):
        primitive(np.array([1.0])).realize()
