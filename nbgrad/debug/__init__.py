"""What users look at when they do not trust a result: where a nan comes from, what runs, and how long it takes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbgrad.debug.nonfinite import nans

#: Where each name is; imported when it is first asked for.
_LATER = {
    "nans": "nbgrad.debug.nonfinite",
}

__all__ = ["nans"]


def __getattr__(name):
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'nbgrad.debug' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return sorted({*globals(), *__all__})
