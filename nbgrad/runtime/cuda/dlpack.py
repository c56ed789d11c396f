"""DLPack: structs and capsules, written and read with ctypes.

Source: dlpack.h, version 1.1; the Python protocol as the array API standard describes it.
"""

import ctypes

import numpy

#: Device types.
CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
#: What is written, and flags of a versioned tensor.
VERSION, READ_ONLY, IS_COPIED = (1, 0), 1, 2

_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}
_NAMES = {0: "int", 1: "uint", 2: "float", 6: "bool"}
_PLAIN, _VERSIONED = b"dltensor", b"dltensor_versioned"


class DLDevice(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class DLDataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device", DLDevice), ("ndim", ctypes.c_int32), ("dtype", DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class ManagedVersioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", DLTensor),
    )  # fmt: skip


_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_python.PyCapsule_IsValid.restype = ctypes.c_int
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_SetName.restype = ctypes.c_int
# where a capsule dies it is handed over as an address: it has no references to count any more
_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", _python))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))

#: Address of a struct -> what has to live as long as it.
_exported = {}


@_Deleter
def _delete(address):
    _exported.pop(address, None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _unclaimed(capsule):
    """A capsule that nobody took over: its struct is deleted here."""
    for name in (_PLAIN, _VERSIONED):
        if _valid(capsule, name):
            _exported.pop(_pointer(capsule, name), None)


def capsule(address, shape, dtype, owner, device, versioned, copied=False):
    """A capsule with a C-contiguous tensor.

    Parameters
    ----------
    address : int
    shape : tuple of int
    dtype : numpy.dtype
    owner : object
        Lives as long as the tensor.
    device : (int, int)
        DLPack's type of the device, and its number.
    versioned : bool
        Of DLPack 1, with the flag that nobody may write to it.
    copied : bool
        Nobody else has this memory.
    """
    made = (ManagedVersioned if versioned else Managed)()
    tensor, rank = made.tensor, len(shape)
    extents, strides, step = (ctypes.c_int64 * max(rank, 1))(*shape), (ctypes.c_int64 * max(rank, 1))(), 1
    for i in reversed(range(rank)):
        strides[i], step = step, step * shape[i]
    tensor.data, tensor.ndim, tensor.byte_offset = address or None, rank, 0
    tensor.device = DLDevice(*device)
    tensor.dtype = DLDataType(_KINDS[dtype.kind], 8 * dtype.itemsize, 1)
    tensor.shape = ctypes.cast(extents, ctypes.POINTER(ctypes.c_int64))
    tensor.strides = ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64))
    made.deleter = ctypes.cast(_delete, ctypes.c_void_p)
    if versioned:
        made.major, made.minor = VERSION
        made.flags = IS_COPIED if copied else READ_ONLY
    at = ctypes.addressof(made)
    _exported[at] = made, extents, strides, owner
    return _python.PyCapsule_New(at, _VERSIONED if versioned else _PLAIN, ctypes.cast(_unclaimed, ctypes.c_void_p))


class Tensor:
    """A tensor taken over from a capsule: its memory lives as long as this.

    Attributes
    ----------
    address : int
        Of the first element.
    shape, strides : tuple of int
        Strides in elements.
    dtype : numpy.dtype
    device : (int, int)
    """

    __slots__ = ("_deleter", "_managed", "address", "device", "dtype", "shape", "strides")

    def __init__(self, owner):
        self._deleter = None
        name = next((n for n in (_VERSIONED, _PLAIN) if _python.PyCapsule_IsValid(ctypes.py_object(owner), n)), None)
        if name is None:
            raise ValueError(f"{owner!r} is no DLPack capsule, or was taken over before")
        at = _python.PyCapsule_GetPointer(ctypes.py_object(owner), name)
        managed = (ManagedVersioned if name == _VERSIONED else Managed).from_address(at)
        if name == _VERSIONED and managed.major != VERSION[0]:
            raise ValueError(f"a tensor of DLPack {managed.major}.{managed.minor} came, expected {VERSION[0]}")
        tensor, rank = managed.tensor, managed.tensor.ndim
        kind = _NAMES.get(tensor.dtype.code)
        if kind is None or tensor.dtype.lanes != 1:
            raise ValueError(
                f"a tensor of DLPack's dtype {tensor.dtype.code} with {tensor.dtype.bits} bits and "
                f"{tensor.dtype.lanes} lanes came, which NumPy does not have"
            )
        self.dtype = numpy.dtype("bool" if kind == "bool" else f"{kind}{tensor.dtype.bits}")
        self.shape = tuple(tensor.shape[:rank]) if rank else ()
        if rank and tensor.strides:
            self.strides = tuple(tensor.strides[:rank])
        else:
            from nbgrad import shapes

            self.strides = shapes.contiguous_strides(self.shape)
        self.address = (tensor.data or 0) + tensor.byte_offset
        self.device = tensor.device.type, tensor.device.id
        _python.PyCapsule_SetName(ctypes.py_object(owner), b"used_" + name)
        if managed.deleter:
            self._managed, self._deleter = at, _Deleter(managed.deleter)

    def __del__(self):
        if self._deleter is not None:
            self._deleter(self._managed)
