"""Launches that run other launches, compiled: the steps of loops and the branches of choices.

The words of such a launch begin with addresses of parts and with numbers that are counted up; behind these are cells,
which hold the addresses of what the launch reads and writes.  The words of the launches inside are set from the cells
before they run, so an outer loop moves what an inner one works on.

Tables (index: meaning)

part     0 launches, 1 -> launches table, 2 words set once, 3 -> their table, 4 words set each time, 5 -> their table
launch   0 code, 1 -> words, 2 extent, 3 grain
setting  0 -> word, 1 -> cell, 2 -> counter, 3 bytes, 4 bytes for each count
loop     0 -> part, 1 steps, 2 whether from the last slice to the first, 3 the slice, 4 steps done modulo 2,
         5 -> part that ends
while    0 -> the condition, 1 -> count, 2 -> part of the condition, 3 step, 4 step at which to stop,
         5 steps done in this sweep modulo 2, 6 sweeps, 7 whether there was too little memory, 8 -> these words,
         from 9 on for each sweep:
sweep    0 -> part that begins, 1 -> part of a step, 2 -> part that ends, 3 whether backwards,
         4 bytes that are kept of a step, 5 -> what is kept, 6 whether the part of a step does all steps up to a stop
switch   0 -> the number, 1 branches, from 2 on: -> a part for each
"""

from nbgrad.runtime.intrinsics import free, read, read8, reallocate, run_kernel, write

PART_WORDS, LAUNCH_WORDS, SETTING_WORDS = 6, 4, 5
#: Counters of a loop, by their index in its words.
SLICE, PARITY = 3, 4
#: The word of a loop with the part that ends.
END = 5
#: The same of a loop that ends by a condition, and what else is there.
STEP, TURN, STATUS, SELF, SWEEPS = 3, 5, 7, 8, 9
SWEEP_WORDS, BACK, ROW, KEPT, WHOLE = 7, 3, 4, 5, 6


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
    write(args + 32, count & 1)
    begin(read(args + 40))
    return 0


def begin(part):
    """Do a part for the first time."""
    set_words(read(part + 16), read(part + 24))
    run_part(part)


def grown(sweep, room):
    """Have memory for so many steps; 0 if there is none."""
    row, kept = read(sweep + 32), read(sweep + 40)
    if row == 0:
        return 1
    more = reallocate(kept, row * room)
    if more != 0:
        write(sweep + 40, more)
    return more


def first_sweep(args):
    """Steps for as long as the condition holds; what is kept of them is in memory that grows.  Returns their number."""
    sweep, condition, t, room = args + 72, read(args + 16), 0, 64
    step = read(sweep + 8)
    if grown(sweep, room) == 0:
        return -1
    write(args + 24, 0)
    write(args + 40, 0)
    begin(read(sweep))
    if read(sweep + 48) != 0:
        write(args + 32, room)
        begin(step)
        while read8(read(args)) != 0:
            room *= 2
            if grown(sweep, room) == 0:
                return -1
            write(args + 32, room)
            begin(step)
        t = read(args + 24)
    else:
        set_words(read(step + 16), read(step + 24))
        begin(condition)
        while read8(read(args)) != 0:
            if t + 2 > room:
                room *= 2
                if grown(sweep, room) == 0:
                    return -1
            run_part(step)
            t += 1
            write(args + 24, t)
            write(args + 40, t & 1)
            run_part(condition)
    begin(read(sweep + 16))
    return t


def further_sweep(args, sweep, count):
    """A sweep over as many steps as the first one took; 0 if there is no memory for it."""
    step, back = read(sweep + 8), read(sweep + 24)
    if grown(sweep, count + 1) == 0:
        return 0
    write(args + 24, count - 1 if back != 0 else 0)
    write(args + 40, 0)
    begin(read(sweep))
    if read(sweep + 48) != 0:
        write(args + 32, count)
        begin(step)
    else:
        set_words(read(step + 16), read(step + 24))
        for k in range(count):
            run_part(step)
            write(args + 24, count - 2 - k if back != 0 else k + 1)
            write(args + 40, (k + 1) & 1)
    begin(read(sweep + 16))
    return 1


def run_while(args, first, stop):
    """Sweeps over the steps of a loop that ends by a condition."""
    sweeps = read(args + 48)
    write(args + 64, args)
    for k in range(sweeps):
        write(args + 72 + 56 * k + 40, 0)
    count = first_sweep(args)
    good = 1 if count >= 0 else 0
    for k in range(1, sweeps):
        if good != 0:
            good = further_sweep(args, args + 72 + 56 * k, count)
    write(read(args + 8), count)
    write(args + 56, 1 - good)
    for k in range(sweeps):
        free(read(args + 72 + 56 * k + 40))
    return 0


def run_switch(args, first, stop):
    """One of several branches."""
    number = max(0, min(read(read(args)), read(args + 8) - 1))
    part = read(args + 16 + 8 * number)
    set_words(read(part + 16), read(part + 24))
    run_part(part)
    return 0
