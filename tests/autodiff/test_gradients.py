"""gradients: what each parameter means, and what it refuses."""

import gc

import numpy as np
import pytest

import nbgrad as ng
from nbgrad.autodiff import backward
from nbgrad.graph import state, topological
from nbgrad.kernels.casting import stop_gradient
from nbgrad.kernels.trigonometric import cos, sin


@pytest.fixture
def x():
    return ng.asarray([1.0, 2.0, 3.0])


def value(array):
    return array.numpy().tolist()


def made_by(array):
    """Names of the primitives behind an Array."""
    return [n.primitive.name for n in topological([array._node]) if n.primitive]


class TestResult:
    def test_is_a_list_with_the_shape_and_dtype_of_each_x(self, x):
        half = ng.asarray([[1.0]], dtype="float32")
        found = ng.gradients((x * half).sum(), (x, half))
        assert type(found) is list
        assert [(g.shape, g.dtype) for g in found] == [(x.shape, x.dtype), (half.shape, half.dtype)]

    def test_is_lazy(self, x):
        (g,) = ng.gradients(x * x, x)
        assert g._node.value is None

    def test_entries_for_one_x_are_arrays_of_their_own(self, x):
        a, b = ng.gradients(x * x, [x, x])
        a[0] = 100.0
        assert value(b) == [2.0, 4.0, 6.0]

    def test_assignment_in_the_graph(self, x):
        y = x * x
        y[1] = x[0] * 5.0
        assert value(ng.gradients(y, x)[0]) == [7.0, 0.0, 6.0]

    def test_a_seed_that_comes_straight_back_is_another_array(self, x):
        s = ng.asarray([1.0, 0.0, 2.0])
        (g,) = ng.gradients(x, x, grad_ys=s, gate_gradients=True)
        assert s._node.fact("gate") is None
        assert value(ng.gradients(g * g, s)[0]) == [2.0, 0.0, 4.0]
        assert value(g) == value(s)


class TestName:
    def test_is_the_scope_of_the_new_arrays(self, x):
        (g,) = ng.gradients(x * x, x, name="test_is_the_scope")
        assert g.name.startswith("test_is_the_scope/")
        assert (x * x).name == "multiply"

    def test_is_made_unique(self, x):
        names = [ng.gradients(x * x, x, name="unique")[0].name.split("/")[0] for _ in range(3)]
        assert names == ["unique", "unique_1", "unique_2"]

    def test_none_means_gradients_and_empty_means_no_scope(self, x):
        assert ng.gradients(x * x, x, name=None)[0].name.startswith("gradients")
        assert "/" not in ng.gradients(x * x, x, name="")[0].name

    def test_slashes_nest(self, x):
        assert ng.gradients(x * x, x, name="outer/inner")[0].name.startswith("outer/inner/")

    def test_covers_zeros_and_seeds(self, x):
        u = ng.asarray([1.0])
        g, zero = ng.gradients(x, [x, u], name="covers", unconnected_gradients="zero")
        assert g.name.startswith("covers/")
        assert zero.name.startswith("covers/")

    @pytest.mark.parametrize("name", ["my gradients", "/a", "a$", "-"])
    def test_bad_names(self, x, name):
        with pytest.raises(ValueError, match="not a scope name"):
            ng.gradients(x * x, x, name=name)

    def test_not_a_string(self, x):
        with pytest.raises(TypeError, match="name must be a string"):
            ng.gradients(x * x, x, name=3)

    def test_the_scope_ends_with_the_call_also_after_an_error(self, x):
        with pytest.raises(ng.errors.ShapeError):
            ng.gradients(x * x, x, grad_ys=[1.0])
        assert state.scope == ""
        assert (x + x).name == "add"


class TestGate:
    def test_reading_one_computes_all(self, x):
        y = ng.asarray([4.0, 5.0, 6.0])
        a, b, none = ng.gradients(x * y * x, [x, y, ng.asarray(0.0)], gate_gradients=True)
        assert none is None
        a.realize()
        assert b._node.value is not None

    def test_without_it_the_others_stay_lazy(self, x):
        y = ng.asarray([4.0, 5.0, 6.0])
        a, b = ng.gradients(x * y * x, [x, y])
        a.realize()
        assert b._node.value is None

    def test_must_be_a_bool(self, x):
        with pytest.raises(TypeError, match="gate_gradients must be True or False"):
            ng.gradients(x * x, x, gate_gradients=1)


class TestColocate:
    def test_places_gradients_where_their_operations_are(self, x):
        y = x * x
        y._node.note(device="cpu")
        assert ng.gradients(y, x, colocate_gradients_with_ops=True)[0]._node.fact("device") == "cpu"

    def test_leaves_them_unplaced_otherwise(self, x):
        assert ng.gradients(x * x, x)[0]._node.fact("device") is None

    def test_device_of_the_state_is_restored(self, x):
        ng.gradients(x * x, x, colocate_gradients_with_ops=True)
        assert state.device is None

    def test_must_be_a_bool(self, x):
        with pytest.raises(TypeError, match="colocate_gradients_with_ops must be True or False"):
            ng.gradients(x * x, x, colocate_gradients_with_ops="cpu")


class TestAggregation:
    METHODS = ng.AggregationMethod

    def sums(self, x, method):
        y = x * 1.0 + x * 2.0 + x * 3.0 + x * 4.0
        (g,) = ng.gradients(y, x, aggregation_method=method)
        sums = [n for n in made_by(g) if n in ("add", "add_n")]
        return value(g)[0], sums

    def test_add_n_is_one_sum(self, x):
        for method in (None, self.METHODS.DEFAULT, self.METHODS.ADD_N):
            total, sums = self.sums(x, method)
            assert (total, sums) == (10.0, ["add_n"])

    def test_tree_is_of_logarithmic_depth(self):
        parts = [ng.asarray([float(i)]) for i in range(8)]

        def depth(method):
            total = backward.accumulate([p._node for p in parts], method)
            heights = {}
            for node in topological([total]):
                heights[node] = 1 + max((heights[i] for i in node.inputs), default=-1)
            return heights[total]

        assert depth(self.METHODS.EXPERIMENTAL_TREE) == 3
        assert depth(self.METHODS.EXPERIMENTAL_ACCUMULATE_N) == 7
        assert depth(self.METHODS.ADD_N) == 1

    def test_values_agree(self, x):
        assert {self.sums(x, m)[0] for m in (0, 1, 2)} == {10.0}

    @pytest.mark.parametrize("method", [3, -1, "ADD_N", True, 1.5])
    def test_others_are_refused_even_if_nothing_is_summed(self, x, method):
        with pytest.raises(ValueError, match="aggregation_method"):
            ng.gradients(x * x, ng.asarray(1.0), aggregation_method=method)


class TestStops:
    def test_do_not_outlive_the_call(self, x):
        h = x * x
        (g,) = ng.gradients(h * x, x, stop_gradients=h)
        assert value(ng.gradients(g, x)[0]) == [2.0, 4.0, 6.0]

    def test_stopped_arrays_receive_their_own_gradient(self, x):
        h = x * x
        gx, gh = ng.gradients(h * h, [x, h], stop_gradients=[h])
        assert gx is None
        assert value(gh) == [2.0, 8.0, 18.0]

    def test_the_operator_is_permanent(self, x):
        assert ng.gradients(stop_gradient(x), x) == [None]


class TestSeeds:
    def test_numbers_and_lists_take_the_dtype_of_y(self):
        x = ng.asarray([1.0, 2.0], dtype="float32")
        assert ng.gradients(x * x, x, grad_ys=[[1, 2]])[0].dtype == np.float32
        assert value(ng.gradients((x * x).sum(), x, grad_ys=3)[0]) == [6.0, 12.0]

    def test_shape(self, x):
        with pytest.raises(ng.errors.ShapeError, match=r"grad_ys\[0\] has shape \(\), its y has shape \(3,\)"):
            ng.gradients(sin(x), x, grad_ys=ng.asarray(3.0))

    def test_dtype(self, x):
        with pytest.raises(ng.errors.DtypeError, match=r"dtype float32, its y has dtype float64; cast it"):
            ng.gradients(-x, x, grad_ys=np.ones(3, "float32"))

    def test_booleans(self, x):
        with pytest.raises(TypeError, match="boolean"):
            ng.gradients(x * x, x, grad_ys=[[True, False, True]])

    def test_count(self, x):
        with pytest.raises(ValueError, match="1 grad_ys for 2 ys"):
            ng.gradients([x * x, x], x, grad_ys=[None])

    def test_are_variables(self, x):
        s = ng.asarray([1.0, 1.0, 1.0])
        (g,) = ng.gradients(x * x, x, grad_ys=s)
        assert value(ng.gradients(g, s, grad_ys=ng.asarray([1.0, 10.0, 100.0]))[0]) == [2.0, 40.0, 600.0]


class TestArguments:
    @pytest.mark.parametrize("bad", [3.0, None, np.ones(3), "x", [None], [[1.0]]])
    def test_xs(self, x, bad):
        with pytest.raises(TypeError, match="xs"):
            ng.gradients(x * x, bad)

    @pytest.mark.parametrize("bad", [3.0, None, [2.0], np.ones(3)])
    def test_ys(self, x, bad):
        with pytest.raises(TypeError, match="ys"):
            ng.gradients(bad, x)

    def test_stops(self, x):
        with pytest.raises(TypeError, match=r"stop_gradients\[0\] must be an Array"):
            ng.gradients(x * x, x, stop_gradients=[3.0])

    def test_nested_xs_say_that_the_list_is_flat(self, x):
        with pytest.raises(TypeError, match="flat list"):
            ng.gradients(x * x, [[x]])

    def test_no_ys(self, x):
        with pytest.raises(ValueError, match="ys is empty"):
            ng.gradients([], x)

    @pytest.mark.parametrize("bad", ["ZERO", None, True])
    def test_unconnected(self, x, bad):
        with pytest.raises(ValueError, match="unconnected_gradients"):
            ng.gradients(x * x, x, unconnected_gradients=bad)

    def test_missing_rule_names_the_primitive(self, x):
        from nbgrad.primitive import Primitive

        twist = Primitive("twist", "elementwise", reference=np.negative, arity=1, domain="float")
        try:
            with pytest.raises(LookupError, match="grad of twist"):
                ng.gradients(twist(x), x)
        finally:
            from nbgrad import primitive

            del primitive._registry["twist"]


class TestHistory:
    def test_reading_y_drops_the_path_to_a_plain_x(self, x):
        y = x * x
        y.numpy()
        with pytest.raises(ng.errors.HistoryError, match=r"Make x an nbgrad\.Parameter"):
            ng.gradients(y, x)

    def test_a_part_that_was_read_is_not_left_out_silently(self, x):
        h = x * x
        float(h.sum())
        h.realize()
        with pytest.raises(ng.errors.HistoryError, match="a part of the path"):
            ng.gradients(h * x, x)

    @pytest.mark.parametrize("tier", [0, 2])
    def test_the_result_of_a_jitted_function_has_no_path(self, tier):
        ng.config.jit = tier
        p, q = (ng.Parameter([1.0, 2.0], name=n) for n in "pq")
        given = ng.jit(lambda a: np.sum(a * a))
        captured = ng.jit(lambda a: np.sum(p * a))
        for _ in range(2):  # the second time by the fast path
            given(np.ones(2))
            for y in (given(p), given(p * 2), captured(np.ones(2)), np.exp(captured(q))):
                with pytest.raises(ng.errors.HistoryError, match=r"result of a jitted function.*the path to x"):
                    ng.gradients(y, p)
            with pytest.raises(ng.errors.HistoryError, match="a part of the path to x"):
                ng.gradients(given(p) + np.sum(p), p)
            assert ng.gradients(captured(np.ones(2)), q) == [None]
            assert ng.gradients(given(np.ones(2)), p) == [None]
            free = ng.stop_gradient(given(p)) + np.sum(p * q)
            assert value(ng.gradients(free, p)[0]) == [1, 2]

    def test_parameters_keep_theirs(self):
        w = ng.Parameter([1.0, 2.0])
        h = w * w
        h.numpy()
        assert value(ng.gradients(h * w, w)[0]) == [3.0, 12.0]

    def test_what_was_read_but_does_not_depend_on_x_does_no_harm(self, x):
        data = ng.asarray([1.0, 2.0, 3.0])
        w = ng.asarray([1.0, 1.0, 1.0])
        scaled = (data - data.sum()) * 2.0
        scaled.numpy()
        assert value(ng.gradients(scaled * w, w)[0]) == value(scaled)

    def test_comparisons_that_were_read_do_no_harm(self, x):
        mask = x > 1.5
        mask.numpy()
        assert value(ng.gradients(x * mask, x)[0]) == [0.0, 1.0, 1.0]

    def test_unrelated_x_is_unconnected(self, x):
        y = x * x
        y.numpy()
        other = ng.asarray([1.0])
        assert ng.gradients(y, [other]) == [None]

    def test_an_intermediate_that_was_read_is_still_an_x(self, x):
        h = x * x
        h.numpy()
        assert value(ng.gradients(h * h, h)[0]) == [2.0, 8.0, 18.0]

    def test_assigned_parameters(self):
        w = ng.Parameter([1.0], name="w")
        y = w * w
        w.assign([2.0])
        with pytest.raises(ng.errors.HistoryError, match="Parameter w was assigned"):
            ng.gradients(y, w)

    def test_a_long_loop_over_plain_arrays_remembers_little(self):
        x = ng.asarray([1.0])
        for _ in range(200):
            x = x * 1.01
            x.realize()
        serials, oldest = x._node.fact("origins")
        assert serials is None or len(serials) <= 64
        assert oldest >= 0


class TestSize:
    def test_a_loop_of_1e5_operations(self):
        x = ng.asarray([1.0, 2.0])
        y = x
        for _ in range(100_000):
            y = y + 1.0
        (g,) = ng.gradients(y * y, x)
        assert value(g) == [200_002.0, 200_004.0]

    def test_a_graph_is_freed_with_its_arrays(self, x):
        def count():
            gc.collect()
            return sum(type(o).__name__ == "Node" for o in gc.get_objects())

        ng.gradients(cos(x) * x, x)[0].numpy()
        before = count()
        for _ in range(3):
            ng.gradients(cos(x) * x, x)[0].numpy()
        assert count() <= before + 3
