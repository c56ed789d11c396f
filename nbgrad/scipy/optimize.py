"""scipy.optimize with derivatives from nbgrad: SciPy's solvers call compiled functions on plain ndarrays.

Functions take and return Arrays; unknowns may be arrays of any shape, or nests (dict, list, tuple) of arrays.  Results
are SciPy's own result objects.  They are values, not parts of a graph, so no gradient flows through a solver.
"""

import functools
import inspect

import numpy

from nbgrad.array import Array, asarray
from nbgrad.autodiff.grad import grad
from nbgrad.compile.jit import jit
from nbgrad.errors import ArgumentError, ShapeError, describe
from nbgrad.scipy._vectors import Scalar, Several, Vector, outside_of_transforms, real_result, real_value

__all__ = ["curve_fit", "least_squares", "minimize", "newton", "root", "root_scalar"]

#: Methods of `minimize` that use a gradient, and what they take of second derivatives.
_GRADIENT = {"cg", "bfgs", "l-bfgs-b", "tnc", "slsqp"}
_PRODUCT = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
_MATRIX = {"dogleg", "trust-exact"}
_ROOT_GRADIENT = {"hybr", "lm"}


def minimize(
    fun, x0, args=(), method=None, jac=None, hess=None, hessp=None, bounds=None, constraints=(), tol=None,
    callback=None, options=None,
):  # fmt: skip
    """`scipy.optimize.minimize` with gradients and products with the Hessian from nbgrad.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``, of Arrays, returns one real number.  It is traced once for this call.
    x0 : array_like, or nest of array_like
        Where to start.  `fun` gets Arrays of float64 of the same form; a number means a vector of one element, as in
        SciPy.
    args : tuple, optional
        Handed to `fun` as they are.
    method : str or callable, optional
        As in SciPy, which chooses by bounds and constraints unless it is given.
    jac : optional
        The gradient is computed unless this is given: then it means what it means in SciPy, with `x` in the form
        of `x0`.
    hess, hessp : optional
        The same for second derivatives.  Newton-CG, trust-ncg, trust-krylov and trust-constr get products with the
        Hessian, dogleg and trust-exact the matrix.
    bounds : sequence or scipy.optimize.Bounds, optional
        As in SciPy, of the elements of `x0` in order; the limits of `Bounds` may have the form of `x0`.
    constraints : optional
        As in SciPy, with `x` in the form of `x0`.  Functions of Arrays get their Jacobians here, unless they are given
        (for `NonlinearConstraint` its Hessian, too).  `LinearConstraint` is about the elements of `x0` in order.
    tol, callback, options : optional
        As in SciPy; `callback` gets `x` in the form of `x0`.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` and `jac` in the form of `x0`, as NumPy arrays; the rest, as `hess_inv`, by elements in order.

    Raises
    ------
    ShapeError, DtypeError
        When `fun` returns more than one number, or one that is not real; when `x0` is complex or empty.
    GradientError
        Inside of a transform: no gradient flows through a solver.

    Examples
    --------
    >>> from nbgrad.scipy import optimize
    >>> def rosenbrock(p):
    ...     return (1.0 - p["x"]) ** 2 + 100.0 * (p["y"] - p["x"] ** 2) ** 2
    >>> found = optimize.minimize(rosenbrock, {"x": -1.0, "y": 2.0})
    >>> found.success, round(float(found.x["y"]), 4)
    (True, 1.0)
    """
    import scipy.optimize

    outside_of_transforms("minimize")
    vector = Vector("minimize", "x0", x0)
    args = args if isinstance(args, tuple) else (args,)
    objective = Scalar("minimize", fun, vector, args)
    name = "" if method is None else method.lower() if isinstance(method, str) else "callable"
    uses_gradient = name in ("", "callable") or name in _GRADIENT | _PRODUCT | _MATRIX
    function = objective.value
    if jac is None and uses_gradient:
        function, jac = objective.value_and_gradient, True
    elif jac is True:
        function = _pair(fun, vector, args)
    elif callable(jac):
        jac = _on_vectors(jac, vector, args, packed=True)
    if callable(hess):
        hess = _on_vectors(hess, vector, args)
    if callable(hessp):
        hessp = _product_on_vectors(hessp, vector, args)
    if hess is None and hessp is None:
        if name in _PRODUCT or name == "callable":
            hessp = objective.hessian_product
        elif name in _MATRIX:
            hess = objective.hessian
    result = scipy.optimize.minimize(
        function,
        vector.initial,
        method=method,
        jac=jac,
        hess=hess,
        hessp=hessp,
        bounds=_bounds(bounds, vector),
        constraints=_constraints(constraints, vector, name == "trust-constr"),
        tol=tol,
        callback=_callback(callback, vector),
        options=options,
    )
    return _in_form(result, vector)


def _on_vectors(fun, vector, args, packed=False):
    """A user's derivative as a function of the vector."""

    def call(x):
        y = fun(vector.unpacked(x), *args)
        return vector.packed(y, "jac(x)") if packed else numpy.asarray(y)

    return call


def _product_on_vectors(fun, vector, args):
    return lambda x, p: vector.packed(fun(vector.unpacked(x), vector.unpacked(p), *args), "hessp(x, p)")


def _pair(fun, vector, args):
    """A function that returns its value and its gradient, as the user wrote it."""

    def call(x):
        value, gradient = fun(vector.unpacked(x), *args)
        return float(value), vector.packed(gradient, "the gradient that fun returned")

    return call


def _bounds(bounds, vector):
    import scipy.optimize

    if isinstance(bounds, scipy.optimize.Bounds):
        # Bounds makes an array of what it is given, of a dict one with one element.
        low, high = (
            b.item() if getattr(getattr(b, "dtype", None), "kind", "") == "O" else b for b in (bounds.lb, bounds.ub)
        )
        low, high = vector.packed(low, "bounds.lb"), vector.packed(high, "bounds.ub")
        return scipy.optimize.Bounds(low, high, bounds.keep_feasible)
    return bounds


def _constraints(constraints, vector, second):
    """Constraints on the vector, with Jacobians, and Hessians for the method that uses them."""
    import scipy.optimize

    if isinstance(constraints, (list, tuple)):
        return [_constraints(c, vector, second) for c in constraints]
    if isinstance(constraints, dict):
        made = dict(constraints)
        if not callable(made.get("fun")):
            raise ArgumentError(
                f"minimize: a constraint needs a callable 'fun', got {describe(made.get('fun'))}; write "
                "{'type': 'ineq', 'fun': f}"
            )
        args = made.pop("args", ())
        function = Several("minimize: a constraint", made["fun"], vector, args)
        made["fun"] = function.value
        jac = made.get("jac")
        made["jac"] = _on_vectors(jac, vector, args) if callable(jac) else jac or function.jacobian
        return made
    if isinstance(constraints, scipy.optimize.NonlinearConstraint):
        c, function = constraints, Several("minimize: a constraint", constraints.fun, vector)
        jac = _on_vectors(c.jac, vector, ()) if callable(c.jac) else function.jacobian
        hess = function.hessian if second else c.hess
        if callable(c.hess):
            hess = lambda x, v: c.hess(vector.unpacked(x), v)  # noqa: E731
        return scipy.optimize.NonlinearConstraint(function.value, c.lb, c.ub, jac, hess, c.keep_feasible)
    return constraints


def _callback(callback, vector):
    """The callback with `x` in its form; SciPy looks at the names of its parameters."""
    if callback is None or vector.plain:
        return callback
    if set(inspect.signature(callback).parameters) == {"intermediate_result"}:

        def with_result(intermediate_result):
            return callback(intermediate_result=_in_form(type(intermediate_result)(intermediate_result), vector))

        return with_result
    return lambda x, *more: callback(vector.unpacked(numpy.copy(x)), *more)


def _in_form(result, vector):
    """A result whose unknowns have their form."""
    for name in ("x", "jac", "grad"):
        value = result.get(name)
        if isinstance(value, numpy.ndarray) and value.shape == vector.initial.shape:
            result[name] = vector.unpacked(value)
    return result


def least_squares(fun, x0, jac=None, bounds=(-numpy.inf, numpy.inf), *, args=(), kwargs=None, callback=None, **options):
    """`scipy.optimize.least_squares` with the Jacobian from nbgrad.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args, **kwargs)``, of Arrays, returns the residuals: an array of any shape, or several.
    x0 : array_like, or nest of array_like
    jac : optional
        The Jacobian is computed unless this is given, as in SciPy, with `x` in the form of `x0`.
    bounds : pair or scipy.optimize.Bounds, optional
        Lower and upper limits: numbers, or in the form of `x0`.
    args, kwargs, callback, **options
        As in SciPy.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` and `grad` in the form of `x0`; `fun` in one dimension, `jac` a matrix by elements in order.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> from nbgrad.scipy import optimize
    >>> t = np.linspace(0.0, 1.0, 5)
    >>> found = optimize.least_squares(lambda p: p[0] * np.exp(p[1] * t) - 2.0 * np.exp(t), [1.0, 0.0])
    >>> found.x.round(6)
    array([2., 1.])
    """
    import scipy.optimize

    outside_of_transforms("least_squares")
    vector = Vector("least_squares", "x0", x0)
    args = args if isinstance(args, tuple) else (args,)
    function = Several("least_squares", fun, vector, args, kwargs)
    if callable(jac):
        jac = _on_vectors(functools.partial(jac, **(kwargs or {})), vector, args)
    if isinstance(bounds, scipy.optimize.Bounds):
        bounds = _bounds(bounds, vector)
    else:
        low, high = bounds
        bounds = vector.packed(low, "bounds[0]"), vector.packed(high, "bounds[1]")
    if callback is not None:
        options["callback"] = _callback(callback, vector)  # SciPy before 1.16 has none
    result = scipy.optimize.least_squares(
        function.value, vector.initial, jac=function.jacobian if jac is None else jac, bounds=bounds, **options
    )
    jacobian = result.pop("jac")
    result = _in_form(result, vector)
    result["jac"] = jacobian
    return result


def root(fun, x0, args=(), method="hybr", jac=None, tol=None, callback=None, options=None):
    """`scipy.optimize.root` with the Jacobian from nbgrad, where the method uses one.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)``, of Arrays, returns as many numbers as `x` has, in an array of any shape, or in several.
    x0 : array_like, or nest of array_like
    args, method, jac, tol, callback, options
        As in SciPy; the Jacobian is computed unless `jac` is given.

    Returns
    -------
    scipy.optimize.OptimizeResult
        `x` in the form of `x0`.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> from nbgrad.scipy import optimize
    >>> optimize.root(lambda x: np.cos(x) - x, [0.5]).x.round(6)
    array([0.739085])
    """
    import scipy.optimize

    outside_of_transforms("root")
    vector = Vector("root", "x0", x0)
    args = args if isinstance(args, tuple) else (args,)
    if jac is True:
        raise ArgumentError("root: jac=True is not needed here; fun returns the value alone and jac is left out")
    function = Several("root", fun, vector, args)
    if callable(jac):
        jac = _on_vectors(jac, vector, args)
    elif jac is None and method in _ROOT_GRADIENT:
        jac = function.jacobian
    result = scipy.optimize.root(
        function.value, vector.initial, method=method, jac=jac, tol=tol,
        callback=_callback(callback, vector), options=options,
    )  # fmt: skip
    result["x"] = vector.unpacked(result["x"])
    return result


class _OfNumber:
    """A function of a number (or of each element of an array) with its first two derivatives."""

    def __init__(self, call, fun, args):
        if not callable(fun):
            raise ArgumentError(f"{call}: f must be callable, not {describe(fun)}")
        self.call, self.fun, self.args = call, fun, args if isinstance(args, tuple) else (args,)
        first = grad(self._traced)
        self.orders = [jit(f, as_numpy=True) for f in (self._traced, first, grad(first))]

    def _traced(self, x):
        y = real_result(self.call, self.fun, self.fun(x, *self.args))
        if y.shape != x.shape:
            raise ShapeError(
                f"{self.call}: f must return the shape of its argument, {x.shape}, and it returned {y.shape}; "
                f"for systems of equations use root\n    {describe(y, 'f(x)')}"
            )
        return y

    def derivative(self, order):
        """A function of floats or ndarrays to such."""
        compiled = self.orders[order]

        def call(x):
            y = compiled(numpy.asarray(x, numpy.float64))
            return y if y.ndim else y[()]

        return call

    def given(self, fun, order):
        """A user's derivative, or ours."""
        return self.derivative(order) if fun is None else lambda x: numpy.asarray(fun(x, *self.args))[()]


def root_scalar(
    f, args=(), method=None, bracket=None, fprime=None, fprime2=None, x0=None, x1=None, xtol=None, rtol=None,
    maxiter=None, options=None,
):  # fmt: skip
    """`scipy.optimize.root_scalar` with derivatives from nbgrad, where the method uses them.

    Parameters
    ----------
    f : callable
        ``f(x, *args)``, of a 0-d Array.
    fprime, fprime2 : optional
        Computed for the methods "newton" and "halley" unless given.
    args, method, bracket, x0, x1, xtol, rtol, maxiter, options
        As in SciPy.  With `x0` alone the method is "newton".

    Returns
    -------
    scipy.optimize.RootResults

    Examples
    --------
    >>> from nbgrad.scipy import optimize
    >>> optimize.root_scalar(lambda x: x**3 - 2.0, x0=1.0, method="halley").root.round(6)
    np.float64(1.259921)
    """
    import scipy.optimize

    outside_of_transforms("root_scalar")
    function = _OfNumber("root_scalar", f, args)
    if fprime is True or fprime2 is True:
        raise ArgumentError(
            "root_scalar: fprime=True is not needed here; f returns the value alone and fprime is left out"
        )
    name = method.lower() if isinstance(method, str) else method
    if name is None and bracket is None and x0 is not None and x1 is None:
        name = "halley" if fprime2 is not None else "newton"
    first = function.given(fprime, 1) if fprime is not None or name in ("newton", "halley") else None
    second = function.given(fprime2, 2) if fprime2 is not None or name == "halley" else None
    return scipy.optimize.root_scalar(
        function.derivative(0), method=name, bracket=bracket, fprime=first, fprime2=second, x0=x0, x1=x1, xtol=xtol,
        rtol=rtol, maxiter=maxiter, options=options,
    )  # fmt: skip


def newton(
    func, x0, fprime=None, args=(), tol=1.48e-8, maxiter=50, fprime2=None, x1=None, rtol=0.0, full_output=False,
    disp=True,
):  # fmt: skip
    """`scipy.optimize.newton` with derivatives from nbgrad.

    Parameters
    ----------
    func : callable
        ``func(x, *args)``, of an Array, elementwise.
    x0 : float or array_like
        One start, or several roots at a time.
    fprime : optional
        Computed unless it, or `x1` for the secant method, is given.
    fprime2 : callable or True, optional
        With it the method is Halley's; True computes it.
    args, tol, maxiter, x1, rtol, full_output, disp
        As in SciPy.

    Examples
    --------
    >>> from nbgrad.scipy import optimize
    >>> optimize.newton(lambda x: x * x - 2.0, 1.0).round(6)
    np.float64(1.414214)
    """
    import scipy.optimize

    outside_of_transforms("newton")
    function = _OfNumber("newton", func, args)
    first = function.given(fprime, 1) if fprime is not None or x1 is None else None
    second = None if fprime2 is None else function.given(None if fprime2 is True else fprime2, 2)
    x0 = real_value(x0, "newton", "x0")
    return scipy.optimize.newton(
        function.derivative(0), x0 if x0.ndim else x0[()], first, (), tol, maxiter, second, x1, rtol, full_output, disp
    )


class _Model:
    """A model of data: ``f(xdata, *parameters)`` and its Jacobian by the parameters, compiled for one `xdata`."""

    def __init__(self, f):
        self.f, self.xdata, self.function = f, None, None

    def of(self, xdata, parameters):
        parameters = numpy.array(parameters, numpy.float64)
        if self.function is None or self.xdata is not xdata:
            vector = Vector("curve_fit", "p0", parameters)
            data = asarray(xdata) if isinstance(xdata, numpy.ndarray) else xdata
            self.xdata, self.function = xdata, Several("curve_fit", lambda p: self.f(data, *p), vector)
        return parameters

    def value(self, xdata, *parameters):
        parameters = self.of(xdata, parameters)
        return self.function.value(parameters)

    def jacobian(self, xdata, *parameters):
        parameters = self.of(xdata, parameters)
        return self.function.jacobian(parameters)


def curve_fit(
    f, xdata, ydata, p0=None, sigma=None, absolute_sigma=False, check_finite=None, bounds=(-numpy.inf, numpy.inf),
    method=None, jac=None, *, full_output=False, nan_policy=None, **kwargs,
):  # fmt: skip
    """`scipy.optimize.curve_fit` with the exact Jacobian of the model.

    Parameters
    ----------
    f : callable
        ``f(xdata, *parameters)``, of Arrays, one 0-d Array for each parameter.
    xdata : array_like or object
        An array is handed to `f` as float64, another object as it is.
    ydata : array_like
    p0 : array_like, optional
        Ones unless given, or what SciPy derives from bounds; their number is that of the parameters of `f`.
    jac : optional
        Computed unless it is given, as in SciPy.
    sigma, absolute_sigma, check_finite, bounds, method, full_output, nan_policy, **kwargs
        As in SciPy.

    Returns
    -------
    popt, pcov : ndarray
        The parameters and their covariances; more with `full_output`.

    Examples
    --------
    >>> import nbgrad.numpy as np
    >>> from nbgrad.scipy import optimize
    >>> t = np.linspace(0.0, 1.0, 9)
    >>> popt, pcov = optimize.curve_fit(lambda t, a, b: a * np.exp(-b * t), t, 3.0 * np.exp(-2.0 * t))
    >>> popt.round(6)
    array([3., 2.])
    """
    import scipy.optimize

    outside_of_transforms("curve_fit")
    if not callable(f):
        raise ArgumentError(f"curve_fit: f must be callable, not {describe(f)}")
    model = _Model(f)

    # SciPy counts the parameters of what it is given, so it is given the signature of f.
    function = functools.wraps(f)(lambda xdata, *parameters: model.value(xdata, *parameters))
    given = {"check_finite": check_finite, "nan_policy": nan_policy, "full_output": full_output or None}
    kwargs.update({name: value for name, value in given.items() if value is not None})
    return scipy.optimize.curve_fit(
        function, _plain(xdata), _plain(ydata), p0, sigma, absolute_sigma, bounds=bounds, method=method,
        jac=model.jacobian if jac is None else jac, **kwargs,
    )  # fmt: skip


def _plain(x):
    """Arrays as ndarrays; other things as they are."""
    return x.numpy() if isinstance(x, Array) else x
