"""Grid: a nest as a CUDA kernel, the same values and stores in a loop over a grid of threads.

before: ``for i in range(start, stop):``    after: ``for e in range(start + thread(), stop, threads()):``

A thread takes every ``threads()``-th element, so a grid of any size computes the whole, and neighbours in memory
are for neighbouring threads: the last axis of a nest is the one that counts up fastest.  Where all operands are
contiguous or single numbers, and there is little to compute, a thread takes as many as one instruction loads.
"""

from nbgrad.compile.body import Body
from nbgrad.compile.cuda.border import zeros_around
from nbgrad.compile.source import Words, Writer
from nbgrad.shapes import size

#: Bytes of the widest load and store, and elements at most that a thread takes together.
VECTOR, MOST = 16, 4
#: Cost of an element from which memory is not what takes the time.
WORK = 64


class GridKernel(Body):
    """Emitted source of an elementwise nest for a grid; its attributes are those of `nbgrad.compile.emit.Kernel`.

    Attributes
    ----------
    aligned : list of int
        Indices of the words that are addresses of vectors.
    wide : int or None
        Index of the word that says whether these addresses are aligned; `width` elements are a vector.
    """

    block, per_block, blocks, parts = None, None, None, 1

    def __init__(self, nest, plan, domain, title):
        super().__init__(nest, plan, domain, "", Words(), {}, Writer())
        w, rank = self.writer, len(nest.extents)
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        self.declare()
        self.wide, self.width, first = None, self._width(), "start"
        if self.width > 1:
            self._vectors()
            first = "first"
        w.open(f"for e in range({first} + thread(), stop, threads()):")
        place = self._row(list(range(rank)), "e", self._all_pointers()) if rank else self._all_pointers()
        self.flat = True  # the element is a row of its own
        names = self._body(place, rank - 1, "0")
        self._stores(place, rank - 1, "0", names)
        self.rows, self.inner = size(nest.extents), 1
        self.source = w.text()

    def _width(self):
        """Elements of a vector; 1 where there are none."""
        nest = self.nest
        operands = [*nest.loads.values(), *nest.stores]
        plain = all(o.indices is None and o.around is None and o.mode == "set" for o in operands)
        if len(nest.extents) != 1 or not plain or any(o.strides[0] not in (0, 1) for o in operands):
            return 1
        moved = [o.dtype.itemsize for o in operands if o.strides[0] == 1]
        if sum(n.primitive.cost for n in nest.values) > WORK or any(o.strides[0] == 0 for o in nest.stores):
            return 1
        return min(MOST, VECTOR // max(moved))

    def _vectors(self):
        """The loop over whole vectors; what is left begins at `first`."""
        w, nest, width = self.writer, self.nest, self.width
        self.wide = self.words.add(0)
        of_loads = {self.pointer[key]: o for key, o in nest.loads.items()}
        of_stores = {f"y{self.prefix}{k}": o for k, o in enumerate(nest.stores)}
        moving = [name for name, o in {**of_loads, **of_stores}.items() if o.strides[0] == 1]
        views = {id(o.view) for o in (*of_loads.values(), *of_stores.values()) if o.strides[0] == 1}
        self.aligned = [index for index, view, _ in self.words.addresses if id(view) in views]
        w.line("first = start")
        w.open(f"if word(args, {self.wide}) == 1:")
        w.line(f"first = stop // {width} * {width}")
        w.open(f"for v in range(thread(), stop // {width}, threads()):")
        names = [{} for _ in range(width)]
        for key, o in nest.loads.items():
            name, own = self.pointer[key], self.own.get(o.view.origin)
            if name in moving:
                parts = [f"{name}_w{j}" for j in range(width)]
                scope = 0 if own is None else 1 + own
                w.line(f"{', '.join(parts)} = load_wide({name}, v * {width}, {width}, {scope})")
            else:
                w.line(f"{name}_w = load({name}, 0)")
                parts = [f"{name}_w"] * width
            for j in range(width):
                names[j][key] = parts[j], False
        for each in names:
            self._values({}, 0, "0", each, True)
        for k, o in enumerate(nest.stores):
            values = ", ".join(self._operand(o.node, each)[0] for each in names)
            w.line(f"store_wide(y{self.prefix}{k}, v * {width}, ({values}), {self._scope(k)})")
        w.close(2)

    def around(self, pointer, around):
        zeros_around(self.writer, self.words, pointer, around)
