"""Kernels for CUDA as NVIDIA's compiler and assembler make them: every primitive, on every architecture."""

import re

import numpy
import pytest
from primitives.table import ELEMENTWISE, STRUCTURAL
from primitives.test_values import each

import nbgrad.numpy as np
from nbgrad.compile.cuda.lower import Code
from nbgrad.errors import KernelError
from nbgrad.testing import cuda
from nbgrad.testing.cuda import lowered

pytest.importorskip("cuda.bindings.nvvm", reason="NVIDIA's compiler is not installed: pip install nbgrad[cuda13]")

#: From the oldest that CUDA 13 knows to the newest; the compiler is another one from 100 on.
ARCHITECTURES = (75, 80, 86, 90, 100, 120)
#: Of these the machine code is read: one for each of the compiler's front ends.
LOOKED_AT = (80, 120)
#: Registers at most with which two blocks of 256 threads are on a multiprocessor, and static memory of a block.
REGISTERS, SHARED = 128, 48 << 10
#: Instructions of float64: arithmetic, conversion, and the seeds of quotients and roots.
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)|F2F.*F64|[FI]2[FI].*F64|MUFU.*64H")

#: Kernels of float32 in which NVIDIA's library reduces arguments beyond 1e5 by way of a few instructions of float64.
FAR = {name: {"I2F.F64.S64", "DMUL", "F2F.F32.F64"} for name in ("sin", "cos", "tan")}

_seen = {}


def assert_it_fits(low, single=False):
    """Every kernel of a program compiles, and a thread of it needs nothing but registers."""
    for launch in low.launches:
        for number in ARCHITECTURES if launch.host is None else ():
            look = single and number in LOOKED_AT
            key = launch.code.text, number, look
            if key not in _seen:
                _seen[key] = cuda.assembled(launch.code.ptx(f"compute_{number}"), f"sm_{number}", look)
            made = _seen[key]
            spilled = made["stack"], made["spill_stores"], made["spill_loads"]
            assert spilled == (0, 0, 0), (launch.name, number, made)
            assert 0 < made["registers"] <= REGISTERS, (launch.name, number, made)
            assert made["shared"] <= SHARED, (launch.name, number, made)
            if look:
                assert not any(re.match("LDL|STL", i) for i in made["instructions"]), (launch.name, number)
                assert set(doubles(made)) <= FAR.get(launch.name, set()), (launch.name, number, doubles(made))


def doubles(made):
    """Instructions of float64 in a kernel."""
    return [name for name in made["instructions"] if DOUBLE.match(name)]


@each(ELEMENTWISE, "float64", "float32")
def test_elementwise(row, dtype):
    assert_it_fits(lowered(row.primitive, *row.sample(dtype, (24,))), dtype == "float32")


@each(STRUCTURAL, "float64", "float32", "bool")
def test_structural(row, dtype):
    for case in row.cases:
        single = dtype == "float32" and "float64" not in map(str, case.attrs.values())
        assert_it_fits(lowered(lambda *a, c=case: row.primitive(*a, **c.attrs), *row.arguments(case, dtype)), single)


PROGRAMS = {
    "columns": (lambda x: np.sum(x, axis=0), ((9000, 33),)),
    "columns of three axes": (lambda x: np.sum(np.exp(x), axis=(0, 2)), ((5, 33, 6),)),
    "softmax": (np.softmax, ((300, 70),)),
    "normalised rows and their means": (
        lambda x: (x / np.sqrt(np.sum(x * x, axis=1, keepdims=True)), np.mean(x, axis=0)), ((300, 70),),
    ),
    "large product": (np.matmul, ((130, 70), (70, 90))),
    "stack of products": (np.matmul, ((3, 5, 7), (7, 6))),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(rng, name, dtype):
    fn, shapes = PROGRAMS[name]
    assert_it_fits(lowered(fn, *(rng.normal(size=s).astype(dtype) for s in shapes)), dtype == "float32")


@pytest.mark.parametrize("number", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_contiguous_elements_move_128_bits_at_a_time(number, dtype):
    x = numpy.ones(1000, dtype)
    (launch,) = lowered(lambda x, y: x * y + 2, x, x).launches
    made = cuda.assembled(launch.code.ptx(f"compute_{number}"), f"sm_{number}", True)["instructions"]
    wide = [sum(n for i, n in made.items() if re.match(f"{kind}.*128", i)) for kind in ("LDG|LD.E", "STG|ST.E")]
    assert wide[0] >= 2
    assert wide[1] >= 1


def test_neighbouring_threads_have_neighbouring_elements(rng):
    """Rows and grids count up along the last axis by the number of a thread."""
    x = rng.normal(size=(40, 300))
    (launch,) = lowered(lambda x: x[:, ::-1] * 2, x).launches
    assert "for e in range(start + thread(), stop, threads()):" in launch.source
    (launch,) = lowered(lambda x: np.sum(x, axis=1), x).launches
    assert "for chunk in range(low + member, high, 64 * team):" in launch.source
    assert "for i in range(chunk, min(chunk + 64 * team, high), team):" in launch.source


def test_products_are_fused_and_in_registers():
    """Sixteen sums of a thread, each a chain of fused multiplications and additions."""
    x = numpy.ones((130, 130), "float32")
    (launch,) = lowered(np.matmul, x, x).launches
    made = cuda.assembled(launch.code.ptx("compute_80"), "sm_80", True)
    assert made["instructions"]["FFMA"] >= 16
    assert made["instructions"]["BAR.SYNC.DEFER_BLOCKING"] >= 2


# ---------------------------------------------------------------- what would be found


def test_a_leak_of_float64_is_caught():
    x = numpy.linspace(-1, 1, 9, dtype="float32")
    low = lowered(lambda x, y: x * y, x, x)
    (launch,) = low.launches
    assert_it_fits(low, single=True)
    source = launch.source.replace("x0_v * x1_v", "to_float32(to_float64(x0_v) * to_float64(x1_v) + 0.1)")
    assert source != launch.source
    launch.code = Code(source, {})
    with pytest.raises(AssertionError, match=r"D(FMA|MUL|ADD)"):
        assert_it_fits(low, single=True)


def test_what_the_assembler_finds_is_read():
    """A kernel with an array of its own has a stack; one that is no kernel is refused with its words."""
    ptx = lowered(lambda x: x * 2, numpy.ones(3)).launches[0].code.ptx("compute_80")
    planted = ptx.replace("\n{\n", "\n{\n\t.local .align 8 .b8 kept[64];\n\t.reg .b64 %own;\n\tmov.u64 %own, kept;\n"
                          "\tcvta.local.u64 %own, %own;\n\tst.volatile.u64 [%own], %own;\n", 1)  # fmt: skip
    assert cuda.assembled(ptx, "sm_80")["stack"] == 0
    assert cuda.assembled(planted, "sm_80")["stack"] >= 64
    with pytest.raises(KernelError, match=r"ptxas does not take this kernel for sm_80: .*"):
        cuda.assembled(ptx.replace("ret;", "return;"), "sm_80")
