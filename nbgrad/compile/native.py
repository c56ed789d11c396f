"""From emitted source to the address of machine code.

Numba types and lowers the source; what is kept is the object file, which needs nothing of Numba to run.
A kernel found in the disk cache is linked by llvmlite alone, so a warm process never imports Numba.
"""

import functools
import hashlib
import threading
import types as python_types

from nbgrad.compile import cache
from nbgrad.errors import KernelError
from nbgrad.primitive import Primitive
from nbgrad.statistics import COUNTERS

_addresses = {}
_lock = threading.RLock()


def address_of(source, names, primitives=(), helpers=()):
    """Address of the C function ``void(int64* args, int64 start, int64 stop)`` that `source` defines.

    Parameters
    ----------
    source : str
        Defines one function, called ``kernel``.
    names : dict
        What the source reads besides the words of `abi`: name -> (primitive, dtype name).
    """
    key = source, tuple(sorted((n, p.name, d) for n, (p, d) in names.items())), tuple(h.__name__ for h in helpers)
    found = _addresses.get(key)
    if found is None:
        with _lock:
            found = _addresses.get(key)
            if found is None:
                found = _addresses[key] = _built(source, names, helpers)
    return found


def _built(source, names, helpers):
    digest = hashlib.sha256(_foundation().encode())
    digest.update(source.encode())
    for name, (primitive, dtype) in sorted(names.items()):
        digest.update(f"{name}={primitive.name}:{dtype}:{fingerprint(primitive.text(dtype))}".encode())
    for helper in helpers:
        digest.update(fingerprint(helper).encode())
    return _cached(digest.hexdigest(), lambda symbol: _compiled(source, names, symbol, helpers))


def _cached(key, build):
    """Address of the code under `key`, from disk or from ``build(symbol)``."""
    symbol = f"nbgrad_{key[:32]}"
    code = cache.read(key)
    if code is not None:
        try:
            address = _linked(code, symbol)
            COUNTERS["kernels_loaded"] += 1
            return address
        except (RuntimeError, LookupError):
            pass  # an entry that does not link is rebuilt
    code = build(symbol)
    COUNTERS["kernels_compiled"] += 1
    cache.write(key, code)
    return _linked(code, symbol)


@functools.cache
def _foundation():
    import os

    here = os.path.dirname(__file__)
    parts = [cache.environment()]
    for name in ("abi.py", "native.py", "specialise.py"):
        with open(os.path.join(here, name), "rb") as file:
            parts.append(hashlib.sha256(file.read()).hexdigest())
    return "\n".join(parts)


def function_address(function, signature):
    """Address of `function` compiled as a C function of a Numba signature given as text: ``"int64(int64)"``."""
    key = hashlib.sha256(f"{_foundation()}{signature}{fingerprint(function)}".encode()).hexdigest()

    def build(symbol):
        from numba import types

        from nbgrad.compile.specialise import typed_function

        returned, arguments = signature.rstrip(")").split("(")
        arguments = tuple(getattr(types, a.strip()) for a in arguments.split(","))
        return _object_code(typed_function(function, "int64"), arguments, getattr(types, returned), symbol)

    with _lock:
        if key not in _addresses:
            _addresses[key] = _cached(key, build)
        return _addresses[key]


_fingerprints = {}


def fingerprint(function):
    """A digest of a kernel text and of everything of ours that it calls."""
    found = _fingerprints.get(function)
    if found is None:
        digest, seen, pending = hashlib.sha256(), set(), [function]
        while pending:
            f = pending.pop()
            if f in seen:
                continue
            seen.add(f)
            names = _digest_code(digest, f.__code__)
            for name in sorted(names):
                value = f.__globals__.get(name)
                if isinstance(value, Primitive):
                    pending += [t for t in (value.kernel, *value.variants.values()) if t]
                elif isinstance(value, python_types.FunctionType) and value.__module__.startswith(("nbgrad", f.__module__)):
                    pending.append(value)
                elif hasattr(value, "compiled") and hasattr(value, "build"):
                    pending.append(value.build)
                elif isinstance(value, (int, float, tuple)):
                    digest.update(f"{name}={value!r}".encode())
        found = _fingerprints[function] = digest.hexdigest()
    return found


def _digest_code(digest, code):
    names = set(code.co_names)
    digest.update(code.co_code)
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            names |= _digest_code(digest, constant)
        else:
            digest.update(repr(constant).encode())
    digest.update(repr((code.co_names, code.co_varnames)).encode())
    return names


# ---------------------------------------------------------------- Numba


def _compiled(source, names, symbol, helpers):
    """Object code that exports `symbol`."""
    from nbgrad.compile import abi
    from nbgrad.compile.specialise import specialise

    namespace = dict(abi.NAMES)
    for name, (primitive, dtype) in names.items():
        namespace[name] = specialise(primitive.text(dtype), dtype)
    for helper in helpers:
        namespace[helper.__name__] = helper
    for word in set(source.replace("(", " ").split()):
        if word.startswith("pointer_"):
            namespace[word] = abi.pointer_of(word[8:])
        elif word.startswith("number_"):
            namespace[word] = abi.number_of(word[7:])
    namespace.update(_casts())
    exec(compile(source, f"<{symbol}>", "exec"), namespace)  # noqa: S102 - emitted by us
    try:
        return _object_code(namespace["kernel"], abi.SIGNATURE.args, abi.SIGNATURE.return_type, symbol)
    except Exception as error:
        listed = ", ".join(sorted({p.name for p, _ in names.values()}))
        raise KernelError(f"Numba could not compile the kernel of {listed}: {error}\nThe emitted source:\n{source}") from error


def _contract():
    from numba.core.cpu_options import FastMathOptions

    return FastMathOptions({"contract"})


@functools.cache
def _casts():
    import numpy
    from numba import types

    from nbgrad.dtypes import SUPPORTED

    return {f"to_{d}": types.boolean if d == numpy.bool_ else getattr(types, str(d)) for d in map(str, SUPPORTED) if d != "bool"}


def _object_code(function, arguments, returned, symbol):
    """The object file of a function, exporting it as the plain C function `symbol` and nothing else.

    Numba's own C wrapper reports exceptions through the interpreter; kernels raise none, and must link
    without Numba.  Two object files with one symbol name and different bodies would be linked to each
    other, so every other name becomes local to its file.
    """
    from llvmlite import ir
    from numba.core import compiler, registry, types
    from numba.core.compiler_lock import global_compiler_lock

    flags = compiler.Flags()
    flags.error_model = "numpy"
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    flags.nrt = flags.enable_looplift = False
    flags.fastmath = _contract()
    target = registry.cpu_target
    with global_compiler_lock:
        result = compiler.compile_extra(
            target.typing_context, target.target_context, function, arguments, returned, flags, {}
        )
        library, context = result.library, target.target_context
        wrapper, conv = context.create_module(symbol), context.call_conv
        inner = ir.Function(wrapper, conv.get_function_type(returned, arguments), result.fndesc.llvm_func_name)
        values = [context.get_value_type(t) for t in arguments]
        result_type = ir.VoidType() if returned == types.void else context.get_value_type(returned)
        outer = ir.Function(wrapper, ir.FunctionType(result_type, values), symbol)
        builder = ir.IRBuilder(outer.append_basic_block())
        _, out = conv.call_function(builder, inner, returned, arguments, outer.args)
        if returned == types.void:
            builder.ret_void()
        else:
            builder.ret(out)
        library.add_ir_module(wrapper)
        library.finalize()
        module = library._final_module
        for value in (*module.functions, *module.global_variables):
            if not value.is_declaration and value.name != symbol:
                value.linkage = "internal"
        return library.codegen._tm.emit_object(module)


# ---------------------------------------------------------------- linking

_engine = None


def _linked(code, symbol):
    import llvmlite.binding as llvm

    engine = _link_engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(symbol)
    if not address:
        raise LookupError(symbol)
    return address


def _link_engine():
    global _engine
    if _engine is None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly("")
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        _engine = llvm.create_mcjit_compiler(module, machine)
    return _engine
