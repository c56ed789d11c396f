"""Settings, and the environment variables behind them; nothing else reads the environment.

=====================  =====================  ===============================================================
variable               `nbgrad.config` name   meaning
=====================  =====================  ===============================================================
NBGRAD_JIT             jit                    0: interpret always; 1 (default): compile what is worth it;
                                              2: compile everything
NBGRAD_THREADS         threads                threads of a compiled Program; default: the cores of the process
NBGRAD_CACHE_DIR       cache_dir              folder of compiled kernels; empty: no disk cache
NBGRAD_COMPILER        compiler               process (default): LLVM runs in a process of its own, where that can be
                                              had; thread: in this one
NBGRAD_CUDA_MEMORY     cuda_memory_limit      bytes that arrays and the pool may take of a CUDA device, or with a dot a
                                              fraction of it; default: 0.8
NBGRAD_CUDA_LIBRARIES  cuda_libraries         auto (default): cuBLAS and cuSOLVER where nvmath-python is installed;
                                              0: never; 1: an error where they cannot be used
NBGRAD_MPI_CHECK       mpi_check              1 (default): processes say what they are about to exchange, and raise an
                                              error where that differs; 0: they do not, which is faster and may hang
NBGRAD_MPI_TIMEOUT     mpi_timeout            seconds to wait for other processes; default: for ever
NBGRAD_CHECK_VALUES    check_values           nan, inf, masked or several with commas: an error where such a value is
                                              made, see `nbgrad.debug.nans`; default: nothing, which costs nothing
=====================  =====================  ===============================================================
"""

import os

from nbgrad.errors import ArgumentError

_CHECKED = ("nan", "inf", "masked")


class Config:
    """The settings of this process; assign to change them.

    >>> import nbgrad as ng
    >>> ng.config.jit in (0, 1, 2)
    True
    """

    __slots__ = (
        "_cache_dir", "_check_values", "_compiled", "_compiler", "_cuda_libraries", "_cuda_memory_limit", "_jit",
        "_mpi_check", "_mpi_timeout", "_threads",
    )  # fmt: skip

    def __init__(self, environ=None):
        environ = os.environ if environ is None else environ  # no default: documentation shows those
        self._check_values = ()
        self.jit = _number(environ, "NBGRAD_JIT", 1)
        self.check_values = environ.get("NBGRAD_CHECK_VALUES") or ()
        self.threads = _number(environ, "NBGRAD_THREADS", _cores())
        self._cache_dir = environ.get("NBGRAD_CACHE_DIR")
        self.compiler = environ.get("NBGRAD_COMPILER") or "process"
        self.mpi_check = bool(_number(environ, "NBGRAD_MPI_CHECK", 1))
        self.mpi_timeout = _number(environ, "NBGRAD_MPI_TIMEOUT", None, float)
        self.cuda_memory_limit = _bytes(environ, "NBGRAD_CUDA_MEMORY", 0.8)
        libraries = environ.get("NBGRAD_CUDA_LIBRARIES") or "auto"
        self.cuda_libraries = {"0": False, "1": True}.get(libraries, libraries)

    @property
    def cuda_libraries(self):
        """Whether programs compiled from now on use cuBLAS and cuSOLVER: ``"auto"`` if they can, False, or True."""
        return self._cuda_libraries

    @cuda_libraries.setter
    def cuda_libraries(self, value):
        if value != "auto" and not isinstance(value, bool):
            raise ArgumentError(
                f"config.cuda_libraries (NBGRAD_CUDA_LIBRARIES): got {value!r}, expected 'auto', True or False "
                "(of the variable: auto, 1 or 0)"
            )
        self._cuda_libraries = value

    @property
    def mpi_check(self):
        """Whether processes say what they are about to exchange, in `nbgrad.mpi`."""
        return self._mpi_check

    @mpi_check.setter
    def mpi_check(self, value):
        if not isinstance(value, bool):
            raise ArgumentError(f"config.mpi_check (NBGRAD_MPI_CHECK): got {value!r}, expected True or False")
        self._mpi_check = value

    @property
    def mpi_timeout(self):
        """Seconds that an operation of `nbgrad.mpi` waits for other processes; None: for ever."""
        return self._mpi_timeout

    @mpi_timeout.setter
    def mpi_timeout(self, value):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0):
            raise ArgumentError(
                f"config.mpi_timeout (NBGRAD_MPI_TIMEOUT): got {value!r}, expected seconds above 0, or None"
            )
        self._mpi_timeout = value

    @property
    def jit(self):
        """0 interprets always, 1 compiles what is worth it, 2 compiles everything."""
        return self._jit

    @jit.setter
    def jit(self, value):
        if value not in (0, 1, 2):
            raise ArgumentError(f"config.jit (NBGRAD_JIT): got {value!r}, expected 0, 1 or 2")
        self._jit = int(value)
        self._compiled = bool(self._jit and not self._check_values)  # one look for two questions, at every call

    @property
    def check_values(self):
        """What programs look for in each value they compute, and raise `NonFiniteError` for: see `nbgrad.debug.nans`.

        A tuple of ``"nan"``, ``"inf"`` and ``"masked"``, which adds values that reach no result; empty: nothing.
        """
        return self._check_values

    @check_values.setter
    def check_values(self, value):
        words = tuple(w.strip() for w in value.split(",") if w.strip()) if isinstance(value, str) else value
        if not isinstance(words, (tuple, list)) or not all(w in _CHECKED for w in words):
            raise ArgumentError(
                f"config.check_values (NBGRAD_CHECK_VALUES): got {value!r}, expected words out of 'nan', 'inf' and "
                "'masked', as a tuple or with commas between them"
            )
        if words and tuple(words) == ("masked",):
            raise ArgumentError(
                f"config.check_values (NBGRAD_CHECK_VALUES): got {value!r}, which does not say what to look for; "
                "add 'nan' or 'inf'"
            )
        self._check_values = tuple(w for w in _CHECKED if w in words)
        self._compiled = bool(self._jit and not self._check_values)

    @property
    def threads(self):
        """How many threads run a compiled Program; the results do not depend on it."""
        return self._threads

    @threads.setter
    def threads(self, value):
        if not isinstance(value, int) or value < 1:
            raise ArgumentError(f"config.threads (NBGRAD_THREADS): got {value!r}, expected an integer of at least 1")
        self._threads = value

    @property
    def cache_dir(self):
        """Folder of compiled kernels, private to the user; '' switches the disk cache off."""
        if self._cache_dir is None:
            import platformdirs

            self._cache_dir = platformdirs.user_cache_dir("nbgrad", appauthor=False)
        return self._cache_dir

    @cache_dir.setter
    def cache_dir(self, value):
        self._cache_dir = os.fspath(value)

    @property
    def compiler(self):
        """Where LLVM runs: ``"process"``, one of its own that ends when it is idle, or ``"thread"``, here."""
        return self._compiler

    @compiler.setter
    def compiler(self, value):
        if value not in ("process", "thread"):
            raise ArgumentError(f"config.compiler (NBGRAD_COMPILER): got {value!r}, expected 'process' or 'thread'")
        self._compiler = value

    @property
    def cuda_memory_limit(self):
        """What arrays and the pool may take of a CUDA device: an int is bytes, a float a fraction of the card."""
        return self._cuda_memory_limit

    @cuda_memory_limit.setter
    def cuda_memory_limit(self, value):
        whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not whole and not (isinstance(value, float) and 0 < value <= 1):
            raise ArgumentError(
                f"config.cuda_memory_limit (NBGRAD_CUDA_MEMORY): got {value!r}, expected bytes as an integer of at "
                "least 1, or a fraction of the card as a float of at most 1.0"
            )
        self._cuda_memory_limit = value

    def __repr__(self):
        return f"Config(jit={self.jit}, threads={self.threads}, cache_dir={self.cache_dir!r})"


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _number(environ, name, default, kind=int):
    text = environ.get(name, "")
    if not text:
        return default
    try:
        return kind(text)
    except ValueError:
        expected = "an integer" if kind is int else "a number"
        raise ArgumentError(f"{name}={text!r}: expected {expected}") from None


def _bytes(environ, name, default):
    text = environ.get(name, "")
    if not text:
        return default
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ArgumentError(f"{name}={text!r}: expected bytes, or a fraction such as 0.5") from None


config = Config()
