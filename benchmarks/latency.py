"""What a user waits for before the first result, and what a call costs besides its work."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np

import nbgrad as ng
import nbgrad.numpy as xp
from nbgrad import trees

INTERPRETED = """
import nbgrad as ng, numpy as np, nbgrad.numpy as xp
ng.config.jit = 0
def loss(w, x, y):
    return xp.mean((xp.tanh(x @ w[0]) @ w[1] - y) ** 2)
rng = np.random.default_rng(0)
w = [rng.normal(size=(8, 16)), rng.normal(size=16)]
ng.jit(ng.value_and_grad(loss))(w, rng.normal(size=(100, 8)), rng.normal(size=100))[0].realize()
"""


class Processes:
    """Fresh processes."""

    def timeraw_import(self):
        """Import of the package."""
        return "import nbgrad"

    def timeraw_import_numpy(self):
        """Import of NumPy, to compare with."""
        return "import numpy"

    def timeraw_first_gradient_interpreted(self):
        """Import, trace and run without compiling."""
        return INTERPRETED


class Dispatch:
    """Programs so small that only the way to them counts."""

    def setup(self):
        self.x = ng.asarray(np.random.default_rng(0).random(4))
        self.raw = self.x.numpy()
        self.fn = lambda x: xp.sum(xp.exp(x) * x)
        self.jitted = ng.jit(ng.value_and_grad(self.fn))
        self.jitted(self.x)

    def time_jitted_gradient(self):
        """A jitted gradient of Arrays."""
        self.jitted(self.x)

    def time_jitted_gradient_of_numpy(self):
        """The same, NumPy in and NumPy out."""
        value, gradient = self.jitted(self.raw)
        return float(value), np.asarray(gradient)

    def time_gradient(self):
        """A gradient that is traced at every call."""
        ng.value_and_grad(self.fn)(self.x)

    def time_operation(self):
        """One operation on an Array, and its value."""
        (self.x + 1.0).realize()


class Protocols:
    """NumPy's own functions on Arrays, up to the pending result."""

    def setup(self):
        self.x = ng.asarray(np.random.default_rng(0).random(4))
        self.y = self.x.copy()
        np.sum(self.x)

    def time_ufunc(self):
        """A ufunc."""
        np.add(self.x, self.x)

    def time_ufunc_into_an_array(self):
        """A ufunc with out=."""
        np.add(self.x, self.x, out=self.y)

    def time_reduce(self):
        """A method of a ufunc."""
        np.add.reduce(self.x)

    def time_function(self):
        """A function."""
        np.sum(self.x)

    def time_function_with_keywords(self):
        """A function with keywords."""
        np.sum(self.x, axis=0, keepdims=True)

    def time_method(self):
        """A method."""
        self.x.sum()


@dataclass
class Layer:
    """A container of two arrays."""

    w: object
    b: object


Pair = namedtuple("Pair", "w b")
NESTS = {
    "lists": lambda xs: {f"layer {i}": xs[i : i + 10] for i in range(0, 1000, 10)},
    "dataclasses": lambda xs: [Layer(*xs[i : i + 2]) for i in range(0, 1000, 2)],
    "named tuples": lambda xs: [Pair(*xs[i : i + 2]) for i in range(0, 1000, 2)],
    "dicts": lambda xs: [{"w": xs[i], "b": xs[i + 1]} for i in range(0, 1000, 2)],
}


class Nests:
    """A thousand arrays of two numbers, as one argument."""

    params = (list(NESTS),)
    param_names = ("nest",)

    def setup(self, nest):
        self.nest = NESTS[nest]([ng.asarray(np.ones(2)) for _ in range(1000)])
        self.leaves, self.structure = trees.flatten(self.nest)
        self.call = ng.jit(ng.grad(lambda p: sum(xp.sum(x * x) for x in trees.flatten(p)[0])))
        self.call(self.nest)

    def time_flatten(self, nest):
        """The leaves of the nest."""
        trees.flatten(self.nest)

    def time_unflatten(self, nest):
        """The nest of the leaves."""
        trees.unflatten(self.structure, self.leaves)

    def time_jitted_gradient(self, nest):
        """A jitted gradient, which is a nest as well."""
        self.call(self.nest)


class Tracing:
    """A loop of a thousand operations in Python."""

    def setup(self):
        self.x = ng.asarray(np.random.default_rng(0).random(8))

    @staticmethod
    def loop(x):
        for _ in range(500):
            x = x * 0.99 + 0.01
        return xp.sum(x)

    def time_trace_of_a_loop(self):
        """Tracing, differentiating and lowering, with kernels that exist."""
        ng.jit(ng.grad(self.loop)).lower(self.x)

    def peakmem_trace_of_a_loop(self):
        """Memory of the same."""
        ng.jit(ng.grad(self.loop)).lower(self.x)
