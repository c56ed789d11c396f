"""grad and value_and_grad: function in, function out.

A call runs `fn` on fresh identity nodes in place of the inputs that are differentiated, so nested transforms
never take one's variable for the other's.  Inside another transform or a trace the backward graph is built and
handed on.  At the outermost level the result is computed at once, and the backward graph is built only if no
Program is known for the structure of the forward graph: a repeated call costs the tracing of `fn`, a look-up
and a run.
"""

import numpy

from nbgrad import conversions, devices, dtypes, graph, trees
from nbgrad.array import Array, Parameter
from nbgrad.autodiff import backward
from nbgrad.autodiff.arguments import flag, ready, seed
from nbgrad.compile import program as programs
from nbgrad.config import config
from nbgrad.errors import ArgumentError, DtypeError, GradientError, MissingGradientError, describe
from nbgrad.graph import Node, state
from nbgrad.kernels.casting import identity
from nbgrad.runtime.evaluate import realize


def grad(fn, grad_position=0, weights=None, has_aux=False, return_ids=False, sens_param=False, *, holomorphic=False):
    """A function that computes the gradient of `fn`.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays, also in tuples, lists and dicts.  All floating-point outputs are
        differentiated and their gradients added; outputs of any shape are seeded with ones.
    grad_position : int, tuple of int, or None
        Which arguments to differentiate by, counted from 0; keyword arguments are numbered after the
        positional ones, in the order of the call.  An argument is an Array, a NumPy array, or a list or
        dict of such at any depth, and its gradient has the same form.  Each position is an input of its
        own, also when two hold the same Array; what `fn` closes over is constant.
    weights : Parameter, or sequence of Parameter, optional
        Arrays that `fn` closes over to differentiate by as well.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.
    return_ids : bool
        Each gradient g becomes ``(position, g)`` or ``(parameter_name, g)``; see `get_grad`.
    sens_param : bool
        The call takes the seed of the outputs as keyword ``sens`` or as last positional argument: an array
        of the shape and dtype of the output, or a tuple of such for several outputs.
    holomorphic : bool
        `fn` is a holomorphic function of complex numbers: its complex derivative is computed.  Otherwise the gradient
        of a real L by a complex z = x + iy is dL/dx + i dL/dy, which points uphill (as TensorFlow and PyTorch have it),
        and complex outputs need a seed.

    Returns
    -------
    callable
        Returns the gradient: bare for one position (also ``(0,)``), a tuple for more; for `weights` bare
        for a bare Parameter, a tuple for a sequence of any length; ``(by position, by weights)`` if both
        were given.  With `has_aux`: ``(that, aux)`` with a tuple `aux`.  Where nothing depends on an input
        its gradient is zeros.

    Raises
    ------
    GradientError
        A ValueError: positions that are negative, repeated, missing or out of range; `has_aux` without a
        tuple of two outputs.
    ArgumentError, DtypeError
        TypeErrors: options or arguments of the wrong kind, integers among what is differentiated.

    See Also
    --------
    value_and_grad, nbgrad.gradients

    Examples
    --------
    >>> import nbgrad as ng
    >>> def f(x, y):
    ...     return x * x * y
    >>> x, y = ng.asarray([1.0, 2.0]), ng.asarray([3.0, 4.0])
    >>> ng.grad(f)(x, y)
    Array([ 6., 16.], shape=(2,), dtype=float64, device=cpu)
    >>> ng.grad(ng.grad(f))(x, y)
    Array([6., 8.], shape=(2,), dtype=float64, device=cpu)
    >>> ng.grad(f, grad_position=(0, 1), return_ids=True)(x, y)[1]
    (1, Array([1., 4.], shape=(2,), dtype=float64, device=cpu))
    """
    options = Options("grad", fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic)
    return options.transform(False)


def value_and_grad(
    fn, grad_position=0, weights=None, has_aux=False, return_ids=False, sens_param=False, *, holomorphic=False
):
    """A function that computes what `fn` returns, and its gradient.

    Parameters
    ----------
    fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic
        As for `grad`.

    Returns
    -------
    callable
        Returns ``(value, gradient)``: everything that `fn` returns in its own structure, and what `grad`
        returns without `has_aux`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> w = ng.Parameter([1.0, -1.0], name="w")
    >>> def loss(x):
    ...     return ((x * w) * (x * w)).sum()
    >>> value, (gw,) = ng.value_and_grad(loss, None, [w])(ng.asarray([3.0, 4.0]))
    >>> float(value)
    25.0
    >>> gw
    Array([ 18., -32.], shape=(2,), dtype=float64, device=cpu)
    """
    options = Options("value_and_grad", fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic)
    return options.transform(True)


def get_grad(gradients, identifier):
    """One gradient out of a result with ids.

    Parameters
    ----------
    gradients : tuple
        What a gradient function made with ``return_ids=True`` returned.
    identifier : int or Parameter
        A position, or one of the weights.

    Returns
    -------
    Array

    Raises
    ------
    MissingGradientError
        A RuntimeError: no such gradient in there.

    Examples
    --------
    >>> import nbgrad as ng
    >>> w = ng.Parameter([2.0], name="w")
    >>> ids = ng.grad(lambda x: x * w, 0, [w], return_ids=True)(ng.asarray([5.0]))
    >>> ng.get_grad(ids, w)
    Array([5.], shape=(1,), dtype=float64, device=cpu)
    """
    if isinstance(identifier, Parameter):
        wanted, text = identifier.name, f"Parameter {identifier.name!r}"
    elif isinstance(identifier, (int, numpy.integer)) and not isinstance(identifier, bool):
        wanted, text = int(identifier), f"position {identifier}"
    else:
        raise ArgumentError(f"get_grad: identifier must be a position or a Parameter, got {describe(identifier)}")
    stack = [gradients]
    while stack:
        item = stack.pop()
        if isinstance(item, (list, dict)):
            item = tuple(item) if isinstance(item, list) else tuple(item.values())
            stack.extend(item[::-1])
            continue
        if not isinstance(item, tuple):
            continue
        if len(item) == 2 and type(item[0]) is type(wanted):
            if item[0] == wanted:
                return item[1]
            continue
        stack.extend(item[::-1])
    raise MissingGradientError(
        f"get_grad: no gradient for {text} in this result; make it with return_ids=True, and with that position or "
        "Parameter among grad_position or weights"
    )


class _Pending(Exception):
    """Arrays made outside of fn that have no value yet."""


_FIRST = (0,)


def _ready(call, items):
    """The node of the first argument if it is a float array, and all that are Arrays have their values; else None."""
    node = None
    for x in items:
        if type(x) is Array:
            found = x._node
            if found.value is None:
                return None
        elif type(x) is not numpy.ndarray:
            return None
        elif node is None:
            found = graph.leaf(graph.array_value(x, call, "argument 0"))
        if node is None:
            node = found
            if not dtypes.is_inexact(node.dtype):
                return None
    return node


class Inputs:
    """The inputs of one call that are differentiated: fresh nodes in place of those of the arguments.

    Attributes
    ----------
    originals, wrappers : lists of Node
    trees : list
        For each position None, or (treespec, number of leaves) of a container.
    """

    __slots__ = ("arguments", "now", "originals", "since", "trees", "wrappers")

    def __init__(self, call, items, positions, weights):
        self.originals, self.trees = originals, trees = [], []
        count = len(items)
        if positions == _FIRST and count and not weights and not state.tracked:
            node = _ready(call, items)  # the fast path: by the first of arrays that have their values
            if node is not None:
                self.now = True
                originals.append(node)
                trees.append(None)
                wrapper = Node(identity, (node,), (), node.shape, node.dtype, node.value, True, node.site)
                self.wrappers, self.since, self.arguments = [wrapper], wrapper.serial + 1, [Array(wrapper), *items[1:]]
                return
        for p in positions:
            if p >= count:
                raise GradientError(
                    f"{call}: grad_position {p} is out of range, the call has {count} "
                    f"argument{'s' if count != 1 else ''}"
                )
            a = items[p]
            if isinstance(a, Array):
                node = a._node
                if not dtypes.is_inexact(node.dtype):
                    raise _not_float(call, node, f"argument {p}")
                originals.append(node)
                trees.append(None)
            else:
                self._other(call, a, p)
        for w in weights:
            node = w._node
            if not dtypes.is_inexact(node.dtype):
                raise _not_float(call, node, f"weight {w.name}")
            originals.append(node)
        self.now = not state.tracked
        if self.now:
            pending = [n for n in originals if n.value is None]
            pending += [a._node for a in items if isinstance(a, Array) and a._node.value is None]
            if pending:
                realize(pending)
            self.wrappers = [Node(identity, (n,), (), n.shape, n.dtype, n.value, True, n.site) for n in originals]
        else:
            self.wrappers = [Node(identity, (n,), (), n.shape, n.dtype, None, True, n.site) for n in originals]
        self.since = next(graph.serials)
        self.arguments = arguments = list(items)
        at = 0
        for p, tree in zip(positions, trees, strict=True):
            if tree is None:
                arguments[p] = Array(self.wrappers[at])
                at += 1
            else:
                treespec, size = tree
                arguments[p] = treespec.unflatten([Array(n) for n in self.wrappers[at : at + size]])
                at += size

    def _other(self, call, value, position):
        if isinstance(value, (numpy.ndarray, numpy.generic)):
            node = graph.leaf(graph.array_value(value, call, f"argument {position}"))
            if not dtypes.is_inexact(node.dtype):
                raise _not_float(call, node, f"argument {position}")
            self.originals.append(node)
            self.trees.append(None)
            return
        if type(value) is tuple or not trees.is_container(value):
            if isinstance(value, tuple):
                hint = "; pass its elements as arguments of their own with grad_position=(0, 1, ...), or make it a list"
            elif isinstance(value, (bool, int, float)):
                hint = "; make it an array with nbgrad.asarray, or leave its position out of grad_position"
            else:
                hint = ""
            raise ArgumentError(
                f"{call}: argument {position} is differentiated, so it must be an array, or a list or dict of arrays, "
                f"not {describe(value)}{hint}"
            )
        paths, leaves, treespec = trees.flatten_with_paths(value, f"argument {position}")
        for i, leaf in enumerate(leaves):  # a path is written for an error only
            if isinstance(leaf, Array):
                node = leaf._node
            elif isinstance(leaf, numpy.ndarray) and leaf.dtype in dtypes.SUPPORTED:
                node = graph.leaf(graph.array_value(leaf, call, "an argument"))
            elif isinstance(leaf, (numpy.ndarray, numpy.generic, float, complex)):
                node = graph.leaf(graph.array_value(leaf, call, paths[i]))
            else:
                raise ArgumentError(
                    f"{call}: {paths[i]} is differentiated, so it must be an array, not {describe(leaf)}; make it one "
                    "with nbgrad.asarray, or move it to an argument that is not differentiated"
                )
            if not dtypes.is_inexact(node.dtype):
                raise _not_float(call, node, paths[i])
            self.originals.append(node)
        self.trees.append((treespec, len(leaves)))

    def run(self, fn, names, weights):
        """What `fn` returns and the nodes of its Arrays, which belong to the swapped-in weights."""
        arguments, wrappers = self.arguments, self.wrappers
        depth, static, scope, device = state.tracked, state.static, state.scope, state.device
        if weights:
            weight_nodes = wrappers[len(wrappers) - len(weights) :]
            for w, node in zip(weights, weight_nodes, strict=True):
                w._node = node
        state.tracked, sites = depth + 1, state.sites
        # an un-jitted gradient is traced at every call
        state.sites = sites and (not (self.now and depth == 0) or bool(config._check_values))
        conversions.enter()
        try:
            if names:
                split = len(arguments) - len(names)
                out = fn(*arguments[:split], **dict(zip(names, arguments[split:], strict=True)))
            else:
                out = fn(*arguments)
            nodes = []
            if isinstance(out, Array):
                nodes.append(out._node)
            else:
                flatten(out, nodes)
        finally:
            conversions.leave()
            state.tracked, state.static, state.scope, state.device = depth, static, scope, device
            state.sites = sites
            if weights:
                for w, node, original in zip(
                    weights, weight_nodes, self.originals[len(wrappers) - len(weights) :], strict=True
                ):
                    if w._node is node:
                        w._node = original
        return out, nodes

    def pulled(self, outputs, seeds, values=(), build=None):
        """(Arrays of `values`, Arrays that `build` makes: the gradients of the wrappers) of a finished run."""
        build = self.swept if build is None else build
        if state.beside is not None:
            state.beside += outputs
        if self.now and not state.tracked:
            return self._computed(outputs, seeds, values, build)
        return [Array(n) for n in values], [Array(n) for n in build(outputs, seeds)]

    def swept(self, outputs, seeds):
        """The cotangents of the wrappers."""
        wrappers = self.wrappers
        found = backward.sweep(
            outputs, [backward.ones(y) for y in outputs] if seeds is None else seeds, wrappers, stops=wrappers
        )
        return [backward.zeros(w) if g is None else g for w, g in zip(wrappers, found, strict=True)]

    def derived(self, outputs, seeds):
        """The derivatives of a holomorphic function: conjugates of the cotangents."""
        return [backward.conjugated(g)._node for g in self.swept(outputs, seeds)]

    def pushed(self, outputs, tangents):
        """The tangents of the outputs: the pullback of the pullback, which is linear in its seeds."""
        wrappers = self.wrappers
        dummies = [Node(identity, (backward.zeros(y),), (), y.shape, y.dtype, None, True) for y in outputs]
        cotangents = backward.sweep(outputs, dummies, wrappers, stops=wrappers)
        connected = [(c, t) for c, t in zip(cotangents, tangents, strict=True) if c is not None]
        found = backward.sweep([c for c, _ in connected], [t for _, t in connected], dummies, stops=dummies)
        return [backward.zeros(y) if t is None else t for y, t in zip(outputs, found, strict=True)]

    def _computed(self, outputs, seeds, values, build):
        wrappers, since = self.wrappers, self.since
        split, heads = len(values), len(wrappers)

        def make():
            pending = _made_before(since, [*outputs, *values])
            if pending:
                raise _Pending(pending)
            return leaves, [*values, *build(outputs, seeds)]

        if config._check_values:  # what fn returns is looked at even where the gradient does not read it
            realize(outputs)
        while True:
            key, leaves = graph.signature([*wrappers, *(seeds or ()), *outputs, *values], since)
            try:
                device = devices.common(leaves, [*outputs, *values]) if devices.used else None
                program = programs.find((build.__name__, seeds is None, heads, split, len(outputs), key), make, device)
                break
            except _Pending as found:
                realize(found.args[0])
        results = program.run([n.value for n in leaves])
        behind = self.originals + leaves[heads:]
        history = False
        for n in behind:
            if n.history:
                history = True
                break
        lost = {"forgotten": "grad", "origins": graph.origins(behind)} if split or not history else None
        site = graph.site(4)
        arrays = [Array(Node(None, (), (), v.shape, v.dtype, v, False, site)) for v in results]
        for a in arrays[:split] if history else arrays:
            a._node.info = lost
        if history and len(arrays) > split:
            later = Later(build, outputs, seeds, arrays[split]._node.serial)
            for i, a in enumerate(arrays[split:]):
                a._node.info = {"deferred": (later, i)}
        return arrays[:split], arrays[split:]


class Later:
    """The backward graph of results that were computed at once, built when they are differentiated after all.

    Its nodes are numbered as if they had been made then, just before `serial`: a node is younger than its inputs.
    """

    __slots__ = ("build", "found", "outputs", "seeds", "serial")

    def __init__(self, build, outputs, seeds, serial):
        self.build, self.outputs, self.seeds, self.serial, self.found = build, outputs, seeds, serial, None

    def __call__(self):
        if self.found is None:
            start = next(graph.serials)
            self.found = self.build(self.outputs, self.seeds)
            new = [n for n in graph.topological(self.found, stop=lambda n: n.serial < start) if n.serial > start]
            for i, node in enumerate(new):
                node.serial = self.serial - 1 + (i + 1) / (len(new) + 1)
        return self.found


class Options:
    """The checked options of a transform."""

    def __init__(self, call, fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic=False):
        if not callable(fn):
            raise ArgumentError(f"{call}: fn must be callable, got {describe(fn)}")
        self.call, self.fn = call, fn
        self.has_aux = flag(call, "has_aux", has_aux)
        self.return_ids = flag(call, "return_ids", return_ids)
        self.sens_param = flag(call, "sens_param", sens_param)
        self.holomorphic = flag(call, "holomorphic", holomorphic)
        if grad_position is None and weights is None:
            raise GradientError(f"{call}: grad_position and weights cannot both be None; say what to differentiate by")
        self.positions = positions(call, grad_position)
        self.by_position = grad_position is not None
        self.one_weight = isinstance(weights, Array)
        self.by_weight = weights is not None
        self.weights, self.weight_structure = checked_weights(call, weights)
        self.distinct = tuple({id(w): w for w in self.weights}.values())
        self.where = [next(i for i, d in enumerate(self.distinct) if d is w) for w in self.weights]
        if self.return_ids:
            for w in self.weights:
                if not isinstance(w, Parameter):
                    raise ArgumentError(
                        f"{call}: return_ids needs names, so every weight must be a Parameter; got {describe(w)}"
                    )

    def transform(self, with_value):
        """The gradient function."""
        call, fn, places, weights = self.call, self.fn, self.positions, self.distinct
        has_aux, sens_param, holomorphic = self.has_aux, self.sens_param, self.holomorphic
        bare = len(places) == 1 and not self.by_weight and not self.return_ids

        def gradient(*args, **kwargs):
            sens, names = None, None
            if sens_param:
                args, sens = _take_sens(call, args, kwargs)
            if kwargs:
                names = list(kwargs)
                args = (*args, *kwargs.values())
            inputs = Inputs(call, args, places, weights)
            out, nodes = inputs.run(fn, names, weights)
            first, count = out, len(nodes)
            if has_aux:
                first, count = first_output(call, out)
            differentiated = nodes if count == len(nodes) else nodes[:count]
            if not count:
                raise _nothing(call, fn, first)
            seeds = _checked_seeds(call, sens, first, differentiated) if sens_param else None
            outputs = differentiated
            build = None
            for n in differentiated:
                if n.dtype.kind != "f":
                    outputs, seeds = _floating(differentiated, seeds)
                    _check_complex(call, outputs, seeds, holomorphic)
                    break
            if holomorphic:
                check_holomorphic(call, outputs, inputs.wrappers)
                build = inputs.derived
            values = nodes if with_value else (nodes[count:] if has_aux else ())
            arrays, found = inputs.pulled(outputs, seeds, values, build)
            answer = found[0] if bare and inputs.trees[0] is None else self.assemble(inputs, found)
            if with_value:
                return (arrays[0] if isinstance(out, Array) else rebuilt(out, iter(arrays))), answer
            if has_aux:
                rest = iter(arrays)
                return answer, tuple(rebuilt(o, rest) for o in out[1:])
            return answer

        gradient.__name__ = gradient.__qualname__ = f"{call}_of_{getattr(fn, '__name__', type(fn).__name__)}"
        gradient.__doc__ = f"What nbgrad.{call} made of {getattr(fn, '__name__', type(fn).__name__)}."
        gradient.__wrapped__ = fn
        return gradient

    def assemble(self, inputs, found, collapse=True):
        """Gradients in the containers that the options ask for; one position is bare if `collapse`."""
        answers, at = [], 0
        for p, tree in zip(self.positions, inputs.trees, strict=True):
            if tree is None:
                g = found[at]
                at += 1
            else:
                g = tree[0].unflatten(found[at : at + tree[1]])
                at += tree[1]
            answers.append((p, g) if self.return_ids else g)
        by_position = answers[0] if collapse and len(answers) == 1 else tuple(answers)
        if not self.by_weight:
            return by_position
        tail = found[at:]
        by_weight = [Array(tail[i]._node) for i in self.where]  # an Array of its own for each mention
        if self.return_ids:
            by_weight = [(w.name, g) for w, g in zip(self.weights, by_weight, strict=True)]
        if self.weight_structure is not None:
            by_weight = self.weight_structure.unflatten(by_weight)
        else:
            by_weight = by_weight[0] if self.one_weight else tuple(by_weight)
        return (by_position, by_weight) if self.by_position or not collapse else by_weight


# ---------------------------------------------------------------- outputs


def flatten(out, nodes):
    """Append the nodes of the Arrays in tuples, lists and dicts to `nodes`."""
    if isinstance(out, Array):
        nodes.append(out._node)
    elif isinstance(out, (tuple, list)):
        for v in out:
            flatten(v, nodes)
    elif isinstance(out, dict):
        for v in out.values():
            flatten(v, nodes)
    elif trees.is_container(out):
        for v in trees.flatten(out)[0]:
            flatten(v, nodes)


def rebuilt(out, arrays):
    """`out` with its Arrays replaced by the next ones of `arrays`."""
    if isinstance(out, Array):
        return next(arrays)
    if isinstance(out, tuple):
        items = [rebuilt(v, arrays) for v in out]
        return type(out)(*items) if hasattr(out, "_fields") else tuple(items)
    if isinstance(out, list):
        return [rebuilt(v, arrays) for v in out]
    if isinstance(out, dict):
        return {k: rebuilt(v, arrays) for k, v in out.items()}
    if trees.is_container(out):
        leaves, structure = trees.flatten(out)
        return trees.unflatten(structure, [rebuilt(v, arrays) for v in leaves])
    return out


def first_output(call, out):
    """The output that is differentiated with has_aux, and how many Arrays it holds."""
    if not isinstance(out, tuple) or len(out) < 2:
        got = f"a tuple of {len(out)}" if isinstance(out, tuple) else f"a {type(out).__name__}"
        raise GradientError(
            f"{call}: with has_aux=True fn must return a tuple of at least two, (value, aux, ...); it returned {got}"
        )
    nodes = []
    flatten(out[0], nodes)
    return out[0], len(nodes)


def _nothing(call, fn, out):
    name = getattr(fn, "__name__", type(fn).__name__)
    hint = ""
    if isinstance(out, (int, float, numpy.ndarray, numpy.generic)):
        hint = "; float(), .item() and .numpy() inside fn take values out of the graph"
    return ArgumentError(f"{call}: {name} returned no Array to differentiate but {describe(out)}{hint}")


def _floating(nodes, seeds):
    """The nodes that carry gradients, with their seeds."""
    keep = [i for i, n in enumerate(nodes) if dtypes.is_inexact(n.dtype)]
    return [nodes[i] for i in keep], None if seeds is None else [seeds[i] for i in keep]


def _check_complex(call, outputs, seeds, holomorphic):
    """A complex output has a direction only by a seed, or if its function is holomorphic."""
    for i, n in enumerate(outputs):
        if n.dtype.kind == "c" and seeds is None and not holomorphic:
            raise DtypeError(
                f"{call}: output {i} is complex, so that it has no gradient of its own; return a real number such as "
                "abs(z) ** 2 or z.real, give a seed with sens_param=True, or say holomorphic=True\n    "
                + describe(n, f"output {i}")
            )


def check_holomorphic(call, outputs, inputs):
    for what, nodes in (("input", inputs), ("output", outputs)):
        for i, n in enumerate(nodes):
            if n.dtype.kind != "c":
                raise DtypeError(
                    f"{call}: with holomorphic=True every input and output must be complex, and {what} {i} has dtype "
                    f"{n.dtype}; cast it with .astype('complex128')\n    {describe(n, f'{what} {i}')}"
                )


def _made_before(since, nodes):
    """Nodes older than `since` that have no value yet and that newer ones (or the outputs) read."""
    found = {}

    def outer(n):
        return n.serial < since or n.primitive is None

    for node in graph.topological(nodes, stop=outer):
        if outer(node) and node.value is None and node.primitive is not None and not graph.is_constant(node):
            found[node] = None
    return list(found)


# ---------------------------------------------------------------- arguments


def positions(call, value):
    """A tuple of distinct positions."""
    if value is None:
        return ()
    if not isinstance(value, tuple):
        _check_position(call, value, "grad_position must be an int or a tuple of ints")
        return (int(value),)
    if not value:
        raise GradientError(f"{call}: grad_position is empty; give a position, or None with weights")
    for v in value:
        _check_position(call, v, "every element of grad_position must be an int")
    if len(set(value)) != len(value):
        raise GradientError(f"{call}: grad_position {value} names a position twice")
    return tuple(int(v) for v in value)


def _check_position(call, value, rule):
    if isinstance(value, (bool, numpy.bool_)) or not isinstance(value, (int, numpy.integer)):
        hint = "; has_aux is the fourth parameter" if isinstance(value, bool) else ""
        raise ArgumentError(f"{call}: {rule}, got {describe(value)}{hint}")
    if value < 0:
        raise GradientError(f"{call}: grad_position must not be negative, got {value}; positions count from 0")


def checked_weights(call, weights):
    """(a tuple of Arrays, the structure of a nest of them or None): a flat list or tuple counts as a tuple."""
    if weights is None:
        return (), None
    if isinstance(weights, Array):
        return (weights,), None
    if not trees.is_container(weights):
        raise ArgumentError(
            f"{call}: weights must be a Parameter or a list, tuple or nest of Parameters, got {describe(weights)}"
        )
    flat = isinstance(weights, (list, tuple)) and not any(map(trees.is_container, weights))
    if flat:
        found, paths, structure = tuple(weights), None, None
    else:
        paths, found, structure = trees.flatten_with_paths(weights, "weights")
    for i, w in enumerate(found):
        if not isinstance(w, Array):
            where = f"weights[{i}]" if paths is None else paths[i]
            raise ArgumentError(f"{call}: {where} must be a Parameter, got {describe(w)}")
    return tuple(found), structure


def _not_float(call, node, what):
    return DtypeError(
        f"{call}: {what} has dtype {node.dtype}, and only floating-point arrays have gradients; cast it with "
        f".astype('float64') or leave it out of what is differentiated\n    {describe(node, what)}"
    )


def _take_sens(call, args, kwargs):
    if "sens" in kwargs:
        return args, kwargs.pop("sens")
    if not args:
        raise ArgumentError(
            f"{call}: with sens_param=True give the seed as keyword sens or as last positional argument"
        )
    return args[:-1], args[-1]


def _checked_seeds(call, sens, out, nodes):
    if isinstance(out, Array):
        if isinstance(sens, tuple) and len(sens) == 1:
            sens = sens[0]
        seeds = [sens]
    else:
        seeds = []
        flatten_seeds(sens, seeds)
        if len(seeds) != len(nodes):
            raise GradientError(
                f"{call}: sens holds {len(seeds)} seed{'s' if len(seeds) != 1 else ''} for {len(nodes)} outputs; give "
                "a tuple with one seed for each"
            )
    found = [seed(call, f"sens[{i}]" if len(seeds) > 1 else "sens", s, y, f"output {i}")
             for i, (s, y) in enumerate(zip(seeds, nodes, strict=True))]  # fmt: skip
    ready(found)
    return found


def flatten_seeds(sens, seeds):
    if isinstance(sens, (tuple, list)):
        for s in sens:
            flatten_seeds(s, seeds)
    elif isinstance(sens, dict):
        for s in sens.values():
            flatten_seeds(s, seeds)
    elif trees.is_container(sens):
        for s in trees.flatten(sens)[0]:
            flatten_seeds(s, seeds)
    else:
        seeds.append(sens)
