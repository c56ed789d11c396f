"""NVVM: LLVM IR in the form that NVIDIA's compiler takes, and PTX from it.

The IR is that of `nbgrad.compile.translate`.  NVVM knows few of LLVM's intrinsics; libdevice, NVIDIA's library of
device functions, has the others.  Sources: NVVM IR specification 2.0; libdevice user's guide.
"""

import functools
import re

from nbgrad.compile import translate
from nbgrad.compile.cuda import words  # noqa: F401 - they join the words of all kernels
from nbgrad.errors import KernelError

#: Data layout of 64-bit NVVM IR, and the versions of IR and debug information that it is written in.
LAYOUT = (
    "e-p:64:64:64-i1:8:8-i8:8:8-i16:16:16-i32:32:32-i64:64:64-i128:128:128-f32:32:32-f64:64:64-v16:16:16-v32:32:32-"
    "v64:64:64-v128:128:128-n16:32:64"
)
VERSION = (2, 0, 3, 1)

#: Between the modules of a program that has several.
BETWEEN = "\n; ---- the next module\n"

#: Intrinsics of floats that libdevice has under the same names; those for float32 end in f there.
_DEVICE = ("fabs", "copysign", "rint", "floor", "ceil", "trunc", "ldexp")

#: The larger or smaller one, where nan wins and 0 is larger than -0: of equal numbers the bits are joined.
_EXTREMUM = """
define internal {ty} @{name}({ty} %a, {ty} %b) {{
  %m = bitcast {ty} %a to {word}
  %n = bitcast {ty} %b to {word}
  %j = {join} {word} %m, %n
  %same = bitcast {word} %j to {ty}
  %equal = fcmp oeq {ty} %a, %b
  %first = fcmp {order} {ty} %a, %b
  %x = select i1 %first, {ty} %a, {ty} %b
  %y = select i1 %equal, {ty} %same, {ty} %x
  %nan = fcmp uno {ty} %a, %a
  %z = select i1 %nan, {ty} %a, {ty} %y
  ret {ty} %z
}}
"""


def module(source, functions, symbol):
    """NVVM IR of an emitted kernel, which `symbol` is the entry of.

    Parameters
    ----------
    source : str
        Defines one function, called ``kernel``.
    functions : dict
        What the source calls besides words: name -> (Python function, dtype name).
    """
    text = str(translate.kernel(source, functions, symbol, "cuda"))
    return _completed(text, f'void (i64*, i64, i64)* @"{symbol}"')


def device_module(source, functions, symbol, parameters, results):
    """NVVM IR of an emitted function of scalars, which kernels call as `symbol`.

    Parameters are those of `nbgrad.compile.translate.scalars`.
    """
    return _completed(str(translate.scalars(source, functions, symbol, parameters, results, "cuda")))


def _completed(text, kernel=None):
    """LLVM IR as NVVM takes it; `kernel` is the type and name of what is launched, if anything is."""
    text = re.sub(r'target triple = "[^"]*"', 'target triple = "nvptx64-nvidia-cuda"', text)
    text = re.sub(r'target datalayout = "[^"]*"', f'target datalayout = "{LAYOUT}"', text)
    text = re.sub(r"fneg (double|float|half) ", r"fsub \1 -0.0, ", text)  # there is no fneg in its LLVM
    text = re.sub(  # addresses in tables are of global memory, which has faster instructions than any memory
        r'^( *)(%\S+) = inttoptr i64 (\S+) to (\w+)\*$',
        r'\1\2.global = inttoptr i64 \3 to \4 addrspace(1)*\n\1\2 = addrspacecast \4 addrspace(1)* \2.global to \4*',
        text, flags=re.M,
    ).replace('".global', '.global"')  # fmt: skip
    text, helpers = _device_functions(text)
    version = ", ".join(f"i32 {n}" for n in VERSION)
    free = 1 + max([int(n) for n in re.findall(r"^!(\d+) =", text, flags=re.M)], default=-1)
    text = f"{text}{helpers}\n!nvvmir.version = !{{!{free}}}\n!{free} = !{{{version}}}\n"
    if kernel is None:
        return text
    return f'{text}!nvvm.annotations = !{{!{free + 1}}}\n!{free + 1} = !{{{kernel}, !"kernel", i32 1}}\n'


def _device_functions(text):
    """The text with intrinsics replaced by device functions, and definitions of those that no library has."""
    helpers = {}

    def device(match):
        name, precise = match[1], match[2] == "f64"
        if name in _DEVICE:
            return f"@__nv_{name}{'' if precise else 'f'}"
        if name in ("maximum", "minimum"):
            ty, word = ("double", "i64") if precise else ("float", "i32")
            own = f"nbgrad_{name}_{ty}"
            join, order = ("and", "ogt") if name == "maximum" else ("or", "olt")
            helpers[own] = _EXTREMUM.format(ty=ty, name=own, word=word, join=join, order=order)
            return f"@{own}"
        return match[0]

    text = re.sub(r'@"llvm\.(\w+)\.(f32|f64)(?:\.i32)?"', device, text)
    text = re.sub(r"^declare [^\n]*@nbgrad_(?:max|min)imum[^\n]*\n", "", text, flags=re.M)
    libm = "|".join(translate.LIBM)
    text = re.sub(rf'@"({libm})(f?)"\(', r"@__nv_\1\2(", text)
    return text, "".join(helpers.values())


def ptx(text, architecture):
    """PTX of a module for a virtual architecture such as ``compute_80``.

    Raises
    ------
    KernelError
        With what the compiler says, if it does not take the module; also where it is not installed.
    """
    return _made(text, architecture).rstrip(b"\0").decode()


def link_time(text, architecture):
    """The same as LTO-IR: bytes that NVIDIA's linker compiles together with what calls them."""
    return _made(text, architecture, "-gen-lto")


def _made(text, architecture, *further):
    nvvm = _compiler()
    program = nvvm.create_program()
    try:
        for part in text.split(BETWEEN):
            code = part.encode()
            nvvm.add_module_to_program(program, code, len(code), "kernel")
        if "@__nv_" in text:
            library = device_library()
            nvvm.lazy_add_module_to_program(program, library, len(library), "libdevice")
        options = [f"-arch={architecture}", "-opt=3", *further]
        try:
            nvvm.verify_program(program, len(options), options)
            nvvm.compile_program(program, len(options), options)
        except nvvm.nvvmError as error:
            log = bytearray(nvvm.get_program_log_size(program))
            nvvm.get_program_log(program, log)
            said = bytes(log).rstrip(b"\0").decode(errors="replace").strip()
            raise KernelError(f"NVVM does not compile this kernel for {architecture}: {error}\n{said}") from None
        result = bytearray(nvvm.get_compiled_result_size(program))
        nvvm.get_compiled_result(program, result)
        return bytes(result)
    finally:
        nvvm.destroy_program(program)


def _compiler():
    try:
        from cuda.bindings import nvvm
    except ImportError as error:
        raise KernelError(
            f"CUDA kernels need NVIDIA's compiler: {error}; install nbgrad[cuda13] or nbgrad[cuda12]"
        ) from None
    return nvvm


@functools.cache
def device_library():
    """The bitcode of libdevice."""
    from cuda import pathfinder

    with open(pathfinder.find_bitcode_lib("device"), "rb") as file:
        return file.read()
