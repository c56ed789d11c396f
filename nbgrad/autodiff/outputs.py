"""Outputs: results of functions as nodes and nests, and the seeds that belong to them."""

import numpy

from nbgrad import dtypes, trees
from nbgrad.array import Array
from nbgrad.autodiff.arguments import ready, seed
from nbgrad.errors import ArgumentError, DtypeError, GradientError, describe


def collect(nest, found):
    """Append what is in tuples, lists, dicts and other containers to `found`, in the order that they have."""
    if isinstance(nest, (tuple, list)):
        for v in nest:
            collect(v, found)
    elif isinstance(nest, dict):
        for v in nest.values():
            collect(v, found)
    elif trees.is_container(nest):
        for v in trees.flatten(nest)[0]:
            collect(v, found)
    else:
        found.append(nest)


def flatten(out, nodes):
    """Append the nodes of the Arrays in a nest to `nodes`."""
    found = []
    collect(out, found)
    nodes.extend(x._node for x in found if isinstance(x, Array))


def rebuilt(out, arrays):
    """`out` with its Arrays replaced by the next ones of `arrays`."""
    if isinstance(out, Array):
        return next(arrays)
    if isinstance(out, tuple):
        items = [rebuilt(v, arrays) for v in out]
        return type(out)(*items) if hasattr(out, "_fields") else tuple(items)
    if isinstance(out, list):
        return [rebuilt(v, arrays) for v in out]
    if isinstance(out, dict):
        return {k: rebuilt(v, arrays) for k, v in out.items()}
    if trees.is_container(out):
        leaves, structure = trees.flatten(out)
        return trees.unflatten(structure, [rebuilt(v, arrays) for v in leaves])
    return out


def first_output(call, out):
    """The output that is differentiated with has_aux, and how many Arrays it holds."""
    if not isinstance(out, tuple) or len(out) < 2:
        got = f"a tuple of {len(out)}" if isinstance(out, tuple) else f"a {type(out).__name__}"
        raise GradientError(
            f"{call}: with has_aux=True fn must return a tuple of at least two, (value, aux, ...); it returned {got}"
        )
    nodes = []
    flatten(out[0], nodes)
    return out[0], len(nodes)


def nothing(call, fn, out):
    name = getattr(fn, "__name__", type(fn).__name__)
    hint = ""
    if isinstance(out, (int, float, numpy.ndarray, numpy.generic)):
        hint = "; float(), .item() and .numpy() inside fn take values out of the graph"
    return ArgumentError(f"{call}: {name} returned no Array to differentiate but {describe(out)}{hint}")


def floating(nodes, seeds):
    """The nodes that carry gradients, with their seeds."""
    keep = [i for i, n in enumerate(nodes) if dtypes.is_inexact(n.dtype)]
    return [nodes[i] for i in keep], None if seeds is None else [seeds[i] for i in keep]


def check_complex(call, outputs, seeds, holomorphic):
    """A complex output has a direction only by a seed, or if its function is holomorphic."""
    for i, n in enumerate(outputs):
        if n.dtype.kind == "c" and seeds is None and not holomorphic:
            raise DtypeError(
                f"{call}: output {i} is complex, so that it has no gradient of its own; return a real number such as "
                "abs(z) ** 2 or z.real, give a seed with sens_param=True, or say holomorphic=True\n    "
                + describe(n, f"output {i}")
            )


def check_holomorphic(call, outputs, inputs):
    for what, nodes in (("input", inputs), ("output", outputs)):
        for i, n in enumerate(nodes):
            if n.dtype.kind != "c":
                raise DtypeError(
                    f"{call}: with holomorphic=True every input and output must be complex, and {what} {i} has dtype "
                    f"{n.dtype}; cast it with .astype('complex128')\n    {describe(n, f'{what} {i}')}"
                )


def take_sens(call, args, kwargs):
    if "sens" in kwargs:
        return args, kwargs.pop("sens")
    if not args:
        raise ArgumentError(
            f"{call}: with sens_param=True give the seed as keyword sens or as last positional argument"
        )
    return args[:-1], args[-1]


def checked_seeds(call, sens, out, nodes):
    if isinstance(out, Array):
        if isinstance(sens, tuple) and len(sens) == 1:
            sens = sens[0]
        seeds = [sens]
    else:
        seeds = []
        collect(sens, seeds)
        if len(seeds) != len(nodes):
            raise GradientError(
                f"{call}: sens holds {len(seeds)} seed{'s' if len(seeds) != 1 else ''} for {len(nodes)} outputs; give "
                "a tuple with one seed for each"
            )
    found = [seed(call, f"sens[{i}]" if len(seeds) > 1 else "sens", s, y, f"output {i}")
             for i, (s, y) in enumerate(zip(seeds, nodes, strict=True))]  # fmt: skip
    ready(found)
    return found
