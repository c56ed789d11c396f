"""jvp, vjp and Jacobians.

There is one VJP rule a primitive and no forward rule: a pullback is linear in its seeds, so the pullback of the
pullback is the pushforward.
"""

import numpy

from nbgrad import dtypes, graph, shapes, trees
from nbgrad.array import Array
from nbgrad.autodiff import backward
from nbgrad.autodiff.arguments import ready, seed
from nbgrad.autodiff.grad import Options
from nbgrad.autodiff.inputs import Inputs
from nbgrad.autodiff.outputs import check_holomorphic, collect, first_output, rebuilt
from nbgrad.errors import ArgumentError, DtypeError, GradientError, describe
from nbgrad.graph import Node, state
from nbgrad.runtime.evaluate import realize


def jvp(fn, inputs, v, has_aux=False):
    """The value of `fn`, and its derivative in the direction `v`.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays.
    inputs, v : array_like, or tuple of array_like
        Arguments of `fn`, and a tangent of the same shape and dtype for each.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.

    Returns
    -------
    value, tangent : Array, or in the structure that `fn` returns
    aux
        With `has_aux` only: one auxiliary value bare, several as a tuple.

    Examples
    --------
    >>> import nbgrad as ng
    >>> value, tangent = ng.jvp(lambda x: x * x, ng.asarray([1.0, 2.0]), ng.asarray([1.0, 10.0]))
    >>> tangent
    Array([ 2., 40.], shape=(2,), dtype=float64, device=cpu)
    """
    items, directions = _as_tuple(inputs), _as_tuple(v)
    if len(items) != len(directions):
        raise GradientError(f"jvp: {len(directions)} tangents for {len(items)} inputs; give one for each")
    call = Call("jvp", fn, items, has_aux)
    tangents = pushed_tangents("jvp", directions, call.inputs, "v")
    ready(tangents)
    arrays, found = call.inputs.pulled(call.floating, tangents, call.nodes, call.inputs.pushed)
    moved = iter(found)
    tangent = rebuilt(
        call.first,
        iter([next(moved) if dtypes.is_inexact(n.dtype) else Array(backward.zeros(n)) for n in call.outputs]),
    )
    return call.answer(arrays, tangent)


def pushed_tangents(call, directions, inputs, name):
    """The nodes of tangents, one for each input, which are nests where those are."""
    tangents, at = [], 0
    for i, (direction, tree) in enumerate(zip(directions, inputs.trees, strict=True)):
        paths, leaves, structure = [f"{name}[{i}]"], [direction], None
        if tree is not None:
            paths, leaves, structure = trees.flatten_with_paths(direction, f"{name}[{i}]")
            if structure != tree[0]:
                raise GradientError(
                    f"{call}: {name}[{i}] must be a nest like inputs[{i}]\n    {name}[{i}]: {structure}\n"
                    f"    inputs[{i}]: {tree[0]}"
                )
        for path, leaf in zip(paths, leaves, strict=True):
            tangents.append(seed(call, path, leaf, inputs.wrappers[at], f"inputs{path[len(name) :]}"))
            at += 1
    return tangents


def vjp(fn, *inputs, weights=None, has_aux=False):
    """The value of `fn`, and a function that pulls cotangents of its outputs back to its inputs.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays.
    *inputs : array_like
        Arguments of `fn`, all of them differentiated.
    weights : Parameter, or sequence of Parameter, optional
        Arrays that `fn` closes over to pull back to as well.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.

    Returns
    -------
    value : Array, or in the structure that `fn` returns
    pull_back : callable
        Takes one seed for each output, returns a tuple with one gradient for each input; with `weights`
        that tuple and the gradients of the weights.  It may be called any number of times, in any order
        with others.
    aux
        With `has_aux` only: one auxiliary value bare, several as a tuple.

    Examples
    --------
    >>> import nbgrad as ng
    >>> value, pull_back = ng.vjp(lambda x, y: x * y, ng.asarray([1.0, 2.0]), ng.asarray([3.0, 4.0]))
    >>> pull_back(ng.asarray([1.0, 10.0]))[0]
    Array([ 3., 40.], shape=(2,), dtype=float64, device=cpu)
    """
    call = Call("vjp", fn, inputs, has_aux, weights)
    own = call.inputs

    def pull_back(*seeds):
        flat = []
        collect(seeds, flat)
        seeds = flat
        if len(seeds) != len(call.outputs):
            raise GradientError(
                f"vjp: the pull-back takes {len(call.outputs)} seeds, one for each output, got {len(seeds)}"
            )
        nodes = [
            seed("vjp", f"seed {i}", s, y, f"output {i}")
            for i, (s, y) in enumerate(zip(seeds, call.outputs, strict=True))
        ]
        nodes = [s for s, y in zip(nodes, call.outputs, strict=True) if dtypes.is_inexact(y.dtype)]
        ready(nodes)
        _, found = own.pulled(call.floating, nodes)
        return call.options.assemble(own, found, collapse=False)

    return call.answer(call.values(), pull_back)


def jacrev(fn, grad_position=0, has_aux=False, *, holomorphic=False):
    """A function that computes the Jacobian of `fn`, one pass for each element of the outputs.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays.
    grad_position : int or tuple of int
        As for `grad`.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.
    holomorphic : bool
        `fn` is a holomorphic function of complex numbers: its complex derivative is computed.  Otherwise outputs
        must be real (`jacfwd`: the inputs), and rows for complex inputs are gradients as `grad` gives them.

    Returns
    -------
    callable
        Returns the Jacobian, of the shape of the output followed by that of the input; a tuple for several
        positions; in the structure of the outputs if there are several.  With `has_aux`: ``(that, aux)``.

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.jacrev(lambda x: x * x)(ng.asarray([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    return jacobian_of("jacrev", fn, grad_position, has_aux, holomorphic, _rows)


def jacfwd(fn, grad_position=0, has_aux=False, *, holomorphic=False):
    """A function that computes the Jacobian of `fn`, one pass for each element of the inputs.

    Parameters and results are those of `jacrev`; this one is cheaper where inputs are smaller than outputs.

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.jacfwd(lambda x: x * x)(ng.asarray([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    return jacobian_of("jacfwd", fn, grad_position, has_aux, holomorphic, _columns)


class Call:
    """One run of `fn` with all its outputs taken apart."""

    def __init__(self, name, fn, items, has_aux, weights=None, positions=None):
        if not items and weights is None:
            raise GradientError(f"{name}: there are no inputs to differentiate by")
        positions = (tuple(range(len(items))) or None) if positions is None else positions
        self.options = options = Options(name, fn, positions, weights, has_aux, False, False)
        self.inputs = Inputs(name, items, options.positions, options.distinct)
        self.out, self.nodes = self.inputs.run(fn, None, options.distinct)
        self.has_aux = options.has_aux
        self.first, count = self.out, len(self.nodes)
        if self.has_aux:
            self.first, count = first_output(name, self.out)
        self.outputs = self.nodes[:count]
        if not self.outputs:
            raise ArgumentError(f"{name}: fn returned no Array to differentiate but {describe(self.first)}")
        self.floating = [n for n in self.outputs if dtypes.is_inexact(n.dtype)]

    def values(self):
        """Arrays of what fn returned: computed at the outermost level, lazy inside a transform."""
        if not self.inputs.now or state.tracked:
            return [Array(n) for n in self.nodes]
        realize([*self.nodes, *([] if self.inputs.effect is None else [self.inputs.effect])])
        lost = {"forgotten": self.options.call, "origins": graph.origins(self.inputs.originals)}
        arrays = [Array(graph.leaf(n.value)) for n in self.nodes]
        for a in arrays:
            a._node.info = lost
        return arrays

    def answer(self, arrays, *more):
        """(value, *more[, aux]) with `arrays` in place of those that fn returned."""
        arrays = iter(arrays)
        value = rebuilt(self.first, arrays)
        return (value, *more, self.aux(arrays)) if self.has_aux else (value, *more)

    def aux(self, arrays):
        """What fn returned behind its first output."""
        aux = tuple(rebuilt(o, arrays) for o in self.out[1:])
        return aux[0] if len(aux) == 1 else aux


def jacobian_of(name, fn, grad_position, has_aux, holomorphic, fill):
    Options(name, fn, grad_position, None, has_aux, False, False, holomorphic)

    def jacobian(*args):
        options = Options(name, fn, grad_position, None, has_aux, False, False, holomorphic)
        call = Call(name, fn, args, has_aux, positions=options.positions)
        for i, y in enumerate(call.outputs):
            if not dtypes.is_inexact(y.dtype):
                raise DtypeError(
                    f"{name}: output {i} has dtype {y.dtype} and no derivative; hand it back with has_aux=True"
                )
        if holomorphic:
            check_holomorphic(name, call.outputs, call.inputs.wrappers)
        matrices = fill(call, holomorphic)
        blocks = iter([call.options.assemble(call.inputs, row) for row in matrices])
        answer = rebuilt(call.first, blocks)
        if not call.has_aux:
            return answer
        arrays = iter(call.values()[len(call.outputs) :])
        return answer, call.aux(arrays)

    jacobian.__name__ = jacobian.__qualname__ = f"{name}_of_{getattr(fn, '__name__', type(fn).__name__)}"
    jacobian.__wrapped__ = fn
    return jacobian


#: Rows (or columns) of a Jacobian that go through one program together.
TOGETHER = 256


def _rows(call, holomorphic):
    """For each output the Jacobians by each wrapper: rows are pulled back."""
    if not holomorphic:
        _check_real("jacrev", "output", call.outputs)
    inputs = call.inputs
    pull = inputs.derived if holomorphic else inputs.swept
    found = []
    for y in call.outputs:
        rows = _stacks(inputs, [y], y, pull, holomorphic)
        found.append([_arranged(r, y.shape, x, False) for r, x in zip(rows, inputs.wrappers, strict=True)])
    return found


def _columns(call, holomorphic):
    """For each output the Jacobians by each wrapper: columns are pushed forward."""
    inputs = call.inputs
    if not holomorphic:
        _check_real("jacfwd", "input", inputs.wrappers)
    found = [[] for _ in call.outputs]
    for j, x in enumerate(inputs.wrappers):

        def push(outputs, tangents, j=j):
            return inputs.pushed(outputs, [tangents[0] if k == j else backward.zeros(w)
                                           for k, w in enumerate(inputs.wrappers)])  # fmt: skip

        columns = _stacks(inputs, call.outputs, x, push, j)
        for k, y in enumerate(call.outputs):
            found[k].append(_arranged(columns[k], x.shape, y, True))
    return found


def rows_or_columns(call, holomorphic):
    """Rows or columns, whichever are fewer."""
    rows, columns = (sum(shapes.size(n.shape) for n in nodes) for nodes in (call.outputs, call.inputs.wrappers))
    complex_side = any(n.dtype.kind == "c" for n in call.outputs) and not holomorphic
    return (_columns if columns < rows or complex_side else _rows)(call, holomorphic)


def _stacks(inputs, outputs, seeded, build, *key):
    """What `build` makes of each unit seed of the shape of `seeded`, stacked; many seeds at a time."""
    from nbgrad.batching.rules import everywhere, of_graph

    size = shapes.size(seeded.shape)
    whole = numpy.eye(size, dtype=seeded.dtype).reshape(size, *seeded.shape)

    def of_all(outputs, seeds):
        one = Node(None, (), (), seeded.shape, seeded.dtype, None, True)
        count = seeds[0].shape[0]
        nodes, many = of_graph(build(outputs, [one]), [one], seeds, count)
        return [n if m else everywhere(n, count) for n, m in zip(nodes, many, strict=True)]

    of_all.__name__ = "_".join(["rows", build.__qualname__, *map(str, key)])  # programs are known by it
    parts = [
        inputs.pulled(outputs, [graph.table(numpy.ascontiguousarray(whole[at : at + TOGETHER]))], (), of_all)[1]
        for at in range(0, max(size, 1), TOGETHER)
    ]
    return [list(p) for p in zip(*parts, strict=True)]


def _arranged(parts, outer, inner, last):
    """Stacks of arrays of the shape of `inner` as one Array, whose axes of the shape `outer` come first or last."""
    from nbgrad.kernels.shape import concatenate, reshape, transpose

    shape, count = tuple(inner.shape), shapes.size(outer)
    whole = (*shape, *outer) if last else (*outer, *shape)
    order = (*range(1, len(shape) + 1), 0)
    if all(isinstance(p._node.value, numpy.ndarray) and p._node.fact("deferred") is None for p in parts):
        values = [p._node.value for p in parts]
        stack = values[0] if len(values) == 1 else numpy.concatenate(values)
        stack = stack.transpose(order) if last else stack
        node = graph.leaf(numpy.ascontiguousarray(stack).reshape(whole))
        node.info = parts[0]._node.info if parts[0]._node.fact("forgotten") else {"forgotten": "jacobian"}
        return Array(node)
    stack = parts[0] if len(parts) == 1 else concatenate(*parts, axis=0)
    stack = transpose(stack, axes=order) if last else stack
    assert stack.shape == ((*shape, count) if last else (count, *shape))
    return reshape(stack, shape=whole)


def _check_real(call, what, nodes):
    """The one side of a Jacobian whose elements are seeded has one direction for each only if it is real."""
    for i, n in enumerate(nodes):
        if n.dtype.kind == "c":
            raise DtypeError(
                f"{call}: {what} {i} is complex, so that a step in it has two directions; take .real and .imag apart, "
                f"or say holomorphic=True if the function is\n    {describe(n, f'{what} {i}')}"
            )


def _as_tuple(value):
    return value if isinstance(value, tuple) else (value,)
