"""Collective operations as effects of the graph, each with its adjoint among them.

Derivatives are those of the sum of what all processes return: the cotangent of what one process sends is made of
cotangents that others hold.  Sums are taken in the order of ranks, one term after another, so they have the same bits
whatever MPI does and wherever they are needed.
"""

import numpy
from mpi4py import MPI

from nbgrad import graph, shapes
from nbgrad.effects import applied, effect
from nbgrad.errors import ArgumentError, DtypeError, OptionError, ShapeError, describe
from nbgrad.kernels.casting import astype
from nbgrad.mpi import groups
from nbgrad.runtime import pool

#: Elements of all processes up to which each of them gathers all and adds up alone: one exchange, not two.
GATHERED = 1 << 13

_UFUNCS = {"sum": numpy.add, "max": numpy.maximum, "min": numpy.minimum}
_OPS = tuple(_UFUNCS)


def _said(name, text, fit=None):
    """Register an operation with what its two numbers mean."""

    def words(numbers):
        return text(*map(int, numbers))

    words.fit = fit
    groups.OPERATIONS.append(name)
    groups.SAID[name] = words


_said("allreduce", lambda op, fast: f", op={_OPS[op]!r}{', fast=True' if fast else ''}")
_said("allgather", lambda *_: "")
_said("reduce_scatter", lambda *_: "")
_said("bcast", lambda root, _: f", root={root}")
_said("reduce_to", lambda root, _: f", root={root} (the derivative of bcast)")
_said(
    "sendrecv",
    lambda dest, source: f", dest={None if dest < 0 else dest}, source={None if source < 0 else source}",
    lambda pairs: all(
        (d < 0 or pairs[d, 1] == r) and (s < 0 or pairs[s, 0] == r) for r, (d, s) in enumerate(pairs)
    ),
)  # fmt: skip


def _ready(name, x, group, *numbers):
    """The array to send, contiguous, once all processes are there."""
    group.agree(name, x, (*numbers, 0, 0)[:2])
    return numpy.ascontiguousarray(x).reshape(x.shape)


def _bytes(x):
    return [x, x.nbytes, MPI.BYTE]


def _empty(shape, dtype):
    """Memory that was used before, where there is much of it: fresh pages cost more than the exchange."""
    bucket = pool.bucket(shapes.size(shape) * dtype.itemsize)
    return numpy.empty(shape, dtype) if bucket is None else bucket.empty(shape, dtype)


def _in_order(parts, ufunc):
    """Arrays of all ranks, one after the other."""
    total = _empty(parts[0].shape, parts[0].dtype)
    total[...] = parts[0]
    for part in parts[1:]:
        ufunc(total, part, out=total)
    return total


def _swapped(x):
    """Stacked arrays with examples and processes, their first two axes, the other way round."""
    return x.transpose(1, 0, *range(2, x.ndim))


# ---------------------------------------------------------------- primitives


def _allreduce(x, op, fast, group):
    x = _ready("allreduce", x, group, _OPS.index(op), int(fast))
    if fast and x.dtype != numpy.float16:
        made = _empty(x.shape, x.dtype)
        group.comm.Allreduce(x, made, getattr(MPI, op.upper()))
        return made
    if x.size * group.size <= GATHERED:
        parts = _empty((group.size, *x.shape), x.dtype)
        group.comm.Allgather(_bytes(x), [parts, x.nbytes, MPI.BYTE])
        return _in_order(parts, _UFUNCS[op])
    bounds = numpy.minimum(-(-x.size // group.size) * numpy.arange(group.size + 1), x.size)
    counts, starts = numpy.diff(bounds) * x.itemsize, bounds[:-1] * x.itemsize  # each process adds up a part
    parts = _empty((group.size, int(counts[group.rank]) // x.itemsize), x.dtype)
    own, whole = [counts[group.rank]] * group.size, _empty(x.shape, x.dtype)
    group.comm.Alltoallv([x, counts, starts, MPI.BYTE], [parts, own, None, MPI.BYTE])
    group.comm.Allgatherv(_bytes(_in_order(parts, _UFUNCS[op])), [whole, counts, starts, MPI.BYTE])
    return whole


def _allgather(x, group):
    x = _ready("allgather", x, group)
    parts = _empty((group.size, *x.shape), x.dtype)
    group.comm.Allgather(_bytes(x), [parts, x.nbytes, MPI.BYTE])
    return parts


def _reduce_scatter(x, group):
    x = _ready("reduce_scatter", x, group)
    parts, size = _empty(x.shape, x.dtype), x.nbytes // group.size
    group.comm.Alltoall([x, size, MPI.BYTE], [parts, size, MPI.BYTE])
    return _in_order(parts, numpy.add)


def _bcast(x, root, group):
    made = _ready("bcast", x, group, root).copy()
    group.comm.Bcast(_bytes(made), root)
    return made


def _reduce_to(x, root, group):
    x = _ready("reduce_to", x, group, root)
    here = group.rank == root
    parts = _empty((group.size if here else 0, *x.shape), x.dtype)
    group.comm.Gather(_bytes(x), [parts, x.nbytes, MPI.BYTE] if here else None, root)
    return _in_order(parts, numpy.add) if here else numpy.zeros_like(x)


def _sendrecv(x, dest, source, group):
    x = _ready("sendrecv", x, group, dest, source)
    made = numpy.zeros_like(x)
    null = MPI.PROC_NULL
    group.comm.Sendrecv(_bytes(x), null if dest < 0 else dest, 0, _bytes(made), null if source < 0 else source, 0)
    return made


@effect(_allreduce)
def allreduce_(x, *, op, fast, group):
    """The sum, the maximum or the minimum of all processes."""
    return x.shape, x.dtype


@allreduce_.vjp
def allreduce_vjp(g, y, x, op, fast, group):
    total = applied(allreduce_, g, op="sum", fast=fast, group=group)
    if op == "sum":
        return total
    ties = astype(x == y, dtype=g.dtype)
    return total / applied(allreduce_, ties, op="sum", fast=fast, group=group) * ties


@effect(_allgather, stacked=lambda done, x: _swapped(done(x)))
def allgather_(x, *, group):
    """The arrays of all processes, stacked."""
    return (group.size, *x.shape), x.dtype


@effect(_reduce_scatter, stacked=lambda done, x: done(_swapped(x)))
def reduce_scatter_(x, *, group):
    """Of stacked arrays, the sum of those in the place of the own rank."""
    return x.shape[1:], x.dtype


@effect(_bcast)
def bcast_(x, *, root, group):
    """The array of one process."""
    return x.shape, x.dtype


@effect(_reduce_to)
def reduce_to_(x, *, root, group):
    """The sum of all processes in one of them, zeros in the others."""
    return x.shape, x.dtype


@effect(_sendrecv)
def sendrecv_(x, *, dest, source, group):
    """The array of another process, zeros where there is none."""
    return x.shape, x.dtype


allgather_.vjp(lambda g, group: applied(reduce_scatter_, g, group=group))
reduce_scatter_.vjp(lambda g, group: applied(allgather_, g, group=group))
bcast_.vjp(lambda g, root, group: applied(reduce_to_, g, root=root, group=group))
reduce_to_.vjp(lambda g, root, group: applied(bcast_, g, root=root, group=group))
sendrecv_.vjp(lambda g, dest, source, group: applied(sendrecv_, g, dest=source, source=dest, group=group))


# ---------------------------------------------------------------- functions


def allreduce(x, op="sum", comm=None, *, fast=False):
    """The sum, or another reduction, of the arrays of all processes, in each of them.

    Parameters
    ----------
    x : array_like
        Of one shape and dtype in all processes.
    op : {"sum", "mean", "prod", "max", "min"}
    comm : mpi4py.MPI.Intracomm, optional
        The processes; all of them unless given.
    fast : bool
        Let MPI choose the order in which terms are added up, which depends on the number of processes and on the
        machine.  Otherwise it is that of ranks, ``((x0 + x1) + x2) + ...``, bit for bit.

    Returns
    -------
    Array
        Of the shape and dtype of x; booleans are summed as int64.

    Raises
    ------
    OptionError
        If `op` is none of these.
    DtypeError
        For the maximum or minimum of complex numbers.
    RankMismatchError
        In every process, if they call different operations, or with arrays of different shapes or dtypes.

    Notes
    -----
    The derivative of a sum is a sum: the cotangent of x is the sum of the cotangents of the results in all processes.
    That of a maximum goes to the processes that have it, divided evenly among them.

    Examples
    --------
    >>> import nbgrad as ng, nbgrad.mpi
    >>> from mpi4py import MPI
    >>> ng.mpi.allreduce([1.0, 2.0], comm=MPI.COMM_SELF)
    Array([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    group, x = groups.of("allreduce", comm), _array("allreduce", x)
    if op not in (*_OPS, "mean", "prod"):
        raise OptionError(f"allreduce: op is {op!r}, expected 'sum', 'mean', 'prod', 'max' or 'min'")
    if op == "prod":
        from nbgrad.numpy import prod

        return prod(allgather(x, comm), axis=0)
    if x.dtype.kind == "b" and op in ("sum", "mean"):
        x = astype(x, dtype=numpy.dtype("int64"))
    if x.dtype.kind == "c" and op in ("max", "min"):
        raise DtypeError(f"allreduce: complex numbers have no {op}; reduce their real or imaginary parts or abs(x)")
    total = applied(allreduce_, x, op="sum" if op == "mean" else op, fast=bool(fast), group=group)
    return total / group.size if op == "mean" else total


def allgather(x, comm=None):
    """The arrays of all processes, stacked along a new first axis, in each of them.

    Parameters
    ----------
    x : array_like
        Of one shape and dtype in all processes.
    comm : mpi4py.MPI.Intracomm, optional
        The processes; all of them unless given.

    Returns
    -------
    Array
        Of shape ``(number of processes, *x.shape)``.

    Raises
    ------
    RankMismatchError
        In every process, if they call different operations, or with arrays of different shapes or dtypes.

    Examples
    --------
    >>> import nbgrad as ng, nbgrad.mpi
    >>> from mpi4py import MPI
    >>> ng.mpi.allgather([1.0, 2.0], MPI.COMM_SELF).shape
    (1, 2)
    """
    return applied(allgather_, _array("allgather", x), group=groups.of("allgather", comm))


def reduce_scatter(x, comm=None):
    """Of the arrays of all processes the sum, of which each process has the part in the place of its rank.

    Parameters
    ----------
    x : array_like
        Of shape (number of processes, ...), of one shape and dtype in all processes.
    comm : mpi4py.MPI.Intracomm, optional
        The processes; all of them unless given.

    Returns
    -------
    Array
        Of shape x.shape[1:].

    Raises
    ------
    ShapeError
        If the first axis has not one entry for each process.
    RankMismatchError
        In every process, if they call different operations, or with arrays of different shapes or dtypes.

    Examples
    --------
    >>> import nbgrad as ng, nbgrad.mpi
    >>> from mpi4py import MPI
    >>> ng.mpi.reduce_scatter([[1.0, 2.0]], MPI.COMM_SELF)
    Array([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    group, x = groups.of("reduce_scatter", comm), _array("reduce_scatter", x)
    if not x.shape or x.shape[0] != group.size:
        raise ShapeError(
            f"reduce_scatter: x must have one entry along its first axis for each of the {group.size} processes; "
            f"{describe(x, 'x')}"
        )
    if x.dtype.kind == "b":
        x = astype(x, dtype=numpy.dtype("int64"))
    return applied(reduce_scatter_, x, group=group)


def bcast(x, root=0, comm=None):
    """The array of one process, in all of them.

    Parameters
    ----------
    x : array_like
        Of one shape and dtype in all processes; only the values of `root` are read.
    root : int
        The rank whose array it is.
    comm : mpi4py.MPI.Intracomm, optional
        The processes; all of them unless given.

    Returns
    -------
    Array

    Raises
    ------
    OptionError
        If there is no such rank.
    RankMismatchError
        In every process, if they call different operations, or with arrays of different shapes or dtypes.

    Notes
    -----
    The cotangent of x in `root` is the sum of those of the results in all processes, and zero elsewhere.

    Examples
    --------
    >>> import nbgrad as ng, nbgrad.mpi
    >>> from mpi4py import MPI
    >>> ng.mpi.bcast([1.0, 2.0], comm=MPI.COMM_SELF)
    Array([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    group = groups.of("bcast", comm)
    return applied(bcast_, _array("bcast", x), root=_rank("bcast", "root", root, group), group=group)


def sendrecv(x, dest=None, source=None, comm=None, *, shift=None):
    """The array of another process: each sends its own to `dest` and gets that of `source`.

    Parameters
    ----------
    x : array_like
        Of one shape and dtype in all processes.
    dest, source : int or None
        Ranks; None: to nobody, from nobody.  Where a process sends, the other one must receive.
    comm : mpi4py.MPI.Intracomm, optional
        The processes; all of them unless given.  Each of them has to call it.
    shift : int, optional
        In place of ranks: to the rank that is so much higher, around the end, from the one that is so much lower.

    Returns
    -------
    Array
        Zeros where `source` is None.

    Raises
    ------
    ArgumentError
        If there are ranks and a shift.
    OptionError
        If there is no such rank.
    RankMismatchError
        In every process, if ranks do not fit together, shapes or dtypes differ, or other operations are called.

    Notes
    -----
    The cotangent goes the way back: it is sent to `source` and received from `dest`.

    Examples
    --------
    >>> import nbgrad as ng, nbgrad.mpi
    >>> from mpi4py import MPI
    >>> ng.mpi.sendrecv([1.0, 2.0], shift=1, comm=MPI.COMM_SELF)
    Array([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    group = groups.of("sendrecv", comm)
    if shift is not None:
        if dest is not None or source is not None:
            raise ArgumentError("sendrecv: there are both ranks and a shift; give dest and source, or shift alone")
        if isinstance(shift, bool) or not isinstance(shift, (int, numpy.integer)):
            raise ArgumentError(f"sendrecv: shift must be an integer, got {describe(shift)}")
        dest, source = (group.rank + int(shift)) % group.size, (group.rank - int(shift)) % group.size
    ranks = [-1 if r is None else _rank("sendrecv", n, r, group) for n, r in (("dest", dest), ("source", source))]
    return applied(sendrecv_, _array("sendrecv", x), dest=ranks[0], source=ranks[1], group=group)


def _array(call, x):
    return x if isinstance(x, graph.Array) else graph.Array(graph.node_of(x, call))


def _rank(call, name, value, group):
    whole = isinstance(value, (int, numpy.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value < group.size:
        raise OptionError(
            f"{call}: {name} is {value!r}, and ranks are integers from 0 to {group.size - 1} here; "
            "a process with another rank does not exist"
        )
    return int(value)
