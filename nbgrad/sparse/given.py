"""Patterns that users give: one matrix, or blocks of matrices for several positions."""

import numpy

from nbgrad.errors import ArgumentError, ShapeError, describe


def blocks(call, value, rows, columns):
    """Rows of boolean CSR arrays; `rows` and `columns` say how many there are, None where there is no tuple."""
    if columns is None:
        return [[_matrix(call, "pattern", value)]]
    if rows is None:
        return [_row(call, "pattern", value, columns)]
    if not isinstance(value, (tuple, list)) or len(value) != rows:
        raise ArgumentError(
            f"{call}: pattern is {describe(value)}, expected a tuple of {rows} rows of {columns} matrices, as "
            "grad_position is a tuple"
        )
    return [_row(call, f"pattern[{i}]", v, columns) for i, v in enumerate(value)]


def _row(call, name, value, columns):
    if not isinstance(value, (tuple, list)) or len(value) != columns:
        raise ArgumentError(
            f"{call}: {name} is {describe(value)}, expected a tuple of {columns} matrices, one for each position"
        )
    return [_matrix(call, f"{name}[{j}]", v) for j, v in enumerate(value)]


def _matrix(call, name, value):
    """A boolean CSR array of its own."""
    from scipy import sparse

    if not sparse.issparse(value):
        try:
            value = numpy.asarray(value)
        except ValueError:
            value = numpy.asarray(None)
        if value.dtype.kind not in "biuf" or value.ndim != 2:
            raise ArgumentError(
                f"{call}: {name} must be a matrix of truth or of numbers, got {describe(value)}; give a SciPy sparse "
                "array or a 2-d NumPy array"
            )
    made = sparse.csr_array(value != 0 if isinstance(value, numpy.ndarray) else value).astype(bool)
    made.sum_duplicates()
    made.eliminate_zeros()
    return made


def checked(call, rows, sizes, symmetric):
    """The blocks as one CSR array, whose shapes are to be these numbers of elements."""
    from scipy import sparse

    several = len(rows) > 1 or len(rows[0]) > 1
    heights, widths = sizes if len(rows) == len(sizes[0]) else ((sum(sizes[0]),), sizes[1])
    for i, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for j, (block, width) in enumerate(zip(row, widths, strict=True)):
            if block.shape != (height, width):
                where = "" if not several else f"[{j}]" if len(rows) == 1 else f"[{i}][{j}]"
                raise ShapeError(
                    f"{call}: pattern{where} has shape {block.shape}, expected {(height, width)}: a row for each "
                    "element of the output and a column for each of the argument, in C order"
                )
    whole = rows[0][0] if not several else sparse.csr_array(sparse.block_array(rows, format="csr"))
    whole.sort_indices()
    if symmetric and (whole != whole.T.tocsr()).nnz:
        raise ShapeError(
            f"{call}: pattern is not symmetric, and Hessians are; give both of (i, j) and (j, i): pattern + pattern.T"
        )
    return whole
