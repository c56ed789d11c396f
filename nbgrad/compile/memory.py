"""Memory: when each stored value lives, and where in the arena it lies."""

#: Addresses in the arena are multiples of a cache line.
ALIGNMENT = 64


def plan_arena(buffers):
    """Give every arena buffer an offset; returns the bytes of the arena.

    Buffers whose lives (`first` to `last`, inclusive, in launches) do not overlap may share bytes.  Large
    buffers are placed first, each at the lowest offset that is free during its life.
    """
    placed, top = [], 0
    for buffer in sorted(
        (b for b in buffers if b.kind == "arena" and b.first is not None), key=lambda b: (-b.nbytes, b.first)
    ):
        need = -(-max(buffer.nbytes, 1) // ALIGNMENT) * ALIGNMENT
        offset = 0
        for start, stop, first, last in placed:  # in order of start
            if last < buffer.first or first > buffer.last:
                continue
            if start - offset >= need:
                break
            offset = max(offset, stop)
        buffer.offset = offset
        _insert(placed, (offset, offset + need, buffer.first, buffer.last))
        top = max(top, offset + need)
    return top


def _insert(placed, entry):
    import bisect

    bisect.insort(placed, entry)
