"""Launches that run other launches, compiled: the steps of loops and the branches of choices.

The words of such a launch begin with addresses of parts and with numbers that are counted up; behind these are cells,
which hold the addresses of what the launch reads and writes.  The words of the launches inside are set from the cells
before they run, so an outer loop moves what an inner one works on.

Tables (index: meaning)

part     0 launches, 1 -> launches table, 2 words set once, 3 -> their table, 4 words set each time, 5 -> their table
launch   0 code, 1 -> words, 2 extent, 3 grain
setting  0 -> word, 1 -> cell, 2 -> counter, 3 bytes, 4 bytes for each count
loop     0 -> part, 1 steps, 2 whether from the last slice to the first, 3 the slice, 4 the step modulo 2
switch   0 -> the number, 1 branches, from 2 on: -> a part for each
"""

from nbgrad.runtime.intrinsics import read, run_kernel, write

PART_WORDS, LAUNCH_WORDS, SETTING_WORDS = 6, 4, 5
#: Counters of a loop, by their index in its words.
SLICE, PARITY = 3, 4


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


def run_switch(args, first, stop):
    """One of several branches."""
    number = max(0, min(read(read(args)), read(args + 8) - 1))
    part = read(args + 16 + 8 * number)
    set_words(read(part + 16), read(part + 24))
    run_part(part)
    return 0
