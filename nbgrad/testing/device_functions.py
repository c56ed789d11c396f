"""Device functions executed on the CPU: their NVVM IR with NVIDIA's libdevice, as `nbgrad.testing.cuda` does it."""

import ctypes

import numpy

from nbgrad.testing.cuda import executable

_TYPES = {"float64": "double", "float32": "float"}


class OnCPU:
    """A device function as a function of NumPy arrays, called element by element.

    Parameters
    ----------
    function : nbgrad.compile.cuda.device_function.DeviceFunction

    Raises
    ------
    KernelError
        Where the IR uses what has no counterpart on a CPU.

    Examples
    --------
    >>> import nbgrad as ng
    >>> from nbgrad.testing.device_functions import OnCPU
    >>> (slope,) = OnCPU(ng.cuda.device_function(ng.grad(lambda x: x * x), 1.0))([1.0, 2.5])
    >>> slope
    array([2., 5.])
    """

    def __init__(self, function):
        self._function = function
        self._engine = executable(function.ir, _loop(function), ("nbgrad_each",))
        count = len(function.parameters) + len(function.results)
        shape = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * count)
        self._each = shape(self._engine.get_function_address("nbgrad_each"))

    def __call__(self, *arguments):
        """A list with an array for each result; arguments are broadcast."""
        f = self._function
        given = [numpy.asarray(a, p) for a, p in zip(arguments, f.parameters, strict=True)]
        given = [numpy.ascontiguousarray(a) for a in numpy.broadcast_arrays(*given)]
        made = [numpy.empty(given[0].shape, r) for r in f.results]
        self._each(given[0].size, *(a.ctypes.data for a in (*given, *made)))
        return made


def _type(name):
    return _TYPES.get(name) or ("i8" if name == "bool" else "i" + name.lstrip("uint"))


def _loop(function):
    """LLVM IR of ``void nbgrad_each(count, pointers to arguments and results)``."""
    takes, gives = [_type(p) for p in function.parameters], [_type(r) for r in function.results]
    returned = gives[0]
    if len(gives) > 1:
        returned = f"[{len(gives)} x {gives[0]}]" if len(set(gives)) == 1 else f"{{{', '.join(gives)}}}"
    pointers = [f"ptr %x{k}" for k in range(len(takes))] + [f"ptr %y{k}" for k in range(len(gives))]
    lines = [
        f'declare {returned} @"{function.symbol}"({", ".join(takes)})',
        f"define void @nbgrad_each(i64 %count, {', '.join(pointers)}) {{",
        "entry:", "  br label %loop", "loop:", "  %i = phi i64 [ 0, %entry ], [ %next, %do ]",
        "  %more = icmp slt i64 %i, %count", "  br i1 %more, label %do, label %done", "do:",
    ]  # fmt: skip
    for k, ty in enumerate(takes):
        lines += [f"  %p{k} = getelementptr {ty}, ptr %x{k}, i64 %i", f"  %a{k} = load {ty}, ptr %p{k}"]
    values = ", ".join(f"{ty} %a{k}" for k, ty in enumerate(takes))
    lines.append(f'  %r = call {returned} @"{function.symbol}"({values})')
    for k, ty in enumerate(gives):
        value = "%r"
        if len(gives) > 1:
            value = f"%r{k}"
            lines.append(f"  {value} = extractvalue {returned} %r, {k}")
        lines += [f"  %q{k} = getelementptr {ty}, ptr %y{k}, i64 %i", f"  store {ty} {value}, ptr %q{k}"]
    return "\n".join([*lines, "  %next = add i64 %i, 1", "  br label %loop", "done:", "  ret void", "}"])
