"""CUDA kernels executed on the CPU: the NVVM IR that would go to NVIDIA's compiler, with NVIDIA's libdevice.

What is executed is the very text that PTX is made from, so typing, indexing and control flow are those of the
kernel, and mathematics from libdevice is that of the device.  It is no GPU: the optimiser and the assembler of
NVIDIA are left out, multiplications and additions are fused where this CPU would, hardware approximations are not
modelled, and threads run one after another.  Kernels in which threads wait for each other are refused.
"""

import ctypes
import functools
import os
import re
import subprocess
import tempfile

import llvmlite.binding as llvm
import numpy

from nbgrad.errors import KernelError
from nbgrad.runtime.compiled import bits
from nbgrad.shapes import size

#: Bytes before and behind each array that a kernel must leave as they are.
GUARD = 256

#: What NVVM's intrinsics of one float are called for any machine; without an entry here a kernel is refused.
_NVVM = {"fabs": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven", "sqrt.rn": "sqrt"}

_GRID = ("tid", "ntid", "ctaid", "nctaid")


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
        _initialise()
        module = llvm.parse_assembly(_portable(text))
        if "@__nv_" in text:
            module.link_in(_device_library())
        module.link_in(llvm.parse_assembly(_surroundings(symbol)))
        for function in module.functions:
            if not function.is_declaration and function.name not in ("nbgrad_block",):
                function.linkage = "internal"
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1
        )
        module.triple, module.data_layout = llvm.get_process_triple(), str(machine.target_data)
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
        passes.getModulePassManager().run(module, passes)
        missing = [f.name for f in module.functions if f.is_declaration and f.name.startswith(("llvm.nvvm", "__nv"))]
        if missing:
            raise KernelError(f"this kernel cannot run on a CPU: it calls {', '.join(sorted(missing))}")
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        shape = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
        self._block = shape(self._engine.get_function_address("nbgrad_block"))
        self._grid = {
            n: ctypes.c_int32.from_address(self._engine.get_global_value_address(f"nbgrad_{n}")) for n in _GRID
        }

    def run(self, grid, block, table, start, stop):
        """Run `grid` blocks of `block` threads over a table of words; blocks, and threads, in descending order.

        Parameters
        ----------
        grid, block : int
        table : ndarray of int64
            Extents, strides, numbers and addresses, as the kernel reads them.
        start, stop : int
            What the grid computes.
        """
        self._grid["ntid"].value, self._grid["nctaid"].value = block, grid
        for b in reversed(range(grid)):
            self._grid["ctaid"].value = b
            self._block(table.ctypes.data, start, stop)


def _portable(text):
    """NVVM IR for any machine: without what only its compiler reads."""
    text = re.sub(r"^(target |!nvvm)[^\n]*$", "", text, flags=re.M)
    return re.sub(r"@\"?llvm\.nvvm\.read\.ptx\.sreg\.(\w+)\.x\"?", r"@nbgrad_read_\1", text)


def _surroundings(symbol):
    """The registers of a thread as globals, and the loop over the threads of a block."""
    lines = []
    for name in _GRID:
        lines.append(f"@nbgrad_{name} = global i32 0")
        body = f"%v = load i32, ptr @nbgrad_{name}\n ret i32 %v"
        lines.append(f"define i32 @nbgrad_read_{name}() {{\n {body}\n}}")
    lines.append(
        f"""declare void @"{symbol}"(ptr, i64, i64)
define void @nbgrad_block(ptr %table, i64 %start, i64 %stop) {{
entry:
  %count = load i32, ptr @nbgrad_ntid
  br label %loop
loop:
  %left = phi i32 [ %count, %entry ], [ %now, %loop ]
  %now = sub i32 %left, 1
  store i32 %now, ptr @nbgrad_tid
  call void @"{symbol}"(ptr %table, i64 %start, i64 %stop)
  %more = icmp ugt i32 %now, 0
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
    known = "|".join(map(re.escape, _NVVM))

    def plain(match):
        return f"@llvm.{_NVVM[match[1]]}.{ {'d': 'f64', 'f': 'f32'}.get(match[2], match[2]) }"

    text = re.sub(rf"@llvm\.nvvm\.({known})(?:\.ftz)?\.(f64|f32|d|f)\b", plain, text)
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


def assembled(ptx, architecture):
    """What NVIDIA's assembler makes of a kernel.

    Parameters
    ----------
    ptx : str
    architecture : str
        A real one, such as ``sm_80``.

    Returns
    -------
    dict of int
        ``registers`` of a thread; bytes of its ``stack``, and of ``spill_stores`` and ``spill_loads``.

    Raises
    ------
    KernelError
        If the assembler is not installed, or does not take the kernel.
    """
    from cuda import pathfinder

    assembler = pathfinder.find_nvidia_binary_utility("ptxas")
    if assembler is None:
        raise KernelError("NVIDIA's assembler ptxas was not found; install nbgrad[cuda-test]")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.ptx")
        with open(path, "w") as file:
            file.write(ptx)
        command = [assembler, f"-arch={architecture}", "-v", path, "-o", os.path.join(folder, "kernel.cubin")]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode:
        raise KernelError(f"ptxas does not take this kernel for {architecture}: {said.stderr.strip()}")
    facts = {
        "registers": r"Used (\d+) registers", "stack": r"(\d+) bytes stack frame",
        "spill_stores": r"(\d+) bytes spill stores", "spill_loads": r"(\d+) bytes spill loads",
    }  # fmt: skip
    return {name: int(re.search(pattern, said.stderr)[1]) for name, pattern in facts.items()}


class Guarded:
    """An array whose surroundings show whether anything was written beside it."""

    def __init__(self, shape, dtype):
        inside = size(shape) * numpy.dtype(dtype).itemsize
        self._bytes = numpy.full(GUARD + inside + GUARD, 0xA5, "u1")
        self.array = self._bytes[GUARD : self._bytes.size - GUARD].view(dtype).reshape(shape)

    def check(self, what):
        """
        Raises
        ------
        KernelError
            If a byte before or behind the array was written.
        """
        for side, name in ((self._bytes[:GUARD], "before"), (self._bytes[self._bytes.size - GUARD :], "behind")):
            if (side != 0xA5).any():
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


def run(lowering, values, grid=3, block=32):
    """Outputs of a program that was lowered for CUDA, each launch executed on the CPU.

    Parameters
    ----------
    lowering : CudaLowering
    values : sequence of array_like
        Its inputs.
    grid, block : int
        Blocks of each launch and threads of each block; the results do not depend on them.

    Returns
    -------
    list of ndarray

    Raises
    ------
    KernelError
        If a kernel writes beside its arrays.
    """
    memory = {}

    def placed(buffer):
        found = memory.get(buffer)
        if found is None:
            found = memory[buffer] = Guarded((buffer.size,), buffer.dtype)
            if buffer.kind in ("input", "captured"):
                given = values if buffer.kind == "input" else [n.fact("value") for n in lowering.captured]
                found.array[...] = numpy.asarray(given[buffer.index]).ravel()
        return found

    for launch in lowering.launches:
        table = numpy.array([bits(*v) if isinstance(v, tuple) else v for v in launch.words.values] or [0], numpy.int64)
        for index, view, _ in launch.words.addresses:
            array = placed(view.origin).array
            table[index] = array.ctypes.data + view.offset * array.itemsize
        _kernel(launch.code.text, launch.code.symbol).run(grid, block, table, 0, launch.total)
        for guarded in memory.values():
            guarded.check(launch.name)
    return [placed(lowering.buffers[n]).array.reshape(n.shape) for n in lowering.outputs]


@functools.cache
def _kernel(text, symbol):
    return Kernel(text, symbol)
