"""The figures that nbgrad promises, measured here and now: ``python benchmarks/figures.py [NAME ...]``.

Peers (jax, autograd) are measured in the same run if they can be imported, or if another interpreter that
has them is named: ``--peers /path/to/python``.  Runs are interleaved and medians are printed; compare
ratios within one run, not absolute times of different ones.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

CHAIN = """
def chain(xp, a, b):
    e = xp.exp(-((a * b) ** 2))
    u = e / (1 + e)
    t = (xp.exp(u) + a * b) ** 2 - u
    return xp.sum(xp.where(t > 0, t, 0.01 * t))
"""
exec(CHAIN)

PEER = (
    "import json, sys, time, numpy as np\n"
    + CHAIN
    + """
def median(call, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[count // 2]

for line in sys.stdin:
    out = None
    if line.strip() == "jax-chain":
        import jax
        jax.config.update("jax_enable_x64", True)
        a, b = (jax.numpy.asarray(v) for v in np.random.default_rng(0).random((2, 1_000_000)))
        g = jax.jit(jax.grad(lambda a, b: chain(jax.numpy, a, b), argnums=(0, 1)))
        jax.block_until_ready(g(a, b))
        out = median(lambda: jax.block_until_ready(g(a, b)), 15)
    elif line.strip() == "autograd-tiny":
        import autograd, autograd.numpy as anp
        x, g = np.random.rand(4), autograd.grad(lambda x: anp.sum(anp.exp(x) * x))
        out = median(lambda: [g(x) for _ in range(200)], 15) / 200
    print(json.dumps(out), flush=True)
"""
)


def median(call, count, inner=1):
    """Median seconds of a call, over `count` samples of `inner` calls."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        for _ in range(inner):
            call()
        times.append((time.perf_counter() - start) / inner)
    return statistics.median(times)


class Peers:
    """A process of another interpreter that times the peers on request."""

    def __init__(self, python):
        self.process = None
        if python:
            self.process = subprocess.Popen(
                [python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def time(self, what):
        """Seconds, or None where the peer is not there."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        text = self.process.stdout.readline()
        return json.loads(text) if text else None


def fused_chain(peers):
    """Gradient of a long elementwise chain on 1M float64: one launch, against jax.jit(jax.grad)."""
    import nbgrad as ng
    import nbgrad.numpy as xp

    a, b = map(ng.asarray, np.random.default_rng(0).random((2, 1_000_000)))
    g = ng.jit(ng.grad(lambda a, b: chain(xp, a, b), (0, 1)))  # noqa: F821 - defined by exec above
    g(a, b)
    print("    launches:", g.lower(a, b).launches)
    ours, theirs = [], []
    for _ in range(5):
        ours.append(median(lambda: g(a, b), 15))
        theirs.append(peers.time("jax-chain"))
    report("    nbgrad", statistics.median(ours), "jax", theirs)


def tiny(peers):
    """Gradient of a 3-operation program of 4 elements: under jit, and without."""
    import nbgrad as ng
    import nbgrad.numpy as xp

    x, gradient = ng.asarray(np.random.rand(4)), ng.grad(lambda x: xp.sum(xp.exp(x) * x))
    jitted, one = ng.jit(gradient), np.ones(4)
    jitted(x), jitted(x)
    until = time.perf_counter() + 1.0
    while time.perf_counter() < until:  # so that the un-jitted one is compiled too
        gradient(x)
    fast, slow, add, theirs = [], [], [], []
    for _ in range(7):
        add.append(median(lambda: np.add(one, one), 15, 2000))
        fast.append(median(lambda: jitted(x), 15, 2000))
        slow.append(median(lambda: gradient(x), 15, 200))
        theirs.append(peers.time("autograd-tiny"))
    add, fast = statistics.median(add), statistics.median(fast)
    print(f"    np.add {add * 1e6:.2f} us; jitted {fast * 1e6:.2f} us = {fast / add:.1f} np.add")
    report("    without jit", statistics.median(slow), "autograd", theirs)


def kernels(peers):
    """Transcendental kernels on 100k float64 and float32, one thread, against NumPy."""
    import nbgrad as ng
    import nbgrad.numpy as xp

    ng.config.threads = 1
    for dtype in ("float64", "float32"):
        for name, low, high in (("exp", -5, 5), ("log", 0.01, 10), ("tanh", -3, 3), ("sin", -10, 10)):
            theirs_function = getattr(np, name)
            x = np.random.default_rng(0).uniform(low, high, 100_000).astype(dtype)
            out, array, function = np.empty_like(x), ng.asarray(x), ng.jit(getattr(xp, name))
            function(array)
            ours, theirs = [], []
            for _ in range(9):
                ours.append(median(lambda f=function, a=array: f(a), 15))
                theirs.append(median(lambda f=theirs_function, x=x, out=out: f(x, out=out), 15))
            a, b = (statistics.median(v) * 1e9 / x.size for v in (ours, theirs))
            print(f"    {name:5} {dtype}: nbgrad {a:6.2f} ns, NumPy {b:6.2f} ns an element; ratio {a / b:.2f}")


def imports(peers):
    """import nbgrad against import numpy, fresh processes."""

    def seconds(code):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    ratios = [seconds("import nbgrad") / seconds("import numpy") for _ in range(15)]
    check = "import nbgrad, sys; print([m for m in ('numba', 'llvmlite', 'scipy', 'optree') if m in sys.modules])"
    print(f"    ratio {statistics.median(ratios):.2f}; heavy modules imported:", flush=True, end=" ")
    subprocess.run([sys.executable, "-c", check], check=True)


def first_gradient(peers):
    """Process start to the first gradient of an MLP: interpreted, compiled with an empty and a warm cache."""
    program = (
        "import nbgrad as ng, nbgrad.numpy as xp, numpy as np\n"
        "W = [ng.asarray(np.random.rand(64, 64)), ng.asarray(np.random.rand(64, 10))]\n"
        "x, y = ng.asarray(np.random.rand(64, 64)), ng.asarray(np.eye(10)[np.arange(64) % 10])\n"
        "loss = lambda W, x, y: -xp.mean(xp.sum(y * xp.log_softmax(xp.tanh(x @ W[0]) @ W[1]), axis=1))\n"
        "f = ng.value_and_grad(loss)\n"
        "import sys\n"
        "f = ng.jit(f) if sys.argv[1] == 'jit' else f\n"
        "float(f(W, x, y)[0])\n"
        "print(ng.stats())\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for mode, label in (("eager", "interpreted"), ("jit", "empty cache"), ("jit", "warm cache")):
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", program, mode], check=True, capture_output=True, text=True,
                env={**os.environ, "NBGRAD_CACHE_DIR": folder},
            )  # fmt: skip
            print(f"    {label:12} {time.perf_counter() - start:.2f} s  {done.stdout.strip()}")


def growth(peers):
    """Gradient of a Python loop of many operations; resident memory of long training loops."""
    import nbgrad as ng
    import nbgrad.numpy as xp

    for n in (10_000, 100_000, 1_000_000):

        def loop(x, n=n):
            for _ in range(n // 2):
                x = x * 1.0000001 + 1e-9
            return x

        start = time.perf_counter()
        ng.grad(loop)(ng.asarray(1.0))
        seconds = time.perf_counter() - start
        print(f"    loop of {n:>9,} operations: {seconds:7.2f} s, {seconds / n * 1e6:.1f} us an operation")
    gradient = ng.grad(lambda w: xp.sum((w - 3.0) ** 2))
    w, before = ng.asarray(np.ones(1000)), None
    for step in range(100_001):
        w = w - 1e-4 * gradient(w)
        if step % 25_000 == 0:
            with open("/proc/self/statm") as file:
                rss = int(file.read().split()[1]) * resource.getpagesize() / 1e6
            before = rss if step <= 25_000 else before  # by then the loop is compiled, and LLVM loaded
            print(f"    step {step:>7,}: resident {rss:.1f} MB ({rss - before:+.1f})", flush=True)


def report(label, seconds, peer, theirs):
    """One line of ours against a peer's."""
    theirs = [t for t in theirs if t]
    if not theirs:
        print(f"{label} {seconds * 1e6:.1f} us; {peer} is not installed here")
        return
    other = statistics.median(theirs)
    print(f"{label} {seconds * 1e6:.1f} us; {peer} {other * 1e6:.1f} us; {other / seconds:.1f} times as long")


FIGURES = {f.__name__: f for f in (fused_chain, tiny, kernels, imports, first_gradient, growth)}


def main():
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*FIGURES, []], help="default: all")
    parser.add_argument("--peers", help="a Python interpreter that has jax and autograd", default=sys.executable)
    options = parser.parse_args()
    peers = Peers(options.peers)
    for name in options.names or FIGURES:
        print(f"{name}: {FIGURES[name].__doc__}")
        FIGURES[name](peers)


if __name__ == "__main__":
    main()
