"""What the scripts share: gradients of a NumPy function, handed to SciPy."""

import numpy as np
from scipy.optimize import minimize

import nbgrad as ng


def fit(loss, start, steps=200):
    """The parameters that make `loss` small, beginning with `start`; prints what it cost."""
    value_and_grad = ng.jit(ng.value_and_grad(loss))

    def both(p):
        value, slope = value_and_grad(p)
        return float(value), np.asarray(slope)

    found = minimize(both, start, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    print(f"loss {float(loss(np.asarray(start))):.6g} -> {found.fun:.6g} in {found.nfev} evaluations")
    return found.x
