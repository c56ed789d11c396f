"""Assembly: an array made of parts, as source: cotangents of slices, concatenation, assignment.

Parts are put into the rows of an array one after the other; those that are one number of each row each, as the
components of points, go into a row together.
"""

from nbgrad.compile.source import Words, Writer, register
from nbgrad.shapes import contiguous_strides, size

#: Parts that one launch assembles.
MOST_PARTS = 8
#: Numbers of a row that are put there one by one.
MOST_COLUMNS = 16


class Assembly:
    """Emitted source of an array made of parts: for each row what lies below, then what is put or added on top.

    before: u; then u[1:-1, 1:-1] += a; then u[2:, 1:-1] += b    after: these three for the first row, the second, ...

    Parameters
    ----------
    whole : View
    below : View or None
        What the array starts from; without it and without a `number` it is what its memory holds.
    number : number or None
    parts : list of (View, spec)
        With steps of 1.
    """

    def __init__(self, whole, dtype, below, number, parts, accumulate, title):
        self.words, self.names, self.split_words, self.nest, w = Words(), {}, None, None, Writer()
        *outer, width = whole.shape or (1,)
        last = len(outer)
        moved = size(whole.shape) * (below is not None or number is not None) + sum(size(v.shape) for v, _ in parts)
        self.rows, self.inner = size(outer), max(1, moved // (2 * max(size(outer), 1)))  # copying is light work
        word = lambda value: f"word(args, {self.words.add(value)})"  # noqa: E731
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        w.line(f"y = pointer_{dtype}(args, {self.words.address(whole, 'store')})")
        w.line(f"width = {word(width)}")
        for a in range(1, last):
            w.line(f"n{a} = {word(outer[a])}")
        if number is not None:
            w.line(f"number = number_{register(dtype)}(args, {self.words.add((number, register(dtype)))})")
        views = [("b", below, None)] if below is not None else []
        views += [(f"x{k}", view, spec) for k, (view, spec) in enumerate(parts)]
        for name, view, spec in views:
            w.line(f"{name} = pointer_{dtype}(args, {self.words.address(view, 'load')})")
            for a, stride in enumerate(view.strides or (1,)):
                if stride != (1 if a == last else 0):
                    w.line(f"{name}_s{a} = {word(stride)}")
            for a, (first, _, count) in enumerate(spec or ()):
                w.line(f"{name}_a{a} = {word(first)}")
                w.line(f"{name}_n{a} = {word(count)}")
        w.open("for row in range(start, stop):")
        rest = "row"
        for a in reversed(range(1, last)):
            w.line(f"i{a} = {rest} % n{a}")
            w.line(f"q{a} = {rest} // n{a}")
            rest = f"q{a}"
        if last:
            w.line(f"i0 = {rest}")
        w.line("y_row = at(y, row * width)")
        if number is not None:
            w.open("for i in range(width):")
            w.line("store(y_row, i, number, 0)")
            w.close()
        for name, view, spec in views:
            level, strides = w.level, view.strides or (1,)
            if spec:
                inside = [f"i{a} >= {name}_a{a} and i{a} < {name}_a{a} + {name}_n{a}" for a in range(last)]
                if inside:
                    w.open(f"if {' and '.join(inside)}:")
            offset = [
                f"(i{a} - {name}_a{a}) * {name}_s{a}" if spec else f"i{a} * {name}_s{a}"
                for a in range(last)
                if strides[a] != 0
            ]
            w.line(f"{name}_row = at({name}, {' + '.join(offset) or 0})")
            first, count = (f"{name}_a{last} + ", f"{name}_n{last}") if spec else ("", "width")
            step = {0: "0", 1: "i"}.get(strides[-1], f"i * {name}_s{last}")
            w.open(f"for i in range({count}):")
            value = f"load({name}_row, {step})"
            if spec and accumulate:
                value = f"load_own(y_row, {first}i, 0) + {value}"
            w.line(f"store(y_row, {first}i, {value}, 0)")
            w.close(w.level - level)
        self.source = w.text()


def columns(whole, parts):
    """Of parts that fill short rows number by number, the (view, stride from row to row) of each; None for others."""
    *outer, width = whole.shape or (1,)
    if not 1 < width <= MOST_COLUMNS or not whole.is_contiguous():
        return None
    found = [None] * width
    for view, spec in parts:
        if any((first, count) != (0, n) for (first, _, count), n in zip(spec[:-1], outer, strict=True)):
            return None
        flat = _flat(view.strides[:-1], outer)
        if flat is None:
            return None
        for k in range(spec[-1][2]):
            found[spec[-1][0] + k] = view.shifted(k * view.strides[-1]), flat
    return None if None in found else found


def _flat(strides, shape):
    """The stride of axes that are one, or None."""
    kept = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    if not kept:
        return 1
    step = kept[-1][1]
    along = contiguous_strides(tuple(n for n, _ in kept))
    return step if all(s == step * c for (_, s), c in zip(kept, along, strict=True)) else None


class Columns:
    """Emitted source of an array whose rows are filled number by number: vectors of each part are interleaved.

    Parameters
    ----------
    whole : View
    parts : list of (View, int)
        As `columns` gives them.
    """

    def __init__(self, whole, dtype, parts, title):
        self.words, self.names, self.split_words, self.nest, w = Words(), {}, None, None, Writer()
        self.rows, self.inner = size(whole.shape[:-1]), 1
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        w.line(f"y = pointer_{dtype}(args, {self.words.address(whole, 'store')})")
        steps = []
        for k, (view, step) in enumerate(parts):
            w.line(f"x{k} = pointer_{dtype}(args, {self.words.address(view, 'load')})")
            steps.append({0: "0", 1: "row"}.get(step, f"row * x{k}_s"))
            if step not in (0, 1):
                w.line(f"x{k}_s = word(args, {self.words.add(step)})")
        w.open("for row in range(start, stop):")
        for k, step in enumerate(steps):
            w.line(f"store(y, row * {len(parts)} + {k}, load(x{k}, {step}), 0)")
        self.source = w.text()
