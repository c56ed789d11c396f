"""RowKernel: several nests over the same rows, as source."""

from nbgrad.compile.emit import Loops
from nbgrad.compile.source import OUTPUT_SCOPES, Words, Writer
from nbgrad.shapes import size


class RowKernel:
    """Emitted source of several nests that run on a few rows at a time: what one stores, later ones find in cache.

    before: a launch for the maximum of each row, one for exp and its sum, one for the quotients
    after:  one launch; for every few rows these three loops

    Parameters
    ----------
    parts : list of (Nest, domain, whether its reductions are over the rows)
    scratch : dict
        Node -> elements of a row, for what no other launch reads: it has memory for `height` rows of each chunk.
    rows, grain, height : int
        Number of rows, rows of a chunk, and rows that go through all nests together.
    """

    def __init__(self, parts, plan, scratch, rows, grain, height, title):
        self.words, self.names, w = Words(), {}, Writer()
        self.split_words, self.nest, self.rows = None, None, rows
        self.inner = sum(size(nest.extents) for nest, _, _ in parts) // max(rows, 1)
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        w.line(f"height = word(args, {self.words.add(height)})")
        w.line(f"chunk = start // word(args, {self.words.add(grain)})")
        bodies, own, scope, moved = [], {}, 0, []
        for k, (nest, domain, gathers) in enumerate(parts):
            body = Loops(nest, plan, domain, f"_{k}_", self.words, self.names, w)
            body.first_scope, body.own, body.gathers = scope, own, gathers
            body.declare()
            for name, operand in body.operands():
                if operand.view.origin in scratch:
                    w.line(f"{name}_length = word(args, {self.words.add(scratch[operand.view.origin])})")
                    moved.append(name)
                    body.base[name] = f"{name}_here"
            if gathers:
                body.start_gathering()
            for n, operand in enumerate((*nest.stores, *nest.results)):
                own = {**own, operand.node: min(scope + n, OUTPUT_SCOPES - 1)}
            scope += len(nest.stores) + len(nest.results)
            bodies.append(body)
        w.open("for top in range(start, stop, height):")
        w.line("bottom = min(top + height, stop)")
        for name in moved:  # scratch memory begins with the first of these rows
            w.line(f"{name}_here = at({name}, (chunk * height - top) * {name}_length)")
        for body in bodies:
            body.rows_of_block()
        self.source = w.text()
