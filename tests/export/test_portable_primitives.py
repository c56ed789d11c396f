"""Every primitive and its gradient as portable programs, which are compared with references when they are made."""

import zlib

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.errors import KernelError
from nbgrad.export.program import NativeProgram
from tests.batching.test_rules import cases
from tests.primitives.table import ROWS


def functions(row, arguments, attrs):
    """The primitive, and its gradient by all floating-point arguments."""

    def value(*xs):
        return row.primitive(*map(ng.asarray, xs), **attrs)

    floats = [k for k, a in enumerate(arguments) if a.dtype.kind == "f" and a.size]

    def gradient(*xs):
        def number(*moving):
            whole = list(xs)
            for k, x in zip(floats, moving, strict=True):
                whole[k] = x
            return np.sum(0.7 * value(*whole))

        return ng.grad(number, tuple(range(len(floats))))(*(xs[k] for k in floats))

    return [value, gradient] if row.gradient is not None and floats else [value]


def made(function, arguments, fixed):
    """The program; None where a part of it is left to a library."""
    try:
        return NativeProgram(ng.jit(function), arguments, {}, "export", fixed)
    except KernelError as error:
        if "is a call of a library" in str(error):
            return None
        raise


def marks(row):
    """A tenth of the rows, always the same ones, is run unless all are asked for."""
    return () if zlib.crc32(row.name.encode()) % 10 == 0 else (pytest.mark.exhaustive,)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name, marks=marks(row)) for row in ROWS])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_portable_programs_agree_with_the_references(row):
    for examples, attrs in list(cases(row))[:3]:
        arguments = [numpy.asarray(a) for a in examples[0]]
        for function in functions(row, arguments, attrs):
            for fixed in (False, True):
                program = made(function, arguments, fixed)
                reasons = program.plan.reasons.values() if program else ()
                assert not [r for r in reasons if "differs from" in r]
