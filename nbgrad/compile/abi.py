"""The words of emitted kernels: how a launch's arguments are read, and loads and stores that may be vectorised.

A kernel is ``kernel(args, start, stop)``: `args` is a table of 64-bit words (extents, addresses, strides,
numbers), and [start, stop) the part of its parallel extent to do.  Loads and stores carry LLVM alias scopes:
every output has a scope of its own and all inputs share one, so loops vectorise without run-time checks.
An output may therefore never share memory with anything else in its launch.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Outputs of one kernel; each needs an alias scope.
MAX_OUTPUTS = 24

ARGS = types.CPointer(types.int64)
SIGNATURE = types.void(ARGS, types.int64, types.int64)


def _scopes(builder, own):
    module = builder.module
    domain = module.add_metadata([ir.MetaDataString(module, "nbgrad")])
    scopes = [module.add_metadata([ir.MetaDataString(module, f"nbgrad.{k}"), domain]) for k in range(MAX_OUTPUTS + 1)]
    return module.add_metadata([scopes[own]]), module.add_metadata([s for k, s in enumerate(scopes) if k != own])


def _mark(builder, instruction, own):
    mine, others = _scopes(builder, own)
    instruction.set_metadata("alias.scope", mine)
    instruction.set_metadata("noalias", others)


def _loaded(context, builder, pointer, index, ty, own):
    value = builder.load(builder.gep(pointer, [index]))
    _mark(builder, value, own)
    return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0)) if ty == types.boolean else value


@intrinsic
def load(typingctx, pointer, index):
    """Element of an input."""
    ty = pointer.dtype

    def codegen(context, builder, signature, args):
        return _loaded(context, builder, args[0], args[1], ty, 0)

    return ty(pointer, index), codegen


@intrinsic(prefer_literal=True)
def load_own(typingctx, pointer, index, output):
    """Element of output number `output`."""
    ty, own = pointer.dtype, 1 + output.literal_value

    def codegen(context, builder, signature, args):
        return _loaded(context, builder, args[0], args[1], ty, own)

    return ty(pointer, index, output), codegen


@intrinsic(prefer_literal=True)
def store(typingctx, pointer, index, value, output):
    """Write an element of output number `output`."""
    ty, own = pointer.dtype, 1 + output.literal_value

    def codegen(context, builder, signature, args):
        cast = context.cast(builder, args[2], value, ty)
        if ty == types.boolean:
            cast = builder.zext(cast, ir.IntType(8))
        _mark(builder, builder.store(cast, builder.gep(args[0], [args[1]])), own)
        return context.get_dummy_value()

    return types.void(pointer, index, value, output), codegen


@intrinsic
def load_plain(typingctx, pointer, index):
    """Element behind a pointer that may overlap others: for array kernels."""
    ty = pointer.dtype

    def codegen(context, builder, signature, args):
        value = builder.load(builder.gep(args[0], [args[1]]))
        return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0)) if ty == types.boolean else value

    return ty(pointer, index), codegen


@intrinsic
def store_plain(typingctx, pointer, index, value):
    """Write an element behind a pointer that may overlap others: for array kernels."""
    ty = pointer.dtype

    def codegen(context, builder, signature, args):
        cast = context.cast(builder, args[2], value, ty)
        builder.store(builder.zext(cast, ir.IntType(8)) if ty == types.boolean else cast, builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(pointer, index, value), codegen


@intrinsic
def at(typingctx, pointer, offset):
    """The pointer `offset` elements on."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, offset), codegen


@intrinsic
def word(typingctx, args_, index):
    """A word of the argument table: an extent or a stride."""

    def codegen(context, builder, signature, args):
        value = builder.load(builder.gep(args[0], [args[1]]))
        _mark(builder, value, 0)  # no output overlaps the table
        return value

    return types.int64(args_, index), codegen


@functools.cache
def pointer_of(dtype_name):
    """``pointer(args, index)``: an address of the table as a pointer to elements."""
    ty = types.boolean if dtype_name == "bool" else getattr(types, dtype_name)

    @intrinsic
    def pointer(typingctx, args_, index):
        def codegen(context, builder, signature, args):
            address = builder.load(builder.gep(args[0], [args[1]]))
            _mark(builder, address, 0)
            return builder.inttoptr(address, context.get_value_type(types.CPointer(ty)))

        return types.CPointer(ty)(args_, index), codegen

    return pointer


@functools.cache
def number_of(dtype_name):
    """``number(args, index)``: a constant kept in the table, in the low bytes of its word."""
    ty = types.boolean if dtype_name == "bool" else getattr(types, dtype_name)

    @intrinsic
    def number(typingctx, args_, index):
        def codegen(context, builder, signature, args):
            raw = builder.load(builder.gep(args[0], [args[1]]))
            _mark(builder, raw, 0)
            if ty == types.boolean:
                return builder.icmp_unsigned("!=", raw, ir.Constant(raw.type, 0))
            low = raw if ty.bitwidth == 64 else builder.trunc(raw, ir.IntType(ty.bitwidth))
            return builder.bitcast(low, context.get_value_type(ty)) if isinstance(ty, types.Float) else low

        return ty(args_, index), codegen

    return number


def _reassociated(name, of_floats, of_integers):
    @intrinsic
    def combine(typingctx, a, b):
        def codegen(context, builder, signature, args):
            if isinstance(a, types.Float):
                return getattr(builder, of_floats)(args[0], args[1], flags=("reassoc",))
            return getattr(builder, of_integers)(args[0], args[1])

        return a(a, a), codegen

    combine.__name__ = name
    return combine


#: Sums and products inside a block may be taken in any order, so that they vectorise.
add_fast = _reassociated("add_fast", "fadd", "add")
multiply_fast = _reassociated("multiply_fast", "fmul", "mul")


def _extremum(llvm, predicate):
    @intrinsic
    def extremum(typingctx, a, b):
        def codegen(context, builder, signature, args):
            if isinstance(a, types.Float):
                ty = args[0].type
                fn = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ty, [ty, ty]), f"{llvm}.f{a.bitwidth}")
                return builder.call(fn, args)
            compare = builder.icmp_signed if getattr(a, "signed", False) else builder.icmp_unsigned
            return builder.select(compare(predicate, args[0], args[1]), args[0], args[1])

        return a(a, a), codegen

    return extremum


#: The larger and the smaller with nan winning, in the form LLVM knows as a reduction.
larger = _extremum("llvm.maximum", ">")
smaller = _extremum("llvm.minimum", "<")


@intrinsic
def call_address(typingctx, address, values):
    """Call a C function by its address with a tuple of integers and floats; no result."""

    def codegen(context, builder, signature, args):
        packed = [
            context.get_constant(types.int64, v.literal_value) if isinstance(v, types.Literal) else builder.extract_value(args[1], k)
            for k, v in enumerate(values)
        ]
        fn = ir.FunctionType(ir.VoidType(), [v.type for v in packed]).as_pointer()
        builder.call(builder.inttoptr(args[0], fn), packed)
        return context.get_dummy_value()

    return types.void(address, values), codegen


NAMES = {
    "load": load, "load_own": load_own, "store": store, "at": at, "word": word,
    "add_fast": add_fast, "multiply_fast": multiply_fast, "larger": larger, "smaller": smaller,
    "call_address": call_address,
}  # fmt: skip
