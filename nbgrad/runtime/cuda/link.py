"""PTX to machine code of one architecture by nvJitLink, cached on the disk beside the kernels of the CPU.

This needs no driver: a driver would only take PTX that is not newer than itself.
"""

import hashlib
import importlib

from nbgrad.compile import cache
from nbgrad.errors import KernelError
from nbgrad.statistics import COUNTERS


def library(name):
    """The bindings of ``nvvm`` or ``nvjitlink``, their library loaded."""
    bindings = importlib.import_module(f"cuda.bindings.{name}")
    bindings.version()  # loads it
    return bindings


def machine_code(code, capability):
    """The cubin of a kernel for a compute capability.

    Parameters
    ----------
    code : nbgrad.compile.cuda.lower.Code
    capability : (int, int)
    """
    number = "{}{}".format(*capability)
    versions = [library(name).version() for name in ("nvvm", "nvjitlink")]
    key = hashlib.sha256("\n".join(("cubin", code.text, number, repr(versions))).encode()).hexdigest()
    found = cache.read(key)
    if found is not None:
        COUNTERS["kernels_loaded"] += 1
        return found
    made = linked(code.ptx(f"compute_{number}"), f"sm_{number}")
    COUNTERS["kernels_compiled"] += 1
    cache.write(key, made)
    return made


def linked(ptx, architecture):
    """The cubin of PTX for a real architecture such as ``sm_80``.

    Raises
    ------
    KernelError
        With what nvJitLink says, if it does not take the PTX.
    """
    nvjitlink = library("nvjitlink")
    options = [f"-arch={architecture}", "-O3"]
    handle = nvjitlink.create(len(options), options)
    try:
        text = ptx.encode()
        try:
            nvjitlink.add_data(handle, nvjitlink.InputType.PTX, text, len(text), "kernel")
            nvjitlink.complete(handle)
        except nvjitlink.nvJitLinkError as error:
            log = bytearray(nvjitlink.get_error_log_size(handle))
            nvjitlink.get_error_log(handle, log)
            said = bytes(log).rstrip(b"\0").decode(errors="replace").strip()
            raise KernelError(f"nvJitLink does not take this kernel for {architecture}: {error}\n{said}") from None
        made = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, made)
        return bytes(made)
    finally:
        nvjitlink.destroy(handle)
