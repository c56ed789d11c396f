"""A function traced and lowered once more, with notes of where each launch comes from."""

import contextlib
import time

from nbgrad import graph, shapes, trees
from nbgrad.compile.jit import Jitted, jit
from nbgrad.errors import ArgumentError, DeviceError, describe


class Note:
    """What is known of a launch besides what it needs to run.

    Attributes
    ----------
    unit : Group or Rows
        What it was made for.
    read, written : int
        Bytes of the elements that it touches, each once.
    """

    __slots__ = ("read", "unit", "written")

    def __init__(self, unit, read, written):
        self.unit, self.read, self.written = unit, read, written


def recording(base):
    """A `Lowering` like `base` that keeps a `Note` of each launch, also of those that run inside of others."""
    notes = {}

    class Recording(base):
        def __init__(self, inputs, captured, outputs):
            self.notes, self._touched = notes, {}
            super().__init__(inputs, captured, outputs)
            _matched(outputs, self.outputs)

        def _launch(self, group):
            self._noted(group, super()._launch, group)

        def _rows(self, unit, readers):
            self._noted(unit, super()._rows, unit, readers)

        def _noted(self, unit, make, *arguments):
            start = len(self.launches)
            make(*arguments)
            for launch in self.launches[start:]:
                read, written = self._touched.get(id(launch)) or _whole(launch)
                self.notes[launch] = Note(unit, read, written)

        def _finish(self, launch, kernel, reads, writes):
            nest = kernel.nest
            operands = [] if nest is None else [*nest.loads.values(), *nest.stores]
            views, indexed = {"load": {}, "store": {}}, {"load": 0, "store": 0}
            for k, (_, view, role) in enumerate(kernel.words.addresses):
                role = "load" if role == "load" else "store" if role != "partial" else None
                if k < len(operands) and operands[k].indices is not None:  # how many are met depends on the indices
                    buffer = self._origin_buffer(view.origin)
                    indexed[role] += min(shapes.size(nest.extents), buffer.size) * buffer.dtype.itemsize
                elif role:
                    views[role][view.key()] = view
            self._touched[id(launch)] = tuple(self._bytes(v.values()) + indexed[r] for r, v in views.items())
            super()._finish(launch, kernel, reads, writes)

        def _add(self, launch, reads, writes, total, grain, cost):
            self._touched[id(launch)] = self._bytes(reads), self._bytes(writes)
            super()._add(launch, reads, writes, total, grain, cost)

        def _host(self, node, call=None, *how):
            super()._host(node, call, *how)
            launch = self.launches[-1]
            views, results = [v for v in launch.operands if hasattr(v, "origin")], launch.results or 1
            self._touched[id(launch)] = self._bytes(views[:-results]), self._bytes(views[-results:])

        def _bytes(self, views):
            """Bytes of the elements of some views."""
            total = 0
            for view in views:
                buffer = self._origin_buffer(view.origin)
                if buffer is None:
                    continue
                pairs = zip(view.shape, view.strides, strict=True)
                total += min(shapes.size(n for n, s in pairs if s), buffer.size) * buffer.dtype.itemsize
            return total

    return Recording


def _whole(launch):
    """Bytes of all arrays that a launch reads and writes."""
    return tuple(sum(b.nbytes for b in {id(b): b for b in found}.values()) for found in (launch.reads, launch.writes))


class Study:
    """One function at some arguments, traced and lowered.

    Attributes
    ----------
    name : str
    trace, values
        Of `nbgrad.compile.jit.Jitted`, and what its program reads.
    names : list of str
        What the inputs of the program are called.
    lowering : Lowering
        With `notes` of its launches.
    phases : list of (str, float, float)
        Name, start and duration in seconds of what was done before the first run.
    """

    def __init__(self, call, fn, args):
        if not callable(fn):
            raise ArgumentError(f"{call}: fn must be callable, got {describe(fn)}")
        self.name = getattr(fn, "__name__", None) or getattr(fn, "name", type(fn).__name__)
        fresh = Jitted(fn._fn, fn._static_nums, fn._static_names, False) if isinstance(fn, Jitted) else jit(fn)
        for a in trees.flatten(args)[0]:
            if isinstance(a, graph.Array):
                a.realize()
        self.phases, start = [], time.perf_counter()
        with watched():
            self.trace, self.values, _ = fresh._traced(args, {})
        self.phases.append(("trace and simplify", start, time.perf_counter() - start))
        self.names = trees.argument_paths(fresh._parted(args, {})[0])
        self.names += [f"Parameter {p.name}" for p in self.trace.owners]
        self.values = [*self.values, *(p._node.value for p in self.trace.owners)]
        if self.trace.device is not None:
            raise DeviceError(
                f"{call}: the arguments are on {self.trace.device}, and what is shown here are programs of the host; "
                "move them with x.to('cpu'), or look at ng.jit(fn).lower(*args), its launches and its profile()"
            )
        from nbgrad.compile.lower import Lowering

        start = time.perf_counter()
        self.graph = self.trace.program._graph
        with watched():  # what runs inside of launches is simplified only now
            self.lowering = recording(Lowering)(*self.graph)
        self.phases.append(("plan", start, time.perf_counter() - start))

    def label(self, buffer, numbers):
        """What a buffer is called; `numbers` are those of intermediate values."""
        if buffer.kind == "input":
            return self.names[buffer.index]
        if buffer.kind == "captured":
            return f"captured {buffer.index}"
        if buffer.kind == "output":
            return f"result {buffer.index}"
        return f"t{numbers.setdefault(id(buffer), len(numbers))}"


@contextlib.contextmanager
def watched():
    """Nodes are told what they were made from."""
    before, graph.state.watched = graph.state.watched, True
    try:
        yield
    finally:
        graph.state.watched = before


def _matched(before, after):
    """Note in the nodes that lowering made anew which ones of the user's program they belong to.

    Where as many equal applications are new as have gone, they are the same ones, in order.  What else is new belongs
    to a derivative if one of its inputs does.
    """
    kept = graph.topological(after)
    known = set(kept)
    gone, new = {}, {}
    for node in graph.topological(before):
        if node not in known and node.fact("origin") is not None:
            gone.setdefault(_application(node), []).append(node.fact("origin"))
    for node in kept:
        if node.primitive is not None and node.fact("origin") is None:
            new.setdefault(_application(node), []).append(node)
    for key, nodes in new.items():
        origins = gone.get(key, ())
        if len(origins) == len(nodes):
            for node, origin in zip(nodes, origins, strict=True):
                node.note(origin=origin)
    for node in kept:
        if node.fact("origin") is None and any(map(is_backward, node.inputs)):
            node.note(backward=True)


def _application(node):
    return node.primitive, node.attrs, node.shape, node.dtype


def is_backward(node):
    """Whether a node of a lowered graph belongs to a derivative."""
    origin = node.fact("origin")
    if origin is None:
        return bool(node.fact("backward"))
    return origin.fact("derivative_of") is not None
