"""The words of emitted kernels as LLVM: how a launch's arguments are read, and loads and stores that vectorise.

A kernel is ``kernel(args, start, stop)``: `args` is a table of 64-bit words (extents, addresses, strides,
numbers), and [start, stop) the part of its parallel extent to do.  Loads and stores carry LLVM alias scopes:
every output has a scope of its own and all inputs share one, so loops vectorise without run-time checks.
An output may therefore never share memory with anything else in its launch.

Each word is a pair: the kind of its result, and the code that it stands for.
"""

from collections.abc import Callable

from llvmlite import ir

from nbgrad.compile.source import OUTPUT_SCOPES


class Kind:
    """The type of a scalar in a kernel."""

    __slots__ = ("bitwidth", "ir", "is_float", "name", "signed")

    def __init__(self, name, bitwidth, is_float=False, signed=True):
        self.name, self.bitwidth, self.is_float, self.signed = name, bitwidth, is_float, signed
        self.ir = (ir.DoubleType() if bitwidth == 64 else ir.FloatType()) if is_float else ir.IntType(bitwidth)

    def __repr__(self):
        return self.name


KINDS = {
    "float64": Kind("float64", 64, True), "float32": Kind("float32", 32, True), "bool": Kind("bool", 1, signed=False),
    **{f"int{b}": Kind(f"int{b}", b) for b in (8, 16, 32, 64)},
    **{f"uint{b}": Kind(f"uint{b}", b, signed=False) for b in (8, 16, 32, 64)},
}  # fmt: skip
INT64, BOOL, FLOAT32 = KINDS["int64"], KINDS["bool"], KINDS["float32"]


class Pointer:
    """The type of a pointer to elements, which are of kind `element` once they are loaded."""

    __slots__ = ("element", "ir", "name")

    def __init__(self, name, element, memory):
        self.name, self.element, self.ir = name, element, memory.as_pointer()

    def __repr__(self):
        return f"pointer to {self.name}"


#: Booleans are bytes in memory.  float16 is a form of memory only: what is loaded from it is a float32.
POINTERS = {name: Pointer(name, kind, kind.ir) for name, kind in KINDS.items()}
POINTERS["bool"] = Pointer("bool", BOOL, ir.IntType(8))
POINTERS["float16"] = Pointer("float16", FLOAT32, ir.HalfType())
VOID = None


def _marks(module):
    """For each scope of memory the metadata that is in it, and that is in none of the others."""
    domain = module.add_metadata([ir.MetaDataString(module, "nbgrad")])
    scopes = [module.add_metadata([ir.MetaDataString(module, f"nbgrad.{k}"), domain]) for k in range(OUTPUT_SCOPES + 1)]
    return [
        (module.add_metadata([scope]), module.add_metadata([s for s in scopes if s is not scope])) for scope in scopes
    ]


def mark(builder, instruction, own):
    """Say in which scope of memory an instruction reads or writes; `own` is 0 for inputs."""
    marks = getattr(builder.module, "nbgrad_marks", None)
    if marks is None:
        marks = builder.module.nbgrad_marks = _marks(builder.module)
    scope, others = marks[own]
    instruction.set_metadata("alias.scope", scope)
    instruction.set_metadata("noalias", others)


def plain_read(builder, kind, pointer, own=None):
    """What a pointer of this kind points to; unless `own` says in which scope, it may be written by anyone."""
    value = builder.load(pointer)
    if own is not None:
        mark(builder, value, own)
    return in_register(builder, kind, value)


def in_register(builder, kind, value):
    """What is loaded, in the form that registers hold it in."""
    if kind.name == "bool":
        return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
    return builder.fpext(value, ir.FloatType()) if kind.name == "float16" else value


def plain_write(builder, kind, pointer, value, own=None):
    """Write what a pointer of this kind points to."""
    instruction = builder.store(in_memory(builder, kind, value), pointer)
    if own is not None:
        mark(builder, instruction, own)


def in_memory(builder, kind, value):
    """What is to be stored, in the form that memory holds it in."""
    if kind.name == "bool":
        return builder.zext(value, ir.IntType(8))
    return builder.fptrunc(value, ir.HalfType()) if kind.name == "float16" else value


def _table(builder, args, index):
    value = builder.load(builder.gep(args, [index]))
    mark(builder, value, 0)  # no output overlaps the table
    return value


def _number(builder, kind, args, index):
    raw = _table(builder, args, index)
    if kind.bitwidth == 1:
        return builder.icmp_unsigned("!=", raw, ir.Constant(raw.type, 0))
    low = raw if kind.bitwidth == 64 else builder.trunc(raw, ir.IntType(kind.bitwidth))
    return builder.bitcast(low, kind.ir) if kind.is_float else low


def load(builder, kinds, pointer, index):
    """``load(pointer, index)``: element of an input."""
    return kinds[0].element, plain_read(builder, kinds[0], builder.gep(pointer, [index]), 0)


def load_own(builder, kinds, pointer, index, output):
    """``load_own(pointer, index, k)``: element of output number k."""
    return kinds[0].element, plain_read(builder, kinds[0], builder.gep(pointer, [index]), 1 + output.constant)


def store(builder, kinds, pointer, index, value, output):
    """``store(pointer, index, value, k)``: write an element of output number k."""
    return VOID, plain_write(builder, kinds[0], builder.gep(pointer, [index]), value, 1 + output.constant)


def at(builder, kinds, pointer, offset):
    """``at(pointer, offset)``: the pointer, `offset` elements on."""
    return kinds[0], builder.gep(pointer, [offset])


def word(builder, kinds, args, index):
    """``word(args, index)``: an extent or a stride."""
    return INT64, _table(builder, args, index)


def pointer_of(name):
    """``pointer_<dtype>(args, index)``: an address of the table."""

    def pointer(builder, kinds, args, index):
        return POINTERS[name], builder.inttoptr(_table(builder, args, index), POINTERS[name].ir)

    return pointer


def number_of(name):
    """``number_<dtype>(args, index)``: a constant kept in the table, in the low bytes of its word."""

    def number(builder, kinds, args, index):
        return KINDS[name], _number(builder, KINDS[name], args, index)

    return number


def to_float16(builder, kinds, x):
    """``to_float16(x)``: a float rounded to what a float16 holds, as a float32."""
    if kinds[0].bitwidth == 64:
        x = _to_odd(builder, x)
    return FLOAT32, builder.fpext(builder.fptrunc(x, ir.HalfType()), ir.FloatType())


def _to_odd(builder, x):
    """A float64 as a float32 that is odd in its last place if it is not exact.

    Rounding twice, to nearest, is not rounding once; to odd and then to nearest is (Boldo and Melquiond 2008,
    Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd).
    """
    near = builder.fptrunc(x, ir.FloatType())
    back, word = builder.fpext(near, ir.DoubleType()), ir.IntType(32)
    size = [builder.call(builder.module.declare_intrinsic("llvm.fabs", [ir.DoubleType()]), [v]) for v in (back, x)]
    bits = builder.bitcast(near, word)
    beyond = builder.zext(builder.fcmp_ordered(">", *size), word)
    odd = builder.or_(builder.sub(bits, beyond), ir.Constant(word, 1))
    inexact = builder.fcmp_ordered("!=", back, x)
    return builder.bitcast(builder.select(inexact, odd, bits), ir.FloatType())


def add_fast(builder, kinds, a, b):
    """``add_fast(a, b)``: a sum that may be taken in any order, so that it vectorises."""
    kind = kinds[0]
    return kind, builder.fadd(a, b, flags=("reassoc",)) if kind.is_float else builder.add(a, b)


def multiply_fast(builder, kinds, a, b):
    """``multiply_fast(a, b)``: a product that may be taken in any order."""
    kind = kinds[0]
    return kind, builder.fmul(a, b, flags=("reassoc",)) if kind.is_float else builder.mul(a, b)


def _extremum(builder, kind, a, b, llvm, predicate):
    if kind.is_float:
        ty = ir.FunctionType(kind.ir, [kind.ir] * 2)
        return builder.call(builder.module.declare_intrinsic(llvm, [kind.ir], ty), [a, b])
    compare = builder.icmp_signed if kind.signed else builder.icmp_unsigned
    return builder.select(compare(predicate, a, b), a, b)


def larger(builder, kinds, a, b):
    """``larger(a, b)``: nan wins, in the form that LLVM knows as a reduction."""
    return kinds[0], _extremum(builder, kinds[0], a, b, "llvm.maximum", ">")


def smaller(builder, kinds, a, b):
    """``smaller(a, b)``: nan wins."""
    return kinds[0], _extremum(builder, kinds[0], a, b, "llvm.minimum", "<")


def call_address(builder, kinds, address, values):
    """``call_address(address, (a, b, ...))``: a C function of integers and floats, without a result."""
    fn = ir.FunctionType(ir.VoidType(), [v.type for v in values]).as_pointer()
    builder.call(builder.inttoptr(address, fn), list(values))
    return VOID, None


#: What words are called, and families of them that are called with the name of a dtype behind theirs.
WORDS: dict[str, Callable] = {
    f.__name__: f
    for f in (load, load_own, store, at, word, to_float16, add_fast, multiply_fast, larger, smaller, call_address)
}  # fmt: skip
FAMILIES: dict[str, Callable] = {"pointer_": pointer_of, "number_": number_of}
#: Of words the numbers of their arguments that are literals, and of the one that becomes what the pointer points to.
LITERALS: dict[str, tuple[int, ...]] = {"store": (3,), "load_own": (2,)}
ELEMENT = {"store": 2}


def find(name):
    """The word called `name`, or None."""
    found = WORDS.get(name)
    if found is None:
        for family, of in FAMILIES.items():
            if name.startswith(family):
                return of(name[len(family) :])
    return found
