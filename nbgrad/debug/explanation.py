"""explain: what a function is compiled to, launch by launch, and why."""

import dataclasses

from nbgrad import graph, shapes
from nbgrad.compile.fuse import LONGEST_CHAIN, is_elementwise
from nbgrad.compile.rows import Rows
from nbgrad.control.choice import Choice
from nbgrad.control.loop import Loop
from nbgrad.debug import tables
from nbgrad.debug.recording import Study, is_backward
from nbgrad.errors import site_text
from nbgrad.runtime import pool, steps


@dataclasses.dataclass
class LaunchRow:
    """One launch.

    Attributes
    ----------
    index : int
        Launches run in this order.
    name : str
    kind : str
        ``"loop"``; ``"rows"``, several loops over the same rows; ``"BLAS"``; ``"kernel"``, the text of one primitive;
        ``"copy"``; ``"fill"``, with one number; ``"join"``, of partial results; ``"steps"``, of a loop or a
        choice, which runs other launches; ``"NumPy"``, not compiled.
    operations : list of str
        The primitives that it fuses.
    shape : tuple of int
        Of what it loops over.
    reads, writes : list of str
        Names of arguments, results and intermediate values.
    bytes_read, bytes_written : int
        Of the elements it touches, each counted once.
    lines : list of str
        The user's lines that it computes, as ``file.py:12``.
    part : str
        ``"forward"``, ``"backward"`` or ``"both"``: whether it computes derivatives.
    why : str
        Why it is a copy or on NumPy; else empty.
    inside : list of InsideRow
        The launches that it runs.
    """

    index: int
    name: str
    kind: str
    operations: list
    shape: tuple
    reads: list
    writes: list
    bytes_read: int
    bytes_written: int
    lines: list
    part: str
    why: str = ""
    inside: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class InsideRow:
    """A launch that another one runs: ``index`` is ``"1.0"`` for the first inside of launch 1, ``when`` says how often.

    Bytes are those of one run.  The others are as in `LaunchRow`; ``inside`` has those of a loop in a loop.
    """

    index: str
    when: str
    name: str
    kind: str
    operations: list
    shape: tuple
    bytes_read: int
    bytes_written: int
    lines: list
    inside: list

    def everything(self):
        """This row and all that are inside of it."""
        yield self
        for row in self.inside:
            yield from row.everything()


@dataclasses.dataclass
class StoredRow:
    """A value that is kept in memory between launches: what it is, who makes and reads it, and why it is stored."""

    name: str
    array: str
    bytes: int
    made_by: list
    read_by: list
    why: str


@dataclasses.dataclass
class ResultRow:
    """A result: what it is, and whether its memory is recycled from call to call once nobody holds it."""

    name: str
    array: str
    bytes: int
    recycled: bool


class Explanation:
    """What `explain` returns; printing it shows tables.

    Attributes
    ----------
    launches : list of LaunchRow
    stored : list of StoredRow
    results : list of ResultRow
    recomputed : list of str
        Operations that several launches compute again, since that is cheaper than to store them.
    arena : int
        Bytes of all intermediate values; those that do not live at the same time share them.
    bytes_read, bytes_written : int
        Sums over the launches.
    """

    def __init__(self, name, launches, stored, results, recomputed, arena):
        self.name, self.launches, self.stored, self.results = name, launches, stored, results
        self.recomputed, self.arena = recomputed, arena
        self.bytes_read = sum(r.bytes_read for r in launches)
        self.bytes_written = sum(r.bytes_written for r in launches)

    @property
    def copies(self):
        """Launches that copy."""
        return [r for r in self.launches if r.kind == "copy"]

    @property
    def on_numpy(self):
        """Launches that are not compiled."""
        return [r for r in self.launches if r.kind == "NumPy"]

    def _parts(self):
        """(title, head, rows) of the tables."""
        yield (
            "Launches",
            ("#", "launch", "kind", "pass", "shape", "reads", "writes", "bytes in", "bytes out", "lines"),
            [(r.index, tables.cut(r.name), r.kind, r.part, "x".join(map(str, r.shape)) or "1",
              tables.few(r.reads), tables.few(r.writes), tables.size(r.bytes_read), tables.size(r.bytes_written),
              tables.few(r.lines)) for r in self.launches],
        )  # fmt: skip
        yield (
            "Inside of launches",
            ("#", "launch", "kind", "when", "shape", "bytes in", "bytes out", "lines"),
            [(r.index, tables.cut(r.name), r.kind, r.when, "x".join(map(str, r.shape)) or "1",
              tables.size(r.bytes_read), tables.size(r.bytes_written), tables.few(r.lines))
             for launch in self.launches for row in launch.inside for r in row.everything()],
        )  # fmt: skip
        yield (
            "Stored between launches",
            ("value", "array", "bytes", "made by", "read by", "why"),
            [
                (r.name, r.array, tables.size(r.bytes), tables.few(r.made_by), tables.few(r.read_by), r.why)
                for r in self.stored
            ],
        )
        because = [(r.index, tables.cut(r.name), r.kind, r.why) for r in self.launches if r.why]
        yield "Copied, or not compiled", ("#", "launch", "kind", "why"), because
        yield (
            "Results",
            ("result", "array", "bytes", "memory"),
            [(r.name, r.array, tables.size(r.bytes),
              "recycled when nobody holds it" if r.recycled else "new at each call, since it is small")
             for r in self.results],
        )  # fmt: skip

    def _head(self):
        count = len(self.launches)
        again = f"; computed again rather than stored: {tables.few(self.recomputed, 6)}" if self.recomputed else ""
        return (
            f"{self.name}: {count} launch{'es' if count != 1 else ''}, which read {tables.size(self.bytes_read)} and "
            f"write {tables.size(self.bytes_written)}; arena {tables.size(self.arena)}{again}"
        )

    def __str__(self):
        found = [self._head()]
        found += [f"{title}\n{tables.text(head, rows)}" for title, head, rows in self._parts() if rows]
        return "\n\n".join(found)

    __repr__ = __str__

    def _repr_html_(self):
        parts = [f"<h4>{title}</h4>{tables.as_html(head, rows)}" for title, head, rows in self._parts() if rows]
        return f"<p>{tables.html.escape(self._head())}</p>" + "".join(parts)


def explain(fn, *args):
    """What `fn` is compiled to at these arguments: launches, what each fuses, what is stored between them, and why.

    Parameters
    ----------
    fn : callable
        A function of Arrays, also one that `jit`, `grad` or `value_and_grad` made.
    *args
        Arguments of `fn`; their shapes and dtypes matter, not their values.  Nothing is run.

    Returns
    -------
    Explanation
        With rows to look at and tables to print.

    Raises
    ------
    DeviceError
        If an argument is on a CUDA device.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> x = ng.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> found = ng.debug.explain(ng.value_and_grad(lambda x: np.sum(np.tanh(x) * 2.0)), x)
    >>> [(row.kind, row.operations) for row in found.launches]
    [('loop', ['tanh', 'multiply', 'multiply', 'subtract', 'multiply', 'sum'])]
    """
    study = Study("explain", fn, args)
    return Reader(study).explanation()


class Reader:
    """Rows from a lowering with notes."""

    def __init__(self, study):
        self.study, self.lowering, self.numbers = study, study.lowering, {}
        self.plan = self.lowering.plan

    def explanation(self):
        lowering = self.lowering
        *_, launches, arena = lowering._result()
        self.launches = launches
        self.makers, self.readers = {}, {}
        for k, launch in enumerate(launches):
            for b in _distinct(launch.writes):
                self.makers.setdefault(id(b), []).append(k)
                self.label(b)
            for b in _distinct(launch.reads):
                self.readers.setdefault(id(b), []).append(k)
        rows = [self.row(k, launch) for k, launch in enumerate(launches)]
        results = [
            ResultRow(f"result {k}", tables.shape(n), n.dtype.itemsize * shapes.size(n.shape),
                      pool.bucket(n.dtype.itemsize * shapes.size(n.shape)) is not None)
            for k, n in enumerate(self.study.trace.results.outputs)
        ]  # fmt: skip
        again = sorted({n.primitive.name for n in self.plan.recomputed})
        return Explanation(self.study.name, rows, self.stored(), results, again, arena)

    def label(self, buffer):
        return self.study.label(buffer, self.numbers)

    def row(self, index, launch):
        note = self.lowering.notes[launch]
        nodes, kind, why, names, largest, lines = self.facts(launch, note)
        return LaunchRow(
            index, launch.name, kind, names, largest,
            list(dict.fromkeys(map(self.label, launch.reads))), list(dict.fromkeys(map(self.label, launch.writes))),
            note.read, note.written, lines, part_of(nodes), why, self.inside(str(index), launch, nodes),
        )  # fmt: skip

    def facts(self, launch, note):
        """(nodes, kind, why, operations, shape, lines) of a launch."""
        groups = note.unit.groups if isinstance(note.unit, Rows) else [note.unit]
        nodes = [n for g in groups for n in (*g.nodes, *g.reductions)]
        if launch.parts:  # one for all results of a call
            nodes = self.lowering.loops.get(nodes[0], nodes)
        kind, why = self.kind(launch, note.unit, nodes)
        names = [n.primitive.name for n in nodes if n.primitive.name != "identity"]
        lines = dict.fromkeys(site_text(o.site) for n in nodes if (o := written(n)) is not None)
        names = names[:1] if launch.parts else names or ["copy"]
        return nodes, kind, why, names, max((g.domain for g in groups), key=shapes.size), [x for x in lines if x]

    def inside(self, index, launch, nodes):
        """Rows for the launches that a launch runs."""
        found = []
        for k, part in enumerate(sorted(launch.parts, key=lambda p: p.slot)):
            when = _when(k, part.slot, dict(nodes[0].attrs)["rule"])
            for deep in part.launches:
                number, note = f"{index}.{len(found)}", self.lowering.notes.get(deep)
                if note is None:  # it does all steps, on numbers in registers, and touches what the launch does
                    note, often = self.lowering.notes[launch], when.replace("each step", "all steps")
                    _, _, _, names, shape, lines = self.facts(launch, note)
                    kind, deeper = "kernel", []
                else:
                    inner, kind, _, names, shape, lines = self.facts(deep, note)
                    often, deeper = when, self.inside(number, deep, inner)
                found.append(
                    InsideRow(number, often, deep.name, kind, names, shape, note.read, note.written, lines, deeper)
                )
        return found

    def kind(self, launch, unit, nodes):
        """(kind of a launch, why)."""
        if launch.host:
            return "NumPy", _why_numpy(nodes[0])
        if launch.blas:
            return "BLAS", ""
        if launch.name.endswith("_join"):
            return "join", ""
        if launch.parts:
            return "steps", ""
        first = nodes[0]
        if not launch.reads and first.primitive.kind not in ("elementwise", "cast", "reduction"):
            return "fill", ""
        if launch.name == "contiguous":
            return "copy", f"{first.primitive.name} takes arrays whose elements lie one after another"
        if launch.name == "state":
            return "copy", "a loop has memory of its own for its state"
        if launch.name == "copy":
            return "copy", "a reshape of an array whose elements do not lie in that order"
        if all(n.primitive.name == "identity" for n in nodes):
            return "copy", "a result is an argument, a view or another result, and has memory of its own"
        if isinstance(unit, Rows):
            return "rows", ""
        if len(nodes) == 1 and not is_elementwise(first) and first.primitive.kind != "reduction":
            if first.primitive.name in ("concatenate", "embed", "set_slice", "add_slices"):
                return "copy", f"{first.primitive.name} puts parts into one array"
            return "kernel", ""
        return "loop", ""

    def stored(self):
        """Rows for the values between launches."""
        found = []
        owners = {}
        for node, buffer in self.lowering.buffers.items():
            if id(buffer) in self.makers and buffer.kind in ("arena", "output"):
                owners.setdefault(id(buffer), (buffer, node))
        for key, (buffer, node) in owners.items():
            read_by = self.readers.get(key, [])
            if buffer.kind == "output" and not read_by:
                continue
            found.append(
                StoredRow(self.label(buffer), tables.shape(node), buffer.nbytes, self.makers[key], read_by,
                          self.why(node, buffer, read_by))
            )  # fmt: skip
        for k, launch in enumerate(self.launches):
            for b in launch.writes:
                if id(b) not in owners and b.kind == "arena":
                    owners[id(b)] = b, None
                    why = "parts of a reduction, one for each chunk, which are joined"
                    if self.launches[k].name == "contiguous":
                        why = "a copy for the launch behind it"
                    for launch in (self.launches[m] for m in self.makers[id(b)]):
                        if launch.parts:
                            own = id(b) in _within(launch)
                            why = "between the launches inside of the launch" if own else "handed on from step to step"
                    text = f"{b.dtype}[{b.size}]"
                    found.append(StoredRow(self.label(b), text, b.nbytes, [k], self.readers.get(id(b), []), why))
        return found

    def why(self, node, buffer, read_by):
        """Why a value is in memory."""
        if buffer.kind == "output":
            return "a result that is read again"
        notes = [self.lowering.notes[self.launches[k]] for k in read_by]
        apart = [n for note in notes if not isinstance(note.unit, Rows) for n in note.unit.nodes
                 if not is_elementwise(n)]  # fmt: skip
        if node.primitive.kind == "reduction":
            return "a reduction, complete only when its launch is done"
        if not is_elementwise(node):
            return f"made by {_call(node)}"
        if self.makers[id(buffer)] == read_by:
            few = ", in memory for a few rows at a time" if buffer.size < shapes.size(node.shape) else ""
            return f"a reduction of each row of the launch lies in between{few}"
        if apart:
            return f"operand of {_call(apart[0])}"
        if len(read_by) > 1:
            return f"read by {len(read_by)} launches"
        groups = [g for note in notes for g in (note.unit.groups if isinstance(note.unit, Rows) else [note.unit])]
        if any(_between(reader, node) for g in groups for reader in (*g.nodes, *g.reductions)):
            return "a reduction lies in between"
        if not any(node in n.inputs and node.shape == g.domain for g in groups for n in (*g.nodes, *g.reductions)):
            return "read as a view: transposed, sliced, broadcast or indexed"
        return f"a chain of more than {LONGEST_CHAIN} operations is cut"


def part_of(nodes):
    """``"forward"``, ``"backward"`` or ``"both"``."""
    found = set(map(is_backward, nodes))
    return "both" if len(found) == 2 else "backward" if True in found else "forward"


def _when(k, slot, rule):
    """When, and how often, the launches of part `k` are run."""
    if isinstance(rule, Loop):
        return "at the end" if slot == steps.END else f"each of {rule.length} steps"
    if isinstance(rule, Choice):
        return f"branch {k}"
    if slot < steps.SWEEPS:
        return "before each step"
    k, which = divmod(slot - steps.SWEEPS, steps.SWEEP_WORDS)
    sweep = f", sweep {k}{' (backwards)' if rule.sweeps[k].back else ''}" if len(rule.sweeps) > 1 else ""
    return f"{('at the start', 'each step', 'at the end')[which]}{sweep}"


def _within(launch):
    """What the launches inside of a launch address in its memory other than by its cells."""
    inner = (deep for part in launch.parts for x in part.launches for deep in x.everything())
    return {id(view.origin) for deep in inner for _, view, _ in deep.words.addresses}


def _distinct(buffers):
    return {id(b): b for b in buffers}.values()


def written(node):
    """The node of the user's program that a node of a lowered graph belongs to, or None."""
    found = node.fact("origin")
    while found is not None and found.fact("derivative_of") is not None:
        found = found.fact("derivative_of")
    return found


def _call(node):
    """A launch of its own, in words."""
    name = node.primitive.name
    return f"{name}, a library call" if name == "matmul" else f"{name}, a launch of its own"


def _between(reader, node):
    """Whether `reader` depends on a reduction of what depends on `node`."""
    for x in graph.topological([reader], stop=lambda n: n.serial < node.serial):
        if x.primitive is not None and x.primitive.kind == "reduction" and x is not reader:
            behind = graph.topological([x], stop=lambda n: n.serial < node.serial)
            if node in behind:
                return True
    return False


def _why_numpy(node):
    """Why a node is done by its NumPy reference."""
    primitive, attrs = node.primitive, dict(node.attrs)
    if "primitive" in attrs and primitive.name == "on_pairs":
        return f"{attrs['primitive'].name} has no compiled text where complex numbers come in or out"
    if primitive.name == "matmul":
        return f"no BLAS for products of {node.dtype}, or none that takes these strides"
    if "rule" in attrs:
        return "an operation in it has no compiled text: its steps are NumPy calls"
    if primitive.kernel is None or primitive.layout is None:
        return f"{primitive.name} has no compiled text: its NumPy reference is called"
    shown = ", ".join(tables.shape(x) for x in node.inputs)
    return f"the compiled text of {primitive.name} does not take {shown}"
