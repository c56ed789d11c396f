"""Matrix products on CUDA: a block computes a tile of the result, each of its threads a few elements in registers.

Tiles of both matrices go through shared memory; they are read by any strides, so nothing is copied or transposed, and
threads that are neighbours read along whichever axis is contiguous.  A long sum for few tiles is cut into parts,
which the block that is last joins in order.  Source of the scheme: CUDA C++ programming guide, shared memory; Volkov
and Demmel 2008, Benchmarking GPUs to tune dense linear algebra.
"""

import functools

from nbgrad import shapes
from nbgrad.compile.cuda.teams import when_last
from nbgrad.compile.source import Words, Writer, register

#: Threads along each side of a block, steps of the sum whose operands are in shared memory together.
SIDE, DEPTH = 16, 16
#: Elements that a thread computes along each side, where the result is large enough for that.
EACH = 4
#: Side of the result up to which each thread computes one element.
SMALL = 32
#: Blocks up to which sums are cut into parts, and steps of a part at least.
ENOUGH, PART = 256, 512


class Product:
    """Source, words and grid of ``out = x1 @ x2`` with out contiguous.

    Parameters
    ----------
    x1, x2, out : View
        Of two axes, or of a stack with one or two leading axes.
    partial, counter : callable
        ``partial(elements)`` and ``counter()`` make memory for parts of long sums.
    """

    block, per_block, blocks = SIDE * SIDE, 1, None

    def __init__(self, x1, x2, out, dtype, batch, partial, counter):
        (m, k), n = x1.shape[-2:], x2.shape[-1]
        (outer, inner), (ao, ai), (bo, bi) = batch
        each = EACH if max(m, n) > SMALL else 1
        down, across = -(-m // (SIDE * each)), -(-n // (SIDE * each))
        tiles = outer * inner * down * across
        parts = min(-(-k // PART), -(-ENOUGH // tiles)) if tiles < ENOUGH // 2 else 1
        grain = -(-k // max(parts, 1))
        grain = max(-(-grain // DEPTH) * DEPTH, DEPTH)
        parts = max(-(-k // grain), 1)
        self.partials = [partial(parts * shapes.size(out.shape))] if parts > 1 else []
        w = self.words = Words()
        for view, role in ((x1, "load"), (x2, "load"), (out, "store")):
            w.address(view, role)
        w.address(self.partials[0] if parts > 1 else out, "store")
        w.address(counter(), "counter")
        for value in (m, n, k, *x1.strides[-2:], *x2.strides[-2:], inner, ao, ai, bo, bi, down, across, parts, grain,
                      shapes.size(out.shape)):  # fmt: skip
            w.add(value)
        self.source = source(str(dtype), each)
        self.total, self.cost = tiles * parts, shapes.size(out.shape) * k


@functools.cache
def source(dtype, each):
    """The text of the kernel for tiles of so many elements of each thread along each side."""
    w, kind, tile = Writer(), register(dtype), SIDE * each
    names = ("m", "n", "k", "a_row", "a_step", "b_step", "b_column", "inner", "a_outer", "a_inner", "b_outer",
             "b_inner", "down", "across", "parts", "grain", "size")  # fmt: skip
    w.open("def kernel(args, start, stop):")
    w.line('"""matmul"""')
    for index, name in enumerate(("a", "b", "out", "partial")):
        w.line(f"{name} = pointer_{dtype}(args, {index})")
    w.line("counter = pointer_int64(args, 4)")
    for index, name in enumerate(names):
        w.line(f"{name} = word(args, {5 + index})")
    pitch = tile + 1  # threads that store one under the other are in different banks
    w.line(f"left, right = shared_{kind}({DEPTH * pitch}, 1), shared_{kind}({DEPTH * pitch}, 2)")
    w.line(f"x, y = lane() % {SIDE}, lane() // {SIDE}")
    w.open("for unit in range(start + block(), stop, blocks()):")
    w.line("part, rest = unit % parts, unit // parts")
    w.line(f"column, rest = rest % across * {tile}, rest // across")
    w.line(f"row, rest = rest % down * {tile}, rest // down")
    w.line("a_at = at(a, rest // inner * a_outer + rest % inner * a_inner)")
    w.line("b_at = at(b, rest // inner * b_outer + rest % inner * b_inner)")
    elements = [(i, j) for i in range(each) for j in range(each)]
    for i, j in elements:
        w.line(f"sum_{i}_{j} = to_{kind}(0)")
    w.open(f"for low in range(part * grain, min(part * grain + grain, k), {DEPTH}):")
    _load(w, kind, "left", "a_at", "row", "m", "a_row", "a_step", tile, pitch)
    _load(w, kind, "right", "b_at", "column", "n", "b_column", "b_step", tile, pitch)
    w.line("barrier()")
    w.open(f"for t in range({DEPTH}):")
    for i in range(each):
        w.line(f"a_{i} = read(left, t * {pitch} + y + {i * SIDE})")
        w.line(f"b_{i} = read(right, t * {pitch} + x + {i * SIDE})")
    for i, j in elements:
        w.line(f"sum_{i}_{j} = to_{kind}(sum_{i}_{j} + a_{i} * b_{j})")
    w.close()
    w.line("barrier()")
    w.close()
    w.line("target = out")
    w.line("first = rest * m * n")
    w.open("if parts > 1:")
    w.line("target = at(partial, part * size)")
    w.close()
    for i, j in elements:
        w.open(f"if row + y + {i * SIDE} < m and column + x + {j * SIDE} < n:")
        w.line(f"write(target, first + (row + y + {i * SIDE}) * n + column + x + {j * SIDE}, sum_{i}_{j})")
        w.close()
    w.close()
    w.open("if parts > 1:")
    when_last(w, "counter")
    w.open("for e in range(lane(), size, lanes()):")
    w.line("total = read(partial, e)")
    w.open("for part in range(1, parts):")
    w.line(f"total = to_{kind}(total + read(partial, part * size + e))")
    w.close()
    w.line("write(out, e, total)")
    return w.text()


def _load(w, kind, memory, pointer, first, extent, stride, step, tile, pitch):
    """A tile of a matrix into shared memory; neighbours read along its contiguous axis."""
    for condition, along in ((f"if {step} == 1:", True), ("else:", False)):
        w.open(condition)
        w.open(f"for e in range(lane(), {tile * DEPTH}, {SIDE * SIDE}):")
        w.line(f"i, t = e // {DEPTH}, e % {DEPTH}" if along else f"i, t = e % {tile}, e // {tile}")
        w.line(f"value = to_{kind}(0)")
        w.open(f"if {first} + i < {extent} and low + t < k:")
        w.line(f"value = load({pointer}, ({first} + i) * {stride} + (low + t) * {step})")
        w.close()
        w.line(f"write({memory}, t * {pitch} + i, value)")
        w.close(2)
