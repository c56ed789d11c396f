"""grad and value_and_grad: what each parameter means, nesting, and a clean state afterwards."""

import gc
import math
import threading

import numpy as np
import pytest

import nbgrad as ng
from nbgrad.autodiff import inputs as module
from nbgrad.graph import state
from nbgrad.kernels.exponential import exp
from nbgrad.kernels.trigonometric import sin


@pytest.fixture
def x():
    return ng.asarray([1.0, 2.0])


@pytest.fixture
def y():
    return ng.asarray([3.0, 4.0])


@pytest.fixture
def w():
    return ng.Parameter([2.0, 5.0], name="w")


@pytest.fixture(autouse=True)
def _clean_state():
    yield
    assert (state.tracked, state.static, state.scope, state.device) == (0, False, "", None)


def value(tree):
    if isinstance(tree, ng.Array):
        return tree.numpy().tolist()
    if isinstance(tree, (tuple, list)):
        return type(tree)(value(t) for t in tree)
    if isinstance(tree, dict):
        return {k: value(v) for k, v in tree.items()}
    return tree


def square(x):
    return x * x


class TestPositions:
    def test_out_of_range(self, x):
        with pytest.raises(ng.errors.GradientError, match="grad_position 2 is out of range, the call has 1 argument"):
            ng.grad(square, 2)(x)

    @pytest.mark.parametrize("bad", [-1, (0, -1), (0, 0), ()])
    def test_values_are_checked_before_the_call(self, bad):
        with pytest.raises(ValueError, match="grad_position"):
            ng.grad(square, bad)

    @pytest.mark.parametrize("bad", [True, 1.0, [0], "x", (0, "x"), (0, True)])
    def test_kinds_are_checked_before_the_call(self, bad):
        with pytest.raises(TypeError, match="grad_position"):
            ng.grad(square, bad)

    def test_a_misplaced_has_aux_is_recognised(self):
        with pytest.raises(TypeError, match="has_aux is the fourth parameter"):
            ng.grad(square, True)

    def test_keywords_are_numbered_behind_positional_arguments(self, x, y):
        def f(a, b, c=1.0):
            return a * b * b * c

        assert value(ng.grad(f, 1)(x, b=y)) == [6.0, 16.0]
        assert value(ng.grad(f, 0)(b=y, a=x)) == [6.0, 16.0]
        assert value(ng.grad(f, (0, 2))(x, y, c=x)) == ([9.0, 32.0], [9.0, 32.0])

    def test_the_same_array_at_two_positions(self, x):
        assert value(ng.grad(lambda a, b: a * a * b, (0, 1))(x, x)) == ([2.0, 8.0], [1.0, 4.0])

    def test_closures_are_constant(self, x):
        h = x * 2.0
        assert value(ng.grad(lambda a: a * x * h)(x)) == [2.0, 8.0]


class TestArguments:
    def test_numpy_arrays(self):
        assert value(ng.grad(square)(np.array([1.0, 2.0]))) == [2.0, 4.0]
        assert value(ng.grad(square)(np.float64(3.0))) == 6.0

    @pytest.mark.parametrize(
        ("bad", "text"),
        [
            (3.0, "make it an array with nbgrad.asarray"),
            ((1.0, 2.0), "pass its elements as arguments of their own"),
            ("x", "must be an array"),
            (None, "must be an array"),
            ([1], r"argument 0\[0\]"),
        ],
    )
    def test_what_is_not_an_array(self, bad, text):
        with pytest.raises(TypeError, match=text):
            ng.grad(square)(bad)

    def test_numbers_in_containers(self):
        """Python's floats and complex numbers have gradients there, as 0-d arrays do."""
        given = {"a": 1.5, "b": [np.ones(2, "float32"), (2.0, 1 + 1j)]}
        g = ng.grad(lambda p: p["a"] * p["b"][0].sum() * p["b"][1][0] + np.abs(p["b"][1][1]) ** 2)(given)
        assert [float(g["a"]), float(g["b"][1][0]), complex(g["b"][1][1])] == [4.0, 3.0, 2 + 2j]
        assert (g["b"][0].dtype, g["a"].shape) == (np.dtype("float32"), ())

    def test_integers(self):
        with pytest.raises(ng.errors.DtypeError, match=r"argument 0 has dtype int64.*astype\('float64'\)"):
            ng.grad(square)(ng.asarray([1, 2]))

    def test_other_positions_hold_anything(self, x):
        def f(x, options, label):
            return x * options["k"][0] if label == "on" else x

        assert value(ng.grad(f)(x, {"k": (x, None)}, "on")) == [1.0, 2.0]

    def test_not_callable(self):
        with pytest.raises(TypeError, match="fn must be callable"):
            ng.grad(3.0)


class TestTrees:
    def test_a_gradient_has_the_form_of_its_argument(self, x, y):
        params = [{"w": x, "b": (y, x)}, {"w": y}]

        def loss(params, scale):
            first, second = params
            return (first["w"] * first["b"][0] * second["w"] + first["b"][1]).sum() * scale

        expected = [{"w": [9.0, 16.0], "b": ([3.0, 8.0], [1.0, 1.0])}, {"w": [3.0, 8.0]}]
        assert value(ng.grad(loss)(params, 1.0)) == expected
        total, found = ng.value_and_grad(loss)(params, 1.0)
        assert float(total) == 9.0 + 32.0 + 3.0
        assert value(found) == expected

    def test_among_other_positions_and_with_ids(self, x, y):
        found = ng.grad(lambda p, z: p["a"] * z, (1, 0), return_ids=True)({"a": x}, y)
        assert value(found) == ((1, [1.0, 2.0]), (0, {"a": [3.0, 4.0]}))
        assert value(ng.get_grad(found, 0)) == {"a": [3.0, 4.0]}

    def test_an_integer_leaf_is_named(self, x):
        with pytest.raises(TypeError, match=r"argument 0\['n'\] has dtype int64"):
            ng.grad(lambda p: p["a"])({"a": x, "n": ng.asarray([1])})

    def test_nested(self, x):
        inner = ng.grad(lambda p: (p["a"] * p["a"] * p["a"]).sum())
        assert value(ng.grad(lambda p: inner(p)["a"])({"a": x})) == {"a": [6.0, 12.0]}


class TestOutputs:
    def test_all_arrays_in_all_containers_are_added(self, x):
        def f(x):
            return {"a": x * x, "b": [x, (x * 3.0,)]}, 3.0, x > 1.0

        assert value(ng.grad(f)(x)) == [6.0, 8.0]
        (tree, number, mask), _ = ng.value_and_grad(f)(x)
        assert value(tree) == {"a": [1.0, 4.0], "b": [[1.0, 2.0], ([3.0, 6.0],)]}
        assert number == 3.0
        assert value(mask) == [False, True]

    @pytest.mark.parametrize("out", [3.0, None, np.ones(2), "x"])
    def test_no_array_at_all(self, x, out):
        with pytest.raises(TypeError, match="returned no Array to differentiate"):
            ng.grad(lambda x: out)(x)

    def test_values_read_by_numpy_are_explained(self, x):
        with pytest.raises(TypeError, match="take values out of the graph"):
            ng.grad(lambda x: x.numpy())(x)

    def test_unconnected_is_zeros(self, x, y):
        assert value(ng.grad(lambda x: y)(x)) == [0.0, 0.0]
        assert value(ng.grad(lambda x: x > 0)(x)) == [0.0, 0.0]

    def test_values_are_computed_with_the_gradient(self, x):
        out, _ = ng.value_and_grad(square)(x)
        assert out._node.value is not None

    def test_results_can_be_assigned_one_by_one(self, x, w):
        a, b = ng.grad(lambda x: x * w, None, [w, w])(x)
        a[0] = 7.0
        assert value(b) == [1.0, 2.0]


class TestAux:
    def test_is_handed_back_as_a_tuple(self, x):
        g, aux = ng.grad(lambda x: (x * x, "label", {"h": x + 1.0}), has_aux=True)(x)
        assert value(g) == [2.0, 4.0]
        assert value(aux) == ("label", {"h": [2.0, 3.0]})

    def test_the_first_output_may_be_a_tuple(self, x):
        g, aux = ng.grad(lambda x: ((x * x, x), x * 7.0), has_aux=True)(x)
        assert value(g) == [3.0, 5.0]
        assert value(aux) == ([7.0, 14.0],)

    @pytest.mark.parametrize("out", [lambda x: x, lambda x: (x,), lambda x: [x, x]])
    def test_needs_a_tuple_of_two(self, x, out):
        for transform in (ng.grad, ng.value_and_grad):
            with pytest.raises(ValueError, match="tuple of at least two"):
                transform(out, has_aux=True)(x)

    def test_an_outer_gradient_differentiates_it(self, x):
        def outer(t):
            g, (aux,) = ng.grad(lambda t: (t * t, t * t * t), has_aux=True)(t)
            return g * aux

        assert value(ng.grad(outer)(x)) == [8.0, 64.0]

    @pytest.mark.parametrize("name", ["has_aux", "return_ids", "sens_param"])
    def test_flags_are_bools(self, name):
        with pytest.raises(TypeError, match=f"{name} must be True or False"):
            ng.grad(square, **{name: 1})


class TestWeights:
    def test_containers(self, x, w):
        def f(x):
            return x * w

        assert value(ng.grad(f, None, w)(x)) == [1.0, 2.0]
        assert value(ng.grad(f, None, [w])(x)) == ([1.0, 2.0],)
        assert value(ng.grad(f, 0, ng.ParameterTuple([w]))(x)) == ([2.0, 5.0], ([1.0, 2.0],))
        assert value(ng.grad(f, None, [])(x)) == ()

    def test_are_read_at_the_call(self, x, w):
        g = ng.grad(lambda x: x * w * w, None, w)
        assert value(g(x)) == [4.0, 20.0]
        w.assign([1.0, 1.0])
        assert value(g(x)) == [2.0, 4.0]

    def test_keep_their_node(self, x, w):
        node = w._node
        ng.grad(lambda x: x * w, None, w)(x)
        assert w._node is node

    def test_what_was_made_from_them_outside_is_constant(self, x, w):
        h = w * w
        assert value(ng.grad(lambda x: h * w, None, w)(x)) == [4.0, 25.0]

    def test_a_weight_assigned_inside_stays_assigned(self, x, w):
        def f(x):
            y = x * w
            w.assign([7.0, 7.0])
            return y

        assert value(ng.grad(f, None, w)(x)) == [1.0, 2.0]
        assert value(w) == [7.0, 7.0]

    def test_not_trainable_ones_get_their_gradient_too(self, x, w):
        w.requires_grad = False
        assert value(ng.grad(lambda x: x * w, None, w)(x)) == [1.0, 2.0]

    def test_the_weight_itself_as_output(self, w):
        assert value(ng.value_and_grad(lambda: w, None, w)()) == ([2.0, 5.0], [1.0, 1.0])

    @pytest.mark.parametrize("bad", ["w", 3.0, [3.0], {"w": 1}])
    def test_kinds(self, bad):
        with pytest.raises(TypeError, match="weights"):
            ng.grad(square, None, bad)

    def test_neither_position_nor_weights(self):
        for transform in (ng.grad, ng.value_and_grad):
            with pytest.raises(ValueError, match="cannot both be None"):
                transform(square, None)


class TestIds:
    def test_get_grad(self, x, w):
        found = ng.grad(lambda x: x * w, 0, w, return_ids=True)(x)
        assert value(found) == ((0, [2.0, 5.0]), ("w", [1.0, 2.0]))
        assert value(ng.get_grad(found, 0)) == [2.0, 5.0]
        assert value(ng.get_grad(found, w)) == [1.0, 2.0]

    def test_missing(self, x, w):
        found = ng.grad(lambda x: x * w, 0, return_ids=True)(x)
        with pytest.raises(RuntimeError, match=r"no gradient for Parameter 'w'.*return_ids=True"):
            ng.get_grad(found, w)
        with pytest.raises(RuntimeError, match="no gradient for position 1"):
            ng.get_grad(found, 1)

    def test_by_name(self, x, w):
        with pytest.raises(TypeError, match="position or a Parameter"):
            ng.get_grad((("w", x),), "w")

    def test_plain_arrays_have_no_name(self, x, y):
        with pytest.raises(TypeError, match="every weight must be a Parameter"):
            ng.grad(square, None, [y], return_ids=True)


class TestSens:
    def test_positional_and_keyword(self, x, y):
        seed = ng.asarray([10.0, 100.0])
        g = ng.grad(lambda x, y: x * y, sens_param=True)
        assert value(g(x, y, seed)) == value(g(x, y, sens=seed)) == [30.0, 400.0]

    def test_another_seed_is_not_baked_in(self, x, y):
        g = ng.grad(lambda x: x * y, sens_param=True)
        assert value(g(x, ng.asarray([1.0, 1.0]))) == [3.0, 4.0]
        assert value(g(x, ng.asarray([2.0, 3.0]))) == [6.0, 12.0]
        assert value(g(x, ng.asarray([1.0, 1.0]) * 5.0)) == [15.0, 20.0]

    def test_several_outputs(self, x, y):
        g = ng.grad(lambda x: (x * y, x), sens_param=True)
        assert value(g(x, (ng.asarray([1.0, 2.0]), np.array([10.0, 10.0])))) == [13.0, 18.0]
        with pytest.raises(ValueError, match="1 seed for 2 outputs"):
            g(x, y)

    def test_shape_and_dtype(self, x):
        g = ng.grad(square, sens_param=True)
        with pytest.raises(ValueError, match=r"sens has shape \(1,\), its y has shape \(2,\)"):
            g(x, ng.asarray([1.0]))
        with pytest.raises(TypeError, match="sens has dtype float32"):
            g(x, ng.asarray([1.0, 1.0], dtype="float32"))

    def test_forgotten(self):
        with pytest.raises(TypeError, match="seed"):
            ng.grad(lambda: 1, None, ng.Parameter([1.0]), sens_param=True)()

    def test_is_differentiable_in_an_outer_gradient(self, x, y):
        g = ng.grad(lambda s: ng.grad(square, sens_param=True)(x, s))
        assert value(g(y)) == [2.0, 4.0]


class TestNesting:
    def test_orders(self, x):
        f = lambda x: x * x * x * x  # noqa: E731
        assert value(ng.grad(ng.grad(f))(x)) == [12.0, 48.0]
        assert value(ng.grad(ng.grad(ng.grad(f)))(x)) == [24.0, 48.0]

    def test_no_confusion(self, x):
        def outer(x):
            return x * ng.grad(lambda y: x + y)(ng.asarray([1.0, 1.0]))

        assert value(ng.grad(outer)(x)) == [1.0, 1.0]

    def test_the_same_array_inside_and_outside(self, x):
        assert value(ng.grad(lambda a: ng.grad(lambda b: a * b * b)(a))(x)) == [4.0, 8.0]

    def test_inner_by_weight_outer_by_weight(self, x, w):
        def f(x):
            return x * w * w * w

        assert value(ng.grad(ng.grad(f, None, w), None, w)(x)) == [12.0, 60.0]
        assert value(ng.grad(ng.grad(f), None, w)(x)) == [12.0, 75.0]

    def test_gradients_inside(self, x, w):
        def f(x):
            y = x * x * w
            gx, gw = ng.gradients(y, [x, w])
            return gx * gw

        assert value(ng.grad(f)(x)) == [12.0, 120.0]
        assert value(ng.grad(f, None, w)(x)) == [2.0, 16.0]

    def test_gradients_of_a_result_that_descends_from_a_parameter(self, w):
        g = ng.grad(lambda x: x * x * x)(w)
        assert value(g) == [12.0, 75.0]
        assert value(ng.gradients(g * w, w)[0]) == [36.0, 225.0]
        assert value(ng.gradients(ng.gradients(g, w)[0], w)[0]) == [6.0, 6.0]

    def test_gradients_of_a_result_by_weights(self, x, w):
        (g,) = ng.grad(lambda x: x * w * w, None, [w])(x)
        assert value(ng.gradients(g, [w, x])) == [[2.0, 4.0], [4.0, 10.0]]

    def test_gradients_of_a_result_of_plain_arrays_says_that_it_was_computed(self, x):
        g = ng.grad(square)(x)
        with pytest.raises(ng.errors.HistoryError, match="result of grad"):
            ng.gradients(g, x)

    def test_a_result_does_not_depend_on_what_it_was_not_made_from(self, x, w):
        other = ng.asarray([1.0, 1.0])
        g = ng.grad(square)(x)
        assert value(ng.gradients(g * other, other)[0]) == [2.0, 4.0]

    def test_an_outer_result_inside_is_constant(self, x, w):
        g = ng.grad(square)(w)
        assert value(ng.grad(lambda a: a * g, None, w)(x)) == [0.0, 0.0]


class TestRepeatedCalls:
    """Programs are found by structure: nothing that depends on values may stay in them."""

    def test_values_of_everything(self, x):
        k = 1.5

        def f(x, y):
            return sin(x * k) * y + other * 2.5

        g = ng.grad(f, (0, 1))
        for k in (1.5, -0.5):
            for a in ([0.1, 0.2], [1.0, 3.0]):
                for other in (ng.asarray([1.0, 1.0]), ng.asarray([3.0, 4.0])):
                    found = g(ng.asarray(a), other)
                    np.testing.assert_allclose(found[0], k * np.cos(np.array(a) * k) * other.numpy(), rtol=1e-14)
                    np.testing.assert_allclose(found[1], np.sin(np.array(a) * k), rtol=1e-14)

    def test_a_new_call_of_known_structure_builds_no_program(self, x, y):
        g = ng.grad(lambda x: exp(x) * y)
        g(x)
        before = ng.stats()["programs"]
        g(x + 1.0)
        g(ng.asarray([5.0, 6.0]))
        assert ng.stats()["programs"] <= before + 1  # x + 1.0

    def test_control_flow_on_values(self):
        def f(x):
            h = x * x
            if float(h.sum()) > 10:
                return h * x
            return h

        g = ng.grad(f)
        for _ in range(2):
            assert value(g(ng.asarray([1.0]))) == [2.0]
            assert value(g(ng.asarray([4.0]))) == [48.0]

    def test_values_that_were_read_inside(self):
        def f(x):
            h = sin(x)
            h.realize()
            return h * h

        def plain(x):
            h = sin(x)
            return h * h

        for a in (0.3, 0.7, 1.1):
            x = ng.asarray([a])
            np.testing.assert_allclose(ng.grad(f)(x), 2 * math.sin(a) * math.cos(a), rtol=1e-14)
            np.testing.assert_allclose(ng.grad(plain)(x), 2 * math.sin(a) * math.cos(a), rtol=1e-14)

    def test_lazy_arguments_and_closures_are_computed_once(self, x, y):
        lazy = y * 2.0
        g = ng.grad(lambda x: x * x * lazy)
        assert value(g(x + 0.0)) == [12.0, 32.0]
        assert lazy._node.value is not None
        assert value(g(x)) == [12.0, 32.0]

    def test_options_do_not_share_programs(self, x, y):
        def f(x, y):
            return x * y, x * 3.0

        assert value(ng.grad(f)(x, y)) == [6.0, 7.0]
        assert value(ng.grad(f, has_aux=True)(x, y)) == ([3.0, 4.0], ([3.0, 6.0],))
        assert value(ng.grad(f, 1)(x, y)) == [1.0, 2.0]
        assert value(ng.grad(f, (1, 0))(x, y)) == ([1.0, 2.0], [6.0, 7.0])
        assert value(ng.value_and_grad(f)(x, y)) == (([3.0, 8.0], [3.0, 6.0]), [6.0, 7.0])
        assert value(ng.grad(lambda x, y: (x * y, x * 3.0, x * 3.0))(x, y)) == [9.0, 10.0]

    def test_a_training_loop_over_plain_arrays_does_not_grow(self):
        def loss(w):
            return ((w - 3.0) * (w - 3.0)).sum()

        def nodes():
            gc.collect()
            return sum(type(o).__name__ == "Node" for o in gc.get_objects())

        g, w, sizes = ng.grad(loss), ng.asarray([0.0, 1.0]), []
        for step in range(300):
            w = w - 0.1 * g(w)
            if step % 100 == 50:
                sizes.append(nodes())
        assert sizes[0] == sizes[1] == sizes[2]
        np.testing.assert_allclose(w, 3.0)

    def test_a_training_loop_over_parameters_does_not_grow(self, w):
        def nodes():
            gc.collect()
            return sum(type(o).__name__ == "Node" for o in gc.get_objects())

        step, losses, sizes = ng.value_and_grad(lambda x: ((w - x) * (w - x)).sum(), None, [w]), [], []
        for i in range(300):
            value, (g,) = step(ng.asarray([1.0, 2.0]))
            w.assign(w - 0.1 * g)
            losses.append(value)
            if i % 100 == 50:
                sizes.append(nodes() - len(losses))
        assert sizes[0] == sizes[1] == sizes[2]


class TestCleanState:
    def test_after_an_exception(self, x, w):
        def broken(x):
            with_scope = ng.gradients(x * w, x)
            state.scope = "left/"
            raise ValueError(f"from fn {len(with_scope)}")

        node = w._node
        with pytest.raises(ValueError, match="from fn 1"):
            ng.grad(broken, 0, w)(x)
        assert w._node is node
        assert value(ng.grad(lambda x: x * w, 0, w)(x)) == ([2.0, 5.0], [1.0, 2.0])

    def test_after_an_exception_in_an_inner_call(self, x):
        def outer(x):
            try:
                ng.grad(lambda y: y + "text")(x)
            except TypeError:
                return x * x
            raise AssertionError

        assert value(ng.grad(outer)(x)) == [2.0, 4.0]

    def test_after_a_missing_rule(self, x):
        from nbgrad import primitive

        knot = primitive.Primitive("knot", "elementwise", reference=np.negative, arity=1, domain="float")
        try:
            with pytest.raises(LookupError, match=r"@knot\.vjp"):
                ng.grad(lambda x: knot(x))(x)
        finally:
            del primitive._registry["knot"]

    def test_recursion_and_reentry(self, x):
        def power(x, n):
            return x if n == 1 else x * power(x, n - 1)

        assert value(ng.grad(power)(x, 5)) == [5.0, 80.0]

    def test_a_loop_of_1e5_operations(self):
        def f(x):
            for _ in range(100_000):
                x = x + 1.0
            return x * x

        assert value(ng.grad(f)(ng.asarray([1.0]))) == [200_002.0]


class TestFunction:
    def test_names_and_wrapped(self):
        g = ng.value_and_grad(square)
        assert g.__name__ == "value_and_grad_of_square"
        assert g.__wrapped__ is square
        assert "square" in g.__doc__

    def test_import_is_light(self):
        import subprocess
        import sys

        text = "import nbgrad, sys; assert not {'numba', 'scipy', 'optree'} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", text], check=True)

    def test_pending_is_private(self):
        assert not issubclass(module._Pending, ng.errors.NbgradError)


def test_threads_trace_on_their_own():
    entered, leave, seen = threading.Event(), threading.Event(), []

    def slow(x):
        entered.set()
        assert leave.wait(30)
        return x * x

    worker = threading.Thread(target=lambda: seen.append(value(ng.grad(slow)(ng.asarray([3.0])))))
    worker.start()
    assert entered.wait(30)
    assert state.tracked == 0  # the other thread's transform is not ours
    answer = ng.grad(lambda x: x * x * x)(ng.asarray([2.0]))
    assert answer._node.value is not None  # computed at once, as at the outermost level
    leave.set()
    worker.join()
    assert seen == [[6.0]]
    assert value(answer) == [12.0]
    assert state.tracked == 0
