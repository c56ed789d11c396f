"""Library: a program as a shared library for C, with a header and a description."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from nbgrad.compile import machine
from nbgrad.errors import ArgumentError, KernelError, MissingToolError
from nbgrad.export.callback import NAMES, declared
from nbgrad.export.names import identifier, identifiers
from nbgrad.runtime import call as calls

_HEADER = """\
/* {title}
   Made by nbgrad {version}; needs no Python.

{described}

   Arrays are contiguous, rows first. Any number of threads may call the function at one time. Intermediate values are
   in workspace, {name}_workspace({sizes}) bytes that belong to this call, or, where it is NULL, in memory from malloc.

   Returns 0; 1 where a size is less than its least value; 2 where there is no memory; 3 where a kernel failed. */
#ifndef {guard}
#define {guard}
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif

int32_t {name}({parameters});
int64_t {name}_workspace({counts});

#ifdef __cplusplus
}}
#endif
#endif
"""


@dataclasses.dataclass(frozen=True)
class Exported:
    """Files of an exported program.

    Attributes
    ----------
    library, header, description : pathlib.Path
    name : str
        Of the function in C.
    """

    library: pathlib.Path
    header: pathlib.Path
    description: pathlib.Path
    name: str


def made(program, path, name, cpu):
    """Write the three files; see ``export`` of a jitted function."""
    path = pathlib.Path(path)
    if not path.suffix:
        path = path.with_suffix(".so")
    if not path.parent.is_dir():
        raise ArgumentError(
            f"{program.call}: path is {str(path)!r}, and there is no folder {str(path.parent)!r}; make the folder first"
        )
    name = identifier(path.stem.removeprefix("lib")) if name is None else name
    if name != identifier(name):
        raise ArgumentError(f"{program.call}: name must be an identifier of C, got {name!r}; use {identifier(name)!r}")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".nbgrad") as folder:
        texts = {
            path.with_suffix(".h"): _header(program, name),
            path.with_suffix(".json"): json.dumps(_description(program, name, path, cpu), indent=2) + "\n",
        }
        library = _linked(program, name, cpu, pathlib.Path(folder))
        for target, text in texts.items():
            fresh = pathlib.Path(folder) / target.name
            fresh.write_text(text)
            os.replace(fresh, target)
        os.replace(library, path)
    return Exported(path, path.with_suffix(".h"), path.with_suffix(".json"), name)


def _linked(program, name, cpu, folder):
    """A shared library in a folder."""
    compiler = os.environ.get("CC") or next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise MissingToolError(
            f"{program.call}: a shared library is linked by a C compiler, and none of cc, gcc and clang was found; "
            "install one, or name it in the environment variable CC"
        )
    if cpu != "native" and not _is_known(cpu):
        raise KernelError(
            f"{program.call}: LLVM knows no cpu {cpu!r} here; give 'native', or a name such as 'x86-64-v3' or 'skylake'"
        )
    entry = program.entry(name)
    code = machine.object_code(entry.text(), machine.KERNELS, None if cpu == "native" else cpu)
    objects = []
    for k, part in enumerate([code, *entry.objects]):
        objects.append(folder / f"{k}.o")
        objects[-1].write_bytes(part)
    library = folder / "library"
    command = [*compiler.split(), "-shared", "-Wl,-z,defs", "-o", str(library), *map(str, objects), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    missing = sorted(set(re.findall(r"undefined (?:reference to|symbol:?) [`'\"]?(\w+)", done.stderr)))
    if done.returncode and missing:
        raise KernelError(
            f"{program.call}: the library would need {', '.join(missing)}, which are in this process only: functions "
            "that were adopted from others, or memory of Numba's for a kernel of arrays; leave them out"
        )
    if done.returncode:
        raise KernelError(f"{program.call}: {' '.join(command)} failed:\n{done.stderr.strip()}")
    return library


def _is_known(cpu):
    """Whether LLVM has code for a CPU; asked in a process of its own, which LLVM ends if not."""
    text = "define i64 @f(i64 %x) { ret i64 %x }"
    ask = f"import machine; machine.object_code({text!r}, cpu={cpu!r})"
    folder = os.path.dirname(machine.__file__)
    done = subprocess.run([sys.executable, "-c", ask], cwd=folder, capture_output=True, text=True)
    return done.returncode == 0 and "not a recognized processor" not in done.stderr


def _header(program, name):
    arguments = identifiers(program.traces.names)
    lines = []
    for a, value, shape in zip(arguments, program.traces.values, program.shapes(), strict=True):
        lines.append(f"   {a}: {_array(value.dtype, shape, program)}, an argument")
    for k, (dtype, shape, place) in enumerate(
        zip(program.outputs, program.plan.shapes, places(program.results), strict=True)
    ):
        lines.append(f"   out{k}: {_array(dtype, shape, program)}, {place}")
    lines += [f"   {n}: a size, at least {least}" for n, least in zip(program.names, program.minima, strict=True)]
    parameters = [
        f"{'const ' if k < len(arguments) else ''}{NAMES[dtype]} *{n}" if pointer else f"int64_t {n}"
        for k, (n, dtype, pointer) in enumerate(declared(program))
    ]
    from nbgrad import __version__

    return _HEADER.format(
        title=program.call.partition(" of ")[2] or name, version=__version__, described="\n".join(lines), name=name,
        guard=f"{name.upper()}_H", parameters=", ".join([*parameters, "void *workspace"]),
        sizes=", ".join(program.names), counts=", ".join(f"int64_t {n}" for n in program.names) or "void",
    )  # fmt: skip


def _array(dtype, shape, program):
    extents = "".join(f"[{f.text(program.names)}]" for f in shape)
    pairs = ", pairs of real and imaginary part" if dtype.kind == "c" else ""
    return f"{NAMES[str(dtype)]}{extents or ', one number'}{pairs}"


def places(results):
    """Where each output is in the results, as Python writes it: ``result``, ``result[1]['w']``."""

    def nest(kind, parts):
        named = enumerate(parts)
        if kind == calls.DICT:
            named = ((repr(key), part) for key, part in zip(parts[::2], parts[1::2], strict=True))
        return [(k, f"[{at}]{deep}") for at, part in named if isinstance(part, list) for k, deep in part]

    found = results.folded(lambda k: [(k, "")], lambda value: value, nest)
    return [f"result{place}" for _, place in sorted(found)]


def _description(program, name, path, cpu):
    arguments = identifiers(program.traces.names)
    text = lambda shape: [f.text(program.names) for f in shape]  # noqa: E731
    return {
        "function": name,
        "library": path.name,
        "cpu": cpu,
        "inputs": [
            {"name": a, "argument": path_, "dtype": str(v.dtype), "shape": text(s)}
            for a, path_, v, s in zip(
                arguments, program.traces.names, program.traces.values, program.shapes(), strict=True
            )
        ],
        "outputs": [
            {"name": f"out{k}", "place": place, "dtype": str(d), "shape": text(s)}
            for k, (d, s, place) in enumerate(
                zip(program.outputs, program.plan.shapes, places(program.results), strict=True)
            )
        ],
        "sizes": [{"name": n, "least": m} for n, m in zip(program.names, program.minima, strict=True)],
        "fixed": [{"extent": program.traces.example[k], "why": why} for k, why in sorted(program.plan.reasons.items())],
        "returns": {"0": "done", "1": "a size is less than its least value", "2": "no memory", "3": "a kernel failed"},
    }
