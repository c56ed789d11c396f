"""FORMS: for every function of nbgrad.numpy that NumPy has, how to draw arguments for it.

A form is a function of `draw` (hypothesis) that returns (arguments, keywords) of ndarrays and numbers; both libraries
are called with them.
"""

import itertools

import numpy
from hypothesis import strategies as st

DTYPES = ("bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "complex64",
          "complex128")  # fmt: skip
REAL = tuple(d for d in DTYPES if not d.startswith("complex"))
LAYOUTS = ("C", "F", "strided", "reversed", "spread")
SIDES = (0, 1, 2, 3, 4)
#: Where gradients are checked, the dtypes that have them: then no two elements are equal.
smooth: list = []
_serial = itertools.count()


def array(draw, dtypes=DTYPES, least=0, most=3, shape=None, positive=False, dtype=None):
    """An ndarray of one of the dtypes, any shape of so many dimensions, in any layout."""
    possible = [d for d in dtypes if d in smooth] or [d for d in dtypes if smooth and d == "float64"] or dtypes
    dtype = numpy.dtype(dtype or draw(st.sampled_from(possible)))
    if shape is None:
        shape = tuple(draw(st.lists(st.sampled_from(SIDES), min_size=least, max_size=most)))
    count = int(numpy.prod(shape))
    rng = numpy.random.default_rng([draw(st.integers(0, 99)), next(_serial) if smooth else 0])
    low = 1 if positive else 0 if dtype.kind == "u" else -4
    if dtype.kind == "b":
        x = rng.integers(0, 2, count).astype(bool)
    elif dtype.kind in "iu":
        x = rng.integers(low, 5, count).astype(dtype)
    elif dtype.kind == "c":
        x = (rng.normal(size=count) + 1j * rng.normal(size=count)).astype(dtype)
    else:
        x = rng.uniform(0.1, 3, count) if positive else rng.normal(size=count)
        x = (x if smooth else x.round(2)).astype(dtype)
    return laid_out(x.reshape(shape), draw(st.sampled_from(LAYOUTS[:4] if smooth else LAYOUTS)))


def laid_out(x, layout):
    """The same array elsewhere in memory."""
    if layout == "F":
        return numpy.asfortranarray(x)
    if layout == "strided" and x.ndim:
        wide = numpy.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "reversed" and x.ndim:
        return x[::-1].copy()[::-1]
    if layout == "spread" and x.ndim and x.size:
        return numpy.broadcast_to(x[:1], x.shape)
    return x


def axis_of(draw, x, none=True, several=False):
    """An axis of an array, negative ones too; None or a tuple where allowed."""
    if not x.ndim:
        return None if none else 0
    one = st.integers(-x.ndim, x.ndim - 1)
    choices = [one]
    if none:
        choices.append(st.none())
    if several:
        choices.append(st.lists(st.integers(0, x.ndim - 1), unique=True, max_size=x.ndim).map(tuple))
    return draw(st.one_of(choices))


def broadcastable(draw, x):
    """A shape that broadcasts with that of `x`."""
    kept = draw(st.integers(0, x.ndim))
    return tuple(draw(st.sampled_from((n, 1))) for n in x.shape[x.ndim - kept :])


# ---------------------------------------------------------------- forms


def one(dtypes=DTYPES, **how):
    return lambda draw: ((array(draw, dtypes, **how),), {})


def two(dtypes=DTYPES, second=None, **how):
    """Two arrays that broadcast, of dtypes of their own; or one of them a Python number."""

    def form(draw):
        x = array(draw, dtypes, **how)
        if draw(st.integers(0, 4)) == 0:
            y = draw(st.sampled_from((2, 3))) if x.dtype.kind != "f" else draw(st.sampled_from((2, 1.5)))
        else:
            y = array(draw, second or dtypes, shape=broadcastable(draw, x), positive=how.get("positive", False))
        return (x, y) if draw(st.booleans()) else (y, x), {}

    return form


def reduction(dtypes=DTYPES, several=True, keepdims=True, **how):
    def form(draw):
        x = array(draw, dtypes, **how)
        keywords = {"axis": axis_of(draw, x, several=several)}
        if keepdims and draw(st.booleans()):
            keywords["keepdims"] = True
        return (x,), keywords

    return form


def along(dtypes=DTYPES, none=False, **how):
    def form(draw):
        x = array(draw, dtypes, least=1, **how)
        return (x,), {"axis": axis_of(draw, x, none)}

    return form


def ordered(draw):
    (x,), keywords = along(REAL)(draw)
    return (x,), {**keywords, "stable": True}


def reshaped(draw):
    x = array(draw)
    shapes = [(-1,), x.shape[::-1], (x.size,), (1, *x.shape), (*x.shape, 1)]
    return (x, draw(st.sampled_from(shapes if x.size else shapes[1:]))), {}


def permuted(draw):
    x = array(draw)
    axes = draw(st.one_of(st.none(), st.permutations(range(x.ndim)).map(tuple)))
    return (x,) if axes is None else (x, axes), {}


def two_axes(draw):
    x = array(draw, least=1)
    return (x, axis_of(draw, x, False), axis_of(draw, x, False)), {}


def rolled(draw):
    x = array(draw)
    return (x, draw(st.integers(-5, 5))), {"axis": axis_of(draw, x)}


def turned(draw):
    x = array(draw, least=2)
    axes = draw(st.permutations(range(x.ndim)))[:2]
    return (x, draw(st.integers(-4, 5)), tuple(axes)), {}


def repeated(draw):
    x = array(draw)
    return (x, draw(st.integers(0, 3))), {"axis": axis_of(draw, x)}


def tiled(draw):
    return (array(draw), tuple(draw(st.lists(st.integers(0, 2), max_size=3)))), {}


def padded(draw):
    x = array(draw)
    widths = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(x.ndim)] or 1
    modes = ["constant"] + (["edge", "reflect", "symmetric", "wrap"] if x.size else [])
    return (x, widths), {"mode": draw(st.sampled_from(modes))}


def alike(same_shape=True, least=0, along_axis="axis"):
    """A list of arrays that differ in one axis at most, of dtypes of their own."""

    def form(draw):
        x = array(draw, least=least)
        axis = axis_of(draw, x, False) if x.ndim else 0
        arrays = [x]
        for _ in range(draw(st.integers(0, 2))):
            shape = list(x.shape)
            if not same_shape and x.ndim:
                shape[axis] = draw(st.sampled_from(SIDES))
            arrays.append(array(draw, shape=tuple(shape)))
        return (arrays,), {along_axis: axis} if along_axis else {}

    return form


def split(draw):
    x = array(draw, least=1)
    axis = axis_of(draw, x, False)
    return (x, draw(st.lists(st.integers(0, 4), max_size=3).map(sorted))), {"axis": axis}


def parted(axis, least):
    """An array whose axis can be cut into halves."""

    def form(draw):
        shape = [draw(st.sampled_from(SIDES)) for _ in range(least)]
        shape[axis] = draw(st.sampled_from((0, 2, 4)))
        return (array(draw, shape=tuple(shape)), 2), {}

    return form


def stretched(draw):
    x = array(draw)
    shape = (*draw(st.lists(st.sampled_from((1, 2)), max_size=2)), *(3 if n == 1 else n for n in x.shape))
    return (x, shape), {}


def matrices(draw, dtypes=DTYPES):
    n = draw(st.sampled_from((0, 1, 2, 3)))
    lead = draw(st.sampled_from(((), (2,), (3, 1))))
    a = array(draw, dtypes, shape=(*lead, draw(st.sampled_from((1, 2, 3))), n))
    b = array(draw, dtypes, shape=(*lead[-1:], n, draw(st.sampled_from((1, 2)))))
    return (a, b), {}


def vectors(draw, dtypes=DTYPES):
    n = draw(st.sampled_from(SIDES))
    return (array(draw, dtypes, shape=(n,)), array(draw, dtypes, shape=(n,))), {}


def dotted(draw):
    return matrices(draw) if draw(st.booleans()) else vectors(draw)


def stacked_vectors(draw):
    x = array(draw, least=1)
    return (x, array(draw, shape=x.shape)), {}


def contracted(draw):
    a = array(draw, shape=(2, 3, 4))
    b = array(draw, shape=(3, 4, 2))
    return (a, b), {"axes": draw(st.sampled_from((0, ([1, 2], [0, 1]), ([0], [2]))))}


def summed(draw):
    a, b = array(draw, shape=(2, 3)), array(draw, shape=(3, 2))
    return (draw(st.sampled_from(("ij,jk->ik", "ij,ji", "ij,jk", "ij,ji->j", "ij,kl->ijkl"))), a, b), {}


def cubes(draw):
    n = 3
    lead = draw(st.sampled_from(((), (4,), (2, 1))))
    return (array(draw, DTYPES[1:], shape=(*lead, 3)), array(draw, DTYPES[1:], shape=(*lead[-1:], n))), {}


def diagonal(draw):
    x = array(draw, least=2)
    return (x,), {"offset": draw(st.integers(-2, 2))}


def of_a_matrix(draw):
    return (array(draw, least=2), draw(st.integers(-2, 2))), {}


def diag(draw):
    return (array(draw, least=1, most=2), draw(st.integers(-2, 2))), {}


def chosen(draw):
    x = array(draw)
    return (
        array(draw, ("bool", "int8", "float32"), shape=broadcastable(draw, x)),
        x,
        array(draw, shape=broadcastable(draw, x)),
    ), {}


def limited(draw):
    x = array(draw, REAL)
    low, high = draw(st.sampled_from(((0, 2), (1, None), (None, 1), (2, 1), (0, 1))))
    return (x, low, high), {}


def taken(draw):
    x = array(draw, shape=draw(st.sampled_from(((3,), (2, 3), (3, 1, 2)))))
    axis = axis_of(draw, x)
    n = x.size if axis is None else x.shape[axis]
    indices = draw(st.lists(st.integers(-n, n - 1), max_size=4))
    return (x, numpy.array(indices, int)), {"axis": axis}


def taken_along(draw):
    x = array(draw, least=1, shape=draw(st.sampled_from(((3,), (2, 3), (3, 1, 2)))))
    axis = axis_of(draw, x, False)
    rng = numpy.random.default_rng(draw(st.integers(0, 9)))
    return (x, rng.integers(0, x.shape[axis], x.shape), axis), {}


def table(draw):
    x = numpy.sort(array(draw, REAL, least=1, most=1))
    return (x, array(draw, REAL)), {"side": draw(st.sampled_from(("left", "right")))}


def rounded(draw):
    return (array(draw, DTYPES[1:]), draw(st.integers(-1, 2))), {}


def shifted(draw):
    x = array(draw, ("int8", "uint8", "int32", "int64"))
    return (x, array(draw, (str(x.dtype),), shape=broadcastable(draw, x), positive=True)), {}


def deviation(draw):
    (x,), keywords = reduction()(draw)
    return (x,), {**keywords, "ddof": draw(st.integers(0, 1))}


def averaged(draw):
    x = array(draw, shape=draw(st.sampled_from(((3,), (2, 3), (3, 1, 2), ()))))
    keywords = {"axis": axis_of(draw, x, several=True)}
    if draw(st.booleans()):
        keywords["weights"] = array(draw, ("int32", "float64"), shape=x.shape, positive=True)
    return (x,), keywords


def made(draw):
    return (tuple(draw(st.lists(st.sampled_from(SIDES), max_size=3))), draw(st.sampled_from(DTYPES))), {}


def made_like(draw):
    keywords = {"dtype": draw(st.sampled_from(DTYPES))} if draw(st.booleans()) else {}
    return (array(draw),), keywords


def ranges(draw):
    start, stop = draw(st.integers(-3, 3)), draw(st.integers(-3, 6))
    return (start, stop, draw(st.sampled_from((1, 2, 0.5, -1)))), {}


def spaced(draw):
    return (draw(st.sampled_from((0, -1.5))), draw(st.sampled_from((1, 2.5))), draw(st.integers(0, 6))), {
        "endpoint": draw(st.booleans())
    }


def grid(draw):
    return tuple(array(draw, least=1, most=1) for _ in range(draw(st.integers(1, 3)))), {
        "indexing": draw(st.sampled_from(("ij", "xy")))
    }


def together(draw):
    x = array(draw)
    return (x, array(draw, shape=broadcastable(draw, x))), {}


def nans(draw, *rest, several=True, keepdims=True):
    """A reduction of an array in which nan may be."""
    x = array(
        draw,
        REAL_FLOATS[1:] if not smooth else ("float64",),
        least=1,
        shape=draw(st.sampled_from(((4,), (2, 3), (3, 2, 2)))),
    )
    if draw(st.booleans()):
        x = x.copy()
        x.flat[draw(st.integers(0, x.size - 1))] = numpy.nan
    keywords = {"axis": axis_of(draw, x, several=several)}
    if keepdims and draw(st.booleans()):
        keywords["keepdims"] = True
    return (x, *rest), keywords


def nan_lanes(draw):
    return nans(draw, several=False, keepdims=False)


def ranked(draw):
    """Quantiles: places between 0 and 1, a number or some."""
    x = array(draw, REAL[1:], shape=draw(st.sampled_from(((5,), (2, 3), (3, 1, 2)))))
    q = draw(st.sampled_from((0.3, 0.5, numpy.array([0.13, 0.87]))))  # no kink by q: at no sorted place of 5 or 6
    method = draw(st.sampled_from(("linear", "lower", "midpoint", "hazen", "median_unbiased")))
    return (x, q), {"axis": axis_of(draw, x, several=True), "method": method}


def in_percent(draw):
    (x, q), keywords = ranked(draw)
    return (x, 100 * q), keywords


def nan_ranked(draw):
    (x,), keywords = nans(draw, several=False, keepdims=False)
    return (x, 0.3), keywords


def medians(draw):
    x = array(draw, REAL[1:], shape=draw(st.sampled_from(((5,), (2, 4), (3, 1, 2)))))
    return (x,), {"axis": axis_of(draw, x, several=True)}


def partitioned(draw):
    """Of a partition only the element at its place is certain: of one element in each lane everything is."""
    x = array(draw, REAL, shape=draw(st.sampled_from(((1,), (3, 1)))))
    return (x, 0), {"axis": -1}


def observations(draw):
    return (array(draw, DTYPES[9:], shape=draw(st.sampled_from(((4,), (3, 5))))),), {}


def in_1d(draw, dtypes=DTYPES):
    """Two vectors that are not empty."""
    sides = st.sampled_from((1, 3, 5))
    return (array(draw, dtypes[1:], shape=(draw(sides),)), array(draw, dtypes[1:], shape=(draw(sides),))), {}


def convolved(draw):
    return in_1d(draw)[0], {"mode": draw(st.sampled_from(("full", "same", "valid")))}


def interpolated(draw):
    xp = numpy.sort(numpy.random.default_rng(draw(st.integers(0, 9))).uniform(-2, 2, 5))
    return (array(draw, ("float64",)), xp, array(draw, ("float64",), shape=(5,))), {}


def sloped(draw):
    x = array(draw, ("float32", "float64", "complex128"), shape=draw(st.sampled_from(((4,), (3, 5)))))
    return (x, draw(st.sampled_from((1.0, 0.5)))), {"axis": axis_of(draw, x, none=False)}


def unwrapped(draw):
    return (array(draw, ("float32", "float64"), shape=draw(st.sampled_from(((5,), (2, 4))))),), {}


def polynomial(draw, dtypes=DTYPES):
    return array(draw, dtypes[4:7] + dtypes[8:], shape=(draw(st.sampled_from((1, 2, 4))),), positive=True)


def polynomials(draw):
    return (polynomial(draw), polynomial(draw)), {}


def floats_of_polynomials(draw):
    return (
        array(draw, ("float64",), shape=(4,), positive=True),
        array(draw, ("float64",), shape=(2,), positive=True),
    ), {}


def valued(draw):
    return (polynomial(draw), array(draw, DTYPES[8:])), {}


def fitted(draw):
    x = numpy.linspace(0.0, 1.0, 6)
    return (x, array(draw, ("float64",), shape=(6,)), draw(st.integers(0, 3))), {}


def members(draw):
    return (array(draw, WHOLE), array(draw, WHOLE)), {}


def counted(draw):
    x = array(draw, ("uint8", "int64"), shape=(draw(st.sampled_from((1, 6))),)).astype(int) % 4
    return (numpy.abs(x),), {"minlength": draw(st.integers(0, 6))}


def binned(draw):
    return (
        array(draw, ("float64", "int64"), shape=(12,)),
        draw(st.sampled_from((3, numpy.array([-1.0, 0.0, 2.0])))),
    ), {}


def cut_off(draw):
    return (array(draw, REAL), numpy.array([-1.0, 0.0, 2.0])), {"right": draw(st.booleans())}


def removed(draw):
    x = array(draw, shape=draw(st.sampled_from(((4,), (2, 4)))))
    return (x, draw(st.sampled_from((0, -1, [1, 0]))), -1), {}


def inserted(draw):
    x = array(draw, shape=draw(st.sampled_from(((4,), (2, 4)))))
    return (x, draw(st.sampled_from((0, -1, 2))), draw(st.sampled_from((1, 3)))), {"axis": -1}


def picked(draw):
    x = array(draw, shape=(2, 3))
    return (
        [x > 1, x < 0] if x.dtype.kind != "c" else [x.real > 1, x.real < 0],
        [x, array(draw, (str(x.dtype),), shape=(2, 3))],
    ), {}


def of_choices(draw):
    return (array(draw, ("int64",), shape=(3,)) % 2, [array(draw, ("float64",), shape=(3,)) for _ in range(2)]), {}


def condensed(draw):
    return (numpy.array([True, False, True]), array(draw, shape=(3, 2))), {"axis": 0}


def extracted(draw):
    x = array(draw, shape=(2, 3))
    return (x != 0, x), {}


def matrix_and_vector(draw, first=True):
    n = draw(st.sampled_from(SIDES))
    lead = draw(st.sampled_from(((), (2,))))
    matrix, vector = array(draw, shape=(*lead, 2, n) if first else (*lead, n, 2)), array(draw, shape=(n,))
    return (matrix, vector) if first else (vector, matrix), {}


def whole_pairs(draw):
    return two(WHOLE[1:5], positive=True)(draw)


def exponents(draw):
    x = array(draw, REAL_FLOATS[1:])
    return (x, array(draw, ("int8", "int32"), shape=broadcastable(draw, x))), {}


def blocks(draw):
    a, b = array(draw, shape=(2, 2)), array(draw, shape=(2, 1))
    return ([[a, b], [b, a]],), {}


FLOATS = ("float32", "float64", "complex64", "complex128")
REAL_FLOATS = ("float16", "float32", "float64")
WHOLE = ("bool", "int8", "uint8", "int32", "int64", "uint64")

FORMS = {
    # of one array
    **dict.fromkeys(("positive", "negative"), one(DTYPES[1:])),
    **dict.fromkeys(
        ("absolute", "abs", "sign", "square", "real", "imag", "isnan", "isinf", "isfinite",
         "logical_not", "sin", "cos", "sinh", "cosh", "tanh", "exp", "expm1", "exp2", "arctan", "atan", "arcsinh",
         "asinh", "copy", "ravel", "atleast_1d", "atleast_2d", "atleast_3d", "asarray", "array", "shape", "ndim",
         "size", "ascontiguousarray", "nonzero", "flatnonzero", "nan_to_num", "sinc", "angle", "astype"), one()),
    "tan": one(tuple(d for d in DTYPES if d != "float16")),
    **dict.fromkeys(("floor", "ceil", "trunc", "fix", "rint", "signbit", "isposinf", "isneginf", "fabs", "cbrt",
                     "deg2rad", "rad2deg", "degrees", "radians"), one(REAL)),
    **dict.fromkeys(("sqrt", "log", "log2", "log10", "log1p", "arccosh", "acosh", "reciprocal"), one(positive=True)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "asin", "acos", "atanh"), one(("complex64", "complex128", "bool"))),
    **dict.fromkeys(("invert", "bitwise_invert", "bitwise_not"), one(WHOLE)),
    **dict.fromkeys(("conj", "conjugate"), one(DTYPES[1:])), "round": rounded, "around": rounded,
    # of two
    **dict.fromkeys(("add", "multiply", "equal", "not_equal", "logical_and", "logical_or", "logical_xor"), two()),
    "subtract": two(DTYPES[1:]),
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal", "maximum", "minimum", "fmax", "fmin", "copysign",
                     "hypot", "arctan2", "atan2", "logaddexp", "logaddexp2", "heaviside"), two(REAL)),
    **dict.fromkeys(("divide", "true_divide"), two(positive=True)),
    **dict.fromkeys(("floor_divide", "remainder", "mod", "fmod", "divmod"), two(REAL[1:], positive=True)),
    **dict.fromkeys(("power", "pow", "float_power"), two(DTYPES[1:], positive=True)),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), two(WHOLE)),
    **dict.fromkeys(("left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift"), shifted),
    **dict.fromkeys(("isclose", "allclose", "array_equal"), together),
    # over axes
    **dict.fromkeys(("sum", "prod", "any", "all", "count_nonzero"), reduction()),
    "mean": reduction(), "var": deviation, "std": deviation,
    **dict.fromkeys(("max", "min", "amax", "amin", "ptp"), reduction(REAL[1:])),
    **dict.fromkeys(("argmax", "argmin"), reduction(REAL, several=False)),
    **dict.fromkeys(("cumsum", "cumprod"), along(none=True)),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"), along()),
    "sort": along(REAL), "argsort": ordered,
    "flip": along(none=True), "diff": along(), "trapezoid": along(),
    "average": averaged,
    # shapes
    "reshape": reshaped, "transpose": permuted, "permute_dims": permuted, "swapaxes": two_axes, "moveaxis": two_axes,
    "roll": rolled, "rot90": turned, "repeat": repeated, "tile": tiled, "pad": padded,
    "squeeze": lambda draw: ((array(draw, shape=draw(st.sampled_from(((1, 3), (1, 1), (3, 1, 2), (0, 1))))),), {}),
    "expand_dims": lambda draw: ((array(draw), 0), {}),
    "matrix_transpose": one(least=2), "fliplr": one(least=2), "flipud": one(least=1),
    "concatenate": alike(False, 1), "concat": alike(False, 1), "stack": alike(), "vstack": alike(along_axis=None),
    "hstack": alike(along_axis=None), "dstack": alike(along_axis=None), "column_stack": alike(along_axis=None),
    "append": lambda draw: ((array(draw), array(draw)), {}),
    "split": split, "array_split": split, "vsplit": parted(0, 1), "hsplit": parted(1, 2), "rollaxis": two_axes,
    "broadcast_shapes": lambda draw: (draw(st.sampled_from((((2, 1), (3,)), ((), (4,)), ((2,), (3,))))), {}),
    "unstack": along(),
    "broadcast_to": stretched, "broadcast_arrays": together, "meshgrid": grid,
    # products
    "matmul": matrices, "dot": dotted, "inner": vectors, "vdot": vectors, "vecdot": stacked_vectors,
    "outer": lambda draw: ((array(draw, most=2), array(draw, most=2)), {}),
    "kron": lambda draw: ((array(draw, most=2), array(draw, most=2)), {}),
    "tensordot": contracted, "einsum": summed, "cross": cubes, "trace": diagonal, "diagonal": diagonal, "diag": diag,
    "diagflat": diag, "tril": of_a_matrix, "triu": of_a_matrix,
    # choices
    "where": chosen, "clip": limited, "take": taken, "take_along_axis": taken_along, "searchsorted": table,
    # makers
    **dict.fromkeys(("zeros", "ones"), made), **dict.fromkeys(("zeros_like", "ones_like"), made_like),
    "full": lambda draw: (((2, draw(st.sampled_from(SIDES))), draw(st.sampled_from((1, 2.5, True, 1j)))), {}),
    "full_like": lambda draw: ((array(draw), draw(st.sampled_from((1, True)))), {}),
    "arange": ranges, "linspace": spaced, "logspace": spaced,
    "eye": lambda draw: ((draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(-2, 2))), {}),
    "identity": lambda draw: ((draw(st.integers(0, 3)),), {}),
    "tri": lambda draw: ((draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(-2, 2))), {}),
    # of every kind
    **dict.fromkeys(("nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nanmedian"), nans),
    **dict.fromkeys(("nanargmax", "nanargmin", "nancumsum", "nancumprod"), nan_lanes),
    "quantile": ranked, "percentile": in_percent, "median": medians,
    "nanquantile": nan_ranked, "nanpercentile": nan_ranked,
    "partition": partitioned, "argpartition": partitioned, "cov": observations, "corrcoef": observations,
    "convolve": convolved, "correlate": convolved, "interp": interpolated, "gradient": sloped, "unwrap": unwrapped,
    "ediff1d": one(DTYPES[1:]), "polyadd": polynomials, "polysub": polynomials, "polymul": polynomials,
    "polydiv": floats_of_polynomials, "polyval": valued, "polyfit": fitted,
    "poly": lambda draw: ((polynomial(draw),), {}),
    "polyder": lambda draw: ((polynomial(draw),), {}), "polyint": lambda draw: ((polynomial(draw),), {}),
    "roots": lambda draw: ((array(draw, ("float64",), shape=(4,), positive=True),), {}),
    **dict.fromkeys(("isin", "union1d", "intersect1d", "setdiff1d", "setxor1d", "array_equiv"), members),
    **dict.fromkeys(("unique", "unique_all", "unique_counts", "unique_inverse", "sort_complex"),
                    one(WHOLE)),
    "bincount": counted, "histogram": binned, "histogram_bin_edges": binned, "digitize": cut_off,
    "delete": removed, "insert": inserted, "select": picked, "choose": of_choices, "compress": condensed,
    "extract": extracted, "argwhere": one(), "trim_zeros": one(least=1, most=1), "matvec": matrix_and_vector,
    "vecmat": lambda draw: matrix_and_vector(draw, False), "gcd": whole_pairs, "lcm": whole_pairs, "ldexp": exponents,
    "frexp": one(REAL_FLOATS[1:]), "modf": one(REAL_FLOATS), "nextafter": two(REAL_FLOATS), "spacing": one(REAL_FLOATS),
    "bitwise_count": one(WHOLE[1:]), "i0": one(REAL_FLOATS[1:]), "block": blocks, "row_stack": alike(along_axis=None),
    **dict.fromkeys(("iscomplex", "isreal", "iscomplexobj", "isrealobj", "asanyarray", "asfortranarray",
                     "real_if_close"), one()),
    "asarray_chkfinite": one(), "require": one(), "resize": lambda draw: ((array(draw), (2, 3)), {}),
    **dict.fromkeys(("bartlett", "blackman", "hamming", "hanning"), lambda draw: ((draw(st.integers(0, 6)),), {})),
    "kaiser": lambda draw: ((draw(st.integers(0, 6)), 2.5), {}),
    "geomspace": lambda draw: ((1.0, draw(st.sampled_from((8.0, 0.5))), draw(st.integers(0, 5))), {}),
    "indices": lambda draw: (((2, draw(st.sampled_from(SIDES))),), {}),
    **dict.fromkeys(("tril_indices", "triu_indices"),
                    lambda draw: ((draw(st.integers(0, 4)), draw(st.integers(-1, 1))), {})),
    **dict.fromkeys(("tril_indices_from", "triu_indices_from"), lambda draw: ((array(draw, shape=(3, 4)),), {})),
    "diag_indices": lambda draw: ((draw(st.integers(0, 4)),), {}),
    "diag_indices_from": lambda draw: ((array(draw, shape=(3, 3)),), {}),
    "lexsort": lambda draw: ((array(draw, ("int8", "int64"), shape=(2, 5)),), {}),
    "packbits": one(("bool", "uint8"), least=1), "unpackbits": one(("uint8",), least=1),
    "unravel_index": lambda draw: ((array(draw, ("int64",), positive=True), (5, 4)), {}),
    "ravel_multi_index": lambda draw: (((numpy.array([1, 0]), numpy.array([2, 3])), (2, 4)), {}),
    "dsplit": lambda draw: ((array(draw, shape=(2, 3, 4)), 2), {}),
    "vander": lambda draw: ((array(draw, DTYPES[4:], shape=(3,)), draw(st.sampled_from((None, 2, 4)))), {}),
    "histogram2d": lambda draw: ((array(draw, ("float64",), shape=(9,)), array(draw, ("float64",), shape=(9,)), 3), {}),
    "histogramdd": lambda draw: ((array(draw, ("float64",), shape=(9, 2)),), {"bins": 3}),
}  # fmt: skip
FORMS["astype"] = lambda draw: ((array(draw), draw(st.sampled_from(DTYPES))), {})
