"""Operations that a scalar kernel text needs and Python lacks, as LLVM code.

Each is an `Intrinsic`: a name that kernel texts call, and a builder of its `Emission`, which is made when a
kernel is first compiled, so that importing the catalogue imports neither llvmlite nor Numba.
"""


class Intrinsic:
    """A function that exists only in compiled kernels."""

    __slots__ = ("_built", "build", "name")

    def __init__(self, build):
        self.name, self.build, self._built = build.__name__, build, None

    def emission(self):
        """The Emission behind the name."""
        if self._built is None:
            self._built = self.build()
        return self._built

    def compiled(self):
        """The name as a Numba function."""
        return self.emission().numba()

    def __call__(self, *args):
        raise TypeError(f"{self.name}: exists only inside compiled kernels; give the primitive a VJP and a reference")


class Emission:
    """What an intrinsic stands for: LLVM code, or a kernel text evaluated in double precision.

    Attributes
    ----------
    of : callable
        Types of the arguments -> type of the result: one of them, a dtype name, or None for no result.
    emit : callable
        ``emit(builder, context, types, *values) -> value``; types have a ``bitwidth``.
    text : function or None
        A kernel text that is evaluated in float64 whatever its arguments are.
    """

    __slots__ = ("_numba", "arity", "emit", "name", "of", "text")

    def __init__(self, name, of, emit, arity, text=None):
        self.name, self.of, self.emit, self.arity, self.text, self._numba = name, of, emit, arity, text, None

    def numba(self):
        """The emission as a function that Numba-compiled code can call."""
        if self._numba is None:
            self._numba = _widened(self.text, self.arity) if self.text else _as_numba(self)
        return self._numba


def _as_numba(emission):
    from numba import types
    from numba.extending import intrinsic

    def codegen(context, builder, signature, args):
        out = emission.emit(builder, context, signature.args, *args)
        return context.get_dummy_value() if out is None else out

    def result(*kinds):
        kind = emission.of(*kinds)
        kind = (
            types.void
            if kind is None
            else {"bool": types.boolean}.get(kind) or getattr(types, kind)
            if isinstance(kind, str)
            else kind
        )
        return kind(*kinds)

    def none(typingctx):
        return result(), codegen

    def one(typingctx, a):
        return result(a), codegen

    def two(typingctx, a, b):
        return result(a, b), codegen

    def three(typingctx, a, b, c):
        return result(a, b, c), codegen

    def four(typingctx, a, b, c, d):
        return result(a, b, c, d), codegen

    typed = (none, one, two, three, four)[emission.arity]
    typed.__name__ = emission.name
    return intrinsic(typed)


def _widened(text, arity):
    import numba

    from nbgrad.compile.specialise import specialise

    body = specialise(text, "float64")

    def one(x):
        return numba.float32(body(numba.float64(x)))

    def two(x1, x2):
        return numba.float32(body(numba.float64(x1), numba.float64(x2)))

    return numba.njit(error_model="numpy", no_cpython_wrapper=True, forceinline=True)((one, two)[arity - 1])


def computed_in_double(function, arity):
    """A kernel text evaluated in float64, whatever the type it is given."""
    return Emission(function.__name__, None, None, arity, function)


def _intrinsic(name, of, emit):
    """An Emission: `of(*types)` is the result type, `emit(builder, context, types, *values)` the code."""
    return Emission(name, of, emit, emit.__code__.co_argcount - 3)


def _same(*types):
    return types[0]


def _one_to_one(name, llvm):
    """An LLVM intrinsic of one float."""

    def emit(builder, context, types, x):
        return builder.call(builder.module.declare_intrinsic(llvm, [x.type]), [x])

    return _intrinsic(name, _same, emit)


@Intrinsic
def fma():
    """a * b + c with one rounding (needs hardware FMA to be fast)."""

    def emit(builder, context, types, a, b, c):
        return builder.call(_function(builder, "llvm.fma", a.type, 3), [a, b, c])

    return _intrinsic("fma", _same, emit)


@Intrinsic
def bits():
    """The bit pattern of a float as a signed integer of the same width."""
    return _intrinsic(
        "bits",
        lambda ty: f"int{ty.bitwidth}",
        lambda builder, context, types, x: builder.bitcast(x, _Format(types[0]).int_type()),
    )


@Intrinsic
def from_bits():
    """The float with a given bit pattern."""

    def emit(builder, context, types, x):
        from llvmlite import ir

        return builder.bitcast(x, ir.DoubleType() if types[0].bitwidth == 64 else ir.FloatType())

    return _intrinsic("from_bits", lambda ty: f"float{ty.bitwidth}", emit)


@Intrinsic
def round_even():
    """Nearest integral value, ties to even, as a float."""
    return _one_to_one("round_even", "llvm.rint")


@Intrinsic
def round_down():
    """Floor, as a float."""
    return _one_to_one("round_down", "llvm.floor")


@Intrinsic
def round_up():
    """Ceiling, as a float."""
    return _one_to_one("round_up", "llvm.ceil")


@Intrinsic
def round_to_zero():
    """Truncation, as a float."""
    return _one_to_one("round_to_zero", "llvm.trunc")


def _is_float(value):
    from llvmlite import ir

    return isinstance(value.type, (ir.DoubleType, ir.FloatType))


@Intrinsic
def magnitude():
    """|x| for floats (sign bit cleared, so that vectors stay vectors) and integers."""

    def emit(builder, context, types, x):
        from llvmlite import ir

        if _is_float(x):
            return builder.call(builder.module.declare_intrinsic("llvm.fabs", [x.type]), [x])
        if not types[0].signed:
            return x
        zero = ir.Constant(x.type, 0)
        return builder.select(builder.icmp_signed("<", x, zero), builder.sub(zero, x), x)

    return _intrinsic("magnitude", _same, emit)


def _quotient_and_rest(builder, signed, a, b):
    """Integer a // b and a - (a // b) b, the quotient rounded down; 0 and 0 for b = 0.

    The machine's division traps for b = 0 and for the smallest number over -1, so those never reach it.
    """
    from llvmlite import ir

    zero, one = ir.Constant(a.type, 0), ir.Constant(a.type, 1)
    none = builder.icmp_unsigned("==", b, zero)
    if not signed:
        divisor = builder.select(none, one, b)
        q, r = builder.udiv(a, divisor), builder.urem(a, divisor)
    else:
        flipped = builder.icmp_signed("==", b, ir.Constant(a.type, -1))
        divisor = builder.select(builder.or_(none, flipped), one, b)
        q, r = builder.sdiv(a, divisor), builder.srem(a, divisor)
        down = builder.and_(builder.icmp_signed("!=", r, zero), builder.icmp_signed("<", builder.xor(r, divisor), zero))
        q = builder.select(down, builder.sub(q, one), q)
        r = builder.select(down, builder.add(r, divisor), r)
        q = builder.select(flipped, builder.sub(zero, a), q)
    return builder.select(none, zero, q), builder.select(none, zero, r)


def _float_rest(builder, a, b):
    """(fmod(a, b) with the sign of b, fmod(a, b), whether that moved it)."""
    from llvmlite import ir

    zero = ir.Constant(a.type, 0.0)
    r = builder.frem(a, b)
    differ = builder.xor(builder.fcmp_ordered("<", r, zero), builder.fcmp_ordered("<", b, zero))
    moved = builder.and_(builder.fcmp_ordered("!=", r, zero), differ)
    signed_zero = builder.call(_function(builder, "llvm.copysign", a.type, 2), [r, b])
    exact = builder.select(builder.fcmp_ordered("==", r, zero), signed_zero, r)
    return builder.select(moved, builder.fadd(r, b), exact), r, moved


@Intrinsic
def c_remainder():
    """NumPy's remainder: sign of the divisor; 0 for an integer divisor 0."""

    def emit(builder, context, types, a, b):
        if _is_float(a):
            return _float_rest(builder, a, b)[0]
        return _quotient_and_rest(builder, types[0].signed, a, b)[1]

    return _intrinsic("c_remainder", _same, emit)


@Intrinsic
def c_floor_divide():
    """NumPy's floor_divide: exact floor of the quotient, not the floor of the rounded quotient."""

    def emit(builder, context, types, a, b):
        if not _is_float(a):
            return _quotient_and_rest(builder, types[0].signed, a, b)[0]
        from llvmlite import ir

        zero, one = ir.Constant(a.type, 0.0), ir.Constant(a.type, 1.0)
        plain = builder.fdiv(a, b)
        _, rest, moved = _float_rest(builder, a, b)
        q = builder.fdiv(builder.fsub(a, rest), b)
        q = builder.select(moved, builder.fsub(q, one), q)
        f = builder.call(builder.module.declare_intrinsic("llvm.floor", [a.type]), [q])
        near = builder.fcmp_ordered(">", builder.fsub(q, f), ir.Constant(a.type, 0.5))
        f = builder.select(near, builder.fadd(f, one), f)
        signed_zero = builder.call(_function(builder, "llvm.copysign", a.type, 2), [zero, plain])
        f = builder.select(builder.fcmp_ordered("==", q, zero), signed_zero, f)
        return builder.select(builder.fcmp_ordered("==", b, zero), plain, f)

    return _intrinsic("c_floor_divide", _same, emit)


def _shift(name, shifted, beyond):
    def emit(builder, context, types, x, n):
        from llvmlite import ir

        width = types[0].bitwidth
        inside = builder.icmp_unsigned("<", n, ir.Constant(n.type, width))
        by = builder.select(inside, n, ir.Constant(n.type, 0))
        return builder.select(
            inside, shifted(builder, types[0].signed, x, by), beyond(builder, types[0].signed, x, width)
        )

    return _intrinsic(name, _same, emit)


@Intrinsic
def c_left_shift():
    """x << n; 0 where n is negative or at least the width, as NumPy."""
    from llvmlite import ir

    return _shift("c_left_shift", lambda b, signed, x, n: b.shl(x, n), lambda b, signed, x, w: ir.Constant(x.type, 0))


@Intrinsic
def c_right_shift():
    """x >> n; the sign everywhere where n is negative or at least the width, as NumPy."""
    from llvmlite import ir

    def beyond(builder, signed, x, width):
        return builder.ashr(x, ir.Constant(x.type, width - 1)) if signed else ir.Constant(x.type, 0)

    return _shift("c_right_shift", lambda b, signed, x, n: b.ashr(x, n) if signed else b.lshr(x, n), beyond)


# --- what the transcendental kernels are built from ---------------------------------------------------
#
# All of them are select, shift, add and fused multiply-add on one value, so LLVM turns a loop over any of
# them into vector code.  Integers are only ever as wide as the float they came from.


class _Format:
    """The numbers of an IEEE binary format that bit manipulation needs."""

    def __init__(self, ty):
        self.width = ty.bitwidth
        self.mantissa = 52 if self.width == 64 else 23
        self.bias = 1023 if self.width == 64 else 127
        self.magic = 1.5 * 2.0**self.mantissa  # x + magic holds the integer x in its low mantissa bits
        self.magic_low = 0 if self.width == 64 else 0x4B400000  # the low 32 bits of magic itself

    def int_type(self):
        from llvmlite import ir

        return ir.IntType(self.width)

    def integer(self, value):
        from llvmlite import ir

        return ir.Constant(self.int_type(), value)


def _function(builder, name, ty, count):
    from llvmlite import ir

    return builder.module.declare_intrinsic(name, [ty], ir.FunctionType(ty, [ty] * count))


def _strict(builder, operation, a, b):
    # Numba marks unmarked operations `contract`; a mark that means nothing for a sum keeps this one exact.
    return getattr(builder, operation)(a, b, flags=("arcp",))


@Intrinsic
def exact_add():
    """a + b, never contracted into a fused multiply-add: for error-free transformations."""
    return _intrinsic("exact_add", _same, lambda builder, context, types, a, b: _strict(builder, "fadd", a, b))


@Intrinsic
def exact_subtract():
    """a - b, never contracted."""
    return _intrinsic("exact_subtract", _same, lambda builder, context, types, a, b: _strict(builder, "fsub", a, b))


@Intrinsic
def exact_multiply():
    """a * b, never contracted."""
    return _intrinsic("exact_multiply", _same, lambda builder, context, types, a, b: _strict(builder, "fmul", a, b))


@Intrinsic
def select():
    """a if c else b, with both evaluated: never a branch."""

    def emit(builder, context, types, condition, a, b):
        return builder.select(condition, a, b)

    return _intrinsic("select", lambda c, a, b: a, emit)


@Intrinsic
def with_sign():
    """|a| with the sign bit of b."""

    def emit(builder, context, types, a, b):
        return builder.call(_function(builder, "llvm.copysign", a.type, 2), [a, b])

    return _intrinsic("with_sign", _same, emit)


@Intrinsic
def square_root():
    """Correctly rounded square root."""

    def emit(builder, context, types, a):
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [a.type]), [a])

    return _intrinsic("square_root", _same, emit)


def _elements(builder, values):
    """The values of a tuple, which Numba packs into one."""
    if isinstance(values, (list, tuple)):
        return values
    return [builder.extract_value(values, k) for k in range(len(values.type.elements))]


@Intrinsic
def polynomial():
    """c[0] + c[1] x + c[2] x**2 + ..., by Horner's rule with fused multiply-adds.

    Long ones go in two chains, of even and of odd powers: a processor looks ahead less far than one chain lasts.
    """

    def emit(builder, context, types, x, coefficients):
        coefficients = _elements(builder, coefficients)
        fused = _function(builder, "llvm.fma", x.type, 3)

        def horner(x, coefficients):
            *rest, total = coefficients
            for c in reversed(rest):
                total = builder.call(fused, [total, x, c])
            return total

        if len(coefficients) < 7:
            return horner(x, coefficients)
        square = builder.fmul(x, x)
        return builder.call(fused, [horner(square, coefficients[1::2]), x, horner(square, coefficients[::2])])

    return _intrinsic("polynomial", _same, emit)


@Intrinsic
def by_precision():
    """The first argument in float64 kernels, the second in float32 kernels: for constants and coefficients."""

    def wide(ty):
        return getattr(ty, "dtype", ty).bitwidth == 64

    def emit(builder, context, types, a, b):
        return a if wide(types[0]) else b

    return _intrinsic("by_precision", lambda a, b: a if wide(a) else b, emit)


def _power_bits(builder, form, k):
    from llvmlite import ir

    shifted = _strict(builder, "fadd", k, ir.Constant(k.type, form.magic))
    exponent = builder.add(builder.bitcast(shifted, form.int_type()), form.integer(form.bias))
    return builder.shl(exponent, form.integer(form.mantissa))  # what stood above the exponent is shifted out


@Intrinsic
def power_of_two():
    """2**k for integral k in the range of normal exponents (garbage outside)."""

    def emit(builder, context, types, k):
        return builder.bitcast(_power_bits(builder, _Format(types[0]), k), k.type)

    return _intrinsic("power_of_two", _same, emit)


#: The feature of a CPU that multiplies vectors of floats by powers of two in one instruction (scalef).
_SCALING = "avx512f"


@Intrinsic
def times_power_of_two():
    """y * 2**k, rounded once, for integral k up to twice the range of exponents."""
    from nbgrad.compile import cpu

    def in_one_step(builder, context, types, y, k):
        return _scaled(builder, _Format(types[0]), y, k)

    def in_two_steps(builder, context, types, y, k):  # the first is exact
        for step in _two_powers(builder, _Format(types[0]), k):
            y = builder.fmul(y, step)
        return y

    return _intrinsic("times_power_of_two", _same, in_one_step if cpu.has(_SCALING) else in_two_steps)


@Intrinsic
def successor_times_power_of_two():
    """(1 + x) * 2**k, rounded once, for integral k up to twice the range of exponents."""
    from nbgrad.compile import cpu

    def in_two_steps(builder, context, types, x, k):
        first, second = _two_powers(builder, _Format(types[0]), k)
        return builder.fmul(builder.call(_function(builder, "llvm.fma", x.type, 3), [x, first, first]), second)

    def in_one_step(builder, context, types, x, k):
        from llvmlite import ir

        return _scaled(builder, _Format(types[0]), builder.fadd(x, ir.Constant(x.type, 1.0)), k)

    return _intrinsic("successor_times_power_of_two", _same, in_one_step if cpu.has(_SCALING) else in_two_steps)


def _scaled(builder, form, y, k):
    """y * 2**k in one instruction."""
    from llvmlite import ir

    word = ir.IntType(32)
    pattern = builder.bitcast(_strict(builder, "fadd", k, ir.Constant(k.type, form.magic)), form.int_type())
    steps = pattern if form.width == 32 else builder.trunc(pattern, word)
    bias = ir.Constant(word, form.magic_low)
    ty = ir.FunctionType(y.type, [y.type, word])
    scaled = builder.module.declare_intrinsic("llvm.ldexp", [y.type, word], ty)
    return builder.call(scaled, [y, builder.sub(steps, bias)])


def _two_powers(builder, form, k):
    """Two normal powers of two whose product is 2**k."""
    from llvmlite import ir

    one, mantissa = form.integer(1), form.integer(form.mantissa)
    biased = ir.Constant(k.type, form.magic + 2 * form.bias)
    whole = builder.bitcast(_strict(builder, "fadd", k, biased), form.int_type())  # k + 2 bias in its low bits
    half = builder.lshr(whole, one)
    for exponent in (half, builder.sub(whole, half)):
        yield builder.bitcast(builder.shl(exponent, mantissa), k.type)


@Intrinsic
def nearest_multiple():
    """The integer nearest to x / y as a float, for 1 / y and a quotient below 2**(mantissa - 2)."""

    def emit(builder, context, types, x, inverse):
        from llvmlite import ir

        magic = ir.Constant(x.type, _Format(types[0]).magic)
        moved = builder.call(_function(builder, "llvm.fma", x.type, 3), [x, inverse, magic])
        return _strict(builder, "fsub", moved, magic)

    return _intrinsic("nearest_multiple", _same, emit)


@Intrinsic
def exponent_of():
    """The integer e, as a float, with 2**(e - 1/2) <= x < 2**(e + 1/2), for normal positive x."""

    def emit(builder, context, types, x):
        return _split(builder, _Format(types[0]), x)[0]

    return _intrinsic("exponent_of", _same, emit)


@Intrinsic
def mantissa_of():
    """x / 2**exponent_of(x), in [sqrt(1/2), sqrt(2)), for normal positive x."""

    def emit(builder, context, types, x):
        return _split(builder, _Format(types[0]), x)[1]

    return _intrinsic("mantissa_of", _same, emit)


def _split(builder, form, x):
    from llvmlite import ir

    root_half = 0x3FE6A09E667F3BCD if form.width == 64 else 0x3F3504F3
    mask = (1 << form.mantissa) - 1
    moved = builder.sub(builder.bitcast(x, form.int_type()), form.integer(root_half))
    # biased, so that a logical shift will do: vectors of int64 have no arithmetic one before AVX-512
    biased = builder.lshr(builder.add(moved, form.integer(form.bias << form.mantissa)), form.integer(form.mantissa))
    magic_bits = (form.bias + form.mantissa) << form.mantissa  # 2**mantissa: an integer or-ed in is added
    whole = builder.bitcast(builder.or_(biased, form.integer(magic_bits)), x.type)
    e = _strict(builder, "fsub", whole, ir.Constant(x.type, 2.0**form.mantissa + form.bias))
    m = builder.add(builder.and_(moved, form.integer(mask)), form.integer(root_half))
    return e, builder.bitcast(m, x.type)


@Intrinsic
def is_odd():
    """True for odd integral k, |k| < 2**(mantissa - 1)."""

    def emit(builder, context, types, k):
        return _bit_of_integer(builder, _Format(types[0]), k, 0)

    return _intrinsic("is_odd", lambda k: "bool", emit)


@Intrinsic
def is_in_upper_half():
    """True where k mod 4 is 2 or 3, for integral k, |k| < 2**(mantissa - 1)."""

    def emit(builder, context, types, k):
        return _bit_of_integer(builder, _Format(types[0]), k, 1)

    return _intrinsic("is_in_upper_half", lambda k: "bool", emit)


def _bit_of_integer(builder, form, k, bit):
    from llvmlite import ir

    pattern = builder.bitcast(_strict(builder, "fadd", k, ir.Constant(k.type, form.magic)), form.int_type())
    return builder.icmp_unsigned("!=", builder.and_(pattern, form.integer(1 << bit)), form.integer(0))


@Intrinsic
def flip_sign():
    """x with its sign bit flipped where the sign bit of s is set."""

    def emit(builder, context, types, x, s):
        form = _Format(types[0])
        sign = builder.and_(builder.bitcast(s, form.int_type()), form.integer(1 << (form.width - 1)))
        return builder.bitcast(builder.xor(builder.bitcast(x, form.int_type()), sign), x.type)

    return _intrinsic("flip_sign", _same, emit)


@Intrinsic
def smallest_normal():
    """The smallest normal positive number of x's format."""

    def emit(builder, context, types, x):
        from llvmlite import ir

        return ir.Constant(x.type, 2.0 ** (1 - _Format(types[0]).bias))

    return _intrinsic("smallest_normal", _same, emit)


def _row_of_exponent(builder, x):
    """16 g for the row g that serves x: rows start at 2**20 and are 16 exponents high."""
    from llvmlite import ir

    i64 = ir.IntType(64)
    biased = builder.and_(builder.lshr(builder.bitcast(x, i64), ir.Constant(i64, 52)), ir.Constant(i64, 0x7FF))
    floor = ir.Constant(i64, 1023 + 20)
    above = builder.select(builder.icmp_unsigned("<", biased, floor), floor, biased)
    return builder.and_(builder.sub(above, floor), ir.Constant(i64, 0x7F0))


@Intrinsic
def two_over_pi_part():
    """Part j of the 2 / pi that a float64 x of this exponent is to be multiplied with: see `trigonometric`."""
    from nbgrad.kernels._polynomials import TWO_OVER_PI

    def emit(builder, context, types, x, j):
        from llvmlite import ir

        from nbgrad.compile.words import mark

        symbol, i64 = "nbgrad.two_over_pi", ir.IntType(64)
        data = builder.module.globals.get(symbol)
        if data is None:
            data = ir.GlobalVariable(builder.module, ir.ArrayType(x.type, len(TWO_OVER_PI)), symbol)
            data.initializer = ir.Constant(data.type.pointee, [ir.Constant(x.type, v) for v in TWO_OVER_PI])
            data.linkage, data.global_constant, data.unnamed_addr = "internal", True, True
        start = builder.lshr(_row_of_exponent(builder, x), ir.Constant(i64, 2))
        index = builder.add(start, builder.fptosi(j, i64))
        part = builder.load(builder.gep(data, [ir.Constant(i64, 0), index], inbounds=True))
        mark(builder, part, 0)  # no output overlaps the table, so the loop stays vector code
        return part

    return _intrinsic("two_over_pi_part", _same, emit)


def _selected_part(name, table):
    """The same for an x that came from a float32: so few rows that selects beat loads."""

    def emit(builder, context, types, x):
        from llvmlite import ir

        row = _row_of_exponent(builder, x)
        part = ir.Constant(x.type, table[0])
        for g, value in enumerate(table[1:], start=1):
            beyond = builder.icmp_signed(">", row, ir.Constant(ir.IntType(64), 16 * g - 1))
            part = builder.select(beyond, ir.Constant(x.type, value), part)
        return part

    return _intrinsic(name, _same, emit)


@Intrinsic
def two_over_pi_high_32():
    """The first part of two that a float64 x which came from a float32 is to be multiplied with."""
    from nbgrad.kernels._polynomials import TWO_OVER_PI_32

    return _selected_part("two_over_pi_high_32", TWO_OVER_PI_32[::2])


@Intrinsic
def two_over_pi_low_32():
    """The second part of them."""
    from nbgrad.kernels._polynomials import TWO_OVER_PI_32

    return _selected_part("two_over_pi_low_32", TWO_OVER_PI_32[1::2])


@Intrinsic
def lowered_exponent():
    """x / 2**(16 g), g being the row of `two_over_pi_part`."""

    def emit(builder, context, types, x):
        from llvmlite import ir

        i64 = ir.IntType(64)
        down = builder.shl(_row_of_exponent(builder, x), ir.Constant(i64, 52))
        return builder.bitcast(builder.sub(builder.bitcast(x, i64), down), x.type)

    return _intrinsic("lowered_exponent", _same, emit)
