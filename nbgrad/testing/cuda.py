"""CUDA kernels executed on the CPU: the NVVM IR that would go to NVIDIA's compiler, with NVIDIA's libdevice.

What is executed is the very text that PTX is made from, so typing, indexing and control flow are those of the
kernel, and mathematics from libdevice is that of the device.  It is no GPU: the optimiser and the assembler of
NVIDIA are left out, multiplications and additions are fused where this CPU would, hardware approximations are not
modelled, and threads run one after another, in an order that is for the caller to choose; those that wait for each
other run from one barrier to the next.
"""

import ctypes
import functools
import itertools
import math
import os
import re
import subprocess
import tempfile
from collections import Counter

import llvmlite.binding as llvm
import numpy

from nbgrad.compile.cuda.nvvm import BETWEEN
from nbgrad.errors import KernelError
from nbgrad.runtime.compiled import bits
from nbgrad.shapes import size
from nbgrad.testing import instructions
from nbgrad.testing.fibres import YIELD, Fibres

#: Bytes before and behind each array that a kernel must leave as they are.
GUARD = 256

#: Threads of a block at most.
MOST_THREADS = 1024
#: Words of a block: numbers of its thread and of itself, counted along all axes, and extents along each.
_GRID = ("tid", "ctaid", *(f"{n}_{axis}" for n in ("ntid", "nctaid") for axis in "xyz"))


class Kernel:
    """One kernel, compiled for this CPU.

    Parameters
    ----------
    text : str
        NVVM IR, as `nbgrad.compile.cuda.nvvm.module` writes it.
    symbol : str
        Its entry: ``void symbol(int64* args, int64 start, int64 stop)``.

    Raises
    ------
    KernelError
        Where the IR uses what has no counterpart on a CPU.
    """

    def __init__(self, text, symbol):
        portable = _portable(text)
        self._engine = executable(text, _surroundings(symbol), ("nbgrad_block", "nbgrad_thread"))
        shape = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
        self._block = shape(self._engine.get_function_address("nbgrad_block"))
        self._words = {
            n: ctypes.c_int64.from_address(self._address(f"nbgrad_{n}")) for n in (*_GRID, "table", "start", "stop")
        }
        self._shared = [(self._address(n), size) for n, size in _shared(text)]
        self._waits = any(f"@nbgrad_{n}(" in portable for n in _WAITING)
        self._fibres = Fibres(self._address, self._engine.get_function_address("nbgrad_thread"))

    def _address(self, name):
        return self._engine.get_global_value_address(name)

    def run(self, grid, block, table, start, stop, order="down"):
        """Run `grid` blocks of `block` threads over a table of words.

        Parameters
        ----------
        grid, block : int or tuple of three
            Along one axis, or along x, y and z.
        table : ndarray of int64
            Extents, strides, numbers and addresses, as the kernel reads them.
        start, stop : int
            What the grid computes.
        order : {"down", "up"} or numpy.random.Generator
            In which order blocks run, and the threads of a block between barriers.

        Raises
        ------
        KernelError
            For more threads than a block may have, and where those of a block do not meet at a barrier.
        """
        for name, extents in (("nctaid", grid), ("ntid", block)):
            for axis, n in zip("xyz", extents if isinstance(extents, tuple) else (extents, 1, 1), strict=True):
                self._words[f"{name}_{axis}"].value = n
        grid, block = (math.prod(n) if isinstance(n, tuple) else n for n in (grid, block))
        if not 0 < block <= MOST_THREADS:
            raise KernelError(f"a block has 1 to {MOST_THREADS} threads, got {block}")
        for name, value in (("table", table.ctypes.data), ("start", start), ("stop", stop)):
            self._words[name].value = value
        for b in _ordered(grid, order):
            self._words["ctaid"].value = b
            for address, count in self._shared:
                ctypes.memset(address, 0xFF, count)  # nan: nobody has written there yet
            if self._waits or order != "down":
                self._fibres.run(block, _ordered(block, order))
            else:
                self._block(table.ctypes.data, start, stop)


def executable(text, surroundings, entries):
    """LLVM's engine with the machine code of NVVM IR for this CPU.

    Parameters
    ----------
    text : str
        NVVM IR.
    surroundings : str
        LLVM IR that calls it, or that it calls.
    entries : tuple of str
        Functions that are called from outside.

    Raises
    ------
    KernelError
        Where the IR uses what has no counterpart on a CPU.
    """
    _initialise()
    first, *others = _portable(text).split(BETWEEN)
    module = llvm.parse_assembly(first)
    for other in others:
        module.link_in(llvm.parse_assembly(other))
    if "@__nv_" in text:
        module.link_in(_device_library())
    module.link_in(llvm.parse_assembly(surroundings))
    shared = {name for name, _ in _shared(text)}
    for variable in module.global_variables:
        if variable.name in shared:
            variable.linkage = "external"  # so that it has an address, and may change while a thread waits
    for function in module.functions:
        if not function.is_declaration and function.name not in entries:
            function.linkage = "internal"
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
    )
    module.triple, module.data_layout = llvm.get_process_triple(), str(machine.target_data)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    missing = [f.name for f in module.functions if f.is_declaration and _only_on_a_gpu(f.name)]
    if missing:
        raise KernelError(f"this kernel cannot run on a CPU: it calls {', '.join(sorted(missing))}")
    inline = re.search(r'\basm [^"\n]*"([^"]*)"', str(module))
    if inline:
        raise KernelError(f"this kernel cannot run on a CPU: it has instructions of PTX in it: {inline[1]}")
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def _only_on_a_gpu(name):
    return name.startswith("llvm.nvvm") if name.startswith("llvm.") else name not in _OF_THE_HOST


def _ordered(count, order):
    numbers = numpy.arange(count, dtype=numpy.int64)
    if order == "up":
        return numbers
    return numbers[::-1].copy() if order == "down" else order.permutation(numbers)


def _portable(text):
    """NVVM IR for any machine: one memory, and what a thread waits for as calls that say where it waits."""
    text = re.sub(r"^(target |!nvvm)[^\n]*$", "", text, flags=re.M)
    text = re.sub(r"@\"?llvm\.nvvm\.read\.ptx\.sreg\.(n?(?:cta|t)id)\.([xyz])\"?", r"@nbgrad_read_\1_\2", text)
    text = re.sub(r"@\"?llvm\.nvvm\.read\.ptx\.sreg\.(laneid|warpsize)\"?", r"@nbgrad_read_\1", text)
    text = re.sub(r" addrspace\(\d+\)", "", text).replace("addrspacecast", "bitcast")
    text = re.sub(r"@\"?llvm\.nvvm\.atomic\.load\.add\.(f32|f64)\.[^\s(\"]*\"?", r"@nbgrad_add_\1", text)
    names = "|".join(re.escape(n) for n in _INSTRUCTIONS)
    text = re.sub(rf'^declare [^\n]*@"?llvm\.nvvm\.(?:{names}|membar\.\w+)"?\([^\n]*$', "", text, flags=re.M)
    text = re.sub(r"^[^\n]*call void @\"?llvm\.nvvm\.membar\.\w+\"?\(\)[^\n]*$", "", text, flags=re.M)
    sites = itertools.count()

    def waits(match):
        return f"@nbgrad_{_INSTRUCTIONS[match[1]]}(i64 {next(sites)}{'' if match[2] else ', '}"

    text = re.sub(rf'@"?llvm\.nvvm\.({names})"?\((?=(\))?)', waits, text)
    parts = text.split(BETWEEN)
    for k, part in enumerate(parts):
        for name, (returned, arguments) in _WAITING.items():
            if f"@nbgrad_{name}(" in part:
                parts[k] += f"\ndeclare {returned} @nbgrad_{name}({arguments})\n"
    return BETWEEN.join(parts)


#: For what a thread waits: NVVM's name for it, and ours; of ours the types of results and arguments.
_INSTRUCTIONS = {"barrier0": "barrier", "barrier.cta.sync.aligned.all": "barrier_of", "shfl.sync.i32": "shuffle",
                 "vote.sync": "vote", "bar.warp.sync": "warp_barrier"}  # fmt: skip
_WAITING = {
    "barrier": ("void", "i64"), "barrier_of": ("void", "i64, i32"), "warp_barrier": ("void", "i64, i32"),
    "shuffle": ("{i32, i1}", "i64, i32, i32, i32, i32, i32"), "vote": ("{i32, i1}", "i64, i32, i32, i1"),
}  # fmt: skip
#: Functions that a kernel may call and that are no part of it.
_OF_THE_HOST = ("swapcontext",)


def _shared(text):
    """(name, bytes) of the memory that blocks of a kernel share."""
    bits = {"half": 16, "float": 32, "double": 64}
    for name, count, ty in re.findall(r'^@"?([\w.]+)"? = [^\n]*addrspace\(3\) global \[(\d+) x (\w+)\]', text, re.M):
        yield name, int(count) * (bits.get(ty) or -(-int(ty[1:]) // 8) * 8) // 8


#: Numbers along the axes, from those that are counted along all.
_READ = """
define i32 @nbgrad_read_{id}_x() {{
  %v = load i64, ptr @nbgrad_{id}
  %i = trunc i64 %v to i32
  %nx = call i32 @nbgrad_read_n{id}_x()
  %x = urem i32 %i, %nx
  ret i32 %x
}}
define i32 @nbgrad_read_{id}_y() {{
  %v = load i64, ptr @nbgrad_{id}
  %i = trunc i64 %v to i32
  %nx = call i32 @nbgrad_read_n{id}_x()
  %ny = call i32 @nbgrad_read_n{id}_y()
  %row = udiv i32 %i, %nx
  %y = urem i32 %row, %ny
  ret i32 %y
}}
define i32 @nbgrad_read_{id}_z() {{
  %v = load i64, ptr @nbgrad_{id}
  %i = trunc i64 %v to i32
  %nx = call i32 @nbgrad_read_n{id}_x()
  %ny = call i32 @nbgrad_read_n{id}_y()
  %row = udiv i32 %i, %nx
  %z = udiv i32 %row, %ny
  ret i32 %z
}}
"""


def _surroundings(symbol):
    """The registers of a thread as globals, one thread that may wait, and the loop over those that do not."""
    lines = [YIELD]
    for name in (*_GRID, "table", "start", "stop"):
        lines.append(f"@nbgrad_{name} = global i64 0")
    for name in _GRID[2:]:
        body = f"%v = load i64, ptr @nbgrad_{name}\n %n = trunc i64 %v to i32\n ret i32 %n"
        lines.append(f"define i32 @nbgrad_read_{name}() {{\n {body}\n}}")
    lines += [_READ.format(id=name) for name in _GRID[:2]]
    for ty, name in (("float", "f32"), ("double", "f64")):
        add = f"%old = atomicrmw fadd ptr %p, {ty} %x seq_cst\n  ret {ty} %old"
        lines.append(f"define {ty} @nbgrad_add_{name}(ptr %p, {ty} %x) {{\n  {add}\n}}")
    lines.append(
        f"""declare void @"{symbol}"(ptr, i64, i64)
define void @nbgrad_thread() {{
  %table = load ptr, ptr @nbgrad_table
  %start = load i64, ptr @nbgrad_start
  %stop = load i64, ptr @nbgrad_stop
  call void @"{symbol}"(ptr %table, i64 %start, i64 %stop)
  store i64 3, ptr @nbgrad_box
  ret void
}}
define void @nbgrad_block(ptr %table, i64 %start, i64 %stop) {{
entry:
  %nx = load i64, ptr @nbgrad_ntid_x
  %ny = load i64, ptr @nbgrad_ntid_y
  %nz = load i64, ptr @nbgrad_ntid_z
  %nxy = mul i64 %nx, %ny
  %count = mul i64 %nxy, %nz
  br label %loop
loop:
  %left = phi i64 [ %count, %entry ], [ %now, %loop ]
  %now = sub i64 %left, 1
  store i64 %now, ptr @nbgrad_tid
  call void @"{symbol}"(ptr %table, i64 %start, i64 %stop)
  %more = icmp ugt i64 %now, 0
  br i1 %more, label %loop, label %done
done:
  ret void
}}"""
    )
    return "\n".join(lines)


@functools.cache
def _initialise():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _library_text():
    from nbgrad.compile.cuda.nvvm import device_library

    text = _portable(str(llvm.parse_bitcode(device_library())))
    text = re.sub(r"call i32 @__nvvm_reflect\([^)]*\)(?: #\d+)?", "add i32 0, 0", text)
    text = instructions.defined(text)
    declared, lines = set(), []
    for line in text.split("\n"):
        name = re.match(r"declare [^@]*@([\w.]+)\(", line)
        if name is None or name[1] not in declared:
            lines.append(line)
            declared.update(name.groups() if name else ())
    return "\n".join(lines)


def _device_library():
    """A fresh copy: linking takes a module apart."""
    return llvm.parse_assembly(_library_text())


def assembled(ptx, architecture, instructions=False):
    """What NVIDIA's assembler makes of a kernel.

    Parameters
    ----------
    ptx : str
    architecture : str
        A real one, such as ``sm_80``.
    instructions : bool
        Look at the machine code too, which takes some ten times as long.

    Returns
    -------
    dict
        ``registers`` of a thread; bytes of its ``stack``, and of ``spill_stores`` and ``spill_loads``; bytes of memory
        ``shared`` by a block; and ``instructions``, a Counter of what NVIDIA's disassembler calls them, if asked for.

    Raises
    ------
    KernelError
        If the assembler is not installed, or does not take the kernel.
    """
    assembler = _tool("ptxas")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.ptx")
        with open(path, "w") as file:
            file.write(ptx)
        made = os.path.join(folder, "kernel.cubin")
        command = [assembler, f"-arch={architecture}", "-v", path, "-o", made]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode:
            raise KernelError(f"ptxas does not take this kernel for {architecture}: {said.stderr.strip()}")
        code = ""
        if instructions:
            code = subprocess.run([_tool("nvdisasm"), "-c", made], capture_output=True, text=True, check=True).stdout
    facts = {
        "registers": r"Used (\d+) registers", "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores", "spill_loads": r"(\d+) bytes spill loads",
    }  # fmt: skip
    found = {name: int(re.search(pattern, said.stderr)[1]) for name, pattern in facts.items()}
    shared = re.search(r"(\d+) bytes smem", said.stderr)
    names = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", code, flags=re.M)
    return {**found, "shared": int(shared[1]) if shared else 0, "instructions": Counter(names)}


def _tool(name):
    from cuda import pathfinder

    found = pathfinder.find_nvidia_binary_utility(name)
    if found is None:
        raise KernelError(f"NVIDIA's {name} was not found; install nbgrad[cuda-test]")
    return found


class Guarded:
    """An array whose surroundings show whether anything was written beside it; its elements are nan or -1 at first."""

    _patterns = itertools.cycle(range(0x81, 0xFB))  # each array has its own: what is copied along with it is seen too

    def __init__(self, shape, dtype):
        inside = size(shape) * numpy.dtype(dtype).itemsize
        self._pattern = next(self._patterns)
        self._bytes = numpy.full(GUARD + inside + GUARD, self._pattern, "u1")
        self.array = self._bytes[GUARD : self._bytes.size - GUARD].view(dtype).reshape(shape)
        self._bytes[GUARD : GUARD + inside] = 0xFF

    def check(self, what):
        """
        Raises
        ------
        KernelError
            If a byte before or behind the array was written.
        """
        for side, name in ((self._bytes[:GUARD], "before"), (self._bytes[self._bytes.size - GUARD :], "behind")):
            if (side != self._pattern).any():
                raise KernelError(f"{what}: memory {name} an array of {self.array.size} elements was written")


def lowered(fn, *arguments):
    """A `CudaLowering` of a function of Arrays, for arguments of these dtypes and shapes."""
    from nbgrad.array import asarray
    from nbgrad.compile.cuda.lower import CudaLowering
    from nbgrad.compile.simplify import simplify

    inputs = [asarray(a) for a in arguments]
    outputs = fn(*inputs)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return CudaLowering(*simplify([x._node for x in inputs], [y._node for y in outputs]))


def run(lowering, values, grid=3, block=32, order="down"):
    """Outputs of a program that was lowered for CUDA, each launch executed on the CPU.

    Parameters
    ----------
    lowering : CudaLowering
    values : sequence of array_like
        Its inputs.
    grid, block : int
        Blocks at most of each launch, and threads of a block where the launch leaves that open; the results do not
        depend on the former, nor those of elementwise kernels on the latter.
    order : {"down", "up"} or numpy.random.Generator
        As of `Kernel.run`.

    Returns
    -------
    list of ndarray

    Raises
    ------
    KernelError
        If a kernel writes beside its arrays, or does not leave its counters as they were.
    """
    memory = {}

    def placed(buffer):
        found = memory.get(buffer)
        if found is None:
            found = memory[buffer] = Guarded((buffer.size,), buffer.dtype)
            if buffer.kind in ("input", "captured"):
                given = values if buffer.kind == "input" else [n.fact("value") for n in lowering.captured]
                value = numpy.asarray(given[buffer.index]).ravel()
                found.array[...] = value.view(buffer.dtype) if value.dtype.kind == "c" else value
            elif buffer.kind == "counter":
                found.array[...] = 0
        return found

    def viewed(view):
        if isinstance(view, numpy.ndarray):
            return view
        array, size = placed(view.origin).array, view.origin.dtype.itemsize
        return numpy.ndarray(view.shape, array.dtype, array, view.offset * size, [s * size for s in view.strides])

    for launch in lowering.launches:
        if launch.host:
            reference, attrs = launch.host
            *operands, out = map(viewed, launch.operands)
            out[...] = reference(*operands, **attrs)
            continue
        table = numpy.array([bits(*v) if isinstance(v, tuple) else v for v in launch.words.values] or [0], numpy.int64)
        for index, view, _ in launch.words.addresses:
            array = placed(view.origin).array
            table[index] = array.ctypes.data + view.offset * array.itemsize
        threads = launch.block or block
        units = launch.per_block or threads
        blocks = launch.blocks or min(grid, -(-launch.total // units))
        blocks, threads = launch.dimensions or (blocks, threads)
        _kernel(launch.code.text, launch.code.symbol).run(blocks, threads, table, 0, launch.total, order)
        for buffer, guarded in memory.items():
            guarded.check(launch.name)
            if buffer.kind == "counter" and guarded.array[0]:
                raise KernelError(f"{launch.name}: left a counter at {guarded.array[0]}, which must be 0 again")
    made = zip(lowering.outputs, lowering.facts[1], strict=True)  # complex numbers are pairs in there
    return [placed(lowering.buffers[n]).array.view(dtype).reshape(shape) for n, (dtype, shape) in made]


@functools.cache
def _kernel(text, symbol):
    return Kernel(text, symbol)
