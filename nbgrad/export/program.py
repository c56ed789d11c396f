"""Program: a jitted function as a C function, checked against the interpreter at several sizes."""

import contextlib
import ctypes
import hashlib

import numpy

from nbgrad import graph
from nbgrad.compile import machine, native, remote, translate
from nbgrad.compile.arrays import ARRAYS
from nbgrad.compile.memory import ALIGNMENT
from nbgrad.errors import KernelError
from nbgrad.export import alone
from nbgrad.export.entry import STACK, Entry, Layout
from nbgrad.export.formula import constant, variable
from nbgrad.export.sizes import LETTERS, Plan, Traces
from nbgrad.runtime.interpreter import Interpreter
from nbgrad.shapes import size

#: Small sizes at which a program is tried, and how many elements of memory around its arrays are its own meanwhile.
_SMALL, _MARGIN = (1, 2, 3, 4, 5, 7, 12), 1 << 12
#: Other sizes at which it is tried, and elements of an array up to which it is.
_ELSEWHERE, _FAR, _LIGHT = 59, 1013, 1 << 21
#: Bytes of the function's own arrays up to which they are data of the module, inside of this process.
_EMBEDDED = 1 << 16
_BYTES = numpy.dtype("uint8")
#: How far sums in another order may be apart, in units of rounding.
_ROUNDING = 1e4


class Incomparable(Exception):
    """NumPy has no result for arguments like those of the example."""


class NativeProgram:
    """A jitted function for arguments like those of an example, as machine code that needs no Python.

    Attributes
    ----------
    traces : Traces
        With the names of the inputs, and the example's values.
    plan : Plan
        What is done, and the shapes of the outputs.
    names, minima : list of str, list of int
        What the open sizes are called, and their least values.
    outputs : list of dtype
    layout : Layout
        Of its intermediate values.
    results : nbgrad.compile.jit.Results
        How the results are made of the outputs.
    code : nbgrad.compile.native.Code
    """

    def __init__(self, jitted, args, kwargs, call, fixed=False):
        traces = self.traces = Traces(jitted, args, kwargs, call)
        self.call, self.results = call, traces.trace.results
        self._use(Plan(traces, fixed))
        if self.plan.open:
            try:
                for sizes, most in self._others():
                    self._compared(sizes, most)
            except Exception as error:  # the function was not written for other sizes, and did not say so when traced
                self._use(Plan(traces, fixed=True))
                reason = f"at another size: {error}".splitlines()[0]
                self.plan.reasons = dict.fromkeys(range(len(traces.example)), reason)
        if not self.plan.open:
            with contextlib.suppress(Incomparable):
                self._compared(())
        example = self._example()
        least = [self._least(k, example) for k in range(len(example))]
        if least != self.minima:
            self.minima = least
            self.code = self._compiled()

    # ------------------------------------------------------------ code

    def _use(self, plan):
        self.plan, self.outputs, count = plan, [n.dtype for n in plan.outputs], len(plan.open)
        self.layout = Layout(plan)
        self.names = list(LETTERS[:count]) + [f"n{k}" for k in range(len(LETTERS), count)]
        self.minima = [1] * count
        self._outside = self._only_numba()
        self.code = self._compiled()

    def digest(self):
        """What the machine code depends on."""
        plan, parts = self.plan, []
        for code in plan.description.codes:
            if code.text is not None:
                parts.append(native.fingerprint(code.text))
            else:
                parts.append(code.source)
                parts += [f"{n}:{d}:{native.fingerprint(p.text(d))}" for n, (p, d) in sorted(code.names.items())]
        parts.append(repr((plan.description.calls, plan.description.buffers, plan.description.lives)))
        parts += [repr(n.key() if hasattr(n, "key") else n) for n in plan.numbers]
        for value in plan.captured:
            is_array = isinstance(value, numpy.ndarray)
            parts.append(hashlib.sha256(value.tobytes()).hexdigest() if is_array else repr(value))
        parts += [f"{k} at {v.ctypes.data}" for k, v in self._large()] + [repr(self._outside)]
        parts.append(repr((self.minima, len(plan.traces.names), len(plan.shapes))))
        return hashlib.sha256("\n".join([native.foundation(), *parts]).encode()).hexdigest()

    def text(self, symbol):
        """The module as LLVM IR, for this process."""
        return Entry(self.plan, symbol, self.minima, {k: v.ctypes.data for k, v in self._large()}, self._outside).text()

    def entry(self, symbol):
        """The `Entry` of a module that needs nothing of this process."""
        return Entry(self.plan, symbol, self.minima, {}, {})

    def _large(self):
        captured = enumerate(self.plan.captured)
        return [(k, v) for k, v in captured if isinstance(v, numpy.ndarray) and v.nbytes > _EMBEDDED]

    def _only_numba(self):
        """Addresses of kernels that only Numba compiles."""
        found = {}
        for k, code in enumerate(self.plan.description.codes):
            if any(d == ARRAYS or getattr(p, "kind", "") == "array" for p, d in code.names.values()):
                try:
                    functions = {n: (p.text(d), d) for n, (p, d) in code.names.items()}
                    translate.kernel(code.source, functions, "tried", own=alone.WORDS)
                except translate.Unsupported:
                    found[k] = native.kernel(code.source, code.names).address
        return found

    def _compiled(self):
        return native.Code(self.digest(), lambda symbol: remote.submit(self.text(symbol), machine.KERNELS))

    @property
    def address(self):
        """Of the function in this process."""
        return self.code.address

    # ------------------------------------------------------------ calls

    def shapes(self):
        """Shapes of the inputs as tuples of `Formula`."""
        count, open_ = len(self.plan.open), self.plan.open
        sizes = {
            place: variable(open_.index(k), count) if k in open_ else constant(self.traces.example[k], count)
            for k, places in enumerate(self.traces.places)
            for place in places
        }
        return [
            tuple(sizes.get((k, axis), constant(extent, count)) for axis, extent in enumerate(v.shape))
            for k, v in enumerate(self.traces.values)
        ]

    def space(self):
        """The bytes of intermediate values as an expression of the sizes; None where they are always on the stack."""
        layout = self.layout
        if layout.bytes is not None:
            return str(layout.bytes + ALIGNMENT) if layout.bytes > STACK else None
        parts = [f"({s.text(self.names)} + {ALIGNMENT - 1}) // {ALIGNMENT} * {ALIGNMENT}" for s in layout.slots]
        return " + ".join([*parts, str(ALIGNMENT)])

    def run(self, arrays, sizes):
        """(code, outputs) of a call with C-contiguous arrays, for these open sizes."""
        shapes = [tuple(f.at(sizes) for f in shape) for shape in self.plan.shapes]
        outs = [_roomy(s, d) for s, d in zip(shapes, self.outputs, strict=True)]
        function = ctypes.CFUNCTYPE(
            ctypes.c_int32, *[ctypes.c_void_p] * (len(arrays) + len(outs)), *[ctypes.c_int64] * len(sizes),
            ctypes.c_void_p,
        )(self.address)  # fmt: skip
        space = _roomy((sum(max(s.at(sizes), 0) + ALIGNMENT for s in self.layout.slots) + ALIGNMENT,), _BYTES)
        return function(*(a.ctypes.data for a in (*arrays, *outs)), *sizes, space.ctypes.data), outs

    def _check_extents(self, sizes, outputs):
        """KernelError where memory would be less than nothing, or begin before its beginning."""
        plan, description = self.plan, self.plan.description
        places = [b.size for b in description.buffers] + [
            a.offset for c in _everything(description.calls) for a in c.addresses
        ]
        shapes = [tuple(f.at(sizes) for f in shape) for shape in plan.shapes]
        if any(plan.numbers[p].at(sizes) < 0 for p in places) or shapes != [n.shape for n in outputs]:
            raise KernelError(f"{self.call}: the program has no meaning at sizes {sizes}")

    def _others(self):
        """Sizes at which the program is tried besides small ones, each with the most elements of an array, or None."""
        example = self._example()
        large = [((*example[:k], _FAR, *example[k + 1 :]), _LIGHT) for k in range(len(example))]
        return [(tuple(_ELSEWHERE + 7 * k for k in range(len(example))), None), (example, None), *large]

    def _every(self, sizes):
        """All sizes, of which some are open."""
        every = list(self.traces.example)
        for k, n in zip(self.plan.open, sizes, strict=True):
            every[k] = n
        return tuple(every)

    def _example(self):
        return tuple(self.traces.example[k] for k in self.plan.open)

    def _least(self, k, example):
        """The least value of a size for which results are right, as are those of all larger ones that are tried."""
        least = example[k]
        for n in sorted((n for n in _SMALL if n < example[k]), reverse=True):
            try:
                self._compared((*example[:k], n, *example[k + 1 :]))
            except Exception:  # whatever a function does at sizes that it was not written for
                break
            least = n
        return least

    def _compared(self, sizes, most=None):
        """KernelError where program and interpreter differ; arrays of more than `most` elements are left alone."""
        every = self._every(sizes)
        inputs, captured, outputs = self.traces.at(every).program._graph
        if most is not None and max(size(n.shape) for n in graph.topological(outputs)) > most:
            return
        arrays = [_moved(a) for a in self.traces.arguments_at(every)]
        self._check_extents(sizes, outputs)
        interpreter = Interpreter(inputs, captured, outputs)
        try:
            expected, beside = interpreter.run(arrays), interpreter.run([_nudged(a) for a in arrays])
        except Exception as error:  # as of a matrix that is not positive definite
            raise Incomparable(str(error)) from error
        code, found = self.run(arrays, sizes)
        if code:
            raise KernelError(f"{self.call}: the compiled function returned {code}")
        for k, (a, b, c) in enumerate(zip(found, expected, beside, strict=True)):
            if not _near(a, numpy.asarray(b), numpy.asarray(c)):
                raise KernelError(
                    f"{self.call}: output {k} of the compiled function differs from what the interpreter gives; please "
                    "report this with the function"
                )


def _everything(calls):
    """Launches, and those that run inside of them."""
    for call in calls:
        yield call
        for part in call.parts:
            yield from _everything(part.launches)


def _roomy(shape, dtype):
    """An array with memory around it that is nobody's."""
    size = int(numpy.prod(shape, dtype=int))
    whole = numpy.full(size + 2 * _MARGIN, numpy.nan if dtype.kind in "fc" else 1, dtype)
    return whole[_MARGIN : _MARGIN + size].reshape(shape)


def _moved(array):
    made = _roomy(array.shape, array.dtype)
    made[...] = array
    return made


def _nudged(array):
    """Numbers that are off by their rounding."""
    if array.dtype.kind not in "fc":
        return array
    signs = 1 - 2 * (numpy.arange(array.size).reshape(array.shape) % 2)
    return (array * (1 + 2 * numpy.finfo(array.dtype).eps * signs)).astype(array.dtype)


def _near(a, b, beside):
    """Whether results are equal up to the order of sums; `beside` shows how much of that is to be expected."""
    if a.shape != b.shape:
        return False
    if a.dtype.kind not in "fc":
        return bool(numpy.array_equal(a, b))
    finite = numpy.isfinite(b) & numpy.isfinite(beside)
    scale = float(numpy.abs(b[finite]).max(initial=0.0))
    spread = float(numpy.abs(b[finite] - beside[finite]).max(initial=0.0))
    tolerance = _ROUNDING * (numpy.finfo(a.dtype).eps * scale + spread)
    return bool(numpy.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True))
