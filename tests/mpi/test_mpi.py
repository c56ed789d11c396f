"""Operations of several processes: `checks.py` is started with 1, 2 and 4 of them, and scripts that fail with 2."""

import functools
import importlib.util
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
_BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(_BESIDE) if _BESIDE.exists() else shutil.which("mpiexec")
CHECKS = re.findall(r"^def (check_\w+)", (HERE / "checks.py").read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="MPI is not installed: pip install nbgrad[mpi]",
)


def run(count, *command, **settings):
    """The finished ``mpiexec -n count python ...``."""
    alone = {"NBGRAD_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # there may be more processes than cores
    environment = {**os.environ, "NBGRAD_MPI_TIMEOUT": "20", **alone, **settings}
    return subprocess.run(
        [MPIEXEC, "-n", str(count), sys.executable, "-W", "error", *map(str, command)],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@functools.cache
def checked(count):
    done = run(count, HERE / "checks.py")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("check", CHECKS)
def test_with_processes(check, count):
    errors = checked(count).get(check, ["a check before it has failed"])
    assert not errors, "\n".join(errors)


def test_without_checks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import nbgrad.mpi as mpi\nx = mpi.sendrecv(float(mpi.bcast(2.0)), shift=1)\n"
        "assert float(mpi.allreduce(x)) == 4.0"
    )
    done = run(2, script, NBGRAD_MPI_CHECK="0")
    assert done.returncode == 0, done.stderr


def failing(tmp_path, text, *options, **settings):
    script = tmp_path / "script.py"
    script.write_text("import nbgrad.mpi as mpi, time\nfrom mpi4py import MPI\nrank = MPI.COMM_WORLD.rank\n" + text)
    start = time.monotonic()
    done = run(2, *options, script, **settings)
    assert done.returncode
    assert time.monotonic() - start < 15, "it was waited for"
    return done.stderr


@pytest.mark.parametrize("options", [(), ("-m", "nbgrad.mpi")])
def test_an_exception_in_one_process_ends_all(tmp_path, options):
    said = failing(tmp_path, "if rank == 1: raise ValueError('no data')\nmpi.allreduce([1.0, 2.0])", *options)
    assert "rank 1 of 2 failed:\n" in said
    assert "ValueError: no data\nrank 0 waits in allreduce of float64[2], op='sum'\n" in said
    assert "RankError: allreduce: rank 1 failed while rank 0 waited in it, so it cannot be done" in said
    assert 'script.py", line 5' in said


def test_a_process_that_ends_too_early_ends_all(tmp_path):
    said = failing(tmp_path, "if rank == 0: mpi.bcast(1.0)")
    assert "RankError: bcast: rank 1 ended while rank 0 waited in it" in said


def test_waiting_has_a_limit(tmp_path):
    said = failing(tmp_path, "mpi.bcast(1.0) if rank == 0 else time.sleep(30)", NBGRAD_MPI_TIMEOUT="1")
    assert "RankError: bcast of float64[]: rank 0 has waited 1 seconds for the others (config.mpi_timeout)" in said


def test_who_has_given_up_is_out_of_step(tmp_path):
    text = (
        "if rank: time.sleep(3)\n"
        "for _ in range(2):\n    try: mpi.bcast(1.0)\n    except RuntimeError as error: last = error\nraise last"
    )
    said = failing(tmp_path, text, NBGRAD_MPI_TIMEOUT="0.5")
    assert "RankError: bcast: rank 0 has given up waiting for the others before, and is out of step with them" in said


def test_the_runner_says_how_it_is_called():
    done = subprocess.run([sys.executable, "-m", "nbgrad.mpi"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "usage: python -m nbgrad.mpi SCRIPT [ARGUMENT ...]\n"


def test_without_mpi_it_says_what_to_install():
    code = "import sys; sys.modules['mpi4py'] = None; import nbgrad.mpi"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingToolError: nbgrad.mpi: MPI cannot be loaded" in done.stderr
    assert "pip install 'nbgrad[mpi]'" in done.stderr


class TestOneProcess:
    """Errors of arguments, in this process, which is the only one of its communicator."""

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda mpi, comm: mpi.allreduce(1.0, "median", comm), "allreduce: op is 'median', expected 'sum', 'mean'"),
            (lambda mpi, comm: mpi.allreduce(1j, "max", comm), "allreduce: complex numbers have no max"),
            (lambda mpi, comm: mpi.allreduce(1.0, comm=3), "allreduce: comm is int 3, expected a communicator"),
            (lambda mpi, comm: mpi.bcast(1.0, 1, comm), "bcast: root is 1, and ranks are integers from 0 to 0 here"),
            (
                lambda mpi, comm: mpi.reduce_scatter([1.0, 2.0], comm),
                "one entry along its first axis for each of the",
            ),
            (lambda mpi, comm: mpi.sendrecv(1.0, -1, comm=comm), "sendrecv: dest is -1, and ranks are integers"),
            (lambda mpi, comm: mpi.sendrecv(1.0, 0, comm=comm, shift=1), "sendrecv: there are both ranks and a"),
            (
                lambda mpi, comm: mpi.sendrecv(1.0, comm=comm, shift=0.5),
                "sendrecv: shift must be an integer, got",
            ),
        ],
    )
    def test_arguments(self, call, text):
        from mpi4py import MPI

        import nbgrad as ng
        from nbgrad import mpi

        with pytest.raises(ng.NbgradError, match=re.escape(text)):
            call(mpi, MPI.COMM_SELF)

    def test_pickles(self):
        """Programs of all processes, as an operation says nothing of others."""
        from mpi4py import MPI

        import nbgrad as ng
        from nbgrad import mpi

        lowered = ng.jit(mpi.allreduce).lower(2.0)
        assert pickle.loads(pickle.dumps(lowered)).launches == lowered.launches
        with pytest.raises(pickle.PicklingError, match="its communicator is none that another process knows"):
            pickle.dumps(ng.jit(lambda x: mpi.allreduce(x, comm=MPI.COMM_SELF)).lower(2.0))

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("mpi_check", 2, "config.mpi_check (NBGRAD_MPI_CHECK): got 2, expected True or False"),
            ("mpi_timeout", 0, "config.mpi_timeout (NBGRAD_MPI_TIMEOUT): got 0, expected seconds above 0, or None"),
        ],
    )
    def test_settings(self, name, value, text):
        import nbgrad as ng

        with pytest.raises(ng.ArgumentError, match=re.escape(text)):
            setattr(ng.config, name, value)
