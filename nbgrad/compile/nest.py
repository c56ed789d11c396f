"""A fused group as a loop nest: axes merged, strides classified, values in order.

before: a (64, 32) domain whose operands are all contiguous    after: one axis of extent 2048
"""

from nbgrad import graph, shapes
from nbgrad.compile.indexed import Indices, along_indices, is_gather, is_scatter, of_indices, scatters


class Operand:
    """A pointer of the nest: what it points to, and one stride per axis of the nest.

    `around` is the embedding inside of whose memory it points, `indices` are those of what is gathered.
    """

    __slots__ = ("around", "dtype", "indices", "mode", "node", "strides", "view")

    def __init__(self, view, dtype, strides, node=None, around=None):
        self.view, self.dtype, self.strides, self.node, self.around = view, dtype, tuple(strides), node, around
        self.mode, self.indices = "set", None


class Nest:
    """Axes and operands of one launch.

    Attributes
    ----------
    extents : tuple of int
        Kept axes outside, then reduced ones; where `columns` holds, the last kept axis is innermost.
    reduced : tuple of bool
        Per axis.
    columns : bool
        The innermost axis is kept while outer ones are reduced: rows are accumulated in memory.
    loads : dict
        View key and dtype -> Operand.
    stores : list of Operand
        Elementwise results.
    results : list of Operand
        Results of reductions.
    values : list of Node
        What is computed for each element, in order.
    reads : dict
        Node that is read from memory, or gathered from it -> its key in `loads`.
    """

    __slots__ = ("columns", "extents", "loads", "reads", "reduced", "results", "stores", "values")

    def views(self):
        """What its pointers point to, in the order in which they are declared."""
        found = [o.view for o in (*self.loads.values(), *self.stores)]
        for o in self.results:
            found += (o.view, o.view)  # the result, and parts of it
        return found

    def structure(self, plan):
        """A key: nests of equal structure are the same kernel over the same words, apart from addresses."""
        index = {n: k for k, n in enumerate(self.values)}
        place = {key: -1 - k for k, key in enumerate(self.loads)}

        def reference(x):
            origin = plan.sources[x].origin
            if graph.is_constant(origin):
                return origin.attrs, origin.dtype.num
            found = index.get(x)
            return place[self.reads[x]] if found is None else found

        def inputs(node):
            return [place[self.reads[node]]] if is_gather(node) else [reference(x) for x in node.inputs]

        key = [self.extents, self.reduced, self.columns]
        for o in (*self.loads.values(), *self.stores):
            if o.indices is not None:
                at, step, extent = o.indices.key()
                key += (place.get(at, at), step, extent)
        for o in self.loads.values():
            key += (o.strides, o.dtype.num)
        for o in self.stores:
            key += (o.strides, o.dtype.num, o.mode, reference(o.node), o.around and (o.around.shape, o.around.attrs))
        for node in (*self.values, *(o.node for o in self.results)):
            key += (node.primitive, node.attrs, node.dtype.num, *inputs(node))
        for o in self.results:
            key += (o.strides, o.node.shape)
        return tuple(key)


def build(group, plan, targets, inner=None):
    """The Nest of a fused group; `targets(node)` is the view that a stored node is written to.

    `inner` are axes that stay innermost though nothing is reduced.
    """
    nest = Nest()
    domain = group.domain
    nest.loads, nest.stores, nest.results, nest.reads = {}, [], [], {}
    stored = [n for n in group.nodes if plan.stored[n]]
    nest.values = _demanded(group, plan, stored)
    computed = set(nest.values)
    for node in nest.values + group.reductions:
        if is_gather(node):
            _gather(nest, node, plan)
            continue
        for x in node.inputs[2:] if is_scatter(node) else node.inputs:
            if x not in computed and not graph.is_constant(plan.sources[x].origin):
                nest.reads[x] = _loaded(nest, plan.sources[x].broadcast(domain), x)
    for node in stored:
        view = targets(node)
        nest.stores.append(Operand(view, node.dtype, view.strides, node, plan.inside.get(node)))
    axes = group.axes or ()
    if scatters(group):
        _scatter(nest, *group.reductions, plan, targets)
        _arrange(nest, domain, (), None)
        return nest
    for node in group.reductions:
        left = list(shapes.contiguous_strides(node.shape))
        strides = [0 if i in axes else left.pop(0) for i in range(len(domain))]
        nest.results.append(Operand(targets(node), node.dtype, strides, node))
    _arrange(nest, domain, axes if inner is None else inner, inner)
    return nest


def load_key(x, plan, domain):
    """Operands that read the same elements are one."""
    return plan.sources[x].broadcast(domain).key(), x.dtype


def _loaded(nest, view, x):
    """The key of an operand that reads `x` by a view."""
    key = view.key(), x.dtype
    if key not in nest.loads:
        nest.loads[key] = Operand(view, x.dtype, view.strides, x)
    return key


def _indexed(nest, node, view, shape, plan):
    """An operand over `shape` by a view that the indices of `node` move; they are loaded too."""
    i, axis = node.inputs[1], dict(node.attrs)["axis"]
    at, load, number = plan.sources[i], None, None
    if graph.is_constant(at.origin):
        number = at.origin
    else:
        load = _loaded(nest, of_indices(at, shape, axis), i)
    moved = along_indices(view, shape, axis, len(i.shape))
    operand = Operand(moved, node.dtype, moved.strides, node)
    operand.indices = Indices(load, number, view.strides[axis], view.shape[axis])
    return operand


def _gather(nest, node, plan):
    """An operand for what `node` gathers."""
    operand = _indexed(nest, node, plan.sources[node.inputs[0]], node.shape, plan)
    nest.reads[node] = key = operand.view.key(), node.dtype, operand.indices.key()
    nest.loads.setdefault(key, operand)


def _demanded(group, plan, stored):
    """Nodes to evaluate for each element: members and recomputed ones that a result needs, inputs first."""
    members = set(group.nodes)
    inside = lambda x: x in members or (x in plan.recomputed and x.shape == group.domain)  # noqa: E731
    starts = [*stored, *(x for r in group.reductions for x in r.inputs if inside(x))]
    needed, found = set(starts), []
    for node in reversed(group.nodes):  # in order, and mostly nothing else is needed
        if node in needed:
            found.append(node)
            needed.update(x for x in node.inputs if inside(x))
    if len(found) == len(needed):
        return found[::-1]
    found = {}
    for node in graph.topological(starts, stop=lambda n: not inside(n)):
        if inside(node):
            found[node] = None
    return list(found)


def _scatter(nest, node, plan, targets):
    """An operand for where `node` writes."""
    v = node.inputs[2]
    operand = _indexed(nest, node, targets(node), v.shape, plan)
    operand.node, operand.mode = v, "add" if node.primitive.name == "scatter_add" else "set"
    nest.stores.append(operand)


#: Elements of an axis up to which it may go inside of a shorter one: what it strides over stays in a cache.
LONGEST_STRIDED = 4096
#: Elements that are computed together, and what one costs whose neighbours are elsewhere.
TOGETHER, APART = 16, 4
#: Values from which a nest is long; sums over the same elements from which few columns are summed one by one.
LONG, MANY_SUMS = 16, 8


def _cost(axis, work):
    """Of an element, about, with this axis innermost: what is computed and moved, in vectors that may not be full."""
    extent, strides, _ = axis
    moved = sum(0 if s == 0 else 1 if s == 1 else APART for s in strides)
    return (work + moved) * max(1, TOGETHER / max(extent, 1))


def _arrange(nest, domain, axes, inner):
    """Drop axes of extent 1, put kept axes outside, merge what may be merged."""
    operands = [*nest.loads.values(), *nest.stores, *nest.results]
    keep = [i for i, n in enumerate(domain) if n != 1]
    kept, reduced = [i for i in keep if i not in axes], [i for i in keep if i in axes]
    nest.columns = bool(nest.results and reduced and kept and keep[-1] in kept)
    if nest.columns and inner is None and domain[keep[-1]] < TOGETHER // 2:
        # few columns: sums along the rows, in registers, where reading them apart is not what takes the time
        nest.columns = len(nest.results) < MANY_SUMS
    order = kept[:-1] + reduced + kept[-1:] if nest.columns else kept + reduced
    merged = []
    for i in order:
        strides = [o.strides[i] for o in operands]
        tag = i in reduced
        if merged:
            n, outer, outer_tag = merged[-1]
            if outer_tag == tag and all(a == b * domain[i] for a, b in zip(outer, strides, strict=True)):
                merged[-1] = n * domain[i], strides, tag
                continue
        merged.append((domain[i], strides, tag))
    # one kernel serves all shapes, but for long nests: with few columns they are worth another one
    in_order = any(t for _, _, t in merged) or any(o.indices is not None for o in nest.stores)
    if len(nest.values) >= LONG and len(merged) > 1 and not in_order and not inner:
        work = sum(n.primitive.cost for n in nest.values)
        if _cost(merged[-2], work) < _cost(merged[-1], work) and merged[-2][0] <= LONGEST_STRIDED:
            merged[-2:] = reversed(merged[-2:])
    nest.extents = tuple(n for n, _, _ in merged)
    nest.reduced = tuple(t for _, _, t in merged)
    for k, o in enumerate(operands):
        o.strides = tuple(s[k] for _, s, _ in merged)
