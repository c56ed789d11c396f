"""Random programs: functions of arrays whose every decision follows from a seed and from shapes and dtypes.

A `Recipe` is called with Arrays, plain or traced, and does the same steps each time.  `evaluate` is the
plainest meaning of a graph: each node's NumPy reference, in order, nothing simplified and nothing shared.
"""

import numpy

import nbgrad.numpy as nx
from nbgrad import graph
from nbgrad.kernels.casting import identity
from nbgrad.kernels.cumulative import recurrence
from nbgrad.kernels.indexing import put, scatter_add, take
from nbgrad.kernels.shape import add_n, add_slices, embed, set_slice, slice_

#: Extents to draw from; 0 is drawn rarely.
EXTENTS = (1, 1, 2, 3, 4, 5, 6, 12, 17)
#: Elements that an argument has at most.
LARGEST = 2_000_000


def evaluate(nodes):
    """The values of nodes by their references; leaves must have values."""
    values = {}
    with numpy.errstate(all="ignore"):
        for node in graph.topological(nodes, stop=lambda n: n.value is not None):
            if node.value is not None:
                values[node] = node.value
            elif graph.is_constant(node):
                values[node] = numpy.broadcast_to(numpy.array(node.attrs[0], node.dtype), node.shape)
            else:
                result = node.primitive.reference(*[values[i] for i in node.inputs], **dict(node.attrs))
                values[node] = numpy.asarray(result)
                assert values[node].dtype == node.dtype, (
                    f"{node.primitive.name}: {values[node].dtype}, not {node.dtype}"
                )
                assert values[node].shape == node.shape, (
                    f"{node.primitive.name}: {values[node].shape}, not {node.shape}"
                )
    return [values[n] for n in nodes]


class Recipe:
    """A random function of arrays with a fixed number of steps."""

    def __init__(self, seed, steps=None, extents=EXTENTS, empty=0.02):
        self.seed, self.extents, self.empty = seed, extents, empty
        rng = numpy.random.default_rng([seed, 0])
        self.steps = int(rng.integers(8, 30)) if steps is None else steps
        self.log = []

    def inputs(self):
        """Fresh random arguments."""
        rng = numpy.random.default_rng([self.seed, 1])
        made = []
        for _ in range(int(rng.integers(2, 5))):
            shape = self._shape(rng)
            made.append(rng.uniform(-1.5, 1.5, shape).astype(rng.choice(["float64", "float64", "float64", "float32"])))
        made.append(rng.uniform(-1.5, 1.5, self._shape(rng)))
        made.append(rng.integers(-9, 9, self._shape(rng)).astype(rng.choice(["int64", "int32", "uint8", "int8"])))
        return made

    def _shape(self, rng):
        rank = int(rng.integers(0, 4))
        shape = tuple(int(n) for n in rng.choice(self.extents, rank))
        while numpy.prod(shape, dtype=int) > LARGEST:
            shape = shape[1:]
        if shape and rng.random() < self.empty:
            shape = (0, *shape[1:])
        return shape

    def __call__(self, *xs):
        """A tuple of results, all of which depend on the steps; some are inputs, constants or repeated."""
        rng = numpy.random.default_rng([self.seed, 2])
        self.log = []
        values = list(xs)
        for _ in range(self.steps):
            step = STEPS[int(rng.integers(len(STEPS)))]
            made = step(rng, values)
            if made is not None and made.size < 200_000:
                values.append(made)
                self.log.append((step.__name__, made.shape, str(made.dtype)))
        picked = [values[int(i)] for i in rng.integers(len(xs), len(values), 4)] if len(values) > len(xs) else []
        picked.append(values[-1])
        if rng.random() < 0.3:
            picked.append(xs[int(rng.integers(len(xs)))])
        if rng.random() < 0.3:
            picked.append(picked[0])
        return tuple(picked)


def _pick(rng, values, kinds="f", test=lambda v: True):
    """A recent value of a kind, or None."""
    fitting = [v for v in values if v.dtype.kind in kinds and test(v)]
    if not fitting:
        return None
    if rng.random() < 0.6:
        fitting = fitting[-4:]
    return fitting[int(rng.integers(len(fitting)))]


def _partner(rng, values, x, kinds="f"):
    """A value that broadcasts with x, often x itself in another form."""
    return _pick(rng, values, kinds, lambda v: nx_broadcast(v.shape, x.shape))


def nx_broadcast(a, b):
    """Whether two shapes broadcast, to something not too large."""
    try:
        return numpy.prod(numpy.broadcast_shapes(a, b), dtype=int) < 100_000
    except ValueError:
        return False


def unary(rng, values):
    x = _pick(rng, values)
    if x is None:
        return None
    choices = (
        nx.tanh, nx.sin, nx.abs, nx.negative, lambda x: nx.exp(-nx.abs(x)), lambda x: nx.sqrt(nx.abs(x) + 1),
        lambda x: nx.square(x) * 0.25, nx.logistic, nx.sign, nx.positive, identity, lambda x: x * 1, lambda x: x - 0.0,
        lambda x: x / 1, lambda x: nx.negative(nx.negative(x)),
        lambda x: nx.log1p(nx.abs(x)), lambda x: x + 0.0, lambda x: x * 0.5 + 0.25,
        nx.arctan, nx.stop_gradient, lambda x: 1.0 - x, lambda x: x**3 * 0.1,
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))](x)


def binary(rng, values):
    x = _pick(rng, values)
    y = None if x is None else _partner(rng, values, x)
    if y is None:
        return None
    choices = (
        nx.add, nx.subtract, lambda x, y: x * y * 0.5, nx.maximum, nx.minimum, lambda x, y: x / (2 + nx.abs(y)),
        lambda x, y: nx.where(x > y, x, y * 0.5), lambda x, y: nx.where(x <= y, 0.0, y), nx.copysign,
        lambda x, y: nx.clip(x, -0.5, nx.abs(y)), nx.hypot, lambda x, y: x + y + x - y * 2,
        lambda x, y: nx.tanh(x) * nx.tanh(y),
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))](x, y)


def long_chain(rng, values):
    x = _pick(rng, values)
    if x is None or rng.random() < 0.7:
        return None
    for _ in range(int(rng.integers(20, 60))):
        x = nx.abs(x) + 0.25 * x
        x = x - nx.square(x) * 0.125
    return nx.tanh(x)


def comparison(rng, values):
    x = _pick(rng, values, "fiu")
    y = None if x is None else _partner(rng, values, x, "fiu")
    if y is None:
        return None
    choices = (nx.less, nx.less_equal, nx.greater, nx.greater_equal, nx.equal, nx.not_equal)
    return choices[int(rng.integers(len(choices)))](x, y)


def logic(rng, values):
    x = _pick(rng, values, "b")
    y = None if x is None else _partner(rng, values, x, "b")
    if y is None:
        return None
    choices = (
        nx.logical_and, nx.logical_or, nx.logical_xor, lambda x, y: nx.logical_not(x), lambda x, y: x & ~y,
        lambda x, y: x + y, lambda x, y: x * y, nx.maximum, nx.equal, nx.bitwise_xor,
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))](x, y)


def integer(rng, values):
    x = _pick(rng, values, "iu")
    y = None if x is None else _partner(rng, values, x, "iu")
    if y is None:
        return None
    choices = (
        nx.add, nx.subtract, nx.multiply, nx.maximum, nx.minimum, nx.bitwise_and, nx.bitwise_or, lambda x, y: x * 3 + 1,
        nx.floor_divide, nx.remainder, lambda x, y: nx.where(x > y, x, y), lambda x, y: nx.abs(x), lambda x, y: -x,
        lambda x, y: nx.square(x), lambda x, y: x >> 1, lambda x, y: nx.sign(x), lambda x, y: nx.clip(x, 1, 5),
        lambda x, y: x / 4, lambda x, y: x * 0.25, lambda x, y: ~x,
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))](x, y)


def cast(rng, values):
    x = _pick(rng, values, "fiub")
    if x is None:
        return None
    if x.dtype.kind == "f":
        target = ("float64", "float32", "int64", "int32", "bool")[int(rng.integers(5))]
        return (nx.clip(x, -99, 99) * 7 + 0.125 if target.startswith("int") else x).astype(target)
    return x.astype(("float64", "float32", "int64", "int16", "uint8", "bool")[int(rng.integers(6))])


def transpose(rng, values):
    x = _pick(rng, values, "fiub", lambda v: v.ndim >= 2)
    return None if x is None else nx.transpose(x, tuple(int(a) for a in rng.permutation(x.ndim)))


def reshape(rng, values):
    x = _pick(rng, values, "fiub", lambda v: v.size > 1)
    if x is None:
        return None
    shape, rest = [], x.size
    for p in (2, 2, 3, 5, 17):
        if rest % p == 0 and rng.random() < 0.6:
            shape.append(p)
            rest //= p
    shape.insert(int(rng.integers(len(shape) + 1)), rest)
    if rng.random() < 0.3:
        shape.insert(int(rng.integers(len(shape) + 1)), 1)
    return nx.reshape(x, tuple(shape))


def _random_slices(rng, shape):
    items = []
    for n in shape:
        step = int(rng.choice([1, 1, 1, 2, 3, -1, -1, -2]))
        low, high = sorted(int(v) for v in rng.integers(0, n + 1, 2))
        if rng.random() < 0.4:
            low, high = 0, n
        items.append(
            slice(low, high, step) if step > 0 else slice(high - 1 if high else None, low - 1 if low else None, step)
        )
    return tuple(items)


def slicing(rng, values):
    x = _pick(rng, values, "fiub", lambda v: v.ndim)
    if x is None:
        return None
    if rng.random() < 0.2:
        return x[int(rng.integers(-x.shape[0], x.shape[0]))] if x.shape[0] else None
    return x[_random_slices(rng, x.shape)]


def broadcasting(rng, values):
    x = _pick(rng, values, "fiub")
    if x is None:
        return None
    shape = tuple(int(rng.integers(2, 5)) if n == 1 else n for n in x.shape)
    if rng.random() < 0.5:
        shape = (int(rng.integers(1, 4)), *shape)
    return nx.broadcast_to(x, shape)


def new_axis(rng, values):
    x = _pick(rng, values, "fiub", lambda v: v.ndim < 4)
    return None if x is None else nx.expand_dims(x, int(rng.integers(x.ndim + 1)))


def reduction(rng, values):
    x = _pick(rng, values, "f", lambda v: v.size)
    if x is None:
        return None
    axes = tuple(i for i in range(x.ndim) if rng.random() < 0.5)
    axes = None if rng.random() < 0.2 else axes
    keep = bool(rng.random() < 0.4)
    if axes == ():
        axes = None
    kind = int(rng.integers(7))
    if kind == 0:
        return nx.sum(x, axis=axes, keepdims=keep) * 0.1
    if kind == 1:
        return nx.max(x, axis=axes, keepdims=keep)
    if kind == 2:
        return nx.min(x, axis=axes, keepdims=keep)
    if kind == 3:
        return nx.prod(1 + 0.01 * nx.tanh(x), axis=axes, keepdims=keep)
    if kind == 4:
        return nx.mean(x, axis=axes, keepdims=keep)
    if kind == 5:
        return x - nx.max(x, axis=axes, keepdims=True)
    return nx.tanh(x) / (1 + nx.sum(nx.exp(-nx.abs(x)), axis=axes, keepdims=True))


def twin_reductions(rng, values):
    x = _pick(rng, values, "f", lambda v: v.size and v.ndim)
    if x is None:
        return None
    y = nx.tanh(x)
    rows, columns = nx.sum(y, axis=0, keepdims=True), nx.sum(y, axis=-1, keepdims=True)
    return (y * rows + columns) * 0.1


def exact_reduction(rng, values):
    x = _pick(rng, values, "iub", lambda v: v.size)
    if x is None:
        return None
    axes = tuple(i for i in range(x.ndim) if rng.random() < 0.5) or None
    return (nx.sum, nx.max, nx.min, nx.any, nx.all, nx.prod)[int(rng.integers(6))](x, axis=axes)


def along_axis(rng, values):
    x = _pick(rng, values, "f", lambda v: v.ndim and v.size)
    if x is None:
        return None
    axis = int(rng.integers(x.ndim))
    kind = int(rng.integers(6))
    if kind == 0:
        return nx.cumsum(x, axis=axis) * 0.1
    if kind == 1:
        return nx.cumprod(1 + 0.01 * nx.tanh(x), axis=axis)
    if kind == 2:
        return nx.argmax(x, axis=axis)
    if kind == 3:
        return nx.argmin(x, axis=axis)
    if kind == 4:
        return recurrence(nx.tanh(x), x * 0.5, axis=axis)
    return nx.flip(x, axis)


def joining(rng, values):
    x = _pick(rng, values, "f", lambda v: v.ndim)
    if x is None:
        return None
    axis = int(rng.integers(x.ndim))
    others = [v for v in values if v.dtype == x.dtype and v.ndim == x.ndim
              and all(a == b for i, (a, b) in enumerate(zip(v.shape, x.shape, strict=True)) if i != axis)]  # fmt: skip
    y = others[int(rng.integers(len(others)))]
    return nx.concatenate([x, y * 0.5, nx.flip(x, axis)][: int(rng.integers(2, 4))], axis=axis)


def writing(rng, values):
    x = _pick(rng, values, "f", lambda v: v.ndim)
    if x is None:
        return None
    where = _random_slices(rng, x.shape)
    part = x[where]
    kind = int(rng.integers(4))
    if kind == 3:
        return nx.pad(part, [(int(rng.integers(3)), int(rng.integers(3))) for _ in part.shape])
    y = x.copy()
    if kind == 0:
        y[where] = 0.25
    elif kind == 1:
        y[where] += nx.tanh(part)
    else:
        y[where] = nx.flip(part, 0) * 0.5
    return y


def structural(rng, values):
    x = _pick(rng, values, "f", lambda v: v.ndim and v.size)
    if x is None:
        return None
    spec = tuple((0, 1, n) if rng.random() < 0.5 else (n - 1, -1, n) for n in x.shape)
    part = slice_(x, spec=spec)
    kind = int(rng.integers(4))
    if kind == 0:
        return embed(part, shape=tuple(n + 2 for n in x.shape), spec=tuple((1, 1, n) for n in x.shape))
    if kind == 1:
        return add_slices(x, part, nx.tanh(x), specs=(spec, spec))
    if kind == 2:
        return add_n(x, part, part)
    return set_slice(x, part * 2, spec=spec)


def gathering(rng, values):
    x = _pick(rng, values, "f", lambda v: v.ndim and v.size)
    if x is None:
        return None
    axis = int(rng.integers(x.ndim))
    index = rng.integers(0, x.shape[axis], tuple(int(n) for n in rng.integers(1, 4, int(rng.integers(1, 3)))))
    kind = int(rng.integers(3))
    if kind == 0:
        return take(x, index, axis=axis)
    v = take(nx.tanh(x), index, axis=axis)
    return scatter_add(x, index, v, axis=axis) if kind == 1 else put(x, index, v, axis=axis)


def product(rng, values):
    x = _pick(rng, values, "f", lambda v: v.ndim >= 1 and v.size)
    if x is None:
        return None
    kind = int(rng.integers(5))
    n = x.shape[-1]
    if kind == 0 or x.ndim == 1:
        return nx.matmul(x, nx.ones((n, 3), x.dtype) * 0.5) / n
    if kind == 1:
        return nx.matmul(x, nx.swapaxes(x, -1, -2)) / n
    if kind == 2:
        return nx.matmul(nx.swapaxes(x, -1, -2), nx.tanh(x)) / x.shape[-2]
    if kind == 3:
        return nx.matmul(x[..., ::-1], nx.swapaxes(x, -1, -2)) / n
    return nx.matmul(nx.tanh(x), nx.sum(x, axis=-2)[..., None]) / n


def constants(rng, values):
    x = _pick(rng, values)
    if x is None:
        return None
    choices = (
        lambda x: nx.ones_like(x), lambda x: nx.zeros_like(x) * x + 2, lambda x: x * nx.full(x.shape, 0.5, x.dtype),
        lambda x: nx.ones_like(x) + nx.ones_like(x), lambda x: nx.zeros_like(x) - 0.0,
        lambda x: x * nx.ones((2, *x.shape), x.dtype),
        lambda x: nx.where(True, x, 0.0), lambda x: nx.maximum(x, 0), lambda x: x + numpy.float32(0.5),
        lambda x: nx.sum(nx.ones_like(x)) * x * 0.01, lambda x: x + nx.exp(nx.zeros_like(x)),
    )  # fmt: skip
    return choices[int(rng.integers(len(choices)))](x)


STEPS = (
    unary, unary, unary, binary, binary, binary, binary, comparison, logic, integer, integer, cast, transpose,
    transpose, reshape, reshape, slicing, slicing, broadcasting, new_axis, reduction, reduction, reduction,
    twin_reductions, exact_reduction, along_axis, joining, writing, structural, gathering, product, constants,
    long_chain,
)  # fmt: skip
