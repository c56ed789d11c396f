"""Public error classes, and how an Array is shown in one line of an error."""

from numpy.linalg import LinAlgError


class NbgradError(Exception):
    """Base of every error nbgrad raises on purpose."""


class ShapeError(NbgradError, ValueError):
    """Shapes do not fit: broadcasting, axes, reshapes, seeds."""


class AxisError(ShapeError, IndexError):
    """An axis that the array does not have."""


class MatrixShapeError(ShapeError, LinAlgError):
    """Matrices that are not square where they have to be, or arrays that are no matrices."""


class DtypeError(NbgradError, TypeError):
    """A dtype that the call does not take."""


class DeviceError(NbgradError, ValueError):
    """A device that does not exist here, or arrays on different devices."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device has no memory left for an array."""


class HostFallbackWarning(UserWarning):
    """A primitive has no kernel for a device: its operands go to the host and its result comes back."""


class GradientError(NbgradError, ValueError):
    """A gradient call whose arguments make no sense together."""


class ArgumentError(NbgradError, TypeError):
    """An argument of the wrong kind."""


class OptionError(ArgumentError, ValueError):
    """An argument that is none of the choices there are."""


class MissingRuleError(NbgradError, LookupError):
    """A gradient was asked for through a primitive without a VJP."""


class HistoryError(NbgradError, RuntimeError):
    """The path from y to x was dropped when a value on it was read."""


class MissingGradientError(NbgradError, RuntimeError):
    """`get_grad` was asked for a gradient that the result does not hold."""


class TracedValueError(NbgradError, RuntimeError):
    """The value of an abstract array was asked for while ``jit`` traces."""


class MissingToolError(NbgradError, RuntimeError):
    """A package or a program that a call needs, and nothing else does, is not installed."""


class RankError(NbgradError, RuntimeError):
    """A process of several failed, ended, or did not come to an operation that others wait in."""


class RankMismatchError(RankError, ShapeError):
    """Processes called different operations together, or with arrays of different shapes or dtypes."""


class ShardError(NbgradError, RuntimeError):
    """The function of `nbgrad.parallel.map_grad` failed on one of its shards."""


class NonFiniteError(NbgradError, FloatingPointError):
    """A nan or an inf was made while `nbgrad.debug.nans` looks out for them.

    Attributes
    ----------
    operation : str
        The primitive that made it; None where an input held it.
    backward_of : str or None
        The primitive whose derivative was being computed.
    where : str
        The user's line, as ``file.py:12``: that of the forward operation.
    index : tuple of int
        Where the first one is in the result.
    count : int
        How many there are.
    """

    operation = backward_of = index = None
    count, where = 0, ""


class KernelError(NbgradError, TypeError):
    """A kernel that Numba could not compile."""


def describe(x, name=None):
    """One line on what `x` is: dtype, shape, and the user's line it was made at.

    >>> import numpy
    >>> describe(numpy.zeros((3, 4)), "x1")
    'x1: NumPy array float64[3, 4]'
    """
    node = x if hasattr(x, "primitive") else getattr(x, "_node", None)
    if node is not None:
        text = f"{node.dtype}[{', '.join(map(str, node.shape))}]"
        where = site_text(node.site)
        text += f"  made at {where}" if where else ""
    elif hasattr(x, "dtype") and hasattr(x, "shape"):
        text = f"NumPy array {x.dtype}[{', '.join(map(str, x.shape))}]"
    else:
        shown = repr(x)
        text = f"{type(x).__name__} {shown if len(shown) < 60 else shown[:57] + '...'}"
    return f"{name}: {text}" if name else text


def site_text(site):
    """``file.py:12`` of a recorded (code, instruction offset) pair; '' for None."""
    if site is None:
        return ""
    code, lasti = site
    line = code.co_firstlineno
    for start, stop, number in code.co_lines():
        if start <= lasti < stop and number is not None:
            line = number
            break
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{line}"
