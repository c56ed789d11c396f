"""Where values live: buffers, and views that read parts of them by strides."""

import itertools

from nbgrad import shapes


class Buffer:
    """Contiguous memory for one value.

    `kind` is ``"input"``, ``"captured"``, ``"output"`` (then `index` says which) or ``"arena"`` (then the
    memory plan gives `offset`, in bytes).
    """

    __slots__ = ("dtype", "first", "index", "kind", "last", "offset", "size")

    def __init__(self, kind, dtype, size, index=0):
        self.kind, self.dtype, self.size, self.index = kind, dtype, size, index
        self.first = self.last = None
        self.offset = 0

    @property
    def nbytes(self):
        """Bytes of the value."""
        return self.size * self.dtype.itemsize


class View:
    """Elements of a buffer: an offset and one stride per axis, in elements."""

    __slots__ = ("offset", "origin", "shape", "strides")

    def __init__(self, origin, offset, shape, strides):
        self.origin, self.offset, self.shape, self.strides = origin, offset, shape, strides

    def key(self):
        """Equal for views that read the same elements in the same order."""
        return id(self.origin), self.offset, self.strides

    def is_contiguous(self):
        """Whether the elements lie one after another in C order."""
        return shapes.size(self.shape) <= 1 or all(
            s == c or n == 1
            for n, s, c in zip(self.shape, self.strides, shapes.contiguous_strides(self.shape), strict=True)
        )

    def broadcast(self, shape):
        """The view with stride 0 along new and stretched axes."""
        if shape == self.shape:
            return self
        extra = len(shape) - len(self.shape)
        strides = (0,) * extra + tuple(
            0 if n == 1 and shape[extra + i] != 1 else s
            for i, (n, s) in enumerate(zip(self.shape, self.strides, strict=True))
        )
        return View(self.origin, self.offset, shape, strides)

    def shifted(self, elements):
        """The view that begins so many elements later."""
        return View(self.origin, self.offset + elements, self.shape, self.strides)

    def transposed(self, axes):
        """Axis i of the result is axis axes[i]."""
        return View(self.origin, self.offset, tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes))

    def sliced(self, spec):
        """One (start, step, count) per axis."""
        offset = self.offset + sum(start * s for (start, _, count), s in zip(spec, self.strides, strict=True) if count)
        strides = tuple(step * s for (_, step, _), s in zip(spec, self.strides, strict=True))
        return View(self.origin, offset, tuple(count for _, _, count in spec), strides)

    def reshaped(self, shape):
        """The view under another shape, or None where that needs a copy."""
        if self.is_contiguous():
            return View(self.origin, self.offset, shape, shapes.contiguous_strides(shape))
        old = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        strides, at = [0] * len(shape), 0
        groups = _aligned([n for n, _ in old], [n for n in shape if n != 1])
        if groups is None:
            return None
        targets = [i for i, n in enumerate(shape) if n != 1]
        for count_old, count_new in groups:
            part = old[:count_old]
            old = old[count_old:]
            for (_, s), (m, t) in itertools.pairwise(part):
                if s != m * t:
                    return None
            step = part[-1][1]
            for i in reversed(targets[at : at + count_new]):
                strides[i] = step
                step *= shape[i]
            at += count_new
        return View(self.origin, self.offset, shape, tuple(strides))


def _aligned(old, new):
    """Pairs of group lengths so that the products of the groups agree; None if there are none."""
    groups, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        a, b, start_i, start_j = old[i], new[j], i, j
        while a != b:
            if a < b:
                i += 1
                if i == len(old):
                    return None
                a *= old[i]
            else:
                j += 1
                if j == len(new):
                    return None
                b *= new[j]
        i, j = i + 1, j + 1
        groups.append((i - start_i, j - start_j))
    return groups if i == len(old) and j == len(new) else None


def contiguous(origin, shape):
    """The view of all of a value in C order."""
    return View(origin, 0, shape, shapes.contiguous_strides(shape))
