"""Numba as the compiler of texts that use more of Python than `translate` knows.

What is kept is an object file that needs nothing of Numba to run.
"""

import functools

from nbgrad.compile import abi
from nbgrad.compile.arrays import ARRAYS
from nbgrad.compile.specialise import specialise, typed_function


def kernel(source, functions, symbol):
    """Object code of an emitted kernel."""
    namespace = dict(abi.NAMES)
    for name, (text, dtype) in functions.items():
        namespace[name] = abi.of_arrays(text) if dtype == ARRAYS else specialise(text, dtype)
    for word in set(source.replace("(", " ").split()):
        if word.startswith(("input_", "output_")):
            namespace[word] = abi.array_of(word)
        if word.startswith("pointer_"):
            namespace[word] = abi.pointer_of(word[8:])
        elif word.startswith("number_"):
            namespace[word] = abi.number_of(word[7:])
    namespace.update(_casts())
    exec(compile(source, f"<{symbol}>", "exec"), namespace)
    fails = any(dtype == ARRAYS for _, dtype in functions.values())
    return _object_code(namespace["kernel"], abi.SIGNATURE.args, abi.SIGNATURE.return_type, symbol, fails)


def function(text, count, symbol):
    """Object code of a Python function of `count` 64-bit integers that returns one."""
    from numba import types

    return _object_code(typed_function(text, "int64"), (types.int64,) * count, types.int64, symbol)


def provide():
    """Let LLVM know the functions of Numba that objects call: memory, and some mathematics."""
    from numba.core import registry
    from numba.core.runtime import rtsys

    context = registry.cpu_target.target_context
    context.refresh()
    rtsys.initialize(context)


@functools.cache
def _casts():
    from nbgrad.compile.words import KINDS

    return {f"to_{d}": abi.numba_type(d) for d in KINDS if d != "bool"}


def _object_code(function, arguments, returned, symbol, fails=False):
    """The object file of a function, exporting it as the plain C function `symbol` and nothing else.

    Numba's own C wrapper reports exceptions through the interpreter; kernels must link without Numba.  One that
    `fails`, as kernels of arrays may, notes an exception in the first word of its table, and has memory of its own,
    for which it calls Numba.  Two object files with one symbol name and
    different bodies would be linked to each other, so every other name becomes local to its file.
    """
    from llvmlite import ir
    from numba.core import compiler, registry, types
    from numba.core.compiler_lock import global_compiler_lock

    flags = compiler.Flags()
    flags.error_model = "numpy"
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = flags.no_compile = True
    flags.nrt, flags.enable_looplift = fails, False
    target = registry.cpu_target
    with global_compiler_lock:
        result = compiler.compile_extra(
            target.typing_context, target.target_context, function, arguments, returned, flags, {}
        )  # fmt: skip
        library, context = result.library, target.target_context
        wrapper, conv = context.create_module(symbol), context.call_conv
        inner = ir.Function(wrapper, conv.get_function_type(returned, arguments), result.fndesc.llvm_func_name)
        values = [context.get_value_type(t) for t in arguments]
        result_type = ir.VoidType() if returned == types.void else context.get_value_type(returned)
        outer = ir.Function(wrapper, ir.FunctionType(result_type, values), symbol)
        builder = ir.IRBuilder(outer.append_basic_block())
        status, out = conv.call_function(builder, inner, returned, arguments, outer.args)
        if fails:
            with builder.if_then(status.is_error):
                builder.store(ir.Constant(ir.IntType(64), 1), outer.args[0])
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
