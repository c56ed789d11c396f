"""Loader: object code into executable memory, without LLVM.

A process whose kernels are all in the disk cache needs no compiler, and loading LLVM to link takes longer than
everything else such a process does before its first gradient.  What LLVM writes for one module is a small part
of ELF (System V ABI, AMD64 supplement 1.0, section 4.4): a few sections, and relocations of a few kinds.  An
object with anything else is left to LLVM's own linker, as are objects for other systems.
"""

import ctypes
import functools
import mmap
import struct

import numpy

from nbgrad.compile import machine

#: Whether objects of this system can be loaded here.
APPLIES = machine.BESIDE

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = numpy.dtype([
    ("name", "<u4"), ("type", "<u4"), ("flags", "<u8"), ("address", "<u8"), ("offset", "<u8"), ("size", "<u8"),
    ("link", "<u4"), ("info", "<u4"), ("align", "<u8"), ("entry", "<u8"),
])  # fmt: skip
_SYMBOL = numpy.dtype([
    ("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8"),
])  # fmt: skip
_RELOCATION = numpy.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_SYMTAB, _RELA, _NOBITS = 2, 4, 8
_ALLOCATED, _WRITABLE = 2, 1
#: The type of a symbol that names the source of an object.
_FILE = 4
#: Kinds of relocation: a 64-bit address; 32-bit distances to data and to a function; a 64-bit distance.
_ADDRESS, _DISTANCE, _CALL, _FAR = 1, 2, 4, 24
#: ``jmp [rip]`` and behind it the address: how code reaches functions that are too far for a 32-bit distance.
_JUMP = b"\xff\x25\x00\x00\x00\x00"
_JUMP_SIZE = 16


class Unsupported(Exception):
    """The object file holds what is not loaded here."""


def load(code, symbol):
    """Address of the function `symbol` of an ELF object.

    Raises
    ------
    Unsupported
        Something in it is left to LLVM.
    """
    if not APPLIES or len(code) < _HEADER.size or code[:6] != b"\x7fELF\x02\x01":
        raise Unsupported("not an ELF object of 64 bits")
    _, kind, cpu, _, _, _, at, _, _, _, _, size, count, _ = _HEADER.unpack_from(code)
    if (kind, cpu, size) != (1, 62, _SECTION.itemsize):
        raise Unsupported("not a relocatable object for x86-64")
    sections = numpy.frombuffer(code, _SECTION, count, at)
    symbols, names = _symbols(code, sections)
    needed = sections["flags"] & _ALLOCATED != 0
    if numpy.any(sections["flags"][needed] & _WRITABLE) or numpy.any(sections["type"][needed] == _NOBITS):
        raise Unsupported("data that can be written")
    places, total = {}, 0
    for k in numpy.flatnonzero(needed):
        align = max(int(sections["align"][k]), 1)
        total = -(-total // align) * align
        places[int(k)] = total
        total += int(sections["size"][k])
    outside = [int(k) for k in numpy.flatnonzero((symbols["section"] == 0) & (symbols["name"] != 0))]
    jumps = {k: -(-total // _JUMP_SIZE) * _JUMP_SIZE + i * _JUMP_SIZE for i, k in enumerate(outside)}
    memory = mmap.mmap(-1, total + (len(outside) + 1) * _JUMP_SIZE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for k, place in places.items():
        start = int(sections["offset"][k])
        memory[place : place + int(sections["size"][k])] = code[start : start + int(sections["size"][k])]
    address = numpy.zeros(len(symbols), numpy.int64)
    for k, s in enumerate(symbols["section"].tolist()):
        if s in places:
            address[k] = base + places[s] + int(symbols["value"][k])
    for k in outside:
        address[k] = found = _function(names(k))
        memory[jumps[k] : jumps[k] + _JUMP_SIZE] = (_JUMP + struct.pack("<Q", found)).ljust(_JUMP_SIZE, b"\xcc")
    for k in numpy.flatnonzero(sections["type"] == _RELA):
        target = int(sections["info"][k])
        if target in places:
            first, entries = int(sections["offset"][k]), int(sections["size"][k]) // _RELOCATION.itemsize
            table = numpy.frombuffer(code, _RELOCATION, entries, first)
            _relocate(memory, base, places[target], table, address, jumps)
    _protect(base, len(memory))
    _loaded.append(memory)
    for k in range(len(symbols)):
        if address[k] and symbols["section"][k] and names(k) == symbol:
            return int(address[k])
    raise LookupError(symbol)


def title(code):
    """The title that an object was compiled under (its symbol of type FILE), or None."""
    if len(code) < _HEADER.size or code[:6] != b"\x7fELF\x02\x01":
        return None
    *_, at, _, _, _, _, _, count, _ = _HEADER.unpack_from(code)
    try:
        symbols, names = _symbols(code, numpy.frombuffer(code, _SECTION, count, at))
    except (Unsupported, ValueError):
        return None
    for k in numpy.flatnonzero((symbols["info"] & 15) == _FILE):
        return names(k)
    return None


_loaded = []  # code stays where it is as long as the process


def _symbols(code, sections):
    tables = numpy.flatnonzero(sections["type"] == _SYMTAB)
    if len(tables) != 1:
        raise Unsupported("no table of symbols")
    table = sections[tables[0]]
    symbols = numpy.frombuffer(code, _SYMBOL, int(table["size"]) // _SYMBOL.itemsize, int(table["offset"]))
    strings = int(sections["offset"][table["link"]])

    def name(k):
        start = strings + int(symbols["name"][k])
        return code[start : code.index(b"\0", start)].decode()

    return symbols, name


def _relocate(memory, base, place, table, address, jumps):
    """Write the addresses and distances that a section asks for."""
    kinds = set(table["type"].tolist())
    if kinds - {_ADDRESS, _DISTANCE, _CALL, _FAR}:
        raise Unsupported(f"relocations of kinds {sorted(kinds)}")
    bytes_ = numpy.frombuffer(memory, numpy.uint8)
    offsets, values = table["offset"].astype(numpy.int64) + place, address[table["symbol"]]
    near = (table["type"] == _DISTANCE) | (table["type"] == _CALL)
    if near.any():
        for k, jump in jumps.items():
            values = numpy.where(near & (table["symbol"] == k), base + jump, values)
    values = values + table["addend"]
    values = numpy.where(table["type"] == _ADDRESS, values, values - (base + offsets))
    _put(bytes_, offsets[~near], values[~near])
    if near.any():
        distances = values[near]
        if numpy.any(numpy.abs(distances) >= 1 << 31):
            raise Unsupported("a distance of more than 32 bits")
        _put(bytes_, offsets[near], distances.astype(numpy.int32))


def _put(bytes_, offsets, values):
    """Write numbers at offsets that need not be aligned."""
    width = values.dtype.itemsize
    spots = offsets[:, None] + numpy.arange(width)
    bytes_[spots] = numpy.ascontiguousarray(values).view(numpy.uint8).reshape(-1, width)


@functools.cache
def _process():
    return ctypes.CDLL(None)


#: Addresses of functions that are known by a name here alone.
PROVIDED: dict[str, int] = {}


def provide(name, address):
    """Let kernels call the function at an address by a name."""
    PROVIDED[name] = address
    _function.cache_clear()


@functools.cache
def _function(name):
    """Address of a function of this process or of the C library's mathematics."""
    if name in PROVIDED:
        return PROVIDED[name]
    for library in (_process, _mathematics):
        try:
            return ctypes.cast(getattr(library(), name), ctypes.c_void_p).value
        except (AttributeError, OSError):
            continue
    raise Unsupported(f"{name} is not to be found")


@functools.cache
def _mathematics():
    return ctypes.CDLL("libm.so.6")


def _protect(base, size):
    """From now on the memory can be executed and no longer written."""
    protect = _process().mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    if protect(base, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise Unsupported("the system does not let memory be executed")
