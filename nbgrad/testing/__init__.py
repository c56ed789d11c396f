"""Aids for tests, of gradients and of kernels: not imported by nbgrad itself."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgrad.testing.gradients import GradientCheckError, check_grads
    from nbgrad.testing.kernels import KernelCheckError, KernelReport, check_kernel

#: Names, and the modules that they are in.
_LATER = {
    "GradientCheckError": "gradients",
    "KernelCheckError": "kernels",
    "KernelReport": "kernels",
    "check_grads": "gradients",
    "check_kernel": "kernels",
}
__all__ = ["GradientCheckError", "KernelCheckError", "KernelReport", "check_grads", "check_kernel"]


def __getattr__(name):
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(f"nbgrad.testing.{_LATER[name]}"), name)
    raise AttributeError(f"module 'nbgrad.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
