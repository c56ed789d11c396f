"""Fuse: which nodes share a loop nest, and which values are stored.

before: ``t = exp(x); u = t * y; s = sum(u)``    after: one nest over x and y that stores s

A *nest* is a set of elementwise nodes of one shape (its domain) and of reductions of that shape.  Every
node gets a level: 0 reads only leaves, and a node that reads a stored value stands a level above the one
that made it, so nodes of one level and domain may always share a nest without a cycle.
"""

import heapq

from nbgrad import graph, shapes
from nbgrad.compile.indexed import divides, is_gather, is_scatter
from nbgrad.compile.storage import contiguous

#: Longest chain of elementwise nodes in one nest; long chains are cut here, so repeated structure repeats.
LONGEST_CHAIN = 48
#: The same where that saves three quarters of the values that nests pass on: a cut through a wide graph stores many.
LONGEST_WIDE_CHAIN = 96
#: Nodes up to which nests that only share an input are joined.
LARGEST_JOINED = 64
#: A value of at most this cost and this many reads is recomputed in a later nest rather than stored and read back.
RECOMPUTED = (3, 2)
#: The same of what is computed for a sum or scatter beside the nest that it came from: all that is stored is the sum.
SUMMED_AGAIN = (8, 4)
#: Elements side by side from which they are gathered again rather than stored.
GATHERED_AGAIN = 4
#: Elements up to which one thread may make what only it can scatter.
ONE_THREAD = 16384


class Group:
    """What becomes one launch (or a few): a nest, or a single node that has launches of its own."""

    __slots__ = ("axes", "domain", "nodes", "position", "reductions")

    def __init__(self, domain=None):
        self.domain, self.nodes, self.reductions, self.axes, self.position = domain, [], [], None, 0


class Plan:
    """The result of fusing: groups in execution order, and where each node reads from."""

    __slots__ = ("groups", "inside", "recomputed", "sources", "stored", "waits")

    def __init__(self, inside):
        self.groups, self.sources, self.stored, self.recomputed = [], {}, {}, set()
        self.inside, self.waits = inside, {}


#: Operands of a node up to which a kernel names each; a sum of more is a loop over them, the same for any number.
MOST_OPERANDS = 64


def is_elementwise(node):
    """Whether a node computes each element from the elements at the same place, and may do so beside others."""
    return (
        node.primitive is not None
        and node.primitive.kind in ("elementwise", "cast", "gather")
        and (len(node.inputs) <= MOST_OPERANDS or node.dtype.itemsize < 4)  # memory would round what registers hold
    )


def fuse(order, outputs, inside, partial):
    """A `Plan` for nodes in topological order.

    `inside` says what is made inside of the memory of its embedding, `partial` what is not put off until it is used.
    """
    plan = Plan(inside)
    plan.sources = sources = _sources(order, inside)
    plan.waits = _waits(order, sources)
    computed = [n for n in order if n.primitive is not None and sources[n].origin is n and not graph.is_constant(n)]
    elementwise = {n for n in computed if is_elementwise(n)}
    users = _users(computed, sources, elementwise, plan.waits)
    level = _levels(computed, sources, users, partial.union(outputs), elementwise, plan.waits)
    again = _decide_storage(plan, computed, users, level, set(outputs), elementwise)
    groups = _groups(plan, computed, level, elementwise, again)
    plan.groups = _scheduled(plan, groups, order)
    return plan


def _fusible(node, x, elementwise):
    """Whether `node` can read its input `x` in a register."""
    if x not in elementwise:
        return False
    if node in elementwise:
        return x.shape == node.shape and not is_gather(node)
    if is_scatter(node):
        shared = divides(node) or shapes.size(x.shape) <= ONE_THREAD
        return shared and x is node.inputs[2] and x not in node.inputs[:2]
    return node.primitive.kind == "reduction"


def _sources(order, inside):
    """For each node the view by which it is read; a view of itself for what is computed or given."""
    found = {}
    for node in order:
        view, around = None, inside.get(node)
        if around is not None:
            view = contiguous(node, around.shape).sliced(dict(around.attrs)["spec"])
        elif node.primitive is not None and node.primitive.name == "embed" and inside.get(node.inputs[0]) is node:
            view = contiguous(node.inputs[0], node.shape)
        elif node.primitive is not None and node.primitive.kind == "view":
            below, attrs = found[node.inputs[0]], dict(node.attrs)
            if not graph.is_constant(below.origin):
                view = _viewed(node.primitive.name, below, attrs)
        found[node] = view or contiguous(node, node.shape)
    return found


def _waits(order, sources):
    """For each node that is read through a barrier, what has to be there before it is read."""
    found = {}
    for node in order:
        if node.primitive is not None and sources[node].origin is not node:
            waits = tuple(w for x in node.inputs[:1] for w in found.get(x, ()))
            if node.primitive.name == "barrier" and not graph.is_constant(sources[node.inputs[1]].origin):
                waits += (node.inputs[1],)
            if waits:
                found[node] = waits
    return found


def _viewed(name, view, attrs):
    if name == "reshape":
        return view.reshaped(attrs["shape"])
    if name == "transpose":
        return view.transposed(attrs["axes"])
    if name == "broadcast_to":
        return view.broadcast(attrs["shape"])
    if name == "barrier":
        return view
    return view.sliced(attrs["spec"])


def _users(computed, sources, elementwise, waits):
    """For each computed node its (user, whether the user may hold it in a register)."""
    users = {n: [] for n in computed}
    for node in computed:
        for x in node.inputs:
            origin = sources[x].origin
            if origin in users:
                users[origin].append((node, origin is x and _fusible(node, x, elementwise)))
            for w in waits.get(x, ()):
                if sources[w].origin in users:
                    users[sources[w].origin].append((node, False))
    return users


def _levels(computed, sources, users, fixed, elementwise, waits):
    def passed_on(level):
        return sum(any(ok and level[u] != level[x] for u, ok in users[x]) for x in elementwise)

    level, cut = _chained(computed, sources, elementwise, waits, LONGEST_CHAIN)
    if cut:
        longer = _chained(computed, sources, elementwise, waits, LONGEST_WIDE_CHAIN)
        if 4 * passed_on(longer[0]) <= passed_on(level):
            level, cut = longer
    for x in {x for _, x in cut}:  # the end of a chain stays where it is, or all would be one chain again
        users[x] = [(u, ok and (u, x) not in cut) for u, ok in users[x]]
    for node in reversed(computed):  # a value used only later is computed later, and need not be stored
        if node in elementwise and node not in fixed and users[node] and all(ok for _, ok in users[node]):
            first = min(level[u] for u, _ in users[node])
            if first > level[node]:
                level[node] = first
    return level


def _chained(computed, sources, elementwise, waits, longest):
    """For each node its level, where chains of more than `longest` nodes are cut; and those cuts, as (user, value)."""
    level, depth, cut = {}, {}, set()
    for node in computed:
        best, chain = 0, 1
        for x in node.inputs:
            for w in waits.get(x, ()):
                if level.get(sources[w].origin, -1) >= best:
                    best, chain = level[sources[w].origin] + 1, 1
            origin = sources[x].origin
            if origin not in level:
                continue
            fuses = origin is x and _fusible(node, x, elementwise)
            if fuses and depth[x] < longest:
                if level[x] > best:
                    best, chain = level[x], depth[x] + 1
                elif level[x] == best:
                    chain = max(chain, depth[x] + 1)
            else:
                if level[origin] + 1 > best:
                    best, chain = level[origin] + 1, 1
                if fuses:  # the chain is cut here: x is read from memory
                    cut.add((node, x))
        level[node], depth[node] = best, chain
    return level, cut


def _decide_storage(plan, computed, users, level, outputs, elementwise):
    """Fills in what is stored and what is recomputed; returns ``again(x)``, which recomputes x if that is cheap."""
    reads = {}

    def again(x, summed=False):
        cost, read = reads[x]
        most = SUMMED_AGAIN if summed else RECOMPUTED
        if cost > most[0] or len(read) > most[1]:
            return False
        if not summed and not all(y.shape == x.shape or shapes.size(y.shape) == 1 for y in read):
            return False
        pending = [x]
        while pending:  # and what it held in registers, which no memory holds either
            x = pending.pop()
            plan.stored[x] = False
            plan.recomputed.add(x)
            pending += [i for i in x.inputs if i in reads and not plan.stored[i] and i not in plan.recomputed]
        return True

    for node in computed:
        held = all(ok and level[u] == level[node] for u, ok in users[node])
        plan.stored[node] = node in outputs or node not in elementwise or not held
        cost, read = node.primitive.cost, set()
        if is_gather(node):
            read.add(node)
            if shapes.size(node.inputs[0].shape[dict(node.attrs)["axis"] + 1 :]) < GATHERED_AGAIN:
                cost = SUMMED_AGAIN[0] + 1
        for x in () if is_gather(node) else node.inputs:
            below = reads.get(x)
            if below is None or plan.stored.get(x):
                if not graph.is_constant(x):
                    read.add(x)
            else:
                cost, read = cost + below[0], read | below[1]
        reads[node] = cost, read
        if node in elementwise and node not in outputs and plan.stored[node] and all(ok for _, ok in users[node]):
            again(node)
    return again


def _groups(plan, computed, level, elementwise, again):
    leader, members = {}, {}

    def find(n):
        while leader[n] is not n:
            leader[n] = leader[leader[n]]
            n = leader[n]
        return n

    def join(a, b, limit=None):
        a, b = find(a), find(b)
        if a is b or (limit and len(members[a]) + len(members[b]) > limit):
            return
        if len(members[a]) < len(members[b]):
            a, b = b, a
        leader[b] = a
        members[a] += members.pop(b)

    readers = {}
    for node in computed:
        if node not in elementwise:
            continue
        leader[node], members[node] = node, [node]
        if is_gather(node):
            continue
        for x in node.inputs:
            if x in leader and level[x] == level[node] and x.shape == node.shape:
                join(node, x)  # recomputed ones too: nests of one level must not read each other's memory
            elif node not in plan.recomputed and shapes.size(x.shape) > 1 and not graph.is_constant(x):
                key = level[node], node.shape, plan.sources[x].broadcast(node.shape).key()
                if key in readers:
                    join(node, readers[key], LARGEST_JOINED)
                else:
                    readers[key] = node
    groups, of = [], {}
    for lead, nodes in members.items():
        if all(n in plan.recomputed for n in nodes):
            continue
        group = Group(lead.shape)
        group.nodes = nodes
        groups.append(group)
        for n in nodes:
            of[n] = group
    for node in computed:
        if node in elementwise:
            continue
        group = None
        if node.primitive.kind == "reduction":
            (x,) = node.inputs
            axes = dict(node.attrs)["axes"]
            group = _group_for(plan, node, x, axes, level, of, readers)
            if group is None:
                group = Group(x.shape)
                groups.append(group)
                if x in of and not plan.stored[x] and x not in plan.recomputed and not again(x, summed=True):
                    plan.stored[x] = True  # two reductions over different axes: the second one reads memory
            group.axes = axes
            group.reductions.append(node)
            readers.setdefault(("reduction", level[node], x.shape, axes, plan.sources[x].key()), node)
        elif is_scatter(node):
            x = node.inputs[2]
            group = of[x] if x in of and is_elementwise(x) and level[x] == level[node] else None
            if group is None or group.axes is not None or not _fusible(node, x, elementwise):
                group = Group(x.shape)
                groups.append(group)
                if x in of and not plan.stored[x] and x not in plan.recomputed and not again(x, summed=True):
                    plan.stored[x] = True
            group.axes = ("scattered",)  # nothing else is reduced here
            group.reductions.append(node)
        else:
            group = Group(node.shape)
            group.nodes = [node]
            groups.append(group)
        of[node] = group
    return groups


def _group_for(plan, node, x, axes, level, of, readers):
    """An existing nest that a reduction of `x` over `axes` can join, or None."""
    candidates = []
    if is_elementwise(x) and x in of and level[x] == level[node]:
        candidates.append(of[x])
    key = plan.sources[x].key()
    sharing = readers.get((level[node], x.shape, key))
    if sharing is not None and sharing in of:
        candidates.append(of[sharing])
    sharing = readers.get(("reduction", level[node], x.shape, axes, key))
    if sharing is not None:
        candidates.append(of[sharing])
    for read in _read_for(plan, x) if x in plan.recomputed else ():
        sharing = readers.get((level[node], x.shape, plan.sources[read].broadcast(x.shape).key()))
        if sharing is not None and sharing in of:
            candidates.append(of[sharing])
    for group in candidates:
        if group.axes in (None, axes) and group.domain == x.shape:
            return group
    return None


def _read_for(plan, x):
    """What is read from memory to compute a recomputed value."""
    pending, seen = [x], set()
    while pending:
        for i in pending.pop().inputs:
            if i in plan.recomputed and not is_gather(i):
                pending.append(i)
            elif i not in seen and not graph.is_constant(plan.sources[i].origin) and shapes.size(i.shape) > 1:
                seen.add(i)
                yield i


def _scheduled(plan, groups, order):
    """Groups so that each runs after those it reads from, and otherwise in the order of the program."""
    position = {n: i for i, n in enumerate(order)}
    maker = {}
    for group in groups:
        own = group.nodes + group.reductions
        group.position = max(position[n] for n in own)
        group.nodes.sort(key=position.__getitem__)
        for n in own:
            maker[n] = group
    waiting, after = {}, {id(g): [] for g in groups}
    for group in groups:
        needed = set()
        for x in reads_of(plan, group):
            origin = plan.sources[x].origin
            if origin in maker and maker[origin] is not group:
                needed.add(id(maker[origin]))
        waiting[id(group)] = len(needed)
        for k in needed:
            after[k].append(group)
    ready = [(g.position, i, g) for i, g in enumerate(groups) if not waiting[id(g)]]
    heapq.heapify(ready)
    done, count = [], len(groups)
    while ready:
        _, _, group = heapq.heappop(ready)
        done.append(group)
        for later in after[id(group)]:
            waiting[id(later)] -= 1
            if not waiting[id(later)]:
                count += 1
                heapq.heappush(ready, (later.position, count, later))
    assert len(done) == len(groups), "a cycle between nests"
    return done


def gathers_from(plan, group):
    """What a group gathers from and by: of these it may read any element."""
    again = lambda node: [x for x in node.inputs if x in plan.recomputed]  # noqa: E731
    pending, seen = [*group.nodes, *(x for n in group.reductions for x in again(n))], set()
    while pending:
        x = pending.pop()
        if x not in seen:
            seen.add(x)
            if is_gather(x):
                yield from (plan.sources[i].origin for i in x.inputs)
            else:
                pending += again(x)


def awaited(plan, group):
    """What has to be there before a group runs though it does not read it."""
    if plan.waits:
        for node in group.nodes + group.reductions:
            for x in node.inputs:
                yield from plan.waits.get(x, ())


def reads_of(plan, group):
    """Everything a group reads or waits for, with what it recomputes expanded to what that reads."""
    yield from awaited(plan, group)
    pending = [x for n in group.nodes + group.reductions for x in n.inputs]
    seen = set()
    while pending:
        x = pending.pop()
        if x in seen:
            continue
        seen.add(x)
        if x in plan.recomputed:
            pending += x.inputs
        else:
            yield x
