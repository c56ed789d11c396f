"""Described: what a lowered graph does, apart from the numbers in it.

Graphs that are traced at different sizes do the same if what is left when their numbers are taken out is equal.
"""

import dataclasses

from nbgrad.compile.source import name_of


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a buffer is: ``kind``, dtype, which input or output, and the number of its elements by its place."""

    kind: str
    dtype: str
    index: int
    size: int


@dataclasses.dataclass(frozen=True)
class Address:
    """A word that holds where elements of a buffer begin; `offset` is the place of a number, in elements."""

    word: int
    buffer: int
    offset: int


@dataclasses.dataclass(frozen=True)
class Part:
    """Launches that run inside of one, and the words of theirs that are set from its cells.

    A setting is (path of the launch, word, cell, counter, place of the offset, place of the stride).
    """

    slot: int
    launches: tuple
    settings: tuple


@dataclasses.dataclass(frozen=True)
class Call:
    """A launch: its code, its words (places of numbers with their dtypes, None for integers) and addresses."""

    name: str
    code: int
    words: tuple
    addresses: tuple
    total: int
    parts: tuple
    status: int | None


class Description:
    """A lowered graph without its numbers.

    Attributes
    ----------
    calls : tuple of Call
    buffers : list of Memory
    codes : list of Source
        What is called, each once.
    lives : list of (first, last)
        For each buffer the first and the last launch that uses it.
    captured : list of int
        Numbers of the arrays of the function's own, in the order in which they are first used.
    numbers : list
        What was taken out: integers, and (number, dtype).
    skeleton : tuple
        Equal for graphs that do the same.
    """

    def __init__(self, lowering):
        self.numbers, self.buffers, self.codes, self.lives = [], [], [], []
        self._buffers, self._codes, self._keep = {}, {}, []
        self.captured = []
        calls = []
        for at, launch in enumerate(lowering.launches):
            calls.append(self._call(launch))
            for buffer in (*launch.reads, *launch.writes):
                self._lives(self._buffer(buffer), at)
        self.calls = tuple(calls)
        self.skeleton = (
            self.calls, tuple(self.buffers), tuple(_identity(c) for c in self.codes), tuple(self.lives),
            tuple(type(n) is tuple and n[1] for n in self.numbers),
        )  # fmt: skip

    def _number(self, value):
        self.numbers.append((value[0], name_of(value[1])) if isinstance(value, tuple) else int(value))
        return len(self.numbers) - 1

    def _buffer(self, buffer):
        found = self._buffers.get(id(buffer))
        if found is None:
            self._keep.append(buffer)
            found = self._buffers[id(buffer)] = len(self.buffers)
            size, index = self._number(buffer.size), buffer.index
            if buffer.kind == "captured":  # their order is that of their nodes, which follows from nothing
                index = len(self.captured)
                self.captured.append(buffer.index)
            self.buffers.append(Memory(buffer.kind, name_of(buffer.dtype), index, size))
            self.lives.append(None)
        return found

    def _lives(self, buffer, at):
        known = self.lives[buffer]
        self.lives[buffer] = (at, at) if known is None else (known[0], at)

    def _code(self, code):
        key = _identity(code)
        if key not in self._codes:
            self._codes[key] = len(self.codes)
            self.codes.append(code)
        return self._codes[key]

    def _call(self, launch):
        words = tuple((self._number(v), name_of(v[1]) if isinstance(v, tuple) else None) for v in launch.words.values)
        addresses = tuple(
            Address(index, self._buffer(view.origin), self._number(view.offset))
            for index, view, _ in launch.words.addresses
        )
        parts = []
        for part in launch.parts:
            inner, paths = tuple(self._call(deep) for deep in part.launches), dict(_paths(part.launches, ()))
            settings = tuple(
                (paths[s.launch], s.word, s.cell, s.counter, self._number(s.offset), self._number(s.stride))
                for s in part.settings
            )
            parts.append(Part(part.slot, inner, settings))
        total = self._number(launch.total)
        return Call(launch.name, self._code(launch.code), words, addresses, total, tuple(parts), launch.status)


def _paths(launches, above):
    """Each launch with where it is: the number of a launch, of a part of it, of a launch in that, and so on."""
    for n, launch in enumerate(launches):
        yield launch, (*above, n)
        for k, part in enumerate(launch.parts):
            yield from _paths(part.launches, (*above, n, k))


def _identity(code):
    if code.text is not None:
        return code.text.__name__
    return code.source, tuple(sorted((n, p.name, d) for n, (p, d) in code.names.items()))
