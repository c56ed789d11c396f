"""custom_vjp and custom_jvp: functions with derivatives that their authors wrote."""

import dataclasses
import functools

from nbgrad import dtypes, graph, pickling, trees
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.errors import ArgumentError, DtypeError, GradientError, MissingRuleError, ShapeError, describe
from nbgrad.graph import Node
from nbgrad.kernels.casting import identity


class custom_vjp(pickling.Named):
    """A function whose VJP is another one.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them.
    nondiff_argnums : tuple of int
        Positions of arguments that are handed on as they are (hashable values, functions) and have no derivatives.

    Notes
    -----
    ``fwd(*args)`` returns ``(value, residuals)``; ``bwd(*nondiff, residuals, cotangent)`` returns one cotangent for
    each differentiable argument, as a tuple, None for zero.  `bwd` may only depend on its arguments: compiled programs
    of equal graphs share what it did.  Its result is differentiated again for derivatives of higher order and, being
    linear in the cotangent, for forward mode.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> @ng.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    >>> ng.grad(lambda x: np.sum(clipped(x) * ng.asarray([0.5, 100.0])))(ng.asarray([1.0, 1.0]))
    Array([0.5, 1. ], shape=(2,), dtype=float64, device=cpu)
    """

    def __init__(self, fn, nondiff_argnums=()):
        _check_function("custom_vjp", "fn", fn)
        self.fn, self.nondiff = fn, _positions("custom_vjp", nondiff_argnums)
        self.fwd = self.bwd = None
        functools.update_wrapper(self, fn, updated=())

    def _parts(self):
        return self.nondiff, *(pickling.recipe("custom_vjp", f) for f in (self.fn, self.fwd, self.bwd))

    def _restore(self, nondiff, fn, fwd, bwd):
        self.__init__(pickling.followed(fn), nondiff)
        self.fwd, self.bwd = pickling.followed(fwd), pickling.followed(bwd)

    def defvjp(self, fwd, bwd):
        """Declare the two halves of the rule."""
        _check_function("defvjp", "fwd", fwd)
        _check_function("defvjp", "bwd", bwd)
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args, **kwargs):
        call = f"custom_vjp of {self.__name__}"
        if kwargs:
            args = _in_order(self.fn, args, kwargs)
        if self.fwd is None:
            raise MissingRuleError(f"{call}: no rule yet; declare one with {self.__name__}.defvjp(fwd, bwd)")
        args, static, leaves, structure, start = _parted(call, args, self.nondiff)
        answer = self.fwd(*args)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ArgumentError(f"{call}: fwd must return (value, residuals), got {describe(answer)}")
        value, kept = answer
        outs, out_structure = _nodes(call, "the value", value)
        residuals, kept_structure = _nodes(call, "the residuals", kept)
        around = ruled.enclosed(outs + residuals, leaves, start)
        rule = ByVjp(call, self.bwd, static, structure, out_structure, kept_structure,
                     (len(outs), len(residuals), len(leaves)))  # fmt: skip
        made = ruled.results(rule, (*outs, *residuals, *leaves, *around), len(outs))
        return trees.unflatten(out_structure, [Array(n) for n in made])


class custom_jvp(pickling.Named):
    """A function whose JVP is another one; its VJP is the transpose of that.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them.
    nondiff_argnums : tuple of int
        Positions of arguments that are handed on as they are and have no derivatives.

    Notes
    -----
    ``defjvp(rule)`` declares ``rule(*nondiff, primals, tangents) -> (value, tangent of the value)``, linear in the
    tangents.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> @ng.custom_jvp
    ... def log1pexp(x):
    ...     return np.log(1.0 + np.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t * (1.0 - 1.0 / (1.0 + np.exp(x)))
    >>> float(ng.grad(log1pexp)(ng.asarray(100.0)))
    1.0
    """

    def __init__(self, fn, nondiff_argnums=()):
        _check_function("custom_jvp", "fn", fn)
        self.fn, self.nondiff, self.rule = fn, _positions("custom_jvp", nondiff_argnums), None
        functools.update_wrapper(self, fn, updated=())

    def _parts(self):
        return self.nondiff, *(pickling.recipe("custom_jvp", f) for f in (self.fn, self.rule))

    def _restore(self, nondiff, fn, rule):
        self.__init__(pickling.followed(fn), nondiff)
        self.rule = pickling.followed(rule)

    def defjvp(self, rule):
        """Declare the rule; returns it, to serve as a decorator."""
        _check_function("defjvp", "rule", rule)
        self.rule = rule
        return rule

    def __call__(self, *args, **kwargs):
        call = f"custom_jvp of {self.__name__}"
        if kwargs:
            args = _in_order(self.fn, args, kwargs)
        if self.rule is None:
            raise MissingRuleError(f"{call}: no rule yet; declare one with {self.__name__}.defjvp(rule)")
        args, static, leaves, structure, start = _parted(call, args, self.nondiff)
        value = self.fn(*args)
        outs, out_structure = _nodes(call, "the value", value)
        around = ruled.enclosed(outs, leaves, start)
        rule = ByJvp(call, self.rule, static, structure, out_structure, (len(outs), len(leaves)))
        made = ruled.results(rule, (*outs, *leaves, *around), len(outs))
        return trees.unflatten(out_structure, [Array(n) for n in made])


# ---------------------------------------------------------------- rules


@dataclasses.dataclass(frozen=True)
class ByVjp(ruled.Rule):
    """Inputs are results, residuals, arguments, and what the function closes over."""

    call: str
    bwd: object
    static: tuple
    structure: object
    out_structure: object
    kept_structure: object
    counts: tuple

    def pull(self, cotangents, inputs, needed):
        """See `Rule`."""
        outs, residuals, arguments = _split(inputs, self.counts)
        ruled.refuse_enclosed(self.call, inputs[sum(self.counts) :], needed)
        seeds = [Array(cotangents.get(k) or backward.zeros(y)) for k, y in enumerate(outs)]
        kept = None
        if residuals or self.kept_structure is not None:
            kept = trees.unflatten(self.kept_structure, [Array(n) for n in residuals])
        found = self.bwd(*self.static, kept, trees.unflatten(self.out_structure, seeds))
        pulled = _cotangents(self.call, found, self.structure, arguments)
        return (*(None,) * (len(outs) + len(residuals)), *pulled, *(None,) * (len(inputs) - sum(self.counts)))

    def batched(self, inputs, mapped, size):
        """See `Rule`."""
        return stacked(self, inputs, mapped, size)


@dataclasses.dataclass(frozen=True)
class ByJvp(ruled.Rule):
    """Inputs are results, arguments, and what the function closes over."""

    call: str
    rule: object
    static: tuple
    structure: object
    out_structure: object
    counts: tuple

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: the tangents of the results, swept back to those of the arguments."""
        outs, arguments = _split(inputs, self.counts)
        ruled.refuse_enclosed(self.call, inputs[sum(self.counts) :], needed)
        tangents = [Node(identity, (backward.zeros(x),), (), x.shape, x.dtype, None, True) for x in arguments]
        primals = trees.unflatten(self.structure, [Array(x) for x in arguments])
        answer = self.rule(*self.static, primals, trees.unflatten(self.structure, [Array(t) for t in tangents]))
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ArgumentError(f"{self.call}: the rule must return (value, tangent), got {describe(answer)}")
        moved, _ = _nodes(self.call, "the tangent", answer[1])
        if [(t.shape, t.dtype) for t in moved] != [(y.shape, y.dtype) for y in outs]:
            raise ShapeError(
                f"{self.call}: the tangent must have the shapes and dtypes of the value\n    value: "
                f"{[f'{y.dtype}{list(y.shape)}' for y in outs]}\n    tangent: "
                f"{[f'{t.dtype}{list(t.shape)}' for t in moved]}"
            )
        pairs = [(moved[k], c) for k, c in cotangents.items() if dtypes.is_inexact(moved[k].dtype)]
        found = backward.sweep([m for m, _ in pairs], [c for _, c in pairs], tangents, stops=tangents)
        pulled = [None if c is None else Array(c) for c in found]
        return (*(None,) * len(outs), *pulled, *(None,) * (len(inputs) - sum(self.counts)))

    def batched(self, inputs, mapped, size):
        """See `Rule`."""
        return stacked(self, inputs, mapped, size)


@dataclasses.dataclass(frozen=True)
class Stacked(ruled.Rule):
    """A rule for one example as one of many."""

    rule: ruled.Rule
    mapped: tuple
    size: int

    @property
    def counts(self):
        """How many results there are, and inputs of other kinds."""
        return self.rule.counts

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: that of one example is traced and rewritten."""
        from nbgrad.batching.rules import everywhere, of_graph
        from nbgrad.kernels.reduction import sum as sum_

        def one(n):
            made = Node(None, (), (), n.shape[1:], n.dtype, None, True, n.site)
            made.note(transform="vmap")
            return made

        single = [one(n) if many else n for n, many in zip(inputs, self.mapped, strict=True)]
        seeds = {k: one(c) for k, c in cotangents.items()}
        given = [n for n, many in zip(single, self.mapped, strict=True) if many] + list(seeds.values())
        operands = [n for n, many in zip(inputs, self.mapped, strict=True) if many] + list(cotangents.values())
        wanted = {s for s, n in zip(single, inputs, strict=True) if n in needed}
        found = self.rule.pull(seeds, tuple(single), wanted)
        places = [k for k, c in enumerate(found) if c is not None]
        nodes, stacked = of_graph([found[k]._node for k in places], given, operands, self.size)
        answer = [None] * len(inputs)
        for k, node, many in zip(places, nodes, stacked, strict=True):
            node = node if many else everywhere(node, self.size)
            answer[k] = Array(node)
            if not self.mapped[k]:
                answer[k] = sum_(answer[k], axes=(0,))
        return tuple(answer)

    def batched(self, inputs, mapped, size):
        """See `Rule`."""
        return stacked(self, inputs, mapped, size)


def stacked(rule, inputs, mapped, size):
    """The rule for all examples, and its inputs, of which every result has all of them."""
    from nbgrad.batching.rules import everywhere

    count = rule.counts[0]
    nodes = [
        x if many or k >= count else everywhere(x, size) for k, (x, many) in enumerate(zip(inputs, mapped, strict=True))
    ]
    return Stacked(rule, (True,) * count + tuple(mapped[count:]), size), nodes


# ---------------------------------------------------------------- arguments and results


def _check_function(call, name, value):
    if not callable(value):
        raise ArgumentError(f"{call}: {name} must be callable, got {describe(value)}")


def _positions(call, value):
    value = (value,) if isinstance(value, int) and not isinstance(value, bool) else tuple(value)
    for v in value:
        if isinstance(v, bool) or not isinstance(v, int) or v < 0:
            raise ArgumentError(f"{call}: nondiff_argnums must be positions, integers from 0 on, got {describe(v)}")
    return value


def _in_order(fn, args, kwargs):
    """Keyword arguments in their places, as the rule counts positions."""
    import inspect

    bound = inspect.signature(fn).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise ArgumentError(f"{fn.__name__}: functions with rules of their own take no keyword-only arguments")
    return bound.args


def _parted(call, args, nondiff):
    """(arguments, static ones, nodes of the others, their structure, the serial from which on nodes are new)."""
    static = tuple(args[k] for k in nondiff if k < len(args))
    moving = tuple(a for k, a in enumerate(args) if k not in nondiff)
    try:
        hash(static)
    except TypeError as error:
        raise ArgumentError(f"{call}: arguments named by nondiff_argnums must be hashable: {error}") from None
    leaves, structure = trees.flatten(moving)
    paths = None
    nodes = []
    for k, leaf in enumerate(leaves):
        if not isinstance(leaf, Array):
            paths = paths or trees.argument_paths((moving, {}))
        nodes.append(graph.node_of(leaf, call, "" if paths is None else paths[k]))
    start = next(graph.serials)
    fresh = iter(trees.unflatten(structure, [Array(n) for n in nodes]))
    whole = tuple(a if k in nondiff else next(fresh) for k, a in enumerate(args))
    return whole, static, nodes, structure, start


def _nodes(call, what, value):
    leaves, structure = trees.flatten(value)
    if value is None:
        return [], structure
    return [graph.node_of(leaf, call, what) for leaf in leaves], structure


def _split(inputs, counts):
    parts, at = [], 0
    for n in counts:
        parts.append(list(inputs[at : at + n]))
        at += n
    return parts


def _cotangents(call, found, structure, arguments):
    """What bwd returned, checked: one cotangent (or None) for each leaf of the arguments."""
    subtrees = list(structure.children()) if structure is not None else []
    if not isinstance(found, tuple) or len(found) != len(subtrees):
        got = f"a tuple of {len(found)}" if isinstance(found, tuple) else describe(found)
        raise GradientError(
            f"{call}: bwd must return a tuple of {len(subtrees)} cotangents, one for each differentiable argument "
            f"(None for zero); it returned {got}"
        )
    flat, at = [], 0
    for k, (c, subtree) in enumerate(zip(found, subtrees, strict=True)):
        n = subtree.num_leaves
        leaves = [None] * n if c is None else trees.flatten(c)[0]
        if len(leaves) != n:
            raise GradientError(
                f"{call}: the cotangent of argument {k} must be a nest like the argument, with {n} arrays; "
                f"it has {len(leaves)}"
            )
        for leaf, x in zip(leaves, arguments[at : at + n], strict=True):
            flat.append(None if leaf is None else _cotangent(call, k, leaf, x))
        at += n
    return flat


def _cotangent(call, k, leaf, x):
    if not dtypes.is_inexact(x.dtype):
        return None
    node = graph.node_of(leaf, call, f"the cotangent of argument {k}")
    if node.shape != x.shape and node.shape != ():
        raise ShapeError(
            f"{call}: the cotangent of argument {k} has shape {node.shape}, the argument {x.shape}\n"
            f"    {describe(node, 'cotangent')}\n    {describe(x, 'argument')}"
        )
    if not dtypes.is_inexact(node.dtype):
        raise DtypeError(
            f"{call}: the cotangent of argument {k} has dtype {node.dtype}, expected {x.dtype}\n"
            f"    {describe(node, 'cotangent')}"
        )
    return Array(node)
