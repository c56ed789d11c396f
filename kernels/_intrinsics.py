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
