"""Arrays of several processes: what MPI's collective operations are to a graph, with derivatives of every order.

Importing this module starts MPI.  With more than one process it also sees to it that an exception in one of them ends
all of them: see `nbgrad.mpi.ends`.
"""

from nbgrad.errors import MissingToolError

try:
    import mpi4py.MPI
except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py finds no MPI library
    raise MissingToolError(
        f"nbgrad.mpi: MPI cannot be loaded ({error}); install mpi4py and a library with pip install 'nbgrad[mpi]'"
    ) from error

from nbgrad.mpi import ends
from nbgrad.mpi.operations import allgather, allreduce, bcast, reduce_scatter, sendrecv

__all__ = ["allgather", "allreduce", "bcast", "reduce_scatter", "sendrecv"]

ends.watch()
