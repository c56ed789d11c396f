"""Grid: a nest as a CUDA kernel, the same values and stores in a loop over a grid of threads.

before: ``for i in range(start, stop):``    after: ``for e in range(start + thread(), stop, threads()):``

A thread takes every ``threads()``-th element, so a grid of any size computes the whole, and neighbours in memory
are for neighbouring threads: the last axis of a nest is the one that counts up fastest.
"""

from nbgrad.compile.body import Body
from nbgrad.compile.cuda.border import zeros_around
from nbgrad.compile.source import Words, Writer
from nbgrad.shapes import size


class GridKernel(Body):
    """Emitted source of an elementwise nest for a grid; its attributes are those of `nbgrad.compile.emit.Kernel`."""

    block, per_block, blocks, parts = None, None, None, 1

    def __init__(self, nest, plan, domain, title):
        super().__init__(nest, plan, domain, "", Words(), {}, Writer())
        w, rank = self.writer, len(nest.extents)
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        self.declare()
        w.open("for e in range(start + thread(), stop, threads()):")
        place = self._row(list(range(rank)), "e", self._all_pointers()) if rank else self._all_pointers()
        self.flat = True  # the element is a row of its own
        names = self._body(place, rank - 1, "0")
        self._stores(place, rank - 1, "0", names)
        self.rows, self.inner = size(nest.extents), 1
        self.source = w.text()

    def around(self, pointer, around):
        zeros_around(self.writer, self.words, pointer, around)
