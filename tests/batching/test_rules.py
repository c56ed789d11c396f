"""What each primitive is of stacked operands: every primitive, mapped over every set of its inputs, against a loop."""

import itertools
import subprocess
import sys

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from tests.primitives.table import ROWS

SIZE = 3
#: Primitives without a rule are applied to one example after another; nothing else is.
ONE_BY_ONE = {"convolve", "polynomial_roots", "least_squares", "lstsq", "integral", "run_loop"}


def cases(row):
    """(arguments of some examples, attributes) for each case of a row."""
    rng = numpy.random.default_rng(3)
    if row.elementwise:
        arguments = row.sample("float64" if "float64" in row.dtypes else row.dtypes[0], (4,))
        yield [[rng.permutation(a) for a in arguments] for _ in range(SIZE)], {}
        return
    for case in row.cases:
        arguments = row.arguments(case, "float64" if "float64" in row.dtypes else row.dtypes[0])
        examples = []
        for k in range(SIZE):
            examples.append([
                a * (1 - 0.05 * k) if a.dtype.kind in "fc" else rng.permutation(a.reshape(-1)).reshape(a.shape)
                for a in arguments
            ])  # fmt: skip
        yield examples, case.attrs


def some(arity):
    """Sets of inputs that have examples: all of them, and each alone."""
    return sorted({tuple(range(arity)), *((k,) for k in range(arity))})


def gathered(examples, mapped):
    """Arguments for vmap, and the arguments of each example."""
    arity = len(examples[0])
    stacked = [numpy.stack([e[k] for e in examples]) if k in mapped else examples[0][k] for k in range(arity)]
    own = [[e[k] if k in mapped else examples[0][k] for k in range(arity)] for e in examples]
    return stacked, own, tuple(0 if k in mapped else None for k in range(arity))


def compare(found, expected, what):
    for f, *es in zip(found, *expected, strict=True):
        e = numpy.stack([numpy.asarray(e) for e in es])
        assert (f.shape, f.dtype) == (e.shape, e.dtype), what
        size = numpy.nanmax(numpy.abs(e.astype(complex)), initial=1.0) if numpy.isfinite(e).any() else 1.0
        numpy.testing.assert_allclose(numpy.asarray(f), e, rtol=1e-12, atol=1e-12 * size, err_msg=str(what))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_values_and_gradients(row):
    """A stack of results, gradients for each example, and the gradient of all of them."""
    ng.config.jit = 0
    primitive = row.primitive
    for examples, attrs in cases(row):
        for mapped in some(len(examples[0])):
            stacked, own, axes = gathered(examples, mapped)

            def value(*xs, attrs=attrs):
                return primitive(*xs, **attrs)

            many = ng.vmap(value, axes)
            compare([many(*stacked)], [[value(*map(ng.asarray, o))] for o in own], (row.name, attrs, mapped))
            floats = tuple(k for k, a in enumerate(stacked) if a.dtype.kind == "f")
            if row.gradient is None or not floats:
                continue

            def gradients(*xs, value=value, floats=floats):
                return ng.grad(lambda *xs: np.sum(np.real(value(*xs)) ** 2), floats)(*xs)

            as_tuple = lambda g: g if isinstance(g, tuple) else (g,)  # noqa: E731
            each = [as_tuple(gradients(*map(ng.asarray, o))) for o in own]
            compare(as_tuple(ng.vmap(gradients, axes)(*stacked)), each, (row.name, attrs, mapped, "gradient"))
            whole = as_tuple(ng.grad(lambda *xs, many=many: np.sum(np.real(many(*xs)) ** 2), floats)(*stacked))
            for k, g, parts in zip(floats, whole, zip(*each, strict=True), strict=True):
                parts = numpy.stack(parts)
                expected = parts if k in mapped else parts.sum(0)
                numpy.testing.assert_allclose(
                    g, expected, rtol=1e-11, atol=1e-11 * max(1.0, numpy.nanmax(numpy.abs(parts), initial=0))
                )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_example_at_all(row):
    ng.config.jit = 0
    for examples, attrs in itertools.islice(cases(row), 1):
        arguments = [numpy.stack([a])[:0] for a in examples[0]]
        one = row.primitive(*map(ng.asarray, examples[0]), **attrs)
        none = ng.vmap(lambda *xs, attrs=attrs: row.primitive(*xs, **attrs))(*arguments)
        assert (none.numpy().shape, none.dtype) == ((0, *one.shape), one.dtype)


def test_what_is_applied_to_one_example_after_another():
    """Where a rule is missing vmap loops: this is the list of it, without what other tests define."""
    code = """if True:
        import nbgrad, nbgrad.scipy
        for name in nbgrad.scipy.SUBMODULES:
            getattr(nbgrad.scipy, name)
        print(*(
            name for name, p in nbgrad.primitives().items()
            if p.batching is None and p.kind != "elementwise" and name not in ("constant", "on_pairs")
        ))"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(found.split()) == ONE_BY_ONE
