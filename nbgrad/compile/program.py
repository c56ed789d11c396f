"""Program: the compiled form of a graph, and the table in which Programs are found again.

A Program starts as an interpreter.  What is worth it is lowered to compiled launches: everything under
`jit`, and whatever has spent more time in the interpreter than planning it is expected to cost.  Its kernels compile
beside it then, and the interpreter goes on until they are there.
"""

import time
from collections import OrderedDict

from nbgrad import devices, pickling
from nbgrad.compile.simplify import simplify
from nbgrad.config import config
from nbgrad.runtime.interpreter import Impatient, Interpreter, Patience
from nbgrad.statistics import COUNTERS

#: Seconds in the interpreter after which a Program is compiled, and those for each node: about what planning it costs.
PATIENCE, PATIENCE_OF_NODE = 0.02, 1e-4
#: Calls of NumPy for steps of loops after which a Program is compiled at once.
CALLS = 50_000
#: How many Programs are kept; the least recently used one goes.
KEPT = 4096

_programs = OrderedDict()


class Program:
    """A graph that can be run again and again with other values in its inputs.

    Parameters
    ----------
    inputs, outputs : lists of Node
    eager : bool
        Compile before the first run instead of when it has proved worth it.
    """

    __slots__ = ("_compiled", "_graph", "_interpreter", "_lowering", "_patience", "eager")

    def __init__(self, inputs, outputs, eager=False):
        self._graph = simplify(inputs, outputs)
        if devices.used:
            for node in self._graph[1]:  # numbers may be on a device
                node.note(value=devices.on_host(node.fact("value")))
        self._interpreter = self._lowering = self._compiled = None
        self._patience = PATIENCE
        self.eager = eager
        COUNTERS["programs"] += 1

    def __reduce__(self):
        inputs, _, outputs = self._graph
        return _again, (*pickling.rows(inputs, outputs), self.eager)

    def run(self, values):
        """Output ndarrays for the values of the inputs."""
        if devices.used:
            values = [devices.on_host(v) for v in values]
        if self._compiled is not None and config.jit:
            return self._compiled.run(values)
        mode = config.jit
        if mode == 2 or (mode == 1 and (self.eager or (self._patience <= 0 and self._lowered().ready()))):
            return self.compiled().run(values)
        if self._interpreter is None:
            self._interpreter = Interpreter(*self._graph)
            self._patience += PATIENCE_OF_NODE * len(self._interpreter)
        start = time.perf_counter()
        try:
            results = self._interpreter.run(values, Patience(CALLS) if mode else None)
        except Impatient:
            return self.compiled().run(values)
        self._patience -= time.perf_counter() - start
        return results

    def _lowered(self):
        if self._lowering is None:
            from nbgrad.compile.lower import Lowering
            from nbgrad.runtime import driver

            driver.prepare()
            self._lowering = Lowering(*self._graph)
        return self._lowering

    def compiled(self):
        """The launches, lowered now if need be."""
        if self._compiled is None:
            self._compiled = self._lowered().compiled()
            self._lowering = None
        return self._compiled


def _again(inputs, outputs, table, eager):
    return Program(*pickling.nodes(inputs, outputs, table), eager)


def made(inputs, outputs, eager=False, device=None):
    """The Program of a graph, for the host or a device."""
    if device is None:
        return Program(inputs, outputs, eager)
    from nbgrad.runtime.cuda.program import DeviceProgram

    return DeviceProgram(inputs, outputs, device)


def find(key, make, device=None):
    """The Program under `key`, from ``make() -> (inputs, outputs)`` if it is new; for the host or a device."""
    if config._check_values:  # of the nodes themselves: equal graphs were made at other lines
        from nbgrad.debug.nonfinite import CheckedProgram

        return CheckedProgram(*make(), device=device)
    if device is not None:
        key = device, key
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = made(*make(), device=device)
        if len(_programs) > KEPT:
            _programs.popitem(last=False)
    elif len(_programs) > KEPT // 2:
        _programs.move_to_end(key)
    return program


def forget(device):
    """Drop the Programs of a device."""
    for key in [k for k in _programs if k[0] is device]:
        del _programs[key]
