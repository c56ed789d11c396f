"""The words of kernels for CUDA: threads of a block, what they share, and how they wait for each other.

They join those of `nbgrad.compile.words`.  Blocks have one dimension, in multiples of a warp where threads exchange
values.  Source of the instructions: NVVM IR specification 2.0, sections on barriers, shuffles and memory spaces.
"""

from collections.abc import Callable

from llvmlite import ir

from nbgrad.compile import words
from nbgrad.compile.words import INT64, POINTERS, VOID

_I32, _ALL = ir.IntType(32), ir.Constant(ir.IntType(32), -1)
#: Bytes on which shared memory begins: that of the widest load.
ALIGNMENT = 16


def _declared(builder, name, returned, arguments=()):
    module = builder.module
    found = module.globals.get(name)
    return found or ir.Function(module, ir.FunctionType(returned, list(arguments)), name)


def _register(builder, name):
    value = builder.call(_declared(builder, f"llvm.nvvm.read.ptx.sreg.{name}.x", _I32), [])
    return builder.zext(value, INT64.ir)


def lane(builder, kinds):
    """``lane()``: the number of a thread in its block."""
    return INT64, _register(builder, "tid")


def lanes(builder, kinds):
    """``lanes()``: how many threads a block has."""
    return INT64, _register(builder, "ntid")


def block(builder, kinds):
    """``block()``: the number of a block in its grid."""
    return INT64, _register(builder, "ctaid")


def blocks(builder, kinds):
    """``blocks()``: how many blocks a grid has."""
    return INT64, _register(builder, "nctaid")


def thread(builder, kinds):
    """``thread()``: the number of a thread in its grid."""
    return INT64, builder.add(builder.mul(block(builder, ())[1], lanes(builder, ())[1]), lane(builder, ())[1])


def threads(builder, kinds):
    """``threads()``: how many threads a grid has."""
    return INT64, builder.mul(blocks(builder, ())[1], lanes(builder, ())[1])


def barrier(builder, kinds):
    """``barrier()``: all threads of the block wait for each other, and see what each wrote."""
    builder.call(_declared(builder, "llvm.nvvm.barrier0", ir.VoidType()), [])
    return VOID, None


def fence(builder, kinds):
    """``fence()``: what this thread wrote is there for all blocks before what it writes next."""
    builder.call(_declared(builder, "llvm.nvvm.membar.gl", ir.VoidType()), [])
    return VOID, None


def take_number(builder, kinds, pointer):
    """``take_number(p)``: the integer at p before 1 is added to it, by one thread at a time of the whole grid."""
    one = ir.Constant(kinds[0].element.ir, 1)
    return kinds[0].element, builder.atomic_rmw("add", pointer, one, "monotonic")


def partner(builder, kinds, value, distance):
    """``partner(x, d)``: x of the thread whose number in the warp differs in the bit d; all threads take part."""
    kind = kinds[0]
    raw = builder.bitcast(value, ir.IntType(kind.bitwidth)) if kind.is_float else value
    far = builder.trunc(distance, _I32)
    if kind.bitwidth == 64:
        low, high = builder.trunc(raw, _I32), builder.trunc(builder.lshr(raw, ir.Constant(raw.type, 32)), _I32)
        low, high = (builder.zext(_exchanged(builder, v, far), raw.type) for v in (low, high))
        raw = builder.or_(builder.shl(high, ir.Constant(raw.type, 32)), low)
    elif kind.bitwidth == 32:
        raw = _exchanged(builder, raw, far)
    else:
        raw = builder.trunc(_exchanged(builder, builder.zext(raw, _I32), far), raw.type)
    return kind, builder.bitcast(raw, kind.ir) if kind.is_float else raw


def _exchanged(builder, value, distance):
    ty = ir.LiteralStructType([_I32, ir.IntType(1)])
    shuffle = _declared(builder, "llvm.nvvm.shfl.sync.i32", ty, [_I32] * 5)
    butterfly, clamp = ir.Constant(_I32, 3), ir.Constant(_I32, 31)
    return builder.extract_value(builder.call(shuffle, [_ALL, butterfly, value, distance, clamp]), 0)


def ballot(builder, kinds, flag):
    """``ballot(b)``: the flags of the threads of a warp as bits of an integer; all take part."""
    ty = ir.LiteralStructType([_I32, ir.IntType(1)])
    vote = _declared(builder, "llvm.nvvm.vote.sync", ty, [_I32, _I32, ir.IntType(1)])
    bits = builder.extract_value(builder.call(vote, [_ALL, ir.Constant(_I32, 3), flag]), 0)
    return INT64, builder.zext(bits, INT64.ir)


def count_bits(builder, kinds, bits):
    """``count_bits(n)``: how many bits of an integer are 1."""
    return INT64, builder.call(_declared(builder, "llvm.ctpop.i64", INT64.ir, [INT64.ir]), [bits])


def element(builder, kinds, pointer, number):
    """``element(p, x)``: a number as an element of what p points to."""
    return kinds[0].element, number


def shared_as(builder, kinds, pointer, count, number):
    """``shared_as(p, n, k)``: memory number k of the block, n elements of what p points to; n and k are literals."""
    return shared_of(kinds[0].element.name)(builder, (), count, number)


def shared_of(name):
    """``shared_<dtype>(n, k)``: memory number k of the block, n elements; both are literals."""

    def shared(builder, kinds, count, number):
        pointer, module = POINTERS[name], builder.module
        own = f"nbgrad_shared_{number.constant}"
        memory = module.globals.get(own)
        if memory is None:
            ty = ir.ArrayType(pointer.ir.pointee, count.constant)
            memory = ir.GlobalVariable(module, ty, own, addrspace=3)
            memory.linkage, memory.align = "internal", ALIGNMENT
            memory.initializer = ir.Constant(ty, ir.Undefined)
        zero = ir.Constant(_I32, 0)
        first = builder.gep(memory, [zero, zero])
        return pointer, builder.addrspacecast(first, pointer.ir)

    return shared


def _vector(builder, pointer, index, width):
    ty = ir.VectorType(pointer.type.pointee, width)
    return builder.bitcast(builder.gep(pointer, [index]), ty.as_pointer()), ty


def load_wide(builder, kinds, pointer, index, width, own):
    """``load_wide(p, i, n, k)``: n elements of an input, or of output number k - 1, in one go; p + i is aligned."""
    place, _ = _vector(builder, pointer, index, width.constant)
    value = builder.load(place)
    value.align = width.constant * _bytes(kinds[0])
    words.mark(builder, value, own.constant)
    parts = [builder.extract_element(value, ir.Constant(_I32, j)) for j in range(width.constant)]
    return kinds[0].element, [words.in_register(builder, kinds[0], part) for part in parts]


def store_wide(builder, kinds, pointer, index, values, output):
    """``store_wide(p, i, (a, b, ...), k)``: elements of output number k in one instruction; p + i is aligned."""
    place, ty = _vector(builder, pointer, index, len(values))
    whole = ir.Constant(ty, ir.Undefined)
    for j, value in enumerate(values):
        whole = builder.insert_element(whole, words.in_memory(builder, kinds[0], value), ir.Constant(_I32, j))
    instruction = builder.store(whole, place)
    instruction.align = len(values) * _bytes(kinds[0])
    words.mark(builder, instruction, 1 + output.constant)
    return VOID, None


def _bytes(pointer):
    return {"bool": 1, "float16": 2}.get(pointer.name, pointer.element.bitwidth // 8)


def read(builder, kinds, pointer, index):
    """``read(p, i)``: an element of memory that others write to."""
    return kinds[0].element, words.plain_read(builder, kinds[0], builder.gep(pointer, [index]))


def write(builder, kinds, pointer, index, value):
    """``write(p, i, x)``: write an element of memory that others read."""
    words.plain_write(builder, kinds[0], builder.gep(pointer, [index]), value)
    return VOID, None


_OWN: tuple[Callable, ...] = (
    lane, lanes, block, blocks, thread, threads, barrier, fence, take_number, partner, ballot, count_bits, element,
    shared_as, load_wide, store_wide, read, write,
)  # fmt: skip
words.WORDS.update({f.__name__: f for f in _OWN})
words.FAMILIES["shared_"] = shared_of
words.LITERALS.update(shared=(0, 1), shared_as=(1, 2), load_wide=(2, 3), store_wide=(3,))
words.ELEMENT.update(write=2, element=1, store_wide=2)
