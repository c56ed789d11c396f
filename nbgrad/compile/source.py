"""What emitted sources are written with: lines, and the table of words that their kernels read."""

import copy
import functools

#: Outputs with an alias scope of their own; further ones share the last.
OUTPUT_SCOPES = 24
#: In the name of a kernel text: it is a function of its own, not expanded where it is called.
APART = "_apart_"
#: float16 is a form of memory: registers hold float32.
REGISTER = {"float16": "float32"}


class Words:
    """The table of a launch: integers, numbers, and addresses that are filled in when buffers are known."""

    def __init__(self):
        self.values, self.addresses = [], []

    def add(self, value):
        """Index of a new word."""
        self.values.append(value)
        return len(self.values) - 1

    def address(self, view, name):
        """Index of a word that will hold the address of a view's first element."""
        index = self.add(0)
        self.addresses.append((index, view, name))
        return index


class Stamp:
    """A kernel that is launched with many addresses: emitted once, with words for each launch.

    before: 500 equal steps of a loop, each emitted    after: one of them emitted, and 499 tables copied
    """

    def __init__(self, kernel):
        self._kernel, words = kernel, kernel.words
        self._values, self._slots = list(words.values), [(index, role) for index, _, role in words.addresses]

    def printed(self, views):
        """The kernel with words of its own, for pointers to `views`."""
        kernel = copy.copy(self._kernel)
        kernel.words = words = Words()
        words.values = list(self._values)
        words.addresses = [(index, view, role) for (index, role), view in zip(self._slots, views, strict=True)]
        return kernel


class Writer:
    """Lines of source with their indentation."""

    def __init__(self):
        self.lines, self.level = [], 0

    def line(self, text):
        """One line at the current level."""
        self.lines.append("    " * self.level + text)

    def open(self, text):
        """A line that opens a block."""
        self.line(text)
        self.level += 1

    def close(self, levels=1):
        """Back out of blocks."""
        self.level -= levels

    def text(self):
        """The source."""
        return "\n".join(self.lines) + "\n"


@functools.cache
def name_of(dtype):
    """The name of a dtype, which NumPy makes anew each time."""
    return str(dtype)


@functools.cache
def register(dtype):
    """The dtype that a value of `dtype` has in a register."""
    return REGISTER.get(str(dtype), str(dtype))
