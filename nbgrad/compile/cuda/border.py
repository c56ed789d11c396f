"""Border: zeros around what a kernel stores, shared out among all threads of the grid."""

from nbgrad.compile.storage import contiguous
from nbgrad.shapes import size


def zeros_around(w, words, pointer, around):
    """Lines that put zeros around the places of an embedding to which `pointer` points."""
    whole, spec = contiguous(None, around.shape), dict(around.attrs)["spec"]
    middle = whole.sliced(spec).offset
    for a, ((first, _, count), n) in enumerate(zip(spec, whole.shape, strict=True)):
        for begin, end in ((0, first), (first + count, n)):
            if begin < end:  # in the middle along earlier axes, all along later ones
                rest = [(0, 1, m) for m in whole.shape[a + 1 :]]
                _zeros(w, words, pointer, whole.sliced((*spec[:a], (begin, 1, end - begin), *rest)), a, middle)


def _zeros(w, words, pointer, part, axis, middle):
    """Zeros in a part whose rows begin with an axis."""
    word = lambda value: f"word(args, {words.add(value)})"  # noqa: E731
    w.line(f"border, width = at({pointer}, {word(part.offset - middle)}), {word(size(part.shape[axis:]))}")
    w.open(f"for e in range(thread(), {word(size(part.shape))}, threads()):")
    w.line("rest, to = e // width, e % width")
    for a in reversed(range(axis)):
        w.line(f"extent = {word(part.shape[a])}")
        w.line(f"to = to + rest % extent * {word(part.strides[a])}")
        w.line("rest = rest // extent")
    w.line("store(border, to, 0, 0)")
    w.close()
