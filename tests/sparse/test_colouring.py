"""Colourings: valid for random matrices by an independent check, few colours for banded ones and grids, and fast."""

import itertools
import time

import numpy
import pytest
from scipy import sparse

from nbgrad.sparse import colouring, greedy
from nbgrad.sparse.plan import Plan


def random_pattern(rows, columns, density, seed):
    rng = numpy.random.default_rng(seed)
    return sparse.csr_array(rng.uniform(size=(rows, columns)) < density)


def banded(n, below, above):
    offsets = range(-below, above + 1)
    return sparse.csr_array(sparse.diags_array([1.0] * len(offsets), offsets=list(offsets), shape=(n, n)), dtype=bool)


def five_points(n, m):
    """The stencil of a grid with n rows and m columns."""
    pattern = sparse.kron(banded(n, 1, 1), sparse.eye_array(m)) + sparse.kron(sparse.eye_array(n), banded(m, 1, 1))
    pattern = sparse.csr_array(pattern).astype(bool)
    pattern.sort_indices()
    return pattern


def assert_columns_are_apart(pattern, colours):
    """No row has two entries of one colour, and only empty columns have none."""
    for row in pattern.toarray():
        own = colours[row]
        assert len(set(own)) == len(own)
    numpy.testing.assert_array_equal(colours >= 0, pattern.toarray().any(0))


def assert_star_colouring(pattern, colours):
    """Neighbours differ, and every path of four vertices has three colours: by going through all paths."""
    n = len(colours)
    near = [set(numpy.flatnonzero(row)) - {i} for i, row in enumerate(pattern.toarray())]
    for i in range(n):
        for j in near[i]:
            assert colours[i] != colours[j]
            for k in near[j] - {i}:
                for last in near[k] - {i, j}:
                    assert len({colours[v] for v in (i, j, k, last)}) > 2, (i, j, k, last)


@pytest.mark.parametrize("seed", range(12))
def test_columns_of_random_matrices(seed):
    pattern = random_pattern(20 + seed, 25, 0.02 + 0.02 * seed, seed)
    colours = colouring.of_columns(pattern)
    assert_columns_are_apart(pattern, colours)
    assert colours.max() + 1 >= colouring.at_least(pattern)


@pytest.mark.parametrize("seed", range(12))
def test_stars_of_random_symmetric_matrices(seed):
    pattern = random_pattern(22, 22, 0.02 + 0.015 * seed, seed)
    pattern = (pattern + pattern.T).tocsr()
    assert_star_colouring(pattern, colouring.of_symmetric(pattern))


@pytest.mark.parametrize("mode", ["rows", "columns", "auto"])
@pytest.mark.parametrize("seed", range(6))
def test_a_plan_recovers_every_entry(seed, mode):
    """From products of a matrix with the seeds, as NumPy multiplies."""
    pattern = random_pattern(14, 17, 0.15, seed)
    dense = pattern.toarray() * numpy.random.default_rng(seed).normal(size=pattern.shape)
    plan, calls = Plan(pattern, mode), []

    def sweep(seed):
        calls.append(1)
        return seed @ dense if plan.mode == "rows" else dense @ seed

    numpy.testing.assert_array_equal(plan.matrix(sweep, numpy.dtype(float)).toarray(), dense)
    assert len(calls) == len(plan) <= min(pattern.shape)


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_recovers_every_entry_of_a_symmetric_matrix(seed):
    rng = numpy.random.default_rng(seed)
    pattern = random_pattern(16, 16, 0.02 + 0.02 * seed, seed)
    pattern = (pattern + pattern.T).tocsr()
    dense = rng.normal(size=(16, 16))
    dense = pattern.toarray() * (dense + dense.T)
    found = Plan(pattern, "symmetric").matrix(lambda s: dense @ s, numpy.dtype(float))
    numpy.testing.assert_array_equal(found.toarray(), dense)


@pytest.mark.parametrize(("below", "above"), [(1, 1), (2, 2), (0, 1), (3, 0), (1, 4)])
def test_a_band_takes_as_many_colours_as_it_is_wide(below, above):
    pattern = banded(200, below, above)
    colours = colouring.of_columns(pattern)
    assert colours.max() + 1 == below + above + 1
    assert_columns_are_apart(pattern, colours)


def test_grids():
    """5 points: at least 5 colours for columns."""
    pattern = five_points(12, 17)
    colours = colouring.of_columns(pattern)
    assert_columns_are_apart(pattern, colours)
    assert 5 <= colours.max() + 1 <= 7
    stars = colouring.of_symmetric(pattern)
    assert_star_colouring(pattern, stars)
    assert stars.max() + 1 <= 6


def test_symmetric_matrices_take_fewer_colours_than_columns():
    assert colouring.of_symmetric(banded(100, 1, 1)).max() + 1 == 3
    arrow = sparse.csr_array(numpy.add.outer(numpy.arange(50) == 0, numpy.arange(50) == 0) | numpy.eye(50, dtype=bool))
    assert colouring.of_symmetric(arrow).max() + 1 == 2
    assert colouring.of_columns(arrow).max() + 1 == 50


def test_other_orders_find_fewer_colours():
    """The crown graph: in the given order greedy colouring takes a colour for each pair, in another one two."""
    n = 8
    edges = [(i, j) for i, j in itertools.product(range(n), range(n)) if i != j]
    pattern = numpy.zeros((len(edges), 2 * n), bool)
    for k, (i, j) in enumerate(edges):
        pattern[k, [2 * i, 2 * j + 1]] = True
    pattern = sparse.csr_array(pattern)
    transposed = pattern.T.tocsr()
    arrays = pattern.indptr, pattern.indices, transposed.indptr, transposed.indices
    assert greedy.coloured_columns(*arrays, numpy.arange(2 * n)).max() + 1 == n
    assert colouring.of_columns(pattern).max() + 1 == 2


def test_degrees_and_incidence():
    """Against products of matrices, and the definition of the order."""
    pattern = random_pattern(30, 24, 0.08, 5)
    transposed = pattern.T.tocsr()
    arrays = pattern.indptr, pattern.indices, transposed.indptr, transposed.indices
    dense = pattern.toarray().astype(int)
    near = (dense.T @ dense > 0) & ~numpy.eye(24, dtype=bool)
    degree = greedy.degrees(*arrays)
    numpy.testing.assert_array_equal(degree, near.sum(1))
    order = greedy.by_incidence(*arrays, degree, numpy.argsort(degree))
    assert sorted(order) == list(range(24))
    assert degree[order[0]] == degree.max()
    for k in range(1, 24):
        before = near[:, order[:k]].sum(1)
        assert before[order[k]] == before[order[k:]].max()


def test_nothing_to_colour():
    empty = sparse.csr_array((3, 4), dtype=bool)
    assert colouring.of_columns(empty).tolist() == [-1] * 4
    assert colouring.of_symmetric(sparse.csr_array((3, 3), dtype=bool)).tolist() == [-1] * 3
    assert len(Plan(empty, "auto")) == 0
    assert Plan(empty, "rows").matrix(None, numpy.dtype("float32")).shape == (3, 4)


def test_compiled_loops_find_the_same(monkeypatch):
    """Large matrices are coloured by machine code, small ones by Python."""
    pattern = five_points(9, 11)
    expected = colouring.of_columns(pattern), colouring.of_symmetric(pattern)
    monkeypatch.setattr(greedy, "COMPILED_FROM", 0)
    used = []
    monkeypatch.setattr(greedy, "_compiled", lambda f, made=greedy._compiled: used.append(f.__name__) or made(f))
    numpy.testing.assert_array_equal(colouring.of_symmetric(pattern), expected[1])
    numpy.testing.assert_array_equal(colouring.of_columns(pattern), expected[0])
    assert set(used) == {"coloured_columns", "coloured_stars", "degrees", "by_incidence"}


def test_large_matrices_take_less_than_a_second():
    """10^5 columns with 5 entries each, once the loops are compiled."""
    pattern = banded(100_000, 2, 2)
    colouring.of_columns(pattern), colouring.of_symmetric(pattern)
    start = time.process_time()
    assert colouring.of_columns(pattern).max() + 1 == 5
    assert colouring.of_symmetric(pattern).max() + 1 <= 6
    assert time.process_time() - start < 2.0  # both, on a machine that others use as well
