"""A plan: seeds of the sweeps by colours, and where in their results the entries of a matrix are."""

import numpy

from nbgrad.sparse import colouring


class Plan:
    """How a matrix with a known pattern is computed.

    Attributes
    ----------
    pattern : scipy.sparse.csr_array of bool
    mode : {"columns", "rows", "symmetric"}
        What is seeded: inputs, outputs, or inputs of a gradient.
    colours : numpy.ndarray
        Of the columns or rows; -1 where there are no entries.
    parts : list of (numpy.ndarray, numpy.ndarray)
        For each colour places of entries in the data of the matrix, and places in the result of its sweep.
    """

    __slots__ = ("colours", "mode", "parts", "pattern")

    def __init__(self, pattern, mode):
        self.pattern = pattern
        if mode == "symmetric":
            self.mode, self.colours = mode, colouring.of_symmetric(pattern)
        else:
            self.mode, self.colours = _fewest(pattern, mode)
        row = numpy.repeat(numpy.arange(pattern.shape[0], dtype=numpy.int32), numpy.diff(pattern.indptr))
        column = pattern.indices
        if self.mode == "rows":
            colour, source = self.colours[row], column
        elif self.mode == "columns":
            colour, source = self.colours[column], row
        else:
            alone = _alone(row, self.colours[column], len(self))
            colour, source = self.colours[numpy.where(alone, column, row)], numpy.where(alone, row, column)
        order = numpy.argsort(colour, kind="stable").astype(numpy.int32)
        ends = numpy.cumsum(numpy.bincount(colour, minlength=len(self)))[:-1]
        self.parts = [(places, source[places]) for places in numpy.split(order, ends)] if len(self) else []

    def __len__(self):
        """How many sweeps there are."""
        return int(self.colours.max(initial=-1)) + 1

    def matrix(self, sweep, dtype):
        """The CSR array, by ``sweep(seed) -> result`` of vectors."""
        from scipy import sparse

        data = numpy.zeros(self.pattern.nnz, dtype)
        for colour, (places, source) in enumerate(self.parts):
            data[places] = sweep(self.colours == colour)[source]
        indices, indptr = self.pattern.indices.copy(), self.pattern.indptr.copy()  # it is the caller's to change
        return sparse.csr_array((data, indices, indptr), shape=self.pattern.shape)


def _fewest(pattern, mode):
    """(mode, colours) of what needs fewer sweeps, if both are allowed; rows are sweeps backwards, which are cheaper."""
    transposed = None if mode == "columns" else pattern.T.tocsr()
    if mode == "columns":
        return mode, colouring.of_columns(pattern)
    if mode == "rows":
        return mode, colouring.of_columns(transposed)
    tried = [("rows", transposed), ("columns", pattern)]
    tried.sort(key=lambda t: colouring.at_least(t[1]))
    mode, first = tried[0]
    best = colouring.of_columns(first)
    other, second = tried[1]
    if colouring.at_least(second) <= best.max(initial=-1):
        colours = colouring.of_columns(second)
        if colours.max(initial=-1) < best.max(initial=-1):
            return other, colours
    return mode, best


def _alone(row, colour, colours):
    """Whether an entry is the only one of its row whose column has its colour."""
    key = row.astype(numpy.int64) * colours + colour
    _, inverse, counts = numpy.unique(key, return_inverse=True, return_counts=True)
    return counts[inverse] == 1
