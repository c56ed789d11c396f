"""``mpiexec -n 4 python -m nbgrad.mpi script.py``: a script whose exceptions end all processes, from line 1 on."""

import runpy
import sys

import nbgrad.mpi  # noqa: F401 - before anything can fail

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m nbgrad.mpi SCRIPT [ARGUMENT ...]")
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
