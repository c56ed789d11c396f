"""LLVM: from the text of a module to object code for this CPU, and from object code to an address.

This file imports nothing of ours: the process that compiles for others reads it alone.
"""

import ctypes
import functools
import platform
import sys

#: Whether data lies beside the code: then it is an operand of instructions, where a far address takes a register first.
#: LLVM's own linker promises that nowhere, `nbgrad.compile.loader` does where it applies.
BESIDE = sys.platform.startswith("linux") and platform.machine() == "x86_64"
#: How hard code generation tries on kernels, and on what only decides and calls.
KERNELS, DRIVERS = 2, 1
#: Lines of a module up to which loops are interleaved: long ones gain nothing but the time to compile them.
SHORT = 400

_engine = None


@functools.cache
def _initialised():
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Strides are words of a table.  By default a loop over unknown strides is vectorised for stride 1 only.
    llvm.set_option("nbgrad", "-enable-mem-access-versioning=false")
    return llvm


def target_machine(level=KERNELS, cpu=None):
    """Code generation for a CPU, by default this one; of its own for each thread that uses it at one time."""
    llvm = _initialised()
    known = llvm.get_host_cpu_features().flatten() + "," if cpu is None else ""
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name() if cpu is None else cpu,
        features=f"{known}-prefer-256-bit" if BESIDE else known,  # kernels compute more than they move
        opt=level,
        codemodel="small" if BESIDE else "jitdefault",
        reloc="pic" if BESIDE else "default",
        jit=True,
    )


def object_code(text, level=KERNELS, cpu=None):
    """The bytes of the object file of a module, optimised.

    May be called from any thread: each call has a context and a target machine of its own, and the long ones of
    the functions it calls are called without llvmlite's lock.

    Parameters
    ----------
    text : str
        LLVM IR.
    level : {KERNELS, DRIVERS}
        For the text of a driver, which decides and calls but computes nothing, a few passes take a tenth of the
        time, and it runs as fast.
    cpu : str, optional
        As LLVM calls it, such as ``x86-64-v3``; the CPU this runs on unless given.
    """
    from llvmlite.binding import ffi

    llvm = _initialised()
    machine = target_machine(level, cpu)
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    builder = llvm.create_pass_builder(machine, _tuning(text.count("\n") <= SHORT))
    passes = builder.getModulePassManager() if level == KERNELS else _plain_passes()
    _unlocked(ffi.lib.LLVMPY_RunNewModulePassManager)(passes, module, builder)
    with ffi.OutputString() as error:
        buffer = _unlocked(ffi.lib.LLVMPY_TargetMachineEmitToMemory)(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _plain_passes():
    passes = _initialised().create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes


def _unlocked(function):
    return getattr(function, "_cfn", function)


def _tuning(interleaved):
    """LLVM's standard pipeline with the loop vectoriser; see docs/performance.md for what is left out."""
    options = _initialised().create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization, options.loop_interleaving = True, interleaved
    options.slp_vectorization = options.loop_unrolling = False
    return options


def linked(code, symbol, provided):
    """Address of `symbol` in an object file, which may call functions at provided addresses by their names."""
    global _engine
    llvm = _initialised()
    for name, address in provided.items():
        llvm.add_symbol(name, address)
    if _engine is None:
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    _engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    _engine.finalize_object()
    address = _engine.get_function_address(symbol)
    if not address:
        raise LookupError(symbol)
    return address
