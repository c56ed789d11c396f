"""Matrix products as launches: BLAS called by its address, on views, transposed ones included."""

import functools

from nbgrad import shapes
from nbgrad.compile.source import Words, name_of

_PLAIN, _TRANSPOSED = 111, 112  # CBLAS; 101 in the sources below is row-major

#: Multiplications and additions that are worth an element of other work.
FLOPS = 16
#: Multiplications and additions of a chunk at least; blocks of a product at most, and their rows or columns at least.
CHUNK, BLOCKS, BLOCK = 1 << 17, 8, 64

#: Units are blocks of rows and columns of each product; two leading axes are a batch.
_GEMM = '''def kernel(args, start, stop):
    """matmul"""
    code, ta, tb = word(args, 0), word(args, 1), word(args, 2)
    m, n, k = word(args, 3), word(args, 4), word(args, 5)
    lda, ldb, ldc = word(args, 6), word(args, 7), word(args, 8)
    inner = word(args, 9)
    one, zero = number_{dtype}(args, 10), number_{dtype}(args, 11)
    rows, columns, down, across = word(args, 20), word(args, 21), word(args, 22), word(args, 23)
    for unit in range(start, stop):
        b, place = unit // (down * across), unit % (down * across)
        i, j = b // inner, b % inner
        row, column = place // across * rows, place % across * columns
        a = word(args, 12) + i * word(args, 13) + j * word(args, 14) + row * word(args, 24)
        x = word(args, 15) + i * word(args, 16) + j * word(args, 17) + column * word(args, 25)
        c = word(args, 18) + b * word(args, 19) + (row * ldc + column) * {size}
        high, wide = min(rows, m - row), min(columns, n - column)
        call_address(code, (101, ta, tb, high, wide, k, one, a, lda, x, ldb, zero, c, ldc))
'''

#: Units are blocks of the elements of the result.
_GEMV = '''def kernel(args, start, stop):
    """matrix times vector"""
    code, form = word(args, 0), word(args, 1)
    m, n = word(args, 3), word(args, 4)
    lda, incx = word(args, 6), word(args, 7)
    one, zero = number_{dtype}(args, 10), number_{dtype}(args, 11)
    rows, step = word(args, 20), word(args, 24)
    for unit in range(start, stop):
        at = unit * rows
        a, y = word(args, 12) + at * step, word(args, 18) + at * {size}
        high, wide = m, n
        if form == 111:
            high = min(rows, m - at)
        else:
            wide = min(rows, n - at)
        call_address(code, (101, form, high, wide, one, a, lda, word(args, 15), incx, zero, y, 1))
'''


#: Parts of a result that lie one after another, joined.
JOIN = '''def kernel(args, start, stop):
    """sum of parts"""
    y, x = pointer_{dtype}(args, 0), pointer_{dtype}(args, 1)
    count, length = word(args, 2), word(args, 3)
    for i in range(start, stop):
        store(y, i, load(x, i), 0)
    for part in range(1, count):
        for i in range(start, stop):
            store(y, i, load_own(y, i, 0) + load(x, part * length + i), 0)
'''


@functools.cache
def text(template, dtype):
    """The source of a kernel of this file for a dtype."""
    return template.format(dtype=dtype, size=dtype.itemsize)


class Product:
    """Source, words and parallel extent of one matrix product of views."""

    __slots__ = ("cost", "grain", "source", "total", "words")


def plan(x1, x2, out, dtype, address):
    """A `Product` for ``out = x1 @ x2`` with out contiguous, or None where BLAS does not apply as it stands."""
    m, k, n = x1.shape[-2], x1.shape[-1], x2.shape[-1]
    letter = {"float64": "d", "float32": "s"}.get(name_of(dtype))
    if letter is None or 0 in (m, n, k) or 0 in out.shape:
        return None
    lead = out.shape[:-2]
    x1, x2 = x1.broadcast((*lead, m, k)), x2.broadcast((*lead, k, n))
    if lead and all(s == 0 for s in x2.strides[:-2]):  # rows of all matrices are rows of one
        merged = x1.reshaped((shapes.size(lead) * m, k))
        if merged is not None and _leading(merged):
            x1, m, lead = merged, shapes.size(lead) * m, ()
            x2 = x2.sliced((*((0, 1, 1) for _ in x2.shape[:-2]), (0, 1, k), (0, 1, n))).reshaped((k, n))
            if x2 is None:
                return None
    batch = stacked(lead, x1.strides[:-2], x2.strides[:-2])
    a, b = _leading(x1), _leading(x2)
    if a is None or b is None or batch is None:
        return None
    (outer, inner), (ao, ai), (bo, bi) = batch
    product, size = Product(), dtype.itemsize
    w = product.words = Words()
    if not lead and (n == 1 or m == 1):
        return _gemv(product, x1, x2, out, dtype, letter, address, m, k, n)
    code = address(letter + "gemm")
    if code is None:
        return None
    for value in (code, a[0], b[0], m, n, k, a[1], b[1], n, inner):
        w.add(value)
    w.add((1.0, dtype))
    w.add((0.0, dtype))
    w.address(x1, "load")
    w.add(ao * size)
    w.add(ai * size)
    w.address(x2, "load")
    w.add(bo * size)
    w.add(bi * size)
    w.address(out, "store")
    w.add(m * n * size)
    whole = m * n * k < 8 * CHUNK and outer * inner >= BLOCKS
    rows = m if whole or n > m else _block(m)
    columns = n if whole or m >= n else _block(n)
    down, across = -(-m // rows), -(-n // columns)
    for value in (rows, columns, down, across):
        w.add(value)
    w.add((a[1] if a[0] == _PLAIN else 1) * size)
    w.add((1 if b[0] == _PLAIN else b[1]) * size)
    product.source, product.total = text(_GEMM, dtype), outer * inner * down * across
    product.grain = max(1, CHUNK // max(rows * columns * k, 1))
    product.cost = outer * inner * m * n * k // FLOPS
    return product


def _block(extent):
    """Rows or columns of a block, in multiples of 16; never a matter of the number of threads.

    BLAS packs the other matrix anew for each block: few blocks, of the longer side.
    """
    if extent < BLOCK:
        return extent
    return -(-extent // min(max(extent // 512, 2), BLOCKS)) + 15 & ~15


def _gemv(product, x1, x2, out, dtype, letter, address, m, k, n):
    code = address(letter + "gemv")
    matrix, vector = (x1, x2) if n == 1 else (x2.transposed((1, 0)), x1)
    leading = _leading(matrix)
    step = vector.strides[0] if n == 1 else vector.strides[1]
    if code is None or leading is None or step <= 0:
        return None
    form, ld = leading
    rows, columns = matrix.shape if form == _PLAIN else matrix.shape[::-1]
    w = product.words
    for value in (code, form, 0, rows, columns, 0, ld, step, 1, 1):
        w.add(value)
    w.add((1.0, dtype))
    w.add((0.0, dtype))
    w.address(matrix, "load")
    w.add(0)
    w.add(0)
    w.address(vector, "load")
    w.add(0)
    w.add(0)
    w.address(out, "store")
    w.add(0)
    length, size = m * n, dtype.itemsize
    block = length if length * k < CHUNK else max(16, -(-length // BLOCKS) + 15 & ~15)
    for value in (block, 0, 0, 0, (ld if form == _PLAIN else 1) * size):
        w.add(value)
    product.source, product.total = text(_GEMV, dtype), -(-length // block)
    product.grain, product.cost = 1, length * k // 2  # memory is what it takes
    return product


def _leading(view):
    """(form, leading dimension) of the last two axes, or None when neither is contiguous."""
    (m, n), (sm, sn) = view.shape[-2:], view.strides[-2:]
    if (sn == 1 or n == 1) and (m == 1 or sm >= max(n, 1)):
        return _PLAIN, max(sm if m > 1 else n, n, 1)
    if (sm == 1 or m == 1) and (n == 1 or sn >= max(m, 1)):
        return _TRANSPOSED, max(sn if n > 1 else m, m, 1)
    return None


def stacked(lead, a, b):
    """Leading axes merged to two: extents, strides of x1, strides of x2; None when there are more."""
    merged = []
    for n, s, t in zip(lead, a, b, strict=True):
        if n == 1:
            continue
        if merged and merged[-1][1] == s * n and merged[-1][2] == t * n:
            merged[-1] = merged[-1][0] * n, s, t
        else:
            merged.append((n, s, t))
    if len(merged) > 2:
        return None
    while len(merged) < 2:
        merged.insert(0, (1, 0, 0))
    (n0, s0, t0), (n1, s1, t1) = merged
    return (n0, n1), (s0, s1), (t0, t1)
