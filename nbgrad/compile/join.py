"""Join: many small products of matrices become one larger product.

before: ``x0 @ w0 + x1 @ w1 + ...``        after: ``[x0 x1 ...] @ [w0; w1; ...]``
before: ``x0.T @ g``, ``x1.T @ g``, ...    after: parts of ``[x0 x1 ...].T @ g``
before: ``x @ w0``, ``x @ w1``             after: parts of ``x @ [w0 w1]``
before: ``x0 @ w``, ``x1 @ w``, ...        after: parts of ``[x0; x1; ...] @ w``

A product with a few rows or columns is far from what BLAS can do.  A convolution written as a sum over its
taps is both, forward and backward, and the joined ``[x0 x1 ...]`` is one array for both: the matrix that
Chellapilla, Puri and Simard 2006, High performance convolutional neural networks for document processing,
unroll a convolution to.  The steps of a recurrent network are joined where they do not wait for each other:
their products with the input, and the gradient of each weight, which is a sum over the steps.  Sums are taken
in another order than they were written in.
"""

from collections import Counter, defaultdict

from nbgrad import shapes
from nbgrad.compile.simplify import made

#: Products from which joining them pays, their largest extent along the joined axis, their rows at least.
LEAST, SMALL, ROWS = 4, 32, 64
#: Rows from which a few products with one left side are one, and columns that they may have together: their parts
#: lie apart, so that many of them cost more to read than the product gains.
TALL, WIDEST, FEW = 1024, 128, 3
#: Terms from which a sum of products is the sum over steps of a loop, whatever their rows; joined at most, for what
#: is joined should be in a cache still, and the memory of a step be free for later ones; longest axis of theirs.
STEPS, AT_ONCE, SHORT = 12, 64, 64


def join_products(outputs, order):
    """`outputs` in a graph that computes the same; they depend on the nodes in `order`."""
    if sum(_is(n, "matmul") for n in order) < 2:
        return outputs
    work = _Joining(order, outputs)
    return work.result(outputs) if work.joined else outputs


def _is(node, *names):
    return node.primitive is not None and node.primitive.name in names


def _swapped(node):
    """What a node is the matrix transpose of, or None."""
    rank = len(node.shape)
    if _is(node, "transpose") and node.attrs[0][1] == (*range(rank - 2), rank - 1, rank - 2):
        return node.inputs[0]
    return None


def _age(product):
    """One order for all who join the same arrays: that in which these were made."""
    left = product.inputs[0]
    return (_swapped(left) or left).serial


class _Joining:
    """Which nodes are joined: node -> (what builds it, the nodes it is built from)."""

    def __init__(self, order, outputs):
        self.joined, self.table, self.fresh = {}, {}, {}
        self._uses = Counter(x for n in order for x in n.inputs)
        self._uses.update(outputs)
        depth = {}  # nodes of one depth do not depend on each other
        for node in order:
            depth[node] = max((depth[x] for x in node.inputs), default=0) + _is(node, "matmul")
        self._sums(order)
        self._gradients(order, depth)
        self._beside(order, depth)
        self._below(order, depth)

    # ------------------------------------------------------------ what is joined

    def _sums(self, order):
        self._taken = set()
        absorbed = set()
        for node in reversed(order):
            if not _is(node, "add", "add_n") or node in absorbed:
                continue
            terms, pending = [], [node]
            while pending:
                x = pending.pop()
                for y in x.inputs:
                    if _is(y, "add", "add_n") and self._uses[y] == 1 and y.shape == node.shape:
                        absorbed.add(y)
                        pending.append(y)
                    else:
                        terms.append(y)
            found = [t for t in terms if self._uses[t] == 1 and self._short(t, node)]
            many = len(found) >= STEPS and len(node.shape) == 2
            if not many:
                found = [t for t in found if t.inputs[0].shape[-1] <= SMALL and shapes.size(t.shape[:-1]) >= ROWS]
            if len(found) >= LEAST:
                rest = [t for t in terms if t not in set(found)]
                found.sort(key=_age)
                groups = [found[k : k + AT_ONCE] for k in range(0, len(found), AT_ONCE)] if many else [found]
                self._taken.update(found)
                self.joined[node] = self._sum, (rest, *([t.inputs[i] for t in g] for g in groups for i in (0, 1)))

    def _short(self, x, node):
        """Whether a term is a product over a short axis, and with one matrix."""
        if not _is(x, "matmul") or x.dtype != node.dtype or x.dtype.kind != "f" or x.shape != node.shape:
            return False
        a, b = x.inputs
        return a.shape[-1] <= SHORT and len(b.shape) == 2

    def _gradients(self, order, depth):
        groups = defaultdict(list)
        for node in order:
            product = node
            if _is(node, "sum"):
                (product,) = node.inputs
                if node.attrs[0][1] != tuple(range(len(product.shape) - 2)) or self._uses[product] != 1:
                    continue
            if not _is(product, "matmul") or product in self._taken or product.dtype.kind != "f":
                continue
            a, b = product.inputs
            below = _swapped(a)
            if below is None or a.shape[-2] > SMALL or shapes.size(b.shape[:-1]) < ROWS:
                continue
            if (product is node and len(product.shape) != 2) or below.shape[:-1] != b.shape[:-1]:
                continue
            groups[b, below.shape[:-1], depth[node]].append((node, below))
        for (b, _, _), members in groups.items():
            if len(members) >= LEAST:
                members.sort(key=lambda m: m[1].serial)
                left = [below for _, below in members]
                for k, (node, _) in enumerate(members):
                    self.joined[node] = self._rows, ([b], left, k)

    def _beside(self, order, depth):
        """Products of one tall matrix with a few narrow ones: it is read, and packed by BLAS, only once."""
        groups = defaultdict(list)
        for node in order:
            if _is(node, "matmul") and node not in self._taken and node not in self.joined and node.dtype.kind == "f":
                a, b = node.inputs
                if len(a.shape) == len(b.shape) == 2 and a.shape[0] >= TALL and b.shape[1] > 1:
                    groups[a, depth[node]].append(node)
        for (a, _), members in groups.items():
            if 1 < len(members) <= FEW and sum(n.shape[1] for n in members) <= WIDEST:
                right = [n.inputs[1] for n in members]
                for k, node in enumerate(members):
                    self.joined[node] = self._columns, ([a], right, k)

    def _below(self, order, depth):
        """Products of matrices of a few rows with the same one."""
        groups = defaultdict(list)
        for node in order:
            if _is(node, "matmul") and node not in self._taken and node not in self.joined and node.dtype.kind == "f":
                a, b = node.inputs
                if len(a.shape) == len(b.shape) == 2 and a.shape[0] < ROWS and _swapped(a) is None:
                    groups[b, depth[node]].append(node)
        for (b, _), members in groups.items():
            if len(members) >= LEAST:
                members.sort(key=_age)
                left = [n.inputs[0] for n in members]
                for k, node in enumerate(members):
                    self.joined[node] = self._steps, ([b], left, k)

    # ------------------------------------------------------------ the new graph

    def result(self, outputs):
        """`outputs`, built anew."""
        pending = list(reversed(outputs))
        while pending:
            node = pending[-1]
            if node in self.fresh:
                pending.pop()
                continue
            build, parts = self.joined.get(node, (None, (node.inputs,)))
            missing = [x for part in parts if isinstance(part, (list, tuple)) for x in part if x not in self.fresh]
            if missing:
                pending += reversed(missing)
                continue
            pending.pop()
            if build is not None:
                self.fresh[node] = build(node, *parts)
            elif node.primitive is None:
                self.fresh[node] = node
            else:
                self.fresh[node] = self._made(
                    node.primitive, self._new(node.inputs), node.attrs, node.shape, node.dtype
                )
        return [self.fresh[n] for n in outputs]

    def _made(self, primitive, inputs, attrs, shape, dtype):
        return made(primitive, inputs, attrs, shape, dtype, self.table)

    def _new(self, nodes):
        return tuple(self.fresh[x] for x in nodes)

    def _concatenated(self, nodes, axis):
        from nbgrad.kernels.shape import concatenate

        first = nodes[0]
        axis %= len(first.shape)
        if axis == 1 and all(len(n.shape) == 2 and _swapped(n) for n in nodes):  # the rows of what is transposed
            return self._transposed(self._concatenated([_swapped(n) for n in nodes], 0))
        shape = (*first.shape[:axis], sum(n.shape[axis] for n in nodes), *first.shape[axis + 1 :])
        return self._made(concatenate, self._new(nodes), (("axis", axis),), shape, first.dtype)

    def _transposed(self, x):
        from nbgrad.kernels.shape import transpose

        return self._made(transpose, (x,), (("axes", (1, 0)),), x.shape[::-1], x.dtype)

    def _product(self, a, b):
        from nbgrad.kernels.linalg import matmul

        return self._made(matmul, (a, b), (), (*a.shape[:-1], b.shape[-1]), a.dtype)

    def _sum(self, node, rest, *parts):
        from nbgrad.kernels.arithmetic import add
        from nbgrad.kernels.shape import add_n

        pairs = zip(parts[::2], parts[1::2], strict=True)
        products = [self._product(self._concatenated(a, -1), self._concatenated(b, -2)) for a, b in pairs]
        terms = (*self._new(rest), *products)
        if len(terms) == 1:
            return terms[0]
        return self._made(add if len(terms) == 2 else add_n, terms, (), node.shape, node.dtype)

    def _rows(self, node, right, left, k):
        from nbgrad.kernels.shape import reshape

        joined, (b,) = self._concatenated(left, -1), self._new(right)
        rows = shapes.size(b.shape[:-1])
        flat = [
            self._made(reshape, (x,), (("shape", (rows, x.shape[-1])),), (rows, x.shape[-1]), x.dtype)
            for x in (joined, b)
        ]
        widths = [x.shape[-1] for x in left]
        return self._part(self._product(self._transposed(flat[0]), flat[1]), 0, widths, k)

    def _columns(self, node, left, right, k):
        (a,) = self._new(left)
        return self._part(self._product(a, self._concatenated(right, -1)), 1, [x.shape[-1] for x in right], k)

    def _steps(self, node, right, left, k):
        (b,) = self._new(right)
        return self._part(self._product(self._concatenated(left, 0), b), 0, [x.shape[0] for x in left], k)

    def _part(self, whole, axis, widths, k):
        """What became of the k-th of what was joined, of these widths, along an axis of the product of all."""
        from nbgrad.kernels.shape import slice_

        spec = shapes.part(whole.shape, axis, (sum(widths[:k]), 1, widths[k]))
        shape = tuple(count for _, _, count in spec)
        return self._made(slice_, (whole,), (("spec", spec),), shape, whole.dtype)
