"""Lower for CUDA: the plan of the CPU, its nests as kernels over a grid.

What has no kernel here is computed on the host, as its launch says.
"""

import hashlib

import numpy

from nbgrad import graph, shapes
from nbgrad.compile import native, nest, translate
from nbgrad.compile.cuda import nvvm
from nbgrad.compile.cuda.assembly import GridAssembly
from nbgrad.compile.cuda.grid import GridKernel
from nbgrad.compile.cuda.products import Product
from nbgrad.compile.cuda.rows import RowsKernel
from nbgrad.compile.cuda.scatter import ScatterKernel
from nbgrad.compile.cuda.teams import ReduceKernel
from nbgrad.compile.launch import Launch, shortened
from nbgrad.compile.lower import Lowering
from nbgrad.compile.products import stacked
from nbgrad.compile.rows import in_rows
from nbgrad.compile.storage import Buffer, View, contiguous
from nbgrad.errors import KernelError

#: Units of an array kernel from which each is for one thread, not for a block.
MANY = 4096
#: Threads of a block that does an array kernel.
BLOCK = 256

#: A sum of more arrays than a kernel has names for.
SUM = '''def kernel(args, start, stop):
    """sum of arrays"""
    y = pointer_{dtype}(args, 0)
    for i in range(start + thread(), stop, threads()):
        total = load(pointer_{dtype}(args, 2), i)
        for term in range(1, word(args, 1)):
            total = total + load(pointer_{dtype}(args, 2 + term), i)
        store(y, i, total, 0)
'''


class Code:
    """NVVM IR of a kernel and the name of its entry."""

    __slots__ = ("symbol", "text")

    def __init__(self, source, names):
        functions = {n: (p.text(d, "cuda"), d) for n, (p, d) in names.items()}
        self.symbol = native.symbol_of(hashlib.sha256(source.encode()).hexdigest())
        try:
            self.text = nvvm.module(source, functions, self.symbol)
        except translate.Unsupported as reason:
            listed = ", ".join(sorted({p.name for p, _ in names.values()}))
            raise KernelError(
                f"the CUDA kernel of {listed}: a text is outside of what is translated for CUDA: {reason}; write it "
                "with assignments, arithmetic, comparisons, loops over ranges and calls of other kernels, or declare a "
                "kernel for numba.cuda with primitive.cuda_kernel(layout)"
            ) from None

    def ready(self):
        """There is nothing to wait for."""
        return True

    def ptx(self, architecture):
        """PTX for a virtual architecture such as ``compute_80``."""
        return nvvm.ptx(self.text, architecture)


class CudaLowering(Lowering):
    """A simplified graph on its way to launches of CUDA kernels."""

    _assembly: type = GridAssembly
    _columns, _most_parts, _sum_text = staticmethod(lambda whole, parts: None), 16, SUM

    def _units(self):
        import nbgrad.kernels.cuda  # noqa: F401 - the texts of array primitives, which nothing else needs

        return in_rows(self.plan)

    def _rows(self, unit, readers):
        parts, reads, writes, names, scratch = [], [], [], [], {}
        for node, within in unit.made.items():
            alone = node not in self.plan.inside and readers.get(node) == {unit}
            if within and self.plan.stored[node] and node not in self.buffers and alone:
                scratch[node] = unit.length
                self.buffers[node] = Buffer("arena", node.dtype, unit.length)
        for group in unit.groups:
            loops = nest.build(group, self.plan, self.plan.sources.__getitem__, unit.inner(group))
            parts.append((loops, group.domain, unit.gathers(group)))
            reads += [o.view.origin for o in loops.loads.values()]
            writes += [o.view.origin for o in (*loops.stores, *loops.results)]
            names += [n.primitive.name for n in (*loops.values, *group.reductions)]
        launch = Launch("_".join(shortened(names)))
        kernel = RowsKernel(parts, self.plan, scratch, unit.rows, unit.length, self._counter(), launch.name)
        for node in scratch:
            self.buffers[node].size *= kernel.teams
        self._finish(launch, kernel, reads, writes)

    def _assembled(self, node, base, parts, accumulate=False):
        if base is None and len(parts) == 1 and node.primitive.name != "embed":  # no need to look at the others
            self._piecewise(self._whole(node), node.primitive.name, base, parts, accumulate)
        else:
            super()._assembled(node, base, parts, accumulate)

    def _single(self, node, group):
        if node.primitive.kind != "call" and node.primitive.cuda is not None:
            self._numba_kernel(node)
            return
        block = node.primitive.block
        if block is not None:
            many = node.primitive.layout and node.primitive.layout(node)
            layout = None if many and many[1] >= MANY else block.layout(node)
            if layout is not None:
                self._block_kernel(node, block, *layout)
                return
            if not many:
                self._host(node)
                launch = self.launches[-1]
                launch.library = launch.name, launch.operands, dict(node.attrs)
                return
        super()._single(node, group)

    def _loop(self, node):
        self._host(node)

    _switch = _while = _loop

    def _numba_kernel(self, node):
        """A launch of a kernel that was written for Numba; a layout of None leaves it to the host."""
        from nbgrad.compile.cuda import by_numba

        dimensions = by_numba.dimensions(node)
        if dimensions is None:
            self._host(node)
            return
        reads, outs = [self._contiguous(x) for x in node.inputs], [self._whole(node)]
        if node.primitive.kind == "call":
            outs = self._results(node)
        if node.primitive.cuda.zeroed:
            for out in outs:
                self._fill(0, out, out.origin.dtype, node.primitive.name)
        launch = by_numba.launch(node, reads, outs, dimensions)
        cost = sum(shapes.size(v.shape) for v in (*reads, *outs))
        self._add(launch, reads, outs, launch.blocks if any(0 not in v.shape for v in outs) else 0, 1, cost)

    def _call(self, node):
        if node.primitive.cuda is None:
            self._host(node)
        elif node is self.loops[node][0]:
            self._numba_kernel(node)

    def _block_kernel(self, node, block, extents, total, scratch):
        """A launch of a text that blocks of threads do together, one unit each after the other."""
        if block.stacked:
            reads = [self._stack(x, node.shape[:-2]) for x in node.inputs]
            extents = (*extents, *(s for view in reads for s in _stack_strides(view)))
        else:
            reads = [self._contiguous(x) for x in node.inputs]
        writes = [self._whole(node)]
        if scratch:
            writes.append(contiguous(Buffer("arena", node.dtype, max(total, 1) * scratch), (max(total, 1) * scratch,)))
        launch, w, arguments = self._calling(node, reads, writes, extents)
        w.open("for unit in range(start + block(), stop, blocks()):")
        w.line(f"{block.name}({arguments}, unit)")
        w.line("barrier()")
        self._text(launch, w, block)
        launch.block, launch.per_block = BLOCK, 1
        steps = 1 if "axis" in dict(node.attrs) else extents[0]  # along an axis, or for each row of a matrix
        launch.flops = 2 * steps * sum(shapes.size(v.shape) for v in reads)
        self._add(launch, reads, writes, total, total, sum(shapes.size(v.shape) for v in (*reads, *writes)))

    def _stack(self, x, lead):
        """A stack of matrices as it is, broadcast to leading axes, if one stride leads from each to the next."""
        shape = (*lead, *x.shape[-2:])
        if not graph.is_constant(self._origin(x)):
            view = self._view(x).broadcast(shape)
            if _stack_strides(view) is not None:
                return view
        return self._contiguous(x, shape)

    def _array_kernel(self, node, extents, total, work):
        """The text for a CPU, a thread for each unit: there are many."""
        reads, out = [self._contiguous(x) for x in node.inputs], self._whole(node)
        launch, w, arguments = self._calling(node, reads, [out], extents)
        w.open("for unit in range(start + thread(), stop, threads()):")
        w.line(f"{node.primitive.name}({arguments}, unit, unit + 1)")
        self._text(launch, w, node.primitive)
        self._add(launch, reads, [out], total, total, work)

    def _matmul(self, node):
        out = self._whole(node)
        if 0 in node.shape:
            return
        x1, x2 = node.inputs
        lead = node.shape[:-2]
        for operand in (self._view, self._contiguous):
            if operand == self._view and any(graph.is_constant(self._origin(x)) for x in node.inputs):
                continue  # numbers are in no memory yet
            a, b = operand(x1).broadcast((*lead, *x1.shape[-2:])), operand(x2).broadcast((*lead, *x2.shape[-2:]))
            batch = stacked(lead, a.strides[:-2], b.strides[:-2])
            if batch is not None:
                break
        else:
            a, b = (self._contiguous(x, (*lead, *x.shape[-2:])) for x in node.inputs)
            batch = stacked(lead, a.strides[:-2], b.strides[:-2])
        partial = lambda n: contiguous(Buffer("arena", node.dtype, n), (n,))  # noqa: E731
        product = Product(a, b, out, node.dtype, batch, partial, self._counter)
        launch = Launch("matmul")
        launch.source, launch.words = product.source, product.words
        launch.code = self._code(product.source, {})
        launch.block, launch.per_block, launch.flops = product.block, product.per_block, 2 * product.cost
        launch.library = "matmul", (a, b, out), {}
        self._add(launch, [a, b], [out, *product.partials], product.total, product.total, product.cost)

    def _kernel(self, loops, plan, domain, title):
        if loops.results:
            return ReduceKernel(loops, plan, domain, title, self._counter())
        indexed = any(o.indices is not None for o in loops.stores)
        return (ScatterKernel if indexed else GridKernel)(loops, plan, domain, title)

    def _pointers(self, loops):
        return loops.views() + ([self._counter()] if loops.results else [])

    def _counter(self):
        """Memory of a 0, in which the blocks of one launch count those that are done; it is a 0 again then."""
        return contiguous(Buffer("counter", numpy.dtype("int64"), 1), (1,))

    def _code(self, source, names):
        return Code(source, names)

    def _shape(self, launch, kernel):
        launch.total = launch.grain = kernel.rows
        launch.block, launch.per_block = kernel.block, kernel.per_block
        if getattr(kernel, "wide", None) is not None:  # memory begins on a multiple of the widest vector
            offsets = [view.offset for index, view, _ in launch.words.addresses if index in kernel.aligned]
            launch.words.values[kernel.wide] = int(all(offset % kernel.width == 0 for offset in offsets))
        launch.cost = max(kernel.rows, 1) * max(kernel.inner, 1)
        launch.blocks, launch.flops = kernel.blocks, kernel.flops
        if kernel.parts > 1 or kernel.blocks:
            partials = {}
            for k, (index, view, role) in enumerate(launch.words.addresses):
                if role == "partial" and (not kernel.blocks or index in kernel.gathered):
                    buffer = Buffer("arena", view.origin.dtype, view.origin.size * kernel.parts)
                    partials[index] = buffer
                    launch.words.addresses[k] = index, View(buffer, 0, (), ()), role
            launch.writes += partials.values()
        if launch.total:
            self.launches.append(launch)


def _stack_strides(view):
    """(stride from matrix to matrix, between rows, between columns) of a stack; None where there is no one stride."""
    merged = view.reshaped((shapes.size(view.shape[:-2]), *view.shape[-2:]))
    return None if merged is None else merged.strides
