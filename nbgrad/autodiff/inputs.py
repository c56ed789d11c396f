"""Inputs: what a call of a transform is differentiated by, the run of the function, and the backward pass behind it.

A call runs `fn` on fresh identity nodes in place of the inputs that are differentiated, so nested transforms
never take one's variable for the other's.  Inside another transform or a trace the backward graph is built and
handed on.  At the outermost level the result is computed at once, and the backward graph is built only if no
Program is known for the structure of the forward graph: a repeated call costs the tracing of `fn`, a look-up
and a run.
"""

import numpy

from nbgrad import conversions, devices, dtypes, effects, graph, trees
from nbgrad.array import Array
from nbgrad.autodiff import backward
from nbgrad.autodiff.outputs import flatten
from nbgrad.compile import program as programs
from nbgrad.config import config
from nbgrad.errors import ArgumentError, DtypeError, GradientError, describe
from nbgrad.graph import Node, state
from nbgrad.kernels.casting import identity
from nbgrad.runtime.evaluate import realize


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
    effect : Node or None
        The token of the last effect of the run, at the outermost level.
    """

    __slots__ = ("arguments", "effect", "now", "originals", "since", "trees", "wrappers")

    def __init__(self, call, items, positions, weights):
        self.originals, self.trees = originals, trees = [], []
        self.effect = None
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
        if not depth:
            state.effect = None
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
            if not depth:
                self.effect, state.effect = state.effect, None
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
        wrappers, since, last = self.wrappers, self.since, () if self.effect is None else (self.effect,)
        split, heads = len(values), len(wrappers)

        def make():
            pending = _made_before(since, [*outputs, *values, *last])
            if pending:
                raise _Pending(pending)
            with effects.apart(self.effect):
                made = build(outputs, seeds)
                return leaves, [*values, *made, *(effects.pending() if last else ())]

        if config._check_values:  # what fn returns is looked at even where the gradient does not read it
            realize(outputs)
        while True:
            key, leaves = graph.signature([*wrappers, *(seeds or ()), *outputs, *values, *last], since)
            try:
                device = devices.common(leaves, [*outputs, *values]) if devices.used else None
                program = programs.find((build.__name__, seeds is None, heads, split, len(outputs), key), make, device)
                break
            except _Pending as found:
                realize(found.args[0])
        results = program.run([n.value for n in leaves])
        results = results[:-1] if last else results
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
            with effects.apart():
                self.found = self.build(self.outputs, self.seeds)
            new = [n for n in graph.topological(self.found, stop=lambda n: n.serial < start) if n.serial > start]
            for i, node in enumerate(new):
                node.serial = self.serial - 1 + (i + 1) / (len(new) + 1)
        return self.found


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


def _not_float(call, node, what):
    return DtypeError(
        f"{call}: {what} has dtype {node.dtype}, and only floating-point arrays have gradients; cast it with "
        f".astype('float64') or leave it out of what is differentiated\n    {describe(node, what)}"
    )
