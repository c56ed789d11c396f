"""Which primitive each Python operator means: one table, read once when `Array` is defined."""

from nbgrad import graph
from nbgrad.graph import applied
from nbgrad.kernels import arithmetic as a
from nbgrad.kernels import comparison as c
from nbgrad.kernels import exponential, roots

BINARY = {
    "add": a.add,
    "sub": a.subtract,
    "mul": a.multiply,
    "truediv": a.divide,
    "floordiv": a.floor_divide,
    "mod": a.remainder,
    "and": c.bitwise_and,
    "or": c.bitwise_or,
    "xor": c.bitwise_xor,
    "lshift": c.left_shift,
    "rshift": c.right_shift,
}
COMPARISON = {
    "eq": c.equal, "ne": c.not_equal, "lt": c.less, "le": c.less_equal, "gt": c.greater, "ge": c.greater_equal,
}  # fmt: skip
UNARY = {"neg": a.negative, "pos": a.positive, "abs": a.absolute, "invert": c.invert}


def install(cls):
    """Give an Array class its operators."""
    for name, primitive in BINARY.items():
        setattr(cls, f"__{name}__", _binary(primitive, f"__{name}__"))
        setattr(cls, f"__r{name}__", _reflected(primitive, f"__r{name}__"))
    for name, primitive in COMPARISON.items():
        setattr(cls, f"__{name}__", _binary(primitive, f"__{name}__"))
    for name, primitive in UNARY.items():
        setattr(cls, f"__{name}__", _unary(primitive, f"__{name}__"))
    cls.__pow__ = lambda self, other: power(self, other)
    cls.__rpow__ = lambda self, other: power(other, self)
    for name in (*BINARY, "pow", "matmul"):
        setattr(cls, f"__i{name}__", _in_place(getattr(cls, f"__{name}__"), name))
    cls.__hash__ = None
    return cls


def _in_place(operator, name):
    """``a += b`` and friends, as NumPy does it: `a`, under all its names, becomes the result in the dtype of `a`.

    Of a `Parameter`, and other subclasses, they make a new Array.
    """

    def method(self, other):
        result = operator(self, other)
        if type(self) is not graph.Array or result is NotImplemented:
            return result
        if result._node.dtype is not self._node.dtype or result._node.shape != self._node.shape:
            from nbgrad.numpy._out import fitted

            result = fitted(f"a {SYMBOLS[name]}= b", result, self)
        self._node = result._node
        return self

    method.__name__ = f"__i{name}__"
    return method


#: How operators are written.
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "and": "&", "or": "|",
           "xor": "^", "lshift": "<<", "rshift": ">>", "pow": "**", "matmul": "@"}  # fmt: skip


def power(x1, x2):
    """x1 ** x2, with the exponents NumPy treats as other functions made those functions.

    A number of that set is structure: x ** 2 and x ** 3 are different programs, x ** 2.5 and x ** 2.6 one.
    """
    if type(x2) in (int, float) and isinstance(x1, graph.Array):
        if x2 == 2:
            return roots.square(x1)
        if x1._node.dtype.kind in "fc":
            if x2 == 1:
                return a.positive(x1)
            if x2 == 0.5:
                return roots.sqrt(x1)
            if x2 == -1:
                return roots.reciprocal(x1)
            if x2 == int(x2) and 0 < x2 <= 8:
                return _integer_power(x1, int(x2))
        elif type(x2) is int and x2 < 0:
            raise graph.ArgumentError("power: integers to negative integer powers are not allowed; cast x1 to float64")
    return exponential.power(x1, x2)


def _integer_power(x, n):
    if n == 1:
        return x
    half = _integer_power(x, n // 2)
    return roots.square(half) * x if n % 2 else roots.square(half)


def _binary(primitive, name):
    boolean = primitive.result == "bool"
    plain = primitive.domain != "float" and primitive.domain != "integer"
    numeric = primitive.domain != "integer"

    result = _BOOL if boolean else None

    def method(self, other):
        if type(other) is type(self):  # the fast path: same dtype
            x1, x2 = self._node, other._node
            dtype = x1.dtype
            kind = dtype.kind
            if dtype is x2.dtype and (
                (kind == "f" and numeric) or (plain and kind != "b" and (kind != "c" or primitive.of_complex))
            ):
                made = graph.paired(primitive, x1, x2, result)
                if made is not None:
                    return made
        elif type(other) in _NUMBERS:
            x1 = self._node
            dtype = x1.dtype
            if dtype.kind == "f" and numeric:
                inputs = x1, graph.scalar(other, dtype)
                return graph.Array(applied(primitive, inputs, (), x1.shape, result or dtype))
        elif other is None or isinstance(other, (str, dict)):
            return NotImplemented
        return graph.elementwise(primitive, (self, other))

    method.__name__ = name
    return method


def _reflected(primitive, name):
    numeric = primitive.domain != "integer"

    def method(self, other):
        if type(other) in _NUMBERS:
            x2 = self._node
            if x2.dtype.kind == "f" and numeric:
                inputs = graph.scalar(other, x2.dtype), x2
                return graph.Array(applied(primitive, inputs, (), x2.shape, x2.dtype))
        if other is None or isinstance(other, (str, dict)):
            return NotImplemented
        return graph.elementwise(primitive, (other, self))

    method.__name__ = name
    return method


def _unary(primitive, name):
    def method(self):
        return graph.apply(primitive, (self,), None)

    method.__name__ = name
    return method


_BOOL = graph.dtypes.BOOL
_NUMBERS = frozenset((float, int))
