"""Rows: which nests can run together, a few rows at a time.

before: groups [maximum of each row] [exp and its sum] [quotients]    after: one `Rows` of these three

A group belongs to the rows of another when everything it reads of it is of the same row.  What is stored
between them is then read while it is in cache, and what nobody else reads needs memory for few rows only.
"""

import heapq

from nbgrad import graph, shapes
from nbgrad.compile.fuse import awaited, gathers_from, is_elementwise, reads_of
from nbgrad.compile.indexed import scatters
from nbgrad.compile.simplify import made

#: Reductions that may be taken in two steps.
_STEPS = ("sum", "prod", "max", "min")
#: Bytes of the rows that go through all groups together: a part of the fastest cache.
BLOCK = 1 << 13
#: Groups of a program from which it is left as it is: the search is quadratic.
LONGEST = 4000


class Rows:
    """Groups that run row by row, in order.

    Attributes
    ----------
    groups : list of Group
    domain, axes : tuple
        The largest domain, and those of its axes that lie within a row.
    gathered : set of Node
        Reductions over the rows themselves: each chunk of rows has its part, joined when all are done.
    """

    __slots__ = ("axes", "domain", "gathered", "groups", "made", "mask", "users")

    def __init__(self, group):
        self.domain, self.axes, self.groups, self.made = group.domain, group.axes, [], {}
        self.gathered = set()
        self.mask = self.users = 0

    @property
    def rows(self):
        """Number of rows."""
        return shapes.size(n for i, n in enumerate(self.domain) if i not in self.axes)

    @property
    def length(self):
        """Elements of a row."""
        return shapes.size(self.domain[i] for i in self.axes)

    def height(self, plan):
        """Rows that go through all groups together: what they read and write fits into the fastest cache."""
        whole, widths = self.rows * self.length, {}
        for group in self.groups:
            for x in (*reads_of(plan, group), *(n for n in group.nodes if plan.stored[n])):
                origin = plan.sources[x].origin
                in_memory = plan.stored.get(origin, not graph.is_constant(origin))
                if in_memory and shapes.size(origin.shape) >= whole:
                    widths[origin] = origin.dtype.itemsize
        return max(1, BLOCK // max(self.length * sum(widths.values()), 1))

    def inner(self, group):
        """The axes of a group that lie within a row."""
        return self.axes if group.domain == self.domain else ()

    def add(self, k, group):
        """Take group number `k` in."""
        self.groups.append(group)
        self.mask |= 1 << k
        for node in group.nodes:
            self.made[node] = self.inner(group)
        if self.gathers(group):
            self.gathered.update(group.reductions)
        else:
            self.made.update(dict.fromkeys(group.reductions, ()))

    def gathers(self, group):
        """Whether the reductions of a group are over all rows."""
        inner = self.inner(group)
        return bool(group.reductions) and all(
            n == 1 or (i in group.axes) == (i not in inner) for i, n in enumerate(group.domain)
        )

    def takes(self, plan, group, reads):
        """Whether a group may join."""
        if group.domain != self.domain:
            kept = tuple(n for i, n in enumerate(self.domain) if i not in self.axes and n != 1)
            if tuple(n for n in group.domain if n != 1) != kept or (group.reductions and not self.gathers(group)):
                return False
        elif group.reductions and group.axes != self.axes and not self.gathers(group):
            return False
        if any((o := plan.sources[x].origin) in self.gathered or (o in plan.inside and o in self.made) for x in reads):
            return False
        if any(o in self.made for o in gathers_from(plan, group)):
            return False
        if any(plan.sources[x].origin in self.made for x in awaited(plan, group)):
            return False
        return all(self._of_the_row(plan.sources[x].broadcast(group.domain), group) for x in reads
                   if plan.sources[x].origin in self.made)  # fmt: skip

    def _of_the_row(self, view, group):
        """Whether a view of something made here has its elements of a row in that row."""
        inner, within = self.inner(group), self.made[view.origin]
        if within and not inner:
            return False
        step, expected = 1, [0] * len(group.domain)
        for i in reversed(range(len(group.domain))):
            if i in inner and not within:
                continue
            expected[i] = step
            step *= group.domain[i]
        return view.offset == 0 and all(
            n == 1 or s == e for n, s, e in zip(group.domain, view.strides, expected, strict=True)
        )


def in_steps(outputs, order):
    """`outputs`, where reductions of whole rows and more have two steps, rows first, if others reduce the same rows.

    before: ``sum(x * y)`` beside ``max(x, axis=1)``    after: ``sum(sum(x * y, axis=1))``
    """
    within = {}
    for node in order:
        if node.primitive is not None and node.primitive.kind == "reduction":
            shape, axes = node.inputs[0].shape, dict(node.attrs)["axes"]
            if _trailing(shape, axes):
                within.setdefault(shape, axes)
    if not any(_in_two(node, within) for node in order):
        return outputs
    table, fresh = {}, {}
    for node in order:
        if node.primitive is None:
            fresh[node] = node
            continue
        inputs = tuple(fresh[x] for x in node.inputs)
        rows = _in_two(node, within)
        if rows:
            axes = dict(node.attrs)["axes"]
            shape = shapes.without(inputs[0].shape, rows)
            inputs = (made(node.primitive, inputs, (("axes", rows),), shape, node.dtype, table),)
            rest = tuple(a - sum(r < a for r in rows) for a in axes if a not in rows)
            fresh[node] = made(node.primitive, inputs, (("axes", rest),), node.shape, node.dtype, table)
        else:
            fresh[node] = made(node.primitive, inputs, node.attrs, node.shape, node.dtype, table)
    return [fresh[n] for n in outputs]


def _in_two(node, within):
    """The axes of the rows over which a node reduces first, or ()."""
    if node.primitive is None or node.primitive.name not in _STEPS:
        return ()
    rows = within.get(node.inputs[0].shape, ())
    return rows if rows and set(rows) < set(dict(node.attrs)["axes"]) else ()


def _trailing(shape, axes):
    """Whether axes are the last ones of a shape, and not all of them."""
    kept = [i for i, n in enumerate(shape) if n != 1 and i not in axes]
    within = [i for i, n in enumerate(shape) if n != 1 and i in axes]
    return bool(kept and within) and max(kept) < min(within)


def _seeds(plan, group):
    """Whether rows may start with a group: it reduces the last axes of a domain, and not all of them."""
    return bool(group.reductions) and not scatters(group) and _trailing(group.domain, group.axes)


def _single(group):
    return not group.reductions and not is_elementwise(group.nodes[0])


def in_rows(plan):
    """`plan.groups` in an order of execution, with `Rows` in place of the groups that they hold."""
    groups = plan.groups
    if len(groups) > LONGEST or not any(_seeds(plan, g) for g in groups):
        return groups
    maker = {n: k for k, g in enumerate(groups) for n in (*g.nodes, *g.reductions)}
    reads = [list(reads_of(plan, g)) for g in groups]
    needs = [{maker[o] for x in r if (o := plan.sources[x].origin) in maker} - {k} for k, r in enumerate(reads)]
    before, of, found = [], {}, []
    for k, group in enumerate(groups):
        mask = 0
        for d in needs[k]:
            mask |= before[d] | 1 << d
        before.append(mask)
        home = None
        if not _single(group) and not scatters(group):
            for rows in dict.fromkeys(of[d] for d in sorted(needs[k], reverse=True) if d in of):
                if not mask & rows.users & ~rows.mask and rows.takes(plan, group, reads[k]):
                    home = rows
                    break
            if home is None and _seeds(plan, group):
                home = Rows(group)
                found.append(home)
        if home is not None:
            home.add(k, group)
            of[k] = home
        for rows in found:
            if rows is not home and (mask | (home.mask if home else 0)) & (rows.mask | rows.users):
                rows.users |= home.mask if home else 1 << k
    return _ordered(groups, needs, of) or groups


def _ordered(groups, needs, of):
    """Units so that each runs after those it needs, else in the order of the groups; None if there is a cycle."""
    units = {}
    for k, group in enumerate(groups):
        rows = of.get(k)
        units.setdefault(rows if rows is not None and len(rows.groups) > 1 else group, []).append(k)
    names = list(units)
    unit_of = {k: u for u, members in enumerate(units.values()) for k in members}
    after, waiting = [[] for _ in names], [0] * len(names)
    for u, members in enumerate(units.values()):
        needed = {unit_of[d] for k in members for d in needs[k]} - {u}
        waiting[u] = len(needed)
        for d in needed:
            after[d].append(u)
    ready, done = [u for u, n in enumerate(waiting) if not n], []
    while ready:
        u = heapq.heappop(ready)
        done.append(names[u])
        for v in after[u]:
            waiting[v] -= 1
            if not waiting[v]:
                heapq.heappush(ready, v)
    return done if len(done) == len(names) else None
