"""Device functions: an elementwise graph of scalars as a function that other people's CUDA kernels call.

before: a graph of 0-d nodes    after: ``float f(float, float)`` in PTX, or in LTO-IR, which linkers inline

All that is private to numba-cuda and needed for that is here.
"""

import hashlib
import math
import re

import numpy

from nbgrad import conversions, graph, trees
from nbgrad.array import Array, asarray
from nbgrad.compile import native, translate
from nbgrad.compile.body import Body
from nbgrad.compile.cuda import nvvm
from nbgrad.compile.simplify import simplify
from nbgrad.compile.source import Words, Writer, name_of
from nbgrad.compile.words import KINDS
from nbgrad.errors import ArgumentError, DtypeError, KernelError, ShapeError, describe
from nbgrad.graph import Node

CALL = "cuda.device_function"
#: What every GPU that CUDA 13 knows can take, newer ones after translation.
OLDEST = "compute_75"
_INSTALL = "pip install nbgrad[cuda13] (or nbgrad[cuda12] for an older driver)"


class DeviceFunction:
    """A function of scalars for CUDA kernels; made by `nbgrad.cuda.device_function`.

    Attributes
    ----------
    symbol : str
        Its name for linkers.
    source : str
        What is computed, as Python.
    ir : str
        The same as NVVM IR.
    parameters, results : tuple of str
        Names of the dtypes that it takes, and of those that it returns.
    """

    def __init__(self, symbol, source, functions, parameters, results):
        self.symbol, self.source = symbol, source
        self.parameters, self.results = tuple(parameters), tuple(results)
        try:
            self.ir = nvvm.device_module(source, functions, symbol, parameters, results)
        except translate.Unsupported as reason:
            listed = ", ".join(sorted(functions))
            raise KernelError(
                f"{CALL}: the text of one of {listed} is outside of what is translated for CUDA: {reason}; write it "
                "with assignments, arithmetic, comparisons, loops over ranges and calls of other kernels"
            ) from None

    def __repr__(self):
        returned = self.results[0] if len(self.results) == 1 else f"({', '.join(self.results)})"
        return f"<DeviceFunction {self.symbol}: {returned} ({', '.join(self.parameters)})>"

    def ptx(self, architecture=OLDEST):
        """PTX, ``.visible .func`` with the C ABI, for a virtual architecture such as ``compute_80``.

        Raises
        ------
        KernelError
            Where NVIDIA's compiler is not installed, or does not know the architecture.
        """
        return nvvm.ptx(self.ir, architecture)

    def ltoir(self, architecture=OLDEST):
        """LTO-IR for a virtual architecture, as bytes; errors are those of `ptx`."""
        return nvvm.link_time(self.ir, architecture)

    @property
    def signature(self):
        """Numba's signature: several results are a tuple.

        Raises
        ------
        KernelError
            Where numba-cuda is not installed.
        """
        _numba_cuda(self)
        from numba import types
        from numba.core.typing import signature

        kinds = {name: types.boolean if name == "bool" else getattr(types, name) for name in KINDS}
        results = [kinds[r] for r in self.results]
        return signature(
            results[0] if len(results) == 1 else types.Tuple(results), *(kinds[p] for p in self.parameters)
        )

    def declare(self, architecture=OLDEST, lto=True):
        """The function for use in ``@numba.cuda.jit`` kernels, which are linked with its code.

        Parameters
        ----------
        architecture : str, optional
            A virtual architecture that the GPU has; newer GPUs take the code of older ones.
        lto : bool, optional
            Link LTO-IR, which is inlined into kernels that are compiled with ``lto=True``, as they are by default
            wherever nvJitLink is installed; otherwise PTX, which is called.

        Returns
        -------
        object
            What ``numba.cuda.declare_device`` returns.  Call it in kernels with numbers of the dtypes in `parameters`;
            Numba converts others.

        Raises
        ------
        ArgumentError
            If another function was declared by its name.
        KernelError
            Where numba-cuda or NVIDIA's compiler is not installed.
        """
        cuda = _numba_cuda(self)
        if _names.setdefault(self.symbol, self.ir) != self.ir:  # a linker may take either of them without a word
            raise ArgumentError(
                f"{CALL}: name {self.symbol!r} was declared for another function before, expected a new one, since "
                "linkers know functions by their names; give another name, or none"
            )
        key = self.ir, architecture, lto
        found = _declared.get(key)
        if found is None:  # the same code twice in a link would be defined twice
            kind, code = (cuda.LTOIR, self.ltoir) if lto else (cuda.PTXSource, lambda a: self.ptx(a).encode())
            link = kind(code(architecture), name=self.symbol)
            found = _declared[key] = cuda.declare_device(self.symbol, self.signature, link=link, abi="c")
        return found


#: (NVVM IR, architecture, LTO-IR or PTX) -> what was declared.
_declared: dict = {}
#: What is called so by linkers -> its NVVM IR.
_names: dict = {}


def made(fn, examples, name=None):
    """The `DeviceFunction` of a function of scalars of these dtypes; see `nbgrad.cuda.device_function`."""
    if not callable(fn):
        raise ArgumentError(f"{CALL}: fn must be a function of scalars, got {describe(fn)}")
    if name is not None and not (isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)):
        raise ArgumentError(f"{CALL}: name must be a C identifier such as 'slope', got {name!r}")
    inputs = [Node(None, (), (), (), _scalar(k, e), None, True, graph.site()) for k, e in enumerate(examples)]
    outputs = _traced(fn, inputs)
    inputs, captured, outputs = simplify(inputs, outputs)
    for node in outputs:
        _passable(node.dtype, "a result")
    parameters, results = [name_of(n.dtype) for n in inputs], [name_of(n.dtype) for n in outputs]
    body = _Scalars(inputs, captured, outputs)
    symbol = name or native.symbol_of(hashlib.sha256(body.source.encode()).hexdigest())
    functions = {n: (p.text(d, "cuda"), d) for n, (p, d) in body.names.items()}
    return DeviceFunction(symbol, body.source, functions, parameters, results)


def _scalar(k, example):
    """The dtype of an example."""
    if isinstance(example, (list, tuple, dict)):
        raise ArgumentError(f"{CALL}: example {k + 1} is a {type(example).__name__}, expected a scalar; {_SCALARS}")
    try:
        x = asarray(example)
    except (ArgumentError, DtypeError) as error:
        raise type(error)(f"{CALL}: example {k + 1} is no scalar, got {describe(example)}; {_SCALARS}") from None
    if x.shape != ():
        raise ShapeError(
            f"{CALL}: example {k + 1} must be a scalar, got {describe(example)}; {_SCALARS}, and call the function for "
            "each element from the kernel"
        )
    _passable(x.dtype, f"example {k + 1}")
    return x.dtype


_SCALARS = "give a Python number, a NumPy scalar or a 0-d array for each argument"


def _passable(dtype, what):
    if dtype.kind == "c":
        raise DtypeError(f"{CALL}: {what} is {dtype}, expected a real number; pass real and imaginary part apart")
    if name_of(dtype) not in KINDS:
        raise DtypeError(f"{CALL}: {what} is {dtype}, which is a form of memory only; take float32 and convert outside")


def _traced(fn, inputs):
    """Nodes of the results of a function."""
    graph.state.tracked += 1
    conversions.enter()
    try:
        result = fn(*(Array(n) for n in inputs))
        leaves = trees.flatten(result)[0]
        if not leaves or any(
            not isinstance(x, (Array, bool, int, float, numpy.generic, numpy.ndarray)) for x in leaves
        ):
            raise ArgumentError(
                f"{CALL}: fn returned {describe(result)}, expected a scalar or a tuple of scalars; "
                "return what it computed"
            )
        nodes = [asarray(x)._node for x in leaves]
    finally:
        conversions.leave()
        graph.state.tracked -= 1
    for node in nodes:
        if node.shape != ():
            raise ShapeError(
                f"{CALL}: fn returned an array of shape {node.shape}, expected scalars, of shape (); return its "
                "elements one by one, or use nbgrad.jit for arrays"
            )
    return nodes


class _Scalars(Body):
    """Emitted source of a function of scalars: `source`, and in `names` the kernel texts that it calls."""

    def __init__(self, inputs, captured, outputs):
        super().__init__(None, None, (), "", Words(), {}, Writer())
        w, text = self.writer, {n: f"x{k}" for k, n in enumerate(inputs)}
        takes, gives = (", ".join(name_of(n.dtype) for n in nodes) for nodes in (inputs, outputs))
        w.open(f"def function({', '.join(text.values())}):")
        w.line(f'"""({takes}) -> ({gives})"""')
        for node in captured:
            if node.shape != ():
                raise ShapeError(
                    f"{CALL}: fn uses an array of shape {node.shape} that is no argument of it, expected numbers, "
                    "since a device function has no memory; pass what it needs of the array as arguments, or take a "
                    "number out of it before, with float(...)"
                )
            text[node] = _number(numpy.asarray(node.fact("value")).item(), node.dtype)
        for node in graph.topological(outputs):
            if node not in text:
                text[node] = self._text(node, text)
        w.line(f"return ({', '.join(text[n] for n in outputs)},)")
        self.source = w.text()

    def _text(self, node, text):
        """What a node is called in the source, where a line for it is written if it needs one."""
        if graph.is_constant(node):
            return _number(node.attrs[0], node.dtype)
        scalar = node.shape == () and all(x.shape == () for x in node.inputs)
        if node.primitive.kind == "view" and scalar:  # of one element there is one view
            return text[node.inputs[0]]
        if node.primitive.kind not in ("elementwise", "cast") or not scalar:
            shapes = ", ".join(str(x.shape) for x in node.inputs)
            raise KernelError(
                f"{CALL}: {node.primitive.name} of shapes {shapes} -> {node.shape} is not an elementwise operation on "
                "scalars; write fn with elementwise operations on its arguments, or use nbgrad.jit for arrays"
            )
        name = f"{node.primitive.name}_{self.computed}"
        self.computed += 1
        self.writer.line(f"{name} = {self._expression(node, [text[x] for x in node.inputs])}")
        return name


def _number(value, dtype):
    """A number as source, of this dtype."""
    if dtype.kind == "b":
        return str(bool(value))
    if dtype.kind != "f":
        return f"to_{dtype}({int(value)})"
    value = float(value)
    if math.isnan(value):
        text = "1e999 - 1e999"
    else:
        text = repr(value) if math.isfinite(value) else "1e999" if value > 0 else "-1e999"
    return f"to_{'float64' if dtype.itemsize == 8 else 'float32'}({text})"


def _numba_cuda(function):
    """`numba.cuda` as numba-cuda has it."""
    try:
        from numba import cuda
    except Exception as error:  # a missing library of NVIDIA is a RuntimeError there
        raise KernelError(
            f"{CALL}: {function.symbol} can be used by Numba only with numba-cuda: {error}; {_INSTALL}"
        ) from None
    if getattr(cuda, "implementation", None) != "NVIDIA":
        raise KernelError(
            f"{CALL}: {function.symbol} can be used by Numba only with numba-cuda, which is not installed; {_INSTALL}"
        )
    return cuda
