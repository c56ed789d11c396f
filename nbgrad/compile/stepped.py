"""Stepped: launches that run the launches of graphs inside of them, for loops and choices of any size."""

import dataclasses

from nbgrad import shapes
from nbgrad.compile.launch import Launch
from nbgrad.compile.loops import LoopKernel, SweepKernel
from nbgrad.compile.scalars import TooMuch
from nbgrad.compile.simplify import simplify
from nbgrad.compile.source import Words, Writer
from nbgrad.compile.storage import Buffer, contiguous
from nbgrad.dtypes import BOOL, INT64
from nbgrad.runtime import steps

#: Bytes of which the parts of a row that is kept are multiples.
WORD = 8
#: Steps that a loop is taken to have that ends by a condition.
STEPS = 100


@dataclasses.dataclass(frozen=True)
class Setting:
    """A word of a launch inside: an address in a cell, and bytes that are counted by one of the words around it."""

    launch: Launch
    word: int
    cell: int
    counter: int
    offset: int
    stride: int


@dataclasses.dataclass
class Part:
    """Launches inside of another one; `slot` is the word that will hold the address of their table."""

    slot: int
    launches: list
    settings: list


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an input or output of a graph inside is: a cell, and how the address moves with a counter."""

    cell: int
    counter: int = 0
    offset: int = 0
    stride: int = 0


class Stepping:
    """A launch that runs others, while it is put together.

    Parameters
    ----------
    lowering : nbgrad.compile.lower.Lowering
        Of the graph around.
    name : str
    text : callable
        One of `nbgrad.runtime.steps`.
    header : list of int
        The words before the cells.
    """

    def __init__(self, lowering, name, text, header=()):
        self.lowering, self.launch = lowering, Launch(name)
        self.launch.words, self.launch.code = Words(), lowering._function(text)
        self.launch.source = f"# steps of launches\n{name}"
        for word in header:
            self.launch.words.add(word)
        self.cost = 0

    def cell(self, view, written):
        """The index of a cell with the address of a view."""
        (self.launch.writes if written else self.launch.reads).append(view.origin)
        return self.launch.words.address(view, "store" if written else "load")

    def rows(self, dtype, size):
        """(buffer, elements from one row to the next): memory for two values, a state and the next one."""
        row = self.lowering._row_of_state(dtype, size)
        return Buffer("arena", dtype, 2 * row), row

    def part(self, slot, inner, input_places, output_places):
        """Let the launches of a lowered graph be a part, with the inputs and outputs at these places."""
        memory, moved = self.lowering._memory_inside(inner)
        settings = []
        for launch in inner.launches:
            for deep in launch.everything():
                addresses = []
                for index, view, role in deep.words.addresses:
                    buffer, at = view.origin, view.offset * view.origin.dtype.itemsize
                    if buffer.kind == "arena":
                        addresses.append((index, moved(buffer, view.offset), role))
                        continue
                    place = (input_places if buffer.kind == "input" else output_places)[buffer.index]
                    settings.append(Setting(deep, index, place.cell, place.counter, place.offset + at, place.stride))
                deep.words.addresses = addresses
            self.cost += launch.cost
        self.launch.writes += memory
        self.launch.parts.append(Part(slot, inner.launches, settings))

    def whole(self, slot, kernel, places):
        """Let a kernel that does all steps of a sweep be a part; `places` are those of its pointers, by name."""
        launch, w = Launch("while"), Writer()
        launch.words, settings, names = Words(), [], {}
        w.open("def kernel(args, start, stop):")
        w.line('"""while"""')
        for name, dtype in kernel.pointers():
            word, place = launch.words.add(0), places[name]
            w.line(f"{name} = pointer_{dtype}(args, {word})")
            settings.append(Setting(launch, word, place.cell, place.counter, place.offset, place.stride))
        kernel.write(w, launch.words, names)
        launch.source, launch.total = w.text(), 1
        launch.code = self.lowering._code(launch.source, names)
        self.cost += kernel.cost
        self.launch.parts.append(Part(slot, [launch], settings))

    def add(self, steps):
        """Append the launch."""
        launch = self.launch
        launch.total, launch.grain, launch.cost = 1, 1, steps * max(self.cost, 1)
        self.lowering.launches.append(launch)


def lowered(lowering, inputs, outputs):
    """A graph that is to run inside of another one, lowered as that one is.

    Raises
    ------
    TooMuch
        Some of it is left to NumPy.
    """
    inner = type(lowering)(*simplify(inputs, outputs))
    if inner.captured or any(launch.host for launch in inner.launches):
        raise TooMuch
    return inner


class Stepped:
    """The part of `nbgrad.compile.lower.Lowering` that is about loops and choices."""

    #: Whether small states may be held in registers, number by number.
    _in_registers = True

    def _loop(self, node):
        """All results of a loop in one launch: a kernel of its own, launches for each step, or steps by NumPy."""
        call = self.loops[node]
        if node is not call[0]:
            return
        rule, wanted = dict(node.attrs)["rule"], [dict(n.attrs)["index"] for n in call]
        for way in (self._loop_of_numbers, self._loop_of_launches):
            try:
                way(node, call, rule, wanted)
                return
            except TooMuch:
                continue
        self._host(node, call, rule.by_steps, {"wanted": wanted})

    def _loop_of_numbers(self, node, call, rule, wanted):
        if not self._in_registers:
            raise TooMuch
        kernel = LoopKernel(rule, wanted)
        views, outs = [self._contiguous(x) for x in node.inputs], [self._whole(n) for n in call]
        launch, w, _ = self._calling(node, views, outs, (rule.length,))
        names = {}
        kernel.write(w, launch.words, names)
        launch.source = w.text()
        launch.code = self._code(launch.source, names)
        self._add(launch, views, outs, 1, 1, rule.length * kernel.cost)

    def _loop_of_launches(self, node, call, rule, wanted):
        before = rule.states + rule.results
        stacked = [i for i in wanted if i >= rule.states]
        outputs = rule.body.outputs[: rule.states] + [
            rule.body.outputs[i] if i < before else rule.body.inputs[rule.constants + i - before] for i in stacked
        ]
        inner = lowered(self, rule.body.inputs, outputs)
        stepping = Stepping(self, "loop", steps.run_loop, [0, rule.length, int(rule.reverse), 0, 0, 0])
        into, rows = [], []
        for k, x in enumerate(node.inputs):
            if rule.constants <= k < rule.constants + rule.states:
                buffer, row = stepping.rows(x.dtype, shapes.size(x.shape))
                rows.append((buffer, row))
                cell = stepping.cell(contiguous(buffer, (buffer.size,)), written=True)
                into.append(Place(cell, steps.PARITY, 0, row * x.dtype.itemsize))
            else:
                cell = stepping.cell(self._contiguous(x), written=False)
                step = x.dtype.itemsize * shapes.size(x.shape[1:]) if k >= rule.constants else 0
                into.append(Place(cell, steps.SLICE, 0, step))
        out = [dataclasses.replace(p, offset=p.stride, stride=-p.stride) for p in rule.parted(into)[1]]
        made = dict(zip(wanted, call, strict=True))
        for i in stacked:
            n = made[i]
            cell = stepping.cell(self._whole(n), written=True)
            out.append(Place(cell, steps.SLICE, 0, n.dtype.itemsize * shapes.size(n.shape[1:])))
        stepping.part(0, inner, into, out)
        for x, (buffer, _) in zip(rule.parted(node.inputs)[1], rows, strict=True):
            self._put(x, contiguous(buffer, x.shape), "state")
        last = [i for i in wanted if i < rule.states]
        ends, held = [rule.parted(rule.body.inputs)[1][i] for i in last], [rule.parted(into)[1][i] for i in last]
        targets = [Place(stepping.cell(self._whole(made[i]), written=True)) for i in last]
        stepping.part(steps.END, lowered(self, ends, ends), held, targets)
        stepping.add(rule.length)

    def _switch(self, node):
        """All results of a choice in one launch, which runs the launches of the branch that is chosen."""
        call = self.loops[node]
        if node is not call[0]:
            return
        rule, wanted = dict(node.attrs)["rule"], [dict(n.attrs)["index"] for n in call]
        try:
            inner = [lowered(self, b.inputs, [b.outputs[i] for i in wanted]) for b in rule.branches]
        except TooMuch:
            self._host(node, call, rule.by_steps, {"wanted": wanted})
            return
        stepping = Stepping(self, "switch", steps.run_switch)
        number, *operands = node.inputs
        stepping.cell(self._contiguous(number), written=False)
        stepping.launch.words.add(len(inner))
        slots = [stepping.launch.words.add(0) for _ in inner]
        into = [Place(stepping.cell(self._contiguous(x), written=False)) for x in operands]
        out = [Place(stepping.cell(self._whole(n), written=True)) for n in call]
        for slot, branch in zip(slots, inner, strict=True):
            stepping.part(slot, branch, into, out)
        stepping.add(1)

    def _while(self, node):
        """All results of a loop that ends by a condition in one launch."""
        call = self.loops[node]
        if node is not call[0]:
            return
        rule = dict(node.attrs)["rule"]
        made = {dict(n.attrs)["index"]: n for n in call}
        memory = [Kept(s, parts, at) for at, (s, parts) in enumerate(zip(rule.sweeps, rule.kept(), strict=True))]
        try:
            inner = [self._sweep(rule, memory, k) for k in range(len(rule.sweeps))]
            condition = None if memory[0].whole else lowered(self, rule.condition.inputs, rule.condition.outputs)
        except TooMuch:
            self._host(node, call, rule.by_steps, {"wanted": list(made)})
            return
        stepping, last = Stepping(self, "while", steps.run_while), rule.count - 1
        words = stepping.launch.words
        flag = Place(stepping.cell(contiguous(Buffer("arena", BOOL, 1), ()), written=True))
        number = self._whole(made[last]) if last in made else contiguous(Buffer("arena", INT64, 1), ())
        stepping.cell(number, written=True)
        for word in (0, 0, 0, 0, len(rule.sweeps), 0, 0, *(0,) * (steps.SWEEP_WORDS * len(rule.sweeps))):
            words.add(word)
        operands, states = rule.parted(node.inputs)
        constants = [Place(stepping.cell(self._contiguous(x), written=False)) for x in operands]
        at = 0
        for k, (sweep, initial) in enumerate(zip(rule.sweeps, states, strict=True)):
            own, slot = memory[k], memory[k].slot
            words.values[slot + steps.BACK], words.values[slot + steps.ROW] = int(sweep.back), own.row
            words.values[slot + steps.WHOLE] = int(own.whole)
            into, out = own.places(stepping)
            if own.whole:
                places = {f"k{i}": p for i, p in enumerate(constants)}
                places |= {f"r{i}": memory[at].pointer(part) for i, (at, part) in enumerate(sweep.reads)}
                places |= {f"s{i}": p for i, p in enumerate(into)} | {f"h{p}": own.pointer(p) for p in own.offsets}
                stepping.whole(slot + 1, inner[k], {**places, "at0": Place(steps.SELF, 0, 8 * steps.STEP), "go0": flag})
            else:
                read = [memory[at].place(part) for at, part in sweep.reads]
                left = [own.place(p) for p in own.offsets if p >= sweep.states]
                stepping.part(slot + 1, inner[k], [*constants, *read, *into], [*out, *left])
                if k == 0:
                    stepping.part(2, condition, [*constants, *into], [flag])
            sources = [Place(stepping.cell(self._contiguous(x), written=False)) for x in initial]
            like = sweep.body.inputs[rule.constants + len(sweep.reads) :]
            stepping.part(slot, lowered(self, like, like), sources, into)
            wanted = [i for i in range(sweep.states) if at + i in made]
            targets = [Place(stepping.cell(self._whole(made[at + i]), written=True)) for i in wanted]
            ends = [like[i] for i in wanted]
            stepping.part(slot + 2, lowered(self, ends, ends), [into[i] for i in wanted], targets)
            at += sweep.states
        stepping.launch.status = steps.STATUS if any(own.row for own in memory) else None
        stepping.add(STEPS)

    def _sweep(self, rule, memory, k):
        """All steps of a sweep as one kernel, or else one step as launches."""
        sweep, own = rule.sweeps[k], memory[k]
        rows = {f"r{i}": memory[at].row_of(part) for i, (at, part) in enumerate(sweep.reads)}
        rows |= {f"h{part}": own.row_of(part) for part in own.offsets}
        try:
            if not self._in_registers:
                raise TooMuch
            made = SweepKernel(sweep, rule.constants, rule.condition if k == 0 else None, list(own.offsets), rows)
            own.whole = True
            return made
        except TooMuch:
            outputs = [n for p, n in enumerate(sweep.body.outputs) if p < sweep.states or p in own.offsets]
            return lowered(self, sweep.body.inputs, outputs)


class Kept:
    """What a sweep of a loop keeps of its steps for later ones, and where its state is.

    A row is what is kept of one step: parts of the state before it, and what it leaves.
    """

    def __init__(self, sweep, parts, number):
        self.sweep, self.whole, self.offsets, self.row = sweep, False, {}, 0
        self.slot = steps.SWEEPS + steps.SWEEP_WORDS * number
        for part in parts:
            n = sweep.body.outputs[part]
            self.offsets[part] = self.row
            self.row += -(-shapes.size(n.shape) * n.dtype.itemsize // WORD) * WORD

    def _later(self, part):
        """Whether a part is in the row behind that of its step, as a state is on the way back."""
        return part < self.sweep.states and self.sweep.back

    def row_of(self, part):
        """(elements of a row, whether it is the row behind that of the step)."""
        return self.row // self.sweep.body.outputs[part].dtype.itemsize, self._later(part)

    def pointer(self, part):
        """Where a part is in the first row."""
        return Place(self.slot + steps.KEPT, 0, self.offsets[part])

    def place(self, part, after=False):
        """Where a part is at a step; of a state also where the step puts the next one."""
        later = self._later(part) != after
        return Place(self.slot + steps.KEPT, steps.STEP, self.offsets[part] + (self.row if later else 0), self.row)

    def places(self, stepping):
        """(places of the state before a step, of the next one)."""
        into, out = [], []
        for s, n in enumerate(self.sweep.body.outputs[: self.sweep.states]):
            if s in self.offsets and not self.whole:
                into.append(self.place(s))
                out.append(self.place(s, after=True))
                continue
            buffer, row = stepping.rows(n.dtype, shapes.size(n.shape))
            cell, step = stepping.cell(contiguous(buffer, (buffer.size,)), written=True), row * n.dtype.itemsize
            into.append(Place(cell) if self.whole else Place(cell, steps.TURN, 0, step))
            out.append(into[-1] if self.whole else Place(cell, steps.TURN, step, -step))
        return into, out
