"""Lower: from a simplified graph to a table of launches.

simplify -> join -> unroll -> fuse -> nests -> emitted source -> machine code -> table
"""

import numpy

from nbgrad import graph, shapes
from nbgrad.compile import emit, native, nest
from nbgrad.compile.assembly import MOST_PARTS, Assembly, Columns, columns
from nbgrad.compile.fuse import fuse, is_elementwise, reads_of
from nbgrad.compile.indexed import is_scatter
from nbgrad.compile.join import join_products
from nbgrad.compile.memory import plan_arena
from nbgrad.compile.pad import inside, padded
from nbgrad.compile.row_kernel import RowKernel
from nbgrad.compile.rows import Rows, in_rows, in_steps
from nbgrad.compile.running import running_sums
from nbgrad.compile.scatter import ScatterKernel
from nbgrad.compile.source import Stamp, Words, Writer
from nbgrad.compile.storage import Buffer, View, contiguous
from nbgrad.compile.unroll import unroll
from nbgrad.graph import Node

#: Elements that one chunk of a launch should hold; chunks never depend on the number of threads.
CHUNK = 16384


#: Products from sums of this length on, of matrices smaller than this, are taken in so many parts.
DEEP, DEEP_WIDTH, DEEP_PARTS = 2048, 128, 8
#: Chunks from which it is of no weight how threads share them.
FEW_CHUNKS = 32


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


class Launch:
    """One kernel invocation: code, table of words, parallel extent, chunk size.

    `host` is set instead of `code` where the work is a NumPy call on the views in `operands`.
    """

    __slots__ = (
        "blas", "code", "cost", "grain", "host", "name", "operands", "reads", "source", "total", "words", "writes",
    )  # fmt: skip

    def __init__(self, name):
        self.name, self.source, self.host, self.operands = name, None, None, ()
        self.code, self.words, self.total, self.grain, self.cost = None, None, 0, 1, 0
        self.blas = False
        self.reads, self.writes = [], []


class Lowering:
    """A simplified graph on its way to launches; its kernels compile elsewhere meanwhile.

    Parameters
    ----------
    inputs, captured, outputs : lists of Node
        As `nbgrad.compile.simplify.simplify` returns them.
    """

    def __init__(self, inputs, captured, outputs):
        self.inputs, self.captured = inputs, captured
        order = graph.topological(outputs)
        for change in (join_products, unroll, in_steps, padded):
            outputs, order = _in_order(change(outputs, order), outputs, order)
        changed, partial = running_sums(outputs, order)
        outputs, order = _in_order(changed, outputs, order)
        self.outputs = [self._output_node(n, outputs[:k]) for k, n in enumerate(outputs)]
        order += [n for n, known in zip(self.outputs, outputs, strict=True) if n is not known]
        self.plan = fuse(order, self.outputs, inside(order, self.outputs), partial)
        self.launches, self.buffers, self.starts, self.stamps = [], {}, {}, {}
        for k, node in enumerate(inputs):
            self.buffers[node] = Buffer("input", node.dtype, shapes.size(node.shape), k)
        for k, node in enumerate(captured):
            self.buffers[node] = Buffer("captured", node.dtype, shapes.size(node.shape), k)
        for k, node in enumerate(self.outputs):
            self.buffers[node] = Buffer("output", node.dtype, shapes.size(node.shape), k)
        self._place_parts(order)
        self.last_read = {}
        units = self._units()
        readers = {}
        for unit in units:
            for group in unit.groups if isinstance(unit, Rows) else (unit,):
                for x in reads_of(self.plan, group):
                    origin = self.plan.sources[x].origin
                    self.last_read[origin] = group
                    readers.setdefault(origin, set()).add(unit)
        for unit in units:
            if isinstance(unit, Rows):
                self._rows(unit, readers)
            else:
                self._launch(unit)

    @staticmethod
    def _output_node(node, earlier):
        """Outputs are memory of their own: leaves, constants, views and repetitions are copied."""
        plain = node.primitive is not None and node.primitive.kind not in ("view", "constant")
        if plain and node not in earlier:
            return node
        from nbgrad.kernels.casting import identity

        return Node(identity, (node,), (), node.shape, node.dtype)

    def ready(self):
        """Whether all kernels are there."""
        return all(launch.code is None or launch.code.ready() for launch in self.launches)

    def compiled(self):
        """The `Compiled`; waits for its kernels."""
        from nbgrad.runtime.compiled import Compiled

        return Compiled(*self._result())

    def _result(self):
        for at, launch in enumerate(self.launches):
            for buffer in (*launch.reads, *launch.writes):
                buffer.first = at if buffer.first is None else buffer.first
                buffer.last = at
        arena = {id(b): b for launch in self.launches for b in (*launch.reads, *launch.writes)}
        size = plan_arena(arena.values())
        facts = [(n.dtype, n.shape) for n in self.inputs], [(n.dtype, n.shape) for n in self.outputs]
        return (*facts, [n.fact("value") for n in self.captured], self.launches, size)

    # ------------------------------------------------------------ what depends on the target

    def _units(self):
        """What becomes a launch each, in an order of execution."""
        return in_rows(self.plan)

    def _kernel(self, loops, plan, domain, title):
        """A nest as source."""
        return emit.Kernel(loops, plan, domain, title)

    def _code(self, source, names):
        """Source as machine code."""
        return native.kernel(source, names)

    # ------------------------------------------------------------ where values are

    def _place_parts(self, order):
        """What is concatenated along the first axis is made where it will be."""
        for node in reversed(order):  # what is a part itself has its place before its parts have theirs
            if node.primitive is None or node.primitive.name != "concatenate":
                continue
            axis, start = dict(node.attrs)["axis"], self.starts.get(node, 0)
            for x in node.inputs if shapes.size(node.shape[:axis]) == 1 else ():
                view = self.plan.sources[x]
                made = self.plan.stored.get(view.origin) and view.origin.primitive.kind != "reduction"
                whole = view.is_contiguous() and shapes.size(x.shape) == shapes.size(view.origin.shape) > 0
                if made and whole and view.origin not in self.buffers and view.origin not in self.plan.inside:
                    self.buffers[view.origin], self.starts[view.origin] = self._buffer(node), start
                start += shapes.size(x.shape)

    def _buffer(self, node):
        found = self.buffers.get(node)
        if found is None:
            around = self.plan.inside.get(node, node)
            found = self.buffers[node] = Buffer("arena", node.dtype, shapes.size(around.shape))
        return found

    def _view(self, node):
        """Memory behind a stored node or a view of one."""
        source = self.plan.sources[node]
        start = self.starts.get(source.origin, 0)
        return View(self._buffer(source.origin), source.offset + start, source.shape, source.strides)

    def _whole(self, node):
        """Memory of a node that is computed here."""
        return View(self._buffer(node), self.starts.get(node, 0), node.shape, shapes.contiguous_strides(node.shape))

    # ------------------------------------------------------------ launches

    def _launch(self, group):
        if not group.reductions and len(group.nodes) == 1 and not is_elementwise(group.nodes[0]):
            self._single(group.nodes[0], group)
        else:
            self._nest(group)

    def _nest(self, group):
        if any(map(is_scatter, group.reductions)):
            self._scatter(*group.reductions, group)
            return
        loops = nest.build(group, self.plan, self.plan.sources.__getitem__)
        names = [n.primitive.name for n in (*loops.values, *group.reductions)]
        launch = Launch("_".join(_shortened(names)) or "fill")
        make = lambda: self._kernel(loops, self.plan, group.domain, launch.name)  # noqa: E731
        kernel = self._stamped((launch.name, loops.structure(self.plan)), make, loops.views())
        self._finish(launch, kernel, [o.view.origin for o in loops.loads.values()],
                     [o.view.origin for o in (*loops.stores, *loops.results)])  # fmt: skip

    def _scatter(self, node, group):
        """What is there before, unless it may be changed where it is; then one launch that writes at the indices."""
        base = node.inputs[0]
        loops = nest.build(group, self.plan, self.plan.sources.__getitem__)
        reads = [o.view.origin for o in loops.loads.values()]
        if self._dies_here(base, node, group) and self._origin(base) not in reads:
            self.buffers[node] = self.buffers[self._origin(base)]
        else:
            self._put(base, self._whole(node), node.primitive.name)
        launch = Launch("_".join(_shortened([n.primitive.name for n in (*loops.values, node)])))
        kernel = ScatterKernel(loops, self.plan, group.domain, launch.name)
        self._finish(launch, kernel, reads, [o.view.origin for o in loops.stores])

    def _stamped(self, key, make, views):
        """The kernel that `make` emits; one of the same key is emitted once."""
        stamp = self.stamps.get(key)
        if stamp is None:
            stamp = self.stamps[key] = Stamp(make())
        return stamp.printed(views)

    def _rows(self, unit, readers):
        """One launch for groups that run row by row."""
        chunk = CHUNK if unit.rows * unit.length < 64 * CHUNK else 4 * CHUNK  # scratch memory is by chunk
        work = sum((unit.length if unit.inner(g) else 1) * _weight(g.nodes) for g in unit.groups)
        grain = max(1, chunk // max(work, 1))
        if any(shapes.size(n.shape) > 1 for n in unit.gathered):
            grain = max(grain, 16)  # each chunk has a part as long as a row
        grain = _even(unit.rows, grain)
        chunks, height = -(-unit.rows // grain), min(unit.height(self.plan), grain)
        scratch = {}
        for node, within in unit.made.items():
            alone = node not in self.plan.inside and readers.get(node) == {unit}
            if within and self.plan.stored[node] and node not in self.buffers and alone:
                scratch[node] = unit.length
                self.buffers[node] = Buffer("arena", node.dtype, chunks * height * unit.length)
        parts, loads, stores, names, gathered = [], [], [], [], {}
        for group in unit.groups:
            for node in group.reductions if unit.gathers(group) else ():
                length = shapes.size(node.shape)
                gathered[node] = self._buffer(node)
                if chunks > 1:
                    gathered[node] = Buffer("arena", node.dtype, chunks * length)
            targets = lambda n: contiguous(gathered[n], n.shape) if n in gathered else self.plan.sources[n]  # noqa: E731
            loops = nest.build(group, self.plan, targets, unit.inner(group))
            parts.append((loops, group.domain, unit.gathers(group)))
            loads += [o.view.origin for o in loops.loads.values()]
            stores += [o.view.origin for o in (*loops.stores, *loops.results)]
            names += [n.primitive.name for n in (*loops.values, *group.reductions)]
        launch = Launch("_".join(_shortened(names)))
        kernel = RowKernel(parts, self.plan, scratch, unit.rows, grain, height, launch.name)
        self._finish(launch, kernel, loads, stores)
        launch.grain, launch.cost = grain, unit.rows * work
        for node, part in gathered.items():
            if part is not self._buffer(node):
                self._joined(node, part, chunks, launch.name + "_join")

    def _joined(self, node, parts, count, name):
        """One launch that joins the parts of a reduction, which lie one after another."""
        length = shapes.size(node.shape)
        rows = Node(None, (), (), (count, length), node.dtype)
        total = Node(node.primitive, (rows,), (("axes", (0,)),), (length,), node.dtype)
        group = _SingleGroup(total)
        group.domain, group.nodes, group.reductions, group.axes = rows.shape, [], [total], (0,)
        plan = _OneCopy(rows, contiguous(parts, rows.shape), total)
        loops = nest.build(group, plan, lambda n: contiguous(self._buffer(node), (length,)))
        kernel = self._kernel(loops, plan, rows.shape, name)
        self._finish(Launch(name), kernel, [parts], [self._buffer(node)])

    def _copy(self, node, source, target, name, accumulate=False):
        """One launch that copies (or adds) the elements of a view into another view."""
        from nbgrad.kernels.casting import identity

        stand_in = Node(identity, (node,), (), source.shape, node.dtype)
        plan = _OneCopy(node, source, stand_in)
        loops = nest.build(_SingleGroup(stand_in), plan, lambda n: target)
        if accumulate:
            loops.stores[0].mode = "add"
        self._finish(Launch(name), self._kernel(loops, plan, source.shape, name), [source.origin], [target.origin])

    def _fill(self, value, target, dtype, name, accumulate=False):
        """The same from a number."""
        number = graph.constant(value, dtype, target.shape)
        self._copy(number, contiguous(number, target.shape), target, name, accumulate)

    def _finish(self, launch, kernel, reads, writes):
        launch.source = kernel.source
        launch.code = self._code(kernel.source, kernel.names)
        launch.words = kernel.words
        launch.reads = [b for b in map(self._origin_buffer, reads) if b is not None]
        launch.writes = [self._origin_buffer(n) for n in writes]
        for k, (index, view, role) in enumerate(launch.words.addresses):
            start = self.starts.get(view.origin, 0)
            launch.words.addresses[k] = index, View(self._origin_buffer(view.origin), view.offset + start, (), ()), role
        weight = _weight(kernel.nest.values) if kernel.nest else 1
        inner = max(kernel.inner, 1) * weight
        launch.cost = max(kernel.rows, 1) * inner
        if kernel.split_words is None:
            launch.total, launch.grain = kernel.rows, _even(kernel.rows, max(1, CHUNK // inner))
            if launch.total:
                self.launches.append(launch)
            return
        self._split(launch, kernel, weight)

    def _split(self, launch, kernel, weight):
        """Choose how a reduction is split: over its rows, or over the reduced extent with partial results."""
        words, at = launch.words, kernel.split_words
        rows, length = kernel.rows, kernel.length
        per_length = max(1, kernel.inner // max(length, 1)) * max(rows, 1)
        chunks = -(-(per_length * length * weight) // CHUNK)
        if rows == 0:
            return
        if rows >= 4 or chunks <= 1 or length <= 1:
            words.values[at["mode"]] = 0
            launch.total, launch.grain = rows, _even(rows, max(1, CHUNK // max(kernel.inner * weight, 1)))
            self.launches.append(launch)
            return
        grain = _even(length, max(1, -(-length // chunks)))
        chunks = -(-length // grain)
        result_rows = getattr(kernel, "result_rows", rows)
        partials = {}
        for k, (index, view, role) in enumerate(words.addresses):
            if role in ("result", "partial"):
                buffer = view.origin
                if buffer not in partials:
                    partials[buffer] = Buffer("arena", buffer.dtype, result_rows * chunks)
                words.addresses[k] = index, View(partials[buffer], 0, (), ()), role
        for name, value in (("mode", 1), ("grain", grain), ("chunks", chunks)):
            words.values[at[name]] = value
        results, launch.writes = launch.writes, [partials.get(b, b) for b in launch.writes]
        launch.total, launch.grain = length, grain
        self.launches.append(launch)
        join = Launch(launch.name + "_join")
        join.source, join.code = launch.source, launch.code
        join.words = Words()
        join.words.values = list(words.values)
        join.words.values[at["mode"]] = 2
        final = {id(p): b for b, p in partials.items()}
        join.words.addresses = [
            (i, View(final[id(v.origin)], 0, (), ()) if role == "result" else v, role) for i, v, role in words.addresses
        ]
        join.reads, join.writes = list(partials.values()), [b for b in results if b in partials]
        join.total, join.grain, join.cost = result_rows, max(1, CHUNK // chunks), result_rows * chunks
        self.launches.append(join)

    def _origin_buffer(self, origin):
        if isinstance(origin, Buffer):
            return origin
        return None if graph.is_constant(origin) else self._buffer(origin)

    # ------------------------------------------------------------ nodes with launches of their own

    def _single(self, node, group):
        handler = _SINGLE.get(node.primitive.name)
        if handler is not None:
            handler(self, node)
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

    def _host(self, node):
        """The NumPy reference, called between native launches."""
        launch = Launch(node.primitive.name)
        views = []
        for x in node.inputs:
            origin = self.plan.sources[x].origin
            if graph.is_constant(origin):
                views.append(numpy.broadcast_to(numpy.array(origin.attrs[0], origin.dtype), x.shape))
            else:
                view = self._view(x)
                views.append(view)
                launch.reads.append(view.origin)
        out = self._whole(node)
        launch.writes = [out.origin]
        launch.operands = (*views, out)
        launch.host = node.primitive.reference, dict(node.attrs)
        launch.total = 1
        if len(node.shape) > 1:  # equations of matrices
            launch.cost = max(shapes.size(x.shape[-2:]) for x in node.inputs) * node.shape[-2]
        self.launches.append(launch)

    def _contiguous(self, x):
        """Contiguous memory with the value of an input; copied or filled if need be."""
        origin = self.plan.sources[x].origin
        if not graph.is_constant(origin):
            view = self._view(x)
            if view.is_contiguous():
                return view
        fresh = contiguous(Buffer("arena", x.dtype, shapes.size(x.shape)), x.shape)
        self._put(x, fresh, "contiguous")
        return fresh

    def _array_kernel(self, node, extents, total, work):
        """A launch of the primitive's own array kernel."""
        primitive = node.primitive
        dtypes = [str(x.dtype) for x in node.inputs]
        views = [self._contiguous(x) for x in node.inputs]
        out = self._whole(node)
        names = [f"x{k}" for k in range(len(views))] + ["out"]
        w = Writer()
        words = Words()
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{primitive.name}"""')
        for name, view, dtype in zip(names, [*views, out], [*dtypes, node.dtype], strict=True):
            w.line(f"{name} = pointer_{dtype}(args, {words.address(view, 'store' if name == 'out' else 'load')})")
        for k, n in enumerate(extents):
            w.line(f"n{k} = word(args, {words.add(n)})")
        integers = ", ".join(f"n{k}" for k in range(len(extents)))
        w.line(f"{primitive.name}({', '.join(names)}, {integers}, start, stop)")
        launch = Launch(primitive.name)
        launch.source, launch.words = w.text(), words
        launch.code = native.kernel(launch.source, {primitive.name: (primitive, "int64")})
        self._add(launch, views, [out], total, max(1, CHUNK * total // max(work, 1)), work)

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
        launch.source, launch.words = LONG_SUM.format(dtype=node.dtype), Words()
        launch.code = native.kernel(launch.source, {})
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
            origin = self.plan.sources[x].origin
            there = not graph.is_constant(origin) and origin in self.buffers and self._view(x)
            place = whole.sliced(spec)
            if not there or (there.origin, there.offset) != (place.origin, place.offset) or not there.is_contiguous():
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
        side_by_side = columns(whole, views) if views and single else None
        if side_by_side is not None:
            key = name, node.dtype.num, whole.shape, tuple([step for _, step in side_by_side])
            make = lambda: Columns(whole, node.dtype, side_by_side, name)  # noqa: E731
            kernel = self._stamped(key, make, [whole, *(v for v, _ in side_by_side)])
            self._finish(Launch(name), kernel, [v.origin for v, _ in side_by_side], [whole.origin])
            return
        if not views or steps - {1} or len(views) > MOST_PARTS or 0 in node.shape:
            if base is not None:
                self._put(base, whole, name)
            for x, spec in parts:
                self._put(x, whole.sliced(spec), name, accumulate)
            return
        origin = self._origin(base) if base is not None else None
        number = origin.attrs[0] if origin is not None and graph.is_constant(origin) else None
        below = self._view(base).broadcast(node.shape) if origin is not None and number is None else None
        launch = Launch(name)
        make = lambda: Assembly(whole, node.dtype, below, number, views, accumulate, name)  # noqa: E731
        start = origin.attrs if number is not None else below and below.strides
        shown = tuple([(v.shape, v.strides, spec) for v, spec in views])
        key = name, node.dtype.num, whole.shape, number is None, start, accumulate, shown
        pointers = [whole, *([below] if below else []), *(v for v, _ in views)]
        kernel = self._stamped(key, make, pointers)
        reads = [v.origin for v, _ in views] + ([below.origin] if below else [])
        self._finish(launch, kernel, reads, [whole.origin])

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


def _in_order(changed, outputs, order):
    """(outputs, what they depend on): a walk over the graph takes as long as some of its changes."""
    return (outputs, order) if changed is outputs else (changed, graph.topological(changed))


_SINGLE = {
    "matmul": Lowering._matmul, "concatenate": Lowering._concatenate, "embed": Lowering._embed,
    "add_n": Lowering._long_sum,
}  # fmt: skip


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


class _OneCopy:
    """A plan for a nest of one copying node."""

    def __init__(self, node, source, stand_in):
        self.sources = {node: source, stand_in: contiguous(stand_in, stand_in.shape)}
        self.stored, self.recomputed, self.inside = {stand_in: True}, set(), {}


class _SingleGroup:
    """A group of one elementwise node."""

    def __init__(self, node):
        self.domain, self.nodes, self.reductions, self.axes = node.shape, [node], [], None


def _even(total, grain):
    """`grain` or less: of a few chunks a power of two, so that threads share them evenly, and all about as long.

    Chunks depend on nothing but the program: what is added up is the same on any number of threads.
    """
    chunks = -(-total // grain)
    if not 1 < chunks < FEW_CHUNKS:
        return grain
    even = -(-total // (1 << (chunks - 1).bit_length()))
    return even if even < 64 else min(grain, -(-even // 16) * 16)  # chunks of vectors, where that is of no weight


def _weight(nodes):
    """Work for each element, in units of what a few simple operations and their memory cost."""
    return max(1, sum(n.primitive.cost for n in nodes) // 16)


def _shortened(names):
    """Names of a launch, with a long middle left out."""
    names = [n for n in names if n != "identity"] or names[:1]
    return names if len(names) <= 8 else [*names[:4], f"{len(names) - 8}_more", *names[-4:]]
