"""What users look at when they do not trust a result: where a nan comes from, what runs, and how long it takes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgrad.debug.drawing import draw
    from nbgrad.debug.explanation import explain
    from nbgrad.debug.nonfinite import nans
    from nbgrad.debug.profiling import profile

#: Where each name is; imported when it is first asked for.
_LATER = {
    "draw": "nbgrad.debug.drawing",
    "explain": "nbgrad.debug.explanation",
    "nans": "nbgrad.debug.nonfinite",
    "profile": "nbgrad.debug.profiling",
}

__all__ = ["draw", "explain", "nans", "profile"]


def __getattr__(name):
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'nbgrad.debug' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted({*globals(), *__all__})
