"""vmap: the graph of one example, rewritten as a graph of all of them."""

import functools

from nbgrad import conversions, effects, graph, shapes, trees
from nbgrad.array import Array
from nbgrad.batching import rules
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.graph import Node
from nbgrad.pickling import remember


def vmap(fn, in_axes=0, out_axes=0, axis_size=None):
    """A function of one example as a function of many.

    `fn` is run once, on Arrays that stand for one example and have no values, and each operation of its graph is
    replaced by one on all examples: a product of a vector and a matrix becomes a product of matrices.  Nothing loops,
    but for operations that have no such form (`numpy.convolve`, least squares, kernels of users that declare none),
    which are applied to one example after another.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them (dict, list, tuple, dataclass).
    in_axes : int, None, or nest of these
        The axis of the examples in each argument; None for an argument, or a part of one, that all examples share.  A
        tuple has an entry for each positional argument, each an axis or a nest that begins like the argument.
        Keyword arguments have their examples along axis 0.
    out_axes : int, None, or nest of these
        Where results get that axis.  None: a result that is the same for all examples, without an axis of them.
    axis_size : int, optional
        How many examples there are, where no argument says so.

    Returns
    -------
    callable
        Of the arguments of `fn` with one more axis.

    Raises
    ------
    ShapeError
        If arguments have different numbers of examples, or no such axis.
    TracedValueError
        If `fn` reads a value that depends on the example (``if x > 0``, ``float(x)``).

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> x = ng.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> ng.vmap(lambda row, w: np.dot(row, w), in_axes=(0, None))(x, ng.asarray([10.0, 1.0]))
    Array([12., 34.], shape=(2,), dtype=float64, device=cpu)

    A gradient for each example:

    >>> ng.vmap(ng.grad(lambda row: np.sum(row**2)))(x)
    Array([[2., 4.],
           [6., 8.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    if not callable(fn):
        raise ArgumentError(f"vmap: fn must be callable, got {describe(fn)}")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    _check_axes("in_axes", in_axes)
    _check_axes("out_axes", out_axes)

    @functools.wraps(fn, updated=())
    def mapped(*args, **kwargs):
        leaves, structure, axes, paths = _arguments(args, kwargs, in_axes)
        nodes, size = _examples(leaves, axes, paths, axis_size)
        with effects.outermost() as results:
            out, outputs, stacked = _run(fn, structure, leaves, nodes, size)
            results += outputs
        return _results(out, outputs, stacked, size, out_axes)

    mapped.__name__ = mapped.__qualname__ = f"vmap_of_{getattr(fn, '__name__', type(fn).__name__)}"
    mapped.__doc__ = f"What nbgrad.vmap made of {getattr(fn, '__name__', type(fn).__name__)}."
    return remember(mapped, vmap, fn, in_axes=in_axes, out_axes=out_axes, axis_size=axis_size)


def _check_axes(name, axes):
    for path, leaf in zip(*trees.flatten_with_paths(axes, name)[:2], strict=True):
        if leaf is not None and (isinstance(leaf, bool) or not isinstance(leaf, int)):
            raise ArgumentError(f"vmap: {path} must be an int or None, got {describe(leaf)}")


def _arguments(args, kwargs, in_axes):
    """Leaves of the arguments, their structure, and for each leaf its axis and what it is called."""
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ArgumentError(
            f"vmap: in_axes has {len(in_axes)} entries for {len(args)} positional arguments; give one for each"
        )
    leaves, structure = trees.flatten((args, kwargs))
    try:
        axes = trees.spread(in_axes, args)
    except ValueError as error:
        raise ArgumentError(f"vmap: in_axes {in_axes!r} does not fit the arguments: {error}") from None
    return leaves, structure, axes + [0] * (len(leaves) - len(axes)), trees.argument_paths((args, kwargs))


def _examples(leaves, axes, paths, axis_size):
    """For each leaf the node with its examples along the first axis, or None for a shared one; how many there are."""
    found, sizes = [], {} if axis_size is None else {"axis_size": axis_size}
    for leaf, axis, path in zip(leaves, axes, paths, strict=True):
        if axis is None:
            found.append(None)
            continue
        node = graph.node_of(leaf, "vmap", path)
        if not node.shape:
            raise ShapeError(
                f"vmap: {path} has no axis of examples, it is a single number; say in_axes=None for what all examples "
                f"share\n    {describe(node, path)}"
            )
        axis = shapes.axis(f"vmap: {path}", axis, len(node.shape))
        sizes[path] = node.shape[axis]
        found.append(_moved(node, axis, 0))
    if not sizes:
        raise ArgumentError("vmap: no argument has an axis of examples; give axis_size")
    if len(set(sizes.values())) > 1:
        listed = "".join(f"\n    {path}: {n}" for path, n in sizes.items())
        raise ShapeError(f"vmap: arguments have different numbers of examples{listed}")
    return found, next(iter(sizes.values()))


def _moved(node, source, target):
    """A node with an axis at another place."""
    order = [a for a in range(len(node.shape)) if a != source]
    order.insert(target, source)
    if order == sorted(order):
        return node
    from nbgrad.kernels.shape import transpose

    return graph.structural(transpose, (node,), {"axes": tuple(order)})


def _run(fn, structure, leaves, nodes, size):
    """What `fn` returns of one example, its nodes as those of all examples, and which of them depend on the example."""
    operands = [n for n in nodes if n is not None]
    placeholders = []
    for n in operands:
        placeholder = Node(None, (), (), n.shape[1:], n.dtype, None, True, n.site)
        placeholder.note(transform="vmap", device=n.fact("device"))
        placeholders.append(placeholder)
    fresh = iter(placeholders)
    args, kwargs = trees.unflatten(
        structure, [x if n is None else Array(next(fresh)) for x, n in zip(leaves, nodes, strict=True)]
    )
    with conversions.tracing():
        out = fn(*args, **kwargs)
    results = trees.flatten(out)[0]
    outputs = [graph.node_of(r, "vmap", "a result of fn") for r in results]
    return out, *rules.of_graph(outputs, placeholders, operands, size)


def _results(out, outputs, stacked, size, out_axes):
    """The nest that `fn` returned, with all examples."""
    paths, _, structure = trees.flatten_with_paths(out, "result")
    try:
        axes = trees.spread(out_axes, out)
    except ValueError as error:
        raise ArgumentError(f"vmap: out_axes {out_axes!r} does not fit what fn returned: {error}") from None
    answers = []
    for node, many, axis, path in zip(outputs, stacked, axes, paths, strict=True):
        if axis is None:
            if many:
                raise ArgumentError(
                    f"vmap: out_axes is None for {path}, which depends on the example; give its examples an axis\n"
                    f"    {describe(node, path)}"
                )
        else:
            node = node if many else rules.everywhere(node, size)
            node = _moved(node, 0, shapes.axis(f"vmap: out_axes of {path}", axis, len(node.shape)))
        answers.append(Array(node))
    return trees.unflatten(structure, answers)
