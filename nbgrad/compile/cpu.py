"""The processor that code is generated for, without loading LLVM where the system tells."""

import functools
import os


@functools.cache
def facts():
    """Its name and everything it can do, as strings; the last one is the list of features."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().partition("\n\n")[0].splitlines()
    except OSError:
        lines = ()
    found = dict([part.strip() for part in line.split(":", 1)] for line in lines if ":" in line)
    if "flags" in found:
        names = "vendor_id", "cpu family", "model", "stepping", "flags"
        return (os.uname().machine, *(found.get(name, "") for name in names))
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), " ".join(sorted(f for f, on in features.items() if on))


def has(feature):
    """Whether it has a feature, by LLVM's name for it."""
    return feature in facts()[-1].split()
