"""Translate: emitted source and kernel texts straight to LLVM IR.

The texts are a small part of Python: assignments, ``for ... in range``, ``while``, ``if``, arithmetic,
comparisons, calls of words, intrinsics and other kernels.  All of it is valid Numba source, and Numba gives
the same results; but Numba's front end takes ten times as long as LLVM itself for such a kernel, and its
import half a second.  A text that uses more of Python than this is `Unsupported`, and Numba compiles it.
"""

import ast
import math
import types as python_types

from llvmlite import ir

from nbgrad import counterparts
from nbgrad.compile import texts, words
from nbgrad.compile.source import APART
from nbgrad.compile.words import BOOL, INT64, KINDS, VOID, Kind, Pointer
from nbgrad.kernels._block import Word
from nbgrad.primitive import Primitive, _find


class Unsupported(Exception):
    """A text uses more of Python than is translated here."""


class Value:
    """An LLVM value with its kind; a literal keeps its number."""

    __slots__ = ("constant", "ir", "kind")

    def __init__(self, kind, value, constant=None):
        self.kind, self.ir, self.constant = kind, value, constant


class Tuple(tuple):
    """Several values; `dtype` and `bitwidth` are those of its elements."""

    __slots__ = ()

    @property
    def dtype(self):
        """Kind of the first element."""
        return self[0].kind


_FLAGS = ("contract",)
_FLOAT = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_INTEGER = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}
#: Operators of floats that are primitives of their own.
_PRIMITIVES = {ast.Pow: "power", ast.FloorDiv: "floor_divide", ast.Mod: "remainder"}
#: Integer powers up to which they are products.
HIGHEST_POWER = 4
_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_MATH = {"sqrt": "llvm.sqrt", "fabs": "llvm.fabs", "floor": "llvm.floor", "ceil": "llvm.ceil", "trunc": "llvm.trunc"}
LIBM = ("exp", "log", "log1p", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "erf",
         "erfc", "lgamma", "pow", "atan2", "fmod", "hypot", "copysign", "log2", "log10", "exp2", "cbrt")  # fmt: skip

_trees = {}


def _parsed(function):
    """The definition of a Python function as a tree; parsed once."""
    found = _trees.get(function)
    if found is None:
        try:
            found, _ = texts.parsed(function)
        except OSError as error:
            raise Unsupported(f"no source text: {error}") from None
        _trees[function] = found
    return found


def kernel(source, functions, symbol, target="cpu", own=None):
    """LLVM IR of an emitted kernel, exported as ``void symbol(int64*, int64, int64)``.

    `functions` maps names in the source to (Python function, dtype name); `target` is ``"cpu"`` or ``"cuda"``; `own`
    are words by name that come before those of `nbgrad.compile.words`.
    """
    definition = ast.parse(source).body[0]
    module, builder, arguments = _module(
        symbol, ir.VoidType(), [ir.IntType(64).as_pointer(), ir.IntType(64), ir.IntType(64)]
    )
    module.nbgrad_target, module.nbgrad_words = target, own or {}
    args, start, stop = arguments
    given = {"args": Value(words.POINTERS["int64"], args), "start": Value(INT64, start), "stop": Value(INT64, stop)}
    scope = _Scope(builder, definition, "int64", functions, {})
    if target == "cpu":
        scope.flags = ()
    scope.run(given)
    builder.ret_void()
    return module


def function(text, count, symbol):
    """LLVM IR of a Python function of `count` 64-bit integers that returns one, exported as `symbol`."""
    module, builder, arguments = _module(symbol, ir.IntType(64), [ir.IntType(64)] * count)
    result = call_text(builder, text, "int64", [Value(INT64, a) for a in arguments])
    builder.ret(result.ir)
    return module


def scalars(source, functions, symbol, parameters, results, target="cpu"):
    """LLVM IR of an emitted function of scalars, exported as `symbol`, which returns one scalar or several.

    `parameters` and `results` are names of dtypes; the source returns a tuple.  Booleans are passed as bytes, several
    results as an array where they are of one kind and as a structure otherwise: so Numba takes them, too.
    """
    definition = ast.parse(source).body[0]
    memory = lambda name: ir.IntType(8) if name == "bool" else KINDS[name].ir  # noqa: E731
    fields = [memory(r) for r in results]
    alike = all(f == fields[0] for f in fields)
    several = ir.ArrayType(fields[0], len(fields)) if alike else ir.LiteralStructType(fields)
    returned = fields[0] if len(fields) == 1 else several
    module, builder, arguments = _module(symbol, returned, [memory(p) for p in parameters])
    module.nbgrad_target = target
    given = {
        a.arg: Value(KINDS[p], words.in_register(builder, KINDS[p], value))
        for a, p, value in zip(definition.args.args, parameters, arguments, strict=True)
    }
    scope = _Scope(builder, definition, "int64", functions, {})
    made = scope.run(given)
    values = [
        words.in_memory(builder, KINDS[r], scope._cast(v, KINDS[r]).ir) for r, v in zip(results, made, strict=True)
    ]
    whole = values[0]
    if len(values) > 1:
        whole = ir.Constant(returned, ir.Undefined)
        for k, value in enumerate(values):
            whole = builder.insert_value(whole, value, k)
    builder.ret(whole)
    return module


def _module(symbol, returned, arguments):
    module = ir.Module(symbol)
    outer = ir.Function(module, ir.FunctionType(returned, arguments), symbol)
    return module, ir.IRBuilder(outer.append_basic_block("entry")), outer.args


def call_text(builder, text, dtype, arguments):
    """Expand a kernel text in place; its literals get `dtype`."""
    definition = _parsed(text)
    names = [a.arg for a in definition.args.args]
    if len(names) != len(arguments):
        raise Unsupported(f"{text.__name__} takes {len(names)} arguments, got {len(arguments)}")
    scope = _Scope(builder, definition, dtype, {}, texts.outside(text))
    return scope.run(dict(zip(names, arguments, strict=True)))


class _Scope:
    """The body of one function while it is expanded."""

    def __init__(self, builder, definition, dtype, functions, namespace):
        self.builder, self.definition, self.dtype = builder, definition, dtype
        self.functions, self.namespace = functions, namespace
        self.values, self.slots, self.flags = {}, {}, _FLAGS
        branching = any(isinstance(n, (ast.For, ast.While, ast.If)) for n in ast.walk(definition))
        self.assigned = _assigned(definition) if branching else frozenset()
        self.exit = self.result = None
        self.branching = branching

    def run(self, given):
        """Expand the body with these arguments; returns its result."""
        for name, value in given.items():
            if name in self.assigned:
                self._set(name, value)
            else:
                self.values[name] = value
        if self.branching:
            self.exit = self.builder.append_basic_block("exit")
        self._block(self.definition.body)
        if self.branching:
            if not self.builder.block.is_terminated:
                self.builder.branch(self.exit)
            self.builder.position_at_end(self.exit)
            if isinstance(self.result, dict):
                return Value(self.result["kind"], self.builder.load(self.result["slot"]))
            return None
        return self.result

    # ------------------------------------------------------------ statements

    def _block(self, statements):
        for statement in statements:
            if self.builder.block.is_terminated:
                return
            handler = getattr(self, "_" + type(statement).__name__, None)
            if handler is None:
                raise Unsupported(f"{type(statement).__name__} in {self.definition.name}")
            handler(statement)

    def _Pass(self, node):
        pass

    def _Expr(self, node):
        if not isinstance(node.value, ast.Constant):
            self.value(node.value)

    def _Return(self, node):
        result = self.value(node.value) if node.value else None
        if not self.branching:
            self.result = result
            return
        if result is not None:
            if isinstance(result, Tuple):
                raise Unsupported("a tuple returned from a branch")
            if self.result is None:
                self.result = {"kind": result.kind, "slot": self._alloca(result.kind)}
            self.builder.store(self._kept(result, self.result["kind"]).ir, self.result["slot"])
        self.builder.branch(self.exit)

    def _Assign(self, node):
        (target,) = node.targets
        self._bind(target, self.value(node.value))

    def _AugAssign(self, node):
        left = self.value(ast.Name(id=node.target.id, ctx=ast.Load()))
        self._bind(node.target, self._binary(type(node.op), left, self.value(node.value)))

    def _bind(self, target, value):
        if isinstance(target, ast.Tuple):
            if not isinstance(value, Tuple) or len(value) != len(target.elts):
                raise Unsupported("unpacking")
            for t, v in zip(target.elts, value, strict=True):
                self._bind(t, v)
        elif isinstance(target, ast.Name):
            self._set(target.id, value)
        else:
            raise Unsupported("an assignment to an element")

    def _set(self, name, value):
        if name not in self.assigned or isinstance(value, Tuple):
            self.values[name] = value
            return
        slot = self.slots.get(name)
        if slot is None:
            slot = self.slots[name] = value.kind, self._alloca(value.kind)
        kind, pointer = slot
        self.builder.store(self._kept(value, kind).ir, pointer)

    def _kept(self, value, kind):
        """A value as the kind that the first one of the same name had."""
        if getattr(value.kind, "is_float", False) and not kind.is_float:
            raise Unsupported("a float where there was an integer first")
        return self._cast(value, kind)

    def _alloca(self, kind):
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind.ir)

    def _For(self, node):
        call = node.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"):
            raise Unsupported("a loop over something else than range")
        bounds = [self._integer(self.value(a)) for a in call.args]
        start, stop, step = (
            (ir.Constant(ir.IntType(64), 0), bounds[0], None)
            if len(bounds) == 1
            else (*bounds, None)[:3]
            if len(bounds) == 2
            else bounds
        )
        b = self.builder
        counter = self._alloca(INT64)
        b.store(start, counter)
        head, body, end = (b.append_basic_block(n) for n in ("for", "do", "done"))
        b.branch(head)
        b.position_at_end(head)
        now = b.load(counter)
        b.cbranch(b.icmp_signed("<", now, stop), body, end)
        b.position_at_end(body)
        self._bind(node.target, Value(INT64, now))
        self._block(node.body)
        if not b.block.is_terminated:
            b.store(b.add(now, step if step is not None else ir.Constant(ir.IntType(64), 1), flags=("nsw",)), counter)
            b.branch(head)
        b.position_at_end(end)

    def _While(self, node):
        b = self.builder
        head, body, end = (b.append_basic_block(n) for n in ("while", "do", "done"))
        b.branch(head)
        b.position_at_end(head)
        b.cbranch(self._truth(self.value(node.test)), body, end)
        b.position_at_end(body)
        self._block(node.body)
        if not b.block.is_terminated:
            b.branch(head)
        b.position_at_end(end)

    def _If(self, node):
        b = self.builder
        then, other, end = (b.append_basic_block(n) for n in ("then", "else", "end"))
        b.cbranch(self._truth(self.value(node.test)), then, other)
        for block, statements in ((then, node.body), (other, node.orelse)):
            b.position_at_end(block)
            self._block(statements)
            if not b.block.is_terminated:
                b.branch(end)
        b.position_at_end(end)

    # ------------------------------------------------------------ expressions

    def value(self, node):
        """The Value (or Tuple) of an expression."""
        handler = getattr(self, "_" + type(node).__name__, None)
        if handler is None:
            raise Unsupported(f"{type(node).__name__} in {self.definition.name}")
        return handler(node)

    def _Constant(self, node):
        return self._literal(node.value)

    def _literal(self, number):
        if isinstance(number, bool):
            return Value(BOOL, ir.Constant(ir.IntType(1), int(number)), number)
        if not isinstance(number, (int, float)):
            raise Unsupported(f"the literal {number!r}")
        kind = KINDS[self.dtype]
        if not kind.is_float and isinstance(number, float):
            kind = KINDS["float64"]
        if kind.is_float:
            return Value(kind, ir.Constant(kind.ir, _rounded(number, kind)), number)
        if not -(1 << 63) <= number < (1 << 64):
            raise Unsupported("a large literal")
        return Value(kind, ir.Constant(kind.ir, number), number)

    def _Name(self, node):
        if node.id in self.slots:
            kind, slot = self.slots[node.id]
            return Value(kind, self.builder.load(slot))
        if node.id in self.values:
            return self.values[node.id]
        if node.id in self.namespace:
            return self._global(self.namespace[node.id])
        raise Unsupported(f"the name {node.id}")

    def _global(self, value):
        if isinstance(value, tuple):
            return Tuple(self._global(v) for v in value)
        return self._literal(value)

    def _Tuple(self, node):
        return Tuple(self.value(e) for e in node.elts)

    def _Subscript(self, node):
        whole = self.value(node.value)
        if not isinstance(whole, Tuple) or not isinstance(node.slice, ast.Constant):
            raise Unsupported("an index")
        return whole[node.slice.value]

    def _UnaryOp(self, node):
        x, b = self.value(node.operand), self.builder
        if isinstance(node.op, ast.Not):
            return Value(BOOL, b.not_(self._truth(x)))
        if isinstance(node.op, ast.UAdd):
            return x
        if isinstance(node.op, ast.Invert):
            return Value(x.kind, b.not_(x.ir))
        if x.constant is not None:
            return Value(x.kind, ir.Constant(x.kind.ir, _rounded(-x.constant, x.kind)), -x.constant)
        return Value(x.kind, b.fneg(x.ir) if x.kind.is_float else b.neg(x.ir))

    def _BinOp(self, node):
        return self._binary(type(node.op), self.value(node.left), self.value(node.right))

    def _binary(self, op, left, right):
        kind = self._common(left, right)
        if op is ast.Div and not kind.is_float:
            kind = KINDS["float64"]
        if kind.is_float and op is ast.Pow and right.constant in range(2, HIGHEST_POWER + 1):
            product = left
            for _ in range(int(right.constant) - 1):
                product = self._binary(ast.Mult, product, left)
            return product
        if kind.is_float and op in _PRIMITIVES:
            return self._counterpart(_find(_PRIMITIVES[op]), [left, right])
        a, c, b = self._cast(left, kind).ir, self._cast(right, kind).ir, self.builder
        if kind.is_float:
            if op not in _FLOAT:
                raise Unsupported(f"{op.__name__} of floats")
            return Value(kind, getattr(b, _FLOAT[op])(a, c, flags=self.flags))
        if op in _INTEGER:
            return Value(kind, getattr(b, _INTEGER[op])(a, c))
        if op is ast.LShift:
            return Value(kind, b.shl(a, c))
        if op is ast.RShift:
            return Value(kind, (b.ashr if kind.signed else b.lshr)(a, c))
        if op in (ast.FloorDiv, ast.Mod):
            return Value(kind, self._floor(op, kind, a, c))
        raise Unsupported(f"{op.__name__} of integers")

    def _floor(self, op, kind, a, c):
        """Python's // and %: the quotient is rounded down, the remainder has the sign of the divisor."""
        b = self.builder
        if not kind.signed:
            return b.udiv(a, c) if op is ast.FloorDiv else b.urem(a, c)
        zero = ir.Constant(kind.ir, 0)
        remainder = b.srem(a, c)
        adjust = b.and_(b.icmp_signed("!=", remainder, zero), b.icmp_signed("<", b.xor(remainder, c), zero))
        if op is ast.Mod:
            return b.select(adjust, b.add(remainder, c), remainder)
        return b.sub(b.sdiv(a, c), b.zext(adjust, kind.ir))

    def _Compare(self, node):
        left, total = self.value(node.left), None
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            kind = self._common(left, right)
            a, c, b = self._cast(left, kind).ir, self._cast(right, kind).ir, self.builder
            symbol = _COMPARE[type(op)]
            if kind.is_float:
                compare = b.fcmp_unordered if symbol == "!=" else b.fcmp_ordered
            else:
                compare = b.icmp_signed if kind.signed else b.icmp_unsigned
            result = compare(symbol, a, c)
            total = result if total is None else b.and_(total, result)
            left = right
        return Value(BOOL, total)

    def _BoolOp(self, node):
        """Without branches where only values are looked at, so that loops vectorise; calls wait for their turn."""
        both = isinstance(node.op, ast.And)
        b = self.builder
        total = self._truth(self.value(node.values[0]))
        if not any(isinstance(n, ast.Call) for v in node.values[1:] for n in ast.walk(v)):
            for v in node.values[1:]:
                total = (b.and_ if both else b.or_)(total, self._truth(self.value(v)))
            return Value(BOOL, total)
        slot, end = self._alloca(BOOL), b.append_basic_block("decided")
        b.store(total, slot)
        for v in node.values[1:]:
            further = b.append_basic_block("further")
            b.cbranch(total, *((further, end) if both else (end, further)))
            b.position_at_end(further)
            total = self._truth(self.value(v))
            b.store(total, slot)
        b.branch(end)
        b.position_at_end(end)
        return Value(BOOL, b.load(slot))

    def _IfExp(self, node):
        test = self._truth(self.value(node.test))
        return self._select(test, self.value(node.body), self.value(node.orelse))

    def _select(self, test, a, c):
        if isinstance(a, Tuple):
            return Tuple(self._select(test, x, y) for x, y in zip(a, c, strict=True))
        kind = self._common(a, c)
        return Value(kind, self.builder.select(test, self._cast(a, kind).ir, self._cast(c, kind).ir))

    def _Call(self, node):
        arguments = [self.value(a) for a in node.args]
        if node.keywords:
            raise Unsupported("keywords")
        if isinstance(node.func, ast.Attribute):
            return self._called(self._attribute(node.func), f".{node.func.attr}", arguments)
        name = node.func.id
        if name in self.functions:
            text, dtype = self.functions[name]
            return (self._outlined if APART in name else self._expanded)(name, text, dtype, arguments)
        if name.startswith("to_") and name[3:] in KINDS:
            return self._cast(arguments[0], KINDS[name[3:]])
        target = self.namespace.get(name)
        if target is None:
            word = words.find(name)
            if word is not None:
                return self._word(word, arguments)
            return self._builtin(name, arguments)
        return self._called(target, name, arguments)

    def _called(self, target, name, arguments):
        """A call of something that is not in the text itself."""
        if isinstance(target, Word):
            own = getattr(self.builder.module, "nbgrad_words", {})
            return self._word(own.get(target.name) or words.find(target.name), arguments)
        if isinstance(target, Primitive):
            return call_text(self.builder, self._text_of(target), self.dtype, arguments)
        if hasattr(target, "emission"):
            return self._emitted(target.emission(), arguments)
        primitive = None if counterparts.library(self.namespace.get("__name__")) else counterparts.of(target)
        if primitive is not None:
            return self._counterpart(primitive, arguments)
        if target is getattr(math, getattr(target, "__name__", ""), self):
            return self._math(target.__name__, arguments)
        text = counterparts.text_of(target)
        if text is not None:
            return call_text(self.builder, text, self.dtype, arguments)
        raise Unsupported(f"a call of {name}")

    def _attribute(self, node):
        """What ``module.name`` stands for."""
        module = self.namespace.get(getattr(node.value, "id", None))
        if not isinstance(module, python_types.ModuleType) or not hasattr(module, node.attr):
            raise Unsupported(f"the attribute .{node.attr}")
        return getattr(module, node.attr)

    def _Attribute(self, node):
        return self._global(self._attribute(node))

    def _counterpart(self, primitive, arguments):
        """A primitive in place of a function of `math` or NumPy, in the precision of the arguments."""
        if len(arguments) != primitive.arity:
            raise Unsupported(f"a call of {primitive.name} with {len(arguments)} arguments")
        casts = primitive.casts or (None,) * primitive.arity
        kind = self._common(*(a for a, c in zip(arguments, casts, strict=True) if c is None))
        if not kind.is_float and primitive.domain == "float":
            kind = KINDS["float64"]
        given = [self._cast(a, kind if c is None else KINDS[c]) for a, c in zip(arguments, casts, strict=True)]
        text = primitive.text(kind.name, getattr(self.builder.module, "nbgrad_target", "cpu"))
        return call_text(self.builder, text, kind.name, given)

    def _text_of(self, primitive):
        return primitive.text(self.dtype, getattr(self.builder.module, "nbgrad_target", "cpu"))

    def _expanded(self, name, text, dtype, arguments):
        return call_text(self.builder, text, dtype, arguments)

    def _outlined(self, name, text, dtype, arguments):
        """A call of a function of numbers of one dtype, which is expanded once for all calls."""
        module, kind = self.builder.module, KINDS[dtype]
        found = module.globals.get(name)
        if found is None:
            found = ir.Function(module, ir.FunctionType(kind.ir, [kind.ir] * len(arguments)), name)
            found.linkage = "internal"
            found.attributes.add("noinline")
            builder = ir.IRBuilder(found.append_basic_block("entry"))
            builder.ret(call_text(builder, text, dtype, [Value(kind, a) for a in found.args]).ir)
        return Value(kind, self.builder.call(found, [self._cast(a, kind).ir for a in arguments]))

    def _builtin(self, name, arguments):
        if name in ("min", "max") and len(arguments) == 2:
            kind = self._common(*arguments)
            a, c = (self._cast(v, kind).ir for v in arguments)
            b = self.builder
            if kind.is_float:
                less = b.fcmp_ordered("<", c, a) if name == "min" else b.fcmp_ordered(">", c, a)
            else:
                compare = b.icmp_signed if kind.signed else b.icmp_unsigned
                less = compare("<", c, a) if name == "min" else compare(">", c, a)
            return Value(kind, b.select(less, c, a))
        if name == "abs" and len(arguments) == 1 and arguments[0].kind.is_float:
            return self._math("fabs", arguments)
        raise Unsupported(f"a call of {name}")

    def _word(self, word, arguments):
        kinds = [a if isinstance(a, Tuple) else a.kind for a in arguments]
        raw = []
        for k, a in enumerate(arguments):
            if isinstance(a, Tuple):
                own = kinds[0].element if k == words.ELEMENT.get(word.__name__) else None
                raw.append([(v if own is None else self._cast(v, own)).ir for v in a])
            elif k == words.ELEMENT.get(word.__name__):
                raw.append(self._cast(a, kinds[0].element).ir)
            elif k in words.LITERALS.get(word.__name__, ()):
                raw.append(a)
            elif (
                isinstance(a.kind, Kind)
                and not a.kind.is_float
                and a.kind.bitwidth < 64
                and a.kind is not BOOL
                and k == 1
            ):
                raw.append(self._integer(a))
            else:
                raw.append(a.ir)
        if word in (words.larger, words.smaller, words.add_fast, words.multiply_fast):
            raw[1] = self._cast(arguments[1], kinds[0]).ir
        kind, result = word(self.builder, kinds, *raw)
        if isinstance(result, list):
            return Tuple(Value(kind, r) for r in result)
        return VOID if kind is VOID else Value(kind, result)

    def _emitted(self, emission, arguments):
        """An intrinsic: LLVM code, or another text in double precision."""
        if emission.text is not None:
            wide = [self._cast(a, KINDS["float64"]) for a in arguments]
            return self._cast(call_text(self.builder, emission.text, "float64", wide), arguments[0].kind)
        kinds = [a if isinstance(a, Tuple) else a.kind for a in arguments]
        if kinds and isinstance(kinds[0], Pointer) and len(arguments) == 3:  # a store casts what it writes
            arguments[2] = self._cast(arguments[2], kinds[0].element)
        raw = [[v.ir for v in a] if isinstance(a, Tuple) else a.ir for a in arguments]
        result = emission.emit(self.builder, _context, kinds, *raw)
        kind = emission.of(*kinds)
        if isinstance(kind, Tuple):
            return Tuple(Value(v.kind, r) for v, r in zip(kind, result, strict=True))
        if kind == "bool":
            kind = BOOL
        return VOID if kind is None else Value(KINDS[kind] if isinstance(kind, str) else kind, result)

    def _math(self, name, arguments):
        kind = arguments[0].kind
        if not kind.is_float:
            kind = KINDS["float64"]
        raw = [self._cast(a, kind).ir for a in arguments]
        module = self.builder.module
        if name in _MATH:
            return Value(kind, self.builder.call(module.declare_intrinsic(_MATH[name], [kind.ir]), raw))
        if name not in LIBM:
            raise Unsupported(f"math.{name}")
        symbol = name + ("f" if kind.bitwidth == 32 else "")
        found = module.globals.get(symbol)
        if found is None:
            found = ir.Function(module, ir.FunctionType(kind.ir, [kind.ir] * len(raw)), symbol)
        return Value(kind, self.builder.call(found, raw))

    # ------------------------------------------------------------ kinds

    def _common(self, *values):
        kinds = [v.kind for v in values]
        if any(isinstance(k, Pointer) for k in kinds):
            raise Unsupported("arithmetic of pointers")
        floats = [k for k in kinds if k.is_float]
        if floats:
            return max(floats, key=lambda k: k.bitwidth)
        best = max(kinds, key=lambda k: (k.bitwidth, k.signed))
        return best

    def _cast(self, value, kind):
        if value.kind is kind or isinstance(kind, Pointer):
            return value
        if value.constant is not None and kind is not BOOL and not isinstance(value.constant, bool):
            number = value.constant if kind.is_float else int(value.constant)
            return Value(kind, ir.Constant(kind.ir, _rounded(number, kind)), number)
        b, x, old = self.builder, value.ir, value.kind
        if kind is BOOL:
            return Value(BOOL, self._truth(value))
        if old.is_float and kind.is_float:
            out = b.fptrunc(x, kind.ir) if old.bitwidth > kind.bitwidth else b.fpext(x, kind.ir)
        elif old.is_float:
            out = b.fptosi(x, kind.ir) if kind.signed else self._to_unsigned(x, kind)
        elif kind.is_float:
            out = b.sitofp(x, kind.ir) if old.signed else b.uitofp(x, kind.ir)
        elif old.bitwidth > kind.bitwidth:
            out = b.trunc(x, kind.ir)
        elif old.bitwidth < kind.bitwidth:
            out = b.sext(x, kind.ir) if old.signed else b.zext(x, kind.ir)
        else:
            out = x
        return Value(kind, out)

    def _to_unsigned(self, x, kind):
        """Through int64 where that is wide enough, so that negative numbers wrap as in C on most machines."""
        b = self.builder
        if kind.bitwidth < 64:
            return b.trunc(b.fptosi(x, ir.IntType(64)), kind.ir)
        return b.select(
            b.fcmp_ordered("<", x, ir.Constant(x.type, 2.0**63)), b.fptosi(x, kind.ir), b.fptoui(x, kind.ir)
        )

    def _truth(self, value):
        if value.kind is BOOL:
            return value.ir
        zero = ir.Constant(value.kind.ir, 0.0 if value.kind.is_float else 0)
        if value.kind.is_float:
            return self.builder.fcmp_unordered("!=", value.ir, zero)
        return self.builder.icmp_unsigned("!=", value.ir, zero)

    def _integer(self, value):
        return self._cast(value, INT64).ir


class _Context:
    """What emitters of intrinsics ask Numba's target context for."""

    @staticmethod
    def cast(builder, value, old, new):
        """Arguments are cast before they get here."""
        return value


_context = _Context()


def _rounded(number, kind):
    """A number as LLVM will hold it."""
    if not kind.is_float:
        return number
    number = float(number)
    if kind.bitwidth == 32 and math.isfinite(number):
        import numpy

        with numpy.errstate(over="ignore"):
            return float(numpy.float32(number))
    return number


def _assigned(definition):
    names = set()
    for node in ast.walk(definition):
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, (ast.AugAssign, ast.For))
            else []
        )
        for t in targets:
            names |= {n.id for n in ast.walk(t) if isinstance(n, ast.Name)}
    return frozenset(names)
