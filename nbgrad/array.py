"""Array: what users hold; a lazy handle on a Node."""

import opcode
import sys

import numpy

from nbgrad import devices, dtypes, graph, methods, operators, shapes
from nbgrad.errors import ArgumentError, DeviceError, TracedValueError, describe
from nbgrad.graph import Node

_ndarray = numpy.ndarray
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
        """Where the elements live: ``"cpu"``, or ``"cuda:<n>"``; of a pending array that of what it is made from."""
        return devices.name(self._node)

    @property
    def name(self):
        """Scoped name of the operation in its graph, as ``gradients/multiply``."""
        scope = self._node.fact("scope") or ""
        primitive = self._node.primitive
        return scope + (primitive.name if primitive else "leaf")

    # ------------------------------------------------------------ values

    def realize(self):
        """Compute the value now; returns self.  What is computed on a device is not waited for."""
        if self._node.value is None:
            from nbgrad.runtime.evaluate import realize

            realize([self._node])
        return self

    def block_until_ready(self):
        """Compute the value now and wait until it is there; returns self."""
        value = self.realize()._node.value
        if not isinstance(value, numpy.ndarray):
            value.synchronize()
        return self

    def numpy(self):
        """The value as a new NumPy array that the caller owns."""
        value = self.realize()._node.value
        return value.copy() if isinstance(value, numpy.ndarray) else value.host()

    def __array__(self, dtype=None, copy=None):
        if graph.state.tracked and self._node.history:
            _check_not_stored(self)
            _check_not_converted(self)
        value = self._node.value
        if type(value) is not _ndarray:
            if copy is False and self.device != "cpu":
                raise ValueError(
                    f"numpy.asarray: {describe(self)} is on {self.device}, not on the host; it takes a copy"
                )
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

    def item(self, *index):
        """The only element, or that at an index (of one number: in C order), as a Python number."""
        if index:
            return (self.ravel()[index[0]] if len(index) == 1 and type(index[0]) is not tuple
                    else self[index if len(index) > 1 else index[0]]).item()  # fmt: skip
        if self.size != 1:
            raise ArgumentError(f"item: the array has {self.size} elements, expected 1; {describe(self)}")
        return _value(self).item()

    def tolist(self):
        """Nested lists of Python numbers."""
        return _value(self).tolist()

    def __float__(self):
        if graph.state.tracked and self._node.history:
            _check_not_stored(self)
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __complex__(self):
        if graph.state.tracked and self._node.history:
            _check_not_stored(self)
        return complex(self.item())

    def __bool__(self):
        if graph.state.decide is not None:
            return graph.state.decide(self._node)
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
        device = self.device
        return (asarray, (_value(self),)) if device == "cpu" else (_on, (_value(self), device))

    def __copy__(self):
        return Array(self._node)

    def __deepcopy__(self, memo):
        return Array(self._node)

    def copy(self, order="C"):
        """Another handle on the same value: assignment to one leaves the other.  `order` means nothing here."""
        return Array(self._node)

    def to(self, device):
        """The array on `device`: ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``; the same Array if it is there.

        No gradient flows through a copy to another device: inside of a transform it is an error, and later one where a
        gradient is asked for across it.
        """
        return _moved("to", self, device)

    def to_device(self, device, /, *, stream=None):
        """Same as `to`; the Array API's name for it."""
        if stream is not None:
            from nbgrad import cuda

            with cuda.stream(stream):
                return self.to(device)
        return self.to(device)

    # ------------------------------------------------------------ indexing

    def __getitem__(self, index):
        return (indexing or _loaded()).getitem(self, index)

    def __setitem__(self, index, value):
        self._node = (indexing or _loaded()).setitem(self, index, value)._node

    def _rebind(self, other):
        """Take the node of another Array: what NumPy does in place."""
        self._node = other._node

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

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
        if devices.used and self.device != "cpu":
            from nbgrad.runtime.cuda.exchange import exported

            return exported(self.realize()._node.value, **{k: v for k, v in asked.items() if v is not None})
        value = self.__array__()
        if copy is not False and (max_version is None or tuple(max_version) < (1, 0)):
            value = value.copy()  # before version 1.0 there is no way to say that an array must not be written to
        return value.__dlpack__(**asked)

    def __dlpack_device__(self):
        place = devices.of(self.realize()._node.value) if devices.used else None
        return (1, 0) if place is None else (2, place.ordinal)

    @property
    def __cuda_array_interface__(self):
        """The CUDA array interface, version 3; on the host there is none."""
        if not devices.used or self.device == "cpu":
            raise AttributeError("__cuda_array_interface__: the array is on the host; move it with x.to('cuda')")
        from nbgrad.runtime.cuda.exchange import interface

        return interface(self.realize()._node.value)


def _matmul(self, other):
    import nbgrad.numpy

    return nbgrad.numpy.matmul(self, other)


Array.__matmul__ = _matmul
Array.__rmatmul__ = lambda self, other: _matmul(other, self)
Array.__divmod__ = lambda self, other: (self // other, self % other)
operators.install(Array)
methods.install(Array)
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
        if isinstance(value, Array):
            if dtype is not None and value.dtype != dtype:
                value = Array(graph.cast(value._node, dtypes.as_dtype(dtype, "Parameter")))
            value = value.realize()._node.value
        else:
            found = devices.foreign(value)
            value = value if found is None else found
        if isinstance(value, numpy.ndarray) or not hasattr(value, "host"):
            value = graph.array_value(value, "Parameter", "value", dtype)
        node = graph.leaf(value, history=True)
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

    def _rebind(self, other):
        self.assign(other)

    def __reduce__(self):
        device = self.device
        if device == "cpu":
            return Parameter, (_value(self), self._name, self.dtype, self.requires_grad)
        return _parameter, (_value(self), device, self._name, self.requires_grad)

    def to(self, device):
        """A Parameter of the same name on `device`; this one if it is there."""
        moved = _moved("to", self, device)
        return self if moved is self else Parameter(moved, self._name, requires_grad=self.requires_grad)

    def __copy__(self):
        return Array(self._node)

    def __deepcopy__(self, memo):
        return Parameter(Array(self._node), self._name, requires_grad=self.requires_grad)

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
    """The realised ndarray behind an Array, not to be changed; of one on a device a copy."""
    node = array._node
    if node.value is None:
        array.realize()
    return devices.on_host(node.value)


_STORES = {opcode.opmap[name] for name in ("STORE_SUBSCR", "STORE_SLICE") if name in opcode.opmap}


def _check_not_stored(array):
    """An error where a NumPy array asks for the value of `array` to keep it, as in ``a[i] = array``, while it is
    differentiated: the elements of `a` would be constants, and the gradient silently wrong.
    """
    frame = sys._getframe(2)
    if frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] in _STORES and dtypes.is_inexact(array.dtype):
        raise ArgumentError(
            "a[index] = x: a is a NumPy array and x an Array that is differentiated, whose gradient would "
            "be lost there; make a an Array first, as a = ng.numpy.zeros(shape) or a = ng.asarray(a), "
            f"or store x.numpy() where no gradient is wanted.\n    {describe(array, 'x')}"
        )


def _check_not_converted(array):
    """An error where NumPy takes the value of an `array` that is differentiated, as of a list of Arrays."""
    code = sys._getframe(2).f_code
    ours = code.co_filename.startswith(graph.PACKAGES)
    if dtypes.is_inexact(array.dtype) and not ours and not is_abstract(array._node):
        raise ArgumentError(
            "NumPy is about to make an ndarray of an Array that is differentiated, and its gradient would be lost; "
            "NumPy's functions take Arrays, but not lists of Arrays: write numpy.sum(numpy.array([x, y])) for "
            f"numpy.sum([x, y]), or x.numpy() where no gradient is wanted.\n    {describe(array, 'x')}"
        )


def is_abstract(node):
    """Whether the value of a node depends on an input of a trace, which has none."""
    return any(
        n.primitive is None and n.value is None for n in graph.topological([node], stop=lambda n: n.value is not None)
    )


def placed(call, array, device):
    """The Array on a device (None: where it is)."""
    return array if device is None else _moved(call, array, device)


def _moved(call, array, device):
    node, target = array._node, devices.find(call, device)
    if str(target or "cpu") == devices.name(node):
        return array
    if node.value is None and is_abstract(node):
        raise TracedValueError(
            f"{call}: an array cannot move to {str(target or 'cpu')!r} while jit traces; move it before the call.\n"
            f"    {describe(array, 'array')}"
        )
    if node.history and graph.state.tracked:
        raise DeviceError(
            f"{call}: inside of a transform an array that is differentiated cannot move to {str(target or 'cpu')!r}, "
            f"since no gradient flows through the copy; move it before the call.\n    {describe(array, 'array')}"
        )
    if graph.is_constant(node) and target is not None and not any(numpy.array(node.attrs[0], node.dtype).tobytes()):
        return Array(graph.leaf(target.zeros(node.shape, node.dtype)))
    value = array.realize()._node.value
    moved = target.upload(value) if isinstance(value, numpy.ndarray) else value.on(target)
    made = graph.leaf(moved)
    if node.history or node.fact("forgotten"):  # a gradient that is asked for across the copy finds out
        leaves = [n for n in graph.topological([node]) if n.primitive is None]
        made.note(forgotten=node.fact("forgotten") or "to", origins=node.fact("origins") or graph.origins(leaves))
    return Array(made)


def asarray(x, dtype=None, *, device=None, copy=None):
    """An Array with the value of `x`.

    Parameters
    ----------
    x : array_like or Array
    dtype : dtype, optional
        float64 for Python floats unless given.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:<n>"``; where `x` is unless given.
    copy : bool, optional
        An Array is returned as it is unless True; anything else on the host is always copied.  What another library has
        on a CUDA device, with ``__cuda_array_interface__`` or ``__dlpack__``, is kept and used where it is unless True,
        so it must not be written to; only where its elements do not lie in C order from a multiple of 16 bytes on they
        are copied.

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
    if device is not None:
        return _moved("asarray", asarray(x, dtype, copy=copy), device)
    if isinstance(x, Array):
        node = x._node if dtype is None else graph.cast(x._node, dtypes.as_dtype(dtype, "asarray"))
        return x if node is x._node and not copy else Array(node)
    if dtype is not None:
        dtype = dtypes.as_dtype(dtype, "asarray")
    if isinstance(x, (list, tuple)):
        if graph._holds_arrays(x):
            node = graph.stacked(x, "asarray")
            return Array(node if dtype is None else graph.cast(node, dtype))
    elif type(x) is not _ndarray and type(x) not in dtypes.WEAK:
        found = devices.foreign(x)
        if found is not None:
            node = graph.leaf(found.copy() if copy else found)
            return Array(node if dtype is None else graph.cast(node, dtype))
    return Array(graph.leaf(graph.array_value(x, "asarray", "x", dtype)))


def _on(value, device):
    """What an Array on a device is made of again."""
    return asarray(value, device=device)


def _parameter(value, device, name, requires_grad):
    """What a Parameter on a device is made of again."""
    return Parameter(asarray(value, device=device), name, requires_grad=requires_grad)
