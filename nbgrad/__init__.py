"""nbgrad: array autodiff on fused Numba kernels."""

import nbgrad.kernels  # declares the primitives

from nbgrad.array import Array, Parameter, ParameterTuple, asarray
from nbgrad.config import config
from nbgrad.statistics import stats
