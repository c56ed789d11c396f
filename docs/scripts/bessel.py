"""Makes kernels/_bessel.py: coefficients for the modified Bessel functions of orders 0 and 1.

python docs/scripts/bessel.py > kernels/_bessel.py
"""

import mpmath as mp

mp.mp.dps = 50


def chebyshev(f, degree):
    """Coefficients, lowest first, of the polynomial in t that equals f at the Chebyshev points of [-1, 1]."""
    n = degree + 1
    angles = [mp.pi * (k + mp.mpf(1) / 2) / n for k in range(n)]
    values = [f(mp.cos(a)) for a in angles]
    weights = [2 * sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / n for j in range(n)]
    before, now = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    total = [mp.mpf(0)] * n
    for j, weight in enumerate([weights[0] / 2, *weights[1:]]):
        polynomial = before if j == 0 else now
        for i, c in enumerate(polynomial):
            total[i] += weight * c
        if j:
            following = [mp.mpf(0), *(2 * c for c in now)]
            for i, c in enumerate(before):
                following[i] -= c
            before, now = now, following
    return total


def scaled(order):
    """sqrt(x) exp(-x) I(x) at t = 16 / x - 1, for x >= 8."""

    def value(t):
        x = 16 / (t + 1)
        return mp.sqrt(x) * mp.exp(-x) * mp.besseli(order, x)

    return value


def main():
    print('"""Coefficients of the modified Bessel functions, lowest order first; made by docs/scripts/bessel.py."""')
    for order in (0, 1):
        for suffix, terms, degree in (("", 26, 24), ("_32", 17, 9)):
            series = [1 / (mp.factorial(k) * mp.factorial(k + order)) for k in range(terms)]
            for name, meaning, coefficients in (
                (f"I{order}_NEAR{suffix}", f"I{order}(x) / (x / 2)**{order} in x**2 / 4, |x| <= 8", series),
                (f"I{order}_FAR{suffix}", f"sqrt(x) exp(-x) I{order}(x) in 16 / x - 1, x >= 8",
                 chebyshev(scaled(order), degree)),
            ):  # fmt: skip
                print(f"\n# {meaning}\n{name} = (")
                for c in coefficients:
                    print(f"    {float(c)!r},")
                print(")")


if __name__ == "__main__":
    main()
