"""What emitted sources are written with: lines, and the table of words that their kernels read."""

import functools

#: Outputs with an alias scope of their own; further ones share the last.
OUTPUT_SCOPES = 24
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
