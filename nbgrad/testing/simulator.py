"""CUDA kernels in Numba's CUDA simulator: their emitted source as plain Python, a Python thread for each thread.

Where `nbgrad.testing.cuda` executes the NVVM IR of a kernel, this executes the source that the IR is translated from,
and the texts that it calls, without the translator.  So it sees other mistakes: each access outside of an array is an
IndexError, also a negative index; a float64 that is written to float32 memory is a TypeError; memory of a block is nan
until someone writes to it.

The simulator replaces Numba's compiler for CUDA, and has to be asked for before Numba is imported: this module can be
imported only where the environment has ``NUMBA_ENABLE_CUDASIM=1``.
"""

import ast
import ctypes
import functools
import math
import sys
import threading
import types

import numpy
from numba import config, cuda

from nbgrad.compile import texts
from nbgrad.compile.cuda.lower import CudaLowering
from nbgrad.compile.source import register
from nbgrad.compile.translate import LIBM
from nbgrad.compile.words import KINDS
from nbgrad.errors import KernelError
from nbgrad.kernels._block import Word
from nbgrad.primitive import Primitive

if not getattr(config, "ENABLE_CUDASIM", False):
    raise ImportError("nbgrad.testing.simulator needs NUMBA_ENABLE_CUDASIM=1 in the environment before Numba is there")

WARP = 32
#: Pieces of memory that the threads of a block may share.
MOST_SHARED = 64


class Pointer:
    """A place in an array of one axis: what kernels have instead of addresses."""

    __slots__ = ("array", "offset")

    def __init__(self, array, offset=0):
        self.array, self.offset = array, offset

    def place(self, index, count=1):
        """Where element `index` is, and `count` - 1 behind it.

        Raises
        ------
        IndexError
            If one of them is outside of the array.
        """
        place = self.offset + index
        if not 0 <= place <= len(self.array) - count:
            raise IndexError(f"element {place} of an array of {len(self.array)}")
        return place


class Code:
    """The source of a kernel and the texts that it calls, as Python."""

    def __init__(self, source, names):
        self.source, self.names, self._kernel = source, names, None

    @property
    def kernel(self):
        """``kernel(args, start, stop)``: what each thread does."""
        if self._kernel is None:
            definition = ast.parse(self.source).body[0]
            namespace = {"__builtins__": __builtins__, **_named(definition)}
            namespace.update({name: text(p.text(dtype, "cuda"), dtype) for name, (p, dtype) in self.names.items()})
            self._kernel = _defined(definition, namespace, "int64", "<emitted kernel>")
        return self._kernel


class SimulatedLowering(CudaLowering):
    """A graph on its way to launches whose kernels are kept as source."""

    def _code(self, source, names):
        return Code(source, names)


def lowered(fn, *arguments):
    """A `SimulatedLowering` of a function of Arrays, for arguments of these dtypes and shapes."""
    from nbgrad.array import asarray
    from nbgrad.compile.simplify import simplify

    inputs = [asarray(a) for a in arguments]
    outputs = fn(*inputs)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return SimulatedLowering(*simplify([x._node for x in inputs], [y._node for y in outputs]))


def run(lowering, values, grid=2, block=8):
    """Outputs of a program that was lowered for the simulator.

    Parameters
    ----------
    lowering : SimulatedLowering
    values : sequence of array_like
        Its inputs.
    grid, block : int
        Blocks at most of each launch, and threads of a block where the launch leaves that open.

    Returns
    -------
    list of ndarray

    Raises
    ------
    IndexError
        Where a kernel reads or writes outside of an array.
    KernelError
        Where a kernel does not leave a counter as it was, or threads that exchange values are at different lines.
    TypeError
        Where what a kernel writes has another precision than what it writes to.
    """
    memory = {}

    def placed(buffer):
        found = memory.get(buffer)
        if found is None:
            found = memory[buffer] = _unwritten(numpy.empty(buffer.size, buffer.dtype))
            if buffer.kind in ("input", "captured"):
                given = values if buffer.kind == "input" else [n.fact("value") for n in lowering.captured]
                found[...] = numpy.asarray(given[buffer.index]).ravel()
            elif buffer.kind == "counter":
                found[...] = 0
        return found

    def viewed(view):
        if isinstance(view, numpy.ndarray):
            return view
        array, size = placed(view.origin), view.origin.dtype.itemsize
        return numpy.ndarray(view.shape, array.dtype, array, view.offset * size, [s * size for s in view.strides])

    for launch in lowering.launches:
        if launch.host:
            reference, attrs = launch.host
            *operands, out = map(viewed, launch.operands)
            out[...] = reference(*operands, **attrs)
            continue
        table = list(launch.words.values)
        for index, view, _ in launch.words.addresses:
            table[index] = Pointer(placed(view.origin), view.offset)
        threads = launch.block or block
        blocks = launch.blocks or min(grid, -(-launch.total // (launch.per_block or threads)))
        start(launch.code.kernel, table, launch.total, blocks, threads)
        for buffer, array in memory.items():
            if buffer.kind == "counter" and array[0]:
                raise KernelError(f"{launch.name}: left a counter at {array[0]}, which must be 0 again")
    return [placed(lowering.buffers[n]).reshape(n.shape) for n in lowering.outputs]


def start(kernel, table, total, blocks, threads):
    """Run a grid over [0, total).

    Parameters
    ----------
    kernel : callable
        ``kernel(args, start, stop)`` of words.
    table : list
        Integers, numbers with their dtypes, and Pointers.
    total, blocks, threads : int
    """
    shared, others = _Launch(), set(threading.enumerate())
    try:
        _entry[blocks, threads](kernel, table, total, shared)
    except Exception as error:  # the simulator may show another thread, which has waited for the one that failed
        lane, block, first = shared.failed[0] if shared.failed else (0, 0, error)
        for left in set(threading.enumerate()) - others:  # the simulator would let them run into the next launch
            left.join()
        raise type(first)(f"thread {lane} of block {block}: {first}") from first


class _Launch:
    """What the threads of a launch know of each other: memory of blocks that is filled, and failures in order."""

    def __init__(self):
        self.filled, self.failed = set(), []


def _unwritten(array):
    """The array, all nan or -1: nobody has written there yet."""
    array.view("u1")[...] = 0xFF if array.dtype.kind != "b" else 1
    return array


# ---------------------------------------------------------------- threads

_own = threading.local()
_first = threading.Lock()


@cuda.jit
def _entry(kernel, table, stop, shared):
    """One thread.  The simulator puts its `cuda` in place of the one of this module, so words find it as well."""
    _own.lane, _own.lanes, _own.block = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
    _own.filled, _own.meetings, _own.memory = shared.filled, 0, {}
    with _first:
        _own.seats = cuda.shared.array((2, _own.lanes), object)
    try:
        with numpy.errstate(all="ignore"):  # of a thread, not of the process
            kernel(table, 0, stop)
    except Exception as error:
        shared.failed.append((_own.lane, _own.block, error))
        raise


def _meet(value=None):
    """All threads of a block wait for each other; returns what each brought along.

    Seats of one meeting are not those of the next, so nobody's is taken before all others have looked at it.
    """
    line = sys._getframe(2).f_lineno
    seats = _own.seats[_own.meetings % 2]
    _own.meetings += 1
    seats[_own.lane] = _own.meetings, line, value
    cuda.syncthreads()
    other = (_own.lane + 1) % _own.lanes  # each looks at the next: together they look at all
    if seats[other] is None or seats[other][:2] != (_own.meetings, line):
        raise KernelError(f"threads of a block do not meet: {_own.lane} waits at line {line}, {other} does not")
    return seats


_WORDS = {}


def _word(function):
    _WORDS[function.__name__] = function
    return function


@_word
def lane():
    return _own.lane


@_word
def lanes():
    return _own.lanes


@_word
def block():
    return _own.block


@_word
def blocks():
    return cuda.gridDim.x


@_word
def thread():
    return cuda.grid(1)


@_word
def threads():
    return cuda.gridsize(1)


@_word
def barrier():
    _meet()


@_word
def fence():
    cuda.threadfence()


@_word
def take_number(pointer):
    return cuda.atomic.add(pointer.array, pointer.place(0), 1)


@_word
def partner(value, distance):
    if _own.lanes % WARP:
        raise KernelError(f"threads exchange values in a block of {_own.lanes}, which is no multiple of a warp")
    seats = _meet(value)
    return seats[_own.lane // WARP * WARP + (_own.lane % WARP ^ int(distance))][2]


@_word
def ballot(flag):
    seats, first = _meet(bool(flag)), _own.lane // WARP * WARP
    return sum(seats[first + k][2] << k for k in range(WARP))


@_word
def count_bits(bits):
    return int(bits).bit_count()


# ---------------------------------------------------------------- memory


@_word
def at(pointer, offset):
    return Pointer(pointer.array, pointer.offset + int(offset))


@_word
def read(pointer, index):
    value = pointer.array[pointer.place(index)]
    return numpy.float32(value) if value.dtype == "float16" else value


@_word
def write(pointer, index, value):
    pointer.array[pointer.place(index)] = element(pointer, value)


@_word
def element(pointer, value):
    """A number as an element; floats may not change their precision on the way."""
    dtype = numpy.dtype(register(pointer.array.dtype))
    if isinstance(value, numpy.floating) and dtype.kind == "f" and value.dtype != dtype:
        raise TypeError(f"a {value.dtype} is written to memory of {pointer.array.dtype}")
    return _cast(value, dtype)


@_word
def load(pointer, index):
    return read(pointer, index)


@_word
def load_own(pointer, index, output):
    return read(pointer, index)


@_word
def store(pointer, index, value, output):
    write(pointer, index, value)


@_word
def load_wide(pointer, index, width, own):
    first = _aligned(pointer, index, width)
    return tuple(read(pointer, first - pointer.offset + k) for k in range(width))


@_word
def store_wide(pointer, index, values, output):
    first = _aligned(pointer, index, len(values))
    for k, value in enumerate(values):
        write(pointer, first - pointer.offset + k, value)


def _aligned(pointer, index, width):
    place = pointer.place(index, width)
    if place % width:
        raise KernelError(f"a vector of {width} elements at element {place} is not aligned")
    return place


@_word
def word(args, index):
    value = args[index]
    if not isinstance(value, (int, numpy.integer)):
        raise TypeError(f"word {index} of the table is no integer but {value!r}")
    return int(value)


def _pointer_of(dtype):
    def pointer(args, index):
        found = args[index]
        if not isinstance(found, Pointer) or found.array.dtype != dtype:
            raise TypeError(f"word {index} of the table is no pointer to {dtype}")
        return found

    return pointer


def _number_of(dtype):
    def number(args, index):
        value, own = args[index]
        if numpy.dtype(register(own)) != register(dtype):
            raise TypeError(f"word {index} of the table is a number of {own}, not of {dtype}")
        return _cast(value, numpy.dtype(register(dtype)))

    return number


#: The simulator tells the arrays that blocks share from each other by the lines that make them.
_makers: dict = {}
exec("\n".join(f"def make_{k}(n, dtype): return cuda.shared.array(n, dtype)" for k in range(MOST_SHARED)),
     globals(), _makers)  # fmt: skip


@_word
def shared_as(pointer, count, number):
    return _shared(pointer.array.dtype, count, number)


def _shared(dtype, count, number):
    found = _own.memory.get(number)
    if found is None:
        dtype = numpy.dtype(dtype)
        with _first:
            array = _makers[f"make_{number}"](count, dtype)
            if (_own.block, number) not in _own.filled:
                _own.filled.add((_own.block, number))
                _unwritten(array)
        found = _own.memory[number] = Pointer(array)
    if (len(found.array), found.array.dtype) != (count, dtype):
        raise KernelError(f"memory {number} of a block is {found.array.dtype} and {dtype}, or of two sizes")
    return found


# ---------------------------------------------------------------- numbers


def _cast(value, dtype):
    """A number in another dtype as a processor makes it: integers wrap, floats lose what is behind the point."""
    if isinstance(value, numpy.generic) and value.dtype == dtype:
        return value
    if dtype.kind == "b":
        return numpy.bool_(value != 0)
    if dtype.kind == "f" or isinstance(value, (numpy.integer, numpy.bool_)):
        return numpy.asarray(value).astype(dtype)[()]
    if isinstance(value, numpy.floating):
        if dtype.kind == "i" or (dtype.itemsize == 8 and value >= 2.0**63):
            return value.astype(dtype)
        return value.astype("int64").astype(dtype)
    bits = 8 * dtype.itemsize
    return numpy.array(int(value) % 2**bits, f"uint{bits}").astype(dtype)[()]


def _cast_to(dtype):
    return lambda value: _cast(value, numpy.dtype(dtype))


@_word
def to_float16(x):
    return numpy.float32(numpy.float16(x))


@_word
def add_fast(a, b):
    return a + b


@_word
def multiply_fast(a, b):
    return a * b


@_word
def larger(a, b):
    return _extremum(a, b, a > b, numpy.signbit)


@_word
def smaller(a, b):
    return _extremum(a, b, a < b, lambda v: not numpy.signbit(v))


def _extremum(a, b, first, second):
    """nan wins; of zeros of both signs the one that is not `second`."""
    if isinstance(a, numpy.floating):
        if a != a or b != b:
            return a if a != a else b
        if a == b == 0:
            return b if second(a) else a
    return a if first else b


_WORDS.update({f"to_{d}": _cast_to(d) for d in KINDS})
for _d in (*KINDS, "float16"):
    _WORDS.update({f"pointer_{_d}": _pointer_of(_d), f"number_{_d}": _number_of(_d)})
    _WORDS[f"shared_{_d}"] = functools.partial(_shared, _d)

_libm = ctypes.CDLL(None)


@functools.cache
def _from_c(name, arity, dtype):
    kind = ctypes.c_double if dtype == "float64" else ctypes.c_float
    found = getattr(_libm, name + ("" if dtype == "float64" else "f"))
    found.restype, found.argtypes = kind, [kind] * arity
    return found


def _in_c(name, *values):
    """A function of the C library in the precision of its arguments."""
    dtype = numpy.result_type(*values)
    return dtype.type(_from_c(name, len(values), str(dtype))(*map(float, values)))


#: What `math` means in a text: nothing leaves the precision of its argument.
_math = types.SimpleNamespace(
    sqrt=numpy.sqrt, fabs=numpy.abs, floor=numpy.floor, ceil=numpy.ceil, trunc=numpy.trunc,
    **{name: functools.partial(_in_c, name) for name in LIBM},
)  # fmt: skip


# ---------------------------------------------------------------- intrinsics

_MEANINGS = {
    "get": read, "put_at": write, "round_even": numpy.rint, "round_down": numpy.floor, "round_up": numpy.ceil,
    "round_to_zero": numpy.trunc, "magnitude": numpy.abs, "c_remainder": numpy.remainder,
    "c_floor_divide": numpy.floor_divide, "c_left_shift": numpy.left_shift, "c_right_shift": numpy.right_shift,
    "exact_add": lambda a, b: a + b, "exact_subtract": lambda a, b: a - b, "exact_multiply": lambda a, b: a * b,
    "select": lambda condition, a, b: a if condition else b, "with_sign": numpy.copysign, "square_root": numpy.sqrt,
    "from_bits": lambda x: x.view(f"float{8 * x.itemsize}"), "bits": lambda x: x.view(f"int{8 * x.itemsize}"),
    "flip_sign": lambda x, s: -x if numpy.signbit(s) else x,
    "smallest_normal": lambda x: numpy.finfo(x.dtype).smallest_normal,
    "is_odd": lambda k: bool(_whole(k) & 1), "is_in_upper_half": lambda k: bool(_whole(k) & 2),
}  # fmt: skip


def _meaning(function):
    _MEANINGS[function.__name__] = function
    return function


def _whole(k, most=1 << 62):
    """An integral float as an integer; what is none may be anything."""
    return max(-most, min(int(k), most)) if numpy.isfinite(k) else 0


@_meaning
def fma(a, b, c):
    return _in_c("fma", a, b, c)


@_meaning
def polynomial(x, coefficients):
    def horner(x, coefficients):
        total = coefficients[-1]
        for c in coefficients[-2::-1]:
            total = fma(total, x, c)
        return total

    if len(coefficients) < 7:
        return horner(x, coefficients)
    return fma(horner(x * x, coefficients[1::2]), x, horner(x * x, coefficients[::2]))


@_meaning
def by_precision(a, b):
    return a if (a[0] if isinstance(a, tuple) else a).dtype == "float64" else b


@_meaning
def power_of_two(k):
    return numpy.ldexp(k.dtype.type(1), _whole(k, 5000))


@_meaning
def times_power_of_two(y, k):
    return numpy.ldexp(y, _whole(k, 5000))


@_meaning
def successor_times_power_of_two(x, k):
    low = power_of_two(numpy.floor(k / 2))  # 2**k itself may be too large, or too small to be exact
    return fma(x, low, low) * power_of_two(k - numpy.floor(k / 2))


@_meaning
def nearest_multiple(x, inverse):
    magic = x.dtype.type(1.5 * 2.0 ** (52 if x.dtype == "float64" else 23))
    return fma(x, inverse, magic) - magic


def _split(x):
    m, e = numpy.frexp(x)
    root_half = numpy.uint64(0x3FE6A09E667F3BCD).view("float64") if x.dtype == "float64" else numpy.uint32(0x3F3504F3)
    below = m < root_half.view(x.dtype)
    return (m * 2, e - 1) if below else (m, e)


@_meaning
def exponent_of(x):
    return x.dtype.type(_split(x)[1])


@_meaning
def mantissa_of(x):
    return x.dtype.type(_split(x)[0])


def _row_of_exponent(x):
    """The row of a table for x: rows start at 2**20 and are 16 exponents high."""
    biased = int(x.view("uint64")) >> 52 & 0x7FF
    return (max(biased, 1043) - 1043) // 16


@_meaning
def two_over_pi_part(x, j):
    from nbgrad.kernels._polynomials import TWO_OVER_PI

    return numpy.float64(TWO_OVER_PI[4 * _row_of_exponent(x) + int(j)])


@_meaning
def two_over_pi_high_32(x):
    return _part_32(x, 0)


@_meaning
def two_over_pi_low_32(x):
    return _part_32(x, 1)


def _part_32(x, which):
    from nbgrad.kernels._polynomials import TWO_OVER_PI_32

    table = TWO_OVER_PI_32[which::2]
    return numpy.float64(table[min(_row_of_exponent(x), len(table) - 1)])


@_meaning
def lowered_exponent(x):
    return (x.view("uint64") - numpy.uint64(16 * _row_of_exponent(x) << 52)).view("float64")


# ---------------------------------------------------------------- texts


@functools.cache
def text(function, dtype):
    """A kernel text as a Python function of NumPy scalars, whose numbers have a dtype.

    Parameters
    ----------
    function : function
    dtype : str
        As in the translator: of ``"int64"``, the dtype of array kernels, integers take the type of what they meet.
    """
    try:
        definition, _ = texts.parsed(function)
    except OSError as error:
        raise KernelError(f"kernel {function.__name__}: its source text is not available ({error})") from None
    definition.decorator_list = []
    known = texts.outside(function)
    names = {n.id for n in ast.walk(definition) if isinstance(n, ast.Name)}
    namespace = {"__builtins__": __builtins__, **_named(definition)}
    namespace.update({n: _typed(known[n], dtype) for n in names if n in known and not n.startswith("to_")})
    return _defined(definition, namespace, dtype, function.__code__.co_filename)


def _named(definition):
    """The words that a definition calls by their own names."""
    names = {n.id for n in ast.walk(definition) if isinstance(n, ast.Name)}
    return {n: _WORDS[n] for n in names & _WORDS.keys()}


def _defined(definition, namespace, dtype, filename):
    _Literals(dtype, namespace).visit(definition)
    tree = ast.fix_missing_locations(ast.Module([definition], []))
    exec(compile(tree, filename, "exec"), namespace)
    return namespace[definition.name]


def _typed(value, dtype):
    """What a name from outside means in a text."""
    if isinstance(value, Word):
        return _WORDS[value.name]
    if isinstance(value, Primitive):
        return text(value.text(dtype, "cuda"), dtype)
    if hasattr(value, "emission"):
        return _intrinsic(value)
    if isinstance(value, types.FunctionType):
        return text(value, dtype)
    if value is math:
        return _math
    if isinstance(value, tuple):
        return tuple(_typed(v, dtype) for v in value)
    return _number(value, dtype)


def _intrinsic(value):
    found = _MEANINGS.get(value.name)
    if found is not None:
        return found
    wide = value.emission().text
    if wide is None:
        raise KernelError(f"{value.name} has no meaning in the simulator; give it one in {__name__}")
    body = text(wide, "float64")
    return lambda *values: values[0].dtype.type(body(*(numpy.float64(v) for v in values)))


def _number(value, dtype):
    """A literal of a text, as the translator types it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if dtype in ("float64", "float32"):
        return numpy.dtype(dtype).type(value)
    if isinstance(value, float):
        return numpy.float64(value)
    return value if dtype == "int64" else _cast(value, numpy.dtype(dtype))


class _Literals(ast.NodeTransformer):
    """Each number becomes the name of one that has a dtype; indices stay as they are."""

    def __init__(self, dtype, namespace):
        self.dtype, self.namespace = dtype, namespace

    def visit_Constant(self, node):
        typed = _number(node.value, self.dtype)
        if typed is node.value:
            return node
        name = f"_literal_{len(self.namespace)}"
        self.namespace[name] = typed
        return ast.copy_location(ast.Name(id=name, ctx=ast.Load()), node)

    def visit_Subscript(self, node):
        node.value = self.visit(node.value)
        return node
