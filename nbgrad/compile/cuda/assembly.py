"""Assembly: an array made of parts, as a kernel over a grid: each thread finds out which parts its element is in."""

from nbgrad.compile.source import Words, Writer, register
from nbgrad.shapes import size


class GridAssembly:
    """Emitted source of an array made of parts; its parameters are those of `nbgrad.compile.assembly.Assembly`.

    before: u; then u[1:-1, 1:-1] += a; then u[2:, 1:-1] += b    after: for each element the sum of what is there
    """

    block, per_block, blocks, parts, flops = None, None, None, 1, 0

    def __init__(self, whole, dtype, below, number, parts, accumulate, title):
        self.words, self.names, self.split_words, self.nest, w = Words(), {}, None, None, Writer()
        shape = whole.shape or (1,)
        rank = len(shape)
        self.rows, self.inner = size(shape), 1
        word = lambda value: f"word(args, {self.words.add(value)})"  # noqa: E731
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        w.line(f"y = pointer_{dtype}(args, {self.words.address(whole, 'store')})")
        for a in range(1, rank):
            w.line(f"n{a} = {word(shape[a])}")
        first = (0 if number is None else number, register(dtype))
        w.line(f"number = number_{register(dtype)}(args, {self.words.add(first)})")
        views = [("b", below, None)] if below is not None else []
        views += [(f"x{k}", view, spec) for k, (view, spec) in enumerate(parts)]
        for name, view, spec in views:
            w.line(f"{name} = pointer_{dtype}(args, {self.words.address(view, 'load')})")
            for a, stride in enumerate(view.strides or (1,)):
                if stride not in (0, 1):
                    w.line(f"{name}_s{a} = {word(stride)}")
            for a, (begin, _, count) in enumerate(spec or ()):
                w.line(f"{name}_a{a} = {word(begin)}")
                w.line(f"{name}_n{a} = {word(count)}")
        w.open("for e in range(start + thread(), stop, threads()):")
        rest = "e"
        for a in reversed(range(1, rank)):
            w.line(f"i{a} = {rest} % n{a}")
            w.line(f"q{a} = {rest} // n{a}")
            rest = f"q{a}"
        w.line(f"i0 = {rest}")
        everywhere = below is not None or number is not None
        w.line("value = number")
        if accumulate and not everywhere:
            w.line("value = load_own(y, e, 0)")
        if not everywhere:
            w.line("inside = 0")
        for name, view, spec in views:
            level = w.level
            if spec:
                inside = [f"i{a} >= {name}_a{a} and i{a} < {name}_a{a} + {name}_n{a}" for a in range(rank)]
                w.open(f"if {' and '.join(inside)}:")
            terms = []
            for a, stride in enumerate(view.strides or (1,)):
                at = f"(i{a} - {name}_a{a})" if spec else f"i{a}"
                if stride:
                    terms.append(at if stride == 1 else f"{at} * {name}_s{a}")
            value = f"load({name}, {' + '.join(terms) or 0})"
            w.line(f"value = value + {value}" if spec and accumulate else f"value = {value}")
            if not everywhere:
                w.line("inside = 1")
            w.close(w.level - level)
        if not everywhere:
            w.open("if inside == 1:")
        w.line("store(y, e, value, 0)")
        self.source = w.text()
