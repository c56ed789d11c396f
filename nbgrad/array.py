"""Array: what users hold; a lazy handle on a Node."""

import numpy

from nbgrad import dtypes, graph, operators, shapes
from nbgrad.errors import ArgumentError, DeviceError, TracedValueError, describe
from nbgrad.graph import Node

#: Modules of nbgrad.numpy, from the first use on: it imports this one.
indexing = protocols = None


def _loaded():
    global indexing, protocols
    from nbgrad.numpy import indexing, protocols

    return indexing


class Array:
    """A lazy n-dimensional array.

    Operations return at once; the value is computed when it is read (`print`, `float`, `bool`,
    `numpy.asarray`, `.numpy()`, `.realize()`).  Arrays have value semantics: assigning to a part of one
    never changes another, also when one was made by indexing the other.

    Make one with `nbgrad.asarray`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> x = ng.asarray([1.0, 2.0])
    >>> x * 3 + 1
    Array([4., 7.], shape=(2,), dtype=float64, device=cpu)
    """

    __slots__ = ("__weakref__", "_node")
    __array_priority__ = 1000

    def __init__(self, node):
        if type(node) is not Node:
            raise ArgumentError(f"Array: expected a node of a graph, got {describe(node)}; use nbgrad.asarray(x)")
        self._node = node

    # ------------------------------------------------------------ facts

    @property
    def shape(self):
        """Extents, a tuple of ints."""
        return self._node.shape

    @property
    def dtype(self):
        """The numpy.dtype of the elements."""
        return self._node.dtype

    @property
    def ndim(self):
        """Number of dimensions."""
        return len(self._node.shape)

    @property
    def size(self):
        """Number of elements."""
        return shapes.size(self._node.shape)

    @property
    def itemsize(self):
        """Bytes of one element."""
        return self._node.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.size * self.itemsize

    @property
    def device(self):
        """Where the elements live: ``"cpu"``."""
        return "cpu"

    @property
    def name(self):
        """Scoped name of the operation in its graph, as ``gradients/multiply``."""
        scope = self._node.fact("scope") or ""
        primitive = self._node.primitive
        return scope + (primitive.name if primitive else "leaf")

    # ------------------------------------------------------------ values

    def realize(self):
        """Compute the value now; returns self."""
        if self._node.value is None:
            from nbgrad.runtime.evaluate import realize

            realize([self._node])
        return self

    block_until_ready = realize

    def numpy(self):
        """The value as a new NumPy array that the caller owns."""
        return _value(self).copy()

    def __array__(self, dtype=None, copy=None):
        value = self._node.value
        if value is None:
            value = _value(self)
        elif dtype is None and not copy and not value.flags.writeable:
            return value
        if dtype is not None and dtype != value.dtype:
            if copy is False:
                raise ValueError(f"numpy.asarray: {describe(self)} cannot become {dtype} without a copy")
            return value.astype(dtype)
        if copy:
            return value.copy()
        view = value.view()
        view.flags.writeable = False  # the Array does not change behind its own back
        return view

    def item(self):
        """The only element as a Python number."""
        if self.size != 1:
            raise ArgumentError(f"item: the array has {self.size} elements, expected 1; {describe(self)}")
        return _value(self).item()

    def tolist(self):
        """Nested lists of Python numbers."""
        return _value(self).tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __complex__(self):
        return complex(self.item())

    def __bool__(self):
        if self.size != 1:
            raise ValueError(
                f"bool: the truth of an array with {self.size} elements is ambiguous; use .any() or .all(). "
                f"{describe(self)}"
            )
        return bool(self.item())

    def __index__(self):
        if self.dtype.kind not in "iu":
            raise TypeError(f"index: only integer arrays of one element can be an index; {describe(self)}")
        return int(self.item())

    def __len__(self):
        if not self.shape:
            raise TypeError("len: a 0-d array has no length")
        return self.shape[0]

    def __iter__(self):
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, element):
        return bool((self == element).any())

    def __repr__(self):
        facts = f"shape={self.shape}, dtype={self.dtype}, device={self.device}"
        if self._node.value is None and is_abstract(self._node):
            return f"{type(self).__name__}(<traced>, {facts})"
        body = numpy.array2string(_value(self), separator=", ", prefix=f"{type(self).__name__}(", threshold=1000)
        return f"{type(self).__name__}({body}, {facts})"

    def __str__(self):
        if self._node.value is None and is_abstract(self._node):
            return repr(self)
        return str(_value(self))

    def __format__(self, spec):
        return format(self.item(), spec) if spec else str(self)

    def __reduce__(self):
        return asarray, (_value(self),)

    def __copy__(self):
        return Array(self._node)

    def __deepcopy__(self, memo):
        return Array(self._node)

    def copy(self):
        """Another handle on the same value: assignment to one leaves the other."""
        return Array(self._node)

    def to(self, device):
        """The array on `device`; ``"cpu"`` is the only one here."""
        check_device("to", device)
        return self

    # ------------------------------------------------------------ indexing

    def __getitem__(self, index):
        return (indexing or _loaded()).getitem(self, index)

    def __setitem__(self, index, value):
        self._node = (indexing or _loaded()).setitem(self, index, value)._node

    # ------------------------------------------------------------ NumPy protocols

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if protocols is None:
            _loaded()
        return protocols.array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func, types, args, kwargs):
        if protocols is None:
            _loaded()
        return protocols.array_function(func, args, kwargs)

    def __array_namespace__(self, api_version=None):
        import nbgrad.numpy

        return nbgrad.numpy

    def __dlpack__(self, **kwargs):
        return self.__array__().__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return (1, 0)


def _forward(name, doc=None):
    """A method that calls the function of the same name in `nbgrad.numpy`."""

    def method(self, *args, **kwargs):
        import nbgrad.numpy

        return getattr(nbgrad.numpy, name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = doc or f"Same as ``nbgrad.numpy.{name}(self, ...)``."
    return method


METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "cumprod", "cumsum", "diagonal", "dot", "max",
    "mean", "min", "nonzero", "prod", "ptp", "ravel", "repeat", "reshape", "round", "sort", "squeeze", "std", "sum",
    "swapaxes",
    "take", "trace", "transpose", "var",
)  # fmt: skip
for _name in METHODS:
    setattr(Array, _name, _forward(_name))
Array.flatten = _forward("ravel", "A 1-d Array with all elements in C order.")
Array.T = property(lambda self: self.transpose(), doc="All axes reversed.")
Array.mT = property(lambda self: self.swapaxes(-1, -2), doc="Last two axes swapped.")


def _matmul(self, other):
    import nbgrad.numpy

    return nbgrad.numpy.matmul(self, other)


Array.__matmul__ = _matmul
Array.__rmatmul__ = lambda self, other: _matmul(other, self)
Array.__divmod__ = lambda self, other: (self // other, self % other)
operators.install(Array)
graph.Array = Array


class Parameter(Array):
    """An Array with a name whose value can be replaced, and whose descendants keep their history.

    Parameters
    ----------
    value : array_like
    name : str
        What `return_ids` and errors call it.
    requires_grad : bool
        A plain note for training code; gradients asked for by `weights` are computed regardless.

    Examples
    --------
    >>> import nbgrad as ng
    >>> w = ng.Parameter([1.0, 2.0], name="w")
    >>> w.assign(w - 0.5)
    Parameter([0.5, 1.5], shape=(2,), dtype=float64, device=cpu)
    """

    __slots__ = ("_name", "requires_grad")

    def __init__(self, value, name="parameter", dtype=None, requires_grad=True):
        if not isinstance(name, str):
            raise ArgumentError(f"Parameter: name must be a string, not {name!r}")
        self._name, self.requires_grad = name, requires_grad
        self._hold(value, dtype)

    def _hold(self, value, dtype=None):
        value = _value(value) if isinstance(value, Array) else value
        node = graph.leaf(graph.array_value(value, "Parameter", "value", dtype), history=True)
        node.note(owner=self)
        self._node = node

    @property
    def name(self):
        """The name given at construction."""
        return self._name

    def assign(self, value):
        """Replace the value (same shape; cast to the same dtype); returns self."""
        new = value if isinstance(value, Array) else asarray(value)
        if new.shape != self.shape:
            raise graph.ShapeError(
                f"Parameter.assign: {self._name} has shape {self.shape}, the new value has shape {new.shape}"
            )
        if is_abstract(new._node):
            raise TracedValueError(
                f"Parameter.assign: {self._name} cannot be assigned inside jit; return the new value and assign it "
                "outside"
            )
        self._hold(new, self.dtype)
        return self

    def __setitem__(self, index, value):
        changed = Array(self._node)
        changed[index] = value
        self.assign(changed)

    def __reduce__(self):
        return Parameter, (_value(self), self._name, self.dtype, self.requires_grad)

    def __copy__(self):
        return Array(self._node)

    def __hash__(self):
        return id(self)


class ParameterTuple(tuple):
    """A tuple of Parameters."""

    __slots__ = ()

    def __new__(cls, parameters=()):
        parameters = tuple(parameters)
        for p in parameters:
            if not isinstance(p, Parameter):
                raise ArgumentError(f"ParameterTuple: every element must be a Parameter, got {describe(p)}")
        return super().__new__(cls, parameters)


def _value(array):
    """The realised ndarray behind an Array, not to be changed."""
    node = array._node
    if node.value is None:
        array.realize()
    return node.value


def is_abstract(node):
    """Whether the value of a node depends on an input of a trace, which has none."""
    return any(
        n.primitive is None and n.value is None for n in graph.topological([node], stop=lambda n: n.value is not None)
    )


def check_device(call, device):
    """DeviceError unless `device` is one that exists here."""
    if device not in (None, "cpu"):
        raise DeviceError(f"{call}: device {device!r} does not exist here, expected 'cpu'")


def asarray(x, dtype=None, *, device=None, copy=None):
    """An Array with the value of `x`.

    Parameters
    ----------
    x : array_like or Array
    dtype : dtype, optional
        float64 for Python floats unless given.
    device : {None, "cpu"}
    copy : bool, optional
        An Array is returned as it is unless True; anything else is always copied.

    Returns
    -------
    Array

    Raises
    ------
    ArgumentError
        For what is not an array.
    DtypeError
        For dtypes that are not supported.

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.asarray([[1, 2], [3, 4]], dtype="float32").dtype
    dtype('float32')
    """
    check_device("asarray", device)
    if isinstance(x, Array):
        node = x._node if dtype is None else graph.cast(x._node, dtypes.as_dtype(dtype, "asarray"))
        return x if node is x._node and not copy else Array(node)
    if dtype is not None:
        dtype = dtypes.as_dtype(dtype, "asarray")
    if isinstance(x, (list, tuple)) and graph._holds_arrays(x):
        node = graph.stacked(x, "asarray")
        return Array(node if dtype is None else graph.cast(node, dtype))
    return Array(graph.leaf(graph.array_value(x, "asarray", "x", dtype)))
