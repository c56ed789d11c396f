"""ROWS: what every primitive should compute, where to sample it, and what its derivative is.

Rows are data: tests, benchmarks and documentation read them.  Oracles are others' work (mpmath, math, plain
loops), never the reference that a primitive was declared with.  Oracles of elementwise primitives take
Python or mpmath numbers, so derivatives are differences taken with fifty digits.
"""

import bisect
import dataclasses
import itertools
import math
import operator
from collections.abc import Callable

import mpmath
import numpy

from nbgrad.primitive import primitives

from .special_rows import CALLED, COMPILED, POLYNOMIALS

mpmath.mp.dps = 50

FLOATS = ("float64", "float32")
INTEGERS = ("int64", "int32", "int8", "uint8", "uint64")
NUMBERS = (*FLOATS, *INTEGERS)
ANY = (*NUMBERS, "bool")
WHOLE = (*INTEGERS, "bool")
DOUBLE = numpy.dtype("float64")


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """Arguments of a primitive that works on whole arrays.

    `shapes` has one shape per input, `attrs` the attributes; input k in `indices` holds integers below indices[k].
    """

    shapes: tuple
    attrs: dict = dataclasses.field(default_factory=dict)
    indices: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One primitive.

    Attributes
    ----------
    name : str
    oracle : callable
        Of numbers for elementwise primitives; of ndarrays and attributes for others.
    domain : tuple of (low, high)
        Where to sample each input; the last one serves the inputs that have none of their own.
    dtypes : tuple of str
        What the inputs may be.
    gradient : {"check", "zero", None}
        "check" compares with differences of the oracle; "zero" demands zeros; None: no cotangent passes at all.
    at : dict
        Points where there is no derivative, or a rule could go wrong -> the recorded derivative by each input.
    cases, empty : tuples of Case
        For primitives that work on whole arrays; `empty` are those of size zero.
    ulp : float
        Allowed error of a value, in units of the last place.
    reason : str
        Why `ulp` or `rtol` differs from the default.
    rtol : float
        Allowed relative error of derivatives in float64.
    orders : int
        How often it can be differentiated.
    prepared : callable
        Makes valid arguments of random ones, for primitives that work on whole arrays.
    """

    name: str
    oracle: Callable
    domain: tuple = ((-3, 3),)
    dtypes: tuple = FLOATS
    gradient: str | None = "check"
    at: dict = dataclasses.field(default_factory=dict)
    cases: tuple = ()
    empty: tuple = ()
    ulp: float = 2
    rtol: float = 1e-11
    reason: str = ""
    orders: int = 2
    prepared: Callable | None = None

    @property
    def primitive(self):
        """The primitive of this row."""
        return primitives()[self.name]

    @property
    def arity(self):
        """Number of inputs."""
        return self.primitive.arity if self.elementwise else len(self.cases[0].shapes)

    @property
    def elementwise(self):
        """Whether the primitive is a scalar function."""
        return not self.cases

    def interval(self, k):
        """Where to sample input k."""
        return self.domain[min(k, len(self.domain) - 1)]

    def sample(self, dtype="float64", shape=(40,)):
        """Arguments of an elementwise primitive, the same ones each time."""
        rng = numpy.random.default_rng(list(self.name.encode()))
        dtype = numpy.dtype(dtype)
        made = []
        for k in range(self.arity):
            low, high = self.interval(k)
            fixed = (self.primitive.casts or (None,) * self.arity)[k]
            if fixed == "bool" or dtype.kind == "b":
                made.append(rng.integers(0, 2, shape).astype(bool))
            elif dtype.kind in "iu":
                low, high = (max(low, 0), max(high, 3)) if dtype.kind == "u" else (low, high)
                made.append(rng.integers(math.ceil(low), math.floor(high) + 1, shape).astype(dtype))
            else:
                made.append(rng.uniform(low, high, shape).astype(dtype))
        return made

    def arguments(self, case, dtype="float64"):
        """Arguments of a primitive that works on whole arrays."""
        rng = numpy.random.default_rng(list(self.name.encode()))
        dtype, (low, high), made = numpy.dtype(dtype), self.interval(0), []
        for k, shape in enumerate(case.shapes):
            if k in case.indices:
                made.append(rng.integers(0, case.indices[k], shape))
            elif dtype.kind == "b":
                made.append(rng.integers(0, 2, shape).astype(bool))
            elif dtype.kind in "iu":
                made.append(rng.integers(0 if dtype.kind == "u" else -3, 4, shape).astype(dtype))
            else:
                made.append(rng.uniform(low, high, shape).astype(dtype))
        return self.prepared(*made) if self.prepared else made


# ---------------------------------------------------------------- oracles that have no name elsewhere


def by_terms(a, b):
    """Convolution of sequences, product by product."""
    y = numpy.zeros(len(a) + len(b) - 1, a.dtype)
    for i, j in itertools.product(range(len(a)), range(len(b))):
        y[i + j] += a[i] * b[j]
    return y


def by_normal_equations(a, b, rcond):
    return numpy.einsum("ij,kj,kl->il", inverse(numpy.einsum("ki,kj->ij", a, a)), a, b)


def each_of(function):
    """A function of Python numbers as one of arrays that broadcast."""

    def oracle(*arrays):
        wide = numpy.broadcast_arrays(*arrays)
        values = [function(*(v.item() for v in element)) for element in zip(*(w.flat for w in wide), strict=True)]
        return numpy.array(values).reshape(wide[0].shape)

    return oracle


def real_cbrt(x):
    """Cube root, also of negative numbers."""
    return -mpmath.cbrt(-x) if x < 0 else mpmath.cbrt(x)


def sign(x):
    return (x > 0) - (x < 0)


def copysign(a, b):
    return abs(a) if b >= 0 else -abs(a)


def cholesky_by_rows(a):
    """Cholesky factors by the textbook's recurrence."""
    out = numpy.zeros_like(a)
    for index in numpy.ndindex(*a.shape[:-2]):
        for i in range(a.shape[-1]):
            for j in range(i + 1):
                rest = a[index][i, j] - sum(out[index][i, k] * out[index][j, k] for k in range(j))
                out[index][i, j] = math.sqrt(rest) if i == j else rest / out[index][j, j]
    return out


def pulled_back(a, g):
    """Cotangents of Cholesky factors pulled back to the matrix, by explicit inverses."""
    a = numpy.tril(a)
    p = numpy.tril(a.swapaxes(-1, -2) @ numpy.tril(g)) * (1 - numpy.eye(a.shape[-1]) / 2)
    x = inverse(a)
    x = x.swapaxes(-1, -2) @ p @ x
    return (x + x.swapaxes(-1, -2)) / 2


def inverse(a):
    """Inverses by Cramer's rule."""
    out = numpy.empty_like(a)
    for index in numpy.ndindex(*a.shape[:-2]):
        m = a[index]
        for i, j in numpy.ndindex(*m.shape):
            minor = numpy.delete(numpy.delete(m, j, 0), i, 1)
            out[index][i, j] = (-1) ** (i + j) * determinant(minor) / determinant(m)
    return out


def determinant(m):
    """By Leibniz' formula."""
    total = 0.0
    for order in itertools.permutations(range(len(m))):
        swaps = sum(a > b for a, b in itertools.combinations(order, 2))
        total += (-1) ** swaps * math.prod(m[i, p] for i, p in enumerate(order))
    return total


def solve_triangle(a, b, lower, transposed):
    a = numpy.tril(a) if lower else numpy.triu(a)
    return numpy.einsum("...ij,...jk->...ik", inverse(a.swapaxes(-1, -2) if transposed else a), b)


def dominant(a, *others):
    """Matrices far from singular."""
    return [a + 12 * numpy.eye(*a.shape[-2:], dtype=a.dtype), *others]


def each_matrix(function):
    """An oracle for stacks from a function of matrices in float64."""

    def oracle(x, *others, **attrs):
        found = [function(x[i].astype(float), *(o[i] for o in others), **attrs) for i in numpy.ndindex(*x.shape[:-2])]
        return numpy.array(found).reshape(x.shape[:-2] + found[0].shape)

    return oracle


def symmetric(a):
    return [(a + a.swapaxes(-1, -2)) / 2]


def number(x):
    return numpy.array(float(x))


def as_floats(m):
    return numpy.array(m.tolist(), float)


def same_signs(vectors, choice):
    """Vectors in columns with the signs that LAPACK chose."""
    return vectors * numpy.sign(numpy.sum(vectors * choice, 0))


def eigenvectors(a, lower):
    a = (a + a.T) / 2
    w, v = mpmath.eigsy(mpmath.matrix(a.tolist()))
    return numpy.concatenate([as_floats(w).ravel(), same_signs(as_floats(v), numpy.linalg.eigh(a)[1]).ravel()])


def eigenvalues(a, lower):
    return as_floats(mpmath.eigsy(mpmath.matrix(((a + a.T) / 2).tolist()), eigvals_only=True)).ravel()


def singular_values(a):
    return as_floats(mpmath.svd_r(mpmath.matrix(a.tolist()), compute_uv=False)).ravel()


def singular_vectors(a, full):
    u, s, vh = mpmath.svd_r(mpmath.matrix(a.tolist()), full_matrices=False)
    choice = numpy.linalg.svd(a, full_matrices=False)
    u, vh = same_signs(as_floats(u), choice.U), same_signs(as_floats(vh).T, choice.Vh.T).T
    return numpy.concatenate([u.ravel(), as_floats(s).ravel(), vh.ravel()])


def gram_schmidt(a, full):
    k = min(a.shape)
    q = numpy.zeros((a.shape[0], k))
    for j in range(k):
        column = a[:, j] - q @ (q.T @ a[:, j])
        q[:, j] = column / math.sqrt(column @ column)
    q = same_signs(q, numpy.linalg.qr(a).Q)
    return numpy.concatenate([q.ravel(), numpy.triu(q.T @ a).ravel()])


def elimination(a):
    """LU factorisation row by row, with the largest pivot of each column."""
    m, n = a.shape
    k, order, up, low = min(m, n), list(range(m)), a.copy(), numpy.eye(m)
    for j in range(k):
        best = max(range(j, m), key=lambda i: abs(up[i, j]))
        up[[j, best]], order[j], order[best] = up[[best, j]], order[best], order[j]
        low[[j, best], :j] = low[[best, j], :j]
        for i in range(j + 1, m):
            low[i, j] = up[i, j] / up[j, j]
            up[i] -= low[i, j] * up[j]
    return numpy.concatenate([numpy.argsort(order), low[:, :k].ravel(), numpy.triu(up[:k]).ravel()])


def normal_equations(a):
    """Pseudo-inverses of matrices with independent columns, or rows."""
    if a.shape[0] < a.shape[1]:
        return normal_equations(a.T).T
    return inverse(a.T @ a) @ a.T


def by_series(a):
    """The exponential."""
    term = total = numpy.eye(len(a))
    for k in range(1, 60):
        term = term @ a / k
        total = total + term
    return total


def by_columns(a, b, q):
    """Sylvester's equation as one of the columns of its solution."""
    m, n = q.shape
    whole = numpy.kron(numpy.eye(n), a) + numpy.kron(b.T, numpy.eye(m))
    return numpy.linalg.solve(whole, q.T.ravel()).reshape(n, m).T


def along(function):
    """An oracle for arrays from a function of a list, applied along the attribute `axis`."""

    def oracle(x, axis):
        return numpy.apply_along_axis(lambda lane: function(lane.tolist()), axis, x)

    return oracle


def over(function):
    """An oracle for a reduction from a function of a list of numbers."""

    def oracle(x, axes):
        kept = [i for i in range(x.ndim) if i not in axes]
        out = numpy.empty([x.shape[i] for i in kept], object)
        for index in numpy.ndindex(*out.shape):
            where = [slice(None)] * x.ndim
            for i, n in zip(kept, index, strict=True):
                where[i] = n
            out[index] = function(numpy.asarray(x[tuple(where)]).ravel().tolist())
        return out

    return oracle


def product(values):
    return math.prod(values)


def linear_recurrence(a, b, axis):
    out, a, b = [], numpy.moveaxis(a, axis, 0), numpy.moveaxis(b, axis, 0)
    for t in range(len(b)):
        out.append(b[t] + (a[t] * out[-1] if t else 0))
    return numpy.moveaxis(numpy.array(out), 0, axis)


def recursive_filter(a, u, axis):
    """All lanes one after another, by the difference equation."""
    out, u = [], numpy.moveaxis(u, axis, 0)
    for t in range(len(u)):
        out.append(u[t] - sum(a[i] * out[t - 1 - i] for i in range(min(t, len(a)))))
    return numpy.moveaxis(numpy.array(out), 0, axis) if out else numpy.moveaxis(u, 0, axis)


def rearranged(x, axes):
    out = numpy.empty([x.shape[a] for a in axes], x.dtype)
    for index in numpy.ndindex(*x.shape):
        out[tuple(index[a] for a in axes)] = x[index]
    return out


def bisected(table, values, side):
    place = {"left": bisect.bisect_left, "right": bisect.bisect_right}[side]
    return numpy.array([place(table.tolist(), v) for v in values.ravel().tolist()], int).reshape(values.shape)


def picked(x, i, axis):
    return numpy.stack([x[(slice(None),) * axis + (int(k),)] for k in i.ravel()], axis).reshape(
        (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :])
    )


def _written(x, i, v, axis, combine):
    out = x.copy()
    parts = numpy.moveaxis(v.reshape((*x.shape[:axis], -1, *x.shape[axis + 1 :])), axis, 0) if v.size else ()
    for k, part in zip(i.ravel(), parts, strict=False):
        where = (slice(None),) * axis + (int(k),)
        out[where] = combine(out[where], part)
    return out


def scattered(x, i, v, axis):
    return _written(x, i, v, axis, operator.add)


def put_down(x, i, v, axis):
    return _written(x, i, v, axis, lambda old, new: new)


def places(shape, spec):
    """Indices of the elements a slice spec names, as numpy.ix_ takes them."""
    return numpy.ix_(*[[start + step * k for k in range(count)] for start, step, count in spec])


def sliced(x, spec):
    return x[places(x.shape, spec)]


def embedded(x, shape, spec):
    out = numpy.zeros(shape, x.dtype)
    out[places(shape, spec)] = x
    return out


def added(x, *parts, specs):
    out = x.copy()
    for part, spec in zip(parts, specs, strict=True):
        out[places(x.shape, spec)] += part
    return out


def assigned(x1, x2, spec):
    out = x1.copy()
    out[places(x1.shape, spec)] = x2
    return out


def cast(x, dtype):
    dtype = numpy.dtype(dtype)
    one = {"b": bool, "f": float}.get(dtype.kind, lambda v: int(v) % 2 ** (8 * dtype.itemsize))
    values = [one(v) for v in x.ravel().tolist()]
    unsigned = numpy.dtype(dtype.str.replace("i", "u")) if dtype.kind == "i" else dtype
    return numpy.array(values, unsigned).astype(dtype).reshape(x.shape)


def first_largest(values):
    return max(range(len(values)), key=lambda i: (values[i], -i))


def first_smallest(values):
    return min(range(len(values)), key=lambda i: (values[i], i))


def called(name, oracle, arity, interval, integers, attrs):
    """The row of a function that SciPy computes: of arrays of one shape, and of some that broadcast."""

    def of_arrays(*xs, **_):
        numbers = lambda *v: [int(a) if isinstance(a, int) else mpmath.mpf(float(a)) for a in v]  # noqa: E731
        one = lambda *v: float(mpmath.re(oracle(*numbers(*v))))  # noqa: E731
        out = [one(*(a.item() for a in v)) for v in numpy.broadcast(*xs)]
        return numpy.array(out).reshape(numpy.broadcast_shapes(*(x.shape for x in xs)))

    def prepared(*xs):
        return [x + 1 if x.dtype.kind == "i" else x for x in xs]

    shapes = ((3,),) * arity, ((2, 3), (2, 1), (3,), (1, 3))[:arity], ((0, 3),) * arity
    same, broadcast, empty = (Case(s, attrs, dict.fromkeys(range(integers), 3)) for s in shapes)
    return Row(name, of_arrays, (interval,), cases=(same, broadcast), empty=(empty,), ulp=64,
               reason="SciPy's own error, or that of a quadrature", prepared=prepared)  # fmt: skip


# ---------------------------------------------------------------- cases

LANES = tuple(Case((shape,), {"axis": axis}) for shape in ((7,), (4, 5), (2, 3, 4)) for axis in range(len(shape)))
NO_LANES = (Case(((0,),), {"axis": 0}), Case(((3, 0),), {"axis": 0}), Case(((3, 0),), {"axis": 1}))
TABLES = tuple(
    Case(c, {"side": side}) for c in (((7,), (5,)), ((1,), (3, 4)), ((20,), ())) for side in ("left", "right")
)
AXES = (
    Case(((7,),), {"axes": (0,)}), Case(((4, 5),), {"axes": (0,)}), Case(((4, 5),), {"axes": (1,)}),
    Case(((4, 5),), {"axes": (0, 1)}), Case(((2, 3, 4),), {"axes": (1,)}), Case(((2, 3, 4),), {"axes": (0, 2)}),
    Case(((1, 3, 1),), {"axes": (0, 2)}), Case(((1, 1),), {"axes": (0, 1)}), Case(((),), {"axes": ()}),
)  # fmt: skip
NO_ROWS = (Case(((0, 3),), {"axes": (1,)}),)
NOTHING = (Case(((0,),), {"axes": (0,)}), Case(((0, 3),), {"axes": (0,)}), Case(((2, 0),), {"axes": (0, 1)}))
NO_SQUARES = ((0, 3, 3),)
SQUARES = ((((3, 3),), ((2, 2, 2),)), NO_SQUARES)
RECTANGLES = ((((3, 3),), ((3, 2),), ((2, 2, 3),)), ((0, 3, 2),))
BACKWARD = ((3, -1, 4), (1, 2, 2))
GATHERS = (
    Case(((5,), (3,)), {"axis": 0}, {1: 5}), Case(((4, 3), (6,)), {"axis": 0}, {1: 4}),
    Case(((4, 3), (2, 2)), {"axis": 1}, {1: 3}), Case(((2, 5, 3), ()), {"axis": 1}, {1: 5}),
)  # fmt: skip
SCATTERS = tuple(
    Case(
        (*c.shapes, c.shapes[0][: c.attrs["axis"]] + c.shapes[1] + c.shapes[0][c.attrs["axis"] + 1 :]),
        c.attrs,
        c.indices,
    )
    for c in GATHERS
)

# ---------------------------------------------------------------- the table

ROWS = (
    # arithmetic
    Row("add", operator.add, dtypes=NUMBERS, ulp=0.5),
    Row("subtract", operator.sub, dtypes=NUMBERS, ulp=0.5),
    Row("multiply", operator.mul, dtypes=NUMBERS, ulp=0.5, at={(0.0, math.inf): (math.inf, 0.0)}),
    Row("divide", operator.truediv, ((-3, 3), (0.5, 3)), ulp=0.5),
    Row("negative", operator.neg, dtypes=NUMBERS, ulp=0.5),
    Row("positive", operator.pos, dtypes=NUMBERS, ulp=0.5),
    Row("absolute", abs, dtypes=NUMBERS, ulp=0.5, at={(0.0,): (0.0,)}),
    Row("sign", sign, dtypes=NUMBERS, gradient="zero", at={(0.0,): (0.0,)}),
    Row("floor_divide", lambda a, b: mpmath.floor(a / b) if isinstance(a, mpmath.mpf) else a // b,
        ((-9, 9), (1, 4)), NUMBERS,
        gradient="zero"),
    Row("remainder", lambda a, b: a - b * mpmath.floor(a / b) if isinstance(a, mpmath.mpf) else a % b,
        ((-9, 9), (1, 4)), NUMBERS),
    Row("copysign", copysign, ulp=0.5, at={(2.0, -0.0): (-1.0, 0.0), (-2.0, 0.0): (-1.0, 0.0), (0.0, 1.0): (0.0, 0.0)}),
    Row("add_n", lambda *xs: sum(xs), cases=(Case(((5,), (5,), (5,))), Case(((2, 3),) * 4)), dtypes=NUMBERS,
        empty=(Case(((0, 2),) * 3),)),
    # casts and copies
    Row("astype", cast,
        cases=tuple(Case(((3, 4),), {"dtype": numpy.dtype(d)})
                    for d in ("float64", "float32", "int32", "uint8", "bool")),
        dtypes=("float64", "float32", "int64", "bool"), domain=((0, 9),),
        empty=(Case(((0,),), {"dtype": numpy.dtype("float32")}),)),
    Row("identity", operator.pos, dtypes=NUMBERS, ulp=0.5),
    Row("stop_gradient", operator.pos, dtypes=NUMBERS, ulp=0.5, gradient=None),
    # comparisons, logic, bits, classes of floats
    *(Row(name, function, ((-2, 2),), NUMBERS, gradient=None)
      for name, function in (("equal", operator.eq), ("not_equal", operator.ne), ("less", operator.lt),
                             ("less_equal", operator.le), ("greater", operator.gt), ("greater_equal", operator.ge))),
    Row("logical_and", lambda a, b: a and b, dtypes=("bool",), gradient=None),
    Row("logical_or", lambda a, b: a or b, dtypes=("bool",), gradient=None),
    Row("logical_xor", operator.ne, dtypes=("bool",), gradient=None),
    Row("logical_not", operator.not_, dtypes=("bool",), gradient=None),
    Row("bitwise_and", operator.and_, ((-100, 100),), WHOLE, gradient=None),
    Row("bitwise_or", operator.or_, ((-100, 100),), WHOLE, gradient=None),
    Row("bitwise_xor", operator.xor, ((-100, 100),), WHOLE, gradient=None),
    Row("invert", lambda a: (not a) if isinstance(a, bool) else ~a, ((-100, 100),), WHOLE, gradient=None),
    Row("left_shift", operator.lshift, ((-100, 100), (0, 6)), INTEGERS, gradient=None),
    Row("right_shift", operator.rshift, ((-100, 100), (0, 6)), INTEGERS, gradient=None),
    Row("isnan", mpmath.isnan, gradient=None),
    Row("isinf", mpmath.isinf, gradient=None),
    Row("isfinite", mpmath.isfinite, gradient=None),
    Row("signbit", lambda x: x < 0, gradient=None),
    # rounding
    Row("floor", mpmath.floor, gradient="zero"),
    Row("ceil", mpmath.ceil, gradient="zero"),
    Row("trunc", lambda x: mpmath.floor(x) if x >= 0 else mpmath.ceil(x), gradient="zero"),
    Row("rint", mpmath.nint, gradient="zero"),
    # selection
    Row("where", lambda c, a, b: a if c else b, dtypes=NUMBERS, ulp=0.5),
    Row("maximum", max, dtypes=NUMBERS, ulp=0.5, at={(2.0, 2.0): (0.5, 0.5), (0.0, -0.0): (0.5, 0.5)}),
    Row("minimum", min, dtypes=NUMBERS, ulp=0.5, at={(2.0, 2.0): (0.5, 0.5)}),
    Row("clip", lambda x, low, high: min(max(x, low), high), ((-4, 4), (-2, 0), (0, 2)), NUMBERS, ulp=0.5,
        at={(1.0, 1.0, 2.0): (1.0, 0.0, 0.0), (2.0, 1.0, 2.0): (1.0, 0.0, 0.0), (0.0, 1.0, 2.0): (0.0, 1.0, 0.0),
            (3.0, 1.0, 2.0): (0.0, 0.0, 1.0), (0.0, 3.0, 2.0): (0.0, 0.0, 1.0)}),
    # exponentials and logarithms
    Row("exp", mpmath.exp, ((-20, 20),)),
    Row("exp2", lambda x: mpmath.mpf(2) ** x, ((-20, 20),)),
    Row("expm1", mpmath.expm1, ((-4, 4),)),
    Row("log", mpmath.log, ((0.01, 20),)),
    Row("log2", lambda x: mpmath.log(x) / mpmath.log(2), ((0.01, 20),)),
    Row("log10", mpmath.log10, ((0.01, 20),)),
    Row("log1p", mpmath.log1p, ((-0.9, 20),)),
    Row("logaddexp", lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), ((1, 6), (1, 6)),
        at={(-math.inf, -math.inf): None, (1.0, 1.0): (0.5, 0.5)}),
    Row("softplus", lambda x: mpmath.log1p(mpmath.exp(x)), ((-9, 9),), at={(0.0,): (0.5,)}),
    Row("logistic", lambda x: 1 / (1 + mpmath.exp(-x)), ((-9, 9),)),
    Row("power", operator.pow, ((0.2, 4), (-3, 3)),
        at={(0.0, 2.0): (0.0, 0.0), (0.0, 1.0): (1.0, 0.0), (0.0, 0.0): (0.0, None), (-2.0, 3.0): (12.0, None)}),
    # roots and small powers
    Row("sqrt", mpmath.sqrt, ((0.1, 9),), ulp=0.5, at={(0.0,): (math.inf,)}),
    Row("rsqrt", lambda x: 1 / mpmath.sqrt(x), ((0.1, 9),)),
    Row("cbrt", real_cbrt, ((-9, 9),)),
    Row("hypot", lambda a, b: mpmath.sqrt(a * a + b * b), at={(0.0, 0.0): (0.0, 0.0)}),
    Row("reciprocal", lambda x: 1 / x, ((0.2, 4),), ulp=0.5),
    Row("square", lambda x: x * x, dtypes=NUMBERS, ulp=0.5),
    # hyperbolic
    Row("tanh", mpmath.tanh),
    Row("sinh", mpmath.sinh),
    Row("cosh", mpmath.cosh),
    Row("arcsinh", mpmath.asinh),
    Row("arccosh", mpmath.acosh, ((1.1, 9),)),
    Row("arctanh", mpmath.atanh, ((-0.95, 0.95),)),
    # trigonometric
    Row("sin", mpmath.sin, ((-9, 9),)),
    Row("cos", mpmath.cos, ((-9, 9),)),
    Row("tan", mpmath.tan, ((-1.4, 1.4),)),
    Row("arcsin", mpmath.asin, ((-0.95, 0.95),)),
    Row("arccos", mpmath.acos, ((-0.95, 0.95),)),
    Row("arctan", mpmath.atan, ((-9, 9),)),
    Row("arctan2", mpmath.atan2, ((-3, 3), (0.2, 3))),
    # special
    Row("erf", mpmath.erf),
    Row("erfc", mpmath.erfc, ulp=8, reason="the error of an exponential times that of a quotient"),
    Row("lgamma", mpmath.loggamma, ((2.5, 20),), ulp=4, reason="a sum of four terms"),
    Row("digamma", lambda x: mpmath.psi(0, x), ((2, 20),), ulp=8, reason="a long sum"),
    Row("trigamma", lambda x: mpmath.psi(1, x), ((0.5, 20),), ulp=8, reason="a long sum"),
    Row("polygamma2", lambda x: mpmath.psi(2, x), ((0.5, 20),), ulp=8, reason="a long sum"),
    Row("polygamma3", lambda x: mpmath.psi(3, x), ((0.5, 20),), ulp=8, reason="a long sum"),
    *(Row(name, oracle, intervals, ulp=ulp, at=at, rtol=1e-10, reason=POLYNOMIALS)
      for name, oracle, intervals, ulp, at in COMPILED),
    *(called(*entry) for entry in CALLED),
    Row("fixed", lambda x, call, argument: x.copy(), gradient=None,
        cases=(Case(((3,),), {"call": "jv", "argument": "v"}),),
        empty=(Case(((0, 3),), {"call": "jv", "argument": "v"}),)),
    # views
    Row("reshape", lambda x, shape: numpy.array(x.ravel().tolist(), x.dtype).reshape(shape), dtypes=ANY,
        cases=(Case(((2, 6),), {"shape": (3, 4)}), Case(((4,),), {"shape": (1, 4, 1)}), Case(((1,),), {"shape": ()})),
        empty=(Case(((0, 3),), {"shape": (5, 0)}),)),
    Row("transpose",
        rearranged,
        dtypes=ANY, cases=(Case(((2, 3),), {"axes": (1, 0)}), Case(((2, 3, 4),), {"axes": (2, 0, 1)}),
        Case(((),), {"axes": ()})),
        empty=(Case(((0, 3),), {"axes": (1, 0)}),)),
    Row("broadcast_to", lambda x, shape: x * numpy.ones(shape, x.dtype), dtypes=ANY,
        cases=(Case(((3, 1),), {"shape": (2, 3, 4)}), Case(((),), {"shape": (3,)}), Case(((1, 1),), {"shape": (2, 2)})),
        empty=(Case(((1, 3),), {"shape": (0, 3)}),)),
    Row("barrier", lambda x, after: x, dtypes=ANY, cases=(Case(((2, 3), (4,))), Case(((3,), ()))),
        empty=(Case(((0, 3), (2,))),)),
    Row("slice_", sliced, dtypes=ANY,
        cases=(Case(((5, 4),), {"spec": ((1, 2, 2), (0, 1, 4))}), Case(((5, 4),), {"spec": BACKWARD}),
        Case(((3,),), {"spec": ((2, -1, 3),)})),
        empty=(Case(((5, 4),), {"spec": ((2, 1, 0), (0, 1, 4))}),)),
    # updates
    Row("embed", embedded, dtypes=ANY,
        cases=(Case(((2, 4),), {"shape": (5, 4), "spec": ((1, 2, 2), (0, 1, 4))}),
        Case(((4, 2),), {"shape": (5, 4), "spec": BACKWARD})),
        empty=(Case(((0, 4),), {"shape": (5, 4), "spec": ((2, 1, 0), (0, 1, 4))}),)),
    Row("add_slices", added, dtypes=NUMBERS,
        cases=(Case(((5, 4), (4, 2), (4, 2)), {"specs": (BACKWARD, ((0, 1, 4), (2, 1, 2)))}),),
        empty=(Case(((0, 4), (0, 4)), {"specs": (((0, 1, 0), (0, 1, 4)),)}),)),
    Row("set_slice", assigned, dtypes=ANY,
        cases=(Case(((5, 4), (4, 2)), {"spec": BACKWARD}), Case(((3,), (1,)), {"spec": ((2, 1, 1),)})),
        empty=(Case(((5, 4), (0, 4)), {"spec": ((2, 1, 0), (0, 1, 4))}),)),
    Row("concatenate",
        lambda *xs, axis: numpy.moveaxis(numpy.array([s for x in xs for s in numpy.moveaxis(x, axis, 0)]), 0, axis),
        dtypes=ANY, cases=(Case(((2, 3), (1, 3)), {"axis": 0}), Case(((2, 3), (2, 1), (2, 3)), {"axis": 1})),
        empty=(Case(((0, 3), (0, 3)), {"axis": 0}), Case(((0, 3), (2, 3)), {"axis": 0}))),
    # along an axis
    Row("cumsum", along(lambda v: list(itertools.accumulate(v))), cases=LANES, empty=NO_LANES,
        dtypes=("float64", "float32", "int64", "int32"), ulp=40,
        reason="a running sum in another order"),
    Row("cumprod", along(lambda v: list(itertools.accumulate(v, operator.mul))), cases=LANES, empty=NO_LANES,
        dtypes=("float64", "float32", "int64", "int32"), ulp=40, reason="products of up to seven roundings"),
    Row("recurrence", linear_recurrence, cases=tuple(Case(c.shapes * 2, c.attrs) for c in LANES),
        empty=tuple(Case(c.shapes * 2, c.attrs) for c in NO_LANES), domain=((-1, 1),), ulp=100,
        reason="cancellation between products and sums"),
    Row("autoregression", recursive_filter, domain=((-0.6, 0.6),), ulp=100,
        cases=(Case(((2,), (6,)), {"axis": 0}), Case(((3,), (2, 5)), {"axis": 1}), Case(((4,), (3, 2)), {"axis": 0})),
        empty=(Case(((2,), (0,)), {"axis": 0}), Case(((2,), (3, 0)), {"axis": 1})),
        reason="cancellation between products and sums"),
    Row("argmax", along(first_largest), cases=LANES, empty=NO_LANES[1:2], dtypes=NUMBERS, gradient=None),
    Row("argmin", along(first_smallest), cases=LANES, empty=NO_LANES[1:2], dtypes=NUMBERS, gradient=None),
    Row("argsort", along(lambda v: sorted(range(len(v)), key=v.__getitem__)), cases=LANES, empty=NO_LANES,
        dtypes=NUMBERS, gradient=None),
    Row("searchsorted", bisected, cases=TABLES, dtypes=NUMBERS, gradient=None,
        empty=(Case(((0,), (3,)), {"side": "left"}), Case(((4,), (0,)), {"side": "right"})),
        prepared=lambda table, values: [numpy.sort(table), values]),
    Row("convolve", by_terms, cases=(Case(((7,), (3,))), Case(((2,), (5,))), Case(((1,), (1,)))),
        dtypes=("float64", "float32", "int64", "int32"), ulp=200, reason="sums of products may cancel"),
    # parts of numbers, and integers
    Row("ldexp", lambda x, e: x * 2.0**e, cases=(Case(((3, 4), (4,)), {}, {1: 5}), Case(((), (2,)), {}, {1: 3})),
        empty=(Case(((0, 3), (3,)), {}, {1: 5}),), ulp=0.5),
    Row("binary_exponent", each_of(lambda x: math.frexp(x)[1]), cases=(Case(((3, 4),)), Case(((),))),
        empty=(Case(((0, 3),)),), gradient=None),
    Row("nextafter", lambda a, b, dtype: each_of(math.nextafter)(a, b), dtypes=("float64",), rtol=1e-9,
        cases=(Case(((3, 4), (4,)), {"dtype": DOUBLE}),), empty=(Case(((0, 3), (3,)), {"dtype": DOUBLE}),),
        reason="differences of numbers that are moved by one unit"),
    Row("spacing", lambda x, dtype: each_of(lambda v: math.copysign(math.ulp(v), v))(x), dtypes=("float64",),
        cases=(Case(((3, 4),), {"dtype": DOUBLE}),), empty=(Case(((0, 3),), {"dtype": DOUBLE}),), gradient=None),
    Row("gcd", each_of(math.gcd), cases=(Case(((3, 4), (4,))),), empty=(Case(((0, 3), (3,))),), dtypes=INTEGERS,
        gradient=None),
    Row("lcm", each_of(math.lcm), cases=(Case(((3, 4), (4,))),), empty=(Case(((0, 3), (3,))),), dtypes=INTEGERS,
        gradient=None),
    Row("bitwise_count", each_of(lambda n: abs(n).bit_count()), cases=(Case(((3, 4),)),), empty=(Case(((0, 3),)),),
        dtypes=INTEGERS, gradient=None),
    Row("least_squares", by_normal_equations, cases=(Case(((6, 3), (6, 2)), {"rcond": 1e-9}),
        Case(((4, 1), (4, 1)), {"rcond": 1e-9})), rtol=1e-7, ulp=4000, reason="the oracle squares the condition"),
    # gathers and scatters
    Row("take", picked, cases=GATHERS, empty=(Case(((5,), (0,)), {"axis": 0}, {1: 5}),), dtypes=ANY),
    Row("scatter_add", scattered, cases=SCATTERS, empty=(Case(((5,), (0,), (0,)), {"axis": 0}, {1: 5}),),
        dtypes=NUMBERS, ulp=40,
        reason="sums of several terms may cancel"),
    Row("put", put_down, cases=SCATTERS, empty=(Case(((5,), (0,), (0,)), {"axis": 0}, {1: 5}),), dtypes=ANY),
    # products
    Row("matmul", lambda a, b: numpy.einsum("...ij,...jk->...ik", a, b), ulp=200, reason="sums of products may cancel",
        cases=(Case(((3, 4), (4, 5))), Case(((2, 3, 4), (4, 2))), Case(((2, 1, 3, 4), (5, 4, 2))),
        Case(((1, 4), (4, 1)))),
        empty=(Case(((0, 4), (4, 2))), Case(((3, 0), (0, 2))))),
    Row("cholesky", lambda a: cholesky_by_rows((a + a.swapaxes(-1, -2)) / 2), orders=1,
        cases=(Case(((3, 3),)), Case(((2, 4, 4),))), empty=(Case(((0, 3, 3),)),),
        rtol=1e-8, ulp=200, reason="sums of products may cancel",
        prepared=lambda a: [a @ a.swapaxes(-1, -2) / 4 + numpy.eye(a.shape[-1], dtype=a.dtype)]),
    Row("cholesky_pullback", pulled_back, cases=(Case(((3, 3), (3, 3))), Case(((2, 4, 4), (2, 4, 4)))),
        empty=(Case(((0, 3, 3), (0, 3, 3))),), rtol=1e-8, ulp=400, reason="sums of products may cancel",
        prepared=dominant),
    Row("solve", lambda a, b: numpy.einsum("...ij,...jk->...ik", inverse(a), b), cases=(Case(((3, 3), (3, 2))),
        Case(((2, 1, 3, 3), (4, 3, 1)))), empty=(Case(((0, 3, 3), (0, 3, 1))),), rtol=1e-8, ulp=400,
        reason="differences are of an inverse", prepared=dominant),
    Row("solve_triangular", solve_triangle, cases=tuple(
        Case(((2, 3, 3), (2, 3, 2)), {"lower": lower, "transposed": transposed})
        for lower in (True, False) for transposed in (True, False)),
        empty=(Case(((0, 3, 3), (0, 3, 1)), {"lower": True, "transposed": False}),), rtol=1e-8, ulp=400,
        reason="sums of products may cancel", prepared=dominant),
    Row("zero_or_product", lambda a, b: a * b, ulp=0.5,
        at={(0.0, math.inf): (math.inf, 0.0), (0.0, math.nan): (None, 0.0), (2.0, 0.0): (0.0, 2.0)}),
    *(Row(name, each_matrix(oracle), cases=tuple(Case(shapes, attrs) for shapes in cases), empty=(Case(empty, attrs),),
          rtol=1e-8, ulp=3000, reason="of matrices, and float32 has few digits for it", **more)
      for name, oracle, attrs, cases, empty, more in (
        ("eigh", eigenvectors, {"lower": True}, *SQUARES, {"orders": 1, "prepared": symmetric}),
        ("eigvalsh", eigenvalues, {"lower": True}, *SQUARES, {"orders": 1, "prepared": symmetric}),
        ("svd", singular_vectors, {"full": False}, *RECTANGLES, {}),
        ("svdvals", singular_values, {}, (((3, 3),), ((2, 3, 2),)), ((0, 3, 2),), {}),
        ("qr", gram_schmidt, {"full": False}, *RECTANGLES, {}),
        ("lu", elimination, {}, *RECTANGLES, {}),
        ("det", lambda a: number(determinant(a)), {}, *SQUARES, {}),
        ("cofactor", lambda a: determinant(a) * inverse(a).T, {},
         (((3, 3),), ((2, 3, 3),)), NO_SQUARES, {"prepared": dominant}),
        ("slogdet", lambda a: numpy.array([math.copysign(1, determinant(a)), math.log(abs(determinant(a)))]), {},
         *SQUARES, {}),
        ("inverse_or_nan", inverse, {}, *SQUARES, {"prepared": dominant}),
        ("expm", by_series, {}, *SQUARES, {"domain": ((-1, 1),)}),
        ("sqrtm", lambda a: as_floats(mpmath.sqrtm(mpmath.matrix(a.tolist())).apply(mpmath.re)), {},
         *SQUARES, {"prepared": dominant}),
        ("solve_sylvester", by_columns, {}, (((2, 2), (3, 3), (2, 3)), ((2, 2, 2), (2, 1, 1), (2, 2, 1))),
         ((0, 2, 2), (0, 1, 1), (0, 2, 1)), {"prepared": dominant}),
        ("lstsq", lambda a, b, rcond: normal_equations(a) @ b, {"rcond": 1e-6}, (((3, 2), (3, 2)), ((2, 3), (2, 1))),
         ((0, 2), (0, 1)), {"prepared": dominant}),
      )),
    Row("pinv", lambda a, cut, hermitian: each_matrix(normal_equations)(a),
        cases=tuple(Case((shape, ()), {"hermitian": False}) for shape in ((3, 2), (2, 2, 3))),
        empty=(Case(((0, 3, 2), ()), {"hermitian": False}),), prepared=lambda a, cut: [a, numpy.full_like(cut, 1e-6)],
        rtol=1e-8, ulp=3000, reason="of matrices, and float32 has few digits for it"),
    # reductions
    Row("sum", over(math.fsum), cases=AXES, empty=NO_ROWS + NOTHING,
        dtypes=("float64", "float32", "int64", "int32"), ulp=40,
        reason="terms may cancel"),
    Row("prod", over(product), cases=AXES, empty=NO_ROWS + NOTHING, dtypes=("float64", "float32", "int64"), ulp=40,
        reason="a rounding for each factor"),
    Row("max", over(max), cases=AXES, empty=NO_ROWS, dtypes=ANY, ulp=0),
    Row("min", over(min), cases=AXES, empty=NO_ROWS, dtypes=ANY, ulp=0),
    Row("any", over(lambda v: bool(sum(v))), cases=AXES, empty=NO_ROWS + NOTHING, dtypes=("bool",), gradient=None),
    Row("all", over(lambda v: product(v) != 0), cases=AXES, empty=NO_ROWS + NOTHING, dtypes=("bool",), gradient=None),
)  # fmt: skip

BY_NAME = {row.name: row for row in ROWS}
ELEMENTWISE = tuple(row for row in ROWS if row.elementwise)
STRUCTURAL = tuple(row for row in ROWS if not row.elementwise)


def has_cuda_form(primitive):
    """Whether a primitive of whole arrays has a kernel for CUDA; others are computed on the host, as the docs say."""
    import nbgrad.kernels.cuda  # noqa: F401 - declares the forms

    own = primitive.kind != "array" or primitive.name == "matmul"
    return own or primitive.layout is not None or primitive.block is not None


ON_DEVICES = tuple(row for row in STRUCTURAL if has_cuda_form(row.primitive))
ON_THE_HOST = tuple(row for row in STRUCTURAL if not has_cuda_form(row.primitive))

#: Whole-array derivatives where there is none, or where a rule could divide by zero:
#: (primitive, argument, attributes, gradient of the sum of the result).
ARRAY_POINTS = (
    ("max", [1.0, 3.0, 3.0], {"axes": (0,)}, [0.0, 0.5, 0.5]),
    ("min", [1.0, 1.0, 1.0, 3.0], {"axes": (0,)}, [1 / 3, 1 / 3, 1 / 3, 0.0]),
    ("max", [[1.0, 2.0], [2.0, 0.0]], {"axes": (0, 1)}, [[0.0, 0.5], [0.5, 0.0]]),
    ("prod", [0.0, 2.0, 3.0], {"axes": (0,)}, [6.0, 0.0, 0.0]),
    ("prod", [0.0, 0.0, 3.0], {"axes": (0,)}, [0.0, 0.0, 0.0]),
    ("cumprod", [2.0, 0.0, 3.0, 4.0], {"axis": 0}, [1.0, 2 + 6 + 24, 0.0, 0.0]),
)
