"""Measures every transcendental primitive and writes docs/accuracy.md.

    python docs/scripts/accuracy_table.py [points]      # from the repository's root; 100000 points take a while

Errors are against mpmath (float64) and against NumPy or SciPy in float64 (float32), with the samples of
tests/accuracy/table.py.  Times are medians of interleaved runs of one thread over arrays that fit in cache.
"""

import datetime
import os
import pathlib
import platform
import sys
import time

import numba
import numpy
import scipy.special
from llvmlite import binding

os.environ["NBGRAD_THREADS"] = "1"
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
import nbgrad as ng
from tests.accuracy.table import ROWS
from tests.accuracy.ulp import compiled, errors, exact, sample

PEERS = {"lgamma": scipy.special.gammaln, "logistic": scipy.special.expit, "erf": scipy.special.erf,
         "erfc": scipy.special.erfc, "digamma": scipy.special.digamma}  # fmt: skip
#: Intervals for timing, where those of the table would mostly measure overflow.
TIMED = {"exp": (-20, 20), "exp2": (-20, 20), "logistic": (-20, 20), "softplus": (-20, 20), "erfc": (-4, 4),
         "sin": (-10, 10), "cos": (-10, 10), "tan": (-10, 10), "lgamma": (0.1, 20), "digamma": (0.1, 20),
         "trigamma": (0.1, 20)}  # fmt: skip


def largest_error(row, dtype, points):
    """Largest error, where it occurs, how many points."""
    arrays = sample(row, dtype, points)
    error = errors(compiled(row.name, dtype)(*arrays), *exact(row, dtype, arrays), dtype, row.floor)
    worst = int(numpy.argmax(error))
    return error[worst], ", ".join(f"{float(a[worst]):.9g}" for a in arrays), arrays[0].size


def nanoseconds(row, dtype, size=100_000, rounds=41):
    """Median times an element: nbgrad's loop and its peer's."""
    rng = numpy.random.default_rng(1)
    intervals = [TIMED.get(row.name, i) for i in row.intervals]
    arrays = [rng.uniform(*i, size).astype(dtype) for i in intervals]
    out = numpy.empty_like(arrays[0])
    peer = PEERS.get(row.name) or getattr(numpy, row.name, None)
    primitive = ng.primitives()[row.name]
    program, held = ng.jit(lambda *xs: primitive(*xs)), [ng.asarray(a) for a in arrays]
    contenders = [lambda: program(*held).realize()] + ([lambda: peer(*arrays, out=out)] if peer else [])
    times = [[] for _ in contenders]
    with numpy.errstate(all="ignore"):
        for _ in range(rounds):
            for run, record in zip(contenders, times, strict=True):
                start = time.perf_counter()
                run()
                record.append(time.perf_counter() - start)
    return [float(numpy.median(t)) / size * 1e9 for t in times]


def main(points):
    features = binding.get_host_cpu_features()
    simd = "AVX-512" if features.get("avx512f") else "AVX2 + FMA" if features.get("avx2") else "no AVX2"
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    lines = [
        "# Accuracy and speed of the scalar kernels",
        "",
        f"Made by `docs/scripts/accuracy_table.py` on {datetime.date.today()}: {model} ({simd}), "
        f"Numba {numba.__version__}, NumPy {numpy.__version__}.",
        "",
        "## Largest errors",
        "",
        "In units in the last place (ulp; a correctly rounded result has at most 0.5). The truth is mpmath at 130 bits",
        "or more for float64, NumPy's or SciPy's float64 for float32. Half of the sample is uniform, half log-uniform",
        "over all magnitudes of the format with subnormals, plus special values; `tests/accuracy/table.py` holds the",
        "intervals. Functions with zeros that are not floats (lgamma, digamma, logaddexp) count ulps of 1 below 1.",
        "The polygammas of order 2 and 3 were sampled at positive arguments only.",
        "",
        "| function | float64 | at | float32 | at | points |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        wide, narrow = largest_error(row, "float64", points), largest_error(row, "float32", points)
        lines.append(f"| {row.name} | {wide[0]:.2f} | {wide[1]} | {narrow[0]:.2f} | {narrow[1]} | {wide[2]} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        "## Time an element",
        "",
        "Nanoseconds, one thread, 100,000 elements, median of 41 runs alternating with NumPy (SciPy for erf, erfc,",
        "lgamma, digamma, logistic). A dash: neither has the function.",
        "",
        "| function | float64 | NumPy | float32 | NumPy |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        cells = []
        for dtype in ("float64", "float32"):
            ours, *theirs = nanoseconds(row, dtype)
            cells += [f"{ours:.2f}", f"{theirs[0]:.2f}" if theirs else "-"]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    pathlib.Path(__file__).parents[1].joinpath("accuracy.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
