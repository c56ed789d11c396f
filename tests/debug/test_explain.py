"""explain: launches, what they fuse, what is stored and why, as they are in the compiled program."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np

A, B = numpy.ones((64, 32)), numpy.ones((32, 16))
X = numpy.ones((256, 64))


def network(w, x):
    h = np.tanh(np.matmul(x, w))
    return np.sum(h * h)


WRAPPED = {
    "plain": (network, "network", {"forward"}),
    "jit": (ng.jit(network), "network", {"forward"}),
    "grad": (ng.grad(network), "grad_of_network", {"forward", "backward"}),
    "value_and_grad": (ng.value_and_grad(network), "value_and_grad_of_network", {"forward", "backward"}),
    "jit of value_and_grad": (ng.jit(ng.value_and_grad(network)), "value_and_grad_of_network", {"forward", "backward"}),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_launches_are_those_of_the_compiled_program(how):
    fn, name, parts = WRAPPED[how]
    found = ng.debug.explain(fn, B, A)
    jitted = fn if how.startswith("jit") else ng.jit(fn)
    assert [r.name for r in found.launches] == jitted.lower(B, A).launches
    assert found.name == name
    assert parts <= {r.part for r in found.launches} <= parts | {"both"}
    assert [r.index for r in found.launches] == list(range(len(found.launches)))
    assert found.bytes_read == sum(r.bytes_read for r in found.launches)


def test_what_each_launch_reads_and_writes():
    found = ng.debug.explain(network, B, A)
    product, rest = found.launches
    assert (product.kind, product.reads, product.writes) == ("BLAS", ["argument 1", "argument 0"], ["t0"])
    assert (product.bytes_read, product.bytes_written) == (8 * (64 * 32 + 32 * 16), 8 * 64 * 16)
    assert (rest.kind, rest.operations, rest.shape) == ("loop", ["tanh", "multiply", "sum"], (64, 16))
    assert (rest.reads, rest.bytes_read, rest.bytes_written) == (["t0"], 8 * 64 * 16, 8)
    assert rest.writes == ["result 0"]
    assert found.arena >= 8 * 64 * 16


def test_lines_are_those_of_the_user():
    found = ng.debug.explain(ng.grad(network), B, A)
    assert {line.split(":")[0] for r in found.launches for line in r.lines} == {"test_explain.py"}
    first = network.__code__.co_firstlineno
    assert {int(line.split(":")[1]) - first for r in found.launches for line in r.lines} <= {1, 2}


def stored(fn, *args):
    return {(r.array, r.why) for r in ng.debug.explain(fn, *args).stored}


def test_why_values_are_stored():
    assert stored(network, B, A) == {("float64[64, 16]", "made by matmul, a library call")}
    assert stored(lambda x, w: np.matmul(np.tanh(x), w), A, B) == {
        ("float64[64, 32]", "operand of matmul, a library call")
    }
    assert stored(lambda x: np.cumsum(np.tanh(x), 1), A) == {
        ("float64[64, 32]", "operand of cumsum, a launch of its own")
    }
    means = stored(lambda x: np.tanh(x - np.mean(x)), A)
    assert means == {
        ("float64[]", "a reduction, complete only when its launch is done"),
        ("float64[]", "read as a view: transposed, sliced, broadcast or indexed"),
    }
    assert ("float64[64, 32]", "a reduction lies in between") in stored(lambda x: np.tanh(x) / np.sum(np.tanh(x)), A)
    rows = stored(lambda x: np.tanh(x) / np.sum(np.tanh(x), 1, keepdims=True), A)
    assert any(array == "float64[64, 32]" and why.startswith("a reduction of each row") for array, why in rows)
    views = stored(lambda x: np.tanh(x).T + np.tanh(x.T) * 2.0, numpy.ones((64, 64)))
    assert any("read as a view" in why for _, why in views)


def test_a_value_that_several_launches_read():
    def f(x):
        y = np.tanh(x)
        return np.sum(y, 0), np.sum(y, 1)

    (row,) = ng.debug.explain(f, numpy.ones((300, 300))).stored[:1]
    assert row.array == "float64[300, 300]"
    assert row.bytes == 8 * 300 * 300
    assert set(row.made_by) | set(row.read_by) <= set(range(10))


def test_cheap_values_are_computed_again():
    found = ng.debug.explain(lambda x: (x + 1.0) / np.sum(x + 1.0), numpy.ones((300, 300)))
    assert found.recomputed == ["add"]
    assert "computed again rather than stored: add" in str(found)


def test_copies_and_their_reasons():
    found = ng.debug.explain(lambda x: x.T, A)
    assert [(r.kind, r.why) for r in found.copies] == [
        ("copy", "a result is an argument, a view or another result, and has memory of its own")
    ]
    whys = [r.why for r in ng.debug.explain(lambda x: np.cumsum(x.T, 1), A).copies]
    assert whys == ["cumsum takes arrays whose elements lie one after another"]
    whys = [r.why for r in ng.debug.explain(lambda x: np.reshape(x.T, (-1,)), A).copies]
    assert "a reshape of an array whose elements do not lie in that order" in whys
    whys = [r.why for r in ng.debug.explain(lambda x: np.concatenate([x, x + 1.0], 1), A).copies]
    assert whys == ["concatenate puts parts into one array"]


def test_what_runs_on_numpy_and_why():
    (row,) = ng.debug.explain(lambda x: np.linalg.eigvals(x), numpy.eye(3)).on_numpy
    assert row.why == "eigvals has no compiled text where complex numbers come in or out"
    assert ng.debug.explain(np.tanh, A).on_numpy == []
    (row,) = ng.debug.explain(np.matmul, numpy.ones((3, 3), "int64"), numpy.ones((3, 3), "int64")).on_numpy
    assert row.why.startswith("no BLAS for products of int64")


def test_what_is_gathered_and_scattered_counts_as_often_as_it_is_touched():
    index = numpy.array([0, 2, 2, 5])
    found = ng.debug.explain(lambda x: x[index], numpy.ones(1000))
    assert found.bytes_written == 8 * 4
    assert found.bytes_read == 8 * 4 + 8 * 4  # numbers and indices
    fills = [r.kind for r in ng.debug.explain(ng.grad(lambda x: np.sum(x[index] ** 2)), numpy.ones(1000)).launches]
    assert "fill" in fills


def test_results_and_whether_their_memory_is_recycled():
    results = ng.debug.explain(lambda x: (np.tanh(x), np.sum(x)), X).results
    assert [(r.array, r.bytes, r.recycled) for r in results] == [
        ("float64[256, 64]", 8 * 256 * 64, True),
        ("float64[]", 8, False),
    ]


def test_nests_parameters_and_captured_arrays_have_names():
    p, c = ng.Parameter(numpy.ones(3), name="scale"), ng.asarray(numpy.ones(3))
    (row,) = ng.debug.explain(lambda d: d["w"] * p + c, {"w": numpy.ones(3)}).launches
    assert sorted(row.reads) == ["Parameter scale", "argument 0['w']", "captured 0"]


def test_static_arguments_stay_static():
    fn = ng.jit(lambda x, n: np.sum(x**n), static_argnums=1)
    assert ng.debug.explain(fn, A, 2).launches[0].reads == ["argument 0"]


def test_nothing_is_run():
    before = ng.stats()
    ng.debug.explain(ng.grad(network), B, A)
    after = ng.stats()
    assert (after["launches"], after["interpreted"]) == (before["launches"], before["interpreted"])


def test_text_and_html_have_all_tables():
    found = ng.debug.explain(ng.value_and_grad(lambda x: np.sum(np.cumsum(x.T, 1) ** 2)), A)
    text, page = str(found), found._repr_html_()
    assert text.startswith(f"value_and_grad_of_<lambda>: {len(found.launches)} launches, which read ")
    for title in ("Launches", "Stored between launches", "Copied, or not compiled", "Results"):
        assert f"\n{title}\n" in text
        assert f"<h4>{title}</h4>" in page
    assert "value_and_grad_of_&lt;lambda&gt;" in page
    assert max(map(len, text.splitlines())) < 200
    assert repr(found) == text


def test_random_programs_have_a_reason_for_every_value():
    """Whatever is in the arena has a row, and every launch of the program one."""
    for fn in (
        lambda x: np.linalg.inv(np.matmul(x.T, x) + 5.0 * numpy.eye(32)),
        lambda x: np.fft.fft(x)[..., :5] * 2.0,
        lambda x: np.sort(np.exp(x), 0)[::2] + np.argmax(x, 0),
        ng.grad(lambda x: np.sum(np.var(x, 1) * np.max(x, 1))),
        ng.grad(lambda x: np.sum(np.concatenate([x, x[::-1]]) ** 2 * np.prod(x, 0))),
        lambda x: np.exp(x * 1j) / np.sum(x),
    ):
        found = ng.debug.explain(fn, A)
        assert [r.name for r in found.launches] == ng.jit(fn).lower(A).launches
        made = {name for r in found.launches for name in r.writes if name.startswith("t")}
        assert made == {r.name for r in found.stored if r.name.startswith("t")}
        assert all(r.why for r in found.stored)
        assert str(found)


def test_arguments_are_checked():
    with pytest.raises(ng.ArgumentError, match="explain: fn must be callable, got int 3"):
        ng.debug.explain(3)


SQUARE = numpy.eye(80) * 0.5


def steps_of_matrices(w, x):
    c, sums = ng.scan(lambda c, t: (np.tanh(np.matmul(c, w)) + t, np.sum(c)), x, np.arange(5.0))
    return np.sum(c) + np.sum(sums)


def branches_of_matrices(k, x):
    return np.sum(ng.switch(k, [np.sin, lambda x: np.tanh(np.matmul(x, x))], x))


def until_it_is_small(x):
    step = lambda c: np.tanh(np.matmul(c, SQUARE))  # noqa: E731
    return np.sum(ng.while_loop(lambda c: np.sum(c) > 1.0, step, x))


def inside(fn, *args):
    found = ng.debug.explain(fn, *args)
    (row,) = [r for r in found.launches if r.kind == "steps"]
    return row, [(r.name, r.kind, r.when) for r in row.inside]


def test_what_runs_inside_of_a_launch_and_how_often():
    row, found = inside(steps_of_matrices, SQUARE, SQUARE)
    assert (row.name, row.operations, row.part) == ("loop", ["loop"], "forward")
    assert sorted(found) == [
        ("identity", "copy", "at the end"),
        *((*what, "each of 5 steps") for what in (("matmul", "BLAS"), ("sum", "loop"), ("tanh_add", "loop"))),
    ]
    first = steps_of_matrices.__code__.co_firstlineno
    assert {line for r in row.inside for line in r.lines} == {f"test_explain.py:{first + 1}"}
    assert [r.index for r in row.inside] == [f"{row.index}.{k}" for k in range(4)]
    product = next(r for r in row.inside if r.kind == "BLAS")
    assert (product.shape, product.bytes_read, product.bytes_written) == ((80, 80), 8 * 2 * 80**2, 8 * 80**2)
    _, found = inside(branches_of_matrices, 1, SQUARE)
    assert found == [("sin", "loop", "branch 0"), ("matmul", "BLAS", "branch 1"), ("tanh", "loop", "branch 1")]
    _, found = inside(until_it_is_small, SQUARE)
    assert [w[::2] for w in found if w[1] != "copy"] == [
        ("sum", "before each step"), ("greater", "before each step"), ("matmul", "each step"), ("tanh", "each step")
    ]  # fmt: skip


def test_the_sweeps_of_a_gradient_are_told_apart():
    found = ng.debug.explain(ng.grad(steps_of_matrices), SQUARE, SQUARE)
    products = [[r.name for r in launch.inside].count("matmul") for launch in found.launches if launch.kind == "steps"]
    assert products == [1, 3]  # the second computes tanh again
    found = ng.debug.explain(ng.value_and_grad(steps_of_matrices), SQUARE, SQUARE)
    assert [r.part for r in found.launches if r.kind == "steps"] == ["both", "backward"]
    row, found = inside(ng.grad(until_it_is_small), SQUARE)
    assert row.part == "backward"
    whens = [when for name, _, when in found if name == "matmul"]
    assert whens == ["each step, sweep 0", *["each step, sweep 1 (backwards)"] * 2]


def test_sweeps_on_numbers_are_kernels_that_do_all_steps():
    def root(a):
        return ng.while_loop(lambda x: np.abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2.0, a)

    _, found = inside(ng.grad(root), 2.0)
    assert [w for w in found if w[1] != "copy"] == [
        ("while", "kernel", "all steps, sweep 0"), ("while", "kernel", "all steps, sweep 1 (backwards)")
    ]  # fmt: skip
    (row,) = ng.debug.explain(lambda x: ng.scan(lambda c, _: (np.sin(c), None), x, None, 4)[0], 1.0).launches
    assert (row.kind, row.inside) == ("kernel", [])


def test_loops_in_loops():
    def f(x):
        inner = lambda c, t: (np.tanh(np.matmul(c, SQUARE)), None)  # noqa: E731
        return ng.scan(lambda c, t: (ng.scan(inner, c, None, 3)[0] * t, None), x, np.arange(4.0))[0]

    row, _ = inside(f, SQUARE)
    (deep,) = [r for r in row.inside if r.kind == "steps"]
    assert (deep.when, {r.when for r in deep.inside}) == ("each of 4 steps", {"each of 3 steps", "at the end"})
    assert deep.inside[0].index == f"{deep.index}.0"
    assert all(f"{r.index}  {r.name}" in str(ng.debug.explain(f, SQUARE)) for r in row.inside for r in r.everything())


@pytest.mark.parametrize("fn", [steps_of_matrices, branches_of_matrices, until_it_is_small])
def test_memory_of_steps_is_not_taken_for_parts_of_a_reduction(fn):
    args = {steps_of_matrices: (SQUARE, SQUARE), branches_of_matrices: (1, SQUARE)}.get(fn, (SQUARE,))
    whys = {why for _, why in stored(fn, *args)}
    assert "between the launches inside of the launch" in whys
    assert ("handed on from step to step" in whys) == (fn is not branches_of_matrices)
    assert not any("reduction, one for each chunk" in why for why in whys)


def test_loops_that_are_left_to_numpy_say_so():
    def f(x):
        return ng.scan(lambda c, t: (np.real(np.linalg.eigvals(c)) * np.eye(3) * t, np.sum(c)), x, np.arange(4.0))

    (row,) = ng.debug.explain(f, numpy.eye(3)).on_numpy
    assert row.why == "an operation in it has no compiled text: its steps are NumPy calls"
    assert (row.bytes_read, row.bytes_written) == (8 * (9 + 4 + 9), 8 * (9 + 4))
