"""Lower for CUDA: the plan of the CPU, its nests as kernels over a grid.

Everything that has no kernel is an error that names the primitive.
"""

import hashlib

import numpy

from nbgrad.compile import native, nest
from nbgrad.compile.cuda import nvvm
from nbgrad.compile.cuda.assembly import GridAssembly
from nbgrad.compile.cuda.grid import GridKernel
from nbgrad.compile.cuda.rows import RowsKernel
from nbgrad.compile.cuda.scatter import ScatterKernel
from nbgrad.compile.cuda.teams import ReduceKernel
from nbgrad.compile.fuse import is_elementwise
from nbgrad.compile.launch import Launch, shortened
from nbgrad.compile.lower import Lowering
from nbgrad.compile.rows import in_rows
from nbgrad.compile.storage import Buffer, View, contiguous
from nbgrad.errors import DeviceError

#: Primitives whose results are copies of parts, one launch each.
_OF_PARTS = ("concatenate", "embed", "set_slice", "add_slices")


class Code:
    """NVVM IR of a kernel and the name of its entry."""

    __slots__ = ("symbol", "text")

    def __init__(self, source, names):
        functions = {n: (p.text(d), d) for n, (p, d) in names.items()}
        self.symbol = native.symbol_of(hashlib.sha256(source.encode()).hexdigest())
        self.text = nvvm.module(source, functions, self.symbol)

    def ready(self):
        """There is nothing to wait for."""
        return True

    def ptx(self, architecture):
        """PTX for a virtual architecture such as ``compute_80``."""
        return nvvm.ptx(self.text, architecture)


class CudaLowering(Lowering):
    """A simplified graph on its way to launches of CUDA kernels."""

    _assembly, _columns, _most_parts = GridAssembly, staticmethod(lambda whole, parts: None), 16

    def _units(self):
        for group in self.plan.groups:
            for node in group.reductions or [n for n in group.nodes if not is_elementwise(n)]:
                if node.primitive.kind not in ("view", "reduction", "scatter") and node.primitive.name not in _OF_PARTS:
                    raise DeviceError(f"{node.primitive.name}: has no CUDA kernel yet; run it on device='cpu'")
        return in_rows(self.plan)

    def _rows(self, unit, readers):
        parts, reads, writes, names = [], [], [], []
        for group in unit.groups:
            loops = nest.build(group, self.plan, self.plan.sources.__getitem__, unit.inner(group))
            parts.append((loops, group.domain, unit.gathers(group)))
            reads += [o.view.origin for o in loops.loads.values()]
            writes += [o.view.origin for o in (*loops.stores, *loops.results)]
            names += [n.primitive.name for n in (*loops.values, *group.reductions)]
        launch = Launch("_".join(shortened(names)))
        kernel = RowsKernel(parts, self.plan, unit.rows, unit.length, self._counter(), launch.name)
        self._finish(launch, kernel, reads, writes)

    def _assembled(self, node, base, parts, accumulate=False):
        if base is None and len(parts) == 1 and node.primitive.name != "embed":  # no need to look at the others
            self._piecewise(self._whole(node), node.primitive.name, base, parts, accumulate)
        else:
            super()._assembled(node, base, parts, accumulate)

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
        launch.cost = max(kernel.rows, 1) * max(kernel.inner, 1)
        launch.blocks = kernel.blocks
        if kernel.parts > 1 or kernel.blocks:
            partials = {}
            for k, (index, view, role) in enumerate(launch.words.addresses):
                if role == "partial":
                    buffer = Buffer("arena", view.origin.dtype, view.origin.size * kernel.parts)
                    partials[index] = buffer
                    launch.words.addresses[k] = index, View(buffer, 0, (), ()), role
            launch.writes += partials.values()
        if launch.total:
            self.launches.append(launch)
