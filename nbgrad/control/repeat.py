"""while: a primitive of steps that go on for as long as a condition holds, with its rule.

Nobody knows beforehand how many steps there are, so what a backward pass needs of them is no array of the graph.  The
pullback is an operation that repeats the loop, keeps the states, and goes back over them; its own pullback goes over
all of that once more.  So what there is is a row of sweeps over the steps of one loop: the first, which ends by the
condition, and others, forwards or backwards, which read the states that earlier ones had at the same step.
"""

import dataclasses
import itertools

import numpy

from nbgrad import dtypes, graph
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.control.body import Body, lifted, placeholder, reached
from nbgrad.primitive import structural


@dataclasses.dataclass(frozen=True)
class Sweep:
    """One way over the steps.

    Attributes
    ----------
    body : Body
        Of constants, of what is read, and of its state; its outputs are the next state and what the step leaves.
    states : int
        How many parts its state has.
    reads : tuple of (int, int)
        Of which earlier sweep which part: of the state before the step, and behind these, what the step left.
    back : bool
        From the last step to the first.
    """

    body: Body
    states: int
    reads: tuple
    back: bool


@dataclasses.dataclass(frozen=True)
class Repeat(ruled.Rule):
    """Sweeps over the steps of a loop that ends by a condition.

    Inputs are constants and the initial states of all sweeps; results the final states, and the number of steps.

    Attributes
    ----------
    condition : Body
        Of constants and the state of the first sweep.
    sweeps : tuple of Sweep
    constants : int
    """

    condition: Body
    sweeps: tuple
    constants: int

    @property
    def count(self):
        """How many results there are."""
        return sum(s.states for s in self.sweeps) + 1

    def starts(self):
        """The index of the first state of each sweep, among all states."""
        found, at = [], 0
        for sweep in self.sweeps:
            found.append(at)
            at += sweep.states
        return found

    def aval(self, index):
        """Shape and dtype of result number `index`."""
        for sweep in self.sweeps:
            if index < sweep.states:
                n = sweep.body.outputs[index]
                return n.shape, n.dtype
            index -= sweep.states
        return (), dtypes.INT64

    def with_bodies(self, change):
        """The same with other steps and another condition."""
        sweeps = [dataclasses.replace(s, body=change(s.body)) for s in self.sweeps]
        return dataclasses.replace(self, condition=change(self.condition), sweeps=tuple(sweeps))

    def output(self, inputs, index):
        """The node of a result."""
        return graph.structural(while_, tuple(inputs), {"index": index, "rule": self})

    def parted(self, inputs):
        """(constants, a list of initial states for each sweep)."""
        inputs, at = list(inputs), self.constants
        constants, states = inputs[:at], []
        for sweep in self.sweeps:
            states.append(inputs[at : at + sweep.states])
            at += sweep.states
        return constants, states

    def kept(self):
        """For each sweep, the parts that later ones read, in order."""
        read = {pair for sweep in self.sweeps for pair in sweep.reads}
        return [sorted(part for at, part in read if at == k) for k in range(len(self.sweeps))]

    def by_steps(self, *values, wanted, patience=None):
        """The results in `wanted`, by NumPy."""
        constants, states = self.parted(values)
        condition, history, steps, final = self.condition.interpreter(), [], 0, []

        def goes_on(state):
            return condition.run([*constants, *state], patience)[0]

        for k, (sweep, kept, state) in enumerate(zip(self.sweeps, self.kept(), states, strict=True)):
            interpreter, rows = sweep.body.interpreter(), {}
            times = reversed(range(steps)) if sweep.back else range(steps)
            for t in itertools.count() if k == 0 else times:
                if k == 0 and not goes_on(state):
                    steps = t
                    break
                if patience is not None:
                    patience.spend(len(interpreter))
                read = [history[at][t][part] for at, part in sweep.reads]
                made = interpreter.run([*constants, *read, *state], patience)
                if kept:
                    rows[t] = [*state, *made[sweep.states :]]
                state = made[: sweep.states]
            history.append(rows)
            final += state
        final.append(numpy.int64(steps))
        return [numpy.array(final[i]) for i in wanted]

    def place(self, number, done):
        """In words, where the rule is at the body of a sweep, or at the condition; `done` is how often each was run."""
        if number == len(self.sweeps):
            return f"the condition before step {done[number]} of a while_loop"
        step = done[0] - 1 - done[number] if self.sweeps[number].back else done[number]
        return f"step {step} of a while_loop" + (f" of {done[0]} steps" if number else "")

    # ------------------------------------------------------------ derivatives

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: the same sweeps, and behind them, the other way round, one that pulls back through each."""
        constants, initial = self.parted(inputs)
        useful = self._useful(constants, initial, needed)
        drafts, starts = [_Draft.of(self, k, states) for k, states in enumerate(initial)], self.starts()
        adjoints, answers = {}, [[] for _ in inputs]
        for k in reversed(range(len(drafts))):
            seeds = [cotangents.get(starts[k] + s) for s in range(drafts[k].count)]
            if not useful[k] or not (any(s is not None for s in seeds) or drafts[k].pulled_by(adjoints)):
                continue
            adjoints[k] = drafts[k].adjoint(drafts, adjoints, useful, seeds, [c in needed for c in constants])
        rule, constant, order = _assembled(self, drafts, adjoints)
        operands, first = [*constants, *constant], {}
        at = 0
        for draft in order:
            first[draft] = at
            at += draft.count
            operands += draft.initial
        for k, draft in adjoints.items():
            into = [self.constants + starts[k] + s for s in draft.of_states] + draft.of_constants
            for i, place in enumerate(into, first[draft]):
                answers[place].append(Array(rule.output(operands, i)))
        return [a or None for a in answers]

    def _useful(self, constants, initial, needed):
        """Whether it is of use to pull back through each sweep: it depends on something that is differentiated by."""
        found = []
        for sweep, states in zip(self.sweeps, initial, strict=True):
            inputs = sweep.body.inputs
            own = [n for n, c in zip(inputs, constants, strict=False) if c in needed]
            read = inputs[len(constants) : len(constants) + len(sweep.reads)]
            own += [n for n, (at, _) in zip(read, sweep.reads, strict=True) if found[at]]
            found.append(any(n in needed for n in states) or bool(reached(sweep.body.outputs, own)))
        return found


class _Draft:
    """A sweep while a rule is put together: what it reads are (sweep, part) of other drafts."""

    def __init__(self, constants, reads, before, outputs, count, back):
        self.constants, self.reads, self.before, self.outputs = constants, reads, before, outputs
        self.count, self.back = count, back
        self.of_states, self.of_constants, self.of_reads, self.initial = [], [], {}, []

    @classmethod
    def of(cls, rule, k, initial):
        """A sweep of a rule, on placeholders of its own; others are named by their number in the rule."""
        sweep = rule.sweeps[k]
        fresh = [placeholder("while_loop", n.shape, n.dtype, n) for n in sweep.body.inputs]
        first = rule.constants + len(sweep.reads)
        reads = list(zip(sweep.reads, fresh[rule.constants : first], strict=True))
        made = cls(fresh[: rule.constants], reads, fresh[first:], sweep.body.applied(fresh), sweep.states, sweep.back)
        made.initial = initial
        return made

    def part(self, number):
        """A node like part `number`: of the state before a step, or of what the step leaves."""
        return self.before[number] if number < self.count else self.outputs[number]

    def pulled_by(self, adjoints):
        """Whether adjoint sweeps add to the cotangents of what this one left behind."""
        return any(at is self for draft in adjoints.values() for at, _ in draft.of_reads)

    def adjoint(self, drafts, adjoints, useful, seeds, needed):
        """The sweep that pulls back through this one."""
        one = lambda n: placeholder("while_loop", n.shape, n.dtype, n)  # noqa: E731
        reads = [((drafts[at], part), n) for (at, part), n in self.reads]
        reads += [((self, s), n) for s, n in enumerate(self.before)]
        further = {}  # cotangents that later sweeps left for parts of this one
        for draft in adjoints.values():
            for (at, part), left in draft.of_reads.items():
                if at is self:
                    given = one(self.part(part))
                    reads.append(((draft, left), given))
                    further.setdefault(part, []).append(given)
        of_states = [s for s, n in enumerate(self.before) if dtypes.is_inexact(n.dtype)]
        carried = [one(self.before[s]) for s in of_states]
        incoming = dict(zip(of_states, carried, strict=True))
        for part, parts in further.items():
            if part >= self.count:
                incoming[part] = backward.accumulate(parts)
        of_constants = [c for c, n in enumerate(self.constants) if needed[c] and dtypes.is_inexact(n.dtype)]
        wanted = [self.before[s] for s in of_states] + [self.constants[c] for c in of_constants]
        back = [((drafts[at], part), n) for (at, part), n in self.reads if useful[at] and dtypes.is_inexact(n.dtype)]
        wanted += [n for _, n in back]
        found = backward.sweep([self.outputs[i] for i in incoming], list(incoming.values()), wanted, stops=wanted)
        found = [backward.zeros(x) if c is None else c for c, x in zip(found, wanted, strict=True)]
        states = found[: len(of_states)]
        states = [backward.accumulate([c, *further.get(s, ())]) for s, c in zip(of_states, states, strict=True)]
        totals = [one(self.constants[c]) for c in of_constants]
        sums = found[len(of_states) : len(of_states) + len(totals)]
        sums = [backward.accumulate([t, c]) for t, c in zip(totals, sums, strict=True)]
        outputs = [*states, *sums, *found[len(of_states) + len(totals) :]]
        used = reached(outputs, [n for _, n in reads])
        reads = [(source, n) for source, n in reads if n in used]
        made = _Draft(self.constants, reads, [*carried, *totals], outputs, len(carried) + len(totals), not self.back)
        made.of_states, made.of_constants = of_states, of_constants
        made.of_reads = {source: made.count + k for k, (source, _) in enumerate(back)}
        starts = [seeds[s] for s in of_states] + [None] * len(totals)
        made.initial = [backward.zeros(n) if s is None else s for s, n in zip(starts, made.before, strict=True)]
        return made


def _assembled(rule, drafts, adjoints):
    """(rule, further constants, drafts in the order of their states): of the sweeps that adjoint ones need."""
    source = lambda at: drafts[at] if isinstance(at, int) else at  # noqa: E731
    live, pending = {drafts[0]}, list(adjoints.values())
    while pending:
        draft = pending.pop()
        if draft not in live:
            live.add(draft)
            pending += [source(at) for (at, _), _ in draft.reads]
    groups = []  # what goes forwards and reads only what the first sweep does takes its steps together with it
    for draft in [*drafts, *adjoints.values()]:
        if draft in live:
            beside = groups and not draft.back and all(source(at) in groups[0] for (at, _), _ in draft.reads)
            groups[0].append(draft) if beside else groups.append([draft])
    outer, sweeps, place = {}, [], {}
    for draft in itertools.chain(*groups):
        own = [*draft.constants, *(n for _, n in draft.reads), *draft.before]
        outer.update(dict.fromkeys(lifted(draft.outputs, own)))
    for k, group in enumerate(groups):
        states, at, nodes, reads, before = sum(d.count for d in group), 0, {}, {}, []
        after, left = [], []
        for draft in group:
            fresh = dict(zip(draft.constants, group[0].constants, strict=True))
            for (origin, part), n in draft.reads:
                origin = source(origin)
                if origin in group:
                    fresh[n] = nodes[origin, part]
                else:
                    reads[place[origin, part]] = fresh[n] = reads.get(place[origin, part], n)
            outputs = ruled.copied(draft.outputs, fresh)
            for part in range(draft.count):
                nodes[draft, part], place[draft, part] = draft.before[part], (k, at + part)
            for part in range(draft.count, len(outputs)):
                nodes[draft, part], place[draft, part] = outputs[part], (k, states + len(left))
                left.append(outputs[part])
            before += draft.before
            after += outputs[: draft.count]
            at += draft.count
        body = Body([*group[0].constants, *outer, *reads.values(), *before], [*after, *left])
        sweeps.append(Sweep(body, states, tuple(reads), group[0].back))
    condition, at = rule.condition, rule.constants
    further = [placeholder("while_loop", n.shape, n.dtype, n) for d in groups[0][1:] for n in d.before]
    condition = Body([*condition.inputs[:at], *outer, *condition.inputs[at:], *further], condition.outputs)
    return Repeat(condition, tuple(sweeps), at + len(outer)), list(outer), list(itertools.chain(*groups))


@structural("while", name="while_loop", reference=lambda *xs, index, rule: rule.by_steps(*xs, wanted=[index])[0])
def while_(*xs, index, rule):
    """A result of a loop that ends by a condition: see `Repeat`."""
    return rule.aval(index)
