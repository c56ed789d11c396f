"""Registers of a thread of every elementwise CUDA kernel, as a table: `python benchmarks/cuda_registers.py`.

Needs NVIDIA's compiler and assembler (nbgrad[cuda-test]), and no GPU.
"""

import numpy

import nbgrad.numpy  # noqa: F401  (declares the primitives)
from nbgrad.errors import DtypeError
from nbgrad.primitive import primitives
from nbgrad.testing.cuda import assembled, lowered

ARCHITECTURES = (75, 80, 86, 90, 100, 120)


def registers(primitive, dtype):
    """One count for each architecture; None where the primitive does not take the dtype."""
    arity = primitive.arity or 2
    arguments = [numpy.linspace(0.1, 0.9, 8).astype(dtype) for _ in range(arity)]
    if primitive.name == "where":
        arguments[0] = arguments[0] > 0.5
    try:
        low = lowered(primitive, *arguments)
    except DtypeError:
        return None
    counts = []
    for n in ARCHITECTURES:
        facts = [assembled(launch.code.ptx(f"compute_{n}"), f"sm_{n}") for launch in low.launches]
        assert not any(f["stack"] or f["spill_stores"] or f["spill_loads"] for f in facts), (primitive.name, n, facts)
        counts.append(max(f["registers"] for f in facts))
    return counts


def main():
    """Print the table."""
    print("| kernel | float64 | float32 |\n|---|---|---|")
    for name, primitive in sorted(primitives().items()):
        if primitive.kind == "elementwise":
            found = [registers(primitive, dtype) for dtype in ("float64", "float32")]
            print(f"| {name} | {' | '.join(' '.join(map(str, f)) if f else '' for f in found)} |")


if __name__ == "__main__":
    main()
