"""Rows: several nests over the same rows as one CUDA kernel, a team of threads for each row.

before: a launch for the maximum of each row, one for exp and its sum, one for the quotients
after:  one launch; each team does these three for its row, and waits for its members in between

Sums over the rows themselves are kept by each block for the rows that it has; the block that is last joins them.
"""

from nbgrad.compile.cuda.teams import BLOCK, Teams, team_of, when_last
from nbgrad.compile.reductions import REDUCTIONS
from nbgrad.compile.source import OUTPUT_SCOPES, Words, Writer
from nbgrad.shapes import size

#: Blocks of a launch that adds up over rows: each has parts of its own of the sums.
MOST_BLOCKS = 512
#: Teams of a launch that have memory for a row each.
TEAMS = 4096


class _Part(Teams):
    """One nest of several."""

    def __init__(self, nest, plan, domain, prefix, kernel):
        super().__init__(nest, plan, domain, prefix, kernel.words, kernel.names, kernel.writer)
        rank = len(nest.extents)
        self.kept = [a for a in range(rank) if not nest.reduced[a]]
        self.inner = [a for a in range(rank) if nest.reduced[a]]

    def _shared(self, k):
        return self.first_shared + k

    def start_gathering(self):
        """What sums over the rows start from, in memory or registers of their own."""
        w = self.writer
        for k, o in enumerate(self.nest.results):
            p = self._name(k)
            w.line(f"length{p} = word(args, {self.words.add(size(o.node.shape))})")
            if self.inner:
                w.line(f"mine{p} = at(partial{p}, block() * length{p})")
                self.base[f"r{p}"] = f"mine{p}"
                w.open(f"for i in range(lane(), length{p}, lanes()):")
                w.line(f"write(mine{p}, i, first{p})")
                w.close()
        if not self.inner:
            self.start_totals()

    def row(self):
        """What is done for the row of each team; `limit` is 0 for a team without one."""
        nest, w, axis = self.nest, self.writer, len(self.nest.extents) - 1
        place = self._row(self.kept, "row", self._all_pointers()) if self.kept else self._all_pointers()
        if nest.results and not self.gathers:
            self.start_totals()
        single = len(self.inner) == 1
        hoisted = self._body(place, axis, "0") if single else None
        self.flat = not single

        def body(index):
            inside, at = place, index
            if self.flat:
                inside, at = self._row(self.inner, index, place) if self.inner else place, "0"
            names = self._body(inside, axis, at, None if hoisted is None else dict(hoisted))
            if self.gathers:
                self._gather_row(inside, axis, at, names)
            elif nest.results:
                self.add_element(names)
            self._stores(inside, axis, at, names)

        w.line(f"limit = {' * '.join(self.extent[a] for a in self.inner) or '1'} if live else 0")
        if nest.results and not self.gathers:
            self.accumulate("member", "limit", "team", "i", body)
            self.join_rounding()
            self.join_team("team")
            w.open("if member == 0 and live:")
            for k in range(len(nest.results)):
                w.line(f"write(r{self._name(k)}, row, total{self._name(k)})")
            w.close()
        else:
            w.open("for i in range(member, limit, team):")
            body("i")
            w.close()
        self.flat = False

    def _gather_row(self, place, axis, index, names):
        """An element of a row joins the sum over the rows, of which it is in the column of this thread."""
        w = self.writer
        for k, o in enumerate(self.nest.results):
            p = self._name(k)
            value, _ = self._operand(o.node.inputs[0], names)
            if not self.inner:
                self._join(k, o, value)
                continue
            at = self._index(f"r{p}", axis, index)
            own = f"read({place[f'r{p}']}, {at})"
            joined = REDUCTIONS[o.node.primitive.name][2].format(own, value)
            w.line(f"write({place[f'r{p}']}, {at}, {self._typed(o, joined)})")

    def end_gathering(self):
        """The sums of a block that are in registers, to the memory where its parts are."""
        w = self.writer
        if self.inner:
            return
        self.join_rounding()
        self.join_team("lanes()")
        w.open("if lane() == 0:")
        for k in range(len(self.nest.results)):
            w.line(f"write(partial{self._name(k)}, block(), total{self._name(k)})")
        w.close()

    def join_gathered(self):
        """What blocks have summed over their rows, joined by the last one."""
        for p in {size(o.node.shape): self._name(k) for k, o in enumerate(self.nest.results)}.values():
            self.join_parts(f"length{p}", "blocks()")


class RowsKernel:
    """Emitted source of several nests over the same rows; its attributes are those of `ReduceKernel`.

    Parameters
    ----------
    parts : list of (Nest, domain, whether its reductions are over the rows)
    scratch : dict
        Node -> elements of a row, for what no other launch reads: each team has memory for one row of it.
    rows, length : int
        Number of rows, and elements of one.
    counter : View
    """

    def __init__(self, parts, plan, scratch, rows, length, counter, title):
        self.words, self.names, self.writer = Words(), {}, Writer()
        self.split_words, self.nest, self.rows, w = None, None, rows, self.writer
        self.gathered = set()
        self.inner = sum(size(nest.extents) for nest, _, _ in parts) // max(rows, 1)
        across = any(gathers and any(nest.reduced) for nest, _, gathers in parts)
        team, self.block = (BLOCK, BLOCK) if across else team_of(length, rows)
        self.per_block = self.block // team
        needed = -(-rows // self.per_block)
        self.parts = min(needed, MOST_BLOCKS) if any(gathers for _, _, gathers in parts) else 1
        self.blocks = self.parts if any(gathers for _, _, gathers in parts) else None
        if scratch and self.blocks is None:
            self.blocks = min(needed, TEAMS // self.per_block)
        self.teams = (self.blocks or 0) * self.per_block
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        w.line(f"team = word(args, {self.words.add(team)})")
        w.line("per, member = lanes() // team, lane() % team")
        bodies, own, scope, memory, moved = [], {}, 0, 1, []
        for k, (nest, domain, gathers) in enumerate(parts):
            body = _Part(nest, plan, domain, f"_{k}_", self)
            body.first_scope, body.own, body.gathers, body.first_shared = scope, own, gathers, memory
            known = len(self.words.addresses)
            body.declare()
            for name, operand in body.operands():
                if operand.view.origin in scratch:
                    w.line(f"{name}_length = word(args, {self.words.add(scratch[operand.view.origin])})")
                    moved.append(name)
                    body.base[name] = f"{name}_here"
            if gathers:
                self.gathered.update(index for index, _, role in self.words.addresses[known:] if role == "partial")
                body.start_gathering()
            for n, operand in enumerate((*nest.stores, *nest.results)):
                own = {**own, operand.node: min(scope + n, OUTPUT_SCOPES - 1)}
            scope += len(nest.stores) + len(nest.results)
            memory += len(nest.results)
            bodies.append(body)
        self.flops = sum(body.flops for body in bodies)
        w.open("for base in range(start + block() * per, stop, blocks() * per):")
        w.line("row = base + lane() // team")
        w.line("live = row < stop")
        w.line("row = min(row, stop - 1)")
        for name in moved:
            w.line(f"{name}_here = at({name}, (block() * per + lane() // team - row) * {name}_length)")
        for body in bodies:
            body.row()
            if body is not bodies[-1]:  # what comes after that is about other rows
                w.line("barrier()")
        w.close()
        gathering = [body for body in bodies if body.gathers]
        for body in gathering:
            body.end_gathering()
        if gathering:
            w.line(f"counter = pointer_int64(args, {self.words.address(counter, 'counter')})")
            when_last(w, "counter")
            for body in gathering:
                body.join_gathered()
        self.source = w.text()
