"""Makes kernels/_polynomials.py: minimax polynomials by Remez exchange in multiple precision.

    python docs/scripts/polynomials.py > kernels/_polynomials.py

The exchange is the multi-point one (Muller, Elementary Functions, 3rd ed., ch. 3), on an absolute error times a
weight; the weight is chosen so that what is left is the error relative to the function in whose kernel the
polynomial is used.  Coefficients are then rounded to float64, lowest order first in the tuple.
"""

import mpmath as mp

mp.mp.dps = 60


def remez(f, a, b, degree, weight, rounds=10):
    """Coefficients (lowest first) and weighted error of the best polynomial on [a, b]."""
    a, b, n = mp.mpf(a), mp.mpf(b), degree + 2
    middle, radius = (a + b) / 2, (b - a) / 2

    def nodes(count):
        return [middle - radius * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]

    grid = nodes(16 * n + 1)
    values, weights = [f(x) for x in grid], [weight(x) for x in grid]
    chosen = [16 * n * i // (n - 1) for i in range(n)]
    for _ in range(rounds):
        system = mp.matrix(n, n)
        for row, i in enumerate(chosen):
            power = mp.mpf(1)
            for column in range(degree + 1):
                system[row, column] = power
                power *= (grid[i] - middle) / radius
            system[row, degree + 1] = (-1) ** row / weights[i]
        solution = mp.lu_solve(system, mp.matrix([values[i] for i in chosen]))
        scaled, level = [solution[i] for i in range(degree + 1)], abs(solution[degree + 1])
        error = [
            (v - mp.polyval(scaled[::-1], (x - middle) / radius)) * w
            for x, v, w in zip(grid, values, weights, strict=True)
        ]
        peaks = [0]
        for i in range(1, len(grid)):
            if error[i] * error[peaks[-1]] < 0:
                peaks.append(i)
            elif abs(error[i]) > abs(error[peaks[-1]]):
                peaks[-1] = i
        while len(peaks) > n:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        worst = max(abs(e) for e in error)
        if worst < level * mp.mpf("1.01") or len(peaks) < n:
            break
        chosen = peaks
    return unscale(scaled, middle, radius), worst


def unscale(scaled, middle, radius):
    """Coefficients in x of a polynomial given in (x - middle) / radius."""
    total = [mp.mpf(0)] * len(scaled)
    for c in reversed(scaled):
        shifted = [mp.mpf(0), *total[:-1]]
        total = [(s - middle * t) / radius for s, t in zip(shifted, total, strict=True)]
        total[0] += c
    return total


def tail(function, order, at=0):
    """x -> (function(x) - its Taylor polynomial below `order`) / x**order, by series where that cancels."""
    series = mp.taylor(function, at, order + 40)

    def quotient(x):
        if abs(x) < mp.mpf("0.05"):
            return mp.polyval(series[order:][::-1], x)
        return (function(x + at) - mp.polyval(series[:order][::-1], x)) / x**order

    return quotient


def rational(f, a, b, above, below):
    """Numerator, denominator (constant 1) and largest error of a quotient equal to f at Chebyshev's points."""
    a, b, n = mp.mpf(a), mp.mpf(b), above + below + 1
    system, values = mp.matrix(n, n), mp.matrix(n, 1)
    for row in range(n):
        x = (a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (2 * row + 1) / (2 * n))
        values[row] = f(x)
        for i in range(above + 1):
            system[row, i] = x**i
        for i in range(1, below + 1):
            system[row, above + i] = -values[row] * x**i
    solution = list(mp.lu_solve(system, values))
    numerator, denominator = solution[: above + 1], [mp.mpf(1), *solution[above + 1 :]]
    grid = [a + (b - a) * i / mp.mpf(300) for i in range(301)]
    worst = max(abs(mp.polyval(numerator[::-1], x) / mp.polyval(denominator[::-1], x) - f(x)) for x in grid)
    return numerator, denominator, worst


def tanh_quotient(z):
    """(tanh(x) / x - 1) / x**2 at x = sqrt(z)."""
    x = mp.sqrt(z)
    return (mp.tanh(x) / x - 1) / z if z > mp.mpf("1e-20") else -mp.mpf(1) / 3


def log_quotient(z):
    """(log((1 + s) / (1 - s)) - 2 s) / s**3 at s = sqrt(z)."""
    return sum(2 * z**i / (2 * i + 3) for i in range(60))


def log_quotient_tail(z):
    """(log_quotient(z) - 2/3) / z."""
    return sum(2 * z**i / (2 * i + 5) for i in range(60))


def atan_quotient(z):
    return (mp.atan(mp.sqrt(z)) / mp.sqrt(z) - 1) / z if z > mp.mpf("1e-12") else -mp.mpf(1) / 3 + z / 5 - z * z / 7


def asin_quotient(z):
    return (mp.asin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z if z > mp.mpf("1e-12") else mp.mpf(1) / 6 + 3 * z / 40


def sin_quotient(z):
    return sum((-1) ** (i + 1) * z**i / mp.factorial(2 * i + 3) for i in range(25))


def cos_quotient(z):
    return sum((-1) ** i * z**i / mp.factorial(2 * i + 4) for i in range(25))


def sinh_quotient(z):
    return sum(z**i / mp.factorial(2 * i + 3) for i in range(25))


def sinpi_quotient(z):
    return sum((-1) ** (i + 1) * z**i * mp.pi ** (2 * i + 3) / mp.factorial(2 * i + 3) for i in range(40))


def erf_quotient(z):
    c = 2 / mp.sqrt(mp.pi)
    return c * sum((-1) ** i * z**i / (mp.factorial(i) * (2 * i + 1)) for i in range(50)) - 1


def scaled_erfc(t):
    """exp(x**2) erfc(x) (1 + 2 x) at x = 4 (1 + t) / (1 - t); the map is that of Shepherd & Laframboise 1981."""
    if t > mp.mpf("0.98"):  # asymptotic: the limit is 2 / sqrt(pi)
        u = (1 - t) / (4 * (1 + t))
        series = sum((-1) ** i * mp.fac2(2 * i - 1) * (u * u / 2) ** i for i in range(40))
        return series * (2 + u) / mp.sqrt(mp.pi)
    x = 4 * (1 + t) / (1 - t)
    return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x)


def lgamma_quotient(d):
    """lgamma(2 + d) / d."""
    return mp.loggamma(2 + d) / d if abs(d) > mp.mpf("1e-20") else mp.psi(0, 2)


def stirling(w):
    """(lgamma(x) - its Stirling formula) * x at w = 1 / x**2."""
    if w < mp.mpf("0.0002"):
        return sum(mp.bernoulli(2 * i) / (2 * i * (2 * i - 1)) * w ** (i - 1) for i in range(1, 26))
    x = 1 / mp.sqrt(w)
    return (mp.loggamma(x) - ((x - 0.5) * mp.log(x) - x + mp.log(2 * mp.pi) / 2)) * x


def psi_asymptotic(order):
    """What Stirling's formula leaves of polygamma(order), scaled to be a series in w = 1 / x**2."""

    def value(w):
        if w < mp.mpf("0.0002"):
            return sum(
                (-1) ** (order + 1) * mp.bernoulli(2 * i) * mp.rf(2 * i, order) / (2 * i) * w ** (i - 1)
                for i in range(1, 26)
            )
        x = 1 / mp.sqrt(w)
        leading = {
            0: lambda: mp.log(x) - 1 / (2 * x),
            1: lambda: 1 / x + 1 / (2 * x**2),
            2: lambda: -1 / x**2 - 1 / x**3,
            3: lambda: 2 / x**3 + 3 / x**4,
        }[order]()
        return (mp.psi(order, x) - leading) * x ** (2 + order)

    return value


half_log2 = mp.log(2) / 2 * mp.mpf("1.001")
quarter_pi = mp.pi / 4 * mp.mpf("1.001")
largest_s = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.001")
eighth = mp.mpf("0.1716") * mp.mpf("1.001")


def flat(x):
    return mp.mpf(1)


def of_exp(r):
    """What an error of EXP does to exp(r); not quite zero anywhere, so that the exchange has a solution."""
    return r * r / mp.exp(r) + mp.mpf(2) ** -20


# name, what it approximates (for the comment), function, interval, weight, degree for float64 and for float32
TABLE = (
    ("EXP", "(exp(r) - 1 - r) / r**2", tail(mp.exp, 2), (-half_log2, half_log2), of_exp, 9, 4),
    ("EXP2", "(2**r - 1) / r", tail(lambda x: mp.mpf(2) ** x, 1), (-0.5, 0.5), flat, 11, 6),
    ("LOG", "(log((1 + s) / (1 - s)) - 2 s) / s**3 in z = s**2", log_quotient, (0, largest_s), flat, 6, 2),
    ("LOG_TAIL", "the same, less 2/3, / z", log_quotient_tail, (0, largest_s), flat, 7, 2),
    ("SIN", "(sin(r) - r) / r**3 in z = r**2", sin_quotient, (0, quarter_pi**2), flat, 5, 3),
    ("COS", "(cos(r) - 1 + z / 2) / z**2 in z = r**2", cos_quotient, (0, quarter_pi**2), flat, 5, 3),
    ("SINH", "(sinh(x) - x) / x**3 in z = x**2, |x| <= 1", sinh_quotient, (0, 1), flat, 6, 3),
    ("SINPI", "(sin(pi r) - pi r) / r**3 in z = r**2, |r| <= 1/2", sinpi_quotient, (0, "0.2501"), flat, 8, 4),
    ("ATAN", "(atan(t) / t - 1) / z in z = t**2, |t| <= tan(pi/8)", atan_quotient, (0, eighth), flat, 10, 4),
    ("ASIN", "(asin(t) / t - 1) / z in z = t**2, |t| <= 1/2", asin_quotient, (0, "0.2501"), flat, 12, 5),
    ("ERF", "erf(x) / x - 1 in z = x**2, |x| <= 1", erf_quotient, (0, 1), flat, 11, 6),
    ("ERFC", "exp(x**2) erfc(x) (1 + 2 x) in t = (x - 4) / (x + 4), x >= 0", scaled_erfc, (-1, 1), flat, 24, 12),
    ("LGAMMA", "lgamma(2 + d) / d, |d| <= 1/2", lgamma_quotient, ("-0.5", "0.5"), flat, 19, 8),
    ("STIRLING", "x (lgamma(x) - Stirling) in w = 1 / x**2, x >= 8", stirling, (0, "0.0157"), flat, 7, 2),
    ("PSI0", "x**2 (digamma(x) - log(x) + 1 / (2 x)) in w, x >= 8", psi_asymptotic(0), (0, "0.0157"), flat, 7, 2),
    ("PSI1", "x**3 (trigamma(x) - 1 / x - 1 / (2 x**2)) in w, x >= 8", psi_asymptotic(1), (0, "0.0157"), flat, 8, 3),
    ("PSI2", "x**4 (polygamma(2, x) + 1 / x**2 + 1 / x**3) in w, x >= 8", psi_asymptotic(2), (0, "0.0157"), flat, 8, 3),
    ("PSI3", "x**5 (polygamma(3, x) - 2 / x**3 - 3 / x**4) in w, x >= 8", psi_asymptotic(3), (0, "0.0157"), flat, 9, 3),
)  # fmt: skip


# name, what it approximates, function, interval, degrees above and below for float64 and for float32
QUOTIENTS = (("TANH", "(tanh(x) / x - 1) / z in z = x**2, |x| <= 1", tanh_quotient, (0, 1), (3, 3), (1, 2)),)


# name, value, bits of each part for float64 and for float32: parts whose products with small integers are exact
CONSTANTS = (
    ("LN2", "log(2)", mp.log(2), (42, 53), (16, 24)),
    ("LN2_PAIR", "log(2)", mp.log(2), (53, 53), (24, 24)),
    ("LOG2_E", "1 / log(2)", 1 / mp.log(2), (53, 53), (24, 24)),
    ("LOG10_E", "1 / log(10)", 1 / mp.log(10), (53, 53), (24, 24)),
    ("LOG10_2", "log10(2)", mp.log10(2), (42, 53), (16, 24)),
    ("TWO_THIRDS", "2 / 3", mp.mpf(2) / 3, (53, 53), (24, 24)),
    ("HALF_PI", "pi / 2", mp.pi / 2, (53, 53), (24, 24)),
    ("PI", "pi", mp.pi, (53, 53), (24, 24)),
    ("HALF_PI_REDUCTION", "pi / 2", mp.pi / 2, (33, 33, 53), (24, 24, 24)),
    ("LOG_PI", "log(pi)", mp.log(mp.pi), (53, 53), (24, 24)),
    ("HALF_LOG_TWO_PI", "log(2 pi) / 2", mp.log(2 * mp.pi) / 2, (53, 53), (24, 24)),
)


def parts(value, bits):
    """A value as an unevaluated sum of floats of so many bits."""
    total = []
    for count in bits:
        with mp.workprec(count):
            total.append(float(+value))
        value = value - total[-1]
    return tuple(total)


def two_over_pi_rows(rows, modulus, columns):
    """Row g: (2 / pi) 2**(16 g) modulo a power of two as a sum of float64, for arguments from 2**(20 + 16 g) on."""
    with mp.workprec(1600):
        for g in range(rows):
            yield parts(mp.fmod(2 / mp.pi * mp.mpf(2) ** (16 * g), modulus), (53,) * columns)


def main():
    print('"""Coefficients of the kernels\' polynomials, lowest order first.')
    print("\nMade by docs/scripts/polynomials.py: minimax (Remez) on the interval named, rounded to float64.")
    print('The error is the largest one before rounding; the second tuple of a pair serves float32.\n"""')
    for name, meaning, value, wide, narrow in CONSTANTS:
        print(f"\n# {meaning} as a sum")
        print(f"{name} = {parts(value, wide)!r}")
        print(f"{name}_32 = {parts(value, narrow)!r}")
    print("\n# (2 / pi) 2**(16 g) less what makes multiples of 2 pi of the argument (Payne & Hanek 1983)")
    for name, rows in (
        ("TWO_OVER_PI", two_over_pi_rows(63, mp.mpf(2) ** 34, 4)),
        ("TWO_OVER_PI_32", two_over_pi_rows(7, mp.mpf(2) ** 5, 2)),
    ):
        print(f"{name} = (")
        for row in rows:
            print("    " + ", ".join(repr(v) for v in row) + ",")
        print(")")
    for name, meaning, f, (a, b), weight, wide, narrow in TABLE:
        for suffix, degree in (("", wide), ("_32", narrow)):
            coefficients, error = remez(f, a, b, degree, weight)
            where = f"[{mp.nstr(mp.mpf(a), 5)}, {mp.nstr(mp.mpf(b), 5)}]"
            print(f"\n# {meaning}; on {where}, error 2**{mp.nstr(mp.log(error, 2), 4)}")
            print_tuple(name + suffix, coefficients)
    for name, meaning, f, (a, b), wide, narrow in QUOTIENTS:
        for suffix, degrees in (("", wide), ("_32", narrow)):
            above, below, error = rational(f, a, b, *degrees)
            print(f"\n# {meaning}, as a quotient; on [{a}, {b}], error 2**{mp.nstr(mp.log(error, 2), 4)}")
            print_tuple(f"{name}_ABOVE{suffix}", above)
            print_tuple(f"{name}_BELOW{suffix}", below)


def print_tuple(name, coefficients):
    print(f"{name} = (")
    for c in coefficients:
        print(f"    {float(c)!r},")
    print(")", flush=True)


if __name__ == "__main__":
    main()
