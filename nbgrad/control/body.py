"""Body: what one step of a loop does, as a graph that reads nothing from outside."""

from nbgrad import conversions, effects, graph, pickling, trees
from nbgrad.array import Array
from nbgrad.autodiff import ruled
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe
from nbgrad.graph import Node, state


class Body:
    """A closed graph: outputs of inputs.  Bodies that do the same are equal.

    Parameters
    ----------
    inputs : list of Node
        Placeholders.
    outputs : list of Node
        Which depend on the placeholders and on constants, and on no other leaf.
    """

    __slots__ = ("_hash", "_interpreter", "_key", "_of_numbers", "inputs", "outputs")

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs, self._interpreter = list(inputs), list(outputs), None
        self._of_numbers = None
        structure, leaves = graph.signature(outputs)
        places = {n: k for k, n in enumerate(inputs)}
        order = tuple(places[n] for n in leaves)
        self._key = structure, order, tuple((n.shape, n.dtype) for n in inputs)
        self._hash = hash(self._key)

    def __eq__(self, other):
        return self is other or (isinstance(other, Body) and self._hash == other._hash and self._key == other._key)

    def __hash__(self):
        return self._hash

    def __reduce__(self):
        return _again, pickling.rows(self.inputs, self.outputs)

    def applied(self, inputs):
        """The outputs of other nodes."""
        return ruled.copied(self.outputs, dict(zip(self.inputs, inputs, strict=True)))

    def interpreter(self):
        """The body as a list of NumPy calls."""
        if self._interpreter is None:
            from nbgrad.compile.simplify import simplify
            from nbgrad.runtime.interpreter import Interpreter

            self._interpreter = Interpreter(*simplify(self.inputs, self.outputs))
        return self._interpreter

    def is_of_numbers(self, rule):
        """Whether a loop with this body can be a kernel that works on numbers in registers."""
        if self._of_numbers is None:
            from nbgrad.compile.loops import LoopKernel
            from nbgrad.compile.scalars import TooMuch

            try:
                LoopKernel(rule, [])
                self._of_numbers = True
            except TooMuch:
                self._of_numbers = False
        return self._of_numbers


def _again(inputs, outputs, table):
    return Body(*pickling.nodes(inputs, outputs, table))


def lifted(outputs, inputs, start=0):
    """What `outputs` depend on besides `inputs`: leaves, and nodes that are older than `start`, but no constants."""
    found, given = {}, set(inputs)

    def outside(n):
        return n in given or n.serial < start or n.primitive is None

    for node in graph.topological(outputs, stop=outside):
        if outside(node) and node not in given and not graph.is_constant(node):
            found[node] = None
    return list(found)


def reached(outputs, inputs):
    """Those of `inputs` that `outputs` depend on."""
    given = set(inputs)
    return given.intersection(graph.topological(outputs, stop=given.__contains__))


# ---------------------------------------------------------------- functions of users as bodies


def placeholder(call, shape, dtype, like):
    """A node without a value, for a function to be traced on."""
    made = Node(None, (), (), shape, dtype, None, True, like.site)
    made.note(transform=call, device=like.fact("device"))
    return made


def leaves_of(call, what, tree):
    """(nodes, paths, structure) of an argument."""
    paths, leaves, structure = trees.flatten_with_paths(tree, what)
    return [graph.node_of(a, call, p) for a, p in zip(leaves, paths, strict=True)], paths, structure


def nested(structure, nodes):
    """Arrays of nodes, as a nest."""
    return trees.unflatten(structure, [Array(n) for n in nodes])


def traced(f, *arguments):
    """What a function returns of Arrays without values.  Numbers in it belong to the structure of the graph."""
    previous, state.static = state.static, True
    try:
        with conversions.tracing(), effects.refused():
            return f(*arguments)
    finally:
        state.static = previous


def closed(groups, own, start):
    """(constants, bodies): each group of outputs as a body of constants and of the placeholders `own`.

    Constants are what the outputs depend on besides; `start` is a serial before all that was traced.
    """
    outputs = [n for group in groups for n in group]
    constants = lifted(outputs, own, start)
    inner = [placeholder("constant", n.shape, n.dtype, n) for n in constants]
    fresh = dict(zip(constants, inner, strict=True))
    return constants, [Body([*inner, *own], ruled.copied(group, fresh)) for group in groups]


#: What the state is called before and after a step.
STEP = "the state", "the state after a step"


def same_avals(call, made, structure, wanted, paths, names, hint):
    """The nodes of a result, which must be like `wanted` in structure, shape and dtype.

    `names` says what is compared with what; `hint` what to do.
    """
    leaves, found = trees.flatten(made)
    if found != structure:
        raise ArgumentError(
            f"{call}: {names[1]} must be a nest like {names[0]}\n    {names[0]}: {structure}\n    {names[1]}: {found}"
        )
    nodes = [graph.node_of(a, call, f"{p} of {names[1]}") for a, p in zip(leaves, paths, strict=True)]
    for node, first, path in zip(nodes, wanted, paths, strict=True):
        for what, error, end in (("shape", ShapeError, ""), ("dtype", DtypeError, "; cast one of them")):
            old, new = getattr(first, what), getattr(node, what)
            if old != new:
                raise error(
                    f"{call}: {path} has {what} {old} in {names[0]} and {new} in {names[1]}; {hint}{end}\n"
                    f"    {describe(first, names[0])}\n    {describe(node, names[1])}"
                )
    return nodes
