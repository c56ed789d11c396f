"""check_kernel: everything that can be wrong with a primitive, at sample inputs."""

import dataclasses
import importlib
import itertools
import os

import numpy

from nbgrad import dtypes, graph, trees
from nbgrad.array import Array, asarray
from nbgrad.autodiff.forward import vjp
from nbgrad.compile.jit import jit
from nbgrad.config import config
from nbgrad.debug import tables
from nbgrad.errors import ArgumentError, MissingRuleError, NbgradError, describe
from nbgrad.extension.arrays import ArrayKernel
from nbgrad.primitive import Primitive
from nbgrad.testing.gradients import GradientCheckError, check_grads

#: Roundings by which two ways to calculate the same may differ, for each of the operations behind a number.
_ROUNDINGS = 64
#: Parts of a parallel extent that are looked at, elements of inputs that make threads share a loop, and runs.
_PARTS, _MANY, _RUNS = 64, 1 << 17, 3
#: Bytes that memory is full of before a kernel writes to it.
_FILLS = (0, 0x7B)
OK, FAILED, NOT_RUN = "ok", "failed", "not run"


@dataclasses.dataclass(frozen=True)
class Line:
    """One check: what was looked at, how it came out, and figures or reasons."""

    check: str
    state: str
    details: str
    raised: bool = False


class KernelReport:
    """What `check_kernel` found.

    Attributes
    ----------
    name : str
        Of the primitive.
    lines : list of Line
    """

    def __init__(self, name):
        self.name, self.lines = name, []

    @property
    def failed(self):
        """The lines of checks that failed."""
        return [line for line in self.lines if line.state == FAILED]

    def __str__(self):
        rows = [(line.check, line.state, line.details) for line in self.lines]
        shown = tables.text(("check", "state", "found"), rows).splitlines()
        return "\n".join([f"check_kernel of {self.name}", *("    " + s for s in shown)])


class KernelCheckError(AssertionError):
    """A primitive is not what it should be.

    Attributes
    ----------
    report : KernelReport
    """

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report


class _Wrong(Exception):
    """A check failed."""


class _Left(Exception):
    """A check has nothing to look at."""


def check_kernel(primitive, *inputs, reference=None, keeps_dtype=True, **attrs):
    """Assert that a primitive and its derivatives are right, at sample inputs, and print a report.

    Looked at are values, interpreted and compiled; dtypes; operands with strides, broadcast or empty; first and second
    derivatives against differences; whether parts that threads share write to the same elements; whether runs agree to
    the last bit, whatever was in memory before; and, where NVIDIA's compiler and numba-cuda are installed, CUDA kernels
    as they are executed without a GPU.

    Parameters
    ----------
    primitive : callable
        What `nbgrad.elementwise`, `nbgrad.array_kernel`, `nbgrad.opaque`, `nbgrad.adopt` or `nbgrad.structural` made.
    *inputs : array_like
        At which it is smooth.
    reference : callable, optional
        ``reference(*inputs, **attrs)`` in NumPy: what the values have to be.
    keeps_dtype : bool
        Whether results of float32 have to be float32.
    **attrs
        Attributes of the primitive.

    Returns
    -------
    KernelReport

    Raises
    ------
    KernelCheckError
        An AssertionError, with the report: a check failed.
    ArgumentError
        If the primitive is no function, or there are no inputs.

    Examples
    --------
    >>> import nbgrad as ng
    >>> @ng.elementwise
    ... def cube(x):
    ...     return x * x * x
    >>> @cube.vjp
    ... def cube_vjp(g, x):
    ...     return 2.0 * g * x * x
    >>> ng.testing.check_kernel(cube, [0.5, 1.5])
    Traceback (most recent call last):
        ...
    nbgrad.testing.kernels.KernelCheckError: check_kernel of cube
        ...
        first derivative   failed   ...
    """
    name = getattr(primitive, "name", getattr(primitive, "__name__", type(primitive).__name__))
    if not callable(primitive):
        raise ArgumentError(f"check_kernel: got {describe(primitive)}, expected a primitive or a function of Arrays")
    if not inputs:
        raise ArgumentError(f"check_kernel of {name}: it needs inputs to look at; pass arrays behind the primitive")
    values = [numpy.asarray(x) for x in inputs]
    before = config.jit, config.threads
    try:
        report = _Check(name, primitive, values, attrs, reference, keeps_dtype).run()
    finally:
        config.jit, config.threads = before
    print(report)
    if report.failed:
        raise KernelCheckError(report)
    return report


class _Check:
    def __init__(self, name, primitive, values, attrs, reference, keeps_dtype):
        self.primitive, self.values, self.attrs = primitive, values, attrs
        self.reference, self.keeps_dtype = reference, keeps_dtype
        self.report = KernelReport(name)
        self.elementwise = isinstance(primitive, Primitive) and primitive.kind == "elementwise"

    def run(self):
        """The report of all checks."""
        for check, what in (
            ("values", self.compiled), ("reference", self.as_reference), ("float32", self.float32),
            ("float64", self.float64), ("integers", self.integers), ("strides", self.strides),
            ("broadcast", self.broadcast), ("empty", self.empty), ("first derivative", self.first),
            ("second derivative", self.second), ("forward mode", self.forward), ("parts", self.parts),
            ("threads", self.threads), ("memory", self.memory), ("repeated runs", self.repeated), ("cuda", self.cuda),
        ):  # fmt: skip
            if self.report.failed and self.report.failed[0].raised:  # natively it might do anything
                self.report.lines.append(Line(check, NOT_RUN, "it raised"))
                continue
            raised = False
            try:
                state, details = OK, what() or ""
            except _Left as reason:
                state, details = NOT_RUN, str(reason)
            except _Wrong as reason:
                state, details = FAILED, str(reason)
            except Exception as error:  # whatever a kernel raises is part of the report
                first = str(error).splitlines()[0] if str(error) else ""
                state, details, raised = FAILED, f"{type(error).__name__}: {first}", check == "values"
            self.report.lines.append(Line(check, state, details, raised))
        return self.report

    # ------------------------------------------------------------ ways to run it

    def function(self, *xs):
        """A list of Arrays."""
        made = self.primitive(*xs, **self.attrs)
        return list(made) if isinstance(made, (tuple, list)) else [made]

    def interpreted(self, values, fn=None):
        config.jit = 0
        return [y.numpy() for y in (fn or self.function)(*map(asarray, values))]

    def native(self, values, fn=None):
        config.jit = 2
        return [y.numpy() for y in jit(fn or self.function)(*map(asarray, values))]

    def both(self, values):
        """Results of compiled code, which have to be those of the interpreter; and the largest error."""
        expected = self.interpreted(values)  # first: what reads beyond an array raises here
        return expected, _near(self.native(values), expected, "compiled", "interpreted")

    # ------------------------------------------------------------ values

    def compiled(self):
        return f"compiled against interpreted: {self.both(self.values)[1]}"

    def as_reference(self):
        if self.reference is None:
            raise _Left("no reference was given")
        expected = self.reference(*self.values, **self.attrs)
        expected = expected if isinstance(expected, (tuple, list)) else [expected]
        return _near(self.native(self.values), list(map(numpy.asarray, expected)), "compiled", "the reference")

    def float32(self):
        return self.of_dtype(numpy.dtype("float32"))

    def float64(self):
        return self.of_dtype(numpy.dtype("float64"))

    def of_dtype(self, dtype):
        if not any(v.dtype.kind == "f" for v in self.values):
            raise _Left("no input is of floats")
        values = [v.astype(dtype) if v.dtype.kind == "f" else v for v in self.values]
        made, error = self.both(values)
        wrong = [str(y.dtype) for y in made if y.dtype.kind == "f" and y.dtype != dtype]
        if wrong and self.keeps_dtype:
            raise _Wrong(f"inputs of {dtype} give {', '.join(wrong)}, expected {dtype} (keeps_dtype=False allows it)")
        return error

    def integers(self):
        values = [v.astype("int64") if v.dtype.kind == "f" else v for v in self.values]
        try:
            expected = self.interpreted(values)
        except (NbgradError, ValueError, ZeroDivisionError) as error:
            raise _Left(f"it refuses them: {error}") from None
        if self.elementwise and self.primitive.domain == "float":
            wide = self.interpreted([v.astype("float64") for v in values])
            _near(expected, wide, "integers", "float64")
        return _near(self.native(values), expected, "compiled", "interpreted")

    def strides(self):
        spread = [numpy.repeat(v, 2, axis=-1) if v.ndim else v for v in self.values]
        if not any(v.ndim for v in self.values):
            raise _Left("no input has axes")
        every = lambda *xs: self.function(*(x[..., ::2] if x.ndim else x for x in xs))  # noqa: E731
        return _near(self.native(spread, every), self.interpreted(self.values), "every other element", "contiguous")

    def broadcast(self):
        if not self.elementwise:
            raise _Left("it is not elementwise")
        values = [v[None] if k == 0 else v for k, v in enumerate(self.values)]
        stacked = [numpy.stack([v] * 3) if k == 0 else v for k, v in enumerate(self.values)]
        expected = [numpy.broadcast_to(y, (3, *y.shape)) for y in self.interpreted(self.values)]
        _near(self.native(stacked), expected, "stacked", "each")
        return _near(self.native(values), [y[:1] for y in expected], "an axis of 1", "without")

    def empty(self):
        values = [v[:0] if v.ndim else v for v in self.values]
        if not any(v.ndim for v in self.values):
            raise _Left("no input has axes")
        if not self.elementwise:
            try:
                self.interpreted(values)
            except Exception as error:
                raise _Left(f"it refuses them: {type(error).__name__}: {error}") from None
        return self.both(values)[1]

    # ------------------------------------------------------------ derivatives

    def floats(self):
        values = [v.astype("float64") if v.dtype.kind == "f" else v for v in self.values]
        if not any(v.dtype.kind in "fc" for v in values):
            raise _Left("no input is of floats")
        if not any(y.dtype.kind in "fc" for y in self.interpreted(values)):
            raise _Left("no result is of floats")
        return tuple(map(asarray, values))

    def derivative(self, order, modes):
        values = self.floats()
        config.jit = 2
        try:
            check_grads(self.function, values, order=order, modes=modes)
        except MissingRuleError as error:
            raise _Left(str(error).split(". ")[0]) from None
        except GradientCheckError as error:
            by, off = f"by {error.argument}, order {error.order}", f"{error.found:.9g} instead of {error.expected:.9g}"
            raise _Wrong(f"{by}: {off} (differences)") from None
        return "against central differences"

    def first(self):
        return self.derivative(1, ("rev",))

    def second(self):
        return self.derivative(2, ("rev",))

    def forward(self):
        return self.derivative(1, ("fwd",))

    # ------------------------------------------------------------ threads and memory

    def calls(self):
        """(kernel, values, attributes) of every kernel of arrays behind the values and the gradient."""
        config.jit = 0
        values = tuple(map(asarray, self.values))
        outputs = self.function(*values)
        pulled = []
        if any(dtypes.is_inexact(v.dtype) for v in self.values):
            graph.state.tracked += 1
            try:
                seeds = [asarray(_numbers(y.shape, y.dtype)) for y in outputs]
                pulled = [c for c in trees.flatten(vjp(self.function, *values)[1](*seeds))[0] if isinstance(c, Array)]
            except (MissingRuleError, NbgradError):
                pulled = []
            finally:
                graph.state.tracked -= 1
        found = {}
        for node in graph.topological([y._node for y in (*outputs, *pulled)]):
            if isinstance(node.primitive, ArrayKernel):
                rule = dict(node.attrs)["rule"]
                found.setdefault((node.inputs, rule), (node.primitive, node.inputs, dict(rule.attrs)))
        return [(p, [Array(x).numpy() for x in inputs], attrs) for p, inputs, attrs in found.values()]

    def parts(self):
        """No two parts of a parallel extent write to one element."""
        looked = []
        for kernel, values, attrs in self.calls():
            if kernel.split is None:
                continue
            owner = None
            extent = kernel.extent(values, attrs)
            edges = numpy.unique(numpy.linspace(0, extent, min(extent, _PARTS) + 1).astype(int)).tolist()
            for start, stop in itertools.pairwise(edges):
                wrote = _written(kernel, values, attrs, (start, stop))
                owner = owner or [numpy.full(w.shape, -1) for w in wrote]
                for k, (w, o) in enumerate(zip(wrote, owner, strict=True)):
                    twice = w & (o >= 0)
                    if twice.any():
                        at = tuple(int(i) for i in numpy.argwhere(twice)[0])
                        raise _Wrong(
                            f"{kernel.name}: the parts that begin at {int(o[at])} and at {start} both write "
                            f"{kernel.results[k]}[{', '.join(map(str, at))}]: a race between threads"
                        )
                    o[w] = start
            looked.append(f"{kernel.name}: {len(edges) - 1}")
        if not looked:
            raise _Left("no kernel is split between threads")
        return f"each writes elements of its own ({', '.join(looked)})"

    def threads(self):
        values = self.values
        if self.elementwise:
            shape = numpy.broadcast_shapes(*(v.shape for v in values))
            times = -(-_MANY // max(int(numpy.prod(shape)), 1))
            values = [numpy.stack([numpy.broadcast_to(v, shape)] * times) for v in values]
        config.threads = 1
        one = self.native(values)
        many = max(2, os.cpu_count() or 2)
        config.threads = many
        for _ in range(_RUNS):
            _same(self.native(values), one, f"{many} threads", "1")
        return f"1 and {many} agree to the last bit"

    def memory(self):
        """Results do not depend on what was in memory before."""
        looked = []
        for kernel, values, attrs in self.calls():
            unwritten = [~w for w in _written(kernel, values, attrs, _whole(kernel, values, attrs))]
            for k, left in enumerate(unwritten):
                if left.any():
                    at = tuple(int(i) for i in numpy.argwhere(left)[0])
                    raise _Wrong(f"{kernel.name}: {kernel.results[k]}[{', '.join(map(str, at))}] is not written")
            whole = _whole(kernel, values, attrs)
            first, second = (_over(byte, kernel, values, attrs, whole) for byte in _FILLS)
            _same(first, second, f"{kernel.name} over zeros", "over other bytes")
            looked.append(kernel.name)
        if not looked:
            raise _Left("it is no kernel of arrays")
        return "every element of the results is written, and nothing read before"

    def repeated(self):
        config.jit = 2
        compiled = jit(self.function)
        inputs = tuple(map(asarray, self.values))
        runs = [[y.numpy() for y in compiled(*inputs)] for _ in range(_RUNS)]
        for other in runs[1:]:
            _same(other, runs[0], "a later run", "the first")
        return f"{_RUNS} agree to the last bit"

    def cuda(self):
        for module in ("numba.cuda", "cuda.bindings.nvvm"):
            try:
                importlib.import_module(module)
            except Exception:  # a missing library of NVIDIA is a RuntimeError there
                raise _Left(f"{module} is not installed: pip install nbgrad[cuda13]") from None
        from nbgrad.testing import cuda

        low = cuda.lowered(self.function, *self.values)
        hosted = [launch.name for launch in low.launches if launch.host]
        if hosted:
            raise _Left(f"on the host, since it has no form for CUDA: {', '.join(hosted)}")
        expected = self.native(self.values)
        for order in ("down", "up", numpy.random.default_rng(0)):
            error = _near(cuda.run(low, self.values, order=order), expected, "CUDA", "CPU")
        return f"executed without a GPU: {error}"


def _whole(kernel, values, attrs):
    """Start and stop of all work of a kernel, if it has them."""
    extent = kernel.extent(values, attrs)
    return () if extent is None else (0, extent)


def _over(byte, kernel, values, attrs, bounds):
    """The results of a kernel, run as Python, in memory that is full of a byte."""
    outs = []
    for form in kernel.forms(values, attrs):
        memory = numpy.full(form.size * form.dtype.itemsize, byte if form.dtype.kind != "b" else byte & 1, "u1")
        outs.append(memory.view(form.dtype).reshape(form.shape))
    with numpy.errstate(all="ignore"):
        kernel.write(values, outs, attrs, bounds)
    return outs


def _written(kernel, values, attrs, bounds):
    """Which elements of the results a part of a kernel writes: those that do not stay as they were."""
    wrote = None
    for byte in _FILLS:
        untouched = [o.copy() for o in _over(byte, _Nothing(kernel), values, attrs, bounds)]
        made = _over(byte, kernel, values, attrs, bounds)
        now = [(a != b) & ~((a != a) & (b != b)) for a, b in zip(made, untouched, strict=True)]
        wrote = now if wrote is None else [a | b for a, b in zip(wrote, now, strict=True)]
    return wrote


class _Nothing:
    """A kernel that writes nothing."""

    def __init__(self, kernel):
        self.forms = kernel.forms

    def write(self, values, outs, attrs, bounds):
        """Leave everything."""


def _numbers(shape, dtype):
    """Seeds of cotangents."""
    made = numpy.random.default_rng(0).uniform(0.5, 1.5, shape)
    return made.astype(dtype if dtypes.is_inexact(dtype) else "float64")


def _near(found, expected, what, other):
    """The largest error, in words; `_Wrong` where it is more than rounding."""
    worst = 0.0
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a.shape != b.shape:
            raise _Wrong(f"result {k}: shape {a.shape} ({what}), {b.shape} ({other})")
        if a.dtype.kind not in "fc" or b.dtype.kind not in "fc":
            _same([a], [b], what, other)
            continue
        coarse = max((numpy.finfo(d.dtype).eps for d in (a, b)), key=float)
        a, b = (v.astype(numpy.result_type(v.dtype, "float64")) for v in (a, b))
        scale = numpy.abs(b).max(initial=0.0, where=numpy.isfinite(b))
        with numpy.errstate(invalid="ignore"):
            wrong = ~(
                (a == b) | (numpy.isnan(a) & numpy.isnan(b)) | (abs(a - b) <= _ROUNDINGS * coarse * (abs(b) + scale))
            )
        if wrong.any():
            at = tuple(int(i) for i in numpy.argwhere(wrong)[0])
            raise _Wrong(f"result {k} at {list(at)}: {a[at]!s} ({what}), {b[at]!s} ({other})")
        finite = numpy.isfinite(a) & numpy.isfinite(b)
        worst = max(worst, float(numpy.abs(a - b).max(initial=0.0, where=finite)) / (float(scale) or 1.0))
    return f"largest difference {worst:.1e}"


def _same(found, expected, what, other):
    """`_Wrong` where a bit differs."""
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a.shape != b.shape or not numpy.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc"):
            raise _Wrong(f"result {k} differs: {what} and {other}")
