"""Matrix products as launches: BLAS called by its address, on views, transposed ones included."""

from nbgrad import shapes
from nbgrad.compile.emit import Words

_PLAIN, _TRANSPOSED = 111, 112  # CBLAS; 101 in the sources below is row-major

#: Both leading axes of a batch; larger batches are merged to two or fall back.
_GEMM = '''def kernel(args, start, stop):
    """matmul"""
    code, ta, tb = word(args, 0), word(args, 1), word(args, 2)
    m, n, k = word(args, 3), word(args, 4), word(args, 5)
    lda, ldb, ldc = word(args, 6), word(args, 7), word(args, 8)
    inner = word(args, 9)
    one, zero = number_{dtype}(args, 10), number_{dtype}(args, 11)
    for b in range(start, stop):
        i, j = b // inner, b % inner
        a = word(args, 12) + i * word(args, 13) + j * word(args, 14)
        x = word(args, 15) + i * word(args, 16) + j * word(args, 17)
        c = word(args, 18) + b * word(args, 19)
        call_address(code, (101, ta, tb, m, n, k, one, a, lda, x, ldb, zero, c, ldc))
'''

_GEMV = '''def kernel(args, start, stop):
    """matrix times vector"""
    code, ta = word(args, 0), word(args, 1)
    m, n = word(args, 3), word(args, 4)
    lda, incx = word(args, 6), word(args, 7)
    one, zero = number_{dtype}(args, 10), number_{dtype}(args, 11)
    for b in range(start, stop):
        call_address(code, (101, ta, m, n, one, word(args, 12), lda, word(args, 15), incx, zero, word(args, 18), 1))
'''


class Product:
    """Source, words and parallel extent of one matrix product of views."""

    __slots__ = ("cost", "source", "total", "words")


def plan(x1, x2, out, dtype, address):
    """A `Product` for ``out = x1 @ x2`` with out contiguous, or None where BLAS does not apply as it stands."""
    m, k, n = x1.shape[-2], x1.shape[-1], x2.shape[-1]
    letter = {"float64": "d", "float32": "s"}.get(str(dtype))
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
    batch = _batch(lead, x1.strides[:-2], x2.strides[:-2])
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
    product.source, product.total = _GEMM.format(dtype=dtype), outer * inner
    product.cost = outer * inner * m * n * k
    return product


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
    product.source, product.total, product.cost = _GEMV.format(dtype=dtype), 1, m * n * k
    return product


def _leading(view):
    """(form, leading dimension) of the last two axes, or None when neither is contiguous."""
    (m, n), (sm, sn) = view.shape[-2:], view.strides[-2:]
    if (sn == 1 or n == 1) and (m == 1 or sm >= max(n, 1)):
        return _PLAIN, max(sm if m > 1 else n, n, 1)
    if (sm == 1 or m == 1) and (n == 1 or sn >= max(m, 1)):
        return _TRANSPOSED, max(sn if n > 1 else m, m, 1)
    return None


def _batch(lead, a, b):
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
