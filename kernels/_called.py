"""Elementwise functions that are computed by calls of SciPy between launches, not by a kernel text.

They broadcast and promote like elementwise primitives, but fuse with nothing: for functions whose algorithm would
make a long text, and which are seldom in hot loops.
"""

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.errors import DtypeError, MissingRuleError, ShapeError, describe
from nbgrad.primitive import Primitive, structural


def scipy_special(name):
    """SciPy's function of that name, imported when first called."""

    def function(*xs):
        import scipy.special

        return getattr(scipy.special, name)(*xs)

    function.__name__ = name
    return function


def from_scipy(name):
    """The same in the dtype of its arguments, as the reference of a kernel text."""
    function = scipy_special(name)

    def reference(*xs):
        return numpy.asarray(function(*xs), dtype=numpy.result_type(*xs))

    reference.__name__ = name
    return reference


#: Those of all functions of this kind: elementwise, though their kind is "array".
PRIMITIVES: set = set()


class Called:
    """A function of arrays that broadcast, whose values are computed by NumPy or SciPy.

    Parameters
    ----------
    name : str
        Of the primitive.
    function : callable or str, optional
        ``function(*arrays, **attrs)`` of float64 arrays; a name is one of scipy.special's, by default that of the
        primitive.
    orders : tuple of int
        Positions of the arguments that no derivative is known by: integers stay integers there, and a gradient by
        floats raises MissingRuleError.  The rule returns any cotangent for them.
    letters : tuple of str
        What those arguments are called in the error.
    """

    __slots__ = ("letters", "name", "orders", "primitive")

    def __init__(self, name, function=None, *, orders=(), letters=("order",), doc=None):
        function = scipy_special(function or name) if isinstance(function, str | None) else function
        self.name, self.orders, self.letters = name, orders, dict(zip(orders, letters, strict=False))

        def infer(*xs, **attrs):
            return _shape(name, xs), _dtype(name, xs)

        self.primitive = Primitive(name, "array", reference=_wide(function), infer=infer, cost=500,
                                   doc=doc or function.__doc__, batch="broadcast")  # fmt: skip
        PRIMITIVES.add(self.primitive)

    def __call__(self, *args, **attrs):
        nodes, kinds = [], []
        for k, a in enumerate(args):
            node = None if type(a) in dtypes.WEAK else graph.node_of(a, self.name, f"x{k + 1}")
            nodes.append(a if node is None else node)
            kind = dtypes.WEAK[type(a)] if node is None else node.dtype
            if k not in self.orders or kind == "weak float" or getattr(kind, "kind", "") in ("f", "c"):
                kinds.append(kind)
        dtype = dtypes.promote(kinds) if kinds else dtypes.FLOAT64
        if dtype.kind == "c":
            raise DtypeError(f"{self.name}: got {dtype}, expected real numbers; take x.real, x.imag or abs(x)")
        dtype = dtype if dtype.kind == "f" else dtypes.FLOAT64
        for k, n in enumerate(nodes):
            whole = k in self.orders and (
                type(n) is int or getattr(getattr(n, "dtype", None), "kind", "") in ("i", "u")
            )
            if not isinstance(n, graph.Node):
                nodes[k] = graph.scalar(n, dtypes.INT64 if whole else dtype)
            elif not whole:
                nodes[k] = graph.cast(n, dtype)
                if k in self.orders and n.primitive is not fixed:
                    nodes[k] = graph.structural(fixed, (nodes[k],), {"call": self.name, "argument": self.letters[k]})
        return graph.Array(graph.structural(self.primitive, tuple(nodes), attrs))

    def vjp(self, rule):
        """Declare the VJP, as of any primitive."""
        return self.primitive.vjp(rule)


def _shape(name, xs):
    shape = shapes.broadcast([x.shape for x in xs])
    if shape is None:
        listed = " and ".join(str(x.shape) for x in xs)
        lines = "\n".join("    " + describe(x, f"x{k + 1}") for k, x in enumerate(xs))
        raise ShapeError(f"{name}: shapes {listed} do not broadcast; give them axes of extent 1\n{lines}")
    return shape


def _dtype(name, xs):
    floats = [x.dtype for x in xs if x.dtype.kind in "fc"]
    dtype = numpy.result_type(*floats) if floats else dtypes.FLOAT64
    if dtype.kind == "c":
        raise DtypeError(f"{name}: got {dtype}, expected real numbers; take x.real, x.imag or abs(x)")
    return dtype


def _wide(function):
    """The function computed in float64, whatever dtype comes and goes."""

    def reference(*xs, **attrs):
        xs = [numpy.asarray(x) for x in xs]
        dtype = _dtype(function.__name__, xs)
        with numpy.errstate(all="ignore"):
            y = function(*(x.astype(dtypes.FLOAT64) if x.dtype.kind == "f" else x for x in xs), **attrs)
            return numpy.asarray(y).astype(dtype)

    return reference


@structural("array", reference=lambda x, call, argument: x.copy(), batch="leading")
def fixed(x, *, call, argument):
    """The same value, by which no derivative is known."""
    return x.shape, x.dtype


@fixed.vjp
def fixed_vjp(g, call, argument):
    raise MissingRuleError(
        f"grad of {call}: no derivative by {argument} is implemented; differentiate by the other arguments, or cut the "
        f"path with ng.stop_gradient({argument})"
    )
