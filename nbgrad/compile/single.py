"""Single: nodes that have launches of their own: products, assemblies of parts, array kernels, calls of NumPy."""

import numpy

from nbgrad import graph, shapes
from nbgrad.compile import native
from nbgrad.compile.arrays import Calls
from nbgrad.compile.assembly import MOST_PARTS, Assembly, Columns, columns
from nbgrad.compile.launch import CHUNK, Launch
from nbgrad.compile.source import Words, Writer
from nbgrad.compile.stepped import Stepped
from nbgrad.compile.storage import Buffer, View, contiguous

#: Products from sums of this length on, of matrices smaller than this, are taken in so many parts.
DEEP, DEEP_WIDTH, DEEP_PARTS = 2048, 128, 8

#: Elements of a sum of many arrays that are added up together.
LONG_SUM_CHUNK = 2048
LONG_SUM = '''def kernel(args, start, stop):
    """sum of arrays"""
    y, x = pointer_{dtype}(args, 0), pointer_{dtype}(args, 2)
    for i in range(start, stop):
        store(y, i, load(x, i), 0)
    for term in range(1, word(args, 1)):
        x = pointer_{dtype}(args, 2 + term)
        for i in range(start, stop):
            store(y, i, load_own(y, i, 0) + load(x, i), 0)
'''


class Singles(Stepped, Calls):
    """The part of `nbgrad.compile.lower.Lowering` that is about such nodes."""

    _assembly: type = Assembly
    _columns, _most_parts, _sum_text = staticmethod(columns), MOST_PARTS, LONG_SUM

    def _single(self, node, group):
        handler = _SINGLE.get(node.primitive.name)
        if node.primitive.kind == "call":
            self._call(node)
        elif handler is not None:
            getattr(self, handler)(node)
        elif node.primitive.name in ("set_slice", "add_slices"):
            self._changed(node, group)
        elif node.primitive.layout is not None and (layout := node.primitive.layout(node)) is not None:
            self._array_kernel(node, *layout)
        elif node.primitive.kind == "view":  # a reshape that no strides can express
            below = self._view(node.inputs[0])
            whole = self._whole(node)
            target = View(whole.origin, whole.offset, below.shape, shapes.contiguous_strides(below.shape))
            self._copy(node, below, target, "copy")
        else:
            self._host(node)

    def _host(self, node, call=None, reference=None, attrs=None):
        """The NumPy reference, called between native launches; or one that returns values for all nodes of a call."""
        launch = Launch(getattr(dict(node.attrs).get("primitive"), "name", node.primitive.name))
        views = []
        for x in node.inputs:
            origin = self.plan.sources[x].origin
            if graph.is_constant(origin):
                views.append(numpy.broadcast_to(numpy.array(origin.attrs[0], origin.dtype), x.shape))
            else:
                view = self._view(x)
                views.append(view)
                launch.reads.append(view.origin)
        outs = [self._whole(n) for n in call or [node]]
        launch.writes = [out.origin for out in outs]
        launch.operands, launch.results = (*views, *outs), call and len(outs)
        launch.host = (node.primitive.reference, dict(node.attrs)) if call is None else (reference, attrs)
        launch.total = 1
        if len(node.shape) > 1:  # equations of matrices
            launch.cost = max(shapes.size(x.shape[-2:]) for x in node.inputs) * node.shape[-2]
        self.launches.append(launch)

    def _contiguous(self, x, shape=None):
        """Contiguous memory with the value of an input, broadcast to a shape; copied or filled if need be."""
        origin, shape = self.plan.sources[x].origin, x.shape if shape is None else shape
        if not graph.is_constant(origin):
            view = self._view(x).broadcast(shape)
            if view.is_contiguous():
                return view
        fresh = contiguous(Buffer("arena", x.dtype, shapes.size(shape)), shape)
        self._put(x, fresh, "contiguous")
        return fresh

    def _array_kernel(self, node, extents, total, work):
        """A launch of the primitive's own array kernel."""
        views, out = [self._contiguous(x) for x in node.inputs], self._whole(node)
        launch, w, arguments = self._calling(node, views, [out], extents)
        w.line(f"{node.primitive.name}({arguments}, start, stop)")
        self._text(launch, w, node.primitive)
        self._add(launch, views, [out], total, max(1, CHUNK * total // max(work, 1)), work)

    def _calling(self, node, reads, writes, extents):
        """(launch, its source so far, arguments) of a text over pointers and integers."""
        launch, w = Launch(node.primitive.name), Writer()
        launch.words = words = Words()
        names = [f"x{k}" for k in range(len(reads))] + [f"out{k}" for k in range(len(writes))]
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{launch.name}"""')
        for name, view in zip(names, [*reads, *writes], strict=True):
            role = "store" if name.startswith("out") else "load"
            w.line(f"{name} = pointer_{view.origin.dtype}(args, {words.address(view, role)})")
        for k, n in enumerate(extents):
            w.line(f"n{k} = word(args, {words.add(n)})")
        return launch, w, ", ".join([*names, *(f"n{k}" for k in range(len(extents)))])

    def _text(self, launch, w, text):
        """The code of a launch whose source is complete, and which calls one text."""
        launch.source = w.text()
        launch.code = self._code(launch.source, {text.name: (text, "int64")})

    def _add(self, launch, reads, writes, total, grain, cost):
        """Append a launch whose addresses are views of buffers."""
        launch.reads, launch.writes = [v.origin for v in reads], [v.origin for v in writes]
        launch.total, launch.grain, launch.cost = total, grain, cost
        if total:
            self.launches.append(launch)

    def _matmul(self, node):
        """BLAS on the views as they are; copies first where neither axis of an operand is contiguous."""
        out = self._whole(node)
        if node.dtype.kind == "f" and 0 in (node.inputs[0].shape[-1], *node.shape):
            if 0 not in node.shape:
                self._fill(0, out, node.dtype, "zeros")
            return
        attempts = [self._view, self._contiguous]
        if any(graph.is_constant(self.plan.sources[x].origin) for x in node.inputs):
            attempts = [self._contiguous]  # numbers are in no memory yet
        for operand in attempts:
            views = [operand(x) for x in node.inputs]
            if self._deep(node, views, out) or self._product(views, out, node.dtype):
                return
        self._host(node)

    def _product(self, views, out, dtype):
        """A launch of BLAS; False where it does not apply."""
        from nbgrad.compile import products
        from nbgrad.runtime import blas

        product = products.plan(*views, out, dtype, blas.address)
        if product is None:
            return False
        launch = Launch("matmul")
        launch.source, launch.words = product.source, product.words
        launch.code = native.kernel(product.source, {})
        launch.blas = True
        self._add(launch, views, [out], product.total, product.grain, product.cost)
        return True

    def _deep(self, node, views, out):
        """A small matrix from long sums: parts of the sums, which are then joined; False for other products."""
        from nbgrad.compile import products

        a, b = views
        (m, k), n = a.shape[-2:], b.shape[-1]
        if len(a.shape) != 2 or len(b.shape) != 2 or max(m, n) >= DEEP_WIDTH or node.dtype.kind != "f":
            return False
        source = products.text(products.JOIN, node.dtype)
        code = native.kernel(source, {})  # for short sums too: a longer one is to compile nothing
        if k < DEEP:
            return False
        each, rest = divmod(k, DEEP_PARTS)
        count = DEEP_PARTS + bool(rest)
        parts = contiguous(Buffer("arena", node.dtype, count * m * n), (count, m, n))
        main = each * DEEP_PARTS
        pairs = [(
            View(a.origin, a.offset, (DEEP_PARTS, m, each), (each * a.strides[1], *a.strides)),
            View(b.origin, b.offset, (DEEP_PARTS, each, n), (each * b.strides[0], *b.strides)),
            parts.sliced(((0, 1, DEEP_PARTS), (0, 1, m), (0, 1, n))),
        )]  # fmt: skip
        if rest:
            left, right = a.sliced(((0, 1, m), (main, 1, rest))), b.sliced(((main, 1, rest), (0, 1, n)))
            pairs.append((left, right, parts.sliced(((DEEP_PARTS, 1, 1), (0, 1, m), (0, 1, n))).reshaped((m, n))))
        if not all(self._product(pair[:2], pair[2], node.dtype) for pair in pairs):
            return False
        launch = Launch("matmul_join")
        launch.source, launch.code, launch.words = source, code, Words()
        launch.words.address(out, "store")
        launch.words.address(parts, "load")
        launch.words.add(count)
        launch.words.add(m * n)
        self._add(launch, [parts], [out], m * n, CHUNK, count * m * n)
        return True

    def _long_sum(self, node):
        """The elements of many arrays added up, one array after the other on elements that stay in a cache."""
        views, out = [self._contiguous(x) for x in node.inputs], self._whole(node)
        launch = Launch("add_n")
        launch.source, launch.words = self._sum_text.format(dtype=node.dtype), Words()
        launch.code = self._code(launch.source, {})
        launch.words.address(out, "store")
        launch.words.add(len(views))
        for view in views:
            launch.words.address(view, "load")
        total = shapes.size(node.shape)
        self._add(launch, views, [out], total, LONG_SUM_CHUNK, total * len(views))

    def _concatenate(self, node):
        axis, parts, start, whole = dict(node.attrs)["axis"], [], 0, self._whole(node)
        for x in node.inputs:
            spec = shapes.part(x.shape, axis, (start, 1, x.shape[axis]))
            start += x.shape[axis]
            view = None if graph.is_constant(self._origin(x)) else self._view(x)
            place = (whole.origin, whole.sliced(spec).offset)
            if view is None or (view.origin, view.offset) != place or not view.is_contiguous():
                parts.append((x, spec))
        if parts:
            self._assembled(node, None, parts)

    def _embed(self, node):
        zero = graph.constant(0, node.dtype, node.shape)
        self._assembled(node, zero, [(node.inputs[0], dict(node.attrs)["spec"])])

    def _changed(self, node, group):
        """Parts of an array written or added to: in place when nobody reads the old value any more."""
        base, *parts = node.inputs
        attrs = dict(node.attrs)
        specs = attrs["specs"] if "specs" in attrs else (attrs["spec"],)
        if self._dies_here(base, node, group):
            self.buffers[node] = self.buffers[self.plan.sources[base].origin]
            base = None
        self._assembled(node, base, list(zip(parts, specs, strict=True)), accumulate="specs" in attrs)

    def _assembled(self, node, base, parts, accumulate=False):
        """Memory of `node` filled from `base`, if there is one, and parts put or added where specs say."""
        parts = [(x, spec) for x, spec in parts if 0 not in x.shape]
        whole, name = self._whole(node), node.primitive.name
        constant = any(graph.is_constant(self.plan.sources[x].origin) for x, _ in parts)
        steps = {step for _, spec in parts for _, step, count in spec if count > 1}
        views = [] if constant else _merged([(self._view(x).broadcast(x.shape), spec) for x, spec in parts], accumulate)
        single = not (steps - {1} or 0 in node.shape or base is not None or accumulate)
        side_by_side = self._columns(whole, views) if views and single else None
        if side_by_side is not None:
            key = name, node.dtype.num, whole.shape, tuple([step for _, step in side_by_side])
            make = lambda: Columns(whole, node.dtype, side_by_side, name)  # noqa: E731
            kernel = self._stamped(key, make, [whole, *(v for v, _ in side_by_side)])
            self._finish(Launch(name), kernel, [v.origin for v, _ in side_by_side], [whole.origin])
            return
        if not views or steps - {1} or len(views) > self._most_parts or 0 in node.shape:
            self._piecewise(whole, name, base, parts, accumulate)
            return
        origin = self._origin(base) if base is not None else None
        number = origin.attrs[0] if origin is not None and graph.is_constant(origin) else None
        below = self._view(base).broadcast(node.shape) if origin is not None and number is None else None
        launch = Launch(name)
        make = lambda: self._assembly(whole, node.dtype, below, number, views, accumulate, name)  # noqa: E731
        start = origin.attrs if number is not None else below and below.strides
        shown = tuple([(v.shape, v.strides, spec) for v, spec in views])
        key = name, node.dtype.num, whole.shape, number is None, start, accumulate, shown
        pointers = [whole, *([below] if below else []), *(v for v, _ in views)]
        kernel = self._stamped(key, make, pointers)
        reads = [v.origin for v, _ in views] + ([below.origin] if below else [])
        self._finish(launch, kernel, reads, [whole.origin])

    def _piecewise(self, whole, name, base, parts, accumulate):
        """One launch for what lies below, and one for each part."""
        if base is not None:
            self._put(base, whole, name)
        for x, spec in parts:
            self._put(x, whole.sliced(spec), name, accumulate)

    def _dies_here(self, x, node, group):
        """Whether the memory of `x` may become that of `node`."""
        source = self.plan.sources[x]
        buffer = self.buffers.get(source.origin)
        return (
            buffer is not None and buffer.kind == "arena" and node not in self.buffers
            and source.origin not in self.starts and self.last_read.get(source.origin) is group
            and source.is_contiguous() and buffer.size == shapes.size(node.shape)
            and not any(self.plan.sources[p].origin is source.origin for p in node.inputs[1:])
        )  # fmt: skip

    def _origin(self, x):
        source = self.plan.sources.get(x)
        return x if source is None else source.origin  # a number made here is no part of the plan

    def _put(self, x, target, name, accumulate=False):
        origin = self._origin(x)
        if graph.is_constant(origin):
            self._fill(origin.attrs[0], target, x.dtype, name, accumulate)
        else:
            self._copy(x, self._view(x).broadcast(target.shape), target, name, accumulate)


_SINGLE = {"matmul": "_matmul", "concatenate": "_concatenate", "embed": "_embed", "add_n": "_long_sum",
           "loop": "_loop", "switch": "_switch", "while_loop": "_while"}  # fmt: skip


def _merged(parts, accumulate):
    """Parts that lie side by side in their array and in the one that they are put into, as one part."""
    merged = []
    for view, spec in parts:
        if merged and spec and not accumulate:
            last, (*outer, (start, step, count)) = merged[-1]
            if (
                (view.origin, view.strides, view.offset) == (last.origin, last.strides, last.offset + count)
                and view.strides[-1] == step == 1
                and spec[:-1] == tuple(outer)
                and spec[-1][:2] == (start + count, 1)
            ):
                wide = (*outer, (start, 1, count + spec[-1][2]))
                merged[-1] = View(last.origin, last.offset, (*view.shape[:-1], wide[-1][2]), view.strides), wide
                continue
        merged.append((view, spec))
    return merged
