"""Products of matrices and tensors: all of them become transpose, reshape and one primitive, matmul."""

from nbgrad import shapes
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.kernels import linalg, reduction
from nbgrad.kernels.complex import conjugate
from nbgrad.numpy._arguments import as_array, as_integer, promoted
from nbgrad.numpy.elementwise import conj
from nbgrad.numpy.manipulation import diagonal, ravel, reshape, transpose


def _operands(call, x1, x2):
    return promoted(as_array(x1, call, "x1"), as_array(x2, call, "x2"))


def matmul(x1, x2):
    """Matrix product with NumPy's rank rules: a 1-d operand is a row or a column, leading axes broadcast.

    Parameters
    ----------
    x1, x2 : array_like
        Of any numeric dtype, with at least one dimension each.

    Raises
    ------
    ShapeError
        When the last axis of `x1` and the last but one of `x2` differ, or leading axes do not broadcast.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    Array([3., 7.], shape=(2,), dtype=float64, device=cpu)
    """
    x1, x2 = _operands("matmul", x1, x2)
    for x, name in ((x1, "x1"), (x2, "x2")):
        if x.ndim == 0:
            raise ShapeError(
                f"matmul(x1, x2): {name} has no dimensions; multiply scalars with *\n    {describe(x, name)}"
            )
    along = 0 if x2.ndim == 1 else -2
    if x1.shape[-1] != x2.shape[along]:
        raise ShapeError(
            f"matmul(x1, x2): shapes {x1.shape} and {x2.shape} do not multiply; the last axis of x1 is "
            f"{x1.shape[-1]}, axis {along} of x2 is {x2.shape[along]}\n"
            f"    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}"
        )
    row, column = x1.ndim == 1, x2.ndim == 1
    a = reshape(x1, (1, *x1.shape)) if row else x1
    b = reshape(x2, (*x2.shape, 1)) if column else x2
    y = linalg.matmul(a, b)
    lead = y.shape[:-2]
    if row and column:
        return reshape(y, lead)
    if row:
        return reshape(y, (*lead, y.shape[-1]))
    return reshape(y, y.shape[:-1]) if column else y


def dot(x1, x2):
    """Dot product: of vectors the sum of products, else over the last axis of x1 and the last but one of x2."""
    x1, x2 = _operands("dot", x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    if x2.ndim <= 2:
        return matmul(x1, x2)
    return tensordot(x1, x2, ((-1,), (-2,)))


def vdot(x1, x2):
    """Sum of the products of all elements, of complex ones of x1 the conjugates."""
    return matmul(conj(ravel(x1)), ravel(x2))


def vecdot(x1, x2, *, axis=-1):
    """Sum of products along one axis, of complex elements of x1 the conjugates; the other axes broadcast."""
    from nbgrad.numpy.manipulation import moveaxis

    x1, x2 = _operands("vecdot", x1, x2)
    n, m = (x.shape[shapes.axis("vecdot", axis, x.ndim)] for x in (x1, x2))
    if n != m:
        raise ShapeError(f"vecdot: axis {axis} has extents {n} and {m}, which must be equal")
    product = moveaxis(conj(x1), axis, -1) * moveaxis(x2, axis, -1)
    return reduction.sum(product, axes=(product.ndim - 1,))


def matvec(x1, x2):
    """Products of matrices, the last two axes of x1, and vectors, the last axis of x2; leading axes broadcast."""
    return _with_vectors("matvec", x1, x2)


def vecmat(x1, x2):
    """Products of vectors, conjugated, and matrices, the last two axes of x2; leading axes broadcast."""
    return _with_vectors("vecmat", x1, x2)


def _with_vectors(call, x1, x2):
    x1, x2 = _operands(call, x1, x2)
    vector, matrix, along = (x2, x1, -1) if call == "matvec" else (x1, x2, -2)
    if vector.ndim < 1 or matrix.ndim < 2 or vector.shape[-1] != matrix.shape[along]:
        raise ShapeError(
            f"{call}(x1, x2): shapes {x1.shape} and {x2.shape} do not multiply; expected "
            f"{'(..., m, n) and (..., n)' if call == 'matvec' else '(..., n) and (..., n, m)'}\n"
            f"    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}"
        )
    if call == "matvec":
        return reshape(y := linalg.matmul(x1, reshape(x2, (*x2.shape, 1))), y.shape[:-1])
    row = reshape(conjugate(x1) if x1.dtype.kind == "c" else x1, (*x1.shape[:-1], 1, x1.shape[-1]))
    return reshape(y := linalg.matmul(row, x2), (*y.shape[:-2], y.shape[-1]))


def einsum_path(subscripts, *operands, optimize="greedy"):
    """An order of contractions for `einsum`, and a report: those of `numpy.einsum_path`, which needs shapes only."""
    import numpy

    shown = [
        numpy.broadcast_to(0.0, as_array(x, "einsum_path", f"operands[{i}]").shape) for i, x in enumerate(operands)
    ]
    return numpy.einsum_path(subscripts, *shown, optimize=optimize)


def inner(x1, x2):
    """Sum of products over the last axes."""
    x1, x2 = _operands("inner", x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        return x1 * x2
    return tensordot(x1, x2, ((-1,), (-1,)))


def outer(x1, x2):
    """Products of every element of x1 with every element of x2, a matrix."""
    return reshape(ravel(x1), (-1 if as_array(x1, "outer").size else 0, 1)) * ravel(x2)


def kron(x1, x2):
    """Kronecker product."""
    x1, x2 = _operands("kron", x1, x2)
    rank = max(x1.ndim, x2.ndim)
    a, b = (1,) * (rank - x1.ndim) + x1.shape, (1,) * (rank - x2.ndim) + x2.shape
    product = reshape(x1, tuple(m for n in a for m in (n, 1))) * reshape(x2, tuple(m for n in b for m in (1, n)))
    return reshape(product, tuple(n * m for n, m in zip(a, b, strict=True)))


def cross(x1, x2, axis=-1):
    """Cross product of vectors of 3 components along an axis."""
    from nbgrad.numpy.manipulation import moveaxis, stack

    x1, x2 = (moveaxis(x, axis, 0) for x in _operands("cross", x1, x2))
    if x1.shape[0] != 3 or x2.shape[0] != 3:
        raise ShapeError(f"cross: axis {axis} must have extent 3, got {x1.shape[0]} and {x2.shape[0]}")
    (a0, a1, a2), (b0, b1, b2) = x1, x2
    return moveaxis(stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]), 0, axis)


def tensordot(x1, x2, axes=2):
    """Sum of products over axes of x1 and axes of x2.

    Parameters
    ----------
    x1, x2 : array_like
    axes : int or pair of sequences of int
        The last `axes` of x1 with the first of x2, or the axes of each, in matching order.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    x1, x2 = _operands("tensordot", x1, x2)
    if isinstance(axes, (tuple, list)):
        first, second = (tuple(a) if isinstance(a, (tuple, list)) else (a,) for a in axes)
    else:
        n = as_integer(axes, "tensordot", "axes")
        if not 0 <= n <= min(x1.ndim, x2.ndim):
            raise ShapeError(f"tensordot: {n} axes of arrays with {x1.ndim} and {x2.ndim} dimensions")
        first, second = tuple(range(x1.ndim - n, x1.ndim)), tuple(range(n))
    first = tuple(shapes.axis("tensordot", a, x1.ndim) for a in first)
    second = tuple(shapes.axis("tensordot", a, x2.ndim) for a in second)
    summed = tuple(x1.shape[a] for a in first)
    if summed != tuple(x2.shape[a] for a in second):
        raise ShapeError(
            f"tensordot: axes {first} of x1 have extents {summed}, axes {second} of x2 have "
            f"{tuple(x2.shape[a] for a in second)}\n    {describe(x1, 'x1')}\n    {describe(x2, 'x2')}"
        )
    free1 = tuple(a for a in range(x1.ndim) if a not in first)
    free2 = tuple(a for a in range(x2.ndim) if a not in second)
    shape1, shape2 = tuple(x1.shape[a] for a in free1), tuple(x2.shape[a] for a in free2)
    k = shapes.size(summed)
    left = reshape(transpose(x1, free1 + first), (shapes.size(shape1), k))
    right = reshape(transpose(x2, second + free2), (k, shapes.size(shape2)))
    return reshape(linalg.matmul(left, right), shape1 + shape2)


# ---------------------------------------------------------------- einsum


def einsum(subscripts, *operands):
    """Sum of products in Einstein's notation, of any number of operands.

    Repeated labels, implicit output, ellipsis and extents of 1 that broadcast mean what they mean in NumPy.
    Operands are multiplied two at a time, the pair with the smallest product first.

    Parameters
    ----------
    subscripts : str
        As ``"ij,jk->ik"``; or operands and lists of integer labels may alternate.
    operands : array_like

    Raises
    ------
    ArgumentError
        When the subscripts make no sense.
    ShapeError
        When a label has two extents, or an operand other dimensions than its subscripts say.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.einsum("ij,ij->i", np.ones((2, 3)), np.ones((2, 3)))
    Array([3., 3.], shape=(2,), dtype=float64, device=cpu)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    arrays = promoted(*(as_array(x, "einsum", f"operands[{i}]") for i, x in enumerate(operands)))
    inputs, output = _parse(subscripts, arrays)
    extents = {}
    for labels, x in zip(inputs, arrays, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            known = extents.setdefault(label, n)
            if known == 1:
                extents[label] = n
            elif n not in (1, known):
                raise ShapeError(f"einsum({subscripts!r}): label {_shown(label)} has extents {known} and {n}")
    terms = [_distinct(x, labels, extents) for x, labels in zip(arrays, inputs, strict=True)]
    while len(terms) > 1:
        i, j = _next_pair(terms, output, extents)
        b, a = terms.pop(j), terms.pop(i)
        needed = set(output).union(*(labels for _, labels in terms))
        terms.append(_product(*a, *b, needed))
    x, labels = _summed(*terms[0], set(output))
    return _arranged(x, labels, output)


def _from_lists(arguments):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def text(labels):
        return "".join("..." if label is Ellipsis else letters[label] for label in labels)

    pairs, output = divmod(len(arguments), 2)
    spec = ",".join(text(arguments[2 * i + 1]) for i in range(pairs))
    return spec + (f"->{text(arguments[-1])}" if output else ""), arguments[0 : 2 * pairs : 2]


def _shown(label):
    return repr(label) if isinstance(label, str) else "..."


def _parse(subscripts, arrays):
    """Label lists of the inputs and of the output; dimensions of an ellipsis are ("...", -1), ("...", -2)."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(arrays):
        raise ArgumentError(f"einsum({subscripts!r}): {len(parts)} subscripts for {len(arrays)} operands")
    inputs = []
    for i, (part, x) in enumerate(zip(parts, arrays, strict=True)):
        named = len(part.replace("...", ""))
        if named > x.ndim or ("..." not in part and named != x.ndim):
            raise ShapeError(
                f"einsum({subscripts!r}): operand {i} has {x.ndim} dimensions, its subscripts {part!r} name {named}; "
                f"{describe(x, f'operands[{i}]')}"
            )
        inputs.append(_labels(part, x.ndim - named, subscripts))
    widest = max((len([1 for label in labels if not isinstance(label, str)]) for labels in inputs), default=0)
    if arrow:
        output = _labels(right, widest, subscripts)
        known = {label for labels in inputs for label in labels}
        for label in output:
            if label not in known or output.count(label) > 1:
                problem = "is in no operand" if label not in known else "stands twice in the output"
                raise ArgumentError(f"einsum({subscripts!r}): label {_shown(label)} {problem}")
    else:
        every = [label for labels in inputs for label in labels if isinstance(label, str)]
        output = _labels("...", widest, subscripts) + sorted(c for c in set(every) if every.count(c) == 1)
    return inputs, output


def _labels(part, hidden, subscripts):
    head, dots, tail = part.partition("...")
    if not (head + tail).isalpha() and head + tail:
        raise ArgumentError(f"einsum({subscripts!r}): {part!r} holds more than letters and one ellipsis")
    return [*head, *((("...", i - hidden) for i in range(hidden)) if dots else ()), *tail]


def _distinct(x, labels, extents):
    """An operand whose labels are all different, and without axes of extent 1 that broadcast."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"einsum: label {_shown(label)} has extents {x.shape[first]} and {x.shape[second]} in one operand"
                )
            x = diagonal(x, 0, first, second)
            del labels[second], labels[first]
            labels.append(label)
    kept = [i for i, label in enumerate(labels) if x.shape[i] == extents[label]]
    return reshape(x, tuple(x.shape[i] for i in kept)), [labels[i] for i in kept]


def _next_pair(terms, output, extents):
    if len(terms) == 2:
        return 0, 1
    best = None
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            rest = set(output).union(*(labels for k, (_, labels) in enumerate(terms) if k not in (i, j)))
            both = set(terms[i][1]) | set(terms[j][1])
            cost = shapes.size(extents[label] for label in both & rest), shapes.size(extents[label] for label in both)
            if best is None or cost < best[0]:
                best = cost, (i, j)
    return best[1]


def _summed(x, labels, needed):
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    return (reduction.sum(x, axes=axes) if axes else x), [label for label in labels if label in needed]


def _arranged(x, labels, order):
    return transpose(x, tuple(labels.index(label) for label in order)) if order else x


def _product(x1, labels1, x2, labels2, needed):
    """The product of two terms, summed over the labels that nobody needs any more."""
    x1, labels1 = _summed(x1, labels1, needed | set(labels2))
    x2, labels2 = _summed(x2, labels2, needed | set(labels1))
    shared = [label for label in labels1 if label in labels2]
    batch, summed = [c for c in shared if c in needed], [c for c in shared if c not in needed]
    free1, free2 = [c for c in labels1 if c not in shared], [c for c in labels2 if c not in shared]
    if not summed or not (free1 or free2):
        a, b = _arranged(x1, labels1, batch + summed + free1), _arranged(x2, labels2, batch + summed + free2)
        lead = len(batch) + len(summed)
        a = reshape(a, a.shape + (1,) * len(free2))
        b = reshape(b, b.shape[:lead] + (1,) * len(free1) + b.shape[lead:])
        return _summed(a * b, batch + summed + free1 + free2, needed)
    a, b = _arranged(x1, labels1, batch + free1 + summed), _arranged(x2, labels2, batch + summed + free2)
    nb, k = len(batch), shapes.size(a.shape[len(batch) + len(free1) :])
    rows, columns = a.shape[nb : nb + len(free1)], b.shape[nb + len(summed) :]
    lead = a.shape[:nb]
    y = linalg.matmul(reshape(a, (*lead, shapes.size(rows), k)), reshape(b, (*lead, k, shapes.size(columns))))
    return reshape(y, (*lead, *rows, *columns)), batch + free1 + free2
