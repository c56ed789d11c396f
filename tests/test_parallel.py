"""Gradients of sums over shards, here and by the workers of a Dask cluster."""

import re

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

RNG = numpy.random.default_rng(7)
SHARDS = [(RNG.normal(size=(n, 4)), RNG.normal(size=n)) for n in (5, 8, 8, 3)]
W = {"w": RNG.normal(size=4), "b": numpy.array(0.3)}


def loss(p, x, y):
    if x.shape[0] == 2:
        raise ValueError("two rows")
    return np.sum((x @ p["w"] + p["b"] - y) ** 2)


def by_hand():
    """Value and gradients, by NumPy, of all rows."""
    x, y = (numpy.concatenate(parts) for parts in zip(*SHARDS, strict=True))
    r = x @ W["w"] + W["b"] - y
    return r @ r, {"w": 2 * x.T @ r, "b": 2 * r.sum()}


def test_here():
    value, slopes = ng.parallel.map_grad(loss, SHARDS)(W)
    wanted, gradients = by_hand()
    numpy.testing.assert_allclose(float(value), wanted, rtol=1e-13)
    for name in W:
        numpy.testing.assert_allclose(slopes[name].numpy(), gradients[name], rtol=1e-12)


def test_several_parameters_and_positions():
    def f(a, b, x):
        return np.sum(a * b * x)

    shards = [numpy.arange(3.0), numpy.arange(2.0)]
    value, (ga, gb) = ng.parallel.map_grad(f, shards)(numpy.array(2.0), ng.asarray(3.0))
    assert (float(value), float(ga), float(gb)) == (24.0, 12.0, 8.0)
    assert float(ng.parallel.map_grad(f, shards, grad_position=1)(numpy.array(2.0), numpy.array(3.0))[1]) == 8.0


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: nbgrad[dask]")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_by_workers(client):
    """The same bits as here, of data that stays there; a function that only this process has; kernels of a cache."""
    wanted = ng.parallel.map_grad(loss, SHARDS)(W)
    first = client.scatter(SHARDS[0][0])
    shards = [(first, SHARDS[0][1]), *SHARDS[1:]]
    scale = 1.0
    summed = ng.parallel.map_grad(lambda p, x, y: loss(p, x, y) * scale, shards, client)
    for _ in range(2):
        value, slopes = summed(W)
        assert value.numpy().tobytes() == wanted[0].numpy().tobytes()
        for name in W:
            assert slopes[name].numpy().tobytes() == wanted[1][name].numpy().tobytes()
    before = client.run(lambda: ng.stats()["kernels_compiled"])
    summed(W)
    assert client.run(lambda: ng.stats()["kernels_compiled"]) == before, "it was compiled again"
    failing = ng.parallel.map_grad(loss, [*SHARDS[:2], (numpy.ones((2, 4)), numpy.ones(2))], client)
    with pytest.raises(ng.ShardError, match="map_grad: shard 2 failed on a worker: ValueError: two rows"):
        failing(W)
    with pytest.raises(ng.ArgumentError, match="map_grad: shard 0 is a future of a cluster and there is no client"):
        ng.parallel.map_grad(loss, [first])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ng.parallel.map_grad(3, SHARDS), ng.ArgumentError, "map_grad: fn must be callable, not int 3"),
        (lambda: ng.parallel.map_grad(loss, []), ng.ArgumentError, "map_grad: there are no shards"),
        (lambda: ng.parallel.map_grad(loss, SHARDS, "tcp"), ng.ArgumentError, "map_grad: client is str 'tcp', expec"),
        (lambda: ng.parallel.map_grad(lambda p, x: x * p["b"], [numpy.ones(2)])(W), ng.ShardError,
         "map_grad: shard 0 failed: ShapeError: map_grad: fn returned NumPy array float64[2], expected a"),
        (lambda: ng.parallel.map_grad(loss, [*SHARDS, (numpy.ones((2, 4)), 1.0)])(W), ng.ShardError,
         "map_grad: shard 4 failed: ValueError: two rows"),
    ],
)  # fmt: skip
def test_errors(call, error, text):
    with pytest.raises(error, match=re.escape(text)):
        call()


def test_without_cloudpickle_it_says_what_to_install(monkeypatch):
    import sys
    import types

    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ng.MissingToolError, match=r"pip install 'nbgrad\[dask\]'"):
        ng.parallel.map_grad(loss, SHARDS, types.SimpleNamespace(submit=None, scatter=None))
