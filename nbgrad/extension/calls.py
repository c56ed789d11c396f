"""Calls: primitives of users with one result or several, and their rule.

The nodes of a call are one for each result, with the same inputs and the same `Call`, as those of a loop are.
"""

import dataclasses
import inspect
import numbers
import re

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.errors import ArgumentError, DtypeError, GradientError, MissingRuleError, OptionError, describe, site_text
from nbgrad.primitive import Primitive, _declare_all, _parameters, _registry


@dataclasses.dataclass(frozen=True)
class Form:
    """What a shape rule sees of an array."""

    shape: tuple
    dtype: numpy.dtype

    @property
    def ndim(self):
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self):
        """How many elements there are."""
        return shapes.size(self.shape)

    def __len__(self):
        return self.shape[0]


@dataclasses.dataclass(frozen=True)
class Call(ruled.Rule):
    """What a call does.

    Attributes
    ----------
    primitive : Extension
    attrs : tuple of (str, number)
    count : int
        How many results there are.
    where : str
        The user's line, for errors that happen in a call of Python.
    kinds : tuple of dtype or None
        Where complex inputs are pairs of reals along a last axis, their dtypes.
    """

    primitive: Primitive
    attrs: tuple
    count: int
    where: str = ""
    kinds: tuple = ()

    def output(self, inputs, index):
        """The node of a result."""
        return graph.structural(self.primitive, tuple(inputs), {"index": index, "rule": self})

    def forms(self, inputs):
        """Shapes and dtypes of the results, for inputs of these; as the primitive itself has them."""
        own = [Form(tuple(x.shape), x.dtype) for x in inputs]
        for k, kind in enumerate(self.kinds):
            if kind is not None:
                own[k] = Form(own[k].shape[:-1], kind)
        return self.primitive.forms(own, dict(self.attrs))

    def avals(self, inputs):
        """(shape, dtype) of each result."""
        return [
            ((*f.shape, 2), dtypes.real_of(f.dtype)) if self.kinds and f.dtype.kind == "c" else (f.shape, f.dtype)
            for f in self.forms(inputs)
        ]

    def by_steps(self, *values, wanted, patience=None):
        """The results in `wanted`, by Python."""
        if patience is not None:
            patience.spend(self.primitive.steps(values))
        values = [numpy.asarray(v) for v in values]
        for k, kind in enumerate(self.kinds):
            if kind is not None:
                values[k] = numpy.ascontiguousarray(values[k]).view(kind)[..., 0]
        try:
            made = self.primitive.called(values, dict(self.attrs))
        except Exception as error:
            if self.where:
                error.add_note(f"in {self.primitive.name}, called at {self.where}")
            raise
        made = [made[i] for i in wanted]
        return [y[..., None].view(y.real.dtype) if self.kinds and y.dtype.kind == "c" else y for y in made]

    def of_pairs(self, kinds):
        """The same call of pairs of reals in place of complex numbers."""
        return dataclasses.replace(self, kinds=kinds)

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: what the primitive's own says."""
        primitive = self.primitive
        if primitive.rule is None:
            raise MissingRuleError(
                f"grad of {primitive.name}: no VJP for it. {primitive.missing}, or cut the path with "
                f"ng.stop_gradient(x).\n    {describe(inputs[0], 'input')}"
            )
        complex_ = primitive.holomorphic and any(x.dtype.kind == "c" for x in inputs)
        residual = backward.conjugated if complex_ else Array
        pulled = primitive.rule(*(self._read(n, cotangents, inputs, residual) for n in primitive.reads))
        pulled = pulled if isinstance(pulled, tuple) else (pulled,)
        if len(pulled) != len(inputs):
            raise GradientError(
                f"grad of {primitive.name}: its VJP returned {len(pulled)} cotangents for {len(inputs)} inputs; return "
                "one each as a tuple, None for none"
            )
        pulled = backward.known(primitive, pulled, inputs, needed)
        return tuple([None if c is None else Array(graph.node_of(c, primitive.name)) for c in pulled])

    def _read(self, name, cotangents, inputs, residual):
        """What a parameter of the rule stands for."""
        if name == "xs":
            return tuple(map(residual, inputs))
        if name in ("gs", "ys"):
            return tuple([self._read(f"{name[0]}{k + 1}", cotangents, inputs, residual) for k in range(self.count)])
        index = _index(name, "y", self.count)
        if index is not None:
            return residual(self.output(inputs, index))
        index = _index(name, "g", self.count)
        if index is not None:
            shape, dtype = self.avals(inputs)[index]
            return Array(cotangents[index] if index in cotangents else graph.constant(0, dtype, shape))
        place = self.primitive.place(name)
        return dict(self.attrs)[name] if place is None else residual(inputs[place])


def unused(name):
    """A name like this one that no primitive has, and that can be part of a source."""
    _declare_all()
    name, count = re.sub(r"\W", "_", name), 2
    found = name
    while found in _registry:
        found, count = f"{name}_{count}", count + 1
    return found


def _index(name, letter, count):
    """Which result a name such as ``g2`` is of; of one result ``g`` will do."""
    if name == letter and count == 1:
        return 0
    number = name[len(letter) :]
    return int(number) - 1 if name.startswith(letter) and number.isdecimal() and 0 < int(number) <= count else None


class Extension(Primitive):
    """A primitive of arrays that a user declares, with one result or several.

    To be called on Arrays, NumPy arrays and numbers: one Array, or a tuple of Arrays.
    """

    __slots__ = ("defaults", "missing")
    #: Whether rules are handed the conjugates of complex numbers that they read, as `Primitive.vjp` says.
    holomorphic = True

    def __init__(self, name, operands, defaults, missing, doc, kernel=None):
        _declare_all()  # names are those of no other
        super().__init__(name, "call", reference=lambda *xs, index, rule: rule.by_steps(*xs, wanted=[index])[0],
                         infer=lambda *xs, index, rule: rule.avals(xs)[index], doc=doc, kernel=kernel,
                         registered=False)  # fmt: skip
        self.operands, self.defaults, self.missing = tuple(operands), defaults, missing

    def forms(self, inputs, attrs):
        """A list of `Form`s of the results for those of the inputs."""
        raise NotImplementedError

    def called(self, values, attrs):
        """A list of ndarrays, by Python."""
        raise NotImplementedError

    def steps(self, values):
        """How long `called` takes, in calls of NumPy."""
        return 1

    def count(self, inputs, attrs):
        """How many results there are."""
        return len(self.forms([Form(x.shape, x.dtype) for x in inputs], attrs))

    def __call__(self, *args, **attrs):
        if self.operands and len(args) != len(self.operands):
            raise ArgumentError(
                f"{self.name}: takes {len(self.operands)} arrays ({', '.join(self.operands)}), got {len(args)}; "
                "attributes are passed by name"
            )
        nodes = [graph.node_of(a, self.name, n) for a, n in zip(args, self.operands or _numbered(args), strict=True)]
        given = {**self.defaults, **attrs}
        for name, value in given.items():
            if name not in self.defaults:
                raise OptionError(
                    f"{self.name}: {name}={value!r} is no attribute of it; it has {', '.join(self.defaults) or 'none'}"
                )
            if value is inspect.Parameter.empty:
                raise ArgumentError(f"{self.name}: the attribute {name} is missing; pass it by name, as {name}=1.0")
            if not isinstance(value, (numbers.Real, numpy.bool_)):
                raise ArgumentError(
                    f"{self.name}: the attribute {name} is {describe(value)}, expected a number; arrays are passed in "
                    "front, without names"
                )
        made = tuple(self.applied(map(Array, nodes), given))
        return made[0] if len(made) == 1 else made

    def applied(self, xs, attrs=None):
        """A list of the results, for Arrays and attributes that need no checks."""
        nodes, attrs, site = [x._node for x in xs], attrs or {}, graph.site()
        rule = Call(self, tuple(attrs.items()), self.count(nodes, attrs), site_text(site) if site else "")
        return [Array(rule.output(nodes, k)) for k in range(rule.count)]

    def vjp(self, rule):
        """Declare the VJP: a function on Arrays that returns a cotangent for each input, None for none.

        Its parameters say what it reads: inputs by the names that the kernel has for them or as ``xs``, the result as
        ``y`` and its cotangent as ``g``; of several results ``y1``, ``y2``, ... and ``g1``, ``g2``, ..., or all of them
        as ``ys`` and ``gs``; attributes by name.

        Raises
        ------
        ArgumentError
            If the rule reads something else.
        """
        self.declare_vjp(rule, _parameters(rule))
        return rule

    def declare_vjp(self, rule, reads):
        """The same of a rule that reads what `reads` say."""
        self.rule, self.reads = rule, tuple(reads)
        for name in reads:
            stem = name.rstrip("0123456789")
            known = (*self.defaults, "xs", "gs", "ys")
            if self.place(name) is None and name not in known and stem not in ("g", "y"):
                raise ArgumentError(
                    f"{self.name}.vjp: the rule reads {name!r}; expected g, y (g1, g2, ... of several results), xs"
                    + "".join(f", {n}" for n in (*self.operands, *self.defaults))
                )

    def batched(self, rule):
        """Declare what the primitive is of operands that are stacked, for `vmap`: see `Primitive.batched`.

        The rule returns as many Arrays as there are results, with the examples along their first axes.
        """

        def of_nodes(node, operands, mapped, size):
            index, call = (value for _, value in node.attrs)
            made = rule(size, tuple(mapped), *map(Array, operands), **dict(call.attrs))
            made = made if isinstance(made, tuple) else (made,)
            return None if made == (None,) else made[index]._node

        self.batching = of_nodes
        return rule


def _numbered(args):
    return [f"x{k + 1}" for k in range(len(args))]


def checked_forms(call, found):
    """What a shape rule returned, as a list of `Form`s.

    Raises
    ------
    ArgumentError
        If it is not (shape, dtype) or a list of these.
    """
    several = found if isinstance(found, list) else [found]
    made = []
    for one in several:
        try:
            shape, dtype = one
            shape = tuple(int(n) for n in shape)
            made.append(Form(shape, dtypes.as_dtype(dtype, call)))
            if min(shape, default=0) < 0:
                raise ValueError
        except (TypeError, ValueError) as error:
            if isinstance(error, DtypeError):
                raise
            raise ArgumentError(
                f"{call}: the shape rule returned {found!r}, expected (shape, dtype), or a list of such pairs for "
                "several results; return for instance x.shape, x.dtype"
            ) from None
    return made
