"""NVIDIA's cuBLAS and cuSOLVER, called on addresses: the one module that imports nvmath-python, once it is needed.

All matrices are column-major here, as the libraries have them.  Calls are put into a stream and return; what they
need of memory is handed in, so that recorded calls never share any with other ones.
"""

import contextlib
import ctypes
import threading
import weakref

from nbgrad.config import config
from nbgrad.errors import DeviceError

#: Arguments of calls: matrix as it is or transposed, triangle, side, diagonal that is read, numbers of the host.
PLAIN, TRANSPOSED = 0, 1
LOWER, UPPER = 0, 1
RIGHT, NON_UNIT, ON_HOST = 1, 0, 0
#: Bytes that cuBLAS is to have for itself, as its manual says: of Hopper and later, of earlier ones.
WORKSPACE, WORKSPACE_BEFORE = 32 << 20, 4 << 20

_opened: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of each device its Libraries, or what is missing
_lock = threading.Lock()


def load():
    """The bindings of (cuBLAS, cuSOLVER); ImportError without nvmath-python. Tests put others in their place."""
    from nvmath.bindings import cublas, cusolverDn

    return cublas, cusolverDn


def of(device):
    """The `Libraries` of a device, or None where `config.cuda_libraries` has it so.

    Parameters
    ----------
    device : nbgrad.runtime.cuda.device.Device

    Raises
    ------
    DeviceError
        If ``config.cuda_libraries`` is True and they are not installed, or do not start.
    """
    wanted = config.cuda_libraries
    if wanted is False:
        return None
    with _lock:
        if device not in _opened:
            try:
                with device.driver.active():
                    _opened[device] = Libraries(device.driver, *load())
            except (ImportError, OSError, RuntimeError, DeviceError) as error:
                _opened[device] = error
        found = _opened[device]
    if isinstance(found, Libraries):
        return found
    if wanted is True:
        raise DeviceError(
            f"config.cuda_libraries (NBGRAD_CUDA_LIBRARIES) is True, but cuBLAS and cuSOLVER cannot be used on "
            f"{device}: {type(found).__name__}: {found}. Install them: pip install nbgrad[cuda-libs]; or set it to "
            "'auto', which uses nbgrad's own kernels where there are none"
        ) from found
    return None


class Libraries:
    """Handles of the libraries for one device, and the few calls that are made of them.

    Parameters
    ----------
    driver : nbgrad.runtime.cuda.driver.Driver
        Its context is the current one.
    cublas, cusolver : module
        `nvmath.bindings.cublas` and `nvmath.bindings.cusolverDn`, or what looks like them.

    Attributes
    ----------
    workspace : int
        Bytes that `on` needs.
    """

    def __init__(self, driver, cublas, cusolver):
        self.workspace = WORKSPACE if driver.capability[0] >= 9 else WORKSPACE_BEFORE
        self._cublas, self._cusolver = cublas, cusolver
        self._blas = self._do("start", cublas.create)
        self._do("take numbers of the host", cublas.set_pointer_mode, self._blas, ON_HOST)
        self._solver = self._do("start", cusolver.create)
        self._numbers = {letter: (kind * 2)(1, 0) for letter, kind in (("s", ctypes.c_float), ("d", ctypes.c_double))}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def on(self, stream, workspace):
        """Calls go into a stream, and cuBLAS works in `self.workspace` bytes at an address, a multiple of 256."""
        with self._lock:
            self._do("use a stream", self._cublas.set_stream, self._blas, stream)
            self._do("use a workspace", self._cublas.set_workspace, self._blas, workspace, self.workspace)
            self._do("use a stream", self._cusolver.set_stream, self._solver, stream)
            yield

    def gemm(self, letter, forms, extents, a, b, c, count):
        """``c = op(a) @ op(b)`` for `count` triples of matrices.

        Parameters
        ----------
        letter : str
            ``"s"`` for float32, ``"d"`` for float64.
        forms : (int, int)
            `PLAIN` or `TRANSPOSED`, of a and b.
        extents : (int, int, int)
            Rows and columns of c, terms of a sum.
        a, b, c : (int, int, int)
            Address of the first matrix, its leading dimension, elements from one matrix to the next.
        count : int
        """
        one, zero = self._addresses(letter)
        self._do("multiply matrices", getattr(self._cublas, f"{letter}gemm_strided_batched"), self._blas, *forms,
                 *extents, one, *a, *b, zero, *c, count)  # fmt: skip

    def trsm(self, letter, triangle, form, m, n, a, lda, x, ldx):
        """``x`` of m rows and n columns replaced by the solution of ``y @ op(a) = x``, a triangular."""
        one, _ = self._addresses(letter)
        self._do("solve triangular equations", getattr(self._cublas, f"{letter}trsm"), self._blas, RIGHT, triangle,
                 form, NON_UNIT, m, n, one, a, lda, x, ldx)  # fmt: skip

    def potrf_size(self, letter, n):
        """Elements that `potrf` works in."""
        call = getattr(self._cusolver, f"{letter}potrf_buffer_size")
        return self._do("plan a factorisation", call, self._solver, UPPER, n, 0, n)

    def potrf(self, letter, n, a, work, size, info):
        """The upper triangle of ``a`` replaced by U with U^T U = a; an int32 at `info` is not 0 where there is none."""
        self._do("factorise a symmetric matrix", getattr(self._cusolver, f"{letter}potrf"), self._solver, UPPER, n, a,
                 n, work, size, info)  # fmt: skip

    def getrf_size(self, letter, n):
        """Elements that `getrf` works in."""
        call = getattr(self._cusolver, f"{letter}getrf_buffer_size")
        return self._do("plan a factorisation", call, self._solver, n, n, 0, n)

    def getrf(self, letter, n, a, work, pivots, info):
        """``a`` replaced by its factors L and U, n int32 at `pivots` say which rows were swapped."""
        call = getattr(self._cusolver, f"{letter}getrf")
        self._do("factorise a matrix", call, self._solver, n, n, a, n, work, pivots, info)

    def getrs(self, letter, n, columns, a, pivots, x, info):
        """``x`` replaced by the solutions for the factors of `getrf`."""
        self._do("solve equations", getattr(self._cusolver, f"{letter}getrs"), self._solver, PLAIN, n, columns, a, n,
                 pivots, x, n, info)  # fmt: skip

    def _addresses(self, letter):
        numbers = self._numbers[letter]
        first = ctypes.addressof(numbers)
        return first, first + ctypes.sizeof(numbers) // 2

    def _do(self, what, call, *arguments):
        try:
            return call(*arguments)
        except RuntimeError as error:
            name = getattr(call, "__name__", "a library")
            raise DeviceError(f"NVIDIA's libraries could not {what} ({name}): {error}") from error
