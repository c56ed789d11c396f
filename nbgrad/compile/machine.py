"""LLVM: from a module to object code for this CPU, and from object code to addresses."""

import functools

_engine = _machine = None


@functools.cache
def _initialised():
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # Strides are words of a table.  By default a loop over unknown strides is vectorised for stride 1 only.
    llvm.set_option("nbgrad", "-enable-mem-access-versioning=false")
    return llvm


def target_machine():
    """Code generation for the CPU this runs on."""
    global _machine
    if _machine is None:
        llvm = _initialised()
        _machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=f"{llvm.get_host_cpu_features().flatten()},-prefer-256-bit",  # kernels compute more than they move
            opt=2,
            codemodel="jitdefault",
            jit=True,
        )
    return _machine


def has_scaling():
    """Whether vectors of floats can be multiplied by powers of two in one instruction (AVX-512's scalef)."""
    return bool(_initialised().get_host_cpu_features().get("avx512f", False))


def object_code(module):
    """The object file of an LLVM module (llvmlite.ir), optimised."""
    machine = target_machine()
    import llvmlite.binding as llvm

    text = str(module)
    parsed = llvm.parse_assembly(text)
    parsed.triple, parsed.data_layout = machine.triple, str(machine.target_data)
    optimise(parsed, text.count("\n") <= SHORT)
    return machine.emit_object(parsed)


#: Lines of a module up to which loops are interleaved: long ones gain nothing but the time to compile them.
SHORT = 400


def optimise(parsed, interleaved=False):
    """Run LLVM's standard pipeline with the loop vectoriser; see docs/performance.md for what is left out."""
    import llvmlite.binding as llvm

    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization, options.loop_interleaving = True, interleaved
    options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(target_machine(), options)
    builder.getModulePassManager().run(parsed, builder)


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
