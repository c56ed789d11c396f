"""Programs whose gradients are compared between libraries: functions of a namespace and of arrays."""

import numpy


def softmax(xp, x, w):
    e = xp.exp(x - xp.amax(x, 1)[:, None])
    return xp.sum(e / xp.sum(e, 1)[:, None] * w)


def logistic(xp, p, x, y):
    z = x @ p
    return xp.sum(xp.log1p(xp.exp(-z * y)))


def black_scholes(xp, spot, strike, t, rate, vol):
    cdf = lambda x: 0.5 * xp.erfc(-x * 0.7071067811865476)  # noqa: E731
    sd = vol * xp.sqrt(t)
    d = (xp.log(spot / strike) + (rate + 0.5 * vol * vol) * t) / sd
    return xp.sum(spot * cdf(d) - strike * xp.exp(-rate * t) * cdf(d - sd))


def _options(rng, n):
    return [rng.uniform(a, b, n) for a, b in ((60, 140), (60, 140), (0.1, 2), (0, 0.1), (0.1, 0.5))]


#: Name -> (function, which arguments it is differentiated by, arguments of a size).
PROGRAMS = {
    "softmax": (softmax, (0,), lambda rng, n: list(rng.normal(size=(2, n // 512, 512)))),
    "logistic": (logistic, (0,), lambda rng, n: [rng.normal(size=64) / 8, rng.normal(size=(n // 64, 64)),
                                                 rng.choice([-1.0, 1.0], n // 64)]),
    "black_scholes": (black_scholes, (0, 1, 2, 3, 4), _options),
}  # fmt: skip


def arguments(name, n, dtype):
    """Arguments of a program with about n elements in the largest."""
    return [a.astype(dtype) for a in PROGRAMS[name][2](numpy.random.default_rng(7), n)]


def of_nbgrad(name, arrays):
    """(gradient, arrays): a jitted function, and what to call it with."""
    import nbgrad as ng
    import nbgrad.numpy as np

    class Namespace:
        exp, log, log1p = staticmethod(np.exp), staticmethod(np.log), staticmethod(np.log1p)
        sqrt, erfc = staticmethod(np.sqrt), staticmethod(np.erfc)
        sum = staticmethod(lambda x, axis=None: np.sum(x, axis=axis))
        amax = staticmethod(lambda x, axis: np.max(x, axis=axis))

    fn, wrt, _ = PROGRAMS[name]
    return ng.jit(ng.grad(lambda *a: fn(Namespace, *a), wrt)), [ng.asarray(a, device="cuda:0") for a in arrays]


def of_torch(name, arrays, device="cuda"):
    """The same with PyTorch, eagerly."""
    import torch

    class Namespace:
        exp, log, log1p, sqrt, erfc = torch.exp, torch.log, torch.log1p, torch.sqrt, torch.special.erfc
        sum = staticmethod(lambda x, axis=None: x.sum() if axis is None else x.sum(axis))
        amax = staticmethod(lambda x, axis: x.amax(axis))

    fn, wrt, _ = PROGRAMS[name]
    there = [torch.tensor(a, device=device, requires_grad=k in wrt) for k, a in enumerate(arrays)]
    return lambda *a: torch.autograd.grad(fn(Namespace, *a), [a[k] for k in wrt]), there


def of_jax(name, arrays):
    """The same with JAX, jitted."""
    import jax

    class Namespace:
        exp, log, log1p, sqrt, erfc = (*(getattr(jax.numpy, n) for n in ("exp", "log", "log1p", "sqrt")),
                                       jax.scipy.special.erfc)  # fmt: skip
        sum = staticmethod(lambda x, axis=None: jax.numpy.sum(x, axis=axis))
        amax = staticmethod(lambda x, axis: jax.numpy.max(x, axis=axis))

    fn, wrt, _ = PROGRAMS[name]
    return jax.jit(jax.grad(lambda *a: fn(Namespace, *a), wrt)), [jax.numpy.asarray(a) for a in arrays]


def by_hand(xp, name):
    """The gradient written out, for CuPy, which differentiates nothing; None for those that are too long."""

    def of_softmax(x, w):
        e = xp.exp(x - xp.amax(x, axis=1)[:, None])
        s = e / xp.sum(e, axis=1)[:, None]
        return (s * (w - xp.sum(s * w, axis=1)[:, None]),)

    def of_logistic(p, x, y):
        return (x.T @ (-y / (1 + xp.exp((x @ p) * y))),)

    return {"softmax": of_softmax, "logistic": of_logistic}.get(name)
