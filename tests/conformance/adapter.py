"""The names that recorded cases use, on nbgrad."""

import numpy

import nbgrad as ng
import nbgrad.numpy as xp
from nbgrad.kernels import casting, exponential, roots, special


class Cell:
    """A function with Parameters as attributes."""

    def __call__(self, *args, **kwargs):
        return self.construct(*args, **kwargs)

    def trainable_params(self):
        """Parameters in order of assignment, those of child cells included."""
        found = []
        for value in vars(self).values():
            if isinstance(value, ng.Parameter):
                found.append(value)
            elif isinstance(value, Cell):
                found += value.trainable_params()
        return found


def constant(value, dtype="float32"):
    return ng.asarray(numpy.array(value, dtype))


def variable(value, dtype="float32"):
    return ng.Parameter(numpy.array(value, dtype), name="variable")


def parameter(value, name, dtype="float32"):
    return ng.Parameter(numpy.array(value, dtype), name=name)


def _axis(axis):
    return tuple(axis) if isinstance(axis, list) else axis


def _reduction(function):
    return lambda x, axis=None, keepdims=False: function(x, axis=_axis(axis), keepdims=keepdims)


def _while_loop(condition, body, variables):
    while condition(*variables):
        variables = body(*variables)
    return variables


_OURS = (
    *("gradients", "AggregationMethod", "UnconnectedGradients", "grad", "value_and_grad", "get_grad"),
    *("jvp", "vjp", "jacrev", "jacfwd"),
)
_SAME = (
    *("exp", "log", "log1p", "expm1", "square", "sqrt", "abs", "sign", "floor", "maximum", "minimum"),
    *("sin", "cos", "tan", "tanh", "sinh", "cosh", "softmax", "log_softmax", "cumsum", "cumprod"),
    *("zeros_like", "ones_like", "matmul", "einsum", "where", "reshape", "expand_dims", "squeeze"),
    *("broadcast_to", "tile", "pad", "flip", "stack", "split"),
)

NAMES = {
    **{name: getattr(xp, name) for name in _SAME},
    **{f"reduce_{name}": _reduction(getattr(xp, name)) for name in ("sum", "mean", "max", "min", "prod")},
    "logsumexp": lambda x, axis, keepdims=False: xp.logsumexp(x, axis=axis, keepdims=keepdims),
    "atan": xp.arctan,
    "power": xp.power,
    "rsqrt": lambda x: roots.reciprocal(roots.sqrt(x)),
    "erf": special.erf,
    "sigmoid": exponential.logistic,
    "softplus": exponential.softplus,
    "relu": lambda x: xp.where(x > 0, x, 0.0),
    "clip": xp.clip,
    "cast": lambda x, dtype: xp.astype(x, dtype),
    "identity": casting.identity,
    "stop_gradient": casting.stop_gradient,
    "argmax": lambda x, axis=None: xp.argmax(x, axis=axis),
    "transpose": lambda x, axes=None: xp.transpose(x, None if axes is None else tuple(axes)),
    "concat": lambda xs, axis=0: xp.concatenate(xs, axis),
    "take": lambda x, ids, axis=0: xp.take(x, ids, axis=axis),
    "take_along_axis": lambda x, ids, axis: xp.take_along_axis(x, ids, axis),
    "conv2d": xp.conv2d,
    "cond": lambda predicate, true_fn, false_fn: true_fn() if predicate else false_fn(),
    "while_loop": _while_loop,
    "constant": constant,
    "variable": variable,
    "Parameter": parameter,
    "ParameterTuple": ng.ParameterTuple,
    "Cell": Cell,
    **{name: getattr(ng, name) for name in _OURS},
}


def make(spec, value):
    """An input of a case."""
    if spec["kind"] == "variable":
        return variable(value, value.dtype)
    if spec["kind"] == "parameter":
        return parameter(value, spec["name"], value.dtype)
    return constant(value, value.dtype)


def settle(tree):
    """The tree with NumPy arrays for Arrays."""
    if isinstance(tree, ng.Array):
        return tree.numpy()
    if isinstance(tree, (list, tuple)):
        return type(tree)(settle(v) for v in tree)
    if isinstance(tree, dict):
        return {key: settle(value) for key, value in tree.items()}
    return tree
