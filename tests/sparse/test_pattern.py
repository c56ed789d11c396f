"""Patterns miss no entry: against the nonzeros of dense Jacobians, for every primitive and for random functions."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.sparse import dependence
from tests.primitives.table import ROWS

DIFFERENTIABLE = [row for row in ROWS if row.primitive.differentiable and row.gradient == "check"]
CASES = [
    pytest.param(row, case, id=row.name if case is None else f"{row.name}-{k}")
    for row in DIFFERENTIABLE
    for k, case in enumerate(row.cases or (None,))
]


def assert_covers(fn, x, dense):
    """The pattern has an entry wherever the dense Jacobian is not 0."""
    flat = numpy.asarray(dense).reshape(-1, x.size)
    found = ng.sparse_jacobian(fn).pattern(x)
    assert found.shape == flat.shape
    missed = (flat != 0) & ~found.toarray()
    assert not missed.any(), f"missed {numpy.argwhere(missed)[:5]}"
    return found


@pytest.mark.parametrize(("row", "case"), CASES)
def test_no_entry_of_a_primitive_is_missed(row, case, settings_off):
    """By each argument in turn; those of elementwise primitives broadcast with each other."""
    if case is None:
        attrs, arguments = {}, row.sample("float64", (3, 2))
        if row.primitive.arity is not None:
            arguments = [a[:, :1] if k % 2 else a for k, a in enumerate(arguments)]
    else:
        attrs, arguments = case.attrs, row.arguments(case)
    for k, a in enumerate(arguments):
        if a.dtype.kind != "f" or not a.size:
            continue

        def fn(x, k=k):
            return row.primitive(*arguments[:k], x, *arguments[k + 1 :], **attrs)

        if fn(ng.asarray(a)).dtype.kind != "f":  # a cast to integers
            continue
        try:
            dense = ng.jacrev(fn)(a)
        except ng.MissingRuleError:  # orders of Bessel functions: there is no derivative to miss
            continue
        assert_covers(fn, a, dense)


@pytest.fixture
def settings_off(settings):
    """Nothing is compiled: hundreds of small graphs run once each."""
    settings.jit = 0


def transformed(jacobian, x):
    return numpy.asarray(jacobian(x)).reshape(-1, x.size)


# ---------------------------------------------------------------- exact patterns

N = 7


def assigned(x):
    y = np.roll(x, 1)
    y[2:4] = x[:2] ** 2
    y[numpy.array([0, 5, 5])] = np.sin(x[4:7])  # the last one wins
    y[6] = 3.0
    return y


EXACT = {
    "slices": lambda x: x[1:] * x[:-1],
    "steps back": lambda x: np.sin(x[::-2]),
    "roll": lambda x: x * np.roll(x, 2),
    "pad": lambda x: np.pad(x, 2) ** 2,
    "take": lambda x: x[numpy.array([3, 3, 0])] * x[numpy.array([1, 2, 3])],
    "assignment": lambda x: assigned(x),
    "concatenation": lambda x: np.concatenate([x[4:], x[:2] * x[2:4]]),
    "windows": lambda x: np.convolve(np.exp(x), numpy.array([1.0, -2.0, 1.0])),
    "running sum": lambda x: np.cumsum(x**2),
    "sums of rows": lambda x: np.sum(np.sin(x[:6]).reshape(2, 3), axis=1),
    "transpose": lambda x: x[:6].reshape(2, 3).T * x[:2],
    "outer product": lambda x: np.outer(x[:3], x[3:]),
    "stacked products": lambda x: np.matmul(x[:6].reshape(3, 2, 1), x[:3].reshape(3, 1, 1)),
    "row times matrix": lambda x: np.matmul(np.sin(x[:6]).reshape(3, 2), numpy.ones((2, 4))),
    "bincount": lambda x: np.bincount(numpy.array([0, 2, 2, 1, 0, 5, 5]), weights=x**2),
    "norms of rows": lambda x: np.linalg.norm(x[:6].reshape(3, 2), axis=1),
    "small solutions": lambda x: np.linalg.solve(np.exp(x[:4] ** 2).reshape(1, 2, 2), numpy.ones((1, 2, 1))),
    "stopped": lambda x: ng.stop_gradient(np.roll(x, 1)) * x,
    "constant": lambda x: ng.asarray([1.0, 2.0]),
}


@pytest.mark.parametrize("name", EXACT)
def test_pattern_is_that_of_the_jacobian(name, settings_off):
    """At numbers with no accidental zeros."""
    x = numpy.linspace(0.3, 1.7, N)
    found = assert_covers(EXACT[name], x, dense := transformed(ng.jacrev(EXACT[name]), x))
    numpy.testing.assert_array_equal(found.toarray(), dense != 0)


def test_indices_that_depend_on_the_input_may_be_any(settings_off):
    """A sorted array depends on all of it at another point, whatever this one says."""
    x = numpy.array([0.5, -1.0, 3.0, 2.0])
    assert ng.sparse_jacobian(np.sort)(x).toarray().tolist() == numpy.eye(4)[numpy.argsort(x)].tolist()
    assert ng.sparse_jacobian(np.sort).pattern(x).nnz == 16

    def scattered(x):
        return np.bincount(np.argsort(x), weights=x)

    assert ng.sparse_jacobian(scattered).pattern(x).nnz == 16


def test_indices_of_another_argument_are_values(settings_off):
    """The pattern is that of the indices of the call, not of an earlier one."""
    jacobian = ng.sparse_jacobian(lambda x, i: x[i] ** 2)
    x = numpy.array([1.0, 2.0, 3.0])
    for index in ([0, 2], [1, 1], [2, 0]):
        expected = numpy.zeros((2, 3))
        expected[[0, 1], index] = 2 * x[index]
        found = jacobian(x, numpy.array(index))
        assert found.nnz == 2
        numpy.testing.assert_array_equal(found.toarray(), expected)


def test_fourier_transforms_mix_their_axes_only(settings_off):
    x = numpy.linspace(0.3, 1.7, 12)
    found = ng.sparse_jacobian(lambda x: np.abs(np.fft.rfft(x.reshape(3, 4))) ** 2).pattern(x).toarray()
    assert (found.reshape(3, 3, 3, 4).any((1, 3)) == numpy.eye(3, dtype=bool)).all()
    assert found.reshape(3, 3, 3, 4)[0, :, 0].all()


def test_hessian_patterns_leave_linear_terms_out(settings_off):
    x = numpy.linspace(0.3, 1.7, 5)
    found = ng.sparse_hessian(lambda x: np.sum(x**3) + np.sum(x[0] * x[1:3]) + np.sum(x) + x[4]).pattern(x)
    expected = numpy.eye(5, dtype=bool)
    expected[0, 1:3] = expected[1:3, 0] = True
    numpy.testing.assert_array_equal(found.toarray(), expected)


def test_what_is_all_but_dense_is_refused(monkeypatch):
    monkeypatch.setattr(dependence, "MOST", 1000)
    with pytest.raises(
        ng.GradientError, match=r"sparse_jacobian: an array on the way .* counts as dense .*; use jacfwd, jacrev"
    ):
        ng.sparse_jacobian(np.cumsum).pattern(numpy.ones(100))
    assert ng.sparse_jacobian(lambda x: x * 2).pattern(numpy.ones(100)).nnz == 100


def test_a_large_stencil_is_found_without_a_loop_over_its_elements():
    """10^5 rows by slices, rolls and a convolution; the work is counted as calls, which do not grow with the size."""
    import sys

    def stencil(x):
        return np.roll(x, 1) * x + np.convolve(x, numpy.array([1.0, 2.0, 1.0]), mode="same") + np.pad(x[2:], (0, 2))

    def calls(n):
        jacobian, count = ng.sparse_jacobian(stencil), 0
        run = jacobian._run((numpy.ones(n),))

        def counted(frame, event, arg):
            nonlocal count
            count += event == "call"

        from nbgrad.sparse import pattern

        sys.setprofile(counted)
        try:
            found = pattern.found("sparse_jacobian", run.outputs, run.wrappers, run.since)
        finally:
            sys.setprofile(None)
        assert found.shape == (n, n)
        return count

    assert calls(100_000) <= calls(100) * 1.2 + 50


# ---------------------------------------------------------------- random functions

SIZE = 6


def _index(k):
    return numpy.random.default_rng(k).integers(0, SIZE, SIZE)


STEPS = (
    lambda x, k: np.roll(x, k) * 1.5,
    lambda x, k: x * np.roll(x, k % 3),
    lambda x, k: np.sin(x) + k,
    lambda x, k: np.pad(x[k % 4 :], (0, k % 4)),
    lambda x, k: x[_index(k)],
    lambda x, k: np.where(_index(k) > 2, x, x[::-1]),
    lambda x, k: np.cumsum(x) / 4.0 if k % 3 == 0 else x[::-1],
    lambda x, k: np.convolve(x, numpy.array([0.5, -1.0, 0.25]), mode="same"),
    lambda x, k: np.repeat(np.sum(x.reshape(3, 2), axis=1), 2),
    lambda x, k: x.reshape(2, 3).T.reshape(-1),
    lambda x, k: np.bincount(_index(k), weights=x, minlength=SIZE),
    lambda x, k: np.concatenate([x[: k % 5], np.exp(-(x[k % 5 :] ** 2))]),
    lambda x, k: np.matmul(x.reshape(3, 2), numpy.array([[1.0, 0.5], [-0.5, 2.0]])).reshape(-1),
    lambda x, k: np.max(x.reshape(2, 3), axis=0)[_index(k) % 3],
)
steps = st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 11)), min_size=1, max_size=5)


@given(steps, st.sampled_from(("auto", "columns", "rows")))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_random_functions(program, colouring):
    """Sparse and dense Jacobians are equal, and so are the sparse and dense Hessians of a sum of squares."""

    def fn(x):
        for which, k in program:
            x = STEPS[which](x, k)
        return x

    def energy(x):
        return np.sum(fn(x) ** 2)

    before, ng.config.jit = ng.config.jit, 0
    try:
        x = numpy.random.default_rng(3).uniform(0.4, 1.4, SIZE)
        dense = transformed(ng.jacfwd(fn), x)
        found = ng.sparse_jacobian(fn, colouring=colouring)(x)
        numpy.testing.assert_allclose(found.toarray(), dense, rtol=1e-12, atol=1e-12 * max(abs(dense).max(), 1))
        dense = transformed(ng.jacfwd(ng.grad(energy)), x)
        found = ng.sparse_hessian(energy)(x)
        numpy.testing.assert_allclose(found.toarray(), dense, rtol=1e-11, atol=1e-11 * max(abs(dense).max(), 1))
    finally:
        ng.config.jit = before
