"""Gradients of sums over shards of data, here or by the workers of a Dask cluster."""

import functools
import hashlib
import pickle

import numpy

from nbgrad import trees
from nbgrad.array import Array, asarray
from nbgrad.autodiff.grad import value_and_grad
from nbgrad.compile.jit import jit
from nbgrad.errors import ArgumentError, MissingToolError, ShapeError, ShardError, describe

__all__ = ["map_grad"]


def map_grad(fn, shards, client=None, *, grad_position=None):
    """A function of parameters that computes the sum over shards of `fn`, and its gradient.

    Parameters
    ----------
    fn : callable
        ``fn(*parameters, *shard) -> Array``: the part of the sum that belongs to a shard, a single number.
    shards : sequence
        The data: arrays, or tuples of arrays, which become arguments of their own.  With a client they may be its
        futures, or tuples of them; other data is sent to workers once, now.
    client : distributed.Client, optional
        Whose workers compute; where a shard is, unless they are busy.  Without one it is done here.
    grad_position : int or tuple of int, optional
        Which parameters to differentiate by; all of them unless given.

    Returns
    -------
    callable
        ``(*parameters) -> (value, gradients)``: as `value_and_grad` returns them, a gradient alone for one position
        and a tuple for more.  Parameters are arrays or nests of arrays.

    Raises
    ------
    ArgumentError
        If there are no shards, shards are futures and there is no client, or it is none.
    ShardError
        By the function: `fn` failed for a shard, which the text names.
    MissingToolError
        If there is a client and cloudpickle, which comes with Dask, is not installed.

    Notes
    -----
    Terms are added up in the order of shards, ``((s0 + s1) + s2) + ...``, so the result has the same bits wherever
    shards are computed, on processors of one kind.  `fn` is compiled once in each process, and where workers share a
    cache folder, once in all.

    Examples
    --------
    >>> import numpy, nbgrad as ng
    >>> shards = [numpy.array([1.0, 2.0]), numpy.array([3.0])]
    >>> ng.parallel.map_grad(lambda w, x: ((w * x) ** 2).sum(), shards)(numpy.array(2.0))
    (Array(56., shape=(), dtype=float64, device=cpu), Array(56., shape=(), dtype=float64, device=cpu))
    """
    if not callable(fn):
        raise ArgumentError(f"map_grad: fn must be callable, not {describe(fn)}")
    if client is not None and not (hasattr(client, "submit") and hasattr(client, "scatter")):
        raise ArgumentError(f"map_grad: client is {describe(client)}, expected a distributed.Client, or None")
    shards = [s if type(s) is tuple else (s,) for s in shards]
    if not shards:
        raise ArgumentError("map_grad: there are no shards, so there is nothing to add up; give at least one")
    for k, shard in enumerate(shards):
        if client is None and any(map(_is_future, shard)):
            raise ArgumentError(f"map_grad: shard {k} is a future of a cluster and there is no client; give client=")
    place = _Here(fn, shards) if client is None else _Cluster(fn, shards, client)

    def summed(*parameters):
        positions = tuple(range(len(parameters))) if grad_position is None else grad_position
        if isinstance(positions, tuple) and len(positions) == 1:
            positions = positions[0]
        given, structure = trees.flatten(parameters)
        total = None
        for made in place.results(positions, trees.unflatten(structure, [_on_host(x) for x in given])):
            terms, structure = trees.flatten(made)
            total = terms if total is None else [a + b for a, b in zip(total, terms, strict=True)]
        return trees.unflatten(structure, [asarray(t) for t in total])

    summed.__name__ = summed.__qualname__ = f"map_grad_of_{getattr(fn, '__name__', type(fn).__name__)}"
    summed.__doc__ = f"The sum of {getattr(fn, '__name__', type(fn).__name__)} over shards, and its gradient."
    return summed


class _Here:
    """Shards that this process computes."""

    def __init__(self, fn, shards):
        self._compiled = functools.cache(lambda positions: _compiled(fn, positions))
        self._shards = shards

    def results(self, positions, parameters):
        """For each shard, in order, value and gradients."""
        for k, shard in enumerate(self._shards):
            try:
                made = _computed(self._compiled(positions), parameters, shard)
            except Exception as error:
                raise _failed(k, error, "") from error
            yield made


class _Cluster:
    """Shards that the workers of a Dask cluster compute."""

    def __init__(self, fn, shards, client):
        try:
            import cloudpickle
        except ImportError:
            raise MissingToolError(
                "map_grad: with a client the function is sent by cloudpickle, which is not installed; "
                "pip install 'nbgrad[dask]'"
            ) from None
        self._client = client
        self._function = cloudpickle.dumps(fn)
        self._digest = hashlib.sha256(self._function).hexdigest()
        self._shards = [
            tuple(x if _is_future(x) else client.scatter([_on_host(x)])[0] for x in shard) for shard in shards
        ]

    def results(self, positions, parameters):
        """The same, as they come in."""
        sent = self._client.scatter([(self._function, parameters)], broadcast=True, hash=False)[0]
        jobs = [self._client.submit(_on_worker, self._digest, positions, sent, *s, pure=False) for s in self._shards]
        try:
            for k in range(len(jobs)):
                try:
                    made = jobs[k].result()
                except Exception as error:
                    raise _failed(k, error, " on a worker") from error
                jobs[k] = None  # the worker need not keep it
                yield made
        finally:
            for job in jobs:
                if job is not None:
                    job.cancel()


#: What functions were compiled to in this worker, by the digests of their pickles, and positions.
_known: dict = {}


def _on_worker(digest, positions, sent, *shard):
    function, parameters = sent
    compiled = _known.get((digest, positions))
    if compiled is None:
        compiled = _known.setdefault((digest, positions), _compiled(pickle.loads(function), positions))
    return _computed(compiled, parameters, shard)


def _compiled(fn, positions):
    return jit(value_and_grad(fn, positions), as_numpy=True)


def _computed(compiled, parameters, shard):
    made = compiled(*parameters, *shard)
    if numpy.shape(made[0]) != ():
        raise ShapeError(
            f"map_grad: fn returned {describe(made[0])}, expected a single number to be added up; end it with a sum"
        )
    return made


def _failed(number, error, where):
    return ShardError(f"map_grad: shard {number} failed{where}: {type(error).__name__}: {error}")


def _is_future(x):
    return hasattr(x, "key") and callable(getattr(x, "result", None))


def _on_host(x):
    return x.numpy() if isinstance(x, Array) else x
