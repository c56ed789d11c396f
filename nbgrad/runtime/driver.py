"""The compiled loop over launches, callable from Python as a built-in function.

A Program at run time is a few tables of 64-bit words.  The driver checks the arrays it is handed against
what the tables expect, writes their addresses where kernels look for them, and runs the launches with the
GIL released.  It is compiled as kernels are, cached as object code, and wrapped as a METH_FASTCALL
function, so that a call costs little more than a Python function call.

Tables (index: meaning)

plan     0 busy, 1 arrays, 2 -> arrays table, 3 launches, 4 -> launches table, 5 patches, 6 -> patches table,
         7 release the GIL, 8 workers that are wanted, 9 -> mailbox,
         10 first array that is nobody's to write once the plan is done, 11 -> count of launches,
         12 turns for which workers then wait awake
mailbox  0 in use, 1 -> plan, 2 open: the plan may be entered, 3 workers inside, 4-7 a semaphore,
         8 turns for which workers wait awake
array    0 dtype object, 1 rank, 2 -> extents, 3 unused
launch   0 code, 1 -> words, 2 extent, 3 grain, 4 chunks taken, 5 chunks done, 6 chunks,
         7 split over threads, 8 chunks taken by workers
patch    0 array, 1 -> word, 2 byte offset
"""

import ctypes
import functools

import numpy

from nbgrad.runtime.intrinsics import (
    acquire_gil,
    integer,
    pause,
    post,
    read,
    read32,
    read_shared,
    release_gil,
    run_kernel,
    sleep,
    swap,
    take_ticket,
    try_wait,
    wait,
    write,
    write_shared,
    yield_core,
)

#: Turns (of some 20 to 50 ns) for which a worker waits awake for the next plan: to be woken takes as long.
SPINS = 3000
PLAN_WORDS, LAUNCH_WORDS, PATCH_WORDS, MAILBOX_WORDS = 13, 9, 3, 12


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
                write_shared(launch + 40, chunks)
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


def fits(plan, values, first, stop, ndarray):
    """Whether arrays number `first` up to `stop` are what a plan expects; `values` are the addresses of all."""
    table = read(plan + 16)
    for k in range(first, stop):  # noqa: SIM110 - this text is compiled
        if not matches(read(values + 8 * k), table + 32 * k, ndarray):
            return False
    return True


def execute(plan, values):
    """Do a plan that nobody is busy with, on arrays that fit."""
    write(read(plan + 88), read(read(plan + 88)) + read(plan + 24))
    patches = read(plan + 48)
    for k in range(read(plan + 40)):
        patch = patches + 24 * k
        data = read(read(values + 8 * read(patch)) + 16)
        write(read(patch + 8), data + read(patch + 16))
    for k in range(read(plan + 80), read(plan + 8)):  # the flag WRITEABLE, 0x400
        array = read(values + 8 * k)
        write(array + 64, read(array + 64) & -1025)
    if read(plan + 56) == 0:
        run_alone(plan)
        return 0
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
        write(mailbox + 64, read(plan + 96))
        write_shared(mailbox + 16, 1)
        for _ in range(wanted):
            post(mailbox + 32)
        work(plan, True)
        write_shared(mailbox + 16, 0)
        while read_shared(mailbox + 24) != 0:
            yield_core()
        write_shared(mailbox, 0)
    acquire_gil(state)
    write(plan, 0)
    return 0


def drive(context, argv, count):
    """``drive(plan, *arrays)``: None when done, False when an array does not fit, True when the plan is busy.

    `context` is an ndarray object with the words None, True, False, numpy.ndarray.
    """
    words = read(context + 16)
    plan = integer(read(argv))
    if read(plan) != 0:
        return new_reference(read(words + 8))
    if count - 1 != read(plan + 8) or not fits(plan, argv + 8, 0, count - 1, read(words + 24)):
        return new_reference(read(words + 16))
    execute(plan, argv + 8)
    return new_reference(read(words))


def serve(context, argv, count):
    """``serve(mailbox)``: take part in every plan that is put into the mailbox; never returns."""
    mailbox = integer(read(argv))
    state = release_gil()
    while read_shared(mailbox) >= 0:
        turns = 0
        while turns < read_shared(mailbox + 64) and try_wait(mailbox + 32) & 0xFFFFFFFF != 0:
            pause()
            turns += 1
        if turns >= read_shared(mailbox + 64) and wait(mailbox + 32) == 1:
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


#: Addresses of objects that live as long as the process.
SINGLETONS = id(None), id(True), id(False), id(numpy.ndarray)

_methods = {}
_functions = {}


@functools.cache
def prepare():
    """Have LLVM loaded and `drive` compiled beside what the caller does next."""
    from nbgrad.compile import background, native

    background.submit(lambda: native.function(drive, 3))


def builtin(function):
    """A text of this module as a Python built-in: `drive` or `serve`."""
    found = _functions.get(function)
    if found is None:
        found = _functions[function] = method(function, numpy.array(SINGLETONS, numpy.int64))
    return found


def method(text, words, keep=()):
    """A compiled text of (context, argv, count) as a built-in method of words, which keeps them and `keep` alive."""
    definition = _methods.get(text)
    if definition is None:
        from nbgrad.compile.native import function

        address = function(text, 3).address
        # setdefault: methods point to the definition, so of two that are made at one time the first must stay
        definition = _methods.setdefault(text, _MethodDef(text.__name__.encode(), address, _METH_FASTCALL, None))
    context = words.view(_Words)
    context.keep = words, keep
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(ctypes.addressof(definition), context, None)


class _Words(numpy.ndarray):
    """Words that keep alive what they point to."""
