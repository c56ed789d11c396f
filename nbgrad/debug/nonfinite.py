"""nans: programs are evaluated node by node, and the first nan that spoils a result is an error that says where."""

import contextlib

import numpy

from nbgrad import devices, graph
from nbgrad.autodiff.arguments import flag
from nbgrad.config import config
from nbgrad.debug.origins import called, forward_node
from nbgrad.errors import NonFiniteError, describe, site_text
from nbgrad.statistics import COUNTERS

#: Kinds of primitives of which an element depends on the elements at the same place.
_BY_ELEMENT = ("elementwise", "cast")
#: Kinds of primitives that run graphs: loops and choices.
_WITH_BODIES = graph.CALLS - {"ruled", "call"}


@contextlib.contextmanager
def nans(infs=False, masked=False):
    """Within ``with nans():`` the operation that makes a nan raises an error that says where it is in the program.

    Programs, jitted or not, forward and backward, are run operation by operation by NumPy, as they were traced: much
    slower, and the same for all threads.

    Parameters
    ----------
    infs : bool
        Infinities are errors, too.
    masked : bool
        So are values that reach no result, as in the branch of a ``where`` that is not taken.

    Raises
    ------
    NonFiniteError
        When a result holds a nan.  It names the operation that made the first one out of operands without, or else the
        input that held it, the user's line, the place in the array, and the operands there.

    See Also
    --------
    nbgrad.config.check_values : the same for a whole process, also as variable ``NBGRAD_CHECK_VALUES=nan,inf``.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> x = ng.asarray([4.0, 0.0, -1.0])
    >>> with ng.debug.nans():
    ...     print(np.sqrt(x))
    Traceback (most recent call last):
        ...
    nbgrad.errors.NonFiniteError: sqrt(x): makes a nan out of operands that hold none, in the forward pass at ...
    """
    wanted = ("nan", *(["inf"] if flag("nans", "infs", infs) else ()),
              *(["masked"] if flag("nans", "masked", masked) else ()))  # fmt: skip
    before, config.check_values = config.check_values, wanted
    try:
        yield
    finally:
        config.check_values = before


class CheckedProgram:
    """A graph as it was traced, run node by node; what `nbgrad.compile.program.Program` is otherwise.

    Parameters
    ----------
    inputs, outputs : lists of Node
    names : list of str, optional
        What the first inputs are called in errors.
    device : Device, optional
        Where results go; they are computed on the host.
    beside : list of Node, optional
        Values of functions that are differentiated on the way: looked at like results, not returned.
    """

    __slots__ = ("_dead", "_device", "_inputs", "_looked_at", "_names", "_order", "_outputs", "_starts")

    def __init__(self, inputs, outputs, names=None, device=None, beside=()):
        self._inputs, self._outputs, self._device = inputs, outputs, device
        self._names = dict(zip(inputs, names or (), strict=False))
        self._starts = starts = set(inputs)

        def given(node):
            return node in starts or node.value is not None

        def computable(node):  # what a transform traces on inputs of its own has no values here
            return all(given(n) or n.primitive is not None for n in graph.topological([node], stop=given))

        self._looked_at = [*outputs, *filter(computable, beside)]
        self._order = graph.topological(self._looked_at, stop=given)
        last = {x: node for node in self._order if not given(node) for x in node.inputs}
        self._dead = {}
        for x, node in last.items():
            if not given(x) and x not in self._looked_at:
                self._dead.setdefault(node, []).append(x)
        COUNTERS["programs"] += 1

    def run(self, values):
        """Output ndarrays, each its own memory, for the values of the inputs."""
        COUNTERS["interpreted"] += 1
        found = {n: devices.on_host(v) for n, v in zip(self._inputs, values, strict=True)}
        words = config.check_values
        look, blame = _looking(words), {}  # blame: of each spoiled value, what is to be said if it reaches a result
        with numpy.errstate(all="ignore"):
            for node in self._order:
                value = found.get(node)
                if value is None:
                    value = found[node] = _evaluated(node, found)
                    if "masked" in words:
                        _look_inside(node, [found[x] for x in node.inputs], look)
                if look(value) and not graph.is_constant(node):
                    if node in self._starts or node.value is not None:
                        blame[node] = _Blame(node, None)
                    else:
                        earlier = [blame[x] for x in node.inputs if x in blame]
                        if not earlier:
                            earlier = [_Blame(node, _made(node, [found[x] for x in node.inputs], value, words))]
                            if "masked" in words:
                                raise earlier[0].error
                        blame[node] = min(earlier, key=_Blame.order)
                for x in self._dead.get(node, ()):
                    del found[x]
        spoiled = [blame[n] for n in self._looked_at if n in blame]
        if spoiled:
            first = min(spoiled, key=_Blame.order)
            raise first.error or self._held(first.node, found[first.node], look)
        made = [numpy.array(found[n], n.dtype, order="C", copy=True).reshape(n.shape) for n in self._outputs]
        return made if self._device is None else [self._device.upload(m) for m in made]

    def _held(self, node, value, look):
        """The error for an input that holds such a value to begin with."""
        owner = node.fact("owner")
        other = "an input" if node.shape or node.site is not None else "a number"
        name = self._names.get(node) or (f"Parameter {owner.name}" if owner is not None else other)
        index, count, shown = _first(value, look)
        error = NonFiniteError(
            f"{name}: holds {_word(value[index])} before anything is computed, and it reaches a result.\n"
            f"    {describe(node, name)}\n    value{shown}\n"
            "Look at where the array comes from, or leave such elements out with np.where, np.nansum and their like."
        )
        error.index, error.count = index, count
        error.where = site_text(node.site)
        return error


class _Blame:
    """The node that spoiled a value, and the error that says so; None for an input that was so before."""

    __slots__ = ("error", "node")

    def __init__(self, node, error):
        self.node, self.error = node, error

    def order(self):
        """What was made here first, in order of making; then inputs."""
        return self.error is None, self.node.serial


def _evaluated(node, found):
    """The value of a node, from those of its inputs."""
    if node.value is not None:
        return devices.on_host(node.value)
    if graph.is_constant(node):
        return numpy.broadcast_to(numpy.array(node.attrs[0], node.dtype), node.shape)
    operands = [found[x] for x in node.inputs]
    if node.primitive.kind not in ("view", "cast"):  # compiled code computes in float32, too
        operands = [x.astype(numpy.float32) if x.dtype == numpy.float16 else x for x in operands]
    return numpy.asarray(node.primitive.reference(*operands, **dict(node.attrs))).astype(node.dtype, copy=False)


def _looking(words):
    """Whether an array holds what is looked for; with ``where=True`` the mask of it."""
    test = (lambda v: ~numpy.isfinite(v)) if "inf" in words else numpy.isnan

    def look(value, where=False):
        if value.dtype.kind not in "fc":
            return False
        mask = test(value)
        return mask if where else bool(mask.any())

    return look


def _first(value, look):
    """(index of the first one, how many there are, a line that says so)."""
    mask = look(value, where=True)
    index = tuple(int(i) for i in numpy.unravel_index(int(mask.argmax()), mask.shape))
    count = int(mask.sum())
    many = "the first of" if count > 1 else "the only one among"
    among = f" {count} in" if count > 1 else ""
    number = f", {many}{among} {mask.size} elements" if mask.size > 1 else ""
    return index, count, f"{_at(index)} = {value[index]!s}{number}"


def _made(node, operands, value, words):
    """The error for a node that made such a value of operands without."""
    if node.primitive.kind in _WITH_BODIES:
        found = _inside(node, operands)
        if found is not None:
            return found
    names = ["x"] if len(operands) == 1 else [f"x{i + 1}" for i in range(len(operands))]
    index, count, shown = _first(value, _looking(words))
    origin, passes = forward_node(node)
    call = f"{node.primitive.name}({', '.join(names if len(names) <= 4 else [*names[:3], '...'])})"
    without = "finite operands" if "inf" in words else "operands that hold none"
    lines = [f"{call}: makes {_word(value[index])} out of {without}, {_part(node)}.", f"    result{shown}"]
    for name, x, operand in list(zip(names, node.inputs, operands, strict=True))[:6]:
        made = describe(x)
        if x.fact("derivative_of") is not None:
            made = f"{made.partition('  made at')[0]}  made {_part(x)}"
        lines.append(f"    {_operand(name, operand, index, node, value.shape)}    {made}")
    lines.append(_advice(node, passes))
    error = NonFiniteError("\n".join(lines))
    error.operation, error.index, error.count = node.primitive.name, index, count
    error.backward_of = called(origin) if passes else None
    error.where = site_text(origin.site)
    return error


def _look_inside(node, operands, look):
    """Raise the error for what is made in a step or a branch, though it may reach no result."""
    if node.primitive is not None and node.primitive.kind in _WITH_BODIES and not any(map(look, operands)):
        error = _inside(node, operands)
        if error is not None:
            raise error


def _inside(node, operands):
    """The error for what a step of a loop makes, or the branch of a choice; None if all is as it should be there."""
    attrs, bodies = dict(node.attrs), []

    def watched(body):
        bodies.append(_Watched(body))
        return bodies[-1]

    rule = attrs["rule"].with_bodies(watched)
    try:
        rule.by_steps(*operands, wanted=[attrs["index"]])
    except NonFiniteError as inner:
        (number,) = (k for k, body in enumerate(bodies) if body.failed)
        place = rule.place(number, [body.done for body in bodies])
        error = NonFiniteError(f"in {place}, {_part(node)}:\n{inner}")
        error.operation, error.backward_of, error.where = inner.operation, inner.backward_of, inner.where
        error.index, error.count = inner.index, inner.count
        return error
    return None


class _Watched:
    """The body of a loop or a choice, which is looked at each time that it is run; it is its own interpreter."""

    __slots__ = ("_program", "done", "failed", "inputs", "outputs")

    def __init__(self, body):
        self.inputs, self.outputs = body.inputs, body.outputs
        self._program, self.done, self.failed = CheckedProgram(body.inputs, body.outputs), 0, False

    def interpreter(self):
        return self

    def run(self, values, patience=None):
        self.failed = True
        made = self._program.run(map(numpy.asarray, values))
        self.failed = False
        self.done += 1
        return made


def _part(node):
    """In which part of the program a node is: the pass, and the user's line."""
    origin, passes = forward_node(node)
    where = site_text(origin.site)
    at = f" at {where}" if where else ""
    if not passes:
        return f"in the forward pass{at}"
    return f"in the {'backward pass of the ' * (passes - 1)}backward pass of {called(origin)}{at}"


def _operand(name, operand, index, node, shape):
    """An operand where the result is bad, or where that is not one element, its range."""
    if node.primitive.kind in _BY_ELEMENT:
        value = numpy.broadcast_to(operand, shape)[index]
        return f"{name}{_at(index) if operand.shape == shape else ''} = {value!s}"
    if operand.size == 0:
        return f"{name} has no elements"
    if operand.dtype.kind in "fiu":
        return f"{name} from {operand.min()!s} to {operand.max()!s}"
    return f"{name} with absolute values up to {numpy.abs(operand).max()!s}"


def _at(index):
    return f"[{', '.join(map(str, index))}]" if index else ""


def _word(value):
    return "a nan" if numpy.isnan(value) else "an inf"


def _advice(node, passes):
    if passes:
        return (
            "The derivative does not exist there, or overflows. Keep the operand away from that place before the "
            "operation, as in sqrt(np.where(x > 0, x, 1.0)); a np.where behind it does not help, since 0 times inf is "
            "a nan."
        )
    return (
        "Keep the operands inside of the domain of the operation, as with np.maximum or with np.where before it, or "
        "scale them."
    )
