"""The words a kernel file uses: `elementwise`, `structural`, `.vjp`; and the registry of primitives.

A Primitive is a name, a kernel text, a VJP rule, a shape/dtype rule and a NumPy reference.  This module
knows neither Numba nor Arrays: kernels are compiled elsewhere, and calling a Primitive on Arrays makes
Nodes through `nbgrad.graph.apply`.
"""

import importlib
import types

import numpy

from nbgrad import graph
from nbgrad.errors import ArgumentError, NbgradError, describe

_registry = {}

#: What a rule may read that are no inputs, by parameter name, and inputs by their places.
RESIDUALS = {"g": "the cotangent", "y": "the output"}
PLACES = {"x": 0, "x1": 0, "x2": 1, "x3": 2}


def primitives():
    """Every declared primitive by name, in order of declaration."""
    _declare_all()
    return dict(_registry)


def _declare_all():
    from nbgrad.kernels import declare_all

    declare_all()


class Primitive:
    """One operation: what it computes, how it is differentiated, how shapes and dtypes follow.

    Attributes
    ----------
    name : str
    kind : str
        ``"elementwise"``, ``"reduction"``, ``"view"``, ``"update"``, ``"gather"``, ``"scatter"``, ``"array"``: how the
        compiler treats it.
    kernel : function or None
        Scalar text for elementwise primitives; Numba-compilable array text for array primitives.
    reference : callable
        NumPy evaluation, called as ``reference(*values, **attrs)``; the interpreter and the tests use it.
    infer : callable
        ``infer(inputs, attrs) -> (shape, dtype)`` for everything but elementwise primitives.
    of_floats : bool
        An elementwise primitive takes floats as they are, to the same dtype or booleans.
    of_complex : bool
        It takes complex numbers.
    pairs : callable or None
        What it is of complex numbers, as a text on pairs of real and imaginary parts: see `of_pairs`.
    complex_rule : callable or None
        The VJP for complex inputs, where it is not that of a holomorphic function: see `complex_vjp`.
    batching : str, callable or None
        What it is of stacked operands: a word of `nbgrad.batching.rules.WORDS`, or a rule: see `batched`.
    operands : tuple of str
        What the declaration calls the inputs.
    by_text : bool
        The reference is the text itself, which may be called for each element.
    """

    __slots__ = (
        "arity",
        "attributes",
        "batching",
        "block",
        "by_text",
        "casts",
        "complex_reads",
        "complex_rule",
        "cost",
        "cuda",
        "differentiable",
        "doc",
        "domain",
        "expression",
        "identity",
        "infer",
        "kernel",
        "kind",
        "layout",
        "name",
        "near",
        "of_complex",
        "of_floats",
        "operands",
        "pairs",
        "reads",
        "reference",
        "result",
        "rule",
        "variants",
    )  # fmt: skip

    def __init__(self, name, kind, *, kernel=None, reference=None, infer=None, arity=None, domain="any",
                 result="same", casts=None, expression=None, differentiable=True, cost=1, doc=None,
                 batch=None, registered=True):  # fmt: skip
        if name in _registry and not _again(_registry[name], kernel):
            raise NbgradError(
                f"primitive {name!r} is declared twice: in {_where(_registry[name])} and "
                f"{_where_fn(kernel or reference)}; "
                f"give one of them another name"
            )
        self.name, self.kind, self.kernel, self.reference = name, kind, kernel, reference
        self.variants, self.near, self.block, self.cuda = {}, None, None, None
        self.infer, self.arity, self.domain, self.result, self.casts = infer, arity, domain, result, casts
        self.of_floats = domain != "integer" and casts is None and result in ("same", "real", "bool")
        self.of_complex = kind != "elementwise"
        self.pairs, self.complex_rule, self.complex_reads = None, None, ()
        self.expression, self.differentiable, self.cost = expression, differentiable, cost
        self.rule, self.reads, self.layout, self.identity, self.attributes = None, (), None, None, None
        self.doc, self.batching, self.by_text = doc, batch, False
        self.operands = _positional(kernel if kind == "elementwise" else infer)
        if registered:
            _registry[name] = self

    def __call__(self, *args, **attrs):
        return graph.apply(self, args, attrs)

    def __repr__(self):
        return f"<primitive {self.name}>"

    def __reduce__(self):
        declared = self.kernel or self.infer or self.reference
        return _find, (self.name, getattr(declared, "__module__", None))

    def vjp(self, rule):
        """Declare the VJP: a function of ``g`` and whatever it reads, returning one cotangent per input.

        The parameter names are the list of residuals: ``g`` cotangent, ``y`` output, ``xs`` all inputs as a tuple, an
        input by the name that the kernel has for it, or as ``x``, ``x1``, ``x2``, ``x3``; any other name is an
        attribute of the node.

        Raises
        ------
        ArgumentError
            If an input of the kernel is called ``g`` or ``y`` and the rule reads that name.
        """
        self.rule, self.reads = rule, _parameters(rule)
        for name in set(RESIDUALS).intersection(self.reads, self.operands):
            raise ArgumentError(
                f"{self.name}.vjp: the rule reads {name!r}, which is the name of an input and also of "
                f"{RESIDUALS[name]}; give the input of the kernel another name"
            )
        return rule

    def place(self, name):
        """Which input a parameter of a rule stands for; None where it is an attribute."""
        return self.operands.index(name) if name in self.operands else PLACES.get(name)

    def complex_vjp(self, rule):
        """Declare the VJP for complex inputs of a function that is not holomorphic, as of ``abs``.

        The cotangent of z = x + iy is dL/dx + i dL/dy for a real L.  A rule that was declared with `vjp` serves
        holomorphic functions as it is: the sweep hands it the conjugates of what it reads.  This one gets the numbers
        themselves.
        """
        self.complex_rule, self.complex_reads = rule, _parameters(rule)
        return rule

    def of_pairs(self, text):
        """Declare what the primitive is of complex numbers: a text on pairs ``(real part, imaginary part)``.

        Complex operands arrive as pairs of real Arrays, others as they are, attributes by name.  A pair is returned for
        a complex result.  ``None`` in place of a text leaves it to the NumPy reference.
        """
        self.pairs, self.of_complex = text, True
        return text

    def batched(self, rule):
        """Declare what the primitive is of operands that are stacked along a new first axis, for `vmap`.

        The rule is ``rule(size, mapped, *xs, **attrs)``: how many examples there are, for each operand whether it has
        them or all examples share it, the operands as Arrays, and the attributes.  It returns an Array with the
        examples along its first axis; or a word of `nbgrad.batching.rules.WORDS`, whose rule serves these operands; or
        None, and then the primitive is applied to one example after another.
        """

        def of_nodes(node, operands, mapped, size):
            made = rule(size, tuple(mapped), *map(graph.Array, operands), **dict(node.attrs))
            return made._node if isinstance(made, graph.Array) else made

        self.batching = of_nodes
        return rule

    def array_kernel(self, layout):
        """Declare the compiled form of an array primitive: a text over pointers, and its layout.

        The text is ``kernel(*inputs, out, *extents, start, stop)``, all operands contiguous, and does the
        part [start, stop) of a parallel extent.  ``layout(node) -> (extents, parallel extent, work)`` says
        what the integers are; they are all that depends on shapes, so one compiled kernel serves every rank.
        Where it returns None the reference is called instead.
        """

        def declare(kernel):
            self.kernel, self.layout = kernel, layout
            return kernel

        return declare

    def block_kernel(self, layout, stacked=False):
        """Declare the CUDA form of an array primitive: a text that all threads of a block do for one unit.

        The text is ``kernel(*inputs, out, *extents, unit)``, all operands contiguous, and the layout
        ``layout(node) -> (extents, units, elements of scratch memory for a unit)``; where that is not 0, the text has a
        pointer to it behind `out`.  Where the layout is None the primitive is computed on the host.  Operands that are
        `stacked` matrices are read where they are, broadcast to the leading axes of the result: behind the other
        integers are for each input its strides, from matrix to matrix, between rows and between columns.
        """

        def declare(kernel):
            self.block = Block(f"{self.name}_block", kernel, layout, stacked)
            return kernel

        return declare

    def cuda_kernel(self, layout, zeroed=False):
        """Declare the CUDA form of an array primitive: a kernel written for ``numba.cuda``.

        Parameters
        ----------
        layout : callable
            ``layout(node) -> (grid, block)``: how many blocks there are and how many threads each has, as integers or
            tuples of up to three; or None, and the primitive is computed on the host.
        zeroed : bool, optional
            Whether the output holds zeros at first, for kernels that add to it.  Otherwise it holds anything.

        Returns
        -------
        callable
            A decorator for ``kernel(*inputs, out, *attributes)``, a plain function or one under ``numba.cuda.jit``.
            Inputs and output are C-contiguous device arrays of the dtypes and shapes that they have in the program
            (float32 for float16), and inputs are read-only.  Attributes are those of the node that are numbers, in
            order: Python's floats are float32 where the output is, otherwise float64.  Inside, Numba's rules hold: an
            integer times a float32 is a float64.

        Raises
        ------
        ArgumentError
            If `layout` or the kernel is no function.
        KernelError
            When a program is compiled for CUDA: where numba-cuda is not installed or does not compile the kernel, or
            the layout is none that a GPU can launch.

        Examples
        --------
        >>> from numba import cuda  # doctest: +SKIP
        >>> @doubled.cuda_kernel(lambda node: (-(-node.shape[0] // 128), 128))  # doctest: +SKIP
        ... def doubled_on_cuda(x, out):
        ...     i = cuda.grid(1)
        ...     if i < out.size:
        ...         out[i] = 2 * x[i]
        """
        call = f"{self.name}.cuda_kernel"
        if not callable(layout):
            raise ArgumentError(
                f"{call}: layout is {describe(layout)}, expected a function of a node; write lambda node: (grid, block)"
            )

        def declare(kernel):
            if not callable(getattr(kernel, "py_func", kernel)):
                raise ArgumentError(
                    f"{call}: the kernel is {describe(kernel)}, expected a function; put the decorator above a def"
                )
            self.cuda = CudaKernel(kernel, layout, zeroed)
            return kernel

        return declare

    def float32(self, kernel):
        """Declare the text that serves float32, where float32 wants other coefficients than float64."""
        self.variants["float32"] = kernel
        return kernel

    def within(self, bound, **texts):
        """Declare cheaper texts, by dtype, that serve arguments of at most this magnitude: loops try them first."""
        self.near = Near(self.name + "_near", bound, texts)

    def float32_on_cuda(self, kernel):
        """Declare the text that serves float32 on CUDA, where float64 is slow."""
        self.variants["float32 on cuda"] = kernel
        return kernel

    def text(self, dtype, target="cpu"):
        """The kernel text (a Python function) that serves `dtype`."""
        found = self.variants.get(f"{dtype} on {target}")
        return self.variants.get(str(dtype), self.kernel) if found is None else found


class Block:
    """The CUDA form of an array primitive."""

    __slots__ = ("kernel", "layout", "name", "stacked")

    def __init__(self, name, kernel, layout, stacked):
        self.name, self.kernel, self.layout, self.stacked = name, kernel, layout, stacked

    def text(self, dtype, target="cuda"):
        """The kernel text, which serves every dtype."""
        return self.kernel


class CudaKernel:
    """The CUDA form of an array primitive, as Numba compiles it."""

    __slots__ = ("kernel", "layout", "zeroed")

    def __init__(self, kernel, layout, zeroed):
        self.kernel, self.layout, self.zeroed = kernel, layout, zeroed


class Near:
    """The texts of a primitive that serve a part of its arguments."""

    __slots__ = ("bound", "name", "texts")

    def __init__(self, name, bound, texts):
        self.name, self.bound, self.texts = name, bound, texts

    def text(self, dtype):
        """The kernel text that serves `dtype`."""
        return self.texts[str(dtype)]


def elementwise(first=None, /, *, reference=None, domain="float", result="same", name=None, expression=None, casts=None,
                differentiable=True, cost=None):  # fmt: skip
    """Declare a scalar function as an elementwise primitive with broadcasting.

    Used bare, as ``@ng.elementwise``, or with parameters.  The text is compiled into the loops around it, called on
    Arrays and called on NumPy arrays, so it is made of what has a meaning in all three: arithmetic, comparisons,
    conditional expressions, ``if``, ``for ... in range`` and ``while``, calls of functions of `math`, of NumPy's
    ufuncs, of other primitives and of functions like itself.

    Where no VJP is declared (see `Primitive.vjp`) the text is differentiated, path by path where it branches on values:
    each element gets the derivative of the path that it takes.

    Parameters
    ----------
    first : callable, optional
        The kernel, where the decorator is used bare; a function of NumPy, a lambda or anything beside other parameters
        is the reference.
    reference : callable, optional
        The NumPy twin; without one the text itself is called on NumPy arrays.
    domain : {"float", "number", "integer", "any"}
        What inputs are cast to before the kernel sees them: ``float`` turns integers into float64.
    result : {"same", "real", "complex", "bool", "int64"}
        dtype of the result; ``same`` is the common dtype of the inputs, ``real`` that of its real part.
    expression : str, optional
        Python expression with ``{0}``, ``{1}`` for the operands, when the kernel is a single operator.
    casts : tuple, optional
        For each input a fixed dtype name, or None for the common dtype.
    differentiable : bool
        False when the derivative is zero or undefined everywhere and no cotangent flows.
    cost : int, optional
        Rough cost of one element in units of an addition; decides recompute or store.  By default that of the
        functions that the text calls by their names.

    Returns
    -------
    Primitive, or a decorator that makes one
        To be called on Arrays, NumPy arrays and numbers, which broadcast and promote as NumPy's do.

    Raises
    ------
    NbgradError
        If there is a primitive of that name.
    MissingRuleError
        When a derivative is asked for, and the text cannot be differentiated.

    Examples
    --------
    >>> import math
    >>> import nbgrad as ng
    >>> @ng.elementwise
    ... def soft_step(x, width):
    ...     return 1.0 / (1.0 + math.exp(-x / width)) if width > 0.0 else 0.5
    >>> x = ng.asarray([-1.0, 0.0, 2.0])
    >>> print(soft_step(x, 1.0).numpy().round(3), ng.grad(soft_step)(x, 1.0).numpy().round(3))
    [0.269 0.5   0.881] [0.197 0.25  0.105]
    """
    options = (reference, domain, result, name, expression, casts, differentiable, cost)
    written = isinstance(first, types.FunctionType) and first.__name__ != "<lambda>"  # a lambda has no text
    if written and options == (None, "float", "same", None, None, None, True, None):
        return elementwise()(first)
    reference = reference or first

    def declare(kernel):
        if not isinstance(kernel, types.FunctionType):
            raise ArgumentError(
                f"elementwise: the kernel is {describe(kernel)}, expected a function; put the decorator above a def, "
                "or call ng.adopt for what Numba or SciPy compiled"
            )
        if not (kernel.__module__ or "").startswith("nbgrad."):
            from nbgrad.compile import texts

            texts.remember(kernel)
        made = Primitive(
            name or kernel.__name__, "elementwise", kernel=kernel,
            reference=reference or _by_text(kernel, result, casts), arity=kernel.__code__.co_argcount,
            domain=domain, result=result, casts=casts, expression=expression, differentiable=differentiable,
            cost=_cost(kernel) if cost is None else cost, doc=kernel.__doc__,
        )  # fmt: skip
        made.by_text = reference is None
        return made

    return declare


def _cost(kernel):
    """The cost of the functions that a text calls by their names, and 1 for the rest."""
    called = [kernel.__globals__.get(n) for n in kernel.__code__.co_names]
    if "math" in kernel.__code__.co_names:
        called += [_registry.get(n) for n in kernel.__code__.co_names]
    return 1 + sum(c.cost for c in called if isinstance(c, Primitive))


def _by_text(kernel, result, casts):
    """A kernel text as a function of NumPy arrays: of whole arrays if it does not branch, else of one element each."""

    def reference(*arrays):
        from nbgrad import counterparts, dtypes

        text = counterparts.on_numpy(kernel)
        arrays = [numpy.asarray(a) for a in arrays]
        common = numpy.result_type(*(a for a, c in zip(arrays, casts or (None,) * len(arrays), strict=True) if not c))
        dtype = dtypes.result_of(result, common)
        wide = [w.view() for w in numpy.broadcast_arrays(*arrays)]
        for w in wide:
            w.flags.writeable = False  # what is changed in place is changed for one element
        try:
            made = numpy.asarray(text(*wide))
        except (TypeError, ValueError):  # the truth of an array, or a number from one
            made = numpy.array([text(*element) for element in zip(*(w.flat for w in wide), strict=True)])
            made = made.reshape(wide[0].shape)
        return numpy.broadcast_to(made, wide[0].shape).astype(dtype)

    return reference


def structural(kind, *, reference, name=None, differentiable=True, cost=1, batch=None):
    """Declare a primitive of arrays by its shape and dtype rule, as the built-in ones are.

    Parameters
    ----------
    kind : str
        How the compiler treats it: ``"array"``, which has a launch of its own, for primitives of users.
    reference : callable
        ``reference(*arrays, **attributes)``: the same of NumPy arrays; what runs where there is no compiled form.
    name : str, optional
        By default that of the rule.
    differentiable : bool
        False where no cotangent flows.
    cost : int
        Of one element, in additions.
    batch : str, optional
        What it is of stacked operands: a word of `nbgrad.batching.rules.WORDS`; ``"leading"`` says that leading axes
        are a stack anyway.

    Returns
    -------
    callable
        A decorator for ``infer(*inputs, **attributes) -> (shape, dtype)``; inputs have a shape and a dtype, attributes
        are hashable.  What comes back takes further declarations: `Primitive.vjp`, `Primitive.array_kernel`,
        `Primitive.cuda_kernel`, `Primitive.batched`.

    Raises
    ------
    NbgradError
        If there is a primitive of that name.

    See Also
    --------
    nbgrad.array_kernel : the same from a Numba function of arrays, which needs no layout and no reference.

    Examples
    --------
    >>> import numpy
    >>> import nbgrad as ng
    >>> @ng.structural("array", reference=lambda x: numpy.sort(x, axis=None)[len(x) // 2])
    ... def upper_median(x):
    ...     return (), x.dtype
    >>> @upper_median.vjp
    ... def upper_median_vjp(g, x, y):
    ...     return ng.where(x == y, g, 0.0)
    >>> x = ng.asarray([3.0, 1.0, 2.0])
    >>> print(upper_median(x), ng.grad(upper_median)(x))
    2.0 [0. 0. 1.]
    """

    def declare(infer):
        return Primitive(name or infer.__name__, kind, reference=reference, infer=infer,
                         differentiable=differentiable, cost=cost, doc=infer.__doc__, batch=batch)  # fmt: skip

    return declare


class Missing:
    """What a rule returns in place of a cotangent that is not known: an error where it is asked for."""

    __slots__ = ("reason",)

    def __init__(self, reason):
        self.reason = reason


def full(shape, value, dtype):
    """An Array of one number that belongs to the structure of the graph; for VJP rules."""
    return graph.Array(graph.constant(value, dtype, shape))


def _again(primitive, kernel):
    """Whether a kernel is a declaration run once more, as of a cell of a notebook; the former one makes room for it."""
    if kernel is None or primitive.kernel is None or kernel.__module__ != "__main__":
        return False
    same = (primitive.kernel.__module__, primitive.kernel.__qualname__) == (kernel.__module__, kernel.__qualname__)
    if same:
        primitive.name = f"{primitive.name}_of_{next(graph.serials)}"  # graphs may hold both
    return same


def _positional(function):
    """Names of positional parameters."""
    code = getattr(function, "__code__", None)
    return code.co_varnames[: code.co_argcount] if code else ()


def _parameters(rule):
    """What a rule reads, by name."""
    return rule.__code__.co_varnames[: rule.__code__.co_argcount + rule.__code__.co_kwonlyargcount]


def _find(name, module=None):
    if name not in _registry:
        _declare_all()
    if name not in _registry and module is not None:
        importlib.import_module(module)
    if name not in _registry:
        raise NbgradError(
            f"primitive {name!r} was pickled where module {module} declares it, and it is not declared in this "
            "process; put its declaration into a module that can be imported here"
        )
    return _registry[name]


def _where(primitive):
    return _where_fn(primitive.kernel or primitive.infer or primitive.reference)


def _where_fn(fn):
    code = getattr(fn, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "a built-in"
