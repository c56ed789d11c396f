"""Boolean sparse matrices that say which inputs an element may depend on: a row for each element of an array.

Rows are moved by arrays of row numbers, in which -1 stands for a row without entries.  Everything is done by whole
arrays: nothing loops over elements.
"""

import numpy

from nbgrad import shapes

#: Entries of one matrix of dependence, beyond which a derivative counts as dense.
MOST = 50_000_000


class TooDense(Exception):
    """A matrix of dependence would have more than `MOST` entries."""


def limited(entries):
    """TooDense for more entries than are worth keeping."""
    if entries > MOST:
        raise TooDense


def matrix(indices, indptr, shape):
    """The boolean CSR array with these column indices, which are sorted and unique in each row."""
    from scipy import sparse

    made = sparse.csr_array((numpy.ones(len(indices), bool), indices, indptr), shape=shape)
    made.has_canonical_format = True
    return made


def itself(count, start, width):
    """`count` elements that are the inputs `start`, `start` + 1, ... of `width`."""
    return matrix(numpy.arange(start, start + count, dtype=numpy.int32), numpy.arange(count + 1, dtype=numpy.int32),
                  (count, width))  # fmt: skip


def nothing(count, width):
    """`count` elements that depend on nothing."""
    return matrix(numpy.zeros(0, numpy.int32), numpy.zeros(count + 1, numpy.int32), (count, width))


def numbers(shape):
    """The numbers of elements, in C order."""
    return numpy.arange(shapes.size(shape)).reshape(shape)


def rows(m, chosen):
    """Rows of `m` by their numbers; -1 is an empty one."""
    chosen = numpy.ravel(chosen)
    limited(numpy.append(numpy.diff(m.indptr), 0)[chosen].sum(dtype=numpy.int64))
    more = matrix(m.indices, numpy.append(m.indptr, m.indptr[-1]), (m.shape[0] + 1, m.shape[1]))
    made = more[chosen]
    made.has_canonical_format = True  # whole rows of a matrix that is
    return made


def union(matrices):
    """Entries of any of the matrices; None for no matrix."""
    total = None
    for m in matrices:
        if m is not None and m is not total:
            if total is not None:
                limited(total.nnz + m.nnz)
            total = m if total is None else total + m
    return total


def gathered(m, groups, count):
    """`count` rows, each the union of the rows of `m` that have its number in `groups`."""
    from scipy import sparse

    row = numpy.repeat(numpy.ravel(groups).astype(numpy.int32), numpy.diff(m.indptr))
    return sparse.coo_array((numpy.ones(len(row), bool), (row, m.indices)), shape=(count, m.shape[1])).tocsr()


def reduced(m, shape, axes):
    """The unions over axes of an array of `shape`, which stay as axes of extent 1."""
    kept = shapes.kept(shape, axes)
    return m if kept == tuple(shape) else gathered(m, numpy.broadcast_to(numbers(kept), shape), shapes.size(kept))


def spread(m, shape, wide):
    """An array of `shape` broadcast to `wide`."""
    return m if shapes.size(shape) == shapes.size(wide) else rows(m, numpy.broadcast_to(numbers(shape), wide))


def window(m, shape, axis, width):
    """Unions of each element and the `width` - 1 before it along an axis."""
    where, length, count = numpy.moveaxis(numbers(shape), axis, 0), 1, shape[axis]
    width = min(width, count)
    while length < width:
        step = min(length, width - length)
        earlier = numpy.full_like(where, -1)
        earlier[step:] = where[: count - step]
        m = union([m, rows(m, numpy.moveaxis(earlier, 0, axis))])
        length += step
    return m
