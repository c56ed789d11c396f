"""Object code is loaded as LLVM's own linker would load it, and what is not understood is left to LLVM."""

import ctypes
import math

import llvmlite.binding as llvm
import pytest

from nbgrad.compile import loader, machine, native

pytestmark = pytest.mark.skipif(not loader.APPLIES, reason="objects are loaded by LLVM on this system")

IR = """
@table = private constant [4 x double] [double 1.0, double 2.5, double -3.0, double 8.0]
declare double @cbrt(double)
define i64 @answer(i64 %k) {
  %p = getelementptr [4 x double], [4 x double]* @table, i64 0, i64 %k
  %x = load double, double* %p
  %y = call double @cbrt(double %x)
  %z = fmul double %y, 1000.0
  %n = fptosi double %z to i64
  ret i64 %n
}
"""


def object_code(text):
    module = llvm.parse_assembly(text, llvm.create_context())
    return machine.target_machine().emit_object(module)


def called(address, *arguments):
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(arguments))(address)(*arguments)


@pytest.fixture(scope="module")
def code():
    machine.target_machine()  # initialises LLVM
    return object_code(IR)


def test_constants_and_functions_of_the_c_library_are_reached(code):
    address = loader.load(code, "answer")
    assert [called(address, k) for k in range(4)] == [1000, int(1000 * math.cbrt(2.5)), int(-1000 * math.cbrt(3)), 2000]


def test_two_objects_with_the_same_symbol_are_two_functions(code):
    other = object_code(IR.replace("1000.0", "10.0"))
    first, second = loader.load(code, "answer"), loader.load(other, "answer")
    assert (called(first, 3), called(second, 3)) == (2000, 20)


def test_a_missing_symbol_is_an_error(code):
    with pytest.raises(LookupError, match="question"):
        loader.load(code, "question")


VARIABLE = "@n = global i64 1\ndefine i64 @answer() {\n  %n = load i64, i64* @n\n  ret i64 %n\n}"
UNKNOWN = "declare i64 @nowhere_at_all()\ndefine i64 @answer() {\n  %n = call i64 @nowhere_at_all()\n  ret i64 %n\n}"


@pytest.mark.parametrize("text", [VARIABLE, UNKNOWN], ids=["variable", "unknown function"])
def test_what_is_not_loaded_here_is_left_to_llvm(text):
    with pytest.raises(loader.Unsupported):
        loader.load(object_code(text), "answer")


@pytest.mark.parametrize("damaged", [b"", b"\x7fELF", b"MZ" + bytes(100), b"\x7fELF\x01\x01" + bytes(100)])
def test_other_formats_are_left_to_llvm(damaged):
    with pytest.raises(loader.Unsupported):
        loader.load(damaged, "answer")


def test_loaded_code_cannot_be_written(code):
    address = loader.load(code, "answer")
    with open("/proc/self/maps") as maps:
        for line in maps:
            first, last = (int(x, 16) for x in line.split()[0].split("-"))
            if first <= address < last:
                assert line.split()[1].startswith("r-x")
                return
    raise AssertionError("not mapped")


def test_llvm_links_where_the_loader_does_not(code, monkeypatch):
    def refuse(code, symbol):
        raise loader.Unsupported

    monkeypatch.setattr(loader, "load", refuse)
    assert called(native._linked(object_code(IR.replace("answer", "other_answer")), "other_answer"), 3) == 2000
