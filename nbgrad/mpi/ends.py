"""What happens to other processes when one of them fails or ends: they are told, and all end."""

import atexit
import sys
import time
import traceback

import numpy
from mpi4py import MPI

from nbgrad.errors import RankError
from nbgrad.graph import PACKAGES
from nbgrad.mpi import groups
from nbgrad.mpi.groups import ENDED, FAILED, STATE, WORDS, in_words, waited

#: Seconds in which others may say what they wait in, and write what they have to say, before all are ended.
GRACE = 1.0


def watch():
    """Have exceptions that nobody handles, and the end of the process, told to the others, if there are any."""
    if MPI.COMM_WORLD.size == 1 or sys.excepthook is _failed:
        return
    groups.of("nbgrad.mpi", None)
    sys.excepthook = _failed
    atexit.register(_ended)


def _header(state):
    header = numpy.zeros(WORDS, numpy.int64)
    header[STATE] = state
    return header


def _failed(kind, error, trace):
    """Show the exception with the rank and what others wait in, tell them, and end all processes."""
    rank = MPI.COMM_WORLD.rank
    text = [f"rank {rank} of {MPI.COMM_WORLD.size} failed:\n"]
    if isinstance(error, RankError):  # of interest is the user's line
        text += traceback.format_list([f for f in traceback.extract_tb(trace) if not f.filename.startswith(PACKAGES)])
        text += traceback.format_exception_only(kind, error)
    else:
        text += traceback.format_exception(kind, error, trace)
        for group in [g for g in groups.groups if g.size > 1]:
            rows = None if group.lost else group.exchanged(_header(FAILED), str, GRACE)
            for r, row in enumerate(() if rows is None else rows):
                if r != group.rank and not row[STATE]:
                    text.append(f"rank {r} waits in {in_words(row)}\n")
    sys.stderr.write("".join(text))
    sys.stderr.flush()
    waited(groups.of("nbgrad.mpi", None).comm.Ibarrier(), GRACE)  # others write that they have been told
    time.sleep(0.1)  # the launcher drops what it has not read when all are ended
    MPI.COMM_WORLD.Abort(1)


def _ended():
    """Tell the others that this process ends; wait until they end, too."""
    if MPI.Is_finalized():
        return
    for group in [g for g in groups.groups if g.size > 1 and not g.lost]:
        rows = group.exchanged(_header(ENDED), str, float("inf"))
        for r, row in enumerate(rows):
            if not row[STATE]:
                sys.stderr.write(f"rank {group.rank} ended while rank {r} waits in {in_words(row)}\n")
