"""Portable: launches that need nothing of this process, and whose words follow from the sizes of the inputs.

Nothing is cut into chunks by its size, no library is called but for large products, and what lies in memory lies there
without gaps, so that every number in a launch is a polynomial of the sizes.
"""

import functools

from nbgrad.compile import emit
from nbgrad.compile.launch import Launch
from nbgrad.compile.lower import Lowering
from nbgrad.compile.products import stacked
from nbgrad.compile.scatter import ScatterKernel
from nbgrad.compile.source import Words, Writer, name_of
from nbgrad.compile.storage import Buffer, View, contiguous
from nbgrad.errors import KernelError, site_text

#: Rows that go through the nests of a launch together, and the rows of a chunk, of which there is one.
HEIGHT, ENDLESS = 8, 1 << 60

#: Rows of the result that are made together, and rows of x2 that are added to them at a time.
ROWS, DEPTH = 4, 4

_PRODUCT = '''def kernel(args, start, stop):
    """matmul"""
    c, a, b = pointer_{dtype}(args, 0), pointer_{dtype}(args, 1), pointer_{dtype}(args, 2)
    m, n, k, inner = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    a0, a1, am, ak = word(args, 7), word(args, 8), word(args, 9), word(args, 10)
    b0, b1, bk, bn = word(args, 11), word(args, 12), word(args, 13), word(args, 14)
    zero = number_{dtype}(args, 15)
    for batch in range(start, stop):
        i, j = batch // inner, batch % inner
        x, w, y = at(a, i * a0 + j * a1), at(b, i * b0 + j * b1), at(c, batch * m * n)
{body}'''

_BY_PRODUCTS = """\
        for row in range(m):
            for q in range(n):
                xr, wq, total = at(x, row * am), at(w, q * bn), zero
                for p in range(k):
                    total = add_fast(total, load(xr, p) * load(wq, p))
                store(y, row * n + q, total, 0)
"""


@functools.cache
def _by_rows(side_by_side):
    """Lines that add up rows of x2, for a few rows of the result at a time; then for those that are left."""
    q, w = "q" if side_by_side else "q * bn", Writer()
    w.level = 2
    for rows, first, stop in ((ROWS, "0", f"m - {ROWS - 1}"), (1, f"m // {ROWS} * {ROWS}", "m")):
        w.open(f"for row in range({first}, {stop}, {rows}):")
        for r in range(rows):
            w.line(f"x{r}, y{r} = at(x, (row + {r}) * am), at(y, (row + {r}) * n)")
        w.open("for q in range(n):")
        for r in range(rows):
            w.line(f"store(y{r}, q, zero, 0)")
        w.close()
        for depth, start, end in ((DEPTH, "0", f"k - {DEPTH - 1}"), (1, f"k // {DEPTH} * {DEPTH}", "k")):
            w.open(f"for p in range({start}, {end}, {depth}):")
            for d in range(depth):
                w.line(f"w{d} = at(w, (p + {d}) * bk)")
                for r in range(rows):
                    w.line(f"v{r}{d} = load(x{r}, (p + {d}) * ak)")
            w.open("for q in range(n):")
            for d in range(depth):
                w.line(f"t{d} = load(w{d}, {q})")
            for r in range(rows):
                sums = " + ".join(f"v{r}{d} * t{d}" for d in range(depth))
                w.line(f"store(y{r}, q, load_own(y{r}, q, 0) + ({sums}), 0)")
            w.close(2)
        w.close()
    return w.text()


class Source:
    """A kernel as text, which nothing has compiled yet."""

    __slots__ = ("names", "source", "text")

    def __init__(self, source, names=None, text=None):
        self.source, self.names, self.text = source, names or {}, text


class PortableLowering(Lowering):
    """A simplified graph on its way to launches that are the same for all sizes but for their numbers."""

    # ------------------------------------------------------------ code

    def _code(self, source, names):
        return Source(source, names)

    def _function(self, text):
        return Source(None, text=text)

    def _kernel(self, loops, plan, domain, title):
        if any(o.indices is not None for o in loops.stores):
            return ScatterKernel(loops, plan, domain, title, most=1)
        return emit.Kernel(loops, plan, domain, title)

    def _host(self, node, call=None, reference=None, attrs=None):
        import nbgrad.kernels.cuda  # noqa: F401 - texts that a block of threads does together, here of one

        layout = node.primitive.block.layout(node) if call is None and node.primitive.block else None
        if layout is None:
            self._refuse(node)
        self._by_block(node, node.primitive.block, *layout)

    def _by_block(self, node, block, extents, total, scratch):
        lead = node.shape[:-2]
        reads = [self._contiguous(x, (*lead, *x.shape[-2:]) if block.stacked else None) for x in node.inputs]
        if block.stacked:
            strides = ((rows * columns, columns, 1) for *_, rows, columns in (v.shape for v in reads))
            extents = (*extents, *(s for three in strides for s in three))
        writes = [self._whole(node)]
        if scratch:
            writes.append(contiguous(Buffer("arena", node.dtype, total * scratch), (total * scratch,)))
        launch, w, arguments = self._calling(node, reads, writes, extents)
        w.open("for unit in range(start, stop):")
        w.line(f"{block.name}({arguments}, unit)")
        self._text(launch, w, block)
        self._add(launch, reads, writes, total, 1, 1)

    def _refuse(self, node):
        primitive = dict(node.attrs).get("primitive", node.primitive)
        name = getattr(primitive, "name", node.primitive.name)
        from nbgrad.debug.explanation import written

        origin = written(node)
        where = f"\n    at {site_text(origin.site)}" if origin is not None and origin.site is not None else ""
        raise KernelError(
            f"{name} is a call of a library that nbgrad makes from Python, so there is no machine code for it "
            f"outside of Python; compute it before, and pass the result as an argument{where}"
        )

    # ------------------------------------------------------------ no chunks, no gaps

    def _cut_rows(self, unit, work):
        return ENDLESS, 1, HEIGHT

    def _shape(self, launch, kernel):
        launch.cost, launch.grain, launch.total = 1, ENDLESS, kernel.rows
        if kernel.split_words is not None:
            words, at = launch.words.values, kernel.split_words
            # one part, which is the whole: what it makes is the result
            words[at["mode"]], words[at["grain"]], launch.total = 1, 1, kernel.length
        self.launches.append(launch)

    def _add(self, launch, reads, writes, total, grain, cost):
        launch.reads, launch.writes = [v.origin for v in reads], [v.origin for v in writes]
        launch.total, launch.grain, launch.cost = total, ENDLESS, 1
        self.launches.append(launch)

    def _memory_inside(self, inner):
        buffers = {}
        for launch in inner.launches:
            buffers.update((id(b), b) for b in (*launch.reads, *launch.writes) if b.kind == "arena")
        return list(buffers.values()), lambda b, at: View(b, at, (), ())

    def _row_of_state(self, dtype, size):
        return size

    # ------------------------------------------------------------ products

    def _deep(self, node, views, out):
        return False

    def _product(self, views, out, dtype):
        made = product(*views, out, dtype)
        if made is None:
            return False
        launch = Launch("matmul")
        source, launch.words, total = made
        launch.source, launch.code = source, Source(source)
        self._add(launch, views, [out], total, 1, 1)
        return True


class SteppedLowering(PortableLowering):
    """The same with loops whose states are in memory, of any size: no kernel names each number of a state."""

    _in_registers = False


def product(x1, x2, out, dtype):
    """(source, words, parallel extent) of ``out = x1 @ x2`` with `out` contiguous; None where axes cannot be merged."""
    m, k, n = x1.shape[-2], x1.shape[-1], x2.shape[-1]
    if dtype.kind != "f" or dtype.itemsize < 4:
        return None
    lead = out.shape[:-2]
    x1, x2 = x1.broadcast((*lead, m, k)), x2.broadcast((*lead, k, n))
    batch = stacked(lead, x1.strides[:-2], x2.strides[:-2])
    if batch is None:
        return None
    (outer, inner), a, b = batch
    (am, ak), (bk, bn) = x1.strides[-2:], x2.strides[-2:]
    if n == 1:  # a vector times the transpose, whose result is a row
        x1, x2, a, b, m, n = x2, x1, b, a, 1, m
        am, ak, bk, bn = 0, bk, ak, am
    words = Words()
    words.address(out, "store")
    words.address(x1, "load")
    words.address(x2, "load")
    for value in (m, n, k, inner, *a, am, ak, *b, bk, bn, (0.0, dtype)):
        words.add(value)
    by_rows = bn == 1 or bk != 1 or ak != 1
    body = _by_rows(bn == 1) if by_rows else _BY_PRODUCTS
    return _PRODUCT.format(dtype=name_of(dtype), body=body), words, outer * inner
