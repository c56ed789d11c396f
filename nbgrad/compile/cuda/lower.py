"""Lower for CUDA: the plan of the CPU, its nests as kernels over a grid.

So far elementwise nests, gathers, and arrays put together of parts; everything else is an error that names the
primitive.
"""

import hashlib

from nbgrad.compile import native
from nbgrad.compile.cuda import nvvm
from nbgrad.compile.cuda.grid import GridKernel
from nbgrad.compile.fuse import is_elementwise
from nbgrad.compile.lower import Lowering
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

    def _units(self):
        for group in self.plan.groups:
            for node in group.reductions or [n for n in group.nodes if not is_elementwise(n)]:
                if node.primitive.kind != "view" and node.primitive.name not in _OF_PARTS:
                    raise DeviceError(f"{node.primitive.name}: has no CUDA kernel yet; run it on device='cpu'")
        return self.plan.groups

    def _inside(self, order):
        return {}  # a border is a loop of its own, which a grid would have to share

    def _assembled(self, node, base, parts, accumulate=False):
        self._piecewise(self._whole(node), node.primitive.name, base, parts, accumulate)

    def _kernel(self, loops, plan, domain, title):
        return GridKernel(loops, plan, domain, title)

    def _code(self, source, names):
        return Code(source, names)
