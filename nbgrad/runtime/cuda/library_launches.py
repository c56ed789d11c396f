"""Launches that cuBLAS and cuSOLVER can do, as their calls on views, with kernels that copy around them.

The libraries have column-major matrices: a row-major one is to them its transpose.  ``c = a @ b`` is asked for as
``c^T = b^T @ a^T``, and ``a x = b`` with a triangular as ``x^T a^T = b^T``; only general equations are copied.
"""

import functools
import itertools
import math

import numpy

from nbgrad import shapes
from nbgrad.compile.cuda.lower import Code
from nbgrad.compile.launch import Launch
from nbgrad.compile.products import _leading, stacked
from nbgrad.compile.source import Words, Writer
from nbgrad.compile.storage import Buffer, View, contiguous
from nbgrad.runtime.cuda import libraries
from nbgrad.runtime.cuda.libraries import LOWER, PLAIN, TRANSPOSED, UPPER

#: Integers of the libraries are smaller than this.
LIMIT = 1 << 31
#: Calls for one product of stacks at most; the kernel takes any number.
MOST_CALLS = 64
#: Addresses that are handed to the libraries are multiples of this, from where the arena begins.
ALIGNMENT = 256

_BYTE, _INT = numpy.dtype("uint8"), numpy.dtype("int32")


class LibraryLaunch(Launch):
    """A launch that is ``call(address, stream)``, where ``address(view)`` is that of the first element of a view."""

    __slots__ = ("call",)

    def __init__(self, name, operands, call):
        super().__init__(name)
        self.operands, self.call, self.total = operands, call, 1


class _Scratch:
    """Memory behind the arena that all calls use one after another."""

    def __init__(self, start):
        self.start = -(-start // ALIGNMENT) * ALIGNMENT
        self.end = self._next = self.start

    def reset(self):
        self._next = self.start

    def __call__(self, dtype, shape):
        """A contiguous view of new memory."""
        buffer = Buffer("arena", dtype, shapes.size(shape))
        buffer.offset = self._next
        self._next += -(-buffer.nbytes // ALIGNMENT) * ALIGNMENT
        self.end = max(self.end, self._next)
        return contiguous(buffer, shape)


def planned(launches, arena_bytes, device):
    """The launches with those that libraries do replaced by their calls, and the bytes that the arena then has.

    Parameters
    ----------
    launches : list of nbgrad.compile.launch.Launch
        ``launch.library`` is (name, operands, attributes) where a library might do it, with the result last.
    arena_bytes : int
    device : nbgrad.runtime.cuda.device.Device

    Raises
    ------
    DeviceError
        If ``config.cuda_libraries`` is True and there are none.
    """
    if not any(launch.library for launch in launches):
        return launches, arena_bytes
    found = libraries.of(device)
    if found is None:
        return launches, arena_bytes
    scratch, made, used = _Scratch(arena_bytes), [], False
    with device.driver.active():
        for launch in launches:
            parts = _parts(launch, found, scratch) if launch.library else None
            made += [launch] if parts is None else parts
            used = used or parts is not None
    return (made, scratch.end) if used else (launches, arena_bytes)


def _parts(launch, found, scratch):
    """The launches that do it, or None where the libraries do not have it."""
    name, operands, attrs = launch.library
    if name not in _PARTS or not all(isinstance(view, View) for view in operands):
        return None
    letter = {"float64": "d", "float32": "s"}.get(str(operands[-1].origin.dtype))
    if letter is None or any(v.origin.dtype != operands[-1].origin.dtype for v in operands):
        return None
    if any(0 in v.shape or max(v.shape) >= LIMIT for v in operands):
        return None
    scratch.reset()
    with_workspace = scratch(_BYTE, (found.workspace,))
    return _PARTS[name](_Call(found, letter, with_workspace), scratch, *operands, **attrs)


class _Call:
    """What the calls of a launch have in common."""

    def __init__(self, found, letter, workspace):
        self.libraries, self.letter, self._workspace = found, letter, workspace

    def launch(self, name, operands, work):
        def call(address, stream):
            with self.libraries.on(stream, address(self._workspace)):
                work(address)

        return LibraryLaunch(name, operands, call)


def _matmul(call, scratch, a, b, out):
    (m, k), n, lead = a.shape[-2:], b.shape[-1], out.shape[:-2]
    forms, batch = (_form(a), _form(b)), stacked(lead, a.strides[:-2], b.strides[:-2])
    if None in forms or batch is None:
        return None
    (outer, inner), (ao, ai), (bo, bi) = batch
    if min(ao, ai, bo, bi) < 0 or max(outer, inner) >= LIMIT:
        return None
    # the longer of two leading axes is that of one call
    size, steps = m * n, ((outer, ao, bo, inner), (inner, ai, bi, 1))
    (calls, *each), (count, a_step, b_step, c_step) = sorted(steps, key=lambda axis: axis[0])
    if calls > MOST_CALLS:
        return None
    (a_form, lda), (b_form, ldb) = forms
    item, found, letter = out.origin.dtype.itemsize, call.libraries, call.letter

    def work(address):
        at = [address(b), address(a), address(out)]
        jumps = (each[1] * item, each[0] * item, each[2] * size * item)
        for i in range(calls):
            x, y, z = (start + i * jump for start, jump in zip(at, jumps, strict=True))
            found.gemm(letter, (b_form, a_form), (n, m, k), (x, ldb, b_step), (y, lda, a_step),
                       (z, n, c_step * size), count)  # fmt: skip

    return [call.launch("matmul", (a, b, out), work)]


def _solve_triangular(call, scratch, a, b, out, *, lower, transposed):
    n, columns = out.shape[-2:]
    made = [_copied(b.broadcast(out.shape), out)]
    form = _form(a)
    if form is None:
        fresh = scratch(a.origin.dtype, a.shape)
        made.append(_copied(a, fresh))
        a, form = fresh, (PLAIN, n)
    a = a.broadcast((*out.shape[:-2], n, n))
    given, lda = form
    triangle = (UPPER if lower else LOWER) if given == PLAIN else (LOWER if lower else UPPER)
    asked = PLAIN if (given == PLAIN) != bool(transposed) else TRANSPOSED
    item, found, letter = out.origin.dtype.itemsize, call.libraries, call.letter
    offsets = [(x * item, y * item) for x, y in zip(_starts(a), _starts(out), strict=True)]

    def work(address):
        first, target = address(a), address(out)
        for x, y in offsets:
            found.trsm(letter, triangle, asked, columns, n, first + x, lda, target + y, columns)

    return [*made, call.launch("solve_triangular", (a, out), work)]


def _cholesky(call, scratch, a, out):
    n, dtype = out.shape[-1], out.origin.dtype
    found, letter, count = call.libraries, call.letter, shapes.size(out.shape[:-2])
    size = found.potrf_size(letter, n)
    factor, work_in = scratch(dtype, out.shape), scratch(dtype, (max(size, 1),))
    info = scratch(_INT, (count,))

    def work(address):
        first, room, words = address(factor), address(work_in), address(info)
        for i in range(count):  # the lower triangle of a row-major matrix is the upper one of its transpose
            found.potrf(letter, n, first + i * n * n * dtype.itemsize, room, size, words + 4 * i)

    return [_copied(a, factor), call.launch("cholesky", (factor,), work), _copied(factor, out, info, lower=True)]


def _solve(call, scratch, a, b, out):
    (n, columns), lead, dtype = out.shape[-2:], out.shape[:-2], out.origin.dtype
    found, letter, count = call.libraries, call.letter, shapes.size(lead)
    a, b = a.broadcast((*lead, n, n)), b.broadcast(out.shape)
    size = found.getrf_size(letter, n)
    factor, solution = scratch(dtype, a.shape), scratch(dtype, (*lead, columns, n))
    work_in, pivots = scratch(dtype, (max(size, 1),)), scratch(_INT, (n,))
    info, ignored = scratch(_INT, (count,)), scratch(_INT, (1,))

    def work(address):
        first, target, room, words = address(factor), address(solution), address(work_in), address(info)
        swaps, other = address(pivots), address(ignored)
        for i in range(count):
            matrix, x = first + i * n * n * dtype.itemsize, target + i * n * columns * dtype.itemsize
            found.getrf(letter, n, matrix, room, swaps, words + 4 * i)
            found.getrs(letter, n, columns, matrix, swaps, x, other)

    return [
        _copied(_flipped(a), factor),
        _copied(_flipped(b), solution),
        call.launch("solve", (factor, solution), work),
        _copied(_flipped(solution), out, info),
    ]


_PARTS = {"matmul": _matmul, "solve_triangular": _solve_triangular, "cholesky": _cholesky, "solve": _solve}


def _form(view):
    """(`PLAIN` or `TRANSPOSED`, leading dimension) of row-major matrices to be read by columns; None for others."""
    found = _leading(view)
    if found is None or found[1] >= LIMIT:
        return None
    return (PLAIN if found[0] == _leading_plain() else TRANSPOSED), found[1]


@functools.cache
def _leading_plain():
    return _leading(contiguous(None, (2, 2)))[0]


def _starts(view):
    """For each matrix of a stack the elements from the first one to it."""
    steps = [range(0, n * s, s) if s else [0] * n for n, s in zip(view.shape[:-2], view.strides[:-2], strict=True)]
    return [sum(place) for place in itertools.product(*steps)]


def _flipped(view):
    """The matrices transposed."""
    rank = len(view.shape)
    return view.transposed((*range(rank - 2), rank - 1, rank - 2))


def _copied(view, target, info=None, lower=False):
    """A launch that copies a view into contiguous memory; nan where a word of each matrix in `info` is not 0."""
    dtype, launch = target.origin.dtype, Launch("copy")
    launch.words = words = Words()
    words.address(view, "load")
    words.address(target, "store")
    if info is not None:
        words.address(info, "load")
        words.add((math.nan, dtype))
        words.add((0.0, dtype))
    for value in (*view.shape, *view.strides):
        words.add(value)
    launch.source = _copy(str(dtype), len(view.shape), info is not None, lower)
    launch.code = Code(launch.source, {})
    launch.reads = [v.origin for v in (view, info) if v is not None]
    launch.writes = [target.origin]
    launch.total = launch.grain = launch.cost = shapes.size(target.shape)
    return launch


@functools.cache
def _copy(dtype, rank, info, lower):
    """The source of such a launch."""
    w, first = Writer(), 5 if info else 2
    w.open("def kernel(args, start, stop):")
    w.line('"""copy for a library"""')
    w.line(f"x, y = pointer_{dtype}(args, 0), pointer_{dtype}(args, 1)")
    if info:
        w.line(f"info, nan, zero = pointer_int32(args, 2), number_{dtype}(args, 3), number_{dtype}(args, 4)")
    for axis in range(rank):
        w.line(f"n{axis}, s{axis} = word(args, {first + axis}), word(args, {first + rank + axis})")
    w.open("for e in range(start + thread(), stop, threads()):")
    w.line("rest = e")
    for axis in reversed(range(rank)):
        w.line(f"i{axis}, rest = rest % n{axis}, rest // n{axis}")
    w.line(f"value = load(x, {' + '.join(f'i{axis} * s{axis}' for axis in range(rank))})")
    if info:
        w.open(f"if load(info, e // (n{rank - 2} * n{rank - 1})) != 0:")
        w.line("value = nan")
        w.close()
    if lower:
        w.open(f"if i{rank - 1} > i{rank - 2}:")
        w.line("value = zero")
        w.close()
    w.line("store(y, e, value, 0)")
    return w.text()
