"""NumPy functions on Arrays."""
from nbgrad.kernels.reduction import sum as _sum
from nbgrad import shapes
def sum(x, axis=None, keepdims=False):
    return _sum(x, axes=shapes.axes("sum", axis, len(x.shape)))
