"""What every CUDA kernel needs of a multiprocessor, as a table: `python benchmarks/cuda_registers.py`.

Needs NVIDIA's compiler and assembler (nbgrad[cuda-test]), and no GPU.  Kernels are those of the cases in
`tests/primitives/table.py`, and a few programs; of several kernels of one primitive the largest counts.
"""

import pathlib
import sys

import numpy

import nbgrad.numpy as np
from nbgrad.testing.cuda import assembled, lowered

ARCHITECTURES = (75, 80, 86, 90, 100, 120)

PROGRAMS = {
    "*softmax of rows*": (np.softmax, ((300, 70),)),
    "*sums of columns*": (lambda x: np.sum(x, axis=0), ((9000, 33),)),
    "*normalised rows and their means*": (
        lambda x: (x / np.sqrt(np.sum(x * x, axis=1, keepdims=True)), np.mean(x, axis=0)), ((300, 70),),
    ),
    "*large product*": (np.matmul, ((130, 70), (70, 90))),
}  # fmt: skip

_seen = {}


def needs(low):
    """(registers on each architecture, bytes of shared memory) of the largest kernel of a program."""
    registers, shared = [0] * len(ARCHITECTURES), 0
    for launch in low.launches:
        for k, number in enumerate(ARCHITECTURES if launch.host is None else ()):
            key = launch.code.text, number
            if key not in _seen:
                _seen[key] = assembled(launch.code.ptx(f"compute_{number}"), f"sm_{number}")
            facts = _seen[key]
            assert (facts["stack"], facts["spill_stores"], facts["spill_loads"]) == (0, 0, 0), (launch.name, number)
            registers[k], shared = max(registers[k], facts["registers"]), max(shared, facts["shared"])
    return registers, shared


def of_row(row, dtype):
    """The same of a row of the table; None where it does not take the dtype."""
    if dtype not in row.dtypes:
        return None
    if row.elementwise:
        return needs(lowered(row.primitive, *row.sample(dtype, (24,))))
    found = [
        needs(lowered(lambda *a, c=case: row.primitive(*a, **c.attrs), *row.arguments(case, dtype)))
        for case in row.cases
    ]
    return [max(each) for each in zip(*(r for r, _ in found), strict=True)], max(s for _, s in found)


def line(name, found):
    """One line of the table."""
    registers = ["" if f is None else " ".join(map(str, f[0])) for f in found]
    shared = max((f[1] for f in found if f is not None), default=0)
    print(f"| {name} | {' | '.join(registers)} | {shared or ''} |", flush=True)


def main():
    """Print the table."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
    from primitives.table import ELEMENTWISE, STRUCTURAL  # asv, which imports all files here, has no mpmath for it

    print("| kernel | float64 | float32 | shared bytes |\n|---|---|---|---|")
    for row in sorted((*ELEMENTWISE, *STRUCTURAL), key=lambda row: row.name):
        found = [of_row(row, dtype) for dtype in ("float64", "float32")]
        if any(found):
            line(row.name, found)
    for name, (fn, shapes) in PROGRAMS.items():
        arrays = [numpy.random.default_rng(0).normal(size=s) for s in shapes]
        line(name, [needs(lowered(fn, *(a.astype(dtype) for a in arrays))) for dtype in ("float64", "float32")])


if __name__ == "__main__":
    main()
