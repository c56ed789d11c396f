"""The only Numba below this folder's roof: operations that a scalar kernel text needs and Python lacks.

Each is an `Intrinsic`: a name that kernel texts call, and a builder that makes the Numba object when a
kernel is first compiled, so that importing the catalogue does not import Numba.
"""


class Intrinsic:
    """A function that exists only in compiled kernels."""

    __slots__ = ("name", "build", "_built")

    def __init__(self, build):
        self.name, self.build, self._built = build.__name__, build, None

    def compiled(self):
        """The Numba object behind the name."""
        if self._built is None:
            self._built = self.build()
        return self._built

    def __call__(self, *args):
        raise TypeError(f"{self.name}: exists only inside compiled kernels; give the primitive a VJP and a reference")


def _unary(name, of=lambda ty: ty, emit=None):
    """A Numba intrinsic of one argument whose code is `emit(builder, value, type)`."""
    from numba.extending import intrinsic

    def typed(typingctx, x):
        result = of(x)

        def codegen(context, builder, signature, args):
            return emit(context, builder, args[0], x, result)

        return result(x), codegen

    typed.__name__ = name
    return intrinsic(typed)


def _llvm_name(ty):
    return f"f{ty.bitwidth}"


@Intrinsic
def fma():
    """a * b + c with one rounding (needs hardware FMA to be fast)."""
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic
    def fma(typingctx, a, b, c):
        def codegen(context, builder, signature, args):
            double = context.get_value_type(a)
            from llvmlite import ir

            fn = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(double, [double] * 3), f"llvm.fma.{_llvm_name(a)}"
            )
            return builder.call(fn, args)

        return a(a, a, a), codegen

    return fma


@Intrinsic
def round_even():
    """Nearest integral value, ties to even, as a float."""

    def emit(context, builder, value, ty, result):
        fn = builder.module.declare_intrinsic("llvm.rint", [value.type])
        return builder.call(fn, [value])

    return _unary("round_even", emit=emit)


@Intrinsic
def bits():
    """The bit pattern of a float as a signed integer of the same width."""
    from numba.core import types

    return _unary(
        "bits",
        of=lambda ty: types.int64 if ty.bitwidth == 64 else types.int32,
        emit=lambda context, builder, value, ty, result: builder.bitcast(value, context.get_value_type(result)),
    )


@Intrinsic
def from_bits():
    """The float with a given bit pattern."""
    from numba.core import types

    return _unary(
        "from_bits",
        of=lambda ty: types.float64 if ty.bitwidth == 64 else types.float32,
        emit=lambda context, builder, value, ty, result: builder.bitcast(value, context.get_value_type(result)),
    )


def _rounding(name, llvm):
    def emit(context, builder, value, ty, result):
        return builder.call(builder.module.declare_intrinsic(llvm, [value.type]), [value])

    return _unary(name, emit=emit)


@Intrinsic
def round_down():
    """Floor, as a float."""
    return _rounding("round_down", "llvm.floor")


@Intrinsic
def round_up():
    """Ceiling, as a float."""
    return _rounding("round_up", "llvm.ceil")


@Intrinsic
def round_to_zero():
    """Truncation, as a float."""
    return _rounding("round_to_zero", "llvm.trunc")


@Intrinsic
def magnitude():
    """|x| for floats (sign bit cleared, so that vectors stay vectors) and integers."""
    from numba.core import types

    def emit(context, builder, value, ty, result):
        if isinstance(ty, types.Float):
            return builder.call(builder.module.declare_intrinsic("llvm.fabs", [value.type]), [value])
        if not getattr(ty, "signed", False):
            return value
        from llvmlite import ir

        zero = ir.Constant(value.type, 0)
        return builder.select(builder.icmp_signed("<", value, zero), builder.sub(zero, value), value)

    return _unary("magnitude", emit=emit)


def _by_kind(for_floats, for_integers):
    from numba import njit, types
    from numba.extending import overload

    def chosen(x1, x2):
        raise NotImplementedError

    @overload(chosen)
    def choose(x1, x2):
        return for_floats if isinstance(x1, types.Float) else for_integers

    @njit(error_model="numpy")
    def call(x1, x2):
        return chosen(x1, x2)

    return call


@Intrinsic
def c_remainder():
    """NumPy's remainder: sign of the divisor; 0 for an integer divisor 0."""
    import math

    def floats(x1, x2):
        r = math.fmod(x1, x2)
        if r != 0:
            return r + x2 if (r < 0) != (x2 < 0) else r
        return math.copysign(r, x2)

    def integers(x1, x2):
        return x1 - x1 if x2 == 0 else x1 % x2

    return _by_kind(floats, integers)


@Intrinsic
def c_floor_divide():
    """NumPy's floor_divide: exact floor of the quotient, not the floor of the rounded quotient."""
    import math

    def floats(x1, x2):
        if x2 == 0:
            return x1 / x2
        r = math.fmod(x1, x2)
        q = (x1 - r) / x2
        if r != 0 and (r < 0) != (x2 < 0):
            q -= 1
        if q == 0:
            return math.copysign(q - q, x1 / x2)
        f = math.floor(q)
        return f + 1 if q - f > 0.5 else f - 0

    def integers(x1, x2):
        return x1 - x1 if x2 == 0 else x1 // x2

    return _by_kind(floats, integers)


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

    def int_type(self):
        from llvmlite import ir

        return ir.IntType(self.width)

    def integer(self, value):
        from llvmlite import ir

        return ir.Constant(self.int_type(), value)


def _intrinsic(name, of, emit):
    """A Numba intrinsic: `of(*types)` is the result type, `emit(builder, context, types, *values)` the code."""
    from numba.extending import intrinsic

    count = emit.__code__.co_argcount - 3

    def codegen(context, builder, signature, args):
        return emit(builder, context, signature.args, *args)

    def one(typingctx, a):
        return of(a)(a), codegen

    def two(typingctx, a, b):
        return of(a, b)(a, b), codegen

    def three(typingctx, a, b, c):
        return of(a, b, c)(a, b, c), codegen

    typed = (one, two, three)[count - 1]
    typed.__name__ = name
    return intrinsic(typed)


def _function(builder, name, ty, count):
    from llvmlite import ir

    return builder.module.declare_intrinsic(name, [ty], ir.FunctionType(ty, [ty] * count))


def _same(*types):
    return types[0]


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
        return builder.select(context.cast(builder, condition, types[0], _boolean()), a, b)

    return _intrinsic("select", lambda c, a, b: a, emit)


def _boolean():
    from numba import types

    return types.boolean


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


@Intrinsic
def polynomial():
    """c[0] + c[1] x + c[2] x**2 + ..., by Horner's rule with fused multiply-adds."""

    def emit(builder, context, types, x, coefficients):
        from numba.core import cgutils

        *rest, total = cgutils.unpack_tuple(builder, coefficients)
        fused = _function(builder, "llvm.fma", x.type, 3)
        for c in reversed(rest):
            total = builder.call(fused, [total, x, c])
        return total

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

    return _intrinsic("is_odd", lambda k: _boolean(), emit)


@Intrinsic
def is_in_upper_half():
    """True where k mod 4 is 2 or 3, for integral k, |k| < 2**(mantissa - 1)."""

    def emit(builder, context, types, k):
        return _bit_of_integer(builder, _Format(types[0]), k, 1)

    return _intrinsic("is_in_upper_half", lambda k: _boolean(), emit)


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

        symbol, i64 = "nbgrad.two_over_pi", ir.IntType(64)
        data = builder.module.globals.get(symbol)
        if data is None:
            data = ir.GlobalVariable(builder.module, ir.ArrayType(x.type, len(TWO_OVER_PI)), symbol)
            data.initializer = ir.Constant(data.type.pointee, [ir.Constant(x.type, v) for v in TWO_OVER_PI])
            data.linkage, data.global_constant, data.unnamed_addr = "internal", True, True
        start = builder.lshr(_row_of_exponent(builder, x), ir.Constant(i64, 2))
        index = builder.add(start, builder.fptosi(j, i64))
        return builder.load(builder.gep(data, [ir.Constant(i64, 0), index], inbounds=True))

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


def computed_in_double(function, arity):
    """A Numba function that evaluates a kernel text in float64, whatever the type it is given."""
    import numba

    from nbgrad.compile.specialise import specialise

    body = specialise(function, "float64")

    def one(x):
        return numba.float32(body(numba.float64(x)))

    def two(x1, x2):
        return numba.float32(body(numba.float64(x1), numba.float64(x2)))

    return numba.njit(error_model="numpy", no_cpython_wrapper=True, forceinline=True)((one, two)[arity - 1])
