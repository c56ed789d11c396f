"""What the driver's texts need beyond kernels: words of memory, atomics, calls of C functions and of kernels."""

from nbgrad.kernels._intrinsics import Emission, Intrinsic


def _word(*_):
    return "int64"


def _nothing(*_):
    return None


def _pointer(builder, address, width=64):
    from llvmlite import ir

    return builder.inttoptr(address, ir.IntType(width).as_pointer())


@Intrinsic
def read():
    """The 64-bit word at an address."""
    return Emission("read", _word, lambda builder, context, types, a: builder.load(_pointer(builder, a)), 1)


@Intrinsic
def read32():
    """The 32-bit word at an address."""

    def emit(builder, context, types, a):
        from llvmlite import ir

        return builder.sext(builder.load(_pointer(builder, a, 32)), ir.IntType(64))

    return Emission("read32", _word, emit, 1)


@Intrinsic
def read8():
    """The byte at an address."""

    def emit(builder, context, types, a):
        from llvmlite import ir

        return builder.zext(builder.load(_pointer(builder, a, 8)), ir.IntType(64))

    return Emission("read8", _word, emit, 1)


@Intrinsic
def reallocate():
    """realloc."""
    return _c_function("realloc", 2, True)


@Intrinsic
def allocate():
    """malloc."""
    return _c_function("malloc", 1, True)


@Intrinsic
def free():
    """free."""
    return _c_function("free", 1, False)


@Intrinsic
def get_of_thread():
    """pthread_getspecific."""
    return _c_function("pthread_getspecific", 1, True)


@Intrinsic
def set_of_thread():
    """pthread_setspecific."""
    return _c_function("pthread_setspecific", 2, False)


@Intrinsic
def read_shared():
    """The word at an address that other threads write."""

    def emit(builder, context, types, a):
        return builder.load_atomic(_pointer(builder, a), "seq_cst", 8)

    return Emission("read_shared", _word, emit, 1)


@Intrinsic
def write():
    """Write a word at an address."""

    def emit(builder, context, types, a, value):
        builder.store(value, _pointer(builder, a))

    return Emission("write", _nothing, emit, 2)


@Intrinsic
def write_shared():
    """Write a word that other threads wait for: they see what was written before it, too."""

    def emit(builder, context, types, a, value):
        builder.store_atomic(value, _pointer(builder, a), "seq_cst", 8)

    return Emission("write_shared", _nothing, emit, 2)


@Intrinsic
def take_ticket():
    """Add to a shared word; returns what it was."""

    def emit(builder, context, types, a, value):
        return builder.atomic_rmw("add", _pointer(builder, a), value, "seq_cst")

    return Emission("take_ticket", _word, emit, 2)


@Intrinsic
def swap():
    """Write a shared word; returns what it was."""

    def emit(builder, context, types, a, value):
        return builder.atomic_rmw("xchg", _pointer(builder, a), value, "seq_cst")

    return Emission("swap", _word, emit, 2)


@Intrinsic
def run_kernel():
    """Call a kernel by its address: code, words, start, stop."""

    def emit(builder, context, types, code, words, start, stop):
        from llvmlite import ir

        word = ir.IntType(64)
        kernel = ir.FunctionType(ir.VoidType(), [word.as_pointer(), word, word]).as_pointer()
        builder.call(builder.inttoptr(code, kernel), [_pointer(builder, words), start, stop])

    return Emission("run_kernel", _nothing, emit, 4)


def _c_function(name, arguments, returns):
    """A C function of 64-bit words."""

    def emit(builder, context, types, *args):
        from llvmlite import ir

        word = ir.IntType(64)
        found = builder.module.globals.get(name)
        if found is None:
            ty = ir.FunctionType(word if returns else ir.VoidType(), [word] * arguments)
            found = ir.Function(builder.module, ty, name)
        out = builder.call(found, args)
        return out if returns else None

    return Emission(name, _word if returns else _nothing, emit, arguments)


@Intrinsic
def integer():
    """The C integer in a Python int."""
    return _c_function("PyLong_AsLongLong", 1, True)


@Intrinsic
def release_gil():
    """PyEval_SaveThread."""
    return _c_function("PyEval_SaveThread", 0, True)


@Intrinsic
def acquire_gil():
    """PyEval_RestoreThread."""
    return _c_function("PyEval_RestoreThread", 1, False)


@Intrinsic
def yield_core():
    """Let another thread have the core."""
    import sys

    return _c_function("SwitchToThread" if sys.platform == "win32" else "sched_yield", 0, True)


def _on_linux(name, otherwise):
    """A function of an unnamed semaphore, which only Linux has."""
    import sys

    if sys.platform.startswith("linux"):
        return _c_function(name, 1, True)
    from llvmlite import ir

    return Emission(name, _word, lambda *_: ir.Constant(ir.IntType(64), otherwise), 1)


@Intrinsic
def post():
    """Wake a worker."""
    return _on_linux("sem_post", 0)


@Intrinsic
def wait():
    """Sleep until there is work; 1 where that cannot be told."""
    return _on_linux("sem_wait", 1)


@Intrinsic
def try_wait():
    """Take a token of the semaphore; 0 if there was one."""
    return _on_linux("sem_trywait", 1)


@Intrinsic
def pause():
    """Tell the core that this is a spinning loop."""

    def emit(builder, context, types):
        import platform

        from llvmlite import ir

        void, kind = ir.VoidType(), platform.machine()
        if kind in ("x86_64", "AMD64"):
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), ir.FunctionType(void, [])), [])
        elif kind in ("aarch64", "arm64"):
            number = ir.IntType(32)
            hint = builder.module.declare_intrinsic("llvm.aarch64.hint", (), ir.FunctionType(void, [number]))
            builder.call(hint, [number(1)])

    return Emission("pause", _nothing, emit, 0)


@Intrinsic
def sleep():
    """Sleep for some microseconds or a little longer."""
    import sys

    return _c_function("SwitchToThread" if sys.platform == "win32" else "usleep", 1, True)


@Intrinsic
def stack():
    """The address of 4,096 words that live until the compiled function returns."""

    def emit(builder, context, types):
        from llvmlite import ir

        with builder.goto_entry_block():
            memory = builder.alloca(ir.IntType(64), 4096)
        return builder.ptrtoint(memory, ir.IntType(64))

    return Emission("stack", _word, emit, 0)


@Intrinsic
def new_from_descr():
    """Call PyArray_NewFromDescr by its address: code, then its eight arguments."""

    def emit(builder, context, types, code, *arguments):
        from llvmlite import ir

        word = ir.IntType(64)
        function = ir.FunctionType(word, [word] * len(arguments)).as_pointer()
        return builder.call(builder.inttoptr(code, function), arguments)

    return Emission("new_from_descr", _word, emit, 9)


@Intrinsic
def new_object():
    """PyType_GenericAlloc: a new object of a class, its slots empty."""
    return _c_function("PyType_GenericAlloc", 2, True)


@Intrinsic
def new_tuple():
    """PyTuple_New."""
    return _c_function("PyTuple_New", 1, True)


@Intrinsic
def put_into_tuple():
    """PyTuple_SetItem: takes over the reference."""
    return _c_function("PyTuple_SetItem", 3, False)


@Intrinsic
def new_list():
    """PyList_New."""
    return _c_function("PyList_New", 1, True)


@Intrinsic
def put_into_list():
    """PyList_SetItem: takes over the reference."""
    return _c_function("PyList_SetItem", 3, False)


@Intrinsic
def new_dict():
    """PyDict_New."""
    return _c_function("PyDict_New", 0, True)


@Intrinsic
def put_into_dict():
    """PyDict_SetItem: takes references of its own."""
    return _c_function("PyDict_SetItem", 3, False)


@Intrinsic
def next_item():
    """PyIter_Next."""
    return _c_function("PyIter_Next", 1, True)


@Intrinsic
def forget():
    """Give up a reference."""
    return _c_function("Py_DecRef", 1, False)
