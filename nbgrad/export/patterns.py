"""Patterns: arrays that a function makes from a size, as numbers that follow from their places.

before: ``numpy.arange(n)``, ``numpy.eye(n)``, made when the function is traced    after: filled in at each call
"""

import dataclasses

import numpy

#: Distances from the diagonal at which a band is looked for.
_OFFSETS = (0, -1, 1, -2, 2)


@dataclasses.dataclass(frozen=True)
class Pattern:
    """An array by the places of its elements.

    Attributes
    ----------
    dtype : str
    shape : tuple of Formula
    steps : tuple
        Of numbers that go up evenly, as in ``arange``: the first one, then by how much they go up along each axis.
    band : tuple
        Of a matrix that is the same above, on, and below a diagonal, as ``eye`` and ``tri``: these three, and how far
        below the main diagonal that is.  Empty for others.
    """

    dtype: str
    shape: tuple
    steps: tuple = ()
    band: tuple = ()


def found(fitter, arrays):
    """The `Pattern` of an array at each point of a `Fitter`; None if there is none."""
    first = arrays[0]
    if not first.ndim or any(a.ndim != first.ndim or a.dtype != first.dtype for a in arrays) or first.dtype.kind == "c":
        return None
    shape = tuple(fitter.whole(n) for n in zip(*(a.shape for a in arrays), strict=True))
    if any(n is None for n in shape):
        return None
    steps = _steps(fitter, arrays)
    band = _band(arrays) if steps is None and first.ndim == 2 else None
    return Pattern(str(first.dtype), shape, steps or (), band or ()) if steps or band else None


def _steps(fitter, arrays):
    if arrays[0].dtype.kind not in "iuf" or any(min(a.shape) < 2 for a in arrays):
        return None
    numbers = []
    for a in arrays:
        origin, ends = a.flat[0], [n - 1 for n in a.shape]
        along = [a[tuple(ends[k] if k == axis else 0 for k in range(a.ndim))] for axis in range(a.ndim)]
        # from end to end: the rounding of one step is multiplied by no number of steps
        each = [(float(far) - float(origin)) / end for far, end in zip(along, ends, strict=True)]
        made = origin + sum(_along(a, k, c) for k, c in enumerate(each))
        if not numpy.allclose(made, a, rtol=4e-16 * a.size, atol=4e-16 * float(numpy.abs(a).max())):
            return None
        numbers.append((float(origin), *each))
    kind = arrays[0].dtype if arrays[0].dtype.kind == "f" else "float64"
    fitted = tuple(fitter.number(v, kind) for v in zip(*numbers, strict=True))
    return None if any(f is None for f in fitted) else fitted


def _along(array, axis, step):
    """Multiples of a step along an axis, to be broadcast."""
    return step * numpy.arange(array.shape[axis]).reshape([-1 if k == axis else 1 for k in range(array.ndim)])


def _band(arrays):
    if any(min(a.shape) < 4 for a in arrays):
        return None
    for offset in _OFFSETS:
        i, j = max(offset, 0), max(-offset, 0)
        a = arrays[0]
        values = a[i, j + 1].item(), a[i, j].item(), a[i + 1, j].item()
        if all(_is_band(a, offset, values) for a in arrays):
            return (*values, offset)
    return None


def _is_band(a, offset, values):
    below = numpy.subtract.outer(numpy.arange(a.shape[0]), numpy.arange(a.shape[1])) - offset
    return bool(numpy.array_equal(a, numpy.choose(numpy.sign(below) + 1, values).astype(a.dtype)))
