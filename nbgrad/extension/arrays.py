"""array_kernel: primitives that are Numba functions which write into arrays."""

import inspect
import types

import numpy

from nbgrad import counterparts
from nbgrad.errors import ArgumentError, OptionError, describe
from nbgrad.extension.calls import Extension, Form, checked_forms
from nbgrad.primitive import Missing

#: What kernels call the part of the parallel extent that they are to do.
BOUNDS = ("start", "stop")
#: Beginnings of the names of results: in a kernel, and in that of its VJP.
OUT, COTANGENT = "out", "g_"


def array_kernel(shape_rule, *, split=None, cost=1, name=None):
    """Declare a Numba function that writes into arrays as a primitive.

    Parameters
    ----------
    shape_rule : callable
        ``shape_rule(*inputs, **attributes)``: (shape, dtype) of the result, or a list of these for several results.
        What it gets of an input has a shape, a dtype, ndim and size; attributes are those that it names.
    split : {None, "rows"} or callable, optional
        How threads share the kernel.  ``"rows"`` are those of the first result; a function like `shape_rule` returns
        the extent.  The kernel then has the parameters ``start, stop`` behind its results and does that part of the
        extent; parts may not write to the same elements.
    cost : int, optional
        Operations for each element of the inputs and results, about: threads share what is worth it.
    name : str, optional
        By default that of the kernel.

    Returns
    -------
    callable
        A decorator for ``kernel(*inputs, *results, *, **attributes)``.  Names of results begin with ``out``, attributes
        are keyword-only and numbers.  Inputs and results are C-contiguous arrays; inputs are read-only, results hold
        anything at first.  What Numba compiles without Python objects is allowed; an exception becomes a KernelError
        that does not say which it was.  float16 arrives as float32, and complex numbers are left to Python.  What comes
        back is a primitive: one Array, or a tuple.

    Raises
    ------
    ArgumentError
        If the kernel has no results, or parameters of other kinds.
    KernelError
        When a program is compiled, and Numba does not compile the kernel.
    MissingRuleError
        When a derivative is asked for, and neither `vjp` nor `vjp_kernel` was declared.

    Examples
    --------
    >>> import nbgrad as ng
    >>> @ng.array_kernel(lambda x: (x.shape, x.dtype))
    ... def running_mean(x, out, *, keep=0.5):
    ...     mean = x[0]
    ...     for i in range(x.size):
    ...         mean = keep * mean + (1.0 - keep) * x[i]
    ...         out[i] = mean
    >>> @running_mean.vjp_kernel
    ... def running_mean_vjp(g, g_x, *, keep):
    ...     total = 0.0
    ...     for i in range(g.size - 1, -1, -1):
    ...         total = keep * total + g[i]
    ...         g_x[i] = (1.0 - keep) * total
    ...     g_x[0] += keep * total
    >>> x = ng.asarray([1.0, 3.0, 2.0])
    >>> print(running_mean(x), ng.grad(running_mean)(x))
    [1. 2. 2.] [1.75 0.75 0.5 ]
    """
    if not callable(shape_rule):
        raise ArgumentError(
            f"array_kernel: shape_rule is {describe(shape_rule)}, expected a function of the inputs; write for "
            "instance @ng.array_kernel(lambda x: (x.shape, x.dtype))"
        )
    if not (split in (None, "rows") or callable(split)):
        raise OptionError(f"array_kernel: split is {split!r}, expected 'rows' or a function of the inputs")

    def declare(kernel):
        return ArrayKernel("array_kernel", kernel, shape_rule, split, cost, name, OUT)

    return declare


class ArrayKernel(Extension):
    """A primitive that is a Numba function; see `array_kernel`."""

    __slots__ = ("results", "rule_of_shapes", "split")

    def __init__(self, call, kernel, shape_rule, split, cost, name, results):
        if isinstance(cost, bool) or not isinstance(cost, int) or cost < 1:
            raise OptionError(f"{call}: cost is {cost!r}, expected an integer of at least 1")
        text = counterparts.text_of(kernel)
        if text is None:
            raise ArgumentError(
                f"{call}: the kernel is {describe(kernel)}, expected a function; put the decorator above a def"
            )
        inputs, outs, bounds, defaults = _parts(call, text, results)
        if bool(bounds) != (split is not None):
            raise ArgumentError(
                f"{call}: {text.__name__} has {'the' if bounds else 'no'} parameters start and stop, and split is "
                f"{split!r}; kernels whose work is split have both behind their results, others have neither"
            )
        if not (name or text.__name__).isidentifier():
            raise ArgumentError(f"{call}: the name is {name or text.__name__!r}, expected one that Python could have")
        missing = f"Declare one beside the kernel with @{text.__name__}.vjp or @{text.__name__}.vjp_kernel"
        if results == OUT and {"g", "y", "xs"}.intersection(inputs):
            raise ArgumentError(
                f"{call}: {text.__name__} has an input called g, y or xs, which rules read as the cotangent, the "
                "output and all inputs; give it another name"
            )
        super().__init__(name or text.__name__, inputs, defaults, missing, text.__doc__, _all_positional(text))
        self.results, self.cost = outs, cost
        self.rule_of_shapes = shape_rule and _taking(shape_rule, defaults)
        self.split = _taking(split, defaults) if callable(split) else split

    def forms(self, inputs, attrs):
        """See `Extension`."""
        made = checked_forms(self.name, self.rule_of_shapes(inputs, attrs))
        if len(made) != len(self.results):
            raise ArgumentError(
                f"{self.name}: the shape rule returned {len(made)} results, and the kernel writes {len(self.results)}: "
                f"{', '.join(self.results)}"
            )
        return made

    def count(self, inputs, attrs):
        """See `Extension`."""
        return len(self.results)

    def steps(self, values):
        """See `Extension`: as if it did something for every element."""
        return sum(v.size for v in values)

    def extent(self, inputs, attrs):
        """The extent that threads share; None for a kernel that is not split."""
        if self.split is None:
            return None
        if callable(self.split):
            return int(self.split(inputs, attrs))
        shape = self.forms(inputs, attrs)[0].shape
        if not shape:
            raise ArgumentError(f"{self.name}: its result has no rows to be split by; leave out split='rows'")
        return shape[0]

    def called(self, values, attrs):
        """See `Extension`: the kernel as Python."""
        forms = [Form(v.shape, v.dtype) for v in values]
        outs = [numpy.empty(f.shape, f.dtype) for f in self.forms(forms, attrs)]
        extent = self.extent(forms, attrs)
        self.write(values, outs, attrs, () if extent is None else (0, extent))
        return outs

    def write(self, values, outs, attrs, bounds):
        """Run the kernel as Python."""
        self.kernel(*map(_protected, values), *outs, *bounds, *(attrs[a] for a in self.defaults))

    def vjp_kernel(self, kernel=None, *, split=None, cost=1):
        """Declare the VJP by a kernel that writes cotangents into arrays.

        Parameters
        ----------
        kernel : callable
            ``kernel(*reads, *cotangents, *, **attributes)``.  What it reads has the names that a rule has for it (see
            `vjp`); the cotangent of an input ``x`` is called ``g_x`` and has its shape and dtype.  Attributes are those
            of the primitive that it names.
        split : {None, "rows"} or callable, optional
            As of `array_kernel`, of the arrays that the kernel reads.
        cost : int, optional
            As of `array_kernel`.

        Returns
        -------
        ArrayKernel, or a decorator that makes one
            A primitive itself, which may be given a VJP for derivatives of second order.
        """
        if kernel is None:
            return lambda kernel: self.vjp_kernel(kernel, split=split, cost=cost)
        call = f"{self.name}.vjp_kernel"
        text = counterparts.text_of(kernel)
        if text is None:
            raise ArgumentError(f"{call}: the kernel is {describe(kernel)}, expected a function of arrays")
        reads, outs, _, attrs = _parts(call, text, COTANGENT)
        named = [o[len(COTANGENT) :] for o in outs]
        for n in named:
            if n not in self.operands:
                raise ArgumentError(
                    f"{call}: {COTANGENT}{n} is the cotangent of no input; the inputs are {', '.join(self.operands)}"
                )
        made = _Pullback(call, kernel, split, cost, self, named)

        def rule(*values):
            given = dict(zip(needs, values, strict=True))
            found = made.pulled([given[n] for n in reads], [given[n] for n in named], {a: given[a] for a in attrs})
            cotangents = dict(zip(named, found, strict=True))
            return tuple(cotangents[n] if n in cotangents else unknown[n] for n in self.operands)

        unknown = {
            n: Missing(f"its VJP kernel writes no g_{n}; add it, or cut the path with ng.stop_gradient({n})")
            for n in self.operands if n not in named
        }  # fmt: skip
        needs = tuple(dict.fromkeys((*reads, *named, *attrs)))
        self.declare_vjp(rule, needs)
        return made


class _Pullback(ArrayKernel):
    """The VJP of a kernel by another one: results are like inputs of the former."""

    __slots__ = ("named",)

    def __init__(self, call, kernel, split, cost, of, named):
        self.named = named
        super().__init__(call, kernel, None, split, cost, None, COTANGENT)
        for a in self.defaults:
            if a not in of.defaults:
                raise ArgumentError(f"{call}: {a} is no attribute of {of.name}; it has {_listed(of.defaults)}")

    def forms(self, inputs, attrs):
        """See `Extension`."""
        if RESULTS in attrs:
            return [Form(*f) for f in attrs[RESULTS]]
        given = dict(zip(self.operands, inputs, strict=True))
        if not given.keys() >= set(self.named):
            raise ArgumentError(
                f"{self.name}: it reads {_listed(self.operands)} and writes {_listed(self.results)}, whose shapes are "
                "those of inputs that it does not read; call it through a gradient"
            )
        return [Form(given[n].shape, given[n].dtype) for n in self.named]

    def pulled(self, reads, inputs, attrs):
        """The cotangents of `inputs`, for what the kernel reads."""
        if not set(self.named) <= set(self.operands):
            attrs = {**attrs, RESULTS: tuple((x.shape, x.dtype) for x in inputs)}
        return self.applied(reads, attrs)


#: The attribute of a pullback that says what its results are like, where no operand does.
RESULTS = "results"


def _listed(names):
    return ", ".join(names) or "none"


def _protected(value):
    """A contiguous view that cannot be written to."""
    view = numpy.ascontiguousarray(value).reshape(value.shape).view()
    view.flags.writeable = False
    return view


def _taking(rule, names):
    """A rule as a function of inputs and attributes, of which it gets those that it names."""
    parameters = inspect.signature(rule).parameters
    whole = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    taken = [n for n in names if whole or n in parameters]
    return lambda inputs, attrs: rule(*inputs, **{n: attrs[n] for n in taken})


def _all_positional(text):
    """A kernel whose attributes are positional: Numba knows no others."""
    code = text.__code__
    code = code.replace(co_argcount=code.co_argcount + code.co_kwonlyargcount, co_kwonlyargcount=0)
    made = types.FunctionType(code, text.__globals__, text.__name__, None, text.__closure__)
    made.__module__, made.__qualname__, made.__doc__ = text.__module__, text.__qualname__, text.__doc__
    return made


def _parts(call, text, results):
    """(inputs, results, start and stop, attributes with their defaults) of a kernel, by the names of its parameters.

    Raises
    ------
    ArgumentError
        If there are others.
    """
    inputs, outs, bounds, attrs = [], [], [], {}
    for p in inspect.signature(text).parameters.values():
        if p.kind is p.KEYWORD_ONLY:
            attrs[p.name] = p.default
        elif p.kind is not p.POSITIONAL_OR_KEYWORD or p.default is not p.empty:
            raise ArgumentError(
                f"{call}: {text.__name__} has the parameter {p}, expected inputs, results, and behind a * attributes"
            )
        elif p.name in BOUNDS:
            bounds.append(p.name)
        elif bounds or (outs and not p.name.startswith(results)):
            raise ArgumentError(
                f"{call}: {text.__name__} has {p.name} behind {(*outs, *bounds)[-1]}; the order is inputs, results "
                f"(names that begin with {results}), start and stop"
            )
        else:
            (outs if p.name.startswith(results) else inputs).append(p.name)
    if not outs or bounds not in ([], list(BOUNDS)):
        raise ArgumentError(
            f"{call}: {text.__name__}{inspect.signature(text)} has no result, or one of start and stop alone; results "
            f"are parameters whose names begin with {results}"
        )
    return inputs, outs, bounds, attrs
