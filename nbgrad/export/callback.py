"""Callback: a program behind the C signature that a library expects of functions it calls.

before: ``double f(double, void *)``, wanted by SciPy's quad    after: its number is stored where the program reads it,
and what the program writes is returned
"""

import ctypes
import hashlib
import math
import re

import numpy
from llvmlite import ir

from nbgrad.compile import machine, native, remote
from nbgrad.errors import ArgumentError, ShapeError
from nbgrad.export.entry import emitted
from nbgrad.export.formula import constant
from nbgrad.export.names import identifiers

_C = {
    "float64": ctypes.c_double, "float32": ctypes.c_float, "int64": ctypes.c_int64, "int32": ctypes.c_int32,
    "int16": ctypes.c_int16, "int8": ctypes.c_int8, "uint8": ctypes.c_uint8, "uint16": ctypes.c_uint16,
    "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64, "bool": ctypes.c_bool,
}  # fmt: skip
#: Names of types in C -> dtypes; ``npy_intp`` is as wide as a pointer.
_DTYPES = {
    "double": "float64", "float": "float32", "int": "int32", "int32_t": "int32", "int64_t": "int64", "long": "int64",
    "npy_intp": "int64", "intptr_t": "int64", "ssize_t": "int64", "Py_ssize_t": "int64", "size_t": "int64",
}  # fmt: skip
#: The names in C of what `nbgrad.export.library` writes into headers.
NAMES = {
    "float64": "double", "float32": "float", "int64": "int64_t", "int32": "int32_t", "int16": "int16_t",
    "int8": "int8_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t",
    "bool": "uint8_t", "complex128": "double", "complex64": "float",
}  # fmt: skip
_WORD, _ADDRESS = ir.IntType(64), ir.IntType(8).as_pointer()
_FORM = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")


class Parameter:
    """A parameter of a C function: the name of its type, and whether it is a pointer."""

    __slots__ = ("kind", "pointer")

    def __init__(self, text, signature):
        words = text.replace("const", " ").replace("*", " * ").split()
        self.pointer = "*" in words
        self.kind = words[0] if words else ""
        if words.count("*") > 1 or (self.kind not in _DTYPES and not (self.kind == "void" and self.pointer)):
            raise ArgumentError(
                f"cfunc: signature is {signature!r}, in which {text.strip()!r} is not understood; expected parameters "
                f"such as {', '.join(_DTYPES)}, pointers to them, and void *"
            )

    def __str__(self):
        return f"{self.kind} *" if self.pointer else self.kind

    @property
    def is_count(self):
        """Whether it says how many elements a pointer has."""
        return not self.pointer and _DTYPES.get(self.kind, "f")[0] != "f"

    def llvm(self):
        """Its type."""
        if self.pointer:
            return _ADDRESS
        dtype = _DTYPES[self.kind]
        return {"float64": ir.DoubleType(), "float32": ir.FloatType(), "int32": ir.IntType(32)}.get(dtype, _WORD)

    def ctypes(self):
        """Its type in ctypes."""
        if self.kind == "void":
            return ctypes.c_void_p
        plain = _C[_DTYPES[self.kind]]
        return ctypes.POINTER(plain) if self.pointer else plain


class Callback:
    """A compiled program as a C function; made by ``cfunc`` of a jitted function.

    Attributes
    ----------
    address : int
        Of the function; it is valid as long as the process.
    signature : str
        In C.
    ctypes : object
        The function for Python's ctypes.
    user_data : list of (name, dtype, shape)
        Arguments that the function reads from its ``void *``, one after the other.
    """

    def __init__(self, program, signature, code, returned, parameters, user_data=()):
        self._program, self._code, self.signature = program, code, signature
        self.address, self.user_data, self._keep = code.address, list(user_data), []
        self.ctypes = ctypes.CFUNCTYPE(returned, *parameters)(self.address)

    def __repr__(self):
        return f"<Callback {self.signature} at {self.address:#x}>"

    def low_level_callable(self, *rest):
        """The function for SciPy, as ``scipy.LowLevelCallable``.

        Parameters
        ----------
        *rest : array_like
            Those arguments that the signature has no place for: they are copied, and read from ``user_data``.

        Raises
        ------
        ArgumentError
            If their number is another one.
        ShapeError
            If one of them has another shape than in the example.
        """
        import scipy

        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        name = self.signature.encode()
        self._keep.append((name, self._code))
        capsule = make(self.address, name, None)
        return scipy.LowLevelCallable(capsule, user_data=self._packed(rest))

    def _packed(self, rest):
        if len(rest) != len(self.user_data):
            listed = ", ".join(name for name, *_ in self.user_data) or "nothing"
            raise ArgumentError(
                f"low_level_callable: got {len(rest)} arguments, expected those that the signature has no place for: "
                f"{listed}"
            )
        if not rest:
            return None
        data = b""
        for value, (name, dtype, shape) in zip(rest, self.user_data, strict=True):
            array = numpy.ascontiguousarray(value, dtype=dtype)
            if numpy.shape(value) != shape:
                raise ShapeError(
                    f"low_level_callable: {name} has shape {numpy.shape(value)}, expected {shape}, as in the example; "
                    "make the callback anew with an example like it"
                )
            data += array.tobytes().ljust(_padded(array.nbytes), b"\0")
        held = ctypes.create_string_buffer(data, max(len(data), 1))
        self._keep.append(held)
        return ctypes.cast(held, ctypes.c_void_p)


def _padded(nbytes):
    return -(-nbytes // 8) * 8


def plain(program):
    """The program's own C function."""
    parameters, types = [], []
    for name, dtype, pointer in declared(program):
        parameters.append(f"{NAMES[dtype]} *{name}" if pointer else f"int64_t {name}")
        types.append(ctypes.c_void_p if pointer else ctypes.c_int64)
    signature = f"int32_t ({', '.join([*parameters, 'void *workspace'])})"
    return Callback(program, signature, program.code, ctypes.c_int32, [*types, ctypes.c_void_p])


def declared(program):
    """(name, dtype, whether it is a pointer) of each parameter of a program's function but its workspace."""
    names = identifiers(program.traces.names)
    found = [(n, str(v.dtype), True) for n, v in zip(names, program.traces.values, strict=True)]
    found += [(f"out{k}", str(d), True) for k, d in enumerate(program.outputs)]
    return found + [(n, "int64", False) for n in program.names]


def adapted(make, signature):
    """A program behind a C signature; ``make(fixed)`` gives the program without those sizes."""
    match = _FORM.fullmatch(signature) if isinstance(signature, str) else None
    if match is None or match[1] not in ("double", "float", "int", "void"):
        raise ArgumentError(
            f"cfunc: signature is {signature!r}, expected the declaration of a C function "
            "such as 'double (double, void *)'; see scipy.LowLevelCallable"
        )
    parameters = [Parameter(p, signature) for p in match[2].split(",") if p.strip() and p.strip() != "void"]
    program = make(())
    adapter = _Adapter(program, match[1], parameters)
    untold = [program.traces.example[size] for k, size in enumerate(program.plan.open) if k not in adapter.known]
    if untold:  # nothing in the signature says how large these are
        program = make(tuple(untold))
        adapter = _Adapter(program, match[1], parameters)
    shown = f"{match[1]} ({', '.join(map(str, parameters))})"
    key = hashlib.sha256(f"{program.digest()}{shown}".encode()).hexdigest()
    code = native.Code(key, lambda symbol: remote.submit(adapter.text(symbol), machine.KERNELS))
    returned = None if match[1] == "void" else _C[_DTYPES[match[1]]]
    return Callback(program, shown, code, returned, [p.ctypes() for p in parameters], adapter.user_data)


class _Adapter:
    """What is handed on to a program where, as LLVM."""

    def __init__(self, program, returned, parameters):
        self.program, self.returned, self.parameters = program, returned, parameters
        self.inputs = list(zip(program.traces.names, program.traces.values, program.shapes(), strict=True))
        count = len(program.outputs)
        if returned in ("double", "float"):
            if count != 1 or program.plan.shapes[0]:
                self._misfit(f"returns one number, and the function has {count} results of shapes {self._results()}")
            count = 0
        pointers = [k for k, p in enumerate(parameters) if p.pointer and p.kind != "void"]
        self.output_pointers = pointers[len(pointers) - count :] if count else []
        if len(self.output_pointers) < count:
            self._misfit(f"has {len(pointers)} pointers, too few for {count} results, of shapes {self._results()}")
        self.data = next((k for k, p in enumerate(parameters) if p.kind == "void"), None)
        counts = [k for k, p in enumerate(parameters) if p.is_count]
        counted = dict(zip(pointers, counts, strict=False))
        rest = list(range(len(self.inputs)))
        self.sources = [None] * len(self.inputs)  # (parameter, element or None) of each input
        self.checks, self.known = [], {}
        for k, parameter in enumerate(parameters):
            if k in self.output_pointers or parameter.is_count or parameter.kind == "void":
                continue
            if not rest:
                self._misfit(f"has a place more than the function has arguments: {parameter}")
            if not parameter.pointer:
                self._take(rest.pop(0), k, None, parameter)
            elif self.inputs[rest[0]][2]:
                at = rest.pop(0)
                self._take(at, k, None, parameter)
                self._count(self.inputs[at][2], counted.get(k))
            else:
                element = 0
                while rest and not self.inputs[rest[0]][2]:
                    self._take(rest.pop(0), k, element, parameter)
                    element += 1
                if k in counted:
                    self.checks.append((counted[k], constant(element, len(program.plan.open))))
        for k, shape in zip(self.output_pointers, program.plan.shapes, strict=False):
            self._count(shape, counted.get(k))
        self.user_data = [(self.inputs[k][0], self.inputs[k][1].dtype, self.inputs[k][1].shape) for k in rest]
        if rest and self.data is None:
            self._misfit(
                f"has no place for {', '.join(self.inputs[k][0] for k in rest)}, and no void * to read it from"
            )
        for k in rest:  # of what is read from there nothing says how large it is
            for size in self._variables(self.inputs[k][2]):
                self.known.pop(size, None)

    def _results(self):
        return ", ".join(str(tuple(f.text(self.program.names) for f in s)) for s in self.program.plan.shapes)

    def _misfit(self, why):
        shown = f"{self.returned} ({', '.join(map(str, self.parameters))})"
        takes = ", ".join(f"{name}: {value.dtype}{list(value.shape) or ''}" for name, value, _ in self.inputs)
        raise ArgumentError(
            f"cfunc: the signature {shown!r} {why}; the function takes ({takes}); give another signature, or none for "
            "the program's own"
        )

    @staticmethod
    def _variables(shape):
        return {k for f in shape for powers, _ in f.terms for k, p in enumerate(powers) if p}

    def _take(self, at, k, element, parameter):
        name, value, _ = self.inputs[at]
        if str(value.dtype) != _DTYPES[parameter.kind] or (not parameter.pointer and value.ndim):
            self._misfit(f"hands {parameter} to {name}, which is {value.dtype}{list(value.shape) or ''}")
        self.sources[at] = k, element

    def _count(self, shape, count):
        """What a count says: the one size that it is, or else what it must be."""
        if count is None:
            return
        open_ = self._variables(shape)
        if len(shape) == 1 and len(open_) == 1 and shape[0].text(self.program.names) in self.program.names:
            k = open_.pop()
            if k not in self.known:
                self.known[k] = count
                return
        if len(shape) == 1:
            self.checks.append((count, shape[0]))
        elif not open_:
            none = (0,) * len(self.program.plan.open)
            total = math.prod(f.at(none) for f in shape)
            self.checks.append((count, constant(total, len(none))))

    def text(self, symbol):
        """The module, the program in it."""
        import llvmlite.binding as llvm

        program, module = self.program, ir.Module(symbol)
        returned = {"double": ir.DoubleType(), "float": ir.FloatType(), "int": ir.IntType(32), "void": ir.VoidType()}
        kind = ir.FunctionType(returned[self.returned], [p.llvm() for p in self.parameters])
        function = ir.Function(module, kind, symbol)
        b = ir.IRBuilder(function.append_basic_block("entry"))
        wide = lambda k: b.sext(function.args[k], _WORD) if self.parameters[k].llvm() != _WORD else function.args[k]  # noqa: E731
        sizes = [wide(self.known[k]) for k in range(len(program.plan.open))]
        for count, expected in self.checks:
            with b.if_then(b.icmp_signed("!=", wide(count), emitted(b, expected, sizes)), likely=False):
                self._fail(b)
        operands, at = [], 0
        for k, (_, value, _) in enumerate(self.inputs):
            if self.sources[k] is None:  # sizes of what is read from there are those of the example
                operands.append(b.gep(function.args[self.data], [ir.Constant(_WORD, at)]))
                at += _padded(value.nbytes)
                continue
            source, element = self.sources[k]
            if not self.parameters[source].pointer:
                slot = b.alloca(self.parameters[source].llvm())
                b.store(function.args[source], slot)
                operands.append(b.bitcast(slot, _ADDRESS))
            else:
                offset = ir.Constant(_WORD, (element or 0) * value.dtype.itemsize)
                operands.append(b.gep(function.args[source], [offset]))
        result = None
        if self.returned in ("double", "float"):
            result = b.alloca(returned[self.returned])
            operands.append(b.bitcast(result, _ADDRESS))
        operands += [function.args[k] for k in self.output_pointers]
        inner = ir.FunctionType(ir.IntType(32), [_ADDRESS] * len(operands) + [_WORD] * len(sizes) + [_ADDRESS])
        code = ir.Function(module, inner, f"{symbol}_program")
        status = b.call(code, [*operands, *sizes, ir.Constant(_ADDRESS, None)])
        with b.if_then(b.icmp_signed("!=", status, ir.Constant(ir.IntType(32), 0)), likely=False):
            self._fail(b)
        if result is not None:
            b.ret(b.load(result))
        elif self.returned == "int":
            b.ret(ir.Constant(ir.IntType(32), 1))
        else:
            b.ret_void()
        whole = llvm.parse_assembly(program.text(code.name))
        whole.link_in(llvm.parse_assembly(str(module)))
        whole.get_function(code.name).linkage = "internal"
        return str(whole)

    def _fail(self, b):
        """What is returned where nothing was computed: nan, or SciPy's 0 for an error."""
        if self.returned in ("double", "float"):
            kind = ir.DoubleType() if self.returned == "double" else ir.FloatType()
            b.ret(ir.Constant(kind, float("nan")))
        elif self.returned == "int":
            b.ret(ir.Constant(ir.IntType(32), 0))
        else:
            b.ret_void()
