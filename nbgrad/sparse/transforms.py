"""sparse_jacobian and sparse_hessian: functions that return SciPy's sparse arrays.

A call traces the function, finds the pattern on its graph and colours it; equal graphs share what was found.  Then
there is one sweep for each colour: tangents pushed forward for columns, cotangents pulled back for rows.
"""

import itertools
import threading
from collections import OrderedDict

import numpy

from nbgrad import dtypes, graph, shapes
from nbgrad.array import Array
from nbgrad.autodiff.arguments import flag
from nbgrad.autodiff.forward import Call
from nbgrad.autodiff.grad import grad, positions
from nbgrad.errors import ArgumentError, DtypeError, GradientError, OptionError, ShapeError, describe
from nbgrad.graph import state
from nbgrad.sparse import given
from nbgrad.sparse import pattern as patterns
from nbgrad.sparse.plan import Plan

#: How many entries the plans that are kept may have together; the least recently used ones go.
KEPT = 20_000_000
_plans: OrderedDict = OrderedDict()
_lock = threading.Lock()


def sparse_jacobian(fn, grad_position=0, pattern=None, colouring="auto", *, verify=False):
    """A function that computes the Jacobian of `fn` as a sparse matrix, in as many sweeps as its pattern has colours.

    Parameters
    ----------
    fn : callable
        Takes Arrays and returns one Array, of any shape.
    grad_position : int or tuple of int
        Which arguments to differentiate by; each is one array of float32 or float64.
    pattern : sparse or dense matrix, optional
        Where the Jacobian can be nonzero: rows are elements of the output, columns those of the argument, in C order.
        For a tuple of positions a tuple of matrices.  Found on the graph of `fn` if it is not given.
    colouring : {"auto", "columns", "rows"}
        What is coloured: columns, computed by tangents that are pushed forward, or rows, by cotangents that are
        pulled back.  "auto" takes what needs fewer colours.
    verify : bool
        Compare a product of each result with a vector with that computed without a pattern.

    Returns
    -------
    callable
        Of the arguments of `fn`; returns a ``scipy.sparse.csr_array`` in the dtype of the output, for a tuple of
        positions a tuple of these.  Entries that happen to be 0 are stored.  Its methods ``pattern(*args)`` and
        ``sweeps(*args)`` say where entries are, and how many sweeps a call takes.

    Raises
    ------
    GradientError
        When the function is called inside ``jit`` or another transform, as sparse matrices are values; if the pattern
        found is all but dense; with `verify`, if the pattern lacks an entry.
    DtypeError
        For complex numbers and float16.
    ShapeError
        If a given pattern does not have the shape of the Jacobian.

    Notes
    -----
    The pattern found holds for all values of the differentiated arguments.  It may have entries that are always 0:
    what the graph says is where an operation reads, not what it computes.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> jacobian = ng.sparse_jacobian(lambda x: x[1:] * x[:-1])
    >>> x = ng.asarray([1.0, 2.0, 3.0, 4.0])
    >>> jacobian(x).toarray()
    array([[2., 1., 0., 0.],
           [0., 3., 2., 0.],
           [0., 0., 4., 3.]])
    >>> jacobian.sweeps(x)
    2
    """
    if not (isinstance(colouring, str) and colouring in ("auto", "columns", "rows")):
        raise OptionError(
            f"sparse_jacobian: colouring is {colouring!r}, expected 'auto', 'columns' or 'rows'; leave it out for "
            "what needs fewer sweeps"
        )
    return SparseJacobian("sparse_jacobian", fn, grad_position, pattern, colouring, verify)


def sparse_hessian(fn, grad_position=0, pattern=None, *, verify=False):
    """A function that computes the Hessian of `fn` as a sparse matrix, by products with as many vectors as colours.

    Parameters
    ----------
    fn : callable
        Takes Arrays and returns one number.
    grad_position : int or tuple of int
        Which arguments to differentiate by; each is one array of float32 or float64.
    pattern : sparse or dense matrix, optional
        Where the Hessian can be nonzero, by the elements of the argument in C order; symmetric.  For a tuple of
        positions a tuple of rows, each a tuple of matrices.  Found on the graph of the gradient if it is not given.
    verify : bool
        Compare a product of each result with a vector with that computed without a pattern.

    Returns
    -------
    callable
        Of the arguments of `fn`; returns a ``scipy.sparse.csr_array``, for a tuple of positions a tuple of rows of
        these: element [i][j] is by position i and position j.  It has the methods of `sparse_jacobian`'s result.

    Raises
    ------
    GradientError, DtypeError, ShapeError
        As by `sparse_jacobian`; ShapeError also if `fn` returns more than one number, or a pattern is not symmetric.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> hessian = ng.sparse_hessian(lambda x: np.sum((x[1:] - x[:-1] ** 2) ** 2))
    >>> hessian(ng.asarray([1.0, 1.0, 2.0])).toarray()
    array([[ 8., -4.,  0.],
           [-4.,  6., -4.],
           [ 0., -4.,  2.]])
    """
    return SparseHessian("sparse_hessian", fn, grad_position, pattern, "symmetric", verify)


class SparseJacobian:
    """The function that `sparse_jacobian` returns."""

    def __init__(self, call, fn, grad_position, pattern, mode, verify):
        if not callable(fn):
            raise ArgumentError(f"{call}: fn must be callable, got {describe(fn)}")
        self._positions = positions(call, grad_position)
        if not self._positions:
            raise GradientError(f"{call}: grad_position is None; say which arguments to differentiate by: 0, or (0, 1)")
        self._call, self._mode, self._verify = call, mode, flag(call, "verify", verify)
        self._several = isinstance(grad_position, tuple)
        self._given = None if pattern is None else given.blocks(call, pattern, self._rows(), self._columns())
        self._plan = None
        self._fn = self._traced(fn)
        self.__wrapped__ = fn
        self.__name__ = self.__qualname__ = f"{call}_of_{getattr(fn, '__name__', type(fn).__name__)}"

    def __call__(self, *args):
        """The matrix at these arguments."""
        run = self._run(args)
        plan = self._planned(run)
        pushes = plan.mode == "columns"
        nodes = run.wrappers if pushes else run.outputs
        matrix = plan.matrix(lambda seed: run.swept(_parts(seed, nodes), pushes), run.outputs[0].dtype)
        if self._verify:
            self._check(matrix, run)
        return self._parted(matrix, run)

    def pattern(self, *args):
        """Where the matrix may be nonzero, as boolean sparse arrays in place of those that a call returns."""
        run = self._run(args)
        return self._parted(self._planned(run).pattern.copy(), run)

    def sweeps(self, *args):
        """How many sweeps a call takes: the colours of the pattern."""
        return len(self._planned(self._run(args)))

    def _rows(self):
        """How many blocks of rows a given pattern has: None if it is not in a tuple."""
        return None

    def _columns(self):
        return len(self._positions) if self._several else None

    def _traced(self, fn):
        """What is run on Arrays."""
        return fn

    def _run(self, args):
        if state.tracked:
            raise GradientError(
                f"{self._call}: called inside jit or another transform, where arrays have no values yet and a sparse "
                "matrix cannot be made; call it outside, or use jacfwd or jacrev there"
            )
        return _Run(self._call, self._fn, args, self._positions, self._several)

    def _planned(self, run):
        """The plan for what was run."""
        if self._given is not None:
            if self._plan is None or self._plan[0] != run.sizes:
                made = given.checked(self._call, self._given, run.sizes, self._mode == "symmetric")
                self._plan = run.sizes, Plan(made, self._mode)
            return self._plan[1]
        key = self._mode, patterns.key(run.outputs, run.wrappers, run.since)
        with _lock:
            plan = _plans.get(key)
            if plan is not None:
                _plans.move_to_end(key)
                return plan
        found = patterns.found(self._call, run.outputs, run.wrappers, run.since)
        if self._mode == "symmetric":
            found = found + found.T.tocsr()
        plan = Plan(found, self._mode)
        with _lock:
            _plans[key] = plan
            entries = sum(p.pattern.nnz for p in _plans.values())
            while entries > KEPT and len(_plans) > 1:
                entries -= _plans.popitem(last=False)[1].pattern.nnz
        return plan

    def _check(self, matrix, run):
        """GradientError if a product with a random vector is not that of a sweep without a pattern."""
        pushes = self._mode != "symmetric"
        direction = numpy.random.default_rng(0).uniform(0.5, 1.5, matrix.shape[1]).astype(matrix.dtype)
        expected = run.swept(_parts(direction, run.wrappers if pushes else run.outputs), pushes)
        product, size = matrix @ direction, abs(matrix) @ direction
        eps = numpy.finfo(matrix.dtype).eps
        with numpy.errstate(invalid="ignore"):
            away = abs(product - expected)
            within = eps**0.75 * numpy.maximum(size, abs(expected)) + 100 * eps * abs(expected).max(initial=0)
            wrong = numpy.flatnonzero((away > within) | (numpy.isnan(product) != numpy.isnan(expected)))
        if len(wrong):
            row = int(wrong[0])
            raise GradientError(
                f"{self._call}: the pattern lacks entries: in {len(wrong)} of {len(product)} rows the product with a "
                f"random vector is wrong, first in row {row}: {product[row]:.6g} instead of {expected[row]:.6g}; "
                "correct the pattern, or leave pattern= out to have it found"
            )

    def _parted(self, matrix, run):
        """The matrix as the caller gets it: for several positions a block of columns for each."""
        return _split(matrix, run.sizes[1]) if self._several else matrix


class SparseHessian(SparseJacobian):
    """The function that `sparse_hessian` returns: rows of the Jacobian of the gradient, which is symmetric."""

    def _rows(self):
        return self._columns()

    def _traced(self, fn):
        def number(*args):
            out = fn(*args)
            if not isinstance(out, Array):
                raise ArgumentError(f"{self._call}: fn must return one Array with one number, got {describe(out)}")
            if shapes.size(out.shape) != 1:
                raise ShapeError(
                    f"{self._call}: fn must return one number, got an array of shape {out.shape}; sum it, or use "
                    f"sparse_jacobian of its gradient\n    {describe(out, 'result')}"
                )
            _real(self._call, out._node, "the result")
            return out

        return grad(number, self._positions)

    def _parted(self, matrix, run):
        if not self._several:
            return matrix
        ends = numpy.cumsum([0, *run.sizes[0]]).tolist()
        return tuple(_split(matrix[a:b], run.sizes[1]) for a, b in itertools.pairwise(ends))


class _Run:
    """One run of a function of arrays.

    Attributes
    ----------
    outputs, wrappers : lists of Node
    sizes : (tuple of int, tuple of int)
        Their numbers of elements.
    """

    def __init__(self, call, fn, args, places, several):
        self._call = made = Call(call, fn, args, False, positions=places)
        for p, tree in zip(places, made.inputs.trees, strict=True):
            if tree is not None:
                raise ArgumentError(
                    f"{call}: argument {p} must be one array, got {describe(args[p])}; pass its parts as arguments of "
                    f"their own with grad_position=(0, 1, ...)"
                )
        self.outputs, self.wrappers, self.since = made.outputs, made.inputs.wrappers, made.inputs.since
        if call == "sparse_jacobian" and not isinstance(made.out, Array):
            raise ArgumentError(
                f"{call}: fn must return one Array, got {describe(made.out)}; concatenate what it returns, or make one "
                "sparse_jacobian for each"
            )
        for what, nodes in (("argument", self.wrappers), ("output", self.outputs)):
            for k, node in enumerate(nodes):
                _real(call, node, f"argument {places[k]}" if what == "argument" else "the output")
        self.sizes = tuple(tuple(shapes.size(n.shape) for n in nodes) for nodes in (self.outputs, self.wrappers))

    def swept(self, seeds, pushes):
        """The tangents of the outputs, or the cotangents of the wrappers, one after another."""
        inputs = self._call.inputs
        seeds = [graph.table(s) for s in seeds]
        _, found = inputs.pulled(self.outputs, seeds, (), inputs.pushed if pushes else inputs.swept)
        flat = [a.numpy().reshape(-1) for a in found]
        return flat[0] if len(flat) == 1 else numpy.concatenate(flat)


def _real(call, node, what):
    """DtypeError for what sparse matrices are not made of."""
    if node.dtype.kind == "c":
        raise DtypeError(
            f"{call}: {what} is complex, and sparse derivatives are of real numbers; take .real and .imag apart\n"
            f"    {describe(node, what)}"
        )
    if not dtypes.is_inexact(node.dtype):
        raise DtypeError(f"{call}: {what} has dtype {node.dtype} and no derivative\n    {describe(node, what)}")
    if node.dtype.itemsize < 4:
        raise DtypeError(
            f"{call}: {what} has dtype {node.dtype}, and SciPy's sparse matrices hold float32 or float64; cast it with "
            f".astype('float32')\n    {describe(node, what)}"
        )


def _parts(vector, nodes):
    """A vector cut into arrays like these nodes."""
    ends = numpy.cumsum([shapes.size(n.shape) for n in nodes])[:-1]
    return [part.astype(n.dtype).reshape(n.shape) for part, n in zip(numpy.split(vector, ends), nodes, strict=True)]


def _split(matrix, sizes):
    """Blocks of columns."""
    ends = numpy.cumsum([0, *sizes]).tolist()
    return tuple(matrix[:, a:b] for a, b in itertools.pairwise(ends))
