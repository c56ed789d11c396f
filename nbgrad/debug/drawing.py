"""draw: the graph of a function as a picture, its launches as boxes around the operations that they fuse."""

import itertools
import os

from nbgrad import graph
from nbgrad.compile.rows import Rows
from nbgrad.debug import tables
from nbgrad.debug.explanation import Reader
from nbgrad.debug.recording import Study, is_backward
from nbgrad.errors import MissingToolError, OptionError, describe, site_text

#: Operations up to which each is drawn; of larger programs only the launches are.
MOST = 150
_FORMATS = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": None, ".gv": None}
#: Fill and outline: of operations by their pass, of arrays, of launches by their kind.
_FORWARD, _BACKWARD = ("#cfe2f9", "#3b6ea5"), ("#fbdcbc", "#b5651d")
_BOTH = ("#e4d5ee", "#7b4f9d")
_INPUT, _RESULT = ("#e8e8e8", "#606060"), ("#d3edd3", "#3c8040")
_LAUNCH = {"BLAS": "#f3f6e3", "NumPy": "#fbe4e4", "copy": "#f0f0f0"}


class Drawing:
    """What `draw` returns.

    Attributes
    ----------
    dot : str
        The picture as text in the DOT language of Graphviz.
    svg : str
        The picture as SVG; needs the program ``dot``.
    """

    def __init__(self, source):
        self._source = source
        self.dot = source.source

    @property
    def svg(self):
        """The picture as SVG."""
        return self._piped("svg").decode()

    def save(self, path):
        """Write a file; its suffix says how: ``.svg``, ``.png`` or ``.pdf``, or ``.dot`` for the text."""
        suffix = os.path.splitext(os.fspath(path))[1].lower()
        if suffix not in _FORMATS:
            raise OptionError(f"draw: path {os.fspath(path)!r} ends with {suffix!r}, expected {', '.join(_FORMATS)}")
        data = self.dot.encode() if _FORMATS[suffix] is None else self._piped(_FORMATS[suffix])
        with open(path, "wb") as file:
            file.write(data)

    def _piped(self, form):
        import graphviz

        try:
            return self._source.pipe(format=form, quiet=True)
        except graphviz.ExecutableNotFound:
            raise MissingToolError(
                f"draw: the program dot, which makes {form.upper()}, is not installed; install Graphviz (apt-get "
                "install graphviz, or graphviz.org/download), or take the text: draw(...).dot, or path='graph.dot'"
            ) from None
        except graphviz.CalledProcessError as error:
            said = (error.stderr or b"").decode(errors="replace").partition("\n")[0]
            raise MissingToolError(
                f"draw: the program dot of this version of Graphviz failed ({said}); install a newer one, or take the "
                "text: draw(...).dot, or path='graph.dot'"
            ) from None

    def _repr_mimebundle_(self, include=None, exclude=None):
        try:
            return {"image/svg+xml": self.svg}
        except MissingToolError:
            return {"text/plain": self.dot}

    def __repr__(self):
        return f"<drawing: {self.dot.count(chr(10))} lines of DOT>"


def draw(fn, *args, path=None):
    """The graph that `fn` is compiled to, with its launches around the operations that they fuse.

    Operations of the function are blue, those of its derivatives orange.  Bold arrows are values that go through
    memory, thin ones stay in registers.  Of programs with more than 150 operations only the launches are drawn, violet
    where one belongs to both passes.

    Parameters
    ----------
    fn : callable
        A function of Arrays, also one that `jit`, `grad` or `value_and_grad` made.
    *args
        Arguments of `fn`; their shapes and dtypes matter, not their values.
    path : str or path-like, optional
        A file to write: ``.svg``, ``.png``, ``.pdf``, or ``.dot``.

    Returns
    -------
    Drawing
        Shown as a picture in notebooks; ``dot`` and ``svg`` are texts.

    Raises
    ------
    MissingToolError
        If the package graphviz is not installed (``pip install nbgrad[draw]``); for pictures also if the program
        ``dot`` is not.
    OptionError
        For a path with another suffix.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> drawing = ng.debug.draw(ng.grad(lambda x: np.sum(np.tanh(x))), ng.asarray([1.0, 2.0]))  # doctest: +SKIP
    >>> print(drawing.dot)  # doctest: +SKIP
    digraph grad_of_<lambda> {
        ...
    """
    try:
        import graphviz
    except ModuleNotFoundError:
        raise MissingToolError(
            "draw: the package graphviz is not installed; install it with pip install nbgrad[draw]"
        ) from None
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"draw: path must be a file name, got {describe(path)}")
    study = Study("draw", fn, args)
    picture = graphviz.Digraph(study.name.replace("<lambda>", "lambda"))
    # newrank: the ranking of old knows no operation that lies between two of one box; nslimit bounds the time
    picture.attr(rankdir="TB", newrank="true", nslimit="2", fontname="Helvetica", fontsize="11", nodesep="0.25",
                 ranksep="0.35", labelloc="t", labeljust="l", fontcolor="#202020")  # fmt: skip
    picture.attr("node", fontname="Helvetica", fontsize="10", shape="box", style="filled,rounded", margin="0.12,0.05",
                 height="0.3")  # fmt: skip
    picture.attr("edge", fontname="Helvetica", fontsize="8", arrowsize="0.6", color="#808080")
    _Picture(study, picture).draw()
    drawing = Drawing(picture)
    if path is not None:
        drawing.save(path)
    return drawing


class _Picture:
    """Nodes, boxes and arrows, from a lowered program."""

    def __init__(self, study, picture):
        self.study, self.picture, self.lowering = study, picture, study.lowering
        self.plan, self.ids, self.drawn = study.lowering.plan, {}, set()
        reader = Reader(study)
        self.rows = reader.explanation().launches
        self.units = {}
        for row, launch in zip(self.rows, reader.launches, strict=True):
            unit = self.lowering.notes[launch].unit
            self.units.setdefault(id(unit), (unit, []))[1].append(row)

    def draw(self):
        members = {k: _nodes(unit) for k, (unit, _) in self.units.items()}
        count = sum(map(len, members.values())) + sum(len(list(_within(row))) for row in self.rows)
        self.legend(count <= MOST)
        if count > MOST:
            self.launches()
            return
        self.group = {n: id(g) for unit, _ in self.units.values() for g in _groups(unit)
                      for n in (*g.nodes, *g.reductions)}  # fmt: skip
        for nodes in members.values():
            nodes[:0] = self.again(nodes)
        for k, (_, rows) in self.units.items():
            with self.picture.subgraph(name=f"cluster_{rows[0].index}") as box:
                box.attr(label=_title(rows), style="filled,rounded", fillcolor=_LAUNCH.get(rows[0].kind, "#fafafa"),
                         color="#a0a0a0", fontsize="9", fontcolor="#404040", margin="10", labeljust="l")  # fmt: skip
                for node in members[k]:
                    self.operation(box, node, k)
                for row in rows:
                    self.inside(box, row, self.id(members[k][0]))
        for k, nodes in members.items():
            for node in nodes:
                self.arrows(node, k)
        for k, node in enumerate(self.lowering.outputs):
            self.result(k, node)

    def legend(self, each):
        """The name and what the colours mean, over the picture."""
        colours = [("forward", _FORWARD), ("backward", _BACKWARD)] + ([] if each else [("both passes", _BOTH)])
        cells = "".join(f'<td bgcolor="{fill}"> {name} </td>' for name, (fill, _) in colours)
        more = ["bold arrow: through memory", "thin: in a register", "dashed: computed again rather than read"]
        more += ["dotted: launches that a launch runs, in order"] if any(r.inside for r in self.rows) else []
        cells += "".join(f"<td>{text}</td>" for text in more) if each else "<td>one box for each launch</td>"
        name = f"<b>{tables.html.escape(self.study.name)}</b>"
        title = f'<tr><td colspan="{cells.count("<td")}" align="left">{name}</td></tr>'
        self.picture.attr(label=f'<<table border="0" cellspacing="4">{title}<tr>{cells}</tr></table>>')

    def id(self, node, home=None):
        """The name of a node in the picture; what is computed again has one in each launch that does so.

        All results of a loop or a choice are one node.
        """
        node = self.call(node)[0]
        key = (node, home) if node in self.plan.recomputed else node
        return self.ids.setdefault(key, f"n{len(self.ids)}")

    def call(self, node):
        """The results that are computed together with a node; for most it is alone."""
        return self.lowering.loops.get(node, [node])

    def again(self, nodes):
        """What a launch computes again for itself, inputs first."""
        members, found, pending = set(nodes), set(), list(nodes)
        while pending:
            for x in pending.pop().inputs:
                if x in self.plan.recomputed and x not in members and x not in found:
                    found.add(x)
                    pending.append(x)
        return sorted(found, key=lambda n: n.serial)

    def operation(self, box, node, home):
        fill, line = _BACKWARD if is_backward(node) else _FORWARD
        lines = [_shown(node), tables.few([tables.shape(n) for n in self.call(node)])]
        origin = node.fact("origin")
        while origin is not None and origin.fact("derivative_of") is not None:
            origin = origin.fact("derivative_of")
        if origin is not None and origin.site is not None:
            lines.append(site_text(origin.site))
        dashed = {"style": "filled,rounded,dashed"} if node in self.plan.recomputed else {}
        box.node(self.id(node, home), "\\n".join(lines), fillcolor=fill, color=line, **dashed)

    def inside(self, box, row, start):
        """Draw the launches that a launch runs, one group for each time at which they are run."""
        groups = {}
        for deep in row.inside:
            groups.setdefault(deep.when, []).append(deep)
        for when, group in groups.items():
            box.edge(start, _id(group[0]), style="dotted")  # not inside: that would draw `start` there
            with box.subgraph(name=f"cluster_{_id(group[0])}") as inner:
                inner.attr(label=when, fillcolor="#ffffff", margin="8")
                for deep in group:
                    text = f"{tables.cut(deep.name, 32)}\\n{deep.kind}, {_moved(deep)}"
                    inner.node(_id(deep), text, fillcolor=_LAUNCH.get(deep.kind, "#fafafa"), color="#a0a0a0")
                for deep, after in itertools.pairwise(group):
                    inner.edge(_id(deep), _id(after), style="dotted")
                for deep in group:
                    self.inside(inner, deep, _id(deep))

    def arrows(self, node, home):
        for x in dict.fromkeys(node.inputs):
            origin = self.plan.sources[x].origin
            if _number(origin) is not None:
                continue
            if origin.primitive is None:
                self.given(origin)
            views = []
            while x is not origin and x.primitive is not None and x.inputs:
                views.append(x.primitive.name)
                x = x.inputs[0]
            label = ", ".join(reversed(views))
            inside = origin in self.plan.recomputed or self.group.get(origin, 0) == self.group.get(node, 1)
            style = {} if inside else {"penwidth": "2", "color": "#404040"}
            if label:
                style["xlabel"] = label  # a plain label would take a rank of its own
            self.picture.edge(self.id(origin, home), self.id(node, home), **style)

    def given(self, node):
        """Draw an array that is given."""
        if node in self.drawn:
            return
        self.drawn.add(node)
        fill, line = _INPUT
        name = self.study.label(self.lowering.buffers[node], {})
        self.picture.node(self.id(node), f"{name}\\n{tables.shape(node)}", fillcolor=fill, color=line, style="filled")

    def result(self, k, node):
        fill, line = _RESULT
        name = f"result{k}"
        origin = self.study.trace.results.outputs[k]
        self.picture.node(name, f"result {k}\\n{tables.shape(origin)}", fillcolor=fill, color=line, style="filled")
        self.picture.edge(self.id(node), name, penwidth="2", color="#404040")

    def launches(self):
        """One node for each launch, arrows for the arrays between them."""
        makers, given, arrows = {}, {}, {}
        numbers = {f"captured {k}" for k, n in enumerate(self.lowering.captured) if _number(n) is not None}
        for row in self.rows:
            fill, line = {"forward": _FORWARD, "backward": _BACKWARD, "both": _BOTH}[row.part]
            text = f"{row.index}: {tables.cut(row.name, 32)}\\n{row.kind}, {_moved(row)}"
            if row.inside:
                text += f"\\ninside: {tables.few([tables.cut(r.name, 24) for r in row.inside])}"
            name = f"launch{row.index}"
            self.picture.node(name, text, fillcolor=fill, color=line)
            for array in row.reads:
                if array in makers:
                    arrows[makers[array], name] = {"penwidth": "2", "color": "#404040"}
                elif array.startswith(("argument", "keyword", "Parameter", "captured")) and array not in numbers:
                    if array not in given:
                        given[array] = f"given{len(given)}"
                        self.picture.node(given[array], array, fillcolor=_INPUT[0], color=_INPUT[1], style="filled")
                    arrows[given[array], name] = {}
            for array in row.writes:
                makers[array] = name
        for (tail, head), style in arrows.items():
            if tail != head:
                self.picture.edge(tail, head, **style)
        for array, name in makers.items():
            if array.startswith("result"):
                where = array.replace(" ", "")
                self.picture.node(where, array, fillcolor=_RESULT[0], color=_RESULT[1], style="filled")
                self.picture.edge(name, where, penwidth="2", color="#404040")


def _nodes(unit):
    """The operations of a launch."""
    return [n for g in _groups(unit) for n in (*g.nodes, *g.reductions)]


def _groups(unit):
    """The loops of a launch."""
    return unit.groups if isinstance(unit, Rows) else [unit]


def _within(row):
    """Rows of all launches that a launch runs, and that these run."""
    for deep in row.inside:
        yield from deep.everything()


def _id(row):
    """The name in the picture of a launch inside of another one."""
    return f"inside_{row.index.replace('.', '_')}"


def _shown(node):
    """An operation, with the numbers among its operands."""
    numbers = [_number(x) for x in node.inputs]
    if all(n is None for n in numbers):
        return node.primitive.name
    return f"{node.primitive.name}({', '.join('·' if n is None else f'{n:.4g}' for n in numbers)})"


def _number(node):
    """The number that a node is in the program; None for others."""
    if graph.is_constant(node):
        return node.attrs[0]
    value = node.fact("value")
    return value.item() if node.primitive is None and value is not None and value.shape == () else None


def _title(rows):
    """What is written over the launches of one box."""
    numbers = ", ".join(str(r.index) for r in rows)
    kinds = ", ".join(dict.fromkeys(r.kind for r in rows))
    return f"launch{'es' if len(rows) > 1 else ''} {numbers}: {kinds}\\l{tables.few(list(map(_moved, rows)))}\\l"


def _moved(row):
    return f"{tables.size(row.bytes_read)} in, {tables.size(row.bytes_written)} out"
