"""jit: trace a function once for each structure, shapes and dtypes of its arguments, then skip Python."""

import functools
import gc
import pickle
import threading

import numpy

from nbgrad import conversions, devices, effects, graph, pickling, trees
from nbgrad.array import Array, Parameter
from nbgrad.autodiff.arguments import flag
from nbgrad.compile import program as programs
from nbgrad.config import config
from nbgrad.errors import ArgumentError, DeviceError, describe
from nbgrad.graph import Node, state
from nbgrad.runtime import call, driver


def jit(fn=None, *, static_argnums=(), static_argnames=(), as_numpy=False):
    """Compile a function of arrays.

    The function is traced once for each combination of tree structure, shapes, dtypes and static arguments:
    its Python code runs on abstract arrays, and later calls run only the compiled program.  Kernels are
    shared between traces; a new shape is traced again but compiles nothing.

    Parameters
    ----------
    fn : callable
        Of Arrays, NumPy arrays, Python numbers, and nests (dict, list, tuple) of these.  It must not have
        side effects, and must not read values of its arguments.
    static_argnums : int or tuple of int
        Positional arguments that are part of the trace; hashable.
    static_argnames : str or tuple of str
        Keyword arguments that are part of the trace; hashable.
    as_numpy : bool
        Results are NumPy arrays that the caller owns, not Arrays: for callers outside of nbgrad, as
        ``scipy.optimize.minimize(ng.jit(ng.value_and_grad(f), as_numpy=True), x0, jac=True)``.

    Returns
    -------
    callable
        With the same signature; it has a method ``lower(*args)``.

    Raises
    ------
    TracedValueError
        When `fn` reads a value of an abstract array.

    Notes
    -----
    Arrays that `fn` captures are constants of the trace; a captured `Parameter` is read anew at every call.

    Examples
    --------
    >>> import nbgrad as ng
    >>> @ng.jit
    ... def f(x):
    ...     return x * x + 1.0
    >>> f(ng.asarray([1.0, 2.0]))
    Array([2., 5.], shape=(2,), dtype=float64, device=cpu)
    """
    if fn is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames, as_numpy=as_numpy)
    if not callable(fn):
        raise ArgumentError(f"jit: fn must be callable, not {describe(fn)}")
    return Jitted(fn, static_argnums, static_argnames, flag("jit", "as_numpy", as_numpy))


class _Uncollected:
    """No garbage collection: a trace makes many objects and no garbage, and a collection looks at all of them."""

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, False

    def __enter__(self):
        with self._lock:
            if not self._inside:
                self._before = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if not self._inside and self._before:
                gc.enable()


uncollected = _Uncollected()


class Trace:
    """One traced call: the Program and how arguments and results map to its arrays.

    Attributes
    ----------
    plain : bool
        No argument was a Python number.
    nest : structure of the arguments, or None
        None where each of them is an array.
    lost : dict or None
        What nodes of results remember of the Parameters that the function captured: no gradient passes to them.
    """

    __slots__ = (
        "device",
        "fast",
        "inputs",
        "lost",
        "nest",
        "owners",
        "places",
        "plain",
        "program",
        "results",
        "settled",
    )

    def __init__(self, program, owners, results, device):
        self.program, self.owners, self.results, self.device = program, owners, results, device
        self.inputs, self.fast, self.settled, self.places = (), None, False, self._places()
        self.plain, self.nest = False, None
        self.lost = _lost([p._node for p in owners]) if owners else None

    def _places(self):
        return [devices.of(p._node.value) for p in self.owners]

    def fits(self):
        """Whether the Parameters are on the devices that they were on."""
        return not devices.used or self._places() == self.places

    def settle(self):
        """Compile, and make the fast path: ``fast(*args)`` gives results, or None where an argument does not fit.

        On a device there is none: its programs are started from Python.
        """
        if config._compiled and not self.settled and self.device is None:
            compiled = self.program.compiled()
            self.inputs, self.settled = compiled.inputs, True
            self.fast = call.builtin(compiled, self.owners, self.results.steps, self.lost)


class Jitted(pickling.Named):
    """A function that `jit` compiles; a pickle of it compiles anew, or loads its kernels from the cache."""

    def __init__(self, fn, static_argnums, static_argnames, as_numpy):
        functools.update_wrapper(self, fn, updated=())
        self._fn, self._as_numpy = fn, as_numpy
        self._static_nums = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
        self._static_names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
        self._traces, self._checked = {}, {}
        self._last = None

    def __call__(self, *args, **kwargs):
        last = self._last
        if last is not None and not kwargs and not state.tracked and config._compiled:
            leaves = args
            if last.nest is not None:
                leaves, structure = trees.flatten((args, {}))
                if structure != last.nest:
                    return self._slow(args, kwargs)
            if last.fast is not None:
                results = last.fast(*leaves)
                if results is not None:
                    return results
            else:
                values = [a._node.value if type(a) is Array and not a._node.history else a for a in leaves]
                values += [p._node.value for p in last.owners]
                if len(values) == len(last.inputs) and all(map(_fits, values, last.inputs)):
                    return last.results(last.program.run(values), last.lost)
        return self._slow(args, kwargs)

    def _slow(self, args, kwargs):
        if state.tracked:  # inside another transform the outer one differentiates or compiles
            return self._fn(*args, **kwargs)
        with uncollected:
            trace, values, lost = self._traced(args, kwargs, bool(config._check_values))
            trace.settle()
        simple = config._compiled and not kwargs and not self._static_nums and trace.device is None and trace.plain
        self._last = trace if simple else None
        values += [p._node.value for p in trace.owners]
        return trace.results(trace.program.run(values), lost)

    def _traced(self, args, kwargs, checked=False):
        """(trace, values of the arguments' leaves, what results remember of lost history).

        `checked`: of a program that looks at every value.
        """
        dynamic, static = self._parted(args, kwargs)
        leaves, structure = trees.flatten(dynamic)
        past = [a._node for a in leaves if isinstance(a, Array) and a._node.history]
        past = _behind(past)  # before values are asked for, which may drop it
        values, kinds = [], []
        for i, leaf in enumerate(leaves):
            try:
                value, kind = _argument(leaf)
            except ArgumentError:
                graph.array_value(
                    leaf, f"jit of {_name(self._fn)}", trees.argument_paths(dynamic)[i]
                )  # raises, and says where
                raise
            values.append(value)
            kinds.append(kind)
        key = structure, tuple(kinds), static
        traces = self._checked if checked else self._traces
        try:
            trace = traces.get(key)
        except TypeError:
            raise ArgumentError(
                f"jit: static arguments of {_name(self._fn)} must be hashable, got {static!r}"
            ) from None
        if trace is None or not trace.fits():
            paths = trees.argument_paths(dynamic) if checked else None
            trace = traces[key] = self._trace(structure, values, static, paths)
            trace.plain = all(type(kind) is tuple for kind in kinds)
            trace.nest = None if _flat(dynamic[0]) else structure
        return trace, values, _lost([*past, *(p._node for p in trace.owners)]) if past else trace.lost

    def _parted(self, args, kwargs):
        static_nums = {k % len(args) if args else k for k in self._static_nums}
        dynamic = (
            tuple(a for k, a in enumerate(args) if k not in static_nums),
            {k: v for k, v in kwargs.items() if k not in self._static_names},
        )
        static = (
            tuple((k, a) for k, a in enumerate(args) if k in static_nums),
            tuple(sorted((k, v) for k, v in kwargs.items() if k in self._static_names)),
        )
        return dynamic, static

    def _trace(self, structure, values, static, paths=None):
        """The trace; with the `paths` of the arguments its program is one that looks at every value."""
        if config._compiled:
            driver.prepare()
        placeholders = [Node(None, (), (), v.shape, v.dtype, None, True, graph.site()) for v in values]
        if devices.used:
            for node, value in zip(placeholders, values, strict=True):
                if devices.of(value) is not None:
                    node.note(device=devices.of(value))
        positional, named = trees.unflatten(structure, [Array(n) for n in placeholders])
        positional = list(positional)
        for k, a in static[0]:
            positional.insert(k, a)
        state.tracked += 1
        beside = [] if paths is not None else None
        outside, state.beside = state.beside, beside
        conversions.enter()
        try:
            with effects.apart():
                result, last = self._fn(*positional, **named, **dict(static[1])), effects.pending()
        finally:
            conversions.leave()
            state.tracked -= 1
            state.beside = outside
        results = Results(result, call.NDARRAY if self._as_numpy else call.ARRAY)
        outputs = [*results.outputs, *last]
        owners = _owners(outputs)
        device = None
        if devices.used:
            leaves = graph.signature(outputs)[1]
            device = devices.common(leaves or placeholders, outputs)
        inputs = [*placeholders, *(p._node for p in owners)]
        if paths is not None:
            from nbgrad.debug.nonfinite import CheckedProgram

            program = CheckedProgram(inputs, outputs, paths, device, beside)
        else:
            program = programs.made(inputs, outputs, True, device)
        return Trace(program, owners, results, device)

    def lower(self, *args, **kwargs):
        """The compiled program for these arguments, to look at: ``.source``, ``.launches``."""
        trace, values, _ = self._traced(args, kwargs)
        return Lowered(trace.program.compiled(), [*values, *(p._node.value for p in trace.owners)], trace)

    def njit(self, *args, into=False, fixed=False, **kwargs):
        """The compiled function for code under ``numba.njit``, which calls it without Python.

        Parameters
        ----------
        *args, **kwargs : arrays and numbers
            An example of the arguments: their dtypes and ranks are those of the function.  Extents of more than 1 are
            open: extents that are equal in the example are one size, which may be another one in each call.  An extent
            stays what it is where the function needs it so.
        into : bool, optional
            The results are written into arrays that are handed over behind the arguments, in the order of the results,
            and nothing is allocated.
        fixed : bool or tuple of int, optional
            Extents of the example that are not open; all of them if True.  Small ones make faster code: loops over
            the 3 of points in space are unrolled.

        Returns
        -------
        callable
            A function of Numba.  It takes the leaves of the arguments, one after another, as C-contiguous arrays
            (others are copied) and numbers, and returns the results: 0-d arrays as numbers, lists as tuples, dicts as
            tuples of their values.  Any number of threads may call it, for instance in ``prange``; it uses none of its
            own.  Code with it is not kept in Numba's caches.

        Raises
        ------
        ArgumentError
            If the function reads a `Parameter`.
        KernelError
            If a part of it is a call of NumPy or SciPy: see ``lower(*args)`` and `nbgrad.debug.explain`.
        ValueError
            By the compiled function, for extents that do not fit together.

        Examples
        --------
        >>> import numba
        >>> import numpy
        >>> import nbgrad as ng
        >>> value_and_slope = ng.jit(ng.value_and_grad(lambda x, y: x**3 - y)).njit(1.0, 2.0)
        >>> @numba.njit
        ... def cube_root(y):
        ...     x = y
        ...     for _ in range(50):
        ...         value, slope = value_and_slope(x, y)
        ...         x -= value / slope
        ...     return x
        >>> cube_root(27.0)
        3.0
        """
        from nbgrad.export import names, numba_function

        program = self._program("njit", args, kwargs, fixed)
        return numba_function.made(program, names.identifier(_title(self._fn)), flag("njit", "into", into))

    def cfunc(self, *args, signature=None, **kwargs):
        """The compiled function by its address: for ``scipy.LowLevelCallable``, ctypes and cffi.

        Parameters
        ----------
        *args, **kwargs : arrays and numbers
            An example of the arguments, as for `njit`.
        signature : str, optional
            The signature in C that the caller wants, such as ``"double (double, void *)"``.  Its parameters are handed
            to the arguments in order: numbers to numbers, pointers to arrays, or to as many numbers as there are next
            to each other; integers say how many elements the pointers have, the first the first; pointers behind those
            that the arguments take are written to.  A result ``double`` is that of the function; a result ``int`` is 1,
            or 0 for sizes that do not fit.  Arguments that are left are read from ``void *``, one after another.
            Without a signature it is the program's own, as `export` writes it into a header.

        Returns
        -------
        nbgrad.export.callback.Callback
            With ``address``, ``signature``, ``ctypes`` and ``low_level_callable(*rest)``.

        Raises
        ------
        ArgumentError
            If the signature cannot be read or does not fit, and as `njit`.
        KernelError
            As `njit`.

        Examples
        --------
        >>> import numpy
        >>> import nbgrad as ng
        >>> import scipy.integrate
        >>> slope = ng.jit(ng.grad(lambda x: ng.numpy.sin(x) ** 2))
        >>> f = slope.cfunc(1.0, signature="double (double)").low_level_callable()
        >>> print(f"{scipy.integrate.quad(f, 0.0, 1.0)[0]:.12f} {numpy.sin(1.0) ** 2:.12f}")
        0.708073418274 0.708073418274
        """
        from nbgrad.export import callback

        if signature is None:
            return callback.plain(self._program("cfunc", args, kwargs, False))
        return callback.adapted(lambda fixed: self._program("cfunc", args, kwargs, fixed), signature)

    def export(self, path, *args, name=None, cpu="native", fixed=False, **kwargs):
        """Write the compiled function as a shared library for C, with a header and a description in JSON.

        The library needs no Python, keeps nothing between calls, and any number of threads may call it at one time.

        Parameters
        ----------
        path : path-like
            Of the library; header and description lie beside it, under the same name.
        *args, **kwargs : arrays and numbers
            An example of the arguments, as for `njit`.
        name : str, optional
            Of the function in C; by default that of the file.
        cpu : str, optional
            What it is compiled for, as LLVM calls it, such as ``"x86-64-v3"``; by default the CPU of this machine.
        fixed : bool or tuple of int, optional
            Extents of the example that are not open, as for `njit`.

        Returns
        -------
        nbgrad.export.library.Exported
            With the paths of the three files.

        Raises
        ------
        ArgumentError
            If there is no such folder, if `name` is no identifier, and as `njit`.
        KernelError
            If LLVM does not know the CPU, if the linker fails, and as `njit`.
        MissingToolError
            If there is no C compiler, which links the library.

        Examples
        --------
        >>> import numpy
        >>> import nbgrad as ng
        >>> f = ng.jit(ng.grad(lambda x: ng.numpy.sum(x**3)))
        >>> files = f.export("cubes.so", numpy.ones(4))
        >>> print(next(line for line in files.header.read_text().splitlines() if line.startswith("int32_t")))
        int32_t cubes(const double *x, double *out0, int64_t n, void *workspace);
        """
        from nbgrad.export import library

        return library.made(self._program("export", args, kwargs, fixed), path, name, cpu)

    def _program(self, call, args, kwargs, fixed):
        from nbgrad.export.program import NativeProgram

        return NativeProgram(self, args, kwargs, f"{call} of {_name(self._fn)}", fixed)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def _parts(self):
        return pickling.recipe("jit", self._fn), self._static_nums, self._static_names, self._as_numpy

    def _restore(self, fn, *options):
        self.__init__(pickling.followed(fn), *options)


class Lowered:
    """What a jitted function was compiled to."""

    def __init__(self, compiled, values, trace):
        self._compiled, self._values, self._trace = compiled, values, trace

    @property
    def launches(self):
        """Names of the launches in execution order: the primitives that each one fuses."""
        return [launch.name for launch in self._compiled.launches]

    @property
    def source(self):
        """The emitted Python source of each distinct kernel, in order of first launch."""
        seen = {}
        for launch in self._compiled.launches:
            if launch.source and launch.source not in seen:
                seen[launch.source] = f"# {launch.name}\n{launch.source}"
        return "\n\n".join(seen.values())

    def profile(self, repeat=20):
        """Where the time goes: for each launch its name and its median seconds, on the arguments of `lower`."""
        return self._compiled.profile(self._values, repeat)

    def launch(self, stream=None):
        """Put the program into a stream of its CUDA device, on the arguments of `lower`: what the function returns.

        Nothing is waited for, unless a launch is done on the host.

        Parameters
        ----------
        stream : nbgrad.cuda.Stream, optional
            The current one of the device unless given.
        """
        self._needs_device("launch")
        return self._trace.results(self._compiled.run(self._values, stream))

    def graph(self):
        """The program as a CUDA graph, which a device starts at once: see `nbgrad.cuda.Graph`.

        Raises
        ------
        DeviceError
            If the program is for the host, or one of its launches is done there.
        """
        self._needs_device("graph")
        from nbgrad.runtime.cuda.graph import Graph

        return Graph(self._compiled, self._values, self._trace)

    def _needs_device(self, call):
        if self._trace.device is None:
            raise DeviceError(
                f"lower(...).{call}: the program is for the host, not a CUDA device; call lower with arrays that are "
                "on one: x.to('cuda')"
            )

    def __reduce__(self):
        if self._trace.device is not None:
            raise pickle.PicklingError(
                "pickle of lower(...): the program is for a CUDA device, whose code stays in its process; pickle the "
                "jitted function, and call lower there"
            )
        return _lowered, (self._trace.program, self._values)

    def __repr__(self):
        return f"<lowered: {len(self.launches)} launches: {', '.join(self.launches)}>"


def _lowered(program, values):
    return Lowered(program.compiled(), values, Trace(program, [], None, None))


class Results:
    """How results are made of the arrays of a program.

    Attributes
    ----------
    outputs : list of Node
        The arrays of the results, in order.
    steps : list of (kind, detail)
        How the nest is made on a stack: `nbgrad.runtime.call` knows the kinds.
    """

    def __init__(self, result, leaf):
        self.outputs, self.steps, self._leaf = [], [], leaf
        self._add(result)

    def __call__(self, arrays, info=None):
        with uncollected:
            return self._made(arrays, info)

    def _made(self, arrays, info):
        stack = []
        for kind, detail in self.steps:
            if kind == call.ARRAY:
                node = _leaf(arrays[detail])
                node.info = info
                stack.append(Array(node))
            elif kind == call.NDARRAY:
                stack.append(devices.on_host(arrays[detail]))
            elif kind == call.OBJECT:
                stack.append(detail)
            else:
                make, count = detail if kind == call.OTHER else (_NESTS[kind], detail)
                parts = stack[len(stack) - count :]
                del stack[len(stack) - count :]
                stack.append(make(parts))
        return stack[0]

    def folded(self, array, other, nest):
        """The nest as something else: of ``array(k)`` for arrays, ``other(value)`` and ``nest(kind, parts)``."""
        stack = []
        for kind, detail in self.steps:
            if kind in (call.ARRAY, call.NDARRAY):
                stack.append(array(detail))
            elif kind == call.OBJECT:
                stack.append(other(detail))
            else:
                count = detail[1] if kind == call.OTHER else detail
                parts = stack[len(stack) - count :]
                del stack[len(stack) - count :]
                stack.append(nest(kind, parts))
        return stack[0]

    def _add(self, value):
        """Steps for a value, inner parts first."""
        kind, parts = call.OBJECT, ()
        if isinstance(value, (Array, numpy.ndarray, numpy.generic)):
            self.outputs.append(graph.node_of(value, "jit", "result"))
            self.steps.append((self._leaf, len(self.outputs) - 1))
            return
        if type(value) in (tuple, list):
            kind, parts = call.TUPLE if type(value) is tuple else call.LIST, value
            detail = len(value)
        elif type(value) is dict:
            kind, parts = call.DICT, [part for item in value.items() for part in item]
            detail = len(parts)
        else:
            leaves, structure = trees.flatten(value)
            if structure is not None and not (len(leaves) == 1 and leaves[0] is value):
                kind, parts = call.OTHER, leaves
                detail = functools.partial(trees.unflatten, structure), len(leaves)
            else:
                detail = value
        for part in parts:
            self._add(part)
        self.steps.append((kind, detail))


_NESTS = {call.TUPLE: tuple, call.LIST: list, call.DICT: lambda parts: dict(zip(parts[::2], parts[1::2], strict=True))}


def _behind(nodes):
    """The leaves that nodes were made from."""
    return nodes if all(n.primitive is None for n in nodes) else graph.signature(nodes, True)[1]


def _lost(leaves):
    """What results remember of leaves with a history: Parameters stay the same when they are assigned to."""
    owners = [n.fact("owner") for n in leaves]
    others = [n for n, p in zip(leaves, owners, strict=True) if p is None]
    return {
        "forgotten": "jit",
        "owners": tuple(p for p in owners if p is not None),
        "origins": graph.origins(others),
    }


def _leaf(value):
    return Node(None, (), (), value.shape, value.dtype, value)


def _fits(value, traced):
    dtype, shape = traced
    return type(value) is numpy.ndarray and value.dtype == dtype and value.shape == shape


def _flat(args):
    return all(type(a) is Array or type(a) is numpy.ndarray for a in args)


def _argument(leaf):
    """(ndarray, what the trace depends on) of one leaf of the arguments."""
    if isinstance(leaf, Array):
        if leaf._node.value is None:
            leaf.realize()
        value = leaf._node.value
        return value, _kind(value)
    if type(leaf) is numpy.ndarray and leaf.dtype in graph.dtypes.SUPPORTED:
        return leaf, (leaf.dtype, leaf.shape)
    if type(leaf) in graph.dtypes.WEAK:
        return numpy.asarray(leaf), type(leaf)
    value = devices.foreign(leaf)
    if value is None:
        value = graph.array_value(leaf, "jit", "an argument")
    return value, _kind(value)


def _kind(value):
    """What a trace depends on, of an array."""
    place = devices.of(value) if devices.used else None
    return (value.dtype, value.shape) if place is None else (value.dtype, value.shape, place)


def _owners(outputs):
    """Parameters that the graph reads, each once."""
    found = {}
    for node in graph.topological(outputs, stop=lambda n: n.value is not None):
        owner = node.fact("owner")
        if isinstance(owner, Parameter) and owner._node is node:
            found[id(owner)] = owner
    return list(found.values())


def _title(fn):
    return getattr(fn, "__name__", "function")


def _name(fn):
    return getattr(fn, "__qualname__", repr(fn))
