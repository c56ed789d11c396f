"""What array kernels read and write: elements behind pointers that may overlap."""

from nbgrad.kernels._intrinsics import Intrinsic, _intrinsic


def _element(pointer):
    return getattr(pointer, "element", None) or pointer.dtype


def _is_boolean(kind):
    return str(kind) == "bool"


@Intrinsic
def get():
    """``get(pointer, index)``: an element."""

    def emit(builder, context, types, pointer, index):
        from llvmlite import ir

        value = builder.load(builder.gep(pointer, [index]))
        if _is_boolean(_element(types[0])):
            return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))
        return value

    return _intrinsic("get", lambda pointer, index: _element(pointer), emit)


@Intrinsic
def put_at():
    """``put_at(pointer, index, value)``: write an element."""

    def emit(builder, context, types, pointer, index, value):
        from llvmlite import ir

        value = context.cast(builder, value, types[2], _element(types[0]))
        if _is_boolean(_element(types[0])):
            value = builder.zext(value, ir.IntType(8))
        builder.store(value, builder.gep(pointer, [index]))

    return _intrinsic("put_at", lambda pointer, index, value: None, emit)
