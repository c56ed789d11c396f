"""Group: a communicator as operations use it, and what its processes tell each other before each of them.

A few numbers go around first, always in the same way: what each process is about to do, of an array of which dtype and
shape, or that it has failed or ended.  So all of them know of a disagreement before data is exchanged, and raise the
same error.
"""

import pickle
import time

import numpy
from mpi4py import MPI

from nbgrad import dtypes
from nbgrad.config import config
from nbgrad.errors import ArgumentError, RankError, RankMismatchError, describe

#: What a process is about to do: take part in an operation, stop because of an exception, or end.
CALL, FAILED, ENDED = range(3)
#: Words of a header: state, operation, further numbers (2), dtype, number of axes, extents.
STATE, OPERATION, NUMBERS, DTYPE, AXES, EXTENTS, WORDS = 0, 1, slice(2, 4), 4, 5, 6, 6 + 64
#: Looks for an answer that are taken one after the other, before the core is left to others in between.
SPINS = 200

#: Groups that are in use: what fails or ends says so in each.
groups = []
_key = None


class Group:
    """A private copy of a communicator: no message of ours meets one of the user's.

    Attributes
    ----------
    comm : mpi4py.MPI.Comm
    rank, size : int
    lost : bool
        Whether an exchange was given up: there cannot be another one.
    """

    def __init__(self, comm):
        self.comm = comm.Dup()
        self.rank, self.size, self.lost = comm.rank, comm.size, False
        self._header = numpy.zeros(WORDS, numpy.int64)
        self._rows = numpy.zeros((self.size, WORDS), numpy.int64)
        groups.append(self)

    def __repr__(self):
        return f"<rank {self.rank} of {self.size}>"

    def __reduce__(self):
        if self is not of("pickle", None):
            raise pickle.PicklingError(
                "pickle of an operation of nbgrad.mpi: its communicator is none that another process knows; only "
                "operations of all processes (comm=None) can be pickled"
            )
        return of, ("pickle", None)

    def agree(self, operation, x, numbers):
        """Wait until all processes are there; an error in each of them unless they are about to do the same.

        Parameters
        ----------
        operation : str
        x : ndarray
            Its dtype and shape are those of all processes.
        numbers : tuple of two int
            What they mean is in `SAID`.
        """
        if self.size == 1 or not config.mpi_check:
            return
        if self.lost:
            raise RankError(
                f"{operation}: rank {self.rank} has given up waiting for the others before, and is out of step with "
                "them; end the program, or set config.mpi_timeout higher"
            )
        header = self._header
        header[:] = 0
        header[OPERATION], header[NUMBERS] = OPERATIONS.index(operation), numbers
        header[DTYPE], header[AXES] = x.dtype.num, x.ndim
        header[EXTENTS : EXTENTS + x.ndim] = x.shape
        rows = self.exchanged(header, lambda: f"{operation} of {x.dtype}{list(x.shape)}")
        fit = SAID[operation].fit
        if fit is None:
            if (rows == header).all():
                return
        else:
            same = rows == header
            same[:, NUMBERS] = True
            if same.all() and fit(rows[:, NUMBERS]):
                return
        lines = "\n".join(f"    rank {r}: {in_words(row)}" for r, row in enumerate(rows))
        if rows[:, STATE].any():
            gone = [f"rank {r} {('', 'failed', 'ended')[s]}" for r, s in enumerate(rows[:, STATE]) if s]
            raise RankError(
                f"{operation}: {', '.join(gone)} while rank {self.rank} waited in it, so it cannot be done\n{lines}"
            )
        raise RankMismatchError(
            f"{operation}: the processes of a group must call the same operations in the same order, with arrays of "
            f"one shape and dtype; here they differ\n{lines}"
        )

    def exchanged(self, header, what, patience=None):
        """The headers of all processes; None if that takes longer than `patience` seconds."""
        request = self.comm.Iallgather(header, self._rows)
        limit = config.mpi_timeout if patience is None else patience
        if not waited(request, limit):
            self.lost = True
            if patience is not None:
                return None
            raise RankError(
                f"{what()}: rank {self.rank} has waited {limit:g} seconds for the others (config.mpi_timeout); they "
                "compute, have called something else, or have ended"
            )
        return self._rows


def waited(request, limit):
    """Wait for a request, with the core free for others; False if it takes longer than `limit` seconds."""
    start, turns = None, 0
    while not request.Test():
        turns += 1
        if turns > SPINS:
            if start is None:
                start = time.monotonic()
            elapsed = time.monotonic() - start
            if limit is not None and elapsed > limit:
                return False
            time.sleep(0 if elapsed < 0.001 else 0.0005)
    return True


def of(call, comm):
    """The group of a communicator of the user's, which is made when the communicator is first used."""
    global _key
    if comm is None:
        comm = MPI.COMM_WORLD
    if not isinstance(comm, MPI.Intracomm):
        raise ArgumentError(f"{call}: comm is {describe(comm)}, expected a communicator such as mpi4py.MPI.COMM_WORLD")
    if _key is None:
        _key = MPI.Comm.Create_keyval(delete_fn=_freed)
    found = comm.Get_attr(_key)
    if found is None:
        found = Group(comm)
        comm.Set_attr(_key, found)
    return found


def _freed(comm, key, group):
    if group in groups:
        groups.remove(group)


# ---------------------------------------------------------------- in words

#: Names of operations by the number that stands for them in a header; for each a function that says in words what its
#: numbers mean.  Where the numbers of processes may differ, its attribute `fit` says whether those of all go together.
OPERATIONS: list = []
SAID: dict = {}


def in_words(row):
    """What a process said that it is about to do."""
    if row[STATE] != CALL:
        return "failed with an exception" if row[STATE] == FAILED else "ended"
    name = OPERATIONS[row[OPERATION]]
    shape = [int(n) for n in row[EXTENTS : EXTENTS + row[AXES]]]
    dtype = next(d for d in dtypes.SUPPORTED if d.num == row[DTYPE])
    return f"{name} of {dtype}{shape}{SAID[name](row[NUMBERS])}"
