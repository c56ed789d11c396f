"""Fibres: the threads of a block, each on a stack of its own, which wait for each other.

A thread runs until it waits at a barrier or exchanges a value with others of its warp; then another one runs.  In
which order is for the caller, and a warp goes on until it waits for others.  What a kernel computes must not depend on
it.
"""

import ctypes
import functools
import threading

import numpy

from nbgrad.errors import KernelError
from nbgrad.runtime.intrinsics import read, run_kernel, write

#: What a thread is doing when another one runs.
RUNS, WAITS, EXCHANGES, DONE, VOTES = 0, 1, 2, 3, 4
#: Why a block stopped before its threads were done.
DIVERGENT, PART_OF_A_WARP = 1, 2

STACK = 1 << 16
CONTEXT = 1 << 11  # a ucontext_t, which has 968 bytes
WARP = 32

#: C: what a kernel calls instead of waiting, and where the thread that calls it leaves what it wants.
YIELD = """
@nbgrad_box = global [4 x i64] zeroinitializer
@nbgrad_main = global i64 0
@nbgrad_here = global i64 0
declare i32 @swapcontext(i64, i64)
define i64 @nbgrad_yield(i64 %what, i64 %site, i64 %value, i64 %operand) noinline {
  store i64 %what, ptr @nbgrad_box
  %p1 = getelementptr i64, ptr @nbgrad_box, i64 1
  store i64 %site, ptr %p1
  %p2 = getelementptr i64, ptr @nbgrad_box, i64 2
  store i64 %value, ptr %p2
  %p3 = getelementptr i64, ptr @nbgrad_box, i64 3
  store i64 %operand, ptr %p3
  %here = load i64, ptr @nbgrad_here
  %main = load i64, ptr @nbgrad_main
  %status = call i32 @swapcontext(i64 %here, i64 %main)
  %q2 = getelementptr i64, ptr @nbgrad_box, i64 2
  %result = load i64, ptr %q2
  ret i64 %result
}
define void @nbgrad_barrier(i64 %site) {
  %r = call i64 @nbgrad_yield(i64 1, i64 %site, i64 0, i64 0)
  ret void
}
define void @nbgrad_barrier_of(i64 %site, i32 %number) {
  %r = call i64 @nbgrad_yield(i64 1, i64 %site, i64 0, i64 0)
  ret void
}
define void @nbgrad_warp_barrier(i64 %site, i32 %mask) {
  %r = call i64 @nbgrad_yield(i64 4, i64 %site, i64 0, i64 0)
  ret void
}
define i32 @nbgrad_read_warpsize() {
  ret i32 32
}
define i32 @nbgrad_read_laneid() {
  %t = load i64, ptr @nbgrad_tid
  %w = trunc i64 %t to i32
  %lane = and i32 %w, 31
  ret i32 %lane
}
define { i32, i1 } @nbgrad_shuffle(i64 %site, i32 %mask, i32 %mode, i32 %value, i32 %distance, i32 %clamp) {
  %lane = call i32 @nbgrad_read_laneid()
  %c8 = lshr i32 %clamp, 8
  %segment = and i32 %c8, 31
  %outside = xor i32 %segment, 31
  %c5 = and i32 %clamp, 31
  %base = and i32 %lane, %segment
  %most = and i32 %c5, %outside
  %bound = or i32 %base, %most
  %d5 = and i32 %distance, %outside
  %at = or i32 %base, %d5
  %up = sub i32 %lane, %distance
  %down = add i32 %lane, %distance
  %across = xor i32 %lane, %distance
  %is0 = icmp eq i32 %mode, 0
  %is1 = icmp eq i32 %mode, 1
  %is2 = icmp eq i32 %mode, 2
  %j2 = select i1 %is2, i32 %down, i32 %across
  %j1 = select i1 %is1, i32 %up, i32 %j2
  %j = select i1 %is0, i32 %at, i32 %j1
  %low = icmp sge i32 %j, %bound
  %high = icmp sle i32 %j, %bound
  %there = select i1 %is1, i1 %low, i1 %high
  %source = select i1 %there, i32 %j, i32 %lane
  %v = zext i32 %value to i64
  %d = zext i32 %source to i64
  %r = call i64 @nbgrad_yield(i64 2, i64 %site, i64 %v, i64 %d)
  %t = trunc i64 %r to i32
  %p = insertvalue { i32, i1 } undef, i32 %t, 0
  %q = insertvalue { i32, i1 } %p, i1 %there, 1
  ret { i32, i1 } %q
}
define { i32, i1 } @nbgrad_vote(i64 %site, i32 %mask, i32 %mode, i1 %value) {
  %v = zext i1 %value to i64
  %r = call i64 @nbgrad_yield(i64 4, i64 %site, i64 %v, i64 0)
  %t = trunc i64 %r to i32
  %all = icmp eq i32 %t, -1
  %none = icmp eq i32 %t, 0
  %any = xor i1 %none, true
  %same = or i1 %all, %none
  %is0 = icmp eq i32 %mode, 0
  %is2 = icmp eq i32 %mode, 2
  %p2 = select i1 %is2, i1 %same, i1 %any
  %p0 = select i1 %is0, i1 %all, i1 %p2
  %p = insertvalue { i32, i1 } undef, i32 %t, 0
  %q = insertvalue { i32, i1 } %p, i1 %p0, 1
  ret { i32, i1 } %q
}
"""


def run_block(state, count):
    """Run `count` threads; returns 0, or why they did not end.  `state` has the words that `Fibres` puts there."""
    swap, main, contexts, order = read(state), read(state + 8), read(state + 16), read(state + 24)
    box, tid, here, memory = read(state + 32), read(state + 40), read(state + 48), read(state + 56)
    doing, sites, values, operands = memory, memory + 8 * count, memory + 16 * count, memory + 24 * count
    get, make, entry, stacks = read(state + 64), read(state + 72), read(state + 80), read(state + 88)
    for i in range(count):
        context = contexts + 2048 * i
        run_kernel(get, context, 0, 0)
        write(context + 8, main)
        write(context + 16, stacks + 65536 * i)
        write(context + 32, 65536)
        run_kernel(make, context, entry, 0)
        write(doing + 8 * i, 0)
    left, outcome = count, 0
    while left > 0 and outcome == 0:
        progress = 0
        for w in range(count):  # each warp as far as it gets without the others: what they should wait for is missing
            warp = read(order + 8 * w) // 32 * 32
            going = 1
            while going == 1 and outcome == 0:
                going = 0
                for k in range(count):
                    i = read(order + 8 * k)
                    if i // 32 * 32 == warp and read(doing + 8 * i) == 0:
                        going = 1
                        write(tid, i)
                        write(box + 16, read(values + 8 * i))
                        write(here, contexts + 2048 * i)
                        run_kernel(swap, main, contexts + 2048 * i, 0)
                        write(doing + 8 * i, read(box))
                        write(sites + 8 * i, read(box + 8))
                        write(values + 8 * i, read(box + 16))
                        write(operands + 8 * i, read(box + 24))
                        if read(box) == 3:
                            left -= 1
                last, together = min(warp + 32, count), 1
                if read(doing + 8 * warp) != 2 and read(doing + 8 * warp) != 4:
                    together = 0
                for i in range(warp, last):
                    if read(doing + 8 * i) != read(doing + 8 * warp) or read(sites + 8 * i) != read(sites + 8 * warp):
                        together = 0
                if together == 1:
                    going = 1
                    if warp + 32 > count:
                        outcome = 2
                    bits = 0
                    for i in range(warp, last):
                        bits += read(values + 8 * i) << (i - warp)
                    for i in range(warp, last):
                        other = warp + read(operands + 8 * i)
                        write(memory + 32 * count + 8 * i, read(values + 8 * min(other, count - 1)))
                    voted = read(doing + 8 * warp) == 4
                    for i in range(warp, last):
                        write(values + 8 * i, bits if voted else read(memory + 32 * count + 8 * i))
                        write(doing + 8 * i, 0)
                if going == 1:
                    progress = 1
        if progress == 0:
            together = 1
            for i in range(count):
                if read(doing + 8 * i) != 1 or read(sites + 8 * i) != read(sites):
                    together = 0
            if together == 1:
                for i in range(count):
                    write(doing + 8 * i, 0)
            else:
                outcome = 1
    return outcome


class _Memory:
    """Stacks and contexts of so many threads; all kernels of a process share them, as one runs at a time."""

    def __init__(self, count):
        self.count, self.words = count, numpy.zeros(5 * count, numpy.int64)
        self._stacks = numpy.empty(STACK * count + 64, numpy.uint8)
        self._contexts = numpy.zeros(CONTEXT * (count + 1) + 64, numpy.uint8)
        self.stacks, self.contexts = (-(-a.ctypes.data // 64) * 64 for a in (self._stacks, self._contexts))
        self.main = self.contexts + CONTEXT * count


_lock, _memories = threading.Lock(), []


class Fibres:
    """The threads of one kernel.

    Parameters
    ----------
    address : callable
        Of a global of the kernel's module: ``address(name)``.
    entry : int
        Address of a function without arguments: one thread, which ends with DONE in the box.
    """

    def __init__(self, address, entry):
        self._address, self._entry, self._memory = address, entry, None

    def run(self, count, order):
        """Run the threads of one block.

        Parameters
        ----------
        count : int
        order : ndarray of int64
            A permutation of the threads: in this order they run from one barrier to the next.

        Raises
        ------
        KernelError
            Where threads of a block wait at different barriers, or some of them at none.
        """
        with _lock:
            if not _memories or _memories[0].count < count:
                _memories[:] = [_Memory(count)]
            if self._memory is not _memories[0]:
                self._use(_memories[0])
            self._state[3] = order.ctypes.data
            outcome = _run_block()(self._state.ctypes.data, count)
            doing, sites = (self._memory.words[k * count : (k + 1) * count].copy() for k in range(2))
        if outcome:
            raise KernelError(_why(outcome, count, doing, sites))

    def _use(self, memory):
        libc = _libc()
        at = lambda function: ctypes.cast(function, ctypes.c_void_p).value  # noqa: E731
        self._memory = memory
        box, tid, here = (self._address(f"nbgrad_{n}") for n in ("box", "tid", "here"))
        ctypes.c_int64.from_address(self._address("nbgrad_main")).value = memory.main
        self._state = numpy.array(
            [at(libc.swapcontext), memory.main, memory.contexts, 0, box, tid, here, memory.words.ctypes.data,
             at(libc.getcontext), at(libc.makecontext), self._entry, memory.stacks],
            numpy.int64,
        )  # fmt: skip


def _why(outcome, count, doing, sites):
    if outcome == PART_OF_A_WARP:
        return f"threads exchange values in a block of {count}, which is no multiple of a warp of {WARP}"
    waiting = {int(s): int(n) for s, n in zip(*numpy.unique(sites[doing == WAITS], return_counts=True), strict=True)}
    shown = ", ".join(f"{n} at barrier {s}" for s, n in waiting.items()) or "none at a barrier"
    exchange, done = numpy.isin(doing, (EXCHANGES, VOTES)).sum(), (doing == DONE).sum()
    return f"threads of a block do not meet: of {count}, {shown}, {exchange} exchange values, {done} are done"


@functools.cache
def _libc():
    return ctypes.CDLL(None)


@functools.cache
def _run_block():
    from nbgrad.compile import native

    address = native.function(run_block, 2).address
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(address)
