"""grad and value_and_grad: function in, function out."""

import numpy

from nbgrad import trees
from nbgrad.array import Array, Parameter
from nbgrad.autodiff.arguments import flag
from nbgrad.autodiff.inputs import Inputs
from nbgrad.autodiff.outputs import (
    check_complex,
    check_holomorphic,
    checked_seeds,
    first_output,
    floating,
    nothing,
    rebuilt,
    take_sens,
)
from nbgrad.errors import ArgumentError, GradientError, MissingGradientError, describe
from nbgrad.pickling import remember


def grad(fn, grad_position=0, weights=None, has_aux=False, return_ids=False, sens_param=False, *, holomorphic=False):
    """A function that computes the gradient of `fn`.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays, also in tuples, lists and dicts.  All floating-point outputs are
        differentiated and their gradients added; outputs of any shape are seeded with ones.
    grad_position : int, tuple of int, or None
        Which arguments to differentiate by, counted from 0; keyword arguments are numbered after the
        positional ones, in the order of the call.  An argument is an Array, a NumPy array, or a list or
        dict of such at any depth, and its gradient has the same form.  Each position is an input of its
        own, also when two hold the same Array; what `fn` closes over is constant.
    weights : Parameter, or sequence of Parameter, optional
        Arrays that `fn` closes over to differentiate by as well.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.
    return_ids : bool
        Each gradient g becomes ``(position, g)`` or ``(parameter_name, g)``; see `get_grad`.
    sens_param : bool
        The call takes the seed of the outputs as keyword ``sens`` or as last positional argument: an array
        of the shape and dtype of the output, or a tuple of such for several outputs.
    holomorphic : bool
        `fn` is a holomorphic function of complex numbers: its complex derivative is computed.  Otherwise the gradient
        of a real L by a complex z = x + iy is dL/dx + i dL/dy, which points uphill (as TensorFlow and PyTorch have it),
        and complex outputs need a seed.

    Returns
    -------
    callable
        Returns the gradient: bare for one position (also ``(0,)``), a tuple for more; for `weights` bare
        for a bare Parameter, a tuple for a sequence of any length; ``(by position, by weights)`` if both
        were given.  With `has_aux`: ``(that, aux)`` with a tuple `aux`.  Where nothing depends on an input
        its gradient is zeros.

    Raises
    ------
    GradientError
        A ValueError: positions that are negative, repeated, missing or out of range; `has_aux` without a
        tuple of two outputs.
    ArgumentError, DtypeError
        TypeErrors: options or arguments of the wrong kind, integers among what is differentiated.

    See Also
    --------
    value_and_grad, nbgrad.gradients

    Examples
    --------
    >>> import nbgrad as ng
    >>> def f(x, y):
    ...     return x * x * y
    >>> x, y = ng.asarray([1.0, 2.0]), ng.asarray([3.0, 4.0])
    >>> ng.grad(f)(x, y)
    Array([ 6., 16.], shape=(2,), dtype=float64, device=cpu)
    >>> ng.grad(ng.grad(f))(x, y)
    Array([6., 8.], shape=(2,), dtype=float64, device=cpu)
    >>> ng.grad(f, grad_position=(0, 1), return_ids=True)(x, y)[1]
    (1, Array([1., 4.], shape=(2,), dtype=float64, device=cpu))
    """
    options = Options("grad", fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic)
    return options.remembered(options.transform(False), grad)


def value_and_grad(
    fn, grad_position=0, weights=None, has_aux=False, return_ids=False, sens_param=False, *, holomorphic=False
):
    """A function that computes what `fn` returns, and its gradient.

    Parameters
    ----------
    fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic
        As for `grad`.

    Returns
    -------
    callable
        Returns ``(value, gradient)``: everything that `fn` returns in its own structure, and what `grad`
        returns without `has_aux`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> w = ng.Parameter([1.0, -1.0], name="w")
    >>> def loss(x):
    ...     return ((x * w) * (x * w)).sum()
    >>> value, (gw,) = ng.value_and_grad(loss, None, [w])(ng.asarray([3.0, 4.0]))
    >>> float(value)
    25.0
    >>> gw
    Array([ 18., -32.], shape=(2,), dtype=float64, device=cpu)
    """
    options = Options("value_and_grad", fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic)
    return options.remembered(options.transform(True), value_and_grad)


def get_grad(gradients, identifier):
    """One gradient out of a result with ids.

    Parameters
    ----------
    gradients : tuple
        What a gradient function made with ``return_ids=True`` returned.
    identifier : int or Parameter
        A position, or one of the weights.

    Returns
    -------
    Array

    Raises
    ------
    MissingGradientError
        A RuntimeError: no such gradient in there.

    Examples
    --------
    >>> import nbgrad as ng
    >>> w = ng.Parameter([2.0], name="w")
    >>> ids = ng.grad(lambda x: x * w, 0, [w], return_ids=True)(ng.asarray([5.0]))
    >>> ng.get_grad(ids, w)
    Array([5.], shape=(1,), dtype=float64, device=cpu)
    """
    if isinstance(identifier, Parameter):
        wanted, text = identifier.name, f"Parameter {identifier.name!r}"
    elif isinstance(identifier, (int, numpy.integer)) and not isinstance(identifier, bool):
        wanted, text = int(identifier), f"position {identifier}"
    else:
        raise ArgumentError(f"get_grad: identifier must be a position or a Parameter, got {describe(identifier)}")
    stack = [gradients]
    while stack:
        item = stack.pop()
        if isinstance(item, (list, dict)):
            item = tuple(item) if isinstance(item, list) else tuple(item.values())
            stack.extend(item[::-1])
            continue
        if not isinstance(item, tuple):
            continue
        if len(item) == 2 and type(item[0]) is type(wanted):
            if item[0] == wanted:
                return item[1]
            continue
        stack.extend(item[::-1])
    raise MissingGradientError(
        f"get_grad: no gradient for {text} in this result; make it with return_ids=True, and with that position or "
        "Parameter among grad_position or weights"
    )


class Options:
    """The checked options of a transform."""

    def __init__(self, call, fn, grad_position, weights, has_aux, return_ids, sens_param, holomorphic=False):
        if not callable(fn):
            raise ArgumentError(f"{call}: fn must be callable, got {describe(fn)}")
        self.call, self.fn = call, fn
        self.has_aux = flag(call, "has_aux", has_aux)
        self.return_ids = flag(call, "return_ids", return_ids)
        self.sens_param = flag(call, "sens_param", sens_param)
        self.holomorphic = flag(call, "holomorphic", holomorphic)
        if grad_position is None and weights is None:
            raise GradientError(f"{call}: grad_position and weights cannot both be None; say what to differentiate by")
        self.positions = positions(call, grad_position)
        self.by_position = grad_position is not None
        self.given, self.one_weight = weights, isinstance(weights, Array)
        self.by_weight = weights is not None
        self.weights, self.weight_structure = checked_weights(call, weights)
        self.distinct = tuple({id(w): w for w in self.weights}.values())
        self.where = [next(i for i, d in enumerate(self.distinct) if d is w) for w in self.weights]
        if self.return_ids:
            for w in self.weights:
                if not isinstance(w, Parameter):
                    raise ArgumentError(
                        f"{call}: return_ids needs names, so every weight must be a Parameter; got {describe(w)}"
                    )

    def transform(self, with_value):
        """The gradient function."""
        call, fn, places, weights = self.call, self.fn, self.positions, self.distinct
        has_aux, sens_param, holomorphic = self.has_aux, self.sens_param, self.holomorphic
        bare = len(places) == 1 and not self.by_weight and not self.return_ids

        def gradient(*args, **kwargs):
            sens, names = None, None
            if sens_param:
                args, sens = take_sens(call, args, kwargs)
            if kwargs:
                names = list(kwargs)
                args = (*args, *kwargs.values())
            inputs = Inputs(call, args, places, weights)
            out, nodes = inputs.run(fn, names, weights)
            first, count = out, len(nodes)
            if has_aux:
                first, count = first_output(call, out)
            differentiated = nodes if count == len(nodes) else nodes[:count]
            if not count:
                raise nothing(call, fn, first)
            seeds = checked_seeds(call, sens, first, differentiated) if sens_param else None
            outputs = differentiated
            build = None
            for n in differentiated:
                if n.dtype.kind != "f":
                    outputs, seeds = floating(differentiated, seeds)
                    check_complex(call, outputs, seeds, holomorphic)
                    break
            if holomorphic:
                check_holomorphic(call, outputs, inputs.wrappers)
                build = inputs.derived
            values = nodes if with_value else (nodes[count:] if has_aux else ())
            arrays, found = inputs.pulled(outputs, seeds, values, build)
            answer = found[0] if bare and inputs.trees[0] is None else self.assemble(inputs, found)
            if with_value:
                return (arrays[0] if isinstance(out, Array) else rebuilt(out, iter(arrays))), answer
            if has_aux:
                rest = iter(arrays)
                return answer, tuple(rebuilt(o, rest) for o in out[1:])
            return answer

        gradient.__name__ = gradient.__qualname__ = f"{call}_of_{getattr(fn, '__name__', type(fn).__name__)}"
        gradient.__doc__ = f"What nbgrad.{call} made of {getattr(fn, '__name__', type(fn).__name__)}."
        gradient.__wrapped__ = fn
        return gradient

    def remembered(self, gradient, transform):
        """The gradient function, with a note on the call that made it."""
        return remember(
            gradient, transform, self.fn, grad_position=self.positions if self.by_position else None,
            weights=self.given, has_aux=self.has_aux, return_ids=self.return_ids, sens_param=self.sens_param,
            holomorphic=self.holomorphic,
        )  # fmt: skip

    def assemble(self, inputs, found, collapse=True):
        """Gradients in the containers that the options ask for; one position is bare if `collapse`."""
        answers, at = [], 0
        for p, tree in zip(self.positions, inputs.trees, strict=True):
            if tree is None:
                g = found[at]
                at += 1
            else:
                g = tree[0].unflatten(found[at : at + tree[1]])
                at += tree[1]
            answers.append((p, g) if self.return_ids else g)
        by_position = answers[0] if collapse and len(answers) == 1 else tuple(answers)
        if not self.by_weight:
            return by_position
        tail = found[at:]
        by_weight = [Array(tail[i]._node) for i in self.where]  # an Array of its own for each mention
        if self.return_ids:
            by_weight = [(w.name, g) for w, g in zip(self.weights, by_weight, strict=True)]
        if self.weight_structure is not None:
            by_weight = self.weight_structure.unflatten(by_weight)
        else:
            by_weight = by_weight[0] if self.one_weight else tuple(by_weight)
        return (by_position, by_weight) if self.by_position or not collapse else by_weight


# ---------------------------------------------------------------- outputs


def positions(call, value):
    """A tuple of distinct positions."""
    if value is None:
        return ()
    if not isinstance(value, tuple):
        _check_position(call, value, "grad_position must be an int or a tuple of ints")
        return (int(value),)
    if not value:
        raise GradientError(f"{call}: grad_position is empty; give a position, or None with weights")
    for v in value:
        _check_position(call, v, "every element of grad_position must be an int")
    if len(set(value)) != len(value):
        raise GradientError(f"{call}: grad_position {value} names a position twice")
    return tuple(int(v) for v in value)


def _check_position(call, value, rule):
    if isinstance(value, (bool, numpy.bool_)) or not isinstance(value, (int, numpy.integer)):
        hint = "; has_aux is the fourth parameter" if isinstance(value, bool) else ""
        raise ArgumentError(f"{call}: {rule}, got {describe(value)}{hint}")
    if value < 0:
        raise GradientError(f"{call}: grad_position must not be negative, got {value}; positions count from 0")


def checked_weights(call, weights):
    """(a tuple of Arrays, the structure of a nest of them or None): a flat list or tuple counts as a tuple."""
    if weights is None:
        return (), None
    if isinstance(weights, Array):
        return (weights,), None
    if not trees.is_container(weights):
        raise ArgumentError(
            f"{call}: weights must be a Parameter or a list, tuple or nest of Parameters, got {describe(weights)}"
        )
    flat = isinstance(weights, (list, tuple)) and not any(map(trees.is_container, weights))
    if flat:
        found, paths, structure = tuple(weights), None, None
    else:
        paths, found, structure = trees.flatten_with_paths(weights, "weights")
    for i, w in enumerate(found):
        if not isinstance(w, Array):
            where = f"weights[{i}]" if paths is None else paths[i]
            raise ArgumentError(f"{call}: {where} must be a Parameter, got {describe(w)}")
    return tuple(found), structure
