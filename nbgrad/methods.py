"""The methods and attributes of ndarray that Arrays have, with NumPy's arguments; installed once, like the operators.

A method of the name of a NumPy function is that function.  What NumPy does in place rebinds the Array.
"""

import numpy

from nbgrad.errors import ArgumentError, describe
from nbgrad.flat import Flat

#: Methods that are NumPy's function of the name, with the array as first argument.
FUNCTIONS = (
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "cumprod", "cumsum", "diagonal",
    "dot", "max", "mean", "min", "nonzero", "prod", "ptp", "put", "ravel", "repeat", "round", "searchsorted", "squeeze",
    "std", "sum", "swapaxes", "take", "trace", "var",
)  # fmt: skip
#: Methods that take more forms of arguments than the function.
OURS = ("reshape", "transpose")
#: Methods that put the result of the function of the name into the array.
IN_PLACE = ("sort", "partition")
#: What an Array does not have, and what to do instead.
LEFT_OUT = {
    "strides": "it has no place in memory of its own; x.numpy().strides are those of a copy",
    "flags": "it has no place in memory of its own; x.numpy().flags are those of a copy",
    "base": "it is no view: assigning to one Array never changes another",
    "data": "it has no memory of its own; read x.numpy().data",
    "ctypes": "it has no memory of its own; read x.numpy().ctypes",
    "view": "it has no memory to look at as another dtype; use x.copy(), x.astype(dtype) or x.numpy().view(dtype)",
    "setflags": "it has no memory of its own",
    "byteswap": "its elements are always native; use x.numpy().byteswap()",
    "itemset": "NumPy 2 has none either; write x[index] = value",
    "newbyteorder": "its elements are always native",
    "getfield": "it has no fields",
    "setfield": "it has no fields",
    "tofile": "write x.numpy().tofile(file)",
    "dump": "pickle.dump(x, file) writes it",
    "dumps": "pickle.dumps(x) has its bytes",
}
_modules = []


def _numpy():
    """(nbgrad.numpy, its protocols), from the first use on: they import Array."""
    if not _modules:
        import nbgrad.numpy
        from nbgrad.numpy import protocols

        _modules.extend((nbgrad.numpy, protocols))
    return _modules


def install(cls):
    """Give an Array class its methods."""
    for name in FUNCTIONS:
        setattr(cls, name, _function(name))
    for name in OURS:
        setattr(cls, name, _ours(name))
    for name in IN_PLACE:
        setattr(cls, name, _in_place(name))
    for function in (astype, flatten, conjugate, compress, fill, resize, tobytes):
        setattr(cls, function.__name__, function)
    cls.conj = conjugate
    cls.T = property(lambda self: self.transpose(), doc="All axes reversed.")
    cls.mT = property(lambda self: _numpy()[0].matrix_transpose(self), doc="Last two axes swapped.")
    cls.real = property(lambda self: _numpy()[0].real(self), _set_real, doc="The real part; assigning rebinds.")
    cls.imag = property(lambda self: _numpy()[0].imag(self), _set_imag, doc="The imaginary part; assigning rebinds.")
    cls.flat = property(Flat, _set_flat, doc="The elements in C order, as a sequence; assigning rebinds.")
    cls.__getattr__ = _missing
    return cls


def _function(name):
    function = getattr(numpy, name)

    def method(self, *args, **kwargs):
        return (_modules or _numpy())[1].array_function(function, (self, *args), kwargs)

    return _named(method, name, f"Same as ``nbgrad.numpy.{name}(self, ...)``.")


def _ours(name):
    def method(self, *args, **kwargs):
        return getattr((_modules or _numpy())[0], name)(self, *args, **kwargs)

    return _named(method, name, f"Same as ``nbgrad.numpy.{name}(self, ...)``.")


def _in_place(name):
    def method(self, *args, **kwargs):
        self._rebind(_numpy()[1].array_function(getattr(numpy, name), (self, *args), kwargs))

    return _named(method, name, f"``nbgrad.numpy.{name}(self, ...)`` in place: rebinds the Array and returns None.")


def _named(method, name, doc):
    method.__name__, method.__qualname__, method.__doc__ = name, f"Array.{name}", doc
    return method


def _missing(self, name):
    text = LEFT_OUT.get(name)
    if text is None:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
    raise AttributeError(f"an Array has no {name}: {text}")


def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True, *, device=None):
    """The array in another dtype.

    `casting` is NumPy's rule for what casts are allowed; `order` and `subok` mean nothing here.
    """
    if casting != "unsafe":
        from nbgrad.numpy._out import check_cast

        check_cast("astype", self.dtype, numpy.dtype(dtype), casting)
    return _numpy()[0].astype(self, dtype, copy=copy, device=device)


def flatten(self, order="C"):
    """A 1-d Array with all elements."""
    return _numpy()[0].ravel(self, order).copy()


def conjugate(self):
    """The complex conjugate."""
    return _numpy()[0].conjugate(self)


def compress(self, condition, axis=None, out=None):
    """The slices along an axis for which `condition` holds."""
    return _numpy()[1].array_function(numpy.compress, (condition, self), {"axis": axis, "out": out})


def fill(self, value):
    """Make every element `value`."""
    self[...] = value


def resize(self, *shape, refcheck=True):
    """Another shape, in place: the elements in C order, cut off or followed by zeros.  Rebinds the Array."""
    xp = _numpy()[0]
    shape = xp.zeros(shape[0] if len(shape) == 1 else shape, bool).shape
    count = numpy.prod(shape, dtype=int)
    flat = self.ravel()[:count]
    if flat.size < count:
        flat = xp.concatenate([flat, xp.zeros(count - flat.size, self.dtype)])
    self._rebind(flat.reshape(shape))


def tobytes(self, order="C"):
    """The bytes of the elements."""
    return self.numpy().tobytes(order)


def _set_real(self, value):
    if self.dtype.kind == "c":
        self._rebind(_complex(self, value, self.imag))
    else:
        self[...] = value


def _set_imag(self, value):
    if self.dtype.kind != "c":
        raise ArgumentError(
            f"imag: the array is real and has no imaginary part to set; cast it with .astype('complex128') first. "
            f"{describe(self, 'x')}"
        )
    self._rebind(_complex(self, self.real, value))


def _complex(self, real, imag):
    """The array with other parts; a part is cast as by an assignment."""
    parts = []
    for part in (real, imag):
        whole = _numpy()[0].zeros(self.shape, self.real.dtype)
        whole[...] = part
        parts.append(whole)
    from nbgrad.kernels.complex import from_parts

    return from_parts(*parts)


def _set_flat(self, value):
    xp = _numpy()[0]
    values = xp.ravel(value)
    if not values.size:
        raise ValueError("flat: cannot fill an array from no elements")
    self._rebind(xp.take(values, numpy.arange(self.size) % values.size).astype(self.dtype).reshape(self.shape))
