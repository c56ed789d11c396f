import mpmath as mp
import numpy as n

from nbgrad.kernels._quadrature import *

mp.mp.dps = 40
rng = n.random.default_rng(0)
worst = 0
for t in range(60):
    a = float(n.exp(rng.uniform(n.log(1e-2), n.log(300))))
    x = float(a * n.exp(rng.normal() * 1.0 / n.sqrt(min(a, 4))))
    P = (
        (lambda s: mp.gammainc(s, 0, x, regularized=True))
        if x < a
        else (lambda s: -mp.gammainc(s, x, mp.inf, regularized=True))
    )
    ref = mp.diff(P, a)
    if ref == 0:
        print("mp0", a, x)
        continue
    got = float(gammainc_derivative(a, x, order=1))
    ref2 = mp.diff(P, a, 2)
    got2 = float(gammainc_derivative(a, x, order=2))
    e = abs(got / ref - 1)
    e2 = abs(got2 - ref2) / max(abs(ref2), abs(ref) / a / 10)
    if max(e, e2) > 1e-12:
        print(a, x, float(e), float(e2))
print("beta")
for t in range(40):
    a = float(n.exp(rng.uniform(n.log(1e-1), n.log(100))))
    b = float(n.exp(rng.uniform(n.log(1e-1), n.log(100))))
    x = float(rng.uniform(0.02, 0.98))
    I = lambda p, q: mp.betainc(p, q, 0, x, regularized=True)
    for o in [(1, 0), (0, 1), (1, 1)]:
        try:
            ref = mp.diff(I, (a, b), o)
        except Exception as ex:
            print("mp", a, b, x, ex)
            continue
        got = float(betainc_derivative(a, b, x, order=o))
        e = abs(got - ref) / max(abs(ref), 1e-300)
        if e > 1e-11:
            print(a, b, x, o, got, float(ref), float(e))
