"""What the Array API standard asks of a namespace beyond NumPy's functions."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

X32 = numpy.ones(2, "float32")


def test_the_namespace_of_an_array():
    assert ng.asarray([1.0]).__array_namespace__() is np
    assert np.__array_api_version__ == "2024.12"


def test_what_the_namespace_says_of_itself():
    info = np.__array_namespace_info__()
    assert info.default_device() == "cpu"
    assert info.devices()[0] == "cpu"
    assert info.capabilities()["boolean indexing"]
    assert info.capabilities()["data-dependent shapes"]
    made = {"real floating": np.asarray(1.0), "integral": np.asarray(1), "complex floating": np.asarray(1j),
            "indexing": np.argmax(np.asarray([1.0]))}  # fmt: skip
    assert info.default_dtypes() == {kind: x.dtype for kind, x in made.items()}
    assert info.default_dtypes(device="cpu") == info.default_dtypes()
    assert list(info.dtypes(kind="real floating")) == ["float32", "float64"]
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    assert info.dtypes()["int8"] == numpy.dtype("int8")
    assert "float16" not in info.dtypes()
    with pytest.raises(errors.ArgumentError, match="dtypes: kind 'float' is unknown; known are bool, signed integer"):
        info.dtypes(kind="float")
    with pytest.raises(errors.DeviceError, match="default_dtypes: device 'gpu' is not one"):
        info.default_dtypes(device="gpu")


@pytest.mark.parametrize(
    "operands", [(X32, 1.0), (X32, 1j), (X32, "int64"), (numpy.ones(1, "int8"), 3), ("complex64", "float64"), (1, 2.0)]
)
def test_result_type(operands):
    ours = [np.asarray(x) if isinstance(x, numpy.ndarray) else x for x in operands]
    assert np.result_type(*ours) == numpy.result_type(*operands)


def test_result_type_of_nothing():
    with pytest.raises(errors.ArgumentError, match="result_type: give at least one array, dtype or number"):
        np.result_type()


def test_casts_that_are_allowed():
    assert np.can_cast(np.asarray(X32), "float64")
    assert not np.can_cast(np.asarray(X32), "float16")
    assert np.can_cast("float64", "float32", casting="same_kind")


def test_limits():
    """Python numbers, so that they are weak; of arrays and complex numbers too."""
    for dtype in ("float16", "float32", "float64", "complex64"):
        ours, theirs = np.finfo(dtype), numpy.finfo(dtype)
        assert type(ours.eps) is float
        assert (ours.eps, ours.max, ours.tiny, ours.bits, ours.dtype) == (
            theirs.eps, theirs.max, theirs.tiny, theirs.bits, theirs.dtype
        )  # fmt: skip
        assert ours.nmant == theirs.nmant
    x = np.asarray(X32)
    assert (x * np.finfo(x).eps).dtype == "float32"
    assert np.iinfo(np.asarray([1], "uint8")).max == 255
    assert repr(np.finfo("float32")) == repr(numpy.finfo("float32"))


def test_to_device():
    x = ng.asarray([1.0])
    assert x.to_device("cpu") is x
    with pytest.raises(errors.DeviceError, match="device 'gpu' is not one"):
        x.to_device("gpu")


def test_dlpack_out():
    """Consumers that know of read-only memory share it; older ones get a copy, unless they forbid one."""
    x = ng.asarray([1.0, 2.0])
    assert numpy.shares_memory(numpy.from_dlpack(x), x.__array__())
    assert not numpy.from_dlpack(x).flags.writeable
    assert x.__dlpack__() is not None
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="readonly"):
        x.__dlpack__(copy=False)


def test_clip_has_the_standard_s_names():
    x = numpy.linspace(-2, 2, 9)
    expected = numpy.clip(x, -1, 1)
    for found in (np.clip(x, min=-1, max=1), np.clip(x, -1, max=1), np.clip(x, a_min=-1, a_max=1)):
        numpy.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "edges",
    [{"prepend": 0}, {"append": [[1.0], [2.0]]}, {"prepend": numpy.ones((2, 2)), "append": 3, "n": 2}, {"n": 0}],
)
def test_differences_with_edges(rng, edges):
    x = rng.normal(size=(2, 5))
    numpy.testing.assert_array_equal(np.diff(x, **edges), numpy.diff(x, **edges))
    empty = numpy.diff(x[:0], **{k: v for k, v in edges.items() if k == "n"})
    assert np.diff(x[:0], n=edges.get("n", 1)).shape == empty.shape


def test_differences_keep_gradients(rng):
    x, first = rng.normal(size=5), ng.asarray(rng.normal(size=1))
    g = ng.grad(lambda p: np.sum(np.diff(x, prepend=p) ** 2))(first)
    numpy.testing.assert_allclose(g, -2 * (x[:1] - first.numpy()))
    with pytest.raises(errors.ArgumentError, match="diff: n must not be negative, got -1"):
        np.diff(x, n=-1)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("jit", [0, 2])
def test_places_in_a_table(rng, side, jit):
    ng.config.jit = jit
    table = numpy.sort(rng.normal(size=30).round(1))
    table[-2:] = numpy.nan
    values = numpy.concatenate([table[::3], rng.normal(size=10), [numpy.nan, numpy.inf, -numpy.inf]]).reshape(-1, 1)
    numpy.testing.assert_array_equal(np.searchsorted(table, values, side), numpy.searchsorted(table, values, side))
    order = rng.permutation(30)
    mixed = numpy.empty(30)
    mixed[order] = table
    numpy.testing.assert_array_equal(
        np.searchsorted(mixed, values, side, sorter=order), numpy.searchsorted(mixed, values, side, sorter=order)
    )
    complex_table = numpy.sort(rng.normal(size=9) + 1j)
    numpy.testing.assert_array_equal(
        np.searchsorted(complex_table, complex_table[::2], side), numpy.arange(9)[::2] + (side == "right")
    )


#: As C99, annex G, has them.
EXPM1 = {
    complex(0, 0): 0j, complex(numpy.inf, 0): complex(numpy.inf, 0), complex(-numpy.inf, numpy.inf): complex(-1, 0),
    complex(numpy.inf, numpy.inf): complex(numpy.inf, numpy.nan), complex(-numpy.inf, numpy.nan): complex(-1, 0),
    complex(numpy.nan, 0): complex(numpy.nan, 0), complex(-numpy.inf, 2): complex(-1, 0),
}  # fmt: skip


def test_ends_of_expm1():
    ng.config.jit = 0
    found = np.expm1(numpy.array(list(EXPM1))).numpy()
    numpy.testing.assert_array_equal(
        [found.real, found.imag], [[z.real for z in EXPM1.values()], [z.imag for z in EXPM1.values()]]
    )


def test_a_mask_without_elements_takes_nothing():
    x = numpy.arange(6.0).reshape(2, 3)
    for shape in ((0,), (2, 0), (0, 3)):
        mask = numpy.zeros(shape, bool)
        numpy.testing.assert_array_equal(ng.asarray(x)[mask], x[mask])


def test_an_axis_that_is_not_there_is_both_errors():
    for kind in (IndexError, ValueError, errors.AxisError):
        with pytest.raises(kind, match="expand_dims: axis 2 is out of range for an array of 2 dimensions"):
            np.expand_dims(numpy.ones(3), 2)


def test_vecdot_takes_equal_extents():
    with pytest.raises(errors.ShapeError, match="vecdot: axis -1 has extents 3 and 1, which must be equal"):
        np.vecdot(numpy.ones(3), numpy.ones(1))
