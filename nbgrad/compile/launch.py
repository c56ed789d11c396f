"""Launch: one kernel invocation, its name, and into which chunks its work is cut."""

#: Elements that one chunk of a launch should hold; chunks never depend on the number of threads.
CHUNK = 16384
#: Chunks from which it is of no weight how threads share them.
FEW_CHUNKS = 32


class Launch:
    """One kernel invocation: code, table of words, parallel extent, chunk size.

    `host` is set instead of `code` where the work is a NumPy call on the views in `operands`, of which the last one is
    written; or the last ones, where `results` says how many values come as a list.  On a GPU `block` threads
    are a block, which takes `per_block` units of the extent at a time, and the grid has `blocks` blocks; None where an
    occupancy model may choose.  `flops` are its operations, about.  `library` is (name, operands, attributes) of what a
    library of the GPU's vendor might do instead, the result last in `operands`.  `parts` are launches that this one
    runs, and `status` is the word in which it says that it failed: a kernel of arrays by an exception, a loop for
    want of memory.
    """

    __slots__ = (
        "blas", "block", "blocks", "code", "cost", "dimensions", "flops", "grain", "host", "library", "name",
        "operands", "parts", "per_block", "reads", "results", "source", "status", "total", "words", "writes",
    )  # fmt: skip

    def __init__(self, name):
        self.name, self.source, self.host, self.operands, self.results = name, None, None, (), None
        self.code, self.words, self.total, self.grain, self.cost = None, None, 0, 1, 0
        self.flops, self.library = 0, None
        self.blas, self.block, self.per_block, self.blocks = False, None, None, None
        self.dimensions = self.status = None
        self.reads, self.writes, self.parts = [], [], []

    def everything(self):
        """This launch and all that run inside of it."""
        yield self
        for part in self.parts:
            for launch in part.launches:
                yield from launch.everything()


def even(total, grain):
    """`grain` or less: of a few chunks a power of two, so that threads share them evenly, and all about as long.

    Chunks depend on nothing but the program: what is added up is the same on any number of threads.
    """
    chunks = -(-total // grain)
    if not 1 < chunks < FEW_CHUNKS:
        return grain
    even = -(-total // (1 << (chunks - 1).bit_length()))
    return even if even < 64 else min(grain, -(-even // 16) * 16)  # chunks of vectors, where that is of no weight


def weight_of(nodes):
    """Work for each element, in units of what a few simple operations and their memory cost."""
    return max(1, sum(n.primitive.cost for n in nodes) // 16)


def shortened(names):
    """Names of a launch, with a long middle left out."""
    names = [n for n in names if n != "identity"] or names[:1]
    return names if len(names) <= 8 else [*names[:4], f"{len(names) - 8}_more", *names[-4:]]
