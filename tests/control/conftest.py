"""The ways in which loops and choices run."""

import pytest

import nbgrad as ng
from nbgrad.compile import scalars


@pytest.fixture(params=["NumPy", "numbers", "launches"])
def way(request, monkeypatch):
    """By NumPy; compiled, small states in registers; compiled, all states in memory."""
    ng.config.jit = 0 if request.param == "NumPy" else 2
    if request.param == "launches":
        monkeypatch.setattr(scalars, "MOST", 0)
    return request.param
