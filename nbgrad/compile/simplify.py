"""Simplify: common subexpressions, dead nodes, constants, and algebra that is exact in IEEE arithmetic.

before: ``t = x * 1; y = transpose(transpose(t)); z = x + y``    after: ``z = x + x``

A rewrite is a function ``rewrite(node, inputs) -> node or None`` under the primitive it starts from, with
the reason that makes it exact.  A rule that is exact only for some values of x does not belong here.
"""

import numpy

from nbgrad import graph, shapes
from nbgrad.dtypes import FLOAT16, FLOAT32
from nbgrad.graph import Node, is_constant

_rewrites = {}


def rewrite(*names):
    """Register a rewrite for primitives of these names."""

    def declare(function):
        for name in names:
            _rewrites.setdefault(name, []).append(function)
        return function

    return declare


def simplify(inputs, outputs):
    """(inputs, captured, outputs): a fresh graph that computes the same.

    `inputs` become leaves without a value; leaves that are not among them are captured with their value,
    and listed.  Nodes behind `inputs`, and nodes that no output needs, are left out.
    """
    fresh, captured, table = {}, [], {}
    for node in inputs:
        fresh[node] = Node(None, (), (), node.shape, node.dtype)
    starts = set(inputs)
    for node in graph.topological(outputs, stop=lambda n: n in starts or (n.value is not None)):
        if node in fresh:
            continue
        if node.primitive is None or node.value is not None:
            new = Node(None, (), (), node.shape, node.dtype)
            new.note(value=node.value)
            captured.append(new)
            fresh[node] = new
            continue
        moved = tuple(fresh[i] for i in node.inputs)
        make = made if node.primitive.kind in ("view", "cast", "constant") else _made_wide
        fresh[node] = make(node.primitive, moved, node.attrs, node.shape, node.dtype, table)
    if graph.state.watched:
        for node, new in fresh.items():
            if new.fact("origin") is None:  # of several equal nodes the first
                new.note(origin=node)
    return [fresh[n] for n in inputs], captured, [fresh[n] for n in outputs]


def _made_wide(primitive, inputs, attrs, shape, dtype, table):
    """The same, where float16 is computed in float32 and rounded: no CPU computes in it."""
    if dtype != FLOAT16 and not any(x.dtype == FLOAT16 for x in inputs):
        return made(primitive, inputs, attrs, shape, dtype, table)
    from nbgrad.kernels.casting import astype

    cast = lambda x, to: made(astype, (x,), (("dtype", to),), x.shape, to, table)  # noqa: E731
    wide = tuple(cast(x, FLOAT32) if x.dtype == FLOAT16 else x for x in inputs)
    y = made(primitive, wide, attrs, shape, FLOAT32 if dtype == FLOAT16 else dtype, table)
    return cast(y, dtype)


def made(primitive, inputs, attrs, shape, dtype, table):
    """A node for this application: an equal one that exists, a simpler one, or a new one."""
    key = (primitive, attrs, inputs) if inputs else (primitive, attrs, shape, dtype)
    found = table.get(key)
    if found is None:
        node = Node(primitive, inputs, attrs, shape, dtype)
        found = None
        for rule in _rewrites.get(primitive.name, ()):
            found = rule(node, lambda p, i, a, s, d: made(p, i, a, s, d, table))
            if found is not None:
                break
        if found is None:
            found = _folded(node, table)
        table[key] = found if found is not None else node
        found = table[key]
    return found


def _folded(node, table):
    """An elementwise primitive of constants is a constant; all elements are equal, so one number suffices."""
    primitive = node.primitive
    if primitive.kind not in ("elementwise", "cast") or not node.inputs or not all(is_constant(i) for i in node.inputs):
        return None
    with numpy.errstate(all="ignore"):
        values = [numpy.array(i.attrs[0], i.dtype) for i in node.inputs]
        value = numpy.asarray(primitive.reference(*values, **dict(node.attrs)), node.dtype)
    return _constant(value, node, table)


def _constant(value, node, table):
    key = graph.constant_primitive(), (repr(value), str(node.dtype)), node.shape
    if key not in table:
        table[key] = graph.constant(value, node.dtype, node.shape)
    return table[key]


def _only_if_same(node, x):
    """`x` in place of `node` if nothing but the value was at stake."""
    return x if x.shape == node.shape and x.dtype == node.dtype else None


@rewrite("multiply")
def times_one(node, make):
    """x * 1 = x for every x, nan and -0 included."""
    a, b = node.inputs
    if is_constant(b, 1):
        return _spread(node, a, make)
    if is_constant(a, 1):
        return _spread(node, b, make)
    return None


@rewrite("divide")
def over_one(node, make):
    """x / 1 = x."""
    a, b = node.inputs
    return _spread(node, a, make) if is_constant(b, 1) else None


@rewrite("subtract")
def minus_zero(node, make):
    """x - 0 = x, also for x = -0 (x + 0 is another matter)."""
    a, b = node.inputs
    return _spread(node, a, make) if is_constant(b, 0) and not numpy.signbit(b.attrs[0]) else None


@rewrite("negative")
def minus_minus(node, make):
    """-(-x) = x: the sign bit is flipped twice."""
    (x,) = node.inputs
    return x.inputs[0] if x.primitive is node.primitive else None


@rewrite("positive", "identity", "stop_gradient")
def same(node, make):
    """The value is that of the input."""
    return node.inputs[0]


@rewrite("ruled")
def without_a_rule(node, make):
    """The value is that of an input, and what its derivatives are has been settled."""
    return node.inputs[dict(node.attrs)["index"]]


@rewrite("astype")
def same_dtype(node, make):
    """A cast to the dtype x has, or had before a cast that kept its every value."""
    (x,) = node.inputs
    if x.primitive is node.primitive and x.inputs[0].dtype == node.dtype and _keeps(node.dtype, x.dtype):
        return x.inputs[0]
    return _only_if_same(node, x)


def _keeps(narrow, wide):
    """Whether every value of one dtype is one of the other; NumPy calls int64 to float64 safe, which rounds."""
    rounds = wide.kind == "f" and narrow.kind in "iu" and narrow.itemsize == 8
    return numpy.can_cast(narrow, wide, "safe") and not rounds


@rewrite("matmul")
def product_without_a_matrix(node, make):
    """A product over an axis of extent 1 is elementwise; a matrix times a vector is a sum that fuses.

    Sums are taken in another order than BLAS would, as any two BLAS libraries do.
    """
    from nbgrad.kernels.arithmetic import multiply
    from nbgrad.kernels.reduction import sum as sum_
    from nbgrad.kernels.shape import broadcast_to, reshape, transpose

    if node.dtype.kind != "f":
        return None
    x1, x2 = node.inputs
    m, k, n = x1.shape[-2], x1.shape[-1], x2.shape[-1]
    if k == 1:
        return make(multiply, (x1, x2), (), node.shape, node.dtype)
    if len(node.shape) != 2 or 1 not in (m, n) or m == n:
        return None
    if n == 1:  # each row of x1 times x2
        matrix, vector = x1, make(reshape, (x2,), (("shape", (1, k)),), (1, k), node.dtype)
    else:  # x1 times each row of the transpose of x2: each column of x2
        matrix = make(transpose, (x2,), (("axes", (1, 0)),), (n, k), node.dtype)
        vector = x1
    if matrix.primitive is not None and matrix.primitive.name == "transpose":  # sum rows, do not stride over them
        (whole,) = matrix.inputs
        vector = make(reshape, (vector,), (("shape", (k, 1)),), (k, 1), node.dtype)
        shape, axis = whole.shape, 0
    else:
        whole, shape, axis = matrix, matrix.shape, 1
    spread = make(broadcast_to, (vector,), (("shape", shape),), shape, node.dtype)
    product = make(multiply, (whole, spread), (), shape, node.dtype)
    total = make(sum_, (product,), (("axes", (axis,)),), (shape[1 - axis],), node.dtype)
    return make(reshape, (total,), (("shape", node.shape),), node.shape, node.dtype)


@rewrite("sum")
def sum_of_products_without_a_matrix(node, make):
    """Batches of products of a row and a matrix that are added up: one sum, which fuses."""
    from nbgrad.kernels.arithmetic import multiply
    from nbgrad.kernels.reduction import sum as sum_
    from nbgrad.kernels.shape import broadcast_to, reshape, transpose

    (x,) = node.inputs
    if x.primitive is None or x.primitive.name != "matmul" or node.dtype.kind != "f":
        return None
    x1, x2 = x.inputs
    axes, rank = node.attrs[0][1], len(x.shape)
    m, n = x.shape[-2:]
    if 1 not in (m, n) or max(axes) >= rank - 2 or not x1.shape[:-2] == x2.shape[:-2] == x.shape[:-2]:
        return None
    whole, vector, summed = (x2, x1, rank - 2) if m == 1 else (x1, x2, rank - 1)
    swapped = (*range(rank - 2), rank - 1, rank - 2)
    shape = (*vector.shape[:-2], vector.shape[-1], vector.shape[-2])
    vector = make(transpose, (vector,), (("axes", swapped),), shape, vector.dtype)
    spread = make(broadcast_to, (vector,), (("shape", whole.shape),), whole.shape, vector.dtype)
    product = make(multiply, (whole, spread), (), whole.shape, node.dtype)
    left = tuple(e for a, e in enumerate(whole.shape) if a not in axes and a != summed)
    total = make(sum_, (product,), (("axes", (*axes, summed)),), left, node.dtype)
    return make(reshape, (total,), (("shape", node.shape),), node.shape, node.dtype)


@rewrite("sum")
def sum_of_truth(node, make):
    """A sum of booleans that is a boolean says whether there is any."""
    from nbgrad.kernels.reduction import any as any_

    return make(any_, node.inputs, node.attrs, node.shape, node.dtype) if node.dtype.kind == "b" else None


@rewrite("solve")
def triangular_equation(node, make):
    """What `cholesky` returns is triangular: no factorisation needed."""
    from nbgrad.kernels.linalg import solve_triangular

    a, b = node.inputs
    below = a
    transposed = a.primitive is not None and a.primitive.name == "transpose"
    if transposed:
        (below,) = a.inputs
        rank = len(a.shape)
        if a.attrs[0][1] != (*range(rank - 2), rank - 1, rank - 2):
            return None
    if below.primitive is None or below.primitive.name != "cholesky":
        return None
    attrs = (("lower", True), ("transposed", transposed))
    return make(solve_triangular, (below, b), attrs, node.shape, node.dtype)


@rewrite("reshape")
def reshape_chain(node, make):
    """Of two reshapes the last one decides; a reshape to the same shape does nothing."""
    (x,) = node.inputs
    if x.shape == node.shape:
        return x
    if is_constant(x):
        return graph.constant(x.attrs[0], x.dtype, node.shape)
    if x.primitive is node.primitive:
        return make(node.primitive, x.inputs, node.attrs, node.shape, node.dtype)
    return None


@rewrite("broadcast_to")
def broadcast_chain(node, make):
    """Of two broadcasts the last one decides; a constant has any shape."""
    (x,) = node.inputs
    if x.shape == node.shape:
        return x
    if is_constant(x):
        return graph.constant(x.attrs[0], x.dtype, node.shape)
    if x.primitive is node.primitive:
        return make(node.primitive, x.inputs, node.attrs, node.shape, node.dtype)
    return None


@rewrite("transpose")
def transpose_chain(node, make):
    """Two transposes are one; the identity permutation is none."""
    (x,) = node.inputs
    axes = node.attrs[0][1]
    if axes == tuple(range(len(axes))):
        return x
    if is_constant(x):
        return graph.constant(x.attrs[0], x.dtype, node.shape)
    if x.primitive is node.primitive:
        inner = x.attrs[0][1]
        joined = tuple(inner[a] for a in axes)
        return make(node.primitive, x.inputs, (("axes", joined),), node.shape, node.dtype)
    return None


@rewrite("transpose")
def transpose_of_outer(node, make):
    """A transposed outer product (sum, ...) is one of the transposed factors: it fuses, and they are small to read."""
    (x,) = node.inputs
    axes = node.attrs[0][1]
    if x.primitive is None or x.primitive.kind != "elementwise" or any(i.shape == x.shape for i in x.inputs):
        return None
    from nbgrad.kernels.shape import reshape

    factors = []
    for i in x.inputs:
        full = (1,) * (len(x.shape) - len(i.shape)) + i.shape
        if full != i.shape:
            i = make(reshape, (i,), (("shape", full),), full, i.dtype)
        shape = tuple(full[a] for a in axes)
        factors.append(make(node.primitive, (i,), node.attrs, shape, i.dtype))
    return make(x.primitive, tuple(factors), x.attrs, node.shape, node.dtype)


@rewrite("slice_")
def whole_slice(node, make):
    """A slice that takes everything in order; a slice of a constant."""
    (x,) = node.inputs
    if is_constant(x):
        return graph.constant(x.attrs[0], x.dtype, node.shape)
    if all(
        start == 0 and step == 1 and count == n
        for (start, step, count), n in zip(node.attrs[0][1], x.shape, strict=True)
    ):
        return x
    return None


@rewrite("concatenate")
def slices_side_by_side(node, make):
    """Parts of an array that follow each other in it along its first axis are one part of it, reshaped or not."""
    from nbgrad.kernels.shape import reshape, slice_

    whole, first, end = None, 0, None
    if node.attrs[0][1] != 0 or len(node.inputs) < 2:
        return None
    for x in node.inputs:
        sliced = x.inputs[0] if x.primitive is reshape else x
        if sliced.primitive is not slice_ or (whole is not None and sliced.inputs[0] is not whole):
            return None
        (start, step, count), *others = sliced.attrs[0][1]
        (whole,) = sliced.inputs
        if step != 1 or start != (start if end is None else end) or 0 in x.shape:
            return None
        if any((s, t, n) != (0, 1, e) for (s, t, n), e in zip(others, whole.shape[1:], strict=True)):
            return None
        if end is None:
            first = start
        end = start + count
    spec = ((first, 1, end - first), *((0, 1, n) for n in whole.shape[1:]))
    shape = (end - first, *whole.shape[1:])
    part = make(slice_, (whole,), (("spec", spec),), shape, node.dtype)
    return make(reshape, (part,), (("shape", node.shape),), node.shape, node.dtype)


@rewrite("take")
def taken_of_a_constant(node, make):
    """All elements of a constant are equal."""
    (x, _) = node.inputs
    return graph.constant(x.attrs[0], x.dtype, node.shape) if is_constant(x) else None


@rewrite("slice_")
def slice_of_what_is_taken(node, make):
    """What is taken of a slice: fewer elements are taken, and by the nest that uses them."""
    (x,) = node.inputs
    if x.primitive is None or x.primitive.name != "take":
        return None
    (whole, i), axis, spec = x.inputs, dict(x.attrs)["axis"], node.attrs[0][1]
    behind = axis + len(i.shape)
    of_indices, of_whole = spec[axis:behind], (*spec[:axis], (0, 1, whole.shape[axis]), *spec[behind:])

    def part(y, spec):
        return make(node.primitive, (y,), (("spec", spec),), tuple(count for _, _, count in spec), y.dtype)

    return make(x.primitive, (part(whole, of_whole), part(i, of_indices)), x.attrs, node.shape, node.dtype)


@rewrite("reshape")
def reshape_of_what_is_taken(node, make):
    """What is taken of a reshaped array, where the axes of the indices stay."""
    (x,) = node.inputs
    if x.primitive is None or x.primitive.name != "take" or dict(x.attrs)["axis"] != 0:
        return None
    whole, i = x.inputs
    shape = whole.shape[:1] + node.shape[len(i.shape) :]
    if node.shape[: len(i.shape)] != i.shape or shapes.size(shape) != shapes.size(whole.shape):
        return None
    return make(x.primitive, (make(node.primitive, (whole,), (("shape", shape),), shape, x.dtype), i), x.attrs,
                node.shape, node.dtype)  # fmt: skip


@rewrite("embed")
def nothing_around(node, make):
    """An embedding that fills the whole in order."""
    (x,) = node.inputs
    in_order = all((start, step) == (0, 1) or n == 1 for (start, step, n) in dict(node.attrs)["spec"])
    return x if x.shape == node.shape and in_order else None


@rewrite("sum", "prod", "max", "min")
def over_no_axes(node, make):
    """A reduction over no axes."""
    return node.inputs[0] if not node.attrs[0][1] else None


@rewrite("add", "add_n")
def sum_of_embedded(node, make):
    """Embedded cotangents are added into their place: x + 0 = x but for the sign of zero.

    Dense cotangents are summed first, whatever the order: a sum of cotangents has no order of its own.
    """
    if node.dtype.kind != "f" or not any(_is_embedded(x, node) for x in node.inputs):
        return None
    from nbgrad.kernels.arithmetic import add
    from nbgrad.kernels.shape import add_n, add_slices, embed

    def total(xs):
        return xs[0] if len(xs) == 1 else make(add if len(xs) == 2 else add_n, tuple(xs), (), xs[0].shape, node.dtype)

    dense, placed = [], {}
    for x in node.inputs:
        if not _is_embedded(x, node):
            dense.append(x)
        else:
            placed.setdefault(x.attrs, []).append(x)
    if any(x.shape != node.shape for x in dense):
        return None
    parts = []
    for attrs, same in placed.items():  # what goes to the same place is added up before
        x = total([x.inputs[0] for x in same])
        parts.append(make(embed, (x,), attrs, node.shape, node.dtype) if len(same) > 1 else same[0])
    whole = None if dense else _side_by_side(parts, node, make)
    if whole is not None:
        return whole
    base, parts = (total(dense), parts) if dense else (parts[0], parts[1:])
    if not parts:
        return base
    specs = tuple(dict(x.attrs)["spec"] for x in parts)
    return make(add_slices, (base, *(x.inputs[0] for x in parts)), (("specs", specs),), node.shape, node.dtype)


def _side_by_side(parts, node, make):
    """A concatenation in place of embedded arrays that fill a whole, one beside the other; None for others."""
    from nbgrad.kernels.shape import concatenate

    specs = [dict(x.attrs)["spec"] for x in parts]
    full = [[place == (0, 1, n) for place, n in zip(spec, node.shape, strict=True)] for spec in specs]
    partial = {axis for within in full for axis, whole in enumerate(within) if not whole}
    if len(partial) != 1 or len(parts) < 2:
        return None
    (axis,) = partial
    placed = sorted(((spec[axis], x.inputs[0]) for spec, x in zip(specs, parts, strict=True)), key=lambda p: p[0])
    end = 0
    for (start, step, count), _ in placed:
        if start != end or (step != 1 and count > 1):
            return None
        end = start + count
    if end != node.shape[axis]:
        return None
    return make(concatenate, tuple(x for _, x in placed), (("axis", axis),), node.shape, node.dtype)


@rewrite("concatenate")
def flat_concatenation(node, make):
    """Parts of parts along the same axis; along a first axis they are made in place as they are."""
    if shapes.size(node.shape[: node.attrs[0][1]]) == 1 or not any(
        x.primitive is node.primitive and x.attrs == node.attrs for x in node.inputs
    ):
        return None
    parts = []
    for x in node.inputs:
        parts += x.inputs if x.primitive is node.primitive and x.attrs == node.attrs else (x,)
    return make(node.primitive, tuple(parts), node.attrs, node.shape, node.dtype)


def _is_embedded(x, node):
    return x.primitive is not None and x.primitive.name == "embed" and x.shape == node.shape


@rewrite("add_n")
def flat_sum(node, make):
    """A sum of one is that one."""
    return node.inputs[0] if len(node.inputs) == 1 else None


def _spread(node, x, make):
    """`x` with the shape of `node`."""
    if x.dtype != node.dtype:
        return None
    if x.shape == node.shape:
        return x
    if is_constant(x):
        return graph.constant(x.attrs[0], x.dtype, node.shape)
    from nbgrad.kernels.shape import broadcast_to

    return make(broadcast_to, (x,), (("shape", node.shape),), node.shape, node.dtype)
