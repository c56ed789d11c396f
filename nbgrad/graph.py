"""Nodes, how they are made from a call of a primitive, and orders to visit them in."""

import functools
import itertools
import math
import operator
import os
import sys
import threading

import numpy

from nbgrad import dtypes, shapes
from nbgrad.errors import ArgumentError, DtypeError, ShapeError, describe

#: NumPy's own, also while a function is traced: see `nbgrad.conversions`.
_array, _asarray = numpy.array, numpy.asarray
_PACKAGE = os.path.dirname(__file__) + os.sep
_KERNELS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "kernels") + os.sep  # an editable install
#: Where code is that is ours, not the user's.
PACKAGES = (_PACKAGE, _KERNELS)
#: Numbers of nodes, in the order in which they were made.
serials = itertools.count()
_age = operator.attrgetter("serial")


class Node:
    """One application of a primitive, or a leaf.

    A leaf has no primitive; it holds a value, or, while ``jit`` traces, stands for an input without one.
    Nodes are immutable but for `value`, which is filled in once when the node is realised.
    """

    __slots__ = ("attrs", "dtype", "history", "info", "inputs", "primitive", "serial", "shape", "site", "value")

    def __init__(
        self, primitive, inputs, attrs, shape, dtype, value=None, history=False, site=None, _next=serials.__next__
    ):
        self.primitive = primitive
        self.inputs = inputs
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.value = value
        self.history = history
        self.site = site
        self.serial = _next()
        self.info = None

    def __repr__(self):
        what = self.primitive.name if self.primitive else ("leaf" if self.value is not None else "input")
        return f"<{what} {self.dtype}[{', '.join(map(str, self.shape))}]>"

    def note(self, **facts):
        """Attach rare facts: owner, scope, device, gate, forgotten, table, derivative_of, origin, backward."""
        self.info = {**(self.info or {}), **facts}

    def fact(self, name):
        """A fact attached with `note`, or None."""
        return self.info.get(name) if self.info else None


#: The Array class and the module `nbgrad.devices`, set by those: this module does not import them.
Array = devices = None


class _State(threading.local):
    """What building a node depends on besides its arguments; each thread traces on its own."""

    tracked = 0  # depth of enclosing transforms and traces
    static = False  # inside a VJP rule numbers are part of the structure
    watched = False  # somebody wants to know which nodes are derivatives of which
    decide = None  # a function that says what the truth of an Array without a value is, while a text is traced
    beside = None  # a list, while a trace wants the values of functions that are differentiated in it
    effect = None  # the token of the last effect of what is traced: see `nbgrad.effects`
    plain = False  # nothing of what follows concerns a node: one look instead of three
    _sites, _scope, _device = True, "", None


def _noted(name):
    def change(state, value):
        setattr(state, name, value)
        state.plain = not (state._sites or state._scope or state._device)

    return property(operator.attrgetter(name), change)


class _NotedState(_State):
    """With the facts of every node, of which `plain` says that there are none."""

    sites = _noted("_sites")  # looking for the user's line costs as much as making the node
    scope = _noted("_scope")
    device = _noted("_device")


state = _NotedState()


def site(depth=2):
    """(code, instruction offset) of the user's line that is being executed; None while `state.sites` is off.

    `depth` says how many callers are known to be ours: looking at a frame costs as much as making a node.
    """
    if not state._sites:
        return None
    frame = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        inside = _inside.get(code.co_filename)
        if inside is None:
            inside = _inside[code.co_filename] = code.co_filename.startswith(PACKAGES)
        if not inside:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


_inside = {}  # whether a file is ours


# ---------------------------------------------------------------- leaves

_scalars = {}


def leaf(value, history=False):
    """A leaf for a NumPy array that nobody will change."""
    return Node(None, (), (), value.shape, value.dtype, value, history, site())


def table(value):
    """A leaf for helper data of a rule or a function, which goes to whatever device it is needed on."""
    node = leaf(value)
    node.note(table=True)
    return node


def scalar(value, dtype):
    """A node for a Python number: a leaf, or inside a rule a constant that belongs to the structure."""
    key = value, dtype, state.static
    found = _scalars.get(key) if value and type(value) is not complex else None
    if found is None:
        if len(_scalars) > 4096:
            _scalars.clear()
        try:
            array = numpy.array(value, dtype)
        except OverflowError:
            raise DtypeError(f"the Python number {value} does not fit {dtype}, the dtype of its partner") from None
        found = constant(value, dtype) if state.static else Node(None, (), (), (), dtype, array)
        if value and type(value) is not complex:  # 0.0 and -0.0 are equal as keys and not as numbers
            _scalars[key] = found
    return found


def constant(value, dtype, shape=()):
    """A constant that belongs to the structure of a graph: seeds, numbers of VJP rules."""
    number = numpy.array(value, dtype).item()
    if type(number) is complex:
        shown = repr(number)  # equal numbers may differ in the signs of their zeros
        attrs = (_complex.setdefault(shown, number), shown)
    elif number != number:
        attrs = (math.nan,)  # one object, which as part of a key equals itself
    elif number == 0 and math.copysign(1.0, number) < 0:
        attrs = (number, "minus")  # -0.0 == 0.0, but they are different constants
    else:
        attrs = (number,)
    return Node(constant_primitive(), (), attrs, tuple(shape), numpy.dtype(dtype))


_constant = None
#: Complex numbers by how they are written: a nan is then one object, which as part of a key equals itself.
_complex: dict = {}


def constant_primitive():
    """The primitive ``constant``: one number in any shape."""
    global _constant
    if _constant is None:
        from nbgrad.primitive import Primitive

        _constant = Primitive(
            "constant", "constant", reference=None, differentiable=False, doc="One number in any shape."
        )
    return _constant


def is_constant(node, value=None):
    """Whether `node` is a structural constant (equal to `value`, if given)."""
    if _constant is None or getattr(node, "primitive", None) is not _constant:
        return False
    return value is None or node.attrs[0] == value


# ---------------------------------------------------------------- applying primitives


def node_of(x, call, name="x"):
    """The node of an Array, or a fresh leaf for array-likes; ArgumentError for what is neither."""
    if isinstance(x, Array):
        return x._node
    if type(x) in dtypes.WEAK:
        return scalar(x, dtypes._WEAK_DTYPE[dtypes.WEAK[type(x)]])
    if isinstance(x, (list, tuple)) and _holds_arrays(x):
        return stacked(x, call, name)
    found = None if type(x) is numpy.ndarray else devices.foreign(x)
    return leaf(array_value(x, call, name) if found is None else found)


def stacked(x, call, name="x"):
    """The node of nested sequences that hold Arrays: stacked, so that their gradients flow on."""
    from nbgrad.numpy.manipulation import stack

    return stack([Array(node_of(v, call, f"{name}[{i}]")) for i, v in enumerate(x)])._node


def array_value(x, call, name="x", dtype=None):
    """A private C-contiguous ndarray of a supported dtype with the value of `x`."""
    if isinstance(x, (list, tuple)) and _holds_arrays(x):
        x = [_asarray(v) for v in x]
    if dtype is None and type(x) is numpy.ndarray and x.dtype in dtypes.SUPPORTED and x.dtype.isnative:
        return x.copy()
    try:
        value = _array(x, dtype=dtype, order="C", copy=True)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"{call}: {_in_words(name)} is not an array: {describe(x)} ({error})") from None
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    if value.dtype not in dtypes.SUPPORTED:
        if value.dtype.kind in "OUSV":
            raise ArgumentError(f"{call}: {_in_words(name)} must be an array or a number, not {describe(x)}")
        dtypes.as_dtype(value.dtype, call)
    return value


def _in_words(name):
    """``argument 'x'`` for the name of a parameter; what says itself what it is stays as it is."""
    return name if " " in name else f"argument {name!r}"


def _holds_arrays(x):
    return any(isinstance(v, Array) or (isinstance(v, (list, tuple)) and _holds_arrays(v)) for v in x)


def apply(primitive, args, attrs):
    """Call a primitive on Arrays, NumPy arrays and numbers: a new Array."""
    if primitive.kind == "elementwise":
        if len(args) == 1 and type(args[0]) is Array:  # the fast path: a function of one float array
            x = args[0]._node
            if x.dtype.kind == "f" and primitive.of_floats and primitive.result != "bool" and primitive.arity == 1:
                return Array(applied(primitive, (x,), (), x.shape, x.dtype))
        return elementwise(primitive, args)
    if len(args) == 1 and type(args[0]) is Array:
        nodes = (args[0]._node,)
    else:
        nodes = tuple([node_of(a, primitive.name, f"x{i + 1}") for i, a in enumerate(args)])
    return Array(structural(primitive, nodes, attrs))


def structural(primitive, nodes, attrs):
    """A node of a non-elementwise primitive; `attrs` is a dict of hashable values."""
    shape, dtype = primitive.infer(*nodes, **attrs)
    return applied(primitive, nodes, tuple(attrs.items()), shape, dtype)


def applied(primitive, inputs, attrs, shape, dtype):
    """The node of an application whose shape and dtype are known, made for a caller of the user's."""
    history = False
    for n in inputs:
        if n.history:
            history = True
            break
    if state.plain:
        return Node(primitive, inputs, attrs, shape, dtype, None, history)
    node = Node(primitive, inputs, attrs, shape, dtype, None, history, site(3))
    if state._scope or state._device:
        node.note(scope=state._scope, device=state._device)
    return node


def paired(primitive, x1, x2, result):
    """The Array of a function of two nodes of one floating-point dtype; None where they do not broadcast."""
    shape = x1.shape
    if shape != x2.shape:
        shape = broadcast_shape((shape, x2.shape))
        if shape is None:
            return None
    return Array(applied(primitive, (x1, x2), (), shape, x1.dtype if result is None else result))


broadcast_shape = functools.lru_cache(maxsize=4096)(shapes.broadcast)


def elementwise(primitive, args):
    """Broadcast and promote `args`, and apply an elementwise primitive to them."""
    if primitive.arity is not None and len(args) != primitive.arity:
        raise ArgumentError(f"{primitive.name}: takes {primitive.arity} arguments, got {len(args)}")
    if len(args) == 2:  # the fast path: two float arrays of one dtype, one of which may be an ndarray
        x1, x2 = args
        if type(x1) is numpy.ndarray:
            x1 = Array(leaf(array_value(x1, primitive.name, "x1")))
        elif type(x2) is numpy.ndarray:
            x2 = Array(leaf(array_value(x2, primitive.name, "x2")))
        if type(x1) is Array and type(x2) is Array:
            args, x1, x2 = (x1, x2), x1._node, x2._node
            if x1.dtype is x2.dtype and primitive.of_floats and x1.dtype.kind == "f":
                made = paired(primitive, x1, x2, dtypes.BOOL if primitive.result == "bool" else None)
                if made is not None:
                    return made
    nodes, kinds, weak = [], [], dtypes.WEAK
    for i, a in enumerate(args):
        if isinstance(a, Array):
            a = a._node
            kinds.append(a.dtype)
        elif type(a) in weak:
            kinds.append(weak[type(a)])
        else:
            a = node_of(a, primitive.name, f"x{i + 1}" if len(args) > 1 else "x")
            kinds.append(a.dtype)
        nodes.append(a)
    dtype, casts = dtypes.resolve(primitive, tuple(kinds))
    shape, differ = None, False
    for i, n in enumerate(nodes):
        if type(n) is not Node:
            nodes[i] = n = scalar(n, casts[i])
        elif n.dtype is not casts[i] and n.dtype != casts[i]:
            nodes[i] = n = cast(n, casts[i])
        if shape is None:
            shape = n.shape
        elif n.shape != shape:
            differ = True
    if differ:
        shape = broadcast_shape(tuple([n.shape for n in nodes]))
        if shape is None:
            raise _cannot_broadcast(primitive, nodes)
    return Array(applied(primitive, tuple(nodes), (), shape, dtype))


_astype = None


def cast(node, dtype):
    """`node` in another dtype; constants are cast at once."""
    global _astype
    if node.dtype == dtype:
        return node
    if is_constant(node):
        value = numpy.array(node.attrs[0])
        value = value.real if value.dtype.kind == "c" and dtype.kind not in "cb" else value
        return constant(value.astype(dtype).item(), dtype, node.shape)
    if _astype is None:
        from nbgrad.kernels.casting import astype as _astype
    return structural(_astype, (node,), {"dtype": numpy.dtype(dtype)})


def _cannot_broadcast(primitive, nodes):
    wrapped = [Array(n) for n in nodes]
    names = [f"x{i + 1}" for i in range(len(nodes))]
    lines = "\n".join("    " + describe(a, n) for a, n in zip(wrapped, names, strict=True))
    listed = " and ".join(str(n.shape) for n in nodes)
    hint = ""
    if len(nodes) == 2 and all(n.shape for n in nodes):
        a, b = (n.shape for n in nodes)
        hint = f"; last axes are {a[-1]} and {b[-1]}"
        for name, small, large in (("x2", b, a), ("x1", a, b)):
            if len(small) == 1 and len(large) > 1 and small[0] == large[-2]:
                other = "x1" if name == "x2" else "x2"
                hint += f".\nTo apply {name} to every column of {other}, give it a last axis: {name}[:, None]"
                break
    head, _, tail = hint.partition(".\n")
    return ShapeError(
        f"{primitive.name}({', '.join(names)}): shapes {listed} do not broadcast{head}.\n{lines}"
        + (f"\n{tail}" if tail else "")
    )


# ---------------------------------------------------------------- orders


def topological(outputs, stop=lambda node: False):
    """Nodes that `outputs` depend on, inputs before users; nothing behind a node for which `stop` holds.

    A node is younger than its inputs, so the order of creation is an order of execution.
    """
    found, stack = set(), list(outputs)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            if not stop(node):
                stack += node.inputs
    return sorted(found, key=_age)


def rebuilt(node, fresh):
    """The node with inputs from `fresh`; itself where these are its own."""
    inputs = tuple([fresh[x] for x in node.inputs])
    same = all(map(operator.is_, inputs, node.inputs))
    return node if same else Node(node.primitive, inputs, node.attrs, node.shape, node.dtype)


#: Kinds of primitives with a rule of their own and several results, a node each.
CALLS = frozenset(("ruled", "loop", "switch", "while", "call"))


def calls_in(order):
    """For each node of one of several results of a call, all nodes of the same call in `order`: they go together."""
    found = {}
    for node in order:
        if node.primitive is not None and node.primitive.kind in CALLS:
            found.setdefault((node.inputs, node.attrs[1]), []).append(node)
    return {node: call for call in found.values() for node in call}


def signature(outputs, through=False):
    """(key, leaves): the structure of a graph as a tuple, and the leaves it reads in order of first visit.

    Equal keys mean that one Program serves both graphs, with other values in the leaves.  A realised node
    is a leaf; with `through`, the graph behind it belongs to the structure as well, as a backward pass needs
    (a number: only behind nodes made since this serial).
    """
    since = sys.maxsize if through is False else int(through)
    index, key, leaves, stack = {}, [], [], []
    for o in outputs:
        if o not in index:
            index[o] = len(index)
            stack.append(o)
    stack.reverse()
    pop, push, known = stack.pop, stack.append, index.get
    count = len(index)
    while stack:
        node = pop()
        primitive, value = node.primitive, node.value
        if primitive is None or (value is not None and (node.serial < since or not node.history)):
            key += (node.dtype.num, node.shape)  # to hash a dtype takes longer than all of this
            leaves.append(node)
            continue
        inputs = node.inputs
        if inputs:
            key += (primitive, node.attrs)
            for i in inputs:
                number = known(i)
                if number is None:  # numbered when first met: the structure fixes the order
                    number = index[i] = count
                    count += 1
                    push(i)
                key.append(number)
        else:  # constants: value, shape and dtype are the structure
            key += (primitive, node.attrs, node.shape, node.dtype)
        if value is not None:
            key.append("realised")
            leaves.append(node)
    key += [index[o] for o in outputs]
    return tuple(key), leaves


#: How many leaves a dropped node remembers one by one.
REMEMBERED = 64


def origins(leaves):
    """(serials of the leaves something was made from or None, the smallest): what its node remembers of them."""
    serials, oldest = set(), None
    for n in leaves:
        if not n.shape and n.site is None:  # a number
            continue
        low = n.serial
        behind = n.info.get("origins") if n.info else None
        if behind is not None:
            low = min(low, behind[1])
            if behind[0] is None:
                serials = None
            elif serials is not None:
                serials |= behind[0]
        if serials is not None:
            serials.add(n.serial)
            if len(serials) > REMEMBERED:
                serials = None
        oldest = low if oldest is None else min(oldest, low)
    if oldest is None:
        return frozenset(), 1 << 62
    return (None if serials is None else frozenset(serials)), oldest
