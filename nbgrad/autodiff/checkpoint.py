"""checkpoint: what a function computes on its way is computed again in the backward pass rather than kept.

Chen, Xu, Zhang & Guestrin 2016, Training deep nets with sublinear memory cost.
"""

import dataclasses
import functools

from nbgrad import graph, trees
from nbgrad.array import Array
from nbgrad.autodiff import backward, ruled
from nbgrad.errors import ArgumentError, describe


def checkpoint(fn=None, *, policy=None):
    """A function whose intermediate values are not kept for the backward pass but computed again there.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them.
    policy : callable, optional
        ``policy(primitive, shape, dtype) -> bool`` of the name of an operation and of what it computes: whether the
        value is kept all the same.  `checkpoint_policies` has some.

    Returns
    -------
    callable
        With the same values and derivatives, bit by bit.

    Notes
    -----
    Only compiled programs have a use for it: a program of n layers keeps what they compute for the backward pass;
    with a checkpoint around each group of k layers it keeps n / k values, and those of one group at a time, so that the
    peak is least for k near the square root of n.  Arrays that `fn` closes over are differentiated by as well.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> layer = ng.checkpoint(lambda x: np.tanh(np.sin(x) * 2.0))
    >>> float(ng.grad(lambda x: np.sum(layer(layer(x))))(ng.asarray([0.0]))[0])
    4.0
    """
    if fn is None:
        return functools.partial(checkpoint, policy=policy)
    for name, value in (("fn", fn), ("policy", policy)):
        if not (callable(value) or (name == "policy" and value is None)):
            raise ArgumentError(f"checkpoint: {name} must be callable, got {describe(value)}")

    @functools.wraps(fn, updated=())
    def checkpointed(*args, **kwargs):
        leaves, structure = trees.flatten((args, kwargs))
        places = [k for k, a in enumerate(leaves) if isinstance(a, Array)]
        given = [leaves[k]._node for k in places]
        start = next(graph.serials)
        for k, node in zip(places, given, strict=True):
            leaves[k] = Array(node)
        args, kwargs = trees.unflatten(structure, leaves)
        out = fn(*args, **kwargs)
        results, out_structure = trees.flatten(out)
        places = [k for k, r in enumerate(results) if isinstance(r, Array)]
        outs = [results[k]._node for k in places]
        given = list(dict.fromkeys([*given, *ruled.enclosed(outs, given, start)]))
        if not any(n.history for n in given):
            return out
        for k, node in zip(places, ruled.results(Again(len(outs), policy), (*outs, *given), len(outs)), strict=True):
            results[k] = Array(node)
        return trees.unflatten(out_structure, results)

    return checkpointed


class checkpoint_policies:
    """What `checkpoint` keeps: policies to choose from."""

    @staticmethod
    def products(primitive, shape, dtype):
        """Products of matrices, which take longest to compute again."""
        return primitive in ("matmul", "convolve")

    @staticmethod
    def everything(primitive, shape, dtype):
        """All that the backward pass reads: as without a checkpoint."""
        return True


@dataclasses.dataclass(frozen=True)
class Again(ruled.Rule):
    """Inputs are the results, and what they are computed from."""

    of_value = True
    count: int
    policy: object

    def pull(self, cotangents, inputs, needed):
        """See `Rule`: of the same operations on the same inputs, done after the cotangents are there."""
        from nbgrad.kernels.shape import barrier

        outs, given = inputs[: self.count], inputs[self.count :]
        after = next(iter(cotangents.values()))
        behind = {x: graph.structural(barrier, (x, after), {}) for x in given}
        again = self._copied([outs[k] for k in cotangents], behind)
        wanted = [behind[x] for x in given if x in needed]
        parts = backward.sweep(again, list(cotangents.values()), wanted, stops=wanted, apart=True)
        found = dict(zip(wanted, parts, strict=True))
        # not added up here: sums of floats depend on the order, which is to be that without a checkpoint
        return (*(None,) * self.count, *([Array(c) for c in found.get(behind[x]) or ()] for x in given))

    def _copied(self, outs, behind):
        fresh, kept = dict(behind), Kept()
        for node in graph.topological(outs, stop=fresh.__contains__):
            if node in fresh:
                continue
            (new,) = ruled.copied([node], {x: fresh[x] for x in node.inputs})
            fresh[node] = new
            if new is not node and (node in outs or self._keeps(node)):
                (fresh[node],) = ruled.results(kept, (node, new), 1)
                new.note(kept=fresh[node])  # its own rule reads that, too
        return [fresh[n] for n in outs]

    def _keeps(self, node):
        return self.policy is not None and self.policy(node.primitive.name, node.shape, node.dtype)

    def batched(self, inputs, mapped, size):
        """See `Rule`: the graph between the inputs says all, and it is that of all examples already."""
        from nbgrad.batching.rules import everywhere

        return self, [
            everywhere(x, size) if k < self.count and not many else x
            for k, (x, many) in enumerate(zip(inputs, mapped, strict=True))
        ]


@dataclasses.dataclass(frozen=True)
class Kept(ruled.Rule):
    """Inputs are a value that is kept, and the same value once more, which nobody computes."""

    def pull(self, cotangents, inputs, needed):
        """See `Rule`."""
        return None, Array(cotangents[0])

    def batched(self, inputs, mapped, size):
        """See `Rule`."""
        from nbgrad.batching.rules import everywhere

        return self, [x if many else everywhere(x, size) for x, many in zip(inputs, mapped, strict=True)]
