"""nbgrad: array autodiff on fused Numba kernels."""

import nbgrad.kernels  # declares the primitives

from nbgrad.array import Array, Parameter, ParameterTuple, asarray
from nbgrad.autodiff.forward import jacfwd, jacrev, jvp, vjp
from nbgrad.autodiff.grad import get_grad, grad, value_and_grad
from nbgrad.autodiff.gradients import AggregationMethod, UnconnectedGradients, gradients
from nbgrad.config import config
from nbgrad.statistics import stats
