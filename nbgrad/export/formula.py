"""Formula: a number of a program as a polynomial of the sizes of its inputs, found from what it is at some sizes.

before: 66, 72, 82 at the sizes 67, 73, 83    after: n - 1
"""

import itertools
import math

import numpy

#: By the number of sizes the highest power of one, and of all together; of more sizes each product of different ones.
_POWERS = {0: (0, 0), 1: (4, 4), 2: (2, 4), 3: (2, 4), 4: (2, 4)}
#: Whole numbers that values are divided by at most; coefficients are multiples of one over the second.
_DENOMINATOR, _PARTS = 12, 27720
#: Coefficients are computed modulo a prime, which is exact as long as they are not large; what they give is tried.
_PRIME, _LARGEST = 2**127 - 1, 2**60


class Formula:
    """A polynomial of sizes.

    Attributes
    ----------
    terms : tuple of (powers, numerator)
    denominator : int
        Of all terms.
    form : {"", "inverse", "root", "inverse root"}
        What the number is of the polynomial; ``""`` for the polynomial itself.
    """

    __slots__ = ("denominator", "form", "terms")

    def __init__(self, terms, denominator=1, form=""):
        self.terms, self.denominator, self.form = tuple(terms), denominator, form

    def __repr__(self):
        return f"Formula{self.key()}"

    def key(self):
        """Equal for equal formulas."""
        return self.terms, self.denominator, self.form

    def is_constant(self):
        """Whether no size is in it."""
        return not any(any(powers) for powers, _ in self.terms)

    def at(self, sizes):
        """Its value at some sizes: an integer of a polynomial with whole values, else a float."""
        total = sum(c * math.prod(n**p for n, p in zip(sizes, powers, strict=True)) for powers, c in self.terms)
        whole = total // self.denominator if total % self.denominator == 0 else total / self.denominator
        return _FORMS[self.form](whole)

    def text(self, names):
        """It as C and Python write it."""
        parts = []
        for powers, c in self.terms:
            factors = [name for name, p in zip(names, powers, strict=True) for _ in range(p)]
            parts.append(" * ".join([*([str(abs(c))] if abs(c) != 1 or not factors else []), *factors]))
        if not parts:
            return "0"
        text = ("-" if self.terms[0][1] < 0 else "") + parts[0]
        for (_, c), part in zip(self.terms[1:], parts[1:], strict=True):
            text += f" {'-' if c < 0 else '+'} {part}"
        return text if self.denominator == 1 else f"({text}) / {self.denominator}"


_FORMS = {
    "": lambda x: x,
    "inverse": lambda x: 1.0 / x if x else math.inf,
    "root": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "inverse root": lambda x: 1.0 / math.sqrt(x) if x > 0 else math.inf,
}


def constant(value, count):
    """A whole number as a formula of so many sizes."""
    return Formula([((0,) * count, int(value))] if value else [])


def variable(k, count):
    """Size number `k` of so many."""
    return Formula([(tuple(int(i == k) for i in range(count)), 1)])


def monomials(count):
    """The powers of the terms of a polynomial of so many sizes."""
    most, degree = _POWERS.get(count, (1, 4))
    return [p for p in itertools.product(range(most + 1), repeat=count) if sum(p) <= degree]


class Fitter:
    """Finds formulas of numbers that are known at some sizes.

    Parameters
    ----------
    points : list of tuple of int
        More of them than a polynomial has terms: the others decide whether it holds.
    """

    def __init__(self, points):
        self.points, self.count = points, len(points[0])
        self.powers = monomials(self.count)
        rows = [[math.prod(n**p for n, p in zip(point, powers, strict=True)) for powers in self.powers]
                for point in points]  # fmt: skip
        self._inverse = _inverse([row[:] for row in rows[: len(self.powers)]])
        self._known = {}

    def whole(self, values):
        """The formula of integers; None if there is none."""
        values = tuple(int(v) for v in values)
        if values not in self._known:
            self._known[values] = self._found(values)
        return self._known[values]

    def number(self, values, dtype):
        """The formula of numbers of a dtype: a polynomial, its inverse or its root; None if there is none.

        A number that does not change is returned as it is.
        """
        first = values[0]
        if all(v == first or (v != v and first != first) for v in values):
            return first
        if numpy.dtype(dtype).kind in "biu":
            return self.whole(values)
        values = [float(v) for v in values]
        for form, back in _BACK.items():
            made = self._rational([back(v) for v in values], form)
            if made is not None and _same(made, self.points, values, dtype):
                return made
        return None

    def _rational(self, values, form):
        if not all(map(math.isfinite, values)):
            return None
        for denominator in range(1, _DENOMINATOR + 1):
            scaled = [v * denominator for v in values]
            near = [round(s) for s in scaled]
            if all(abs(s - n) <= 1e-6 * max(1.0, abs(s)) for s, n in zip(scaled, near, strict=True)):
                found = self.whole(near)
                if found is not None and found.denominator == 1:
                    return Formula(found.terms, denominator, form)
        return None

    def _found(self, values):
        if len(set(values)) == 1:
            return constant(values[0], self.count)
        used, terms = values[: len(self.powers)], []
        for powers, row in zip(self.powers, self._inverse, strict=True):
            c = sum(a * v for a, v in zip(row, used, strict=True)) * _PARTS % _PRIME
            c = c - _PRIME if c > _PRIME // 2 else c
            if abs(c) > _LARGEST:
                return None
            if c:
                terms.append((powers, c))
        common = math.gcd(_PARTS, *(c for _, c in terms))
        terms = sorted(((p, c // common) for p, c in terms), key=lambda t: (-sum(t[0]), t[0]))
        made = Formula(terms, _PARTS // common)
        good = all(made.at(point) == v for point, v in zip(self.points, values, strict=True))
        return made if good else None


_BACK = {
    "": lambda v: v,
    "inverse": lambda v: 1.0 / v if v else math.inf,
    "root": lambda v: v * v if v > 0 else math.inf,
    "inverse root": lambda v: 1.0 / (v * v) if v > 0 else math.inf,
}


def _same(formula, points, values, dtype):
    """Whether a formula gives the numbers, up to the rounding of the operations that made them."""
    tolerance = 4 * numpy.finfo(dtype).eps
    return all(math.isclose(formula.at(p), v, rel_tol=tolerance) for p, v in zip(points, values, strict=True))


def _inverse(rows):
    """The inverse of a matrix of integers, modulo a prime; StopIteration if there is none."""
    n = len(rows)
    table = [[*row, *(int(i == k) for i in range(n))] for k, row in enumerate(rows)]
    for k in range(n):
        pivot = next(r for r in range(k, n) if table[r][k] % _PRIME)
        table[k], table[pivot] = table[pivot], table[k]
        scale = pow(table[k][k], -1, _PRIME)
        table[k] = [v * scale % _PRIME for v in table[k]]
        for r in range(n):
            if r != k and table[r][k]:
                factor = table[r][k]
                table[r] = [(a - factor * b) % _PRIME for a, b in zip(table[r], table[k], strict=True)]
    return [row[n:] for row in table]
