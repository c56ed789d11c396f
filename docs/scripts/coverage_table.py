"""Writes docs/coverage.md from the registry of primitives: python docs/scripts/coverage_table.py"""

import pathlib

import nbgrad.kernels.cuda as cuda  # declares the forms for CUDA
import nbgrad.numpy  # noqa: F401 - declares the primitives
from nbgrad.primitive import primitives

PAGE = pathlib.Path(__file__).parents[1] / "coverage.md"
HEAD = """# Coverage: what each primitive has

Made from the registry by `python docs/scripts/coverage_table.py`; a test compares. *Fused* means that the primitive is
part of a kernel with its neighbours; *a launch* that it is one of its own. What is computed *by NumPy* on the CPU, or
on the *host* for CUDA, runs between launches; on CUDA the first time of each primitive warns, and names it. CUDA
kernels are compiled and executed in simulation, and nobody has run them on hardware: see [CUDA](cuda.md).

Complex numbers are pairs of real ones in the kernels of both, where a primitive says what it is of pairs; other
primitives of complex numbers are computed by NumPy on the host. A primitive of your own is as on this page: an
`elementwise` text is fused on both, an array kernel runs on CUDA if it has a CUDA form or is a text that a thread can
do for each unit, and is computed on the host otherwise.

Under `vmap` a primitive is applied to all examples together; where the last column says *one by one*, to one after
another.

| primitive | kind | gradient | CPU | CUDA | `vmap` |
|---|---|---|---|---|---|
"""

#: Kinds that share kernels with their neighbours, or need none.
FUSED = {
    "elementwise": ("fused", "fused"),
    "cast": ("fused", "fused"),
    "gather": ("fused", "fused"),
    "view": ("read in place", "read in place"),
    "update": ("a launch", "a launch"),
    "reduction": ("fused", "fused; shuffles and shared memory"),
    "scatter": ("fused", "fused; terms in the order of the indices, no atomics"),
}


def is_own(primitive):
    """Whether a primitive is declared here, not by a user."""
    made = [getattr(f, "__module__", None) or "" for f in (primitive.kernel, primitive.infer, primitive.rule)]
    return any(module.startswith("nbgrad.kernels") for module in made)


def gradient(primitive):
    """What its VJP is."""
    if primitive.rule is not None:
        return "rule"
    return "zero" if primitive.differentiable else "none"


def on_cpu(primitive):
    """Where it is computed on a CPU."""
    if primitive.name == "matmul":
        return "BLAS"
    if primitive.kind in FUSED:
        return FUSED[primitive.kind][0]
    return "a launch" if primitive.layout is not None else "by NumPy"


def on_cuda(primitive):
    """Where it is computed for CUDA."""
    if primitive.name == "matmul":
        return "a launch; tiles in shared memory"
    if primitive.kind in FUSED:
        return FUSED[primitive.kind][1]
    if primitive.block is None:
        return "a launch; a thread for each unit" if primitive.layout is not None else "host"
    if primitive.block.layout in (cuda.matrices, cuda.equations, cuda.triangular):
        return f"a launch; a block for each matrix of up to {cuda.LARGEST} rows, else host"
    return "a launch; a block for each lane, or a thread where there are many"


def under_vmap(primitive):
    """How it is applied to many examples."""
    return "together" if primitive.batching or primitive.kind == "elementwise" else "one by one"


def page():
    """The text of the page."""
    rows = [
        f"| {p.name} | {p.kind} | {gradient(p)} | {on_cpu(p)} | {on_cuda(p)} | {under_vmap(p)} |\n"
        for p in sorted(primitives().values(), key=lambda p: p.name)
        if is_own(p)
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page())
