"""nbgrad: array autodiff for NumPy programs, on fused kernels that Numba compiles.

`grad` and `gradients` are two entrances to one engine; `nbgrad.numpy` holds NumPy's functions on Arrays.
"""

from typing import TYPE_CHECKING

try:
    import nbgrad.kernels  # declares the primitives
except ModuleNotFoundError as error:
    if error.name != "nbgrad.kernels":
        raise
    raise ImportError(
        "nbgrad is not installed: nbgrad.kernels is mapped in on installing; run `pip install -e .`"
    ) from None

from nbgrad.array import Array, Parameter, ParameterTuple, asarray
from nbgrad.autodiff.forward import jacfwd, jacrev, jvp, vjp
from nbgrad.autodiff.grad import get_grad, grad, value_and_grad
from nbgrad.autodiff.gradients import AggregationMethod, UnconnectedGradients, gradients
from nbgrad.compile.jit import jit
from nbgrad.config import config
from nbgrad.errors import (
    ArgumentError,
    AxisError,
    DeviceError,
    DeviceMemoryError,
    DtypeError,
    GradientError,
    HistoryError,
    HostFallbackWarning,
    KernelError,
    MatrixShapeError,
    MissingGradientError,
    MissingRuleError,
    MissingToolError,
    NbgradError,
    NonFiniteError,
    OptionError,
    RankError,
    RankMismatchError,
    ShapeError,
    ShardError,
    TracedValueError,
)
from nbgrad.kernels.casting import identity, stop_gradient
from nbgrad.primitive import elementwise, primitives, structural
from nbgrad.statistics import stats

if TYPE_CHECKING:
    from nbgrad.autodiff.checkpoint import checkpoint, checkpoint_policies
    from nbgrad.autodiff.custom import custom_jvp, custom_vjp
    from nbgrad.autodiff.derived import hessian, hvp, jacobian, linearize
    from nbgrad.autodiff.implicit import implicit_fixed_point, implicit_root
    from nbgrad.batching.vmap import vmap
    from nbgrad.control.associative import associative_scan
    from nbgrad.control.branches import cond, switch
    from nbgrad.control.scan import fori_loop, scan
    from nbgrad.control.unbounded import while_loop
    from nbgrad.extension.adopt import adopt
    from nbgrad.extension.arrays import array_kernel
    from nbgrad.extension.opaque import opaque
    from nbgrad.numpy import (
        arange,
        empty,
        eye,
        full,
        full_like,
        linspace,
        ones,
        ones_like,
        where,
        zeros,
        zeros_like,
    )
    from nbgrad.sparse.transforms import sparse_hessian, sparse_jacobian

__version__ = "0.1.0"

#: Functions of `nbgrad.numpy` that are also found here; that namespace is imported when one is first asked for.
_FROM_NUMPY = (
    "arange", "empty", "eye", "full", "full_like", "linspace", "ones", "ones_like", "where", "zeros", "zeros_like",
)  # fmt: skip

#: Names that are imported when they are first asked for, and where they are.
_LATER = {
    "adopt": "nbgrad.extension.adopt",
    "array_kernel": "nbgrad.extension.arrays",
    "associative_scan": "nbgrad.control.associative",
    "checkpoint": "nbgrad.autodiff.checkpoint",
    "checkpoint_policies": "nbgrad.autodiff.checkpoint",
    "cond": "nbgrad.control.branches",
    "custom_jvp": "nbgrad.autodiff.custom",
    "custom_vjp": "nbgrad.autodiff.custom",
    "fori_loop": "nbgrad.control.scan",
    "hessian": "nbgrad.autodiff.derived",
    "hvp": "nbgrad.autodiff.derived",
    "implicit_fixed_point": "nbgrad.autodiff.implicit",
    "implicit_root": "nbgrad.autodiff.implicit",
    "jacobian": "nbgrad.autodiff.derived",
    "linearize": "nbgrad.autodiff.derived",
    "opaque": "nbgrad.extension.opaque",
    "scan": "nbgrad.control.scan",
    "sparse_hessian": "nbgrad.sparse.transforms",
    "sparse_jacobian": "nbgrad.sparse.transforms",
    "switch": "nbgrad.control.branches",
    "vmap": "nbgrad.batching.vmap",
    "while_loop": "nbgrad.control.unbounded",
}

__all__ = [
    "AggregationMethod",
    "ArgumentError",
    "Array",
    "AxisError",
    "DeviceError",
    "DeviceMemoryError",
    "DtypeError",
    "GradientError",
    "HistoryError",
    "HostFallbackWarning",
    "KernelError",
    "MatrixShapeError",
    "MissingGradientError",
    "MissingRuleError",
    "MissingToolError",
    "NbgradError",
    "NonFiniteError",
    "OptionError",
    "Parameter",
    "ParameterTuple",
    "RankError",
    "RankMismatchError",
    "ShapeError",
    "ShardError",
    "TracedValueError",
    "UnconnectedGradients",
    "adopt",
    "arange",
    "array_kernel",
    "asarray",
    "associative_scan",
    "checkpoint",
    "checkpoint_policies",
    "cond",
    "config",
    "custom_jvp",
    "custom_vjp",
    "elementwise",
    "empty",
    "eye",
    "fori_loop",
    "full",
    "full_like",
    "get_grad",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "identity",
    "implicit_fixed_point",
    "implicit_root",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "linspace",
    "ones",
    "ones_like",
    "opaque",
    "primitives",
    "scan",
    "sparse_hessian",
    "sparse_jacobian",
    "stats",
    "stop_gradient",
    "structural",
    "switch",
    "value_and_grad",
    "vjp",
    "vmap",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]  # fmt: skip


def __getattr__(name):
    if name in _FROM_NUMPY or name == "numpy":
        import importlib

        namespace = importlib.import_module("nbgrad.numpy")
        return namespace if name == "numpy" else getattr(namespace, name)
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    if name in ("cuda", "debug", "mpi", "parallel", "testing"):
        import importlib

        return importlib.import_module(f"nbgrad.{name}")
    raise AttributeError(f"module 'nbgrad' has no attribute {name!r}; functions of arrays are in nbgrad.numpy")


def __dir__():
    return sorted({*globals(), *__all__, "cuda", "debug", "numpy", "testing"})
