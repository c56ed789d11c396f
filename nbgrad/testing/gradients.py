"""check_grads: derivatives of any order against differences of the function itself."""

import dataclasses

import numpy

from nbgrad import trees
from nbgrad.array import Array, asarray
from nbgrad.autodiff.forward import jvp, vjp
from nbgrad.errors import ArgumentError, OptionError, describe

#: By the number of significant bits of a dtype: step of differences, and how exact derivatives have to be.
_BY_BITS = {10: (0.25, 3e-2), 23: (5e-2, 1e-3), 52: (1e-3, 1e-7)}
#: Roundings of the function that differences are allowed to see, and by how much more each order may be off.
_ROUNDINGS, _PER_ORDER = 16, 10


class GradientCheckError(AssertionError):
    """A derivative does not agree with differences.

    Attributes
    ----------
    argument : str
    order : int
    mode : str
        ``"fwd"`` or ``"rev"``.
    found, expected : float or complex
    """

    def __init__(self, message, argument, order, mode, found, expected):
        super().__init__(message)
        self.argument, self.order, self.mode, self.found, self.expected = argument, order, mode, found, expected


def check_grads(fn, args, order=2, modes=("fwd", "rev"), atol=None, rtol=None, eps=None):
    """Assert that derivatives of `fn` agree with differences along random directions.

    For each argument, forward mode (`jvp`) is compared element by element, and reverse mode (`vjp`) with random weights
    of the outputs.  For order 2 the same is done to the derivatives that each mode makes, and so on.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them; smooth within `eps` of the arguments.
    args : tuple
        Arguments of `fn`.  All floating-point and complex arrays and numbers in them are differentiated by, the rest
        is constant.
    order : int
        The highest derivative that is checked.
    modes : sequence of {"fwd", "rev"}
        One mode is enough where the function has rules for one only.
    atol, rtol : float, optional
        Derivatives may be off by ``atol + rtol * abs(expected)``, and ten times as much for each further order; by
        default that of the dtype.  The rounding error of differences is added in any case.
    eps : float, optional
        How far from the arguments `fn` is evaluated; by default that of the dtype: 0.001 for float64, 0.05 for float32.

    Raises
    ------
    GradientCheckError
        An AssertionError: which argument, which order and mode, what was found and what expected.
    ArgumentError, OptionError
        Both TypeErrors: nothing to differentiate by, or options out of range.

    Notes
    -----
    Differences have an error of order eps to the fourth.  Of complex numbers the real inner product Re(conj(a) b) is
    compared: the gradient of a real L is dL/dx + i dL/dy.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> from nbgrad.testing import check_grads
    >>> check_grads(lambda x, y: np.sin(x) * y, (ng.asarray([0.5, 1.0]), 2.0), order=3)
    >>> @ng.elementwise(lambda x: x**3)
    ... def third_power(x):
    ...     return x * x * x
    >>> @third_power.vjp
    ... def third_power_vjp(g, x):
    ...     return g * 2.0 * x
    >>> check_grads(third_power, (ng.asarray([0.5, 1.0]),), modes=("rev",))
    Traceback (most recent call last):
        ...
    nbgrad.testing.gradients.GradientCheckError: check_grads of third_power: the derivative of ...
    """
    name = getattr(fn, "__name__", None) or getattr(fn, "name", type(fn).__name__)
    call = f"check_grads of {name}"
    if not callable(fn):
        raise ArgumentError(f"check_grads: fn must be callable, got {describe(fn)}")
    if not isinstance(args, (tuple, list)):
        raise ArgumentError(f"{call}: args must be a tuple of arguments, got {describe(args)}; write (x,) for one")
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise OptionError(f"{call}: order is {order!r}, expected an integer of at least 1")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if not modes or not set(modes) <= {"fwd", "rev"}:
        raise OptionError(f"{call}: modes is {modes!r}, expected 'fwd', 'rev' or both")
    if eps is not None and not eps > 0:
        raise OptionError(f"{call}: eps is {eps!r}, expected a positive number")
    flat, values, paths = _flat(call, fn, tuple(args))
    bits = min(numpy.finfo(v.dtype).nmant for v in values)
    step, close = _BY_BITS[bits]
    check = _Check(call, values, paths, modes, step if eps is None else eps, float(numpy.finfo(_real(values)).eps),
                   close if atol is None else atol, close if rtol is None else rtol)  # fmt: skip
    check.run(flat, order, ())


def _real(values):
    """The coarsest dtype of some values, of their real parts."""
    return max((numpy.finfo(v.dtype).dtype for v in values), key=lambda d: numpy.finfo(d).eps)


def _flat(call, fn, args):
    """(function of the differentiated leaves that returns a list of Arrays, values of the leaves, their names)."""
    paths = trees.argument_paths((args, {}))
    leaves, structure = trees.flatten(args)
    found = {}
    for k, leaf in enumerate(leaves):
        if isinstance(leaf, Array):
            value = leaf.numpy()
        elif isinstance(leaf, (numpy.ndarray, numpy.generic, float, complex)):
            value = numpy.asarray(leaf)
        else:
            continue
        if value.dtype.kind in "fc":
            found[k] = value
    if not found:
        raise ArgumentError(
            f"{call}: nothing to differentiate by: no argument is a floating-point or complex array; cast one with "
            ".astype('float64')"
        )

    def flat(*xs):
        moved = list(leaves)
        for k, x in zip(found, xs, strict=True):
            moved[k] = x
        out = fn(*trees.unflatten(structure, moved))
        results = [r for r in trees.flatten(out)[0] if isinstance(r, Array) and r.dtype.kind in "fc"]
        if not results:
            raise ArgumentError(
                f"{call}: fn returned no Array that could be differentiated but {describe(out)}; float(), .item() and "
                ".numpy() inside of it take values out of the graph"
            )
        return results

    return flat, list(found.values()), [paths[k] for k in found]


@dataclasses.dataclass
class _Check:
    """What is the same for all orders."""

    call: str
    values: list
    paths: list
    modes: tuple
    eps: float
    rounding: float
    atol: float
    rtol: float

    def run(self, function, order, before):
        """Check the derivatives of a function up to an order; `before` says by which modes it was made."""
        rng = numpy.random.default_rng((len(before), len(self.values)))
        directions = [_random(v.shape, v.dtype, rng) for v in self.values]
        weights = [_random(y.shape, y.dtype, rng) for y in function(*map(asarray, self.values))]
        for k in range(len(self.values)):
            along = [d if i == k else numpy.zeros_like(d) for i, d in enumerate(directions)]
            differences = self.differences(function, along)
            for mode in self.modes:
                compare = self.forward if mode == "fwd" else self.reverse
                compare(function, k, along, weights, differences, before)
        if order == 1:
            return
        if "fwd" in self.modes:
            self.run(lambda *xs: jvp(function, xs, tuple(map(asarray, directions)))[1], order - 1, (*before, "fwd"))
        if "rev" in self.modes:
            self.run(lambda *xs: list(vjp(function, *xs)[1](*map(asarray, weights))), order - 1, (*before, "rev"))

    def differences(self, function, along):
        """For each output (derivative along a direction, its error by rounding, how far two steps are apart)."""
        at = {h: self.moved(function, along, h) for h in (-1.0, -0.5, 0.5, 1.0)}
        found = []
        for far0, near0, near1, far1 in zip(*at.values(), strict=True):
            far, near = (far1 - far0) / (2 * self.eps), (near1 - near0) / self.eps
            largest = max(
                v.max(initial=0.0, where=numpy.isfinite(v)) for v in map(numpy.abs, (far0, near0, near1, far1))
            )
            rounding = _ROUNDINGS * self.rounding * float(largest) / self.eps
            found.append(((4 * near - far) / 3, rounding, float(numpy.abs(near - far).max(initial=0.0))))
        return found

    def moved(self, function, along, h):
        """Outputs, in double precision, some way along a direction."""
        moved = [asarray((v + h * self.eps * d).astype(v.dtype)) for v, d in zip(self.values, along, strict=True)]
        return [_double(y) for y in function(*moved)]

    def forward(self, function, k, along, weights, differences, before):
        """Tangents, element by element."""
        tangents = jvp(function, tuple(map(asarray, self.values)), tuple(map(asarray, along)))[1]
        for i, (tangent, (expected, rounding, apart)) in enumerate(zip(tangents, differences, strict=True)):
            found = _double(tangent)
            sizes = numpy.abs(expected)  # sums of small and large terms are as exact as the large ones
            scale = float(sizes.max(initial=0.0, where=numpy.isfinite(sizes)))
            allowed = self.allowed(before, scale) + rounding
            wrong = ~(numpy.abs(found - expected) <= allowed)
            if wrong.any():
                at = numpy.unravel_index(int(wrong.argmax()), wrong.shape)
                where = f"output {i}" + (f", element [{', '.join(map(str, at))}]" if at else "")
                self.fail("fwd", k, found[at], expected[at], allowed, apart, before, where)

    def reverse(self, function, k, along, weights, differences, before):
        """Cotangents, along the same direction."""
        pulled = vjp(function, *map(asarray, self.values))[1](*map(asarray, weights))
        found, expected, rounding, apart, scale = _inner(_double(pulled[k]), along[k]), 0.0, 0.0, 0.0, 0.0
        for w, (difference, error, off) in zip(weights, differences, strict=True):
            expected += _inner(w, difference)
            scale += float(numpy.sum(numpy.abs(w) * numpy.abs(difference)))
            rounding += error * w.size**0.5
            apart += off
        allowed = self.allowed(before, scale) + rounding
        if not abs(found - expected) <= allowed:
            self.fail("rev", k, found, expected, allowed, apart, before, "a random sum of the outputs")

    def allowed(self, before, scale):
        return (self.atol + self.rtol * scale) * _PER_ORDER ** len(before)

    def fail(self, mode, k, found, expected, allowed, apart, before, where):
        order = len(before) + 1
        how = mode if not before else f"{mode} of {' of '.join(reversed(before))}"
        names = {"fwd": "jvp", "rev": "vjp"}
        value = self.values[k]
        lines = [
            f"{self.call}: the derivative of order {order} by {self.paths[k]} is wrong in mode {how}.",
            f"    found     {found!s}  ({names[mode]})",
            f"    expected  {expected!s}  (differences, eps={self.eps:g})",
            f"    apart by {abs(found - expected):.3g}, allowed {allowed:.3g}; of {where}",
            f"    {self.paths[k]}: {value.dtype}[{', '.join(map(str, value.shape))}]",
        ]
        if not numpy.isfinite(expected):
            lines.append("The function is not finite near its arguments: move them, or make eps smaller.")
        elif apart > 0.1 * max(abs(expected), 1e-3):
            lines.append(
                "Differences of two steps disagree, so that there may be a kink or a pole nearby: move the arguments, "
                "or make eps smaller."
            )
        else:
            lines.append("Look at the rule of what the function calls: check_grads of each part finds the wrong one.")
        raise GradientCheckError("\n".join(lines), self.paths[k], order, mode, found, expected)


def _random(shape, dtype, rng):
    """Numbers between 0.5 and 1 in absolute value, of either sign: a direction in which every element counts."""

    def part():
        return rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape)

    return numpy.asarray(part() + 1j * part() if dtype.kind == "c" else part()).astype(dtype)


def _double(y):
    """An ndarray in double precision."""
    value = y.numpy() if isinstance(y, Array) else numpy.asarray(y)
    return value.astype(numpy.complex128 if value.dtype.kind == "c" else numpy.float64)


def _inner(a, b):
    """The real inner product."""
    return float(numpy.sum((numpy.conj(a) * b).real))
