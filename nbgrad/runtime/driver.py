"""The compiled loop over launches, callable from Python as a built-in function.

A Program at run time is a few tables of 64-bit words.  The driver checks the arrays it is handed against
what the tables expect, writes their addresses where kernels look for them, and runs the launches with the
GIL released.  It is compiled as kernels are, cached as object code, and wrapped as a METH_FASTCALL
function, so that a call costs little more than a Python function call.

Tables (index: meaning)

plan     0 busy, 1 arrays, 2 -> arrays table, 3 launches, 4 -> launches table, 5 patches, 6 -> patches table,
         7 release the GIL, 8 workers that are wanted, 9 -> mailbox,
         10 first array that is nobody's to write once the plan is done
mailbox  0 in use, 1 -> plan, 2 open: the plan may be entered, 3 workers inside, 4 a semaphore
array    0 dtype object, 1 rank, 2 -> extents, 3 unused
launch   0 code, 1 -> words, 2 extent, 3 grain, 4 chunks taken, 5 chunks done, 6 chunks,
         7 split over threads, 8 chunks taken by workers
patch    0 array, 1 -> word, 2 byte offset
"""

import ctypes

import numpy

from nbgrad.kernels._intrinsics import Emission, Intrinsic

PLAN_WORDS, LAUNCH_WORDS, PATCH_WORDS, MAILBOX_WORDS = 11, 9, 3, 12


# ---------------------------------------------------------------- memory and C calls, as words


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
def read_shared():
    """The word at an address that other threads write."""

    def emit(builder, context, types, a):
        return builder.load_atomic(_pointer(builder, a), "seq_cst", 8)

    return Emission("read_shared", _word, emit, 1)


@Intrinsic
def write():
    """Write a word that other threads may read."""

    def emit(builder, context, types, a, value):
        builder.store_atomic(value, _pointer(builder, a), "seq_cst", 8)

    return Emission("write", _nothing, emit, 2)


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
def sleep():
    """Sleep for some microseconds or a little longer."""
    import sys

    return _c_function("SwitchToThread" if sys.platform == "win32" else "usleep", 1, True)


# ---------------------------------------------------------------- the texts that are compiled


def new_reference(address):
    """One more owner of a Python object; immortal ones (3.12+) have a negative 32-bit count and are left alone."""
    if read32(address) >= 0:
        write(address, read(address) + 1)
    return address


def work(plan, is_main):
    """Do the launches of a plan, alone or beside other threads that do the same.

    The caller takes chunks from the front and workers take them from the back, so that each finds in its own
    cache what it wrote in the launch before.
    """
    count, table = read(plan + 24), read(plan + 32)
    for k in range(count):
        launch = table + 72 * k
        code, words, total, grain = read(launch), read(launch + 8), read(launch + 16), read(launch + 24)
        chunks, front = read(launch + 48), 0
        if read(launch + 56) == 0:
            if is_main:
                for c in range(chunks):
                    run_kernel(code, words, c * grain, min(c * grain + grain, total))
                write(launch + 40, chunks)
        else:
            while take_ticket(launch + 32, 1) < chunks:
                c = front
                if is_main:
                    front += 1
                else:
                    c = chunks - 1 - take_ticket(launch + 64, 1)
                run_kernel(code, words, c * grain, min(c * grain + grain, total))
                take_ticket(launch + 40, 1)
        turns = 0
        while read_shared(launch + 40) < chunks:
            turns += 1
            if turns > 100:
                yield_core()


def run_alone(plan):
    """Do the launches of a plan on this thread; chunks are the same as with many."""
    count, table = read(plan + 24), read(plan + 32)
    for k in range(count):
        launch = table + 72 * k
        code, words, total, grain = read(launch), read(launch + 8), read(launch + 16), read(launch + 24)
        start = 0
        while start < total:
            run_kernel(code, words, start, min(start + grain, total))
            start += grain


def matches(array, expected, ndarray):
    """Whether a Python object is a contiguous ndarray of the dtype and shape that a plan expects.

    Offsets are those of PyArrayObject: type 8, data 16, rank 24, extents 32, dtype 56, flags 64.
    """
    if read(array + 8) != ndarray or read(array + 56) != read(expected):
        return False
    if read32(array + 64) & 0x101 != 0x101 or read32(array + 24) != read(expected + 8):
        return False
    extents, wanted = read(array + 32), read(expected + 16)
    for k in range(read(expected + 8)):  # noqa: SIM110 - this text is compiled
        if read(extents + 8 * k) != read(wanted + 8 * k):
            return False
    return True


def drive(context, argv, count):
    """``drive(plan, *arrays)``: None when done, False when an array does not fit, True when the plan is busy.

    `context` is an ndarray object with the words None, True, False, numpy.ndarray.
    """
    words = read(context + 16)
    plan = integer(read(argv))
    if read(plan) != 0:
        return new_reference(read(words + 8))
    arrays, table = read(plan + 8), read(plan + 16)
    if count - 1 != arrays:
        return new_reference(read(words + 16))
    ndarray = read(words + 24)
    for k in range(arrays):
        if not matches(read(argv + 8 + 8 * k), table + 32 * k, ndarray):
            return new_reference(read(words + 16))
    patches = read(plan + 48)
    for k in range(read(plan + 40)):
        patch = patches + 24 * k
        data = read(read(argv + 8 + 8 * read(patch)) + 16)
        write(read(patch + 8), data + read(patch + 16))
    for k in range(read(plan + 80), arrays):  # the flag WRITEABLE, 0x400
        array = read(argv + 8 + 8 * k)
        write(array + 64, read(array + 64) & -1025)
    if read(plan + 56) == 0:
        run_alone(plan)
        return new_reference(read(words))
    write(plan, 1)
    wanted, mailbox = read(plan + 64), read(plan + 72)
    state = release_gil()
    if wanted == 0 or swap(mailbox, 1) != 0:
        run_alone(plan)
    else:
        launches = read(plan + 32)
        for k in range(read(plan + 24)):  # hand out all chunks again
            write(launches + 72 * k + 32, 0)
            write(launches + 72 * k + 40, 0)
            write(launches + 72 * k + 64, 0)
        write(mailbox + 8, plan)
        write(mailbox + 16, 1)
        for _ in range(wanted):
            post(mailbox + 32)
        work(plan, True)
        write(mailbox + 16, 0)
        while read_shared(mailbox + 24) != 0:
            yield_core()
        write(mailbox, 0)
    acquire_gil(state)
    write(plan, 0)
    return new_reference(read(words))


def serve(context, argv, count):
    """``serve(mailbox)``: take part in every plan that is put into the mailbox; never returns."""
    mailbox = integer(read(argv))
    state = release_gil()
    while read_shared(mailbox) >= 0:
        if wait(mailbox + 32) == 1:
            sleep(50)
        take_ticket(mailbox + 24, 1)
        if read_shared(mailbox + 16) != 0:
            work(read(mailbox + 8), False)
        take_ticket(mailbox + 24, -1)
    acquire_gil(state)
    return new_reference(read(read(context + 16)))


# ---------------------------------------------------------------- as built-in functions


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("method", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    )  # fmt: skip


_METH_FASTCALL = 0x80
_alive = []


def _singletons():
    """The words None, True, False, ndarray: objects that live as long as the process."""
    words = numpy.array([id(None), id(True), id(False), id(numpy.ndarray)], numpy.int64)
    _alive.append(words)
    return words


_functions = {}


def builtin(function):
    """A text of this module as a Python built-in: `drive` or `serve`."""
    found = _functions.get(function)
    if found is None:
        from nbgrad.compile.native import function_address

        found = _functions[function] = _wrapped(function_address(function, 3), function)
    return found


def _wrapped(address, function):
    """`address` as a method of the array of singletons, which it gets as its first argument."""
    definition = _MethodDef(function.__name__.encode(), address, _METH_FASTCALL, None)
    _alive.append(definition)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(ctypes.addressof(definition), _singletons(), None)
