"""What gradients cost on a GPU, on paper: `python benchmarks/cuda_model.py [folder]`.

For each workload the launches of its gradient on the CPU and on CUDA, the bytes that these must move and the operations
that they do, and the time that a model gives: for each launch the longest of its bytes at the memory's bandwidth, its
operations at the peak of its dtype (without tensor cores), and the latency of a launch.  Nothing is measured: no GPU is
needed.  With a folder, the workloads are those of its `workloads.py`: `WORKLOADS`, name -> an object with `f`, `wrt`,
`mode`, `cases()` and `args(label, dtype)`; otherwise those that asv measures.
"""

import argparse
import importlib.util
import itertools
import sys
from pathlib import Path

import numpy

import nbgrad as ng
import nbgrad.numpy as xp
from nbgrad import graph, trees
from nbgrad.compile.cuda.lower import CudaLowering
from nbgrad.compile.lower import Lowering
from nbgrad.compile.simplify import simplify

#: Bytes a second, operations a second in float64 and float32, seconds of a launch.  Source: NVIDIA's data sheets of the
#: H100 SXM and the T4; a launch in a captured graph takes some 2 us.
CARDS = {"H100": (3.35e12, 33.5e12, 66.9e12, 2e-6), "T4": (320e9, 0.253e12, 8.1e12, 2e-6)}


def lowered(fn, arguments):
    """(CUDA, CPU) lowerings of a function of nested arguments, traced as jit would."""
    leaves, structure = trees.flatten(arguments)
    inputs = [graph.Node(None, (), (), v.shape, v.dtype, None, True) for v in leaves]
    graph.state.tracked += 1
    try:
        result = fn(*trees.unflatten(structure, [ng.Array(n) for n in inputs]))
    finally:
        graph.state.tracked -= 1
    outputs = [x._node for x in trees.flatten(result)[0] if isinstance(x, ng.Array)]
    simplified = simplify(inputs, outputs)
    return CudaLowering(*simplified), Lowering(*simplified)


def moved(launch):
    """Bytes that a launch must read and write: of each buffer no more than it has, and than there is work for."""
    buffers = {id(b): b for b in (*launch.reads, *launch.writes) if b.kind != "counter"}.values()
    most = max(launch.cost, launch.total)
    return sum(min(b.size, most) * b.dtype.itemsize for b in buffers)


def seconds(launches, card):
    """Time of a program on a card, and of how much of that latency is the most."""
    bandwidth, double, single, latency = CARDS[card]
    total = 0.0
    for launch in launches:
        wide = any(b.dtype == "float64" for b in (*launch.reads, *launch.writes))
        total += max(moved(launch) / bandwidth, launch.flops / (double if wide else single), latency)
    return total


def of_folder(folder):
    """(name, function of the arguments, arguments) of each case of a folder's workloads."""
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("workloads", Path(folder) / "workloads.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["workloads"] = module
    spec.loader.exec_module(module)
    for name, w in module.WORKLOADS.items():
        for label, dtype in w.cases():
            arguments, static = w.args(label, dtype)
            fn = lambda *a, w=w, static=static: w.f(xp, *a, **static)  # noqa: E731
            wrt = w.wrt if len(w.wrt) > 1 else w.wrt[0]
            if w.mode == "hvp":
                gradient = ng.grad(lambda x, *a, fn=fn: xp.sum(ng.grad(fn)(x, *a[:-1]) * a[-1]))
            else:
                gradient = ng.value_and_grad(fn, wrt)
            yield f"{name}/{label}/{dtype[5:]}", gradient, tuple(arguments)


def of_asv():
    """The same of those that asv measures."""
    from workloads import CASES

    for name, (fn, wrt, make) in CASES.items():
        yield name, ng.value_and_grad(fn, wrt), tuple(make(numpy.random.default_rng(0)))


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", help="with a workloads.py")
    parser.add_argument("--first", action="store_true", help="the first case of each workload only")
    options = parser.parse_args()
    xp.segment_sum = getattr(xp, "segment_sum", None) or getattr(ng, "segment_sum", None)
    cases = of_folder(options.folder) if options.folder else of_asv()
    if options.first:
        cases = (next(group) for _, group in itertools.groupby(cases, key=lambda case: case[0].split("/")[0]))
    print("| gradient | launches CPU | CUDA | on the host | MB moved | Mflop | H100 us | T4 us |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, fn, arguments in cases:
        cuda, cpu = lowered(fn, arguments)
        hosts = sorted({launch.name for launch in cuda.launches if launch.host})
        numbers = [sum(map(moved, cuda.launches)) / 1e6, sum(launch.flops for launch in cuda.launches) / 1e6]
        times = [seconds(cuda.launches, card) * 1e6 for card in CARDS]
        print(
            f"| {name} | {len(cpu.launches)} | {len(cuda.launches)} | {' '.join(hosts)} | {numbers[0]:.3g} "
            f"| {numbers[1]:.3g} | {times[0]:.0f} | {times[1]:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
