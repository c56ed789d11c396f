"""Border: zeros around what a kernel stores, written by whoever has its first rows."""

from nbgrad.compile.storage import contiguous
from nbgrad.shapes import size


def zeros_around(w, words, pointer, around):
    """Lines that put zeros around the places of an embedding to which `pointer` points.

    before: ``y`` points to y[2, 1]    after: y[:2] = 0; y[-1:] = 0; y[2:-1, :1] = 0; ...
    """
    whole, spec = contiguous(None, around.shape), dict(around.attrs)["spec"]
    middle = whole.sliced(spec).offset
    w.open("if start == 0:")
    for a, ((first, _, count), n) in enumerate(zip(spec, whole.shape, strict=True)):
        for begin, end in ((0, first), (first + count, n)):
            if begin < end:  # in the middle along earlier axes, all along later ones
                rest = [(0, 1, m) for m in whole.shape[a + 1 :]]
                _zeros(w, words, pointer, whole.sliced((*spec[:a], (begin, 1, end - begin), *rest)), a, middle)
    w.close()


def _zeros(w, words, pointer, part, axis, middle):
    """Zeros in a part whose rows begin with an axis."""
    word = lambda value: f"word(args, {words.add(value)})"  # noqa: E731
    level = w.level
    w.line(f"border = at({pointer}, {word(part.offset - middle)})")
    w.line(f"length = {word(size(part.shape[axis:]))}")
    row = "border"
    for a in range(axis):
        w.open(f"for i{a} in range({word(part.shape[a])}):")
        w.line(f"border{a} = at({row}, i{a} * {word(part.strides[a])})")
        row = f"border{a}"
    w.open("for i in range(length):")
    w.line(f"store({row}, i, 0, 0)")
    w.close(w.level - level)
