"""Aids for tests, of gradients and of kernels: not imported by nbgrad itself."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgrad.testing.gradients import GradientCheckError, check_grads

__all__ = ["GradientCheckError", "check_grads"]


def __getattr__(name):
    if name in __all__:
        from nbgrad.testing import gradients

        return getattr(gradients, name)
    raise AttributeError(f"module 'nbgrad.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
