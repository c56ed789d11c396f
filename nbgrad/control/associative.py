"""associative_scan: all prefixes of a sequence by operations of whole arrays, log2 of its length of them in a row."""

from nbgrad import graph, shapes, trees
from nbgrad.array import Array
from nbgrad.errors import ArgumentError, ShapeError, describe


def associative_scan(fn, elems, reverse=False, axis=0):
    """The prefixes ``e0, fn(e0, e1), fn(fn(e0, e1), e2), ...`` of an associative operation.

    `fn` is called on whole slices, some 2 log2(n) times: what is n steps in a row for `scan` is a few launches over
    many elements here, at twice the work (Blelloch 1990, Prefix sums and their applications).

    Parameters
    ----------
    fn : callable
        ``fn(a, b) -> c``, associative, of nests like `elems`, element by element along `axis`.
    elems : array_like or nest
        Arrays of one length along `axis`.
    reverse : bool
        Suffixes from the last element on: ``..., fn(e[n-1], e[n-2]), e[n-1]``.
    axis : int

    Returns
    -------
    Array or nest
        Like `elems`.

    Raises
    ------
    ShapeError
        If arrays have different lengths, or `fn` does not return what is like its arguments.

    Examples
    --------
    >>> import numpy
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> print(ng.associative_scan(np.maximum, ng.asarray([3.0, 1.0, 4.0, 1.0, 5.0])))
    [3. 3. 4. 4. 5.]
    >>> decay, drive = numpy.full(4, 0.5), numpy.ones(4)  # x_t = 0.5 x_(t-1) + 1
    >>> print(ng.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (decay, drive))[1])
    [1.    1.5   1.75  1.875]
    """
    if not callable(fn):
        raise ArgumentError(f"associative_scan: fn must be callable, got {describe(fn)}")
    paths, leaves, structure = trees.flatten_with_paths(elems, "elems")
    arrays = [Array(graph.node_of(a, "associative_scan", f"the array {p}")) for a, p in zip(leaves, paths, strict=True)]
    axes = [shapes.axis(f"associative_scan: {p}", axis, len(a.shape)) for a, p in zip(arrays, paths, strict=True)]
    counts = {p: a.shape[k] for a, p, k in zip(arrays, paths, axes, strict=True)}
    if len(set(counts.values())) != 1:
        listed = "".join(f"\n    {p}: {n}" for p, n in counts.items())
        raise ShapeError(f"associative_scan: arrays need one length along axis {axis}{listed}")

    def every(xs, start, step, count):
        from nbgrad.kernels.shape import slice_

        return [slice_(x, spec=shapes.part(x.shape, k, (start, step, count))) for x, k in zip(xs, axes, strict=True)]

    def combined(a, b):
        made = fn(trees.unflatten(structure, a), trees.unflatten(structure, b))
        found, kind = trees.flatten(made)
        found = [Array(graph.node_of(x, "associative_scan", "a result of fn")) for x in found]
        if kind != structure or [x.shape for x in found] != [x.shape for x in a]:
            raise ShapeError(
                f"associative_scan: fn must return what is like its arguments, with shapes {[x.shape for x in a]}, got "
                f"{[x.shape for x in found]}"
            )
        return found

    def merged(even, odd, count):
        """Elements in turn."""
        from nbgrad.kernels.shape import embed, set_slice

        made = []
        for e, o, k in zip(even, odd, axes, strict=True):
            shape = (*e.shape[:k], count, *e.shape[k + 1 :])
            first, second = (shapes.part(shape, k, (i, 2, x.shape[k])) for i, x in enumerate((e, o)))
            made.append(set_slice(embed(e, shape=shape, spec=first), o, spec=second))
        return made

    def prefixes(xs, count):
        if count < 2:
            return xs
        half = count // 2
        pairs = combined(every(xs, 0, 2, half), every(xs, 1, 2, half))
        odd = prefixes(pairs, half)
        rest = (count - 1) // 2
        even = combined(every(odd, 0, 1, rest), every(xs, 2, 2, rest)) if rest else []
        first = every(xs, 0, 1, 1)
        if rest:
            from nbgrad.kernels.shape import concatenate

            first = [concatenate(f, e, axis=k) for f, e, k in zip(first, even, axes, strict=True)]
        return merged(first, odd, count)

    count = next(iter(counts.values()))
    if reverse and count:
        arrays = every(arrays, count - 1, -1, count)
    found = prefixes(arrays, count)
    if reverse and count:
        found = every(found, count - 1, -1, count)
    return trees.unflatten(structure, found)
