"""NumPy and nbgrad.numpy agree on value, dtype and shape of whatever arguments are drawn, on both tiers."""

import warnings

import numpy
import pytest
from functions import FORMS
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.array import Array

RTOL = {"float16": 4e-3, "float32": 4e-6, "complex64": 8e-6, "float64": 2e-13, "complex128": 4e-13}
#: Functions that other tests draw arguments for, or whose values nothing is said of.
ELSEWHERE = {
    "add_at", "put_along_axis", "from_dlpack", "can_cast", "finfo", "iinfo", "result_type", "isdtype", "copyto",
    "empty", "empty_like", "place", "put", "putmask", "fill_diagonal", "apply_along_axis", "apply_over_axes",
    "piecewise", "fromfunction", "fromiter", "fromstring", "frombuffer", "iterable", "issubdtype", "isscalar",
    "isfortran", "common_type", "min_scalar_type", "mintypecode", "promote_types", "typename", "ix_", "mask_indices",
    "einsum_path", "unique_values",
}  # fmt: skip


def given_over(arguments):
    """Arguments with Arrays in place of ndarrays."""
    if isinstance(arguments, numpy.ndarray):
        return ng.asarray(arguments)
    if isinstance(arguments, (list, tuple)) and any(isinstance(a, (numpy.ndarray, list)) for a in arguments):
        return type(arguments)(map(given_over, arguments))
    return arguments


def results(value):
    """What a function returned, one after another."""
    return [y for v in value for y in results(v)] if isinstance(value, (tuple, list)) else [value]


def agree(name, ours, theirs, scale):
    ours, theirs = results(ours), results(theirs)
    assert len(ours) == len(theirs), name
    for a, b in zip(ours, theirs, strict=True):
        b = numpy.asarray(b)
        if not isinstance(a, Array):
            assert numpy.asarray(a).tolist() == b.tolist()
            continue
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (name, a.dtype, b.dtype, a.shape, b.shape)
        rtol = RTOL.get(str(b.dtype), 0)
        atol = rtol * scale if rtol else 0
        numpy.testing.assert_allclose(a.numpy(), b, rtol=rtol, atol=atol, err_msg=name)


def check(name, data, jit):
    arguments, keywords = data.draw(st.composite(lambda draw: FORMS[name](draw))(), label="arguments")
    ours = given_over(arguments)
    ng.config.jit = jit
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            expected = getattr(numpy, name)(*arguments, **keywords)
        except (TypeError, ValueError, IndexError):
            expected = None
        if expected is None:
            with pytest.raises((TypeError, ValueError, IndexError)):
                results(getattr(np, name)(*ours, **keywords))[0].numpy()
            return
        found = getattr(np, name)(*ours, **keywords)
        sizes = [
            numpy.nanmax(numpy.abs(a.astype(complex)), initial=1) for a in arguments if isinstance(a, numpy.ndarray)
        ]
        if name in ("prod", "cumprod", "cumulative_prod"):
            sizes = [max(sizes, default=1) ** 16]
        agree(name, found, expected, 4 * max(sizes, default=1) ** 2)


def test_every_function_has_a_form():
    """What is added to the namespace comes with arguments to try it on."""
    shared = {n for n in np.__all__ if callable(getattr(numpy, n, None)) and not isinstance(getattr(numpy, n), type)}
    assert shared - set(FORMS) - ELSEWHERE == set()


HURRY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("name", sorted(FORMS))
@pytest.mark.parametrize("jit", [0, 2])
def test_as_numpy(name, jit):
    @seed(1)
    @examples(max_examples=4 if jit else 20, **HURRY)
    @given(st.data())
    def some(data):
        check(name, data, jit)

    some()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(FORMS))
@pytest.mark.parametrize("jit", [0, 2])
def test_as_numpy_in_many_cases(name, jit):
    @examples(max_examples=100 if jit else 400, **HURRY)
    @given(st.data())
    def many(data):
        check(name, data, jit)

    many()
