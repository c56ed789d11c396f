"""Functions of dtypes, which take Arrays as well."""

import numpy

from nbgrad import dtypes
from nbgrad.array import Array
from nbgrad.errors import ArgumentError

FIELDS = ("eps", "epsneg", "max", "min", "resolution", "smallest_normal", "smallest_subnormal", "tiny")


def _dtype(x):
    return x.dtype if isinstance(x, (Array, numpy.ndarray)) else x


def result_type(*arrays_and_dtypes):
    """The dtype that operands of these dtypes are computed in; Python's numbers are weak.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.result_type(np.ones(2, np.float32), 1.0)
    dtype('float32')
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type: give at least one array, dtype or number")
    return dtypes.as_dtype(numpy.result_type(*map(_dtype, arrays_and_dtypes)), "result_type")


def can_cast(from_, to, casting="safe"):
    """Whether a cast from a dtype, or that of an array, follows the rule `casting`."""
    return numpy.can_cast(_dtype(from_), to, casting)


def iinfo(type):
    """Limits of an integer dtype, or of that of an array: `numpy.iinfo`."""
    return numpy.iinfo(_dtype(type))


class finfo:
    """Limits of a floating dtype, or of that of an array or of parts of complex numbers.

    Attributes are those of `numpy.finfo`, but Python numbers, so that ``eps * x`` has the dtype of x.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> np.finfo(np.float32).bits, np.finfo(np.float64).eps
    (32, 2.220446049250313e-16)
    """

    def __init__(self, type):
        self._limits = limits = numpy.finfo(_dtype(type))
        self.dtype, self.bits = limits.dtype, limits.bits
        for name in FIELDS:
            setattr(self, name, float(getattr(limits, name)))

    def __getattr__(self, name):
        return getattr(self.__dict__["_limits"], name)

    def __repr__(self):
        return repr(self._limits)
