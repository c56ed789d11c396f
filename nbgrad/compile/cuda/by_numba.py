"""Kernels that users write for ``numba.cuda``, as launches like any other.

before: ``def kernel(x, out): i = cuda.grid(1); ...``    after: NVVM IR of it, and an entry that reads a table of words

numba-cuda compiles the function to NVVM IR as a function of arrays, each of which is passed as its fields.  The entry
calls it with what is in the table: addresses, extents and numbers; so a new size compiles nothing.  What is private to
numba-cuda and needed for that is here.
"""

import contextlib
import hashlib
import inspect
import math
import re
import threading
import types as python_types

import numpy

from nbgrad import shapes
from nbgrad.compile import native
from nbgrad.compile.arrays import dtype_of
from nbgrad.compile.cuda import nvvm
from nbgrad.compile.launch import Launch
from nbgrad.compile.source import Words, name_of
from nbgrad.compile.words import KINDS, POINTERS
from nbgrad.errors import KernelError

#: The capability that kernels are lowered for: the oldest that CUDA 13 knows, whose IR the newer ones take.
CAPABILITY = (7, 5)
#: Blocks along the axes of a grid, threads along those of a block, and threads of a block (CUDA programming guide,
#: technical specifications by compute capability).
GRID, BLOCK, THREADS = (2**31 - 1, 65535, 65535), (1024, 1024, 64), 1024
_INSTALL = "pip install nbgrad[cuda13] (or nbgrad[cuda12] for an older driver)"
#: Options of ``numba.cuda.jit`` that are as they are by default, or of no weight here.
_OPTIONS = {"cache", "device", "extensions", "fastmath", "forceinline", "inline", "lto", "opt"}


class Code:
    """NVVM IR of a kernel and the name of its entry."""

    __slots__ = ("symbol", "text")

    def __init__(self, text, symbol):
        self.text, self.symbol = text, symbol

    def ready(self):
        """There is nothing to wait for."""
        return True

    def ptx(self, architecture):
        """PTX for a virtual architecture such as ``compute_80``."""
        return nvvm.ptx(self.text, architecture)


def dimensions(node):
    """(grid, block) of a node's kernel, each of three extents, as its layout says; None: on the host.

    Raises
    ------
    KernelError
        If that is nothing that a GPU can launch.
    """
    said = node.primitive.cuda.layout(node)
    if said is None:
        return None
    call = f"{node.primitive.name}.cuda_kernel"
    if not (isinstance(said, (tuple, list)) and len(said) == 2):
        raise KernelError(
            f"{call}: layout returned {said!r}, expected (grid, block): integers, or tuples of up to three; "
            "return None to compute on the host"
        )
    grid, block = _three(call, "grid", said[0], GRID), _three(call, "block", said[1], BLOCK)
    if math.prod(block) > THREADS:
        raise KernelError(
            f"{call}: layout returned block {said[1]!r} of {math.prod(block)} threads, expected at most {THREADS}; "
            "return a smaller block, and more of them"
        )
    if 0 in grid and shapes.size(node.shape):
        raise KernelError(
            f"{call}: layout returned grid {said[0]!r} for an output of shape {node.shape}, expected at least one "
            "block; return None to compute on the host"
        )
    return grid, block


def _three(call, what, said, most):
    """Extents along three axes."""
    extents = said if isinstance(said, (tuple, list)) else (said,)
    whole = all(isinstance(n, (int, numpy.integer)) and not isinstance(n, bool) for n in extents)
    least = 1 if what == "block" else 0
    if not (whole and 1 <= len(extents) <= 3 and all(least <= n <= m for n, m in zip(extents, most, strict=False))):
        raise KernelError(
            f"{call}: layout returned {what} {said!r}, expected an integer or a tuple of up to three, of at least "
            f"{least} and at most {', '.join(map(str, most))}; round up, as in -(-n // 128)"
        )
    return (*map(int, extents), *(1,) * (3 - len(extents)))


def launch(node, reads, outs, extents):
    """The `Launch` of a node's kernel.

    Parameters
    ----------
    node : Node
    reads : list of View
        Its inputs, contiguous.
    outs : list of View
        Its results, contiguous.
    extents : (grid, block)
        As of `dimensions`.

    Raises
    ------
    KernelError
        Where numba-cuda is not installed, or does not compile the kernel.
    """
    primitive, words = node.primitive, Words()
    arrays = []
    for k, view in enumerate((*reads, *outs)):
        words.address(view, "load" if k < len(reads) else "store")
        for n in view.shape:
            words.add(n)
        arrays.append((name_of(view.origin.dtype), len(view.shape)))
    numbers = []
    attrs = dict(node.attrs)
    for value in (dict(attrs["rule"].attrs) if primitive.kind == "call" else attrs).values():
        dtype = dtype_of(value, node.dtype)
        if dtype is not None:
            numbers.append(dtype)
            words.add((value, dtype))
    made = Launch(primitive.name)
    made.words, made.source = words, _source(primitive.cuda.kernel)
    made.code = _code(primitive, tuple(arrays), tuple(numbers), len(reads))
    made.dimensions, made.per_block = extents, 1
    made.blocks, made.block = map(math.prod, extents)
    return made


def _source(kernel):
    """What a kernel was written as, to be shown."""
    try:
        return inspect.getsource(getattr(kernel, "py_func", kernel))
    except OSError:
        return f"# {getattr(kernel, '__name__', 'a kernel')}: its source is not available\n"


#: (kernel, arrays, numbers, how many are inputs) -> Code.
_made: dict = {}
_lock = threading.RLock()


def _code(primitive, arrays, numbers, inputs):
    """The `Code` of a kernel for arrays of (dtype, rank), inputs first, and numbers of dtypes; compiled once."""
    key = primitive.cuda.kernel, arrays, numbers, inputs
    found = _made.get(key)
    if found is None:
        with _lock:
            found = _made.get(key)
            if found is None:
                found = _made[key] = _compiled(primitive, arrays, numbers, inputs)
    return found


def _compiled(primitive, arrays, numbers, inputs):
    call, kernel = f"{primitive.name}.cuda_kernel", primitive.cuda.kernel
    _numba_cuda(call)
    function, fast = _function(call, kernel)
    modules, inner = _modules(call, function, fast, arrays, numbers, inputs)
    modules, inner = _renamed(modules, inner)
    modules[0] = modules[0].replace(f'define i32 @"{inner}"', f'define internal i32 @"{inner}"', 1)
    passed = [field for k, (dtype, rank) in enumerate(arrays) for field in _fields(dtype, rank, k)]
    passed += [(_memory(d), f"%n{k}") for k, d in enumerate(numbers)]
    found, expected = _parameters(modules[0], inner), ["i8**", *(ty for ty, _ in passed)]
    if found != expected:
        raise KernelError(
            f"{call}: numba-cuda passes ({', '.join(found)}), expected ({', '.join(expected)}), as its version "
            "0.30 does; install that version"
        )
    digest = hashlib.sha256("".join((*modules, repr(arrays), repr(numbers))).encode())
    symbol = native.symbol_of(digest.hexdigest())
    modules[0] += _entry(modules[0], inner, symbol, arrays, numbers, passed)
    return Code(nvvm.BETWEEN.join(modules), symbol)


def _function(call, kernel):
    """(Python function, whether its maths is fast) of a function, or of what ``numba.cuda.jit`` makes of one."""
    function = getattr(kernel, "py_func", kernel)
    options = getattr(kernel, "targetoptions", {})
    refused = sorted(k for k, v in options.items() if v and k not in _OPTIONS)
    if options.get("device") or refused:
        shown = "device" if options.get("device") else ", ".join(refused)
        raise KernelError(
            f"{call}: {function.__name__} has the options {shown} of numba.cuda.jit, expected none but fastmath; give "
            "the function without numba.cuda.jit"
        )
    return function, bool(options.get("fastmath"))


# ------------------------------------------------------------ numba-cuda


def _numba_cuda(call):
    try:
        from numba import cuda
    except Exception as error:  # a missing library of NVIDIA is a RuntimeError there
        raise KernelError(f"{call}: the kernel needs numba-cuda: {error}; {_INSTALL}") from None
    if getattr(cuda, "implementation", None) != "NVIDIA":
        raise KernelError(f"{call}: the kernel needs numba-cuda, which is not installed; {_INSTALL}")


def _modules(call, function, fast, arrays, numbers, inputs):
    """(texts of NVVM IR, name of the kernel in them)."""
    from numba import types
    from numba.cuda import compiler
    from numba.cuda.cudadrv.nvvm import llvm_replace

    def kind(name):
        return types.boolean if name == "bool" else getattr(types, name)

    signature = [types.Array(kind(d), rank, "C", readonly=k < inputs) for k, (d, rank) in enumerate(arrays)]
    signature += map(kind, numbers)
    try:
        with _capability():
            result = compiler.compile_cuda(
                function, types.void, tuple(signature), fastmath=fast, cc=CAPABILITY, nvvm_options={"opt": 3}
            )  # fmt: skip
        library = result.library
        texts = [llvm_replace(text) for text in library.llvm_strs]
    except Exception as error:
        passed = ", ".join(map(str, signature))
        raise KernelError(f"{call}: numba-cuda does not compile {function.__name__}({passed}): {error}") from error
    reasons = {
        "it links files or other people's code": library._linking_files,
        "it calls the device runtime": library.needs_cudadevrt,
        "it synchronises the whole grid": library.use_cooperative,
        "it reads arrays that are no arguments": library.referenced_objects,
        "it has shared memory whose size is no constant": re.search(r"addrspace\(3\)[^\n]* \[0 x", "\n".join(texts)),
    }
    found = [reason for reason, there in reasons.items() if there]
    if found:
        raise KernelError(
            f"{call}: {function.__name__} cannot be launched by nbgrad, since {' and '.join(found)}; use static shared "
            "memory, pass arrays as inputs, and split what needs the whole grid into several primitives"
        )
    return texts, result.fndesc.llvm_func_name


@contextlib.contextmanager
def _capability():
    """numba-cuda asks the current device for its capability wherever a kernel calls another function; answer for it.

    IR is for every architecture, and there may be no device.
    """
    from numba.core.compiler_lock import global_compiler_lock
    from numba.cuda import dispatcher

    with global_compiler_lock:
        asked, own = dispatcher.get_current_device, threading.get_ident()
        answer = python_types.SimpleNamespace(compute_capability=CAPABILITY)
        dispatcher.get_current_device = lambda: answer if threading.get_ident() == own else asked()
        try:
            yield
        finally:
            dispatcher.get_current_device = asked


# ------------------------------------------------------------ IR


def _renamed(modules, inner):
    """(the modules, that of the kernel first, and its name) with names that do not count what was compiled before.

    Programs of the same kernel are then one text in every process, which the disk cache knows again.
    """
    main = next(m for m in modules if re.search(rf"^define [^\n]*@\"{re.escape(inner)}\"", m, flags=re.M))

    def mentioned(module):
        defined = re.search(r'^define [^\n]*?@"(_ZN[^"]+)"', module, flags=re.M)
        place = main.find(defined[1]) if defined else -1
        return place if place >= 0 else len(main), len(module)

    names = {}
    ordered = [main, *sorted((m for m in modules if m is not main), key=mentioned)]
    for k, text in enumerate(ordered):
        text = re.sub(r"^; ModuleID[^\n]*\n", "", text, flags=re.M)
        text = re.sub(r'^@"_ZN08NumbaEnv[^\n]*= common global i8\* null\n', "", text, flags=re.M)  # for Python only
        text = re.sub(r'@"(__nv_\w+)"', r"@\1", text)  # as they are written everywhere else here
        ordered[k] = re.sub(r'"(_ZN[^"]+)"', lambda m: f'"{names.setdefault(m[1], f"nbgrad_part_{len(names)}")}"', text)
    return ordered, names[inner]


def _parameters(module, name):
    """The types of a function's parameters."""
    listed = re.search(rf'^define [^\n]*@"{name}"\(([^\n]*)\)', module, flags=re.M)[1]
    return [parameter.split()[0] for parameter in listed.split(", ")]


def _memory(dtype):
    """The type of a number where it is passed or kept; booleans are bytes in memory."""
    return str(POINTERS[dtype].ir.pointee) if dtype != "bool" else "i8"


def _fields(dtype, rank, k):
    """(type, value) of what Numba passes for array number k."""
    fields = [("i8*", "null"), ("i8*", "null"), ("i64", f"%count{k}"), ("i64", str(numpy.dtype(dtype).itemsize))]
    fields.append((f"{_memory(dtype)}*", f"%data{k}"))
    return fields + [("i64", f"%{what}{k}.{axis}") for what in ("shape", "stride") for axis in range(rank)]


def _entry(module, inner, symbol, arrays, numbers, passed):
    """NVVM IR of ``void symbol(int64* args, int64 start, int64 stop)``, which is launched: it calls the kernel."""
    lines, word = [], 0

    def read(name):
        nonlocal word
        lines.append(f"  {name}.at = getelementptr i64, i64* %args, i64 {word}")
        lines.append(f"  {name} = load i64, i64* {name}.at")
        word += 1

    for k, (dtype, rank) in enumerate(arrays):
        ty, step = _memory(dtype), str(numpy.dtype(dtype).itemsize)
        read(f"%address{k}")
        lines.append(f"  %global{k} = inttoptr i64 %address{k} to {ty} addrspace(1)*")
        lines.append(f"  %data{k} = addrspacecast {ty} addrspace(1)* %global{k} to {ty}*")
        for axis in range(rank):
            read(f"%shape{k}.{axis}")
        count = "1"
        for axis in range(rank)[::-1]:
            lines.append(f"  %stride{k}.{axis} = mul i64 {step}, 1")
            step, before, count = f"%step{k}.{axis}", count, f"%some{k}.{axis}"
            lines.append(f"  {step} = mul i64 %stride{k}.{axis}, %shape{k}.{axis}")
            lines.append(f"  {count} = mul i64 {before}, %shape{k}.{axis}")
        lines.append(f"  %count{k} = mul i64 {count}, 1")
    for k, dtype in enumerate(numbers):
        read(f"%word{k}")
        kind, ty = KINDS[dtype], _memory(dtype)
        width = 8 if dtype == "bool" else kind.bitwidth
        whole = f"%word{k}" if width == 64 else f"%low{k}"
        if width != 64:
            lines.append(f"  {whole} = trunc i64 %word{k} to i{width}")
        lines.append(f"  %n{k} = bitcast i{width} {whole} to {ty}")
    given = ", ".join(["i8** %returned", *(f"{ty} {value}" for ty, value in passed)])
    body = "\n".join(lines)
    free = 1 + max(int(n) for n in re.findall(r"^!(\d+) =", module, flags=re.M))
    return f"""
define void @"{symbol}"(i64* %args, i64 %start, i64 %stop) {{
  %returned = alloca i8*
{body}
  %status = call i32 @"{inner}"({given})
  ret void
}}
!nvvm.annotations = !{{!{free}}}
!{free} = !{{void (i64*, i64, i64)* @"{symbol}", !"kernel", i32 1}}
"""
