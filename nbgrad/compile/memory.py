"""Memory: when each stored value lives, and where in the arena it lies."""

import bisect
from collections import defaultdict

#: Addresses in the arena are multiples of a cache line.
ALIGNMENT = 64
#: Buffers that are placed with care; of longer programs the smaller ones are placed in one sweep.
LARGE = 512


def plan_arena(buffers):
    """Give every arena buffer an offset; returns the bytes of the arena.

    Buffers whose lives (`first` to `last`, inclusive, in launches) do not overlap may share bytes.
    """
    used = [b for b in buffers if b.kind == "arena" and b.first is not None]
    used.sort(key=lambda b: (-b.nbytes, b.first))
    top = _by_size(used[:LARGE])
    return _in_order(used[LARGE:], top)


def _need(buffer):
    return -(-max(buffer.nbytes, 1) // ALIGNMENT) * ALIGNMENT


def _by_size(buffers):
    """Largest first, each at the lowest offset that is free during its life; quadratic."""
    placed, top = [], 0
    for buffer in buffers:
        need, offset = _need(buffer), 0
        for start, stop, first, last in placed:  # in order of start
            if last < buffer.first or first > buffer.last:
                continue
            if start - offset >= need:
                break
            offset = max(offset, stop)
        buffer.offset = offset
        bisect.insort(placed, (offset, offset + need, buffer.first, buffer.last))
        top = max(top, offset + need)
    return top


def _in_order(buffers, top):
    """In the order of their lives, above `top`: the place of a dead buffer of the same size, or a new one."""
    free, ending = defaultdict(list), defaultdict(list)
    done = 0
    for buffer in sorted(buffers, key=lambda b: b.first):
        while done < buffer.first:
            for size, offset in ending.pop(done, ()):
                free[size].append(offset)
            done += 1
        need = _need(buffer)
        if free[need]:
            buffer.offset = free[need].pop()
        else:
            buffer.offset, top = top, top + need
        ending[buffer.last].append((need, buffer.offset))
    return top
