"""Reductions of runs of rows by any function of two arguments; what `reduce`, `reduceat` and `at` are made of."""

import numpy

from nbgrad.kernels import indexing as kernels
from nbgrad.numpy._arguments import leaf
from nbgrad.numpy.manipulation import concatenate, part, stack


def reduced(function, rows, lengths, associative):
    """``function(function(r0, r1), r2) ...`` over the rows of each run.

    Parameters
    ----------
    function : callable
        Of two Arrays of the dtype of `rows`; it returns that dtype.
    rows : Array
        The runs, one after another along the first axis.
    lengths : ndarray of int
        How many rows each run has, at least 1.
    associative : bool
        Neighbours are joined in pairs, in as many steps as the longest length has bits; else one after another.

    Returns
    -------
    Array
        A row for each run.
    """
    return (_pairwise if associative else _in_order)(function, rows, lengths)


def _pairwise(function, rows, lengths):
    while len(lengths) and lengths.max() > 1:
        place = _places(lengths)
        even = place % 2 == 0
        partner = numpy.zeros(len(place), bool)
        partner[:-1] = place[1:] == place[:-1] + 1
        first = numpy.flatnonzero(even & partner)
        alone = numpy.flatnonzero(even & ~partner)
        joined = function(_rows(rows, first), _rows(rows, first + 1))
        if len(alone):
            order = numpy.argsort(numpy.concatenate([first, alone]), kind="stable")
            rows = _rows(concatenate([joined, _rows(rows, alone)]), order)
        else:
            rows = joined
        lengths = (lengths + 1) // 2
    return rows


def _in_order(function, rows, lengths):
    starts = numpy.cumsum(lengths) - lengths
    total = _rows(rows, starts)
    for step in range(1, lengths.max() if len(lengths) else 0):
        longer = numpy.flatnonzero(lengths > step)
        made = function(_rows(total, longer), _rows(rows, starts[longer] + step))
        total = made if len(longer) == len(lengths) else kernels.put(total, leaf(longer), made, axis=0)
    return total


def _places(lengths):
    """The place of every row in its run."""
    return numpy.arange(lengths.sum()) - numpy.repeat(numpy.cumsum(lengths) - lengths, lengths)


def _rows(x, at):
    return kernels.take(x, leaf(at), axis=0)


def accumulated(function, rows, associative):
    """The results of `reduced` after every row; associative ones by doubling the reach of each step."""
    n = rows.shape[0]
    if not associative:
        made = [rows[i] for i in range(n)]
        for i in range(1, n):
            made[i] = function(made[i - 1], made[i])
        return stack(made) if made else rows
    reach = 1
    while reach < n:
        joined = function(part(rows, 0, 0, n - reach), part(rows, 0, reach, n))
        rows = concatenate([part(rows, 0, 0, reach), joined])
        reach *= 2
    return rows
