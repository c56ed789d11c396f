"""LLVM: from a module to object code for this CPU, and from object code to addresses."""

import ctypes
import functools

from nbgrad.compile import loader

_engine = None


@functools.cache
def _initialised():
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Strides are words of a table.  By default a loop over unknown strides is vectorised for stride 1 only.
    llvm.set_option("nbgrad", "-enable-mem-access-versioning=false")
    return llvm


def target_machine(level=2):
    """Code generation for the CPU this runs on; of its own for each thread that uses it at one time."""
    llvm = _initialised()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=f"{llvm.get_host_cpu_features().flatten()},-prefer-256-bit",  # kernels compute more than they move
        opt=level,
        # data beside the code is an operand of its instructions, where a far address takes a register first
        codemodel="small" if loader.APPLIES else "jitdefault",
        reloc="pic" if loader.APPLIES else "default",
        jit=True,
    )


def has_scaling():
    """Whether vectors of floats can be multiplied by powers of two in one instruction (AVX-512's scalef)."""
    return bool(_initialised().get_host_cpu_features().get("avx512f", False))


#: How hard code generation tries on what only decides and calls.
DRIVER_LEVEL = 1
#: Lines of a module up to which loops are interleaved: long ones gain nothing but the time to compile them.
SHORT = 400


class Compilation:
    """A module of LLVM (llvmlite.ir) on its way to object code: optimised, then code generated.

    `run` is the long part and may be called from any thread, once; the rest belongs to the one that plans.
    Each has a context and a target machine of its own, and what it calls is called without llvmlite's lock.
    Without `loops` the module is the text of a driver, which decides and calls but computes nothing: a few passes
    take a tenth of the time, and it runs as fast.
    """

    def __init__(self, module, loops=True):
        llvm = _initialised()
        self._machine, text = target_machine(2 if loops else DRIVER_LEVEL), str(module)
        self._parsed = llvm.parse_assembly(text, llvm.create_context())
        self._parsed.triple, self._parsed.data_layout = self._machine.triple, str(self._machine.target_data)
        self._builder = llvm.create_pass_builder(self._machine, _tuning(text.count("\n") <= SHORT))
        self._passes = self._builder.getModulePassManager() if loops else _plain_passes()
        self._buffer = None

    def run(self):
        """Compile."""
        from llvmlite.binding import ffi

        _unlocked(ffi.lib.LLVMPY_RunNewModulePassManager)(self._passes, self._parsed, self._builder)
        with ffi.OutputString() as error:
            self._buffer = _unlocked(ffi.lib.LLVMPY_TargetMachineEmitToMemory)(self._machine, self._parsed, 1, error)
            if not self._buffer:
                raise RuntimeError(str(error))
        return self

    def object_code(self):
        """The bytes of the object file, after `run`."""
        from llvmlite.binding import ffi

        try:
            size = ffi.lib.LLVMPY_GetBufferSize(self._buffer)
            return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(self._buffer), size)
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(self._buffer)


def _plain_passes():
    import llvmlite.binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes


def _unlocked(function):
    return getattr(function, "_cfn", function)


def _tuning(interleaved):
    """LLVM's standard pipeline with the loop vectoriser; see docs/performance.md for what is left out."""
    import llvmlite.binding as llvm

    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization, options.loop_interleaving = True, interleaved
    options.slp_vectorization = options.loop_unrolling = False
    return options


def linked(code, symbol):
    """Address of `symbol` in an object file."""
    global _engine
    llvm = _initialised()
    if _engine is None:
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    _engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    _engine.finalize_object()
    address = _engine.get_function_address(symbol)
    if not address:
        raise LookupError(symbol)
    return address
