"""Functions for users' own ``@njit`` code: numbers and arrays of Numba in and out, no Python in between."""

import numpy
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, errors
from numba.extending import intrinsic, overload

from nbgrad.compile import abi, native
from nbgrad.errors import ArgumentError
from nbgrad.export import entry
from nbgrad.export.names import identifiers
from nbgrad.runtime import call as calls
from nbgrad.runtime import scratch

_WORD, _ADDRESS = ir.IntType(64), ir.IntType(8).as_pointer()


def made(program, name, into):
    """The Numba function of a `NativeProgram`; with `into` it writes to arrays that it is given."""
    names = identifiers(program.traces.names)
    arguments = [*names, *(f"out{k}" for k in range(len(program.outputs)))] if into else names
    namespace = {
        "entry": _entry(program), "numpy": numpy, "checked": _checked(program, names, into), "program": program,
    }  # fmt: skip
    lines = [f"def {name}({', '.join(arguments)}):", f'    """{_described(program, names)}"""']
    lines.append(f"    checked(({''.join(a + ', ' for a in arguments)}))")
    ready = []
    for a, value in zip(names, program.traces.values, strict=True):
        if value.ndim:
            lines.append(f"    c_{a} = numpy.ascontiguousarray({a})")
        ready.append(f"c_{a}" if value.ndim else a)
    lines += _sizes(program, names)
    outputs = []
    for k, (dtype, shape) in enumerate(zip(program.outputs, program.plan.shapes, strict=True)):
        texts = [f.text(program.names) for f in shape]
        if into:
            for axis, text in enumerate(texts):
                lines.append(f"    if out{k}.shape[{axis}] != {text}:")
                lines.append(f'        raise ValueError("{name}: axis {axis} of out{k} is not as long as the result")')
        elif shape:
            lines.append(f"    out{k} = numpy.empty(({''.join(t + ', ' for t in texts)}), numpy.{dtype})")
        outputs.append(f"out{k}" if shape or into else f"numpy.{dtype}(0)")
    pointers = "".join(f"{a}, " for a in (*ready, *outputs))
    sizes = "".join(f"{n}, " for n in program.names)
    lines.append(f"    made = entry(({pointers}), ({sizes}), {program.space() or 0})")
    lines.append(f"    if made[0] == {entry.WRONG_SIZE}:")
    least = ", ".join(f"{n} >= {m}" for n, m in zip(program.names, program.minima, strict=True))
    lines.append(f'        raise ValueError("{name}: a size is too small; expected {least}")')
    lines.append(f"    if made[0] == {entry.NO_MEMORY}:")
    lines.append(f'        raise MemoryError("{name}: there is no memory for its intermediate values")')
    lines.append(f"    if made[0] == {entry.FAILED}:")
    lines.append(f'        raise RuntimeError("{name}: a kernel of yours raised an exception")')
    if not into:
        scalars = [k for k, shape in enumerate(program.plan.shapes) if not shape]
        text = {k: f"out{k}" for k in range(len(program.outputs))}
        text |= {k: f"made[{1 + n}]" for n, k in enumerate(scalars)}
        lines.append(f"    return {_nest(program, text)}")
    exec(compile("\n".join(lines), f"<{name}>", "exec"), namespace)
    return njit(namespace[name], error_model="numpy")


def _described(program, names):
    """What the function takes and returns."""
    takes = [
        f"{a}: {v.dtype}{_shape(s, program)}"
        for a, v, s in zip(names, program.traces.values, program.shapes(), strict=True)
    ]
    gives = [f"{d}{_shape(s, program)}" for d, s in zip(program.outputs, program.plan.shapes, strict=True)]
    return f"({', '.join(takes)}) -> ({', '.join(gives)})"


def _shape(shape, program):
    return f"[{', '.join(f.text(program.names) for f in shape)}]" if shape else ""


def _sizes(program, names):
    """Lines that find the sizes and check all extents."""
    lines, known = [], {}
    for a, shape in zip(names, program.shapes(), strict=True):
        for axis, extent in enumerate(shape):
            text = extent.text(program.names)
            if not extent.is_constant() and text not in known:
                known[text] = f"axis {axis} of {a}"
                lines.append(f"    {text} = {a}.shape[{axis}]")
                continue
            lines.append(f"    if {a}.shape[{axis}] != {text}:")
            expected = f"as long as {known[text]}" if text in known else f"of extent {text}"
            lines.append(f'        raise ValueError("axis {axis} of {a} is not {expected}")')
    return lines


def _nest(program, text):
    """The results as an expression."""

    def nest(kind, parts):
        values = parts[1::2] if kind == calls.DICT else parts
        return f"({''.join(_text(p, program) + ', ' for p in values)})"

    return _text(program.results.folded(text.__getitem__, _Object, nest), program)


class _Object:
    """A part of the results that is no array."""

    def __init__(self, value):
        self.value = value


def _text(part, program):
    if not isinstance(part, _Object):
        return part
    if not isinstance(part.value, (bool, int, float, type(None))):
        raise ArgumentError(
            f"{program.call}: the function returns {part.value!r}, which code of Numba cannot be handed; return "
            "arrays, numbers, None and tuples of them"
        )
    return repr(part.value)


def _checked(program, names, into):
    """A function that refuses arguments of other types, when the code that calls it is compiled."""
    wanted = [(a, v.dtype, v.ndim) for a, v in zip(names, program.traces.values, strict=True)]
    if into:
        wanted += [
            (f"out{k}", d, len(s)) for k, (d, s) in enumerate(zip(program.outputs, program.plan.shapes, strict=True))
        ]

    def checked(given):
        raise NotImplementedError

    @overload(checked)
    def typed(given):
        for (name, dtype, rank), kind in zip(wanted, given, strict=True):
            what = f"{dtype}{f', {rank}d' if rank else ' number'}"
            element = _numba_type(dtype)
            if isinstance(kind, types.Array):
                good = kind.dtype == element and kind.ndim == rank
                if name.startswith("out") and into and (kind.layout != "C" or not kind.mutable):
                    good, what = False, f"{what}, C-contiguous and writable"
            else:
                good = (
                    not rank
                    and not (into and name.startswith("out"))
                    and isinstance(kind, (types.Number, types.Boolean))
                )
            if not good:
                raise errors.TypingError(
                    f"{program.call}: {name} is {kind}, expected {what}; convert it with .astype(numpy.{dtype}), or "
                    "make the function anew with an example like it"
                )
        return lambda given: None

    return checked


def _entry(program):
    """``entry(arrays and numbers, sizes, bytes)``: (code, the outputs that are numbers)."""
    address, inputs = program.address, len(program.traces.names)
    dtypes = [_numba_type(d) for d in (*(v.dtype for v in program.traces.values), *program.outputs)]
    grab, key = (native.function(scratch.scratch, 3).address, scratch.key()) if program.space() else (0, 0)

    @intrinsic
    def call(typing, operands, sizes, space):
        returned = [k for k, kind in enumerate(operands) if k >= inputs and not isinstance(kind, types.Array)]
        results = types.Tuple([types.int32, *(operands[k] for k in returned)])

        def generate(context, builder, signature, arguments):
            def reach(where, returned_type, taken):  # dynamic: code with it is in no cache of Numba's
                found = context.add_dynamic_addr(builder, where, info="a program of nbgrad")
                return builder.bitcast(found, ir.FunctionType(returned_type, taken).as_pointer())

            values, counts = (cgutils.unpack_tuple(builder, a) for a in arguments[:2])
            pointers, slots = [], {}
            for k, (kind, value) in enumerate(zip(operands, values, strict=True)):
                if isinstance(kind, types.Array):
                    pointers.append(builder.bitcast(context.make_array(kind)(context, builder, value).data, _ADDRESS))
                    continue
                slot = slots[k] = cgutils.alloca_once(builder, context.get_data_type(dtypes[k]))
                context.pack_value(builder, dtypes[k], context.cast(builder, value, kind, dtypes[k]), slot)
                pointers.append(builder.bitcast(slot, _ADDRESS))
            memory = cgutils.alloca_once_value(builder, ir.Constant(_ADDRESS, None))
            if grab:
                with builder.if_then(builder.icmp_signed(">", arguments[2], ir.Constant(_WORD, entry.STACK))):
                    own = builder.call(
                        reach(grab, _WORD, [_WORD] * 3), [ir.Constant(_WORD, key), arguments[2], arguments[2]]
                    )
                    builder.store(builder.inttoptr(own, _ADDRESS), memory)
            kinds = [_ADDRESS] * len(pointers) + [_WORD] * len(counts) + [_ADDRESS]
            function = reach(address, ir.IntType(32), kinds)
            made = [builder.call(function, [*pointers, *counts, builder.load(memory)])]
            made += [context.unpack_value(builder, dtypes[k], slots[k]) for k in returned]
            return context.make_tuple(builder, signature.return_type, made)

        return results(operands, sizes, space), generate

    return call


def _numba_type(dtype):
    return getattr(types, str(dtype)) if dtype.kind == "c" else abi.numba_type(str(dtype))
