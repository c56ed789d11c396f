"""Scalars: a graph of small arrays as one of numbers, for loops that keep their state in registers.

before: ``y = w @ x`` of a matrix of 2 x 2    after: ``y0 = w00 * x0 + w01 * x1; y1 = w10 * x0 + w11 * x1``
"""

import dataclasses
import functools

import numpy

from nbgrad import graph, shapes
from nbgrad.compile.simplify import made, simplify
from nbgrad.graph import Node

#: Numbers that a graph may be made of: longer sources take seconds to compile.
MOST = 3000
#: What reductions join their elements by.
JOIN = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum", "any": "logical_or", "all": "logical_and"}
#: Primitives that are taken apart by methods of their names.
_HANDLED = ("matmul", "switch", "embed", "set_slice", "add_slices")


class TooMuch(Exception):
    """The graph has too many numbers, or operations that are not of numbers one by one."""


@dataclasses.dataclass
class Choice:
    """A choice between graphs of numbers.

    Attributes
    ----------
    number : Node
    operands : list of ndarray of Node
    branches : list of Scalars
        Of the operands.
    parts : list of ndarray of Node
        Its results, by their index.
    results : list of Node
        The numbers of all of them.
    """

    number: Node
    operands: list
    branches: list
    parts: list
    results: list


class Scalars:
    """The numbers that arrays of a graph consist of.

    Parameters
    ----------
    inputs, outputs : lists of Node
        As `nbgrad.compile.simplify.simplify` returns them.

    Attributes
    ----------
    inputs, outputs : lists of ndarray of Node
        Nodes of numbers, in the shape of the arrays.
    """

    def __init__(self, inputs, outputs):
        self._table, self._count, self._parts, self._called = {}, 0, {}, {}
        self.choices = {}
        for node in inputs:
            self._keep(node, self._filled(node.shape, lambda n=node: Node(None, (), (), (), n.dtype)))
        for node in graph.topological(outputs):
            if node not in self._parts:
                self._keep(node, self._of(node))
        self.inputs, self.outputs = [self._parts[n] for n in inputs], [self._parts[n] for n in outputs]

    def inside(self):
        """The numbers in the branches of choices, at any depth."""
        found = []
        for choice in self._called.values():
            for branch in choice.branches:
                found += graph.topological([n for part in branch.outputs for n in part.reshape(-1)])
                found += branch.inside()
        return found

    def _keep(self, node, parts):
        if node.dtype.kind == "c" or node.dtype.itemsize == 2:
            raise TooMuch
        self._parts[node] = parts

    def _filled(self, shape, make):
        self._count += shapes.size(shape)
        if self._count > MOST:
            raise TooMuch
        parts = numpy.empty(shape, object)
        for index in numpy.ndindex(*shape):
            parts[index] = make()
        return parts

    def _number(self, primitive, inputs, attrs, dtype):
        return made(primitive, tuple(inputs), attrs, (), dtype, self._table)

    def _of(self, node):
        if graph.is_constant(node):
            number = self._table.setdefault((node.attrs, node.dtype), graph.constant(node.attrs[0], node.dtype))
            return self._filled(node.shape, lambda: number)
        primitive, attrs = node.primitive, dict(node.attrs)
        inputs = [self._parts[x] for x in node.inputs]
        if primitive.kind in ("elementwise", "cast"):
            if primitive.kernel is None and not primitive.expression and primitive.kind != "cast":
                raise TooMuch
            wide = [iter(numpy.broadcast_to(x, node.shape).reshape(-1)) for x in inputs]
            return self._filled(
                node.shape, lambda: self._number(primitive, [next(x) for x in wide], node.attrs, node.dtype)
            )
        if primitive.kind == "reduction":
            return self._reduced(node, inputs[0], attrs["axes"])
        if primitive.name in _HANDLED:
            return getattr(self, "_" + primitive.name)(node, *inputs)
        if primitive.kind == "view" or primitive.name == "concatenate":
            return self._moved(primitive, inputs, attrs)
        raise TooMuch

    def _moved(self, primitive, inputs, attrs):
        """Elements at other places: the reference is applied to their numbers."""
        flat, places = [], []
        for x in inputs:
            places.append(numpy.arange(len(flat), len(flat) + x.size).reshape(x.shape))
            flat += list(x.reshape(-1))
        at = numpy.asarray(primitive.reference(*places, **attrs))
        parts = numpy.empty(at.shape, object)
        for index in numpy.ndindex(*at.shape):
            parts[index] = flat[at[index]]
        self._count += parts.size
        if self._count > MOST:
            raise TooMuch
        return parts

    def _joined(self, name, numbers, dtype):
        from nbgrad.primitive import _find

        return functools.reduce(lambda a, b: self._number(_find(name), (a, b), (), dtype), numbers)

    def _reduced(self, node, x, axes):
        order = [a for a in range(x.ndim) if a not in axes] + list(axes)
        rows = x.transpose(order).reshape(shapes.size(node.shape), -1)
        if not rows.shape[1]:
            raise TooMuch
        made = iter([self._joined(JOIN[node.primitive.name], list(row), node.dtype) for row in rows])
        return self._filled(node.shape, lambda: next(made))

    def _matmul(self, node, a, b):
        from nbgrad.kernels.arithmetic import multiply

        lead = node.shape[:-2]
        a, b = (numpy.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
        if not a.shape[-1]:
            raise TooMuch

        def one(index):
            *outer, i, j = index
            pairs = zip(a[(*outer, i)], b[(*outer, slice(None), j)], strict=True)
            products = [self._number(multiply, pair, (), node.dtype) for pair in pairs]
            return self._joined("add", products, node.dtype)

        self._count += shapes.size(node.shape) * a.shape[-1]
        indices = iter(list(numpy.ndindex(*node.shape)))
        return self._filled(node.shape, lambda: one(next(indices)))

    def _switch(self, node, number, *operands):
        """All results of a choice are made together, each number a node that depends on all operands."""
        rule = dict(node.attrs)["rule"]
        choice = self._called.get((node.inputs, rule))
        if choice is None:
            branches = [Scalars(ins, outs) for ins, _, outs in (simplify(b.inputs, b.outputs) for b in rule.branches)]
            self._count += sum(b._count for b in branches)
            numbers = [number[()], *(n for x in operands for n in x.reshape(-1))]
            parts, results = [], []
            for part, like in zip(branches[0].outputs, rule.branches[0].outputs, strict=True):
                parts.append(numpy.empty(part.shape, object))
                for index in numpy.ndindex(*part.shape):
                    results.append(Node(node.primitive, tuple(numbers), (len(results), rule), (), like.dtype))
                    parts[-1][index] = results[-1]
            choice = self._called[node.inputs, rule] = Choice(number[()], list(operands), branches, parts, results)
            self.choices.update(dict.fromkeys(results, choice))
        return choice.parts[dict(node.attrs)["index"]]

    def _put_in(self, node, base, parts, specs, accumulate):
        from nbgrad.kernels.shape import as_index

        made = base.copy()
        for part, spec in zip(parts, specs, strict=True):
            at = as_index(spec)
            if accumulate:
                old, new = numpy.atleast_1d(made[at]).reshape(-1), numpy.atleast_1d(part).reshape(-1)
                added = numpy.empty(old.size, object)
                for k, pair in enumerate(zip(old, new, strict=True)):
                    added[k] = self._joined("add", pair, node.dtype)
                part = added.reshape(part.shape)
            made[at] = part
        return made

    def _embed(self, node, x):
        zero = graph.constant(0, node.dtype)
        spec = dict(node.attrs)["spec"]
        return self._put_in(node, self._filled(node.shape, lambda: zero), [x], [spec], False)

    def _set_slice(self, node, x, part):
        return self._put_in(node, x, [part], [dict(node.attrs)["spec"]], False)

    def _add_slices(self, node, x, *parts):
        return self._put_in(node, x, parts, dict(node.attrs)["specs"], True)
