"""The words of emitted kernels as Numba functions, for texts that only Numba understands."""

import functools

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from nbgrad.compile import words
from nbgrad.compile.words import KINDS, POINTERS

ARGS = types.CPointer(types.int64)
SIGNATURE = types.void(ARGS, types.int64, types.int64)


class _Half(types.Type):
    """Elements of float16, which Numba has no scalars of on CPUs; they are only pointed to."""

    def __init__(self):
        super().__init__(name="float16")


@register_model(_Half)
class _HalfModel(models.PrimitiveModel):
    def __init__(self, manager, ty):
        super().__init__(manager, ty, ir.HalfType())


def numba_type(name):
    """The Numba type of a dtype name."""
    if name == "float16":
        return _Half()
    return types.boolean if name == "bool" else getattr(types, name)


def _kind(ty):
    """Our kind of a Numba type."""
    if isinstance(ty, types.CPointer):
        return POINTERS[str(ty.dtype)]
    ty = types.unliteral(ty)
    return KINDS.get(str(ty))


class _Literal:
    """A literal argument of a word."""

    def __init__(self, value):
        self.constant = value


def _as_numba(word, result, literal=None):
    """A word as a Numba intrinsic; `result` gives its type from those of the arguments."""

    def codegen(context, builder, signature, args):
        values = list(args)
        if literal is not None:
            values[literal] = _Literal(signature.args[literal].literal_value)
        if word is words.store:
            values[2] = context.cast(builder, args[2], signature.args[2], _element(signature.args[0]))
        if word is words.call_address:
            values[1] = [
                context.get_constant(types.int64, v.literal_value)
                if isinstance(v, types.Literal)
                else builder.extract_value(args[1], k)
                for k, v in enumerate(signature.args[1])
            ]
        _, out = word(builder, [_kind(t) for t in signature.args], *values)
        return context.get_dummy_value() if signature.return_type == types.void else out

    def one(typingctx, a):
        return result(a)(a), codegen

    def two(typingctx, a, b):
        return result(a, b)(a, b), codegen

    def three(typingctx, a, b, c):
        return result(a, b, c)(a, b, c), codegen

    def four(typingctx, a, b, c, d):
        return result(a, b, c, d)(a, b, c, d), codegen

    typed = {1: one, 2: two, 3: three, 4: four}[word.__code__.co_argcount - 2]
    return intrinsic(prefer_literal=True)(typed) if literal is not None else intrinsic(typed)


def _element(pointer, *_):
    return types.float32 if isinstance(pointer.dtype, _Half) else pointer.dtype


def _first(first, *_):
    return first


def _nothing(*_):
    return types.void


NAMES = {
    "load": _as_numba(words.load, _element),
    "load_own": _as_numba(words.load_own, _element, literal=2),
    "store": _as_numba(words.store, _nothing, literal=3),
    "at": _as_numba(words.at, _first),
    "word": _as_numba(words.word, lambda *_: types.int64),
    "to_float16": _as_numba(words.to_float16, lambda *_: types.float32),
    "call_address": _as_numba(words.call_address, _nothing),
    **{w.__name__: _as_numba(w, _first) for w in (words.add_fast, words.multiply_fast, words.larger, words.smaller)},
}


@functools.cache
def pointer_of(name):
    """``pointer(args, index)``: an address of the table as a pointer to elements."""
    return _as_numba(words.pointer_of(name), lambda *_: types.CPointer(numba_type(name)))


@functools.cache
def number_of(name):
    """``number(args, index)``: a constant kept in the table."""
    return _as_numba(words.number_of(name), lambda *_: numba_type(name))


def of_arrays(text):
    """A kernel of arrays as Numba has it."""
    import numba

    return numba.njit(error_model="numpy", no_cpython_wrapper=True)(text)


@functools.cache
def array_of(word):
    """``input_<dtype>_<rank>(args, index)``: a C-contiguous array; its address, then its extents, are in the table.

    ``output_`` is the same of an array that may be written to.
    """
    from numba.np.arrayobj import make_array, populate_array

    role, name, rank = word.split("_")
    array = types.Array(numba_type(name), int(rank), "C", readonly=role == "input")

    def codegen(context, builder, signature, args):
        table, index = args

        def read(k):
            return builder.load(builder.gep(table, [builder.add(index, context.get_constant(types.int64, k))]))

        element = context.get_data_type(array.dtype)
        size = context.get_constant(types.intp, context.get_abi_sizeof(element))
        shape, strides, step = [read(k + 1) for k in range(array.ndim)], [], size
        for n in reversed(shape):
            strides.insert(0, step)
            step = builder.mul(step, n)
        made = make_array(array)(context, builder)
        data = builder.inttoptr(read(0), element.as_pointer())
        populate_array(made, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
        return made._getvalue()

    return intrinsic(lambda typingctx, args, index: (array(args, index), codegen))
