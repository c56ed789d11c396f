"""Entry: a plan as one LLVM module, whose function takes addresses of arrays and sizes.

``int32 symbol(inputs..., outputs..., sizes..., workspace)``. Words of launches and intermediate values are in memory of
the call, so any number of threads may be in it at one time.  It returns one of the codes below.

before: a table that is filled in for each call    after: code that writes it on the stack, and calls the kernels
"""

from typing import NamedTuple

import numpy
from llvmlite import ir

from nbgrad.compile import native, translate
from nbgrad.compile.memory import ALIGNMENT
from nbgrad.export import alone
from nbgrad.export.formula import Formula, constant
from nbgrad.export.patterns import Pattern
from nbgrad.export.portable import ENDLESS
from nbgrad.export.sizes import Numbers
from nbgrad.runtime.compiled import bits
from nbgrad.runtime.steps import LAUNCH_WORDS, PART_WORDS, SETTING_WORDS

#: What the function returns.
DONE, WRONG_SIZE, NO_MEMORY, FAILED = range(4)
#: Bytes of intermediate values, and of words, that may be on the stack.
STACK, WORDS = 8192, 1 << 18
#: Launches of a program up to which each has words of its own on the stack.
FEW = 16

_WORD, _BYTE, _STATUS = ir.IntType(64), ir.IntType(8), ir.IntType(32)
_ADDRESS = _BYTE.as_pointer()
_KERNEL = ir.FunctionType(ir.VoidType(), [_WORD.as_pointer(), _WORD, _WORD])
_STEPS = ir.FunctionType(_WORD, [_WORD] * 3)


class Filled(NamedTuple):
    """Words of a launch, and the same of those that run inside of it, by part."""

    words: ir.Value
    parts: list


class Layout:
    """Where the intermediate values of a plan lie: buffers -> formulas of their offsets, in units of aligned bytes.

    A buffer takes the place of one of the same size that is no longer used.
    """

    def __init__(self, plan):
        description, count = plan.description, len(plan.open)
        free, ending, self.slots, self.of = {}, {}, [], {}
        arena = [k for k, b in enumerate(description.buffers) if b.kind == "arena"]
        done = 0
        for k in sorted((k for k in arena if description.lives[k]), key=lambda k: description.lives[k][0]):
            first, last = description.lives[k]
            while done < first:
                for key, slot in ending.pop(done, ()):
                    free.setdefault(key, []).append(slot)
                done += 1
            memory = description.buffers[k]
            nbytes = _nbytes(plan, memory)
            key = nbytes.key()
            if free.get(key):
                slot = free[key].pop()
            else:
                slot = len(self.slots)
                self.slots.append(nbytes)
            self.of[k] = slot
            ending.setdefault(last, []).append((key, slot))
        for k, memory in enumerate(description.buffers):  # what is filled in once is kept throughout
            if memory.kind == "captured" and isinstance(plan.captured[memory.index], Pattern):
                self.of[k] = len(self.slots)
                self.slots.append(_nbytes(plan, memory))
        #: Bytes of all of them where no size is open, or none matters; else None.
        self.bytes = None
        words = sum(_words_of(c) for c in description.calls)
        self.words = words if words * 8 > WORDS else 0
        if self.words:
            self.slots.insert(0, constant(8 * self.words, count))
            self.of = {k: slot + 1 for k, slot in self.of.items()}
        if all(s.is_constant() for s in self.slots):
            self.bytes = sum(_aligned(s.at((0,) * count)) for s in self.slots)


def _nbytes(plan, memory):
    """The bytes of a buffer as a formula."""
    size = plan.numbers[memory.size]
    return Formula([(p, c * numpy.dtype(memory.dtype).itemsize) for p, c in size.terms], size.denominator)


def _aligned(n):
    return -(-n // ALIGNMENT) * ALIGNMENT


def _words_of(call):
    inner = sum(_words_of(deep) + LAUNCH_WORDS for part in call.parts for deep in part.launches)
    tables = sum(PART_WORDS + SETTING_WORDS * len(part.settings) for part in call.parts)
    return len(call.words) + inner + tables


class Entry:
    """The module of a plan.

    Parameters
    ----------
    plan : nbgrad.export.sizes.Plan
    minima : list of int
        The least value of each open size.
    data : dict
        Addresses of arrays of the function's own by their number, where they are in memory of this process; others are
        data of the module.
    kernels : dict
        Addresses of kernels by their number, where they are in memory of this process: those that only Numba compiles.
        Where they are not given, object files of them are made.

    Attributes
    ----------
    objects : list of bytes
        Object files to be linked with.
    """

    def __init__(self, plan, symbol, minima, data, kernels):
        self.plan, self.symbol, self.layout = plan, symbol, Layout(plan)
        self.minima, self.data, self.known, self.objects, self._apart = minima, data, kernels, [], set()
        self.module = ir.Module(symbol)
        self._formulas = {}
        description = plan.description
        self.kernels = [self._declared(k, code) for k, code in enumerate(description.codes)]
        self._size()
        self._entry()

    def text(self):
        """The whole module as LLVM IR, its kernels in it."""
        import llvmlite.binding as llvm

        whole = llvm.parse_assembly(str(self.module))
        used = [self._uses(k) for k in range(len(self.kernels))]
        for name, module in self._modules():
            part = llvm.parse_assembly(module)
            for value in (*part.functions, *part.global_variables):
                if not value.is_declaration and value.name != name:
                    value.linkage = "internal"
            whole.link_in(part)
        for k, kernel in enumerate(self.kernels):
            if kernel.name not in self._apart:
                function = whole.get_function(kernel.name)
                function.linkage = "internal"
                # marks of memory hold within one call of a kernel, so only one that is called once may be expanded
                function.add_function_attribute("alwaysinline" if used[k] == 1 else "noinline")
        return str(whole)

    # ------------------------------------------------------------ kernels

    def _declared(self, k, code):
        kind = _STEPS if code.text is not None else _KERNEL
        return ir.Function(self.module, kind, f"{self.symbol}_{k}")

    def _uses(self, k):
        """How often a kernel is called; steps of loops count as many times."""

        def count(calls, times):
            total = 0
            for call in calls:
                total += times * (call.code == k)
                for part in call.parts:
                    total += count(part.launches, 2)
            return total

        return count(self.plan.description.calls, 1)

    def _modules(self):
        for k, (kernel, code) in enumerate(zip(self.kernels, self.plan.description.codes, strict=True)):
            if code.text is not None:
                yield kernel.name, str(translate.function(code.text, 3, kernel.name))
            elif k in self.known:
                yield kernel.name, str(_jump(kernel.name, self.known[k]))
            else:
                functions = {n: (p.text(d), d) for n, (p, d) in code.names.items()}
                try:
                    module = str(translate.kernel(code.source, functions, kernel.name, own=alone.WORDS))
                except translate.Unsupported as reason:
                    made = native.compiled_by_numba(code.source, functions, kernel.name, code.names, reason)
                    self.objects.append(made)
                    self._apart.add(kernel.name)
                    continue
                # a domain of its own: what is said of memory here says nothing of other kernels
                yield kernel.name, module.replace('!"nbgrad"', f'!"{kernel.name}"')

    # ------------------------------------------------------------ numbers

    def _constant(self, value):
        return ir.Constant(_WORD, value)

    def _whole(self, formula):
        """A formula as an instruction, made once for each function."""
        key = formula.key()
        found = self._formulas.get(key)
        if found is None:
            found = self._formulas[key] = emitted(self.builder, formula, self.sizes)
        return found

    def _bits(self, number, dtype):
        """A number of a dtype as the low bytes of a word."""
        if not isinstance(number, Formula):
            return self._constant(bits(number, dtype))
        b = self.builder
        if numpy.dtype(dtype).kind in "biu":
            return self._whole(number)
        value = self._double(number)
        if numpy.dtype(dtype).itemsize == 8:
            return b.bitcast(value, _WORD)
        return b.zext(b.bitcast(b.fptrunc(value, ir.FloatType()), ir.IntType(32)), _WORD)

    def _double(self, number):
        """A number or a formula as a double."""
        b, double = self.builder, ir.DoubleType()
        if not isinstance(number, Formula):
            return ir.Constant(double, float(number))
        value = b.sitofp(self._whole(Formula(number.terms)), double)
        if number.denominator != 1:
            value = b.fdiv(value, ir.Constant(double, float(number.denominator)))
        if "root" in number.form:
            value = b.call(self.module.declare_intrinsic("llvm.sqrt", [double]), [value])
        return b.fdiv(ir.Constant(double, 1.0), value) if "inverse" in number.form else value

    # ------------------------------------------------------------ functions

    def _begin(self, function, first):
        self.builder, self._heap = ir.IRBuilder(function.append_basic_block("entry")), None
        self.sizes, self._formulas = function.args[first : first + len(self.plan.open)], {}

    def _size(self):
        """``int64 symbol_workspace(sizes...)``: bytes of intermediate values."""
        kind = ir.FunctionType(_WORD, [_WORD] * len(self.plan.open))
        self.workspace = ir.Function(self.module, kind, f"{self.symbol}_workspace")
        self._begin(self.workspace, 0)
        b = self.builder
        total, _ = self._offsets()
        b.ret(b.add(total, self._constant(ALIGNMENT)))

    def _offsets(self):
        b, total, starts = self.builder, self._constant(0), []
        for slot in self.layout.slots:
            starts.append(total)
            if slot.is_constant():
                step = self._constant(_aligned(slot.at((0,) * len(self.plan.open))))
            else:
                step = b.and_(b.add(self._whole(slot), self._constant(ALIGNMENT - 1)), self._constant(-ALIGNMENT))
            total = b.add(total, step)
        return total, starts

    def _entry(self):
        plan = self.plan
        description = plan.description
        inputs, outputs = len(plan.traces.names), len(plan.shapes)
        kind = ir.FunctionType(_STATUS, [_ADDRESS] * (inputs + outputs) + [_WORD] * len(plan.open) + [_ADDRESS])
        function = self.function = ir.Function(self.module, kind, self.symbol)
        self._begin(function, inputs + outputs)
        b = self.builder
        for k, size in enumerate(self.sizes):
            self._refuse(b.icmp_signed("<", size, self._constant(self.minima[k])), WRONG_SIZE)
        total, starts = self._offsets()
        self.base, self.own = self._memory(total, function.args[-1]), None
        self.places = {}
        for k, memory in enumerate(description.buffers):
            if memory.kind == "input":
                self.places[k] = b.ptrtoint(function.args[memory.index], _WORD)
            elif memory.kind == "output":
                self.places[k] = b.ptrtoint(function.args[inputs + memory.index], _WORD)
            elif k in self.layout.of:
                self.places[k] = b.add(self.base, starts[self.layout.of[k]])
            elif memory.kind == "captured":
                self.places[k] = self._captured(memory.index)
            if memory.kind == "captured" and k in self.layout.of:
                self._fill(plan.captured[memory.index], self.places[k])
        self._taken = 0  # words in the arena
        shared = None
        if len(description.calls) > FEW:
            most = max(len(c.words) for c in description.calls)
            shared = self._stack(max(most, 1))
        for call in description.calls:
            filled = self._filled(call, None if call.parts else shared)
            self._run(call, filled.words)
            self._check_status(call, filled)
        self._give_back()
        b.ret(ir.Constant(_STATUS, DONE))

    def _refuse(self, condition, code):
        b = self.builder
        with b.if_then(condition, likely=False):
            self._give_back()
            b.ret(ir.Constant(_STATUS, code))

    def _memory(self, total, workspace):
        """The address of memory for intermediate values: the stack, the workspace of the caller, or the heap."""
        if not self.layout.slots:
            return self._constant(0)
        b, fixed = self.builder, self.layout.bytes
        most = STACK if fixed is None else min(fixed, STACK)
        stack = self._alloca(ir.ArrayType(_BYTE, max(most, 1)), ALIGNMENT)
        base, heap = self._alloca(_WORD), self._alloca(_ADDRESS)
        b.store(b.ptrtoint(stack, _WORD), base)
        b.store(ir.Constant(_ADDRESS, None), heap)
        with b.if_else(b.icmp_unsigned("!=", workspace, ir.Constant(_ADDRESS, None))) as (given, other):
            with given:
                b.store(self._even(b.ptrtoint(workspace, _WORD)), base)
            with other:
                if most != fixed:
                    self._allocate(total, base, heap)
        return b.load(base)

    def _allocate(self, total, base, heap):
        """Memory of the heap, where there is too much for the stack."""
        b = self.builder
        malloc = ir.Function(self.module, ir.FunctionType(_ADDRESS, [_WORD]), "malloc")
        self._free = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [_ADDRESS]), "free")
        with b.if_then(b.icmp_signed(">", total, self._constant(STACK))):
            made = b.call(malloc, [b.add(total, self._constant(ALIGNMENT))])
            with b.if_then(b.icmp_unsigned("==", made, ir.Constant(_ADDRESS, None)), likely=False):
                b.ret(ir.Constant(_STATUS, NO_MEMORY))
            b.store(made, heap)
            b.store(self._even(b.ptrtoint(made, _WORD)), base)
        self._heap = heap

    def _even(self, address):
        b = self.builder
        return b.and_(b.add(address, self._constant(ALIGNMENT - 1)), self._constant(-ALIGNMENT))

    def _give_back(self):
        if self._heap is not None:
            self.builder.call(self._free, [self.builder.load(self._heap)])

    def _captured(self, index):
        value, b = self.plan.captured[index], self.builder
        if isinstance(value, Numbers):
            dtype = numpy.dtype(value.dtype)
            element = ir.IntType(8 * dtype.itemsize)
            place = self._alloca(ir.ArrayType(element, len(value.formulas)))
            for k, formula in enumerate(value.formulas):
                word = self._bits(formula, dtype)
                spot = b.gep(place, [self._constant(0), self._constant(k)])
                b.store(b.trunc(word, element) if dtype.itemsize < 8 else word, spot)
            return b.ptrtoint(place, _WORD)
        if index in self.data:
            return self._constant(self.data[index])
        data = bytearray(value.tobytes()) or bytearray(1)
        kind = ir.ArrayType(_BYTE, len(data))
        found = ir.GlobalVariable(self.module, kind, f"{self.symbol}_data{index}")
        found.linkage, found.global_constant, found.align = "internal", True, 16
        found.initializer = ir.Constant(kind, data)
        return b.ptrtoint(found, _WORD)

    def _fill(self, pattern, address):
        """Write the elements of a `Pattern`."""
        b, dtype = self.builder, numpy.dtype(pattern.dtype)
        element = {"f8": ir.DoubleType(), "f4": ir.FloatType()}.get(dtype.str[1:], ir.IntType(8 * dtype.itemsize))
        place, extents = b.inttoptr(address, element.as_pointer()), [self._whole(n) for n in pattern.shape]
        steps = [self._double(n) for n in pattern.steps]
        at, indices, ends = self._constant(0), [], []
        for extent in extents:
            index, end = self._loop(extent)
            at = b.add(b.mul(at, extent), index)
            indices.append(index)
            ends.append(end)
        if pattern.band:
            kind = float if dtype.kind == "f" else int
            above, on, below = (ir.Constant(element, kind(v)) for v in pattern.band[:3])
            distance, offset = b.sub(*indices), self._constant(pattern.band[3])
            value = b.select(b.icmp_signed("<", distance, offset), above, below)
            value = b.select(b.icmp_signed("==", distance, offset), on, value)
        else:
            value = steps[0]
            for index, step in zip(indices, steps[1:], strict=True):
                value = b.fadd(value, b.fmul(step, b.sitofp(index, ir.DoubleType())))
            if dtype.kind != "f":
                value = b.fptosi(value, element)
            elif dtype.itemsize < 8:
                value = b.fptrunc(value, element)
        b.store(value, b.gep(place, [at]))
        for end in reversed(ends):
            end()

    def _loop(self, extent):
        """(the counter of a loop that begins here, what ends it)."""
        b, counter = self.builder, self._alloca(_WORD)
        b.store(self._constant(0), counter)
        head, body, done = (b.append_basic_block(n) for n in ("head", "body", "done"))
        b.branch(head)
        b.position_at_end(head)
        now = b.load(counter)
        b.cbranch(b.icmp_signed("<", now, extent), body, done)
        b.position_at_end(body)

        def end():
            b.store(b.add(now, self._constant(1)), counter)
            b.branch(head)
            b.position_at_end(done)

        return now, end

    # ------------------------------------------------------------ launches

    def _stack(self, count):
        """Words that live until the function returns."""
        if self.layout.words:
            start = self.builder.add(self.base, self._constant(8 * self._taken))
            self._taken += count
            return self.builder.inttoptr(start, _WORD.as_pointer())
        return self.builder.bitcast(self._alloca(ir.ArrayType(_WORD, max(count, 1))), _WORD.as_pointer())

    def _alloca(self, kind, align=16):
        with self.builder.goto_entry_block():
            made = self.builder.alloca(kind)
        made.align = align
        return made

    def _write(self, words, index, value):
        self.builder.store(value, self.builder.gep(words, [self._constant(index)]))

    def _filled(self, call, words=None):
        """The words of a launch, written, and those of what runs inside of it."""
        plan, b = self.plan, self.builder
        words = self._stack(len(call.words)) if words is None else words
        addressed = {a.word: a for a in call.addresses}
        for index, (place, dtype) in enumerate(call.words):
            number = plan.numbers[place]
            if index in addressed:
                address = addressed[index]
                size = numpy.dtype(plan.description.buffers[address.buffer].dtype).itemsize
                offset = b.mul(self._whole(plan.numbers[address.offset]), self._constant(size))
                self._write(words, index, b.add(self.places[address.buffer], offset))
            elif dtype is None:
                self._write(words, index, self._whole(number))
            else:
                self._write(words, index, self._bits(number, dtype))
        filled = Filled(words, [])
        for part in call.parts:
            inner = [self._filled(deep) for deep in part.launches]
            filled.parts.append(inner)
            self._write(words, part.slot, b.ptrtoint(self._part(part, inner, words), _WORD))
        return filled

    def _part(self, part, inner, around):
        """A table of launches, and of words that are set before they run."""
        b, plan = self.builder, self.plan
        launches = self._stack(LAUNCH_WORDS * len(inner))
        for k, (call, filled) in enumerate(zip(part.launches, inner, strict=True)):
            code, words = b.ptrtoint(self.kernels[call.code], _WORD), b.ptrtoint(filled.words, _WORD)
            total = self._whole(plan.numbers[call.total])
            for n, value in enumerate((code, words, total, self._constant(ENDLESS))):
                self._write(launches, LAUNCH_WORDS * k + n, value)
        once, each = [], []
        for setting in part.settings:
            stride = plan.numbers[setting[-1]]
            (each if stride.terms else once).append(setting)
        table = self._stack(PART_WORDS)
        tables = [(launches, len(inner)), *((self._settings(s, inner, around), len(s)) for s in (once, each))]
        for n, (address, count) in enumerate(tables):
            self._write(table, 2 * n, self._constant(count))
            self._write(table, 2 * n + 1, b.ptrtoint(address, _WORD))
        return table

    def _settings(self, settings, inner, around):
        b, table = self.builder, self._stack(SETTING_WORDS * len(settings))
        for k, (path, word, cell, counter, offset, stride) in enumerate(settings):
            filled = inner[path[0]]
            for part, number in zip(path[1::2], path[2::2], strict=True):
                filled = filled.parts[part][number]
            spots = [b.gep(filled.words, [self._constant(word)])]
            spots += [b.gep(around, [self._constant(n)]) for n in (cell, counter)]
            values = [b.ptrtoint(s, _WORD) for s in spots]
            values += [self._whole(self.plan.numbers[place]) for place in (offset, stride)]
            for n, value in enumerate(values):
                self._write(table, SETTING_WORDS * k + n, value)
        return table

    def _run(self, call, words):
        b, total = self.builder, self._whole(self.plan.numbers[call.total])
        kernel, zero = self.kernels[call.code], self._constant(0)
        if kernel.function_type is _STEPS:
            b.call(kernel, [b.ptrtoint(words, _WORD), zero, total])
        else:
            b.call(kernel, [words, zero, total])

    def _check_status(self, call, filled):
        """Return where a launch, or one inside of it, says that it failed: a loop for want of memory."""
        b = self.builder
        if call.status is not None:
            status = b.load(b.gep(filled.words, [self._constant(call.status)]))
            failed = b.icmp_signed("!=", status, self._constant(0))
            self._refuse(failed, NO_MEMORY if call.parts else FAILED)
        for part, inner in zip(call.parts, filled.parts, strict=True):
            for deep, words in zip(part.launches, inner, strict=True):
                self._check_status(deep, words)


def emitted(builder, formula, sizes):
    """The polynomial of a formula as an instruction."""
    total = ir.Constant(_WORD, 0)
    for powers, c in formula.terms:
        term = ir.Constant(_WORD, c)
        for size, p in zip(sizes, powers, strict=True):
            for _ in range(p):
                term = builder.mul(term, size)
        total = builder.add(total, term)
    if formula.denominator != 1 and formula.form == "":
        total = builder.sdiv(total, ir.Constant(_WORD, formula.denominator))
    return total


def _jump(symbol, address):
    """A module with a kernel that is elsewhere."""
    module = ir.Module(symbol)
    function = ir.Function(module, _KERNEL, symbol)
    b = ir.IRBuilder(function.append_basic_block("entry"))
    b.call(b.inttoptr(ir.Constant(_WORD, address), _KERNEL.as_pointer()), function.args)
    b.ret_void()
    return module
