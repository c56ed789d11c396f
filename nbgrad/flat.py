"""`x.flat`: the elements of an Array in C order, to read, to write and to iterate over."""

import math


class Flat:
    """The elements of an Array as a sequence; writing to it rebinds the Array."""

    __slots__ = ("base",)

    def __init__(self, base):
        #: The Array.
        self.base = base

    def __len__(self):
        return math.prod(self.base.shape)

    def __iter__(self):
        return iter(self.base.ravel())

    def __getitem__(self, index):
        return self.base.ravel()[index]

    def __setitem__(self, index, value):
        elements = self.base.ravel().copy()
        elements[index] = value
        self.base._rebind(elements.reshape(self.base.shape))

    def __array__(self, dtype=None, copy=None):
        return self.base.ravel().__array__(dtype, copy)

    def copy(self):
        """The elements as a 1-d Array."""
        return self.base.flatten()

    def __repr__(self):
        return f"<flat of {self.base!r}>"
