"""SciPy's names on Arrays, by submodule; each is imported when it is first asked for."""

import importlib

SUBMODULES = ("integrate", "linalg", "ndimage", "optimize", "signal", "special", "stats")


def __getattr__(name):
    if name in SUBMODULES:
        return importlib.import_module(f"nbgrad.scipy.{name}")
    raise AttributeError(f"module 'nbgrad.scipy' has no attribute {name!r}; it has {', '.join(SUBMODULES)}")


def __dir__():
    return sorted({*globals(), *SUBMODULES})
