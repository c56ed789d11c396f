"""What kernels for CUDA use besides arithmetic, which is done by all threads of a block together.

These names stand for words of the compiler; what they mean is said in `nbgrad.compile.cuda.words`.
"""


class Word:
    """The name of a word; it exists only inside compiled kernels."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name

    def __call__(self, *args):
        raise TypeError(f"{self.name}: exists only inside kernels for CUDA")


lane, lanes, barrier, partner, element = (Word(n) for n in ("lane", "lanes", "barrier", "partner", "element"))
shared_as, shared_int64 = Word("shared_as"), Word("shared_int64")
read, write = Word("read"), Word("write")
