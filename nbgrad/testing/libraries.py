"""cuBLAS and cuSOLVER that pretend: the few calls nbgrad makes of them, in the memory of a device that pretends.

Each takes the arguments of nvmath-python's bindings, reads leading dimensions, triangles, steps of stacks and words of
information as the manuals say, and checks what the libraries check.  Calls are put into the streams of
`nbgrad.testing.device` and fill their workspaces with nonsense.  They are not the libraries: what those do on a
GPU is not shown by them.
"""

import contextlib
import ctypes

import numpy

from nbgrad.runtime.cuda import libraries

#: What a workspace holds after a call.
USED = 0xEE


class _Host:
    """What both libraries have: a handle, a stream, matrices at addresses."""

    def __init__(self, driver):
        self._driver, self._stream, self._started = driver, None, 0
        #: Names of the calls that were made.
        self.log = []

    def create(self):
        self._started += 1
        return 0x1000 * self._started

    def set_stream(self, handle, stream):
        self._valid(handle)
        self._stream = stream

    def __getattr__(self, name):
        """``dgemm...`` as ``_gemm...`` with the dtype before the other arguments."""
        dtype = {"d": "float64", "s": "float32"}.get(name[0])
        if dtype is None or "_" + name[1:] not in dir(type(self)):
            raise AttributeError(name)
        found = getattr(self, "_" + name[1:])

        def call(handle, *arguments):
            self._valid(handle)
            if not all(type(a) is int and -(1 << 63) <= a < 1 << 63 for a in arguments):
                raise TypeError(f"{name}: {arguments}")
            self.log.append(name)
            return found(numpy.dtype(dtype), *arguments)

        return call

    def _valid(self, handle):
        self._require(0 < handle <= 0x1000 * self._started, "CUBLAS_STATUS_NOT_INITIALIZED")

    def _require(self, true, message="CUBLAS_STATUS_INVALID_VALUE"):
        if not true:
            raise RuntimeError(message)

    def _put(self, work):
        self._require(self._stream is not None, "no stream was set")
        self._driver._put(self._stream, "library", work)

    def _matrix(self, address, dtype, rows, columns, leading):
        """A column-major matrix at an address."""
        self._require(leading >= max(rows, 1) and address % dtype.itemsize == 0)
        nbytes = ((columns - 1) * leading + rows) * dtype.itemsize
        data = self._driver.bytes_at(address, nbytes)
        return numpy.ndarray((rows, columns), dtype, data, 0, (dtype.itemsize, leading * dtype.itemsize))

    def _words(self, address, count):
        self._require(address % 4 == 0)
        return self._driver.bytes_at(address, 4 * count).view(numpy.int32)


class HostBlas(_Host):
    """The calls of `nvmath.bindings.cublas`."""

    _workspace = _mode = None

    def set_pointer_mode(self, handle, mode):
        self._valid(handle)
        self._mode = mode

    def set_stream(self, handle, stream):
        super().set_stream(handle, stream)
        self._workspace = None  # the library's own again

    def set_workspace(self, handle, address, nbytes):
        self._valid(handle)
        self._require(address % 256 == 0)
        self._workspace = address, nbytes

    def _number(self, address, dtype):
        self._require(self._mode == 0)
        return dtype.type((ctypes.c_double if dtype.char == "d" else ctypes.c_float).from_address(address).value)

    def _work(self, work):
        self._require(self._workspace is not None, "no workspace was set")
        workspace = self._workspace

        def whole():
            self._driver.bytes_at(*workspace).fill(USED)
            with numpy.errstate(all="ignore"):
                work()

        self._put(whole)

    def _gemm_strided_batched(self, dtype, ta, tb, m, n, k, alpha, a, lda, astep, b, ldb, bstep, beta, c, ldc, cstep,
                              count):  # fmt: skip
        one, zero = self._number(alpha, dtype), self._number(beta, dtype)
        self._require(min(m, n, k, count) >= 0 and {ta, tb} <= {0, 1})
        self._require(lda >= max(1, k if ta else m) and ldb >= max(1, n if tb else k) and ldc >= max(1, m))
        item = dtype.itemsize

        def work():
            for i in range(count):
                left = self._matrix(a + i * astep * item, dtype, *((k, m) if ta else (m, k)), lda)
                right = self._matrix(b + i * bstep * item, dtype, *((n, k) if tb else (k, n)), ldb)
                target = self._matrix(c + i * cstep * item, dtype, m, n, ldc)
                product = one * ((left.T if ta else left) @ (right.T if tb else right))
                target[...] = product if zero == 0 else product + zero * target

        self._work(work)

    def _trsm(self, dtype, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb):
        one = self._number(alpha, dtype)
        rows = n if side else m
        self._require({side, uplo, trans, diag} <= {0, 1} and lda >= max(1, rows) and ldb >= max(1, m))

        def work():
            matrix, x = self._matrix(a, dtype, rows, rows, lda), self._matrix(b, dtype, m, n, ldb)
            matrix, lower = (matrix.T, bool(uplo)) if trans else (matrix, not uplo)
            if side:  # x A = b is A^T x^T = b^T
                matrix, lower, x = matrix.T, not lower, x.T
            x *= one
            _substitute(matrix, x, lower, bool(diag))

        self._work(work)


class HostSolver(_Host):
    """The calls of `nvmath.bindings.cusolverDn`."""

    def _work(self, workspace, nbytes, work):
        def whole():
            self._driver.bytes_at(workspace, nbytes).fill(USED)
            with numpy.errstate(all="ignore"):
                work()

        self._put(whole)

    def _potrf_buffer_size(self, dtype, uplo, n, a, lda):
        self._require(lda >= max(1, n) and uplo in (0, 1))
        return 3 * n + 1

    def _potrf(self, dtype, uplo, n, a, lda, workspace, size, info):
        self._require(size >= 3 * n + 1)

        def work():
            matrix, word = self._matrix(a, dtype, n, n, lda), self._words(info, 1)
            matrix, word[0] = matrix.T if uplo else matrix, 0  # of which the lower triangle is read
            for k in range(n):
                if not matrix[k, k] > 0:
                    word[0] = k + 1
                    return
                matrix[k, k] = numpy.sqrt(matrix[k, k])
                matrix[k + 1 :, k] /= matrix[k, k]
                for j in range(k + 1, n):
                    matrix[j:, j] -= matrix[j:, k] * matrix[j, k]

        self._work(workspace, size * dtype.itemsize, work)

    def _getrf_buffer_size(self, dtype, m, n, a, lda):
        self._require(lda >= max(1, m))
        return 2 * n

    def _getrf(self, dtype, m, n, a, lda, workspace, pivots, info):
        def work():
            matrix, swaps, word = self._matrix(a, dtype, m, n, lda), self._words(pivots, n), self._words(info, 1)
            word[0] = 0
            for k in range(n):
                other = k + int(numpy.argmax(abs(matrix[k:, k])))
                swaps[k] = other + 1
                matrix[[k, other]] = matrix[[other, k]]
                if matrix[k, k] == 0:
                    word[0] = word[0] or k + 1
                    continue
                matrix[k + 1 :, k] /= matrix[k, k]
                matrix[k + 1 :, k + 1 :] -= numpy.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])

        self._work(workspace, 2 * n * dtype.itemsize, work)

    def _getrs(self, dtype, trans, n, columns, a, lda, pivots, b, ldb, info):
        self._require(trans == 0 and ldb >= max(1, n))

        def work():
            matrix, x = self._matrix(a, dtype, n, n, lda), self._matrix(b, dtype, n, columns, ldb)
            self._words(info, 1)[0] = 0
            for k, other in enumerate(self._words(pivots, n)):
                x[[k, other - 1]] = x[[other - 1, k]]
            with numpy.errstate(all="ignore"):
                _substitute(matrix, x, True, True)
                _substitute(matrix, x, False, False)

        self._put(work)


def _substitute(matrix, x, lower, unit):
    """``x`` replaced by y with ``matrix @ y = x``, of which one triangle is read."""
    n = len(matrix)
    for k in range(n) if lower else reversed(range(n)):
        if not unit:
            x[k] /= matrix[k, k]
        rest = slice(k + 1, n) if lower else slice(0, k)
        x[rest] -= numpy.outer(matrix[rest, k], x[k])


@contextlib.contextmanager
def pretend_libraries(driver):
    """With libraries on a `PretendDriver`; yields (`HostBlas`, `HostSolver`), whose logs say what was called.

    Examples
    --------
    ``with pretend_device() as driver, pretend_libraries(driver) as (blas, solver): ...``
    """
    before, made = libraries.load, (HostBlas(driver), HostSolver(driver))
    libraries.load = lambda: made
    try:
        yield made
    finally:
        libraries.load = before
