"""Where values are: in the memory of the host, or of a CUDA device.

A node's value is an ndarray on the host and a `nbgrad.runtime.cuda.array.DeviceArray` on a device.  Nothing of a device
is imported before one is asked for; until then `used` is False, and nobody looks where a value is.
"""

import sys

import numpy

from nbgrad import graph
from nbgrad.errors import DeviceError, describe

graph.devices = sys.modules[__name__]

#: Whether any value of this process may be on a device.
used = False

#: How firmly a value is in its place: a number of the host goes anywhere, one of a device prefers to stay there.
ANYWHERE, RATHER, THERE = 0, 1, 2


def find(call, device):
    """The `Device` that ``"cuda"`` or ``"cuda:<n>"`` names; None for the host."""
    if device is None or device == "cpu":
        return None
    from_object = getattr(device, "ordinal", None)
    name = f"cuda:{from_object}" if from_object is not None else device
    head, _, number = name.partition(":") if isinstance(name, str) else ("", "", "")
    if head != "cuda" or (number and not number.isdecimal()) or name == "cuda:":
        raise DeviceError(f"{call}: device {device!r} is not one, expected 'cpu', 'cuda' or 'cuda:<number>'")
    from nbgrad.runtime.cuda import device as cuda

    return cuda.get(call, int(number or 0))


def of(value):
    """The `Device` that a value is on; None for the host."""
    return None if isinstance(value, numpy.ndarray) else value.device


def on_host(value):
    """The ndarray with a value; waits for a device."""
    return value if isinstance(value, numpy.ndarray) else value.host()


def foreign(x):
    """A value for an object of another library whose memory is on a device, which is kept alive; None for others."""
    kind = type(x)
    if not hasattr(kind, "__cuda_array_interface__") and not hasattr(kind, "__dlpack_device__"):
        if not hasattr(x, "__cuda_array_interface__"):
            return None
    elif isinstance(x, (numpy.ndarray, numpy.generic)):
        return None
    from nbgrad.runtime.cuda import exchange

    return exchange.imported(x)


def name(node):
    """The name of the device that a node's value is or will be on."""
    if not used:
        return "cpu"
    place = of(node.value) if node.value is not None else places([node])[node][1]
    return str(place or "cpu")


def _of_leaf(node):
    """(how firmly, device) of a leaf."""
    value = node.value
    place = node.fact("device") if value is None else of(value)
    if node.shape == ():
        return (RATHER if place else ANYWHERE), place
    return (ANYWHERE if place is None and node.fact("table") else THERE), place


def common(leaves, outputs):
    """The device on which a graph is computed, None for the host.

    It is that of its arrays.  Numbers, and the tables that rules make, go wherever they are needed.

    Raises
    ------
    DeviceError
        For arrays on different devices.
    """
    found = ANYWHERE, None
    for node in leaves:
        firm, place = _of_leaf(node)
        if firm == found[0] == THERE and place is not found[1]:
            raise _apart(outputs)
        if firm > found[0]:
            found = firm, place
    return found[1]


def places(outputs):
    """Node -> (how firmly, device), for all that `outputs` are computed from.

    Raises
    ------
    DeviceError
        For an operation on arrays of different devices.
    """
    found = {}
    for node in graph.topological(outputs, stop=lambda n: n.value is not None):
        if node.value is not None or (node.primitive is None and not node.inputs):
            found[node] = _of_leaf(node)
            continue
        first = ANYWHERE, None
        for x in node.inputs:
            here = found[x]
            if here[0] == first[0] == THERE and here[1] is not first[1]:
                raise _mixed(node, found)
            if here[0] > first[0]:
                first = here
        found[node] = first
    return found


def apart(nodes):
    """The nodes in one list for each device that they are computed on."""
    found, lists = places(nodes), {}
    for node in nodes:
        firm, place = found[node]
        lists.setdefault(place if firm else None, []).append(node)
    return list(lists.values())


def _mixed(node, found):
    """The error for an operation on arrays of different devices."""
    names = ["x"] if len(node.inputs) == 1 else [f"x{i + 1}" for i in range(len(node.inputs))]
    firm = [(n, x) for n, x in zip(names, node.inputs, strict=True) if found[x][0] == THERE]
    lines = "\n".join(f"    {describe(x, n)}  on {found[x][1] or 'cpu'}" for n, x in firm)
    target = next(str(found[x][1]) for _, x in firm if found[x][1] is not None)
    moved = next(n for n, x in firm if str(found[x][1]) != target)
    call = f"{node.primitive.name}({', '.join(names)})"
    return DeviceError(
        f"{call}: the arrays are on different devices.\n{lines}\nMove one of them: {moved}.to({target!r})"
    )


def _apart(outputs):
    """The error for arrays on different devices in one program: an operation on both, or results on different ones."""
    try:
        found = places(outputs)
    except DeviceError as error:
        return error
    lines = "\n".join(f"    {describe(y, f'result {i}')}  on {found[y][1] or 'cpu'}" for i, y in enumerate(outputs))
    return DeviceError(
        "what is computed at once is computed on one device, but its arrays are on different ones.\n"
        f"{lines}\nMove them to one device before the call: x.to('cuda:0')"
    )
