"""Array primitives on CUDA: texts that all threads of a block do together, one unit of the work after another.

A text is ``kernel(*inputs, out, scratch, *extents, unit)``, or without `scratch` where its layout asks for none; all
operands are contiguous.  It is imported when a program for CUDA is first lowered.

The factorisations are right-looking: a column, then what is left of the matrix, which is where the threads are
needed (Golub and Van Loan, Matrix Computations, sections 3.2, 3.4 and 4.2; Murray 2016, Differentiation of the Cholesky
decomposition, section 4.2).  A matrix that has no factor gives nan, as there is no way to stop from inside a kernel.
"""

import math

from nbgrad import shapes
from nbgrad.kernels._block import barrier, element, lane, lanes, read, shared_as, shared_int64, write
from nbgrad.kernels._memory import get, put_at
from nbgrad.kernels.cumulative import cumprod, cumsum, recurrence
from nbgrad.kernels.cumulative import lanes as along
from nbgrad.kernels.linalg import cholesky, cholesky_pullback, solve, solve_triangular
from nbgrad.kernels.reduction import argmax, argmin
from nbgrad.kernels.sorting import argsort

#: Rows of the largest matrix: one block works on it, in memory that the caches of one multiprocessor must hold.
LARGEST = 512


def matrices(node):
    """A block for each matrix, unless it is too large for one."""
    n = node.shape[-1]
    return ((n,), shapes.size(node.shape[:-2]) if n else 0, 0) if n <= LARGEST else None


def equations(node):
    """The same for the equations of a matrix, whose solutions may be many."""
    n, columns = node.shape[-2:]
    if n > LARGEST or n * columns == 0:
        return None
    return (n, columns), shapes.size(node.shape[:-2]), n * n


def triangular(node):
    """The same, with how the triangle is to be read, and nothing to overwrite."""
    layout, attrs = equations(node), dict(node.attrs)
    if layout is None:
        return None
    (n, columns), count, _ = layout
    return (n, columns, int(attrs["lower"]), int(attrs["transposed"])), count, 0


def scans(node):
    """A block for each lane."""
    extents, count, _ = along(node)
    return extents, count, 0


@cholesky.block_kernel(matrices)
def cholesky_block(x, out, n, unit):
    first = unit * n * n
    for at in range(lane(), n * n, lanes()):
        value = element(out, 0)
        if at % n <= at // n:
            value = get(x, first + at)
        put_at(out, first + at, value)
    barrier()
    for k in range(n):
        d = math.sqrt(get(out, first + k * n + k))
        barrier()
        for i in range(k + lane(), n, lanes()):
            value = d
            if i > k:
                value = get(out, first + i * n + k) / d
            put_at(out, first + i * n + k, value)
        barrier()
        left = n - k - 1
        for at in range(lane(), left * left, lanes()):
            i, j = k + 1 + at // left, k + 1 + at % left
            if j <= i:
                below = get(out, first + i * n + k) * get(out, first + j * n + k)
                put_at(out, first + i * n + j, get(out, first + i * n + j) - below)
        barrier()


@cholesky_pullback.block_kernel(matrices)
def cholesky_pullback_block(factor, cotangent, out, n, unit):
    first = unit * n * n
    for at in range(lane(), n * n, lanes()):
        put_at(out, first + at, get(cotangent, first + at))
    barrier()
    for step in range(n):
        r = n - 1 - step
        j = first + r * n
        d = get(factor, j + r)
        for i in range(r + 1 + lane(), n, lanes()):
            put_at(out, first + i * n + r, get(out, first + i * n + r) / d)
        barrier()
        own = get(out, j + r)  # each thread for itself: shorter than to wait for one of them
        for i in range(r + 1, n):
            own = own - get(out, first + i * n + r) * get(factor, first + i * n + r)
        own = own / d
        barrier()
        for k in range(lane(), r, lanes()):
            value = get(out, j + k) - own * get(factor, j + k)
            for i in range(r + 1, n):
                value = value - get(out, first + i * n + r) * get(factor, first + i * n + k)
            put_at(out, j + k, value)
        for at in range(lane(), (n - r - 1) * r, lanes()):
            i = first + (r + 1 + at // r) * n
            put_at(out, i + at % r, get(out, i + at % r) - get(out, i + r) * get(factor, j + at % r))
        if lane() == 0:
            put_at(out, j + r, own)
        barrier()
    for at in range(lane(), n * n, lanes()):
        i, k = at // n, at % n
        if k <= i:
            half = get(out, first + i * n + k) / 2
            put_at(out, first + i * n + k, half)
            put_at(out, first + k * n + i, half)


@solve.block_kernel(equations, stacked=True)
def solve_block(a, b, out, scratch, n, columns, a_step, a_row, a_column, b_step, b_row, b_column, unit):
    first, target = unit * n * n, unit * n * columns
    for at in range(lane(), n * n, lanes()):
        put_at(scratch, first + at, get(a, unit * a_step + at // n * a_row + at % n * a_column))
    for at in range(lane(), n * columns, lanes()):
        put_at(out, target + at, get(b, unit * b_step + at // columns * b_row + at % columns * b_column))
    pivot = shared_int64(1, 0)
    barrier()
    for k in range(n):
        if lane() == 0:
            best, largest = k, abs(get(scratch, first + k * n + k))
            for i in range(k + 1, n):
                size = abs(get(scratch, first + i * n + k))
                if size > largest:
                    best, largest = i, size
            write(pivot, 0, best)
        barrier()
        row, other = first + k * n, first + read(pivot, 0) * n
        below, beside = target + k * columns, target + read(pivot, 0) * columns
        if row != other:
            for j in range(lane(), n, lanes()):
                value = get(scratch, row + j)
                put_at(scratch, row + j, get(scratch, other + j))
                put_at(scratch, other + j, value)
            for j in range(lane(), columns, lanes()):
                value = get(out, below + j)
                put_at(out, below + j, get(out, beside + j))
                put_at(out, beside + j, value)
        barrier()
        d = get(scratch, row + k)
        for i in range(k + 1 + lane(), n, lanes()):
            put_at(scratch, first + i * n + k, get(scratch, first + i * n + k) / d)
        barrier()
        left = n - k - 1
        for at in range(lane(), left * left, lanes()):
            i, j = first + (k + 1 + at // left) * n, k + 1 + at % left
            put_at(scratch, i + j, get(scratch, i + j) - get(scratch, i + k) * get(scratch, row + j))
        for at in range(lane(), left * columns, lanes()):
            i, j = k + 1 + at // columns, at % columns
            own = target + i * columns + j
            put_at(out, own, get(out, own) - get(scratch, first + i * n + k) * get(out, below + j))
        barrier()
    for step in range(n):
        k = n - 1 - step
        for j in range(lane(), columns, lanes()):
            put_at(out, target + k * columns + j, get(out, target + k * columns + j) / get(scratch, first + k * n + k))
        barrier()
        for at in range(lane(), k * columns, lanes()):
            i, j = at // columns, at % columns
            own = target + i * columns + j
            put_at(out, own, get(out, own) - get(scratch, first + i * n + k) * get(out, target + k * columns + j))
        barrier()


@solve_triangular.block_kernel(triangular, stacked=True)
def solve_triangular_block(
    a, b, out, n, columns, lower, transposed, a_step, a_row, a_column, b_step, b_row, b_column, unit
):
    matrix, target = unit * a_step, unit * n * columns
    for at in range(lane(), n * columns, lanes()):
        put_at(out, target + at, get(b, unit * b_step + at // columns * b_row + at % columns * b_column))
    barrier()
    for step in range(n):
        row, low = n - 1 - step, 0
        if lower != transposed:
            row, low = step, step + 1
        for j in range(lane(), columns, lanes()):
            own = target + row * columns + j
            put_at(out, own, get(out, own) / get(a, matrix + row * a_row + row * a_column))
        barrier()
        for at in range(lane(), (n - 1 - step) * columns, lanes()):
            i, j = low + at // columns, at % columns
            place = matrix + i * a_row + row * a_column
            if transposed == 1:
                place = matrix + row * a_row + i * a_column
            own = target + i * columns + j
            put_at(out, own, get(out, own) - get(a, place) * get(out, target + row * columns + j))
        barrier()


@cumsum.block_kernel(scans)
def cumsum_block(x, out, n, inner, unit):
    first = unit // inner * n * inner + unit % inner
    piece = (n + lanes() - 1) // lanes()
    low, high = min(lane() * piece, n), min(lane() * piece + piece, n)
    ends = shared_as(out, 1024, 0)
    total = element(out, 0)
    for t in range(low, high):
        total = total + get(x, first + t * inner)
    write(ends, lane(), total)
    barrier()
    total = element(out, 0)
    for before in range(lane()):
        total = total + read(ends, before)
    for t in range(low, high):
        total = total + get(x, first + t * inner)
        put_at(out, first + t * inner, total)


@cumprod.block_kernel(scans)
def cumprod_block(x, out, n, inner, unit):
    first = unit // inner * n * inner + unit % inner
    piece = (n + lanes() - 1) // lanes()
    low, high = min(lane() * piece, n), min(lane() * piece + piece, n)
    ends = shared_as(out, 1024, 0)
    total = element(out, 1)
    for t in range(low, high):
        total = total * get(x, first + t * inner)
    write(ends, lane(), total)
    barrier()
    total = element(out, 1)
    for before in range(lane()):
        total = total * read(ends, before)
    for t in range(low, high):
        total = total * get(x, first + t * inner)
        put_at(out, first + t * inner, total)


@recurrence.block_kernel(scans)
def recurrence_block(a, b, out, n, inner, unit):
    # a piece is the map y -> factor y + rest; the pieces before a thread's own are applied one after another
    first = unit // inner * n * inner + unit % inner
    piece = (n + lanes() - 1) // lanes()
    low, high = min(lane() * piece, n), min(lane() * piece + piece, n)
    factors, rests = shared_as(out, 1024, 0), shared_as(out, 1024, 1)
    factor, rest = element(out, 1), element(out, 0)
    for t in range(low, high):
        now = get(a, first + t * inner)
        if t == low:
            factor, rest = now, get(b, first + t * inner)
        else:
            factor, rest = now * factor, now * rest + get(b, first + t * inner)
    write(factors, lane(), factor)
    write(rests, lane(), rest)
    barrier()
    y = element(out, 0)
    for before in range(lane()):
        # a product of factors may be inf where none of the steps would be: it must not meet a 0
        y = read(rests, before) if y == 0 else read(factors, before) * y + read(rests, before)
    for t in range(low, high):
        y = get(b, first) if t == 0 else get(a, first + t * inner) * y + get(b, first + t * inner)
        put_at(out, first + t * inner, y)


@argmax.block_kernel(scans)
def argmax_block(x, out, n, inner, unit):
    first = unit // inner * n * inner + unit % inner
    best, found = get(x, first), 0
    for t in range(lane(), n, lanes()):
        value = get(x, first + t * inner)
        if best == best and ((value > best) or value != value):
            best, found = value, t
    values, places = shared_as(x, 1024, 0), shared_int64(1024, 1)
    write(values, lane(), best)
    write(places, lane(), found)
    barrier()
    if lane() == 0:
        for other in range(1, lanes()):
            value, place = read(values, other), read(places, other)
            later = place > found
            if value != value:
                if best == best or not later:
                    best, found = value, place
            elif best == best and (value > best or (value == best and not later)):
                best, found = value, place
        put_at(out, unit, found)
    barrier()


@argmin.block_kernel(scans)
def argmin_block(x, out, n, inner, unit):
    first = unit // inner * n * inner + unit % inner
    best, found = get(x, first), 0
    for t in range(lane(), n, lanes()):
        value = get(x, first + t * inner)
        if best == best and ((value < best) or value != value):
            best, found = value, t
    values, places = shared_as(x, 1024, 0), shared_int64(1024, 1)
    write(values, lane(), best)
    write(places, lane(), found)
    barrier()
    if lane() == 0:
        for other in range(1, lanes()):
            value, place = read(values, other), read(places, other)
            later = place > found
            if value != value:
                if best == best or not later:
                    best, found = value, place
            elif best == best and (value < best or (value == best and not later)):
                best, found = value, place
        put_at(out, unit, found)
    barrier()


def sorted_scans(node):
    """A block for each lane, with memory for the indices and for some that stand for none."""
    extents, count, _ = along(node)
    return extents, count, 2 * max(extents[0], 1)


@argsort.block_kernel(sorted_scans)
def argsort_block(x, out, scratch, n, inner, unit):
    # A bitonic network (Batcher 1968, Sorting networks and their applications) of the pairs (value, index): no two of
    # them are equal, so it is stable.  Indices from n on stand for what is larger than anything.
    first, base, width = unit // inner * n * inner + unit % inner, unit * 2 * n, 1
    while width < n:
        width = width * 2
    for t in range(lane(), width, lanes()):
        put_at(scratch, base + t, t)
    barrier()
    size = 2
    while size <= width:
        step = size // 2
        while step > 0:
            for t in range(lane(), width // 2, lanes()):
                i = t // step * 2 * step + t % step
                a, b = get(scratch, base + i), get(scratch, base + i + step)
                wrong = a > b
                if a < n and b < n:
                    left, right = get(x, first + a * inner), get(x, first + b * inner)
                    if left != left:
                        wrong = right == right or a > b
                    elif right != right:
                        wrong = False
                    else:
                        wrong = left > right or (left == right and a > b)
                if wrong == ((i & size) == 0):
                    put_at(scratch, base + i, b)
                    put_at(scratch, base + i + step, a)
            barrier()
            step = step // 2
        size = size * 2
    for t in range(lane(), n, lanes()):
        put_at(out, first + t * inner, get(scratch, base + t))
