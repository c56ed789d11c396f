"""Alone: the words of texts for a block of threads, where the block is one thread.

So what is written for CUDA serves programs that can call no library: factorisations, equations, sorting.
"""

from llvmlite import ir

from nbgrad.compile import words
from nbgrad.compile.words import INT64, POINTERS, VOID


def lane(builder, kinds):
    """``lane()``: the number of the thread."""
    return INT64, ir.Constant(INT64.ir, 0)


def lanes(builder, kinds):
    """``lanes()``: how many threads there are."""
    return INT64, ir.Constant(INT64.ir, 1)


def barrier(builder, kinds):
    """``barrier()``: nobody is waited for."""
    return VOID, None


def element(builder, kinds, pointer, number):
    """``element(p, x)``: a number as an element of what p points to."""
    return kinds[0].element, number


def shared_as(builder, kinds, pointer, count, number):
    """``shared_as(p, n, k)``: memory number k, n elements of what p points to."""
    return _shared(builder, kinds[0], count, number)


def shared_int64(builder, kinds, count, number):
    """``shared_int64(n, k)``: the same of integers."""
    return _shared(builder, POINTERS["int64"], count, number)


def _shared(builder, pointer, count, number):
    """Memory on the stack, the same at each place of a function that asks for it by a number."""
    known = builder.function.__dict__.setdefault("nbgrad_shared", {})
    if number.constant not in known:
        with builder.goto_entry_block():
            known[number.constant] = builder.alloca(pointer.ir.pointee, count.constant)
    return pointer, known[number.constant]


def read(builder, kinds, pointer, index):
    """``read(p, i)``: an element of shared memory."""
    return kinds[0].element, words.plain_read(builder, kinds[0], builder.gep(pointer, [index]))


def write(builder, kinds, pointer, index, value):
    """``write(p, i, x)``: write one."""
    words.plain_write(builder, kinds[0], builder.gep(pointer, [index]), value)
    return VOID, None


WORDS = {f.__name__: f for f in (lane, lanes, barrier, element, shared_as, shared_int64, read, write)}
words.LITERALS.update(shared_as=(1, 2), shared_int64=(0, 1))
words.ELEMENT.update(write=2, element=1)
