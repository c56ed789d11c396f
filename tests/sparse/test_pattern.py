"""Patterns miss no entry: against the nonzeros of dense Jacobians, for every primitive and for random functions."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbgrad as ng
import nbgrad.numpy as np
from nbgrad.sparse import dependence
from tests_primitives import BY_NAME, CALLED
