"""Transforms that are made of others: linearize, jacobian, hessian, hvp."""

from nbgrad import dtypes
from nbgrad.array import Array
from nbgrad.autodiff import backward
from nbgrad.autodiff.arguments import ready
from nbgrad.autodiff.forward import Call, jacfwd, jacobian_of, jacrev, jvp, pushed_tangents, rows_or_columns
from nbgrad.autodiff.grad import grad
from nbgrad.autodiff.outputs import rebuilt
from nbgrad.errors import ArgumentError, GradientError, describe


def linearize(fn, *inputs, has_aux=False):
    """The value of `fn`, and its derivative as a linear function of tangents.

    `fn` is run once; the linear function is evaluated without it, as often as one likes.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them.
    *inputs : array_like, or nest of them
        Arguments of `fn`, all of them differentiated.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.

    Returns
    -------
    value : Array, or in the structure that `fn` returns
    push_forward : callable
        Takes one tangent for each input, returns the tangent of the value.
    aux
        With `has_aux` only: one auxiliary value bare, several as a tuple.

    Examples
    --------
    >>> import nbgrad as ng
    >>> value, push_forward = ng.linearize(lambda x: x * x, ng.asarray([1.0, 2.0]))
    >>> push_forward(ng.asarray([1.0, 10.0]))
    Array([ 2., 40.], shape=(2,), dtype=float64, device=cpu)
    """
    call = Call("linearize", fn, inputs, has_aux)

    def push_forward(*tangents):
        if len(tangents) != len(inputs):
            raise GradientError(
                f"linearize: the push-forward takes {len(inputs)} tangents, one for each input, got {len(tangents)}"
            )
        nodes = pushed_tangents("linearize", tangents, call.inputs, "tangent")
        ready(nodes)
        _, found = call.inputs.pulled(call.floating, nodes, (), call.inputs.pushed)
        moved = iter(found)
        return rebuilt(
            call.first,
            iter([next(moved) if dtypes.is_inexact(n.dtype) else Array(backward.zeros(n)) for n in call.outputs]),
        )

    return call.answer(call.values(), push_forward)


def jacobian(fn, grad_position=0, has_aux=False, *, mode="auto", holomorphic=False):
    """A function that computes the Jacobian of `fn`: row by row or column by column, whichever are fewer.

    Parameters
    ----------
    fn : callable
        Takes and returns Arrays and nests of them.
    grad_position : int or tuple of int
        As for `grad`.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.
    mode : {"auto", "forward", "reverse"}
        Columns, one pass for each element of the inputs (as `jacfwd`), or rows, one for each element of the outputs (as
        `jacrev`).
    holomorphic : bool
        As for `jacrev`.

    Returns
    -------
    callable
        What `jacrev` returns.

    Examples
    --------
    >>> import nbgrad as ng
    >>> ng.jacobian(lambda x: x * x)(ng.asarray([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    if mode == "forward":
        return jacfwd(fn, grad_position, has_aux, holomorphic=holomorphic)
    if mode == "reverse":
        return jacrev(fn, grad_position, has_aux, holomorphic=holomorphic)
    if mode != "auto":
        raise ArgumentError(f"jacobian: mode must be 'auto', 'forward' or 'reverse', got {describe(mode)}")
    return jacobian_of("jacobian", fn, grad_position, has_aux, holomorphic, rows_or_columns)


def hessian(fn, grad_position=0, has_aux=False, *, holomorphic=False):
    """A function that computes the Hessian of `fn`: columns of the Jacobian of the gradient.

    Parameters
    ----------
    fn : callable
        Takes Arrays and returns one, as a rule a single number.
    grad_position : int or tuple of int
        As for `grad`.
    has_aux : bool
        Only the first of several outputs is differentiated, the rest is handed back.
    holomorphic : bool
        As for `jacrev`.

    Returns
    -------
    callable
        Returns the Hessian, of the shape of the output, followed by that of the input twice; for several positions a
        tuple of tuples of blocks; for a nest a nest of nests.  With `has_aux`: ``(that, aux)``.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> ng.hessian(lambda x: np.sum(x**3))(ng.asarray([1.0, 2.0]))
    Array([[ 6.,  0.],
           [ 0., 12.]], shape=(2, 2), dtype=float64, device=cpu)
    """
    first = jacrev(fn, grad_position, has_aux, holomorphic=holomorphic)
    second = jacfwd(first, grad_position, has_aux, holomorphic=holomorphic)
    second.__name__ = second.__qualname__ = f"hessian_of_{getattr(fn, '__name__', type(fn).__name__)}"
    return second


def hvp(fn, inputs, v):
    """The product of the Hessian of `fn` and a vector, without the Hessian.

    Parameters
    ----------
    fn : callable
        Takes Arrays and returns a single number.
    inputs, v : array_like, or tuple of array_like or nests
        Arguments of `fn`, and for each a vector of the same shape and dtype.

    Returns
    -------
    Array, or tuple of Arrays or nests
        The derivative of the gradient in the direction `v`, like `inputs`.

    Examples
    --------
    >>> import nbgrad as ng
    >>> import nbgrad.numpy as np
    >>> ng.hvp(lambda x: np.sum(x**3), ng.asarray([1.0, 2.0]), ng.asarray([1.0, 10.0]))
    Array([  6., 120.], shape=(2,), dtype=float64, device=cpu)
    """
    alone = not isinstance(inputs, tuple) or len(inputs) == 1
    product = jvp(grad(fn, 0 if alone else tuple(range(len(inputs)))), inputs, v)[1]
    return (product,) if alone and isinstance(inputs, tuple) else product
