"""Calls of users' kernels of arrays: launches whose source puts arrays together from addresses and extents."""

import numpy

from nbgrad import shapes
from nbgrad.compile.launch import CHUNK, Launch
from nbgrad.compile.source import Words, Writer, name_of
from nbgrad.compile.storage import Buffer, contiguous
from nbgrad.compile.words import KINDS

#: In place of a dtype: the text is of arrays and keeps its literals.
ARRAYS = "arrays"


class Calls:
    """The part of `nbgrad.compile.lower.Lowering` that is about calls."""

    def _call(self, node):
        """All results of a call in one launch: of the kernel, or of Python."""
        call = self.loops[node]
        if node is not call[0]:
            return
        rule = dict(node.attrs)["rule"]
        dtypes = [x.dtype for x in (*node.inputs, *rule.forms(node.inputs))]
        if rule.primitive.kernel is None or not all(name_of(d) in KINDS for d in dtypes):
            self._host(node, call, rule.by_steps, {"wanted": [dict(n.attrs)["index"] for n in call]})
        else:
            self._kernel_of_arrays(rule, [self._contiguous(x) for x in node.inputs], self._results(node))

    def _results(self, node):
        """Memory of all results of the call of a node, also of those that nobody reads."""
        made = {dict(n.attrs)["index"]: n for n in self.loops[node]}
        return [
            self._whole(made[k]) if k in made else contiguous(Buffer("arena", f.dtype, f.size), f.shape)
            for k, f in enumerate(dict(node.attrs)["rule"].forms(node.inputs))
        ]

    def _kernel_of_arrays(self, rule, reads, writes):
        primitive, attrs = rule.primitive, dict(rule.attrs)
        launch, w = Launch(primitive.name), Writer()
        launch.words = words = Words()
        launch.status = words.add(0)
        w.open("def kernel(args, start, stop):")
        w.line(f'"""{launch.name}"""')
        arguments = []
        for role, views in (("input", reads), ("output", writes)):
            for k, view in enumerate(views):
                arguments.append(f"{'x' if role == 'input' else 'y'}{k}")
                at = words.address(view, "load" if role == "input" else "store")
                for n in view.shape:
                    words.add(n)
                word = f"{role}_{name_of(view.origin.dtype)}_{len(view.shape)}"
                w.line(f"{arguments[-1]} = {word}(args, {at})")
        extent = primitive.extent([_form(v) for v in reads], attrs)
        if extent is not None:
            arguments += ["start", "stop"]
        for k, name in enumerate(primitive.defaults):
            dtype = dtype_of(attrs[name], writes[0].origin.dtype)
            arguments.append(f"a{k}")
            w.line(f"a{k} = number_{dtype}(args, {words.add((attrs[name], dtype))})")
        w.line(f"{primitive.name}_text({', '.join(arguments)})")
        launch.source = w.text()
        launch.code = self._code(launch.source, {f"{primitive.name}_text": (primitive, ARRAYS)})
        work = primitive.cost * sum(shapes.size(v.shape) for v in (*reads, *writes))
        total = 1 if extent is None else extent
        self._add(launch, reads, writes, total, max(1, CHUNK * total // max(work, 1)), work)


def _form(view):
    from nbgrad.extension.calls import Form

    return Form(view.shape, view.origin.dtype)


def dtype_of(value, dtype):
    """The dtype in which an attribute is passed to a kernel whose result has `dtype`; None for what is no number."""
    if isinstance(value, (bool, numpy.bool_)):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, numpy.generic) and str(value.dtype) in KINDS:
        return str(value.dtype)
    if isinstance(value, float):  # Python's are weak, as everywhere: float64 would be slow in a kernel of float32
        return "float32" if str(dtype) == "float32" else "float64"
    return None
