"""Inspection of the namespace, as the Array API standard has it (2024.12)."""

from nbgrad import devices, dtypes
from nbgrad.errors import ArgumentError

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


def __array_namespace_info__():
    """What this namespace has: an object with `capabilities`, `default_device`, `default_dtypes`, `devices`, `dtypes`.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.__array_namespace_info__().default_device()
    'cpu'
    """
    return Info()


class Info:
    """Facts about `nbgrad.numpy`."""

    def capabilities(self):
        """Indexing by booleans is there, and shapes that depend on values, but not under `jit`."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self):
        """Where new arrays are."""
        return "cpu"

    def devices(self):
        """All devices of this machine that arrays can be on."""
        from nbgrad import cuda

        return ["cpu", *(f"cuda:{n}" for n in range(cuda.device_count()))]

    def default_dtypes(self, *, device=None):
        """dtypes of Python numbers, and of indices."""
        self._known("default_dtypes", device)
        return {
            "real floating": dtypes.FLOAT64,
            "complex floating": dtypes.COMPLEX128,
            "integral": dtypes.INT64,
            "indexing": dtypes.INT64,
        }

    def dtypes(self, *, device=None, kind=None):
        """dtypes by name, of one kind or a tuple of kinds; not float16, which the standard does not have."""
        self._known("dtypes", device)
        kinds = (kind,) if isinstance(kind, str) else kind
        if kinds is None:
            kinds = ("bool", "numeric")
        names = []
        for k in kinds:
            if k not in _KINDS:
                raise ArgumentError(f"dtypes: kind {k!r} is unknown; known are {', '.join(_KINDS)}")
            names += _KINDS[k]
        return {name: dtypes.as_dtype(name) for name in dict.fromkeys(names)}

    def _known(self, call, device):
        if device is not None:
            devices.find(call, device)
