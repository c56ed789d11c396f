"""Sizes: which extents of the arguments a program leaves open, found by tracing it at several of them."""

import dataclasses
import functools
import inspect
import random
import re

import numpy

from nbgrad import trees
from nbgrad.compile import jit as jits
from nbgrad.debug.recording import watched
from nbgrad.errors import ArgumentError, KernelError
from nbgrad.export import patterns
from nbgrad.export.described import Description
from nbgrad.export.formula import Fitter, monomials
from nbgrad.export.portable import PortableLowering, SteppedLowering

#: What sizes are called, in the order of the arguments.
LETTERS = ("n", "m", "k", "l", "p", "q", "r", "s")
#: Sizes at which programs are looked at, with all remainders: between some of them a plan may turn another way.
_SMALL = (59, 67, 72, 82, 93, 101, 118, 131, 144)
_LARGE = (1009, 1012, 1018, 1021, 1031, 1040, 1047, 1052, 1055)
_REGIMES = ((PortableLowering, _SMALL), (SteppedLowering, _SMALL), (SteppedLowering, _LARGE))
_APART = 101
#: Numbers of an array of the function's own that may each follow from the sizes.
_FEW = 16
#: Points beyond those that a polynomial needs.
_MORE = 2


class Traces:
    """A jitted function, traced on arguments like those of an example, at any sizes.

    Attributes
    ----------
    names : list of str
        Paths of the arguments' leaves.
    values : list of ndarray
    places : list of (leaf, axis) lists
        Where each size occurs: extents of the example that are equal, and more than 1, are one size.
    example : tuple of int
    """

    def __init__(self, jitted, args, kwargs, call):
        self._jitted, self.call = jitted, call
        dynamic, self._static = jitted._parted(args, kwargs)
        leaves, self._structure = trees.flatten(dynamic)
        self.names = _names(jitted, dynamic)
        self.values = [numpy.asarray(jits._argument(leaf)[0]) for leaf in leaves]
        found = {}
        for k, value in enumerate(self.values):
            for axis, extent in enumerate(value.shape):
                if extent > 1:
                    found.setdefault(extent, []).append((k, axis))
        self.places, self.example = list(found.values()), tuple(found)
        self.trace = self.at(self.example)
        if self.trace.owners:
            listed = ", ".join(repr(p.name) for p in self.trace.owners)
            raise ArgumentError(
                f"{call}: the function reads the Parameter {listed}, whose value may change after it is compiled; "
                "make it an argument"
            )
        if self.trace.device is not None:
            raise KernelError(
                f"{call}: the arguments are on {self.trace.device}, expected arrays on the host; move them"
            )

    def shapes_at(self, sizes):
        """The shapes of the arguments."""
        shapes = [list(v.shape) for v in self.values]
        for size, places in zip(sizes, self.places, strict=True):
            for k, axis in places:
                shapes[k][axis] = size
        return [tuple(s) for s in shapes]

    def at(self, sizes):
        """The trace."""
        values = [
            numpy.broadcast_to(numpy.zeros((), v.dtype), s)
            for v, s in zip(self.values, self.shapes_at(sizes), strict=True)
        ]
        with watched():  # so that errors name lines
            return self._jitted._trace(self._structure, values, self._static)

    def arguments_at(self, sizes):
        """Arrays like those of the example: what ascends goes on to ascend, and nearly all numbers are in its range.

        They are all a little smaller, and by different parts, so that other functions do not give the same of them.
        """
        made = []
        for value, shape in zip(self.values, self.shapes_at(sizes), strict=True):
            if value.dtype.kind in "iu" and value.size:  # they may be indices
                value = value % max(min([*value.shape, *sizes], default=1), 1)
            definite = shape != value.shape and _is_symmetric(value)
            for axis, n in enumerate(shape):
                value = _stretched(value, axis, n)
            if definite:  # as it is in the example, perhaps
                value = value + 0.1 * numpy.abs(value).max() * numpy.eye(shape[-1], dtype=value.dtype)
            if value.dtype.kind in "fc":
                value = value * (1 - 0.01 * numpy.linspace(0, 1, value.size).reshape(shape)).astype(value.dtype)
            made.append(value)
        return made


def _names(jitted, dynamic):
    """What the leaves of the arguments are called: the name of the parameter, and the place in it."""
    names = trees.argument_paths(dynamic)
    try:
        parameters = list(inspect.signature(jitted).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    for k, parameter in enumerate(parameters[: len(dynamic[0])]):
        if parameter.kind is parameter.VAR_POSITIONAL:
            break
        names = [re.sub(rf"^argument {k}(?!\d)", parameter.name, n) for n in names]
    return [n.removeprefix("keyword argument ") for n in names]


def _is_symmetric(array):
    square = array.ndim > 1 and array.shape[-1] == array.shape[-2] > 1 and array.dtype.kind in "fc"
    return square and numpy.allclose(array, numpy.conj(numpy.swapaxes(array, -1, -2)))


def _stretched(array, axis, n):
    """An array with `n` numbers along an axis, interpolated between those that it has."""
    have = array.shape[axis]
    if n == have:
        return array
    at = numpy.linspace(0, have - 1, n)
    low = numpy.minimum(at.astype(int), max(have - 2, 0))
    below, above = numpy.take(array, low, axis), numpy.take(array, numpy.minimum(low + 1, have - 1), axis)
    if array.dtype.kind not in "fc":
        return below
    weight = (at - low).reshape([-1 if a == axis else 1 for a in range(array.ndim)])
    return (below * (1 - weight) + above * weight).astype(array.dtype)


class Plan:
    """What a program does, with its numbers as formulas of those sizes that are open.

    Attributes
    ----------
    open : list of int
        Numbers of the sizes.
    reasons : dict
        Why other sizes are as they are in the example.
    numbers : list
        For each number of the description a `Formula`, or what it always is.
    shapes : list of tuple of Formula
        Of the outputs.
    captured : list of ndarray, Numbers or Pattern
    """

    def __init__(self, traces, fixed=False):
        self.traces, self.reasons = traces, {}
        count = len(traces.example)
        wanted = [k for k in range(count) if k not in _asked(traces, fixed)]
        reason = self._tried(wanted)
        if reason is not None:
            alone = {}
            for k in wanted if count > 1 else ():
                alone[k] = self._tried([k])
            self.reasons = {k: alone.get(k, reason) for k in wanted if alone.get(k, reason) is not None}
            wanted = [k for k in wanted if k not in self.reasons]
            while self._tried(wanted) is not None:  # each may change, but not all of them at a time
                self.reasons[wanted.pop()] = reason

    def _tried(self, free):
        """None if these sizes can be open, else why not."""
        reason = None
        for lowering, regime in _REGIMES if free else _REGIMES[:1]:
            try:
                reason = self._fitted(free, lowering, _fitter(len(free), regime))
            except Exception as error:  # of the user's function at sizes that it was not written for
                if not free:
                    raise
                return reason or f"{type(error).__name__}: {error}".splitlines()[0]
            if reason is None:
                return None
        return reason

    def _fitted(self, free, lowering, fitter):
        descriptions, arrays, outputs = [], [], []
        for point in fitter.points:
            sizes = list(self.traces.example)
            for k, size in zip(free, point, strict=True):
                sizes[k] = size
            trace = self.traces.at(tuple(sizes)) if free else self.traces.trace
            inputs, captured, made = trace.program._graph
            descriptions.append(Description(lowering(inputs, captured, made)))
            own = [captured[k] for k in descriptions[-1].captured]
            arrays.append([numpy.ascontiguousarray(n.fact("value")).reshape(n.shape) for n in own])
            outputs.append(made)
            if descriptions[-1].skeleton != descriptions[0].skeleton:
                return "the program takes another form at other sizes"
        numbers = [_formula(fitter, v) for v in zip(*(d.numbers for d in descriptions), strict=True)]
        shapes = [
            tuple(fitter.whole(v) for v in zip(*extents, strict=True))
            for extents in zip(*([n.shape for n in nodes] for nodes in outputs), strict=True)
        ]
        if any(f is None for f in numbers) or any(n is None for s in shapes for n in s):
            return "a number in the program is no polynomial of the size, nor the inverse or root of one"
        captured = [_constant(fitter, same) for same in zip(*arrays, strict=True)]
        if any(c is None for c in captured):
            return "the function makes an array from the size with NumPy; make it an argument"
        self.open, self.numbers, self.shapes, self.captured = list(free), numbers, shapes, captured
        self.description, self.outputs = descriptions[0], outputs[0]
        return None


def _asked(traces, fixed):
    """Numbers of the sizes that the user wants to stay what they are."""
    if isinstance(fixed, (bool, numpy.bool_)):
        return range(len(traces.example)) if fixed else ()
    extents = fixed if isinstance(fixed, (tuple, list)) else (fixed,)
    for e in extents:
        if e not in traces.example:
            raise ArgumentError(
                f"{traces.call}: fixed has {e!r}, which is no extent of the example; expected True, False, or some of "
                f"{', '.join(map(str, traces.example)) or 'none'}"
            )
    return [traces.example.index(e) for e in extents]


@dataclasses.dataclass(frozen=True)
class Numbers:
    """An array of the function's own whose numbers follow from the sizes."""

    dtype: str
    formulas: tuple


def _constant(fitter, arrays):
    """An array that is the same at all points, or `Numbers`, or a `Pattern`; None for others."""
    first = arrays[0]
    if any(a.shape != first.shape or a.dtype != first.dtype for a in arrays):
        return patterns.found(fitter, arrays)
    if all(a.tobytes() == first.tobytes() for a in arrays):
        return first
    if first.size > _FEW or first.dtype.kind == "c":
        return None
    formulas = tuple(fitter.number(v, first.dtype) for v in zip(*(a.reshape(-1).tolist() for a in arrays), strict=True))
    return None if any(f is None for f in formulas) else Numbers(str(first.dtype), formulas)


def _formula(fitter, values):
    if isinstance(values[0], tuple):
        return fitter.number([v for v, _ in values], values[0][1])
    return fitter.whole(values)


@functools.cache
def _fitter(count, regime):
    """A `Fitter` at points that determine a polynomial, and more; the same ones every time."""
    if not count:
        return Fitter([()])
    if count == 1:
        return Fitter([(n,) for n in regime[: len(monomials(1)) + _MORE]])
    powers, draw = monomials(count), random.Random(count)
    while True:
        points = []
        while len(points) < len(powers) + _MORE:
            # each size has a range of its own: plans may ask which of two is larger
            point = tuple(n + _APART * k for k, n in enumerate(draw.choices(regime, k=count)))
            if point not in points:
                points.append(point)
        try:
            return Fitter(points)
        except StopIteration:  # they lie on a curve on which a polynomial vanishes
            continue
