"""scan and fori_loop: against the same loop in Python, under every transform, on both tiers."""

import numpy
import pytest

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad import errors

RNG = numpy.random.default_rng(0)
W, H, XS = RNG.normal(size=(3, 3)) / 2, RNG.normal(size=3), RNG.normal(size=(7, 3))
MANY_H, MANY_XS = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 7, 3))


def step(w):
    return lambda h, x: (np.tanh(w @ h + x), {"twice": h * 2, "x": x})


def total(final, ys):
    return np.sum(final) + np.sum(ys["twice"] ** 2) + np.sum(ys["x"])


def looped(w, h, xs):
    return total(*ng.scan(step(w), h, xs))


def plain(w, h, xs):
    ys = []
    for t in range(xs.shape[0]):
        h, y = step(w)(h, xs[t])
        ys.append(y)
    return total(h, {k: np.stack([y[k] for y in ys]) for k in ("twice", "x")})


TRANSFORMS = {
    "value": lambda f: f(ng.asarray(W), ng.asarray(H), ng.asarray(XS)),
    "grad": lambda f: ng.grad(f, (0, 1, 2))(W, H, XS),
    "jit": lambda f: ng.jit(ng.value_and_grad(f, (0, 1, 2)))(W, H, XS)[1],
    "one": lambda f: ng.grad(f, 2)(W, H, XS),
    "jvp": lambda f: ng.jvp(f, (W, H, XS), (W, H, XS))[1],
    "second": lambda f: ng.grad(lambda w: np.sum(ng.grad(f, 1)(w, H, XS) ** 2))(W),
    "hessian": lambda f: ng.hessian(lambda h: f(W, h, XS))(H),
    "third": lambda f: ng.grad(lambda h: np.sum(ng.grad(lambda h: np.sum(ng.grad(f, 1)(W, h, XS) ** 2))(h) ** 2))(H),
    "vmap": lambda f: ng.vmap(f, (None, 0, 0))(W, MANY_H, MANY_XS),
    "vmap of grad": lambda f: ng.vmap(ng.grad(f, (0, 1)), (None, 0, None))(W, MANY_H, XS),
    "grad of vmap": lambda f: ng.grad(lambda w: np.sum(ng.vmap(f, (None, None, 0))(w, H, MANY_XS)))(W),
    "checkpoint": lambda f: ng.grad(ng.checkpoint(f), (0, 1))(W, H, XS),
}


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_as_the_loop_in_python(name, way):
    for a, b in zip(as_tuple(TRANSFORMS[name](looped)), as_tuple(TRANSFORMS[name](plain)), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def pieces(x):
    """Views, reductions, parts that are put into others, and casts, of small arrays."""
    y = x.reshape(2, 2).T * np.max(x)
    y[0] += np.flip(y[1])
    z = np.concatenate([y, np.pad(y[:1], ((0, 1), (0, 0)))], axis=1)
    return np.where(z > 0, z, np.exp(z)).sum(axis=1) * np.mean(x) + np.prod(z, axis=1) + (z > 0).astype(float).sum()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_operations_of_small_arrays(dtype):
    x0 = numpy.array([0.4, -0.2, 0.7, 0.1], dtype)

    def f(x, y):
        made = np.tanh(pieces(x) + y).astype(dtype)
        return np.concatenate([made, made[::-1] * 0.5]), np.sum(made)

    def by_scan(x0, ys):
        final, sums = ng.scan(f, x0, ys)
        return np.sum(final) + np.sum(sums**2)

    def by_loop(x, ys):
        sums = []
        for k in range(3):
            x, s = f(x, ys[k])
            sums.append(s)
        return np.sum(x) + np.sum(np.stack(sums) ** 2)

    ys = numpy.arange(6.0, dtype=dtype).reshape(3, 2) / 5
    expected = ng.grad(by_loop, (0, 1))(x0, ys)
    for jit in (0, 2):
        ng.config.jit = jit
        for a, b in zip(ng.jit(ng.grad(by_scan, (0, 1)))(x0, ys), expected, strict=True):
            assert a.dtype == dtype
            close = {"float64": (1e-10, 1e-14), "float32": (2e-5, 1e-7)}[dtype]
            numpy.testing.assert_allclose(a, b, *close)


def test_states_that_change_places_and_integers(way):
    """Fibonacci numbers: what is overwritten is read first."""
    (a, b, n), seen = ng.scan(lambda s, _: ((s[1], s[0] + s[1], s[2] + 1), s[0]), (0, 1, ng.asarray(0, dtype="int8")),
                              length=10)  # fmt: skip
    assert (int(a), int(b), int(n), n.dtype) == (55, 89, 10, "int8")
    assert seen.numpy().tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]


def test_from_the_last_to_the_first(way):
    f = lambda h, x: (h * 0.5 + x, h)  # noqa: E731
    final, ys = ng.scan(f, H, XS, reverse=True)
    other, zs = ng.scan(f, H, XS[::-1].copy())
    numpy.testing.assert_array_equal(final, other)
    numpy.testing.assert_array_equal(ys, zs.numpy()[::-1])
    slope = ng.grad(lambda xs: np.sum(ng.scan(f, H, xs, reverse=True)[0]))(XS)
    numpy.testing.assert_allclose(slope, 0.5 ** numpy.arange(7.0)[:, None] * numpy.ones(3))


def test_no_step_and_nothing_stacked(way):
    final, ys = ng.scan(lambda h, x: (h * x, h), 2.0, numpy.ones(0))
    assert (float(final), ys.numpy().shape) == (2.0, (0,))
    final, ys = ng.scan(lambda h, x: (h * 2, None), 1.0, length=5)
    assert (float(final), ys) == (32.0, None)
    assert float(ng.grad(lambda h: ng.scan(lambda h, x: (h * 2, None), h, length=0)[0])(ng.asarray(3.0))) == 1
    f = lambda w, h: np.sum(ng.scan(lambda h, x: (np.tanh(w @ h), None), h, length=0)[0])  # noqa: E731
    for found, exact in zip(ng.jit(ng.grad(f, (0, 1)))(W, H), (W * 0, H * 0 + 1), strict=True):
        numpy.testing.assert_array_equal(found, exact)


def test_loops_in_loops_and_captured_arrays(way):
    w = RNG.normal(size=4)

    def f(w):
        outer = lambda s, x: (s + ng.fori_loop(0, 3, lambda i, s: np.sin(s) * w[i] + x, s), s)  # noqa: E731
        final, ys = ng.scan(outer, np.sum(w), w)
        return final + np.sum(ys)

    def by_hand(w):
        s, ys = np.sum(w), []
        for k in range(4):
            ys.append(s)
            inner = s
            for i in range(3):
                inner = np.sin(inner) * w[i] + w[k]
            s = s + inner
        return s + np.sum(np.stack(ys))

    numpy.testing.assert_allclose(f(ng.asarray(w)), by_hand(ng.asarray(w)), rtol=1e-12)
    numpy.testing.assert_allclose(ng.grad(f)(w), ng.grad(by_hand)(w), rtol=1e-11)


def test_a_loop_of_a_small_state_is_one_launch_and_so_is_its_derivative():
    def loss(s, p):
        swing = lambda s, _: (np.stack([s[0] + 0.01 * s[1], s[1] - 0.01 * p * np.sin(s[0])]), None)  # noqa: E731
        return np.sum(ng.scan(swing, s, length=1000)[0] ** 2)

    s, p = numpy.array([0.5, 0.0]), numpy.array(9.8)
    lowered = ng.jit(ng.grad(loss, (0, 1))).lower(s, p)
    assert lowered.launches.count("loop") == 2
    assert all(launch.host is None for launch in lowered._compiled.launches)
    longer = lambda s, p: np.sum(ng.scan(lambda s, _: (s * p, None), s, length=5)[0])  # noqa: E731
    ng.jit(ng.grad(longer))(s, p)
    before = ng.stats()["kernels_compiled"] + ng.stats()["kernels_loaded"]
    longer = lambda s, p: np.sum(ng.scan(lambda s, _: (s * p, None), s, length=50)[0])  # noqa: E731
    ng.jit(ng.grad(longer))(s, p)
    assert ng.stats()["kernels_compiled"] + ng.stats()["kernels_loaded"] == before  # a length compiles nothing


def test_large_states_go_step_by_step():
    w, h = RNG.normal(size=(80, 80)) / 9, RNG.normal(size=80)
    f = lambda w, h: np.sum(ng.scan(lambda h, _: (np.tanh(w @ h), np.sum(h)), h, length=6)[1] ** 2)  # noqa: E731

    def by_hand(w, h):
        found = 0.0
        for _ in range(6):
            found, h = found + np.sum(h) ** 2, np.tanh(w @ h)
        return found

    jitted = ng.jit(ng.grad(f, (0, 1)))
    for a, b in zip(jitted(w, h), ng.grad(by_hand, (0, 1))(w, h), strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert jitted.lower(w, h).launches.count("matmul") == 1  # the gradient by w, after the loop


@pytest.mark.parametrize("reverse", [False, True])
def test_products_are_added_up_after_the_loop(reverse, way):
    """W from the left, transposed, twice in a step and with matrices; what a step makes of products is read again."""
    v = RNG.normal(size=(3, 1))

    def step(w, state, x):
        h, m = state
        h = np.tanh(w @ h + h @ w + x) + w[0]
        return (h, np.sin(m.T @ w).T - w @ m), (np.sum(h * x), w.T @ h)

    def looped(w, h, xs):
        (h, m), (a, b) = ng.scan(lambda s, x: step(w, s, x), (h, v), xs, reverse=reverse)
        return np.sum(h * m[:, 0]) + np.sum(a**2) + np.sum(np.sin(b))

    def plain(w, h, xs):
        state, total = (h, v), 0.0
        for t in range(len(xs))[:: -1 if reverse else 1]:
            state, (a, b) = step(w, state, xs[t])
            total = total + a**2 + np.sum(np.sin(b))
        return np.sum(state[0] * state[1][:, 0]) + total

    for name in ("grad", "jit", "second", "hessian", "jvp", "grad of vmap"):
        for a, b in zip(as_tuple(TRANSFORMS[name](looped)), as_tuple(TRANSFORMS[name](plain)), strict=True):
            numpy.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=name)


def test_complex_states():
    z = numpy.array([0.3 + 0.1j, -0.2j])
    f = lambda z: np.sum(np.abs(ng.scan(lambda s, _: (s * s + z, None), z, length=4)[0]) ** 2)  # noqa: E731

    def by_hand(z):
        s = z
        for _ in range(4):
            s = s * s + z
        return np.sum(np.abs(s) ** 2)

    for jit in (0, 2):
        ng.config.jit = jit
        numpy.testing.assert_allclose(ng.grad(f)(z), ng.grad(by_hand)(z), rtol=1e-12)


MISTAKES = {
    "function": (lambda: ng.scan(3, 0.0, XS), errors.ArgumentError, "scan: f must be callable, got int 3"),
    "pair": (lambda: ng.scan(lambda s, x: s, H, XS), errors.ArgumentError, r"scan: f must return \(state, y\), got"),
    "shape": (lambda: ng.scan(lambda s, x: (s["a"][:2], x), {"a": H}, XS), errors.ArgumentError,
              "scan: the state after a step must be a nest like the state"),
    "shape of a part": (lambda: ng.scan(lambda s, x: ({"a": s["a"][:2]}, x), {"a": H}, XS), errors.ShapeError,
                        r"init\['a'\] has shape \(3,\) in the state and \(2,\) in the state after a step; they must"),
    "dtype": (lambda: ng.scan(lambda s, x: (s > 0, x), H, XS), errors.DtypeError,
              "init has dtype float64 in the state and bool in the state after a step; they must be equal; cast"),
    "lengths": (lambda: ng.scan(lambda s, x: (s, x), 0.0, (XS, H)), errors.ShapeError,
                r"scan: slices have different lengths\n    xs\[0\]: 7\n    xs\[1\]: 3"),
    "length": (lambda: ng.scan(lambda s, x: (s, x), 0.0), errors.ArgumentError, "give xs or length"),
    "no axis": (lambda: ng.scan(lambda s, x: (s, x), 0.0, 3.0), errors.ShapeError, "xs has no axis to take slices"),
    "value": (lambda: ng.scan(lambda s, x: (s if s > 0 else -s, x), 0.0, H), errors.TracedValueError,
              "asked for while scan traces"),
    "bounds": (lambda: ng.fori_loop(0, 2.5, lambda i, s: s, 0.0), errors.ArgumentError,
               "fori_loop: lower and upper must be integers that are known"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_it_says_of_mistakes(name):
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
