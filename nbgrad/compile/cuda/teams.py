"""Teams: threads of a block that reduce a row together.

before: one thread of a CPU goes along a row    after: 32 threads take every 32nd element each, and join their parts

A team is a power of two of neighbouring threads: up to a warp, which exchanges values by shuffles, or the whole
block, whose warps leave theirs in shared memory.  All threads of a block go through the same barriers: a team without
a row goes along with an empty one.  Where few rows are long, each is cut into parts, and the block that is done last
joins them, in order: what is added up is the same on every run.  Source of the latter: Harris, Optimizing parallel
reduction in CUDA, and the sample threadFenceReduction.
"""

from nbgrad.compile.body import Body
from nbgrad.compile.cuda.border import zeros_around
from nbgrad.compile.reductions import REDUCTIONS
from nbgrad.compile.source import Words, Writer, register
from nbgrad.shapes import size

WARP = 32
#: Threads of a block that reduces.
BLOCK = 256
#: Elements that a thread adds up before their sum is added with its rounding error kept.
CHUNK = 64
#: Elements of a row up to which teams are within a warp, and those of one thread then.
SHORT, EACH = 1024, 4
#: Blocks up to which rows are cut into parts, and elements of a part at least.
ENOUGH, PART = 1024, 4096


def power_of_two(n):
    """The smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()


def team_of(length, rows):
    """(threads of a team, threads of a block) for rows of `length` elements."""
    wanted = power_of_two(-(-length // EACH))
    if wanted > WARP and (length > SHORT or rows < ENOUGH):
        return (min(wanted, BLOCK),) * 2
    return min(wanted, WARP), BLOCK // 2


def parts_of(length, units):
    """(parts of a row, elements of a part), so that there are blocks enough: nothing but shapes decides."""
    if units >= ENOUGH // 2 or length <= 2 * PART:
        return 1, max(length, 1)
    parts = min(-(-length // PART), -(-ENOUGH // max(units, 1)))
    grain = -(-length // parts)
    return -(-length // grain), grain


class Teams(Body):
    """What threads of a block do for rows of one nest."""

    def around(self, pointer, around):
        zeros_around(self.writer, self.words, pointer, around)

    def start_totals(self):
        """What each thread starts from."""
        for k, o in enumerate(self.nest.results):
            p = self._name(k)
            self.writer.line(f"total{p} = first{p}")
            if self._compensated(o):
                self.writer.line(f"lost{p} = first{p}")

    def accumulate(self, low, high, step, index, body):
        """Every `step`-th element from `low` to `high`; ``body(index)`` writes what is done for each."""
        w = self.writer
        if not any(map(self._compensated, self.nest.results)):
            w.open(f"for {index} in range({low}, {high}, {step}):")
            body(index)
            w.close()
            return
        w.open(f"for chunk in range({low}, {high}, {CHUNK} * {step}):")
        for k in range(len(self.nest.results)):
            w.line(f"part{self._name(k)} = first{self._name(k)}")
        w.open(f"for {index} in range(chunk, min(chunk + {CHUNK} * {step}, {high}), {step}):")
        body(index)
        w.close()
        for k, o in enumerate(self.nest.results):
            self._join(k, o, f"part{self._name(k)}")
        w.close()

    def add_element(self, names):
        """One element joins the sum of its thread."""
        chunked = any(map(self._compensated, self.nest.results))
        for k, o in enumerate(self.nest.results):
            value, _ = self._operand(o.node.inputs[0], names)
            mine = f"{'part' if chunked else 'total'}{self._name(k)}"
            step = REDUCTIONS[o.node.primitive.name][1].format(mine, value)
            self.writer.line(f"{mine} = {self._typed(o, step)}")

    def join_rounding(self):
        """The sum of a thread with what rounding lost."""
        for k, o in enumerate(self.nest.results):
            if self._compensated(o):
                self.writer.line(f"total{self._name(k)} = {self._whole(k)}")

    def join_team(self, team):
        """Each thread of a team gets the total of all."""
        w = self.writer
        w.line(f"d = min({team}, {WARP}) // 2")
        self._by_shuffles()
        w.open(f"if {team} > {WARP}:")
        for k, o in enumerate(self.nest.results):
            p = self._name(k)
            w.line(f"held{p} = shared_{register(o.dtype)}({WARP}, {self._shared(k)})")
        w.line("barrier()")
        w.open(f"if lane() % {WARP} == 0:")
        for k in range(len(self.nest.results)):
            w.line(f"write(held{self._name(k)}, lane() // {WARP}, total{self._name(k)})")
        w.close()
        w.line("barrier()")
        for k in range(len(self.nest.results)):
            p = self._name(k)
            w.line(f"total{p} = first{p}")
            w.open(f"if lane() % {WARP} < lanes() // {WARP}:")
            w.line(f"total{p} = read(held{p}, lane() % {WARP})")
            w.close()
        w.line(f"d = {WARP // 2}")
        self._by_shuffles()
        w.close()

    def _by_shuffles(self):
        w = self.writer
        w.open("while d > 0:")
        for k, o in enumerate(self.nest.results):
            p = self._name(k)
            joined = REDUCTIONS[o.node.primitive.name][2].format(f"total{p}", f"partner(total{p}, d)")
            w.line(f"total{p} = {self._typed(o, joined)}")
        w.line("d = d // 2")
        w.close()

    def join_parts(self, results, parts):
        """The block that is last joins the parts of all `results`, which lie one part after another."""
        w = self.writer
        w.open(f"for at_ in range(lane(), {results}, lanes()):")
        self.start_totals()
        w.open(f"for part in range({parts}):")
        for k, o in enumerate(self.nest.results):
            p = self._name(k)
            w.line(f"value{p} = read(partial{p}, part * {results} + at_)")
            self._join(k, o, f"value{p}")
        w.close()
        for k in range(len(self.nest.results)):
            w.line(f"write(r{self._name(k)}, at_, {self._whole(k)})")
        w.close()

    def _join(self, k, operand, value):
        """total = total (+) value; for float sums the rounding error is kept (Neumaier)."""
        w, p = self.writer, self._name(k)
        if not self._compensated(operand):
            join = REDUCTIONS[operand.node.primitive.name][2]
            w.line(f"total{p} = {self._typed(operand, join.format(f'total{p}', value))}")
            return
        w.line(f"s{p} = total{p} + {value}")
        w.line(f"z{p} = s{p} - total{p}")
        w.line(f"lost{p} = lost{p} + ((total{p} - (s{p} - z{p})) + ({value} - z{p}))")
        w.line(f"total{p} = s{p}")

    def _whole(self, k):
        """The sum with its lost part, which is nan after an overflow and then must not count."""
        p = self._name(k)
        compensated = self._compensated(self.nest.results[k])
        return f"(total{p} + lost{p} if lost{p} == lost{p} else total{p})" if compensated else f"total{p}"

    def _name(self, k):
        return f"{self.prefix}{k}"

    def _shared(self, k):
        return 1 + k

    def _compensated(self, operand):
        return operand.node.primitive.name == "sum" and operand.dtype.kind == "f"

    def _typed(self, operand, text):
        return f"to_{operand.dtype}({text})" if operand.dtype.kind in "iu" else text


def when_last(w, counter):
    """Open a block of lines for the block of threads that is done last; `counter` points to a 0, and is left so."""
    w.line("ticket = shared_int64(1, 0)")
    w.line("fence()")
    w.line("barrier()")
    w.open("if lane() == 0:")
    w.line(f"write(ticket, 0, take_number({counter}))")
    w.close()
    w.line("barrier()")
    w.open("if read(ticket, 0) == blocks() - 1:")
    w.line("fence()")
    w.open("if lane() == 0:")
    w.line(f"write({counter}, 0, 0)")
    w.close()


class ReduceKernel(Teams):
    """Emitted source of a nest with reductions; its attributes are those of `nbgrad.compile.emit.Kernel`.

    Attributes
    ----------
    block : int
        Threads of a block.
    per_block : int
        Units of the parallel extent that a block takes at a time.
    results, parts : int
        Elements of each result, and of how many parts they are joined.
    """

    blocks = None

    def __init__(self, nest, plan, domain, title, counter):
        super().__init__(nest, plan, domain, "", Words(), {}, Writer())
        w = self.writer
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{title}"""')
        self.declare()
        reduced = [a for a in range(len(nest.extents)) if nest.reduced[a]]
        self.length = size(nest.extents[a] for a in reduced)
        (self._columns if nest.columns else self._rows)(reduced)
        for name, value in (("parts", self.parts), ("grain", self.grain), ("length", self.length)):
            w.lines.insert(self._header, f"    {name} = word(args, {self.words.add(value)})")
        w.open("if parts > 1:")
        w.line(f"counter = pointer_int64(args, {self.words.address(counter, 'counter')})")
        when_last(w, "counter")
        self.join_parts("results", "parts")
        self.rows, self.inner = self.units * self.parts, max(1, size(nest.extents) // max(self.units * self.parts, 1))
        self.source = w.text()

    def _bounds(self, live):
        w = self.writer
        w.line("low = part * grain")
        w.line(f"high = min(low + grain, length) if {live} else low")

    def _rows(self, reduced):
        """Reduced axes innermost: a team for each row, or part of one."""
        nest, w = self.nest, self.writer
        kept = [a for a in range(len(nest.extents)) if not nest.reduced[a]]
        self.units = self.results = size(nest.extents[a] for a in kept)
        self.parts, self.grain = parts_of(self.length, self.units)
        team, self.block = team_of(self.grain, self.units * self.parts)
        self.per_block = self.block // team
        self._header = len(w.lines)
        w.line(f"team = word(args, {self.words.add(team)})")
        w.line(f"results = {' * '.join(self.extent[a] for a in kept) or '1'}")
        w.line("per = lanes() // team")
        w.open("for base in range(start + block() * per, stop, blocks() * per):")
        w.line("unit = base + lane() // team")
        w.line("row, part, member = unit % results, unit // results, lane() % team")
        self._bounds("unit < stop")
        place = self._row(kept, "row", self._all_pointers()) if kept else self._all_pointers()
        self.start_totals()
        axis = len(nest.extents) - 1
        hoisted = self._body(place, axis, "0") if len(reduced) == 1 else None
        self.flat = len(reduced) != 1

        def body(index):
            inner, at = place, index
            if self.flat:
                inner, at = self._row(reduced, index, place) if reduced else place, "0"
            names = self._body(inner, axis, at, None if hoisted is None else dict(hoisted))
            self.add_element(names)
            self._stores(inner, axis, at, names)

        self.accumulate("low + member", "high", "team", "i", body)
        self.join_rounding()
        self.join_team("team")
        self._store_results("member == 0 and unit < stop", "row")
        w.close()

    def _columns(self, reduced):
        """The inner axis is kept: neighbouring threads have neighbouring columns, and others more of the rows."""
        nest, w = self.nest, self.writer
        axis = len(nest.extents) - 1
        outer = [a for a in range(axis) if not nest.reduced[a]]
        across = min(power_of_two(nest.extents[axis]), WARP)
        tiles, kept = -(-nest.extents[axis] // across), size(nest.extents[a] for a in outer)
        self.units, self.results = kept * tiles, kept * nest.extents[axis]
        self.parts, self.grain = parts_of(self.length, self.units)
        self.block, self.per_block = BLOCK, 1
        self._header = len(w.lines)
        w.line(f"across = word(args, {self.words.add(across)})")
        w.line(f"outer = {' * '.join(self.extent[a] for a in outer) or '1'}")
        w.line(f"results = outer * {self.extent[axis]}")
        w.line(f"tiles = ({self.extent[axis]} + across - 1) // across")
        w.line("column, member, members = lane() % across, lane() // across, lanes() // across")
        for k, o in enumerate(nest.results):
            w.line(f"held{self._name(k)} = shared_{register(o.dtype)}({BLOCK}, {self._shared(k)})")
        w.open("for unit in range(start + block(), stop, blocks()):")
        w.line("i, rest = unit % tiles * across + column, unit // tiles")
        w.line("row, part = rest % outer, rest // outer")
        self._bounds(f"i < {self.extent[axis]}")
        place = self._row(outer, "row", self._all_pointers()) if outer else self._all_pointers()
        self.start_totals()

        def body(index):
            inner = self._row(reduced, index, place)
            names = self._body(inner, axis, "i", self._body(inner, axis, "0"))
            self.add_element(names)
            self._stores(inner, axis, "i", names)

        self.accumulate("low + member", "high", "members", "q", body)
        self.join_rounding()
        w.line("d = members // 2")  # the last round of the tile before has ended with a barrier
        for k in range(len(nest.results)):
            w.line(f"write(held{self._name(k)}, lane(), total{self._name(k)})")
        w.line("barrier()")
        w.open("while d > 0:")
        w.open("if member < d:")
        for k, o in enumerate(nest.results):
            p = self._name(k)
            other = f"read(held{p}, lane() + d * across)"
            joined = REDUCTIONS[o.node.primitive.name][2].format(f"total{p}", other)
            w.line(f"total{p} = {self._typed(o, joined)}")
            w.line(f"write(held{p}, lane(), total{p})")
        w.close()
        w.line("barrier()")
        w.line("d = d // 2")
        w.close()
        self._store_results(f"member == 0 and i < {self.extent[axis]}", f"row * {self.extent[axis]} + i")
        w.close()

    def _store_results(self, condition, index):
        w = self.writer
        w.open(f"if {condition}:")
        w.line(f"at_ = {index}")
        w.open("if parts > 1:")
        for k in range(len(self.nest.results)):
            w.line(f"write(partial{self._name(k)}, part * results + at_, total{self._name(k)})")
        w.close()
        w.open("else:")
        for k in range(len(self.nest.results)):
            w.line(f"write(r{self._name(k)}, at_, total{self._name(k)})")
        w.close(2)
