"""Lower: from a simplified graph to a table of launches.

simplify -> pairs -> join -> unroll -> rows in steps -> pad -> running sums -> fuse -> nests -> source
-> machine code -> table
"""

from nbgrad import graph, shapes
from nbgrad.compile import emit, native, nest
from nbgrad.compile.fuse import fuse, is_elementwise, reads_of
from nbgrad.compile.indexed import scatters
from nbgrad.compile.join import join_products
from nbgrad.compile.launch import CHUNK, Launch, even, shortened, weight_of
from nbgrad.compile.memory import ALIGNMENT, plan_arena
from nbgrad.compile.pad import inside, padded
from nbgrad.compile.pairs import in_pairs
from nbgrad.compile.row_kernel import RowKernel
from nbgrad.compile.rows import Rows, in_rows, in_steps
from nbgrad.compile.running import running_sums
from nbgrad.compile.scatter import ScatterKernel
from nbgrad.compile.single import Singles
from nbgrad.compile.source import Stamp, Words
from nbgrad.compile.storage import Buffer, View, contiguous
from nbgrad.compile.unroll import unroll
from nbgrad.dtypes import UINT8
from nbgrad.graph import Node


class Lowering(Singles):
    """A simplified graph on its way to launches; its kernels compile elsewhere meanwhile.

    Parameters
    ----------
    inputs, captured, outputs : lists of Node
        As `nbgrad.compile.simplify.simplify` returns them.
    """

    def __init__(self, inputs, captured, outputs):
        self.facts = [(n.dtype, n.shape) for n in inputs], [(n.dtype, n.shape) for n in outputs]
        inputs, captured, outputs = in_pairs(inputs, captured, outputs)
        self.inputs, self.captured = inputs, captured
        order = graph.topological(outputs)
        for change in (join_products, unroll, in_steps, padded):
            outputs, order = _in_order(change(outputs, order), outputs, order)
        changed, partial = running_sums(outputs, order)
        outputs, order = _in_order(changed, outputs, order)
        self.outputs = [self._output_node(n, outputs[:k]) for k, n in enumerate(outputs)]
        order += [n for n, known in zip(self.outputs, outputs, strict=True) if n is not known]
        self.loops = graph.calls_in(order)
        self.plan = fuse(order, self.outputs, self._inside(order), partial)
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
        inside = (deep for launch in self.launches for deep in launch.everything())
        return all(launch.code is None or launch.code.ready() for launch in inside)

    def compiled(self):
        """The `Compiled`; waits for its kernels."""
        from nbgrad.runtime.compiled import Compiled

        return Compiled(*self._result())

    def arena(self):
        """Place what is neither input nor output in an arena; returns its bytes."""
        for at, launch in enumerate(self.launches):
            for buffer in (*launch.reads, *launch.writes):
                buffer.first = at if buffer.first is None else buffer.first
                buffer.last = at
        arena = {id(b): b for launch in self.launches for b in (*launch.reads, *launch.writes)}
        return plan_arena(arena.values())

    def _result(self):
        size = self.arena()
        return (*self.facts, [n.fact("value") for n in self.captured], self.launches, size)

    # ------------------------------------------------------------ what depends on the target

    def _inside(self, order):
        """What is made inside of the memory of its embedding."""
        return inside(order, self.outputs)

    def _units(self):
        """What becomes a launch each, in an order of execution."""
        return in_rows(self.plan)

    def _kernel(self, loops, plan, domain, title):
        """A nest as source."""
        indexed = any(o.indices is not None for o in loops.stores)
        return (ScatterKernel if indexed else emit.Kernel)(loops, plan, domain, title)

    def _pointers(self, loops):
        """What the pointers of the kernel of a nest point to, in the order in which they are declared."""
        return loops.views()

    def _code(self, source, names):
        """Source as machine code."""
        return native.kernel(source, names)

    def _function(self, text):
        """A text of a launch that runs others as machine code."""
        return native.function(text, 3)

    def _memory_inside(self, inner):
        """Where the intermediate values of a graph inside are: its buffers -> (buffer of this one, elements)."""
        scratch = Buffer("arena", UINT8, inner.arena())
        return [scratch] if scratch.size else [], lambda b, at: View(scratch, b.offset + at * b.dtype.itemsize, (), ())

    def _row_of_state(self, dtype, size):
        """Elements from one value of a state to the next."""
        unit = max(ALIGNMENT // dtype.itemsize, 1)
        return -(-size // unit) * unit

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
        loops = nest.build(group, self.plan, self.plan.sources.__getitem__)
        if scatters(group):
            self._lay_below(*group.reductions, group, loops)
        names = [n.primitive.name for n in (*loops.values, *group.reductions)]
        launch = Launch("_".join(shortened(names)) or "fill")
        make = lambda: self._kernel(loops, self.plan, group.domain, launch.name)  # noqa: E731
        kernel = self._stamped((launch.name, loops.structure(self.plan)), make, self._pointers(loops))
        self._finish(launch, kernel, [o.view.origin for o in loops.loads.values()],
                     [o.view.origin for o in (*loops.stores, *loops.results)])  # fmt: skip

    def _lay_below(self, node, group, loops):
        """What is there before a scatter writes: a copy, unless it may be changed where it is."""
        base, reads = node.inputs[0], [o.view.origin for o in loops.loads.values()]
        if self._dies_here(base, node, group) and self._origin(base) not in reads:
            self.buffers[node] = self.buffers[self._origin(base)]
        else:
            self._put(base, self._whole(node), node.primitive.name)

    def _stamped(self, key, make, views):
        """The kernel that `make` emits; one of the same key is emitted once."""
        stamp = self.stamps.get(key)
        if stamp is None:
            stamp = self.stamps[key] = Stamp(make())
        return stamp.printed(views)

    def _rows(self, unit, readers):
        """One launch for groups that run row by row."""
        work = sum((unit.length if unit.inner(g) else 1) * weight_of(g.nodes) for g in unit.groups)
        grain, chunks, height = self._cut_rows(unit, work)
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
        launch = Launch("_".join(shortened(names)))
        kernel = RowKernel(parts, self.plan, scratch, unit.rows, grain, height, launch.name)
        self._finish(launch, kernel, loads, stores)
        launch.grain, launch.cost = grain, unit.rows * work
        for node, part in gathered.items():
            if part is not self._buffer(node):
                self._joined(node, part, chunks, launch.name + "_join")

    def _cut_rows(self, unit, work):
        """(rows of a chunk, chunks, rows that go through all groups together)."""
        chunk = CHUNK if unit.rows * unit.length < 64 * CHUNK else 4 * CHUNK  # scratch memory is by chunk
        grain = max(1, chunk // max(work, 1))
        if any(shapes.size(n.shape) > 1 for n in unit.gathered):
            grain = max(grain, 16)  # each chunk has a part as long as a row
        grain = even(unit.rows, grain)
        return grain, -(-unit.rows // grain), min(unit.height(self.plan), grain)

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
        self._shape(launch, kernel)

    def _shape(self, launch, kernel):
        """Cut the work of a launch into chunks."""
        weight = weight_of(kernel.nest.values) if kernel.nest else 1
        inner = max(kernel.inner, 1) * weight
        launch.cost = max(kernel.rows, 1) * inner
        if kernel.split_words is None:
            launch.total, launch.grain = kernel.rows, even(kernel.rows, max(1, CHUNK // inner))
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
            launch.total, launch.grain = rows, even(rows, max(1, CHUNK // max(kernel.inner * weight, 1)))
            self.launches.append(launch)
            return
        grain = even(length, max(1, -(-length // chunks)))
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


def _in_order(changed, outputs, order):
    """(outputs, what they depend on): a walk over the graph takes as long as some of its changes."""
    return (outputs, order) if changed is outputs else (changed, graph.topological(changed))


class _OneCopy:
    """A plan for a nest of one copying node."""

    def __init__(self, node, source, stand_in):
        self.sources = {node: source, stand_in: contiguous(stand_in, stand_in.shape)}
        self.stored, self.recomputed, self.inside = {stand_in: True}, set(), {}


class _SingleGroup:
    """A group of one elementwise node."""

    def __init__(self, node):
        self.domain, self.nodes, self.reductions, self.axes = node.shape, [node], [], None
