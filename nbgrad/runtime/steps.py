"""Launches that run other launches, compiled: the steps of loops and the branches of choices.

The words of such a launch begin with addresses of parts and with numbers that are counted up; behind these are cells,
which hold the addresses of what the launch reads and writes.  The words of the launches inside are set from the cells
before they run, so an outer loop moves what an inner one works on.

Tables (index: meaning)

part     0 launches, 1 -> launches table, 2 words set once, 3 -> their table, 4 words set each time, 5 -> their table
launch   0 code, 1 -> words, 2 extent, 3 grain
setting  0 -> word, 1 -> cell, 2 -> counter, 3 bytes, 4 bytes for each count
loop     0 -> part, 1 steps, 2 whether from the last slice to the first, 3 the slice, 4 the step modulo 2
while    0 -> the condition, 1 -> count, 2 -> part of the condition, 3 step, 4 steps done in this sweep modulo 2,
         5 sweeps, 6 whether there was too little memory, from 7 on for each sweep:
sweep    0 -> part that begins, 1 -> part of a step, 2 -> part that ends, 3 whether backwards,
         4 bytes that are kept of a step, 5 -> what is kept
switch   0 -> the number, 1 branches, from 2 on: -> a part for each
"""

from nbgrad.runtime.intrinsics import allocate, free, read, read8, reallocate, run_kernel, write

PART_WORDS, LAUNCH_WORDS, SETTING_WORDS = 6, 4, 5
#: Counters of a loop, by their index in its words.
SLICE, PARITY = 3, 4
STATUS, SWEEPS, SWEEP_WORDS, KEPT = 6, 7, 6, 5


def set_words(count, table):
    """Point words of the launches inside to where the launch around them is."""
    for k in range(count):
        entry = table + 40 * k
        counted = read(entry + 32) * read(read(entry + 16))
        write(read(entry), read(read(entry + 8)) + read(entry + 24) + counted)


def run_part(part):
    """Do the launches of a part, one after another, on this thread."""
    set_words(read(part + 32), read(part + 40))
    table = read(part + 8)
    for k in range(read(part)):
        launch = table + 32 * k
        code, words, total, grain = read(launch), read(launch + 8), read(launch + 16), read(launch + 24)
        start = 0
        while start < total:
            run_kernel(code, words, start, min(start + grain, total))
            start += grain


def run_loop(args, first, stop):
    """A loop of a known number of steps."""
    part, count, back = read(args), read(args + 8), read(args + 16)
    set_words(read(part + 16), read(part + 24))
    for t in range(count):
        write(args + 24, count - 1 - t if back != 0 else t)
        write(args + 32, t & 1)
        run_part(part)
    return 0


def begin(part):
    """Do a part for the first time."""
    set_words(read(part + 16), read(part + 24))
    run_part(part)


def first_sweep(args):
    """Steps for as long as the condition holds; what is kept of them is in memory that grows.  Returns their number."""
    sweep, condition, t = args + 56, read(args + 16), 0
    step, row, room = read(sweep + 8), read(sweep + 32), 64
    if row != 0:
        write(sweep + 40, allocate(row * room))
        if read(sweep + 40) == 0:
            return -1
    write(args + 24, 0)
    write(args + 32, 0)
    begin(read(sweep))
    set_words(read(step + 16), read(step + 24))
    begin(condition)
    while read8(read(args)) != 0:
        if row != 0 and t + 2 > room:
            room *= 2
            more = reallocate(read(sweep + 40), row * room)
            if more == 0:
                return -1
            write(sweep + 40, more)
        run_part(step)
        t += 1
        write(args + 24, t)
        write(args + 32, t & 1)
        run_part(condition)
    begin(read(sweep + 16))
    return t


def further_sweep(args, sweep, count):
    """A sweep over as many steps as the first one took; 0 if there is no memory for it."""
    step, back, row = read(sweep + 8), read(sweep + 24), read(sweep + 32)
    if row != 0:
        write(sweep + 40, allocate(row * (count + 1)))
        if read(sweep + 40) == 0:
            return 0
    write(args + 24, count - 1 if back != 0 else 0)
    write(args + 32, 0)
    begin(read(sweep))
    set_words(read(step + 16), read(step + 24))
    for k in range(count):
        run_part(step)
        write(args + 24, count - 2 - k if back != 0 else k + 1)
        write(args + 32, (k + 1) & 1)
    begin(read(sweep + 16))
    return 1


def run_while(args, first, stop):
    """Sweeps over the steps of a loop that ends by a condition."""
    sweeps = read(args + 40)
    for k in range(sweeps):
        write(args + 56 + 48 * k + 40, 0)
    count = first_sweep(args)
    good = 1 if count >= 0 else 0
    for k in range(1, sweeps):
        if good != 0:
            good = further_sweep(args, args + 56 + 48 * k, count)
    write(read(args + 8), count)
    write(args + 48, 1 - good)
    for k in range(sweeps):
        free(read(args + 56 + 48 * k + 40))
    return 0


def run_switch(args, first, stop):
    """One of several branches."""
    number = max(0, min(read(read(args)), read(args + 8) - 1))
    part = read(args + 16 + 8 * number)
    set_words(read(part + 16), read(part + 24))
    run_part(part)
    return 0
