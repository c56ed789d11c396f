"""Colourings: which columns (rows) of a sparse matrix can be computed together.

All columns of one colour are seeded at once; the colouring says that each entry can be read off the results.
"""

import numpy

from nbgrad.sparse import greedy


def of_columns(pattern):
    """Colours of the columns of a pattern, so that columns with a row in common have different ones.

    Up to three orders are tried (as they are, largest degree first, incidence degree), and the fewest colours kept.

    Parameters
    ----------
    pattern : scipy.sparse.csr_array of bool

    Returns
    -------
    numpy.ndarray of int32
        From 0 on; -1 for columns without entries.

    Examples
    --------
    >>> import scipy.sparse
    >>> tridiagonal = scipy.sparse.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(6, 6))
    >>> of_columns(scipy.sparse.csr_array(tridiagonal, dtype=bool))
    array([0, 1, 2, 0, 1, 2], dtype=int32)
    """
    counts = numpy.diff(pattern.indptr).astype(numpy.int64)
    least = at_least(pattern)
    transposed = pattern.T.tocsr()
    entries = numpy.diff(transposed.indptr)
    used = numpy.flatnonzero(entries)
    if least == len(used):  # there is a row that needs all of them
        colours = numpy.full(pattern.shape[1], -1, numpy.int32)
        colours[used] = numpy.arange(len(used))
        return colours
    arrays = pattern.indptr, pattern.indices, transposed.indptr, transposed.indices
    steps = int((counts * counts).sum())
    best = greedy.run(greedy.coloured_columns, steps, *arrays, numpy.arange(pattern.shape[1]))
    enough = least + (steps >= greedy.COMPILED_FROM)  # to compile more loops costs more than one more sweep
    if best.max() + 1 <= enough:
        return best
    degree = greedy.run(greedy.degrees, steps, *arrays)
    best = _better(best, greedy.run(greedy.coloured_columns, steps, *arrays, numpy.argsort(-degree, kind="stable")))
    if best.max() + 1 <= enough:
        return best
    order = greedy.run(greedy.by_incidence, steps, *arrays, degree, numpy.argsort(degree, kind="stable"))
    return _better(best, greedy.run(greedy.coloured_columns, steps, *arrays, order.astype(numpy.int64)))


def at_least(pattern):
    """How many colours the columns of a pattern need at least: the most entries in a row."""
    return int(numpy.diff(pattern.indptr).max(initial=0))


def of_symmetric(pattern):
    """Star colouring of a symmetric pattern: each entry (i, j) can be read off row i or row j of the products.

    Neighbours have different colours, and every path of four vertices has at least three.

    Parameters
    ----------
    pattern : scipy.sparse.csr_array of bool
        Symmetric.

    Returns
    -------
    numpy.ndarray of int32
        From 0 on; -1 for rows without entries.

    Examples
    --------
    >>> import numpy, scipy.sparse
    >>> arrow = numpy.eye(5, dtype=bool)
    >>> arrow[0] = arrow[:, 0] = True
    >>> of_symmetric(scipy.sparse.csr_array(arrow))
    array([0, 1, 1, 1, 1], dtype=int32)
    """
    counts = numpy.diff(pattern.indptr)
    indptr, indices = pattern.indptr, pattern.indices
    reverse = numpy.argsort(indices, kind="stable")
    steps = int((counts.astype(numpy.int64) ** 2).sum())
    best = None
    for order in (numpy.arange(len(counts)), numpy.argsort(-counts, kind="stable")):
        best = _better(best, greedy.run(greedy.coloured_stars, steps, indptr, indices, reverse, order))
    best[counts == 0] = -1
    return best


def _better(best, colours):
    """The one with fewer colours."""
    return colours if best is None or colours.max(initial=-1) < best.max(initial=-1) else best
