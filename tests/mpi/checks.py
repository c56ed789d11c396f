"""What processes of MPI check together: ``mpiexec -n 4 python checks.py``; a JSON line of errors by name is printed.

Oracles are functions of the arrays of all processes in NumPy, and differences of these.
"""

import json
import traceback

import numpy
import pytest
from mpi4py import MPI

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import mpi

WORLD = MPI.COMM_WORLD
RANK, SIZE = WORLD.rank, WORLD.size

#: name -> (the operation on the own array, the same of the arrays of all processes in NumPy)
OPERATIONS = {
    "sum": (mpi.allreduce, lambda xs: [sum(xs)] * SIZE),
    "fast": (lambda x: mpi.allreduce(x, fast=True), lambda xs: [sum(xs)] * SIZE),
    "mean": (lambda x: mpi.allreduce(x, "mean"), lambda xs: [numpy.mean(xs, axis=0)] * SIZE),
    "prod": (lambda x: mpi.allreduce(x, "prod"), lambda xs: [numpy.prod(xs, axis=0)] * SIZE),
    "max": (lambda x: mpi.allreduce(x, "max"), lambda xs: [numpy.max(xs, axis=0)] * SIZE),
    "min": (lambda x: mpi.allreduce(x, "min"), lambda xs: [numpy.min(xs, axis=0)] * SIZE),
    "allgather": (mpi.allgather, lambda xs: [numpy.stack(xs)] * SIZE),
    "reduce_scatter": (mpi.reduce_scatter, lambda xs: list(sum(xs))),
    "bcast": (lambda x: mpi.bcast(x, SIZE - 1), lambda xs: [xs[-1]] * SIZE),
    "ring": (lambda x: mpi.sendrecv(x, shift=1), lambda xs: [xs[r - 1] for r in range(SIZE)]),
    "line": (
        lambda x: mpi.sendrecv(x, RANK + 1 if RANK + 1 < SIZE else None, RANK - 1 if RANK else None),
        lambda xs: [0 * xs[0], *xs[:-1]],
    ),
}

WEIGHTS = [numpy.random.default_rng(50 + r).uniform(1, 2, (SIZE, 3)) for r in range(SIZE)]


def data(seed=0):
    """An array of each process; each process makes all of them."""
    return numpy.random.default_rng(seed).uniform(0.5, 1.5, (SIZE, SIZE, 3))


def objective(name):
    """A function of the own array whose sum over processes is differentiated."""
    operation = OPERATIONS[name][0]
    return lambda x: np.sum(np.sin(operation(x * x)) * WEIGHTS[RANK][0])


def total(name, xs):
    """That sum, by NumPy."""
    return sum(numpy.sum(numpy.sin(y) * w[0]) for y, w in zip(OPERATIONS[name][1](xs * xs), WEIGHTS, strict=True))


def slopes(name, xs, h=1e-6):
    """Central differences of `total` by the array of this process."""
    found = numpy.empty(xs[RANK].shape)
    for i in numpy.ndindex(*found.shape):
        step = numpy.zeros_like(xs)
        step[(RANK, *i)] = h
        found[i] = (total(name, xs + step) - total(name, xs - step)) / (2 * h)
    return found


def check_values():
    xs = data()
    for name, (operation, oracle) in OPERATIONS.items():
        numpy.testing.assert_allclose(operation(xs[RANK]).numpy(), oracle(xs)[RANK], rtol=1e-14, err_msg=name)


def check_gradients():
    xs = data(1)
    for name in OPERATIONS:
        f, x, wanted = objective(name), ng.asarray(xs[RANK]), slopes(name, xs)
        w = ng.Parameter(xs[RANK])
        compiled = ng.jit(ng.value_and_grad(f))
        _, pull_back = ng.vjp(f, x)
        found = {
            "grad": ng.grad(f)(x),
            "again, by the same program": ng.grad(f)(x),
            "jit": compiled(x)[1],
            "the fast path of jit": compiled(x)[1],
            "of the graph": ng.gradients(f(w), w)[0],
            "vjp": pull_back(ng.asarray(1.0))[0],
        }
        for how, g in found.items():
            numpy.testing.assert_allclose(g.numpy(), wanted, rtol=1e-7, atol=1e-6, err_msg=f"{name}, {how}")


def check_higher_derivatives():
    xs, v, h = data(2), data(3), 1e-4
    for name in OPERATIONS:
        f, own = objective(name), v[RANK]
        moved = ng.grad(lambda x, f=f, own=own: np.sum(ng.grad(f)(x) * own))
        curvature = numpy.sum(ng.jit(moved)(xs[RANK]).numpy() * own)
        along = [total(name, xs + t * v) for t in (-h, 0.0, h)]
        wanted = (along[0] - 2 * along[1] + along[2]) / h**2
        assert abs(WORLD.allreduce(curvature) - wanted) < 1e-5 * (1 + abs(wanted)), name
        operation, oracle = OPERATIONS[name]
        tangent = ng.jvp(operation, ng.asarray(xs[RANK]), ng.asarray(own))[1].numpy()
        apart = [oracle(xs + t * v)[RANK] for t in (-1e-6, 1e-6)]
        numpy.testing.assert_allclose(tangent, (apart[1] - apart[0]) / 2e-6, rtol=1e-6, atol=1e-8, err_msg=name)


def check_stacked_examples():
    """Jacobians by rows are of the sum of results, and by columns along steps that all processes take."""
    xs = numpy.stack([data(seed) for seed in (8, 9, 10)])
    for name, (operation, oracle) in OPERATIONS.items():
        wanted = numpy.stack([oracle(x)[RANK] for x in xs])
        for call in (ng.vmap(operation), ng.jit(ng.vmap(operation))):
            numpy.testing.assert_allclose(call(xs[:, RANK]).numpy(), wanted, rtol=1e-13, err_msg=name)
        pulled = ng.vmap(ng.grad(objective(name)))(xs[:, RANK]).numpy()
        numpy.testing.assert_allclose(pulled, [slopes(name, x) for x in xs], rtol=1e-7, atol=1e-6, err_msg=name)
    shared = ng.vmap(lambda x: x + mpi.allreduce(1.0) * mpi.allreduce(x))(numpy.arange(3.0))
    assert shared.numpy().tolist() == [k + SIZE * SIZE * k for k in range(3)]
    jacobian = ng.jacrev(lambda x: mpi.allreduce(x**2))(ng.asarray([1.0, 2.0 + RANK]))
    numpy.testing.assert_allclose(jacobian.numpy(), numpy.diag([2.0, 4.0 + 2 * RANK]) * SIZE)
    forward = ng.jacfwd(lambda x: mpi.allreduce(x**2))(ng.asarray([1.0, 2.0 + RANK]))
    numpy.testing.assert_allclose(forward.numpy(), numpy.diag([2.0 * SIZE, sum(4.0 + 2 * r for r in range(SIZE))]))
    hessian = ng.hessian(lambda x: np.sum(mpi.allreduce(x) ** 3))(ng.asarray([1.0, 2.0]))
    numpy.testing.assert_allclose(hessian.numpy(), SIZE**2 * 6 * numpy.diag([1.0, 2.0]) * SIZE)


def check_ties_share_the_cotangent():
    g = ng.grad(lambda x: np.sum(mpi.allreduce(x, "max")))(ng.asarray([1.0, float(RANK)]))
    assert g.numpy().tolist() == [1.0, float(SIZE) if RANK == SIZE - 1 else 0.0]


def check_dtypes():
    for dtype in ("int32", "float16", "float32", "complex64", "complex128"):
        xs = [(numpy.arange(3) * (1 + r)).astype(dtype) for r in range(SIZE)]
        for call in (mpi.allreduce, ng.jit(mpi.allreduce)):
            y = call(xs[RANK])
            assert y.dtype == dtype
            assert y.numpy().tolist() == sum(xs[1:], xs[0]).tolist(), dtype
    assert int(mpi.allreduce(numpy.array(True))) == SIZE
    assert float(mpi.allreduce(2.5)) == 2.5 * SIZE
    assert mpi.allreduce(numpy.zeros((0, 2))).shape == (0, 2)


def layers(w, x, y):
    return np.mean((np.tanh(np.tanh(x @ w["a"]) @ w["b"]) - y) ** 2)


def check_gradients_of_shards_are_those_of_one_process_to_the_last_bit():
    rng = numpy.random.default_rng(4)
    shards = [(rng.normal(size=(16, 30)), rng.normal(size=(16, 5))) for _ in range(SIZE)]
    for width in (40, 4000):  # added up by each process, and by parts
        w = {"a": rng.normal(size=(30, width)), "b": rng.normal(size=(width, 5))}
        of_shard = ng.jit(ng.grad(layers))
        here = [of_shard(w, *s) for s in shards]
        for name in w:
            wanted = here[0][name].numpy()
            for g in here[1:]:
                wanted = wanted + g[name].numpy()
            shared = ng.jit(lambda w, x, y, n=name: mpi.allreduce(ng.grad(layers)(w, x, y)[n]))
            assert shared(w, *shards[RANK]).numpy().tobytes() == wanted.tobytes()


def check_what_is_asked_for_is_done_in_order():
    """Whoever reads which result, and though results are equal."""

    def f(x):
        first = mpi.allreduce(x)
        mpi.allgather(x)
        last = mpi.allreduce(x)
        again = mpi.bcast(x)
        return (first + last, again) if RANK == 0 else (first, x)

    compiled = ng.jit(f)
    for _ in range(3):
        y, _ = compiled(ng.asarray([1.0 + RANK]))
        assert float(y[0]) == sum(range(1, SIZE + 1)) * (2 if RANK == 0 else 1)
    launches = compiled.lower(ng.asarray([1.0])).launches
    assert [n for n in launches if n != "happened" and not n.startswith(("add", "copy", "identity"))] == [
        "allreduce", "allgather", "allreduce", "bcast",
    ]  # fmt: skip

    def g(x):
        mpi.allreduce(2 * x)
        return np.sum(mpi.allreduce(x * x))

    compiled = ng.jit(ng.grad(g))
    for transformed in (ng.grad(g), compiled):
        assert transformed(ng.asarray([3.0])).numpy().tolist() == [6.0 * SIZE]
    assert compiled.lower(ng.asarray([3.0])).launches.count("allreduce") == 3


def check_what_may_run_any_number_of_times_is_refused():
    one = mpi.allreduce

    def unread(x):
        one(x)

    for run in (
        lambda: ng.scan(lambda s, x: (s + one(x), None), 0.0, numpy.ones(3)),
        lambda: ng.cond(ng.asarray(True), one, lambda x: x, 1.0),
        lambda: ng.while_loop(lambda x: x < 3, lambda x: x + one(x), 0.0),
        lambda: ng.scan(lambda s, x: (s + x, unread(x)), 0.0, numpy.ones(3)),
    ):
        with pytest.raises(ng.ArgumentError, match="allreduce: it was called in a function that"):
            run()
    assert float(one(1.0)) == SIZE


def check_checkpoints_repeat_what_they_send():
    def layer(w, x):
        return np.tanh(mpi.allreduce(x * w))

    def loss(layer):
        return lambda w, x: np.sum(layer(w, layer(w, x)))

    w, x = data(5)[RANK], data(6)[RANK]
    for change in (lambda f: f, ng.jit):
        a, b = (change(ng.grad(f))(w, x).numpy() for f in (loss(layer), loss(ng.checkpoint(layer))))
        assert a.tobytes() == b.tobytes()


def check_rules_that_send():
    """Nothing is sent on the way forward."""

    @ng.custom_vjp
    def shared(w):
        return w * 1.0

    shared.defvjp(lambda w: (shared.fn(w), None), lambda _, g: (mpi.allreduce(g),))
    w = ng.Parameter([1.0, 2.0])

    def loss(w):
        return np.sum(shared(w) ** 2 * (RANK + 1))

    for g in (ng.grad(loss)(w), ng.grad(loss)(w), ng.jit(ng.grad(loss))(w), ng.gradients(loss(w), w)[0]):
        assert g.numpy().tolist() == [2.0 * sum(range(1, SIZE + 1)), 4.0 * sum(range(1, SIZE + 1))]


def check_parts_of_the_processes():
    part = WORLD.Split(RANK % 2, RANK)
    ranks = list(range(RANK % 2, SIZE, 2))
    assert float(mpi.allreduce(float(RANK), comm=part)) == sum(ranks)
    part.Free()


def check_disagreements_are_errors_everywhere():
    wrong = {
        "allreduce of float64[2], op='sum'": lambda: mpi.allreduce(numpy.ones(2)),
        "allreduce of float64[3], op='sum'": lambda: mpi.allreduce(numpy.ones(3)),
        "allreduce of float32[2], op='sum'": lambda: mpi.allreduce(numpy.ones(2, "float32")),
        "allreduce of float64[2], op='max'": lambda: mpi.allreduce(numpy.ones(2), "max"),
        "bcast of float64[2], root=0": lambda: mpi.bcast(numpy.ones(2)),
        "bcast of float64[2], root=1": lambda: mpi.bcast(numpy.ones(2), 1),
        "sendrecv of float64[2], dest=1, source=None": lambda: mpi.sendrecv(numpy.ones(2), 1),
    }
    first, *others = wrong
    for other in others:
        with pytest.raises(ng.RankMismatchError) as caught:
            wrong[first if RANK == 0 else other]()
        assert f"rank 0: {first}\n" in str(caught.value) + "\n"
        assert f"rank 1: {other}\n" in str(caught.value) + "\n"
    with pytest.raises(ng.RankMismatchError, match=r"rank 1: sendrecv of float64\[\], dest=None, source=None"):
        mpi.sendrecv(1.0, dest=1 if RANK == 0 else None)
    assert float(mpi.allreduce(1.0)) == SIZE  # and one can go on


def main():
    errors = {}
    for name, check in [(n, c) for n, c in globals().items() if n.startswith("check_")]:
        try:
            check()
            error = None
        except Exception:
            error = traceback.format_exc()
        found = [f"rank {r}: {e}" for r, e in enumerate(WORLD.allgather(error)) if e is not None]
        errors[name] = found
        if found:
            break  # processes may be out of step
    if RANK == 0:
        print(json.dumps(errors))


if __name__ == "__main__":
    main()
